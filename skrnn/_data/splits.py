"""Training and validation rows, split so that no information leaks between them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from sklearn.model_selection import StratifiedGroupKFold, train_test_split

from skrnn._data.sequences import Sequences
from skrnn._typing import AnyArray, ArrayLike, BoolArray, IntArray


def train_validation_split(
    sequences: Sequences,
    rows: IntArray,
    *,
    fraction: float,
    strategy: str,
    seed: int,
    strata: AnyArray | None = None,
    groups: AnyArray | None = None,
) -> tuple[IntArray, IntArray]:
    """Split rows into a training and a validation part.

    Parameters
    ----------
    sequences : Sequences
        All the data.

    rows : ndarray of int
        Which of them to split, in ascending order.

    fraction : float in (0, 1)
        Share of the rows in the validation part; with groups about that share.

    strategy : {'random', 'last'}
        Which rows make the validation part. Training rows that share time steps with
        the last part, or with groups set aside, are left out of both parts.

    seed : int
        Of random rows.

    strata : ndarray of shape (len(sequences),), default=None
        Of which random rows keep the proportions, as far as there are enough of each.

    groups : ndarray of shape (len(sequences),), default=None
        Rows of one group stand in one part. 'last' means the groups that end last.

    Returns
    -------
    train, valid : ndarray of int
        Both in ascending order.

    Raises
    ------
    ValueError
        If no row would be left to train on.
    """
    n_valid = int(np.ceil(fraction * len(rows)))
    if groups is not None:
        strata = None if strata is None else strata[rows]
        valid = _draw_groups(groups[rows], n_valid, strategy, seed, strata)
        train, valid = _purge(sequences, rows, valid)
        if not len(train):
            raise ValueError(
                "early_stopping=True must leave at least one row to train on that "
                "shares no time step with the groups set aside. Got windows that all "
                "do. Shorten the windows, or pass X_val and y_val."
            )
        return train, valid
    if len(rows) - n_valid < 1:
        raise ValueError(
            "early_stopping=True must leave at least one row to train on. Got "
            f"n_samples={len(rows)} and validation_fraction={fraction}. Pass X_val and "
            "y_val, or set early_stopping=False."
        )
    if strategy == "last":
        return _split_in_time(sequences, rows, n_valid)
    if strata is not None:
        strata = strata[rows]
        _, sizes = np.unique(strata, return_counts=True)
        if sizes.min() < 2 or min(n_valid, len(rows) - n_valid) < len(sizes):
            strata = None  # too few rows for every class in both parts
    train, valid = train_test_split(
        rows, test_size=n_valid, stratify=strata, random_state=seed
    )
    return np.sort(train), np.sort(valid)


def kfold(
    sequences: Sequences, rows: IntArray, *, n_splits: int, **options: Any
) -> list[tuple[IntArray, IntArray]]:
    """Split rows into folds with disjoint validation parts.

    Parameters
    ----------
    sequences, rows, **options
        As for `train_validation_split`. With `strategy='last'` the validation parts
        follow each other backwards from the last row, and rows after a validation part
        are training rows too.

    n_splits : int
        Largest number of folds.

    Returns
    -------
    folds : list of (train, valid)
        Fewer than `n_splits` if there are too few rows: every training part holds at
        least half of the rows.
    """
    fraction, groups = options.pop("fraction"), options["groups"]
    n_valid, left = np.ceil(fraction * len(rows)), rows
    folds: list[tuple[IntArray, IntArray]] = []
    while len(folds) < n_splits and n_valid < len(left):
        if groups is not None and len(np.unique(groups[left])) < 2:
            break
        # Half a row less, so that rounding in the split gives `n_valid` rows again.
        share = min((n_valid - 0.5) / len(left), 1.0)
        try:
            _, valid = train_validation_split(
                sequences, left, fraction=share, **options
            )
        except ValueError:  # nothing left to train on
            break
        left = np.setdiff1d(left, valid)
        chosen = np.isin(rows, valid)
        train = rows[~chosen]
        if groups is not None or options["strategy"] == "last":
            train, _ = _purge(sequences, rows, chosen)
        if len(train) >= len(rows) / 2:
            folds.append((train, valid))
    return folds


def check_groups(groups: ArrayLike | None, n_samples: int) -> IntArray | None:
    """Return the groups as an array `(n_samples,)` of codes, None for None."""
    if groups is None:
        return None
    if isinstance(groups, (list, tuple)):  # numpy would convert mixed types to one
        names = np.empty(len(groups), dtype=object)
        for i, name in enumerate(groups):
            names[i] = name
        groups = names
    groups = np.asarray(groups)
    if groups.shape != (n_samples,):
        raise ValueError(
            f"groups must have shape ({n_samples},), one entry for each sequence. Got "
            f"shape {groups.shape}."
        )
    try:
        codes, _ = pd.factorize(groups)
    except TypeError as error:
        raise ValueError(
            f"groups must hold one name or number for each sequence ({error}). Got "
            f"{groups[0]!r} for row 0."
        ) from error
    if (codes < 0).any():
        raise ValueError(
            "groups must name the group of every sequence. Got a missing value for "
            f"row {(codes < 0).argmax()}."
        )
    return codes


def _purge(
    sequences: Sequences, rows: IntArray, valid: BoolArray
) -> tuple[IntArray, IntArray]:
    """Return both parts, without training rows that share time steps with `valid`.

    Windows of one series overlap where the two parts meet.

    References
    ----------
    Lopez de Prado: Advances in financial machine learning. Wiley 2018, chapter 7
    (purged cross-validation).
    """
    kept = ~valid
    for border in np.flatnonzero(valid[1:] != valid[:-1]) + 1:
        reach = sequences.overlap_before(rows[border])
        near = (rows >= rows[border] - reach) & (rows < rows[border] + reach)
        kept &= ~near
    return rows[kept], rows[valid]


def _split_in_time(
    sequences: Sequences, rows: IntArray, n_valid: int
) -> tuple[IntArray, IntArray]:
    """Return the first and the last rows, without windows that overlap the last."""
    train, valid = rows[:-n_valid], rows[-n_valid:]
    cut = valid[0] - sequences.overlap_before(valid[0])
    kept = train[train < cut]
    if not len(kept):
        raise ValueError(
            "early_stopping=True must leave at least one row to train on that "
            "shares no time step with the validation rows. Got windows of "
            f"{sequences.values.shape[1]} steps, which all do. Shorten the "
            "windows, lower validation_fraction, or pass X_val and y_val."
        )
    return kept, valid


def _draw_groups(
    groups: IntArray, n_valid: int, strategy: str, seed: int, strata: AnyArray | None
) -> BoolArray:
    """Return whether each row is in the validation part, by whole groups."""
    names, sizes = np.unique(groups, return_counts=True)
    if len(names) < 2:
        raise ValueError(
            "early_stopping=True must leave at least one group to train on. Got "
            f"{len(names)} group among the rows that count. Leave groups out, pass "
            "X_val and y_val, or set early_stopping=False."
        )
    if strategy == "last":
        ends = [np.flatnonzero(groups == name)[-1] for name in names]
        order = np.argsort(ends)[::-1]
        # From the end until there are enough rows; one group remains for training.
        enough = 1 + int(np.searchsorted(np.cumsum(sizes[order]), n_valid))
        return np.isin(groups, names[order[: min(enough, len(names) - 1)]])
    share = n_valid / len(groups)
    smallest = (
        None if strata is None else np.unique(strata, return_counts=True)[1].min()
    )
    n_parts = min(max(10, round(1 / share)), len(names))
    if smallest is not None and smallest >= n_parts:
        splitter = StratifiedGroupKFold(n_parts, shuffle=True, random_state=seed)
        n_taken = min(max(1, round(share * n_parts)), n_parts - 1)
        folds = [fold for _, fold in splitter.split(groups, strata, groups)]
        folds = [fold for fold in folds if len(fold)]
        chosen = np.concatenate(folds[: min(n_taken, len(folds) - 1)])
        return np.isin(np.arange(len(groups)), chosen)
    order = np.random.RandomState(seed).permutation(len(names))
    taken, n_taken = [], 0
    for i in order[:-1]:  # one group remains for training
        if n_taken + sizes[i] <= n_valid:
            taken.append(i)
            n_taken += sizes[i]
    if not taken:  # every group is larger than `n_valid`
        taken = [np.argmin(sizes)]
    return np.isin(groups, names[taken])
