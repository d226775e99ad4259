"""What is particular to the regressor: real targets, their units, their loss."""

import numpy as np
import pandas as pd
import pytest
import torch
from messages import raises
from numpy.testing import assert_allclose, assert_array_equal
from scipy import special
from sklearn.linear_model import Ridge
from sklearn.metrics import r2_score

from skrnn import RNNRegressor

N_ROWS = 24

# The loss of each output by its formula, with the error in units of its deviation.
LOSS_FORMULAS = {
    "squared_error": np.square,
    "absolute_error": np.abs,
    "huber": lambda error: special.huber(1.0, error),
}


def small(**parameters):
    """Return a regressor that is quick to fit, without a linear model."""
    defaults = {"hidden_size": 4, "max_epochs": 3, "random_state": 0}
    defaults |= {"window_norm": None, "ar_order": 0}
    return RNNRegressor(**defaults | parameters)


def frozen(**parameters):
    """Return a regressor whose weights stay as they were initialised.

    So the loss of its first epoch is that of its predictions.
    """
    return small(lr=1e-300, lr_schedule=None, max_epochs=1, **parameters)


def random(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape)


X = random(N_ROWS, 5)
Y = random(N_ROWS, 3, seed=1) + X[:, :3]
WEIGHTS = np.random.default_rng(2).uniform(0.1, 2, size=N_ROWS)


def deviation(y, weights=None):
    """Return the weighted deviation of each output."""
    mean = np.average(y, axis=0, weights=weights)
    return np.sqrt(np.average((y - mean) ** 2, axis=0, weights=weights))


# The loss


@pytest.mark.parametrize(
    ("weights", "batch_size"),
    [(None, N_ROWS), (WEIGHTS, 7)],
    ids=["equal", "weighted"],
)
@pytest.mark.parametrize("y", [100 * Y[:, 0] + 7, 100 * Y], ids=["one", "three"])
@pytest.mark.parametrize("loss", LOSS_FORMULAS)
def test_loss_is_the_weighted_mean_in_standard_deviations_of_y(
    loss, y, weights, batch_size
):
    model = frozen(loss=loss, batch_size=batch_size).fit(X, y, weights)

    errors = (model.predict(X) - y) / deviation(y, weights)
    losses = LOSS_FORMULAS[loss](errors).reshape(N_ROWS, -1).mean(axis=1)
    expected = np.average(losses, weights=weights)
    assert_allclose(model.loss_curve_, [expected], rtol=1e-10)


@pytest.mark.parametrize("loss", ["squared_error", "huber"])
def test_validation_loss_is_in_standard_deviations_of_the_training_y(loss):
    y, y_val = 100 * Y[:, 0], 300 * Y[:9, 1]
    model = frozen(loss=loss).fit(X, y, X_val=X[:9], y_val=y_val)

    errors = (model.predict(X[:9]) - y_val) / deviation(y)
    expected = LOSS_FORMULAS[loss](errors).mean()
    assert_allclose(model.validation_loss_curve_, [expected], rtol=1e-10)


def test_an_outlier_moves_the_absolute_error_less_than_the_squared_error():
    y = np.zeros(200)
    y[::2] = 1.0
    y[1::20] = 100.0  # the mean is 5.5, the median 0
    X = np.ones((200, 2))

    means = {
        loss: RNNRegressor(4, loss=loss, max_epochs=30, lr=0.03, random_state=0)
        .fit(X, y)
        .predict(X[:1])[0]
        for loss in LOSS_FORMULAS
    }
    assert_allclose(means["squared_error"], y.mean(), atol=1.5)
    assert -1.0 <= means["absolute_error"] <= 2.0
    assert means["absolute_error"] < means["huber"] < means["squared_error"]


# The units and the shape of predictions


@pytest.mark.parametrize(
    ("loss", "scale", "shift"),
    [
        ("squared_error", 1e-3, 0.0),
        ("absolute_error", 1e3, -5e4),
        ("huber", 2.0, 1e6),
    ],
)
def test_predictions_follow_the_unit_of_y(loss, scale, shift):
    y = Y[:, 0]
    plain = small(loss=loss).fit(X, y).predict(X)

    scaled = small(loss=loss).fit(X, scale * y + shift).predict(X)
    assert_allclose(scaled, scale * plain + shift, rtol=1e-6)


def test_predictions_follow_the_units_of_each_output():
    units, shifts = np.array([1e-3, 1.0, 1e6]), np.array([5.0, 0.0, -1e7])
    plain = small().fit(X, Y).predict(X)

    scaled = small().fit(X, Y * units + shifts).predict(X)
    assert_allclose(scaled, plain * units + shifts, rtol=1e-6)


def test_units_of_y_are_weighted():
    y = Y[:, 0]
    model = frozen().fit(X, y, WEIGHTS)
    raw = (model.predict(X) - np.average(y, weights=WEIGHTS)) / deviation(y, WEIGHTS)

    other = frozen().fit(X, 3 * y + 1, WEIGHTS)
    raw_of_other = other.predict(X) - np.average(3 * y + 1, weights=WEIGHTS)
    assert_allclose(raw_of_other / deviation(3 * y + 1, WEIGHTS), raw, rtol=1e-9)


@pytest.mark.parametrize("value", [0.0, 1e300])
def test_constant_y_is_predicted(value):
    model = small(max_epochs=50, lr=0.02).fit(X, np.full(N_ROWS, value))

    assert_allclose(model.predict(X), value, rtol=1e-12, atol=0.05)


def test_constant_output_does_not_disturb_the_others():
    y = np.stack([np.full(N_ROWS, 5.0), X[:, -2]], axis=1)
    model = small(max_epochs=100, lr=0.02).fit(X, y)

    assert_allclose(model.predict(X)[:, 0], 5.0, atol=0.3)
    assert r2_score(y[:, 1], model.predict(X)[:, 1]) > 0.9


@pytest.mark.parametrize(
    ("y", "shape", "n_outputs"),
    [
        (Y[:, 0], (N_ROWS,), 1),
        (Y[:, :1], (N_ROWS, 1), 1),
        (Y, (N_ROWS, 3), 3),
        (Y[:, 0].tolist(), (N_ROWS,), 1),
        (pd.Series(Y[:, 0], index=np.arange(N_ROWS)[::-1]), (N_ROWS,), 1),
        (pd.DataFrame(Y[:, :1]), (N_ROWS, 1), 1),
    ],
    ids=[
        "1-D",
        "one column",
        "three columns",
        "list",
        "Series",
        "frame of one column",
    ],
)
def test_predictions_have_the_shape_of_y(y, shape, n_outputs):
    model = small().fit(X, y)

    assert model.predict(X).shape == shape
    assert model.predict(X[:1]).shape == (1, *shape[1:])
    assert model.n_outputs_ == n_outputs


@pytest.mark.parametrize("container", [list, pd.Series, lambda y: np.repeat(y, 2)[::2]])
def test_container_of_y_does_not_matter(container):
    y = Y[:, 0]

    actual = small().fit(X, container(y)).predict(X)
    assert_array_equal(actual, small().fit(X, y).predict(X))


@pytest.mark.parametrize(
    ("y", "X_dtype", "dtype"),
    [
        (Y, np.float32, np.float64),
        (Y.astype(np.float32), np.float64, np.float32),
        (pd.Series(Y[:, 0], dtype=np.float32), np.float32, np.float32),
        (Y.astype(np.float16), np.float32, np.float64),
        (Y[:, 0].round().astype(int), np.float32, np.float64),
        (Y[:, 0].tolist(), np.float32, np.float64),
    ],
    ids=["64", "32", "Series", "16", "int", "list"],
)
def test_predictions_are_float64_unless_y_was_float32(y, X_dtype, dtype):
    model = small().fit(X.astype(X_dtype), y)

    assert model.predict(X.astype(X_dtype)).dtype == dtype


def test_fit_does_not_change_y():
    y = Y.copy()
    y.setflags(write=False)
    small().fit(X, y)

    assert_array_equal(y, Y)


# The score


@pytest.mark.parametrize("weights", [None, WEIGHTS], ids=["equal", "weighted"])
@pytest.mark.parametrize("y", [Y[:, 0], Y], ids=["one", "three"])
def test_score_is_r2_score(y, weights):
    model = small().fit(X, y)

    expected = r2_score(y, model.predict(X), sample_weight=weights)
    assert model.score(X, y, sample_weight=weights) == expected


# Continued training


def test_loss_may_change_while_training_continues():
    model = small(warm_start=True, loss="squared_error").fit(X, Y[:, 0])
    model.set_params(loss="absolute_error", max_epochs=1, lr=1e-12).fit(X, Y[:, 0])

    residuals = np.abs(model.predict(X) - Y[:, 0]) / Y[:, 0].std()
    assert_allclose(model.loss_curve_[-1], residuals.mean(), rtol=1e-6)


def test_criterion_that_broadcasts_is_refused():
    net = small().fit(X, Y[:, 0]).net_
    net.criterion_ = lambda output, target: (output - target) ** 2

    message = (
        "The criterion must return a loss of shape (4,), one for each row or step. Got "
        "shape (4, 4)."
    )
    with raises(RuntimeError, message):
        net.get_loss(torch.zeros(4, 1), torch.zeros(4), X={})


def test_one_row_can_be_fitted():
    model = small().fit(X[:1], [3.0])

    assert model.predict(X[:1]).shape == (1,)
    assert np.isfinite(model.predict(X[:1])).all()


def test_partial_fit_refuses_another_number_of_outputs():
    model = small().partial_fit(X, Y)

    message = (
        "y must have as many outputs as in the first fit, 3. Got shape (24, 2). Call "
        "fit without warm_start to change the targets."
    )
    with raises(ValueError, message):
        model.partial_fit(X, Y[:, :2])


def test_validation_targets_of_another_width_are_refused():
    message = (
        "y_val must have as many outputs as in the first fit, 1. Got shape (24, 3). "
        "Call fit without warm_start to change the targets."
    )
    with raises(ValueError, message):
        small().fit(X, Y[:, 0], X_val=X, y_val=Y)


# Invalid targets


def with_value(value):
    y = Y[:, 0].astype(np.result_type(np.float64, type(value)))
    y[3] = value
    return y


@pytest.mark.parametrize(
    ("y", "message"),
    [
        (with_value(np.nan), "Input y contains NaN."),
        (
            with_value(np.inf),
            "Input y contains infinity or a value too large for dtype('float64').",
        ),
        ([None] * N_ROWS, "Input y contains NaN."),
        (with_value(1j), f"Complex data not supported\n{with_value(1j)}\n"),
        (
            ["low", "high"] * 12,
            "y must contain numbers only (could not convert string to float: "
            "'low'). For labels, use RNNClassifier or BiRNNClassifier.",
        ),
        (
            Y[:-1, 0],
            "Found input variables with inconsistent numbers of samples: [24, 23]",
        ),
        (
            np.zeros((N_ROWS, 2, 2)),
            "y must have shape (n_samples,) or (n_samples, n_outputs). Got shape "
            "(24, 2, 2).",
        ),
        (
            np.zeros((N_ROWS, 0)),
            "Found array with 0 feature(s) (shape=(24, 0)) while a minimum of 1 is "
            "required.",
        ),
    ],
    ids=[
        "NaN",
        "inf",
        "None values",
        "complex",
        "words",
        "too few",
        "3-D",
        "no column",
    ],
)
def test_invalid_targets_are_refused(y, message):
    with raises(ValueError, message):
        small().fit(X, y)


# Learning


def first_values(n_rows, lengths=None, seed=0):
    """Return noise of two features, and a target that its first step alone decides."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n_rows, 8, 2)).astype(np.float32)
    y = 30 * X[:, 0, 0] + 500
    if lengths is None:
        return X, y
    lengths = rng.integers(*lengths, size=n_rows)
    return [row[:length] for row, length in zip(X, lengths, strict=True)], y


@pytest.mark.parametrize(
    ("cell_type", "lengths"), [("rnn", None), ("gru", (4, 9)), ("lstm", (4, 9))]
)
def test_each_cell_learns_from_the_first_step(cell_type, lengths):
    X, y = first_values(350, lengths)
    model = RNNRegressor(16, cell_type=cell_type, max_epochs=40, random_state=0)
    model.fit(X[:250], y[:250])

    assert model.score(X[250:], y[250:]) > 0.85


@pytest.mark.parametrize("pooling", ["last", "mean", "max"])
def test_each_pooling_learns_a_product_of_two_steps(pooling):
    X = random(350, 4).astype(np.float32)
    y = X[:, 0] * X[:, -1]
    model = RNNRegressor(
        16, cell_type="gru", pooling=pooling, lr=0.02, max_epochs=60, random_state=0
    ).fit(X[:250], y[:250])

    assert model.score(X[250:], y[250:]) > 0.6
    assert Ridge().fit(X[:250], y[:250]).score(X[250:], y[250:]) < 0.1


def test_each_output_is_learned_in_its_own_units():
    X = random(300, 4).astype(np.float32)
    y = np.stack([X[:, 0], 1e6 * X[:, 1] + 1e7, 1e-6 * X[:, 2]], axis=1)
    model = RNNRegressor(16, max_epochs=60, random_state=0).fit(X[:200], y[:200])

    scores = r2_score(y[200:], model.predict(X[200:]), multioutput="raw_values")
    assert scores.min() > 0.9
