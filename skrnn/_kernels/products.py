"""Matrix products for compiled loops, of any size, at the speed of the processor.

A library of linear algebra wants large matrices, and numba's own loops keep a sum in
memory instead of in registers: half the speed. Here a tile of the result, a few rows
of a few vectors, stays in registers while all terms are added. It is written in the
compiler's own language, in vectors, for which numba has no words.

Every element of a result is a sum in the order of its terms, one after the other,
wherever in its matrix it stands: a row alone has the same bits as the row among others.
"""

import numpy as np
from llvmlite import ir
from llvmlite.binding import get_host_cpu_features
from numba import types
from numba.extending import intrinsic

from skrnn._kernels.compilation import compiled

# The registers of the processor: 32 of 64 bytes, or as a rule 16 of 32 bytes. A tile
# takes two vectors of each of its rows, and needs three registers besides.
WIDE = bool(get_host_cpu_features().get("avx512f"))
VECTOR_BYTES = 64 if WIDE else 32
TILE_ROWS = 8 if WIDE else 4


def make_tile(n_rows, n_vectors, n_bytes):
    """Return an operation that adds a product to a tile of the result.

    Parameters
    ----------
    n_rows, n_vectors : int
        Of the tile.

    n_bytes : int
        Of a vector; in another precision than float32 it has as many numbers.

    Returns
    -------
    tile : function of numba
        `tile(number, a, a_row, a_col, b, b_row, out, out_row, n_terms)`: a number of
        the precision that is meant, addresses of three first elements, the bytes from
        a row (a column) to the next, and the number of terms.
    """

    @intrinsic
    def tile(typing, number, a, a_row, a_col, b, b_row, out, out_row, n_terms):
        def generate(context, builder, signature, arguments):
            scalar = context.get_value_type(signature.args[0])
            TileWriter(builder, scalar, n_rows, n_vectors, n_bytes // 4).write(
                *arguments[1:]
            )
            return context.get_dummy_value()

        return types.void(number, *[types.intp] * 8), generate

    return tile


class TileWriter:
    """Writes the instructions of a tile.

    Parameters
    ----------
    builder : llvmlite.ir.IRBuilder
        Where to.

    scalar : llvmlite.ir.Type
        Of a number.

    n_rows, n_vectors, n_lanes : int
        Of the tile; the last one is how many numbers a vector has.
    """

    def __init__(self, builder, scalar, n_rows, n_vectors, n_lanes):
        self.builder = builder
        self.scalar, self.vector = scalar, ir.VectorType(scalar, n_lanes)
        self.size = 4 if scalar == ir.FloatType() else 8
        self.n_rows, self.n_vectors, self.n_lanes = n_rows, n_vectors, n_lanes

    def write(self, a, a_row, a_col, b, b_row, out, out_row, n_terms):
        """Write it all: the tile is loaded, terms are added, and it is stored."""
        builder, word = self.builder, a.type
        zero, one = ir.Constant(word, 0), ir.Constant(word, 1)
        rows_of_a = [self._at(a, a_row, r) for r in range(self.n_rows)]
        rows_of_out = [self._at(out, out_row, r) for r in range(self.n_rows)]
        places = [place for row in rows_of_out for place in self._vectors_at(row)]
        before = [self._load(place, self.vector) for place in places]
        start = builder.block
        body = builder.append_basic_block("terms")
        done = builder.append_basic_block("done")
        builder.cbranch(builder.icmp_signed(">", n_terms, zero), body, done)

        builder.position_at_end(body)
        k, of_a, of_b = (builder.phi(word) for _ in range(3))
        sums = [builder.phi(self.vector) for _ in places]
        after = self._add_term(
            [builder.add(row, of_a) for row in rows_of_a], of_b, sums
        )
        next_k = builder.add(k, one)
        for phi, initial, following in (
            (k, zero, next_k),
            (of_a, zero, builder.add(of_a, a_col)),
            (of_b, b, builder.add(of_b, b_row)),
            *zip(sums, before, after, strict=True),
        ):
            phi.add_incoming(initial, start)
            phi.add_incoming(following, body)
        builder.cbranch(builder.icmp_signed("<", next_k, n_terms), body, done)

        builder.position_at_end(done)
        results = [builder.phi(self.vector) for _ in places]
        for result, *values in zip(results, before, after, strict=True):
            for value, block in zip(values, (start, body), strict=True):
                result.add_incoming(value, block)
        for place, result in zip(places, results, strict=True):
            builder.store(result, self._pointer(place, self.vector), align=self.size)

    def _add_term(self, places_of_a, of_b, sums):
        """Return the sums with one term more, the same row of `b` in all of them."""
        builder, int32 = self.builder, ir.IntType(32)
        undefined = ir.Constant(self.vector, ir.Undefined)
        everywhere = ir.Constant(ir.VectorType(int32, self.n_lanes), [0] * self.n_lanes)
        terms = [self._load(place, self.vector) for place in self._vectors_at(of_b)]
        after, sums = [], iter(sums)
        for place in places_of_a:
            factor = self._load(place, self.scalar)
            factor = builder.insert_element(undefined, factor, ir.Constant(int32, 0))
            factor = builder.shuffle_vector(factor, undefined, everywhere)
            for term in terms:
                product = builder.fmul(factor, term, flags=["contract"])
                after.append(builder.fadd(product, next(sums), flags=["contract"]))
        return after

    def _vectors_at(self, base):
        """Return the places of the vectors of a row."""
        step = ir.Constant(base.type, self.n_lanes * self.size)
        return [self._at(base, step, v) for v in range(self.n_vectors)]

    def _at(self, base, step, count):
        times = ir.Constant(base.type, count)
        return self.builder.add(base, self.builder.mul(step, times))

    def _pointer(self, place, kind):
        return self.builder.inttoptr(place, kind.as_pointer())

    def _load(self, place, kind):
        return self.builder.load(self._pointer(place, kind), align=self.size)


def make_strip(n_vectors, n_bytes):
    """Return an operation that adds a product to all rows of some columns.

    Parameters
    ----------
    n_vectors, n_bytes : int
        Of a row of these columns, see `make_tile`.

    Returns
    -------
    strip : function of numba
        `strip(number, a, a_row, a_col, b, b_row, out, out_row, n_terms, n_rows)`.
    """
    tall, four, one = (make_tile(n, n_vectors, n_bytes) for n in (TILE_ROWS, 4, 1))

    # What calls it is kept on disk, and this within it.
    @compiled(cache=False)
    def strip(number, a, a_row, a_col, b, b_row, out, out_row, n_terms, n_rows):
        left = n_rows
        while left >= TILE_ROWS:
            tall(number, a, a_row, a_col, b, b_row, out, out_row, n_terms)
            a, out, left = (
                a + TILE_ROWS * a_row,
                out + TILE_ROWS * out_row,
                left - TILE_ROWS,
            )
        if left >= 4:
            four(number, a, a_row, a_col, b, b_row, out, out_row, n_terms)
            a, out, left = a + 4 * a_row, out + 4 * out_row, left - 4
        while left > 0:
            one(number, a, a_row, a_col, b, b_row, out, out_row, n_terms)
            a, out, left = a + a_row, out + out_row, left - 1

    return strip


LANES = VECTOR_BYTES // 4
PANEL = 2 * LANES  # columns
CROWDED = 2048  # bytes from row to row, from which on copying them into panels pays
_panel, _lanes = (make_strip(n, VECTOR_BYTES) for n in (2, 1))
_four, _one = (make_strip(1, n) for n in (16, 4))


@compiled
def _add(
    number, size, a, a_row, a_col, b, b_row, b_panel, out, out_row, n, n_cols, n_terms
):
    """Add a product to `out`, strip by strip, the widest that fit first."""
    j = 0
    while j < n_cols:
        left, z = n_cols - j, out + j * size
        y = b + j // PANEL * b_panel + j % PANEL * size
        if left >= PANEL:
            _panel(number, a, a_row, a_col, y, b_row, z, out_row, n_terms, n)
            j += PANEL
        elif left >= LANES:
            _lanes(number, a, a_row, a_col, y, b_row, z, out_row, n_terms, n)
            j += LANES
        elif left >= 4:
            _four(number, a, a_row, a_col, y, b_row, z, out_row, n_terms, n)
            j += 4
        else:
            _one(number, a, a_row, a_col, y, b_row, z, out_row, n_terms, n)
            j += 1


@compiled
def packed(b):
    """Return `(K, J)` in panels, `(P, K, columns)`: in memory as products read it.

    Rows that lie a power of two apart would drive each other out of the cache.
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


@compiled
def packed_transpose(a):
    """Return `packed(a.T)` of `a`, (J, K)."""
    n_cols, n_terms = a.shape
    n_panels = (n_cols + PANEL - 1) // PANEL
    panels = np.empty((n_panels, n_terms, PANEL), dtype=a.dtype)
    for p in range(n_panels):
        first = p * PANEL
        for j in range(min(PANEL, n_cols - first)):
            for k in range(n_terms):
                panels[p, k, j] = a[first + j, k]
    return panels


@compiled
def add_product(a, panels, out):
    """Add `a @ b` to `out`: (N, K), `packed` (K, J) and (N, J).

    Rows of `out` must be contiguous.
    """
    _add(
        out.dtype.type(0),
        out.itemsize,
        np.intp(a.ctypes.data),
        a.strides[0],
        a.strides[1],
        np.intp(panels.ctypes.data),
        panels.strides[1],
        panels.strides[0],
        np.intp(out.ctypes.data),
        out.strides[0],
        a.shape[0],
        out.shape[1],
        a.shape[1],
    )


@compiled
def add_outer(a, b, out):
    """Add `a.T @ b` to `out`: (N, K), (N, J) and (K, J).

    Rows of `b` and of `out` must be contiguous.
    """
    # As an argument the copy lives until the product is done. Here it would be freed
    # after its last mention, and its address alone does not count as one.
    if b.strides[0] >= CROWDED:
        add_product(a.T, packed(b), out)
        return
    _add(
        out.dtype.type(0),
        out.itemsize,
        np.intp(a.ctypes.data),
        a.strides[1],
        a.strides[0],
        np.intp(b.ctypes.data),
        b.strides[0],
        PANEL * b.itemsize,
        np.intp(out.ctypes.data),
        out.strides[0],
        a.shape[1],
        b.shape[1],
        a.shape[0],
    )


@compiled
def add_rows(a, out):
    """Add all rows of `a`, (N, J), to `out`, (J,)."""
    for n in range(len(a)):
        row = a[n]
        for j in range(len(out)):
            out[j] += row[j]


@compiled
def set_rows(out, row):
    """Make every row of `out`, (N, J), a copy of `row`."""
    for n in range(len(out)):
        of_out = out[n]
        for j in range(len(row)):
            of_out[j] = row[j]


@compiled
def turn(a, out):
    """Make `out`, (J, I), the transpose of `a`, (I, J)."""
    for i in range(a.shape[0]):
        for j in range(a.shape[1]):
            out[j, i] = a[i, j]


@compiled
def zeros_turned(a):
    """Return zeros in the shape of the transpose of `a`."""
    return np.zeros((a.shape[1], a.shape[0]), dtype=a.dtype)


@compiled
def rows_of(steps):
    """Return `(L, N, F)` as one long column of rows, `(L * N, F)`."""
    return steps.reshape(steps.shape[0] * steps.shape[1], steps.shape[2])
