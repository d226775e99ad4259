"""`save_model` and `load_model`: exact round trips, and files made to do harm."""

import json
import math
import os
import pickle
import struct
import sys
import tracemalloc
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from estimators import (
    TINY,
    RecordBatches,
    X,
    assert_same_model,
    labels,
    make_case,
    outputs,
    over_cases,
    tiny,
    y,
)
from messages import raises
from sklearn import config_context
from sklearn.exceptions import NotFittedError

from skrnn import BiRNNClassifier, RNNClassifier, RNNRegressor, load_model
from skrnn._saving.container import MAX_HEADER_BYTES, read_file, write_file

MODELS = Path(__file__).parent / "data" / "models"
STEPS = np.cumsum(X[:, :, 0], axis=1)  # a number for each time step
IDS = np.arange(80).reshape(20, 4) % 6 + 1
SERIES = np.sin(np.arange(65))[np.arange(60)[:, None] + np.arange(5)]
SERIES_NEXT = np.sin(np.arange(5, 65))

# Models that differ in their parameters, their targets or their optimiser's state.
MORE = {
    "ensemble": (tiny(n_members=2, dropout=0.2), X, y),
    "quantiles": (tiny(loss="quantile", quantiles=(0.1, 0.9)), X, np.c_[y, y]),
    "steps": (tiny(return_sequences=True, cell_type="gru"), X, STEPS),
    "tags": (tiny(RNNClassifier, return_sequences=True), X, np.rint(STEPS) > 0),
    "tokens": (tiny(RNNClassifier, embedding_dim=2), IDS, labels),
    "attention": (tiny(pooling="attention", initial_state="learned"), X, y),
    "highway": (
        tiny(window_norm="standard", ar_order=2, early_stopping=False),
        SERIES,
        SERIES_NEXT,
    ),
    "concat": (tiny(BiRNNClassifier, pooling="concat", patch_size=2), X, labels),
    "carry": (tiny(initial_state="carry", cell_type="lstm"), X, y),
    "class_weight": (tiny(RNNClassifier, class_weight={"a": 2.0, "c": 0.5}), X, labels),
    "early": (tiny(early_stopping=True, lr_schedule="plateau"), X, y),
    "sgd": (tiny(optimizer="sgd", optimizer_params={"momentum": 0.9}), X, y),
    "rmsprop": (tiny(optimizer="rmsprop"), X, y),
    "amsgrad": (tiny(optimizer="adam", optimizer_params={"amsgrad": True}), X, y),
    "lbfgs": (tiny(optimizer="lbfgs", max_epochs=1), X, y),
    "class": (tiny(optimizer=torch.optim.Adam), X, y),
    "random_state": (tiny(random_state=np.random.RandomState(0)), X, y),
}


@pytest.fixture
def path(tmp_path):
    return tmp_path / "model.safetensors"


def through_file(model, path):
    model.save_model(path)
    return load_model(path)


def refusal(path, what):
    """Return the message about a file, with `what` is wrong with it."""
    return (
        f"{str(path)!r} must be a file that save_model wrote, complete and unchanged. "
        f"Got {what}. Save the model again, or get another copy of the file."
    )


def assert_identical(actual, expected):
    """Compare values and types, within containers too."""
    assert type(actual) is type(expected)
    if isinstance(expected, dict):
        assert list(actual) == list(expected)
        assert list(map(type, actual)) == list(map(type, expected))
        for key in expected:
            assert_identical(actual[key], expected[key])
    elif isinstance(expected, (list, tuple)):
        assert len(actual) == len(expected)
        for one, other in zip(actual, expected, strict=True):
            assert_identical(one, other)
    elif isinstance(expected, np.random.RandomState):
        assert_identical(actual.get_state(), expected.get_state())
    elif isinstance(expected, np.ndarray):
        assert (actual.dtype, actual.shape) == (expected.dtype, expected.shape)
        assert_identical(actual.tolist(), expected.tolist())
    else:
        assert repr(actual) == repr(expected)  # nan and -0.0 too


# -- round trips


def check_round_trip(model, sequences, target, path):
    """Check that a loaded model predicts and continues training as the saved one."""
    model.fit(sequences, target)

    loaded = through_file(model, path)

    assert type(loaded) is type(model)
    assert set(vars(loaded)) == set(vars(model))
    assert_same_model(loaded, model, sequences)
    assert_identical(loaded.get_params(), model.get_params())
    pd.testing.assert_frame_equal(loaded.history_, model.history_)
    for method in ("fit", "partial_fit"):
        for each in (loaded, model):
            getattr(each, method)(sequences, target)
        assert_same_model(loaded, model, sequences)


@over_cases()
def test_loaded_model_predicts_and_continues_like_the_saved_one(case, path):
    check_round_trip(*make_case(case, warm_start=True), path)


@pytest.mark.parametrize("case", MORE)
def test_every_kind_of_network_target_and_optimizer_is_saved(case, path):
    model, sequences, target = MORE[case]
    check_round_trip(model.set_params(warm_start=True), sequences, target, path)


@over_cases("regressor", "classifier", "bidirectional")
def test_loaded_model_has_the_state_of_the_saved_one(case, path):
    model, sequences, target = make_case(case)
    model.fit(sequences, target)

    state = through_file(model, path).__getstate__()

    expected = model.__getstate__()
    for part in ("_encoder", "_module_config", "_training_config"):
        one, other = vars(state.pop(part)), vars(expected.pop(part))
        for name in {"normalizer", "target"} & set(one):
            one[name], other[name] = vars(one[name]), vars(other[name])
        assert_identical(one, other)
    assert set(state) == set(expected)
    for name in expected:
        assert_identical(state[name], expected[name])


@pytest.mark.parametrize(
    "value",
    [
        None,
        True,
        -0.0,
        1e-300,
        math.nan,
        math.inf,
        -math.inf,
        2**200,
        "é\ud800\0",
        (2, (3, [4.0])),
        np.float32(0.1),
        np.float64(-np.inf),
        np.int8(-3),
        np.bool_(True),
        np.str_("text"),
        {"betas": (0.9, 0.999), "nested": {1: [None, {"a": math.nan}], (1, "b"): 2}},
        {"$float": "nan"},
        {0: 1.0, "0": 2, None: 3, True: 4, np.int64(5): 5},
        [{"a": 1}, {"b": 0.5}],
        np.arange(6, dtype=np.uint16).reshape(2, 3),
        np.array(2.5),
        np.zeros((0, 3), dtype=np.float16),
        np.array([["a", "bcd"]], dtype="<U9"),
        np.array(["a", 1, None, 2.0, True], dtype=object),
        np.random.RandomState(3),
    ],
    ids=lambda value: type(value).__name__,
)
def test_parameter_values_keep_their_types(value, path):
    model = tiny().fit(X, y).set_params(optimizer_params=value)

    assert_identical(through_file(model, path).optimizer_params, value)


def test_device_and_optimizer_class_are_kept(path):
    params = {"device": torch.device("cpu"), "optimizer": torch.optim.SGD}

    loaded = through_file(tiny(**params).fit(X, y), path)

    assert {name: loaded.get_params()[name] for name in params} == params


def test_random_state_continues_after_a_round_trip(path):
    model = tiny(random_state=np.random.RandomState(0)).fit(X, y)

    loaded = through_file(model, path)

    assert loaded.random_state is not model.random_state
    assert loaded.random_state.uniform() == model.random_state.uniform()
    assert_same_model(loaded.fit(X, y), model.fit(X, y))


@pytest.mark.parametrize(
    "names",
    [
        np.array(["x", "yes"], dtype="<U7"),
        np.array([-1, 300], dtype=np.int16),
        np.array([0.0, 1.0]),
        np.array([False, True]),
        np.array(["no", "yes"], dtype=object),
    ],
    ids=lambda names: str(names.dtype),
)
def test_classes_keep_their_dtype(names, path):
    target = names[(y > 5).astype(int)]
    model = tiny(RNNClassifier).fit(X, target)

    loaded = through_file(model, path)

    assert_identical(loaded.classes_, model.classes_)
    assert_identical(loaded.predict(X), model.predict(X))
    assert loaded.classes_ is loaded._encoder.target.classes


def test_names_of_features_are_kept(path):
    frame = pd.DataFrame(X[:, :, 0], columns=["a", "b", "c", "d"])
    frames = [pd.DataFrame(row, columns=["u", "v"]) for row in X]
    loaded = through_file(tiny().fit(frame, y), path)

    assert_identical(loaded.feature_names_in_, np.array(list("abcd"), dtype=object))
    loaded.predict(frame)

    loaded = through_file(tiny().fit(frames, y), path)
    with pytest.raises(ValueError, match="must have the columns of the first sequence"):
        loaded.predict([frame[["v", "u"]] for frame in frames])


def test_requests_of_metadata_are_kept(path):
    with config_context(enable_metadata_routing=True):
        model = tiny().set_fit_request(sample_weight="w", groups=False).fit(X, y)

        loaded = through_file(model, path)

        requests = loaded.get_metadata_routing().fit.requests
        assert requests == model.get_metadata_routing().fit.requests
        assert requests["sample_weight"] == "w"


def test_members_of_an_ensemble_can_be_saved_alone(path):
    _, member = tiny(n_members=2).fit(X, y).members_

    assert_same_model(through_file(member, path), member)


def test_model_saved_on_a_gpu_loads_where_there_is_none(path, monkeypatch):
    model = tiny(dropout=0.3).fit(X, y)
    edit(model, path, lambda parts: parts["attributes"].update(device_="cuda:7"))

    loaded = load_model(path)

    assert loaded.device_ == "cpu"
    np.testing.assert_array_equal(loaded.predict(X), model.predict(X))


def test_equal_models_make_equal_files(path, tmp_path):
    model = tiny().fit(X, y)

    model.save_model(path)
    through_file(model, path).save_model(tmp_path / "again")

    assert path.read_bytes() == (tmp_path / "again").read_bytes()


@pytest.mark.parametrize("name", ["regressor_1", "classifier_1", "birnn_classifier_1"])
def test_models_of_released_versions_load_for_ever(name):
    model = load_model(MODELS / f"{name}.safetensors")

    content = json.loads((MODELS / f"{name}.json").read_text(encoding="utf-8"))
    # Other processors and versions of torch may round a few last digits differently.
    np.testing.assert_allclose(
        outputs(model, np.array(content["X"])), content["prediction"], rtol=1e-9
    )
    assert model.n_iter_ == 2
    target = np.resize(getattr(model, "classes_", y), len(content["X"]))
    assert model.partial_fit(np.array(content["X"]), target).n_iter_ == 3


# -- what is not saved


@pytest.mark.parametrize(
    ("params", "name", "value"),
    [
        ({"callbacks": [("c", RecordBatches)]}, "callbacks", RecordBatches),
        ({"optimizer": torch.optim.Adagrad}, "optimizer", torch.optim.Adagrad),
        ({"optimizer_params": {"eps": 1e-8j}}, "optimizer_params", 1e-8j),
        ({"random_state": np.random}, "random_state", np.random),
        ({"optimizer_params": {"maximize": max}}, "optimizer_params", max),
    ],
    ids=["callback", "optimizer", "complex", "module", "function"],
)
def test_parameters_that_are_not_plain_data_are_refused_by_name(
    params, name, value, path
):
    model = tiny().fit(X, y).set_params(**params)

    with raises(
        ValueError,
        f"The {name!r} parameter of RNNRegressor must hold only None, numbers, "
        "strings, lists, tuples, dicts, arrays and random states for save_model. Got "
        f"{value!r}. Set another value, or save with joblib.",
    ):
        model.save_model(path)

    assert not os.listdir(path.parent)


def test_optimizer_class_of_the_last_fit_is_refused(path):
    model = tiny(optimizer=torch.optim.Adagrad).fit(X, y).set_params(optimizer="adam")

    with raises(
        ValueError,
        "The 'optimizer' parameter of RNNRegressor, as it was in the last fit, must "
        "hold only None, numbers, strings, lists, tuples, dicts, arrays and random "
        f"states for save_model. Got {torch.optim.Adagrad!r}. Call fit with another "
        "value, or save with joblib.",
    ):
        model.save_model(path)


@pytest.mark.parametrize(
    "item", [object(), [1], b"pickle"], ids=["object", "list", "bytes"]
)
def test_arrays_of_other_objects_are_refused(item, path):
    array = np.empty(1, dtype=object)
    array[0] = item
    model = tiny().fit(X, y).set_params(optimizer_params=array)

    with pytest.raises(ValueError, match=r"^The 'optimizer_params' parameter"):
        model.save_model(path)


def test_containers_within_themselves_are_refused(path):
    params = {}
    params["params"] = params
    model = tiny().fit(X, y).set_params(optimizer_params=params)

    with pytest.raises(ValueError, match=r"^The 'optimizer_params' parameter"):
        model.save_model(path)


def test_attributes_of_the_user_are_refused(path):
    model = tiny().fit(X, y)
    model.note = "mine"

    with raises(
        ValueError,
        "RNNRegressor must have no attributes but those of fit for save_model. Got "
        "'note'. Delete the attribute, or save with joblib.",
    ):
        model.save_model(path)


def test_subclasses_of_the_user_are_refused(path):
    class Mine(RNNRegressor):
        pass

    with raises(
        ValueError,
        "save_model must be called on an estimator of skrnn, since load_model imports "
        f"no other classes. Got Mine, a class of {__name__}. Save it with joblib, or "
        "save an estimator of skrnn with the same parameters.",
    ):
        Mine(**TINY).fit(X, y).save_model(path)


def test_unfitted_model_is_refused(path):
    with pytest.raises(NotFittedError):
        tiny().save_model(path)


def test_history_that_is_too_long_to_load_is_refused(path, monkeypatch):
    monkeypatch.setattr("skrnn._saving.container.MAX_VALUES", 100)

    with pytest.raises(ValueError, match="must not exceed 100 values, or"):
        tiny().fit(X, y).save_model(path)


# -- writing


@pytest.mark.parametrize("function", ["fsync", "replace"])
def test_failure_while_saving_leaves_the_old_file_and_no_other(
    function, path, monkeypatch
):
    model = tiny().fit(X, y)
    model.save_model(path)
    before = path.read_bytes()

    def fail(*args):
        raise OSError("no space left")

    monkeypatch.setattr(os, function, fail)
    with raises(OSError, "no space left"):
        model.set_params(lr=0.5).save_model(path)

    assert os.listdir(path.parent) == [path.name]
    assert path.read_bytes() == before


def test_saving_replaces_an_existing_file_and_follows_links(path, tmp_path):
    path.write_text("old")
    mode = path.stat().st_mode
    link = tmp_path / "link"
    link.symlink_to(path)
    model = tiny().fit(X, y)

    model.save_model(str(link))

    assert link.is_symlink()
    assert path.stat().st_mode == mode
    assert_same_model(load_model(path), model)


def test_a_missing_folder_is_named_before_anything_is_written(tmp_path):
    path = tmp_path / "missing" / "model"
    message = (
        f"path must be in a folder that exists. Got {str(path)!r}. Create the folder "
        "first."
    )
    with raises(FileNotFoundError, message):
        tiny().fit(X, y).save_model(path)


def test_loading_a_missing_file_raises_an_os_error(path):
    with pytest.raises(FileNotFoundError):
        load_model(path)


# -- files that are damaged


@pytest.fixture(scope="module")
def small_file(tmp_path_factory):
    path = tmp_path_factory.mktemp("models") / "model.safetensors"
    tiny(hidden_size=2, max_epochs=1, optimizer="sgd").fit(X, y).save_model(path)
    return path.read_bytes()


def load_bytes(content, path):
    path.write_bytes(content)
    return load_model(path)


def header_length(content):
    return struct.unpack("<Q", content[:8])[0]


def is_refused(path):
    """Whether a file is refused with a message of ours."""
    try:
        load_model(path)
    except ValueError as error:
        return "must be a file that save_model wrote" in str(error)
    return False


def accepted_flips(content, places, path):
    """Return at which places a byte with a flipped bit does not matter."""
    path.write_bytes(content)
    accepted = []
    with open(path, "r+b", buffering=0) as file:
        for place in places:
            for byte in (content[place] ^ 1 << place % 8, content[place]):
                file.seek(place)
                file.write(bytes([byte]))
                if byte != content[place] and not is_refused(path):
                    accepted.append(place)
    return accepted


def test_a_flipped_bit_in_any_byte_of_the_header_is_refused(small_file, path):
    # The header is padded with spaces, which do not matter.
    n_bytes = len(small_file[: 8 + header_length(small_file)].rstrip())

    assert n_bytes > 1000
    assert accepted_flips(small_file, range(n_bytes), path) == []


def test_flipped_bits_of_the_data_are_refused(small_file, path):
    places = range(8 + header_length(small_file), len(small_file), 13)

    assert len(places) > 300
    assert accepted_flips(small_file, places, path) == []
    with raises(ValueError, refusal(path, "contents that differ from their checksum")):
        load_bytes(small_file[:-1] + bytes([small_file[-1] ^ 1]), path)


def test_truncated_files_are_refused(small_file, path):
    path.write_bytes(small_file)

    for length in (*range(len(small_file) - 1, 0, -97), 9, 8, 7, 0):
        os.truncate(path, length)
        assert is_refused(path), length


def test_trailing_bytes_are_refused(small_file, path):
    path.write_bytes(small_file + b"\0")

    assert is_refused(path)


# -- files of other formats


class Harm:
    """Would leave a trace if it were unpickled."""

    def __reduce__(self):
        return os.putenv, ("SKRNN_HARM", "done"), None


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\x80",
        bytes(1000),
        b"\xff" * 1000,
        b"PK\x03\x04" + bytes(100),
        pickle.dumps(Harm()),
        struct.pack("<Q", 2) + b"{}",
        struct.pack("<Q", 2) + b"[]",
        struct.pack("<Q", 4) + b"null",
        struct.pack("<Q", 9) + b"\xff\xfe{\0}\0\0\0\0",
        struct.pack("<Q", 2**63) + b"{}",
        struct.pack("<Q", 20) + b'{"__metadata__":null}',
    ],
    ids=lambda content: repr(content[:12]),
)
def test_files_of_other_formats_are_refused(content, path):
    with pytest.raises(ValueError, match="must be a file that save_model wrote"):
        load_bytes(content, path)

    assert "SKRNN_HARM" not in os.environ


def test_deeply_nested_headers_are_refused(path):
    for opening in (b"[", b'{"a":', b'{"__metadata__":{"skrnn":'):
        content = opening * 100_000
        with raises(
            ValueError, refusal(path, "text that is not JSON, or nested too deeply")
        ):
            load_bytes(struct.pack("<Q", len(content)) + content, path)


def test_length_of_the_header_is_limited_before_it_is_read(path):
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", MAX_HEADER_BYTES + 1))
        file.truncate(2 * MAX_HEADER_BYTES)  # sparse

    tracemalloc.start()
    with pytest.raises(ValueError, match="must be a file that save_model wrote"):
        load_model(path)
    assert tracemalloc.get_traced_memory()[1] < 2**20
    tracemalloc.stop()


def test_number_of_values_in_a_header_is_limited_before_they_are_parsed(path):
    content = b"[" + b"[]," * 2**20 + b"[]]"
    path.write_bytes(struct.pack("<Q", len(content)) + content)

    tracemalloc.start()
    with raises(ValueError, refusal(path, "a header with too many values")):
        load_model(path)
    assert tracemalloc.get_traced_memory()[1] < 3 * len(content)
    tracemalloc.stop()


# -- the header of safetensors


def with_header(content, change):
    """Return a file whose header has been changed by a function."""
    n = header_length(content)
    header = json.loads(content[8 : 8 + n])
    header = change(header) or header
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + content[8 + n :]


def _change_entry(**changes):
    def change(header):
        header["target.mean"].update(changes)

    return change


@pytest.mark.parametrize(
    ("change", "what"),
    [
        (
            lambda header: header.pop("target.mean") and None,
            "tensors that overlap, or with gaps between them",
        ),
        (
            _change_entry(dtype="F8_E4M3"),
            "a tensor of an unknown dtype: 'target.mean'",
        ),
        (_change_entry(dtype=["F64"]), "a tensor of an unknown dtype: 'target.mean'"),
        (
            _change_entry(dtype="F32"),
            "a tensor whose shape differs from its size: 'target.mean'",
        ),
        (
            _change_entry(shape=[10**9]),
            "a tensor whose shape differs from its size: 'target.mean'",
        ),
        (
            _change_entry(shape=[2**62, 2**62, 0]),
            "a tensor whose shape differs from its size: 'target.mean'",
        ),
        (
            _change_entry(shape=[-1]),
            "a tensor whose shape or place is no list of ints: 'target.mean'",
        ),
        (
            _change_entry(shape=[True]),
            "a tensor whose shape or place is no list of ints: 'target.mean'",
        ),
        (
            _change_entry(shape=[1] * 1000),
            "a tensor whose shape or place is no list of ints: 'target.mean'",
        ),
        (
            _change_entry(data_offsets=[0]),
            "a tensor whose shape or place is no list of ints: 'target.mean'",
        ),
        (
            _change_entry(data_offsets=[10**12, 10**12 + 8]),
            "tensors that overlap, or with gaps between them",
        ),
        (
            _change_entry(extra=1),
            "a tensor without dtype, shape and data_offsets: 'target.mean'",
        ),
        (
            lambda header: header.update({"target.mean": None}),
            "a tensor without dtype, shape and data_offsets: 'target.mean'",
        ),
        (
            lambda header: header["__metadata__"].update(other="text"),
            "metadata of another library",
        ),
        (
            lambda header: header.pop("__metadata__") and None,
            "metadata of another library",
        ),
        (
            lambda header: b'{"a":1,' + json.dumps(header).encode()[1:-1] + b',"a":1}',
            "JSON with a duplicate name",
        ),
        (
            lambda header: json.dumps(header | {"a": math.nan}).encode(),
            "JSON with NaN",
        ),
        (
            lambda header: header["__metadata__"].update(skrnn="[" * 10**5),
            "text that is not JSON, or nested too deeply",
        ),
        (
            lambda header: header["__metadata__"].update(skrnn="[1]"),
            "format version None, but this version of skrnn reads version 1",
        ),
    ],
)
def test_invalid_headers_are_refused(change, what, small_file, path):
    with raises(ValueError, refusal(path, what)):
        load_bytes(with_header(small_file, change), path)


# -- files with a valid checksum, made by someone who knows the format


def edit(model, path, change):
    """Save a model, change the document or its arrays, and write a valid checksum."""
    model.save_model(path)
    document, arrays = read_file(path)
    parts = document | {"arrays": arrays}
    change(parts)
    arrays = parts.pop("arrays")
    write_file(path, parts, arrays)


def set_part(*keys, value):
    """Return a change of one value, at a path in the document."""

    def change(parts):
        for key in keys[:-1]:
            parts = parts[key]
        parts[keys[-1]] = value

    return change


def delete_part(*keys):
    def change(parts):
        for key in keys[:-1]:
            parts = parts[key]
        del parts[keys[-1]]

    return change


def without_net(*others):
    """Return a change that takes the network out, or puts others in its place."""

    def change(parts):
        arrays = parts["arrays"].items()
        parts["arrays"] = {n: a for n, a in arrays if not n.startswith("nets")}
        parts["nets"] = list(others)

    return change


HUGE = 10**9
SIZES = "sizes of the network that differ from its weights, in "
BAD_DOCUMENTS = {
    "future version": (
        set_part("format_version", value=2),
        "format version 2, but this version of skrnn reads version 1",
    ),
    "forged class": (
        set_part("class", value="os.system"),
        "an unknown class of estimator, 'os.system'",
    ),
    "class of another kind": (
        set_part("class", value=["RNNRegressor"]),
        "an unknown class of estimator, ['RNNRegressor']",
    ),
    "class that has another target": (
        set_part("class", value="RNNClassifier"),
        "an unknown parameter of RNNClassifier, 'ar_order'",
    ),
    "unknown part": (
        set_part("code", value="import os"),
        "a model with missing or unknown parts",
    ),
    "missing part": (delete_part("nets"), "a model with missing or unknown parts"),
    "no parameters": (
        set_part("params", value=[]),
        "an unknown parameter of RNNRegressor, 'params'",
    ),
    "unknown parameter": (
        set_part("params", "future", value=1),
        "an unknown parameter of RNNRegressor, 'future'",
    ),
    "unknown attribute": (
        set_part("attributes", "predict", value=1),
        "a model with an unknown field, 'predict'",
    ),
    "missing attribute": (
        delete_part("attributes", "n_features_in_"),
        "a model without 'n_features_in_'",
    ),
    "attributes that are no object": (
        set_part("attributes", value=1),
        "a model that is not an object",
    ),
    "forged device": (
        set_part("attributes", "device_", value="file:///etc"),
        "a model with an invalid 'device_'",
    ),
    "another number of features": (
        set_part("attributes", "n_features_in_", value=HUGE),
        "attributes that do not fit the sizes of the network",
    ),
    "target column that X does not have": (
        set_part("attributes", "_columns", value=[2]),
        "attributes that do not fit the sizes of the network",
    ),
    "another number of names": (
        set_part("attributes", "feature_names_in_", value={"$objects": [[1], ["a"]]}),
        "attributes that do not fit the sizes of the network",
    ),
    "unknown kind of target": (
        set_part("target", "type", value="eval"),
        "an unknown kind of target, 'eval'",
    ),
    "unknown field of the target": (
        set_part("target", "decode", value="eval"),
        "a target with an unknown field, 'decode'",
    ),
    "unknown loss": (
        set_part("target", "loss", value="eval"),
        "a target with an invalid 'loss'",
    ),
    "another number of outputs": (
        set_part("target", "n_outputs", value=2),
        "a target that does not fit the outputs of the network",
    ),
    "another number of targets": (
        set_part("target", "n_targets", value=HUGE),
        "a target that does not fit the outputs of the network",
    ),
    "unknown field of the network": (
        set_part("module", "hook", value="eval"),
        "a network with an unknown field, 'hook'",
    ),
    "10**9 units": (
        set_part("module", "hidden_sizes", value={"$tuple": [HUGE]}),
        SIZES + "'layers.0.weight_ih_l0'",
    ),
    "more layers than weights": (
        set_part("module", "hidden_sizes", value={"$tuple": [4] * 1000}),
        "layers of the network without weights",
    ),
    "no layer": (
        set_part("module", "hidden_sizes", value={"$tuple": []}),
        "sizes of the network that contradict each other",
    ),
    "negative units": (
        set_part("module", "hidden_sizes", value={"$tuple": [-4]}),
        "a network with an invalid 'hidden_sizes'",
    ),
    "10**9 features": (
        set_part("module", "n_features", value=HUGE),
        SIZES + "'input_mean'",
    ),
    "10**9 outputs": (
        set_part("module", "n_outputs", value=HUGE),
        "a target that does not fit the outputs of the network",
    ),
    "patches of 10**9 steps": (
        set_part("module", "patch_size", value=HUGE),
        SIZES + "'layers.0.weight_ih_l0'",
    ),
    "10**9 tokens": (
        lambda parts: parts["module"].update(
            n_features=1, embedding_dim=2, n_tokens=HUGE
        ),
        SIZES + "'input_mean'",
    ),
    "10**9 lags": (
        set_part("module", "ar_order", value=HUGE),
        SIZES + "'highway.weight'",
    ),
    "lags of a missing feature": (
        set_part("module", "ar_columns", value={"$tuple": [2]}),
        "sizes of the network that contradict each other",
    ),
    "normalisation of a missing feature": (
        set_part("normalizer", "columns", value=[2]),
        "a normaliser of features that the network does not have",
    ),
    "normalisation without columns": (
        set_part("normalizer", "window_norm", value="last"),
        "a normaliser of features that the network does not have",
    ),
    "unknown cell": (
        set_part("module", "cell_type", value="os"),
        "a network with an invalid 'cell_type'",
    ),
    "forged optimizer": (
        set_part("training", "optimizer", value="torch.optim.Adagrad"),
        "a training with an invalid 'optimizer'",
    ),
    "optimizer of an unknown name": (
        set_part("training", "optimizer", value={"$optimizer": "os"}),
        "an invalid value of kind '$optimizer'",
    ),
    "no network": (without_net(), "a model without networks"),
    "network that is no object": (
        without_net(3),
        "the state of a network that is not an object",
    ),
    "missing weights": (
        lambda parts: (
            parts["nets"][0]["parameters"].pop("head.bias"),
            parts["arrays"].pop("nets.0.parameters.head.bias"),
        ),
        SIZES + "'head.bias'",
    ),
    "missing tensor": (
        delete_part("arrays", "target.mean"),
        "an invalid value of kind '$array'",
    ),
    "additional tensor": (
        set_part("arrays", "more", value=np.zeros(1)),
        "an additional tensor, 'more'",
    ),
    "tensor used twice": (
        set_part("target", "scale", value={"$array": "target.mean"}),
        "an invalid value of kind '$array'",
    ),
    "weights of another dtype": (
        set_part("arrays", "nets.0.parameters.head.bias", value=np.zeros(1, "f4")),
        SIZES + "'head.bias'",
    ),
    "weights of another shape": (
        set_part("arrays", "nets.0.parameters.head.bias", value=np.zeros(2)),
        SIZES + "'head.bias'",
    ),
    "weights that are a list": (
        lambda parts: (
            parts["nets"][0]["parameters"].update({"head.bias": [0.0]}),
            parts["arrays"].pop("nets.0.parameters.head.bias"),
        ),
        SIZES + "'head.bias'",
    ),
    "moments of another shape": (
        set_part("arrays", "nets.0.moments.0.exp_avg", value=np.zeros(1)),
        "moments of the optimiser that do not fit the weights",
    ),
    "moments of an unknown weight": (
        lambda parts: parts["nets"][0]["moments"]["$dict"][0].__setitem__(0, 99),
        "moments of the optimiser that do not fit the weights",
    ),
    "generator of another size": (
        set_part("arrays", "nets.0.order_generator", value=np.zeros(3, np.uint8)),
        None,
    ),
    "generator with an index beyond its numbers": (
        lambda parts: parts["arrays"]["nets.0.order_generator"].__setitem__(17, 255),
        None,
    ),
    "unknown generator": (
        set_part("nets", 0, "noise", 0, "bit_generator", value="os"),
        "a generator with an invalid 'bit_generator'",
    ),
    "generators that are missing": (
        set_part("nets", 0, "noise", value=[]),
        "another number of generators",
    ),
    "history that is no list": (
        set_part("nets", 0, "history", value="os"),
        "the state of a network with an invalid 'history'",
    ),
    "history without losses": (
        set_part("nets", 0, "history", 0, value={"train_loss": "os"}),
        "the state of a network with an invalid 'history'",
    ),
    "unknown kind of value": (
        set_part("params", "lr", value={"$pickle": "gASV"}),
        "an unknown kind of value, '$pickle'",
    ),
    "two kinds of value": (
        set_part("params", "lr", value={"$float": "nan", "$tuple": []}),
        "an unknown kind of value, '$float'",
    ),
    "values nested deeply": (
        set_part("params", "lr", value=json.loads("[" * 200 + "]" * 200)),
        "values that are nested too deeply",
    ),
    "number of an unknown dtype": (
        set_part("params", "lr", value={"$scalar": ["object", 1]}),
        "an invalid value of kind '$scalar'",
    ),
    "number beyond its dtype": (
        set_part("params", "lr", value={"$scalar": ["int8", 300]}),
        "an invalid value of kind '$scalar'",
    ),
    "strings of 10**9 characters": (
        set_part("params", "lr", value={"$strings": [HUGE, [1], ["a"]]}),
        "an array of strings of another shape",
    ),
    "strings that are numbers": (
        set_part("params", "lr", value={"$strings": [1, [1], [1]]}),
        "an array of strings that holds other values",
    ),
    "objects of another shape": (
        set_part("params", "lr", value={"$objects": [[HUGE], ["a"]]}),
        "an invalid value of kind '$objects'",
    ),
    "key that is a list": (
        set_part("params", "lr", value={"$dict": [[[1], 2]]}),
        "an invalid value of kind '$dict'",
    ),
    "forged requests": (
        set_part("requests", value={"__init__": {"a": True}}),
        "invalid requests of metadata",
    ),
    "bools that hold other numbers": (
        lambda parts: (
            parts["arrays"].update(more=np.array([2], np.uint8).view(bool)),
            parts["params"].update(lr={"$array": "more"}),
        ),
        "a tensor of bools that holds other numbers: 'more'",
    ),
}


@pytest.fixture(scope="module")
def fitted():
    return tiny().fit(X, y)


@pytest.mark.parametrize("case", BAD_DOCUMENTS)
def test_forged_files_are_refused(case, fitted, path):
    change, what = BAD_DOCUMENTS[case]
    edit(fitted, path, change)
    modules = set(sys.modules)

    tracemalloc.start()
    with pytest.raises(ValueError, match="must be a file that save_model wrote") as e:
        load_model(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()

    if what is not None:
        assert str(e.value) == refusal(path, what)
    assert peak < 50 * path.stat().st_size + 2**20
    assert not {module.split(".")[0] for module in set(sys.modules) - modules} - {
        "torch"
    }


@pytest.mark.parametrize("position", [-1, 625, 10**9])
def test_index_of_a_random_state_beyond_its_numbers_is_refused(position, path):
    model = tiny(random_state=np.random.RandomState(0)).fit(X, y)
    keys = ("params", "random_state", "$random_state", "state", "pos")
    edit(model, path, set_part(*keys, value=position))

    with raises(ValueError, refusal(path, "an invalid RandomState")):
        load_model(path)


def test_no_network_is_built_from_sizes_that_the_file_does_not_hold(
    fitted, path, monkeypatch
):
    def fail(*args):
        raise AssertionError("a network was built")

    monkeypatch.setattr("skrnn._base.build_net", fail)
    for name in ("hidden_sizes", "n_features", "n_outputs", "patch_size", "ar_order"):
        value = {"$tuple": [HUGE]} if name == "hidden_sizes" else HUGE
        edit(fitted, path, set_part("module", name, value=value))
        with pytest.raises(ValueError, match="must be a file that save_model wrote"):
            load_model(path)


def test_parameters_of_later_versions_take_their_defaults(fitted, path):
    edit(fitted, path, delete_part("params", "max_grad_norm"))

    assert load_model(path).max_grad_norm == 1.0
