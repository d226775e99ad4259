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
    cases,
    labels,
    make_case,
    y,
)

from skrnn import (
    RNNClassifier,
    RNNRegressor,
)


def through_pickle(model):
    return pickle.loads(pickle.dumps(model))


def through_joblib(model):
    file = io.BytesIO()
    joblib.dump(model, file)
    file.seek(0)
    return joblib.load(file)


copies = pytest.mark.parametrize(
    "make_copy", [through_pickle, through_joblib, copy.deepcopy]
)


@copies
@cases
def test_copy_predicts_the_same_bits(make_copy, case):
    model, sequences, target = make_case(case)
    model.fit(sequences, target)

    copied = make_copy(model)

    assert copied is not model
    assert_same_model(copied, model, sequences)
    np.testing.assert_array_equal(copied.predict(sequences), model.predict(sequences))


@pytest.mark.parametrize("again", ["fit", "partial_fit"])
@copies
@cases
def test_copy_goes_on_training_as_the_original(make_copy, case, again):
    model, sequences, target = make_case(case, warm_start=True)
    model.fit(sequences, target)
    copied = make_copy(model)

    for one in (model, copied):
        getattr(one, again)(sequences, target)

    assert copied.n_iter_ > 3
    assert_same_model(copied, model, sequences)


@copies
def test_copy_knows_the_training_it_comes_from(make_copy):
    model = RNNClassifier(**TINY, early_stopping=True).fit(X, labels)

    copied = make_copy(model)

    for name in ("n_iter_", "loss_curve_", "validation_loss_curve_", "best_epoch_"):
        assert getattr(copied, name) == getattr(model, name)
    for name in ("n_outputs_", "device_", "n_features_in_"):
        assert getattr(copied, name) == getattr(model, name)
    np.testing.assert_array_equal(copied.classes_, model.classes_)
    pd.testing.assert_frame_equal(copied.history_, model.history_)
    assert copied.get_params() == model.get_params()


@pytest.mark.parametrize(
    "change",
    [{"pooling": "mean"}, {"optimizer": "nonsense"}, {"hidden_size": 9}],
    ids=str,
)
@copies
def test_copy_does_not_depend_on_parameters_set_since_the_fit(make_copy, change):
    model = RNNRegressor(**TINY).fit(X, y)
    before = model.predict(X)

    model.set_params(**change)

    np.testing.assert_array_equal(model.predict(X), before)
    np.testing.assert_array_equal(make_copy(model).predict(X), before)


@cases
def test_pickle_names_nothing_of_torch_or_skorch(case):
    model, sequences, target = make_case(case)
    model.fit(sequences, target)

    operations = pickletools.genops(pickle.dumps(model))

    names = [argument for _, argument, _ in operations if isinstance(argument, str)]
    assert any("skrnn" in name for name in names)
    assert not [name for name in names if "torch" in name or "skorch" in name]


def test_pickle_is_a_few_times_the_weights():
    model = RNNRegressor(64, max_epochs=50, random_state=0).fit(X, y)
    n_bytes = sum(p.numel() * p.element_size() for p in model.module_.parameters())

    size = len(pickle.dumps(model))

    # The weights and Adam's two moments of each, generators and the history.
    assert 3 * n_bytes < size < 4 * n_bytes


def test_pickle_holds_no_data():
    params = TINY | {"batch_size": 2000}
    small = RNNRegressor(**params).fit(X, y)
    large = RNNRegressor(**params).fit(np.tile(X, (50, 1, 1)), np.tile(y, 50))

    assert abs(len(pickle.dumps(large)) - len(pickle.dumps(small))) < 500


def test_fit_keeps_no_data_alive():
    data = [X.copy(), y.copy(), WEIGHTS.copy(), X.copy(), y.copy()]
    alive = [weakref.ref(array) for array in data]
    model = RNNRegressor(**TINY, early_stopping=True)

    model.fit(*data[:3], X_val=data[3], y_val=data[4]).predict(data[0])
    data.clear()
    gc.collect()

    assert [reference() for reference in alive] == [None] * 5


def test_weights_may_be_mapped_from_a_file(tmp_path):
    model, sequences, target = make_case("classifier", warm_start=True)
    model.fit(sequences, target)
    joblib.dump(model, tmp_path / "model.joblib")

    mapped = joblib.load(tmp_path / "model.joblib", mmap_mode="r")

    assert_same_model(mapped, model, sequences)
    assert_same_model(
        mapped.fit(sequences, target), model.fit(sequences, target), sequences
    )
    again = joblib.load(tmp_path / "model.joblib")
    assert again.n_iter_ == 3


def test_loading_leaves_global_generators_alone(untouched):
    model, sequences, target = make_case("two-way", random_state=None)
    dumped = pickle.dumps(model.set_params(random_state=1).fit(sequences, target))

    pickle.loads(dumped)
    copy.deepcopy(model.set_params(random_state=None))

    untouched()


@copies
def test_unfitted_estimator_can_be_copied(make_copy):
    model = RNNRegressor(**TINY)

    assert make_copy(model).get_params() == model.get_params()
    assert_same_model(make_copy(model).fit(X, y), model.fit(X, y))
