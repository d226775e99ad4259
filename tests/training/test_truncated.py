"""Carried states and truncated back-propagation through time."""

import copy

import numpy as np
import pytest
import torch
from internals import make_dataset
from messages import raises
from numpy.testing import assert_allclose
from torch import nn

from skrnn import BiRNNClassifier, RNNClassifier, RNNRegressor
from skrnn._kernels import availability
from skrnn._training.engine import choose_engine

rng = np.random.default_rng(0)


LENGTHS = [5, 2, 7, 1, 4, 6]


RAGGED = [rng.normal(size=(n, 2)) for n in LENGTHS]


DENSE = rng.normal(size=(10, 6, 2))


Y, STEPS = DENSE[:, :, 0].sum(axis=1), np.cumsum(DENSE[:, :, 0], axis=1)


TINY = dict(hidden_size=4, max_epochs=2, random_state=0)


PLAIN = TINY | dict(
    optimizer="sgd", lr=0.1, lr_schedule=None, weight_decay=0, max_grad_norm=None
)


gated = pytest.mark.parametrize("cell_type", ["rnn", "gru", "lstm"])


def scaled(model, x):
    state = model.module_.state_dict()
    return (torch.tensor(x) - state["input_mean"]) / state["input_scale"]


def bare_loop(model, X, y, per_step, chunk=None):
    """Train from the initial weights with the parameters `PLAIN`, carrying states.

    Returns the loss of each epoch.
    """
    start = copy.deepcopy(model).set_params(max_epochs=1, lr=1e-300).fit(X, y)
    module = start.module_.train()
    optimizer = torch.optim.SGD(module.parameters(), lr=model.lr)
    values, mean, scale = scaled(start, X), y.mean(), y.std()
    targets = torch.tensor((y - mean) / scale)
    layer, curve = module.layers[0], []
    carries = model.initial_state == "carry"
    for _ in range(model.max_epochs):
        state, total = None, 0.0
        for rows in torch.arange(len(X)).split(model.batch_size):
            if not carries:
                state = None
            elif state is not None:
                is_pair = isinstance(state, tuple)
                state = (
                    tuple(s[:, : len(rows)].contiguous() for s in state)
                    if is_pair
                    else (state[:, : len(rows)].contiguous())
                )
            steps = chunk or X.shape[1]
            for first in range(0, X.shape[1], steps):
                optimizer.zero_grad()
                output, state = layer(values[rows, first : first + steps], state)
                raw = module.head(output if per_step else output[:, -1])[..., 0]
                expected = targets[rows]
                if per_step:
                    expected = expected[:, first : first + steps]
                losses = (raw - expected) ** 2
                loss = losses.sum(dim=1).mean() / steps if per_step else losses.mean()
                loss.backward()
                optimizer.step()
                total += float(losses.detach().sum())
                state = (
                    tuple(s.detach() for s in state)
                    if isinstance(state, tuple)
                    else state.detach()
                )
        curve.append(total / targets.numel())
    return curve


@pytest.mark.parametrize(
    ("cell_type", "per_step"), [("rnn", True), ("gru", False), ("lstm", True)]
)
def test_carried_states_are_those_of_a_bare_torch_loop(cell_type, per_step):
    y = STEPS if per_step else Y
    model = RNNRegressor(
        **PLAIN | {"max_epochs": 3},
        cell_type=cell_type,
        initial_state="carry",
        batch_size=4,  # the last batch has two rows
        return_sequences=per_step,
    )
    expected = bare_loop(model, DENSE, y, per_step)
    assert_allclose(model.fit(DENSE, y).loss_curve_, expected, rtol=1e-9)


def test_a_line_search_evaluates_a_batch_from_the_same_states():
    model = RNNRegressor(
        **PLAIN | {"optimizer": "lbfgs", "lr": 1.0, "weight_decay": "auto"},
        optimizer_params={"max_iter": 3},  # with more it is chaotic
        initial_state="carry",
        batch_size=5,
    )
    start = copy.deepcopy(model).set_params(max_epochs=1, lr=1e-300).fit(DENSE, Y)
    module = start.module_.train()
    optimizer = torch.optim.LBFGS(
        module.parameters(), lr=1.0, max_iter=3, line_search_fn="strong_wolfe"
    )
    values, targets = scaled(start, DENSE), torch.tensor((Y - Y.mean()) / Y.std())
    curve = []
    for _ in range(2):
        state, total = None, 0.0
        for rows in torch.arange(10).split(5):
            reached = []

            def closure(rows=rows, state=state, reached=reached):
                optimizer.zero_grad()
                output, after = module.layers[0](values[rows], state)
                loss = ((module.head(output[:, -1])[:, 0] - targets[rows]) ** 2).mean()
                loss.backward()
                reached.append(after.detach())
                return loss

            total += float(optimizer.step(closure).detach()) * 5
            state = reached[-1]
        curve.append(total / 10)

    assert_allclose(model.fit(DENSE, Y).loss_curve_, curve, rtol=1e-8)


@pytest.mark.parametrize("initial_state", ["zeros", "carry"])
def test_rows_are_not_shuffled_where_states_are_carried(initial_state):
    model = RNNRegressor(**PLAIN, initial_state=initial_state).fit(DENSE, Y)
    net = model.net_
    dataset = make_dataset(model, DENSE, np.arange(10.0)[:, None])
    (batch,) = net.get_iterator(dataset, training=True)
    in_order = batch[1][:, 0].tolist() == list(range(10))
    assert in_order == (initial_state == "carry")


@pytest.mark.parametrize(
    ("params", "message"),
    [
        (
            {"initial_state": "carry"},
            "The 'initial_state' parameter of BiRNNClassifier must not be 'carry' for "
            "a bidirectional network, which also reads a sequence from its end: it "
            "cannot carry states on. Use 'zeros' or 'learned'.",
        ),
        (
            {"tbptt_steps": 2},
            "The 'tbptt_steps' parameter of BiRNNClassifier must be None for a "
            "bidirectional network, which also reads a sequence from its end: it "
            "cannot carry states on. Got 2. Shorten the sequences.",
        ),
    ],
)
def test_bidirectional_networks_cannot_carry_states(params, message):
    with raises(ValueError, message):
        BiRNNClassifier(**TINY, **params).fit(DENSE, Y > 0)


@pytest.mark.parametrize(
    ("params", "message"),
    [
        (
            {"optimizer": "lbfgs"},
            "The 'tbptt_steps' parameter of RNNRegressor must be None for "
            "optimizer='lbfgs', which needs all steps at once. Got 2. Use another "
            "optimizer.",
        ),
        (
            {"pooling": "mean"},
            "The 'pooling' parameter of RNNRegressor must be 'last' or 'auto' with "
            "tbptt_steps=2, since not all steps are available at once. Got 'mean'.",
        ),
    ],
)
def test_truncation_rejects_incompatible_parameters(params, message):
    with raises(ValueError, message):
        RNNRegressor(**TINY, tbptt_steps=2, **params).fit(DENSE, Y)


# How far gradients go back
@pytest.mark.parametrize(
    ("cell_type", "initial_state", "steps"),
    [("rnn", "zeros", 2), ("gru", "carry", 3), ("lstm", "carry", 2)],
)
def test_a_chunk_is_a_step_of_a_bare_torch_loop(cell_type, initial_state, steps):
    model = RNNRegressor(
        **PLAIN | {"max_epochs": 3},
        cell_type=cell_type,
        initial_state=initial_state,
        batch_size=10 if initial_state == "zeros" else 4,
        return_sequences=True,
        tbptt_steps=steps,
    )
    expected = bare_loop(model, DENSE, STEPS, per_step=True, chunk=steps)
    assert_allclose(model.fit(DENSE, STEPS).loss_curve_, expected, rtol=1e-9)


def initial_states_of_row(module, initial_state):
    """Return the states of one row, as torch's layers take them."""
    if initial_state != "learned":
        return [None] * len(module.layers)
    return [
        tuple(part[:, None] for part in of_layer)
        if len(of_layer) == 2
        else of_layer[0][:, None]
        for of_layer in module.learned_states
    ]


def detach(state):
    if isinstance(state, tuple):
        return tuple(part.detach() for part in state)
    return state.detach()


def bare_loop_by_rows(model, X, y, weights):
    """Train a classifier of steps row by row, without a padded batch.

    The loss of a batch of N rows is the weighted sum over their steps divided by N and
    by the mean weight of a row; the loss of a chunk is scaled to that of all chunks.
    """
    start = copy.deepcopy(model).set_params(max_epochs=1, lr=1e-300).fit(X, y, weights)
    module, n = start.module_.train(), len(X)
    optimizer = torch.optim.SGD(module.parameters(), lr=model.lr)
    order = torch.Generator().manual_seed(start.net_.seed)
    steps, mass = model.tbptt_steps or 100, sum(w.sum() for w in weights)
    scale_of_chunk = max(1.0, sum(LENGTHS) / n / steps)
    curve = []
    for _ in range(model.max_epochs):
        carried, total = None, 0.0
        rows_in_order = torch.arange(n)
        if model.initial_state != "carry":
            rows_in_order = torch.randperm(n, generator=order)
        for rows in rows_in_order.split(model.batch_size):
            states = [initial_states_of_row(module, model.initial_state) for _ in rows]
            if carried is not None:
                states = carried[: len(rows)]
            for first in range(0, max(LENGTHS[row] for row in rows), steps):
                optimizer.zero_grad()
                loss, part = 0.0, slice(first, first + steps)
                for i, row in enumerate(rows):
                    h = scaled(start, X[row])[None, part]
                    if not h.shape[1]:
                        continue
                    after = []
                    for layer, state in zip(module.layers, states[i], strict=True):
                        h, state = layer(h, state)
                        after.append(detach(state))
                    states[i] = after
                    losses = nn.functional.cross_entropy(
                        module.head(h[0]), torch.tensor(y[row][part]), reduction="none"
                    )
                    loss = loss + losses @ torch.tensor(weights[row][part])
                (loss * n / mass / len(rows) * scale_of_chunk).backward()
                optimizer.step()
                total += loss.item() / mass
            carried = states if model.initial_state == "carry" else None
        curve.append(total)
    return curve


# Each pair of a cell, an initial state and a number of steps once, half of them with
# compiled layers; the full grid is slow.
RAGGED_LOOPS = [
    pytest.param(
        cell_type,
        initial_state,
        steps,
        compiled,
        marks=()
        if (i + j + k) % 3 == 0 and compiled == ((i + j) % 2 == 0)
        else pytest.mark.slow,
    )
    for i, cell_type in enumerate(["rnn", "gru", "lstm"])
    for j, initial_state in enumerate(["zeros", "learned", "carry"])
    for k, steps in enumerate([3, None, 1])
    for compiled in (False, True)
]


@pytest.mark.parametrize(
    ("cell_type", "initial_state", "steps", "compiled"), RAGGED_LOOPS
)
def test_ragged_steps_by_weight_train_as_a_bare_torch_loop(
    cell_type, initial_state, steps, compiled, monkeypatch
):
    monkeypatch.setattr(availability, "ENABLED", compiled)
    y = [np.digitize(np.cumsum(x[:, 0]), [-1, 0.5]) for x in RAGGED]
    weights = [rng.integers(1, 4, size=n) / 2 for n in LENGTHS]
    for of_row in (weights[0], weights[2]):
        of_row[1:3] = 0.0
    model = RNNClassifier(
        **PLAIN | {"max_epochs": 2, "lr": 0.5},
        num_layers=2,
        cell_type=cell_type,
        initial_state=initial_state,
        batch_size=4,  # the last batch has two rows
        return_sequences=True,
        tbptt_steps=steps,
    )
    expected = bare_loop_by_rows(model, RAGGED, y, weights)
    assert_allclose(model.fit(RAGGED, y, weights).loss_curve_, expected, rtol=1e-9)


@pytest.mark.parametrize(
    ("ragged", "per_step", "steps"),
    [(False, True, 2), (False, False, 5), (True, True, 1), (True, False, 2)],
)
def test_chunks_use_the_lags_and_states_before_them(ragged, per_step, steps):
    X = RAGGED if ragged else list(DENSE)
    y = [np.cumsum(x[:, 0]) for x in X]
    y = y if per_step else [piece[-1] for piece in y]
    model = RNNRegressor(
        **PLAIN | {"lr": 1e-300},
        cell_type="lstm",
        num_layers=2,
        ar_order=3,
        target_feature=0,
        return_sequences=per_step,
        initial_state="learned",
    ).fit(X, y)
    with torch.no_grad():  # at the linear start the network outputs zeros
        model.module_.head.weight.fill_(1.0)
        for states in model.module_.learned_states:
            states.fill_(0.3)
    model.set_params(warm_start=True, max_epochs=1)
    losses = []
    for chunk in (None, steps):
        again = copy.deepcopy(model).set_params(tbptt_steps=chunk).fit(X, y)
        losses.append(again.loss_curve_[-1])
    assert losses[1] == pytest.approx(losses[0], rel=1e-12)
    assert losses[0] != model.loss_curve_[-1]


@pytest.mark.parametrize(
    ("cell_type", "per_step", "steps"),
    [("rnn", True, 7), ("gru", False, 7), ("lstm", False, 100), ("lstm", True, 7)],
)
def test_truncation_beyond_the_end_has_no_effect(cell_type, per_step, steps):
    y = [np.cumsum(x[:, 0]) for x in RAGGED]
    y = y if per_step else [piece[-1] for piece in y]
    params = TINY | {"cell_type": cell_type, "return_sequences": per_step}
    plain = RNNRegressor(**params).fit(RAGGED, y)
    truncated = RNNRegressor(**params, tbptt_steps=steps).fit(RAGGED, y)
    assert_allclose(truncated.loss_curve_, plain.loss_curve_, rtol=1e-9)
    for a, b in zip(truncated.predict(RAGGED), plain.predict(RAGGED), strict=True):
        assert_allclose(a, b, rtol=1e-9)


@pytest.mark.parametrize(
    ("cell_type", "ragged"), [("rnn", True), ("gru", False), ("lstm", True)]
)
def test_only_the_last_chunk_has_a_gradient(cell_type, ragged):
    X = RAGGED if ragged else list(DENSE)
    y = np.array([x[:, 0].sum() for x in X])
    model = RNNRegressor(
        **PLAIN | {"max_epochs": 1}, cell_type=cell_type, tbptt_steps=3, batch_size=10
    )
    start = copy.deepcopy(model).set_params(lr=1e-300).fit(X, y)
    module = start.module_.train()
    layer = module.layers[0]
    targets = torch.tensor((y - y.mean()) / y.std())
    total = 0.0
    for x, target in zip(X, targets, strict=True):
        x, state = scaled(start, x)[None], None
        with torch.no_grad():
            if x.shape[1] > 3:
                _, state = layer(x[:, :-3])
        output, _ = layer(x[:, -3:], state)
        total = total + (module.head(output[:, -1])[0, 0] - target) ** 2 / len(X)
    gradients = torch.autograd.grad(total, list(module.parameters()))

    trained = model.fit(X, y).module_
    pairs = zip(trained.parameters(), module.parameters(), gradients, strict=True)
    for after, before, gradient in pairs:
        assert_allclose(
            after.detach(), (before - 0.1 * gradient).detach(), rtol=1e-9, atol=1e-12
        )


@pytest.mark.parametrize("truncated", [None, 3])
def test_back_propagation_through_time_sums_over_steps(truncated):
    # For h_t = tanh(W x_t + b + V h_{t-1} + c), y = u h_T + d and one row: the gradient
    # of a weight is the sum over all steps, from the last one backwards.
    x, target = DENSE[:1], 0.7
    model = RNNRegressor(
        **PLAIN | {"max_epochs": 1},
        standardize=False,
        tbptt_steps=truncated,
        batch_size=1,
    )
    data = np.concatenate([x, x]), np.array([target, -target])
    start = copy.deepcopy(model).set_params(lr=1e-300).fit(*data)
    state = {k: v.numpy() for k, v in start.module_.state_dict().items()}
    W, V, b, c = (
        state[f"layers.0.{name}_l0"]
        for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
    )
    u, d = state["head.weight"][0], state["head.bias"][0]
    h = [np.zeros(4)]
    for x_t in x[0]:
        h.append(np.tanh(W @ x_t + b + V @ h[-1] + c))
    error = 2 * (u @ h[-1] + d - target / np.std(data[1]))
    dW, dV, db = np.zeros_like(W), np.zeros_like(V), np.zeros_like(b)
    dh = error * u
    n_back = 6 if truncated is None else truncated
    for t in range(6, 6 - n_back, -1):
        da = dh * (1 - h[t] ** 2)  # the derivative of tanh
        dW += np.outer(da, x[0, t - 1])
        dV += np.outer(da, h[t - 1])
        db += da
        dh = V.T @ da

    net = start.net_
    net.tbptt_steps = truncated
    net.module_.train().zero_grad()
    dataset = make_dataset(start, x, start._encoder.target.encode([target]))
    choose_engine(net).compute_gradients(dataset.batch(torch.arange(1)))
    layer = net.module_.layers[0]
    for found, expected in (
        (layer.weight_ih_l0, dW),
        (layer.weight_hh_l0, dV),
        (layer.bias_ih_l0, db),
        (layer.bias_hh_l0, db),
        (net.module_.head.weight, error * h[-1][None]),
    ):
        assert_allclose(found.grad, expected, atol=1e-6)
