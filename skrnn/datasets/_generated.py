"""Generators of synthetic sequences."""

from __future__ import annotations

from itertools import product
from numbers import Integral, Real
from typing import Any, Literal, overload

import numpy as np
from sklearn.utils import check_random_state

from skrnn._typing import AnyArray, NDArray

GOOD = ("good", "fine", "great", "lovely", "pleasant", "excellent", "wonderful")
BAD = ("bad", "poor", "awful", "nasty", "dreadful", "terrible", "horrible")
THINGS = ("tea", "room", "service", "food", "journey", "music", "weather")
DEGREES = ("", "very ", "really quite ", "in many ways ")
ASIDES = ("", " to us", " as they say", " in all honesty")
OPENINGS = ("", "", "this year ", "as far as we know ")
TEMPLATES = (
    "the {thing} went from {before} to {after}",
    "the {thing} is {after} after it was {before}",
    "the {thing} was {before} and became {after}",
    "once {before} the {thing} has turned {after}",
    "we find the {thing} {after} that we used to find {before}",
)


def make_sine_waves(
    n_samples: int = 100,
    *,
    n_timesteps: int = 50,
    period: float | tuple[float, float] = 25.0,
    noise: float = 0.0,
    random_state: int | np.random.RandomState | None = None,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    r"""Generate sine waves of random phase, and the value that follows each step.

    Parameters
    ----------
    n_samples : int, default=100
        Number of waves.

    n_timesteps : int, default=50
        Number of time steps of a wave.

    period : float, or tuple of two floats, default=25.0
        Period in time steps. For a tuple (low, high), the period of each wave is drawn
        uniformly from that range.

    noise : float, default=0.0
        Standard deviation of the normal noise added to every value of X and y. The
        amplitude of the waves is 1.

    random_state : int, RandomState instance or None, default=None
        Seeds the phases, periods and noise.

    Returns
    -------
    X : ndarray of shape (n_samples, n_timesteps, 1)
        The values.

    y : ndarray of shape (n_samples, n_timesteps)
        For each step, the value of the next step.

    Raises
    ------
    ValueError
        If `n_samples` or `n_timesteps` is not an int >= 1, or if `period` or `noise` is
        outside its range.

    Notes
    -----
    A wave of phase :math:`\varphi` and period :math:`p` is
    :math:`\sin(\varphi + 2 \pi t / p)` at step :math:`t`, counted from 0. Since the
    noise is also added to y, the expected mean squared error of a model is at least
    `noise ** 2`.

    Examples
    --------
    >>> from skrnn.datasets import make_sine_waves
    >>> X, y = make_sine_waves(3, n_timesteps=20, random_state=0)
    >>> X.shape, y.shape
    ((3, 20, 1), (3, 20))
    >>> bool((X[:, 1:, 0] == y[:, :-1]).all())
    True
    """
    check_count(n_samples, "n_samples")
    check_count(n_timesteps, "n_timesteps")
    bounds = period if isinstance(period, tuple) else (period, period)
    if (
        len(bounds) != 2
        or not all(_is_finite(bound) and bound > 0 for bound in bounds)
        or bounds[0] > bounds[1]
    ):
        raise ValueError(
            "period must be a finite number above 0, or a tuple (low, high) of two. "
            f"Got {period!r}. Set it to a number of time steps, such as 25.0."
        )
    if not _is_finite(noise) or noise < 0:
        raise ValueError(
            f"noise must be a finite number >= 0. Got {noise!r}. Set noise=0 for waves "
            "without noise."
        )
    rng = check_random_state(random_state)
    phases = rng.uniform(0, 2 * np.pi, size=(n_samples, 1))
    periods = rng.uniform(*bounds, size=(n_samples, 1))
    steps = np.arange(n_timesteps + 1)
    values = np.sin(phases + 2 * np.pi * steps / periods)
    values += noise * rng.normal(size=values.shape)
    # Copies, so that y does not change if the user scales X in place.
    return values[:, :-1, None].copy(), values[:, 1:].copy()


def make_binary_addition(
    n_samples: int = 100,
    *,
    n_bits: int = 8,
    random_state: int | np.random.RandomState | None = None,
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    r"""Generate pairs of binary numbers, and the bits of their sums.

    The lowest bits come first, as in written addition: the target of a step depends on
    its two bits and on the carry from the steps before.

    Parameters
    ----------
    n_samples : int, default=100
        Number of pairs.

    n_bits : int, default=8
        Number of bits of each number, which are drawn at random.

    random_state : int, RandomState instance or None, default=None
        Seeds the bits.

    Returns
    -------
    X : ndarray of shape (n_samples, n_bits + 1, 2)
        The bits of both numbers as float32. The last step has zeros, so that the last
        carry is part of y.

    y : ndarray of shape (n_samples, n_bits + 1)
        The bits of the sum as int64.

    Raises
    ------
    ValueError
        If `n_samples` or `n_bits` is not an int >= 1.

    Notes
    -----
    The carry starts at 0. If the bits and the carry of a step have the sum :math:`s`,
    its target is :math:`s \bmod 2` and its carry :math:`\lfloor s / 2 \rfloor` [1]_.

    References
    ----------
    .. [1] D. E. Knuth, "The Art of Computer Programming, Volume 2: Seminumerical
       Algorithms", third edition, Addison-Wesley, 1997, section 4.3.1, Algorithm A.

    Examples
    --------
    >>> from skrnn.datasets import make_binary_addition
    >>> X, y = make_binary_addition(1, n_bits=3, random_state=0)
    >>> X[0].T.astype(int), y[0]  # 6 + 5 = 11, lowest bits first
    (array([[0, 1, 1, 0],
           [1, 0, 1, 0]]), array([1, 1, 0, 1]))
    """
    check_count(n_samples, "n_samples")
    check_count(n_bits, "n_bits")
    rng = check_random_state(random_state)
    bits = np.zeros((n_samples, n_bits + 1, 2), dtype=np.int64)
    bits[:, :n_bits] = rng.randint(0, 2, size=(n_samples, n_bits, 2))
    total, carry = np.empty(bits.shape[:2], dtype=np.int64), 0
    for step in range(n_bits + 1):
        both = bits[:, step].sum(axis=1) + carry
        total[:, step], carry = both % 2, both // 2
    return bits.astype(np.float32), total


@overload
def make_order_sentences(
    n_samples: int = 100,
    *,
    return_groups: Literal[False] = False,
    random_state: int | np.random.RandomState | None = None,
) -> tuple[list[str], AnyArray]: ...


@overload
def make_order_sentences(
    n_samples: int = 100,
    *,
    return_groups: Literal[True],
    random_state: int | np.random.RandomState | None = None,
) -> tuple[list[str], AnyArray, NDArray[np.int64]]: ...


def make_order_sentences(
    n_samples: int = 100,
    *,
    return_groups: bool = False,
    random_state: int | np.random.RandomState | None = None,
) -> tuple[list[str], AnyArray] | tuple[list[str], AnyArray, NDArray[np.int64]]:
    """Generate sentences whose class depends only on the order of their words.

    A sentence describes a change from good to bad, or from bad to good. Each occurs a
    second time with its two adjectives exchanged. The word counts of both classes are
    equal, so that a bag-of-words model is at chance.

    Parameters
    ----------
    n_samples : int, default=100
        Number of sentences, which must be even, since they are generated in pairs.

    return_groups : bool, default=False
        Whether to return the pair of adjectives of each sentence, for splits whose
        test set has other pairs than the training set.

    random_state : int, RandomState instance or None, default=None
        Seeds the sentences and their order.

    Returns
    -------
    X : list of str of length n_samples
        The sentences, of 7 to 28 words.

    y : ndarray of shape (n_samples,)
        'better' or 'worse'.

    groups : ndarray of shape (n_samples,)
        From 0 to 48. Only if `return_groups=True`.

    Raises
    ------
    ValueError
        If `n_samples` is not an even int >= 2.

    Notes
    -----
    A bag-of-words model predicts the same class for both sentences of a pair, and so
    has an accuracy of one half. A random split may separate the sentences of a pair;
    the accuracy is then below one half. Splitting by `groups` keeps them together.

    Examples
    --------
    >>> from skrnn.datasets import make_order_sentences
    >>> X, y = make_order_sentences(2, random_state=3)
    >>> for sentence, label in zip(X, y):
    ...     print(f"{label}: {sentence}")
    better: the food is wonderful after it was bad to us
    worse: the food is bad to us after it was wonderful
    """
    check_count(n_samples, "n_samples")
    if n_samples % 2:
        raise ValueError(
            "n_samples must be even, since sentences are generated in pairs. Got "
            f"{n_samples}. Generate {n_samples + 1} and drop one."
        )
    rng = check_random_state(random_state)
    pairs = list(product(GOOD, BAD))
    X, y, groups = [], [], []
    for _ in range(n_samples // 2):
        group = rng.randint(len(pairs))
        template = rng.choice(OPENINGS) + rng.choice(TEMPLATES)
        thing = rng.choice(THINGS)
        good, bad = (
            rng.choice(DEGREES) + state + rng.choice(ASIDES) for state in pairs[group]
        )
        X.append(template.format(thing=thing, before=bad, after=good))
        X.append(template.format(thing=thing, before=good, after=bad))
        y += ["better", "worse"]
        groups += [group, group]
    order = rng.permutation(n_samples)
    X, y, groups = [X[i] for i in order], np.array(y)[order], np.array(groups)[order]
    return (X, y, groups) if return_groups else (X, y)


def _is_finite(value: Any) -> bool:
    is_number = isinstance(value, Real) and not isinstance(value, bool)
    return is_number and bool(np.isfinite(value))


def check_count(value: Any, name: str) -> None:
    if not isinstance(value, Integral) or isinstance(value, bool) or value < 1:
        raise ValueError(f"{name} must be an int >= 1. Got {value!r}.")
