"""Sequences as positions in one block of memory, for compiled functions."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.lib.stride_tricks import as_strided

from skrnn._data.sequences import CHUNK_BYTES, Sequences
from skrnn._typing import AnyArray, DType, IntArray

# Sequences of another dtype are converted as a whole up to this size, and otherwise a
# few rows at a time, since data that is mapped from a file may not fit in memory.
CONVERTED_BYTES = 2**26


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
    def drops_first_step(self) -> bool:
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

    def select(self, rows: IntArray) -> FlatSequences:
        """Return some of the rows."""
        return replace(self, start=self.start[rows], n_steps=self.n_steps[rows])

    @property
    def n_batch_steps(self) -> IntArray:
        """The number of steps of each row in a batch."""
        normalization = self.normalization
        return self.n_steps - (
            normalization is not None and normalization.drops_first_step
        )


class RowsInPlace:
    """Rows that compiled functions read where they lie.

    Parameters
    ----------
    flat : FlatSequences

    Attributes
    ----------
    most_rows : None
        There is no limit to the rows of a call.
    """

    most_rows: int | None = None

    def __init__(self, flat: FlatSequences) -> None:
        self.flat = flat

    def load(self, positions: IntArray) -> None:
        """Do nothing: all rows are there."""


class ConvertedRows:
    """Rows that are copied into a buffer of another dtype, those of one call at a time.

    Parameters
    ----------
    sequences : Sequences
        X.

    rows : ndarray of int of shape (n,)
        The rows of `flat`.

    dtype : numpy dtype
        Of the buffer.

    n_rows : int
        Rows of a batch.

    Attributes
    ----------
    flat : FlatSequences
        The buffer. `flat.start` is valid for the rows that were loaded last.

    most_rows : int
        How many rows may be loaded at a time, at least `n_rows`.
    """

    def __init__(
        self, sequences: Sequences, rows: IntArray, dtype: DType, n_rows: int
    ) -> None:
        # Before normalisation, which compiled functions do.
        self.sequences = Sequences(sequences.values, sequences.lengths)
        self.rows = rows
        n_steps = sequences.n_steps()[rows].astype(np.int64)
        n_features = sequences.n_features
        self.row_size = int(n_steps.max()) * n_features
        row_bytes = self.row_size * np.dtype(dtype).itemsize
        self.most_rows = min(max(n_rows, CHUNK_BYTES // row_bytes), len(rows))
        self.flat = FlatSequences(
            np.zeros(self.most_rows * self.row_size, dtype),
            np.zeros(len(rows), np.int64),
            n_features,
            1,
            n_steps,
            window_normalization(sequences),
        )

    def load(self, positions: IntArray) -> None:
        """Fill the buffer with the rows at some positions in `rows`."""
        batch, _ = self.sequences.take(self.rows[positions], self.flat.values.dtype)
        size = batch[0].size  # less than `row_size` if these rows are shorter
        self.flat.values[: batch.size] = batch.reshape(-1)
        self.flat.start[positions] = size * np.arange(len(batch))


def read_rows(
    sequences: Sequences, dtype: DType, n_rows: int, rows: IntArray | None = None
) -> RowsInPlace | ConvertedRows:
    """Return rows for compiled functions, converted to a dtype.

    Parameters
    ----------
    sequences : Sequences
        X.

    dtype : numpy dtype
        Of the result.

    n_rows : int
        Rows of a batch.

    rows : ndarray of int of shape (n,), default=None
        Which sequences; None for all.

    Returns
    -------
    reader : RowsInPlace or ConvertedRows
    """
    if copied_bytes(sequences.values, dtype) > CONVERTED_BYTES:
        rows = np.arange(len(sequences)) if rows is None else rows
        return ConvertedRows(sequences, rows, dtype, n_rows)
    flat = flatten_sequences(sequences, dtype)
    return RowsInPlace(flat if rows is None else flat.select(rows))


def window_normalization(sequences: Sequences) -> WindowNormalization | None:
    """Return how batches of sequences are normalised, or None."""
    if sequences.window_norm is None:
        return None
    return WindowNormalization(
        "difference of steps" if sequences.per_step else sequences.window_norm,
        np.array(sequences.columns, dtype=np.int64),
        np.asarray(sequences.min_std, dtype=np.float64),
    )


def flatten_sequences(sequences: Sequences, dtype: DType) -> FlatSequences:
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
    normalization = window_normalization(sequences)
    step_stride, feature_stride = strides[-2:]
    return FlatSequences(
        flat, start, step_stride, feature_stride, n_steps, normalization
    )


def copied_bytes(values: AnyArray, dtype: DType) -> int:
    """Return the size of the copy that `flatten_array` makes, 0 if it makes none."""
    if values.size == 0 or (values.dtype == dtype and _is_regular(values)):
        return 0
    n_elements = values.size
    if _is_regular(values):
        n_elements = min(n_elements, sum(_reach(values)) + 1)
    return n_elements * np.dtype(dtype).itemsize


def _is_regular(values: AnyArray) -> bool:
    """Whether all elements are a multiple of their size apart, and aligned."""
    is_multiple = all(s % values.itemsize == 0 for s in values.strides)
    return values.flags.aligned and is_multiple


def _reach(values: AnyArray) -> list[int]:
    """Return the distance between the ends of each axis, in elements."""
    return [
        (n - 1) * abs(stride) // values.itemsize
        for n, stride in zip(values.shape, values.strides, strict=True)
    ]


def flatten_array(values: AnyArray, dtype: DType) -> tuple[AnyArray, int, list[int]]:
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
    if values.size == 0 or not _is_regular(values):
        values = np.array(values, dtype=dtype, order="C")
        size = values.itemsize
    backwards = [stride < 0 for stride in values.strides]
    # The element at the lowest address, and the number of elements up to the highest.
    lowest = values[tuple(slice(-1, None) if b else slice(1) for b in backwards)]
    reach = _reach(values)
    n_elements = sum(reach) + 1
    if values.dtype != dtype and n_elements > values.size:
        # Not what lies between the elements: it may be much more, and may overflow.
        return flatten_array(np.array(values, dtype=dtype, order="C"), dtype)
    flat = as_strided(lowest.reshape(-1), (n_elements,), (size,), writeable=False)
    first = sum(r for r, b in zip(reach, backwards, strict=True) if b)
    flat = np.ascontiguousarray(flat, dtype=dtype)
    return flat, first, [stride // size for stride in values.strides]
