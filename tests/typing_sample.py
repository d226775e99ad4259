"""What users write, for `test_types.py`: mypy must refuse the marked lines only.

Nothing here is called.
"""

from pathlib import Path
from typing import Any, assert_type

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from sklearn.preprocessing import StandardScaler

import skrnn
from skrnn import datasets, metrics

Array = NDArray[Any]


def estimators(
    X: NDArray[np.float64], y: NDArray[np.float64], labels: list[str]
) -> None:
    skrnn.RNNRegressor(
        (32, 16),
        cell_type="gru",
        pooling="attention",
        patch_size="auto",
        loss="quantile",
        quantiles=(0.1, 0.9),
        window_norm=None,
        target_feature=[0, 1],
        ar_order=4,
        optimizer=torch.optim.SGD,
        optimizer_params={"momentum": 0.9},
        lr_schedule=None,
        early_stopping="auto",
        device=torch.device("cpu"),
        random_state=np.random.RandomState(0),
        callbacks=[skrnn.Checkpoint(Path("folder"), every_n_epochs=2)],
    )
    regressor = skrnn.RNNRegressor(hidden_size=8).fit(X, y, X_val=X[:2], y_val=y[:2])
    assert_type(regressor, skrnn.RNNRegressor)
    assert_type(regressor.predict(X), Array)
    mean, std = regressor.predict(X, return_std=True)
    assert_type(mean, Array)
    assert_type(std, Array)
    assert_type(regressor.predict_quantiles(X), Array)
    assert_type(regressor.forecast(X, 3), Array)
    assert_type(regressor.score(X, y), float)
    assert_type(regressor.n_iter_, int)
    assert_type(regressor.loss_curve_, list[float])
    assert_type(regressor.attention_weights(X), Array)
    assert_type(regressor.stream(X).predict_step([1.0]), Array)
    regressor.save_model("model.safetensors")
    skrnn.load_model(Path("model.safetensors")).save_model("again.safetensors")

    classifier = skrnn.RNNClassifier(class_weight={"a": 2.0}).fit(X, labels)
    classifier.partial_fit([X[0], X[1]], ["a", "b"], classes=["a", "b"])
    assert_type(classifier, skrnn.RNNClassifier)
    assert_type(classifier.predict_proba(pd.DataFrame(X)), Array)
    output, _ = classifier.hidden_states([[0.0, 1.0], [1.0, 0.0, 2.0]])
    assert_type(output, Array)
    skrnn.BiRNNClassifier(validation_strategy="last", class_weight="balanced")

    skrnn.RNNRegressor(cell_type="grru")  # refused
    skrnn.RNNRegressor(loss="mse")  # refused
    skrnn.RNNRegressor(window_norm="first")  # refused
    skrnn.RNNRegressor(hidden_size=8.5)  # refused
    skrnn.RNNRegressor(hidden_sizes=8)  # refused
    skrnn.RNNRegressor(8, 2)  # refused
    skrnn.RNNClassifier(pooling="first")  # refused
    skrnn.RNNClassifier(early_stopping="auto")  # refused
    skrnn.RNNClassifier(loss="huber")  # refused
    skrnn.BiRNNClassifier(bidirectional=True)  # refused
    regressor.fit(X)  # refused
    regressor.predict(X, return_std=True).mean()  # refused
    regressor.predict_quantiles(X, 3)  # refused
    regressor.forecast(X, n_steps="3")  # refused
    regressor.save_model(3)  # refused


def transformers(X: NDArray[np.float64], frame: pd.DataFrame) -> None:
    assert_type(skrnn.SlidingWindow(12, padding="zeros").fit(X).transform(X), Array)
    assert_type(skrnn.EachStep(StandardScaler()).fit_transform([X, X[:3]]), Array)
    assert_type(
        skrnn.ToSequences(2, static_columns=["age"]).fit(frame).transform(frame), Array
    )
    assert_type(
        skrnn.TokenEncoder(analyzer="char").fit_transform(["one", "two"]), Array
    )
    skrnn.TokenOneHotEncoder(dtype=np.float64, vocabulary=["a", "b"])
    windows, targets = skrnn.make_windows(X, window_size=3, horizon=[1, 2])
    assert_type(windows, Array)
    assert_type(targets, Array)
    sequences = skrnn.sequences_from_frame(frame, group="machine", target="y")
    assert_type(sequences.X, Array)

    skrnn.SlidingWindow(padding="edges")  # refused
    skrnn.SlidingWindow("12")  # refused
    skrnn.TokenEncoder(handle_unknown="drop")  # refused
    skrnn.TokenEncoder(dtype=np.float64)  # refused
    skrnn.make_windows(X)  # refused
    skrnn.sequences_from_frame(frame, group="id", target_per="row")  # refused


def functions() -> None:
    X, y = datasets.make_sine_waves(3, period=(10.0, 20.0), random_state=0)
    assert_type(X, NDArray[np.float64])
    texts, _ = datasets.make_order_sentences(4)
    assert_type(texts, list[str])
    _, _, groups = datasets.make_order_sentences(4, return_groups=True)
    groups.sum()
    assert_type(metrics.step_accuracy_score(y, y, normalize=False), float)
    metrics.per_step("f1_macro")

    datasets.make_sine_waves(n_samples="3")  # refused
    datasets.make_binary_addition(4, 8)  # refused
    metrics.step_accuracy_score(y)  # refused
    metrics.per_step(3)  # refused
