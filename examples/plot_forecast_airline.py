"""
Forecast airline passengers with a searched pipeline
====================================================

How many passengers will fly next month? The series is the classic one of Box and
Jenkins: 144 months of international airline passengers, 1949 to 1960, in thousands.
From the values of the months before, and the name of the month to come, a recurrent
network forecasts one month ahead. Its cell, and whether a linear model stands beside
it, are searched by `GridSearchCV`, split in time. Last year's value and Ridge
regressions on the same inputs are the baselines.
"""

# %%
# The data
# --------
# Each row knows what is known at the end of a month: the passengers of that month, and
# which month comes next. The target is the next month's passengers. The last 48 months
# are set aside; nothing is chosen by looking at them.

import os
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator, RegressorMixin, clone
from sklearn.compose import TransformedTargetRegressor, make_column_transformer
from sklearn.linear_model import Ridge
from sklearn.metrics import mean_absolute_error
from sklearn.model_selection import GridSearchCV, TimeSeriesSplit
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, StandardScaler

from skrnn import RNNRegressor, SlidingWindow
from skrnn.datasets import load_airline_passengers

SMALL = bool(os.environ.get("SKRNN_EXAMPLES_SMALL"))  # a quick run, to test the file
N_TEST = 48

passengers = load_airline_passengers()["passengers"].astype(float)
months = passengers.index[1:]  # the months that are forecast
X = pd.DataFrame(
    {"month": months.month, "passengers": passengers.shift(1)[months]}, index=months
)
y = passengers[months]

# %%
# The pipeline
# ------------
# `SlidingWindow` turns each row into the window of 13 rows that ends with it: this
# month, the same month a year ago, and those between. With `carry_over` the first
# windows of the test part reach back into the training part. The series leaves the
# range it was trained on, and so `window_norm="difference"` expresses each window by
# its 12 changes from month to month and forecasts the next change. `ar_order=12` sets a
# linear model of these, and of the month to come, beside the network. All are ordinary
# scikit-learn steps, and so the search can reach into them.


def with_windows(model, window_size=13):
    """Return a pipeline of one-hot months, windows, and a model of these."""
    columns = make_column_transformer(
        ("passthrough", ["passengers"]),
        (OneHotEncoder(sparse_output=False), ["month"]),
    )
    return Pipeline(
        [
            ("columns", columns),
            ("windows", SlidingWindow(window_size, carry_over=True)),
            ("model", model),
        ]
    )


network = RNNRegressor(
    hidden_size=32, window_norm="difference", target_feature=0, random_state=0
)
search = GridSearchCV(
    with_windows(network),
    {
        "model__cell_type": ["rnn"] if SMALL else ["rnn", "gru", "lstm"],
        "model__ar_order": [0, 12],
        "model__max_epochs": [5] if SMALL else [60],
    },
    cv=TimeSeriesSplit(n_splits=3, test_size=12),
    scoring="neg_mean_absolute_error",
)
search.fit(X[:-N_TEST], y[:-N_TEST])
print("Chosen by the search:")
for name, value in search.best_params_.items():
    print(f"    {name.split('__')[-1]} = {value!r}")

# %%
# The baselines
# -------------
# Ridge gets the same windows, flattened, in two forms: as they are, and as changes that
# forecast the next change, the linear model that `ar_order` contains.


def changes(window):
    """Lay the changes within a window, and the month to come, side by side."""
    return np.hstack([np.diff(window[:, :, 0]), window[:, -1, 1:]])


def values(window):
    """Lay the values of a window, and the month to come, side by side."""
    return np.hstack([window[:, :, 0], window[:, -1, 1:]])


def ridge_on(inputs):
    """Return a Ridge regression of standardised inputs and target."""
    model = make_pipeline(FunctionTransformer(inputs), StandardScaler(), Ridge())
    return TransformedTargetRegressor(model, transformer=StandardScaler())


class NextChange(RegressorMixin, BaseEstimator):
    """Forecast by a model of the change from a window's last value."""

    def __init__(self, model):
        self.model = model

    def fit(self, window, target):
        """Fit a copy of the model to the change."""
        self.model_ = clone(self.model).fit(window, target - window[:, -1, 0])
        return self

    def predict(self, window):
        """Add the change to the last value."""
        return window[:, -1, 0] + self.model_.predict(window)


plain = clone(search.best_estimator_).set_params(model__window_norm=None)
models = {
    "Ridge": with_windows(ridge_on(values)),
    "Ridge on changes": with_windows(NextChange(ridge_on(changes))),
    "network without window_norm and ar_order": plain.set_params(model__ar_order=0),
    "network, as searched": clone(search.best_estimator_),
}
truth = y[-N_TEST:]
forecasts = {
    "naive: as the month before": passengers.shift(1)[truth.index],
    "seasonal naive: as a year before": passengers.shift(12)[truth.index],
}
for name, model in models.items():
    forecasts[name] = model.fit(X[:-N_TEST], y[:-N_TEST]).predict(X[-N_TEST:])

errors = pd.Series({n: mean_absolute_error(truth, f) for n, f in forecasts.items()})
print("\nMean absolute error over the last 48 months, thousand passengers:")
print(errors.round(1).to_string(), "\n")

# %%
# Training and validation error
# -----------------------------
# The chosen network once more, with the last year before the test part as validation
# data, to see the error after each epoch, with the linear model beside it and without.
# Losses are in standardised units, which are the same for both.

histories = {}
for ar_order in (12, 0):
    watched = clone(search.best_estimator_).set_params(
        model__ar_order=ar_order,
        model__early_stopping=True,
        model__validation_fraction=12 / (len(X) - N_TEST),
        model__patience=1000,  # only watched, not stopped
    )
    watched.fit(X[:-N_TEST], y[:-N_TEST])
    histories[f"ar_order={ar_order}"] = watched["model"].history_

# %%
# The figure
# ----------

figure, (above, below) = plt.subplots(
    2, 1, figsize=(9, 8), height_ratios=[2, 1], layout="constrained"
)
above.plot(passengers.index, passengers, color="black", label="truth")
for name, style in (
    ("network, as searched", "-"),
    ("network without window_norm and ar_order", ":"),
):
    above.plot(truth.index, forecasts[name], style, label=f"{name}, one month ahead")
above.axvline(truth.index[0], color="gray", linestyle="--", label="trained before")
above.set(xlabel="month", ylabel="passengers (thousands)", title="Airline passengers")
above.legend()
for (name, history), color in zip(histories.items(), ("C0", "C2"), strict=True):
    epoch = history["epoch"]
    below.plot(epoch, history["train_loss"], color=color, label=f"{name}, training")
    below.plot(
        epoch, history["valid_loss"], "--", color=color, label=f"{name}, last year"
    )
below.set(
    xlabel="epoch",
    ylabel="mean squared error\n(standardised change)",
    title="Error after each epoch",
    yscale="log",
)
below.legend(ncols=2)
path = Path(__file__).with_suffix(".png")
figure.savefig(path, dpi=120)
print("Figure:", path)
if plt.get_backend().lower() != "agg":
    plt.show()

# %%
# Given passengers as they are, the network is about as far off as repeating last year's
# value, for it cannot follow into a range it has not seen. Told to express each window
# by its changes, beside the linear model, it is ahead of both guesses and of the Ridge
# regressions on the same windows. Most of that is the linear model: the errors after
# each epoch begin where it stands, and the network adds little on 82 months, which are
# too few to learn more from.
