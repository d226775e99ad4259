"""The time of each row of a series: its order, its frequency, and what is missing."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any, TypeAlias

import numpy as np
import pandas as pd

from skrnn._typing import ArrayLike, IntArray

# Of a calendar: as users name it, or the step between times that are no dates.
Frequency: TypeAlias = str | pd.DateOffset | timedelta | np.timedelta64 | float


class TimeAxis:
    """The times of the rows of one or several series.

    Parameters
    ----------
    times : pandas Index of length n_rows
        They increase within each series.

    calendar : pandas Index or None
        All times from the first to the last, at a regular frequency. None if it is
        unknown.

    freq : offset, number, or None
        The frequency of the calendar.
    """

    calendar: Any  # an Index wherever it is read

    def __init__(
        self,
        times: pd.Index,
        calendar: pd.Index | None = None,
        freq: Frequency | None = None,
    ) -> None:
        self.times, self.calendar, self.freq = times, calendar, freq

    def at(self, rows: IntArray) -> pd.Index:
        """Return the times of rows."""
        return self.times.take(rows)

    def after(self, rows: IntArray, horizon: int) -> pd.Index:
        """Return the times `horizon` steps after rows, where there may be no row.

        They are missing if the frequency is unknown.
        """
        times = self.at(rows)
        if self.freq is None:
            return times.where(np.zeros(len(times), dtype=bool))
        if not isinstance(times, pd.DatetimeIndex):
            return times + horizon * self.freq
        # By the calendar: adding days to times of a zone may move the hour.
        longer = pd.date_range(
            self.calendar[0], periods=len(self.calendar) + horizon, freq=self.freq
        )
        return longer.as_unit(times.unit).take(
            self.calendar.get_indexer(times) + horizon
        )


def read_times(times: ArrayLike | Sequence[Any], n_rows: int) -> pd.Index:
    """Return times as a pandas Index of dates, periods, durations or numbers."""
    if not isinstance(times, (pd.Series, pd.Index)):
        times = pd.Series(np.asarray(times)) if np.ndim(times) == 1 else times
    if np.shape(times) != (n_rows,):
        raise ValueError(
            f"times must have shape ({n_rows},), one entry for each row of X. Got "
            f"shape {np.shape(times)}."
        )
    index = pd.Index(times)
    missing = index.isna()
    if missing.any():
        raise ValueError(
            "times must not contain missing values. Got one for row "
            f"{missing.argmax()}."
        )
    types = pd.api.types
    if types.is_integer_dtype(index.dtype):
        return pd.Index(index.to_numpy(dtype=np.int64), name=index.name)
    if types.is_float_dtype(index.dtype):
        return pd.Index(index.to_numpy(dtype=np.float64), name=index.name)
    if isinstance(index, (pd.DatetimeIndex, pd.PeriodIndex, pd.TimedeltaIndex)):
        return index
    is_text = isinstance(index[0], str) or types.is_bool_dtype(index.dtype)
    if is_text or isinstance(index.dtype, pd.CategoricalDtype):
        raise ValueError(
            f"times must be dates, periods or numbers. Got dtype {index.dtype}, such "
            f"as {index.tolist()[0]!r}. Convert them, for example by "
            "pd.to_datetime(times)."
        )
    try:  # dates of Python or Arrow
        return pd.DatetimeIndex(index)
    except (TypeError, ValueError) as error:
        raise ValueError(
            "times must be dates of one time zone, periods or numbers. Got "
            f"{index[0]!r} for row 0 ({error}). Convert them, for example by "
            "pd.to_datetime(times, utc=True)."
        ) from error


def check_times(
    times: pd.Index,
    starts: IntArray,
    groups: pd.Index | None,
    freq: Frequency | None,
) -> TimeAxis:
    """Return the axis of times, or raise an error for rows out of order and gaps.

    Parameters
    ----------
    times : pandas Index of length n_rows

    starts : ndarray of int
        The first row of each group.

    groups : array-like of length n_rows or None
        Names for messages.

    freq : str, offset, number, 'infer' or None
        As in `make_windows`.

    Returns
    -------
    axis : TimeAxis
    """
    _check_order(times, starts, groups)
    if freq is None:
        return TimeAxis(times)
    calendar, step = _make_calendar(times, freq)
    positions = _positions(times, calendar, step)
    if (positions < 0).any():
        raise ValueError(
            f"times must be at the frequency {_name(step)}. Got "
            f"{times[(positions < 0).argmax()]}, which is not. Change freq, round the "
            "times, or set freq=None so that horizons count rows."
        )
    skips = np.diff(positions) != 1
    skips[starts[1:] - 1] = False
    if skips.any():
        row = skips.argmax() + 1
        raise ValueError(
            f"times must not skip any{_within(groups)}. Got {times[row]} right after "
            f"{times[row - 1]}{_of_group(groups, row)}, at the frequency "
            f"{_name(step)}. Insert the missing rows and impute their values, or set "
            "freq=None so that horizons count rows."
        )
    return TimeAxis(times, calendar, step)


def _check_order(times: pd.Index, starts: IntArray, groups: pd.Index | None) -> None:
    ranks, _ = pd.factorize(times, sort=True)
    change = np.diff(ranks)
    change[starts[1:] - 1] = 1
    wrong = change <= 0
    if not wrong.any():
        return
    row = wrong.argmax() + 1
    if change[row - 1] == 0:
        got = f"Got {times[row]} twice{_of_group(groups, row)}."
        remedy = "Drop or merge such rows"
    else:
        got = f"Got {times[row]} after {times[row - 1]}{_of_group(groups, row)}."
        remedy = f"Sort the rows by {'time' if groups is None else 'group and time'}"
    if groups is None:
        remedy += ", or pass groups if they belong to several series"
    raise ValueError(f"times must increase{_within(groups)}. {got} {remedy}.")


def _make_calendar(
    times: pd.Index, freq: Frequency
) -> tuple[pd.Index, Frequency | None]:
    """Return all times from the first to the last, and their step, None if unknown."""
    unique = times.unique().sort_values()
    if isinstance(times, pd.PeriodIndex):
        if freq != "infer":
            raise ValueError(
                "freq must be 'infer' or None for periods, which have a frequency. Got "
                f"{freq!r}."
            )
        return unique, 1
    if not isinstance(times, pd.DatetimeIndex):
        if freq == "infer":
            steps = np.diff(unique.to_numpy())
            return unique, pd.Index(steps).min() if len(steps) else None
        return unique, _number(freq, times)
    if freq != "infer":
        try:
            return pd.date_range(unique[0], unique[-1], freq=freq), freq
        except (TypeError, ValueError) as error:
            raise ValueError(
                "freq must be a frequency of pandas, such as 'D', or 'infer', or None. "
                f"Got {freq!r}."
            ) from error
    inferred = pd.DatetimeIndex(unique, freq="infer").freq
    if inferred is None and len(unique) > 2:
        steps = np.diff(unique.asi8)
        values, counts = np.unique(steps, return_counts=True)
        usual = values[counts.argmax()]
        row = (steps != usual).argmax() + 1
        raise ValueError(
            "times must be at a regular frequency. Got "
            f"{unique[row]} right after {unique[row - 1]}, where most are "
            f"{pd.Timedelta(usual, unit=unique.unit)} apart. Insert the missing rows, "
            "pass the frequency, for example freq='B' for business days, or set "
            "freq=None so that horizons count rows."
        )
    return unique, inferred


def _number(freq: Any, times: pd.Index) -> Frequency:
    """Return the step between times that are numbers or durations."""
    try:
        step = pd.Timedelta(freq) if times.dtype.kind == "m" else float(freq)
        valid = step > 0 * step
    except (TypeError, ValueError):
        valid = False
    if not valid:
        raise ValueError(
            f"freq must be a step between times of dtype {times.dtype}, 'infer' or "
            f"None. Got {freq!r}."
        )
    return freq if times.dtype.kind != "m" else step


def _positions(times: pd.Index, calendar: pd.Index, step: Any) -> IntArray:
    """Return the position of each time in the calendar, -1 for those not in it."""
    if isinstance(times, pd.PeriodIndex):
        return times.asi8 - times.asi8.min()
    if isinstance(times, pd.DatetimeIndex):
        return calendar.get_indexer(times)
    if step is None:  # there is one time
        return np.zeros(len(times), dtype=np.intp)
    exact = np.asarray((times - times.min()) / step, dtype=float)
    rounded = np.round(exact)
    return np.where(np.abs(exact - rounded) < 1e-6, rounded, -1).astype(np.intp)


def _name(step: Frequency | None) -> object:
    return getattr(step, "freqstr", step)


def _within(groups: pd.Index | None) -> str:
    return "" if groups is None else " within each group"


def _of_group(groups: pd.Index | None, row: int) -> str:
    return "" if groups is None else f" in group {groups[row]}"
