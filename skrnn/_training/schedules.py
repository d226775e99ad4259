"""Learning rates that follow a fixed curve."""

from __future__ import annotations

import numpy as np

from skrnn._typing import AnyArray


def learning_rates(schedule: str | None, lr: float, n_steps: int) -> list[float] | None:
    """Return the learning rate of each of `n_steps` steps, None if it is constant.

    Both schedules are curves over the whole of training, evaluated at the middle of
    each step, so that they are defined for a single step too. 'cosine' falls from `lr`
    to zero along half a cosine. 'one_cycle' rises from `lr / 25` to `lr` over the first
    three tenths and falls to `lr / 250,000`, each along half a cosine, as torch's
    OneCycleLR does by default; it does not change momentum.

    References
    ----------
    Loshchilov, Hutter: SGDR: stochastic gradient descent with warm restarts.
    ICLR 2017.

    Smith, Topin: Super-convergence: very fast training of neural networks using
    large learning rates. SPIE 2019.
    """
    progress = (np.arange(n_steps) + 0.5) / n_steps
    if schedule == "cosine":
        return _half_cosine(lr, 0.0, progress).tolist()
    if schedule == "one_cycle":
        peak = 0.3
        rise = _half_cosine(lr / 25, lr, progress / peak)
        fall = _half_cosine(lr, lr / 25e4, (progress - peak) / (1 - peak))
        return np.where(progress < peak, rise, fall).tolist()
    return None


def _half_cosine(first: float, last: float, share: AnyArray) -> AnyArray:
    return last + (first - last) / 2 * (1 + np.cos(np.pi * share))
