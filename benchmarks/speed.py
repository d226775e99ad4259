"""How fast is training? Ours beside a bare torch loop and stock skorch.

    OMP_NUM_THREADS=1 python benchmarks/speed.py
    OMP_NUM_THREADS=1 python benchmarks/speed.py --fits 9 --sizes 0 1
    NUMBA_CACHE_DIR=$(mktemp -d) python benchmarks/speed.py --fits 1 --sizes
    python benchmarks/speed.py --device cuda

The first command takes about six minutes on one idle core. The third one tells what
compiling takes. The last one has only the table of whole fits, on a GPU. Contenders
take turns in one process, on one thread; times are medians, and what counts is the
ratio, the time of the bare loop divided by ours: above 1 we are the faster.

*Recurrence* is one layer, forward and backward, through `nn.RNN`, `nn.GRU`, `nn.LSTM`,
through the compiled loops as an operation of torch, and as training runs them, by hand.
*Whole fit* is what a user waits for: the bare loop holds all data as tensors, shuffles,
clips the gradient at 1 and uses Adam, as an expert writes it; skorch is
`NeuralNetRegressor` with the same module, optimiser and clipping. *Other input* is the
same for sequences that differ in length (which the expert pads and packs), for one-hot
words, float64, and a DataFrame, which the expert turns into float32. *Profile* says
where the time of our fits goes.
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
from skrnn._nn.recurrence import recurrence as run_recurrence
from skrnn._training.compiled import LayersByHand

LAYERS = {"rnn": nn.RNN, "gru": nn.GRU, "lstm": nn.LSTM}
SIZES = [(32, 50, 1, 16), (32, 50, 8, 64), (128, 100, 8, 64), (256, 50, 16, 128)]
BATCHES, EPOCHS, LR = 8, 3, 1e-2


class BareModule(nn.Module):
    """A layer and a linear head, as tutorials write it."""

    def __init__(self, cell_type, n_features, hidden_size):
        super().__init__()
        self.layer = LAYERS[cell_type](n_features, hidden_size, batch_first=True)
        self.head = nn.Linear(hidden_size, 1)

    def forward(self, X):
        """Return the outputs `(N, 1)`."""
        output, _ = self.layer(X)
        return self.head(output[:, -1])


def bare_fit(cell_type, X, y, hidden_size, batch_size, fused, device="cpu"):
    """Train as an expert would by hand."""
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
    """Train the same module in stock skorch."""
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
    """Train with the same settings, X standardised besides."""
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
    """Run one layer forward and backward from its last state."""
    availability.ENABLED = compiled
    _, (h_n, *_) = run_recurrence(cell_type, "tanh", x, weights)
    torch.autograd.grad(h_n, weights, 2 * h_n.detach())
    availability.ENABLED = True


def by_hand(layers, x):
    """Do so as training does."""
    _, final = layers.run(x)
    layers.go_back(None, 2 * final)


def layer_of_torch(layer, x):
    """Run a layer of torch forward and backward from its last state."""
    last = layer(x)[0][:, -1]
    torch.autograd.grad(last, list(layer.parameters()), 2 * last.detach())


def interleaved(contenders, n_runs):
    """Return the median seconds of each contender, all taking turns."""
    times = {name: [] for name in contenders}
    for run in range(n_runs + 1):
        for name, contender in contenders.items():
            began = time.perf_counter()
            contender()
            if run > 0:
                times[name].append(time.perf_counter() - began)
    return {name: statistics.median(of_one) for name, of_one in times.items()}


def recurrence_row(cell_type, size, n_runs):
    """Return a row of the table of recurrences."""
    batch_size, n_steps, n_features, hidden_size = size
    x = torch.randn(batch_size, n_steps, n_features)
    layer = LAYERS[cell_type](n_features, hidden_size, batch_first=True)
    weights = [p.detach().clone().requires_grad_() for p in layer.all_weights[0]]
    model = RNNRegressor(hidden_size, cell_type=cell_type, max_epochs=1)
    model.fit(x[:2].numpy(), [0.0, 1.0])
    layers = LayersByHand(model.module_.train())
    steps_first = x.transpose(0, 1).contiguous().numpy()
    found = interleaved(
        {
            "torch": lambda: layer_of_torch(layer, x),
            "compiled": lambda: recurrence(cell_type, x, weights, True),
            "by hand": lambda: by_hand(layers, steps_first),
        },
        n_runs,
    )
    per_step = {name: 1e6 * seconds / n_steps for name, seconds in found.items()}
    return [
        cell_type,
        *(f"{of_one:.1f}" for of_one in per_step.values()),
        f"{per_step['torch'] / per_step['compiled']:.2f}",
        f"**{per_step['torch'] / per_step['by hand']:.2f}**",
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
    """Train on sequences of different lengths as an expert would, padded and packed."""
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
    """Yield the rows of the table of other input, for batches of 32 and 16 units."""
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
        "DataFrame of float64, 50 steps, the expert in float32": (
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


# What a function of ours or of torch counts as, in the profile.
PARTS = {
    "loops": ("_forward", "_backward"),
    "head and loss": ("loss_and_slope",),
    "Adam": ("adam_step",),
    "gathering": ("take", "standardize"),
}


def profile_row(cell_type, size):
    """Return the shares of our fit's time, by cProfile, which adds to what is small."""
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
    """Print a Markdown table, a row as soon as it is there."""
    print(f"\n{title}\n\n| " + " | ".join(columns) + " |", flush=True)
    print("|---" * len(columns) + "|")
    for row in rows:
        print("| " + " | ".join(row) + " |", flush=True)


def compile_first():
    """Return the seconds that the first fit of each cell takes more than the next."""
    X = np.random.default_rng(0).normal(size=(32, 5, 1)).astype(np.float32)
    our_fit("rnn", X, X.sum(axis=(1, 2)), 4, 32, compiled=False)  # torch's own imports
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
        print(f"Loading, or compiling if nothing is on disk yet: {spent}")
    for size in (SIZES[i] for i in options.sizes):
        name = "batch {}, steps {}, features {}, hidden {}".format(*size)
        if on_cpu:
            show(
                f"Recurrence, microseconds a step: {name}",
                [
                    "",
                    "torch",
                    "compiled",
                    "by hand",
                    "torch / compiled",
                    "torch / by hand",
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
        "Other input, whole fit, milliseconds for 24 batches of 32: hidden 16",
        ["", "", "bare", "ours", "bare / ours"],
        (row for cell in LAYERS for row in input_rows(cell, options.fits)),
    )
    show(
        "Profile of our fits, whole time",
        ["", "batch, steps, features, hidden", *PARTS, "fixed costs of Python"],
        (profile_row(cell, SIZES[i]) for i in options.sizes for cell in LAYERS),
    )


if __name__ == "__main__":
    main()
