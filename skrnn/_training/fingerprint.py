"""The SHA-256 of parameters and data: equal for equal values, in any process."""

from __future__ import annotations

import copyreg
import hashlib
from types import FunctionType
from typing import Any

import numpy as np
import torch

from skrnn._data.sequences import CHUNK_BYTES
from skrnn._typing import AnyArray

PLAIN = (type(None), bool, int, float, complex, str, bytes)


def fingerprint(value: Any) -> bytes:
    """Return the SHA-256 of a value, in which arrays count by their content.

    Other objects count by what pickle would store of them, classes and functions by
    their names.

    Parameters
    ----------
    value : object

    Returns
    -------
    digest : bytes

    Raises
    ------
    TypeError
        If the value contains something without a name or without a content.
    """
    if isinstance(value, torch.Tensor):
        value = value.detach().cpu().numpy()
    if isinstance(value, np.ndarray) and not value.dtype.hasobject:
        return _of_array(value)
    if isinstance(value, (np.generic, np.ndarray)):
        value = value.tolist()
    if isinstance(value, PLAIN):
        return _sha256(type(value).__name__, repr(value))
    if isinstance(value, dict):
        items = (fingerprint(key) + fingerprint(item) for key, item in value.items())
        return _sha256(type(value).__name__, *sorted(items))
    if isinstance(value, (list, tuple)):
        return _sha256(type(value).__name__, *map(fingerprint, value))
    if isinstance(value, (set, frozenset)):
        return _sha256(type(value).__name__, *sorted(map(fingerprint, value)))
    if isinstance(value, (type, FunctionType)):
        return _of_name(value)
    return _of_object(value)


def _of_array(array: AnyArray) -> bytes:
    digest = hashlib.sha256(f"array {array.dtype.str} {array.shape}".encode())
    if array.ndim == 0:
        array = array[None]
    row_bytes = array.itemsize * int(np.prod(array.shape[1:]))
    size = max(1, CHUNK_BYTES // max(1, row_bytes))
    for first in range(0, len(array), size):  # a window view is not copied as a whole
        digest.update(array[first : first + size].tobytes())
    return digest.digest()


def _of_name(value: Any) -> bytes:
    """Return the digest of the name of a class or function."""
    if "<" in value.__qualname__:  # <lambda>, or <locals> of a function
        raise TypeError(f"{value!r} cannot be imported by its name")
    return _sha256("name", f"{value.__module__}.{value.__qualname__}")


def _of_object(value: object) -> bytes:
    reduce = copyreg.dispatch_table.get(type(value))  # first, as in pickle
    reduced = reduce(value) if reduce else value.__reduce_ex__(2)
    if isinstance(reduced, str):  # a name in its module
        return _sha256("name", f"{getattr(value, '__module__', None)}.{reduced}")
    items = [list(part) for part in reduced[3:5] if part is not None]
    return _sha256("object", *map(fingerprint, (*reduced[:3], items)))


def _sha256(*parts: str | bytes) -> bytes:
    digest = hashlib.sha256()
    for part in parts:
        part = part.encode() if isinstance(part, str) else part
        digest.update(len(part).to_bytes(8, "little"))
        digest.update(part)
    return digest.digest()
