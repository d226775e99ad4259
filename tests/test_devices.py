import multiprocessing
import os
import pickle
import re
import subprocess
import sys

import numpy as np
import pytest
import torch
from textbook import CELLS

from skrnn import RNNClassifier, RNNRegressor
from skrnn._devices import limited_threads, resolve_device

rng = np.random.default_rng(0)
X = rng.normal(size=(20, 5, 2)).astype(np.float32)
RAGGED = [row[: 1 + i % 5] for i, row in enumerate(X)]
y = rng.normal(5, 3, size=20)
TINY = dict(hidden_size=4, max_epochs=2, random_state=0)
# A step of the optimiser that moves no weight.
STILL = dict(optimizer="sgd", weight_decay=0.0, lr=1e-30, lr_schedule=None)

without_gpu = pytest.mark.skipif(
    torch.cuda.is_available(), reason="asks for a device that must be absent"
)


# -- devices


@pytest.mark.parametrize("device", ["cpu", torch.device("cpu")])
def test_device_is_found_by_name_or_as_it_is(device):
    assert resolve_device(device) == torch.device("cpu")


@pytest.mark.parametrize(("available", "name"), [(True, "cuda"), (False, "cpu")])
def test_auto_is_a_gpu_if_there_is_one(available, name, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: available)

    assert resolve_device("auto") == torch.device(name)


def device_message(device):
    """Return the whole message, with the reason that torch itself gives."""
    try:
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
    return (
        f"The 'device' parameter must name a device of this machine. Got '{device}' "
        f"({reason}). Use 'cpu', or 'auto' for a GPU if there is one."
    )


@pytest.mark.parametrize(
    "device",
    [
        "abacus",
        "",
        "cpu:x",
        pytest.param("cuda", marks=without_gpu),
        pytest.param(torch.device("cuda", 3), marks=without_gpu),
    ],
    ids=repr,
)
def test_device_must_be_one_of_this_machine(device):
    with pytest.raises(ValueError, match=f"^{re.escape(device_message(device))}$"):
        resolve_device(device)


def test_device_that_computes_nothing_is_refused():
    message = "The 'device' parameter must name a device of this machine. Got 'meta' ("
    with pytest.raises(ValueError, match=f"^{re.escape(message)}"):
        resolve_device("meta")


@pytest.mark.parametrize("method", ["fit", "partial_fit"])
def test_estimator_refuses_an_unknown_device(method):
    model = RNNRegressor(**TINY, device="abacus")

    with pytest.raises(ValueError, match=f"^{re.escape(device_message('abacus'))}$"):
        getattr(model, method)(X, y)


@pytest.mark.parametrize("device", ["cpu", torch.device("cpu"), "auto"])
def test_device_is_known_after_fit(device):
    expected = "cuda" if device == "auto" and torch.cuda.is_available() else "cpu"

    model = RNNRegressor(**TINY, device=device).fit(X, y)

    assert torch.device(model.device_).type == expected
    assert model.module_.head.weight.device.type == expected


@without_gpu
def test_model_of_a_gpu_is_loaded_where_there_is_none():
    model = RNNRegressor(**TINY, dropout=0.5).fit(X, y)
    before = model.predict(X)
    model.device_ = "cuda:0"  # as if it had been trained there

    loaded = pickle.loads(pickle.dumps(model))

    np.testing.assert_array_equal(loaded.predict(X), before)
    assert loaded.device_ == "cpu"


# -- threads


@pytest.mark.parametrize(
    ("n_jobs", "expected"),
    [
        (None, 1),
        (1, 1),
        (2, 2),
        (3, 3),
        (-1, os.cpu_count()),
        (-2, max(1, os.cpu_count() - 1)),
        (-1000, 1),
    ],
)
def test_body_runs_with_the_threads_asked_for(n_jobs, expected, three_threads):
    with limited_threads(n_jobs):
        assert torch.get_num_threads() == expected

    assert torch.get_num_threads() == 3


def test_limits_can_be_nested(three_threads):
    seen = []
    with limited_threads(2):
        seen.append(torch.get_num_threads())
        with limited_threads(None):
            seen.append(torch.get_num_threads())
            with limited_threads(4):
                seen.append(torch.get_num_threads())
            seen.append(torch.get_num_threads())
        seen.append(torch.get_num_threads())

    assert seen == [2, 1, 4, 1, 2]
    assert torch.get_num_threads() == 3


@pytest.mark.parametrize("n_jobs", [None, 2, 3])
@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_threads_are_restored_after_a_failure(n_jobs, error, three_threads):
    with pytest.raises(error), limited_threads(n_jobs):
        raise error

    assert torch.get_num_threads() == 3


# -- forks

WIDE = RNNClassifier(128, max_epochs=1, random_state=0, n_jobs=2)
LABELS = np.arange(20) % 3


def fit(_):
    return WIDE.fit(X, LABELS).predict(X)


def predict(fitted):
    return fitted.predict(X)


def predict_proba(fitted):
    return fitted.predict_proba(X)


def predict_log_proba(fitted):
    return fitted.predict_log_proba(X)


def load(fitted):
    return pickle.loads(pickle.dumps(fitted)).predict(X)


def forked(function, argument, timeout):
    """Return what the function returns in a forked child, or None if that hangs."""
    context = multiprocessing.get_context("fork")
    receiver, sender = context.Pipe(duplex=False)
    child = context.Process(target=lambda: sender.send(function(argument)))
    child.start()
    sender.close()  # so that a child that fails is not waited for
    try:
        return receiver.recv() if receiver.poll(timeout) else None
    finally:
        child.kill()
        child.join()


@pytest.mark.skipif(
    "fork" not in multiprocessing.get_all_start_methods(), reason="needs fork"
)
@pytest.mark.filterwarnings("ignore:This process.*multi-threaded:DeprecationWarning")
@pytest.mark.parametrize(
    "function", [fit, predict, predict_proba, predict_log_proba, load]
)
def test_forked_child_of_a_parent_with_threads_does_not_hang(function, three_threads):
    torch.rand(500, 500) @ torch.rand(500, 500)  # now there are threads
    torch.sigmoid(torch.rand(200_000))
    fitted = WIDE.fit(X, LABELS)
    with limited_threads(1):
        expected = function(fitted)

    answer = forked(function, fitted, timeout=60)

    assert answer is not None, "the child hangs"
    np.testing.assert_allclose(answer, expected, rtol=1e-4)


# -- accelerators


@pytest.fixture
def full_precision(monkeypatch):
    """Keep the GPU from rounding factors to ten bits."""
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", False)
    monkeypatch.setattr(torch.backends.cuda.matmul, "allow_tf32", False)


gpu_cases = [
    pytest.mark.gpu,
    pytest.mark.parametrize(
        ("cell_type", "nonlinearity"), CELLS, ids=["tanh", "relu", "gru", "lstm"]
    ),
    pytest.mark.parametrize("sequences", [X, RAGGED], ids=["dense", "ragged"]),
    pytest.mark.parametrize("bidirectional", [False, True], ids=["one-way", "two-way"]),
]


def on_gpu(test):
    for mark in gpu_cases:
        test = mark(test)
    return test


@on_gpu
@pytest.mark.parametrize("pooling", ["last", "mean", "max"])
def test_outputs_on_a_gpu_are_those_on_the_cpu(
    cell_type, nonlinearity, sequences, bidirectional, pooling, full_precision
):
    on_cpu, on_cuda = (
        RNNRegressor(
            **TINY | STILL | {"hidden_size": (5, 4)},
            cell_type=cell_type,
            nonlinearity=nonlinearity,
            bidirectional=bidirectional,
            pooling=pooling,
            device=device,
        ).fit(sequences, y)
        for device in ("cpu", "cuda")
    )

    assert torch.device(on_cuda.device_).type == "cuda"
    np.testing.assert_allclose(
        on_cuda.predict(sequences), on_cpu.predict(sequences), atol=1e-4
    )


@on_gpu
def test_training_on_a_gpu_is_that_on_the_cpu(
    cell_type, nonlinearity, sequences, bidirectional, full_precision
):
    on_cpu, on_cuda = (
        RNNRegressor(
            **TINY,
            batch_size=8,
            cell_type=cell_type,
            nonlinearity=nonlinearity,
            bidirectional=bidirectional,
            device=device,
        ).fit(sequences, y)
        for device in ("cpu", "cuda")
    )

    np.testing.assert_allclose(on_cuda.loss_curve_, on_cpu.loss_curve_, rtol=1e-4)


@pytest.mark.gpu
def test_computation_on_a_gpu_is_float32():
    model = RNNRegressor(**TINY, device="cuda").fit(X.astype(np.float64), y)

    assert {p.dtype for p in model.module_.parameters()} == {torch.float32}


@pytest.mark.gpu
def test_pickle_of_a_gpu_goes_on_there():
    model = RNNRegressor(**TINY, device="cuda", dropout=0.5, warm_start=True)
    model.fit(RAGGED, y)

    loaded = pickle.loads(pickle.dumps(model))

    np.testing.assert_array_equal(loaded.predict(RAGGED), model.predict(RAGGED))
    np.testing.assert_allclose(
        loaded.fit(RAGGED, y).loss_curve_, model.fit(RAGGED, y).loss_curve_, rtol=1e-4
    )


@pytest.mark.gpu
def test_pickle_of_a_gpu_is_loaded_where_there_is_none(tmp_path, full_precision):
    model = RNNRegressor(**TINY, cell_type="gru", device="cuda").fit(RAGGED, y)
    path = tmp_path / "model.pickle"
    path.write_bytes(pickle.dumps((model, RAGGED)))
    code = (
        "import pickle, sys\n"
        "model, X = pickle.load(open(sys.argv[1], 'rb'))\n"
        "print(model.device_, *model.predict(X))"
    )

    done = subprocess.run(
        [sys.executable, "-c", code, path],
        env={**os.environ, "CUDA_VISIBLE_DEVICES": ""},
        capture_output=True,
        check=True,
        text=True,
    )

    device, *found = done.stdout.split()
    assert device == "cpu"
    np.testing.assert_allclose(
        np.array(found, dtype=float), model.predict(RAGGED), atol=1e-4
    )
