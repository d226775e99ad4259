"""How batches are trained: the one place where that is decided.

There are two ways. `CompiledEngine` trains many batches in one compiled call.
`TorchEngine` uses torch's autograd and optimiser, a batch at a time, for all that
`reason_for_torch` names; on a CPU with numba each layer is still a compiled function,
as an operation of autograd. `StatefulEngine` is a `TorchEngine` for `tbptt_steps` and
`initial_state='carry'`.
"""

from __future__ import annotations

import logging
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeAlias

from skrnn._training.compiled import CompiledEngine, reason_for_torch
from skrnn._training.torch_engine import TorchEngine
from skrnn._training.truncated import StatefulEngine

if TYPE_CHECKING:
    from skrnn._training.net import RecurrentNet

Engine: TypeAlias = CompiledEngine | TorchEngine

logger = logging.getLogger("skrnn")

# Loading functions from numba's cache takes a fraction of a second.
ANNOUNCE_SECONDS = 1.0
ANNOUNCEMENT = (
    "Functions are compiled for the first fit, which takes some seconds; they are "
    "cached for later ones."
)


def choose_engine(net: RecurrentNet, previous: Engine | None = None) -> Engine:
    """Return the engine for the next batches of a net.

    It is called at the start of each epoch, and before each batch where callbacks
    receive batches, since a callback may freeze a parameter or add a hook.

    Parameters
    ----------
    net : RecurrentNet
        In training.

    previous : engine, default=None
        Of the batches before, which is used again if nothing has changed.
    """
    reason = reason_for_torch(net)
    if reason is None:
        if isinstance(previous, CompiledEngine) and previous.is_valid():
            return previous
        _close(previous)
        with compilation_announced(net.verbose):
            return CompiledEngine(net)
    stateful = net.module_.initial_state == "carry" or net.tbptt_steps is not None
    kind = StatefulEngine if stateful else TorchEngine
    if type(previous) is kind:
        return previous
    _close(previous)
    logger.debug("Training by torch, since %s.", reason)
    return kind(net)


@contextmanager
def compilation_announced(verbose: int) -> Iterator[None]:
    """Print a line if the body takes longer than loading compiled functions does."""
    if not verbose:
        yield
        return
    timer = threading.Timer(ANNOUNCE_SECONDS, _announce_compilation)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def _announce_compilation() -> None:
    from tqdm import tqdm

    tqdm.write(ANNOUNCEMENT, file=sys.stderr)  # above a progress bar


def _close(engine: Engine | None) -> None:
    if isinstance(engine, CompiledEngine):
        engine.close()
