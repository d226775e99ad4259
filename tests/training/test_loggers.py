"""skorch's loggers: TensorBoard and MLflow."""

import numpy as np
import pytest
from sklearn.model_selection import GridSearchCV
from skorch.callbacks import MlflowLogger, SacredLogger, TensorBoard
from training_data import TINY, X, y

from skrnn import RNNRegressor


class Writer:
    """Keeps what a writer of TensorBoard would write."""

    def __init__(self):
        self.scalars, self.is_closed = [], False

    def add_scalar(self, tag, scalar_value, global_step):
        self.scalars.append((tag, global_step, scalar_value))

    def close(self):
        self.is_closed = True

    def __deepcopy__(self, memo):
        return self


class Run:
    """Keeps what an experiment of Sacred would log."""

    def __init__(self):
        self.scalars = []

    def log_scalar(self, key, value, step=None):
        self.scalars.append((key, step, value))

    def __deepcopy__(self, memo):
        return self


class WithGraph(TensorBoard):
    """Uses the first batch, as skorch's documentation shows."""

    def on_batch_end(self, net, batch, **kwargs):
        super().on_batch_end(net, batch=batch, **kwargs)
        self.n_batches_ = getattr(self, "n_batches_", 0) + 1


class OpensWriter(TensorBoard):
    """Makes a writer for each fit, so that it can be cloned."""

    opened = []

    def on_train_begin(self, net, **kwargs):
        self.writer = Writer()
        self.opened.append(self.writer)


@pytest.mark.numba
def test_tensorboard_receives_the_losses_of_compiled_training():
    writer = Writer()
    model = RNNRegressor(**TINY, callbacks=[TensorBoard(writer)])
    model.fit(X, y, X_val=X, y_val=y)

    assert model.engine_ == "compiled"
    found = {(tag, step): value for tag, step, value in writer.scalars}
    for epoch in range(model.n_iter_):
        loss, valid = model.loss_curve_[epoch], model.validation_loss_curve_[epoch]
        assert found["Loss/train_loss", epoch + 1] == loss
        assert found["Loss/valid_loss", epoch + 1] == valid
    assert writer.is_closed


def test_a_search_fits_with_a_logger_that_makes_its_writer():
    OpensWriter.opened.clear()
    model = RNNRegressor(
        **TINY, callbacks=[OpensWriter(writer=None)], early_stopping=False
    )
    search = GridSearchCV(model, {"lr": [0.01, 0.02]}, cv=2).fit(X, y)

    assert len(OpensWriter.opened) == 2 * 2 + 1
    assert all(writer.is_closed for writer in OpensWriter.opened)
    last = OpensWriter.opened[-1].scalars
    losses = [value for tag, _, value in last if tag == "Loss/train_loss"]
    assert search.best_estimator_.loss_curve_ == losses


def test_what_cannot_be_copied_is_shared_and_the_rest_is_not():
    class Locked(Writer):
        def __deepcopy__(self, memo):
            raise TypeError("cannot pickle '_thread.lock' object")

    writer, ignored = Locked(), ["valid_loss"]
    logger = TensorBoard(writer, keys_ignored=ignored)
    model = RNNRegressor(**TINY, callbacks=[("board", logger)]).fit(X, y)

    (copied,) = (cb for name, cb in model.net_.callbacks_ if name == "board")
    assert copied is not logger
    assert copied.writer is writer
    assert copied.keys_ignored == ignored
    assert copied.keys_ignored is not ignored
    assert not hasattr(logger, "keys_ignored_")  # set by the fit


@pytest.mark.numba
@pytest.mark.parametrize(
    ("logs_batches", "engine"), [(False, "compiled"), (True, "torch")]
)
def test_a_logger_trains_by_torch_only_if_it_logs_batches(logs_batches, engine):
    run = Run()
    logger = SacredLogger(run, log_on_batch_end=logs_batches)
    model = RNNRegressor(**TINY, callbacks=[logger]).fit(X, y)

    assert model.engine_ == engine
    suffix = "_epoch" if logs_batches else ""
    losses = [value for key, _, value in run.scalars if key == f"train_loss{suffix}"]
    assert losses == model.loss_curve_
    batches = [key for key, _, _ in run.scalars if key == "train_loss_batch"]
    assert (
        len(batches)
        == logs_batches * model.n_iter_ * model.history_["train_batch_count"].iloc[0]
    )


def test_a_logger_of_ones_own_still_receives_batches():
    logger = WithGraph(Writer())
    model = RNNRegressor(**TINY, callbacks=[logger]).fit(X, y)

    (logger,) = (cb for _, cb in model.net_.callbacks_ if isinstance(cb, WithGraph))
    assert model.engine_ == "torch"
    assert logger.n_batches_ == model.history_["train_batch_count"].sum()


@pytest.mark.numba
def test_tensorboard_writes_a_file(tmp_path):
    tensorboard = pytest.importorskip("torch.utils.tensorboard")
    accumulator = pytest.importorskip(
        "tensorboard.backend.event_processing.event_accumulator"
    )
    writer = tensorboard.SummaryWriter(str(tmp_path))
    model = RNNRegressor(**TINY, callbacks=[TensorBoard(writer)]).fit(X, y)

    events = accumulator.EventAccumulator(str(tmp_path)).Reload()
    scalars = events.Scalars("Loss/train_loss")
    assert [each.step for each in scalars] == [1, 2, 3]
    np.testing.assert_allclose(
        [each.value for each in scalars], model.loss_curve_, rtol=1e-6
    )


@pytest.mark.slow  # imports mlflow
@pytest.mark.numba
@pytest.mark.filterwarnings("ignore")  # of the packages that mlflow uses
def test_mlflow_receives_the_losses_of_the_active_run(tmp_path):
    mlflow = pytest.importorskip("mlflow")
    mlflow.set_tracking_uri(f"sqlite:///{tmp_path / 'runs.db'}")
    experiment = mlflow.create_experiment("fits", artifact_location=tmp_path.as_uri())
    with mlflow.start_run(experiment_id=experiment) as run:
        logger = MlflowLogger(terminate_after_train=False, create_artifact=False)
        model = RNNRegressor(**TINY, callbacks=[logger]).fit(X, y)

    assert model.engine_ == "compiled"
    history = mlflow.MlflowClient().get_metric_history(run.info.run_id, "train_loss")
    assert [each.step for each in history] == [1, 2, 3]
    assert [each.value for each in history] == model.loss_curve_
