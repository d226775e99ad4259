"""Token ids."""

import numpy as np
import pytest
import torch
from messages import raises
from numpy.testing import assert_allclose, assert_array_equal

from skrnn import RNNClassifier, RNNRegressor

rng = np.random.default_rng(0)


TINY = dict(hidden_size=4, max_epochs=2, random_state=0)


gated = pytest.mark.parametrize("cell_type", ["rnn", "gru", "lstm"])


# Token ids
def ids(n_rows=12, n_ids=6):
    return [rng.integers(1, n_ids, size=n) for n in rng.integers(1, 7, size=n_rows)]


@gated
def test_an_identity_embedding_equals_one_hot_features(cell_type):
    X = ids()
    y = np.array([x[0] > 3 for x in X])
    y[:2] = [True, False]
    model = RNNClassifier(**TINY, cell_type=cell_type, embedding_dim=6).fit(X, y)
    with torch.no_grad():
        model.module_.embedding.weight.copy_(torch.eye(6))
    one_hot = [np.eye(6)[x] for x in X]
    twin = RNNClassifier(**TINY, cell_type=cell_type).fit(one_hot, y)
    state = model.module_.state_dict()
    del state["embedding.weight"]
    scaling = {k: v for k, v in twin.module_.state_dict().items() if "input" in k}
    twin.module_.load_state_dict(state | scaling)
    assert_array_equal(scaling["input_mean"], np.zeros(6))
    assert_allclose(model.predict_proba(X), twin.predict_proba(one_hot), rtol=1e-9)


def test_embedding_dim_may_be_an_integer_of_numpy():
    X = ids()
    y = np.arange(len(X)) % 2

    model, twin = (
        RNNClassifier(**TINY, embedding_dim=kind(3)).fit(X, y)
        for kind in (int, np.int64)
    )

    assert_array_equal(twin.predict_proba(X), model.predict_proba(X))


def test_padding_behind_ids_is_ignored():
    X = ids()
    padded = np.zeros((12, 8), dtype=int)
    for row, x in zip(padded, X, strict=True):
        row[: len(x)] = x
    y = np.arange(12) % 2
    params = TINY | {"embedding_dim": 3}
    expected = RNNClassifier(**params).fit(X, y).predict_proba(X)
    model = RNNClassifier(**params).fit(padded, y)
    assert_allclose(model.predict_proba(padded), expected, rtol=1e-9)
    assert model.module_.embedding.weight.shape == (padded.max() + 1, 3)
    assert not model.module_.embedding.weight[0].any()


@pytest.mark.parametrize(
    ("X", "message"),
    [
        (
            [[1, 2.5], [3, 1]],
            "X must hold token ids with embedding_dim, whole numbers from 0. Got 2.5. "
            "Use TokenEncoder to turn tokens into ids.",
        ),
        (
            [[1, -2], [3, 1]],
            "X must hold token ids with embedding_dim, whole numbers from 0. Got -2. "
            "Use TokenEncoder to turn tokens into ids.",
        ),
        (
            [[1, 2], [0, 1]],
            "X must have the padding 0 behind the tokens only. Got it before a token "
            "in sequence 1. Give unknown tokens the id 1.",
        ),
        (
            [[1, 2], [0, 0]],
            "X must hold a token in every sequence. Got 0 only in sequence 1. Give "
            "unknown tokens the id 1.",
        ),
        (
            np.ones((2, 3, 2), dtype=int),
            "X must have one feature with embedding_dim, the id of a token. Got 2 "
            "features per time step. Use TokenEncoder to turn tokens into ids.",
        ),
    ],
)
def test_invalid_ids_are_rejected(X, message):
    with raises(ValueError, message):
        RNNClassifier(**TINY, embedding_dim=2).fit(np.array(X), [0, 1])


def test_ids_larger_than_those_of_fit_are_rejected():
    model = RNNClassifier(**TINY, embedding_dim=2).fit(
        np.array([[1, 2], [3, 1]]), [0, 1]
    )
    message = (
        "X must hold token ids below 4, as the X in fit. Got 4. Give unknown tokens "
        "the id 1, as TokenEncoder does."
    )
    with raises(ValueError, message):
        model.predict(np.array([[1, 4]]))


@pytest.mark.parametrize("params", [{"ar_order": 2}, {"window_norm": "last"}])
def test_ids_cannot_be_normalised_or_used_as_lags(params):
    ((name, value),) = params.items()
    message = (
        f"The '{name}' parameter of RNNRegressor must be left out with embedding_dim: "
        f"token ids are no quantities. Got {value!r}."
    )
    with raises(ValueError, message):
        RNNRegressor(**TINY, embedding_dim=2, **params).fit(np.ones((4, 3)), range(4))
