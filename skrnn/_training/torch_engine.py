"""The torch step: a batch is trained through torch's autograd and optimiser."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from torch import Tensor, nn

from skrnn._training.batches import Batch

if TYPE_CHECKING:
    from skrnn._training.net import RecurrentNet


class TorchEngine:
    """Trains one batch after the other with torch.

    Parameters
    ----------
    net : RecurrentNet
        The net to train.
    """

    name = "torch"

    def __init__(self, net: RecurrentNet) -> None:
        self.net = net

    def train_step(self, batch: Batch) -> dict[str, Any]:
        """Take one step of the optimiser on a batch, and return its loss and output."""
        step = self.compute_gradients(batch)
        self.step_optimizer(batch)
        return step

    def compute_gradients(self, batch: Batch) -> dict[str, Any]:
        """Compute the loss of a batch and the gradients of all parameters.

        Parameters
        ----------
        batch : tuple of (dict, tensor)
            Inputs and encoded targets, as `SequenceDataset.batch` returns them.

        Returns
        -------
        step : dict
            'loss', a tensor, and 'y_pred', the raw outputs.
        """
        inputs, targets = batch
        self.net.optimizer_.zero_grad()
        output = self.compute_output(inputs)
        loss = self.net.get_loss(output, targets, X=inputs, training=True)
        loss.backward()
        return {"loss": loss, "y_pred": output}

    def compute_output(self, inputs: dict[str, Tensor]) -> Tensor:
        """Return the raw outputs of a batch, with their autograd graph."""
        return self.net.infer(inputs)

    def step_optimizer(self, batch: Batch) -> None:
        """Notify callbacks of the gradients, clip them, and step the optimiser."""
        self.net.notify_gradients(batch)
        self.clip_and_step()

    def clip_and_step(self) -> None:
        """Clip the gradients and take a step of torch's optimiser."""
        net = self.net
        if net.max_grad_norm is not None:
            nn.utils.clip_grad_norm_(net.module_.parameters(), net.max_grad_norm)
        net.optimizer_.step()

    def finish_step(self) -> None:
        """Prepare for the next batch, after all line searches on this one."""

    def finish_epoch(self) -> None:
        """Leave gradients and optimiser as torch would, after the last batch."""
