"""mlflow: models saved in the format of skops, and losses sent to a run."""

import numpy as np
import pytest
from clients import small
from sklearn.datasets import load_digits
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from skorch.callbacks import MlflowLogger

from skrnn import TRUSTED_TYPES, EachStep, RNNClassifier

# mlflow warns of its own type hints, and of deprecated functions that it calls.
# mlflow and the packages that it imports warn of each other, more with each version;
# no test here is about a warning of ours.
pytestmark = [pytest.mark.interop, pytest.mark.filterwarnings("ignore")]

IMAGES, DIGITS = (part[:200] for part in load_digits(return_X_y=True))
IMAGES = IMAGES.reshape(200, 8, 8)
RAGGED = [image[: 5 + i % 4] for i, image in enumerate(IMAGES)]


@pytest.fixture
def mlflow():
    import mlflow  # it warns, and the filter above holds from here on

    return mlflow


@pytest.fixture
def run(mlflow, tmp_path):
    """Return an active run in a database of its own."""
    mlflow.set_tracking_uri(f"sqlite:///{tmp_path}/runs.db")
    mlflow.set_experiment("interop")
    with mlflow.start_run() as run:
        yield run


def fit_pipeline(X):
    scaled = EachStep(StandardScaler())
    return make_pipeline(scaled, small(RNNClassifier)).fit(X, DIGITS)


def save(mlflow, model, path, **options):
    options = {"skops_trusted_types": TRUSTED_TYPES} | options
    mlflow.sklearn.save_model(model, path, pip_requirements=["skrnn"], **options)


@pytest.mark.parametrize("X", [IMAGES, RAGGED], ids=["3-D", "ragged"])
def test_saved_pipeline_predicts_the_same(mlflow, tmp_path, X):
    pipeline = fit_pipeline(X)
    save(mlflow, pipeline, tmp_path / "model")

    loaded = mlflow.sklearn.load_model(str(tmp_path / "model"))
    np.testing.assert_array_equal(loaded.predict_proba(X), pipeline.predict_proba(X))
    assert (tmp_path / "model" / "model.skops").exists()


@pytest.mark.parametrize("X", [IMAGES, RAGGED], ids=["3-D", "ragged"])
def test_python_function_predicts_probabilities(mlflow, tmp_path, X):
    pipeline = fit_pipeline(X)
    save(mlflow, pipeline, tmp_path / "model", pyfunc_predict_fn="predict_proba")

    function = mlflow.pyfunc.load_model(str(tmp_path / "model"))
    np.testing.assert_array_equal(function.predict(X), pipeline.predict_proba(X))


def test_signature_of_3d_data_is_enforced(mlflow, tmp_path):
    pipeline = fit_pipeline(IMAGES)
    signature = mlflow.models.infer_signature(IMAGES, DIGITS)
    save(mlflow, pipeline, tmp_path / "model", signature=signature)

    function = mlflow.pyfunc.load_model(str(tmp_path / "model"))
    np.testing.assert_array_equal(function.predict(IMAGES), pipeline.predict(IMAGES))
    with pytest.raises(mlflow.MlflowException, match="Shape of input"):
        function.predict(IMAGES[:, :, :7])


def test_untrusted_types_are_refused_when_saving(mlflow, tmp_path):
    with pytest.raises(mlflow.MlflowException, match="references untrusted types"):
        save(mlflow, fit_pipeline(IMAGES), tmp_path / "model", skops_trusted_types=None)


def test_losses_of_all_epochs_reach_the_run(mlflow, run):
    logger = MlflowLogger(terminate_after_train=False)
    model = small(RNNClassifier, callbacks=[logger]).fit(IMAGES, DIGITS)

    history = mlflow.MlflowClient().get_metric_history(run.info.run_id, "train_loss")
    assert [metric.value for metric in history] == model.loss_curve_


def test_autolog_records_a_pipeline(mlflow, run):
    mlflow.sklearn.autolog(log_models=False)
    try:
        pipeline = fit_pipeline(IMAGES)
    finally:
        mlflow.sklearn.autolog(disable=True)

    data = mlflow.get_run(run.info.run_id).data
    assert data.params["rnnclassifier__hidden_size"] == "4"
    accuracy = pipeline.score(IMAGES, DIGITS)
    assert data.metrics["training_accuracy_score"] == pytest.approx(accuracy)
