"""One target for each time step: a target object over all steps, concatenated.

Legend of shapes: S valid steps of all sequences together, K outputs.
"""

from __future__ import annotations

from typing import Any, Self

import numpy as np
from sklearn.utils.validation import check_array

from skrnn._data.containers import concatenate, read_array, read_numbers
from skrnn._data.sequences import Sequences
from skrnn._typing import AnyArray, IntArray, Target


class StepValues:
    """Values with one entry for each valid time step of some sequences.

    Parameters
    ----------
    flat : ndarray of shape (S,) or (S, K)
        The values of all sequences, concatenated.

    lengths : ndarray of shape (n_samples,)
        Steps of each sequence.
    """

    def __init__(self, flat: AnyArray, lengths: IntArray) -> None:
        self.flat = flat
        self.lengths = lengths
        self.starts = np.concatenate([[0], np.cumsum(lengths)[:-1]])

    def __len__(self) -> int:
        return len(self.lengths)

    def with_values(self, flat: AnyArray | None) -> Any:
        """Return other values for the same steps, None for None."""
        return None if flat is None else StepValues(flat, self.lengths)

    def __getitem__(self, rows: IntArray | slice) -> StepValues:
        """Return the values of some sequences."""
        return StepValues(self.flat[self.step_indices(rows)], self.lengths[rows])

    def step_indices(self, rows: Any) -> IntArray:
        """Return the indices into `flat` of the steps of some sequences."""
        lengths = self.lengths[rows]
        ends = np.cumsum(lengths)
        first = np.repeat(self.starts[rows] - ends + lengths, lengths)
        return first + np.arange(ends[-1] if len(ends) else 0)

    def padded(self, rows: IntArray) -> AnyArray:
        """Return the values of some sequences, zero-padded: `(N, L, ...)`."""
        lengths = self.lengths[rows]
        steps = np.arange(lengths.max())
        valid = steps < lengths[:, None]
        batch = np.zeros((*valid.shape, *self.flat.shape[1:]), dtype=self.flat.dtype)
        batch[valid] = self.flat[self.step_indices(rows)]
        return batch

    def unflatten(self, flat: AnyArray, ragged: bool) -> AnyArray:
        """Return values in the form that users get.

        `(n_samples, n_timesteps, ...)`, or for ragged sequences a 1-D object array of
        arrays.
        """
        if not ragged:
            return flat.reshape(len(self), -1, *flat.shape[1:])
        pieces = np.empty(len(self), dtype=object)
        pieces[:] = np.split(flat, self.starts[1:])
        return pieces


class StepwiseTarget:
    """A target for each time step, in terms of the target of a single step.

    Takes and returns `StepValues`; the wrapped object sees all steps as one column.

    Parameters
    ----------
    step_target : target object
        The target of one step.
    """

    def __init__(self, step_target: Any) -> None:
        self.step_target = step_target

    @property
    def n_outputs(self) -> int:
        """Raw outputs per step."""
        return self.step_target.n_outputs

    def __getattr__(self, name: str) -> Any:
        # `classes` exists exactly where the wrapped target has it.
        if name == "classes" and "step_target" in vars(self):
            return self.step_target.classes
        raise AttributeError(f"{type(self).__name__} has no attribute {name!r}.")

    def fit(
        self,
        y: StepValues,
        rows: IntArray,
        weights: StepValues | None,
        reference: tuple[AnyArray, AnyArray] | None = None,
    ) -> Self:
        """Learn the units of y from the steps of `rows`."""
        steps, step_weights = y.step_indices(rows), None
        if weights is not None:
            counted = weights.flat > 0
            steps, step_weights = steps[counted], weights.flat[counted]
        self.step_target.fit(y.flat, steps, step_weights, reference)
        return self

    def encode(
        self,
        y: StepValues,
        name: str = "y",
        reference: tuple[AnyArray, AnyArray] | None = None,
    ) -> StepValues:
        """Return the encoded targets of all steps, as `StepValues`."""
        return y.with_values(self.step_target.encode(y.flat, name, reference))

    def row_weights(
        self, codes: StepValues, class_weight: Any, weights: StepValues | None
    ) -> StepValues | None:
        """Return the weight of each step, multiplied by that of its class."""
        flat = None if weights is None else weights.flat
        return codes.with_values(
            self.step_target.row_weights(codes.flat, class_weight, flat)
        )

    def class_weights(self, codes: StepValues) -> StepValues | None:
        """Return the weights that `row_weights` learned, for other steps."""
        return codes.with_values(self.step_target.class_weights(codes.flat))

    def row_loss(self, output: Any, target: Any) -> Any:
        """Return the loss of each step `(N, L)` for raw outputs `(N, L, K)`."""
        losses = self.step_target.row_loss(output.flatten(0, 1), target.flatten(0, 1))
        return losses.view(output.shape[:2])

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.step_target!r})"


def unwrap_target(target: Target) -> Any:
    """Return the target of a single step, or a target per sequence as it is."""
    return target.step_target if isinstance(target, StepwiseTarget) else target


def check_step_targets(
    y: Any, sequences: Sequences, name: str = "y", of: str = "X", what: str = "target"
) -> StepValues:
    """Return y as `StepValues`, after checking it against the steps of X.

    Parameters
    ----------
    y : array-like of shape (n_samples, n_timesteps) or (n_samples, n_timesteps, K), \
or list or 1-D object array of arrays
        Targets of all steps.

    sequences : Sequences
        With as many rows. If their padding was removed, y may still have it.

    name, of, what : str
        Names of y, of the sequences and of one value of y in messages.

    Raises
    ------
    ValueError
        If there is not one target for each step.
    """
    lengths = sequences.n_steps()
    if hasattr(y, "to_numpy"):
        y = y.to_numpy()
    dense = isinstance(y, np.ndarray) and y.ndim > 1
    pieces = (
        y if dense else [_as_piece(piece, i, name, what) for i, piece in enumerate(y)]
    )
    padded = lengths if sequences.padded_steps is None else sequences.padded_steps
    for i, (piece, length) in enumerate(zip(pieces, lengths, strict=True)):
        if piece.ndim == 0:
            raise ValueError(
                f"{name} must hold one target for each time step with "
                "return_sequences=True: an array of shape (n_samples, n_timesteps) or "
                "(n_samples, n_timesteps, n_outputs), or a list of arrays. Got one "
                f"target for sequence {i}. Set return_sequences=False for one target "
                "per sequence."
            )
        if piece.ndim > 2:
            raise ValueError(
                f"{name} must hold one {what}, or one row of {what}s, for each time "
                f"step. Got shape {piece.shape} for sequence {i}."
            )
        if len(piece) == 0:
            raise ValueError(
                f"{name} must hold at least one {what} for every sequence. Got none "
                f"for sequence {i}. Leave empty sequences out."
            )
        if len(piece) not in (length, padded[i]):
            raise ValueError(
                f"{name} must hold one {what} for each time step of {of}. Got "
                f"{len(piece)} for the {length} steps of sequence {i}."
            )
        if piece.shape[1:] != pieces[0].shape[1:]:
            raise ValueError(
                f"{name} must hold as many {what}s for every time step. Got shape "
                f"{pieces[0].shape} for sequence 0 and {piece.shape} for sequence {i}."
            )
        if dense and sequences.lengths is None:
            break  # all sequences have the same shape
    if dense and sequences.lengths is None:
        return StepValues(y.reshape(-1, *y.shape[2:]), lengths)
    # Values after the end of a sequence belong to its padding.
    valid = [piece[:length] for piece, length in zip(pieces, lengths, strict=True)]
    return StepValues(concatenate(valid), lengths)


def _as_piece(piece: Any, i: int, name: str, what: str) -> AnyArray:
    try:
        return read_array(piece)
    except ValueError as error:  # numpy's message would not name the sequence
        raise ValueError(
            f"{name} must hold as many {what}s for every time step. Got different "
            f"numbers in sequence {i}."
        ) from error


def check_step_weights(sample_weight: Any, sequences: Sequences) -> StepValues | None:
    """Return the weight of each step as `StepValues`, or None for equal weights.

    A weight for each sequence, `(n_samples,)`, holds for each of its steps.
    """
    if sample_weight is None:
        return None
    lengths = sequences.n_steps()
    if np.isscalar(sample_weight):
        # Text raises an error.
        sample_weight = np.full(len(lengths), float(sample_weight))  # type: ignore[arg-type]
    if hasattr(sample_weight, "to_numpy"):
        sample_weight = sample_weight.to_numpy()
    if len(sample_weight) != len(lengths):
        raise ValueError(
            f"sample_weight must have a weight for each of the {len(lengths)} "
            f"sequences, or for each of their steps. Got {len(sample_weight)} entries."
        )
    single = [np.isscalar(w) or not np.iterable(w) for w in sample_weight]
    if all(single):
        weights = StepValues(np.repeat(np.asarray(sample_weight), lengths), lengths)
    elif any(single):
        raise ValueError(
            "sample_weight must hold one weight for each sequence, or for each time "
            f"step of each. Got one for sequence {single.index(True)} and several for "
            f"sequence {single.index(False)}."
        )
    else:
        weights = check_step_targets(
            sample_weight, sequences, "sample_weight", what="weight"
        )
    flat = read_numbers(weights.flat, "sample_weight", "Give a number for each step.")
    flat = check_array(
        flat, ensure_2d=False, dtype=np.float64, input_name="sample_weight"
    )
    if flat.ndim != 1:
        raise ValueError(
            "sample_weight must hold one weight for each sequence or for each time "
            f"step. Got several for a step: shape {flat.shape[1:]}."
        )
    if flat.min() < 0:
        i = int(np.searchsorted(weights.starts, flat.argmin(), side="right")) - 1
        raise ValueError(
            f"sample_weight must not be negative. Got {flat.min()} in sequence {i}. "
            "Use 0 to leave a step out."
        )
    if flat.max() == 0:
        raise ValueError(
            "sample_weight must have a weight above zero for at least one step. Got "
            f"zero for all {len(flat)}."
        )
    # Only ratios count; sums of the largest, and quotients of the smallest, overflow.
    peak = flat.max()
    return weights.with_values(flat if 1e-300 < peak < 1e300 else flat / peak)
