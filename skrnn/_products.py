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
from numba import njit, types
from numba.extending import intrinsic

# Sums may be taken in another order, which is what lets loops use vectors. NaN and
# infinity keep their meaning: they tell that training has gone wrong.
COMPILED = {
    "fastmath": {"contract", "reassoc", "nsz", "arcp"},
    "error_model": "numpy",
    "cache": True,
    "nogil": True,
}

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
    n_lanes = n_bytes // 4

    @intrinsic
    def tile(typing, number, a, a_row, a_col, b, b_row, out, out_row, n_terms):
        def generate(context, builder, signature, arguments):
            single = signature.args[0] == types.float32
            scalar = ir.FloatType() if single else ir.DoubleType()
            size = 4 if single else 8
            vector = ir.VectorType(scalar, n_lanes)
            _, a, a_row, a_col, b, b_row, out, out_row, n_terms = arguments
            word, int32 = a.type, ir.IntType(32)

            def at(base, step, count):
                return builder.add(base, builder.mul(step, ir.Constant(word, count)))

            def pointer(address, kind):
                return builder.inttoptr(address, kind.as_pointer())

            def load(address, kind):
                return builder.load(pointer(address, kind), align=size)

            vectors = range(n_vectors)
            stride = ir.Constant(word, n_lanes * size)
            rows_of_a = [at(a, a_row, r) for r in range(n_rows)]
            places = [
                at(at(out, out_row, r), stride, v)
                for r in range(n_rows)
                for v in vectors
            ]
            before = [load(place, vector) for place in places]
            start = builder.block
            body = builder.append_basic_block("terms")
            done = builder.append_basic_block("done")
            zero, one = ir.Constant(word, 0), ir.Constant(word, 1)
            builder.cbranch(builder.icmp_signed(">", n_terms, zero), body, done)

            builder.position_at_end(body)
            k, of_a, of_b = (builder.phi(word) for _ in range(3))
            sums = [builder.phi(vector) for _ in places]
            terms = [load(at(of_b, stride, v), vector) for v in vectors]
            undefined = ir.Constant(vector, ir.Undefined)
            first = ir.Constant(ir.VectorType(int32, n_lanes), [0] * n_lanes)
            after = []
            for r in range(n_rows):
                factor = load(builder.add(rows_of_a[r], of_a), scalar)
                factor = builder.insert_element(
                    undefined, factor, ir.Constant(int32, 0)
                )
                factor = builder.shuffle_vector(factor, undefined, first)
                for v in vectors:
                    product = builder.fmul(factor, terms[v], flags=["contract"])
                    total = sums[r * n_vectors + v]
                    after.append(builder.fadd(product, total, flags=["contract"]))
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
            results = [builder.phi(vector) for _ in places]
            for result, *values in zip(results, before, after, strict=True):
                for value, block in zip(values, (start, body), strict=True):
                    result.add_incoming(value, block)
            for place, result in zip(places, results, strict=True):
                builder.store(result, pointer(place, vector), align=size)
            return context.get_dummy_value()

        return types.void(number, *[types.intp] * 8), generate

    return tile


LANES = VECTOR_BYTES // 4
CROWDED = 2048  # bytes from row to row, from which on copying them into panels pays
_full, _full_row = (make_tile(n, 2, VECTOR_BYTES) for n in (TILE_ROWS, 1))
_half, _half_row = (make_tile(n, 1, VECTOR_BYTES) for n in (TILE_ROWS, 1))
_full_four, _half_four = (make_tile(4, n, VECTOR_BYTES) for n in (2, 1))
_four, _four_row = (make_tile(n, 1, 16) for n in (TILE_ROWS, 1))
_one, _one_row = (make_tile(n, 1, 4) for n in (TILE_ROWS, 1))


PANEL = 2 * LANES  # columns, in float32; in float64 a panel has two tiles' columns


@njit(**COMPILED)
def _add(
    number, size, a, a_row, a_col, b, b_row, b_panel, out, out_row, n, n_cols, n_terms
):
    """Add a product to `out`, tile by tile, the widest that fit first."""
    whole = n - n % TILE_ROWS
    block = TILE_ROWS * a_row
    fours = 4 if n - whole >= 4 else 0
    j = 0
    while j < n_cols:
        left = n_cols - j
        x, z = a, out + j * size
        y = b + j // PANEL * b_panel + j % PANEL * size
        if left >= PANEL:
            for _ in range(0, whole, TILE_ROWS):
                _full(number, x, a_row, a_col, y, b_row, z, out_row, n_terms)
                x, z = x + block, z + TILE_ROWS * out_row
            if fours:
                _full_four(number, x, a_row, a_col, y, b_row, z, out_row, n_terms)
                x, z = x + 4 * a_row, z + 4 * out_row
            for _ in range(whole + fours, n):
                _full_row(number, x, a_row, a_col, y, b_row, z, out_row, n_terms)
                x, z = x + a_row, z + out_row
            j += PANEL
        elif left >= LANES:
            for _ in range(0, whole, TILE_ROWS):
                _half(number, x, a_row, a_col, y, b_row, z, out_row, n_terms)
                x, z = x + block, z + TILE_ROWS * out_row
            if fours:
                _half_four(number, x, a_row, a_col, y, b_row, z, out_row, n_terms)
                x, z = x + 4 * a_row, z + 4 * out_row
            for _ in range(whole + fours, n):
                _half_row(number, x, a_row, a_col, y, b_row, z, out_row, n_terms)
                x, z = x + a_row, z + out_row
            j += LANES
        elif left >= 4:
            for _ in range(0, whole, TILE_ROWS):
                _four(number, x, a_row, a_col, y, b_row, z, out_row, n_terms)
                x, z = x + block, z + TILE_ROWS * out_row
            for _ in range(whole, n):
                _four_row(number, x, a_row, a_col, y, b_row, z, out_row, n_terms)
                x, z = x + a_row, z + out_row
            j += 4
        else:
            for _ in range(0, whole, TILE_ROWS):
                _one(number, x, a_row, a_col, y, b_row, z, out_row, n_terms)
                x, z = x + block, z + TILE_ROWS * out_row
            for _ in range(whole, n):
                _one_row(number, x, a_row, a_col, y, b_row, z, out_row, n_terms)
                x, z = x + a_row, z + out_row
            j += 1


@njit(**COMPILED)
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


@njit(**COMPILED)
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


@njit(**COMPILED)
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


@njit(**COMPILED)
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


@njit(**COMPILED)
def add_rows(a, out):
    """Add all rows of `a`, (N, J), to `out`, (J,)."""
    for n in range(len(a)):
        row = a[n]
        for j in range(len(out)):
            out[j] += row[j]


@njit(**COMPILED)
def set_rows(out, row):
    """Make every row of `out`, (N, J), a copy of `row`."""
    for n in range(len(out)):
        of_out = out[n]
        for j in range(len(row)):
            of_out[j] = row[j]


@njit(**COMPILED)
def turn(a, out):
    """Make `out`, (J, I), the transpose of `a`, (I, J)."""
    for i in range(a.shape[0]):
        for j in range(a.shape[1]):
            out[j, i] = a[i, j]


@njit(**COMPILED)
def zeros_turned(a):
    """Return zeros in the shape of the transpose of `a`."""
    return np.zeros((a.shape[1], a.shape[0]), dtype=a.dtype)


@njit(**COMPILED)
def rows_of(steps):
    """Return `(L, N, F)` as one long column of rows, `(L * N, F)`."""
    return steps.reshape(steps.shape[0] * steps.shape[1], steps.shape[2])
