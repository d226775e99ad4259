"""sequences_from_frame."""

from functools import partial

import numpy as np
import pandas as pd
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from messages import raises
from numpy.testing import assert_array_equal
from sklearn.impute import SimpleImputer
from sklearn.model_selection import GroupKFold

from skrnn import (
    EachStep,
    RNNClassifier,
    sequences_from_frame,
)


def assert_ragged_equal(actual, expected):
    assert isinstance(actual, np.ndarray)
    assert (actual.ndim, actual.dtype) == (1, object)
    assert len(actual) == len(expected)
    for one, other in zip(actual, expected, strict=True):
        assert_array_equal(one, other, strict=True)


# sequences_from_frame against a loop

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
cut = partial(sequences_from_frame, group="patient", time="day", features=FEATURES)
FRAMES = {"pandas": VISITS, "polars": pl.from_dict(VISITS.to_dict("list"))}
over_frames = pytest.mark.parametrize("frame", FRAMES.values(), ids=FRAMES)


def in_a_loop(frame, columns, time):
    """Return the rows of each patient as a list of arrays."""
    found = {}
    for row in frame.to_dict("records"):
        found.setdefault(row["patient"], []).append(row)
    if time is not None:
        found = {
            key: sorted(rows, key=lambda r: r[time]) for key, rows in found.items()
        }
    return [
        np.array([[row[c] for c in columns] for row in rows]) for rows in found.values()
    ]


@over_frames
@pytest.mark.parametrize("time", ["day", None])
def test_rows_of_a_group_become_its_sequence(frame, time):
    X, y, groups = cut(frame, time=time)

    assert_ragged_equal(X, in_a_loop(VISITS, FEATURES, time))
    assert y is None
    assert groups.tolist() == ["bo", "al", "cy"]


@given(
    groups=st.lists(st.integers(0, 4), min_size=1, max_size=30),
    seed=st.integers(0, 100),
)
def test_sequences_hold_the_rows_of_their_group_in_time(groups, seed):
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame({"patient": groups, "day": rng.permutation(len(groups))})
    frame["value"] = rng.normal(size=len(groups))

    X, _, keys = sequences_from_frame(frame, group="patient", time="day")

    assert keys.tolist() == list(dict.fromkeys(groups))
    assert_ragged_equal(X, in_a_loop(frame, ["value"], "day"))


def test_rows_without_time_keep_their_order():
    frame = pd.DataFrame({"patient": np.arange(3000) % 3, "value": np.arange(3000)})

    X = sequences_from_frame(frame, group="patient").X

    assert_ragged_equal(X, [np.arange(i, 3000, 3)[:, None] for i in range(3)])


@over_frames
def test_a_target_per_sequence_is_that_of_its_group(frame):
    y = cut(frame, target="ill").y

    assert_array_equal(y, [0, 1, 1], strict=True)


@over_frames
def test_a_target_per_step_is_in_the_order_of_the_steps(frame):
    y = cut(frame, target="mood", target_per="step").y

    assert [piece.tolist() for piece in y] == [["a", "b", "c"], ["d", "e"], ["f"]]


def test_a_list_of_targets_makes_columns():
    y = cut(VISITS, target=["ill"]).y
    per_step = cut(VISITS, target=["ill", "steps"], target_per="step").y

    assert_array_equal(y, [[0], [1], [1]])
    assert_ragged_equal(per_step, in_a_loop(VISITS, ["ill", "steps"], "day"))


def test_all_other_columns_are_features():
    X = sequences_from_frame(
        VISITS.drop(columns="mood"), group="patient", time="day", target="ill"
    ).X

    assert_ragged_equal(X, in_a_loop(VISITS, FEATURES, "day"))


def test_missing_features_of_polars_become_nan():
    frame = FRAMES["polars"].with_columns(steps=pl.Series([1, None, 0, 1, 1, 0]))

    assert_array_equal(cut(frame, features="steps").X[1], [[0.0], [np.nan]])


def test_missing_groups_of_polars_are_refused():
    frame = FRAMES["polars"].with_columns(
        patient=pl.Series(["bo", "al", None, "cy", "bo", "al"])
    )

    message = (
        "group must not be missing in any row of frame. Got a missing value of "
        "'patient' in row 2. Drop the row or impute the value."
    )
    with raises(ValueError, message):
        cut(frame)


def test_one_feature_needs_no_list():
    X = cut(VISITS, features="pulse").X

    assert_ragged_equal(X, in_a_loop(VISITS, ["pulse"], "day"))


def test_several_columns_can_tell_groups_apart():
    frame = pd.DataFrame(
        {"site": [1, 1, 2, 1], "bed": ["a", "b", "a", "a"], "x": [1.0, 2.0, 3.0, 4.0]}
    )

    X, _, groups = sequences_from_frame(frame, group=["site", "bed"])

    assert groups.tolist() == [(1, "a"), (1, "b"), (2, "a")]
    assert [piece[:, 0].tolist() for piece in X] == [[1, 4], [2], [3]]


def test_groups_serve_a_splitter():
    X, y, groups = cut(VISITS, target="ill")

    assert len(list(GroupKFold(3).split(X, y, groups))) == 3


def test_categories_without_rows_make_no_group():
    patients = pd.Categorical(VISITS["patient"], ["al", "bo", "cy", "di"])
    frame = VISITS.assign(patient=patients)

    assert cut(frame).groups.tolist() == ["bo", "al", "cy"]


TIMES = {
    "dates": pd.to_datetime(VISITS["day"], unit="D"),
    "with a zone": pd.to_datetime(VISITS["day"], unit="D", utc=True),
    "strings": VISITS["day"].astype(str),
    "floats": VISITS["day"] / 7,
    "durations": pd.to_timedelta(VISITS["day"], unit="D"),
}


@pytest.mark.parametrize("time", TIMES.values(), ids=TIMES)
def test_time_may_be_anything_that_has_an_order(time):
    X = cut(VISITS.assign(day=time)).X

    assert_ragged_equal(X, cut(VISITS).X)


@pytest.mark.parametrize("dtype", ["Int64", "Float64", "boolean"])
def test_missing_features_become_nan(dtype):
    column = pd.array([1, None, 0, 1, 1, 0], dtype=dtype)

    X = cut(VISITS.assign(steps=column), features="steps").X

    assert_array_equal(X[1], [[0.0], [np.nan]], strict=True)


@pytest.mark.parametrize(
    ("dtypes", "expected"),
    [
        (["float32", "float32"], np.float32),
        (["float32", "float64"], np.float64),
        (["int64", "int64"], np.int64),
        (["Int64", "Float32"], np.float64),
        (["bool", "float32"], np.float32),
    ],
)
def test_features_share_the_dtype_that_holds_them_all(dtypes, expected):
    frame = VISITS.astype(dict(zip(FEATURES, dtypes, strict=True)))

    assert {piece.dtype for piece in cut(frame).X} == {np.dtype(expected)}


def test_the_frame_is_left_as_it_was():
    frame = VISITS.copy()

    X = cut(frame).X
    X[0][:] = 0

    pd.testing.assert_frame_equal(frame, VISITS)


def test_a_classifier_takes_the_sequences():
    X, y, _ = cut(VISITS, target="ill")
    model = RNNClassifier(2, max_epochs=1, random_state=0)

    assert model.fit(X, y).predict(X).shape == (3,)


def test_missing_values_can_be_imputed_afterwards():
    frame = VISITS.assign(pulse=[64.0, np.nan, 60.0, 50.0, 62.0, 81.0])

    X = EachStep(SimpleImputer(strategy="median")).fit_transform(cut(frame).X)

    assert X[1][1, 0] == 62


# What sequences_from_frame refuses

BAD_CALLS = {
    "no frame": (
        [[1, 2]],
        {},
        TypeError,
        "frame must be a pandas or polars DataFrame. Got list. Convert it to one.",
    ),
    "no rows": (
        VISITS[:0],
        {},
        ValueError,
        "frame must have at least one row. Got shape (0, 6).",
    ),
    "column twice": (
        VISITS[["patient", "day", "pulse", "pulse"]],
        {},
        ValueError,
        "frame must have unique column names. Got ['pulse'] more than once. Rename "
        "them.",
    ),
    "unknown group": (
        VISITS[["day", "pulse"]],
        {},
        ValueError,
        "group must name columns of frame. Got 'patient', but frame has ['day', "
        "'pulse']. If it is in the index, call reset_index() first.",
    ),
    "unknown feature": (
        VISITS[["patient", "day"]],
        dict(features=["height"]),
        ValueError,
        "features must name columns of frame. Got 'height', but frame has ['patient', "
        "'day']. If it is in the index, call reset_index() first.",
    ),
    "several times": (
        VISITS[["patient", "day"]],
        dict(time=["day"], features=["day"]),
        ValueError,
        "time must name columns of frame. Got ['day'], but frame has ['patient', "
        "'day']. If it is in the index, call reset_index() first.",
    ),
    "no features": (
        VISITS[["patient", "day"]],
        dict(features=None),
        ValueError,
        "features must name at least one column of frame. Got none of ['patient', "
        "'day'].",
    ),
    "no group": (
        VISITS[["patient", "day"]],
        dict(group=[], features=["day"]),
        ValueError,
        "group must name at least one column of frame. Got none of ['patient', 'day'].",
    ),
    "group missing": (
        VISITS.assign(patient=["bo", None, "bo", "cy", "bo", "al"]),
        {},
        ValueError,
        "group must not be missing in any row of frame. Got a missing value of "
        "'patient' in row 1. Drop the row or impute the value.",
    ),
    "time missing": (
        VISITS.assign(day=[3, 2, np.nan, 7, 2, 1]),
        {},
        ValueError,
        "time must not be missing in any row of frame. Got a missing value of 'day' in "
        "row 2. Drop the row or impute the value.",
    ),
    "target missing": (
        VISITS.assign(ill=[0, 1, 0, np.nan, 0, 1]),
        dict(target="ill"),
        ValueError,
        "target must not be missing in any row of frame. Got a missing value of 'ill' "
        "in row 3. Drop the row or impute the value.",
    ),
    "time twice": (
        VISITS.assign(day=[3, 2, 1, 7, 2, 2]),
        {},
        ValueError,
        "time must differ between the rows of a group. Got 2 twice in group al. Drop "
        "or merge such rows, or set time=None to keep their order.",
    ),
    "target differs": (
        VISITS,
        dict(target="steps"),
        ValueError,
        "target must be the same in all rows of a group if target_per='sequence'. Got "
        "several values of 'steps' in group bo. Set target_per='step' for a target per "
        "time step.",
    ),
    "target per what": (
        VISITS,
        dict(target_per="row"),
        ValueError,
        "target_per must be 'sequence' or 'step'. Got 'row'.",
    ),
    "complex": (
        VISITS.assign(pulse=1j),
        {},
        ValueError,
        "features must be numeric columns of frame. Got 'pulse' of dtype complex128. "
        "Encode it first, or leave it out of features.",
    ),
    "categories": (
        VISITS.astype({"steps": "category"}),
        {},
        ValueError,
        "features must be numeric columns of frame. Got 'steps' of dtype category. "
        "Encode it first, or leave it out of features.",
    ),
    "objects": (
        VISITS.astype({"mood": object}),
        dict(features=["pulse", "mood"]),
        ValueError,
        "features must be numeric columns of frame. Got 'mood' of dtype object. Encode "
        "it first, or leave it out of features.",
    ),
    "dates": (
        VISITS.assign(steps=TIMES["dates"].astype("datetime64[ns]")),
        {},
        ValueError,
        "features must be numeric columns of frame. Got 'steps' of dtype "
        "datetime64[ns]. Encode it first, or leave it out of features.",
    ),
}


@pytest.mark.parametrize(
    ("frame", "params", "error", "message"), BAD_CALLS.values(), ids=BAD_CALLS
)
def test_a_call_that_cannot_be_met_is_refused(frame, params, error, message):
    with raises(error, message):
        cut(frame, **params)
