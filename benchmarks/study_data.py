"""The real data sets of the study of defaults, loaded from installed packages.

Each loader returns a `Task`: rows to train on and rows to test on. Nothing is
downloaded; `benchmarks/requirements.txt` names the packages.
"""

import warnings
from dataclasses import dataclass

import numpy as np

from skrnn import make_windows


@dataclass
class Task:
    """One data set, split as its source splits it or in time.

    `X` is 3-D or a ragged list, float32; `y` labels or numbers. A forecasting task
    has windows of `series` and, in y, the value that follows.
    """

    name: str
    kind: str  # 'labels', 'numbers' or 'forecast'
    X_train: object
    y_train: np.ndarray
    X_test: object
    y_test: np.ndarray
    source: str
    unit: object = None  # takes predictions to the units errors are measured in

    def error(self, predicted):
        """Return the share of wrong labels, or the mean absolute error."""
        if self.kind == "labels":
            return float(np.mean(np.asarray(predicted) != self.y_test))
        truth = self.y_test
        if self.unit is not None:
            predicted, truth = self.unit(predicted), self.unit(truth)
        return float(np.abs(predicted - truth).mean())

    def part(self, rows, test_rows):
        """Return a task within the training rows, to choose by."""

        def take(rows):
            X = self.X_train
            return X[rows] if isinstance(X, np.ndarray) else [X[i] for i in rows]

        return Task(
            self.name,
            self.kind,
            take(rows),
            self.y_train[rows],
            take(test_rows),
            self.y_train[test_rows],
            self.source,
            self.unit,
        )


def _sequences(X):
    """Return aeon's (channels, time) sequences as (time, channels), float32."""
    X = [np.ascontiguousarray(x.T, dtype=np.float32) for x in X]
    return np.stack(X) if len({len(x) for x in X}) == 1 else X


def _aeon(name, kind):
    from aeon.datasets import load_classification, load_regression

    load = load_classification if kind == "labels" else load_regression
    (X, y), (X_test, y_test) = (load(name, split=part) for part in ("train", "test"))
    if kind == "numbers":
        y, y_test = (np.asarray(part, dtype=np.float64) for part in (y, y_test))
    X, X_test = _sequences(X), _sequences(X_test)
    return Task(name, kind, X, y, X_test, y_test, "aeon")


def _forecast(name, series, window_size, n_test, source):
    """Cut a series into windows and the value after each; the last are for test."""
    series = np.asarray(series, dtype=np.float64)
    X, y = make_windows(series[:, None], window_size=window_size, horizon=1)
    y = y.ravel()
    return Task(
        name, "forecast", X[:-n_test], y[:-n_test], X[-n_test:], y[-n_test:], source
    )


def digits(seed=0):
    """1797 images of digits as 8 rows of 8 pixels, 70 % to train on."""
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    data = load_digits()
    X, X_test, y, y_test = train_test_split(
        data.images.astype(np.float32), data.target, test_size=0.3, random_state=seed
    )
    return Task("digits", "labels", X, y, X_test, y_test, "scikit-learn")


def airline():
    """Monthly passengers, 13 values of history, the last 48 months for test."""
    from skrnn.datasets import load_airline_passengers

    series = load_airline_passengers()["passengers"].to_numpy()
    return _forecast("airline", series, 13, 48, "skrnn")


def airline_logs():
    """The same in logarithms, with the month that follows each step as 12 flags."""
    from skrnn.datasets import load_airline_passengers

    frame = load_airline_passengers()
    logs = np.log(frame["passengers"].to_numpy(dtype=float))
    month = np.eye(12)[frame.index.month % 12]  # January after December
    X, y = make_windows(np.column_stack([logs, month]), logs, window_size=13)
    name = "airline, logs and month"
    return Task(name, "forecast", X[:-48], y[:-48], X[-48:], y[-48:], "skrnn", np.exp)


def taylor():
    """Half-hourly demand for electricity, 48 values, the last fifth for test."""
    from pmdarima.datasets import load_taylor

    series = load_taylor()
    return _forecast("taylor", series, 48, len(series) // 5, "pmdarima")


def wineind():
    """Monthly sales of wine in Australia, 13 values, the last 48 for test."""
    from pmdarima.datasets import load_wineind

    return _forecast("wineind", load_wineind(), 13, 48, "pmdarima")


def ausbeer():
    """Quarterly beer production in Australia, 9 values, the last 48 for test."""
    from pmdarima.datasets import load_ausbeer

    series = np.asarray(load_ausbeer(), dtype=float)
    return _forecast("ausbeer", series[~np.isnan(series)], 9, 48, "pmdarima")


def sunspots():
    """Monthly sunspots since 1749, 24 values, the last fifth for test."""
    from pmdarima.datasets import load_sunspots

    series = load_sunspots()
    return _forecast("sunspots", series, 24, len(series) // 5, "pmdarima")


def co2():
    """Weekly carbon dioxide on Mauna Loa, 53 values, the last fifth for test.

    Missing weeks are interpolated.
    """
    import statsmodels.datasets

    series = statsmodels.datasets.co2.load_pandas().data["co2"].interpolate()
    return _forecast("co2", series, 53, len(series) // 5, "statsmodels")


def elnino():
    """Monthly temperature of the sea off Peru, 13 values, the last fifth for test."""
    import statsmodels.datasets

    table = statsmodels.datasets.elnino.load_pandas().data.drop(columns="YEAR")
    series = table.to_numpy().ravel()
    return _forecast("elnino", series, 13, len(series) // 5, "statsmodels")


# Looked at, within their training rows, while the defaults were chosen.
STUDY = {
    "digits": digits,
    "JapaneseVowels": lambda: _aeon("JapaneseVowels", "labels"),
    "ItalyPowerDemand": lambda: _aeon("ItalyPowerDemand", "labels"),
    "BasicMotions": lambda: _aeon("BasicMotions", "labels"),
    "Covid3Month": lambda: _aeon("Covid3Month", "numbers"),
    "airline": airline,
    "taylor": taylor,
    "sunspots": sunspots,
    "co2": co2,
    "wineind": wineind,
}

# The same data in other words, for the libraries that take more than one column.
VARIANTS = {"airline, logs and month": airline_logs}

# Not looked at before the defaults stood.
APART = {
    "PickupGestureWiimoteZ": lambda: _aeon("PickupGestureWiimoteZ", "labels"),
    "CardanoSentiment": lambda: _aeon("CardanoSentiment", "numbers"),
    "ausbeer": ausbeer,
    "elnino": elnino,
}

TABLES = {
    "Labels: share of wrong labels": [
        "digits",
        "JapaneseVowels",
        "ItalyPowerDemand",
        "BasicMotions",
    ],
    "Numbers and forecasts: mean absolute error": [
        "Covid3Month",
        "airline",
        "airline, logs and month",
        "taylor",
        "sunspots",
        "co2",
        "wineind",
    ],
    "Not looked at while the defaults were chosen": list(APART),
}


def load(name):
    """Return the task of that name."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the packages, about themselves
        return (STUDY | VARIANTS | APART)[name]()
