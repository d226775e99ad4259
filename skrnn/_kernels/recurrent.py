"""Operations of the recurrent layers, each for one layer in one direction.

`output` is the address of the states after each step, (L, N, H); the initial state lies
right before it, see `with_initial`. So is `cell_output` that of c of an LSTM. `gates`
and `saved` are what the backward pass needs, see `skrnn._kernels.cells`: `saved` is
`new_gate_h` of a GRU, and `tanh_cell` of an LSTM.

Legend of shapes as in `skrnn._kernels.operations`.
"""

from __future__ import annotations

from typing import Any

from numba import carray

from skrnn._kernels.arrays import matrix, pointer, steps_array, vector, with_initial
from skrnn._kernels.cells import (
    gru_backward,
    gru_forward,
    lstm_backward,
    lstm_forward,
    rnn_backward,
    rnn_forward,
)
from skrnn._kernels.compilation import compiled_helper
from skrnn._kernels.operations import BATCH, arguments, operation
from skrnn._kernels.products import add_column_sums
from skrnn._typing import AnyArray

# Values of `kind` of `set_initial_state`.
ZEROS, LEARNED, GIVEN = 0, 1, 2

SET_INITIAL_STATE = arguments(
    "output", "n_units", "kind", "source", "n_columns", "column"
)


@operation(SET_INITIAL_STATE)
def set_initial_state(number: Any, record: Any, about: Any) -> None:
    """Fill the initial state with zeros, a learned state, or states that are given.

    These are a matrix with a row for each row of the order of this call; the state of
    this layer begins at `column`.
    """
    a, b = carray(record, 1, SET_INITIAL_STATE)[0], carray(about, 1, BATCH)[0]
    state = with_initial(number, a.output, 0, b.n_rows, a.n_units)[0]
    source = pointer(number, a.source)
    for n in range(b.n_rows):
        row = state[n]
        for j in range(a.n_units):
            if a.kind == LEARNED:
                row[j] = source[j]
            elif a.kind == GIVEN:
                row[j] = source[(b.first + n) * a.n_columns + a.column + j]
            else:
                row[j] = 0


FORWARD = arguments(
    "n_inputs", "n_units", "relu", "keep_all", "x", "w_ih", "w_hh", "b_ih", "b_hh",
    "output", "cell_output", "gates", "saved",
)  # fmt: skip


@operation(FORWARD)
def rnn_layer(number: Any, record: Any, about: Any) -> None:
    """Run nn.RNN."""
    a, b = carray(record, 1, FORWARD)[0], carray(about, 1, BATCH)[0]
    rnn_forward(
        steps_array(number, a.x, b.n_steps, b.n_rows, a.n_inputs),
        matrix(number, a.w_ih, a.n_units, a.n_inputs),
        matrix(number, a.w_hh, a.n_units, a.n_units),
        vector(number, a.b_ih, a.n_units),
        vector(number, a.b_hh, a.n_units),
        a.relu != 0,
        with_initial(number, a.output, b.n_steps, b.n_rows, a.n_units),
    )


@operation(FORWARD)
def gru_layer(number: Any, record: Any, about: Any) -> None:
    """Run nn.GRU."""
    a, b = carray(record, 1, FORWARD)[0], carray(about, 1, BATCH)[0]
    n_kept = b.n_steps if a.keep_all else 1
    gru_forward(
        steps_array(number, a.x, b.n_steps, b.n_rows, a.n_inputs),
        matrix(number, a.w_ih, 3 * a.n_units, a.n_inputs),
        matrix(number, a.w_hh, 3 * a.n_units, a.n_units),
        vector(number, a.b_ih, 3 * a.n_units),
        vector(number, a.b_hh, 3 * a.n_units),
        with_initial(number, a.output, b.n_steps, b.n_rows, a.n_units),
        steps_array(number, a.gates, n_kept, b.n_rows, 3 * a.n_units),
        steps_array(number, a.saved, n_kept, b.n_rows, a.n_units),
    )


@operation(FORWARD)
def lstm_layer(number: Any, record: Any, about: Any) -> None:
    """Run nn.LSTM."""
    a, b = carray(record, 1, FORWARD)[0], carray(about, 1, BATCH)[0]
    n_kept = b.n_steps if a.keep_all else 1
    lstm_forward(
        steps_array(number, a.x, b.n_steps, b.n_rows, a.n_inputs),
        matrix(number, a.w_ih, 4 * a.n_units, a.n_inputs),
        matrix(number, a.w_hh, 4 * a.n_units, a.n_units),
        vector(number, a.b_ih, 4 * a.n_units),
        vector(number, a.b_hh, 4 * a.n_units),
        with_initial(number, a.output, b.n_steps, b.n_rows, a.n_units),
        with_initial(number, a.cell_output, b.n_steps, b.n_rows, a.n_units),
        steps_array(number, a.gates, n_kept, b.n_rows, 4 * a.n_units),
        steps_array(number, a.saved, n_kept, b.n_rows, a.n_units),
    )


START_BACKWARD = arguments(
    "n_units", "grad_h", "grad_c", "grad_final", "n_columns", "column", "grad_output"
)


@operation(START_BACKWARD)
def start_backward(number: Any, record: Any, about: Any) -> None:
    """Fill the gradient of the last state of a layer, zeros without `grad_final`.

    `grad_final` is that of the last states of all directions, of which this direction
    begins at `column`. Rows that differ in length end at different steps: their
    gradient enters `grad_output` at that step.
    """
    a, b = carray(record, 1, START_BACKWARD)[0], carray(about, 1, BATCH)[0]
    grad_h = matrix(number, a.grad_h, b.n_rows, a.n_units)
    for n in range(b.n_rows):
        for j in range(a.n_units):
            grad_h[n, j] = 0
    if a.grad_c != 0:
        grad_c = matrix(number, a.grad_c, b.n_rows, a.n_units)
        for n in range(b.n_rows):
            for j in range(a.n_units):
                grad_c[n, j] = 0
    if a.grad_final == 0:
        return
    lengths = vector(0, b.lengths, b.n_rows)
    grad_final = matrix(number, a.grad_final, b.n_rows, a.n_columns)
    grad_output = steps_array(number, a.grad_output, b.n_steps, b.n_rows, a.n_units)
    if b.ragged:
        for t in range(b.n_steps):
            for n in range(b.n_rows):
                for j in range(a.n_units):
                    grad_output[t, n, j] = 0
    for n in range(b.n_rows):
        grad_state = grad_output[lengths[n] - 1, n] if b.ragged else grad_h[n]
        for j in range(a.n_units):
            grad_state[j] = grad_final[n, a.column + j]


BACKWARD = arguments(
    "n_inputs", "n_units", "relu", "x", "w_ih", "w_hh", "output", "cell_output",
    "gates", "saved", "from_hidden", "grad_output", "grad_cells", "grad_h", "grad_c",
    "grad_x",
    "grad_w_ih", "grad_w_hh", "grad_b_ih", "grad_b_hh",
)  # fmt: skip


@operation(BACKWARD)
def rnn_layer_backward(number: Any, record: Any, about: Any) -> None:
    """Fill the gradients of nn.RNN; `from_hidden`: each step has a gradient."""
    a, b = carray(record, 1, BACKWARD)[0], carray(about, 1, BATCH)[0]
    n_with_gradient = b.n_steps if a.from_hidden or b.ragged else 0
    grad_x = steps_array(
        number, a.grad_x, b.n_steps if a.grad_x else 0, b.n_rows, a.n_inputs
    )
    _clear(grad_x)
    rnn_backward(
        steps_array(number, a.x, b.n_steps, b.n_rows, a.n_inputs),
        matrix(number, a.w_ih, a.n_units, a.n_inputs),
        matrix(number, a.w_hh, a.n_units, a.n_units),
        a.relu != 0,
        with_initial(number, a.output, b.n_steps, b.n_rows, a.n_units),
        steps_array(number, a.grad_output, n_with_gradient, b.n_rows, a.n_units),
        matrix(number, a.grad_h, b.n_rows, a.n_units),
        grad_x,
        matrix(number, a.grad_w_ih, a.n_units, a.n_inputs),
        matrix(number, a.grad_w_hh, a.n_units, a.n_units),
        vector(number, a.grad_b_ih, a.n_units),
        vector(number, a.grad_b_hh, a.n_units),
    )


@operation(BACKWARD)
def gru_layer_backward(number: Any, record: Any, about: Any) -> None:
    """Fill the gradients of nn.GRU."""
    a, b = carray(record, 1, BACKWARD)[0], carray(about, 1, BATCH)[0]
    n_with_gradient = b.n_steps if a.from_hidden or b.ragged else 0
    grad_x = steps_array(
        number, a.grad_x, b.n_steps if a.grad_x else 0, b.n_rows, a.n_inputs
    )
    _clear(grad_x)
    gru_backward(
        steps_array(number, a.x, b.n_steps, b.n_rows, a.n_inputs),
        matrix(number, a.w_ih, 3 * a.n_units, a.n_inputs),
        matrix(number, a.w_hh, 3 * a.n_units, a.n_units),
        with_initial(number, a.output, b.n_steps, b.n_rows, a.n_units),
        steps_array(number, a.gates, b.n_steps, b.n_rows, 3 * a.n_units),
        steps_array(number, a.saved, b.n_steps, b.n_rows, a.n_units),
        steps_array(number, a.grad_output, n_with_gradient, b.n_rows, a.n_units),
        matrix(number, a.grad_h, b.n_rows, a.n_units),
        grad_x,
        matrix(number, a.grad_w_ih, 3 * a.n_units, a.n_inputs),
        matrix(number, a.grad_w_hh, 3 * a.n_units, a.n_units),
        vector(number, a.grad_b_ih, 3 * a.n_units),
        vector(number, a.grad_b_hh, 3 * a.n_units),
    )


@operation(BACKWARD)
def lstm_layer_backward(number: Any, record: Any, about: Any) -> None:
    """Fill the gradients of nn.LSTM."""
    a, b = carray(record, 1, BACKWARD)[0], carray(about, 1, BATCH)[0]
    n_with_gradient = b.n_steps if a.from_hidden or b.ragged else 0
    grad_x = steps_array(
        number, a.grad_x, b.n_steps if a.grad_x else 0, b.n_rows, a.n_inputs
    )
    _clear(grad_x)
    lstm_backward(
        steps_array(number, a.x, b.n_steps, b.n_rows, a.n_inputs),
        matrix(number, a.w_ih, 4 * a.n_units, a.n_inputs),
        matrix(number, a.w_hh, 4 * a.n_units, a.n_units),
        with_initial(number, a.output, b.n_steps, b.n_rows, a.n_units),
        with_initial(number, a.cell_output, b.n_steps, b.n_rows, a.n_units),
        steps_array(number, a.gates, b.n_steps, b.n_rows, 4 * a.n_units),
        steps_array(number, a.saved, b.n_steps, b.n_rows, a.n_units),
        steps_array(number, a.grad_output, n_with_gradient, b.n_rows, a.n_units),
        steps_array(
            number,
            a.grad_cells,
            b.n_steps if a.grad_cells else 0,
            b.n_rows,
            a.n_units,
        ),
        matrix(number, a.grad_h, b.n_rows, a.n_units),
        matrix(number, a.grad_c, b.n_rows, a.n_units),
        grad_x,
        matrix(number, a.grad_w_ih, 4 * a.n_units, a.n_inputs),
        matrix(number, a.grad_w_hh, 4 * a.n_units, a.n_units),
        vector(number, a.grad_b_ih, 4 * a.n_units),
        vector(number, a.grad_b_hh, 4 * a.n_units),
    )


@compiled_helper
def _clear(array: AnyArray) -> None:
    """Fill an array `(L, N, F)` with zeros."""
    for t in range(len(array)):
        for n in range(array.shape[1]):
            row = array[t, n]
            for j in range(len(row)):
                row[j] = 0


LEARNED_STATE_BACKWARD = arguments("n_units", "grad_h", "grad_state")


@operation(LEARNED_STATE_BACKWARD)
def learned_state_backward(number: Any, record: Any, about: Any) -> None:
    """Fill the gradient of a learned initial state."""
    a, b = carray(record, 1, LEARNED_STATE_BACKWARD)[0], carray(about, 1, BATCH)[0]
    grad_state = vector(number, a.grad_state, a.n_units)
    for j in range(a.n_units):
        grad_state[j] = 0
    add_column_sums(matrix(number, a.grad_h, b.n_rows, a.n_units), grad_state)


COPY_UNITS = arguments(
    "n_units", "x", "x_columns", "x_column", "out", "out_columns", "out_column",
    "reversed", "adds",
)  # fmt: skip


@operation(COPY_UNITS)
def copy_units(number: Any, record: Any, about: Any) -> None:
    """Copy units of `x`, (L, N, x_columns), or add them, to those of `out`.

    They begin at `x_column` and at `out_column`. With `reversed` the valid steps of
    each row go from the last to the first.
    """
    a, b = carray(record, 1, COPY_UNITS)[0], carray(about, 1, BATCH)[0]
    lengths = vector(0, b.lengths, b.n_rows)
    x = steps_array(number, a.x, b.n_steps, b.n_rows, a.x_columns)
    out = steps_array(number, a.out, b.n_steps, b.n_rows, a.out_columns)
    for t in range(b.n_steps):
        for n in range(b.n_rows):
            step = lengths[n] - 1 - t if a.reversed and t < lengths[n] else t
            row, out_row = x[step, n, a.x_column :], out[t, n, a.out_column :]
            if a.adds:
                for j in range(a.n_units):
                    out_row[j] += row[j]
            else:
                for j in range(a.n_units):
                    out_row[j] = row[j]
