"""Formulas that are applied to all elements of some matrices, in one pass.

A formula is a Python function of `Vector` operands, several elements at once. It is
written in LLVM's intermediate representation, as the tiles of `products.py` are: numba
has no vector types, and LLVM vectorises a loop over many arrays only after checks that
they do not overlap, which cost more than a row of a small network.

Each element gets the same operations wherever its row stands in a batch.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from skrnn._kernels.products import VECTOR_BYTES

SMALL_BYTES = 16  # of the vectors for what is left of a row, before single elements
FLAGS = ("contract", "nsz")


class Vector:
    """An operand of a formula: elements next to each other in a row.

    Parameters
    ----------
    builder : llvmlite.ir.IRBuilder
        Builder of the function that gets the instructions.

    value : llvmlite.ir.Value
        A vector of floats, or a single one.
    """

    def __init__(self, builder: ir.IRBuilder, value: Any) -> None:
        self.builder, self.value = builder, value

    @property
    def is_single(self) -> bool:
        """Whether elements are of float32."""
        kind = self.value.type
        return getattr(kind, "element", kind) == ir.FloatType()

    def lift(self, other: Any) -> Vector:
        """Return a number as an operand."""
        if isinstance(other, Vector):
            return other
        kind = self.value.type
        if isinstance(kind, ir.VectorType):
            number = [ir.Constant(kind.element, float(other))] * kind.count
        else:
            number = float(other)
        return Vector(self.builder, ir.Constant(kind, number))

    def _operate(self, name: str, left: Any, right: Any) -> Vector:
        left, right = self.lift(left), self.lift(right)
        instruction = getattr(self.builder, name)
        return Vector(self.builder, instruction(left.value, right.value, flags=FLAGS))

    def __add__(self, other: Any) -> Vector:
        return self._operate("fadd", self, other)

    def __radd__(self, other: Any) -> Vector:
        return self._operate("fadd", other, self)

    def __sub__(self, other: Any) -> Vector:
        return self._operate("fsub", self, other)

    def __rsub__(self, other: Any) -> Vector:
        return self._operate("fsub", other, self)

    def __mul__(self, other: Any) -> Vector:
        return self._operate("fmul", self, other)

    def __rmul__(self, other: Any) -> Vector:
        return self._operate("fmul", other, self)

    def __truediv__(self, other: Any) -> Vector:
        return self._operate("fdiv", self, other)

    def __rtruediv__(self, other: Any) -> Vector:
        return self._operate("fdiv", other, self)

    def where_less(self, bound: Any, then: Any, otherwise: Any) -> Vector:
        """Return `then` where this is below a bound, else `otherwise`; so for NaN."""
        bound, then, otherwise = map(self.lift, (bound, then, otherwise))
        is_less = self.builder.fcmp_ordered("<", self.value, bound.value)
        value = self.builder.select(is_less, then.value, otherwise.value)
        return Vector(self.builder, value)

    def clip(self, bound: Any) -> Vector:
        """Return this between -bound and bound; NaN stays NaN."""
        below = self.where_less(-bound, -bound, self)
        return below.lift(bound).where_less(below, bound, below)


def elementwise(formula: Callable[..., Any]) -> Any:
    """Return a numba function that applies a formula to matrices.

    Parameters
    ----------
    formula : callable
        Takes a `Vector` for each input, and returns one, or a number, for each output.

    Returns
    -------
    apply : numba intrinsic
        `apply(inputs, outputs)` of two tuples of matrices of one shape, whose rows are
        contiguous. An output may be an input.
    """

    @intrinsic
    def apply(typing: Any, inputs: Any, outputs: Any) -> Any:
        def generate(
            context: Any, builder: ir.IRBuilder, signature: Any, values: Any
        ) -> Any:
            arrays = [
                [
                    context.make_array(kind)(context, builder, value)
                    for kind, value in zip(
                        kinds, cgutils.unpack_tuple(builder, of_tuple), strict=True
                    )
                ]
                for kinds, of_tuple in zip(signature.args, values, strict=True)
            ]
            scalar = context.get_value_type(signature.args[0][0].dtype)
            FormulaWriter(builder, scalar, formula).write(*arrays)
            return context.get_dummy_value()

        return types.void(inputs, outputs), generate

    return apply


class FormulaWriter:
    """Writes the LLVM instructions of a formula for all rows of matrices.

    Parameters
    ----------
    builder : llvmlite.ir.IRBuilder
        Builder of the function that gets the instructions.

    scalar : llvmlite.ir.Type
        Type of an element.

    formula : callable
        See `elementwise`.
    """

    def __init__(
        self, builder: ir.IRBuilder, scalar: ir.Type, formula: Callable[..., Any]
    ) -> None:
        self.builder, self.scalar, self.formula = builder, scalar, formula
        self.size = 4 if scalar == ir.FloatType() else 8

    def write(self, inputs: Any, outputs: Any) -> None:
        """Write the loops over rows and over the elements of a row."""
        builder = self.builder
        n_rows, n_columns = cgutils.unpack_tuple(builder, outputs[0].shape)
        with cgutils.for_range(builder, n_rows) as loop:
            rows = [self._row(array, loop.index) for array in inputs]
            out_rows = [self._row(array, loop.index) for array in outputs]
            column = cgutils.alloca_once_value(builder, ir.Constant(n_columns.type, 0))
            for n_bytes in (VECTOR_BYTES, SMALL_BYTES):
                self._write_loop(
                    rows, out_rows, column, n_columns, n_bytes // self.size
                )
            # At most so many elements are left; not a loop, which LLVM would vectorise.
            for _ in range(SMALL_BYTES // self.size - 1):
                left = builder.icmp_signed("<", builder.load(column), n_columns)
                with builder.if_then(left):
                    self._apply(rows, out_rows, column, 1)

    def _write_loop(
        self, rows: Any, out_rows: Any, column: Any, n_columns: Any, lanes: int
    ) -> None:
        """Write a loop over vectors, as long as a whole one is left."""
        builder = self.builder
        head, body, done = (
            builder.append_basic_block(name) for name in ("head", "body", "done")
        )
        builder.branch(head)
        builder.position_at_end(head)
        end = builder.add(builder.load(column), ir.Constant(n_columns.type, lanes))
        builder.cbranch(builder.icmp_signed("<=", end, n_columns), body, done)
        builder.position_at_end(body)
        self._apply(rows, out_rows, column, lanes)
        builder.branch(head)
        builder.position_at_end(done)

    def _apply(self, rows: Any, out_rows: Any, column: Any, lanes: int) -> None:
        """Load a vector of each input, apply the formula, and store the results."""
        builder = self.builder
        first = builder.load(column)
        kind = self.scalar if lanes == 1 else ir.VectorType(self.scalar, lanes)
        operands = [
            Vector(builder, builder.load(self._at(row, first, kind), align=self.size))
            for row in rows
        ]
        results = self.formula(*operands)
        for row, result in zip(
            out_rows, results if isinstance(results, tuple) else (results,), strict=True
        ):
            value = operands[0].lift(result).value
            builder.store(value, self._at(row, first, kind), align=self.size)
        builder.store(builder.add(first, ir.Constant(first.type, lanes)), column)

    def _row(self, array: Any, index: Any) -> Any:
        """Return the address of a row."""
        builder = self.builder
        (stride, _) = cgutils.unpack_tuple(builder, array.strides)
        start = builder.ptrtoint(array.data, stride.type)
        return builder.add(start, builder.mul(index, stride))

    def _at(self, row: Any, column: Any, kind: Any) -> Any:
        """Return a pointer to elements of a row."""
        builder = self.builder
        offset = builder.mul(column, ir.Constant(column.type, self.size))
        return builder.inttoptr(builder.add(row, offset), kind.as_pointer())
