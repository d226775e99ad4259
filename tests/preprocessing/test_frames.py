"""sequences_from_frame."""

from functools import partial

import numpy as np
import pandas as pd
import polars as pl
import pytest
from messages import raises
from numpy.testing import assert_array_equal

from skrnn import sequences_from_frame

VISITS = pd.DataFrame(
    {
        "patient": ["bo", "al", "bo", "cy", "bo", "al"],
        "day": [3, 2, 1, 7, 2, 1],
        "pulse": [64.0, 80.0, 60.0, 50.0, 62.0, 81.0],
        "steps": [4, 2, 1, 5, 3, 6],
        "ill": [0, 1, 0, 1, 0, 1],
        "mood": ["c", "e", "a", "f", "b", "d"],
    }
)
FEATURES = ["pulse", "steps"]
split = partial(sequences_from_frame, group="patient", time="day", features=FEATURES)
FRAMES = {"pandas": VISITS, "polars": pl.from_dict(VISITS.to_dict("list"))}
over_frames = pytest.mark.parametrize("frame", FRAMES.values(), ids=FRAMES)


def assert_ragged_equal(actual, expected):
    assert isinstance(actual, np.ndarray)
    assert (actual.ndim, actual.dtype) == (1, object)
    assert len(actual) == len(expected)
    for one, other in zip(actual, expected, strict=True):
        assert_array_equal(one, other, strict=True)


def split_in_a_loop(frame, columns, time):
    """Return the rows of each patient as a list of arrays."""
    groups = {}
    for row in frame.to_dict("records"):
        groups.setdefault(row["patient"], []).append(row)
    if time is not None:
        groups = {
            key: sorted(rows, key=lambda r: r[time]) for key, rows in groups.items()
        }
    return [
        np.array([[row[c] for c in columns] for row in rows])
        for rows in groups.values()
    ]


@over_frames
@pytest.mark.parametrize("time", ["day", None])
def test_the_rows_of_a_group_become_a_sequence(frame, time):
    X, y, groups = split(frame, time=time)

    assert_ragged_equal(X, split_in_a_loop(VISITS, FEATURES, time))
    assert y is None
    assert groups.tolist() == ["bo", "al", "cy"]


def test_many_groups_are_split_as_in_a_loop():
    rng = np.random.default_rng(0)
    # Enough rows that numpy's sort is stable only if requested.
    frame = pd.DataFrame({"patient": rng.integers(9, size=3000)})
    frame["day"], frame["value"] = rng.permutation(3000), rng.normal(size=3000)

    for time in ("day", None):
        X, _, groups = split(frame, time=time, features="value")

        assert groups.tolist() == frame["patient"].unique().tolist()
        assert_ragged_equal(X, split_in_a_loop(frame, ["value"], time))


@over_frames
def test_a_target_per_sequence_is_that_of_its_group(frame):
    y = split(frame, target="ill").y

    assert_array_equal(y, [0, 1, 1], strict=True)


@over_frames
def test_a_target_per_step_has_the_order_of_the_steps(frame):
    y = split(frame, target="mood", target_per="step").y

    assert [piece.tolist() for piece in y] == [["a", "b", "c"], ["d", "e"], ["f"]]


def test_a_list_of_targets_returns_one_column_each():
    y = split(VISITS, target=["ill"]).y
    per_step = split(VISITS, target=["ill", "steps"], target_per="step").y

    assert_array_equal(y, [[0], [1], [1]])
    assert_ragged_equal(per_step, split_in_a_loop(VISITS, ["ill", "steps"], "day"))


def test_all_other_columns_are_features_by_default():
    frame = VISITS.drop(columns="mood")

    X = split(frame, features=None, target="ill").X

    assert_ragged_equal(X, split_in_a_loop(VISITS, FEATURES, "day"))


def test_several_columns_can_identify_a_group():
    frame = pd.DataFrame(
        {"site": [1, 1, 2, 1], "bed": ["a", "b", "a", "a"], "x": [1.0, 2.0, 3.0, 4.0]}
    )

    X, _, groups = sequences_from_frame(frame, group=["site", "bed"])

    assert groups.tolist() == [(1, "a"), (1, "b"), (2, "a")]
    assert [piece[:, 0].tolist() for piece in X] == [[1, 4], [2], [3]]


def test_categories_without_rows_are_not_groups():
    patients = pd.Categorical(VISITS["patient"], ["al", "bo", "cy", "di"])

    groups = split(VISITS.assign(patient=patients)).groups

    assert groups.tolist() == ["bo", "al", "cy"]


@pytest.mark.parametrize(
    "time",
    [pd.to_datetime(VISITS["day"], unit="D", utc=True), VISITS["day"].astype(str)],
    ids=["dates", "strings"],
)
def test_time_may_have_any_ordered_dtype(time):
    assert_ragged_equal(split(VISITS.assign(day=time)).X, split(VISITS).X)


MISSING = [1, None, 0, 1, 1, 0]


@pytest.mark.parametrize(
    "frame",
    [
        VISITS.assign(steps=pd.array(MISSING, dtype="Int64")),
        VISITS.assign(steps=pd.array(MISSING, dtype="boolean")),
        FRAMES["polars"].with_columns(steps=pl.Series(MISSING)),
    ],
    ids=["Int64", "boolean", "polars"],
)
def test_missing_features_become_nan(frame):
    X = split(frame, features="steps").X

    assert_array_equal(X[1], [[0.0], [np.nan]], strict=True)


@pytest.mark.parametrize(
    ("dtypes", "expected"),
    [
        (["float32", "float32"], np.float32),
        (["int64", "int64"], np.int64),
        (["Int64", "Float32"], np.float64),
        (["bool", "float32"], np.float32),
    ],
)
def test_features_are_converted_to_their_common_dtype(dtypes, expected):
    frame = VISITS.astype(dict(zip(FEATURES, dtypes, strict=True)))

    assert {piece.dtype for piece in split(frame).X} == {np.dtype(expected)}


def test_x_does_not_share_memory_with_the_frame():
    frame = VISITS.copy()

    split(frame).X[0][:] = 0

    pd.testing.assert_frame_equal(frame, VISITS)


# Errors

GROUPS_WITH_NONE = ["bo", None, "bo", "cy", "bo", "al"]
GROUP_MISSING = (
    "group must not be missing in any row of frame. Got a missing value of 'patient' "
    "in row 1. Drop the row or impute the value."
)
NOT_NUMERIC = "Encode it first, or leave it out of features."
INVALID_CALLS = {
    "no rows": (
        VISITS[:0],
        {},
        "frame must have at least one row. Got shape (0, 6).",
    ),
    "repeated column": (
        VISITS[["patient", "day", "pulse", "pulse"]],
        {},
        "frame must have unique column names. Got ['pulse'] more than once. Rename "
        "them.",
    ),
    "unknown group": (
        VISITS[["day", "pulse"]],
        {},
        "group must name columns of frame. Got 'patient', but frame has ['day', "
        "'pulse']. If it is in the index, call reset_index() first.",
    ),
    "unknown feature": (
        VISITS[["patient", "day"]],
        dict(features=["height"]),
        "features must name columns of frame. Got 'height', but frame has ['patient', "
        "'day']. If it is in the index, call reset_index() first.",
    ),
    "list as time": (
        VISITS[["patient", "day"]],
        dict(time=["day"], features=["day"]),
        "time must name columns of frame. Got ['day'], but frame has ['patient', "
        "'day']. If it is in the index, call reset_index() first.",
    ),
    "no features": (
        VISITS[["patient", "day"]],
        dict(features=None),
        "features must name at least one column of frame. Got none of ['patient', "
        "'day'].",
    ),
    "no group": (
        VISITS[["patient", "day"]],
        dict(group=[], features=["day"]),
        "group must name at least one column of frame. Got none of ['patient', 'day'].",
    ),
    "missing group": (VISITS.assign(patient=GROUPS_WITH_NONE), {}, GROUP_MISSING),
    "missing group in polars": (
        FRAMES["polars"].with_columns(patient=pl.Series(GROUPS_WITH_NONE)),
        {},
        GROUP_MISSING,
    ),
    "missing time": (
        VISITS.assign(day=[3, 2, np.nan, 7, 2, 1]),
        {},
        "time must not be missing in any row of frame. Got a missing value of 'day' in "
        "row 2. Drop the row or impute the value.",
    ),
    "missing target": (
        VISITS.assign(ill=[0, 1, 0, np.nan, 0, 1]),
        dict(target="ill"),
        "target must not be missing in any row of frame. Got a missing value of 'ill' "
        "in row 3. Drop the row or impute the value.",
    ),
    "repeated time": (
        VISITS.assign(day=[3, 2, 1, 7, 2, 2]),
        {},
        "time must differ between the rows of a group. Got 2 twice in group al. Drop "
        "or merge such rows, or set time=None to keep their order.",
    ),
    "target varies": (
        VISITS,
        dict(target="steps"),
        "target must be the same in all rows of a group if target_per='sequence'. Got "
        "several values of 'steps' in group bo. Set target_per='step' for a target per "
        "time step.",
    ),
    "wrong target_per": (
        VISITS,
        dict(target_per="row"),
        "target_per must be 'sequence' or 'step'. Got 'row'.",
    ),
    "complex feature": (
        VISITS.assign(pulse=1j),
        {},
        "features must be numeric columns of frame. Got 'pulse' of dtype complex128. "
        f"{NOT_NUMERIC}",
    ),
    "categorical feature": (
        VISITS.astype({"steps": "category"}),
        {},
        "features must be numeric columns of frame. Got 'steps' of dtype category. "
        f"{NOT_NUMERIC}",
    ),
}


@pytest.mark.parametrize(
    ("frame", "params", "message"), INVALID_CALLS.values(), ids=INVALID_CALLS
)
def test_an_invalid_call_raises(frame, params, message):
    with raises(ValueError, message):
        split(frame, **params)


def test_an_object_that_is_not_a_frame_raises():
    message = "frame must be a pandas or polars DataFrame. Got list. Convert it to one."
    with raises(TypeError, message):
        split([[1, 2]])
