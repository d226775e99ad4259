"""A fit that fails leaves the estimator unchanged."""

import copy
import re

import numpy as np
import pandas as pd
import pytest
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
