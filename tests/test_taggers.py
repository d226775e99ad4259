"""Classifiers of time steps on sentences, as files of tagged words are read."""

import numpy as np
import pandas as pd
import pytest
from clients import object_array
from messages import raises
from numpy.testing import assert_array_equal
from sklearn.base import clone, is_classifier, is_regressor
from sklearn.experimental import enable_halving_search_cv  # noqa: F401
from sklearn.metrics import accuracy_score, classification_report, f1_score
from sklearn.model_selection import (
    GridSearchCV,
    HalvingGridSearchCV,
    KFold,
    cross_val_predict,
    cross_val_score,
    learning_curve,
    train_test_split,
    validation_curve,
)
from sklearn.pipeline import make_pipeline
from sklearn.utils import get_tags

from skrnn import BiRNNClassifier, RNNClassifier, RNNRegressor, TokenEncoder
from skrnn.metrics import get_scorer, per_step

TAG_OF = {
    **dict.fromkeys(("the", "a"), "DET"),
    **dict.fromkeys(("dog", "cat", "tree"), "NOUN"),
    **dict.fromkeys(("runs", "sees"), "VERB"),
}
rng = np.random.default_rng(0)
SENTENCES = [
    [str(word) for word in rng.choice(list(TAG_OF), size=n)]
    for n in rng.integers(1, 7, size=30)
]
TAGS = [[TAG_OF[word] for word in sentence] for sentence in SENTENCES]
EQUAL = [sentence[:3] for sentence in SENTENCES if len(sentence) >= 3]
EQUAL_TAGS = [[TAG_OF[word] for word in sentence] for sentence in EQUAL]

ROWS = range(100, 100 + len(TAGS))  # not the positions
# Sentences and their tags, in every form that is read from somewhere.
RAGGED_FORMS = {
    "lists": (SENTENCES, TAGS),
    "tuples": (tuple(map(tuple, SENTENCES)), tuple(map(tuple, TAGS))),
    "lists of arrays": ([*map(np.array, SENTENCES)], [*map(np.array, TAGS)]),
    "object arrays of lists": (object_array(SENTENCES), object_array(TAGS)),
    "object arrays of arrays": (
        object_array([*map(np.array, SENTENCES)]),
        object_array([*map(np.array, TAGS)]),
    ),
    "Series": (pd.Series(SENTENCES, index=ROWS), pd.Series(TAGS, index=ROWS)),
}
EQUAL_FORMS = {
    "lists of one length": (EQUAL, EQUAL_TAGS),
    "arrays": (np.array(EQUAL), np.array(EQUAL_TAGS)),
    "arrays of objects": (np.array(EQUAL, object), np.array(EQUAL_TAGS, object)),
    "frames": (pd.DataFrame(EQUAL), pd.DataFrame(EQUAL_TAGS)),
}
FORMS = RAGGED_FORMS | EQUAL_FORMS
over_forms = pytest.mark.parametrize("form", FORMS)

FOLDS = KFold(3)


def tagger(cls=RNNClassifier, **params):
    defaults = dict(embedding_dim=4, max_epochs=3, lr=0.1, batch_size=8)
    return cls(4, return_sequences=True, random_state=0, **defaults | params)


def pipeline(**params):
    return make_pipeline(TokenEncoder(), tagger(BiRNNClassifier, **params))


def choose(sequences, rows):
    return [sequences[row] for row in rows]


def out_of_fold(model, X=SENTENCES, y=TAGS):
    """Return the tags of each fold, true and predicted, all steps concatenated."""
    for train, test in FOLDS.split(X):
        fitted = clone(model).fit(choose(X, train), choose(y, train))
        predicted = fitted.predict(choose(X, test))
        yield np.concatenate(choose(y, test)), np.concatenate(list(predicted))


def loop_score(metric, model, *data):
    return [metric(true, predicted) for true, predicted in out_of_fold(model, *data)]


# What scikit-learn takes a tagger for


@pytest.mark.parametrize("cls", [RNNClassifier, BiRNNClassifier])
@pytest.mark.parametrize("value", [True, np.True_], ids=["bool", "numpy"])
def test_a_tagger_is_not_tagged_a_classifier(cls, value):
    model = tagger(cls).set_params(return_sequences=value)
    wrapped = make_pipeline(TokenEncoder(), model)

    for each in (model, wrapped, GridSearchCV(wrapped, {})):
        assert not is_classifier(each)
        assert not is_regressor(each)
        assert get_tags(each).classifier_tags is None
    assert get_tags(model).target_tags.required


@pytest.mark.parametrize("cls", [RNNClassifier, BiRNNClassifier])
def test_a_classifier_of_sequences_is_tagged_a_classifier(cls):
    assert is_classifier(cls())
    assert get_tags(cls()).classifier_tags.multi_label
    assert is_classifier(tagger(cls).set_params(return_sequences=False))


def test_a_regressor_of_steps_is_tagged_a_regressor():
    assert is_regressor(RNNRegressor(return_sequences=True))


# Forms of sentences and tags


@pytest.mark.parametrize("form", RAGGED_FORMS)
def test_predictions_for_ragged_sentences_are_an_object_array_of_arrays(form):
    X, y = RAGGED_FORMS[form]

    model = pipeline().fit(X, y)
    tags = model.predict(X)

    assert isinstance(tags, np.ndarray)
    assert (tags.dtype, tags.shape) == (object, (30,))
    expected = pipeline().fit(SENTENCES, TAGS).predict(SENTENCES)
    for found, same, true in zip(tags, expected, TAGS, strict=True):
        assert isinstance(found, np.ndarray)
        assert found.shape == (len(true),)
        assert_array_equal(found, same)
    assert model.classes_.tolist() == ["DET", "NOUN", "VERB"]


@pytest.mark.parametrize("form", EQUAL_FORMS)
def test_predictions_for_sentences_of_one_length_are_a_matrix(form):
    X, y = EQUAL_FORMS[form]

    tags = pipeline().fit(X, y).predict(X)

    assert tags.shape == (len(EQUAL), 3)
    assert_array_equal(tags, pipeline().fit(EQUAL, EQUAL_TAGS).predict(EQUAL))


# Cross-validation and searches, compared with loops over unshuffled folds


@over_forms
def test_cross_val_score_is_the_accuracy_of_the_steps_of_each_fold(form):
    X, y = FORMS[form]
    lists = (SENTENCES, TAGS) if form in RAGGED_FORMS else (EQUAL, EQUAL_TAGS)

    scores = cross_val_score(pipeline(), X, y, cv=3, error_score="raise")

    assert scores.tolist() == loop_score(accuracy_score, pipeline(), *lists)


@over_forms
def test_cross_val_predict_keeps_the_order_of_sentences(form):
    X, y = FORMS[form]
    lists = (SENTENCES, TAGS) if form in RAGGED_FORMS else (EQUAL, EQUAL_TAGS)

    predicted = cross_val_predict(pipeline(), X, y, cv=3)

    assert len(predicted) == len(lists[0])
    expected = [tags for _, tags in out_of_fold(pipeline(), *lists)]
    assert_array_equal(np.concatenate(list(predicted)), np.concatenate(expected))


def macro_f1(true, predicted):
    return f1_score(true, predicted, average="macro")


@over_forms
def test_searches_score_candidates_by_a_scorer_of_steps(form):
    X, y = FORMS[form]
    lists = (SENTENCES, TAGS) if form in RAGGED_FORMS else (EQUAL, EQUAL_TAGS)
    grid = {"birnnclassifier__hidden_size": [2, 4]}
    search = GridSearchCV(
        pipeline(), grid, scoring=get_scorer("f1_macro"), cv=3, error_score="raise"
    )

    search.fit(X, y)

    for i, size in enumerate([2, 4]):
        model = pipeline().set_params(birnnclassifier__hidden_size=size)
        expected = loop_score(macro_f1, model, *lists)
        found = [search.cv_results_[f"split{k}_test_score"][i] for k in range(3)]
        assert found == expected
    best = pipeline().set_params(**search.best_params_).fit(*lists)
    true, tags = np.concatenate(lists[1]), np.concatenate(list(best.predict(lists[0])))
    assert search.score(X, y) == macro_f1(true, tags)


def test_halving_searches_may_raise_the_number_of_epochs():
    search = HalvingGridSearchCV(
        pipeline(),
        {"birnnclassifier__hidden_size": [2, 4]},
        resource="birnnclassifier__max_epochs",
        factor=2,
        min_resources=2,
        max_resources=4,
        cv=FOLDS,
        error_score="raise",
    ).fit(SENTENCES, TAGS)

    best = pipeline().set_params(**search.best_params_)
    assert search.best_params_["birnnclassifier__max_epochs"] == 4
    expected = np.mean(loop_score(accuracy_score, best))
    assert search.best_score_ == pytest.approx(expected, rel=1e-12)


def test_learning_and_validation_curves_accept_lists_of_tags():
    expected = loop_score(accuracy_score, pipeline())

    curve = learning_curve(
        pipeline(), SENTENCES, TAGS, cv=3, train_sizes=[1.0], error_score="raise"
    )
    assert curve[2][0].tolist() == expected
    name = "birnnclassifier__max_epochs"
    _, scores = validation_curve(
        pipeline(), SENTENCES, TAGS, cv=3, param_name=name, param_range=[3]
    )
    assert scores[0].tolist() == expected


def test_split_sentences_are_reported_on_step_by_step():
    X_train, X_test, y_train, y_test = train_test_split(SENTENCES, TAGS, random_state=0)
    tags = pipeline().fit(X_train, y_train).predict(X_test)

    report = per_step(classification_report)(y_test, tags, zero_division=0)

    flat = np.concatenate(y_test), np.concatenate(list(tags))
    assert report == classification_report(*flat, zero_division=0)


def test_entities_are_scored_by_seqeval():
    seqeval = pytest.importorskip("seqeval.metrics")
    tags = [[tag if tag == "O" else f"B-{tag}" for tag in row] for row in TAGS]

    def entity_f1(model, X, y):
        return seqeval.f1_score(y, [row.tolist() for row in model.predict(X)])

    scores = cross_val_score(
        pipeline(), SENTENCES, tags, scoring=entity_f1, cv=3, error_score="raise"
    )
    # Each tag is an entity of one word: precision and recall are the accuracy.
    expected = loop_score(accuracy_score, pipeline(), SENTENCES, tags)
    assert scores.tolist() == pytest.approx(expected, rel=1e-12)


# Labels that would be read wrongly, and what is missing

NAN = (
    "Input y contains NaN. Leave rows without a label out, or give them a label of "
    "their own."
)
MIXED = (
    "y must hold labels of one type, strings or numbers. Got {} and {}. Convert them, "
    "for example to strings."
)


def with_first(first):
    """Return tags whose first sentence has others."""
    return [[first, *TAGS[0][1:]], *TAGS[1:]]


@pytest.mark.parametrize(
    ("y", "message"),
    [
        (with_first(np.nan), NAN),
        (with_first(None), NAN),
        (with_first(1), MIXED.format(f"{TAGS[0][1]!r}", 1)),
        ([[1] * len(TAGS[0]), *TAGS[1:]], MIXED.format(f"{TAGS[1][0]!r}", 1)),
    ],
    ids=["NaN", "None", "a number", "a sentence of numbers"],
)
def test_tags_that_numpy_would_turn_into_text_are_refused(y, message):
    with raises(ValueError, message):
        pipeline().fit(SENTENCES, y)


@pytest.mark.parametrize("labels", [["a", np.nan], ["a", None]])
def test_missing_labels_of_sequences_are_refused(labels):
    with raises(ValueError, NAN):
        RNNClassifier().fit(np.zeros((4, 3)), labels * 2)


@pytest.mark.parametrize("form", [list, object_array])
def test_labels_of_sequences_of_two_types_are_refused(form):
    with raises(ValueError, MIXED.format("'a'", 1)):
        RNNClassifier().fit(np.zeros((4, 3)), form(["a", 1] * 2))


@pytest.mark.parametrize("form", RAGGED_FORMS)
def test_tags_without_return_sequences_raise(form):
    X, y = RAGGED_FORMS[form]
    message = (
        "y must hold one label for each sequence. Got several for sequence 0. Set "
        "return_sequences=True for one label per time step."
    )
    with raises(ValueError, message):
        pipeline().set_params(birnnclassifier__return_sequences=False).fit(X, y)


def test_sentences_without_tags_raise():
    message = (
        "y must hold at least one target for every sequence. Got none for sequence 30. "
        "Leave empty sequences out."
    )
    with raises(ValueError, message):
        pipeline().fit([*SENTENCES, []], [*TAGS, []])
