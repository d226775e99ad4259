import pickle

import numpy as np
import pandas as pd
import pytest
import torch
from messages import raises
from numpy.testing import assert_allclose, assert_array_equal
from scipy import special
from sklearn.exceptions import DataConversionWarning
from sklearn.metrics import log_loss, mean_absolute_error, mean_squared_error
from sklearn.preprocessing import LabelEncoder
from sklearn.utils.class_weight import compute_class_weight, compute_sample_weight

from skrnn import RNNRegressor
from skrnn._data.target_validation import check_weights
from skrnn._data.targets import (
    ClassTarget,
    MultilabelTarget,
    QuantileTarget,
    RegressionTarget,
    class_target,
)

N_ROWS = 20

# The loss of each output by its formula, with the error in units of its deviation.
LOSS_FORMULAS = {
    "squared_error": np.square,
    "absolute_error": np.abs,
    "huber": lambda error: special.huber(1.0, error),
}


def random(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape)


def indicator(n_rows=N_ROWS, n_labels=3, seed=0):
    return np.random.default_rng(seed).integers(0, 2, (n_rows, n_labels))


def fit_target(y, loss="squared_error", rows=None, weights=None):
    rows = np.arange(len(y)) if rows is None else rows
    return RegressionTarget(loss).fit(y, rows, weights)


def row_loss(target, output, encoded):
    return target.row_loss(torch.tensor(output), torch.tensor(encoded)).numpy()


# Real numbers: the loss


@pytest.mark.parametrize("loss", LOSS_FORMULAS)
def test_row_loss_is_the_mean_of_the_formula_over_outputs(loss):
    output, encoded = random(N_ROWS, 3), 2 * random(N_ROWS, 3, seed=1)
    target = RegressionTarget(loss)

    expected = LOSS_FORMULAS[loss](output - encoded).mean(axis=1)
    assert_allclose(row_loss(target, output, encoded), expected, rtol=1e-12)


@pytest.mark.parametrize(
    ("loss", "metric"),
    [("squared_error", mean_squared_error), ("absolute_error", mean_absolute_error)],
)
def test_mean_row_loss_is_the_metric_of_scikit_learn(loss, metric):
    output, encoded = random(N_ROWS, 3), random(N_ROWS, 3, seed=1)

    actual = row_loss(RegressionTarget(loss), output, encoded).mean()
    assert_allclose(actual, metric(encoded, output), rtol=1e-12)


def test_huber_changes_from_squared_to_absolute_at_one_deviation():
    y = np.array([-30.0, 30.0])  # a deviation of 30
    target = fit_target(y, loss="huber")
    errors = np.array([15.0, 30.0, 90.0])  # in units of y

    encoded = target.encode(y)[:1].repeat(3, axis=0)
    actual = row_loss(target, encoded + errors[:, None] / 30, encoded)
    assert_allclose(actual, [0.125, 0.5, 2.5])


def test_row_loss_keeps_the_precision_of_the_output():
    output = torch.zeros(4, 2, dtype=torch.float32)

    losses = RegressionTarget("huber").row_loss(output, output + 1)
    assert losses.dtype == torch.float32


# Real numbers: mean and scale


@pytest.mark.parametrize("shape", [(N_ROWS,), (N_ROWS, 1), (N_ROWS, 3)])
def test_encode_subtracts_the_mean_and_divides_by_the_deviation(shape):
    y = 5 * random(*shape) + 40

    expected = ((y - y.mean(axis=0)) / y.std(axis=0)).reshape(N_ROWS, -1)
    assert_allclose(fit_target(y).encode(y), expected, rtol=1e-10)


def test_mean_and_deviation_are_weighted():
    y, weights = random(N_ROWS, 2), np.random.default_rng(1).uniform(size=N_ROWS)

    mean = np.average(y, axis=0, weights=weights)
    deviation = np.sqrt(np.average((y - mean) ** 2, axis=0, weights=weights))
    actual = fit_target(y, weights=weights).encode(y)
    assert_allclose(actual, (y - mean) / deviation, rtol=1e-10)


def test_mean_and_deviation_are_those_of_the_given_rows():
    y, rows = random(N_ROWS), np.array([2, 3, 11, 12])

    expected = (y - y[rows].mean()) / y[rows].std()
    assert_allclose(fit_target(y, rows=rows).encode(y)[:, 0], expected, rtol=1e-10)


def test_weights_are_those_of_the_given_rows_in_order():
    y, rows = random(N_ROWS), np.array([2, 3, 11, 12])
    weights = np.array([1.0, 2.0, 1.0, 3.0])

    repeated = np.repeat(rows, weights.astype(int))
    actual = fit_target(y, rows=rows, weights=weights).encode(y)
    assert_allclose(actual, fit_target(y, rows=repeated).encode(y), rtol=1e-10)


def test_targets_of_zeros_and_ones_are_standardised_too():
    y = np.array([0.0, 1.0, 1.0, 1.0])

    encoded = fit_target(y).encode(y)
    assert_allclose(encoded[:, 0], (y - 0.75) / np.std(y))


def test_constant_y_is_encoded_as_zeros():
    for value in (0.0, -3.5, 1e300, 1e-300, 0.1):
        y = np.full(N_ROWS, value)
        assert_allclose(fit_target(y).encode(y), 0.0, atol=1e-15)


def test_constant_y_has_the_scale_one():
    for value in (0.0, -3.5, 1e300):
        target = fit_target(np.full(N_ROWS, value))
        assert_array_equal(target.decode(np.array([[0.5]])), [value + 0.5])


def test_a_constant_output_does_not_change_the_scale_of_others():
    y = np.stack([np.full(N_ROWS, 7.0), random(N_ROWS)], axis=1)

    expected = (y[:, 1] - y[:, 1].mean()) / y[:, 1].std()
    assert_allclose(fit_target(y).encode(y)[:, 1], expected, rtol=1e-10)


def test_encode_does_not_depend_on_the_unit_of_y():
    y = random(N_ROWS)
    expected = fit_target(y).encode(y)
    for unit in (1e300, 1e-300, 1e150):
        actual = fit_target(y * unit).encode(y * unit)
        assert_allclose(actual, expected, rtol=1e-10)


@pytest.mark.parametrize(
    ("shape", "unit"), [((N_ROWS,), 1e300), ((N_ROWS, 1), 1.0), ((N_ROWS, 3), 1e-300)]
)
def test_decode_inverts_encode(shape, unit):
    y = (random(*shape) + 3) * unit
    target = fit_target(y)

    decoded = target.decode(target.encode(y))
    assert decoded.shape == shape
    assert_allclose(decoded, y, rtol=1e-10)


def test_predictions_are_float64_unless_y_was_float32():
    for dtype in ("float64", "float32", "float16", "int64", "int8", "uint64", "bool"):
        y = (3 * random(N_ROWS)).round().clip(0).astype(dtype)
        target = fit_target(y)
        expected = "float32" if dtype == "float32" else "float64"
        assert target.encode(y).dtype == np.float64
        for precision in (np.float32, np.float64):  # of the network
            output = np.zeros((2, 1), dtype=precision)
            assert target.decode(output).dtype == expected


def test_predictions_have_the_precision_of_the_first_y():
    y = random(N_ROWS).astype(np.float32)
    target = fit_target(y)

    target.encode(y.astype(np.float64))
    assert target.decode(np.zeros((2, 1))).dtype == np.float32


def test_large_float32_targets_are_encoded_without_overflow():
    y = (random(N_ROWS) * 3e37).astype(np.float32)

    y_64 = y.astype(np.float64)
    expected = (y_64 - y_64.mean()) / y_64.std()
    assert_allclose(fit_target(y).encode(y)[:, 0], expected, rtol=1e-6)


@pytest.mark.parametrize(
    ("wrap", "shape"),
    [
        (list, (N_ROWS,)),
        (pd.Series, (N_ROWS,)),
        (pd.DataFrame, (N_ROWS, 1)),
        (lambda y: pd.DataFrame({"a": y, "b": y}), (N_ROWS, 2)),
        (lambda y: [[v, v] for v in y], (N_ROWS, 2)),
        (lambda y: y.astype(object), (N_ROWS,)),
        (lambda y: np.stack([y, y], axis=1)[:, ::-1], (N_ROWS, 2)),
    ],
    ids=["list", "Series", "one column", "frame", "nested", "object", "reversed"],
)
def test_y_may_come_in_any_container(wrap, shape):
    y = random(N_ROWS)
    target = fit_target(wrap(y))

    decoded = target.decode(target.encode(wrap(y)))
    assert decoded.shape == shape
    assert_allclose(decoded.reshape(N_ROWS, -1)[:, -1], y, rtol=1e-10)


@pytest.mark.parametrize(
    ("first", "then", "message"),
    [
        ((9,), (9, 2), "as many outputs as in the first fit, 1. Got shape (9, 2)"),
        ((9, 2), (9, 3), "as many outputs as in the first fit, 2. Got shape (9, 3)"),
        ((9, 2), (9,), "as many outputs as in the first fit, 2. Got shape (9,)"),
    ],
)
def test_y_with_another_number_of_outputs_is_rejected(first, then, message):
    target = fit_target(random(*first))

    message = (
        f"y must have {message}. Call fit without warm_start to change the targets."
    )
    with raises(ValueError, message):
        target.encode(random(*then))


@pytest.mark.parametrize(
    ("first", "then"), [((9,), (9, 1)), ((9, 1), (9,))], ids=["column", "no column"]
)
def test_one_column_may_come_with_or_without_its_axis(first, then):
    y = random(9)
    target = fit_target(y.reshape(first))

    assert_array_equal(target.encode(y.reshape(then)), target.encode(y.reshape(first)))
    assert target.decode(np.zeros((9, 1))).shape == first


# One of several classes


def test_two_classes_have_one_output_and_more_have_one_each():
    n_outputs = [ClassTarget(np.arange(n)).n_outputs for n in (2, 3, 7)]

    assert n_outputs == [1, 3, 7]


@pytest.mark.parametrize(
    "labels",
    [
        np.array(["b", "a", "c", "a"]),
        np.array(["b", "a", "c", "a"], dtype=object),
        np.array([10, -7, 300, -7]),
        np.array([True, False, True]),
        np.array([1.0, -2.0, 0.0, 1.0]),
    ],
    ids=lambda labels: str(labels.dtype),
)
def test_codes_are_those_of_label_encoder(labels):
    codes = class_target(labels, owner="RNNClassifier").encode(labels)

    assert_array_equal(codes, LabelEncoder().fit_transform(labels))
    assert codes.dtype == np.int64


@pytest.mark.parametrize("n_classes", [2, 4])
def test_decode_inverts_encode_of_labels(n_classes):
    labels = np.array(["w", "x", "y", "z"])[np.arange(N_ROWS) % n_classes]
    target = class_target(labels, owner="RNNClassifier")
    codes = target.encode(labels)

    certain = 9.0 * (2 * codes[:, None] - 1)  # the log-odds of the second class
    if n_classes > 2:
        certain = 9.0 * np.eye(n_classes)[codes]
    assert_array_equal(target.decode(certain), labels, strict=True)


@pytest.mark.parametrize("n_classes", [2, 4])
def test_row_loss_of_labels_is_minus_the_log_of_their_probability(n_classes):
    target = ClassTarget(np.arange(n_classes))
    output = 3 * random(N_ROWS, target.n_outputs)
    codes = np.arange(N_ROWS) % n_classes

    logits = output
    if n_classes == 2:
        logits = np.concatenate([np.zeros_like(output), output], axis=1)
    expected = -special.log_softmax(logits, axis=1)[np.arange(N_ROWS), codes]
    assert_allclose(row_loss(target, output, codes), expected, rtol=1e-10)


@pytest.mark.parametrize("n_classes", [2, 4])
def test_weighted_row_loss_of_labels_is_log_loss(n_classes):
    target = ClassTarget(np.arange(n_classes))
    output, codes = random(N_ROWS, target.n_outputs), np.arange(N_ROWS) % n_classes
    weights = np.random.default_rng(1).uniform(size=N_ROWS)

    actual = np.average(row_loss(target, output, codes), weights=weights)
    probabilities = target.probabilities(output)
    expected = log_loss(codes, probabilities, sample_weight=weights)
    assert_allclose(actual, expected, rtol=1e-10)


def test_probabilities_of_many_classes_are_the_softmax():
    output = 3 * random(N_ROWS, 4)

    actual = ClassTarget(np.arange(4)).probabilities(output)
    assert_allclose(actual, special.softmax(output, axis=1), rtol=1e-12)


def test_probabilities_of_two_classes_are_the_logistic_function_and_the_rest():
    output = 3 * random(N_ROWS, 1)

    expected = np.concatenate([special.expit(-output), special.expit(output)], axis=1)
    actual = ClassTarget(np.arange(2)).probabilities(output)
    assert_allclose(actual, expected, rtol=1e-12)


@pytest.mark.parametrize("n_classes", [2, 4])
def test_log_probabilities_are_the_logarithm_of_the_probabilities(n_classes):
    target = ClassTarget(np.arange(n_classes))
    output = 3 * random(N_ROWS, target.n_outputs)

    expected = np.log(target.probabilities(output))
    assert_allclose(target.log_probabilities(output), expected, rtol=1e-10, atol=1e-14)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_log_probabilities_of_two_classes_stay_finite(dtype):
    output = np.array([[1e4], [-1e4]], dtype=dtype)

    actual = ClassTarget(np.arange(2)).log_probabilities(output)
    assert_array_equal(actual, [[-1e4, 0.0], [0.0, -1e4]])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_log_probabilities_of_many_classes_stay_finite(dtype):
    output = np.array([[1e4, 0.0, -1e4]], dtype=dtype)

    actual = ClassTarget(np.arange(3)).log_probabilities(output)
    assert_array_equal(actual, [[0.0, -1e4, -2e4]])


@pytest.mark.parametrize("n_classes", [2, 4])
def test_loss_of_a_certain_mistake_stays_finite(n_classes):
    target = ClassTarget(np.arange(n_classes))
    output = np.full((1, target.n_outputs), -1e4)
    output[0, 0] = 1e4

    wrong = np.array([0 if n_classes == 2 else 1])
    assert_allclose(row_loss(target, output, wrong), 1e4 * min(target.n_outputs, 2))


@pytest.mark.parametrize("n_classes", [2, 4])
def test_decode_takes_the_most_probable_label(n_classes):
    target = ClassTarget(np.arange(n_classes) * 10)
    output = random(N_ROWS, target.n_outputs)

    expected = 10 * target.probabilities(output).argmax(axis=1)
    assert_array_equal(target.decode(output), expected)


def test_a_tie_of_two_classes_is_the_first_as_in_scikit_learn():
    assert_array_equal(ClassTarget(np.array(["a", "b"])).decode(np.zeros((1, 1))), "a")


@pytest.mark.parametrize(
    ("known", "came", "message"),
    [
        (
            ["a", "b"],
            ["a", "c", "d"],
            "y must contain only the labels in classes_, ['a', 'b']. Got ['c', 'd'] as "
            "well.",
        ),
        (
            [-1, 3],
            [3, 4],
            "y must contain only the labels in classes_, [-1, 3]. Got [4] as well.",
        ),
    ],
)
def test_unknown_labels_are_rejected_by_name(known, came, message):
    remedy = (
        " Pass all labels as classes to the first call of partial_fit, or call fit "
        "again."
    )
    with raises(ValueError, message + remedy):
        ClassTarget(np.array(known)).encode(np.array(came))


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("wrong", [np.nan, np.inf])
def test_numeric_labels_must_be_finite(dtype, wrong):
    found = "NaN" if np.isnan(wrong) else "infinity or a value too large for"
    y = np.array([0, 1, wrong], dtype=dtype)
    with pytest.raises(ValueError, match=f"^Input y_val contains {found}"):
        ClassTarget(np.array([0.0, 1.0])).encode(y, name="y_val")


def test_several_labels_of_more_than_two_classes_are_rejected():
    message = (
        "Unknown label type: multiclass-multioutput. y must hold one label for each "
        "sequence, or zeros and ones for each of several labels. Set "
        "return_sequences=True for one label per time step, or use "
        "MultiOutputClassifier for several multi-class targets."
    )
    with raises(ValueError, message):
        class_target(np.array([[0, 1], [2, 0], [1, 1]]), owner="RNNClassifier")


def test_numbers_that_are_no_labels_are_rejected():
    with pytest.raises(ValueError, match=r"^Unknown label type: continuous"):
        class_target(np.array([0.5, 1.5, 0.5]), owner="RNNClassifier")


def test_a_column_of_labels_warns_and_is_read_as_labels():
    target = class_target(LABELS, owner="RNNClassifier")
    with pytest.warns(DataConversionWarning, match="A column-vector y was passed"):
        codes = target.encode(LABELS[:, None])
    assert_array_equal(codes, target.encode(LABELS))


def test_an_indicator_must_be_finite():
    with raises(ValueError, MISSING):
        MultilabelTarget(2).encode(np.array([[0, np.nan], [1, 1]]), name="y_val")


def test_an_indicator_matrix_is_rejected_after_labels():
    message = (
        "y must hold one label for each sequence, as in the first fit. Got shape "
        "(20, 3). Call fit without warm_start to change the targets."
    )
    with raises(ValueError, message):
        ClassTarget(np.arange(2)).encode(indicator())


def test_one_class_is_rejected():
    message = (
        "y must contain at least two classes for RNNClassifier. Got one class: "
        "['only']."
    )
    with raises(ValueError, message):
        class_target(np.array(["only"] * 4), owner="RNNClassifier")


def test_given_classes_are_sorted_and_made_unique():
    target = class_target(np.array(["b"]), ["c", "a", "b", "a"], owner="RNNClassifier")

    assert_array_equal(target.classes, ["a", "b", "c"])


# The weights of classes

LABELS = np.array(["few"] * 3 + ["many"] * 11 + ["some"] * 6)
LABEL_WEIGHTS = {"few": 5.0, "some": 0.5}


@pytest.mark.parametrize("class_weight", ["balanced", LABEL_WEIGHTS, {}])
def test_row_weights_are_those_of_scikit_learn(class_weight):
    target = class_target(LABELS, owner="RNNClassifier")

    actual = target.row_weights(target.encode(LABELS), class_weight, None)
    assert_allclose(actual, compute_sample_weight(class_weight, LABELS), rtol=1e-12)


def test_class_weights_multiply_sample_weights():
    target = class_target(LABELS, owner="RNNClassifier")
    weights = np.random.default_rng(1).uniform(size=N_ROWS)

    actual = target.row_weights(target.encode(LABELS), LABEL_WEIGHTS, weights)
    expected = weights * compute_sample_weight(LABEL_WEIGHTS, LABELS)
    assert_allclose(actual, expected, rtol=1e-12)


def test_balanced_classes_have_equal_total_weights():
    target = class_target(LABELS, owner="RNNClassifier")
    weights = np.random.default_rng(1).uniform(size=N_ROWS)
    codes = target.encode(LABELS)

    balanced = target.row_weights(codes, "balanced", weights)
    assert_allclose(np.bincount(codes, balanced), weights.sum() / 3, rtol=1e-12)


def test_balanced_counts_only_rows_with_weight():
    target = class_target(LABELS, owner="RNNClassifier")
    codes, weights = target.encode(LABELS), np.ones(N_ROWS)
    weights[4] = 0

    kept = np.delete(np.arange(N_ROWS), 4)
    actual = target.row_weights(codes, "balanced", weights)
    expected = compute_sample_weight("balanced", LABELS[kept])
    assert_allclose(actual[kept], expected, rtol=1e-12)


def test_balanced_ignores_a_class_without_rows():
    target = ClassTarget(np.array(["absent", "few", "many", "some"]))

    actual = target.row_weights(target.encode(LABELS), "balanced", None)
    assert_allclose(actual, compute_sample_weight("balanced", LABELS), rtol=1e-12)


def test_balanced_ignores_a_last_class_without_rows():
    target = ClassTarget(np.array(["few", "many", "some", "zero"]))

    actual = target.row_weights(target.encode(LABELS), "balanced", None)
    assert_allclose(actual, compute_sample_weight("balanced", LABELS), rtol=1e-12)


@pytest.mark.parametrize(
    ("class_weight", "message"),
    [
        (
            [0.5, 1.0, 2.0],
            "The 'class_weight' parameter must be None, 'balanced', a dict from labels "
            "to weights, or, for an indicator matrix, a list of such dicts. Got "
            "[0.5, 1.0, 2.0].",
        ),
        (
            {"few": 2.0, "none": 1.0},
            "The 'class_weight' parameter must name labels of y, ['few', 'many', "
            "'some']. Got ['none'] as well.",
        ),
        *(
            (
                given,
                "The 'class_weight' parameter must hold finite weights that are not "
                f"negative, and not zero for all classes. Got {given!r}.",
            )
            for given in (
                {"few": np.inf},
                {"few": -1.0},
                {"few": 0.0, "many": 0.0, "some": 0.0},
            )
        ),
    ],
    ids=["list", "unknown", "infinite", "negative", "zeros"],
)
def test_invalid_class_weights_are_rejected(class_weight, message):
    target = class_target(LABELS, owner="RNNClassifier")

    with raises(ValueError, message):
        target.row_weights(target.encode(LABELS), class_weight, None)


def test_balanced_gives_other_rows_of_a_class_without_rows_no_weight():
    target = ClassTarget(np.array(["few", "many", "some", "zero"]))
    target.row_weights(target.encode(LABELS), "balanced", None)

    few, zero = target.class_weights(np.array([0, 3]))
    assert few == pytest.approx(N_ROWS / (3 * 3))
    assert zero == 0


def test_a_class_may_have_no_weight():
    target = class_target(LABELS, owner="RNNClassifier")

    actual = target.row_weights(target.encode(LABELS), {"few": 0.0}, None)
    assert_array_equal(actual, (LABELS != "few").astype(float))


def test_without_class_weight_rows_have_no_weights():
    target = class_target(LABELS, owner="RNNClassifier")

    assert target.row_weights(target.encode(LABELS), None, None) is None


def test_class_weights_of_other_rows_are_those_learned():
    target = class_target(LABELS, owner="RNNClassifier")
    target.row_weights(target.encode(LABELS), LABEL_WEIGHTS, None)

    assert_array_equal(target.class_weights(np.array([2, 0, 1])), [0.5, 5.0, 1.0])


def test_other_rows_have_no_weights_without_class_weight():
    target = class_target(LABELS, owner="RNNClassifier")
    target.row_weights(target.encode(LABELS), LABEL_WEIGHTS, None)
    target.row_weights(target.encode(LABELS), None, None)

    assert target.class_weights(np.array([2, 0, 1])) is None


def test_other_rows_have_no_weights_if_all_would_be_zero():
    target = class_target(LABELS, owner="RNNClassifier")
    target.row_weights(target.encode(LABELS), {"few": 0.0}, None)

    assert target.class_weights(np.array([0, 0])) is None
    assert_array_equal(target.class_weights(np.array([0, 1])), [0.0, 1.0])


# Several labels


def test_row_loss_of_an_indicator_is_the_mean_cross_entropy_of_its_labels():
    encoded, output = indicator().astype(float), 3 * random(N_ROWS, 3)

    p = special.expit(output)
    expected = -(encoded * np.log(p) + (1 - encoded) * np.log(1 - p)).mean(axis=1)
    actual = row_loss(MultilabelTarget(3), output, encoded)
    assert_allclose(actual, expected, rtol=1e-10)


def test_mean_row_loss_of_an_indicator_is_the_mean_log_loss_of_its_columns():
    target, encoded = MultilabelTarget(3), indicator().astype(float)
    output = random(N_ROWS, 3)

    columns = zip(encoded.T, target.probabilities(output).T, strict=True)
    expected = np.mean([log_loss(y, p) for y, p in columns])
    assert_allclose(row_loss(target, output, encoded).mean(), expected, rtol=1e-10)


def test_probability_of_a_label_is_the_logistic_function():
    output = random(N_ROWS, 3)

    actual = MultilabelTarget(3).probabilities(output)
    assert_allclose(actual, special.expit(output), rtol=1e-12)


def test_log_probability_of_a_label_stays_finite():
    actual = MultilabelTarget(2).log_probabilities(np.array([[-1e4, 1e4]]))

    assert_array_equal(actual, [[-1e4, 0.0]])


def test_decode_of_an_indicator_returns_labels_above_a_half():
    target, output = MultilabelTarget(3), random(N_ROWS, 3)

    decoded = target.decode(output)
    assert_array_equal(decoded, target.probabilities(output) > 0.5)
    assert decoded.dtype == np.int64


def test_an_indicator_may_have_any_dtype():
    for dtype in (int, float, bool, np.int8):
        y = indicator().astype(dtype)
        encoded = class_target(y, owner="RNNClassifier").encode(y)
        assert_array_equal(encoded, indicator().astype(np.float64), strict=True)


def test_balanced_label_weights_are_those_of_scikit_learn():
    target, y = MultilabelTarget(3), indicator()

    rows = target.row_weights(target.encode(y), "balanced", None)
    both = np.array([0, 1])
    expected = [compute_class_weight("balanced", classes=both, y=c) for c in y.T]
    assert rows is None
    assert_allclose(target.label_weights, expected, rtol=1e-12)


def test_balanced_label_weights_treat_sample_weights_as_repeated_rows():
    y, times = indicator(), np.arange(N_ROWS) % 3
    weighted, repeated = MultilabelTarget(3), MultilabelTarget(3)

    weighted.row_weights(weighted.encode(y), "balanced", times.astype(float))
    repeated.row_weights(repeated.encode(y.repeat(times, axis=0)), "balanced", None)
    assert_allclose(weighted.label_weights, repeated.label_weights, rtol=1e-12)


def test_label_weights_multiply_the_cross_entropy_of_absence_and_presence():
    target, y, output = MultilabelTarget(2), indicator(n_labels=2), random(N_ROWS, 2)
    target.row_weights(y, [{0: 0.5, 1: 4.0}, {1: 3.0}], None)

    p = special.expit(output)
    present, absent = np.array([4.0, 3.0]), np.array([0.5, 1.0])
    expected = -(present * y * np.log(p) + absent * (1 - y) * np.log(1 - p))
    actual = row_loss(target, output, y.astype(float))
    assert_allclose(actual, expected.mean(axis=1), rtol=1e-10)


def test_balanced_gives_no_weight_to_what_a_label_never_is():
    target, y = MultilabelTarget(2), np.array([[0, 1], [0, 0], [0, 1], [0, 1]])
    target.row_weights(y, "balanced", None)

    # Absent and present: 4 and 0 rows of the first label, 1 and 3 of the second.
    expected = [[4 / (2 * 4), 0.0], [4 / (2 * 1), 4 / (2 * 3)]]
    assert_allclose(target.label_weights, expected)


def test_label_weights_are_forgotten_without_class_weight():
    target, y = MultilabelTarget(3), indicator()
    target.row_weights(y, "balanced", None)
    target.row_weights(y, None, None)

    assert_array_equal(target.label_weights, np.ones((3, 2)))


@pytest.mark.parametrize(
    "class_weight", [{0: 1.0, 1: 2.0}, {0: 1.0, 1: 2.0, 2: 1.0}, [{1: 2.0}]], ids=str
)
def test_weights_of_labels_are_a_list_of_dicts(class_weight):
    message = (
        "The 'class_weight' parameter must be None, 'balanced' or a list of 3 dicts, "
        f"one for each label, when y is an indicator matrix. Got {class_weight!r}."
    )
    with raises(ValueError, message):
        MultilabelTarget(3).row_weights(indicator(), class_weight, None)


MISSING = (
    "Input y_val contains NaN. Leave rows without a label out, or give them a label of "
    "their own."
)


@pytest.mark.parametrize(
    "wrap", [np.array, pd.DataFrame, np.ndarray.tolist], ids=["array", "frame", "list"]
)
@pytest.mark.parametrize("missing", [None, np.nan, pd.NA], ids=str)
def test_a_missing_value_in_an_indicator_is_refused(wrap, missing):
    y = indicator().astype(object)
    y[2, 1] = missing
    with raises(ValueError, MISSING):
        MultilabelTarget(3).encode(wrap(y), name="y_val")


@pytest.mark.parametrize(
    "wrap", [np.array, pd.Series, list, tuple], ids=["array", "series", "list", "tuple"]
)
@pytest.mark.parametrize("missing", [None, np.nan, pd.NA], ids=str)
def test_a_missing_label_is_refused(wrap, missing):
    y = LABELS.astype(object)
    y[2] = missing
    target = class_target(LABELS, owner="RNNClassifier")
    with raises(ValueError, MISSING):
        target.encode(wrap(y), name="y_val")


def test_a_label_as_probable_as_not_is_absent():
    assert_array_equal(MultilabelTarget(2).decode(np.array([[0.0, 1e-9]])), [[0, 1]])


def test_an_indicator_with_another_number_of_labels_is_rejected():
    message = (
        "y must be an indicator matrix of shape (n_samples, 2), as in the first fit. "
        "Got shape (20, 3). Call fit without warm_start to change the targets."
    )
    with raises(ValueError, message):
        MultilabelTarget(2).encode(indicator())


def test_labels_are_rejected_after_an_indicator_matrix():
    message = (
        "y must be an indicator matrix of shape (n_samples, 2), as in the first fit. "
        "Got shape (3,). Call fit without warm_start to change the targets."
    )
    with raises(ValueError, message):
        MultilabelTarget(2).encode(np.array([0, 1, 0]))


# Constant outputs, which training is compared with


def test_a_constant_of_real_numbers_is_their_mean():
    y, weights = random(N_ROWS, 2), np.arange(1.0, N_ROWS + 1)
    target = fit_target(y, weights=weights)

    constant = target.constant_output(target.encode(y), weights)
    assert_allclose(target.decode(constant[None])[0], np.average(y, 0, weights))


def test_a_constant_of_quantiles_halves_the_weight_at_each_step():
    # Four rows of equal weight: the middles of their shares are 1/8, 3/8, 5/8 and 7/8.
    target = QuantileTarget([0.125, 0.75])
    y = np.array([40.0, 10.0, 20.0, 30.0])
    target.fit(y, np.arange(4), None)

    constant = target.constant_output(target.encode(y), np.ones(4))
    # 0.75 is between 5/8 and 7/8, so between 30 and 40; the median between 20 and 30.
    assert_allclose(target.decode_quantiles(constant[None]), [[10.0, 35.0]])
    assert_allclose(target.decode(constant[None]), [25.0])


def test_a_constant_of_quantiles_counts_a_weight_as_repeated_rows():
    y, times = np.array([3.0, 1.0, 2.0]), np.array([4, 2, 2])
    target = QuantileTarget([0.5]).fit(y, np.arange(3), times)
    encoded = target.encode(y)

    weighted = target.constant_output(encoded, times.astype(float))
    doubled = target.constant_output(encoded, 2.0 * times)
    # Middles of the shares, in order of y: 1/8, 3/8, 6/8.
    assert_allclose(target.decode(weighted[None]), [2 + 1 / 3])
    assert_allclose(doubled, weighted)


@pytest.mark.parametrize("classes", [["few", "many"], ["few", "many", "some"]])
def test_a_constant_of_labels_has_the_shares_of_the_classes(classes):
    labels = LABELS[np.isin(LABELS, classes)]
    target = ClassTarget(np.array(classes))
    weights = np.arange(1.0, len(labels) + 1)
    codes = target.encode(labels)

    constant = target.constant_output(codes, weights)
    shares = [weights[labels == name].sum() / weights.sum() for name in classes]
    assert constant.shape == (target.n_outputs,)
    assert_allclose(target.probabilities(constant[None]), [shares])


@pytest.mark.parametrize("n_classes", [2, 3])
def test_a_constant_of_labels_is_finite_without_rows_of_a_class(n_classes):
    target = ClassTarget(np.arange(n_classes))

    constant = target.constant_output(np.zeros(4, dtype=int), np.ones(4))
    assert np.isfinite(constant).all()
    assert_allclose(target.probabilities(constant[None])[0, 0], 1.0)


def test_a_constant_of_several_labels_has_their_weighted_shares():
    target, y = MultilabelTarget(2), indicator(n_labels=2)
    weights = np.arange(1.0, N_ROWS + 1)
    target.row_weights(y, [{0: 0.5, 1: 4.0}, {1: 3.0}], None)

    constant = target.constant_output(target.encode(y), weights)
    ones = [4.0, 3.0] * (weights @ y)
    zeros = [0.5, 1.0] * (weights @ (1 - y))
    assert_allclose(target.probabilities(constant[None])[0], ones / (ones + zeros))


def test_a_constant_of_several_labels_is_finite_if_they_are_always_alike():
    target = MultilabelTarget(2)

    constant = target.constant_output(np.tile([0.0, 1.0], (4, 1)), np.ones(4))
    assert np.isfinite(constant).all()
    assert_allclose(target.probabilities(constant[None])[0], [0.0, 1.0], atol=1e-12)


# Ensembles


def outputs_of_members(n_outputs, n_members=3):
    return torch.tensor(2 * random(n_members, N_ROWS, n_outputs))


def test_an_ensemble_of_real_numbers_predicts_the_mean():
    target, outputs = fit_target(random(N_ROWS, 2)), outputs_of_members(2)

    each = [target.decode(output.numpy()) for output in outputs]
    combined = target.combine(outputs).numpy()
    assert_allclose(target.decode(combined), np.mean(each, axis=0), rtol=1e-12)


def test_an_ensemble_of_quantiles_predicts_the_mean_of_each_quantile():
    target = QuantileTarget([0.1, 0.9]).fit(random(N_ROWS, 2), np.arange(N_ROWS), None)
    outputs = outputs_of_members(target.n_outputs)

    each = [target.decode_quantiles(output.numpy()) for output in outputs]
    combined = target.combine(outputs).numpy()
    expected = np.mean(each, axis=0)
    assert_allclose(target.decode_quantiles(combined), expected, rtol=1e-12)


@pytest.mark.parametrize("n_classes", [2, 4])
def test_an_ensemble_of_classifiers_has_the_mean_of_their_probabilities(n_classes):
    target = ClassTarget(np.arange(n_classes))
    outputs = outputs_of_members(target.n_outputs)

    each = [target.probabilities(output) for output in outputs]
    combined = target.probabilities(target.combine(outputs))
    assert_allclose(combined, np.mean(each, axis=0), rtol=1e-12)


def test_an_ensemble_of_several_labels_has_the_mean_of_their_probabilities():
    target, outputs = MultilabelTarget(3), outputs_of_members(3)

    each = [target.probabilities(output) for output in outputs]
    combined = target.probabilities(target.combine(outputs))
    assert_allclose(combined, np.mean(each, axis=0), rtol=1e-12)


@pytest.mark.parametrize(
    "target", [ClassTarget(np.arange(2)), MultilabelTarget(1)], ids=["class", "label"]
)
def test_an_ensemble_of_certain_members_stays_finite(target):
    combined = target.combine(torch.tensor([[[800.0]], [[-800.0]]]))

    assert_allclose(target.probabilities(combined).ravel()[-1], 0.5)


# Numbers that cannot be targets

TOO_LARGE = {"float64": 1e308, "float32": 3e38}


@pytest.mark.parametrize(
    ("y", "message"),
    [
        (
            np.array(["1", "many"]),
            "y_val must contain numbers only (could not convert string to float: "
            "'many'). For labels, use RNNClassifier or BiRNNClassifier.",
        ),
        (
            np.zeros((2, 3, 1)),
            "y_val must have shape (n_samples,) or (n_samples, n_outputs). Got shape "
            "(2, 3, 1).",
        ),
        (np.array([1.0, np.nan]), "Input y_val contains NaN."),
        *(
            (
                np.array([0, -value], dtype=dtype),
                f"Input y_val contains infinity or a value too large for "
                f"dtype('{dtype}'). Remove it, or scale the data.",
            )
            for dtype, value in TOO_LARGE.items()
        ),
    ],
    ids=["text", "3-D", "NaN", *TOO_LARGE],
)
def test_targets_that_are_no_finite_numbers_are_rejected(y, message):
    with raises(ValueError, message):
        fit_target(np.zeros(2)).encode(y, name="y_val")


def test_the_largest_targets_with_room_for_their_mean_are_accepted():
    y = np.array([0.9, -0.9]) * np.finfo(np.float64).max / 4
    target = fit_target(y)

    assert_allclose(target.encode(y), [[1.0], [-1.0]])


def test_encoded_targets_of_float32_are_float64():
    y = random(N_ROWS).astype(np.float32)

    assert fit_target(y).encode(y).dtype == np.float64


# The weights of rows


def test_weights_are_converted_to_float64():
    for given in ([1, 2, 3], (1.0, 2.0, 3.0), pd.Series([1, 2, 3])):
        weights = check_weights(given, 3)
        assert_array_equal(weights, np.array([1.0, 2.0, 3.0]), strict=True)


def test_a_scalar_weight_is_that_of_every_row():
    assert_array_equal(check_weights(2, 3), np.array([2.0, 2.0, 2.0]), strict=True)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (
            [1, 2],
            "sample_weight must have shape (3,), one weight for each sequence. Got "
            "shape (2,).",
        ),
        (
            [[1], [2], [3]],
            "sample_weight must have shape (3,), one weight for each sequence. Got "
            "shape (3, 1).",
        ),
        (
            [1, -2.5, 3],
            "sample_weight must not be negative. Got -2.5 for row 1. Use 0 to leave a "
            "row out.",
        ),
        (
            [0, 0, 0],
            "sample_weight must have a weight above zero for at least one row. Got "
            "zero for all 3.",
        ),
        ([1, np.nan, 1], "Input sample_weight contains NaN."),
        (
            [1, np.inf, 1],
            "Input sample_weight contains infinity or a value too large for "
            "dtype('float64').",
        ),
    ],
)
def test_invalid_weights_are_rejected(given, message):
    with raises(ValueError, message):
        check_weights(given, 3)


@pytest.mark.parametrize("peak", [1e-308, 1e-301, 1e301, 1.7e308])
def test_extreme_weights_are_divided_by_the_largest(peak):
    weights = check_weights([peak, peak / 4, 0.0], 3)
    assert_allclose(weights, [1.0, 0.25, 0.0], rtol=1e-12)


@pytest.mark.parametrize("peak", [1e-299, 0.5, 3.0, 1e299])
def test_ordinary_weights_stay_as_they_are(peak):
    assert_array_equal(check_weights([peak, peak / 4], 2), [peak, peak / 4])


# Plain data


def test_a_target_holds_no_objects_of_torch():
    targets = [
        fit_target(random(N_ROWS, 2)),
        class_target(LABELS, owner="RNNClassifier"),
        MultilabelTarget(3),
    ]
    assert b"torch" not in pickle.dumps(targets)


@pytest.mark.filterwarnings("ignore:window_norm='standard' expects y to continue")
def test_targets_that_are_no_continuation_of_a_flat_window_are_refused():
    X, y = np.zeros((20, 5)), np.full(20, 1e307)
    X[:, 0] = 1e-9
    message = (
        "y must be in the units of the target feature with window_norm. Got a y for "
        "row 0 that is too large for the deviation of its window. Set window_norm=None."
    )
    with raises(ValueError, message):
        RNNRegressor(window_norm="standard", max_epochs=1).fit(X, y)
