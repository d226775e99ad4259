"""
Express a window so that the network knows it
=============================================

A series that grows leaves the range a network was trained on, and there the network
has nothing to go by. `RNNRegressor` can express each window relative to itself first:
its parameter `window_norm` says how. Here the same network forecasts airline passengers
one month ahead with each of the expressions. Two guesses and a linear model stand
beside it.
"""

# %%
# The data
# --------
# 144 months of international airline passengers, 1949 to 1960, in thousands. A window
# holds 13 values, the target is the month that follows. 13 values make 12 differences,
# and the first of these is the step of the same month a year before. The last 48 months
# are the test part; nothing is chosen by looking at them.

import os
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from sklearn.linear_model import Ridge
from sklearn.metrics import mean_absolute_error

from skrnn import RNNRegressor, make_windows
from skrnn.datasets import load_airline_passengers

SMALL = bool(os.environ.get("SKRNN_EXAMPLES_SMALL"))  # a quick run, to test the file
N_TEST = 48
N_SEEDS = 1 if SMALL else 3

passengers = load_airline_passengers()["passengers"]
X, y = make_windows(passengers.to_numpy("float32"), window_size=13)
X_train, X_test, y_train, y_test = X[:-N_TEST], X[-N_TEST:], y[:-N_TEST], y[-N_TEST:]
print("Windows to train on:", X_train.shape, "and to test on:", X_test.shape, "\n")

# %%
# What the network sees
# ---------------------
# The estimator does the following inside, to the window and to its target alike, and
# takes it back in `predict`. It is written out here only to draw it.


def express(windows, targets, norm):
    """Return the windows, each with its target at the end, as `window_norm` does."""
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
# How much of the test part is new to the network can be counted: the targets that are
# above or below all targets of the training part.

NORMS = (None, "last", "standard", "difference")
print("Share of the test targets outside the range of the training targets:")
for norm in NORMS:
    known = express(X_train, y_train, norm)[:, -1]
    new = express(X_test, y_test, norm)[:, -1]
    share = np.mean((new < known.min()) | (new > known.max()))
    print(f"    window_norm={norm!r:13} {share:4.0%}")

# %%
# The guesses and the linear model
# --------------------------------
# Ridge gets the 13 values once as they are, and once as 12 differences, from which it
# predicts the next difference.

plain = Ridge().fit(X_train, y_train)
steps = Ridge().fit(np.diff(X_train), y_train - X_train[:, -1])
forecasts = {
    "naive: as the month before": [X_test[:, -1]],
    "seasonal naive: as a year before": [X_test[:, -12]],
    "Ridge": [plain.predict(X_test)],
    "Ridge on differences": [X_test[:, -1] + steps.predict(np.diff(X_test))],
}

# %%
# The network
# -----------
# Always with default parameters, apart from the expression and, in the last case,
# `ar_order`: then a Ridge regression of the last 12 differences stands beside the
# network, which learns what that leaves.

networks = {f"RNN, window_norm={norm!r}": {"window_norm": norm} for norm in NORMS}
networks["RNN, 'difference', ar_order=12"] = {
    "window_norm": "difference",
    "ar_order": 12,
}
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
print(f"\nMean absolute error over the last {N_TEST} months, thousand passengers;")
print(f"of the networks mean, lowest and highest of {N_SEEDS} random states:")
print(errors.round(1).to_string(), "\n")

# %%
# The figure
# ----------
# Above, every window as the network sees it; below, forecasts of the first random
# state.

figure, axes = plt.subplot_mosaic(
    [["None", "last", "standard", "difference"], ["forecasts"] * 4],
    figsize=(12, 8),
    layout="constrained",
)
for norm in NORMS:
    panel = axes[str(norm)]
    known, new = express(X_train, y_train, norm), express(X_test, y_test, norm)
    months_back = np.arange(2 - known.shape[1], 2)  # 0 is the last known month
    panel.plot(months_back, new.T, color="tab:orange", linewidth=0.6)
    panel.plot(months_back, known.T, color="tab:blue", linewidth=0.6)
    panel.axvline(0.5, color="black", linestyle=":")
    unit = (
        "deviations of the window" if norm == "standard" else "passengers (thousands)"
    )
    panel.set(title=f"window_norm={norm!r}", ylabel=unit)
    panel.set_xlabel("month (0: the last known)")
test, *_, training, target = axes["None"].lines
figure.legend(
    [training, test, target],
    ["windows of the training part", "of the test part", "the target is to the right"],
    loc="outside upper center",
    ncols=3,
)

below = axes["forecasts"]
below.plot(passengers["1955":], color="black", linewidth=2, label="truth")
test_months = passengers.index[-N_TEST:]
for name, color, style in (
    ("RNN, window_norm=None", "tab:red", "-"),
    ("RNN, window_norm='difference'", "tab:green", "--"),
    ("RNN, 'difference', ar_order=12", "tab:purple", ":"),
):
    below.plot(test_months, forecasts[name][0], style, color=color, label=name)
below.axhline(y_train.max(), color="gray", linewidth=0.8)
below.text(
    passengers.index[72], y_train.max() + 6, "highest value trained on", color="gray"
)
below.set(
    xlabel="month",
    ylabel="passengers (thousands)",
    title="Forecasts one month ahead; trained on what precedes them",
)
below.legend(loc="upper left")
path = Path(__file__).with_suffix(".png")
figure.savefig(path, dpi=120)
print("Figure:", path)
if plt.get_backend().lower() != "agg":
    plt.show()

# %%
# Given passengers as they are, the network stays near the range it was trained on and
# does no better than repeating last year's value. With any of the three expressions the
# same network makes less than half of that error, and least with 'standard', the only
# one that brings all test targets into the range of the training targets. For the
# linear model, which continues with the same slopes outside its range, the expression
# hardly matters, and these networks are behind it. With the linear model beside it the
# network is as good as that, and here no better: 83 windows leave it little to learn.
