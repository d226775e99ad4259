"""Test errors of other libraries with default parameters, on the data of study_data.py.

In the environment of requirements.txt, from the root of the repository:

    OMP_NUM_THREADS=1 python benchmarks/study_peers.py
    ... [--data NAME ...] [--contender NAME ...] [--limit SECONDS] [--json FILE]

Each contender is trained on the training rows only, or on the part of the series that
they come from, and evaluated on the same test values: by the error rate for labels, and
by the mean absolute error in the units of the data for numbers and forecasts. There are
three seeds; for the digits, the seed also determines the split. Seconds are of
processor time.

Network inputs, and numeric targets, are standardised with statistics of the training
rows. The forecasting libraries receive the series and scale it as their guides
recommend. None uses more past values for a forecast than a window has, and none is
refitted. The recurrent estimators of sktime and aeon require sequences of equal length,
and are left out of forecasts; aeon has no recurrent classifier.

A contender that would take longer than `--limit` seconds per fit, by its estimate, is
reported as skipped; one that raises an error, as failed.
"""

import argparse
import contextlib
import importlib
import json
import logging
import os
import tempfile
import time
import warnings
from collections.abc import Callable, Collection
from dataclasses import dataclass
from functools import partial

import numpy as np
import study_data

SEEDS = (0, 1, 2)
SEASONS = {
    "airline": 12,
    "wineind": 12,
    "taylor": 48,
    "co2": 52,
    "ausbeer": 4,
    "elnino": 12,
}

# Data in standardised units.


@dataclass
class Prepared:
    """Rows as lists of standardised (n_timesteps, n_features) float32 arrays.

    `y` holds class codes, or standardised numbers; `decode` is the inverse.
    """

    X: list
    X_test: list
    y: np.ndarray
    decode: Callable
    n_outputs: int

    @classmethod
    def of(cls, task):
        steps = np.concatenate(list(task.X_train))
        mean, scale = steps.mean(axis=0), steps.std(axis=0)
        scale[scale == 0] = 1
        X, X_test = (
            [((x - mean) / scale).astype(np.float32) for x in rows]
            for rows in (task.X_train, task.X_test)
        )
        if task.kind == "labels":
            classes, y = np.unique(task.y_train, return_inverse=True)
            return cls(X, X_test, y, classes.__getitem__, len(classes))
        mean, scale = task.y_train.mean(), task.y_train.std()
        y = ((task.y_train - mean) / scale).astype(np.float32)
        return cls(X, X_test, y, lambda numbers: numbers * scale + mean, 1)


def series_of(task):
    """Return the series from which the windows of a forecasting task come."""
    return np.concatenate([task.X_train[0, :, 0], task.y_train, task.y_test])


# Models without a network.


def naive(task, seed):
    return task.X_test[:, -1, 0]


def seasonal_naive(task, seed):
    return task.X_test[:, -SEASONS[task.name], 0]


def constant(task, seed):
    if task.kind == "numbers":
        return np.full(len(task.y_test), task.y_train.mean())
    classes, counts = np.unique(task.y_train, return_counts=True)
    return np.full(len(task.y_test), classes[counts.argmax()])


def ridge(task, seed):
    from sklearn.linear_model import Ridge

    return _scaled_fit(Ridge(), *_windows(task), task.y_train)


def ridge_on_differences(task, seed):
    from sklearn.linear_model import Ridge

    X, X_test = _windows(task)
    increments = task.y_train - X[:, -1]
    predicted = _scaled_fit(Ridge(), np.diff(X), np.diff(X_test), increments)
    return X_test[:, -1] + predicted


def mlp(task, seed):
    from sklearn.compose import TransformedTargetRegressor
    from sklearn.neural_network import MLPClassifier, MLPRegressor
    from sklearn.preprocessing import StandardScaler

    if task.kind == "labels":
        model = MLPClassifier(random_state=seed)
    else:
        model = TransformedTargetRegressor(
            MLPRegressor(random_state=seed), transformer=StandardScaler()
        )
    return _scaled_fit(model, *_windows(task), task.y_train)


def _windows(task):
    """Return the flattened training and test rows in float64."""
    rows = (task.X_train, task.X_test)
    return (X.reshape(len(X), -1).astype(np.float64) for X in rows)


def _scaled_fit(model, X, X_test, y):
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    return make_pipeline(StandardScaler(), model).fit(X, y).predict(X_test)


# A bare torch loop, and skorch with the same module.


def last_state_network():
    """Return a module class: a layer of 64 units, and a head on its last state."""
    import torch

    class LastState(torch.nn.Module):
        def __init__(self, cell, n_features, n_outputs):
            super().__init__()
            self.rnn = getattr(torch.nn, cell)(n_features, 64, batch_first=True)
            self.head = torch.nn.Linear(64, n_outputs)

        def forward(self, X, lengths):
            states, _ = self.rnn(X)  # (N, L, 64)
            return self.head(states[torch.arange(len(X)), lengths - 1])

    return LastState


def padded(rows):
    """Return ragged rows as one zero-padded tensor, and their lengths."""
    import torch

    X = [torch.from_numpy(x) for x in rows]
    lengths = torch.tensor([len(x) for x in X])
    return torch.nn.utils.rnn.pad_sequence(X, batch_first=True), lengths


def torch_loop(task, seed, cell):
    import torch

    torch.manual_seed(seed)
    data = Prepared.of(task)
    (X, lengths), y = padded(data.X), torch.from_numpy(data.y)
    if task.kind == "labels":
        loss_of = torch.nn.CrossEntropyLoss()
    else:
        loss_of, y = torch.nn.MSELoss(), y[:, None]

    model = last_state_network()(cell, X.shape[2], data.n_outputs)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    for _ in range(60):
        for batch in torch.randperm(len(X)).split(32):
            loss = loss_of(model(X[batch], lengths[batch]), y[batch])
            optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()

    with torch.no_grad():
        outputs = model(*padded(data.X_test)).numpy()
    labels = task.kind == "labels"
    return data.decode(outputs.argmax(axis=1) if labels else outputs[:, 0])


def stock_skorch(task, seed):
    import torch
    from skorch import NeuralNetClassifier, NeuralNetRegressor

    torch.manual_seed(seed)
    data = Prepared.of(task)
    X, X_test = (
        dict(zip(("X", "lengths"), padded(rows), strict=True))
        for rows in (data.X, data.X_test)
    )
    parameters = dict(
        module=last_state_network(),
        module__cell="GRU",
        module__n_features=X["X"].shape[2],
        module__n_outputs=data.n_outputs,
        verbose=0,
    )
    if task.kind == "labels":
        net = NeuralNetClassifier(criterion=torch.nn.CrossEntropyLoss, **parameters)
        return data.decode(net.fit(X, data.y).predict(X_test))
    net = NeuralNetRegressor(**parameters)
    return data.decode(net.fit(X, data.y[:, None]).predict(X_test)[:, 0])


# Classifiers and regressors of time series: (n_samples, n_features, n_timesteps).


def sktime_estimator(task, seed, module, classifier, regressor=None, **parameters):
    name = classifier if task.kind == "labels" else regressor
    package = "classification" if task.kind == "labels" else "regression"
    module = importlib.import_module(f"sktime.{package}.deep_learning.{module}")
    return _panel_fit(getattr(module, name)(random_state=seed, **parameters), task)


def aeon_rnn(task, seed):
    os.environ.setdefault("KERAS_HOME", os.getcwd())  # instead of the home folder
    from aeon.regression.deep_learning import RecurrentRegressor

    return _panel_fit(RecurrentRegressor(random_state=seed), task)


def nearest_by_dtw(task, seed):
    """Predict the label of the nearest series by dynamic time warping, window .1."""
    from aeon.classification.distance_based import KNeighborsTimeSeriesClassifier

    data = Prepared.of(task)
    X, X_test = ([x.T for x in rows] for rows in (data.X, data.X_test))
    if isinstance(task.X_train, np.ndarray):
        X, X_test = np.stack(X), np.stack(X_test)
    model = KNeighborsTimeSeriesClassifier(
        distance="dtw", distance_params={"window": 0.1}
    )
    return data.decode(model.fit(X, data.y).predict(X_test))


def minirocket(task, seed):
    from aeon.classification.convolution_based import MiniRocketClassifier

    return _panel_fit(MiniRocketClassifier(random_state=seed), task)


def _panel_fit(model, task):
    data = Prepared.of(task)
    X, X_test = (np.stack(rows).transpose(0, 2, 1) for rows in (data.X, data.X_test))
    return data.decode(np.asarray(model.fit(X, data.y).predict(X_test)).ravel())


# Forecasting libraries: one step ahead on the series, without refitting.

LIGHTNING = dict(
    accelerator="cpu",
    logger=False,
    enable_checkpointing=False,
    enable_progress_bar=False,
    enable_model_summary=False,
)


def darts(task, seed, model, **parameters):
    from darts import TimeSeries, models
    from darts.dataprocessing.transformers import Scaler

    window, n_test = task.X_train.shape[1], len(task.y_test)
    series = TimeSeries.from_values(series_of(task).astype(np.float32))
    scaler = Scaler().fit(series[:-n_test])
    if model == "RNNModel":  # it must exceed the window
        parameters["training_length"] = max(24, window + 1)
    else:
        parameters["output_chunk_length"] = 1
    model = getattr(models, model)(
        input_chunk_length=window,
        random_state=seed,
        pl_trainer_kwargs=LIGHTNING,
        **parameters,
    )
    model.fit(scaler.transform(series[:-n_test]))
    forecasts = model.historical_forecasts(
        scaler.transform(series),
        start=-n_test,
        start_format="position",
        forecast_horizon=1,
        retrain=False,
    )
    return scaler.inverse_transform(forecasts).values().ravel()


def neuralforecast_lstm(task, seed):
    import pandas as pd
    from neuralforecast import NeuralForecast
    from neuralforecast.models import LSTM

    y = series_of(task)
    table = pd.DataFrame({"unique_id": "series", "ds": np.arange(len(y)), "y": y})
    window = task.X_train.shape[1]
    model = LSTM(h=1, input_size=window, random_seed=seed, **LIGHTNING)
    forecasts = NeuralForecast(models=[model], freq=1).cross_validation(
        table, n_windows=None, test_size=len(task.y_test), step_size=1, refit=False
    )
    return forecasts.sort_values("ds")["LSTM"].to_numpy()


def skforecast(task, seed, regressor, differentiation=None):
    import pandas as pd
    from skforecast.model_selection import TimeSeriesFold, backtesting_forecaster
    from skforecast.recursive import ForecasterRecursive
    from sklearn.compose import TransformedTargetRegressor
    from sklearn.linear_model import Ridge
    from sklearn.neural_network import MLPRegressor
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    model = Ridge() if regressor == "ridge" else MLPRegressor(random_state=seed)
    # Scaled after differencing, since transformer_y would scale before it.
    model = TransformedTargetRegressor(model, transformer=StandardScaler())
    y = pd.Series(series_of(task))
    forecaster = ForecasterRecursive(
        make_pipeline(StandardScaler(), model),
        # Differences need one value more, and all models get the same window.
        lags=task.X_train.shape[1] - (differentiation or 0),
        differentiation=differentiation,
    )
    folds = TimeSeriesFold(
        steps=1,
        initial_train_size=len(y) - len(task.y_test),
        differentiation=differentiation,
        refit=False,
        verbose=False,
    )
    _, forecasts = backtesting_forecaster(
        forecaster,
        y,
        cv=folds,
        metric="mean_absolute_error",
        n_jobs=1,
        show_progress=False,
    )
    return forecasts["pred"].to_numpy()


@dataclass
class Contender:
    """A model, the kinds of task it supports, and its estimated time.

    `predict(task, seed)` returns the test predictions. `seconds(N, L)` estimates, from
    fits of a few epochs, the time for N rows of L time steps, if it can be long.
    """

    predict: Callable
    kinds: Collection
    library: str = "sklearn"
    ragged: bool = False
    only: Collection = tuple(study_data.EVERYTHING)
    seconds: Callable = lambda N, L: 0

    def applies(self, task):
        fits = self.ragged or isinstance(task.X_train, np.ndarray)
        return task.kind in self.kinds and task.name in self.only and fits


def _darts_seconds(N, L):
    return N * (0.02 + 0.0004 * L)


ALL = ("labels", "numbers", "forecast")
CONTENDERS = {
    "constant": Contender(constant, ("labels", "numbers"), ragged=True),
    "naive": Contender(naive, ["forecast"]),
    "seasonal naive": Contender(seasonal_naive, ["forecast"], only=SEASONS),
    "ridge": Contender(ridge, ("numbers", "forecast")),
    "ridge on differences": Contender(ridge_on_differences, ["forecast"]),
    "mlp": Contender(mlp, ALL),
    "torch rnn": Contender(partial(torch_loop, cell="RNN"), ALL, "torch", ragged=True),
    "torch gru": Contender(partial(torch_loop, cell="GRU"), ALL, "torch", ragged=True),
    "torch lstm": Contender(
        partial(torch_loop, cell="LSTM"), ALL, "torch", ragged=True
    ),
    "skorch gru": Contender(stock_skorch, ALL, "skorch", ragged=True),
    "sktime rnn": Contender(
        partial(
            sktime_estimator,
            module="rnn",
            classifier="SimpleRNNClassifierTorch",
            regressor="SimpleRNNRegressorTorch",
        ),
        ("labels", "numbers"),
        "sktime",
        seconds=lambda N, L: N * (0.24 + 0.0046 * L),
    ),
    "sktime gru": Contender(
        partial(sktime_estimator, module="gru", classifier="GRUClassifier"),
        ["labels"],
        "sktime",
        seconds=lambda N, L: N * (0.03 + 0.0014 * L),
    ),
    "sktime gru-fcn": Contender(
        partial(
            sktime_estimator,
            module="gru",
            classifier="GRUFCNNClassifier",
            hidden_dim=64,  # these two parameters have no default
            gru_layers=1,
        ),
        ["labels"],
        "sktime",
    ),
    "sktime lstm-fcn": Contender(
        partial(
            sktime_estimator,
            module="lstmfcn",
            classifier="LSTMFCNClassifierTorch",
            regressor="LSTMFCNRegressorTorch",
        ),
        ("labels", "numbers"),
        "sktime",
        seconds=lambda N, L: N * (0.44 + 0.064 * L),
    ),
    "aeon 1-NN DTW": Contender(nearest_by_dtw, ["labels"], "aeon", ragged=True),
    "aeon MiniRocket": Contender(minirocket, ["labels"], "aeon"),
    "aeon lstm": Contender(aeon_rnn, ["numbers"], "aeon"),
    "darts block rnn": Contender(
        partial(darts, model="BlockRNNModel"),
        ["forecast"],
        "darts",
        seconds=_darts_seconds,
    ),
    "darts block rnn, instance norm": Contender(
        partial(darts, model="BlockRNNModel", use_reversible_instance_norm=True),
        ["forecast"],
        "darts",
        seconds=_darts_seconds,
    ),
    "darts rnn": Contender(
        partial(darts, model="RNNModel"),
        ["forecast"],
        "darts",
        seconds=_darts_seconds,
    ),
    "neuralforecast lstm": Contender(
        neuralforecast_lstm,
        ["forecast"],
        "neuralforecast",
        seconds=lambda N, L: 3.6 * L,
    ),
    "skforecast ridge": Contender(
        partial(skforecast, regressor="ridge"), ["forecast"], "skforecast"
    ),
    "skforecast mlp": Contender(
        partial(skforecast, regressor="mlp"), ["forecast"], "skforecast"
    ),
    "skforecast mlp on differences": Contender(
        partial(skforecast, regressor="mlp", differentiation=1),
        ["forecast"],
        "skforecast",
    ),
}


@contextlib.contextmanager
def quiet():
    """Suppress all output, and files in the working directory."""
    with contextlib.ExitStack() as stack:
        nowhere = stack.enter_context(open(os.devnull, "w"))
        stack.enter_context(contextlib.redirect_stdout(nowhere))
        stack.enter_context(contextlib.redirect_stderr(nowhere))
        kept = os.dup(2)  # TensorFlow writes to the file descriptor
        stack.callback(os.close, kept)
        stack.callback(os.dup2, kept, 2)
        os.dup2(nowhere.fileno(), 2)
        stack.enter_context(warnings.catch_warnings())
        warnings.simplefilter("ignore")
        stack.callback(logging.disable, logging.root.manager.disable)
        logging.disable(logging.CRITICAL)
        stack.enter_context(contextlib.chdir(stack.enter_context(_folder())))
        yield


def _folder():
    return tempfile.TemporaryDirectory(ignore_cleanup_errors=True)


def error_of(predicted, task):
    predicted = np.asarray(predicted)
    if predicted.shape != task.y_test.shape:
        raise ValueError(f"{predicted.shape} predictions for {task.y_test.shape}.")
    if task.kind == "labels":
        return float(np.mean(predicted != task.y_test))
    error = float(np.abs(predicted - task.y_test).mean())
    if not np.isfinite(error):
        raise ValueError("The predictions are not finite.")
    return error


def outcome(contender, task, seed, limit):
    """Return the error and the seconds, or the reason why there are none."""
    rows = task.X_train
    estimate = contender.seconds(len(rows), max(map(len, rows)))
    if estimate > limit:
        return {"error": None, "skipped": f"takes about {estimate:.0f} s"}
    try:
        with quiet():
            importlib.import_module(contender.library)
            began = time.process_time()
            error = error_of(contender.predict(task, seed), task)
            return {"error": error, "seconds": round(time.process_time() - began, 2)}
    except Exception as failure:
        return {"error": None, "failed": f"{type(failure).__name__}: {failure}"}


def summary(outcomes):
    """Return the mean and range of the errors, or the reason for none."""
    for reason in ("failed", "skipped"):
        if reasons := [row[reason] for row in outcomes if reason in row]:
            return f"{reason}: {' '.join(reasons[0].split())[:90]}"
    errors = [row["error"] for row in outcomes]
    columns = f"{np.mean(errors):11.4f} {min(errors):11.4f} {max(errors):11.4f}"
    return f"{columns} {np.median([row['seconds'] for row in outcomes]):8.1f}"


def main():
    names = list(study_data.EVERYTHING)
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--data", nargs="+", choices=names, default=names)
    parser.add_argument(
        "--contender", nargs="+", choices=CONTENDERS, default=list(CONTENDERS)
    )
    parser.add_argument("--limit", type=float, default=90, metavar="SECONDS")
    parser.add_argument("--json", type=argparse.FileType("w"), metavar="FILE")
    options = parser.parse_args()

    print(f"{'data set':22s}{'contender':32s}{'mean':>11s}{'lowest':>12s}", end="")
    print(f"{'highest':>12s}  seconds")
    for name in options.data:
        task = study_data.load(name)
        for label in options.contender:
            contender, outcomes = CONTENDERS[label], []
            if not contender.applies(task):
                continue
            for seed in SEEDS:
                part = study_data.digits(seed) if name == "digits" else task
                outcomes.append(outcome(contender, part, seed, options.limit))
                if options.json:
                    row = {"data": name, "contender": label, "seed": seed}
                    print(json.dumps(row | outcomes[-1]), file=options.json, flush=True)
            print(f"{name:22s}{label:32s}{summary(outcomes)}", flush=True)


if __name__ == "__main__":
    main()
