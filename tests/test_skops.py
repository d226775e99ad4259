"""Whole pipelines in skops' format, which trusts the classes in `TRUSTED_TYPES`."""

import io
import pickle
import zipfile
from importlib import import_module

import numpy as np
import pytest
import skops.io
from estimators import (
    RAGGED,
    WEIGHTS,
    X,
    assert_same_model,
    indicator,
    labels,
    outputs,
    tiny,
    y,
)
from sklearn.base import BaseEstimator
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler, StandardScaler

import skrnn
from skrnn import (
    TRUSTED_TYPES,
    BiRNNClassifier,
    EachStep,
    RNNClassifier,
    RNNRegressor,
    SlidingWindow,
    TokenEncoder,
    TokenOneHotEncoder,
    ToSequences,
)

LAGS = X[:, :, 0]
WORDS = [["a", "b", "a"], ["b", "c"]] * 10

PIPELINES = {
    "scaled": (EachStep(StandardScaler()), tiny(), X, y),
    "ragged": (EachStep(MinMaxScaler()), tiny(BiRNNClassifier), RAGGED, labels),
    "windows": (SlidingWindow(3, carry_over=True), tiny(cell_type="gru"), LAGS, y),
    "lags": (ToSequences(2), tiny(n_members=2), LAGS, np.c_[y, y]),
    "static": (
        ToSequences(static_columns=[0]),
        tiny(loss="quantile", early_stopping=True),
        np.c_[WEIGHTS, LAGS],
        y,
    ),
    "one-hot": (TokenOneHotEncoder(), tiny(RNNClassifier), WORDS, labels == "a"),
    "characters": (
        TokenOneHotEncoder(analyzer="char", dtype=np.float64),
        tiny(RNNClassifier, class_weight={1: 2.0}),
        ["abc", "cab"] * 10,
        np.arange(20) % 2,
    ),
    "ids": (TokenEncoder(), tiny(RNNClassifier, embedding_dim=2), WORDS, indicator),
    "steps": (
        EachStep(StandardScaler()),
        tiny(RNNClassifier, return_sequences=True),
        X,
        X[:, :, 0] > 0,
    ),
}


def fit_pipeline(case):
    transformer, model, sequences, target = PIPELINES[case]
    return make_pipeline(transformer, model).fit(sequences, target), sequences


@pytest.mark.parametrize("case", PIPELINES)
def test_pipelines_are_restored_with_trusted_types_only(case):
    pipeline, sequences = fit_pipeline(case)
    content = skops.io.dumps(pipeline)

    untrusted = skops.io.get_untrusted_types(data=content)
    loaded = skops.io.loads(content, trusted=TRUSTED_TYPES)

    assert set(untrusted) <= set(TRUSTED_TYPES)
    assert_same_model(loaded[-1], pipeline[-1], pipeline[:-1].transform(sequences))
    np.testing.assert_array_equal(
        outputs(loaded, sequences), outputs(pipeline, sequences)
    )


@pytest.mark.parametrize("case", ["scaled", "ragged"])
def test_restored_models_continue_training(case):
    pipeline, sequences = fit_pipeline(case)
    model, target = pipeline[-1].set_params(warm_start=True), PIPELINES[case][-1]
    sequences = pipeline[:-1].transform(sequences)
    content = skops.io.dumps(model)

    loaded = skops.io.loads(content, trusted=TRUSTED_TYPES)

    assert_same_model(
        loaded.fit(sequences, target), model.fit(sequences, target), sequences
    )


def test_trusted_types_are_all_estimators_and_classes_of_this_library():
    assert len(set(TRUSTED_TYPES)) == len(TRUSTED_TYPES)
    for name in TRUSTED_TYPES:
        module, _, cls = name.rpartition(".")
        assert module.startswith("skrnn.")
        assert isinstance(getattr(import_module(module), cls), type)
    items = [getattr(skrnn, name) for name in skrnn.__all__]
    estimators = [
        f"{item.__module__}.{item.__name__}"
        for item in items
        if isinstance(item, type) and issubclass(item, BaseEstimator)
    ]
    assert set(estimators) <= set(TRUSTED_TYPES)


def test_no_part_of_a_saved_pipeline_is_a_pickle():
    pipeline, _ = fit_pipeline("windows")

    with zipfile.ZipFile(io.BytesIO(skops.io.dumps(pipeline))) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}

    assert "schema.json" in parts
    del parts["schema.json"]
    for name, content in parts.items():
        if name.endswith(".npy"):
            np.load(io.BytesIO(content), allow_pickle=False)
        else:
            assert content == pipeline[0]._fingerprint, name


def test_sizes_that_differ_from_the_weights_are_refused():
    model = tiny().fit(X, y)
    vars(model._module_config)["hidden_sizes"] = (10**9,)
    content = skops.io.dumps(model)

    with pytest.raises(ValueError, match="The state of RNNRegressor must be as fit"):
        skops.io.loads(content, trusted=TRUSTED_TYPES)


def test_functions_of_the_user_are_not_trusted():
    model = tiny(RNNRegressor).fit(X, y).set_params(callbacks=[pickle.dumps, len])
    content = skops.io.dumps(model)

    assert set(skops.io.get_untrusted_types(data=content)) - set(TRUSTED_TYPES)
