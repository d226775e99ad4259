"""Ensembles."""

import pickle
import threading

import numpy as np
import pytest
from messages import raises
from numpy.testing import assert_allclose, assert_array_equal
from skorch.callbacks import Callback

from skrnn import BiRNNClassifier, RNNClassifier, RNNRegressor
from skrnn._training.members import member_seeds, run_jobs

TINY = dict(hidden_size=4, max_epochs=3, batch_size=8, random_state=0)
rng = np.random.default_rng(0)
X = rng.normal(size=(30, 6, 2))
Y = X[:, :, 0].sum(axis=1)
LABELS = np.array(["a", "b", "c"])[np.arange(30) % 3]
RAGGED = [row[: 1 + i % 6] for i, row in enumerate(X)]


def softmax_mean(members, X):
    return np.mean([member.predict_proba(X) for member in members], axis=0)


def test_a_regressor_predicts_the_mean_of_its_members():
    model = RNNRegressor(**TINY, n_members=3).fit(X, Y)
    predictions = [member.predict(X) for member in model.members_]
    assert len(predictions) == 3
    assert len({p.tobytes() for p in predictions}) == 3
    mean, deviation = model.predict(X, return_std=True)
    assert_allclose(mean, np.mean(predictions, axis=0), rtol=1e-12)
    assert_allclose(deviation, np.std(predictions, axis=0), rtol=1e-12)
    assert_array_equal(model.predict(X), mean)


@pytest.mark.parametrize("cls", [RNNClassifier, BiRNNClassifier])
@pytest.mark.parametrize("target", [LABELS, LABELS == "a", np.eye(3, dtype=int)[:1]])
def test_a_classifier_averages_the_probabilities_of_its_members(cls, target):
    y = np.repeat(target, 30, axis=0) if len(target) == 1 else target
    if y.ndim == 2:
        y = (rng.random((30, 3)) > 0.5).astype(int)
    model = cls(**TINY, n_members=3).fit(X, y)
    expected = softmax_mean(model.members_, X)
    assert_allclose(model.predict_proba(X), expected, rtol=1e-9)
    assert_allclose(model.predict_log_proba(X), np.log(expected), rtol=1e-9)
    labels = expected > 0.5 if y.ndim == 2 else model.classes_[expected.argmax(axis=1)]
    assert_array_equal(model.predict(X), labels)


def test_quantiles_are_the_means_of_the_members():
    y = np.column_stack([Y, -Y])
    model = RNNRegressor(
        **TINY, n_members=3, loss="quantile", quantiles=(0.2, 0.5, 0.9)
    ).fit(X, y)
    each = [member.predict_quantiles(X) for member in model.members_]
    found = model.predict_quantiles(X)
    assert found.shape == (30, 2, 3)
    assert_allclose(found, np.mean(each, axis=0), rtol=1e-12)
    assert_array_equal(model.predict(X), found[:, :, 1])


def test_the_first_member_is_the_network_alone():
    alone = RNNRegressor(**TINY).fit(X, Y)
    model = RNNRegressor(**TINY, n_members=2).fit(X, Y)
    assert_array_equal(model.members_[0].predict(X), alone.predict(X))
    assert model.loss_curve_ == model.members_[0].loss_curve_ == alone.loss_curve_
    assert model.members_[1].loss_curve_ != alone.loss_curve_
    assert member_seeds(5, 1) == [5]
    assert member_seeds(5, 3) == member_seeds(5, 4)[:3]


@pytest.mark.parametrize("params", [{}, {"dropout": 0.2}, {"cell_type": "lstm"}])
def test_the_number_of_threads_does_not_matter(params):
    one, two = (
        RNNClassifier(**TINY, **params, n_members=4, n_jobs=n_jobs).fit(X, LABELS)
        for n_jobs in (1, 2)
    )
    assert_array_equal(one.predict_proba(X), two.predict_proba(X))


def test_folds_in_threads_decide_the_same():
    windows = rng.normal(size=(120, 5, 2))
    y = windows[:, -1, 0] ** 2
    one, two = (
        RNNRegressor(**TINY, n_jobs=n_jobs).fit(windows, y) for n_jobs in (1, 2)
    )
    assert one.validation_loss_curve_ == two.validation_loss_curve_
    assert_array_equal(one.predict(windows), two.predict(windows))


@pytest.mark.parametrize("sequences", [X, RAGGED], ids=["dense", "ragged"])
def test_outputs_per_step(sequences):
    y = [row[:, 0] for row in sequences]
    y = np.stack(y) if sequences is X else y
    model = RNNRegressor(**TINY, n_members=2, return_sequences=True)
    mean, deviation = model.fit(sequences, y).predict(sequences, return_std=True)
    first, second = (member.predict(sequences) for member in model.members_)
    for parts in zip(first, second, mean, deviation, strict=True):
        assert_allclose(parts[2], (parts[0] + parts[1]) / 2, rtol=1e-12)
        assert_allclose(parts[3], np.abs(parts[0] - parts[1]) / 2, atol=1e-12)
    assert np.isfinite(model.score(sequences, y))


@pytest.mark.parametrize("params", [{}, {"patch_size": 2, "pooling": "concat"}])
def test_streams_and_forecasts_follow_the_ensemble(params):
    series = np.cumsum(rng.normal(size=(8, 7, 1)), axis=1)
    model = RNNRegressor(**TINY, **params, n_members=3, window_norm=None)
    model.fit(series[:, :-1], series[:, -1, 0])
    stream = model.stream()
    answers = [stream.predict_step(x_t) for x_t in series[0]]
    assert_allclose(answers[-1], model.predict(series[:1])[0], rtol=1e-9)
    again = pickle.loads(pickle.dumps(stream))
    assert_array_equal(again.predict_step([1.0]), stream.predict_step([1.0]))
    ahead = model.forecast(series[:, :-1], 3)
    assert_allclose(ahead[:, 0], model.predict(series[:, :-1]), rtol=1e-9)
    window = np.concatenate([series[:, 1:-1], ahead[:, :1, None]], axis=1)
    assert_allclose(ahead[:, 1], model.predict(window), rtol=1e-9)


def test_a_classifier_streams_mean_probabilities():
    model = RNNClassifier(**TINY, n_members=3).fit(X, LABELS)
    stream = model.stream(X[:, :-1])
    found = stream.predict_proba_step(X[:, -1])
    assert_allclose(found, model.predict_proba(X), rtol=1e-9)


def test_networks_that_carry_their_state_forecast_together():
    waves = np.sin(np.arange(40) / 3 + np.arange(5)[:, None])
    model = RNNRegressor(**TINY, n_members=2, return_sequences=True)
    model.fit(waves[:, :-1, None], waves[:, 1:])
    ahead = model.forecast(waves[:, :10, None], 2)
    assert_allclose(ahead[:, 0], model.predict(waves[:, :10, None])[:, -1], rtol=1e-9)


def test_training_continues_for_all_members():
    model = RNNRegressor(**TINY, n_members=2, warm_start=True).fit(X, Y)
    before = [member.predict(X) for member in model.members_]
    model.fit(X, Y)
    assert [member.n_iter_ for member in model.members_] == [6, 6]
    for member, earlier in zip(model.members_, before, strict=True):
        assert np.abs(member.predict(X) - earlier).max() > 1e-6
    copy = pickle.loads(pickle.dumps(model))
    assert_array_equal(copy.predict(X), model.predict(X))
    assert_array_equal(copy.fit(X, Y).predict(X), model.fit(X, Y).predict(X))
    model.partial_fit(X, Y)
    assert [member.n_iter_ for member in model.members_] == [10, 10]
    message = (
        "The 'n_members' parameter must stay as it was while training continues with "
        "warm_start or partial_fit. Got 3 after 2. Set warm_start=False and call fit."
    )
    with raises(ValueError, message):
        model.set_params(n_members=3).fit(X, Y)


def test_each_member_stops_early_by_itself():
    model = RNNClassifier(
        **TINY | {"max_epochs": 30}, n_members=3, early_stopping=True, patience=1
    ).fit(X, LABELS, sample_weight=np.arange(30))
    epochs = [member.best_epoch_ for member in model.members_]
    assert len(epochs) == 3
    assert all(1 <= epoch <= 30 for epoch in epochs)
    assert model.best_epoch_ == epochs[0]


def test_members_are_estimators_of_one_network():
    model = RNNClassifier(**TINY, n_members=3).fit(X, LABELS)
    member = model.members_[2]
    assert member.n_members == len(member.members_) == 1
    assert member.module_ is not model.module_
    assert model.members_[0].module_ is model.module_
    assert pickle.loads(pickle.dumps(member)).score(X, LABELS) == member.score(
        X, LABELS
    )
    assert model.hidden_states(X)[0].shape == (30, 6, 4)


def test_deviations_need_an_ensemble():
    message = (
        "return_std=True needs an ensemble. Got n_members=1. Set n_members, for "
        "example to 5, and call fit."
    )
    with raises(ValueError, message):
        RNNRegressor(**TINY).fit(X, Y).predict(X, return_std=True)


class Fails(Callback):
    """Raises an error in the second epoch."""

    def on_epoch_end(self, net, **kwargs):
        if len(net.history) == 2:
            raise RuntimeError("in a callback")


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_an_error_in_a_member_ends_the_fit_and_its_threads(n_jobs):
    before = threading.active_count()
    model = RNNRegressor(
        **TINY | {"max_epochs": 10_000}, n_members=3, n_jobs=n_jobs, callbacks=[Fails()]
    )
    with pytest.raises(RuntimeError, match="in a callback"):
        model.fit(X, Y)
    assert not hasattr(model, "net_")
    assert threading.active_count() == before


def test_jobs_that_run_are_asked_to_stop_and_others_are_cancelled():
    running, stopped, started = threading.Event(), threading.Event(), []

    def wait():
        started.append("wait")
        running.set()
        assert stopped.wait(10)

    def fail():
        running.wait(10)
        raise KeyboardInterrupt

    def late():
        started.append("late")
        assert stopped.wait(10)

    with pytest.raises(KeyboardInterrupt):
        run_jobs([fail, wait, *[late] * 5], 2, stopped.set)
    assert "wait" in started
    assert len(started) <= 3  # a thread may have begun one when the other failed


def test_an_error_ends_jobs_that_were_started_before():
    running, stopped = threading.Event(), threading.Event()

    def wait():
        running.set()
        assert stopped.wait(10)

    def fail():
        running.wait(10)
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        run_jobs([wait, fail], 2, stopped.set)


def test_an_ensemble_shows_one_progress_bar(capsys):
    RNNRegressor(**TINY, n_members=3, verbose=1, ar_order=0).fit(X, Y)
    errors = capsys.readouterr().err
    assert errors.count("RNNRegressor: 100%") == 1


def test_the_deviation_of_predictions_has_their_precision():
    rows = np.random.default_rng(0).normal(size=(30, 4)).astype(np.float32)
    model = RNNRegressor(3, n_members=2, max_epochs=2, random_state=0)
    model.fit(rows, rows[:, 0] * rows[:, 1])
    mean, std = model.predict(rows, return_std=True)
    assert mean.dtype == std.dtype == np.float32
