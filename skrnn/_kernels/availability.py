"""Where the compiled kernels can run: with numba, on a CPU, in float32 or float64."""

from functools import lru_cache
from importlib import import_module

import torch

from skrnn._warnings import warn_user

# False makes torch's own layers run everywhere, for tests and benchmarks.
ENABLED = True
DTYPES = (torch.float32, torch.float64)


def compiled_kernels(device, dtype):
    """Return the module of compiled kernels, or None where torch's layers run instead.

    Parameters
    ----------
    device : torch device
        Device of the network.

    dtype : torch dtype
        Dtype of its parameters.

    Returns
    -------
    kernels : module or None
        `skrnn._kernels.interface`.
    """
    if not ENABLED or device.type != "cpu" or dtype not in DTYPES:
        return None
    return _import_kernels()


@lru_cache(maxsize=1)
def _import_kernels():
    """Import the kernels on first use, since the import of numba is slow."""
    try:
        kernels = import_module("skrnn._kernels.interface")
        if import_module("numba").config.DISABLE_JIT:
            return None  # the matrix products cannot run as Python code
    except ImportError:  # numba is optional
        return None
    except RuntimeError as error:  # numba found no writable folder for its cache
        warn_user(
            "Training uses torch's own layers, since the compiled ones could not be "
            f"loaded ({error}). Set NUMBA_CACHE_DIR to a folder that can be written.",
            RuntimeWarning,
        )
        return None
    return kernels
