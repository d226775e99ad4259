"""Time of recursive forecasts and streams, compared with bare torch.

    OMP_NUM_THREADS=1 python benchmarks/streaming.py

Medians of alternating runs, on one thread, in float32, for one sequence with one
feature and 64 units. Forecast: `forecast` of 1000 steps from 30, compared with a bare
torch loop over the layer and a linear head that keeps the hidden state. Stream:
`predict_step`, compared with the bare cell and head on existing tensors.
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
    """Forecast recursively from `known` in a bare loop."""
    with torch.inference_mode():
        output, state = layer(known)
        x = head(output[:, -1:])
        for _ in range(N_STEPS - 1):
            output, state = layer(x, state)
            x = head(output)


def bare_steps(cell, head, x):
    """Run `N_STEPS` steps of a cell."""
    state = None
    with torch.inference_mode():
        for _ in range(N_STEPS):
            state = cell(x, state)
            head(state[0] if isinstance(state, tuple) else state)


def interleaved(*candidates):
    """Return the median seconds of each candidate, in alternating runs."""
    times = [[] for _ in candidates]
    for run in range(N_RUNS + 1):
        for candidate, of_one in zip(candidates, times, strict=True):
            began = time.perf_counter()
            candidate()
            if run > 0:
                of_one.append(time.perf_counter() - began)
    return [statistics.median(of_one) for of_one in times]


def main():
    """Print the table."""
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
