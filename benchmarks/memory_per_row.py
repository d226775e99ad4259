"""Memory that a fit allocates, for all and for each row; X itself is not counted.

`python benchmarks/memory_per_row.py` takes a minute. It fits 40,000 and 120,000 rows of
30 steps for one epoch, and prints the slope and the intercept of the peak.
"""

import tracemalloc
import warnings

import numpy as np

from skrnn import RNNClassifier, RNNRegressor

N_ROWS = 40_000, 120_000
SHARED = dict(hidden_size=4, max_epochs=1, random_state=0)
MODELS = {
    "RNNRegressor(target_feature=0)": RNNRegressor(**SHARED, target_feature=0),
    "RNNRegressor, the network alone": RNNRegressor(
        **SHARED, ar_order=0, window_norm=None, early_stopping=False
    ),
    "RNNClassifier": RNNClassifier(**SHARED),
}


def peak_of_fit(model, n_rows):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(n_rows, 30, 1)).astype(np.float32).cumsum(axis=1)
    y = X[:, -1, 0] + rng.normal(size=n_rows).astype(np.float32)
    if isinstance(model, RNNClassifier):
        y = (y > 0).astype(np.int64)
    tracemalloc.start()
    model.fit(X, y)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak


if __name__ == "__main__":
    warnings.simplefilter("ignore")  # of one epoch, which learns too little
    print("| model | for all rows, MB | for each row, bytes |\n|---|---|---|")
    for name, model in MODELS.items():
        low, high = (peak_of_fit(model, n) for n in N_ROWS)
        per_row = (high - low) / (N_ROWS[1] - N_ROWS[0])
        print(f"| {name} | {(low - per_row * N_ROWS[0]) / 1e6:.0f} | {per_row:.0f} |")
