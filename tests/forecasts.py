"""Recursive forecasts of the airline passengers, computed without any other library."""

import numpy as np
from clients import small

from skrnn import make_windows
from skrnn.datasets import load_airline_passengers

PASSENGERS = load_airline_passengers()["passengers"].astype(float)
TRAIN, TEST = PASSENGERS.iloc[:120], PASSENGERS.iloc[120:]
N_LAGS = 12


def fit_on_windows(*series, **parameters):
    """Fit the small regressor on all windows of some series, `(n, 12, 1)`."""
    parts = [make_windows(one.to_numpy(), window_size=N_LAGS) for one in series]
    X = np.concatenate([X.reshape(len(X), N_LAGS, 1) for X, _ in parts])
    return small(**parameters).fit(X, np.concatenate([y for _, y in parts]))


def recursive_forecast(model, history, n_steps):
    """Append predictions to the history one by one, and return them."""
    values = list(history)
    for _ in range(n_steps):
        values.append(model.predict(np.reshape(values[-N_LAGS:], (1, N_LAGS, 1)))[0])
    return np.array(values[len(history) :])
