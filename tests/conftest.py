import os

# scipy reads this at its first import. Without it scikit-learn skips its array API
# check without a word. The workers of pytest-xdist inherit it.
os.environ.setdefault("SCIPY_ARRAY_API", "1")

import signal

import hypothesis
import numpy as np
import pytest
import torch
from sklearn.utils import check_random_state

from skrnn._kernels.availability import compiled_kernels

# The first call into torch takes longer than hypothesis allows one example.
hypothesis.settings.register_profile("skrnn", deadline=None)
hypothesis.settings.load_profile("skrnn")


HAS_COMPILED_KERNELS = compiled_kernels(torch.device("cpu"), torch.float64) is not None


def pytest_runtest_setup(item):
    if item.get_closest_marker("gpu") and not torch.cuda.is_available():
        pytest.skip("needs a CUDA device")
    if item.get_closest_marker("numba") and not HAS_COMPILED_KERNELS:
        pytest.skip("needs numba, which compiles the kernels")


@pytest.fixture
def ctrl_c_raises():
    """Make Ctrl-C raise KeyboardInterrupt, as it does outside of pytest."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture
def three_threads():
    """Let torch have three threads, a number that no estimator would choose."""
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def assert_generators_unused():
    """Return a function that asserts that no global generator has been used."""
    numpy_before = check_random_state(None).get_state(legacy=False)["state"]
    key, position = numpy_before["key"].copy(), numpy_before["pos"]
    torch_before = torch.get_rng_state()

    def check():
        state = check_random_state(None).get_state(legacy=False)["state"]
        np.testing.assert_array_equal(state["key"], key)
        assert state["pos"] == position
        assert torch.equal(torch.get_rng_state(), torch_before)

    return check
