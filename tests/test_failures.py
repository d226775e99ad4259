import copy
import re

import numpy as np
import pandas as pd
import pytest
from estimators import (
    TINY,
    WEIGHTS,
    Fail,
    X,
    assert_same_model,
    y,
)

from skrnn import (
    RNNRegressor,
)


def nan_in(X):
    X = X.copy()
    X[3, 2, 1] = np.nan
    return X


# Parameters, arguments, and how the message begins.
FAILURES = {
    "NaN in X": ({}, (nan_in(X), y), "Input X contains NaN."),
    "too few targets": ({}, (X, y[:-1]), "Found input variables with inconsistent"),
    "more features": ({}, (np.dstack([X, X]), y), "X has 4 features per time step"),
    "shape of targets": ({}, (X, np.c_[y, y]), "y must have as many outputs as"),
    "negative weights": ({}, (X, y, -WEIGHTS), "sample_weight must not be negative"),
    "unknown cell": ({"cell_type": "gnu"}, (X, y), "The 'cell_type' parameter of"),
    "contradiction": (
        {"cell_type": "gru", "nonlinearity": "relu"},
        (X, y),
        "The 'nonlinearity' parameter of RNNRegressor must be 'tanh'",
    ),
    "another network": ({"hidden_size": 5}, (X, y), "The 'hidden_size' parameter must"),
    "unknown device": ({"device": "abacus"}, (X, y), "The 'device' parameter must"),
    "failing callback": ({"callbacks": [Fail(epoch=4)]}, (X, y), "as planned"),
    "exploding loss": (
        {"optimizer": "sgd", "lr": 1e300, "lr_schedule": None, "max_grad_norm": None},
        (X, 1e150 * y),
        "The loss became non-finite in epoch 4.",
    ),
}


@pytest.mark.parametrize("again", ["fit", "partial_fit"])
@pytest.mark.parametrize("failure", FAILURES)
def test_failure_leaves_the_earlier_model_as_it_was(failure, again):
    change, arguments, beginning = FAILURES[failure]
    model = RNNRegressor(**TINY, warm_start=True).fit(X, y)
    params, before = model.get_params(), copy.deepcopy(model)
    attributes = dict(vars(model))

    error = RuntimeError if failure == "failing callback" else ValueError
    with pytest.raises(error, match=f"^{re.escape(beginning)}"):
        getattr(model.set_params(**change), again)(*arguments)

    model.set_params(**params)
    assert vars(model) == attributes
    assert_same_model(model, before)
    assert_same_model(model.fit(X, y), before.fit(X, y))


@pytest.mark.parametrize(
    "sequences",
    [X[:, :, 0], np.dstack([X, X]), pd.DataFrame(X[:, :, 0]).add_prefix("step")],
    ids=["2-D", "more features", "DataFrame"],
)
def test_new_fit_that_fails_leaves_the_earlier_model_as_it_was(sequences):
    model = RNNRegressor(**TINY).fit(X, y)
    params, before = model.get_params(), copy.deepcopy(model)
    attributes = dict(vars(model))

    with pytest.raises(RuntimeError, match=r"^as planned$"):
        model.set_params(callbacks=[Fail()]).fit(sequences, np.c_[y, y])

    model.set_params(**params)
    assert vars(model) == attributes
    assert_same_model(model, before)


def test_first_fit_that_fails_leaves_nothing():
    model = RNNRegressor(**TINY, callbacks=[Fail()])
    params = model.get_params()

    with pytest.raises(RuntimeError, match=r"^as planned$"):
        model.fit(X, y)

    assert vars(model) == params
