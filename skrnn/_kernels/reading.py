"""Operations that read a batch: its rows, windows normalised, features standardised.

The data is at `values`: feature f of step t of row i is the element
`start[i] + t * step_stride + f * feature_stride`.

Legend of shapes as in `skrnn._kernels.operations`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import carray

from skrnn._kernels.arrays import matrix, pointer, steps_array, vector
from skrnn._kernels.operations import BATCH, arguments, operation

# Values of `window_norm`, by the names of the parameter of RNNRegressor.
NO_NORM, LAST, STANDARD, DIFFERENCE, STEP_DIFFERENCE = 0, 1, 2, 3, 4
WINDOW_NORMS = {
    None: NO_NORM,
    "last": LAST,
    "standard": STANDARD,
    "difference": DIFFERENCE,
    "difference of steps": STEP_DIFFERENCE,
}

BATCH_LENGTHS = arguments("step_counts", "one_less", "lengths")


@operation(BATCH_LENGTHS)
def batch_lengths(number: Any, record: Any, about: Any) -> None:
    """Fill the number of steps of each row."""
    a, b = carray(record, 1, BATCH_LENGTHS)[0], carray(about, 1, BATCH)[0]
    rows, lengths = vector(0, b.rows, b.n_rows), vector(0, a.lengths, b.n_rows)
    counts = pointer(0, a.step_counts)
    shortest = longest = counts[rows[0]] - a.one_less
    for n in range(b.n_rows):
        lengths[n] = counts[rows[n]] - a.one_less
        shortest, longest = min(shortest, lengths[n]), max(longest, lengths[n])
    b.n_steps, b.lengths, b.ragged = longest, a.lengths, shortest < longest


GATHER = arguments(
    "values", "start", "step_stride", "feature_stride", "skipped", "mean", "scale",
    "n_features", "x",
)  # fmt: skip


@operation(GATHER)
def gather(number: Any, record: Any, about: Any) -> None:
    """Fill `x`, (L, N, F), with the standardised steps of rows; zeros after the end."""
    a, b = carray(record, 1, GATHER)[0], carray(about, 1, BATCH)[0]
    rows, lengths = vector(0, b.rows, b.n_rows), vector(0, b.lengths, b.n_rows)
    values, start = pointer(number, a.values), pointer(0, a.start)
    mean = vector(number, a.mean, a.n_features)
    scale = vector(number, a.scale, a.n_features)
    x = steps_array(number, a.x, b.n_steps, b.n_rows, a.n_features)
    stride, n_features = a.feature_stride, a.n_features
    for n in range(b.n_rows):
        first = start[rows[n]] + a.skipped * a.step_stride
        for t in range(lengths[n]):
            at, x_t = first + t * a.step_stride, x[t, n]
            for f in range(n_features):
                x_t[f] = (values[at + f * stride] - mean[f]) / scale[f]
        for t in range(lengths[n], b.n_steps):
            x_t = x[t, n]
            for f in range(n_features):
                x_t[f] = 0


GATHER_NORMALIZED = arguments(
    "values", "start", "step_stride", "feature_stride", "window_norm", "columns",
    "n_columns", "min_std", "mean", "scale", "n_features", "x",
)  # fmt: skip


@operation(GATHER_NORMALIZED)
def gather_normalized(number: Any, record: Any, about: Any) -> None:
    """Fill the columns of `x` that are normalised by their own window."""
    a, b = carray(record, 1, GATHER_NORMALIZED)[0], carray(about, 1, BATCH)[0]
    rows, lengths = vector(0, b.rows, b.n_rows), vector(0, b.lengths, b.n_rows)
    values, start = pointer(number, a.values), pointer(0, a.start)
    columns, min_std = pointer(0, a.columns), pointer(0.0, a.min_std)
    mean, scale = pointer(number, a.mean), pointer(number, a.scale)
    x = steps_array(number, a.x, b.n_steps, b.n_rows, a.n_features)
    skipped = 1 if a.window_norm == DIFFERENCE else 0
    for n in range(b.n_rows):
        n_steps = lengths[n] + skipped
        for k in range(a.n_columns):
            f = columns[k]
            first = start[rows[n]] + f * a.feature_stride
            center, spread = 0.0, 1.0
            if a.window_norm == LAST:
                center = np.float64(values[first + (n_steps - 1) * a.step_stride])
            elif a.window_norm == STANDARD:
                for t in range(n_steps):
                    center += np.float64(values[first + t * a.step_stride])
                center /= n_steps
                squares, peak = 0.0, 1.0
                for t in range(n_steps):
                    gap = np.float64(values[first + t * a.step_stride]) - center
                    squares += gap * gap
                if not 1e-280 < squares < 1e300:  # squares overflow or underflow
                    squares, peak = 0.0, 0.0
                    for t in range(n_steps):
                        gap = np.float64(values[first + t * a.step_stride]) - center
                        peak = max(peak, np.abs(gap))
                    if peak < 1e-300:
                        peak = 1.0
                    for t in range(n_steps):
                        gap = np.float64(values[first + t * a.step_stride]) - center
                        squares += (gap / peak) ** 2
                spread = max(np.sqrt(squares / n_steps) * peak, min_std[k])
            for t in range(lengths[n]):
                at = first + (t + skipped) * a.step_stride
                value = np.float64(values[at])
                if a.window_norm >= DIFFERENCE:
                    before = at if t + skipped == 0 else at - a.step_stride
                    value -= np.float64(values[before])
                else:
                    value = (value - center) / spread
                x[t, n, f] = value
                x[t, n, f] = (x[t, n, f] - mean[f]) / scale[f]


GATHER_EMBEDDED = arguments(
    "values", "start", "step_stride", "embedding", "n_inputs", "ids", "x"
)


@operation(GATHER_EMBEDDED)
def gather_embedded(number: Any, record: Any, about: Any) -> None:
    """Fill `ids`, (L, N), with token ids, and `x`, (L, N, F), with their vectors."""
    a, b = carray(record, 1, GATHER_EMBEDDED)[0], carray(about, 1, BATCH)[0]
    rows, lengths = vector(0, b.rows, b.n_rows), vector(0, b.lengths, b.n_rows)
    values, start = pointer(number, a.values), pointer(0, a.start)
    embedding = pointer(number, a.embedding)
    ids = matrix(0, a.ids, b.n_steps, b.n_rows)
    x = steps_array(number, a.x, b.n_steps, b.n_rows, a.n_inputs)
    for n in range(b.n_rows):
        first = start[rows[n]]
        for t in range(b.n_steps):
            token = 0
            if t < lengths[n]:
                token = np.int64(values[first + t * a.step_stride])
            ids[t, n] = token
            for j in range(a.n_inputs):
                x[t, n, j] = embedding[token * a.n_inputs + j]


EMBEDDING_BACKWARD = arguments("ids", "n_tokens", "n_inputs", "grad_x", "grad_weight")


@operation(EMBEDDING_BACKWARD)
def embedding_backward(number: Any, record: Any, about: Any) -> None:
    """Fill the gradient of the vectors of the tokens."""
    a, b = carray(record, 1, EMBEDDING_BACKWARD)[0], carray(about, 1, BATCH)[0]
    ids = matrix(0, a.ids, b.n_steps, b.n_rows)
    grad_x = steps_array(number, a.grad_x, b.n_steps, b.n_rows, a.n_inputs)
    grad_weight = matrix(number, a.grad_weight, a.n_tokens, a.n_inputs)
    for k in range(a.n_tokens):
        for j in range(a.n_inputs):
            grad_weight[k, j] = 0
    for t in range(b.n_steps):
        for n in range(b.n_rows):
            if ids[t, n] > 0:  # the vector of padding stays as it is
                row, grad_row = grad_x[t, n], grad_weight[ids[t, n]]
                for j in range(a.n_inputs):
                    grad_row[j] += row[j]


FILL_LAGS = arguments(
    "per_step", "order", "n_ar_columns", "columns", "n_columns", "x", "n_features",
    "n_lags", "lags",
)  # fmt: skip


@operation(FILL_LAGS)
def fill_lags(number: Any, record: Any, about: Any) -> None:
    """Fill what the highway reads, (R, n_lags), see `RecurrentModule.highway_inputs`.

    It reads the last `order` steps of the first `n_ar_columns` of `columns`, and the
    last step of the others.
    """
    a, b = carray(record, 1, FILL_LAGS)[0], carray(about, 1, BATCH)[0]
    lengths, columns = vector(0, b.lengths, b.n_rows), pointer(0, a.columns)
    x = steps_array(number, a.x, b.n_steps, b.n_rows, a.n_features)
    lags = pointer(number, a.lags)
    for n in range(b.n_rows):
        first = 0 if a.per_step else lengths[n] - 1
        stop = b.n_steps if a.per_step else lengths[n]
        for last in range(first, stop):
            at = (last * b.n_rows + n if a.per_step else n) * a.n_lags
            for i in range(a.order):
                step = max(last - (a.order - 1 - i), 0)
                for k in range(a.n_ar_columns):
                    lags[at] = x[step, n, columns[k]]
                    at += 1
            for k in range(a.n_ar_columns, a.n_columns):
                lags[at] = x[last, n, columns[k]]
                at += 1


JOIN_STEPS = arguments("size", "n_features", "x", "lengths", "patches")


@operation(JOIN_STEPS)
def join_steps(number: Any, record: Any, about: Any) -> None:
    """Join `size` steps each of x, (L, N, F), to patches, (P, N, size * F).

    The first step is repeated in front of rows that are no multiple long. What follows
    has patches as its time steps, `lengths` of each row.
    """
    a, b = carray(record, 1, JOIN_STEPS)[0], carray(about, 1, BATCH)[0]
    n_steps, lengths = vector(0, b.lengths, b.n_rows), vector(0, a.lengths, b.n_rows)
    x = steps_array(number, a.x, b.n_steps, b.n_rows, a.n_features)
    n_columns = a.size * a.n_features
    shortest = longest = (n_steps[0] + a.size - 1) // a.size
    for n in range(b.n_rows):
        lengths[n] = (n_steps[n] + a.size - 1) // a.size
        shortest, longest = min(shortest, lengths[n]), max(longest, lengths[n])
    patches = steps_array(number, a.patches, longest, b.n_rows, n_columns)
    for p in range(longest):
        for n in range(b.n_rows):
            patch = patches[p, n]
            if p >= lengths[n]:
                for j in range(n_columns):
                    patch[j] = 0
                continue
            first = p * a.size - (lengths[n] * a.size - n_steps[n])
            for s in range(a.size):
                x_t = x[max(first + s, 0), n]
                for f in range(a.n_features):
                    patch[s * a.n_features + f] = x_t[f]
    b.n_steps, b.lengths, b.ragged = longest, a.lengths, shortest < longest


SEPARATE_STEPS = arguments("size", "n_features", "lengths", "grad_patches", "grad_x")


@operation(SEPARATE_STEPS)
def separate_steps(number: Any, record: Any, about: Any) -> None:
    """Fill the gradient of x, (L, N, F), from that of patches, see `join_steps`.

    What follows has the steps of x again, `lengths` of each row.
    """
    a, b = carray(record, 1, SEPARATE_STEPS)[0], carray(about, 1, BATCH)[0]
    n_patches, lengths = vector(0, b.lengths, b.n_rows), vector(0, a.lengths, b.n_rows)
    n_columns = a.size * a.n_features
    grad_patches = steps_array(number, a.grad_patches, b.n_steps, b.n_rows, n_columns)
    shortest = longest = lengths[0]
    for n in range(b.n_rows):
        shortest, longest = min(shortest, lengths[n]), max(longest, lengths[n])
    grad_x = steps_array(number, a.grad_x, longest, b.n_rows, a.n_features)
    for t in range(longest):
        for n in range(b.n_rows):
            grad_t = grad_x[t, n]
            for f in range(a.n_features):
                grad_t[f] = 0
    for p in range(b.n_steps):
        for n in range(b.n_rows):
            if p >= n_patches[n]:
                continue
            grad_patch = grad_patches[p, n]
            first = p * a.size - (n_patches[n] * a.size - lengths[n])
            for s in range(a.size):
                grad_t = grad_x[max(first + s, 0), n]
                for f in range(a.n_features):
                    grad_t[f] += grad_patch[s * a.n_features + f]
    b.n_steps, b.lengths, b.ragged = longest, a.lengths, shortest < longest
