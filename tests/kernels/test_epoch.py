"""The compiled epoch against torch's autograd and its Adam.

Compiling it for a cell takes up to a minute, so all tests are slow ones.
"""

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose
from torch.nn import functional as F

pytest.importorskip("numba", reason="kernels are compiled by numba")

from skrnn._kernels import epoch
from skrnn._kernels.losses import LOSSES
from skrnn._nn.config import ModuleConfig
from skrnn._nn.module import RecurrentModule
from skrnn._training.compiled import FlatParameters

pytestmark = [pytest.mark.slow, pytest.mark.numba]

N, L, N_FEATURES, K = 8, 6, 3, 2
LENGTHS = np.array([6, 2, 4, 1, 6, 3, 5, 2])
CELLS = {
    "rnn": epoch.RNNCell(False),
    "gru": epoch.GRUCell(3),
    "lstm": epoch.LSTMCell(4),
}
over_cells = pytest.mark.parametrize("cell", CELLS)


def draw(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape)


def make_module(cell, **options):
    """Return a network in training mode, with a highway that is not zero."""
    config = dict(
        hidden_sizes=(5, 4),
        nonlinearity="tanh",
        bidirectional=True,
        pooling="last",
        initial_state="zeros",
        embedding_dim=None,
        return_sequences=False,
        ar_order=0,
        ar_columns=(),
        n_features=N_FEATURES,
        n_tokens=0,
        n_outputs=K,
        dtype="float64",
        input_dtype="float64",
    )
    generator = torch.Generator().manual_seed(0)
    config = ModuleConfig(cell_type=cell, **config | options)
    module = RecurrentModule(config, generator=generator).train()
    module.set_scaling(np.array([0.1, -0.2, 0.3])[: config.n_features], 1.5)
    if module.highway is not None:
        with torch.no_grad():
            module.highway.weight.normal_(generator=generator)
            module.highway.bias.normal_(generator=generator)
    return module


def describe(module, flat):
    """Return the network of a module as the kernels read it."""

    def offset(parameter):
        start = flat.values.data_ptr()
        return (parameter.data_ptr() - start) // flat.values.element_size()

    def offsets(layer):
        parts = () if layer is None else (layer.weight, layer.bias)
        return np.array([offset(part) for part in parts] or [-1, -1])

    layers, embedding = module.layers, module.embedding
    learned = module.learned_states
    others = getattr(module, "other_columns", [])
    per_step = module.return_sequences
    return epoch.Network(
        np.array([(part.input_size, part.hidden_size) for part in layers]),
        np.array([[list(map(offset, w)) for w in part.all_weights] for part in layers]),
        np.array([-1] if learned is None else [offset(part) for part in learned]),
        offsets(module.head),
        offsets(module.highway),
        -1 if embedding is None else offset(embedding.weight),
        module.config.n_outputs,
        {"rnn": 1, "gru": 3, "lstm": 4}[module.cell_type],
        epoch.PER_STEP if per_step else epoch.POOLINGS[module.pooling],
        epoch.INITIAL_STATES[module.initial_state],
        module.ar_order,
        np.array(module.ar_columns, dtype=np.int64),
        np.array(others, dtype=np.int64),
        module.input_mean.numpy(),
        module.input_scale.numpy(),
    )


def rows_of(X, targets, lengths, codes=None):
    """Return padded sequences (N, L, F), where each row begins at its own place."""
    n, n_steps, n_features = X.shape
    n_targets = len(targets)
    return epoch.Rows(
        X.reshape(-1),
        np.arange(n) * n_steps * n_features,
        np.asarray(lengths, dtype=np.int64),
        n_features,
        1,
        epoch.NO_NORM,
        np.zeros(0, np.int64),
        np.zeros(0),
        targets,
        np.zeros(n_targets, np.int64) if codes is None else codes,
        np.zeros(0),
        np.arange(n) * n_steps,
    )


class Training:
    """A module, its flat parameters, and what `train_batches` is given with them."""

    def __init__(self, cell, **options):
        self.module = make_module(cell, **options)
        self.flat = FlatParameters(self.module)
        self.network = describe(self.module, self.flat)
        self.cell = CELLS[cell]
        self.params = self.flat.values.numpy()
        self.grad = np.zeros_like(self.params)

    def train(self, data, kind, bounds, lrs, *, dropout=0.0, max_norm=np.inf):
        moments = [np.zeros_like(self.params) for _ in range(2)]
        adam = epoch.Adam(*moments, max_norm, (0.9, 0.999), 1e-8, 0.1, True)
        size = epoch.workspace_size(self.network, L, max(np.diff(bounds)))
        none = np.zeros(0)
        return epoch.train_batches(
            self.cell,
            self.network,
            data,
            epoch.Loss(LOSSES[kind], none, none.reshape(0, 2)),
            adam,
            self.params,
            self.grad,
            np.arange(bounds[-1]),
            np.array(bounds),
            np.array(lrs),
            0,
            dropout,
            np.random.default_rng(0),
            np.empty(size),
        )


NETWORKS = {
    "one direction": dict(bidirectional=False, hidden_sizes=(4,)),
    "two directions": {},
    "mean": dict(pooling="mean"),
    "max": dict(pooling="max"),
    "highway": dict(ar_order=3, ar_columns=(1,)),
    "learned states": dict(initial_state="learned"),
}


@pytest.mark.parametrize("ragged", [False, True], ids=["dense", "ragged"])
@pytest.mark.parametrize("network", NETWORKS)
@over_cells
def test_loss_and_gradients_are_those_of_autograd(cell, network, ragged):
    training = Training(cell, **NETWORKS[network])
    X, y = draw(N, L, N_FEATURES), draw(N, K, seed=1)
    lengths = LENGTHS if ragged else np.full(N, L)
    given = torch.from_numpy(LENGTHS) if ragged else None
    output = training.module(torch.from_numpy(X), given)
    loss = F.mse_loss(output, torch.from_numpy(y))
    expected = torch.autograd.grad(loss, training.flat.parameters)

    total = training.train(rows_of(X, y, lengths), "squared_error", [0, N], [1e-3])

    assert total / N == pytest.approx(loss.item(), rel=1e-12)
    expected = torch.cat([part.reshape(-1) for part in expected]).numpy()
    assert_allclose(training.grad, expected, rtol=0, atol=1e-13)


@pytest.mark.parametrize("ar_order", [0, 2])
@over_cells
def test_gradients_of_outputs_per_step_are_those_of_autograd(cell, ar_order):
    columns = (0,) if ar_order else ()
    training = Training(
        cell, return_sequences=True, ar_order=ar_order, ar_columns=columns
    )
    X, y = draw(N, L, N_FEATURES), draw(N * L, K, seed=1)
    output = training.module(torch.from_numpy(X))
    loss = F.mse_loss(output, torch.from_numpy(y).view(N, L, K))
    expected = torch.autograd.grad(loss, training.flat.parameters)

    total = training.train(rows_of(X, y, [L] * N), "squared_error", [0, N], [1e-3])

    assert total / N == pytest.approx(loss.item(), rel=1e-12)
    expected = torch.cat([part.reshape(-1) for part in expected]).numpy()
    assert_allclose(training.grad, expected, rtol=0, atol=1e-13)


def test_gradients_of_embedded_tokens_are_those_of_autograd():
    training = Training("rnn", n_features=1, n_tokens=7, embedding_dim=3)
    training.module.set_scaling(0.0, 1.0)
    ids = np.random.default_rng(0).integers(1, 7, (N, L, 1)).astype(float)
    y = draw(N, K, seed=1)
    loss = F.mse_loss(training.module(torch.from_numpy(ids)), torch.from_numpy(y))
    expected = torch.autograd.grad(loss, training.flat.parameters)

    training.train(rows_of(ids, y, [L] * N), "squared_error", [0, N], [1e-3])

    expected = torch.cat([part.reshape(-1) for part in expected]).numpy()
    assert_allclose(training.grad, expected, rtol=0, atol=1e-13)


LOSS_OF_TORCH = {
    "squared_error": F.mse_loss,
    "absolute_error": F.l1_loss,
    "huber": F.huber_loss,
    "cross_entropy": F.cross_entropy,
}


@pytest.mark.parametrize("kind", LOSS_OF_TORCH)
def test_gradients_of_losses_are_those_of_torch(kind):
    training = Training("rnn", n_outputs=3)
    X, y = draw(N, L, N_FEATURES), 2 * draw(N, 3, seed=1)
    codes = np.random.default_rng(2).integers(0, 3, N)
    target = codes if kind == "cross_entropy" else y
    output = training.module(torch.from_numpy(X))
    loss = LOSS_OF_TORCH[kind](output, torch.from_numpy(target))
    expected = torch.autograd.grad(loss, training.flat.parameters)

    total = training.train(rows_of(X, y, [L] * N, codes), kind, [0, N], [1e-3])

    assert total / N == pytest.approx(loss.item(), rel=1e-12)
    expected = torch.cat([part.reshape(-1) for part in expected]).numpy()
    assert_allclose(training.grad, expected, rtol=0, atol=1e-13)


def test_batches_take_the_steps_of_torchs_adamw():
    X, y, lrs = draw(N, L, N_FEATURES), draw(N, K, seed=1), [1e-2, 3e-2, 1e-3]
    training, module = Training("gru"), make_module("gru")
    bounds = [0, 3, 6, N]
    optimizer = torch.optim.AdamW(module.parameters(), weight_decay=0.1)
    for i, lr in enumerate(lrs):
        part = slice(bounds[i], bounds[i + 1])
        optimizer.param_groups[0]["lr"] = lr
        optimizer.zero_grad()
        output = module(torch.from_numpy(X[part]))
        F.mse_loss(output, torch.from_numpy(y[part])).backward()
        torch.nn.utils.clip_grad_norm_(module.parameters(), 0.1)
        optimizer.step()

    data = rows_of(X, y, [L] * N)
    training.train(data, "squared_error", bounds, lrs, max_norm=0.1)

    expected = torch.cat([p.detach().reshape(-1) for p in module.parameters()])
    assert_allclose(training.params, expected.numpy(), rtol=0, atol=1e-12)


def test_dropout_keeps_the_mean_of_the_outputs_and_changes_the_gradient():
    X, y = draw(N, L, N_FEATURES), draw(N, K, seed=1)
    data = rows_of(X, y, [L] * N)
    with_dropout, without = Training("rnn"), Training("rnn")

    with_dropout.train(data, "squared_error", [0, N], [1e-3], dropout=0.5)
    without.train(data, "squared_error", [0, N], [1e-3])

    assert np.isfinite(with_dropout.grad).all()
    assert not np.allclose(with_dropout.grad, without.grad)
    mask = np.empty(10_000)
    factors = np.random.default_rng(0)
    epoch.draw_mask.py_func(mask, 0.25, factors)
    assert set(np.unique(mask)) == {0.0, 1 / 0.75}
    assert mask.mean() == pytest.approx(1.0, abs=0.02)
