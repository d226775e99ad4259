"""What differs between versions of scikit-learn, and its private names."""

from __future__ import annotations

from collections.abc import Callable
from copy import copy
from inspect import signature
from typing import Any, TypeVar

from numpy.typing import NDArray
from sklearn.utils import _safe_indexing
from sklearn.utils._param_validation import (
    HasMethods,
    Hidden,
    Interval,
    Options,
    RealNotInt,
    StrOptions,
    validate_parameter_constraints,
)

try:
    from sklearn.utils._repr_html.estimator import _VisualBlock
except ImportError:  # scikit-learn 1.6
    from sklearn.utils._estimator_html_repr import _VisualBlock

Method = TypeVar("Method", bound=Callable[..., Any])

try:  # scikit-learn 1.9 and newer
    from sklearn.callback import CallbackSupportMixin, with_callbacks
except ImportError:

    class CallbackSupportMixin:  # type: ignore[no-redef]
        """Takes no callbacks: this version of scikit-learn has none."""

    def with_callbacks(method: Method) -> Method:
        """Return the method as it is."""
        return method


__all__ = [
    "CallbackSupportMixin",
    "HasMethods",
    "Hidden",
    "Interval",
    "Options",
    "RealNotInt",
    "StrOptions",
    "_VisualBlock",
    "_safe_indexing",
    "accepts_sample_weight",
    "has_callbacks",
    "init_callback_context",
    "validate_parameter_constraints",
    "with_callbacks",
    "with_class_labels",
    "without_callbacks",
]


def has_callbacks(estimator: Any) -> bool:
    """Whether `set_callbacks` gave an estimator callbacks, or a meta-estimator did."""
    return bool(getattr(estimator, "_skl_callbacks", ()))


def without_callbacks(state: dict[str, Any]) -> dict[str, Any]:
    """Return the state of an estimator without its callbacks of scikit-learn."""
    return {name: value for name, value in state.items() if name != "_skl_callbacks"}


def init_callback_context(estimator: Any, **options: Any) -> Any:
    """Return the context of the root task of a fit; None before scikit-learn 1.9.

    Parameters
    ----------
    estimator : estimator
        With `CallbackSupportMixin`, in a method that has `with_callbacks`.

    **options : dict
        What scikit-learn's `_init_callback_context` receives.

    Returns
    -------
    context : sklearn.callback.CallbackContext or None
    """
    if not hasattr(estimator, "_init_callback_context"):
        return None
    return estimator._init_callback_context(**options)


def accepts_sample_weight(scorer: Any) -> bool:
    """Whether the metric of a scorer has weights."""
    return "sample_weight" in signature(scorer._score_func).parameters


def with_class_labels(scorer: Any, classes: NDArray[Any]) -> Any:
    """Return a scorer that receives all classes, if its metric is of probabilities.

    A metric finds the classes in y_true otherwise, where some may be missing.
    """
    method = scorer._response_method
    methods = [method] if isinstance(method, str) else method
    takes_labels = "labels" in signature(scorer._score_func).parameters
    if "predict_proba" not in methods or not takes_labels or "labels" in scorer._kwargs:
        return scorer
    scorer = copy(scorer)
    scorer._kwargs = {**scorer._kwargs, "labels": classes}
    return scorer
