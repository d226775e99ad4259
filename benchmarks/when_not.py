"""Where a recurrent network is the wrong tool, and where it is the right one.

`OMP_NUM_THREADS=1 python benchmarks/when_not.py` compares the default estimators with a
linear model and with boosted trees, which receive the same sequences as flat rows. All
have their default parameters. It prints test scores, means of three seeds, and the
seconds that the processor spends on a fit, medians. The scores are the accuracy for
classes and R squared for numbers; higher is better.
"""

import time

import numpy as np
from sklearn.datasets import load_breast_cancer, load_diabetes, load_digits
from sklearn.ensemble import (
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
)
from sklearn.linear_model import LogisticRegression, RidgeCV
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skrnn import RNNClassifier, RNNRegressor, make_windows
from skrnn.datasets import load_airline_passengers

SEEDS = range(3)


def split(X, y, seed, test_size=0.3):
    """Return a random split."""
    return train_test_split(X, y, test_size=test_size, random_state=seed)


def by_time(X, y, n_test):
    """Return a split by time."""
    return X[:-n_test], X[-n_test:], y[:-n_test], y[-n_test:]


def diabetes(seed):
    """A table: ten measurements of a patient, whose order means nothing."""
    return split(*load_diabetes(return_X_y=True), seed)


def breast_cancer(seed):
    """Another table, of thirty columns."""
    return split(*load_breast_cancer(return_X_y=True), seed)


def linear_series(seed):
    """A linear autoregressive process of order 2, in windows of 12."""
    rng, series = np.random.default_rng(seed), np.zeros(700)
    for t in range(2, 700):
        series[t] = 1.2 * series[t - 1] - 0.5 * series[t - 2] + rng.normal()
    return by_time(*make_windows(series[100:], window_size=12), 200)


def airline(seed):
    """Airline passengers, a year back, one month ahead: trend and season."""
    series = load_airline_passengers()["passengers"].to_numpy(float)
    return by_time(*make_windows(series, window_size=13), 48)


def total(seed):
    """The sum of twenty steps: no order, and linear."""
    X = np.random.default_rng(seed).normal(size=(400, 20))
    return split(X, X.sum(axis=1), seed)


def digits(seed):
    """Images of digits, row by row; pixels are always at the same place."""
    X, y = load_digits(return_X_y=True)
    return split(X.reshape(-1, 8, 8), y, seed)


def chaotic_series(seed):
    """The logistic map in windows of 12: nonlinear, but of the last step only."""
    series = np.empty(700)
    series[0] = 0.1 + 0.01 * seed
    for t in range(1, 700):
        series[t] = 3.9 * series[t - 1] * (1 - series[t - 1])
    return by_time(*make_windows(series[100:], window_size=12), 200)


def event_anywhere(seed):
    """Whether the rise comes before the fall, in noise, anywhere in 60 steps."""
    rng = np.random.default_rng(seed)
    X = 0.5 * rng.normal(size=(600, 60))
    y = rng.integers(2, size=600)
    for row, label in zip(X, y, strict=True):
        first, second = np.sort(rng.choice(np.arange(4, 54, 6), 2, replace=False))
        row[first : first + 4] += 2.0 if label else -2.0
        row[second : second + 4] += -2.0 if label else 2.0
    return split(X, y, seed)


def parity(seed):
    """Whether the number of ones among twelve bits is odd."""
    X = np.random.default_rng(seed).integers(2, size=(3000, 12)).astype(float)
    return split(X, X.sum(axis=1).astype(int) % 2, seed)


TASKS = [
    (diabetes, "a table of 10 columns"),
    (breast_cancer, "a table of 30 columns, classes"),
    (total, "a sum, in no order"),
    (linear_series, "a linear series"),
    (airline, "airline passengers"),
    (digits, "digits by rows, classes"),
    (chaotic_series, "a chaotic series"),
    (event_anywhere, "which event came first, classes"),
    (parity, "parity of twelve bits, classes"),
]


def models_for(y, seed):
    """Return the models to compare, by name."""
    if np.issubdtype(y.dtype, np.integer):
        linear = make_pipeline(StandardScaler(), LogisticRegression(max_iter=2000))
        trees, network = HistGradientBoostingClassifier, RNNClassifier
    else:
        linear = make_pipeline(StandardScaler(), RidgeCV(np.logspace(-3, 3, 13)))
        trees, network = HistGradientBoostingRegressor, RNNRegressor
    return {
        "linear": linear,
        "boosted trees": trees(random_state=seed),
        "rnn": network(random_state=seed),
        "gru": network(cell_type="gru", random_state=seed),
    }


def main():
    """Print the table."""
    names = list(models_for(np.zeros(1), 0))
    heads = [f"{name}, seconds" for name in names]
    print(f"| | {' | '.join(names)} | {' | '.join(heads)} |")
    print("|---" * (1 + 2 * len(names)) + "|")
    for cell in ("rnn", "gru"):  # compile before anything is timed
        for cls, y in ((RNNRegressor, np.arange(60.0)), (RNNClassifier, [0, 1] * 30)):
            cls(cell_type=cell, max_epochs=1).fit(np.eye(60), y)
    for task, name in TASKS:
        scores = {model: [] for model in names}
        seconds = {model: [] for model in names}
        for seed in SEEDS:
            X_train, X_test, y_train, y_test = task(seed)
            for model, estimator in models_for(y_train, seed).items():
                is_network = model in ("rnn", "gru")
                rows = [
                    X if is_network else X.reshape(len(X), -1)
                    for X in (X_train, X_test)
                ]
                began = time.process_time()
                estimator.fit(rows[0], y_train)
                seconds[model].append(time.process_time() - began)
                scores[model].append(estimator.score(rows[1], y_test))
        cells = [f"{np.mean(scores[model]):.3f}" for model in names]
        cells += [f"{np.median(seconds[model]):.2f}" for model in names]
        print(f"| {name} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
