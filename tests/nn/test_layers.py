import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from messages import raises
from textbook import CELLS, run_cell
from torch import nn

from skrnn._kernels import availability
from skrnn._nn.layers import (
    N_GATES,
    aligned_linear,
    last_valid,
    reverse_valid,
)
from skrnn._nn.layers import recurrence as run_recurrence

N, L, F, H = 5, 7, 3, 4
LONG_SHAPES = [(1, L, F), (N, 1, F), (N, L, 1)]
CPU = torch.device("cpu")
LENGTHS = torch.tensor([3, 7, 1, 5, 7])
MODULES = {"rnn": nn.RNN, "gru": nn.GRU, "lstm": nn.LSTM}

# Inputs and directions of a layer, `(reverse, lengths)`. Where a test does not need all
# of them for each cell, the rest of the grid is marked slow.
RUNS = {
    "forward-dense": (False, None),
    "backward-ragged": (True, LENGTHS),
    "backward-dense": (True, None),
    "forward-ragged": (False, LENGTHS),
}
CELL_OF_NAME = dict(zip(["tanh", "relu", "gru", "lstm"], CELLS, strict=True))


def over_cells_and_runs(is_fast):
    return pytest.mark.parametrize(
        ("cell_type", "nonlinearity", "reverse", "lengths"),
        [
            pytest.param(
                *cell,
                *run,
                id=f"{name}-{run_name}",
                marks=[] if is_fast(i, j) else pytest.mark.slow,
            )
            for i, (name, cell) in enumerate(CELL_OF_NAME.items())
            for j, (run_name, run) in enumerate(RUNS.items())
        ],
    )


cells = pytest.mark.parametrize(
    ("cell_type", "nonlinearity"), CELLS, ids=list(CELL_OF_NAME)
)
cells_and_directions = pytest.mark.parametrize(
    ("cell_type", "nonlinearity", "reverse"),
    [
        pytest.param(
            *cell,
            reverse,
            id=f"{name}-{'backward' if reverse else 'forward'}",
            marks=[] if i % 2 == reverse else pytest.mark.slow,
        )
        for i, (name, cell) in enumerate(CELL_OF_NAME.items())
        for reverse in (False, True)
    ],
)
two_runs_each = over_cells_and_runs(lambda cell, run: run < 2)
one_run_each = over_cells_and_runs(lambda cell, run: cell == run)
engines = pytest.mark.usefixtures("engine")


COMPILED = pytest.param("compiled", marks=pytest.mark.numba)


@pytest.fixture(params=[COMPILED, "torch"])
def engine(request, monkeypatch):
    """Run a test with the compiled layers, and with torch's own."""
    monkeypatch.setattr(availability, "ENABLED", request.param == "compiled")
    return request.param


def recurrence(*args, **options):
    """Return the outputs and h_n alone."""
    output, (h_n, *_) = run_recurrence(*args, **options)
    return output, h_n


def draw(*shape, seed=0, dtype=torch.float64):
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(shape, generator=generator, dtype=dtype) * 2 - 1


def draw_weights(cell_type, n_inputs=F, n_hidden=H, dtype=torch.float64):
    rows = N_GATES[cell_type] * n_hidden
    shapes = [(rows, n_inputs), (rows, n_hidden), (rows,), (rows,)]
    return [draw(*shape, seed=i, dtype=dtype) for i, shape in enumerate(shapes, 1)]


def valid_steps(lengths):
    lengths = torch.full((N,), L) if lengths is None else lengths
    return torch.arange(L) < lengths[:, None]


def textbook_rows(cell_type, nonlinearity, x, weights, lengths, reverse):
    """Return the textbook's states of the valid steps of each row."""
    rows = []
    for i in range(len(x)):
        row = x[i].numpy() if lengths is None else x[i, : lengths[i]].numpy()
        if reverse:
            rows.append(run_cell(cell_type, nonlinearity, row[::-1], weights)[::-1])
        else:
            rows.append(run_cell(cell_type, nonlinearity, row, weights))
    return rows


def run_torch_module(cell_type, nonlinearity, x, weights, lengths, reverse):
    """Run torch's own module, packed where rows differ in length.

    A backward run is the second direction of a bidirectional module whose first
    direction has weights of zero.
    """
    options = {"nonlinearity": nonlinearity} if cell_type == "rnn" else {}
    module = MODULES[cell_type](
        x.shape[2],
        H,
        batch_first=True,
        bidirectional=reverse,
        device="meta",
        dtype=x.dtype,
        **options,
    )
    names = [f"{kind}_l0" for kind in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")]
    state = dict(zip(names, weights, strict=True))
    if reverse:
        state |= {f"{name}_reverse": value for name, value in state.items()}
        state |= {name: torch.zeros_like(state[name]) for name in names}
    inputs = x
    if lengths is not None:
        inputs = nn.utils.rnn.pack_padded_sequence(
            x, lengths, batch_first=True, enforce_sorted=False
        )
    output, h_n = torch.func.functional_call(module, state, (inputs,))
    if lengths is not None:
        output, _ = nn.utils.rnn.pad_packed_sequence(output, batch_first=True)
    h_n = h_n[0] if isinstance(h_n, tuple) else h_n
    return output[:, :, -H:], h_n[-1]


@pytest.mark.parametrize(
    ("dtype", "tolerance", "aligned"),
    [
        (torch.float64, 1e-13, False),
        (torch.float32, 1e-6, True),
        pytest.param(torch.float64, 1e-13, True, marks=pytest.mark.slow),
        pytest.param(torch.float32, 1e-6, False, marks=pytest.mark.slow),
    ],
)
@one_run_each
@engines
def test_states_are_those_of_the_textbook(
    cell_type, nonlinearity, reverse, lengths, aligned, dtype, tolerance
):
    x, weights = draw(N, L, F, dtype=dtype), draw_weights(cell_type, dtype=dtype)

    output, h_n = recurrence(
        cell_type, nonlinearity, x, weights, lengths, reverse, aligned
    )

    expected = textbook_rows(cell_type, nonlinearity, x, weights, lengths, reverse)
    assert output.shape == (N, L, H)
    assert output.dtype == h_n.dtype == dtype
    for i, states in enumerate(expected):
        np.testing.assert_allclose(output[i, : len(states)], states, atol=tolerance)
        np.testing.assert_allclose(h_n[i], states[0 if reverse else -1], atol=tolerance)


@pytest.mark.parametrize(
    "use", ["both", *(pytest.param(u, marks=pytest.mark.slow) for u in ("out", "h_n"))]
)
@one_run_each
@engines
def test_states_and_gradients_are_those_of_torchs_own_module(
    cell_type, nonlinearity, reverse, lengths, use
):
    x, weights = draw(N, L, F), draw_weights(cell_type)
    for tensor in (x, *weights):
        tensor.requires_grad_()
    valid = valid_steps(lengths)

    def states_and_gradients(output, h_n):
        loss = 0.0
        if use != "h_n":
            loss = loss + (output * draw(N, L, H, seed=8))[valid].sum()
        if use != "out":
            loss = loss + (h_n * draw(N, H, seed=9)).sum()
        return output[valid], h_n, *torch.autograd.grad(loss, [x, *weights])

    arguments = (cell_type, nonlinearity, x, weights, lengths, reverse)
    found = states_and_gradients(*recurrence(*arguments))
    expected = states_and_gradients(*run_torch_module(*arguments))
    torch.testing.assert_close(found[:2], expected[:2], atol=1e-13, rtol=0)
    torch.testing.assert_close(found[2:], expected[2:], atol=1e-12, rtol=1e-10)


@pytest.mark.slow
@two_runs_each
@engines
def test_gradients_are_those_of_finite_differences(
    cell_type, nonlinearity, reverse, lengths
):
    x, weights = draw(N, L, F), draw_weights(cell_type)
    tensors = [tensor.requires_grad_() for tensor in (x, *weights)]
    valid = valid_steps(lengths)

    def states(x, *weights):
        output, h_n = recurrence(cell_type, nonlinearity, x, weights, lengths, reverse)
        return output[valid], h_n

    assert torch.autograd.gradcheck(states, tensors, fast_mode=True)


@cells_and_directions
@engines
def test_frozen_weights_have_no_gradient(cell_type, nonlinearity, reverse):
    tensors = [draw(N, L, F), *draw_weights(cell_type)]
    gradients = []
    for trained in (tensors, tensors[1:2]):  # everything, the input weights alone
        leaves = [tensor.clone() for tensor in tensors]
        for leaf, tensor in zip(leaves, tensors, strict=True):
            leaf.requires_grad_(any(tensor is other for other in trained))
        x, *weights = leaves
        _, h_n = recurrence(cell_type, nonlinearity, x, weights, None, reverse)
        h_n.sum().backward()
        gradients.append([leaf.grad for leaf in leaves])

    everything, alone = gradients
    torch.testing.assert_close(alone[1], everything[1])
    assert [gradient is None for gradient in alone] == [True, False, True, True, True]


@cells_and_directions
@engines
def test_padding_affects_neither_states_nor_gradients(cell_type, nonlinearity, reverse):
    weights = [w.requires_grad_() for w in draw_weights(cell_type)]
    valid = valid_steps(LENGTHS)
    results = []
    for padding in (0.0, 1e3, -1e3):
        x = torch.where(valid[:, :, None], draw(N, L, F), padding).requires_grad_()
        output, h_n = recurrence(cell_type, nonlinearity, x, weights, LENGTHS, reverse)
        loss = (output * draw(N, L, H, seed=8))[valid].sum() + h_n.sum()
        gradients = torch.autograd.grad(loss, [x, *weights])
        results.append([output[valid], h_n, *gradients])

    for found in results[1:]:
        torch.testing.assert_close(found, results[0], atol=1e-14, rtol=1e-14)
    assert (results[0][2][~valid] == 0).all()


@cells_and_directions
@engines
def test_a_state_does_not_depend_on_later_steps(cell_type, nonlinearity, reverse):
    x, weights = draw(N, L, F).requires_grad_(), draw_weights(cell_type)
    step = 3

    output, _ = recurrence(cell_type, nonlinearity, x, weights, None, reverse)
    (gradient,) = torch.autograd.grad(output[:, step].sum(), [x])

    later = gradient[:, :step] if reverse else gradient[:, step + 1 :]
    assert (later == 0).all()


@one_run_each
@engines
def test_the_last_state_depends_on_the_first_step(
    cell_type, nonlinearity, reverse, lengths
):
    x = draw(N, L, F).abs().requires_grad_()
    weights = [w.abs() for w in draw_weights(cell_type)]  # so that no 'relu' is 0

    _, h_n = recurrence(cell_type, nonlinearity, x, weights, lengths, reverse)
    (gradient,) = torch.autograd.grad(h_n.sum(), [x])

    ends = torch.full((N,), L) if lengths is None else lengths
    first = gradient[torch.arange(N), ends - 1] if reverse else gradient[:, 0]
    assert (first != 0).any(dim=1).all()


@one_run_each
@engines
def test_states_are_the_same_without_gradients(
    cell_type, nonlinearity, reverse, lengths
):
    x, weights = draw(N, L, F), draw_weights(cell_type)
    valid = valid_steps(lengths)
    trained = recurrence(
        cell_type,
        nonlinearity,
        x,
        [w.clone().requires_grad_() for w in weights],
        lengths,
        reverse,
    )

    with torch.inference_mode():
        output, h_n = recurrence(cell_type, nonlinearity, x, weights, lengths, reverse)

    torch.testing.assert_close(output[valid], trained[0][valid], atol=1e-15, rtol=0)
    torch.testing.assert_close(h_n, trained[1], atol=1e-15, rtol=0)


@cells_and_directions
@engines
def test_memory_layout_does_not_matter(cell_type, nonlinearity, reverse):
    x, weights = draw(N, L, F), draw_weights(cell_type)
    strided = [w.repeat_interleave(2, dim=0)[::2] for w in weights]
    x_strided = x.transpose(0, 1).contiguous().transpose(0, 1)

    found = recurrence(cell_type, nonlinearity, x_strided, strided, LENGTHS, reverse)

    expected = recurrence(cell_type, nonlinearity, x, weights, LENGTHS, reverse)
    assert not x_strided.is_contiguous()
    assert not strided[0].is_contiguous()
    torch.testing.assert_close(found, expected, atol=1e-14, rtol=0)


@pytest.mark.parametrize(
    "shape",
    [(1, 1, 1), *(pytest.param(s, marks=pytest.mark.slow) for s in LONG_SHAPES)],
    ids=str,
)
@cells_and_directions
@engines
def test_smallest_shapes_work(cell_type, nonlinearity, reverse, shape):
    x, weights = draw(*shape), draw_weights(cell_type, n_inputs=shape[2])

    output, h_n = recurrence(cell_type, nonlinearity, x, weights, None, reverse)

    expected = textbook_rows(cell_type, nonlinearity, x, weights, None, reverse)
    np.testing.assert_allclose(output, np.stack(expected), atol=1e-13)
    assert h_n.shape == (shape[0], H)


@cells
def test_arguments_are_not_changed(cell_type, nonlinearity):
    x, weights = draw(N, L, F).requires_grad_(), draw_weights(cell_type)
    before = [tensor.detach().clone() for tensor in (x, *weights, LENGTHS)]

    recurrence(cell_type, nonlinearity, x, weights, LENGTHS, True)[1].sum().backward()

    after = [tensor.detach() for tensor in (x, *weights, LENGTHS)]
    assert all(map(torch.equal, after, before))


@settings(max_examples=25)
@given(
    cell=st.sampled_from(CELLS),
    n_hidden=st.sampled_from([1, 5, 7, 16, 33]),
    n_inputs=st.sampled_from([1, 2, 5]),
    reverse=st.booleans(),
    dtype=st.sampled_from([torch.float32, torch.float64]),
)
@pytest.mark.parametrize(
    "compiled",
    [pytest.param(True, marks=pytest.mark.numba), False],
    ids=["compiled", "torch"],
)
def test_states_do_not_depend_on_the_place_in_the_batch(
    cell, n_hidden, n_inputs, reverse, dtype, compiled
):
    # Weights whose absolute values sum to at most 1/4 for a gate, biases included.
    n_terms = n_inputs + n_hidden + 2
    weights = draw_weights(cell[0], n_inputs, n_hidden, dtype)
    weights = [w / (4 * n_terms) for w in weights]
    x = draw(1, L, n_inputs, dtype=dtype).repeat(48, 1, 1)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(availability, "ENABLED", compiled)
        states = [
            recurrence(*cell, rows, weights, None, reverse, aligned=True)
            for rows in (x, x[:16], x[:1])
        ]

    # The compiled layers add in the same order for each row. torch may choose another
    # order: each of n_terms additions, and a few operations after them, then rounds a
    # gate by eps / 2 at most. Let e = (n_terms + 4) eps be the difference of two gates.
    # As |gate| <= 1/4 before its activation, sigmoids are below 0.57, c and h below
    # 0.4, and a difference d of states becomes at most 0.8 d + e, of which the sum over
    # all steps is 5 e.
    tolerance = 0 if compiled else 5 * (n_terms + 4) * torch.finfo(dtype).eps
    for output, h_n in states:
        for found, expected in zip((output, h_n), states[0], strict=True):
            expected = expected[:1].expand_as(found)
            torch.testing.assert_close(found, expected, atol=tolerance, rtol=0)


@settings(max_examples=32)
@given(
    n_inputs=st.sampled_from([1, 7, 16, 33]),
    n_outputs=st.sampled_from([1, 3, 16, 21]),
    dtype=st.sampled_from([torch.float32, torch.float64]),
)
def test_aligned_outputs_do_not_depend_on_the_place_in_the_batch(
    n_inputs, n_outputs, dtype
):
    weight, bias = draw(n_outputs, n_inputs, dtype=dtype), draw(n_outputs, dtype=dtype)
    x = draw(1, n_inputs, seed=1, dtype=dtype).repeat(48, 1)

    outputs = [aligned_linear(rows, weight, bias) for rows in (x, x[:16])]

    expected = weight.double().numpy() @ x[0].double().numpy() + bias.double().numpy()
    # Each of the n_inputs products and sums, all below n_inputs + 1, rounds by eps / 2.
    tolerance = (n_inputs + 1) ** 2 * torch.finfo(dtype).eps
    np.testing.assert_allclose(outputs[0][0], expected, atol=tolerance)
    for output in outputs:
        first = outputs[0][:1].expand_as(output)
        torch.testing.assert_close(output, first, rtol=0, atol=tolerance)


@cells
def test_threads_do_not_disturb_each_other(cell_type, nonlinearity):
    weights = [w.requires_grad_() for w in draw_weights(cell_type)]

    def gradients(seed):
        x = draw(N, L, F, seed=seed)
        h_n = recurrence(cell_type, nonlinearity, x, weights, LENGTHS)[1]
        return torch.autograd.grad(h_n.sum(), weights)

    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(gradients, range(12)))

    for seed, of_thread in enumerate(found):
        torch.testing.assert_close(of_thread, gradients(seed), rtol=0, atol=1e-13)


def test_reversing_keeps_padding_behind_the_row():
    x = torch.tensor([[[1.0], [2.0], [3.0], [0.0]], [[4.0], [0.0], [0.0], [0.0]]])

    reversed_ = reverse_valid(x, torch.tensor([3, 1]))

    assert reversed_[:, :, 0].tolist() == [[3.0, 2.0, 1.0, 0.0], [4.0, 0.0, 0.0, 0.0]]


@pytest.mark.parametrize("lengths", [None, LENGTHS], ids=["dense", "ragged"])
def test_reversing_twice_changes_nothing(lengths):
    x = draw(N, L, F)

    assert torch.equal(reverse_valid(reverse_valid(x, lengths), lengths), x)


def test_last_valid_step_is_taken_from_each_row():
    x = draw(N, L, H)

    last = last_valid(x, LENGTHS)

    assert torch.equal(last, torch.stack([x[0, 2], x[1, 6], x[2, 0], x[3, 4], x[4, 6]]))
    assert torch.equal(last_valid(x), x[:, 6])


# -- where the compiled kernels are not used


@pytest.fixture
def unloaded():
    """Import the kernels again in a test, and after it."""
    availability._import_kernels.cache_clear()
    yield
    availability._import_kernels.cache_clear()


def test_without_numba_torchs_layers_run_and_the_log_says_so(
    unloaded, monkeypatch, caplog
):
    monkeypatch.setitem(sys.modules, "numba", None)  # its import fails
    with caplog.at_level("INFO", logger="skrnn"):
        assert availability.compiled_kernels(CPU, torch.float64) is None
        assert availability.compiled_kernels(CPU, torch.float64) is None
    (record,) = caplog.records
    assert record.levelname == "INFO"
    assert record.message.startswith(
        "torch's layers run, since numba cannot be imported: "
    )


def test_with_jit_disabled_torchs_layers_run(unloaded, monkeypatch, caplog):
    config = pytest.importorskip("numba").config
    monkeypatch.setattr(config, "DISABLE_JIT", 1)
    with caplog.at_level("INFO", logger="skrnn"):
        assert availability.compiled_kernels(CPU, torch.float64) is None
    assert caplog.messages == ["torch's layers run, since NUMBA_DISABLE_JIT is set."]


@pytest.mark.slow  # it compiles all that it calls
@pytest.mark.numba
def test_without_a_folder_for_its_cache_numba_compiles_in_each_process():
    code = """
import logging
import numba.core.caching
numba.core.caching.CacheImpl._locator_classes = []  # no folder can be written
import numpy as np
from skrnn import RNNRegressor
logging.basicConfig(level=logging.INFO)
X = np.random.default_rng(0).normal(size=(20, 5))
print(RNNRegressor(max_epochs=2).fit(X, X[:, 0]).engine_)
"""
    run = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert run.stdout == "compiled\n"
    assert run.stderr.count("found no folder for its cache. Set NUMBA_CACHE_DIR") == 1


def test_other_dtypes_use_torchs_layers(engine):
    assert availability.compiled_kernels(CPU, torch.float16) is None
    for dtype in (torch.float32, torch.float64):
        found = availability.compiled_kernels(CPU, dtype)
        assert (found is not None) == (engine == "compiled")


def test_accelerators_use_torchs_layers():
    assert availability.compiled_kernels(torch.device("cuda"), torch.float32) is None


@pytest.mark.numba
@settings(max_examples=40)
@given(
    shape=st.tuples(*(st.integers(1, top) for top in (9, 9, 5, 9))),
    cell=st.sampled_from(CELLS),
    ragged=st.booleans(),
    reverse=st.booleans(),
    given_state=st.booleans(),
    dtype=st.sampled_from([torch.float32, torch.float64]),
    size=st.sampled_from([0.1, 1.0, 10.0]),
)
def test_compiled_layers_are_torchs_layers(
    shape, cell, ragged, reverse, given_state, dtype, size
):
    n_rows, n_steps, n_inputs, n_hidden = shape
    cell_type, nonlinearity = cell
    x = size * draw(n_rows, n_steps, n_inputs, dtype=dtype)
    weights = draw_weights(cell_type, n_inputs, n_hidden, dtype)
    state = None
    if given_state:
        n_states = 2 if cell_type == "lstm" else 1
        state = tuple(
            draw(n_rows, n_hidden, seed=i, dtype=dtype) for i in range(n_states)
        )
    lengths = torch.arange(n_rows) % n_steps + 1 if ragged else None
    valid = torch.ones(n_rows, n_steps, dtype=torch.bool)
    if ragged:
        valid = torch.arange(n_steps) < lengths[:, None]

    def run(compiled):
        inputs = [t.clone().requires_grad_() for t in (x, *weights, *(state or ()))]
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(availability, "ENABLED", compiled)
            output, final = run_recurrence(
                cell_type,
                nonlinearity,
                inputs[0],
                inputs[1:5],
                lengths,
                reverse,
                state=tuple(inputs[5:]) or None,
                with_cell=True,
            )
        output = output[valid]
        loss = (output * draw(*output.shape, seed=3, dtype=dtype)).sum()
        for i, part in enumerate(final):
            loss = loss + (part * draw(*part.shape, seed=4 + i, dtype=dtype)).sum()
        return [output, *final, *torch.autograd.grad(loss, inputs)]

    tolerance = 1e-10 if dtype == torch.float64 else 1e-5
    for found, expected in zip(run(True), run(False), strict=True):
        scale = expected.abs().max().clamp(min=1.0)
        torch.testing.assert_close(
            found / scale, expected / scale, rtol=0, atol=tolerance
        )


@cells
def test_compiled_layers_have_no_second_derivative(cell_type, nonlinearity, engine):
    x = draw(N, L, F).requires_grad_()
    weights = [w.requires_grad_() for w in draw_weights(cell_type)]
    output, _ = recurrence(cell_type, nonlinearity, x, weights)
    if engine == "torch":
        (gradient,) = torch.autograd.grad(output.sum(), [x], create_graph=True)
        gradient.square().sum().backward()
        return
    message = (
        "The compiled recurrence has no second derivative. Uninstall numba to train "
        "through torch's own layers, which have one."
    )
    with raises(RuntimeError, message):
        torch.autograd.grad(output.sum(), [x], create_graph=True)


@cells
def test_weights_changed_between_the_passes_raise(cell_type, nonlinearity):
    x, weights = draw(N, L, F), [w.requires_grad_() for w in draw_weights(cell_type)]
    output, _ = recurrence(cell_type, nonlinearity, x, weights)
    with torch.no_grad():
        weights[1].mul_(2)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        output.sum().backward()


@pytest.mark.numba
@pytest.mark.parametrize("which", [0, 1], ids=["outputs", "cells"])
def test_outputs_changed_between_the_passes_raise(which):
    weights = [w.requires_grad_() for w in draw_weights("lstm")]
    state = [torch.zeros(N, H, dtype=torch.float64) for _ in range(2)]
    layer = availability._import_kernels().CompiledLayer
    output, _, cells = layer.apply("lstm", False, draw(L, N, F), *weights, *state)
    with torch.no_grad():
        (output, cells)[which].mul_(2)
    with pytest.raises(RuntimeError, match="has been modified inplace"):
        (output.sum() + cells.sum()).backward()
