"""Steps one after the other: free running and streams beside bare torch.

    OMP_NUM_THREADS=1 python benchmarks/stepping.py

Medians of runs that take turns, on one thread, in float32, for one sequence of one
feature and 64 units. Free running: `forecast` of 1000 steps from 30 against a bare
torch loop that carries the state through the layer and a linear head. A step of a
stream: `predict_step` against the bare cell and head on tensors that are there already.
"""

import statistics
import time

import numpy as np
import torch
from torch import nn

from skrnn import RNNRegressor

LAYERS = {"rnn": nn.RNN, "gru": nn.GRU, "lstm": nn.LSTM}
CELLS = {"rnn": nn.RNNCell, "gru": nn.GRUCell, "lstm": nn.LSTMCell}
N_STEPS, N_RUNS = 1000, 15


def bare_forecast(layer, head, known):
    """Run free from `known` as one would by hand; return nothing."""
    with torch.inference_mode():
        output, state = layer(known)
        x = head(output[:, -1:])
        for _ in range(N_STEPS - 1):
            output, state = layer(x, state)
            x = head(output)


def bare_steps(cell, head, x):
    """Step a cell `N_STEPS` times."""
    state = None
    with torch.inference_mode():
        for _ in range(N_STEPS):
            state = cell(x, state)
            head(state[0] if isinstance(state, tuple) else state)


def interleaved(*contenders):
    """Return the median seconds of each, all taking turns."""
    times = [[] for _ in contenders]
    for run in range(N_RUNS + 1):
        for contender, of_one in zip(contenders, times, strict=True):
            began = time.perf_counter()
            contender()
            if run > 0:
                of_one.append(time.perf_counter() - began)
    return [statistics.median(of_one) for of_one in times]


def main():
    """Print a table."""
    torch.set_num_threads(1)
    wave = np.sin(np.arange(2000) / 4).astype(np.float32)
    X, y = wave[None, :-1, None], wave[None, 1:]
    known = X[:, :30]
    print("| | forecast, ms | bare loop, ms | ratio | predict_step, us | bare, us |")
    print("|---|---|---|---|---|---|")
    for cell_type in LAYERS:
        model = RNNRegressor(
            cell_type=cell_type, return_sequences=True, max_epochs=1, random_state=0
        ).fit(X[:, :200], y[:, :200])
        layer = LAYERS[cell_type](1, 64, batch_first=True)
        cell, head = CELLS[cell_type](1, 64), nn.Linear(64, 1)
        stream, x_t, x = model.stream(), known[0, 0], torch.zeros(1, 1)

        def steps(stream=stream, x_t=x_t):
            for _ in range(N_STEPS):
                stream.predict_step(x_t)

        ours, bare = interleaved(
            lambda model=model: model.forecast(known, N_STEPS),
            lambda layer=layer, head=head: bare_forecast(
                layer, head, torch.from_numpy(known)
            ),
        )
        step, bare_step = interleaved(
            steps, lambda cell=cell, head=head, x=x: bare_steps(cell, head, x)
        )
        print(
            f"| {cell_type} | {1e3 * ours:.1f} | {1e3 * bare:.1f} | "
            f"{ours / bare:.2f} | {1e6 * step / N_STEPS:.0f} | "
            f"{1e6 * bare_step / N_STEPS:.0f} |"
        )


if __name__ == "__main__":
    main()
