from collections import Counter

import numpy as np
import pytest
import torch
from estimators import (
    N_SAMPLES,
    over_estimators,
    sequences,
    targets,
    tiny,
)
from numpy.testing import assert_allclose
from sklearn.metrics import log_loss
from skorch.callbacks import Callback

from skrnn import RNNRegressor


class RecordBatches(Callback):
    """Keep the first value of each row of every batch, epoch by epoch."""

    epochs = []  # of the class, since `fit` copies callbacks

    def on_train_begin(self, net, **kwargs):
        self.epochs.clear()

    def on_epoch_begin(self, net, **kwargs):
        self.epochs.append({True: [], False: []})

    def on_batch_begin(self, net, batch, training, **kwargs):
        self.epochs[-1][training].append(batch[0]["values"][:, 0, 0].tolist())


def recorded(estimator, n_samples=N_SAMPLES, **fit_params):
    """Return the rows of the batches of each epoch, training and validation."""
    X = sequences(n_samples)
    X[:, 0, 0] = np.arange(n_samples)
    estimator.set_params(callbacks=[RecordBatches()], standardize=False)
    estimator.fit(X, targets(n_samples), **fit_params)
    return list(RecordBatches.epochs)


def rows_of(batches):
    return [int(row) for batch in batches for row in batch]


@over_estimators
def test_every_epoch_sees_every_row_once(cls):
    epochs = recorded(tiny(cls, max_epochs=3, batch_size=6))

    for epoch in epochs:
        assert [len(batch) for batch in epoch[True]] == [6, 6, 6, 2]
        assert sorted(rows_of(epoch[True])) == list(range(N_SAMPLES))
        assert epoch[False] == []


@over_estimators
def test_training_shuffles_the_rows_anew_in_every_epoch(cls):
    epochs = recorded(tiny(cls, max_epochs=4, batch_size=6))

    orders = [tuple(rows_of(epoch[True])) for epoch in epochs]
    assert len(set(orders)) == 4
    assert tuple(range(N_SAMPLES)) not in orders


def test_the_order_of_rows_is_that_of_random_state():
    orders = [
        recorded(tiny(RNNRegressor, batch_size=6, random_state=seed))
        for seed in (0, 0, 1)
    ]

    assert orders[0] == orders[1]
    assert orders[0] != orders[2]


def test_the_order_of_rows_is_uniform():
    orders = [
        rows_of(epoch[True])
        for epoch in recorded(tiny(RNNRegressor, max_epochs=400), 4)
    ]

    first = Counter(order[0] for order in orders)
    # 100 each, with a deviation of 9.
    assert min(first[row] for row in range(4)) > 60
    assert max(first[row] for row in range(4)) < 140


@pytest.mark.parametrize("strategy", ["random", "last"])
@over_estimators
def test_validation_rows_are_not_trained_on(cls, strategy):
    estimator = tiny(
        cls,
        early_stopping=True,
        validation_strategy=strategy,
        validation_fraction=0.3,
        batch_size=6,
        max_epochs=3,
    )
    epochs = recorded(estimator)

    held_out = rows_of(epochs[0][False])
    assert len(held_out) == 6
    for epoch in epochs:
        assert rows_of(epoch[False]) == held_out
        assert sorted(rows_of(epoch[True]) + held_out) == list(range(N_SAMPLES))
    if strategy == "last":
        assert held_out == list(range(14, 20))


@over_estimators
def test_rows_of_weight_zero_are_never_seen(cls):
    weights = np.ones(N_SAMPLES)
    weights[3::4] = 0.0
    estimator = tiny(cls, early_stopping=True, validation_fraction=0.3)
    epochs = recorded(estimator, sample_weight=weights)

    seen = rows_of(epochs[0][True]) + rows_of(epochs[0][False])
    assert sorted(seen) == np.flatnonzero(weights).tolist()


class RecordWeights(Callback):
    """Keep the weights after every epoch."""

    epochs = []  # of the class, since `fit` copies callbacks

    def on_train_begin(self, net, **kwargs):
        self.epochs.clear()

    def on_epoch_end(self, net, **kwargs):
        state = net.module_.state_dict()
        self.epochs.append({name: value.clone() for name, value in state.items()})


@pytest.mark.parametrize("given", [False, True])
@over_estimators
def test_the_best_weights_are_those_of_the_lowest_validation_loss(cls, given):
    # Noise: what is learned is of no use to the validation part.
    X, y = sequences(40), np.random.default_rng(1).integers(0, 2, size=40)
    X_val, y_val = X[::-1] + 0.5, y
    estimator = tiny(
        cls,
        max_epochs=30,
        lr=0.05,
        lr_schedule=None,
        early_stopping=True,
        patience=30,
        callbacks=[RecordWeights()],
    )

    estimator.fit(X, y, **({"X_val": X_val, "y_val": y_val} if given else {}))

    best = np.argmin(estimator.validation_loss_curve_)
    assert best != np.argmin(estimator.loss_curve_)  # else the test shows nothing
    assert estimator.best_epoch_ == best + 1
    for name, value in estimator.module_.state_dict().items():
        assert torch.equal(value, RecordWeights.epochs[best][name])
    if given:
        lowest = min(estimator.validation_loss_curve_)
        if cls is RNNRegressor:
            loss = np.mean((estimator.predict(X_val) - y_val) ** 2) / y.var()
        else:
            loss = log_loss(y_val, estimator.predict_proba(X_val))
        assert_allclose(loss, lowest, rtol=1e-9)
