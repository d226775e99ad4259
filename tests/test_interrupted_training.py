import signal

import numpy as np
import pytest
import torch
from estimators import (
    N_SAMPLES,
    answers,
    attributes,
    normal,
    over_estimators,
    sequences,
    targets,
    tiny,
)
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV
from skorch.callbacks import Callback, EarlyStopping

from skrnn import RNNRegressor
from skrnn._kernels import availability
from skrnn._training.engine import CompiledEngine
from skrnn._training.net import RecurrentNet

pytestmark = pytest.mark.usefixtures("ctrl_c_raises")


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
