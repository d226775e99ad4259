"""Encoders of tokens: one-hot time steps, or ids."""

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


class TokenOneHotEncoder(BaseTokenEncoder):
    r"""Encode sequences of tokens, or the words of documents, as one-hot time steps.

    Every token becomes one time step with a 1 in the column of that token, so the
    order of the tokens is kept, which `CountVectorizer` forgets. All time steps share
    one vocabulary, whereas `OneHotEncoder` gives each column of X its own. Prefer it
    for small vocabularies, such as characters, amino acids, states of a machine or a
    few hundred words: the answer holds `n_tokens` numbers for every time step.

    Parameters
    ----------
    analyzer : {'word', 'char'} or callable, default='word'
        What a token of a document is: a match of `token_pattern`, or a character,
        where a run of white space counts as one space. A callable takes the document
        as it is and returns its tokens. As in `CountVectorizer`; not applied to
        tokens that are given as such.

    lowercase : bool, default=True
        Whether documents are put into lower case before they are cut into tokens.
        Tokens that are given as such, and the documents a callable `analyzer` gets,
        stay as they are.

    token_pattern : str, default=r"(?u)\b\w+\b"
        Regular expression of a token, for `analyzer='word'`. If it has a capturing
        group, the group is the token; there may be one at most. The default of
        `CountVectorizer` leaves out words of one letter, which say little in a count.
        Here they are kept: in a sequence it matters that "I" comes before "a", and
        leaving words out would bring others next to each other that were not.

    min_df : int in [1, inf) or float in [0, 1], default=1
        Leave out tokens that occur in fewer sequences than this: a number of
        sequences if int, a share of them if float. Ignored with a fixed `vocabulary`.

    max_features : int in [1, inf) or None, default=None
        Keep this many tokens only, those that occur most often in all sequences
        together. Ignored with a fixed `vocabulary`.

    vocabulary : mapping or iterable, default=None
        The tokens to encode: a mapping from token to column, where columns must not
        be repeated or left out, or an iterable of distinct tokens in the order of
        their columns (a set is sorted). If None, the vocabulary is learned in `fit`.

    handle_unknown : {'ignore', 'error'}, default='ignore'
        What becomes of a token outside the vocabulary. With 'ignore' its time step is
        all zeros; it is never dropped, so lengths do not change. With 'error' a
        ValueError names it. Tokens that `min_df` or `max_features` left out are
        unknown too.

    dtype : numpy dtype, default=np.float32
        The dtype of the answer.

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
    TokenEncoder : Gives the number of each token instead, for large vocabularies.
    sklearn.feature_extraction.text.CountVectorizer : Counts tokens; on the same text
        its answer is the sum of ours over the time steps.
    sklearn.preprocessing.OneHotEncoder : Encodes each column by its own categories.

    Notes
    -----
    X may be

    - documents: any iterable of str, which `analyzer` cuts into tokens. The answer
      is ragged: a 1-D object array with an array `(n_timesteps, n_tokens)` for each
      document. One without any token gives one step of zeros.
    - token sequences: a list or 1-D object array of lists, or of 1-D arrays, whose
      lengths may differ. Tokens are used as they are, and the answer is ragged too.
    - rectangular: a 2-D array, a DataFrame, or a list of lists of one length. Every
      cell is a token, so that a column of documents has to be passed as a Series.
      The answer is an array `(n_samples, n_timesteps, n_tokens)`.

    What a list of lists of one length means is settled by `fit`. After a fit on
    documents or token sequences it is ragged, like the data it was drawn from,
    whereas 2-D arrays and DataFrames stay rectangular. After a fit on rectangular X
    every X must have the same number of time steps. For data whose lengths happen to
    agree in `fit` only, pass a list of 1-D arrays, which is always ragged.

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
    >>> np.array_equal(rise.sum(axis=0), fall.sum(axis=0))  # what a count sees
    True

    A new word keeps its time step:

    >>> steps = encoder.transform(["from worse to good"])
    >>> steps[0].sum(axis=1)
    array([1., 0., 1., 1.], dtype=float32)
    >>> encoder.inverse_transform(steps)[0]
    array(['from', None, 'to', 'good'], dtype=object)

    A table of tokens gives a 3-D array:

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
        analyzer="word",
        lowercase=True,
        token_pattern=r"(?u)\b\w+\b",
        min_df=1,
        max_features=None,
        vocabulary=None,
        handle_unknown="ignore",
        dtype=np.float32,
    ):
        self.analyzer = analyzer
        self.lowercase = lowercase
        self.token_pattern = token_pattern
        self.min_df = min_df
        self.max_features = max_features
        self.vocabulary = vocabulary
        self.handle_unknown = handle_unknown
        self.dtype = dtype

    def fit(self, X, y=None):
        """Learn the vocabulary, or take over the given one.

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
            If no token is left for the vocabulary, if the given vocabulary is not
            one, if it lacks a token of X and `handle_unknown='error'`, or if a token
            is missing or infinite.
        TypeError
            If the tokens are not all strings or all numbers.
        """
        self._fit(X)
        return self

    def fit_transform(self, X, y=None):
        """Learn the vocabulary and encode the same X, reading it only once.

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

    def transform(self, X):
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
            If X is text, and not one token of it is in the vocabulary.

        Raises
        ------
        ValueError
            If X holds unknown tokens and `handle_unknown='error'`, or does not have
            the number of time steps of the rectangular X seen in `fit`.
        """
        check_is_fitted(self, "vocabulary_")
        return self._encode(*read_tokens(self, X, reset=False))

    def inverse_transform(self, X):
        """Turn one-hot time steps back into tokens.

        Parameters
        ----------
        X : ndarray (n_samples, n_timesteps, n_tokens) or sequence of 2-D arrays
            One-hot time steps as `transform` returns them, of any numeric dtype.
            Probabilities are refused.

        Returns
        -------
        tokens : ndarray of shape (n_samples, n_timesteps) or (n_samples,)
            2-D for 3-D X; otherwise a 1-D object array of 1-D arrays. The dtype of
            the tokens is their natural one; if X has all-zero time steps, it is
            object, and these are None.

        Raises
        ------
        ValueError
            If X has the wrong number of columns or a step that is not one-hot.
        """
        check_is_fitted(self, "vocabulary_")
        steps, lengths = read_one_hot(X, len(self.vocabulary_))
        tokens = decode(hot_columns(steps, lengths), self.vocabulary_)
        if getattr(X, "ndim", 1) == 3:
            return tokens.reshape(X.shape[:2])
        return split_sequences(tokens, lengths)

    def _encode(self, rows, kind):
        columns, lengths = self._read(rows)
        steps = one_hot(columns, len(self.vocabulary_), self.dtype)
        if kind == TABLE:
            return steps.reshape(len(rows), len(rows[0]), -1)
        return split_sequences(steps, lengths)


class TokenEncoder(BaseTokenEncoder):
    r"""Encode sequences of tokens, or the words of documents, as integer ids.

    Every token becomes one time step with a single number. Prefer it to
    `TokenOneHotEncoder` for large vocabularies, and give the estimator that follows an
    `embedding_dim`: it then looks up a vector for each id and learns these vectors.

    Id 0 is padding at the end of a row, 1 is an unknown token, and those of the
    vocabulary follow from 2.

    Parameters
    ----------
    analyzer : {'word', 'char'} or callable, default='word'
        What a token of a document is: a match of `token_pattern`, or a character,
        where a run of white space counts as one space. A callable takes the document
        as it is and returns its tokens. As in `CountVectorizer`; not applied to
        tokens that are given as such.

    lowercase : bool, default=True
        Whether documents are put into lower case before they are cut into tokens.
        Tokens that are given as such, and the documents a callable `analyzer` gets,
        stay as they are.

    token_pattern : str, default=r"(?u)\b\w+\b"
        Regular expression of a token, for `analyzer='word'`. If it has a capturing
        group, the group is the token; there may be one at most. The default of
        `CountVectorizer` leaves out words of one letter, which say little in a count.
        Here they are kept: in a sequence it matters that "I" comes before "a", and
        leaving words out would bring others next to each other that were not.

    min_df : int in [1, inf) or float in [0, 1], default=1
        Leave out tokens that occur in fewer sequences than this: a number of
        sequences if int, a share of them if float. Ignored with a fixed `vocabulary`.

    max_features : int in [1, inf) or None, default=None
        Keep this many tokens only, those that occur most often in all sequences
        together. Ignored with a fixed `vocabulary`.

    vocabulary : mapping or iterable, default=None
        The tokens to encode: a mapping from token to id, from 2 upwards without
        repetition or gap, such as the `vocabulary_` of another TokenEncoder, or an
        iterable of distinct tokens in the order of their ids (a set is sorted). If
        None, the vocabulary is learned in `fit`.

    handle_unknown : {'ignore', 'error'}, default='ignore'
        What becomes of a token outside the vocabulary. With 'ignore' its id is 1; it
        is never dropped, so lengths do not change. With 'error' a ValueError names it.
        Tokens that `min_df` or `max_features` left out are unknown too.

    Attributes
    ----------
    vocabulary_ : dict
        The id of each token, from 2. A learned vocabulary is sorted.

    n_ids_ : int
        Number of ids: those of the vocabulary, and 0 and 1.

    n_features_in_ : int
        Number of time steps. Only after a fit on rectangular X.

    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Names of the columns. Only after a fit on a DataFrame whose column names are
        all strings.

    See Also
    --------
    TokenOneHotEncoder : Gives one-hot time steps, for small vocabularies. An
        embedding that is the identity makes the two the same.

    Notes
    -----
    X may be documents, token sequences, or rectangular, as for `TokenOneHotEncoder`.
    Of documents and token sequences the answer is ragged, of rectangular X a 2-D
    array.

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

    Padding is left out on the way back, and an unknown token is None:

    >>> encoder.inverse_transform([[3, 1, 6, 4]])[0]
    array(['from', None, 'to', 'good'], dtype=object)
    >>> encoder.inverse_transform([[5, 4, 0, 0]])[0]
    array(['so', 'good'], dtype='<U4')
    """

    _parameter_constraints: dict = dict(BaseTokenEncoder._parameter_constraints)
    _first_number = UNKNOWN + 1
    _unknown = f"the id {UNKNOWN}"

    def __init__(
        self,
        *,
        analyzer="word",
        lowercase=True,
        token_pattern=r"(?u)\b\w+\b",
        min_df=1,
        max_features=None,
        vocabulary=None,
        handle_unknown="ignore",
    ):
        self.analyzer = analyzer
        self.lowercase = lowercase
        self.token_pattern = token_pattern
        self.min_df = min_df
        self.max_features = max_features
        self.vocabulary = vocabulary
        self.handle_unknown = handle_unknown

    def fit(self, X, y=None):
        """Learn the vocabulary, or take over the given one.

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
            If no token is left for the vocabulary, if the given vocabulary is not
            one, if it lacks a token of X and `handle_unknown='error'`, or if a token
            is missing or infinite.
        TypeError
            If the tokens are not all strings or all numbers.
        """
        self._fit(X)
        self.n_ids_ = self._first_number + len(self.vocabulary_)
        return self

    def fit_transform(self, X, y=None):
        """Learn the vocabulary and encode the same X, reading it only once.

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
        self.n_ids_ = self._first_number + len(self.vocabulary_)
        return self._encode(rows, kind)

    def transform(self, X):
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
            If X is text, and not one token of it is in the vocabulary.

        Raises
        ------
        ValueError
            If X holds unknown tokens and `handle_unknown='error'`, or does not have
            the number of time steps of the rectangular X seen in `fit`.
        """
        check_is_fitted(self, "vocabulary_")
        return self._encode(*read_tokens(self, X, reset=False))

    def inverse_transform(self, X):
        """Turn ids back into tokens, without the padding.

        Parameters
        ----------
        X : array-like (n_samples, n_timesteps) or sequence of 1-D arrays
            Ids as `transform` returns them, of any numeric dtype. A list of lists is
            a sequence of 1-D arrays, whatever their lengths.

        Returns
        -------
        tokens : ndarray of shape (n_samples, n_timesteps) or (n_samples,)
            2-D for 2-D X without padding; otherwise a 1-D object array of 1-D
            arrays, from which padding is left out. The dtype of the tokens is their
            natural one; if X has unknown tokens, it is object, and these are None.

        Raises
        ------
        ValueError
            If X is of another form, or holds something else than ids.
        """
        check_is_fitted(self, "vocabulary_")
        ids, lengths = read_ids(X, self.n_ids_)
        is_token = ids != PADDING
        places = np.maximum(ids[is_token] - self._first_number, -1)
        tokens = decode(places, self.vocabulary_)
        if not is_token.all():
            row_of_id = np.repeat(np.arange(len(lengths)), lengths)
            lengths = np.bincount(row_of_id[is_token], minlength=len(lengths))
        elif len(getattr(X, "shape", ())) == 2:
            return tokens.reshape(X.shape)
        return split_sequences(tokens, lengths)

    def _encode(self, rows, kind):
        ids, lengths = self._read(rows)
        ids = np.where(ids < 0, UNKNOWN, ids).astype(np.int64)
        if kind == TABLE:
            return ids.reshape(len(rows), -1)
        return split_sequences(ids, lengths)


# Columns to one-hot steps, and back


def one_hot(columns, n_tokens, dtype):
    """Return steps `(len(columns), n_tokens)` with a 1 where columns is not -1."""
    steps = np.zeros((len(columns), n_tokens), dtype=dtype)
    known = np.flatnonzero(columns >= 0)
    steps[known, columns[known]] = 1
    return steps


def read_one_hot(X, n_tokens):
    """Lay the steps of 3-D or ragged X end to end; return them and the lengths."""
    ndim = getattr(X, "ndim", None)
    if ndim == 3:
        pieces = np.asarray(X)
    elif isinstance(X, (list, tuple)) or ndim == 1:
        pieces = [np.asarray(piece) for piece in X]
    else:
        raise not_one_hot(describe(X), n_tokens)
    if len(pieces) == 0:
        raise ValueError("X must hold at least one sequence. Got none.")
    for i, piece in enumerate(pieces):
        if piece.ndim != 2 or piece.shape[1] != n_tokens:
            raise not_one_hot(f"{describe(piece)} as sequence {i}", n_tokens)
    lengths = [len(piece) for piece in pieces]
    steps = pieces.reshape(-1, n_tokens) if ndim == 3 else np.concatenate(pieces)
    return steps, lengths


def not_one_hot(given, n_tokens):
    """Build the error for what cannot be the answer of `transform`."""
    return ValueError(
        f"X must be 3-D (n_samples, n_timesteps, {n_tokens}), or a list of arrays "
        f"(n_timesteps, {n_tokens}), with one column for each token of vocabulary_. "
        f"Got {given}. Pass what transform returns."
    )


def hot_columns(steps, lengths):
    """Return the column of the 1 in every step, -1 where there is none."""
    columns = steps.argmax(axis=1)
    hot = steps[np.arange(len(steps)), columns] == 1
    wrong = np.flatnonzero(np.count_nonzero(steps, axis=1) != hot)
    if len(wrong) > 0:
        sequence = int(np.searchsorted(np.cumsum(lengths), wrong[0], side="right"))
        step = int(wrong[0]) - sum(lengths[:sequence])
        raise ValueError(
            "Every time step of X must be one-hot or all zeros. Got something else in "
            f"step {step} of sequence {sequence}. For probabilities pass "
            f"np.eye({steps.shape[1]})[X.argmax(axis=-1)]."
        )
    return np.where(hot, columns, -1)


# Ids, read back


def read_ids(X, n_ids):
    """Lay the ids of 2-D or ragged X end to end; return them and the lengths."""
    ndim = len(getattr(X, "shape", ()))
    if ndim == 2 and not hasattr(X, "toarray"):
        pieces = list(np.asarray(X))  # a frame itself iterates over its columns
    elif isinstance(X, (list, tuple)) or ndim == 1:
        pieces = [np.asarray(piece) for piece in X]
    else:
        sparse = hasattr(X, "toarray")
        raise not_ids(type(X).__name__ if sparse else describe(X), n_ids)
    if len(pieces) == 0:
        raise ValueError("X must hold at least one sequence. Got none.")
    for i, piece in enumerate(pieces):
        if piece.ndim == 0:  # X is 1-D itself
            raise not_ids(f"{piece.item()!r:.80} as sequence {i}", n_ids)
        if piece.ndim != 1:
            raise not_ids(f"{describe(piece)} as sequence {i}", n_ids)
        if piece.dtype.kind not in "biufO":
            raise not_ids(f"{piece.tolist()!r:.80} as sequence {i}", n_ids)
    given = np.concatenate(pieces)
    try:
        ids = given.astype(np.float64)
    except (TypeError, ValueError) as error:  # objects that are no numbers
        raise not_ids("objects that are not numbers", n_ids) from error
    wrong = ~((ids >= 0) & (ids < n_ids) & (ids == np.floor(ids)))
    if wrong.any():
        raise not_ids(given[wrong][0], n_ids)
    return ids.astype(np.intp), [len(piece) for piece in pieces]


def not_ids(given, n_ids):
    """Build the error for what cannot be the answer of `transform`."""
    return ValueError(
        f"X must hold ids from 0 to {n_ids - 1}, 2-D (n_samples, n_timesteps) or a "
        f"list of 1-D arrays. Got {given}. Pass what transform returns."
    )
