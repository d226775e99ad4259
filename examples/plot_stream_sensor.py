"""
Watch a sensor as its values come in
====================================

A sensor reports a value a week, and a network that reads along says what it expects
next. When it is surprised again and again, the sensor may have gone wrong. `stream`
does this at a constant cost per step: the network keeps its state and never reads the
past again.

The sensor is the gas analyser on Mauna Loa, Hawaii, which measures carbon dioxide in
the air (Keeling and Whorf, Scripps Institution of Oceanography, in the package
`statsmodels`). The fault is ours.
"""

# %%
# The data
# --------
# A mean a week since 1958, in parts per million. Missing weeks are interpolated. The
# first 60 % are trained on, the next 20 % say how large errors usually are, and into
# the last 20 % we build a fault: from week 200 on the analyser drifts by a twentieth of
# a part per million a week.

import os
import pickle
import time
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import statsmodels.datasets

from skrnn import RNNRegressor

SMALL = bool(os.environ.get("SKRNN_EXAMPLES_SMALL"))  # a quick run, to test the file

table = statsmodels.datasets.co2.load_pandas().data["co2"].interpolate()
values = table.to_numpy(dtype=float)
week = 2 * np.pi * table.index.day_of_year.to_numpy() / 365.25
steps = np.column_stack([values, np.sin(week), np.cos(week)])  # value, time of the year
n_train, n_calm = int(0.6 * len(values)), int(0.8 * len(values))
print(f"{len(values)} weeks, {n_train} to train on")

# %%
# Training on pieces
# ------------------
# Two years make a sequence, with a target for each week: the value of the next. As
# changes (`window_norm="difference"`) the long rise of the level does not matter.

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
print("Pieces:", X.shape, y.shape)

# %%
# Reading along
# -------------
# The stream begins with all that is known at the end of training and then takes a step
# a week. It can be pickled, with its state, and go on elsewhere.

fault = np.zeros(len(values))
first_fault = n_calm + 200
DRIFT = 0.05  # ppm a week
fault[first_fault:] = DRIFT * np.arange(len(values) - first_fault)
measured = steps.copy()
measured[:, 0] += fault

stream = model.stream(measured[None, : n_train - 1])
expected = np.full(len(values), np.nan)
began = time.perf_counter()
for i in range(n_train - 1, len(values) - 1):
    if i == n_calm:
        stream = pickle.loads(pickle.dumps(stream))
    expected[i + 1] = stream.predict_step(measured[i])
took = (time.perf_counter() - began) / (len(values) - n_train)
print(f"A step takes {1e6 * took:.0f} microseconds, however many came before it.")
whole = model.predict(measured[None, :-1])[0]
print(
    "Same answers as predict on all weeks:",
    np.allclose(expected[n_train:], whole[n_train - 1 :]),
)

surprise = measured[:, 0] - expected
calm = slice(n_train, n_calm)
naive = np.abs(np.diff(values))[n_train - 1 : n_calm - 1].mean()
print(f"Mean absolute error in the calm part: {np.abs(surprise[calm]).mean():.3f} ppm")
print(f"    naive, the value stays:           {naive:.3f} ppm")

# %%
# Raising an alarm
# ----------------
# A sum of surprises that forgets nothing but is pulled to zero a little each week
# (CUSUM) finds a small drift which no single week shows. Its pull and its limit come
# from the calm part alone.

spread, middle = surprise[calm].std(), surprise[calm].mean()


def cusum(errors, pull):
    """Return the running sum of standardised errors above what is usual."""
    total, sums = 0.0, []
    for error in (errors - middle) / spread:
        total = max(0.0, total + error - pull)
        sums.append(total)
    return np.array(sums)


pull = 0.05
limit = 1.5 * cusum(surprise[calm], pull).max()
watched = cusum(surprise[n_calm:], pull)
alarms = np.flatnonzero(watched > limit)
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
panels[0].plot(weeks[n_train:], values[n_train:], color="0.6", label="air")
panels[0].plot(weeks[n_calm:], measured[n_calm:, 0], "r", linewidth=1, label="measured")
panels[0].set(ylabel="carbon dioxide (ppm)", title="The analyser drifts")
panels[0].legend(loc="upper left")
panels[1].plot(weeks[n_train:], surprise[n_train:], color="tab:blue", linewidth=0.8)
panels[1].set(ylabel="surprise (ppm)", title="Measured less expected: no week shows it")
panels[2].plot(weeks[n_calm:], watched, color="tab:purple", label="sum of surprises")
panels[2].axhline(limit, color="gray", linestyle=":", label="limit")
if len(alarms):
    panels[2].plot(weeks[n_calm + alarms[0]], watched[alarms[0]], "ro", label="alarm")
panels[2].set(ylabel="sum (deviations)", xlabel="week", title="The sum does")
panels[2].legend(loc="upper left")
for panel in panels:
    panel.axvline(weeks[first_fault], color="red", linestyle="--", linewidth=0.8)
path = Path(__file__).with_suffix(".png")
figure.savefig(path, dpi=120)
print("\nFigure:", path)
if plt.get_backend().lower() != "agg":
    plt.show()

# %%
# The drift is a small part of a week's noise. What gives it away is that the surprises
# lean to one side, week after week, against a network that knows the season.
