"""Scaling of time and memory with rows, steps, units and layers; windows; images.

    OMP_NUM_THREADS=1 python benchmarks/scaling.py
    OMP_NUM_THREADS=1 python benchmarks/scaling.py images

The first command takes about four minutes on one idle core, the second two.

*Scaling*: time per epoch for a range of one size, with the others fixed, and the
least-squares slope of its logarithm over the logarithm of the size: 1 is linear.
*Windows*: peak memory of a fit on windows of 100 steps of a long series, compared with
the memory of the series, and of the windows if they were copied. *Images*: 60,000
generated images of 28 x 28, read row by row by a GRU with 64 units: seconds and memory
of an epoch, compared with a bare torch loop. Memory is the increase of the peak of the
resident set in a separate process.
"""

import argparse
import multiprocessing
import resource
import time

import numpy as np
import torch
from torch import nn

from skrnn import RNNClassifier, RNNRegressor, make_windows

CELLS = ("rnn", "gru", "lstm")
BASE = {"rows": 512, "steps": 50, "units": 32, "layers": 1}
# The network alone, as the others have it: no linear model, patches or pooling.
NETWORK = dict(window_norm=None, ar_order=0, patch_size=1, pooling="last")
RANGES = {
    "rows": (512, 1024, 2048, 4096, 8192),
    "steps": (50, 100, 200, 400, 800),
    "units": (16, 32, 64, 128, 256),
    "layers": (1, 2, 4, 8),
}


def epoch_time(cell_type, rows, steps, units, layers):
    """Return the minimum seconds of three epochs."""
    X = np.random.default_rng(0).normal(size=(rows, steps, 2)).astype(np.float32)
    model = RNNRegressor(
        units,
        cell_type=cell_type,
        num_layers=layers,
        max_epochs=3,
        random_state=0,
        **NETWORK,
    )
    model.fit(X, X.sum(axis=(1, 2)))
    return model.history_["train_seconds"].min()


def scaling():
    """Print a table of slopes."""
    print("\nScaling of the time per epoch: slope, and seconds at both ends\n")
    print(
        "| | " + " | ".join(f"{name} {r[0]} to {r[-1]}" for name, r in RANGES.items())
    )
    print("|---" * (len(RANGES) + 1) + "|")
    for cell_type in CELLS:
        cells = []
        for name, sizes in RANGES.items():
            times = [epoch_time(cell_type, **BASE | {name: size}) for size in sizes]
            slope = np.polyfit(np.log(sizes), np.log(times), 1)[0]
            cells.append(f"{slope:.2f} ({times[0]:.3f}, {times[-1]:.3f})")
        print(f"| {cell_type} | " + " | ".join(cells) + " |", flush=True)


def peak():
    """Return the peak of the resident set so far, in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def windows(n_steps, results):
    """Fit on windows of a series, and report the memory in MB."""
    torch.set_num_threads(1)
    model = RNNRegressor(16, max_epochs=1, batch_size=256, random_state=0, **NETWORK)
    warm = np.random.default_rng(0).normal(size=1000).astype(np.float32)
    model.fit(*make_windows(warm, window_size=100))
    series = np.random.default_rng(0).normal(size=n_steps).cumsum().astype(np.float32)
    X, y = make_windows(series, window_size=100)
    before = peak()
    model.fit(X, y)
    results.put((series.nbytes / 2**20, X.size * 4 / 2**20, peak() - before))


def images_by_us(X, y, results):
    """Fit skrnn, and report the seconds and MB."""
    model = RNNClassifier(64, cell_type="gru", max_epochs=1, batch_size=128)
    model.fit(X[:256], y[:256])
    before, began = peak(), time.perf_counter()
    model.set_params(max_epochs=2).fit(X, y)
    seconds = model.history_["train_seconds"].min()
    results.put((seconds, time.perf_counter() - began, peak() - before))


def images_by_torch(X, y, results):
    """Fit a bare torch loop, and report the seconds and MB."""
    layer, head = nn.GRU(28, 64, batch_first=True), nn.Linear(64, 10)
    parameters = [*layer.parameters(), *head.parameters()]
    optimizer = torch.optim.AdamW(parameters, lr=3e-3)
    before, began = peak(), time.perf_counter()
    inputs, targets = torch.from_numpy(X), torch.from_numpy(y)
    epochs = []
    for _ in range(2):
        start = time.perf_counter()
        for rows in torch.randperm(len(inputs)).split(128):
            optimizer.zero_grad()
            output = head(layer(inputs[rows])[0][:, -1])
            nn.functional.cross_entropy(output, targets[rows]).backward()
            nn.utils.clip_grad_norm_(parameters, 1.0)
            optimizer.step()
        epochs.append(time.perf_counter() - start)
    results.put((min(epochs), time.perf_counter() - began, peak() - before))


def draw_images(n=60_000):
    """Return float32 images `(n, 28, 28)`, and which of their rows is bright."""
    rng = np.random.default_rng(0)
    y = rng.integers(0, 10, n)
    X = rng.random((n, 28, 28), dtype=np.float32)
    X[np.arange(n), 2 * y + 4] += 1.0
    return X, y


def run_images(candidate, results):
    """Generate the images in this process and run a candidate."""
    torch.set_num_threads(1)
    candidate(*draw_images(), results)


def in_process(function, *arguments):
    """Return the result of a function that runs in a separate process."""
    context = multiprocessing.get_context("spawn")
    results = context.Queue()
    process = context.Process(target=function, args=(*arguments, results))
    process.start()
    answer = results.get()
    process.join()
    return answer


def main():
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    names = ("scaling", "windows", "images")
    parser.add_argument("parts", nargs="*", help=f"some of {names}; all if none")
    parts = parser.parse_args().parts or names
    torch.set_num_threads(1)
    if "scaling" in parts:
        scaling()
    if "windows" in parts:
        print("\nWindows of 100 steps, MB\n")
        print("| steps of the series | series | windows, if copied | peak of the fit |")
        print("|---|---|---|---|")
        for n_steps in (100_000, 300_000, 1_000_000):
            found = " | ".join(f"{mb:.1f}" for mb in in_process(windows, n_steps))
            print(f"| {n_steps} | {found} |", flush=True)
    if "images" in parts:
        print("\n60,000 images of 28 x 28 by rows, GRU of 64 units\n")
        print("| | epoch, s | fit of two epochs, s | memory, MB (images: 179) |")
        print("|---|---|---|---|")
        for name, candidate in (("bare", images_by_torch), ("ours", images_by_us)):
            epoch, fit, memory = in_process(run_images, candidate)
            print(f"| {name} | {epoch:.1f} | {fit:.1f} | {memory:.0f} |", flush=True)


if __name__ == "__main__":
    main()
