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

import numpy as np

from skrnn._kernels.activations import tanh
from skrnn._kernels.compilation import compiled, compiled_helper
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

# The gradients of several steps, up to this many bytes, enter the gradients of the
# weights together: a large matrix is then read and written once for all of them.
BLOCK_BYTES = 2**19


@compiled_helper
def steps_per_block(n_steps, n_rows, row_bytes, weight):
    """Return how many steps enter the gradient of `weight` together."""
    block_bytes = max(BLOCK_BYTES, weight.nbytes // 2)
    return max(1, min(n_steps, block_bytes // (n_rows * row_bytes)))


@compiled_helper
def accumulate_gradients(
    grad_gates, states, x, w_ih, grad_w_ih_t, grad_w_hh_t, grad_b, grad_x
):
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
def sum_of_biases(b_ih, b_hh, n_both):
    """Return `b_ih`, with the first elements of `b_hh` added."""
    # Slices and array expressions would also compile the text of error messages.
    bias = np.empty_like(b_ih)
    for j in range(len(bias)):
        bias[j] = b_ih[j] + b_hh[j] if j < n_both else b_ih[j]
    return bias


# -- nn.RNN: h_t = tanh(W_ih x_t + b_ih + W_hh h_{t-1} + b_hh), or relu of it


@compiled
def rnn_forward(x, w_ih, w_hh, b_ih, b_hh, relu, states):
    """Fill `states[1:]`; `states[0]` is the initial state."""
    n_steps, n_rows, n_units = states.shape
    zero = states.dtype.type(0)
    w_ih_t, w_hh_t = pack_transpose(w_ih), pack_transpose(w_hh)
    bias = sum_of_biases(b_ih, b_hh, len(b_ih))
    for t in range(n_steps - 1):
        h_step = states[t + 1]
        fill_rows(h_step, bias)
        add_matmul(x[t], w_ih_t, h_step)
        add_matmul(states[t], w_hh_t, h_step)
        for n in range(n_rows):
            h_t = h_step[n]
            if relu:
                for j in range(n_units):
                    h_t[j] = zero if h_t[j] < 0 else h_t[j]  # NaN stays NaN
            else:
                for j in range(n_units):
                    h_t[j] = tanh(h_t[j])


@compiled
def rnn_backward(
    x,
    w_ih,
    w_hh,
    relu,
    states,
    grad_output,
    grad_h,
    grad_x,
    grad_w_ih,
    grad_w_hh,
    grad_b_ih,
    grad_b_hh,
):
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
    zero, n_steps = states.dtype.type(0), n_steps - 1
    size = steps_per_block(n_steps, n_rows, n_units * states.itemsize, w_hh)
    block = np.empty((size, n_rows, n_units), dtype=states.dtype)
    packed_w_ih, packed_w_hh = pack(w_ih), pack(w_hh)
    grad_w_ih_t, grad_w_hh_t = zeros_transposed(w_ih), zeros_transposed(w_hh)
    grad_b_ih[:] = 0
    for t in range(n_steps - 1, -1, -1):
        grad_step = block[t % size]
        for n in range(n_rows):
            h_t, grad_h_t, grad_a = states[t + 1, n], grad_h[n], grad_step[n]
            if len(grad_output):
                grad_output_t = grad_output[t, n]
                for j in range(n_units):
                    grad_h_t[j] += grad_output_t[j]
            if relu:
                for j in range(n_units):
                    grad_a[j] = zero if h_t[j] <= 0 else grad_h_t[j]
            else:
                for j in range(n_units):
                    grad_a[j] = grad_h_t[j] * (1 - h_t[j] * h_t[j])
            for j in range(n_units):
                grad_h_t[j] = 0
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


@compiled
def gru_forward(x, w_ih, w_hh, b_ih, b_hh, states, gates, new_gate_h):
    """Fill `states[1:]`, and what the backward pass needs.

    Parameters
    ----------
    x, w_ih, w_hh, b_ih, b_hh, states : as in `rnn_forward`

    gates : ndarray of shape (L, N, 3 * H)
        Gets r, z and n. With fewer steps than L it keeps the last ones.

    new_gate_h : ndarray of shape (L, N, H)
        Gets the hidden part of the new gate, W_hn h_{t-1} + b_hn, likewise.
    """
    n_steps, n_rows, n_units = states.shape
    half, n_both = states.dtype.type(0.5), 2 * n_units
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
        for row in range(n_rows):
            gate, h_n = gates_t[row], new_gate_h_t[row]
            h_t, h_prev = states[t + 1, row], states[t, row]
            rz, n = gate[:n_both], gate[n_both:]
            r, z = rz[:n_units], rz[n_units:]
            for j in range(n_both):
                rz[j] = half + half * tanh(half * rz[j])
            for j in range(n_units):
                n[j] = tanh(n[j] + r[j] * h_n[j])
            for j in range(n_units):
                h_t[j] = n[j] + z[j] * (h_prev[j] - n[j])


@compiled
def gru_backward(
    x,
    w_ih,
    w_hh,
    states,
    gates,
    new_gate_h,
    grad_output,
    grad_h,
    grad_x,
    grad_w_ih,
    grad_w_hh,
    grad_b_ih,
    grad_b_hh,
):
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
        for row in range(n_rows):
            gate, h_n, h_prev = gates[t, row], new_gate_h[t, row], states[t, row]
            r, z, n = gate[:n_units], gate[n_units:n_both], gate[n_both:]
            grad_gate, grad_h_n = grad_gates[row], grad_new_gate_h[row]
            grad_r, grad_z = grad_gate[:n_units], grad_gate[n_units:n_both]
            grad_n, grad_h_t = grad_gate[n_both:], grad_h[row]
            if len(grad_output):
                grad_output_t = grad_output[t, row]
                for j in range(n_units):
                    grad_h_t[j] += grad_output_t[j]
            # In several loops: LLVM vectorises a loop only over few arrays that might
            # overlap.
            for j in range(n_units):
                grad_z[j] = grad_h_t[j] * (h_prev[j] - n[j]) * z[j] * (1 - z[j])
            for j in range(n_units):
                grad_n[j] = grad_h_t[j] * (1 - z[j]) * (1 - n[j] * n[j])
            for j in range(n_units):
                grad_r[j] = grad_n[j] * h_n[j] * r[j] * (1 - r[j])
            for j in range(n_units):
                grad_h_n[j] = grad_n[j] * r[j]
            for j in range(n_units):
                grad_h_t[j] = grad_h_t[j] * z[j]
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


@compiled
def lstm_forward(x, w_ih, w_hh, b_ih, b_hh, states, cells, gates, tanh_cell):
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
    n_steps, n_rows, n_units = states.shape
    half, n_kept = states.dtype.type(0.5), len(gates)
    w_ih_t, w_hh_t = pack_transpose(w_ih), pack_transpose(w_hh)
    bias = sum_of_biases(b_ih, b_hh, len(b_ih))
    for t in range(n_steps - 1):
        gates_t = gates[t % n_kept]
        fill_rows(gates_t, bias)
        add_matmul(x[t], w_ih_t, gates_t)
        add_matmul(states[t], w_hh_t, gates_t)
        for n in range(n_rows):
            gate, h_t, tanh_c = gates_t[n], states[t + 1, n], tanh_cell[t % n_kept, n]
            c_prev, c_t = cells[t, n], cells[t + 1, n]
            i_f, g = gate[: 2 * n_units], gate[2 * n_units : 3 * n_units]
            o = gate[3 * n_units :]
            i, f = i_f[:n_units], i_f[n_units:]
            for j in range(2 * n_units):
                i_f[j] = half + half * tanh(half * i_f[j])
            for j in range(n_units):
                g[j] = tanh(g[j])
            for j in range(n_units):
                o[j] = half + half * tanh(half * o[j])
            for j in range(n_units):
                c_t[j] = f[j] * c_prev[j] + i[j] * g[j]
            for j in range(n_units):
                tanh_c[j] = tanh(c_t[j])
                h_t[j] = o[j] * tanh_c[j]


@compiled
def lstm_backward(
    x,
    w_ih,
    w_hh,
    states,
    cells,
    gates,
    tanh_cell,
    grad_output,
    grad_cells,
    grad_h,
    grad_c,
    grad_x,
    grad_w_ih,
    grad_w_hh,
    grad_b_ih,
    grad_b_hh,
):
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
        for n in range(n_rows):
            c_prev, tanh_c = cells[t, n], tanh_cell[t, n]
            gate, grad_gate = gates[t, n], grad_gates[n]
            i, f = gate[:n_units], gate[n_units : 2 * n_units]
            g, o = gate[2 * n_units : 3 * n_units], gate[3 * n_units :]
            grad_i, grad_f = grad_gate[:n_units], grad_gate[n_units : 2 * n_units]
            grad_g = grad_gate[2 * n_units : 3 * n_units]
            grad_o = grad_gate[3 * n_units :]
            grad_h_t, grad_c_t = grad_h[n], grad_c[n]
            if len(grad_output):
                grad_output_t = grad_output[t, n]
                for j in range(n_units):
                    grad_h_t[j] += grad_output_t[j]
            if len(grad_cells):
                grad_cells_t = grad_cells[t, n]
                for j in range(n_units):
                    grad_c_t[j] += grad_cells_t[j]
            for j in range(n_units):
                grad_o[j] = grad_h_t[j] * tanh_c[j] * o[j] * (1 - o[j])
            for j in range(n_units):
                grad_c_t[j] += grad_h_t[j] * o[j] * (1 - tanh_c[j] * tanh_c[j])
            for j in range(n_units):
                grad_i[j] = grad_c_t[j] * g[j] * i[j] * (1 - i[j])
            for j in range(n_units):
                grad_f[j] = grad_c_t[j] * c_prev[j] * f[j] * (1 - f[j])
            for j in range(n_units):
                grad_g[j] = grad_c_t[j] * i[j] * (1 - g[j] * g[j])
            for j in range(n_units):
                grad_c_t[j] = grad_c_t[j] * f[j]
            for j in range(n_units):
                grad_h_t[j] = 0
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
