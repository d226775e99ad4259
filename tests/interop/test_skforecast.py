"""skforecast, whose tables of lags `ToSequences` turns into sequences."""

import numpy as np
import pandas as pd
import pytest
from clients import small
from forecasts import (
    N_LAGS,
    PASSENGERS,
    TEST,
    TRAIN,
    fit_on_windows,
    recursive_forecast,
)
from skforecast.direct import ForecasterDirect, ForecasterDirectMultiVariate
from skforecast.exceptions import IgnoredArgumentWarning
from skforecast.model_selection import (
    TimeSeriesFold,
    backtesting_forecaster,
    grid_search_forecaster,
)
from skforecast.recursive import ForecasterRecursive, ForecasterRecursiveMultiSeries
from sklearn.metrics import mean_absolute_error
from sklearn.pipeline import make_pipeline

from skrnn import ToSequences, make_windows

pytestmark = pytest.mark.interop

MONTHS = pd.DataFrame(
    {"month": PASSENGERS.index.month.astype(float)}, index=PASSENGERS.index
)


def lag_pipeline(n_features=1, static_columns=None, **parameters):
    to_sequences = ToSequences(
        n_features, newest_first=True, static_columns=static_columns
    )
    return make_pipeline(to_sequences, small(**parameters))


def forecaster(**parameters):
    return ForecasterRecursive(estimator=lag_pipeline(**parameters), lags=N_LAGS)


def test_recursive_forecast_is_that_of_a_network_fitted_on_windows():
    fitted = forecaster()
    fitted.fit(TRAIN)

    expected = recursive_forecast(fit_on_windows(TRAIN), TRAIN, 24)
    np.testing.assert_allclose(fitted.predict(24), expected, rtol=1e-9)


def test_recursive_forecast_is_that_of_forecast():
    fitted = forecaster()
    fitted.fit(TRAIN)

    last = TRAIN.to_numpy()[None, -N_LAGS:, None]
    expected = fit_on_windows(TRAIN).forecast(last, 24)
    np.testing.assert_allclose(fitted.predict(24), np.ravel(expected), rtol=1e-9)


def test_exogenous_columns_are_static():
    fitted = forecaster(static_columns=[-1], target_feature=0)
    fitted.fit(TRAIN, exog=MONTHS.loc[TRAIN.index])

    windows, y = make_windows(TRAIN.to_numpy(), window_size=N_LAGS)
    months = TRAIN.index.month.to_numpy(float)[N_LAGS:, None, None]
    months = np.broadcast_to(months, (len(y), N_LAGS, 1))
    X = np.concatenate([windows.reshape(len(y), N_LAGS, 1), months], axis=2)
    model = small(target_feature=0).fit(X, y)
    history = list(TRAIN)
    for month in TEST.index.month[:6]:
        window = np.column_stack([history[-N_LAGS:], np.full(N_LAGS, float(month))])
        history.append(model.predict(window[None])[0])
    forecast = fitted.predict(6, exog=MONTHS.loc[TEST.index])
    np.testing.assert_allclose(forecast, history[-6:], rtol=1e-9)


def test_direct_forecast_has_a_network_for_each_step():
    fitted = ForecasterDirect(estimator=lag_pipeline(), lags=N_LAGS, steps=3)
    fitted.fit(TRAIN)

    X, y = make_windows(TRAIN.to_numpy(), window_size=N_LAGS, horizon=[1, 2, 3])
    X, last = X.reshape(len(X), N_LAGS, 1), TRAIN.to_numpy()[None, -N_LAGS:, None]
    expected = [small().fit(X, column).predict(last)[0] for column in y.T]
    np.testing.assert_allclose(fitted.predict(3), expected, rtol=1e-9)


def test_lags_of_several_variables_are_grouped_by_variable():
    both = pd.DataFrame({"a": PASSENGERS, "b": np.sqrt(PASSENGERS)})
    pipeline = lag_pipeline(n_features=2, target_feature=0)
    fitted = ForecasterDirectMultiVariate(
        estimator=pipeline, level="a", lags=3, steps=1, transformer_series=None
    )
    fitted.fit(both.loc[TRAIN.index])

    known = both.loc[TRAIN.index].to_numpy()
    X, y = make_windows(known, known[:, 0], window_size=3)
    expected = small(target_feature=0).fit(X, y).predict(known[None, -3:])
    forecast = fitted.predict(1)["pred"]
    np.testing.assert_allclose(forecast, expected, rtol=1e-9)


def test_one_network_forecasts_several_series():
    series = {"a": TRAIN, "b": TRAIN**0.5}
    fitted = ForecasterRecursiveMultiSeries(
        estimator=lag_pipeline(), lags=N_LAGS, encoding=None, transformer_series=None
    )
    fitted.fit(series)

    model = fit_on_windows(*series.values())
    forecast = fitted.predict(6)
    for name, one in series.items():
        expected = recursive_forecast(model, one, 6)
        actual = forecast["pred"][forecast["level"] == name]
        np.testing.assert_allclose(actual, expected, rtol=1e-9)


def test_backtest_is_a_loop_over_the_origins():
    folds = TimeSeriesFold(steps=12, initial_train_size=len(TRAIN), refit=False)
    _, forecast = backtesting_forecaster(
        forecaster=forecaster(),
        y=PASSENGERS,
        cv=folds,
        metric="mean_absolute_error",
        show_progress=False,
        n_jobs=1,
    )

    model = fit_on_windows(TRAIN)
    parts = [
        recursive_forecast(model, PASSENGERS.iloc[:n_rows], 12) for n_rows in (120, 132)
    ]
    np.testing.assert_allclose(forecast["pred"], np.concatenate(parts), rtol=1e-9)


def test_grid_search_sets_nested_parameters():
    results = grid_search_forecaster(
        forecaster=forecaster(),
        y=PASSENGERS,
        cv=TimeSeriesFold(steps=24, initial_train_size=len(TRAIN), refit=False),
        param_grid={"rnnregressor__cell_type": ["rnn", "gru"]},
        metric="mean_absolute_error",
        return_best=False,
        show_progress=False,
        verbose=False,
        n_jobs=1,
    )

    for cell_type in ("rnn", "gru"):
        rows = results["rnnregressor__cell_type"] == cell_type
        model = fit_on_windows(TRAIN, cell_type=cell_type)
        expected = mean_absolute_error(TEST, recursive_forecast(model, TRAIN, 24))
        error = results.loc[rows, "mean_absolute_error"]
        np.testing.assert_allclose(error, [expected], rtol=1e-9)


def test_conformal_interval_has_the_width_of_the_residuals():
    fitted = forecaster()
    fitted.fit(TRAIN, store_in_sample_residuals=True)
    interval = fitted.predict_interval(
        steps=6, method="conformal", interval=0.8, use_binned_residuals=False
    )

    X, y = make_windows(TRAIN.to_numpy(), window_size=N_LAGS)
    predictions = fit_on_windows(TRAIN).predict(X.reshape(len(X), N_LAGS, 1))
    width = np.quantile(np.abs(y - predictions), 0.8)
    expected = interval["pred"].to_numpy()[:, None] + [-width, width]
    bounds = interval[["lower_bound", "upper_bound"]]
    np.testing.assert_allclose(bounds, expected, rtol=1e-9)


def recent(index):
    return np.where(index < "1955", 0.0, 1.0)


def test_weights_reach_a_network_that_is_not_in_a_pipeline():
    fitted = ForecasterRecursive(
        estimator=small(), lags=[*range(1, N_LAGS + 1)], weight_func=recent
    )
    fitted.fit(TRAIN)

    X, y = fitted.create_train_X_y(TRAIN)
    model = small().fit(X.to_numpy(), y.to_numpy(), recent(y.index))
    expected = model.predict(TRAIN.to_numpy()[None, :-13:-1])
    np.testing.assert_allclose(fitted.predict(1), expected, rtol=1e-9)


def test_weights_of_a_pipeline_are_ignored_with_a_warning():
    with pytest.warns(IgnoredArgumentWarning, match="does not accept `sample_weight`"):
        ForecasterRecursive(
            estimator=lag_pipeline(), lags=N_LAGS, weight_func=recent
        ).fit(TRAIN)
