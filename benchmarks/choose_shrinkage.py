"""Number of folds and shrinkage for a network with a linear model.

    OMP_NUM_THREADS=1 python benchmarks/choose_shrinkage.py

in the environment of requirements.txt, about ten minutes on one core. Only training
rows are used. The last fifth of those of each series is held out as a test set. A
network with `ar_order` is trained on the rest, and four more times without one of its
last four fifths, the validation fold. Each way to choose the factor of the network's
contribution from these folds is evaluated on the held-out rows: the mean absolute
error, divided by that of the initial linear model.
"""

import math
import warnings

import numpy as np
import study_data

from skrnn import RNNRegressor, make_windows
from skrnn._regressor import MAX_FOLDS, VALIDATION_ROWS
from skrnn._training.judging import (
    FOLD_FRACTION,
    SHRINKAGE_FACTORS,
    shrinkage_factor,
)

CELLS = ("rnn", "gru", "lstm")


def more_series():
    """Return more series, as `(name, values, window size)`."""
    import pmdarima.datasets as pm
    import statsmodels.datasets as sm

    macro = sm.macrodata.load_pandas().data
    return [
        ("lynx", pm.load_lynx(), 11),
        ("woolyrnq", pm.load_woolyrnq(), 9),
        ("heartrate", pm.load_heartrate(), 13),
        ("nile", sm.nile.load_pandas().data["volume"], 13),
        ("real gdp", macro["realgdp"], 9),
        ("inflation", macro["infl"], 9),
        ("yearly sunspots", sm.sunspots.load_pandas().data["SUNACTIVITY"], 13),
    ]


def training_rows():
    """Yield `(name, X, y)`, the windows of the training rows of each series."""
    for name in ("airline", "wineind", "sunspots"):
        task = study_data.load(name)
        yield name, task.X_train.astype(np.float32), task.y_train
    for name, values, window_size in more_series():
        values = np.asarray(values, dtype=float)
        X, y = make_windows(values[:, None], window_size=window_size)
        yield name, X.astype(np.float32), y.ravel()


def losses_of(cell, X, y, train, held_out):
    """Return losses of held-out rows `(factors, rows)`, and absolute errors."""
    model = RNNRegressor(
        cell_type=cell,
        window_norm="difference",
        ar_order=X.shape[1] - 1,
        early_stopping=False,
        random_state=0,
    )
    # As `fit` trains the networks of its cross-validation.
    samples = model._check_samples(X, y, None, None, reset=True)
    encoder = model._new_encoder(samples, classes=None, one_epoch=False)
    plan = model._plan_fit(samples, encoder, None, continuing=False, one_epoch=False)
    losses = model._train_fold(samples, plan, train, held_out).losses
    return losses, np.sqrt(losses)  # squared error of one output


def lowest(losses, _):
    """Return the factor with the lowest loss, without shrinkage."""
    return SHRINKAGE_FACTORS[losses.mean(axis=1).argmin()]


def as_in_fit(n_rows):
    """Return the number of folds that `fit` trains."""
    return min(MAX_FOLDS, math.ceil(VALIDATION_ROWS / (FOLD_FRACTION * n_rows)))


WAYS = {
    "one fold, lowest loss": (lambda _: 1, lowest),
    "one fold, shrunk": (lambda _: 1, shrinkage_factor),
    "two folds, lowest loss": (lambda _: 2, lowest),
    "two folds, shrunk": (lambda _: 2, shrinkage_factor),
    "four folds, lowest loss": (lambda _: 4, lowest),
    "four folds, shrunk": (lambda _: 4, shrinkage_factor),
    "as in fit": (as_in_fit, shrinkage_factor),
    "factor 1": (lambda _: 1, lambda *_: 1.0),
}


def main():
    """Print the table."""
    warnings.simplefilter("ignore")  # of the packages, and about window_norm
    ratios = {way: [] for way in WAYS}
    for name, X, y in training_rows():
        n, reach = int(0.8 * len(X)), X.shape[1] - 1
        size = int(np.ceil(FOLD_FRACTION * n))
        for cell in CELLS:
            rows = np.arange(n)
            _, errors = losses_of(cell, X, y, rows, np.arange(n, len(X)))
            folds = []
            for k in range(4):
                stop = n - k * size
                train = (rows < stop - size - reach) | (rows >= stop + reach)
                held_out = rows[stop - size : stop]
                folds.append(losses_of(cell, X, y, rows[train], held_out)[0])
            for way, (n_folds, choose) in WAYS.items():
                losses = np.hstack(folds[: n_folds(n)])
                factor = choose(losses, np.ones(losses.shape[1]))
                error = errors[round(100 * factor)].mean()
                ratios[way].append(error / errors[0].mean())
        print(name, len(X), "rows", flush=True)
    print("\n| | geometric mean | worst | more than 2 % worse |\n|---|---|---|---|")
    for way, found in ratios.items():
        print(
            f"| {way} | {np.exp(np.mean(np.log(found))):.3f} | {max(found):.3f} | "
            f"{sum(ratio > 1.02 for ratio in found)} of {len(found)} |"
        )


if __name__ == "__main__":
    main()
