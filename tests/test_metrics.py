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
            "y_true and y_pred must have the same number of time steps in every "
            "sequence. Got 1 "
            "and 2 in sequence 1. Pass one for each step.",
        ),
        (
            [[1, 0]],
            [[1, 0], [1, 1]],
            "y_true and y_pred must have the same number of sequences. Got 1 and 2. "
            "Pass one prediction for each sequence.",
        ),
        (
            [1, 0],
            [1, 0],
            "y_true must have a sequence for each sample: shape (n_samples, "
            "n_timesteps), or a list of arrays. Got one value for sequence 0. For one "
            "value per sample, use the metrics of scikit-learn.",
        ),
        (
            None,
            [[1, 0]],
            "y_true must have a sequence for each sample: shape (n_samples, "
            "n_timesteps), or a list of arrays. Got None. For one value per sample, "
            "use the metrics of scikit-learn.",
        ),
        (
            [[1], [], [0]],
            [[1], [], [0]],
            "y_true must have at least one time step in every sequence. Got none in "
            "sequence 1. Remove it.",
        ),
        (
            np.zeros((0, 3)),
            np.zeros((0, 3)),
            "y_true must have at least one sequence. Got none. Omit empty parts.",
        ),
        (
            [np.zeros((1, 2)), np.zeros((1, 3))],
            [np.zeros((1, 2)), np.zeros((1, 3))],
            "y_true must have the same number of values for every time step. Got shape "
            "(1, 2) for "
            "sequence 0 and (1, 3) for sequence 1.",
        ),
        (
            np.zeros((2, 3, 4, 1)),
            np.zeros((2, 3, 4, 1)),
            "y_true must have one value, or one row of values, for each time step. Got "
            "shape (3, 4, 1) for sequence 0. Flatten each step.",
        ),
    ],
)
@pytest.mark.parametrize(
    "metric", [step_accuracy_score, sequence_accuracy_score, per_step(f1_score)]
)
def test_steps_that_do_not_match_are_refused(metric, true, pred, message):
    with raises(ValueError, message):
        metric(true, pred)


@pytest.mark.parametrize("metric", [step_accuracy_score, sequence_accuracy_score])
@pytest.mark.parametrize("shape", [(2, 3), (2, 3, 2)])
def test_labels_are_not_broadcast(metric, shape):
    message = (
        "y_true and y_pred must have the same number of labels for every time step. "
        "Got shapes "
        f"{(6, *shape[2:])} and (6, 1) for the concatenated steps."
    )
    with raises(ValueError, message):
        metric(np.zeros(shape), np.zeros((2, 3, 1)))


@pytest.mark.parametrize(
    ("weights", "came"),
    [
        (1.0, "1.0"),
        ([1.0, 2.0], "shape (2,)"),
        ([[1.0]] * 4, "shape (4, 1)"),
        ([[1.0], [1.0, 2.0]], "rows of different lengths"),
        ([np.ones((n, 2)) for n in LENGTHS], "rows of different lengths"),
    ],
)
def test_weights_that_do_not_match_are_refused(weights, came):
    message = (
        "sample_weight must have one weight for each of the 4 sequences, or for each "
        f"of their time steps. Got {came}."
    )
    for metric in (step_accuracy_score, per_step(accuracy_score)):
        with raises(ValueError, message):
            metric(TRUE, PRED, sample_weight=weights)


@pytest.mark.parametrize(
    ("weights", "came"),
    [
        (1.0, "1.0"),
        ([1.0], "shape (1,)"),
        ([[1.0] * n for n in LENGTHS], "rows of different lengths"),
    ],
)
def test_sequences_are_weighted_one_by_one(weights, came):
    message = (
        "sample_weight must have one weight for each of the 4 sequences. Got "
        f"{came}. For weights of time steps use step_accuracy_score."
    )
    with raises(ValueError, message):
        sequence_accuracy_score(TRUE, PRED, sample_weight=weights)


def test_weights_of_steps_may_be_a_frame():
    true, pred = rng.integers(0, 2, size=(2, 4, 4))
    weights = rng.uniform(size=(4, 4))
    expected = np.average(true == pred, weights=weights)
    found = step_accuracy_score(true, pred, sample_weight=pd.DataFrame(weights))
    assert found == pytest.approx(expected)


def test_sequences_weighted_by_one_over_their_length_count_the_same():
    expected = np.mean([(t == p).mean() for t, p in zip(TRUE, PRED, strict=True)])
    found = step_accuracy_score(TRUE, PRED, sample_weight=1 / np.array(LENGTHS))
    assert found == pytest.approx(expected)


def test_an_answer_of_other_lengths_is_refused():
    message = (
        "y_true and y_pred must have the same number of time steps in every sequence. "
        "Got 2 and "
        "3 in sequence 0. Pass one for each step."
    )
    tagger = Tagger().fit(X, LABELS)
    with raises(ValueError, message):
        per_step("accuracy")(tagger, X, [LABELS[0][:2], *LABELS[1:]])


def test_only_functions_and_scorers_are_adapted():
    message = (
        "metric must be a function of y_true and y_pred, a scorer or its name. Got 5. "
        "For the names, see sklearn.metrics.get_scorer_names."
    )
    with raises(TypeError, message):
        per_step(5)


def test_a_function_is_no_scorer():
    message = (
        "per_step(f1_score) must be called with y_true and y_pred, since it adapts a "
        "function. Got 3 arguments. For scoring, apply sklearn.metrics.make_scorer "
        "before per_step."
    )
    with raises(TypeError, message):
        per_step(f1_score)(Tagger().fit(X, LABELS), X, LABELS)


def test_an_adapted_scorer_says_what_it_was_made_of():
    assert repr(per_step("f1_macro")) == "per_step('f1_macro')"
    scorer = make_scorer(f1_score, average="macro")
    assert repr(per_step(scorer)) == f"per_step({scorer!r})"
