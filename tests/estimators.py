"""Small estimators, data to fit them on, and callbacks that observe a fit."""

import re

import numpy as np
import pytest
import torch
from sklearn.base import clone
from skorch.callbacks import Callback

from skrnn import (
    BiRNNClassifier,
    RNNClassifier,
    RNNRegressor,
)

N_ROWS = 20
TINY = dict(hidden_size=4, max_epochs=3, batch_size=8, random_state=0)


# A step of the optimiser that moves no weight.
STILL = dict(optimizer="sgd", weight_decay=0.0, lr=1e-300, lr_schedule=None)
rng = np.random.default_rng(0)
X = rng.normal(size=(N_ROWS, 4, 2))
X[:, -1, 0] = np.arange(N_ROWS) / 10  # the last step tells the row


RAGGED = [row[i % 4 :] for i, row in enumerate(X)]
y = rng.normal(5, 3, size=N_ROWS)
labels = np.array(["b", "a", "a", "c", "b"] * 4)
indicator = rng.integers(0, 2, size=(N_ROWS, 3))
WEIGHTS = rng.uniform(0.5, 2, size=N_ROWS)


# An estimator, with sequences and targets it can be fitted on.
CASES = {
    "regressor": (RNNRegressor(**TINY, dropout=0.3), X, y),
    "two outputs": (RNNRegressor(**TINY, cell_type="gru"), RAGGED, np.c_[y, y**2]),
    "classifier": (RNNClassifier(**TINY, cell_type="lstm"), RAGGED, labels),
    "two classes": (RNNClassifier(**TINY, num_layers=2, dropout=0.3), X, labels == "a"),
    "multilabel": (RNNClassifier(**TINY, pooling="mean"), X, indicator),
    "two-way": (BiRNNClassifier(**TINY, pooling="max", dropout=0.3), RAGGED, labels),
    "float32": (RNNRegressor(**TINY, dropout=0.3), X.astype(np.float32), y),
}


cases = pytest.mark.parametrize("case", CASES)


def make_case(case, **params):
    model, sequences, target = CASES[case]
    return clone(model).set_params(**params), sequences, target


def whole(message):
    return f"^{re.escape(message)}$"


def outputs(model, sequences):
    """Return the finest answer there is."""
    return getattr(model, "predict_proba", model.predict)(sequences)


def assert_same_model(one, other, sequences=X):
    np.testing.assert_array_equal(outputs(one, sequences), outputs(other, sequences))
    assert one.loss_curve_ == other.loss_curve_
    for name, value in one.module_.state_dict().items():
        assert torch.equal(value, other.module_.state_dict()[name]), name


class Probe(Callback):
    """Notes which rows were trained and validated on, and the number of threads."""

    def on_train_begin(self, net, **kwargs):
        self.rows_ = {True: set(), False: set()}
        self.targets_ = {True: [], False: []}
        self.n_threads_ = []

    def on_batch_begin(self, net, batch, training, **kwargs):
        values = batch[0]["values"][:, -1, 0].numpy()
        self.rows_[training] |= set(np.rint(values * 10).astype(int).tolist())
        self.targets_[training] += batch[1].tolist()
        self.n_threads_.append(torch.get_num_threads())


def probe_of(model):
    return next(cb for _, cb in model.net_.callbacks_ if isinstance(cb, Probe))


class Fail(Callback):
    """Fails in the second batch of an epoch."""

    def __init__(self, epoch=2):
        self.epoch = epoch

    def on_batch_end(self, net, **kwargs):
        if len(net.history) == self.epoch and len(net.history[-1]["batches"]) == 2:
            raise RuntimeError("as planned")


CELLS = ["rnn", "gru", "lstm"]
ESTIMATORS = [RNNRegressor, RNNClassifier, BiRNNClassifier]
N_SAMPLES, N_TIMESTEPS, N_FEATURES = 20, 6, 3
over_cells = pytest.mark.parametrize("cell_type", CELLS)
over_estimators = pytest.mark.parametrize("cls", ESTIMATORS)
over_dtypes = pytest.mark.parametrize("dtype", [np.float32, np.float64])


def tiny(cls, **params):
    return cls(**{"hidden_size": 4, "max_epochs": 2, "random_state": 0, **params})


def normal(*shape, dtype=np.float64):
    return np.random.default_rng(0).normal(size=shape).astype(dtype)


def sequences(n_samples=N_SAMPLES, dtype=np.float64):
    return normal(n_samples, N_TIMESTEPS, N_FEATURES, dtype=dtype)


def targets(n_samples=N_SAMPLES):
    """Return targets that are both real numbers and labels."""
    return np.arange(n_samples) % 2


def answers(estimator, X):
    return getattr(estimator, "predict_proba", estimator.predict)(X)


def attributes(estimator):
    """Return everything but the parameters, by identity."""
    params = estimator.get_params(deep=False)
    return {name: id(v) for name, v in vars(estimator).items() if name not in params}
