"""Encoders of tokens as one-hot time steps or as integer ids."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Literal, Self

import numpy as np
from sklearn.utils.validation import check_is_fitted

from skrnn._data.sequences import PADDING, UNKNOWN, split_sequences
from skrnn._preprocessing.vocabulary import (
    TABLE,
    BaseTokenEncoder,
    decode,
    describe,
    read_tokens,
)
from skrnn._typing import AnyArray, DTypeLike, IntArray, TokensLike


class TokenOneHotEncoder(BaseTokenEncoder):
    r"""Encode sequences of tokens, or the words of documents, as one-hot time steps.

    Every token becomes one time step with a 1 in the column of that token. Unlike
    `CountVectorizer`, this preserves the order of the tokens. All time steps share one
    vocabulary, whereas `OneHotEncoder` learns one for each column of X. Prefer it for
    small vocabularies, such as characters, amino acids, states of a machine or a few
    hundred words: the output has `n_tokens` values for every time step.

    Parameters
    ----------
    analyzer : {'word', 'char'} or callable, default='word'
        How documents are split into tokens, as in `CountVectorizer`: into matches of
        `token_pattern`, or into characters, where a run of whitespace counts as one
        space. A callable is passed the unprocessed document and returns its tokens.
        Not applied to token sequences.

    lowercase : bool, default=True
        Whether documents are converted to lower case before they are split. Not
        applied to token sequences, nor with a callable `analyzer`.

    token_pattern : str, default=r"(?u)\b\w+\b"
        Regular expression of a token, for `analyzer='word'`. If it has a capturing
        group, of which there may be at most one, the group is the token. Unlike the
        default of `CountVectorizer`, it keeps words of one letter, because removing
        them would make words adjacent that are not.

    min_df : int in [1, inf) or float in [0, 1], default=1
        Exclude tokens that occur in fewer sequences than this: a number of sequences
        if int, a fraction of them if float. Ignored with a fixed `vocabulary`.

    max_features : int in [1, inf) or None, default=None
        Keep only this many of the tokens that occur most often across all sequences.
        Ignored with a fixed `vocabulary`.

    vocabulary : mapping or iterable, default=None
        The tokens to encode: a mapping from token to column, where columns must not
        be repeated or left out, or an iterable of distinct tokens in the order of
        their columns (a set is sorted). If None, the vocabulary is learned in `fit`.

    handle_unknown : {'ignore', 'error'}, default='ignore'
        How tokens outside the vocabulary are encoded, including those excluded by
        `min_df` or `max_features`. With 'ignore' their time steps are all zeros; they
        are not dropped, so lengths do not change. With 'error' they raise a ValueError.

    dtype : numpy dtype, default=np.float32
        The dtype of the output.

    Attributes
    ----------
    vocabulary_ : dict
        The column of each token. A learned vocabulary is sorted.

    n_features_in_ : int
        Number of time steps. Only after a fit on rectangular X.

    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Names of the columns. Only after a fit on a DataFrame whose column names are
        all strings.

    See Also
    --------
    TokenEncoder : Encodes each token as an integer id, for large vocabularies.
    sklearn.feature_extraction.text.CountVectorizer : Counts tokens. For the same text,
        its output is the sum of the one-hot vectors over the time steps.
    sklearn.preprocessing.OneHotEncoder : Encodes each column by its own categories.

    Notes
    -----
    X may be

    - documents: any iterable of str, which `analyzer` splits into tokens. The output
      is ragged: a 1-D object array with an array `(n_timesteps, n_tokens)` for each
      document. A document without tokens becomes one step of zeros.
    - token sequences: a list or 1-D object array of lists, or of 1-D arrays, whose
      lengths may differ. Tokens are used unchanged, and the output is ragged too.
    - rectangular: a 2-D array, a DataFrame, or a list of lists of one length. Every
      cell is a token, so that a column of documents has to be passed as a Series.
      The output is an array `(n_samples, n_timesteps, n_tokens)`.

    After a fit on documents or token sequences, a list of lists of one length is
    ragged, since a subset of ragged data may have equal lengths by chance; 2-D arrays
    and DataFrames are rectangular. After a fit on rectangular X, every X must have the
    same number of time steps. If only the X of `fit` has equal lengths by chance, pass
    a list of 1-D arrays, which is always ragged.

    Tokens are strings or numbers, not both, and neither missing nor infinite.

    Examples
    --------
    Two documents with the same words differ in their order:

    >>> import numpy as np
    >>> from skrnn import TokenOneHotEncoder
    >>> encoder = TokenOneHotEncoder()
    >>> rise, fall = encoder.fit_transform(["from bad to good", "from good to bad"])
    >>> encoder.vocabulary_
    {'bad': 0, 'from': 1, 'good': 2, 'to': 3}
    >>> rise
    array([[0., 1., 0., 0.],
           [1., 0., 0., 0.],
           [0., 0., 0., 1.],
           [0., 0., 1., 0.]], dtype=float32)
    >>> np.array_equal(rise, fall)
    False
    >>> np.array_equal(rise.sum(axis=0), fall.sum(axis=0))  # equal counts
    True

    An unknown word becomes a time step of zeros:

    >>> steps = encoder.transform(["from worse to good"])
    >>> steps[0].sum(axis=1)
    array([1., 0., 1., 1.], dtype=float32)
    >>> encoder.inverse_transform(steps)[0]
    array(['from', None, 'to', 'good'], dtype=object)

    The encoding of a 2-D array of tokens is 3-D:

    >>> genes = [list("GAT"), list("TTA")]
    >>> TokenOneHotEncoder().fit_transform(genes).shape
    (2, 3, 3)
    """

    _parameter_constraints: dict = {
        **BaseTokenEncoder._parameter_constraints,
        "dtype": "no_validation",  # left to numpy, as in OneHotEncoder
    }

    def __init__(
        self,
        *,
        analyzer: Literal["word", "char"] | Callable[[Any], Iterable[Any]] = "word",
        lowercase: bool = True,
        token_pattern: str = r"(?u)\b\w+\b",
        min_df: int | float = 1,
        max_features: int | None = None,
        vocabulary: Mapping[Any, int] | Iterable[Any] | None = None,
        handle_unknown: Literal["ignore", "error"] = "ignore",
        dtype: DTypeLike = np.float32,
    ) -> None:
        self.analyzer = analyzer
        self.lowercase = lowercase
        self.token_pattern = token_pattern
        self.min_df = min_df
        self.max_features = max_features
        self.vocabulary = vocabulary
        self.handle_unknown = handle_unknown
        self.dtype = dtype

    def fit(self, X: TokensLike, y: Any = None) -> Self:
        """Learn the vocabulary, or validate the given one.

        Parameters
        ----------
        X : iterable of str, token sequences, or array-like (n_samples, n_timesteps)
            Documents or tokens.

        y : None
            Ignored.

        Returns
        -------
        self : TokenOneHotEncoder
            The fitted encoder.

        Raises
        ------
        ValueError
            If the vocabulary is empty, if the given vocabulary is invalid, if it lacks
            a token of X and `handle_unknown='error'`, or if a token is missing or
            infinite.
        TypeError
            If the tokens are not all strings or all numbers.
        """
        self._fit(X)
        return self

    def fit_transform(self, X: TokensLike, y: Any = None) -> AnyArray:
        """Learn the vocabulary and encode X, which is read only once.

        Parameters
        ----------
        X : iterable of str, token sequences, or array-like (n_samples, n_timesteps)
            Documents or tokens.

        y : None
            Ignored.

        Returns
        -------
        X_out : ndarray of shape (n_samples, n_timesteps, n_tokens) or (n_samples,)
            3-D for rectangular X; otherwise a 1-D object array of arrays
            `(n_timesteps, n_tokens)`. A sequence without tokens becomes one step of
            zeros.
        """
        return self._encode(*self._fit(X))

    def transform(self, X: TokensLike) -> AnyArray:
        """Encode every token as a one-hot time step.

        Parameters
        ----------
        X : iterable of str, token sequences, or array-like (n_samples, n_timesteps)
            Documents or tokens.

        Returns
        -------
        X_out : ndarray of shape (n_samples, n_timesteps, n_tokens) or (n_samples,)
            3-D for rectangular X; otherwise a 1-D object array of arrays
            `(n_timesteps, n_tokens)`. A sequence without tokens becomes one step of
            zeros.

        Warns
        -----
        UserWarning
            If X is text and none of its tokens is in the vocabulary.

        Raises
        ------
        ValueError
            If X contains unknown tokens and `handle_unknown='error'`, or does not have
            the number of time steps of a rectangular X passed to `fit`.
        """
        check_is_fitted(self, "vocabulary_")
        return self._encode(*read_tokens(self, X, reset=False))

    def inverse_transform(self, X: Any) -> AnyArray:
        """Return the tokens of one-hot time steps.

        Parameters
        ----------
        X : ndarray (n_samples, n_timesteps, n_tokens) or sequence of 2-D arrays
            One-hot time steps as returned by `transform`, of any numeric dtype.
            Probabilities raise an error.

        Returns
        -------
        tokens : ndarray of shape (n_samples, n_timesteps) or (n_samples,)
            2-D for 3-D X; otherwise a 1-D object array of 1-D arrays. All-zero time
            steps become None; the dtype is then object, otherwise that of the tokens.

        Raises
        ------
        ValueError
            If X has the wrong number of columns or a step that is not one-hot.
        """
        check_is_fitted(self, "vocabulary_")
        steps, lengths = read_one_hot(X, len(self.vocabulary_))
        tokens = decode(one_hot_indices(steps, lengths), self.vocabulary_)
        if getattr(X, "ndim", 1) == 3:
            return tokens.reshape(X.shape[:2])
        return split_sequences(tokens, lengths)

    def _encode(self, rows: list[list[Any]], kind: str) -> AnyArray:
        columns, lengths = self._read(rows)
        steps = one_hot(columns, len(self.vocabulary_), self.dtype)
        if kind == TABLE:
            return steps.reshape(len(rows), len(rows[0]), -1)
        return split_sequences(steps, lengths)


class TokenEncoder(BaseTokenEncoder):
    r"""Encode sequences of tokens, or the words of documents, as integer ids.

    Every token becomes one time step with a single id. Prefer it to
    `TokenOneHotEncoder` for large vocabularies, and set the `embedding_dim` of the
    estimator, which then learns a vector for each id.

    Id 0 is padding at the end of a row, 1 an unknown token; the ids of the vocabulary
    start at 2.

    Parameters
    ----------
    analyzer : {'word', 'char'} or callable, default='word'
        How documents are split into tokens, as in `CountVectorizer`: into matches of
        `token_pattern`, or into characters, where a run of whitespace counts as one
        space. A callable is passed the unprocessed document and returns its tokens.
        Not applied to token sequences.

    lowercase : bool, default=True
        Whether documents are converted to lower case before they are split. Not
        applied to token sequences, nor with a callable `analyzer`.

    token_pattern : str, default=r"(?u)\b\w+\b"
        Regular expression of a token, for `analyzer='word'`. If it has a capturing
        group, of which there may be at most one, the group is the token. Unlike the
        default of `CountVectorizer`, it keeps words of one letter, because removing
        them would make words adjacent that are not.

    min_df : int in [1, inf) or float in [0, 1], default=1
        Exclude tokens that occur in fewer sequences than this: a number of sequences
        if int, a fraction of them if float. Ignored with a fixed `vocabulary`.

    max_features : int in [1, inf) or None, default=None
        Keep only this many of the tokens that occur most often across all sequences.
        Ignored with a fixed `vocabulary`.

    vocabulary : mapping or iterable, default=None
        The tokens to encode: a mapping from token to id, with the ids from 2 without
        repetition or gap, such as the `vocabulary_` of another TokenEncoder, or an
        iterable of distinct tokens in the order of their ids (a set is sorted). If
        None, the vocabulary is learned in `fit`.

    handle_unknown : {'ignore', 'error'}, default='ignore'
        How tokens outside the vocabulary are encoded, including those excluded by
        `min_df` or `max_features`. With 'ignore' their id is 1; they are not dropped,
        so lengths do not change. With 'error' they raise a ValueError.

    Attributes
    ----------
    vocabulary_ : dict
        The id of each token, starting at 2. A learned vocabulary is sorted.

    n_ids_ : int
        Number of ids, including 0 and 1.

    n_features_in_ : int
        Number of time steps. Only after a fit on rectangular X.

    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Names of the columns. Only after a fit on a DataFrame whose column names are
        all strings.

    See Also
    --------
    TokenOneHotEncoder : Encodes tokens as one-hot time steps, for small vocabularies.

    Notes
    -----
    X may be documents, token sequences, or rectangular, as for `TokenOneHotEncoder`.
    The output is ragged for documents and token sequences, 2-D for rectangular X.

    Examples
    --------
    >>> from skrnn import TokenEncoder
    >>> encoder = TokenEncoder()
    >>> encoder.fit_transform(["from bad to good", "so good"])
    array([array([3, 2, 6, 4]), array([5, 4])], dtype=object)
    >>> encoder.vocabulary_
    {'bad': 2, 'from': 3, 'good': 4, 'so': 5, 'to': 6}
    >>> encoder.transform(["from worse to good"])[0]
    array([3, 1, 6, 4])

    `inverse_transform` removes padding and returns None for unknown tokens:

    >>> encoder.inverse_transform([[3, 1, 6, 4]])[0]
    array(['from', None, 'to', 'good'], dtype=object)
    >>> encoder.inverse_transform([[5, 4, 0, 0]])[0]
    array(['so', 'good'], dtype='<U4')
    """

    _parameter_constraints: dict = dict(BaseTokenEncoder._parameter_constraints)
    _first_id = UNKNOWN + 1
    _unknown = f"the id {UNKNOWN}"

    def __init__(
        self,
        *,
        analyzer: Literal["word", "char"] | Callable[[Any], Iterable[Any]] = "word",
        lowercase: bool = True,
        token_pattern: str = r"(?u)\b\w+\b",
        min_df: int | float = 1,
        max_features: int | None = None,
        vocabulary: Mapping[Any, int] | Iterable[Any] | None = None,
        handle_unknown: Literal["ignore", "error"] = "ignore",
    ) -> None:
        self.analyzer = analyzer
        self.lowercase = lowercase
        self.token_pattern = token_pattern
        self.min_df = min_df
        self.max_features = max_features
        self.vocabulary = vocabulary
        self.handle_unknown = handle_unknown

    def fit(self, X: TokensLike, y: Any = None) -> Self:
        """Learn the vocabulary, or validate the given one.

        Parameters
        ----------
        X : iterable of str, token sequences, or array-like (n_samples, n_timesteps)
            Documents or tokens.

        y : None
            Ignored.

        Returns
        -------
        self : TokenEncoder
            The fitted encoder.

        Raises
        ------
        ValueError
            If the vocabulary is empty, if the given vocabulary is invalid, if it lacks
            a token of X and `handle_unknown='error'`, or if a token is missing or
            infinite.
        TypeError
            If the tokens are not all strings or all numbers.
        """
        self._fit(X)
        self.n_ids_ = self._first_id + len(self.vocabulary_)
        return self

    def fit_transform(self, X: TokensLike, y: Any = None) -> AnyArray:
        """Learn the vocabulary and encode X, which is read only once.

        Parameters
        ----------
        X : iterable of str, token sequences, or array-like (n_samples, n_timesteps)
            Documents or tokens.

        y : None
            Ignored.

        Returns
        -------
        ids : ndarray of shape (n_samples, n_timesteps) or (n_samples,)
            2-D for rectangular X; otherwise a 1-D object array of 1-D arrays, of
            int64. A sequence without tokens becomes one unknown token.
        """
        rows, kind = self._fit(X)
        self.n_ids_ = self._first_id + len(self.vocabulary_)
        return self._encode(rows, kind)

    def transform(self, X: TokensLike) -> AnyArray:
        """Encode every token as its id.

        Parameters
        ----------
        X : iterable of str, token sequences, or array-like (n_samples, n_timesteps)
            Documents or tokens.

        Returns
        -------
        ids : ndarray of shape (n_samples, n_timesteps) or (n_samples,)
            2-D for rectangular X; otherwise a 1-D object array of 1-D arrays, of
            int64. A sequence without tokens becomes one unknown token.

        Warns
        -----
        UserWarning
            If X is text and none of its tokens is in the vocabulary.

        Raises
        ------
        ValueError
            If X contains unknown tokens and `handle_unknown='error'`, or does not have
            the number of time steps of a rectangular X passed to `fit`.
        """
        check_is_fitted(self, "vocabulary_")
        return self._encode(*read_tokens(self, X, reset=False))

    def inverse_transform(self, X: Any) -> AnyArray:
        """Return the tokens of ids, without padding.

        Parameters
        ----------
        X : array-like (n_samples, n_timesteps) or sequence of 1-D arrays
            Ids as returned by `transform`, of any numeric dtype. A list of lists is
            ragged, even if all lengths are equal.

        Returns
        -------
        tokens : ndarray of shape (n_samples, n_timesteps) or (n_samples,)
            2-D for 2-D X without padding; otherwise a 1-D object array of 1-D arrays
            without the padding. Unknown tokens become None; the dtype is then object,
            otherwise that of the tokens.

        Raises
        ------
        ValueError
            If X has another form, or contains values other than ids.
        """
        check_is_fitted(self, "vocabulary_")
        ids, lengths = read_ids(X, self.n_ids_)
        is_token = ids != PADDING
        indices = np.maximum(ids[is_token] - self._first_id, -1)
        tokens = decode(indices, self.vocabulary_)
        if not is_token.all():
            row_of_id = np.repeat(np.arange(len(lengths)), lengths)
            lengths = np.bincount(row_of_id[is_token], minlength=len(lengths))
        elif len(getattr(X, "shape", ())) == 2:
            return tokens.reshape(X.shape)
        return split_sequences(tokens, lengths)

    def _encode(self, rows: list[list[Any]], kind: str) -> AnyArray:
        ids, lengths = self._read(rows)
        ids = np.where(ids < 0, UNKNOWN, ids).astype(np.int64)
        if kind == TABLE:
            return ids.reshape(len(rows), -1)
        return split_sequences(ids, lengths)


# One-hot time steps


def one_hot(columns: AnyArray, n_tokens: int, dtype: DTypeLike) -> AnyArray:
    """Return one-hot steps `(len(columns), n_tokens)`, all zeros for column -1."""
    steps = np.zeros((len(columns), n_tokens), dtype=dtype)
    known = np.flatnonzero(columns >= 0)
    steps[known, columns[known]] = 1
    return steps


def read_one_hot(X: Any, n_tokens: int) -> tuple[AnyArray, Any]:
    """Concatenate the steps of 3-D or ragged X; return them and the lengths."""
    ndim = getattr(X, "ndim", None)
    if ndim == 3:
        pieces: Any = np.asarray(X)
    elif isinstance(X, (list, tuple)) or ndim == 1:
        pieces = [np.asarray(piece) for piece in X]
    else:
        raise not_one_hot(describe(X), n_tokens)
    if len(pieces) == 0:
        raise ValueError("X must contain at least one sequence. Got none.")
    for i, piece in enumerate(pieces):
        if piece.ndim != 2 or piece.shape[1] != n_tokens:
            raise not_one_hot(f"{describe(piece)} as sequence {i}", n_tokens)
    lengths = [len(piece) for piece in pieces]
    steps = pieces.reshape(-1, n_tokens) if ndim == 3 else np.concatenate(pieces)
    return steps, lengths


def not_one_hot(given: str, n_tokens: int) -> ValueError:
    """Return the error for X that is not one-hot."""
    return ValueError(
        f"X must be 3-D (n_samples, n_timesteps, {n_tokens}), or a list of arrays "
        f"(n_timesteps, {n_tokens}), with one column for each token of vocabulary_. "
        f"Got {given}. Pass the output of transform."
    )


def one_hot_indices(steps: AnyArray, lengths: Any) -> IntArray:
    """Return the column of the 1 in every step, -1 for all-zero steps."""
    columns = steps.argmax(axis=1)
    hot = steps[np.arange(len(steps)), columns] == 1
    wrong = np.flatnonzero(np.count_nonzero(steps, axis=1) != hot)
    if len(wrong) > 0:
        sequence = int(np.searchsorted(np.cumsum(lengths), wrong[0], side="right"))
        step = int(wrong[0]) - sum(lengths[:sequence])
        raise ValueError(
            "Every time step of X must be one-hot or all zeros. Got other values in "
            f"step {step} of sequence {sequence}. For probabilities pass "
            f"np.eye({steps.shape[1]})[X.argmax(axis=-1)]."
        )
    return np.where(hot, columns, -1)


# Ids


def read_ids(X: Any, n_ids: int) -> tuple[IntArray, list[int]]:
    """Concatenate the ids of 2-D or ragged X; return them and the lengths."""
    ndim = len(getattr(X, "shape", ()))
    if ndim == 2 and not hasattr(X, "toarray"):
        pieces = list(np.asarray(X))  # iterating a frame yields its columns
    elif isinstance(X, (list, tuple)) or ndim == 1:
        pieces = [np.asarray(piece) for piece in X]
    else:
        sparse = hasattr(X, "toarray")
        raise not_ids(type(X).__name__ if sparse else describe(X), n_ids)
    if len(pieces) == 0:
        raise ValueError("X must contain at least one sequence. Got none.")
    for i, piece in enumerate(pieces):
        if piece.ndim == 0:  # X is 1-D
            raise not_ids(f"{piece.item()!r:.80} as sequence {i}", n_ids)
        if piece.ndim != 1:
            raise not_ids(f"{describe(piece)} as sequence {i}", n_ids)
        if piece.dtype.kind not in "biufO":
            raise not_ids(f"{piece.tolist()!r:.80} as sequence {i}", n_ids)
    given = np.concatenate(pieces)
    try:
        ids = given.astype(np.float64)
    except (TypeError, ValueError) as error:
        raise not_ids("objects that are not numbers", n_ids) from error
    wrong = ~((ids >= 0) & (ids < n_ids) & (ids == np.floor(ids)))
    if wrong.any():
        raise not_ids(given[wrong][0], n_ids)
    return ids.astype(np.intp), [len(piece) for piece in pieces]


def not_ids(given: str, n_ids: int) -> ValueError:
    """Return the error for X that does not contain ids."""
    return ValueError(
        f"X must contain ids from 0 to {n_ids - 1}, 2-D (n_samples, n_timesteps) or a "
        f"list of 1-D arrays. Got {given}. Pass the output of transform."
    )
