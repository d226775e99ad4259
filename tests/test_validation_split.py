"""Validation rows: passed, or held out from the training rows; and the best weights."""

import numpy as np
import pytest
from estimators import (
    N_ROWS,
    RecordBatches,
    X,
    assert_same_model,
    recorded,
    rows_of,
    tiny,
    y,
)
from messages import raises
from numpy.testing import assert_allclose
from sklearn.metrics import log_loss
from skorch.callbacks import Callback

from skrnn import RNNClassifier, RNNRegressor, SlidingWindow, make_windows


def held_out(cls=RNNRegressor, X=X, y=y, **params):
    """Fit with early stopping, and return the rows trained and validated on."""
    model = tiny(cls, early_stopping=True, callbacks=[RecordBatches()], **params)
    train, valid = rows_of(model.fit(X, y))
    return set(train), set(valid)


# Rows that are passed


@pytest.mark.parametrize(
    ("arguments", "missing"), [({"X_val": X}, "X_val"), ({"y_val": y}, "y_val")]
)
def test_validation_data_must_be_passed_in_pairs(arguments, missing):
    message = f"X_val and y_val must be passed together. Got only {missing}."
    with raises(ValueError, message):
        tiny().fit(X, y, **arguments)


def test_validation_loss_is_that_of_the_validation_data():
    X_val, y_val = X[::-2] + 0.1, y[::-2] ** 2
    model = tiny(early_stopping=True).fit(X, y, X_val=X_val, y_val=y_val)

    error = (model.predict(X_val) - y_val) / y.std()
    assert np.mean(error**2) == pytest.approx(min(model.validation_loss_curve_))


def test_no_rows_are_held_out_if_validation_data_is_passed():
    model = tiny(early_stopping=True, callbacks=[RecordBatches()])

    model.fit(X, y, X_val=X[:5], y_val=y[:5])

    train, valid = rows_of(model)
    assert sorted(train) == list(range(N_ROWS))
    assert sorted(valid) == list(range(5))


def test_validation_data_does_not_change_the_training():
    model = tiny(dropout=0.3).fit(X, y, X_val=100 + X, y_val=9 * y)

    assert_same_model(model, tiny(dropout=0.3).fit(X, y))


def test_validation_data_must_have_the_features_of_x():
    message = (
        "X_val has 4 features per time step, but RNNRegressor is expecting 2. The "
        "last axis of X_val holds the features; data with channels before time needs "
        "X.transpose(0, 2, 1)."
    )
    with raises(ValueError, message):
        tiny().fit(X, y, X_val=np.dstack([X, X]), y_val=y)


# The last rows


def test_last_rows_validate():
    train, valid = held_out(validation_fraction=0.25, validation_strategy="last")

    assert train == set(range(15))
    assert valid == set(range(15, 20))


SERIES = np.arange(40)[:, None] / 10  # the last step of a window identifies its row


def windows(window_size, stride):
    return make_windows(
        SERIES, SERIES[:, 0], window_size=window_size, horizon=0, stride=stride
    )[0]


@pytest.mark.parametrize(
    ("X", "window_size"),
    [
        (SlidingWindow(4).fit_transform(SERIES), 4),
        (SlidingWindow(4).fit_transform(SERIES).copy(), 4),
        (windows(5, stride=2), 5),
        (windows(3, stride=3), 3),
    ],
    ids=["view", "copy", "stride 2", "no overlap"],
)
def test_training_windows_that_overlap_the_last_rows_are_left_out(X, window_size):
    n_valid = int(np.ceil(0.2 * len(X)))
    ends = np.rint(X[:, -1, 0] * 10).astype(int)
    first_step = ends[-n_valid] - window_size + 1  # of the validation rows

    train, valid = held_out(
        X=X, y=np.sin(ends), validation_fraction=0.2, validation_strategy="last"
    )

    assert valid == set(ends[-n_valid:])
    assert train == {end for end in ends if end < first_step}


def test_windows_that_all_overlap_the_validation_rows_are_refused():
    windows, targets = make_windows(np.sin(np.arange(200) / 5), window_size=100)
    message = (
        "early_stopping=True must leave at least one row to train on that shares no "
        "time step with the validation rows. Got windows of 100 steps, which all do. "
        "Shorten the windows, lower validation_fraction, or pass X_val and y_val."
    )
    with raises(ValueError, message):
        tiny(early_stopping=True).fit(windows, targets)


# Random rows


def test_random_rows_validate_and_all_others_train():
    train, valid = held_out(validation_fraction=0.25, validation_strategy="random")

    assert len(valid) == 5
    assert train == set(range(N_ROWS)) - valid
    assert valid != set(range(15, 20))


def test_random_validation_rows_depend_on_the_seed():
    parts = [
        frozenset(held_out(random_state=seed, validation_strategy="random")[1])
        for seed in (0, 0, 1, 2)
    ]

    assert parts[0] == parts[1]
    assert len(set(parts)) == 3


@pytest.mark.parametrize("seed", range(2))
def test_random_rows_of_a_classifier_are_stratified(seed):
    model = tiny(
        RNNClassifier,
        random_state=seed,
        max_epochs=1,
        early_stopping=True,
        validation_fraction=0.25,
        callbacks=[RecordBatches()],
    ).fit(X, [0] * 16 + [1] * 4)

    targets = recorded(model).targets_
    assert np.bincount(targets[False]).tolist() == [4, 1]
    assert np.bincount(targets[True]).tolist() == [12, 3]


def test_class_with_one_row_can_be_split():
    y = np.array([0] * 10 + [1] * 9 + [2])

    train, valid = held_out(RNNClassifier, y=y)

    assert len(valid) == 2
    assert train | valid == set(range(N_ROWS))


def test_validation_must_leave_a_row_to_train_on():
    message = (
        "early_stopping=True must leave at least one row to train on. Got "
        "n_samples=1 and validation_fraction=0.1. Pass X_val and y_val, or set "
        "early_stopping=False."
    )
    with raises(ValueError, message):
        tiny(early_stopping=True).fit(X[:1], y[:1])


# The best weights


class RecordWeights(Callback):
    """Keep the weights after every epoch."""

    epochs = []  # of the class, since `fit` copies callbacks

    def on_train_begin(self, net, **kwargs):
        self.epochs.clear()

    def on_epoch_end(self, net, **kwargs):
        state = net.module_.state_dict()
        self.epochs.append({name: value.clone() for name, value in state.items()})


@pytest.mark.parametrize(
    ("cls", "passed"),
    [(RNNRegressor, False), (RNNRegressor, True), (RNNClassifier, True)],
)
def test_best_weights_are_those_of_the_lowest_validation_loss(cls, passed):
    # Noise: what is learned does not help with the validation rows.
    y = np.random.default_rng(1).integers(0, 2, size=N_ROWS)
    X_val = X[::-1] + 0.5
    model = tiny(
        cls,
        max_epochs=30,
        lr=0.05,
        lr_schedule=None,
        early_stopping=True,
        validation_fraction=0.5,
        patience=30,
        callbacks=[RecordWeights()],
    )

    model.fit(X, y, **({"X_val": X_val, "y_val": y} if passed else {}))

    best = np.argmin(model.validation_loss_curve_)
    assert best != np.argmin(model.loss_curve_)  # else the test shows nothing
    assert model.best_epoch_ == best + 1
    for name, value in model.module_.state_dict().items():
        assert_allclose(value, RecordWeights.epochs[best][name], rtol=0)
    if passed:
        if cls is RNNRegressor:
            loss = np.mean((model.predict(X_val) - y) ** 2) / y.var()
        else:
            loss = log_loss(y, model.predict_proba(X_val))
        assert_allclose(loss, min(model.validation_loss_curve_), rtol=1e-9)
