"""The vocabulary: tokens read from whatever X is, each with a number.

The way X takes, each stage a function that knows nothing of the next:

    read_tokens          whatever X is      -> rows, lists of tokens
    learn_vocabulary     rows               -> {token: number}
    look_up              rows, vocabulary   -> the number of every token, -1 = unknown
"""

import warnings
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence, Set
from itertools import chain, compress, repeat
from numbers import Integral

import numpy as np
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.utils.validation import validate_data

from skrnn._compat import HasMethods, Interval, RealNotInt, StrOptions

DOCUMENTS, SEQUENCES, TABLE = "documents", "token sequences", "table"


class BaseTokenEncoder(TransformerMixin, BaseEstimator):
    """What encoders of tokens share: reading X, and the vocabulary.

    A subclass says with which number its vocabulary begins (`_first_number`), what an
    unknown token becomes (`_unknown`, in words), and by `_encode` what `transform`
    returns. Its `fit` and `transform` call `_fit` and `_read`.
    """

    _parameter_constraints: dict = {
        "analyzer": [StrOptions({"word", "char"}), callable],
        "lowercase": ["boolean"],
        "token_pattern": [str],
        "min_df": [
            Interval(Integral, 1, None, closed="left"),
            Interval(RealNotInt, 0, 1, closed="both"),
        ],
        "max_features": [Interval(Integral, 1, None, closed="left"), None],
        "vocabulary": [Mapping, HasMethods("__iter__"), None],
        "handle_unknown": [StrOptions({"ignore", "error"})],
    }
    _first_number = 0
    _unknown = "zeros"

    def set_output(self, *, transform=None):
        """Change nothing: 3-D and ragged answers do not fit into a DataFrame.

        Parameters
        ----------
        transform : {'default', 'pandas', 'polars'} or None, default=None
            Ignored.

        Returns
        -------
        self : object
            The encoder.
        """
        # `Pipeline.set_output` calls it on each of its steps and fails where it is
        # missing. There is no `get_feature_names_out`, because scikit-learn wraps
        # every answer of a transformer that has one.
        return self

    def __sklearn_tags__(self):
        """Say what the encoder accepts."""
        tags = super().__sklearn_tags__()
        # Two tags stay False that one may look for here. `string` would claim that any
        # object is a token, even one without a hash. `categorical` makes the checks of
        # scikit-learn 1.6 subtract a float from integers in place, which numpy refuses.
        tags.transformer_tags.preserves_dtype = []
        return tags

    def _fit(self, X):
        """Set the fitted attributes and return the tokens of X, to be encoded."""
        self._validate_params()
        rows, kind = read_tokens(self, X, reset=True)
        first = self._first_number
        if self.vocabulary is None:
            self.vocabulary_ = learn_vocabulary(
                rows, min_df=self.min_df, max_features=self.max_features, first=first
            )
            return rows, kind
        self.vocabulary_ = check_vocabulary(self.vocabulary, first)
        if kind == DOCUMENTS and self.lowercase and not callable(self.analyzer):
            warn_of_capitals(self.vocabulary_)
        self._look_up(rows)  # as OneHotEncoder, which compares given categories in fit
        return rows, kind

    def _look_up(self, rows):
        """Return the number of every token, -1 for unknown ones."""
        numbers, unknown = look_up(rows, self.vocabulary_)
        if unknown and self.handle_unknown == "error":
            more = f" and {len(unknown) - 10} more" if len(unknown) > 10 else ""
            raise ValueError(
                "The tokens of X must be in the vocabulary if handle_unknown='error'. "
                f"Got the unknown tokens {unknown[:10]}{more}. Set "
                f"handle_unknown='ignore' to encode such tokens as {self._unknown}."
            )
        return numbers

    def _read(self, rows):
        """Return the numbers of all rows end to end, and the steps of each row.

        A sequence without tokens is read as one step that says nothing: -1.
        """
        numbers, lengths = self._look_up(rows), np.array([len(row) for row in rows])
        warn_of_strangers(rows, numbers, self._unknown)
        numbers = np.insert(numbers, np.cumsum(lengths)[lengths == 0], -1)
        return numbers, np.maximum(lengths, 1)


# Reading X


def read_tokens(estimator, X, *, reset):
    """Read the tokens of X and set or check what the estimator knows of its shape.

    Parameters
    ----------
    estimator : estimator
        Has `analyzer`, `lowercase` and `token_pattern`. When `reset`, gets
        `n_features_in_` and `feature_names_in_`, or loses them where X is not
        rectangular; is held against them otherwise.

    X : iterable of str, token sequences, or array-like (n_samples, n_timesteps)
        Documents or tokens.

    reset : bool
        Whether this is the X of a new fit.

    Returns
    -------
    rows : list of lists
        The tokens of each sequence.

    kind : {'documents', 'token sequences', 'table'}
        What X was; 'table' means rectangular.
    """
    if isinstance(X, (str, bytes)):
        raise ValueError(
            "X must be an iterable of documents or of token sequences. Got one "
            f"{type(X).__name__}. Pass [X] to encode a single document."
        )
    items = list_items(X)
    kind = TABLE if items is None else kind_of(items)
    if kind == TABLE:
        # scikit-learn's own words for sparse, 1-D, empty or infinite X.
        return validate_data(estimator, X, reset=reset, dtype=None).tolist(), TABLE
    if kind == DOCUMENTS:
        rows = tokenize(estimator, items)
    else:
        rows = [list_tokens(item) for item in items]
        if is_table(estimator, X, rows, reset):
            check_shape(estimator, rows, reset)
            return rows, TABLE
    check_any_length(estimator, kind, reset)
    return rows, kind


def list_items(X):
    """List what X holds, or return None if X is a table or holds nothing in order."""
    if isinstance(X, (list, tuple)):
        return X
    if hasattr(X, "shape"):
        return list(X) if len(X.shape) == 1 else None
    if isinstance(X, Iterable) and not isinstance(X, (Mapping, Set)):
        return list(X)
    return None


def kind_of(items):
    """Tell documents from token sequences; numbers are left to the table's checks."""
    if not items:
        raise ValueError("X must hold at least one sequence. Got none.")
    text = [isinstance(item, (str, bytes)) for item in items]
    if any(text):
        for i, item in enumerate(items):
            if not isinstance(item, str):
                raise ValueError(
                    "Every document of X must be a str. Got "
                    f"{describe(item)} as document {i}. Decode bytes and replace "
                    "missing documents by '' before."
                )
        return DOCUMENTS
    sequence = [is_sequence(item) for item in items]
    if all(sequence):
        return SEQUENCES
    i = sequence.index(False)
    if any(sequence) or hasattr(items[i], "__len__"):
        raise ValueError(
            "Every token sequence of X must be a list or a 1-D array. Got "
            f"{describe(items[i])} as sequence {i}. Pass one token for each time step."
        )
    return TABLE


def is_sequence(item):
    """Whether an item is a list of tokens or a 1-D array of them, a Series say."""
    if hasattr(item, "shape"):
        return len(item.shape) == 1
    return isinstance(item, Sequence)


def describe(item):
    """Name what was given where something else is needed."""
    if getattr(item, "shape", None):
        return f"an array of shape {tuple(item.shape)}"
    return type(item).__name__


def is_table(estimator, X, rows, reset):
    """Whether token sequences are the rows of a table.

    In `fit` only lists of lists of one length are. Later, all of one length are if
    the X of `fit` was, and none are if it was not: whether a part of ragged data has
    equal lengths by chance must not matter.
    """
    if len({len(row) for row in rows}) > 1 or not rows[0]:
        return False
    if not reset:
        return hasattr(estimator, "n_features_in_")
    nested = isinstance(X, (list, tuple))
    return nested and all(isinstance(item, (list, tuple)) for item in X)


def check_shape(estimator, rows, reset):
    """Set or check `n_features_in_` and `feature_names_in_` for a list of lists."""
    # An array of objects keeps each token as it is, where numpy would turn the
    # numbers beside a string into strings. check_array has nothing to say about
    # objects; missing and infinite ones are refused with those of the other kinds.
    cells = np.fromiter(chain.from_iterable(rows), dtype=object)
    table = cells.reshape(len(rows), -1)
    validate_data(estimator, table, reset=reset, skip_check_array=True)


def check_any_length(estimator, kind, reset):
    """Remove what an earlier fit knew of columns; refuse ragged X if this one does."""
    if reset:
        for name in ("n_features_in_", "feature_names_in_"):
            vars(estimator).pop(name, None)
    elif hasattr(estimator, "n_features_in_"):
        raise ValueError(
            f"X must be 2-D (n_samples, {estimator.n_features_in_}), as the X that "
            f"{type(estimator).__name__} was fitted on. Got {kind}. To use sequences "
            "of any length, fit on documents or on a list of 1-D arrays."
        )


def list_tokens(sequence):
    """List the tokens of one sequence."""
    # `tolist` turns the numbers of numpy, pandas and torch into Python's.
    return sequence.tolist() if hasattr(sequence, "tolist") else list(sequence)


def tokenize(estimator, documents):
    """Cut documents into lists of tokens, exactly as CountVectorizer would."""
    analyze = CountVectorizer(
        analyzer=estimator.analyzer,
        lowercase=estimator.lowercase,
        token_pattern=estimator.token_pattern,
    ).build_analyzer()
    return [list(analyze(document)) for document in documents]


# The vocabulary


def learn_vocabulary(rows, *, min_df=1, max_features=None, first=0):
    """Give a number to every token of `rows`, in sorted order.

    Parameters
    ----------
    rows : list of lists
        The tokens of each sequence.

    min_df : int or float, default=1
        In how many sequences, or which share of them, a token must occur.

    max_features : int or None, default=None
        How many of the most frequent tokens are kept.

    first : int, default=0
        The number of the first token.

    Returns
    -------
    vocabulary : dict
        The number of each token.
    """
    frequency = token_frequency(rows)
    check_not_missing(frequency)
    tokens = sort_tokens(frequency)
    if not tokens:
        raise ValueError(
            "The vocabulary must hold at least one token. Got sequences without any "
            f"(n_samples={len(rows)}). For documents, check analyzer and token_pattern."
        )
    at_least = min_df if isinstance(min_df, Integral) else min_df * len(rows)
    n_rows_with = Counter(chain.from_iterable(map(set, rows)))
    tokens = [token for token in tokens if n_rows_with[token] >= at_least]
    if not tokens:
        raise ValueError(
            "The vocabulary must hold at least one token. Got none that is in at least "
            f"min_df={min_df} of the sequences (n_samples={len(rows)}). Lower min_df."
        )
    if max_features is not None:
        counts = np.array([frequency[token] for token in tokens])
        # CountVectorizer's own expression, so that ties are broken as they are there.
        most_frequent = (-counts).argsort()[:max_features]
        tokens = [tokens[i] for i in np.sort(most_frequent)]
    return {plain(token): first + place for place, token in enumerate(tokens)}


def check_vocabulary(vocabulary, first=0):
    """Return a user's vocabulary as `{token: number}`, refusing what is not one.

    Numbers follow each other from `first`.
    """
    if isinstance(vocabulary, Mapping):
        columns = dict(vocabulary)
        stop = first + len(columns)
        if set(columns.values()) != set(range(first, stop)):
            word = "ids" if first else "columns"
            raise ValueError(
                f"The {word} in the 'vocabulary' parameter must be {first} to "
                f"{stop - 1}, each of them once. Got "
                f"{list(columns.values())}. Pass a list of the tokens to number them."
            )
    else:
        if isinstance(vocabulary, Set):  # without an order of its own
            vocabulary = sort_tokens(vocabulary, "'vocabulary' parameter")
        tokens = list(vocabulary)
        frequency = token_frequency([tokens], "'vocabulary' parameter")
        twice = [token for token, count in frequency.items() if count > 1]
        if twice:
            raise ValueError(
                "The 'vocabulary' parameter must hold every token once. Got "
                f"{twice[:10]} more than once. Pass each token once, or a mapping."
            )
        columns = {token: first + place for place, token in enumerate(tokens)}
    if not columns:
        raise ValueError(
            "The 'vocabulary' parameter must hold at least one token. Got none. Set "
            "vocabulary=None to learn the tokens from X."
        )
    check_not_missing(columns, "the 'vocabulary' parameter")
    return {plain(token): int(column) for token, column in columns.items()}


def look_up(rows, vocabulary):
    """Find the number of every token.

    Parameters
    ----------
    rows : list of lists
        The tokens of each sequence.

    vocabulary : dict
        The number of each token.

    Returns
    -------
    columns : ndarray of int
        All sequences end to end; -1 for a token outside the vocabulary.

    unknown : list
        These tokens, each once, in the order in which they appear.
    """
    tokens = list(chain.from_iterable(rows))
    # A dict's own method over a list: no Python code runs per token.
    columns = map(vocabulary.get, tokens, repeat(-1))
    try:
        columns = np.fromiter(columns, dtype=np.intp, count=len(tokens))
    except TypeError as error:
        raise not_tokens(tokens) from error
    unknown = list(dict.fromkeys(compress(tokens, (columns < 0).tolist())))
    check_not_missing(unknown)
    return columns, unknown


def token_frequency(rows, source="X argument"):
    """Count how often each token occurs in all sequences together."""
    try:
        return Counter(chain.from_iterable(rows))
    except TypeError as error:  # what has no hash cannot be a token
        raise not_tokens(chain.from_iterable(rows), source) from error


def sort_tokens(tokens, source="X argument"):
    """Sort tokens, which has a meaning only if they are of one kind."""
    try:
        return sorted(tokens)
    except TypeError as error:
        raise not_tokens(tokens, source) from error


def not_tokens(tokens, source="X argument"):
    """Build the error for tokens that cannot be compared or looked up."""
    kinds = " and ".join(sorted({type(token).__name__ for token in tokens}))
    return TypeError(
        f"The tokens in the {source} must be all strings or all numbers. Got {kinds}. "
        "Convert the tokens before, for example with str, or list them in 'vocabulary'."
    )


def check_not_missing(tokens, source="X"):
    """Refuse missing tokens, which would look like unknown ones, and infinity."""
    for token in tokens:
        if is_missing(token) or is_infinite(token):
            raise ValueError(
                f"The tokens of {source} must not be missing or infinite. Got "
                f"{token!r}. Replace it before by a token of your own."
            )


def is_missing(token):
    """Whether a token is None, NaN, NaT or pandas.NA, without importing pandas."""
    try:
        return token is None or bool(token != token)  # NaN differs from itself
    except TypeError:  # pandas.NA does not say
        return True


def is_infinite(token):
    """Whether a token is a number that is not finite."""
    return isinstance(token, (float, np.floating)) and not np.isfinite(token)


def plain(token):
    """Return a numpy scalar as the Python object that is equal to it."""
    numpy_scalar = isinstance(token, (np.number, np.bool_, np.str_, np.bytes_))
    return token.item() if numpy_scalar else token


def warn_of_capitals(vocabulary):
    """Warn of tokens that documents in lower case cannot contain."""
    for token in vocabulary:
        if isinstance(token, str) and token != token.lower():
            warnings.warn(
                f"The 'vocabulary' parameter holds {token!r}, which no document "
                "matches since lowercase=True. Set lowercase=False, or write the "
                "vocabulary in lower case.",
                UserWarning,
                stacklevel=4,
            )
            return


def warn_of_strangers(rows, columns, meaning):
    """Warn if not one token of text is known: it was hardly cut up as in fit."""
    if not len(columns) or (columns >= 0).any():
        return
    first = next(row for row in rows if row)
    if isinstance(first[0], str):  # numbers cannot be cut in another way
        warnings.warn(
            "None of the tokens of X is in the vocabulary, so that all its steps are "
            f"{meaning}. The first sequence begins with {first[:3]!r:.80}. Pass X in "
            "the form that fit got, or fit on more.",
            UserWarning,
            stacklevel=6,
        )


# Back to tokens


def decode(columns, vocabulary):
    """Return the token of each place in the vocabulary's order, None for -1."""
    tokens = token_array(sorted(vocabulary, key=vocabulary.get))
    unknown = columns < 0
    if not unknown.any():
        return tokens[columns]
    tokens = tokens.astype(object)[columns]
    tokens[unknown] = None
    return tokens


def token_array(tokens):
    """Return tokens as an array of the dtype that is natural to them."""
    kinds = {type(token) for token in tokens}
    if kinds in ({str}, {bytes}, {bool}, {int}, {float}):
        array = np.array(tokens)
        if array.tolist() == tokens:  # numpy strings lose zero bytes at their end
            return array
    return np.fromiter(tokens, dtype=object, count=len(tokens))
