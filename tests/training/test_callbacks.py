"""Callbacks of skorch."""

import numpy as np
import pytest
import torch
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
from training_data import (
    N_ROWS,
    STILL,
    TARGETS,
    TINY,
    Recorder,
    X,
    callback_of,
    draw_X,
    flatten,
    initial_weights,
    make_model,
    overfit,
    y,
)

from skrnn import RNNRegressor


def assert_same_weights(found, expected, **tolerance):
    np.testing.assert_allclose(flatten(found), flatten(expected), **tolerance)


# -- early stopping


# -- callbacks of skorch
SCORERS = [
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


@pytest.mark.parametrize(
    ("task", "on_train"),
    [("squared_error", True), ("two outputs", False)],
    ids=["training", "validation"],
)
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


def test_lr_scheduler_works_with_warm_start():
    schedule = LRScheduler(torch.optim.lr_scheduler.ExponentialLR, gamma=0.5)
    model = RNNRegressor(
        **TINY, lr_schedule=None, warm_start=True, callbacks=[schedule]
    )

    model.fit(X, y).fit(X, y)

    assert model.n_iter_ == 6


def test_gradient_norm_clipping_equals_max_grad_norm():
    clipping = [GradientNormClipping(0.01)]
    by_callback = RNNRegressor(**TINY, max_grad_norm=None, callbacks=clipping)
    by_parameter = RNNRegressor(**TINY, max_grad_norm=0.01)

    by_callback.fit(X, y)

    # The callback computes the norm of the parameters' norms, which rounds otherwise.
    np.testing.assert_allclose(
        by_callback.predict(X), by_parameter.fit(X, y).predict(X), rtol=1e-12
    )
    free = RNNRegressor(**TINY, max_grad_norm=None).fit(X, y)
    assert (by_callback.predict(X) != free.predict(X)).any()


def test_checkpoint_saves_the_learned_weights(tmp_path):
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


def test_early_stopping_of_skorch_restores_the_best_weights_silently(capfd):
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
    """Stops training in epoch 3, as skorch's callbacks do: by KeyboardInterrupt."""

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
def test_a_callback_may_stop_training_in_any_hook(hook, n_iter):
    whole = RNNRegressor(**TINY | {"max_epochs": 5}, batch_size=8).fit(X, y)

    model = clone(whole).set_params(callbacks=[StopAt(hook)]).fit(X, y)

    assert model.n_iter_ == n_iter
    # A callback with hooks of batches is trained by torch, which rounds differently.
    np.testing.assert_allclose(
        model.loss_curve_, whole.loss_curve_[:n_iter], rtol=1e-12
    )
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


def test_freezer_keeps_its_weights_constant():
    model = RNNRegressor(**TINY, callbacks=[Freezer("layers*"), Recorder()]).fit(X, y)

    before = callback_of(model, Recorder).initial_
    for name, value in model.module_.named_parameters():
        assert torch.equal(value, before[name]) == name.startswith("layers"), name


def test_param_mapper_changes_weights_in_its_epoch():
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


def test_callbacks_are_copied_and_not_changed():
    callbacks = [Recorder(), ("stop", EarlyStopping("train_loss")), EpochTimer()]
    stripped = [callbacks[0], callbacks[1][1], callbacks[2]]
    before = [dict(vars(callback)) for callback in stripped]
    model = RNNRegressor(**TINY, callbacks=callbacks)

    model.fit(X, y).predict(X)

    assert model.get_params()["callbacks"] is callbacks
    assert [callbacks[0], callbacks[1][1], callbacks[2]] == stripped
    assert [vars(callback) for callback in stripped] == before
    assert not any(used in stripped for _, used in model.net_.callbacks_)


class Keeper(Callback):
    """Holds containers and an array as its state, all nested, and changes them."""

    def __init__(self):
        self.state = {"losses": [], "counts": (np.zeros(1),), "inner": EpochTimer()}

    def on_epoch_end(self, net, **kwargs):
        self.state["losses"].append(net.history[-1]["train_loss"])
        self.state["counts"][0][:] += 1
        self.state["inner"].epoch = len(net.history)


def test_state_of_callbacks_is_copied():
    callback = Keeper()
    model = RNNRegressor(**TINY, callbacks=[callback]).fit(X, y)

    used = callback_of(model, Keeper)
    assert used.state["losses"] == model.loss_curve_
    assert used.state["counts"][0] == [model.n_iter_]
    assert used.state["inner"].epoch == model.n_iter_
    assert callback.state["losses"] == []
    assert callback.state["counts"][0] == [0.0]
    assert not hasattr(callback.state["inner"], "epoch")


class Receiver:
    """What a callback reports to: a trial of a study, or the run of a tracking server.

    It cannot be copied, as is often the case with objects that hold a connection.
    """

    def __init__(self):
        self.losses = []

    def __reduce_ex__(self, protocol):
        raise TypeError("a connection cannot be copied")

    def report(self, loss):
        self.losses.append(loss)


class Reporter(Callback):
    def __init__(self, *receivers):
        self.receivers = receivers

    def on_epoch_end(self, net, **kwargs):
        for receiver in self.receivers:
            report = getattr(receiver, "report", receiver)
            report(net.history[-1]["train_loss"])


def test_objects_that_callbacks_report_to_are_shared():
    receiver, other, method = Receiver(), Receiver(), Receiver()
    callbacks = [Reporter(receiver, method.report), ("named", Reporter(other))]

    model = RNNRegressor(**TINY, callbacks=callbacks).fit(X, y)

    assert model.n_iter_ == 3
    for shared in (receiver, other, method):
        assert shared.losses == model.loss_curve_


def test_members_report_to_the_same_object():
    receiver = Receiver()
    model = RNNRegressor(**TINY, n_members=2, callbacks=[Reporter(receiver)])

    model.fit(X, y)

    losses = [loss for member in model.members_ for loss in member.loss_curve_]
    assert sorted(receiver.losses) == sorted(losses)


def test_estimator_with_callbacks_can_be_cloned_after_fit():
    model = RNNRegressor(**TINY, callbacks=[Recorder(), ("stop", StopAt("never"))])
    model.fit(X, y)

    again = clone(model)

    assert not hasattr(again, "net_")
    np.testing.assert_array_equal(again.fit(X, y).predict(X), model.predict(X))


@pytest.mark.parametrize(
    "callback",
    [
        ProgressBar(),
        GradientNormClipping(None),
        PassthroughScoring("train_loss", on_train=True),
        BatchScoring("neg_mean_absolute_error", name="mae", lower_is_better=False),
        LRScheduler(torch.optim.lr_scheduler.ConstantLR, factor=1.0),
    ],
    ids=lambda callback: type(callback).__name__,
)
def test_callbacks_on_batches_receive_the_loss_of_each_batch(callback):
    params = TINY | dict(batch_size=8, dropout=0.3, lr_schedule=None)
    plain = RNNRegressor(**params).fit(X, y, X_val=X[:5], y_val=y[:5])

    model = RNNRegressor(**params, callbacks=[callback])
    model.fit(X, y, X_val=X[:5], y_val=y[:5])

    history = model.net_.history
    # Three batches of training rows; the validation rows are in the first entry.
    for epoch in history:
        sizes = [row["train_batch_size"] for row in epoch["batches"][:3]]
        losses = [row["train_loss"] for row in epoch["batches"][:3]]
        assert sizes == [8, 8, 4]
        assert np.average(losses, weights=sizes) == pytest.approx(epoch["train_loss"])
    # With these callbacks torch trains, which rounds differently.
    rtol = 1e-12
    for name in ("loss_curve_", "validation_loss_curve_"):
        found, expected = getattr(model, name), getattr(plain, name)
        np.testing.assert_allclose(found, expected, rtol=rtol)
    np.testing.assert_allclose(model.predict(X), plain.predict(X), rtol=rtol)


def test_without_callbacks_on_batches_an_epoch_has_one_entry_for_all_batches():
    model = RNNRegressor(**TINY, batch_size=8, callbacks=[EpochTimer()]).fit(X, y)

    assert [len(epoch["batches"]) for epoch in model.net_.history] == [1, 1, 1]
    assert (model.history_["dur"] > 0).all()


def test_epoch_scoring_works_without_caching():
    scores = []
    for use_caching in (True, False):
        callback = EpochScoring(
            "neg_mean_absolute_error", lower_is_better=False, use_caching=use_caching
        )
        model = RNNRegressor(**TINY, callbacks=[callback])
        model.fit(X, y, X_val=X, y_val=y)
        scores.append(model.history_["neg_mean_absolute_error"])

    np.testing.assert_allclose(*scores)
