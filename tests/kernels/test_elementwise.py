"""Formulas on vectors against numpy."""

import numpy as np
import pytest

pytest.importorskip("numba", reason="kernels are compiled by numba")

from numba import njit

from skrnn._kernels.activations import divide, sigmoid, tanh
from skrnn._kernels.elementwise import elementwise

# Sizes with whole vectors, small vectors and single elements, in any combination.
WIDTHS = [1, 2, 3, 4, 7, 8, 16, 19, 32, 37]
EPSILON = {np.float32: 4e-7, np.float64: 2e-15}
dtypes = pytest.mark.parametrize("dtype", [np.float32, np.float64])

apply_tanh = elementwise(lambda x: tanh(x))
apply_sigmoids = elementwise(lambda a, b, c: tuple(sigmoid(a, b, c)))
apply_quotients = elementwise(lambda a, b, c: tuple(divide([a, b, c], [b, c, a])))
apply_clip = elementwise(lambda x: x.clip(2.0))
apply_mixed = elementwise(lambda a, b: (1 - 2 * a / (b + 3), 0.0))


@njit
def run_tanh(x, out):
    apply_tanh((x,), (out,))


@njit
def run_sigmoids(a, b, c, out_a, out_b, out_c):
    apply_sigmoids((a, b, c), (out_a, out_b, out_c))


@njit
def run_quotients(a, b, c, out_a, out_b, out_c):
    apply_quotients((a, b, c), (out_a, out_b, out_c))


@njit
def run_clip(x, out):
    apply_clip((x,), (out,))


@njit
def run_mixed(a, b, out, zeros):
    apply_mixed((a, b), (out, zeros))


def draw(dtype, n, low=-9.0, high=9.0, seed=0):
    rng = np.random.default_rng(seed)
    return rng.uniform(low, high, (3, n)).astype(dtype)


@dtypes
def test_tanh_is_accurate_for_tiny_and_large_arguments(dtype):
    x = np.concatenate([np.linspace(-30, 30, 2000), np.logspace(-30, 2, 500)])
    x = x.astype(dtype)[None]
    found = np.empty_like(x)
    run_tanh(x, found)
    np.testing.assert_allclose(found, np.tanh(x.astype(float)), rtol=EPSILON[dtype])


@dtypes
@pytest.mark.parametrize("width", WIDTHS)
def test_all_elements_of_rows_of_any_width_are_computed(width, dtype):
    inputs = [draw(dtype, width, seed=seed) for seed in range(3)]
    found = [np.full_like(x, 7) for x in inputs]
    run_sigmoids(*inputs, *found)
    for x, out in zip(inputs, found, strict=True):
        expected = 1 / (1 + np.exp(-x.astype(float)))
        np.testing.assert_allclose(out, expected, rtol=0, atol=EPSILON[dtype])


@dtypes
def test_an_element_does_not_depend_on_its_row(dtype):
    x = draw(dtype, 37)
    found, alone = np.empty_like(x), np.empty_like(x[:1])
    run_tanh(x, found)
    run_tanh(x[1:2], alone)
    np.testing.assert_array_equal(found[1], alone[0])


@dtypes
def test_quotients_by_one_division(dtype):
    inputs = [draw(dtype, 19, 0.01, 9.0, seed) for seed in range(3)]
    a, b, c = inputs
    found = [np.empty_like(x) for x in inputs]
    run_quotients(*inputs, *found)
    for out, expected in zip(found, (a / b, b / c, c / a), strict=True):
        np.testing.assert_allclose(out, expected, rtol=8 * np.finfo(dtype).eps)


@dtypes
def test_nan_and_infinity_keep_their_meaning(dtype):
    x = np.array([[np.nan, -np.inf, np.inf, 0.0, -5.0]], dtype)
    clipped, found = np.empty_like(x), np.empty_like(x)
    run_clip(x, clipped)
    run_tanh(x, found)
    np.testing.assert_array_equal(clipped, [[np.nan, -2, 2, 0, -2]])
    np.testing.assert_allclose(found[0], np.tanh(x[0]), rtol=EPSILON[dtype])


@dtypes
def test_columns_of_a_larger_matrix_and_numbers_as_results(dtype):
    both = draw(dtype, 22)
    a, b = both[:, :11], both[:, 11:] + 20
    out, zeros = np.full((3, 22), 7, dtype), np.full_like(a, 7)
    run_mixed(a, b, out[:, 11:], zeros)
    np.testing.assert_allclose(out[:, 11:], 1 - 2 * a / (b + 3), rtol=1e-5)
    assert (out[:, :11] == 7).all()
    assert (zeros == 0).all()
