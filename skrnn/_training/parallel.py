"""Compiled training in several threads, each with a part of the rows of a batch."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import numpy as np

from skrnn._typing import AnyArray, IntArray

if TYPE_CHECKING:
    from skrnn._training.net import RecurrentNet

# Rows times steps times parameters of a batch, from which threads pay: a batch then
# takes a millisecond or more, and handing over its parts a tenth of that.
MIN_WORK = 3e7


def choose_threads(net: RecurrentNet, n_steps: int, n_rows: int, n_threads: int) -> int:
    """Return how many threads train a batch.

    The choice depends on sizes alone, not on the time that a batch takes, since results
    of different numbers of threads differ by rounding.

    Parameters
    ----------
    net : RecurrentNet
        To be trained by compiled functions.

    n_steps, n_rows : int
        Of the largest batch.

    n_threads : int
        That there are at most.

    Returns
    -------
    n_threads : int
        1 where each row draws random numbers, in the order of rows.
    """
    module = net.module_
    draws = module.dropout > 0 or module.initial_state == "normal"
    n_parameters = sum(p.numel() for p in module.layers.parameters())
    if draws or n_steps * n_rows * n_parameters < MIN_WORK:
        return 1
    return min(n_threads, n_rows)


class ParallelProgram:
    """Runs a program for each batch in several threads, then a step of the optimiser.

    Parameters
    ----------
    programs : list of CompiledProgram
        One for each thread, with arrays of its own: from the rows of a part of a batch
        to the gradients.

    gradients : list of ndarray of shape (P,)
        What each of them fills.

    gradient : ndarray of shape (P,)
        Gets the gradient of the whole batch.

    update : CompiledProgram
        Takes a step with that gradient.
    """

    def __init__(
        self,
        programs: list[Any],
        gradients: list[AnyArray],
        gradient: AnyArray,
        update: Any,
    ) -> None:
        self.programs, self.gradients = programs, gradients
        self.gradient, self.update = gradient, update
        self.pool = ThreadPoolExecutor(len(programs) - 1, "skrnn")

    @property
    def last_step(self) -> int:
        """How many steps the optimiser has taken."""
        return self.update.last_step

    @last_step.setter
    def last_step(self, step: int) -> None:
        self.update.last_step = step

    def run(
        self, order: IntArray, bounds: IntArray, lrs: AnyArray, total: float
    ) -> float:
        """Train on batches, as `CompiledProgram.run` does."""
        one_batch = np.array([0, 1])
        for b in range(len(lrs)):
            rows = order[bounds[b] : bounds[b + 1]]
            total += self._compute_gradient(rows)
            self.update.run(rows, one_batch, lrs[b : b + 1])
        return total

    def _compute_gradient(self, rows: IntArray) -> float:
        """Fill the gradient of a batch; return its loss times the number of rows."""
        parts = [part for part in np.array_split(rows, len(self.programs)) if len(part)]
        others = [
            self.pool.submit(program.run, part, np.array([0, len(part)]))
            for program, part in zip(self.programs[1:], parts[1:], strict=False)
        ]
        totals = [self.programs[0].run(parts[0], np.array([0, len(parts[0])]))]
        totals += [other.result() for other in others]
        for i, (part, gradient) in enumerate(zip(parts, self.gradients, strict=False)):
            share = gradient.dtype.type(len(part) / len(rows))
            if i == 0:
                np.multiply(gradient, share, out=self.gradient)
            else:
                self.gradient += gradient * share
        return sum(totals)

    def close(self) -> None:
        """End the threads, once they have finished their parts."""
        self.pool.shutdown()
