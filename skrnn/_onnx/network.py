"""A network as ONNX operators; reads like `RecurrentModule.forward`.

Legend of shapes: N rows of a batch, L time steps, F features, H hidden units, G gates,
D directions (1 or 2), K outputs.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import torch

from skrnn._nn.config import N_GATES
from skrnn._nn.module import RecurrentModule
from skrnn._onnx.graph import FLOAT, INT32, Graph
from skrnn._onnx.inputs import Batch, last_step, take_steps
from skrnn._typing import AnyArray

OPERATORS = {"rnn": "RNN", "gru": "GRU", "lstm": "LSTM"}
# For each gate of ONNX, its place in torch: of a GRU z, r, n, of an LSTM i, o, f, g.
GATES = {"rnn": [0], "gru": [1, 0, 2], "lstm": [0, 3, 1, 2]}
LOWEST = np.float32(-np.inf)


class NetworkWriter:
    """Adds the operators of a module to a graph.

    Parameters
    ----------
    graph : Graph

    module : RecurrentModule
        The network.

    prefix : str
        Of the names of its parameters.
    """

    def __init__(self, graph: Graph, module: RecurrentModule, prefix: str = "") -> None:
        self.graph = graph
        self.module = module
        self.config = module.config
        self.prefix = prefix

    def forward(self, batch: Batch) -> str:
        """Return the raw outputs of a batch, `(N, K)`, per step `(N, L, K)`."""
        inputs = self.encode_inputs(batch)
        patches = self.join_steps(inputs)
        hidden, last = self.run_layers(patches)
        return self.compute_output(hidden, last, inputs, patches)

    def encode_inputs(self, batch: Batch) -> Batch:
        """Standardise the features, or look up token ids, in float32."""
        graph, config = self.graph, self.config
        if config.embedding_dim is not None:
            weight = self._parameter("embedding.weight")
            values = graph.add("Gather", weight, batch.values)
            size = config.embedding_dim
            return replace(batch, values=values, n_features=size, dtype=FLOAT)
        dtype, values = np.dtype(config.input_dtype), batch.values
        mean, scale = (
            getattr(self.module, name).detach().cpu().numpy().astype(dtype)
            for name in ("input_mean", "input_scale")
        )
        if (mean != 0).any() or (scale != 1).any():
            if batch.dtype != dtype:
                values = graph.cast(values, dtype)
            values = graph.add("Div", graph.add("Sub", values, mean), scale)
            batch = replace(batch, dtype=dtype)
        if batch.dtype != FLOAT:
            values = graph.cast(values, FLOAT)
        return replace(batch, values=values, dtype=FLOAT)

    def join_steps(self, batch: Batch) -> Batch:
        """Join `patch_size` consecutive steps each to patches.

        The first step is repeated in front of rows that are no multiple long.
        """
        graph, size = self.graph, self.config.patch_size
        if size == 1:
            return batch
        n_patches, longest = (
            graph.add("Div", graph.add("Add", n, size - 1), size)
            for n in (batch.lengths, batch.n_steps)
        )
        padding = graph.add("Sub", graph.add("Mul", n_patches, size), batch.lengths)
        steps = graph.range(graph.add("Mul", longest, size))
        steps = graph.add("Sub", steps, graph.unsqueeze(padding, 1))
        last = graph.add("Sub", batch.n_steps, 1)
        steps = graph.add("Min", graph.add("Max", steps, 0), last)
        n_columns = size * batch.n_features
        patches = take_steps(graph, batch.values, steps)
        return replace(
            batch,
            values=graph.reshape(patches, 0, -1, n_columns),
            lengths=n_patches,
            n_steps=longest,
            n_features=n_columns,
        )

    # -- layers

    def run_layers(self, batch: Batch) -> tuple[str | None, str | None]:
        """Run all layers over `(N, L, F)`.

        Returns
        -------
        hidden : str or None
            `(L, N, D * H)`, the output of the last layer. What follows the last valid
            step of a row is undefined. None if only the state is read.

        last : str
            `(D, N, H)`, its state after the last valid step.
        """
        hidden: str | None
        graph, last = self.graph, None
        n_rows = graph.add("Shape", batch.values, start=0, end=1)
        # ONNX's layers have time first.
        hidden = graph.add("Transpose", batch.values, perm=[1, 0, 2])
        lengths = graph.cast(batch.lengths, INT32) if batch.ragged else None
        n_layers = len(self.module.layers)
        pooling, per_step = self.config.pooling, self.config.return_sequences
        for i in range(n_layers):
            is_last = i == n_layers - 1
            reads_state = not per_step and pooling in ("last", "concat")
            reads_output = per_step or pooling != "last"
            needed = (reads_output, reads_state) if is_last else (True, False)
            hidden, last = self._run_layer(i, hidden, lengths, n_rows, needed)
        return hidden, last

    def _run_layer(
        self,
        i: int,
        x: str | None,
        lengths: str | None,
        n_rows: str,
        needed: tuple[bool, bool],
    ) -> tuple[str | None, str]:
        graph, config = self.graph, self.config
        n_directions, size = self.module.n_directions, config.hidden_sizes[i]
        parts = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
        weights = [self._layer_parameters(i, part) for part in parts]
        attributes: dict[str, Any] = {"hidden_size": size}
        if n_directions == 2:
            attributes["direction"] = "bidirectional"
        if config.cell_type == "rnn":
            attributes["activations"] = [config.nonlinearity.title()] * n_directions
        if config.cell_type == "gru":
            attributes["linear_before_reset"] = 1  # torch's formula of n
        biases = graph.constant(
            np.concatenate(weights[2:], axis=1), self._name(f"layers.{i}.bias")
        )
        output, state = graph.add(
            OPERATORS[config.cell_type],
            x,
            graph.constant(weights[0], self._name(f"layers.{i}.weight_ih")),
            graph.constant(weights[1], self._name(f"layers.{i}.weight_hh")),
            biases,
            lengths,
            *self._initial_states(i, n_rows),
            outputs=needed,
            **attributes,
        )
        if not needed[0]:
            return None, state
        if n_directions == 1:
            return graph.squeeze(output, 1), state
        output = graph.add("Transpose", output, perm=[0, 2, 1, 3])
        return graph.reshape(output, 0, 0, n_directions * size), state

    def _layer_parameters(self, i: int, name: str) -> AnyArray:
        """Return a parameter of all directions, `(D, G * H, ...)`, ONNX's gates."""
        suffixes = ("_l0", "_l0_reverse")[: self.module.n_directions]
        gates, n_gates = GATES[self.config.cell_type], N_GATES[self.config.cell_type]
        directions = []
        for suffix in suffixes:
            values = self._array(f"layers.{i}.{name}{suffix}")
            values = values.reshape(n_gates, -1, *values.shape[1:])[gates]
            directions.append(values.reshape(-1, *values.shape[2:]))
        return np.stack(directions)

    def _initial_states(self, i: int, n_rows: str) -> list[str]:
        """Return the initial states `(D, N, H)`, none for zeros."""
        if self.config.initial_state != "learned":  # others are for training
            return []
        graph, size = self.graph, self.config.hidden_sizes[i]
        ends = np.array([self.module.n_directions]), np.array([size])
        shape = graph.add("Concat", ends[0], n_rows, ends[1], axis=0)
        learned = self._array(f"learned_states.{i}")
        return [graph.add("Expand", part[:, None], shape) for part in learned]

    # -- output

    def compute_output(
        self, hidden: str | None, last: str | None, inputs: Batch, patches: Batch
    ) -> str:
        """Compute the raw outputs from the output and the state of the last layer."""
        graph = self.graph
        if self.config.return_sequences:
            pooled = graph.add("Transpose", hidden, perm=[1, 0, 2])
        else:
            pooled = self._pool(hidden, last, patches)
        output = self._linear("head", pooled)
        if self.module.highway is None:
            return output
        lags = self._highway_inputs(inputs)
        return graph.add("Add", output, self._linear("highway", lags))

    def _linear(self, name: str, x: str | None) -> str:
        weight = self._array(f"{name}.weight").T
        weight = self.graph.constant(weight, self._name(f"{name}.weight"))
        product = self.graph.add("MatMul", x, weight)
        return self.graph.add("Add", product, self._parameter(f"{name}.bias"))

    def _pool(self, hidden: str | None, last: str | None, batch: Batch) -> str:
        """Return `(N, D * H)`, with 'concat' `(N, 3 * D * H)`."""
        graph, pooling = self.graph, self.config.pooling
        if pooling == "attention":
            return self._attend(hidden, batch)
        pooled = []
        if pooling in ("last", "concat"):
            last = graph.add("Transpose", last, perm=[1, 0, 2])
            n_columns = self.module.n_directions * self.config.hidden_sizes[-1]
            pooled.append(graph.reshape(last, 0, n_columns))
        if pooling in ("mean", "concat"):
            total = self._only_valid(hidden, batch, np.float32(0))
            total = graph.add("ReduceSum", total, np.array([0]), keepdims=0)
            n_steps = graph.unsqueeze(graph.cast(batch.lengths, FLOAT), 1)
            pooled.append(graph.add("Div", total, n_steps))
        if pooling in ("max", "concat"):
            valid = self._only_valid(hidden, batch, LOWEST)
            pooled.append(graph.add("ReduceMax", valid, axes=[0], keepdims=0))
        return pooled[0] if len(pooled) == 1 else graph.add("Concat", *pooled, axis=1)

    def _only_valid(
        self, hidden: str | None, batch: Batch, otherwise: np.float32
    ) -> str | None:
        """Return `(L, N, ...)` with another value behind the valid steps."""
        if not batch.ragged:
            return hidden
        valid = self.graph.unsqueeze(batch.valid(self.graph, time_axis=0), 2)
        return self.graph.add("Where", valid, hidden, otherwise)

    def _attend(self, hidden: str | None, batch: Batch) -> str:
        graph = self.graph
        keys = graph.add("Tanh", self._linear("attention", hidden))
        context = self._array("context")[:, None]
        context = graph.constant(context, self._name("context"))
        scores = graph.add("MatMul", keys, context)  # (L, N, 1)
        scores = self._only_valid(scores, batch, LOWEST)
        weights = graph.add("Softmax", scores, axis=0)
        hidden = self._only_valid(hidden, batch, np.float32(0))
        product = graph.add("Mul", weights, hidden)
        return graph.add("ReduceSum", product, np.array([0]), keepdims=0)

    def _highway_inputs(self, batch: Batch) -> str:
        """Return what the highway reads, see `RecurrentModule.highway_inputs`."""
        graph, x = self.graph, batch.values
        columns, others = self.module.ar_columns, self.module.other_columns
        order = self.config.ar_order
        lag = np.arange(order - 1, -1, -1)
        if self.config.return_sequences:
            own = self._columns(x, columns, batch.n_features)
            last = graph.unsqueeze(graph.range(batch.n_steps), 1)
            steps = graph.add("Max", graph.add("Sub", last, lag), 0)
            lagged = graph.add("Gather", own, steps, axis=1)
            lagged = graph.reshape(lagged, 0, 0, order * len(columns))
        else:
            last = graph.unsqueeze(batch.lengths, 1)
            steps = graph.add("Max", graph.add("Sub", last, lag + 1), 0)
            recent = take_steps(graph, x, steps)
            lagged = self._columns(recent, columns, batch.n_features)
            lagged = graph.reshape(lagged, 0, order * len(columns))
            x = last_step(graph, x, batch)
        if not others:
            return lagged
        axis = 2 if self.config.return_sequences else 1
        others = graph.add("Gather", x, np.array(others), axis=axis)
        return graph.add("Concat", lagged, others, axis=axis)

    def _columns(self, x: str, columns: list[int], n_features: int) -> str:
        if list(columns) == list(range(n_features)):
            return x
        return self.graph.add("Gather", x, np.array(columns), axis=2)

    # -- parameters

    def _parameter(self, name: str) -> str:
        return self.graph.constant(self._array(name), self._name(name))

    def _name(self, name: str) -> str:
        return f"{self.prefix}{name}"

    def _array(self, name: str) -> AnyArray:
        """Return a parameter in float32, which is what onnxruntime's layers take."""
        parameter: Any = self.module
        for part in name.split("."):
            parameter = getattr(parameter, part)
        array = parameter.detach().cpu().to(torch.float32).numpy()
        if not np.isfinite(array).all():
            raise ValueError(
                f"All weights must be finite in float32 for export_onnx. Got NaN or "
                f"infinity in {name}. Fit again with a lower lr."
            )
        return array
