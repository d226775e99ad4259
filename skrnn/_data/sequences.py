"""The sequences of one X, and batches of them.

Once validated (see `validation.py`), X is numeric, finite, rectangular or ragged, and
oldest step first. Legend of shapes:

    n_samples, n_timesteps, n_features    outside, in errors and docstrings
    N, L, F                               a batch: rows, steps (padded), features
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from skrnn._typing import AnyArray, DType, IntArray

# Functions that read every value of a window view do so in chunks of about this size,
# because the view itself may be a hundred times as large as its memory.
CHUNK_BYTES = 2**23

FIXED, FREE = "fixed", "free"  # 2-D X of one length; 3-D or ragged X of any length

PADDING, UNKNOWN = 0, 1  # ids of tokens; those of a vocabulary follow


class Sequences:
    """The sequences of one X, stored without a copy wherever that is possible.

    Parameters
    ----------
    values : ndarray
        `(n_samples, n_timesteps, n_features)` for sequences of one length, of any
        numeric dtype and any strides (a window view stays a view); or, when
        `lengths` is given, all sequences end to end: `(sum(lengths), n_features)`.

    lengths : ndarray of shape (n_samples,), default=None
        The number of steps of each sequence when they differ.

    ragged : bool, default=False
        Whether X was ragged, so that predictions per time step are ragged too, even if
        all lengths happen to be equal.
    """

    # Attributes of `NormalizedSequences`.
    columns: Any
    min_std: Any
    per_step: bool
    window_norm: str | None = None  # batches are as in X; see `NormalizedSequences`

    def __init__(
        self, values: AnyArray, lengths: IntArray | None = None, ragged: bool = False
    ) -> None:
        self.values = values
        self.lengths = lengths
        self.ragged = ragged or lengths is not None
        # Of each sequence, before its padding was removed.
        self.padded_steps: IntArray | None = None
        if lengths is not None:
            self.starts = np.concatenate([[0], np.cumsum(lengths)[:-1]])

    def __len__(self) -> int:
        return len(self.values) if self.lengths is None else len(self.lengths)

    @property
    def n_features(self) -> int:
        """Number of features of a time step."""
        return self.values.shape[-1]

    @property
    def longest(self) -> int:
        """Number of steps of the longest sequence."""
        return self.values.shape[1] if self.lengths is None else self.lengths.max()

    def n_steps(self) -> IntArray:
        """Return the number of steps of each sequence."""
        if self.lengths is not None:
            return self.lengths
        return np.full(len(self), self.values.shape[1])

    def n_batch_steps(self) -> IntArray:
        """Return the number of steps of each sequence in a batch of `take`."""
        return self.n_steps()

    @property
    def dtype(self) -> np.dtype[Any]:
        """The dtype of X."""
        return self.values.dtype

    def take(
        self, rows: IntArray | slice, dtype: DType
    ) -> tuple[AnyArray, IntArray | None]:
        """Return rows as one padded batch.

        Parameters
        ----------
        rows : ndarray of int or slice
            Which sequences.

        dtype : numpy dtype
            The dtype of the batch.

        Returns
        -------
        values : ndarray of shape (N, L, F)
            C-contiguous and owned by the caller; zero after the end of a sequence.

        lengths : ndarray of shape (N,) or None
            None where every row has L steps.
        """
        if self.lengths is None:
            batch = self.values[rows]
            if np.may_share_memory(batch, self.values):  # rows was a slice
                batch = batch.copy()
            return np.ascontiguousarray(batch, dtype=dtype), None
        lengths = self.lengths[rows]
        steps = np.arange(lengths.max())
        valid = steps < lengths[:, None]
        batch = np.zeros((*valid.shape, self.n_features), dtype=dtype)
        batch[valid] = self.values[(self.starts[rows][:, None] + steps)[valid]]
        return batch, None if valid.all() else lengths

    def chunks(self, rows: IntArray) -> Iterator[tuple[IntArray, AnyArray, IntArray]]:
        """Yield `(rows, values, n_steps)`, the valid steps of `rows`, in chunks.

        `values` is `(sum(n_steps), n_features)` in float64, `n_steps` the number of
        steps of each row. A chunk is small enough to be copied.
        """
        size = max(1, CHUNK_BYTES // (8 * self.longest * self.n_features))
        for first in range(0, len(rows), size):
            part = rows[first : first + size]
            batch, lengths = self.take(part, np.float64)
            if lengths is None:
                n_steps = np.full(len(part), batch.shape[1])
                yield part, batch.reshape(-1, self.n_features), n_steps
            else:
                valid = np.arange(batch.shape[1]) < lengths[:, None]
                yield part, batch[valid], lengths

    def reference(self) -> tuple[AnyArray, AnyArray] | None:
        """Return the location and scale that y is normalised by, None if it is not."""
        return None

    def overlap_before(self, row: int) -> int:
        """Count the rows just before `row` that share time steps with it.

        Windows cut from one series with a stride below their length overlap. A row
        of the training part that overlaps the first row of the validation part
        would leak into it. The stride is inferred from the values, so that copied
        windows are recognised as well as views. Several rows must agree on it, in
        values that vary: independent rows may agree by chance, or where they are
        constant. Windows of different lengths, and windows that were transformed
        one by one, are not recognised.
        """
        if self.lengths is not None or row == 0:
            return 0
        n_timesteps = self.values.shape[1]
        first = max(0, row - 3)
        rows = self.values[first : row + 1]
        for stride in range(1, n_timesteps):
            before, here = rows[:-1, stride:], rows[1:, :-stride]
            if (before[-1] == before[-1, :1]).all() and n_timesteps - stride > 1:
                continue  # constant values match at any stride
            if np.array_equal(before, here):
                return min(row, (n_timesteps - 1) // stride)
        return 0


def split_sequences(values: AnyArray, lengths: Sequence[int] | IntArray) -> AnyArray:
    """Split values into a 1-D object array with a piece of each length."""
    # Filled one by one: numpy would stack pieces of one length into one array.
    pieces = np.empty(len(lengths), dtype=object)
    bounds = [0, *np.cumsum(lengths).tolist()]
    for i, (start, stop) in enumerate(pairwise(bounds)):
        pieces[i] = values[start:stop]
    return pieces
