"""The compiled kernels that other packages use; its import needs numba."""

from skrnn._kernels.adam import adam_step
from skrnn._kernels.autograd import CompiledLayer, run_layer_on_tensors
from skrnn._kernels.layers import layer_backward, layer_forward
from skrnn._kernels.linear import linear_backward, linear_forward, standardize

__all__ = [
    "CompiledLayer",
    "adam_step",
    "layer_backward",
    "layer_forward",
    "linear_backward",
    "linear_forward",
    "run_layer_on_tensors",
    "standardize",
]
