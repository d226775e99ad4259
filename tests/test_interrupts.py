import signal

import numpy as np
import pytest
from estimators import (
    TINY,
    X,
    y,
)
from sklearn.base import clone
from skorch.callbacks import Callback

from skrnn import (
    RNNRegressor,
)


class CtrlC(Callback):
    """Presses Ctrl-C at the end of an epoch, or in the middle of it."""

    def __init__(self, epoch, in_the_middle=False):
        self.epoch = epoch
        self.in_the_middle = in_the_middle

    def press(self, net, in_the_middle):
        if len(net.history) == self.epoch and in_the_middle == self.in_the_middle:
            signal.raise_signal(signal.SIGINT)

    def on_batch_end(self, net, **kwargs):
        self.press(net, in_the_middle=True)

    def on_epoch_end(self, net, **kwargs):
        self.press(net, in_the_middle=False)


# Ctrl-C


@pytest.mark.parametrize("in_the_middle", [False, True])
def test_ctrl_c_ends_the_program_and_leaves_an_earlier_fit(
    in_the_middle, ctrl_c_raises
):
    model = RNNRegressor(**TINY).fit(X, y)
    attributes, before = dict(vars(model)), model.predict(X)
    callbacks = [CtrlC(2, in_the_middle)]

    with pytest.raises(KeyboardInterrupt):
        model.set_params(callbacks=callbacks).fit(X, -y)

    assert vars(model) == attributes | {"callbacks": callbacks}
    np.testing.assert_array_equal(model.predict(X), before)


def test_ctrl_c_in_a_first_fit_leaves_it_unfitted(ctrl_c_raises):
    model = RNNRegressor(**TINY, callbacks=[CtrlC(2)])

    with pytest.raises(KeyboardInterrupt):
        model.fit(X, y)

    assert vars(model) == model.get_params()


def test_ctrl_c_is_heard_under_a_handler_of_the_users_own(ctrl_c_raises):
    def stop(number, frame):
        raise KeyboardInterrupt

    signal.signal(signal.SIGINT, stop)
    model = RNNRegressor(**TINY, callbacks=[CtrlC(2)])

    with pytest.raises(KeyboardInterrupt):
        model.fit(X, y)

    assert vars(model) == model.get_params()


@pytest.mark.parametrize(
    ("callback", "n_finished"), [(CtrlC(2), 2), (CtrlC(3, in_the_middle=True), 2)]
)
def test_ctrl_c_keeps_finished_epochs_with_warm_start(
    callback, n_finished, ctrl_c_raises
):
    model = RNNRegressor(
        **TINY | {"max_epochs": 5}, warm_start=True, callbacks=[callback]
    )
    unstopped = clone(model).set_params(callbacks=None).fit(X, y)

    with pytest.raises(KeyboardInterrupt):
        model.fit(X, y)

    assert model.n_iter_ == n_finished == len(model.history_)
    assert model.loss_curve_ == unstopped.loss_curve_[:n_finished]
    assert np.isfinite(model.predict(X)).all()
    assert model.set_params(callbacks=None).fit(X, y).n_iter_ == n_finished + 5
