import numpy as np
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
    whole,
    y,
)

from skrnn import (
    RNNClassifier,
    RNNRegressor,
)


@cases
def test_partial_fit_k_times_equals_k_epochs_of_fit(case):
    model, sequences, target = make_case(case)
    at_once, _, _ = make_case(case, lr_schedule=None)
    first = {} if np.ndim(target) == 2 else {"classes": np.unique(target)}
    if isinstance(model, RNNRegressor):
        first = {}

    for i in range(3):
        model.partial_fit(sequences, target, **(first if i == 0 else {}))

    assert_same_model(model, at_once.fit(sequences, target), sequences)


def test_partial_fit_goes_on_after_fit():
    whole_fit = RNNRegressor(**TINY | {"max_epochs": 4}, lr_schedule=None).fit(X, y)

    model = RNNRegressor(**TINY, lr_schedule=None).fit(X, y).partial_fit(X, y)

    assert_same_model(model, whole_fit)


def test_partial_fit_is_one_epoch_at_constant_lr_whatever_the_parameters():
    model = RNNRegressor(**TINY, lr=0.02, early_stopping=True, patience=1, verbose=1)

    for n_epochs in (1, 2, 3):
        assert model.partial_fit(X, y).n_iter_ == n_epochs

    assert model.history_["lr"].tolist() == [0.02] * 3
    assert model.best_epoch_ is model.validation_loss_curve_ is None


def test_partial_fit_takes_weights():
    weighted = RNNRegressor(**TINY).partial_fit(X, y, sample_weight=WEIGHTS)

    expected = RNNRegressor(**TINY | {"max_epochs": 1}, lr_schedule=None)
    assert_same_model(weighted, expected.fit(X, y, WEIGHTS))


def test_partial_fit_freezes_the_scaling_of_the_first_call():
    model = RNNRegressor(**TINY | STILL).partial_fit(X, y)
    before = model.predict(X)

    model.partial_fit(100 + 7 * X, 1000 * y)

    np.testing.assert_array_equal(model.predict(X), before)
    steps = X.reshape(-1, 2)
    np.testing.assert_allclose(model.module_.input_mean, steps.mean(0), rtol=1e-12)
    np.testing.assert_allclose(model.module_.input_scale, steps.std(0), rtol=1e-12)


def test_partial_fit_knows_classes_that_have_not_come_yet():
    model = RNNClassifier(**TINY)
    only_two = np.flatnonzero(labels != "c")

    model.partial_fit(X[only_two], labels[only_two], classes=["c", "b", "a"])

    assert model.classes_.tolist() == ["a", "b", "c"]
    assert model.predict_proba(X).shape == (N_ROWS, 3)
    model.partial_fit(X, labels)
    assert model.n_iter_ == 2


def test_partial_fit_asks_for_classes_first():
    message = (
        "classes must be passed on the first call to partial_fit. Got None. Pass all "
        "labels that will ever occur."
    )
    with pytest.raises(ValueError, match=whole(message)):
        RNNClassifier(**TINY).partial_fit(X, labels)


def test_partial_fit_needs_no_classes_for_an_indicator_matrix():
    model = RNNClassifier(**TINY).partial_fit(X, indicator).partial_fit(X, indicator)

    assert model.n_iter_ == 2
    assert model.predict(X).shape == indicator.shape


@pytest.mark.parametrize("call", ["first", "second"])
def test_partial_fit_refuses_unknown_labels(call):
    model = RNNClassifier(**TINY)
    known = labels != "c"
    if call == "second":
        model.partial_fit(X[known], labels[known], classes=["a", "b"])

    message = (
        "y must contain only the labels in classes_, ['a', 'b']. Got ['c'] as well. "
        "Pass all labels as classes to the first call of partial_fit, or fit anew."
    )
    with pytest.raises(ValueError, match=whole(message)):
        model.partial_fit(X, labels, classes=["a", "b"])
