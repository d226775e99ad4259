import itertools
import math
import re
from copy import deepcopy

import numpy as np
import pytest
import torch
from internals import make_dataset
from scipy.special import softmax
from sklearn.base import clone
from sklearn.metrics import accuracy_score, log_loss, roc_auc_score
from skorch.callbacks import (
    BatchScoring,
    Callback,
    Checkpoint,
    EarlyStopping,
    EpochScoring,
    EpochTimer,
    Freezer,
    GradientNormClipping,
    LRScheduler,
    ParamMapper,
    PassthroughScoring,
    PrintLog,
    ProgressBar,
)
from torch import nn
from torch.nn.utils.rnn import pack_sequence

from skrnn import BiRNNClassifier, RNNClassifier, RNNRegressor
from skrnn._data.normalization import NormalizedSequences
from skrnn._data.samples import EncodedSamples
from skrnn._data.sequences import Sequences
from skrnn._training.batches import SequenceDataset, choose_pool_size
from skrnn._training.schedules import learning_rates

N_ROWS, N_STEPS, N_FEATURES = 20, 4, 2
LENGTHS = np.random.default_rng(1).integers(1, N_STEPS + 1, N_ROWS)
TINY = dict(hidden_size=4, max_epochs=3, random_state=0)
# A step of the optimiser that moves no weight.
STILL = dict(optimizer="sgd", weight_decay=0.0, lr=1e-300, lr_schedule=None)
MODULES = {"rnn": nn.RNN, "gru": nn.GRU, "lstm": nn.LSTM}


def draw_X(ragged=False, seed=0):
    """Return sequences whose very first value tells their number."""
    X = np.random.default_rng(seed).normal(size=(N_ROWS, N_STEPS, N_FEATURES))
    X[:, 0, 0] = np.arange(N_ROWS) / 10
    if ragged:
        return [row[:length] for row, length in zip(X, LENGTHS, strict=True)]
    return X


def rows_of(values):
    """Return the numbers of the rows in a batch."""
    return np.rint(10 * values[:, 0, 0].cpu().numpy()).astype(int)


X = draw_X()
NOISE = np.random.default_rng(2).normal(size=(N_ROWS, 2))
TARGETS = {
    "squared_error": 5 + 3 * NOISE[:, 0],
    "absolute_error": 5 + 3 * NOISE[:, 0],
    "huber": 5 + 3 * NOISE[:, 0],
    "two outputs": [5, -50] + [3, 70] * NOISE,
    "binary": np.where(NOISE[:, 0] > 0, "b", "a"),
    "multi-class": np.array(["z", "x", "y"])[np.arange(N_ROWS) % 3],
    "multilabel": (NOISE > 0).astype(int),
}
y = TARGETS["squared_error"]
labels = TARGETS["binary"]
WEIGHTS = np.random.default_rng(3).uniform(0.1, 3, N_ROWS)


def make_model(task, **params):
    if task in ("binary", "multi-class", "multilabel"):
        return RNNClassifier(**(TINY | params))
    loss = "squared_error" if task == "two outputs" else task
    return RNNRegressor(**(TINY | {"loss": loss} | params))


def scaling(values, weights):
    """Return the weighted mean and deviation of each column."""
    mean = np.average(values, axis=0, weights=weights)
    return mean, np.sqrt(np.average((values - mean) ** 2, axis=0, weights=weights))


def encode(task, target, weights):
    """Return what the network is trained on, by the documentation."""
    if task in ("binary", "multi-class"):
        return torch.tensor(np.unique(target, return_inverse=True)[1])
    if task == "multilabel":
        return torch.tensor(target, dtype=torch.float64)
    mean, scale = scaling(target, weights)
    return torch.tensor((target - mean) / scale).reshape(N_ROWS, -1)


def row_losses(task, output, target):
    """Return the loss of each row by its formula."""
    if task == "multi-class":
        return output.logsumexp(1) - output[torch.arange(len(output)), target]
    if task in ("binary", "multilabel"):
        target = target.reshape(len(output), -1)
        return (torch.log1p(output.exp()) - target * output).mean(1)
    error = (output - target).abs()
    if task == "absolute_error":
        return error.mean(1)
    if task == "huber":
        return torch.where(error < 1, error**2 / 2, error - 0.5).mean(1)
    return (error**2).mean(1)


class Recorder(Callback):
    """Keeps the weights that training begins with, and the rows of every batch."""

    def on_train_begin(self, net, **kwargs):
        self.initial_ = deepcopy(net.module_.state_dict())
        self.batches_ = []  # of each epoch

    def on_epoch_begin(self, net, **kwargs):
        self.batches_.append([])

    def on_batch_begin(self, net, batch, training, **kwargs):
        if training:
            self.batches_[-1].append(rows_of(batch[0]["values"]))


def callback_of(model, callback_class):
    """Return the callback that was used, which is a copy of the one passed."""
    used = [cb for _, cb in model.net_.callbacks_ if isinstance(cb, callback_class)]
    assert len(used) == 1
    return used[0]


def initial_weights(**params):
    return RNNRegressor(**(TINY | params | STILL)).fit(X, y).module_.state_dict()


def flatten(state):
    """Return all weights in a row; the scaling is no weight."""
    names = sorted(name for name in state if not name.startswith("input_"))
    return torch.cat([state[name].flatten() for name in names]).numpy()


def assert_same_weights(found, expected, **tolerance):
    np.testing.assert_allclose(flatten(found), flatten(expected), **tolerance)


# -- a bare loop of torch as the oracle of training


class ByHand(nn.Module):
    def __init__(self, cell_type, n_outputs):
        super().__init__()
        options = {"batch_first": True, "dtype": torch.float64}
        self.cell = MODULES[cell_type](N_FEATURES, TINY["hidden_size"], **options)
        self.head = nn.Linear(TINY["hidden_size"], n_outputs, dtype=torch.float64)

    def forward(self, rows):
        _, state = self.cell(pack_sequence(rows, enforce_sorted=False))
        return self.head(state[0][-1] if isinstance(state, tuple) else state[-1])


def one_cycle(lr, progress):
    if progress < 0.3:
        share = progress / 0.3
        return lr / 25 + (lr - lr / 25) * (1 - math.cos(math.pi * share)) / 2
    share = (progress - 0.3) / 0.7
    return lr + (lr / 250_000 - lr) * (1 - math.cos(math.pi * share)) / 2


def train_by_hand(model, task, rows, target, weights):
    """Repeat the training of a fitted model; return its loss curve and weights."""
    recorder = callback_of(model, Recorder)
    weights = np.ones(N_ROWS) if weights is None else weights
    mean, scale = scaling(
        np.concatenate(list(rows)), np.repeat(weights, [len(row) for row in rows])
    )
    rows = [torch.tensor((row - mean) / scale) for row in rows]
    target = encode(task, target, weights)
    weights = torch.tensor(weights)
    mean_weight = weights.mean()
    module = ByHand(model.cell_type, model.n_outputs_)
    module.load_state_dict(
        {
            name.replace("layers.0.", "cell."): value
            for name, value in recorder.initial_.items()
            if not name.startswith("input_")
        }
    )
    optimizer = torch.optim.Adam(module.parameters())
    n_steps = sum(map(len, recorder.batches_))
    step, loss_curve = 0, []
    for epoch in recorder.batches_:
        total = 0.0
        for batch in epoch:
            lr = one_cycle(model.lr, (step + 0.5) / n_steps)
            optimizer.param_groups[0]["lr"] = lr
            optimizer.zero_grad()
            output = module([rows[i] for i in batch])
            losses = row_losses(task, output, target[batch])
            loss = (weights[batch] * losses).sum() / (len(batch) * mean_weight)
            loss.backward()
            nn.utils.clip_grad_norm_(module.parameters(), model.max_grad_norm)
            optimizer.step()
            total += loss.item() * len(batch)
            step += 1
        loss_curve.append(total / N_ROWS)
    return loss_curve, module.state_dict()


@pytest.mark.parametrize("cell_type", ["rnn", "gru", "lstm"])
@pytest.mark.parametrize("ragged", [False, True], ids=["dense", "ragged"])
@pytest.mark.parametrize("weights", [None, WEIGHTS], ids=["equal", "weighted"])
@pytest.mark.parametrize("task", TARGETS)
def test_training_is_that_of_a_bare_loop(task, weights, ragged, cell_type):
    rows = draw_X(ragged)
    model = make_model(
        task,
        cell_type=cell_type,
        max_epochs=4,
        batch_size=8,  # 8, 8 and 4 rows
        optimizer="adam",
        weight_decay=0.0,
        lr=0.05,
        max_grad_norm=0.3,
        lr_schedule="one_cycle",
        callbacks=[Recorder()],
    ).fit(rows, TARGETS[task], weights)

    loss_curve, state = train_by_hand(model, task, rows, TARGETS[task], weights)

    np.testing.assert_allclose(model.loss_curve_, loss_curve, rtol=1e-10)
    for name, value in state.items():
        found = model.module_.state_dict()[name.replace("cell.", "layers.0.")]
        torch.testing.assert_close(found, value, atol=1e-10, rtol=0)


# -- batches


def test_every_epoch_sees_every_row_once():
    model = RNNRegressor(**TINY, batch_size=8, callbacks=[Recorder()]).fit(X, y)

    for epoch in callback_of(model, Recorder).batches_:
        assert list(map(len, epoch)) == [8, 8, 4]
        assert sorted(np.concatenate(epoch)) == list(range(N_ROWS))


def test_every_epoch_has_an_order_of_its_own():
    model = RNNRegressor(**TINY, batch_size=8, callbacks=[Recorder()]).fit(X, y)

    epochs = [np.concatenate(e) for e in callback_of(model, Recorder).batches_]
    for one, other in itertools.combinations([*epochs, np.arange(N_ROWS)], 2):
        assert (one != other).any()


def test_order_of_rows_follows_the_seed():
    orders = []
    for seed in (0, 0, 1):
        model = RNNRegressor(**TINY | {"random_state": seed}, callbacks=[Recorder()])
        batches = callback_of(model.fit(X, y), Recorder).batches_
        orders.append(np.concatenate([np.concatenate(epoch) for epoch in batches]))

    np.testing.assert_array_equal(orders[0], orders[1])
    assert (orders[0] != orders[2]).any()


# -- optimisers


@pytest.mark.parametrize("optimizer", ["adam", "adamw", "sgd", "rmsprop", "lbfgs"])
def test_every_named_optimizer_trains(optimizer):
    lr = {"lbfgs": 1.0, "sgd": 0.1}.get(optimizer, 0.01)

    model = RNNRegressor(
        **TINY | {"max_epochs": 5}, optimizer=optimizer, lr=lr, lr_schedule=None
    ).fit(X, y)

    assert np.all(np.diff(model.loss_curve_) < 0)


@pytest.mark.parametrize(
    ("name", "optimizer_class"),
    [
        ("adam", torch.optim.Adam),
        ("adamw", torch.optim.AdamW),
        ("sgd", torch.optim.SGD),
        ("rmsprop", torch.optim.RMSprop),
        ("lbfgs", torch.optim.LBFGS),
    ],
)
def test_name_and_class_of_an_optimizer_do_the_same(name, optimizer_class):
    by_name, by_class = (
        RNNRegressor(**TINY, optimizer=optimizer).fit(X, y)
        for optimizer in (name, optimizer_class)
    )

    assert type(by_name.net_.optimizer_) is optimizer_class
    assert by_name.loss_curve_ == by_class.loss_curve_


def test_any_optimizer_of_torch_can_be_used():
    class Backwards(torch.optim.SGD):
        @torch.no_grad()
        def step(self, closure=None):
            for group in self.param_groups:
                for parameter in group["params"]:
                    parameter += group["lr"] * parameter.grad

    model = RNNRegressor(**TINY, optimizer=Backwards, lr=0.01).fit(X, y)

    assert np.all(np.diff(model.loss_curve_) > 0)


def test_optimizer_without_weight_decay_can_be_used():
    model = RNNRegressor(**TINY, optimizer=torch.optim.Rprop).fit(X, y)

    assert model.loss_curve_[-1] < model.loss_curve_[0]


def test_optimizer_params_reach_the_optimizer():
    params = {"momentum": 0.9, "nesterov": True}
    one_batch = TINY | dict(max_epochs=2, batch_size=N_ROWS, max_grad_norm=None)
    curves = {}

    for name, optimizer_params in (("plain", None), ("momentum", params)):
        model = RNNRegressor(
            **one_batch, optimizer="sgd", optimizer_params=optimizer_params
        ).fit(X, y)
        curves[name] = model.loss_curve_

    assert params.items() <= model.net_.optimizer_.param_groups[0].items()
    assert curves["momentum"][0] == curves["plain"][0]  # before the first step
    assert curves["momentum"][1] < curves["plain"][1]
    assert params == {"momentum": 0.9, "nesterov": True}


@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
def test_weight_decay_takes_its_share_of_the_weights(optimizer):
    one_step = TINY | dict(max_epochs=1, lr=0.01, lr_schedule=None)
    plain, decayed = (
        flatten(
            RNNRegressor(**one_step, optimizer=optimizer, weight_decay=decay)
            .fit(X, y)
            .module_.state_dict()
        )
        for decay in (0.0, 0.5)
    )

    lost = 0.01 * 0.5 * flatten(initial_weights())
    np.testing.assert_allclose(plain - decayed, lost, atol=1e-12)


@pytest.mark.parametrize("optimizer", ["adam", "rmsprop"])
def test_weight_decay_of_other_optimizers_shrinks_the_weights(optimizer):
    norms = [
        np.linalg.norm(
            flatten(
                RNNRegressor(**TINY, optimizer=optimizer, weight_decay=decay, lr=0.05)
                .fit(X, y)
                .module_.state_dict()
            )
        )
        for decay in (0.0, 1.0, 10.0)
    ]

    assert norms[0] > norms[1] > norms[2]


def test_weight_decay_auto_is_a_tenth_for_adamw():
    automatic, explicit, none = (
        RNNRegressor(**TINY, optimizer="adamw", weight_decay=decay, lr=0.1)
        .fit(X, y)
        .loss_curve_
        for decay in ("auto", 0.1, 0.0)
    )

    assert automatic == explicit != none


@pytest.mark.parametrize("optimizer", ["adam", "sgd", "rmsprop"])
def test_weight_decay_auto_is_none_for_other_optimizers(optimizer):
    automatic, none = (
        RNNRegressor(**TINY, optimizer=optimizer, weight_decay=decay)
        .fit(X, y)
        .loss_curve_
        for decay in ("auto", 0.0)
    )

    assert automatic == none


@pytest.mark.parametrize("max_grad_norm", [1e-3, 0.1, 1e6, None])
def test_max_grad_norm_bounds_the_step(max_grad_norm):
    one_step = TINY | dict(max_epochs=1, batch_size=N_ROWS, lr_schedule=None)
    sgd = dict(optimizer="sgd", weight_decay=0.0, lr=1.0)
    start = flatten(initial_weights())

    def step(max_grad_norm):
        model = RNNRegressor(**one_step, **sgd, max_grad_norm=max_grad_norm)
        return flatten(model.fit(X, y).module_.state_dict()) - start

    free = step(None)
    length = np.linalg.norm(free)
    bound = math.inf if max_grad_norm is None else max_grad_norm
    assert 0.1 < length < 1e6
    np.testing.assert_allclose(
        step(max_grad_norm), free * min(1, bound / length), rtol=1e-4
    )


# -- learning rates


@pytest.mark.parametrize("n_steps", [1, 2, 3, 10, 101])
@pytest.mark.parametrize("schedule", ["one_cycle", "cosine"])
def test_learning_rates_lie_between_zero_and_lr(schedule, n_steps):
    rates = learning_rates(schedule, 0.2, n_steps)

    assert len(rates) == n_steps
    assert min(rates) > 0
    assert max(rates) <= 0.2


def test_one_cycle_rises_for_three_tenths_and_falls_after():
    rates = np.array(learning_rates("one_cycle", 0.2, 1000))

    assert (np.diff(rates[:300]) > 0).all()
    assert (np.diff(rates[300:]) < 0).all()
    assert rates.max() == pytest.approx(0.2, rel=1e-4)
    assert rates[0] == pytest.approx(0.2 / 25, rel=1e-3)
    assert rates[-1] == pytest.approx(0.2 / 250_000, rel=0.5)
    np.testing.assert_allclose(
        rates, [one_cycle(0.2, (i + 0.5) / 1000) for i in range(1000)], rtol=1e-9
    )


def test_one_cycle_is_the_curve_of_torch():
    n_steps = 20_000  # so many that reading steps at their middle hardly matters
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.1)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, 0.2, n_steps, cycle_momentum=False
    )
    expected = []
    for _ in range(n_steps):
        expected.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()

    found = learning_rates("one_cycle", 0.2, n_steps)

    np.testing.assert_allclose(found, expected, atol=0.2 * 5e-4)


def test_cosine_falls_from_lr_to_zero_along_half_a_cosine():
    rates = learning_rates("cosine", 0.2, 8)

    expected = [0.2 * math.cos(math.pi * (i + 0.5) / 16) ** 2 for i in range(8)]
    np.testing.assert_allclose(rates, expected, rtol=1e-12)


@pytest.mark.parametrize("schedule", ["plateau", None])
def test_other_schedules_have_no_table(schedule):
    assert learning_rates(schedule, 0.2, 10) is None


@pytest.mark.parametrize("schedule", ["one_cycle", "cosine"])
def test_learning_rate_changes_with_each_batch(schedule):
    model = RNNRegressor(**TINY, batch_size=8, lr=0.2, lr_schedule=schedule).fit(X, y)

    last_of_epoch = learning_rates(schedule, 0.2, 9)[2::3]  # 3 epochs of 3 batches
    assert model.history_["lr"].tolist() == last_of_epoch


def test_plateau_halves_the_rate_after_five_epochs_without_progress():
    model = RNNRegressor(
        **TINY | {"max_epochs": 14},
        optimizer="sgd",
        weight_decay=0.0,
        lr=1.0,
        max_grad_norm=1e-30,  # the loss never falls
        lr_schedule="plateau",
    ).fit(X, y)

    # The first epoch is the best; five are waited for, and the next one is too much.
    assert model.history_["lr"].tolist() == [1.0] * 7 + [0.5] * 6 + [0.25]


@pytest.mark.parametrize(("sign", "last"), [(1, 0.01), (-1, 0.005)])
def test_plateau_looks_at_the_validation_loss_if_there_is_one(sign, last):
    model = RNNRegressor(
        **TINY | {"max_epochs": 12}, lr=0.01, lr_schedule="plateau"
    ).fit(X, y, X_val=X, y_val=y.mean() + sign * (y - y.mean()))

    assert np.all(np.diff(model.loss_curve_) < 0)
    assert np.all(sign * np.diff(model.validation_loss_curve_[1:]) < 0)
    assert model.history_["lr"].iloc[-1] == last


# -- early stopping


def overfit(**params):
    """Fit noise, with other noise to validate on."""
    model = RNNRegressor(
        **TINY
        | dict(max_epochs=30, lr=0.03, lr_schedule=None, early_stopping=True)
        | params
    )
    return model.fit(X, y, X_val=draw_X(seed=5), y_val=y[::-1].copy())


@pytest.mark.parametrize("patience", [3, 1000])
def test_early_stopping_restores_the_best_weights_of_a_regressor(patience):
    model = overfit(patience=patience)

    error = model.predict(draw_X(seed=5)) - y[::-1]
    best = min(model.validation_loss_curve_)
    assert np.mean((error / y.std()) ** 2) == pytest.approx(best, rel=1e-12)
    assert model.best_epoch_ == 1 + model.validation_loss_curve_.index(best)
    assert model.best_epoch_ < model.n_iter_ == len(model.validation_loss_curve_)


@pytest.mark.parametrize("task", ["binary", "multi-class"])
def test_early_stopping_restores_the_best_weights_of_a_classifier(task):
    target = TARGETS[task]
    X_val, y_val = draw_X(seed=5), target[::-1]
    model = make_model(
        task, max_epochs=30, lr=0.1, early_stopping=True, patience=5
    ).fit(X, target, X_val=X_val, y_val=y_val)

    best = min(model.validation_loss_curve_)
    loss = log_loss(y_val, model.predict_proba(X_val), labels=model.classes_)
    assert loss == pytest.approx(best, rel=1e-12)
    assert model.best_epoch_ == 1 + model.validation_loss_curve_.index(best)
    assert model.best_epoch_ < model.n_iter_


@pytest.mark.parametrize("tol", [0.0, 1e-4, 0.02, 0.1, 1e6])
@pytest.mark.parametrize("patience", [1, 2, 5])
def test_patience_counts_epochs_without_an_improvement_above_tol(patience, tol):
    whole_curve = overfit(patience=1000).validation_loss_curve_
    best, misses = math.inf, 0
    for n_epochs, loss in enumerate(whole_curve, 1):  # noqa: B007 - used below
        improved = best - loss > tol
        best, misses = (loss, 0) if improved else (best, misses + 1)
        if misses == patience:
            break

    model = overfit(patience=patience, tol=tol)

    assert model.n_iter_ == n_epochs
    assert model.validation_loss_curve_ == whole_curve[:n_epochs]


def test_improvement_below_tol_is_kept_though_not_waited_for():
    model = overfit(patience=4, tol=1e6)

    curve = model.validation_loss_curve_
    assert model.n_iter_ == 5
    assert model.best_epoch_ == 1 + curve.index(min(curve)) > 1


def test_validation_data_without_early_stopping_only_records():
    stopped, recorded = overfit(patience=1), overfit(early_stopping=False)

    assert stopped.n_iter_ < recorded.n_iter_ == 30
    assert recorded.best_epoch_ is None
    assert (
        recorded.validation_loss_curve_[: stopped.n_iter_]
        == stopped.validation_loss_curve_
    )


# -- callbacks of skorch


SCORERS = [
    ("binary", "accuracy", lambda y, p: accuracy_score(y, p.argmax(1))),
    ("multi-class", "accuracy", lambda y, p: accuracy_score(y, p.argmax(1))),
    ("binary", "roc_auc", lambda y, p: roc_auc_score(y, p[:, 1])),
    ("multi-class", "neg_log_loss", lambda y, p: -log_loss(y, p)),
]


class KeepOutputs(Callback):
    """Keeps the raw outputs of the validation rows, batch by batch."""

    def on_train_begin(self, net, **kwargs):
        self.outputs_ = []

    def on_batch_end(self, net, batch, y_pred, training, **kwargs):
        if not training:
            self.outputs_.append(y_pred.numpy().copy())


@pytest.mark.parametrize(("task", "scoring", "score"), SCORERS)
def test_epoch_scoring_scores_classes(task, scoring, score):
    target = TARGETS[task]
    model = make_model(
        task,
        max_epochs=4,
        lr=0.1,
        callbacks=[EpochScoring(scoring, lower_is_better=False), KeepOutputs()],
    ).fit(X, target, X_val=X, y_val=target)

    codes = np.unique(target, return_inverse=True)[1]
    expected = []
    for output in callback_of(model, KeepOutputs).outputs_:
        if task == "binary":
            output = np.hstack([np.zeros_like(output), output])
        expected.append(score(codes, softmax(output, axis=1)))
    assert len(set(expected)) > 1
    assert model.history_[scoring].tolist() == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("task", ["squared_error", "two outputs"])
@pytest.mark.parametrize("on_train", [False, True], ids=["validation", "training"])
def test_epoch_scoring_scores_a_regressor_in_the_units_of_its_loss(on_train, task):
    scoring = "neg_mean_squared_error"
    target = TARGETS[task]
    model = make_model(
        task,
        batch_size=N_ROWS,
        callbacks=[EpochScoring(scoring, lower_is_better=False, on_train=on_train)],
    ).fit(X, target, X_val=X, y_val=target)

    loss = model.loss_curve_ if on_train else model.validation_loss_curve_
    assert model.history_[scoring].tolist() == pytest.approx([-v for v in loss])


def test_lr_scheduler_sets_the_learning_rate():
    schedule = LRScheduler(torch.optim.lr_scheduler.ExponentialLR, gamma=0.5)
    model = RNNRegressor(
        **TINY | {"max_epochs": 4}, lr=0.2, lr_schedule=None, callbacks=[schedule]
    ).fit(X, y)

    assert model.history_["lr"].tolist() == pytest.approx([0.2, 0.1, 0.05, 0.025])


def test_lr_scheduler_can_step_with_each_batch():
    schedule = LRScheduler(
        torch.optim.lr_scheduler.ExponentialLR, gamma=0.5, step_every="batch"
    )
    model = RNNRegressor(
        **TINY, batch_size=8, lr=0.2, lr_schedule=None, callbacks=[schedule]
    ).fit(X, y)

    rates = np.ravel(model.net_.history[:, "batches", :, "event_lr"])
    np.testing.assert_allclose(rates, 0.2 * 0.5 ** np.arange(9))


def test_lr_scheduler_goes_on_with_warm_start():
    schedule = LRScheduler(torch.optim.lr_scheduler.ExponentialLR, gamma=0.5)
    model = RNNRegressor(
        **TINY, lr_schedule=None, warm_start=True, callbacks=[schedule]
    )

    model.fit(X, y).fit(X, y)

    assert model.n_iter_ == 6


def test_gradient_norm_clipping_does_what_max_grad_norm_does():
    clipping = [GradientNormClipping(0.01)]
    by_callback = RNNRegressor(**TINY, max_grad_norm=None, callbacks=clipping)
    by_parameter = RNNRegressor(**TINY, max_grad_norm=0.01)

    by_callback.fit(X, y)

    # The callback takes the norm of each parameter's norm, which rounds otherwise.
    np.testing.assert_allclose(
        by_callback.predict(X), by_parameter.fit(X, y).predict(X), rtol=1e-12
    )
    free = RNNRegressor(**TINY, max_grad_norm=None).fit(X, y)
    assert (by_callback.predict(X) != free.predict(X)).any()


def test_checkpoint_saves_what_was_learned(tmp_path):
    checkpoint = Checkpoint(monitor=None, dirname=str(tmp_path), f_pickle=None)
    model = RNNRegressor(**TINY, callbacks=[checkpoint]).fit(X, y)

    saved = torch.load(tmp_path / "params.pt", weights_only=True)
    assert_same_weights(saved, model.module_.state_dict(), rtol=0)
    assert (tmp_path / "optimizer.pt").exists()
    assert (tmp_path / "history.json").exists()


def test_checkpoint_keeps_the_best_epoch(tmp_path):
    checkpoint = Checkpoint(dirname=str(tmp_path), load_best=True)

    model = overfit(early_stopping=False, callbacks=[checkpoint])

    stopped = overfit(patience=1000)
    best = min(model.validation_loss_curve_)
    error = model.predict(draw_X(seed=5)) - y[::-1]
    assert np.mean((error / y.std()) ** 2) == pytest.approx(best, rel=1e-6)
    assert_same_weights(
        model.module_.state_dict(), stopped.module_.state_dict(), rtol=0
    )


def test_early_stopping_of_skorch_ends_in_good_order(capfd):
    curve = overfit(patience=1000).validation_loss_curve_
    callback = EarlyStopping(patience=3, threshold=0.0, load_best=True)

    model = overfit(early_stopping=False, callbacks=[callback])

    best = min(model.validation_loss_curve_)
    error = model.predict(draw_X(seed=5)) - y[::-1]
    assert model.validation_loss_curve_ == curve[: model.n_iter_]
    assert model.n_iter_ == 1 + curve.index(best) + 3 < 30
    assert np.mean((error / y.std()) ** 2) == pytest.approx(best, rel=1e-12)
    assert "".join(capfd.readouterr()) == ""


class StopAt(Callback):
    """Asks for the end of training the way skorch's callbacks do, in epoch 3."""

    def __init__(self, hook):
        self.hook = hook

    def stop(self, hook, net):
        if hook == self.hook and len(net.history) == 3:
            raise KeyboardInterrupt

    def on_epoch_begin(self, net, **kwargs):
        self.stop("on_epoch_begin", net)

    def on_batch_begin(self, net, **kwargs):
        self.stop("on_batch_begin", net)

    def on_grad_computed(self, net, **kwargs):
        self.stop("on_grad_computed", net)

    def on_batch_end(self, net, **kwargs):
        self.stop("on_batch_end", net)

    def on_epoch_end(self, net, **kwargs):
        self.stop("on_epoch_end", net)


@pytest.mark.parametrize(
    ("hook", "n_iter"),
    [
        ("on_epoch_begin", 2),
        ("on_batch_begin", 2),
        ("on_grad_computed", 2),
        ("on_batch_end", 2),
        ("on_epoch_end", 3),
    ],
)
def test_callback_may_stop_training_anywhere(hook, n_iter):
    whole = RNNRegressor(**TINY | {"max_epochs": 5}, batch_size=8).fit(X, y)

    model = clone(whole).set_params(callbacks=[StopAt(hook)]).fit(X, y)

    assert model.n_iter_ == n_iter
    assert model.loss_curve_ == whole.loss_curve_[:n_iter]
    assert len(model.history_) == n_iter
    assert np.isfinite(model.predict(X)).all()


def test_progress_bar_of_skorch_draws(capfd):
    model = RNNRegressor(**TINY, callbacks=[ProgressBar()]).fit(X, y)

    assert model.n_iter_ == 3
    out, err = capfd.readouterr()
    assert out == ""
    assert "| 0/1 [" in err


def test_print_log_prints_to_its_sink():
    lines = []

    model = RNNRegressor(**TINY, callbacks=[PrintLog(sink=lines.append)]).fit(X, y)

    assert lines[0].split()[:2] == ["epoch", "lr"]
    assert [int(line.split()[0]) for line in lines[2:]] == [1, 2, 3]
    assert all(
        f"{loss:.4f}" in line
        for loss, line in zip(model.loss_curve_, lines[2:], strict=True)
    )


def test_freezer_keeps_weights_still():
    model = RNNRegressor(**TINY, callbacks=[Freezer("layers*"), Recorder()]).fit(X, y)

    before = callback_of(model, Recorder).initial_
    for name, value in model.module_.named_parameters():
        assert torch.equal(value, before[name]) == name.startswith("layers"), name


def test_param_mapper_changes_weights_when_told():
    mapper = ParamMapper("head.bias", fn=lambda bias: bias.data.fill_(3.0), at=3)
    still = TINY | STILL

    early = RNNRegressor(**still | {"max_epochs": 2}, callbacks=[mapper]).fit(X, y)
    late = RNNRegressor(**still, callbacks=[mapper]).fit(X, y)

    assert early.module_.head.bias.item() == initial_weights()["head.bias"].item()
    assert late.module_.head.bias.item() == 3.0


def test_callbacks_may_have_names():
    model = RNNRegressor(**TINY, callbacks=[("mine", Recorder())]).fit(X, y)

    assert isinstance(dict(model.net_.callbacks_)["mine"], Recorder)
    assert len(dict(model.net_.callbacks_)["mine"].batches_) == 3


def test_callbacks_are_copied_and_stay_as_they_were():
    callbacks = [Recorder(), ("stop", EarlyStopping("train_loss")), EpochTimer()]
    stripped = [callbacks[0], callbacks[1][1], callbacks[2]]
    before = [dict(vars(callback)) for callback in stripped]
    model = RNNRegressor(**TINY, callbacks=callbacks)

    model.fit(X, y).predict(X)

    assert model.get_params()["callbacks"] is callbacks
    assert [callbacks[0], callbacks[1][1], callbacks[2]] == stripped
    assert [vars(callback) for callback in stripped] == before
    assert not any(used in stripped for _, used in model.net_.callbacks_)


def test_estimator_with_callbacks_can_be_cloned_after_fit():
    model = RNNRegressor(**TINY, callbacks=[Recorder(), ("stop", StopAt("never"))])
    model.fit(X, y)

    again = clone(model)

    assert not hasattr(again, "net_")
    np.testing.assert_array_equal(again.fit(X, y).predict(X), model.predict(X))


@pytest.mark.parametrize(
    "callback",
    [
        Recorder(),
        ProgressBar(),
        GradientNormClipping(None),
        PassthroughScoring("train_loss", on_train=True),
        BatchScoring("neg_mean_absolute_error", name="mae", lower_is_better=False),
        LRScheduler(torch.optim.lr_scheduler.ConstantLR, factor=1.0),
    ],
    ids=lambda callback: type(callback).__name__,
)
def test_callbacks_that_read_batches_find_their_rows(callback):
    params = TINY | dict(batch_size=8, dropout=0.3, lr_schedule=None)
    plain = RNNRegressor(**params).fit(X, y, X_val=X[:5], y_val=y[:5])

    model = RNNRegressor(**params, callbacks=[callback])
    model.fit(X, y, X_val=X[:5], y_val=y[:5])

    history = model.net_.history
    # Three batches to train on; the rows of validation stand in the first of them.
    for epoch in history:
        sizes = [row["train_batch_size"] for row in epoch["batches"][:3]]
        losses = [row["train_loss"] for row in epoch["batches"][:3]]
        assert sizes == [8, 8, 4]
        assert np.average(losses, weights=sizes) == pytest.approx(epoch["train_loss"])
    # A schedule of torch listens to the optimiser's own step, which rounds otherwise.
    rtol = 1e-12 if isinstance(callback, LRScheduler) else 0
    for name in ("loss_curve_", "validation_loss_curve_"):
        found, expected = getattr(model, name), getattr(plain, name)
        np.testing.assert_allclose(found, expected, rtol=rtol)
    np.testing.assert_allclose(model.predict(X), plain.predict(X), rtol=rtol)


def test_without_such_callbacks_an_epoch_has_one_row_for_all_batches():
    model = RNNRegressor(**TINY, batch_size=8, callbacks=[EpochTimer()]).fit(X, y)

    assert [len(epoch["batches"]) for epoch in model.net_.history] == [1, 1, 1]
    assert (model.history_["dur"] > 0).all()


# -- what is printed, and what goes wrong


@pytest.mark.parametrize("early_stopping", [False, True])
def test_nothing_is_printed_by_default(capfd, early_stopping):
    model = RNNClassifier(**TINY, early_stopping=early_stopping)

    model.fit(X, labels).predict(X)
    model.partial_fit(X, labels).score(X, labels)

    assert capfd.readouterr() == ("", "")


def test_verbose_shows_a_bar_with_losses_on_standard_error(capfd):
    model = RNNRegressor(**TINY, verbose=1).fit(X, y, X_val=X, y_val=y)

    out, err = capfd.readouterr()
    last = err.rstrip().splitlines()[-1].split("\r")[-1]
    assert out == ""
    assert last.startswith("RNNRegressor: 100%")
    assert " 3/3 [" in last
    assert "epoch/s" in last or "s/epoch" in last
    assert f"loss={model.loss_curve_[-1]:.4g}" in last
    assert f"validation={model.validation_loss_curve_[-1]:.4g}" in last


def test_predict_prints_nothing_even_if_verbose(capfd):
    model = RNNRegressor(**TINY, verbose=1).fit(X, y)
    capfd.readouterr()

    model.predict(X)
    deepcopy(model)

    assert capfd.readouterr() == ("", "")


def test_non_finite_loss_names_epoch_and_remedy():
    model = RNNRegressor(
        **TINY | {"max_epochs": 9},
        nonlinearity="relu",
        optimizer="sgd",
        lr=1e200,
        lr_schedule=None,
        max_grad_norm=None,
        batch_size=N_ROWS,
    )

    # The loss of epoch 1 is that of the initial weights.
    message = (
        "The loss became non-finite in epoch 2. Scale X, or lower lr (now 1e+200)."
    )
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        model.fit(X, y)
    assert not hasattr(model, "net_")


@pytest.mark.parametrize("hidden_size", [7, 8])
@pytest.mark.parametrize("cell_type", ["rnn", "gru", "lstm"])
@pytest.mark.parametrize("ragged", [False, True], ids=["dense", "ragged"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_row_alone_is_predicted_as_in_a_batch(dtype, ragged, cell_type, hidden_size):
    rng = np.random.default_rng(0)
    many = rng.normal(size=(300, 6, 2)).astype(dtype)  # more than one chunk
    if ragged:
        many = [row[: 1 + i % 6] for i, row in enumerate(many)]
    model = RNNRegressor(hidden_size, cell_type=cell_type, max_epochs=1, random_state=0)
    model.fit(many, rng.normal(size=300))

    together = model.predict(many)

    alone = [model.predict(many[i : i + 1])[0] for i in range(0, 300, 7)]
    np.testing.assert_array_equal(alone, together[::7])


@pytest.mark.parametrize("pooling", ["last", "mean", "max"])
@pytest.mark.parametrize("ragged", [False, True], ids=["dense", "ragged"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_row_alone_has_the_probabilities_it_has_in_a_batch(dtype, ragged, pooling):
    rng = np.random.default_rng(0)
    many = rng.normal(size=(300, 6, 3)).astype(dtype)
    if ragged:
        many = [row[: 1 + i % 6] for i, row in enumerate(many)]
    model = BiRNNClassifier(
        (7, 5), cell_type="gru", pooling=pooling, max_epochs=1, random_state=0
    )
    model.fit(many, np.arange(300) % 3)

    together = model.predict_proba(many)

    alone = [model.predict_proba(many[i : i + 1])[0] for i in range(0, 300, 7)]
    np.testing.assert_array_equal(alone, together[::7])


def test_epoch_scoring_may_predict_anew():
    scores = []
    for use_caching in (True, False):
        callback = EpochScoring(
            "neg_mean_absolute_error", lower_is_better=False, use_caching=use_caching
        )
        model = RNNRegressor(**TINY, callbacks=[callback])
        model.fit(X, y, X_val=X, y_val=y)
        scores.append(model.history_["neg_mean_absolute_error"])

    np.testing.assert_allclose(*scores)


# Batches of similar length


def draw_ragged(n, seed=0):
    generator = np.random.default_rng(seed)
    lengths = np.ceil(generator.exponential(20, n)).astype(int)
    return [np.full((length, 1), float(i)) for i, length in enumerate(lengths)]


def epochs_of(X, n_epochs=2, seed=0, **params):
    """Return `(rows, lengths)` of the batches of some epochs."""
    model = RNNRegressor(**TINY | dict(batch_size=16, max_epochs=1) | params)
    model.fit(X, np.arange(len(X), dtype=float))
    net, rows = model.net_, np.arange(len(X))
    dataset = make_dataset(model, X, rows[:, None].astype(float))
    net.order_generator_.manual_seed(seed)
    epochs = []
    for _ in range(n_epochs):
        batches = []
        for inputs, targets in net.get_iterator(dataset, training=True):
            lengths = inputs.get("lengths")
            if lengths is None:
                lengths = torch.full((len(targets),), inputs["values"].shape[1])
            batches.append((targets[:, 0].long().numpy(), lengths.numpy()))
        epochs.append(batches)
    return epochs


def rows_in_order(batches):
    return [rows.tolist() for rows, _ in batches]


def test_padding_of_batches_is_less_than_a_tenth():
    for batches in epochs_of(draw_ragged(600)):
        steps = sum(lengths.sum() for _, lengths in batches)
        padded = sum(lengths.max() * len(lengths) for _, lengths in batches)
        assert steps > 0.9 * padded
        assert steps == sum(len(x) for x in draw_ragged(600))


def test_every_row_comes_once_an_epoch_and_in_another_order():
    first, second = epochs_of(draw_ragged(300))
    for batches in (first, second):
        rows = np.concatenate([rows for rows, _ in batches])
        np.testing.assert_array_equal(np.sort(rows), np.arange(300))
        assert sorted(len(rows) for rows, _ in batches) == [12] + [16] * 18
    assert rows_in_order(first) != rows_in_order(second)
    # They do not begin with the shortest: that would be another kind of order.
    means = [lengths.mean() for _, lengths in first]
    assert means != sorted(means)


def test_batches_by_length_are_the_same_for_the_same_seed():
    X = draw_ragged(300)
    (first,), (again,), (other,) = (epochs_of(X, 1, seed) for seed in (0, 0, 1))
    assert rows_in_order(first) == rows_in_order(again) != rows_in_order(other)


def test_rows_of_nearly_one_length_are_drawn_in_any_order():
    lengths = np.random.default_rng(0).integers(95, 101, 500)
    assert choose_pool_size(lengths, 16) == 1


def test_as_few_batches_as_will_do_are_filled_together():
    lengths = np.random.default_rng(0).integers(10, 101, 2000)
    assert 1 < choose_pool_size(lengths, 32) < 32
    assert choose_pool_size(np.array([1, 1000]), 1) == 1
    assert choose_pool_size(np.array([1, 1000]), 32) == 1
    few = np.random.default_rng(0).integers(1, 1000, 320)
    assert choose_pool_size(few, 32) == 2  # of 10, a quarter at most
    assert choose_pool_size(few, 20) >= 8  # of 16


# What lies on an accelerator


@pytest.mark.parametrize("kind", [None, "difference", "standard"])
@pytest.mark.parametrize("form", ["dense", "ragged", "windows"])
def test_resident_sequences_are_those_of_the_host(form, kind):
    generator = np.random.default_rng(0)
    if form == "dense":
        sequences = Sequences(generator.normal(size=(300, 5, 2)))
    elif form == "windows":
        series = generator.normal(size=(304, 2))
        views = np.lib.stride_tricks.sliding_window_view(series, 5, axis=0)
        sequences = Sequences(views.swapaxes(1, 2))
    else:
        lengths = generator.integers(2, 9, 300)
        sequences = Sequences(generator.normal(size=(lengths.sum(), 2)), lengths)
    if kind is not None:
        sequences = NormalizedSequences(sequences, kind, [0])
    samples = EncodedSamples(sequences, np.zeros((300, 1)))
    rows = generator.permutation(300)[:280]
    options = dict(
        dtype=torch.float32, input_dtype=torch.float32, device=torch.device("cpu")
    )
    datasets = [
        SequenceDataset(samples, rows, **options, resident=resident)
        for resident in (True, False)
    ]
    assert datasets[0].resident is not None
    for positions in torch.randperm(280).split(16):
        (found, _), (expected, _) = (d.batch(positions) for d in datasets)
        assert found.keys() == expected.keys()
        for name, value in expected.items():
            assert torch.equal(found[name], value)
            assert found[name].dtype == value.dtype


def test_data_stays_on_the_host_on_a_cpu():
    model = RNNRegressor(**TINY).fit(X, y)
    assert make_dataset(model, X, y[:, None]).resident is None
