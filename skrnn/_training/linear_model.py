"""Linear models in closed form, of rows that are read part by part.

Legend of shapes: n rows, P inputs, K targets.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from skrnn._typing import AnyArray

# Inputs, targets and weights of some rows.
Part: TypeAlias = tuple[AnyArray, AnyArray, AnyArray]

# Penalties of the Ridge regression for each row, in standardised units: hardly any for
# many rows, a strong one where there are hardly more rows than inputs.
RIDGE_PENALTIES = np.logspace(-4, 0, 9)


@dataclass(frozen=True)
class LinearModel:
    """A Ridge regression.

    Attributes
    ----------
    coefficients : ndarray of shape (K, P)

    intercept : ndarray of shape (K,)

    errors : ndarray of shape (K,)
        The mean squared error of each target on rows that were left out.

    row_errors : ndarray of shape (n, K)
        The squared error of each row if it is left out.
    """

    coefficients: np.ndarray
    intercept: np.ndarray
    errors: np.ndarray
    row_errors: np.ndarray

    def predict(self, inputs: AnyArray) -> AnyArray:
        """Return the targets of inputs, `(n, K)`."""
        return inputs @ self.coefficients.T + self.intercept


class LinearProblem:
    """Rows of a linear regression.

    They are read twice, part by part, so that no copy of all windows of a series is
    made. Equal rows count as one row with the sum of their weights, so that leaving one
    out leaves all of them out, and a repeated row is the same as a row of weight 2.

    Parameters
    ----------
    parts : callable
        Returns an iterator over parts of the rows: inputs `(n, P)`, targets `(n, K)`
        and weights `(n,)`, in float64.

    Attributes
    ----------
    n_distinct : int
        Number of different rows.

    mean : ndarray of shape (P + K,)
        Of inputs and targets.
    """

    @np.errstate(over="ignore", invalid="ignore")  # see `solve`
    def __init__(self, parts: Callable[[], Iterable[Part]]) -> None:
        self.parts = parts
        self.shift: Any = None
        self.total = 0.0
        products: Any = 0.0
        hashes, weights = [], []
        for inputs, targets, part_weights in parts():
            if not len(inputs):
                continue
            rows = np.hstack([inputs, targets])
            if self.shift is None:  # so that sums of squares lose no digits
                self.n_inputs = inputs.shape[1]
                self.shift = np.average(rows, axis=0, weights=part_weights)
            hashes.append(hash_rows(rows))
            weights.append(part_weights)
            rows = np.column_stack([rows - self.shift, np.ones(len(rows))])
            products = products + rows.T @ (rows * part_weights[:, None])
            self.total += part_weights.sum()
        distinct, group = np.unique(np.concatenate(hashes), return_inverse=True)
        self.n_distinct = len(distinct)
        self.weights = np.concatenate(weights)
        self.group_weights = np.bincount(group, self.weights)[group]
        moved = products[-1, :-1] / self.total
        self.mean = self.shift + moved
        self.covariance = products[:-1, :-1] / self.total - np.outer(moved, moved)

    @property
    def variances(self) -> AnyArray:
        """Of the targets, `(K,)`."""
        return np.diag(self.covariance)[self.n_inputs :]

    @property
    def unit(self) -> float:
        """The root of the mean variance of the inputs."""
        inputs = np.diag(self.covariance)[: self.n_inputs]
        variance = inputs.mean() if len(inputs) else 0.0
        return float(np.sqrt(variance)) if variance > 0 else 1.0  # rounding: below 0

    @np.errstate(over="ignore", invalid="ignore")
    def solve(
        self, input_scale: AnyArray | None = None, error_scale: AnyArray | None = None
    ) -> LinearModel:
        """Fit a Ridge regression, its penalty chosen by leave-one-out errors.

        The penalty is proportional to the number of rows, as the loss is, and to the
        mean variance of the inputs. One decomposition serves all penalties.

        Parameters
        ----------
        input_scale : ndarray of shape (P,), default=None
            Factors of the inputs: a smaller one strengthens its penalty.

        error_scale : ndarray of shape (n, K), default=None
            Factors of the errors of each row, in the order of all rows.

        Returns
        -------
        model : LinearModel
        """
        n_inputs = self.n_inputs
        if not np.isfinite(self.covariance).all():  # inputs that are too large
            return self._constant()
        scale = np.full(n_inputs, 1 / self.unit)
        if input_scale is not None:
            scale = scale * input_scale
        inputs = self.covariance[:n_inputs, :n_inputs] * scale * scale[:, None]
        if not np.isfinite(inputs).all():  # or too small
            return self._constant()
        variances, vectors = np.linalg.eigh(inputs)
        variances = np.maximum(variances, 0.0)
        both = self.covariance[:n_inputs, n_inputs:] * scale[:, None]
        projected = vectors.T @ both
        shares = 1 / (variances + RIDGE_PENALTIES[:, None])  # (penalties, P)
        in_eigenbasis = shares[:, :, None] * projected  # (penalties, P, K)
        errors = self._errors(scale[:, None] * vectors, shares, in_eigenbasis)
        if error_scale is not None:
            errors = errors * error_scale**2
        means = np.einsum("n,pnk->pk", self.weights, errors) / self.total
        relative = means / np.maximum(self.variances, np.finfo(float).tiny)
        best = np.argmin(relative.sum(axis=1))
        coefficients = ((scale[:, None] * vectors) @ in_eigenbasis[best]).T
        intercept = self.mean[n_inputs:] - coefficients @ self.mean[:n_inputs]
        return LinearModel(coefficients, intercept, means[best], errors[best])

    def _constant(self) -> LinearModel:
        """Return the mean of the targets as a model, whose errors are not known."""
        n_targets = len(self.mean) - self.n_inputs
        return LinearModel(
            np.zeros((n_targets, self.n_inputs)),
            self.mean[self.n_inputs :],
            np.full(n_targets, np.inf),
            np.full((len(self.weights), n_targets), np.inf),
        )

    def constant_errors(self) -> AnyArray:
        """Return the leave-one-out errors of the mean of each target, `(K,)`."""
        errors: Any = 0.0
        first = 0
        for _, targets, weights in self.parts():
            left = 1 - self.group_weights[first : first + len(targets)] / self.total
            first += len(targets)
            gaps = (targets - self.mean[self.n_inputs :]) / np.maximum(
                left, np.finfo(float).tiny
            )[:, None]
            errors = errors + weights @ gaps**2
        return errors / self.total

    def _errors(
        self, basis: AnyArray, shares: AnyArray, coefficients: AnyArray
    ) -> AnyArray:
        """Return the squared error of each row if it is left out, `(penalties, n, K)`.

        `basis` is that of the eigenvectors, `(P, P)`; there, `coefficients` are
        `(penalties, P, K)`.
        """
        n_targets = len(self.mean) - self.n_inputs
        errors = np.empty((len(shares), len(self.weights), n_targets))
        first = 0
        for inputs, targets, _ in self.parts():
            if not len(inputs):
                continue
            rows = slice(first, first + len(inputs))
            group = self.group_weights[rows]
            first += len(inputs)
            inputs = (inputs - self.mean[: self.n_inputs]) @ basis
            residuals = targets - self.mean[self.n_inputs :] - inputs @ coefficients
            leverage = (1 + inputs**2 @ shares.T) * (group / self.total)[:, None]
            left = np.maximum(1 - leverage.T, np.finfo(float).eps)
            errors[:, rows] = (residuals / left[:, :, None]) ** 2
        return errors


def hash_rows(rows: AnyArray) -> AnyArray:
    """Return a number for each row of float64 that equal rows share, `(n,)`."""
    factors = np.random.default_rng(0).integers(1, 2**63, rows.shape[1], np.uint64)
    bits = np.ascontiguousarray(rows + 0.0).view(np.uint64)  # 0.0 and -0.0 are equal
    bits = (bits ^ (bits >> np.uint64(32))) * factors
    return np.bitwise_xor.reduce(bits ^ (bits >> np.uint64(29)), axis=1)
