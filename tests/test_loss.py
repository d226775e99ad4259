import numpy as np
import pytest
import torch
from estimators import (
    N_SAMPLES,
    normal,
    sequences,
    targets,
    tiny,
)
from messages import raises
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.metrics import log_loss

from skrnn import BiRNNClassifier, RNNClassifier, RNNRegressor

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
