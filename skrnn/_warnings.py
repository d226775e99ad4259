"""Warnings that name the user's line."""

from __future__ import annotations

import sys
import warnings
from pathlib import Path

import sklearn

# scikit-learn calls skrnn in pipelines and searches, and wraps `transform`.
PACKAGES = (str(Path(__file__).parent), str(Path(sklearn.__file__).parent))


class VersionWarning(UserWarning):
    """A pickle was made by another version of skrnn."""


def warn_user(message: str, category: type[Warning] = UserWarning) -> None:
    """Warn with the line of the first caller outside skrnn and scikit-learn.

    Parameters
    ----------
    message : str
        Text of the warning.

    category : type, default=UserWarning
        Class of the warning.
    """
    frame, level = sys._getframe(1), 2
    while frame.f_back is not None and frame.f_code.co_filename.startswith(PACKAGES):
        frame, level = frame.f_back, level + 1
    warnings.warn(message, category, stacklevel=level)
