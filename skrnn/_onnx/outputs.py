"""Raw outputs to units of y, probabilities and labels, as the target objects do.

Legend of shapes: N rows of a batch, K raw outputs, T targets, Q quantiles. Where every
step has an output, all shapes have L after N.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, TypeAlias

import numpy as np

from skrnn._data.targets import ClassTarget, MultilabelTarget, QuantileTarget
from skrnn._onnx.graph import DOUBLE, FLOAT, INT, Graph
from skrnn._onnx.inputs import ROWS, Batch
from skrnn._typing import AnyArray

# Of windows, see `normalize_windows`.
Reference: TypeAlias = tuple[str, str | None] | None


class OutputWriter:
    """Adds the outputs of an estimator to a graph.

    Parameters
    ----------
    graph : Graph

    target : target object
        Of a sequence or of a time step.

    batch : Batch
        As the graph receives it.

    n_steps : int, str or None
        Size or name of the axis of time of the outputs; None if there is none.
    """

    def __init__(
        self,
        graph: Graph,
        target: Any,
        batch: Batch,
        n_steps: str | int | None = None,
    ) -> None:
        self.graph = graph
        self.target = target
        self.batch = batch
        self.leading = [ROWS] if n_steps is None else [ROWS, n_steps]
        self.is_padded = n_steps is not None and batch.ragged

    def write(self, outputs: list[str], reference: Reference) -> None:
        """Declare the outputs.

        Parameters
        ----------
        outputs : list of str
            Raw outputs `(N, K)` of each member of an ensemble.

        reference : tuple of str, or None
            Of windows, see `normalize_windows`.
        """
        output = outputs[0] if len(outputs) == 1 else self._combine(outputs)
        if isinstance(self.target, ClassTarget):
            self._write_classes(output)
        elif isinstance(self.target, MultilabelTarget):
            self._write_labels(output)
        elif isinstance(self.target, QuantileTarget):
            self._write_quantiles(output, reference)
        else:
            values = self._to_units(output, reference)
            self._add_numbers("variable", values, "Predictions in the units of y.")

    def _combine(self, outputs: list[str]) -> str:
        """Return the raw outputs of an ensemble, see `combine` of the targets."""
        graph, target = self.graph, self.target
        if isinstance(target, ClassTarget) and target.n_outputs > 1:
            # The softmax subtracts the logarithm of the number of members.
            return self._log_sum_exp(
                graph.add("LogSoftmax", output, axis=-1) for output in outputs
            )
        if isinstance(target, (ClassTarget, MultilabelTarget)):
            negative = [graph.add("Neg", output) for output in outputs]
            present, absent = map(self._log_mean_sigmoid, (outputs, negative))
            return graph.add("Sub", present, absent)
        if isinstance(target, QuantileTarget):
            sorted_each = [self._sort_quantiles(output) for output in outputs]
            mean = graph.add("Mean", *sorted_each)
            return graph.reshape(mean, *self._kept_axes(), target.n_outputs)
        return graph.add("Mean", *outputs)

    def _log_mean_sigmoid(self, outputs: list[str]) -> str:
        """Return the logarithm of the mean of sigmoids, up to a constant."""
        graph = self.graph
        softplus = (graph.add("Softplus", graph.add("Neg", z)) for z in outputs)
        return self._log_sum_exp(graph.add("Neg", value) for value in softplus)

    def _log_sum_exp(self, values: Iterable[str]) -> str:
        values = [self.graph.unsqueeze(value, 0) for value in values]
        stacked = self.graph.add("Concat", *values, axis=0)
        return self.graph.add("ReduceLogSumExp", stacked, axes=[0], keepdims=0)

    def _kept_axes(self) -> list[int]:
        return [0] * len(self.leading)  # 0 keeps the size of an axis

    # -- numbers

    def _write_quantiles(self, output: str, reference: Reference) -> None:
        graph, target = self.graph, self.target
        values = self._to_units(self._sort_quantiles(output), reference)
        middle = int(np.flatnonzero(target.levels == 0.5)[0])
        median = graph.add("Gather", values, middle, axis=-1)
        self._add_numbers("variable", median, "Medians in the units of y.")
        wanted = np.searchsorted(target.levels, target.quantiles)
        values = graph.add("Gather", values, wanted, axis=-1)
        levels = ", ".join(map(str, target.quantiles))
        doc = f"The quantiles {levels} on the last axis, in the units of y."
        self._add_numbers("quantiles", values, doc, len(target.quantiles))

    def _sort_quantiles(self, output: str) -> str:
        """Return `(N, T, Q)` in ascending order."""
        graph, target = self.graph, self.target
        n_levels = len(target.levels)
        shape = *self._kept_axes(), target.n_targets, n_levels
        values, k = graph.reshape(output, *shape), np.array([n_levels])
        values, _ = graph.add("TopK", values, k, largest=0, outputs=2)
        return values

    def _to_units(self, values: str, reference: Reference) -> str:
        """Return standardised `(N, T)` or `(N, T, Q)` in the units of y."""
        graph, target, dtype = self.graph, self.target, FLOAT
        has_quantiles = isinstance(target, QuantileTarget)
        if reference is not None or target.dtype == "float64":
            dtype, values = DOUBLE, graph.cast(values, DOUBLE)
        mean, scale = (np.asarray(p, dtype) for p in (target.mean, target.scale))
        if has_quantiles:
            mean, scale = mean[:, None], scale[:, None]
        values = graph.add("Add", graph.add("Mul", values, scale), mean)
        if reference is not None:
            location, spread = (
                graph.unsqueeze(part, -1) if has_quantiles and part else part
                for part in reference
            )
            if spread is not None:
                values = graph.add("Mul", values, spread)
            values = graph.add("Add", values, location)
        values = self._hide_padding(values, 2 if has_quantiles else 1, dtype)
        if target.dtype != dtype.name:
            values = graph.cast(values, np.dtype(target.dtype))
        return values

    def _add_numbers(self, name: str, values: str, doc: str, *more: int) -> None:
        shape, axis = [*self.leading, self.target.n_targets, *more], len(self.leading)
        if self.target.one_dimensional:
            values = self.graph.squeeze(values, axis)
            del shape[axis]
        dtype = np.dtype(self.target.dtype)
        self.graph.add_output(name, values, dtype, shape, doc + self._nan_remark())

    # -- labels

    def _write_classes(self, output: str) -> None:
        graph, target = self.graph, self.target
        classes = check_classes(target.classes)
        if target.n_outputs == 1:
            pads = [*self._kept_axes(), 1, *self._kept_axes(), 0]
            logits = graph.add("Pad", output, np.array(pads))  # 0 is that of the first
            is_second = graph.add("Greater", output, np.float32(0))
            code = graph.squeeze(graph.cast(is_second, INT), -1)
        else:
            logits = output
            code = graph.add("ArgMax", output, axis=-1, keepdims=0)
        self._add_label(
            graph.add("Gather", classes, code),
            classes.dtype,
            "The most probable label.",
        )
        self._add_probabilities(
            graph.add("Softmax", logits, axis=-1),
            len(classes),
            "The probability of each class, in the order of classes_.",
        )

    def _write_labels(self, output: str) -> None:
        graph, n = self.graph, self.target.n_outputs
        is_present = graph.cast(graph.add("Greater", output, np.float32(0)), INT)
        self._add_label(is_present, INT, "1 for each label that is present, else 0.", n)
        self._add_probabilities(
            graph.add("Sigmoid", output), n, "The probability of each label's presence."
        )

    def _add_label(
        self, value: str, dtype: np.dtype[Any], doc: str, *more: int
    ) -> None:
        if self.is_padded:
            doc += " Without meaning behind the end of a row."
        self.graph.add_output("label", value, dtype, [*self.leading, *more], doc)

    def _add_probabilities(self, values: str, n: int, doc: str) -> None:
        values = self._hide_padding(values, 1, FLOAT)
        shape, doc = [*self.leading, n], doc + self._nan_remark()
        self.graph.add_output("probabilities", values, FLOAT, shape, doc)

    # -- padding

    def _hide_padding(self, values: str, n_axes: int, dtype: np.dtype[Any]) -> str:
        """Return values with NaN behind the end of rows; with `n_axes` after time."""
        if not self.is_padded:
            return values
        axes = range(2, 2 + n_axes)
        valid = self.graph.unsqueeze(self.batch.valid(self.graph), *axes)
        return self.graph.add("Where", valid, values, dtype.type(np.nan))

    def _nan_remark(self) -> str:
        return " NaN behind the end of a row." if self.is_padded else ""


def check_classes(classes: AnyArray) -> AnyArray:
    """Return the labels as an array that a graph can hold.

    Raises
    ------
    ValueError
        If ONNX has no type for them.
    """
    kind = classes.dtype.kind
    if kind == "i":
        return classes.astype(INT)
    if kind in "bf":
        return classes
    if kind == "u" and classes.max() <= np.iinfo(INT).max:
        return classes.astype(INT)
    labels = classes.tolist()
    if all(isinstance(label, str) for label in labels):
        return np.array(labels, dtype=object)
    raise ValueError(
        "The labels in y must be strings, or integers of 64 bits, floats or booleans, "
        f"for export_onnx. Got {labels[0]!r} of type {type(labels[0]).__name__} among "
        "them. Replace them in y, and fit again."
    )
