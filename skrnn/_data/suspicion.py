"""Warnings about data that is valid, but hardly meant."""

from __future__ import annotations

from typing import Any

import numpy as np

from skrnn._data.sequences import PADDING, UNKNOWN, Sequences
from skrnn._typing import AnyArray, IntArray
from skrnn._warnings import warn_user

# Values are hidden by a scale if they vary by less than this share of it.
HIDDEN_SHARE = 1e-3
MIN_ROWS = 10  # with fewer, equal columns may be chance

# Token ids: so many at least, of which hardly any below the highest is missing, with
# frequencies whose logarithms vary so much, and hardly less between neighbours.
MIN_IDS, MIN_ID_SHARE, MIN_VARIANCE, MIN_ROUGHNESS = 20, 0.9, 0.2, 0.5


def warn_dominating_value(sequences: Sequences, rows: IntArray) -> None:
    """Warn if a single value sets the scale by which all values of a feature shrink.

    Parameters
    ----------
    sequences : Sequences

    rows : ndarray of int
        The training rows.

    """
    # The largest value, and the range of the others, of each feature.
    largest: Any
    low: Any
    high: Any
    largest, low, high, n_steps = 0.0, np.inf, -np.inf, 0
    for _, values, _ in sequences.chunks(rows):
        order = np.abs(values).argmax(axis=0)[None]
        peak = np.take_along_axis(values, order, axis=0)[0]
        np.put_along_axis(values, order, np.nan, axis=0)
        replaced = np.abs(peak) > np.abs(largest)
        other = np.where(replaced, largest if n_steps else np.nan, peak)
        largest = np.where(replaced, peak, largest)
        values = np.vstack([values, other])
        low = np.fmin(low, np.fmin.reduce(values))
        high = np.fmax(high, np.fmax.reduce(values))
        n_steps += len(values) - 1
    if n_steps < MIN_ROWS:
        return
    spread = HIDDEN_SHARE * np.abs(largest) / np.sqrt(n_steps)  # of its deviation
    for feature in np.flatnonzero((low < high) & (high / 2 - low / 2 < spread / 2)):
        where = f" of feature {feature}" if sequences.n_features > 1 else ""
        warn_user(
            f"One value{where} of X is so large that all others are nearly equal once "
            f"standardised. Got {largest[feature]:.3g} among values from "
            f"{low[feature]:.3g} to {high[feature]:.3g}. Remove it, or clip X."
        )


def warn_copied_target(sequences: Sequences, y: AnyArray, rows: IntArray) -> None:
    """Warn if y is the last step of a feature of X in every row.

    Parameters
    ----------
    sequences : Sequences
        X.

    y : ndarray of shape (n_samples,) or (n_samples, n_outputs)

    rows : ndarray of int
        The training rows.
    """
    if len(rows) < MIN_ROWS:
        return
    y = np.asarray(y).reshape(len(y), -1)[rows]
    last = _last_steps(sequences, rows)
    for k in range(y.shape[1]):
        if (y[:, k] == y[0, k]).all():
            continue
        for feature in np.flatnonzero((last == y[:, k, None]).all(axis=0)):
            output = f"Output {k} of y" if y.shape[1] > 1 else "y"
            warn_user(
                f"{output} is the last step of feature {feature} of X in every row, so "
                "that there is nothing to predict. If X holds windows of a series, "
                "they must end before y: make_windows cuts them so."
            )


def _last_steps(sequences: Sequences, rows: IntArray) -> AnyArray:
    """Return the last step of rows, `(n, n_features)`."""
    if sequences.lengths is None:
        return sequences.values[rows, -1]
    return sequences.values[sequences.starts[rows] + sequences.lengths[rows] - 1]


def warn_token_ids(sequences: Sequences) -> None:
    """Warn if X looks like the output of `TokenEncoder`, without `embedding_dim`.

    That is integers of one feature, with 0 at the end of rows only, of which nearly all
    from 2 to the highest occur. Ids are in alphabetical order, so that neighbours
    differ in frequency as much as any two, whereas the histogram of a quantity is
    smooth.

    Parameters
    ----------
    sequences : Sequences
        X.

    References
    ----------
    von Neumann: Distribution of the ratio of the mean square successive difference to
    the variance. Annals of Mathematical Statistics 12, 1941.
    """
    if sequences.dtype.kind not in "iu" or sequences.n_features > 1:
        return
    n_steps = sequences.n_steps()
    counts = np.zeros(1, np.int64)
    for rows, values, _ in sequences.chunks(np.arange(len(sequences))):
        ids = values[:, 0]
        ends_here = np.zeros(len(ids), bool)
        ends_here[np.cumsum(n_steps[rows]) - 1] = True
        resumes = (ids[:-1] == PADDING) & (ids[1:] != PADDING) & ~ends_here[:-1]
        if ids.min() < 0 or ids.max() > n_steps.sum() or resumes.any():
            return
        of_chunk = np.bincount(ids.astype(np.int64), minlength=len(counts))
        of_chunk[: len(counts)] += counts
        counts = of_chunk
    counts = counts[UNKNOWN + 1 :]
    n_ids = np.count_nonzero(counts)
    if n_ids < max(MIN_IDS, MIN_ID_SHARE * len(counts)):
        return
    logs = np.log(counts[counts > 0])
    variance, roughness = logs.var(), np.mean(np.diff(logs) ** 2) / 2
    if variance < MIN_VARIANCE or roughness < MIN_ROUGHNESS * variance:
        return
    warn_user(
        "X looks like token ids, which embedding_dim=None takes for quantities. Got "
        f"{n_ids} of the integers from {UNKNOWN + 1} to {UNKNOWN + len(counts)}, in "
        "one feature. Set embedding_dim, for example to 16, or pass quantities as "
        "floats."
    )
