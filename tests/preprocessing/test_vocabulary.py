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


def ragged(items):
    """Put each item into a cell of an object array, whatever their lengths."""
    cells = np.empty(len(items), dtype=object)
    for i, item in enumerate(items):
        cells[i] = item
    return cells


def assert_ragged_equal(actual, desired):
    assert isinstance(actual, np.ndarray)
    assert actual.dtype == object
    assert actual.shape == (len(desired),)
    for one, other in zip(actual, desired, strict=True):
        assert one.dtype == other.dtype
        assert_array_equal(one, other, strict=True)


def test_ties_at_max_features_are_broken_as_by_count_vectorizer():
    # Enough tied tokens for numpy's sort to leave insertion sort behind.
    rng = np.random.default_rng(0)
    documents = [" ".join(map(str, rng.integers(200, size=40))) for _ in range(20)]
    params = {"max_features": 70, "token_pattern": r"\w+"}

    encoder = TokenOneHotEncoder(**params).fit(documents)

    expected = CountVectorizer(**params).fit(documents).vocabulary_
    assert encoder.vocabulary_ == expected


@pytest.mark.parametrize(
    "vocabulary",
    [
        ["good", "bad", "missing"],
        ("good", "bad"),
        {"good", "bad", "a"},
        {"good": 1, "bad": 0},
        np.array(["to", "from"]),
    ],
    ids=lambda vocabulary: type(vocabulary).__name__,
)
def test_a_fixed_vocabulary_is_read_as_by_count_vectorizer(vocabulary):
    encoder = TokenOneHotEncoder(vocabulary=vocabulary)
    counter = CountVectorizer(vocabulary=vocabulary, token_pattern=r"\w+")

    steps = encoder.fit_transform(DOCUMENTS)

    counts = counter.fit_transform(DOCUMENTS).toarray()
    assert encoder.vocabulary_ == counter.vocabulary_
    assert_array_equal([each.sum(axis=0) for each in steps], counts)


def test_words_of_one_letter_are_kept_by_default():
    assert TokenOneHotEncoder().fit(["I am a cat"]).vocabulary_ == {
        "a": 0,
        "am": 1,
        "cat": 2,
        "i": 3,
    }


def test_lowercase_false_keeps_capitals():
    encoder = TokenOneHotEncoder(lowercase=False).fit(["A a"])

    assert encoder.vocabulary_ == {"A": 0, "a": 1}


def test_char_analyzer_gives_a_step_per_character():
    encoder = TokenOneHotEncoder(analyzer="char")

    (steps,) = encoder.fit_transform(["Ab a"])

    assert encoder.vocabulary_ == {" ": 0, "a": 1, "b": 2}
    assert_array_equal(steps.argmax(axis=1), [1, 2, 0, 1])


def test_callable_analyzer_gets_the_document_as_it_is():
    encoder = TokenOneHotEncoder(analyzer=lambda document: iter(document.split("-")))

    assert encoder.fit(["B-a-C c"]).vocabulary_ == {"B": 0, "C c": 1, "a": 2}


@pytest.mark.parametrize(
    "container",
    [
        list,
        tuple,
        np.array,
        ragged,
        pd.Series,
        lambda items: pd.Series(items, index=[7, 7, 9], dtype=object),
        pd.Index,
        pl.Series,
        iter,
        lambda items: (item for item in items),
    ],
)
def test_documents_in_any_container_give_the_same(container):
    expected = TokenOneHotEncoder().fit_transform(DOCUMENTS)
    encoder = TokenOneHotEncoder()

    assert_ragged_equal(encoder.fit_transform(container(DOCUMENTS)), expected)
    assert_ragged_equal(encoder.transform(container(DOCUMENTS)), expected)


def test_a_pattern_with_several_groups_is_refused_in_scikit_learns_words():
    message = (
        "More than 1 capturing group in token pattern. Only a single group should be "
        "captured."
    )
    with raises(ValueError, message):
        TokenOneHotEncoder(token_pattern="(a)(b)").fit(DOCUMENTS)


def whole(message):
    return f"^{re.escape(message)}$"


UNKNOWN = (
    "None of the tokens of X is in the vocabulary, so all steps are encoded as zeros. "
    "The first sequence begins with {}. Pass X in the form of the X of fit, or fit on "
    "more data."
)


@pytest.mark.parametrize(
    ("X", "first"),
    [
        (["", "c d e f"], "['c', 'd', 'e']"),
        (np.array([["a b"], ["b a"]]), "['a b']"),
    ],
)
def test_x_without_a_known_token_is_warned_of(X, first):
    encoder = TokenOneHotEncoder().fit(["a b", "b a"])
    with pytest.warns(UserWarning, match=whole(UNKNOWN.format(first))):
        encoder.transform(X)


def test_one_known_token_is_enough_not_to_warn():
    TokenOneHotEncoder().fit(["a b", "b a"]).transform(["c", "a"])


# Token sequences


@pytest.mark.parametrize(
    "container",
    [
        list,
        tuple,
        ragged,
        lambda rows: [tuple(row) for row in rows],
        lambda rows: [np.array(row) for row in rows],
        lambda rows: [np.array(row, dtype=object) for row in rows],
        lambda rows: [pd.Series(row) for row in rows],
        pd.Series,
        pl.Series,
        iter,
    ],
)
def test_token_sequences_give_what_their_documents_give(container):
    expected = TokenOneHotEncoder().fit_transform(DOCUMENTS)
    encoder = TokenOneHotEncoder()

    assert_ragged_equal(encoder.fit_transform(container(WORDS)), expected)
    assert encoder.vocabulary_ == VOCABULARY


def test_given_tokens_are_used_as_they_are():
    encoder = TokenOneHotEncoder().fit([["New York", "the"], ["The"]])

    assert encoder.vocabulary_ == {"New York": 0, "The": 1, "the": 2}


def test_tokens_may_be_numbers():
    encoder = TokenOneHotEncoder()

    steps = encoder.fit_transform([np.array([30, 10]), np.array([20])])

    assert encoder.vocabulary_ == {10: 0, 20: 1, 30: 2}
    assert {type(token) for token in encoder.vocabulary_} == {int}
    assert_array_equal(steps[0], [[0, 0, 1], [1, 0, 0]])


def test_tensors_are_read_by_value():
    encoder = TokenOneHotEncoder().fit([torch.tensor([3, 1]), torch.tensor([1])])

    assert encoder.vocabulary_ == {1: 0, 3: 1}


def test_numpy_scalars_in_a_list_become_plain_tokens():
    encoder = TokenOneHotEncoder().fit([[np.int32(1), np.int64(0)], [np.int8(1)]])

    assert {type(token) for token in encoder.vocabulary_} == {int}


@pytest.mark.parametrize("vocabulary", [None, ["b", "a"], {"a": np.int64(0)}])
def test_columns_are_plain_ints(vocabulary):
    encoder = TokenOneHotEncoder(vocabulary=vocabulary).fit(["a b"])

    assert {type(column) for column in encoder.vocabulary_.values()} == {int}


def test_a_learned_vocabulary_is_in_sorted_order():
    encoder = TokenOneHotEncoder(max_features=3).fit([list("dcbaddccbb"), ["c"]])

    assert list(encoder.vocabulary_.items()) == [("b", 0), ("c", 1), ("d", 2)]


def test_tokens_of_a_fixed_vocabulary_may_be_of_several_kinds():
    encoder = TokenOneHotEncoder(vocabulary=["a", 1, ("b", 2)])

    steps = encoder.fit_transform([[1, ("b", 2)], ["a", "1"]])

    assert_array_equal(steps.sum(axis=2), [[1, 1], [1, 0]])
    assert encoder.inverse_transform(steps).tolist() == [[1, ("b", 2)], ["a", None]]


@pytest.mark.parametrize(
    "X",
    [
        GENES,
        GENES.tolist(),
        pd.DataFrame(GENES),
        pd.DataFrame(GENES, columns=list("abcdefg")),
        pl.DataFrame(GENES),
        pl.DataFrame({"a": [1, 2], "b": [3, 4]}),
    ],
    ids=["array", "list", "unnamed", "named", "polars", "polars numbers"],
)
def test_columns_are_known_exactly_when_scikit_learn_knows_them(X):
    peer = OneHotEncoder().fit(X)

    encoder = TokenOneHotEncoder().fit(X)

    assert encoder.n_features_in_ == peer.n_features_in_
    names = getattr(peer, "feature_names_in_", None)
    assert_array_equal(getattr(encoder, "feature_names_in_", None), names)


def test_mixed_cells_of_a_nested_list_are_not_turned_into_strings():
    encoder = TokenOneHotEncoder(vocabulary=[1, "1"])

    assert_array_equal(encoder.fit_transform([[1, "1"]]), [[[1, 0], [0, 1]]])


@pytest.mark.parametrize("X", [GENES[:, :3], GENES[:, :3].tolist()])
def test_another_number_of_columns_is_refused_in_scikit_learns_words(X):
    encoder = TokenOneHotEncoder().fit(GENES)

    message = (
        "X has 3 features, but TokenOneHotEncoder is expecting 7 features as input."
    )
    with raises(ValueError, message):
        encoder.transform(X)


def test_other_column_names_are_refused():
    encoder = TokenOneHotEncoder().fit(pd.DataFrame(GENES, columns=list("abcdefg")))

    with pytest.raises(ValueError, match=r"^The feature names should match those"):
        encoder.transform(pd.DataFrame(GENES, columns=list("gfedcba")))


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_numbers_of_an_array_must_be_finite(bad):
    with pytest.raises(ValueError, match=r"^Input X contains (NaN|infinity)"):
        TokenOneHotEncoder().fit(np.array([[1.0, bad]]))


def test_sparse_x_is_refused():
    with pytest.raises(TypeError, match=r"^Sparse data was passed"):
        TokenOneHotEncoder().fit(csr_array(np.eye(3)))


# What fit settles


def test_documents_and_token_sequences_are_interchangeable():
    by_documents = TokenOneHotEncoder().fit(DOCUMENTS)
    by_words = TokenOneHotEncoder().fit(WORDS)

    assert by_documents.vocabulary_ == by_words.vocabulary_
    assert_ragged_equal(
        by_documents.transform(WORDS[:2]), by_words.transform(DOCUMENTS[:2])
    )


@pytest.mark.parametrize("X", [DOCUMENTS, WORDS, ragged(GENES[:, :2].tolist())])
def test_after_a_ragged_fit_a_list_of_equal_lengths_is_ragged(X):
    encoder = TokenOneHotEncoder().fit(X)

    steps = encoder.transform([["good", "A"], ["T", "bad"]])

    assert_ragged_equal(steps, list(steps))
    assert [len(each) for each in steps] == [2, 2]


def test_after_a_ragged_fit_a_2d_array_is_rectangular():
    encoder = TokenOneHotEncoder().fit(WORDS)

    for T in (2, 4):
        assert encoder.transform(np.full((3, T), "good")).shape == (3, T, 8)


def test_a_list_of_arrays_is_ragged_whatever_their_lengths():
    encoder = TokenOneHotEncoder()

    assert encoder.fit_transform(list(GENES)).shape == (3,)
    assert encoder.transform([GENES[0, :2]])[0].shape == (2, 4)


@pytest.mark.parametrize("X", [list(GENES), ragged(GENES.tolist()), GENES.tolist()])
def test_after_a_rectangular_fit_sequences_of_its_length_are_rectangular(X):
    encoder = TokenOneHotEncoder().fit(GENES)

    assert_array_equal(encoder.transform(X), encoder.transform(GENES))


@pytest.mark.parametrize(
    ("X", "given"),
    [(["AT"], "documents"), ([["A"], ["A", "T"]], "token sequences")],
)
def test_after_a_rectangular_fit_x_of_any_length_is_refused(X, given):
    encoder = TokenOneHotEncoder().fit(GENES)

    message = (
        "X must be 2-D (n_samples, 7), as the X that TokenOneHotEncoder was fitted on."
        f" Got {given}. To use sequences of any length, fit on documents or on a list "
        "of 1-D arrays."
    )
    with raises(ValueError, message):
        encoder.transform(X)


@pytest.mark.parametrize("X", [DOCUMENTS, WORDS])
def test_a_ragged_fit_forgets_the_columns_of_an_earlier_fit(X):
    encoder = TokenOneHotEncoder().fit(pd.DataFrame(GENES, columns=list("abcdefg")))

    encoder.fit(X)

    assert not hasattr(encoder, "n_features_in_")
    assert not hasattr(encoder, "feature_names_in_")


def test_handle_unknown_error_names_the_tokens():
    encoder = TokenOneHotEncoder(handle_unknown="error").fit(["a b"])

    message = (
        "The tokens of X must be in the vocabulary if handle_unknown='error'. Got the "
        "unknown tokens ['y', 'x']. Set handle_unknown='ignore' to encode such tokens "
        "as zeros."
    )
    with raises(ValueError, message):
        encoder.transform(["a y", "x b y"])


def test_handle_unknown_error_names_ten_tokens_at_most():
    encoder = TokenOneHotEncoder(handle_unknown="error").fit(["a"])

    message = (
        "The tokens of X must be in the vocabulary if handle_unknown='error'. Got the "
        "unknown tokens ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9'] and 2 more. "
        "Set handle_unknown='ignore' to encode such tokens as zeros."
    )
    with raises(ValueError, message):
        encoder.transform([[str(i) for i in range(12)]])


def test_handle_unknown_error_compares_a_fixed_vocabulary_in_fit():
    encoder = TokenOneHotEncoder(handle_unknown="error", vocabulary=["a"])

    with pytest.raises(ValueError, match=re.escape("unknown tokens ['b']")):
        encoder.fit(["a b"])


def test_tokens_that_min_df_left_out_are_unknown():
    encoder = TokenOneHotEncoder(handle_unknown="error", min_df=2).fit(["a b", "a"])

    with pytest.raises(ValueError, match=re.escape("unknown tokens ['b']")):
        encoder.transform(["a b"])


# X that is refused


@pytest.mark.parametrize("method", ["fit", "fit_transform", "transform"])
def test_a_single_document_is_refused(method):
    encoder = TokenOneHotEncoder().fit(DOCUMENTS)

    message = (
        "X must be an iterable of documents or of token sequences. Got one str. Pass "
        "[X] to encode a single document."
    )
    with raises(ValueError, message):
        getattr(encoder, method)("from good to bad")


@pytest.mark.parametrize("X", [[], (), iter([]), np.array([], dtype=object)])
def test_no_sequence_at_all_is_refused(X):
    with raises(ValueError, "X must contain at least one sequence. Got none."):
        TokenOneHotEncoder().fit(X)


@pytest.mark.parametrize(
    ("X", "given"),
    [
        (["a", None], "NoneType as document 1"),
        (pd.Series(["a", np.nan], dtype="str"), "float as document 1"),
        ([b"a", "b"], "bytes as document 0"),
        (["a", ["b"]], "list as document 1"),
        (["a", np.array([["b"]])], "an array of shape (1, 1) as document 1"),
    ],
)
def test_what_is_not_a_document_among_documents_is_refused(X, given):
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
        ([["a"], 3], "int as sequence 1"),
        ([{"a": 1}], "dict as sequence 0"),
        ([np.eye(2), np.eye(3)], "an array of shape (2, 2) as sequence 0"),
    ],
)
def test_what_is_not_a_sequence_among_sequences_is_refused(X, given):
    message = (
        f"Every token sequence of X must be a list or a 1-D array. Got {given}. Pass "
        "one token for each time step."
    )
    with raises(ValueError, message):
        TokenOneHotEncoder().fit(X)


@pytest.mark.parametrize("X", [np.array([1, 2]), [1, 2], np.array([1.5])])
def test_1d_numbers_are_refused_in_scikit_learns_words(X):
    with pytest.raises(ValueError, match="Reshape your data"):
        TokenOneHotEncoder().fit(X)


@pytest.mark.parametrize(
    "X", [np.zeros((2, 3, 4)), {"a": 1}, {"a"}, None, 3], ids=lambda X: type(X).__name__
)
def test_what_is_neither_a_table_nor_sequences_is_refused(X):
    with pytest.raises(ValueError, match=r"dim 3|Expected 2D array"):
        TokenOneHotEncoder().fit(X)


@pytest.mark.parametrize(
    ("X", "given"),
    [
        ([["a", 1], ["b"]], "int and str"),
        ([["a", 1], ["b", 2]], "int and str"),
        (np.array([["a", 1]], dtype=object), "int and str"),
        (pd.DataFrame({"word": ["a", "b"], "n": [1, 2]}), "int and str"),
        ([[b"a", "a"]], "bytes and str"),
        ([[1, [2]], [3]], "int and list"),
        ([[[1, 2], [3, 4]], [[5, 6], [7, 8]]], "list"),
        ([[{}, "a"]], "dict and str"),
    ],
)
def test_tokens_of_several_kinds_are_refused(X, given):
    message = (
        "The tokens in the X argument must be all strings or all numbers. Got "
        f"{given}. Convert the tokens, for example with str, or list them in "
        "'vocabulary'."
    )
    with raises(TypeError, message):
        TokenOneHotEncoder().fit(X)


def test_tokens_without_a_hash_are_refused_in_transform():
    encoder = TokenOneHotEncoder().fit([["a", "b"], ["a"]])

    with pytest.raises(TypeError, match=r"all strings or all numbers[.] Got list"):
        encoder.transform([["a", ["b"]]])


@pytest.mark.parametrize(
    "token", [None, np.nan, pd.NA, pd.NaT, np.inf, np.float32("-inf")], ids=repr
)
@pytest.mark.parametrize("known", [["a", "b", "c"], [1.0, 2.0, 3.0]], ids=repr)
def test_missing_and_infinite_tokens_are_refused(token, known):
    message = (
        f"The tokens of X must not be missing or infinite. Got {token!r}. Replace it "
        "by a token."
    )
    encoder = TokenOneHotEncoder()
    for X in ([[token, *known], known], [[token, *known]]):
        with raises(ValueError, message):
            encoder.fit(X)
    encoder.fit([known, known[1:]])
    with raises(ValueError, message):
        encoder.transform([[token]])


# Parameters


def test_a_vocabulary_without_tokens_is_refused():
    message = (
        "The vocabulary must have at least one token. Got sequences without any "
        "(n_samples=2). For documents, check analyzer and token_pattern."
    )
    for X in (["", "..."], [[], []]):
        with raises(ValueError, message):
            TokenOneHotEncoder().fit(X)


@pytest.mark.parametrize("min_df", [3, 0.8])
def test_a_vocabulary_that_min_df_left_empty_is_refused(min_df):
    message = (
        "The vocabulary must have at least one token. Got none that is in at least "
        f"min_df={min_df} of the sequences (n_samples=2). Lower min_df."
    )
    with raises(ValueError, message):
        TokenOneHotEncoder(min_df=min_df).fit(["a b", "a c", "d"][1:])


@pytest.mark.parametrize("vocabulary", [{"a": 0, "b": 2}, {"a": 1, "b": 1}])
def test_columns_of_a_mapping_must_be_complete_and_distinct(vocabulary):
    message = (
        "The columns in the 'vocabulary' parameter must be 0 to 1, each of them once. "
        f"Got {list(vocabulary.values())}. Pass a list of the tokens to number them."
    )
    with raises(ValueError, message):
        TokenOneHotEncoder(vocabulary=vocabulary).fit(["a"])


def test_a_token_twice_in_the_vocabulary_is_refused():
    message = (
        "The 'vocabulary' parameter must contain each token once. Got ['b'] more than "
        "once. Remove the repetitions."
    )
    with raises(ValueError, message):
        TokenOneHotEncoder(vocabulary=["a", "b", "b"]).fit(["a"])


@pytest.mark.parametrize("vocabulary", [[], {}, set()], ids=repr)
def test_an_empty_fixed_vocabulary_is_refused(vocabulary):
    message = (
        "The 'vocabulary' parameter must have at least one token. Got none. Set "
        "vocabulary=None to learn the tokens from X."
    )
    with raises(ValueError, message):
        TokenOneHotEncoder(vocabulary=vocabulary).fit(["a"])


def test_a_set_of_tokens_of_several_kinds_is_refused():
    message = (
        "The tokens in the 'vocabulary' parameter must be all strings or all numbers. "
        "Got int and str. Convert the tokens, for example with str, or list "
        "them in 'vocabulary'."
    )
    with raises(TypeError, message):
        TokenOneHotEncoder(vocabulary={"a", 1}).fit(["a"])


def test_an_unhashable_token_in_the_vocabulary_is_refused():
    message = (
        "The tokens in the 'vocabulary' parameter must be all strings or all numbers. "
        "Got list. Convert the tokens, for example with str, or list them in "
        "'vocabulary'."
    )
    with raises(TypeError, message):
        TokenOneHotEncoder(vocabulary=[["a"], ["b"]]).fit(["a"])


def test_a_missing_token_in_the_vocabulary_is_refused():
    message = (
        "The tokens of the 'vocabulary' parameter must not be missing or infinite. Got "
        "None. Replace it by a token."
    )
    with raises(ValueError, message):
        TokenOneHotEncoder(vocabulary=["a", None]).fit(["a"])


def test_capitals_that_no_document_can_match_are_warned_of():
    message = (
        "The 'vocabulary' parameter contains 'The', which no document matches if "
        "lowercase=True. Set lowercase=False, or convert the vocabulary to lower case."
    )
    encoder = TokenOneHotEncoder(vocabulary=["cat", "The"])
    with pytest.warns(UserWarning, match=re.escape(message)):
        encoder.fit(["The cat"])


@pytest.mark.parametrize(
    ("params", "X"),
    [
        ({"lowercase": False}, ["The cat"]),
        ({"analyzer": str.split}, ["The cat"]),
        ({}, [["The", "cat"], ["cat"]]),
    ],
)
def test_capitals_that_can_match_are_not_warned_of(params, X):
    encoder = TokenOneHotEncoder(vocabulary=["cat", "The"], **params)

    assert_array_equal(encoder.fit_transform(X)[0], [[0, 1], [1, 0]])


@pytest.mark.parametrize(
    ("params", "message"),
    [
        (
            {"min_df": 0},
            "The 'min_df' parameter of TokenOneHotEncoder must be an int in the range "
            "[1, inf) or a float in the range [0.0, 1.0]. Got 0 instead.",
        ),
        (
            {"max_features": 0},
            "The 'max_features' parameter of TokenOneHotEncoder must be an int in the "
            "range [1, inf) or None. Got 0 instead.",
        ),
        (
            {"vocabulary": 3},
            "The 'vocabulary' parameter of TokenOneHotEncoder must be an instance of "
            "'collections.abc.Mapping', an object implementing '__iter__' or None. Got "
            "3 instead.",
        ),
        (
            {"token_pattern": None},
            "The 'token_pattern' parameter of TokenOneHotEncoder must be an instance "
            "of 'str'. Got None instead.",
        ),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_parameters_are_validated_in_fit(params, message):
    with raises(ValueError, message):
        TokenOneHotEncoder(**params).fit(DOCUMENTS)


@pytest.mark.parametrize("name", ["analyzer", "handle_unknown"])
def test_options_are_validated_in_fit(name):
    # Only the beginning: scikit-learn lists the options in no fixed order.
    with pytest.raises(ValueError, match=f"^The '{name}' parameter of TokenOneHot"):
        TokenOneHotEncoder(**{name: "char_wb"}).fit(DOCUMENTS)


def test_fit_leaves_the_given_vocabulary_alone():
    vocabulary = {"b": 1, "a": 0}

    encoder = TokenOneHotEncoder(vocabulary=vocabulary).fit(["a b"])

    assert encoder.vocabulary is vocabulary
    assert encoder.vocabulary_ is not vocabulary


@pytest.mark.parametrize("output", ["default", "pandas", "polars"])
def test_set_output_changes_nothing(output):
    encoder = TokenOneHotEncoder()

    assert encoder.set_output(transform=output) is encoder
    assert isinstance(encoder.fit_transform(GENES), np.ndarray)
    with config_context(transform_output=output):
        assert isinstance(encoder.fit_transform(DOCUMENTS), np.ndarray)


def test_set_output_of_a_pipeline_works():
    pipeline = make_pipeline(TokenOneHotEncoder()).set_output(transform="pandas")

    assert pipeline.fit_transform(DOCUMENTS).shape == (3,)


TEXTS = ["from bad to good", "so good", "", "to be or not to be"]


def test_a_vocabulary_of_ids_can_be_passed_on():
    encoder = TokenEncoder().fit(TEXTS)
    other = TokenEncoder(vocabulary=encoder.vocabulary_).fit(["good be"])
    assert other.vocabulary_ == encoder.vocabulary_
    assert other.n_ids_ == encoder.n_ids_ == len(encoder.vocabulary_) + 2


def test_ids_of_a_vocabulary_follow_padding_and_unknown():
    message = (
        "The ids in the 'vocabulary' parameter must be 2 to 3, each of them once. Got "
        "[0, 1]. Pass a list of the tokens to number them."
    )
    with raises(ValueError, message):
        TokenEncoder(vocabulary={"a": 0, "b": 1}).fit(["a b"])


def test_unknown_tokens_are_named_for_ids_too():
    message = (
        "The tokens of X must be in the vocabulary if handle_unknown='error'. Got the "
        "unknown tokens ['c']. Set handle_unknown='ignore' to encode such tokens as "
        "the id 1."
    )
    encoder = TokenEncoder(handle_unknown="error").fit(["a b"])
    with raises(ValueError, message):
        encoder.transform(["a c"])


def test_text_without_a_known_token_is_warned_of_as_ids():
    encoder = TokenEncoder().fit(["a b"])
    message = (
        "None of the tokens of X is in the vocabulary, so all steps are encoded as the "
        "id 1. The first sequence begins with ['c', 'd']. Pass X in the form of the X "
        "of fit, or fit on more data."
    )
    with pytest.warns(UserWarning, match=f"^{re.escape(message)}$") as caught:
        encoder.transform(["c d"])
    assert caught[0].filename == __file__
