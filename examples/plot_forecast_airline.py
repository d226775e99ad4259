"""
Forecast airline passengers with a pipeline
===========================================

How many passengers will fly next month? The series is the classic one of Box and
Jenkins: 144 months of international airline passengers, 1949 to 1960, in thousands. A
recurrent network forecasts one month ahead from the previous values and the calendar
month of the forecast. All its parameters have their defaults. The baselines are naive
forecasts and Ridge regressions on the same inputs. A grid search with a time series
split then chooses the length of the windows.
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

from skrnn import LossCurveDisplay, RNNRegressor, SlidingWindow
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
# set include the last rows of the training set. `target_feature=0` says that the target
# continues the first column. The regressor then chooses whether to work on differences,
# and whether to add a linear model to the network, by the errors of linear models on
# rows that are left out.


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


network = with_windows(RNNRegressor(target_feature=0, random_state=0))
network.fit(X[:-N_TEST], y[:-N_TEST])
chosen = network["model"]
print(f"Chosen: window_norm={chosen.window_norm_!r}, ar_order={chosen.ar_order_}")

# %%
# The baselines
# -------------
# Ridge receives the same windows, flattened, in two forms: the original values, and
# first differences to forecast the next difference. A network alone, without
# differences and a linear model, shows what these are worth.


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


alone = RNNRegressor(window_norm=None, ar_order=0, random_state=0)
models = {
    "Ridge": with_windows(ridge_on(values)),
    "Ridge on differences": with_windows(NextDifference(ridge_on(differences))),
    "network alone": with_windows(alone),
    "network, defaults": network,
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
# model. The last year of the training set is held out for validation. Both losses are
# in the same standardised units.

trained = {}
for ar_order in (chosen.ar_order_, 0):
    model = with_windows(
        RNNRegressor(
            window_norm="difference",
            target_feature=0,
            ar_order=ar_order,
            max_epochs=5 if SMALL else 60,
            early_stopping=True,
            validation_fraction=12 / (len(X) - N_TEST),
            patience=1000,  # never stops
            random_state=0,
        )
    )
    trained[f"ar_order={ar_order}"] = model.fit(X[:-N_TEST], y[:-N_TEST])

# %%
# A grid search
# -------------
# The parameters of all steps can be searched, here the length of the windows. Each
# split trains on all months before those that it tests.

search = GridSearchCV(
    with_windows(RNNRegressor(target_feature=0, random_state=0)),
    {"windows__window_size": [7, 13] if SMALL else [4, 7, 10, 13]},
    cv=TimeSeriesSplit(n_splits=3, test_size=12),
    scoring="neg_mean_absolute_error",
)
search.fit(X[:-N_TEST], y[:-N_TEST])
errors_of_sizes = pd.Series(
    -search.cv_results_["mean_test_score"],
    index=search.cv_results_["param_windows__window_size"].data,
)
print("Mean absolute error in cross-validation, by the length of the windows:")
print(errors_of_sizes.round(1).to_string(), "\n")

# %%
# The figure
# ----------

figure, (above, below) = plt.subplots(
    2, 1, figsize=(9, 8), height_ratios=[2, 1], layout="constrained"
)
above.plot(passengers.index, passengers, color="black", label="observed")
for name, style in (
    ("network, defaults", "-"),
    ("network alone", ":"),
):
    above.plot(truth.index, forecasts[name], style, label=name)
above.axvline(truth.index[0], color="gray", linestyle="--", label="test set begins")
above.set(xlabel="month", ylabel="passengers (thousands)", title="One month ahead")
above.legend()
for (name, model), color in zip(trained.items(), ("C0", "C2"), strict=True):
    LossCurveDisplay.from_estimator(
        model,
        name=name,
        ax=below,
        train_kwargs={"color": color},
        validation_kwargs={"color": color, "linestyle": "--"},
        best_epoch_kwargs={"color": color, "linestyle": ":"},
    )
below.set(title="Learning curves", yscale="log", ylim=(None, 100))
below.legend(loc="upper center", ncols=3)
path = Path(__file__).with_suffix(".png")
figure.savefig(path, dpi=120)
print("Figure:", path)
if plt.get_backend().lower() != "agg":
    plt.show()

# %%
# The network alone is about as inaccurate as the seasonal naive forecast, since it
# cannot extrapolate beyond the range of the training set. With its defaults, the
# regressor works on differences, adds a linear model, and is as accurate as Ridge on
# differences. Nothing is left here that the network could add: with only 82 months to
# learn from, random nonlinear functions do not improve the linear model, and so the
# contribution of the network is set to zero.
