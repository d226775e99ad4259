"""sktime: reduction to regression, its evaluation, and its panels of sequences."""

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
from sklearn.metrics import mean_absolute_error
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer
from sktime.datasets import load_unit_test
from sktime.forecasting.compose import make_reduction
from sktime.forecasting.model_evaluation import evaluate
from sktime.forecasting.model_selection import ForecastingGridSearchCV
from sktime.performance_metrics.forecasting import MeanAbsoluteError
from sktime.split import ExpandingWindowSplitter

from skrnn import RNNClassifier, ToSequences, make_windows

pytestmark = [
    pytest.mark.interop,
    # Announced by sktime 1.2 for every forecaster.
    pytest.mark.filterwarnings("ignore:The default of config:FutureWarning"),
]

YEAR = np.arange(1, 13)
FOLDS = ExpandingWindowSplitter(fh=YEAR, initial_window=120, step_length=12)


def reduction(strategy="recursive", **options):
    pipeline = make_pipeline(ToSequences(), small(**options))
    return make_reduction(pipeline, window_length=N_LAGS, strategy=strategy)


def test_recursive_forecast_is_that_of_a_network_fitted_on_windows():
    forecast = reduction().fit(TRAIN, fh=np.arange(1, 25)).predict()

    expected = recursive_forecast(fit_on_windows(TRAIN), TRAIN, 24)
    np.testing.assert_allclose(forecast, expected, rtol=1e-9)
    assert forecast.index.equals(TEST.index)


def test_multioutput_forecast_is_a_network_with_an_output_for_each_step():
    forecast = reduction("multioutput").fit(TRAIN, fh=[1, 2, 3]).predict()

    X, y = make_windows(TRAIN.to_numpy(), window_size=N_LAGS, horizon=[1, 2, 3])
    model = small().fit(X.reshape(len(X), N_LAGS, 1), y)
    expected = model.predict(TRAIN.to_numpy()[None, -N_LAGS:, None])[0]
    np.testing.assert_allclose(forecast, expected, rtol=1e-9)


def test_exogenous_variables_are_further_features():
    root = pd.DataFrame({"root": np.sqrt(PASSENGERS)})
    forecaster = make_reduction(
        make_pipeline(ToSequences(2), small(target_feature=0)), window_length=N_LAGS
    )
    forecast = forecaster.fit(TRAIN, X=root.loc[TRAIN.index], fh=[1]).predict(
        X=root.loc[TEST.index]
    )

    both = np.column_stack([TRAIN, root.loc[TRAIN.index]])
    X, y = make_windows(both, TRAIN.to_numpy(), window_size=N_LAGS)
    expected = small(target_feature=0).fit(X, y).predict(both[None, -N_LAGS:])
    np.testing.assert_allclose(forecast, expected, rtol=1e-9)


def test_evaluation_is_a_loop_over_expanding_windows():
    results = evaluate(
        reduction(),
        FOLDS,
        PASSENGERS,
        scoring=MeanAbsoluteError(),
        error_score="raise",
    )

    expected = []
    for n_rows in (120, 132):
        known, future = PASSENGERS.iloc[:n_rows], PASSENGERS.iloc[n_rows : n_rows + 12]
        forecast = recursive_forecast(fit_on_windows(known), known, 12)
        expected.append(mean_absolute_error(future, forecast))
    scores = results["test_MeanAbsoluteError"]
    np.testing.assert_allclose(scores, expected, rtol=1e-9)


def test_grid_search_sets_nested_parameters():
    search = ForecastingGridSearchCV(
        reduction(),
        FOLDS,
        {"estimator__rnnregressor__cell_type": ["rnn", "gru"]},
        scoring=MeanAbsoluteError(),
        error_score="raise",
    ).fit(PASSENGERS)

    errors = {}
    for cell_type in ("rnn", "gru"):
        parts = []
        for n_rows in (120, 132):
            known = PASSENGERS.iloc[:n_rows]
            model = fit_on_windows(known, cell_type=cell_type)
            forecast = recursive_forecast(model, known, 12)
            future = PASSENGERS.iloc[n_rows : n_rows + 12]
            parts.append(mean_absolute_error(future, forecast))
        errors[cell_type] = np.mean(parts)
    best = min(errors, key=errors.get)
    assert search.best_params_ == {"estimator__rnnregressor__cell_type": best}
    np.testing.assert_allclose(search.best_score_, errors[best], rtol=1e-9)


def test_reduction_to_panels_needs_a_transposition():
    to_time_first = FunctionTransformer(lambda X: X.transpose(0, 2, 1))
    forecaster = make_reduction(
        make_pipeline(to_time_first, small()),
        window_length=N_LAGS,
        scitype="time-series-regressor",
    )

    forecast = forecaster.fit(TRAIN, fh=YEAR).predict()
    expected = recursive_forecast(fit_on_windows(TRAIN), TRAIN, 12)
    np.testing.assert_allclose(forecast, expected, rtol=1e-9)


def test_classifier_learns_transposed_panels():
    X_train, y_train = load_unit_test("train", return_type="numpy3D")
    X_test, y_test = load_unit_test("test", return_type="numpy3D")

    model = RNNClassifier(random_state=0).fit(X_train.transpose(0, 2, 1), y_train)

    assert X_train.shape[1:] == (1, 24)  # channels, time
    assert model.score(X_test.transpose(0, 2, 1), y_test) > 0.85
