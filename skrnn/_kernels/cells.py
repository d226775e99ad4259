"""A whole recurrent layer as one operation: compiled loops, a backward pass by hand.

torch records every step of a recurrence and has a dozen small operations in each, whose
fixed costs outweigh the arithmetic of small networks. Here one compiled call runs a
layer in one direction, products with the input included, and one goes back, the
gradients of the weights included. Beside them there are only allocations.

Layers of equal shape may run as one: M models have their own weights and states, and
rows of their own or the same.

Legend of shapes: M models, N rows, L steps, F features, H hidden units, G gates. Models
are the first axis, then time.
"""

import numpy as np

from skrnn._kernels.activations import tanh
from skrnn._kernels.compilation import compiled
from skrnn._kernels.products import (
    add_outer,
    add_product,
    add_rows,
    packed,
    packed_transpose,
    rows_of,
    set_rows,
    turn,
    zeros_turned,
)

# Gradients of this many bytes wait for each other before they reach the weights'
# gradient, which, large as it may be, is then read and written once for many rows.
BLOCK_BYTES = 2**19


# -- arithmetic


@compiled
def steps_at_once(n_steps, n_rows, row_bytes, weight):
    """Return for how many steps gradients wait until they reach that of `weight`."""
    room = max(BLOCK_BYTES, weight.nbytes // 2)
    return max(1, min(n_steps, room // (n_rows * row_bytes)))


@compiled
def add_to_weights(d_a, states, x, w, d_w_t, d_v_t, d_b, d_x):
    """Add what some steps make of the gradients of the weights, and of x.

    Parameters
    ----------
    d_a : ndarray of shape (steps, N, G * H)
        Gradient of what input and state give together.

    states, x : ndarrays of shape (steps, N, H) and (steps, N, F)
        States before the steps, and inputs.

    w : ndarray
        Input weights, packed.

    d_w_t, d_v_t, d_b : ndarrays
        Gradients of both weights, transposed, and of the bias.

    d_x : ndarray of shape (steps, N, F) or (0, ...)
        That of x, if wanted.
    """
    flat = rows_of(d_a)
    add_outer(rows_of(states), flat, d_v_t)
    add_outer(rows_of(x), flat, d_w_t)
    add_rows(flat, d_b)
    if len(d_x):
        add_product(flat, w, rows_of(d_x))


# -- nn.RNN: h_t = tanh(x_t W' + b + h_{t-1} V'), or max(0, ...)


@compiled
def rnn_forward(x, w_ih, w_hh, b_ih, b_hh, relu, states):
    """Fill `states` `(M, L + 1, N, H)` behind the first, which is there."""
    n_models, n_steps, n_rows, n_units = states.shape
    zero = states.dtype.type(0)
    for m in range(n_models):
        w_t, v_t = packed_transpose(w_ih[m]), packed_transpose(w_hh[m])
        bias = b_ih[m] + b_hh[m]
        inputs, state = x[min(m, len(x) - 1)], states[m]
        for t in range(n_steps - 1):
            now = state[t + 1]
            set_rows(now, bias)
            add_product(inputs[t], w_t, now)
            add_product(state[t], v_t, now)
            for n in range(n_rows):
                h = now[n]
                if relu:
                    for j in range(n_units):
                        h[j] = zero if h[j] < 0 else h[j]  # NaN stays NaN
                else:
                    for j in range(n_units):
                        h[j] = tanh(h[j])


@compiled
def rnn_backward(
    x, w_ih, w_hh, relu, states, d_out, d_h, d_x, d_w_ih, d_w_hh, d_b_ih, d_b_hh
):
    """Fill the gradients; `d_h` is that of the last state, then that of the first.

    `d_out` has no steps if outputs have no gradient, `d_x`, which is all zeros, if
    inputs need none.
    """
    n_models, n_steps, n_rows, n_units = states.shape
    zero, n_steps = states.dtype.type(0), n_steps - 1
    size = steps_at_once(n_steps, n_rows, n_units * states.itemsize, w_hh[0])
    block = np.empty((size, n_rows, n_units), dtype=states.dtype)
    for m in range(n_models):
        which = min(m, len(x) - 1)
        w, v, of_h = packed(w_ih[m]), packed(w_hh[m]), d_h[m]
        of_w, of_v = zeros_turned(w_ih[m]), zeros_turned(w_hh[m])
        d_b_ih[m] = 0
        for t in range(n_steps - 1, -1, -1):
            d_a = block[t % size]
            for n in range(n_rows):
                h, g, a = states[m, t + 1, n], of_h[n], d_a[n]
                if d_out.shape[1]:
                    d = d_out[m, t, n]
                    for j in range(n_units):
                        g[j] += d[j]
                if relu:
                    for j in range(n_units):
                        a[j] = zero if h[j] <= 0 else g[j]
                else:
                    for j in range(n_units):
                        a[j] = g[j] * (1 - h[j] * h[j])
                for j in range(n_units):
                    g[j] = 0
            add_product(d_a, v, of_h)
            if t % size == 0:
                part = slice(t, min(t + size, n_steps))
                add_to_weights(
                    block[: part.stop - t],
                    states[m, part],
                    x[which, part],
                    w,
                    of_w,
                    of_v,
                    d_b_ih[m],
                    d_x[which, part],
                )
        turn(of_w, d_w_ih[m])
        turn(of_v, d_w_hh[m])
        d_b_hh[m] = d_b_ih[m]


# -- nn.GRU: gates r, z, n; h_t = n + z (h_{t-1} - n)


@compiled
def gru_forward(x, w_ih, w_hh, b_ih, b_hh, states, gates, candidate):
    """Fill `states` behind the first, and `gates` `(M, L, N, 3 H)` with r, z and n.

    `candidate` gets what the state gives n before r is applied, `(M, L, N, H)`. With
    room for fewer steps than L both keep the last ones.
    """
    n_models, n_steps, n_rows, n_units = states.shape
    half, n_both = states.dtype.type(0.5), 2 * n_units
    n_kept = gates.shape[1]
    for m in range(n_models):
        w_t = packed_transpose(w_ih[m])
        v_both = packed_transpose(w_hh[m, :n_both])
        v_new = packed_transpose(w_hh[m, n_both:])
        inputs, state = x[min(m, len(x) - 1)], states[m]
        bias = b_ih[m].copy()
        bias[:n_both] += b_hh[m, :n_both]
        for t in range(n_steps - 1):
            now, given = gates[m, t % n_kept], candidate[m, t % n_kept]
            set_rows(now, bias)
            set_rows(given, b_hh[m, n_both:])
            add_product(inputs[t], w_t, now)
            add_product(state[t], v_both, now[:, :n_both])
            add_product(state[t], v_new, given)
            for n in range(n_rows):
                gate, c, h, past = now[n], given[n], state[t + 1, n], state[t, n]
                r_z, new = gate[:n_both], gate[n_both:]
                r, z = r_z[:n_units], r_z[n_units:]
                for j in range(n_both):
                    r_z[j] = half + half * tanh(half * r_z[j])
                for j in range(n_units):
                    new[j] = tanh(new[j] + r[j] * c[j])
                for j in range(n_units):
                    h[j] = new[j] + z[j] * (past[j] - new[j])


@compiled
def gru_backward(
    x,
    w_ih,
    w_hh,
    states,
    gates,
    candidate,
    d_out,
    d_h,
    d_x,
    d_w_ih,
    d_w_hh,
    d_b_ih,
    d_b_hh,
):
    """Fill the gradients, as `rnn_backward` does."""
    n_models, n_steps, n_rows, n_units = candidate.shape
    n_both = 2 * n_units
    size = steps_at_once(n_steps, n_rows, 4 * n_units * states.itemsize, w_hh[0])
    block = np.empty((size, n_rows, 3 * n_units), dtype=states.dtype)
    block_c = np.empty((size, n_rows, n_units), dtype=states.dtype)
    for m in range(n_models):
        which = min(m, len(x) - 1)
        w, of_h = packed(w_ih[m]), d_h[m]
        v_both, v_new = packed(w_hh[m, :n_both]), packed(w_hh[m, n_both:])
        of_w, of_v = zeros_turned(w_ih[m]), zeros_turned(w_hh[m])
        d_b_ih[m] = 0
        d_b_hh[m] = 0
        for t in range(n_steps - 1, -1, -1):
            d_gates, d_c = block[t % size], block_c[t % size]
            for n in range(n_rows):
                g, past, c = of_h[n], states[m, t, n], candidate[m, t, n]
                gate, to, to_c = gates[m, t, n], d_gates[n], d_c[n]
                r, z, new = gate[:n_units], gate[n_units:n_both], gate[n_both:]
                t_r, t_z, t_n = to[:n_units], to[n_units:n_both], to[n_both:]
                if d_out.shape[1]:
                    d = d_out[m, t, n]
                    for j in range(n_units):
                        g[j] += d[j]
                # In several loops: vectors want few arrays that might overlap.
                for j in range(n_units):
                    t_z[j] = g[j] * (past[j] - new[j]) * z[j] * (1 - z[j])
                for j in range(n_units):
                    t_n[j] = g[j] * (1 - z[j]) * (1 - new[j] * new[j])
                for j in range(n_units):
                    t_r[j] = t_n[j] * c[j] * r[j] * (1 - r[j])
                for j in range(n_units):
                    to_c[j] = t_n[j] * r[j]
                for j in range(n_units):
                    g[j] = g[j] * z[j]
            add_product(d_gates[:, :n_both], v_both, of_h)
            add_product(d_c, v_new, of_h)
            if t % size == 0:
                part = slice(t, min(t + size, n_steps))
                flat = rows_of(block[: part.stop - t])
                flat_c = rows_of(block_c[: part.stop - t])
                before = rows_of(states[m, part])
                add_outer(before, flat[:, :n_both], of_v[:, :n_both])
                add_outer(before, flat_c, of_v[:, n_both:])
                add_outer(rows_of(x[which, part]), flat, of_w)
                add_rows(flat, d_b_ih[m])
                add_rows(flat_c, d_b_hh[m, n_both:])
                if d_x.shape[1]:
                    add_product(flat, w, rows_of(d_x[which, part]))
        turn(of_w, d_w_ih[m])
        turn(of_v, d_w_hh[m])
        d_b_hh[m, :n_both] = d_b_ih[m, :n_both]


# -- nn.LSTM: gates i, f, g, o; c_t = f c_{t-1} + i g, h_t = o tanh(c_t)


@compiled
def lstm_forward(x, w_ih, w_hh, b_ih, b_hh, states, cells, gates, squashed):
    """Fill `states` and `cells` `(M, L + 1, N, H)` behind the first.

    `gates` gets i, f, g and o, `(M, L, N, 4 H)`, `squashed` the tanh of c. With room
    for fewer steps than L both keep the last ones.
    """
    n_models, n_steps, n_rows, n_units = states.shape
    half, n_kept = states.dtype.type(0.5), gates.shape[1]
    for m in range(n_models):
        w_t, v_t = packed_transpose(w_ih[m]), packed_transpose(w_hh[m])
        bias = b_ih[m] + b_hh[m]
        inputs, state, cell = x[min(m, len(x) - 1)], states[m], cells[m]
        for t in range(n_steps - 1):
            now = gates[m, t % n_kept]
            set_rows(now, bias)
            add_product(inputs[t], w_t, now)
            add_product(state[t], v_t, now)
            for n in range(n_rows):
                gate, h, s = now[n], state[t + 1, n], squashed[m, t % n_kept, n]
                past, c = cell[t, n], cell[t + 1, n]
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
                    c[j] = f[j] * past[j] + i[j] * g[j]
                for j in range(n_units):
                    s[j] = tanh(c[j])
                    h[j] = o[j] * s[j]


@compiled
def lstm_backward(
    x,
    w_ih,
    w_hh,
    states,
    cells,
    gates,
    squashed,
    d_out,
    d_cells,
    d_h,
    d_c,
    d_x,
    d_w_ih,
    d_w_hh,
    d_b_ih,
    d_b_hh,
):
    """Fill the gradients, as `rnn_backward` does; `d_c` is like `d_h`.

    `d_cells` has no steps if cells have no gradient.
    """
    n_models, n_steps, n_rows, n_units = squashed.shape
    size = steps_at_once(n_steps, n_rows, 4 * n_units * states.itemsize, w_hh[0])
    block = np.empty((size, n_rows, 4 * n_units), dtype=states.dtype)
    for m in range(n_models):
        which = min(m, len(x) - 1)
        w, v = packed(w_ih[m]), packed(w_hh[m])
        of_w, of_v = zeros_turned(w_ih[m]), zeros_turned(w_hh[m])
        d_b_ih[m] = 0
        for t in range(n_steps - 1, -1, -1):
            d_gates = block[t % size]
            for n in range(n_rows):
                dh, dc = d_h[m, n], d_c[m, n]
                past, s = cells[m, t, n], squashed[m, t, n]
                gate, to = gates[m, t, n], d_gates[n]
                i, f = gate[:n_units], gate[n_units : 2 * n_units]
                g, o = gate[2 * n_units : 3 * n_units], gate[3 * n_units :]
                t_i, t_f = to[:n_units], to[n_units : 2 * n_units]
                t_g, t_o = to[2 * n_units : 3 * n_units], to[3 * n_units :]
                if d_out.shape[1]:
                    d = d_out[m, t, n]
                    for j in range(n_units):
                        dh[j] += d[j]
                if d_cells.shape[1]:
                    d = d_cells[m, t, n]
                    for j in range(n_units):
                        dc[j] += d[j]
                for j in range(n_units):
                    t_o[j] = dh[j] * s[j] * o[j] * (1 - o[j])
                for j in range(n_units):
                    dc[j] += dh[j] * o[j] * (1 - s[j] * s[j])
                for j in range(n_units):
                    t_i[j] = dc[j] * g[j] * i[j] * (1 - i[j])
                for j in range(n_units):
                    t_f[j] = dc[j] * past[j] * f[j] * (1 - f[j])
                for j in range(n_units):
                    t_g[j] = dc[j] * i[j] * (1 - g[j] * g[j])
                for j in range(n_units):
                    dc[j] = dc[j] * f[j]
                for j in range(n_units):
                    dh[j] = 0
            add_product(d_gates, v, d_h[m])
            if t % size == 0:
                part = slice(t, min(t + size, n_steps))
                add_to_weights(
                    block[: part.stop - t],
                    states[m, part],
                    x[which, part],
                    w,
                    of_w,
                    of_v,
                    d_b_ih[m],
                    d_x[which, part],
                )
        turn(of_w, d_w_ih[m])
        turn(of_v, d_w_hh[m])
        d_b_hh[m] = d_b_ih[m]


# -- what stands before and behind the layers


# -- one layer in one direction, of any cell


# -- as an operation of torch
