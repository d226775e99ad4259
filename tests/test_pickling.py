"""Copies of an estimator: pickle, joblib and deepcopy."""

import copy
import gc
import io
import pickle
import pickletools
import weakref

import joblib
import numpy as np
import pandas as pd
import pytest
from estimators import (
    TINY,
    WEIGHTS,
    X,
    assert_same_model,
    labels,
    make_case,
    over_cases,
    tiny,
    y,
)

from skrnn import RNNClassifier, RNNRegressor, __version__
from skrnn._warnings import VersionWarning


def through_pickle(model):
    return pickle.loads(pickle.dumps(model))


def through_joblib(model):
    file = io.BytesIO()
    joblib.dump(model, file)
    file.seek(0)
    return joblib.load(file)


@over_cases()
def test_copy_predicts_and_continues_training_like_the_original(case):
    model, sequences, target = make_case(case, warm_start=True)
    model.fit(sequences, target)

    copied = through_pickle(model)

    assert_same_model(copied, model, sequences)
    np.testing.assert_array_equal(copied.predict(sequences), model.predict(sequences))
    for method in ("fit", "partial_fit"):
        for each in (model, copied):
            getattr(each, method)(sequences, target)
        assert_same_model(copied, model, sequences)
    assert copied.n_iter_ == 7


@pytest.mark.parametrize("make_copy", [through_joblib, copy.deepcopy])
def test_joblib_and_deepcopy_copy_like_pickle(make_copy):
    model, sequences, target = make_case("bidirectional", warm_start=True)
    model.fit(sequences, target)

    copied = make_copy(model)

    assert copied is not model
    assert_same_model(copied, model, sequences)
    for each in (model, copied):
        each.fit(sequences, target)
    assert_same_model(copied, model, sequences)


def test_copy_has_the_fitted_attributes():
    model = tiny(RNNClassifier, early_stopping=True).fit(X, labels)

    copied = through_pickle(model)

    for name in ("n_iter_", "loss_curve_", "validation_loss_curve_", "best_epoch_"):
        assert getattr(copied, name) == getattr(model, name)
    for name in ("n_outputs_", "device_", "n_features_in_"):
        assert getattr(copied, name) == getattr(model, name)
    np.testing.assert_array_equal(copied.classes_, model.classes_)
    pd.testing.assert_frame_equal(copied.history_, model.history_)
    assert copied.get_params() == model.get_params()


def test_parameters_set_after_the_fit_change_neither_model_nor_copy():
    model = tiny().fit(X, y)
    before = model.predict(X)

    model.set_params(pooling="mean", optimizer="unknown", hidden_size=9)

    np.testing.assert_array_equal(model.predict(X), before)
    np.testing.assert_array_equal(through_pickle(model).predict(X), before)


def test_unfitted_estimator_can_be_copied():
    model = tiny()

    assert through_pickle(model).get_params() == model.get_params()
    assert_same_model(through_pickle(model).fit(X, y), model.fit(X, y))


def test_pickle_contains_no_objects_of_torch_or_skorch():
    model, sequences, target = make_case("bidirectional")
    model.fit(sequences, target)

    operations = pickletools.genops(pickle.dumps(model))

    names = [argument for _, argument, _ in operations if isinstance(argument, str)]
    assert any("skrnn" in name for name in names)
    assert not [name for name in names if "torch" in name or "skorch" in name]


def test_pickle_of_another_version_warns_and_works(monkeypatch):
    model = tiny().fit(X, y)
    monkeypatch.setattr("skrnn._base.__version__", "0.0.9")
    pickled = pickle.dumps(model)
    monkeypatch.undo()

    with pytest.warns(VersionWarning) as caught:
        loaded = pickle.loads(pickled)

    assert [str(warning.message) for warning in caught] == [
        "RNNRegressor was pickled by skrnn 0.0.9 and is loaded by skrnn "
        f"{__version__}, which may read it wrongly. Use the version that pickled it, "
        "or save_model and load_model for any later one."
    ]
    assert issubclass(VersionWarning, UserWarning)
    assert_same_model(loaded, model)
    assert set(vars(loaded)) == set(vars(model))


@pytest.mark.parametrize(
    ("part", "name", "value"),
    [
        ("_module_config", "hidden_sizes", (10**9,)),
        ("_module_config", "ar_columns", (5,)),
        ("_training_config", "lr", "fast"),
    ],
)
def test_state_that_fit_cannot_have_made_is_refused(part, name, value):
    state = tiny().fit(X, y).__getstate__()
    vars(state[part])[name] = value

    with pytest.raises(ValueError, match=r"^The state of RNNRegressor must be as fit"):
        RNNRegressor().__setstate__(state)


def test_pickle_is_a_few_times_the_weights():
    model = RNNRegressor(64, max_epochs=50, random_state=0).fit(X, y)
    n_bytes = sum(p.numel() * p.element_size() for p in model.module_.parameters())

    size = len(pickle.dumps(model))

    # The weights and Adam's two moments of each, generators and the history.
    assert 3 * n_bytes < size < 4 * n_bytes


def test_pickle_contains_no_data():
    params = TINY | {"batch_size": 2000}
    small = RNNRegressor(**params).fit(X, y)
    large = RNNRegressor(**params).fit(np.tile(X, (50, 1, 1)), np.tile(y, 50))

    assert abs(len(pickle.dumps(large)) - len(pickle.dumps(small))) < 500


def test_neither_fit_nor_predict_keeps_data_alive():
    data = [X.copy(), y.copy(), WEIGHTS.copy(), X.copy(), y.copy()]
    references = [weakref.ref(array) for array in data]
    model = tiny(early_stopping=True)

    model.fit(*data[:3], X_val=data[3], y_val=data[4]).predict(data[0])
    data.clear()
    gc.collect()

    assert [reference() for reference in references] == [None] * 5


def test_memory_mapped_weights_predict_and_continue_training(tmp_path):
    model, sequences, target = make_case("classifier", warm_start=True)
    model.fit(sequences, target)
    joblib.dump(model, tmp_path / "model.joblib")

    mapped = joblib.load(tmp_path / "model.joblib", mmap_mode="r")

    assert_same_model(mapped, model, sequences)
    assert_same_model(
        mapped.fit(sequences, target), model.fit(sequences, target), sequences
    )
    assert joblib.load(tmp_path / "model.joblib").n_iter_ == 3  # the file is unchanged
