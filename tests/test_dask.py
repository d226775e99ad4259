"""Searches on a Dask cluster, of which a worker is killed; and on a Ray cluster.

The cluster is a real one: a scheduler, and workers that are processes of their own. A
callback kills the process of a worker in the middle of a fit, so that no test depends
on time. Whatever hangs is ended by an alarm.
"""

import logging
import os
import signal
from contextlib import contextmanager
from itertools import chain
from pathlib import Path

import joblib
import numpy as np
import pytest
from clients import NUMBERS, RAGGED, VALUES, split_scores
from numpy.testing import assert_array_equal
from scipy import stats
from sklearn.base import clone
from sklearn.ensemble import VotingRegressor
from sklearn.experimental import enable_halving_search_cv  # noqa: F401
from sklearn.model_selection import (
    GridSearchCV,
    HalvingGridSearchCV,
    KFold,
    RandomizedSearchCV,
)
from skorch.callbacks import Callback

from skrnn import Checkpoint, RNNRegressor

dask = pytest.importorskip("dask", reason="needs dask")
distributed = pytest.importorskip("distributed", reason="needs distributed")

pytestmark = [
    pytest.mark.dask,
    # What the cluster says of the worker that it has lost.
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
]

SECONDS = 600  # for what takes some seconds on an idle machine
X, Y = VALUES.astype(np.float32), NUMBERS
FOLDS = list(KFold(2).split(X))
SCATTERED = [X, Y, *chain.from_iterable(FOLDS)]


@contextmanager
def time_limit(seconds=SECONDS):
    """Raise an error in the body once it has taken too long."""

    def end(*_):
        raise TimeoutError(f"took more than {seconds} seconds")

    before = signal.signal(signal.SIGALRM, end)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


@pytest.fixture(scope="module")
def client():
    settings = {
        # A worker that was killed is back after some seconds, or a minute on a busy
        # machine; a local cluster gives it up after 15 seconds.
        "distributed.deploy.lost-worker-timeout": "10 minutes",
        "distributed.comm.timeouts.connect": "60s",
    }
    with dask.config.set(settings):
        with time_limit():
            cluster = distributed.LocalCluster(
                n_workers=2,
                threads_per_worker=1,
                processes=True,
                dashboard_address=None,
                silence_logs=logging.CRITICAL,
            )
            client = distributed.Client(cluster, timeout=60)
        yield client
        with time_limit():
            client.close(timeout=30)
            cluster.close(timeout=60)


@pytest.fixture
def workers(client):
    """Return the client of a cluster whose two workers are there."""
    with time_limit():
        client.wait_for_workers(2, timeout=SECONDS)
        client.amm.stop()  # which would drop copies of X that are not in use
        yield client


class KillWorkers(Callback):
    """Kill the process after its first epoch, unless that is the process of the tests.

    Parameters
    ----------
    directory : path-like
        Holds a file for each process that is to be killed; it is removed by whoever
        kills itself.

    survivor : int
        The process that must not be killed.
    """

    def __init__(self, directory, survivor):
        self.directory = directory
        self.survivor = survivor

    def on_epoch_end(self, net, **kwargs):
        if os.getpid() == self.survivor:
            return
        for path in sorted(Path(self.directory).glob("kill-*")):
            try:
                path.unlink()  # succeeds in one process only
            except FileNotFoundError:
                continue
            os.kill(os.getpid(), signal.SIGKILL)


@pytest.fixture
def killer(tmp_path):
    """Return a function that makes a callback, which kills some workers."""

    def make(n):
        for i in range(n):
            (tmp_path / f"kill-{i}").touch()
        return KillWorkers(str(tmp_path), os.getpid())

    make.left = lambda: len(list(tmp_path.glob("kill-*")))
    return make


def model(**parameters):
    defaults = {"hidden_size": 4, "max_epochs": 3, "random_state": 0}
    return RNNRegressor(**defaults | parameters)


GRID = {"lr": [1e-3, 1e-2, 3e-2], "cell_type": ["rnn", "gru"]}

SEARCHES = {
    "grid": lambda estimator: GridSearchCV(estimator, GRID, cv=FOLDS),
    "halving": lambda estimator: HalvingGridSearchCV(
        estimator,
        GRID,
        cv=FOLDS,
        resource="max_epochs",
        min_resources=1,
        max_resources=9,
        random_state=0,
    ),
    "randomized": lambda estimator: RandomizedSearchCV(
        estimator,
        {"lr": stats.loguniform(1e-4, 1e-1), "hidden_size": stats.randint(2, 6)},
        n_iter=5,
        cv=FOLDS,
        random_state=0,
    ),
    "ensembles": lambda estimator: GridSearchCV(
        estimator.set_params(n_jobs=2), {"n_members": [1, 2, 3]}, cv=FOLDS
    ),
}


def assert_same_search(actual, expected):
    assert_array_equal(split_scores(actual), split_scores(expected))
    assert actual.cv_results_["params"] == expected.cv_results_["params"]
    assert actual.best_params_ == expected.best_params_
    assert_array_equal(actual.predict(X), expected.predict(X))


@pytest.mark.parametrize("kind", SEARCHES)
def test_search_whose_worker_is_killed_has_the_scores_of_a_serial_one(
    kind, workers, killer
):
    make = SEARCHES[kind]
    serial = make(model(callbacks=[killer(0)])).fit(X, Y)

    search = make(model(callbacks=[killer(1)]))
    with joblib.parallel_config("dask", scatter=SCATTERED):
        search.fit(X, Y)

    assert killer.left() == 0
    assert_same_search(search, serial)


def test_halving_over_epochs_starts_from_their_automatic_number(workers):
    estimator = model(max_epochs="auto")
    serial = SEARCHES["halving"](clone(estimator)).fit(X, Y)

    search = SEARCHES["halving"](clone(estimator))
    with joblib.parallel_config("dask", scatter=SCATTERED):
        search.fit(X, Y)
    assert_same_search(search, serial)
    assert search.n_resources_ == [1, 3]
    assert search.best_params_["max_epochs"] == 3


def test_sequences_of_different_lengths_are_searched_with_the_serial_scores(workers):
    serial = SEARCHES["grid"](model()).fit(RAGGED, Y)

    search = SEARCHES["grid"](model())
    with joblib.parallel_config("dask"):
        search.fit(RAGGED, Y)
    assert_array_equal(split_scores(search), split_scores(serial))
    assert_array_equal(search.predict(RAGGED), serial.predict(RAGGED))


def test_members_of_a_voting_regressor_are_fitted_by_the_workers(workers):
    voting = VotingRegressor([(f"{i}", model(random_state=i)) for i in range(3)])
    expected = clone(voting).fit(X[:, :, 0], Y).predict(X[:, :, 0])

    with joblib.parallel_config("dask"):
        voting.set_params(n_jobs=-1).fit(X[:, :, 0], Y)
    assert_array_equal(voting.predict(X[:, :, 0]), expected)


def test_search_that_loses_all_copies_of_its_data_fails_and_resumes(
    workers, killer, tmp_path
):
    folder = tmp_path / "fits"

    def search(n_killed):
        finished = Checkpoint(folder, keep_finished=True)
        return SEARCHES["grid"](model(callbacks=[finished, killer(n_killed)]))

    # The two workers have all copies.
    lost = pytest.raises(distributed.client.FutureCancelledError)
    with joblib.parallel_config("dask", scatter=SCATTERED), lost:
        search(2).fit(X, Y)
    assert killer.left() == 0

    workers.wait_for_workers(2, timeout=SECONDS)
    resumed = search(0)
    with joblib.parallel_config("dask", scatter=SCATTERED):
        resumed.fit(X, Y)
    expected = SEARCHES["grid"](model()).fit(X, Y)
    assert_array_equal(split_scores(resumed), split_scores(expected))
    assert resumed.best_params_ == expected.best_params_


# Ray, which has a backend for joblib too


def test_search_on_ray_has_the_scores_of_a_serial_one():
    ray = pytest.importorskip("ray")
    register = pytest.importorskip("ray.util.joblib").register_ray
    serial = SEARCHES["grid"](model()).fit(X, Y)

    search = SEARCHES["grid"](model())
    register()
    with time_limit():
        ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False)
        try:
            with joblib.parallel_config("ray"):
                search.fit(X, Y)
        finally:
            ray.shutdown()
    assert_same_search(search, serial)
