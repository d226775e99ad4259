"""Small estimators, data to fit them on, and callbacks that observe a fit."""

import signal

import numpy as np
import pytest
import torch
from sklearn.base import clone
from skorch.callbacks import Callback

from skrnn import BiRNNClassifier, RNNClassifier, RNNRegressor

N_ROWS = 20
TINY = dict(hidden_size=4, max_epochs=3, batch_size=8, random_state=0)
# Steps of the optimiser that change no weight.
FROZEN = dict(optimizer="sgd", weight_decay=0.0, lr=1e-300, lr_schedule=None)

rng = np.random.default_rng(0)
X = rng.normal(size=(N_ROWS, 4, 2))
X[:, -1, 0] = np.arange(N_ROWS) / 10  # the last step identifies the row
RAGGED = [row[i % 4 :] for i, row in enumerate(X)]
y = rng.normal(5, 3, size=N_ROWS)
labels = np.array(["b", "a", "a", "c", "b"] * 4)
indicator = rng.integers(0, 2, size=(N_ROWS, 3))
WEIGHTS = rng.uniform(0.5, 2, size=N_ROWS)

# Estimators, with sequences and targets to fit them on: dense and ragged, each kind of
# target, pooling and precision, with and without dropout.
CASES = {
    "regressor": (RNNRegressor(**TINY, dropout=0.3), X, y),
    "float32": (
        RNNRegressor(**TINY, cell_type="gru", num_layers=2),
        [row.astype(np.float32) for row in RAGGED],
        np.c_[y, y**2],
    ),
    "classifier": (RNNClassifier(**TINY, cell_type="lstm"), RAGGED, labels),
    "multilabel": (RNNClassifier(**TINY, pooling="mean"), X, indicator),
    "bidirectional": (
        BiRNNClassifier(**TINY, num_layers=2, pooling="max", dropout=0.3),
        RAGGED,
        labels == "a",
    ),
}


def over_cases(*names):
    """Parametrise a test over some of `CASES`, or all."""
    return pytest.mark.parametrize("case", names or CASES)


def make_case(case, **params):
    model, sequences, target = CASES[case]
    return clone(model).set_params(**params), sequences, target


def tiny(cls=RNNRegressor, **params):
    return cls(**TINY | params)


def outputs(model, sequences):
    """Return probabilities if there are any, else predictions."""
    return getattr(model, "predict_proba", model.predict)(sequences)


def assert_same_model(one, other, sequences=X):
    np.testing.assert_array_equal(outputs(one, sequences), outputs(other, sequences))
    assert one.loss_curve_ == other.loss_curve_
    for name, value in one.module_.state_dict().items():
        assert torch.equal(value, other.module_.state_dict()[name]), name


def take(sequences, rows):
    """Return some rows of sequences, in the container that they are in."""
    if isinstance(sequences, np.ndarray):
        return sequences[rows]
    return [sequences[row] for row in rows]


class RecordBatches(Callback):
    """Keep the rows, targets and number of threads of every batch."""

    def on_train_begin(self, net, **kwargs):
        self.epochs_ = []
        self.targets_ = {True: [], False: []}
        self.n_threads_ = set()

    def on_epoch_begin(self, net, **kwargs):
        self.epochs_.append({True: [], False: []})

    def on_batch_begin(self, net, batch, training, **kwargs):
        rows = np.rint(batch[0]["values"][:, -1, 0].numpy() * 10).astype(int)
        self.epochs_[-1][training].append(rows.tolist())
        self.targets_[training] += batch[1].tolist()
        self.n_threads_.add(torch.get_num_threads())


def recorded(model):
    """Return the `RecordBatches` of a fitted model."""
    callbacks = (callback for _, callback in model.net_.callbacks_)
    return next(each for each in callbacks if isinstance(each, RecordBatches))


def rows_of(model, epoch=0):
    """Return the rows that a model was trained and validated on, as two lists."""
    batches = recorded(model).epochs_[epoch]
    return tuple([row for rows in batches[part] for row in rows] for part in batches)


class Fail(Callback):
    """Raise in the second batch of an epoch."""

    def __init__(self, epoch=2):
        self.epoch = epoch

    def on_batch_end(self, net, **kwargs):
        if len(net.history) == self.epoch and len(net.history[-1]["batches"]) == 2:
            raise RuntimeError("planned failure")


class Interrupt(Callback):
    """Press Ctrl-C in a hook of some epoch, counted from 1."""

    def __init__(self, hook, epoch):
        self.hook = hook
        self.epoch = epoch

    def press(self, net, hook):
        if hook == self.hook and len(net.history) == self.epoch:
            signal.raise_signal(signal.SIGINT)

    def on_train_begin(self, net, **kwargs):
        self.press(net, "train begin")

    def on_epoch_begin(self, net, **kwargs):
        self.press(net, "epoch begin")

    def on_epoch_end(self, net, **kwargs):
        self.press(net, "epoch end")

    def on_train_end(self, net, **kwargs):
        self.press(net, "train end")


class InterruptInBatch(Interrupt):
    """The same between the batches of an epoch."""

    def on_batch_end(self, net, training, **kwargs):
        self.press(net, "batch" if training else "validation batch")
