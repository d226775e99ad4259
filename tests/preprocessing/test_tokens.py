"""TokenOneHotEncoder and TokenEncoder."""

import pickle

import numpy as np
import pandas as pd
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from messages import raises
from numpy.testing import assert_array_equal
from scipy.sparse import csr_array
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder

from skrnn import RNNClassifier, TokenEncoder, TokenOneHotEncoder

DOCUMENTS = ["from bad to good", "so good", "", "to be or not to be"]
WORDS = [text.split() for text in DOCUMENTS]
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


# TokenOneHotEncoder.transform

texts = st.lists(st.text("abAB é_1-. \n\t", max_size=12), min_size=1, max_size=8)


# CountVectorizer warns of a token_pattern that its analyzer does not use.
@pytest.mark.filterwarnings("ignore:The parameter 'token_pattern'")
@settings(max_examples=50)
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
def test_the_sum_over_steps_is_the_count_of_count_vectorizer(documents, **params):
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


@pytest.mark.parametrize("dtype", [np.int64, np.float32, str, object])
def test_columns_are_those_of_one_hot_encoder_with_equal_categories(dtype):
    table = np.random.default_rng(0).integers(-3, 9, size=(8, 4)).astype(dtype)
    seen, new = table[::2], table[1::2]
    peer = OneHotEncoder(
        categories=[np.unique(seen)] * 4, handle_unknown="ignore", sparse_output=False
    ).fit(seen)
    encoder = TokenOneHotEncoder(dtype=np.float64).fit(seen)

    for X in (seen, new):
        steps = encoder.transform(X)
        assert_array_equal(steps.reshape(len(X), -1), peer.transform(X), strict=True)
        assert_array_equal(
            encoder.inverse_transform(steps), peer.inverse_transform(peer.transform(X))
        )


def test_every_token_becomes_a_one_hot_step():
    encoder = TokenOneHotEncoder().fit(DOCUMENTS)

    steps = encoder.transform(DOCUMENTS)

    vocabulary = encoder.vocabulary_
    assert list(vocabulary) == ["bad", "be", "from", "good", "not", "or", "so", "to"]
    one_hot = np.eye(8, dtype=np.float32)
    expected = [one_hot[[vocabulary[word] for word in words]] for words in WORDS]
    expected[2] = np.zeros((1, 8), dtype=np.float32)  # of the empty document
    assert_ragged_equal(steps, expected)
    assert_ragged_equal(TokenOneHotEncoder().fit_transform(DOCUMENTS), expected)


def test_sequences_without_tokens_are_ragged():
    encoder = TokenOneHotEncoder(vocabulary=["a"])

    steps = encoder.fit_transform([[], []])

    assert_ragged_equal(steps, [np.zeros((1, 1), dtype=np.float32)] * 2)
    assert not hasattr(encoder, "n_features_in_")


@pytest.mark.parametrize("documents", [["a b"], ["a b", "b a"]])
def test_documents_of_equal_length_are_ragged(documents):
    steps = TokenOneHotEncoder().fit_transform(documents)

    assert steps.shape == (len(documents),)
    assert all(each.shape == (2, 2) for each in steps)


def test_a_mapping_defines_the_columns():
    encoder = TokenOneHotEncoder(vocabulary={"b": 0, "a": 1})

    assert_array_equal(encoder.fit_transform([["a", "b"]]), [[[0, 1], [1, 0]]])
    assert_array_equal(encoder.inverse_transform(np.eye(2)[None]), [["b", "a"]])


@pytest.mark.parametrize(
    "X", [["a x b"], [["a", "x", "b"]], np.array([["a", "x", "b"]])]
)
def test_an_unknown_token_becomes_a_step_of_zeros(X):
    encoder = TokenOneHotEncoder().fit(["a b"])

    steps = encoder.transform(X)

    assert_array_equal(steps[0], [[1, 0], [0, 0], [0, 1]])
    assert encoder.inverse_transform(steps)[0].tolist() == ["a", None, "b"]


# TokenOneHotEncoder.inverse_transform


@pytest.mark.parametrize(
    ("tokens", "dtype"),
    [
        (["a", "bc"], "<U2"),
        ([3, 1], "int64"),
        ([True, False], "bool"),
        ([b"a", b"b"], "S1"),
        (["a\0", "b"], "object"),  # numpy strips trailing null characters
        ([(1, 2), (3, 4)], "object"),
        ([1, 2.5], "object"),
    ],
)
def test_inverse_transform_preserves_the_dtype_of_tokens(tokens, dtype):
    encoder = TokenOneHotEncoder()

    (inverse, _) = encoder.inverse_transform(
        encoder.fit_transform([tokens, tokens[:1]])
    )

    assert inverse.tolist() == tokens
    assert inverse.dtype == dtype


@pytest.mark.parametrize("dtype", [bool, np.float16, object])
def test_inverse_transform_accepts_any_dtype(dtype):
    encoder = TokenOneHotEncoder(dtype=dtype)

    steps = encoder.fit_transform(GENES)

    assert steps.dtype == dtype
    assert_array_equal(encoder.inverse_transform(steps), GENES, strict=True)


def test_inverse_transform_of_a_list_of_arrays_is_ragged():
    encoder = TokenOneHotEncoder().fit([["a", "b"]])

    tokens = encoder.inverse_transform([np.eye(2), [[0, 1]]])

    assert_ragged_equal(tokens, [np.array(["a", "b"]), np.array(["b"])])


@pytest.mark.parametrize("step", [[0.2, 0.8], [1, 1], [2, 0], [1, np.nan]])
def test_inverse_transform_of_steps_that_are_not_one_hot_raises(step):
    encoder = TokenOneHotEncoder().fit([["a", "b"]])
    ragged = [np.eye(2), np.empty((0, 2)), np.array([[0, 1], step])]
    array = np.zeros((3, 4, 2))
    array[2, 1] = step

    message = (
        "Every time step of X must be one-hot or all zeros. Got other values in step "
        "1 of sequence 2. For probabilities pass np.eye(2)[X.argmax(axis=-1)]."
    )
    for X in (ragged, array):
        with raises(ValueError, message):
            encoder.inverse_transform(X)


@pytest.mark.parametrize(
    ("X", "given"),
    [
        (csr_array(np.eye(2)), "an array of shape (2, 2)"),
        (np.zeros((1, 4, 3)), "an array of shape (4, 3) as sequence 0"),
        ([np.eye(2), np.eye(3)], "an array of shape (3, 3) as sequence 1"),
        ([[0, 1]], "an array of shape (2,) as sequence 0"),
        (None, "NoneType"),
    ],
)
def test_inverse_transform_of_other_shapes_raises(X, given):
    encoder = TokenOneHotEncoder().fit([["a", "b"]])

    message = (
        "X must be 3-D (n_samples, n_timesteps, 2), or a list of arrays "
        "(n_timesteps, 2), with one column for each token of vocabulary_. "
        f"Got {given}. Pass the output of transform."
    )
    with raises(ValueError, message):
        encoder.inverse_transform(X)


# TokenEncoder

FORMS = {
    "documents": DOCUMENTS,
    "token lists": [words for words in WORDS if words],
    "2-D array": GENES,
    "DataFrame": pd.DataFrame([list("GAT"), list("TTA")], columns=["x", "y", "z"]),
    "numbers": np.array([[7, 3, 3], [9, 7, 7]]),
}


@pytest.mark.parametrize("X", FORMS.values(), ids=FORMS)
@pytest.mark.parametrize("fixed", [False, True])
def test_ids_are_the_columns_of_the_one_hot_encoding(X, fixed):
    params = {}
    if fixed:  # every other token is unknown
        params["vocabulary"] = sorted(TokenOneHotEncoder().fit(X).vocabulary_)[::2]
    one_hot = TokenOneHotEncoder(**params)
    steps = one_hot.fit_transform(X)
    encoder = TokenEncoder(**params)

    ids = encoder.fit_transform(X)

    # Padding and unknown tokens are zeros, the other ids rows of the identity.
    n_tokens = encoder.n_ids_ - 2
    vectors = np.vstack([np.zeros((2, n_tokens)), np.eye(n_tokens)])
    tokens, expected = encoder.inverse_transform(ids), one_hot.inverse_transform(steps)
    assert tokens.shape == expected.shape
    assert ids.shape == steps.shape[: ids.ndim]
    again = encoder.transform(X)
    for i, row in enumerate(ids):
        assert row.dtype == np.int64
        assert_array_equal(vectors[row], steps[i])
        assert_array_equal(row, again[i])
        assert_array_equal(tokens[i], expected[i])


@pytest.mark.parametrize("container", [np.array, list, pd.DataFrame])
def test_inverse_transform_removes_padding(container):
    encoder = TokenEncoder().fit(["a b"])
    padded = container([[2, 3, 2], [3, 0, 0], [0, 0, 0]])

    tokens = encoder.inverse_transform(padded)

    assert_ragged_equal(
        tokens, [np.array(list(row), dtype="<U1") for row in ("aba", "b", "")]
    )


@pytest.mark.parametrize(
    "container",
    [
        lambda ids: np.array(ids, dtype=np.float32),
        lambda ids: np.array(ids, dtype=object),
        lambda ids: pl.DataFrame(ids, orient="row", schema=["x", "y", "z"]),
    ],
    ids=["floats", "objects", "polars"],
)
def test_inverse_transform_of_2d_ids_is_2d(container):
    encoder = TokenEncoder().fit(["a b c d"])

    tokens = encoder.inverse_transform(container([[2, 3, 4], [5, 2, 3]]))

    assert tokens.tolist() == [["a", "b", "c"], ["d", "a", "b"]]


@pytest.mark.parametrize("container", [list, to_object_array, pl.Series])
def test_inverse_transform_of_lists_of_ids_is_ragged(container):
    encoder = TokenEncoder().fit(["a b c d"])

    for ids, words in (([[2, 3], [4]], ["ab", "c"]), ([[2], [5]], ["a", "d"])):
        tokens = encoder.inverse_transform(container(ids))
        assert_ragged_equal(tokens, [np.array(list(word)) for word in words])


@pytest.mark.parametrize(
    ("ids", "given"),
    [
        ([[4]], "4"),
        ([[0.5]], "0.5"),
        ([[-1]], "-1"),
        (np.array([[2, None]]), "None"),
        (np.array([["a", 2]], dtype=object), "objects that are not numbers"),
        ([["a", "b"]], "['a', 'b'] as sequence 0"),
        ([2, 3], "2 as sequence 0"),
        ([[2], [[3]]], "an array of shape (1, 1) as sequence 1"),
        (np.full((1, 2, 1), 2), "an array of shape (1, 2, 1)"),
        (csr_array(np.eye(2)), "csr_array"),
        ("a b", "str"),
    ],
)
def test_inverse_transform_of_values_that_are_not_ids_raises(ids, given):
    encoder = TokenEncoder().fit(["a b"])
    message = (
        "X must contain ids from 0 to 3, 2-D (n_samples, n_timesteps) or a list of 1-D "
        f"arrays. Got {given}. Pass the output of transform."
    )
    with raises(ValueError, message):
        encoder.inverse_transform(ids)


# Both


@pytest.mark.parametrize("cls", [TokenOneHotEncoder, TokenEncoder])
def test_inverse_transform_of_no_sequence_raises(cls):
    with raises(ValueError, "X must contain at least one sequence. Got none."):
        cls().fit(["a b"]).inverse_transform([])


@pytest.mark.parametrize("cls", [TokenOneHotEncoder, TokenEncoder])
@pytest.mark.parametrize("method", ["transform", "inverse_transform"])
def test_methods_before_fit_raise(cls, method):
    with pytest.raises(NotFittedError):
        getattr(cls(vocabulary=["a"]), method)([["a"]])


@pytest.mark.parametrize(
    ("encoder", "params"),
    [(TokenOneHotEncoder(), {}), (TokenEncoder(), {"embedding_dim": 4})],
    ids=["one-hot", "ids"],
)
def test_a_pipeline_of_an_encoder_and_a_network(encoder, params):
    model = RNNClassifier(2, max_epochs=1, random_state=0, **params)
    pipeline = make_pipeline(encoder, model).fit(DOCUMENTS, [0, 1, 0, 1])

    copy = pickle.loads(pickle.dumps(pipeline))

    X = ["from good to what", ""]
    assert_array_equal(copy.predict_proba(X), pipeline.predict_proba(X))
    assert not hasattr(clone(pipeline)[0], "vocabulary_")
    if params:
        n_ids = pipeline[0].n_ids_
        assert pipeline[1].module_.embedding.weight.shape == (n_ids, 4)
