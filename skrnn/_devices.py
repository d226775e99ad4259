"""Where computation runs: the device, and the number of threads."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch

# Intra-op threads of a multi-threaded parent do not survive a fork: a child that
# asks for more than one waits for them forever.
_IMPORTING_PROCESS = os.getpid()

# A new thread starts with the number that any thread set last. While there are limits
# it is not the user's number, which is the one that the first of them found.
_lock = threading.Lock()
_limits: dict[str, Any] = {"count": 0, "found": None}
_thread = threading.local()  # `is_known` in threads whose number is their own


def _forget_other_threads() -> None:
    global _lock
    _lock = threading.Lock()
    _limits["count"] = 0


if hasattr(os, "register_at_fork"):  # not everywhere
    os.register_at_fork(after_in_child=_forget_other_threads)


def resolve_device(device: str | torch.device) -> torch.device:
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
def limited_threads(n_jobs: int | None) -> Iterator[None]:
    """Run the body with `n_jobs` intra-op threads, and restore the number afterwards.

    Parameters
    ----------
    n_jobs : int or None
        None is 1: on a busy machine a second thread that must be waited for makes
        small fits many times slower, and results differ between numbers of threads.
        Negative numbers count from all cores, -1, downwards.
    """
    wanted = 1 if n_jobs is None else n_jobs
    if wanted < 0:
        wanted = max(1, _count_cores() + 1 + wanted)
    if os.getpid() != _IMPORTING_PROCESS:
        wanted = 1
    before = None
    try:
        with _lock:
            before = _enter_limit()
        if wanted != torch.get_num_threads():
            torch.set_num_threads(wanted)
        yield
    finally:
        if before is not None:
            with _lock:  # no call but the last, where Ctrl-C could be noticed
                _limits["count"] -= 1
                torch.set_num_threads(before)


def _enter_limit() -> int:
    """Count one more limit, and return the number of threads to be restored."""
    before = torch.get_num_threads()
    if _limits["count"] <= 0:
        _limits["found"] = before
    elif not hasattr(_thread, "is_known"):
        before = _limits["found"]
    _thread.is_known = True
    _limits["count"] += 1
    return before


def _count_cores() -> int:
    """Count the cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):  # not everywhere
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def numpy_dtype(dtype: torch.dtype) -> np.dtype[Any]:
    """Return the numpy dtype of a floating torch dtype."""
    return np.dtype(np.float32 if dtype == torch.float32 else np.float64)
