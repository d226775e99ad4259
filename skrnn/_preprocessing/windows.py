"""Windows over a time series, as views of its memory."""

import hashlib
from collections.abc import Iterable
from numbers import Integral

import numpy as np
import pandas as pd
from numpy.lib.stride_tricks import sliding_window_view
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils.validation import check_array, check_is_fitted, validate_data

from skrnn._compat import Interval, StrOptions


class SlidingWindow(TransformerMixin, BaseEstimator):
    """Turn each row of a time series into the window of rows that ends with it.

    Rows keep their number and their order: row t becomes the rows
    `t - window_size + 1, ..., t`. So it fits into a `Pipeline` with y untouched, and
    a splitter that respects time, such as `TimeSeriesSplit`, stays honest, since no
    window reaches forward. To cut windows together with their targets before a split,
    use `make_windows`.

    Parameters
    ----------
    window_size : int, default=12
        Rows of a window.

    padding : {'edge', 'zeros'}, default='edge'
        What stands before the first row: the first row again, or zeros.

    carry_over : bool, default=False
        Whether the last `window_size - 1` rows seen in `fit` come before the rows
        given to `transform`, as their history, in place of padding. For rows that
        follow those of `fit`, as a test part follows a training part. `transform` of
        the very rows of `fit`, alone or with rows behind them, still begins with the
        padding. Any other rows are taken to follow those of `fit` directly: rows from
        before or from later on would get a false history.

    Attributes
    ----------
    n_features_in_ : int
        Columns of X.

    feature_names_in_ : ndarray of shape (n_features_in_,)
        Column names, if X was a DataFrame with string columns.

    See Also
    --------
    make_windows : Cuts windows and their targets before a split.

    Notes
    -----
    The output is a read-only view: its memory is that of the series, not
    `window_size` times it. Copy it before changing it.

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
        """Fit, and return the windows of X.

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
            begins_alike = fingerprint(X[: self._n_rows]) == self._fingerprint
            history = None if begins_alike else self._last_rows
        return self._windows(X, history)

    def set_output(self, *, transform=None):
        """Do nothing: windows are 3-D and cannot be a frame.

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
        return windows_of(series, self.window_size)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags


def make_windows(X, y=None, *, window_size, horizon=1, stride=1, groups=None):
    """Cut a time series into windows and the targets that follow them.

    A window and its target never share a row (but for `horizon=0`), so pairs can be
    split in time and fitted without a pipeline. To keep one window for each row
    inside a `Pipeline`, use `SlidingWindow`.

    Parameters
    ----------
    X : array-like of shape (n_rows,) or (n_rows, n_features)
        The series, oldest row first.

    y : array-like of shape (n_rows,) or (n_rows, n_outputs), default=None
        What is to be predicted, row by row; None for X itself, which must then have
        one column.

    window_size : int
        Rows of a window.

    horizon : int or iterable of int, default=1
        How many rows after the last row of its window the target stands. Several
        horizons give a column each. 0, the last row itself, only if y is given.

    stride : int, default=1
        Rows from the beginning of one window to the beginning of the next.

    groups : array-like of shape (n_rows,), default=None
        The series that each row belongs to; the rows of one must stand together. No
        window reaches from one into another, nor does a target. Called with
        `y=groups` as well, it returns the series of each window as targets, for the
        `groups` of a splitter or of `fit`.

    Returns
    -------
    windows : ndarray of shape (n_windows, window_size[, n_features])
        With one axis more than X. Without groups a read-only view of X.

    targets : ndarray of shape (n_windows,) or (n_windows, k)
        `k` horizons or outputs.

    Raises
    ------
    ValueError
        If the series is too short for one window and its target, or if the shapes of
        X, y, `horizon` and `groups` do not fit together.

    See Also
    --------
    SlidingWindow : The window that ends with each row, as a transformer.

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
            raise ValueError(f"{name} must be an int from 1 upwards. Got {value!r}.")
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
            "y must have one column when several horizons are asked for. Got shape "
            f"{y.shape}. Call make_windows for each column."
        )
    last = window_size - 1 + max(horizons)  # of the rows a pair reaches over
    if len(X) <= last:
        raise ValueError(
            f"X must have at least window_size + horizon = {last + 1} rows. Got "
            f"{len(X)}. Lower window_size or horizon."
        )
    starts = np.arange(0, len(X) - last, stride)
    windows = windows_of(X, window_size)
    if groups is None:
        windows = windows[: len(X) - last : stride]
    else:
        starts = _starts_within_groups(groups, len(X), last, stride)
        windows = windows[starts]
    ends = starts + window_size - 1
    if not several:
        return windows, y[ends + horizons[0]]
    return windows, np.stack([y[ends + h] for h in horizons], axis=1)


def windows_of(series, window_size):
    """Return all windows of a series as a read-only view, time before features."""
    view = sliding_window_view(series, window_size, axis=0)
    return np.moveaxis(view, -1, 1)


def fingerprint(X):
    """Return a digest of shape and values, in pieces that need little memory."""
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
    """Return the horizons as a list, and whether several were asked for."""
    several = isinstance(horizon, Iterable)
    horizons = list(horizon) if several else [horizon]
    lowest = 0 if y is not None else 1
    whole = all(isinstance(h, Integral) and h >= lowest for h in horizons)
    if not horizons or not whole:
        raise ValueError(
            f"horizon must be an int from {lowest} upwards, or several. Got "
            f"{horizon!r}. 0 labels the last row of a window and needs y."
        )
    return [int(h) for h in horizons], several


def _starts_within_groups(groups, n_rows, last, stride):
    """Return where windows start that stay, with their targets, in one group."""
    groups = np.asarray(groups)
    if groups.shape != (n_rows,):
        raise ValueError(
            f"groups must have shape ({n_rows},), one entry for each row of X. Got "
            f"shape {groups.shape}."
        )
    missing = pd.isna(groups)
    if missing.any():
        raise ValueError(
            "groups must name the group of every row of X. Got a missing value for "
            f"row {missing.argmax()}."
        )
    borders = np.flatnonzero(groups[1:] != groups[:-1]) + 1
    firsts = np.concatenate([[0], borders])
    ends = np.concatenate([borders, [n_rows]])
    if len(np.unique(groups)) < len(firsts):
        raise ValueError(
            "groups must keep the rows of one group together. Got a group in several "
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
