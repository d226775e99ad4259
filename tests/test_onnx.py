"""Exported graphs, which onnxruntime runs, compared with the estimators.

The estimators are the oracle. Their own layers are compiled or torch's, and tested
against textbook formulas elsewhere; the graphs share no arithmetic with them.
"""

import itertools
import json
import os
import pickle
import sys

import numpy as np
import pandas as pd
import pytest
import torch
from messages import raises
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.exceptions import NotFittedError
from textbook import CELLS

import skrnn
from skrnn import BiRNNClassifier, RNNClassifier, RNNRegressor, load_model
from skrnn._data.step_targets import unwrap_target

onnx = pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")

# Rounding in float32: a state takes some 50 additions of numbers below 1, each with an
# error of up to 6e-8, and contracts. Raw outputs are of size 1 or larger, in units of
# the deviation of y; the error is relative to the larger of the two.
TOLERANCE = 1e-5

N_ROWS, N_STEPS, N_FEATURES = 14, 9, 3
rng = np.random.default_rng(0)
X = rng.normal(3, 2, size=(N_ROWS, N_STEPS, N_FEATURES)).astype(np.float32)
LENGTHS = rng.integers(2, N_STEPS + 1, size=N_ROWS)
LENGTHS[0], LENGTHS[-1] = N_STEPS, 2
RAGGED = [x[:length] for x, length in zip(X, LENGTHS, strict=True)]
LONGER = rng.normal(3, 2, size=(3, 2 * N_STEPS + 1, N_FEATURES)).astype(np.float32)
IDS = rng.integers(1, 8, size=(N_ROWS, N_STEPS))

number = 1000 + 50 * X[:, :, 0].astype(np.float64) + rng.normal(size=X.shape[:2])
names = np.array(["above", "around", "below", "beyond"])
code = np.digitize(X[:, :, 0] + X[:, :, 1], [4, 6, 8])
# Of each time step; those of a sequence are those of its last step.
TASKS = {
    "number": (RNNRegressor, {}, number),
    "float32": (RNNRegressor, {}, (number / 7).astype(np.float32)),
    "numbers": (RNNRegressor, {}, np.stack([number, -3 * number], axis=2)),
    "quantiles": (RNNRegressor, {"loss": "quantile", "quantiles": (0.1, 0.9)}, number),
    "quantiles of two": (
        RNNRegressor,
        {"loss": "quantile", "quantiles": (0.25, 0.5)},
        np.stack([number, number**2 / 99], axis=2),
    ),
    "two classes": (RNNClassifier, {}, names[code % 2]),
    "four classes": (RNNClassifier, {}, names[code]),
    "integers": (RNNClassifier, {}, 10 * code - 7),
    "indicator": (RNNClassifier, {}, np.stack([code > 0, code > 1], axis=2) * 1),
}
POOLINGS = ["last", "mean", "max", "concat", "attention"]
LAYERS = [4, (4, 4), (3, 5, 2)]
NETWORKS = [
    dict(cell_type=cell, nonlinearity=name, hidden_size=size, bidirectional=both)
    for (cell, name), size, both in itertools.product(CELLS, LAYERS, [False, True])
]
PLAIN = dict(max_epochs=1, patch_size=1, random_state=0)


def id_of(value):
    """Name a case by its values; None leaves it to pytest."""
    if isinstance(value, dict):
        value = tuple(value.values())
    if isinstance(value, tuple):
        return "-".join(map(id_of, value))
    return str(value)


def fit(task, sequences=X, **params):
    """Return an estimator whose network is far from trivial."""
    cls, options, y = TASKS[task]
    if cls is RNNRegressor:
        options = dict(window_norm=None, ar_order=0, early_stopping=False) | options
    params = PLAIN | options | params
    if not params.get("return_sequences"):
        y = y[:, -1]
    elif isinstance(sequences, list):
        y = [row[: len(x)] for row, x in zip(y, sequences, strict=True)]
    return randomize(cls(**params).fit(sequences, y))


def randomize(model, seed=0):
    """Replace parameters that a short fit leaves at zero, or near it."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for module in model._modules():
            for name, parameter in module.named_parameters():
                if "weight" not in name.rpartition(".")[2] or "layers" not in name:
                    part = parameter[2:] if "embedding" in name else parameter
                    noise = torch.randn(part.shape, generator=generator)
                    part.copy_(0.5 * noise)
    return model


def open_session(model, tmp_path, **params):
    path = tmp_path / "model.onnx"
    model.export_onnx(path, **params)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4  # not of errors that tests provoke, either
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(path, options)


def feeds(model, sequences):
    """Return sequences as the inputs of a graph."""
    has_ids = model.embedding_dim is not None
    dtype, filler = (np.int64, 0) if has_ids else (np.float32, np.nan)
    if not isinstance(sequences, list):
        return {"X": sequences.astype(dtype)}
    lengths = np.array([len(row) for row in sequences])
    shape = len(sequences), max(lengths) + 2, *np.shape(sequences[0])[1:]
    padded = np.full(shape, filler, dtype)  # for all, more than the longest needs
    for row, values in zip(padded, sequences, strict=True):
        row[: len(values)] = values
    if has_ids:
        return {"X": padded}
    return {"X": padded, "lengths": lengths}


def run(session, inputs):
    outputs = [output.name for output in session.get_outputs()]
    return dict(zip(outputs, session.run(None, inputs), strict=True))


def expected_outputs(model, sequences):
    if not isinstance(model, RNNRegressor):
        return {
            "label": model.predict(sequences),
            "probabilities": model.predict_proba(sequences),
        }
    expected = {"variable": model.predict(sequences)}
    if model.loss == "quantile":
        expected["quantiles"] = model.predict_quantiles(sequences)
    return expected


def size_of(values, model):
    """Return how far outputs vary, in the estimator or in y; 1 for probabilities."""
    if values.dtype == object:
        values = np.concatenate(list(values))
    if not isinstance(model, RNNRegressor):
        return 1.0
    deviation = unwrap_target(model._encoder.target).scale.max()
    return max(float(np.ptp(values)), deviation)


def assert_same_values(found, expected, size):
    if expected.dtype.kind != "f":
        assert_array_equal(found, expected)
        return
    # Numbers in float32 are rounded in units of y too, by half an eps twice.
    eps = np.finfo(np.float32).eps if expected.dtype == np.float32 else 0.0
    assert_allclose(found, expected, rtol=eps, atol=TOLERANCE * size)


def assert_same(model, session, *many):
    """Compare a graph with the estimator, on several X, the first of many rows."""
    sizes = {}
    for sequences in many:
        found = run(session, feeds(model, sequences))
        expected = expected_outputs(model, sequences)
        assert list(found) == list(expected)
        for name, values in expected.items():
            if name != "probabilities" and values.dtype != object:
                assert found[name].dtype in (values.dtype, object)
            size = sizes[name] = max(sizes.get(name, 0.0), size_of(values, model))
            if values.dtype != object:
                assert found[name].shape == values.shape
                assert_same_values(found[name], values, size)
                continue
            for row, of_row in zip(found[name], values, strict=True):
                assert_same_values(row[: len(of_row)], of_row, size)
                if of_row.dtype.kind == "f":
                    assert np.isnan(row[len(of_row) :]).all()


# Networks, tasks and pooling

ALL = [X, X[:1], LONGER, X[:, :1], RAGGED, RAGGED[:1], RAGGED[-1:]]


def assert_exports(tmp_path, task, params):
    model = fit(task, **params)
    assert_same(model, open_session(model, tmp_path), *ALL)


def rotated(cases, *others):
    """Pair each case with a value of each of the others, which take turns."""
    for i, case in enumerate(cases):
        yield case, *(other[(i + i // len(other)) % len(other)] for other in others)


@pytest.mark.parametrize(
    ("network", "pooling", "task"),
    rotated(NETWORKS, POOLINGS, list(TASKS)),
    ids=id_of,
)
def test_every_network_predicts_the_same(network, pooling, task, tmp_path):
    assert_exports(tmp_path, task, {**network, "pooling": pooling})


@pytest.mark.parametrize(
    ("network", "task"), rotated(NETWORKS, list(TASKS)[::-1]), ids=id_of
)
def test_every_network_predicts_the_same_at_each_step(network, task, tmp_path):
    assert_exports(tmp_path, task, {**network, "return_sequences": True})


@pytest.mark.slow
@pytest.mark.parametrize("pooling", [*POOLINGS, None])
@pytest.mark.parametrize("network", NETWORKS, ids=id_of)
def test_all_networks_poolings_and_tasks_predict_the_same(network, pooling, tmp_path):
    params = {"pooling": pooling} if pooling else {"return_sequences": True}
    for task in TASKS:
        assert_exports(tmp_path, task, {**network, **params})


@pytest.mark.parametrize("task", ["two classes", "indicator"])
def test_a_bidirectional_classifier_predicts_the_same(task, tmp_path):
    y = TASKS[task][2][:, -1]
    model = BiRNNClassifier(hidden_size=(3, 4), cell_type="gru", **PLAIN)
    model = randomize(model.fit(RAGGED, y))
    assert_same(model, open_session(model, tmp_path), *ALL)


# Forms of X

FLAT = X[:, :, 1]
UNIVARIATE = [row[:, 0] for row in RAGGED]


def columns(sequences):
    return [row[:, None] for row in sequences]


@pytest.mark.parametrize("task", ["number", "four classes"])
@pytest.mark.parametrize("per_step", [False, True])
def test_2d_sequences_of_one_feature(task, per_step, tmp_path):
    model = fit(task, FLAT, return_sequences=per_step, hidden_size=4)
    session = open_session(model, tmp_path)
    assert_same(model, session, FLAT, FLAT[3:4])
    (declared,) = session.get_inputs()
    assert (declared.name, declared.shape) == ("X", ["n_samples", N_STEPS])


@pytest.mark.parametrize("per_step", [False, True])
def test_ragged_sequences_of_one_feature(per_step, tmp_path):
    model = fit("number", UNIVARIATE, return_sequences=per_step, hidden_size=4)
    session = open_session(model, tmp_path)
    assert_same(model, session, columns(UNIVARIATE), X[:, :, :1])


def test_data_in_float64_is_standardised_in_float64(tmp_path):
    wide = 1e6 + 10 * X.astype(np.float64)  # standardised in float32, 1e-2 would be off
    model = fit("number", wide, hidden_size=4)
    assert_same(model, open_session(model, tmp_path), wide.astype(np.float32))


def test_without_standardisation_x_is_left_as_it_is(tmp_path):
    model = fit("number", hidden_size=4, standardize=False)
    assert_same(model, open_session(model, tmp_path), X, RAGGED)


def test_binary_columns_and_columns_of_integers(tmp_path):
    integers = np.stack([code > 1, 100 * code], axis=2)
    model = fit("four classes", integers, hidden_size=4)
    assert_same(model, open_session(model, tmp_path), integers.astype(np.float32))


# Windows, the linear model, patches

WINDOW_NORMS = [None, "last", "standard", "difference"]
FORMS = {
    "2-D": (FLAT, {}, [FLAT, FLAT[:1]]),
    "one feature": (UNIVARIATE, {}, [columns(UNIVARIATE), X[:, :, :1]]),
    "feature 1": (X, {"target_feature": 1}, [X, X[:1], LONGER, RAGGED]),
    "ragged": (RAGGED, {"target_feature": 2}, [X, RAGGED, RAGGED[-1:]]),
}
WINDOWS = [
    (form, dict(window_norm=norm, ar_order=order, patch_size=size))
    for form, norm, order, size in itertools.product(
        FORMS, WINDOW_NORMS, [0, 1, 4], [1, 3]
    )
]


def assert_exports_windows(tmp_path, form, params, task):
    sequences, options, many = FORMS[form]
    if task in ("numbers", "quantiles of two") and form == "feature 1":
        options = {"target_feature": [2, 0]}  # one for each output
    model = fit(task, sequences, hidden_size=4, **params, **options)
    assert model.ar_order_ == params["ar_order"]
    assert_same(model, open_session(model, tmp_path), *many)


OF_NUMBERS = ["number", "float32", "numbers", "quantiles", "quantiles of two"]
ignore_unlike = pytest.mark.filterwarnings(
    "ignore:window_norm=.* expects y to continue"
)


@ignore_unlike
@pytest.mark.parametrize(
    ("window", "task"), rotated(WINDOWS[::3], OF_NUMBERS), ids=id_of
)
def test_windows_and_linear_models_predict_the_same(window, task, tmp_path):
    assert_exports_windows(tmp_path, *window, task)


@pytest.mark.slow
@ignore_unlike
@pytest.mark.parametrize("task", OF_NUMBERS)
@pytest.mark.parametrize("window", WINDOWS, ids=id_of)
def test_all_windows_and_linear_models_predict_the_same(window, task, tmp_path):
    assert_exports_windows(tmp_path, *window, task)


STEP_WINDOWS = [
    (form, dict(window_norm=norm, ar_order=order, return_sequences=True))
    for form, norm, order in itertools.product(FORMS, [None, "difference"], [0, 3])
]


@ignore_unlike
@pytest.mark.parametrize(
    ("window", "task"), rotated(STEP_WINDOWS, OF_NUMBERS), ids=id_of
)
def test_windows_with_a_target_per_step(window, task, tmp_path):
    assert_exports_windows(tmp_path, *window, task)


@pytest.mark.slow
@ignore_unlike
@pytest.mark.parametrize("task", OF_NUMBERS)
@pytest.mark.parametrize("window", STEP_WINDOWS, ids=id_of)
def test_all_windows_with_a_target_per_step(window, task, tmp_path):
    assert_exports_windows(tmp_path, *window, task)


@ignore_unlike
def test_a_constant_window_is_divided_by_the_smallest_deviation(tmp_path):
    model = fit("number", FLAT, hidden_size=4, window_norm="standard")
    flat = np.ones_like(FLAT[:2])
    flat[1, -1] += 1e-4
    assert_same(model, open_session(model, tmp_path), FLAT, flat)


@pytest.mark.parametrize("pooling", POOLINGS)
@pytest.mark.parametrize("size", [2, 4, 20])
def test_patches_predict_the_same(size, pooling, tmp_path):
    params = dict(patch_size=size, pooling=pooling, bidirectional=True, hidden_size=3)
    model = fit("numbers", cell_type="lstm", **params)
    assert_same(model, open_session(model, tmp_path), *ALL)


# Initial states, embeddings, ensembles


@pytest.mark.parametrize("network", NETWORKS[2::4], ids=id_of)
def test_learned_initial_states_are_in_the_graph(network, tmp_path):
    model = fit("number", initial_state="learned", **network)
    assert_same(model, open_session(model, tmp_path), *ALL)


@pytest.mark.parametrize("initial_state", ["normal", "carry"])
def test_states_of_training_are_zeros_in_the_graph(initial_state, tmp_path):
    model = fit("number", initial_state=initial_state, hidden_size=4)
    assert_same(model, open_session(model, tmp_path), *ALL)


PADDED_IDS = np.where(np.arange(N_STEPS) < LENGTHS[:, None], IDS, 0)
RAGGED_IDS = [row[:n] for row, n in zip(IDS, LENGTHS, strict=True)]


@pytest.mark.parametrize("network", NETWORKS[1::5], ids=id_of)
@pytest.mark.parametrize("pooling", ["last", "concat", None])
def test_token_ids_are_embedded(network, pooling, tmp_path):
    params = {"pooling": pooling} if pooling else {"return_sequences": True}
    params = {**network, **params, "embedding_dim": 3}
    model = fit("two classes", RAGGED_IDS, **params)
    assert_same(model, open_session(model, tmp_path), RAGGED_IDS, RAGGED_IDS[-2:])


@pytest.mark.parametrize("ids", [IDS, PADDED_IDS], ids=["full", "padded"])
@pytest.mark.parametrize("patch_size", [1, 2])
def test_2d_token_ids_may_be_padded(ids, patch_size, tmp_path):
    model = fit("number", ids, embedding_dim=2, patch_size=patch_size, hidden_size=3)
    assert_same(model, open_session(model, tmp_path), ids, PADDED_IDS, IDS[:1])


@pytest.mark.parametrize("per_step", [False, True])
@pytest.mark.parametrize("task", TASKS)
def test_the_members_of_an_ensemble_are_averaged_in_the_graph(task, per_step, tmp_path):
    params = dict(n_members=3, return_sequences=per_step, hidden_size=3)
    model = fit(task, **params)
    assert_same(model, open_session(model, tmp_path), *ALL)


def test_each_member_embeds_by_its_own_vectors(tmp_path):
    model = fit("number", IDS, embedding_dim=2, n_members=2, hidden_size=3)
    assert_same(model, open_session(model, tmp_path), IDS)


# What `lengths` and ids must be


@pytest.fixture
def dense(tmp_path):
    model = fit("number", hidden_size=4)
    return model, open_session(model, tmp_path)


def test_lengths_may_be_left_out_or_be_minus_one(dense):
    _, session = dense
    expected = run(session, {"X": X})["variable"]
    for lengths in (np.full(N_ROWS, N_STEPS), np.full(N_ROWS, -1)):
        found = run(session, {"X": X, "lengths": lengths})["variable"]
        assert_array_equal(found, expected)


RULE = "lengths must be from {} to n_timesteps"


@pytest.mark.parametrize("length", [0, -2, N_STEPS + 1])
def test_lengths_outside_of_the_rows_are_refused(length, dense):
    lengths = np.full(N_ROWS, 5)
    lengths[3] = length
    with pytest.raises(Exception, match=RULE.format(1)):
        run(dense[1], {"X": X, "lengths": lengths})


@ignore_unlike
def test_differences_need_rows_of_two_steps(tmp_path):
    model = fit("number", window_norm="difference", target_feature=0, hidden_size=4)
    session = open_session(model, tmp_path)
    with pytest.raises(Exception, match=RULE.format(2)):
        run(session, {"X": X, "lengths": np.full(N_ROWS, 1)})
    with pytest.raises(Exception, match=RULE.format(2)):
        run(session, {"X": X[:, :1]})


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("sequences", [X, FLAT], ids=["3-D", "2-D"])
def test_values_that_are_not_finite_are_refused(sequences, value, tmp_path):
    model = fit("four classes", sequences, hidden_size=4)
    session, wrong = open_session(model, tmp_path), sequences.copy()
    wrong[2, 3] = value
    with pytest.raises(Exception, match="X must be finite"):
        run(session, {"X": wrong})


@pytest.mark.parametrize(
    ("row", "rule"),
    [
        ([1, 8], "X must hold ids from 0 to 7"),
        ([1, -1], "X must hold ids from 0 to 7"),
        ([0, 1], "X must have the padding 0 behind the tokens only"),
        ([0, 0], "X must have a token in every row"),
    ],
)
def test_wrong_token_ids_are_refused(row, rule, tmp_path):
    model = fit("number", list(IDS), embedding_dim=2, hidden_size=3)
    session = open_session(model, tmp_path)
    with pytest.raises(Exception, match=rule):
        run(session, {"X": np.array([row, [1, 2]])})


# Labels


@pytest.mark.parametrize(
    ("labels", "dtype"),
    [
        (np.array(["ä", "", "b b"]), object),
        (np.array(["x", "y", "z"], dtype=object), object),
        (np.array([-5, 0, 7], dtype=np.int8), np.int64),
        (np.array([0, 3, 200], dtype=np.uint8), np.int64),
        (np.array([0.0, 1.0, 2.0]), np.float64),
        (np.array([False, True]), np.bool_),
    ],
    ids=["U", "O", "int8", "uint8", "float64", "bool"],
)
def test_labels_of_any_type_are_in_the_graph(labels, dtype, tmp_path):
    y = labels[np.arange(N_ROWS) % len(labels)]
    model = randomize(RNNClassifier(hidden_size=4, **PLAIN).fit(X, y), seed=4)
    found = run(open_session(model, tmp_path), {"X": X})["label"]
    assert found.dtype == dtype
    assert_array_equal(found, model.predict(X))
    assert len(set(found.tolist())) > 1


def test_labels_that_onnx_has_no_type_for_are_refused(tmp_path):
    labels = np.array([2**63, 2**63 + 2], dtype=np.uint64)
    model = RNNClassifier(hidden_size=4, **PLAIN).fit(X, labels[np.arange(N_ROWS) % 2])
    message = (
        "The labels in y must be strings, or integers of 64 bits, floats or booleans, "
        "for export_onnx. Got 9223372036854775808 of type int among them. Replace them "
        "in y, and fit again."
    )
    with raises(ValueError, message):
        model.export_onnx(tmp_path / "model.onnx")
    assert list(tmp_path.iterdir()) == []


# Edge cases of fits


def test_a_constant_target_is_predicted(tmp_path):
    model = RNNRegressor(hidden_size=4, max_epochs=1, random_state=0)
    model.fit(X, np.full(N_ROWS, 7.0))
    session = open_session(model, tmp_path)
    assert_allclose(run(session, {"X": X})["variable"], model.predict(X), rtol=1e-6)


def test_a_constant_feature_is_left_at_its_distance(tmp_path):
    constant = X.copy()
    constant[:, :, 1] = 4
    model = fit("number", constant, hidden_size=4)
    assert_same(model, open_session(model, tmp_path), constant, X)


def test_large_logits_are_certain_and_not_nan(tmp_path):
    for task in ("two classes", "four classes", "indicator"):
        for n_members in (1, 2):
            model = fit(task, hidden_size=4, n_members=n_members)
            with torch.no_grad():
                for module in model._modules():
                    module.head.weight.mul_(1e3)
            assert_same(model, open_session(model, tmp_path), X)


def test_the_default_regressor_exports_what_it_chose(tmp_path):
    series = np.cumsum(rng.normal(size=130)) + 50
    windows, y = skrnn.make_windows(series, window_size=50)
    model = RNNRegressor(max_epochs=2, random_state=0, early_stopping=False)
    model.fit(windows, y)
    assert model.ar_order_ > 0
    session = open_session(model, tmp_path)
    assert_same(model, session, windows.astype(np.float32))


def test_the_default_classifier_of_long_sequences(tmp_path):
    long = rng.normal(size=(20, 100)).astype(np.float32)
    model = RNNClassifier(max_epochs=1, random_state=0)
    model = randomize(model.fit(long, np.arange(20) % 3))
    assert (model.pooling_, model.patch_size_ > 1) == ("concat", True)
    assert_same(model, open_session(model, tmp_path), long, long[:1])


def test_continued_training_is_exported(tmp_path):
    model = RNNClassifier(hidden_size=4, random_state=0)
    y = np.arange(N_ROWS) % 2
    model.partial_fit(X, y, classes=[0, 1, 2]).partial_fit(X[:3], y[:3])
    assert_same(model, open_session(model, tmp_path), *ALL)


def test_a_loaded_model_and_a_copy_export_the_same_file(tmp_path):
    model = fit("quantiles", n_members=2, hidden_size=4)
    model.save_model(tmp_path / "model.safetensors")
    loaded = load_model(tmp_path / "model.safetensors")
    files = []
    for each in (model, loaded, pickle.loads(pickle.dumps(model)), model):
        each.export_onnx(tmp_path / "model.onnx")
        files.append((tmp_path / "model.onnx").read_bytes())
    assert files == files[:1] * 4


# The file


def exported(model, tmp_path):
    path = tmp_path / "model.onnx"
    model.export_onnx(path)
    return onnx.load(path)


def test_the_file_says_who_wrote_it_and_what_it_takes(tmp_path):
    model = exported(fit("four classes", hidden_size=4), tmp_path)
    assert (model.producer_name, model.producer_version) == (
        "skrnn",
        skrnn.__version__,
    )
    properties = {entry.key: entry.value for entry in model.metadata_props}
    assert properties == {"estimator": "RNNClassifier"}
    described = {
        value.name: value.doc_string
        for value in (*model.graph.input, *model.graph.output)
    }
    assert list(described) == ["X", "lengths", "label", "probabilities"]
    assert described["lengths"] == (
        "Number of time steps of each row, at least 1. If it is left out, or -1, a row "
        "has n_timesteps."
    )
    assert all(described.values())


def test_the_file_has_the_names_of_columns(tmp_path):
    frame = pd.DataFrame(FLAT, columns=[f"day {i}" for i in range(N_STEPS)])
    model = RNNRegressor(hidden_size=4, **PLAIN).fit(frame, number[:, -1])
    properties = {p.key: p.value for p in exported(model, tmp_path).metadata_props}
    assert json.loads(properties["feature_names"]) == list(frame.columns)


def test_the_file_has_the_names_of_columns_of_ragged_frames(tmp_path):
    frames = [pd.DataFrame(row, columns=["a", "b", "c"]) for row in RAGGED]
    model = fit("number", frames, hidden_size=4)
    properties = {p.key: p.value for p in exported(model, tmp_path).metadata_props}
    assert json.loads(properties["feature_names"]) == ["a", "b", "c"]


def test_the_file_is_for_old_runtimes_too(tmp_path):
    model = exported(fit("number", hidden_size=4), tmp_path)
    assert (model.ir_version, model.opset_import[0].version) == (8, 17)


def test_weights_are_stored_once_under_their_names(tmp_path):
    model = fit("number", cell_type="lstm", hidden_size=(3, 4))
    arrays = {
        constant.name: onnx.numpy_helper.to_array(constant)
        for constant in exported(model, tmp_path).graph.initializer
    }
    state = model.module_.state_dict()
    assert_array_equal(arrays["head.weight"], state["head.weight"].numpy().T)
    i, f, g, o = state["layers.1.weight_hh_l0"].numpy().reshape(4, 4, 4)
    assert_array_equal(arrays["layers.1.weight_hh"][0], np.concatenate([i, o, f, g]))


def test_an_existing_file_is_replaced_only_by_a_whole_one(tmp_path, monkeypatch):
    path = tmp_path / "model.onnx"
    model = fit("number", hidden_size=4)
    path.write_text("something else")
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", lambda file: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            model.export_onnx(path)
    assert path.read_text() == "something else"
    assert list(tmp_path.iterdir()) == [path]
    model.export_onnx(str(path))
    onnx.checker.check_model(path, full_check=True)
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_that_does_not_exist_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="missing"):
        fit("number", hidden_size=4).export_onnx(tmp_path / "missing" / "model.onnx")


# What cannot be exported


def test_an_unfitted_estimator_cannot_be_exported(tmp_path):
    with pytest.raises(NotFittedError, match="This RNNRegressor instance is not fitte"):
        RNNRegressor().export_onnx(tmp_path / "model.onnx")


def scale_head(module):
    module.head = torch.nn.Sequential(module.head)
    return "a Sequential at module_.head"


def hook_layers(module):
    module.layers[0].register_forward_hook(lambda *_: None)
    return "forward hooks at module_.layers.0"


@pytest.mark.parametrize("change", [scale_head, hook_layers])
def test_a_changed_network_is_refused(change, tmp_path):
    model = fit("number", hidden_size=4)
    got = change(model.module_)
    message = (
        "The network must be as fit made it for export_onnx. "
        f"Got {got}. Remove what was added to module_."
    )
    with raises(ValueError, message):
        model.export_onnx(tmp_path / "model.onnx")


def test_weights_beyond_float32_are_refused(tmp_path):
    model = fit("number", X.astype(np.float64), hidden_size=4)
    with torch.no_grad():
        model.module_.head.weight[0, 0] = 1e39
    message = (
        "All weights must be finite in float32 for export_onnx. Got NaN or infinity in "
        "head.weight. Fit again with a lower lr."
    )
    with raises(ValueError, message):
        model.export_onnx(tmp_path / "model.onnx")


def test_a_missing_package_is_named_with_its_extra(tmp_path, monkeypatch):
    for name in [name for name in sys.modules if name.startswith("skrnn._onnx")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "onnx", None)  # importing it then fails
    message = (
        "export_onnx needs the package onnx, which is not installed. Run "
        'pip install "skrnn[onnx]".'
    )
    with raises(ImportError, message):
        fit("number", hidden_size=4).export_onnx(tmp_path / "model.onnx")
