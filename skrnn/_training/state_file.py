"""Plain data, arrays and tensors in a file: written at once, read without pickle.

A file holds the SHA-256 of its content, and then an `.npz` archive of the arrays, in
which 'json' describes the rest.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import uuid
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import torch

from skrnn._files import written_file
from skrnn._typing import AnyArray

DIGEST_SIZE = hashlib.sha256().digest_size
PLAIN = (type(None), bool, int, float, str)
TEMPORARY = ".tmp"  # ends the names of files that are not complete yet


def write_state(path: Path, state: dict[str, Any]) -> None:
    """Write a state so that the file is complete, or as it was before.

    Parameters
    ----------
    path : Path
        In a folder that exists.

    state : dict
        Of numbers, texts, None, arrays, tensors, and lists and dicts of them.
    """
    arrays: dict[str, Any] = {}
    description = json.dumps(_describe(state, arrays)).encode()
    archive = io.BytesIO()
    np.savez(archive, json=np.frombuffer(description, np.uint8), **arrays)
    content = archive.getbuffer()
    temporary = temporary_path(path)
    digest = hashlib.sha256(content).digest()
    with written_file(temporary, digest, content), suppress(FileNotFoundError):
        # An equal fit, which has finished in another process, may have removed it.
        os.replace(temporary, path)


def temporary_path(path: Path) -> Path:
    """Return a new name for a file in the folder of another, which starts as its."""
    return path.with_name(f"{path.name}.{uuid.uuid4().hex}{TEMPORARY}")


def read_state(path: Path) -> Any:
    """Return the state that `write_state` wrote.

    Raises
    ------
    ValueError
        If the file is damaged, or not one of `write_state`.
    """
    content = path.read_bytes()
    digest, content = content[:DIGEST_SIZE], content[DIGEST_SIZE:]
    if hashlib.sha256(content).digest() != digest:
        raise ValueError("its content does not match its checksum")
    with np.load(io.BytesIO(content), allow_pickle=False) as archive:
        arrays = dict(archive)
    return _restore(json.loads(arrays["json"].tobytes()), arrays)


def _describe(value: Any, arrays: dict[str, Any]) -> Any:
    """Return a value for JSON; arrays are added to `arrays` by a name."""
    if type(value) in PLAIN:
        return value
    if isinstance(value, dict):
        items = [[key, _describe(item, arrays)] for key, item in value.items()]
        return {"kind": "dict", "items": items}
    if isinstance(value, (list, tuple)):
        return [_describe(item, arrays) for item in value]
    for kind, cls in (
        ("tensor", torch.Tensor),
        ("array", np.ndarray),
        ("scalar", np.generic),
    ):
        if isinstance(value, cls):
            if kind == "tensor":
                # mypy does not see that `kind` belongs to `cls`.
                value = value.detach().cpu().numpy()  # type: ignore[union-attr]
            array = np.asarray(value)
            if not array.dtype.hasobject:
                name = str(len(arrays))
                arrays[name] = array
                return {"kind": kind, "name": name}
    raise TypeError(
        "With Checkpoint, the history of the training and the states of callbacks and "
        "optimizer must be numbers, texts, arrays, or lists and dicts of them. Got "
        f"{value!r}. Keep other objects elsewhere."
    )


def _restore(value: Any, arrays: dict[str, AnyArray]) -> Any:
    """Return what `_describe` described."""
    if isinstance(value, list):
        return [_restore(item, arrays) for item in value]
    if not isinstance(value, dict):
        return value
    if value["kind"] == "dict":
        return {key: _restore(item, arrays) for key, item in value["items"]}
    array = arrays[value["name"]]
    if value["kind"] == "tensor":
        return torch.from_numpy(array)
    return array[()] if value["kind"] == "scalar" else array
