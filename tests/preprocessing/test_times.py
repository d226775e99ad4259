"""The times of make_windows: their forms, order and gaps."""

import datetime

import numpy as np
import pandas as pd
import polars as pl
import pytest
from messages import raises

from skrnn import make_windows

DAYS = pd.date_range("2024-03-28", periods=6)  # summer time starts on the 31st
IN_BERLIN = pd.date_range("2024-03-28", periods=6, tz="Europe/Berlin")
HOURS = pd.date_range("2024-03-31", periods=6, freq="h", tz="Europe/Berlin")


def index_of(times, **params):
    times_of = {"times": times, "return_index": True, "window_size": 3}
    return make_windows(np.arange(len(times)), **times_of, **params)[2]


FORMS = {
    "DatetimeIndex": DAYS,
    "Series": pd.Series(DAYS, index=np.arange(6)[::-1]),
    "polars": pl.Series("date", DAYS.to_numpy()),
    "numpy": DAYS.to_numpy(),
    "list of datetimes": [day.to_pydatetime() for day in DAYS],
    "time zone": IN_BERLIN,
    "hours of a time zone": HOURS,
    "months": pd.date_range("2024-01", periods=6, freq="MS"),
    "business days": pd.date_range("2024-03-28", periods=6, freq="B"),
    "periods": pd.period_range("2024-01", periods=6, freq="Q"),
    "durations": pd.to_timedelta(np.arange(6) * 2, unit="h"),
    "ints": np.arange(6) * 7,
    "small ints": (122 + np.arange(6)).astype(np.int8),
    "nullable ints": pd.Series(np.arange(6), dtype="Int64"),
    "floats": np.arange(6) * 0.1,
}


@pytest.mark.parametrize("times", FORMS.values(), ids=FORMS)
def test_times_may_have_any_ordered_form(times):
    index = index_of(times, horizon=[0, 1, 2], y=np.arange(6))

    expected = list(
        pd.Index(np.asarray(times)) if isinstance(times, pl.Series) else times
    )
    assert index.index.tolist() == expected[2:4]
    assert index[0].tolist() == expected[2:4]
    assert index[1].tolist() == expected[3:5]
    assert index[2].tolist() == expected[4:6]


@pytest.mark.parametrize(
    "name", [name for name in FORMS if name not in ("polars", "small ints", "floats")]
)
def test_times_after_the_last_row_continue_at_the_frequency(name):
    times = FORMS[name]

    index = index_of(times[:4], horizon=[1, 2], latest=True)

    assert index.index.tolist() == [list(times)[3]]
    assert [index[1].iloc[0], index[2].iloc[0]] == list(times)[4:6]


def test_dates_of_python_become_timestamps():
    pd.testing.assert_frame_equal(
        index_of([day.date() for day in DAYS]),
        index_of(DAYS),
        check_freq=False,
        check_dtype=False,  # the resolution depends on the version of pandas
        check_index_type=False,
    )


def test_small_ints_do_not_overflow():
    times = FORMS["small ints"]

    assert index_of(times, latest=True, horizon=9).iloc[0, 0] == 136


@pytest.mark.parametrize("freq", ["D", pd.offsets.Day()], ids=["name", "offset"])
def test_a_frequency_can_be_given(freq):
    assert index_of(IN_BERLIN[:4], freq=freq, latest=True).iloc[0, 0] == IN_BERLIN[4]


@pytest.mark.parametrize(
    ("times", "freq"),
    [
        (np.array([1.0, 1.5, 2.0, 2.5]), 0.5),
        (pd.to_timedelta([1, 2, 3, 4], unit="h"), "1h"),
    ],
    ids=["number", "duration"],
)
def test_the_step_of_numbers_can_be_given(times, freq):
    assert len(index_of(times, freq=freq)) == 1


def test_without_a_frequency_gaps_are_allowed_and_later_times_missing():
    times = DAYS.delete([1, 3])

    assert index_of(times, freq=None).iloc[0, 0] == times[3]
    assert pd.isna(index_of(times, freq=None, latest=True).iloc[0, 0])


def test_dates_that_no_group_has_are_no_gaps_of_business_days():
    days = pd.date_range("2024-01-01", periods=10, freq="B")
    times = days.append(days[3:])

    X, _ = make_windows(
        np.arange(17), window_size=3, groups=["a"] * 10 + ["b"] * 7, times=times
    )

    assert len(X) == 11


MIXED_ZONES = [IN_BERLIN[0], *IN_BERLIN[1:].tz_convert("UTC")]
REGULAR = "or set freq=None so that horizons count rows."
INVALID_TIMES = {
    "length": (
        {"times": DAYS[:5]},
        "times must have shape (6,), one entry for each row of X. Got shape (5,).",
    ),
    "2-D": (
        {"times": np.ones((6, 1))},
        "times must have shape (6,), one entry for each row of X. Got shape (6, 1).",
    ),
    "missing": (
        {"times": DAYS.where(np.arange(6) != 4)},
        "times must not contain missing values. Got one for row 4.",
    ),
    "unsorted": (
        {"times": DAYS[::-1]},
        "times must increase. Got 2024-04-01 00:00:00 after 2024-04-02 00:00:00. Sort "
        "the rows by time, or pass groups if they belong to several series.",
    ),
    "unsorted in a group": (
        {"times": DAYS[[0, 1, 2, 1, 0, 2]], "groups": list("aaabbb")},
        "times must increase within each group. Got 2024-03-28 00:00:00 after "
        "2024-03-29 00:00:00 in group b. Sort the rows by group and time.",
    ),
    "repeated": (
        {"times": [1, 2, 3, 3, 4, 5]},
        "times must increase. Got 3 twice. Drop or merge such rows, or pass groups if "
        "they belong to several series.",
    ),
    "repeated in a group": (
        {"times": [1, 2, 3, 3, 3, 4], "groups": list("aaabbb")},
        "times must increase within each group. Got 3 twice in group b. Drop or merge "
        "such rows.",
    ),
    "gap in a group": (
        {"times": DAYS[[0, 1, 2, 3, 0, 2]], "groups": list("aaaabb")},
        "times must not skip any within each group. Got 2024-03-30 00:00:00 right "
        "after 2024-03-28 00:00:00 in group b, at the frequency D. Insert the "
        f"missing rows and impute their values, {REGULAR}",
    ),
    "gap in numbers": (
        {"times": [1, 2, 3, 5, 6, 7]},
        "times must not skip any. Got 5 right after 3, at the frequency 1. Insert the "
        f"missing rows and impute their values, {REGULAR}",
    ),
    "gap in periods": (
        {"times": pd.period_range("2024", periods=7, freq="Y").delete(2)},
        "times must not skip any. Got 2027 right after 2025, at the frequency 1. "
        f"Insert the missing rows and impute their values, {REGULAR}",
    ),
    "irregular": (
        {"times": pd.date_range("2024-03-28", periods=7).delete(2)},
        "times must be at a regular frequency. Got 2024-03-31 00:00:00 right after "
        "2024-03-29 00:00:00, where most are 1 days 00:00:00 apart. Insert the missing "
        f"rows, pass the frequency, for example freq='B' for business days, {REGULAR}",
    ),
    "irregular numbers": (
        {"times": [0, 2, 4, 6, 9, 12]},
        "times must be at the frequency 2. Got 9, which is not. Change freq, round the "
        f"times, {REGULAR}",
    ),
    "another frequency": (
        {"times": DAYS, "freq": "2D"},
        "times must be at the frequency 2D. Got 2024-03-29 00:00:00, which is not. "
        f"Change freq, round the times, {REGULAR}",
    ),
    "wrong frequency": (
        {"times": DAYS, "freq": "daily"},
        "freq must be a frequency of pandas, such as 'D', or 'infer', or None. Got "
        "'daily'.",
    ),
    "wrong step": (
        {"times": np.arange(6), "freq": "D"},
        "freq must be a step between times of dtype int64, 'infer' or None. Got 'D'.",
    ),
    "step below 0": (
        {"times": np.arange(6), "freq": -1},
        "freq must be a step between times of dtype int64, 'infer' or None. Got -1.",
    ),
    "frequency of periods": (
        {"times": pd.period_range("2024", periods=6, freq="M"), "freq": "M"},
        "freq must be 'infer' or None for periods, which have a frequency. Got 'M'.",
    ),
    "bool": (
        {"times": [False, True] * 3},
        "times must be dates, periods or numbers. Got dtype bool, such as False. "
        "Convert them, for example by pd.to_datetime(times).",
    ),
}


@pytest.mark.parametrize(
    ("params", "message"), INVALID_TIMES.values(), ids=INVALID_TIMES
)
def test_invalid_times_raise(params, message):
    with raises(ValueError, message):
        make_windows(np.arange(6), window_size=2, **params)


def test_strings_are_no_times():
    with pytest.raises(
        ValueError,
        match=r"^times must be dates, periods or numbers\. Got dtype (str|object), "
        r"such as '2024-03-28'\. Convert them, for example by "
        r"pd\.to_datetime\(times\)\.$",
    ):
        index_of(DAYS.strftime("%Y-%m-%d"))


@pytest.mark.parametrize(
    "times",
    [MIXED_ZONES, [datetime.time(hour) for hour in range(6)]],
    ids=["several time zones", "times of day"],
)
def test_times_that_cannot_be_compared_raise(times):
    with pytest.raises(
        ValueError,
        match=r"^times must be dates of one time zone, periods or numbers\. Got .* for "
        r"row 0 \(.*\)\. Convert them, for example by pd\.to_datetime\(times, "
        r"utc=True\)\.$",
    ):
        index_of(times)
