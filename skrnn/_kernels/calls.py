"""How many batches a compiled call gets, so that the program stays responsive."""

from __future__ import annotations

import time
from collections.abc import Iterator

import numpy as np

from skrnn._typing import IntArray

# A call lasts about this long: Ctrl-C is noticed, and progress shown, between calls.
CALL_SECONDS = 0.05


class CallSplitter:
    """Splits batches into calls of about `CALL_SECONDS`.

    It learns from the calls before how long a batch takes; the first call gets one.
    """

    def __init__(self) -> None:
        self.seconds_per_batch: float | None = None

    def split(
        self, bounds: IntArray, most_rows: int | None = None
    ) -> Iterator[tuple[int, int]]:
        """Yield `(first, last)`: a call gets the batches from `first` to `last` - 1.

        Parameters
        ----------
        bounds : ndarray of int of shape (batches + 1,)
            Where each batch begins among the rows, and where the last one ends.

        most_rows : int, default=None
            Most rows of a call, at least those of a batch; None for any number.
        """
        n_batches, first = len(bounds) - 1, 0
        while first < n_batches:
            last = first + 1
            if self.seconds_per_batch is not None:
                n = int(CALL_SECONDS / max(self.seconds_per_batch, 1e-9))
                last = min(max(last, first + n), n_batches)
            if most_rows is not None:
                limit = np.searchsorted(bounds, bounds[first] + most_rows, "right") - 1
                last = max(first + 1, min(last, int(limit)))
            started = time.perf_counter()
            yield first, last
            self.seconds_per_batch = (time.perf_counter() - started) / (last - first)
            first = last
