"""What stands before and behind the recurrent layers: scaling, and the head."""

import numpy as np

from skrnn._kernels.compilation import compiled
from skrnn._kernels.products import (
    add_outer,
    add_product,
    add_rows,
    packed,
    packed_transpose,
    set_rows,
)


@compiled
def linear_forward(x, weight, bias):
    """Return `x @ weight.T + bias`: (N, F), (K, F) and (K,)."""
    out = np.empty((len(x), len(bias)), dtype=x.dtype)
    set_rows(out, bias)
    add_product(x, packed_transpose(weight), out)
    return out


@compiled
def linear_backward(x, weight, d_out, d_x, d_weight, d_bias):
    """Add to the gradients what `d_out`, (N, K), makes of them."""
    add_product(d_out, packed(weight), d_x)
    add_outer(d_out, x, d_weight)
    add_rows(d_out, d_bias)


@compiled(fastmath=False)  # to the last bit what torch would say
def standardize(values, mean, scale, out):
    """Fill `out`, (L, N, F), with standardised `values`, (N, L, F)."""
    for n in range(values.shape[0]):
        for t in range(values.shape[1]):
            for f in range(values.shape[2]):
                out[t, n, f] = (values[n, t, f] - mean[f]) / scale[f]
