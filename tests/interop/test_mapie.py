"""MAPIE: conformal intervals and sets around our predictions."""

import numpy as np
import pytest
from clients import small
from mapie.classification import SplitConformalClassifier
from mapie.regression import (
    ConformalizedQuantileRegressor,
    CrossConformalRegressor,
    SplitConformalRegressor,
    TimeSeriesRegressor,
)
from mapie.subsample import BlockBootstrap
from scipy.stats import betabinom
from sklearn.datasets import load_digits
from sklearn.frozen import FrozenEstimator
from sklearn.pipeline import make_pipeline
from statsmodels.datasets import sunspots

from skrnn import RNNClassifier, ToSequences, make_windows

pytestmark = pytest.mark.interop

LEVEL = 0.8
# Windows of eleven years, in random order, so that their errors are exchangeable.
YEARS = sunspots.load_pandas().data["SUNACTIVITY"].to_numpy()
X, Y = make_windows(YEARS, window_size=11)
ORDER = np.random.default_rng(0).permutation(len(X))
TRAIN, CALIBRATE, TEST = ORDER[:120], ORDER[120:200], ORDER[200:]
DIGITS = load_digits()


def ragged(X):
    return [row[i % 3 :, None] for i, row in enumerate(X)]


def take(X, rows):
    return [X[i] for i in rows] if isinstance(X, list) else X[rows]


def assert_covers(covered, n_calibrated=80):
    """Fail if a valid method would cover so few rows once in a thousand times.

    After a calibration with n exchangeable rows, the number of covered rows follows a
    beta-binomial distribution.
    """
    rank = int(np.ceil(LEVEL * (n_calibrated + 1)))
    chance = betabinom(len(covered), rank, n_calibrated + 1 - rank)
    assert chance.ppf(1e-3) <= np.sum(covered) < len(covered)


def is_inside(intervals, y):
    return (intervals[:, 0, 0] <= y) & (y <= intervals[:, 1, 0])


def test_split_conformal_interval_has_the_width_of_the_errors():
    model = small(max_epochs=20).fit(X[TRAIN], Y[TRAIN])
    conformal = SplitConformalRegressor(model, confidence_level=LEVEL, prefit=True)
    conformal.conformalize(X[CALIBRATE], Y[CALIBRATE])
    points, intervals = conformal.predict_interval(X[TEST])

    errors = np.abs(Y[CALIBRATE] - model.predict(X[CALIBRATE]))
    rank = int(np.ceil(LEVEL * (len(errors) + 1)))
    width = np.sort(errors)[rank - 1]
    np.testing.assert_array_equal(points, model.predict(X[TEST]))
    expected = points[:, None] + [-width, width]
    np.testing.assert_allclose(intervals[:, :, 0], expected, rtol=1e-9)
    assert_covers(is_inside(intervals, Y[TEST]))


@pytest.mark.parametrize(
    "X", [X, X[:, :, None], ragged(X)], ids=["2-D", "3-D", "ragged"]
)
def test_cross_conformal_intervals_cover(X):
    rows = np.r_[TRAIN, CALIBRATE]
    conformal = CrossConformalRegressor(
        small(max_epochs=20), confidence_level=LEVEL, cv=4, random_state=0
    ).fit_conformalize(take(X, rows), Y[rows])
    _, intervals = conformal.predict_interval(take(X, TEST))

    assert_covers(is_inside(intervals, Y[TEST]))


def test_conformalized_quantiles_cover():
    outer = (1 - LEVEL) / 2
    models = [
        small(loss="quantile", quantiles=[q], max_epochs=20).fit(X[TRAIN], Y[TRAIN])
        for q in (outer, 1 - outer, 0.5)
    ]
    conformal = ConformalizedQuantileRegressor(
        models, confidence_level=LEVEL, prefit=True
    ).conformalize(X[CALIBRATE], Y[CALIBRATE])
    _, intervals = conformal.predict_interval(X[TEST])

    assert_covers(is_inside(intervals, Y[TEST]))
    assert np.ptp(intervals[:, 1, 0] - intervals[:, 0, 0]) > 0  # they adapt to X


@pytest.mark.filterwarnings("ignore:WARNING. at least one point:UserWarning")
@pytest.mark.parametrize("X", [X, X[:, :, None]], ids=["2-D", "3-D"])
def test_intervals_of_a_time_series_cover_the_years_that_follow(X):
    blocks = BlockBootstrap(n_resamplings=10, length=20, random_state=0)
    conformal = TimeSeriesRegressor(
        small(max_epochs=20), method="enbpi", cv=blocks, agg_function="mean"
    ).fit(X[:200], Y[:200])
    _, intervals = conformal.predict(X[200:], ensemble=True, confidence_level=LEVEL)

    # Neighbouring errors depend on each other: no exact bound is known.
    assert 0.65 < np.mean(is_inside(intervals, Y[200:])) < 1


def test_sets_of_labels_cover_and_are_small():
    images, labels = DIGITS.images[:, :, 3], DIGITS.target
    model = small(RNNClassifier, max_epochs=20).fit(images[:600], labels[:600])
    conformal = SplitConformalClassifier(model, confidence_level=LEVEL, prefit=True)
    conformal.conformalize(images[600:1200], labels[600:1200])
    _, sets = conformal.predict_set(images[1200:])

    assert_covers(sets[np.arange(len(sets)), labels[1200:], 0], n_calibrated=600)
    assert sets.sum(axis=1).mean() < 6


def test_fitted_networks_of_3d_sequences_need_a_table_and_a_frozen_pipeline():
    images, labels = DIGITS.images, DIGITS.target
    table = images.transpose(0, 2, 1).reshape(len(images), 64)
    pipeline = make_pipeline(ToSequences(8), small(RNNClassifier, max_epochs=20))
    pipeline.fit(table[:600], labels[:600])
    conformal = SplitConformalClassifier(
        FrozenEstimator(pipeline), confidence_level=LEVEL, prefit=True
    ).conformalize(table[600:1200], labels[600:1200])
    _, sets = conformal.predict_set(table[1200:])

    assert_covers(sets[np.arange(len(sets)), labels[1200:], 0], n_calibrated=600)
    with pytest.raises(UserWarning, match="failed a minimal prediction test"):
        SplitConformalClassifier(
            pipeline[-1], confidence_level=LEVEL, prefit=True
        ).conformalize(images[600:1200], labels[600:1200])
