import numpy as np
import pytest
from clients import (
    ESTIMATORS,
    INPUTS,
    NUMBERS,
    WORDS,
    small,
    targets_for,
    windows_pipeline,
)
from numpy.testing import assert_allclose
from sklearn.inspection import partial_dependence, permutation_importance
from sklearn.utils import estimator_html_repr

from skrnn import RNNClassifier, RNNRegressor


def test_the_step_that_decides_is_the_most_important():
    X = np.random.default_rng(6).normal(size=(120, 4))
    model = RNNRegressor(8, max_epochs=40, random_state=0).fit(X, X[:, 1])

    found = permutation_importance(model, X, X[:, 1], n_repeats=3, random_state=0)
    assert found.importances_mean.argmax() == 1
    assert found.importances_mean[1] > 5 * np.delete(found.importances_mean, 1).max()


@pytest.mark.parametrize("cls", [RNNRegressor, RNNClassifier])
def test_partial_dependence_is_the_mean_answer_with_a_step_held_fixed(cls):
    X = INPUTS["2-D"]
    y = NUMBERS if cls is RNNRegressor else WORDS == "up"
    model = small(cls).fit(X, y)

    found = partial_dependence(model, X, [2], grid_resolution=4, kind="average")
    for value, average in zip(found.grid_values[0], found.average[0], strict=True):
        held = X.copy()
        held[:, 2] = value
        answers = model.predict(held)
        if cls is RNNClassifier:
            answers = model.predict_proba(held)[:, 1]
        assert_allclose(average, answers.mean(), rtol=1e-10)


@pytest.mark.parametrize("fitted", [False, True], ids=["unfitted", "fitted"])
@pytest.mark.parametrize("cls", ESTIMATORS)
def test_the_diagram_names_the_estimator_and_its_state(cls, fitted):
    model = small(cls)
    if fitted:
        model.fit(INPUTS["2-D"], targets_for(cls))

    page = estimator_html_repr(model)
    assert cls.__name__ in page
    assert f"<span>{'Fitted' if fitted else 'Not fitted'}</span>" in page


def test_the_diagram_of_a_pipeline_names_every_step():
    page = estimator_html_repr(windows_pipeline())

    for name in ("StandardScaler", "SlidingWindow", "RNNRegressor"):
        assert name in page


@pytest.mark.parametrize("cls", ESTIMATORS)
def test_repr_shows_only_what_was_changed(cls):
    assert repr(cls(hidden_size=8)) == f"{cls.__name__}(hidden_size=8)"
