"""Test errors of the estimators of skrnn with default parameters, on real data.

In the environment of requirements.txt, from the root of the repository:

    OMP_NUM_THREADS=1 python benchmarks/study_of_defaults.py --json ours.jsonl
    OMP_NUM_THREADS=1 python benchmarks/study_peers.py --json peers.jsonl
    python benchmarks/study_of_defaults.py --table ours.jsonl peers.jsonl

The first command takes about two hours on one core, with `--seeds 1` a third of that.
Errors are error rates for classification, and otherwise mean absolute errors in the
units of the data; each is the mean over three seeds. All parameters have their default
values, except those that a row names; X is float32. The last command prints the tables
of benchmarks/README.md from the results of the other two.
"""

import argparse
import json
import sys
import time
import warnings

import numpy as np
import study_data
from sklearn.linear_model import Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skrnn import BiRNNClassifier, RNNClassifier, RNNRegressor

SEEDS = (0, 1, 2)
CELLS = ("rnn", "gru", "lstm")
N_MEMBERS = 5
# Deterministic models, which run once.
DETERMINISTIC = {
    "constant",
    "naive",
    "seasonal naive",
    "ridge",
    "ridge on differences",
    "Ridge, difference",
    "skforecast ridge",
}


def ridge_on_differences(task):
    """Predict the next difference from those of a window, and from its other features.

    These are the inputs of the linear model of `ar_order`.
    """

    def inputs(X):
        return np.hstack([np.diff(X[:, :, 0], axis=1), X[:, -1, 1:]])

    last, last_test = task.X_train[:, -1, 0], task.X_test[:, -1, 0]
    increments = task.y_train - last
    spread = increments.std()
    model = make_pipeline(StandardScaler(), Ridge())
    model.fit(inputs(task.X_train), increments / spread)
    return last_test + spread * model.predict(inputs(task.X_test))


def forecasters(task):
    """Yield `(name, function from seed to estimator)` for a forecasting task."""
    for suffix, params in (("", {}), (" alone", {"window_norm": None, "ar_order": 0})):
        for cell in CELLS:
            yield (
                cell + suffix,
                lambda seed, cell=cell, params=params: RNNRegressor(
                    cell_type=cell, random_state=seed, target_feature=0, **params
                ),
            )


def contenders(task):
    """Yield `(name, function from seed to estimator)` for any task."""
    if task.kind == "forecast":
        yield from forecasters(task)
        return
    classes = {"numbers": [RNNRegressor], "labels": [RNNClassifier, BiRNNClassifier]}
    for cls in classes[task.kind]:
        prefix = "bidirectional " if cls is BiRNNClassifier else ""
        for cell in CELLS:
            yield (
                prefix + cell,
                lambda seed, cls=cls, cell=cell: cls(cell_type=cell, random_state=seed),
            )
    yield (
        f"gru, {N_MEMBERS} members",
        lambda seed: classes[task.kind][0](
            cell_type="gru", n_members=N_MEMBERS, random_state=seed
        ),
    )


def as_float32(X):
    """Return X in float32, for speed."""
    if isinstance(X, list):
        return [np.asarray(x, np.float32) for x in X]
    return np.asarray(X, np.float32)


def run(name, wanted, seeds=SEEDS):
    """Yield a record for every contender and seed on one data set."""
    task = study_data.load(name)
    if task.kind == "forecast" and (not wanted or "ridge" in wanted):
        error = task.error(ridge_on_differences(task))
        yield {"contender": "Ridge, difference", "seed": 0, "error": error}
    for contender, make in contenders(task):
        if wanted and contender not in wanted:
            continue
        for seed in seeds:
            part = study_data.digits(seed) if name == "digits" else task
            began = time.process_time()
            model = make(seed).fit(as_float32(part.X_train), part.y_train)
            seconds = time.process_time() - began
            error = part.error(model.predict(as_float32(part.X_test)))
            yield {
                "contender": contender,
                "seed": seed,
                "error": error,
                "seconds": round(seconds, 2),
            }


def table(records, names):
    """Return a Markdown table of mean errors, marked ¹ if seeds are missing."""
    errors = {}
    for record in records:
        key = record["contender"], record["data"]
        if record.get("error") is not None:
            errors.setdefault(key, []).append(record["error"])
    rows = list(dict.fromkeys(contender for contender, _ in errors))
    rows = [row for row in rows if any((row, name) in errors for name in names)]
    lines = ["| | " + " | ".join(names) + " |", "|---" * (len(names) + 1) + "|"]
    for row in rows:
        cells = []
        for name in names:
            of_seeds = errors.get((row, name), [])
            cell = f"{np.mean(of_seeds):.4g}" if of_seeds else ""
            incomplete = 0 < len(of_seeds) < len(SEEDS) and row not in DETERMINISTIC
            cells.append(cell + "¹" * incomplete)
        lines.append(f"| {row} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def read(paths):
    """Return the records of JSON lines files."""
    records = []
    for path in paths:
        with open(path, encoding="utf-8") as file:
            records += [json.loads(line) for line in file]
    return records


def main():
    """Run the study, or print its tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    everything = list(study_data.EVERYTHING)
    parser.add_argument("--data", nargs="+", choices=everything, default=everything)
    parser.add_argument("--contender", nargs="+", default=None)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--json", type=argparse.FileType("a"), default=None)
    parser.add_argument("--table", nargs="+", metavar="FILE")
    options = parser.parse_args()
    if options.table:
        records = read(options.table)
        for title, names in study_data.TABLES.items():
            print(f"### {title}\n\n{table(records, names)}\n")
        return
    warnings.simplefilter("ignore", FutureWarning)  # from the packages with the data
    for name in options.data:
        for record in run(name, options.contender, SEEDS[: options.seeds]):
            record = {"data": name, **record}
            print(record, flush=True)
            if options.json:
                options.json.write(json.dumps(record) + "\n")
                options.json.flush()


if __name__ == "__main__":
    sys.exit(main())
