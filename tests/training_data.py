"""Data, models and a callback that the tests of training share."""

import math
from copy import deepcopy

import numpy as np
import torch
from skorch.callbacks import Callback

from skrnn import RNNClassifier, RNNRegressor

N_ROWS, N_STEPS, N_FEATURES = 20, 4, 2
LENGTHS = np.random.default_rng(1).integers(1, N_STEPS + 1, N_ROWS)
TINY = dict(hidden_size=4, max_epochs=3, random_state=0)


def draw_X(ragged=False, seed=0):
    """Return sequences whose first value is a tenth of their row number."""
    X = np.random.default_rng(seed).normal(size=(N_ROWS, N_STEPS, N_FEATURES))
    X[:, 0, 0] = np.arange(N_ROWS) / 10
    if ragged:
        return [row[:length] for row, length in zip(X, LENGTHS, strict=True)]
    return X


def row_numbers(values):
    """Return the row numbers that the first values of a batch encode."""
    return np.rint(10 * values[:, 0, 0].cpu().numpy()).astype(int)


X = draw_X()
NOISE = np.random.default_rng(2).normal(size=(N_ROWS, 2))
TARGETS = {
    "squared_error": 5 + 3 * NOISE[:, 0],
    "absolute_error": 5 + 3 * NOISE[:, 0],
    "huber": 5 + 3 * NOISE[:, 0],
    "two outputs": [5, -50] + [3, 70] * NOISE,
    "binary": np.where(NOISE[:, 0] > 0, "b", "a"),
    "multi-class": np.array(["z", "x", "y"])[np.arange(N_ROWS) % 3],
    "multilabel": (NOISE > 0).astype(int),
}
y = TARGETS["squared_error"]


class Recorder(Callback):
    """Keeps the initial weights and the row numbers of every batch."""

    def on_train_begin(self, net, **kwargs):
        self.initial_ = deepcopy(net.module_.state_dict())
        self.batches_ = []  # of each epoch

    def on_epoch_begin(self, net, **kwargs):
        self.batches_.append([])

    def on_batch_begin(self, net, batch, training, **kwargs):
        if training:
            self.batches_[-1].append(row_numbers(batch[0]["values"]))


def callback_of(model, callback_class):
    """Return the callback that was used, which is a copy of the one passed."""
    used = [cb for _, cb in model.net_.callbacks_ if isinstance(cb, callback_class)]
    assert len(used) == 1
    return used[0]


# A step of the optimiser that moves no weight.
STILL = dict(optimizer="sgd", weight_decay=0.0, lr=1e-300, lr_schedule=None)


def make_model(task, **params):
    if task in ("binary", "multi-class", "multilabel"):
        return RNNClassifier(**(TINY | params))
    loss = "squared_error" if task == "two outputs" else task
    return RNNRegressor(**(TINY | {"loss": loss} | params))


def initial_weights(**params):
    return RNNRegressor(**(TINY | params | STILL)).fit(X, y).module_.state_dict()


def flatten(state):
    """Return all weights in a row; the scaling is no weight."""
    names = sorted(name for name in state if not name.startswith("input_"))
    return torch.cat([state[name].flatten() for name in names]).numpy()


def overfit(**params):
    """Fit noise, with other noise to validate on."""
    model = RNNRegressor(
        **TINY
        | dict(max_epochs=30, lr=0.03, lr_schedule=None, early_stopping=True)
        | params
    )
    return model.fit(X, y, X_val=draw_X(seed=5), y_val=y[::-1].copy())


def one_cycle(lr, progress):
    """Return the rate of a one-cycle schedule after a fraction of all steps."""
    if progress < 0.3:
        share = progress / 0.3
        return lr / 25 + (lr - lr / 25) * (1 - math.cos(math.pi * share)) / 2
    share = (progress - 0.3) / 0.7
    return lr + (lr / 250_000 - lr) * (1 - math.cos(math.pi * share)) / 2
