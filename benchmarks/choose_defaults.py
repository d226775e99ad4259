"""Effect of each default of the estimators, on the training rows of the study.

In the environment of requirements.txt, from the root of the repository:

    OMP_NUM_THREADS=1 python benchmarks/choose_defaults.py [CANDIDATE ...]

One parameter is changed at a time. A random quarter of the training rows is used for
validation. The test rows of the study and the held-out data sets are not used. Errors
are means over two cells and three seeds: error rates, and mean absolute errors divided
by that of the median. All fits of a column use the same splits. One candidate takes
about a minute on one core.
"""

import sys
import time

import numpy as np
import study_data
from sklearn.model_selection import train_test_split
from study_of_defaults import as_float32

from skrnn import RNNClassifier, RNNRegressor
from skrnn._nn import module as _modules

CELLS = ("rnn", "lstm")
SEEDS = (0, 1, 2)
DATA = [
    "ItalyPowerDemand",
    "BasicMotions",
    "JapaneseVowels",
    "digits",
    "Covid3Month",
]
LARGEST = 600  # rows of a data set, to limit the time

CANDIDATES = {
    "defaults": {},
    "lr=3e-3": {"lr": 3e-3},
    "lr=2e-2": {"lr": 2e-2},
    "max_epochs=30": {"max_epochs": 30},
    "max_epochs=120": {"max_epochs": 120},
    "batch_size=16": {"batch_size": 16},
    "batch_size=64": {"batch_size": 64},
    "hidden_size=32": {"hidden_size": 32},
    "hidden_size=128": {"hidden_size": 128},
    "num_layers=2": {"num_layers": 2},
    "dropout=0.2": {"dropout": 0.2},
    "weight_decay=0.01": {"weight_decay": 0.01},
    "weight_decay=0.1": {"weight_decay": 0.1},
    "weight_decay=0.5": {"weight_decay": 0.5},
    "optimizer='adam'": {"optimizer": "adam"},
    "lr_schedule=None": {"lr_schedule": None},
    "lr_schedule='cosine'": {"lr_schedule": "cosine"},
    "max_grad_norm=None": {"max_grad_norm": None},
    "pooling='mean'": {"pooling": "mean"},
    "early_stopping=True": {"early_stopping": True},
    "standardize=False": {"standardize": False},
    "torch's initial weights": {},
}


def splits(name):
    """Yield `(seed, task)` with validation rows taken from the training rows."""
    for seed in SEEDS:
        task = study_data.load(name)
        rows = np.arange(len(task.y_train))
        labels = task.y_train if task.kind == "labels" else None
        if len(rows) > LARGEST:
            rows, _ = train_test_split(
                rows, train_size=LARGEST, stratify=labels, random_state=0
            )
        train, valid = train_test_split(
            rows,
            test_size=0.25,
            stratify=None if labels is None else labels[rows],
            random_state=seed,
        )
        yield seed, task.part(train, valid)


def unit(task):
    """Return the error by which the errors of a task are divided."""
    if task.kind == "labels":
        return 1.0
    return task.error(np.full(len(task.y_test), np.median(task.y_train)))


def error(name, parameters):
    """Return the mean error of a candidate on one data set."""
    errors = []
    for seed, task in splits(name):
        cls = RNNClassifier if task.kind == "labels" else RNNRegressor
        for cell in CELLS:
            model = cls(cell_type=cell, random_state=seed, **parameters)
            model.fit(as_float32(task.X_train), task.y_train)
            errors.append(task.error(model.predict(as_float32(task.X_test))))
            errors[-1] /= unit(task)
    return np.mean(errors)


def main():
    """Print a table row for each candidate."""
    chosen = sys.argv[1:] or list(CANDIDATES)
    print("| | " + " | ".join(DATA) + " | mean | seconds |")
    print("|---" * (len(DATA) + 3) + "|")
    initialize = _modules.initialize_layer
    for name in chosen:
        if name == "torch's initial weights":
            _modules.initialize_layer = lambda layer, generator: (
                [
                    weight.data.uniform_(
                        -(layer.hidden_size**-0.5),
                        layer.hidden_size**-0.5,
                        generator=generator,
                    )
                    for weight in layer.parameters()
                ]
            )
        began = time.process_time()
        errors = [error(data, CANDIDATES[name]) for data in DATA]
        seconds = time.process_time() - began
        cells = " | ".join(f"{each:.3f}" for each in errors)
        print(
            f"| {name} | {cells} | {np.mean(errors):.4f} | {seconds:.0f} |", flush=True
        )
        _modules.initialize_layer = initialize


if __name__ == "__main__":
    main()
