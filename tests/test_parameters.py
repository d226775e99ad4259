import numpy as np
import pytest
import torch
from estimators import (
    N_ROWS,
    TINY,
    X,
    labels,
    whole,
    y,
)
from skorch.callbacks import LRScheduler

from skrnn import (
    BiRNNClassifier,
    RNNClassifier,
    RNNRegressor,
    make_windows,
)

HIDDEN_SIZE = (
    "The 'hidden_size' parameter of {owner} must be an int, or a tuple with one int "
    "from 1 upwards for each of num_layers layers. Got {hidden_size!r} with "
    "num_layers={num_layers}."
)


estimators = pytest.mark.parametrize(
    "estimator_class", [RNNRegressor, RNNClassifier, BiRNNClassifier]
)


@estimators
@pytest.mark.parametrize(
    ("hidden_size", "num_layers"),
    [((), 1), ((4, 0), 1), ((4, 2.5), 2), (("4",), 1), ((4, 4), 3), ((4,), 2)],
    ids=str,
)
def test_hidden_sizes_must_be_one_int_a_layer(estimator_class, hidden_size, num_layers):
    message = HIDDEN_SIZE.format(
        owner=estimator_class.__name__, hidden_size=hidden_size, num_layers=num_layers
    )
    with pytest.raises(ValueError, match=whole(message)):
        estimator_class(hidden_size, num_layers=num_layers).fit(X, labels)


@pytest.mark.parametrize("num_layers", [1, 2])
def test_hidden_sizes_may_be_a_tuple(num_layers):
    sizes = (np.int64(5), 3)
    model = RNNRegressor(**TINY | {"hidden_size": sizes}, num_layers=num_layers)

    model.fit(X, y)

    assert [layer.hidden_size for layer in model.module_.layers] == [5, 3]


def test_hidden_size_counts_for_every_layer():
    model = RNNRegressor(**TINY, num_layers=3).fit(X, y)

    assert [layer.hidden_size for layer in model.module_.layers] == [4, 4, 4]


@estimators
@pytest.mark.parametrize("cell_type", ["gru", "lstm"])
def test_only_the_rnn_cell_has_a_nonlinearity(estimator_class, cell_type):
    message = (
        f"The 'nonlinearity' parameter of {estimator_class.__name__} must be 'tanh' "
        f"for cell_type='{cell_type}', whose equations fix it. Got 'relu'. Use "
        "cell_type='rnn', or leave it out."
    )
    with pytest.raises(ValueError, match=whole(message)):
        estimator_class(cell_type=cell_type, nonlinearity="relu").fit(X, labels)


@estimators
@pytest.mark.parametrize("optimizer", [int, torch.nn.Linear])
def test_optimizer_class_must_be_one(estimator_class, optimizer):
    message = (
        f"The 'optimizer' parameter of {estimator_class.__name__} must be a name or a "
        f"subclass of torch.optim.Optimizer. Got {optimizer!r}."
    )
    with pytest.raises(ValueError, match=whole(message)):
        estimator_class(optimizer=optimizer).fit(X, labels)


@estimators
@pytest.mark.parametrize(
    ("names", "remedy"),
    [
        (["lr"], "lr"),
        (["weight_decay"], "weight_decay"),
        (["lr", "weight_decay"], "lr and weight_decay"),
    ],
)
def test_optimizer_params_must_not_repeat_parameters(estimator_class, names, remedy):
    message = (
        f"The 'optimizer_params' parameter of {estimator_class.__name__} must not "
        f"hold what has a parameter of its own. Got {names}. Set {remedy} directly."
    )
    params = dict.fromkeys(names, 0.1) | {"eps": 1e-8}
    with pytest.raises(ValueError, match=whole(message)):
        estimator_class(optimizer_params=params).fit(X, labels)


@estimators
@pytest.mark.parametrize("optimizer", ["lbfgs", torch.optim.LBFGS])
def test_lbfgs_has_no_weight_decay(estimator_class, optimizer):
    message = (
        f"The 'weight_decay' parameter of {estimator_class.__name__} must be 0 or "
        "'auto' for optimizer='lbfgs', which has none. Got 0.1."
    )
    with pytest.raises(ValueError, match=whole(message)):
        estimator_class(optimizer=optimizer, weight_decay=0.1).fit(X, labels)


@estimators
@pytest.mark.parametrize("method", ["fit", "partial_fit"])
def test_targets_are_required(estimator_class, method):
    arguments = {"classes": [0, 1]} if method == "partial_fit" else {}
    if estimator_class is RNNRegressor:
        arguments = {}
    message = (
        f"This {estimator_class.__name__} estimator requires y to be passed, but the "
        "target y is None."
    )
    with pytest.raises(ValueError, match=whole(message)):
        getattr(estimator_class(), method)(X, None, **arguments)


def test_n_jobs_must_not_be_zero():
    with pytest.raises(ValueError, match=r"'n_jobs' parameter of RNNRegressor"):
        RNNRegressor(**TINY, n_jobs=0).fit(X, y)


def test_windows_that_all_overlap_the_validation_part_are_refused():
    windows, targets = make_windows(np.sin(np.arange(200) / 5), window_size=100)
    message = (
        "early_stopping=True must leave at least one row to train on that shares no "
        "time step with the validation rows. Got windows of 100 steps, which all do. "
        "Shorten the windows, lower validation_fraction, or pass X_val and y_val."
    )
    with pytest.raises(ValueError, match=whole(message)):
        RNNRegressor(**TINY, early_stopping=True).fit(windows, targets)


def test_two_schedules_of_the_learning_rate_are_refused():
    scheduler = LRScheduler(torch.optim.lr_scheduler.ExponentialLR, gamma=0.5)
    message = (
        "The 'lr_schedule' parameter of RNNRegressor must be None when a callback sets "
        "the learning rate. Got 'one_cycle' and LRScheduler."
    )
    with pytest.raises(ValueError, match=whole(message)):
        RNNRegressor(**TINY, callbacks=[("rate", scheduler)]).fit(X, y)


def test_what_is_no_callback_is_refused():
    message = (
        "The 'callbacks' parameter of RNNRegressor must hold callbacks of skorch, or "
        "(name, callback) tuples. Got 'verbose'."
    )
    with pytest.raises(ValueError, match=whole(message)):
        RNNRegressor(**TINY, callbacks=["verbose"]).fit(X, y)


@pytest.mark.parametrize(
    ("optimizer", "params"),
    [("rmsprop", {"momentum": 0.9}), ("adam", {"amsgrad": True}), ("sgd", {})],
)
def test_optimizer_may_change_its_ways_while_training_goes_on(optimizer, params):
    model = RNNRegressor(**TINY, optimizer=optimizer, warm_start=True).fit(X, y)

    model.set_params(optimizer_params=params).fit(X, y)

    assert model.n_iter_ == 6


def test_partial_fit_refuses_to_balance_each_part_by_itself():
    model = RNNClassifier(**TINY, class_weight="balanced")
    message = (
        "The 'class_weight' parameter must not be 'balanced' for partial_fit, where "
        "each part would be balanced by itself. Pass a dict of weights."
    )
    with pytest.raises(ValueError, match=whole(message)):
        model.partial_fit(X, y > 5, classes=[False, True])


def test_validation_rows_have_the_weights_of_their_classes_too():
    labels = np.arange(N_ROWS) % 3 == 0
    params = TINY | {"batch_size": N_ROWS, "max_epochs": 1}
    weighted = RNNClassifier(**params, lr=1e-12, class_weight={True: 5.0})

    weighted.fit(X, labels, X_val=X, y_val=labels)

    training, validation = weighted.loss_curve_[0], weighted.validation_loss_curve_[0]
    assert validation == pytest.approx(training, rel=1e-9)


def test_long_sequences_are_predicted_in_fewer_rows_at_once(monkeypatch):
    model = RNNRegressor(**TINY).fit(X, y)
    expected = model.predict(X)

    monkeypatch.setattr("skrnn._inference.prediction.MAX_STEPS", 70)
    sizes = []
    model.module_.register_forward_hook(
        lambda _, inputs, output: sizes.append(len(output))
    )

    np.testing.assert_array_equal(model.predict(X), expected)
    assert set(sizes) == {16}
