"""Operations: the parts of a forward and a backward pass, each compiled on its own.

A program is a list of operations with their arguments: gather a batch, run a layer,
pool, apply the head, compute the loss, run backwards through all of these, take a step
of Adam. `run_batches` carries it out for many batches in one compiled call. So any
network is trained without a line of Python between its batches, while numba compiles
only the operations that it has, and compiles each once.

An operation is a function of a number, whose type is that of all arrays, of the address
of its arguments, and of the address of what operations say to each other about the
batch. Arguments are numbers and the addresses of arrays.

Legend of shapes: n rows of the data, N rows of a batch, L time steps, F features,
H hidden units, D directions, K outputs, R rows of the head (N, or L * N with an output
per time step). Time is the first axis.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
from llvmlite import ir
from numba import from_dtype, types
from numba.extending import intrinsic

from skrnn._kernels.compilation import c_function, compiled
from skrnn._kernels.products import load_product
from skrnn._typing import AnyArray, IntArray

# What operations know of a batch.
BATCH = np.dtype(
    [
        ("first", np.int64),  # position of its first row in the order of this call
        ("rows", np.int64),  # address of the rows, (N,)
        ("n_rows", np.int64),
        ("n_steps", np.int64),  # of the longest row
        ("lengths", np.int64),  # address of the steps of each row, (N,)
        ("ragged", np.int64),  # whether these differ
        ("loss", np.float64),
        ("lr", np.float64),
        ("step", np.int64),  # of the optimiser, from 1
    ]
)

# By name: the function and the dtype of its arguments.
_OPERATIONS: dict[str, tuple[Callable[..., None], np.dtype[Any]]] = {}


def arguments(*integers: str, floats: tuple[str, ...] = ()) -> np.dtype[Any]:
    """Return the dtype of the arguments of an operation."""
    fields = [(name, np.int64) for name in integers]
    return np.dtype(fields + [(name, np.float64) for name in floats])


def operation(
    dtype: np.dtype[Any],
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Declare an operation, a function of `(number, arguments, batch)`.

    Parameters
    ----------
    dtype : numpy dtype
        From `arguments`.
    """

    def declare(function: Callable[..., None]) -> Callable[..., None]:
        _OPERATIONS[function.__name__] = function, dtype
        return function

    return declare


@cache
def compile_operation(name: str, dtype: np.dtype[Any]) -> Any:
    """Return an operation as a C function for arrays of a dtype."""
    load_product(dtype)
    number = from_dtype(dtype)
    signature = types.void(number, types.voidptr, types.voidptr)
    return c_function(signature, _OPERATIONS[name][0])


def make_record(name: str, values: dict[str, Any]) -> AnyArray:
    """Return the arguments of an operation as a structured array of one.

    Parameters
    ----------
    name : str
        Of the operation.

    values : dict of int, float, ndarray or None
        Its arguments; of an array it gets the address. None stands for no array.
    """
    dtype: Any = _OPERATIONS[name][1]
    if values.keys() != set(dtype.names):
        raise TypeError(f"{name} takes {dtype.names}. Got {tuple(values)}.")
    record = np.zeros(1, dtype)
    for key, value in values.items():
        if isinstance(value, np.ndarray):
            record[key] = value.ctypes.data
        elif value is not None:
            record[key] = value
    return record


def run_operation(
    name: str, dtype: np.dtype[Any], n_steps: int, n_rows: int, **values: Any
) -> None:
    """Run a single operation for rows of equal length, see `make_record`."""
    batch = np.zeros(1, BATCH)
    batch["n_steps"], batch["n_rows"] = n_steps, n_rows
    record = make_record(name, values)
    function = compile_operation(name, np.dtype(dtype))
    function.ctypes(0.0, record.ctypes.data, batch.ctypes.data)


class Program:
    """A list of operations.

    Parameters
    ----------
    dtype : numpy dtype
        Of all arrays, float32 or float64.
    """

    def __init__(self, dtype: np.dtype[Any]) -> None:
        self.dtype = np.dtype(dtype)
        # Function, arguments, and the arrays whose addresses these are.
        self.steps: list[tuple[Any, Any, Any]] = []

    def add(self, name: str, **values: Any) -> None:
        """Append an operation.

        Parameters
        ----------
        name : str
            Of the operation.

        **values : int, float, ndarray or None
            Its arguments, see `make_record`. The program keeps these arrays alive, but
            not what is behind an address that is given as an int.
        """
        record = make_record(name, values)
        function = compile_operation(name, self.dtype)
        self.steps.append((function, record, values))

    def __add__(self, other: Program) -> Program:
        """Return the operations of this program, followed by those of another."""
        both = Program(self.dtype)
        both.steps = self.steps + other.steps
        return both

    def compile(self, n_rows: int | None = None) -> CompiledProgram:
        """Return a `CompiledProgram`, for batches of at most `n_rows`."""
        return CompiledProgram(self, n_rows)


class CompiledProgram:
    """A program that can be run.

    Parameters
    ----------
    program : Program
        Complete.

    n_rows : int, default=None
        Most rows of a batch that its arrays have room for; None if nobody knows.
    """

    def __init__(self, program: Program, n_rows: int | None = None) -> None:
        self.n_rows = n_rows
        self.steps = program.steps  # keeps all arrays alive
        functions = [function.address for function, _, _ in self.steps]
        records = [record.ctypes.data for _, record, _ in self.steps]
        self.table = np.array([functions, records], dtype=np.int64)
        self.number = program.dtype.type(0)
        self.batch = np.zeros(1, BATCH)

    def replace(self, **values: Any) -> None:
        """Replace arguments by other arrays or numbers, wherever an operation has them.

        Parameters
        ----------
        **values : int, float or ndarray
            By the names of arguments. Whoever calls keeps the arrays alive.
        """
        values = {
            key: value.ctypes.data if isinstance(value, np.ndarray) else value
            for key, value in values.items()
        }
        for _, record, _ in self.steps:
            for name in values.keys() & set(record.dtype.names):
                record[name] = values[name]

    @property
    def last_step(self) -> int:
        """How many steps the optimiser has taken; each batch of `run` is one more."""
        return int(self.batch["step"][0])

    @last_step.setter
    def last_step(self, step: int) -> None:
        self.batch["step"] = step

    def run(
        self,
        order: IntArray,
        bounds: IntArray,
        lrs: AnyArray | None = None,
        total: float = 0.0,
    ) -> float:
        """Run the program for each of some batches.

        Parameters
        ----------
        order : ndarray of int64
            The rows of all batches.

        bounds : ndarray of int64 of shape (batches + 1,)
            Where each batch begins in `order`, and where the last one ends.

        lrs : ndarray of shape (batches,), default=None
            Learning rates.

        total : float, default=0.0
            What an earlier call returned, so that a sum over several calls is the same
            to the last bit however batches are distributed over the calls.

        Returns
        -------
        total : float
            Plus the losses of the batches, each times its number of rows.
        """
        if self.n_rows is not None and np.diff(bounds).max() > self.n_rows:
            raise ValueError(
                f"A batch must have at most {self.n_rows} rows, which this program has "
                f"memory for. Got {np.diff(bounds).max()}."
            )
        if lrs is None:
            lrs = np.zeros(len(bounds) - 1)
        return run_batches(
            self.number, self.table, self.batch, order, bounds, lrs, total
        )


@intrinsic
def _call(typing: Any, address: Any, number: Any, record: Any, batch: Any) -> Any:
    """Call an operation at an address."""

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        address, number, *pointers = values
        void_pointer = ir.IntType(8).as_pointer()
        kind = ir.FunctionType(ir.VoidType(), [number.type, void_pointer, void_pointer])
        function = builder.inttoptr(address, kind.as_pointer())
        pointers = [builder.inttoptr(value, void_pointer) for value in pointers]
        builder.call(function, [number, *pointers])
        return context.get_dummy_value()

    return types.void(address, number, record, batch), generate


@compiled
def run_batches(
    number: Any,
    table: AnyArray,
    batch: AnyArray,
    order: IntArray,
    bounds: IntArray,
    lrs: AnyArray,
    total: float,
) -> float:
    """Carry out a program for each batch, see `CompiledProgram.run`."""
    about = batch[0]
    about_at, order_at = np.int64(batch.ctypes.data), np.int64(order.ctypes.data)
    for b in range(len(lrs)):
        about.first = bounds[b]
        about.rows = order_at + bounds[b] * 8
        about.n_rows = bounds[b + 1] - bounds[b]
        about.lr = lrs[b]
        about.step += 1
        for i in range(table.shape[1]):
            _call(table[0, i], number, table[1, i], about_at)
        total += about.loss * about.n_rows
    return total
