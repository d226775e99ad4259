"""Optimisers by name, and their arguments."""

from inspect import signature

import torch

OPTIMIZERS = {
    "adam": torch.optim.Adam,
    "adamw": torch.optim.AdamW,
    "sgd": torch.optim.SGD,
    "rmsprop": torch.optim.RMSprop,
    "lbfgs": torch.optim.LBFGS,
}
# The optimisers that have a fused step on a CPU: one operation for all parameters.
HAVE_FUSED_STEP = (torch.optim.Adam, torch.optim.AdamW, torch.optim.SGD)


def optimizer_class(optimizer):
    """Return the class of an optimiser, given by name or as the class itself."""
    return OPTIMIZERS.get(optimizer, optimizer)


def optimizer_options(config):
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
    given, params = config.optimizer_params or {}, {}
    if optimizer is torch.optim.LBFGS:
        params["line_search_fn"] = "strong_wolfe"
    elif config.weight_decay != "auto":
        if config.weight_decay > 0 or "weight_decay" in signature(optimizer).parameters:
            params["weight_decay"] = config.weight_decay
    elif optimizer is torch.optim.AdamW:
        params["weight_decay"] = 0.1
    if optimizer in HAVE_FUSED_STEP and not {"foreach", "fused"} & set(given):
        params["fused"] = True
    return optimizer, params | given
