"""Accuracies of sequences and of their time steps."""

from __future__ import annotations

import numpy as np

from skrnn._typing import AnyArray, FloatArray, IntArray, TargetsLike
from skrnn.metrics._steps import (
    check_lengths,
    describe,
    flatten_steps,
    sequence_weights,
    step_weights,
)


def step_accuracy_score(
    y_true: TargetsLike,
    y_pred: TargetsLike,
    *,
    sample_weight: TargetsLike | None = None,
    normalize: bool = True,
) -> float:
    """Return the fraction of correct time steps, over all sequences.

    Parameters
    ----------
    y_true, y_pred : array-like of shape (n_samples, n_timesteps) or \
(n_samples, n_timesteps, n_labels), or list or object array of arrays
        Labels of each step. A step is correct if all its labels are.

    sample_weight : array-like of shape (n_samples,) or as y_true, default=None
        Weights of sequences or of steps.

    normalize : bool, default=True
        If False, return the number of correct steps, or the sum of their weights.

    Returns
    -------
    score : float
        In [0, 1]; with `normalize=False` at most the number, or weight, of all.

    Raises
    ------
    ValueError
        If the sequences, their steps, the labels of a step or the weights do not
        match.

    See Also
    --------
    skrnn.metrics.sequence_accuracy_score : Fraction of sequences without an error.
    skrnn.metrics.per_step : Adapts other metrics to a target per time step.

    Notes
    -----
    Every step has the same weight, so a long sequence counts more than a short one.
    For equal weights of sequences, set `sample_weight` to 1 over their lengths.

    Examples
    --------
    >>> from skrnn.metrics import step_accuracy_score
    >>> step_accuracy_score([[1, 0], [1, 1, 1]], [[1, 0], [1, 0, 1]])
    0.8
    """
    correct, lengths = _correct_steps(y_true, y_pred)
    weights = step_weights(sample_weight, lengths)
    return _weighted_sum(correct, weights, normalize)


def sequence_accuracy_score(
    y_true: TargetsLike,
    y_pred: TargetsLike,
    *,
    sample_weight: TargetsLike | None = None,
    normalize: bool = True,
) -> float:
    """Return the fraction of sequences in which every time step is correct.

    Parameters
    ----------
    y_true, y_pred : array-like of shape (n_samples, n_timesteps) or \
(n_samples, n_timesteps, n_labels), or list or object array of arrays
        Labels of each step.

    sample_weight : array-like of shape (n_samples,), default=None
        Weights of sequences.

    normalize : bool, default=True
        If False, return the number of correct sequences, or the sum of their weights.

    Returns
    -------
    score : float
        In [0, 1]; with `normalize=False` at most the number, or weight, of all.

    Raises
    ------
    ValueError
        If the sequences, their steps, the labels of a step or the weights do not
        match.

    See Also
    --------
    skrnn.metrics.step_accuracy_score : Fraction of correct time steps.

    Examples
    --------
    >>> from skrnn.metrics import sequence_accuracy_score
    >>> sequence_accuracy_score([[1, 0], [1, 1, 1]], [[1, 0], [1, 0, 1]])
    0.5
    """
    correct, lengths = _correct_steps(y_true, y_pred)
    starts = np.cumsum(lengths) - lengths
    weights = None
    if sample_weight is not None:
        if hasattr(sample_weight, "to_numpy"):
            sample_weight = sample_weight.to_numpy()
        weights = sequence_weights(sample_weight, len(lengths))
        if weights is None:
            raise ValueError(
                f"sample_weight must have one weight for each of the {len(lengths)} "
                f"sequences. Got {describe(sample_weight)}. For weights of time steps "
                "use step_accuracy_score."
            )
    correct = np.logical_and.reduceat(correct, starts)
    return _weighted_sum(correct, weights, normalize)


def _correct_steps(
    y_true: TargetsLike, y_pred: TargetsLike
) -> tuple[AnyArray, IntArray]:
    true, lengths = flatten_steps(y_true, "y_true")
    pred, pred_lengths = flatten_steps(y_pred, "y_pred")
    check_lengths(lengths, pred_lengths)
    if true.shape != pred.shape:  # numpy would broadcast (S, 1) and (S,) to (S, S)
        raise ValueError(
            "y_true and y_pred must have the same number of labels for every time "
            f"step. Got shapes {true.shape} and {pred.shape} for the concatenated "
            "steps."
        )
    if _is_text(true) != _is_text(pred):
        kinds = ["strings" if _is_text(flat) else "numbers" for flat in (true, pred)]
        raise ValueError(
            "y_true and y_pred must both hold strings, or both numbers. Got "
            f"{kinds[0]} and {kinds[1]}. Convert one of them."
        )
    correct = true == pred
    return (correct.all(axis=1) if correct.ndim > 1 else correct), lengths


def _is_text(flat: AnyArray) -> bool:
    return flat.dtype.kind == "U" or isinstance(flat.flat[0], str)


def _weighted_sum(
    correct: AnyArray, weights: FloatArray | None, normalize: bool
) -> float:
    if normalize:
        return float(np.average(correct, weights=weights))
    return float(correct.sum() if weights is None else correct @ weights)
