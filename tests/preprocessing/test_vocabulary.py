"""Tokens, vocabularies and unknown tokens, by the example of TokenOneHotEncoder."""

import re

import numpy as np
import pandas as pd
import polars as pl
import pytest
import torch
from messages import raises
from numpy.testing import assert_array_equal
from scipy.sparse import csr_array
from sklearn import config_context
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder

from skrnn import TokenEncoder, TokenOneHotEncoder

DOCUMENTS = ["From good to bad", "from bad to good!", "I had a good, good day"]
WORDS = [
    ["from", "good", "to", "bad"],
    ["from", "bad", "to", "good"],
    ["i", "had", "a", "good", "good", "day"],
]
VOCABULARY = {"a": 0, "bad": 1, "day": 2, "from": 3, "good": 4, "had": 5, "i": 6}
VOCABULARY["to"] = 7
GENES = np.array([list("GATTACA"), list("CATGATA"), list("TTTTTTT")])


def to_object_array(items):
    array = np.empty(len(items), dtype=object)
    for i, item in enumerate(items):
        array[i] = item
    return array


def assert_ragged_equal(actual, desired):
    assert isinstance(actual, np.ndarray)
    assert actual.dtype == object
    assert actual.shape == (len(desired),)
    for one, other in zip(actual, desired, strict=True):
        assert_array_equal(one, other, strict=True)


# Splitting documents


@pytest.mark.parametrize(
    ("params", "document", "vocabulary"),
    [
        ({}, "I am a cat", {"a": 0, "am": 1, "cat": 2, "i": 3}),
        ({"lowercase": False}, "A a", {"A": 0, "a": 1}),
        ({"analyzer": "char"}, "Ab a", {" ": 0, "a": 1, "b": 2}),
        (
            {"analyzer": lambda document: iter(document.split("-"))},
            "B-a-C c",
            {"B": 0, "C c": 1, "a": 2},
        ),
    ],
    ids=["default", "lowercase", "char", "callable"],
)
def test_documents_are_split_into_tokens(params, document, vocabulary):
    assert TokenOneHotEncoder(**params).fit([document]).vocabulary_ == vocabulary


@pytest.mark.parametrize(
    "container",
    [
        tuple,
        np.array,
        to_object_array,
        lambda items: pd.Series(items, index=[7, 7, 9], dtype=object),
        pl.Series,
        iter,
    ],
)
def test_documents_may_be_in_any_container(container):
    expected = TokenOneHotEncoder().fit_transform(DOCUMENTS)
    encoder = TokenOneHotEncoder()

    assert_ragged_equal(encoder.fit_transform(container(DOCUMENTS)), expected)
    assert_ragged_equal(encoder.transform(container(DOCUMENTS)), expected)


def test_a_pattern_with_several_groups_raises():
    message = (
        "More than 1 capturing group in token pattern. Only a single group should be "
        "captured."
    )
    with raises(ValueError, message):
        TokenOneHotEncoder(token_pattern="(a)(b)").fit(DOCUMENTS)


# Token sequences


@pytest.mark.parametrize(
    "container",
    [
        tuple,
        to_object_array,
        lambda rows: [tuple(row) for row in rows],
        lambda rows: [np.array(row) for row in rows],
        lambda rows: [pd.Series(row) for row in rows],
        pl.Series,
        iter,
    ],
)
def test_token_sequences_are_equal_to_their_documents(container):
    expected = TokenOneHotEncoder().fit_transform(DOCUMENTS)
    encoder = TokenOneHotEncoder()

    assert_ragged_equal(encoder.fit_transform(container(WORDS)), expected)
    assert encoder.vocabulary_ == VOCABULARY
    assert_ragged_equal(encoder.transform(DOCUMENTS), expected)


def test_tokens_of_sequences_are_not_changed():
    encoder = TokenOneHotEncoder().fit([["New York", "the"], ["The"]])

    assert encoder.vocabulary_ == {"New York": 0, "The": 1, "the": 2}


@pytest.mark.parametrize(
    "X",
    [
        [np.array([3, 1]), np.array([1])],
        [torch.tensor([3, 1]), torch.tensor([1])],
        [[np.int32(3), np.int64(1)], [np.int8(1)]],
    ],
    ids=["arrays", "tensors", "scalars"],
)
def test_numbers_are_converted_to_python(X):
    encoder = TokenOneHotEncoder().fit(X)

    assert encoder.vocabulary_ == {1: 0, 3: 1}
    assert {type(token) for token in encoder.vocabulary_} == {int}


# Vocabularies


def test_ties_at_max_features_are_broken_as_by_count_vectorizer():
    # numpy sorts this many tokens by an unstable algorithm.
    rng = np.random.default_rng(0)
    documents = [" ".join(map(str, rng.integers(200, size=40))) for _ in range(20)]
    params = {"max_features": 70, "token_pattern": r"\w+"}

    encoder = TokenOneHotEncoder(**params).fit(documents)

    expected = CountVectorizer(**params).fit(documents).vocabulary_
    assert encoder.vocabulary_ == expected
    assert list(encoder.vocabulary_) == sorted(expected)


@pytest.mark.parametrize(
    "vocabulary",
    [
        ["good", "bad", "missing"],
        {"good", "bad", "a"},
        {"good": np.int64(1), "bad": np.int64(0)},
        np.array(["to", "from"]),
    ],
    ids=["list", "set", "dict", "array"],
)
def test_a_fixed_vocabulary_is_that_of_count_vectorizer(vocabulary):
    encoder = TokenOneHotEncoder(vocabulary=vocabulary)
    counter = CountVectorizer(vocabulary=vocabulary, token_pattern=r"\w+")

    steps = encoder.fit_transform(DOCUMENTS)

    counts = counter.fit_transform(DOCUMENTS).toarray()
    assert encoder.vocabulary_ == counter.vocabulary_
    assert_array_equal([each.sum(axis=0) for each in steps], counts)
    assert encoder.vocabulary is vocabulary
    assert encoder.vocabulary_ is not vocabulary
    assert {type(column) for column in encoder.vocabulary_.values()} == {int}


def test_tokens_of_a_fixed_vocabulary_may_be_of_several_kinds():
    encoder = TokenOneHotEncoder(vocabulary=["a", 1, ("b", 2)])

    # A nested list is rectangular; its numbers are not converted to strings.
    steps = encoder.fit_transform([[1, ("b", 2)], ["a", "1"]])

    assert_array_equal(steps.argmax(axis=2)[0], [1, 2])
    assert_array_equal(steps.sum(axis=2), [[1, 1], [1, 0]])
    assert encoder.inverse_transform(steps).tolist() == [[1, ("b", 2)], ["a", None]]


@pytest.mark.parametrize(
    ("params", "X"),
    [
        ({}, ["", "..."]),
        ({}, [[], []]),
        ({"min_df": 3}, ["a b", "a c"]),
        ({"min_df": 0.8}, ["a b", "c"]),
    ],
)
def test_an_empty_vocabulary_raises(params, X):
    message = "The vocabulary must have at least one token. Got sequences without any "
    remedy = "(n_samples=2). For documents, check analyzer and token_pattern."
    if params:
        min_df = params["min_df"]
        message = (
            "The vocabulary must have at least one token. Got none that is in at least "
        )
        remedy = f"min_df={min_df} of the sequences (n_samples=2). Lower min_df."
    with raises(ValueError, message + remedy):
        TokenOneHotEncoder(**params).fit(X)


SEVERAL_KINDS = (
    "The tokens in the 'vocabulary' parameter must be all strings or all numbers. Got "
    "{}. Convert the tokens, for example with str, or list them in 'vocabulary'."
)
WRONG_VOCABULARIES = {
    "gap": (
        {"a": 0, "b": 2},
        ValueError,
        "The columns in the 'vocabulary' parameter must be 0 to 1, each of them once. "
        "Got [0, 2]. Pass a list of the tokens to number them.",
    ),
    "repeated column": (
        {"a": 1, "b": 1},
        ValueError,
        "The columns in the 'vocabulary' parameter must be 0 to 1, each of them once. "
        "Got [1, 1]. Pass a list of the tokens to number them.",
    ),
    "repeated token": (
        ["a", "b", "b"],
        ValueError,
        "The 'vocabulary' parameter must contain each token once. Got ['b'] more than "
        "once. Remove the repetitions.",
    ),
    "empty list": (
        [],
        ValueError,
        "The 'vocabulary' parameter must have at least one token. Got none. Set "
        "vocabulary=None to learn the tokens from X.",
    ),
    "missing token": (
        ["a", None],
        ValueError,
        "The tokens of the 'vocabulary' parameter must not be missing or infinite. Got "
        "None. Replace it by a token.",
    ),
    "set of several kinds": ({"a", 1}, TypeError, SEVERAL_KINDS.format("int and str")),
    "not hashable": ([["a"], ["b"]], TypeError, SEVERAL_KINDS.format("list")),
}


@pytest.mark.parametrize(
    ("vocabulary", "error", "message"),
    WRONG_VOCABULARIES.values(),
    ids=WRONG_VOCABULARIES,
)
def test_a_wrong_vocabulary_raises(vocabulary, error, message):
    with raises(error, message):
        TokenOneHotEncoder(vocabulary=vocabulary).fit(["a"])


def test_ids_of_a_vocabulary_start_at_two():
    encoder = TokenEncoder().fit(DOCUMENTS)

    other = TokenEncoder(vocabulary=encoder.vocabulary_).fit(["good bad"])

    assert other.vocabulary_ == encoder.vocabulary_
    assert other.n_ids_ == encoder.n_ids_ == len(VOCABULARY) + 2
    message = (
        "The ids in the 'vocabulary' parameter must be 2 to 3, each of them once. Got "
        "[0, 1]. Pass a list of the tokens to number them."
    )
    with raises(ValueError, message):
        TokenEncoder(vocabulary={"a": 0, "b": 1}).fit(["a b"])


def test_uppercase_tokens_that_no_document_can_match_warn():
    message = (
        "The 'vocabulary' parameter contains 'The', which no document matches if "
        "lowercase=True. Set lowercase=False, or convert the vocabulary to lower case."
    )
    encoder = TokenOneHotEncoder(vocabulary=["cat", "The"])
    with pytest.warns(UserWarning, match=f"^{re.escape(message)}$"):
        encoder.fit(["The cat"])


@pytest.mark.parametrize(
    ("params", "X"),
    [
        ({"lowercase": False}, ["The cat"]),
        ({"analyzer": str.split}, ["The cat"]),
        ({}, [["The", "cat"], ["cat"]]),
    ],
)
def test_uppercase_tokens_that_can_match_do_not_warn(params, X):
    encoder = TokenOneHotEncoder(vocabulary=["cat", "The"], **params)

    assert_array_equal(encoder.fit_transform(X)[0], [[0, 1], [1, 0]])


# Rectangular X


@pytest.mark.parametrize(
    "container",
    [
        np.array,
        np.ndarray.tolist,
        lambda table: pd.DataFrame(table, dtype="category"),
        lambda table: pd.DataFrame(table, columns=list("abcdefg"), dtype="string"),
        pl.DataFrame,
    ],
)
def test_rectangular_x_is_encoded_as_a_3d_array(container):
    tokens, indices = np.unique(GENES, return_inverse=True)
    expected = np.eye(len(tokens), dtype=np.float32)[indices]
    encoder = TokenOneHotEncoder()
    X = container(GENES)

    assert_array_equal(encoder.fit_transform(X), expected, strict=True)
    assert_array_equal(encoder.transform(X), expected, strict=True)
    assert encoder.vocabulary_ == {"A": 0, "C": 1, "G": 2, "T": 3}
    # The attributes of columns are those of scikit-learn.
    peer = OneHotEncoder().fit(X)
    assert encoder.n_features_in_ == peer.n_features_in_
    names = getattr(peer, "feature_names_in_", None)
    assert_array_equal(getattr(encoder, "feature_names_in_", None), names)


@pytest.mark.parametrize("X", [GENES[:, :3], GENES[:, :3].tolist()])
def test_another_number_of_columns_raises(X):
    encoder = TokenOneHotEncoder().fit(GENES)

    message = (
        "X has 3 features, but TokenOneHotEncoder is expecting 7 features as input."
    )
    with raises(ValueError, message):
        encoder.transform(X)


def test_other_column_names_raise():
    encoder = TokenOneHotEncoder().fit(pd.DataFrame(GENES, columns=list("abcdefg")))

    with pytest.raises(ValueError, match=r"^The feature names should match those"):
        encoder.transform(pd.DataFrame(GENES, columns=list("gfedcba")))


# Rectangular or ragged


@pytest.mark.parametrize("X", [DOCUMENTS, to_object_array(GENES[:, :2].tolist())])
def test_nested_lists_of_one_length_are_ragged_after_a_ragged_fit(X):
    encoder = TokenOneHotEncoder().fit(pd.DataFrame(GENES, columns=list("abcdefg")))
    encoder.fit(X)

    steps = encoder.transform([["good", "A"], ["T", "bad"]])

    assert_ragged_equal(steps, list(steps))
    assert [len(each) for each in steps] == [2, 2]
    assert encoder.transform(np.array([["good", "A"]])).ndim == 3
    # The attributes of the earlier fit on columns are deleted.
    assert not hasattr(encoder, "n_features_in_")
    assert not hasattr(encoder, "feature_names_in_")


def test_a_list_of_arrays_is_always_ragged():
    encoder = TokenOneHotEncoder()

    assert encoder.fit_transform(list(GENES)).shape == (3,)
    assert encoder.transform([GENES[0, :2]])[0].shape == (2, 4)


@pytest.mark.parametrize("X", [list(GENES), GENES.tolist()])
def test_sequences_of_its_length_are_rectangular_after_a_rectangular_fit(X):
    encoder = TokenOneHotEncoder().fit(GENES)

    assert_array_equal(encoder.transform(X), encoder.transform(GENES))


@pytest.mark.parametrize(
    ("X", "given"),
    [(["AT"], "documents"), ([["A"], ["A", "T"]], "token sequences")],
)
def test_ragged_x_raises_after_a_rectangular_fit(X, given):
    encoder = TokenOneHotEncoder().fit(GENES)

    message = (
        "X must be 2-D (n_samples, 7), as the X that TokenOneHotEncoder was fitted on."
        f" Got {given}. To use sequences of any length, fit on documents or on a list "
        "of 1-D arrays."
    )
    with raises(ValueError, message):
        encoder.transform(X)


# Unknown tokens


@pytest.mark.parametrize(
    ("cls", "params", "X", "unknown", "encoding"),
    [
        (TokenOneHotEncoder, {}, ["a y", "x b y"], "['y', 'x']", "zeros"),
        (TokenEncoder, {"min_df": 2}, ["a b"], "['b']", "the id 1"),
        (
            TokenOneHotEncoder,
            {},
            [[str(i) for i in range(12)]],
            "['0', '1', '2', '3', '4', '5', '6', '7', '8', '9'] and 2 more",
            "zeros",
        ),
    ],
)
def test_unknown_tokens_raise_with_handle_unknown_error(
    cls, params, X, unknown, encoding
):
    encoder = cls(handle_unknown="error", **params).fit(["a b", "a"])

    message = (
        "The tokens of X must be in the vocabulary if handle_unknown='error'. Got the "
        f"unknown tokens {unknown}. Set handle_unknown='ignore' to encode such tokens "
        f"as {encoding}."
    )
    with raises(ValueError, message):
        encoder.transform(X)


def test_fit_compares_a_fixed_vocabulary_with_handle_unknown_error():
    encoder = TokenOneHotEncoder(handle_unknown="error", vocabulary=["a"])

    with pytest.raises(ValueError, match=re.escape("unknown tokens ['b']")):
        encoder.fit(["a b"])


@pytest.mark.parametrize(
    ("cls", "X", "first", "encoding"),
    [
        (TokenOneHotEncoder, ["", "c d e f"], "['c', 'd', 'e']", "zeros"),
        (TokenEncoder, np.array([["a b"], ["b a"]]), "['a b']", "the id 1"),
    ],
)
def test_text_without_a_known_token_warns(cls, X, first, encoding):
    encoder = cls().fit(["a b", "b a"])
    message = (
        "None of the tokens of X is in the vocabulary, so all steps are encoded as "
        f"{encoding}. The first sequence begins with {first}. Pass X in the form of "
        "the X of fit, or fit on more data."
    )

    with pytest.warns(UserWarning, match=f"^{re.escape(message)}$") as caught:
        encoder.transform(X)

    assert caught[0].filename == __file__


@pytest.mark.parametrize("X", [["c", "a"], [[7], [8]]])
def test_a_known_token_or_numbers_do_not_warn(X):
    TokenOneHotEncoder().fit(["a b"]).transform(X)


# Malformed X


@pytest.mark.parametrize("method", ["fit", "transform"])
def test_a_single_document_raises(method):
    encoder = TokenOneHotEncoder().fit(DOCUMENTS)

    message = (
        "X must be an iterable of documents or of token sequences. Got one str. Pass "
        "[X] to encode a single document."
    )
    with raises(ValueError, message):
        getattr(encoder, method)("from good to bad")


@pytest.mark.parametrize(
    ("X", "given"),
    [
        (["a", None], "NoneType as document 1"),
        ([b"a", "b"], "bytes as document 0"),
        (["a", np.array([["b"]])], "an array of shape (1, 1) as document 1"),
    ],
)
def test_an_item_that_is_not_a_document_raises(X, given):
    message = (
        f"Every document of X must be a str. Got {given}. Decode bytes, and replace "
        "missing documents by ''."
    )
    with raises(ValueError, message):
        TokenOneHotEncoder().fit(X)


@pytest.mark.parametrize(
    ("X", "given"),
    [
        ([["a"], None], "NoneType as sequence 1"),
        ([{"a": 1}], "dict as sequence 0"),
        ([np.eye(2), np.eye(3)], "an array of shape (2, 2) as sequence 0"),
    ],
)
def test_an_item_that_is_not_a_sequence_raises(X, given):
    message = (
        f"Every token sequence of X must be a list or a 1-D array. Got {given}. Pass "
        "one token for each time step."
    )
    with raises(ValueError, message):
        TokenOneHotEncoder().fit(X)


@pytest.mark.parametrize(
    ("X", "error", "message"),
    [
        ([], ValueError, r"^X must contain at least one sequence\. Got none\.$"),
        (iter([]), ValueError, r"^X must contain at least one sequence\. Got none\.$"),
        ([1, 2], ValueError, "Reshape your data"),
        (np.zeros((2, 3, 4)), ValueError, "dim 3"),
        ({"a"}, ValueError, "Expected 2D array"),
        (3, ValueError, "Expected 2D array"),
        (np.array([[1.0, np.nan]]), ValueError, "^Input X contains NaN"),
        (csr_array(np.eye(3)), TypeError, "^Sparse data was passed"),
    ],
    ids=["empty", "iterator", "1-D", "3-D", "set", "int", "NaN", "sparse"],
)
def test_x_that_is_neither_2d_nor_sequences_raises(X, error, message):
    with pytest.raises(error, match=message):
        TokenOneHotEncoder().fit(X)


@pytest.mark.parametrize(
    ("X", "given"),
    [
        ([["a", 1], ["b"]], "int and str"),
        (pd.DataFrame({"word": ["a", "b"], "n": [1, 2]}), "int and str"),
        ([["a", ["b"]]], "list and str"),
    ],
)
def test_tokens_of_several_kinds_raise(X, given):
    message = (
        "The tokens in the X argument must be all strings or all numbers. Got "
        f"{given}. Convert the tokens, for example with str, or list them in "
        "'vocabulary'."
    )
    encoder = TokenOneHotEncoder()
    with raises(TypeError, message):
        encoder.fit(X)
    if "list" in given:  # not hashable
        with raises(TypeError, message):
            encoder.fit(["a"]).transform(X)


@pytest.mark.parametrize("token", [None, np.nan, pd.NA, np.float32("-inf")], ids=repr)
def test_missing_and_infinite_tokens_raise(token):
    message = (
        f"The tokens of X must not be missing or infinite. Got {token!r}. Replace it "
        "by a token."
    )
    encoder = TokenOneHotEncoder()
    for known in (["a", "b", "c"], [1.0, 2.0, 3.0]):
        with raises(ValueError, message):
            encoder.fit([[token, *known], known])
        encoder.fit([known, known[1:]])
        with raises(ValueError, message):
            encoder.transform([[token]])


# As a scikit-learn estimator


@pytest.mark.parametrize(
    ("params", "rule"),
    [
        (
            {"min_df": 0},
            "an int in the range [1, inf) or a float in the range [0.0, 1.0]. Got 0",
        ),
        ({"max_features": 0}, "an int in the range [1, inf) or None. Got 0"),
        (
            {"vocabulary": 3},
            "an instance of 'collections.abc.Mapping', an object implementing "
            "'__iter__' or None. Got 3",
        ),
        ({"token_pattern": None}, "an instance of 'str'. Got None"),
    ],
    ids=["min_df", "max_features", "vocabulary", "token_pattern"],
)
def test_wrong_parameters_raise(params, rule):
    message = f"The {next(iter(params))!r} parameter of TokenOneHotEncoder must be "
    with raises(ValueError, f"{message}{rule} instead."):
        TokenOneHotEncoder(**params).fit(DOCUMENTS)


@pytest.mark.parametrize("name", ["analyzer", "handle_unknown"])
def test_wrong_options_raise(name):
    # scikit-learn lists the options in no fixed order.
    with pytest.raises(ValueError, match=f"^The '{name}' parameter of TokenOneHot"):
        TokenOneHotEncoder(**{name: "char_wb"}).fit(DOCUMENTS)


def test_set_output_does_nothing():
    encoder = TokenOneHotEncoder()
    pipeline = make_pipeline(encoder).set_output(transform="pandas")

    assert encoder.set_output(transform="polars") is encoder
    assert type(pipeline.fit_transform(GENES)) is np.ndarray
    with config_context(transform_output="pandas"):
        assert type(encoder.fit_transform(DOCUMENTS)) is np.ndarray
