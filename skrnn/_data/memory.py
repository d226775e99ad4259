"""Sequences as positions in one block of memory, for compiled functions."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.lib.stride_tricks import as_strided


@dataclass(frozen=True)
class WindowNormalization:
    """How the target columns of windows are normalised, see `WindowNormalizer`.

    Attributes
    ----------
    kind : {'last', 'standard', 'difference', 'difference of steps'}
        'difference of steps' keeps the first step, as zero.

    columns : ndarray of int64

    min_std : ndarray of float64
        Of each of these columns.
    """

    kind: str
    columns: np.ndarray
    min_std: np.ndarray

    @property
    def drops_first_step(self):
        """Whether a batch has a step less than the data."""
        return self.kind == "difference"


@dataclass(frozen=True)
class FlatSequences:
    """Sequences where they lie in memory.

    Feature f of step t of row i is
    `values[start[i] + t * step_stride + f * feature_stride]`.

    Attributes
    ----------
    values : ndarray
        One-dimensional and contiguous; window views share it with their series.

    start : ndarray of int64 of shape (n,)
        The first value of each row.

    step_stride, feature_stride : int
        Between time steps, and between features.

    n_steps : ndarray of int64 of shape (n,)
        Of each row.

    normalization : WindowNormalization or None
        How batches are normalised.
    """

    values: np.ndarray
    start: np.ndarray
    step_stride: int
    feature_stride: int
    n_steps: np.ndarray
    normalization: WindowNormalization | None = None

    def select(self, rows):
        """Return some of the rows."""
        return replace(self, start=self.start[rows], n_steps=self.n_steps[rows])

    def without_rows(self):
        """Return no rows, and no values, that are normalised in the same way."""
        none = np.empty(0, np.int64)
        return replace(self, values=self.values[:0].copy(), start=none, n_steps=none)

    @property
    def n_batch_steps(self):
        """The number of steps of each row in a batch."""
        normalization = self.normalization
        return self.n_steps - (
            normalization is not None and normalization.drops_first_step
        )


def flatten_sequences(sequences, dtype):
    """Return `FlatSequences`, without a copy if X is of the given dtype.

    Parameters
    ----------
    sequences : Sequences
        X.

    dtype : numpy dtype
        Of the result. X of another dtype is converted, a window view together with the
        memory of its series.

    Returns
    -------
    flat : FlatSequences
    """
    values = sequences.values
    flat, first, strides = flatten_array(values, dtype)
    n_steps = sequences.n_steps().astype(np.int64)
    if sequences.lengths is None:
        start = first + strides[0] * np.arange(len(values), dtype=np.int64)
    else:
        start = first + strides[0] * sequences.starts.astype(np.int64)
    normalization = None
    if sequences.window_norm is not None:
        kind = "difference of steps" if sequences.per_step else sequences.window_norm
        normalization = WindowNormalization(
            kind,
            np.array(sequences.columns, dtype=np.int64),
            np.asarray(sequences.min_std, dtype=np.float64),
        )
    return FlatSequences(flat, start, *strides[-2:], n_steps, normalization)


def flatten_array(values, dtype):
    """Return an array as a block of memory.

    Returns
    -------
    flat : ndarray
        One-dimensional, contiguous, of the given dtype.

    first : int
        Position of the first element of `values`.

    strides : list of int
        Between its elements along each axis, in elements.
    """
    dtype, size = np.dtype(dtype), values.itemsize
    regular = values.flags.aligned and not any(s % size for s in values.strides)
    if values.size == 0 or not regular:
        values = np.array(values, dtype=dtype, order="C")
        size = values.itemsize
    backwards = [stride < 0 for stride in values.strides]
    # The element at the lowest address, and the number of elements up to the highest.
    lowest = values[tuple(slice(-1, None) if b else slice(1) for b in backwards)]
    reach = [
        (n - 1) * abs(stride) // size
        for n, stride in zip(values.shape, values.strides, strict=True)
    ]
    n_elements = sum(reach) + 1
    if values.dtype != dtype and n_elements > values.size:
        # Not what lies between the elements: it may be much more, and may overflow.
        return flatten_array(np.array(values, dtype=dtype, order="C"), dtype)
    flat = as_strided(lowest.reshape(-1), (n_elements,), (size,), writeable=False)
    first = sum(r for r, b in zip(reach, backwards, strict=True) if b)
    flat = np.ascontiguousarray(flat, dtype=dtype)
    return flat, first, [stride // size for stride in values.strides]
