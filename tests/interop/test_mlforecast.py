"""mlforecast, whose tables of lags and dates `ToSequences` turns into sequences."""

import numpy as np
import pandas as pd
import pytest
from clients import small
from forecasts import (
    N_LAGS,
    PASSENGERS,
    TRAIN,
    fit_on_windows,
    recursive_forecast,
)
from mlforecast import MLForecast
from mlforecast.target_transforms import Differences
from mlforecast.utils import PredictionIntervals
from sklearn.pipeline import make_pipeline

from skrnn import ToSequences

pytestmark = pytest.mark.interop

SERIES = {"a": PASSENGERS, "b": np.sqrt(PASSENGERS)}


def long_format(n_rows):
    """Return the first rows of both series below each other."""
    return pd.concat(
        [
            pd.DataFrame({"unique_id": name, "ds": one.index, "y": one.to_numpy()})
            for name, one in ((name, one.iloc[:n_rows]) for name, one in SERIES.items())
        ],
        ignore_index=True,
    )


def forecaster(static_columns=None, target_feature=None, **options):
    to_sequences = ToSequences(newest_first=True, static_columns=static_columns)
    model = make_pipeline(to_sequences, small(target_feature=target_feature))
    lags = range(1, N_LAGS + 1)
    return MLForecast(models={"rnn": model}, freq="MS", lags=lags, **options)


def by_hand(n_rows, n_steps, n_fitted=None):
    """Forecast both series with one network, in the order of `long_format`."""
    model = fit_on_windows(*(one.iloc[: n_fitted or n_rows] for one in SERIES.values()))
    known = [one.iloc[:n_rows] for one in SERIES.values()]
    return np.concatenate([recursive_forecast(model, one, n_steps) for one in known])


def test_one_network_forecasts_all_series():
    fitted = forecaster().fit(long_format(120))

    np.testing.assert_allclose(fitted.predict(12)["rnn"], by_hand(120, 12), rtol=1e-9)


def test_cross_validation_is_a_loop_over_the_cutoffs():
    table = forecaster().cross_validation(long_format(144), n_windows=2, h=6)

    for cutoff, rows in table.groupby("cutoff"):
        n_rows = int((PASSENGERS.index <= cutoff).sum())
        np.testing.assert_allclose(rows["rnn"], by_hand(n_rows, 6), rtol=1e-9)
    assert table["cutoff"].nunique() == 2


def test_calendar_columns_are_static():
    fitted = forecaster(static_columns=["month"], date_features=["month"])
    fitted.fit(long_format(120))

    pipeline = fitted.models_["rnn"]
    columns = [f"lag{i}" for i in range(1, N_LAGS + 1)]
    row = pd.DataFrame([TRAIN.to_numpy()[:-13:-1]], columns=columns)
    expected = pipeline.predict(row.assign(month=1))  # of January 1959
    np.testing.assert_allclose(fitted.predict(1)["rnn"][:1], expected, rtol=1e-9)
    assert pipeline[0].transform(row.assign(month=1)).shape == (1, N_LAGS, 2)


def test_differences_are_taken_before_and_undone_after():
    fitted = forecaster(target_transforms=[Differences([1])]).fit(long_format(120))

    known = [one.iloc[:120] for one in SERIES.values()]
    model = fit_on_windows(*(one.diff().iloc[1:] for one in known))
    expected = [
        one.iloc[-1] + np.cumsum(recursive_forecast(model, one.diff().iloc[1:], 6))
        for one in known
    ]
    actual = fitted.predict(6)["rnn"]
    np.testing.assert_allclose(actual, np.concatenate(expected), rtol=1e-9)


def test_conformal_intervals_are_quantiles_of_earlier_errors():
    intervals = PredictionIntervals(n_windows=2, h=3)
    fitted = forecaster().fit(long_format(120), prediction_intervals=intervals)
    forecast = fitted.predict(3, level=[80])

    observed = np.concatenate(
        [[one.iloc[n : n + 3] for one in SERIES.values()] for n in (114, 117)]
    ).reshape(2, 6)
    # The networks of these errors are those of the first window.
    errors = np.abs(observed - [by_hand(114, 3), by_hand(117, 3, n_fitted=114)])
    scenarios = by_hand(120, 3) + np.concatenate([-errors, errors])
    expected = np.quantile(scenarios, [0.1, 0.9], axis=0)
    actual = forecast[["rnn-lo-80", "rnn-hi-80"]]
    np.testing.assert_allclose(np.transpose(actual), expected, rtol=1e-9)


def test_saved_forecaster_forecasts_the_same(tmp_path):
    fitted = forecaster().fit(long_format(120))
    fitted.save(tmp_path / "forecaster")

    loaded = MLForecast.load(tmp_path / "forecaster")
    np.testing.assert_array_equal(loaded.predict(6)["rnn"], fitted.predict(6)["rnn"])
