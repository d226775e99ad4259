"""Early stopping."""

import math

import numpy as np
import pytest
from sklearn.metrics import log_loss

from skrnn import RNNClassifier, RNNRegressor

N_ROWS, N_STEPS, N_FEATURES = 20, 4, 2


LENGTHS = np.random.default_rng(1).integers(1, N_STEPS + 1, N_ROWS)


TINY = dict(hidden_size=4, max_epochs=3, random_state=0)


def draw_X(ragged=False, seed=0):
    """Return sequences whose first value is a tenth of their row number."""
    X = np.random.default_rng(seed).normal(size=(N_ROWS, N_STEPS, N_FEATURES))
    X[:, 0, 0] = np.arange(N_ROWS) / 10
    if ragged:
        return [row[:length] for row, length in zip(X, LENGTHS, strict=True)]
    return X


X = draw_X()


NOISE = np.random.default_rng(2).normal(size=(N_ROWS, 2))


TARGETS = {
    "squared_error": 5 + 3 * NOISE[:, 0],
    "absolute_error": 5 + 3 * NOISE[:, 0],
    "huber": 5 + 3 * NOISE[:, 0],
    "two outputs": [5, -50] + [3, 70] * NOISE,
    "binary": np.where(NOISE[:, 0] > 0, "b", "a"),
    "multi-class": np.array(["z", "x", "y"])[np.arange(N_ROWS) % 3],
    "multilabel": (NOISE > 0).astype(int),
}


y = TARGETS["squared_error"]


def make_model(task, **params):
    if task in ("binary", "multi-class", "multilabel"):
        return RNNClassifier(**(TINY | params))
    loss = "squared_error" if task == "two outputs" else task
    return RNNRegressor(**(TINY | {"loss": loss} | params))


# -- early stopping
def overfit(**params):
    """Fit noise, with other noise to validate on."""
    model = RNNRegressor(
        **TINY
        | dict(max_epochs=30, lr=0.03, lr_schedule=None, early_stopping=True)
        | params
    )
    return model.fit(X, y, X_val=draw_X(seed=5), y_val=y[::-1].copy())


def test_early_stopping_restores_the_best_weights_of_a_regressor():
    model = overfit(patience=3)

    error = model.predict(draw_X(seed=5)) - y[::-1]
    best = min(model.validation_loss_curve_)
    assert np.mean((error / y.std()) ** 2) == pytest.approx(best, rel=1e-12)
    assert model.best_epoch_ == 1 + model.validation_loss_curve_.index(best)
    assert model.best_epoch_ < model.n_iter_ == len(model.validation_loss_curve_)


@pytest.mark.parametrize("task", ["binary", "multi-class"])
def test_early_stopping_restores_the_best_weights_of_a_classifier(task):
    target = TARGETS[task]
    X_val, y_val = draw_X(seed=5), target[::-1]
    model = make_model(
        task, max_epochs=30, lr=0.1, early_stopping=True, patience=5
    ).fit(X, target, X_val=X_val, y_val=y_val)

    best = min(model.validation_loss_curve_)
    loss = log_loss(y_val, model.predict_proba(X_val), labels=model.classes_)
    assert loss == pytest.approx(best, rel=1e-12)
    assert model.best_epoch_ == 1 + model.validation_loss_curve_.index(best)
    assert model.best_epoch_ < model.n_iter_


@pytest.mark.parametrize(
    ("patience", "tol"), [(1, 0.0), (2, 0.02), (5, 1e-4), (2, 1e6)]
)
def test_patience_counts_epochs_without_an_improvement_above_tol(patience, tol):
    whole_curve = overfit(patience=1000).validation_loss_curve_
    best, misses = math.inf, 0
    for n_epochs, loss in enumerate(whole_curve, 1):  # noqa: B007 - used below
        improved = best - loss > tol
        best, misses = (loss, 0) if improved else (best, misses + 1)
        if misses == patience:
            break

    model = overfit(patience=patience, tol=tol)

    assert model.n_iter_ == n_epochs
    assert model.validation_loss_curve_ == whole_curve[:n_epochs]


def test_an_improvement_below_tol_is_restored_but_does_not_reset_patience():
    model = overfit(patience=4, tol=1e6)

    curve = model.validation_loss_curve_
    assert model.n_iter_ == 5
    assert model.best_epoch_ == 1 + curve.index(min(curve)) > 1


def test_validation_data_without_early_stopping_only_records_the_loss():
    stopped, recorded = overfit(patience=1), overfit(early_stopping=False)

    assert stopped.n_iter_ < recorded.n_iter_ == 30
    assert recorded.best_epoch_ is None
    assert (
        recorded.validation_loss_curve_[: stopped.n_iter_]
        == stopped.validation_loss_curve_
    )
