"""
Monitor a sensor with streaming predictions
===========================================

A sensor reports one value per week, and a network predicts the next value each time. If
the prediction errors are systematic, the sensor may be faulty. `stream` makes such
predictions at a constant cost per step: the network keeps its hidden state and does not
read the past again.

The sensor is the gas analyser on Mauna Loa, Hawaii, which measures carbon dioxide in
the air (Keeling and Whorf, Scripps Institution of Oceanography, in the package
`statsmodels`). The fault is simulated.
"""

# %%
# The data
# --------
# Weekly means since 1958, in parts per million (ppm). Missing weeks are interpolated.
# The first 60 % are the training set. The next 20 %, without a fault, are used to
# calibrate the alarm. In the last 20 %, a fault is simulated: from week 200 on, the
# analyser drifts by 0.05 ppm per week.

import os
import pickle
import time
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import statsmodels.datasets

from skrnn import RNNRegressor

SMALL = bool(os.environ.get("SKRNN_EXAMPLES_SMALL"))  # a quick test run

table = statsmodels.datasets.co2.load_pandas().data["co2"].interpolate()
values = table.to_numpy(dtype=float)
week = 2 * np.pi * table.index.day_of_year.to_numpy() / 365.25
steps = np.column_stack([values, np.sin(week), np.cos(week)])  # value, time of the year
n_train, n_valid = int(0.6 * len(values)), int(0.8 * len(values))
print(f"{len(values)} weeks, {n_train} for training")

# %%
# Training on sequences of two years
# ----------------------------------
# The target of each week is the value of the next week. With
# `window_norm="difference"`, the network works on first differences, which removes the
# trend.

starts = np.arange(0, n_train - 105, 26)
X = np.stack([steps[i : i + 104] for i in starts])
y = np.stack([values[i + 1 : i + 105] for i in starts])
model = RNNRegressor(
    cell_type="gru",
    window_norm="difference",
    target_feature=0,
    ar_order=4,
    return_sequences=True,
    max_epochs=5 if SMALL else 60,
    random_state=0,
)
model.fit(X, y)
print("Training sequences:", X.shape, y.shape)

# %%
# Streaming predictions
# ---------------------
# The stream starts from all values of the training set, and then receives one step per
# week. It can be pickled, with its state, to continue in another process.

fault = np.zeros(len(values))
first_fault = n_valid + 200
DRIFT = 0.05  # ppm a week
fault[first_fault:] = DRIFT * np.arange(len(values) - first_fault)
measured = steps.copy()
measured[:, 0] += fault

stream = model.stream(measured[None, : n_train - 1])
predicted = np.full(len(values), np.nan)
began = time.perf_counter()
for i in range(n_train - 1, len(values) - 1):
    if i == n_valid:
        stream = pickle.loads(pickle.dumps(stream))
    predicted[i + 1] = stream.predict_step(measured[i])
took = (time.perf_counter() - began) / (len(values) - n_train)
print(f"A step takes {1e6 * took:.0f} microseconds, however many came before.")
whole = model.predict(measured[None, :-1])[0]
print(
    "Equal to predict on all weeks:",
    np.allclose(predicted[n_train:], whole[n_train - 1 :]),
)

errors = measured[:, 0] - predicted
faultless = slice(n_train, n_valid)
naive = np.abs(np.diff(values))[n_train - 1 : n_valid - 1].mean()
print(
    f"Mean absolute error without a fault: {np.abs(errors[faultless]).mean():.3f} ppm"
)
print(f"    naive, same as the last week:    {naive:.3f} ppm")

# %%
# Raising an alarm
# ----------------
# A cumulative sum of the standardised prediction errors (CUSUM), from which a small
# allowance is subtracted each week, detects a small drift that is not visible in the
# error of any single week. Its threshold is set on the weeks without a fault.

spread, middle = errors[faultless].std(), errors[faultless].mean()


def cusum(errors, allowance):
    """Return the one-sided cumulative sum of standardised errors."""
    total, sums = 0.0, []
    for error in (errors - middle) / spread:
        total = max(0.0, total + error - allowance)
        sums.append(total)
    return np.array(sums)


allowance = 0.05
threshold = 1.5 * cusum(errors[faultless], allowance).max()
sums = cusum(errors[n_valid:], allowance)
alarms = np.flatnonzero(sums > threshold)
if len(alarms):
    late = alarms[0] - 200
    drift = DRIFT * late
    print(f"\nAlarm {late} weeks after the fault began, at a drift of {drift:.2f} ppm")
else:
    print("\nNo alarm")

# %%
# The figure
# ----------

weeks = table.index
figure, panels = plt.subplots(3, 1, figsize=(10, 9), layout="constrained", sharex=True)
panels[0].plot(weeks[n_train:], values[n_train:], color="0.6", label="true value")
panels[0].plot(
    weeks[n_valid:], measured[n_valid:, 0], "r", linewidth=1, label="measured"
)
panels[0].set(
    ylabel="carbon dioxide (ppm)",
    title="Simulated drift of the analyser (from the dashed line on)",
)
panels[0].legend(loc="upper left")
panels[1].plot(weeks[n_train:], errors[n_train:], color="tab:blue", linewidth=0.8)
panels[1].set(ylabel="error (ppm)", title="Prediction errors: measured minus predicted")
panels[2].plot(weeks[n_valid:], sums, color="tab:purple", label="CUSUM")
panels[2].axhline(threshold, color="gray", linestyle=":", label="threshold")
if len(alarms):
    panels[2].plot(weeks[n_valid + alarms[0]], sums[alarms[0]], "ro", label="alarm")
panels[2].set(
    ylabel="CUSUM (standard deviations)",
    xlabel="week",
    title="Cumulative sum of errors",
)
panels[2].legend(loc="upper left")
for panel in panels:
    panel.axvline(weeks[first_fault], color="red", linestyle="--", linewidth=0.8)
path = Path(__file__).with_suffix(".png")
figure.savefig(path, dpi=120)
print("\nFigure:", path)
if plt.get_backend().lower() != "agg":
    plt.show()

# %%
# The weekly drift is small compared with the noise of a week. It is detected because
# the prediction errors of a network that has learned the seasonality are biased to one
# side week after week.
