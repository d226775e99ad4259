"""Validation of y and of weights: labels, numbers, and weights of rows and classes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from sklearn.utils.multiclass import check_classification_targets, type_of_target
from sklearn.utils.validation import assert_all_finite, check_array, column_or_1d

from skrnn._data.containers import read_array, read_numbers
from skrnn._typing import AnyArray


def check_labels(y: Any, name: str = "y") -> AnyArray:
    """Return y as one label a row `(n,)` or as an indicator matrix `(n, k)`."""
    y = _read_labels(y, name)
    values = np.asarray(y)
    if pd.isna(values).any():
        raise ValueError(
            f"Input {name} contains NaN. Leave rows without a label out, or give them "
            "a label of their own."
        )
    if values.dtype in (np.float64, np.float32):
        assert_all_finite(values, input_name=name)
    if _holds_objects(values):
        _check_one_type(values.ravel(), name)
    kind = type_of_target(y, input_name=name)
    if kind == "multiclass-multioutput":
        raise ValueError(
            f"Unknown label type: multiclass-multioutput. {name} must hold one label "
            "for each sequence, or zeros and ones for each of several labels. Set "
            "return_sequences=True for one label per time step, or use "
            "MultiOutputClassifier for several multi-class targets."
        )
    check_classification_targets(y)
    if kind == "multilabel-indicator":
        return check_array(y, input_name=name)
    return column_or_1d(y, warn=True)


def _read_labels(y: Any, name: str) -> Any:
    """Return lists as arrays; refuse several labels in a row, unless all have as many.

    Such labels are those of time steps, most likely.
    """
    if isinstance(y, (list, tuple)):
        try:
            y = read_array(y)
        except ValueError:  # numpy raises it for different numbers
            y = pd.Series(y, dtype=object)
    if _holds_objects(y) and y.ndim == 1:
        several = [np.iterable(row) and not isinstance(row, (str, bytes)) for row in y]
        if any(several):
            raise ValueError(
                f"{name} must hold one label for each sequence. Got several for "
                f"sequence {several.index(True)}. Set return_sequences=True for one "
                "label per time step."
            )
    return y


def _holds_objects(y: Any) -> bool:
    return getattr(getattr(y, "dtype", None), "kind", None) == "O"


def _check_one_type(labels: AnyArray, name: str) -> None:
    texts = [isinstance(label, str) for label in labels]
    if any(texts) and not all(texts):
        text, other = labels[texts.index(True)], labels[texts.index(False)]
        raise ValueError(
            f"{name} must hold labels of one type, strings or numbers. Got {text!r} "
            f"and {other!r}. Convert them, for example to strings."
        )


def check_real_targets(y: Any, name: str = "y") -> AnyArray:
    """Return y as float `(n,)` or `(n, k)`, refusing what is not finite."""
    y = read_numbers(y, name, "For labels, use RNNClassifier or BiRNNClassifier.")
    with np.errstate(over="ignore", invalid="ignore"):  # of scikit-learn's sums
        y = check_array(
            y,
            ensure_2d=False,
            allow_nd=True,
            dtype=[np.float64, np.float32],
            input_name=name,
        )
    if y.ndim not in (1, 2):
        raise ValueError(
            f"{name} must have shape (n_samples,) or (n_samples, n_outputs). Got shape "
            f"{y.shape}."
        )
    if np.abs(y).max() > np.finfo(y.dtype).max / 4:  # room to subtract a mean
        raise ValueError(
            f"Input {name} contains infinity or a value too large for {y.dtype!r}. "
            "Remove it, or scale the data."
        )
    return y


def check_weights(sample_weight: Any, n_samples: int) -> AnyArray | None:
    """Return weights as float64 `(n_samples,)`, or None for equal weights."""
    if sample_weight is None:
        return None
    if np.isscalar(sample_weight):
        sample_weight = np.full(n_samples, sample_weight)
    remedy = "Balance classes by class_weight."
    sample_weight = read_numbers(sample_weight, "sample_weight", remedy)
    weights = check_array(
        sample_weight, ensure_2d=False, dtype=np.float64, input_name="sample_weight"
    )
    if weights.shape != (n_samples,):
        raise ValueError(
            f"sample_weight must have shape ({n_samples},), one weight for each "
            f"sequence. Got shape {weights.shape}."
        )
    if weights.min() < 0:
        raise ValueError(
            f"sample_weight must not be negative. Got {weights.min()} for row "
            f"{weights.argmin()}. Use 0 to leave a row out."
        )
    if weights.max() == 0:
        raise ValueError(
            "sample_weight must have a weight above zero for at least one row. Got "
            f"zero for all {n_samples}."
        )
    # Only ratios count; sums of the largest, and quotients of the smallest, overflow.
    peak = weights.max()
    return weights if 1e-300 < peak < 1e300 else weights / peak


def class_weights_from_dict(
    class_weight: dict[Any, float], classes: AnyArray
) -> AnyArray:
    """Return the weight of each class, 1 for classes that the dict does not name."""
    if not isinstance(class_weight, dict):
        raise ValueError(
            "The 'class_weight' parameter must be None, 'balanced', a dict from labels "
            "to weights, or, for an indicator matrix, a list of such dicts. Got "
            f"{class_weight!r}."
        )
    labels = classes.tolist()
    unknown = [label for label in class_weight if label not in labels]
    if unknown:
        raise ValueError(
            f"The 'class_weight' parameter must name labels of y, {labels}. "
            f"Got {unknown} as well."
        )
    weights = np.array([float(class_weight.get(label, 1.0)) for label in labels])
    if not np.isfinite(weights).all() or weights.min() < 0 or weights.max() == 0:
        raise ValueError(
            "The 'class_weight' parameter must hold finite weights that are not "
            f"negative, and not zero for all classes. Got {class_weight!r}."
        )
    return weights
