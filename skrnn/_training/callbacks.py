"""Callbacks of the net: early stopping, the plateau schedule, and the progress bar."""

from __future__ import annotations

import math
import signal
from collections import deque
from copy import deepcopy
from opcode import opname
from typing import Any

import numpy as np
import torch
from skorch.callbacks import Callback, PassthroughScoring, TensorBoard

# What a callback may hold as its own state. Anything else belongs to someone else.
CONTAINERS = (dict, list, tuple, set, frozenset, deque)
VALUES = (np.ndarray, np.random.Generator, np.random.RandomState, torch.Tensor)


class StopTraining(Exception):
    """Ends training without an error, raised by a callback."""


class EarlyStopping(Callback):
    """Stop when the validation loss stops falling, and restore the best weights.

    Parameters
    ----------
    patience : int
        Epochs without an improvement of more than `tol` before training stops.

    tol : float
        Smallest improvement, in units of the loss.
    """

    best_loss_: float
    best_epoch_: int | None
    best_weights_: dict[str, torch.Tensor] | None

    def __init__(self, patience: int, tol: float) -> None:
        self.patience = patience
        self.tol = tol

    def on_train_begin(self, net: Any, **kwargs: Any) -> None:
        """Reset; with a highway the weights before training count as epoch 0."""
        self.best_loss_ = math.inf
        self.best_epoch_ = self.best_weights_ = None
        if net.module_.highway is not None:
            self._keep(net, net.validation_loss())
        self.reference_ = self.best_loss_
        self.misses_ = 0

    def on_epoch_end(self, net: Any, **kwargs: Any) -> None:
        """Keep the weights if they are the best, else count the epoch as a miss."""
        loss = net.history[-1]["valid_loss"]
        self._keep(net, loss)
        if loss < self.reference_ - self.tol:
            self.reference_ = loss
            self.misses_ = 0
        else:
            self.misses_ += 1
        if self.misses_ >= self.patience:
            raise StopTraining

    def state_dict(self) -> dict[str, Any]:
        """Return what `load_state_dict` continues from."""
        names = ("best_loss_", "best_epoch_", "best_weights_", "reference_", "misses_")
        return {name: getattr(self, name) for name in names}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from what `state_dict` returned."""
        # mypy takes `vars` for that of a class.
        vars(self).update(state)  # type: ignore[attr-defined]

    def _keep(self, net: Any, loss: float) -> None:
        if loss < self.best_loss_:
            self.best_loss_ = loss
            self.best_epoch_ = len(net.history)
            self.best_weights_ = {
                name: value.clone() for name, value in net.module_.state_dict().items()
            }

    def on_train_end(self, net: Any, **kwargs: Any) -> None:
        """Restore the best weights."""
        if self.best_weights_ is not None:
            net.module_.load_state_dict(self.best_weights_)
            self.best_weights_ = None


class PlateauSchedule(Callback):
    """Halve the learning rate when the loss has not fallen for `patience` epochs.

    Parameters
    ----------
    patience : int, default=5
        Epochs to wait.
    """

    def __init__(self, patience: int = 5) -> None:
        self.patience = patience

    def on_train_begin(self, net: Any, **kwargs: Any) -> None:
        """Create torch's schedule for the optimiser of the net."""
        self.schedule_ = torch.optim.lr_scheduler.ReduceLROnPlateau(
            net.optimizer_, factor=0.5, patience=self.patience
        )

    def on_epoch_end(self, net: Any, **kwargs: Any) -> None:
        """Pass on the validation loss if there is one, else the training loss."""
        row = net.history[-1]
        self.schedule_.step(row.get("valid_loss", row["train_loss"]))

    def state_dict(self) -> dict[str, Any]:
        """Return what `load_state_dict` continues from."""
        return self.schedule_.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from what `state_dict` returned."""
        self.schedule_.load_state_dict(state)


class ProgressBar(Callback):
    """Show the epochs, the losses and the time left on standard error.

    Parameters
    ----------
    description : str
        Text before the bar.
    """

    def __init__(self, description: str) -> None:
        self.description = description

    def on_train_begin(self, net: Any, **kwargs: Any) -> None:
        """Draw the empty bar."""
        from tqdm import tqdm

        self.bar_ = tqdm(total=net.max_epochs, desc=self.description, unit="epoch")

    def on_epoch_end(self, net: Any, **kwargs: Any) -> None:
        """Advance the bar by one epoch."""
        losses = {
            name: f"{net.history[-1][key]:.4g}"
            for name, key in (("loss", "train_loss"), ("validation", "valid_loss"))
            if key in net.history[-1]
        }
        self.bar_.set_postfix(losses, refresh=False)
        self.bar_.update()

    def skip(self, n_epochs: int) -> None:
        """Count epochs that were trained before this process started."""
        self.bar_.initial = self.bar_.n = n_epochs
        self.bar_.refresh()

    def close(self) -> None:
        """Close the bar at its current position."""
        if hasattr(self, "bar_"):
            self.bar_.close()

    def on_train_end(self, net: Any, **kwargs: Any) -> None:
        """Close the bar."""
        self.close()


def copy_callbacks(callbacks: list[Any]) -> list[Any]:
    """Copy callbacks and their state, but share the objects that they report to.

    A callback must receive the trial of Optuna, the run of a tracking server or the
    function that it was made with, since a report to a copy of these is lost.

    Parameters
    ----------
    callbacks : list of callbacks or (name, callback) tuples
        Not changed.

    Returns
    -------
    callbacks : list of callbacks or (name, callback) tuples
        Copies, with copies of the containers, arrays and callbacks that they hold.
    """
    # `deepcopy` returns for an object what its memo has.
    return deepcopy(callbacks, {id(item): item for item in _shared_objects(callbacks)})


def _shared_objects(root: object) -> list[object]:
    """Return the objects in containers and callbacks that are neither, nor values."""
    shared, seen, stack = [], set(), [root]
    while stack:
        item = stack.pop()
        if id(item) in seen or isinstance(item, VALUES):
            continue
        seen.add(id(item))
        if isinstance(item, Callback):
            stack.append(vars(item))
        elif isinstance(item, dict):
            stack += [*item.keys(), *item.values()]
        elif isinstance(item, CONTAINERS):
            stack += item
        else:
            shared.append(item)
    return shared


def has_batch_hooks(callback: Any) -> bool:
    """Whether a callback uses hooks of batches, or batch rows of the history."""
    hooks = ["on_batch_begin", "on_batch_end", "on_grad_computed"]
    if _ignores_batches(callback):
        hooks.remove("on_batch_end")
    return isinstance(callback, PassthroughScoring) or any(
        getattr(type(callback), hook, None) is not getattr(Callback, hook)
        for hook in hooks
    )


def _ignores_batches(callback: Any) -> bool:
    """Whether `on_batch_end` of one of skorch's loggers records nothing."""
    hook = getattr(type(callback), "on_batch_end", None)
    if hook is TensorBoard.on_batch_end:  # notes that there was a batch
        return True
    is_of_skorch = getattr(hook, "__module__", None) == "skorch.callbacks.logging"
    return is_of_skorch and not getattr(callback, "log_on_batch_end", True)


def is_raised_by_callback(interrupt: BaseException) -> bool:
    """Whether a raise statement other than a signal handler's caused the interrupt."""
    handler = getattr(signal.getsignal(signal.SIGINT), "__code__", None)
    trace: Any = interrupt.__traceback__
    while trace.tb_next is not None:
        trace = trace.tb_next
        if trace.tb_frame.f_code is handler:
            return False
    return opname[trace.tb_frame.f_code.co_code[trace.tb_lasti]] == "RAISE_VARARGS"
