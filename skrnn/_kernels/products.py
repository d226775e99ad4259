"""Matrix products for compiled loops, fast for matrices of any size.

BLAS is made for large matrices, and in numba's own loops sums stay in memory instead of
in registers, at half the speed. Here a tile of the result, a few rows by a few vectors,
stays in registers while all terms are added. Tiles are written in LLVM's intermediate
representation, because numba has no vector types.

Each element of a result is summed term by term in the same order, wherever it lies in
its matrix: a row alone has the same bits as the row among others.
"""

from __future__ import annotations

import platform
from functools import cache
from typing import Any

import numpy as np
from llvmlite import ir
from llvmlite.binding import add_symbol, get_host_cpu_features
from numba import config, types
from numba.core import cgutils
from numba.extending import intrinsic

from skrnn._kernels.compilation import (
    c_function,
    compiled_helper,
    write_call,
)
from skrnn._typing import AnyArray


def vector_bytes(features: set[str]) -> int:
    """Return the size of the vectors of a processor.

    Parameters
    ----------
    features : set of str
        What LLVM calls the features of the processor.

    Returns
    -------
    n_bytes : int
        64, 32 or 16 on x86; elsewhere 32, for two registers of 16 bytes.
    """
    if "avx512f" in features:
        return 64
    is_x86 = platform.machine().lower() in ("x86_64", "amd64", "i386", "i686", "x86")
    return 16 if is_x86 and "avx" not in features else 32


def target_features() -> set[str]:
    """Return the features of the processor that numba compiles for.

    That is this one, unless the environment variable NUMBA_CPU_FEATURES names others,
    or NUMBA_CPU_NAME is 'generic'.
    """
    if config.CPU_FEATURES is None:
        return {name for name, present in get_host_cpu_features().items() if present}
    return {name[1:] for name in config.CPU_FEATURES.split(",") if name[:1] == "+"}


# A tile has two vectors in each of its rows, and needs three registers besides: AVX-512
# has 32 registers, older x86 processors have 16.
VECTOR_BYTES = vector_bytes(target_features())
TILE_ROWS = 8 if VECTOR_BYTES == 64 else 4


def make_tile(n_rows: int, n_vectors: int, n_bytes: int) -> Any:
    """Return a numba function that adds a matrix product to a tile of the result.

    Parameters
    ----------
    n_rows, n_vectors : int
        Shape of the tile.

    n_bytes : int
        Size of a vector of float32; one of float64 has as many elements.

    Returns
    -------
    tile : numba intrinsic
        `tile(number, a, a_row, a_col, b, b_row, out, out_row, n_terms)`: any number of
        the dtype of the matrices, then for each matrix the address of the first element
        and its strides in bytes, then the number of terms.
    """

    @intrinsic
    def tile(
        typing: Any,
        number: Any,
        a: Any,
        a_row: Any,
        a_col: Any,
        b: Any,
        b_row: Any,
        out: Any,
        out_row: Any,
        n_terms: Any,
    ) -> Any:
        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            scalar = context.get_value_type(signature.args[0])
            TileWriter(builder, scalar, n_rows, n_vectors, n_bytes // 4).write(
                *arguments[1:]
            )
            return context.get_dummy_value()

        return types.void(number, *[types.intp] * 8), generate

    return tile


class TileWriter:
    """Writes the LLVM instructions of a tile.

    Parameters
    ----------
    builder : llvmlite.ir.IRBuilder
        Builder of the function that gets the instructions.

    scalar : llvmlite.ir.Type
        Type of an element.

    n_rows, n_vectors, n_lanes : int
        Rows of the tile, vectors in a row, and elements in a vector.
    """

    def __init__(
        self, builder: Any, scalar: ir.Type, n_rows: int, n_vectors: int, n_lanes: int
    ) -> None:
        self.builder = builder
        self.scalar, self.vector = scalar, ir.VectorType(scalar, n_lanes)
        self.size = 4 if scalar == ir.FloatType() else 8
        self.n_rows, self.n_vectors, self.n_lanes = n_rows, n_vectors, n_lanes

    def write(
        self,
        a: Any,
        a_row: Any,
        a_col: Any,
        b: Any,
        b_row: Any,
        out: Any,
        out_row: Any,
        n_terms: Any,
    ) -> None:
        """Load the tile, add all terms in a loop, and store it."""
        builder, intp = self.builder, a.type
        zero, one = ir.Constant(intp, 0), ir.Constant(intp, 1)
        a_rows = [self._offset(a, a_row, r) for r in range(self.n_rows)]
        out_rows = [self._offset(out, out_row, r) for r in range(self.n_rows)]
        addresses = [v for row in out_rows for v in self._vector_addresses(row)]
        initial_sums = [self._load(address, self.vector) for address in addresses]
        entry = builder.block
        body = builder.append_basic_block("terms")
        done = builder.append_basic_block("done")
        builder.cbranch(builder.icmp_signed(">", n_terms, zero), body, done)

        builder.position_at_end(body)
        k, a_offset, b_row_k = (builder.phi(intp) for _ in range(3))
        sums = [builder.phi(self.vector) for _ in addresses]
        next_sums = self._add_term(
            [builder.add(row, a_offset) for row in a_rows], b_row_k, sums
        )
        next_k = builder.add(k, one)
        for phi, initial, next_value in (
            (k, zero, next_k),
            (a_offset, zero, builder.add(a_offset, a_col)),
            (b_row_k, b, builder.add(b_row_k, b_row)),
            *zip(sums, initial_sums, next_sums, strict=True),
        ):
            phi.add_incoming(initial, entry)
            phi.add_incoming(next_value, body)
        builder.cbranch(builder.icmp_signed("<", next_k, n_terms), body, done)

        builder.position_at_end(done)
        results = [builder.phi(self.vector) for _ in addresses]
        for result, initial, final in zip(
            results, initial_sums, next_sums, strict=True
        ):
            result.add_incoming(initial, entry)
            result.add_incoming(final, body)
        for address, result in zip(addresses, results, strict=True):
            pointer = self._pointer(address, self.vector)
            builder.store(result, pointer, align=self.size)

    def _add_term(
        self, a_addresses: list[Any], b_row_k: Any, sums: list[Any]
    ) -> list[Any]:
        """Return the sums after one more term, an element of `a` times a row of `b`."""
        builder, int32 = self.builder, ir.IntType(32)
        undefined = ir.Constant(self.vector, ir.Undefined)
        broadcast = ir.Constant(ir.VectorType(int32, self.n_lanes), [0] * self.n_lanes)
        vectors = [
            self._load(address, self.vector)
            for address in self._vector_addresses(b_row_k)
        ]
        next_sums, sums = [], iter(sums)
        for address in a_addresses:
            factor = self._load(address, self.scalar)
            factor = builder.insert_element(undefined, factor, ir.Constant(int32, 0))
            factor = builder.shuffle_vector(factor, undefined, broadcast)
            for vector in vectors:
                product = builder.fmul(factor, vector, flags=["contract"])
                next_sums.append(builder.fadd(product, next(sums), flags=["contract"]))
        return next_sums

    def _vector_addresses(self, row: Any) -> list[Any]:
        """Return the addresses of the vectors of a row of the tile."""
        stride = ir.Constant(row.type, self.n_lanes * self.size)
        return [self._offset(row, stride, v) for v in range(self.n_vectors)]

    def _offset(self, address: Any, stride: Any, index: Any) -> Any:
        index = ir.Constant(address.type, index)
        return self.builder.add(address, self.builder.mul(stride, index))

    def _pointer(self, address: Any, element: Any) -> Any:
        return self.builder.inttoptr(address, element.as_pointer())

    def _load(self, address: Any, element: Any) -> Any:
        return self.builder.load(self._pointer(address, element), align=self.size)


def make_strip(n_vectors: int, n_bytes: int) -> Any:
    """Return a numba function that adds a product to all rows of a few columns.

    Parameters
    ----------
    n_vectors, n_bytes : int
        Vectors in a row of these columns and their size, as for `make_tile`.

    Returns
    -------
    strip : numba function
        `strip(number, a, a_row, a_col, b, b_row, out, out_row, n_terms, n_rows)`.
    """
    tile, tile_of_4, tile_of_1 = (
        make_tile(n, n_vectors, n_bytes) for n in (TILE_ROWS, 4, 1)
    )

    @compiled_helper
    def strip(
        number: Any,
        a: Any,
        a_row: Any,
        a_col: Any,
        b: Any,
        b_row: Any,
        out: Any,
        out_row: Any,
        n_terms: Any,
        n_rows: int,
    ) -> None:
        n_left = n_rows
        while n_left >= TILE_ROWS:
            tile(number, a, a_row, a_col, b, b_row, out, out_row, n_terms)
            a, out = a + TILE_ROWS * a_row, out + TILE_ROWS * out_row
            n_left -= TILE_ROWS
        if n_left >= 4:
            tile_of_4(number, a, a_row, a_col, b, b_row, out, out_row, n_terms)
            a, out, n_left = a + 4 * a_row, out + 4 * out_row, n_left - 4
        while n_left > 0:
            tile_of_1(number, a, a_row, a_col, b, b_row, out, out_row, n_terms)
            a, out, n_left = a + a_row, out + out_row, n_left - 1

    return strip


LANES = VECTOR_BYTES // 4  # elements of a vector
PANEL = 2 * LANES  # columns of a panel
PACKING_BYTES = 2048  # row stride from which on packing pays for itself
_strip_of_panel, _strip_of_vector = (make_strip(n, VECTOR_BYTES) for n in (2, 1))
_strip_of_4, _strip_of_1 = (make_strip(1, n) for n in (16, 4))


# Of the addresses of a, panels and out, their strides and sizes; see `_make_product`.
PRODUCT = types.void(*[types.intp] * 11)


def _make_product(number: Any) -> Any:
    """Return a C function that adds a product of matrices of a dtype."""
    size = np.dtype(number).itemsize

    def add_product(
        a: int,
        a_row: int,
        a_col: int,
        b: int,
        b_row: int,
        b_panel: int,
        out: int,
        out_row: int,
        n: int,
        n_cols: int,
        n_terms: int,
    ) -> None:
        """Add a product to `out`, strip by strip, the widest that fit first."""
        zero = number(0)
        j = 0
        while j < n_cols:
            n_left, z = n_cols - j, out + j * size
            y = b + j // PANEL * b_panel + j % PANEL * size
            if n_left >= PANEL:
                _strip_of_panel(zero, a, a_row, a_col, y, b_row, z, out_row, n_terms, n)
                j += PANEL
            elif n_left >= LANES:
                _strip_of_vector(
                    zero, a, a_row, a_col, y, b_row, z, out_row, n_terms, n
                )
                j += LANES
            elif n_left >= 4:
                _strip_of_4(zero, a, a_row, a_col, y, b_row, z, out_row, n_terms, n)
                j += 4
            else:
                _strip_of_1(zero, a, a_row, a_col, y, b_row, z, out_row, n_terms, n)
                j += 1

    return c_function(PRODUCT, add_product)


@cache
def load_product(dtype: Any) -> Any:
    """Make the product of matrices of a dtype known to compiled functions.

    Call it before a function with such a product is compiled or read from the cache.

    Parameters
    ----------
    dtype : numpy dtype
        float32 or float64.

    Returns
    -------
    product : numba.core.ccallback.CFunc
    """
    product = _make_product(dtype.type)
    add_symbol(_product_name(dtype), product.address)
    return product


def _product_name(dtype: Any) -> str:
    return f"skrnn_add_product_{dtype}"


@intrinsic
def _add_product(typing: Any, number: Any, arguments: Any) -> Any:
    """Call the product for the dtype of a number."""

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        values = cgutils.unpack_tuple(builder, values[1])
        return write_call(context, builder, PRODUCT, _product_name(number), values)

    return types.void(number, arguments), generate


@compiled_helper
def pack(b: AnyArray) -> AnyArray:
    """Return `(K, J)` as panels of columns, `(panels, K, PANEL)`.

    A product reads a panel from start to end. Rows of `b` that lie a power of two bytes
    apart would evict each other from the cache.
    """
    n_terms, n_cols = b.shape
    n_panels = (n_cols + PANEL - 1) // PANEL
    panels = np.empty((n_panels, n_terms, PANEL), dtype=b.dtype)
    for p in range(n_panels):
        first = p * PANEL
        for k in range(n_terms):
            for j in range(min(PANEL, n_cols - first)):
                panels[p, k, j] = b[k, first + j]
    return panels


@compiled_helper
def pack_transpose(a: AnyArray) -> AnyArray:
    """Return `pack(a.T)` of `a`, (J, K)."""
    n_cols, n_terms = a.shape
    n_panels = (n_cols + PANEL - 1) // PANEL
    panels = np.empty((n_panels, n_terms, PANEL), dtype=a.dtype)
    for p in range(n_panels):
        first = p * PANEL
        n_left = min(PANEL, n_cols - first)
        for k in range(n_terms):
            row = panels[p, k]
            for j in range(n_left):
                row[j] = a[first + j, k]
    return panels


@compiled_helper
def add_matmul(a: AnyArray, panels: AnyArray, out: AnyArray) -> None:
    """Add `a @ b` to `out`, with `panels = pack(b)`: (N, K), (K, J) and (N, J).

    Rows of `out` must be contiguous.
    """
    sizes = a.shape[0], out.shape[1], a.shape[1]
    a_at, out_at = np.intp(a.ctypes.data), np.intp(out.ctypes.data)
    at = np.intp(panels.ctypes.data), panels.strides[1], panels.strides[0]
    _add_product(
        out.dtype.type(0), (a_at, *a.strides, *at, out_at, out.strides[0], *sizes)
    )


@compiled_helper
def add_transposed_matmul(a: AnyArray, b: AnyArray, out: AnyArray) -> None:
    """Add `a.T @ b` to `out`: (N, K), (N, J) and (K, J).

    Rows of `b` and of `out` must be contiguous.
    """
    if b.strides[0] >= PACKING_BYTES:
        # The panels are an argument, since numba frees a local array after its last
        # use, and use of its address does not count.
        add_matmul(a.T, pack(b), out)
        return
    sizes = a.shape[1], b.shape[1], a.shape[0]
    a_at, out_at = np.intp(a.ctypes.data), np.intp(out.ctypes.data)
    at = np.intp(b.ctypes.data), b.strides[0], PANEL * b.itemsize
    _add_product(
        out.dtype.type(0),
        (a_at, a.strides[1], a.strides[0], *at, out_at, out.strides[0], *sizes),
    )


@compiled_helper
def add_column_sums(a: AnyArray, out: AnyArray) -> None:
    """Add `a.sum(axis=0)`, of `a` (N, J), to `out`, (J,)."""
    for n in range(len(a)):
        row = a[n]
        for j in range(len(out)):
            out[j] += row[j]


@compiled_helper
def fill_rows(out: AnyArray, row: AnyArray) -> None:
    """Copy `row`, (J,), to every row of `out`, (N, J)."""
    for n in range(len(out)):
        out_row = out[n]
        for j in range(len(row)):
            out_row[j] = row[j]


@compiled_helper
def copy_into(a: AnyArray, out: AnyArray) -> None:
    """Copy `a` to `out`, both (J,).

    An assignment to a slice would also compile the text of its error messages, which
    takes numba longer than all other code of a small function.
    """
    for j in range(len(out)):
        out[j] = a[j]


@compiled_helper
def transpose_into(a: AnyArray, out: AnyArray) -> None:
    """Copy the transpose of `a`, (I, J), to `out`, (J, I)."""
    for j in range(a.shape[1]):
        row = out[j]
        for i in range(a.shape[0]):
            row[i] = a[i, j]


@compiled_helper
def zeros_transposed(a: AnyArray) -> AnyArray:
    """Return zeros in the shape of the transpose of `a`."""
    return np.zeros((a.shape[1], a.shape[0]), dtype=a.dtype)


@compiled_helper
def flatten_steps(x: AnyArray) -> AnyArray:
    """Return `(L, N, F)` as rows `(L * N, F)`."""
    return x.reshape(x.shape[0] * x.shape[1], x.shape[2])
