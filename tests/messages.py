"""Errors are held against their whole messages: the rule, what came, the remedy."""

import re

import pytest


def raises(error, message):
    """Expect an error with exactly this message."""
    return pytest.raises(error, match=f"^{re.escape(message)}$")
