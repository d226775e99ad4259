"""`PanelSplit`, a cross-validator by time over several series."""

from __future__ import annotations

from collections.abc import Iterator, Sequence, Sized
from numbers import Integral
from typing import Any

import numpy as np
import pandas as pd
from sklearn.model_selection import BaseCrossValidator

from skrnn._typing import AnyArray, IntArray


class PanelSplit(BaseCrossValidator):
    """Cross-validator by time, for windows of several series.

    A test part holds the windows of all groups that end at or after a cutoff, and its
    training part the windows whose targets were all known by then: no target is later
    than the cutoff. It is `TimeSeriesSplit` on times instead of rows. Pass it as `cv`
    to `cross_val_score`, `GridSearchCV` and the like.

    Parameters
    ----------
    index : DataFrame
        The index that `make_windows` returns for the windows to split, with
        `return_index=True`, or the rows of it that belong to them.

    n_splits : int, default=5
        Number of splits. Ignored if `cutoffs` are given.

    test_size : int, default=None
        Number of cutoffs, that is of different times at which windows end, in a test
        part. None means all from one split to the next, with about equal parts.

    gap : int, default=0
        Number of cutoffs between the last target of a training part and the first
        cutoff of its test part, beyond what the horizons require. For values that
        become known late.

    max_train_size : int, default=None
        Largest number of cutoffs in a training part, the last ones. None means all.

    cutoffs : list-like of times, default=None
        The first cutoff of each test part: the last time that is known when the
        forecasts are made. None chooses them such that the test parts follow each other
        up to the last cutoff.

    See Also
    --------
    make_windows : Splits time series into windows and targets.

    Notes
    -----
    The steps of test windows may be those of training windows, or their targets: at the
    cutoff, these are known.

    Examples
    --------
    >>> import numpy as np
    >>> from skrnn import PanelSplit, make_windows
    >>> groups, times = ["a"] * 6 + ["b"] * 5, [1, 2, 3, 4, 5, 6, 2, 3, 4, 5, 6]
    >>> X, y, index = make_windows(
    ...     np.arange(11),
    ...     window_size=2,
    ...     horizon=[1, 2],
    ...     groups=groups,
    ...     times=times,
    ...     return_index=True,
    ... )
    >>> index
    horizon       1  2
    group cutoff
    a     2       3  4
          3       4  5
          4       5  6
    b     3       4  5
          4       5  6
    >>> for train, test in PanelSplit(index, cutoffs=[4]).split(X):
    ...     print(train, test)
    [0] [2 4]
    """

    def __init__(
        self,
        index: pd.DataFrame,
        n_splits: int = 5,
        *,
        test_size: int | None = None,
        gap: int = 0,
        max_train_size: int | None = None,
        cutoffs: Sequence[Any] | AnyArray | pd.Index | pd.Series | None = None,
    ) -> None:
        self.index = index
        self.n_splits = n_splits
        self.test_size = test_size
        self.gap = gap
        self.max_train_size = max_train_size
        self.cutoffs = cutoffs

    def __repr__(self) -> str:
        """Return the parameters, with the shape of the index only."""
        names = ("n_splits", "test_size", "gap", "max_train_size", "cutoffs")
        given = ", ".join(f"{name}={getattr(self, name)!r}" for name in names)
        return f"PanelSplit(<index of shape {np.shape(self.index)}>, {given})"

    def get_n_splits(
        self, X: object = None, y: object = None, groups: object = None
    ) -> int:
        """Return the number of splits.

        Parameters
        ----------
        X, y, groups : ignored
            Present for scikit-learn.

        Returns
        -------
        n_splits : int
            The number of `cutoffs`, or `n_splits`.
        """
        return self.n_splits if self.cutoffs is None else len(self.cutoffs)

    def split(
        self, X: Sized | None = None, y: object = None, groups: object = None
    ) -> Iterator[tuple[IntArray, IntArray]]:
        """Yield the rows of the training and test part of each split.

        Parameters
        ----------
        X : array-like of shape (n_windows, ...), default=None
            The windows; only their number is read.

        y, groups : ignored
            Present for scikit-learn.

        Returns
        -------
        splits : iterator of (train, test)
            Two ndarrays of int, in ascending order.

        Raises
        ------
        ValueError
            If a part would be empty, or if X and the index differ in length.
        """
        self._check_sizes()
        ends, targets = self._check_index()
        n_windows = len(ends)
        if X is not None and len(X) != n_windows:
            raise ValueError(
                f"X must have the {n_windows} windows of the index. Got {len(X)}. Pass "
                "the rows of the index that belong to these windows."
            )
        cutoffs = ends.unique().sort_values()
        # Positions among all cutoffs; `last` and `first` are those of targets.
        position = cutoffs.get_indexer(ends)
        last = targets.max(axis=1)
        for first, stop in self._test_bounds(cutoffs):
            test = np.flatnonzero((position >= first) & (position < stop))
            train = np.zeros(n_windows, dtype=bool)
            if first >= self.gap:
                limit = cutoffs[first - self.gap]
                train = (last <= limit).to_numpy() & np.asarray(ends < limit)
            if not train.any():
                raise ValueError(
                    "Each training part must have a window with targets up to the "
                    f"cutoff. Got none for the cutoff {cutoffs[first]} and gap="
                    f"{self.gap}. Lower n_splits, test_size or gap, or start later."
                )
            if self.max_train_size is not None:
                used = np.unique(position[train])
                train &= position >= used[-self.max_train_size :][0]
            yield np.flatnonzero(train), test

    def _test_bounds(self, cutoffs: pd.Index) -> list[tuple[int, int]]:
        """Return the positions of the first cutoff of test parts and after the last."""
        n = len(cutoffs)
        if self.cutoffs is not None:
            return self._given_bounds(cutoffs)
        size = self.test_size
        if size is None:
            size = n // (self.n_splits + 1)
        first = n - self.n_splits * size
        if size < 1 or first < 1:
            raise ValueError(
                "The index must have more cutoffs than the test parts. Got "
                f"{n} cutoffs, n_splits={self.n_splits} and test_size="
                f"{self.test_size}. Lower n_splits or test_size."
            )
        return [(i, i + size) for i in range(first, n, size)]

    def _given_bounds(self, cutoffs: pd.Index) -> list[tuple[int, int]]:
        try:
            given = pd.Index(self.cutoffs).astype(cutoffs.dtype)
            rises = len(given) > 0 and given.is_monotonic_increasing and given.is_unique
            firsts = cutoffs.searchsorted(given)
        except (TypeError, ValueError) as error:
            raise ValueError(
                f"cutoffs must be times of dtype {cutoffs.dtype}, as in the index. Got "
                f"{self.cutoffs!r}."
            ) from error
        n = len(cutoffs)
        stops = np.append(firsts[1:], n)
        if self.test_size is not None:
            stops = np.minimum(firsts + self.test_size, n)
        if not rises or (firsts >= stops).any():
            raise ValueError(
                "cutoffs must increase, with windows that end at or after each and "
                f"before the next. Got {list(given)} for windows that end from "
                f"{cutoffs[0]} to {cutoffs[-1]}."
            )
        return list(zip(firsts, stops, strict=True))

    def _check_sizes(self) -> None:
        lowest = {"n_splits": 1, "test_size": 1, "gap": 0, "max_train_size": 1}
        for name, least in lowest.items():
            value = getattr(self, name)
            if value is None and name in ("test_size", "max_train_size"):
                continue
            is_int = isinstance(value, Integral) and not isinstance(value, bool)
            if not is_int or value < least:
                raise ValueError(f"{name} must be an int >= {least}. Got {value!r}.")

    def _check_index(self) -> tuple[pd.Index, pd.DataFrame]:
        """Return when windows end, and the times of their targets."""
        index = self.index
        is_frame = isinstance(index, pd.DataFrame) and index.shape[1] > 0
        if not is_frame or "cutoff" not in index.index.names:
            raise TypeError(
                "index must be the DataFrame that make_windows returns with "
                f"return_index=True. Got {type(index).__name__}."
            )
        if index.isna().any(axis=None):
            raise ValueError(
                "index must have the times of all targets. Got a missing one. Set freq "
                "in make_windows."
            )
        return index.index.get_level_values("cutoff"), index
