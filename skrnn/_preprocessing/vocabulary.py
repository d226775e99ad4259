"""The base class of token encoders, tokenisation and vocabularies.

The steps of encoding:

    read_tokens          X                  -> rows, a list of tokens per sequence
    learn_vocabulary     rows               -> {token: index}
    look_up              rows, vocabulary   -> the index of every token, -1 = unknown
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence, Set
from itertools import chain, compress, repeat
from numbers import Integral
from typing import Any, Literal, Self

import numpy as np
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.utils.validation import validate_data

from skrnn._compat import HasMethods, Interval, RealNotInt, StrOptions
from skrnn._documentation import DocumentationLinkMixin
from skrnn._typing import AnyArray, Estimator, IntArray
from skrnn._warnings import warn_user

DOCUMENTS, SEQUENCES, TABLE = "documents", "token sequences", "table"


class BaseTokenEncoder(DocumentationLinkMixin, TransformerMixin, BaseEstimator):
    """Base class of token encoders: reads X and learns the vocabulary.

    A subclass defines the first id of the vocabulary (`_first_id`), the name of the
    encoding of unknown tokens in messages (`_unknown`), and `_encode`, which returns
    the output of `transform`. Its `fit` and `transform` call `_fit` and `_read`.
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
    _first_id = 0
    _unknown = "zeros"

    def set_output(
        self, *, transform: Literal["default", "pandas", "polars"] | None = None
    ) -> Self:
        """Do nothing, since 3-D or ragged output cannot be a DataFrame.

        Parameters
        ----------
        transform : {'default', 'pandas', 'polars'} or None, default=None
            Ignored.

        Returns
        -------
        self : object
            The encoder.
        """
        # `Pipeline.set_output` requires this method of all its steps. There is no
        # `get_feature_names_out`, because scikit-learn wraps the output of every
        # transformer that has one.
        return self

    def __sklearn_tags__(self) -> Any:
        """Return the tags of the encoder."""
        tags = super().__sklearn_tags__()
        # Two tags stay False. `string` would declare any object a valid token, even one
        # without a hash. With `categorical`, the checks of scikit-learn 1.6 subtract a
        # float from integers in place, which raises an error in numpy.
        tags.transformer_tags.preserves_dtype = []
        return tags

    def _fit(self, X: Any) -> tuple[list[list[Any]], str]:
        """Set the fitted attributes; return the tokens and the kind of X."""
        self._validate_params()
        rows, kind = read_tokens(self, X, reset=True)
        first = self._first_id
        if self.vocabulary is None:
            self.vocabulary_ = learn_vocabulary(
                rows, min_df=self.min_df, max_features=self.max_features, first=first
            )
            return rows, kind
        self.vocabulary_ = check_vocabulary(self.vocabulary, first)
        if kind == DOCUMENTS and self.lowercase and not callable(self.analyzer):
            warn_if_uppercase(self.vocabulary_)
        self._look_up(rows)  # raises for unknown tokens, as in OneHotEncoder.fit
        return rows, kind

    def _look_up(self, rows: list[list[Any]]) -> IntArray:
        """Return the index of every token, -1 for unknown tokens."""
        indices, unknown = look_up(rows, self.vocabulary_)
        if unknown and self.handle_unknown == "error":
            more = f" and {len(unknown) - 10} more" if len(unknown) > 10 else ""
            raise ValueError(
                "The tokens of X must be in the vocabulary if handle_unknown='error'. "
                f"Got the unknown tokens {unknown[:10]}{more}. Set "
                f"handle_unknown='ignore' to encode such tokens as {self._unknown}."
            )
        return indices

    def _read(self, rows: list[list[Any]]) -> tuple[IntArray, IntArray]:
        """Return the indices of the tokens of all rows, and the length of each row.

        A sequence without tokens is read as one unknown token, -1.
        """
        indices, lengths = self._look_up(rows), np.array([len(row) for row in rows])
        warn_if_all_unknown(rows, indices, self._unknown)
        indices = np.insert(indices, np.cumsum(lengths)[lengths == 0], -1)
        return indices, np.maximum(lengths, 1)


# Reading X


def read_tokens(
    estimator: Estimator, X: Any, *, reset: bool
) -> tuple[list[list[Any]], str]:
    """Read the tokens of X, and set or check `n_features_in_` and the names.

    Parameters
    ----------
    estimator : estimator
        Has `analyzer`, `lowercase` and `token_pattern`. With `reset`,
        `n_features_in_` and `feature_names_in_` are set on it, or deleted if X is not
        rectangular; otherwise X is checked against them.

    X : iterable of str, token sequences, or array-like (n_samples, n_timesteps)
        Documents or tokens.

    reset : bool
        Whether this is the X of a new fit.

    Returns
    -------
    rows : list of lists
        The tokens of each sequence.

    kind : {'documents', 'token sequences', 'table'}
        The form of X; 'table' means rectangular.
    """
    if isinstance(X, (str, bytes)):
        raise ValueError(
            "X must be an iterable of documents or of token sequences. Got one "
            f"{type(X).__name__}. Pass [X] to encode a single document."
        )
    items: Any = list_items(X)
    kind = TABLE if items is None else kind_of(items)
    if kind == TABLE:
        # scikit-learn's own errors for sparse, 1-D, empty or infinite X.
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


def list_items(X: Any) -> Sequence[Any] | None:
    """Return the items of X in a list, or None if X is 2-D or not ordered."""
    if isinstance(X, (list, tuple)):
        return X
    if hasattr(X, "shape"):
        return list(X) if len(X.shape) == 1 else None
    if isinstance(X, Iterable) and not isinstance(X, (Mapping, Set)):
        return list(X)
    return None


def kind_of(items: list[Any]) -> str:
    """Return the kind of X; numbers are validated like a table."""
    if not items:
        raise ValueError("X must contain at least one sequence. Got none.")
    text = [isinstance(item, (str, bytes)) for item in items]
    if any(text):
        for i, item in enumerate(items):
            if not isinstance(item, str):
                raise ValueError(
                    "Every document of X must be a str. Got "
                    f"{describe(item)} as document {i}. Decode bytes, and replace "
                    "missing documents by ''."
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


def is_sequence(item: Any) -> bool:
    """Return whether an item is a list of tokens, or a 1-D array such as a Series."""
    if hasattr(item, "shape"):
        return len(item.shape) == 1
    return isinstance(item, Sequence)


def describe(item: Any) -> str:
    """Describe an invalid item in error messages."""
    if getattr(item, "shape", None):
        return f"an array of shape {tuple(item.shape)}"
    return type(item).__name__


def is_table(estimator: Estimator, X: Any, rows: list[list[Any]], reset: bool) -> bool:
    """Return whether token sequences of equal length are the rows of a table.

    In `fit` they are if X is a list of lists. Later they are if the X of `fit` was
    rectangular, because a subset of ragged data may have equal lengths by chance.
    """
    if len({len(row) for row in rows}) > 1 or not rows[0]:
        return False
    if not reset:
        return hasattr(estimator, "n_features_in_")
    nested = isinstance(X, (list, tuple))
    return nested and all(isinstance(item, (list, tuple)) for item in X)


def check_shape(estimator: Estimator, rows: list[list[Any]], reset: bool) -> None:
    """Set or check `n_features_in_` and `feature_names_in_` for a list of lists."""
    # In an array of objects numbers beside strings are not converted to strings.
    # check_array does not validate objects; missing and infinite ones raise an error
    # when the vocabulary is learned or looked up.
    cells = np.fromiter(chain.from_iterable(rows), dtype=object)
    table = cells.reshape(len(rows), -1)
    validate_data(estimator, table, reset=reset, skip_check_array=True)


def check_any_length(estimator: Estimator, kind: str, reset: bool) -> None:
    """Delete the attributes of columns if `reset`; otherwise raise if they exist."""
    if reset:
        for name in ("n_features_in_", "feature_names_in_"):
            # mypy takes `vars` for that of a class.
            vars(estimator).pop(name, None)  # type: ignore[attr-defined]
    elif hasattr(estimator, "n_features_in_"):
        raise ValueError(
            f"X must be 2-D (n_samples, {estimator.n_features_in_}), as the X that "
            f"{type(estimator).__name__} was fitted on. Got {kind}. To use sequences "
            "of any length, fit on documents or on a list of 1-D arrays."
        )


def list_tokens(sequence: Any) -> list[Any]:
    """Return the tokens of one sequence in a list."""
    # `tolist` converts the scalars of numpy, pandas and torch to those of Python.
    return sequence.tolist() if hasattr(sequence, "tolist") else list(sequence)


def tokenize(estimator: Estimator, documents: Any) -> list[list[Any]]:
    """Split documents into lists of tokens, as CountVectorizer does."""
    analyze = CountVectorizer(
        analyzer=estimator.analyzer,
        lowercase=estimator.lowercase,
        token_pattern=estimator.token_pattern,
    ).build_analyzer()
    return [list(analyze(document)) for document in documents]


# The vocabulary


def learn_vocabulary(
    rows: list[list[Any]],
    *,
    min_df: int | float = 1,
    max_features: int | None = None,
    first: int = 0,
) -> dict[Any, int]:
    """Assign an index to every token of `rows`, in sorted order.

    Parameters
    ----------
    rows : list of lists
        The tokens of each sequence.

    min_df : int or float, default=1
        Number, or fraction, of the sequences in which a token must occur.

    max_features : int or None, default=None
        Number of the most frequent tokens to keep.

    first : int, default=0
        The index of the first token.

    Returns
    -------
    vocabulary : dict
        The index of each token.
    """
    frequency = token_frequency(rows)
    check_not_missing(frequency)
    tokens = sort_tokens(frequency)
    if not tokens:
        raise ValueError(
            "The vocabulary must have at least one token. Got sequences without any "
            f"(n_samples={len(rows)}). For documents, check analyzer and token_pattern."
        )
    at_least = min_df if isinstance(min_df, Integral) else min_df * len(rows)
    n_rows_with = Counter(chain.from_iterable(map(set, rows)))
    tokens = [token for token in tokens if n_rows_with[token] >= at_least]
    if not tokens:
        raise ValueError(
            "The vocabulary must have at least one token. Got none that is in at least "
            f"min_df={min_df} of the sequences (n_samples={len(rows)}). Lower min_df."
        )
    if max_features is not None:
        counts = np.array([frequency[token] for token in tokens])
        # The expression of CountVectorizer, so that ties are broken alike.
        most_frequent = (-counts).argsort()[:max_features]
        tokens = [tokens[i] for i in np.sort(most_frequent)]
    return {to_python(token): first + i for i, token in enumerate(tokens)}


def check_vocabulary(vocabulary: Any, first: int = 0) -> dict[Any, int]:
    """Validate a user's vocabulary; return it as `{token: index}`, from `first`."""
    if isinstance(vocabulary, Mapping):
        columns = dict(vocabulary)
        stop = first + len(columns)
        if set(columns.values()) != set(range(first, stop)):
            noun = "ids" if first else "columns"
            raise ValueError(
                f"The {noun} in the 'vocabulary' parameter must be {first} to "
                f"{stop - 1}, each of them once. Got "
                f"{list(columns.values())}. Pass a list of the tokens to number them."
            )
    else:
        if isinstance(vocabulary, Set):  # not ordered
            vocabulary = sort_tokens(vocabulary, "'vocabulary' parameter")
        tokens = list(vocabulary)
        frequency = token_frequency([tokens], "'vocabulary' parameter")
        repeated = [token for token, count in frequency.items() if count > 1]
        if repeated:
            raise ValueError(
                "The 'vocabulary' parameter must contain each token once. Got "
                f"{repeated[:10]} more than once. Remove the repetitions."
            )
        columns = {token: first + i for i, token in enumerate(tokens)}
    if not columns:
        raise ValueError(
            "The 'vocabulary' parameter must have at least one token. Got none. Set "
            "vocabulary=None to learn the tokens from X."
        )
    check_not_missing(columns, "the 'vocabulary' parameter")
    return {to_python(token): int(column) for token, column in columns.items()}


def look_up(
    rows: list[list[Any]], vocabulary: dict[Any, int]
) -> tuple[IntArray, list[Any]]:
    """Return the index of every token.

    Parameters
    ----------
    rows : list of lists
        The tokens of each sequence.

    vocabulary : dict
        The index of each token.

    Returns
    -------
    indices : ndarray of int
        Those of all sequences, concatenated; -1 for a token outside the vocabulary.

    unknown : list
        The distinct tokens outside the vocabulary, in the order of appearance.
    """
    tokens = list(chain.from_iterable(rows))
    # `map` over a method of dict runs no Python code per token.
    indices = map(vocabulary.get, tokens, repeat(-1))
    try:
        indices = np.fromiter(indices, dtype=np.intp, count=len(tokens))
    except TypeError as error:
        raise not_tokens(tokens) from error
    unknown = list(dict.fromkeys(compress(tokens, (indices < 0).tolist())))
    check_not_missing(unknown)
    return indices, unknown


def token_frequency(rows: list[list[Any]], source: str = "X argument") -> Counter[Any]:
    """Count the occurrences of each token in all sequences."""
    try:
        return Counter(chain.from_iterable(rows))
    except TypeError as error:  # a token is not hashable
        raise not_tokens(chain.from_iterable(rows), source) from error


def sort_tokens(tokens: Iterable[Any], source: str = "X argument") -> list[Any]:
    """Sort tokens, which must be of one kind."""
    try:
        return sorted(tokens)
    except TypeError as error:
        raise not_tokens(tokens, source) from error


def not_tokens(tokens: Iterable[Any], source: str = "X argument") -> TypeError:
    """Return the error for tokens that cannot be compared or looked up."""
    kinds = " and ".join(sorted({type(token).__name__ for token in tokens}))
    return TypeError(
        f"The tokens in the {source} must be all strings or all numbers. Got {kinds}. "
        "Convert the tokens, for example with str, or list them in 'vocabulary'."
    )


def check_not_missing(tokens: Iterable[Any], source: str = "X") -> None:
    """Raise an error for missing tokens, which would be unknown, and infinity."""
    for token in tokens:
        if is_missing(token) or is_infinite(token):
            raise ValueError(
                f"The tokens of {source} must not be missing or infinite. Got "
                f"{token!r}. Replace it by a token."
            )


def is_missing(token: Any) -> bool:
    """Return whether a token is None, NaN, NaT or pandas.NA."""
    try:
        return token is None or bool(token != token)  # NaN differs from itself
    except TypeError:  # pandas.NA has no truth value
        return True


def is_infinite(token: Any) -> bool:
    """Return whether a token is an infinite number or NaN."""
    return isinstance(token, (float, np.floating)) and not np.isfinite(token)


def to_python(token: Any) -> Any:
    """Convert a numpy scalar to the equal Python object."""
    numpy_scalar = isinstance(token, (np.number, np.bool_, np.str_, np.bytes_))
    return token.item() if numpy_scalar else token


def warn_if_uppercase(vocabulary: Iterable[Any]) -> None:
    """Warn of tokens that lowercase documents cannot contain."""
    for token in vocabulary:
        if isinstance(token, str) and token != token.lower():
            warn_user(
                f"The 'vocabulary' parameter contains {token!r}, which no document "
                "matches if lowercase=True. Set lowercase=False, or convert the "
                "vocabulary to lower case."
            )
            return


def warn_if_all_unknown(
    rows: list[list[Any]], indices: IntArray, encoding: str
) -> None:
    """Warn if no token of text is known, since it was probably split differently."""
    if not len(indices) or (indices >= 0).any():
        return
    first = next(row for row in rows if row)
    if isinstance(first[0], str):  # only text can be split in several ways
        warn_user(
            "None of the tokens of X is in the vocabulary, so all steps are encoded as "
            f"{encoding}. The first sequence begins with {first[:3]!r:.80}. Pass X in "
            "the form of the X of fit, or fit on more data."
        )


# Decoding


def decode(indices: IntArray, vocabulary: dict[Any, int]) -> AnyArray:
    """Return the tokens at indices of the sorted vocabulary, None for -1."""
    tokens = token_array(sorted(vocabulary, key=vocabulary.get))  # type: ignore[arg-type]
    unknown = indices < 0
    if not unknown.any():
        return tokens[indices]
    tokens = tokens.astype(object)[indices]
    tokens[unknown] = None
    return tokens


def token_array(tokens: list[Any]) -> AnyArray:
    """Return tokens as an array of their common dtype, or else of objects."""
    kinds = {type(token) for token in tokens}
    if kinds in ({str}, {bytes}, {bool}, {int}, {float}):
        array = np.array(tokens)
        if array.tolist() == tokens:  # numpy strips trailing null characters
            return array
    return np.fromiter(tokens, dtype=object, count=len(tokens))
