"""Parameters that are invalid, or contradict each other."""

import numpy as np
import pytest
import torch
from estimators import X, labels, tiny, y
from messages import raises
from skorch.callbacks import LRScheduler

from skrnn import BiRNNClassifier, RNNClassifier, RNNRegressor


@pytest.mark.parametrize(
    ("hidden_size", "num_layers"),
    [((), 1), ((4, 0), 1), ((4, 2.5), 2), (("4",), 1), ((4, 4), 3), ((4,), 2)],
    ids=str,
)
def test_hidden_size_must_be_one_int_per_layer(hidden_size, num_layers):
    message = (
        "The 'hidden_size' parameter of RNNRegressor must be an int, or a tuple with "
        "one int from 1 upwards for each of num_layers layers. Got "
        f"{hidden_size!r} with num_layers={num_layers}."
    )
    with raises(ValueError, message):
        RNNRegressor(hidden_size, num_layers=num_layers).fit(X, y)


@pytest.mark.parametrize(
    ("hidden_size", "num_layers", "sizes"),
    [((np.int64(5), 3), 1, [5, 3]), ((5, 3), 2, [5, 3]), (4, 3, [4, 4, 4])],
)
def test_hidden_size_is_that_of_each_layer_or_of_all(hidden_size, num_layers, sizes):
    model = tiny(hidden_size=hidden_size, num_layers=num_layers).fit(X, y)

    assert [layer.hidden_size for layer in model.module_.layers] == sizes


@pytest.mark.parametrize(
    ("cls", "cell_type"), [(RNNRegressor, "gru"), (BiRNNClassifier, "lstm")]
)
def test_only_the_rnn_cell_has_a_nonlinearity(cls, cell_type):
    message = (
        f"The 'nonlinearity' parameter of {cls.__name__} must be 'tanh' for "
        f"cell_type='{cell_type}', whose equations fix it. Got 'relu'. Use "
        "cell_type='rnn', or leave it out."
    )
    with raises(ValueError, message):
        cls(cell_type=cell_type, nonlinearity="relu").fit(X, labels)


@pytest.mark.parametrize("optimizer", [int, torch.nn.Linear])
def test_optimizer_class_must_be_an_optimizer(optimizer):
    message = (
        "The 'optimizer' parameter of RNNRegressor must be a name or a subclass of "
        f"torch.optim.Optimizer. Got {optimizer!r}."
    )
    with raises(ValueError, message):
        RNNRegressor(optimizer=optimizer).fit(X, y)


@pytest.mark.parametrize("names", [["weight_decay"], ["lr", "weight_decay"]])
def test_optimizer_params_must_not_repeat_parameters(names):
    message = (
        "The 'optimizer_params' parameter of RNNRegressor must not contain lr or "
        f"weight_decay. Got {names}. Set the parameter of that name instead."
    )
    params = dict.fromkeys(names, 0.1) | {"eps": 1e-8}
    with raises(ValueError, message):
        RNNRegressor(optimizer_params=params).fit(X, y)


@pytest.mark.parametrize("optimizer", ["lbfgs", torch.optim.LBFGS])
def test_lbfgs_has_no_weight_decay(optimizer):
    message = (
        "The 'weight_decay' parameter of RNNRegressor must be 0 or 'auto' for "
        "optimizer='lbfgs', which has none. Got 0.1."
    )
    with raises(ValueError, message):
        RNNRegressor(optimizer=optimizer, weight_decay=0.1).fit(X, y)


@pytest.mark.parametrize("cls", [RNNRegressor, RNNClassifier])
@pytest.mark.parametrize("method", ["fit", "partial_fit"])
def test_targets_are_required(cls, method):
    message = (
        f"This {cls.__name__} estimator requires y to be passed, but the target y is "
        "None."
    )
    with raises(ValueError, message):
        getattr(cls(), method)(X, None)


def test_n_jobs_must_not_be_zero():
    with pytest.raises(ValueError, match=r"'n_jobs' parameter of RNNRegressor"):
        RNNRegressor(n_jobs=0).fit(X, y)


def test_a_callback_and_lr_schedule_cannot_both_set_the_learning_rate():
    scheduler = LRScheduler(torch.optim.lr_scheduler.ExponentialLR, gamma=0.5)
    message = (
        "The 'lr_schedule' parameter of RNNRegressor must be None when a callback sets "
        "the learning rate. Got 'one_cycle' and LRScheduler."
    )
    with raises(ValueError, message):
        RNNRegressor(callbacks=[("rate", scheduler)]).fit(X, y)


def test_callbacks_must_be_callbacks_of_skorch():
    message = (
        "The 'callbacks' parameter of RNNRegressor must hold callbacks of skorch, or "
        "(name, callback) tuples. Got 'verbose'."
    )
    with raises(ValueError, message):
        RNNRegressor(callbacks=["verbose"]).fit(X, y)
