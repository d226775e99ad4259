"""How many parts of the rows should judge a network beside its linear model?

    OMP_NUM_THREADS=1 python benchmarks/choose_trials.py

in the environment of requirements.txt, about ten minutes on one core. It looks at
training rows only: of each series the last fifth of these is held out and stands for
what comes after. A network with `ar_order` is trained on the rest, and again without
each of its last five tenths in turn. Every way to choose the share of the network from
these tenths is then judged by the rows held out: the mean absolute error, divided by
that of the linear start.
"""

import warnings

import numpy as np
import study_data

from skrnn import RNNRegressor, make_windows
from skrnn._training.linear_start import SHARES, share_worth_going

CELLS = ("rnn", "gru", "lstm")


def more_series():
    """Return further series, as `(name, values, window size)`."""
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
    """Yield `(name, X, y)`, windows of each series that a study may look at."""
    for name in ("airline", "wineind", "sunspots"):
        task = study_data.load(name)
        yield name, task.X_train.astype(np.float32), task.y_train
    for name, values, window_size in more_series():
        values = np.asarray(values, dtype=float)
        X, y = make_windows(values[:, None], window_size=window_size)
        yield name, X.astype(np.float32), y.ravel()


def losses_of(cell, X, y, train, held_out):
    """Return the losses of rows held out `(shares, rows)`, and the absolute errors."""
    model = RNNRegressor(
        cell_type=cell,
        window_norm="difference",
        ar_order=X.shape[1] - 1,
        early_stopping=False,
        random_state=0,
    ).fit(X[train], y[train])
    dataset = model._validation_set(model.net_, X[held_out], y[held_out])
    losses = model.net_.losses_by_share(dataset)
    return losses, np.sqrt(losses)  # one output, squared: the root is the error


def least(losses, _):
    """Return the share of least loss, without a margin."""
    return SHARES[losses.mean(axis=1).argmin()]


WAYS = {
    "one part, least loss": (1, least),
    "one part, shrunk": (1, share_worth_going),
    "three parts, least loss": (3, least),
    "three parts, shrunk": (3, share_worth_going),
    "five parts, least loss": (5, least),
    "five parts, shrunk": (5, share_worth_going),
    "all of the network": (1, lambda *_: 1.0),
}


def main():
    """Print a table."""
    warnings.simplefilter("ignore")  # of the packages, and of series like no other
    ratios = {way: [] for way in WAYS}
    for name, X, y in training_rows():
        n, reach = int(0.8 * len(X)), X.shape[1] - 1
        size = int(np.ceil(n / 10))
        for cell in CELLS:
            rows = np.arange(n)
            _, errors = losses_of(cell, X, y, rows, np.arange(n, len(X)))
            parts = []
            for k in range(5):
                stop = n - k * size
                apart = (rows < stop - size - reach) | (rows >= stop + reach)
                held_out = rows[stop - size : stop]
                parts.append(losses_of(cell, X, y, rows[apart], held_out)[0])
            for way, (n_parts, choose) in WAYS.items():
                losses = np.hstack(parts[:n_parts])
                share = choose(losses, np.ones(losses.shape[1]))
                of_share = errors[round(100 * share)].mean()
                ratios[way].append(of_share / errors[0].mean())
        print(name, len(X), "rows", flush=True)
    print("\n| | geometric mean | worst | more than 2 % worse |\n|---|---|---|---|")
    for way, found in ratios.items():
        print(
            f"| {way} | {np.exp(np.mean(np.log(found))):.3f} | {max(found):.3f} | "
            f"{sum(ratio > 1.02 for ratio in found)} of {len(found)} |"
        )


if __name__ == "__main__":
    main()
