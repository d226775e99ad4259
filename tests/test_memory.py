"""A million windows of a hundred steps cost the memory of the series.

Each scenario runs in a process of its own, forked from one that has imported, made
the data and fitted once, so that only what the scenario adds is counted.
"""

import json
import subprocess
import sys
from pathlib import Path

import pytest

MEGABYTES_OF_A_LONG_SEQUENCE = 1000

MEGABYTES_ALLOWED = 100  # the series has 16, all its windows 1600

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not Path("/proc/self/clear_refs").exists(),
        reason="needs /proc/self/clear_refs of Linux to measure peak memory",
    ),
]

SCRIPT = """
import json
import os
import sys

import numpy as np

from skrnn import RNNRegressor, SlidingWindow, make_windows


def resident(field):
    with open("/proc/self/status") as status:
        for line in status:
            if line.startswith(field):
                return int(line.split()[1]) / 1024  # megabytes


def peak_of(scenario):
    small_fit()  # maps the parts of libraries that a fit uses
    with open("/proc/self/clear_refs", "w") as refs:
        refs.write("5")  # reset VmHWM, the peak
    before = resident("VmRSS")
    scenario()
    return resident("VmHWM") - before


def in_a_fork(scenario):
    receive, send = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.write(send, repr(peak_of(scenario)).encode())
            os._exit(0)
        finally:
            os._exit(1)
    os.close(send)
    with os.fdopen(receive) as result:
        text = result.read()
    _, status = os.waitpid(child, 0)
    return float(text) if status == 0 else None


def normal(*shape):
    return np.random.default_rng(0).standard_normal(shape, dtype=np.float32)


def model(**params):
    return RNNRegressor(8, max_epochs=1, batch_size=250, random_state=0, **params)


def windows_of(series):
    return SlidingWindow(100).fit_transform(series)


series = normal(1_000_000, 4)
y = series[:, 0].copy()
few = windows_of(series[:400])
fitted = model().fit(few, y[:400])
one_in_a_hundred = np.zeros(len(y))
one_in_a_hundred[::100] = 1.0
# So many columns that a copy of the windows of either part would be noticed.
wide = normal(10_000, 64)


def small_fit():
    model().fit(few, y[:400]).predict(few)


def fit_every_hundredth_row():
    model().fit(windows_of(series)[::100], y[::100])


def fit_with_mostly_zero_weights():
    model().fit(windows_of(series), y, sample_weight=one_in_a_hundred)


def fit_windows_with_targets():
    X, target = make_windows(series, y, window_size=100, stride=100)
    model().fit(X, target)


def fit_windows_with_known_columns():
    X, target = make_windows(
        series, y, window_size=100, stride=100, horizon=[1, 2], known=[1]
    )
    model().fit(X, target)


def cut_all_windows_with_known_columns():
    make_windows(series, y, window_size=100, horizon=[1, 2], known=[1])


def hold_out_the_last_rows():
    X = windows_of(wide)
    model(early_stopping=True, validation_fraction=0.5).fit(X, y[:10_000])


def hold_out_random_rows():
    X = windows_of(wide)
    halves = model(
        early_stopping=True, validation_fraction=0.5, validation_strategy="random"
    )
    halves.fit(X, y[:10_000])


def validate_on_other_rows():
    X = windows_of(wide)
    model().fit(X[:5000], y[:5000], X_val=X[5000:], y_val=y[5000:10_000])


def continue_training():
    model().partial_fit(windows_of(series)[:10_000], y[:10_000])


def predict():
    fitted.predict(windows_of(series)[:100_000])


def copy_a_tenth():
    windows_of(series)[:100_000].copy()


def train_on_a_million_steps():
    # A gradient through all of them would keep several gigabytes.
    wave = np.sin(np.arange(1_000_001, dtype=np.float32) / 7)
    tagger = model(return_sequences=True, tbptt_steps=100)
    tagger.fit(wave[None, :-1, None], wave[None, 1:])


def predict_a_million_steps():
    wave = np.sin(np.arange(1_000_001, dtype=np.float32) / 7)
    tagger = model(return_sequences=True)
    tagger.fit(wave[None, :1000, None], wave[None, 1:1001])
    tagger.predict(wave[None, :-1, None])


scenarios = [
    fit_every_hundredth_row,
    fit_with_mostly_zero_weights,
    fit_windows_with_targets,
    fit_windows_with_known_columns,
    cut_all_windows_with_known_columns,
    hold_out_random_rows,
    continue_training,
    predict,
    copy_a_tenth,
]
slow_scenarios = [
    hold_out_the_last_rows,
    validate_on_other_rows,
    train_on_a_million_steps,
    predict_a_million_steps,
]
if sys.argv[1:] == ["slow"]:
    scenarios = slow_scenarios
print(json.dumps({each.__name__: in_a_fork(each) for each in scenarios}))
"""


MEGABYTES_GROWN = 5

MANY_CALLS = """
import numpy as np

from skrnn import RNNRegressor


def resident():
    with open("/proc/self/status") as status:
        for line in status:
            if line.startswith("VmRSS"):
                return int(line.split()[1]) / 1024  # megabytes


X = np.random.default_rng(0).normal(size=(100, 12))
y = X[:, 0] * X[:, 1]


def fit_and_predict(n_fits):
    for i in range(n_fits):
        cell = ("rnn", "gru", "lstm")[i % 3]
        model = RNNRegressor(8, cell_type=cell, max_epochs=2, random_state=i)
        model.fit(X, y)
        for n in range(10):
            model.predict(X[: 1 + (i + 7 * n) % 100])


fit_and_predict(50)
before = resident()
fit_and_predict(200)
print(resident() - before)
"""


def test_many_fits_and_predictions_do_not_take_more_memory():
    done = subprocess.run(
        [sys.executable, "-c", MANY_CALLS], capture_output=True, text=True, timeout=600
    )
    assert done.returncode == 0, done.stderr
    assert float(done.stdout) < MEGABYTES_GROWN


def measure(*arguments):
    """Return the peak memory that each scenario adds, in megabytes."""
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, *arguments],
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stderr
    peaks = json.loads(done.stdout)
    assert None not in peaks.values(), done.stderr
    return peaks


@pytest.fixture(scope="module")
def peaks():
    return measure()


def test_validation_rows_are_not_copied_and_long_sequences_take_bounded_memory():
    peaks = measure("slow")
    assert peaks["hold_out_the_last_rows"] < MEGABYTES_ALLOWED
    assert peaks["validate_on_other_rows"] < MEGABYTES_ALLOWED
    assert peaks["train_on_a_million_steps"] < MEGABYTES_OF_A_LONG_SEQUENCE
    assert peaks["predict_a_million_steps"] < MEGABYTES_OF_A_LONG_SEQUENCE


def test_a_copy_of_windows_is_noticed(peaks):
    assert peaks["copy_a_tenth"] > 150 > MEGABYTES_ALLOWED


@pytest.mark.parametrize(
    "scenario",
    [
        "fit_every_hundredth_row",
        "fit_with_mostly_zero_weights",
        "fit_windows_with_targets",
        "fit_windows_with_known_columns",
        "cut_all_windows_with_known_columns",
        "hold_out_random_rows",
        "continue_training",
        "predict",
    ],
)
def test_windows_are_copied_batch_by_batch_only(scenario, peaks):
    assert peaks[scenario] < MEGABYTES_ALLOWED
