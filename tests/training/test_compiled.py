import copy
import pickle
import sys
import threading
import time

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from skorch.callbacks import Callback
from torch import nn
from torch.nn.utils import parametrize

from skrnn import BiRNNClassifier, RNNClassifier, RNNRegressor
from skrnn._kernels import availability, calls
from skrnn._nn.compiled import memory_layout
from skrnn._nn.noise import Noise
from skrnn._training import compiled, engine, parallel
from skrnn._training.compiled import AdamState, FlatParameters
from skrnn._training.net import RecurrentNet

pytestmark = pytest.mark.numba

rng = np.random.default_rng(0)
LENGTHS = [5, 9, 1, 7, 3, 9, 2, 6, 4, 8]
RAGGED = [rng.normal(size=(n, 2)) for n in LENGTHS]
DENSE = rng.normal(size=(10, 6, 2))
Y = np.array([x[:, 0].sum() for x in RAGGED])
LABELS = np.array(list("abcabcabca"))
WEIGHTS = rng.uniform(0.5, 2, 10)
TINY = dict(hidden_size=4, max_epochs=3, batch_size=4, random_state=0)


def fit_both(model, X, y, sample_weight=None):
    """Return copies of a model, trained by compiled functions and by torch's layers."""
    models = []
    for enabled in (True, False):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(availability, "ENABLED", enabled)
            models.append(copy.deepcopy(model).fit(X, y, sample_weight))
    return models


def assert_coincide(compiled, in_torch, X, rtol=1e-9):
    assert_allclose(compiled.loss_curve_, in_torch.loss_curve_, rtol=rtol)
    for name, value in in_torch.module_.state_dict().items():
        found = compiled.module_.state_dict()[name]
        assert_allclose(found, value, rtol=0, atol=rtol, err_msg=name)


@settings(max_examples=25)
@given(
    cell=st.sampled_from(
        [("rnn", "tanh"), ("rnn", "relu"), ("gru", "tanh"), ("lstm",)]
    ),
    hidden_size=st.sampled_from([3, (3,), (4, 2), (2, 3, 2)]),
    bidirectional=st.booleans(),
    pooling=st.sampled_from(["last", "mean", "max", "concat", "attention"]),
    patch_size=st.sampled_from([1, 1, 3]),
    initial_state=st.sampled_from(["zeros", "normal", "learned"]),
    loss=st.sampled_from(["squared_error", "absolute_error", "huber", "quantile"]),
    optimizer=st.sampled_from(["adam", "adamw", "sgd", "rmsprop"]),
    ragged=st.booleans(),
    weighted=st.booleans(),
    n_targets=st.integers(1, 2),
    max_grad_norm=st.sampled_from([None, 0.1, 1.0]),
)
def test_losses_and_weights_of_both_engines_coincide(
    cell, hidden_size, ragged, weighted, n_targets, **params
):
    sizes = hidden_size if isinstance(hidden_size, tuple) else (hidden_size,)
    model = RNNRegressor(
        **TINY | params | {"hidden_size": hidden_size, "num_layers": len(sizes)},
        cell_type=cell[0],
        nonlinearity=cell[-1] if cell[0] == "rnn" else "tanh",
    )
    X = RAGGED if ragged else DENSE
    y = np.column_stack([Y, Y[::-1]])[:, :n_targets]

    models = fit_both(model, X, y, WEIGHTS if weighted else None)

    assert_coincide(*models, X)
    is_compiled = params["pooling"] != "attention" and params["optimizer"][:4] == "adam"
    assert models[0].engine_ == ("compiled" if is_compiled else "torch")
    assert models[1].engine_ == "torch"


@pytest.mark.parametrize(
    ("cls", "class_weight", "labels", "X"),
    [
        (RNNClassifier, None, LABELS, DENSE),
        (RNNClassifier, "balanced", LABELS == "a", RAGGED),
        (BiRNNClassifier, None, LABELS == "a", DENSE),
        (BiRNNClassifier, "balanced", LABELS, RAGGED),
    ],
    ids=["three-dense", "two-ragged", "two-dense-bi", "three-ragged-bi"],
)
def test_curves_of_classifiers_coincide(cls, class_weight, labels, X):
    model = cls(**TINY, class_weight=class_weight)
    assert_coincide(*fit_both(model, X, labels), X)


@pytest.mark.parametrize(
    ("X", "ar_order"), [(DENSE, 0), (RAGGED, 2)], ids=["dense", "ragged-ar"]
)
def test_curves_of_outputs_per_step_coincide(X, ar_order):
    y = [np.cumsum(x[:, 0]) for x in X]
    y = np.stack(y) if X is DENSE else y
    options = {"ar_order": ar_order, "target_feature": 0} if ar_order else {}
    model = RNNRegressor(**TINY, return_sequences=True, **options)
    assert_coincide(*fit_both(model, X, y), X)


@pytest.mark.parametrize("bidirectional", [False, True])
def test_curves_with_embedding_coincide(bidirectional):
    ids = np.random.default_rng(1).integers(1, 7, size=(10, 5))
    model = RNNRegressor(**TINY, embedding_dim=3, bidirectional=bidirectional)
    assert_coincide(*fit_both(model, ids, Y), ids)


def test_curves_in_single_precision_coincide():
    X, y = DENSE.astype(np.float32), Y.astype(np.float32)
    for cell_type in ("rnn", "gru", "lstm"):
        model = RNNRegressor(**TINY, cell_type=cell_type)
        assert_coincide(*fit_both(model, X, y), X, rtol=1e-5)


@pytest.mark.parametrize(
    ("X", "per_step", "bidirectional"),
    [
        (DENSE, False, True),
        (DENSE, True, False),
        (RAGGED, False, False),
        (RAGGED, True, True),
    ],
    ids=["dense-bi", "dense-per-step", "ragged", "ragged-per-step-bi"],
)
def test_dropout_falls_on_the_same_values(X, per_step, bidirectional):
    options = TINY | dict(num_layers=2, bidirectional=bidirectional, dropout=0.4)
    model = RNNRegressor(**options, return_sequences=per_step)
    y = [np.cumsum(x[:, 0]) for x in X] if per_step else Y
    assert_coincide(*fit_both(model, X, y), X)


@pytest.mark.parametrize(
    ("y", "dtype"),
    [(LABELS, np.float32), (LABELS == "a", np.float64), (Y, np.float32)],
    ids=["three", "two", "real"],
)
def test_overflow_in_training_raises_no_error_of_numpy(y, dtype):
    cls = RNNRegressor if y is Y else RNNClassifier
    model = cls(
        **TINY | dict(num_layers=2, max_epochs=9, lr=float(np.finfo(dtype).max) ** 0.7),
        cell_type="rnn",
        nonlinearity="relu",
        dropout=0.3,
        optimizer="sgd",
        lr_schedule=None,
        max_grad_norm=None,
    )
    with np.errstate(all="raise"), pytest.raises(ValueError, match="non-finite"):
        model.fit(DENSE.astype(dtype), y)


def test_training_can_continue_with_the_other_engine():
    model = RNNRegressor(**TINY, warm_start=True, lr_schedule=None)
    curves = []
    for order in ((True, False, True), (False, False, False)):
        again = copy.deepcopy(model)
        for enabled in order:
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(availability, "ENABLED", enabled)
                again.fit(DENSE, Y)
        curves.append(again.loss_curve_)
    assert_allclose(*curves, rtol=1e-9)


@pytest.mark.parametrize("class_weight", [None, "balanced"])
def test_curves_of_several_labels_coincide(class_weight):
    labels = np.column_stack([LABELS == "a", LABELS != "b", Y > 0]).astype(int)
    model = RNNClassifier(**TINY, class_weight=class_weight)
    assert_coincide(*fit_both(model, RAGGED, labels, WEIGHTS), RAGGED)


@pytest.mark.parametrize("ragged", [False, True], ids=["dense", "ragged"])
@pytest.mark.parametrize(
    ("window_norm", "per_step"),
    [("last", False), ("standard", False), ("difference", False), ("difference", True)],
    ids=["last", "standard", "difference", "difference-per-step"],
)
def test_curves_of_normalised_windows_coincide(window_norm, ragged, per_step):
    X = [x + 5 for x in RAGGED if len(x) > 1] if ragged else DENSE + 5
    y = [x[:, 1] + 1 for x in X] if per_step else np.array([x[-1, 1] + 1 for x in X])
    model = RNNRegressor(
        **TINY,
        window_norm=window_norm,
        target_feature=1,
        return_sequences=per_step,
        ar_order=2,
    )
    assert_coincide(*fit_both(model, X, y), X)


@pytest.mark.parametrize(
    "view",
    [
        lambda x: x.astype(np.float32)[:, ::-1],
        lambda x: x.astype(int),
        lambda x: np.asfortranarray(x)[::-1],
        lambda x: x.astype(">f8"),
        lambda x: np.lib.stride_tricks.sliding_window_view(x[0], 3, axis=0),
        lambda x: np.frombuffer(b"." + x.tobytes(), "u1")[1:].view("f8").reshape(
            x.shape
        ),
    ],
    ids=["reversed", "int", "fortran", "big-endian", "windows", "unaligned"],
)  # fmt: skip
def test_rows_are_read_where_they_lie(view):
    X = view(3 * DENSE)
    y = Y[: len(X)]
    rtol = 1e-5 if X.dtype == np.float32 else 1e-9
    models = fit_both(RNNRegressor(**TINY), X, y)
    copied = RNNRegressor(**TINY).fit(np.array(X, X.dtype.newbyteorder("=")), y)
    assert models[0].engine_ == "compiled"
    assert_coincide(*models, X, rtol)
    assert_array_equal(models[0].loss_curve_, copied.loss_curve_)


def test_curves_with_early_stopping_coincide():
    model = RNNRegressor(**TINY | {"max_epochs": 20}, early_stopping=True, patience=3)
    models = fit_both(model, RAGGED, Y)
    assert_coincide(*models, RAGGED)
    assert models[0].best_epoch_ == models[1].best_epoch_
    assert_allclose(*(m.validation_loss_curve_ for m in models), rtol=1e-9)


@pytest.mark.parametrize("cell_type", ["rnn", "gru", "lstm"])
def test_random_initial_states_and_dropout_coincide(cell_type):
    model = RNNRegressor(
        **TINY | {"hidden_size": (4, 3), "num_layers": 2},
        cell_type=cell_type,
        bidirectional=True,
        initial_state="normal",
        dropout=0.3,
    )
    assert_coincide(*fit_both(model, RAGGED, Y), RAGGED)


def test_engines_coincide_over_twenty_epochs():
    # In float32 a rounding difference of 1e-7 grows while weights are trained.
    for dtype, rtol in ((np.float64, 1e-8), (np.float32, 1e-3)):
        X, y = DENSE.astype(dtype), Y.astype(dtype)
        model = RNNRegressor(**TINY | {"max_epochs": 20}, cell_type="gru")
        assert_coincide(*fit_both(model, X, y), X, rtol)


# -- one call for many batches


def count_calls(model, X, y):
    """Return how many Python functions a fit calls."""
    calls = 0

    def count(frame, event, argument):
        nonlocal calls
        calls += event == "call"

    sys.setprofile(count)
    try:
        model.fit(X, y)
    finally:
        sys.setprofile(None)
    return calls


def test_no_python_runs_between_batches(monkeypatch):
    # Without a limit of time: how many batches a call gets depends on the machine.
    monkeypatch.setattr(calls, "CALL_SECONDS", 1e9)
    X, y = np.tile(DENSE, (8, 1, 1)), np.tile(Y, 8)
    few, many = (
        RNNRegressor(**TINY | {"batch_size": batch_size}, ar_order=0)
        for batch_size in (20, 4)
    )
    for model in (few, many):
        model.fit(X, y)  # imports and compiles
    n_more = 3 * (20 - 4)  # batches
    # Not quite equal, as the garbage collector and others call functions of their own.
    assert abs(count_calls(few, X, y) - count_calls(many, X, y)) < n_more / 4


def test_calls_are_short(monkeypatch):
    monkeypatch.setattr(calls, "CALL_SECONDS", 0.0)
    from skrnn._kernels.operations import CompiledProgram

    sizes, run = [], CompiledProgram.run

    def recorded(self, rows, *args, **kwargs):
        sizes.append(len(rows))
        return run(self, rows, *args, **kwargs)

    monkeypatch.setattr(CompiledProgram, "run", recorded)
    model = RNNRegressor(**TINY).fit(DENSE, Y)
    assert sizes == [4, 4, 2] * 3
    expected = RNNRegressor(**TINY)
    monkeypatch.undo()
    assert_array_equal(model.loss_curve_, expected.fit(DENSE, Y).loss_curve_)


def test_verbose_announces_what_takes_long(capfd):
    with engine.compilation_announced(verbose=1):
        pass  # loading what is cached takes no longer than that
    assert capfd.readouterr().err == ""


def test_slow_compilation_is_announced(monkeypatch, capfd):
    monkeypatch.setattr(engine, "ANNOUNCE_SECONDS", 0.01)
    for verbose in (1, 0):
        with engine.compilation_announced(verbose):
            time.sleep(0.1)
        assert capfd.readouterr().err == verbose * (engine.ANNOUNCEMENT + "\n")


def test_a_fit_with_verbose_announces_slow_compilation(monkeypatch, capfd):
    monkeypatch.setattr(engine, "ANNOUNCE_SECONDS", 0.0)
    make = compiled.CompiledEngine.__init__

    def slow(self, net):
        time.sleep(0.1)
        make(self, net)

    monkeypatch.setattr(compiled.CompiledEngine, "__init__", slow)
    RNNRegressor(**TINY, verbose=1).fit(DENSE, Y)
    assert capfd.readouterr().err.count(engine.ANNOUNCEMENT) == 1


# -- threads


@pytest.mark.parametrize("per_step", [False, True], ids=["", "per-step"])
@pytest.mark.parametrize("X", [DENSE, RAGGED], ids=["dense", "ragged"])
def test_threads_share_the_rows_of_a_batch(X, per_step, monkeypatch):
    monkeypatch.setattr(parallel, "MIN_WORK", 0)
    y = [np.cumsum(x[:, 0]) for x in X] if per_step else Y
    options = TINY | dict(batch_size=3, return_sequences=per_step)  # the last has 1 row
    for weights in (None, WEIGHTS):
        models = [
            RNNRegressor(**options, n_jobs=n_jobs).fit(X, y, weights)
            for n_jobs in (1, 2)
        ]
        assert_coincide(*models, X, rtol=1e-10)


def test_threads_train_a_batch_only_where_that_pays():
    net = RNNRegressor(64, dropout=0.1).fit(DENSE, Y).net_
    assert parallel.choose_threads(net, 8, 32, 2) == 1
    assert parallel.choose_threads(net, 100, 256, 2) == 1  # dropout draws row by row
    net.module_.dropout = 0.0
    assert parallel.choose_threads(net, 100, 256, 2) == 2
    assert parallel.choose_threads(net, 10**9, 1, 2) == 1


def test_threads_of_training_end_with_it(monkeypatch):
    monkeypatch.setattr(parallel, "MIN_WORK", 0)
    before = threading.active_count()
    model = RNNRegressor(**TINY | {"max_epochs": 2}, n_jobs=2, early_stopping=True)
    model.fit(DENSE, Y)
    assert threading.active_count() == before


# -- Adam


@pytest.mark.parametrize(
    ("cls", "weight_decay", "max_norm", "dtype"),
    [
        (torch.optim.Adam, 0, 0.5, torch.float64),
        (torch.optim.Adam, 0, 100.0, torch.float32),
        (torch.optim.Adam, 0.1, None, torch.float64),
        (torch.optim.AdamW, 0.1, 0.5, torch.float64),
        (torch.optim.AdamW, 0.1, None, torch.float32),
    ],
)
def test_compiled_adam_takes_the_steps_of_torch(cls, weight_decay, max_norm, dtype):
    tolerance = 1e-12 if dtype == torch.float64 else 1e-6
    options = dict(lr=0.1, weight_decay=weight_decay, betas=(0.8, 0.99), fused=True)
    torch.manual_seed(0)
    ours = nn.Linear(3, 2, dtype=dtype)
    theirs = copy.deepcopy(ours)
    optimizers = [cls(m.parameters(), **options) for m in (ours, theirs)]
    gradients = [[torch.randn_like(p) for p in theirs.parameters()] for _ in range(6)]

    def step(module, gradients, take):
        for p, gradient in zip(module.parameters(), gradients, strict=True):
            p.grad = gradient.clone()
        take()

    def torch_step(module, optimizer):
        if max_norm is not None:
            nn.utils.clip_grad_norm_(module.parameters(), max_norm)
        optimizer.step()

    for i in range(2):  # torch takes the first steps of both
        for module, optimizer in zip((ours, theirs), optimizers, strict=True):
            step(module, gradients[i], lambda m=module, o=optimizer: torch_step(m, o))
    flat = FlatParameters(ours)
    adam = AdamState(optimizers[0], flat)
    kernels = availability.compiled_kernels(flat.values.device, dtype)
    program = kernels.Program(flat.array.dtype)
    compiled.add_adam(program, flat, adam, max_norm)
    program = program.compile()
    program.last_step = adam.n_steps
    for gradient in gradients[2:]:
        step(theirs, gradient, lambda: torch_step(theirs, optimizers[1]))
        flat.gradient.copy_(torch.cat([part.reshape(-1) for part in gradient]))
        none = np.zeros(1, np.int64)
        program.run(none, np.arange(2), np.array([0.1]))
    adam.n_steps = program.last_step
    adam.sync()

    for mine, other in zip(ours.parameters(), theirs.parameters(), strict=True):
        assert_allclose(mine.detach(), other.detach(), rtol=tolerance, atol=tolerance)
        states = [o.state[p] for o, p in zip(optimizers, (mine, other), strict=True)]
        assert states[0].keys() == states[1].keys()
        for name, value in states[1].items():
            assert_allclose(states[0][name], value, rtol=tolerance, atol=tolerance)
    assert adam.is_attached(optimizers[0])


class Schedule(Callback):
    """Attaches a scheduler of torch to the optimiser."""

    def on_train_begin(self, net, **kwargs):
        torch.optim.lr_scheduler.StepLR(net.optimizer_, 1)


class StepHook(Callback):
    """Registers a hook with the optimiser."""

    def on_train_begin(self, net, **kwargs):
        net.optimizer_.register_step_post_hook(lambda *args: None)


@pytest.mark.parametrize(
    "options",
    [
        dict(optimizer="sgd"),
        dict(optimizer_params={"fused": False}),
        dict(optimizer_params={"amsgrad": True}),
        dict(optimizer_params={"maximize": True}),
        dict(callbacks=[Schedule()]),
        dict(callbacks=[StepHook()]),
        dict(pooling="attention"),
        dict(initial_state="carry"),
        dict(tbptt_steps=2),
    ],
    ids=lambda options: "-".join(f"{k}-{v}"[:40] for k, v in options.items()),
)
def test_what_is_not_compiled_is_trained_by_torch(options):
    assert RNNRegressor(**TINY, **options).fit(DENSE, Y).engine_ == "torch"


@pytest.mark.filterwarnings("ignore:Full backward hook is firing")
@pytest.mark.parametrize(
    "name",
    [
        "forward_hook",
        "forward_pre_hook",
        "full_backward_hook",
        "full_backward_pre_hook",
    ],
)
def test_global_hooks_of_torch_are_called(name):
    before = RNNRegressor(**TINY).fit(DENSE, Y)
    expected, called = before.predict(DENSE), []
    register = getattr(nn.modules.module, f"register_module_{name}")
    handle = register(lambda *args: called.append(1))
    try:
        model = RNNRegressor(**TINY).fit(DENSE, Y)
        assert model.engine_ == "torch"
        assert called
        if name.startswith("forward"):
            called.clear()
            np.testing.assert_allclose(before.predict(DENSE), expected, rtol=1e-12)
            assert called
    finally:
        handle.remove()
    assert RNNRegressor(**TINY).fit(DENSE, Y).engine_ == "compiled"


# -- what callbacks do


class HookCounter(Callback):
    """Registers a hook with a part of the module, and counts its calls."""

    def __init__(self, register):
        self.register = register

    def on_train_begin(self, net, **kwargs):
        self.calls = []
        self.register(net.module_, lambda *args: self.calls.append(1))


@pytest.mark.parametrize(
    "register",
    [
        lambda module, hook: module.layers[0].weight_hh_l0.register_hook(hook),
        lambda module, hook: module.register_forward_hook(hook),
        lambda module, hook: module.head.register_full_backward_hook(hook),
    ],
    ids=["parameter", "module", "head"],
)
def test_hooks_are_called(register):
    callback = HookCounter(register)
    model = RNNRegressor(**TINY, callbacks=[callback]).fit(DENSE, Y)
    (callback,) = (cb for _, cb in model.net_.callbacks_)
    assert len(callback.calls) == 9  # three epochs of three batches
    expected = RNNRegressor(**TINY).fit(DENSE, Y).loss_curve_
    assert_allclose(model.loss_curve_, expected, rtol=1e-12)


class Freeze(Callback):
    def on_train_begin(self, net, **kwargs):
        net.module_.layers[0].weight_hh_l0.requires_grad_(False)


def test_frozen_parameters_do_not_change():
    start = RNNRegressor(**TINY | {"max_epochs": 1, "lr": 1e-30}).fit(DENSE, Y)
    model = RNNRegressor(**TINY, callbacks=[Freeze()]).fit(DENSE, Y)
    weights = [m.module_.layers[0].weight_hh_l0.detach() for m in (start, model)]
    assert_array_equal(*weights)
    others = [m.module_.head.weight.detach() for m in (start, model)]
    assert (others[0] != others[1]).any()


class ReplaceGradients(Callback):
    """Replaces the gradients."""

    def on_grad_computed(self, net, named_parameters, **kwargs):
        for _, parameter in named_parameters:
            parameter.grad = parameter.grad + 0.1


class HalveParameters(Callback):
    """Replaces the parameters by half their values."""

    def on_batch_end(self, net, training, **kwargs):
        if training:
            for parameter in net.module_.parameters():
                parameter.data = parameter.data / 2


class RemoveGradient(Callback):
    """Removes a gradient."""

    def on_grad_computed(self, net, **kwargs):
        net.module_.head.bias.grad = None


@pytest.mark.parametrize(
    "callback", [ReplaceGradients(), HalveParameters(), RemoveGradient()]
)
def test_callbacks_may_change_what_is_trained(callback):
    plain = RNNRegressor(**TINY, optimizer="adam").fit(DENSE, Y)
    model = RNNRegressor(**TINY, optimizer="adam", callbacks=[callback])
    models = fit_both(model, DENSE, Y)
    assert_coincide(*models, DENSE)
    assert not np.allclose(models[0].loss_curve_, plain.loss_curve_, rtol=1e-6)


def load_slower(optimizer):
    state = optimizer.state_dict()
    state["param_groups"][0]["lr"] /= 2
    optimizer.load_state_dict(state)


def set_steps(optimizer):
    for state in optimizer.state.values():
        state["step"].fill_(100)


def put_squares(optimizer):
    for state in optimizer.state.values():
        state["exp_avg_sq"] = torch.ones_like(state["exp_avg_sq"])


def clear_state(optimizer):
    optimizer.state.clear()


HOOKS = ["on_epoch_begin", "on_batch_begin", "on_grad_computed", "on_batch_end"]
CHANGES = [load_slower, set_steps, put_squares, clear_state]


@pytest.mark.parametrize(
    ("hook", "act"),
    [
        pytest.param(
            hook,
            act,
            id=f"{hook}-{act.__name__}",
            marks=[] if i == j else pytest.mark.slow,
        )
        for i, hook in enumerate(HOOKS)
        for j, act in enumerate(CHANGES)
    ],
)
def test_callbacks_may_change_the_optimiser(hook, act):
    plain = RNNRegressor(**TINY, lr_schedule=None).fit(DENSE, Y)
    changing = type(
        "Changing", (Callback,), {hook: lambda self, net, **kw: act(net.optimizer_)}
    )
    model = RNNRegressor(**TINY, lr_schedule=None, callbacks=[changing()])
    models = fit_both(model, DENSE, Y)
    assert_coincide(*models, DENSE)
    assert not np.allclose(models[0].loss_curve_, plain.loss_curve_, rtol=1e-6)


class Collector(Callback):
    """Keeps gradients, and adds those of the batch before."""

    def on_train_begin(self, net, **kwargs):
        self.kept = []

    def on_grad_computed(self, net, **kwargs):
        gradients = [p.grad for p in net.module_.parameters()]
        if self.kept:
            for p, before in zip(net.module_.parameters(), self.kept[-1], strict=True):
                p.grad = p.grad + before
        self.kept.append(gradients)

    def on_train_end(self, net, **kwargs):
        self.kept = [[g.numpy().copy() for g in gradients] for gradients in self.kept]


@pytest.mark.parametrize("optimizer", ["adam", "sgd", "lbfgs"])
def test_gradients_may_be_kept(optimizer):
    callback = Collector()
    options = dict(optimizer=optimizer, max_epochs=2, batch_size=10)
    model = RNNRegressor(**TINY | options, callbacks=[callback])
    models = fit_both(model, DENSE, Y)
    assert_coincide(*models, DENSE)
    kept = [cb.kept for m in models for _, cb in m.net_.callbacks_]
    assert_allclose(kept[0][0][0], kept[1][0][0], rtol=1e-9)
    assert (kept[0][0][0] != kept[0][1][0]).any()


class KeepsGradients(torch.optim.SGD):
    """Steps along the gradient of the batch before."""

    def step(self, closure=None):
        before = getattr(self, "kept", None)
        self.kept = [p.grad for p in self.param_groups[0]["params"]]
        with torch.no_grad():
            for p, gradient in zip(
                self.param_groups[0]["params"], before or self.kept, strict=True
            ):
                p.sub_(0.1 * gradient)


def test_optimisers_may_keep_gradients():
    model = RNNRegressor(**TINY, optimizer=KeepsGradients)
    assert_coincide(*fit_both(model, DENSE, Y), DENSE)


class CopyingNet(Callback):
    """Copies and pickles the net, at the end of a batch and of an epoch."""

    def on_batch_end(self, net, **kwargs):
        self.on_epoch_end(net)

    def on_epoch_end(self, net, **kwargs):
        copies = copy.deepcopy(net), pickle.loads(pickle.dumps(net))
        for other in copies:
            other.callbacks_, other.has_batch_callbacks_ = [], False
            other.run_single_epoch(
                other.get_iterator(other.training_, training=True),
                training=True,
                prefix="train",
                step_fn=other.train_step,
            )


def test_nets_may_be_copied_while_they_train():
    expected = RNNRegressor(**TINY, lr_schedule=None).fit(DENSE, Y).loss_curve_
    model = RNNRegressor(**TINY, lr_schedule=None, callbacks=[CopyingNet()])
    assert_allclose(model.fit(DENSE, Y).loss_curve_, expected, rtol=1e-12)


class Parametrized(Callback):
    """Makes a weight the tanh of a parameter."""

    def __init__(self, part, name):
        self.part, self.name = part, name

    def on_train_begin(self, net, **kwargs):
        part = net.module_.get_submodule(self.part)
        parametrize.register_parametrization(part, self.name, nn.Tanh())


@pytest.mark.parametrize(
    "place", [("head", "weight"), ("layers.0", "weight_hh_l0")], ids=["head", "layer"]
)
def test_weights_may_be_parametrized(place):
    models = fit_both(RNNRegressor(**TINY, callbacks=[Parametrized(*place)]), DENSE, Y)
    assert_coincide(*models, DENSE)


class Predicting(Callback):
    """Predicts with the net at the end of each batch."""

    def on_batch_end(self, net, **kwargs):
        net.predict(net.training_)


def test_dropout_continues_after_a_callback_predicted():
    options = TINY | dict(dropout=0.5, num_layers=2)
    expected = RNNRegressor(**options).fit(DENSE, Y).loss_curve_
    model = RNNRegressor(**options, callbacks=[Predicting()])
    for fitted in fit_both(model, DENSE, Y):
        assert_allclose(fitted.loss_curve_, expected, rtol=1e-9)


class KeepLastGradients(Callback):
    """Keeps the gradient of the last batch of each epoch."""

    def on_train_begin(self, net, **kwargs):
        self.kept = []

    def on_epoch_end(self, net, **kwargs):
        self.kept.append(net.module_.head.weight.grad)

    def on_train_end(self, net, **kwargs):
        self.kept = np.array([gradient.numpy() for gradient in self.kept])


def test_gradients_may_be_kept_over_epochs():
    model = RNNRegressor(**TINY, max_grad_norm=0.1, callbacks=[KeepLastGradients()])
    models = fit_both(model, DENSE, Y)
    kept = [cb.kept for m in models for _, cb in m.net_.callbacks_]
    assert_allclose(*kept, rtol=1e-9)


# -- flat parameters


def test_flat_parameters_are_those_of_the_module():
    module = nn.Linear(3, 2)
    before = [p.detach().clone() for p in module.parameters()]

    flat = FlatParameters(module)

    for p, value in zip(module.parameters(), before, strict=True):
        assert torch.equal(p, value)
    flat.values.zero_()
    assert all((p == 0).all() for p in module.parameters())


def test_the_layout_in_memory_tells_whether_a_parameter_was_replaced():
    module = RNNRegressor(**TINY).fit(DENSE, Y).module_
    layout = memory_layout(module)
    with torch.no_grad():
        module.head.bias.zero_()
    assert memory_layout(module) == layout
    module.head.bias.data = torch.ones(1, dtype=torch.float64)
    assert memory_layout(module) != layout


class ReplacesParameters(Callback):
    """Replaces the parameters by copies, at the end of each epoch."""

    def on_epoch_end(self, net, **kwargs):
        for parameter in net.module_.parameters():
            parameter.data = parameter.data.clone()


def test_parameters_may_be_replaced_between_epochs():
    expected = RNNRegressor(**TINY).fit(DENSE, Y).loss_curve_
    model = RNNRegressor(**TINY, callbacks=[ReplacesParameters()]).fit(DENSE, Y)
    assert model.engine_ == "compiled"
    assert_array_equal(model.loss_curve_, expected)


class OnEpochs(Callback):
    """Calls a function of the net at the end of each epoch."""

    def __init__(self, function):
        self.function = function

    def on_epoch_end(self, net, **kwargs):
        self.function(net)


def replace_noise(net):
    net.module_.noise = Noise(5, "cpu")


def replace_scaling(net):
    net.module_.input_scale = net.module_.input_scale * 2


def transpose_weights(net):
    weight = net.module_.layers[0].weight_hh_l0
    weight.data = weight.data.t()


def tie_parameters(net):
    net.module_.layers[0].bias_hh_l0.data = net.module_.layers[0].bias_ih_l0.data


@pytest.mark.parametrize(
    "change", [replace_noise, replace_scaling, transpose_weights, tie_parameters]
)
def test_what_callbacks_replace_is_noticed(change):
    # torch's fused Adam reads transposed weights as if they were not.
    params = {"fused": False} if change is transpose_weights else None
    model = RNNRegressor(
        **TINY, dropout=0.3, callbacks=[OnEpochs(change)], optimizer_params=params
    )
    assert_coincide(*fit_both(model, DENSE, Y), DENSE)


@pytest.mark.slow
def test_random_states_of_ragged_batches_are_drawn_for_as_many_rows(monkeypatch):
    # The smallest of the batches, which are sorted by length, may be the first.
    monkeypatch.setattr(compiled, "NOISE_ROWS", 8)
    n_steps = np.random.default_rng(0).integers(2, 60, 401)
    X = [np.random.default_rng(n).normal(size=(n, 1)) for n in n_steps]
    y = np.array([x.sum() for x in X])
    for seed in range(3):
        model = RNNRegressor(
            3, max_epochs=2, batch_size=8, initial_state="normal", random_state=seed
        )
        assert_coincide(*fit_both(model, X, y), X)


def test_batches_larger_than_the_memory_of_a_program_are_refused():
    def enlarge(net):
        net.batch_size = 3000
        net.validation_loss()  # makes new programs
        engine = net.engine_
        with pytest.raises(ValueError, match=r"at most 10 rows.* Got 12\.$"):
            engine.training.run(np.zeros(12, np.int64), np.array([0, 12]))

    X, y = np.tile(DENSE, (2, 1, 1))[:10], np.tile(Y, 2)[:10]
    model = RNNRegressor(**TINY, callbacks=[OnEpochs(enlarge)])
    model.fit(X, y, X_val=np.tile(DENSE, (5, 1, 1)), y_val=np.tile(Y, 5))


def steps_of(net):
    return {int(state["step"]) for state in net.optimizer_.state.values()}


def test_ctrl_c_leaves_the_optimiser_at_the_last_step_then_at_the_epoch(monkeypatch):
    from skrnn._kernels.operations import CompiledProgram

    monkeypatch.setattr(calls, "CALL_SECONDS", 0.0)  # a batch a call
    run, n_calls = CompiledProgram.run, 0

    def interrupted(self, *args, **kwargs):
        nonlocal n_calls
        total = run(self, *args, **kwargs)
        n_calls += 1
        if n_calls == 5:
            raise KeyboardInterrupt  # as soon as the compiled call has returned
        return total

    def restore(net):
        assert steps_of(net) == {5}
        restore_epoch_start(net)

    restore_epoch_start = RecurrentNet._restore_epoch_start
    monkeypatch.setattr(RecurrentNet, "_restore_epoch_start", restore)
    model = RNNRegressor(**TINY, warm_start=True)
    monkeypatch.setattr(CompiledProgram, "run", interrupted)
    with pytest.raises(KeyboardInterrupt):
        model.fit(DENSE, Y)
    assert steps_of(model.net_) == {3}  # of an epoch of three batches
