"""Long frames, with a row for each time step, as sequences."""

from typing import NamedTuple

import numpy as np
import pandas as pd

from skrnn._data.sequences import split_sequences


class FrameSequences(NamedTuple):
    """What `sequences_from_frame` returns.

    Attributes
    ----------
    X : ndarray of shape (n_samples,)
        The sequences, of dtype object: arrays `(n_timesteps, n_features)`.

    y : ndarray of shape (n_samples,) or (n_samples, n_outputs), or None
        A target for each sequence, or of dtype object with an array for each.

    groups : ndarray of shape (n_samples,)
        The group that each sequence came from.
    """

    X: np.ndarray
    y: np.ndarray | None
    groups: np.ndarray


def sequences_from_frame(
    frame, *, group, time=None, features=None, target=None, target_per="sequence"
):
    """Cut a long frame, with a row for each time step, into sequences.

    Parameters
    ----------
    frame : pandas or polars DataFrame
        The rows of a group need not stand together.

    group : column name or list of them
        What tells the sequences apart, such as a patient or a machine.

    time : column name or None, default=None
        What orders the rows of a group, oldest first. None keeps the order they have.

    features : column name, list of them or None, default=None
        Numeric columns. None means all that are not named otherwise. Missing values
        become NaN.

    target : column name, list of them or None, default=None
        What is to be predicted; None where it is not known.

    target_per : {'sequence', 'step'}, default='sequence'
        Whether there is one target for each sequence, then it must be the same in all
        rows of a group, or one for each time step.

    Returns
    -------
    X : ndarray of shape (n_samples,)
        The sequences, groups in the order of their first appearance: a 1-D object
        array of arrays `(n_timesteps, n_features)` of one dtype.

    y : ndarray of shape (n_samples,) or (n_samples, n_outputs), or None
        The targets. With `target_per='step'` a 1-D object array of arrays
        `(n_timesteps,)`, or `(n_timesteps, n_outputs)` for a list of targets. None
        without a target.

    groups : ndarray of shape (n_samples,)
        The group of each sequence, for `GroupKFold` or to tell which is which. Tuples
        if `group` is a list.

    Raises
    ------
    ValueError
        If a column is missing or not numeric, if a group, time or target is missing,
        if a group has a time twice, or if a target is not the same in a whole group.
    TypeError
        If `frame` is not a DataFrame.

    See Also
    --------
    EachStep : Imputes, encodes and scales the steps. It takes a list of DataFrames,
        `[rows for _, rows in frame.groupby("patient")]` say, where columns are not
        numeric yet.
    make_windows : Cuts windows of one length, and their targets, from a series.

    Notes
    -----
    The three are fields of a named tuple too: `sequences_from_frame(...).X`.

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
    by, targets = listed(group), listed(target)
    moments = [] if time is None else [time]
    if features is None:
        named = [*by, *moments, *targets]
        features = [name for name in table.columns if name not in named]
    roles = {"group": by, "time": moments, "target": targets}
    check_columns(table, {**roles, "features": listed(features)})
    check_present(table, roles)
    values = np.column_stack([numbers(table, name) for name in listed(features)])
    codes = table.groupby(by, sort=False, observed=True).ngroup().to_numpy()
    groups = group_keys(table, group, codes)
    order = order_of_rows(table, time, codes, groups)
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


def listed(columns):
    """Return a list of columns for a list, one column or None."""
    if columns is None:
        return []
    return columns if isinstance(columns, list) else [columns]


def read_frame(frame):
    """Return a pandas or polars frame as a pandas one."""
    if hasattr(frame, "get_column"):  # of polars, whose own conversion needs pyarrow
        frame = pd.DataFrame({name: frame[name].to_numpy() for name in frame.columns})
    if not isinstance(frame, pd.DataFrame):
        raise TypeError(
            "frame must be a pandas or polars DataFrame. Got "
            f"{type(frame).__name__}. Convert it before."
        )
    if len(frame) == 0:
        raise ValueError(f"frame must have at least one row. Got shape {frame.shape}.")
    if not frame.columns.is_unique:
        twice = frame.columns[frame.columns.duplicated()].tolist()
        raise ValueError(
            f"frame must have each column once. Got {twice} more than once. Rename "
            "them."
        )
    return frame


def check_columns(frame, roles):
    """Refuse columns that a frame does not have, and roles that need one."""
    columns = list(frame.columns)
    for role, names in roles.items():
        for name in names:
            if name not in columns:
                raise ValueError(
                    f"{role} must name columns of frame. Got {name!r}, but frame has "
                    f"{columns}. If it is in the index, call reset_index() before."
                )
    for role in ("group", "features"):
        if not roles[role]:
            raise ValueError(
                f"{role} must name at least one column of frame. Got none of {columns}."
            )


def check_present(frame, roles):
    """Refuse missing groups, times and targets."""
    for role, names in roles.items():
        for name in names:
            missing = frame[name].isna().to_numpy()
            if missing.any():
                raise ValueError(
                    f"{role} must not be missing in any row of frame. Got a missing "
                    f"value of {name!r} in row {missing.argmax()}. Drop the row, or "
                    "fill it in."
                )


def numbers(frame, name):
    """Return a column as numbers, with NaN for what is missing."""
    column = frame[name]
    dtype = column.dtype
    is_number = pd.api.types.is_numeric_dtype(dtype)
    if not is_number or pd.api.types.is_complex_dtype(dtype):
        raise ValueError(
            f"features must be numeric columns of frame. Got {name!r} of dtype "
            f"{dtype}. Encode it before, or name the features without it."
        )
    if isinstance(dtype, np.dtype):
        return column.to_numpy()
    if column.isna().any():
        return column.to_numpy(dtype=np.float64, na_value=np.nan)
    return column.to_numpy(dtype=getattr(dtype, "numpy_dtype", np.float64))


def first_rows(codes):
    """Return the row in which each group appears first."""
    return np.unique(codes, return_index=True)[1]


def group_keys(frame, group, codes):
    """Return what each group is called, in the order of their codes."""
    firsts = first_rows(codes)
    if not isinstance(group, list):
        return frame[group].to_numpy()[firsts]
    keys = np.empty(len(firsts), dtype=object)
    keys[:] = list(frame[group].iloc[firsts].itertuples(index=False, name=None))
    return keys


def order_of_rows(frame, time, codes, groups):
    """Return the rows by group, then by time; otherwise as they stand."""
    if time is None:
        return np.argsort(codes, kind="stable")
    ranks, _ = pd.factorize(frame[time], sort=True)
    order = np.lexsort((ranks, codes))
    twice = (np.diff(codes[order]) == 0) & (np.diff(ranks[order]) == 0)
    if twice.any():
        row = order[twice.argmax()]
        raise ValueError(
            "time must differ between the rows of a group. Got "
            f"{frame[time].iloc[row]} twice in group {groups[codes[row]]}. Drop or "
            "merge such rows, or leave time out to keep them in their order."
        )
    return order


def check_target(frame, targets, target_per, codes, groups):
    """Refuse a target per sequence that is not the same in all rows of a group."""
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
