"""Forward and backward passes of nn.RNN, nn.GRU and nn.LSTM over all time steps.

Each function runs one layer in one direction in a single compiled call, products with
the weights and gradients of the weights included. torch's layers start a dozen small
operations at each step, whose fixed costs outweigh the arithmetic of small networks.

Legend of shapes: L steps, N rows, F features, H hidden units, G gates. Time is the
first axis. `states` and `cells` are `(L + 1, N, H)`: the initial state, then that after
each step, so `states[t]` is the h_{t-1} of step t. Weights and their gradients have
torch's names and shapes: `w_ih` (G * H, F), `w_hh` (G * H, H), `b_ih` and `b_hh`
(G * H,).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from skrnn._kernels.activations import sigmoid, tanh
from skrnn._kernels.compilation import compiled_helper
from skrnn._kernels.elementwise import elementwise
from skrnn._kernels.products import (
    add_column_sums,
    add_matmul,
    add_transposed_matmul,
    copy_into,
    fill_rows,
    flatten_steps,
    pack,
    pack_transpose,
    transpose_into,
    zeros_transposed,
)
from skrnn._typing import AnyArray

if TYPE_CHECKING:
    from skrnn._kernels.elementwise import Vector

# The gradients of several steps, up to this many bytes, enter the gradients of the
# weights together: a large matrix is then read and written once for all of them.
BLOCK_BYTES = 2**19


@compiled_helper
def steps_per_block(n_steps: int, n_rows: int, row_bytes: int, weight: AnyArray) -> int:
    """Return how many steps enter the gradient of `weight` together."""
    block_bytes = max(BLOCK_BYTES, weight.nbytes // 2)
    return max(1, min(n_steps, block_bytes // (n_rows * row_bytes)))


@compiled_helper
def accumulate_gradients(
    grad_gates: AnyArray,
    states: AnyArray,
    x: AnyArray,
    w_ih: AnyArray,
    grad_w_ih_t: AnyArray,
    grad_w_hh_t: AnyArray,
    grad_b: AnyArray,
    grad_x: AnyArray,
) -> None:
    """Add the share of a block of steps to the gradients of the weights and of x.

    Parameters
    ----------
    grad_gates : ndarray of shape (steps, N, G * H)
        Gradient of the gates before their activation.

    states, x : ndarrays of shape (steps, N, H) and (steps, N, F)
        State before each step, and its input.

    w_ih : ndarray
        Input weights, from `pack`.

    grad_w_ih_t, grad_w_hh_t, grad_b : ndarrays
        Transposed gradients of the weights, (F, G * H) and (H, G * H), and that of
        the bias.

    grad_x : ndarray of shape (steps, N, F) or (0, ...)
        Gradient of x; empty if it is not needed.
    """
    grad_rows = flatten_steps(grad_gates)
    add_transposed_matmul(flatten_steps(states), grad_rows, grad_w_hh_t)
    add_transposed_matmul(flatten_steps(x), grad_rows, grad_w_ih_t)
    add_column_sums(grad_rows, grad_b)
    if len(grad_x):
        add_matmul(grad_rows, w_ih, flatten_steps(grad_x))


@compiled_helper
def sum_of_biases(b_ih: AnyArray, b_hh: AnyArray, n_both: int) -> AnyArray:
    """Return `b_ih`, with the first elements of `b_hh` added."""
    # Slices and array expressions would also compile the text of error messages.
    bias = np.empty_like(b_ih)
    for j in range(len(bias)):
        bias[j] = b_ih[j] + b_hh[j] if j < n_both else b_ih[j]
    return bias


# -- nn.RNN: h_t = tanh(W_ih x_t + b_ih + W_hh h_{t-1} + b_hh), or relu of it


@elementwise
def tanh_step(a: Vector) -> Vector:
    """Return the states from the sums of their inputs."""
    return tanh(a)


@elementwise
def relu_step(a: Vector) -> Vector:
    """Return the same for relu; NaN stays NaN."""
    return a.where_less(0.0, 0.0, a)


@elementwise
def tanh_step_backward(h: Vector, grad_h: Vector) -> tuple[Any, ...]:
    """Return the gradient of the sums, and zeros for that of the step before."""
    return grad_h * (1 - h * h), 0.0


@elementwise
def relu_step_backward(h: Vector, grad_h: Vector) -> tuple[Any, ...]:
    """Return the same for relu."""
    return h.lift(0.0).where_less(h, grad_h, 0.0), 0.0


@elementwise
def add(a: Vector, b: Vector) -> Vector:
    """Return a sum."""
    return a + b


@compiled_helper
def rnn_forward(
    x: AnyArray,
    w_ih: AnyArray,
    w_hh: AnyArray,
    b_ih: AnyArray,
    b_hh: AnyArray,
    relu: bool,
    states: AnyArray,
) -> None:
    """Fill `states[1:]`; `states[0]` is the initial state."""
    n_steps = len(states)
    w_ih_t, w_hh_t = pack_transpose(w_ih), pack_transpose(w_hh)
    bias = sum_of_biases(b_ih, b_hh, len(b_ih))
    for t in range(n_steps - 1):
        h_step = states[t + 1]
        fill_rows(h_step, bias)
        add_matmul(x[t], w_ih_t, h_step)
        add_matmul(states[t], w_hh_t, h_step)
        if relu:
            relu_step((h_step,), (h_step,))
        else:
            tanh_step((h_step,), (h_step,))


@compiled_helper
def rnn_backward(
    x: AnyArray,
    w_ih: AnyArray,
    w_hh: AnyArray,
    relu: bool,
    states: AnyArray,
    grad_output: AnyArray,
    grad_h: AnyArray,
    grad_x: AnyArray,
    grad_w_ih: AnyArray,
    grad_w_hh: AnyArray,
    grad_b_ih: AnyArray,
    grad_b_hh: AnyArray,
) -> None:
    """Fill the gradients of the weights, and of x and the initial state.

    Parameters
    ----------
    x, w_ih, w_hh, relu, states : as in `rnn_forward`

    grad_output : ndarray of shape (L, N, H) or (0, ...)
        Gradient of `states[1:]`; empty if there is none.

    grad_h : ndarray of shape (N, H)
        Gradient of the last state; replaced by that of the initial state.

    grad_x : ndarray of shape (L, N, F) or (0, ...)
        Zeros, to which the gradient of x is added; empty if it is not needed.

    grad_w_ih, grad_w_hh, grad_b_ih, grad_b_hh : ndarrays
        Overwritten.
    """
    n_steps, n_rows, n_units = states.shape
    n_steps -= 1
    size = steps_per_block(n_steps, n_rows, n_units * states.itemsize, w_hh)
    block = np.empty((size, n_rows, n_units), dtype=states.dtype)
    packed_w_ih, packed_w_hh = pack(w_ih), pack(w_hh)
    grad_w_ih_t, grad_w_hh_t = zeros_transposed(w_ih), zeros_transposed(w_hh)
    grad_b_ih[:] = 0
    for t in range(n_steps - 1, -1, -1):
        grad_step = block[t % size]
        if len(grad_output):
            add((grad_h, grad_output[t]), (grad_h,))
        if relu:
            relu_step_backward((states[t + 1], grad_h), (grad_step, grad_h))
        else:
            tanh_step_backward((states[t + 1], grad_h), (grad_step, grad_h))
        add_matmul(grad_step, packed_w_hh, grad_h)
        if t % size == 0:
            part = slice(t, min(t + size, n_steps))
            accumulate_gradients(
                block[: part.stop - t],
                states[part],
                x[part],
                packed_w_ih,
                grad_w_ih_t,
                grad_w_hh_t,
                grad_b_ih,
                grad_x[part],
            )
    transpose_into(grad_w_ih_t, grad_w_ih)
    transpose_into(grad_w_hh_t, grad_w_hh)
    copy_into(grad_b_ih, grad_b_hh)


# -- nn.GRU: r, z = sigmoid(W_ih x_t + b_ih + W_hh h_{t-1} + b_hh)
#            n = tanh(W_in x_t + b_in + r (W_hn h_{t-1} + b_hn))
#            h_t = n + z (h_{t-1} - n)


@elementwise
def gru_step(
    r: Vector, z: Vector, n: Vector, h_n: Vector, h_prev: Vector
) -> tuple[Any, ...]:
    """Return the gates and the state from the sums of their inputs."""
    r, z = sigmoid(r, z)
    n = tanh(n + r * h_n)
    return r, z, n, n + z * (h_prev - n)


@elementwise
def gru_step_backward(
    r: Vector, z: Vector, n: Vector, h_n: Vector, h_prev: Vector, grad_h: Vector
) -> tuple[Any, ...]:
    """Return the gradients of the sums, of `h_n`, and of the state before."""
    grad_z = grad_h * (h_prev - n) * z * (1 - z)
    grad_n = grad_h * (1 - z) * (1 - n * n)
    grad_r = grad_n * h_n * r * (1 - r)
    return grad_r, grad_z, grad_n, grad_n * r, grad_h * z


@compiled_helper
def gru_forward(
    x: AnyArray,
    w_ih: AnyArray,
    w_hh: AnyArray,
    b_ih: AnyArray,
    b_hh: AnyArray,
    states: AnyArray,
    gates: AnyArray,
    new_gate_h: AnyArray,
) -> None:
    """Fill `states[1:]`, and what the backward pass needs.

    Parameters
    ----------
    x, w_ih, w_hh, b_ih, b_hh, states : as in `rnn_forward`

    gates : ndarray of shape (L, N, 3 * H)
        Gets r, z and n. With fewer steps than L it keeps the last ones.

    new_gate_h : ndarray of shape (L, N, H)
        Gets the hidden part of the new gate, W_hn h_{t-1} + b_hn, likewise.
    """
    n_steps, _, n_units = states.shape
    n_both = 2 * n_units
    n_kept = len(gates)
    w_ih_t = pack_transpose(w_ih)
    w_hrz_t = pack_transpose(w_hh[:n_both])
    w_hn_t = pack_transpose(w_hh[n_both:])
    bias = sum_of_biases(b_ih, b_hh, n_both)
    for t in range(n_steps - 1):
        gates_t, new_gate_h_t = gates[t % n_kept], new_gate_h[t % n_kept]
        fill_rows(gates_t, bias)
        fill_rows(new_gate_h_t, b_hh[n_both:])
        add_matmul(x[t], w_ih_t, gates_t)
        add_matmul(states[t], w_hrz_t, gates_t[:, :n_both])
        add_matmul(states[t], w_hn_t, new_gate_h_t)
        r, z = gates_t[:, :n_units], gates_t[:, n_units:n_both]
        n = gates_t[:, n_both:]
        gru_step((r, z, n, new_gate_h_t, states[t]), (r, z, n, states[t + 1]))


@compiled_helper
def gru_backward(
    x: AnyArray,
    w_ih: AnyArray,
    w_hh: AnyArray,
    states: AnyArray,
    gates: AnyArray,
    new_gate_h: AnyArray,
    grad_output: AnyArray,
    grad_h: AnyArray,
    grad_x: AnyArray,
    grad_w_ih: AnyArray,
    grad_w_hh: AnyArray,
    grad_b_ih: AnyArray,
    grad_b_hh: AnyArray,
) -> None:
    """Fill the gradients, as `rnn_backward` does."""
    n_steps, n_rows, n_units = new_gate_h.shape
    n_both = 2 * n_units
    size = steps_per_block(n_steps, n_rows, 4 * n_units * states.itemsize, w_hh)
    block = np.empty((size, n_rows, 3 * n_units), dtype=states.dtype)
    block_h_n = np.empty((size, n_rows, n_units), dtype=states.dtype)
    packed_w_ih = pack(w_ih)
    packed_w_hrz, packed_w_hn = pack(w_hh[:n_both]), pack(w_hh[n_both:])
    grad_w_ih_t, grad_w_hh_t = zeros_transposed(w_ih), zeros_transposed(w_hh)
    grad_b_ih[:] = 0
    grad_b_hh[:] = 0
    for t in range(n_steps - 1, -1, -1):
        grad_gates, grad_new_gate_h = block[t % size], block_h_n[t % size]
        if len(grad_output):
            add((grad_h, grad_output[t]), (grad_h,))
        gates_t = gates[t]
        gru_step_backward(
            (
                gates_t[:, :n_units],
                gates_t[:, n_units:n_both],
                gates_t[:, n_both:],
                new_gate_h[t],
                states[t],
                grad_h,
            ),
            (
                grad_gates[:, :n_units],
                grad_gates[:, n_units:n_both],
                grad_gates[:, n_both:],
                grad_new_gate_h,
                grad_h,
            ),
        )
        add_matmul(grad_gates[:, :n_both], packed_w_hrz, grad_h)
        add_matmul(grad_new_gate_h, packed_w_hn, grad_h)
        if t % size == 0:
            part = slice(t, min(t + size, n_steps))
            grad_rows = flatten_steps(block[: part.stop - t])
            grad_rows_h_n = flatten_steps(block_h_n[: part.stop - t])
            h_rows = flatten_steps(states[part])
            add_transposed_matmul(
                h_rows, grad_rows[:, :n_both], grad_w_hh_t[:, :n_both]
            )
            add_transposed_matmul(h_rows, grad_rows_h_n, grad_w_hh_t[:, n_both:])
            add_transposed_matmul(flatten_steps(x[part]), grad_rows, grad_w_ih_t)
            add_column_sums(grad_rows, grad_b_ih)
            add_column_sums(grad_rows_h_n, grad_b_hh[n_both:])
            if len(grad_x):
                add_matmul(grad_rows, packed_w_ih, flatten_steps(grad_x[part]))
    transpose_into(grad_w_ih_t, grad_w_ih)
    transpose_into(grad_w_hh_t, grad_w_hh)
    copy_into(grad_b_ih, grad_b_hh[:n_both])


# -- nn.LSTM: i, f, o = sigmoid(...) and g = tanh(...) of W_ih x_t + b_ih
#             + W_hh h_{t-1} + b_hh; c_t = f c_{t-1} + i g, h_t = o tanh(c_t)


@elementwise
def lstm_step(
    i: Vector, f: Vector, g: Vector, o: Vector, c_prev: Vector
) -> tuple[Any, ...]:
    """Return the gates, c, tanh(c) and h from the sums of the gates' inputs."""
    (i, f, o), g = sigmoid(i, f, o), tanh(g)
    c = f * c_prev + i * g
    tanh_c = tanh(c)
    return i, f, g, o, c, tanh_c, o * tanh_c


@elementwise
def lstm_step_backward(
    i: Vector,
    f: Vector,
    g: Vector,
    o: Vector,
    c_prev: Vector,
    tanh_c: Vector,
    grad_h: Vector,
    grad_c: Vector,
) -> tuple[Any, ...]:
    """Return the gradients of the sums, of c before, and zeros for h before."""
    grad_o = grad_h * tanh_c * o * (1 - o)
    grad_c = grad_c + grad_h * o * (1 - tanh_c * tanh_c)
    grad_i = grad_c * g * i * (1 - i)
    grad_f = grad_c * c_prev * f * (1 - f)
    grad_g = grad_c * i * (1 - g * g)
    return grad_i, grad_f, grad_g, grad_o, grad_c * f, 0.0


@compiled_helper
def lstm_forward(
    x: AnyArray,
    w_ih: AnyArray,
    w_hh: AnyArray,
    b_ih: AnyArray,
    b_hh: AnyArray,
    states: AnyArray,
    cells: AnyArray,
    gates: AnyArray,
    tanh_cell: AnyArray,
) -> None:
    """Fill `states[1:]` and `cells[1:]`, and what the backward pass needs.

    Parameters
    ----------
    x, w_ih, w_hh, b_ih, b_hh, states : as in `rnn_forward`

    cells : ndarray of shape (L + 1, N, H)
        The initial c, then that after each step.

    gates : ndarray of shape (L, N, 4 * H)
        Gets i, f, g and o. With fewer steps than L it keeps the last ones.

    tanh_cell : ndarray of shape (L, N, H)
        Gets tanh(c_t), likewise.
    """
    n_steps, _, n_units = states.shape
    n_kept = len(gates)
    w_ih_t, w_hh_t = pack_transpose(w_ih), pack_transpose(w_hh)
    bias = sum_of_biases(b_ih, b_hh, len(b_ih))
    for t in range(n_steps - 1):
        gates_t = gates[t % n_kept]
        fill_rows(gates_t, bias)
        add_matmul(x[t], w_ih_t, gates_t)
        add_matmul(states[t], w_hh_t, gates_t)
        i, f = gates_t[:, :n_units], gates_t[:, n_units : 2 * n_units]
        g, o = gates_t[:, 2 * n_units : 3 * n_units], gates_t[:, 3 * n_units :]
        lstm_step(
            (i, f, g, o, cells[t]),
            (i, f, g, o, cells[t + 1], tanh_cell[t % n_kept], states[t + 1]),
        )


@compiled_helper
def lstm_backward(
    x: AnyArray,
    w_ih: AnyArray,
    w_hh: AnyArray,
    states: AnyArray,
    cells: AnyArray,
    gates: AnyArray,
    tanh_cell: AnyArray,
    grad_output: AnyArray,
    grad_cells: AnyArray,
    grad_h: AnyArray,
    grad_c: AnyArray,
    grad_x: AnyArray,
    grad_w_ih: AnyArray,
    grad_w_hh: AnyArray,
    grad_b_ih: AnyArray,
    grad_b_hh: AnyArray,
) -> None:
    """Fill the gradients, as `rnn_backward` does.

    `grad_cells` and `grad_c` are for c what `grad_output` and `grad_h` are for h.
    """
    n_steps, n_rows, n_units = tanh_cell.shape
    size = steps_per_block(n_steps, n_rows, 4 * n_units * states.itemsize, w_hh)
    block = np.empty((size, n_rows, 4 * n_units), dtype=states.dtype)
    packed_w_ih, packed_w_hh = pack(w_ih), pack(w_hh)
    grad_w_ih_t, grad_w_hh_t = zeros_transposed(w_ih), zeros_transposed(w_hh)
    grad_b_ih[:] = 0
    for t in range(n_steps - 1, -1, -1):
        grad_gates = block[t % size]
        if len(grad_output):
            add((grad_h, grad_output[t]), (grad_h,))
        if len(grad_cells):
            add((grad_c, grad_cells[t]), (grad_c,))
        gates_t = gates[t]
        lstm_step_backward(
            (
                gates_t[:, :n_units],
                gates_t[:, n_units : 2 * n_units],
                gates_t[:, 2 * n_units : 3 * n_units],
                gates_t[:, 3 * n_units :],
                cells[t],
                tanh_cell[t],
                grad_h,
                grad_c,
            ),
            (
                grad_gates[:, :n_units],
                grad_gates[:, n_units : 2 * n_units],
                grad_gates[:, 2 * n_units : 3 * n_units],
                grad_gates[:, 3 * n_units :],
                grad_c,
                grad_h,
            ),
        )
        add_matmul(grad_gates, packed_w_hh, grad_h)
        if t % size == 0:
            part = slice(t, min(t + size, n_steps))
            accumulate_gradients(
                block[: part.stop - t],
                states[part],
                x[part],
                packed_w_ih,
                grad_w_ih_t,
                grad_w_hh_t,
                grad_b_ih,
                grad_x[part],
            )
    transpose_into(grad_w_ih_t, grad_w_ih)
    transpose_into(grad_w_hh_t, grad_w_hh)
    copy_into(grad_b_ih, grad_b_hh)
