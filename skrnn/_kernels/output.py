"""Operations from the states of the last layer to raw outputs and losses, and back.

With `per_step` rows are those of all steps, (L * N, ...), otherwise (N, ...).

Legend of shapes as in `skrnn._kernels.operations`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba import carray, types
from numba.extending import intrinsic

from skrnn._kernels.adam import adam_step
from skrnn._kernels.arrays import (
    item_size,
    matrix,
    pointer,
    steps_array,
    vector,
    with_initial,
)
from skrnn._kernels.losses import row_loss
from skrnn._kernels.operations import BATCH, arguments, operation
from skrnn._kernels.products import (
    add_column_sums,
    add_matmul,
    add_transposed_matmul,
    pack,
    pack_transpose,
)


@intrinsic
def _draw(typing: Any, next_double: Any, state: Any) -> Any:
    """Return a number in [0, 1) of a bit generator of numpy."""

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        void_pointer = ir.IntType(8).as_pointer()
        kind = ir.FunctionType(ir.DoubleType(), [void_pointer]).as_pointer()
        function = builder.inttoptr(values[0], kind)
        return builder.call(function, [builder.inttoptr(values[1], void_pointer)])

    return types.float64(next_double, state), generate


DROP_OUT = arguments(
    "per_step", "n_columns", "x", "mask", "out", "next_double", "state",
    floats=("dropout",),
)  # fmt: skip


@operation(DROP_OUT)
def drop_out(number: Any, record: Any, about: Any) -> None:
    """Draw the factors of dropout, and fill `out` with x times these."""
    a, b = carray(record, 1, DROP_OUT)[0], carray(about, 1, BATCH)[0]
    size = (b.n_steps * b.n_rows if a.per_step else b.n_rows) * a.n_columns
    x, mask = vector(number, a.x, size), vector(number, a.mask, size)
    out = vector(number, a.out, size)
    for i in range(size):
        kept = _draw(a.next_double, a.state) >= a.dropout
        mask[i] = 1 / (1 - a.dropout) if kept else 0.0
    for i in range(size):
        out[i] = x[i] * mask[i]


MULTIPLY = arguments("per_step", "n_columns", "x", "factors")


@operation(MULTIPLY)
def multiply(number: Any, record: Any, about: Any) -> None:
    """Multiply x by factors of its shape, in place."""
    a, b = carray(record, 1, MULTIPLY)[0], carray(about, 1, BATCH)[0]
    size = (b.n_steps * b.n_rows if a.per_step else b.n_rows) * a.n_columns
    x, factors = vector(number, a.x, size), vector(number, a.factors, size)
    for i in range(size):
        x[i] *= factors[i]


TAKE_LAST = arguments("output", "n_units", "pooled", "n_columns", "column")


@operation(TAKE_LAST)
def take_last(number: Any, record: Any, about: Any) -> None:
    """Copy the last state of each row to units of `pooled`, (N, n_columns)."""
    a, b = carray(record, 1, TAKE_LAST)[0], carray(about, 1, BATCH)[0]
    lengths = vector(0, b.lengths, b.n_rows)
    states = with_initial(number, a.output, b.n_steps, b.n_rows, a.n_units)
    pooled = matrix(number, a.pooled, b.n_rows, a.n_columns)
    for n in range(b.n_rows):
        row = states[lengths[n], n]
        for j in range(a.n_units):
            pooled[n, a.column + j] = row[j]


POOL = arguments("mean", "hidden", "n_columns", "pooled", "n_pooled", "column")


@operation(POOL)
def pool(number: Any, record: Any, about: Any) -> None:
    """Write the mean or the largest of (L, N, D * H) to columns of `pooled`.

    That is (N, n_pooled); they begin at `column`.
    """
    a, b = carray(record, 1, POOL)[0], carray(about, 1, BATCH)[0]
    lengths = vector(0, b.lengths, b.n_rows)
    hidden = steps_array(number, a.hidden, b.n_steps, b.n_rows, a.n_columns)
    row_size = a.n_pooled * item_size(number)
    first = a.pooled + a.column * item_size(number)
    for n in range(b.n_rows):
        row = vector(number, first + n * row_size, a.n_columns)
        hidden_t = hidden[0, n]
        for j in range(a.n_columns):
            row[j] = hidden_t[j]
        for t in range(1, lengths[n]):
            hidden_t = hidden[t, n]
            if a.mean:
                for j in range(a.n_columns):
                    row[j] += hidden_t[j]
            else:
                for j in range(a.n_columns):
                    larger = hidden_t[j] > row[j] or np.isnan(hidden_t[j])
                    row[j] = hidden_t[j] if larger else row[j]
        if a.mean:
            for j in range(a.n_columns):
                row[j] /= lengths[n]


CLEAR_STEPS = arguments("n_columns", "grad_hidden")


@operation(CLEAR_STEPS)
def clear_steps(number: Any, record: Any, about: Any) -> None:
    """Fill the gradient of the outputs of a layer, (L, N, D * H), with zeros."""
    a, b = carray(record, 1, CLEAR_STEPS)[0], carray(about, 1, BATCH)[0]
    grad = vector(number, a.grad_hidden, b.n_steps * b.n_rows * a.n_columns)
    for i in range(len(grad)):
        grad[i] = 0


POOL_BACKWARD = arguments(
    "mean", "hidden", "n_columns", "pooled", "grad_pooled", "n_pooled", "column",
    "counts", "grad_hidden",
)  # fmt: skip


@operation(POOL_BACKWARD)
def pool_backward(number: Any, record: Any, about: Any) -> None:
    """Add to the gradient of the outputs of the last layer.

    Equal largest steps share the gradient; `counts`, (D * H,), is scratch memory.
    """
    a, b = carray(record, 1, POOL_BACKWARD)[0], carray(about, 1, BATCH)[0]
    lengths = vector(0, b.lengths, b.n_rows)
    hidden = steps_array(number, a.hidden, b.n_steps, b.n_rows, a.n_columns)
    grad_hidden = steps_array(number, a.grad_hidden, b.n_steps, b.n_rows, a.n_columns)
    counts = vector(number, a.counts, a.n_columns)
    row_size, column = a.n_pooled * item_size(number), a.column * item_size(number)
    for n in range(b.n_rows):
        row = vector(number, a.pooled + column + n * row_size, a.n_columns)
        grad = vector(number, a.grad_pooled + column + n * row_size, a.n_columns)
        for j in range(a.n_columns):
            counts[j] = lengths[n] if a.mean else 0
        if not a.mean:
            for t in range(lengths[n]):
                hidden_t = hidden[t, n]
                for j in range(a.n_columns):
                    counts[j] += 1 if hidden_t[j] == row[j] else 0
        for t in range(lengths[n]):
            hidden_t, grad_t = hidden[t, n], grad_hidden[t, n]
            if a.mean:
                for j in range(a.n_columns):
                    grad_t[j] += grad[j] / counts[j]
            else:
                for j in range(a.n_columns):
                    if hidden_t[j] == row[j]:
                        grad_t[j] += grad[j] / counts[j]


TAKE_LAST_BACKWARD = arguments(
    "n_columns", "n_forward", "grad_pooled", "n_pooled", "column", "grad_hidden"
)


@operation(TAKE_LAST_BACKWARD)
def take_last_backward(number: Any, record: Any, about: Any) -> None:
    """Add the gradient of the last states to that of the outputs, (L, N, D * H).

    The last state of the forward direction, of the first `n_forward` units, is the
    output at the last step of a row, that of the backward direction at the first.
    """
    a, b = carray(record, 1, TAKE_LAST_BACKWARD)[0], carray(about, 1, BATCH)[0]
    lengths = vector(0, b.lengths, b.n_rows)
    grad_hidden = steps_array(number, a.grad_hidden, b.n_steps, b.n_rows, a.n_columns)
    grad_pooled = matrix(number, a.grad_pooled, b.n_rows, a.n_pooled)
    for n in range(b.n_rows):
        for j in range(a.n_columns):
            t = lengths[n] - 1 if j < a.n_forward else 0
            grad_hidden[t, n, j] += grad_pooled[n, a.column + j]


LINEAR = arguments(
    "per_step", "adds", "x", "n_inputs", "weight", "bias", "n_outputs", "out"
)


@operation(LINEAR)
def linear(number: Any, record: Any, about: Any) -> None:
    """Fill `out`, (R, K), with a linear layer of `x`, (R, n_inputs), or add it."""
    a, b = carray(record, 1, LINEAR)[0], carray(about, 1, BATCH)[0]
    n_rows = b.n_steps * b.n_rows if a.per_step else b.n_rows
    bias = vector(number, a.bias, a.n_outputs)
    out = matrix(number, a.out, n_rows, a.n_outputs)
    for r in range(n_rows):
        row = out[r]
        for k in range(a.n_outputs):
            row[k] = row[k] + bias[k] if a.adds else bias[k]
    weight = matrix(number, a.weight, a.n_outputs, a.n_inputs)
    add_matmul(matrix(number, a.x, n_rows, a.n_inputs), pack_transpose(weight), out)


LINEAR_BACKWARD = arguments(
    "per_step", "x", "n_inputs", "weight", "n_outputs", "grad_out", "grad_x",
    "grad_weight", "grad_bias",
)  # fmt: skip


@operation(LINEAR_BACKWARD)
def linear_backward(number: Any, record: Any, about: Any) -> None:
    """Fill the gradients of a linear layer and, unless 0, of x."""
    a, b = carray(record, 1, LINEAR_BACKWARD)[0], carray(about, 1, BATCH)[0]
    n_rows = b.n_steps * b.n_rows if a.per_step else b.n_rows
    x = matrix(number, a.x, n_rows, a.n_inputs)
    grad_out = matrix(number, a.grad_out, n_rows, a.n_outputs)
    grad_weight = matrix(number, a.grad_weight, a.n_outputs, a.n_inputs)
    grad_bias = vector(number, a.grad_bias, a.n_outputs)
    for k in range(a.n_outputs):
        grad_bias[k] = 0
        for i in range(a.n_inputs):
            grad_weight[k, i] = 0
    add_transposed_matmul(grad_out, x, grad_weight)
    add_column_sums(grad_out, grad_bias)
    if a.grad_x == 0:
        return
    grad_x = matrix(number, a.grad_x, n_rows, a.n_inputs)
    for r in range(n_rows):
        for i in range(a.n_inputs):
            grad_x[r, i] = 0
    weight = matrix(number, a.weight, a.n_outputs, a.n_inputs)
    add_matmul(grad_out, pack(weight), grad_x)


LOSS = arguments(
    "kind", "levels", "n_levels", "label_weights", "n_outputs", "n_targets", "numbers",
    "codes", "weights", "per_step", "target_start", "output", "grad_output",
)  # fmt: skip


@operation(LOSS)
def loss(number: Any, record: Any, about: Any) -> None:
    """Compute the loss of the batch, and the gradient of its raw outputs, (R, K).

    It is that of `RecurrentNet.get_loss`.
    """
    a, b = carray(record, 1, LOSS)[0], carray(about, 1, BATCH)[0]
    rows, lengths = vector(0, b.rows, b.n_rows), vector(0, b.lengths, b.n_rows)
    target_start, codes = pointer(0, a.target_start), pointer(0, a.codes)
    weights = pointer(number, a.weights)
    levels = vector(number, a.levels, a.n_levels)
    label_weights = matrix(number, a.label_weights, a.n_outputs, 2)
    n_rows = b.n_steps * b.n_rows if a.per_step else b.n_rows
    output = matrix(number, a.output, n_rows, a.n_outputs)
    grad_output = matrix(number, a.grad_output, n_rows, a.n_outputs)
    n_terms = n_rows if a.weights == 0 else b.n_rows
    row_size = a.n_targets * item_size(number)  # of the targets, in bytes
    total = 0.0
    for n in range(b.n_rows):
        first = target_start[rows[n]] if a.per_step else rows[n]
        n_steps = lengths[n] if a.per_step else 1
        for t in range(n_steps):
            target, grad_row = first + t, grad_output[t * b.n_rows + n]
            value = row_loss(
                a.kind,
                output[t * b.n_rows + n],
                vector(number, a.numbers + target * row_size, a.n_targets),
                codes[target] if a.codes else 0,
                levels,
                label_weights,
                grad_row,
            )
            factor = np.float64(weights[target]) if a.weights else 1.0
            total += np.float64(value) * factor
            for k in range(a.n_outputs):
                grad_row[k] *= factor / n_terms
        for t in range(n_steps, b.n_steps if a.per_step else 1):
            grad_row = grad_output[t * b.n_rows + n]
            for k in range(a.n_outputs):
                grad_row[k] = 0
    b.loss = total / n_terms


COPY_OUTPUTS = arguments(
    "per_step", "target_start", "n_outputs", "output", "predictions"
)


@operation(COPY_OUTPUTS)
def copy_outputs(number: Any, record: Any, about: Any) -> None:
    """Copy the raw outputs, (R, K), to those of all rows, (n, K), or all steps."""
    a, b = carray(record, 1, COPY_OUTPUTS)[0], carray(about, 1, BATCH)[0]
    rows, lengths = vector(0, b.rows, b.n_rows), vector(0, b.lengths, b.n_rows)
    target_start = pointer(0, a.target_start)
    output, out = pointer(number, a.output), pointer(number, a.predictions)
    for n in range(b.n_rows):
        first = target_start[rows[n]] if a.per_step else rows[n]
        for t in range(lengths[n] if a.per_step else 1):
            source, at = (t * b.n_rows + n) * a.n_outputs, (first + t) * a.n_outputs
            for k in range(a.n_outputs):
                out[at + k] = output[source + k]


ADAM = arguments(
    "n", "params", "grad", "exp_avg", "exp_avg_sq", "decoupled",
    floats=("max_norm", "beta1", "beta2", "eps", "weight_decay"),
)  # fmt: skip


@operation(ADAM)
def adam(number: Any, record: Any, about: Any) -> None:
    """Clip the gradient, and take a step of Adam or AdamW."""
    a, b = carray(record, 1, ADAM)[0], carray(about, 1, BATCH)[0]
    adam_step(
        vector(number, a.params, a.n),
        vector(number, a.grad, a.n),
        vector(number, a.exp_avg, a.n),
        vector(number, a.exp_avg_sq, a.n),
        a.max_norm,
        b.lr,
        a.beta1,
        a.beta2,
        a.eps,
        a.weight_decay,
        a.decoupled != 0,
        b.step,
    )
