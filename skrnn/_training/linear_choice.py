"""How windows are normalised and whether a linear model helps, chosen from the data.

A linear model of all time steps is fitted in closed form for each normalisation. Its
errors on rows that are left out say whether y continues the target columns at all, and
in which form.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from skrnn._data.normalization import WindowNormalizer
from skrnn._data.scaling import feature_scaling
from skrnn._data.sequences import Sequences
from skrnn._training.judging import is_better
from skrnn._training.linear_model import LinearProblem, Part
from skrnn._training.plan import LinearChoice
from skrnn._typing import AnyArray, IntArray

MIN_ROWS = 10  # with fewer different rows, chance decides
# 'last' has the same linear models as 'difference', and cannot be streamed.
CANDIDATES = ("difference", "standard")
MAX_LAGS = 500  # of the linear model, whose cost grows with their square

# If there is something left for a network to learn, it may learn it from differences
# although the linear model is better without. Cross-validation of the network decides,
# where errors with and without random units differ by less than this share.
ALTERNATIVE, TOLERANCE = "difference", 0.02

MAX_UNITS = 100  # of the random network that looks for what is left
UNIT_SHARES = (0.1, 0.3, 1.0)
EXACT = 1e-10  # relative error of a linear model that leaves nothing but rounding

PART_VALUES = 2**20  # of windows that are read at once


def choose_linear(
    sequences: Sequences,
    y: AnyArray,
    rows: IntArray,
    weights: AnyArray | None,
    columns: list[int],
    window_norm: str | None,
    ar_order: Any,
) -> list[LinearChoice]:
    """Choose the normalisation and the order of the highway.

    Parameters
    ----------
    sequences : Sequences
        X.

    y : ndarray of shape (n_samples,) or (n_samples, n_outputs)
        Targets of sequences.

    rows : ndarray of int
        The training rows.

    weights : ndarray of shape (len(rows),) or None
        Of the training rows.

    columns : list of int
        The features that y continues.

    window_norm, ar_order : str, int or None
        The parameters; 'auto' for what is to be chosen.

    Returns
    -------
    choices : list of LinearChoice
        One, or two of which cross-validation of the network must choose.
    """
    y = np.asarray(y, dtype=np.float64).reshape(len(sequences), -1)
    fixed_norm = None if window_norm == "auto" else window_norm
    fixed_order = 0 if ar_order == "auto" else ar_order
    varies = np.ptp(y[rows], axis=0) > 0
    if not varies.any():
        return [LinearChoice(fixed_norm, fixed_order, is_sufficient=True)]
    # In units of their deviation: squares of 1e300 would overflow.
    steps = Sequences(y[:, None])
    _, units = feature_scaling(steps, rows, weights, spare_binary=False)
    weights = np.ones(len(rows)) if weights is None else weights
    candidates = [window_norm]
    if window_norm == "auto":
        shortest = int(sequences.n_steps()[rows].min())
        candidates = [None, *(CANDIDATES if shortest > 2 else ())]
    targets = Targets(y, units, np.flatnonzero(varies))
    fits = {
        name: WindowFit(sequences, targets, rows, weights, columns, name, fixed_order)
        for name in candidates
    }
    errors = {name: fit.error for name, fit in fits.items()}
    best = min(errors, key=errors.get)  # type: ignore[arg-type]
    # The windows of a straight line are all the same once normalised, y is not.
    numbers = targets.take(rows)
    constant = LinearProblem(lambda: [(np.zeros((len(rows), 0)), numbers, weights)])
    n_distinct = max(
        constant.n_distinct, *(fit.problem.n_distinct for fit in fits.values())
    )
    if n_distinct < MIN_ROWS or not errors[best] < constant.constant_errors().sum():
        return [LinearChoice(fixed_norm, fixed_order)]

    def choice(name: str | None) -> LinearChoice:
        order = fits[name].order if ar_order == "auto" else ar_order
        return LinearChoice(name, order, is_sufficient=is_sufficient)

    is_sufficient, with_units = fits[best].try_units()
    names, limit = [best], (1 + TOLERANCE) ** 2
    may_differ = not is_sufficient and best is None and ALTERNATIVE in errors
    if may_differ and errors[ALTERNATIVE] <= limit * errors[best]:
        _, other_with_units = fits[ALTERNATIVE].try_units()
        if other_with_units <= limit * with_units:
            names.append(ALTERNATIVE)
    return [choice(name) for name in names]


@dataclass(frozen=True)
class Targets:
    """The outputs of y that vary, in units of their deviation.

    Attributes
    ----------
    y : ndarray of shape (n_samples, n_outputs)

    units : ndarray of shape (n_outputs,)

    outputs : ndarray of int of shape (K,)
        Which of them vary.
    """

    y: np.ndarray
    units: np.ndarray
    outputs: np.ndarray

    def take(
        self, rows: IntArray, reference: tuple[AnyArray, AnyArray] | None = None
    ) -> AnyArray:
        """Return the targets of rows `(n, K)`, normalised by their windows."""
        targets = self.y[rows][:, self.outputs]
        if reference is None:
            return targets / self.units[self.outputs]
        location, scale = (self._of_outputs(part[rows]) for part in reference)
        if (scale == 1.0).all():
            scale = self.units[self.outputs]
        with np.errstate(over="ignore"):  # such a model is not chosen
            return (targets - location) / scale

    def error_scale(self, rows: IntArray, reference: Any) -> AnyArray:
        """Return by what errors of targets that windows have scaled are multiplied.

        They are then in units of the deviation of y.
        """
        with np.errstate(over="ignore"):  # such a model is not chosen
            return self._of_outputs(reference[1][rows]) / self.units[self.outputs]

    def _of_outputs(self, values: AnyArray) -> AnyArray:
        """Return what belongs to the outputs, of one column for all or one for each."""
        return values[:, self.outputs] if values.shape[1] > 1 else values


class WindowFit:
    """The linear model of all time steps of windows in one normalisation.

    Parameters
    ----------
    sequences, rows, weights, columns : as in `choose_linear`
        Weights are not None.

    targets : Targets

    window_norm : {'last', 'standard', 'difference'} or None

    order : int, default=0
        Most lags of the model; 0 for all time steps.

    Attributes
    ----------
    order : int
        Its number of lags.

    error : float
        Its mean squared error on other rows, relative to the variance of y; summed over
        outputs.
    """

    def __init__(
        self,
        sequences: Sequences,
        targets: Targets,
        rows: IntArray,
        weights: AnyArray,
        columns: list[int],
        window_norm: str | None,
        order: int = 0,
    ) -> None:
        normalizer = WindowNormalizer(window_norm, columns)
        normalizer.fit(sequences, rows, weights)
        self.sequences = normalizer.normalize(sequences)
        self.reference = self.sequences.reference()
        self.targets, self.rows, self.weights = targets, rows, weights
        self.columns = columns
        n_steps = self.sequences.n_batch_steps()[rows]
        most = min(n_steps.min(), MAX_LAGS)
        self.order = int(min(order, most) if order > 0 else most)
        self.is_complete = self.order == n_steps.max()
        self.scale = None  # of the targets of each row
        if window_norm == "standard":
            self.scale = targets.error_scale(rows, self.reference)
        self.problem = LinearProblem(self._parts)
        model = self.problem.solve(error_scale=self.scale)
        self.row_errors = model.row_errors.sum(axis=1)
        with np.errstate(over="ignore"):
            self.error = np.average(self.row_errors, weights=self.problem.weights)

    def try_units(self) -> tuple[bool, float]:
        """Add nonlinear functions of the lags, units of a network of random weights.

        Returns
        -------
        is_sufficient : bool
            Whether they do not improve the linear model by more than the standard error
            of the improvement.

        error : float
            As `error`, of the linear model with the units.

        References
        ----------
        Lee, White, Granger: Testing for neglected nonlinearity in time series models.
        Journal of Econometrics 56, 1993.
        """
        if self.error < EXACT:
            return True, self.error
        if not self.is_complete:  # earlier steps may tell more
            return False, self.error
        rng = np.random.default_rng(0)
        n_inputs = self.problem.n_inputs
        mean, unit = self.problem.mean[:n_inputs], self.problem.unit
        n_units = min(MAX_UNITS, self.problem.n_distinct // 4)
        directions = rng.standard_normal((n_inputs, n_units)) / np.sqrt(n_inputs)
        offsets = rng.standard_normal(n_units) / 2

        def parts_with_units() -> Iterator[Part]:
            for inputs, targets, weights in self._parts():
                inputs = (inputs - mean) / unit
                units = np.tanh(inputs @ directions + offsets)
                yield np.hstack([inputs, units]), targets, weights

        problem = LinearProblem(parts_with_units)
        best, is_sufficient = self.error, True
        weights = problem.weights, self.problem.group_weights
        for share in UNIT_SHARES:  # a unit is penalised more than a lag
            factors = np.repeat([1.0, share], [n_inputs, n_units])
            model = problem.solve(input_scale=factors, error_scale=self.scale)
            errors = model.row_errors.sum(axis=1)
            best = min(best, np.average(errors, weights=problem.weights))
            if is_better(errors, self.row_errors, *weights):
                is_sufficient = False
        return is_sufficient, best

    def _parts(self) -> Iterator[Part]:
        """Yield lags, targets and weights of rows, part by part."""
        sequences, rows = self.sequences, self.rows
        size = max(1, PART_VALUES // (int(sequences.longest) * sequences.n_features))
        for first in range(0, len(rows), size):
            part = slice(first, first + size)
            inputs = self._lags(rows[part])
            targets = self.targets.take(rows[part], self.reference)
            yield inputs, targets, self.weights[part]

    def _lags(self, rows: IntArray) -> AnyArray:
        """Return the last values of the target columns, and the last of others."""
        values, lengths = self.sequences.take(rows, np.float64)
        others = sorted(set(range(values.shape[2])) - set(self.columns))
        last = np.full(len(rows), values.shape[1]) if lengths is None else lengths
        steps = last[:, None] - np.arange(self.order, 0, -1)
        lagged = values[np.arange(len(rows))[:, None], steps][:, :, self.columns]
        end = values[np.arange(len(rows)), last - 1][:, others]
        return np.hstack([lagged.reshape(len(rows), -1), end])
