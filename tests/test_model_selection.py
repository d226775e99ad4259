"""PanelSplit."""

from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from messages import raises
from numpy.testing import assert_array_equal
from sklearn.base import clone
from sklearn.linear_model import Ridge
from sklearn.model_selection import (
    GridSearchCV,
    TimeSeriesSplit,
    check_cv,
    cross_val_score,
)

from skrnn import PanelSplit, RNNRegressor, make_windows


def make_index(sizes=(12, 9, 20), starts=(0, 6, 2), horizon=(1, 2), **params):
    """Return windows, targets and index of groups from different days on."""
    times = [np.arange(a, a + n) for a, n in zip(starts, sizes, strict=True)]
    groups = np.repeat(np.arange(len(sizes)), sizes)
    values = np.sin(np.arange(sum(sizes)))
    params = {"window_size": 3, "times": np.concatenate(times), **params}
    return make_windows(
        values, values, groups=groups, horizon=horizon, return_index=True, **params
    )


def parts(index, **params):
    """Return the cutoffs and last targets of each training part, and test cutoffs."""
    found = []
    cutoffs = index.index.get_level_values("cutoff")
    for train, test in PanelSplit(index, **params).split():
        found.append((cutoffs[train], index.max(axis=1).iloc[train], cutoffs[test]))
    return found


@given(
    horizon=st.lists(st.integers(0, 4), min_size=1, max_size=3),
    stride=st.integers(1, 2),
    gap=st.integers(0, 2),
    test_size=st.one_of(st.none(), st.integers(1, 2)),
    max_train_size=st.one_of(st.none(), st.integers(1, 4)),
)
def test_no_target_of_training_is_later_than_the_first_test_window(
    horizon, stride, gap, test_size, max_train_size
):
    X, _, index = make_index((50, 9, 20), horizon=horizon, stride=stride)
    all_cutoffs = sorted({cutoff for _, cutoff in index.index})
    splitter = PanelSplit(
        index, 3, test_size=test_size, gap=gap, max_train_size=max_train_size
    )
    size = test_size or len(all_cutoffs) // 4

    splits = list(splitter.split(X))

    assert len(splits) == splitter.get_n_splits() == 3
    for i, (train, test) in enumerate(splits):
        # By brute force, window by window.
        first = len(all_cutoffs) - (3 - i) * size
        limit = all_cutoffs[first - gap]
        expected_test, expected_train = [], []
        for row, (_, cutoff) in enumerate(index.index):
            if cutoff in all_cutoffs[first : first + size]:
                expected_test.append(row)
            if max(index.iloc[row]) <= limit and cutoff < limit:
                expected_train.append((cutoff, row))
        used = sorted({cutoff for cutoff, _ in expected_train})
        used = used if max_train_size is None else used[-max_train_size:]
        assert test.tolist() == expected_test
        assert train.tolist() == [row for c, row in expected_train if c in used]


@pytest.mark.parametrize("gap", [0, 2])
@pytest.mark.parametrize("horizon", [[0], [1], [1, 4]], ids=str)
def test_a_single_series_is_split_as_by_time_series_split(horizon, gap):
    X, _, index = make_index((40,), (0,), horizon=horizon)
    params = {"n_splits": 4, "test_size": 5, "max_train_size": 7}

    splits = PanelSplit(index, gap=gap, **params).split(X)

    # Targets are known that many rows later.
    peer = TimeSeriesSplit(gap=gap + max(max(horizon) - 1, 0), **params).split(X)
    for (train, test), (peer_train, peer_test) in zip(splits, peer, strict=True):
        assert_array_equal(test, peer_test)
        assert_array_equal(train, peer_train)


def test_test_parts_follow_each_other_up_to_the_last_cutoff():
    index = make_index()[2]

    tests = [sorted(set(test)) for _, _, test in parts(index, n_splits=4)]

    for one, other in pairwise(tests):
        assert other[0] == one[-1] + 1
    assert tests[-1][-1] == index.index.get_level_values("cutoff").max()


def test_given_cutoffs_start_the_test_parts():
    index = make_index()[2]

    found = parts(index, cutoffs=[8, 13])

    assert [sorted(set(test)) for _, _, test in found] == [
        [8, 9, 10, 11, 12],
        [13, 14, 15, 16, 17, 18, 19],
    ]
    assert [last.max() for _, last, _ in found] == [8, 13]


def test_each_test_part_may_be_a_single_cutoff():
    found = parts(make_index()[2], cutoffs=[8, 13], test_size=1)

    assert [set(test) for _, _, test in found] == [{8}, {13}]


@pytest.mark.parametrize("tz", [None, "Asia/Kolkata"])
def test_cutoffs_may_be_dates_or_their_names(tz):
    dates = pd.date_range("2024-01-01", periods=12, tz=tz)
    index = make_index((12,), (0,), times=dates)[2]

    named = parts(index, cutoffs=["2024-01-06", "2024-01-08"])
    given = parts(index, cutoffs=dates[[5, 7]])

    for one, other in zip(named, given, strict=True):
        assert_array_equal(one[2], other[2])
    assert named[0][2][0] == dates[5]
    assert named[0][1].max() == dates[5]


def test_it_is_a_cv_of_searches_and_cross_validation():
    X, y, index = make_index()
    cv = PanelSplit(index, 2)
    ridge = Ridge()

    scores = cross_val_score(ridge, X, y, cv=cv)
    search = GridSearchCV(
        RNNRegressor(2, max_epochs=1, random_state=0), {"hidden_size": [2]}, cv=cv
    ).fit(X, y)

    expected = [
        clone(ridge).fit(X[train], y[train]).score(X[test], y[test])
        for train, test in cv.split(X)
    ]
    assert_array_equal(scores, expected)
    assert search.n_splits_ == 2
    assert check_cv(cv) is cv


def test_rows_of_the_index_can_be_split():
    X, _, index = make_index()
    some = index.index.get_level_values("group") != 1

    for train, test in PanelSplit(index[some], 2).split(X[some]):
        assert len(train)
        assert len(test)


def test_its_repr_does_not_show_the_index():
    assert repr(PanelSplit(make_index()[2], 3, gap=2)) == (
        "PanelSplit(<index of shape (29, 2)>, n_splits=3, test_size=None, gap=2, "
        "max_train_size=None, cutoffs=None)"
    )


NO_TRAINING = (
    "Each training part must have a window with targets up to the cutoff. Got none for "
    "the cutoff {} and gap={}. Lower n_splits, test_size or gap, or start later."
)
FEW = (
    "The index must have more cutoffs than the test parts. Got 18 cutoffs, n_splits={} "
    "and test_size={}. Lower n_splits or test_size."
)
ORDER = (
    "cutoffs must increase, with windows that end at or after each and before the "
    "next. Got {} for windows that end from 2 to 19."
)
INVALID = {
    "n_splits": ({"n_splits": 0}, "n_splits must be an int >= 1. Got 0."),
    "test_size": ({"test_size": 2.0}, "test_size must be an int >= 1. Got 2.0."),
    "gap": ({"gap": -1}, "gap must be an int >= 0. Got -1."),
    "gap None": ({"gap": None}, "gap must be an int >= 0. Got None."),
    "bool": ({"gap": True}, "gap must be an int >= 0. Got True."),
    "max_train_size": (
        {"max_train_size": 0},
        "max_train_size must be an int >= 1. Got 0.",
    ),
    "many splits": ({"n_splits": 18}, FEW.format(18, None)),
    "large tests": ({"n_splits": 3, "test_size": 6}, FEW.format(3, 6)),
    "no training": ({"n_splits": 1, "test_size": 17}, NO_TRAINING.format(3, 0)),
    "large gap": ({"n_splits": 1, "gap": 12}, NO_TRAINING.format(11, 12)),
    "unsorted cutoffs": ({"cutoffs": [9, 5]}, ORDER.format([9, 5])),
    "late cutoff": ({"cutoffs": [9, 20]}, ORDER.format([9, 20])),
    "no cutoffs": ({"cutoffs": []}, ORDER.format([])),
    "names": (
        {"cutoffs": ["monday"]},
        "cutoffs must be times of dtype int64, as in the index. Got ['monday'].",
    ),
    "a scalar": (
        {"cutoffs": 9},
        "cutoffs must be times of dtype int64, as in the index. Got 9.",
    ),
}


@pytest.mark.parametrize(("params", "message"), INVALID.values(), ids=INVALID)
def test_invalid_splits_raise(params, message):
    with raises(ValueError, message):
        list(PanelSplit(make_index()[2], **params).split())


def test_windows_that_are_not_of_the_index_raise():
    message = (
        "X must have the 29 windows of the index. Got 28. Pass the rows of the index "
        "that belong to these windows."
    )
    X, _, index = make_index()
    with raises(ValueError, message):
        next(PanelSplit(index, 2).split(X[1:]))


@pytest.mark.parametrize(
    "index", [np.arange(29), pd.DataFrame({"cutoff": np.arange(29)})], ids=type
)
def test_another_index_raises(index):
    message = (
        "index must be the DataFrame that make_windows returns with return_index=True. "
        f"Got {type(index).__name__}."
    )
    with raises(TypeError, message):
        next(PanelSplit(index, 2).split())


def test_missing_times_raise():
    index = make_index(latest=True, freq=None)[2]
    message = (
        "index must have the times of all targets. Got a missing one. Set freq in "
        "make_windows."
    )
    with raises(ValueError, message):
        next(PanelSplit(index, 2).split())
