"""SlidingWindow and make_windows."""

import pickle
from functools import partial

import numpy as np
import pandas as pd
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from messages import raises
from numpy.testing import assert_array_equal
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV, TimeSeriesSplit
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils import get_tags
from sklearn.utils._param_validation import InvalidParameterError

from skrnn import RNNRegressor, SlidingWindow, make_windows

FRAMES = {
    "list": lambda X: X.tolist(),
    "F-ordered": np.asfortranarray,
    "pandas": pd.DataFrame,
    "polars": pl.DataFrame,
}
over_frames = pytest.mark.parametrize("form", FRAMES.values(), ids=FRAMES)
over_paddings = pytest.mark.parametrize("padding", ["edge", "zeros"])


def make_series(n_rows, n_features=2, dtype=np.float64):
    """Return a series of distinct, nonzero values."""
    values = np.arange(1, n_rows * n_features + 1, dtype=dtype)
    return values.reshape(n_rows, n_features)


def tiny_regressor():
    return RNNRegressor(4, max_epochs=2, random_state=0)


# SlidingWindow


def windows_in_a_loop(X, window_size, padding="edge"):
    windows = np.empty((len(X), window_size, X.shape[1]), dtype=X.dtype)
    for t in range(len(X)):
        for k in range(window_size):
            source = t - window_size + 1 + k
            if source >= 0:
                windows[t, k] = X[source]
            else:
                windows[t, k] = X[0] if padding == "edge" else 0
    return windows


@over_paddings
@pytest.mark.parametrize("window_size", [1, 4, 9])
@pytest.mark.parametrize("dtype", [np.float64, np.float32, bool])
def test_row_t_becomes_the_window_that_ends_with_it(dtype, window_size, padding):
    X = make_series(7).astype(dtype)
    expected = windows_in_a_loop(X, window_size, padding)
    window = SlidingWindow(window_size, padding=padding)

    assert_array_equal(window.fit_transform(X), expected, strict=True)
    # Without carry_over, transform does not depend on the rows of fit.
    window.fit(make_series(3)[::-1])
    assert_array_equal(window.transform(X), expected, strict=True)


@over_frames
def test_the_form_of_the_series_does_not_matter(form):
    X = make_series(9)
    expected = windows_in_a_loop(X, 4)
    window = SlidingWindow(4, carry_over=True)

    assert_array_equal(window.fit_transform(form(X)), expected, strict=True)
    assert_array_equal(window.transform(form(X)), expected, strict=True)


@over_paddings
@pytest.mark.parametrize("window_size", [1, 4, 9])
@pytest.mark.parametrize("n_fit", [1, 3, 8])
def test_with_carry_over_windows_include_the_rows_of_fit(n_fit, window_size, padding):
    X = make_series(12)
    fitted = X[:n_fit].copy()
    expected = windows_in_a_loop(X, window_size, padding)
    window = SlidingWindow(window_size, padding=padding, carry_over=True)
    window.fit(make_series(5) + 100)  # replaced by the second fit

    assert_array_equal(window.fit_transform(fitted), expected[:n_fit])
    fitted[:] = np.nan  # fit made a copy

    window = pickle.loads(pickle.dumps(window))
    # No call changes the rows of fit.
    for stop in (n_fit + 1, 12):
        assert_array_equal(window.transform(X[n_fit:stop]), expected[n_fit:stop])
    # X that starts with the rows of fit is padded.
    assert_array_equal(window.transform(X[:n_fit]), expected[:n_fit])
    assert_array_equal(window.transform(X.astype(np.float32)), expected)


@pytest.mark.parametrize("method", ["fit_transform", "transform"])
def test_windows_are_a_read_only_view_of_a_copy(method):
    X = make_series(500, 3, np.float32)
    window = SlidingWindow(100, carry_over=True).fit(X[:200])

    windows = getattr(window, method)(X)
    expected = windows.copy()
    X[:] = 0

    assert_array_equal(windows, expected)
    assert not windows.flags.writeable
    low, high = np.lib.array_utils.byte_bounds(windows)
    assert high - low == (500 + 99) * 3 * X.itemsize


def test_a_change_of_any_row_makes_x_another_series():
    X = make_series(70_000, 1)
    window = SlidingWindow(2, carry_over=True).fit(X)

    for changed in (0, 40, 65_536, 69_999):
        other = X.copy()
        other[changed] += 1
        # It continues the rows of fit, and so does not begin with a padded window.
        assert_array_equal(window.transform(other)[0, 0], X[-1])
    assert_array_equal(window.transform(X)[0, 0], X[0])


def test_numbers_in_an_object_array_are_read_as_numbers():
    X = make_series(6)
    window = SlidingWindow(3, carry_over=True).fit(X.astype(object))

    assert_array_equal(
        window.transform(X.astype(object)), windows_in_a_loop(X, 3), strict=True
    )


def test_the_dtypes_of_windows_are_declared_to_scikit_learn():
    tags = get_tags(SlidingWindow())
    assert tags.transformer_tags.preserves_dtype == ["float64", "float32"]


def test_fitted_attributes():
    X = pd.DataFrame(make_series(10_000), columns=["a", "b"])
    window = SlidingWindow(5, carry_over=True).fit(X)

    assert_array_equal(window.feature_names_in_, np.array(["a", "b"], dtype=object))
    assert window.n_features_in_ == 2
    assert not hasattr(window, "get_feature_names_out")
    assert len(pickle.dumps(window)) < 2000


def test_a_pipeline_is_equal_to_its_steps():
    X, y = make_series(40), np.sin(np.arange(40))
    window = SlidingWindow(5, carry_over=True)
    pipeline = make_pipeline(StandardScaler(), window, tiny_regressor())
    pipeline.set_output(transform="pandas")

    pipeline.fit(X[:30], y[:30])

    scaled = StandardScaler().fit(X[:30]).transform(X)
    windows = windows_in_a_loop(scaled, 5)
    regressor = tiny_regressor().fit(windows[:30], y[:30])
    assert_array_equal(pipeline.predict(X[30:]), regressor.predict(windows[30:]))
    assert_array_equal(pipeline.predict(X[:30]), regressor.predict(windows[:30]))


def test_the_window_size_can_be_searched():
    X, y = make_series(30), np.sin(np.arange(30) / 3)
    pipeline = make_pipeline(SlidingWindow(carry_over=True), tiny_regressor())
    grid, cv = {"slidingwindow__window_size": [4]}, TimeSeriesSplit(2)

    search = GridSearchCV(pipeline, grid, cv=cv, refit=False).fit(X, y)

    windows = windows_in_a_loop(X, 4)
    for i, (train, test) in enumerate(cv.split(X)):
        model = tiny_regressor().fit(windows[train], y[train])
        score = search.cv_results_[f"split{i}_test_score"][0]
        assert score == model.score(windows[test], y[test])


@pytest.mark.parametrize(
    ("X", "message"),
    [
        (
            pd.DataFrame(make_series(9), columns=["b", "a"]),
            "The feature names should match those that were passed during fit.\n"
            "Feature names must be in the same order as they were in fit.\n",
        ),
        (
            pd.DataFrame(make_series(9, 3), columns=["a", "b", "c"]),
            "The feature names should match those that were passed during fit.\n"
            "Feature names unseen at fit time:\n- c\n",
        ),
    ],
)
def test_other_columns_than_in_fit_raise(X, message):
    window = SlidingWindow(3).fit(pd.DataFrame(make_series(9), columns=["a", "b"]))
    with raises(ValueError, message):
        window.transform(X)


def test_transform_before_fit_raises():
    with pytest.raises(NotFittedError, match=r"^This SlidingWindow instance is not"):
        SlidingWindow().transform(make_series(9))


@pytest.mark.parametrize(
    ("params", "rule"),
    [
        ({"window_size": 0}, "an int in the range [1, inf). Got 0 instead."),
        ({"window_size": 2.0}, "an int in the range [1, inf). Got 2.0 instead."),
        (
            {"carry_over": "yes"},
            "an instance of 'bool' or an instance of 'numpy.bool'. Got 'yes' instead.",
        ),
    ],
)
@pytest.mark.parametrize("method", ["fit", "fit_transform"])
def test_wrong_parameters_raise(method, params, rule):
    message = f"The '{next(iter(params))}' parameter of SlidingWindow must be {rule}"
    with raises(InvalidParameterError, message):
        getattr(SlidingWindow(**params), method)(make_series(9))


def test_a_wrong_padding_raises():
    # scikit-learn lists the options in no fixed order.
    with pytest.raises(
        InvalidParameterError,
        match=r"^The 'padding' parameter of SlidingWindow must be a str among "
        r"\{'(edge', 'zeros|zeros', 'edge)'\}\. Got 'wrap' instead\.$",
    ):
        SlidingWindow(padding="wrap").fit(make_series(9))


# make_windows


def pairs_in_a_loop(n_rows, window_size, horizons, stride, groups):
    """Yield the rows of each window and those of its targets."""
    starts_of_groups = {}
    for row, group in enumerate(groups):
        starts_of_groups.setdefault(group, row)
    for start in range(n_rows):
        if (start - starts_of_groups[groups[start]]) % stride:
            continue
        window = list(range(start, start + window_size))
        targets = [window[-1] + horizon for horizon in horizons]
        rows = window + targets
        if max(rows) < n_rows and len({groups[row] for row in rows}) == 1:
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
def test_make_windows_is_equal_to_a_loop(
    group_sizes, grouped, window_size, horizon, stride, n_features, y_kind
):
    n_rows = sum(group_sizes)
    X = make_series(n_rows, n_features or 1)
    if n_features is None:
        X = X[:, 0]
    several = isinstance(horizon, list)
    if y_kind == "none" and n_features == 3:
        y_kind = "1-D"
    if y_kind == "none":  # the target is X, which requires a horizon of at least 1
        horizon = [h + 1 for h in horizon] if several else horizon + 1
    if y_kind == "2-D" and several:
        y_kind = "labels"
    horizons = horizon if several else [horizon]
    y = {
        "none": X.reshape(n_rows) if X.size == n_rows else None,
        "1-D": -np.arange(n_rows),
        "labels": np.array([f"row {i}" for i in range(n_rows)]),
        "2-D": -make_series(n_rows, 2),
    }[y_kind]
    groups = np.zeros(n_rows)
    if grouped:
        groups = np.repeat(np.arange(len(group_sizes))[::-1], group_sizes)
    pairs = list(pairs_in_a_loop(n_rows, window_size, horizons, stride, groups))
    params = {"window_size": window_size, "horizon": horizon, "stride": stride}
    arguments = (X, None if y_kind == "none" else y)
    if grouped:
        params["groups"] = groups

    if not pairs:
        with pytest.raises(ValueError, match=r"at least window_size \+ horizon = "):
            make_windows(*arguments, **params)
        return
    windows, targets = make_windows(*arguments, **params)

    assert_array_equal(windows, [X[window] for window, _ in pairs])
    if several:
        assert_array_equal(targets, [[y[t] for t in rows] for _, rows in pairs])
    else:
        assert_array_equal(targets, [y[rows[0]] for _, rows in pairs])
    assert windows.dtype == X.dtype


@pytest.mark.parametrize(
    "horizon", [np.array([1, 2]), {1: "a", 2: "b"}.keys(), iter([1, 2])], ids=type
)
def test_any_iterable_of_horizons_returns_one_column_each(horizon):
    _, targets = make_windows(
        np.arange(6), np.arange(6)[:, None], window_size=2, horizon=horizon
    )

    assert_array_equal(targets, [[2, 3], [3, 4], [4, 5]])


def test_a_numpy_int_is_one_horizon():
    _, targets = make_windows(np.arange(6), window_size=2, horizon=np.int64(2))

    assert_array_equal(targets, [3, 4, 5])


FORMS_1D = {"list 1-D": list, "Series": pd.Series, "polars Series": pl.Series}


@pytest.mark.parametrize("form", (FORMS_1D | FRAMES).values(), ids=[*FORMS_1D, *FRAMES])
def test_the_form_of_x_and_y_does_not_matter(form):
    X = make_series(8)
    if form in FORMS_1D.values():
        X = X[:, 0]

    windows, targets = make_windows(form(X), form(X), window_size=3)

    assert_array_equal(windows, [X[i : i + 3] for i in range(5)])
    assert_array_equal(targets, X[3:])
    assert type(windows) is type(targets) is np.ndarray


@pytest.mark.parametrize("shape", [(1000,), (1000, 2)])
def test_without_groups_windows_are_a_read_only_view_of_x(shape):
    X = np.zeros(shape, dtype=np.float32)

    windows, _ = make_windows(X, np.arange(1000), window_size=100, stride=3)

    assert np.shares_memory(windows, X)
    assert not windows.flags.writeable
    assert X.flags.writeable


HORIZON_1 = (
    "horizon must be an int >= 1, or an iterable of them. Got {}. For horizon=0, the "
    "last row of a window, pass y."
)
MISSING_GROUPS = "groups must not contain missing values. Got one for row 5."
INVALID_CALLS = {
    "horizon 0": ({"horizon": 0}, HORIZON_1.format("0")),
    "one of the horizons": ({"horizon": [1, 0]}, HORIZON_1.format("[1, 0]")),
    "horizon float": ({"horizon": 1.5}, HORIZON_1.format("1.5")),
    "horizon None": ({"horizon": None}, HORIZON_1.format("None")),
    "no horizon": ({"horizon": []}, HORIZON_1.format("[]")),
    "horizon -1": (
        {"y": np.arange(10), "horizon": -1},
        HORIZON_1.format("-1").replace(">= 1", ">= 0"),
    ),
    "window_size 0": ({"window_size": 0}, "window_size must be an int >= 1. Got 0."),
    "window_size float": (
        {"window_size": 3.0},
        "window_size must be an int >= 1. Got 3.0.",
    ),
    "stride": ({"stride": 0}, "stride must be an int >= 1. Got 0."),
    "no y": (
        {"X": np.ones((10, 2))},
        "y must be given when X has several columns. Got X of shape (10, 2). Pass the "
        "column to predict, for example y=X[:, 0].",
    ),
    "length of y": (
        {"y": np.arange(9)},
        "y must have a value for each row of X. Got 9 for 10 rows.",
    ),
    "columns of y": (
        {"y": np.ones((10, 2)), "horizon": [1, 2]},
        "y must have one column if there are several horizons. Got shape (10, 2). Call "
        "make_windows for each column.",
    ),
    "too short": (
        {"horizon": [1, 8]},
        "X must have at least window_size + horizon = 11 rows. Got 10. Lower "
        "window_size or horizon.",
    ),
    "3-D X": (
        {"X": np.ones((10, 2, 2))},
        "X must have shape (n_rows,) or (n_rows, n_columns). Got shape (10, 2, 2).",
    ),
    "3-D y": (
        {"y": np.ones((10, 2, 2))},
        "y must have shape (n_rows,) or (n_rows, n_columns). Got shape (10, 2, 2).",
    ),
    "NaN in X": ({"X": np.r_[np.arange(9.0), np.nan]}, "Input X contains NaN."),
    "NaN in y": ({"y": np.r_[np.arange(9.0), np.nan]}, "Input y contains NaN."),
    "length of groups": (
        {"groups": [0] * 4},
        "groups must have shape (10,), one entry for each row of X. Got shape (4,).",
    ),
    "2-D groups": (
        {"groups": [[0]] * 10},
        "groups must have shape (10,), one entry for each row of X. Got shape (10, 1).",
    ),
    "split groups": (
        {"groups": list("aaaabbbbaa")},
        "groups must have adjacent rows for each group. Got a group in several pieces. "
        "Sort the rows by group and time.",
    ),
    "short groups": (
        {"groups": list("aaabbbcccd")},
        "groups must have at least window_size + horizon = 4 rows in one group. Got 3 "
        "in the largest. Lower window_size or horizon.",
    ),
    "group None": ({"groups": ["a"] * 5 + [None] * 5}, MISSING_GROUPS),
    "group NaN": ({"groups": [1.0] * 5 + [np.nan] * 5}, MISSING_GROUPS),
}


@pytest.mark.parametrize(
    ("arguments", "message"), INVALID_CALLS.values(), ids=INVALID_CALLS
)
def test_invalid_calls_of_make_windows_raise(arguments, message):
    with raises(ValueError, message):
        make_windows(**{"X": np.arange(10.0), "window_size": 3, **arguments})


# make_windows of panels: index, known columns, latest windows


def make_panel(sizes=(7, 4, 9), starts=(0, 3, 1)):
    """Return a frame of stores whose dates differ, with distinct values."""
    days = np.concatenate(
        [np.arange(a, a + n) for a, n in zip(starts, sizes, strict=True)]
    )
    frame = pd.DataFrame(
        {
            "store": np.repeat(["b", "a", "c"][: len(sizes)], sizes),
            "date": pd.Timestamp("2024-02-26") + pd.to_timedelta(days, unit="D"),
        }
    )
    frame["sales"] = 100.0 + np.arange(len(frame))
    frame["promotion"] = -1.0 - np.arange(len(frame))
    frame["price"] = 1000.0 + np.arange(len(frame))
    return frame


COLUMNS = ["sales", "promotion", "price"]


def cut_panel(frame, columns=COLUMNS, **params):
    params = {"groups": frame["store"], "times": frame["date"], **params}
    return make_windows(
        frame[columns], frame["sales"], return_index=True, window_size=2, **params
    )


def panel_in_a_loop(frame, horizons, known, stride=1):
    """Yield the store, the cutoff, the steps and the targets of each window.

    By looking up each value by its store and date.
    """
    day = pd.Timedelta(days=1)
    rows = {(row.store, row.date): row for row in frame.itertuples()}
    opened = frame.groupby("store")["date"].min()
    for row in frame.itertuples():
        dates = [row.date - day, row.date]
        targets = [row.date + h * day for h in horizons]
        if not all((row.store, date) in rows for date in dates + targets):
            continue
        if (dates[0] - opened[row.store]).days % stride:
            continue
        steps = []
        for date in dates:
            steps.append([getattr(rows[row.store, date], name) for name in COLUMNS])
            for h in horizons:
                if h > 0:
                    later = rows[row.store, date + h * day]
                    steps[-1] += [getattr(later, name) for name in known]
        yield row.store, row.date, steps, targets


@pytest.mark.parametrize("stride", [1, 3])
@pytest.mark.parametrize("known", [[], ["promotion"], ["price", "promotion"]])
@pytest.mark.parametrize("horizons", [[1], [1, 2, 3], [0, 2], [3]], ids=str)
def test_windows_of_a_panel_are_equal_to_a_loop(horizons, known, stride):
    frame = make_panel()
    X, y, index = cut_panel(frame, horizon=horizons, known=known or None, stride=stride)

    expected = list(panel_in_a_loop(frame, horizons, known, stride))
    sales = frame.set_index(["store", "date"])["sales"]
    assert len(expected) > 2
    assert_array_equal(X, [steps for _, _, steps, _ in expected])
    assert index.index.tolist() == [(store, end) for store, end, _, _ in expected]
    assert (
        index.to_numpy().tolist()
        == pd.DataFrame([targets for *_, targets in expected]).to_numpy().tolist()
    )
    assert_array_equal(
        y, [[sales[store, t] for t in targets] for store, _, _, targets in expected]
    )


def test_the_index_is_named_after_groups_and_horizons():
    index = cut_panel(make_panel(), horizon=range(1, 3))[2]

    assert index.index.names == ["store", "cutoff"]
    assert index.columns.tolist() == [1, 2]
    assert index.columns.name == "horizon"
    assert (index.dtypes == make_panel()["date"].dtype).all()


def test_unnamed_groups_are_called_group_in_the_index():
    frame = make_panel()

    index = cut_panel(frame, groups=frame["store"].to_numpy())[2]

    assert index.index.names == ["group", "cutoff"]


def test_categories_stay_categories_in_the_index():
    frame = make_panel()
    stores = pd.Categorical(frame["store"], ["c", "b", "a", "unused"])

    index = cut_panel(frame, groups=pd.Series(stores, name="store"))[2]

    expected = cut_panel(frame)[2].index.get_level_values("store")
    assert isinstance(index.index.levels[0].dtype, pd.CategoricalDtype)
    assert index.index.get_level_values("store").tolist() == expected.tolist()


def test_answers_join_the_frame_in_one_line():
    frame = make_panel()
    _, y, index = cut_panel(frame, horizon=[1, 2])

    long = index.stack().rename("date").to_frame().assign(forecast=y.ravel())
    joined = long.reset_index().merge(frame, on=["store", "date"])

    assert joined.columns.tolist()[:5] == [
        "store",
        "cutoff",
        "horizon",
        "date",
        "forecast",
    ]
    assert len(joined) == y.size
    assert_array_equal(joined["forecast"], joined["sales"])
    assert ((joined["date"] - joined["cutoff"]).dt.days == joined["horizon"]).all()


def test_without_groups_the_index_has_the_cutoffs_only():
    dates = pd.period_range("2024-01", periods=6, freq="M")

    index = make_windows(
        np.arange(6), window_size=3, horizon=2, times=dates, return_index=True
    )[2]

    assert index.index.name == "cutoff"
    assert index.index.astype(str).tolist() == ["2024-03", "2024-04"]
    assert index[2].astype(str).tolist() == ["2024-05", "2024-06"]


def test_without_times_rows_are_numbered_within_their_group():
    index = cut_panel(make_panel((4, 5), (0, 0)), times=None, horizon=[1, 2])[2]

    assert index.index.tolist() == [("b", 1), ("a", 1), ("a", 2)]
    assert index.to_numpy().tolist() == [[2, 3], [2, 3], [3, 4]]


def test_the_index_does_not_change_windows_and_targets():
    frame = make_panel()
    arguments = (frame[COLUMNS], frame["sales"])
    params = {"window_size": 2, "groups": frame["store"], "horizon": [1, 2]}

    plain = make_windows(*arguments, **params)
    indexed = make_windows(*arguments, **params, times=frame["date"], return_index=True)

    assert len(plain) == 2
    assert_array_equal(indexed[0], plain[0], strict=True)
    assert_array_equal(indexed[1], plain[1], strict=True)


@pytest.mark.parametrize("known", [1, [1], np.array([1])], ids=["int", "list", "array"])
def test_known_columns_of_arrays_are_given_by_index(known):
    frame = make_panel()

    X = cut_panel(frame, known="promotion", horizon=[1, 2])[0]
    same = make_windows(
        frame[COLUMNS].to_numpy(),
        frame["sales"],
        window_size=2,
        horizon=[1, 2],
        groups=frame["store"],
        known=known,
    )[0]

    assert_array_equal(same, X, strict=True)


def test_windows_with_known_columns_are_a_view_if_there_is_one_series():
    X = make_series(500, 3)

    windows, _ = make_windows(X, X[:, 0], window_size=50, horizon=[1, 2, 3], known=[2])

    low, high = np.lib.array_utils.byte_bounds(windows)
    assert windows.shape == (448, 50, 6)
    assert high - low <= 500 * 6 * X.itemsize
    assert not windows.flags.writeable


def with_future(frame, n):
    """Return the frame with the values of the last n rows of each group unknown."""
    is_future = frame.groupby("store").cumcount(ascending=False) < n
    unknown = ["sales", "price"]
    return frame.assign(**{name: frame[name].mask(is_future) for name in unknown})


def test_the_latest_windows_are_those_before_the_rows_to_forecast():
    frame = make_panel()
    X, _, index = cut_panel(frame, horizon=[1, 3], known=["promotion"])
    last = index.groupby("store", sort=False).cumcount(ascending=False) == 0

    latest, y, index_latest = cut_panel(
        with_future(frame, 3), horizon=[1, 3], known=["promotion"], latest=True
    )

    # Store a has four rows, which is too few.
    assert y is None
    assert index_latest.index.get_level_values("store").tolist() == ["b", "c"]
    assert_array_equal(latest, X[last], strict=True)
    pd.testing.assert_frame_equal(index_latest, index[last])


def test_without_known_columns_the_latest_windows_end_with_the_last_rows():
    frame = make_panel()
    short = frame[frame.groupby("store").cumcount(ascending=False) >= 3]

    X, y, index = cut_panel(short, horizon=[1, 3], latest=True)

    assert y is None
    assert_array_equal(X[0], short[short["store"] == "b"][COLUMNS].tail(2))
    assert_array_equal(X[1], short[short["store"] == "c"][COLUMNS].tail(2))
    # The times of the targets continue those of the rows.
    expected = cut_panel(
        with_future(frame, 3), horizon=[1, 3], known="promotion", latest=True
    )[2]
    pd.testing.assert_frame_equal(index, expected)


def test_forecasts_of_new_days_are_those_of_the_same_windows():
    frame = make_panel((30, 20, 25), (0, 10, 5))
    cut = partial(cut_panel, horizon=[1, 2], known=["promotion"])
    X, y, _ = cut(frame)
    model = tiny_regressor().set_params(target_feature=0).fit(X, y)

    forecast = model.predict(cut(with_future(frame, 2), latest=True)[0])

    ends = np.cumsum([30, 20, 25]) - 3 * np.arange(1, 4) - 1
    assert_array_equal(forecast, model.predict(X)[ends])


LATEST = {"latest": True, "known": "promotion", "horizon": 2}
INVALID_PANELS = {
    "unknown name": (
        {"known": "promo"},
        "known must name columns of X. Got 'promo', but X has ['sales', 'promotion', "
        "'price']. Add it to X.",
    ),
    "too high an index": (
        {"known": 3},
        "known must name columns of X. Got 3, but X has ['sales', 'promotion', "
        "'price']. Add it to X.",
    ),
    "name in an array": (
        {"X": np.ones((7, 3)), "known": ["price"]},
        "known must name columns of X. Got 'price', but X has 3 columns without names. "
        "Add it to X.",
    ),
    "no names": (
        {"known": []},
        "known must name at least one column of X. Got none.",
    ),
    "1-D X": (
        {"X": np.ones(7), "known": 0},
        "X must have columns if some are known in advance. Got X of shape (7,) and "
        "known=0. Pass a frame, or an array with a column for each.",
    ),
    "known at horizon 0": (
        {"known": "price", "horizon": 0},
        "known must be None if no horizon is above 0. Got 'price' for horizon=0. Make "
        "the columns part of X only.",
    ),
    "no rows to forecast": (
        LATEST,
        "X must end, in each group, with the max(horizon) = 2 rows to forecast if "
        "latest=True and some columns are known, with NaN in columns that are not. Got "
        "values of all columns in row 5. Append such rows.",
    ),
    "too many rows to forecast": (
        {"X": with_future(make_panel((7,), (0,)), 3)[COLUMNS], **LATEST},
        "X must have no NaN in the latest window of a group, nor in known columns "
        "after it. Got one in rows 3 to 6. Impute the values; drop rows after the 2 "
        "rows to forecast.",
    ),
    "latest of short series": (
        {"window_size": 8, "latest": True},
        "groups must have at least window_size = 8 rows in one group. Got 7 in the "
        "largest. Lower window_size or horizon.",
    ),
}


@pytest.mark.parametrize(
    ("params", "message"), INVALID_PANELS.values(), ids=INVALID_PANELS
)
def test_invalid_panels_raise(params, message):
    frame = make_panel((7,), (0,))
    arguments = {"X": frame[COLUMNS], "y": frame["sales"], "window_size": 2}
    with raises(ValueError, message):
        make_windows(**{**arguments, "groups": frame["store"], **params})
