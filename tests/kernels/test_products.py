import os
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("numba", reason="kernels are compiled by numba")

from numba import njit

from skrnn._kernels import operations, products
from skrnn._kernels.compilation import compiled
from skrnn._kernels.products import TILE_ROWS, load_product

for number in (np.float32, np.float64):
    load_product(np.dtype(number))

# These are compiled for calls by compiled functions only.
(
    add_column_sums,
    add_matmul,
    add_transposed_matmul,
    fill_rows,
    flatten_steps,
    pack,
    pack_transpose,
    transpose_into,
    zeros_transposed,
) = (
    compiled(getattr(products, name).py_func, cache=False)
    for name in (
        "add_column_sums",
        "add_matmul",
        "add_transposed_matmul",
        "fill_rows",
        "flatten_steps",
        "pack",
        "pack_transpose",
        "transpose_into",
        "zeros_transposed",
    )
)

TOLERANCE = {np.float32: 1e-5, np.float64: 1e-13}
dtypes = pytest.mark.parametrize("dtype", [np.float32, np.float64])


def draw(*shape, dtype=np.float64, seed=0):
    return np.random.default_rng(seed).uniform(-1, 1, shape).astype(dtype)


@settings(max_examples=100)
@given(
    shape=st.tuples(*(st.integers(0, top) for top in (19, 19, 70))),
    dtype=st.sampled_from([np.float32, np.float64]),
)
def test_products_of_any_size_are_added_to_the_output(shape, dtype):
    n, k, j = shape
    a, b = draw(n, k, dtype=dtype), draw(k, j, dtype=dtype, seed=1)
    start = draw(n, j, dtype=dtype, seed=2)
    product, outer = start.copy(), start.copy()

    add_matmul(a, pack(b), product)
    add_transposed_matmul(np.ascontiguousarray(a.T), b, outer)

    expected = start + a.astype(np.float64) @ b.astype(np.float64)
    np.testing.assert_allclose(product, expected, rtol=0, atol=TOLERANCE[dtype])
    np.testing.assert_array_equal(product, outer)
    product = start.copy()
    add_matmul(a, pack_transpose(np.ascontiguousarray(b.T)), product)
    np.testing.assert_array_equal(product, outer)


@dtypes
def test_products_of_wide_rows_are_right(dtype):
    a, b = draw(40, 9, dtype=dtype), draw(40, 1100, dtype=dtype, seed=1)
    out = np.zeros((9, 1100), dtype)
    add_transposed_matmul(a, b, out)
    np.testing.assert_allclose(out, a.T @ b, atol=10 * TOLERANCE[dtype])


def test_the_cache_of_each_kernel_depends_on_the_sources_of_all():
    folder = Path(products.__file__).parent
    sources = b"".join(path.read_bytes() for path in sorted(folder.glob("*.py")))
    checksum = f"{zlib.crc32(sources):08x}"
    rnn_layer = operations.compile_operation("rnn_layer", np.dtype(np.float64))
    product = load_product(np.dtype(np.float64))
    for kernel in (rnn_layer, product, operations.run_batches):
        assert checksum in kernel._cache._impl.filename_base


@pytest.mark.slow
def test_packed_copies_are_not_freed_before_they_are_read():
    # In a process that overwrites memory when it is freed.
    code = """
import numpy as np
from skrnn._kernels import products
from skrnn._kernels.compilation import compiled
products.load_product(np.dtype(np.float64))
add_matmul, add_transposed_matmul, pack, pack_transpose = (
    compiled(getattr(products, name).py_func, cache=False)
    for name in ("add_matmul", "add_transposed_matmul", "pack", "pack_transpose")
)
for k, j in [(300, 600), (4000, 600), (10000, 1100)]:
    b, a = np.ones((k, j)), np.ones((k, 2))
    out = np.zeros((2, j))
    add_transposed_matmul(a, b, out)
    assert (out == k).all()
    add_matmul(np.ones((2, k)), pack(b), out)
    assert (out == 2 * k).all()
    add_matmul(np.ones((2, k)), pack_transpose(b.T.copy()), out)
    assert (out == 3 * k).all()
"""
    environment = os.environ | {"MALLOC_PERTURB_": "165"}
    subprocess.run([sys.executable, "-c", code], env=environment, check=True)


@dtypes
def test_a_row_has_the_same_bits_at_any_place_in_the_batch(dtype):
    a, b = draw(2 * TILE_ROWS + 3, 37, dtype=dtype), draw(37, 53, dtype=dtype)
    together = np.zeros((len(a), 53), dtype)
    add_matmul(a, pack(b), together)
    for i in range(len(a)):
        alone = np.zeros((1, 53), dtype)
        add_matmul(a[i : i + 1], pack(b), alone)
        np.testing.assert_array_equal(alone[0], together[i])


@dtypes
def test_slices_are_read_and_written_without_their_surroundings(dtype):
    a, b = draw(9, 12, dtype=dtype), draw(12, 40, dtype=dtype, seed=1)
    out = draw(9, 40, dtype=dtype, seed=2)
    expected = out.copy()
    expected[:, 5:25] += a[:, 3:] @ b[3:, 5:25]

    add_matmul(a[:, 3:], pack(b[3:, 5:25]), out[:, 5:25])

    np.testing.assert_allclose(out, expected, atol=TOLERANCE[dtype])


@pytest.mark.parametrize(
    ("value", "dtype"), [(np.nan, np.float32), (np.inf, np.float64)]
)
def test_nan_and_infinity_stay_in_their_row(value, dtype):
    a, b = np.ones((3, 2), dtype), np.ones((2, 4), dtype)
    a[1, 0] = value
    out = np.zeros((3, 4), dtype)

    add_matmul(a, pack(b), out)

    assert np.isfinite(out[[0, 2]]).all()
    np.testing.assert_array_equal(out[1], np.full(4, value, dtype))


@dtypes
def test_sums_fills_and_transposes_are_those_of_numpy(dtype):
    a = draw(5, 3, dtype=dtype)
    total, copies = np.ones(3, dtype), np.empty((4, 3), dtype)

    add_column_sums(a, total)
    fill_rows(copies, a[0])

    np.testing.assert_allclose(total, 1 + a.sum(axis=0), rtol=1e-6)
    np.testing.assert_array_equal(copies, np.tile(a[0], (4, 1)))
    transposed = np.empty((3, 5), dtype)
    transpose_into(a, transposed)
    np.testing.assert_array_equal(transposed, a.T)
    assert zeros_transposed(a).shape == (3, 5)
    np.testing.assert_array_equal(
        flatten_steps(draw(2, 3, 4)), draw(2, 3, 4).reshape(6, 4)
    )


@pytest.mark.parametrize(
    ("n_rows", "n_vectors", "n_bytes"),
    [(1, 1, 4), (4, 1, 16), (4, 2, 32), (8, 2, 64)],
)
def test_tiles_of_any_shape_multiply_matrices(n_rows, n_vectors, n_bytes):
    tile = products.make_tile(n_rows, n_vectors, n_bytes)

    @njit(error_model="numpy")
    def add(a, b, out):
        tile(
            out.dtype.type(0),
            np.intp(a.ctypes.data),
            *a.strides,
            np.intp(b.ctypes.data),
            b.strides[0],
            np.intp(out.ctypes.data),
            out.strides[0],
            a.shape[1],
        )

    for dtype in TOLERANCE:
        n_cols = n_vectors * n_bytes // 4
        a, b = draw(n_rows, 5, dtype=dtype), draw(5, n_cols, dtype=dtype, seed=1)
        out = np.ones((n_rows, n_cols), dtype)
        add(a, b, out)
        np.testing.assert_allclose(out, 1 + a @ b, rtol=0, atol=TOLERANCE[dtype])


@pytest.mark.parametrize(
    ("features", "n_bytes"),
    [({"sse2"}, 16), ({"avx", "avx2", "fma"}, 32), ({"avx", "avx512f"}, 64)],
    ids=["sse2", "avx2", "avx512"],
)
def test_vector_size_follows_the_features_of_x86(features, n_bytes, monkeypatch):
    monkeypatch.setattr(products.platform, "machine", lambda: "x86_64")
    assert products.vector_bytes(features) == n_bytes


def test_other_processors_than_x86_use_two_registers_per_vector(monkeypatch):
    monkeypatch.setattr(products.platform, "machine", lambda: "arm64")
    assert products.vector_bytes({"neon"}) == 32


def test_features_are_those_that_numba_compiles_for(monkeypatch):
    monkeypatch.setattr(products.config, "CPU_FEATURES", "+sse2,+avx,-avx2")
    assert products.target_features() == {"sse2", "avx"}
    monkeypatch.setattr(products.config, "CPU_FEATURES", "")  # NUMBA_CPU_NAME=generic
    assert products.target_features() == set()
