"""feature-engine: tables of lags and calendars, and transformers of each step."""

import numpy as np
import pandas as pd
import pytest
from clients import small
from feature_engine.creation import CyclicalFeatures
from feature_engine.datetime import DatetimeFeatures
from feature_engine.outliers import Winsorizer
from feature_engine.pipeline import make_pipeline
from feature_engine.selection import SelectByShuffling
from feature_engine.timeseries.forecasting import LagFeatures
from forecasts import N_LAGS, PASSENGERS, TEST, fit_on_windows
from sklearn.metrics import r2_score
from sklearn.model_selection import KFold
from sklearn.pipeline import make_pipeline as make_plain_pipeline

from skrnn import EachStep, SlidingWindow, ToSequences, make_windows

pytestmark = [
    pytest.mark.interop,
    # feature-engine 1.9.4 calls pandas 3 in ways that pandas 4 will not have.
    pytest.mark.filterwarnings("ignore:The inplace keyword in"),
]

KNOWN = pd.DataFrame({"now": PASSENGERS.iloc[:-1].to_numpy()}, PASSENGERS.index[:-1])
NEXT = pd.Series(PASSENGERS.iloc[1:].to_numpy(), KNOWN.index)
VALUES = np.random.default_rng(0).normal(size=(30, 6, 2))


def test_lag_features_are_sequences_from_the_newest_to_the_oldest():
    lags = LagFeatures("now", periods=list(range(1, N_LAGS)), drop_na=True)
    pipeline = make_pipeline(lags, ToSequences(newest_first=True), small())
    pipeline.fit(KNOWN, NEXT)

    X, _ = make_windows(PASSENGERS.to_numpy(), window_size=N_LAGS)
    expected = fit_on_windows(PASSENGERS).predict(X.reshape(len(X), N_LAGS, 1))
    np.testing.assert_allclose(pipeline.predict(KNOWN), expected, rtol=1e-9)


def test_calendar_features_are_features_of_the_steps():
    frame = KNOWN.assign(date=KNOWN.index)
    pipeline = make_plain_pipeline(
        DatetimeFeatures("date", features_to_extract=["month"]),
        CyclicalFeatures("date_month", drop_original=True),
        SlidingWindow(N_LAGS),
        small(target_feature=0),
    ).fit(frame, NEXT)

    angle = 2 * np.pi * KNOWN.index.month.to_numpy() / 12
    series = np.column_stack([KNOWN["now"], np.sin(angle), np.cos(angle)])
    windows = SlidingWindow(N_LAGS).fit_transform(series)
    np.testing.assert_allclose(pipeline[:-1].transform(frame), windows, rtol=1e-12)
    expected = small(target_feature=0).fit(windows, NEXT.to_numpy()).predict(windows)
    np.testing.assert_allclose(pipeline.predict(frame), expected, rtol=1e-6)
    assert len(pipeline.predict(frame)) == len(frame) > len(TEST)


@pytest.mark.parametrize("ragged", [False, True], ids=["3-D", "ragged"])
def test_each_step_applies_a_transformer(ragged):
    X = [row[: 3 + i % 4] for i, row in enumerate(VALUES)] if ragged else VALUES
    transformed = EachStep(Winsorizer(tail="both", fold=1)).fit_transform(X)

    steps = np.concatenate(list(X))
    low, high = (steps.mean(0) + sign * steps.std(0) for sign in (-1, 1))
    for before, after in zip(X, transformed, strict=True):
        np.testing.assert_allclose(after, np.clip(before, low, high))


def test_shuffling_selects_the_steps_that_matter():
    X, y = make_windows(PASSENGERS.to_numpy(), window_size=N_LAGS)
    table = pd.DataFrame(X.reshape(len(X), N_LAGS)).rename(columns="step_{}".format)
    model = small(max_epochs=20)
    folds = KFold(3)
    selector = SelectByShuffling(model, scoring="r2", cv=folds, random_state=0)
    selector.fit(table, y)

    drifts = selector.performance_drifts_
    last_year_and_month = {"step_0", "step_11"}
    assert max(drifts, key=drifts.get) in last_year_and_month
    assert last_year_and_month <= set(selector.transform(table))
    scores = [
        r2_score(y[test], small(max_epochs=20).fit(X[train], y[train]).predict(X[test]))
        for train, test in folds.split(X)
    ]
    assert selector.initial_model_performance_ == pytest.approx(np.mean(scores))
