"""Truncated back-propagation through time, and stateful batches."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from skrnn._nn.states import States
from skrnn._training.batches import Batch
from skrnn._training.torch_engine import TorchEngine
from skrnn._typing import AnyArray

if TYPE_CHECKING:
    from skrnn._training.net import RecurrentNet


class StatefulEngine(TorchEngine):
    """The torch step for `tbptt_steps`, and for `initial_state='carry'`.

    With an output per time step and `tbptt_steps`, a batch is cut into chunks of that
    many steps, and the optimiser takes a step for each; with one output per sequence,
    all steps but the last `tbptt_steps` run without a gradient. With 'carry' the rows
    of a batch start from the last states of the batch before.

    Parameters
    ----------
    net : RecurrentNet
        The net to train.

    References
    ----------
    Williams, Peng: An efficient gradient-based algorithm for on-line training of
    recurrent network trajectories. Neural Computation 2, 1990.
    """

    def __init__(self, net: RecurrentNet) -> None:
        super().__init__(net)
        self.carries = net.module_.initial_state == "carry"
        self.carried: States | None = None  # the last states of the batch before
        # Those of this batch, carried once the step is taken.
        self.reached: States | None = None

    def train_step(self, batch: Batch) -> dict[str, Any]:
        """Take one step of the optimiser, or one for each chunk of `tbptt_steps`."""
        if self.net.tbptt_steps is not None and self.net.module_.return_sequences:
            return self.train_in_chunks(batch)
        return super().train_step(batch)

    def finish_step(self) -> None:
        """Carry the states on. A line search runs a batch repeatedly before that."""
        self.carried = self.reached

    def finish_epoch(self) -> None:
        """Start the next epoch from new states."""
        self.carried = self.reached = None

    def compute_output(self, inputs: dict[str, Tensor]) -> Tensor:
        """Return the raw outputs of a batch that starts from earlier states."""
        module = self.net.module_
        x, lengths = module.encode_inputs(inputs["values"]), inputs.get("lengths")
        states, last, last_lengths = self.initial_states(len(x)), x, lengths
        if self.net.tbptt_steps is not None:
            states, last, last_lengths = self.warm_up(states, x, lengths)
        hidden, states = module.run_layers(
            last, last_lengths, states, with_cell=self.carries
        )
        if self.carries:
            self.reached = detach(states)
        return module.compute_output(hidden, states, x, lengths)

    def initial_states(self, n: int) -> States | None:
        """Return the states that a batch of n rows starts from."""
        if self.carried is None:
            return self.net.module_.initial_states(n)
        # The last batch may be smaller: its rows continue the first ones.
        return select_rows(self.carried, slice(n))

    def warm_up(
        self, states: States | None, x: Tensor, lengths: Tensor | None
    ) -> tuple[States | None, Tensor, Tensor | None]:
        """Run all but the last `tbptt_steps` of each row without a gradient.

        Parameters
        ----------
        states : states of the layers, or None
            To start from.

        x : tensor of shape (N, L, F)
            Standardised.

        lengths : tensor of shape (N,) or None
            Valid steps of each row.

        Returns
        -------
        states : states of the layers before the last chunk

        x : tensor of shape (N, at most tbptt_steps, F)
            The last chunk.

        lengths : tensor of shape (N,) or None
            Its lengths.
        """
        n, longest, _ = x.shape
        steps: Any = self.net.tbptt_steps
        if lengths is None:
            n_before = x.new_full((n,), longest - steps, dtype=torch.long)
        else:
            n_before = lengths - steps
        n_before = n_before.clamp(min=0)
        if not n_before.any():
            return states, x, lengths
        module = self.net.module_
        with torch.no_grad():
            for first in range(0, int(n_before.max()), steps):
                rows = torch.nonzero(n_before > first).flatten()
                n_steps = (n_before[rows] - first).clamp(max=steps)
                chunk = x[rows, first : first + int(n_steps.max())]
                all_valid = bool((n_steps == chunk.shape[1]).all())
                if states is None:
                    states = module.zero_states(n)
                _, after = module.run_layers(
                    chunk,
                    None if all_valid else n_steps,
                    select_rows(states, rows),
                    with_cell=True,
                )
                states = replace_rows(states, rows, after)
        last = torch.arange(steps, device=x.device)
        index = (n_before[:, None] + last).clamp(max=longest - 1)
        chunk = x.gather(1, index[:, :, None].expand(-1, -1, x.shape[2]))
        if lengths is not None:
            lengths = lengths - n_before
            if bool((lengths == steps).all()):
                lengths = None
        return states, chunk, lengths

    def train_in_chunks(self, batch: Batch) -> dict[str, Any]:
        """Take a step of the optimiser for each chunk, carrying the states on."""
        net, module = self.net, self.net.module_
        steps: Any = self.net.tbptt_steps
        inputs, targets = batch
        values, lengths = inputs["values"], inputs.get("lengths")
        weights = inputs.get("sample_weight")
        longest = values.shape[1]
        # A chunk is a batch of its own: its loss is about the mean over its steps.
        scale = max(1.0, net.training_.steps_per_row / steps)
        states, total = self.initial_states(len(values)), 0.0
        rows = torch.arange(len(values), device=values.device)
        final: Any = module.zero_states(len(values)) if self.carries else None
        for first in range(0, longest, steps):
            if lengths is not None:
                continues = lengths[rows] > first
                rows = rows[continues]
                states = None if states is None else select_rows(states, continues)
            part = slice(first, first + steps)
            chunk = {"values": values[rows, part]}
            if lengths is not None:
                n_steps = (lengths[rows] - first).clamp(max=chunk["values"].shape[1])
                if not bool((n_steps == chunk["values"].shape[1]).all()):
                    chunk["lengths"] = n_steps
            if weights is not None:
                chunk["sample_weight"] = weights[rows, part]
            net.optimizer_.zero_grad()
            x = module.encode_inputs(chunk["values"])
            hidden, states = module.run_layers(
                x, chunk.get("lengths"), states, with_cell=self.carries
            )
            n_before = min(first, max(module.ar_order - 1, 0))
            history = x
            if n_before:
                history = module.encode_inputs(
                    values[rows, first - n_before : first + steps]
                )
            output = module.compute_output(hidden, states, history, None)
            loss = net.get_loss(output, targets[rows, part], X=chunk, training=True)
            # Rows that have ended, and steps of other chunks, do not count here.
            share = len(rows) / len(values)
            if weights is None:
                share *= x.shape[1] / longest
            loss = loss * share
            (loss * scale).backward()
            self.step_optimizer((chunk, targets[rows, part]))
            total = total + loss.detach()
            states = detach(states)
            if self.carries:
                final = replace_rows(final, rows, states)
        self.reached = final
        return {"loss": total, "y_pred": None}


def detach(states: States) -> States:
    """Return the states of all layers without their autograd graph."""
    return [tuple(part.detach() for part in of_layer) for of_layer in states]


def select_rows(states: States, rows: Tensor | AnyArray | slice) -> States:
    """Return the states of some rows of a batch."""
    return [tuple(part[:, rows] for part in of_layer) for of_layer in states]


def replace_rows(states: States, rows: Tensor, new: States) -> States:
    """Return states with those of some rows replaced."""
    return [
        tuple(old.index_copy(1, rows, part) for old, part in zip(*pair, strict=True))
        for pair in zip(states, new, strict=True)
    ]
