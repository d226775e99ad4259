import pickle

import numpy as np
import pandas as pd
import polars as pl
import pytest
from hypothesis import given
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


def test_fit_then_transform_equals_fit_transform():
    expected = TokenOneHotEncoder(min_df=2).fit_transform(DOCUMENTS)

    steps = TokenOneHotEncoder(min_df=2).fit(DOCUMENTS).transform(DOCUMENTS)

    assert_ragged_equal(steps, expected)


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


def test_a_mapping_says_which_column():
    encoder = TokenOneHotEncoder(vocabulary={"b": 0, "a": 1})

    assert_array_equal(encoder.fit_transform([["a", "b"]]), [[[0, 1], [1, 0]]])
    assert_array_equal(encoder.inverse_transform(np.eye(2)[None]), [["b", "a"]])


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


# Unknown tokens


@pytest.mark.parametrize(
    "X", [["a x b"], [["a", "x", "b"]], np.array([["a", "x", "b"]])]
)
def test_an_unknown_token_is_an_all_zero_step(X):
    encoder = TokenOneHotEncoder().fit(["a b"])

    assert_array_equal(encoder.transform(X)[0], [[1, 0], [0, 0], [0, 1]])


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
