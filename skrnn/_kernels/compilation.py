"""The options that all kernels are compiled with, and when numba's cache is stale."""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any
from zlib import crc32

from llvmlite import ir
from numba import cfunc, njit
from numba.core import cgutils

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


logger = logging.getLogger("skrnn")


def compiled(function: Callable[..., Any] | None = None, **options: Any) -> Any:
    """Compile a function: `numba.njit` with the options that all kernels share."""
    if function is None:
        return lambda function: compiled(function, **options)
    return _with_cache(lambda given: njit(**given)(function), function, options)


def compiled_helper(function: Callable[..., Any]) -> Any:
    """Compile a function that only compiled functions call."""
    return compiled(function, **HELPER_OPTIONS)


def c_function(signature: Any, function: Callable[..., Any]) -> Any:
    """Compile a function for calls by its address, with no copy in its callers.

    numba compiles a copy of each function into all that call it, and into their
    callers. That makes large functions at the bottom, such as matrix products, most of
    the time of compilation.

    Parameters
    ----------
    signature : numba signature
        Of numbers and pointers.

    function : callable
        It must not raise.

    Returns
    -------
    compiled : numba.core.ccallback.CFunc
        Its `address` is valid as long as it lives.
    """

    def compile_with(options: dict[str, Any]) -> Any:
        options = {key: value for key, value in options.items() if key != "nogil"}
        return cfunc(signature, **options)(function)  # C functions hold no lock anyway

    return _with_cache(compile_with, function, {})


def _with_cache(
    compile_with: Callable[[dict[str, Any]], Any],
    function: Callable[..., Any],
    options: dict[str, Any],
) -> Any:
    """Return `compile_with(options)`, without a cache where no folder can be written.

    numba looks for one beside the source, then in the user's own folders.
    """
    options = OPTIONS | options
    if not function.__qualname__.endswith(_CHECKSUM):
        function.__qualname__ += f"_{_CHECKSUM}"
    if not options["cache"]:
        return compile_with(options)
    try:
        return compile_with(options)
    except RuntimeError as error:
        if "cannot cache" not in str(error):
            raise
        _log_missing_cache()
        return compile_with(options | {"cache": False})


@lru_cache(maxsize=1)
def _log_missing_cache() -> None:
    logger.info(
        "Functions are compiled again in each process, since numba found no folder for "
        "its cache. Set NUMBA_CACHE_DIR to a folder that can be written."
    )


def write_call(
    context: Any, builder: Any, signature: Any, name: str, values: Any
) -> Any:
    """Write a call of a C function that `llvmlite.binding.add_symbol` has named.

    Cached functions find it by that name, wherever it lies in another process.
    """
    argument_types = [context.get_value_type(kind) for kind in signature.args]
    function_type = ir.FunctionType(ir.VoidType(), argument_types)
    function = cgutils.get_or_insert_function(builder.module, function_type, name)
    builder.call(function, values)
    return context.get_dummy_value()
