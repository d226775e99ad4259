"""
Normalise the windows of a series with a trend
==============================================

A series with a trend leaves the range of the training set, where a network extrapolates
poorly. The parameter `window_norm` of `RNNRegressor` normalises each window by its own
values first. Here, the same network forecasts airline passengers one month ahead with
each of the normalisations. The baselines are two naive forecasts and a linear model.
"""

# %%
# The data
# --------
# 144 months of international airline passengers, 1949 to 1960, in thousands. A window
# holds 13 values, and the target is the value of the next month. 13 values have 12
# first differences, the first of which is that of the target's calendar month a year
# before. The last 48 months are the test set, which is not used for any choice.

import os
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from sklearn.linear_model import Ridge
from sklearn.metrics import mean_absolute_error

from skrnn import RNNRegressor, make_windows
from skrnn.datasets import load_airline_passengers

SMALL = bool(os.environ.get("SKRNN_EXAMPLES_SMALL"))  # a quick test run
N_TEST = 48
N_SEEDS = 1 if SMALL else 3

passengers = load_airline_passengers()["passengers"]
X, y = make_windows(passengers.to_numpy("float32"), window_size=13)
X_train, X_test, y_train, y_test = X[:-N_TEST], X[-N_TEST:], y[:-N_TEST], y[-N_TEST:]
print("Training windows:", X_train.shape, " test windows:", X_test.shape, "\n")

# %%
# The normalisations
# ------------------
# The estimator normalises each window and its target as follows, and `predict`
# transforms back. The code is repeated here for the figure only.


def normalize(windows, targets, norm):
    """Return the normalised windows, each with its target at the end."""
    if norm == "difference":
        return np.diff(np.column_stack([windows, targets]), axis=1)
    location, spread = np.zeros(len(windows)), np.ones(len(windows))
    if norm == "last":
        location = windows[:, -1]
    elif norm == "standard":
        location, spread = windows.mean(axis=1), windows.std(axis=1)
    steps = np.column_stack([windows, targets])
    return (steps - location[:, None]) / spread[:, None]


# %%
# The share of the test targets that are above or below all training targets tells how
# much the network has to extrapolate.

NORMS = (None, "last", "standard", "difference")
print("Share of the test targets outside the range of the training targets:")
for norm in NORMS:
    known = normalize(X_train, y_train, norm)[:, -1]
    new = normalize(X_test, y_test, norm)[:, -1]
    share = np.mean((new < known.min()) | (new > known.max()))
    print(f"    window_norm={norm!r:13} {share:4.0%}")

# %%
# The baselines
# -------------
# Ridge receives the 13 original values, or 12 first differences to predict the next
# difference.

plain = Ridge().fit(X_train, y_train)
steps = Ridge().fit(np.diff(X_train), y_train - X_train[:, -1])
forecasts = {
    "naive: previous month": [X_test[:, -1]],
    "seasonal naive: same month a year ago": [X_test[:, -12]],
    "Ridge": [plain.predict(X_test)],
    "Ridge on differences": [X_test[:, -1] + steps.predict(np.diff(X_test))],
}

# %%
# The network
# -----------
# With `ar_order=0`, there is no linear model beside the network, so that the effect of
# the normalisation alone is seen. In the last case, all parameters have their defaults:
# the normalisation is chosen by the errors of linear models, and the best of these is
# added to the network.

networks = {
    f"RNN, window_norm={norm!r}": {"window_norm": norm, "ar_order": 0} for norm in NORMS
}
networks["RNN, defaults"] = {}
for name, parameters in networks.items():
    model = RNNRegressor(**parameters, max_epochs=5 if SMALL else 60)
    forecasts[name] = [
        model.set_params(random_state=seed).fit(X_train, y_train).predict(X_test)
        for seed in range(N_SEEDS)
    ]

errors = pd.DataFrame(columns=["mean", "lowest", "highest"], dtype=float)
for name, of_one_model in forecasts.items():
    each = [mean_absolute_error(y_test, forecast) for forecast in of_one_model]
    errors.loc[name] = np.mean(each), min(each), max(each)
print(f"\nMean absolute error on the last {N_TEST} months, in thousands of passengers;")
print(f"for the networks, mean, lowest and highest of {N_SEEDS} random states:")
print(errors.round(1).to_string(), "\n")

# %%
# The figure
# ----------
# Above, the normalised windows; below, the forecasts of the first random state.

figure, axes = plt.subplot_mosaic(
    [["None", "last", "standard", "difference"], ["forecasts"] * 4],
    figsize=(12, 8),
    layout="constrained",
)
for norm in NORMS:
    panel = axes[str(norm)]
    known = normalize(X_train, y_train, norm)
    new = normalize(X_test, y_test, norm)
    months_back = np.arange(2 - known.shape[1], 2)  # 0 is the last known month
    panel.plot(months_back, new.T, color="tab:orange", linewidth=0.6)
    panel.plot(months_back, known.T, color="tab:blue", linewidth=0.6)
    panel.axvline(0.5, color="black", linestyle=":")
    unit = (
        "standard deviations of the window"
        if norm == "standard"
        else "passengers (thousands)"
    )
    panel.set(title=f"window_norm={norm!r}", ylabel=unit)
    panel.set_xlabel("month (0: last known)")
test, *_, training, target = axes["None"].lines
figure.legend(
    [training, test, target],
    ["training windows", "test windows", "targets are to the right"],
    loc="outside upper center",
    ncols=3,
)

below = axes["forecasts"]
below.plot(passengers["1955":], color="black", linewidth=2, label="observed")
test_months = passengers.index[-N_TEST:]
for name, color, style in (
    ("RNN, window_norm=None", "tab:red", "-"),
    ("RNN, window_norm='difference'", "tab:green", "--"),
    ("RNN, defaults", "tab:purple", ":"),
):
    below.plot(test_months, forecasts[name][0], style, color=color, label=name)
below.axhline(y_train.max(), color="gray", linewidth=0.8)
below.text(
    passengers.index[72], y_train.max() + 6, "highest training target", color="gray"
)
below.set(
    xlabel="month",
    ylabel="passengers (thousands)",
    title="Forecasts of the test set, one month ahead",
)
below.legend(loc="upper left")
path = Path(__file__).with_suffix(".png")
figure.savefig(path, dpi=120)
print("Figure:", path)
if plt.get_backend().lower() != "agg":
    plt.show()

# %%
# On the original values, the predictions stay near the range of the training set, and
# the error is no lower than that of the seasonal naive forecast. With any of the three
# normalisations, the error of the same network is less than half of that, and lowest
# with 'standard', the only one that brings all test targets into the range of the
# training targets. For the linear model, which extrapolates with the same coefficients,
# the normalisation hardly matters, and it is more accurate than these networks. With
# its defaults, the regressor chooses differences and is as accurate as the linear
# model, but no better: 83 windows are too few to learn more.
