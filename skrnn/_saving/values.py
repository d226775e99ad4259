"""Plain values as JSON and arrays, and back.

JSON says None, bools, ints, finite floats, strings, lists, and dicts with strings for
keys. Any other value is an object with one name, which begins with "$":

- `{"$float": "nan"}`, "inf" or "-inf";
- `{"$tuple": [...]}`;
- `{"$dict": [[key, value], ...]}`, a dict with other keys;
- `{"$scalar": [dtype, value]}`, a number or string of numpy;
- `{"$array": name}`, an array of numbers among the tensors of the file;
- `{"$strings": [n_characters, shape, values]}`, a numpy array of strings;
- `{"$objects": [shape, values]}`, a numpy array of objects;
- `{"$random_state": {...}}`, a `numpy.random.RandomState`;
- `{"$device": name}`, a torch device;
- `{"$optimizer": name}`, a class of `OPTIMIZERS`.

Nothing else can be written or read, so that reading runs no code of the file.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch

from skrnn._saving.container import DTYPES, InvalidFile
from skrnn._training.optimizers import OPTIMIZERS
from skrnn._typing import AnyArray

MAX_DEPTH = 20
MAX_STRING_BYTES = 2**26  # of one array of strings, whose entries are padded
SCALAR_TYPES = {"bool": bool, "str": str} | {
    name: float if name.startswith("float") else int
    for name in DTYPES.values()
    if name != "bool"
}
OPTIMIZER_NAMES = {cls: name for name, cls in OPTIMIZERS.items()}
MERSENNE_TWISTER_SIZE = 624


class CannotSave(ValueError):
    """A value that JSON and arrays cannot say: its name, and the value."""


# -- writing


def encode(value: Any, name: str, arrays: dict[str, AnyArray], depth: int = 0) -> Any:
    """Return JSON of a value; its arrays are put into `arrays`.

    Parameters
    ----------
    value : object

    name : str
        Of the value, and of the arrays in it.

    arrays : dict of str to ndarray
        Is extended.

    depth : int, default=0
        Number of containers around the value.

    Raises
    ------
    CannotSave
        If the value is none of those above.
    """
    kind = type(value)
    if value is None or kind in (bool, int, str):
        return value
    if kind is float:
        return value if math.isfinite(value) else {"$float": str(value)}
    if depth > MAX_DEPTH:
        raise CannotSave(name, value)
    if kind is list:
        return _encode_items(value, name, arrays, depth)
    if kind is tuple:
        return {"$tuple": _encode_items(value, name, arrays, depth)}
    if kind is dict:
        return _encode_dict(value, name, arrays, depth)
    if isinstance(value, np.generic):
        return _encode_scalar(value, name)
    if kind is np.ndarray:
        return _encode_array(value, name, arrays)
    if kind is np.random.RandomState:
        return _encode_random_state(value, name, arrays)
    if kind is torch.device:
        return {"$device": str(value)}
    if kind is type and value in OPTIMIZER_NAMES:
        return {"$optimizer": OPTIMIZER_NAMES[value]}
    raise CannotSave(name, value)


def _encode_items(
    values: Any, name: str, arrays: dict[str, AnyArray], depth: int
) -> list[Any]:
    return [
        encode(value, f"{name}.{i}", arrays, depth + 1)
        for i, value in enumerate(values)
    ]


def _encode_dict(
    values: dict[Any, Any], name: str, arrays: dict[str, AnyArray], depth: int
) -> dict[str, Any]:
    items = [
        (key, encode(value, f"{name}.{key}", arrays, depth + 1))
        for key, value in values.items()
    ]
    if all(type(key) is str and not key.startswith("$") for key in values):
        return dict(items)
    keys = [encode(key, f"{name}.key", arrays, depth + 1) for key in values]
    pairs = zip(keys, items, strict=True)
    return {"$dict": [[key, value] for key, (_, value) in pairs]}


def _encode_scalar(value: Any, name: str) -> dict[str, Any]:
    dtype = "str" if isinstance(value, np.str_) else value.dtype.name
    if dtype not in SCALAR_TYPES:
        raise CannotSave(name, value)
    item = SCALAR_TYPES[dtype](value)
    return {"$scalar": [dtype, encode(item, name, {})]}


def _encode_array(
    value: AnyArray, name: str, arrays: dict[str, AnyArray]
) -> dict[str, Any]:
    if value.dtype.kind == "U":
        n_characters = value.dtype.itemsize // 4
        if value.nbytes > MAX_STRING_BYTES:
            raise CannotSave(name, value)
        return {"$strings": [n_characters, list(value.shape), value.ravel().tolist()]}
    if value.dtype == object:
        items = list(value.ravel())
        if any(isinstance(item, (list, tuple, dict, np.ndarray)) for item in items):
            raise CannotSave(name, value)
        items = [encode(item, name, {}, MAX_DEPTH) for item in items]
        return {"$objects": [list(value.shape), items]}
    if value.dtype.name not in DTYPES.values() or name in arrays:
        raise CannotSave(name, value)
    arrays[name] = value.astype(value.dtype.newbyteorder("="), copy=False)
    return {"$array": name}


def _encode_random_state(
    value: np.random.RandomState, name: str, arrays: dict[str, AnyArray]
) -> dict[str, Any]:
    state = value.get_state(legacy=False)
    if state["bit_generator"] != "MT19937":
        raise CannotSave(name, value)
    return {"$random_state": encode(state, name, arrays)}


# -- reading


def decode(value: Any, arrays: dict[str, AnyArray], depth: int = 0) -> Any:
    """Return the value that JSON describes; its arrays are taken out of `arrays`."""
    if depth > 4 * MAX_DEPTH:  # a "$dict" is three levels of JSON
        raise InvalidFile("values that are nested too deeply")
    if isinstance(value, list):
        return [decode(item, arrays, depth + 1) for item in value]
    if not isinstance(value, dict):
        return value
    tags = [key for key in value if key.startswith("$")]
    if not tags:
        return {key: decode(item, arrays, depth + 1) for key, item in value.items()}
    if len(value) > 1 or tags[0] not in DECODERS:
        raise InvalidFile(f"an unknown kind of value, {tags[0]!r:.80}")
    try:
        return DECODERS[tags[0]](value[tags[0]], arrays, depth)
    except InvalidFile:
        raise
    except (TypeError, ValueError, KeyError, OverflowError, RuntimeError) as error:
        raise InvalidFile(f"an invalid value of kind {tags[0]!r}") from error


def _decode_float(value: Any, arrays: dict[str, AnyArray], depth: int) -> float:
    return {"nan": math.nan, "inf": math.inf, "-inf": -math.inf}[value]


def _decode_tuple(
    value: Any, arrays: dict[str, AnyArray], depth: int
) -> tuple[Any, ...]:
    return tuple(_decode_list(value, arrays, depth))


def _decode_list(value: Any, arrays: dict[str, AnyArray], depth: int) -> list[Any]:
    if not isinstance(value, list):
        raise InvalidFile("a value that is not a list")
    return decode(value, arrays, depth)


def _decode_dict(value: Any, arrays: dict[str, AnyArray], depth: int) -> dict[Any, Any]:
    return dict(_decode_list(value, arrays, depth + 1))


def _decode_scalar(value: Any, arrays: dict[str, AnyArray], depth: int) -> Any:
    dtype, item = _decode_list(value, arrays, depth)
    if type(item) is not SCALAR_TYPES[dtype]:
        raise InvalidFile(f"a number that is not of type {dtype}")
    return np.str_(item) if dtype == "str" else np.dtype(dtype).type(item)


def _decode_array(value: Any, arrays: dict[str, AnyArray], depth: int) -> AnyArray:
    return arrays.pop(value)


def _decode_strings(value: Any, arrays: dict[str, AnyArray], depth: int) -> AnyArray:
    n_characters, shape, items = value
    if not all(type(item) is str for item in items):
        raise InvalidFile("an array of strings that holds other values")
    longest = max(map(len, items), default=0)
    is_small = longest <= n_characters <= MAX_STRING_BYTES // (4 * max(len(items), 1))
    if not is_small or math.prod(shape) != len(items):
        raise InvalidFile("an array of strings of another shape")
    return np.array(items, dtype=f"<U{n_characters}").reshape(shape)


def _decode_objects(value: Any, arrays: dict[str, AnyArray], depth: int) -> AnyArray:
    shape, items = value
    array = np.empty(len(items), dtype=object)
    for i, item in enumerate(items):
        array[i] = decode(item, {}, depth + 1)
    return array.reshape(shape)


def _decode_random_state(
    value: Any, arrays: dict[str, AnyArray], depth: int
) -> np.random.RandomState:
    state = decode(value, arrays, depth + 1)
    twister = state["state"]
    key, position = twister["key"], twister["pos"]
    # numpy does not check the position, which is an index into the key.
    if (
        state["bit_generator"] != "MT19937"
        or (key.dtype, key.shape) != (np.uint32, (MERSENNE_TWISTER_SIZE,))
        or type(position) is not int
        or not 0 <= position <= MERSENNE_TWISTER_SIZE
    ):
        raise InvalidFile("an invalid RandomState")
    random_state = np.random.RandomState()
    random_state.set_state(state)
    return random_state


def _decode_device(value: Any, arrays: dict[str, AnyArray], depth: int) -> torch.device:
    return torch.device(value)


def _decode_optimizer(
    value: Any, arrays: dict[str, AnyArray], depth: int
) -> type[torch.optim.Optimizer]:
    return OPTIMIZERS[value]


DECODERS = {
    "$float": _decode_float,
    "$tuple": _decode_tuple,
    "$dict": _decode_dict,
    "$scalar": _decode_scalar,
    "$array": _decode_array,
    "$strings": _decode_strings,
    "$objects": _decode_objects,
    "$random_state": _decode_random_state,
    "$device": _decode_device,
    "$optimizer": _decode_optimizer,
}
