"""Normalisation of windows, and the linear model beside the network.

Expected values come from windows normalised explicitly and from RidgeCV.
"""

import itertools
import pickle
import re

import numpy as np
import pandas as pd
import pytest
from internals import assert_equal_up_to_rounding, without_network
from messages import raises
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.linear_model import RidgeCV
from sklearn.model_selection import GridSearchCV

from skrnn import RNNRegressor, make_windows
from skrnn._data.normalization import NormalizedSequences
from skrnn._data.sequences import Sequences

TINY = {"hidden_size": 4, "max_epochs": 3, "random_state": 0}
NETWORK = TINY | {"ar_order": 0}  # without a linear model
PLAIN = NETWORK | {"window_norm": None}
KINDS = ["last", "standard", "difference"]
over_kinds = pytest.mark.parametrize("kind", KINDS)


def random_walk(n=80, seed=0):
    """Return a random walk, which leaves the range of its first values."""
    return np.cumsum(np.random.default_rng(seed).normal(size=n)) + 50.0


X, y = make_windows(random_walk(), window_size=6)


def normalize(row, kind):
    """Return a normalised univariate window, its location and its scale."""
    if kind == "last":
        return row - row[-1], row[-1], 1.0
    if kind == "difference":
        return row[1:] - row[:-1], row[-1], 1.0
    return (row - row.mean()) / row.std(), row.mean(), row.std()


@over_kinds
def test_predictions_are_those_of_windows_normalised_explicitly(kind):
    rows, location, spread = zip(*(normalize(row, kind) for row in X), strict=True)
    location, spread = np.array(location), np.array(spread)
    plain = RNNRegressor(**PLAIN).fit(np.stack(rows), (y - location) / spread)
    expected = plain.predict(np.stack(rows)) * spread + location

    model = RNNRegressor(**NETWORK, window_norm=kind).fit(X, y)

    assert_allclose(model.loss_curve_, plain.loss_curve_, rtol=1e-9)
    assert_allclose(model.predict(X), expected, rtol=1e-9)


@pytest.mark.parametrize(
    ("kind", "dtype"),
    [("last", np.float32), ("standard", np.float64), ("difference", np.float32)],
)
def test_ragged_windows_are_normalised_each_by_itself(kind, dtype):
    rng = np.random.default_rng(1)
    lengths = [5, 3, 4, 2, 6]
    pieces = [rng.normal(size=(length, 3)) for length in lengths]
    sequences = NormalizedSequences(
        Sequences(np.concatenate(pieces), np.array(lengths)), kind, [2, 0], np.zeros(2)
    )

    batch, valid = sequences.take(np.arange(5), dtype)

    location, spread = sequences.reference()
    assert batch.dtype == dtype
    for i, piece in enumerate(pieces):
        n = len(piece) - (kind == "difference")
        assert n == (batch.shape[1] if valid is None else valid[i])
        for k, column in enumerate([2, 0]):
            own, where, unit = normalize(piece[:, column], kind)
            assert_allclose(batch[i, :n, column], own, rtol=1e-6, atol=1e-12)
            assert_allclose([location[i, k], spread[i, k]], [where, unit])
        assert_array_equal(batch[i, :n, 1], piece[-n:, 1].astype(dtype))
        assert (batch[i, n:] == 0).all()


def test_each_output_may_continue_another_feature():
    series = np.stack(
        [random_walk(seed=1), random_walk(seed=2), random_walk(seed=3)], axis=1
    )
    windows, targets = make_windows(series, series[:, [2, 0]], window_size=6)
    relative = windows.copy()
    relative[:, :, [2, 0]] -= windows[:, -1:, [2, 0]]
    last = windows[:, -1][:, [2, 0]]
    plain = RNNRegressor(**PLAIN).fit(relative, targets - last)

    model = RNNRegressor(**NETWORK, window_norm="last", target_feature=[2, 0])

    predictions = model.fit(windows, targets).predict(windows)
    assert_allclose(predictions, plain.predict(relative) + last, rtol=1e-9)


def test_one_feature_may_be_continued_at_several_horizons():
    windows, targets = make_windows(random_walk(), window_size=6, horizon=[1, 2, 5])
    model = RNNRegressor(**NETWORK, window_norm="difference").fit(windows, targets)

    last = windows[:, -1:]
    plain = RNNRegressor(**PLAIN).fit(np.diff(windows), targets - last)
    expected = plain.predict(np.diff(windows)) + last
    assert_allclose(model.predict(windows), expected, rtol=1e-9)


@over_kinds
def test_predictions_move_with_the_level_of_a_series(kind):
    model = RNNRegressor(**TINY, window_norm=kind).fit(X, y)

    assert_allclose(model.predict(X + 1000.0), model.predict(X) + 1000.0, rtol=1e-9)


def test_a_constant_window_has_a_moderate_prediction():
    flat = np.r_[X, np.full((1, 6), 55.0)]
    model = RNNRegressor(**TINY, window_norm="standard").fit(flat, np.r_[y, 56.0])

    assert abs(model.predict(flat[-1:])[0] - 55.0) < 10 * y.std()


def ridge(inputs, goal, weights=None):
    """Return the predictions of Ridge with the best penalty of leave-one-out.

    Penalties are relative to the number of rows and the mean variance of the inputs.
    """
    weights = np.ones(len(goal)) if weights is None else weights
    spread = inputs - np.average(inputs, axis=0, weights=weights)
    inputs = inputs / np.sqrt(np.average(spread**2, axis=0, weights=weights).mean())
    model = RidgeCV(len(goal) * np.logspace(-4, 0, 9))
    return model.fit(inputs, goal, weights).predict(inputs)


@pytest.mark.parametrize(("kind", "weighted"), [(None, True), ("difference", False)])
def test_training_starts_at_the_ridge_regression(kind, weighted):
    weights = np.random.default_rng(2).uniform(0.5, 2, len(y)) if weighted else None
    inputs = X if kind is None else np.diff(X)
    goal = y if kind is None else y - X[:, -1]
    w = np.ones(len(y)) if weights is None else weights
    scaled = inputs - np.average(inputs, weights=np.tile(w[:, None], inputs.shape[1]))
    scaled /= np.sqrt(
        np.average(scaled**2, weights=np.tile(w[:, None], inputs.shape[1]))
    )
    mean = np.average(goal, weights=w)
    unit = np.sqrt(np.average((goal - mean) ** 2, weights=w))
    expected = ridge(scaled[:, -4:], (goal - mean) / unit, w / w.mean()) * unit + mean
    expected = expected if kind is None else expected + X[:, -1]

    model = RNNRegressor(
        **TINY | {"max_epochs": 1}, lr=1e-12, window_norm=kind, ar_order=4
    ).fit(X, y, sample_weight=weights)

    assert_allclose(without_network(model).predict(X), expected, rtol=1e-7)


def test_rows_shorter_than_ar_order_are_padded_with_their_first_step():
    pieces = [row[: 2 + i % 5] for i, row in enumerate(X)]
    filled = np.stack([np.r_[[row[0]] * (6 - len(row)), row] for row in pieces])
    model = RNNRegressor(**TINY | {"max_epochs": 1}, lr=1e-12, ar_order=6)

    predictions = without_network(model.fit(pieces, y)).predict(pieces)

    steps = np.concatenate(pieces)
    scaled = (filled - steps.mean()) / steps.std()
    expected = ridge(scaled, (y - y.mean()) / y.std()) * y.std() + y.mean()
    assert_allclose(predictions, expected, rtol=1e-7)


def test_the_linear_model_uses_the_other_features_of_the_last_step():
    other = np.random.default_rng(4).normal(size=(*X.shape, 2))
    both = np.concatenate([X[:, :, None], other], axis=2)
    goal = y + 3 * other[:, -1, 1]
    model = RNNRegressor(
        **TINY | {"max_epochs": 1, "window_norm": None},
        lr=1e-12,
        ar_order=4,
        target_feature=0,
    )

    predictions = without_network(model.fit(both, goal)).predict(both)

    steps = both.reshape(-1, 3)
    scaled = (both - steps.mean(axis=0)) / steps.std(axis=0)
    inputs = np.hstack([scaled[:, -4:, 0], scaled[:, -1, 1:]])
    expected = ridge(inputs, (goal - goal.mean()) / goal.std())
    expected = expected * goal.std() + goal.mean()
    assert_allclose(predictions, expected, rtol=1e-7)


def test_repeated_rows_start_where_weighted_rows_do():
    times = np.random.default_rng(3).integers(1, 4, len(y))
    params = TINY | dict(max_epochs=1, lr=1e-12, window_norm="difference", ar_order=5)
    few = slice(12)  # not many more rows than lags, so that the penalty matters

    weighted = RNNRegressor(**params).fit(X[few], y[few], times[few])
    repeated = RNNRegressor(**params).fit(
        np.repeat(X[few], times[few], axis=0), np.repeat(y[few], times[few])
    )

    assert_allclose(repeated.predict(X), weighted.predict(X), rtol=1e-9)


@pytest.mark.parametrize("unit", [1e-3, 1e3])
def test_the_linear_start_does_not_depend_on_the_unit(unit):
    params = TINY | dict(max_epochs=1, lr=1e-12, ar_order=5, standardize=False)
    X_0, y_0 = X - X.mean(), y - X.mean()
    models = [
        without_network(RNNRegressor(**params).fit(X_0 * factor, y_0 * factor))
        for factor in (1, unit)
    ]
    expected, predictions = models[0].predict(X_0), models[1].predict(X_0 * unit)
    assert_allclose(predictions, expected * unit, rtol=1e-6, atol=1e-9 * unit)


def test_early_stopping_keeps_the_linear_model_unless_the_network_helps():
    model = RNNRegressor(
        **TINY, window_norm="difference", ar_order=5, early_stopping=True, lr=1.0
    ).fit(X, y)

    start = RNNRegressor(
        **TINY | {"max_epochs": 1},
        window_norm="difference",
        ar_order=5,
        early_stopping=True,
        lr=1e-12,
    ).fit(X, y)
    assert model.best_epoch_ == 0
    assert_allclose(model.predict(X), without_network(start).predict(X), rtol=1e-9)


@over_kinds
def test_a_pickled_model_keeps_its_normalisation(kind):
    model = RNNRegressor(**TINY, window_norm=kind, ar_order=3).fit(X, y)
    expected = model.predict(X)

    assert_allclose(pickle.loads(pickle.dumps(model)).predict(X), expected, rtol=1e-12)
    assert_array_equal(model.set_params(window_norm=None).predict(X), expected)


def test_searches_choose_the_normalisation():
    search = GridSearchCV(RNNRegressor(**TINY), {"window_norm": KINDS}, cv=2)
    assert np.isfinite(search.fit(X, y).cv_results_["mean_test_score"]).all()


@over_kinds
def test_a_row_alone_equals_the_row_in_a_batch(kind):
    model = RNNRegressor(**TINY, window_norm=kind, ar_order=3).fit(X, y)

    alone = np.concatenate([model.predict(row[None]) for row in X[::7]])
    assert_equal_up_to_rounding(alone, model.predict(X)[::7], n_terms=1 + 4 + 2)


def test_a_target_that_does_not_continue_the_feature_warns():
    unrelated = np.random.default_rng(0).normal(size=len(X))
    message = (
        "window_norm='last' expects y to continue feature [0] of X, in its units, but "
        "y does not resemble it. Check target_feature, or set window_norm=None."
    )
    for values, goal in ((X, unrelated), (X - X.mean(), unrelated), (X, y - y.mean())):
        if goal is not unrelated:
            goal = goal / 100  # in other units
        with pytest.warns(UserWarning, match=f"^{re.escape(message)}$"):
            RNNRegressor(**TINY, window_norm="last").fit(values, goal)


@pytest.mark.parametrize("method", ["fit", "partial_fit"])
def test_the_warning_names_the_line_of_the_caller(method):
    rng = np.random.default_rng(0)
    model = RNNRegressor(**TINY, window_norm="last")
    with pytest.warns(UserWarning, match="expects y to continue") as caught:
        getattr(model, method)(X, rng.normal(size=len(X)))
    assert [warning.filename for warning in caught] == [__file__]


def test_rows_held_out_for_validation_do_not_set_the_smallest_deviation():
    far = np.concatenate([X[:40], 1000 * X[40:]])
    options = dict(window_norm="standard", validation_strategy="last")
    model = RNNRegressor(
        **TINY, **options, early_stopping=True, validation_fraction=0.4
    )
    whole = RNNRegressor(**TINY, **options)

    model.fit(far, np.append(y[:40], 1000 * y[40:]))
    whole.fit(far[:40], y[:40])

    found, expected = (m._encoder.normalizer.min_std[0] for m in (model, whole))
    assert found == pytest.approx(expected, rel=0.5)  # not a thousand times as large


@over_kinds
def test_a_series_with_a_strong_season_does_not_warn(kind):
    season = np.tile([5.0, -4.0, 6.0, -7.0], 10) + 30  # changes more than it varies
    windows, following = make_windows(season, window_size=5)
    assert np.var(following - windows[:, -1]) > np.var(following)

    RNNRegressor(**TINY, window_norm=kind).fit(windows, following)


THREE = np.stack([X, X, X], axis=2)


@pytest.mark.parametrize(
    ("params", "sequences", "message"),
    [
        (
            {"window_norm": "last"},
            THREE,
            "The 'target_feature' parameter of RNNRegressor must name the feature of X "
            "that y continues, for window_norm and ar_order. Got None with 3 features "
            "per time step.",
        ),
        (
            {"ar_order": 2, "target_feature": 3},
            THREE,
            "The 'target_feature' parameter of RNNRegressor must name features of X, "
            "from 0 to 2. Got 3.",
        ),
        (
            {"ar_order": 2, "target_feature": [0, 1]},
            THREE,
            "The 'target_feature' parameter of RNNRegressor must have one feature for "
            "each of the 1 outputs if it is a list. Got [0, 1].",
        ),
        (
            {"window_norm": "difference"},
            X[:, :1],
            "X must have at least 2 time steps in every sequence for "
            "window_norm='difference'. Got 1.",
        ),
    ],
)
def test_invalid_combinations_of_parameters_raise(params, sequences, message):
    with raises(ValueError, message):
        RNNRegressor(**TINY, **params).fit(sequences, y)


def test_training_cannot_continue_with_another_normalisation():
    model = RNNRegressor(**TINY, warm_start=True, window_norm="last").fit(X, y)
    message = (
        "The 'window_norm' parameter must stay as it was while training continues with "
        "warm_start or partial_fit. Got None after 'last'. Set warm_start=False and "
        "call fit."
    )
    with raises(ValueError, message):
        model.set_params(window_norm=None).fit(X, y)


# Shrinkage of the network towards the linear model


def chaotic(n=90, noise=0.3):
    """Return a series whose changes follow Hénon's map with noise, a nonlinear law."""
    changes = [0.1, 0.1]
    while len(changes) < n:
        changes.append(1 - 1.4 * changes[-1] ** 2 + 0.3 * changes[-2])
    return np.cumsum(changes + noise * np.random.default_rng(5).normal(size=n))


LONG = chaotic()
X_LONG, Y_LONG = make_windows(LONG, window_size=6)
BESIDE = TINY | dict(window_norm="difference", ar_order=4, max_epochs=30, lr=0.02)
LINEAR = BESIDE | dict(max_epochs=1, lr=1e-12, early_stopping=False)


ROW_ERRORS = {"squared_error": np.square, "absolute_error": np.abs}


def expected_shrinkage(params, weights):
    """Return the shrinkage factor from cross-validation on the last two fifths.

    Each fifth is held out, without the 5 windows on either side that overlap it.
    """
    seed = np.random.RandomState(params["random_state"]).randint(2**31 - 1)
    linear = {k: LINEAR[k] for k in LINEAR if k != "early_stopping"}
    row_error = ROW_ERRORS[params.get("loss", "squared_error")]
    factors = np.linspace(0, 1, 101)
    rows, n_valid = np.arange(len(X_LONG)), int(np.ceil(len(X_LONG) / 5))
    errors, held_out = [], []
    for k in range(2):
        first = len(X_LONG) - (k + 1) * n_valid
        held = slice(first, first + n_valid)
        part = (rows < first - 5) | (rows >= first + n_valid + 5)
        predictions = []
        for p in (params, linear):
            model = RNNRegressor(
                **p | {"random_state": int(seed)}, early_stopping=False
            ).fit(X_LONG[part], Y_LONG[part], weights[part])
            predictions.append(model.predict(X_LONG[held]))
        network = predictions[0]
        start = without_network(model).predict(X_LONG[held])
        outputs = start + factors[:, None] * (network - start)
        errors.append(row_error((outputs - Y_LONG[held]) / model._encoder.target.scale))
        held_out.append(weights[held])
    errors, weights = np.hstack(errors), np.hstack(held_out) / np.sum(held_out)
    best = (errors @ weights).argmin()
    gains = errors[0] - errors[best]
    gain = gains @ weights
    if gain <= 0:
        return 0.0
    variance = np.sum(weights**2 * (gains - gain) ** 2)
    return factors[best] * max(0, 1 - variance / gain**2)


# Whether the network helps; the full grid is slow.
QUICK_SHRINKAGE = {
    (2, True, "squared_error"): True,
    (1, False, "absolute_error"): False,
}


@pytest.mark.parametrize(
    ("random_state", "weighted", "loss"),
    [
        pytest.param(*grid, marks=() if grid in QUICK_SHRINKAGE else pytest.mark.slow)
        for grid in itertools.product(range(4), [False, True], ROW_ERRORS)
    ],
)
def test_correction_is_shrunk_by_its_gain_on_held_out_folds(
    random_state, weighted, loss
):
    params = BESIDE | {"random_state": random_state, "loss": loss, "max_epochs": 60}
    weights = np.ones(len(X_LONG))
    if weighted:
        weights = np.random.default_rng(7).uniform(0.2, 3, len(X_LONG))
    factor = expected_shrinkage(params, weights)
    helps = QUICK_SHRINKAGE.get((random_state, weighted, loss), factor > 0)
    assert (factor > 0) == helps
    network, linear, model = (
        RNNRegressor(**p).fit(X_LONG, Y_LONG, weights)
        for p in (params | {"early_stopping": False}, LINEAR, params)
    )
    models = network, without_network(linear), model
    network, linear, actual = (model.predict(X_LONG) for model in models)

    assert_allclose(actual, linear + factor * (network - linear), rtol=1e-6)


def test_a_network_that_does_not_help_has_no_effect():
    rng = np.random.default_rng(1)  # what follows is drawn from the last value alone
    windows = np.cumsum(rng.normal(size=(60, 6)), axis=1)
    following = windows[:, -1] + rng.normal(size=60)
    params = BESIDE | {"max_epochs": 40, "lr": 0.5, "hidden_size": 16}
    linear = without_network(RNNRegressor(**LINEAR).fit(windows, following))

    model = RNNRegressor(**params).fit(windows, following)

    assert model.n_iter_ == len(model.loss_curve_) == 40
    assert len(model.validation_loss_curve_) == 40
    assert_allclose(model.predict(windows), linear.predict(windows), rtol=1e-9)
    again = pickle.loads(pickle.dumps(model))
    assert_allclose(again.predict(windows), model.predict(windows), rtol=1e-12)


@pytest.mark.parametrize(
    "params", [{"ar_order": 0}, {"early_stopping": False}, {"rows": 39}]
)
def test_cross_validation_needs_ar_order_early_stopping_and_enough_rows(params):
    rows = slice(params.get("rows"))
    params = {name: value for name, value in params.items() if name != "rows"}
    model = RNNRegressor(**BESIDE | params).fit(X_LONG[rows], Y_LONG[rows])

    assert model.n_iter_ == 30
    assert model.validation_loss_curve_ is None


def test_windows_that_all_overlap_are_not_cross_validated():
    X, y = make_windows(LONG, window_size=30)
    model = RNNRegressor(**BESIDE).fit(X, y)
    assert model.validation_loss_curve_ is None
    assert model.n_iter_ == 30


def test_given_validation_rows_stop_training_at_the_linear_model():
    model = RNNRegressor(**BESIDE | {"lr": 300.0}, patience=2).fit(
        X_LONG[:60], Y_LONG[:60], X_val=X_LONG[60:], y_val=Y_LONG[60:]
    )
    assert model.best_epoch_ == 0
    assert model.n_iter_ == 2


@pytest.mark.parametrize("make", [list, pd.DataFrame])
def test_folds_are_the_same_for_x_in_any_form(make):
    params = BESIDE | {"max_epochs": 3}
    expected = RNNRegressor(**params).fit(X_LONG, Y_LONG).predict(X_LONG)
    X = make(X_LONG[:, :, None]) if make is list else make(X_LONG)
    predictions = RNNRegressor(**params).fit(X, Y_LONG).predict(X)
    assert_allclose(predictions, expected, rtol=1e-9)


def test_folds_are_whole_groups():
    seen = []

    class Recorder(RNNRegressor):
        def _train_fold(self, samples, plan, train, *others):
            seen.append(train)
            return super()._train_fold(samples, plan, train, *others)

    groups = np.arange(len(X_LONG)) // 20
    Recorder(**BESIDE | {"max_epochs": 1}).fit(X_LONG, Y_LONG, groups=groups)
    # The held-out groups, from the last one, and the windows that overlap them are left
    # out.
    rows = np.arange(len(groups))
    assert_array_equal(seen[0], rows[rows < 60 - 5])
    assert_array_equal(seen[1], rows[(rows < 40 - 5) | (rows >= 60 + 5)])
    assert len(seen) == 2


def test_a_single_group_is_not_cross_validated():
    model = RNNRegressor(**BESIDE).fit(X_LONG, Y_LONG, groups=np.zeros(len(X_LONG)))
    assert model.validation_loss_curve_ is None
