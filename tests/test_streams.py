"""One step at a time against predict on the whole prefix."""

import copy
import pickle

import numpy as np
import pytest
import torch
from messages import raises
from numpy.testing import assert_allclose, assert_array_equal

from skrnn import BiRNNClassifier, RNNClassifier, RNNRegressor
from skrnn._streams import Stream

rng = np.random.default_rng(0)
X = rng.normal(size=(8, 9, 2))
NUMBERS, LABELS = np.cumsum(X[:, :, 0], axis=1), np.cumsum(X[:, :, 0], axis=1) > 0
TINY = dict(hidden_size=4, max_epochs=2, random_state=0)
LONG = rng.normal(size=(1, 1000, 2))

cells = pytest.mark.parametrize("cell_type", ["rnn", "gru", "lstm"])


def prefixes(model, x):
    """Return the answer of predict for every prefix of one sequence."""
    if model.return_sequences:
        return model.predict(x[None])[0]
    return np.array([model.predict(x[None, : t + 1])[0] for t in range(len(x))])


@cells
@pytest.mark.parametrize(
    ("dtype", "tolerance"), [(np.float64, 1e-6), (np.float32, 1e-5)]
)
def test_a_thousand_steps_are_the_prediction_of_all(cell_type, dtype, tolerance):
    # In float32 the last of seven digits differs from step to step, but a network
    # that forgets does not add them up.
    model = RNNRegressor(**TINY, cell_type=cell_type, return_sequences=True)
    model.fit(X.astype(dtype), NUMBERS)
    stream = model.stream()
    answers = [stream.predict_step(x_t) for x_t in LONG[0].astype(dtype)]
    expected = model.predict(LONG.astype(dtype))[0]
    assert_allclose(answers, expected, atol=tolerance * np.abs(expected).max())


@cells
@pytest.mark.parametrize("pooling", ["last", "mean", "max", "attention"])
@pytest.mark.parametrize("hidden_size", [4, (5, 3)])
def test_each_step_answers_for_the_sequence_so_far(cell_type, pooling, hidden_size):
    params = TINY | {"hidden_size": hidden_size, "pooling": pooling, "num_layers": 2}
    model = RNNRegressor(**params, cell_type=cell_type).fit(X, NUMBERS[:, -1])
    stream = model.stream()
    answers = [stream.predict_step(x_t) for x_t in X[0]]
    assert_allclose(answers, prefixes(model, X[0]), rtol=1e-9)


@pytest.mark.parametrize("return_sequences", [False, True])
@pytest.mark.parametrize(
    "params",
    [{"ar_order": 3}, {"window_norm": "difference"}, {"initial_state": "learned"}],
)
def test_what_a_step_needs_of_those_before_is_kept(params, return_sequences):
    params = {"ar_order": 2, "target_feature": 0} | params
    y = X[:, :, 0] + 0.1 * NUMBERS
    model = RNNRegressor(**TINY, **params, return_sequences=return_sequences)
    model.fit(X, y if return_sequences else y[:, -1])
    stream = model.stream(X[:1, :2])
    answers = [stream.predict_step(x_t) for x_t in X[0, 2:]]
    whole = (
        model.predict(X[:1])[0]
        if return_sequences
        else [model.predict(X[:1, : t + 1])[0] for t in range(9) if t > 0]
    )
    assert_allclose(answers, whole[-7:], rtol=1e-9)


@pytest.mark.parametrize("return_sequences", [False, True])
def test_parallel_streams_go_on_from_sequences_of_any_length(return_sequences):
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
            answers = stream.predict_step(step)
            for i, x in enumerate(known):
                whole = model.predict(X[i : i + 1, : len(x) + t + 1])[0]
                expected = whole[-1] if return_sequences else whole
                assert answers[i] == pytest.approx(expected, rel=1e-9)


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
    answers = [stream.predict_proba_step(token) for token in ids[1]]
    expected = [model.predict_proba([ids[1][: t + 1]])[0] for t in range(5)]
    assert_allclose(answers, expected, rtol=1e-9)
    message = (
        "x_t must hold token ids from 1 to 5, as the X in fit. Got [9.0]. Give unknown "
        "tokens the id 1."
    )
    with raises(ValueError, message):
        stream.predict_step(9)


@cells
def test_a_pickled_stream_goes_on_and_a_reset_one_begins_anew(cell_type):
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


@pytest.mark.parametrize(
    ("x_t", "message"),
    [
        ([1.0], "x_t must have shape (1, 2): streams, features. Got shape (1,)."),
        (
            [[1.0, 2.0]] * 2,
            "x_t must have shape (1, 2): streams, features. Got shape (2, 2).",
        ),
        (
            [np.nan, 1.0],
            "x_t must be finite. Got NaN, infinity or a value too large for "
            "dtype('float64').",
        ),
    ],
)
def test_a_bad_step_is_not_taken(x_t, message):
    model = RNNRegressor(**TINY, return_sequences=True).fit(X, NUMBERS)
    stream = model.stream()
    stream.predict_step(X[0, 0])
    with raises(ValueError, message):
        stream.predict_step(x_t)
    assert stream.predict_step(X[0, 1]) == pytest.approx(model.predict(X[:1])[0, 1])


def test_a_step_that_overflows_is_not_taken():
    model = RNNRegressor(**TINY, return_sequences=True, nonlinearity="relu")
    model.fit(X, NUMBERS)
    with torch.no_grad():
        model.module_.layers[0].weight_ih_l0.fill_(1e200)
        model.module_.head.weight.fill_(1e200)
    stream = model.stream()
    message = (
        "The output of the network must be finite. Got NaN or infinity. Compare the "
        "scale of x_t with that of the X in fit."
    )
    with raises(ValueError, message):
        stream.predict_step([1e90, 1e90])


@pytest.mark.parametrize(
    "use",
    [
        lambda stream: stream.predict_step(X[0, 0]),
        lambda stream: stream.predict_proba_step(X[0, 0]),
        Stream.reset,
        pickle.dumps,
        copy.deepcopy,
    ],
    ids=["predict_step", "predict_proba_step", "reset", "pickle", "copy"],
)
@pytest.mark.parametrize("again", ["fit", "warm_start", "partial_fit"])
def test_an_old_stream_refuses_a_new_fit(again, use):
    labels = LABELS[:, -1]
    model = RNNClassifier(**TINY, warm_start=again == "warm_start").fit(X, labels)
    stream = model.stream()
    stream.predict_step(X[0, 0])
    model.partial_fit(X, labels) if again == "partial_fit" else model.fit(X, labels)
    message = (
        "A stream must be used with the fit it was made from. Got an estimator that "
        "was fitted again. Call its stream method."
    )
    with raises(ValueError, message):
        use(stream)


@pytest.mark.parametrize(
    ("model", "y", "message"),
    [
        (
            BiRNNClassifier(**TINY),
            LABELS[:, -1],
            "stream wants a network that reads forward in time. Got a two-way "
            "BiRNNClassifier, whose answer needs the end of the sequence.",
        ),
        (
            RNNRegressor(**TINY, window_norm="last", target_feature=0),
            X[:, -1, 0],
            "stream wants a network whose state determines the answer. Got "
            "window_norm='last', which expresses all steps anew with each new one. "
            "Use 'difference' or None.",
        ),
    ],
)
def test_an_answer_that_the_state_does_not_determine_is_no_stream(model, y, message):
    model.fit(X, y)
    with raises(ValueError, message):
        model.stream()


def test_sequences_of_one_length_are_no_stream():
    message = (
        "stream wants a RNNRegressor fitted on sequences of any length. Got one fitted "
        "on 2-D X with 9 time steps. Fit on X[:, :, None]."
    )
    model = RNNRegressor(**TINY).fit(X[:, :, 0], NUMBERS[:, -1])
    with raises(ValueError, message):
        model.stream()


@pytest.mark.parametrize(
    "params", [{"initial_state": "normal"}, {"dropout": 0.5, "num_layers": 2}]
)
def test_a_stream_after_loading_takes_no_noise(params):
    model = RNNRegressor(**TINY, **params, return_sequences=True).fit(X, NUMBERS)
    expected = model.predict(X[:1])[0]
    loaded = pickle.loads(pickle.dumps(model))
    answers = [loaded.stream(X[:1, :t]).predict_step(X[0, t]) for t in range(1, 9)]
    assert_allclose(answers, expected[1:], rtol=1e-9)


@pytest.mark.parametrize("n_streams", [0, -1, 1.5, True, "2", None])
def test_a_number_of_streams_is_a_whole_number_from_one(n_streams):
    model = RNNRegressor(**TINY, return_sequences=True).fit(X, NUMBERS)
    message = f"n_streams must be an int from 1 upwards. Got {n_streams!r}."
    with raises(ValueError, message):
        model.stream(n_streams=n_streams)


def test_what_was_fitted_counts_not_what_was_set_since():
    params = TINY | {"window_norm": "difference", "target_feature": 0}
    model = RNNRegressor(**params, return_sequences=True).fit(X, X[:, :, 0] + 0.1)
    expected, forecast = model.predict(X)[0], model.forecast(X, 2, X[:, :2, 1:])
    model.set_params(return_sequences=False, window_norm=None)
    stream = model.stream()
    answers = [stream.predict_step(x_t) for x_t in X[0]]
    assert_allclose(answers, expected, rtol=1e-9)
    assert_array_equal(model.predict(X)[0], expected)
    assert_array_equal(model.forecast(X, 2, X[:, :2, 1:]), forecast)


def test_a_difference_wants_a_step_before():
    model = RNNRegressor(**TINY, window_norm="difference", target_feature=0)
    model.fit(X, X[:, -1, 0] + 0.1)
    message = (
        "A stream with window_norm='difference' must know a step before its first "
        "answer. Got none. Pass the first steps as stream(X)."
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


def test_a_step_leaves_random_states_and_threads_alone():
    model = RNNRegressor(**TINY, return_sequences=True).fit(X, NUMBERS)
    before, threads = torch.random.get_rng_state(), torch.get_num_threads()
    model.stream().predict_step(X[0, 0])
    assert torch.equal(torch.random.get_rng_state(), before)
    assert torch.get_num_threads() == threads
