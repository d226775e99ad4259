"""
Forecast a whole year, with intervals
=====================================

There are two strategies to forecast several months ahead. In a recursive forecast, a
network trained to predict one month is applied repeatedly, and each prediction becomes
an input of the next. In a direct forecast, a network predicts all twelve months at
once. Since a point forecast does not tell its own uncertainty, quantiles and conformal
prediction intervals are shown as well.
"""

# %%
# The data
# --------
# The series is the logarithm of 144 monthly numbers of passengers, since the
# seasonality and the noise grow with the level. A window holds 13 months; the last 36
# months are the test set.

import os
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from mapie.regression import SplitConformalRegressor

from skrnn import RNNRegressor, make_windows
from skrnn.datasets import load_airline_passengers

SMALL = bool(os.environ.get("SKRNN_EXAMPLES_SMALL"))  # a quick test run
EPOCHS = 5 if SMALL else 60
N_TEST, WINDOW = 36, 13

frame = load_airline_passengers()
logs = np.log(frame["passengers"].to_numpy(dtype=float))
known = logs[:-N_TEST]
origins = np.arange(len(known), len(logs) - 11)  # first months of forecasts
print(f"{len(known)} training months, {len(origins)} forecasts of a year")


def histories(length):
    """Return the `length` values before each forecast."""
    return np.stack([logs[origin - length : origin] for origin in origins])


truth = np.exp(np.stack([logs[origin : origin + 12] for origin in origins]))

# %%
# Recursive and direct forecasts
# ------------------------------
# `make_windows(horizon=range(1, 13))` returns a target with twelve columns, one for
# each month ahead.

shared = dict(window_norm="difference", ar_order=12, max_epochs=EPOCHS, random_state=0)
X, y = make_windows(known[:, None], window_size=WINDOW)
one_month = RNNRegressor(cell_type="lstm", **shared).fit(X, y.ravel())
X_year, y_year = make_windows(known, window_size=WINDOW, horizon=range(1, 13))
direct = RNNRegressor(cell_type="lstm", **shared).fit(X_year, y_year)
print(
    "Windows for one month:",
    X.shape,
    y.shape,
    " for a year:",
    X_year.shape,
    y_year.shape,
)

forecasts = {
    "recursive": one_month.forecast(histories(WINDOW)[:, :, None], n_steps=12),
    "direct": direct.predict(histories(WINDOW)),
    "seasonal naive": histories(12),
}
table = pd.DataFrame(
    {
        name: np.abs(np.exp(values) - truth).mean(axis=0)[[0, 2, 5, 11]]
        for name, values in forecasts.items()
    },
    index=["1 month ahead", "3 months", "6 months", "12 months"],
).T
table["mean of 12 months"] = {
    name: np.abs(np.exp(values) - truth).mean() for name, values in forecasts.items()
}
print("\nMean absolute errors, in thousands of passengers:")
print(table.round(1).to_string())

# %%
# Prediction intervals
# --------------------
# With `loss="quantile"`, the network learns the quantiles of the target. Split
# conformal prediction, here with MAPIE, turns any point forecast into intervals: their
# width is chosen such that they cover the desired fraction of a calibration set that
# the network was not trained on. The nominal coverage of both is 80 %, six months
# ahead.

X_six, y_six = make_windows(known, window_size=WINDOW, horizon=6)
quantiles = RNNRegressor(loss="quantile", quantiles=(0.1, 0.9), **shared)
low, high = np.exp(quantiles.fit(X_six, y_six).predict_quantiles(histories(WINDOW))).T

point = RNNRegressor(**shared)
n_fit = len(X_six) - 30  # later windows calibrate; overlapping ones are left out
point.fit(X_six[: n_fit - WINDOW], y_six[: n_fit - WINDOW])
conformal = SplitConformalRegressor(point, confidence_level=0.8, prefit=True)
conformal.conformalize(X_six[n_fit:], y_six[n_fit:])
_, interval = conformal.predict_interval(histories(WINDOW))
lower, upper = np.exp(interval[:, :, 0]).T

six = truth[:, 5]
print("\nPrediction intervals with a nominal coverage of 80 %, six months ahead:")
for name, (a, b) in {"quantiles": (low, high), "conformal": (lower, upper)}.items():
    coverage, width = np.mean((a <= six) & (six <= b)), np.mean(b - a)
    print(
        f"    {name}: coverage {coverage:.0%} of {len(six)} months, "
        f"mean width {width:.0f} thousand"
    )

# %%
# The figure
# ----------

figure, (above, below) = plt.subplots(2, 1, figsize=(10, 8), layout="constrained")
months = frame.index
recent = slice(-N_TEST - 24, None)
above.plot(months[recent], np.exp(logs[recent]), color="black", label="observed")
for name, color in (("recursive", "tab:orange"), ("direct", "tab:blue")):
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
above.set_title("Forecasts of a year, starting at the grey lines")
above.legend(loc="upper left")
later = months[origins + 5]
below.plot(later, six, color="black", label="observed")
below.fill_between(later, low, high, alpha=0.35, label="quantiles 0.1 to 0.9")
below.plot(later, lower, ":", color="tab:red", label="conformal, 80 %")
below.plot(later, upper, ":", color="tab:red")
below.set(xlabel="month", ylabel="passengers (thousands)")
below.set_title("Prediction intervals six months ahead")
below.set_ylim(bottom=250)
below.legend(loc="lower right", ncols=3)
path = Path(__file__).with_suffix(".png")
figure.savefig(path, dpi=120)
print("\nFigure:", path)
if plt.get_backend().lower() != "agg":
    plt.show()

# %%
# Both strategies are far better than the seasonal naive forecast. The recursive network
# learns a single target, but its errors accumulate as its predictions are fed back. The
# direct network accumulates no errors, but has to learn twelve targets from 84 windows.
# The quantiles are learned from the same few windows, and the conformal intervals are
# calibrated on thirty others: with so few rows, the coverage of neither is exact.
