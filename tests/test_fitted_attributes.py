import numpy as np
import pytest
from estimators import (
    RAGGED,
    TINY,
    X,
    assert_same_model,
    cases,
    make_case,
    whole,
    y,
)
from sklearn.exceptions import NotFittedError

from skrnn import (
    RNNRegressor,
)

FITTED = [
    "net_",
    "module_",
    "n_iter_",
    "loss_curve_",
    "validation_loss_curve_",
    "best_epoch_",
    "history_",
    "n_outputs_",
    "device_",
]


# What is known after fit


@pytest.mark.parametrize("early_stopping", [False, True])
@cases
def test_fit_sets_every_attribute(case, early_stopping):
    model, sequences, target = make_case(case, early_stopping=early_stopping)

    model.fit(sequences, target)

    assert all(hasattr(model, name) for name in FITTED)
    n_epochs = model.n_iter_
    assert len(model.loss_curve_) == len(model.history_) == n_epochs == 3
    if early_stopping:
        assert len(model.validation_loss_curve_) == n_epochs
        assert 1 <= model.best_epoch_ <= n_epochs
    else:
        assert model.validation_loss_curve_ is model.best_epoch_ is None
    assert model.module_ is model.net_.module_
    assert model.n_outputs_ == model.module_.head.out_features
    assert model.device_ == "cpu"


@cases
def test_partial_fit_sets_every_attribute(case):
    model, sequences, target = make_case(case, early_stopping=True)
    classes = {}
    if np.ndim(target) == 1 and not isinstance(model, RNNRegressor):
        classes = {"classes": np.unique(target)}

    model.partial_fit(sequences, target, **classes)

    assert all(hasattr(model, name) for name in FITTED)
    assert len(model.loss_curve_) == len(model.history_) == model.n_iter_ == 1
    assert model.validation_loss_curve_ is model.best_epoch_ is None


@pytest.mark.parametrize(
    ("case", "n_outputs"),
    [
        ("regressor", 1),
        ("two outputs", 2),
        ("classifier", 3),
        ("two classes", 1),
        ("multilabel", 3),
    ],
)
def test_outputs_are_counted(case, n_outputs):
    model, sequences, target = make_case(case)

    assert model.fit(sequences, target).n_outputs_ == n_outputs


@cases
def test_nothing_is_known_before_fit(case):
    model, _, _ = make_case(case)

    assert not any(hasattr(model, name) for name in [*FITTED, "classes_"])


@pytest.mark.parametrize("name", ["module_", "history_"])
def test_asking_too_early_says_to_fit_first(name):
    message = (
        "This RNNRegressor instance is not fitted yet. Call 'fit' with appropriate "
        "arguments before using this estimator."
    )
    with pytest.raises(NotFittedError, match=whole(message)):
        getattr(RNNRegressor(), name)


def test_validation_loss_of_epochs_without_validation_is_nan():
    model = RNNRegressor(**TINY, early_stopping=True).fit(X, y).partial_fit(X, y)

    assert model.n_iter_ == len(model.validation_loss_curve_) == 4
    assert np.isnan(model.validation_loss_curve_).tolist() == [False] * 3 + [True]


def test_history_has_a_row_an_epoch_of_plain_numbers():
    model = RNNRegressor(**TINY).fit(X, y, X_val=X, y_val=y)

    history = model.history_
    expected = {"epoch", "lr"} | {
        f"{part}_{what}"
        for part in ("train", "valid")
        for what in ("loss", "loss_best", "batch_count", "seconds")
    }
    assert set(history.columns) == expected
    assert history["epoch"].tolist() == [1, 2, 3]
    assert history["train_loss"].tolist() == model.loss_curve_
    assert history["valid_loss"].tolist() == model.validation_loss_curve_
    assert history["train_batch_count"].tolist() == [3, 3, 3]
    assert all(dtype.kind in "ifb" for dtype in history.dtypes)


def test_history_is_a_fresh_frame_each_time():
    model = RNNRegressor(**TINY).fit(X, y)
    frame = model.history_
    frame["train_loss"] = 0.0

    assert model.history_["train_loss"].tolist() == model.loss_curve_


def test_parameters_set_before_another_fit_count():
    model = RNNRegressor(**TINY).fit(X, y)
    change = {"hidden_size": (3, 5), "cell_type": "gru", "bidirectional": True}

    model.set_params(**change).fit(RAGGED, y)

    expected = RNNRegressor(**TINY | change).fit(RAGGED, y)
    assert_same_model(model, expected, RAGGED)
