"""A graph of ONNX operators, under construction.

Values are strings: the names of inputs, of constants, and of what operators return.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any, Literal, TypeAlias, overload

import numpy as np

from skrnn._typing import AnyArray

try:
    import onnx
    from onnx import helper, numpy_helper
except ImportError as error:
    raise ImportError(
        "export_onnx needs the package onnx, which is not installed. Run "
        'pip install "skrnn[onnx]".'
    ) from error

# What an operator reads, see `Graph`.
Value: TypeAlias = str | int | np.generic | AnyArray | None
Shape: TypeAlias = Sequence[str | int]

# Old ones, so that old runtimes can read the file: onnxruntime from 1.12 can.
OPSET, IR_VERSION = 17, 8

FLOAT, DOUBLE, INT, INT32 = (
    np.dtype(np.float32),
    np.dtype(np.float64),
    np.dtype(np.int64),
    np.dtype(np.int32),
)


def onnx_type(dtype: np.dtype[Any]) -> int:
    """Return the ONNX type of the elements of an array; None if there is none."""
    if dtype.kind in "OU":
        return onnx.TensorProto.STRING
    return helper.np_dtype_to_tensor_dtype(dtype)


class Graph:
    """A list of nodes, with the constants, inputs and outputs that they need.

    Wherever a method takes a value, it also takes an array or an int, which becomes a
    constant, or None for an input that is left out.
    """

    nodes: list[onnx.NodeProto]
    constants: list[onnx.TensorProto]
    inputs: list[onnx.ValueInfoProto]
    outputs: list[onnx.ValueInfoProto]
    _known: dict[tuple[Any, ...], str]
    _n_nodes: Counter[str]

    def __init__(self) -> None:
        self.nodes, self.constants, self.inputs, self.outputs = [], [], [], []
        self._known, self._n_nodes = {}, Counter()

    def add_input(
        self,
        name: str,
        dtype: np.dtype[Any],
        shape: Shape,
        doc: str,
        default: AnyArray | None = None,
    ) -> str:
        """Declare an input; one with a default may be left out. Return its name."""
        declared = helper.make_tensor_value_info(name, onnx_type(dtype), shape, doc)
        self.inputs.append(declared)
        if default is not None:
            self.constants.append(numpy_helper.from_array(default, name))
        return name

    def add_output(
        self, name: str, value: str, dtype: np.dtype[Any], shape: Shape, doc: str
    ) -> None:
        """Declare a value as an output of this name."""
        self.nodes.append(helper.make_node("Identity", [value], [name], name=name))
        declared = helper.make_tensor_value_info(name, onnx_type(dtype), shape, doc)
        self.outputs.append(declared)

    def constant(self, value: AnyArray, name: str | None = None) -> str:
        """Return the name of a constant, the same one for the same value."""
        value = np.ascontiguousarray(value).reshape(np.shape(value))
        key = (value.dtype.str, value.shape, value.tobytes())
        if value.dtype.kind == "O":
            key = (value.dtype.str, tuple(value.tolist()))
        if key not in self._known:
            name = f"constant_{len(self._known)}" if name is None else name
            self.constants.append(numpy_helper.from_array(value, name))
            self._known[key] = name
        return self._known[key]

    @overload
    def add(
        self,
        operator: str,
        *inputs: Value,
        name: str | None = None,
        outputs: Literal[1] = 1,
        **attributes: Any,
    ) -> str: ...

    @overload
    def add(
        self,
        operator: str,
        *inputs: Value,
        name: str | None = None,
        outputs: Literal[2] | tuple[bool, bool],
        **attributes: Any,
    ) -> list[str]: ...

    def add(
        self,
        operator: str,
        *inputs: Value,
        name: str | None = None,
        outputs: int | tuple[bool, ...] = 1,
        **attributes: Any,
    ) -> str | list[str]:
        """Add an operator.

        Parameters
        ----------
        operator : str
            Its name in ONNX.

        *inputs : str, ndarray, int or None
            Its inputs.

        name : str, default=None
            Of the node, which runtimes print if it fails.

        outputs : int or tuple of bool, default=1
            Number of its outputs, or which of them are needed.

        **attributes : dict
            Its attributes.

        Returns
        -------
        value : str, or list of str
            The output, or several. Those that are not needed are empty strings.
        """
        n = self._n_nodes[operator]
        self._n_nodes[operator] += 1
        label = f"{operator}_{n}"
        needed = (True,) * outputs if isinstance(outputs, int) else outputs
        names = [f"{label}_{i}" if used else "" for i, used in enumerate(needed)]
        if len(names) == 1:
            names = [label]
        inputs = [self._as_value(value) for value in inputs]
        while inputs[-1] == "":
            inputs.pop()
        node = helper.make_node(operator, inputs, names, name=name or label)
        node.attribute.extend(
            helper.make_attribute(key, value) for key, value in attributes.items()
        )
        self.nodes.append(node)
        return names[0] if len(names) == 1 else names

    def _as_value(self, value: Value) -> str:
        if value is None:
            return ""
        return value if isinstance(value, str) else self.constant(np.asarray(value))

    # -- operators that are written often

    def size(self, value: Value, axis: int) -> str:
        """Return the size of an axis, a scalar."""
        return self.squeeze(self.add("Shape", value, start=axis, end=axis + 1), 0)

    def cast(self, value: Value, dtype: np.dtype[Any]) -> str:
        """Return a value in another dtype."""
        return self.add("Cast", value, to=onnx_type(dtype))

    def squeeze(self, value: Value, *axes: int) -> str:
        """Return a value without some axes of size 1."""
        return self.add("Squeeze", value, np.array(axes))

    def unsqueeze(self, value: Value, *axes: int) -> str:
        """Return a value with new axes of size 1."""
        return self.add("Unsqueeze", value, np.array(axes))

    def reshape(self, value: Value, *shape: int) -> str:
        """Return a value in another shape; 0 keeps the size of an axis."""
        return self.add("Reshape", value, np.array(shape))

    def range(self, stop: Value) -> str:
        """Return 0, 1, ..., stop - 1."""
        return self.add("Range", 0, stop, 1)

    def require(
        self, value: Value, dtype: np.dtype[Any], condition: Value, rule: str
    ) -> str:
        """Return a number as it is, after a condition holds everywhere.

        ONNX has no operator that fails. Here, one reads an element that does not exist
        if the condition is false somewhere, and the runtime prints its name: the rule.
        On a GPU, reading it returns zero, and the rule is not enforced.
        """
        holds = self.add("ReduceMin", self.cast(condition, INT32), keepdims=0)
        index = self.add("Sub", np.int32(1), holds)
        zero = self.add("Gather", np.zeros(1, dtype), index, name=rule)
        return self.add("Add", value, zero)

    # -- the end

    def to_model(self, *, name: str, doc: str, **fields: Any) -> onnx.ModelProto:
        """Return the graph as a model of ONNX, after ONNX's own checks."""
        graph = helper.make_graph(
            self.nodes, name, self.inputs, self.outputs, self.constants, doc_string=doc
        )
        opset = helper.make_opsetid("", OPSET)
        model = helper.make_model(
            graph, opset_imports=[opset], ir_version=IR_VERSION, doc_string=doc
        )
        helper.set_model_props(model, fields.pop("properties"))
        for field, value in fields.items():
            setattr(model, field, value)
        onnx.checker.check_model(model, full_check=True)
        return model
