"""
Search parameters on a cluster
==============================

The fits of a search do not depend on each other, so that any number of machines can
share them. joblib, with which scikit-learn runs its searches in parallel, hands them to
a Dask cluster if it is asked to. Here, a search finds the size, the cell and the
learning rate of a network that classifies noisy waves, and keeps training only those
candidates that do well after a few epochs.

Without an argument, the cluster is embedded: two workers that are threads of this
process. With the address of a Dask scheduler, the same search runs on its workers,
wherever they are::

    python examples/plot_search_cluster.py tcp://host:8786

On the machines of a cluster, `dask scheduler` starts a scheduler, and
`dask worker tcp://host:8786 --nworkers auto --nthreads 1` a worker for each core.
"""

# %%
# The data
# --------
# Each sequence is a noisy wave of 40 steps. Its class is whether the frequency rises or
# falls; phase, frequency and amplitude say nothing about it.

import os
import sys
import time
from itertools import chain
from pathlib import Path

import joblib
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from sklearn.dummy import DummyClassifier
from sklearn.experimental import enable_halving_search_cv  # noqa: F401
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import HalvingGridSearchCV, StratifiedKFold

from skrnn import RNNClassifier

try:
    from dask.distributed import Client, LocalCluster
except ImportError as error:
    raise ImportError(
        'This example needs dask and distributed: pip install "skrnn[dask]".'
    ) from error

SMALL = bool(os.environ.get("SKRNN_EXAMPLES_SMALL"))  # a quick test run
N_STEPS = 40


def make_waves(n, seed):
    """Return waves `(n, N_STEPS, 1)`, and whether their frequency rises."""
    rng = np.random.default_rng(seed)
    rises = rng.random(n) > 0.5
    first = rng.uniform(0.3, 0.5, n)
    change = np.where(rises, 1, -1) * 0.2
    frequency = first[:, None] + change[:, None] * np.linspace(-0.5, 0.5, N_STEPS)
    phase = rng.uniform(0, 2 * np.pi, n)[:, None] + np.cumsum(frequency, axis=1)
    X = rng.uniform(0.5, 2, (n, 1)) * np.sin(phase) + rng.normal(0, 0.3, (n, N_STEPS))
    return X[:, :, None].astype(np.float32), rises


X_train, y_train = make_waves(200 if SMALL else 400, 0)
X_test, y_test = make_waves(2000, 1)

# %%
# The search
# ----------
# `HalvingGridSearchCV` trains all candidates for a few epochs, then the better third of
# them for three times as many, and so on. The number of epochs is its resource, which
# it sets itself, so that the default of `max_epochs` does not matter.
#
# The folds are made before the search, so that the data and the rows of the folds can
# be sent to every worker: if a worker is lost, others then have all that they need to
# repeat its fits.

grid = {
    "hidden_size": [8, 32] if SMALL else [8, 16, 32],
    "cell_type": ["rnn", "gru", "lstm"],
    "lr": [0.01] if SMALL else [0.003, 0.01, 0.03],
}
folds = list(StratifiedKFold(3).split(X_train, y_train))
search = HalvingGridSearchCV(
    RNNClassifier(random_state=0),
    grid,
    resource="max_epochs",
    min_resources=2,
    max_resources=6 if SMALL else 54,
    cv=folds,
    random_state=0,
)

# %%
# The cluster
# -----------
# `scatter` sends the data and the folds to all workers. `client.amm.stop()` keeps these
# copies, which the scheduler would otherwise remove where they are not in use. The best
# candidate is then trained on all rows, here.

address = sys.argv[1] if len(sys.argv) > 1 else None
cluster = address or LocalCluster(
    n_workers=2, threads_per_worker=1, processes=False, dashboard_address=None
)
began = time.perf_counter()
with Client(cluster, timeout=60) as client:
    client.wait_for_workers(1, timeout=60)
    client.amm.stop()
    sent = [X_train, y_train, *chain.from_iterable(folds)]
    with joblib.parallel_config("dask", scatter=sent):
        search.fit(X_train, y_train)
    n_workers = len(client.scheduler_info()["workers"])
if address is None:
    cluster.close()
seconds = time.perf_counter() - began

results = pd.DataFrame(search.cv_results_)
print(f"{len(results) * len(folds)} fits by {n_workers} workers in {seconds:.1f} s")
print("Best:", search.best_params_)

accuracies = {
    "the most frequent class": DummyClassifier()
    .fit(X_train[:, :, 0], y_train)
    .score(X_test[:, :, 0], y_test),
    "logistic regression": LogisticRegression(max_iter=1000)
    .fit(X_train[:, :, 0], y_train)
    .score(X_test[:, :, 0], y_test),
    "default network": RNNClassifier(random_state=0)
    .fit(X_train, y_train)
    .score(X_test, y_test),
    "best of the search": search.score(X_test, y_test),
}
print("\nAccuracy on the test set:")
print(pd.Series(accuracies).round(3).to_string(), "\n")

# %%
# The figure
# ----------
# Left, the accuracy in cross-validation of each candidate in each round: a line ends
# where a candidate was dropped. Right, the accuracy on waves that the search has not
# seen.

figure, (left, right) = plt.subplots(
    1, 2, figsize=(12, 4.5), width_ratios=[1.5, 1], layout="constrained"
)
colors = {"rnn": "tab:blue", "gru": "tab:orange", "lstm": "tab:green"}
keys = [f"param_{name}" for name in grid]
for _, rounds in results.groupby(keys):
    cell = rounds["param_cell_type"].iloc[0]
    left.plot(
        rounds["n_resources"], rounds["mean_test_score"], "o-", color=colors[cell]
    )
for cell, color in colors.items():
    left.plot([], [], "o-", color=color, label=cell)
left.set(
    xlabel="epochs",
    ylabel="accuracy in cross-validation",
    title="Candidates of the search",
    xscale="log",
    xticks=sorted(set(results["n_resources"])),
)
left.minorticks_off()
left.xaxis.set_major_formatter("{x:.0f}")
left.legend(title="cell_type")
right.barh(list(accuracies), list(accuracies.values()), color="lightgray")
right.invert_yaxis()
right.axvline(0.5, color="gray", linestyle="--")
right.set(xlabel="accuracy on the test set", xlim=(0, 1))
path = Path(__file__).with_suffix(".png")
figure.savefig(path, dpi=120)
print("Figure:", path)
if plt.get_backend().lower() != "agg":
    plt.show()

# %%
# The default network, a plain RNN, does no better than chance on these waves within its
# sixty epochs. The search drops all plain RNNs after six epochs, and gives its longest
# rounds to GRUs and LSTMs. No score depends on which worker ran a fit: they are equal
# for one process, two, or a cluster.
