"""A fit that is killed resumes, and ends with the weights of one that is not."""

import errno
import hashlib
import io
import json
import os
import pickle
import random
import re
import signal
import subprocess
import sys
import time
import tracemalloc
import warnings
from contextlib import contextmanager, nullcontext
from functools import cache, partial
from pathlib import Path

import numpy as np
import pytest
import skorch.callbacks
import torch
from joblib import parallel_config
from messages import raises
from numpy.testing import assert_array_equal
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV
from skorch.callbacks import Callback, EpochScoring

from skrnn import BiRNNClassifier, Checkpoint, RNNClassifier, RNNRegressor, _files
from skrnn._training import checkpoint, state_file
from skrnn._training.fingerprint import fingerprint
from skrnn._training.net import RecurrentNet

rng = np.random.default_rng(0)
WINDOWS = rng.normal(size=(60, 5))
Y = np.abs(WINDOWS[:, -1]) + 0.1 * rng.normal(size=60)
X = rng.normal(size=(40, 6, 2))
LABELS = np.where(X[:, -1, 0] > 0, "b", "a")
RAGGED = [row[i % 6 :] for i, row in enumerate(X)]
TEST_FOLDERS = [str(Path(__file__).parent), str(Path(__file__).parents[1])]
TINY = dict(hidden_size=4, max_epochs=6, batch_size=16, random_state=0)
STOPS = dict(early_stopping=True, patience=3, tol=0.0)


class CountEpochs(Callback):
    """A callback with a state of its own, which changes the training."""

    def on_train_begin(self, net, **kwargs):
        self.n_epochs_ = 0

    def on_epoch_end(self, net, **kwargs):
        self.n_epochs_ += 1
        for group in net.optimizer_.param_groups:
            group["lr"] = 0.01 / self.n_epochs_
        net.history.record("count", np.float64(self.n_epochs_))

    def state_dict(self):
        return {"n_epochs": self.n_epochs_}

    def load_state_dict(self, state):
        self.n_epochs_ = state["n_epochs"]


class SeeBatches(Callback):
    def on_batch_end(self, net, **kwargs):
        pass


MODELS = {
    "folds": (RNNRegressor(**TINY), WINDOWS, Y),
    "linear model, early stopping": (
        RNNRegressor(**TINY, ar_order=3, **STOPS).set_params(max_epochs=20),
        WINDOWS,
        Y + WINDOWS[:, 0],
    ),
    "dropout, early stopping": (
        RNNClassifier(**TINY, dropout=0.3, lr=0.1, **STOPS).set_params(max_epochs=20),
        X,
        LABELS[::-1].copy(),  # nothing can be learned
    ),
    "ensemble": (BiRNNClassifier(**TINY, cell_type="lstm", n_members=3), X, LABELS),
    "sgd": (
        RNNClassifier(**TINY, optimizer="sgd", optimizer_params={"momentum": 0.9}),
        X,
        LABELS,
    ),
    "attention": (RNNClassifier(**TINY, pooling="attention"), RAGGED, LABELS),
    "lbfgs": (RNNClassifier(**TINY, optimizer="lbfgs", lr=0.1), X, LABELS),
    "cosine": (RNNClassifier(**TINY, lr_schedule="cosine"), RAGGED, LABELS),
    "plateau": (
        RNNClassifier(**TINY, lr_schedule="plateau", lr=1.0, **STOPS).set_params(
            max_epochs=20, patience=20
        ),
        X,
        LABELS,
    ),
    "normal states": (
        RNNClassifier(**TINY, initial_state="normal", num_layers=2, dropout=0.2),
        X.astype(np.float32),
        LABELS,
    ),
    "carried states": (
        RNNRegressor(
            **TINY, return_sequences=True, initial_state="carry", tbptt_steps=2
        ),
        X,
        X[..., 0] * X[..., 1],
    ),
    "token ids": (
        RNNClassifier(**TINY, embedding_dim=3),
        rng.integers(1, 9, size=(40, 6)),
        LABELS,
    ),
    "batch callback": (RNNClassifier(**TINY, callbacks=[SeeBatches()]), X, LABELS),
    "callback with a state": (
        RNNClassifier(**TINY, lr_schedule=None, callbacks=[("count", CountEpochs())]),
        X,
        LABELS,
    ),
}
SLOW = {"lbfgs"}  # imports torch's compiler
over_models = pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=pytest.mark.slow if name in SLOW else ())
        for name in MODELS
    ],
)


def make(name, folder=None, **options):
    """Return a model of `MODELS`, with a checkpoint after each epoch, and its data."""
    model, sequences, target = MODELS[name]
    model = clone(model)
    if folder is not None:
        added = Checkpoint(folder, **{"min_seconds": 0.0} | options)
        model.set_params(callbacks=[added, *(model.callbacks or [])])
    return model, sequences, target


def fitted(name, folder=None, **options):
    model, sequences, target = make(name, folder, **options)
    return model.fit(sequences, target)


def assert_same_fit(model, expected):
    for module, other in zip(model._modules(), expected._modules(), strict=True):
        weights, others = module.state_dict(), other.state_dict()
        assert list(weights) == list(others)
        for name, value in weights.items():
            assert_array_equal(value.numpy(), others[name].numpy())
    assert model.loss_curve_ == expected.loss_curve_
    assert model.validation_loss_curve_ == expected.validation_loss_curve_
    assert model.best_epoch_ == expected.best_epoch_
    assert model.engine_ == expected.engine_
    without_times = [
        each.history_.drop(columns=["train_seconds", "valid_seconds"], errors="ignore")
        for each in (model, expected)
    ]
    assert without_times[0].equals(without_times[1])


def names_in(folder):
    return sorted(path.name for path in Path(folder).iterdir())


# Fits that are killed in the middle


class Stopped(Exception):
    pass


@contextmanager
def stopped_before_write(monkeypatch, number):
    """Fail before the file of this number takes the place of the one before."""
    replace, numbers = os.replace, iter(range(1, 1000))

    def stop(source, target):
        if next(numbers) == number:
            raise Stopped
        replace(source, target)

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", stop)
        with pytest.raises(Stopped):
            yield


def count_epochs(monkeypatch):
    """Return a list that grows by one with each epoch of any net."""
    run, seen = RecurrentNet.run_single_epoch, []

    def count(net, iterator, training, *args, **kwargs):
        if training:
            seen.append(net)
        return run(net, iterator, training, *args, **kwargs)

    monkeypatch.setattr(RecurrentNet, "run_single_epoch", count)
    return seen


@pytest.fixture
def epochs(monkeypatch):
    return count_epochs(monkeypatch)


@cache
def uninterrupted(name):
    """Return a model that was fitted without a checkpoint, and the epochs it took."""
    with pytest.MonkeyPatch.context() as patch:
        epochs = count_epochs(patch)
        return fitted(name), len(epochs)


@over_models
def test_a_stopped_fit_resumes(name, tmp_path, monkeypatch, epochs):
    expected, n_all = uninterrupted(name)  # each epoch is followed by a write
    for number in (n_all // 2 + 1, n_all):
        with stopped_before_write(monkeypatch, number):
            fitted(name, tmp_path)
        assert not any(each.endswith(".tmp") for each in names_in(tmp_path))
        epochs.clear()
        model = fitted(name, tmp_path)
        assert len(epochs) == n_all - (number - 1)
        assert_same_fit(model, expected)
        assert names_in(tmp_path) == []


@pytest.mark.numba
def test_the_models_of_these_tests_use_what_is_tested():
    models = {name: uninterrupted(name)[0] for name in MODELS if name not in SLOW}
    by_torch = ("sgd", "attention", "carried states", "batch callback")
    for name, model in models.items():
        assert model.engine_ == ("torch" if name in by_torch else "compiled")
    assert models["folds"].validation_loss_curve_ is not None  # of the folds
    for name in ("linear model, early stopping", "dropout, early stopping"):
        model = models[name]
        assert model.best_epoch_ < model.n_iter_ < model.max_epochs
    assert models["plateau"].net_.optimizer_.param_groups[0]["lr"] < 1.0


# Fits that are killed by SIGKILL


def kill():
    os.kill(os.getpid(), signal.SIGKILL)


def before_write(number):
    """Kill the process before a file takes the place of the one before."""

    def install():
        replace, numbers = os.replace, iter(range(1, 1000))

        def replace_or_kill(source, target):
            if next(numbers) == number:
                kill()
            replace(source, target)

        os.replace = replace_or_kill

    return install


def after_write(number):
    def install():
        replace, numbers = os.replace, iter(range(1, 1000))

        def replace_and_kill(source, target):
            replace(source, target)
            if next(numbers) == number:
                kill()

        os.replace = replace_and_kill

    return install


def within_write(number):
    """Kill the process when half of a file has been written."""

    class HalfFile(nullcontext):
        def __enter__(self):
            return self

        def write(self, content):
            self.enter_result.write(content[: len(content) // 2])
            self.enter_result.flush()
            kill()

    def install():
        numbers = iter(range(1, 1000))

        def open_(*args):
            kind = HalfFile if next(numbers) == number else nullcontext
            return kind(open(*args))

        _files.open = open_

    return install


def at_removal(number):
    def install():
        unlink, numbers = Path.unlink, iter(range(number + 1))

        def unlink_or_kill(path, *args, **kwargs):
            if path.suffix == ".checkpoint" and next(numbers) == number:
                kill()
            unlink(path, *args, **kwargs)

        Path.unlink = unlink_or_kill

    return install


MOMENTS = {
    "first write": within_write(1),
    "half a file": within_write(4),
    "before renaming": before_write(5),
    "after renaming": after_write(5),
    "first removal": at_removal(0),
    "some time": None,
}


def run_and_kill(function, install=None, after=None):
    """Run a function in a process that SIGKILL ends, and return whether it did.

    Parameters
    ----------
    function : callable

    install : callable
        What kills the process; None for this one, after some time.

    after : float
        Seconds, if `install` is None.
    """
    with warnings.catch_warnings():
        # Python warns of threads, which torch has; an estimator uses one in a fork.
        warnings.simplefilter("ignore", DeprecationWarning)
        child = os.fork()
    if child == 0:
        try:
            if install is not None:
                install()
            function()
        finally:
            os._exit(1)
    if install is None:
        time.sleep(after)
        os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    return os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL


needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs os.fork")


@needs_fork
@pytest.mark.parametrize("moment", MOMENTS)
@pytest.mark.parametrize(
    "name",
    [
        "folds",
        "ensemble",
        pytest.param("dropout, early stopping", marks=pytest.mark.slow),
        pytest.param("sgd", marks=pytest.mark.slow),
    ],
)
def test_a_killed_fit_resumes(name, moment, tmp_path):
    expected, _ = uninterrupted(name)
    killed = run_and_kill(
        lambda: fitted(name, tmp_path),
        MOMENTS[moment],
        after=random.Random(f"{name} {moment}").uniform(0, 0.1),
    )
    assert killed
    assert_same_fit(fitted(name, tmp_path), expected)
    assert names_in(tmp_path) == []


@needs_fork
@pytest.mark.slow
@over_models
def test_a_fit_that_is_killed_again_and_again_resumes(name, tmp_path):
    began = time.perf_counter()
    expected = fitted(name)
    seconds = time.perf_counter() - began
    chance = random.Random(name)
    for _ in range(20):
        run_and_kill(
            lambda: fitted(name, tmp_path, keep_finished=True),
            after=chance.uniform(0, seconds),
        )
    assert_same_fit(fitted(name, tmp_path), expected)
    assert names_in(tmp_path) == []


def search(folder=None, **options):
    model, sequences, target = make("sgd", folder, **options)
    grid = {"hidden_size": [3, 4], "dropout": [0.0, 0.2]}
    return GridSearchCV(model, grid, cv=2).fit(sequences, target)


@needs_fork
@pytest.mark.parametrize("number", [9, pytest.param(40, marks=pytest.mark.slow)])
def test_a_killed_search_resumes(number, tmp_path, epochs):
    expected = search()
    n_all = len(epochs)
    assert run_and_kill(
        lambda: search(tmp_path, keep_finished=True), before_write(number)
    )
    epochs.clear()
    found = search(tmp_path, keep_finished=True)
    assert len(epochs) == n_all - (number - 1)
    assert_same_fit(found.best_estimator_, expected.best_estimator_)
    assert_array_equal(
        found.cv_results_["mean_test_score"], expected.cv_results_["mean_test_score"]
    )
    assert len(names_in(tmp_path)) == 9  # four candidates, two folds, the best
    epochs.clear()
    search(tmp_path, keep_finished=True)
    assert epochs == []


@pytest.mark.parametrize(
    "backend", ["threading", pytest.param("loky", marks=pytest.mark.slow)]
)
def test_a_search_in_parallel_shares_a_folder(backend, tmp_path):
    model, sequences, target = make("sgd", tmp_path)
    grid = {"hidden_size": [3, 4, 3, 4]}  # equal fits at the same time
    with parallel_config(backend):
        found = GridSearchCV(model, grid, cv=2, n_jobs=2).fit(sequences, target)
    plain, _, _ = make("sgd")
    expected = GridSearchCV(plain, grid, cv=2).fit(sequences, target)
    assert_same_fit(found.best_estimator_, expected.best_estimator_)
    assert names_in(tmp_path) == []


IN_ANOTHER_PROCESS = """
import sys
import test_checkpoint as tests
model = tests.fitted("dropout, early stopping", sys.argv[1], keep_finished=True)
print(model.loss_curve_, model.history_["train_seconds"].tolist())
"""


@needs_fork
@pytest.mark.slow
def test_another_process_resumes(tmp_path):
    name = "dropout, early stopping"
    assert run_and_kill(
        lambda: fitted(name, tmp_path, keep_finished=True), after_write(4)
    )
    (written,) = tmp_path.iterdir()
    seconds = [
        row["train_seconds"] for row in state_file.read_state(written)["net"]["history"]
    ]
    output = subprocess.run(
        [sys.executable, "-c", IN_ANOTHER_PROCESS, str(tmp_path)],
        env=os.environ | {"PYTHONPATH": os.pathsep.join([*sys.path, *TEST_FOLDERS])},
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert output.startswith(f"{uninterrupted(name)[0].loss_curve_} {seconds}"[:-1])
    assert len(seconds) == 4
    assert names_in(tmp_path) == [written.name]


# What is part of a fit


def test_all_arguments_of_fit_are_restored(tmp_path, monkeypatch, epochs):
    data = dict(
        sample_weight=np.linspace(0, 2, 40),
        groups=np.arange(40) // 4,
        X_val=X[:9] + 0.1,
        y_val=LABELS[:9],
    )
    model, expected = (
        make("sgd", folder)[0].set_params(early_stopping=True, patience=2)
        for folder in (tmp_path, None)
    )
    expected.fit(X, LABELS, **data)
    with stopped_before_write(monkeypatch, 4):
        clone(model).fit(X, LABELS, **data)
    epochs.clear()
    assert_same_fit(model.fit(X, LABELS, **data), expected)
    assert len(epochs) == expected.n_iter_ - 3


CHANGED = X.copy()
CHANGED[3, 2, 1] = np.nextafter(CHANGED[3, 2, 1], 9)
EARLIER = dict(X=X, y=LABELS, sample_weight=None, groups=None, X_val=None, y_val=None)


@pytest.mark.parametrize(
    "change",
    [
        {"X": CHANGED},
        {"X": list(X)},  # predictions would be ragged
        {"y": LABELS[::-1]},
        {"sample_weight": np.linspace(1, 2, 40)},
        {"groups": np.arange(40) // 2},
        {"X_val": X, "y_val": LABELS},
        {"X_val": CHANGED, "y_val": LABELS},
        {"random_state": 1},
        {"max_epochs": 7},
        {"hidden_size": (4,)},
        {"n_jobs": 2},
        {"optimizer_params": {"momentum": 0.8}},
        {"callbacks": [EpochScoring("accuracy")]},
        {"callbacks": [EpochScoring("f1")]},
        {"callbacks": [skorch.callbacks.EpochTimer()]},
    ],
    ids=lambda change: " ".join(change),
)
def test_another_fit_has_other_files(change, tmp_path):
    options = dict(keep_finished=True)
    fitted("sgd", tmp_path, **options)
    before = names_in(tmp_path)
    model, _, _ = make("sgd", tmp_path, **options)
    params = {name: value for name, value in change.items() if name not in EARLIER}
    if "callbacks" in params:
        params["callbacks"] = [*model.callbacks, *params["callbacks"]]
    data = {name: value for name, value in change.items() if name in EARLIER}
    model.set_params(**params).fit(**EARLIER | data)
    assert len(names_in(tmp_path)) == 2
    assert set(before) < set(names_in(tmp_path))


def test_an_equal_fit_has_the_same_files(tmp_path, epochs):
    expected = fitted("sgd", tmp_path, keep_finished=True)
    before = names_in(tmp_path)
    epochs.clear()
    model, _, _ = make("sgd", str(tmp_path), keep_finished=True, every_n_epochs=2)
    model.set_params(verbose=1, batch_size=np.int64(16))
    model.fit(np.asfortranarray(X), LABELS.tolist())
    assert epochs == []
    assert_same_fit(model, expected)
    assert names_in(tmp_path) == before


def test_a_continued_fit_resumes_from_the_state_it_started_at(
    tmp_path, monkeypatch, epochs
):
    def first(folder):
        return make("sgd", folder)[0].set_params(warm_start=True).fit(X, LABELS)

    expected = first(None).fit(X, LABELS)
    model = first(tmp_path)
    before = dict(vars(model))
    with stopped_before_write(monkeypatch, 4):
        model.fit(X, LABELS)
    assert vars(model) == before
    again = first(tmp_path)  # has not read the file of the second fit
    assert len(again.loss_curve_) == 6
    epochs.clear()
    assert_same_fit(again.fit(X, LABELS), expected)
    assert len(epochs) == 3
    assert names_in(tmp_path) == []


def test_partial_fit_writes_no_files(tmp_path):
    folder = tmp_path / "not created"
    model, _, _ = make("sgd", folder)
    model.set_params(random_state=None).partial_fit(X, LABELS, ["a", "b"])
    assert not folder.exists()


# Options


def count_writes(monkeypatch, *args, **options):
    with monkeypatch.context() as patch:
        sizes, replace = [], os.replace
        patch.setattr(os, "replace", lambda *names: sizes.append(replace(*names)))
        model = fitted(*args, **options)
    return len(sizes), model


def test_states_are_written_after_every_n_epochs_and_at_the_end(tmp_path, monkeypatch):
    for every_n_epochs, expected in ((1, 6), (2, 3), (4, 2), (6, 1), (7, 1)):
        n_writes, _ = count_writes(
            monkeypatch, "sgd", tmp_path, every_n_epochs=every_n_epochs
        )
        assert n_writes == expected


def test_states_are_written_at_most_once_in_min_seconds(tmp_path, monkeypatch):
    times = iter(np.arange(0, 100, 2.0))  # read at each check and after each write
    monkeypatch.setattr(checkpoint.time, "monotonic", lambda: next(times))
    n_writes, _ = count_writes(monkeypatch, "sgd", tmp_path, min_seconds=5.0)
    assert n_writes == 2  # after the third epoch, and at the end
    n_writes, _ = count_writes(monkeypatch, "sgd", tmp_path, min_seconds=100.0)
    assert n_writes == 1


def test_by_default_a_finished_fit_leaves_a_new_folder_empty(tmp_path):
    fitted("folds", tmp_path / "new" / "folder")
    assert names_in(tmp_path / "new" / "folder") == []


def test_a_checkpoint_may_have_a_name(tmp_path, monkeypatch):
    option = ("resume", Checkpoint(tmp_path, min_seconds=0))
    model = make("cosine")[0].set_params(callbacks=[option])
    with stopped_before_write(monkeypatch, 4):
        model.fit(RAGGED, LABELS)
    assert len(names_in(tmp_path)) == 1
    assert_same_fit(model.fit(RAGGED, LABELS), uninterrupted("cosine")[0])


def test_other_files_stay(tmp_path):
    (tmp_path / "notes.txt").write_text("mine", encoding="utf-8")
    fitted("sgd", tmp_path)
    assert names_in(tmp_path) == ["notes.txt"]


@pytest.mark.numba
def test_the_estimator_with_a_checkpoint_is_a_usual_one(tmp_path):
    option = Checkpoint(str(tmp_path), min_seconds=3.0)
    model = make("cosine")[0].set_params(callbacks=[option])
    assert repr(option) == f"Checkpoint({str(tmp_path)!r}, min_seconds=3.0)"
    assert repr(option) in repr(model)
    for copy in (clone(model), pickle.loads(pickle.dumps(model))):
        assert copy.callbacks[0].get_params() == option.get_params()
    attributes = dict(vars(option))
    model.fit(X, LABELS)
    assert model.engine_ == "compiled"
    assert model.callbacks == [option]
    assert vars(option) == attributes
    assert_array_equal(pickle.loads(pickle.dumps(model)).predict(X), model.predict(X))


def test_a_checkpoint_of_skorch_writes_its_own_files(tmp_path):
    other = skorch.callbacks.Checkpoint(monitor=None, dirname=tmp_path)
    model = make("folds", tmp_path)[0]
    model.set_params(callbacks=[*model.callbacks, other]).fit(WINDOWS, Y)
    assert "params.pt" in names_in(tmp_path)
    assert not any(name.endswith(".checkpoint") for name in names_in(tmp_path))


def test_the_progress_bar_starts_where_training_does(tmp_path, monkeypatch, capfd):
    with stopped_before_write(monkeypatch, 5):
        fitted("cosine", tmp_path)
    model, _, _ = make("cosine", tmp_path)
    model.set_params(verbose=1).fit(RAGGED, LABELS)
    assert "4/6" in capfd.readouterr().err


# Damaged files


def damage(content, how):
    middle = len(content) // 2
    return {
        "empty": b"",
        "truncated": content[:middle],
        "one bit": bytes([content[0] ^ 1]) + content[1:],
        "longer": content + b"0",
        "pickle": pickle.dumps(Stopped()),
    }[how]


@pytest.mark.parametrize("how", ["empty", "truncated", "one bit", "longer", "pickle"])
def test_a_damaged_file_is_ignored_with_a_warning(how, tmp_path, monkeypatch):
    with stopped_before_write(monkeypatch, 4):
        fitted("cosine", tmp_path)
    (path,) = tmp_path.iterdir()
    path.write_bytes(damage(path.read_bytes(), how))
    message = (
        f"A checkpoint must be a file as skrnn wrote it. Ignored {str(path)!r}: its "
        "content does not match its checksum. This network is trained anew; remove "
        "the file if it remains."
    )
    with pytest.warns(UserWarning, match=f"^{re.escape(message)}$"):
        model = fitted("cosine", tmp_path)
    assert_same_fit(model, uninterrupted("cosine")[0])
    assert names_in(tmp_path) == []


def test_a_file_of_another_fit_is_ignored_with_a_warning(tmp_path, monkeypatch):
    paths = []
    for name in ("cosine", "sgd"):
        with stopped_before_write(monkeypatch, 4):
            fitted(name, tmp_path / name)
        paths += (tmp_path / name).iterdir()
    os.replace(paths[1], paths[0])
    with pytest.warns(UserWarning, match="it belongs to another fit"):
        model = fitted("cosine", tmp_path / "cosine")
    assert_same_fit(model, uninterrupted("cosine")[0])


class Harmful:
    def __reduce__(self):
        return (kill, ())


def test_reading_a_file_runs_no_code(tmp_path):
    buffer = io.BytesIO()
    text = json.dumps({"kind": "array", "name": "0"}).encode()
    harmful = np.array([Harmful()], dtype=object)
    np.savez(buffer, **{"json": np.frombuffer(text, np.uint8), "0": harmful})
    content = buffer.getvalue()
    path = tmp_path / "harmful.checkpoint"
    path.write_bytes(hashlib.sha256(content).digest() + content)
    with pytest.raises(ValueError, match="allow_pickle=False"):
        state_file.read_state(path)


def test_a_state_survives_a_file(tmp_path):
    state = {
        "numbers": [1, 2**100, -0.0, 1e-323, np.inf, True, None, "text"],
        "scalar": np.float32(0.1),
        3: {"array": np.arange(6).reshape(2, 3)[:, ::2], "empty": np.empty((0, 2))},
        "tensor": torch.tensor(0.5),
    }
    path = tmp_path / "file"
    state_file.write_state(path, state)
    read = state_file.read_state(path)
    assert list(map(repr, read["numbers"])) == list(map(repr, state["numbers"]))
    assert read["scalar"] == state["scalar"]
    assert type(read["scalar"]) is np.float32
    assert_array_equal(read[3]["array"], state[3]["array"], strict=True)
    assert_array_equal(read[3]["empty"], state[3]["empty"], strict=True)
    assert torch.equal(read["tensor"], state["tensor"])
    assert read["tensor"].dtype == state["tensor"].dtype


# Errors


@pytest.mark.parametrize(
    "value", [None, np.random.RandomState(0)], ids=["None", "generator"]
)
def test_random_state_must_be_an_int(value, tmp_path):
    model, _, _ = make("sgd", tmp_path)
    message = (
        "The 'random_state' parameter of RNNClassifier must be an int with Checkpoint, "
        "since the same fit must draw the same random numbers when it resumes. Got "
        f"{value!r}. Set random_state=0, say."
    )
    with raises(ValueError, message):
        model.set_params(random_state=value).fit(X, LABELS)


@pytest.mark.parametrize(
    ("name", "value", "rule"),
    [
        ("directory", 3, "an instance of 'str' or an instance of 'os.PathLike'"),
        ("every_n_epochs", 0, "an int in the range [1, inf)"),
        ("min_seconds", -1.0, "a float in the range [0.0, inf)"),
        (
            "keep_finished",
            "yes",
            "an instance of 'bool' or an instance of 'numpy.bool'",
        ),
    ],
)
def test_options_are_validated_in_fit(name, value, rule, tmp_path):
    option = Checkpoint(tmp_path)
    option.set_params(**{name: value})
    message = (
        f"The '{name}' parameter of Checkpoint must be {rule}. Got {value!r} instead."
    )
    with raises(ValueError, message):
        make("sgd")[0].set_params(callbacks=[option]).fit(X, LABELS)


def test_there_is_one_checkpoint_at_most(tmp_path):
    model, _, _ = make("sgd", tmp_path)
    message = (
        "The 'callbacks' parameter of RNNClassifier must hold one Checkpoint at most. "
        "Got 2. Remove the others."
    )
    with raises(ValueError, message):
        model.set_params(callbacks=2 * model.callbacks).fit(X, LABELS)


def test_early_stopping_of_skorch_is_refused(tmp_path):
    model, _, _ = make("sgd", tmp_path)
    stopper = skorch.callbacks.EarlyStopping(monitor="train_loss")
    message = (
        "The 'callbacks' parameter of RNNClassifier must not hold skorch's "
        "EarlyStopping with Checkpoint, which cannot restore it. Got EarlyStopping. "
        "Set early_stopping=True instead."
    )
    with raises(ValueError, message):
        model.set_params(callbacks=[*model.callbacks, stopper]).fit(X, LABELS)


def test_parameters_must_be_found_again(tmp_path):
    model, _, _ = make("sgd", tmp_path)
    scoring = lambda net, X, y: 0.0  # noqa: E731
    message = (
        "With Checkpoint, the parameters must be data, or classes, functions and "
        f"objects that can be imported and pickled. Got an error: {scoring!r} cannot "
        "be imported by its name. Define classes and functions at the top level of a "
        "module."
    )
    callbacks = [*model.callbacks, EpochScoring(scoring)]
    with raises(ValueError, message):
        model.set_params(callbacks=callbacks).fit(X, LABELS)


class RecordObject(Callback):
    def on_epoch_end(self, net, **kwargs):
        net.history.record("object", Stopped())


def test_the_history_must_be_plain(tmp_path):
    model, _, _ = make("sgd", tmp_path)
    message = (
        "With Checkpoint, the history of the training and the states of callbacks and "
        "optimizer must be numbers, texts, arrays, or lists and dicts of them. Got "
        "Stopped(). Keep other objects elsewhere."
    )
    with raises(TypeError, message):
        model.set_params(callbacks=[*model.callbacks, RecordObject()]).fit(X, LABELS)


def test_a_folder_must_be_writable(tmp_path, epochs):
    (tmp_path / "file").touch()
    folder = tmp_path / "file" / "folder"
    message = (
        "[Errno 20] The 'directory' parameter of Checkpoint must be a folder that can "
        "be written to. Got an error: Not a directory. Pass another folder, or change "
        f"its permissions: {str(folder)!r}"
    )
    with raises(NotADirectoryError, message):
        fitted("sgd", folder)
    assert epochs == []


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_a_full_disk_leaves_all_as_it_was(n_jobs, tmp_path, monkeypatch):
    model, _, _ = make("ensemble", tmp_path)
    model.set_params(n_jobs=n_jobs)
    expected = clone(model).set_params(callbacks=None).fit(X, LABELS)
    sync, numbers = os.fsync, iter(range(100))

    def fail(file):
        if next(numbers) == 8:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        sync(file)

    message = (
        r"\[Errno 28\] Checkpoint could not write after epoch \d: No space left on "
        "device. Make room in the folder, and call fit again: it resumes from the "
        f"last file: {re.escape(repr(str(tmp_path)))}$"
    )
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", fail)
        with pytest.raises(OSError, match=message):
            model.fit(X, LABELS)
    assert vars(model) == model.get_params()
    assert names_in(tmp_path)
    assert not any(name.endswith(".tmp") for name in names_in(tmp_path))
    assert_same_fit(model.fit(X, LABELS), expected)
    assert names_in(tmp_path) == []


class PressOnce(Callback):
    """Press Ctrl-C after some epoch, in the first fit only."""

    def __init__(self, path):
        self.path = path

    def on_epoch_end(self, net, **kwargs):
        if len(net.history) == 4 and not self.path.exists():
            self.path.touch()
            signal.raise_signal(signal.SIGINT)


@pytest.mark.usefixtures("ctrl_c_raises")
def test_a_fit_resumes_after_ctrl_c(tmp_path, epochs):
    expected, _ = uninterrupted("cosine")
    model, _, _ = make("cosine", tmp_path / "folder")
    callbacks = [PressOnce(tmp_path / "pressed"), *model.callbacks]
    model.set_params(callbacks=callbacks)
    with pytest.raises(KeyboardInterrupt):
        model.fit(RAGGED, LABELS)
    epochs.clear()
    assert_same_fit(model.fit(RAGGED, LABELS), expected)
    assert len(epochs) == 3


# Fingerprints


def test_equal_values_have_equal_fingerprints():
    series = rng.normal(size=(5000, 300))
    view = np.lib.stride_tricks.sliding_window_view(series, 4, axis=0)
    for one, other in (
        (view, view.copy()),
        ({"a": 1, "b": 2}, {"b": 2, "a": 1}),
        ({"a", "b", "c"}, {"c", "b", "a"}),
        (np.array(["a", 1], dtype=object), ["a", 1]),
        (np.int64(3), 3),
        (Checkpoint("a"), Checkpoint("a")),
        (partial(fitted, name="a"), partial(fitted, name="a")),
        (torch.arange(3), np.arange(3)),
    ):
        assert fingerprint(one) == fingerprint(other)


def test_different_values_have_different_fingerprints():
    values = [
        *(None, 0, 0.0, -0.0, False, "0", b"0", "", [], (), {}, [[]], [0], [0, 0]),
        *(["ab", "c"], ["a", "bc"], np.zeros(2), np.zeros(2, int), np.zeros((2, 1))),
        *(np.zeros(()), Checkpoint("a"), Checkpoint("b"), fitted, make, Checkpoint),
        *(partial(fitted, name="a"), partial(fitted, name="b"), torch.ones(2)),
        *(np.array(["a", "b"]), np.array(["a", "bc"]), np.random.RandomState(0)),
        *(print, np.add, np.subtract, "a".join, "b".join, Checkpoint("a").set_params),
        *(Checkpoint("b").set_params, np.random.RandomState(0).normal),
    ]
    assert len({fingerprint(value) for value in values}) == len(values)


def test_a_view_of_windows_is_read_in_chunks():
    view = np.lib.stride_tricks.sliding_window_view(np.zeros(400_000), 100)
    tracemalloc.start()
    try:
        fingerprint(view)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert view.nbytes > 3e8
    assert peak < 2e7
