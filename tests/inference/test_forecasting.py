"""Recursive forecasts against an explicit loop over predict."""

import pickle

import numpy as np
import pandas as pd
import pytest
import torch
from messages import raises
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.exceptions import NotFittedError
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skrnn import EachStep, RNNRegressor, make_windows

rng = np.random.default_rng(0)
SERIES = np.cumsum(rng.normal(size=(60, 3)), axis=0)
TINY = dict(hidden_size=4, max_epochs=2, random_state=0)
KNOWN = [SERIES[20:28], SERIES[3:4], SERIES[30:35]]  # three sequences, one of one step

cells = pytest.mark.parametrize("cell_type", ["rnn", "gru", "lstm"])


def per_step(columns=1, targets=None, dtype=np.float64, **params):
    """Return a fitted network that predicts the next value after every step."""
    chunks = np.stack([SERIES[i : i + 12, :columns] for i in range(0, 48, 4)])
    chunks = chunks.astype(dtype)
    targets = list(range(columns)) if targets is None else targets
    y = chunks[:, 1:, targets]
    y = y[:, :, 0] if len(targets) == 1 else y
    model = RNNRegressor(**TINY | params, return_sequences=True)
    return model.fit(chunks[:, :-1], y)


def per_sequence(columns=1, targets=None, dtype=np.float64, **params):
    """Return a fitted network that predicts the value after a window."""
    targets = list(range(columns)) if targets is None else targets
    series = SERIES.astype(dtype)
    X, y = make_windows(series[:, :columns], series[:, targets], window_size=6)
    y = y.reshape(len(X), -1)
    return RNNRegressor(**TINY | params).fit(X, y[:, 0] if len(targets) == 1 else y)


over_both = pytest.mark.parametrize("make", [per_step, per_sequence])


def loop(model, x, n_steps, columns, future=None, window=None):
    """Predict one step, append it to the sequence, and repeat."""
    x, predictions = np.array(x, dtype=float), []
    others = [c for c in range(x.shape[1]) if c not in columns]
    for t in range(n_steps):
        seen = x if window is None else x[-window:]
        y = model.predict([seen])[0]
        y = np.atleast_1d(y[-1] if model.return_sequences else y)
        predictions.append(y)
        if t < n_steps - 1:
            row = np.empty(x.shape[1])
            row[columns] = y
            if others:
                row[others] = future[t]
            x = np.vstack([x, row])
    return np.array(predictions)


@pytest.mark.parametrize(
    ("cell_type", "window_norm", "ar_order"),
    [
        ("rnn", None, 3),
        ("gru", "difference", 0),
        ("lstm", None, 0),
        ("lstm", "difference", 3),
    ],
)
def test_a_carried_state_equals_predicting_the_growing_sequence(
    cell_type, window_norm, ar_order
):
    model = per_step(
        cell_type=cell_type, window_norm=window_norm, ar_order=ar_order, num_layers=2
    )
    known = [x[:, :1] for x in KNOWN]
    forecast = model.forecast(known, 5)
    assert forecast.shape == (3, 5)
    for x, found in zip(known, forecast, strict=True):
        assert_allclose(found, loop(model, x, 5, [0])[:, 0], rtol=1e-9)


@pytest.mark.parametrize(
    ("cell_type", "window_norm", "params"),
    [
        ("rnn", None, {}),
        ("gru", "last", {"ar_order": 3}),
        ("lstm", "standard", {"bidirectional": True}),
        ("rnn", "difference", {"ar_order": 3}),
        ("gru", "standard", {}),
        ("lstm", "difference", {}),
    ],
)
def test_the_window_slides_over_the_forecast(cell_type, window_norm, params):
    model = per_sequence(
        cell_type=cell_type, window_norm=window_norm, pooling="last", **params
    )
    # One as long as in fit, one longer, one that grows first.
    known = [SERIES[20:26, :1], SERIES[20:30, :1], SERIES[30:34, :1]]
    forecast = model.forecast(known, 5)
    for x, found in zip(known, forecast, strict=True):
        assert_allclose(found, loop(model, x, 5, [0], window=6)[:, 0], rtol=1e-9)


@pytest.mark.parametrize(
    ("pooling", "ragged"), [("mean", True), ("max", False), ("attention", True)]
)
def test_a_pooled_window_slides_over_the_forecast(pooling, ragged):
    pieces = [SERIES[i : i + 3 + i % 4, :1] for i in range(20)]
    X = pieces if ragged else np.stack([SERIES[i : i + 6, :1] for i in range(20)])
    y = [SERIES[i + len(x), 0] for i, x in enumerate(X)]
    model = RNNRegressor(**TINY, pooling=pooling).fit(X, y)
    known = [SERIES[20:26, :1], SERIES[20:30, :1], SERIES[30:31, :1]]
    forecast = model.forecast(known, 7)
    for x, found in zip(known, forecast, strict=True):
        assert_allclose(found, loop(model, x, 7, [0], window=6)[:, 0], rtol=1e-9)


@pytest.mark.parametrize(
    ("make", "cell_type"),
    [(per_step, "rnn"), (per_sequence, "gru"), (per_step, "lstm")],
)
def test_all_features_may_be_fed_back(make, cell_type):
    model, window = make(3, cell_type=cell_type), None if make is per_step else 6
    known = SERIES[None, 20:26]
    forecast = model.forecast(known, 4)
    assert forecast.shape == (1, 4, 3)
    expected = loop(model, known[0], 4, [0, 1, 2], window=window)
    assert_allclose(forecast[0], expected, rtol=1e-9)


@over_both
@pytest.mark.parametrize(("shared", "n_given"), [(False, 3), (True, 4)])
def test_features_that_are_not_predicted_are_given(make, shared, n_given):
    model = make(3, [2, 0], target_feature=[2, 0])
    known = np.stack([SERIES[20:26], SERIES[30:36]])
    future = rng.normal(size=(n_given, 1) if shared else (2, n_given, 1))
    forecast = model.forecast(known, 4, future)
    for i, x in enumerate(known):
        to_come = future if shared else future[i]
        window = None if make is per_step else 6
        expected = loop(model, x, 4, [2, 0], to_come, window)
        assert_allclose(forecast[i], expected, rtol=1e-9)


@over_both
def test_one_step_needs_no_future_features(make):
    model = make(3, [1], target_feature=1)
    known = SERIES[None, 20:26]
    expected = model.forecast(known, 1)
    for shape in [(0, 2), (1, 2), (1, 0, 2), (1, 1, 2)]:
        assert_array_equal(model.forecast(known, 1, np.full(shape, 1e9)), expected)


def test_future_features_of_a_single_sequence_may_have_any_form():
    model = per_step(2, [1], target_feature=1)
    known, future = SERIES[None, 20:26, :2], np.arange(3.0)[:, None]
    future.setflags(write=False)
    expected = model.forecast(known, 3, future[None])
    assert_array_equal(model.forecast(known, 3, future), expected)
    for form in (pd.DataFrame, np.ndarray.tolist, np.float32):
        assert_array_equal(model.forecast(known, 3, form(future)), expected)


@pytest.mark.parametrize("initial_state", ["learned", "carry", "normal"])
def test_a_forecast_starts_as_predict_does(initial_state):
    model = per_step(initial_state=initial_state)
    known = SERIES[20:24, :1]
    expected = loop(model, known, 3, [0])[:, 0]
    assert_allclose(model.forecast(known[None], 3)[0], expected, rtol=1e-9)


@pytest.mark.parametrize(
    ("make", "params"),
    [
        (per_step, {"initial_state": "normal"}),
        (per_sequence, {"dropout": 0.5, "num_layers": 2}),
    ],
)
def test_a_forecast_after_unpickling_is_deterministic(params, make):
    model = make(**params)
    known = SERIES[None, 20:26, :1]
    loaded = pickle.loads(pickle.dumps(model))
    assert not loaded.module_.training
    loaded.module_.train()  # as a user may leave it
    assert_allclose(loaded.forecast(known, 4), model.forecast(known, 4), rtol=1e-12)


@over_both
def test_with_quantiles_the_median_is_fed_back(make):
    model = make(loss="quantile", quantiles=(0.2, 0.8))
    known = SERIES[20:26, :1]
    window = None if make is per_step else 6
    expected = loop(model, known, 4, [0], window=window)[:, 0]
    assert_allclose(model.forecast(known[None], 4)[0], expected, rtol=1e-9)


def test_rows_of_a_table_are_forecast():
    X, y = make_windows(SERIES[:, 0], window_size=6)
    model = RNNRegressor(**TINY).fit(X, y)
    forecast = model.forecast(X[-2:], 3)
    x = X[-1]
    for value in forecast[1]:
        assert_allclose(model.predict(x[None])[0], value, rtol=1e-9)
        x = np.append(x[1:], value)


@pytest.mark.parametrize("loss", ["squared_error", "quantile"])
def test_rows_of_a_table_with_an_output_per_step_are_forecast(loss):
    chunks = np.stack([SERIES[i : i + 12, 0] for i in range(0, 48, 4)])
    params = TINY | {"loss": loss, "return_sequences": True}
    table = RNNRegressor(**params).fit(chunks[:, :-1], chunks[:, 1:])
    free = RNNRegressor(**params).fit(chunks[:, :-1, None], chunks[:, 1:])
    expected = free.forecast(chunks[:2, :-1, None], 4)
    assert_array_equal(table.forecast(chunks[:2, :-1], 4), expected)


@pytest.mark.parametrize(
    ("make", "window_norm"),
    [(per_step, None), (per_step, "difference"), (per_sequence, "difference")],
)
def test_sequences_are_forecast_independently_of_each_other(make, window_norm):
    model = make(2, ar_order=2, target_feature=[0, 1], window_norm=window_norm)
    known = [SERIES[20:28, :2], SERIES[3:5, :2], SERIES[30:35, :2]]
    forecast = model.forecast(known, 4)
    for i, x in enumerate(known):
        assert_allclose(model.forecast([x], 4)[0], forecast[i], rtol=1e-9)
    assert_allclose(model.forecast(known[::-1], 4), forecast[::-1], rtol=1e-9)


@pytest.mark.parametrize(
    ("make", "window_norm"), [(per_step, "difference"), (per_sequence, None)]
)
def test_a_forecast_in_float32_is_that_of_predict_in_float32(make, window_norm):
    model = make(dtype=np.float32, window_norm=window_norm, ar_order=2)
    known = SERIES[20:26, :1].astype(np.float32)
    window = None if make is per_step else 6
    forecast = model.forecast(known[None], 5)[0]
    expected = loop(model, known, 5, [0], window=window)[:, 0]
    # A value of this series is rounded by 4e-7 in each of five steps.
    assert_allclose(forecast, expected, atol=1e-5)


@pytest.mark.parametrize(
    ("make", "dtype", "columns", "targets", "shape"),
    [
        (per_step, np.float32, 1, [0], (2, 3)),
        (per_sequence, np.float64, 1, [0], (2, 3)),
        (per_step, np.float64, 2, [0, 1], (2, 3, 2)),
        (per_sequence, np.float32, 2, [0, 1], (2, 3, 2)),
        (per_step, np.float64, 2, [1], (2, 3)),
    ],
)
def test_a_forecast_has_the_shape_and_the_precision_of_y(
    make, dtype, columns, targets, shape
):
    given = targets if len(targets) < columns else None
    model = make(columns, targets, dtype, target_feature=given)
    known = np.stack([SERIES[20:26, :columns]] * 2).astype(dtype)
    forecast = model.forecast(known, 3, None if given is None else np.zeros((3, 1)))
    assert forecast.shape == shape
    assert forecast.dtype == dtype


@pytest.mark.parametrize("return_sequences", [False, True])
def test_y_of_one_column_is_forecast_as_one_column(return_sequences):
    X = np.stack([SERIES[i : i + 6, :1] for i in range(20)])
    y = X if return_sequences else X[:, -2]
    model = RNNRegressor(**TINY, return_sequences=return_sequences).fit(X, y)
    assert model.forecast(X[:2], 3).shape == (2, 3, 1)


@over_both
def test_a_forecast_of_one_step_is_the_prediction(make):
    model = make()
    known = SERIES[None, 20:26, :1]
    expected = np.ravel(model.predict(known))[-1:]
    assert_allclose(model.forecast(known, 1)[0], expected, rtol=1e-12)


@over_both
def test_a_forecast_changes_neither_the_model_nor_random_states(make):
    model = make()
    known = SERIES[None, 20:26, :1]
    before, threads = model.predict(known), torch.get_num_threads()
    state = torch.random.get_rng_state()
    first = model.forecast(known, 4)
    assert_array_equal(model.forecast(known, 4), first)
    assert_array_equal(model.predict(known), before)
    assert torch.equal(torch.random.get_rng_state(), state)
    assert torch.get_num_threads() == threads
    again = pickle.loads(pickle.dumps(model))
    # Where weights lie in memory decides the last bit of a product.
    assert_allclose(again.forecast(known, 4), first, rtol=1e-12)
    assert first.dtype == np.float64
    narrow = RNNRegressor(**TINY).fit(
        *(part.astype(np.float32) for part in (known, known[:, 0, 0]))
    )
    assert narrow.forecast(known, 2).dtype == np.float32


def test_the_last_step_of_a_pipeline_forecasts_transformed_values():
    X, y = make_windows(SERIES[:, :1], window_size=6)
    pipeline = make_pipeline(EachStep(StandardScaler()), RNNRegressor(**TINY))
    pipeline.fit(X, y.ravel())
    known = pipeline[:-1].transform(X[-1:])
    first, second = pipeline[-1].forecast(known, 2)[0]
    assert_allclose(first, pipeline.predict(X[-1:])[0], rtol=1e-9)
    window = np.r_[known[0, 1:], [[first]]]
    assert_allclose(second, pipeline[-1].predict(window[None])[0], rtol=1e-9)


def test_n_steps_must_be_a_positive_int():
    model = per_step()
    for n_steps in (0, -1, 2.0, True, None):
        message = f"n_steps must be an int from 1 upwards. Got {n_steps!r}."
        with raises(ValueError, message):
            model.forecast(SERIES[None, :5, :1], n_steps)


@pytest.mark.parametrize(
    ("model", "outputs", "given"),
    [
        (lambda: per_step(2, [0]), 1, None),
        (lambda: per_step(3, [0, 1]), 2, None),
        (lambda: per_sequence(3, [0, 1], target_feature=0), 2, 0),
        (lambda: per_sequence(3, [0, 1], target_feature=[1, 1]), 2, [1, 1]),
    ],
)
def test_outputs_without_a_feature_are_not_fed_back(model, outputs, given):
    model = model()
    n = model.n_features_in_
    message = (
        f"forecast feeds each output back as a feature of X. Got {outputs} outputs, "
        f"{n} features and target_feature={given!r}. Name the feature of each output "
        "by target_feature before fit; several horizons at once come from predict."
    )
    with raises(ValueError, message):
        model.forecast(SERIES[None, :5, :n], 3)


def test_future_features_must_fit_the_precision_of_x():
    model = per_step(2, [0], np.float32, target_feature=0)
    message = (
        "Input future_features contains infinity or a value too large for "
        "dtype('float32'). Remove it, or scale the data."
    )
    with raises(ValueError, message):
        model.forecast(SERIES[None, :6, :2], 3, np.full((3, 1), 1e39))


def test_target_feature_must_name_features_of_x():
    for given in (3, [3], [-1], [True], ["a"], [1.0]):
        message = (
            "The 'target_feature' parameter of RNNRegressor must name features of X, "
            f"from 0 to 2. Got {given!r}."
        )
        with raises(ValueError, message):
            per_step(3, [0], target_feature=given)


@pytest.mark.parametrize("return_sequences", [False, True])
def test_token_ids_are_not_forecast(return_sequences):
    ids = [np.array([1, 2, 3]), np.array([3, 2])]
    y = [x / 2 for x in ids] if return_sequences else [1.0, 2.0]
    params = TINY | {"embedding_dim": 3, "return_sequences": return_sequences}
    message = (
        "forecast feeds each output back as a feature of X. Got token ids, which are "
        "no quantities: embedding_dim=3. Use predict."
    )
    with raises(ValueError, message):
        RNNRegressor(**params).fit(ids, y).forecast(ids, 2)


@pytest.mark.parametrize(
    ("columns", "future", "message"),
    [
        (
            2,
            None,
            "future_features must give features [1] of X for the steps to come, which "
            "are not predicted. Got None.",
        ),
        (
            2,
            np.zeros((1, 5, 1)),
            "future_features must have shape (1, 3, 1): sequences, n_steps, and other "
            "features than those predicted. Got (1, 5, 1).",
        ),
        (
            2,
            np.zeros(3),
            "future_features must have shape (1, 3, 1): sequences, n_steps, and other "
            "features than those predicted. Got (3,).",
        ),
        (
            1,
            np.zeros((1, 3, 1)),
            "future_features must be left out when every feature is predicted. Got "
            "shape (1, 3, 1).",
        ),
    ],
)
def test_future_features_must_have_their_shape(columns, future, message):
    model = per_step(columns, [0], target_feature=0)
    with raises(ValueError, message):
        model.forecast(SERIES[None, :5, :columns], 3, future)


def test_future_features_must_be_finite():
    model = per_step(2, [0], target_feature=0)
    with raises(ValueError, "Input future_features contains NaN."):
        model.forecast(SERIES[None, :5, :2], 3, np.full((3, 1), np.nan))
    assert model.forecast(SERIES[None, :5, :2], 1).shape == (1, 1)


def test_a_bidirectional_network_with_an_output_per_step_does_not_forecast():
    message = (
        "forecast needs a network that reads forward in time. Got bidirectional=True "
        "with return_sequences=True, whose outputs depend on the end of the sequence. "
        "Set bidirectional=False."
    )
    with raises(ValueError, message):
        per_step(bidirectional=True).forecast(SERIES[None, :5, :1], 3)


def multiply_last_value(model, factor):
    """Set weights so that the output is the standardised last value times a factor."""
    with torch.no_grad():
        for parameter in (*model.module_.head.parameters(), model.module_.highway.bias):
            parameter.zero_()
        model.module_.highway.weight.fill_(factor)
    return model


@pytest.mark.parametrize(
    ("make", "window_norm", "dtype"),
    [
        (per_step, None, np.float32),
        (per_step, "difference", np.float64),
        (per_sequence, None, np.float64),
        (per_sequence, "difference", np.float32),
        (per_sequence, "standard", np.float64),
    ],
)
def test_a_forecast_that_overflows_raises(make, dtype, window_norm):
    known = SERIES[None, 20:26, :1].astype(dtype)
    model = make(window_norm=window_norm, ar_order=1, dtype=dtype)
    # Each step multiplies the last; a float32 ends at 3e38, a float64 at 2e308.
    factor, n_good = (1e13, 2) if dtype == np.float32 else (1e160, 1)
    model = multiply_last_value(model, factor)
    assert np.isfinite(model.forecast(known, n_good)).all()
    message = (
        f"The forecast must stay finite. Got NaN or infinity at step {n_good}: the "
        "network feeds itself values that grow. Train it longer or on more varied "
        "data, or forecast fewer steps."
    )
    with raises(ValueError, message):
        model.forecast(known, 9)


def test_only_a_fitted_regressor_forecasts():
    message = (
        "This RNNRegressor instance is not fitted yet. Call 'fit' with appropriate "
        "arguments before using this estimator."
    )
    with raises(NotFittedError, message):
        RNNRegressor().forecast(SERIES[None], 1)
