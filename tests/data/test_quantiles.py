"""Quantiles by the pinball loss."""

import pickle

import numpy as np
import pytest
import torch
from internals import assert_equal_up_to_rounding, raw_outputs, without_network
from messages import raises
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone
from sklearn.metrics import mean_pinball_loss
from sklearn.model_selection import GridSearchCV

from skrnn import RNNRegressor
from skrnn._data.targets import QuantileTarget

rng = np.random.default_rng(0)
X, Y = rng.normal(size=(40, 5, 1)), rng.normal(size=40)
TINY = dict(hidden_size=4, max_epochs=2, random_state=0, loss="quantile")
NETWORK = TINY | {"window_norm": None, "ar_order": 0}  # without a linear model
LEVELS = (0.1, 0.3, 0.9)


@pytest.mark.parametrize("n_targets", [1, 2])
def test_the_loss_of_a_row_is_the_mean_pinball_loss(n_targets):
    target = QuantileTarget(LEVELS)
    y = rng.normal(size=(6, n_targets))
    target.fit(y, np.arange(6), None)
    output = rng.normal(size=(6, n_targets, 4))  # the median among them
    losses = target.row_loss(torch.tensor(output).flatten(1), torch.tensor(y))
    for row in range(6):
        expected = np.mean(
            [
                mean_pinball_loss(y[row, [k]], output[row, k, [i]], alpha=level)
                for k in range(n_targets)
                for i, level in enumerate((0.1, 0.3, 0.5, 0.9))
            ]
        )
        assert losses[row] == pytest.approx(expected)


def test_quantiles_do_not_cross_and_sorting_them_adds_no_loss():
    model = RNNRegressor(**NETWORK, quantiles=LEVELS).fit(X, Y)
    found = model.predict_quantiles(X)
    assert found.shape == (40, 3)
    assert (np.diff(found, axis=1) >= 0).all()
    target = model._encoder.target
    raw = raw_outputs(model, X) * target.scale + target.mean
    at = [0, 1, 3]  # the median is the third
    assert (np.diff(raw, axis=1) < 0).any()  # the raw outputs do cross
    sorted_loss, raw_loss = (
        sum(
            mean_pinball_loss(Y, q[:, i], alpha=a)
            for i, a in zip(at, LEVELS, strict=True)
        )
        for q in (np.sort(raw, axis=1), raw)
    )
    assert sorted_loss <= raw_loss


@pytest.mark.parametrize(
    ("cell_type", "window_norm"),
    [("rnn", None), ("gru", "last"), ("lstm", "standard"), ("gru", "difference")],
)
def test_quantiles_of_new_data_do_not_cross(cell_type, window_norm):
    levels = tuple(np.linspace(0.05, 0.95, 19))
    model = RNNRegressor(
        **TINY, quantiles=levels, cell_type=cell_type, window_norm=window_norm
    ).fit(X, X[:, -1, 0] + Y / 2)
    strange = 30 * np.random.default_rng(1).normal(size=(200, 7, 1))
    assert (np.diff(model.predict_quantiles(strange), axis=1) >= 0).all()


@pytest.mark.parametrize(("weighted", "batch_size"), [(False, 40), (True, 7)])
def test_the_loss_curve_is_the_pinball_loss_of_scikit_learn(weighted, batch_size):
    weights = np.random.default_rng(3).uniform(0.1, 2, 40) if weighted else np.ones(40)
    model = RNNRegressor(
        **NETWORK | {"max_epochs": 1},
        quantiles=LEVELS,
        lr=1e-300,
        lr_schedule=None,
        batch_size=batch_size,
    ).fit(X, Y, weights)
    target = model._encoder.target
    raw = raw_outputs(model, X) * target.scale + target.mean
    losses = [
        mean_pinball_loss(Y, raw[:, i], sample_weight=weights, alpha=level)
        for i, level in enumerate((0.1, 0.3, 0.5, 0.9))
    ]
    mean = np.average(Y, weights=weights)
    deviation = np.sqrt(np.average((Y - mean) ** 2, weights=weights))
    assert_allclose(model.loss_curve_, [np.mean(losses) / deviation], rtol=1e-9)


@pytest.mark.parametrize("quantiles", [LEVELS, (0.5,), [0.25, 0.5]])
def test_predict_returns_the_median(quantiles):
    model = RNNRegressor(**TINY, quantiles=quantiles).fit(X, Y)
    with_median = RNNRegressor(**TINY, quantiles=tuple(sorted({*quantiles, 0.5})))
    found = with_median.fit(X, Y).predict_quantiles(X)
    middle = sorted({*quantiles, 0.5}).index(0.5)
    assert_array_equal(model.predict(X), found[:, middle])
    assert model.n_outputs_ == len({*quantiles, 0.5})


@pytest.mark.parametrize("ar_order", [0, 2])
def test_an_interval_of_quantiles_holds_about_its_fraction_of_new_rows(ar_order):
    # The noise grows with the last value, so that a constant width would be wrong.
    rng = np.random.default_rng(0)

    def draw(n):
        inputs = rng.normal(size=(n, 4, 1))
        spread = np.exp(inputs[:, -1, 0])
        return inputs, inputs.sum(axis=(1, 2)) + spread * rng.normal(size=n)

    inputs, y = draw(1000)
    model = RNNRegressor(
        8,
        loss="quantile",
        quantiles=(0.1, 0.9),
        ar_order=ar_order,
        max_epochs=20,
        random_state=0,
    ).fit(inputs, y)
    unseen, truth = draw(2000)
    low, high = model.predict_quantiles(unseen).T
    # The standard error of the fraction is 0.009; the rest is the error of the network.
    assert abs(np.mean((low <= truth) & (truth <= high)) - 0.8) < 0.05
    width = high - low
    calm, wild = unseen[:, -1, 0] < 0, unseen[:, -1, 0] > 1
    assert width[wild].mean() > 2 * width[calm].mean()


@pytest.mark.parametrize(
    ("weighted", "return_sequences"), [(True, False), (False, True), (True, True)]
)
def test_training_starts_at_the_quantiles_of_the_linear_model(
    weighted, return_sequences
):
    own = np.random.default_rng(2)
    X, weights = own.normal(size=(100, 5, 1)), np.ones(100)
    if weighted:
        weights = own.uniform(0.1, 3, size=100)
    y = X[:, :, 0] + own.standard_exponential(size=(100, 5))
    params = TINY | {"max_epochs": 1, "return_sequences": return_sequences}
    model = RNNRegressor(
        **params, quantiles=(0.1, 0.8), ar_order=2, lr=1e-12, early_stopping=False
    )
    y = y if return_sequences else y[:, -1]
    model = without_network(model.fit(X, y, weights))
    low, high = np.moveaxis(model.predict_quantiles(X), -1, 0)
    weights = np.broadcast_to(weights[:, None], y.shape) if y.ndim > 1 else weights
    # One row of a hundred holds at most 3 % of the weight; half of it is split.
    assert abs(np.average(y < low, weights=weights) - 0.1) <= 0.03
    assert abs(np.average(y < high, weights=weights) - 0.8) <= 0.03
    assert np.ptp(high - low) < 1e-9


def test_shapes_of_several_targets_and_of_steps():
    model = RNNRegressor(**TINY, quantiles=LEVELS).fit(X, np.column_stack([Y, -Y]))
    assert model.predict(X).shape == (40, 2)
    assert model.predict_quantiles(X).shape == (40, 2, 3)
    alone, together = model.predict_quantiles(X[:1]), model.predict_quantiles(X)
    assert_equal_up_to_rounding(alone, together[:1], n_terms=1 + 4 + 2)
    model.fit(X, Y[:, None].astype(np.float32))
    assert model.predict(X).shape == (40, 1)
    assert model.predict_quantiles(X).shape == (40, 1, 3)
    assert model.predict_quantiles(X).dtype == np.float32
    steps = RNNRegressor(**TINY, quantiles=LEVELS, return_sequences=True)
    steps.fit(X, X[:, :, 0])
    assert steps.predict(X).shape == (40, 5)
    assert steps.predict_quantiles(X).shape == (40, 5, 3)
    ragged = [x[: 1 + i % 5] for i, x in enumerate(X)]
    steps.fit(ragged, [x[:, 0] for x in ragged])
    found = steps.predict_quantiles(ragged)
    assert [piece.shape for piece in found[:3]] == [(1, 3), (2, 3), (3, 3)]


@pytest.mark.parametrize("window_norm", [None, "last", "standard", "difference"])
def test_quantiles_move_with_the_units_of_a_series(window_norm):
    walks = np.cumsum(rng.normal(size=(40, 7)), axis=1)
    inputs, y = walks[:, :-1, None], walks[:, -1]
    model = RNNRegressor(**TINY, window_norm=window_norm)
    expected = model.fit(inputs, y).predict_quantiles(inputs)
    moved = model.fit(inputs * 3 + 50, y * 3 + 50).predict_quantiles(inputs * 3 + 50)
    assert_allclose(moved, expected * 3 + 50, rtol=1e-6)


def test_quantiles_are_numbers_between_zero_and_one():
    invalid = [(), (0.0, 0.5), (0.5, 1.0), (0.9, 0.1), (0.5, 0.5), ("0.5",), (True,)]
    for quantiles in invalid:
        message = (
            "The 'quantiles' parameter of RNNRegressor must hold numbers between 0 and "
            f"1 in ascending order. Got {quantiles!r}."
        )
        with raises(ValueError, message):
            RNNRegressor(**TINY, quantiles=quantiles).fit(X, Y)


@pytest.mark.parametrize("quantiles", [0.5, "0.5"])
def test_quantiles_are_a_tuple_or_a_list(quantiles):
    message = (
        "The 'quantiles' parameter of RNNRegressor must be an instance of 'tuple' or "
        f"an instance of 'list'. Got {quantiles!r} instead."
    )
    with raises(ValueError, message):
        RNNRegressor(**TINY, quantiles=quantiles).fit(X, Y)


def test_quantiles_that_cross_are_sorted_within_each_target():
    target = QuantileTarget((0.1, 0.9)).fit(Y[:, None] + [0, 9], np.arange(40), None)
    crossed = np.array([[3.0, 1.0, 2.0, -1.0, -3.0, -2.0]])  # the median among them

    ordered = np.array([[1.0, 2.0, 3.0], [-3.0, -2.0, -1.0]])
    expected = ordered * target.scale[:, None] + target.mean[:, None]
    assert_allclose(target.decode_quantiles(crossed)[0], expected[:, [0, 2]])
    assert_allclose(target.decode(crossed)[0], expected[:, 1])


def test_medians_and_quantiles_return_to_the_units_of_their_window():
    location, scale = rng.normal(size=(40, 1)), rng.uniform(1, 2, size=(40, 1))
    target = QuantileTarget((0.1, 0.9))
    target.fit(Y, np.arange(40), None, (location, scale))
    output = np.tile([-1.0, 0.0, 1.0], (40, 1))

    levels = output * target.scale + target.mean  # in units of the normalised window
    expected = levels * scale + location
    assert_allclose(target.decode(output, (location, scale)), expected[:, 1])
    assert_allclose(
        target.decode_quantiles(output, (location, scale)), expected[:, [0, 2]]
    )


def test_quantiles_of_several_targets_are_in_their_units():
    units, shifts = np.array([1.0, 1e4]), np.array([0.0, -7.0])
    both = np.column_stack([Y, X[:, -1, 0] + X[:, 0, 0]])
    expected = RNNRegressor(**NETWORK).fit(X, both).predict_quantiles(X)
    moved = RNNRegressor(**NETWORK).fit(X, both * units + shifts).predict_quantiles(X)
    expected = expected * units[:, None] + shifts[:, None]
    assert_allclose(moved, expected, rtol=1e-6)


def test_other_losses_have_no_quantiles():
    model = RNNRegressor(4, max_epochs=1).fit(X, Y)
    assert not hasattr(model, "predict_quantiles")
    with pytest.raises(AttributeError) as caught:
        model.predict_quantiles(X)
    assert str(caught.value.__cause__ or caught.value) == (
        "predict_quantiles is available with loss='quantile' only. Got "
        "loss='squared_error'."
    )


@pytest.mark.parametrize("return_sequences", [False, True])
def test_the_loss_of_the_fit_decides_whether_there_are_quantiles(return_sequences):
    y = X[:, :, 0] if return_sequences else Y
    params = TINY | {"return_sequences": return_sequences}
    assert hasattr(RNNRegressor(**params), "predict_quantiles")
    model = RNNRegressor(**params).fit(X, y)
    expected = model.predict_quantiles(X)
    model.set_params(loss="huber", quantiles=(0.5,))
    assert_array_equal(model.predict_quantiles(X), expected)
    assert not hasattr(model.fit(X, y), "predict_quantiles")
    assert not hasattr(model.set_params(loss="quantile"), "predict_quantiles")


def test_training_continues_with_the_same_quantiles_only():
    model = RNNRegressor(**TINY, warm_start=True).fit(X, Y)
    message = (
        "The quantiles must stay as they were while training continues with warm_start "
        "or partial_fit. Got (0.2, 0.5) after (0.1, 0.5, 0.9). Set warm_start=False "
        "and call fit."
    )
    with raises(ValueError, message):
        model.set_params(quantiles=(0.2, 0.5)).fit(X, Y)


@pytest.mark.parametrize(
    ("before", "after"), [("quantile", "huber"), ("huber", "quantile")]
)
def test_training_continues_with_quantiles_or_without(before, after):
    model = RNNRegressor(**TINY | {"loss": before}, warm_start=True).fit(X, Y)
    message = (
        "The 'loss' parameter must stay as it was while training continues with "
        f"warm_start or partial_fit. Got {after!r} after {before!r}. Set "
        "warm_start=False and call fit."
    )
    with raises(ValueError, message):
        model.set_params(loss=after).fit(X, Y)


def test_quantiles_survive_pickling_cloning_and_searching():
    model = RNNRegressor(**TINY, quantiles=LEVELS).fit(X, Y)
    expected = model.predict_quantiles(X)
    again = pickle.loads(pickle.dumps(model))
    assert_allclose(again.predict_quantiles(X), expected, rtol=1e-12)
    assert_array_equal(clone(model).fit(X, Y).predict_quantiles(X), expected)
    search = GridSearchCV(model, {"loss": ["squared_error", "quantile"]}, cv=2)
    assert np.isfinite(search.fit(X, Y).cv_results_["mean_test_score"]).all()
