import numpy as np
import pytest
from clients import (
    ESTIMATORS,
    N_ROWS,
    NUMBERS,
    VALUES,
    WORDS,
    every_input,
    predict_by_hand,
    score_by_hand,
    small,
    take,
    targets_for,
    without_axis_limit,
)
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone
from sklearn.metrics import accuracy_score, log_loss
from sklearn.model_selection import (
    GroupKFold,
    KFold,
    StratifiedKFold,
    cross_val_predict,
    cross_val_score,
    cross_validate,
    validation_curve,
)

from skrnn import BiRNNClassifier, RNNClassifier, RNNRegressor

# Clones


@pytest.mark.parametrize("cls", ESTIMATORS)
@every_input
def test_a_clone_learns_the_same(X, cls):
    model = small(cls).fit(X, targets_for(cls))

    again = clone(model).fit(X, targets_for(cls))
    assert_array_equal(again.predict(X), model.predict(X))


# Cross-validation


@every_input
def test_cross_val_score_is_that_of_a_loop_over_the_folds(X):
    folds = KFold(3, shuffle=True, random_state=0)

    actual = cross_val_score(small(), X, NUMBERS, cv=folds, error_score="raise")
    assert_array_equal(actual, score_by_hand(small(), X, NUMBERS, folds))


@every_input
def test_cross_val_score_of_a_classifier_is_that_of_a_loop(X):
    model, folds = small(RNNClassifier), StratifiedKFold(3)

    actual = cross_val_score(model, X, WORDS, cv=3, error_score="raise")
    assert_array_equal(actual, score_by_hand(model, X, WORDS, folds, accuracy_score))


@pytest.mark.parametrize("cls", [RNNRegressor, BiRNNClassifier])
@every_input
def test_cross_val_predict_keeps_the_order_of_the_rows(X, cls):
    model, y, folds = small(cls), targets_for(cls), KFold(3, shuffle=True)
    folds.random_state = 0

    actual = cross_val_predict(model, X, y, cv=folds)
    assert_array_equal(actual, predict_by_hand(model, X, y, folds))


@pytest.mark.parametrize("method", ["predict_proba", "predict_log_proba"])
@every_input
def test_cross_val_predict_gives_probabilities(X, method):
    model, folds = small(RNNClassifier), StratifiedKFold(3)

    actual = cross_val_predict(model, X, WORDS, cv=folds, method=method)
    assert_array_equal(actual, predict_by_hand(model, X, WORDS, folds, method))


@every_input
def test_cross_val_predict_keeps_the_shape_of_several_targets(X):
    y, folds = np.stack([NUMBERS, -NUMBERS], axis=1), KFold(2)

    actual = cross_val_predict(small(), X, y, cv=folds)
    assert_array_equal(actual, predict_by_hand(small(), X, y, folds))


@without_axis_limit
def test_scorers_are_found_by_name(X):
    model, scoring = small(RNNClassifier), ["accuracy", "neg_log_loss", "roc_auc_ovr"]

    scores = cross_validate(
        model, X, WORDS, cv=2, scoring=scoring, return_estimator=True
    )
    _, test = list(StratifiedKFold(2).split(WORDS, WORDS))[1]
    probabilities = scores["estimator"][1].predict_proba(take(X, test))
    expected = -log_loss(WORDS[test], probabilities)
    assert_allclose(scores["test_neg_log_loss"][1], expected, rtol=1e-10)


def test_folds_whose_lengths_happen_to_agree_stay_ragged():
    X = [row[:length] for row, length in zip(VALUES, [3] * 15 + [5] * 15, strict=True)]
    folds = KFold(2)  # one length in training, another in the test

    actual = cross_val_predict(small(), X, NUMBERS, cv=folds)
    assert_array_equal(actual, predict_by_hand(small(), X, NUMBERS, folds))


@without_axis_limit
def test_groups_stay_together(X):
    groups = np.arange(N_ROWS) // 6

    scores = cross_val_score(
        small(), X, NUMBERS, groups=groups, cv=GroupKFold(5), error_score="raise"
    )
    assert np.isfinite(scores).all()


@without_axis_limit
def test_a_validation_curve_over_epochs_is_that_of_separate_fits(X):
    folds, epochs = KFold(2), [1, 4]

    _, actual = validation_curve(
        small(), X, NUMBERS, param_name="max_epochs", param_range=epochs, cv=folds
    )
    for row, n in zip(actual, epochs, strict=True):
        expected = score_by_hand(small(max_epochs=n), X, NUMBERS, folds)
        assert_array_equal(row, expected)
