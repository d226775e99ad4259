"""The airline passengers series."""

from __future__ import annotations

from importlib.resources import files

import pandas as pd


def load_airline_passengers() -> pd.DataFrame:
    """Load the monthly totals of international airline passengers, 1949 to 1960.

    The series has an increasing trend and a yearly season whose amplitude grows with
    the level. It is a common benchmark of forecasting methods.

    Returns
    -------
    frame : DataFrame of shape (144, 1)
        One row per month, oldest first. The index, named ``month``, holds the
        first day of each month (freq ``'MS'``) from January 1949 to December 1960.
        The column ``passengers`` (int64) is in thousands of passengers.

    Notes
    -----
    The values are Series G of [1]_. They are published facts, first printed in
    the 1950s, and carry no licence.

    References
    ----------
    .. [1] G. E. P. Box and G. M. Jenkins, "Time Series Analysis: Forecasting and
       Control", revised edition, Holden-Day, San Francisco, 1976, Series G.

    Examples
    --------
    >>> from skrnn.datasets import load_airline_passengers
    >>> load_airline_passengers().head(3)
                passengers
    month
    1949-01-01         112
    1949-02-01         118
    1949-03-01         132
    """
    source = files(__package__) / "data" / "airline_passengers.csv"
    with source.open(encoding="utf-8") as file:
        frame = pd.read_csv(
            file,
            index_col="month",
            parse_dates=["month"],
            date_format="%Y-%m",
            dtype={"passengers": "int64"},
        )
    frame.index.freq = "MS"  # raises an error if a month is missing
    return frame
