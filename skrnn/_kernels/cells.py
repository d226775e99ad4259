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

from dataclasses import dataclass
from functools import wraps

import numpy as np
import torch
from numba import njit
from numba.extending import overload

from skrnn._kernels.products import (
    COMPILED,
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

# The checksum of _products.py. numba looks at the date of this file alone to tell
# whether what it has compiled is up to date, and products are a part of that.
PRODUCTS = "37fcd6ab"

# Gradients of this many bytes wait for each other before they reach the weights'
# gradient, which, large as it may be, is then read and written once for many rows.
BLOCK_BYTES = 2**19


# -- arithmetic


def tanh(x):
    """Return the hyperbolic tangent, in arithmetic that loops can do in vectors."""
    return np.tanh(x)


@overload(tanh)
def _tanh(x):
    """Choose by precision.

    float32: the quotient of two polynomials of Eigen's `ptanh`, exact to 3e-7.
    float64: Cody and Waite's quotient (as in Cephes' `tanh.c`) of a thirty-second of x,
    and five times the formula of the double argument, exact to a few units in the last
    place.
    """
    if x.bitwidth == 32:
        top = np.float32(7.90531110763549805)
        p = tuple(
            np.float32(c)
            for c in (
                -2.76076847742355e-16,
                2.00018790482477e-13,
                -8.60467152213735e-11,
                5.12229709037114e-08,
                1.48572235717979e-05,
                6.37261928875436e-04,
                4.89352455891786e-03,
            )
        )
        q = tuple(
            np.float32(c)
            for c in (
                1.19825839466702e-06,
                1.18534705686654e-04,
                2.26843463243900e-03,
                4.89352518554385e-03,
            )
        )

        def impl(x):
            # In this order NaN stays NaN.
            x = top if x > top else (-top if x < -top else x)
            s = x * x
            above = p[0] * s + p[1]
            above = above * s + p[2]
            above = above * s + p[3]
            above = above * s + p[4]
            above = above * s + p[5]
            above = above * s + p[6]
            below = q[0] * s + q[1]
            below = below * s + q[2]
            below = below * s + q[3]
            return x * above / below

        return impl

    def impl(x):
        x = 20.0 if x > 20.0 else (-20.0 if x < -20.0 else x)
        y = x / 32
        s = y * y
        above = (-9.64399179425052238628e-1 * s - 9.92877231001918586564e1) * s
        above -= 1.61468768441708447952e3
        below = (s + 1.12811678491632931402e2) * s + 2.23548839060100448583e3
        below = below * s + 4.84406305325125486048e3
        t = y + y * s * above / below
        t = 2 * t / (1 + t * t)
        t = 2 * t / (1 + t * t)
        t = 2 * t / (1 + t * t)
        t = 2 * t / (1 + t * t)
        return 2 * t / (1 + t * t)

    return impl


@njit(**COMPILED)
def steps_at_once(n_steps, n_rows, row_bytes, weight):
    """Return for how many steps gradients wait until they reach that of `weight`."""
    room = max(BLOCK_BYTES, weight.nbytes // 2)
    return max(1, min(n_steps, room // (n_rows * row_bytes)))


@njit(**COMPILED)
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


@njit(**COMPILED)
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


@njit(**COMPILED)
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


@njit(**COMPILED)
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


@njit(**COMPILED)
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


@njit(**COMPILED)
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


@njit(**COMPILED)
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


@njit(**COMPILED)
def linear_forward(x, weight, bias):
    """Return `x @ weight.T + bias`: (N, F), (K, F) and (K,)."""
    out = np.empty((len(x), len(bias)), dtype=x.dtype)
    set_rows(out, bias)
    add_product(x, packed_transpose(weight), out)
    return out


@njit(**COMPILED)
def linear_backward(x, weight, d_out, d_x, d_weight, d_bias):
    """Add to the gradients what `d_out`, (N, K), makes of them."""
    add_product(d_out, packed(weight), d_x)
    add_outer(d_out, x, d_weight)
    add_rows(d_out, d_bias)


@njit(**COMPILED | {"fastmath": False})  # to the last bit what torch would say
def standardize(values, mean, scale, out):
    """Fill `out`, (L, N, F), with standardised `values`, (N, L, F)."""
    for n in range(values.shape[0]):
        for t in range(values.shape[1]):
            for f in range(values.shape[2]):
                out[t, n, f] = (values[n, t, f] - mean[f]) / scale[f]


# -- one layer in one direction, of any cell


@dataclass
class Run:
    """What a run of a layer found, all that the way back needs.

    Arrays have the axes (M, L, N, ...), `states` and `cells` a step more in front.
    """

    cell_type: str
    relu: bool
    x: np.ndarray
    weights: list
    states: np.ndarray
    cells: np.ndarray | None  # of an LSTM
    kept: tuple  # of a GRU gates and candidates, of an LSTM gates and tanh of cells


def run_layer(cell_type, relu, x, weights, state, empty=np.empty, keep=True):
    """Run a layer over all steps.

    Parameters
    ----------
    cell_type : {'rnn', 'gru', 'lstm'}
        Which cell.

    relu : bool
        Whether an 'rnn' has that in place of tanh.

    x : ndarray of shape (M, L, N, F) or (1, L, N, F)
        The rows of each model, or those of all.

    weights : list of 4 ndarrays
        `(M, G * H, F)`, `(M, G * H, H)`, and twice `(M, G * H)`.

    state : tuple of ndarrays of shape (M, N, H)
        To start from: (h,), of an LSTM (h, c).

    empty : callable, default=numpy.empty
        Gives memory for a shape and a dtype.

    keep : bool, default=True
        Whether the way back is wanted.

    Returns
    -------
    run : Run
    """
    x = np.ascontiguousarray(x)
    weights = [np.ascontiguousarray(w) for w in weights]
    (n_models, n_rows, n_units), n_steps, dtype = state[0].shape, x.shape[1], x.dtype
    states = empty((n_models, n_steps + 1, n_rows, n_units), dtype)
    states[:, 0] = state[0]
    cells, kept = None, ()
    if cell_type == "rnn":
        rnn_forward(x, *weights, relu, states)
        return Run(cell_type, relu, x, weights, states, cells, kept)
    size = (n_models, n_steps if keep else 1, n_rows, len(weights[0][0]))
    kept = empty(size, dtype), empty((*size[:3], n_units), dtype)
    if cell_type == "gru":
        gru_forward(x, *weights, states, *kept)
    else:
        cells = empty(states.shape, dtype)
        cells[:, 0] = state[1]
        lstm_forward(x, *weights, states, cells, *kept)
    return Run(cell_type, relu, x, weights, states, cells, kept)


def go_back(run, d_out, d_state, d_cells=None, *, d_x=False, into=None):
    """Return the gradients of a layer from those of what it found.

    Parameters
    ----------
    run : Run
        What `run_layer` returned.

    d_out : ndarray of shape (M, L, N, H) or None
        Of the states of all steps.

    d_state : list of contiguous ndarrays of shape (M, N, H)
        Of the last state, for each part; they become those of the first.

    d_cells : ndarray of shape (M, L, N, H), default=None
        Of the cells of all steps.

    d_x : bool, default=False
        Whether the gradient of x is wanted.

    into : list of 4 contiguous ndarrays, default=None
        Where the gradients of the weights go.

    Returns
    -------
    d_x : ndarray in the shape of x, or None

    d_weights : list of 4 ndarrays
    """
    n_models, _, n_rows, n_units = run.states.shape
    none = np.empty((n_models, 0, n_rows, n_units), run.states.dtype)
    d_out = none if d_out is None else np.ascontiguousarray(d_out)
    if into is None:
        into = [np.empty_like(w) for w in run.weights]
    of_x = np.zeros(run.x.shape if d_x else (len(run.x), 0, 1, 1), run.x.dtype)
    matrices = run.weights[:2]
    if run.cell_type == "rnn":
        rnn_backward(
            run.x, *matrices, run.relu, run.states, d_out, *d_state, of_x, *into
        )
    elif run.cell_type == "gru":
        gru_backward(
            run.x, *matrices, run.states, *run.kept, d_out, *d_state, of_x, *into
        )
    else:
        d_cells = none if d_cells is None else np.ascontiguousarray(d_cells)
        lstm_backward(
            run.x,
            *matrices,
            run.states,
            run.cells,
            *run.kept,
            d_out,
            d_cells,
            *d_state,
            of_x,
            *into,
        )
    return of_x if d_x else None, into


# -- as an operation of torch


def of_first_order(backward):
    """Refuse gradients of gradients, which would silently lack a part."""

    @wraps(backward)
    def checked(ctx, *gradients):
        if torch.is_grad_enabled():  # the backward pass itself is to be recorded
            raise RuntimeError(
                "The compiled recurrence has no second derivative. Uninstall numba "
                "to train through torch's own layers, which have one."
            )
        return backward(ctx, *gradients)

    return checked


def run_on_tensors(cell_type, relu, x, *weights_and_state):
    """Do what `FusedLayer` does, without a word to torch if nothing is recorded."""
    if torch.is_grad_enabled():
        return FusedLayer.apply(cell_type, relu, x, *weights_and_state)
    x, *arrays = (tensor.numpy()[None] for tensor in (x, *weights_and_state))
    run = run_layer(cell_type, relu, x, arrays[:4], arrays[4:], keep=False)
    output = torch.from_numpy(run.states[0, 1:])
    if run.cells is None:
        return output, output[-1]
    return output, output[-1], torch.from_numpy(run.cells[0, 1:])


class FusedLayer(torch.autograd.Function):
    """A layer in one direction, or M of them as one.

    Takes x `(L, N, F)`, its four weights and the state to start from, and gives
    (output, h_n), of an LSTM (output, h_n, cells): c after every step, which torch does
    not tell. With a leading axis of models, everything has it; x may have one of
    length 1, for the same rows in all models.
    """

    @staticmethod
    def forward(ctx, cell_type, relu, x, *weights_and_state):
        """Run all steps."""
        ctx.one = x.ndim == 3
        arrays = [tensor.detach().numpy() for tensor in (x, *weights_and_state)]
        if ctx.one:
            arrays = [array[None] for array in arrays]
        run = run_layer(cell_type, relu, arrays[0], arrays[1:5], tuple(arrays[5:]))
        steps = 0 if ctx.one else 1
        whole = [
            torch.from_numpy(array[0] if ctx.one else array)
            for array in (run.states, run.cells)
            if array is not None
        ]
        ctx.run = run
        # What torch knows of, it can tell if somebody changes it in between.
        ctx.save_for_backward(x, *weights_and_state, *whole)
        ctx.set_materialize_grads(False)
        output, *cells = (
            part.narrow(steps, 1, part.shape[steps] - 1) for part in whole
        )
        return output, output.select(steps, -1).clone(), *cells

    @staticmethod
    @of_first_order
    def backward(ctx, d_out, d_last, d_cells=None):
        """Go back through all steps."""
        _ = ctx.saved_tensors  # refuses if one of them has been changed
        run, needs = ctx.run, ctx.needs_input_grad
        d_out, d_last, d_cells = (
            None if d is None else (d.numpy()[None] if ctx.one else d.numpy())
            for d in (d_out, d_last, d_cells)
        )
        first = run.states[:, 0]
        d_state = [np.zeros_like(first) if d_last is None else d_last.copy()]
        if run.cells is not None:
            d_state.append(np.zeros_like(first))
        d_x, d_weights = go_back(run, d_out, d_state, d_cells, d_x=needs[2])
        gradients = [
            torch.from_numpy(d[0] if ctx.one else d) if needed else None
            for d, needed in zip((d_x, *d_weights, *d_state), needs[2:], strict=True)
        ]
        return None, None, *gradients
