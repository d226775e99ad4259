"""The mean and the deviation of each feature."""

from __future__ import annotations

import numpy as np

from skrnn._data.sequences import Sequences
from skrnn._typing import AnyArray, ArrayLike, IntArray


def feature_scaling(
    sequences: Sequences,
    rows: IntArray,
    weights: AnyArray | None = None,
    *,
    spare_binary: bool = True,
) -> tuple[AnyArray, AnyArray]:
    """Compute the weighted mean and deviation of each feature over valid steps.

    Parameters
    ----------
    sequences : Sequences
        The data.

    rows : ndarray of int
        The sequences to use.

    weights : ndarray of shape (len(rows),), default=None
        Of each of these sequences and so of each of their steps; or of each of their
        steps, concatenated.

    spare_binary : bool, default=True
        Whether columns of only zeros and ones keep mean 0 and scale 1, as flags and
        one-hot columns should.

    Returns
    -------
    mean, scale : ndarray of shape (n_features,)
        In float64. The scale of a constant feature is 1.

    References
    ----------
    Chan, Golub, LeVeque: Updating formulae and a pairwise algorithm for computing
    sample variances. COMPSTAT 1982.
    """
    peak = np.zeros(sequences.n_features)
    binary = np.full(sequences.n_features, spare_binary)
    for _, values, _ in sequences.chunks(rows):
        peak = np.maximum(peak, np.abs(values).max(axis=0))
        if binary.any():
            binary &= ((values == 0) | (values == 1)).all(axis=0)
    peak[peak == 0] = 1.0
    if weights is None:
        weights = np.ones(len(rows))
    of_steps = len(weights) != len(rows)
    # Dividing by the peak keeps the squares of 1e300 and of 1e-300 in range.
    total, mean, sum_of_squares = 0.0, np.zeros_like(peak), np.zeros_like(peak)
    first = 0
    for part, values, n_steps in sequences.chunks(rows):
        size = len(values) if of_steps else len(part)
        weight = weights[first : first + size]
        first += size
        if not of_steps:
            weight = np.repeat(weight, n_steps)
        part_total = weight.sum()
        if part_total == 0:
            continue
        values = values / peak
        part_mean = weight @ values / part_total
        difference = part_mean - mean
        share = part_total / (total + part_total)
        sum_of_squares += weight @ (values - part_mean) ** 2
        sum_of_squares += difference**2 * total * share
        mean += difference * share
        total += part_total
    scale = np.sqrt(sum_of_squares / total)
    constant = scale <= 10 * np.finfo(np.float64).eps * np.abs(mean)
    mean, scale = mean * peak, np.where(constant, 1.0, scale * peak)
    return np.where(binary, 0.0, mean), np.where(binary, 1.0, scale)


def standard_deviation(values: ArrayLike) -> AnyArray:
    """Return the standard deviation along axis 0, where no square overflows.

    Parameters
    ----------
    values : array-like of shape (n, ...)
        Numbers.

    Returns
    -------
    std : ndarray of shape (...)
        In the precision of the values, float64 for integers.
    """
    values = np.asarray(values)
    deviations, peak = unit_deviations(values)
    std = np.sqrt(np.mean(deviations**2, axis=0)) * peak
    return std.astype(values.dtype if values.dtype.kind == "f" else np.float64)


def unit_deviations(values: ArrayLike) -> tuple[AnyArray, AnyArray]:
    """Return the deviations from the means of axis 0, in units of the largest.

    Parameters
    ----------
    values : array-like of shape (n, ...)
        Numbers.

    Returns
    -------
    deviations : ndarray of shape (n, ...)
        From -1 to 1.

    peak : ndarray of shape (...)
        The largest absolute deviation, or 1 where all are zero.
    """
    values = np.asarray(values, dtype=np.float64)
    largest = positive_peak(values)
    deviations = values / largest  # whose sum does not overflow
    deviations -= deviations.mean(axis=0)
    peak = positive_peak(deviations)
    return deviations / peak, largest * peak


def positive_peak(values: AnyArray) -> AnyArray:
    """Return the largest absolute value along axis 0, 1 where it is hardly above 0."""
    peak = np.abs(values).max(axis=0)
    return np.where(peak < 1e-300, 1.0, peak)
