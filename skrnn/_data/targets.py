"""Targets: what y means, and the loss of the network's raw outputs.

A target object encodes y as the numbers that the network is trained on (`encode`),
computes the loss of each row from the raw outputs (`row_loss`, in torch), and decodes
raw outputs to the units and labels of y (`decode`). It holds numpy arrays and plain
data only.

To add a loss of the regressor, add its torch formula to `ROW_LOSSES` and its name to
the docstring of `RNNRegressor`. For compiled training add formula and gradient to
`skrnn/_kernels/losses.py` too; a target whose `compiled_loss` is None is trained by
torch.
"""

from __future__ import annotations

import math
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from skrnn._data.scaling import feature_scaling
from skrnn._data.sequences import Sequences
from skrnn._data.target_validation import (
    check_labels,
    check_real_targets,
    class_weights_from_dict,
)
from skrnn._typing import AnyArray, ArrayLike, IntArray

ROW_LOSSES = {
    "squared_error": lambda output, target: (output - target) ** 2,
    "absolute_error": lambda output, target: (output - target).abs(),
    "huber": lambda output, target: F.huber_loss(output, target, reduction="none"),
}


class RegressionTarget:
    """One or several real numbers for each sequence, standardised for training.

    Parameters
    ----------
    loss : {'squared_error', 'absolute_error', 'huber'}
        Of one output, in standardised units; the loss of a row is the mean over
        outputs. The Huber loss is quadratic up to one standard deviation, and linear
        beyond.
    """

    needs_residuals = False  # by `from_linear_model`

    def __init__(self, loss: str) -> None:
        self.loss = loss

    def fit(
        self,
        y: Any,
        rows: IntArray,
        weights: AnyArray | None,
        reference: tuple[AnyArray, AnyArray] | None = None,
    ) -> Self:
        """Learn the mean and the deviation of some rows of y.

        Parameters
        ----------
        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
            Targets of all rows.

        rows : ndarray of int
            The training rows.

        weights : ndarray of shape (len(rows),) or None
            Of the training rows.

        reference : tuple of two ndarrays of shape (n_samples, ...), default=None
            `(location, scale)` of the window of each row, which normalise y first.

        Returns
        -------
        self : object
        """
        y = check_real_targets(y)
        self.one_dimensional = y.ndim == 1
        self.dtype = "float32" if y.dtype == np.float32 else "float64"
        y = normalize_targets(y.reshape(len(y), -1), reference)
        steps = y[:, None, :]
        self.n_targets = self.n_outputs = steps.shape[2]
        self.mean, self.scale = feature_scaling(
            Sequences(steps), rows, weights, spare_binary=False
        )
        return self

    def encode(
        self,
        y: Any,
        name: str = "y",
        reference: tuple[AnyArray, AnyArray] | None = None,
    ) -> AnyArray:
        """Return standardised targets `(n_samples, n_outputs)` in float64."""
        y = check_real_targets(y, name)
        if y[:1].size != self.n_targets:
            raise ValueError(
                f"{name} must have as many outputs as in the first fit, "
                f"{self.n_targets}. Got shape {y.shape}. Call fit without warm_start "
                "to change the targets."
            )
        y = normalize_targets(y.reshape(len(y), -1).astype(np.float64), reference)
        return (y - self.mean) / self.scale

    def class_weights(self, codes: AnyArray) -> None:
        """Return None: numbers have no classes."""
        return None

    def row_loss(self, output: Tensor, target: Tensor) -> Tensor:
        """Return each row's loss `(N,)` for raw outputs `(N, K)`."""
        return ROW_LOSSES[self.loss](output, target).mean(dim=1)

    @property
    def compiled_loss(self) -> str | None:
        """The name of the loss in `skrnn._kernels.losses`."""
        return self.loss

    def from_linear_model(
        self,
        coefficients: AnyArray,
        intercept: AnyArray,
        residuals: AnyArray,
        weights: AnyArray | None,
    ) -> tuple[AnyArray, AnyArray]:
        """Return a linear model of the targets as one of the raw outputs.

        Parameters
        ----------
        coefficients : ndarray of shape (n_targets, n_inputs)

        intercept : ndarray of shape (n_targets,)

        residuals : ndarray of shape (n, n_targets)
            Of the training rows; None unless `needs_residuals`.

        weights : ndarray of shape (n,)
            Of the training rows; None likewise.

        Returns
        -------
        coefficients : ndarray of shape (n_outputs, n_inputs)

        intercept : ndarray of shape (n_outputs,)
        """
        return coefficients, intercept

    def constant_output(self, targets: AnyArray, weights: AnyArray | None) -> AnyArray:
        """Return the raw outputs `(K,)` of a constant, of low loss on encoded targets.

        Parameters
        ----------
        targets : ndarray of shape (n, n_targets)

        weights : ndarray of shape (n,)
        """
        no_inputs = np.zeros((self.n_targets, 0)), np.zeros(self.n_targets)
        return self.from_linear_model(*no_inputs, targets, weights)[1]

    def combine(self, outputs: Tensor) -> Tensor:
        """Return the raw outputs of an ensemble, `(n, K)`, from those of its members.

        Parameters
        ----------
        outputs : tensor of shape (members, n, K)
        """
        return outputs.mean(dim=0)

    def decode(
        self, output: AnyArray, reference: tuple[AnyArray, AnyArray] | None = None
    ) -> AnyArray:
        """Return predictions in the user's units, shaped as y was."""
        y = output.astype(np.float64) * self.scale + self.mean
        if reference is not None:
            location, scale = reference
            y = y * scale + location
        if self.one_dimensional:
            y = y[:, 0]
        return y.astype(self.dtype)


class QuantileTarget(RegressionTarget):
    r"""Quantiles of one or several real numbers, by the pinball loss.

    The loss of a quantile :math:`q` is :math:`\max(q d, (q - 1) d)` with
    :math:`d = y - \hat y`; a row's is the mean over quantiles and targets. Raw outputs
    are the quantiles of the first target, those of the second, and so on. `decode`
    sorts them, so that they do not cross; that never increases the loss.

    Parameters
    ----------
    quantiles : tuple of float
        In (0, 1). The median is always learned as well.

    References
    ----------
    Koenker, Bassett: Regression quantiles. Econometrica 46, 1978.

    Chernozhukov, Fernandez-Val, Galichon: Quantile and probability curves without
    crossing. Econometrica 78, 2010.
    """

    needs_residuals = True

    def __init__(self, quantiles: tuple[float, ...]) -> None:
        super().__init__("quantile")
        self.quantiles = tuple(quantiles)
        self.levels = np.array(sorted({*quantiles, 0.5}))

    def fit(
        self,
        y: Any,
        rows: IntArray,
        weights: AnyArray | None,
        reference: tuple[AnyArray, AnyArray] | None = None,
    ) -> Self:
        """Learn the mean and the deviation of y, as for other losses."""
        super().fit(y, rows, weights, reference)
        self.n_outputs = self.n_targets * len(self.levels)
        return self

    def row_loss(self, output: Tensor, target: Tensor) -> Tensor:
        """Return each row's loss `(N,)` for raw outputs `(N, K)`."""
        levels = output.new_tensor(self.levels)
        gap = target[:, :, None] - output.view(len(output), -1, len(levels))
        return torch.maximum(levels * gap, (levels - 1) * gap).mean(dim=(1, 2))

    def from_linear_model(
        self,
        coefficients: AnyArray,
        intercept: AnyArray,
        residuals: AnyArray,
        weights: Any,
    ) -> tuple[AnyArray, AnyArray]:
        """Return a linear model of each quantile: the intercepts are shifted."""
        order = np.argsort(residuals, axis=0)
        intercepts = []
        for k, rows in enumerate(order.T):
            mass = np.cumsum(weights[rows])
            middle = (mass - weights[rows] / 2) / mass[-1]
            shift = np.interp(self.levels, middle, residuals[rows, k])
            intercepts.append(intercept[k] + shift)
        return np.repeat(coefficients, len(self.levels), axis=0), np.hstack(intercepts)

    def combine(self, outputs: Tensor) -> Tensor:
        """Return the mean of each quantile over the members of an ensemble."""
        of_targets = outputs.reshape(*outputs.shape[:2], self.n_targets, -1)
        return of_targets.sort(dim=-1)[0].mean(dim=0).flatten(1)

    def decode(
        self, output: AnyArray, reference: tuple[AnyArray, AnyArray] | None = None
    ) -> AnyArray:
        """Return the medians in the user's units, shaped as y was."""
        middle = int(np.flatnonzero(self.levels == 0.5)[0])
        return self._sorted(output, reference)[middle]

    def decode_quantiles(
        self, output: AnyArray, reference: tuple[AnyArray, AnyArray] | None = None
    ) -> AnyArray:
        """Return `quantiles`, shaped as y was with one more axis."""
        quantiles = self._sorted(output, reference)
        wanted = np.searchsorted(self.levels, self.quantiles)
        return np.stack([quantiles[i] for i in wanted], axis=-1)

    def _sorted(
        self, output: AnyArray, reference: tuple[AnyArray, AnyArray] | None
    ) -> list[AnyArray]:
        each = np.sort(output.reshape(len(output), self.n_targets, -1), axis=-1)
        return [
            RegressionTarget.decode(self, each[:, :, i], reference)
            for i in range(len(self.levels))
        ]


class ClassTarget:
    """One of two or more classes for each sequence.

    Two classes share one raw output, the log-odds of the second.

    Parameters
    ----------
    classes : ndarray of shape (n_classes,)
        The sorted labels.
    """

    def __init__(self, classes: AnyArray) -> None:
        self.classes = classes
        self.per_class: AnyArray | None = None
        self.n_outputs = 1 if len(classes) == 2 else len(classes)

    def fit(
        self,
        y: Any,
        rows: IntArray,
        weights: AnyArray | None,
        reference: tuple[AnyArray, AnyArray] | None = None,
    ) -> Self:
        """Learn nothing: labels have no units."""
        return self

    def encode(
        self,
        y: Any,
        name: str = "y",
        reference: tuple[AnyArray, AnyArray] | None = None,
    ) -> AnyArray:
        """Return the indices of labels in `classes`, as int64 `(n_samples,)`."""
        y = check_labels(y, name)
        if y.ndim != 1:
            raise ValueError(
                f"{name} must hold one label for each sequence, as in the first fit. "
                f"Got shape {y.shape}. Call fit without warm_start to change the "
                "targets."
            )
        unknown = np.setdiff1d(y, self.classes)
        if len(unknown):
            raise ValueError(
                f"{name} must contain only the labels in classes_, "
                f"{self.classes.tolist()}. "
                f"Got {unknown.tolist()} as well. Pass all labels as classes to the "
                "first call of partial_fit, or call fit again."
            )
        return np.searchsorted(self.classes, y)

    def row_weights(
        self, codes: AnyArray, class_weight: Any, weights: AnyArray | None
    ) -> AnyArray | None:
        """Return `weights` multiplied by the weight of each row's class."""
        self.per_class = None
        if class_weight is None:
            return weights
        if weights is None:
            weights = np.ones(len(codes))
        if isinstance(class_weight, str):
            mass = np.bincount(codes, weights, minlength=len(self.classes))
            present = np.count_nonzero(mass)
            with np.errstate(divide="ignore"):
                per_class = np.where(mass > 0, weights.sum() / (present * mass), 0.0)
        else:
            per_class = class_weights_from_dict(class_weight, self.classes)
        self.per_class = per_class
        return weights * per_class[codes]

    def class_weights(self, codes: AnyArray) -> AnyArray | None:
        """Return the class weights that `row_weights` learned, for other rows."""
        if self.per_class is None or not self.per_class[codes].any():
            return None
        return self.per_class[codes]

    def row_loss(self, output: Tensor, target: Tensor) -> Tensor:
        """Return each row's cross-entropy `(N,)` for raw outputs `(N, K)`."""
        if self.n_outputs > 1:
            return F.cross_entropy(output, target, reduction="none")
        return F.binary_cross_entropy_with_logits(
            output[:, 0], target.to(output.dtype), reduction="none"
        )

    @property
    def compiled_loss(self) -> str:
        """The name of the loss in `skrnn._kernels.losses`."""
        return "binary_cross_entropy" if self.n_outputs == 1 else "cross_entropy"

    def constant_output(self, codes: AnyArray, weights: Any) -> AnyArray:
        """Return the logits `(K,)` of the shares of the classes."""
        shares = np.bincount(codes, weights, minlength=len(self.classes)) / sum(weights)
        logits = np.log(np.maximum(shares, np.finfo(float).tiny))
        return logits[1:] - logits[:1] if self.n_outputs == 1 else logits

    def combine(self, outputs: Tensor) -> Tensor:
        """Return logits of the mean probabilities of the members of an ensemble."""
        if self.n_outputs == 1:
            return mean_log_odds(outputs)
        log_probabilities = F.log_softmax(outputs, dim=-1)
        return log_probabilities.logsumexp(dim=0) - math.log(len(outputs))

    def log_probabilities(self, output: AnyArray) -> AnyArray:
        """Return log-probabilities `(n_samples, n_classes)`."""
        return F.log_softmax(self._log_odds(output), dim=-1).numpy()

    def probabilities(self, output: AnyArray) -> AnyArray:
        """Return probabilities `(n_samples, n_classes)`; rows sum to 1."""
        return F.softmax(self._log_odds(output), dim=-1).numpy()

    def _log_odds(self, output: AnyArray) -> Tensor:
        output = torch.as_tensor(output)
        return binary_logits(output)[:, 0] if self.n_outputs == 1 else output

    def decode(
        self, output: AnyArray, reference: tuple[AnyArray, AnyArray] | None = None
    ) -> AnyArray:
        """Return the most probable labels."""
        if self.n_outputs == 1:
            return self.classes[(output[:, 0] > 0).astype(np.intp)]
        return self.classes[output.argmax(axis=1)]


class MultilabelTarget:
    """Any number of labels for each sequence: an indicator matrix.

    Parameters
    ----------
    n_labels : int
        Number of columns of the indicator matrix.
    """

    def __init__(self, n_labels: int) -> None:
        self.n_outputs = n_labels
        self.classes = np.arange(n_labels)
        self.label_weights = np.ones((n_labels, 2))

    def fit(
        self,
        y: Any,
        rows: IntArray,
        weights: AnyArray | None,
        reference: tuple[AnyArray, AnyArray] | None = None,
    ) -> Self:
        """Learn nothing: labels have no units."""
        return self

    def encode(
        self,
        y: Any,
        name: str = "y",
        reference: tuple[AnyArray, AnyArray] | None = None,
    ) -> AnyArray:
        """Return the indicator matrix as float64 `(n_samples, n_labels)`."""
        y = check_labels(y, name)
        if y.ndim != 2 or y.shape[1] != self.n_outputs:
            raise ValueError(
                f"{name} must be an indicator matrix of shape (n_samples, "
                f"{self.n_outputs}), as in the first fit. Got shape {y.shape}. Call "
                "fit without warm_start to change the targets."
            )
        return y.astype(np.float64)

    def row_weights(
        self, codes: AnyArray, class_weight: Any, weights: AnyArray | None
    ) -> AnyArray | None:
        """Learn the weights of absence and presence of each label; keep row weights."""
        if class_weight is None:
            self.label_weights = np.ones((self.n_outputs, 2))
        elif isinstance(class_weight, str):
            mass = np.ones(len(codes)) if weights is None else weights
            present = mass @ codes
            both = np.stack([mass.sum() - present, present], axis=1)
            with np.errstate(divide="ignore"):
                self.label_weights = np.where(both > 0, mass.sum() / (2 * both), 0.0)
        elif isinstance(class_weight, dict) or len(class_weight) != self.n_outputs:
            raise ValueError(
                "The 'class_weight' parameter must be None, 'balanced' or a list of "
                f"{self.n_outputs} dicts, one for each label, when y is an indicator "
                f"matrix. Got {class_weight!r}."
            )
        else:
            self.label_weights = np.stack(
                [class_weights_from_dict(w, np.arange(2)) for w in class_weight]
            )
        return weights

    def class_weights(self, codes: AnyArray) -> None:
        """Return None: `row_loss` weights each label."""
        return None

    def row_loss(self, output: Tensor, target: Tensor) -> Tensor:
        """Return each row's mean binary cross-entropy `(N,)`."""
        losses = F.binary_cross_entropy_with_logits(output, target, reduction="none")
        absent, present = output.new_tensor(self.label_weights).unbind(1)
        return (losses * torch.where(target > 0, present, absent)).mean(dim=1)

    compiled_loss = "multilabel"

    def constant_output(
        self, indicators: AnyArray, weights: AnyArray | None
    ) -> AnyArray:
        """Return the log-odds `(K,)` of the shares of the labels."""
        tiny = np.finfo(float).tiny
        absent, present = self.label_weights.T
        ones = weights @ indicators * present
        zeros = weights @ (1 - indicators) * absent
        return np.log(np.maximum(ones, tiny)) - np.log(np.maximum(zeros, tiny))

    def combine(self, outputs: Tensor) -> Tensor:
        """Return log-odds of the mean probabilities of the members of an ensemble."""
        return mean_log_odds(outputs)

    def log_probabilities(self, output: AnyArray) -> AnyArray:
        """Return the log-probability of each label's presence."""
        both = F.log_softmax(binary_logits(torch.as_tensor(output)), dim=-1)
        return both[..., 1].numpy()

    def probabilities(self, output: AnyArray) -> AnyArray:
        """Return the probability of each label's presence `(n_samples, n_labels)`."""
        both = F.softmax(binary_logits(torch.as_tensor(output)), dim=-1)
        return both[..., 1].numpy()

    def decode(
        self, output: AnyArray, reference: tuple[AnyArray, AnyArray] | None = None
    ) -> AnyArray:
        """Return the indicator matrix of the labels with probability above a half."""
        return (output > 0).astype(np.int64)


def binary_logits(log_odds: Tensor) -> Tensor:
    """Return the logits of absence, 0, and presence, the log-odds: `(..., 2)`.

    Their softmax is the sigmoid, but torch's sigmoid rounds the last few values of an
    array differently from the others.
    """
    return torch.stack([torch.zeros_like(log_odds), log_odds], dim=-1)


def mean_log_odds(log_odds: Tensor) -> Tensor:
    """Return the log-odds of the mean of probabilities over the first axis."""
    present, absent = F.logsigmoid(log_odds), F.logsigmoid(-log_odds)
    return present.logsumexp(dim=0) - absent.logsumexp(dim=0)


def normalize_targets(
    y: AnyArray, reference: tuple[AnyArray, AnyArray] | None
) -> AnyArray:
    """Return y `(n, k)` normalised by the reference of its window, if there is one."""
    if reference is None:
        return y
    location, scale = reference
    with np.errstate(over="ignore"):
        normalized = (y - location) / scale
    finite = np.isfinite(normalized).all(axis=1)
    if not finite.all():
        raise ValueError(
            "y must be in the units of the target feature with window_norm. Got a y "
            f"for row {finite.argmin()} that is too large for the deviation of its "
            "window. Set window_norm=None."
        )
    return normalized


def class_target(
    y: Any, classes: ArrayLike | None = None, *, owner: str
) -> ClassTarget | MultilabelTarget:
    """Choose the target for labels y, or for the given `classes` of `partial_fit`."""
    y = check_labels(y)
    if y.ndim == 2:
        return MultilabelTarget(y.shape[1])
    classes = np.unique(y if classes is None else classes)
    if len(classes) < 2:
        raise ValueError(
            f"y must contain at least two classes for {owner}. Got one class: "
            f"{classes.tolist()}."
        )
    return ClassTarget(classes)
