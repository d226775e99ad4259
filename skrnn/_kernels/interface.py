"""The compiled kernels that other packages use; its import needs numba."""

from skrnn._kernels import output  # declares operations
from skrnn._kernels.autograd import CompiledLayer, run_layer_on_tensors
from skrnn._kernels.losses import LOSSES
from skrnn._kernels.operations import Program
from skrnn._kernels.reading import WINDOW_NORMS
from skrnn._kernels.recurrent import GIVEN, LEARNED, ZEROS

__all__ = [
    "GIVEN",
    "LEARNED",
    "LOSSES",
    "WINDOW_NORMS",
    "ZEROS",
    "CompiledLayer",
    "Program",
    "output",
    "run_layer_on_tensors",
]
