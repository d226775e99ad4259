"""Window normalisation: target columns relative to their own window."""

from __future__ import annotations

from typing import Any, Self

import numpy as np

from skrnn._data.scaling import (
    feature_scaling,
    standard_deviation,
    unit_deviations,
)
from skrnn._data.sequences import Sequences
from skrnn._typing import AnyArray, DType, IntArray
from skrnn._warnings import warn_user

WINDOW_NORMS = ("last", "standard", "difference")

# 'standard' divides by no less than this share of a column's deviation over all rows.
MIN_RELATIVE_STD = 1e-3


class WindowNormalizer:
    """Normalises the target columns of each window by the window itself.

    For a target column :math:`x_1, ..., x_L` of one window and its target :math:`y`,

    - 'last' subtracts the last value: :math:`x_t - x_L`, and :math:`y - x_L`;
    - 'standard' standardises by the window's own mean and deviation:
      :math:`(x_t - m) / s` and :math:`(y - m) / s`;
    - 'difference' takes first differences: :math:`x_t - x_{t-1}` for :math:`t > 1`,
      one step fewer than the window has, and :math:`y - x_L`.

    Other columns stay as they are.

    Parameters
    ----------
    window_norm : {'last', 'standard', 'difference'} or None, default=None
        The normalisation; None leaves sequences as they are.

    columns : list of int or None, default=None
        The columns of X that y continues.

    per_step : bool, default=False
        Whether every step has a target, for 'difference' only: each target is relative
        to the value of its own step, and the first difference is 0 instead of missing.

    References
    ----------
    Kim et al.: Reversible instance normalization for accurate time-series forecasting
    against distribution shift. ICLR 2022.
    """

    def __init__(
        self,
        window_norm: str | None = None,
        columns: list[int] | None = None,
        per_step: bool = False,
    ) -> None:
        self.window_norm = window_norm
        self.columns = columns
        self.per_step = per_step
        self.min_std: AnyArray | None = None

    def fit(
        self, sequences: Sequences, rows: IntArray, weights: AnyArray | None = None
    ) -> Self:
        """Learn the smallest deviation of a window that 'standard' divides by.

        Parameters
        ----------
        sequences : Sequences
            All the data.

        rows : ndarray of int
            The training rows.

        weights : ndarray of shape (len(rows),), default=None
            Of these rows.

        Returns
        -------
        self : object
        """
        if self.window_norm == "standard":
            _, scale = feature_scaling(sequences, rows, weights)
            self.min_std = MIN_RELATIVE_STD * scale[self.columns]
        return self

    def normalize(self, sequences: Sequences) -> Sequences:
        """Return sequences whose batches are normalised, without copying X."""
        if self.window_norm is None:
            return sequences
        shortest = int(sequences.n_steps().min())
        if self.window_norm == "difference" and shortest < 2 and not self.per_step:
            raise ValueError(
                "X must have at least 2 time steps in every sequence for "
                f"window_norm='difference'. Got {shortest}."
            )
        return NormalizedSequences(
            sequences, self.window_norm, self.columns, self.min_std, self.per_step
        )

    def difference_columns(self) -> list[int] | None:
        """Return the columns of which the network gets differences, or None."""
        return self.columns if self.window_norm == "difference" else None

    def check_continuation(self, sequences: Sequences, y: AnyArray) -> None:
        """Warn if y does not look like a continuation of the target columns.

        Parameters
        ----------
        sequences : Sequences
            Before normalisation.

        y : ndarray of shape (n_targets,) or (n_targets, n_outputs)
            Targets of all rows or, with `per_step`, of all steps.
        """
        if self.window_norm is None or len(y) < 10:  # chance decides for a few rows
            return
        normalized: Any = self.normalize(sequences)
        y = y.reshape(len(y), -1)
        with np.errstate(over="ignore"):  # of numbers that do not resemble each other
            change = y - normalized.reference()[0]
            is_less = standard_deviation(change) < standard_deviation(y)
            distance = np.abs(np.mean(change, axis=0))
        if is_less.any():
            return
        # A strongly seasonal series changes by more than it varies, but its level stays
        # and it correlates with its values some steps ago.
        near = distance <= standard_deviation(y)
        if not (near & (normalized.correlation_with(y) > 0.5)).any():
            warn_user(
                f"window_norm={self.window_norm!r} expects y to continue feature "
                f"{self.columns} of X, in its units, but y does not resemble it. "
                "Check target_feature, or set window_norm=None."
            )


class NormalizedSequences(Sequences):
    """Sequences that are normalised batch by batch, in float64.

    Parameters
    ----------
    sequences : Sequences
        Before normalisation.

    window_norm : {'last', 'standard', 'difference'}
        See `WindowNormalizer`.

    columns : list of int
        The columns of X that y continues.

    min_std : ndarray of shape (len(columns),), default=None
        Smallest deviation that 'standard' divides by: a constant window has none.

    per_step : bool, default=False
        See `WindowNormalizer`.
    """

    def __init__(
        self,
        sequences: Sequences,
        window_norm: str,
        columns: Any,
        min_std: AnyArray | None = None,
        per_step: bool = False,
    ) -> None:
        super().__init__(sequences.values, sequences.lengths, sequences.ragged)
        self.window_norm = window_norm
        self.columns = columns
        self.per_step = per_step
        self.min_std = np.zeros(len(columns)) if min_std is None else min_std

    def take(
        self, rows: IntArray | slice, dtype: DType
    ) -> tuple[AnyArray, IntArray | None]:
        """Return rows as one padded batch, each normalised by itself."""
        batch, lengths = super().take(rows, np.float64)
        own = batch[:, :, self.columns]
        if self.per_step:
            own = np.diff(own, axis=1, prepend=own[:, :1])
        elif self.window_norm == "difference":
            batch, own = batch[:, 1:].copy(), np.diff(own, axis=1)
            lengths = None if lengths is None else lengths - 1
        else:
            location, scale = self._location_and_scale(own, lengths)
            with np.errstate(over="ignore"):  # the network's output is checked
                own = (own - location[:, None]) / scale[:, None]
        if lengths is not None:
            own[np.arange(own.shape[1]) >= lengths[:, None]] = 0.0
        batch[:, :, self.columns] = own
        return batch.astype(dtype, copy=False), lengths

    def n_batch_steps(self) -> IntArray:
        """Return the number of steps of each sequence in a batch of `take`."""
        one_less = self.window_norm == "difference" and not self.per_step
        return self.n_steps() - one_less

    def reference(self) -> tuple[AnyArray, AnyArray]:
        """Return `(location, scale)`, each `(n_samples, len(columns))`.

        The target is `(y - location) / scale`. With `per_step` there is a row for each
        step, `(S, len(columns))`.
        """
        if self.per_step:
            values = self.values.reshape(-1, self.n_features)
            location = values[:, self.columns].astype(np.float64)
            return location, np.ones_like(location)
        parts = []
        for rows in np.array_split(
            np.arange(len(self)), np.ceil(len(self) * self.longest / 2**18)
        ):
            batch, lengths = super().take(rows, np.float64)
            parts.append(self._location_and_scale(batch[:, :, self.columns], lengths))
        location, scale = (np.concatenate(p) for p in zip(*parts, strict=True))
        return location, scale

    def correlation_with(self, y: AnyArray) -> AnyArray:
        """Return the highest correlation of each output with one of the last steps.

        Computed on at most 1000 rows, and as many steps as the shortest of them has.
        """
        if self.per_step:
            return self._correlation_with_steps(y)
        rows = np.unique(np.linspace(0, len(self) - 1, 1000).astype(int))
        batch, lengths = super().take(rows, np.float64)
        if lengths is None:
            lengths = np.full(len(rows), batch.shape[1])
        back = np.arange(lengths.min()) + 1
        steps = (lengths[:, None] - back)[:, :, None]
        recent = np.take_along_axis(batch[:, :, self.columns], steps, axis=1)
        return highest_correlation(recent, y[rows])

    def _correlation_with_steps(self, y: AnyArray) -> AnyArray:
        """Return the highest correlation of y `(S, k)` with one of the steps before."""
        values = self.values.reshape(-1, self.n_features)[:, self.columns]
        n_back = min(int(self.n_steps().min()), 24)
        rows = np.unique(np.linspace(n_back - 1, len(y) - 1, 1000).astype(int))
        recent = values[rows[:, None] - np.arange(n_back)].astype(np.float64)
        return highest_correlation(recent, y[rows])

    def _location_and_scale(
        self, own: AnyArray, lengths: IntArray | None
    ) -> tuple[AnyArray, AnyArray]:
        """Return both for target columns `(N, L, k)`, each `(N, k)`."""
        n, longest, _ = own.shape
        if lengths is None:
            lengths = np.full(n, longest)
        if self.window_norm != "standard":
            location = own[np.arange(n), lengths - 1]
            return location, np.ones_like(location)
        valid = (np.arange(longest) < lengths[:, None])[:, :, None]
        mean = np.sum(own, axis=1, where=valid) / lengths[:, None]
        gaps = np.abs(own - mean[:, None])
        peak = np.max(gaps, axis=1, initial=0.0, where=valid)
        peak[peak < 1e-300] = 1.0  # by which no square overflows
        with np.errstate(over="ignore"):  # of padding
            squares = np.sum((gaps / peak[:, None]) ** 2, axis=1, where=valid)
        std = np.sqrt(squares / lengths[:, None]) * peak
        return mean, np.maximum(std, self.min_std)


def highest_correlation(recent: AnyArray, y: AnyArray) -> AnyArray:
    """Return the highest correlation of y `(n, k)` with `recent` `(n, steps, k)`."""
    recent, y = unit_deviations(recent)[0], unit_deviations(y)[0]
    with np.errstate(divide="ignore", invalid="ignore"):
        r = (recent * y[:, None]).mean(axis=0) / (recent.std(axis=0) * y.std(axis=0))
    return np.nan_to_num(r).max(axis=0)
