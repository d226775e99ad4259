"""Write the model files in this folder, and what the models predict.

The files must load for ever: run this only to add files of a new format version, under
new names, and never replace one that was released.

    python tests/data/models/make_models.py
"""

import json
from pathlib import Path

import numpy as np

from skrnn import BiRNNClassifier, RNNClassifier, RNNRegressor

FOLDER = Path(__file__).parent
PARAMS = {"max_epochs": 2, "batch_size": 8, "random_state": 0}
SMALL = PARAMS | {"optimizer": "sgd"}  # has no state


def make_data():
    """Return sequences and a number for each."""
    X = np.random.default_rng(0).normal(size=(12, 4, 2))
    return X, X[:, -1, 0] + 0.5 * X[:, :, 1].sum(axis=1)


def make_models():
    """Return `{name of the file: fitted model}`."""
    X, y = make_data()
    models = {
        "regressor_1": RNNRegressor(3, cell_type="gru", **PARAMS),
        "classifier_1": RNNClassifier(2, cell_type="lstm", pooling="mean", **SMALL),
        "birnn_classifier_1": BiRNNClassifier((2, 3), class_weight={1: 2.0}, **SMALL),
    }
    labels = np.array(["low", "middle", "high"])[np.digitize(y, [-1, 1])]
    targets = [y, labels, (y > 0).astype(int)]
    for model, target in zip(models.values(), targets, strict=True):
        model.fit(X, target)
    return models


if __name__ == "__main__":
    X, _ = make_data()
    for name, model in make_models().items():
        model.save_model(FOLDER / f"{name}.safetensors")
        predict = getattr(model, "predict_proba", model.predict)
        content = {"X": X.tolist(), "prediction": predict(X).tolist()}
        (FOLDER / f"{name}.json").write_text(json.dumps(content), encoding="utf-8")
