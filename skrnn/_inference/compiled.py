"""Prediction by compiled operations, on a CPU."""

from __future__ import annotations

import threading
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np

from skrnn._data.memory import (
    FlatSequences,
    read_rows,
    window_normalization,
)
from skrnn._data.sequences import Sequences
from skrnn._devices import numpy_dtype
from skrnn._kernels.calls import CallSplitter
from skrnn._nn.compiled import CompiledNetwork, memory_layout, reason_not_compiled
from skrnn._nn.module import RecurrentModule
from skrnn._typing import AnyArray

MAX_ROWS = 64  # of a batch: what a layer reads and writes then stays in the cache
MAX_STEPS = 2**17  # rows times steps of a batch

KEPT_SIZE = 2**21  # rows times steps times units, up to which a program is kept

# Programs are kept, since making one takes longer than to predict a row. Each thread
# has its own, as their arrays are overwritten.
_of_thread = threading.local()


def compiled_predictor(
    module: RecurrentModule, sequences: Sequences
) -> CompiledPredictor | None:
    """Return a predictor for sequences, None if torch's layers must run.

    Parameters
    ----------
    module : RecurrentModule
        The network.

    sequences : Sequences
        Normalised.

    Returns
    -------
    predictor : CompiledPredictor or None
    """
    if reason_not_compiled(module) is not None:
        return None
    if not hasattr(_of_thread, "predictors"):
        _of_thread.predictors = WeakKeyDictionary()
    # One for single rows and one for many, which would otherwise replace each other.
    predictors = _of_thread.predictors.setdefault(module, {})
    is_single = len(sequences) == 1
    predictor = predictors.pop(is_single, None)
    if predictor is None or not predictor.fits(module, sequences):
        predictor = CompiledPredictor(module, sequences)
    if predictor.n_rows * predictor.n_steps * module.n_states <= KEPT_SIZE:
        predictors[is_single] = predictor
    return predictor


class CompiledPredictor:
    """The forward pass of a module as a program, for sequences of a limited length.

    Parameters
    ----------
    module : RecurrentModule
        For which `reason_not_compiled` is None.

    sequences : Sequences
        Normalised. The program is for sequences that are not longer, and normalised in
        the same way.
    """

    def __init__(self, module: RecurrentModule, sequences: Sequences) -> None:
        self.dtype = numpy_dtype(module.head.weight.dtype)
        self.normalization = normalization_of(sequences)
        self.n_steps = int(sequences.n_batch_steps().max())
        self.n_rows = min(len(sequences), max(1, MAX_STEPS // self.n_steps), MAX_ROWS)
        # `predict` sets the addresses of its data; the program keeps none of it alive.
        no_rows = np.empty(0, np.int64)
        flat = FlatSequences(
            np.empty(0, self.dtype),
            no_rows,
            0,
            0,
            no_rows,
            window_normalization(sequences),
        )
        network = CompiledNetwork(module, flat, self.n_steps, self.n_rows)
        program = network.forward()
        self.per_step, self.n_outputs = network.per_step, network.n_outputs
        program.add(
            "copy_outputs",
            per_step=self.per_step,
            target_start=None,
            n_outputs=self.n_outputs,
            output=network.output,
            predictions=None,
        )
        self.program = program.compile(self.n_rows)
        self.layout = memory_layout(module)
        self.calls = CallSplitter()

    def fits(self, module: RecurrentModule, sequences: Sequences) -> bool:
        """Whether the program is for this module and these sequences."""
        n_rows = min(len(sequences), MAX_ROWS)
        return (
            int(sequences.n_batch_steps().max()) <= self.n_steps
            and (n_rows <= self.n_rows or self.n_rows * self.n_steps * 2 > MAX_STEPS)
            and self.layout == memory_layout(module)
            and self.normalization == normalization_of(sequences)
        )

    def predict(self, sequences: Sequences) -> AnyArray:
        """Return the raw outputs, as `predict_outputs` does."""
        n = len(sequences)
        order = np.arange(n)
        reader = read_rows(sequences, self.dtype, self.n_rows)
        flat = reader.flat
        if sequences.lengths is not None:  # batches of similar length: little padding
            order = np.argsort(sequences.lengths, kind="stable")
        bounds = np.arange(0, n + self.n_rows, self.n_rows)
        bounds[-1] = n
        target_start, shape = order, (n, self.n_outputs)
        if self.per_step:
            n_steps = flat.n_batch_steps
            ends = np.cumsum(n_steps)
            target_start, shape = ends - n_steps, (int(ends[-1]), self.n_outputs)
        out = np.empty(shape, self.dtype)
        self.program.replace(
            values=flat.values,
            start=flat.start,
            step_stride=flat.step_stride,
            feature_stride=flat.feature_stride,
            step_counts=flat.n_steps,
            target_start=target_start,
            predictions=out,
        )
        for first, last in self.calls.split(bounds, reader.most_rows):
            rows = order[bounds[first] : bounds[last]]
            reader.load(rows)
            self.program.run(rows, bounds[first : last + 1] - bounds[first])
        if self.per_step and sequences.lengths is None:
            return out.reshape(n, -1, self.n_outputs)
        return out


def normalization_of(sequences: Sequences) -> Any:
    """Return how sequences are normalised, comparable."""
    if sequences.window_norm is None:
        return None
    columns, min_std = list(sequences.columns), np.asarray(sequences.min_std).tolist()
    return sequences.window_norm, sequences.per_step, columns, min_std
