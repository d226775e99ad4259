"""Pipelines from a time series to a network."""

import pickle

import numpy as np
import pandas as pd
import pytest
from clients import N_ROWS, NUMBERS, VALUES, small, split_scores
from numpy.testing import assert_allclose, assert_array_equal
from sklearn import config_context
from sklearn.metrics import r2_score
from sklearn.model_selection import (
    GridSearchCV,
    TimeSeriesSplit,
)
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler
from sklearn.utils import estimator_html_repr

from skrnn import SlidingWindow

SERIES = np.cumsum(np.random.default_rng(4).normal(size=(60, 2)), axis=0)
NEXT = np.append(SERIES[1:, 0], 0.0)


def windows_pipeline(**parameters):
    window = SlidingWindow(window_size=4)
    steps = [("scale", StandardScaler()), ("window", window), ("rnn", small())]
    return Pipeline(steps).set_params(**parameters)


def numpy_windows(series, window_size):
    """Return a window ending at each row; the first row is repeated before it."""
    padded = np.concatenate([series[:1]] * (window_size - 1) + [series])
    return np.stack([padded[i : i + window_size] for i in range(len(series))])


def explicit_pipeline(series, y, window_size=4, **parameters):
    """Return a function that predicts a series as the pipeline should."""
    mean, deviation = series.mean(axis=0), series.std(axis=0)
    model = small(**parameters)
    model.fit(numpy_windows((series - mean) / deviation, window_size), y)

    def predict(series):
        return model.predict(numpy_windows((series - mean) / deviation, window_size))

    return predict


def test_pipeline_predicts_one_value_for_each_row_of_the_series():
    pipeline = windows_pipeline().fit(SERIES[:40], NEXT[:40])

    expected = explicit_pipeline(SERIES[:40], NEXT[:40])(SERIES[40:])
    assert expected.shape == (20,)
    assert_allclose(pipeline.predict(SERIES[40:]), expected, rtol=1e-8)


def test_carried_rows_precede_those_that_follow():
    pipeline = windows_pipeline(window__carry_over=True).fit(SERIES[:40], NEXT[:40])

    expected = explicit_pipeline(SERIES[:40], NEXT[:40])(SERIES)[40:]
    assert_allclose(pipeline.predict(SERIES[40:]), expected, rtol=1e-8)


def test_nested_parameters_are_searched_with_time_series_split():
    grid = {"window__window_size": [2, 5], "rnn__hidden_size": [2, 4]}
    splitter = TimeSeriesSplit(2)
    fitted = GridSearchCV(windows_pipeline(), grid, cv=splitter, error_score="raise")
    fitted.fit(SERIES, NEXT)

    for i, candidate in enumerate(fitted.cv_results_["params"]):
        size, hidden = candidate["window__window_size"], candidate["rnn__hidden_size"]
        expected = []
        for train, test in splitter.split(SERIES):
            predict = explicit_pipeline(
                SERIES[train], NEXT[train], size, hidden_size=hidden
            )
            expected.append(r2_score(NEXT[test], predict(SERIES[test])))
        assert_allclose(split_scores(fitted)[:, i], expected, rtol=1e-7)


def test_parameters_set_on_the_pipeline_reach_the_network():
    pipeline = windows_pipeline().set_params(rnn__hidden_size=3, window__window_size=2)
    pipeline.fit(SERIES, NEXT)

    assert pipeline["rnn"].module_.head.in_features == 3
    assert_allclose(
        pipeline.predict(SERIES),
        explicit_pipeline(SERIES, NEXT, 2, hidden_size=3)(SERIES),
        rtol=1e-8,
    )


def test_weights_are_passed_by_the_name_of_the_step():
    weights = np.random.default_rng(5).uniform(0.1, 2, size=len(SERIES))
    pipeline = make_pipeline(SlidingWindow(4), small())
    pipeline.fit(SERIES, NEXT, rnnregressor__sample_weight=weights)

    expected = small().fit(numpy_windows(SERIES, 4), NEXT, weights)
    actual = pipeline.predict(SERIES)
    assert_allclose(actual, expected.predict(numpy_windows(SERIES, 4)), rtol=1e-10)


def test_fitted_pipeline_can_be_pickled():
    pipeline = windows_pipeline(window__carry_over=True).fit(SERIES[:40], NEXT[:40])

    loaded = pickle.loads(pickle.dumps(pipeline))
    assert_array_equal(loaded.predict(SERIES[40:]), pipeline.predict(SERIES[40:]))


@pytest.mark.parametrize("output", ["pandas", "polars"])
def test_frames_between_the_steps_do_not_change_the_prediction(output):
    frame = pd.DataFrame(SERIES, columns=["load", "price"])
    expected = windows_pipeline().fit(frame, NEXT).predict(frame)

    with config_context(transform_output=output):
        pipeline = windows_pipeline().fit(frame, NEXT)
        assert_array_equal(pipeline.predict(frame), expected)
    assert pipeline["window"].feature_names_in_.tolist() == ["load", "price"]


def test_set_output_of_the_pipeline_does_not_change_the_prediction():
    frame = pd.DataFrame(SERIES, columns=["load", "price"])
    expected = windows_pipeline().fit(frame, NEXT).predict(frame)

    pipeline = windows_pipeline().set_output(transform="pandas").fit(frame, NEXT)
    assert_array_equal(pipeline.predict(frame), expected)


def test_function_transformer_can_add_the_time_axis():
    table = VALUES.reshape(N_ROWS, -1)
    to_steps = FunctionTransformer(lambda table: table.reshape(-1, 6, 2))
    pipeline = make_pipeline(StandardScaler(), to_steps, small(standardize=False))
    pipeline.fit(table, NUMBERS)

    scaled = (table - table.mean(axis=0)) / table.std(axis=0)
    expected = small(standardize=False).fit(scaled.reshape(-1, 6, 2), NUMBERS)
    actual = pipeline.predict(table)
    assert_allclose(actual, expected.predict(scaled.reshape(-1, 6, 2)), rtol=1e-8)


def test_diagram_of_a_pipeline_shows_every_step():
    page = estimator_html_repr(windows_pipeline())

    for name in ("StandardScaler", "SlidingWindow", "RNNRegressor"):
        assert name in page
