"""Early stopping."""

import math

import numpy as np
import pytest
from sklearn.metrics import log_loss
from training_data import (
    TARGETS,
    X,
    draw_X,
    make_model,
    overfit,
    y,
)

# -- early stopping


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
