"""The attributes that fit sets."""

import numpy as np
import pytest
from estimators import (
    RAGGED,
    TINY,
    RecordBatches,
    X,
    assert_same_model,
    make_case,
    over_cases,
    recorded,
    tiny,
    y,
)
from messages import raises
from sklearn.exceptions import NotFittedError

from skrnn import RNNRegressor


@pytest.mark.parametrize("early_stopping", [False, True])
def test_losses_have_one_entry_per_epoch(early_stopping):
    model = tiny(early_stopping=early_stopping).fit(X, y)

    n_epochs = model.n_iter_
    assert len(model.loss_curve_) == len(model.history_) == n_epochs == 3
    if early_stopping:
        assert len(model.validation_loss_curve_) == n_epochs
        assert 1 <= model.best_epoch_ <= n_epochs
    else:
        assert model.validation_loss_curve_ is model.best_epoch_ is None


@pytest.mark.parametrize(
    ("case", "n_outputs"),
    [
        ("regressor", 1),
        ("float32", 2),
        ("classifier", 3),
        ("bidirectional", 1),  # two classes
        ("multilabel", 3),
    ],
)
def test_network_has_n_outputs_on_device(case, n_outputs):
    model, sequences, target = make_case(case)

    model.fit(sequences, target)

    assert model.n_outputs_ == model.module_.head.out_features == n_outputs
    assert model.module_ is model.net_.module_
    assert model.device_ == "cpu"
    assert not model.module_.training


@over_cases("regressor", "multilabel")
def test_partial_fit_sets_the_same_attributes_as_fit(case):
    model, sequences, target = make_case(case, early_stopping=True)
    names = set(vars(model.fit(sequences, target)))

    model, sequences, target = make_case(case, early_stopping=True)
    model.partial_fit(sequences, target)

    assert set(vars(model)) == names
    assert len(model.loss_curve_) == len(model.history_) == model.n_iter_ == 1
    assert model.validation_loss_curve_ is model.best_epoch_ is None


@pytest.mark.parametrize("name", ["module_", "history_"])
def test_properties_require_a_fit(name):
    message = (
        "This RNNRegressor instance is not fitted yet. Call 'fit' with appropriate "
        "arguments before using this estimator."
    )
    with raises(NotFittedError, message):
        getattr(RNNRegressor(), name)


def test_validation_loss_of_epochs_without_validation_is_nan():
    model = tiny(early_stopping=True).fit(X, y).partial_fit(X, y)

    assert model.n_iter_ == len(model.validation_loss_curve_) == 4
    assert np.isnan(model.validation_loss_curve_).tolist() == [False] * 3 + [True]


def test_history_has_one_row_of_numbers_per_epoch():
    model = tiny().fit(X, y, X_val=X, y_val=y)

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


def test_history_is_a_new_frame_each_time():
    model = tiny().fit(X, y)
    frame = model.history_
    frame["train_loss"] = 0.0

    assert model.history_["train_loss"].tolist() == model.loss_curve_


def test_another_fit_applies_changed_parameters():
    model = tiny().fit(X, y)
    change = {"hidden_size": (3, 5), "cell_type": "gru", "bidirectional": True}

    model.set_params(**change).fit(RAGGED, y)

    expected = RNNRegressor(**TINY | change).fit(RAGGED, y)
    assert_same_model(model, expected, RAGGED)


def test_fit_does_not_change_its_callbacks():
    callback = RecordBatches()

    model = tiny(callbacks=[callback]).fit(X, y)

    assert vars(callback) == {}
    assert recorded(model).epochs_
