"""Whether compiled kernels can run: numba is there, on a CPU, in a known precision."""

import warnings
from functools import lru_cache
from importlib import import_module

import torch

# Whether compiled kernels run where they can; tests turn it off.
ENABLED = True
DTYPES = (torch.float32, torch.float64)


def compiled_kernels(device, dtype):
    """Return the module of compiled kernels, None where torch's own layers run.

    Parameters
    ----------
    device : torch device
        Where the network is.

    dtype : torch dtype
        Of its parameters.

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
    """Import the kernels on first use: importing numba takes a while."""
    try:
        kernels = import_module("skrnn._kernels.interface")
        if import_module("numba").config.DISABLE_JIT:
            return None  # the tiles of matrix products cannot run as Python
    except ImportError:  # numba is optional
        return None
    except RuntimeError as error:  # numba found no folder for its cache
        warnings.warn(
            "Training uses torch's own layers, since the compiled ones could not be "
            f"loaded ({error}). Set NUMBA_CACHE_DIR to a folder that can be written.",
            RuntimeWarning,
            stacklevel=2,
        )
        return None
    return kernels
