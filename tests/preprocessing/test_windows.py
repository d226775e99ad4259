"""Windows: one for each row in a pipeline, or cut with their targets before a split."""

import pickle

import numpy as np
import pandas as pd
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from messages import raises
from numpy.testing import assert_array_equal
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV, TimeSeriesSplit, cross_val_score
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils._param_validation import InvalidParameterError

from skrnn import RNNRegressor, SlidingWindow, make_windows

sizes = st.integers(1, 9)
paddings = st.sampled_from(["edge", "zeros"])
FRAMES = {
    "array": np.asarray,
    "list": lambda X: X.tolist(),
    "F-ordered": np.asfortranarray,
    "pandas": pd.DataFrame,
    "polars": pl.DataFrame,
}
over_frames = pytest.mark.parametrize("form", FRAMES.values(), ids=FRAMES.keys())


def series_of(n_rows, n_features=2, dtype=np.float64):
    """Return a series whose values all differ, and none of which is zero."""
    return np.arange(1, n_rows * n_features + 1, dtype=dtype).reshape(
        n_rows, n_features
    )


def tiny_regressor(**params):
    return RNNRegressor(4, max_epochs=2, random_state=0, **params)


# SlidingWindow against a loop


def windows_in_a_loop(X, window_size, padding):
    windows = np.empty((len(X), window_size, X.shape[1]), dtype=X.dtype)
    for t in range(len(X)):
        for k in range(window_size):
            source = t - window_size + 1 + k
            if source >= 0:
                windows[t, k] = X[source]
            else:
                windows[t, k] = X[0] if padding == "edge" else 0
    return windows


@given(
    n_rows=st.integers(1, 20),
    n_features=st.integers(1, 3),
    window_size=sizes,
    padding=paddings,
    dtype=st.sampled_from(
        [np.float64, np.float32, np.float16, np.int64, np.uint8, bool]
    ),
    carry_over=st.booleans(),
)
def test_row_t_becomes_the_window_that_ends_with_it(
    n_rows, n_features, window_size, padding, dtype, carry_over
):
    X = series_of(n_rows, n_features).astype(dtype)
    window = SlidingWindow(window_size, padding=padding, carry_over=carry_over)

    windows = window.fit_transform(X)

    assert_array_equal(windows, windows_in_a_loop(X, window_size, padding), strict=True)


@over_frames
def test_every_form_of_the_series_gives_the_same_windows(form):
    X = series_of(9)
    expected = windows_in_a_loop(X, 4, "edge")

    window = SlidingWindow(4).fit(form(X))

    assert_array_equal(window.transform(form(X)), expected, strict=True)
    assert_array_equal(SlidingWindow(4).fit_transform(form(X)), expected, strict=True)


@given(
    n_rows=st.integers(2, 20),
    first=st.integers(1, 19),
    window_size=sizes,
    padding=paddings,
)
def test_rows_that_follow_get_the_windows_of_the_whole_series(
    n_rows, first, window_size, padding
):
    first = min(first, n_rows - 1)
    X = series_of(n_rows)
    window = SlidingWindow(window_size, padding=padding, carry_over=True).fit(X[:first])

    windows = window.transform(X[first:])

    assert_array_equal(windows, windows_in_a_loop(X, window_size, padding)[first:])


@given(n_rows=st.integers(1, 12), window_size=sizes, padding=paddings)
def test_without_carry_over_rows_that_follow_start_anew(n_rows, window_size, padding):
    X = series_of(2 * n_rows)
    window = SlidingWindow(window_size, padding=padding).fit(X[:n_rows])

    windows = window.transform(X[n_rows:])

    assert_array_equal(windows, windows_in_a_loop(X[n_rows:], window_size, padding))


@over_frames
@pytest.mark.parametrize("n_rows", [1, 3, 4, 20])
def test_transform_of_the_rows_of_fit_equals_fit_transform(n_rows, form):
    X = series_of(n_rows)
    window = SlidingWindow(5, carry_over=True).fit(form(X))
    expected = windows_in_a_loop(X, 5, "edge")

    assert_array_equal(window.transform(form(X)), expected)
    # Once more, for neither call may change what is carried over.
    assert_array_equal(window.transform(form(X)), expected)


def test_transform_leaves_what_is_carried_over_as_fit_left_it():
    X = series_of(12)
    window = SlidingWindow(5, carry_over=True).fit(X[:6])

    first = window.transform(X[6:9])
    window.transform(X[9:])

    assert_array_equal(window.transform(X[6:9]), first)


def test_a_refit_forgets_the_rows_of_the_earlier_one():
    X = series_of(12)
    window = SlidingWindow(5, carry_over=True).fit(X[:3]).fit(X[3:9])

    windows = window.transform(X[9:])

    assert_array_equal(windows, windows_in_a_loop(X, 5, "edge")[9:])


def test_carried_rows_are_those_of_fit_even_if_x_changes_later():
    X = series_of(12)
    head = X[:9].copy()
    window = SlidingWindow(5, carry_over=True).fit(head)
    head[:] = np.nan

    windows = window.transform(X[9:])

    assert_array_equal(windows, windows_in_a_loop(X, 5, "edge")[9:])


# What the windows are


@pytest.mark.parametrize("method", ["fit_transform", "transform"])
@pytest.mark.parametrize("carry_over", [False, True])
def test_windows_are_a_read_only_view_of_one_series(method, carry_over):
    X = series_of(500, 3, np.float32)
    window = SlidingWindow(100, carry_over=carry_over).fit(X[:200])

    windows = getattr(window, method)(X)

    assert windows.shape == (500, 100, 3)
    assert not windows.flags.writeable
    low, high = np.lib.array_utils.byte_bounds(windows)
    assert high - low == (500 + 99) * 3 * X.itemsize
    # The last row of a window is the last but one of the next.
    assert np.shares_memory(windows[0, -1], windows[1, -2])


def test_the_windows_do_not_follow_later_changes_of_x():
    X = series_of(20)
    windows = SlidingWindow(4).fit_transform(X)
    expected = windows.copy()

    X[:] = 0

    assert_array_equal(windows, expected)


def test_no_window_reaches_forward():
    X = series_of(30)
    changed = X.copy()
    changed[17:] = -1

    windows, others = (SlidingWindow(6).fit_transform(each) for each in (X, changed))

    assert_array_equal(windows[:17], others[:17])
    assert (windows[17:] != others[17:]).any(axis=(1, 2)).all()


# As a transformer


def test_names_of_columns_are_kept_and_none_are_given():
    X = pd.DataFrame(series_of(9), columns=["a", "b"])
    window = SlidingWindow(3).fit(X)

    assert_array_equal(window.feature_names_in_, np.array(["a", "b"], dtype=object))
    assert window.n_features_in_ == 2
    assert not hasattr(window, "get_feature_names_out")


def test_other_names_than_in_fit_are_refused():
    X = pd.DataFrame(series_of(9), columns=["a", "b"])
    message = (
        "The feature names should match those that were passed during fit.\n"
        "Feature names must be in the same order as they were in fit.\n"
    )
    with raises(ValueError, message):
        SlidingWindow(3).fit(X).transform(X[["b", "a"]])


def test_another_number_of_columns_than_in_fit_is_refused():
    message = "X has 3 features, but SlidingWindow is expecting 2 features as input."
    with raises(ValueError, message):
        SlidingWindow(3).fit(series_of(9)).transform(series_of(9, 3))


def test_transform_before_fit_is_refused():
    message = (
        "This SlidingWindow instance is not fitted yet. Call 'fit' with appropriate "
        "arguments before using this estimator."
    )
    with raises(NotFittedError, message):
        SlidingWindow().transform(series_of(9))


@pytest.mark.parametrize(
    ("params", "message"),
    [
        (
            {"window_size": 0},
            "The 'window_size' parameter of SlidingWindow must be an int in the range "
            "[1, inf). Got 0 instead.",
        ),
        (
            {"window_size": 2.0},
            "The 'window_size' parameter of SlidingWindow must be an int in the range "
            "[1, inf). Got 2.0 instead.",
        ),
        (
            {"carry_over": "yes"},
            "The 'carry_over' parameter of SlidingWindow must be an instance of 'bool' "
            "or an instance of 'numpy.bool'. Got 'yes' instead.",
        ),
    ],
)
@pytest.mark.parametrize("method", ["fit", "fit_transform"])
def test_wrong_parameters_are_refused(method, params, message):
    with raises(InvalidParameterError, message):
        getattr(SlidingWindow(**params), method)(series_of(9))


def test_a_wrong_padding_is_refused():
    # The order of the legal values in the message is that of a set.
    with pytest.raises(
        InvalidParameterError,
        match=r"^The 'padding' parameter of SlidingWindow must be a str among "
        r"\{'(edge', 'zeros|zeros', 'edge)'\}\. Got 'wrap' instead\.$",
    ):
        SlidingWindow(padding="wrap").fit(series_of(9))


@pytest.mark.parametrize("duplicate", [clone, lambda x: pickle.loads(pickle.dumps(x))])
def test_copies_have_the_same_parameters(duplicate):
    window = SlidingWindow(7, padding="zeros", carry_over=True)

    assert duplicate(window).get_params() == window.get_params()


def test_a_pickle_carries_over_what_the_original_does():
    X = series_of(12)
    window = SlidingWindow(5, carry_over=True).fit(X[:9])

    copy = pickle.loads(pickle.dumps(window))

    assert_array_equal(copy.transform(X[9:]), window.transform(X[9:]))
    assert_array_equal(copy.transform(X[:9]), window.transform(X[:9]))


def test_a_fitted_window_holds_no_more_of_the_series_than_it_needs():
    X = series_of(10_000)

    assert len(pickle.dumps(SlidingWindow(5).fit(X))) < 2000
    assert len(pickle.dumps(SlidingWindow(5, carry_over=True).fit(X))) < 2000


# In a pipeline


def test_a_pipeline_equals_its_steps_by_hand():
    X, y = series_of(40), np.sin(np.arange(40))
    pipeline = make_pipeline(StandardScaler(), SlidingWindow(5), tiny_regressor())

    pipeline.fit(X[:30], y[:30])

    scaler = StandardScaler().fit(X[:30])
    windows = windows_in_a_loop(scaler.transform(X[:30]), 5, "edge")
    regressor = tiny_regressor().fit(windows, y[:30])
    following = windows_in_a_loop(scaler.transform(X[30:]), 5, "edge")
    assert_array_equal(pipeline.predict(X[30:]), regressor.predict(following))


def test_a_pipeline_with_carry_over_sees_the_rows_before_the_test_part():
    X, y = series_of(40), np.sin(np.arange(40))
    window = SlidingWindow(5, carry_over=True)
    pipeline = make_pipeline(window, tiny_regressor()).fit(X[:30], y[:30])

    windows = windows_in_a_loop(X, 5, "edge")
    regressor = tiny_regressor().fit(windows[:30], y[:30])
    assert_array_equal(pipeline.predict(X[30:]), regressor.predict(windows[30:]))
    assert_array_equal(pipeline.predict(X[:30]), regressor.predict(windows[:30]))


@pytest.mark.parametrize("output", ["pandas", "polars", "default"])
def test_a_pipeline_with_windows_accepts_set_output(output):
    X = pd.DataFrame(series_of(20), columns=["a", "b"])
    y = np.arange(20.0)
    pipeline = make_pipeline(StandardScaler(), SlidingWindow(5), tiny_regressor())

    pipeline.set_output(transform=output).fit(X, y)

    plain = make_pipeline(StandardScaler(), SlidingWindow(5), tiny_regressor())
    assert_array_equal(pipeline.predict(X), plain.fit(X, y).predict(X))
    assert type(pipeline[:-1].transform(X)) is np.ndarray


def test_cross_validation_in_time_equals_a_loop_over_its_splits():
    X, y = series_of(40), np.sin(np.arange(40) / 3)
    cv = TimeSeriesSplit(3)
    window = SlidingWindow(4, carry_over=True)

    scores = cross_val_score(make_pipeline(window, tiny_regressor()), X, y, cv=cv)

    windows = windows_in_a_loop(X, 4, "edge")
    expected = [
        tiny_regressor().fit(windows[train], y[train]).score(windows[test], y[test])
        for train, test in cv.split(X)
    ]
    assert_array_equal(scores, expected)


def test_a_search_chooses_the_size_of_the_window():
    X, y = series_of(30), np.sin(np.arange(30) / 3)
    pipeline = Pipeline([("window", SlidingWindow()), ("model", tiny_regressor())])
    grid = {"window__window_size": [2, 6]}

    search = GridSearchCV(pipeline, grid, cv=TimeSeriesSplit(2)).fit(X, y)

    assert np.isfinite(search.cv_results_["mean_test_score"]).all()
    chosen = search.best_estimator_["window"].transform(X)
    assert chosen.shape[1] == search.best_params_["window__window_size"]


# make_windows against a loop


def pairs_in_a_loop(X, y, window_size, horizons, stride, groups):
    """Yield the rows of each window and those of its targets."""
    n_rows = len(X)
    starts_of_groups = {}
    for row, group in enumerate(groups):
        starts_of_groups.setdefault(group, row)
    for start in range(n_rows):
        if (start - starts_of_groups[groups[start]]) % stride:
            continue
        window = list(range(start, start + window_size))
        targets = [window[-1] + horizon for horizon in horizons]
        reached = window + targets
        if max(reached) >= n_rows:
            continue
        if len({groups[row] for row in reached}) == 1:
            yield window, targets


@given(
    group_sizes=st.lists(st.integers(1, 14), min_size=1, max_size=4),
    grouped=st.booleans(),
    window_size=st.integers(1, 5),
    horizon=st.one_of(
        st.integers(0, 4), st.lists(st.integers(0, 4), min_size=1, max_size=3)
    ),
    stride=st.integers(1, 4),
    n_features=st.sampled_from([None, 1, 3]),
    y_kind=st.sampled_from(["none", "1-D", "labels", "2-D"]),
)
def test_make_windows_equals_a_loop(
    group_sizes, grouped, window_size, horizon, stride, n_features, y_kind
):
    n_rows = sum(group_sizes)
    X = series_of(n_rows, n_features or 1)
    if n_features is None:
        X = X[:, 0]
    several = isinstance(horizon, list)
    if y_kind == "none" and n_features == 3:
        y_kind = "1-D"
    if y_kind == "none":  # the target is X itself, and must lie ahead
        horizon = [h + 1 for h in horizon] if several else horizon + 1
    if y_kind == "2-D" and several:
        y_kind = "labels"
    horizons = horizon if several else [horizon]
    y = {
        "none": X.reshape(n_rows) if X.size == n_rows else None,
        "1-D": -np.arange(n_rows),
        "labels": np.array([f"row {i}" for i in range(n_rows)]),
        "2-D": -series_of(n_rows, 2),
    }[y_kind]
    groups = np.arange(n_rows) * 0
    if grouped:
        groups = np.repeat(np.arange(len(group_sizes))[::-1], group_sizes)
    pairs = list(pairs_in_a_loop(X, y, window_size, horizons, stride, groups))

    def cut():
        return make_windows(
            X,
            None if y_kind == "none" else y,
            window_size=window_size,
            horizon=horizon,
            stride=stride,
            groups=groups if grouped else None,
        )

    if not pairs:
        with pytest.raises(ValueError, match=r"at least window_size \+ horizon = "):
            cut()
        return
    windows, targets = cut()

    assert_array_equal(windows, [X[window] for window, _ in pairs])
    if several:
        assert_array_equal(targets, [[y[t] for t in rows] for _, rows in pairs])
    else:
        assert_array_equal(targets, [y[rows[0]] for _, rows in pairs])
    assert windows.dtype == X.dtype


@pytest.mark.parametrize("horizon", [1, 3, [1, 2], [2]])
def test_no_window_sees_its_target(horizon):
    X = series_of(30, 1)[:, 0]

    windows, targets = make_windows(X, window_size=4, horizon=horizon)

    # The values of the series rise, so that a target seen would not be higher.
    assert (targets.reshape(len(targets), -1) > windows.max(axis=1)[:, None]).all()


@pytest.mark.parametrize("n_features", [None, 2])
def test_no_window_or_target_crosses_a_group(n_features):
    groups = np.array(list("bbbbbbbaaaaaaccccccccdd"))
    rows = np.arange(len(groups))
    X = rows if n_features is None else np.column_stack([rows, rows])

    windows, targets = make_windows(X, rows, window_size=3, horizon=2, groups=groups)

    of_windows = groups[windows if n_features is None else windows[:, :, 0]]
    assert (of_windows == groups[targets][:, None]).all()
    assert set(groups[targets]) == set("abc")  # d has too few rows


def test_horizon_zero_labels_the_last_row_of_a_window():
    labels = np.array(list("abcdefg"))

    windows, targets = make_windows(np.arange(7), labels, window_size=3, horizon=0)

    assert_array_equal(targets, labels[windows[:, -1]])


@pytest.mark.parametrize(
    "horizon",
    [
        [1, 2],
        (1, 2),
        range(1, 3),
        np.array([1, 2]),
        pd.Series([1, 2]),
        {1: "a", 2: "b"}.keys(),
        iter([1, 2]),
    ],
    ids=lambda horizon: type(horizon).__name__,
)
def test_any_iterable_of_horizons_gives_a_column_each(horizon):
    _, targets = make_windows(np.arange(6), window_size=2, horizon=horizon)

    assert_array_equal(targets, [[2, 3], [3, 4], [4, 5]])


def test_an_int_of_numpy_is_one_horizon():
    _, targets = make_windows(np.arange(6), window_size=2, horizon=np.int64(2))

    assert_array_equal(targets, [3, 4, 5])


def test_y_of_one_column_may_have_several_horizons():
    _, targets = make_windows(
        np.arange(6), np.arange(6)[:, None], window_size=2, horizon=[1, 2]
    )

    assert_array_equal(targets, [[2, 3], [3, 4], [4, 5]])


# Forms and memory


@pytest.mark.parametrize(
    "form",
    [list, np.asarray, pd.Series, pl.Series],
    ids=["list", "array", "pandas", "polars"],
)
def test_every_form_of_a_1d_series_is_cut_alike(form):
    values = [float(i) for i in range(8)]

    windows, targets = make_windows(form(values), form(values), window_size=3)

    assert_array_equal(windows, [values[i : i + 3] for i in range(5)])
    assert_array_equal(targets, values[3:])
    assert type(windows) is type(targets) is np.ndarray


@over_frames
def test_every_form_of_a_2d_series_is_cut_alike(form):
    X = series_of(8)

    windows, targets = make_windows(form(X), form(X), window_size=3)

    assert_array_equal(windows, [X[i : i + 3] for i in range(5)])
    assert_array_equal(targets, X[3:])
    assert type(windows) is type(targets) is np.ndarray


@pytest.mark.parametrize("stride", [1, 3])
@pytest.mark.parametrize("shape", [(1000,), (1000, 2)])
def test_without_groups_windows_are_a_read_only_view_of_x(shape, stride):
    X = np.arange(np.prod(shape), dtype=np.float32).reshape(shape)

    windows, _ = make_windows(X, np.arange(1000), window_size=100, stride=stride)

    assert np.shares_memory(windows, X)
    assert not windows.flags.writeable
    assert X.flags.writeable


def test_windows_and_targets_can_be_split_and_fitted():
    X, y = make_windows(np.sin(np.arange(60) / 3), window_size=6, horizon=[1, 2])

    model = tiny_regressor().fit(X[:40], y[:40])

    assert model.predict(X[40:]).shape == (len(X) - 40, 2)


# What make_windows refuses


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            {"horizon": 0},
            "horizon must be an int >= 1, or an iterable of them. Got 0. For "
            "horizon=0, the last row of a window, pass y.",
        ),
        (
            {"horizon": [1, 0]},
            "horizon must be an int >= 1, or an iterable of them. Got [1, 0]. For "
            "horizon=0, the last row of a window, pass y.",
        ),
        (
            {"horizon": 1.5},
            "horizon must be an int >= 1, or an iterable of them. Got 1.5. For "
            "horizon=0, the last row of a window, pass y.",
        ),
        (
            {"horizon": "1"},
            "horizon must be an int >= 1, or an iterable of them. Got '1'. For "
            "horizon=0, the last row of a window, pass y.",
        ),
        (
            {"horizon": None},
            "horizon must be an int >= 1, or an iterable of them. Got None. For "
            "horizon=0, the last row of a window, pass y.",
        ),
        (
            {"horizon": []},
            "horizon must be an int >= 1, or an iterable of them. Got []. For "
            "horizon=0, the last row of a window, pass y.",
        ),
        (
            {"y": np.arange(10), "horizon": -1},
            "horizon must be an int >= 0, or an iterable of them. Got -1. For "
            "horizon=0, the last row of a window, pass y.",
        ),
        (
            {"window_size": 0},
            "window_size must be an int >= 1. Got 0.",
        ),
        (
            {"window_size": 3.0},
            "window_size must be an int >= 1. Got 3.0.",
        ),
        ({"stride": 0}, "stride must be an int >= 1. Got 0."),
        (
            {"stride": None},
            "stride must be an int >= 1. Got None.",
        ),
        (
            {"X": np.ones((10, 2))},
            "y must be given when X has several columns. Got X of shape (10, 2). Pass "
            "the column to predict, for example y=X[:, 0].",
        ),
        (
            {"y": np.arange(9)},
            "y must have a value for each row of X. Got 9 for 10 rows.",
        ),
        (
            {"y": np.ones((10, 2)), "horizon": [1, 2]},
            "y must have one column if there are several horizons. Got shape "
            "(10, 2). Call make_windows for each column.",
        ),
        (
            {"window_size": 10},
            "X must have at least window_size + horizon = 11 rows. Got 10. Lower "
            "window_size or horizon.",
        ),
        (
            {"horizon": [1, 8]},
            "X must have at least window_size + horizon = 11 rows. Got 10. Lower "
            "window_size or horizon.",
        ),
        (
            {"X": np.ones((10, 2, 2))},
            "X must have shape (n_rows,) or (n_rows, n_columns). Got shape (10, 2, 2).",
        ),
        (
            {"y": np.ones((10, 2, 2))},
            "y must have shape (n_rows,) or (n_rows, n_columns). Got shape (10, 2, 2).",
        ),
        ({"X": np.r_[np.arange(9.0), np.nan]}, "Input X contains NaN."),
        ({"y": np.r_[np.arange(9.0), np.nan]}, "Input y contains NaN."),
        (
            {"groups": [0] * 4},
            "groups must have shape (10,), one entry for each row of X. Got shape "
            "(4,).",
        ),
        (
            {"groups": [[0]] * 10},
            "groups must have shape (10,), one entry for each row of X. Got shape "
            "(10, 1).",
        ),
        (
            {"groups": list("aaaabbbbaa")},
            "groups must have adjacent rows for each group. Got a group in several "
            "pieces. Sort the rows by group and time.",
        ),
        (
            {"groups": list("aaabbbcccd")},
            "groups must have at least window_size + horizon = 4 rows in one group. "
            "Got 3 in the largest. Lower window_size or horizon.",
        ),
    ],
)
def test_make_windows_refuses_by_what_is_wrong(arguments, message):
    with raises(ValueError, message):
        make_windows(**{"X": np.arange(10.0), "window_size": 3, **arguments})


@pytest.mark.parametrize(
    "groups", [[None] * 5 + ["a"] * 5, [np.nan] * 5 + [1.0] * 5], ids=["None", "NaN"]
)
def test_missing_groups_are_refused(groups):
    message = "groups must not contain missing values. Got one for row 0."
    with raises(ValueError, message):
        make_windows(np.arange(10.0), window_size=3, groups=groups)


def test_the_rows_of_fit_and_more_begin_with_the_padding():
    series = np.arange(20.0)[:, None]
    window = SlidingWindow(4, carry_over=True).fit(series[:10])

    whole = SlidingWindow(4).fit_transform(series)
    assert_array_equal(window.transform(series), whole)
    assert_array_equal(window.transform(series.astype(np.float32)), whole)
    assert_array_equal(window.transform(series[10:]), whole[10:])
