"""Very long sequences are predicted in chunks."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from textbook import CELLS

from skrnn import RNNClassifier, RNNRegressor
from skrnn._inference import prediction

rng = np.random.default_rng(0)


LENGTHS = [5, 2, 7, 1, 4, 6]


RAGGED = [rng.normal(size=(n, 2)) for n in LENGTHS]


DENSE = rng.normal(size=(10, 6, 2))


TINY = dict(hidden_size=4, max_epochs=2, random_state=0)


cells = pytest.mark.parametrize(("cell_type", "nonlinearity"), CELLS)


# Very long sequences
@cells
@pytest.mark.parametrize("per_step", [False, True])
@pytest.mark.parametrize("ragged", [False, True])
def test_prediction_in_pieces_is_prediction_in_one(
    cell_type, nonlinearity, per_step, ragged, monkeypatch
):
    X = RAGGED if ragged else list(DENSE)
    y = [np.cumsum(x[:, 0]) for x in X]
    y = y if per_step else [piece[-1] for piece in y]
    model = RNNRegressor(
        **TINY,
        cell_type=cell_type,
        nonlinearity=nonlinearity,
        num_layers=2,
        return_sequences=per_step,
        target_feature=0,
        ar_order=3,
    ).fit(X, y)
    in_one = model.predict(X)
    monkeypatch.setattr(prediction, "CHUNK_STEPS", 2)
    for pieces, whole in zip(model.predict(X), in_one, strict=True):
        assert_allclose(pieces, whole, rtol=1e-12)


@cells
@pytest.mark.parametrize(
    "params",
    [
        {"initial_state": "learned"},
        {"window_norm": "difference", "target_feature": 0},
        {"loss": "quantile", "ar_order": 2, "target_feature": 1},
    ],
    ids=["learned", "difference", "quantile"],
)
@pytest.mark.parametrize("per_step", [False, True])
def test_pieces_know_what_stands_before_them(
    cell_type, nonlinearity, per_step, params, monkeypatch
):
    X = [x for x in RAGGED if len(x) > 1]
    y = [x[:, 0] + 0.1 * x[:, 1] for x in X]
    model = RNNRegressor(
        **TINY,
        cell_type=cell_type,
        nonlinearity=nonlinearity,
        return_sequences=per_step,
        **params,
    ).fit(X, y if per_step else [piece[-1] for piece in y])
    in_one = model.predict(X)
    monkeypatch.setattr(prediction, "CHUNK_STEPS", 2)
    for pieces, whole in zip(model.predict(X), in_one, strict=True):
        assert_allclose(pieces, whole, rtol=1e-12)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("per_step", [False, True])
@cells
def test_a_row_alone_equals_the_row_beside_very_long_ones(
    cell_type, nonlinearity, per_step, dtype, monkeypatch
):
    X = [x.astype(dtype) for x in RAGGED]
    y = [(np.cumsum(x[:, 0]) > 0).astype(int) for x in X]
    model = RNNClassifier(
        **TINY,
        cell_type=cell_type,
        nonlinearity=nonlinearity,
        return_sequences=per_step,
    ).fit(X, y if per_step else [piece[-1] for piece in y])
    monkeypatch.setattr(prediction, "CHUNK_STEPS", 4)
    together = model.predict_proba(X)
    for x, probabilities in zip(X, together, strict=True):
        assert_array_equal(model.predict_proba([x])[0], probabilities)
