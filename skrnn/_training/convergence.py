"""A warning about training that has not learned anything."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from sklearn.exceptions import ConvergenceWarning

from skrnn._data.step_targets import unwrap_target
from skrnn._training.batches import SequenceDataset
from skrnn._training.callbacks import EarlyStopping
from skrnn._typing import Target
from skrnn._warnings import warn_user

if TYPE_CHECKING:
    from skrnn._training.net import RecurrentNet

MIN_EPOCHS = 20  # after fewer, a loss may still be that of the initial weights
MIN_LOSS = 0.01  # of a constant; where it is lower, there is nothing to learn
MARGIN = 1.02  # a loss is the mean over an epoch, in which the weights changed


def warn_if_not_converged(net: RecurrentNet, dataset: SequenceDataset) -> None:
    """Warn if the training loss is no better than that of the best constant.

    Parameters
    ----------
    net : RecurrentNet
        Trained.

    dataset : SequenceDataset
        The training rows.
    """
    losses = [row["train_loss"] for row in net.history]
    stoppers = [cb for _, cb in net.callbacks_ if isinstance(cb, EarlyStopping)]
    if stoppers:
        losses = losses[: stoppers[0].best_epoch_]
    if len(losses) < MIN_EPOCHS:
        return
    constant = constant_loss(net.target, dataset)
    if constant > MIN_LOSS and losses[-1] > MARGIN * constant:
        warn_user(
            f"The loss after {len(losses)} epochs must be below that of a constant "
            f"prediction, {constant:.3g}. Got {losses[-1]:.3g}: the network has not "
            f"learned anything. Try another lr (now {net.lr}), or more epochs.",
            ConvergenceWarning,
        )


def constant_loss(target: Target, dataset: SequenceDataset) -> float:
    """Return the mean loss of the best constant output, weighted as in training.

    Parameters
    ----------
    target : target object

    dataset : SequenceDataset
        With encoded targets.

    Returns
    -------
    loss : float
    """
    target, weights = unwrap_target(target), dataset.flat_weights
    encoded = np.asarray(dataset.y)
    output = torch.as_tensor(target.constant_output(encoded, weights))
    encoded = torch.as_tensor(encoded)
    if encoded.is_floating_point():
        encoded = encoded.to(output.dtype)
    losses = target.row_loss(output.expand(len(encoded), -1), encoded).numpy()
    return float(np.average(losses, weights=weights))
