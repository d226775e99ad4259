"""Runs the compiled kernels as Python code, to measure which of it the tests cover.

A plugin of pytest, `PYTHONPATH=tests python -m pytest -p uncompiled`, that must load
before skrnn: functions for numba stay what they are, and what is written in LLVM's
intermediate representation is replaced by the same in numpy. It is a thousand times
slower than compiled code; see `measure_coverage.py`.
"""

import ctypes
import functools
import inspect

import llvmlite.binding
import numba
import numba.extending
import numpy as np
from numba.np.numpy_support import as_dtype

functions = {}  # by what stands for their address
products = {}  # by the name of the symbol


def array_at(address, shape, dtype):
    """Return the array at an address; an access to one at 0 crashes, as in C."""
    dtype = np.dtype(dtype)
    size = int(np.prod(shape)) * dtype.itemsize
    memory = (ctypes.c_char * size).from_address(int(address))
    return with_attributes(np.frombuffer(memory, dtype=dtype).reshape(shape))


class Records:
    """A structured array as numba has it: its elements have attributes."""

    def __init__(self, array):
        self.array, self.ctypes = array, array.ctypes

    def __getitem__(self, index):
        return Record(self.array[index])


class Record:
    """An element of a structured array."""

    def __init__(self, fields):
        object.__setattr__(self, "fields", fields)

    def __getattr__(self, name):
        return self.fields[name]

    def __setattr__(self, name, value):
        self.fields[name] = value


def with_attributes(argument):
    if isinstance(argument, np.ndarray) and argument.dtype.names:
        return Records(argument)
    return argument


class Pointer:
    """A pointer to numbers."""

    def __init__(self, dtype, address):
        self.dtype, self.address = np.dtype(dtype), int(address)

    def element(self, index):
        return array_at(self.address + int(index) * self.dtype.itemsize, 1, self.dtype)

    def __getitem__(self, index):
        return self.element(index)[0]

    def __setitem__(self, index, value):
        self.element(index)[0] = value


def carray(address, shape, dtype=None):
    if isinstance(address, Pointer):
        return array_at(address.address, shape, address.dtype)
    return array_at(address, shape, dtype)


def dtype_of(number):
    return np.asarray(number).dtype


def run(function, arguments):
    """Call a function as numba would."""
    with np.errstate(all="ignore"):
        return function(*map(with_attributes, arguments))


def njit(function=None, **options):
    if function is None:
        return njit

    @functools.wraps(function)
    def call(*arguments):
        return run(function, arguments)

    call.py_func = function
    return call


class CFunction:
    """Stands for a C function: its address is a key of `functions`."""

    def __init__(self, signature, function):
        self.types = [
            as_dtype(kind).type if isinstance(kind, numba.types.Number) else int
            for kind in signature.args
        ]
        self.function = function
        self.address = len(functions) + 1
        functions[self.address] = self.ctypes

    def ctypes(self, *arguments):
        pairs = zip(self.types, arguments, strict=True)
        return run(self.function, [kind(argument) for kind, argument in pairs])


def cfunc(signature, **options):
    return lambda function: CFunction(signature, function)


def add_symbol(name, address):
    products[name] = functions[address]


class Vector:
    """Operand of a formula of `skrnn._kernels.elementwise`: all elements at once."""

    def __init__(self, values):
        self.values = values
        self.is_single = values.dtype == np.float32

    def lift(self, other):
        if isinstance(other, Vector):
            return other
        return Vector(np.full_like(self.values, other))

    def where_less(self, bound, then, otherwise):
        bound, then, otherwise = (self.lift(x).values for x in (bound, then, otherwise))
        return Vector(np.where(self.values < bound, then, otherwise))

    def clip(self, bound):
        return Vector(np.clip(self.values, -bound, bound))


def _operate(operator, is_reflected):
    def operate(self, other):
        pair = self.values, self.lift(other).values
        return Vector(operator(*(pair[::-1] if is_reflected else pair)))

    return operate


for _name, _operator in (
    ("add", np.add), ("sub", np.subtract), ("mul", np.multiply), ("truediv", np.divide),
):  # fmt: skip
    setattr(Vector, f"__{_name}__", _operate(_operator, False))
    setattr(Vector, f"__r{_name}__", _operate(_operator, True))


def make_apply(formula):
    def apply(inputs, outputs):
        results = formula(*(Vector(np.array(values)) for values in inputs))
        results = results if isinstance(results, tuple) else (results,)
        for out, result in zip(outputs, results, strict=True):
            out[...] = result.values if isinstance(result, Vector) else result

    return apply


def make_tile(n_rows, n_vectors, n_bytes):
    n_columns = n_vectors * n_bytes // 4

    def tile(number, a, a_row, a_col, b, b_row, out, out_row, n_terms):
        dtype = dtype_of(number)
        for i in range(n_rows):
            row = array_at(out + i * out_row, n_columns, dtype)
            for k in range(n_terms):
                factor = array_at(a + i * a_row + k * a_col, 1, dtype)
                row += factor * array_at(b + k * b_row, n_columns, dtype)

    return tile


def draw(next_double, state):
    function = ctypes.CFUNCTYPE(ctypes.c_double, ctypes.c_void_p)(int(next_double))
    return function(int(state))


def add_product(number, arguments):
    products[f"skrnn_add_product_{dtype_of(number)}"](*arguments)


INTRINSICS = {
    "pointer": lambda number, address: Pointer(dtype_of(number), address),
    "item_size": lambda number: dtype_of(number).itemsize,
    "_draw": draw,
    "_add_product": add_product,
    "_call": lambda at, *arguments: functions[int(at)](*arguments),
}
MAKERS = {"apply": make_apply, "tile": make_tile}


def intrinsic(function):
    """Return what stands for a function that writes LLVM's instructions."""
    name = function.__name__
    if name in INTRINSICS:
        return INTRINSICS[name]
    return MAKERS[name](**inspect.getclosurevars(function).nonlocals)


numba.njit, numba.cfunc, numba.carray = njit, cfunc, carray
numba.extending.intrinsic = intrinsic
llvmlite.binding.add_symbol = add_symbol
