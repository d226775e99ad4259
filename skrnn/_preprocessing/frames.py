"""`sequences_from_frame`, which splits long DataFrames into sequences."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any, Literal, NamedTuple

import numpy as np
import pandas as pd

from skrnn._data.sequences import split_sequences
from skrnn._typing import AnyArray, IntArray


class FrameSequences(NamedTuple):
    """The return value of `sequences_from_frame`.

    Attributes
    ----------
    X : ndarray of shape (n_samples,)
        The sequences, of dtype object: arrays `(n_timesteps, n_features)`.

    y : ndarray of shape (n_samples,) or (n_samples, n_outputs), or None
        The target of each sequence, or of dtype object with an array for each.

    groups : ndarray of shape (n_samples,)
        The group of each sequence.
    """

    X: np.ndarray
    y: np.ndarray | None
    groups: np.ndarray


def sequences_from_frame(
    frame: Any,
    *,
    group: Hashable | list[Hashable],
    time: Hashable | None = None,
    features: Hashable | list[Hashable] | None = None,
    target: Hashable | list[Hashable] | None = None,
    target_per: Literal["sequence", "step"] = "sequence",
) -> FrameSequences:
    """Split a long DataFrame, with a row for each time step, into sequences.

    Parameters
    ----------
    frame : pandas or polars DataFrame
        The rows of a group need not be adjacent.

    group : column name or list of column names
        The columns that identify a sequence, such as a patient or a machine.

    time : column name or None, default=None
        The column by which the rows of a group are sorted, oldest first. None keeps
        their order.

    features : column name, list of column names or None, default=None
        Numeric columns. None selects all columns without another role. Missing values
        become NaN.

    target : column name, list of column names or None, default=None
        The columns to predict; None if there are none.

    target_per : {'sequence', 'step'}, default='sequence'
        Whether there is one target for each sequence, the same in all rows of a group,
        or one for each time step.

    Returns
    -------
    X : ndarray of shape (n_samples,)
        The sequences, in the order in which their groups first appear: a 1-D object
        array of arrays `(n_timesteps, n_features)` of the same dtype.

    y : ndarray of shape (n_samples,) or (n_samples, n_outputs), or None
        The targets. With `target_per='step'` a 1-D object array of arrays
        `(n_timesteps,)`, or `(n_timesteps, n_outputs)` for a list of targets. None
        without a target.

    groups : ndarray of shape (n_samples,)
        The group of each sequence, for example for `GroupKFold`. Tuples if `group` is
        a list.

    Raises
    ------
    ValueError
        If a column is missing or not numeric, if a group, time or target is missing,
        if a time is repeated in a group, or if the target of a sequence varies.
    TypeError
        If `frame` is not a DataFrame.

    See Also
    --------
    EachStep : Imputes, encodes or scales the time steps. For columns that are not
        numeric, pass it a list of DataFrames, for example
        `[rows for _, rows in frame.groupby("patient")]`.
    make_windows : Splits a time series into windows and targets.

    Notes
    -----
    The result is a named tuple: `sequences_from_frame(...).X` selects the sequences.

    Examples
    --------
    >>> import pandas as pd
    >>> from skrnn import sequences_from_frame
    >>> visits = pd.DataFrame(
    ...     {
    ...         "patient": ["bo", "al", "bo", "bo"],
    ...         "day": [3, 1, 1, 2],
    ...         "pulse": [64.0, 80.0, 60.0, 62.0],
    ...         "ill": [0, 1, 0, 0],
    ...     }
    ... )
    >>> X, y, groups = sequences_from_frame(
    ...     visits, group="patient", time="day", target="ill"
    ... )
    >>> X[0]
    array([[60.],
           [62.],
           [64.]])
    >>> y
    array([0, 1])
    >>> groups
    array(['bo', 'al'], dtype=object)
    """
    if target_per not in ("sequence", "step"):
        raise ValueError(
            f"target_per must be 'sequence' or 'step'. Got {target_per!r}."
        )
    table = read_frame(frame)
    by, targets = as_list(group), as_list(target)
    times = [] if time is None else [time]
    if features is None:
        used = [*by, *times, *targets]
        features = [name for name in table.columns if name not in used]
    roles = {"group": by, "time": times, "target": targets}
    check_columns(table, {**roles, "features": as_list(features)})
    check_not_missing(table, roles)
    values = np.column_stack([numeric_column(table, f) for f in as_list(features)])
    codes = table.groupby(by, sort=False, observed=True).ngroup().to_numpy()
    groups = group_keys(table, group, codes)
    order = row_order(table, time, codes, groups)
    lengths = np.bincount(codes)
    y = None
    if target is not None:
        check_target(table, targets, target_per, codes, groups)
        y = table[target].to_numpy()
        y = (
            y[first_rows(codes)]
            if target_per == "sequence"
            else split_sequences(y[order], lengths)
        )
    return FrameSequences(split_sequences(values[order], lengths), y, groups)


def as_list(columns: Hashable | list[Hashable] | None) -> list[Hashable]:
    """Return a list of column names, given a list, one name or None."""
    if columns is None:
        return []
    return columns if isinstance(columns, list) else [columns]


def read_frame(frame: Any) -> pd.DataFrame:
    """Validate a pandas or polars DataFrame and return it as a pandas one."""
    if hasattr(frame, "get_column"):  # polars; its to_pandas would need pyarrow
        frame = pd.DataFrame({name: frame[name].to_numpy() for name in frame.columns})
    if not isinstance(frame, pd.DataFrame):
        raise TypeError(
            "frame must be a pandas or polars DataFrame. Got "
            f"{type(frame).__name__}. Convert it to one."
        )
    if len(frame) == 0:
        raise ValueError(f"frame must have at least one row. Got shape {frame.shape}.")
    if not frame.columns.is_unique:
        repeated = frame.columns[frame.columns.duplicated()].tolist()
        raise ValueError(
            f"frame must have unique column names. Got {repeated} more than once. "
            "Rename them."
        )
    return frame


def check_columns(frame: Any, roles: dict[str, list[Hashable]]) -> None:
    """Raise an error for unknown columns, and for no group or features."""
    columns = list(frame.columns)
    for role, names in roles.items():
        for name in names:
            if name not in columns:
                raise ValueError(
                    f"{role} must name columns of frame. Got {name!r}, but frame has "
                    f"{columns}. If it is in the index, call reset_index() first."
                )
    for role in ("group", "features"):
        if not roles[role]:
            raise ValueError(
                f"{role} must name at least one column of frame. Got none of {columns}."
            )


def check_not_missing(frame: Any, roles: dict[str, list[Hashable]]) -> None:
    """Raise an error for missing groups, times and targets."""
    for role, names in roles.items():
        for name in names:
            missing = frame[name].isna().to_numpy()
            if missing.any():
                raise ValueError(
                    f"{role} must not be missing in any row of frame. Got a missing "
                    f"value of {name!r} in row {missing.argmax()}. Drop the row or "
                    "impute the value."
                )


def numeric_column(frame: Any, name: Hashable) -> AnyArray:
    """Return a column as a numeric array, with NaN for missing values."""
    column = frame[name]
    dtype = column.dtype
    is_number = pd.api.types.is_numeric_dtype(dtype)
    if not is_number or pd.api.types.is_complex_dtype(dtype):
        raise ValueError(
            f"features must be numeric columns of frame. Got {name!r} of dtype "
            f"{dtype}. Encode it first, or leave it out of features."
        )
    if isinstance(dtype, np.dtype):
        return column.to_numpy()
    if column.isna().any():
        return column.to_numpy(dtype=np.float64, na_value=np.nan)
    return column.to_numpy(dtype=getattr(dtype, "numpy_dtype", np.float64))


def first_rows(codes: AnyArray) -> IntArray:
    """Return the first row of each group."""
    return np.unique(codes, return_index=True)[1]


def group_keys(
    frame: Any, group: Hashable | list[Hashable], codes: AnyArray
) -> AnyArray:
    """Return the key of each group, in the order of the codes."""
    firsts = first_rows(codes)
    if not isinstance(group, list):
        return frame[group].to_numpy()[firsts]
    keys = np.empty(len(firsts), dtype=object)
    keys[:] = list(frame[group].iloc[firsts].itertuples(index=False, name=None))
    return keys


def row_order(
    frame: Any, time: Hashable, codes: AnyArray, groups: AnyArray
) -> IntArray:
    """Return the order of rows sorted by group, then by time if there is one."""
    if time is None:
        return np.argsort(codes, kind="stable")
    ranks, _ = pd.factorize(frame[time], sort=True)
    order = np.lexsort((ranks, codes))
    repeated = (np.diff(codes[order]) == 0) & (np.diff(ranks[order]) == 0)
    if repeated.any():
        row = order[repeated.argmax()]
        raise ValueError(
            "time must differ between the rows of a group. Got "
            f"{frame[time].iloc[row]} twice in group {groups[codes[row]]}. Drop or "
            "merge such rows, or set time=None to keep their order."
        )
    return order


def check_target(
    frame: Any,
    targets: list[Hashable],
    target_per: str,
    codes: AnyArray,
    groups: AnyArray,
) -> None:
    """Raise an error if a target per sequence varies within a group."""
    if target_per == "step":
        return
    for name in targets:
        values, _ = pd.factorize(frame[name])
        differs = values != values[first_rows(codes)][codes]
        if differs.any():
            group = groups[codes[differs.argmax()]]
            raise ValueError(
                "target must be the same in all rows of a group if target_per="
                f"'sequence'. Got several values of {name!r} in group {group}. Set "
                "target_per='step' for a target per time step."
            )
