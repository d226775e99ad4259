"""
Forecast airline passengers with a pipeline and a grid search
=============================================================

How many passengers will fly next month? The series is the classic one of Box and
Jenkins: 144 months of international airline passengers, 1949 to 1960, in thousands. A
recurrent network forecasts one month ahead from the previous values and the calendar
month of the forecast. `GridSearchCV` with a time series split chooses its cell type,
and whether to add a linear model. The baselines are naive forecasts and Ridge
regressions on the same inputs.
"""

# %%
# The data
# --------
# Each row holds what is known at the end of a month: the number of passengers in that
# month, and which calendar month comes next. The target is the number of passengers in
# the next month. The last 48 months are the test set, which is not used for any choice.

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

SMALL = bool(os.environ.get("SKRNN_EXAMPLES_SMALL"))  # a quick test run
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
# `SlidingWindow` replaces each row by the window of 13 rows that ends with it: from the
# same month a year ago to this month. With `carry_over`, the first windows of the test
# set include the last rows of the training set. Since the series has a trend,
# `window_norm="difference"` takes the 12 first differences of each window and forecasts
# the next one. `ar_order=12` adds a linear model of these differences and of the
# calendar month to the network. All are ordinary scikit-learn steps, whose parameters
# can be searched.


def with_windows(model, window_size=13):
    """Return a pipeline of one-hot encoded months, windows and a model."""
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
print("Best parameters:")
for name, value in search.best_params_.items():
    print(f"    {name.split('__')[-1]} = {value!r}")

# %%
# The baselines
# -------------
# Ridge receives the same windows, flattened, in two forms: the original values, and
# first differences to forecast the next difference, like the linear model of
# `ar_order`.


def differences(window):
    """Return the first differences of a window and the next calendar month."""
    return np.hstack([np.diff(window[:, :, 0]), window[:, -1, 1:]])


def values(window):
    """Return the values of a window and the next calendar month."""
    return np.hstack([window[:, :, 0], window[:, -1, 1:]])


def ridge_on(inputs):
    """Return a Ridge regression with standardised inputs and target."""
    model = make_pipeline(FunctionTransformer(inputs), StandardScaler(), Ridge())
    return TransformedTargetRegressor(model, transformer=StandardScaler())


class NextDifference(RegressorMixin, BaseEstimator):
    """Forecast the difference to the last value of a window."""

    def __init__(self, model):
        self.model = model

    def fit(self, window, target):
        """Fit a copy of the model to the differences."""
        self.model_ = clone(self.model).fit(window, target - window[:, -1, 0])
        return self

    def predict(self, window):
        """Add the predicted difference to the last value."""
        return window[:, -1, 0] + self.model_.predict(window)


plain = clone(search.best_estimator_).set_params(model__window_norm=None)
models = {
    "Ridge": with_windows(ridge_on(values)),
    "Ridge on differences": with_windows(NextDifference(ridge_on(differences))),
    "network without window_norm and ar_order": plain.set_params(model__ar_order=0),
    "network, best parameters": clone(search.best_estimator_),
}
truth = y[-N_TEST:]
forecasts = {
    "naive: previous month": passengers.shift(1)[truth.index],
    "seasonal naive: same month a year ago": passengers.shift(12)[truth.index],
}
for name, model in models.items():
    forecasts[name] = model.fit(X[:-N_TEST], y[:-N_TEST]).predict(X[-N_TEST:])

errors = pd.Series({n: mean_absolute_error(truth, f) for n, f in forecasts.items()})
print("\nMean absolute error on the test set, in thousands of passengers:")
print(errors.round(1).to_string(), "\n")

# %%
# Learning curves
# ---------------
# The training and validation errors after each epoch, with and without the linear
# model. The network has the best parameters of the search, and the last year of the
# training set is held out for validation. Both losses are in the same standardised
# units.

histories = {}
for ar_order in (12, 0):
    model = clone(search.best_estimator_).set_params(
        model__ar_order=ar_order,
        model__early_stopping=True,
        model__validation_fraction=12 / (len(X) - N_TEST),
        model__patience=1000,  # never stops
    )
    model.fit(X[:-N_TEST], y[:-N_TEST])
    histories[f"ar_order={ar_order}"] = model["model"].history_

# %%
# The figure
# ----------

figure, (above, below) = plt.subplots(
    2, 1, figsize=(9, 8), height_ratios=[2, 1], layout="constrained"
)
above.plot(passengers.index, passengers, color="black", label="observed")
for name, style in (
    ("network, best parameters", "-"),
    ("network without window_norm and ar_order", ":"),
):
    above.plot(truth.index, forecasts[name], style, label=name)
above.axvline(truth.index[0], color="gray", linestyle="--", label="test set begins")
above.set(xlabel="month", ylabel="passengers (thousands)", title="One month ahead")
above.legend()
for (name, history), color in zip(histories.items(), ("C0", "C2"), strict=True):
    epoch = history["epoch"]
    below.plot(epoch, history["train_loss"], color=color, label=f"{name}, training")
    below.plot(
        epoch, history["valid_loss"], "--", color=color, label=f"{name}, validation"
    )
below.set(
    xlabel="epoch",
    ylabel="mean squared error\n(standardised difference)",
    title="Learning curves",
    yscale="log",
)
below.legend(ncols=2)
path = Path(__file__).with_suffix(".png")
figure.savefig(path, dpi=120)
print("Figure:", path)
if plt.get_backend().lower() != "agg":
    plt.show()

# %%
# On the original values, the network is about as inaccurate as the seasonal naive
# forecast, since it cannot extrapolate beyond the range of the training set. On
# differences and with the linear model, it is better than both naive forecasts and the
# Ridge regressions on the same windows. Most of this is due to the linear model: the
# learning curves start at its error, and the network improves little on it with only 82
# months to learn from.
