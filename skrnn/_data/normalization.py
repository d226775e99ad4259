"""How a window is expressed: relative to itself, instead of in absolute units."""

import numpy as np

from skrnn._data.sequences import Sequences

WINDOW_NORMS = ("last", "standard", "difference")


class NormalizedSequences(Sequences):
    """Sequences whose target columns are expressed relative to each window.

    For a target column :math:`x_1, ..., x_L` of one window and its target :math:`y`,

    - 'last' takes the last value off: :math:`x_t - x_L`, and :math:`y - x_L`;
    - 'standard' measures in the window's own mean and deviation: :math:`(x_t - m) / s`
      and :math:`(y - m) / s`;
    - 'difference' takes first differences: :math:`x_t - x_{t-1}` for :math:`t > 1`,
      one step less than came, and :math:`y - x_L`.

    Other columns stay as they are. It happens batch by batch, in float64.

    Parameters
    ----------
    sequences : Sequences
        As they came.

    kind : {'last', 'standard', 'difference'}
        The expression.

    columns : list of int
        The columns of X that y continues.

    floor : ndarray of shape (len(columns),)
        Smallest deviation that 'standard' divides by: a flat window would blow up
        what follows it.

    every_step : bool, default=False
        Whether every step has a target, for 'difference' only: each is measured from
        the value of its own step, and the first difference is zero instead of left
        out.

    References
    ----------
    Kim et al.: Reversible instance normalization for accurate time-series forecasting
    against distribution shift. ICLR 2022.
    """

    def __init__(self, sequences, kind, columns, floor=None, every_step=False):
        super().__init__(sequences.values, sequences.lengths, sequences.ragged)
        self.kind = kind
        self.columns = columns
        self.every_step = every_step
        self.floor = np.zeros(len(columns)) if floor is None else floor

    def take(self, rows, dtype):
        """Gather rows into one padded batch, each relative to itself."""
        batch, lengths = super().take(rows, np.float64)
        own = batch[:, :, self.columns]
        if self.every_step:
            own = np.diff(own, axis=1, prepend=own[:, :1])
        elif self.kind == "difference":
            batch, own = batch[:, 1:].copy(), np.diff(own, axis=1)
            lengths = None if lengths is None else lengths - 1
        else:
            location, spread = self._measure(own, lengths)
            own = (own - location[:, None]) / spread[:, None]
        if lengths is not None:
            own[np.arange(own.shape[1]) >= lengths[:, None]] = 0.0
        batch[:, :, self.columns] = own
        return batch.astype(dtype, copy=False), lengths

    def expressed_steps(self):
        """Return the number of steps of each sequence as `take` gives it."""
        shorter = self.kind == "difference" and not self.every_step
        return self.n_steps() - shorter

    def reference(self):
        """Return `(location, spread)`, each `(n_samples, len(columns))`.

        y is measured from the location, in units of the spread. With `every_step`
        there is a row for each step, `(S, len(columns))`.
        """
        if self.every_step:
            values = self.values.reshape(-1, self.n_features)
            location = values[:, self.columns].astype(np.float64)
            return location, np.ones_like(location)
        parts = []
        longest = self.values.shape[1] if self.lengths is None else self.lengths.max()
        for part in np.array_split(
            np.arange(len(self)), np.ceil(len(self) * longest / 2**18)
        ):
            batch, lengths = super().take(part, np.float64)
            parts.append(self._measure(batch[:, :, self.columns], lengths))
        location, spread = (np.concatenate(p) for p in zip(*parts, strict=True))
        return location, spread

    def resemblance(self, y):
        """Return the strongest correlation of y `(n, k)` with one of the last steps.

        Of at most 1000 rows, and of as many steps as the shortest of them has.
        """
        if self.every_step:
            return self._resemblance_of_steps(y)
        rows = np.unique(np.linspace(0, len(self) - 1, 1000).astype(int))
        batch, lengths = super().take(rows, np.float64)
        if lengths is None:
            lengths = np.full(len(rows), batch.shape[1])
        back = np.arange(lengths.min()) + 1
        steps = (lengths[:, None] - back)[:, :, None]
        recent = np.take_along_axis(batch[:, :, self.columns], steps, axis=1)
        return strongest_correlation(recent, y[rows])

    def _resemblance_of_steps(self, y):
        """Return the strongest correlation of y `(S, k)` with a step before it."""
        values = self.values.reshape(-1, self.n_features)[:, self.columns]
        n_back = min(int(self.n_steps().min()), 24)
        rows = np.unique(np.linspace(n_back - 1, len(y) - 1, 1000).astype(int))
        recent = values[rows[:, None] - np.arange(n_back)].astype(np.float64)
        return strongest_correlation(recent, y[rows])

    def _measure(self, own, lengths):
        """Return location and spread of target columns `(N, L, k)`, each `(N, k)`."""
        n, longest, _ = own.shape
        if lengths is None:
            lengths = np.full(n, longest)
        if self.kind != "standard":
            location = own[np.arange(n), lengths - 1]
            return location, np.ones_like(location)
        valid = (np.arange(longest) < lengths[:, None])[:, :, None]
        mean = np.sum(own, axis=1, where=valid) / lengths[:, None]
        squares = np.sum((own - mean[:, None]) ** 2, axis=1, where=valid)
        spread = np.sqrt(squares / lengths[:, None])
        return mean, np.maximum(spread, self.floor)


def strongest_correlation(recent, y):
    """Return the highest correlation of y `(n, k)` with `recent` `(n, steps, k)`."""
    recent, y = recent - recent.mean(axis=0), y - y.mean(axis=0)
    with np.errstate(divide="ignore", invalid="ignore"):
        r = (recent * y[:, None]).mean(axis=0) / (recent.std(axis=0) * y.std(axis=0))
    return np.nan_to_num(r).max(axis=0)
