"""What the graph receives, and the normalisation of windows.

Legend of shapes: N rows of a batch, L time steps, F features.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from skrnn._data.sequences import FIXED, PADDING, UNKNOWN
from skrnn._onnx.graph import DOUBLE, FLOAT, INT, Graph, Value
from skrnn._typing import AnyArray, Estimator

if TYPE_CHECKING:
    from skrnn._data.normalization import WindowNormalizer

ROWS, STEPS = "n_samples", "n_timesteps"
WHOLE = -1  # the default of `lengths`: all time steps
END = np.iinfo(INT).max  # of an axis


@dataclass(frozen=True)
class Batch:
    """A batch of sequences within a graph.

    Attributes
    ----------
    values : str
        `(N, L, F)`; token ids `(N, L)`.

    lengths : str
        `(N,)`, int64: the valid steps of each row.

    n_steps : str or int
        L, a scalar.

    n_features : int
        F.

    ragged : bool
        Whether rows may be shorter than L.

    dtype : numpy dtype
        Of the values.
    """

    values: str
    lengths: str
    n_steps: str | int
    n_features: int
    ragged: bool
    dtype: np.dtype[Any] = FLOAT

    def valid(self, graph: Graph, time_axis: int = 1) -> str:
        """Return whether steps are valid, `(N, L)`; `(L, N)` with time first."""
        steps = graph.unsqueeze(graph.range(self.n_steps), 1 - time_axis)
        return graph.add("Less", steps, graph.unsqueeze(self.lengths, time_axis))


def read_batch(graph: Graph, estimator: Estimator, min_steps: int) -> Batch:
    """Declare the inputs `X` and, where rows may be shorter, `lengths`.

    Parameters
    ----------
    graph : Graph

    estimator : BaseRecurrent
        Fitted.

    min_steps : int
        Number of steps that a row needs.

    Returns
    -------
    batch : Batch
    """
    is_fixed = estimator._input_kind == FIXED
    n_steps = estimator.n_features_in_ if is_fixed else STEPS
    if estimator._module_config.embedding_dim is not None:
        return _read_token_ids(graph, n_steps, estimator._n_tokens)
    if is_fixed:
        doc = "Sequences of one feature, one for each row, oldest time step first."
        X = graph.add_input("X", FLOAT, [ROWS, n_steps], doc)
        n_rows = graph.add("Shape", X, start=0, end=1)
        lengths = graph.add("Expand", np.array([n_steps]), n_rows)
        X = graph.unsqueeze(_require_finite(graph, X), 2)
        return Batch(X, lengths, n_steps, 1, ragged=False)
    doc = "Sequences, oldest time step first. Values behind the end of a row are free."
    n_features = estimator.n_features_in_
    X = graph.add_input("X", FLOAT, [ROWS, STEPS, n_features], doc)
    doc = (
        f"Number of time steps of each row, at least {min_steps}. If it is left out, "
        f"or {WHOLE}, a row has n_timesteps."
    )
    lengths = graph.add_input("lengths", INT, [ROWS], doc, default=np.array([WHOLE]))
    n_steps = graph.size(X, 1)
    is_whole = graph.add("Equal", lengths, WHOLE)
    lengths = graph.add("Where", is_whole, n_steps, lengths)
    is_valid = graph.add(
        "And",
        graph.add("GreaterOrEqual", lengths, min_steps),
        graph.add("LessOrEqual", lengths, n_steps),
    )
    rule = f"lengths must be from {min_steps} to n_timesteps"
    lengths = graph.require(lengths, INT, is_valid, rule)
    n_rows = graph.add("Shape", X, start=0, end=1)
    lengths = graph.add("Expand", lengths, n_rows)
    batch = Batch(X, lengths, n_steps, n_features, ragged=True)
    # Padding may hold anything, NaN too, which zero weights would not remove.
    valid = graph.unsqueeze(batch.valid(graph), 2)
    X = graph.add("Where", valid, X, np.float32(0))
    return replace(batch, values=_require_finite(graph, X))


def _require_finite(graph: Graph, X: str) -> str:
    """Return X: a label would not tell that a value is NaN."""
    is_finite = graph.add("LessOrEqual", graph.add("Abs", X), np.finfo(FLOAT).max)
    return graph.require(X, FLOAT, is_finite, "X must be finite")


def _read_token_ids(graph: Graph, n_steps: str | int, n_tokens: int) -> Batch:
    """Declare ids of tokens; their trailing zeros tell the lengths."""
    doc = (
        f"Ids of tokens below {n_tokens}: {PADDING} is padding at the end of a row, "
        f"{UNKNOWN} an unknown token."
    )
    X = graph.add_input("X", INT, [ROWS, n_steps], doc)
    if n_steps == STEPS:
        n_steps = graph.size(X, 1)
    is_token = graph.cast(graph.add("Not", graph.add("Equal", X, PADDING)), INT)
    places = graph.add("Add", graph.range(n_steps), 1)
    lengths = graph.add(
        "ReduceMax", graph.add("Mul", is_token, places), axes=[1], keepdims=0
    )
    n_tokens_of_rows = graph.add("ReduceSum", is_token, np.array([1]), keepdims=0)
    is_id = graph.add(
        "And", graph.add("GreaterOrEqual", X, 0), graph.add("Less", X, n_tokens)
    )
    rule = f"X must hold ids from 0 to {n_tokens - 1}"
    lengths = graph.require(lengths, INT, is_id, rule)
    is_padded = graph.add("Equal", lengths, n_tokens_of_rows)
    rule = "X must have the padding 0 behind the tokens only"
    lengths = graph.require(lengths, INT, is_padded, rule)
    is_filled = graph.add("Greater", lengths, 0)
    lengths = graph.require(lengths, INT, is_filled, "X must have a token in every row")
    return Batch(X, lengths, n_steps, 1, ragged=True, dtype=INT)


def normalize_windows(
    graph: Graph, batch: Batch, normalizer: WindowNormalizer
) -> tuple[Batch, tuple[str, str | None] | None]:
    """Normalise the target columns of each window, as `WindowNormalizer` does.

    Returns
    -------
    batch : Batch
        In float64.

    reference : tuple of str, or None
        The location and the scale of each row, `(N, k)`, or of each step, `(N, L, k)`;
        the scale is None where it is 1. None without normalisation.
    """
    if normalizer.window_norm is None:
        return batch, None
    values = graph.cast(batch.values, DOUBLE)
    own = graph.add("Gather", values, np.array(normalizer.columns), axis=2)
    location, scale, others = None, None, values
    if normalizer.window_norm == "difference":
        before = _slice_steps(graph, own, 0, -1)
        if normalizer.per_step:
            first = _slice_steps(graph, own, 0, 1)
            before = graph.add("Concat", first, before, axis=1)
            location = own
            normalized = graph.add("Sub", own, before)
        else:
            location = last_step(graph, own, batch)
            normalized = graph.add("Sub", _slice_steps(graph, own, 1), before)
            others = _slice_steps(graph, values, 1)
            lengths, n_steps = (
                graph.add("Sub", n, 1) for n in (batch.lengths, batch.n_steps)
            )
            batch = replace(batch, lengths=lengths, n_steps=n_steps)
    else:
        if normalizer.window_norm == "last":
            location = last_step(graph, own, batch)
        else:
            location, scale = _mean_and_deviation(graph, own, batch, normalizer.min_std)
        normalized = graph.add("Sub", own, graph.unsqueeze(location, 1))
        if scale is not None:
            normalized = graph.add("Div", normalized, graph.unsqueeze(scale, 1))
    columns: Any = normalizer.columns  # not None, with window_norm
    values = _replace_columns(graph, others, normalized, columns, batch.n_features)
    return replace(batch, values=values, dtype=DOUBLE), (location, scale)


def _slice_steps(graph: Graph, values: str, start: int, stop: int = END) -> str:
    bounds = np.array([start]), np.array([stop]), np.array([1])
    return graph.add("Slice", values, *bounds)


def _mean_and_deviation(
    graph: Graph, own: str, batch: Batch, min_std: AnyArray | None
) -> tuple[str, str]:
    """Return those of the valid steps, `(N, k)`."""
    n_steps = graph.unsqueeze(graph.cast(batch.lengths, DOUBLE), 1)
    zero = np.float64(0)
    valid = graph.unsqueeze(batch.valid(graph), 2)
    axis = np.array([1])
    valid_own = graph.add("Where", valid, own, zero)
    total = graph.add("ReduceSum", valid_own, axis, keepdims=0)
    mean = graph.add("Div", total, n_steps)
    gaps = graph.add("Sub", own, graph.unsqueeze(mean, 1))
    gaps = graph.add("Where", valid, gaps, zero)
    squares = graph.add("Mul", gaps, gaps)
    variance = graph.add("ReduceSum", squares, axis, keepdims=0)
    variance = graph.add("Div", variance, n_steps)
    deviation = graph.add("Sqrt", variance)
    return mean, graph.add("Max", deviation, np.asarray(min_std, DOUBLE))


def _replace_columns(
    graph: Graph, values: str, new: str, columns: list[int], n_features: int
) -> str:
    """Return values whose `columns` are replaced."""
    if list(columns) == list(range(n_features)):
        return new
    index = np.arange(n_features) + len(columns)
    index[list(columns)] = np.arange(len(columns))
    both = graph.add("Concat", new, values, axis=2)
    return graph.add("Gather", both, index, axis=2)


def take_steps(graph: Graph, values: str, index: Value) -> str:
    """Return some steps of each row, `(N, S, F)`, by an index `(N, S)`."""
    return graph.add("GatherND", values, graph.unsqueeze(index, 2), batch_dims=1)


def last_step(graph: Graph, values: str, batch: Batch) -> str:
    """Return the last valid step of each row, `(N, F)`."""
    index = graph.unsqueeze(graph.add("Sub", batch.lengths, 1), 1)
    return graph.squeeze(take_steps(graph, values, index), 1)
