"""Containers of X, y and weights: what is read, and what is refused."""

import numpy as np
import pandas as pd
import polars
import pytest
import torch
from messages import raises
from numpy.testing import assert_array_equal

from skrnn import RNNClassifier, RNNRegressor

TINY = dict(hidden_size=3, max_epochs=2, random_state=0)
rng = np.random.default_rng(0)
FLAT, X, Y = (rng.integers(-9, 9, shape) for shape in [(12, 5), (12, 5, 2), (12, 5)])
TARGET, LABELS = Y[:, 0], np.arange(12) % 3
HIDDEN = np.arange(12) > 8  # masked or missing


def arrow(values):
    kind = pd.DataFrame if np.ndim(values) == 2 else pd.Series
    return kind(values).convert_dtypes(dtype_backend="pyarrow")


def with_missing(values):
    return pd.Series(values).astype("Int64").where(~HIDDEN)


def polars_lists(values):
    return polars.Series([row.tolist() for row in values])


# The predictions do not depend on the container.

FRAMES = [
    pd.DataFrame,
    lambda X: pd.DataFrame(X).astype("Int64"),
    lambda X: pd.DataFrame(X).astype("Float64"),
    arrow,
    polars.DataFrame,
    lambda X: polars.DataFrame(X).lazy(),
    torch.tensor,
    np.ma.masked_array,
]


@pytest.mark.filterwarnings("ignore:X does not have valid feature names")
@pytest.mark.parametrize("make", FRAMES)
def test_2d_x_of_any_container_gives_the_same_predictions(make):
    expected = RNNRegressor(**TINY).fit(FLAT, TARGET).predict(FLAT)
    model = RNNRegressor(**TINY).fit(make(FLAT), TARGET)
    assert_array_equal(model.predict(make(FLAT)), expected)


@pytest.mark.parametrize("make", FRAMES)
def test_a_list_of_any_container_gives_the_same_predictions(make):
    expected = RNNRegressor(**TINY).fit(list(X), TARGET).predict(list(X))
    pieces = [make(x) for x in X]
    assert_array_equal(
        RNNRegressor(**TINY).fit(pieces, TARGET).predict(pieces), expected
    )


def test_a_polars_series_of_lists_is_ragged():
    rows = [row[: 2 + i % 4] for i, row in enumerate(FLAT)]
    expected = RNNRegressor(**TINY).fit(rows, TARGET).predict(rows)
    series = polars_lists(rows)
    assert_array_equal(
        RNNRegressor(**TINY).fit(series, TARGET).predict(series), expected
    )


@pytest.mark.parametrize(
    "make",
    [
        lambda y: pd.Series(y).astype("Int64"),
        lambda y: pd.Series(y).astype("Float64"),
        arrow,
        polars.Series,
        lambda y: torch.tensor(y.astype(float), requires_grad=True),
        lambda y: y.astype(object),
    ],
)
def test_targets_and_weights_of_any_container_are_the_same(make):
    weights = 1 + LABELS
    expected = RNNRegressor(**TINY).fit(X, TARGET, weights).predict(X)
    model = RNNRegressor(**TINY).fit(X, make(TARGET), make(weights))
    assert_array_equal(model.predict(X), expected)


@pytest.mark.parametrize(
    ("make", "dtype"),
    [
        (lambda y: pd.Series(y).astype("Int64"), np.int64),
        (lambda y: pd.Series(y > 0).astype("boolean"), np.bool_),
        (arrow, np.int64),
        (polars.Series, np.int64),
        (lambda y: pd.Series(y.astype(str), dtype="string"), None),
        (lambda y: pd.Series(y.astype(str), dtype="category"), None),
    ],
)
def test_labels_keep_their_type(make, dtype):
    labels = make(LABELS)
    model = RNNClassifier(**TINY).fit(X, labels)
    assert set(model.predict(X)) <= set(labels)
    if dtype is not None:
        assert model.classes_.dtype == dtype


@pytest.mark.parametrize(
    "make", [pd.DataFrame, arrow, polars.DataFrame, torch.tensor, polars_lists]
)
def test_step_targets_of_any_container_are_the_same(make):
    params = TINY | {"return_sequences": True}
    expected = RNNRegressor(**params).fit(X, Y).predict(X)
    assert_array_equal(
        np.stack(RNNRegressor(**params).fit(X, make(Y)).predict(X)), expected
    )


# What would be lost in reading is refused.

MASKED = (
    "{} must not have masked values. Got {}. Impute them, for example by "
    ".filled(value), or leave these rows out."
)
DATES = (
    "{} must contain numbers only. Got dtype {}. Turn dates into numbers first, such "
    "as the month."
)
TIMES = np.arange(12).astype("datetime64[s]")
mask = np.broadcast_to(HIDDEN[:, None], (12, 5))


@pytest.mark.parametrize(
    ("X", "message"),
    [
        (np.ma.masked_array(FLAT, mask), MASKED.format("X", 15)),
        (
            [*X[:11], np.ma.masked_array(X[11], X[11] < 99)],
            MASKED.format("sequence 11 of X", 10),
        ),
        (FLAT.astype("timedelta64[s]"), DATES.format("X", "timedelta64[s]")),
        (
            pd.DataFrame({"time": TIMES, "value": TARGET}),
            DATES.format("X", "datetime64[s] in column 'time'"),
        ),
        (
            pd.DataFrame(FLAT, columns=list("abcda")),
            "X must have unique column names. Got 'a' more than once.",
        ),
        (
            with_missing(TARGET).to_frame(),
            "Input X contains NaN. The first is in sequence 9, time step 0, feature 0. "
            "Impute missing values before, for example with SimpleImputer.",
        ),
        (
            [pd.DataFrame({"a": with_missing(TARGET)})] * 12,
            "Input X contains NaN. The first is in sequence 0, time step 9, feature 0. "
            "Impute missing values before, for example with SimpleImputer.",
        ),
    ],
)
def test_x_that_would_lose_something_is_refused(X, message):
    with raises(ValueError, message):
        RNNRegressor(**TINY).fit(X, TARGET)


@pytest.mark.parametrize("make", [lambda X: dict(enumerate(X)), iter, set])
def test_a_container_that_is_no_sequence_is_refused(make):
    X = make([1, 2])
    with raises(
        TypeError,
        f"X must be an array, a frame or a list. Got {type(X).__name__}. Convert it, "
        "for example by list(...).",
    ):
        RNNRegressor(**TINY).fit(X, TARGET)


@pytest.mark.parametrize(
    ("y", "message"),
    [
        (np.ma.masked_array(TARGET, HIDDEN), MASKED.format("y", 3)),
        (TIMES, DATES.format("y", "datetime64[s]")),
        (with_missing(TARGET), "Input y contains NaN."),
        (
            [[1.0], [1.0, 2.0]] * 6,
            "y must hold as many values for each row. Got different numbers of them. "
            "Set return_sequences=True for one target per time step.",
        ),
    ],
)
def test_targets_that_are_no_numbers_are_refused(y, message):
    with raises(ValueError, message):
        RNNRegressor(**TINY).fit(X, y)


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        (np.ma.masked_array(LABELS, HIDDEN), MASKED.format("sample_weight", 3)),
        (TIMES, DATES.format("sample_weight", "datetime64[s]")),
        (with_missing(LABELS), "Input sample_weight contains NaN."),
        (
            ["balanced"] * 12,
            "sample_weight must contain numbers only (could not convert string to "
            "float: 'balanced'). Balance classes by class_weight.",
        ),
    ],
)
def test_weights_that_are_no_numbers_are_refused(weights, message):
    with raises(ValueError, message):
        RNNRegressor(**TINY).fit(X, TARGET, weights)


@pytest.mark.parametrize(
    "labels",
    [np.where(HIDDEN, None, "a"), pd.Series(np.where(HIDDEN, None, LABELS))],
)
def test_missing_labels_are_refused(labels):
    message = (
        "Input y contains NaN. Leave rows without a label out, or give them a label of "
        "their own."
    )
    with raises(ValueError, message):
        RNNClassifier(**TINY).fit(X, labels)


def test_masked_values_are_refused_after_fit_too():
    model = RNNRegressor(**TINY).fit(FLAT, TARGET)
    with raises(ValueError, MASKED.format("X", 15)):
        model.predict(np.ma.masked_array(FLAT, mask))
