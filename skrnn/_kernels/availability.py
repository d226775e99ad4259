"""Where the compiled kernels can run: with numba, on a CPU, in float32 or float64."""

from __future__ import annotations

import logging
from functools import lru_cache
from importlib import import_module
from typing import Any

import torch

# False makes torch's own layers run everywhere, for tests and benchmarks.
ENABLED = True
DTYPES = (torch.float32, torch.float64)

logger = logging.getLogger("skrnn")


def compiled_kernels(device: torch.device, dtype: torch.dtype) -> Any:
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
def _import_kernels() -> Any:
    """Import the kernels on first use, since the import of numba is slow."""
    try:
        if import_module("numba").config.DISABLE_JIT:
            logger.info("torch's layers run, since NUMBA_DISABLE_JIT is set.")
            return None  # the matrix products cannot run as Python code
        return import_module("skrnn._kernels.interface")
    except ImportError as error:  # no numba for this interpreter, or a broken one
        logger.info("torch's layers run, since numba cannot be imported: %s.", error)
        return None
