"""Adam as one compiled loop over all parameters, the clipping of gradients included."""

import numpy as np

from skrnn._kernels.compilation import compiled


@compiled
def adam_step(
    values,
    gradient,
    mean,
    square,
    max_norm,
    lr,
    betas,
    eps,
    weight_decay,
    decoupled,
    step,
):
    """Take one step, after the gradient was cut to length.

    Parameters
    ----------
    values, gradient, mean, square : ndarrays of shape (P,)
        Parameters, their gradient, which is cut in place, and its two moments.

    max_norm : float
        Longest gradient; infinity for any.

    lr, betas, eps, weight_decay : float, pair of floats, float, float
        As torch's `Adam` has them.

    decoupled : bool
        Whether weights decay apart from the gradient, as `AdamW` has it.

    step : int
        Which one, from 1.

    References
    ----------
    Kingma, Ba: Adam: a method for stochastic optimization. ICLR 2015.

    Loshchilov, Hutter: Decoupled weight decay regularization. ICLR 2019.
    """
    number = values.dtype.type
    if max_norm < np.inf:
        total = 0.0
        for i in range(len(gradient)):
            total += np.float64(gradient[i]) * np.float64(gradient[i])
        factor = max_norm / (np.sqrt(total) + 1e-6)
        if not factor >= 1:  # NaN reaches the weights, where it is told
            cut = number(factor)
            for i in range(len(gradient)):
                gradient[i] *= cut
    beta1, beta2 = betas
    keep1, keep2 = number(beta1), number(beta2)
    take1, take2 = number(1 - beta1), number(1 - beta2)
    size = number(lr / (1 - beta1**step))
    spread = number(1 / np.sqrt(1 - beta2**step))
    small, decay = number(eps), number(weight_decay)
    shrink = number(1 - lr * weight_decay) if decoupled else number(1)
    if decoupled:
        decay = number(0)
    for i in range(len(values)):
        g = gradient[i] + decay * values[i]
        m = keep1 * mean[i] + take1 * g
        s = keep2 * square[i] + take2 * g * g
        mean[i], square[i] = m, s
        values[i] = shrink * values[i] - size * m / (np.sqrt(s) * spread + small)
