import itertools

import numpy as np
import pandas as pd
import pytest
import torch
from messages import raises
from numpy.testing import assert_allclose, assert_array_equal
from scipy import special
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.metrics import accuracy_score, log_loss
from sklearn.naive_bayes import MultinomialNB
from sklearn.pipeline import make_pipeline
from sklearn.utils.class_weight import compute_sample_weight

from skrnn import BiRNNClassifier, RNNClassifier, TokenOneHotEncoder

N_ROWS = 24
CLASSIFIERS = [RNNClassifier, BiRNNClassifier]


def small(cls=RNNClassifier, **parameters):
    """Return a classifier that is quick to fit."""
    defaults = {"hidden_size": 4, "max_epochs": 3, "random_state": 0}
    return cls(**defaults | parameters)


def unmoved(**parameters):
    """Return a classifier whose weights stay as they were drawn.

    So the loss it records in its first epoch is that of its predictions.
    """
    return small(lr=1e-300, lr_schedule=None, max_epochs=1, **parameters)


X = np.random.default_rng(0).normal(size=(N_ROWS, 5))
CODES = np.random.default_rng(1).permutation(N_ROWS) % 3
BINARY = np.random.default_rng(4).permutation(N_ROWS) % 2
INDICATOR = np.random.default_rng(2).integers(0, 2, (N_ROWS, 3))
WEIGHTS = np.random.default_rng(3).uniform(0.1, 2, size=N_ROWS)


def raw_outputs(model, X):
    """Run the network by hand, as the user of `module_` would."""
    with torch.no_grad():
        return model.module_.eval()(torch.tensor(X)[:, :, None]).numpy()


# Labels of any type

LABELS = {
    "str": np.array(["a", "bb", "ccc"]),
    "non-ASCII": np.array(["", "b", "α"]),
    "object": np.array(["a", "bb", "ccc"], dtype=object),
    "negative": np.array([-7, -2, 5]),
    "far apart": np.array([1, 10, 10**12]),
    "int8": np.array([-128, 0, 127], dtype=np.int8),
    "uint64": np.array([0, 1, 2**63], dtype=np.uint64),
    "whole floats": np.array([-1.0, 0.0, 3.0]),
    "float32": np.array([-1.0, 0.0, 3.0], dtype=np.float32),
}


@pytest.mark.parametrize("cls", CLASSIFIERS)
@pytest.mark.parametrize("labels", LABELS.values(), ids=LABELS)
def test_labels_of_any_type_are_predicted_as_their_codes_are(labels, cls):
    of_codes = small(cls).fit(X, CODES)
    model = small(cls).fit(X, labels[CODES])

    assert_array_equal(model.classes_, labels, strict=True)
    expected = labels[of_codes.predict(X)]
    assert_array_equal(model.predict(X), expected, strict=True)
    assert_array_equal(model.predict_proba(X), of_codes.predict_proba(X))


@pytest.mark.parametrize(
    "labels",
    [[False, True], ["no", "yes"], [-1, 1], [-1.0, 1.0], [5, 300]],
    ids=lambda labels: type(labels[0]).__name__,
)
def test_two_labels_of_any_type_are_predicted_as_their_codes_are(labels):
    labels, of_codes = np.array(labels), small().fit(X, BINARY)
    model = small().fit(X, labels[BINARY])

    assert_array_equal(model.classes_, labels, strict=True)
    expected = labels[of_codes.predict(X)]
    assert_array_equal(model.predict(X), expected, strict=True)


WORDS = np.array(["down", "flat", "up"])[CODES]
CONTAINERS = {
    "list": list(WORDS),
    "list of str": WORDS.tolist(),
    "tuple": tuple(WORDS),
    "Series": pd.Series(WORDS),
    "Series of objects": pd.Series(WORDS, dtype=object),
    "Series of strings": pd.Series(WORDS, dtype="string"),
    "Series in another order": pd.Series(WORDS, index=np.arange(N_ROWS)[::-1]),
    "Categorical": pd.Categorical(WORDS),
    "Series of categories": pd.Series(WORDS, dtype="category"),
    "unused and unsorted categories": pd.Series(
        pd.Categorical(WORDS, categories=["up", "unused", "flat", "down"])
    ),
    "Index": pd.Index(WORDS),
    "every other": np.repeat(WORDS, 2)[::2],
}


@pytest.mark.parametrize("y", CONTAINERS.values(), ids=CONTAINERS)
def test_the_container_of_labels_does_not_matter(y):
    model = small().fit(X, y)

    assert model.classes_.tolist() == ["down", "flat", "up"]
    expected = small().fit(X, WORDS).predict(X).tolist()
    assert model.predict(X).tolist() == expected


def test_fit_leaves_y_as_it_was():
    y = WORDS.copy()
    y.setflags(write=False)
    small().fit(X, y)

    assert_array_equal(y, WORDS)


# Probabilities


@pytest.mark.parametrize("cls", CLASSIFIERS)
def test_two_classes_share_one_raw_output(cls):
    model = small(cls).fit(X, BINARY)

    assert model.n_outputs_ == model.module_.head.out_features == 1


def test_many_classes_have_a_raw_output_each():
    model = small().fit(X, CODES)

    assert model.n_outputs_ == model.module_.head.out_features == 3


def test_probability_of_the_second_class_is_the_logistic_function_of_the_output():
    model = small().fit(X, BINARY)

    second = special.expit(raw_outputs(model, X))
    expected = np.concatenate([1 - second, second], axis=1)
    assert_allclose(model.predict_proba(X), expected, rtol=1e-10)


def test_probabilities_of_many_classes_are_the_softmax_of_the_outputs():
    model = small().fit(X, CODES)

    expected = special.softmax(raw_outputs(model, X), axis=1)
    assert_allclose(model.predict_proba(X), expected, rtol=1e-10)


@pytest.mark.parametrize("cls", CLASSIFIERS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("y", [BINARY, CODES], ids=["binary", "multiclass"])
def test_probabilities_of_a_row_sum_to_one(y, dtype, cls):
    model = small(cls).fit(X.astype(dtype), y)

    total = model.predict_proba(X.astype(dtype)).sum(axis=1)
    assert_allclose(total, 1.0, rtol=4 * np.finfo(dtype).eps)


@pytest.mark.parametrize("cls", CLASSIFIERS)
@pytest.mark.parametrize("y", [BINARY * 10, WORDS], ids=["binary", "multiclass"])
def test_the_prediction_is_the_most_probable_label(y, cls):
    model = small(cls, max_epochs=10).fit(X, y)

    expected = model.classes_[model.predict_proba(X).argmax(axis=1)]
    assert_array_equal(model.predict(X), expected)
    assert len(np.unique(expected)) > 1


@pytest.mark.parametrize("y", [BINARY, CODES, INDICATOR], ids=["2", "3", "indicator"])
def test_log_probabilities_are_the_logarithm_of_the_probabilities(y):
    model = small().fit(X, y)

    expected = np.log(model.predict_proba(X))
    assert_allclose(model.predict_log_proba(X), expected, rtol=1e-10, atol=1e-14)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("y", [BINARY, CODES, INDICATOR], ids=["2", "3", "indicator"])
def test_log_probabilities_of_a_very_certain_network_stay_finite(y, dtype):
    model = small().fit(X.astype(dtype), y)
    with torch.no_grad():
        bias = model.module_.head.bias
        bias.copy_(torch.tensor([1e4, -1e4, 1e4])[: len(bias)])

    log_probabilities = model.predict_log_proba(X.astype(dtype))
    assert np.isfinite(log_probabilities).all()
    assert log_probabilities.min() < -5e3
    assert log_probabilities.max() <= 0


@pytest.mark.parametrize("y", [BINARY, CODES, INDICATOR], ids=["2", "3", "indicator"])
def test_one_row_has_one_row_of_probabilities(y):
    model = small().fit(X, y)

    assert_array_equal(model.predict_proba(X[:1]), model.predict_proba(X)[:1])
    assert model.predict(X[:1]).shape == (1, *y.shape[1:])


# Several labels


@pytest.mark.parametrize("cls", CLASSIFIERS)
@pytest.mark.parametrize("n_labels", [2, 3])
def test_an_indicator_is_predicted_as_an_indicator(n_labels, cls):
    model = small(cls).fit(X, INDICATOR[:, :n_labels])
    predicted = model.predict(X)

    assert predicted.shape == (N_ROWS, n_labels)
    assert predicted.dtype.kind == "i"
    assert set(np.unique(predicted)) <= {0, 1}


def test_classes_of_an_indicator_are_its_columns():
    model = small().fit(X, INDICATOR)

    assert_array_equal(model.classes_, [0, 1, 2])
    assert model.n_outputs_ == 3


def test_each_label_has_its_own_probability():
    model = small().fit(X, INDICATOR)

    probabilities = model.predict_proba(X)
    assert_allclose(probabilities, special.expit(raw_outputs(model, X)), rtol=1e-10)
    assert_array_equal(model.predict(X), probabilities > 0.5)


@pytest.mark.parametrize(
    "container",
    [list, np.ndarray.tolist, pd.DataFrame, lambda y: y == 1, lambda y: y * 1.0],
    ids=["rows", "nested list", "frame", "bool", "float"],
)
def test_the_container_of_an_indicator_does_not_matter(container):
    model = small().fit(X, container(INDICATOR))

    assert_array_equal(model.predict(X), small().fit(X, INDICATOR).predict(X))


# The loss


@pytest.mark.parametrize("batch_size", [N_ROWS, 7])
@pytest.mark.parametrize("weights", [None, WEIGHTS], ids=["equal", "weighted"])
@pytest.mark.parametrize("y", [BINARY, CODES], ids=["binary", "multiclass"])
def test_recorded_loss_is_log_loss(y, weights, batch_size):
    model = unmoved(batch_size=batch_size).fit(X, y, weights)

    expected = log_loss(y, model.predict_proba(X), sample_weight=weights)
    assert_allclose(model.loss_curve_, [expected], rtol=1e-10)


@pytest.mark.parametrize("weights", [None, WEIGHTS], ids=["equal", "weighted"])
def test_recorded_loss_of_an_indicator_is_the_mean_log_loss_of_its_labels(weights):
    model = unmoved().fit(X, INDICATOR, weights)

    columns = zip(INDICATOR.T, model.predict_proba(X).T, strict=True)
    expected = np.mean([log_loss(y, p, sample_weight=weights) for y, p in columns])
    assert_allclose(model.loss_curve_, [expected], rtol=1e-10)


@pytest.mark.parametrize("y", [BINARY, CODES], ids=["binary", "multiclass"])
def test_validation_loss_is_log_loss(y):
    model = unmoved().fit(X, y, X_val=X[:9], y_val=y[:9])

    expected = log_loss(y[:9], model.predict_proba(X[:9]), labels=model.classes_)
    assert_allclose(model.validation_loss_curve_, [expected], rtol=1e-10)


# The weights of classes

CLASS_WEIGHT = {"down": 3.0, "up": 0.25}


@pytest.mark.parametrize("weights", [None, WEIGHTS], ids=["equal", "weighted"])
def test_class_weights_multiply_the_weights_of_the_loss(weights):
    model = unmoved(class_weight=CLASS_WEIGHT).fit(X, WORDS, weights)

    total = compute_sample_weight(CLASS_WEIGHT, WORDS)
    total = total if weights is None else total * weights
    expected = log_loss(WORDS, model.predict_proba(X), sample_weight=total)
    assert_allclose(model.loss_curve_, [expected], rtol=1e-10)


@pytest.mark.parametrize("cls", CLASSIFIERS)
@pytest.mark.parametrize("class_weight", ["balanced", CLASS_WEIGHT])
def test_class_weights_train_as_the_same_sample_weights_do(class_weight, cls):
    weights = compute_sample_weight(class_weight, WORDS)

    weighted = small(cls).fit(X, WORDS, weights)
    model = small(cls, class_weight=class_weight).fit(X, WORDS)
    expected = weighted.predict_proba(X)
    assert_allclose(model.predict_proba(X), expected, rtol=1e-9)


@pytest.mark.parametrize("y", [BINARY, CODES], ids=["binary", "multiclass"])
def test_balanced_counts_the_weight_of_each_class(y):
    model = unmoved(class_weight="balanced").fit(X, y, WEIGHTS)

    mass = np.bincount(y, WEIGHTS)
    balanced = WEIGHTS * (WEIGHTS.sum() / (len(mass) * mass))[y]
    expected = log_loss(y, model.predict_proba(X), sample_weight=balanced)
    assert_allclose(model.loss_curve_, [expected], rtol=1e-10)


def test_balanced_classes_make_a_rare_label_likely():
    rare = np.zeros(N_ROWS, dtype=int)
    rare[:3] = 1
    X = np.ones((N_ROWS, 5))  # so only the share of the labels can be learned
    plain = small(max_epochs=40, lr=0.03).fit(X, rare)
    balanced = small(max_epochs=40, lr=0.03, class_weight="balanced").fit(X, rare)

    assert_allclose(plain.predict_proba(X)[:, 1], 3 / 24, atol=0.08)
    assert_allclose(balanced.predict_proba(X)[:, 1], 0.5, atol=0.08)


@pytest.mark.parametrize(
    ("class_weight", "label_weights"),
    [
        ([{0: 0.5, 1: 4.0}, {1: 3.0}, {}], [[0.5, 4.0], [1.0, 3.0], [1.0, 1.0]]),
        (
            "balanced",
            [N_ROWS / (2 * np.bincount(column)) for column in INDICATOR.T],
        ),
    ],
    ids=["list", "balanced"],
)
def test_class_weights_of_an_indicator_multiply_the_loss_of_each_label(
    class_weight, label_weights
):
    model = unmoved(class_weight=class_weight).fit(X, INDICATOR)

    absent, present = np.transpose(label_weights)
    p = model.predict_proba(X)
    losses = present * INDICATOR * np.log(p) + absent * (1 - INDICATOR) * np.log(1 - p)
    assert_allclose(model.loss_curve_, [-losses.mean()], rtol=1e-10)


@pytest.mark.parametrize(
    ("y", "class_weight", "message"),
    [
        (
            WORDS,
            {"down": 2, "sideways": 1},
            "The 'class_weight' parameter must name labels of y, ['down', 'flat', "
            "'up']. Got ['sideways'] as well.",
        ),
        (
            CODES,
            {0: 2, 7: 1, "a": 1},
            "The 'class_weight' parameter must name labels of y, [0, 1, 2]. Got [7, "
            "'a'] as well.",
        ),
        (
            CODES,
            {0: -1},
            "The 'class_weight' parameter must hold finite weights that are not "
            "negative, and not zero for all classes. Got {0: -1}.",
        ),
        (
            INDICATOR,
            [{0: 1}, {1: 2}, {5: 2}],
            "The 'class_weight' parameter must name labels of y, [0, 1]. Got [5] as "
            "well.",
        ),
        (
            INDICATOR,
            {0: 2},
            "The 'class_weight' parameter must be None, 'balanced' or a list of 3 "
            "dicts, one for each label, when y is an indicator matrix. Got {0: 2}.",
        ),
        (
            INDICATOR,
            [{0: 2}],
            "The 'class_weight' parameter must be None, 'balanced' or a list of 3 "
            "dicts, one for each label, when y is an indicator matrix. Got [{0: 2}].",
        ),
    ],
    ids=["str", "int", "negative", "not 0 or 1", "dict", "too short"],
)
def test_class_weights_that_break_a_rule_are_refused(y, class_weight, message):
    with raises(ValueError, message):
        small(class_weight=class_weight).fit(X, y)


@pytest.mark.parametrize(
    ("y", "class_weight"),
    [
        (CODES, {0: np.nan}),
        (CODES, {0: np.inf}),
        (CODES, {0: 0, 1: 0, 2: 0}),
        (CODES, []),
        (CODES, [0, 1, 2]),
        (CODES, [{0: 2}, {1: 2}, {2: 2}]),
        (INDICATOR, [1, 2, 3]),
        (INDICATOR, [{0: np.nan}, {}, {}]),
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
def test_class_weights_without_a_meaning_are_refused_by_name(y, class_weight):
    with pytest.raises(ValueError, match=r"^The 'class_weight' parameter must .* Got "):
        small(class_weight=class_weight).fit(X, y)


def test_weights_of_classes_and_rows_that_leave_no_row_are_refused_by_name():
    with pytest.raises(ValueError, match=r"class_weight"):
        small(class_weight={0: 0.0}).fit(X, CODES, sample_weight=CODES == 0)


# The score


@pytest.mark.parametrize("weights", [None, WEIGHTS], ids=["equal", "weighted"])
@pytest.mark.parametrize(
    "y", [BINARY, WORDS, INDICATOR], ids=["binary", "multiclass", "indicator"]
)
def test_score_is_accuracy_score(y, weights):
    model = small().fit(X, y)

    expected = accuracy_score(y, model.predict(X), sample_weight=weights)
    assert model.score(X, y, sample_weight=weights) == expected


# Going on


def test_classes_of_the_first_partial_fit_are_all_that_will_ever_come():
    model = small().partial_fit(X, ["b"] * N_ROWS, classes=["c", "b", "a"])

    assert_array_equal(model.classes_, ["a", "b", "c"])
    assert model.predict_proba(X).shape == (N_ROWS, 3)
    model.partial_fit(X, ["a", "c"] * 12)


def test_partial_fit_needs_the_classes_at_first():
    message = (
        "classes must be passed on the first call to partial_fit. Got None. Pass all "
        "labels that will ever occur."
    )
    with raises(ValueError, message):
        small().partial_fit(X, WORDS)


def test_partial_fit_of_an_indicator_needs_no_classes():
    model = small().partial_fit(X, INDICATOR).partial_fit(X, INDICATOR)

    assert model.n_iter_ == 2


def test_partial_fit_refuses_other_classes_than_at_first():
    model = small().partial_fit(X, WORDS, classes=["down", "flat", "up"])

    with pytest.raises(ValueError, match=r"classes"):
        model.partial_fit(X, WORDS, classes=["down", "flat", "sideways"])


@pytest.mark.parametrize("first", [True, False], ids=["first call", "second call"])
def test_partial_fit_refuses_labels_that_are_not_in_classes(first):
    model = small()
    if not first:
        model.partial_fit(X, ["b"] * N_ROWS, classes=["a", "b"])

    message = (
        "y must contain only the labels in classes_, ['a', 'b']. Got ['c'] as well. "
        "Pass all labels as classes to the first call of partial_fit, or fit anew."
    )
    with raises(ValueError, message):
        model.partial_fit(X, ["b", "c"] * 12, classes=["a", "b"])


def test_warm_start_refuses_new_labels():
    model = small(warm_start=True).fit(X, BINARY)

    message = (
        "y must contain only the labels in classes_, [0, 1]. Got [2] as well. Pass all "
        "labels as classes to the first call of partial_fit, or fit anew."
    )
    with raises(ValueError, message):
        model.fit(X, CODES)


def test_warm_start_keeps_classes_that_do_not_come_again():
    model = small(warm_start=True).fit(X, CODES).fit(X[CODES < 2], CODES[CODES < 2])

    assert_array_equal(model.classes_, [0, 1, 2])
    assert model.predict_proba(X).shape == (N_ROWS, 3)


def test_a_new_fit_takes_new_labels():
    model = small().fit(X, INDICATOR).fit(X, WORDS)

    assert_array_equal(model.predict(X), small().fit(X, WORDS).predict(X))


def test_unknown_validation_labels_are_refused():
    message = (
        "y_val must contain only the labels in classes_, [0, 1]. Got [2] as well. Pass "
        "all labels as classes to the first call of partial_fit, or fit anew."
    )
    with raises(ValueError, message):
        small().fit(X, BINARY, X_val=X, y_val=CODES)


# What y must not be


NOT_LABELS = (
    "Maybe you are trying to fit a classifier, which expects discrete classes on a "
    "regression target with continuous values."
)


@pytest.mark.parametrize("cls", CLASSIFIERS)
@pytest.mark.parametrize(
    ("y", "message"),
    [
        (
            ["only"] * N_ROWS,
            "y must contain at least two classes for {owner}. Got one class: ['only'].",
        ),
        (
            CODES * 0.0,
            "y must contain at least two classes for {owner}. Got one class: [0.0].",
        ),
        (CODES + 0.5, f"Unknown label type: continuous. {NOT_LABELS}"),
        (
            INDICATOR + 0.5,
            f"Unknown label type: continuous-multioutput. {NOT_LABELS}",
        ),
        (
            np.stack([CODES, CODES[::-1]], axis=1),
            "Unknown label type: multiclass-multioutput. y must hold one label for "
            "each sequence, or zeros and ones for each of several labels. Set "
            "return_sequences=True for one label per time step, or use "
            "MultiOutputClassifier for several multi-class targets.",
        ),
        (np.where(CODES == 2, np.nan, CODES), "Input y contains NaN."),
        (
            np.where(CODES == 2, np.inf, CODES),
            "Input y contains infinity or a value too large for dtype('float64').",
        ),
        (
            np.where(INDICATOR == 0, np.nan, INDICATOR),
            "Input y contains NaN.",
        ),
        (CODES + 1j, f"Complex data not supported\n{CODES + 1j}\n"),
        (
            WORDS[:-1],
            "Found input variables with inconsistent numbers of samples: [24, 23]",
        ),
        (
            None,
            "This {owner} estimator requires y to be passed, but the target y is None.",
        ),
    ],
    ids=[
        "one label",
        "one number",
        "continuous",
        "continuous columns",
        "several multi-class",
        "NaN",
        "inf",
        "NaN in an indicator",
        "complex",
        "short",
        "None",
    ],
)
def test_labels_that_break_a_rule_are_refused(y, message, cls):
    with raises(ValueError, message.replace("{owner}", cls.__name__)):
        small(cls).fit(X, y)


def test_a_single_row_has_one_class():
    message = (
        "y must contain at least two classes for RNNClassifier. Got one class: [1]."
    )
    with raises(ValueError, message):
        small().fit(X[:1], [1])


def test_bad_labels_leave_an_earlier_fit_as_it_was():
    model = small().fit(X, WORDS)
    before = model.predict(X)

    with pytest.raises(ValueError, match="continuous"):
        model.fit(X, CODES + 0.5)
    assert_array_equal(model.predict(X), before)


# Both ways


def test_both_ways_is_the_bidirectional_form_of_the_other():
    one = small(RNNClassifier, bidirectional=True).fit(X, WORDS)
    other = small(BiRNNClassifier).fit(X, WORDS)

    assert_array_equal(one.predict_proba(X), other.predict_proba(X))


def test_both_ways_has_no_parameter_for_it():
    assert "bidirectional" not in BiRNNClassifier().get_params()


# Learning


def noise(n_rows=300, ragged=False):
    """Return noise whose first and last steps are 1 or -1."""
    rng = np.random.default_rng(0)
    lengths = rng.integers(4, 9, size=n_rows) if ragged else np.full(n_rows, 8)
    X = [rng.normal(size=length).astype(np.float32) for length in lengths]
    for row in X:
        row[[0, -1]] = rng.choice([-1.0, 1.0], size=2)
    return X if ragged else np.stack(X)


@pytest.mark.parametrize("ragged", [False, True], ids=["dense", "ragged"])
@pytest.mark.parametrize("cell_type", ["rnn", "gru", "lstm"])
def test_each_cell_remembers_the_sign_of_the_first_step(cell_type, ragged):
    X = noise(ragged=ragged)
    y = np.array(["down" if row[0] < 0 else "up" for row in X])
    model = RNNClassifier(16, cell_type=cell_type, max_epochs=30, random_state=0)
    model.fit(X[:200], y[:200])

    assert model.score(X[200:], y[200:]) > 0.95


@pytest.mark.parametrize("ragged", [False, True], ids=["dense", "ragged"])
@pytest.mark.parametrize("cell_type", ["rnn", "gru", "lstm"])
def test_both_ways_sees_the_first_and_the_last_step(cell_type, ragged):
    X = noise(ragged=ragged)
    y = np.array([f"{row[0]:+.0f}{row[-1]:+.0f}" for row in X])
    model = BiRNNClassifier(16, cell_type=cell_type, max_epochs=30, random_state=0)
    model.fit(X[:200], y[:200])

    assert len(model.classes_) == 4
    assert model.score(X[200:], y[200:]) > 0.95


def test_each_label_of_an_indicator_is_learned():
    X = noise()
    y = np.stack([X[:, 0] > 0, X[:, -1] > 0, X[:, 0] < 0], axis=1)
    model = RNNClassifier(16, max_epochs=30, random_state=0).fit(X[:200], y[:200])

    assert model.score(X[200:], y[200:]) > 0.95


def sentences():
    """Return sentences with the same words for both labels, in another order."""
    good, bad = ["good", "great", "fine", "superb"], ["bad", "poor", "awful", "dull"]
    frames = ["from {} to {}", "it went from {} to {}", "once {}, now {}", "{}: {}"]
    documents, labels = [], []
    for one, other, frame in itertools.product(good, bad, frames):
        documents += [frame.format(one, other), frame.format(other, one)]
        labels += ["fall", "rise"]
    order = np.random.default_rng(0).permutation(len(labels))
    return np.array(documents, dtype=object)[order], np.array(labels)[order]


@pytest.mark.parametrize("cls", CLASSIFIERS)
def test_sentences_are_told_apart_by_the_order_of_their_words(cls):
    documents, labels = sentences()
    network = cls(16, cell_type="gru", max_epochs=30, random_state=0)
    model = make_pipeline(TokenOneHotEncoder(), network)
    model.fit(documents[:90], labels[:90])

    assert model.score(documents[90:], labels[90:]) > 0.95
    answers = model.predict(["from good to bad", "from bad to good"])
    assert answers.tolist() == ["fall", "rise"]


def test_counts_of_words_cannot_tell_the_sentences_apart():
    documents, labels = sentences()
    model = make_pipeline(CountVectorizer(), MultinomialNB())
    model.fit(documents[:90], labels[:90])

    assert model.score(documents[90:], labels[90:]) <= 0.5
