"""Devices, and computation on accelerators."""

import os
import pickle
import re
import subprocess
import sys

import numpy as np
import pytest
import torch
from textbook import CELLS

from skrnn import RNNRegressor
from skrnn._devices import resolve_device

rng = np.random.default_rng(0)
X = rng.normal(size=(20, 5, 2)).astype(np.float32)
RAGGED = [row[: 1 + i % 5] for i, row in enumerate(X)]
y = rng.normal(5, 3, size=20)
TINY = dict(hidden_size=4, max_epochs=2, random_state=0)
# Steps of the optimiser that change no weight.
FROZEN = dict(optimizer="sgd", weight_decay=0.0, lr=1e-30, lr_schedule=None)

without_gpu = pytest.mark.skipif(
    torch.cuda.is_available(), reason="asks for a device that must be absent"
)


# Devices


@pytest.mark.parametrize("device", ["cpu", torch.device("cpu")])
def test_device_is_a_name_or_a_torch_device(device):
    assert resolve_device(device) == torch.device("cpu")


@pytest.mark.parametrize(("available", "name"), [(True, "cuda"), (False, "cpu")])
def test_auto_is_a_gpu_if_one_is_available(available, name, monkeypatch):
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
def test_device_must_exist_on_this_machine(device):
    with pytest.raises(ValueError, match=f"^{re.escape(device_message(device))}$"):
        resolve_device(device)


def test_meta_device_is_refused():
    message = "The 'device' parameter must name a device of this machine. Got 'meta' ("
    with pytest.raises(ValueError, match=f"^{re.escape(message)}"):
        resolve_device("meta")


def test_estimator_refuses_an_unknown_device():
    model = RNNRegressor(**TINY, device="abacus")

    with pytest.raises(ValueError, match=f"^{re.escape(device_message('abacus'))}$"):
        model.fit(X, y)


@pytest.mark.parametrize("device", ["cpu", torch.device("cpu"), "auto"])
def test_fit_sets_device(device):
    expected = "cuda" if device == "auto" and torch.cuda.is_available() else "cpu"

    model = RNNRegressor(**TINY, device=device).fit(X, y)

    assert torch.device(model.device_).type == expected
    assert model.module_.head.weight.device.type == expected


@without_gpu
def test_model_trained_on_a_gpu_is_loaded_on_the_cpu_without_one():
    model = RNNRegressor(**TINY, dropout=0.5).fit(X, y)
    before = model.predict(X)
    model.device_ = "cuda:0"  # as if it had been trained there

    loaded = pickle.loads(pickle.dumps(model))

    np.testing.assert_array_equal(loaded.predict(X), before)
    assert loaded.device_ == "cpu"


# Accelerators


@pytest.fixture
def full_precision(monkeypatch):
    """Keep the GPU from rounding factors to ten bits."""
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", False)
    monkeypatch.setattr(torch.backends.cuda.matmul, "allow_tf32", False)


over_cells = pytest.mark.parametrize(
    ("cell_type", "nonlinearity"), CELLS, ids=["tanh", "relu", "gru", "lstm"]
)


@pytest.mark.gpu
@over_cells
@pytest.mark.parametrize(
    ("sequences", "bidirectional", "pooling"),
    [
        (X, False, "last"),
        (RAGGED, True, "last"),
        (RAGGED, True, "mean"),
        (X, True, "max"),
    ],
    ids=["dense", "ragged", "mean", "max"],
)
def test_outputs_on_a_gpu_equal_those_on_the_cpu(
    cell_type, nonlinearity, sequences, bidirectional, pooling, full_precision
):
    on_cpu, on_cuda = (
        RNNRegressor(
            **TINY | FROZEN | {"hidden_size": (5, 4)},
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


@pytest.mark.gpu
@over_cells
@pytest.mark.parametrize(
    ("sequences", "bidirectional"),
    [(X, False), (RAGGED, True)],
    ids=["dense", "ragged"],
)
def test_training_on_a_gpu_equals_that_on_the_cpu(
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
def test_pickle_of_a_gpu_model_continues_training_there():
    model = RNNRegressor(**TINY, device="cuda", dropout=0.5, warm_start=True)
    model.fit(RAGGED, y)

    loaded = pickle.loads(pickle.dumps(model))

    np.testing.assert_array_equal(loaded.predict(RAGGED), model.predict(RAGGED))
    np.testing.assert_allclose(
        loaded.fit(RAGGED, y).loss_curve_, model.fit(RAGGED, y).loss_curve_, rtol=1e-4
    )


@pytest.mark.gpu
def test_pickle_of_a_gpu_model_is_loaded_without_a_gpu(tmp_path, full_precision):
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

    device, *predictions = done.stdout.split()
    assert device == "cpu"
    np.testing.assert_allclose(
        np.array(predictions, dtype=float), model.predict(RAGGED), atol=1e-4
    )
