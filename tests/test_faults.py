"""A table of faults, and what must hold after each of them.

After every fault the estimator is as it was, to the last bit: its attributes, its
predictions, and the training that continues from it. No thread, process or temporary
file is left, and torch has its number of threads again.
"""

import copy
import errno
import json
import multiprocessing
import os
import pickle
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pandas as pd
import pytest
import torch
from estimators import Fail, X, assert_same_model, labels, tiny, y
from skorch.callbacks import Callback

from skrnn import Checkpoint, RNNClassifier, RNNRegressor, load_model
from skrnn._training.net import RecurrentNet

pytestmark = pytest.mark.usefixtures("ctrl_c_raises")


def changed(values, value, place=3):
    values = np.array(values, dtype=np.result_type(values, type(value)))
    values[place] = value
    return values


# What is passed to fit: arguments that replace X, y or sample_weight.
INPUTS = {
    "NaN in X": {"X": changed(X, np.nan)},
    "infinity in X": {"X": changed(X, -np.inf)},
    "X that overflows": {"X": changed(X, 1.7e308)},
    "masked X": {"X": np.ma.masked_array(X, X > 1)},
    "dates in X": {"X": X.astype("datetime64[s]")},
    "complex X": {"X": X + 1j},
    "text in X": {"X": np.full((len(X), 4), "word")},
    "None in X": {"X": changed(X.astype(object), None)},
    "sparse X": {"X": pd.DataFrame(X[:, :, 0]).astype(pd.SparseDtype(float))},
    "4-D X": {"X": X[None]},
    "no rows": {"X": X[:0], "y": y[:0]},
    "an empty list": {"X": [], "y": []},
    "no steps": {"X": X[:, :0]},
    "another number of features": {"X": X[:, :, :1]},
    "an empty sequence": {"X": [X[0][:0], *X[1:]]},
    "sequences of different width": {"X": [X[0][:, :1], *X[1:]]},
    "a generator": {"X": (row for row in X)},
    "equal column names": {"X": pd.DataFrame(X[:, :, 0], columns=list("aabc"))},
    "NaN in y": {"y": changed(y, np.nan)},
    "masked y": {"y": np.ma.masked_array(y, y > 5)},
    "text in y": {"y": np.full(len(y), "word")},
    "too few targets": {"y": y[1:]},
    "targets for each step": {"y": [[1.0], [1.0, 2.0]] * (len(y) // 2)},
    "another number of outputs": {"y": np.c_[y, y]},
    "no y": {"y": None},
    "NaN in weights": {"sample_weight": changed(np.ones(len(y)), np.nan)},
    "a negative weight": {"sample_weight": changed(np.ones(len(y)), -1.0)},
    "no positive weight": {"sample_weight": np.zeros(len(y))},
    "weights of another length": {"sample_weight": np.ones(3)},
    "X_val without y_val": {"X_val": X},
}

PARAMETERS = {
    "an unknown cell": {"cell_type": "gnu"},
    "a negative rate": {"lr": -1.0},
    "no unit": {"hidden_size": 0},
    "an unknown device": {"device": "abacus"},
    "another network": {"hidden_size": 7},
    "unknown optimizer options": {"optimizer_params": {"momentom": 1}},
    "a rate that diverges": {
        "optimizer": "sgd",
        "lr": 1e300,
        "lr_schedule": None,
        "max_grad_norm": None,
    },
}


def fail_at(event, error):
    """Return a callback that raises an error, or sends Ctrl-C, at an event."""

    def notify(self, net, *args, **kwargs):
        if error is KeyboardInterrupt:
            signal.raise_signal(signal.SIGINT)
        raise error("planned")

    return type("FailAt", (Callback,), {event: notify})()


EVENTS = [
    "on_train_begin",
    "on_epoch_begin",
    "on_batch_begin",
    "on_grad_computed",
    "on_batch_end",
    "on_epoch_end",
    "on_train_end",
]


def fail_with(error, monkeypatch):
    """Let the training of an epoch fail."""

    def train(self, *args, **kwargs):
        raise error

    monkeypatch.setattr(RecurrentNet, "run_single_epoch", train)


TRAINING = {
    "memory of the accelerator": torch.OutOfMemoryError("planned"),
    "memory": MemoryError("planned"),
    "a full disk in a callback": OSError(errno.ENOSPC, "planned"),
    "Ctrl-C": KeyboardInterrupt(),
    "the end of the program": SystemExit(1),
}


@pytest.fixture
def nothing_left(tmp_path):
    """Assert that no thread, process, file or number of threads is left behind."""
    threads, n_threads = set(threading.enumerate()), torch.get_num_threads()
    children = multiprocessing.active_children()  # workers of other tests
    yield
    deadline = time.monotonic() + 5
    while set(threading.enumerate()) - threads and time.monotonic() < deadline:
        time.sleep(0.01)
    assert set(threading.enumerate()) <= threads
    assert torch.get_num_threads() == n_threads
    assert set(multiprocessing.active_children()) <= set(children)
    assert not [path for path in tmp_path.rglob("*") if "tmp" in path.suffix]


@pytest.fixture
def model(nothing_left):
    return tiny(warm_start=True).fit(X, y)


def assert_fails(model, error, change=None, method="fit", **arguments):
    """Assert that a fit raises an error and changes nothing."""
    params, before = model.get_params(), copy.deepcopy(model)
    attributes = dict(vars(model))
    model.set_params(**change or {})
    with pytest.raises(error) as caught:
        getattr(model, method)(**{"X": X, "y": y} | arguments)
    model.set_params(**params)
    assert vars(model) == attributes
    assert_same_model(model, before)
    assert_same_model(model.fit(X, y), before.fit(X, y))
    return caught.value


@pytest.mark.parametrize("fault", INPUTS)
def test_invalid_input_changes_nothing(fault, model):
    error = assert_fails(model, (ValueError, TypeError), **INPUTS[fault])
    assert str(error)


@pytest.mark.parametrize("fault", PARAMETERS)
def test_invalid_parameters_change_nothing(fault, model):
    error = assert_fails(model, (ValueError, TypeError), PARAMETERS[fault])
    assert str(error)


@pytest.mark.parametrize("fault", ["NaN in X", "masked X", "a generator", "4-D X"])
def test_invalid_input_of_predict_changes_nothing(fault, model):
    before = copy.deepcopy(model)
    with pytest.raises((ValueError, TypeError)):
        model.predict(INPUTS[fault]["X"])
    assert_same_model(model, before)


def test_unseen_labels_in_partial_fit_change_nothing(nothing_left):
    model = tiny(RNNClassifier).fit(X, labels)
    before = copy.deepcopy(model)
    with pytest.raises(ValueError, match="unseen"):
        model.partial_fit(X, np.full(len(X), "unseen"))
    assert_same_model(model, before)


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt, OSError])
@pytest.mark.parametrize("event", EVENTS)
def test_an_error_in_a_callback_is_raised_and_changes_nothing(event, error, model):
    model.set_params(warm_start=False)
    assert_fails(model, error, {"callbacks": [fail_at(event, error)]})


@pytest.mark.parametrize("fault", TRAINING)
def test_an_error_in_training_is_raised_and_changes_nothing(fault, model):
    model.set_params(warm_start=False)
    with pytest.MonkeyPatch.context() as patch:
        fail_with(TRAINING[fault], patch)
        before, attributes = copy.deepcopy(model), dict(vars(model))
        with pytest.raises(type(TRAINING[fault])):
            model.fit(X, y)
    assert vars(model) == attributes
    assert_same_model(model, before)


@pytest.mark.parametrize("n_members", [1, 3])
def test_an_error_in_threads_of_folds_and_members_changes_nothing(
    n_members, monkeypatch, nothing_left
):
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(60, 5))
    target = rows[:, 0] * rows[:, 1]
    model = RNNRegressor(
        3, max_epochs=2, n_jobs=2, n_members=n_members, random_state=0
    ).fit(rows, target)
    before, attributes = model.predict(rows), dict(vars(model))
    fail_with(RuntimeError("planned"), monkeypatch)
    with pytest.raises(RuntimeError, match="planned"):
        model.fit(rows, target)
    assert vars(model) == attributes
    np.testing.assert_array_equal(model.predict(rows), before)


# Files


def full_disk(*args, **kwargs):
    raise OSError(errno.ENOSPC, "No space left on device")


WRITING = ["fsync", "replace"]


@pytest.mark.parametrize("call", WRITING)
def test_a_full_disk_leaves_the_saved_model_as_it_was(
    call, model, monkeypatch, tmp_path
):
    path = tmp_path / "model.safetensors"
    model.save_model(path)
    before = path.read_bytes()
    monkeypatch.setattr(os, call, full_disk)
    with pytest.raises(OSError, match="No space left"):
        model.fit(X, y).save_model(path)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("call", WRITING)
def test_a_full_disk_for_checkpoints_changes_nothing(
    call, model, monkeypatch, tmp_path
):
    model.set_params(warm_start=False)
    checkpoint = Checkpoint(tmp_path / "fits", min_seconds=0)
    model.set_params(callbacks=[checkpoint])
    before, attributes = copy.deepcopy(model), dict(vars(model))
    with monkeypatch.context() as patch:
        patch.setattr(os, call, full_disk)
        with pytest.raises(OSError, match="No space left"):
            model.fit(X, y)
    assert vars(model) == attributes
    assert_same_model(model, before)


def test_a_folder_that_is_a_file_is_refused_before_training(model, tmp_path):
    (tmp_path / "file").write_text("")
    checkpoint = Checkpoint(tmp_path / "file" / "fits")
    assert_fails(model, OSError, {"callbacks": [checkpoint]})


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_read_only_folder_is_refused_before_training(model, tmp_path):
    tmp_path.chmod(0o500)
    try:
        assert_fails(model, OSError, {"callbacks": [Checkpoint(tmp_path)]})
        with pytest.raises(OSError, match="ermission"):
            model.save_model(tmp_path / "model.safetensors")
    finally:
        tmp_path.chmod(0o700)


def header(**entries):
    text = json.dumps(entries).encode()
    return len(text).to_bytes(8, "little") + text


DAMAGED = {
    "an empty file": lambda content: b"",
    "half of a file": lambda content: content[: len(content) // 2],
    "a file without its last byte": lambda content: content[:-1],
    "one byte more": lambda content: content + b"\0",
    "a flipped bit of the header": lambda content: flipped(content, 50),
    "a flipped bit of the data": lambda content: flipped(content, len(content) - 9),
    "a pickle": lambda content: pickle.dumps(os.getcwd),
    "a header of 2**60 bytes": lambda content: (2**60).to_bytes(8, "little"),
    "deep JSON": lambda content: deep(10**5),
    "no JSON": lambda content: (9).to_bytes(8, "little") + b"not JSON!",
    "another safetensors file": lambda content: header(__metadata__={"a": "b"}),
    "huge tensors": lambda content: header(
        a={"dtype": "F64", "shape": [10**9, 10**9], "data_offsets": [0, 8 * 10**18]}
    ),
}


def flipped(content, place):
    return content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :]


def deep(n):
    return (2 * n).to_bytes(8, "little") + b"[" * n + b"]" * n


@pytest.mark.parametrize("fault", DAMAGED)
def test_a_damaged_or_foreign_model_file_is_refused(fault, model, tmp_path):
    path = tmp_path / "model.safetensors"
    model.save_model(path)
    path.write_bytes(DAMAGED[fault](path.read_bytes()))
    with pytest.raises(ValueError, match="must be a file that save_model wrote"):
        load_model(path)


@pytest.mark.parametrize("fault", ["an empty file", "half of a file", "a pickle"])
def test_a_damaged_checkpoint_is_ignored_with_a_warning(fault, nothing_left, tmp_path):
    model = tiny(callbacks=[Checkpoint(tmp_path, min_seconds=0), Fail(2)])
    with pytest.raises(RuntimeError, match="planned"):
        model.fit(X, y)
    (path,) = tmp_path.iterdir()
    path.write_bytes(DAMAGED[fault](path.read_bytes()))
    with pytest.raises(RuntimeError), pytest.warns(UserWarning, match="Ignored"):
        model.fit(X, y)


# Processes

KILLED = """
import os, signal, sys
sys.path[:0] = {path!r}
from estimators import X, tiny, y
from skrnn import Checkpoint
if {moment!r} == "save":
    model = tiny().fit(X, y)
    model.save_model({file!r})
    real = os.replace
    os.replace = lambda *args: os.kill(os.getpid(), signal.SIGKILL)
    model.fit(X, -y).save_model({file!r})
real, calls = os.replace, []
def replace(*args):
    real(*args)
    calls.append(args)
    if len(calls) == 2:
        os.kill(os.getpid(), signal.SIGKILL)
os.replace = replace
tiny(max_epochs=6, callbacks=[Checkpoint({folder!r}, min_seconds=0)]).fit(X, y)
"""


@pytest.mark.parametrize(
    "moment", [pytest.param("save", marks=pytest.mark.slow), "fit"]
)
def test_a_killed_process_leaves_a_complete_model_and_a_fit_that_resumes(
    moment, nothing_left, tmp_path
):
    file, folder = tmp_path / "model.safetensors", tmp_path / "fits"
    script = KILLED.format(
        path=sys.path, moment=moment, file=str(file), folder=str(folder)
    )
    ended = subprocess.run([sys.executable, "-c", script], check=False)
    assert ended.returncode == -signal.SIGKILL
    if moment == "save":
        np.testing.assert_array_equal(
            load_model(file).predict(X), tiny().fit(X, y).predict(X)
        )
        for temporary in tmp_path.glob("*.tmp*"):
            temporary.unlink()
    else:
        assert list(folder.iterdir())
        model = tiny(max_epochs=6, callbacks=[Checkpoint(folder, min_seconds=0)])
        expected = tiny(max_epochs=6).fit(X, y)
        np.testing.assert_array_equal(model.fit(X, y).predict(X), expected.predict(X))
        assert not list(folder.iterdir())
