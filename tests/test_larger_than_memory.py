"""Data larger than memory: memory-mapped arrays, and Parquet files read in parts.

The system limits what a process may allocate (`RLIMIT_DATA`), so that a copy of the
data is an error. Pages of a file that is mapped for reading do not count: the system
may drop them at any time.
"""

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from skrnn import RNNClassifier, RNNRegressor, SlidingWindow

SHAPE = 60, 12, 2
NUMBERS = np.random.default_rng(0).integers(-99, 99, SHAPE)
TARGET = NUMBERS[:, 0, 0] * 0.5 + np.abs(NUMBERS[:, -1, 1])


def weights_of(model):
    return [p.detach().numpy() for p in model.module_.parameters()]


def write_mapped(path, values):
    np.save(path, values)
    return np.load(path, mmap_mode="r")


# A memory-mapped array is the array


@pytest.mark.parametrize("dtype", ["<f4", "<f8", ">f4", ">f8", "<f2", "<i2", "|u1"])
@pytest.mark.parametrize(
    "parameters",
    [
        {},
        {"target_feature": 0},
        {"window_norm": "standard", "target_feature": 0, "ar_order": 3},
        {"early_stopping": True, "patch_size": 2, "n_members": 2, "n_jobs": 2},
        {"optimizer": "sgd"},
    ],
    ids=["defaults", "linear choice", "window norm", "validation", "torch"],
)
@pytest.mark.filterwarnings("ignore:window_norm='standard' expects y to continue")
def test_mapped_file_gives_the_weights_of_the_array(
    dtype, parameters, tmp_path, monkeypatch
):
    values = np.abs(NUMBERS).astype(dtype)
    model = RNNRegressor(4, max_epochs=2, random_state=0, **parameters)
    expected = weights_of(model.fit(values, TARGET))
    predicted = model.predict(values)

    # As if the data were large: rows of another dtype are converted a few at a time.
    monkeypatch.setattr("skrnn._data.memory.CONVERTED_BYTES", 0)
    mapped = write_mapped(tmp_path / "X.npy", values)
    model.fit(mapped, TARGET)
    for actual, array in zip(weights_of(model), expected, strict=True):
        assert_array_equal(actual, array)
    assert_array_equal(model.predict(mapped), predicted)


@pytest.mark.parametrize("as_text", [True, False], ids=["structured", "raw"])
def test_unaligned_records_of_a_file_give_the_weights_of_the_array(
    as_text, tmp_path, monkeypatch
):
    monkeypatch.setattr("skrnn._data.memory.CONVERTED_BYTES", 0)
    kind = np.dtype([("id", "S3"), ("X", "<f4", SHAPE[1:])])
    records = np.zeros(len(NUMBERS), kind)
    records["X"] = NUMBERS
    if as_text:
        mapped = write_mapped(tmp_path / "records.npy", records)
    else:
        records.tofile(tmp_path / "records.bin")
        mapped = np.memmap(tmp_path / "records.bin", kind, mode="r")
    assert not mapped["X"].flags.aligned
    model = RNNRegressor(4, max_epochs=2, random_state=0)
    expected = weights_of(model.fit(NUMBERS.astype("<f4"), TARGET))

    model.fit(mapped["X"], TARGET)
    for actual, array in zip(weights_of(model), expected, strict=True):
        assert_array_equal(actual, array)


def test_windows_of_a_mapped_series_of_integers_are_those_of_the_array(
    tmp_path, monkeypatch
):
    monkeypatch.setattr("skrnn._data.memory.CONVERTED_BYTES", 0)
    series = NUMBERS.reshape(-1, 2).astype("<i2")
    mapped = write_mapped(tmp_path / "series.npy", series)
    model = RNNRegressor(4, max_epochs=2, random_state=0)
    y = series[:, 0].astype(float) + np.arange(len(series)) % 7
    expected = weights_of(model.fit(SlidingWindow(12).fit_transform(series), y))

    model.fit(SlidingWindow(12).fit_transform(mapped), y)
    for actual, array in zip(weights_of(model), expected, strict=True):
        assert_array_equal(actual, array)


def test_converted_rows_train_in_several_threads_with_the_same_weights(monkeypatch):
    # Large batches are divided among threads, which read one buffer.
    monkeypatch.setattr("skrnn._training.parallel.MIN_WORK", 0)
    X = NUMBERS.astype("<i2")
    model = RNNRegressor(4, max_epochs=2, batch_size=20, n_jobs=2, random_state=0)
    model.set_params(window_norm=None, ar_order=0)
    expected = weights_of(model.fit(X, TARGET))

    monkeypatch.setattr("skrnn._data.memory.CONVERTED_BYTES", 0)
    for actual, array in zip(weights_of(model.fit(X, TARGET)), expected, strict=True):
        assert_array_equal(actual, array)


def test_converted_ragged_token_ids_are_those_of_the_array(monkeypatch):
    rng = np.random.default_rng(0)
    X = [rng.integers(2, 9, n).astype("<i2") for n in rng.integers(1, 7, 40)]
    y = [int(2 in row) for row in X]
    model = RNNClassifier(4, embedding_dim=3, max_epochs=2, random_state=0)
    expected = weights_of(model.fit(X, y))
    predicted = model.predict_proba(X)

    monkeypatch.setattr("skrnn._data.memory.CONVERTED_BYTES", 0)
    model.fit(X, y)
    for actual, array in zip(weights_of(model), expected, strict=True):
        assert_array_equal(actual, array)
    assert_array_equal(model.predict_proba(X), predicted)


# In limited memory

MEGABYTES_ALLOWED = 100
MEGABYTES_OF_DATA = 200

LIMITED = """
import resource
import sys

import numpy as np

from skrnn import RNNClassifier, RNNRegressor


def megabytes_allocated():
    with open("/proc/self/status") as status:
        for line in status:
            if line.startswith("VmData"):
                return int(line.split()[1]) / 1024


def limit_memory(megabytes):
    # Private memory that can be written to, as the system counts it.
    limit = int((megabytes_allocated() + megabytes) * 2**20)
    resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
"""

MAPPED = (
    LIMITED
    + """
path, dtype, scenario, size, allowed = sys.argv[1:]
n_rows = int(float(size) * 2**20 / np.dtype(dtype).itemsize / 800)
X = np.lib.format.open_memmap(path, "w+", dtype, (n_rows, 100, 8))
rng = np.random.default_rng(0)
for first in range(0, n_rows, 1000):
    part = X[first : first + 1000]
    part[:] = rng.integers(0, 100, part.shape, np.int8)
y = X[:, -1, 0] + (X[:, 0, 1] > 50).astype(float)
X.flush()
X = np.load(path, mmap_mode="r")

model = RNNRegressor(4, max_epochs=1, batch_size=500, random_state=0)
if scenario == "linear choice":
    model.set_params(target_feature=0)
elif scenario == "held-out rows":
    model = RNNClassifier(
        4, max_epochs=1, batch_size=500, early_stopping=True, random_state=0
    )
    y = y > 50
elif scenario == "ensemble":
    model.set_params(n_members=3, n_jobs=2, window_norm=None, ar_order=0)
elif scenario == "torch":
    model.set_params(optimizer="sgd")
few = np.array(X[:2000])
model.fit(few, y[:2000]).predict(few)  # what compilation takes is not of the data

limit_memory(float(allowed))
if scenario == "copy":
    X = np.array(X)
model.fit(X, y)
model.predict(X)
"""
)

needs_limits = pytest.mark.skipif(
    sys.platform != "linux", reason="needs RLIMIT_DATA of Linux, which counts mappings"
)


def run(script, *arguments):
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", script, *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=1200,
        check=False,
        # Threads of a linear algebra library would each allocate a buffer.
        env=os.environ | {"OPENBLAS_NUM_THREADS": "1"},
    )


@needs_limits
@pytest.mark.slow
@pytest.mark.parametrize(
    ("dtype", "scenario"),
    [
        ("<f4", "defaults"),
        ("<f4", "linear choice"),
        (">f8", "defaults"),
        ("<i2", "held-out rows"),
        ("<i2", "ensemble"),
        (">f4", "torch"),
    ],
)
def test_fit_and_predict_on_a_mapped_file_take_less_memory_than_its_size(
    dtype, scenario, tmp_path
):
    done = run(
        MAPPED,
        tmp_path / "X.npy",
        dtype,
        scenario,
        MEGABYTES_OF_DATA,
        MEGABYTES_ALLOWED,
    )
    assert done.returncode == 0, done.stderr


@needs_limits
@pytest.mark.slow
def test_a_copy_of_the_file_does_not_fit_in_the_memory_allowed(tmp_path):
    done = run(
        MAPPED, tmp_path / "X.npy", "<f4", "copy", MEGABYTES_OF_DATA, MEGABYTES_ALLOWED
    )
    assert "MemoryError" in done.stderr


# Parquet files, by the functions of the documentation

DOCUMENTATION = Path(__file__).parents[1] / "docs" / "scaling.md"


def documented_code():
    """Return the block of the documentation that defines `fit_in_passes`."""
    text = DOCUMENTATION.read_text(encoding="utf-8")
    blocks = re.findall(r"```python\n(.*?)```", text, flags=re.DOTALL)
    (block,) = [block for block in blocks if "def fit_in_passes" in block]
    return block


def write_parquet(path, X, y, row_group_size):
    pa = pytest.importorskip("pyarrow")
    pq = pytest.importorskip("pyarrow.parquet")
    values = pa.array(X.reshape(-1))
    lists = pa.FixedSizeListArray.from_arrays(values, X[0].size)
    table = pa.table({"X": lists, "y": pa.array(y)})
    pq.write_table(table, path, row_group_size=row_group_size)


def make_walks(n, seed):
    rng = np.random.default_rng(seed)
    X = np.cumsum(rng.normal(0, 0.6, (n, 10, 2)), axis=1).astype(np.float32)
    return X, 2 * np.sin(X[:, -1, 0]) + np.ptp(X[:, :, 1], axis=1)


def test_passes_over_parquet_files_are_as_accurate_as_a_fit_in_memory(tmp_path):
    pytest.importorskip("pyarrow")
    functions = {}
    exec(documented_code(), functions)
    X, y = make_walks(2000, 0)
    X_test, y_test = make_walks(2000, 1)
    for i in range(2):
        rows = slice(1000 * i, 1000 * (i + 1))
        write_parquet(tmp_path / f"part-{i}.parquet", X[rows], y[rows], 500)
    in_memory = RNNRegressor(
        16, max_epochs=20, window_norm=None, ar_order=0, random_state=0
    )
    in_memory.fit(X, y)

    in_passes = RNNRegressor(16, window_norm=None, ar_order=0, random_state=0)
    functions["fit_in_passes"](in_passes, tmp_path, X.shape[1:], n_passes=20)
    assert in_passes.lr == in_memory.lr
    unexplained = [1 - model.score(X_test, y_test) for model in (in_memory, in_passes)]
    assert unexplained[0] < 0.2
    assert unexplained[1] < 1.5 * unexplained[0]


PARQUET = (
    LIMITED
    + """
from pathlib import Path

folder, code, size, allowed = sys.argv[1:]
exec(code)
import pyarrow as pa

n_groups = int(float(size) * 2**20 / 4 / 800 / 2000)
rng = np.random.default_rng(0)
for i in range(n_groups // 4):
    X = rng.standard_normal((8000, 800), np.float32)
    lists = pa.FixedSizeListArray.from_arrays(pa.array(X.reshape(-1)), 800)
    table = pa.table({"X": lists, "y": pa.array(X[:, 0] + 1.0)})
    pq.write_table(table, f"{folder}/part-{i}.parquet", row_group_size=2000)
del X, lists, table
pa.default_memory_pool().release_unused()
assert sum(p.stat().st_size for p in Path(folder).iterdir()) > 0.9 * n_groups * 6.4e6

model = RNNRegressor(4, batch_size=500, random_state=0)
shape = (100, 8)
few, target = next(row_groups(folder, shape, rng))
model.partial_fit(few, target)

limit_memory(float(allowed))
for X, y in row_groups(folder, shape, rng):
    model.partial_fit(X, y)
"""
)


@needs_limits
@pytest.mark.slow
def test_partial_fit_on_parquet_files_takes_less_memory_than_their_size(tmp_path):
    pytest.importorskip("pyarrow")

    done = run(
        PARQUET, tmp_path, documented_code(), MEGABYTES_OF_DATA, MEGABYTES_ALLOWED
    )
    assert done.returncode == 0, done.stderr
