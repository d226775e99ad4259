import pickle
import re

import numpy as np
import pandas as pd
import polars as pl
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from messages import raises
from numpy.testing import assert_array_equal
from scipy.sparse import csr_array
from sklearn import config_context
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder

from skrnn import RNNClassifier, TokenEncoder, TokenOneHotEncoder
from skrnn.datasets import make_order_sentences

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


# Against peers

# CountVectorizer warns of a token_pattern that its analyzer does not use.
ignore_unused = pytest.mark.filterwarnings("ignore:The parameter 'token_pattern'")
texts = st.lists(st.text("abAB é_1-. \n\t", max_size=12), min_size=1, max_size=8)


@ignore_unused
@given(
    documents=texts,
    analyzer=st.sampled_from(["word", "char", str.split]),
    lowercase=st.booleans(),
    token_pattern=st.sampled_from(
        [r"(?u)\b\w+\b", r"(?u)\b\w\w+\b", r"\S+", r"(\w)\w*", r"\w*"]
    ),
    min_df=st.one_of(st.integers(1, 3), st.floats(0, 1)),
    max_features=st.one_of(st.none(), st.integers(1, 6)),
)
def test_sum_over_steps_is_the_count_of_count_vectorizer(documents, **params):
    encoder = TokenOneHotEncoder(**params)
    counter = CountVectorizer(**params)
    try:
        counts = counter.fit_transform(documents).toarray()
    except ValueError:  # no token is left
        with pytest.raises(ValueError, match=r"^The vocabulary must have at least one"):
            encoder.fit(documents)
        return

    steps = encoder.fit_transform(documents)

    assert encoder.vocabulary_ == counter.vocabulary_
    assert_array_equal([each.sum(axis=0) for each in steps], counts)


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


@pytest.mark.filterwarnings("ignore:None of the tokens of X:UserWarning")
@given(
    st.integers(1, 5).flatmap(
        lambda n_timesteps: st.lists(
            st.lists(st.integers(-3, 9), min_size=n_timesteps, max_size=n_timesteps),
            min_size=2,
            max_size=8,
        )
    ),
    st.sampled_from([np.int64, np.float32, str, object]),
)
def test_columns_are_those_of_one_hot_encoder_with_equal_categories(table, dtype):
    table = np.array(table).astype(dtype)
    seen, new = table[::2], table[1::2]
    categories = [np.unique(seen)] * table.shape[1]
    peer = OneHotEncoder(
        categories=categories, handle_unknown="ignore", sparse_output=False
    ).fit(seen)
    encoder = TokenOneHotEncoder(dtype=np.float64).fit(seen)

    for X in (seen, new):
        steps = encoder.transform(X)
        assert_array_equal(steps.reshape(len(X), -1), peer.transform(X), strict=True)
        assert_array_equal(
            encoder.inverse_transform(steps), peer.inverse_transform(peer.transform(X))
        )


# Documents


def test_documents_become_one_step_per_word():
    encoder = TokenOneHotEncoder()

    steps = encoder.fit_transform(DOCUMENTS)

    assert encoder.vocabulary_ == VOCABULARY
    expected = [np.eye(8, dtype=np.float32)[[VOCABULARY[w] for w in r]] for r in WORDS]
    assert_ragged_equal(steps, expected)


def test_order_of_words_is_kept():
    rise, fall = TokenOneHotEncoder().fit_transform(
        ["from bad to good", "from good to bad"]
    )

    assert not np.array_equal(rise, fall)
    assert_array_equal(rise.sum(axis=0), fall.sum(axis=0))


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


def test_fit_then_transform_equals_fit_transform():
    expected = TokenOneHotEncoder(min_df=2).fit_transform(DOCUMENTS)

    steps = TokenOneHotEncoder(min_df=2).fit(DOCUMENTS).transform(DOCUMENTS)

    assert_ragged_equal(steps, expected)


def test_a_pattern_with_several_groups_is_refused_in_scikit_learns_words():
    message = (
        "More than 1 capturing group in token pattern. Only a single group should be "
        "captured."
    )
    with raises(ValueError, message):
        TokenOneHotEncoder(token_pattern="(a)(b)").fit(DOCUMENTS)


def test_a_document_without_tokens_is_one_step_of_zeros():
    encoder = TokenOneHotEncoder().fit(["a b", "..."])

    first, empty, last = encoder.transform(["b", "?", "a b"])

    assert_array_equal(first, [[0, 1]])
    assert_array_equal(empty, np.zeros((1, 2), dtype=np.float32), strict=True)
    assert_array_equal(last, [[1, 0], [0, 1]])
    assert encoder.inverse_transform([empty])[0].tolist() == [None]


def test_a_document_without_tokens_can_be_predicted():
    pipeline = make_pipeline(
        TokenOneHotEncoder(), RNNClassifier(2, max_epochs=1, random_state=0)
    )
    pipeline.fit(["a b", "b a", ""], [0, 1, 0])

    assert pipeline.predict_proba(["", "a"]).shape == (2, 2)


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


def test_token_sequences_without_tokens_are_ragged():
    encoder = TokenOneHotEncoder(vocabulary=["a"])

    assert_ragged_equal(
        encoder.fit_transform([[], []]), [np.zeros((1, 1), dtype=np.float32)] * 2
    )
    assert not hasattr(encoder, "n_features_in_")


@pytest.mark.parametrize("documents", [["a b"], ["a b", "b a"]])
def test_ragged_answers_are_object_arrays_even_for_equal_lengths(documents):
    steps = TokenOneHotEncoder().fit_transform(documents)

    assert steps.shape == (len(documents),)
    assert all(each.shape == (2, 2) for each in steps)


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


def test_a_mapping_says_which_column():
    encoder = TokenOneHotEncoder(vocabulary={"b": 0, "a": 1})

    assert_array_equal(encoder.fit_transform([["a", "b"]]), [[[0, 1], [1, 0]]])
    assert_array_equal(encoder.inverse_transform(np.eye(2)[None]), [["b", "a"]])


def test_tokens_of_a_fixed_vocabulary_may_be_of_several_kinds():
    encoder = TokenOneHotEncoder(vocabulary=["a", 1, ("b", 2)])

    steps = encoder.fit_transform([[1, ("b", 2)], ["a", "1"]])

    assert_array_equal(steps.sum(axis=2), [[1, 1], [1, 0]])
    assert encoder.inverse_transform(steps).tolist() == [[1, ("b", 2)], ["a", None]]


# Rectangular X


@pytest.mark.parametrize(
    "container",
    [
        np.array,
        lambda table: np.array(table, dtype=object),
        np.asfortranarray,
        np.ndarray.tolist,
        lambda table: tuple(map(tuple, table)),
        pd.DataFrame,
        lambda table: pd.DataFrame(table, dtype="category"),
        lambda table: pd.DataFrame(table, dtype="string"),
        pl.DataFrame,
    ],
)
def test_rectangular_x_in_any_container_gives_the_same_3d_array(container):
    tokens, codes = np.unique(GENES, return_inverse=True)
    expected = np.eye(len(tokens), dtype=np.float32)[codes]
    encoder = TokenOneHotEncoder()
    X = container(GENES)

    assert_array_equal(encoder.fit_transform(X), expected, strict=True)
    assert_array_equal(encoder.transform(X), expected, strict=True)
    assert encoder.vocabulary_ == {"A": 0, "C": 1, "G": 2, "T": 3}


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


# Unknown tokens


@pytest.mark.parametrize(
    "X", [["a x b"], [["a", "x", "b"]], np.array([["a", "x", "b"]])]
)
def test_an_unknown_token_is_an_all_zero_step(X):
    encoder = TokenOneHotEncoder().fit(["a b"])

    assert_array_equal(encoder.transform(X)[0], [[1, 0], [0, 0], [0, 1]])


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


# And back


def test_inverse_transform_returns_the_tokens_of_a_table():
    encoder = TokenOneHotEncoder()

    tokens = encoder.inverse_transform(encoder.fit_transform(GENES))

    assert_array_equal(tokens, GENES, strict=True)


@pytest.mark.parametrize(
    ("tokens", "dtype"),
    [
        (["a", "bc"], "<U2"),
        ([3, 1], "int64"),
        ([0.5, 1.0], "float64"),
        ([True, False], "bool"),
        ([b"a", b"b"], "S1"),
        (["a\0", "b"], "object"),  # numpy's strings would drop the zero byte
        ([(1, 2), (3, 4)], "object"),
        ([1, 2.5], "object"),
    ],
)
def test_inverse_transform_gives_tokens_their_natural_dtype(tokens, dtype):
    encoder = TokenOneHotEncoder()

    (actual, _) = encoder.inverse_transform(encoder.fit_transform([tokens, tokens[:1]]))

    assert actual.tolist() == tokens
    assert actual.dtype == dtype


def test_inverse_transform_returns_the_tokens_of_documents():
    encoder = TokenOneHotEncoder()

    tokens = encoder.inverse_transform(encoder.fit_transform(DOCUMENTS))

    assert_ragged_equal(tokens, [np.array(row, dtype="<U4") for row in WORDS])


def test_inverse_transform_turns_all_zero_steps_into_none():
    encoder = TokenOneHotEncoder().fit([["a", "b"]])

    tokens = encoder.inverse_transform(encoder.transform([["b", "x"]]))

    assert tokens.dtype == object
    assert tokens.tolist() == [["b", None]]


@pytest.mark.parametrize("dtype", [bool, np.uint8, np.int64, np.float16, object])
def test_round_trip_holds_for_any_dtype(dtype):
    encoder = TokenOneHotEncoder(dtype=dtype)

    steps = encoder.fit_transform(GENES)

    assert steps.dtype == dtype
    assert_array_equal(encoder.inverse_transform(steps), GENES)


def test_inverse_transform_reads_a_list_of_arrays():
    encoder = TokenOneHotEncoder().fit([["a", "b"]])

    tokens = encoder.inverse_transform([np.eye(2), [[0, 1]]])

    assert_ragged_equal(tokens, [np.array(["a", "b"]), np.array(["b"])])


@pytest.mark.parametrize(
    "step", [[0.2, 0.8], [1, 1], [2, 0], [-1, 0], [1, np.nan], [np.nan, 0], [0, np.inf]]
)
def test_inverse_transform_refuses_what_is_not_one_hot(step):
    encoder = TokenOneHotEncoder().fit([["a", "b"]])
    X = [np.eye(2), np.empty((0, 2)), np.array([step, [0, 1]])]

    message = (
        "Every time step of X must be one-hot or all zeros. Got other values in step "
        "0 of sequence 2. For probabilities pass np.eye(2)[X.argmax(axis=-1)]."
    )
    with raises(ValueError, message):
        encoder.inverse_transform(X)


def test_inverse_transform_says_where_a_3d_array_is_not_one_hot():
    encoder = TokenOneHotEncoder().fit([["a", "b"]])
    X = np.zeros((3, 4, 2))
    X[1, 2] = 0.5

    with pytest.raises(ValueError, match="in step 2 of sequence 1"):
        encoder.inverse_transform(X)


@pytest.mark.parametrize(
    ("X", "given"),
    [
        (np.eye(2), "an array of shape (2, 2)"),
        (csr_array(np.eye(2)), "an array of shape (2, 2)"),
        (np.zeros((1, 4, 3)), "an array of shape (4, 3) as sequence 0"),
        ([np.eye(2), np.eye(3)], "an array of shape (3, 3) as sequence 1"),
        ([[0, 1]], "an array of shape (2,) as sequence 0"),
        (None, "NoneType"),
    ],
)
def test_inverse_transform_refuses_other_shapes(X, given):
    encoder = TokenOneHotEncoder().fit([["a", "b"]])

    message = (
        "X must be 3-D (n_samples, n_timesteps, 2), or a list of arrays "
        "(n_timesteps, 2), with one column for each token of vocabulary_. "
        f"Got {given}. Pass the output of transform."
    )
    with raises(ValueError, message):
        encoder.inverse_transform(X)


def test_inverse_transform_of_nothing_is_refused():
    encoder = TokenOneHotEncoder().fit([["a", "b"]])

    with raises(ValueError, "X must contain at least one sequence. Got none."):
        encoder.inverse_transform([])


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


# As a scikit-learn object


@pytest.mark.parametrize("encoder", [TokenOneHotEncoder, TokenEncoder])
@pytest.mark.parametrize("method", ["transform", "inverse_transform"])
def test_methods_refuse_to_work_before_fit(encoder, method):
    with pytest.raises(NotFittedError):
        getattr(encoder(vocabulary=["a"]), method)([["a"]])


@pytest.mark.parametrize("X", [DOCUMENTS, WORDS])
def test_a_pickled_encoder_gives_the_same(X):
    encoder = TokenOneHotEncoder().fit(X)

    loaded = pickle.loads(pickle.dumps(encoder))

    assert_ragged_equal(loaded.transform(X), encoder.transform(X))


def test_a_clone_has_the_parameters_and_no_vocabulary():
    vocabulary = ["good", "bad"]
    encoder = TokenOneHotEncoder(vocabulary=vocabulary, analyzer=str.split)

    copy = clone(encoder.fit(DOCUMENTS))

    assert copy.get_params() == encoder.get_params()
    assert not hasattr(copy, "vocabulary_")


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


# Ids


def as_ragged(pieces):
    array = np.empty(len(pieces), dtype=object)
    array[:] = pieces
    return array


TEXTS = ["from bad to good", "so good", "", "to be or not to be"]
FORMS = {
    "documents": TEXTS,
    "a Series": pd.Series(TEXTS),
    "token lists": [text.split() for text in TEXTS if text],
    "an object array": as_ragged([np.array(t.split()) for t in TEXTS if t]),
    "a table": np.array([list("GAT"), list("TTA")]),
    "a frame": pd.DataFrame([list("GAT"), list("TTA")], columns=["x", "y", "z"]),
    "a frame of polars": pl.DataFrame({"x": ["G", "T"], "y": ["A", "T"]}),
    "numbers": np.array([[7, 3, 3], [9, 7, 7]]),
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("known", [None, "half"])
def test_ids_number_the_columns_of_the_one_hot_steps(form, known):
    X = FORMS[form]
    options = {}
    if known == "half":
        tokens = sorted(TokenOneHotEncoder().fit(X).vocabulary_)
        options = {"vocabulary": tokens[::2]}
    one_hot = TokenOneHotEncoder(**options).fit_transform(X)
    encoder = TokenEncoder(**options)
    ids = encoder.fit_transform(X)

    # Padding and unknown tokens are zeros, the others rows of the identity.
    rows = np.vstack(
        [np.zeros((2, len(encoder.vocabulary_))), np.eye(encoder.n_ids_ - 2)]
    )
    assert ids.shape == one_hot.shape[: ids.ndim]
    for numbers, steps in zip(ids, one_hot, strict=True):
        assert numbers.dtype == np.int64
        assert_array_equal(rows[numbers], steps)
    again = encoder.transform(X)
    for numbers, same in zip(ids, again, strict=True):
        assert_array_equal(numbers, same)


@pytest.mark.parametrize("form", FORMS)
def test_ids_become_tokens_again(form):
    X = FORMS[form]
    encoder = TokenEncoder().fit(X)
    one_hot = TokenOneHotEncoder().fit(X)
    tokens = encoder.inverse_transform(encoder.transform(X))
    expected = one_hot.inverse_transform(one_hot.transform(X))
    assert tokens.shape == expected.shape
    for found, wanted in zip(tokens, expected, strict=True):
        assert_array_equal(found, wanted)


def test_an_unknown_id_becomes_none():
    encoder = TokenEncoder().fit(["a b"])
    assert encoder.inverse_transform(np.array([[2, 1]])).tolist() == [["a", None]]


@pytest.mark.parametrize("container", [np.array, list, pd.DataFrame])
def test_padding_is_left_out_on_the_way_back(container):
    encoder = TokenEncoder().fit(["a b"])
    padded = container([[2, 3, 2], [3, 0, 0], [0, 0, 0]])

    tokens = encoder.inverse_transform(padded)

    assert_ragged_equal(
        tokens, [np.array(list(row), dtype="<U1") for row in ("aba", "b", "")]
    )


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


@pytest.mark.parametrize(
    "container",
    [
        np.array,
        lambda ids: np.array(ids, dtype=np.float32),
        lambda ids: np.array(ids, dtype=object),
        pd.DataFrame,
        lambda ids: pl.DataFrame(ids, orient="row", schema=["x", "y", "z"]),
    ],
    ids=["array", "floats", "objects", "pandas", "polars"],
)
def test_ids_of_a_table_become_a_table_of_tokens(container):
    encoder = TokenEncoder().fit(["a b c d"])

    tokens = encoder.inverse_transform(container([[2, 3, 4], [5, 2, 3]]))

    assert tokens.tolist() == [["a", "b", "c"], ["d", "a", "b"]]


@pytest.mark.parametrize("container", [list, tuple, ragged, pd.Series, pl.Series])
def test_ids_of_lists_become_arrays_of_tokens(container):
    encoder = TokenEncoder().fit(["a b c d"])

    for ids, words in (([[2, 3], [4]], ["ab", "c"]), ([[2], [5]], ["a", "d"])):
        tokens = encoder.inverse_transform(container(ids))
        assert_ragged_equal(tokens, [np.array(list(word)) for word in words])


@pytest.mark.parametrize(
    ("ids", "given"),
    [
        ([[9]], "9"),
        ([[0.5]], "0.5"),
        ([[-1]], "-1"),
        (np.array([[2, np.nan]]), "nan"),
        (np.array([[2, None]]), "None"),
        (np.array([["a", 2]], dtype=object), "objects that are not numbers"),
        ([["a", "b"]], "['a', 'b'] as sequence 0"),
        ([2, 3], "2 as sequence 0"),
        (np.array([2, 3]), "2 as sequence 0"),
        ([[2], [[3]]], "an array of shape (1, 1) as sequence 1"),
        (np.full((1, 2, 1), 2), "an array of shape (1, 2, 1)"),
        (csr_array(np.eye(2)), "csr_array"),
        ("a b", "str"),
        (None, "NoneType"),
    ],
)
def test_what_is_no_id_has_no_token(ids, given):
    encoder = TokenEncoder().fit(["a b"])
    message = (
        "X must contain ids from 0 to 3, 2-D (n_samples, n_timesteps) or a list of 1-D "
        f"arrays. Got {given}. Pass the output of transform."
    )
    with raises(ValueError, message):
        encoder.inverse_transform(ids)


@pytest.mark.parametrize("ids", [[], np.empty((0, 2), dtype=int)])
def test_no_sequence_of_ids_is_refused(ids):
    with raises(ValueError, "X must contain at least one sequence. Got none."):
        TokenEncoder().fit(["a b"]).inverse_transform(ids)


def test_a_pipeline_learns_from_documents_by_their_ids():
    X, y = make_order_sentences(60, random_state=0)
    model = make_pipeline(
        TokenEncoder(),
        RNNClassifier(8, embedding_dim=4, max_epochs=2, random_state=0),
    )
    model = pickle.loads(pickle.dumps(clone(model).fit(X, y)))
    assert model.predict(["from good to what", ""]).shape == (2,)
    assert model[-1].module_.embedding.weight.shape == (model[0].n_ids_, 4)
