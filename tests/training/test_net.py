"""Training as a whole against a bare torch loop, what it prints and when it fails."""

import re
from copy import deepcopy

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.utils.rnn import pack_sequence
from training_data import (
    N_FEATURES,
    N_ROWS,
    TARGETS,
    TINY,
    Recorder,
    X,
    callback_of,
    draw_X,
    make_model,
    one_cycle,
    y,
)

from skrnn import RNNClassifier, RNNRegressor

MODULES = {"rnn": nn.RNN, "gru": nn.GRU, "lstm": nn.LSTM}


labels = TARGETS["binary"]


WEIGHTS = np.random.default_rng(3).uniform(0.1, 3, N_ROWS)


def scaling(values, weights):
    """Return the weighted mean and deviation of each column."""
    mean = np.average(values, axis=0, weights=weights)
    return mean, np.sqrt(np.average((values - mean) ** 2, axis=0, weights=weights))


def encode(task, target, weights):
    """Return what the network is trained on, by the documentation."""
    if task in ("binary", "multi-class"):
        return torch.tensor(np.unique(target, return_inverse=True)[1])
    if task == "multilabel":
        return torch.tensor(target, dtype=torch.float64)
    mean, scale = scaling(target, weights)
    return torch.tensor((target - mean) / scale).reshape(N_ROWS, -1)


def row_losses(task, output, target):
    """Return the loss of each row by its formula."""
    if task == "multi-class":
        return output.logsumexp(1) - output[torch.arange(len(output)), target]
    if task in ("binary", "multilabel"):
        target = target.reshape(len(output), -1)
        return (torch.log1p(output.exp()) - target * output).mean(1)
    error = (output - target).abs()
    if task == "absolute_error":
        return error.mean(1)
    if task == "huber":
        return torch.where(error < 1, error**2 / 2, error - 0.5).mean(1)
    return (error**2).mean(1)


# -- a bare torch loop as the oracle of training
class BareNetwork(nn.Module):
    def __init__(self, cell_type, n_outputs):
        super().__init__()
        options = {"batch_first": True, "dtype": torch.float64}
        self.cell = MODULES[cell_type](N_FEATURES, TINY["hidden_size"], **options)
        self.head = nn.Linear(TINY["hidden_size"], n_outputs, dtype=torch.float64)

    def forward(self, rows):
        _, state = self.cell(pack_sequence(rows, enforce_sorted=False))
        return self.head(state[0][-1] if isinstance(state, tuple) else state[-1])


def train_in_bare_torch(model, task, rows, target, weights):
    """Repeat the training of a fitted model; return its loss curve and weights."""
    recorder = callback_of(model, Recorder)
    weights = np.ones(N_ROWS) if weights is None else weights
    mean, scale = scaling(
        np.concatenate(list(rows)), np.repeat(weights, [len(row) for row in rows])
    )
    rows = [torch.tensor((row - mean) / scale) for row in rows]
    target = encode(task, target, weights)
    weights = torch.tensor(weights)
    mean_weight = weights.mean()
    module = BareNetwork(model.cell_type, model.n_outputs_)
    module.load_state_dict(
        {
            name.replace("layers.0.", "cell."): value
            for name, value in recorder.initial_.items()
            if not name.startswith("input_")
        }
    )
    optimizer = torch.optim.Adam(module.parameters())
    n_steps = sum(map(len, recorder.batches_))
    step, loss_curve = 0, []
    for epoch in recorder.batches_:
        total = 0.0
        for batch in epoch:
            lr = one_cycle(model.lr, (step + 0.5) / n_steps)
            optimizer.param_groups[0]["lr"] = lr
            optimizer.zero_grad()
            output = module([rows[i] for i in batch])
            losses = row_losses(task, output, target[batch])
            loss = (weights[batch] * losses).sum() / (len(batch) * mean_weight)
            loss.backward()
            nn.utils.clip_grad_norm_(module.parameters(), model.max_grad_norm)
            optimizer.step()
            total += loss.item() * len(batch)
            step += 1
        loss_curve.append(total / N_ROWS)
    return loss_curve, module.state_dict()


# Each task once with weights, and sequences of equal length and ragged ones without;
# the full grid is slow.
QUICK_LOOPS = {
    ("squared_error", "weighted", "dense", "rnn"),
    ("absolute_error", "weighted", "ragged", "gru"),
    ("huber", "weighted", "dense", "lstm"),
    ("two outputs", "weighted", "ragged", "rnn"),
    ("binary", "weighted", "dense", "gru"),
    ("multi-class", "weighted", "ragged", "lstm"),
    ("multilabel", "weighted", "dense", "gru"),
    ("squared_error", "equal", "ragged", "lstm"),
    ("binary", "equal", "dense", "rnn"),
}
LOOPS = [
    pytest.param(
        task,
        WEIGHTS if weights == "weighted" else None,
        form == "ragged",
        cell_type,
        id=f"{task}-{weights}-{form}-{cell_type}",
        marks=()
        if (task, weights, form, cell_type) in QUICK_LOOPS
        else pytest.mark.slow,
    )
    for task in TARGETS
    for weights in ("equal", "weighted")
    for form in ("dense", "ragged")
    for cell_type in MODULES
]


@pytest.mark.parametrize(("task", "weights", "ragged", "cell_type"), LOOPS)
def test_training_is_that_of_a_bare_torch_loop(task, weights, ragged, cell_type):
    rows = draw_X(ragged)
    model = make_model(
        task,
        cell_type=cell_type,
        max_epochs=4,
        batch_size=8,  # 8, 8 and 4 rows
        optimizer="adam",
        weight_decay=0.0,
        lr=0.05,
        max_grad_norm=0.3,
        lr_schedule="one_cycle",
        callbacks=[Recorder()],
    ).fit(rows, TARGETS[task], weights)

    loss_curve, state = train_in_bare_torch(model, task, rows, TARGETS[task], weights)

    np.testing.assert_allclose(model.loss_curve_, loss_curve, rtol=1e-10)
    for name, value in state.items():
        found = model.module_.state_dict()[name.replace("cell.", "layers.0.")]
        torch.testing.assert_close(found, value, atol=1e-10, rtol=0)


# -- what is printed, and what goes wrong
def test_nothing_is_printed_by_default(capfd):
    for early_stopping in (False, True):
        model = RNNClassifier(**TINY, early_stopping=early_stopping)
        model.fit(X, labels).predict(X)
        model.partial_fit(X, labels).score(X, labels)

    assert capfd.readouterr() == ("", "")


def test_verbose_shows_a_bar_with_losses_on_standard_error(capfd):
    model = RNNRegressor(**TINY, verbose=1).fit(X, y, X_val=X, y_val=y)

    out, err = capfd.readouterr()
    last = err.rstrip().splitlines()[-1].split("\r")[-1]
    assert out == ""
    assert last.startswith("RNNRegressor: 100%")
    assert " 3/3 [" in last
    assert "epoch/s" in last or "s/epoch" in last
    assert f"loss={model.loss_curve_[-1]:.4g}" in last
    assert f"validation={model.validation_loss_curve_[-1]:.4g}" in last


def test_predict_prints_nothing_even_if_verbose(capfd):
    model = RNNRegressor(**TINY, verbose=1).fit(X, y)
    capfd.readouterr()

    model.predict(X)
    deepcopy(model)

    assert capfd.readouterr() == ("", "")


def test_non_finite_loss_names_epoch_and_remedy():
    model = RNNRegressor(
        **TINY | {"max_epochs": 9},
        nonlinearity="relu",
        optimizer="sgd",
        lr=1e200,
        lr_schedule=None,
        max_grad_norm=None,
        batch_size=N_ROWS,
    )

    # The loss of epoch 1 is that of the initial weights.
    message = (
        "The loss became non-finite in epoch 2. Scale X, or lower lr (now 1e+200)."
    )
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        model.fit(X, y)
    assert not hasattr(model, "net_")
