"""The linear head, and the standardisation of the input."""

import numpy as np

from skrnn._kernels.compilation import compiled
from skrnn._kernels.products import (
    add_column_sums,
    add_matmul,
    add_transposed_matmul,
    fill_rows,
    pack,
    pack_transpose,
)


@compiled
def linear_forward(x, weight, bias):
    """Return `x @ weight.T + bias`, of shapes (N, F), (K, F) and (K,)."""
    out = np.empty((len(x), len(bias)), dtype=x.dtype)
    fill_rows(out, bias)
    add_matmul(x, pack_transpose(weight), out)
    return out


@compiled
def linear_backward(x, weight, grad_output, grad_input, grad_weight, grad_bias):
    """Add to the gradients their share of `grad_output`, of shape (N, K)."""
    add_matmul(grad_output, pack(weight), grad_input)
    add_transposed_matmul(grad_output, x, grad_weight)
    add_column_sums(grad_output, grad_bias)


@compiled(fastmath=False)  # bit for bit as torch divides, in prediction
def standardize(values, mean, scale, out):
    """Fill `out`, (L, N, F), with standardised `values`, (N, L, F)."""
    for n in range(values.shape[0]):
        for t in range(values.shape[1]):
            for f in range(values.shape[2]):
                out[t, n, f] = (values[n, t, f] - mean[f]) / scale[f]
