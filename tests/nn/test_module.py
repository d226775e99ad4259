import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit, softmax
from textbook import CELLS, run_network, sigmoid
from torch import nn

from skrnn import RNNClassifier, RNNRegressor
from skrnn._nn.config import ModuleConfig
from skrnn._nn.module import RecurrentModule
from skrnn._nn.noise import Noise

N_FEATURES = 2
LENGTHS = [6, 2, 5, 1, 6, 3, 4, 6, 1, 5]
MODULES = {"rnn": nn.RNN, "gru": nn.GRU, "lstm": nn.LSTM}

cells = pytest.mark.parametrize(
    ("cell_type", "nonlinearity"), CELLS, ids=["tanh", "relu", "gru", "lstm"]
)
shapes = pytest.mark.parametrize("ragged", [False, True], ids=["dense", "ragged"])

any_cell = st.sampled_from(CELLS)
any_stack = st.sampled_from([(5,), (5, 4), (5, 3, 4)])
any_pooling = st.sampled_from(["last", "mean", "max", "concat"])
any_patch_size = st.sampled_from([1, 2, 4])


def draw_data(ragged, dtype=np.float64):
    """Return sequences with features of quite different scales, and targets."""
    rng = np.random.default_rng(0)
    units = np.array([1.0, 30.0]), np.array([-4.0, 100.0])
    X = rng.normal(*units[::-1], size=(len(LENGTHS), 6, N_FEATURES)).astype(dtype)
    y = rng.normal(5.0, 2.0, size=len(X)).astype(dtype)
    if ragged:
        X = [row[:length] for row, length in zip(X, LENGTHS, strict=True)]
    return X, y


def scale_rows(X):
    """Scale each feature to mean 0 and standard deviation 1 over all steps."""
    steps = np.concatenate(list(X)).astype(float)
    return [(row - steps.mean(axis=0)) / steps.std(axis=0) for row in X]


def pad_rows(X, width=6, padding=0.0):
    """Return rows padded at their ends, and their lengths, as tensors."""
    values = np.full((len(X), width, N_FEATURES), padding)
    for i, row in enumerate(X):
        values[i, : len(row)] = row
    return torch.tensor(values), torch.tensor([len(row) for row in X])


def textbook_outputs(model, X):
    state = model.module_.state_dict()
    return np.stack([run_network(model, state, row) for row in scale_rows(X)])


def untrained(estimator_class=RNNRegressor, *, ragged=False, y=None, **params):
    """Return an estimator whose weights are still the initial ones.

    The learning rate is too low to change them.
    """
    X, real_y = draw_data(ragged)
    model = estimator_class(
        **{"hidden_size": 4, "random_state": 0, **params},
        optimizer="sgd",
        weight_decay=0.0,
        lr=1e-300,
        lr_schedule=None,
        max_epochs=1,
    )
    return model.fit(X, real_y if y is None else y)


def make_module(dropout=0.0, **changes):
    options = dict(
        n_features=N_FEATURES,
        n_outputs=1,
        hidden_sizes=(4,),
        dtype="float64",
        input_dtype="float64",
    )
    generator = torch.Generator().manual_seed(0)
    config = ModuleConfig(**options | changes)
    return RecurrentModule(config, dropout=dropout, generator=generator)


@settings(max_examples=20)
@given(
    cell=any_cell,
    hidden_size=any_stack,
    bidirectional=st.booleans(),
    pooling=any_pooling,
    patch_size=any_patch_size,
    ragged=st.booleans(),
)
def test_predictions_are_those_of_the_textbook(
    cell, hidden_size, bidirectional, pooling, patch_size, ragged
):
    X, y = draw_data(ragged)
    model = RNNRegressor(
        hidden_size,
        cell_type=cell[0],
        nonlinearity=cell[1],
        bidirectional=bidirectional,
        pooling=pooling,
        patch_size=patch_size,
        max_epochs=2,
        random_state=0,
    ).fit(X, y)

    expected = y.mean() + y.std() * textbook_outputs(model, X)[:, 0]
    np.testing.assert_allclose(model.predict(X), expected, rtol=1e-12)


@pytest.mark.parametrize(
    ("cell", "ragged"),
    [(CELLS[0], True), (CELLS[1], False), (CELLS[2], True), (CELLS[3], False)],
    ids=["tanh", "relu", "gru", "lstm"],
)
def test_float32_outputs_are_those_of_the_textbook(cell, ragged):
    cell_type, nonlinearity = cell
    X, y = draw_data(ragged, np.float32)
    model = RNNRegressor(
        (5, 4),
        cell_type=cell_type,
        nonlinearity=nonlinearity,
        bidirectional=ragged,
        max_epochs=2,
        random_state=0,
    ).fit(X, y)

    assert {value.dtype for value in model.module_.parameters()} == {torch.float32}
    found = (model.predict(X) - y.mean(dtype=float)) / y.std(dtype=float)
    np.testing.assert_allclose(found, textbook_outputs(model, X)[:, 0], atol=1e-6)


@pytest.mark.parametrize(
    ("task", "ragged"),
    [("binary", True), ("multi-class", False), ("multilabel", True)],
)
def test_probabilities_are_those_of_the_textbook(task, ragged):
    X, _ = draw_data(ragged)
    y = {
        "binary": np.arange(10) % 2,
        "multi-class": np.arange(10) % 3,
        "multilabel": np.stack([np.arange(10) % 2, np.arange(10) % 3 == 0], axis=1),
    }[task].astype(int)
    model = RNNClassifier(5, cell_type="gru", max_epochs=2, random_state=0).fit(X, y)

    outputs = textbook_outputs(model, X)
    expected = {
        "binary": lambda: np.hstack([1 - expit(outputs), expit(outputs)]),
        "multi-class": lambda: softmax(outputs, axis=1),
        "multilabel": lambda: sigmoid(outputs),
    }[task]()
    np.testing.assert_allclose(model.predict_proba(X), expected, rtol=1e-12)


@settings(max_examples=15)
@given(
    cell=any_cell,
    hidden_size=any_stack,
    bidirectional=st.booleans(),
    ragged=st.booleans(),
)
def test_layers_are_those_of_torch_by_name_and_result(
    cell, hidden_size, bidirectional, ragged
):
    cell_type, nonlinearity = cell
    X, _ = draw_data(ragged)
    model = untrained(
        hidden_size=hidden_size,
        cell_type=cell_type,
        nonlinearity=nonlinearity,
        bidirectional=bidirectional,
        ragged=ragged,
    )
    module = model.module_
    options = {"nonlinearity": nonlinearity} if cell_type == "rnn" else {}
    values, lengths = pad_rows(scale_rows(X))
    n_inputs = N_FEATURES
    for layer, size in zip(module.layers, hidden_size, strict=True):
        own = MODULES[cell_type](
            n_inputs,
            size,
            batch_first=True,
            bidirectional=bidirectional,
            dtype=torch.float64,
            **options,
        )
        own.load_state_dict(layer.state_dict(), strict=True)
        packed = nn.utils.rnn.pack_padded_sequence(
            values, lengths, batch_first=True, enforce_sorted=False
        )
        packed, state = own(packed)
        values, _ = nn.utils.rnn.pad_packed_sequence(packed, batch_first=True)
        n_inputs = size * (1 + bidirectional)
    h_n = state[0] if cell_type == "lstm" else state
    expected = module.head(torch.cat(list(h_n), dim=1))

    values, lengths = pad_rows(X)
    found = module(values, lengths if ragged else None)
    torch.testing.assert_close(found, expected, atol=1e-12, rtol=0)


@settings(max_examples=15)
@given(
    cell=any_cell,
    bidirectional=st.booleans(),
    pooling=any_pooling,
    patch_size=any_patch_size,
)
def test_padding_affects_neither_outputs_nor_gradients(
    cell, bidirectional, pooling, patch_size
):
    module = make_module(
        hidden_sizes=(4, 3),
        cell_type=cell[0],
        nonlinearity=cell[1],
        bidirectional=bidirectional,
        pooling=pooling,
        patch_size=patch_size,
    ).eval()
    X = scale_rows(draw_data(ragged=True)[0])
    results = []
    for padding in (0.0, 1e4, -1e4):
        values, lengths = pad_rows(X, padding=padding)
        values.requires_grad_()
        outputs = module(values, lengths)
        gradients = torch.autograd.grad(outputs.sum(), [values, *module.parameters()])
        results.append([outputs, *gradients])

    for found in results[1:]:
        torch.testing.assert_close(found, results[0], atol=1e-13, rtol=1e-13)
    beyond = torch.arange(6) >= lengths[:, None]
    assert (results[0][1][beyond] == 0).all()
    more = module(*pad_rows(X, width=11))
    torch.testing.assert_close(more, results[0][0], atol=1e-14, rtol=0)


@settings(max_examples=8)
@given(cell=any_cell, pooling=any_pooling, patch_size=any_patch_size)
def test_lengths_that_are_all_full_equal_no_lengths(cell, pooling, patch_size):
    module = make_module(
        cell_type=cell[0],
        nonlinearity=cell[1],
        bidirectional=True,
        pooling=pooling,
        patch_size=patch_size,
    )
    values, lengths = pad_rows(draw_data(ragged=False)[0])

    found = module(values, lengths)

    torch.testing.assert_close(found, module(values), atol=1e-14, rtol=0)


@settings(max_examples=20)
@given(
    cell=any_cell,
    hidden_sizes=any_stack,
    bidirectional=st.booleans(),
    pooling=any_pooling,
    ragged=st.booleans(),
)
def test_gradient_reaches_every_parameter_and_the_first_step(
    cell, hidden_sizes, bidirectional, pooling, ragged
):
    module = make_module(
        cell_type=cell[0],
        nonlinearity=cell[1],
        hidden_sizes=hidden_sizes,
        bidirectional=bidirectional,
        pooling=pooling,
    )
    with torch.no_grad():  # so that no 'relu' is 0
        for parameter in module.parameters():
            parameter.abs_()
    values, lengths = pad_rows(scale_rows(draw_data(ragged)[0]))
    values = values.abs().requires_grad_()

    module(values, lengths if ragged else None).sum().backward()

    for name, parameter in module.named_parameters():
        assert (parameter.grad != 0).any(), name
    reached = (values.grad[:, 0] != 0).any(dim=1)
    assert reached.any() if pooling == "max" else reached.all()


@cells
def test_recurrent_weights_start_orthogonal_gate_by_gate(cell_type, nonlinearity):
    module = make_module(
        cell_type=cell_type,
        nonlinearity=nonlinearity,
        hidden_sizes=(5, 3, 4),
        bidirectional=True,
    )

    for layer in module.layers:
        for suffix in ("", "_reverse"):
            weight_hh = getattr(layer, f"weight_hh_l0{suffix}").detach().numpy()
            for gate in weight_hh.reshape(-1, layer.hidden_size, layer.hidden_size):
                np.testing.assert_allclose(gate @ gate.T, np.eye(len(gate)), atol=1e-13)


@cells
def test_only_forget_gates_start_with_a_bias_of_one(cell_type, nonlinearity):
    size = 8
    module = make_module(
        cell_type=cell_type,
        nonlinearity=nonlinearity,
        hidden_sizes=(size, size),
        bidirectional=True,
    )

    for layer in module.layers:
        for suffix in ("", "_reverse"):
            bias = getattr(layer, f"bias_ih_l0{suffix}").detach().clone()
            bias += getattr(layer, f"bias_hh_l0{suffix}").detach()
            bias = bias.reshape(-1, size)
            if cell_type == "lstm":  # gates in the order i, f, g, o
                assert (bias[1] == 1).all()
                bias = bias[[0, 2, 3]]
            assert (bias.abs() <= 2 / np.sqrt(size)).all()
            assert (bias != 1).all()


@pytest.mark.parametrize("name", ["layers.0.weight_ih_l0", "head.weight", "head.bias"])
def test_other_weights_start_uniform_within_the_bound_of_torch(name):
    size = 400
    module = make_module(hidden_sizes=(size,), n_outputs=50)

    scaled = module.state_dict()[name].flatten() * np.sqrt(size)

    assert scaled.abs().max() <= 1
    assert scaled.abs().max() > 0.9
    # Of the uniform distribution on [-1, 1], within 4 standard errors.
    error = 4 / np.sqrt(len(scaled))
    assert abs(scaled.mean()) < error * np.sqrt(1 / 3)
    assert abs((scaled**2).mean() - 1 / 3) < error * np.sqrt(4 / 45)


@cells
def test_equal_seeds_give_equal_weights_and_others_do_not(cell_type, nonlinearity):
    params = {"cell_type": cell_type, "nonlinearity": nonlinearity}
    first, again, other = (
        untrained(**params, hidden_size=(4, 3), random_state=seed).module_
        for seed in (0, 0, 1)
    )

    for name, parameter in first.named_parameters():
        assert torch.equal(parameter, again.get_parameter(name)), name
        if "bias_hh" not in name or cell_type != "lstm":
            assert not torch.equal(parameter, other.get_parameter(name)), name


def test_making_a_module_leaves_the_global_generator_alone():
    before = torch.get_rng_state()

    make_module(
        cell_type="lstm",
        hidden_sizes=(4, 3),
        bidirectional=True,
        pooling="attention",
        initial_state="learned",
        embedding_dim=3,
        n_tokens=5,
        ar_order=2,
        ar_columns=(0,),
        dropout=0.5,
    )

    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_parameters_have_the_given_dtype(dtype):
    module = make_module(dtype=dtype, bidirectional=True, hidden_sizes=(4, 3))

    expected = {(getattr(torch, dtype), "cpu")}
    assert {(p.dtype, p.device.type) for p in module.parameters()} == expected


@settings(max_examples=50)
@given(
    cell=any_cell,
    sizes=any_stack,
    bidirectional=st.booleans(),
    pooling=st.sampled_from(["last", "mean", "concat", "attention"]),
    patch_size=any_patch_size,
    initial_state=st.sampled_from(["zeros", "learned"]),
    embedding_dim=st.sampled_from([None, 3]),
    ar_order=st.sampled_from([0, 2]),
)
def test_state_shapes_are_those_of_the_module(cell, sizes, **options):
    module = make_module(
        hidden_sizes=sizes,
        cell_type=cell[0],
        n_tokens=7,
        n_features=4,
        n_outputs=2,
        ar_columns=(2, 0),
        dtype="float32",
        **options,
    )

    shapes = module.config.state_shapes()

    assert list(shapes.items()) == [
        (name, (tuple(tensor.shape), str(tensor.dtype).removeprefix("torch.")))
        for name, tensor in module.state_dict().items()
    ]
    parameters = [name for name, _ in module.named_parameters()]
    assert [name for name in shapes if not name.startswith("input_")] == parameters


def test_inputs_are_scaled_in_the_precision_of_the_data():
    module = make_module(dtype="float32")
    plain = torch.linspace(-1, 1, 3 * 4 * N_FEATURES).reshape(3, 4, N_FEATURES).double()
    expected = module(plain)
    module.set_scaling(np.array([1e9, 1e9]), np.array([1.0, 1.0]))

    outputs = module(plain + 1e9)  # float32 would keep none of the differences

    torch.testing.assert_close(outputs, expected, atol=1e-6, rtol=0)


@pytest.mark.parametrize(
    ("dropout", "hidden_size"), [(0.2, (4,)), (0.6, (4, 3))], ids=["one", "two"]
)
def test_dropout_zeroes_its_fraction_and_scales_up_the_rest(dropout, hidden_size):
    # Each unit before the head is 1, and the head adds the units.
    module = make_module(hidden_sizes=hidden_size, dropout=dropout).train()
    module.noise = Noise(0, "cpu")
    with torch.no_grad():
        for layer in module.layers:
            for parameter in layer.parameters():
                parameter.zero_()
            layer.bias_ih_l0.fill_(1e3)  # tanh of it is 1
        module.head.weight.fill_(1.0)
        module.head.bias.zero_()
        outputs = module(torch.zeros(20_000, 3, N_FEATURES, dtype=torch.float64))

    kept = outputs * (1 - dropout)  # how many of the units were kept
    torch.testing.assert_close(kept, kept.round(), atol=1e-9, rtol=0)
    n_units = hidden_size[-1]
    share = kept.mean().item() / n_units
    assert share == pytest.approx(1 - dropout, abs=0.01)
    assert kept.var().item() == pytest.approx(
        n_units * dropout * (1 - dropout), rel=0.05
    )


def test_dropout_keeps_the_mean():
    X, _ = draw_data(ragged=False)
    model = untrained(dropout=0.4, hidden_size=6)
    values = torch.tensor(X[:1]).expand(20_000, -1, -1)
    module = model.module_
    expected = module.eval()(values[:1])

    outputs = module.train()(values)

    error = outputs.std() / np.sqrt(len(outputs))
    assert outputs.std() > 0.01
    assert abs(outputs.mean() - expected) < 4 * error


def test_dropout_applies_between_layers_too():
    X, _ = draw_data(ragged=False)
    module = untrained(dropout=0.5, hidden_size=(6, 5)).module_
    values = torch.tensor(X[:1]).expand(50, -1, -1)
    captured = []
    module.head.register_forward_pre_hook(lambda _, inputs: captured.append(inputs[0]))

    module.train()(values)

    # With dropout before the head only, a unit would have one value besides zero.
    kept = [column[column != 0] for column in captured[0].T]
    assert all(len(column.unique()) > 2 for column in kept)


def test_dropout_draws_from_its_own_generator():
    X, _ = draw_data(ragged=False)
    values = torch.tensor(X)
    outputs = []
    for seed in (1, 2):
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            before = torch.get_rng_state()
            module = untrained(dropout=0.5, hidden_size=(6, 5)).module_.train()
            outputs.append([module(values), module(values)])
            assert torch.equal(torch.get_rng_state(), before)

    assert all(map(torch.equal, *outputs))
    assert not torch.equal(*outputs[0])


@shapes
def test_dropout_is_off_in_predict(ragged):
    X, y = draw_data(ragged)
    model = RNNRegressor((5, 4), dropout=0.7, max_epochs=3, random_state=0).fit(X, y)

    expected = y.mean() + y.std() * textbook_outputs(model, X)[:, 0]
    np.testing.assert_allclose(model.predict(X), expected, rtol=1e-12)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.int64], ids=str)
def test_module_can_be_called_by_the_user(dtype):
    X, y = draw_data(ragged=False)
    model = RNNRegressor(5, dropout=0.5, max_epochs=2, random_state=0)
    model.fit(X.round(), y)

    with torch.no_grad():
        outputs = model.module_(torch.tensor(X.round(), dtype=dtype))

    assert outputs.shape == (10, 1)
    found = y.mean() + y.std() * outputs[:, 0].numpy()
    np.testing.assert_allclose(found, model.predict(X.round()), rtol=1e-12)
