"""One step at a time against predict on the whole prefix."""

import copy
import pickle

import numpy as np
import pytest
import torch
from messages import raises
from numpy.testing import assert_allclose, assert_array_equal

from skrnn import BiRNNClassifier, RNNClassifier, RNNRegressor
from skrnn._inference.streaming import Stream

rng = np.random.default_rng(0)
X = rng.normal(size=(8, 9, 2))
NUMBERS, LABELS = np.cumsum(X[:, :, 0], axis=1), np.cumsum(X[:, :, 0], axis=1) > 0
TINY = dict(hidden_size=4, max_epochs=2, random_state=0)
LONG = rng.normal(size=(1, 1000, 2))

cells = pytest.mark.parametrize("cell_type", ["rnn", "gru", "lstm"])


def prefixes(model, x):
    """Return the prediction for every prefix of one sequence."""
    if model.return_sequences:
        return model.predict(x[None])[0]
    return np.array([model.predict(x[None, : t + 1])[0] for t in range(len(x))])


# In standard deviations of y. The errors of float32, which has seven digits, do not add
# up over the steps, since the state contracts: they are 3e-7 at most with three seeds.
UNIT = NUMBERS.std()
TOLERANCE = {np.float64: 1e-9, np.float32: 2e-6}


@pytest.mark.parametrize(
    ("cell_type", "dtype"),
    [("rnn", np.float32), ("gru", np.float64), ("lstm", np.float32)],
)
def test_a_thousand_steps_equal_the_prediction_of_the_sequence(cell_type, dtype):
    model = RNNRegressor(**TINY, cell_type=cell_type, return_sequences=True)
    model.fit(X.astype(dtype), NUMBERS)
    stream = model.stream()
    predictions = [stream.predict_step(x_t) for x_t in LONG[0].astype(dtype)]
    expected = model.predict(LONG.astype(dtype))[0]
    assert_allclose(predictions, expected, rtol=0, atol=TOLERANCE[dtype] * UNIT)


@pytest.mark.parametrize(
    ("pooling", "patch_size", "cell_type", "dtype"),
    [
        ("mean", 1, "lstm", np.float32),
        ("max", 1, "rnn", np.float64),
        ("attention", 1, "gru", np.float32),
        ("concat", 7, "lstm", np.float64),
    ],
)
def test_a_thousand_steps_are_pooled_as_the_sequence(
    pooling, patch_size, cell_type, dtype
):
    model = RNNRegressor(
        **TINY, cell_type=cell_type, pooling=pooling, patch_size=patch_size
    )
    model.fit(X.astype(dtype), NUMBERS[:, -1])
    stream, long = model.stream(), LONG.astype(dtype)
    predictions = [stream.predict_step(x_t) for x_t in long[0]]
    ends = [1, 10, 100, 1000]
    expected = [model.predict(long[:, :end])[0] for end in ends]
    predictions = [predictions[end - 1] for end in ends]
    assert_allclose(predictions, expected, rtol=0, atol=TOLERANCE[dtype] * UNIT)


@pytest.mark.parametrize(
    ("cell_type", "pooling", "patch_size", "hidden_size"),
    [
        ("rnn", "last", 1, (5, 3)),
        ("gru", "mean", 1, 4),
        ("lstm", "max", 1, (5, 3)),
        ("gru", "concat", 1, 4),
        ("rnn", "attention", 1, 4),
        ("lstm", "last", 1, 4),
        ("gru", "attention", 1, (5, 3)),
        ("rnn", "last", 2, 4),
        ("lstm", "concat", 3, (5, 3)),
        ("gru", "attention", 2, 4),
        ("rnn", "mean", 100, 4),
    ],
)
def test_each_step_predicts_for_the_sequence_so_far(
    cell_type, pooling, patch_size, hidden_size
):
    params = TINY | {"hidden_size": hidden_size, "pooling": pooling, "num_layers": 2}
    params["patch_size"] = patch_size
    model = RNNRegressor(**params, cell_type=cell_type).fit(X, NUMBERS[:, -1])
    stream = model.stream()
    predictions = [stream.predict_step(x_t) for x_t in X[0]]
    assert_allclose(predictions, prefixes(model, X[0]), rtol=1e-9)


@pytest.mark.parametrize("return_sequences", [False, True])
@pytest.mark.parametrize(
    "params",
    [{"ar_order": 3}, {"window_norm": "difference"}, {"initial_state": "learned"}],
)
def test_a_stream_keeps_lags_differences_and_learned_states(params, return_sequences):
    params = {"ar_order": 2, "target_feature": 0} | params
    y = X[:, :, 0] + 0.1 * NUMBERS
    model = RNNRegressor(**TINY, **params, return_sequences=return_sequences)
    model.fit(X, y if return_sequences else y[:, -1])
    stream = model.stream(X[:1, :2])
    predictions = [stream.predict_step(x_t) for x_t in X[0, 2:]]
    whole = (
        model.predict(X[:1])[0]
        if return_sequences
        else [model.predict(X[:1, : t + 1])[0] for t in range(9) if t > 0]
    )
    assert_allclose(predictions, whole[-7:], rtol=1e-9)


@pytest.mark.parametrize("return_sequences", [False, True])
def test_parallel_streams_continue_sequences_of_any_length(return_sequences):
    y = NUMBERS if return_sequences else NUMBERS[:, -1]
    for params in ({}, {"pooling": "mean"}, {"cell_type": "lstm", "num_layers": 2}):
        if return_sequences and "pooling" in params:
            continue
        model = RNNRegressor(**TINY, **params, return_sequences=return_sequences)
        model.fit(X, y)
        known = [X[0, :3], X[1, :7], X[2, :1]]
        stream = model.stream(known)
        assert stream.n_streams == 3
        for t in range(2):
            step = np.stack([X[i, len(x) + t] for i, x in enumerate(known)])
            predictions = stream.predict_step(step)
            for i, x in enumerate(known):
                whole = model.predict(X[i : i + 1, : len(x) + t + 1])[0]
                expected = whole[-1] if return_sequences else whole
                assert predictions[i] == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize(
    ("pooling", "window_norm"),
    [
        ("last", "difference"),
        ("mean", None),
        ("max", "difference"),
        ("attention", None),
    ],
)
def test_a_stream_continues_a_given_history(pooling, window_norm):
    model = RNNRegressor(
        **TINY,
        pooling=pooling,
        window_norm=window_norm,
        target_feature=0,
        ar_order=3,
        cell_type="lstm",
        num_layers=2,
    ).fit(X, X[:, -1, 0] + 0.1 * NUMBERS[:, -1])
    for known in (X[:3, :4], [X[0, :3], X[1, :7], X[2, :2]]):
        stream = model.stream(known)
        for t in range(2):
            steps = np.stack([X[i, len(x) + t] for i, x in enumerate(known)])
            expected = model.predict(
                [X[i, : len(x) + t + 1] for i, x in enumerate(known)]
            )
            assert_allclose(stream.predict_step(steps), expected, rtol=1e-9)


@pytest.mark.parametrize("return_sequences", [False, True])
def test_parallel_streams_of_several_outputs_differ_from_each_other(return_sequences):
    y = X if return_sequences else X[:, -1]
    model = RNNRegressor(**TINY, return_sequences=return_sequences).fit(X, y)
    stream = model.stream(n_streams=8)
    for t in range(9):
        predictions = stream.predict_step(X[:, t])
        assert predictions.shape == (8, 2)
        expected = model.predict(X[:, : t + 1])
        expected = expected[:, -1] if return_sequences else expected
        assert_allclose(predictions, expected, rtol=1e-9)


def test_a_prediction_has_an_axis_of_streams_where_the_step_has_one():
    model = RNNRegressor(**TINY).fit(X[:, :, :1], NUMBERS[:, -1].astype(np.float32))
    alone = model.stream().predict_step(1.0)
    assert np.shape(alone) == ()
    assert model.stream().predict_step([1.0]) == alone
    assert_array_equal(model.stream().predict_step([[1.0]]), [alone])
    assert alone.dtype == np.float32
    both = RNNRegressor(**TINY).fit(X, X[:, -1])
    assert both.stream().predict_step(X[0, 0]).shape == (2,)
    assert both.stream().predict_step(X[:1, 0]).shape == (1, 2)
    labels = RNNClassifier(**TINY).fit(X, np.arange(8) % 3)
    assert labels.stream().predict_proba_step(X[0, 0]).shape == (3,)
    assert labels.stream(X[:4]).predict_proba_step(X[:4, 0]).shape == (4, 3)


def test_several_labels_of_a_step():
    several = np.stack([LABELS, ~LABELS, X[:, :, 1] > 0], axis=2)[:, -1].astype(int)
    model = RNNClassifier(**TINY).fit(X, several)
    labels, odds = model.stream(X[:, :5]), model.stream(X[:, :5])
    for t in range(5, 9):
        seen = X[:, : t + 1]
        assert_array_equal(labels.predict_step(X[:, t]), model.predict(seen))
        expected = model.predict_proba(seen)
        assert_allclose(odds.predict_proba_step(X[:, t]), expected, rtol=1e-9)


@pytest.mark.parametrize("return_sequences", [False, True])
def test_labels_and_probabilities(return_sequences):
    y = LABELS if return_sequences else LABELS[:, -1]
    model = RNNClassifier(**TINY, return_sequences=return_sequences)
    model.fit(X, np.where(y, "up", "down"))
    labels, odds = model.stream(n_streams=8), model.stream(n_streams=8)
    for t in range(9):
        label, p = labels.predict_step(X[:, t]), odds.predict_proba_step(X[:, t])
        expected = model.predict(X[:, : t + 1]), model.predict_proba(X[:, : t + 1])
        if return_sequences:
            expected = expected[0][:, -1], expected[1][:, -1]
        assert_array_equal(label, expected[0])
        assert_allclose(p, expected[1], rtol=1e-9)


def test_several_outputs_quantiles_and_ids():
    model = RNNRegressor(**TINY, return_sequences=True).fit(X, X)
    stream = model.stream()
    assert_allclose(
        [stream.predict_step(x_t) for x_t in X[0]], model.predict(X[:1])[0], rtol=1e-9
    )
    model = RNNRegressor(**TINY, loss="quantile", return_sequences=True)
    stream = model.fit(X, NUMBERS).stream()
    assert_allclose(
        [stream.predict_step(x_t) for x_t in X[0]], model.predict(X[:1])[0], rtol=1e-9
    )
    ids = [rng.integers(1, 6, size=n) for n in (3, 5, 2, 4)]
    model = RNNClassifier(**TINY, embedding_dim=3).fit(ids, [0, 1, 0, 1])
    stream = model.stream()
    predictions = [stream.predict_proba_step(token) for token in ids[1]]
    expected = [model.predict_proba([ids[1][: t + 1]])[0] for t in range(5)]
    assert_allclose(predictions, expected, rtol=1e-9)


def test_a_step_with_an_unknown_id_is_rejected_and_not_taken():
    ids = [np.array([1, 2, 5]), np.array([3, 4])]
    model = RNNClassifier(**TINY, embedding_dim=3).fit(ids, [0, 1])
    stream = model.stream(ids)
    for token in (0, 6, 2.5, -1):
        message = (
            "x_t must hold token ids from 1 to 5, as the X in fit. Got "
            f"[2.0, {token:.1f}]. Give unknown tokens the id 1."
        )
        with raises(ValueError, message):
            stream.predict_proba_step([[2], [token]])
    expected = model.predict_proba([np.append(row, 2) for row in ids])
    assert_allclose(stream.predict_proba_step([[2], [2]]), expected, rtol=1e-9)


@pytest.mark.parametrize("pooling", ["mean", "max", "attention"])
def test_pooled_values_are_copied_pickled_and_reset(pooling):
    model = RNNRegressor(**TINY, pooling=pooling).fit(X, NUMBERS[:, -1])
    stream = model.stream(X[:2, :4])
    for each in (copy.deepcopy(stream), pickle.loads(pickle.dumps(stream))):
        predictions = [each.predict_step(X[:2, t]) for t in range(4, 9)]
        assert_allclose(predictions[-1], model.predict(X[:2]), rtol=1e-9)
    stream.reset()
    predictions = [stream.predict_step(X[:2, t]) for t in range(4, 9)]
    assert_allclose(predictions[-1], model.predict(X[:2, 4:]), rtol=1e-9)


@pytest.mark.parametrize("cell_type", ["rnn", "lstm"])
def test_a_pickled_stream_continues_and_a_reset_one_starts_again(cell_type):
    model = RNNRegressor(
        **TINY,
        cell_type=cell_type,
        return_sequences=True,
        window_norm="difference",
        target_feature=0,
        ar_order=2,
    ).fit(X, X[:, :, 0] + 0.1 * NUMBERS)
    expected = model.predict(X[:1])[0]
    stream = model.stream()
    for x_t in X[0, :4]:
        stream.predict_step(x_t)
    again = pickle.loads(pickle.dumps(stream))
    for each in (stream, again):
        assert_allclose(
            [each.predict_step(x_t) for x_t in X[0, 4:]], expected[4:], rtol=1e-9
        )
    assert stream.reset() is stream
    assert_allclose([stream.predict_step(x_t) for x_t in X[0]], expected, rtol=1e-9)


@cells
def test_an_invalid_step_is_rejected_and_not_taken(cell_type):
    params = {"window_norm": "difference", "ar_order": 2, "target_feature": 0}
    model = RNNRegressor(
        **TINY, **params, cell_type=cell_type, return_sequences=True
    ).fit(X, X[:, :, 0] + 0.1 * NUMBERS)
    stream = model.stream()
    stream.predict_step(X[0, 0])
    wrong_shapes = {
        "(1,)": [1.0],
        "(2, 2)": [[1.0, 2.0]] * 2,
        "(1, 1, 2)": np.zeros((1, 1, 2)),
    }
    for shape, x_t in wrong_shapes.items():
        message = f"x_t must have shape (1, 2): streams, features. Got shape {shape}."
        with raises(ValueError, message):
            stream.predict_step(x_t)
    message = (
        "x_t must be finite. Got NaN, infinity or a value too large for "
        "dtype('float64')."
    )
    for x_t in ([1.0, -np.inf], [np.nan, 1.0]):
        with raises(ValueError, message):
            stream.predict_step(x_t)
    predictions = [stream.predict_step(x) for x in X[0, 1:]]
    assert_allclose(predictions, model.predict(X[:1])[0, 1:], rtol=1e-9)


def test_a_step_that_overflows_is_not_taken():
    model = RNNRegressor(**TINY, return_sequences=True, nonlinearity="relu")
    model.fit(X, NUMBERS)
    with torch.no_grad():
        model.module_.layers[0].weight_ih_l0.fill_(1e200)
        model.module_.head.weight.fill_(1e200)
    stream = model.stream()
    message = (
        "The prediction must be finite. Got NaN or infinity. Compare the scale of x_t "
        "with that of the X in fit."
    )
    with raises(ValueError, message):
        stream.predict_step([1e90, 1e90])
    model.module_.layers[0].weight_ih_l0.data.fill_(0.1)
    model.module_.head.weight.data.fill_(0.1)
    expected = model.predict(X[:1, :1])[0, 0]
    assert stream.predict_step(X[0, 0]) == pytest.approx(expected)


@pytest.mark.parametrize("again", ["fit", "warm_start", "partial_fit"])
def test_a_stream_raises_after_the_estimator_was_fitted_again(again):
    labels = LABELS[:, -1]
    model = RNNClassifier(**TINY, warm_start=again == "warm_start").fit(X, labels)
    stream = model.stream()
    stream.predict_step(X[0, 0])
    model.partial_fit(X, labels) if again == "partial_fit" else model.fit(X, labels)
    message = (
        "A stream must be used with the fit it was made from. Got an estimator that "
        "was fitted again. Call its stream method."
    )
    for use in (
        lambda stream: stream.predict_step(X[0, 0]),
        lambda stream: stream.predict_proba_step(X[0, 0]),
        Stream.reset,
        pickle.dumps,
        copy.deepcopy,
    ):
        with raises(ValueError, message):
            use(stream)


@pytest.mark.parametrize(
    ("model", "y", "message"),
    [
        (
            BiRNNClassifier(**TINY),
            LABELS[:, -1],
            "stream needs a network that reads forward in time. Got a "
            "bidirectional BiRNNClassifier, whose output depends on the end of the "
            "sequence.",
        ),
        (
            RNNRegressor(**TINY, bidirectional=True, return_sequences=True),
            NUMBERS,
            "stream needs a network that reads forward in time. Got a "
            "bidirectional RNNRegressor, whose output depends on the end of the "
            "sequence.",
        ),
        (
            RNNRegressor(**TINY, window_norm="standard", target_feature=0),
            X[:, -1, 0],
            "stream needs a network whose state determines the prediction. Got "
            "window_norm='standard', which normalises all steps again with each new "
            "one. Use 'difference' or None.",
        ),
        (
            RNNRegressor(**TINY, window_norm="last", target_feature=0),
            X[:, -1, 0],
            "stream needs a network whose state determines the prediction. Got "
            "window_norm='last', which normalises all steps again with each new one. "
            "Use 'difference' or None.",
        ),
    ],
)
def test_networks_whose_state_does_not_determine_the_output_have_no_stream(
    model, y, message
):
    model.fit(X, y)
    with raises(ValueError, message):
        model.stream()


def test_a_network_fitted_on_2d_x_has_no_stream():
    message = (
        "stream needs a RNNRegressor fitted on sequences of any length. Got one fitted "
        "on 2-D X with 9 time steps. Fit on X[:, :, None]."
    )
    model = RNNRegressor(**TINY).fit(X[:, :, 0], NUMBERS[:, -1])
    with raises(ValueError, message):
        model.stream()


@pytest.mark.parametrize(
    "params", [{"initial_state": "normal"}, {"dropout": 0.5, "num_layers": 2}]
)
def test_a_stream_after_unpickling_is_deterministic(params):
    model = RNNRegressor(**TINY, **params, return_sequences=True).fit(X, NUMBERS)
    expected = model.predict(X[:1])[0]
    loaded = pickle.loads(pickle.dumps(model))
    predictions = [loaded.stream(X[:1, :t]).predict_step(X[0, t]) for t in range(1, 9)]
    assert_allclose(predictions, expected[1:], rtol=1e-9)


def test_n_streams_must_be_a_positive_int():
    model = RNNRegressor(**TINY, return_sequences=True).fit(X, NUMBERS)
    for n_streams in (0, -1, 1.5, True, "2", None):
        message = f"n_streams must be an int from 1 upwards. Got {n_streams!r}."
        with raises(ValueError, message):
            model.stream(n_streams=n_streams)


def test_parameters_set_after_fit_have_no_effect():
    params = TINY | {"window_norm": "difference", "target_feature": 0}
    model = RNNRegressor(**params, return_sequences=True).fit(X, X[:, :, 0] + 0.1)
    expected, forecast = model.predict(X)[0], model.forecast(X, 2, X[:, :2, 1:])
    model.set_params(return_sequences=False, window_norm=None)
    stream = model.stream()
    predictions = [stream.predict_step(x_t) for x_t in X[0]]
    assert_allclose(predictions, expected, rtol=1e-9)
    assert_array_equal(model.predict(X)[0], expected)
    assert_array_equal(model.forecast(X, 2, X[:, :2, 1:]), forecast)


def test_a_stream_of_differences_needs_a_step_before():
    model = RNNRegressor(**TINY, window_norm="difference", target_feature=0)
    model.fit(X, X[:, -1, 0] + 0.1)
    message = (
        "A stream with window_norm='difference' must have a time step before "
        "its first prediction. Got none. Pass the first steps as stream(X)."
    )
    with raises(ValueError, message):
        model.stream().predict_step(X[0, 0])
    with pytest.raises(ValueError, match="at least 2 time steps"):
        model.predict(X[:1, :1])
    stream = model.stream(X[:1, :1])
    expected = model.predict(X[:1, :2])
    assert_allclose(stream.predict_step(X[0, 1]), expected[0], rtol=1e-9)


def test_a_regressor_has_no_probabilities():
    model = RNNRegressor(**TINY, return_sequences=True).fit(X, NUMBERS)
    message = (
        "predict_proba_step is for classifiers. Got RNNRegressor. Use predict_step."
    )
    with raises(AttributeError, message):
        model.stream().predict_proba_step(X[0, 0])


def test_a_step_changes_neither_random_states_nor_threads():
    model = RNNRegressor(**TINY, return_sequences=True).fit(X, NUMBERS)
    model.set_params(n_jobs=2)
    before, threads = torch.random.get_rng_state(), torch.get_num_threads()
    of_numpy = pickle.dumps(np.random.get_state())  # noqa: NPY002
    model.stream(X[:1]).predict_step(X[0, 0])
    assert torch.equal(torch.random.get_rng_state(), before)
    assert pickle.dumps(np.random.get_state()) == of_numpy  # noqa: NPY002
    assert torch.get_num_threads() == threads


@pytest.mark.parametrize("initial_state", ["zeros", "learned"])
@pytest.mark.parametrize("cell_type", ["rnn", "gru", "lstm"])
def test_copies_of_a_plain_stream_go_on_where_it_stands(cell_type, initial_state):
    X = np.random.default_rng(0).normal(size=(6, 5, 1))
    model = RNNRegressor(
        4,
        cell_type=cell_type,
        initial_state=initial_state,
        max_epochs=2,
        random_state=0,
        return_sequences=True,
    ).fit(X, X[:, :, 0])
    stream = model.stream(X[:1, :3])
    copies = [pickle.loads(pickle.dumps(stream)), copy.deepcopy(stream)]
    expected = model.predict(X[:1])[0, 3:]
    for one in (stream, *copies):
        assert_allclose([one.predict_step(x) for x in X[0, 3:]], expected, rtol=1e-9)


def test_a_stream_uses_the_weights_that_the_network_has_now():
    X = np.random.default_rng(0).normal(size=(6, 5, 1))
    model = RNNRegressor(4, max_epochs=2, random_state=0, return_sequences=True)
    model.fit(X, X[:, :, 0])
    stream = model.stream(X[:1, :4])
    for parameter in model.module_.head.parameters():
        parameter.data = parameter.data * 2
    assert_allclose(stream.predict_step(X[0, 4]), model.predict(X[:1])[0, 4], rtol=1e-9)
