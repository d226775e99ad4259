"""Sliding windows over a time series, as views of its memory."""

from __future__ import annotations

import hashlib
from collections.abc import Hashable, Iterable, Sequence
from numbers import Integral
from typing import Any, Literal, Required, Self, TypedDict, Unpack, overload

import numpy as np
import pandas as pd
from numpy.lib.stride_tricks import sliding_window_view
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils.validation import check_array, check_is_fitted, validate_data

from skrnn._compat import Interval, StrOptions
from skrnn._documentation import DocumentationLinkMixin
from skrnn._preprocessing.times import (
    Frequency,
    TimeAxis,
    check_times,
    read_times,
)
from skrnn._typing import AnyArray, ArrayLike, IntArray


class SlidingWindow(DocumentationLinkMixin, TransformerMixin, BaseEstimator):
    """Transform each row of a time series into the window of rows that ends with it.

    Row t becomes the rows `t - window_size + 1, ..., t`. The number and order of rows
    are preserved, so that y needs no change in a `Pipeline`. No window contains later
    rows, so that splitters such as `TimeSeriesSplit` do not leak. To split a series
    into windows and targets beforehand, use `make_windows`.

    Parameters
    ----------
    window_size : int, default=12
        Number of rows of a window.

    padding : {'edge', 'zeros'}, default='edge'
        How rows before the first are filled: with copies of the first, or with zeros.

    carry_over : bool, default=False
        Whether `transform` uses the last `window_size - 1` rows of `fit` in place of
        padding, for rows that directly follow those of `fit`, as a test set follows a
        training set. If X of `transform` starts with the rows of `fit`, it is padded.
        All other rows are assumed to directly follow those of `fit`.

    Attributes
    ----------
    n_features_in_ : int
        Number of columns of X.

    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Column names, if X was a DataFrame with string columns.

    See Also
    --------
    make_windows : Splits a time series into windows and targets.

    Notes
    -----
    The output is a read-only view, which needs the memory of the series, not
    `window_size` times as much. Copy it before changing it.

    Examples
    --------
    >>> import numpy as np
    >>> from skrnn import SlidingWindow
    >>> series = np.array([[1.0], [2.0], [3.0], [4.0]])
    >>> SlidingWindow(window_size=3).fit_transform(series)[:, :, 0]
    array([[1., 1., 1.],
           [1., 1., 2.],
           [1., 2., 3.],
           [2., 3., 4.]])
    >>> window = SlidingWindow(window_size=3, carry_over=True).fit(series)
    >>> window.transform([[5.0]])[:, :, 0]
    array([[3., 4., 5.]])
    """

    _parameter_constraints: dict = {
        "window_size": [Interval(Integral, 1, None, closed="left")],
        "padding": [StrOptions({"edge", "zeros"})],
        "carry_over": ["boolean"],
    }

    def __init__(
        self,
        window_size: int = 12,
        *,
        padding: Literal["edge", "zeros"] = "edge",
        carry_over: bool = False,
    ) -> None:
        self.window_size = window_size
        self.padding = padding
        self.carry_over = carry_over

    def fit(self, X: ArrayLike | pd.DataFrame, y: Any = None) -> Self:
        """Learn the columns, and with `carry_over` the last rows.

        Parameters
        ----------
        X : array-like or DataFrame of shape (n_rows, n_features)
            The series, oldest row first.

        y : ignored
            Present for `Pipeline`.

        Returns
        -------
        self : object
            The fitted transformer.
        """
        self._fit(X)
        return self

    def fit_transform(self, X: ArrayLike | pd.DataFrame, y: Any = None) -> AnyArray:
        """Fit and return the windows of X.

        Parameters
        ----------
        X : array-like or DataFrame of shape (n_rows, n_features)
            The series, oldest row first.

        y : ignored
            Present for `Pipeline`.

        Returns
        -------
        windows : ndarray of shape (n_rows, window_size, n_features)
            A read-only view.
        """
        return self._windows(self._fit(X), history=None)

    def transform(self, X: ArrayLike | pd.DataFrame) -> AnyArray:
        """Return the window that ends with each row.

        Parameters
        ----------
        X : array-like or DataFrame of shape (n_rows, n_features)
            Rows of a series, oldest first.

        Returns
        -------
        windows : ndarray of shape (n_rows, window_size, n_features)
            A read-only view.
        """
        check_is_fitted(self)
        X = validate_data(self, X, reset=False, dtype="numeric")
        history = None
        if self.carry_over:
            starts_with_fit = fingerprint(X[: self._n_rows]) == self._fingerprint
            history = None if starts_with_fit else self._last_rows
        return self._windows(X, history)

    def set_output(self, *, transform: Any = None) -> Self:
        """Do nothing, since 3-D output cannot be a DataFrame.

        Parameters
        ----------
        transform : ignored
            Present for `Pipeline.set_output`.

        Returns
        -------
        self : object
            The transformer.
        """
        return self

    def _fit(self, X: ArrayLike | pd.DataFrame) -> AnyArray:
        self._validate_params()
        X = validate_data(self, X, dtype="numeric")
        if self.carry_over:
            n_kept = min(len(X), self.window_size - 1)
            self._last_rows = X[len(X) - n_kept :].copy()
            self._n_rows = len(X)
            self._fingerprint = fingerprint(X)
        return X

    def _windows(self, X: AnyArray, history: AnyArray | None) -> AnyArray:
        n_missing = self.window_size - 1
        if history is None:
            history = X[:0]
        n_padded = n_missing - len(history)
        first = history[:1] if len(history) else X[:1]
        if self.padding == "zeros":
            first = np.zeros_like(first)
        pad = np.repeat(first, n_padded, axis=0)
        series = np.concatenate([pad, history, X])
        return window_view(series, self.window_size)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags


class WindowOptions(TypedDict, total=False):
    """Options of `make_windows` that do not change the types of what it returns."""

    window_size: Required[int]
    horizon: int | Iterable[int]
    stride: int
    groups: ArrayLike | None
    times: ArrayLike | Sequence[Any] | None
    freq: Frequency | None
    known: str | int | Iterable[Hashable] | None


@overload
def make_windows(
    X: ArrayLike | pd.DataFrame,
    y: ArrayLike | pd.DataFrame | None = None,
    *,
    latest: Literal[False] = False,
    return_index: Literal[False] = False,
    **options: Unpack[WindowOptions],
) -> tuple[AnyArray, AnyArray]: ...


@overload
def make_windows(
    X: ArrayLike | pd.DataFrame,
    y: ArrayLike | pd.DataFrame | None = None,
    *,
    latest: Literal[False] = False,
    return_index: Literal[True],
    **options: Unpack[WindowOptions],
) -> tuple[AnyArray, AnyArray, pd.DataFrame]: ...


@overload
def make_windows(
    X: ArrayLike | pd.DataFrame,
    y: ArrayLike | pd.DataFrame | None = None,
    *,
    latest: Literal[True],
    return_index: Literal[False] = False,
    **options: Unpack[WindowOptions],
) -> tuple[AnyArray, None]: ...


@overload
def make_windows(
    X: ArrayLike | pd.DataFrame,
    y: ArrayLike | pd.DataFrame | None = None,
    *,
    latest: Literal[True],
    return_index: Literal[True],
    **options: Unpack[WindowOptions],
) -> tuple[AnyArray, None, pd.DataFrame]: ...


def make_windows(
    X: ArrayLike | pd.DataFrame,
    y: ArrayLike | pd.DataFrame | None = None,
    *,
    window_size: int,
    horizon: int | Iterable[int] = 1,
    stride: int = 1,
    groups: ArrayLike | None = None,
    times: ArrayLike | Sequence[Any] | None = None,
    freq: Frequency | None = "infer",
    known: str | int | Iterable[Hashable] | None = None,
    latest: bool = False,
    return_index: bool = False,
) -> tuple[AnyArray, AnyArray | None] | tuple[AnyArray, AnyArray | None, pd.DataFrame]:
    """Split one or several time series into windows and the targets that follow them.

    A window does not contain its target, unless `horizon=0`, so that the pairs can be
    split by time and fitted without a pipeline. For one window per row in a
    `Pipeline`, use `SlidingWindow`.

    Parameters
    ----------
    X : array-like of shape (n_rows,) or (n_rows, n_features)
        The series, oldest row first.

    y : array-like of shape (n_rows,) or (n_rows, n_outputs), default=None
        The values to predict, one for each row of X. None stands for X itself, which
        must then have one column.

    window_size : int
        Number of rows of a window.

    horizon : int or iterable of int, default=1
        Number of rows from the last row of a window to its target. Several horizons
        yield one column each. 0, the last row itself, is valid only if y is given.

    stride : int, default=1
        Number of rows from the start of a window to the start of the next, counted from
        the first row of a group.

    groups : array-like of shape (n_rows,), default=None
        The series of each row; rows of the same series must be adjacent. A window and
        its target belong to the same series. With `y=groups`, the targets are the
        series of the windows, for the `groups` of a splitter or of `fit`.

    times : array-like of shape (n_rows,), default=None
        The time of each row: dates, with or without a time zone, periods, durations or
        numbers, which must increase within each group. None stands for the number of
        the row within its group, from 0.

    freq : str, pandas offset, number, 'infer' or None, default='infer'
        The frequency of `times`, from which no time may be missing between the first
        and the last row of a group, since horizons count rows. 'infer' finds it in the
        times of all groups together. None allows gaps, for example of holidays and of
        groups with times of their own.

    known : column name or index, or list of them, default=None
        Columns of X whose values are known in advance, such as promotions, prices and
        the calendar. Each time step of a window then has, after the columns of X, the
        values of these columns at each horizon above 0 from that step, one horizon
        after the other. The last step has those at the times of the targets.

    latest : bool, default=False
        Whether to return the latest window of each group only, from which to forecast
        what follows the rows of X. With `known`, the last `max(horizon)` rows of each
        group are those to forecast: the known columns of these rows are read; of the
        others, at least one must be NaN. There are no targets, y is not read, and
        `stride` has no effect.

    return_index : bool, default=False
        Whether to return the group and the times of each window too.

    Returns
    -------
    windows : ndarray of shape (n_windows, window_size[, n_features])
        One dimension more than X. With `known`, n_features is the number of columns of
        X plus those of `known` for each horizon. Without groups, a read-only view: of
        X, or with `known`, of a series with these columns.

    targets : ndarray of shape (n_windows,) or (n_windows, k), or None
        k is the number of horizons or outputs. None with `latest`.

    index : DataFrame of shape (n_windows, n_horizons)
        Only with `return_index`: the time of each target, in a column for each horizon.
        The rows are labelled by the group, if there are any, and by the `cutoff`, the
        time of the last row of the window. With `latest`, times after the last row
        continue at the frequency; they are missing with `freq=None`.

    Raises
    ------
    ValueError
        If no series is long enough for one window and its target, if the times of a
        group do not increase or have a gap, or if the shapes of X, y, `horizon`,
        `groups` and `times` do not match.

    See Also
    --------
    PanelSplit : Splits windows by time, over all groups.
    SlidingWindow : Transformer to the window that ends with each row.
    sequences_from_frame : Returns the whole series of each group.

    Notes
    -----
    A frame of several series is sorted by group and time first:
    `frame.sort_values(["store", "date"])`. In a forecast of `y`, which continues the
    first column of X, `target_feature=0` tells a regressor so. Values known in advance
    are features of every step, so that its linear model, which reads the last step, has
    those of all horizons.

    Answers of shape (n_windows, n_horizons) become a long frame, which can be merged
    with the rows by group and time, by
    `index.stack().rename("date").to_frame().assign(forecast=answers.ravel())`.

    Examples
    --------
    >>> from skrnn import make_windows
    >>> X, y = make_windows([1, 2, 3, 4, 5], window_size=3)
    >>> X
    array([[1, 2, 3],
           [2, 3, 4]])
    >>> y
    array([4, 5])
    >>> make_windows([1, 2, 3, 4, 5], window_size=2, horizon=[1, 2])[1]
    array([[3, 4],
           [4, 5]])

    Two stores, whose promotions are known in advance:

    >>> import pandas as pd
    >>> frame = pd.DataFrame(
    ...     {
    ...         "store": ["a"] * 4 + ["b"] * 3,
    ...         "date": pd.to_datetime(
    ...             [f"2024-05-0{day}" for day in (1, 2, 3, 4, 2, 3, 4)]
    ...         ),
    ...         "sales": [5.0, 6.0, 9.0, 8.0, 1.0, 2.0, 5.0],
    ...         "promotion": [0, 0, 1, 1, 0, 0, 1],
    ...     }
    ... )
    >>> X, y, index = make_windows(
    ...     frame[["sales", "promotion"]],
    ...     frame["sales"],
    ...     window_size=2,
    ...     groups=frame["store"],
    ...     times=frame["date"],
    ...     known="promotion",
    ...     return_index=True,
    ... )
    >>> X[0]  # sales, promotion, promotion of the next day
    array([[5., 0., 0.],
           [6., 0., 1.]])
    >>> y
    array([9., 8., 5.])
    >>> index
    horizon                   1
    store cutoff
    a     2024-05-02 2024-05-03
          2024-05-03 2024-05-04
    b     2024-05-03 2024-05-04
    """
    names = list(X.columns) if hasattr(X, "columns") else None
    X = _check_series(X, "X", allow_nan=latest and known is not None)
    horizons, several = _check_horizon(horizon, y)
    for name, value in (("window_size", window_size), ("stride", stride)):
        if not isinstance(value, Integral) or value < 1:
            raise ValueError(f"{name} must be an int >= 1. Got {value!r}.")
    values: Any = None if latest else _check_targets(X, y, several)
    columns = None if known is None else _known_columns(known, X, names, horizons)
    rows = GroupedRows(groups, len(X))
    axis: Any = None  # a TimeAxis wherever it is read
    if times is not None:
        times = read_times(times, len(X))
        axis = check_times(times, rows.starts, rows.groups, freq)
    elif return_index:
        axis = TimeAxis(pd.Index(rows.numbers()), freq=1)

    is_open = latest and known is None  # windows that no rows need to follow
    n_needed = window_size + (0 if is_open else max(horizons))
    if latest:
        firsts = rows.last_starts(n_needed)
    elif groups is None:
        firsts = np.arange(0, len(X) - n_needed + 1, stride)
    else:
        firsts = rows.all_starts(n_needed, stride)
    if not len(firsts):
        raise ValueError(_too_short(rows, n_needed, is_open))
    if columns is not None:
        n_columns = X.shape[1]
        X = _with_known(X, columns, horizons)
    windows = window_view(X, window_size)
    if latest:
        windows = windows[firsts]
        if columns is not None:
            _check_future(windows, X[:, :n_columns], columns, firsts, n_needed)
    elif groups is None:
        windows = windows[: len(X) - n_needed + 1 : stride]
    else:
        windows = windows[firsts]
    ends = firsts + window_size - 1
    targets = None
    if not latest:
        targets = values[ends + horizons[0]]
        if several:
            targets = np.stack([values[ends + h] for h in horizons], axis=1)
    if not return_index:
        return windows, targets
    return windows, targets, _index(rows, axis, ends, horizons, is_open)


def window_view(series: AnyArray, window_size: int) -> AnyArray:
    """Return all windows of a series as a read-only view, time before features."""
    view = sliding_window_view(series, window_size, axis=0)
    return np.moveaxis(view, -1, 1)


def fingerprint(X: AnyArray) -> bytes:
    """Return a digest of shape and values, computed in chunks to save memory."""
    digest = hashlib.blake2b(repr(X.shape).encode(), digest_size=16)
    for first in range(0, len(X), 2**16):
        # numpy's types do not say that arrays are buffers on Python 3.11.
        digest.update(np.ascontiguousarray(X[first : first + 2**16], dtype=np.float64))  # type: ignore[arg-type]
    return digest.digest()


class GroupedRows:
    """Rows that belong to one or several series, each in adjacent rows.

    Parameters
    ----------
    groups : array-like of shape (n_rows,) or None
        The series of each row.

    n_rows : int

    Attributes
    ----------
    groups : pandas Index or None
        The series of each row.

    starts, stops : ndarray of int
        The first row of each series, and the one after its last.
    """

    groups: pd.Index | None
    starts: IntArray
    stops: IntArray

    def __init__(self, groups: ArrayLike | None, n_rows: int) -> None:
        if groups is None:
            self.groups, self.starts = None, np.zeros(1, dtype=np.intp)
            self.stops = np.array([n_rows])
            return
        labels = np.asarray(groups)
        if labels.shape != (n_rows,):
            raise ValueError(
                f"groups must have shape ({n_rows},), one entry for each row of X. Got "
                f"shape {labels.shape}."
            )
        missing = pd.isna(labels)
        if missing.any():
            raise ValueError(
                "groups must not contain missing values. Got one for row "
                f"{missing.argmax()}."
            )
        borders = np.flatnonzero(labels[1:] != labels[:-1]) + 1
        self.starts = np.concatenate([[0], borders])
        self.stops = np.concatenate([borders, [n_rows]])
        if len(np.unique(labels)) < len(self.starts):
            raise ValueError(
                "groups must have adjacent rows for each group. Got a group in several "
                "pieces. Sort the rows by group and time."
            )
        is_pandas = isinstance(groups, (pd.Series, pd.Index))
        self.groups = pd.Index(groups if is_pandas else labels, tupleize_cols=False)
        self.groups.name = getattr(groups, "name", None) or "group"

    def numbers(self) -> IntArray:
        """Return the number of each row within its group."""
        sizes = self.stops - self.starts
        return np.arange(self.stops[-1]) - np.repeat(self.starts, sizes)

    def all_starts(self, n_needed: int, stride: int) -> IntArray:
        """Return the first rows of windows that, with their targets, are in a group."""
        bounds = zip(self.starts, self.stops, strict=True)
        return np.concatenate(
            [np.arange(start, stop - n_needed + 1, stride) for start, stop in bounds]
        )

    def last_starts(self, n_needed: int) -> IntArray:
        """Return the first row of the last of these windows of each group."""
        return (self.stops - n_needed)[self.stops - self.starts >= n_needed]


def _too_short(rows: GroupedRows, n_needed: int, is_open: bool) -> str:
    """Return the message of an error for series that are too short for a window."""
    words = "window_size" if is_open else "window_size + horizon"
    largest = int((rows.stops - rows.starts).max())
    if rows.groups is None:
        return (
            f"X must have at least {words} = {n_needed} rows. Got {largest}. Lower "
            "window_size or horizon."
        )
    return (
        f"groups must have at least {words} = {n_needed} rows in one group. Got "
        f"{largest} in the largest. Lower window_size or horizon."
    )


def _check_series(X: Any, name: str, allow_nan: bool = False) -> AnyArray:
    X = check_array(
        X,
        ensure_2d=False,
        allow_nd=True,
        dtype=None,
        input_name=name,
        ensure_all_finite="allow-nan" if allow_nan else True,
    )
    if X.ndim not in (1, 2):
        raise ValueError(
            f"{name} must have shape (n_rows,) or (n_rows, n_columns). Got shape "
            f"{X.shape}."
        )
    return X


def _check_targets(X: AnyArray, y: Any, several: bool) -> AnyArray:
    """Return the value to predict of each row."""
    if y is None:
        if X.ndim == 2 and X.shape[1] > 1:
            raise ValueError(
                "y must be given when X has several columns. Got X of shape "
                f"{X.shape}. Pass the column to predict, for example y=X[:, 0]."
            )
        return X.reshape(len(X))
    y = _check_series(y, "y")
    if len(y) != len(X):
        raise ValueError(
            f"y must have a value for each row of X. Got {len(y)} for {len(X)} rows."
        )
    if several and y.ndim == 2 and y.shape[1] == 1:
        y = y[:, 0]
    if several and y.ndim == 2:
        raise ValueError(
            "y must have one column if there are several horizons. Got shape "
            f"{y.shape}. Call make_windows for each column."
        )
    return y


def _check_horizon(horizon: Any, y: object) -> tuple[list[int], bool]:
    """Return the horizons as a list, and whether `horizon` was iterable."""
    several = isinstance(horizon, Iterable)
    horizons = list(horizon) if several else [horizon]
    lowest = 0 if y is not None else 1
    # mypy does not know that numbers compare.
    valid = all(isinstance(h, Integral) and h >= lowest for h in horizons)  # type: ignore[operator]
    if not horizons or not valid:
        raise ValueError(
            f"horizon must be an int >= {lowest}, or an iterable of them. Got "
            f"{horizon!r}. For horizon=0, the last row of a window, pass y."
        )
    return [int(h) for h in horizons], several


def _known_columns(
    known: Any, X: AnyArray, names: list[Hashable] | None, horizons: list[int]
) -> list[int]:
    """Return the indices of the columns of X that are known in advance."""
    if max(horizons) == 0:
        raise ValueError(
            "known must be None if no horizon is above 0. Got "
            f"{known!r} for horizon=0. Make the columns part of X only."
        )
    if X.ndim == 1:
        raise ValueError(
            "X must have columns if some are known in advance. Got X of shape "
            f"{X.shape} and known={known!r}. Pass a frame, or an array with a column "
            "for each."
        )
    wanted: list[Any] = [known] if isinstance(known, (str, Integral)) else list(known)
    if not wanted:
        raise ValueError("known must name at least one column of X. Got none.")
    columns = []
    for column in wanted:
        if names is not None and column in names:
            columns.append(names.index(column))
        # mypy does not know that numbers compare.
        elif isinstance(column, Integral) and 0 <= column < X.shape[1]:  # type: ignore[operator]
            columns.append(int(column))
        else:
            raise ValueError(
                f"known must name columns of X. Got {column!r}, but X has "
                f"{names if names is not None else X.shape[1]}"
                f"{'' if names is not None else ' columns without names'}. Add it to X."
            )
    return columns


def _with_known(X: AnyArray, columns: list[int], horizons: list[int]) -> AnyArray:
    """Return the series with further columns: known ones at each horizon above 0.

    The last rows have no such values, and are in no window.
    """
    ahead = [h for h in horizons if h > 0]
    n, n_own, n_known = len(X), X.shape[1], len(columns)
    series = np.empty((n, n_own + len(ahead) * n_known), dtype=X.dtype)
    series[:, :n_own] = X
    for i, h in enumerate(ahead):
        part = series[:, n_own + i * n_known : n_own + (i + 1) * n_known]
        part[: n - h] = X[h:, columns]
        part[n - h :] = X[-1, columns]
    return series


def _check_future(
    windows: AnyArray,
    X: AnyArray,
    columns: list[int],
    firsts: IntArray,
    n_needed: int,
) -> None:
    """Raise an error unless the latest windows end with the last rows that are known.

    Parameters
    ----------
    windows : ndarray of shape (n_windows, window_size, n_features)
        The latest windows, with the known columns at each horizon.

    X : ndarray of shape (n_rows, n_columns)

    columns : list of int
        Those of X that are known in advance.

    firsts : ndarray of int
        The first row of each window.

    n_needed : int
        Number of rows of a window and of those to forecast.
    """
    n_future = n_needed - windows.shape[1]
    if len(set(columns)) < X.shape[1]:
        missing = pd.isna(np.delete(X, columns, axis=1)).any(axis=1)
        future = firsts[:, None] + np.arange(windows.shape[1], n_needed)
        given = np.flatnonzero(~missing[future].ravel())
        if len(given):
            raise ValueError(
                "X must end, in each group, with the max(horizon) = "
                f"{n_future} rows to forecast if latest=True and some columns are "
                "known, with NaN in columns that are not. Got values of all columns "
                f"in row {future.ravel()[given[0]]}. Append such rows."
            )
    wrong = pd.isna(windows).any(axis=(1, 2))
    if wrong.any():
        row = firsts[wrong.argmax()]
        raise ValueError(
            "X must have no NaN in the latest window of a group, nor in known columns "
            f"after it. Got one in rows {row} to {row + n_needed - 1}. Impute the "
            f"values; drop rows after the {n_future} rows to forecast."
        )


def _index(
    rows: GroupedRows,
    axis: TimeAxis,
    ends: IntArray,
    horizons: list[int],
    is_open: bool,
) -> pd.DataFrame:
    """Return the times of targets, labelled by groups and the times of the ends."""
    times = [axis.after(ends, h) if is_open else axis.at(ends + h) for h in horizons]
    cutoffs = axis.at(ends).rename("cutoff")
    if rows.groups is not None:
        cutoffs = pd.MultiIndex.from_arrays([rows.groups.take(ends), cutoffs])
    index = pd.DataFrame(dict(enumerate(times)), copy=False)
    index.index, index.columns = cutoffs, pd.Index(horizons, name="horizon")
    return index
