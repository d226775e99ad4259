"""Predictions batch by batch, and of very long sequences in chunks."""

import copy

import numpy as np
import pytest
import torch
from internals import assert_equal_up_to_rounding
from numpy.testing import assert_allclose
from sklearn.base import clone
from textbook import CELLS

from skrnn import BiRNNClassifier, RNNClassifier, RNNRegressor
from skrnn._inference import prediction

rng = np.random.default_rng(0)
RAGGED = [rng.normal(size=(n, 2)) for n in [5, 2, 7, 1, 4, 6]]
DENSE = rng.normal(size=(10, 6, 2))
TINY = dict(hidden_size=4, max_epochs=2, random_state=0)


# Rows alone


@pytest.mark.parametrize(
    ("dtype", "ragged", "cell_type", "hidden_size"),
    [
        (np.float32, True, "rnn", 7),
        (np.float64, False, "rnn", 8),
        (np.float32, False, "gru", 8),
        (np.float64, True, "gru", 7),
        (np.float32, True, "lstm", 8),
        (np.float64, False, "lstm", 7),
    ],
)
def test_a_row_alone_is_predicted_as_in_a_batch(dtype, ragged, cell_type, hidden_size):
    many = rng.normal(size=(300, 6, 2)).astype(dtype)  # more than one batch
    if ragged:
        many = [row[: 1 + i % 6] for i, row in enumerate(many)]
    model = RNNRegressor(hidden_size, cell_type=cell_type, max_epochs=1, random_state=0)
    model.fit(many[:50], rng.normal(size=50))

    together = model.predict(many)

    alone = [model.predict(many[i : i + 1])[0] for i in range(0, 300, 19)]
    assert_equal_up_to_rounding(alone, together[::19], n_terms=2 + hidden_size + 2)


@pytest.mark.parametrize(
    ("dtype", "ragged", "pooling"),
    [
        (np.float32, True, "last"),
        (np.float64, False, "mean"),
        (np.float32, False, "max"),
        (np.float64, True, "mean"),
        (np.float64, True, "max"),
    ],
)
def test_a_row_alone_has_the_probabilities_it_has_in_a_batch(dtype, ragged, pooling):
    many = rng.normal(size=(300, 6, 3)).astype(dtype)
    if ragged:
        many = [row[: 1 + i % 6] for i, row in enumerate(many)]
    model = BiRNNClassifier(
        (7, 5), cell_type="gru", pooling=pooling, max_epochs=1, random_state=0
    )
    model.fit(many[:50], np.arange(50) % 3)

    together = model.predict_proba(many)

    alone = [model.predict_proba(many[i : i + 1])[0] for i in range(0, 300, 19)]
    assert_equal_up_to_rounding(alone, together[::19], n_terms=2 * 7 + 5 + 2)


# Very long sequences


@pytest.mark.parametrize(
    ("cell", "per_step", "ragged", "params"),
    [
        (CELLS[0], True, True, {"num_layers": 2, "ar_order": 3}),
        (CELLS[1], False, True, {"num_layers": 2, "ar_order": 3}),
        (CELLS[2], True, False, {"num_layers": 2, "ar_order": 3}),
        (CELLS[3], False, False, {"num_layers": 2, "ar_order": 3}),
        (CELLS[3], True, True, {"initial_state": "learned"}),
        (CELLS[2], False, True, {"initial_state": "learned"}),
        (CELLS[0], True, True, {"window_norm": "difference"}),
        (CELLS[3], False, True, {"window_norm": "difference"}),
        (CELLS[1], False, True, {"loss": "quantile", "ar_order": 2}),
        (CELLS[2], True, True, {"loss": "quantile", "ar_order": 2}),
    ],
)
def test_prediction_in_chunks_equals_prediction_in_one(
    cell, per_step, ragged, params, monkeypatch
):
    X = [x for x in RAGGED if len(x) > 1] if ragged else list(DENSE)
    y = [x[:, 0] + 0.1 * x[:, 1] for x in X]
    model = RNNRegressor(
        **TINY,
        cell_type=cell[0],
        nonlinearity=cell[1],
        return_sequences=per_step,
        target_feature=0,
        **params,
    ).fit(X, y if per_step else [piece[-1] for piece in y])
    in_one = model.predict(X)
    monkeypatch.setattr(prediction, "CHUNK_STEPS", 2)
    for in_chunks, whole in zip(model.predict(X), in_one, strict=True):
        assert_allclose(in_chunks, whole, rtol=1e-12)


@pytest.mark.parametrize("factor", [1e-160, 1e160])
def test_no_square_of_a_normalised_window_overflows(factor, monkeypatch):
    params = dict(window_norm="standard", target_feature=0, ar_order=0)
    model = RNNRegressor(**TINY, **params)
    model.fit(DENSE * factor, DENSE[:, -2, 0] * factor)
    plain = clone(model).fit(DENSE, DENSE[:, -2, 0])

    predictions = model.predict(DENSE * factor)

    assert_allclose(predictions / factor, plain.predict(DENSE), rtol=1e-9)
    monkeypatch.setattr(prediction, "CHUNK_STEPS", 2)  # by torch
    assert_allclose(model.predict(DENSE * factor), predictions, rtol=1e-9)


@pytest.mark.parametrize(
    ("cell", "per_step", "dtype"),
    [
        (CELLS[0], True, np.float32),
        (CELLS[1], False, np.float64),
        (CELLS[2], False, np.float32),
        (CELLS[3], True, np.float64),
    ],
)
def test_a_row_alone_equals_the_row_in_a_batch_with_very_long_ones(
    cell, per_step, dtype, monkeypatch
):
    X = [x.astype(dtype) for x in RAGGED]
    y = [(np.cumsum(x[:, 0]) > 0).astype(int) for x in X]
    model = RNNClassifier(
        **TINY, cell_type=cell[0], nonlinearity=cell[1], return_sequences=per_step
    ).fit(X, y if per_step else [piece[-1] for piece in y])
    monkeypatch.setattr(prediction, "CHUNK_STEPS", 4)
    together = model.predict_proba(X)
    for x, probabilities in zip(X, together, strict=True):
        alone = model.predict_proba([x])[0]
        assert_equal_up_to_rounding(alone, probabilities, n_terms=2 + 4 + 2)


@pytest.mark.parametrize(
    "change",
    [
        lambda weight: torch.from_numpy(np.asfortranarray(weight.numpy())),
        lambda weight: weight.t(),
        lambda weight: weight[:1].expand(4, 4),
    ],
    ids=["fortran", "transposed", "expanded"],
)
def test_weights_of_any_strides_are_read_as_they_are(change):
    X = np.random.default_rng(0).normal(size=(6, 5, 2))
    model = RNNRegressor(4, max_epochs=2, random_state=0).fit(X, X[:, 0, 0])
    model.predict(X)  # by a program that is kept
    weight = model.module_.layers[0].weight_hh_l0
    weight.data = change(weight.data)
    expected = copy.deepcopy(model)
    expected.module_.layers[0].weight_hh_l0.data = weight.data.clone().contiguous()
    assert_allclose(model.predict(X), expected.predict(X), rtol=1e-9)


def test_only_values_of_x_are_converted():
    X = np.random.default_rng(0).normal(size=(6, 5, 1)).astype(np.float32)
    model = RNNRegressor(4, max_epochs=2, random_state=0).fit(X, X[:, 0, 0])
    wide = np.full((6, 5, 9), 1e300)  # would overflow in float32
    wide[:, :, :1] = X
    assert_allclose(model.predict(wide[:, :, :1]), model.predict(X), rtol=1e-6)
