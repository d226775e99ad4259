"""
Uncertainty from an ensemble
============================

How far can a forecast be trusted? The members of an ensemble differ in their initial
weights and in the order of their batches. They agree where the training data tells
them what to predict, and disagree elsewhere. `n_members` trains such an ensemble, and
`predict(return_std=True)` returns the disagreement. Quantiles, from
`loss="quantile"`, say something else: how noisy the target is. This example shows both.
"""

# %%
# The data
# --------
# Each sequence is a random walk of ten steps. The target is a nonlinear function of its
# last value and of its range, with noise that grows with the range. In training, walks
# whose last value is above 1 do not occur; in the test set they do.

import os
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from sklearn.base import clone
from sklearn.linear_model import Ridge
from sklearn.metrics import mean_absolute_error

from skrnn import RNNRegressor

SMALL = bool(os.environ.get("SKRNN_EXAMPLES_SMALL"))  # a quick test run
N_MEMBERS = 3 if SMALL else 10


def make_walks(n, seed):
    """Return walks `(n, 10, 1)`, targets, and the standard deviation of their noise."""
    rng = np.random.default_rng(seed)
    X = np.cumsum(rng.normal(0, 0.6, (n, 10)), axis=1)
    last, extent = X[:, -1], np.ptp(X, axis=1)
    noise = 0.1 + 0.2 * extent
    y = 2 * np.sin(last) + extent + noise * rng.normal(size=n)
    return X[:, :, None].astype(np.float32), y, noise


X, y, _ = make_walks(1200, 0)
X_train, y_train = X[X[:, -1, 0] < 1], y[X[:, -1, 0] < 1]
X_test, y_test, noise_test = make_walks(3000, 1)
is_new = X_test[:, -1, 0] >= 2  # unlike anything in training
is_known = X_test[:, -1, 0] < 1

# %%
# An ensemble, and quantiles
# --------------------------
# `n_jobs=-1` would train as many members at a time as there are cores. Members share
# the linear model that the defaults add to a network, and agree on it everywhere; here,
# each is a network alone.

network = RNNRegressor(
    n_members=N_MEMBERS, window_norm=None, ar_order=0, random_state=0
)
ensemble = clone(network)
ensemble.fit(X_train, y_train)
mean, deviation = ensemble.predict(X_test, return_std=True)
alone = ensemble.members_[0].predict(X_test)
ridge = Ridge().fit(X_train[:, :, 0], y_train)
quantiles = clone(network).set_params(loss="quantile", quantiles=(0.1, 0.5, 0.9))
quantiles.fit(X_train, y_train)
low, _, high = quantiles.predict_quantiles(X_test).T
low_alone, _, high_alone = quantiles.members_[0].predict_quantiles(X_test).T

errors = {
    "Ridge": mean_absolute_error(y_test, ridge.predict(X_test[:, :, 0])),
    "one network": mean_absolute_error(y_test, alone),
    f"{N_MEMBERS} members": mean_absolute_error(y_test, mean),
}
print("Mean absolute error on the test set:")
print(pd.Series(errors).round(3).to_string(), "\n")


def coverage(low, high, rows):
    """Return the share of the targets of some rows that lie in an interval."""
    return np.mean((low <= y_test)[rows] & (y_test <= high)[rows])


shares = pd.DataFrame(
    {
        "like training": [
            coverage(low_alone, high_alone, is_known),
            coverage(low, high, is_known),
        ],
        "last value above 2": [
            coverage(low_alone, high_alone, is_new),
            coverage(low, high, is_new),
        ],
    },
    index=["one network", f"{N_MEMBERS} members"],
)
print("Share of targets between the quantiles .1 and .9, which should be .8:")
print(shares.round(2).to_string(), "\n")
print(
    "Median standard deviation of the members: "
    f"{np.median(deviation[is_known]):.2f} on walks like those of training, "
    f"{np.median(deviation[is_new]):.2f} where the last value is above 2\n"
)

# %%
# The figure
# ----------
# Left: the members disagree above 1, where they have seen nothing. Right: the width of
# the interval between the quantiles follows the noise.

figure, (left, right) = plt.subplots(1, 2, figsize=(11, 4.5), layout="constrained")
last = X_test[:, -1, 0]
left.plot(last, deviation, ".", alpha=0.3)
left.axvline(1, color="gray", linestyle="--", label="training ends here")
left.set(
    xlabel="last value of the walk",
    ylabel="standard deviation of the members",
    title="What the ensemble does not know",
)
left.legend()
right.plot(noise_test[is_known], (high - low)[is_known], ".", alpha=0.3)
steps = np.array([noise_test.min(), noise_test.max()])
right.plot(steps, 2 * 1.2816 * steps, color="black", label="true width")
right.set(
    xlabel="standard deviation of the noise",
    ylabel="width between the quantiles .1 and .9",
    title="What nobody can know",
)
right.legend()
path = Path(__file__).with_suffix(".png")
figure.savefig(path, dpi=120)
print("Figure:", path)
if plt.get_backend().lower() != "agg":
    plt.show()

# %%
# The standard deviation of the members warns of sequences that are unlike those of
# training. It is no error bar: it knows nothing of the noise, which is in the
# quantiles. These hold nearly their share of the targets on walks like those of
# training, and far too few beyond them, where only the members show that something is
# wrong.
