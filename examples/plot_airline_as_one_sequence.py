"""
Forecast airline passengers as one sequence
===========================================

A series is usually split into many short windows. It can also be passed as a single
sequence: the network reads it month by month, keeps what it needs of the past in its
hidden state, and predicts the passengers of the next month after each month.
"""

# %%
# The data
# --------
# 144 months of international airline passengers, 1949 to 1960, in thousands. The
# features of a time step are the passengers of a month and the next calendar month,
# which is known, one-hot encoded. The target of a step is the number of passengers in
# that next month. The first 70 % are the training set; the rest is the test set.

import os
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from skrnn import RNNRegressor
from skrnn.datasets import load_airline_passengers

SMALL = bool(os.environ.get("SKRNN_EXAMPLES_SMALL"))  # a quick test run

frame = load_airline_passengers()
passengers = frame["passengers"].to_numpy(dtype=float)
next_month = np.eye(12)[frame.index.month % 12]  # January after December
steps = np.column_stack([passengers, next_month])
X, y = steps[None, :-1], passengers[None, 1:]
n_train = round(0.7 * len(passengers))
print(f"X {X.shape}: one sequence, steps, features;  y {y.shape}")
print(f"The first {n_train} steps are the training set.")

# %%
# The models
# ----------
# With `return_sequences=True`, the network predicts at every step. With
# `window_norm="difference"`, its input and its target are differences between
# consecutive months, so that the trend does not take the test set out of the range of
# the training set. For the learning curves, the last year of the training set is held
# out first: the network is trained on the months before it, and validated on all.

train, valid = n_train - 12, n_train
models, curves = {}, {}
for name, window_norm in {"LSTM": None, "LSTM on differences": "difference"}.items():
    model = RNNRegressor(
        cell_type="lstm",
        window_norm=window_norm,
        target_feature=0,
        return_sequences=True,
        max_epochs=10 if SMALL else 100,
        random_state=0,
    )
    model.fit(X[:, :train], y[:, :train], X_val=X[:, :valid], y_val=y[:, :valid])
    curves[name] = model.loss_curve_, model.validation_loss_curve_
    models[name] = model.fit(X[:, :n_train], y[:, :n_train])

# %%
# One-step predictions of all months
# ----------------------------------
# A single call of `predict` predicts every month from the months before it.

predicted = {name: model.predict(X)[0] for name, model in models.items()}
predicted["naive: previous month"] = passengers[:-1]
last_year = np.full(len(passengers) - 1, np.nan)
last_year[11:] = passengers[:-12]
predicted["seasonal naive: same month a year ago"] = last_year
errors = pd.DataFrame(
    {
        name: {
            "training set": np.nanmean(np.abs(p - y[0])[:n_train]),
            "test set": np.abs(p - y[0])[n_train:].mean(),
        }
        for name, p in predicted.items()
    }
).T
print("\nMean absolute errors, in thousands of passengers:")
print(errors.round(1).to_string())

# %%
# The figure
# ----------

figure, (above, below) = plt.subplots(2, 1, figsize=(10, 8), layout="constrained")
above.plot(frame.index, passengers, color="black", label="passengers")
for name, color in (("LSTM", "tab:red"), ("LSTM on differences", "tab:green")):
    above.plot(frame.index[1:], predicted[name], "--", color=color, label=name)
    train_curve, valid_curve = curves[name]
    epochs = np.arange(1, len(train_curve) + 1)
    below.semilogy(epochs, train_curve, color=color, label=f"{name}, training")
    below.semilogy(epochs, valid_curve, ":", color=color, label=f"{name}, validation")
above.axvline(frame.index[n_train], color="gray", linewidth=1)
above.annotate("  test set", (frame.index[n_train], 120), color="gray")
above.set(xlabel="month", ylabel="passengers (thousands)")
above.set_title("One-step predictions, each from all previous months")
above.legend(loc="upper left")
below.set(xlabel="epoch", ylabel="loss (standardised squared error)")
below.set_title("Learning curves, with the last year of the training set held out")
below.legend(loc="upper right")
path = Path(__file__).with_suffix(".png")
figure.savefig(path, dpi=120)
print("\nFigure:", path)
if plt.get_backend().lower() != "agg":
    plt.show()

# %%
# A single sequence is enough to learn the seasonality. On the original values, the
# network fits the training set and then underestimates the growing summer peaks. On
# differences, it follows the trend, with less than half the error of the seasonal naive
# forecast.
