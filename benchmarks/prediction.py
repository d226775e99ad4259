"""Time of predict, compared with the forward pass of the bare module.

    OMP_NUM_THREADS=1 python benchmarks/prediction.py

Medians of alternating runs, on one thread, in float32: 10,000 rows, compared with the
forward pass of the bare module in batches of 256; and a single row, compared with
`predict` of scikit-learn's `MLPRegressor` of the same hidden size on the flattened row.
"""

import statistics
import time
import warnings

import numpy as np
import torch
from sklearn.exceptions import ConvergenceWarning
from sklearn.neural_network import MLPRegressor
from torch import nn

from skrnn import RNNRegressor

LAYERS = {"rnn": nn.RNN, "gru": nn.GRU, "lstm": nn.LSTM}
SIZES = [(50, 1, 16), (50, 8, 64), (50, 16, 128)]
N_ROWS, N_RUNS = 10_000, 7
# The network alone, as the others have it: no linear model, patches or pooling.
NETWORK = dict(window_norm=None, ar_order=0, patch_size=1, pooling="last")


def interleaved(*candidates, repeat=1):
    """Return the median seconds of each candidate, in alternating runs."""
    times = [[] for _ in candidates]
    for run in range(N_RUNS + 1):
        for candidate, of_one in zip(candidates, times, strict=True):
            began = time.perf_counter()
            for _ in range(repeat):
                candidate()
            if run > 0:
                of_one.append((time.perf_counter() - began) / repeat)
    return [statistics.median(of_one) for of_one in times]


def row(cell_type, n_steps, n_features, hidden_size):
    """Return a row of the table."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(N_ROWS, n_steps, n_features)).astype(np.float32)
    y = X.sum(axis=(1, 2))
    model = RNNRegressor(
        hidden_size, cell_type=cell_type, max_epochs=1, random_state=0, **NETWORK
    ).fit(X[:64], y[:64])
    flat = X.reshape(N_ROWS, -1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        mlp = MLPRegressor(hidden_layer_sizes=hidden_size, max_iter=1).fit(
            flat[:64], y[:64]
        )
    layer = LAYERS[cell_type](n_features, hidden_size, batch_first=True)
    head, inputs = nn.Linear(hidden_size, 1), torch.from_numpy(X)

    def bare(rows):
        with torch.inference_mode():
            for part in inputs[:rows].split(256):
                head(layer(part)[0][:, -1])

    all_ours, all_bare = interleaved(lambda: model.predict(X), lambda: bare(N_ROWS))
    one, of_mlp = interleaved(
        lambda: model.predict(X[:1]), lambda: mlp.predict(flat[:1]), repeat=50
    )
    size = f"{cell_type}, {n_steps} steps, {n_features}, {hidden_size}"
    return (
        f"| {size} | {1e3 * all_ours:.0f} | {1e3 * all_bare:.0f} | "
        f"{all_ours / all_bare:.2f} | {1e6 * one:.0f} | {1e6 * of_mlp:.0f} |"
    )


def main():
    """Print the table."""
    torch.set_num_threads(1)
    print("| cell, steps, features, hidden | predict, ms | bare, ms | ratio | ", end="")
    print("one row, us | MLP, one row, us |\n|---|---|---|---|---|---|")
    for size in SIZES:
        for cell_type in LAYERS:
            print(row(cell_type, *size), flush=True)


if __name__ == "__main__":
    main()
