"""Cross-validation and searches of scikit-learn, compared with plain loops."""

import joblib
import numpy as np
import pytest
from clients import (
    INPUTS,
    N_ROWS,
    NUMBERS,
    RAGGED,
    VALUES,
    WORDS,
    loop_predict,
    loop_score,
    over_inputs,
    small,
    split_scores,
    take,
)
from numpy.testing import assert_allclose, assert_array_equal
from scipy import stats
from sklearn.exceptions import FitFailedWarning
from sklearn.metrics import log_loss
from sklearn.model_selection import (
    GridSearchCV,
    GroupKFold,
    KFold,
    RandomizedSearchCV,
    StratifiedKFold,
    cross_val_predict,
    cross_val_score,
    cross_validate,
    validation_curve,
)

from skrnn import BiRNNClassifier, RNNClassifier

SHUFFLED = KFold(3, shuffle=True, random_state=0)


@over_inputs()
def test_cross_val_score_is_that_of_a_loop_over_folds(X):
    actual = cross_val_score(small(), X, NUMBERS, cv=SHUFFLED, error_score="raise")

    assert_array_equal(actual, loop_score(small(), X, NUMBERS, SHUFFLED))


@over_inputs("3-D", "list")
def test_cross_val_predict_keeps_the_order_of_rows(X):
    model = small(BiRNNClassifier)

    actual = cross_val_predict(model, X, WORDS, cv=SHUFFLED)
    assert_array_equal(actual, loop_predict(model, X, WORDS, SHUFFLED))


@pytest.mark.parametrize("method", ["predict_proba", "predict_log_proba"])
def test_cross_val_predict_returns_probabilities(method):
    model = small(RNNClassifier)

    actual = cross_val_predict(model, RAGGED, WORDS, cv=3, method=method)
    expected = loop_predict(model, RAGGED, WORDS, StratifiedKFold(3), method)
    assert_array_equal(actual, expected)


def test_cross_val_predict_keeps_the_shape_of_several_outputs():
    y = np.stack([NUMBERS, -NUMBERS], axis=1)

    actual = cross_val_predict(small(), VALUES, y, cv=KFold(2))
    assert_array_equal(actual, loop_predict(small(), VALUES, y, KFold(2)))


def test_scorers_are_found_by_name():
    model, scoring = small(RNNClassifier), ["accuracy", "neg_log_loss", "roc_auc_ovr"]

    scores = cross_validate(
        model, RAGGED, WORDS, cv=2, scoring=scoring, return_estimator=True
    )
    _, test = list(StratifiedKFold(2).split(WORDS, WORDS))[1]
    probabilities = scores["estimator"][1].predict_proba(take(RAGGED, test))
    expected = -log_loss(WORDS[test], probabilities)
    assert_allclose(scores["test_neg_log_loss"][1], expected, rtol=1e-10)


def test_folds_of_one_length_each_remain_ragged():
    X = [row[:length] for row, length in zip(VALUES, [3] * 15 + [5] * 15, strict=True)]
    folds = KFold(2)  # one length in training, another in the test

    actual = cross_val_predict(small(), X, NUMBERS, cv=folds)
    assert_array_equal(actual, loop_predict(small(), X, NUMBERS, folds))


def test_groups_can_be_passed_to_the_splitter():
    groups = np.arange(N_ROWS) // 6

    scores = cross_val_score(
        small(), RAGGED, NUMBERS, groups=groups, cv=GroupKFold(5), error_score="raise"
    )
    assert np.isfinite(scores).all()


def test_validation_curve_over_epochs_is_that_of_separate_fits():
    epochs = [1, 4]

    _, actual = validation_curve(
        small(),
        RAGGED,
        NUMBERS,
        param_name="max_epochs",
        param_range=epochs,
        cv=KFold(2),
    )
    for row, n in zip(actual, epochs, strict=True):
        expected = loop_score(small(max_epochs=n), RAGGED, NUMBERS, KFold(2))
        assert_array_equal(row, expected)


# Searches

GRID = {"hidden_size": [2, (3, 2)], "cell_type": ["rnn", "gru"]}


def search(grid=GRID, **options):
    return GridSearchCV(small(), grid, cv=KFold(2), error_score="raise", **options)


@over_inputs("2-D", "list")
def test_grid_search_scores_candidates_like_a_loop_and_refits_the_best(X):
    fitted = search().fit(X, NUMBERS)

    for i, candidate in enumerate(fitted.cv_results_["params"]):
        expected = loop_score(small(**candidate), X, NUMBERS, KFold(2))
        assert_array_equal(split_scores(fitted)[:, i], expected)
    best = small(**fitted.best_params_).fit(X, NUMBERS)
    assert_array_equal(fitted.predict(X), best.predict(X))
    assert fitted.score(X, NUMBERS) == best.score(X, NUMBERS)


@pytest.mark.parametrize(
    "backend", ["threading", pytest.param("loky", marks=pytest.mark.slow)]
)
def test_parallel_search_has_the_scores_of_a_sequential_one(backend):
    expected = split_scores(search().fit(RAGGED, NUMBERS))

    with joblib.parallel_config(backend, n_jobs=2):
        assert_array_equal(split_scores(search().fit(RAGGED, NUMBERS)), expected)


def test_randomized_search_draws_from_distributions():
    X = INPUTS["frame"]
    draws = {"lr": stats.loguniform(1e-4, 1e-1), "hidden_size": stats.randint(2, 5)}

    fitted = RandomizedSearchCV(
        small(), draws, n_iter=3, cv=2, random_state=0, error_score="raise"
    ).fit(X, NUMBERS)
    best = small(**fitted.best_params_).fit(X, NUMBERS)
    assert_array_equal(fitted.predict(X), best.predict(X))


def test_fitted_search_can_be_stored_with_joblib(tmp_path):
    fitted = search().fit(RAGGED, NUMBERS)
    joblib.dump(fitted, tmp_path / "search.joblib")

    loaded = joblib.load(tmp_path / "search.joblib")
    assert_array_equal(loaded.predict(RAGGED), fitted.predict(RAGGED))
    assert_array_equal(split_scores(loaded), split_scores(fitted))
    assert loaded.best_params_ == fitted.best_params_


def test_invalid_candidate_scores_nan_and_the_search_continues():
    grid = {"lr": [1e-3, -1.0]}
    failing = GridSearchCV(small(), grid, cv=2, error_score=np.nan)

    failed = pytest.warns(FitFailedWarning, match="2 fits failed out of a total of 4")
    with failed, pytest.warns(UserWarning, match="test scores are non-finite"):
        failing.fit(INPUTS["2-D"], NUMBERS)
    assert_array_equal(np.isnan(failing.cv_results_["mean_test_score"]), [False, True])
    assert failing.best_params_ == {"lr": 1e-3}
