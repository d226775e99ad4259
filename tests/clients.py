"""Sequences in every form, and plain loops to compare scikit-learn's clients with."""

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.metrics import r2_score

from skrnn import RNNRegressor

N_ROWS, N_STEPS, N_FEATURES = 30, 6, 2
VALUES = np.random.default_rng(0).normal(size=(N_ROWS, N_STEPS, N_FEATURES))
LENGTHS = np.random.default_rng(1).integers(3, N_STEPS + 1, size=N_ROWS)
RAGGED = [row[:length] for row, length in zip(VALUES, LENGTHS, strict=True)]
NUMBERS = 10 * VALUES[:, 0, 0] + VALUES[:, 1, 1] + 50
WORDS = np.array(["down", "flat", "up"])[np.random.default_rng(2).permutation(30) % 3]
WEIGHTS = np.random.default_rng(3).uniform(0.1, 2, size=N_ROWS)


def object_array(rows):
    cells = np.empty(len(rows), dtype=object)
    for i, row in enumerate(rows):
        cells[i] = row
    return cells


INPUTS = {
    "2-D": VALUES[:, :, 0],
    "3-D": VALUES,
    "list": RAGGED,
    "tuple": tuple(RAGGED),
    "list of lists": [row.tolist() for row in RAGGED],
    "object array": object_array(RAGGED),
    "frame": pd.DataFrame(VALUES[:, :, 0], columns=[f"lag_{i}" for i in range(6)]),
}


def over_inputs(*names):
    """Parametrise a test over some forms of X, or all."""
    names = names or INPUTS
    return pytest.mark.parametrize("X", [INPUTS[name] for name in names], ids=names)


def small(cls=RNNRegressor, **parameters):
    """Return an estimator that is quick to fit."""
    defaults = {"hidden_size": 4, "max_epochs": 2, "random_state": 0}
    return cls(**defaults | parameters)


def take(X, rows):
    """Return some rows of X in the form that X has."""
    if isinstance(X, pd.DataFrame):
        return X.iloc[rows]
    return X[rows] if isinstance(X, np.ndarray) else [X[i] for i in rows]


def loop_predict(model, X, y, splitter, method="predict"):
    """Predict every row by a model that was fitted on the other folds."""
    predictions = [None] * len(y)
    for train, test in splitter.split(np.zeros(len(y)), y):
        fitted = clone(model).fit(take(X, train), y[train])
        for row, value in zip(
            test, getattr(fitted, method)(take(X, test)), strict=True
        ):
            predictions[row] = value
    return np.array(predictions)


def loop_score(model, X, y, splitter, metric=r2_score):
    """Score a model on each fold after a fit on the others."""
    scores = []
    for train, test in splitter.split(np.zeros(len(y)), y):
        fitted = clone(model).fit(take(X, train), y[train])
        scores.append(metric(y[test], fitted.predict(take(X, test))))
    return np.array(scores)


def split_scores(search):
    """Return the test scores of a search, `(n_splits, n_candidates)`."""
    names = [name for name in search.cv_results_ if name.startswith("split")]
    return np.array([search.cv_results_[name] for name in sorted(names)])
