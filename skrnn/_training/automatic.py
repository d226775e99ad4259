"""What 'auto' stands for, chosen from the sizes of the data.

The reasons for each rule, and what was measured, are in benchmarks/README.md.
"""

from __future__ import annotations

import math

import numpy as np

from skrnn._typing import IntArray

# Sequences that are typically longer than LONG steps are read in about N_PATCHES
# patches, and pooled over all of these: a recurrent network that reads out its last
# state only hardly learns what it saw a hundred steps before.
LONG, N_PATCHES = 40, 20

# Few long sequences are trained on for more epochs, up to MAX_EPOCHS, until the
# optimiser has taken MIN_STEPS steps.
EPOCHS, MAX_EPOCHS, MIN_STEPS = 60, 120, 240


def are_long(n_steps: IntArray) -> bool:
    """Whether sequences of these numbers of steps are typically long."""
    return bool(np.median(n_steps) > LONG)


def choose_patch_size(n_steps: IntArray) -> int:
    """Return how many time steps enter the layers as one.

    Parameters
    ----------
    n_steps : ndarray of int
        Of each sequence.

    Returns
    -------
    patch_size : int
    """
    return math.ceil(np.median(n_steps) / N_PATCHES) if are_long(n_steps) else 1


def choose_pooling(n_steps: IntArray) -> str:
    """Return how the time steps are pooled: 'last', or 'concat' for long sequences.

    Parameters
    ----------
    n_steps : ndarray of int
        Of each sequence.

    Returns
    -------
    pooling : str
    """
    return "concat" if are_long(n_steps) else "last"


def choose_max_epochs(n_steps: IntArray, batch_size: int) -> int:
    """Return the number of epochs.

    Parameters
    ----------
    n_steps : ndarray of int
        Of each sequence to train on.

    batch_size : int
        Rows of a batch.

    Returns
    -------
    max_epochs : int
    """
    if not are_long(n_steps):
        return EPOCHS
    n_batches = math.ceil(len(n_steps) / batch_size)
    return int(np.clip(math.ceil(MIN_STEPS / n_batches), EPOCHS, MAX_EPOCHS))
