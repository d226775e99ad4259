"""The code blocks of the documentation run as tests: `pytest -m docs`."""

from pathlib import Path

import pytest

# Written by the build, or Sphinx's own.
collect_ignore = ["conf.py", "conftest.py", "diagrams.py", "sources.py"]
collect_ignore_glob = ["_*", "auto_examples", "generated"]
DOCS = Path(__file__).parent


def pytest_collection_modifyitems(items):
    """Mark the pages, so that the default run leaves them out."""
    for item in items:
        if DOCS in item.path.parents:
            item.add_marker(pytest.mark.docs)
