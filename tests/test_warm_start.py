"""Training that continues, with `warm_start` or `partial_fit`."""

import numpy as np
import pytest
import torch
from estimators import (
    FROZEN,
    N_ROWS,
    TINY,
    WEIGHTS,
    X,
    assert_same_model,
    indicator,
    labels,
    make_case,
    outputs,
    over_cases,
    tiny,
    y,
)
from messages import raises

from skrnn import RNNClassifier, RNNRegressor

UNKNOWN_LABEL = (
    "y must contain only the labels in classes_, ['a', 'b']. Got ['c'] as well. Pass "
    "all labels as classes to the first call of partial_fit, or call fit again."
)

# Both


@pytest.mark.parametrize("method", ["fit", "partial_fit"])
def test_continued_training_keeps_the_scaling_of_the_first_fit(method):
    model = tiny(warm_start=True, **FROZEN).fit(X, y)
    before = model.predict(X)

    getattr(model, method)(100 + 7 * X, 1000 * y)

    np.testing.assert_array_equal(model.predict(X), before)
    steps = X.reshape(-1, 2)
    np.testing.assert_allclose(model.module_.input_mean, steps.mean(0), rtol=1e-12)
    np.testing.assert_allclose(model.module_.input_scale, steps.std(0), rtol=1e-12)
    error = model.predict(100 + 7 * X) - 1000 * y
    assert model.loss_curve_[-1] == pytest.approx(np.mean(error**2) / y.var())


@pytest.mark.parametrize(
    ("method", "change", "name", "now", "before"),
    [
        ("fit", {"hidden_size": (4, 3)}, "hidden_size", (4, 3), (4,)),
        ("partial_fit", {"num_layers": 2}, "hidden_size", (4, 4), (4,)),
        ("fit", {"cell_type": "gru"}, "cell_type", "gru", "rnn"),
        ("fit", {"nonlinearity": "relu"}, "nonlinearity", "relu", "tanh"),
        ("fit", {"bidirectional": True}, "bidirectional", True, False),
        ("fit", {"pooling": "mean"}, "pooling", "mean", "last"),
    ],
)
def test_training_cannot_continue_with_another_network(
    method, change, name, now, before
):
    model = tiny(warm_start=True).fit(X, y)

    message = (
        f"The '{name}' parameter must stay as it was while training continues with "
        f"warm_start or partial_fit. Got {now!r} after {before!r}. Set "
        "warm_start=False and call fit."
    )
    with raises(ValueError, message):
        getattr(model.set_params(**change), method)(X, y)


# warm_start


@over_cases("regressor", "float32", "bidirectional")
def test_two_warm_fits_equal_one_of_twice_the_epochs(case):
    params = dict(warm_start=True, lr_schedule=None)
    model, sequences, target = make_case(case, **params)
    expected, _, _ = make_case(case, **params, max_epochs=6)
    expected.fit(sequences, target)

    first_half = model.fit(sequences, target).loss_curve_
    model.fit(sequences, target)

    assert model.n_iter_ == 6
    assert model.loss_curve_[:3] == first_half
    tolerance = 1e-5 if case == "float32" else 1e-12
    np.testing.assert_allclose(model.loss_curve_, expected.loss_curve_, rtol=tolerance)
    np.testing.assert_allclose(
        outputs(model, sequences), outputs(expected, sequences), rtol=tolerance
    )


@pytest.mark.parametrize("optimizer", ["adam", "sgd", "lbfgs"])
def test_warm_start_keeps_the_state_of_the_optimizer(optimizer):
    params = dict(
        optimizer=optimizer,
        optimizer_params={"momentum": 0.9} if optimizer == "sgd" else None,
        lr=0.1,
        lr_schedule=None,
        batch_size=N_ROWS,
        warm_start=True,
    )
    expected = tiny(**params, max_epochs=6).fit(X, y)

    model = tiny(**params).fit(X, y).fit(X, y)

    np.testing.assert_allclose(model.loss_curve_, expected.loss_curve_, rtol=1e-12)


@pytest.mark.parametrize(
    ("optimizer", "params"),
    [("rmsprop", {"momentum": 0.9}), ("adam", {"amsgrad": True})],
)
def test_parameters_of_the_optimizer_may_change_in_a_warm_start(optimizer, params):
    model = tiny(optimizer=optimizer, warm_start=True).fit(X, y)

    model.set_params(optimizer_params=params).fit(X, y)

    assert model.n_iter_ == 6


def test_warm_start_repeats_the_schedule_of_the_learning_rate():
    model = tiny(warm_start=True).fit(X, y).fit(X, y)

    rates = model.history_["lr"].to_numpy()
    assert len(set(rates[:3])) == 3
    np.testing.assert_array_equal(rates[3:], rates[:3])


def test_warm_start_refuses_new_labels():
    known = labels != "c"
    model = tiny(RNNClassifier, warm_start=True).fit(X[known], labels[known])

    with raises(ValueError, UNKNOWN_LABEL):
        model.fit(X, labels)


def test_warm_start_keeps_classes_that_do_not_occur_again():
    known = labels != "c"
    model = tiny(RNNClassifier, warm_start=True).fit(X, labels)

    model.fit(X[known], labels[known])

    assert model.classes_.tolist() == ["a", "b", "c"]
    assert model.predict_proba(X).shape == (N_ROWS, 3)


def test_fit_without_warm_start_starts_anew():
    model = tiny().fit(100 + X, 1000 * y).partial_fit(X, y)

    assert_same_model(model.fit(X, y), tiny().fit(X, y))


def test_classifier_without_warm_start_takes_new_labels():
    model = tiny(RNNClassifier).fit(X, indicator).fit(X, labels)

    assert_same_model(model, tiny(RNNClassifier).fit(X, labels))


# partial_fit


@over_cases("regressor", "classifier", "multilabel")
def test_three_calls_of_partial_fit_equal_three_epochs_of_fit(case):
    model, sequences, target = make_case(case)
    expected, _, _ = make_case(case, lr_schedule=None)

    model.partial_fit(
        sequences, target, **({"classes": labels} if case == "classifier" else {})
    )
    for _ in range(2):
        model.partial_fit(sequences, target)

    assert_same_model(model, expected.fit(sequences, target), sequences)


def test_partial_fit_continues_a_fit():
    expected = RNNRegressor(**TINY | {"max_epochs": 4}, lr_schedule=None).fit(X, y)

    model = tiny(lr_schedule=None).fit(X, y).partial_fit(X, y)

    assert_same_model(model, expected)


def test_partial_fit_is_one_epoch_at_constant_lr_whatever_the_parameters():
    model = tiny(lr=0.02, early_stopping=True, patience=1, verbose=1)

    for n_epochs in (1, 2, 3):
        assert model.partial_fit(X, y).n_iter_ == n_epochs

    assert model.history_["lr"].tolist() == [0.02] * 3
    assert model.best_epoch_ is model.validation_loss_curve_ is None


def test_partial_fit_applies_weights():
    model = tiny().partial_fit(X, y, sample_weight=WEIGHTS)

    assert_same_model(model, tiny(max_epochs=1, lr_schedule=None).fit(X, y, WEIGHTS))


def test_partial_fit_takes_classes_that_occur_later():
    model = tiny(RNNClassifier)
    known = labels != "c"

    model.partial_fit(X[known], labels[known], classes=["c", "b", "a"])

    assert model.classes_.tolist() == ["a", "b", "c"]
    assert model.predict_proba(X).shape == (N_ROWS, 3)
    assert model.partial_fit(X, labels).n_iter_ == 2


def test_partial_fit_requires_classes_in_its_first_call():
    message = (
        "classes must be passed on the first call to partial_fit. Got None. Pass all "
        "labels that will ever occur."
    )
    with raises(ValueError, message):
        tiny(RNNClassifier).partial_fit(X, labels)


def test_partial_fit_refuses_other_classes_than_in_its_first_call():
    model = tiny(RNNClassifier).partial_fit(X, labels, classes=["a", "b", "c"])

    with pytest.raises(ValueError, match=r"classes"):
        model.partial_fit(X, labels, classes=["a", "b", "d"])


@pytest.mark.parametrize("call", ["first", "second"])
def test_partial_fit_refuses_labels_that_are_not_in_classes(call):
    model = tiny(RNNClassifier)
    known = labels != "c"
    if call == "second":
        model.partial_fit(X[known], labels[known], classes=["a", "b"])

    with raises(ValueError, UNKNOWN_LABEL):
        model.partial_fit(X, labels, classes=["a", "b"])


def test_partial_fit_refuses_to_balance_each_part_separately():
    message = (
        "The 'class_weight' parameter must not be 'balanced' for partial_fit, where "
        "each part would be balanced by itself. Pass a dict of weights."
    )
    with raises(ValueError, message):
        tiny(RNNClassifier, class_weight="balanced").partial_fit(
            X, labels, classes=["a", "b", "c"]
        )


def test_an_optimizer_given_as_a_class_continues_with_the_moments():
    options = dict(warm_start=True, lr_schedule=None)
    by_name, by_class = (tiny(**options).fit(X, y) for _ in range(2))
    by_class.set_params(optimizer=torch.optim.AdamW, weight_decay=0.1)

    by_name.fit(X, y)
    by_class.fit(X, y)

    assert_same_model(by_name, by_class)
