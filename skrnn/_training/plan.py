"""What a fit will do, decided before it starts."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from skrnn._training.checkpoint import CheckpointFiles
from skrnn._training.config import TrainingConfig


@dataclass(frozen=True)
class LinearChoice:
    """How windows are normalised, and the linear model beside the network.

    Attributes
    ----------
    window_norm : {'last', 'standard', 'difference'} or None, default=None

    ar_order : int, default=0
        0 for no linear model.

    is_sufficient : bool, default=False
        Whether nothing seems to be left for the network to learn.
    """

    window_norm: str | None = None
    ar_order: int = 0
    is_sufficient: bool = False


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

    pooling : str
    patch_size : int
        Of a new network, see `ModuleConfig`.

    linear : LinearChoice
        Of a new network.

    alternative : LinearChoice or None
        For `folds` to choose from too.

    checkpoint : CheckpointFiles or None
        Where states are written to.
    """

    train: np.ndarray
    valid: np.ndarray
    folds: list[tuple[np.ndarray, np.ndarray]]
    config: TrainingConfig
    callbacks: list[Any]
    device: torch.device
    seed: int
    pooling: str
    patch_size: int
    linear: LinearChoice
    alternative: LinearChoice | None = None
    checkpoint: CheckpointFiles | None = None

    def of_part(self, name: str) -> FitPlan:
        """Return the plan of a part of the fit, which has files of its own."""
        if self.checkpoint is None:
            return self
        return replace(self, checkpoint=self.checkpoint.of_part(name))
