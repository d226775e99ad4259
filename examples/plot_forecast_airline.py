"""
Forecast airline passengers with a searched pipeline
====================================================

How many passengers will fly next month? The series is the classic one of Box and
Jenkins: 144 months of international airline passengers, 1949 to 1960, in thousands.
From the values of the months before, and the name of the month to come, a recurrent
network forecasts one month ahead. Its cell and the length of its window are searched by
`GridSearchCV`, split in time. Last year's value and a linear model stand beside it.
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
from sklearn.base import clone
from sklearn.compose import make_column_transformer
from sklearn.linear_model import Ridge
from sklearn.metrics import mean_absolute_error
from sklearn.model_selection import GridSearchCV, TimeSeriesSplit
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder

from skrnn import RNNRegressor, SlidingWindow
from skrnn.datasets import load_airline_passengers

SMALL = bool(os.environ.get("SKRNN_EXAMPLES_SMALL"))  # a quick run, to test the file
N_TEST = 48

passengers = load_airline_passengers()["passengers"]
months = passengers.index[2:]  # the months that are forecast
truth = passengers[months].to_numpy()
known = passengers.shift(1)[months].to_numpy()  # the month before each

# %%
# What a network should be given
# ------------------------------
# Passengers grow from year to year, and a network cannot follow into a range it has not
# seen in training. Growth from month to month stays in its range, so the network gets
# `log(this month / last month)` and forecasts the next; times the last known value that
# is passengers again. To see what this is worth, the same network also gets passengers
# as they are.

growth = np.log(passengers).diff()
inputs = {
    "growth": pd.DataFrame({"value": growth.shift(1)[months], "month": months.month}),
    "passengers": pd.DataFrame({"value": known * 1.0, "month": months.month}),
}
targets = {"growth": growth[months].to_numpy(), "passengers": truth * 1.0}


def as_passengers(forecast, kind):
    """Turn the forecast of the last months into passengers."""
    return known[-N_TEST:] * np.exp(forecast) if kind == "growth" else forecast


# %%
# The pipeline
# ------------
# `SlidingWindow` turns each row into the window of rows that ends with it; with
# `carry_over` the first windows of the test part reach back into the training part.
# Everything is an ordinary scikit-learn step, and so the search can reach into it.


def windows(window_size=12):
    """Return the steps before a model: one-hot months, then windows."""
    month = make_column_transformer(
        (OneHotEncoder(sparse_output=False), ["month"]), remainder="passthrough"
    )
    return month, SlidingWindow(window_size, carry_over=True)


pipeline = make_pipeline(*windows(), RNNRegressor(hidden_size=32, random_state=0))
search = GridSearchCV(
    pipeline,
    {
        "rnnregressor__cell_type": ["rnn"] if SMALL else ["rnn", "gru", "lstm"],
        "slidingwindow__window_size": [6, 12],
        "rnnregressor__max_epochs": [5] if SMALL else [60],
    },
    cv=TimeSeriesSplit(n_splits=3, test_size=12),
    scoring="neg_mean_absolute_error",
)
search.fit(inputs["growth"][:-N_TEST], targets["growth"][:-N_TEST])
print("Chosen by the search:", search.best_params_, "\n")

# %%
# The errors
# ----------
# The last 48 months, one month ahead each. Ridge gets the same windows, flattened.

flatten = FunctionTransformer(lambda window: window.reshape(len(window), -1))
forecasts = {
    "naive: as the month before": known[-N_TEST:],
    "seasonal naive: as a year before": passengers.shift(12)[months[-N_TEST:]],
}
for kind in ("passengers", "growth"):
    X, y = inputs[kind], targets[kind]
    for name, model in {
        "Ridge": make_pipeline(*windows(), flatten, Ridge()),
        "RNNRegressor": clone(search.best_estimator_),
    }.items():
        model.fit(X[:-N_TEST], y[:-N_TEST])
        forecast = model.predict(X[-N_TEST:])
        forecasts[f"{name} on {kind}"] = as_passengers(forecast, kind)

errors = pd.Series(
    {
        name: mean_absolute_error(truth[-N_TEST:], forecast)
        for name, forecast in forecasts.items()
    }
)
print("Mean absolute error over the last 48 months, thousand passengers:")
print(errors.round(1).to_string(), "\n")

# %%
# Training and validation error
# -----------------------------
# The chosen network once more, with the last year before the test part held out, to see
# the error after each epoch. Losses are in standardised units.

watched = clone(search.best_estimator_).set_params(
    rnnregressor__early_stopping=True,
    rnnregressor__validation_fraction=12 / (len(months) - N_TEST),
    rnnregressor__patience=1000,  # only watched, not stopped
)
watched.fit(inputs["growth"][:-N_TEST], targets["growth"][:-N_TEST])
history = watched[-1].history_

# %%
# The figure
# ----------

figure, (above, below) = plt.subplots(
    2, 1, figsize=(9, 8), height_ratios=[2, 1], layout="constrained"
)
test_months = months[-N_TEST:]
above.plot(passengers.index, passengers, color="black", label="truth")
for kind, style in (("growth", "-"), ("passengers", ":")):
    name = f"RNNRegressor on {kind}"
    above.plot(test_months, forecasts[name], style, label=f"{name}, one month ahead")
above.axvline(test_months[0], color="gray", linestyle="--", label="trained before")
above.set(xlabel="month", ylabel="passengers (thousands)", title="Airline passengers")
above.legend()
below.plot(history["epoch"], history["train_loss"], label="training")
below.plot(history["epoch"], history["valid_loss"], label="validation (the last year)")
below.set(
    xlabel="epoch",
    ylabel="mean squared error\n(standardised growth)",
    title="Error after each epoch",
    yscale="log",
)
below.legend()
path = Path(__file__).with_suffix(".png")
figure.savefig(path, dpi=120)
print("Figure:", path)
if plt.get_backend().lower() != "agg":
    plt.show()

# %%
# Given passengers as they are, the network does worse than repeating last year's value,
# for it cannot follow into a range it has not seen, where the linear model can. Given
# growth, it is far ahead of both guesses and a little ahead of the linear model on the
# same windows. How a window is expressed matters more than which cell reads it.
