"""Run scikit-learn's checks on the full grid of configurations.

`python tests/check_grid.py` takes an hour or two on two cores, less with numba, and
`python tests/check_grid.py 1/4` runs the first of four parts. It prints a line a
configuration with the checks that failed, and at the end every failure again; those
with a reason in the table of `test_common.py` are counted as known. The test suite runs
a pairwise selection of the same parameters.
"""

import os

os.environ.setdefault("SCIPY_ARRAY_API", "1")

import sys
import time
import warnings
from itertools import product

from joblib import Parallel, delayed
from sklearn.utils.estimator_checks import check_estimator
from test_common import reason_it_cannot_hold

from skrnn import BiRNNClassifier, RNNClassifier, RNNRegressor

CELLS = [("rnn", "tanh"), ("rnn", "relu"), ("gru", "tanh"), ("lstm", "tanh")]
LAYERS = [1, 2]
DIRECTIONS = [False, True]
POOLINGS = ["last", "mean", "max"]
LOSSES = ["squared_error", "absolute_error", "huber"]


def configurations():
    """Yield an estimator for every combination of the parameters of the network."""
    for (cell, nonlinearity), layers, two_way, pooling in product(
        CELLS, LAYERS, DIRECTIONS, POOLINGS
    ):
        shared = dict(
            cell_type=cell,
            nonlinearity=nonlinearity,
            num_layers=layers,
            pooling=pooling,
            hidden_size=16,
        )
        for loss in LOSSES:
            yield RNNRegressor(**shared, bidirectional=two_way, loss=loss)
        yield RNNClassifier(**shared, bidirectional=two_way)
        if two_way:
            yield BiRNNClassifier(**shared)


def failures_of(estimator):
    """Return the failed checks of one configuration and print its line."""
    began = time.perf_counter()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        results = check_estimator(estimator, on_skip=None, on_fail=None)
    failed = [
        row
        for row in results
        if row["status"] == "failed"
        and reason_it_cannot_hold(estimator, row["check_name"]) is None
    ]
    known = sum(row["status"] == "failed" for row in results) - len(failed)
    skipped = sum(row["status"] == "skipped" for row in results)
    line = " ".join(repr(estimator).split())
    print(
        f"{len(results)} checks, {len(failed)} failed, {known} known to, "
        f"{skipped} skipped, "
        f"{time.perf_counter() - began:.0f} s: {line}",
        *(f"\n    {row['check_name']}: {row['exception']!r:.300}" for row in failed),
        flush=True,
    )
    return [(line, row["check_name"], f"{row['exception']!r:.300}") for row in failed]


if __name__ == "__main__":
    part, n_parts = map(int, (sys.argv[1] if len(sys.argv) > 1 else "1/1").split("/"))
    estimators = list(configurations())[part - 1 :: n_parts]
    found = Parallel(n_jobs=-1)(delayed(failures_of)(e) for e in estimators)
    failures = [failure for failures in found for failure in failures]
    print(f"\n{len(estimators)} configurations, {len(failures)} failed checks")
    for line, name, message in failures:
        print(f"\n{line}\n  {name}: {message}")
    sys.exit(bool(failures))
