"""What a fit will do, decided before it starts."""

from dataclasses import dataclass

import numpy as np
import torch

from skrnn._training.config import TrainingConfig


@dataclass(frozen=True)
class FitPlan:
    """What a fit will do, decided from the parameters and the samples.

    Attributes
    ----------
    train, valid : ndarray of int
        The rows to train on, and those set aside for validation, if any.

    folds : list of (train, valid)
        For cross-validation of the network's correction of the linear model; with a
        single training it is empty.

    config : TrainingConfig
        The settings of the training.

    callbacks : list
        skorch callbacks.

    device : torch device
        Where to train.

    seed : int
        Seed of the weights, the order of batches and dropout.
    """

    train: np.ndarray
    valid: np.ndarray
    folds: list
    config: TrainingConfig
    callbacks: list
    device: torch.device
    seed: int
