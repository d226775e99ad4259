import gc
import weakref

import numpy as np
import pytest
from estimators import (
    answers,
    attributes,
    normal,
    over_dtypes,
    over_estimators,
    sequences,
    targets,
    tiny,
)
from numpy.testing import assert_array_equal
from skorch.callbacks import Callback


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
