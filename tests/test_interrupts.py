"""Ctrl-C ends training, and leaves either the earlier fit or complete epochs."""

import os
import signal
import threading
import time

import numpy as np
import pytest
from estimators import (
    Interrupt,
    InterruptInBatch,
    X,
    assert_same_model,
    tiny,
    y,
)
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV
from skorch.callbacks import EarlyStopping

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
