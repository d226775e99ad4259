"""What the parameters of an estimator say about training, as plain data."""

from dataclasses import dataclass

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
    optimizer: str | type
    optimizer_params: dict | None
    weight_decay: float | str
    dropout: float
    max_grad_norm: float | None
    lr_schedule: str | None
    tbptt_steps: int | None

    def has_optimizer_of(self, other):
        """Whether moments of the optimiser of another configuration still apply."""
        return self.optimizer_params == other.optimizer_params and (
            optimizer_class(self.optimizer) is optimizer_class(other.optimizer)
        )
