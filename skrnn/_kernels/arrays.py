"""Arrays at addresses, for compiled operations.

Arrays made from an address count no references, which is most of what numba compiles
for the slice of an array.
"""

from llvmlite import ir
from numba import carray, types
from numba.extending import intrinsic

from skrnn._kernels.compilation import compiled_helper


@intrinsic
def pointer(typing, number, address):
    """Return an address as a pointer to numbers of the type of `number`."""

    def generate(context, builder, signature, values):
        kind = context.get_value_type(signature.return_type)
        return builder.inttoptr(values[1], kind)

    return types.CPointer(types.unliteral(number))(number, address), generate


@intrinsic
def item_size(typing, number):
    """Return the size in bytes of numbers of the type of `number`."""

    def generate(context, builder, signature, values):
        return ir.Constant(ir.IntType(64), signature.args[0].bitwidth // 8)

    return types.int64(number), generate


@compiled_helper
def vector(number, address, n):
    """Return the array `(n,)` at an address, of the type of `number`."""
    return carray(pointer(number, address), (n,))


@compiled_helper
def matrix(number, address, n_rows, n_columns):
    """Return the array `(rows, columns)` at an address."""
    return carray(pointer(number, address), (n_rows, n_columns))


@compiled_helper
def steps_array(number, address, n_steps, n_rows, n_columns):
    """Return the array `(steps, rows, columns)` at an address."""
    return carray(pointer(number, address), (n_steps, n_rows, n_columns))


@compiled_helper
def with_initial(number, address, n_steps, n_rows, n_columns):
    """Return the array `(steps + 1, rows, columns)` whose step 1 is at an address.

    What holds the initial state lies right before the states of all steps.
    """
    first = address - n_rows * n_columns * item_size(number)
    return carray(pointer(number, first), (n_steps + 1, n_rows, n_columns))
