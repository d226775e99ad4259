"""What the parameters of an estimator say about training, as plain data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from skrnn._training.optimizers import optimizer_class


@dataclass(frozen=True)
class TrainingConfig:
    """The settings of one call of `RecurrentNet.train`.

    The attributes are the parameters of the estimators with the same names, with
    `max_epochs` and `lr_schedule` as they are for this call.
    """

    max_epochs: int
    lr: float
    batch_size: int
    optimizer: str | type[Any]
    optimizer_params: dict[str, Any] | None
    weight_decay: Any  # float, or 'auto'
    dropout: float
    max_grad_norm: float | None
    lr_schedule: str | None
    tbptt_steps: int | None

    def has_optimizer_of(self, other: TrainingConfig) -> bool:
        """Whether moments of the optimiser of another configuration still apply."""
        return self.optimizer_params == other.optimizer_params and (
            optimizer_class(self.optimizer) is optimizer_class(other.optimizer)
        )
