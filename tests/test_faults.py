"""Faults that must not pass in silence, most of them met in other libraries."""

import gc
import signal
import weakref
from collections import Counter
from functools import cache

import numpy as np
import pytest
import torch
from messages import raises
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.exceptions import NotFittedError
from sklearn.metrics import log_loss
from sklearn.model_selection import GridSearchCV
from skorch.callbacks import Callback, EarlyStopping

from skrnn import BiRNNClassifier, RNNClassifier, RNNRegressor
from skrnn._kernels import availability
from skrnn._training.engine import CompiledEngine
from skrnn._training.net import RecurrentNet

CELLS = ["rnn", "gru", "lstm"]
ESTIMATORS = [RNNRegressor, RNNClassifier, BiRNNClassifier]
N_SAMPLES, N_TIMESTEPS, N_FEATURES = 20, 6, 3
over_cells = pytest.mark.parametrize("cell_type", CELLS)
over_estimators = pytest.mark.parametrize("cls", ESTIMATORS)
over_dtypes = pytest.mark.parametrize("dtype", [np.float32, np.float64])


def tiny(cls, **params):
    return cls(**{"hidden_size": 4, "max_epochs": 2, "random_state": 0, **params})


def normal(*shape, dtype=np.float64):
    return np.random.default_rng(0).normal(size=shape).astype(dtype)


def sequences(n_samples=N_SAMPLES, dtype=np.float64):
    return normal(n_samples, N_TIMESTEPS, N_FEATURES, dtype=dtype)


def targets(n_samples=N_SAMPLES):
    """Return targets that are both real numbers and labels."""
    return np.arange(n_samples) % 2


def answers(estimator, X):
    return getattr(estimator, "predict_proba", estimator.predict)(X)


def attributes(estimator):
    """Return everything but the parameters, by identity."""
    params = estimator.get_params(deep=False)
    return {name: id(v) for name, v in vars(estimator).items() if name not in params}


# Values out of range


def infinity_message(name, dtype):
    return (
        f"Input {name} contains infinity or a value too large for dtype('{dtype}'). "
        "Remove it, or scale the data."
    )


@over_cells
@over_estimators
def test_x_of_1e300_trains_as_any_other(cls, cell_type):
    X = sequences() * 1e300
    estimator = tiny(cls, cell_type=cell_type, max_epochs=5).fit(X, targets())

    assert np.isfinite(estimator.loss_curve_).all()
    plain = tiny(cls, cell_type=cell_type, max_epochs=5).fit(X / 1e300, targets())
    assert_allclose(answers(estimator, X), answers(plain, X / 1e300), rtol=1e-9)


@over_estimators
def test_x_too_large_for_float32_is_refused_once_the_fit_was_float32(cls):
    estimator = tiny(cls).fit(sequences(dtype=np.float32), targets())

    with raises(ValueError, infinity_message("X", "float32")):
        answers(estimator, sequences() * 1e300)


@over_estimators
def test_x_too_large_for_float32_is_refused_where_training_goes_on(cls):
    estimator = tiny(cls, warm_start=True)
    estimator.fit(sequences(dtype=np.float32), targets())
    for go_on in (estimator.fit, estimator.partial_fit):
        with raises(ValueError, infinity_message("X", "float32")):
            go_on(sequences() * 1e300, targets())


@over_estimators
def test_x_val_too_large_for_float32_is_refused(cls):
    X = sequences(dtype=np.float32)
    with raises(ValueError, infinity_message("X_val", "float32")):
        tiny(cls).fit(X, targets(), X_val=sequences() * 1e300, y_val=targets())


@pytest.mark.parametrize(
    ("dtype", "value"),
    [(np.float32, 3e38), (np.float64, 1.7e308), (np.float64, -1e308)],
)
@over_estimators
def test_x_so_large_that_taking_the_mean_off_may_overflow_is_refused(cls, dtype, value):
    X = sequences(dtype=dtype)
    X[3, 2, 1] = value
    with raises(ValueError, infinity_message("X", np.dtype(dtype).name)):
        tiny(cls).fit(X, targets())


@pytest.mark.parametrize(
    ("dtype", "value"), [(np.float32, 8e37), (np.float64, 4e307), (np.float64, -4e307)]
)
@over_estimators
def test_the_largest_x_that_is_accepted_trains(cls, dtype, value):
    X = sequences(dtype=dtype)
    X[3, 2, 1] = value
    estimator = tiny(cls).fit(X, targets())

    assert np.isfinite(estimator.loss_curve_).all()
    assert np.isfinite(answers(estimator, X)).all()


@pytest.mark.parametrize(
    "params", [{}, {"nonlinearity": "relu"}, {"cell_type": "gru"}], ids=str
)
@pytest.mark.parametrize("unit", [1.0, 1e-10])
@over_estimators
def test_x_far_from_that_of_fit_gives_no_nan(cls, unit, params):
    X = sequences()
    estimator = tiny(cls, **params).fit(X * unit, targets())
    try:
        answer = answers(estimator, X * 1e307)
    except ValueError:
        return  # refused is as good
    assert np.isfinite(answer).all()


@over_cells
def test_y_of_1e300_trains_as_any_other(cell_type):
    X, y = sequences(), normal(N_SAMPLES)
    # A power of two changes no digit.
    estimator = tiny(RNNRegressor, cell_type=cell_type).fit(X, y * 2.0**1000)
    plain = tiny(RNNRegressor, cell_type=cell_type).fit(X, y)

    assert_array_equal(estimator.loss_curve_, plain.loss_curve_)
    assert_array_equal(estimator.predict(X), plain.predict(X) * 2.0**1000)


def test_y_so_large_that_taking_the_mean_off_overflows_is_refused():
    y = np.array([1.7e308] * 19 + [-1.7e308])
    with raises(ValueError, infinity_message("y", "float64")):
        tiny(RNNRegressor).fit(sequences(), y)


def test_y_of_1e_minus_300_trains_as_any_other():
    X, y = sequences(), normal(N_SAMPLES)
    estimator = tiny(RNNRegressor).fit(X, y * 2.0**-1000)

    plain = tiny(RNNRegressor).fit(X, y)
    assert_array_equal(estimator.predict(X), plain.predict(X) * 2.0**-1000)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (np.nan, "Input y contains NaN."),
        (
            np.inf,
            "Input y contains infinity or a value too large for dtype('float64').",
        ),
    ],
)
@over_estimators
def test_y_that_is_not_finite_is_refused(cls, value, message):
    y = targets().astype(np.float64)
    y[4] = value
    with raises(ValueError, message):
        tiny(cls).fit(sequences(), y)


# Weights


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        (
            [1.0] * 3 + [-0.5] + [1.0] * 16,
            "sample_weight must not be negative. Got -0.5 for row 3. Use 0 to leave a "
            "row out.",
        ),
        (
            [0.0] * 20,
            "sample_weight must have a weight above zero for at least one row. Got "
            "zero for all 20.",
        ),
        (
            0.0,
            "sample_weight must have a weight above zero for at least one row. Got "
            "zero for all 20.",
        ),
        (
            [1.0] * 19,
            "sample_weight must have shape (20,), one weight for each sequence. Got "
            "shape (19,).",
        ),
        (
            [[1.0]] * 20,
            "sample_weight must have shape (20,), one weight for each sequence. Got "
            "shape (20, 1).",
        ),
        ([np.nan] * 20, "Input sample_weight contains NaN."),
        (
            [np.inf] * 20,
            "Input sample_weight contains infinity or a value too large for "
            "dtype('float64').",
        ),
    ],
)
@over_estimators
def test_senseless_weights_are_refused(cls, weights, message):
    with raises(ValueError, message):
        tiny(cls).fit(sequences(), targets(), sample_weight=weights)


@pytest.mark.parametrize("unit", [2.0**-1000, 2.0**-10, 2.0**1000, 2.0**1020])
@over_estimators
def test_the_unit_of_weights_does_not_matter(cls, unit):
    X, weights = sequences(), np.arange(N_SAMPLES) % 4 + 1.0
    plain = tiny(cls).fit(X, targets(), sample_weight=weights)

    estimator = tiny(cls).fit(X, targets(), sample_weight=weights * unit)

    assert_allclose(answers(estimator, X), answers(plain, X), rtol=1e-9)


# The number of features


@over_estimators
def test_another_number_of_features_is_refused_where_training_goes_on(cls):
    estimator = tiny(cls, warm_start=True).fit(sequences(), targets())
    message = (
        f"X has 2 features per time step, but {cls.__name__} is expecting 3. The last "
        "axis of X holds the features; data with channels before time needs "
        "X.transpose(0, 2, 1)."
    )
    for method in (estimator.fit, estimator.partial_fit):
        with raises(ValueError, message):
            method(sequences()[:, :, :2], targets())


@pytest.mark.parametrize("method", ["predict", "predict_proba", "predict_log_proba"])
@over_estimators
def test_another_number_of_features_is_refused_by_every_method(cls, method):
    estimator = tiny(cls).fit(sequences(), targets())
    if not hasattr(estimator, method):
        return
    message = (
        f"X has 1 features per time step, but {cls.__name__} is expecting 3. The last "
        "axis of X holds the features; data with channels before time needs "
        "X.transpose(0, 2, 1)."
    )
    with raises(ValueError, message):
        getattr(estimator, method)(sequences()[:, :, :1])


# Ctrl-C


class Interrupt(Callback):
    """Press Ctrl-C at some hook of some epoch, counted from 1."""

    def __init__(self, hook, epoch):
        self.hook = hook
        self.epoch = epoch

    def press(self, net, hook):
        if hook == self.hook and len(net.history) == self.epoch:
            signal.raise_signal(signal.SIGINT)

    def on_train_begin(self, net, **kwargs):
        self.press(net, "train begin")

    def on_epoch_begin(self, net, **kwargs):
        self.press(net, "epoch begin")

    def on_epoch_end(self, net, **kwargs):
        self.press(net, "epoch end")

    def on_train_end(self, net, **kwargs):
        self.press(net, "train end")


class InterruptInBatch(Interrupt):
    """The same, between the batches of an epoch."""

    def on_batch_end(self, net, training, **kwargs):
        self.press(net, "batch" if training else "validation batch")


MOMENTS = [
    Interrupt("train begin", 0),
    Interrupt("epoch begin", 2),
    Interrupt("epoch end", 1),
    Interrupt("epoch end", 3),
    Interrupt("train end", 4),
    InterruptInBatch("batch", 1),
    InterruptInBatch("batch", 3),
]
over_moments = pytest.mark.parametrize(
    "moment", MOMENTS, ids=lambda moment: f"{moment.hook} {moment.epoch}"
)


@pytest.fixture(autouse=True)
def _ctrl_c_as_in_a_terminal():
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@over_moments
@over_estimators
def test_ctrl_c_leaves_an_unfitted_estimator_unfitted(cls, moment):
    estimator = tiny(cls, max_epochs=4, callbacks=[moment])

    with pytest.raises(KeyboardInterrupt):
        estimator.fit(sequences(), targets())

    assert attributes(estimator) == {}
    with pytest.raises(NotFittedError):
        estimator.predict(sequences())


@over_moments
@over_estimators
def test_ctrl_c_leaves_an_earlier_fit_untouched(cls, moment):
    X = sequences()
    estimator = tiny(cls, max_epochs=4).fit(X, targets())
    before, expected = attributes(estimator), answers(estimator, X)
    weights = {k: v.clone() for k, v in estimator.module_.state_dict().items()}
    estimator.set_params(callbacks=[moment])

    with pytest.raises(KeyboardInterrupt):
        estimator.fit(X[:, :, :2], 1 - targets())

    assert attributes(estimator) == before
    assert_array_equal(answers(estimator, X), expected)
    for name, value in estimator.module_.state_dict().items():
        assert torch.equal(value, weights[name])


@pytest.mark.parametrize(
    ("owner", "method", "compiled"),
    [
        (CompiledEngine, "train_step", True),
        (CompiledEngine, "compute_gradients", True),
        (RecurrentNet, "infer", False),
        (RecurrentNet, "get_loss", False),
    ],
)
def test_ctrl_c_anywhere_in_the_loop_gets_out(owner, method, compiled, monkeypatch):
    monkeypatch.setattr(availability, "ENABLED", compiled)
    original = getattr(owner, method)
    calls = []

    def interrupted(self, *args, **kwargs):
        calls.append(method)
        if len(calls) == 3:
            signal.raise_signal(signal.SIGINT)
        return original(self, *args, **kwargs)

    monkeypatch.setattr(owner, method, interrupted)
    estimator = tiny(RNNRegressor, max_epochs=4, batch_size=10)

    with pytest.raises(KeyboardInterrupt):
        estimator.fit(sequences(), targets())

    assert len(calls) == 3
    assert attributes(estimator) == {}


def test_ctrl_c_stops_a_search():
    # A half-trained model that passed for a trained one would let the search go on.
    search = GridSearchCV(
        tiny(RNNRegressor, callbacks=[Interrupt("epoch end", 1)]),
        {"hidden_size": [2, 3]},
        cv=2,
        error_score=0.0,
    )
    with pytest.raises(KeyboardInterrupt):
        search.fit(sequences(), targets())


@pytest.mark.parametrize(
    "moment",
    [Interrupt("epoch begin", 3), Interrupt("epoch end", 3)],
    ids=lambda moment: moment.hook,
)
@over_estimators
def test_with_warm_start_the_finished_epochs_stay_after_ctrl_c(cls, moment):
    X = sequences()
    params = {"lr_schedule": None, "batch_size": 5}
    n_finished = 2 if moment.hook == "epoch begin" else 3
    expected = tiny(cls, max_epochs=n_finished, **params).fit(X, targets())
    estimator = tiny(cls, max_epochs=9, warm_start=True, **params)

    with pytest.raises(KeyboardInterrupt):
        estimator.set_params(callbacks=[moment]).fit(X, targets())

    assert estimator.n_iter_ == len(estimator.history_) == n_finished
    assert_array_equal(estimator.loss_curve_, expected.loss_curve_)
    assert_array_equal(answers(estimator, X), answers(expected, X))


def test_with_warm_start_training_goes_on_after_ctrl_c_as_if_it_had_not_stopped():
    X = sequences()
    params = {"lr_schedule": None, "batch_size": 5, "dropout": 0.2}
    expected = tiny(RNNRegressor, max_epochs=5, **params).fit(X, targets())
    estimator = tiny(RNNRegressor, max_epochs=5, warm_start=True, **params)
    with pytest.raises(KeyboardInterrupt):
        estimator.set_params(callbacks=[Interrupt("epoch end", 2)]).fit(X, targets())

    estimator.set_params(callbacks=None, max_epochs=3).fit(X, targets())

    assert_array_equal(estimator.loss_curve_, expected.loss_curve_)
    assert_array_equal(estimator.predict(X), expected.predict(X))


@pytest.mark.parametrize(
    "moment",
    [InterruptInBatch("batch", 3), InterruptInBatch("validation batch", 3)],
    ids=lambda moment: moment.hook,
)
def test_an_epoch_that_ctrl_c_cut_short_is_not_counted(moment):
    estimator = tiny(
        RNNRegressor,
        max_epochs=9,
        warm_start=True,
        early_stopping=True,
        callbacks=[moment],
    )

    with pytest.raises(KeyboardInterrupt):
        estimator.fit(sequences(), targets())

    assert estimator.n_iter_ == 2
    assert len(estimator.loss_curve_) == len(estimator.history_) == 2
    assert len(estimator.validation_loss_curve_) == 2
    assert np.isfinite(estimator.validation_loss_curve_).all()


def test_the_best_epoch_is_the_networks_after_ctrl_c_too():
    X, y = sequences(), normal(N_SAMPLES)
    X_val, y_val = X[::-1] + 1.0, normal(N_SAMPLES)
    estimator = tiny(
        RNNRegressor,
        max_epochs=30,
        lr=0.05,
        lr_schedule=None,
        warm_start=True,
        early_stopping=True,
        patience=30,
        callbacks=[Interrupt("epoch begin", 20)],
    )

    with pytest.raises(KeyboardInterrupt):
        estimator.fit(X, y, X_val=X_val, y_val=y_val)

    curve = estimator.validation_loss_curve_
    assert np.argmin(curve) < len(curve) - 1  # else nothing had to be restored
    if estimator.best_epoch_ is not None:
        assert estimator.best_epoch_ == np.argmin(curve) + 1
        loss = np.mean((estimator.predict(X_val) - y_val) ** 2) / y.var()
        assert_allclose(loss, min(curve), rtol=1e-9)


def test_a_callback_that_raises_keyboard_interrupt_ends_training_in_good_order():
    # So skorch's own callbacks stop training; that is not Ctrl-C.
    stopper = EarlyStopping(monitor="train_loss", patience=2, threshold=10.0)

    estimator = tiny(RNNRegressor, max_epochs=9, callbacks=[stopper])
    estimator.fit(sequences(), targets())

    assert estimator.n_iter_ == 3
    assert estimator.predict(sequences()).shape == (N_SAMPLES,)


# A fit that fails


class CountEpochs(Callback):
    """Count the epochs that began."""

    begun = []  # of the class, since `fit` copies callbacks

    def on_train_begin(self, net, **kwargs):
        self.begun.clear()

    def on_epoch_begin(self, net, **kwargs):
        self.begun.append(len(net.history))


DIVERGING = {"lr": 1e30, "nonlinearity": "relu", "lr_schedule": None, "max_epochs": 9}


@over_dtypes
@over_estimators
def test_a_loss_that_is_not_finite_is_an_error(cls, dtype):
    X = normal(20, 20, 3, dtype=dtype)
    estimator = tiny(cls, **DIVERGING, callbacks=[CountEpochs()])

    with pytest.raises(ValueError, match=r"^The loss became") as caught:
        estimator.fit(X, targets())

    assert str(caught.value) == (
        f"The loss became non-finite in epoch {len(CountEpochs.begun)}. Scale X, or "
        "lower lr (now 1e+30)."
    )
    assert attributes(estimator) == {}


@pytest.mark.parametrize("warm_start", [False, True])
@over_estimators
def test_a_loss_that_is_not_finite_leaves_the_earlier_fit_as_it_was(cls, warm_start):
    X = normal(20, 20, 3)
    estimator = tiny(cls, nonlinearity="relu", warm_start=warm_start)
    estimator.fit(X, targets())
    before, expected = attributes(estimator), answers(estimator, X)

    with pytest.raises(ValueError, match=r"^The loss became non-finite in epoch \d\. "):
        estimator.set_params(**DIVERGING).fit(X, targets())

    assert attributes(estimator) == before
    assert_array_equal(answers(estimator, X), expected)


@over_estimators
def test_weights_that_the_last_step_ruined_do_not_predict_in_silence(cls):
    # The loss of a batch is that before the step, so one epoch of one batch ends well.
    X = normal(20, 40, 3)
    estimator = tiny(cls, **{**DIVERGING, "max_epochs": 1})
    try:
        answer = answers(estimator.fit(X, targets()), X)
    except ValueError:
        return  # an error is what it should be
    assert np.isfinite(answer).all()


FAILING = {
    "X": lambda: {"X": np.full((20, 6, 3), np.nan), "y": targets()},
    "kind of X": lambda: {"X": np.ones((20, 6, 3, 1)), "y": targets()},
    "y": lambda: {"X": sequences()[:, :, :1], "y": np.full(20, np.nan)},
    "length of y": lambda: {"X": sequences()[:, :, :1], "y": targets()[:3]},
    "no y": lambda: {"X": sequences()[:, :, :1], "y": None},
    "weights": lambda: {
        "X": sequences()[:, :, :1],
        "y": targets(),
        "sample_weight": -np.ones(20),
    },
    "X_val": lambda: {
        "X": sequences()[:, :, :1],
        "y": targets(),
        "X_val": sequences()[:, :, :2],
        "y_val": targets(),
    },
}


@pytest.mark.parametrize("arguments", FAILING.values(), ids=FAILING.keys())
@over_estimators
def test_a_fit_that_is_refused_changes_nothing(cls, arguments):
    X = sequences()
    unfitted = tiny(cls)
    with pytest.raises(ValueError, match=r"\w"):
        unfitted.fit(**arguments())
    assert attributes(unfitted) == {}

    fitted = tiny(cls).fit(X, targets())
    before, expected = attributes(fitted), answers(fitted, X)
    with pytest.raises(ValueError, match=r"\w"):
        fitted.fit(**arguments())
    assert attributes(fitted) == before
    assert_array_equal(answers(fitted, X), expected)


@over_estimators
def test_neither_fit_nor_predict_keeps_the_data_alive(cls):
    estimator = tiny(cls, early_stopping=True)
    X, other = sequences(), sequences()
    references = [weakref.ref(X), weakref.ref(other)]

    answers(estimator.fit(X, targets()), other)
    del X, other
    gc.collect()

    assert [reference() for reference in references] == [None, None]


# Time is the axis that the network recurs over

over_readings = pytest.mark.parametrize(
    ("bidirectional", "pooling", "num_layers"),
    [
        (False, "last", 1),
        (True, "last", 1),
        (False, "mean", 1),
        (False, "max", 1),
        (True, "max", 2),
        (False, "last", 2),
    ],
)


def fitted_reader(cell_type, bidirectional, pooling, num_layers):
    return tiny(
        RNNRegressor,
        hidden_size=8,
        cell_type=cell_type,
        bidirectional=bidirectional,
        pooling=pooling,
        num_layers=num_layers,
    ).fit(sequences(), normal(N_SAMPLES))


@over_readings
@over_cells
def test_blanking_all_but_the_last_step_changes_the_prediction(
    cell_type, bidirectional, pooling, num_layers
):
    X = sequences()
    estimator = fitted_reader(cell_type, bidirectional, pooling, num_layers)
    blanked = X.copy()
    blanked[:, :-1] = 0.0

    difference = np.abs(estimator.predict(blanked) - estimator.predict(X))

    assert (difference > 1e-6).all()


@pytest.mark.parametrize("step", range(N_TIMESTEPS))
@over_readings
@over_cells
def test_changing_any_step_changes_the_prediction(
    cell_type, bidirectional, pooling, num_layers, step
):
    X = sequences()
    estimator = fitted_reader(cell_type, bidirectional, pooling, num_layers)
    changed = X.copy()
    # Up and down, since the maximum over steps need not see one of the two.
    changed[:, step] += 10.0
    other = X.copy()
    other[:, step] -= 10.0

    differences = [
        estimator.predict(each) != estimator.predict(X) for each in (changed, other)
    ]

    assert np.logical_or(*differences).all()


@over_cells
def test_reversing_time_changes_the_prediction(cell_type):
    X = sequences()
    estimator = fitted_reader(cell_type, False, "last", 1)

    assert (estimator.predict(X[:, ::-1]) != estimator.predict(X)).all()


@over_cells
def test_other_rows_do_not_change_the_prediction_of_a_row(cell_type):
    X = sequences()
    estimator = fitted_reader(cell_type, False, "last", 1)
    others = X.copy()
    others[1:] = 5.0

    assert estimator.predict(others)[0] == estimator.predict(X)[0]


# The loss pairs each row with its own target

LOSSES = {
    "squared_error": lambda d: d**2,
    "absolute_error": np.abs,
    "huber": lambda d: np.where(np.abs(d) < 1, d**2 / 2, np.abs(d) - 0.5),
}
STANDING_STILL = {"lr": 1e-14, "max_epochs": 1, "batch_size": 7}


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("shape", [(20,), (20, 1), (20, 3)])
def test_the_loss_is_that_of_each_row_against_its_own_target(shape, loss, weighted):
    X, y = sequences(), normal(*shape) * 3.0 + 1.0
    weights = np.arange(20) % 3 + 1.0 if weighted else np.ones(20)
    estimator = tiny(RNNRegressor, loss=loss, **STANDING_STILL)

    estimator.fit(X, y, sample_weight=weights if weighted else None)

    mean = np.average(y, axis=0, weights=weights)
    scale = np.sqrt(np.average((y - mean) ** 2, axis=0, weights=weights))
    rows = LOSSES[loss]((estimator.predict(X) - y) / scale).reshape(20, -1).mean(axis=1)
    expected = np.average(rows, weights=weights)
    assert_allclose(estimator.loss_curve_, [expected], rtol=1e-9)


@pytest.mark.parametrize("n_classes", [2, 4])
@pytest.mark.parametrize("cls", [RNNClassifier, BiRNNClassifier])
def test_the_loss_of_a_classifier_is_the_log_loss_of_its_probabilities(cls, n_classes):
    X, y = sequences(), np.arange(20) % n_classes
    weights = np.arange(20) % 3 + 1.0

    estimator = tiny(cls, **STANDING_STILL).fit(X, y, sample_weight=weights)

    expected = log_loss(y, estimator.predict_proba(X), sample_weight=weights)
    assert_allclose(estimator.loss_curve_, [expected], rtol=1e-9)


def test_y_of_one_column_trains_as_y_without_columns():
    X, y = sequences(), normal(N_SAMPLES)

    with_column = tiny(RNNRegressor).fit(X, y[:, None])

    expected = tiny(RNNRegressor).fit(X, y).predict(X)[:, None]
    assert_array_equal(with_column.predict(X), expected, strict=True)


def test_a_criterion_that_broadcasts_is_refused():
    net = tiny(RNNRegressor).fit(sequences(), targets()).net_
    output, target = torch.zeros(4, 1), torch.zeros(4)
    net.criterion_ = lambda output, target: (output - target) ** 2

    message = (
        "The criterion must return a loss of shape (4,), one for each row or step. Got "
        "shape (4, 4)."
    )
    with raises(RuntimeError, message):
        net.get_loss(output, target, X={})


# Batches


class RecordBatches(Callback):
    """Keep the first value of each row of every batch, epoch by epoch."""

    epochs = []  # of the class, since `fit` copies callbacks

    def on_train_begin(self, net, **kwargs):
        self.epochs.clear()

    def on_epoch_begin(self, net, **kwargs):
        self.epochs.append({True: [], False: []})

    def on_batch_begin(self, net, batch, training, **kwargs):
        self.epochs[-1][training].append(batch[0]["values"][:, 0, 0].tolist())


def recorded(estimator, n_samples=N_SAMPLES, **fit_params):
    """Return the rows of the batches of each epoch, training and validation."""
    X = sequences(n_samples)
    X[:, 0, 0] = np.arange(n_samples)
    estimator.set_params(callbacks=[RecordBatches()], standardize=False)
    estimator.fit(X, targets(n_samples), **fit_params)
    return list(RecordBatches.epochs)


def rows_of(batches):
    return [int(row) for batch in batches for row in batch]


@over_estimators
def test_every_epoch_sees_every_row_once(cls):
    epochs = recorded(tiny(cls, max_epochs=3, batch_size=6))

    for epoch in epochs:
        assert [len(batch) for batch in epoch[True]] == [6, 6, 6, 2]
        assert sorted(rows_of(epoch[True])) == list(range(N_SAMPLES))
        assert epoch[False] == []


@over_estimators
def test_training_shuffles_the_rows_anew_in_every_epoch(cls):
    epochs = recorded(tiny(cls, max_epochs=4, batch_size=6))

    orders = [tuple(rows_of(epoch[True])) for epoch in epochs]
    assert len(set(orders)) == 4
    assert tuple(range(N_SAMPLES)) not in orders


def test_the_order_of_rows_is_that_of_random_state():
    orders = [
        recorded(tiny(RNNRegressor, batch_size=6, random_state=seed))
        for seed in (0, 0, 1)
    ]

    assert orders[0] == orders[1]
    assert orders[0] != orders[2]


def test_the_order_of_rows_is_uniform():
    orders = [
        rows_of(epoch[True])
        for epoch in recorded(tiny(RNNRegressor, max_epochs=400), 4)
    ]

    first = Counter(order[0] for order in orders)
    # 100 each, with a deviation of 9.
    assert min(first[row] for row in range(4)) > 60
    assert max(first[row] for row in range(4)) < 140


@pytest.mark.parametrize("strategy", ["random", "last"])
@over_estimators
def test_validation_rows_are_not_trained_on(cls, strategy):
    estimator = tiny(
        cls,
        early_stopping=True,
        validation_strategy=strategy,
        validation_fraction=0.3,
        batch_size=6,
        max_epochs=3,
    )
    epochs = recorded(estimator)

    held_out = rows_of(epochs[0][False])
    assert len(held_out) == 6
    for epoch in epochs:
        assert rows_of(epoch[False]) == held_out
        assert sorted(rows_of(epoch[True]) + held_out) == list(range(N_SAMPLES))
    if strategy == "last":
        assert held_out == list(range(14, 20))


@over_estimators
def test_rows_of_weight_zero_are_never_seen(cls):
    weights = np.ones(N_SAMPLES)
    weights[3::4] = 0.0
    estimator = tiny(cls, early_stopping=True, validation_fraction=0.3)
    epochs = recorded(estimator, sample_weight=weights)

    seen = rows_of(epochs[0][True]) + rows_of(epochs[0][False])
    assert sorted(seen) == np.flatnonzero(weights).tolist()


class RecordWeights(Callback):
    """Keep the weights after every epoch."""

    epochs = []  # of the class, since `fit` copies callbacks

    def on_train_begin(self, net, **kwargs):
        self.epochs.clear()

    def on_epoch_end(self, net, **kwargs):
        state = net.module_.state_dict()
        self.epochs.append({name: value.clone() for name, value in state.items()})


@pytest.mark.parametrize("given", [False, True])
@over_estimators
def test_the_best_weights_are_those_of_the_lowest_validation_loss(cls, given):
    # Noise: what is learned is of no use to the validation part.
    X, y = sequences(40), np.random.default_rng(1).integers(0, 2, size=40)
    X_val, y_val = X[::-1] + 0.5, y
    estimator = tiny(
        cls,
        max_epochs=30,
        lr=0.05,
        lr_schedule=None,
        early_stopping=True,
        patience=30,
        callbacks=[RecordWeights()],
    )

    estimator.fit(X, y, **({"X_val": X_val, "y_val": y_val} if given else {}))

    best = np.argmin(estimator.validation_loss_curve_)
    assert best != np.argmin(estimator.loss_curve_)  # else the test shows nothing
    assert estimator.best_epoch_ == best + 1
    for name, value in estimator.module_.state_dict().items():
        assert torch.equal(value, RecordWeights.epochs[best][name])
    if given:
        lowest = min(estimator.validation_loss_curve_)
        if cls is RNNRegressor:
            loss = np.mean((estimator.predict(X_val) - y_val) ** 2) / y.var()
        else:
            loss = log_loss(y_val, estimator.predict_proba(X_val))
        assert_allclose(loss, lowest, rtol=1e-9)


# A row alone equals the row in a batch


def ragged_rows(n_samples, dtype, n_features=N_FEATURES):
    rng = np.random.default_rng(0)
    lengths = rng.integers(1, 10, size=n_samples)
    return [rng.normal(size=(n, n_features)).astype(dtype) for n in lengths]


def rectangular_rows(n_samples, dtype, n_features=N_FEATURES):
    return list(
        np.random.default_rng(0).normal(size=(n_samples, 7, n_features)).astype(dtype)
    )


over_networks = pytest.mark.parametrize(
    ("hidden_size", "bidirectional", "pooling"),
    [
        (16, False, "last"),
        (16, True, "last"),
        (16, False, "mean"),
        (16, True, "mean"),
        (16, False, "max"),
        # Rows of five numbers begin at addresses that are no multiple of 16 bytes.
        (5, False, "last"),
        (5, True, "last"),
        (5, False, "mean"),
        ((8, 6), False, "last"),
    ],
)
over_rows = pytest.mark.parametrize("make_rows", [rectangular_rows, ragged_rows])


@cache
def one_epoch(cell_type, hidden_size, bidirectional, pooling, make_rows, dtype):
    """Return a fitted regressor, shared between tests."""
    estimator = tiny(
        RNNRegressor,
        hidden_size=hidden_size,
        cell_type=cell_type,
        bidirectional=bidirectional,
        pooling=pooling,
        max_epochs=1,
    )
    return estimator.fit(make_rows(20, dtype), normal(20, dtype=dtype))


def assert_batches_agree(answer, X, sizes):
    """Compare the answers to all rows with those to parts of them, bit for bit."""
    expected = answer(X)
    for size in sizes:
        for first in {0, 1, (len(X) - size) // 2, len(X) - size}:
            part = slice(first, first + size)
            assert_array_equal(answer(X[part]), expected[part], err_msg=f"{part}")


@over_dtypes
@over_rows
@over_networks
@over_cells
def test_a_row_alone_equals_the_row_in_a_batch(
    cell_type, hidden_size, bidirectional, pooling, make_rows, dtype
):
    X = make_rows(70, dtype)
    estimator = one_epoch(
        cell_type, hidden_size, bidirectional, pooling, make_rows, dtype
    )

    expected = estimator.predict(X)

    alone = np.concatenate([estimator.predict(X[i : i + 1]) for i in range(0, 70, 3)])
    assert_array_equal(alone, expected[::3])


@over_dtypes
@over_rows
@over_networks
@over_cells
def test_the_size_of_a_batch_does_not_matter(
    cell_type, hidden_size, bidirectional, pooling, make_rows, dtype
):
    X = make_rows(70, dtype)
    estimator = one_epoch(
        cell_type, hidden_size, bidirectional, pooling, make_rows, dtype
    )

    assert_batches_agree(estimator.predict, X, [2, 3, 8, 15, 16, 17, 31, 33, 64])


@over_dtypes
@over_networks
@over_cells
def test_more_padding_changes_nothing(
    cell_type, hidden_size, bidirectional, pooling, dtype
):
    X = ragged_rows(20, dtype)
    longest = np.ones((40, N_FEATURES), dtype=dtype)
    estimator = one_epoch(
        cell_type, hidden_size, bidirectional, pooling, ragged_rows, dtype
    )

    with_companion = estimator.predict([*X, longest])[:-1]

    assert_array_equal(with_companion, estimator.predict(X))


@pytest.mark.parametrize("n_features", [1, 2, 4, 5, 8, 11])
@over_dtypes
@over_cells
def test_rows_agree_for_any_number_of_features(cell_type, dtype, n_features):
    X = rectangular_rows(40, dtype, n_features)
    estimator = tiny(RNNRegressor, hidden_size=8, cell_type=cell_type, max_epochs=1)
    estimator.fit(X, normal(40, dtype=dtype))

    assert_batches_agree(estimator.predict, X, [1, 2, 3, 16, 17])


@pytest.mark.parametrize("hidden_size", [1, 2, 3, 7, 9, 12, 33, 64])
@over_dtypes
@over_cells
def test_rows_agree_for_any_number_of_hidden_units(cell_type, dtype, hidden_size):
    X = rectangular_rows(40, dtype)
    estimator = tiny(
        RNNRegressor, hidden_size=hidden_size, cell_type=cell_type, max_epochs=1
    ).fit(X, normal(40, dtype=dtype))

    assert_batches_agree(estimator.predict, X, [1, 2, 3, 16, 17])


@pytest.mark.parametrize("n_outputs", [2, 3, 8])
@over_dtypes
def test_rows_agree_for_any_number_of_outputs(dtype, n_outputs):
    X = rectangular_rows(40, dtype)
    estimator = tiny(RNNRegressor, hidden_size=8, max_epochs=1)
    estimator.fit(X, normal(40, n_outputs, dtype=dtype))

    assert_batches_agree(estimator.predict, X, [1, 2, 3, 16, 17])


@over_dtypes
@over_rows
@over_cells
def test_rows_agree_across_the_chunks_of_a_long_prediction(cell_type, make_rows, dtype):
    X = make_rows(600, dtype)
    estimator = tiny(
        RNNRegressor, hidden_size=16, cell_type=cell_type, max_epochs=1
    ).fit(X[:20], normal(20, dtype=dtype))

    assert_batches_agree(estimator.predict, X, [1, 16, 255, 256, 257, 513])


@pytest.mark.parametrize("method", ["predict", "predict_proba", "predict_log_proba"])
@pytest.mark.parametrize("kind", ["binary", "multi-class", "multilabel"])
@over_dtypes
@pytest.mark.parametrize("cls", [RNNClassifier, BiRNNClassifier])
def test_probabilities_of_a_row_alone_equal_those_in_a_batch(cls, dtype, kind, method):
    X = rectangular_rows(40, dtype)
    y = {
        "binary": np.arange(40) % 2,
        "multi-class": np.arange(40) % 5,
        "multilabel": np.random.default_rng(0).integers(0, 2, size=(40, 3)),
    }[kind]
    estimator = tiny(cls, hidden_size=8).fit(X, y)

    assert_batches_agree(getattr(estimator, method), X, [1, 2, 3, 15, 16, 17])


# One row in, one row out


@pytest.mark.parametrize(
    "one_row",
    [
        lambda: np.ones((1, N_TIMESTEPS)),
        lambda: np.ones((1, N_TIMESTEPS, N_FEATURES)),
        lambda: [np.ones((N_TIMESTEPS, N_FEATURES))],
        lambda: [np.ones((1, N_FEATURES))],
    ],
    ids=["2-D", "3-D", "list", "one step"],
)
@over_estimators
def test_one_row_in_gives_one_row_out(cls, one_row):
    row = one_row()
    X = np.repeat(row, 20, axis=0) if isinstance(row, np.ndarray) else row * 20
    estimator = tiny(cls).fit(X, targets())

    assert estimator.predict(row).shape == (1,)
    if cls is not RNNRegressor:
        assert estimator.predict_proba(row).shape == (1, 2)
        assert estimator.predict_log_proba(row).shape == (1, 2)


@pytest.mark.parametrize("n_outputs", [1, 3])
def test_one_row_in_gives_one_row_of_several_outputs(n_outputs):
    X = sequences()
    estimator = tiny(RNNRegressor).fit(X, normal(N_SAMPLES, n_outputs))

    assert estimator.predict(X[:1]).shape == (1, n_outputs)


def test_one_row_can_be_fitted():
    X = sequences(1)
    estimator = tiny(RNNRegressor).fit(X, [3.0])

    assert np.isfinite(estimator.predict(X)).all()
    assert estimator.predict(X).shape == (1,)
