"""A whole recurrent layer as one operation: compiled loops, a backward pass by hand.

torch records every step of a recurrence and has a dozen small operations in each, whose
fixed costs outweigh the arithmetic of small networks. Here the products with the input
are one product for all steps, the loop over steps is compiled by numba, and so is the
way back. What it needs of torch is the large products before and after the loop.

Legend of shapes: N rows, L steps, F features, H hidden units, G gates. Time is the
first axis.
"""

from functools import wraps

import numpy as np
import torch
from numba import njit
from numba.extending import overload

# Sums may be taken in another order, which is what lets loops use vectors. NaN and
# infinity keep their meaning: they tell that training has gone wrong.
COMPILED = {
    "fastmath": {"contract", "reassoc", "nsz", "arcp"},
    "error_model": "numpy",
    "cache": True,
    "nogil": True,
}


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


@njit(inline="always", **COMPILED)
def add_product(a, b, out):
    """Add `a @ b` to `out`: (N, K), (K, J) and (N, J), all contiguous.

    Four rows and four terms at a time, so that what is loaded is used sixteen times.
    """
    n_rows, n_terms = a.shape
    n_cols = b.shape[1]
    rows, terms = n_rows - n_rows % 4, n_terms - n_terms % 4
    for n in range(0, rows, 4):
        o0, o1, o2, o3 = out[n], out[n + 1], out[n + 2], out[n + 3]
        r0, r1, r2, r3 = a[n], a[n + 1], a[n + 2], a[n + 3]
        for k in range(0, terms, 4):
            b0, b1, b2, b3 = b[k], b[k + 1], b[k + 2], b[k + 3]
            p0, p1, p2, p3 = r0[k], r0[k + 1], r0[k + 2], r0[k + 3]
            q0, q1, q2, q3 = r1[k], r1[k + 1], r1[k + 2], r1[k + 3]
            s0, s1, s2, s3 = r2[k], r2[k + 1], r2[k + 2], r2[k + 3]
            t0, t1, t2, t3 = r3[k], r3[k + 1], r3[k + 2], r3[k + 3]
            for j in range(n_cols):
                x0, x1, x2, x3 = b0[j], b1[j], b2[j], b3[j]
                o0[j] += p0 * x0 + p1 * x1 + p2 * x2 + p3 * x3
                o1[j] += q0 * x0 + q1 * x1 + q2 * x2 + q3 * x3
                o2[j] += s0 * x0 + s1 * x1 + s2 * x2 + s3 * x3
                o3[j] += t0 * x0 + t1 * x1 + t2 * x2 + t3 * x3
        for k in range(terms, n_terms):
            b0, p0, q0, s0, t0 = b[k], r0[k], r1[k], r2[k], r3[k]
            for j in range(n_cols):
                o0[j] += p0 * b0[j]
                o1[j] += q0 * b0[j]
                o2[j] += s0 * b0[j]
                o3[j] += t0 * b0[j]
    for n in range(rows, n_rows):
        o0, r0 = out[n], a[n]
        for k in range(n_terms):
            b0, p0 = b[k], r0[k]
            for j in range(n_cols):
                o0[j] += p0 * b0[j]


# -- nn.RNN: h_t = tanh(x_t W' + b + h_{t-1} V'), or max(0, ...)


@njit(**COMPILED)
def rnn_forward(out, h_0, v_t, relu):
    """Turn `out`, what the input gives each step `(L, N, H)`, into the states."""
    n_steps, n_rows, n_units = out.shape
    before, zero = h_0, out.dtype.type(0)
    for t in range(n_steps):
        add_product(before, v_t, out[t])
        for n in range(n_rows):
            h = out[t, n]
            if relu:
                for j in range(n_units):
                    h[j] = zero if h[j] < 0 else h[j]  # NaN stays NaN
            else:
                for j in range(n_units):
                    h[j] = tanh(h[j])
        before = out[t]


@njit(**COMPILED)
def rnn_backward(d_out, has_d_out, out, v, relu, d_a, d_h):
    """Fill `d_a` `(L, N, H)`; `d_h` is the gradient of the last state, then of h_0."""
    n_steps, n_rows, n_units = out.shape
    zero = out.dtype.type(0)
    for t in range(n_steps - 1, -1, -1):
        for n in range(n_rows):
            h, g, a = out[t, n], d_h[n], d_a[t, n]
            if has_d_out:
                d = d_out[t, n]
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
        add_product(d_a[t], v, d_h)


# -- nn.GRU: gates r, z, n; h_t = n + z (h_{t-1} - n)


@njit(**COMPILED)
def gru_forward(gates, h_0, v_t, bias_n, out, candidate):
    """Turn `gates`, what the input gives `(L, N, 3 H)`, into r, z and n.

    `candidate` gets what the state gives n before r is applied, `(L, N, H)`.
    """
    n_steps, n_rows, n_units = out.shape
    given = np.empty((n_rows, 3 * n_units), dtype=out.dtype)
    before = h_0
    for t in range(n_steps):
        for n in range(n_rows):
            from_state = given[n]
            for j in range(2 * n_units):
                from_state[j] = 0
            for j in range(n_units):
                from_state[2 * n_units + j] = bias_n[j]
        add_product(before, v_t, given)
        for n in range(n_rows):
            x, s, h, past = gates[t, n], given[n], out[t, n], before[n]
            c = candidate[t, n]
            x_r, x_z, x_n = x[:n_units], x[n_units : 2 * n_units], x[2 * n_units :]
            s_r, s_z, s_n = s[:n_units], s[n_units : 2 * n_units], s[2 * n_units :]
            half = out.dtype.type(0.5)
            for j in range(n_units):
                x_r[j] = half + half * tanh(half * (x_r[j] + s_r[j]))
            for j in range(n_units):
                x_z[j] = half + half * tanh(half * (x_z[j] + s_z[j]))
            for j in range(n_units):
                c[j] = s_n[j]
                x_n[j] = tanh(x_n[j] + x_r[j] * s_n[j])
            for j in range(n_units):
                h[j] = x_n[j] + x_z[j] * (past[j] - x_n[j])
        before = out[t]


@njit(**COMPILED)
def gru_backward(d_out, has_d_out, gates, candidate, out, h_0, v, d_x, d_s, d_h):
    """Fill the gradients of what the input and the state give, `(L, N, 3 H)` each."""
    n_steps, n_rows, n_units = out.shape
    for t in range(n_steps - 1, -1, -1):
        before = out[t - 1] if t > 0 else h_0
        for n in range(n_rows):
            g, past, c = d_h[n], before[n], candidate[t, n]
            gate, to_x, to_s = gates[t, n], d_x[t, n], d_s[t, n]
            r, z, new = gate[:n_units], gate[n_units : 2 * n_units], gate[2 * n_units :]
            x_r, x_z, x_n = (
                to_x[:n_units],
                to_x[n_units : 2 * n_units],
                to_x[2 * n_units :],
            )
            s_n = to_s[2 * n_units :]
            if has_d_out:
                d = d_out[t, n]
                for j in range(n_units):
                    g[j] += d[j]
            # In several loops: vectors want few arrays that might overlap.
            for j in range(n_units):
                x_z[j] = g[j] * (past[j] - new[j]) * z[j] * (1 - z[j])
            for j in range(n_units):
                x_n[j] = g[j] * (1 - z[j]) * (1 - new[j] * new[j])
            for j in range(n_units):
                x_r[j] = x_n[j] * c[j] * r[j] * (1 - r[j])
            for j in range(2 * n_units):
                to_s[j] = to_x[j]
            for j in range(n_units):
                s_n[j] = x_n[j] * r[j]
            for j in range(n_units):
                g[j] = g[j] * z[j]
        add_product(d_s[t], v, d_h)


# -- nn.LSTM: gates i, f, g, o; c_t = f c_{t-1} + i g, h_t = o tanh(c_t)


@njit(**COMPILED)
def lstm_forward(gates, h_0, c_0, v_t, out, cells, squashed):
    """Turn `gates`, what the input gives `(L, N, 4 H)`, into i, f, g and o.

    `cells` gets c and `squashed` its tanh, `(L, N, H)` each.
    """
    n_steps, n_rows, n_units = out.shape
    before, cell = h_0, c_0
    for t in range(n_steps):
        add_product(before, v_t, gates[t])
        for n in range(n_rows):
            x, h, now, s = gates[t, n], out[t, n], cells[t, n], squashed[t, n]
            past = cell[n]
            i_f, g, o = x[: 2 * n_units], x[2 * n_units : 3 * n_units], x[3 * n_units :]
            i, f = i_f[:n_units], i_f[n_units:]
            half = out.dtype.type(0.5)
            for j in range(2 * n_units):
                i_f[j] = half + half * tanh(half * i_f[j])
            for j in range(n_units):
                g[j] = tanh(g[j])
            for j in range(n_units):
                o[j] = half + half * tanh(half * o[j])
            for j in range(n_units):
                now[j] = f[j] * past[j] + i[j] * g[j]
            for j in range(n_units):
                s[j] = tanh(now[j])
                h[j] = o[j] * s[j]
        before, cell = out[t], cells[t]


@njit(**COMPILED)
def lstm_backward(
    d_out,
    has_d_out,
    d_cells,
    has_d_cells,
    gates,
    cells,
    squashed,
    c_0,
    v,
    d_x,
    d_h,
    d_c,
):
    """Fill the gradients of what the input and the state give, `(L, N, 4 H)`."""
    n_steps, n_rows, n_units = cells.shape
    for t in range(n_steps - 1, -1, -1):
        before = cells[t - 1] if t > 0 else c_0
        for n in range(n_rows):
            dh, dc, past, s = d_h[n], d_c[n], before[n], squashed[t, n]
            gate, to = gates[t, n], d_x[t, n]
            i, f = gate[:n_units], gate[n_units : 2 * n_units]
            g, o = gate[2 * n_units : 3 * n_units], gate[3 * n_units :]
            t_i, t_f = to[:n_units], to[n_units : 2 * n_units]
            t_g, t_o = to[2 * n_units : 3 * n_units], to[3 * n_units :]
            if has_d_out:
                d = d_out[t, n]
                for j in range(n_units):
                    dh[j] += d[j]
            if has_d_cells:
                d = d_cells[t, n]
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
        add_product(d_x[t], v, d_h)


# -- as operations of torch


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


def _input_products(x, weight_ih, bias, out=None):
    """Return what the input gives every step, `(L, N, G * H)`, as one product."""
    n_steps, n_rows, _ = x.shape
    if out is None:
        out = x.new_empty(n_steps, n_rows, len(bias))
    flat = out.view(n_steps * n_rows, -1)
    torch.addmm(bias, x.reshape(n_steps * n_rows, -1), weight_ih.t(), out=flat)
    return out


def _gradients(ctx, x, weight_ih, states, d_x, d_s, d_bias_hh=None):
    """Return the gradients of x and the four weights from those of the products.

    `states` are those before each step, `(L, N, H)`.
    """
    n = d_x.shape[0] * d_x.shape[1]
    flat_x, flat_s = d_x.reshape(n, -1), d_s.reshape(n, -1)
    needs = ctx.needs_input_grad
    of_input = None
    if needs[0] and x.shape[2] >= 16:
        of_input = (flat_x @ weight_ih).view_as(x)
    elif needs[0]:  # turned over: a product whose right side has few columns is slow
        of_input = (weight_ih.t() @ flat_x.t()).t().reshape(x.shape)
    of_ih = (x.reshape(n, -1).t() @ flat_x).t() if needs[1] else None
    of_hh = (states.reshape(n, -1).t() @ flat_s).t() if needs[2] else None
    of_bias = flat_x.sum(dim=0) if needs[3] or needs[4] else None
    of_bias_hh = of_bias
    if d_s is not d_x and of_bias is not None:
        of_bias_hh = flat_s.sum(dim=0)
    return of_input, of_ih, of_hh, of_bias, of_bias_hh


def _states(h_0, n_steps):
    """Return room for h_0 and the states after it, `(L + 1, N, H)`."""
    states = h_0.new_empty(n_steps + 1, *h_0.shape)
    states[0] = h_0
    return states


def _contiguous(gradient, like):
    """Return `(array, whether there is one)` for a gradient that may be None."""
    if gradient is None:
        return like.numpy(), False
    return gradient.contiguous().numpy(), True


def _or_zeros(gradient, like):
    if gradient is None:
        return torch.zeros_like(like)
    return gradient.clone(memory_format=torch.contiguous_format)


class FusedRNN(torch.autograd.Function):
    """`nn.RNN`: x `(L, N, F)`, its four weights and h_0 to (output, h_n)."""

    @staticmethod
    def forward(ctx, x, weight_ih, weight_hh, bias_ih, bias_hh, h_0, relu):
        """Run all steps."""
        states = _states(h_0, len(x))
        out = _input_products(x, weight_ih, bias_ih + bias_hh, states[1:])
        v_t = weight_hh.t().contiguous()
        rnn_forward(out.numpy(), h_0.numpy(), v_t.numpy(), relu)
        ctx.save_for_backward(x, weight_ih, weight_hh, states)
        ctx.relu = relu
        ctx.set_materialize_grads(False)
        return out, out[-1].clone()

    @staticmethod
    @of_first_order
    def backward(ctx, d_out, d_last):
        """Go back through all steps."""
        x, weight_ih, weight_hh, states = ctx.saved_tensors
        out = states[1:]
        d_a, d_h = torch.empty_like(out), _or_zeros(d_last, states[0])
        rnn_backward(
            *_contiguous(d_out, out),
            out.numpy(),
            weight_hh.contiguous().numpy(),
            ctx.relu,
            d_a.numpy(),
            d_h.numpy(),
        )
        return *_gradients(ctx, x, weight_ih, states[:-1], d_a, d_a), d_h, None


class FusedGRU(torch.autograd.Function):
    """`nn.GRU`: x `(L, N, F)`, its four weights and h_0 to (output, h_n)."""

    @staticmethod
    def forward(ctx, x, weight_ih, weight_hh, bias_ih, bias_hh, h_0):
        """Run all steps."""
        n_units = weight_hh.shape[1]
        bias = bias_ih.clone()
        bias[: 2 * n_units] += bias_hh[: 2 * n_units]
        gates = _input_products(x, weight_ih, bias)
        states = _states(h_0, len(x))
        out = states[1:]
        candidate = torch.empty_like(out)
        gru_forward(
            gates.numpy(),
            h_0.numpy(),
            weight_hh.t().contiguous().numpy(),
            bias_hh[2 * n_units :].contiguous().numpy(),
            out.numpy(),
            candidate.numpy(),
        )
        ctx.save_for_backward(x, weight_ih, weight_hh, states, gates, candidate)
        ctx.set_materialize_grads(False)
        return out, out[-1].clone()

    @staticmethod
    @of_first_order
    def backward(ctx, d_out, d_last):
        """Go back through all steps."""
        x, weight_ih, weight_hh, states, gates, candidate = ctx.saved_tensors
        out, h_0 = states[1:], states[0]
        d_x, d_s = torch.empty_like(gates), torch.empty_like(gates)
        d_h = _or_zeros(d_last, h_0)
        gru_backward(
            *_contiguous(d_out, out),
            gates.numpy(),
            candidate.numpy(),
            out.numpy(),
            h_0.numpy(),
            weight_hh.contiguous().numpy(),
            d_x.numpy(),
            d_s.numpy(),
            d_h.numpy(),
        )
        return *_gradients(ctx, x, weight_ih, states[:-1], d_x, d_s), d_h


class FusedLSTM(torch.autograd.Function):
    """`nn.LSTM`: x `(L, N, F)`, weights, h_0 and c_0 to (output, h_n, cells).

    `cells` holds c after every step, which torch does not tell.
    """

    @staticmethod
    def forward(ctx, x, weight_ih, weight_hh, bias_ih, bias_hh, h_0, c_0):
        """Run all steps."""
        gates = _input_products(x, weight_ih, bias_ih + bias_hh)
        states = _states(h_0, len(x))
        out = states[1:]
        cells, squashed = torch.empty_like(out), torch.empty_like(out)
        lstm_forward(
            gates.numpy(),
            h_0.numpy(),
            c_0.numpy(),
            weight_hh.t().contiguous().numpy(),
            out.numpy(),
            cells.numpy(),
            squashed.numpy(),
        )
        ctx.save_for_backward(
            x, weight_ih, weight_hh, states, c_0, gates, cells, squashed
        )
        ctx.set_materialize_grads(False)
        return out, out[-1].clone(), cells

    @staticmethod
    @of_first_order
    def backward(ctx, d_out, d_last, d_cells):
        """Go back through all steps."""
        x, weight_ih, weight_hh, states, c_0, gates, cells, squashed = ctx.saved_tensors
        out = states[1:]
        d_x = torch.empty_like(gates)
        d_h, d_c = _or_zeros(d_last, states[0]), torch.zeros_like(c_0)
        lstm_backward(
            *_contiguous(d_out, out),
            *_contiguous(d_cells, cells),
            gates.numpy(),
            cells.numpy(),
            squashed.numpy(),
            c_0.numpy(),
            weight_hh.contiguous().numpy(),
            d_x.numpy(),
            d_h.numpy(),
            d_c.numpy(),
        )
        return *_gradients(ctx, x, weight_ih, states[:-1], d_x, d_x), d_h, d_c


LAYERS = {"rnn": FusedRNN, "gru": FusedGRU, "lstm": FusedLSTM}
