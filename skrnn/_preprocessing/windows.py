"""Sliding windows over a time series, as views of its memory."""

import hashlib
from collections.abc import Iterable
from numbers import Integral

import numpy as np
import pandas as pd
from numpy.lib.stride_tricks import sliding_window_view
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils.validation import check_array, check_is_fitted, validate_data

from skrnn._compat import Interval, StrOptions
from skrnn._documentation import DocumentationLinkMixin


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

    feature_names_in_ : ndarray of shape (n_features_in_,)
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

    def __init__(self, window_size=12, *, padding="edge", carry_over=False):
        self.window_size = window_size
        self.padding = padding
        self.carry_over = carry_over

    def fit(self, X, y=None):
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

    def fit_transform(self, X, y=None):
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

    def transform(self, X):
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

    def set_output(self, *, transform=None):
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

    def _fit(self, X):
        self._validate_params()
        X = validate_data(self, X, dtype="numeric")
        if self.carry_over:
            n_kept = min(len(X), self.window_size - 1)
            self._last_rows = X[len(X) - n_kept :].copy()
            self._n_rows = len(X)
            self._fingerprint = fingerprint(X)
        return X

    def _windows(self, X, history):
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

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags


def make_windows(X, y=None, *, window_size, horizon=1, stride=1, groups=None):
    """Split a time series into windows and the targets that follow them.

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
        Number of rows from the start of a window to the start of the next.

    groups : array-like of shape (n_rows,), default=None
        The series of each row; rows of the same series must be adjacent. A window and
        its target belong to the same series. With `y=groups`, the targets are the
        series of the windows, for the `groups` of a splitter or of `fit`.

    Returns
    -------
    windows : ndarray of shape (n_windows, window_size[, n_features])
        One dimension more than X. Without groups, a read-only view of X.

    targets : ndarray of shape (n_windows,) or (n_windows, k)
        k is the number of horizons or outputs.

    Raises
    ------
    ValueError
        If the series is too short for one window and its target, or if the shapes of
        X, y, `horizon` and `groups` do not match.

    See Also
    --------
    SlidingWindow : Transformer to the window that ends with each row.

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
    """
    X = _check_series(X, "X")
    horizons, several = _check_horizon(horizon, y)
    for name, value in (("window_size", window_size), ("stride", stride)):
        if not isinstance(value, Integral) or value < 1:
            raise ValueError(f"{name} must be an int >= 1. Got {value!r}.")
    if y is None:
        if X.ndim == 2 and X.shape[1] > 1:
            raise ValueError(
                "y must be given when X has several columns. Got X of shape "
                f"{X.shape}. Pass the column to predict, for example y=X[:, 0]."
            )
        y = X.reshape(len(X))
    else:
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
    last = window_size - 1 + max(horizons)  # from the first row to the last target
    if len(X) <= last:
        raise ValueError(
            f"X must have at least window_size + horizon = {last + 1} rows. Got "
            f"{len(X)}. Lower window_size or horizon."
        )
    starts = np.arange(0, len(X) - last, stride)
    windows = window_view(X, window_size)
    if groups is None:
        windows = windows[: len(X) - last : stride]
    else:
        starts = _starts_within_groups(groups, len(X), last, stride)
        windows = windows[starts]
    ends = starts + window_size - 1
    if not several:
        return windows, y[ends + horizons[0]]
    return windows, np.stack([y[ends + h] for h in horizons], axis=1)


def window_view(series, window_size):
    """Return all windows of a series as a read-only view, time before features."""
    view = sliding_window_view(series, window_size, axis=0)
    return np.moveaxis(view, -1, 1)


def fingerprint(X):
    """Return a digest of shape and values, computed in chunks to save memory."""
    digest = hashlib.blake2b(repr(X.shape).encode(), digest_size=16)
    for first in range(0, len(X), 2**16):
        digest.update(np.ascontiguousarray(X[first : first + 2**16], dtype=np.float64))
    return digest.digest()


def _check_series(X, name):
    X = check_array(X, ensure_2d=False, allow_nd=True, dtype=None, input_name=name)
    if X.ndim not in (1, 2):
        raise ValueError(
            f"{name} must have shape (n_rows,) or (n_rows, n_columns). Got shape "
            f"{X.shape}."
        )
    return X


def _check_horizon(horizon, y):
    """Return the horizons as a list, and whether `horizon` was iterable."""
    several = isinstance(horizon, Iterable)
    horizons = list(horizon) if several else [horizon]
    lowest = 0 if y is not None else 1
    valid = all(isinstance(h, Integral) and h >= lowest for h in horizons)
    if not horizons or not valid:
        raise ValueError(
            f"horizon must be an int >= {lowest}, or an iterable of them. Got "
            f"{horizon!r}. For horizon=0, the last row of a window, pass y."
        )
    return [int(h) for h in horizons], several


def _starts_within_groups(groups, n_rows, last, stride):
    """Return the starts of windows that, with their targets, are in one group."""
    groups = np.asarray(groups)
    if groups.shape != (n_rows,):
        raise ValueError(
            f"groups must have shape ({n_rows},), one entry for each row of X. Got "
            f"shape {groups.shape}."
        )
    missing = pd.isna(groups)
    if missing.any():
        raise ValueError(
            "groups must not contain missing values. Got one for row "
            f"{missing.argmax()}."
        )
    borders = np.flatnonzero(groups[1:] != groups[:-1]) + 1
    firsts = np.concatenate([[0], borders])
    ends = np.concatenate([borders, [n_rows]])
    if len(np.unique(groups)) < len(firsts):
        raise ValueError(
            "groups must have adjacent rows for each group. Got a group in several "
            "pieces. Sort the rows by group and time."
        )
    starts = [np.arange(a, b - last, stride) for a, b in zip(firsts, ends, strict=True)]
    starts = np.concatenate(starts)
    if not len(starts):
        raise ValueError(
            f"groups must have at least window_size + horizon = {last + 1} rows in one "
            f"group. Got {int((ends - firsts).max())} in the largest. Lower "
            "window_size or horizon."
        )
    return starts
