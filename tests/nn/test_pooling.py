"""Attention."""

import numpy as np
import pytest
from internals import assert_equal_up_to_rounding, raw_outputs
from numpy.testing import assert_allclose

from skrnn import BiRNNClassifier, RNNClassifier, RNNRegressor

rng = np.random.default_rng(0)


LENGTHS = [5, 2, 7, 1, 4, 6]


RAGGED = [rng.normal(size=(n, 2)) for n in LENGTHS]


DENSE = rng.normal(size=(10, 6, 2))


Y, STEPS = DENSE[:, :, 0].sum(axis=1), np.cumsum(DENSE[:, :, 0], axis=1)


TINY = dict(hidden_size=4, max_epochs=2, random_state=0)


# Attention
@pytest.mark.parametrize("cls", [RNNRegressor, RNNClassifier, BiRNNClassifier])
def test_attention_weighs_steps_by_the_formula(cls):
    y = np.arange(6.0) if cls is RNNRegressor else np.arange(6) % 3
    model = cls(**TINY, pooling="attention").fit(RAGGED, y)
    weights = model.attention_weights(RAGGED)
    output, _ = model.hidden_states(RAGGED)
    state = {k: v.numpy() for k, v in model.module_.state_dict().items()}
    for found, h in zip(weights, output, strict=True):
        scores = np.tanh(h @ state["attention.weight"].T + state["attention.bias"])
        scores = np.exp(scores @ state["context"])
        assert_allclose(found, scores / scores.sum(), atol=1e-12)
        assert found.min() >= 0
        assert found.sum() == pytest.approx(1)
    pooled = np.stack([w @ h for w, h in zip(weights, output, strict=True)])
    raw = pooled @ state["head.weight"].T + state["head.bias"]
    assert_allclose(raw_outputs(model, RAGGED), raw, atol=1e-12)


def test_attention_ignores_padding_and_other_rows():
    model = RNNClassifier(**TINY, pooling="attention").fit(RAGGED, np.arange(6) % 2)
    together, p = model.attention_weights(RAGGED), model.predict_proba(RAGGED)
    for i, x in enumerate(RAGGED):
        alone = model.attention_weights([x])[0]
        assert_equal_up_to_rounding(alone, together[i], n_terms=2 + 4 + 2)
        assert_equal_up_to_rounding(model.predict_proba([x])[0], p[i], n_terms=8)
    assert model.attention_weights(DENSE).shape == (10, 6)


def test_other_poolings_have_no_attention_weights():
    model = RNNClassifier(**TINY).fit(DENSE, Y > 0)
    assert not hasattr(model, "attention_weights")
    message = (
        "attention_weights is available with pooling='attention' only. Got "
        "pooling='last'."
    )
    with pytest.raises(AttributeError) as caught:
        model.attention_weights(DENSE)
    assert str(caught.value.__cause__ or caught.value) == message
