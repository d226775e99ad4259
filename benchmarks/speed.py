"""Training time, compared with torch, JAX, plain skorch and scikit-learn's MLP.

    pip install -r benchmarks/requirements_speed.txt
    OMP_NUM_THREADS=1 python benchmarks/speed.py
    OMP_NUM_THREADS=1 python benchmarks/speed.py --fits 9 --sizes 0 1
    NUMBA_CACHE_DIR=$(mktemp -d) python benchmarks/speed.py --fits 1 --sizes
    python benchmarks/speed.py --device cuda

The second command takes about half an hour on one idle core. The fourth measures the
time of compilation. The last prints the table of whole fits only, on a GPU, without JAX
and the MLP. Candidates run alternately in one process, on one thread. Times are
medians. A ratio is the time of another divided by that of skrnn: above 1, skrnn is
faster.

*Whole fit* is the time of a fit divided by the number of its epochs, each of 24
batches. All but the MLP train a recurrent layer and a linear head with Adam, the
gradient clipped at 1, and new batches in each epoch. The bare loop holds all data as
tensors. JAX runs a whole epoch as one compiled `lax.scan` over its batches, compiled
beforehand. skorch is `NeuralNetRegressor` with the module of the bare loop. The MLP is
`MLPRegressor` on the flattened windows, another model of the same hidden size. "ours,
by torch" is what skrnn does where training is not compiled. *Recurrent layer* is the
forward and backward pass of one layer, of torch and of skrnn as an operation of torch's
autograd. *Other kinds of input* are sequences of different lengths (padded and packed
in the bare loop), one-hot encoded words, float64 data, and a DataFrame (converted to
float32 in the bare loop). *Profile* is the share of our fits that is spent in the
compiled calls.
"""

import argparse
import cProfile
import platform
import pstats
import statistics
import time
import warnings

import numpy as np
import pandas as pd
import skorch
import torch
from sklearn.exceptions import ConvergenceWarning
from sklearn.neural_network import MLPRegressor
from skorch import NeuralNetRegressor
from skorch.callbacks import GradientNormClipping
from torch import nn

import skrnn
from skrnn import RNNRegressor
from skrnn._kernels import availability
from skrnn._nn.layers import recurrence as run_recurrence
from skrnn._training import engine

LAYERS = {"rnn": nn.RNN, "gru": nn.GRU, "lstm": nn.LSTM}
# Batch, steps, features, hidden units, and the epochs of a fit.
SIZES = [
    (32, 8, 8, 64, 20),
    (32, 12, 1, 32, 20),
    (32, 50, 1, 16, 20),
    (32, 50, 8, 64, 10),
    (128, 100, 8, 64, 5),
    (256, 50, 16, 128, 3),
]
BATCHES, LR = 24, 1e-2
# The network alone, as the others have it: no linear model, patches or pooling.
NETWORK = dict(window_norm=None, ar_order=0, patch_size=1, pooling="last")


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


def bare_fit(cell_type, X, y, hidden_size, batch_size, epochs, fused, device="cpu"):
    """Train in a bare torch loop."""
    inputs = torch.from_numpy(X).to(device)
    targets = torch.from_numpy(y)[:, None].to(device)
    module = BareModule(cell_type, X.shape[2], hidden_size).to(inputs)
    optimizer = torch.optim.Adam(module.parameters(), lr=LR, fused=fused)
    for _ in range(epochs):
        for rows in torch.randperm(len(inputs)).split(batch_size):
            optimizer.zero_grad()
            loss = ((module(inputs[rows]) - targets[rows]) ** 2).mean()
            loss.backward()
            nn.utils.clip_grad_norm_(module.parameters(), 1.0)
            optimizer.step()
    if device != "cpu":
        torch.cuda.synchronize()


def skorch_fit(cell_type, X, y, hidden_size, batch_size, epochs, device="cpu"):
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
        max_epochs=epochs,
        train_split=None,
        callbacks=[GradientNormClipping(1.0)],
        device=device,
        verbose=0,
    ).fit(X, y[:, None])


def our_fit(cell_type, X, y, hidden_size, batch_size, epochs, how="", device="cpu"):
    """Train skrnn with the same settings; it also standardises X.

    `how` is 'torch' for torch's autograd and optimiser, with compiled layers, and
    'torch layers' for torch's own layers.
    """
    reason_for_torch = engine.reason_for_torch
    if how == "torch":
        engine.reason_for_torch = lambda net: "a benchmark"
    availability.ENABLED = how != "torch layers"
    model = RNNRegressor(
        hidden_size,
        cell_type=cell_type,
        batch_size=batch_size,
        max_epochs=epochs,
        lr=LR,
        lr_schedule=None,
        optimizer="adam",
        weight_decay=0,
        random_state=0,
        device=device,
        **NETWORK,
    ).fit(X, y)
    availability.ENABLED, engine.reason_for_torch = True, reason_for_torch
    assert model.engine_ == ("torch" if how or device != "cpu" else "compiled")


def mlp_fit(X, y, hidden_size, batch_size, epochs):
    """Train scikit-learn's MLP on flattened windows."""
    model = MLPRegressor(
        hidden_layer_sizes=(hidden_size,),
        batch_size=batch_size,
        max_iter=epochs,
        learning_rate_init=LR,
        alpha=0,
        n_iter_no_change=epochs,  # all of them
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.fit(X.reshape(len(X), -1), y)


def make_jax_fit(cell_type, X, y, hidden_size, batch_size, epochs):
    """Return a function that trains in JAX, an epoch a call, after compiling it."""
    import jax
    import jax.numpy as jnp
    import optax

    n_gates = {"rnn": 1, "gru": 3, "lstm": 4}[cell_type]
    n_features, key = X.shape[2], jax.random.key(0)
    shapes = {
        "w_ih": (n_features, n_gates * hidden_size),
        "w_hh": (hidden_size, n_gates * hidden_size),
        "b_ih": (n_gates * hidden_size,),
        "b_hh": (n_gates * hidden_size,),
        "head": (hidden_size, 1),
        "bias": (1,),
    }
    keys = jax.random.split(key, len(shapes))
    bound = hidden_size**-0.5
    initial = {
        name: jax.random.uniform(of_one, shape, minval=-bound, maxval=bound)
        for of_one, (name, shape) in zip(keys, shapes.items(), strict=True)
    }
    optimizer = optax.chain(optax.clip_by_global_norm(1.0), optax.adam(LR))

    def step(params, state, from_x):
        h, c = state
        from_h = h @ params["w_hh"] + params["b_hh"]
        if cell_type == "rnn":
            h = jnp.tanh(from_x + from_h)
        elif cell_type == "gru":
            r_x, z_x, n_x = jnp.split(from_x, 3, axis=1)
            r_h, z_h, n_h = jnp.split(from_h, 3, axis=1)
            r, z = jax.nn.sigmoid(r_x + r_h), jax.nn.sigmoid(z_x + z_h)
            n = jnp.tanh(n_x + r * n_h)
            h = n + z * (h - n)
        else:
            i, f, g, o = jnp.split(from_x + from_h, 4, axis=1)
            c = jax.nn.sigmoid(f) * c + jax.nn.sigmoid(i) * jnp.tanh(g)
            h = jax.nn.sigmoid(o) * jnp.tanh(c)
        return (h, c), None

    def loss(params, inputs, targets):
        zeros = jnp.zeros((inputs.shape[0], hidden_size))
        from_x = inputs.transpose(1, 0, 2) @ params["w_ih"] + params["b_ih"]
        (h, _), _ = jax.lax.scan(
            lambda state, x: step(params, state, x), (zeros, zeros), from_x
        )
        output = h @ params["head"] + params["bias"]
        return ((output[:, 0] - targets) ** 2).mean()

    @jax.jit
    def epoch(params, state, order, inputs, targets):
        def train(carry, rows):
            params, state = carry
            gradient = jax.grad(loss)(params, inputs[rows], targets[rows])
            updates, state = optimizer.update(gradient, state, params)
            return (optax.apply_updates(params, updates), state), None

        return jax.lax.scan(train, (params, state), order)[0]

    inputs, targets = jnp.asarray(X), jnp.asarray(y)

    def fit(epochs=epochs):
        params, state = initial, optimizer.init(initial)
        rng = np.random.default_rng(0)
        for _ in range(epochs):
            order = rng.permutation(len(X)).reshape(-1, batch_size)
            params, state = epoch(params, state, order, inputs, targets)
        jax.block_until_ready(params)

    fit(1)  # compiles
    return fit


def recurrence(cell_type, x, weights, compiled):
    """Run a layer of skrnn forward and backward, with autograd."""
    availability.ENABLED = compiled
    _, (h_n, *_) = run_recurrence(cell_type, "tanh", x, weights)
    torch.autograd.grad(h_n, weights, 2 * h_n.detach())
    availability.ENABLED = True


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
    batch_size, n_steps, n_features, hidden_size, _ = size
    x = torch.randn(batch_size, n_steps, n_features)
    layer = LAYERS[cell_type](n_features, hidden_size, batch_first=True)
    weights = [p.detach().clone().requires_grad_() for p in layer.all_weights[0]]
    found = interleaved(
        {
            "torch": lambda: torch_layer(layer, x),
            "ours": lambda: recurrence(cell_type, x, weights, True),
        },
        n_runs,
    )
    per_step = {name: 1e6 * seconds / n_steps for name, seconds in found.items()}
    return [
        cell_type,
        *(f"{of_one:.1f}" for of_one in per_step.values()),
        f"**{per_step['torch'] / per_step['ours']:.2f}**",
    ]


def fit_row(cell_type, size, n_runs, device="cpu"):
    """Return a row of the table of whole fits."""
    batch_size, n_steps, n_features, hidden_size, epochs = size
    rng = np.random.default_rng(0)
    X = rng.normal(size=(BATCHES * batch_size, n_steps, n_features))
    X = X.astype(np.float32)
    # Of unit variance: a network that saturates has denormal gradients, which are slow.
    y = X.sum(axis=(1, 2)) / np.sqrt(n_steps * n_features, dtype=np.float32)
    arguments = cell_type, X, y, hidden_size, batch_size, epochs
    where = {"device": device}
    candidates = {
        "bare": lambda: bare_fit(*arguments, fused=False, **where),
        "bare, fused Adam": lambda: bare_fit(*arguments, fused=True, **where),
        "skorch": lambda: skorch_fit(*arguments, **where),
    }
    if device == "cpu":
        candidates["JAX"] = make_jax_fit(*arguments)
        candidates["MLP"] = lambda: mlp_fit(*arguments[1:])
        candidates["ours, torch's layers"] = lambda: our_fit(
            *arguments, how="torch layers"
        )
        candidates["ours, by torch"] = lambda: our_fit(*arguments, how="torch")
    candidates["ours"] = lambda: our_fit(*arguments, **where)
    found = interleaved(candidates, n_runs)
    ours = found.pop("ours")
    times = [*found.values(), ours]
    return [
        cell_type,
        *(f"{1e3 * seconds / epochs:.1f}" for seconds in times),
        *(f"**{found[name] / ours:.2f}**" for name in compared_with(device)),
    ]


def compared_with(device):
    """Return the candidates that whole fits are compared with by a ratio."""
    return ["bare"] if device != "cpu" else ["bare", "JAX", "MLP"]


def ragged_fit(cell_type, X, y, hidden_size, batch_size, epochs):
    """Train on padded and packed sequences of different lengths in a bare loop."""
    module = BareModule(cell_type, X[0].shape[1], hidden_size)
    optimizer = torch.optim.Adam(module.parameters(), lr=LR)
    inputs, targets = [torch.from_numpy(x) for x in X], torch.from_numpy(y)[:, None]
    for _ in range(epochs):
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
    settings = {"hidden_size": hidden_size, "batch_size": batch_size, "epochs": 10}
    cases = {
        "ragged, 10 to 100 steps": (
            lambda: ragged_fit(cell_type, ragged, single, **settings),
            lambda: our_fit(cell_type, ragged, single, **settings),
        ),
        "one-hot, 20 of 50 words": (
            lambda: bare_fit(cell_type, words, single, **settings, fused=False),
            lambda: our_fit(cell_type, words, single, **settings),
        ),
        "float64, 50 steps, 2 features": (
            lambda: bare_fit(cell_type, double, y, **settings, fused=False),
            lambda: our_fit(cell_type, double, y, **settings),
        ),
        "DataFrame of float64, 50 steps, bare loop in float32": (
            lambda: bare_fit(
                cell_type,
                frame.to_numpy(np.float32)[:, :, None],
                single,
                **settings,
                fused=False,
            ),
            lambda: our_fit(cell_type, frame, y, **settings),
        ),
    }
    for name, (bare, ours) in cases.items():
        found = interleaved({"bare": bare, "ours": ours}, n_runs)
        yield [
            cell_type,
            name,
            *(f"{1e2 * seconds:.1f}" for seconds in found.values()),
            f"**{found['bare'] / found['ours']:.2f}**",
        ]


def profile_row(cell_type, size):
    """Return the share of the compiled calls in the time of our fit, by cProfile."""
    batch_size, n_steps, n_features, hidden_size, epochs = size
    rng = np.random.default_rng(0)
    X = rng.normal(size=(BATCHES * batch_size, n_steps, n_features))
    X = X.astype(np.float32)
    arguments = cell_type, X, X.sum(axis=(1, 2)), hidden_size, batch_size, epochs
    our_fit(*arguments)
    profile = cProfile.Profile()
    profile.runcall(our_fit, *arguments)
    stats = pstats.Stats(profile)
    compiled = sum(
        own
        for (_, _, function), (_, _, own, _, _) in stats.stats.items()
        if function.startswith("run_batches")
    )
    share = compiled / stats.total_tt
    return [
        cell_type,
        "{}, {}, {}, {}, {}".format(*size),
        f"{100 * share:.0f} %",
        f"{100 * (1 - share):.0f} %",
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
    arguments = X, X.sum(axis=(1, 2)), 4, 32, 1
    our_fit("rnn", *arguments, how="torch layers")  # imports of torch
    spent = {}
    for cell_type in LAYERS:
        took = []
        for _ in range(2):
            began = time.perf_counter()
            our_fit(cell_type, *arguments)
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
        raise SystemExit("numba must be installed: pip install numba")
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
        name = "batch {}, steps {}, features {}, hidden {}; {} epochs".format(*size)
        ratios = [f"{other} / ours" for other in compared_with(options.device)]
        others = ["bare", "bare, fused Adam", "skorch"]
        if on_cpu:
            others += ["JAX", "MLP", "ours, torch's layers", "ours, by torch"]
        show(
            f"Whole fit, milliseconds for an epoch of {BATCHES} batches: {name}",
            ["", *others, "ours", *ratios],
            (fit_row(cell, size, options.fits, options.device) for cell in LAYERS),
        )
        if on_cpu:
            show(
                f"Recurrent layer, microseconds per step: {name}",
                ["", "torch", "ours", "torch / ours"],
                (recurrence_row(cell, size, 4 * options.fits) for cell in LAYERS),
            )
    if not on_cpu:
        return
    if not options.sizes:
        return
    show(
        "Other kinds of input, milliseconds for an epoch of 24 batches of 32, 16 units",
        ["", "", "bare", "ours", "bare / ours"],
        (row for cell in LAYERS for row in input_rows(cell, options.fits)),
    )
    show(
        "Profile of our fits, shares of the total time",
        ["", "batch, steps, features, hidden, epochs", "compiled calls", "Python"],
        (profile_row(cell, SIZES[i]) for i in options.sizes for cell in LAYERS),
    )


if __name__ == "__main__":
    main()
