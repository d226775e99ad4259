"""States: what layers start from and end with, and how far gradients go back."""

import copy

import numpy as np
import pytest
import torch
from internals import make_dataset, raw_outputs
from messages import raises
from numpy.testing import assert_allclose, assert_array_equal
from textbook import CELLS
from torch import nn

from skrnn import BiRNNClassifier, RNNClassifier, RNNRegressor
from skrnn._data.normalization import WindowNormalizer
from skrnn._inference import prediction
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
LAYERS = {"rnn": nn.RNN, "gru": nn.GRU, "lstm": nn.LSTM}

cells = pytest.mark.parametrize(("cell_type", "nonlinearity"), CELLS)
gated = pytest.mark.parametrize("cell_type", ["rnn", "gru", "lstm"])


def scaled(model, x):
    state = model.module_.state_dict()
    return (torch.tensor(x) - state["input_mean"]) / state["input_scale"]


# What the layers return


@cells
@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("num_layers", [1, 2])
@pytest.mark.parametrize("given", [False, True])
def test_hidden_states_are_those_of_torch(
    cell_type, nonlinearity, bidirectional, num_layers, given
):
    model = RNNRegressor(
        **TINY,
        cell_type=cell_type,
        nonlinearity=nonlinearity,
        bidirectional=bidirectional,
        num_layers=num_layers,
    ).fit(DENSE, Y)
    options = {"nonlinearity": nonlinearity} if cell_type == "rnn" else {}
    layer = LAYERS[cell_type](
        2,
        4,
        num_layers,
        batch_first=True,
        bidirectional=bidirectional,
        dtype=torch.float64,
        **options,
    )
    with torch.no_grad():
        for i, of_model in enumerate(model.module_.layers):
            for name, weights in of_model.named_parameters():
                getattr(layer, name.replace("_l0", f"_l{i}")).copy_(weights)
    h_0, hx = None, None
    if given:
        shape = (num_layers * (1 + bidirectional), 10, 4)
        h_0 = rng.normal(size=shape)
        hx = torch.tensor(h_0)
        if cell_type == "lstm":
            h_0 = (h_0, rng.normal(size=shape))
            hx = (hx, torch.tensor(h_0[1]))

    output, h_n = model.hidden_states(DENSE, h_0)
    expected, states = layer(scaled(model, DENSE), hx)

    assert_allclose(output, expected.detach(), atol=1e-12)
    states = states if cell_type == "lstm" else (states,)
    h_n = h_n if cell_type == "lstm" else (h_n,)
    assert len(h_n) == len(states)
    for found, wanted in zip(h_n, states, strict=True):
        assert_allclose(found, wanted.detach(), atol=1e-12)


@cells
@pytest.mark.parametrize("bidirectional", [False, True])
def test_states_of_ragged_sequences_are_those_of_each_alone(
    cell_type, nonlinearity, bidirectional
):
    model = RNNRegressor(
        **TINY,
        cell_type=cell_type,
        nonlinearity=nonlinearity,
        bidirectional=bidirectional,
        num_layers=2,
    ).fit(RAGGED, np.arange(6.0))
    output, states = model.hidden_states(RAGGED)
    states = states if cell_type == "lstm" else (states,)
    for i, x in enumerate(RAGGED):
        alone, of_one = model.hidden_states(x[None])
        of_one = of_one if cell_type == "lstm" else (of_one,)
        assert_allclose(output[i], alone[0], atol=1e-12)
        for together, single in zip(states, of_one, strict=True):
            assert_allclose(together[:, i], single[:, 0], atol=1e-12)


@pytest.mark.parametrize("per_step", [False, True])
def test_states_are_those_of_differences_where_the_network_sees_these(per_step):
    X = [x for x in RAGGED if len(x) > 1]
    y = [x[:, 0] if per_step else x[-1, 0] for x in X]
    model = RNNRegressor(
        **TINY,
        window_norm="difference",
        target_feature=0,
        return_sequences=per_step,
    ).fit(X, y)
    twin = copy.deepcopy(model)
    twin._encoder.normalizer = WindowNormalizer()
    output, h_n = model.hidden_states(X)
    for i, x in enumerate(X):
        before = np.r_[x[:1, 0], x[:-1, 0]]
        seen = np.column_stack([x[:, 0] - before, x[:, 1]])
        seen = seen if per_step else seen[1:]
        expected, last = twin.hidden_states(seen[None])
        assert_allclose(output[i], expected[0], atol=1e-12)
        assert_allclose(h_n[:, i], last[:, 0], atol=1e-12)


@pytest.mark.parametrize("cls", [RNNRegressor, RNNClassifier, BiRNNClassifier])
def test_states_keep_the_precision_of_x(cls):
    X = DENSE.astype(np.float32)
    model = cls(**TINY, cell_type="lstm").fit(X, Y > 0)
    output, (h_n, c_n) = model.hidden_states(X)
    assert {part.dtype for part in (output, h_n, c_n)} == {np.dtype(np.float32)}


@gated
def test_layers_of_different_sizes_have_a_list_of_states(cell_type):
    params = TINY | {"hidden_size": (5, 3), "num_layers": 2}
    model = RNNClassifier(**params, cell_type=cell_type).fit(DENSE, Y > 0)
    output, states = model.hidden_states(DENSE)
    parts = states if cell_type == "lstm" else (states,)
    assert output.shape == (10, 6, 3)
    for part in parts:
        assert [of_layer.shape for of_layer in part] == [(1, 10, 5), (1, 10, 3)]
    assert_allclose(parts[0][-1][0], output[:, -1])
    # Going on from the states is going on with the sequences.
    first, middle = model.hidden_states(DENSE[:, :3])
    last, _ = model.hidden_states(DENSE[:, 3:], middle)
    assert_allclose(np.concatenate([first, last], axis=1), output, atol=1e-12)


@pytest.mark.parametrize(
    ("params", "h_0", "message"),
    [
        (
            {},
            np.zeros((1, 9, 4)),
            "h_0 must have shape (1, 10, 4): layers times directions, sequences, "
            "hidden_size. Got shape (1, 9, 4).",
        ),
        (
            {"cell_type": "lstm"},
            np.zeros((1, 10, 4)),
            "h_0 must be a tuple (h_0, c_0) for cell_type='lstm'. Got ndarray.",
        ),
        (
            {"cell_type": "lstm"},
            (np.zeros((1, 10, 4)), np.zeros((1, 10, 3))),
            "c_0 must have shape (1, 10, 4): layers times directions, sequences, "
            "hidden_size. Got shape (1, 10, 3).",
        ),
        (
            {"hidden_size": (4, 3), "num_layers": 2},
            [np.zeros((1, 10, 4))],
            "h_0 must be a list of arrays of shapes [(1, 10, 4), (1, 10, 3)], one for "
            "each layer. Got [(1, 10, 4)].",
        ),
        ({}, np.full((1, 10, 4), np.nan), "h_0 must be finite. Got NaN or infinity."),
    ],
)
def test_states_of_another_shape_are_refused(params, h_0, message):
    model = RNNRegressor(**TINY | params).fit(DENSE, Y)
    with raises(ValueError, message):
        model.hidden_states(DENSE, h_0)


@pytest.mark.parametrize(
    ("cell_type", "cell"),
    [("rnn", nn.RNNCell), ("gru", nn.GRUCell), ("lstm", nn.LSTMCell)],
)
def test_a_cell_stepped_by_hand_is_the_layer(cell_type, cell):
    model = RNNRegressor(**TINY, cell_type=cell_type).fit(DENSE, Y)
    cell = cell(2, 4, dtype=torch.float64)
    with torch.no_grad():
        for name, weights in model.module_.layers[0].named_parameters():
            getattr(cell, name.removesuffix("_l0")).copy_(weights)
    state, outputs = None, []
    for x_t in scaled(model, DENSE).unbind(1):
        state = cell(x_t, state)
        outputs.append(state[0] if cell_type == "lstm" else state)

    output, _ = model.hidden_states(DENSE)
    assert_allclose(output, torch.stack(outputs, 1).detach(), atol=1e-12)


# What they start from


def bare_loop(model, X, y, per_step, chunk=None):
    """Train as `PLAIN` says from the initial weights, states carried by hand.

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
                wanted = targets[rows]
                if per_step:
                    wanted = wanted[:, first : first + steps]
                losses = (raw - wanted) ** 2
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


@gated
@pytest.mark.parametrize("per_step", [False, True])
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


def test_a_line_search_runs_a_batch_from_one_state():
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
def test_rows_stay_in_their_order_only_where_states_are_carried(initial_state):
    model = RNNRegressor(**PLAIN, initial_state=initial_state).fit(DENSE, Y)
    net = model.net_
    dataset = make_dataset(model, DENSE, np.arange(10.0)[:, None])
    (batch,) = net.get_iterator(dataset, training=True)
    in_order = batch[1][:, 0].tolist() == list(range(10))
    assert in_order == (initial_state == "carry")


@gated
@pytest.mark.parametrize("bidirectional", [False, True])
def test_learned_states_are_learned_and_used(cell_type, bidirectional):
    model = RNNRegressor(
        **TINY,
        cell_type=cell_type,
        initial_state="learned",
        bidirectional=bidirectional,
    ).fit(DENSE, Y)
    (learned,) = model.module_.learned_states
    assert learned.abs().min() > 0
    assert learned.shape == (1 + (cell_type == "lstm"), 1 + bidirectional, 4)
    before, (output, _) = model.predict(DENSE), model.hidden_states(DENSE)
    start = learned.detach().numpy()[:, :, None].repeat(10, axis=2)
    h_0 = tuple(start) if cell_type == "lstm" else start[0]
    assert_allclose(model.hidden_states(DENSE, h_0)[0], output, atol=1e-12)
    with torch.no_grad():
        learned.zero_()
    assert not np.allclose(model.predict(DENSE), before)


@gated
def test_noise_in_training_is_drawn_from_the_seed_and_predicts_from_zeros(cell_type):
    params = TINY | {"cell_type": cell_type, "initial_state": "normal"}
    before = torch.random.get_rng_state()
    curves = [
        RNNRegressor(**params | {"random_state": seed}).fit(DENSE, Y).loss_curve_
        for seed in (0, 0, 1)
    ]
    assert torch.equal(torch.random.get_rng_state(), before)
    assert curves[0] == curves[1] != curves[2]
    zeros = RNNRegressor(**params | {"initial_state": "zeros"}).fit(DENSE, Y)
    assert zeros.loss_curve_ != curves[0]

    model = RNNRegressor(**params).fit(DENSE, Y)
    assert_array_equal(model.predict(DENSE), model.predict(DENSE))
    shape = (1, 10, 4)
    h_0 = (np.zeros(shape),) * 2 if cell_type == "lstm" else np.zeros(shape)
    assert_allclose(
        model.hidden_states(DENSE, h_0)[0], model.hidden_states(DENSE)[0], atol=1e-12
    )


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
def test_two_way_states_are_not_handed_on(params, message):
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
            "The 'pooling' parameter of RNNRegressor must be 'last' with "
            "tbptt_steps=2, since not all steps are available at once. Got 'mean'.",
        ),
    ],
)
def test_truncation_rules_some_parameters_out(params, message):
    with raises(ValueError, message):
        RNNRegressor(**TINY, tbptt_steps=2, **params).fit(DENSE, Y)


# How far gradients go back


@gated
@pytest.mark.parametrize("initial_state", ["zeros", "carry"])
@pytest.mark.parametrize("steps", [2, 3])
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


def beginning(module, initial_state):
    """Return the states of one row, as torch's layers take them."""
    if initial_state != "learned":
        return [None] * len(module.layers)
    return [
        tuple(part[:, None] for part in of_layer)
        if len(of_layer) == 2
        else of_layer[0][:, None]
        for of_layer in module.learned_states
    ]


def without_gradient(state):
    if isinstance(state, tuple):
        return tuple(part.detach() for part in state)
    return state.detach()


def bare_loop_by_rows(model, X, y, weights):
    """Train a classifier of steps without a padded batch: row by row, by hand.

    The loss of a batch of N rows is the sum over their steps, by the weights of steps
    relative to the mean row's, over N; a chunk's is that as if all chunks were alike.
    """
    start = copy.deepcopy(model).set_params(max_epochs=1, lr=1e-300).fit(X, y, weights)
    module, n = start.module_.train(), len(X)
    optimizer = torch.optim.SGD(module.parameters(), lr=model.lr)
    order = torch.Generator().manual_seed(start.net_.seed)
    steps, mass = model.tbptt_steps or 100, sum(w.sum() for w in weights)
    enlarged = max(1.0, sum(LENGTHS) / n / steps)
    curve = []
    for _ in range(model.max_epochs):
        carried, total = None, 0.0
        rows_in_order = torch.arange(n)
        if model.initial_state != "carry":
            rows_in_order = torch.randperm(n, generator=order)
        for rows in rows_in_order.split(model.batch_size):
            states = [beginning(module, model.initial_state) for _ in rows]
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
                        after.append(without_gradient(state))
                    states[i] = after
                    losses = nn.functional.cross_entropy(
                        module.head(h[0]), torch.tensor(y[row][part]), reduction="none"
                    )
                    loss = loss + losses @ torch.tensor(weights[row][part])
                (loss * n / mass / len(rows) * enlarged).backward()
                optimizer.step()
                total += loss.item() / mass
            carried = states if model.initial_state == "carry" else None
        curve.append(total)
    return curve


@gated
@pytest.mark.parametrize("initial_state", ["zeros", "learned", "carry"])
@pytest.mark.parametrize("steps", [None, 1, 3])
@pytest.mark.parametrize("fused", [False, True])
def test_ragged_steps_by_weight_train_as_a_bare_torch_loop(
    cell_type, initial_state, steps, fused, monkeypatch
):
    monkeypatch.setattr(availability, "ENABLED", fused)
    y = [np.digitize(np.cumsum(x[:, 0]), [-1, 0.5]) for x in RAGGED]
    weights = [rng.integers(1, 4, size=n) / 2 for n in LENGTHS]
    for of_row in (weights[0], weights[2]):
        of_row[1:3] = 0.0
    model = RNNClassifier(
        **PLAIN | {"max_epochs": 3, "lr": 0.5},
        num_layers=2,
        cell_type=cell_type,
        initial_state=initial_state,
        batch_size=4,  # the last batch has two rows
        return_sequences=True,
        tbptt_steps=steps,
    )
    expected = bare_loop_by_rows(model, RAGGED, y, weights)
    assert_allclose(model.fit(RAGGED, y, weights).loss_curve_, expected, rtol=1e-9)


@pytest.mark.parametrize("steps", [1, 2, 5])
@pytest.mark.parametrize("per_step", [False, True])
@pytest.mark.parametrize("ragged", [False, True])
def test_chunks_know_the_lags_and_states_before_them(ragged, per_step, steps):
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
    with torch.no_grad():  # the linear start says all, the network nothing yet
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


@pytest.mark.parametrize("steps", [7, 100])
@pytest.mark.parametrize("per_step", [False, True])
@gated
def test_a_truncation_beyond_the_end_is_none(cell_type, per_step, steps):
    y = [np.cumsum(x[:, 0]) for x in RAGGED]
    y = y if per_step else [piece[-1] for piece in y]
    params = TINY | {"cell_type": cell_type, "return_sequences": per_step}
    plain = RNNRegressor(**params).fit(RAGGED, y)
    truncated = RNNRegressor(**params, tbptt_steps=steps).fit(RAGGED, y)
    assert_allclose(truncated.loss_curve_, plain.loss_curve_, rtol=1e-9)
    for a, b in zip(truncated.predict(RAGGED), plain.predict(RAGGED), strict=True):
        assert_allclose(a, b, rtol=1e-9)


@gated
@pytest.mark.parametrize("ragged", [False, True])
def test_the_last_chunk_alone_gets_a_gradient(cell_type, ragged):
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
    # By hand, for h_t = tanh(W x_t + b + V h_{t-1} + c), y = u h_T + d and one row:
    # from the last step backwards, the same weights get a share of every step.
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


# Very long sequences


@cells
@pytest.mark.parametrize("per_step", [False, True])
@pytest.mark.parametrize("ragged", [False, True])
def test_prediction_in_pieces_is_prediction_in_one(
    cell_type, nonlinearity, per_step, ragged, monkeypatch
):
    X = RAGGED if ragged else list(DENSE)
    y = [np.cumsum(x[:, 0]) for x in X]
    y = y if per_step else [piece[-1] for piece in y]
    model = RNNRegressor(
        **TINY,
        cell_type=cell_type,
        nonlinearity=nonlinearity,
        num_layers=2,
        return_sequences=per_step,
        target_feature=0,
        ar_order=3,
    ).fit(X, y)
    in_one = model.predict(X)
    monkeypatch.setattr(prediction, "CHUNK_STEPS", 2)
    for pieces, whole in zip(model.predict(X), in_one, strict=True):
        assert_allclose(pieces, whole, rtol=1e-12)


@cells
@pytest.mark.parametrize(
    "params",
    [
        {"initial_state": "learned"},
        {"window_norm": "difference", "target_feature": 0},
        {"loss": "quantile", "ar_order": 2, "target_feature": 1},
    ],
    ids=["learned", "difference", "quantile"],
)
@pytest.mark.parametrize("per_step", [False, True])
def test_pieces_know_what_stands_before_them(
    cell_type, nonlinearity, per_step, params, monkeypatch
):
    X = [x for x in RAGGED if len(x) > 1]
    y = [x[:, 0] + 0.1 * x[:, 1] for x in X]
    model = RNNRegressor(
        **TINY,
        cell_type=cell_type,
        nonlinearity=nonlinearity,
        return_sequences=per_step,
        **params,
    ).fit(X, y if per_step else [piece[-1] for piece in y])
    in_one = model.predict(X)
    monkeypatch.setattr(prediction, "CHUNK_STEPS", 2)
    for pieces, whole in zip(model.predict(X), in_one, strict=True):
        assert_allclose(pieces, whole, rtol=1e-12)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("per_step", [False, True])
@cells
def test_a_row_alone_equals_the_row_beside_very_long_ones(
    cell_type, nonlinearity, per_step, dtype, monkeypatch
):
    X = [x.astype(dtype) for x in RAGGED]
    y = [(np.cumsum(x[:, 0]) > 0).astype(int) for x in X]
    model = RNNClassifier(
        **TINY,
        cell_type=cell_type,
        nonlinearity=nonlinearity,
        return_sequences=per_step,
    ).fit(X, y if per_step else [piece[-1] for piece in y])
    monkeypatch.setattr(prediction, "CHUNK_STEPS", 4)
    together = model.predict_proba(X)
    for x, probabilities in zip(X, together, strict=True):
        assert_array_equal(model.predict_proba([x])[0], probabilities)


# Attention


@pytest.mark.parametrize("cls", [RNNRegressor, RNNClassifier, BiRNNClassifier])
def test_attention_weighs_steps_by_the_formula(cls):
    y = np.arange(6.0) if cls is RNNRegressor else np.arange(6) % 3
    model = cls(**TINY, pooling="attention").fit(RAGGED, y)
    weights = model.attention_weights(RAGGED)
    output, _ = model.hidden_states(RAGGED)
    state = {k: v.numpy() for k, v in model.module_.state_dict().items()}
    for found, h in zip(weights, output, strict=True):
        scores = np.tanh(h @ state["attention.weight"].T + state["attention.bias"])
        scores = np.exp(scores @ state["context"])
        assert_allclose(found, scores / scores.sum(), atol=1e-12)
        assert found.min() >= 0
        assert found.sum() == pytest.approx(1)
    pooled = np.stack([w @ h for w, h in zip(weights, output, strict=True)])
    raw = pooled @ state["head.weight"].T + state["head.bias"]
    assert_allclose(raw_outputs(model, RAGGED), raw, atol=1e-12)


def test_attention_does_not_feel_the_padding():
    model = RNNClassifier(**TINY, pooling="attention").fit(RAGGED, np.arange(6) % 2)
    together, p = model.attention_weights(RAGGED), model.predict_proba(RAGGED)
    for i, x in enumerate(RAGGED):
        assert_array_equal(model.attention_weights([x])[0], together[i])
        assert_array_equal(model.predict_proba([x])[0], p[i])
    assert model.attention_weights(DENSE).shape == (10, 6)


def test_other_poolings_have_no_weights():
    model = RNNClassifier(**TINY).fit(DENSE, Y > 0)
    assert not hasattr(model, "attention_weights")
    message = (
        "attention_weights is available with pooling='attention' only. Got "
        "pooling='last'."
    )
    with pytest.raises(AttributeError) as caught:
        model.attention_weights(DENSE)
    assert str(caught.value.__cause__ or caught.value) == message


# Token ids


def ids(n_rows=12, n_ids=6):
    return [rng.integers(1, n_ids, size=n) for n in rng.integers(1, 7, size=n_rows)]


@gated
def test_an_identity_embedding_is_one_hot(cell_type):
    X = ids()
    y = np.array([x[0] > 3 for x in X])
    y[:2] = [True, False]
    model = RNNClassifier(**TINY, cell_type=cell_type, embedding_dim=6).fit(X, y)
    with torch.no_grad():
        model.module_.embedding.weight.copy_(torch.eye(6))
    one_hot = [np.eye(6)[x] for x in X]
    twin = RNNClassifier(**TINY, cell_type=cell_type).fit(one_hot, y)
    state = model.module_.state_dict()
    del state["embedding.weight"]
    scaling = {k: v for k, v in twin.module_.state_dict().items() if "input" in k}
    twin.module_.load_state_dict(state | scaling)
    assert_array_equal(scaling["input_mean"], np.zeros(6))
    assert_allclose(model.predict_proba(X), twin.predict_proba(one_hot), rtol=1e-9)


def test_padding_behind_ids_is_no_step():
    X = ids()
    padded = np.zeros((12, 8), dtype=int)
    for row, x in zip(padded, X, strict=True):
        row[: len(x)] = x
    y = np.arange(12) % 2
    params = TINY | {"embedding_dim": 3}
    expected = RNNClassifier(**params).fit(X, y).predict_proba(X)
    model = RNNClassifier(**params).fit(padded, y)
    assert_array_equal(model.predict_proba(padded), expected)
    assert model.module_.embedding.weight.shape == (padded.max() + 1, 3)
    assert not model.module_.embedding.weight[0].any()


@pytest.mark.parametrize(
    ("X", "message"),
    [
        (
            [[1, 2.5], [3, 1]],
            "X must hold token ids with embedding_dim, whole numbers from 0. Got 2.5. "
            "Use TokenEncoder to turn tokens into ids.",
        ),
        (
            [[1, -2], [3, 1]],
            "X must hold token ids with embedding_dim, whole numbers from 0. Got -2. "
            "Use TokenEncoder to turn tokens into ids.",
        ),
        (
            [[1, 2], [0, 1]],
            "X must have the padding 0 behind the tokens only. Got it before a token "
            "in sequence 1. Give unknown tokens the id 1.",
        ),
        (
            [[1, 2], [0, 0]],
            "X must hold a token in every sequence. Got 0 only in sequence 1. Give "
            "unknown tokens the id 1.",
        ),
        (
            np.ones((2, 3, 2), dtype=int),
            "X must have one feature with embedding_dim, the id of a token. Got 2 "
            "features per time step. Use TokenEncoder to turn tokens into ids.",
        ),
    ],
)
def test_what_are_no_ids_is_refused(X, message):
    with raises(ValueError, message):
        RNNClassifier(**TINY, embedding_dim=2).fit(np.array(X), [0, 1])


def test_ids_beyond_those_of_fit_are_refused():
    model = RNNClassifier(**TINY, embedding_dim=2).fit(
        np.array([[1, 2], [3, 1]]), [0, 1]
    )
    message = (
        "X must hold token ids below 4, as the X in fit. Got 4. Give unknown tokens "
        "the id 1, as TokenEncoder does."
    )
    with raises(ValueError, message):
        model.predict(np.array([[1, 4]]))


@pytest.mark.parametrize("params", [{"ar_order": 2}, {"window_norm": "last"}])
def test_ids_are_no_quantities(params):
    ((name, value),) = params.items()
    message = (
        f"The '{name}' parameter of RNNRegressor must be left out with embedding_dim: "
        f"token ids are no quantities. Got {value!r}."
    )
    with raises(ValueError, message):
        RNNRegressor(**TINY, embedding_dim=2, **params).fit(np.ones((4, 3)), range(4))
