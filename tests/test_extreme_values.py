"""Values near the ends of the range of floating-point numbers."""

import numpy as np
import pytest
from estimators import X, labels, outputs, tiny, y
from messages import raises
from numpy.testing import assert_allclose, assert_array_equal

from skrnn import RNNClassifier, RNNRegressor

over_estimators = pytest.mark.parametrize(
    ("cls", "target"), [(RNNRegressor, y), (RNNClassifier, labels)]
)


def infinity_message(name, dtype, place=""):
    return (
        f"Input {name} contains infinity or a value too large for dtype('{dtype}'). "
        f"{place}Remove it, or scale the data."
    )


FIRST = "The first is in sequence 0, time step 0, feature 0. "


def with_value(value, dtype):
    changed = X.astype(dtype)
    changed[3, 2, 1] = value
    return changed


@over_estimators
def test_unit_of_x_of_1e300_does_not_matter(cls, target):
    model = tiny(cls).fit(X * 1e300, target)

    expected = tiny(cls).fit(X, target)
    assert_allclose(outputs(model, X * 1e300), outputs(expected, X), rtol=1e-9)


def test_x_too_large_for_float32_is_refused_after_a_float32_fit():
    X32 = X.astype(np.float32)
    model = tiny(warm_start=True).fit(X32, y)

    for call in (model.predict, lambda X: model.fit(X, y)):
        with raises(ValueError, infinity_message("X", "float32", FIRST)):
            call(X * 1e300)
    with raises(ValueError, infinity_message("X_val", "float32", FIRST)):
        tiny().fit(X32, y, X_val=X * 1e300, y_val=y)


@pytest.mark.parametrize(
    ("dtype", "value"),
    [(np.float32, 3e38), (np.float64, 1.7e308), (np.float64, -1e308)],
)
def test_x_whose_deviation_from_the_mean_may_overflow_is_refused(dtype, value):
    place = "The first is in sequence 3, time step 2, feature 1. "
    with raises(ValueError, infinity_message("X", np.dtype(dtype).name, place)):
        tiny().fit(with_value(value, dtype), y)


@pytest.mark.parametrize(
    ("dtype", "value"), [(np.float32, 8e37), (np.float64, 4e307), (np.float64, -4e307)]
)
def test_the_largest_accepted_x_trains(dtype, value):
    X = with_value(value, dtype)
    with pytest.warns(UserWarning, match="One value of feature 1 of X is so large"):
        model = tiny().fit(X, y)

    assert np.isfinite(model.loss_curve_).all()
    assert np.isfinite(model.predict(X)).all()


@pytest.mark.parametrize("params", [{"nonlinearity": "relu"}, {"cell_type": "gru"}])
@pytest.mark.parametrize("unit", [1.0, 1e-10])
@over_estimators
def test_x_far_from_that_of_fit_gives_an_error_or_finite_outputs(
    cls, target, unit, params
):
    model = tiny(cls, **params).fit(X * unit, target)
    try:
        actual = outputs(model, X * 1e307)
    except ValueError:
        return
    assert np.isfinite(actual).all()


@pytest.mark.parametrize("exponent", [1000, -1000])
def test_unit_of_y_of_any_size_does_not_matter(exponent):
    unit = 2.0**exponent  # a power of two changes no digit
    model, expected = tiny().fit(X, y * unit), tiny().fit(X, y)

    assert_array_equal(model.loss_curve_, expected.loss_curve_)
    assert_array_equal(model.predict(X), expected.predict(X) * unit)


def test_y_whose_deviation_from_the_mean_overflows_is_refused():
    with raises(ValueError, infinity_message("y", "float64")):
        tiny().fit(X, [1.7e308] * 19 + [-1.7e308])
