"""Time of predict, compared with the forward pass of the bare module.

    OMP_NUM_THREADS=1 python benchmarks/prediction.py

Medians of alternating runs, on one thread, in float32: 10,000 rows; and a single row,
compared with the forward pass of 16 rows, to which `predict` pads it.
"""

import statistics
import time

import numpy as np
import torch
from torch import nn

from skrnn import RNNRegressor

LAYERS = {"rnn": nn.RNN, "gru": nn.GRU, "lstm": nn.LSTM}
SIZES = [(50, 1, 16), (50, 8, 64), (50, 16, 128)]
N_ROWS, N_RUNS = 10_000, 7


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
    model = RNNRegressor(hidden_size, cell_type=cell_type, max_epochs=1, random_state=0)
    model.fit(X[:64], y[:64])
    layer = LAYERS[cell_type](n_features, hidden_size, batch_first=True)
    head, inputs = nn.Linear(hidden_size, 1), torch.from_numpy(X)

    def bare(rows):
        with torch.inference_mode():
            for part in inputs[:rows].split(256):
                head(layer(part)[0][:, -1])

    all_ours, all_bare = interleaved(lambda: model.predict(X), lambda: bare(N_ROWS))
    one, sixteen = interleaved(
        lambda: model.predict(X[:1]), lambda: bare(16), repeat=50
    )
    size = f"{cell_type}, {n_steps} steps, {n_features}, {hidden_size}"
    return (
        f"| {size} | {1e3 * all_ours:.0f} | {1e3 * all_bare:.0f} | "
        f"{all_ours / all_bare:.2f} | {1e6 * one:.0f} | {1e6 * sixteen:.0f} |"
    )


def main():
    """Print the table."""
    torch.set_num_threads(1)
    print("| cell, steps, features, hidden | predict, ms | bare, ms | ratio | ", end="")
    print("one row, us | bare, 16 rows, us |\n|---|---|---|---|---|---|")
    for size in SIZES:
        for cell_type in LAYERS:
            print(row(cell_type, *size), flush=True)


if __name__ == "__main__":
    main()
