"""The number of threads: `n_jobs`, restored afterwards, and 1 in forked children."""

import copy
import multiprocessing
import os
import pickle
import threading
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from types import FunctionType, ModuleType

import numpy as np
import pytest
import torch
from estimators import TINY, Fail, RecordBatches, X, recorded, tiny, y
from messages import raises
from sklearn.base import clone
from skorch.callbacks import Callback

from skrnn import RNNClassifier, RNNRegressor
from skrnn._devices import limited_threads


@pytest.mark.parametrize(
    ("n_jobs", "expected"),
    [
        (None, 1),
        (2, 2),
        (-1, os.cpu_count()),
        (-2, max(1, os.cpu_count() - 1)),
        (-1000, 1),
    ],
)
def test_n_jobs_counts_threads_or_cores_from_the_last(n_jobs, expected, three_threads):
    with limited_threads(n_jobs):
        assert torch.get_num_threads() == expected

    assert torch.get_num_threads() == 3


def test_limits_can_be_nested(three_threads):
    numbers = []
    with limited_threads(2):
        with limited_threads(None):
            numbers.append(torch.get_num_threads())
        numbers.append(torch.get_num_threads())

    assert numbers == [1, 2]
    assert torch.get_num_threads() == 3


def test_number_of_threads_is_restored_after_an_interrupt(three_threads):
    with pytest.raises(KeyboardInterrupt), limited_threads(2):
        raise KeyboardInterrupt

    assert torch.get_num_threads() == 3


@pytest.mark.parametrize(("n_jobs", "expected"), [(None, 1), (2, 2)])
def test_fit_and_predict_use_n_jobs_threads(n_jobs, expected, three_threads):
    model = tiny(n_jobs=n_jobs, callbacks=[RecordBatches()]).fit(X, y)
    assert torch.get_num_threads() == 3
    in_predict = set()
    model.module_.register_forward_hook(
        lambda *_: in_predict.add(torch.get_num_threads())
    )

    model.predict(X)

    assert torch.get_num_threads() == 3
    assert recorded(model).n_threads_ == in_predict == {expected}


def test_number_of_threads_is_restored_after_a_fit_that_fails(three_threads):
    with raises(RuntimeError, "planned failure"):
        tiny(n_jobs=2, callbacks=[Fail()]).fit(X, y)

    assert torch.get_num_threads() == 3


# Forked children

WIDE = RNNClassifier(128, max_epochs=1, random_state=0, n_jobs=2)
LABELS = np.arange(20) % 3


def fit(_):
    return WIDE.fit(X, LABELS).predict_proba(X)


def predict(fitted):
    return fitted.predict_proba(X)


def load(fitted):
    return pickle.loads(pickle.dumps(fitted)).predict_proba(X)


def result_of_a_fork(function, argument, timeout):
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


def needs_fork(test):
    has_fork = "fork" in multiprocessing.get_all_start_methods()
    warns = "ignore:This process.*multi-threaded:DeprecationWarning"
    test = pytest.mark.filterwarnings(warns)(test)
    return pytest.mark.skipif(not has_fork, reason="needs fork")(test)


@needs_fork
@pytest.mark.parametrize("function", [fit, predict, load])
def test_forked_child_of_a_parent_with_threads_does_not_hang(function, three_threads):
    use_torch_in_parent()  # now there are threads
    fitted = WIDE.fit(X, LABELS)
    with limited_threads(1):
        expected = function(fitted)

    actual = result_of_a_fork(function, fitted, timeout=60)

    assert actual is not None, "the child hangs"
    np.testing.assert_allclose(actual, expected, rtol=1e-4)


def use_torch_in_parent():
    torch.rand(500, 500) @ torch.rand(500, 500)
    torch.sigmoid(torch.rand(200_000))


LONG = np.random.default_rng(0).normal(size=(256, 20, 2)).astype(np.float32)
# Fits of a parent that use threads: members, folds, parts of a batch, and torch's own.
WITH_THREADS = {
    "members": RNNRegressor(**TINY, n_members=3, n_jobs=2),
    "parts": RNNRegressor(128, max_epochs=1, batch_size=256, random_state=0, n_jobs=2),
    "torch": RNNRegressor(
        4, max_epochs=1, random_state=0, pooling="attention", n_jobs=2
    ),
}


def use_everything(fitted):
    """Return what a fitted model predicts, and once it is fitted again."""
    results = [
        fitted.predict(LONG),
        fitted.hidden_states(LONG[:3])[0],
        pickle.loads(pickle.dumps(fitted)).predict(LONG[:5]),
    ]
    if fitted.pooling_ != "attention":
        results.append(fitted.stream(LONG[:2, :5]).predict_step(LONG[:2, 5]))
    again = clone(fitted).fit(LONG, LONG[:, -1, 0] ** 2)
    return [*results, again.partial_fit(LONG, LONG[:, 0, 0]).predict(LONG)]


@needs_fork
@pytest.mark.parametrize("name", WITH_THREADS)
def test_forked_child_of_a_parent_that_fitted_in_threads_does_not_hang(
    name, three_threads
):
    fitted = clone(WITH_THREADS[name]).fit(LONG, LONG[:, -1, 0] ** 2)
    fitted.predict(LONG)
    use_torch_in_parent()
    expected = use_everything(fitted)

    actual = result_of_a_fork(use_everything, fitted, timeout=60)

    assert actual is not None, "the child hangs"
    for one, other in zip(actual, expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-3, atol=1e-5)


# One estimator in many threads

RAGGED = [row[: 1 + i % 20] for i, row in enumerate(LONG)]
SERIES = np.cumsum(LONG[:, :, :1], axis=1).astype(np.float64)


def stream_all(model, sequences):
    stream = model.stream(n_streams=len(sequences))
    return [stream.predict_step(sequences[:, t]) for t in range(5)]


# Estimators, data to fit them on, and calls that threads make at once.
SHARED = {
    "regressor": (
        RNNRegressor(**TINY, window_norm=None),
        (SERIES[:, :-1], SERIES[:, -1, 0]),
        [
            lambda model: model.predict(SERIES),
            lambda model: model.predict(SERIES[:1]),
            lambda model: model.predict(SERIES[:40, 5:]),
            lambda model: model.hidden_states(SERIES[:30])[0],
            lambda model: model.forecast(SERIES[:30], 4),
            lambda model: stream_all(model, SERIES[:7]),
        ],
    ),
    "members": (
        RNNRegressor(**TINY, window_norm=None, n_members=3, n_jobs=2),
        (SERIES[:, :-1], SERIES[:, -1, 0]),
        [
            lambda model: model.predict(SERIES, return_std=True),
            lambda model: model.members_[1].predict(SERIES),
            lambda model: model.forecast(SERIES[:30], 4),
            lambda model: stream_all(model, SERIES[:7]),
        ],
    ),
    "classifier": (
        RNNClassifier(**TINY, cell_type="lstm", num_layers=2),
        (RAGGED, np.arange(256) % 3),
        [
            lambda model: model.predict(RAGGED),
            lambda model: model.predict_proba(RAGGED),
            lambda model: model.predict_proba(RAGGED[:50]),
            lambda model: model.predict_proba(RAGGED[3:4]),
            lambda model: model.hidden_states(LONG[:30])[1],
            lambda model: stream_all(model, LONG[:7]),
        ],
    ),
    "torch": (
        RNNClassifier(**TINY, cell_type="gru", pooling="attention"),
        (RAGGED, np.arange(256) % 3),
        [
            lambda model: model.predict_proba(RAGGED),
            lambda model: model.predict_proba(LONG),
            lambda model: model.attention_weights(LONG),
            lambda model: model.hidden_states(LONG[:30])[0],
        ],
    ),
}


@pytest.mark.parametrize("name", SHARED)
def test_threads_that_share_an_estimator_get_what_one_alone_gets(name, three_threads):
    model, data, calls = SHARED[name]
    model = clone(model).fit(*data)  # it has not predicted yet
    barrier = threading.Barrier(6)

    def use(number):
        barrier.wait()
        order = np.random.default_rng(number).permutation(5 * len(calls)) % len(calls)
        return [(i, calls[i](model)) for i in order]

    with ThreadPoolExecutor(6) as pool:
        results = [result for part in pool.map(use, range(6)) for result in part]

    expected = [call(model) for call in calls]
    for i, actual in results:
        np.testing.assert_array_equal(np.asarray(actual), np.asarray(expected[i]))


def threads_of_a_new_thread():
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(torch.get_num_threads).result()


def test_concurrent_fits_leave_the_number_of_threads_as_it_was(three_threads):
    # A thread that starts while another one has a limit finds that limit.
    def fit(number):
        params = {"n_jobs": [None, 1, 2, 4][number % 4], "n_members": 1 + number % 3}
        return tiny(**params, max_epochs=20).fit(X, y).predict(X)

    for _ in range(3):
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(fit, range(12)))
            after = {
                future.result()
                for future in [pool.submit(torch.get_num_threads) for _ in range(8)]
            }
        assert {torch.get_num_threads(), threads_of_a_new_thread(), *after} == {3}


# What copies share


class RecordState(Callback):
    """Holds an array, as callbacks may."""

    def on_train_begin(self, net, **kwargs):
        self.array_ = np.zeros(3)


def mutable_parts(value, seen):
    """Return the addresses of all arrays, tensors and generators of an object."""
    if id(value) in seen or isinstance(value, (type, ModuleType, FunctionType)):
        return set()
    seen[id(value)] = value
    if isinstance(value, torch.Tensor):
        return {value.data_ptr()} if value.numel() else set()
    if isinstance(value, np.ndarray) and value.dtype != object:
        return {value.ctypes.data} if value.size else set()
    parts = set()
    if isinstance(value, (torch.Generator, np.random.Generator, np.random.RandomState)):
        parts.add(id(value))
    if isinstance(value, Mapping):
        children = [*value.keys(), *value.values()]
    elif isinstance(value, (list, tuple, set, np.ndarray)):
        children = list(value)
    else:
        children = list(getattr(value, "__dict__", {}).values())
    for child in children:
        parts |= mutable_parts(child, seen)
    return parts


@pytest.mark.parametrize("name", ["members", "torch"])
@pytest.mark.parametrize(
    "copied", [clone, copy.deepcopy, lambda model: pickle.loads(pickle.dumps(model))]
)
def test_copies_share_nothing_that_changes(name, copied):
    model, data, calls = SHARED[name]
    model = clone(model).set_params(callbacks=[RecordState()]).fit(*data)
    for call in calls:
        call(model)
    own = mutable_parts(model, {})
    assert len(own) > 10

    other = copied(model)

    assert not own & mutable_parts(other, {})
    before = [call(model) for call in calls]
    other.set_params(callbacks=None).fit(*data).partial_fit(*data)
    assert not own & mutable_parts(other, {})
    for call, expected in zip(calls, before, strict=True):
        np.testing.assert_array_equal(np.asarray(call(model)), np.asarray(expected))
