"""Predictions batch by batch, and of very long sequences in chunks."""

import numpy as np
import pytest

from skrnn import BiRNNClassifier, RNNRegressor


@pytest.mark.parametrize("hidden_size", [7, 8])
@pytest.mark.parametrize("cell_type", ["rnn", "gru", "lstm"])
@pytest.mark.parametrize("ragged", [False, True], ids=["dense", "ragged"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_row_alone_is_predicted_as_in_a_batch(dtype, ragged, cell_type, hidden_size):
    rng = np.random.default_rng(0)
    many = rng.normal(size=(300, 6, 2)).astype(dtype)  # more than one chunk
    if ragged:
        many = [row[: 1 + i % 6] for i, row in enumerate(many)]
    model = RNNRegressor(hidden_size, cell_type=cell_type, max_epochs=1, random_state=0)
    model.fit(many, rng.normal(size=300))

    together = model.predict(many)

    alone = [model.predict(many[i : i + 1])[0] for i in range(0, 300, 7)]
    np.testing.assert_array_equal(alone, together[::7])


@pytest.mark.parametrize("pooling", ["last", "mean", "max"])
@pytest.mark.parametrize("ragged", [False, True], ids=["dense", "ragged"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_row_alone_has_the_probabilities_it_has_in_a_batch(dtype, ragged, pooling):
    rng = np.random.default_rng(0)
    many = rng.normal(size=(300, 6, 3)).astype(dtype)
    if ragged:
        many = [row[: 1 + i % 6] for i, row in enumerate(many)]
    model = BiRNNClassifier(
        (7, 5), cell_type="gru", pooling=pooling, max_epochs=1, random_state=0
    )
    model.fit(many, np.arange(300) % 3)

    together = model.predict_proba(many)

    alone = [model.predict_proba(many[i : i + 1])[0] for i in range(0, 300, 7)]
    np.testing.assert_array_equal(alone, together[::7])
