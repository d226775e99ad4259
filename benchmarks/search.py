"""Fixed costs, grid search, and a busy machine.

    python benchmarks/search.py

It takes about seven minutes on two idle cores.

*Import*: `import skrnn` compared with torch, skorch and scikit-learn, alternating in
new processes. *Fixed cost*: a fit of 100 rows for one epoch compared with a bare torch
loop. *Search*: 36 small fits in GridSearchCV with one and two workers, after
compilation. *Busy*: a default fit while another process keeps a core busy, compared
with the same fit alone.
"""

import argparse
import multiprocessing
import statistics
import subprocess
import sys
import time

import numpy as np
import torch
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV
from torch import nn

from skrnn import RNNRegressor

# The network alone, as the others have it: no linear model, patches or pooling.
NETWORK = dict(window_norm=None, ar_order=0, patch_size=1, pooling="last")


def draw(n, steps=50):
    """Return X `(n, steps, 2)` and y in float32."""
    X = np.random.default_rng(0).normal(size=(n, steps, 2)).astype(np.float32)
    return X, X.sum(axis=(1, 2))


def timed(function, *arguments):
    """Return the seconds of a call."""
    began = time.perf_counter()
    function(*arguments)
    return time.perf_counter() - began


def imports():
    """Return median seconds of importing torch, skorch and scikit-learn, and skrnn."""
    codes = ("import torch, skorch, sklearn", "import skrnn")
    times = [[], []]
    for _ in range(9):
        for code, of_one in zip(codes, times, strict=True):
            of_one.append(timed(subprocess.check_call, [sys.executable, "-c", code]))
    return [statistics.median(of_one) for of_one in times]


def bare_epoch(X, y):
    """Train a bare RNN with 64 units for one epoch."""
    layer, head = nn.RNN(2, 64, batch_first=True), nn.Linear(64, 1)
    parameters = [*layer.parameters(), *head.parameters()]
    optimizer = torch.optim.AdamW(parameters, lr=3e-3)
    inputs, targets = torch.from_numpy(X), torch.from_numpy(y)[:, None]
    for rows in torch.randperm(len(inputs)).split(32):
        optimizer.zero_grad()
        loss = ((head(layer(inputs[rows])[0][:, -1]) - targets[rows]) ** 2).mean()
        loss.backward()
        nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()


def fixed_cost():
    """Return median seconds of an epoch on 100 rows: bare loop, skrnn."""
    X, y = draw(100)
    model = RNNRegressor(64, max_epochs=1, random_state=0, **NETWORK)
    times = [[], []]
    for _ in range(31):
        times[0].append(timed(bare_epoch, X, y))
        times[1].append(timed(clone(model).fit, X, y))
    return [statistics.median(of_one) for of_one in times]


def search(n_jobs, scale):
    """Search 12 settings with three folds; return the seconds."""
    X, y = draw(int(600 * scale))
    grid = {
        "hidden_size": [16, 32],
        "cell_type": ["rnn", "gru", "lstm"],
        "lr": [1e-3, 3e-3],
    }
    model = RNNRegressor(max_epochs=60, random_state=0, **NETWORK)
    return timed(GridSearchCV(model, grid, cv=3, n_jobs=n_jobs, refit=False).fit, X, y)


def keep_busy():
    """Keep a core busy for ever."""
    while True:
        sum(range(1000))


def busy():
    """Return median seconds of a default fit: alone, next to a busy process."""
    X, y = draw(1000)
    RNNRegressor(random_state=0).fit(X, y)
    alone, beside = [], []
    for _ in range(5):
        alone.append(timed(RNNRegressor(random_state=0).fit, X, y))
        other = multiprocessing.get_context("spawn").Process(target=keep_busy)
        other.start()
        time.sleep(8)  # until the process has started
        beside.append(timed(RNNRegressor(random_state=0).fit, X, y))
        other.terminate()
        other.join()
    return statistics.median(alone), statistics.median(beside)


def main():
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--scale", type=float, default=5, help="rows of the search")
    scale = parser.parse_args().scale
    print("| | first | second | second / first |\n|---|---|---|---|")

    def show(name, first, second, unit=1e3):
        print(
            f"| {name} | {unit * first:.1f} | {unit * second:.1f} | "
            f"{second / first:.2f} |",
            flush=True,
        )

    show("import: torch, skorch, scikit-learn; skrnn; s", *imports(), unit=1)
    show("epoch on 100 rows: bare; ours; ms", *fixed_cost())
    show("default fit on 1000 rows: alone; next to a busy process; s", *busy(), unit=1)
    for n_jobs in (1, 2):  # warm up: compilation, start of the workers
        search(n_jobs, 0.1)
    times = [search(n_jobs, scale) for n_jobs in (1, 2, 1, 2)]
    one, two = min(times[::2]), min(times[1::2])
    show("36 fits: one worker; two; s", one, two, unit=1)


if __name__ == "__main__":
    main()
