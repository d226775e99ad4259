import pickle

import numpy as np
import pandas as pd
import pytest
from clients import (
    N_ROWS,
    NUMBERS,
    SERIES,
    VALUES,
    small,
    split_scores,
    windows_pipeline,
)
from numpy.testing import assert_allclose, assert_array_equal
from sklearn import config_context
from sklearn.metrics import r2_score
from sklearn.model_selection import (
    GridSearchCV,
    TimeSeriesSplit,
)
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from skrnn import SlidingWindow

NEXT = np.append(SERIES[1:, 0], 0.0)


def windows_by_hand(series, window_size):
    """Return for each row the rows that end with it, the first repeated before."""
    padded = np.concatenate([series[:1]] * (window_size - 1) + [series])
    return np.stack([padded[i : i + window_size] for i in range(len(series))])


def fit_by_hand(series, y, window_size=4, **parameters):
    """Return a function that predicts a series as the pipeline should."""
    mean, deviation = series.mean(axis=0), series.std(axis=0)
    model = small(**parameters)
    model.fit(windows_by_hand((series - mean) / deviation, window_size), y)

    def predict(series):
        return model.predict(windows_by_hand((series - mean) / deviation, window_size))

    return predict


def test_a_pipeline_predicts_one_value_for_each_row_of_the_series():
    pipeline = windows_pipeline().fit(SERIES[:40], NEXT[:40])

    expected = fit_by_hand(SERIES[:40], NEXT[:40])(SERIES[40:])
    assert expected.shape == (20,)
    assert_allclose(pipeline.predict(SERIES[40:]), expected, rtol=1e-8)


def test_carried_rows_stand_before_those_that_follow():
    pipeline = windows_pipeline(window__carry_over=True).fit(SERIES[:40], NEXT[:40])

    expected = fit_by_hand(SERIES[:40], NEXT[:40])(SERIES)[40:]
    assert_allclose(pipeline.predict(SERIES[40:]), expected, rtol=1e-8)


def test_nested_parameters_are_searched_with_a_splitter_that_respects_time():
    grid = {"window__window_size": [2, 5], "rnn__hidden_size": [2, 4]}
    splitter = TimeSeriesSplit(2)
    fitted = GridSearchCV(windows_pipeline(), grid, cv=splitter, error_score="raise")
    fitted.fit(SERIES, NEXT)

    for i, candidate in enumerate(fitted.cv_results_["params"]):
        size, hidden = candidate["window__window_size"], candidate["rnn__hidden_size"]
        expected = []
        for train, test in splitter.split(SERIES):
            predict = fit_by_hand(SERIES[train], NEXT[train], size, hidden_size=hidden)
            expected.append(r2_score(NEXT[test], predict(SERIES[test])))
        assert_allclose(split_scores(fitted)[:, i], expected, rtol=1e-7)


def test_the_parameters_of_a_step_carry_its_name():
    parameters = windows_pipeline().get_params()

    assert parameters["rnn__hidden_size"] == 4
    assert parameters["window__window_size"] == 4


def test_parameters_set_on_the_pipeline_reach_the_network():
    pipeline = windows_pipeline().set_params(rnn__hidden_size=3, window__window_size=2)
    pipeline.fit(SERIES, NEXT)

    assert pipeline["rnn"].module_.head.in_features == 3
    assert_allclose(
        pipeline.predict(SERIES),
        fit_by_hand(SERIES, NEXT, 2, hidden_size=3)(SERIES),
        rtol=1e-8,
    )


def test_weights_reach_the_network_by_the_name_of_its_step():
    weights = np.random.default_rng(5).uniform(0.1, 2, size=len(SERIES))
    pipeline = make_pipeline(SlidingWindow(4), small())
    pipeline.fit(SERIES, NEXT, rnnregressor__sample_weight=weights)

    expected = small().fit(windows_by_hand(SERIES, 4), NEXT, weights)
    actual = pipeline.predict(SERIES)
    assert_allclose(actual, expected.predict(windows_by_hand(SERIES, 4)), rtol=1e-10)


def test_a_fitted_pipeline_survives_pickling():
    pipeline = windows_pipeline(window__carry_over=True).fit(SERIES[:40], NEXT[:40])

    loaded = pickle.loads(pickle.dumps(pipeline))
    assert_array_equal(loaded.predict(SERIES[40:]), pipeline.predict(SERIES[40:]))


@pytest.mark.parametrize("output", ["pandas", "polars"])
def test_frames_between_the_steps_change_nothing(output):
    frame = pd.DataFrame(SERIES, columns=["load", "price"])
    expected = windows_pipeline().fit(frame, NEXT).predict(frame)

    with config_context(transform_output=output):
        pipeline = windows_pipeline().fit(frame, NEXT)
        assert_array_equal(pipeline.predict(frame), expected)
    assert pipeline["window"].feature_names_in_.tolist() == ["load", "price"]


def test_a_pipeline_lets_its_output_be_set():
    frame = pd.DataFrame(SERIES, columns=["load", "price"])
    expected = windows_pipeline().fit(frame, NEXT).predict(frame)

    pipeline = windows_pipeline().set_output(transform="pandas").fit(frame, NEXT)
    assert_array_equal(pipeline.predict(frame), expected)


def test_a_function_may_give_the_rows_of_a_table_their_time_axis():
    table = VALUES.reshape(N_ROWS, -1)
    to_steps = FunctionTransformer(lambda table: table.reshape(-1, 6, 2))
    pipeline = make_pipeline(StandardScaler(), to_steps, small(standardize=False))
    pipeline.fit(table, NUMBERS)

    scaled = (table - table.mean(axis=0)) / table.std(axis=0)
    expected = small(standardize=False).fit(scaled.reshape(-1, 6, 2), NUMBERS)
    actual = pipeline.predict(table)
    assert_allclose(actual, expected.predict(scaled.reshape(-1, 6, 2)), rtol=1e-8)
