"""All compiled kernels under one name, imported where numba is there."""

from skrnn._kernels.adam import adam_step
from skrnn._kernels.autograd import FusedLayer, run_on_tensors
from skrnn._kernels.layers import go_back, run_layer
from skrnn._kernels.linear import linear_backward, linear_forward, standardize

__all__ = [
    "FusedLayer",
    "adam_step",
    "go_back",
    "linear_backward",
    "linear_forward",
    "run_layer",
    "run_on_tensors",
    "standardize",
]
