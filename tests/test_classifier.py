"""What is particular to the classifiers: labels, probabilities, their loss."""

import numpy as np
import pandas as pd
import pytest
import torch
from messages import raises
from numpy.testing import assert_allclose, assert_array_equal
from scipy import special
from sklearn.metrics import accuracy_score, log_loss

from skrnn import BiRNNClassifier, RNNClassifier

N_ROWS = 24


def small(cls=RNNClassifier, **parameters):
    """Return a classifier that is quick to fit."""
    defaults = {"hidden_size": 4, "max_epochs": 3, "random_state": 0}
    return cls(**defaults | parameters)


def frozen(**parameters):
    """Return a classifier whose weights stay as they were initialised.

    So the loss of its first epoch is that of its predictions.
    """
    return small(lr=1e-300, lr_schedule=None, max_epochs=1, **parameters)


X = np.random.default_rng(0).normal(size=(N_ROWS, 5))
CODES = np.random.default_rng(1).permutation(N_ROWS) % 3
BINARY = np.random.default_rng(4).permutation(N_ROWS) % 2
INDICATOR = np.random.default_rng(2).integers(0, 2, (N_ROWS, 3))
WEIGHTS = np.random.default_rng(3).uniform(0.1, 2, size=N_ROWS)
WORDS = np.array(["down", "flat", "up"])[CODES]

over_targets = pytest.mark.parametrize(
    "y", [BINARY, CODES, INDICATOR], ids=["binary", "multiclass", "indicator"]
)


def raw_outputs(model, X):
    """Run the network as the user of `module_` would."""
    with torch.no_grad():
        return model.module_.eval()(torch.tensor(X)[:, :, None]).numpy()


# Labels of any type

LABELS = {
    "bool": np.array([False, True]),
    "int": np.array([5, 300]),
    "str": np.array(["a", "bb", "ccc"]),
    "non-ASCII": np.array(["", "b", "α"]),
    "object": np.array(["a", "bb", "ccc"], dtype=object),
    "far apart": np.array([-1, 10, 10**12]),
    "int8": np.array([-128, 0, 127], dtype=np.int8),
    "uint64": np.array([0, 1, 2**63], dtype=np.uint64),
    "whole floats": np.array([-1.0, 0.0, 3.0]),
    "float32": np.array([-1.0, 0.0, 3.0], dtype=np.float32),
}


@pytest.mark.parametrize("labels", LABELS.values(), ids=LABELS)
def test_labels_of_any_type_are_predicted_like_their_codes(labels):
    codes = BINARY if len(labels) == 2 else CODES
    expected = small().fit(X, codes)
    model = small().fit(X, labels[codes])

    assert_array_equal(model.classes_, labels, strict=True)
    assert_array_equal(model.predict(X), labels[expected.predict(X)], strict=True)
    assert_array_equal(model.predict_proba(X), expected.predict_proba(X))


CONTAINERS = {
    "list": list(WORDS),
    "list of str": WORDS.tolist(),
    "Series of strings": pd.Series(WORDS, dtype="string"),
    "Series in another order": pd.Series(WORDS, index=np.arange(N_ROWS)[::-1]),
    "Categorical": pd.Categorical(WORDS),
    "unused and unsorted categories": pd.Series(
        pd.Categorical(WORDS, categories=["up", "unused", "flat", "down"])
    ),
    "Index": pd.Index(WORDS),
    "strided": np.repeat(WORDS, 2)[::2],
}


@pytest.mark.parametrize("y", CONTAINERS.values(), ids=CONTAINERS)
def test_container_of_labels_does_not_matter(y):
    model = small().fit(X, y)

    assert model.classes_.tolist() == ["down", "flat", "up"]
    assert model.predict(X).tolist() == small().fit(X, WORDS).predict(X).tolist()


@pytest.mark.parametrize(
    "container", [np.ndarray.tolist, pd.DataFrame, lambda y: y == 1, lambda y: y * 1.0]
)
def test_container_of_an_indicator_matrix_does_not_matter(container):
    model = small().fit(X, container(INDICATOR))

    assert_array_equal(model.predict(X), small().fit(X, INDICATOR).predict(X))


def test_fit_does_not_change_y():
    y = WORDS.copy()
    y.setflags(write=False)
    small().fit(X, y)

    assert_array_equal(y, WORDS)


# Probabilities


@over_targets
def test_probabilities_are_the_logistic_function_or_softmax_of_the_outputs(y):
    model = small().fit(X, y)

    output = raw_outputs(model, X)
    expected = special.softmax(output, axis=1) if y is CODES else special.expit(output)
    if y is BINARY:
        expected = np.concatenate([1 - expected, expected], axis=1)
    assert_allclose(model.predict_proba(X), expected, rtol=1e-10)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("y", [BINARY, CODES], ids=["binary", "multiclass"])
def test_probabilities_of_a_row_sum_to_one(y, dtype):
    model = small().fit(X.astype(dtype), y)

    total = model.predict_proba(X.astype(dtype)).sum(axis=1)
    assert_allclose(total, 1.0, rtol=4 * np.finfo(dtype).eps)


@pytest.mark.parametrize("y", [BINARY * 10, WORDS], ids=["binary", "multiclass"])
def test_prediction_is_the_most_probable_label(y):
    model = small(max_epochs=10).fit(X, y)

    expected = model.classes_[model.predict_proba(X).argmax(axis=1)]
    assert_array_equal(model.predict(X), expected)
    assert len(np.unique(expected)) > 1


@pytest.mark.parametrize("n_labels", [2, 3])
def test_prediction_of_an_indicator_matrix_is_an_indicator_matrix(n_labels):
    model = small().fit(X, INDICATOR[:, :n_labels])

    assert_array_equal(model.classes_, np.arange(n_labels))
    assert model.n_outputs_ == n_labels
    assert model.predict(X).dtype.kind == "i"
    assert_array_equal(model.predict(X), model.predict_proba(X) > 0.5)


@over_targets
def test_log_probabilities_are_the_logarithm_of_the_probabilities(y):
    model = small().fit(X, y)

    expected = np.log(model.predict_proba(X))
    assert_allclose(model.predict_log_proba(X), expected, rtol=1e-10, atol=1e-14)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@over_targets
def test_log_probabilities_of_a_very_certain_network_are_finite(y, dtype):
    model = small(max_epochs=1).fit(X.astype(dtype), y)
    with torch.no_grad():
        bias = model.module_.head.bias
        bias.copy_(torch.tensor([1e4, -1e4, 1e4])[: len(bias)])

    log_probabilities = model.predict_log_proba(X.astype(dtype))
    assert np.isfinite(log_probabilities).all()
    assert log_probabilities.min() < -5e3
    assert log_probabilities.max() <= 0


@over_targets
def test_one_row_has_one_row_of_probabilities(y):
    model = small().fit(X, y)

    assert_array_equal(model.predict_proba(X[:1]), model.predict_proba(X)[:1])
    assert model.predict(X[:1]).shape == (1, *y.shape[1:])
    assert model.predict_log_proba(X[:1]).shape == model.predict_proba(X[:1]).shape


# The loss and the score


@pytest.mark.parametrize(
    ("y", "weights", "batch_size"),
    [(BINARY, WEIGHTS, 7), (CODES, WEIGHTS, 7), (CODES, None, N_ROWS)],
    ids=["binary", "multiclass", "one batch"],
)
def test_loss_is_log_loss(y, weights, batch_size):
    model = frozen(batch_size=batch_size)
    model.fit(X, y, weights, X_val=X[:9], y_val=y[:9])

    expected = log_loss(y, model.predict_proba(X), sample_weight=weights)
    assert_allclose(model.loss_curve_, [expected], rtol=1e-10)
    expected = log_loss(y[:9], model.predict_proba(X[:9]), labels=model.classes_)
    assert_allclose(model.validation_loss_curve_, [expected], rtol=1e-10)


def test_loss_of_an_indicator_matrix_is_the_mean_log_loss_of_its_labels():
    model = frozen().fit(X, INDICATOR, WEIGHTS)

    columns = zip(INDICATOR.T, model.predict_proba(X).T, strict=True)
    expected = np.mean([log_loss(y, p, sample_weight=WEIGHTS) for y, p in columns])
    assert_allclose(model.loss_curve_, [expected], rtol=1e-10)


@pytest.mark.parametrize(
    ("y", "weights"), [(WORDS, None), (WORDS, WEIGHTS), (INDICATOR, WEIGHTS)]
)
def test_score_is_accuracy_score(y, weights):
    model = small().fit(X, y)

    expected = accuracy_score(y, model.predict(X), sample_weight=weights)
    assert model.score(X, y, sample_weight=weights) == expected


# Invalid labels


def test_unknown_validation_labels_are_refused():
    message = (
        "y_val must contain only the labels in classes_, [0, 1]. Got [2] as well. Pass "
        "all labels as classes to the first call of partial_fit, or call fit again."
    )
    with raises(ValueError, message):
        small().fit(X, BINARY, X_val=X, y_val=CODES)


NOT_LABELS = (
    "Maybe you are trying to fit a classifier, which expects discrete classes on a "
    "regression target with continuous values."
)
ONE_CLASS = (
    "y must contain at least two classes for RNNClassifier. Got one class: ['only']."
)
NO_INFINITY = "Input y contains infinity or a value too large for dtype('float64')."
NO_MISSING = (
    "Input y contains NaN. Leave rows without a label out, or give them a label of "
    "their own."
)
INVALID_LABELS = {
    "one label": (["only"] * N_ROWS, ONE_CLASS),
    "continuous": (CODES + 0.5, f"Unknown label type: continuous. {NOT_LABELS}"),
    "continuous columns": (
        INDICATOR + 0.5,
        f"Unknown label type: continuous-multioutput. {NOT_LABELS}",
    ),
    "several multi-class": (
        np.stack([CODES, CODES[::-1]], axis=1),
        "Unknown label type: multiclass-multioutput. y must hold one label for each "
        "sequence, or zeros and ones for each of several labels. Set "
        "return_sequences=True for one label per time step, or use "
        "MultiOutputClassifier for several multi-class targets.",
    ),
    "NaN": (np.where(CODES == 2, np.nan, CODES), NO_MISSING),
    "inf": (np.where(CODES == 2, np.inf, CODES), NO_INFINITY),
    "NaN in an indicator": (
        np.where(INDICATOR == 0, np.nan, INDICATOR),
        NO_MISSING,
    ),
    "complex": (CODES + 1j, f"Complex data not supported\n{CODES + 1j}\n"),
    "too few": (
        WORDS[:-1],
        "Found input variables with inconsistent numbers of samples: [24, 23]",
    ),
}


@pytest.mark.parametrize(("y", "message"), INVALID_LABELS.values(), ids=INVALID_LABELS)
def test_invalid_labels_are_refused(y, message):
    with raises(ValueError, message):
        small().fit(X, y)


def test_messages_name_the_estimator():
    message = ONE_CLASS.replace("RNNClassifier", "BiRNNClassifier")
    with raises(ValueError, message):
        small(BiRNNClassifier).fit(X[:1], ["only"])


# The bidirectional classifier


def test_bidirectional_classifier_is_a_classifier_with_bidirectional_true():
    expected = small(bidirectional=True).fit(X, WORDS)
    model = small(BiRNNClassifier).fit(X, WORDS)

    assert_array_equal(model.predict_proba(X), expected.predict_proba(X))
    assert "bidirectional" not in model.get_params()


# Learning


def noise(n_rows=300, ragged=False):
    """Return noise whose first and last steps are 1 or -1."""
    rng = np.random.default_rng(0)
    lengths = rng.integers(4, 9, size=n_rows) if ragged else np.full(n_rows, 8)
    X = [rng.normal(size=length).astype(np.float32) for length in lengths]
    for row in X:
        row[[0, -1]] = rng.choice([-1.0, 1.0], size=2)
    return X if ragged else np.stack(X)


@pytest.mark.parametrize(
    ("cell_type", "ragged"), [("rnn", False), ("gru", True), ("lstm", True)]
)
def test_bidirectional_network_learns_from_the_first_and_the_last_step(
    cell_type, ragged
):
    X = noise(ragged=ragged)
    y = np.array([f"{row[0]:+.0f}{row[-1]:+.0f}" for row in X])
    model = BiRNNClassifier(16, cell_type=cell_type, max_epochs=30, random_state=0)
    model.fit(X[:200], y[:200])

    assert len(model.classes_) == 4
    assert model.score(X[200:], y[200:]) > 0.95


def test_each_label_of_an_indicator_matrix_is_learned():
    X = noise()
    y = np.stack([X[:, 0] > 0, X[:, -1] > 0, X[:, 0] < 0], axis=1)
    model = RNNClassifier(16, max_epochs=30, random_state=0).fit(X[:200], y[:200])

    assert model.score(X[200:], y[200:]) > 0.95
