"""Outputs and states of a network for many sequences, batch by batch."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor

from skrnn._data.sequences import Sequences
from skrnn._data.step_targets import StepValues
from skrnn._devices import numpy_dtype
from skrnn._inference.compiled import MAX_STEPS, compiled_predictor
from skrnn._nn.module import RecurrentModule
from skrnn._nn.states import States
from skrnn._training.truncated import select_rows
from skrnn._typing import AnyArray, IntArray

# A row alone must equal the row in a batch. Linear algebra libraries use other
# instructions for a remainder of rows; multiples of 16 leave no remainder.
ROW_MULTIPLE = 16
MAX_ROWS = 256
CHUNK_STEPS = 2**13  # longer sequences are predicted in chunks of so many steps


def predict_outputs(module: RecurrentModule, sequences: Sequences) -> AnyArray:
    """Return the raw outputs of sequences.

    Parameters
    ----------
    module : RecurrentModule
        The network.

    sequences : Sequences
        Normalised.

    Returns
    -------
    output : ndarray of shape (n_samples, K)
        With an output per time step `(n_samples, n_timesteps, K)`; of ragged sequences
        those of all steps, concatenated, `(S, K)`.
    """
    if sequences.longest <= CHUNK_STEPS:
        predictor = compiled_predictor(module, sequences)
        if predictor is not None:
            module.eval()
            return predictor.predict(sequences)

    def compute(rows: IntArray, values: Tensor, lengths: Tensor | None) -> Tensor:
        return _output_in_chunks(module, values, lengths)

    return _collect(module, sequences, compute, per_step=module.return_sequences)


def predict_ensemble(
    modules: list[RecurrentModule], sequences: Sequences, target: Any
) -> AnyArray:
    """Return the raw outputs of an ensemble, as `predict_outputs` does.

    Parameters
    ----------
    modules : list of RecurrentModule

    sequences : Sequences
        Normalised.

    target : target object
        Combines the outputs of the members.
    """
    if len(modules) == 1:
        return predict_outputs(modules[0], sequences)
    outputs = np.stack([predict_outputs(module, sequences) for module in modules])
    flat = torch.from_numpy(outputs).reshape(len(modules), -1, outputs.shape[-1])
    return target.combine(flat).numpy().reshape(outputs.shape[1:])


def predict_attention(module: RecurrentModule, sequences: Sequences) -> AnyArray:
    """Return the attention weights of the steps, as `predict_outputs` with K = 1."""

    def compute(rows: IntArray, values: Tensor, lengths: Tensor | None) -> Tensor:
        x, lengths = module.join_steps(module.encode_inputs(values), lengths)
        hidden, _ = module.run_layers(x, lengths)
        return module.attend(hidden, lengths)[1][:, :, None]

    return _collect(module, sequences, compute, per_step=True)


def predict_states(
    module: RecurrentModule, sequences: Sequences, initial_states: States | None = None
) -> tuple[AnyArray, list[tuple[AnyArray, ...]]]:
    """Return the outputs of the last layer and the last states of all layers.

    Parameters
    ----------
    module : RecurrentModule
        The network.

    sequences : Sequences
        Normalised.

    initial_states : states of all layers, default=None
        With a row for each sequence; None for those of the module.

    Returns
    -------
    output : ndarray of shape (n_samples, n_timesteps, D * H) or (S, D * H)

    final : list of tuples of ndarrays of shape (D, n_samples, H)
        Of each layer.
    """
    dtype = numpy_dtype(module.head.weight.dtype)
    n = len(sequences)
    final = [
        tuple(np.empty((len(part), n, part.shape[2]), dtype) for part in of_layer)
        for of_layer in module.zero_states(1)
    ]

    def compute(rows: IntArray, values: Tensor, lengths: Tensor | None) -> Tensor:
        states = None
        if initial_states is not None:
            padding = [rows[-1]] * (len(values) - len(rows))
            states = select_rows(initial_states, np.append(rows, padding))
        x, lengths = module.join_steps(module.encode_inputs(values), lengths)
        hidden, last = module.run_layers(x, lengths, states, with_cell=True)
        for arrays, of_layer in zip(final, last, strict=True):
            for array, part in zip(arrays, of_layer, strict=True):
                array[:, rows] = part[:, : len(rows)].cpu().numpy()
        return hidden

    return _collect(module, sequences, compute, per_step=True), final


def to_torch_layout(final: list[tuple[AnyArray, ...]]) -> Any:
    """Return the last states as torch does: `h_n`, or `(h_n, c_n)` of an LSTM.

    Parameters
    ----------
    final : list of tuples of ndarrays of shape (D, n_samples, H)
        Of each layer, see `predict_states`.

    Returns
    -------
    states : ndarray of shape (layers * D, n_samples, H), or a tuple of two
        With a list of one array per layer instead, if the layers differ in size.
    """
    states = []
    for of_layers in zip(*final, strict=True):
        equal_sizes = len({part.shape[2] for part in of_layers}) == 1
        states.append(np.concatenate(of_layers) if equal_sizes else list(of_layers))
    return states[0] if len(states) == 1 else tuple(states)


def check_finite_outputs(output: AnyArray, steps: StepValues | None, lr: float) -> None:
    """Refuse outputs of the network that are not finite.

    Parameters
    ----------
    output : ndarray of shape (n, K)
        Of sequences or of all time steps.

    steps : StepValues or None
        To which row each time step belongs; None if the outputs are of sequences.

    lr : float
        The learning rate of the fit, for the message.

    Raises
    ------
    ValueError
        If an output is NaN or infinite; it names the first such row of X.
    """
    row = _first_row_that_is_not_finite(output, steps)
    if row is None:
        return
    raise ValueError(
        "The output of the network must be finite. Got NaN or infinity for "
        f"row {row} of X. Compare its scale with that of the X "
        f"in fit, or fit again with a lower lr (now {lr})."
    )


def _first_row_that_is_not_finite(
    values: AnyArray, steps: StepValues | None
) -> int | None:
    """Return the sequence that the first value that is not finite is of, or None."""
    finite = np.isfinite(values).reshape(len(values), -1).all(axis=1)
    if finite.all():
        return None
    row: Any = finite.argmin()
    return row if steps is None else np.searchsorted(steps.starts, row, "right") - 1


def check_finite_predictions(prediction: AnyArray, steps: StepValues | None) -> None:
    """Refuse predictions that overflow in the units and the precision of y.

    Parameters
    ----------
    prediction : ndarray of shape (n,) or (n, ...)
        Of sequences or of all time steps. Labels are not checked.

    steps : StepValues or None
        As in `check_finite_outputs`.

    Raises
    ------
    ValueError
        If a prediction is NaN or infinite; it names the first such row of X.
    """
    if prediction.dtype.kind != "f":
        return
    row = _first_row_that_is_not_finite(prediction, steps)
    if row is None:
        return
    raise ValueError(
        f"Predictions must be finite in {prediction.dtype!r}. Got NaN or infinity for "
        f"row {row} of X. Compare its scale with that of the X in fit, or scale y."
    )


def _collect(
    module: RecurrentModule,
    sequences: Sequences,
    compute: Callable[..., Tensor],
    per_step: bool,
) -> AnyArray:
    """Return `compute(rows, values, lengths)` of all batches, rows in their order."""
    n, ends = len(sequences), None
    result: Any = None
    if per_step and sequences.lengths is not None:
        n_steps = module.count_patches(sequences.n_batch_steps())
        ends = np.cumsum(n_steps)
    module.eval()
    with torch.inference_mode():
        for rows, output in _outputs(module, sequences, compute):
            if result is None:
                size = n if ends is None else ends[-1]
                shape = output.shape[2 if ends is not None else 1 :]
                result = np.empty((size, *shape), dtype=output.dtype)
            if ends is None:
                result[rows] = output
                continue
            for row, of_row in zip(rows, output, strict=True):
                result[ends[row] - n_steps[row] : ends[row]] = of_row[: n_steps[row]]
    return result


def _outputs(
    module: RecurrentModule, sequences: Sequences, compute: Callable[..., Tensor]
) -> Iterator[tuple[IntArray, AnyArray]]:
    """Yield the rows and the outputs of batches, smaller ones if memory runs out."""
    n, first = len(sequences), 0
    order = np.arange(n)
    if sequences.lengths is not None:  # batches of similar length need little padding
        order = np.argsort(sequences.lengths, kind="stable")
    # Fewer rows of longer sequences, so that a batch needs bounded memory.
    n_rows = MAX_STEPS // sequences.longest // ROW_MULTIPLE * ROW_MULTIPLE
    n_rows = min(max(n_rows, ROW_MULTIPLE), MAX_ROWS)
    while first < n:
        rows = order[first : first + n_rows]
        try:
            batch = _read_batch(module, sequences, rows, min(n_rows, ROW_MULTIPLE))
            output = compute(rows, *batch)[: len(rows)].cpu().numpy()
        except torch.OutOfMemoryError as error:
            if len(rows) == 1:
                raise torch.OutOfMemoryError(
                    "A sequence must fit in the memory of the device. Got one of "
                    f"{sequences.n_steps()[rows[0]]} time steps. Predict shorter "
                    "sequences, or fit with a smaller hidden_size or device='cpu'."
                ) from error
            # The error keeps its memory until this block ends.
            batch = output = None
        if output is None:
            n_rows = len(rows) // 2
            continue
        yield rows, output
        first += len(rows)


def _read_batch(
    module: RecurrentModule, sequences: Sequences, rows: IntArray, multiple: int
) -> tuple[Tensor, Tensor | None]:
    """Return `(values, lengths)`, with the last row repeated as padding."""
    device, dtype = module.input_mean.device, numpy_dtype(module.input_mean.dtype)
    padding = np.repeat(rows[-1:], -len(rows) % multiple)
    values, lengths = sequences.take(np.concatenate([rows, padding]), dtype)
    values = torch.from_numpy(values).to(device)
    if lengths is not None:
        lengths = torch.from_numpy(lengths).to(device)
    return values, lengths


def _output_in_chunks(
    module: RecurrentModule, values: Tensor, lengths: Tensor | None
) -> Tensor:
    """Run the module on a batch; very long sequences in chunks, carrying the states."""
    n, longest, _ = values.shape
    if (
        longest <= CHUNK_STEPS
        or module.bidirectional
        or module.pooling != "last"
        or module.patch_size > 1
    ):
        return module(values, lengths)
    if lengths is None:
        lengths = torch.full((n,), longest, device=values.device)
    # Steps after the end of a row are computed too, but not used.
    states, outputs = None, []
    final: Any = None
    for first in range(0, longest, CHUNK_STEPS):
        chunk = slice(first, first + CHUNK_STEPS)
        x = module.encode_inputs(values[:, chunk])
        hidden, states = module.run_layers(x, states=states)
        if module.return_sequences:
            n_before = min(first, max(module.ar_order - 1, 0))
            history = module.encode_inputs(values[:, first - n_before : chunk.stop])
            # A copy: a view would keep the output of the padded units in memory.
            outputs.append(module.compute_output(hidden, states, history).clone())
            continue
        ends_here = (lengths > first) & (lengths <= chunk.stop)
        step = (lengths - 1 - first).clamp(0, hidden.shape[1] - 1)
        last = hidden[torch.arange(n, device=hidden.device), step]
        final = last if final is None else torch.where(ends_here[:, None], last, final)
    if module.return_sequences:
        return torch.cat(outputs, dim=1)
    return module.compute_output(
        None, [(final[None],)], module.encode_inputs(values), lengths
    )
