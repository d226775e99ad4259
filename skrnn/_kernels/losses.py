"""The loss of a row and its gradient with respect to the raw outputs.

The formulas are those of the `row_loss` methods in `skrnn._data.targets`.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from skrnn._kernels.compilation import compiled_helper
from skrnn._typing import AnyArray

# The values of `kind`.
SQUARED_ERROR, ABSOLUTE_ERROR, HUBER, QUANTILE = 0, 1, 2, 3
CROSS_ENTROPY, BINARY_CROSS_ENTROPY, MULTILABEL = 4, 5, 6
LOSSES = {
    "squared_error": SQUARED_ERROR,
    "absolute_error": ABSOLUTE_ERROR,
    "huber": HUBER,
    "quantile": QUANTILE,
    "cross_entropy": CROSS_ENTROPY,
    "binary_cross_entropy": BINARY_CROSS_ENTROPY,
    "multilabel": MULTILABEL,
}


@compiled_helper
def row_loss(
    kind: int,
    output: AnyArray,
    numbers: AnyArray,
    code: int,
    levels: AnyArray,
    label_weights: AnyArray,
    grad_output: AnyArray,
) -> float:
    """Return the loss of a row, and fill the gradient of its raw outputs.

    Parameters
    ----------
    kind : int
        Which loss.

    output : ndarray of shape (K,)
        Raw outputs.

    numbers : ndarray of shape (n_targets,)
        Standardised targets, or the indicators of labels; of any size for classes.

    code : int
        Index of the class; of any value for numbers.

    levels : ndarray of shape (n_levels,)
        Of quantiles.

    label_weights : ndarray of shape (K, 2)
        Weights of the absence and the presence of each label.

    grad_output : ndarray of shape (K,)
        Overwritten.

    Returns
    -------
    loss : float
    """
    number = output.dtype.type
    n_outputs = len(output)
    loss = number(0)
    if kind == CROSS_ENTROPY:
        highest = output[0]
        for k in range(1, n_outputs):
            highest = max(highest, output[k])
        total = number(0)
        for k in range(n_outputs):
            grad_output[k] = np.exp(output[k] - highest)
            total += grad_output[k]
        for k in range(n_outputs):
            grad_output[k] /= total
        grad_output[code] -= 1
        return np.log(total) - (output[code] - highest)
    if kind == BINARY_CROSS_ENTROPY:
        return _binary_loss(output, 0, number(code), number(1), grad_output)
    share = number(1) / number(n_outputs)
    if kind == MULTILABEL:
        for k in range(n_outputs):
            weight = label_weights[k, 1 if numbers[k] > 0 else 0] * share
            loss += _binary_loss(output, k, numbers[k], weight, grad_output)
        return loss
    if kind == QUANTILE:
        n_levels = len(levels)
        for k in range(n_outputs):
            gap = numbers[k // n_levels] - output[k]
            factor = levels[k % n_levels]
            if gap == 0:  # as torch.maximum, which takes the mean of both sides
                factor -= number(0.5)
            elif not gap > 0:
                factor -= 1
            loss += factor * gap * share
            grad_output[k] = -factor * share
        return loss
    for k in range(n_outputs):
        gap = output[k] - numbers[k]
        size = abs(gap)
        if kind == SQUARED_ERROR:
            loss += gap * gap * share
            grad_output[k] = 2 * gap * share
        elif kind == ABSOLUTE_ERROR:
            loss += size * share
            grad_output[k] = np.sign(gap) * share
        elif size < 1:
            loss += gap * gap / 2 * share
            grad_output[k] = gap * share
        else:
            loss += (size - number(0.5)) * share
            grad_output[k] = np.sign(gap) * share
    return loss


@compiled_helper
def _binary_loss(
    output: AnyArray, k: int, present: Any, weight: Any, grad_output: AnyArray
) -> float:
    """Return the weighted cross-entropy of one logit, and set its gradient."""
    logit = output[k]
    half = output.dtype.type(0.5)
    sigmoid = half + half * np.tanh(half * logit)  # without overflow
    grad_output[k] = (sigmoid - present) * weight
    positive = logit if logit > 0 else logit * 0
    return (positive - logit * present + np.log1p(np.exp(-abs(logit)))) * weight
