"""The linear start: a closed-form linear model of the lags, and shrinkage towards it.

With `ar_order` a linear layer, the highway, connects the last values of a window to the
output. Training starts with the highway at a Ridge regression and the head at zero, so
that the network learns a correction of the linear model. Cross-validation then decides
how much of this correction to keep.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Self

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from skrnn._data.step_targets import unwrap_target
from skrnn._training.batches import CHUNK_ROWS, SequenceDataset, valid_steps
from skrnn._training.judging import SHRINKAGE_FACTORS, shrinkage_factor
from skrnn._training.linear_model import LinearModel, LinearProblem, Part
from skrnn._typing import AnyArray

if TYPE_CHECKING:
    from skrnn._training.net import RecurrentNet


class LinearStart:
    """The linear model that the training of a net starts from, and is judged by.

    Without a highway it is a constant, which only judges.

    Parameters
    ----------
    net : RecurrentNet
    """

    def __init__(self, net: RecurrentNet) -> None:
        self.net = net
        self.module = net.module_

    def fit(self, dataset: SequenceDataset) -> Self:
        """Fit the linear model and set the highway to it.

        Parameters
        ----------
        dataset : SequenceDataset
            The training rows.

        Returns
        -------
        self : object
        """
        model = LinearProblem(lambda: self._parts(dataset)).solve()
        target, residuals, weights = unwrap_target(self.net.target), None, None
        if target.needs_residuals:
            parts = list(self._residuals(dataset, model))
            residuals, weights = (np.concatenate(p) for p in zip(*parts, strict=True))
        weight, bias = target.from_linear_model(
            model.coefficients, model.intercept, residuals, weights
        )
        self.set_model(weight, bias)
        return self

    def set_model(self, weight: AnyArray | Tensor, bias: AnyArray | Tensor) -> None:
        """Set the linear model, of raw outputs: `(K, n_inputs)` and `(K,)`."""
        head = self.module.head
        self.weight, self.bias = (
            torch.as_tensor(np.ascontiguousarray(part)).to(head.weight)
            for part in (weight, bias)
        )
        if self.module.highway is not None:
            self.initial_head = head.weight.clone(), head.bias.clone()
            self.module.start_at_linear_model(self.weight, self.bias)

    def for_nets(self, nets: list[RecurrentNet]) -> list[LinearStart]:
        """Return this start and equal ones, one for each net, of which it has one."""
        starts = [self]
        for net in nets[1:]:
            start = LinearStart(net)
            start.set_model(self.weight, self.bias)
            starts.append(start)
        return starts

    def for_copy(self, net: RecurrentNet) -> LinearStart:
        """Return an equal start for a copy of the net in training."""
        start = LinearStart(net)
        start.weight, start.bias = self.weight, self.bias
        return start

    @torch.no_grad()
    def release_head(self) -> None:
        """Set the head back to its initial weights, if `fit` set it to zero.

        A plain RNN whose head starts at zero hardly learns even functions of its input,
        since its hidden states are nearly odd functions of it. With an output per step
        the head stays at zero: nothing shrinks there what does not help.
        """
        if self.module.highway is not None and not self.module.return_sequences:
            weight, bias = self.initial_head
            self.module.head.weight.copy_(weight)
            self.module.head.bias.copy_(bias)

    def _residuals(
        self, dataset: SequenceDataset, model: LinearModel
    ) -> Iterator[tuple[AnyArray, AnyArray]]:
        """Yield the residuals of a linear model and the weights, part by part."""
        for inputs, targets, weights in self._parts(dataset):
            yield targets - model.predict(inputs), weights

    @torch.no_grad()
    def _parts(self, dataset: SequenceDataset) -> Iterator[Part]:
        """Yield what the highway gets, the targets and the weights, in float64.

        Of the rows, or time steps, of positive weight, part by part.
        """
        all_weights, first = dataset.flat_weights, 0
        for part in torch.arange(len(dataset)).split(CHUNK_ROWS):
            batch, _ = dataset.batch(part)
            x = self.module.encode_inputs(batch["values"])
            lengths = batch.get("lengths")
            inputs = self._inputs(x, lengths)
            if dataset.per_step:
                inputs = valid_steps(inputs, lengths)
            rows = slice(first, first + len(inputs))
            first += len(inputs)
            inputs, weights = inputs.cpu().numpy(), all_weights[rows]
            positive = weights > 0
            yield (
                inputs[positive].astype(np.float64),
                dataset.y[rows][positive].astype(np.float64),
                weights[positive],
            )

    def _inputs(self, x: Tensor, lengths: Tensor | None) -> Tensor:
        """Return what the linear model reads, `(N, n_inputs)`; none of a constant."""
        if self.module.highway is None:
            return x.new_empty(len(x), 0)
        return self.module.highway_inputs(x, lengths)

    @torch.no_grad()
    def corrections(
        self, dataset: SequenceDataset
    ) -> tuple[AnyArray, AnyArray, AnyArray]:
        """Return the outputs of the linear model, and what the network adds.

        Parameters
        ----------
        dataset : SequenceDataset
            Rows that the net was not trained on.

        Returns
        -------
        linear, correction : tensors of shape (len(dataset), K)

        losses : ndarray of shape (len(SHRINKAGE_FACTORS), len(dataset))
            Of each row for each shrinkage factor.
        """
        net, module = self.net, self.module
        module.eval()
        parts, losses = [], np.empty((len(SHRINKAGE_FACTORS), len(dataset)))
        for part in torch.arange(len(dataset)).split(CHUNK_ROWS):
            batch, targets = dataset.batch(part)
            x = module.encode_inputs(batch["values"])
            lags = self._inputs(x, batch.get("lengths"))
            linear = F.linear(lags, self.weight, self.bias)
            correction = net.infer(batch) - linear
            parts.append((linear, correction))
            for i, factor in enumerate(SHRINKAGE_FACTORS):
                loss = net.criterion_(linear + factor * correction, targets)
                losses[i, part] = loss.cpu().numpy()
        linear, correction = (
            torch.cat(p).cpu().numpy() for p in zip(*parts, strict=True)
        )
        return linear, correction, losses

    def factor_of(self, dataset: SequenceDataset) -> float:
        """Return the shrinkage factor by the rows that the net was trained on.

        For a training that was interrupted: after a few epochs, what the network adds
        may still be noise of its initial weights.
        """
        _, _, losses = self.corrections(dataset)
        return shrinkage_factor(losses, dataset.flat_weights)

    @torch.no_grad()
    def shrink(self, factor: float) -> None:
        """Multiply the network's correction of the linear model by a factor."""
        module = self.module
        module.head.weight.mul_(factor)
        highway = module.highway
        if highway is None:
            module.head.bias.copy_(torch.lerp(self.bias, module.head.bias, factor))
            return
        module.head.bias.mul_(factor)
        highway.weight.copy_(torch.lerp(self.weight, highway.weight, factor))
        highway.bias.copy_(torch.lerp(self.bias, highway.bias, factor))
