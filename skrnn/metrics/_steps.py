"""The time steps of all sequences, concatenated, and their weights."""

from __future__ import annotations

from typing import Any

import numpy as np

from skrnn._data.containers import concatenate, read_array
from skrnn._typing import AnyArray, FloatArray, IntArray


def flatten_steps(y: Any, name: str = "y") -> tuple[AnyArray, IntArray]:
    """Return the concatenated steps of all sequences, and the lengths of sequences.

    Parameters
    ----------
    y : array-like of shape (n_samples, n_timesteps) or (n_samples, n_timesteps, k), \
or list or object array of arrays
        Values of each step.

    name : str, default='y'
        Name of y in messages.

    Returns
    -------
    flat : ndarray of shape (S,) or (S, k)

    lengths : ndarray of shape (n_samples,)

    Raises
    ------
    ValueError
        If y has none of these forms.
    """
    y = y.to_numpy() if hasattr(y, "to_numpy") else y
    dense = isinstance(y, np.ndarray) and y.ndim > 1
    if not dense and (isinstance(y, str) or not np.iterable(y)):
        raise ValueError(_not_sequences_message(name, describe(y)))
    pieces = y if dense else [read_array(piece) for piece in y]
    if len(pieces) == 0:
        raise ValueError(
            f"{name} must have at least one sequence. Got none. Omit empty parts."
        )
    for i, piece in enumerate(pieces[:1] if dense else pieces):
        if piece.ndim == 0:
            raise ValueError(
                _not_sequences_message(name, f"one value for sequence {i}")
            )
        if piece.ndim > 2:
            raise ValueError(
                f"{name} must have one value, or one row of values, for each time "
                f"step. Got shape {piece.shape} for sequence {i}. Flatten each step."
            )
        if len(piece) == 0:
            raise ValueError(
                f"{name} must have at least one time step in every sequence. Got none "
                f"in sequence {i}. Remove it."
            )
        if piece.shape[1:] != pieces[0].shape[1:]:
            raise ValueError(
                f"{name} must have the same number of values for every time step. Got "
                f"shape {pieces[0].shape} for sequence 0 and {piece.shape} for sequence"
                f" {i}."
            )
    if dense:
        return y.reshape(-1, *y.shape[2:]), np.full(len(y), y.shape[1])
    return concatenate(pieces), np.array([len(piece) for piece in pieces])


def _not_sequences_message(name: str, given: str) -> str:
    return (
        f"{name} must have a sequence for each sample: shape (n_samples, n_timesteps), "
        f"or a list of arrays. Got {given}. For one value per sample, use the metrics "
        "of scikit-learn."
    )


def describe(value: Any) -> str:
    """Describe an invalid argument in error messages."""
    try:
        return f"shape {np.shape(value)}" if np.ndim(value) else repr(value)
    except ValueError:  # numpy raises it for rows of different lengths
        return "rows of different lengths"


def check_lengths(true: IntArray, pred: IntArray) -> None:
    if len(true) != len(pred):
        raise ValueError(
            "y_true and y_pred must have the same number of sequences. Got "
            f"{len(true)} and {len(pred)}. Pass one prediction for each sequence."
        )
    if (true != pred).any():
        i = int((true != pred).argmax())
        raise ValueError(
            "y_true and y_pred must have the same number of time steps in every "
            f"sequence. Got {true[i]} and {pred[i]} in sequence {i}. Pass one for each "
            "step."
        )


def sequence_weights(sample_weight: Any, n_sequences: int) -> FloatArray | None:
    """Return an array of weights if there is one for each sequence, or None."""
    # mypy forgets what is not an Iterable.
    if not np.iterable(sample_weight) or len(sample_weight) != n_sequences:  # type: ignore[arg-type]
        return None
    if any(map(np.ndim, sample_weight)):
        return None
    return np.asarray(sample_weight, dtype=float)


def step_weights(sample_weight: Any, lengths: IntArray) -> FloatArray | None:
    """Return a weight for each step, or None."""
    if sample_weight is None:
        return None
    if hasattr(sample_weight, "to_numpy"):
        sample_weight = sample_weight.to_numpy()
    weights = sequence_weights(sample_weight, len(lengths))
    if weights is not None:
        return np.repeat(weights, lengths)
    if np.iterable(sample_weight) and any(map(np.ndim, sample_weight)):
        weights, weight_lengths = flatten_steps(sample_weight, "sample_weight")
        if weights.ndim == 1 and np.array_equal(weight_lengths, lengths):
            return weights.astype(float)
    raise ValueError(
        f"sample_weight must have one weight for each of the {len(lengths)} sequences, "
        f"or for each of their time steps. Got {describe(sample_weight)}."
    )
