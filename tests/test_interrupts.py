"""Ctrl-C ends training, and leaves either the earlier fit or complete epochs."""

import os
import signal
import sys
import threading
import time
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from estimators import (
    Interrupt,
    InterruptInBatch,
    X,
    assert_same_model,
    tiny,
    y,
)
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import Ridge
from sklearn.model_selection import GridSearchCV
from skorch.callbacks import EarlyStopping

from skrnn import RNNClassifier
from skrnn._kernels import availability
from skrnn._training.net import RecurrentNet

pytestmark = pytest.mark.usefixtures("ctrl_c_raises")


def over_moments(*moments):
    return pytest.mark.parametrize(
        "moment", moments, ids=lambda moment: f"{moment.hook} {moment.epoch}"
    )


@over_moments(
    Interrupt("train begin", 0),
    Interrupt("epoch begin", 2),
    Interrupt("epoch end", 3),
    Interrupt("train end", 3),
    InterruptInBatch("batch", 3),
)
def test_ctrl_c_leaves_a_first_fit_unfitted_and_a_later_one_unchanged(moment):
    model = tiny(callbacks=[moment])
    with pytest.raises(KeyboardInterrupt):
        model.fit(X, y)
    assert vars(model) == model.get_params()
    with pytest.raises(NotFittedError):
        model.predict(X)

    model = tiny().fit(X, y)
    attributes, before = dict(vars(model)), model.predict(X)
    callbacks = [moment]
    with pytest.raises(KeyboardInterrupt):
        model.set_params(callbacks=callbacks).fit(X[:, :, :1], -y)
    assert vars(model) == attributes | {"callbacks": callbacks}
    np.testing.assert_array_equal(model.predict(X), before)


@pytest.mark.parametrize(
    ("owner", "method", "compiled"),
    [
        pytest.param("CompiledProgram", "run", True, marks=pytest.mark.numba),
        (RecurrentNet, "infer", False),
        (RecurrentNet, "get_loss", False),
    ],
)
def test_ctrl_c_anywhere_in_an_epoch_ends_training(
    owner, method, compiled, monkeypatch
):
    monkeypatch.setattr(availability, "ENABLED", compiled)
    if owner == "CompiledProgram":  # the import of numba fails where it is missing
        from skrnn._kernels.operations import CompiledProgram as owner
    original = getattr(owner, method)
    calls = []

    def interrupted(self, *args, **kwargs):
        calls.append(method)
        if len(calls) == 3:
            signal.raise_signal(signal.SIGINT)
        return original(self, *args, **kwargs)

    monkeypatch.setattr(owner, method, interrupted)
    model = tiny()

    with pytest.raises(KeyboardInterrupt):
        model.fit(X, y)

    assert len(calls) == 3
    assert vars(model) == model.get_params()


def test_ctrl_c_ends_training_under_a_signal_handler_of_the_user():
    def stop(number, frame):
        raise KeyboardInterrupt

    signal.signal(signal.SIGINT, stop)
    model = tiny(callbacks=[Interrupt("epoch end", 2)])

    with pytest.raises(KeyboardInterrupt):
        model.fit(X, y)

    assert vars(model) == model.get_params()


def test_ctrl_c_ends_a_search():
    # With a half-trained model the search would continue.
    search = GridSearchCV(
        tiny(callbacks=[Interrupt("epoch end", 1)]),
        {"hidden_size": [2, 3]},
        cv=2,
        error_score=0.0,
    )
    with pytest.raises(KeyboardInterrupt):
        search.fit(X, y)


@pytest.mark.parametrize(
    ("moment", "n_complete"),
    [
        (Interrupt("epoch begin", 3), 2),
        (Interrupt("epoch end", 3), 3),
        (InterruptInBatch("batch", 3), 2),
    ],
    ids=["epoch begin", "epoch end", "batch"],
)
def test_warm_start_keeps_complete_epochs_after_ctrl_c(moment, n_complete):
    params = dict(max_epochs=5, warm_start=True)
    expected = tiny(**params).fit(X, y)
    model = tiny(**params, callbacks=[moment])

    with pytest.raises(KeyboardInterrupt):
        model.fit(X, y)

    assert model.n_iter_ == n_complete == len(model.history_)
    # A callback with hooks of batches is trained by torch, which rounds differently.
    np.testing.assert_allclose(
        model.loss_curve_, expected.loss_curve_[:n_complete], rtol=1e-12
    )
    assert np.isfinite(model.predict(X)).all()
    assert model.set_params(callbacks=None).fit(X, y).n_iter_ == n_complete + 5


def test_warm_start_continues_after_ctrl_c_as_if_uninterrupted():
    params = dict(lr_schedule=None, dropout=0.2, warm_start=True)
    expected = tiny(**params, max_epochs=5).fit(X, y)
    model = tiny(**params, max_epochs=5, callbacks=[Interrupt("epoch end", 2)])
    with pytest.raises(KeyboardInterrupt):
        model.fit(X, y)

    model.set_params(callbacks=None, max_epochs=3).fit(X, y)

    assert_same_model(model, expected)


@over_moments(InterruptInBatch("batch", 3), InterruptInBatch("validation batch", 3))
def test_incomplete_epoch_is_not_counted(moment):
    model = tiny(max_epochs=5, warm_start=True, early_stopping=True, callbacks=[moment])

    with pytest.raises(KeyboardInterrupt):
        model.fit(X, y)

    assert model.n_iter_ == len(model.loss_curve_) == len(model.history_) == 2
    assert len(model.validation_loss_curve_) == 2
    assert np.isfinite(model.validation_loss_curve_).all()


def test_best_weights_are_restored_after_ctrl_c():
    X_val, y_val = X[::-1] + 1.0, np.random.default_rng(1).normal(size=20)
    model = tiny(
        max_epochs=30,
        lr=0.05,
        lr_schedule=None,
        warm_start=True,
        early_stopping=True,
        patience=30,
        callbacks=[Interrupt("epoch begin", 20)],
    )

    with pytest.raises(KeyboardInterrupt):
        model.fit(X, y, X_val=X_val, y_val=y_val)

    curve = model.validation_loss_curve_
    assert np.argmin(curve) < len(curve) - 1  # else nothing had to be restored
    assert model.best_epoch_ == np.argmin(curve) + 1
    loss = np.mean((model.predict(X_val) - y_val) ** 2) / y.var()
    assert loss == pytest.approx(min(curve), rel=1e-9)


def test_callback_that_raises_keyboard_interrupt_stops_training_without_an_error():
    # skorch's own callbacks stop training in this way.
    stopper = EarlyStopping(monitor="train_loss", patience=2, threshold=10.0)

    model = tiny(max_epochs=9, callbacks=[stopper]).fit(X, y)

    assert model.n_iter_ == 3
    assert model.predict(X).shape == (20,)


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_ctrl_c_ends_all_members_of_an_ensemble(n_jobs):
    # In threads, Ctrl-C reaches the main thread, which waits for them.
    before = threading.active_count()
    model = tiny(n_members=3, n_jobs=n_jobs, max_epochs=20_000).set_params(
        early_stopping=False
    )
    timer = threading.Timer(2.0, os.kill, [os.getpid(), signal.SIGINT])
    timer.start()
    began = time.perf_counter()
    try:
        with pytest.raises(KeyboardInterrupt):
            model.fit(X, y)
    finally:
        timer.cancel()
        timer.join()
    assert time.perf_counter() - began < 20  # the epochs would take minutes
    assert threading.active_count() == before
    assert vars(model) == model.get_params()


# Ctrl-C at any moment


class PressAtLine:
    """A trace function that presses Ctrl-C at the n-th line of skrnn that is run."""

    def __init__(self, n=None):
        self.n = n
        self.n_lines = 0
        self.is_pressed = False

    def __call__(self, frame, event, arg):
        if "skrnn" not in Path(frame.f_code.co_filename).parts:
            return None
        self.n_lines += event == "line"
        if self.n_lines == self.n:
            sys.settrace(None)
            self.is_pressed = True
            signal.raise_signal(signal.SIGINT)
        return self

    def run(self, function):
        """Return whether the function was interrupted."""
        before = sys.gettrace()
        sys.settrace(self)
        try:
            function()
        except KeyboardInterrupt:
            return True
        finally:
            sys.settrace(before)
        return False


WINDOWS = np.random.default_rng(0).normal(size=(120, 5, 1)).cumsum(axis=1)
NEXT = WINDOWS[:, -1, 0] + np.tanh(WINDOWS[:, -2, 0])  # a linear start, and folds
UP = NEXT > 0

# How the estimator is made and fitted.
FITS = {
    "fit": (
        lambda: tiny(batch_size=32),
        lambda model: model.fit(WINDOWS, NEXT),
    ),
    "second fit": (
        lambda: tiny(batch_size=32).fit(X, y),
        lambda model: model.fit(WINDOWS, NEXT),
    ),
    "partial_fit": (
        lambda: tiny().fit(X, y),
        lambda model: model.partial_fit(X, -y),
    ),
    "members": (
        lambda: tiny(n_members=3, n_jobs=2),
        lambda model: model.fit(X, y),
    ),
    "torch": (
        lambda: tiny(
            RNNClassifier, batch_size=32, early_stopping=True, pooling="attention"
        ),
        lambda model: model.fit(WINDOWS, UP),
    ),
}


def moments_of(name, n_moments):
    """Return lines of a fit, spread over the whole of it and over its end."""
    make, fit = FITS[name]
    fit(make())  # the first compiles
    whole = PressAtLine()
    whole.run(partial(fit, make()))
    # The end sets the attributes. The last lines restore the number of threads; there
    # a signal is noticed after the only call, but a trace function before it.
    end = np.arange(whole.n_lines - 60, whole.n_lines - 8)
    if name != "partial_fit":  # which is the fastest
        end = end[:: -(-len(end) // n_moments)]
    rng = np.random.default_rng(0)
    return [*rng.choice(whole.n_lines - 60, n_moments, replace=False), *end]


def assert_interrupts_change_nothing(name, n_moments):
    make, fit = FITS[name]
    for moment in moments_of(name, n_moments):
        model = make()
        attributes, n_threads = dict(vars(model)), threading.active_count()
        press = PressAtLine(moment)
        assert press.run(partial(fit, model)) == press.is_pressed
        if press.is_pressed:  # the number of lines of a fit in threads varies
            assert vars(model) == attributes, moment
        deadline = time.monotonic() + 5
        while threading.active_count() > n_threads and time.monotonic() < deadline:
            time.sleep(0.01)  # idle threads end once their pool is collected
        assert threading.active_count() == n_threads
        assert torch.get_num_threads() == 3


QUICK_FITS = ["fit", "members"]


@pytest.mark.parametrize(
    "name",
    [pytest.param(f, marks=() if f in QUICK_FITS else pytest.mark.slow) for f in FITS],
)
def test_ctrl_c_at_any_line_leaves_everything_as_it_was(name, three_threads):
    assert_interrupts_change_nothing(name, 3)


@pytest.mark.slow
@pytest.mark.parametrize("name", FITS)
def test_ctrl_c_at_any_of_many_lines_leaves_everything_as_it_was(name, three_threads):
    assert_interrupts_change_nothing(name, 15)


@pytest.mark.parametrize("warm_start", [False, True])
def test_a_second_ctrl_c_while_the_first_is_handled_changes_nothing(
    warm_start, monkeypatch
):
    model = tiny(warm_start=warm_start, callbacks=[Interrupt("epoch end", 5)])
    model.fit(X, y)
    attributes = dict(vars(model))
    original = RecurrentNet._drop_incomplete_epoch

    def press_again(net):
        signal.raise_signal(signal.SIGINT)
        return original(net)

    monkeypatch.setattr(RecurrentNet, "_drop_incomplete_epoch", press_again)
    with pytest.raises(KeyboardInterrupt):
        model.set_params(max_epochs=9).fit(X, y)
    assert vars(model) == attributes | {"max_epochs": 9}


def test_ctrl_c_ends_folds_in_threads():
    before = threading.active_count()
    model = tiny(n_jobs=2, max_epochs=100_000)
    timer = threading.Timer(2.0, os.kill, [os.getpid(), signal.SIGINT])
    timer.start()
    began = time.perf_counter()
    try:
        with pytest.raises(KeyboardInterrupt):
            model.fit(WINDOWS, NEXT)
    finally:
        timer.cancel()
        timer.join()
    assert time.perf_counter() - began < 20  # the epochs would take minutes
    assert threading.active_count() == before
    assert vars(model) == model.get_params()


# Ctrl-C and warm_start


@pytest.mark.parametrize("optimizer", ["adamw", "lbfgs", "rmsprop"])
def test_the_epoch_that_ctrl_c_interrupts_leaves_no_trace(optimizer, monkeypatch):
    params = dict(
        lr_schedule=None, dropout=0.2, warm_start=True, optimizer=optimizer, lr=0.01
    )
    torch_only = [InterruptInBatch("never", 0)]
    expected = tiny(**params, max_epochs=2, callbacks=torch_only).fit(X, y)
    model = tiny(**params, max_epochs=5, callbacks=torch_only)
    original, calls = RecurrentNet.get_loss, []

    def interrupted(net, *args, **kwargs):
        # Within the second batch of epoch 3, for L-BFGS within its line search.
        calls.append(len(net.history) == 3)
        if sum(calls) == (5 if optimizer == "lbfgs" else 2):
            signal.raise_signal(signal.SIGINT)
        return original(net, *args, **kwargs)

    monkeypatch.setattr(RecurrentNet, "get_loss", interrupted)
    with pytest.raises(KeyboardInterrupt):
        model.fit(X, y)
    monkeypatch.undo()

    assert model.n_iter_ == 2
    assert_same_model(model, expected)
    for each in (model, expected):
        each.set_params(max_epochs=3).fit(X, y)
    assert_same_model(model, expected)


def test_ctrl_c_in_the_first_epoch_of_a_warm_start_leaves_the_earlier_fit():
    model = tiny(warm_start=True).fit(X, y)
    callbacks = [InterruptInBatch("batch", 4)]
    attributes, before = dict(vars(model)), model.predict(X)

    with pytest.raises(KeyboardInterrupt):
        model.set_params(callbacks=callbacks).fit(X, -y)

    assert vars(model) == attributes | {"callbacks": callbacks}
    np.testing.assert_array_equal(model.predict(X), before)


@pytest.mark.parametrize("epoch", [1, 3, 20])
def test_ctrl_c_keeps_a_network_that_is_shrunk_towards_its_linear_model(epoch):
    # Folds find how much of the network to keep, before it is trained.
    params = dict(hidden_size=8, batch_size=32, max_epochs=40, warm_start=True, lr=0.01)
    rng = np.random.default_rng(1)
    windows = rng.normal(size=(400, 5, 1))
    target = windows[:, :, 0] @ [0, 0, 0.5, -1, 1] + 0.3 * np.abs(windows[:, -1, 0])
    target += 0.1 * rng.normal(size=400)
    train, test = slice(200), slice(200, None)
    model = tiny(**params, ar_order=5, callbacks=[Interrupt("epoch end", epoch)])

    with pytest.raises(KeyboardInterrupt):
        model.fit(windows[train], target[train])

    assert model.n_iter_ == epoch
    linear = Ridge().fit(windows[train, :, 0], target[train])
    errors = [
        np.mean((predicted - target[test]) ** 2)
        for predicted in (
            model.predict(windows[test]),
            linear.predict(windows[test, :, 0]),
        )
    ]
    assert errors[0] < 1.05 * errors[1]
    model.set_params(callbacks=None).fit(windows[train], target[train])
    assert model.n_iter_ == epoch + 40
