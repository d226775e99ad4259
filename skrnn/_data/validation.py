"""Validation of X: the one place where what users pass becomes `Sequences`."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from sklearn.utils.validation import validate_data

from skrnn._data.containers import check_no_dates, missing_as_nan
from skrnn._data.sequences import CHUNK_BYTES, FIXED, FREE, PADDING, UNKNOWN, Sequences
from skrnn._typing import AnyArray, BoolArray, DType, Estimator


def check_sequences(
    estimator: Estimator,
    X: Any,
    *,
    reset: bool,
    dtype: DType | None = None,
    name: str = "X",
) -> Sequences:
    """Validate X, and set or check what the estimator knows of its shape.

    Parameters
    ----------
    estimator : estimator
        Gets `n_features_in_`, `feature_names_in_` (2-D frames only) and
        `_input_kind` when `reset`; X is checked against them otherwise.

    X : array-like, DataFrame, list or tuple of arrays
        Any of the accepted forms, see the documentation of the estimators.

    reset : bool
        Whether this is the X of a new fit.

    dtype : numpy dtype, default=None
        The dtype of batches; values outside its range are refused.

    name : str, default='X'
        Name of X in messages.

    Returns
    -------
    sequences : Sequences

    Raises
    ------
    ValueError
        If X has the wrong number of dimensions, features or steps, an empty
        sequence, or a value that is not a finite number.
    """
    owner = type(estimator).__name__
    if isinstance(X, (list, tuple)) and len(X) == 0:
        raise ValueError(f"{name} must have at least one sequence. Got an empty list.")
    _check_no_text(X, name)
    pieces = ragged_pieces(X, nested=not reset and estimator._input_kind == FREE)
    if pieces is not None:
        _check_columns(estimator, pieces, reset, name)
        sequences = _concatenate(pieces, name)
        kind = FREE
    elif n_dimensions(X) == 3:
        sequences = Sequences(_numeric(np.asarray(X), name))
        kind = FREE
        if 0 in sequences.values.shape:
            raise ValueError(
                f"{name} must have at least one sample, one time step and one feature."
                f" Got an array of shape {sequences.values.shape}."
            )
    elif n_dimensions(X) > 3:
        raise ValueError(
            f"{name} must be 2-D (n_samples, n_timesteps), 3-D (n_samples, "
            "n_timesteps, n_features) or a list of sequences. Got an array of shape "
            f"{np.shape(X)}."
        )
    else:
        if not reset and estimator._input_kind == FREE and n_dimensions(X) == 2:
            n_features = estimator.n_features_in_
            remedy = "Shape it so"
            if np.shape(X)[1] == n_features:
                remedy = "For a single sequence pass X[None]"
            elif n_features == 1:
                remedy = "For one feature per step pass X[:, :, None]"
            raise ValueError(
                f"{name} must be 3-D (n_samples, n_timesteps, {n_features}) or a list "
                f"of sequences, as the X that {owner} was fitted on. Got a 2-D array "
                f"of shape {np.shape(X)}. {remedy}."
            )
        try:
            X = validate_data(
                estimator, X, reset=reset, dtype="numeric", ensure_all_finite=False
            )
        except ValueError as error:
            if name == "X":
                raise
            raise ValueError(f"{name} is invalid: {error}") from error
        sequences = Sequences(_numeric(X, name)[:, :, None])
        kind = FIXED
    if kind == FREE:
        sequences = check_any_length(estimator, sequences, reset, name)
    if reset:
        estimator._input_kind = kind
        if pieces is None:
            estimator._columns_of_frames = None
    check_finite(sequences, dtype or compute_dtype(sequences.dtype), name)
    return sequences


def read_token_ids(sequences: Sequences, name: str = "X") -> tuple[Sequences, int]:
    """Return sequences of token ids without their trailing padding.

    Parameters
    ----------
    sequences : Sequences
        With one feature; trailing zeros are padding.

    name : str, default='X'
        Name of X in messages.

    Returns
    -------
    sequences : Sequences
        Ragged if some had padding.

    highest : int
        The highest id.

    Raises
    ------
    ValueError
        If a value is not a token id, or if padding precedes a token.
    """
    if sequences.n_features != 1:
        raise ValueError(
            f"{name} must have one feature with embedding_dim, the id of a token. Got "
            f"{sequences.n_features} features per time step. Use TokenEncoder to turn "
            "tokens into ids."
        )
    values = sequences.values[..., 0]
    if (
        values.dtype.kind != "b"
        and not ((values >= 0) & (values == np.floor(values))).all()
    ):
        raise ValueError(
            f"{name} must hold token ids with embedding_dim, whole numbers from 0. Got "
            f"{values[(values < 0) | (values != np.floor(values))][0]}. Use "
            "TokenEncoder to turn tokens into ids."
        )
    is_token, highest = values != PADDING, int(values.max())
    if is_token.all():
        return sequences, highest
    lengths = sequences.n_steps()
    starts = np.cumsum(lengths) - lengths
    is_token = is_token.ravel()
    place = np.arange(len(is_token)) - np.repeat(starts, lengths)
    kept = np.maximum.reduceat(np.where(is_token, place + 1, 0), starts)
    for wrong, problem in (
        (kept == 0, f"hold a token in every sequence. Got {PADDING} only"),
        (
            np.add.reduceat(is_token, starts) < kept,
            f"have the padding {PADDING} behind the tokens only. Got it before a token",
        ),
    ):
        if wrong.any():
            raise ValueError(
                f"{name} must {problem} in sequence {wrong.argmax()}. Give unknown "
                f"tokens the id {UNKNOWN}."
            )
    tokens = Sequences(values.reshape(-1, 1)[is_token], kept)
    tokens.padded_steps = lengths
    return tokens, highest


def compute_dtype(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """Return the precision of the computation for data of `dtype` on a CPU.

    As in scikit-learn, precision follows the data: float32 (and float16) stay in
    float32, everything else, integers included, is float64.
    """
    narrow = dtype.kind == "f" and dtype.itemsize <= 4
    return np.dtype(np.float32 if narrow else np.float64)


def check_finite(sequences: Sequences, dtype: DType, name: str = "X") -> None:
    """Refuse NaN, infinity, and values that arithmetic in `dtype` would overflow on.

    A window view is checked on its underlying memory, which holds every value once.
    The windows themselves are searched only if that check fails, because the memory may
    hold columns that are not part of X.
    """
    values = sequences.values
    if values.dtype.kind not in "f":
        return
    limit = np.finfo(dtype).max / 4  # leaves room for subtracting a mean
    base = _underlying_memory(values)
    if base is not None and _within(base, limit):
        return
    for first in range(0, len(values), _rows_per_chunk(values)):
        part = values[first : first + _rows_per_chunk(values)]
        if _within(part, limit):
            continue
        is_nan = np.isnan(part)
        if is_nan.any():
            raise ValueError(
                f"Input {name} contains NaN. The first is in "
                f"{_place(is_nan, first, sequences)}. Impute missing values before, "
                "for example with SimpleImputer."
            )
        is_wrong = ~(np.abs(part) <= limit)
        raise ValueError(
            f"Input {name} contains infinity or a value too large for {dtype!r}. The "
            f"first is in {_place(is_wrong, first, sequences)}. Remove it, or scale "
            "the data."
        )


def _place(is_wrong: BoolArray, first: int, sequences: Sequences) -> str:
    """Say where the first wrong value of a part of sequences is."""
    indices = [int(i) for i in np.argwhere(is_wrong)[0]]
    row, step = first + indices[0], indices[1]
    if sequences.lengths is not None:  # sequences are concatenated
        ends = np.cumsum(sequences.lengths)
        i = int(np.searchsorted(ends, row, side="right"))
        row, step = i, row - int(ends[i] - sequences.lengths[i])
    return f"sequence {row}, time step {step}, feature {indices[-1]}"


def _within(values: AnyArray, limit: float) -> bool:
    # The two reductions copy nothing, and NaN fails both comparisons.
    with np.errstate(invalid="ignore"):
        return bool(-limit <= values.min()) and bool(values.max() <= limit)


def _rows_per_chunk(values: AnyArray) -> int:
    return max(1, CHUNK_BYTES // max(1, values[:1].nbytes))


def _underlying_memory(values: AnyArray) -> AnyArray | None:
    """Return the memory that a window view reads, as a 1-D array, or None.

    None if the values do not overlap in memory: reading them then costs no more.
    """
    low, high = np.lib.array_utils.byte_bounds(values)
    itemsize = values.itemsize
    aligned = all(stride % itemsize == 0 for stride in values.strides)
    if not aligned or high - low >= values.nbytes:
        return None
    first = tuple(
        0 if stride >= 0 else size - 1
        for stride, size in zip(values.strides, values.shape, strict=True)
    )
    corner = values[tuple(slice(i, i + 1) for i in first)].reshape(-1)
    return np.lib.stride_tricks.as_strided(
        corner, shape=((high - low) // itemsize,), strides=(itemsize,), writeable=False
    )


def n_dimensions(X: Any) -> int:
    """Return the number of dimensions of an array-like."""
    if hasattr(X, "shape"):
        return len(X.shape)
    return np.asarray(X).ndim


def _check_no_text(X: Any, name: str) -> None:
    """Refuse a list or column of strings, which would be read as a single row."""
    first = X
    while isinstance(first, (list, tuple)) and len(first):
        first = first[0]
    if isinstance(first, pd.Series):
        first = first.to_numpy()
    if isinstance(first, np.ndarray) and first.size and first.dtype.kind in "USO":
        first = first.flat[0]
    if isinstance(first, (str, bytes)) and not _is_number(first):
        raise ValueError(
            f"{name} must contain numbers only. Got text: {first[:40]!r}. Encode it "
            "first, with TokenOneHotEncoder or TokenEncoder."
        )


def _is_number(text: str | bytes) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def ragged_pieces(X: Any, nested: bool) -> list[Any] | None:
    """Return X as a list of sequences if it is ragged, else None.

    A list of arrays is always ragged, and so is a 1-D object array or a Series of
    sequences. A list of lists is ragged if its lengths differ, or with `nested`, if the
    estimator was fitted on sequences of any length: it must not matter whether a subset
    of ragged data happens to have equal lengths.
    """
    if isinstance(X, pd.Series):
        X = X.to_numpy()
    if isinstance(X, np.ndarray):
        if X.ndim != 1 or X.dtype != object:
            return None
        X, nested = list(X), True
    if not isinstance(X, (list, tuple)) or len(X) == 0:
        return None
    if any(len(getattr(row, "shape", ())) > 0 for row in X):
        return list(X)
    if not all(isinstance(row, (list, tuple)) for row in X):
        return None
    return list(X) if nested or len({len(row) for row in X}) > 1 else None


def as_array(piece: Any, i: int, name: str) -> AnyArray:
    """Return sequence i of X as an array, or raise an error that names it."""
    if hasattr(piece, "toarray"):
        raise TypeError(
            f"Sparse data was passed for sequence {i} of {name}, but dense data is "
            "required. Use '.toarray()' to convert to a dense numpy array."
        )
    try:
        return np.asarray(piece)
    except ValueError as error:
        raise ValueError(
            f"Every step of a sequence of {name} must have the same number of "
            f"features. Got different numbers in sequence {i}."
        ) from error


def _check_columns(
    estimator: Estimator, pieces: list[Any], reset: bool, name: str
) -> None:
    """Refuse frames whose columns differ among themselves or from those of fit."""
    names = [list(piece.columns) for piece in pieces if hasattr(piece, "columns")]
    if reset:
        estimator._columns_of_frames = names[0] if names else None
    expected = estimator._columns_of_frames
    for i, columns in enumerate(names):
        if expected is not None and columns != expected:
            raise ValueError(
                f"Every sequence of {name} must have the columns of the first sequence "
                f"in fit, in the same order: {expected}. Got {columns} for sequence "
                f"{i}."
            )


def _concatenate(pieces: list[Any], name: str) -> Sequences:
    """Concatenate ragged sequences, after checking that their features match."""
    arrays = [as_array(piece, i, name) for i, piece in enumerate(pieces)]
    for i, array in enumerate(arrays):
        if array.ndim not in (1, 2):
            raise ValueError(
                f"Every sequence of {name} must have shape (n_timesteps, n_features) "
                f"or (n_timesteps,). Got shape {array.shape} for sequence {i}."
            )
        if 0 in array.shape:
            raise ValueError(
                f"Every sequence of {name} must have at least one time step. Got "
                f"shape {array.shape} for sequence {i}. Remove it."
            )
    arrays = [array[:, None] if array.ndim == 1 else array for array in arrays]
    n_features = arrays[0].shape[1]
    for i, array in enumerate(arrays):
        if array.shape[1] != n_features:
            raise ValueError(
                f"Every sequence of {name} must have the same number of features. "
                f"Got {n_features} for sequence 0 and {array.shape[1]} for sequence "
                f"{i}."
            )
    values = _numeric(np.concatenate(arrays), name)
    lengths = np.array([len(array) for array in arrays])
    if (lengths == lengths[0]).all():
        values = values.reshape(len(arrays), lengths[0], n_features)
        return Sequences(values, ragged=True)
    return Sequences(values, lengths)


def _numeric(values: AnyArray, name: str) -> AnyArray:
    """Return values with a numeric dtype, or raise an error that says why not."""
    if values.dtype.kind == "O":
        try:
            return missing_as_nan(values).astype(np.float64)
        except (TypeError, ValueError) as error:
            raise ValueError(
                f"{name} must contain numbers only ({error}). Encode categories or "
                "tokens first, with TokenOneHotEncoder or TokenEncoder."
            ) from error
    if values.dtype.kind == "c":
        raise ValueError(
            f"Complex data not supported. {name} must contain real numbers. Pass the "
            "real and the imaginary part as two features."
        )
    check_no_dates(values, name)
    if values.dtype.kind not in "fiub":
        raise ValueError(
            f"{name} must contain numbers only. Got dtype {values.dtype}. Encode "
            "categories or tokens first, with TokenOneHotEncoder or TokenEncoder."
        )
    return values


def check_any_length(
    estimator: Estimator, sequences: Sequences, reset: bool, name: str
) -> Sequences:
    """Set or check the number of features per step of 3-D or ragged X."""
    owner = type(estimator).__name__
    if reset:
        estimator.n_features_in_ = sequences.n_features
        # mypy takes `vars` for that of a class.
        vars(estimator).pop("feature_names_in_", None)  # type: ignore[attr-defined]
        return sequences
    if estimator._input_kind == FIXED:
        n_timesteps = estimator.n_features_in_
        shape = sequences.values.shape
        if sequences.lengths is not None or shape[1:] != (n_timesteps, 1):
            came = "ragged sequences" if sequences.lengths is not None else f"{shape}"
            raise ValueError(
                f"{name} must be 2-D (n_samples, {n_timesteps}), as the X that {owner} "
                f"was fitted on. Got {came}. To use sequences of other lengths, fit on "
                "X[:, :, None]."
            )
    elif sequences.n_features != estimator.n_features_in_:
        raise ValueError(
            f"{name} has {sequences.n_features} features per time step, but {owner} is "
            f"expecting {estimator.n_features_in_}. The last axis of {name} holds the "
            "features; data with channels before time needs X.transpose(0, 2, 1)."
        )
    return sequences
