"""A warning about training that has not learned anything."""

import re
import warnings

import numpy as np
import pytest
from sklearn.dummy import DummyClassifier
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import log_loss, mean_pinball_loss

from skrnn import RNNClassifier, RNNRegressor
from skrnn._training.convergence import constant_loss

SMALL = dict(hidden_size=8, random_state=0)
rng = np.random.default_rng(0)
X = rng.normal(size=(64, 6, 2))
Y = X[:, :, 0].sum(axis=1)
LABELS = np.array(["a", "b", "c"])[np.digitize(Y, [-2, 1])]
PLAIN = SMALL | {"ar_order": 0}


@pytest.mark.parametrize(
    ("model", "y"),
    [
        (RNNRegressor(**PLAIN, lr=300.0), Y),
        (RNNRegressor(**PLAIN, lr=300.0, loss="quantile"), Y),
        (RNNClassifier(**SMALL, lr=300.0), LABELS),
        (RNNClassifier(**SMALL, lr=300.0), LABELS == "a"),
    ],
    ids=["regression", "quantiles", "classes", "two classes"],
)
def test_a_rate_that_is_too_high_is_named(model, y):
    with pytest.warns(ConvergenceWarning) as caught:
        model.fit(X, y)
    (warning,) = caught
    assert warning.filename == __file__
    final = re.escape(f"{model.loss_curve_[-1]:.3g}")
    assert re.fullmatch(
        r"The loss after 60 epochs must be below that of a constant prediction, \S+\. "
        rf"Got {final}: the network has not learned anything\. Try another lr \(now "
        r"300\.0\), or more epochs\.",
        str(warning.message),
    )


@pytest.mark.parametrize(
    "model",
    [
        RNNRegressor(**PLAIN),
        RNNRegressor(**PLAIN, max_epochs=3, lr=30.0),  # too early to tell
        RNNRegressor(**SMALL | {"ar_order": 12}, lr=300.0),  # the linear model is left
        RNNRegressor(**PLAIN, lr=300.0, early_stopping=True),  # early weights are left
    ],
    ids=["learns", "few epochs", "linear model", "early stopping"],
)
def test_other_fits_are_silent(model):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model.fit(X if model.ar_order == 0 else X[:, :, 0], Y)


def test_a_constant_that_cannot_be_improved_is_no_failure():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        RNNClassifier(**SMALL, max_epochs=30).fit(
            X, np.arange(64) > 0, sample_weight=np.append(1e-9, np.ones(63))
        )


def constant_of(model, y, weights):
    """Return the loss of a constant for the targets of a fitted model."""
    model.fit(X, y, weights)
    encoded = model._encoder.encode(
        model._check_samples(X, y, weights, None, reset=False)
    )
    dataset = model.net_.make_dataset(encoded, np.arange(len(X)))
    return constant_loss(model.net_.target, dataset)


@pytest.mark.parametrize("weights", [None, rng.uniform(0.5, 2, 64)])
def test_the_loss_of_a_constant_is_that_of_scikit_learn(weights):
    quick = SMALL | {"max_epochs": 1}
    assert constant_of(RNNRegressor(**quick), Y, weights) == pytest.approx(1)
    for y in (LABELS, LABELS == "a"):
        prior = DummyClassifier(strategy="prior").fit(X, y, weights)
        expected = log_loss(y, prior.predict_proba(X), sample_weight=weights)
        found = constant_of(RNNClassifier(**quick), y, weights)
        assert found == pytest.approx(expected)
    model = RNNRegressor(**quick, loss="quantile", quantiles=(0.2, 0.5))
    found = constant_of(model, Y, weights)
    mean = np.average(Y, weights=weights)
    deviation = np.sqrt(np.average((Y - mean) ** 2, weights=weights))
    best = np.mean(
        [
            min(
                mean_pinball_loss(Y, np.full(64, c), alpha=level, sample_weight=weights)
                for c in Y
            )
            for level in (0.2, 0.5)
        ]
    )
    assert found == pytest.approx(best / deviation, rel=0.02)
