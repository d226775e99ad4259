"""Adam and AdamW as one compiled loop over all parameters, with gradient clipping."""

from __future__ import annotations

import numpy as np

from skrnn._kernels.compilation import compiled_helper
from skrnn._typing import AnyArray


@compiled_helper
def adam_step(
    params: AnyArray,
    grad: AnyArray,
    exp_avg: AnyArray,
    exp_avg_sq: AnyArray,
    max_norm: float,
    lr: float,
    beta1: float,
    beta2: float,
    eps: float,
    weight_decay: float,
    decoupled: bool,
    step: int,
) -> None:
    """Clip the gradient to a norm of `max_norm`, and take one step.

    Parameters
    ----------
    params, grad, exp_avg, exp_avg_sq : ndarrays of shape (P,)
        Parameters, their gradient, and its first and second moment, all changed in
        place.

    max_norm : float
        Largest norm of the gradient; infinity for no clipping.

    lr, beta1, beta2, eps, weight_decay : float
        As in `torch.optim.Adam`.

    decoupled : bool
        Whether the weights decay apart from the gradient, as in AdamW.

    step : int
        Number of this step, from 1.

    References
    ----------
    Kingma, Ba: Adam: a method for stochastic optimization. ICLR 2015.

    Loshchilov, Hutter: Decoupled weight decay regularization. ICLR 2019.
    """
    number = params.dtype.type
    if max_norm < np.inf:
        squared_norm = 0.0
        for i in range(len(grad)):
            squared_norm += np.float64(grad[i]) * np.float64(grad[i])
        clip_coef = max_norm / (np.sqrt(squared_norm) + 1e-6)
        if not clip_coef >= 1:  # NaN reaches the weights, and is reported as divergence
            factor = number(clip_coef)
            for i in range(len(grad)):
                grad[i] *= factor
    step_size = number(lr / (1 - beta1**step))
    inv_sqrt_correction2 = number(1 / np.sqrt(1 - beta2**step))
    keep_mean, keep_square = number(beta1), number(beta2)
    add_mean, add_square = number(1 - beta1), number(1 - beta2)
    epsilon, decay = number(eps), number(weight_decay)
    shrinkage = number(1 - lr * weight_decay) if decoupled else number(1)
    if decoupled:
        decay = number(0)
    for i in range(len(params)):
        g = grad[i] + decay * params[i]
        m = keep_mean * exp_avg[i] + add_mean * g
        v = keep_square * exp_avg_sq[i] + add_square * g * g
        exp_avg[i], exp_avg_sq[i] = m, v
        denominator = np.sqrt(v) * inv_sqrt_correction2 + epsilon
        params[i] = shrinkage * params[i] - step_size * m / denominator
