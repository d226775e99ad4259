"""The number of threads: `n_jobs`, restored afterwards, and 1 in forked children."""

import multiprocessing
import os
import pickle

import numpy as np
import pytest
import torch
from estimators import Fail, RecordBatches, X, recorded, tiny, y
from messages import raises

from skrnn import RNNClassifier
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


@pytest.mark.skipif(
    "fork" not in multiprocessing.get_all_start_methods(), reason="needs fork"
)
@pytest.mark.filterwarnings("ignore:This process.*multi-threaded:DeprecationWarning")
@pytest.mark.parametrize("function", [fit, predict, load])
def test_forked_child_of_a_parent_with_threads_does_not_hang(function, three_threads):
    torch.rand(500, 500) @ torch.rand(500, 500)  # now there are threads
    torch.sigmoid(torch.rand(200_000))
    fitted = WIDE.fit(X, LABELS)
    with limited_threads(1):
        expected = function(fitted)

    actual = result_of_a_fork(function, fitted, timeout=60)

    assert actual is not None, "the child hangs"
    np.testing.assert_allclose(actual, expected, rtol=1e-4)
