"""`class_weight` of the classifiers."""

import numpy as np
import pandas as pd
import pytest
from estimators import (
    FROZEN,
    N_ROWS,
    WEIGHTS,
    X,
    assert_same_model,
    indicator,
    labels,
    tiny,
)
from messages import raises
from sklearn.utils.class_weight import compute_sample_weight

from skrnn import RNNClassifier


def fitted(target, weights=None, **params):
    return tiny(RNNClassifier, **params).fit(X, target, weights)


over_weights = pytest.mark.parametrize(
    "weights", [None, WEIGHTS], ids=["equal", "weighted"]
)


@over_weights
@pytest.mark.parametrize(
    "class_weight", [{"a": 0.5, "b": 2.0, "c": 7.0}, {"b": 0.0}], ids=str
)
def test_class_weight_multiplies_sample_weight(class_weight, weights):
    model = fitted(labels, weights, class_weight=class_weight)

    product = np.array([class_weight.get(label, 1.0) for label in labels])
    if weights is not None:
        product *= weights
    assert_same_model(model, fitted(labels, product))


@over_weights
def test_balanced_gives_every_class_the_same_total_weight(weights):
    model = fitted(labels, weights, class_weight="balanced")

    if weights is None:
        product = compute_sample_weight("balanced", labels)
    else:
        totals = pd.Series(weights).groupby(labels).transform("sum")
        product = weights / totals.to_numpy()
    expected = fitted(labels, product)
    np.testing.assert_allclose(
        model.predict_proba(X), expected.predict_proba(X), rtol=1e-9
    )


@over_weights
@pytest.mark.parametrize(
    "class_weight",
    ["balanced", [{0: 1.0, 1: 5.0}, {0: 2.0}, {}]],
    ids=["balanced", "list"],
)
def test_class_weight_of_an_indicator_matrix_weights_the_loss_of_each_label(
    class_weight, weights
):
    params = FROZEN | {"max_epochs": 1, "batch_size": N_ROWS}
    model = fitted(indicator, weights, class_weight=class_weight, **params)

    weights = np.ones(N_ROWS) if weights is None else weights
    by_label = np.empty(indicator.shape)
    for j, column in enumerate(indicator.T):
        for value in (0, 1):
            if class_weight == "balanced":
                factor = weights.sum() / (2 * weights[column == value].sum())
            else:
                factor = class_weight[j].get(value, 1.0)
            by_label[column == value, j] = factor
    p = model.predict_proba(X)
    losses = -np.log(np.where(indicator == 1, p, 1 - p))
    expected = np.average((by_label * losses).mean(axis=1), weights=weights)
    assert model.loss_curve_ == [pytest.approx(expected, rel=1e-12)]


def test_validation_rows_have_class_weights_too():
    params = FROZEN | {"max_epochs": 1, "batch_size": N_ROWS}
    model = tiny(RNNClassifier, class_weight={"a": 5.0}, **params)

    model.fit(X, labels, X_val=X, y_val=labels)

    assert model.validation_loss_curve_ == pytest.approx(model.loss_curve_, rel=1e-9)


FOR_AN_INDICATOR = (
    "The 'class_weight' parameter must be None, 'balanced' or a list of 3 dicts, one "
    "for each label, when y is an indicator matrix. Got {}."
)


@pytest.mark.parametrize(
    ("y", "class_weight", "message"),
    [
        (
            labels,
            {"a": 2, "d": 1},
            "The 'class_weight' parameter must name labels of y, ['a', 'b', 'c']. Got "
            "['d'] as well.",
        ),
        (
            labels == "a",
            {True: 2, 7: 1, "a": 1},
            "The 'class_weight' parameter must name labels of y, [False, True]. Got "
            "[7, 'a'] as well.",
        ),
        (
            labels,
            {"a": -1},
            "The 'class_weight' parameter must hold finite weights that are not "
            "negative, and not zero for all classes. Got {'a': -1}.",
        ),
        (
            indicator,
            [{0: 1}, {1: 2}, {5: 2}],
            "The 'class_weight' parameter must name labels of y, [0, 1]. Got [5] as "
            "well.",
        ),
        (indicator, {0: 2}, FOR_AN_INDICATOR.format({0: 2})),
        (indicator, [{0: 2}], FOR_AN_INDICATOR.format([{0: 2}])),
    ],
    ids=["str", "other types", "negative", "not 0 or 1", "dict", "too short"],
)
def test_class_weights_that_break_a_rule_are_refused(y, class_weight, message):
    with raises(ValueError, message):
        fitted(y, class_weight=class_weight)


@pytest.mark.parametrize(
    ("y", "class_weight"),
    [
        (labels, {"a": np.nan}),
        (labels, {"a": np.inf}),
        (labels, {"a": 0, "b": 0, "c": 0}),
        (labels, []),
        (labels, [0, 1, 2]),
        (labels, [{"a": 2}, {"b": 2}, {"c": 2}]),
        (indicator, [1, 2, 3]),
        (indicator, [{0: np.nan}, {}, {}]),
    ],
    ids=[
        "NaN",
        "inf",
        "all zero",
        "empty list",
        "list",
        "list of dicts for labels",
        "list for an indicator",
        "NaN for an indicator",
    ],
)
def test_meaningless_class_weights_are_refused_by_name(y, class_weight):
    with pytest.raises(ValueError, match=r"^The 'class_weight' parameter must .* Got "):
        fitted(y, class_weight=class_weight)


def test_class_and_sample_weights_that_leave_no_row_are_refused():
    with pytest.raises(ValueError, match=r"class_weight"):
        fitted(labels, labels == "a", class_weight={"a": 0.0})
