"""Importances: shap's values, and scikit-learn's permutation of columns."""

import warnings
from itertools import combinations
from math import factorial

import numpy as np
import pytest
import torch
from clients import small
from sklearn.inspection import permutation_importance
from sklearn.pipeline import make_pipeline

from skrnn import RNNClassifier, TokenOneHotEncoder, ToSequences, make_windows
from skrnn.datasets import load_airline_passengers, make_order_sentences

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # matplotlib tells shap what it will deprecate
    import shap

pytestmark = pytest.mark.interop

PASSENGERS = load_airline_passengers()["passengers"].to_numpy(float)
X, Y = make_windows(PASSENGERS, window_size=4)
RNG = np.random.default_rng(0)
SEQUENCES = RNG.normal(size=(80, 4, 2))
TARGETS = 2 * SEQUENCES[:, 0, 0] + SEQUENCES[:, 2, 0] ** 2


def shapley_values(predict, row, background):
    """Return the Shapley values of the steps of a row, by all their subsets."""
    n_steps = len(row)

    def value(known):
        filled = background.copy()
        filled[:, list(known)] = row[list(known)]
        return predict(filled).mean()

    values = np.zeros(n_steps)
    for step in range(n_steps):
        others = [i for i in range(n_steps) if i != step]
        for size in range(n_steps):
            weight = factorial(size) * factorial(n_steps - size - 1)
            for known in combinations(others, size):
                gain = value((*known, step)) - value(known)
                values[step] += weight / factorial(n_steps) * gain
    return values


def test_values_of_the_steps_are_their_shapley_values():
    model = small(max_epochs=20).fit(X, Y)
    background = X[::10]
    masker = shap.maskers.Independent(background, max_samples=len(background))

    explanation = shap.ExactExplainer(model.predict, masker)(X[-3:])

    expected = [shapley_values(model.predict, row, background) for row in X[-3:]]
    np.testing.assert_allclose(explanation.values, expected, rtol=1e-6, atol=1e-6)


def test_values_of_3d_sequences_are_those_of_a_flat_table():
    model = small(max_epochs=20).fit(SEQUENCES, TARGETS)
    flat = SEQUENCES.reshape(80, 8)
    masker = shap.maskers.Independent(flat[:20], max_samples=20)

    explainer = shap.PermutationExplainer(
        lambda rows: model.predict(rows.reshape(-1, 4, 2)), masker, seed=0
    )
    values = explainer(flat[20:25], silent=True).values.reshape(5, 4, 2)

    expected = model.predict(SEQUENCES[20:25]) - model.predict(SEQUENCES[:20]).mean()
    np.testing.assert_allclose(values.sum(axis=(1, 2)), expected, rtol=1e-6, atol=1e-8)


def test_gradients_of_the_module_explain_its_output():
    model = small(hidden_size=8, max_epochs=20).fit(SEQUENCES, TARGETS)
    background, rows = (torch.tensor(SEQUENCES[:40]), torch.tensor(SEQUENCES[40:45]))

    explainer = shap.GradientExplainer(model.module_, background)
    values = explainer.shap_values(rows, nsamples=4000, rseed=0)

    # Outputs of the module are in units of the standardised target.
    center, scale = TARGETS.mean(), TARGETS.std()
    assert values.shape == (5, 4, 2, 1)
    expected = (model.predict(SEQUENCES[40:45]) - center) / scale
    expected -= ((model.predict(SEQUENCES[:40]) - center) / scale).mean()
    # They are means over random points of the way from the background.
    np.testing.assert_allclose(values.sum(axis=(1, 2, 3)), expected, atol=0.05)


def test_words_of_ragged_sentences_have_values():
    sentences, labels = make_order_sentences(100, random_state=0)
    sentences = list(sentences)
    pipeline = make_pipeline(
        TokenOneHotEncoder(), small(RNNClassifier, max_epochs=10)
    ).fit(sentences, labels)

    def probability(texts):
        return pipeline.predict_proba([str(text) for text in texts])[:, 1]

    explainer = shap.Explainer(probability, shap.maskers.Text(r"\W+"), silent=True)
    explanation = explainer(sentences[:2])

    for i, sentence in enumerate(sentences[:2]):
        assert "".join(explanation.data[i]) == sentence
        total = explanation.values[i].sum() + explanation.base_values[i]
        assert total == pytest.approx(probability([sentence])[0])


def test_permutation_importance_of_the_steps_of_a_table():
    model = small(max_epochs=20).fit(X, Y)

    importance = permutation_importance(model, X, Y, n_repeats=5, random_state=0)

    assert np.argmax(importance.importances_mean) == X.shape[1] - 1


def test_permutation_importance_of_3d_sequences_needs_a_table():
    table = SEQUENCES.transpose(0, 2, 1).reshape(80, 8)
    model = small(hidden_size=8, max_epochs=60)
    pipeline = make_pipeline(ToSequences(2), model).fit(table, TARGETS)

    importance = permutation_importance(pipeline, table, TARGETS, random_state=0)

    of_steps = importance.importances_mean.reshape(2, 4).T
    assert np.unravel_index(np.argmax(of_steps), (4, 2)) == (0, 0)
    with pytest.raises(ValueError, match="Found array with dim 3"):
        permutation_importance(pipeline[-1], SEQUENCES, TARGETS)
