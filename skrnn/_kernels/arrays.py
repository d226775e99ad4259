"""Arrays at addresses, for compiled operations.

Arrays made from an address count no references, which is most of what numba compiles
for the slice of an array.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import carray, types
from numba.extending import intrinsic

from skrnn._kernels.compilation import compiled_helper
from skrnn._typing import AnyArray


@intrinsic
def pointer(typing: Any, number: Any, address: Any) -> Any:
    """Return an address as a pointer to numbers of the type of `number`."""

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        kind = context.get_value_type(signature.return_type)
        return builder.inttoptr(values[1], kind)

    return types.CPointer(types.unliteral(number))(number, address), generate


@intrinsic
def item_size(typing: Any, number: Any) -> Any:
    """Return the size in bytes of numbers of the type of `number`."""

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        return ir.Constant(ir.IntType(64), signature.args[0].bitwidth // 8)

    return types.int64(number), generate


@compiled_helper
def vector(number: Any, address: Any, n: int) -> AnyArray:
    """Return the array `(n,)` at an address, of the type of `number`."""
    return carray(pointer(number, address), (n,))


@compiled_helper
def matrix(number: Any, address: Any, n_rows: int, n_columns: int) -> AnyArray:
    """Return the array `(rows, columns)` at an address."""
    return carray(pointer(number, address), (n_rows, n_columns))


@compiled_helper
def steps_array(
    number: Any, address: Any, n_steps: int, n_rows: int, n_columns: int
) -> AnyArray:
    """Return the array `(steps, rows, columns)` at an address."""
    return carray(pointer(number, address), (n_steps, n_rows, n_columns))


@compiled_helper
def with_initial(
    number: Any, address: Any, n_steps: int, n_rows: int, n_columns: int
) -> AnyArray:
    """Return the array `(steps + 1, rows, columns)` whose step 1 is at an address.

    What holds the initial state lies right before the states of all steps.
    """
    first = address - n_rows * n_columns * item_size(number)
    return carray(pointer(number, first), (n_steps + 1, n_rows, n_columns))
