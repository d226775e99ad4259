"""`sample_weight` of fit."""

import numpy as np
import pytest
from estimators import (
    N_ROWS,
    WEIGHTS,
    X,
    assert_same_model,
    make_case,
    outputs,
    over_cases,
    take,
    tiny,
    y,
)
from messages import raises
from sklearn.base import clone


@pytest.mark.parametrize(
    ("case", "early_stopping"),
    [
        ("regressor", False),
        ("regressor", True),
        ("float32", True),
        ("classifier", True),
        ("multilabel", True),
    ],
)
def test_rows_of_weight_zero_count_as_absent(case, early_stopping):
    model, sequences, target = make_case(case, early_stopping=early_stopping)
    kept = np.flatnonzero(np.arange(N_ROWS) % 3)
    weights = np.where(np.arange(N_ROWS) % 3, WEIGHTS, 0.0)

    weighted = clone(model).fit(sequences, target, weights)

    expected = clone(model).fit(take(sequences, kept), target[kept], WEIGHTS[kept])
    assert_same_model(weighted, expected, sequences)


@over_cases("float32", "classifier", "multilabel")
def test_integer_weights_equal_repeated_rows(case):
    model, sequences, target = make_case(case, batch_size=200)
    repeats = 1 + np.arange(N_ROWS) % 3
    rows = np.repeat(np.arange(N_ROWS), repeats)

    weighted = clone(model).fit(sequences, target, repeats)
    expected = clone(model).fit(take(sequences, rows), target[rows])

    np.testing.assert_allclose(
        outputs(weighted, sequences),
        outputs(expected, sequences),
        rtol=1e-4 if case == "float32" else 1e-7,
    )


@pytest.mark.parametrize("unit", [2.0**-1000, 2.0**1020])
def test_unit_of_weights_does_not_matter(unit):
    expected = tiny().fit(X, y, WEIGHTS)

    model = tiny().fit(X, y, WEIGHTS * unit)

    np.testing.assert_allclose(model.predict(X), expected.predict(X), rtol=1e-9)


ALL_ZERO = (
    "sample_weight must have a weight above zero for at least one row. Got zero for "
    "all 20."
)
SHAPE = "sample_weight must have shape (20,), one weight for each sequence. Got shape "


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        (
            [1.0] * 3 + [-0.5] + [1.0] * 16,
            "sample_weight must not be negative. Got -0.5 for row 3. Use 0 to leave a "
            "row out.",
        ),
        ([0.0] * 20, ALL_ZERO),
        (0.0, ALL_ZERO),
        ([1.0] * 19, f"{SHAPE}(19,)."),
        ([[1.0]] * 20, f"{SHAPE}(20, 1)."),
        ([np.nan] * 20, "Input sample_weight contains NaN."),
        (
            [np.inf] * 20,
            "Input sample_weight contains infinity or a value too large for "
            "dtype('float64').",
        ),
    ],
    ids=["negative", "zeros", "zero", "too few", "2-D", "NaN", "inf"],
)
def test_invalid_weights_are_refused(weights, message):
    with raises(ValueError, message):
        tiny().fit(X, y, sample_weight=weights)
