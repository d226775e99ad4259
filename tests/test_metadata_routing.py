"""Metadata routing of scikit-learn: sample weights and validation rows."""

import pytest
from clients import (
    INPUTS,
    NUMBERS,
    VALUES,
    WEIGHTS,
    small,
    split_scores,
)
from numpy.testing import assert_array_equal
from sklearn import config_context
from sklearn.model_selection import (
    GridSearchCV,
    KFold,
)
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skrnn import RNNClassifier


@pytest.fixture(autouse=True)
def _routing():
    with config_context(enable_metadata_routing=True):
        yield


def test_requested_weights_reach_every_fit_of_a_search():
    X, splitter = INPUTS["2-D"], KFold(2)
    model = small().set_fit_request(sample_weight=True)
    model.set_score_request(sample_weight=True)
    fitted = GridSearchCV(model, {"hidden_size": [2, 4]}, cv=splitter)
    fitted.fit(X, NUMBERS, sample_weight=WEIGHTS)

    for i, size in enumerate([2, 4]):
        expected = []
        for train, test in splitter.split(X):
            part = small(hidden_size=size).fit(X[train], NUMBERS[train], WEIGHTS[train])
            weights = WEIGHTS[test]
            expected.append(part.score(X[test], NUMBERS[test], sample_weight=weights))
        assert_array_equal(split_scores(fitted)[:, i], expected)


def test_requested_weights_reach_the_last_step_of_a_pipeline():
    X = INPUTS["2-D"]
    model = small().set_fit_request(sample_weight=True)
    scaler = StandardScaler().set_fit_request(sample_weight=False)
    pipeline = make_pipeline(scaler, model).fit(X, NUMBERS, sample_weight=WEIGHTS)

    scaled = StandardScaler().fit_transform(X)
    expected = small().fit(scaled, NUMBERS, WEIGHTS).predict(scaled)
    assert_array_equal(pipeline.predict(X), expected)


def test_requested_validation_rows_reach_every_fit_of_a_search():
    X, X_val, y_val = VALUES[:20], VALUES[20:], NUMBERS[20:]
    model = small().set_fit_request(X_val=True, y_val=True)
    fitted = GridSearchCV(model, {"hidden_size": [4]}, cv=2, error_score="raise")
    fitted.fit(X, NUMBERS[:20], X_val=X_val, y_val=y_val)

    expected = small().fit(X, NUMBERS[:20], X_val=X_val, y_val=y_val)
    actual = fitted.best_estimator_.validation_loss_curve_
    assert actual == expected.validation_loss_curve_


def test_requested_validation_rows_are_transformed_by_earlier_steps():
    X, X_val, y_val = INPUTS["2-D"][:20], INPUTS["2-D"][20:], NUMBERS[20:]
    model = small().set_fit_request(X_val=True, y_val=True)
    scaler = StandardScaler()
    pipeline = make_pipeline(scaler, model, transform_input=["X_val"])
    pipeline.fit(X, NUMBERS[:20], X_val=X_val, y_val=y_val)

    scaler = StandardScaler().fit(X)
    expected = small().fit(
        scaler.transform(X), NUMBERS[:20], X_val=scaler.transform(X_val), y_val=y_val
    )
    actual = pipeline[-1].validation_loss_curve_
    assert actual == expected.validation_loss_curve_


def test_classes_of_partial_fit_can_be_requested():
    model = small(RNNClassifier).set_partial_fit_request(classes=True)

    requests = model.get_metadata_routing().partial_fit.requests
    assert requests == {"classes": True, "sample_weight": None}
