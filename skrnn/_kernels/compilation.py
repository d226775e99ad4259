"""The options that all kernels are compiled with, and when numba's cache is stale."""

from pathlib import Path
from zlib import crc32

from numba import njit

# Sums may be reordered, which allows LLVM to vectorise them. NaN and infinity keep
# their meaning, since they show that training has diverged.
OPTIONS = {
    "fastmath": {"contract", "reassoc", "nsz", "arcp"},
    "error_model": "numpy",
    "cache": True,
    "nogil": True,
}

# numba's cache notices a change of a function's own file only, not of functions in
# other files that it calls. So each cached name ends with a checksum of all kernels.
_SOURCES = sorted(Path(__file__).parent.glob("*.py"))
_CHECKSUM = f"{crc32(b''.join(path.read_bytes() for path in _SOURCES)):08x}"


# Of functions that only compiled functions call: a wrapper for calls from Python would
# take longer to compile than a small function itself.
HELPER_OPTIONS = {"cache": False, "no_cpython_wrapper": True, "no_cfunc_wrapper": True}


def compiled(function=None, **options):
    """Compile a function: `numba.njit` with the options that all kernels share."""
    if function is None:
        return lambda function: compiled(function, **options)
    function.__qualname__ += f"_{_CHECKSUM}"
    return njit(**OPTIONS | options)(function)


def compiled_helper(function):
    """Compile a function that only compiled functions call."""
    return compiled(function, **HELPER_OPTIONS)
