"""A fit that fails leaves the estimator unchanged."""

import copy
import re
import threading

import numpy as np
import pandas as pd
import pytest
import torch
from estimators import (
    WEIGHTS,
    Fail,
    X,
    assert_same_model,
    labels,
    outputs,
    tiny,
    y,
)
from messages import raises
from skorch.callbacks import Callback

from skrnn import RNNClassifier, RNNRegressor
from skrnn._nn.module import RecurrentModule


def nan_in(array):
    array = array.astype(float)
    array[3] = np.nan
    return array


# Parameters, arguments of fit, and the start of the message.
FAILURES = {
    "NaN in X": ({}, (nan_in(X), y), "Input X contains NaN."),
    "NaN in y": ({}, (X, nan_in(y)), "Input y contains NaN."),
    "too few targets": ({}, (X, y[:-1]), "Found input variables with inconsistent"),
    "more features": ({}, (np.dstack([X, X]), y), "X has 4 features per time step"),
    "shape of targets": ({}, (X, np.c_[y, y]), "y must have as many outputs as"),
    "negative weights": ({}, (X, y, -WEIGHTS), "sample_weight must not be negative"),
    "unknown cell": ({"cell_type": "gnu"}, (X, y), "The 'cell_type' parameter of"),
    "another network": ({"hidden_size": 5}, (X, y), "The 'hidden_size' parameter must"),
    "unknown device": ({"device": "abacus"}, (X, y), "The 'device' parameter must"),
    "failing callback": ({"callbacks": [Fail(4)]}, (X, y), "planned failure"),
    "diverging loss": (
        {"optimizer": "sgd", "lr": 1e300, "lr_schedule": None, "max_grad_norm": None},
        (X, 1e150 * y),
        "The loss became non-finite in epoch 4.",
    ),
}


def assert_failure_changes_nothing(method, change, arguments, start_of_message):
    model = tiny(warm_start=True).fit(X, y)
    params, before = model.get_params(), copy.deepcopy(model)
    attributes = dict(vars(model))

    with pytest.raises(
        (ValueError, RuntimeError), match=f"^{re.escape(start_of_message)}"
    ):
        getattr(model.set_params(**change), method)(*arguments)

    model.set_params(**params)
    assert vars(model) == attributes
    assert_same_model(model, before)
    assert_same_model(model.fit(X, y), before.fit(X, y))


@pytest.mark.parametrize("failure", FAILURES)
def test_failed_warm_start_leaves_the_earlier_fit_unchanged(failure):
    assert_failure_changes_nothing("fit", *FAILURES[failure])


@pytest.mark.parametrize("failure", ["shape of targets", "failing callback"])
def test_failed_partial_fit_leaves_the_earlier_fit_unchanged(failure):
    assert_failure_changes_nothing("partial_fit", *FAILURES[failure])


@pytest.mark.parametrize(
    "sequences",
    [X[:, :, 0], np.dstack([X, X]), pd.DataFrame(X[:, :, 0]).add_prefix("step")],
    ids=["2-D", "more features", "DataFrame"],
)
def test_failed_new_fit_leaves_the_earlier_fit_unchanged(sequences):
    model = tiny().fit(X, y)
    params, before = model.get_params(), copy.deepcopy(model)
    attributes = dict(vars(model))

    with raises(RuntimeError, "planned failure"):
        model.set_params(callbacks=[Fail()]).fit(sequences, np.c_[y, y])

    model.set_params(**params)
    assert vars(model) == attributes
    assert_same_model(model, before)


@pytest.mark.parametrize(
    ("params", "arguments"),
    [
        ({"callbacks": [Fail()]}, {}),
        ({}, {"y": nan_in(y)}),
        ({}, {"y": None}),
        ({}, {"X_val": np.dstack([X, X]), "y_val": y}),
    ],
    ids=["callback", "NaN in y", "no y", "features of X_val"],
)
def test_failed_first_fit_sets_nothing(params, arguments):
    model = tiny(**params)
    expected = model.get_params()

    with pytest.raises((RuntimeError, ValueError), match=r"\w"):
        model.fit(**{"X": X, "y": y} | arguments)

    assert vars(model) == expected


def test_invalid_validation_data_is_named():
    message = (
        "X_val is invalid: X has 3 features, but RNNRegressor is expecting 4 features "
        "as input."
    )
    with raises(ValueError, message):
        tiny().fit(X[:, :, 0], y, X_val=X[:, :3, 0], y_val=y)


# A loss that is not finite


class CountEpochs(Callback):
    """Count the epochs that were started."""

    n_epochs = 0  # of the class, since `fit` copies callbacks

    def on_epoch_begin(self, net, **kwargs):
        CountEpochs.n_epochs = len(net.history)


DIVERGING = dict(nonlinearity="relu", lr=1e30, lr_schedule=None, max_epochs=9)
LONG = np.random.default_rng(0).normal(size=(20, 40, 3))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_non_finite_loss_is_an_error_that_names_the_epoch(dtype):
    model = tiny(**DIVERGING, callbacks=[CountEpochs()])

    with pytest.raises(ValueError, match=r"^The loss became") as caught:
        model.fit(LONG.astype(dtype), y)

    assert str(caught.value) == (
        f"The loss became non-finite in epoch {CountEpochs.n_epochs}. Scale X, or "
        "lower lr (now 1e+30)."
    )
    assert vars(model) == model.get_params()


@pytest.mark.parametrize(
    ("cls", "target"), [(RNNRegressor, y), (RNNClassifier, labels)]
)
def test_weights_that_the_last_step_made_non_finite_do_not_predict_silently(
    cls, target
):
    # The loss of a batch is that before its step, so one epoch of one batch succeeds.
    model = tiny(cls, **DIVERGING | {"max_epochs": 1, "batch_size": 20})
    try:
        actual = outputs(model.fit(LONG, target), LONG)
    except ValueError:
        return
    assert np.isfinite(actual).all()


@pytest.mark.parametrize(
    "params",
    [
        {"batch_size": 8},
        {"batch_size": 8, "pooling": "attention"},
        {"batch_size": 8, "optimizer": "lbfgs"},
        {"batch_size": 8, "tbptt_steps": 5},
        {"batch_size": 8, "initial_state": "carry"},
        {"batch_size": 8, "n_members": 3, "n_jobs": 2},
        {"batch_size": 8, "early_stopping": True},
    ],
    ids=lambda params: "-".join(map(str, params.values())),
)
@pytest.mark.parametrize("method", ["fit", "partial_fit"])
def test_every_way_of_training_names_epoch_and_remedy(params, method):
    model = tiny(**DIVERGING | {"max_epochs": 2} | params)

    message = "The loss became non-finite in epoch 1. Scale X, or lower lr (now 1e+30)."
    with raises(ValueError, message):
        getattr(model, method)(LONG, y)

    assert vars(model) == model.get_params()


def test_a_fold_that_diverges_ends_the_fit():
    windows = np.random.default_rng(0).normal(size=(60, 40, 2))
    model = tiny(**DIVERGING, n_jobs=2)

    message = "The loss became non-finite in epoch 1. Scale X, or lower lr (now 1e+30)."
    with raises(ValueError, message):
        model.fit(windows, windows[:, :, 0].sum(axis=1))

    assert vars(model) == model.get_params()


@pytest.mark.parametrize("params", [{}, {"pooling": "attention"}])
@pytest.mark.parametrize(
    ("sequences", "target"), [(1e300 * LONG, y), (LONG, 1e200 * y)], ids=["X", "y"]
)
def test_non_finite_validation_loss_is_an_error_of_its_own(params, sequences, target):
    model = tiny(nonlinearity="relu", **params)

    message = (
        "The validation loss became non-finite in epoch 1. Give the validation rows "
        "the scale of the others, or lower lr (now 0.01)."
    )
    with raises(ValueError, message):
        model.fit(LONG, y, X_val=sequences, y_val=target)

    assert vars(model) == model.get_params()


# A callback that fails


class FailIn(Callback):
    """Raise in one hook; without hooks of batches if it is not one of them."""

    def __new__(cls, hook):
        def fail(self, *args, **kwargs):
            raise RuntimeError(f"planned failure in {hook}")

        return super().__new__(type(cls.__name__, (cls,), {hook: fail}))

    def __init__(self, hook):
        self.hook = hook

    def __reduce__(self):
        return FailIn, (self.hook,)


@pytest.mark.parametrize(
    "params", [{}, {"n_members": 2}, {"n_members": 3, "n_jobs": 2}]
)
@pytest.mark.parametrize(
    "hook",
    [
        "initialize",
        "on_train_begin",
        "on_epoch_begin",
        "on_batch_begin",
        "on_grad_computed",
        "on_batch_end",
        "on_epoch_end",
        "on_train_end",
    ],
)
def test_no_error_of_a_callback_is_swallowed(hook, params):
    n_threads = threading.active_count()
    model = tiny(callbacks=[FailIn(hook)], **params)

    with pytest.raises(RuntimeError, match=rf"^planned failure in {hook}$"):
        model.fit(X, y)

    assert vars(model) == model.get_params()
    assert threading.active_count() == n_threads


# Memory of an accelerator that does not suffice


class Memory:
    """Stands for the memory of a device, in which no more than some rows fit."""

    def __init__(self, monkeypatch, n_rows):
        self.n_rows = n_rows
        self.sizes = []
        original = RecurrentModule.encode_inputs

        def encode_inputs(module, values, *args, **kwargs):
            self.sizes.append(len(values))
            if len(values) > self.n_rows:
                raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate")
            return original(module, values, *args, **kwargs)

        monkeypatch.setattr(RecurrentModule, "encode_inputs", encode_inputs)


MANY = np.random.default_rng(0).normal(size=(70, 5, 2))
MANY_RAGGED = [row[: 1 + i % 5] for i, row in enumerate(MANY)]


def flatten(value):
    if isinstance(value, tuple) or value.dtype == object:
        return np.concatenate([flatten(part) for part in value])
    return value.ravel()


@pytest.mark.parametrize("n_rows", [40, 7, 1])
@pytest.mark.parametrize("sequences", [MANY, MANY_RAGGED], ids=["dense", "ragged"])
def test_prediction_goes_on_in_smaller_batches(sequences, n_rows, monkeypatch):
    model = RNNClassifier(hidden_size=4, max_epochs=2, pooling="attention")
    model.fit(MANY, np.arange(70) % 3)
    names = "predict_proba", "hidden_states", "attention_weights"
    expected = {name: getattr(model, name)(sequences) for name in names}
    memory = Memory(monkeypatch, n_rows)

    for name in names:
        memory.sizes.clear()
        actual = getattr(model, name)(sequences)
        np.testing.assert_allclose(flatten(actual), flatten(expected[name]), rtol=1e-9)
        fitting = [size for size in memory.sizes if size <= n_rows]
        assert sum(fitting) >= 70
        assert 2 * max(fitting) > n_rows
        assert len(memory.sizes) - len(fitting) <= 7  # halved, and not tried again


def test_prediction_that_does_not_fit_row_by_row_is_an_error(monkeypatch):
    model = tiny(pooling="attention").fit(X, y)
    Memory(monkeypatch, 0)

    message = (
        "A sequence must fit in the memory of the device. Got one of 4 time steps. "
        "Predict shorter sequences, or fit with a smaller hidden_size or device='cpu'."
    )
    with raises(torch.OutOfMemoryError, message):
        model.predict(X)


@pytest.mark.parametrize("params", [{}, {"n_members": 3, "n_jobs": 2}])
def test_training_that_does_not_fit_in_memory_names_what_to_lower(params, monkeypatch):
    model = tiny(pooling="attention", **params)
    Memory(monkeypatch, 7)

    message = (
        "Training must fit in the memory of the device, cpu. Got batch_size=8 and "
        "hidden_size=4. Lower them, or set device='cpu'."
    )
    with raises(torch.OutOfMemoryError, message):
        model.fit(X, y)

    assert vars(model) == model.get_params()
    assert model.set_params(batch_size=7).fit(X, y).n_iter_ == 3
