"""What a sequence is: the border where a user's X becomes `Sequences`.

Everything behind this border may trust that X is numeric, finite, rectangular or
ragged in a known way, and oldest step first. Legend of shapes:

    n_samples, n_timesteps, n_features    outside, in errors and docstrings
    N, L, F                               a batch: rows, steps (padded), features
"""

import numpy as np
import pandas as pd
from sklearn.utils.validation import validate_data

# Work that must visit every value of a window view goes through it in pieces of
# about this size, because the view itself may be a hundred times its memory.
CHUNK_BYTES = 2**23

FIXED, FREE = "fixed", "free"  # 2-D X of one length; 3-D or ragged X of any length

PADDING, UNKNOWN = 0, 1  # ids of tokens; those of a vocabulary follow


class Sequences:
    """The sequences of one X, stored without a copy wherever that is possible.

    Parameters
    ----------
    values : ndarray
        `(n_samples, n_timesteps, n_features)` for sequences of one length, of any
        numeric dtype and any strides (a window view stays a view); or, when
        `lengths` is given, all sequences end to end: `(sum(lengths), n_features)`.

    lengths : ndarray of shape (n_samples,), default=None
        The number of steps of each sequence when they differ.

    ragged : bool, default=False
        Whether they came one by one, and answers for each step are wanted so, even if
        their lengths happen to be equal.
    """

    def __init__(self, values, lengths=None, ragged=False):
        self.values = values
        self.lengths = lengths
        self.ragged = ragged or lengths is not None
        self.padded_steps = None  # of each sequence, with padding that was taken off
        if lengths is not None:
            self.starts = np.concatenate([[0], np.cumsum(lengths)[:-1]])

    def __len__(self):
        return len(self.values) if self.lengths is None else len(self.lengths)

    @property
    def n_features(self):
        """Number of features of a time step."""
        return self.values.shape[-1]

    @property
    def longest(self):
        """Number of steps of the longest sequence."""
        return self.values.shape[1] if self.lengths is None else self.lengths.max()

    def n_steps(self):
        """Return the number of steps of each sequence."""
        if self.lengths is not None:
            return self.lengths
        return np.full(len(self), self.values.shape[1])

    def expressed_steps(self):
        """Return the number of steps of each sequence as `take` gives it."""
        return self.n_steps()

    @property
    def dtype(self):
        """The dtype of the values as they came."""
        return self.values.dtype

    def take(self, rows, dtype):
        """Gather rows into one padded batch.

        Parameters
        ----------
        rows : ndarray of int or slice
            Which sequences.

        dtype : numpy dtype
            The dtype of the batch.

        Returns
        -------
        values : ndarray of shape (N, L, F)
            C-contiguous and owned by the caller; zeros behind the end of a sequence.

        lengths : ndarray of shape (N,) or None
            None where every row has L steps.
        """
        if self.lengths is None:
            batch = self.values[rows]
            if np.may_share_memory(batch, self.values):  # rows was a slice
                batch = batch.copy()
            return np.ascontiguousarray(batch, dtype=dtype), None
        lengths = self.lengths[rows]
        steps = np.arange(lengths.max())
        valid = steps < lengths[:, None]
        batch = np.zeros((*valid.shape, self.n_features), dtype=dtype)
        batch[valid] = self.values[(self.starts[rows][:, None] + steps)[valid]]
        return batch, None if valid.all() else lengths

    def chunks(self, rows):
        """Yield `(rows, values, n_steps)`, the valid steps of `rows`, in pieces.

        `values` is `(sum(n_steps), n_features)` in float64, `n_steps` the number of
        steps of each row. Pieces are small enough to be copied freely.
        """
        size = max(1, CHUNK_BYTES // (8 * self.longest * self.n_features))
        for first in range(0, len(rows), size):
            part = rows[first : first + size]
            batch, lengths = self.take(part, np.float64)
            if lengths is None:
                n_steps = np.full(len(part), batch.shape[1])
                yield part, batch.reshape(-1, self.n_features), n_steps
            else:
                valid = np.arange(batch.shape[1]) < lengths[:, None]
                yield part, batch[valid], lengths

    def reference(self):
        """Return where y is measured from and in which unit, None for y's own."""
        return None

    def overlap_before(self, row):
        """Count the rows just before `row` that share time steps with it.

        Windows cut from one series with a stride below their length overlap. A row
        of the training part that overlaps the first row of the validation part
        would leak into it. The stride is read off the values themselves, so that
        windows which were copied are recognised as well as views. A few rows must
        agree on it, in values that vary: independent rows may look alike by chance
        or where nothing happens. Windows of different lengths, and windows changed
        one by one, are not recognised.
        """
        if self.lengths is not None or row == 0:
            return 0
        n_timesteps = self.values.shape[1]
        first = max(0, row - 3)
        rows = self.values[first : row + 1]
        for stride in range(1, n_timesteps):
            before, here = rows[:-1, stride:], rows[1:, :-stride]
            if (before[-1] == before[-1, :1]).all() and n_timesteps - stride > 1:
                continue  # constant: tells nothing
            if np.array_equal(before, here):
                return min(row, (n_timesteps - 1) // stride)
        return 0


def check_sequences(estimator, X, *, reset, dtype=None, name="X"):
    """Validate X and set or check what the estimator knows of its shape.

    Parameters
    ----------
    estimator : estimator
        Gets `n_features_in_`, `feature_names_in_` (2-D frames only) and
        `_input_kind` when `reset`, is held against them otherwise.

    X : array-like, DataFrame, list or tuple of arrays
        Any of the accepted forms, see the documentation of the estimators.

    reset : bool
        Whether this is the X of a new fit.

    dtype : numpy dtype, default=None
        The dtype that batches will have; values that it cannot hold are refused.

    name : str, default='X'
        What messages call it.

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
    _check_no_text(X, name)
    pieces = _ragged_pieces(X, nested=not reset and estimator._input_kind == FREE)
    if pieces is not None:
        _check_columns(estimator, pieces, reset, name)
        sequences = _concatenate(pieces, name)
        kind = FREE
    elif _n_dimensions(X) == 3:
        sequences = Sequences(_numeric(np.asarray(X), name))
        kind = FREE
        if 0 in sequences.values.shape:
            raise ValueError(
                f"{name} must have at least one sample, one time step and one feature."
                f" Got an array of shape {sequences.values.shape}."
            )
    elif _n_dimensions(X) > 3:
        raise ValueError(
            f"{name} must be 2-D (n_samples, n_timesteps), 3-D (n_samples, "
            "n_timesteps, n_features) or a list of sequences. Got an array of shape "
            f"{np.shape(X)}."
        )
    else:
        if not reset and estimator._input_kind == FREE and _n_dimensions(X) == 2:
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
        X = validate_data(
            estimator, X, reset=reset, dtype="numeric", ensure_all_finite=False
        )
        sequences = Sequences(_numeric(X, name)[:, :, None])
        kind = FIXED
    if kind == FREE:
        sequences = _check_free(estimator, sequences, reset, name)
    if reset:
        estimator._input_kind = kind
        if pieces is None:
            estimator._columns_of_frames = None
    check_finite(sequences, dtype or compute_dtype(sequences.dtype), name)
    return sequences


def read_token_ids(sequences, name="X"):
    """Return sequences of token ids without the padding behind them.

    Parameters
    ----------
    sequences : Sequences
        With one feature; trailing zeros are padding.

    name : str, default='X'
        What messages call it.

    Returns
    -------
    sequences : Sequences
        Ragged if some had padding.

    highest : int
        The highest id.

    Raises
    ------
    ValueError
        If a value is not an id, or stands where none can.
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


def compute_dtype(dtype):
    """Return the precision that data of `dtype` is computed in on a CPU.

    As in scikit-learn, precision follows the data: float32 (and float16) stay in
    float32, everything else, integers included, is float64.
    """
    narrow = dtype.kind == "f" and dtype.itemsize <= 4
    return np.dtype(np.float32 if narrow else np.float64)


def check_finite(sequences, dtype, name="X"):
    """Refuse NaN, infinity, and values that arithmetic in `dtype` would overflow on.

    A window view is checked on the memory below it, which holds every value once.
    Only if something is found there the windows themselves are searched, since that
    memory may hold columns which X does not show.
    """
    values = sequences.values
    if values.dtype.kind not in "f":
        return
    limit = np.finfo(dtype).max / 4  # room for taking a mean off
    base = _memory_below(values)
    if base is not None and _within(base, limit):
        return
    for first in range(0, len(values), _rows_per_chunk(values)):
        part = values[first : first + _rows_per_chunk(values)]
        if _within(part, limit):
            continue
        if np.isnan(part).any():
            raise ValueError(
                f"Input {name} contains NaN. Impute missing values before, for "
                "example with SimpleImputer."
            )
        raise ValueError(
            f"Input {name} contains infinity or a value too large for {dtype!r}. "
            "Remove it, or scale the data."
        )


def _within(values, limit):
    # The two reductions need no copy of a contiguous array, and NaN fails both tests.
    with np.errstate(invalid="ignore"):
        return bool(-limit <= values.min()) and bool(values.max() <= limit)


def _rows_per_chunk(values):
    return max(1, CHUNK_BYTES // max(1, values[:1].nbytes))


def _memory_below(values):
    """Return the stretch of memory that `values` shows, as 1-D, or None.

    None if the values do not overlap in memory: then looking at them costs no more
    than looking at what is below.
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


def _n_dimensions(X):
    if hasattr(X, "shape"):
        return len(X.shape)
    return np.asarray(X).ndim


def _check_no_text(X, name):
    """Refuse a list or column of strings, which others would take for one row."""
    is_column = len(getattr(X, "shape", ())) == 1 or isinstance(X, (list, tuple))
    if is_column and len(X) and isinstance(next(iter(X)), str):
        raise ValueError(
            f"{name} must contain numbers only. Got text: {next(iter(X))[:40]!r}. "
            "Encode it first, for example with TokenOneHotEncoder."
        )


def _ragged_pieces(X, nested):
    """Return X as a list of sequences if it is a ragged form, else None.

    A list of arrays always is one, and so is a 1-D object array or a Series of
    sequences. A list of lists is one if its lengths differ, or, with `nested`, if the
    estimator was fitted on sequences of any length: whether a part of ragged data
    happens to have equal lengths must not matter.
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


def _as_array(piece, i, name):
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


def _check_columns(estimator, pieces, reset, name):
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


def _concatenate(pieces, name):
    """Lay ragged sequences end to end, checking that they belong together."""
    arrays = [_as_array(piece, i, name) for i, piece in enumerate(pieces)]
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


def _numeric(values, name):
    """Return values with a dtype of numbers, or say why that is impossible."""
    if values.dtype.kind == "O":
        try:
            return values.astype(np.float64)
        except (TypeError, ValueError) as error:
            raise ValueError(
                f"{name} must contain numbers only ({error}). Encode categories or "
                "tokens first, for example with TokenOneHotEncoder."
            ) from error
    if values.dtype.kind == "c":
        raise ValueError(
            f"Complex data not supported. {name} must contain real numbers. Pass the "
            "real and the imaginary part as two features."
        )
    if values.dtype.kind not in "fiub":
        raise ValueError(
            f"{name} must contain numbers only. Got dtype {values.dtype}. Encode "
            "categories or tokens first, for example with TokenOneHotEncoder."
        )
    return values


def _check_free(estimator, sequences, reset, name):
    """Set or check the number of features per step of 3-D or ragged X."""
    owner = type(estimator).__name__
    if reset:
        estimator.n_features_in_ = sequences.n_features
        vars(estimator).pop("feature_names_in_", None)
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


def feature_scaling(sequences, rows, weights=None, *, spare_binary=True):
    """Compute the weighted mean and deviation of each feature over valid steps.

    Parameters
    ----------
    sequences : Sequences
        The data.

    rows : ndarray of int
        Which sequences count.

    weights : ndarray of shape (len(rows),), default=None
        Of each of these sequences; every step of a sequence has its weight. Or of
        every one of their steps, end to end.

    spare_binary : bool, default=True
        Whether columns of only zeros and ones keep mean 0 and scale 1: flags and
        one-hot columns mean more as they are.

    Returns
    -------
    mean, scale : ndarray of shape (n_features,)
        In float64. The scale of a constant feature is 1.

    References
    ----------
    Chan, Golub, LeVeque: Updating formulae and a pairwise algorithm for computing
    sample variances. COMPSTAT 1982.
    """
    peak = np.zeros(sequences.n_features)
    binary = np.full(sequences.n_features, spare_binary)
    for _, values, _ in sequences.chunks(rows):
        peak = np.maximum(peak, np.abs(values).max(axis=0))
        if binary.any():
            binary &= ((values == 0) | (values == 1)).all(axis=0)
    peak[peak == 0] = 1.0
    if weights is None:
        weights = np.ones(len(rows))
    of_steps = len(weights) != len(rows)
    # Dividing by the peak keeps the squares of 1e300 and of 1e-300 in range.
    total, mean, sum_of_squares = 0.0, np.zeros_like(peak), np.zeros_like(peak)
    first = 0
    for part, values, n_steps in sequences.chunks(rows):
        size = len(values) if of_steps else len(part)
        weight = weights[first : first + size]
        first += size
        if not of_steps:
            weight = np.repeat(weight, n_steps)
        part_total = weight.sum()
        if part_total == 0:
            continue
        values = values / peak
        part_mean = weight @ values / part_total
        difference = part_mean - mean
        share = part_total / (total + part_total)
        sum_of_squares += weight @ (values - part_mean) ** 2
        sum_of_squares += difference**2 * total * share
        mean += difference * share
        total += part_total
    scale = np.sqrt(sum_of_squares / total)
    constant = scale <= 10 * np.finfo(np.float64).eps * np.abs(mean)
    mean, scale = mean * peak, np.where(constant, 1.0, scale * peak)
    return np.where(binary, 0.0, mean), np.where(binary, 1.0, scale)
