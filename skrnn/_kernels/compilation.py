"""How kernels are compiled: numba's options, and a cache that follows the sources."""

from pathlib import Path
from zlib import crc32

from numba import njit

# Sums may be taken in another order, which is what lets loops use vectors. NaN and
# infinity keep their meaning: they show that training has diverged.
OPTIONS = {
    "fastmath": {"contract", "reassoc", "nsz", "arcp"},
    "error_model": "numpy",
    "cache": True,
    "nogil": True,
}

# numba compiles anew when the file of a function changes, but not when a function of
# another file that it calls does. So every cached name ends with a checksum of all.
_SOURCES = sorted(Path(__file__).parent.glob("*.py"))
_CHECKSUM = f"{crc32(b''.join(path.read_bytes() for path in _SOURCES)):08x}"


def compiled(function=None, **options):
    """Compile a function with numba, `njit` with the options that all kernels share."""
    if function is None:
        return lambda function: compiled(function, **options)
    function.__qualname__ += f"_{_CHECKSUM}"
    return njit(**OPTIONS | options)(function)
