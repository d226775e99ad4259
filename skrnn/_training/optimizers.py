"""Optimisers by name, and their arguments."""

from __future__ import annotations

from inspect import signature, unwrap
from typing import TYPE_CHECKING, Any

import torch
from torch.optim import Optimizer

if TYPE_CHECKING:
    from skrnn._training.config import TrainingConfig


class _WithoutCompiler:
    """Methods of an optimiser as written, without torch's compiler around them.

    torch excludes these methods from `torch.compile`. The first call of one therefore
    imports the compiler, which takes longer than a short fit.
    """

    add_param_group = unwrap(Optimizer.add_param_group)
    state_dict = unwrap(Optimizer.state_dict)
    load_state_dict = unwrap(Optimizer.load_state_dict)


class Adam(_WithoutCompiler, torch.optim.Adam):
    """`torch.optim.Adam`, constructed without torch's compiler."""


class AdamW(_WithoutCompiler, torch.optim.AdamW):
    """`torch.optim.AdamW`, constructed without torch's compiler."""


_WITHOUT_COMPILER = {torch.optim.Adam: Adam, torch.optim.AdamW: AdamW}
ADAM_TYPES = {*_WITHOUT_COMPILER.keys(), *_WITHOUT_COMPILER.values()}

OPTIMIZERS: dict[str, type[torch.optim.Optimizer]] = {
    "adam": torch.optim.Adam,
    "adamw": torch.optim.AdamW,
    "sgd": torch.optim.SGD,
    "rmsprop": torch.optim.RMSprop,
    "lbfgs": torch.optim.LBFGS,
}
# The optimisers that have a fused step on a CPU: one operation for all parameters.
HAVE_FUSED_STEP = (torch.optim.Adam, torch.optim.AdamW, torch.optim.SGD)


def optimizer_class(optimizer: Any) -> type[torch.optim.Optimizer]:
    """Return the class of an optimiser, given by name or as the class itself."""
    return OPTIMIZERS.get(optimizer, optimizer)


def optimizer_options(
    config: TrainingConfig,
) -> tuple[type[torch.optim.Optimizer], dict[str, Any]]:
    """Return the class of an optimiser and its arguments other than the rate.

    Parameters
    ----------
    config : TrainingConfig
        Has `optimizer`, `optimizer_params` and `weight_decay`.

    Returns
    -------
    optimizer : type
        Subclass of `torch.optim.Optimizer`.

    params : dict
    """
    optimizer = optimizer_class(config.optimizer)
    given = config.optimizer_params or {}
    params: dict[str, Any] = {}
    if optimizer is torch.optim.LBFGS:
        params["line_search_fn"] = "strong_wolfe"
    elif config.weight_decay != "auto":
        if config.weight_decay > 0 or "weight_decay" in signature(optimizer).parameters:
            params["weight_decay"] = config.weight_decay
    elif optimizer is torch.optim.AdamW:
        params["weight_decay"] = 0.1
    if optimizer in HAVE_FUSED_STEP and not {"foreach", "fused"} & set(given):
        params["fused"] = True
    return _WITHOUT_COMPILER.get(optimizer, optimizer), params | given
