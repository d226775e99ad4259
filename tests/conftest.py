import os

# scipy reads this at its first import. Without it scikit-learn skips its array API
# check without a word. The workers of pytest-xdist inherit it.
os.environ.setdefault("SCIPY_ARRAY_API", "1")

import hypothesis
import pytest

# The first call into torch takes longer than hypothesis allows one example.
hypothesis.settings.register_profile("skrnn", deadline=None)
hypothesis.settings.load_profile("skrnn")


def pytest_runtest_setup(item):
    if item.get_closest_marker("gpu"):
        import torch

        if not torch.cuda.is_available():
            pytest.skip("needs a CUDA device")
