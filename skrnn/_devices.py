"""Where computation runs: the device, and the number of threads."""

import os
from contextlib import contextmanager

import numpy as np
import torch

# Intra-op threads of a multi-threaded parent do not survive a fork: a child that
# asks for more than one waits for them forever.
_IMPORTING_PROCESS = os.getpid()


def resolve_device(device):
    """Return the torch device that the 'device' parameter names.

    Raises
    ------
    ValueError
        If torch does not know the device, or this machine does not have it.
    """
    if isinstance(device, str) and device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        resolved = torch.device(device)
        torch.zeros((), device=resolved).item()
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        reason = str(error).splitlines()[0]
        raise ValueError(
            "The 'device' parameter must name a device of this machine. Got "
            f"{str(device)!r} ({reason}). Use 'cpu', or 'auto' for a GPU if there is "
            "one."
        ) from error
    return resolved


@contextmanager
def limited_threads(n_jobs):
    """Run the body with `n_jobs` intra-op threads, and restore the number afterwards.

    Parameters
    ----------
    n_jobs : int or None
        None is 1: on a busy machine a second thread that must be waited for makes
        small fits many times slower, and results differ between numbers of threads.
        Negative numbers count from all cores, -1, downwards.
    """
    n_cores = _count_cores()
    wanted = 1 if n_jobs is None else n_jobs
    if wanted < 0:
        wanted = max(1, n_cores + 1 + wanted)
    if os.getpid() != _IMPORTING_PROCESS:
        wanted = 1
    before = torch.get_num_threads()
    if wanted == before:
        yield
        return
    torch.set_num_threads(wanted)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _count_cores():
    """Count the cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):  # not everywhere
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def numpy_dtype(dtype):
    """Return the numpy dtype of a floating torch dtype."""
    return np.dtype(np.float32 if dtype == torch.float32 else np.float64)
