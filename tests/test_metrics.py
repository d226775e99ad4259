import pickle

import numpy as np
import pandas as pd
import pytest
from messages import raises
from numpy.testing import assert_allclose
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
from sklearn.metrics import (
    accuracy_score,
    f1_score,
    get_scorer,
    log_loss,
    make_scorer,
    mean_absolute_error,
    r2_score,
    roc_auc_score,
)
from sklearn.model_selection import GridSearchCV, cross_validate

from skrnn import RNNClassifier, RNNRegressor
from skrnn.metrics import per_step, sequence_accuracy_score, step_accuracy_score

rng = np.random.default_rng(0)
LENGTHS = [3, 1, 4, 2]
TRUE = [rng.integers(0, 2, size=n) for n in LENGTHS]
PRED = [rng.integers(0, 2, size=n) for n in LENGTHS]
WEIGHTS = rng.uniform(0.1, 2, size=4)
FLAT_TRUE, FLAT_PRED = np.concatenate(TRUE), np.concatenate(PRED)
FLAT_WEIGHTS = np.repeat(WEIGHTS, LENGTHS)


def as_objects(pieces):
    array = np.empty(len(pieces), dtype=object)
    array[:] = pieces
    return array


@pytest.mark.parametrize("form", [list, as_objects, pd.Series])
@pytest.mark.parametrize("weighted", [False, True])
def test_step_accuracy_is_accuracy_of_all_steps(form, weighted):
    expected = accuracy_score(
        FLAT_TRUE, FLAT_PRED, sample_weight=FLAT_WEIGHTS if weighted else None
    )
    weights = WEIGHTS if weighted else None
    found = step_accuracy_score(form(TRUE), form(PRED), sample_weight=weights)
    assert found == pytest.approx(expected)


def test_weights_of_steps_count_as_such():
    weights = [rng.uniform(size=n) for n in LENGTHS]
    expected = accuracy_score(
        FLAT_TRUE, FLAT_PRED, sample_weight=np.concatenate(weights)
    )
    assert step_accuracy_score(TRUE, PRED, sample_weight=weights) == (
        pytest.approx(expected)
    )


def test_a_sequence_is_right_if_every_step_is():
    pred = [TRUE[0], 1 - TRUE[1], TRUE[2], PRED[3] * 0 + 1 - TRUE[3]]
    assert sequence_accuracy_score(TRUE, pred) == 0.5
    assert sequence_accuracy_score(TRUE, pred, normalize=False) == 2.0
    weighted = sequence_accuracy_score(TRUE, pred, sample_weight=WEIGHTS)
    assert weighted == pytest.approx((WEIGHTS[0] + WEIGHTS[2]) / WEIGHTS.sum())


def test_dense_labels_and_several_labels_of_a_step():
    true, pred = rng.integers(0, 2, size=(2, 5, 3, 2))
    right = (true == pred).all(axis=2)
    assert step_accuracy_score(true, pred) == pytest.approx(right.mean())
    assert step_accuracy_score(true, pred, normalize=False) == right.sum()
    assert sequence_accuracy_score(true, pred) == pytest.approx(
        right.all(axis=1).mean()
    )


@pytest.mark.parametrize("metric", [f1_score, accuracy_score, mean_absolute_error])
@pytest.mark.parametrize("weighted", [False, True])
def test_an_adapted_metric_is_that_of_all_steps(metric, weighted):
    adapted = pickle.loads(pickle.dumps(per_step(metric)))
    flat = {"sample_weight": FLAT_WEIGHTS} if weighted else {}
    given = {"sample_weight": WEIGHTS} if weighted else {}
    expected = metric(FLAT_TRUE, FLAT_PRED, **flat)
    assert adapted(TRUE, PRED, **given) == pytest.approx(expected)
    assert repr(adapted) == f"per_step({metric.__name__})"


class Tagger(ClassifierMixin, BaseEstimator):
    """Says by the sign of each step, with odds by its size."""

    def fit(self, X, y):
        self.classes_ = np.unique(np.concatenate(list(y)))
        return self

    def predict(self, X):
        return as_objects([self.classes_[(x > 0).astype(int)] for x in X])

    def predict_proba(self, X):
        odds = [1 / (1 + np.exp(-x)) for x in X]
        return as_objects([np.column_stack([1 - p, p]) for p in odds])


class Halver(RegressorMixin, BaseEstimator):
    """Says half of each step."""

    def fit(self, X, y):
        self.fitted_ = True
        return self

    def predict(self, X):
        return np.asarray(X) / 2


X = as_objects([rng.normal(size=n) for n in LENGTHS])
LABELS = as_objects([np.where(labels, "on", "off") for labels in TRUE])


@pytest.mark.parametrize(
    ("scorer", "oracle"),
    [
        ("accuracy", lambda y, label, p: accuracy_score(y, label)),
        ("f1_macro", lambda y, label, p: f1_score(y, label, average="macro")),
        ("neg_log_loss", lambda y, label, p: -log_loss(y, p)),
        ("roc_auc", lambda y, label, p: roc_auc_score(y, p[:, 1])),
    ],
)
def test_an_adapted_scorer_is_that_of_all_steps(scorer, oracle):
    tagger = Tagger().fit(X, LABELS)
    flat = np.concatenate(list(X))
    label = np.where(flat > 0, "on", "off")
    p = 1 / (1 + np.exp(-flat))
    expected = oracle(np.concatenate(list(LABELS)), label, np.column_stack([1 - p, p]))
    for adapted in (per_step(scorer), per_step(get_scorer(scorer))):
        adapted = pickle.loads(pickle.dumps(adapted))
        assert adapted(tagger, X, LABELS) == pytest.approx(expected)


def test_an_adapted_scorer_weighs_steps():
    tagger = Tagger().fit(X, LABELS)
    expected = accuracy_score(
        np.concatenate(list(LABELS)),
        np.where(np.concatenate(list(X)) > 0, "on", "off"),
        sample_weight=FLAT_WEIGHTS,
    )
    score = per_step("accuracy")(tagger, X, LABELS, sample_weight=WEIGHTS)
    assert score == pytest.approx(expected)


def test_several_numbers_of_a_step_are_outputs():
    inputs, y = rng.normal(size=(2, 6, 5, 3))
    expected = r2_score(y.reshape(-1, 3), inputs.reshape(-1, 3) / 2)
    assert per_step("r2")(Halver().fit(inputs, y), inputs, y) == pytest.approx(expected)
    scorer = make_scorer(mean_absolute_error, greater_is_better=False)
    expected = -mean_absolute_error(y.reshape(-1, 3), inputs.reshape(-1, 3) / 2)
    found = per_step(scorer)(Halver().fit(inputs, y), inputs, y)
    assert found == pytest.approx(expected)


def test_a_search_scores_networks_per_step_in_two_processes():
    inputs = [rng.normal(size=(n, 2)) for n in rng.integers(2, 6, size=24)]
    y = as_objects([(x[:, 0] > 0).astype(int) for x in inputs])
    model = RNNClassifier(4, return_sequences=True, max_epochs=2, random_state=0)
    grid = {"lr": [0.01, 0.05]}
    found = [
        GridSearchCV(
            model, grid, scoring=per_step("f1_macro"), cv=3, n_jobs=n_jobs
        ).fit(inputs, y)
        for n_jobs in (1, 2)
    ]
    assert_allclose(
        found[0].cv_results_["mean_test_score"], found[1].cv_results_["mean_test_score"]
    )


def test_cross_validation_takes_several_adapted_scorers():
    inputs = rng.normal(size=(24, 5, 1))
    scores = cross_validate(
        RNNRegressor(4, return_sequences=True, max_epochs=2, random_state=0),
        inputs,
        inputs[:, :, 0],
        scoring={"r2": per_step("r2"), "mae": per_step("neg_mean_absolute_error")},
        cv=3,
    )
    assert np.isfinite(scores["test_r2"]).all()
    assert (scores["test_mae"] < 0).all()


@pytest.mark.parametrize(
    ("true", "pred", "message"),
    [
        (
            [[1, 0], [1]],
            [[1, 0], [1, 1]],
            "y_true and y_pred must have as many time steps in every sequence. Got 1 "
            "and 2 in sequence 1.",
        ),
        (
            [[1, 0]],
            [[1, 0], [1, 1]],
            "y_true and y_pred must have as many sequences. Got 1 and 2.",
        ),
        (
            [1, 0],
            [1, 0],
            "y_true must hold a sequence for each sample: shape (n_samples, "
            "n_timesteps), or a list of arrays. Got one value for a sample. Use "
            "scikit-learn's metric itself.",
        ),
    ],
)
@pytest.mark.parametrize(
    "metric", [step_accuracy_score, sequence_accuracy_score, per_step(f1_score)]
)
def test_steps_that_do_not_match_are_refused(metric, true, pred, message):
    with raises(ValueError, message):
        metric(true, pred)


@pytest.mark.parametrize("weights", [[1.0, 2.0], [[1.0], [1.0], [1.0], [1.0]]])
def test_weights_that_do_not_match_are_refused(weights):
    message = (
        "sample_weight must hold one weight for each of the 4 sequences, or for each "
        "of their time steps. Got other lengths."
    )
    with raises(ValueError, message):
        step_accuracy_score(TRUE, PRED, sample_weight=weights)


def test_sequences_are_weighted_one_by_one():
    message = (
        "sample_weight must have shape (4,), one weight for each sequence. Got shape "
        "(1,)."
    )
    with raises(ValueError, message):
        sequence_accuracy_score(TRUE, PRED, sample_weight=[1.0])
