"""Random numbers of a network in training, from private generators.

On a CPU they come from numpy's generators, which compiled training draws from too, so
that both draw the same numbers. On an accelerator they come from torch's generator of
the device.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from skrnn._typing import AnyArray


class Noise:
    """The random numbers of dropout and of random initial states.

    Parameters
    ----------
    seed : int
        Of the generators.

    device : torch device
        Where the numbers are needed.
    """

    def __init__(self, seed: int, device: torch.device) -> None:
        self.device = torch.device(device)
        if self.device.type == "cpu":
            seeds = np.random.SeedSequence(seed).spawn(2)
            self.for_dropout, self.for_states = map(np.random.default_rng, seeds)
        else:
            self.generator = torch.Generator(self.device).manual_seed(seed)

    def mask(self, x: Tensor, dropout: float) -> Tensor:
        """Return the factors of dropout for `x`, 0 or 1 / (1 - dropout).

        For `(N, L, ...)` they are drawn step by step, as compiled training does.
        """
        shape = x.shape if x.ndim < 3 else (x.shape[1], x.shape[0], *x.shape[2:])
        if self.device.type == "cpu":
            kept = torch.from_numpy(self.for_dropout.random(tuple(shape)) >= dropout)
            mask = kept.to(x.dtype) * (1 / (1 - dropout))
        else:
            mask = x.new_empty(shape).bernoulli_(1 - dropout, generator=self.generator)
            mask = mask.div_(1 - dropout)
        return mask if x.ndim < 3 else mask.transpose(0, 1)

    def normal(self, n_rows: int, n_columns: int, dtype: torch.dtype) -> Tensor:
        """Return standard normal numbers, `(n_rows, n_columns)`."""
        if self.device.type == "cpu":
            drawn = self.for_states.standard_normal((n_rows, n_columns))
            return torch.from_numpy(drawn).to(dtype)
        return torch.empty(n_rows, n_columns, dtype=dtype, device=self.device).normal_(
            generator=self.generator
        )

    def state(self) -> list[Any] | AnyArray:
        """Return the state of the generators as plain data and arrays."""
        if self.device.type == "cpu":
            generators = (self.for_dropout, self.for_states)
            return [generator.bit_generator.state for generator in generators]
        return self.generator.get_state().cpu().numpy().copy()

    def set_state(self, state: list[Any] | AnyArray) -> None:
        """Continue from what `state` returned on a device of the same type.

        What comes from another device is left alone: its numbers cannot be continued.
        """
        if self.device.type == "cpu" and isinstance(state, list):
            for generator, of_generator in zip(
                (self.for_dropout, self.for_states), state, strict=True
            ):
                generator.bit_generator.state = of_generator
        elif self.device.type != "cpu" and not isinstance(state, list):
            self.generator.set_state(torch.tensor(state))
