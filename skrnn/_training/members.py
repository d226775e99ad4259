"""Training of the members of an ensemble, several at a time."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from functools import partial
from typing import TYPE_CHECKING, TypeVar

import numpy as np
from sklearn.utils import check_random_state

from skrnn._devices import limited_threads

if TYPE_CHECKING:
    from skrnn._training.batches import SequenceDataset
    from skrnn._training.linear_start import LinearStart
    from skrnn._training.net import RecurrentNet
    from skrnn._training.tasks import TrainingTask

Result = TypeVar("Result")

WAIT_SECONDS = 0.2


def member_seeds(seed: int, n_members: int) -> list[int]:
    """Return the seed of each member; the first is that of a single network."""
    others = check_random_state(seed).randint(np.iinfo(np.int32).max, size=n_members)
    return [seed, *map(int, others[1:])]


def train_members(
    nets: list[RecurrentNet],
    train: SequenceDataset,
    valid: SequenceDataset | None,
    starts: Sequence[LinearStart | None],
    tasks: Sequence[TrainingTask | None],
    n_threads: int,
) -> None:
    """Train nets on the same data, several at a time.

    Parameters
    ----------
    nets : list of RecurrentNet

    train, valid : SequenceDataset
        The training rows, and the validation rows or None.

    starts : list of LinearStart or None
        Of each net.

    tasks : list of TrainingTask or None
        Of each net.

    n_threads : int
        How many are trained at a time.
    """
    stopping = threading.Event()
    jobs = [
        partial(net.train, train, valid, start, stopping, task)
        for net, start, task in zip(nets, starts, tasks, strict=True)
    ]
    run_jobs(jobs, n_threads, stopping.set)


def run_jobs(
    jobs: Sequence[Callable[[], Result]],
    n_threads: int,
    stop: Callable[[], object] | None = None,
) -> list[Result]:
    """Return the results of functions that are run in threads of their own.

    Several jobs take one thread each, so that the results do not depend on the number
    of threads. A single job may use all of them itself.

    Parameters
    ----------
    jobs : list of callable
        Without arguments.

    n_threads : int
        How many run at a time; 1 runs them one after the other in this thread.

    stop : callable, default=None
        Called after an error in one of them, or after Ctrl-C, to end the others.
    """
    if len(jobs) == 1:
        return [jobs[0]()]
    with limited_threads(1):
        if n_threads == 1:
            return [job() for job in jobs]
        with ThreadPoolExecutor(n_threads, "skrnn") as pool:
            try:
                futures = [pool.submit(_run_in_one_thread, job) for job in jobs]
                running = futures
                while running:  # wakes up for Ctrl-C, whichever thread receives it
                    done, running = wait(running, WAIT_SECONDS, FIRST_EXCEPTION)
                    for future in done:
                        future.result()  # raises its error, to end the others
                return [future.result() for future in futures]
            except BaseException:  # also Ctrl-C; it is raised again below
                if stop is not None:
                    stop()
                pool.shutdown(wait=False, cancel_futures=True)
                raise


def _run_in_one_thread(job: Callable[[], Result]) -> Result:
    with limited_threads(1):
        return job()
