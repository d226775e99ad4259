"""Hidden states and initial states."""

import copy

import numpy as np
import pytest
import torch
from messages import raises
from numpy.testing import assert_allclose, assert_array_equal
from textbook import CELLS
from torch import nn

from skrnn import BiRNNClassifier, RNNClassifier, RNNRegressor
from skrnn._data.normalization import WindowNormalizer

rng = np.random.default_rng(0)


LENGTHS = [5, 2, 7, 1, 4, 6]


RAGGED = [rng.normal(size=(n, 2)) for n in LENGTHS]


DENSE = rng.normal(size=(10, 6, 2))


Y, STEPS = DENSE[:, :, 0].sum(axis=1), np.cumsum(DENSE[:, :, 0], axis=1)


TINY = dict(hidden_size=4, max_epochs=2, random_state=0)


LAYERS = {"rnn": nn.RNN, "gru": nn.GRU, "lstm": nn.LSTM}


cells = pytest.mark.parametrize(("cell_type", "nonlinearity"), CELLS)


gated = pytest.mark.parametrize("cell_type", ["rnn", "gru", "lstm"])


def scaled(model, x):
    state = model.module_.state_dict()
    return (torch.tensor(x) - state["input_mean"]) / state["input_scale"]


# What the layers return
@pytest.mark.parametrize(
    ("cell", "bidirectional", "num_layers", "given"),
    [
        (CELLS[0], False, 2, True),
        (CELLS[0], True, 1, False),
        (CELLS[1], True, 2, False),
        (CELLS[2], False, 1, True),
        (CELLS[2], True, 2, False),
        (CELLS[3], False, 2, False),
        (CELLS[3], True, 2, True),
    ],
)
def test_hidden_states_are_those_of_torch(cell, bidirectional, num_layers, given):
    cell_type, nonlinearity = cell
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
    for found, expected_state in zip(h_n, states, strict=True):
        assert_allclose(found, expected_state.detach(), atol=1e-12)


@pytest.mark.parametrize(
    ("cell_type", "bidirectional"),
    [("rnn", False), ("gru", True), ("lstm", False), ("lstm", True)],
)
def test_states_of_ragged_sequences_are_those_of_each_alone(cell_type, bidirectional):
    model = RNNRegressor(
        **TINY,
        cell_type=cell_type,
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
def test_states_with_window_norm_difference_are_those_of_the_differences(per_step):
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


def test_states_keep_the_precision_of_x():
    X = DENSE.astype(np.float32)
    model = BiRNNClassifier(**TINY, cell_type="lstm").fit(X, Y > 0)
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
    # The states after 3 steps continue the sequences.
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
def test_initial_states_of_a_wrong_shape_are_rejected(params, h_0, message):
    model = RNNRegressor(**TINY | params).fit(DENSE, Y)
    with raises(ValueError, message):
        model.hidden_states(DENSE, h_0)


@pytest.mark.parametrize(
    ("cell_type", "cell"),
    [("rnn", nn.RNNCell), ("gru", nn.GRUCell), ("lstm", nn.LSTMCell)],
)
def test_outputs_are_those_of_a_loop_over_torchs_cell(cell_type, cell):
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


@pytest.mark.parametrize(
    ("cell_type", "bidirectional"), [("rnn", True), ("gru", False), ("lstm", True)]
)
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
def test_normal_states_follow_the_seed_in_training_and_are_zeros_in_predict(cell_type):
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
