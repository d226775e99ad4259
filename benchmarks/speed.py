"""Training time, compared with a bare torch loop and plain skorch.

    OMP_NUM_THREADS=1 python benchmarks/speed.py
    OMP_NUM_THREADS=1 python benchmarks/speed.py --fits 9 --sizes 0 1
    NUMBA_CACHE_DIR=$(mktemp -d) python benchmarks/speed.py --fits 1 --sizes
    python benchmarks/speed.py --device cuda

The first command takes about six minutes on one idle core. The third measures the time
of compilation. The last prints the table of whole fits only, on a GPU. Candidates run
alternately in one process, on one thread. Times are medians. The ratio is the time of
the bare loop divided by that of skrnn: above 1, skrnn is faster.

*Recurrent layer* is the forward and backward pass of one layer: of `nn.RNN`, `nn.GRU`
or `nn.LSTM`; of the compiled layer as an operation of torch's autograd; and of the
compiled layer as training uses it, without autograd. *Whole fit* is the time of `fit`:
the bare loop holds all data as tensors, shuffles, clips the gradient at 1 and uses
Adam; skorch is `NeuralNetRegressor` with the same module, optimiser and clipping.
*Other kinds of input* are sequences of different lengths (padded and packed in the bare
loop), one-hot encoded words, float64 data, and a DataFrame (converted to float32 in the
bare loop). *Profile* is the distribution of the time of our fits.
"""

import argparse
import cProfile
import platform
import pstats
import statistics
import time

import numpy as np
import pandas as pd
import skorch
import torch
from skorch import NeuralNetRegressor
from skorch.callbacks import GradientNormClipping
from torch import nn

import skrnn
from skrnn import RNNRegressor
from skrnn._kernels import availability
from skrnn._nn.layers import recurrence as run_recurrence
from skrnn._training.compiled import CompiledLayers

LAYERS = {"rnn": nn.RNN, "gru": nn.GRU, "lstm": nn.LSTM}
SIZES = [(32, 50, 1, 16), (32, 50, 8, 64), (128, 100, 8, 64), (256, 50, 16, 128)]
BATCHES, EPOCHS, LR = 8, 3, 1e-2


class BareModule(nn.Module):
    """A recurrent layer and a linear head."""

    def __init__(self, cell_type, n_features, hidden_size):
        super().__init__()
        self.layer = LAYERS[cell_type](n_features, hidden_size, batch_first=True)
        self.head = nn.Linear(hidden_size, 1)

    def forward(self, X):
        """Return the outputs `(N, 1)`."""
        output, _ = self.layer(X)
        return self.head(output[:, -1])


def bare_fit(cell_type, X, y, hidden_size, batch_size, fused, device="cpu"):
    """Train in a bare torch loop."""
    inputs = torch.from_numpy(X).to(device)
    targets = torch.from_numpy(y)[:, None].to(device)
    module = BareModule(cell_type, X.shape[2], hidden_size).to(inputs)
    optimizer = torch.optim.Adam(module.parameters(), lr=LR, fused=fused)
    for _ in range(EPOCHS):
        for rows in torch.randperm(len(inputs)).split(batch_size):
            optimizer.zero_grad()
            loss = ((module(inputs[rows]) - targets[rows]) ** 2).mean()
            loss.backward()
            nn.utils.clip_grad_norm_(module.parameters(), 1.0)
            optimizer.step()
    if device != "cpu":
        torch.cuda.synchronize()


def skorch_fit(cell_type, X, y, hidden_size, batch_size, device="cpu"):
    """Train the same module in plain skorch."""
    NeuralNetRegressor(
        BareModule,
        module__cell_type=cell_type,
        module__n_features=X.shape[2],
        module__hidden_size=hidden_size,
        optimizer=torch.optim.Adam,
        lr=LR,
        batch_size=batch_size,
        iterator_train__shuffle=True,
        max_epochs=EPOCHS,
        train_split=None,
        callbacks=[GradientNormClipping(1.0)],
        device=device,
        verbose=0,
    ).fit(X, y[:, None])


def our_fit(cell_type, X, y, hidden_size, batch_size, compiled, device="cpu"):
    """Train skrnn with the same settings; it also standardises X."""
    availability.ENABLED = compiled
    RNNRegressor(
        hidden_size,
        cell_type=cell_type,
        batch_size=batch_size,
        max_epochs=EPOCHS,
        lr=LR,
        lr_schedule=None,
        optimizer="adam",
        weight_decay=0,
        random_state=0,
        device=device,
    ).fit(X, y)
    availability.ENABLED = True


def recurrence(cell_type, x, weights, compiled):
    """Run a layer of skrnn forward and backward, with autograd."""
    availability.ENABLED = compiled
    _, (h_n, *_) = run_recurrence(cell_type, "tanh", x, weights)
    torch.autograd.grad(h_n, weights, 2 * h_n.detach())
    availability.ENABLED = True


def compiled_layer(layers, x):
    """Run a compiled layer forward and backward, without autograd."""
    _, final = layers.forward(x)
    layers.backward(None, 2 * final)


def torch_layer(layer, x):
    """Run a layer of torch forward and backward."""
    last = layer(x)[0][:, -1]
    torch.autograd.grad(last, list(layer.parameters()), 2 * last.detach())


def interleaved(candidates, n_runs):
    """Return the median seconds of each candidate, in alternating runs."""
    times = {name: [] for name in candidates}
    for run in range(n_runs + 1):
        for name, candidate in candidates.items():
            began = time.perf_counter()
            candidate()
            if run > 0:
                times[name].append(time.perf_counter() - began)
    return {name: statistics.median(of_one) for name, of_one in times.items()}


def recurrence_row(cell_type, size, n_runs):
    """Return a row of the table of recurrent layers."""
    batch_size, n_steps, n_features, hidden_size = size
    x = torch.randn(batch_size, n_steps, n_features)
    layer = LAYERS[cell_type](n_features, hidden_size, batch_first=True)
    weights = [p.detach().clone().requires_grad_() for p in layer.all_weights[0]]
    model = RNNRegressor(hidden_size, cell_type=cell_type, max_epochs=1)
    model.fit(x[:2].numpy(), [0.0, 1.0])
    layers = CompiledLayers(model.module_.train())
    steps_first = x.transpose(0, 1).contiguous().numpy()
    found = interleaved(
        {
            "torch": lambda: torch_layer(layer, x),
            "autograd": lambda: recurrence(cell_type, x, weights, True),
            "compiled": lambda: compiled_layer(layers, steps_first),
        },
        n_runs,
    )
    per_step = {name: 1e6 * seconds / n_steps for name, seconds in found.items()}
    return [
        cell_type,
        *(f"{of_one:.1f}" for of_one in per_step.values()),
        f"{per_step['torch'] / per_step['autograd']:.2f}",
        f"**{per_step['torch'] / per_step['compiled']:.2f}**",
    ]


def fit_row(cell_type, size, n_runs, device="cpu"):
    """Return a row of the table of whole fits."""
    batch_size, n_steps, n_features, hidden_size = size
    rng = np.random.default_rng(0)
    X = rng.normal(size=(BATCHES * batch_size, n_steps, n_features))
    X = X.astype(np.float32)
    where = {"device": device}
    arguments = cell_type, X, X.sum(axis=(1, 2)), hidden_size, batch_size
    found = interleaved(
        {
            "bare": lambda: bare_fit(*arguments, fused=False, **where),
            "bare, fused Adam": lambda: bare_fit(*arguments, fused=True, **where),
            "skorch": lambda: skorch_fit(*arguments, **where),
            "ours on torch's layers": lambda: our_fit(
                *arguments, compiled=False, **where
            ),
            "ours": lambda: our_fit(*arguments, compiled=True, **where),
        },
        n_runs,
    )
    return [
        cell_type,
        *(f"{1e3 * seconds:.0f}" for seconds in found.values()),
        f"**{found['bare'] / found['ours']:.2f}**",
        f"{found['bare, fused Adam'] / found['ours']:.2f}",
        f"{found['skorch'] / found['bare']:.2f}",
    ]


def ragged_fit(cell_type, X, y, hidden_size, batch_size):
    """Train on padded and packed sequences of different lengths in a bare loop."""
    module = BareModule(cell_type, X[0].shape[1], hidden_size)
    optimizer = torch.optim.Adam(module.parameters(), lr=LR)
    inputs, targets = [torch.from_numpy(x) for x in X], torch.from_numpy(y)[:, None]
    for _ in range(EPOCHS):
        for rows in torch.randperm(len(inputs)).split(batch_size):
            optimizer.zero_grad()
            parts = [inputs[i] for i in rows]
            lengths = torch.tensor([len(part) for part in parts])
            packed = nn.utils.rnn.pack_padded_sequence(
                nn.utils.rnn.pad_sequence(parts, batch_first=True),
                lengths,
                batch_first=True,
                enforce_sorted=False,
            )
            _, last = module.layer(packed)
            last = last[0] if isinstance(last, tuple) else last
            loss = ((module.head(last[-1]) - targets[rows]) ** 2).mean()
            loss.backward()
            nn.utils.clip_grad_norm_(module.parameters(), 1.0)
            optimizer.step()


def input_rows(cell_type, n_runs):
    """Yield the rows of the table of other kinds of input: batches of 32, 16 units."""
    rng = np.random.default_rng(0)
    n, hidden_size, batch_size = 32 * BATCHES, 16, 32
    lengths = rng.integers(10, 101, n)
    ragged = [rng.normal(size=(k, 2)).astype(np.float32) for k in lengths]
    words = np.eye(50, dtype=np.float32)[rng.integers(0, 50, (n, 20))]
    double = rng.normal(size=(n, 50, 2))
    frame = pd.DataFrame(rng.normal(size=(n, 50)))
    y = rng.normal(size=n)
    single = y.astype(np.float32)
    settings = {"hidden_size": hidden_size, "batch_size": batch_size}
    cases = {
        "ragged, 10 to 100 steps": (
            lambda: ragged_fit(cell_type, ragged, single, **settings),
            lambda: our_fit(cell_type, ragged, single, **settings, compiled=True),
        ),
        "one-hot, 20 of 50 words": (
            lambda: bare_fit(cell_type, words, single, **settings, fused=False),
            lambda: our_fit(cell_type, words, single, **settings, compiled=True),
        ),
        "float64, 50 steps, 2 features": (
            lambda: bare_fit(cell_type, double, y, **settings, fused=False),
            lambda: our_fit(cell_type, double, y, **settings, compiled=True),
        ),
        "DataFrame of float64, 50 steps, bare loop in float32": (
            lambda: bare_fit(
                cell_type,
                frame.to_numpy(np.float32)[:, :, None],
                single,
                **settings,
                fused=False,
            ),
            lambda: our_fit(cell_type, frame, y, **settings, compiled=True),
        ),
    }
    for name, (bare, ours) in cases.items():
        found = interleaved({"bare": bare, "ours": ours}, n_runs)
        yield [
            cell_type,
            name,
            *(f"{1e3 * seconds:.0f}" for seconds in found.values()),
            f"**{found['bare'] / found['ours']:.2f}**",
        ]


# Categories of the profile, by the endings of function names.
PARTS = {
    "recurrent layer": ("_forward", "_backward"),
    "head and loss": ("loss_and_gradient",),
    "Adam": ("adam_step",),
    "batches": ("take", "standardize"),
}


def profile_row(cell_type, size):
    """Return the shares of the time of our fit, by cProfile."""
    batch_size, n_steps, n_features, hidden_size = size
    rng = np.random.default_rng(0)
    X = rng.normal(size=(BATCHES * batch_size, n_steps, n_features))
    X = X.astype(np.float32)
    arguments = cell_type, X, X.sum(axis=(1, 2)), hidden_size, batch_size
    profile = cProfile.Profile()
    for _ in range(5):
        profile.runcall(our_fit, *arguments, True)
    times = dict.fromkeys(PARTS, 0.0)
    stats = pstats.Stats(profile)
    for (_, _, function), (_, _, own, _, _) in stats.stats.items():
        for name, endings in PARTS.items():
            if function.endswith(endings):
                times[name] += own
    rest = stats.total_tt - sum(times.values())
    shares = [seconds / stats.total_tt for seconds in (*times.values(), rest)]
    return [
        cell_type,
        "{}, {}, {}, {}".format(*size),
        *(f"{100 * share:.0f} %" for share in shares),
    ]


def show(title, columns, rows):
    """Print a Markdown table, each row as soon as it is computed."""
    print(f"\n{title}\n\n| " + " | ".join(columns) + " |", flush=True)
    print("|---" * len(columns) + "|")
    for row in rows:
        print("| " + " | ".join(row) + " |", flush=True)


def compile_first():
    """Return by how many seconds the first fit of each cell exceeds the second."""
    X = np.random.default_rng(0).normal(size=(32, 5, 1)).astype(np.float32)
    our_fit("rnn", X, X.sum(axis=(1, 2)), 4, 32, compiled=False)  # imports of torch
    spent = {}
    for cell_type in LAYERS:
        took = []
        for _ in range(2):
            began = time.perf_counter()
            our_fit(cell_type, X, X.sum(axis=(1, 2)), 4, 32, compiled=True)
            took.append(time.perf_counter() - began)
        spent[cell_type] = took[0] - took[1]
    return spent


def main():
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--fits", type=int, default=7, help="runs of each whole fit")
    parser.add_argument("--sizes", type=int, nargs="*", default=range(len(SIZES)))
    parser.add_argument("--device", default="cpu", help="of whole fits")
    options = parser.parse_args()
    torch.set_num_threads(1)
    if options.device == "cpu" and availability._import_kernels() is None:
        raise SystemExit("numba must be installed: pip install 'skrnn[fast]'")
    print(
        f"skrnn {skrnn.__version__}, torch {torch.__version__}, skorch "
        f"{skorch.__version__}, numpy {np.__version__}, Python "
        f"{platform.python_version()}, {platform.machine()}, one thread"
    )
    on_cpu = options.device == "cpu"
    if on_cpu:
        spent = ", ".join(f"{c} {s:.1f} s" for c, s in compile_first().items())
        print(f"Loading or, without a cache on disk, compilation: {spent}")
    for size in (SIZES[i] for i in options.sizes):
        name = "batch {}, steps {}, features {}, hidden {}".format(*size)
        if on_cpu:
            show(
                f"Recurrent layer, microseconds per step: {name}",
                [
                    "",
                    "torch",
                    "autograd",
                    "compiled",
                    "torch / autograd",
                    "torch / compiled",
                ],
                (recurrence_row(cell, size, 4 * options.fits) for cell in LAYERS),
            )
        show(
            f"Whole fit, milliseconds for {BATCHES * EPOCHS} batches: {name}",
            [
                "",
                "bare",
                "bare, fused Adam",
                "skorch",
                "ours on torch's layers",
                "ours",
                "bare / ours",
                "bare with fused Adam / ours",
                "skorch / bare",
            ],
            (fit_row(cell, size, options.fits, options.device) for cell in LAYERS),
        )
    if not on_cpu:
        return
    if not options.sizes:
        return
    show(
        "Other kinds of input, whole fit, milliseconds for 24 batches of 32: hidden 16",
        ["", "", "bare", "ours", "bare / ours"],
        (row for cell in LAYERS for row in input_rows(cell, options.fits)),
    )
    show(
        "Profile of our fits, shares of the total time",
        ["", "batch, steps, features, hidden", *PARTS, "Python overhead"],
        (profile_row(cell, SIZES[i]) for i in options.sizes for cell in LAYERS),
    )


if __name__ == "__main__":
    main()
