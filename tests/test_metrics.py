"""Metrics for a target per time step."""

import pickle

import numpy as np
import pandas as pd
import pytest
import sklearn
from clients import object_array
from messages import raises
from sklearn import config_context
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
from sklearn.metrics import (
    accuracy_score,
    f1_score,
    log_loss,
    make_scorer,
    mean_absolute_error,
    r2_score,
    roc_auc_score,
)
from sklearn.model_selection import GridSearchCV, KFold, cross_validate
from sklearn.utils.fixes import parse_version

from skrnn import RNNClassifier
from skrnn.metrics import (
    get_scorer,
    get_scorer_names,
    per_step,
    sequence_accuracy_score,
    step_accuracy_score,
)

rng = np.random.default_rng(0)
LENGTHS = [3, 1, 4, 2]
TRUE = [rng.integers(0, 2, size=n) for n in LENGTHS]
PRED = [rng.integers(0, 2, size=n) for n in LENGTHS]
WEIGHTS = rng.uniform(0.1, 2, size=4)
FLAT_TRUE, FLAT_PRED = np.concatenate(TRUE), np.concatenate(PRED)
FLAT_WEIGHTS = np.repeat(WEIGHTS, LENGTHS)


# Accuracy


@pytest.mark.parametrize("form", [list, object_array, pd.Series])
def test_step_accuracy_is_the_accuracy_of_all_steps(form):
    true, pred = form(TRUE), form(PRED)
    step_weights = [rng.uniform(size=n) for n in LENGTHS]
    flat_weights = np.concatenate(step_weights)

    def expected(weights):
        return pytest.approx(
            accuracy_score(FLAT_TRUE, FLAT_PRED, sample_weight=weights)
        )

    def score(weights):
        return step_accuracy_score(true, pred, sample_weight=weights)

    assert score(None) == expected(None)
    assert score(form(WEIGHTS.tolist()) if form is pd.Series else WEIGHTS) == (
        expected(FLAT_WEIGHTS)
    )
    assert score(form(step_weights)) == expected(flat_weights)


def test_a_sequence_is_correct_if_every_step_is():
    pred = [TRUE[0], 1 - TRUE[1], TRUE[2], np.r_[TRUE[3][:1], 1 - TRUE[3][1:]]]

    assert sequence_accuracy_score(TRUE, pred) == 0.5
    assert sequence_accuracy_score(TRUE, pred, normalize=False) == 2.0
    correct = WEIGHTS[0] + WEIGHTS[2]
    weights = pd.Series(WEIGHTS)
    score = sequence_accuracy_score(TRUE, pred, sample_weight=weights)
    assert score == pytest.approx(correct / WEIGHTS.sum())
    score = sequence_accuracy_score(TRUE, pred, sample_weight=WEIGHTS, normalize=False)
    assert score == pytest.approx(correct)


def test_a_step_is_correct_if_all_its_labels_are():
    true, pred = rng.integers(0, 2, size=(2, 5, 3, 2))
    weights = pd.DataFrame(rng.uniform(size=(5, 3)))

    correct = (true == pred).all(axis=2)
    assert step_accuracy_score(true, pred) == pytest.approx(correct.mean())
    assert step_accuracy_score(true, pred, normalize=False) == correct.sum()
    score = step_accuracy_score(true, pred, sample_weight=weights)
    assert score == pytest.approx(np.average(correct, weights=weights))
    score = sequence_accuracy_score(true, pred)
    assert score == pytest.approx(correct.all(axis=1).mean())


# per_step and get_scorer


@pytest.mark.parametrize("metric", [f1_score, mean_absolute_error])
@pytest.mark.parametrize("weighted", [False, True])
def test_an_adapted_metric_is_that_of_all_steps(metric, weighted):
    adapted = pickle.loads(pickle.dumps(per_step(metric)))
    flat = {"sample_weight": FLAT_WEIGHTS} if weighted else {}
    weights = {"sample_weight": WEIGHTS} if weighted else {}

    score = adapted(TRUE, PRED, **weights)

    assert score == pytest.approx(metric(FLAT_TRUE, FLAT_PRED, **flat))
    assert repr(adapted) == f"per_step({metric.__name__})"


class SignClassifier(ClassifierMixin, BaseEstimator):
    """Classifies each step by its sign, with the step as its logit."""

    def fit(self, X, y):
        self.classes_ = np.unique(np.concatenate(list(y)))
        return self

    def predict(self, X):
        return object_array([self.classes_[(x > 0).astype(int)] for x in X])

    def predict_proba(self, X):
        probabilities = [1 / (1 + np.exp(-x)) for x in X]
        return object_array([np.column_stack([1 - p, p]) for p in probabilities])


class SignTagger(SignClassifier):
    """The same without the tags of a classifier, as the estimators of this library."""

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.estimator_type = tags.classifier_tags = None
        return tags


class HalfRegressor(RegressorMixin, BaseEstimator):
    """Predicts half of each step."""

    def fit(self, X, y):
        self.fitted_ = True
        return self

    def predict(self, X):
        return np.asarray(X) / 2


X = object_array([rng.normal(size=n) for n in LENGTHS])
LABELS = object_array([np.where(labels, "on", "off") for labels in TRUE])
FLAT_X, FLAT_LABELS = np.concatenate(list(X)), np.concatenate(list(LABELS))


@pytest.mark.parametrize(
    ("scorer", "expected"),
    [
        ("f1_macro", lambda y, label, p: f1_score(y, label, average="macro")),
        ("neg_log_loss", lambda y, label, p: -log_loss(y, p)),
        ("roc_auc", lambda y, label, p: roc_auc_score(y, p[:, 1])),
    ],
)
@pytest.mark.parametrize("cls", [SignClassifier, SignTagger])
def test_an_adapted_scorer_is_that_of_all_steps(cls, scorer, expected):
    model = cls().fit(X, LABELS)
    p = 1 / (1 + np.exp(-FLAT_X))
    label = np.where(FLAT_X > 0, "on", "off")
    score = expected(FLAT_LABELS, label, np.column_stack([1 - p, p]))

    of_sklearn = sklearn.metrics.get_scorer(scorer)
    for form in (scorer, of_sklearn, get_scorer(scorer)):
        assert get_scorer(form)(model, X, LABELS) == pytest.approx(score)
        adapted = pickle.loads(pickle.dumps(per_step(form)))
        assert adapted(model, X, LABELS) == pytest.approx(score)


def test_an_adapted_scorer_takes_weights_of_sequences():
    model = SignClassifier().fit(X, LABELS)
    label = np.where(FLAT_X > 0, "on", "off")

    score = per_step("accuracy")(model, X, LABELS, sample_weight=WEIGHTS)

    expected = accuracy_score(FLAT_LABELS, label, sample_weight=FLAT_WEIGHTS)
    assert score == pytest.approx(expected)


@pytest.mark.parametrize(
    ("name", "metric"),
    [
        ("r2", r2_score),
        ("neg_mean_absolute_error", lambda *flat: -mean_absolute_error(*flat)),
    ],
    ids=["r2", "neg_mean_absolute_error"],
)
def test_scorers_of_regressors_are_those_of_all_steps(name, metric):
    y = [rng.normal(size=n) for n in LENGTHS]
    model = HalfRegressor().fit(X, y)

    score = get_scorer(name)(model, X, y)

    assert score == pytest.approx(metric(np.concatenate(y), FLAT_X / 2))


def test_every_name_of_scikit_learn_is_a_scorer_of_steps():
    names = get_scorer_names()

    assert names == sorted([*sklearn.metrics.get_scorer_names(), "sequence_accuracy"])
    for name in set(names) - {"sequence_accuracy"}:
        assert repr(get_scorer(name)) == f"per_step({name!r})"


def test_sequence_accuracy_is_a_scorer():
    model = SignClassifier().fit(X, LABELS)
    true = object_array(LABELS)
    true[0] = model.predict(X)[0]

    scorer = get_scorer("sequence_accuracy")

    score = sequence_accuracy_score(true, model.predict(X))
    assert score > 0
    assert scorer(model, X, true) == score
    score = sequence_accuracy_score(true, model.predict(X), sample_weight=WEIGHTS)
    assert scorer(model, X, true, sample_weight=WEIGHTS) == score


def test_several_values_of_a_step_are_outputs():
    X, y = rng.normal(size=(2, 6, 5, 3))
    model = HalfRegressor().fit(X, y)

    score = per_step("r2")(model, X, y)

    expected = r2_score(y.reshape(-1, 3), X.reshape(-1, 3) / 2)
    assert score == pytest.approx(expected)


def test_adapted_scorers_cross_validate_a_network():
    X = [rng.normal(size=(n, 2)) for n in rng.integers(2, 6, size=12)]
    y = object_array([(x[:, 0] > 0).astype(int) for x in X])
    model = RNNClassifier(2, return_sequences=True, max_epochs=1, random_state=0)

    scores = cross_validate(
        model,
        X,
        y,
        scoring={"f1": per_step("f1_macro"), "loss": per_step("neg_log_loss")},
        cv=2,
        return_estimator=True,
        return_indices=True,
    )

    test = scores["indices"]["test"][0]
    probabilities = scores["estimator"][0].predict_proba([X[i] for i in test])
    expected = -log_loss(np.concatenate(y[test]), np.concatenate(list(probabilities)))
    assert scores["test_loss"][0] == pytest.approx(expected)
    assert np.isfinite(scores["test_f1"]).all()


def test_scorers_of_probabilities_know_classes_that_a_fold_lacks():
    X = [rng.normal(size=(n, 2)) for n in (3, 1, 2, 4, 2, 3)]
    y = [["O"] * len(x) for x in X]
    y[1], y[2], y[4] = ["B"], ["I", "O"], ["B", "I"]  # none of them in the last fold
    y[3] = ["O", "B", "O", "I"]
    model = RNNClassifier(2, return_sequences=True, max_epochs=1, random_state=0)
    scoring = {"loss": get_scorer("neg_log_loss"), "top": get_scorer("top_k_accuracy")}

    scores = cross_validate(
        model,
        X,
        y,
        scoring=scoring,
        cv=[(np.arange(1, 6), [0])],
        return_estimator=True,
        error_score="raise",
    )

    (fitted,) = scores["estimator"]
    assert fitted.classes_.tolist() == ["B", "I", "O"]
    probabilities = fitted.predict_proba(X[:1])[0]
    expected = np.log(probabilities[:, 2]).mean()
    assert scores["test_loss"] == pytest.approx(expected)
    second = np.sort(probabilities, axis=1)[:, 1]
    assert scores["test_top"] == (probabilities[:, 2] >= second).mean()


@pytest.mark.skipif(
    parse_version(sklearn.__version__) < parse_version("1.8"),
    reason="searches of older versions pass no weights to scorers",
)
def test_searches_pass_weights_of_steps_to_scorers():
    X = [rng.normal(size=(n, 2)) for n in rng.integers(2, 6, size=12)]
    y = [(x[:, 0] > 0).astype(int).tolist() for x in X]
    weights = [rng.uniform(size=len(x)) for x in X]
    model = RNNClassifier(2, return_sequences=True, max_epochs=1, random_state=0)
    scoring = {name: get_scorer(name) for name in ("f1_macro", "neg_log_loss")}

    search = GridSearchCV(
        model, {"lr": [0.1]}, scoring=scoring, refit="f1_macro", cv=KFold(2)
    ).fit(X, y, sample_weight=weights)

    for fold, (train, test) in enumerate(KFold(2).split(X)):
        train, test = train.tolist(), test.tolist()
        model.set_params(lr=0.1).fit(
            *([given[i] for i in train] for given in (X, y, weights))
        )
        true, flat_weights = (
            np.concatenate([given[i] for i in test]) for given in (y, weights)
        )
        label = np.concatenate(list(model.predict([X[i] for i in test])))
        expected = f1_score(true, label, average="macro", sample_weight=flat_weights)
        found = search.cv_results_[f"split{fold}_test_f1_macro"][0]
        assert found == pytest.approx(expected)


def test_requested_weights_reach_an_adapted_scorer():
    model = SignClassifier().fit(X, LABELS)
    weights = object_array([rng.uniform(size=n) for n in LENGTHS])
    of_sklearn = sklearn.metrics.get_scorer("accuracy")
    with config_context(enable_metadata_routing=True):
        scorer = get_scorer(of_sklearn).set_score_request(sample_weight=True)
        scores = cross_validate(
            model, X, LABELS, scoring=scorer, cv=2, params={"sample_weight": weights}
        )
        requests = of_sklearn.get_metadata_routing().score.requests
        assert requests.get("sample_weight") is None  # ours is a copy

    for test, score in zip(([0, 1], [2, 3]), scores["test_score"], strict=True):
        label = np.where(np.concatenate(X[test]) > 0, "on", "off")
        expected = accuracy_score(
            np.concatenate(LABELS[test]),
            label,
            sample_weight=np.concatenate(weights[test]),
        )
        assert score == pytest.approx(expected)


def test_the_representation_of_an_adapted_scorer_shows_the_scorer():
    scorer = make_scorer(f1_score, average="macro")

    assert repr(per_step("f1_macro")) == "per_step('f1_macro')"
    assert repr(per_step(scorer)) == f"per_step({scorer!r})"


# Errors

NOT_SEQUENCES = (
    "y_true must have a sequence for each sample: shape (n_samples, n_timesteps), or a "
    "list of arrays. Got {}. For one value per sample, use the metrics of scikit-learn."
)
MISMATCHES = {
    "lengths": (
        [[1, 0], [1]],
        [[1, 0], [1, 1]],
        "y_true and y_pred must have the same number of time steps in every sequence. "
        "Got 1 and 2 in sequence 1. Pass one for each step.",
    ),
    "sequences": (
        [[1, 0]],
        [[1, 0], [1, 1]],
        "y_true and y_pred must have the same number of sequences. Got 1 and 2. Pass "
        "one prediction for each sequence.",
    ),
    "1-D": ([1, 0], [1, 0], NOT_SEQUENCES.format("one value for sequence 0")),
    "scalar": (None, [[1, 0]], NOT_SEQUENCES.format("None")),
    "string": ("ab", [[1, 0]], NOT_SEQUENCES.format("'ab'")),
    "empty sequence": (
        [[1], [], [0]],
        [[1], [], [0]],
        "y_true must have at least one time step in every sequence. Got none in "
        "sequence 1. Remove it.",
    ),
    "no sequence": (
        np.zeros((0, 3)),
        np.zeros((0, 3)),
        "y_true must have at least one sequence. Got none. Omit empty parts.",
    ),
    "numbers of values": (
        [np.zeros((1, 2)), np.zeros((1, 3))],
        [np.zeros((1, 2)), np.zeros((1, 3))],
        "y_true must have the same number of values for every time step. Got shape (1, "
        "2) for sequence 0 and (1, 3) for sequence 1.",
    ),
    "4-D": (
        np.zeros((2, 3, 4, 1)),
        np.zeros((2, 3, 4, 1)),
        "y_true must have one value, or one row of values, for each time step. Got "
        "shape (3, 4, 1) for sequence 0. Flatten each step.",
    ),
}


@pytest.mark.parametrize(
    ("true", "pred", "message"), MISMATCHES.values(), ids=MISMATCHES
)
def test_mismatched_steps_raise(true, pred, message):
    for metric in (step_accuracy_score, sequence_accuracy_score, per_step(f1_score)):
        with raises(ValueError, message):
            metric(true, pred)


@pytest.mark.parametrize("metric", [step_accuracy_score, sequence_accuracy_score])
@pytest.mark.parametrize("shape", [(2, 3), (2, 3, 2)])
def test_labels_are_not_broadcast(metric, shape):
    message = (
        "y_true and y_pred must have the same number of labels for every time step. "
        f"Got shapes {(6, *shape[2:])} and (6, 1) for the concatenated steps."
    )
    with raises(ValueError, message):
        metric(np.zeros(shape), np.zeros((2, 3, 1)))


@pytest.mark.parametrize(
    ("weights", "given"),
    [
        (1.0, "1.0"),
        ([1.0, 2.0], "shape (2,)"),
        ([[1.0]] * 4, "shape (4, 1)"),
        ([np.ones((n, 2)) for n in LENGTHS], "rows of different lengths"),
    ],
)
def test_mismatched_weights_raise(weights, given):
    message = (
        "sample_weight must have one weight for each of the 4 sequences, or for each "
        f"of their time steps. Got {given}."
    )
    for metric in (step_accuracy_score, per_step(accuracy_score)):
        with raises(ValueError, message):
            metric(TRUE, PRED, sample_weight=weights)


@pytest.mark.parametrize(
    ("weights", "given"),
    [
        (1.0, "1.0"),
        ([1.0], "shape (1,)"),
        ([[1.0] * n for n in LENGTHS], "rows of different lengths"),
    ],
)
def test_sequence_accuracy_requires_weights_of_sequences(weights, given):
    message = (
        f"sample_weight must have one weight for each of the 4 sequences. Got {given}. "
        "For weights of time steps use step_accuracy_score."
    )
    with raises(ValueError, message):
        sequence_accuracy_score(TRUE, PRED, sample_weight=weights)


def test_predictions_of_other_lengths_raise():
    message = (
        "y_true and y_pred must have the same number of time steps in every sequence. "
        "Got 2 and 3 in sequence 0. Pass one for each step."
    )
    model = SignClassifier().fit(X, LABELS)
    with raises(ValueError, message):
        per_step("accuracy")(model, X, [LABELS[0][:2], *LABELS[1:]])


def test_unknown_names_of_scorers_raise():
    message = (
        "scoring must be the name of a scorer. Got 'f1_marco'. For the names, see "
        "skrnn.metrics.get_scorer_names."
    )
    for function in (get_scorer, per_step):
        with raises(ValueError, message):
            function("f1_marco")


@pytest.mark.parametrize("scoring", [None, f1_score, SignClassifier])
def test_get_scorer_takes_no_functions(scoring):
    message = (
        f"scoring must be a scorer, or the name of one. Got {scoring!r}. For a "
        "function of y_true and y_pred, apply sklearn.metrics.make_scorer first."
    )
    with raises(TypeError, message):
        get_scorer(scoring)


@pytest.mark.parametrize("metric", [step_accuracy_score, sequence_accuracy_score])
@pytest.mark.parametrize("dtype", [None, object])
def test_strings_are_not_compared_with_numbers(metric, dtype):
    message = (
        "y_true and y_pred must both hold strings, or both numbers. Got strings and "
        "numbers. Convert one of them."
    )
    with raises(ValueError, message):
        metric(np.array([["1"], ["0"]], dtype), np.array([[1], [0]], dtype))


def test_only_functions_and_scorers_are_adapted():
    message = (
        "metric must be a function of y_true and y_pred, a scorer or its name. Got 5. "
        "For the names, see skrnn.metrics.get_scorer_names."
    )
    with raises(TypeError, message):
        per_step(5)


def test_an_adapted_function_raises_as_a_scorer():
    message = (
        "per_step(f1_score) must be called with y_true and y_pred, since it adapts a "
        "function. Got 3 arguments. For scoring, apply sklearn.metrics.make_scorer "
        "before per_step."
    )
    with raises(TypeError, message):
        per_step(f1_score)(SignClassifier().fit(X, LABELS), X, LABELS)
