"""How much of a network's correction of a linear model to keep, by cross-validation."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from skrnn._data.scaling import standard_deviation
from skrnn._typing import AnyArray, FloatArray

# Candidates of the shrinkage factor: 0 is the linear model, 1 the trained network.
SHRINKAGE_FACTORS = np.linspace(0, 1, 101)

FOLD_FRACTION = 0.2  # of the rows, which a fold validates on


@dataclass(frozen=True)
class FoldResult:
    """A network that was trained without one fold, on the rows of that fold.

    Attributes
    ----------
    curve : list of float
        The validation loss after each epoch.

    rows : ndarray of int of shape (n,)
        The validation rows.

    weights : ndarray of shape (n,)
        Of these rows.

    losses : ndarray of shape (len(SHRINKAGE_FACTORS), n)
        Of each row for each shrinkage factor.

    linear, correction : ndarrays of shape (n, K)
        Raw outputs of the linear model, and what the network adds to them.

    decode : callable
        From raw outputs to predictions in the units of y.
    """

    curve: list[float]
    rows: np.ndarray
    weights: np.ndarray
    losses: np.ndarray
    linear: np.ndarray
    correction: np.ndarray
    decode: Callable[[AnyArray], AnyArray]


class Judgement:
    """What the folds say about a network and its linear model.

    Parameters
    ----------
    results : list of FoldResult

    Attributes
    ----------
    factor : float
        How much of the network's correction to keep.

    mean_curve : list of float
        Of the validation losses; as long as the shortest curve, if a callback stopped
        a fold.
    """

    def __init__(self, results: list[FoldResult]) -> None:
        self.results = results
        # A single fold is the rule for many rows, of which there must be no copy.
        losses = results[0].losses
        if len(results) > 1:
            losses = np.hstack([result.losses for result in results])
        self.weights = np.hstack([result.weights for result in results])
        self.factor = shrinkage_factor(losses, self.weights)
        sizes = [len(result.rows) for result in results]
        n_epochs = min(len(result.curve) for result in results)
        curves = [result.curve[:n_epochs] for result in results]
        self.mean_curve = np.average(curves, axis=0, weights=sizes).tolist()

    def errors(self, y: AnyArray, power: int) -> AnyArray:
        """Return the error of each validation row, in units of y.

        Parameters
        ----------
        y : ndarray of shape (n_samples,) or (n_samples, n_outputs)
            All targets.

        power : {1, 2}
            Of the absolute errors.
        """
        y = np.asarray(y, dtype=np.float64).reshape(len(y), -1)
        spread = np.maximum(standard_deviation(y), np.finfo(float).tiny)
        errors = []
        for result in self.results:
            output = result.linear + self.factor * result.correction
            predicted = result.decode(output).reshape(len(output), -1)
            gaps = np.abs(predicted - y[result.rows]) / spread
            errors.append(np.mean(gaps**power, axis=1))
        return np.hstack(errors)


def is_better(
    errors: AnyArray,
    others: AnyArray,
    weights: FloatArray,
    group_weights: AnyArray | None = None,
) -> bool:
    """Return whether errors are lower than others, beyond their standard error.

    Parameters
    ----------
    errors, others, weights : ndarrays of shape (n,)
        Of each row.

    group_weights : ndarray of shape (n,), default=None
        The sum of the weights of all rows that are equal to each row, which count as
        one.
    """
    positive = weights > 0
    gains = (others - errors)[positive]
    group_weights = weights if group_weights is None else group_weights
    group_weights = group_weights[positive] / weights.sum()
    weights = weights[positive] / weights.sum()
    gain = weights @ gains
    variance = (weights * group_weights) @ (gains - gain) ** 2
    return bool(gain > 0 and gain**2 > variance)


def shrinkage_factor(losses: AnyArray, weights: FloatArray) -> float:
    r"""Return how much of the network's correction of the linear model to keep.

    The factor with the lowest loss on rows that were not trained on, shrunk by the
    uncertainty of its gain: with the mean gain :math:`g` over the linear model and its
    standard error :math:`s`, multiplied by :math:`\max(0, 1 - s^2 / g^2)`.

    Parameters
    ----------
    losses : ndarray of shape (len(SHRINKAGE_FACTORS), n)
        Of each row for each factor, see `FoldResult`.

    weights : ndarray of shape (n,)
        Of the rows.

    Returns
    -------
    factor : float
        In [0, 1].

    References
    ----------
    James, Stein: Estimation with quadratic loss. Fourth Berkeley Symposium, 1961.
    This is the factor of the positive-part estimator, for one mean with an estimated
    standard error.
    """
    positive = weights > 0
    if not positive.all():  # otherwise no copy, since the losses may be large
        losses = losses[:, positive]
    weights = weights[positive] / weights.sum()
    with np.errstate(invalid="ignore"):
        mean = losses @ weights
    if np.isnan(mean).all():
        return 0.0
    best = np.nanargmin(mean)
    gains = losses[0] - losses[best]
    gain = weights @ gains
    if not gain > 0:
        return 0.0
    variance = weights**2 @ (gains - gain) ** 2
    return float(SHRINKAGE_FACTORS[best] * max(0.0, 1 - variance / gain**2))
