"""
Classify long series: patches and pooling
=========================================

A recurrent network that reads 150 steps one by one, and then reads out its last state,
hardly learns from fifty series: what decided their class lies too far back. Two
parameters change that. `patch_size` joins consecutive steps, so that there are fewer to
remember, and `pooling` reads out all steps instead of the last. Their defaults,
'auto', do both for long sequences.
"""

# %%
# The data
# --------
# Each series is noise with two bumps. In one class, the first bump is higher than the
# second, in the other lower; where they stand is random. Fifty series are for training.

import os
import time
import warnings
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from sklearn.dummy import DummyClassifier
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier

from skrnn import RNNClassifier

SMALL = bool(os.environ.get("SKRNN_EXAMPLES_SMALL"))  # a quick test run
N_STEPS, N_TRAIN, N_TEST = 150, 50, 500
SEEDS = [0] if SMALL else [0, 1, 2, 3, 4]


def make_series(n, seed):
    """Return series `(n, N_STEPS, 1)` and whether their first bump is higher."""
    rng = np.random.default_rng(seed)
    time_steps, first = np.arange(N_STEPS), rng.uniform(15, 65, n)
    second, higher = first + rng.uniform(35, 70, n), rng.random(n) > 0.5
    heights = np.where(higher, 1.5, 1.0), np.where(higher, 1.0, 1.5)
    X = rng.normal(0, 0.15, (n, N_STEPS))
    for center, height in zip((first, second), heights, strict=True):
        distance = (time_steps - center[:, None]) / 5
        X += height[:, None] * np.exp(-(distance**2) / 2)
    return X[:, :, None].astype(np.float32), higher


X_train, y_train = make_series(N_TRAIN, 0)
X_test, y_test = make_series(N_TEST, 1)

# %%
# Three ways to read them
# -----------------------
# The same network, a GRU of 64 units, with one of these parameters after the other.
# 'concat' puts the last state, the mean and the maximum of all states side by side.

networks = {
    "every step, last state": dict(patch_size=1, pooling="last"),
    "every step, 'concat'": dict(patch_size=1, pooling="concat"),
    "patches of 8, last state": dict(patch_size=8, pooling="last"),
    "'auto', the defaults": {},
}
rows = []
for name, parameters in networks.items():
    for seed in SEEDS:
        model = RNNClassifier(cell_type="gru", random_state=seed, **parameters)
        began = time.process_time()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # some learn nothing
            model.fit(X_train, y_train)
        seconds = time.process_time() - began
        rows.append((name, model.score(X_test, y_test), seconds))
    print(f"{name}: patch_size_={model.patch_size_}, pooling_={model.pooling_!r}")
baselines = {
    "the most frequent class": DummyClassifier(),
    "logistic regression": LogisticRegression(max_iter=1000),
    "nearest neighbour": KNeighborsClassifier(1),
}
for name, model in baselines.items():
    model.fit(X_train[:, :, 0], y_train)
    rows.append((name, model.score(X_test[:, :, 0], y_test), np.nan))
table = pd.DataFrame(rows, columns=["model", "accuracy", "seconds"])
summary = table.groupby("model", sort=False).mean()
print(f"\nMean of {len(SEEDS)} random states, {N_TRAIN} training series:")
print(summary.round(2).to_string(na_rep=""), "\n")

# %%
# The figure
# ----------

figure, (left, right) = plt.subplots(
    1, 2, figsize=(11, 4.5), width_ratios=[1, 1.2], layout="constrained"
)
for is_higher, color in ((True, "tab:blue"), (False, "tab:orange")):
    example = X_train[y_train == is_higher][0, :, 0]
    label = "first bump higher" if is_higher else "second bump higher"
    left.plot(example + 2 * is_higher, color=color, label=label)
left.set(xlabel="time step", ylabel="value (shifted)", title="A series of each class")
left.legend(loc="upper right")
left.set_ylim(top=5)
right.barh(summary.index, summary["accuracy"], color="lightgray")
right.plot(table["accuracy"], table["model"], "o", color="black", alpha=0.5)
right.invert_yaxis()
right.axvline(0.5, color="gray", linestyle="--")
right.set(
    xlabel="accuracy on the test set", title="Dots are random states", xlim=(0, 1)
)
path = Path(__file__).with_suffix(".png")
figure.savefig(path, dpi=120)
print("Figure:", path)
if plt.get_backend().lower() != "agg":
    plt.show()
