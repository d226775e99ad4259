"""`ar_order='auto'` and `window_norm='auto'`, and what the network may add."""

import copy
import warnings

import numpy as np
import pytest
from internals import without_network
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.linear_model import Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skrnn import RNNRegressor, make_windows
from skrnn.datasets import load_airline_passengers

QUICK = dict(hidden_size=4, max_epochs=3, random_state=0)


def autoregression(n=200, level=0.0, seed=0):
    rng = np.random.default_rng(seed)
    values = [0.0, 0.0]
    for noise in rng.normal(size=n):
        values.append(1.2 * values[-1] - 0.5 * values[-2] + noise)
    return level + np.array(values)


def random_walk(n=150):
    return np.cumsum(np.random.default_rng(0).normal(1.0, 1.0, size=n))


def chaotic(n=300):
    """Return a series whose changes follow the logistic map."""
    changes = [0.3]
    while len(changes) < n:
        changes.append(3.9 * changes[-1] * (1 - changes[-1]))
    return np.cumsum(np.array(changes) - 0.5)


def chosen(X, y, **params):
    model = RNNRegressor(**QUICK | params).fit(X, y)
    return model.window_norm_, model.ar_order_


def test_a_series_that_depends_on_its_values_gets_a_linear_model():
    X, y = make_windows(autoregression(level=50), window_size=6)
    assert chosen(X, y) == (None, 6)


def test_a_random_walk_is_expressed_by_differences():
    X, y = make_windows(random_walk(), window_size=5)
    assert chosen(X, y) == ("difference", 4)


def test_targets_that_do_not_follow_from_the_window_get_no_linear_model():
    X, y = np.random.default_rng(0).normal(size=(2, 100, 8))
    assert chosen(X, y[:, 0]) == (None, 0)


@pytest.mark.parametrize(
    "params",
    [
        {"return_sequences": True},
        {"embedding_dim": 2},
        {"n_features": 2},
        {"n_rows": 9},
        {"partial": True},
    ],
    ids=lambda params: next(iter(params)),
)
def test_nothing_is_chosen_where_the_documentation_says_so(params):
    params = dict(params)
    X, y = make_windows(autoregression(level=50), window_size=6)
    X = X[:, :, None]
    if params.pop("partial", False):
        model = RNNRegressor(**QUICK).partial_fit(X, y)
        assert (model.window_norm_, model.ar_order_) == (None, 0)
        return
    n_rows = params.pop("n_rows", len(X))
    X, y = X[:n_rows], y[:n_rows]
    if "embedding_dim" in params:
        X = np.abs(X).astype(int) % 5 + 1
    if params.pop("n_features", 1) == 2:
        X = np.concatenate([X, X[::-1]], axis=2)
    if "return_sequences" in params:
        y = X[:, :, 0]
    assert chosen(X, y, **params) == (None, 0)


def test_the_target_feature_is_used():
    series = autoregression(level=50)
    other = np.random.default_rng(1).normal(size=len(series))
    X, y = make_windows(np.column_stack([other, series]), series, window_size=6)
    assert chosen(X, y, target_feature=1) == (None, 6)


def test_several_horizons_and_several_columns():
    series = random_walk()
    X, y = make_windows(series, window_size=6, horizon=[1, 2, 4])
    assert chosen(X, y) == ("difference", 5)
    both = np.column_stack([series, series[::-1]])
    X, y = make_windows(both, both, window_size=6)
    norm, order = chosen(X, y, target_feature=[0, 1])
    assert (norm, order) == ("difference", 5)
    y = np.column_stack([y[:, 0], np.full(len(y), 7.0)])
    model = RNNRegressor(**QUICK, target_feature=[0, 1]).fit(X, y)
    assert model.ar_order_ > 0
    assert np.abs(model.predict(X)[:, 0] - y[:, 0]).mean() < y[:, 0].std() / 2


def test_ragged_windows_get_as_many_lags_as_the_shortest_has():
    series = autoregression(level=50)
    X, y = make_windows(series, window_size=8)
    ragged = [row[-(4 + i % 5) :] for i, row in enumerate(X)]
    assert chosen(ragged, y) == (None, 4)


def test_one_parameter_may_be_given_and_the_other_chosen():
    X, y = make_windows(autoregression(level=50), window_size=6)
    assert chosen(X, y, window_norm="last") == ("last", 6)
    assert chosen(X, y, ar_order=2) == (None, 2)
    assert chosen(X, y, ar_order=0, window_norm=None) == (None, 0)


def test_repeated_rows_choose_what_weighted_rows_choose():
    X, y = make_windows(chaotic(70), window_size=5)
    times = np.random.default_rng(0).integers(0, 4, len(X))
    weighted = RNNRegressor(**QUICK, batch_size=500).fit(X, y, times)
    rows = np.repeat(np.arange(len(X)), times)
    repeated = RNNRegressor(**QUICK, batch_size=500).fit(X[rows], y[rows])
    for name in ("window_norm_", "ar_order_"):
        assert getattr(weighted, name) == getattr(repeated, name)


@pytest.mark.parametrize("cell_type", ["rnn", "gru", "lstm"])
def test_counting_goes_on(cell_type):
    X, y = make_windows(np.arange(1.0, 100.0), window_size=12)
    model = RNNRegressor(cell_type=cell_type, random_state=0).fit(X, y)
    assert model.predict(np.arange(88.0, 100.0)[None]) == pytest.approx(100)
    following = model.forecast(np.arange(88.0, 100.0)[None], 20)[0]
    assert_allclose(following, np.arange(100.0, 120.0))


def test_nothing_is_cross_validated_where_nothing_is_left_to_learn():
    X, y = make_windows(autoregression(), window_size=6)
    model = RNNRegressor(**QUICK).fit(X, y)
    assert model.validation_loss_curve_ is None
    assert (model.module_.head.weight == 0).all()
    inputs = make_pipeline(StandardScaler(), Ridge(0.01)).fit(X, y).predict(X)
    assert_allclose(model.predict(X), inputs, atol=0.2 * y.std())


def test_the_network_learns_what_is_left():
    X, y = make_windows(chaotic(), window_size=5)
    model = RNNRegressor(random_state=0).fit(X[:200], y[:200])
    assert len(model.validation_loss_curve_) == model.n_iter_ == 60
    errors = model.predict(X[200:]) - y[200:]
    linear = without_network(
        RNNRegressor(random_state=0, max_epochs=1, lr=1e-12, early_stopping=False).fit(
            X[:200], y[:200]
        )
    )
    of_linear = linear.predict(X[200:]) - y[200:]
    assert np.abs(errors).mean() < np.abs(of_linear).mean() / 2


def test_few_rows_keep_the_linear_model():
    X, y = make_windows(autoregression(40), window_size=6)
    linear = without_network(
        RNNRegressor(
            **QUICK | {"max_epochs": 1}, ar_order=6, lr=1e-12, early_stopping=False
        ).fit(X, y)
    )
    model = RNNRegressor(**QUICK, ar_order=6, lr=1.0).fit(X, y)
    assert_allclose(model.predict(X), linear.predict(X), rtol=1e-6)
    free = RNNRegressor(**QUICK, ar_order=6, lr=1.0, early_stopping=False).fit(X, y)
    assert np.abs(free.predict(X) - linear.predict(X)).max() > 1e-3


@pytest.mark.parametrize("n_outputs", [1, 2])
@pytest.mark.parametrize("value", [0.0, 0.1, -1e300])
def test_constant_y_is_predicted_exactly(value, n_outputs):
    X = np.random.default_rng(0).normal(size=(50, 7))
    y = np.full((50, n_outputs), value)
    model = RNNRegressor(**QUICK, lr=0.1).fit(X, y)
    assert_array_equal(model.predict(X), y)


def test_a_constant_is_all_that_is_left_of_noise():
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(60, 9, 3)), rng.normal(size=60) + 5
    model = RNNRegressor(random_state=0).fit(X, y)
    assert np.ptp(model.predict(X)) < 0.2 * np.ptp(y)
    assert len(model.validation_loss_curve_) == 60


def test_values_at_the_limits_of_their_range_choose_nothing_in_silence():
    X = np.random.default_rng(0).normal(size=(60, 6))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for unit in (1e-300, 1e100, 1e300):
            model = RNNRegressor(**QUICK).fit(X * unit, X[:, 0] * unit)
            assert np.isfinite(model.predict(X * unit)).all()


def test_parameters_are_not_changed_and_fits_repeat():
    X, y = make_windows(chaotic(120), window_size=5)
    model = RNNRegressor(**QUICK)
    before = copy.deepcopy(model.get_params())
    first = model.fit(X, y).predict(X)
    assert model.get_params() == before
    assert_array_equal(model.fit(X, y).predict(X), first)


def test_the_airline_series_is_forecast_as_well_as_by_ridge():
    series = load_airline_passengers()["passengers"].to_numpy(float)
    X, y = make_windows(series, window_size=13)
    train, test = slice(-48), slice(-48, None)
    last, change = X[:, -1], y - X[:, -1]
    ridge = make_pipeline(StandardScaler(), Ridge())
    ridge.fit(np.diff(X[train]), change[train] / change[train].std())
    of_ridge = last[test] + ridge.predict(np.diff(X[test])) * change[train].std()
    model = RNNRegressor(random_state=0).fit(X[train], y[train])
    error, error_of_ridge = (
        np.abs(predicted - y[test]).mean()
        for predicted in (model.predict(X[test]), of_ridge)
    )
    assert error < 1.02 * error_of_ridge
    assert error < 10.8
