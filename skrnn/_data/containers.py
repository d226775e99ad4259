"""Containers of values: what the estimators read, and what would be lost in reading."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from skrnn._typing import AnyArray


def read_container(values: Any, name: str) -> Any:
    """Return values in a container that numpy reads without loss.

    Parameters
    ----------
    values : object
        What a user passed: X, y, weights, or groups. Arrays, lists and frames are
        returned as they are; tensors of torch, and Series of pandas' own numbers, as
        arrays; masked arrays without masked values as their data.

    name : str
        Name of the values in messages.

    Returns
    -------
    values : object

    Raises
    ------
    ValueError
        If values are masked, if a frame has equal column names, or holds dates.
    """
    if isinstance(values, (list, tuple)) and any(map(_is_special, values)):
        read = [
            read_container(item, f"sequence {i} of {name}")
            for i, item in enumerate(values)
        ]
        return type(values)(read) if type(values) in (list, tuple) else read
    if isinstance(values, np.ma.MaskedArray):
        return _unmasked(values, name)
    if _is_tensor(values):
        return values.detach().cpu().resolve_conj().resolve_neg().numpy()
    if _is_polars(values):
        return _from_polars(values)
    if isinstance(values, pd.Series):
        return _from_series(values)
    if isinstance(values, pd.DataFrame):
        _check_frame(values, name)
    elif _is_no_sequence(values):
        raise TypeError(
            f"{name} must be an array, a frame or a list. Got "
            f"{type(values).__name__}. Convert it, for example by list(...)."
        )
    return values


def _is_no_sequence(values: object) -> bool:
    """Whether values have no order, or can be read only once."""
    is_mapping = isinstance(values, (dict, set, frozenset))
    return (is_mapping and not hasattr(values, "shape")) or hasattr(values, "__next__")


def _is_special(item: object) -> bool:
    return (
        isinstance(item, (np.ma.MaskedArray, pd.DataFrame))
        or _is_tensor(item)
        or _is_polars(item)
    )


def _is_tensor(values: object) -> bool:
    return hasattr(values, "detach") and hasattr(values, "resolve_conj")


def _is_polars(values: object) -> bool:
    return type(values).__module__.partition(".")[0] == "polars"


def _unmasked(values: np.ma.MaskedArray[Any, Any], name: str) -> AnyArray:
    n_masked = np.ma.count_masked(values)
    if n_masked:
        raise ValueError(
            f"{name} must not have masked values. Got {n_masked}. Impute them, for "
            "example by .filled(value), or leave these rows out."
        )
    return values.data


def _from_polars(values: Any) -> Any:
    """Return a polars Series of lists as a list; other Series and frames as they are.

    A LazyFrame has no values yet.
    """
    if hasattr(values, "collect"):
        return values.collect()
    if hasattr(values, "to_list") and "List" in str(values.dtype):
        return values.to_list()
    return values


def _from_series(series: pd.Series) -> Any:
    """Return a Series of an extension dtype of numbers as an array, missing as NaN."""
    is_extension = not isinstance(series.dtype, np.dtype)
    if not is_extension or not pd.api.types.is_numeric_dtype(series.dtype):
        return series
    if series.isna().any():
        return series.to_numpy(dtype=np.float64, na_value=np.nan)
    return series.to_numpy()


def _check_frame(frame: pd.DataFrame, name: str) -> None:
    """Refuse equal column names, and dates, which numpy would join with numbers."""
    repeated = frame.columns[frame.columns.duplicated()]
    if len(repeated):
        raise ValueError(
            f"{name} must have unique column names. Got {repeated[0]!r} more than once."
        )
    for column, dtype in frame.dtypes.items():
        if dtype.kind in "mM" or isinstance(dtype, pd.PeriodDtype):
            raise ValueError(
                f"{name} must contain numbers only. Got dtype {dtype} in column "
                f"{column!r}. Turn dates into numbers first, such as the month."
            )


def read_array(values: Any) -> AnyArray:
    """Return values as an array, without turning numbers or NaN into text.

    numpy reads `["a", 1, nan]` as the strings 'a', '1' and 'nan'. These become an array
    of objects here.
    """
    array = np.asarray(values)
    if array.dtype.kind != "U" or hasattr(values, "dtype"):
        return array
    objects = np.asarray(values, dtype=object)
    return array if all(isinstance(value, str) for value in objects.flat) else objects


def concatenate(arrays: list[AnyArray]) -> AnyArray:
    """Return arrays one after the other, without turning numbers into text."""
    is_text = [array.dtype.kind == "U" for array in arrays]
    if any(is_text) and not all(is_text):
        arrays = [array.astype(object) for array in arrays]
    return np.concatenate(arrays)


def read_numbers(values: Any, name: str, remedy: str) -> Any:
    """Return values that are not yet numbers as float64, and others as they are.

    Parameters
    ----------
    values : array-like
        Targets or weights, one for each row.

    name, remedy : str
        For messages: what they are, and what to do if they are no numbers.

    Raises
    ------
    ValueError
        If there are different numbers of values for the rows, or if they are text,
        dates or other objects.
    """
    try:
        array = np.asarray(values)
    except ValueError as error:  # numpy's message would not say what to do
        raise ValueError(
            f"{name} must hold as many values for each row. Got different numbers of "
            "them. Set return_sequences=True for one target per time step."
        ) from error
    check_no_dates(array, name)
    if array.ndim == 0 or array.dtype.kind not in "OUS":
        return values
    try:
        return missing_as_nan(array.astype(object)).astype(np.float64)
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"{name} must contain numbers only ({error}). {remedy}"
        ) from error


def check_no_dates(values: AnyArray, name: str) -> None:
    """Refuse dates and durations, which numpy would convert to numbers."""
    if values.dtype.kind in "mM":
        raise ValueError(
            f"{name} must contain numbers only. Got dtype {values.dtype}. Turn "
            "dates into numbers first, such as the month."
        )


def missing_as_nan(values: AnyArray) -> AnyArray:
    """Return an object array with missing values, such as pandas.NA, as NaN."""
    missing = pd.isna(values)
    return np.where(missing, np.nan, values) if missing.any() else values
