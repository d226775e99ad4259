"""A safetensors file: named arrays, and a string of JSON in its header.

The file is checked before anything that it describes is allocated. Whatever is wrong
with it raises `InvalidFile`.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
from typing import Any

import numpy as np

from skrnn._files import replace_file
from skrnn._typing import AnyArray, FilePath

FORMAT_VERSION = 1
METADATA = "skrnn"  # the name of the one string of metadata, which is JSON
CHECKSUM = "sha256"  # the name of the tensor with the checksum of all else
# Of a header, about 100 000 epochs of history. Parsed JSON takes many times its size.
MAX_HEADER_BYTES = 2**25
MAX_VALUES = 2**20

# The dtypes of arrays in a model file, by their names in safetensors.
DTYPES = {
    "BOOL": "bool",
    "U8": "uint8",
    "U16": "uint16",
    "U32": "uint32",
    "U64": "uint64",
    "I8": "int8",
    "I16": "int16",
    "I32": "int32",
    "I64": "int64",
    "F16": "float16",
    "F32": "float32",
    "F64": "float64",
}


class InvalidFile(ValueError):
    """What is wrong with a file, as it follows 'Got' in a message."""


# -- writing


def write_file(
    path: FilePath, document: dict[str, Any], arrays: dict[str, AnyArray]
) -> None:
    """Write a file at once: after a failure, `path` is as it was.

    Parameters
    ----------
    path : str or path-like
        Where to. An existing file is replaced.

    document : dict
        JSON, see `values.py`.

    arrays : dict of str to ndarray
        The arrays that the document refers to.
    """
    from safetensors.numpy import save

    document = {"format_version": FORMAT_VERSION} | document
    text = json.dumps(document, allow_nan=False, separators=(",", ":"))
    arrays = {name: np.require(a, requirements="C") for name, a in arrays.items()}
    arrays[CHECKSUM] = _checksum(text, arrays)
    content = save(arrays, {METADATA: text})
    length = int.from_bytes(content[:8], "little")
    if _is_too_large(content[8 : 8 + length]):
        raise ValueError(
            f"The parameters and the history of a model must not exceed {MAX_VALUES} "
            f"values, or {MAX_HEADER_BYTES} bytes, for save_model. Got {length} bytes. "
            "Save with joblib."
        )
    replace_file(path, content)


def _is_too_large(header: bytes) -> bool:
    n_values = sum(map(header.count, (b",", b"[", b"{")))
    return len(header) > MAX_HEADER_BYTES or n_values > MAX_VALUES


def _checksum(text: str, arrays: dict[str, AnyArray]) -> AnyArray:
    digest = hashlib.sha256(text.encode(errors="surrogatepass"))
    for name, array in sorted(arrays.items()):
        label = f"\n{name} {array.dtype.name} {array.shape}\n"
        digest.update(label.encode(errors="surrogatepass"))
        digest.update(array.tobytes())
    return np.frombuffer(digest.digest(), np.uint8)


# -- reading


def read_file(path: FilePath) -> tuple[dict[str, Any], dict[str, AnyArray]]:
    """Read a file that `write_file` wrote.

    Returns
    -------
    document : dict

    arrays : dict of str to ndarray

    Raises
    ------
    InvalidFile
        If the file is not complete, or not as it was written.
    """
    with open(path, "rb") as file:
        size = os.fstat(file.fileno()).st_size
        length = int.from_bytes(file.read(8), "little")
        if length > min(size - 8, MAX_HEADER_BYTES):
            raise InvalidFile(f"{size} bytes that do not begin with a header")
        header = file.read(length)
        if _is_too_large(header):
            raise InvalidFile("a header with too many values")
        text = _check_header(_parse_header(header), size - 8 - length)
        data = file.read()
    arrays = _read_arrays(length.to_bytes(8, "little") + header + data)
    found = arrays.pop(CHECKSUM, np.empty(0))
    document = parse_json(text)
    version = document.pop("format_version", None) if type(document) is dict else None
    if version != FORMAT_VERSION:
        raise InvalidFile(
            f"format version {version!r:.80}, but this version of skrnn reads version "
            f"{FORMAT_VERSION}"
        )
    if not np.array_equal(found, _checksum(text, arrays)):
        raise InvalidFile("contents that differ from their checksum")
    return document, arrays


def _parse_header(header: bytes) -> Any:
    try:
        return parse_json(header.decode())
    except UnicodeDecodeError as error:
        raise InvalidFile("a header that is not text") from error


def parse_json(text: str) -> Any:
    """Parse strict JSON without duplicate names."""
    try:
        return json.loads(
            text, object_pairs_hook=_unique, parse_constant=_refuse_constant
        )
    except InvalidFile:
        raise
    except (ValueError, RecursionError) as error:
        raise InvalidFile("text that is not JSON, or nested too deeply") from error


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    names = dict(pairs)
    if len(names) != len(pairs):
        raise InvalidFile("JSON with a duplicate name")
    return names


def _refuse_constant(name: str) -> None:
    raise InvalidFile(f"JSON with {name}")


def _check_header(header: Any, n_bytes: int) -> str:
    """Return the text in a header that describes `n_bytes` of data."""
    if not isinstance(header, dict):
        raise InvalidFile("a header that is not a JSON object")
    metadata = header.pop("__metadata__", None)
    text = metadata.get(METADATA) if isinstance(metadata, dict) else None
    if not isinstance(text, str) or len(metadata) > 1:
        raise InvalidFile("metadata of another library")
    end = 0
    for begin, stop in sorted(_check_entry(*item) for item in header.items()):
        if begin != end:
            raise InvalidFile("tensors that overlap, or with gaps between them")
        end = stop
    if end != n_bytes:
        raise InvalidFile(f"{n_bytes} bytes of data instead of {end}")
    return text


def _check_entry(name: str, entry: Any) -> tuple[int, int]:
    """Return where a tensor begins and ends in the data."""
    if not isinstance(entry, dict) or set(entry) != {"dtype", "shape", "data_offsets"}:
        raise InvalidFile(f"a tensor without dtype, shape and data_offsets: {name!r}")
    dtype, shape, offsets = entry["dtype"], entry["shape"], entry["data_offsets"]
    if not isinstance(dtype, str) or dtype not in DTYPES:
        raise InvalidFile(f"a tensor of an unknown dtype: {name!r}")
    if not _are_counts(shape) or not _are_counts(offsets) or len(offsets) != 2:
        raise InvalidFile(f"a tensor whose shape or place is no list of ints: {name!r}")
    begin, end = offsets
    if math.prod(shape) * np.dtype(DTYPES[dtype]).itemsize != end - begin:
        raise InvalidFile(f"a tensor whose shape differs from its size: {name!r}")
    return begin, end


def _are_counts(values: Any) -> bool:
    """Whether these are the at most 8 sizes of a shape."""
    return (
        isinstance(values, list)
        and len(values) <= 8
        and all(type(value) is int and 0 <= value < 2**63 for value in values)
    )


def _read_arrays(content: bytes) -> dict[str, AnyArray]:
    from safetensors import SafetensorError
    from safetensors.numpy import load

    try:
        arrays = load(content)
    except SafetensorError as error:
        raise InvalidFile(f"no valid safetensors file ({error})") from error
    for name, array in arrays.items():
        if array.dtype == bool and array.view(np.uint8).max(initial=0) > 1:
            raise InvalidFile(f"a tensor of bools that holds other numbers: {name!r}")
    return {name: np.require(a, requirements="W") for name, a in arrays.items()}
