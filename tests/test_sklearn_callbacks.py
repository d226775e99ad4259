"""Callbacks of scikit-learn, which `set_callbacks` sets (1.9 and newer)."""

import pickle
import signal
import threading

import numpy as np
import pytest
from clients import INPUTS, NUMBERS, WORDS, small
from estimators import WEIGHTS, X, assert_same_model, labels, tiny, y
from messages import raises
from sklearn.base import clone
from sklearn.metrics import accuracy_score, r2_score
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.utils.estimator_checks import check_estimator

from skrnn import (
    BiRNNClassifier,
    Checkpoint,
    RNNClassifier,
    RNNRegressor,
    SlidingWindow,
    load_model,
)

callback = pytest.importorskip("sklearn.callback", reason="new in scikit-learn 1.9")

ALONE = dict(ar_order=0, early_stopping=False)  # one training, without folds
# Rows with something nonlinear to learn, of which two folds are held out.
ROWS = np.random.default_rng(0).normal(size=(120, 4))
PRODUCT = ROWS[:, 0] * ROWS[:, 1] + ROWS[:, 2]


class Record:
    """Keep the tasks in the order of their hooks, and what the last hook received."""

    def __init__(self):
        self.events, self.arguments = [], {}

    def setup(self, estimator, context):
        self.events.append("setup")

    def teardown(self, estimator, context):
        self.events.append("teardown")

    def on_fit_task_begin(self, estimator, context):
        self.events.append(("begin", *self.path(context)))

    def on_fit_task_end(self, estimator, context, *, X=None, y=None, metadata=None):
        self.events.append(("end", *self.path(context)))
        self.arguments = {"X": X, "y": y, "metadata": metadata}

    def path(self, context):
        names = []
        while context is not None:
            names.append(f"{context.task_name} {context.task_id}")
            context = context.parent
        return names[::-1]


class Predict(Record):
    """Keep the predictions of the estimator of each epoch."""

    def __init__(self, sequences):
        super().__init__()
        self.sequences, self.predictions = sequences, []

    def on_fit_task_end(self, estimator, context, *, fitted_estimator=None):
        if context.task_name == "epoch" and fitted_estimator is not None:
            self.predictions.append(fitted_estimator.predict(self.sequences))


class StopAfter(Record):
    """Ask to stop after some epoch of each training, counted from 1."""

    def __init__(self, epoch):
        super().__init__()
        self.epoch = epoch

    def on_fit_task_end(self, estimator, context):
        return context.task_name == "epoch" and context.task_id == self.epoch - 1


class Raise(Record):
    """Raise an error, or press Ctrl-C, at the end of some epoch."""

    def __init__(self, epoch, ctrl_c=False):
        super().__init__()
        self.epoch, self.ctrl_c = epoch, ctrl_c

    def on_fit_task_end(self, estimator, context):
        if context.task_name == "epoch" and context.task_id == self.epoch - 1:
            if self.ctrl_c:
                signal.raise_signal(signal.SIGINT)
            raise RuntimeError("planned failure")


MOMENTS = ("begin", "end")


class WithCallbacks(RNNClassifier):
    """Whose clones have callbacks, as those that scikit-learn's checks fit."""

    def __sklearn_clone__(self):
        copy = type(self)(**self.get_params(deep=False))
        return copy.set_callbacks(Record())


def events_of(*path, n_epochs):
    """Return the events of a task and its epochs."""
    inner = [
        (moment, *path, f"epoch {i}") for i in range(n_epochs) for moment in MOMENTS
    ]
    return [("begin", *path), *inner, ("end", *path)]


# -- tasks


@pytest.mark.parametrize("cls", [RNNRegressor, RNNClassifier, BiRNNClassifier])
def test_the_epochs_are_the_tasks_of_a_fit(cls):
    record = Record()
    params = ALONE if cls is RNNRegressor else {}
    tiny(cls, **params).set_callbacks(record).fit(X, labels if params == {} else y)

    assert record.events == ["setup", *events_of("fit 0", n_epochs=3), "teardown"]


def test_folds_and_the_training_are_tasks_with_epochs():
    record = Record()
    tiny(n_jobs=1).set_callbacks(record).fit(ROWS, PRODUCT)

    assert record.events == [
        "setup",
        ("begin", "fit 0"),
        *events_of("fit 0", "fold 0", n_epochs=3),
        *events_of("fit 0", "fold 1", n_epochs=3),
        *events_of("fit 0", "training 2", n_epochs=3),
        ("end", "fit 0"),
        "teardown",
    ]


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_members_are_tasks_with_epochs(n_jobs):
    record = Record()
    model = tiny(n_members=2, n_jobs=n_jobs, **ALONE).set_callbacks(record).fit(X, y)

    assert len(model.members_) == 2
    expected = [
        *events_of("fit 0", "member 0", n_epochs=3),
        *events_of("fit 0", "member 1", n_epochs=3),
    ]
    assert sorted(record.events[2:-2]) == sorted(expected)
    for member in (0, 1):  # the order within each
        of_member = [
            event for event in record.events[2:-2] if event[2][-1] == str(member)
        ]
        assert of_member == events_of("fit 0", f"member {member}", n_epochs=3)


def test_hooks_receive_what_fit_received():
    record = Record()
    tiny(**ALONE).set_callbacks(record).fit(X, y, WEIGHTS)

    assert record.arguments["X"] is X
    assert record.arguments["y"] is y
    assert list(record.arguments["metadata"]) == ["sample_weight"]
    assert record.arguments["metadata"]["sample_weight"] is WEIGHTS

    tiny(**ALONE).set_callbacks(record).fit(X, y)
    assert record.arguments["metadata"] is None


def test_partial_fit_calls_no_hooks():
    record = Record()
    tiny().set_callbacks(record).partial_fit(X, y)

    assert record.events == []


def test_without_callbacks_no_hook_is_called():
    record = Record()
    tiny(**ALONE).set_callbacks(record).set_callbacks().fit(X, y)

    assert record.events == []


# -- what a fit learns


@pytest.mark.parametrize("cls", [RNNRegressor, RNNClassifier])
def test_training_is_compiled_and_the_same_with_callbacks(cls):
    target = y if cls is RNNRegressor else labels
    model = tiny(cls).set_callbacks(Record(), Predict(X)).fit(X, target)

    plain = tiny(cls).fit(X, target)
    assert model.engine_ == plain.engine_
    assert_same_model(model, plain)


def test_the_fitted_estimator_of_an_epoch_is_that_of_a_fit_of_so_many_epochs():
    params = dict(lr_schedule=None, **ALONE)
    predict = Predict(X)
    tiny(**params).set_callbacks(predict).fit(X, y)

    assert len(predict.predictions) == 3
    for n_epochs, found in enumerate(predict.predictions, start=1):
        model = (
            tiny(
                **params,
            )
            .set_params(max_epochs=n_epochs)
            .fit(X, y)
        )
        np.testing.assert_array_equal(found, model.predict(X))


def test_the_fitted_estimator_of_the_last_epoch_is_shrunk_as_the_result_is():
    predict = Predict(ROWS)
    shrinking = small(max_epochs=30).set_callbacks(predict).fit(ROWS, PRODUCT)
    whole = small(max_epochs=30, early_stopping=False).fit(ROWS, PRODUCT)

    np.testing.assert_array_equal(predict.predictions[-1], shrinking.predict(ROWS))
    assert shrinking.loss_curve_ == whole.loss_curve_
    assert not np.allclose(shrinking.predict(ROWS), whole.predict(ROWS))


def test_a_fitted_estimator_is_a_member_of_an_ensemble():
    predict = Predict(X)
    model = tiny(n_members=2, n_jobs=1, **ALONE).set_callbacks(predict).fit(X, y)

    last = predict.predictions[2], predict.predictions[5]
    for found, member in zip(last, model.members_, strict=True):
        np.testing.assert_array_equal(found, member.predict(X))


def test_scoring_monitor_records_a_score_for_each_epoch():
    monitor = callback.ScoringMonitor(scoring="accuracy")
    model = tiny(RNNClassifier).set_callbacks(monitor).fit(X, labels)

    log = monitor.get_logs().data_as_pandas
    epochs = log[log["task_name"] == "epoch"]
    assert epochs["task_id"].tolist() == [0, 1, 2]
    score = accuracy_score(labels, model.predict(X))
    assert epochs["accuracy"].iloc[-1] == score
    assert log[log["task_name"] == "fit"]["accuracy"].tolist() == [score]


def test_scoring_monitor_scores_with_the_sample_weights():
    monitor = callback.ScoringMonitor(scoring="r2")
    model = tiny(**ALONE).set_callbacks(monitor).fit(X, y, WEIGHTS)

    log = monitor.get_logs().data_as_pandas
    score = r2_score(y, model.predict(X), sample_weight=WEIGHTS)
    assert log["r2"].iloc[-1] == score


@pytest.mark.parametrize("form", ["list", "frame", "3-D"])
def test_scoring_monitor_works_on_every_form_of_sequences(form):
    monitor = callback.ScoringMonitor(scoring="accuracy")
    small(RNNClassifier).set_callbacks(monitor).fit(INPUTS[form], WORDS)

    assert len(monitor.get_logs().data) == 3  # two epochs and the fit


# -- stopping


def test_a_callback_stops_training_after_an_epoch():
    model = tiny(**ALONE).set_callbacks(StopAfter(2)).fit(X, y)

    assert model.n_iter_ == 2
    plain = tiny(**ALONE, callbacks=None).set_callbacks(StopAfter(9)).fit(X, y)
    assert model.loss_curve_ == plain.loss_curve_[:2]


def test_the_epoch_that_a_callback_stops_after_may_be_the_best():
    model = tiny(early_stopping=True, ar_order=0, max_epochs=30)
    model.set_callbacks(StopAfter(4)).fit(X, y, X_val=X, y_val=y)

    assert model.n_iter_ == 4
    assert model.best_epoch_ == 1 + np.argmin(model.validation_loss_curve_) == 4


def test_early_stopping_ends_the_task_of_the_last_epoch():
    record = Record()
    model = tiny(early_stopping=True, patience=1, tol=1e9, max_epochs=9, ar_order=0)
    model.set_callbacks(record).fit(X, y)

    assert model.n_iter_ == 2
    assert record.events == ["setup", *events_of("fit 0", n_epochs=2), "teardown"]


def test_a_callback_stops_each_fold_and_the_training():
    model = tiny().set_callbacks(StopAfter(2)).fit(ROWS, PRODUCT)

    assert model.n_iter_ == len(model.validation_loss_curve_) == 2


def test_folds_that_stop_at_different_epochs_are_averaged_up_to_the_shortest():
    class StopFirstFold(Record):
        def on_fit_task_end(self, estimator, context):
            return self.path(context)[1:] == ["fold 0", "epoch 1"]

    model = tiny().set_callbacks(StopFirstFold()).fit(ROWS, PRODUCT)

    whole = tiny().fit(ROWS, PRODUCT)
    assert model.n_iter_ == 3
    assert model.validation_loss_curve_ == whole.validation_loss_curve_[:2]


# -- errors, Ctrl-C, and copies


def test_an_error_of_a_callback_leaves_the_fit_before_and_tears_down():
    model = tiny(**ALONE).fit(X, y)
    attributes = dict(vars(model))
    failing = Raise(2)
    model.set_callbacks(failing)
    with raises(RuntimeError, "planned failure"):
        model.fit(X, -y)

    assert failing.events[-1] == "teardown"
    assert vars(model.set_callbacks()) == attributes


@pytest.mark.usefixtures("ctrl_c_raises")
def test_ctrl_c_in_a_hook_ends_the_fit_and_tears_down():
    pressing = Raise(2, ctrl_c=True)
    model = tiny(**ALONE).set_callbacks(pressing)
    with pytest.raises(KeyboardInterrupt):
        model.fit(X, y)

    assert pressing.events[-1] == "teardown"
    assert vars(model.set_callbacks()) == model.get_params()


@pytest.mark.usefixtures("ctrl_c_raises")
def test_ctrl_c_in_a_hook_keeps_the_finished_epochs_with_warm_start():
    pressing = Raise(2, ctrl_c=True)
    model = tiny(warm_start=True, **ALONE).set_callbacks(pressing)
    with pytest.raises(KeyboardInterrupt):
        model.fit(X, y)

    assert model.n_iter_ == 2
    assert pressing.events[-1] == "teardown"


def test_warm_start_counts_the_epochs_of_each_call():
    record = Record()
    model = tiny(warm_start=True, **ALONE).set_callbacks(record)
    model.fit(X, y).fit(X, y)

    once = ["setup", *events_of("fit 0", n_epochs=3), "teardown"]
    assert record.events == once + once
    assert model.n_iter_ == 6


def test_a_resumed_fit_counts_the_epochs_before(tmp_path):
    params = dict(ALONE, callbacks=[Checkpoint(tmp_path, min_seconds=0)])
    with pytest.raises(RuntimeError):
        tiny(**params).set_callbacks(Raise(3)).fit(X, y)

    record = Record()
    model = tiny(**params).set_callbacks(record).fit(X, y)
    assert record.events[2:-2] == [
        ("begin", "fit 0", "epoch 2"),
        ("end", "fit 0", "epoch 2"),
    ]
    assert_same_model(model, tiny(**ALONE).fit(X, y))


def test_a_fitted_model_keeps_no_task():
    model = tiny(**ALONE).set_callbacks(Record()).fit(X, y)

    assert model.net_.task_ is None
    assert set(vars(model)) - {"_skl_callbacks"} == set(vars(tiny(**ALONE).fit(X, y)))


def test_pickles_and_clones_keep_callbacks(tmp_path):
    record = Record()
    model = tiny(**ALONE).set_callbacks(record).fit(X, y)
    model.set_callbacks(callback.ScoringMonitor(scoring="r2"), record)

    loaded = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(loaded.predict(X), model.predict(X))
    assert loaded.fit(X, y).n_iter_ == 3
    record.events.clear()
    clone(model).fit(X, y)
    assert record.events == ["setup", *events_of("fit 0", n_epochs=3), "teardown"]


def test_save_model_leaves_callbacks_out(tmp_path):
    model = tiny(**ALONE).set_callbacks(Record()).fit(X, y)
    model.save_model(tmp_path / "model")

    loaded = load_model(tmp_path / "model")
    assert set(vars(loaded)) == set(vars(model)) - {"_skl_callbacks"}
    assert_same_model(loaded, model)


@pytest.mark.slow
def test_scikit_learns_checks_pass_with_callbacks():
    failed = [
        result["check_name"]
        for result in check_estimator(WithCallbacks(), on_fail=None, on_skip=None)
        if result["status"] == "failed"
    ]
    assert failed == []


# -- scikit-learn's meta-estimators


def test_a_search_passes_its_callbacks_to_the_fits_of_networks():
    class Propagated(Record):
        max_propagation_depth = None

    record = Propagated()
    search = GridSearchCV(small(**ALONE), {"hidden_size": [2, 3]}, cv=2)
    search.set_callbacks(record).fit(INPUTS["list"], NUMBERS)

    epochs = [event for event in record.events if "epoch" in event[-1]]
    n_fits = 2 * 2 + 1
    assert len(epochs) == n_fits * 2 * 2  # two epochs begin and end
    assert record.events[0] == "setup"
    assert record.events.count("setup") == record.events.count("teardown") == 1


def test_a_progress_bar_shows_the_fits_of_a_search(capsys):
    pytest.importorskip("rich")
    search = GridSearchCV(small(**ALONE), {"hidden_size": [2, 3]}, cv=2)
    search.set_callbacks(callback.ProgressBar()).fit(INPUTS["list"], NUMBERS)

    bars = [line for line in capsys.readouterr().out.splitlines() if "RNN" in line]
    assert len(bars) >= 4
    assert all("100%" in line for line in bars[-5:])
    kinds = {type(thread).__name__ for thread in threading.enumerate()}
    assert "RichProgressMonitor" not in kinds  # the one that draws


def test_a_pipeline_passes_its_callbacks_on():
    record = Record()
    series = np.arange(20.0)[:, None]
    pipeline = make_pipeline(SlidingWindow(3), small(**ALONE).set_callbacks(record))
    pipeline.fit(series, series.ravel() ** 2)

    epochs = [event for event in record.events if event[-1].startswith("epoch")]
    assert len(epochs) == 4
    assert epochs[0][1:3] == ("fit 0", "fit 1")  # of the pipeline, then the network


def test_wrong_callbacks_are_refused():
    with raises(
        TypeError, "callbacks must be instances following the FitCallback protocol."
    ):
        RNNRegressor().set_callbacks("progress")
