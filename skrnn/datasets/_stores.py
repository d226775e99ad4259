"""A generator of the daily sales of several stores."""

from __future__ import annotations

import numpy as np
import pandas as pd
from sklearn.utils import check_random_state

from skrnn._typing import FloatArray, IntArray
from skrnn.datasets._generated import check_count

FIRST_DAY = "2022-01-03"  # a Monday
# From Monday to Sunday: the sales, and the gain of a promotion.
WEEK = np.array([0.85, 0.85, 0.9, 1.0, 1.25, 1.5, 0.65])
SHOPPERS = np.array([0.6, 0.6, 0.6, 0.8, 1.4, 1.8, 1.2])

# The gain of a promotion fades from day to day; after it, a part of the gain is
# missing, as customers have stocked up, and that recovers from day to day.
FADING, DIP, RECOVERY = 0.93, 0.35, 0.6


def make_store_sales(
    n_stores: int = 5,
    *,
    n_days: int = 730,
    random_state: int | np.random.RandomState | None = None,
) -> pd.DataFrame:
    r"""Generate the daily sales of several stores, with promotions.

    A panel as retailers have it: a long frame with a row for each store and day, and
    promotions that are planned in advance. All numbers are generated; none was observed
    anywhere.

    Parameters
    ----------
    n_stores : int, default=5
        Number of stores. From the third on, stores open in the first third of the days.

    n_days : int, default=730
        Number of days from 3 January 2022, a Monday, to the last.

    random_state : int, RandomState instance or None, default=None
        Seeds the stores, promotions and sales.

    Returns
    -------
    frame : DataFrame of shape (n_rows, 4)
        Sorted by store and date, without missing dates. The columns are ``store``
        (such as ``'store 1'``), ``date``, ``sales`` (the number of units sold, int64)
        and ``promotion`` (whether there is one, 0 or 1).

    Raises
    ------
    ValueError
        If `n_stores` or `n_days` is not an int >= 1.

    Notes
    -----
    The expected sales of a day are a product: the size of the store; its week, with
    most sales on Saturday; a common season, with a peak before Christmas; a level, the
    exponential of a first-order autoregressive process; and the effect of promotions.
    On the :math:`k`-th day of a promotion, counted from 0, that is
    :math:`1 + 0.93^k u`, and on the :math:`k`-th day after it
    :math:`1 - 0.6^k \cdot 0.35 u`, as customers have stocked up. The gain :math:`u` is
    a number of each store, from 0.4 to 1, times one of the weekday: 0.6 from Monday to
    Wednesday, 0.8, 1.4, 1.8 and 1.2 on the days after. The sales have a negative
    binomial distribution: a Poisson distribution whose mean varies by 13 %.

    Examples
    --------
    >>> from skrnn.datasets import make_store_sales
    >>> frame = make_store_sales(n_days=365, random_state=0)
    >>> frame.head(3)
         store       date  sales  promotion
    0  store 1 2022-01-03    163          0
    1  store 1 2022-01-04    166          0
    2  store 1 2022-01-05    104          0
    >>> frame.groupby("store").size().tolist()
    [365, 365, 347, 267, 301]
    """
    check_count(n_stores, "n_stores")
    check_count(n_days, "n_days")
    rng = check_random_state(random_state)
    dates = pd.date_range(FIRST_DAY, periods=n_days)
    day = np.arange(n_days)
    to_christmas = (dates.day_of_year.to_numpy() - 354) / 7  # in weeks
    season = 1 + 0.12 * np.sin(2 * np.pi * (day - 100) / 365.25)
    season += 0.5 * np.exp(-(to_christmas**2) / 2)
    stores = []
    for store in range(n_stores):
        opening = 0 if store < 2 else rng.randint(n_days // 3 + 1)
        week = WEEK * rng.lognormal(0, 0.1, size=7)
        mean = rng.lognormal(np.log(200), 0.5) * week[day % 7] * season
        mean *= np.exp(autoregressive_process(rng, n_days))
        promotion = draw_promotions(rng, n_days)
        gain = rng.uniform(0.4, 1.0) * SHOPPERS[day % 7]
        mean *= promotion_effect(promotion, gain)
        columns = {
            "store": f"store {store + 1}",
            "date": dates,
            "sales": rng.poisson(mean * rng.gamma(60, 1 / 60, size=n_days)),
            "promotion": promotion,
        }
        stores.append(pd.DataFrame(columns).iloc[opening:])
    return pd.concat(stores, ignore_index=True)


def autoregressive_process(rng: np.random.RandomState, n: int) -> FloatArray:
    """Return n steps of a process that starts at 0."""
    level = rng.normal(0, 0.03, size=n)
    level[0] = 0.0
    for i in range(1, n):
        level[i] += 0.98 * level[i - 1]
    return level


def draw_promotions(rng: np.random.RandomState, n_days: int) -> IntArray:
    """Return 1 for days of promotions, which last 3 to 10 days, and 0 for others."""
    promotion, day = np.zeros(n_days, dtype=np.int64), rng.randint(14)
    while day < n_days:
        length = rng.randint(3, 11)
        promotion[day : day + length] = 1
        day += length + rng.randint(7, 29)
    return promotion


def promotion_effect(promotion: IntArray, gain: FloatArray) -> FloatArray:
    """Return the factor of the sales of each day, for the gain of each day."""
    effect, rest = np.ones(len(promotion)), 0.0
    for i, is_on in enumerate(promotion):
        changes = i > 0 and is_on != promotion[i - 1]
        if is_on:
            rest = rest * FADING if i and not changes else 1.0
        else:
            rest = -DIP if changes else rest * RECOVERY
        effect[i] += rest * gain[i]
    return effect
