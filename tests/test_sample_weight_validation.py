import numpy as np
import pytest
from estimators import (
    N_SAMPLES,
    answers,
    over_estimators,
    sequences,
    targets,
    tiny,
)
from messages import raises
from numpy.testing import assert_allclose


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        (
            [1.0] * 3 + [-0.5] + [1.0] * 16,
            "sample_weight must not be negative. Got -0.5 for row 3. Use 0 to leave a "
            "row out.",
        ),
        (
            [0.0] * 20,
            "sample_weight must have a weight above zero for at least one row. Got "
            "zero for all 20.",
        ),
        (
            0.0,
            "sample_weight must have a weight above zero for at least one row. Got "
            "zero for all 20.",
        ),
        (
            [1.0] * 19,
            "sample_weight must have shape (20,), one weight for each sequence. Got "
            "shape (19,).",
        ),
        (
            [[1.0]] * 20,
            "sample_weight must have shape (20,), one weight for each sequence. Got "
            "shape (20, 1).",
        ),
        ([np.nan] * 20, "Input sample_weight contains NaN."),
        (
            [np.inf] * 20,
            "Input sample_weight contains infinity or a value too large for "
            "dtype('float64').",
        ),
    ],
)
@over_estimators
def test_senseless_weights_are_refused(cls, weights, message):
    with raises(ValueError, message):
        tiny(cls).fit(sequences(), targets(), sample_weight=weights)


@pytest.mark.parametrize("unit", [2.0**-1000, 2.0**-10, 2.0**1000, 2.0**1020])
@over_estimators
def test_the_unit_of_weights_does_not_matter(cls, unit):
    X, weights = sequences(), np.arange(N_SAMPLES) % 4 + 1.0
    plain = tiny(cls).fit(X, targets(), sample_weight=weights)

    estimator = tiny(cls).fit(X, targets(), sample_weight=weights * unit)

    assert_allclose(answers(estimator, X), answers(plain, X), rtol=1e-9)
