"""Whole systems on real data, through the public API."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from skrnn import BiRNNClassifier, RNNClassifier, RNNRegressor, make_windows
from skrnn.datasets import load_airline_passengers

scales = st.floats(-6, 6).map(lambda exponent: 10**exponent)
shifts = st.floats(-100, 100)  # in units of the scale


@settings(max_examples=10)
@given(
    scale=st.lists(scales, min_size=6, max_size=6),
    shift=st.lists(shifts, min_size=6, max_size=6),
    cls=st.sampled_from([RNNClassifier, BiRNNClassifier]),
    cell_type=st.sampled_from(["rnn", "gru", "lstm"]),
)
def test_units_and_origins_of_features_change_no_probability(
    scale, shift, cls, cell_type
):
    digits = load_digits()
    # Without the margins, which hold next to nothing but zeros and ones: such columns
    # are flags, and left as they are.
    X, y = digits.images[:240, :, 1:7], digits.target[:240]
    moved = (X + shift) * scale
    model = cls(8, cell_type=cell_type, max_epochs=6, random_state=0)

    expected = model.fit(X[:160], y[:160]).predict_proba(X[160:])
    actual = model.fit(moved[:160], y[:160]).predict_proba(moved[160:])

    # Rounding, which grows from step to step of the optimiser.
    assert_allclose(actual, expected, atol=1e-5)


@settings(max_examples=10)
@given(
    scale=scales,
    shift=shifts,
    window_norm=st.sampled_from([None, "last", "standard", "difference"]),
    ar_order=st.sampled_from([0, 3]),
)
def test_units_and_origin_of_a_series_are_those_of_its_forecast(
    scale, shift, window_norm, ar_order
):
    series = load_airline_passengers()["passengers"].to_numpy() / 100
    model = RNNRegressor(
        8, window_norm=window_norm, ar_order=ar_order, max_epochs=6, random_state=0
    )
    forecasts = []
    for values in (series, (series + shift) * scale):
        X, y = make_windows(values, window_size=6)
        forecasts.append(model.fit(X[:100], y[:100]).predict(X[100:]))

    expected = (forecasts[0] + shift) * scale
    assert_allclose(forecasts[1], expected, atol=1e-5 * scale)


@pytest.mark.parametrize("cell_type", ["rnn", "gru", "lstm"])
@pytest.mark.parametrize("n_rows", [1, 2, 3, 20])
@pytest.mark.parametrize("ar_order", [0, 12])
def test_few_rows_are_fitted_and_say_something(n_rows, cell_type, ar_order):
    series = load_airline_passengers()["passengers"].to_numpy(dtype=float)
    X, y = make_windows(series, window_size=13)
    model = RNNRegressor(
        cell_type=cell_type, window_norm="difference", ar_order=ar_order, random_state=0
    )

    forecast = model.fit(X[:n_rows], y[:n_rows]).predict(X[n_rows : n_rows + 12])

    # A year ahead of what little it saw, it stays within what the series does at all.
    truth = y[n_rows : n_rows + 12]
    assert np.isfinite(forecast).all()
    assert np.abs(forecast - truth).mean() < 2 * np.abs(np.diff(series[:144])).mean()


@pytest.mark.slow
@pytest.mark.parametrize("cell_type", ["rnn", "gru", "lstm"])
def test_default_reads_digits_by_rows(cell_type):
    digits = load_digits()
    scores = []
    for seed in range(10):
        X_train, X_test, y_train, y_test = train_test_split(
            digits.images.astype("float32"),
            digits.target,
            test_size=0.3,
            random_state=seed,
        )
        model = RNNClassifier(cell_type=cell_type, random_state=seed)
        scores.append(model.fit(X_train, y_train).score(X_test, y_test))
    assert np.mean(scores) >= 0.975
