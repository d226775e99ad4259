import joblib
import numpy as np
import pytest
from clients import (
    INPUTS,
    NUMBERS,
    RAGGED,
    every_input,
    score_by_hand,
    small,
    split_scores,
    without_axis_limit,
)
from numpy.testing import assert_array_equal
from scipy import stats
from sklearn.exceptions import FitFailedWarning
from sklearn.model_selection import (
    GridSearchCV,
    KFold,
    RandomizedSearchCV,
)

GRID = {"hidden_size": [2, (3, 2)], "cell_type": ["rnn", "gru"]}


def search(grid=GRID, **options):
    return GridSearchCV(small(), grid, cv=KFold(2), error_score="raise", **options)


@every_input
def test_grid_search_scores_each_candidate_as_a_loop_would(X):
    fitted = search().fit(X, NUMBERS)

    for i, candidate in enumerate(fitted.cv_results_["params"]):
        expected = score_by_hand(small(**candidate), X, NUMBERS, KFold(2))
        assert_array_equal(split_scores(fitted)[:, i], expected)


@every_input
def test_grid_search_refits_the_best_candidate_on_all_rows(X):
    fitted = search().fit(X, NUMBERS)

    best = small(**fitted.best_params_).fit(X, NUMBERS)
    assert_array_equal(fitted.predict(X), best.predict(X))
    assert fitted.score(X, NUMBERS) == best.score(X, NUMBERS)


@without_axis_limit
def test_two_processes_give_the_scores_of_one(X):
    expected = split_scores(search().fit(X, NUMBERS))

    assert_array_equal(split_scores(search(n_jobs=2).fit(X, NUMBERS)), expected)


@without_axis_limit
def test_two_threads_give_the_scores_of_one(X):
    expected = split_scores(search().fit(X, NUMBERS))

    with joblib.parallel_config("threading", n_jobs=2):
        assert_array_equal(split_scores(search().fit(X, NUMBERS)), expected)


@every_input
def test_randomized_search_draws_from_distributions(X):
    draws = {"lr": stats.loguniform(1e-4, 1e-1), "hidden_size": stats.randint(2, 5)}

    fitted = RandomizedSearchCV(
        small(), draws, n_iter=3, cv=2, random_state=0, error_score="raise"
    ).fit(X, NUMBERS)
    best = small(**fitted.best_params_).fit(X, NUMBERS)
    assert_array_equal(fitted.predict(X), best.predict(X))


def test_a_fitted_search_survives_joblib(tmp_path):
    fitted = search().fit(RAGGED, NUMBERS)
    joblib.dump(fitted, tmp_path / "search.joblib")

    loaded = joblib.load(tmp_path / "search.joblib")
    assert_array_equal(loaded.predict(RAGGED), fitted.predict(RAGGED))
    assert_array_equal(split_scores(loaded), split_scores(fitted))
    assert loaded.best_params_ == fitted.best_params_


def test_a_bad_candidate_scores_nan_and_the_search_goes_on():
    grid = {"lr": [1e-3, -1.0]}
    failing = GridSearchCV(small(), grid, cv=2, error_score=np.nan)

    failed = pytest.warns(FitFailedWarning, match="2 fits failed out of a total of 4")
    with failed, pytest.warns(UserWarning, match="test scores are non-finite"):
        failing.fit(INPUTS["2-D"], NUMBERS)
    assert_array_equal(np.isnan(failing.cv_results_["mean_test_score"]), [False, True])
    assert failing.best_params_ == {"lr": 1e-3}
