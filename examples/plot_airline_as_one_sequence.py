"""
Forecast airline passengers as one sequence
===========================================

Cutting a series into windows makes many short sequences of one long one. It can also
be left whole: the network reads month after month, keeps in its state what it needs of
the past, and says after each month how many passengers the next one will have.
"""

# %%
# The data
# --------
# 144 months of international airline passengers, 1949 to 1960, in thousands. A step has
# the passengers of a month and, as twelve flags, the name of the next, which is known.
# The target of a step are the passengers of that next month. The first 70 % are for
# training, and the rest is not looked at before the end.

import os
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from skrnn import RNNRegressor
from skrnn.datasets import load_airline_passengers

SMALL = bool(os.environ.get("SKRNN_EXAMPLES_SMALL"))  # a quick run, to test the file

frame = load_airline_passengers()
passengers = frame["passengers"].to_numpy(dtype=float)
next_month = np.eye(12)[frame.index.month % 12]  # January after December
steps = np.column_stack([passengers, next_month])
X, y = steps[None, :-1], passengers[None, 1:]
n_train = round(0.7 * len(passengers))
print(f"X {X.shape}: one sequence, steps, features;  y {y.shape}")
print(f"The first {n_train} steps are trained on.")

# %%
# The models
# ----------
# `return_sequences=True` gives an answer for each step, and `window_norm="difference"`
# lets the network see changes and predict a change, so that it does not matter that the
# passengers of 1960 are beyond all that it was trained on. For error curves a year is
# held back at first: training sees the months before it, validation these and the year.

train, valid = n_train - 12, n_train
models, curves = {}, {}
for name, window_norm in {"LSTM": None, "LSTM on changes": "difference"}.items():
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
# All months are predicted in one go, each from those before it
# -------------------------------------------------------------

predicted = {name: model.predict(X)[0] for name, model in models.items()}
predicted["naive: this month again"] = passengers[:-1]
last_year = np.full(len(passengers) - 1, np.nan)
last_year[11:] = passengers[:-12]
predicted["seasonal naive: last year's month"] = last_year
errors = pd.DataFrame(
    {
        name: {
            "training part": np.nanmean(np.abs(p - y[0])[:n_train]),
            "test part": np.abs(p - y[0])[n_train:].mean(),
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
for name, color in (("LSTM", "tab:red"), ("LSTM on changes", "tab:green")):
    above.plot(frame.index[1:], predicted[name], "--", color=color, label=name)
    train_curve, valid_curve = curves[name]
    epochs = np.arange(1, len(train_curve) + 1)
    below.semilogy(epochs, train_curve, color=color, label=f"{name}, training")
    below.semilogy(epochs, valid_curve, ":", color=color, label=f"{name}, a year on")
above.axvline(frame.index[n_train], color="gray", linewidth=1)
above.annotate("  test part", (frame.index[n_train], 120), color="gray")
above.set(xlabel="month", ylabel="passengers (thousands)")
above.set_title("One month ahead, each from all months before it")
above.legend(loc="upper left")
below.set(xlabel="epoch", ylabel="loss (standardised squared error)")
below.set_title("Error curves, before the last fit")
below.legend(loc="upper right")
path = Path(__file__).with_suffix(".png")
figure.savefig(path, dpi=120)
print("\nFigure:", path)
if plt.get_backend().lower() != "agg":
    plt.show()

# %%
# One sequence is enough to learn the year from. On passengers as they are the network
# follows the training part and then stays below the growing summers; on changes it
# keeps up, at less than half of the error of last year's months.
