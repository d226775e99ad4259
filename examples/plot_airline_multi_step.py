"""
Forecast a whole year, with intervals
=====================================

Two ways lead several months ahead. A network for one month can run free, each forecast
taken for the truth by the next. Or it is asked for all twelve months at once. Either
way a number alone says little about a year from now: quantiles and conformal intervals
say how far off it may be.
"""

# %%
# The data
# --------
# Logarithms of the passengers of 144 months, since seasons and noise grow with the
# level. A window holds 13 months; the last 36 months are the test part.

import os
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from mapie.regression import SplitConformalRegressor

from skrnn import RNNRegressor, make_windows
from skrnn.datasets import load_airline_passengers

SMALL = bool(os.environ.get("SKRNN_EXAMPLES_SMALL"))  # a quick run, to test the file
EPOCHS = 5 if SMALL else 60
N_TEST, WINDOW = 36, 13

frame = load_airline_passengers()
logs = np.log(frame["passengers"].to_numpy(dtype=float))
known = logs[:-N_TEST]
origins = np.arange(len(known), len(logs) - 11)  # where forecasts of a year may begin
print(f"{len(known)} months to train on, {len(origins)} years to forecast")


def histories(length):
    """Return the `length` values before each year that is forecast."""
    return np.stack([logs[origin - length : origin] for origin in origins])


truth = np.exp(np.stack([logs[origin : origin + 12] for origin in origins]))

# %%
# Running free, and all at once
# -----------------------------
# `make_windows(horizon=range(1, 13))` makes a target of twelve columns.

shared = dict(window_norm="difference", ar_order=12, max_epochs=EPOCHS, random_state=0)
X, y = make_windows(known[:, None], window_size=WINDOW)
one_month = RNNRegressor(cell_type="lstm", **shared).fit(X, y.ravel())
X_year, y_year = make_windows(known, window_size=WINDOW, horizon=range(1, 13))
at_once = RNNRegressor(cell_type="lstm", **shared).fit(X_year, y_year)
print(
    "Windows for one month:",
    X.shape,
    y.shape,
    " for a year:",
    X_year.shape,
    y_year.shape,
)

forecasts = {
    "running free": one_month.forecast(histories(WINDOW)[:, :, None], n_steps=12),
    "all at once": at_once.predict(histories(WINDOW)),
    "seasonal naive": histories(12),
}
table = pd.DataFrame(
    {
        name: np.abs(np.exp(values) - truth).mean(axis=0)[[0, 2, 5, 11]]
        for name, values in forecasts.items()
    },
    index=["1 month ahead", "3 months", "6 months", "12 months"],
).T
table["mean of the year"] = {
    name: np.abs(np.exp(values) - truth).mean() for name, values in forecasts.items()
}
print("\nMean absolute errors, in thousands of passengers:")
print(table.round(1).to_string())

# %%
# How sure is it?
# ---------------
# With `loss="quantile"` the network learns the quantiles themselves. A conformal
# wrapper, here MAPIE's, takes any forecaster of one number and widens its answers until
# they hold their share of rows that it was not trained on. Both are to hold 80 % of the
# months, six months ahead.

X_six, y_six = make_windows(known, window_size=WINDOW, horizon=6)
quantiles = RNNRegressor(loss="quantile", quantiles=(0.1, 0.9), **shared)
low, high = np.exp(quantiles.fit(X_six, y_six).predict_quantiles(histories(WINDOW))).T

point = RNNRegressor(**shared)
n_fit = len(X_six) - 30  # the windows after them, less those that overlap, calibrate
point.fit(X_six[: n_fit - WINDOW], y_six[: n_fit - WINDOW])
conformal = SplitConformalRegressor(point, confidence_level=0.8, prefit=True)
conformal.conformalize(X_six[n_fit:], y_six[n_fit:])
_, interval = conformal.predict_interval(histories(WINDOW))
lower, upper = np.exp(interval[:, :, 0]).T

six = truth[:, 5]
print("\nIntervals for 80 %, six months ahead:")
for name, (a, b) in {"quantiles": (low, high), "conformal": (lower, upper)}.items():
    share, width = np.mean((a <= six) & (six <= b)), np.mean(b - a)
    print(
        f"    {name}: hold {share:.0%} of {len(six)} months, {width:.0f} thousand wide"
    )

# %%
# The figure
# ----------

figure, (above, below) = plt.subplots(2, 1, figsize=(10, 8), layout="constrained")
months = frame.index
above.plot(months[-N_TEST - 24 :], np.exp(logs[-N_TEST - 24 :]), color="black")
for name, color in (("running free", "tab:orange"), ("all at once", "tab:blue")):
    for i in range(0, len(origins), 12):
        above.plot(
            months[origins[i] : origins[i] + 12],
            np.exp(forecasts[name][i]),
            "--",
            color=color,
            label=name if i == 0 else None,
        )
for i in range(0, len(origins), 12):
    above.axvline(months[origins[i]], color="gray", linewidth=0.8)
above.set(xlabel="month", ylabel="passengers (thousands)")
above.set_title("A year ahead, from each of the gray lines")
above.legend(loc="upper left")
later = months[origins + 5]
below.plot(later, six, color="black", label="passengers")
below.fill_between(later, low, high, alpha=0.35, label="quantiles .1 to .9")
below.plot(later, lower, ":", color="tab:red", label="conformal, 80 %")
below.plot(later, upper, ":", color="tab:red")
below.set(xlabel="month", ylabel="passengers (thousands)")
below.set_title("Six months ahead")
below.set_ylim(bottom=250)
below.legend(loc="lower right", ncols=3)
path = Path(__file__).with_suffix(".png")
figure.savefig(path, dpi=120)
print("\nFigure:", path)
if plt.get_backend().lower() != "agg":
    plt.show()

# %%
# Both ways are far ahead of last year's months. Running free is trained on one month
# and has all windows to learn that from; all at once makes no error by feeding itself,
# but twelve outputs share 84 windows. The quantiles come from the same few windows, and
# the conformal interval from thirty others: with so few rows neither share is exact.
