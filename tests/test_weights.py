import numpy as np
import pandas as pd
import pytest
from estimators import (
    N_ROWS,
    STILL,
    TINY,
    WEIGHTS,
    X,
    assert_same_model,
    cases,
    indicator,
    labels,
    make_case,
    outputs,
    y,
)
from sklearn.base import clone
from sklearn.utils.class_weight import compute_sample_weight

from skrnn import (
    RNNClassifier,
    RNNRegressor,
)


@pytest.mark.parametrize("early_stopping", [False, True])
@cases
def test_rows_of_weight_zero_count_as_absent(case, early_stopping):
    model, sequences, target = make_case(case, early_stopping=early_stopping)
    kept = np.flatnonzero(np.arange(N_ROWS) % 3)
    weights = np.where(np.arange(N_ROWS) % 3, WEIGHTS, 0.0)
    without = [sequences[i] for i in kept]
    if isinstance(sequences, np.ndarray):
        without = np.stack(without)

    weighted = clone(model).fit(sequences, target, weights)

    assert_same_model(
        weighted, clone(model).fit(without, target[kept], WEIGHTS[kept]), sequences
    )


@pytest.mark.parametrize("case", ["two outputs", "classifier", "multilabel", "float32"])
def test_weights_of_whole_numbers_equal_repeated_rows(case):
    model, sequences, target = make_case(case, batch_size=200, dropout=0.0)
    repeats = 1 + np.arange(N_ROWS) % 3
    index = np.repeat(np.arange(N_ROWS), repeats)
    repeated = [sequences[i] for i in index]
    if isinstance(sequences, np.ndarray):
        repeated = np.stack(repeated)

    weighted = clone(model).fit(sequences, target, repeats)
    expected = clone(model).fit(repeated, target[index])

    np.testing.assert_allclose(
        outputs(weighted, sequences),
        outputs(expected, sequences),
        rtol=1e-4 if case == "float32" else 1e-7,
    )


def test_weights_count_by_their_ratios_only():
    one, other = (RNNRegressor(**TINY).fit(X, y, c * WEIGHTS) for c in (1, 1024))

    assert_same_model(one, other)


@pytest.mark.parametrize("weights", [None, WEIGHTS], ids=["equal", "weighted"])
@pytest.mark.parametrize(
    "class_weight", [{"a": 3.0}, {"a": 0.5, "b": 2.0, "c": 7.0}, {"b": 0.0}], ids=str
)
def test_class_weight_multiplies_sample_weight(class_weight, weights):
    by_class = RNNClassifier(**TINY, class_weight=class_weight).fit(X, labels, weights)

    factors = np.array([class_weight.get(label, 1.0) for label in labels])
    product = factors if weights is None else factors * weights
    assert_same_model(by_class, RNNClassifier(**TINY).fit(X, labels, product))


@pytest.mark.parametrize("weights", [None, WEIGHTS], ids=["equal", "weighted"])
def test_balanced_gives_every_class_the_same_total(weights):
    balanced = RNNClassifier(**TINY, class_weight="balanced").fit(X, labels, weights)

    if weights is None:
        product = compute_sample_weight("balanced", labels)
    else:
        totals = pd.Series(weights).groupby(labels).transform("sum")
        product = weights / totals.to_numpy()
    expected = RNNClassifier(**TINY).fit(X, labels, product)
    np.testing.assert_allclose(
        balanced.predict_proba(X), expected.predict_proba(X), rtol=1e-9
    )


@pytest.mark.parametrize(
    "class_weight",
    ["balanced", [{0: 1.0, 1: 5.0}, {0: 2.0}, {}]],
    ids=["balanced", "list"],
)
@pytest.mark.parametrize("weights", [None, WEIGHTS], ids=["equal", "weighted"])
def test_class_weight_of_an_indicator_matrix_is_by_label(class_weight, weights):
    one_batch = TINY | STILL | {"max_epochs": 1, "batch_size": N_ROWS}
    model = RNNClassifier(**one_batch, class_weight=class_weight)
    model.fit(X, indicator, weights)

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


def test_class_weights_that_leave_no_row_are_refused():
    with pytest.raises(ValueError, match=r"class_weight"):
        RNNClassifier(**TINY, class_weight=dict.fromkeys("abc", 0)).fit(X, labels)
