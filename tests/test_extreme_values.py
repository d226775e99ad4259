import numpy as np
import pytest
from estimators import (
    N_SAMPLES,
    answers,
    normal,
    over_cells,
    over_estimators,
    sequences,
    targets,
    tiny,
)
from messages import raises
from numpy.testing import assert_allclose, assert_array_equal

from skrnn import RNNRegressor


def infinity_message(name, dtype):
    return (
        f"Input {name} contains infinity or a value too large for dtype('{dtype}'). "
        "Remove it, or scale the data."
    )


@over_cells
@over_estimators
def test_x_of_1e300_trains_as_any_other(cls, cell_type):
    X = sequences() * 1e300
    estimator = tiny(cls, cell_type=cell_type, max_epochs=5).fit(X, targets())

    assert np.isfinite(estimator.loss_curve_).all()
    plain = tiny(cls, cell_type=cell_type, max_epochs=5).fit(X / 1e300, targets())
    assert_allclose(answers(estimator, X), answers(plain, X / 1e300), rtol=1e-9)


@over_estimators
def test_x_too_large_for_float32_is_refused_once_the_fit_was_float32(cls):
    estimator = tiny(cls).fit(sequences(dtype=np.float32), targets())

    with raises(ValueError, infinity_message("X", "float32")):
        answers(estimator, sequences() * 1e300)


@over_estimators
def test_x_too_large_for_float32_is_refused_where_training_goes_on(cls):
    estimator = tiny(cls, warm_start=True)
    estimator.fit(sequences(dtype=np.float32), targets())
    for go_on in (estimator.fit, estimator.partial_fit):
        with raises(ValueError, infinity_message("X", "float32")):
            go_on(sequences() * 1e300, targets())


@over_estimators
def test_x_val_too_large_for_float32_is_refused(cls):
    X = sequences(dtype=np.float32)
    with raises(ValueError, infinity_message("X_val", "float32")):
        tiny(cls).fit(X, targets(), X_val=sequences() * 1e300, y_val=targets())


@pytest.mark.parametrize(
    ("dtype", "value"),
    [(np.float32, 3e38), (np.float64, 1.7e308), (np.float64, -1e308)],
)
@over_estimators
def test_x_so_large_that_taking_the_mean_off_may_overflow_is_refused(cls, dtype, value):
    X = sequences(dtype=dtype)
    X[3, 2, 1] = value
    with raises(ValueError, infinity_message("X", np.dtype(dtype).name)):
        tiny(cls).fit(X, targets())


@pytest.mark.parametrize(
    ("dtype", "value"), [(np.float32, 8e37), (np.float64, 4e307), (np.float64, -4e307)]
)
@over_estimators
def test_the_largest_x_that_is_accepted_trains(cls, dtype, value):
    X = sequences(dtype=dtype)
    X[3, 2, 1] = value
    estimator = tiny(cls).fit(X, targets())

    assert np.isfinite(estimator.loss_curve_).all()
    assert np.isfinite(answers(estimator, X)).all()


@pytest.mark.parametrize(
    "params", [{}, {"nonlinearity": "relu"}, {"cell_type": "gru"}], ids=str
)
@pytest.mark.parametrize("unit", [1.0, 1e-10])
@over_estimators
def test_x_far_from_that_of_fit_gives_no_nan(cls, unit, params):
    X = sequences()
    estimator = tiny(cls, **params).fit(X * unit, targets())
    try:
        answer = answers(estimator, X * 1e307)
    except ValueError:
        return  # refused is as good
    assert np.isfinite(answer).all()


@over_cells
def test_y_of_1e300_trains_as_any_other(cell_type):
    X, y = sequences(), normal(N_SAMPLES)
    # A power of two changes no digit.
    estimator = tiny(RNNRegressor, cell_type=cell_type).fit(X, y * 2.0**1000)
    plain = tiny(RNNRegressor, cell_type=cell_type).fit(X, y)

    assert_array_equal(estimator.loss_curve_, plain.loss_curve_)
    assert_array_equal(estimator.predict(X), plain.predict(X) * 2.0**1000)


def test_y_so_large_that_taking_the_mean_off_overflows_is_refused():
    y = np.array([1.7e308] * 19 + [-1.7e308])
    with raises(ValueError, infinity_message("y", "float64")):
        tiny(RNNRegressor).fit(sequences(), y)


def test_y_of_1e_minus_300_trains_as_any_other():
    X, y = sequences(), normal(N_SAMPLES)
    estimator = tiny(RNNRegressor).fit(X, y * 2.0**-1000)

    plain = tiny(RNNRegressor).fit(X, y)
    assert_array_equal(estimator.predict(X), plain.predict(X) * 2.0**-1000)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (np.nan, "Input y contains NaN."),
        (
            np.inf,
            "Input y contains infinity or a value too large for dtype('float64').",
        ),
    ],
)
@over_estimators
def test_y_that_is_not_finite_is_refused(cls, value, message):
    y = targets().astype(np.float64)
    y[4] = value
    with raises(ValueError, message):
        tiny(cls).fit(sequences(), y)
