"""Data in every form that the estimators accept, and loops to compare clients with."""

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.metrics import r2_score
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler

from skrnn import BiRNNClassifier, RNNClassifier, RNNRegressor, SlidingWindow

N_ROWS, N_STEPS, N_FEATURES = 30, 6, 2
VALUES = np.random.default_rng(0).normal(size=(N_ROWS, N_STEPS, N_FEATURES))
LENGTHS = np.random.default_rng(1).integers(3, N_STEPS + 1, size=N_ROWS)
RAGGED = [row[:length] for row, length in zip(VALUES, LENGTHS, strict=True)]
NUMBERS = 10 * VALUES[:, 0, 0] + VALUES[:, 1, 1] + 50
WORDS = np.array(["down", "flat", "up"])[np.random.default_rng(2).permutation(30) % 3]
ESTIMATORS = [RNNRegressor, RNNClassifier, BiRNNClassifier]


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


every_input = pytest.mark.parametrize("X", INPUTS.values(), ids=INPUTS)
without_axis_limit = pytest.mark.parametrize(
    "X", [INPUTS["2-D"], INPUTS["3-D"], INPUTS["list"]], ids=["2-D", "3-D", "list"]
)


def small(cls=RNNRegressor, **parameters):
    """Return an estimator that is quick to fit."""
    defaults = {"hidden_size": 4, "max_epochs": 3, "random_state": 0}
    return cls(**defaults | parameters)


def take(X, rows):
    """Return some rows of X in the form that X has."""
    if isinstance(X, pd.DataFrame):
        return X.iloc[rows]
    return X[rows] if isinstance(X, np.ndarray) else [X[i] for i in rows]


def targets_for(cls):
    return NUMBERS if cls is RNNRegressor else WORDS


def predict_by_hand(model, X, y, splitter, method="predict"):
    """Predict every row by a model that was fitted on the other folds."""
    answers = [None] * len(y)
    for train, test in splitter.split(np.zeros(len(y)), y):
        fitted = clone(model).fit(take(X, train), y[train])
        of_fold = getattr(fitted, method)(take(X, test))
        for row, answer in zip(test, of_fold, strict=True):
            answers[row] = answer
    return np.array(answers)


def score_by_hand(model, X, y, splitter, metric=r2_score):
    """Score a model on each fold after a fit on the others."""
    scores = []
    for train, test in splitter.split(np.zeros(len(y)), y):
        fitted = clone(model).fit(take(X, train), y[train])
        scores.append(metric(y[test], fitted.predict(take(X, test))))
    return np.array(scores)


def split_scores(fitted):
    names = [name for name in fitted.cv_results_ if name.startswith("split")]
    return np.array([fitted.cv_results_[name] for name in sorted(names)])


SERIES = np.cumsum(np.random.default_rng(4).normal(size=(60, 2)), axis=0)


def windows_pipeline(**parameters):
    window = SlidingWindow(window_size=4)
    steps = [("scale", StandardScaler()), ("window", window), ("rnn", small())]
    return Pipeline(steps).set_params(**parameters)
