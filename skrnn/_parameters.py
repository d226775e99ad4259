"""Constraints on the shared parameters, one by one and together.

They are checked at the start of `fit`.
"""

from __future__ import annotations

from numbers import Integral, Real
from typing import Any

import torch
from skorch.callbacks import Callback, LRScheduler

from skrnn._compat import Interval, StrOptions
from skrnn._training.optimizers import OPTIMIZERS
from skrnn._typing import Estimator

PARAMETER_CONSTRAINTS = {
    "hidden_size": [Interval(Integral, 1, None, closed="left"), tuple],
    "num_layers": [Interval(Integral, 1, None, closed="left")],
    "cell_type": [StrOptions({"rnn", "gru", "lstm"})],
    "nonlinearity": [StrOptions({"tanh", "relu"})],
    "dropout": [Interval(Real, 0, 1, closed="left")],
    "bidirectional": ["boolean"],
    "pooling": [StrOptions({"auto", "last", "mean", "max", "concat", "attention"})],
    "patch_size": [Interval(Integral, 1, None, closed="left"), StrOptions({"auto"})],
    "initial_state": [StrOptions({"zeros", "normal", "learned", "carry"})],
    "embedding_dim": [Interval(Integral, 1, None, closed="left"), None],
    "return_sequences": ["boolean"],
    "standardize": ["boolean"],
    "n_members": [Interval(Integral, 1, None, closed="left")],
    "max_epochs": [Interval(Integral, 1, None, closed="left"), StrOptions({"auto"})],
    "lr": [Interval(Real, 0, None, closed="neither")],
    "batch_size": [Interval(Integral, 1, None, closed="left")],
    "optimizer": [StrOptions(set(OPTIMIZERS)), type],
    "optimizer_params": [dict, None],
    "weight_decay": [Interval(Real, 0, None, closed="left"), StrOptions({"auto"})],
    "max_grad_norm": [Interval(Real, 0, None, closed="neither"), None],
    "lr_schedule": [StrOptions({"one_cycle", "cosine", "plateau"}), None],
    "tbptt_steps": [Interval(Integral, 1, None, closed="left"), None],
    "patience": [Interval(Integral, 1, None, closed="left")],
    "tol": [Interval(Real, 0, None, closed="left")],
    "callbacks": [list, None],
    "early_stopping": ["boolean"],
    "validation_fraction": [Interval(Real, 0, 1, closed="neither")],
    "validation_strategy": [StrOptions({"random", "last"})],
    "warm_start": ["boolean"],
    "device": [str, torch.device],
    "n_jobs": [
        Interval(Integral, 1, None, closed="left"),
        Interval(Integral, None, -1, closed="right"),
        None,
    ],
    "random_state": ["random_state"],
    "verbose": ["verbose"],
}


def check_parameters(estimator: Estimator) -> None:
    """Refuse parameters that contradict each other.

    Parameters
    ----------
    estimator : BaseRecurrent
        Whose parameters have passed their constraints one by one.

    Raises
    ------
    ValueError
        If two parameters cannot be combined.
    """
    hidden_sizes(estimator)
    _check_cell(estimator)
    _check_direction(estimator)
    _check_pooling(estimator)
    _check_optimizer(estimator)
    for callback in estimator.callbacks or []:
        _check_callback(callback, estimator)


def check_same_network(estimator: Estimator) -> None:
    """Refuse parameters of another network while training continues.

    Parameters
    ----------
    estimator : BaseRecurrent
        Fitted, with parameters that may have changed since.

    Raises
    ------
    ValueError
        If a parameter of the network has changed.
    """
    n_before = len(estimator._modules())
    if estimator.n_members != n_before:
        raise ValueError(
            "The 'n_members' parameter must stay as it was while training continues "
            f"with warm_start or partial_fit. Got {estimator.n_members} after "
            f"{n_before}. Set warm_start=False and call fit."
        )
    for name, value in estimator._network_parameters().items():
        before = getattr(estimator._module_config, name)
        if value not in (before, "auto"):  # 'auto' leaves a network as it is
            name = "hidden_size" if name == "hidden_sizes" else name
            raise ValueError(
                f"The '{name}' parameter must stay as it was while training "
                f"continues with warm_start or partial_fit. Got {value!r} after "
                f"{before!r}. Set warm_start=False and call fit."
            )


def hidden_sizes(estimator: Estimator) -> tuple[int, ...]:
    """Return the hidden size of each layer as a tuple."""
    sizes, num_layers = estimator.hidden_size, estimator.num_layers
    if not isinstance(sizes, tuple):
        return (int(sizes),) * num_layers
    # mypy does not know that numbers compare.
    are_sizes = all(isinstance(size, Integral) and size >= 1 for size in sizes)  # type: ignore[operator]
    if not sizes or not are_sizes or num_layers not in (1, len(sizes)):
        raise ValueError(
            f"The 'hidden_size' parameter of {_name(estimator)} must be an int, or a "
            "tuple with one int from 1 upwards for each of num_layers layers. Got "
            f"{sizes!r} with num_layers={num_layers}."
        )
    return tuple(int(size) for size in sizes)


def _name(estimator: Estimator) -> str:
    return type(estimator).__name__


def _is_lbfgs(estimator: Estimator) -> bool:
    return estimator.optimizer in ("lbfgs", torch.optim.LBFGS)


def _check_cell(estimator: Estimator) -> None:
    if estimator.nonlinearity != "tanh" and estimator.cell_type != "rnn":
        raise ValueError(
            f"The 'nonlinearity' parameter of {_name(estimator)} must be 'tanh' for "
            f"cell_type={estimator.cell_type!r}, whose equations fix it. Got "
            f"{estimator.nonlinearity!r}. Use cell_type='rnn', or leave it out."
        )


def _check_direction(estimator: Estimator) -> None:
    """Raise an error if a bidirectional network would have to carry states on."""
    if not estimator._is_bidirectional():
        return
    reason = "which also reads a sequence from its end: it cannot carry states on."
    if estimator.initial_state == "carry":
        raise ValueError(
            f"The 'initial_state' parameter of {_name(estimator)} must not be 'carry' "
            f"for a bidirectional network, {reason} Use 'zeros' or 'learned'."
        )
    if estimator.tbptt_steps is not None:
        raise ValueError(
            f"The 'tbptt_steps' parameter of {_name(estimator)} must be None for a "
            f"bidirectional network, {reason} Got {estimator.tbptt_steps}. Shorten the "
            "sequences."
        )


def _check_pooling(estimator: Estimator) -> None:
    for name, reason in (
        ("return_sequences", "every step has its own output"),
        ("tbptt_steps", "not all steps are available at once"),
    ):
        value = getattr(estimator, name)
        if not value:
            continue
        for parameter, allowed in (("pooling", "last"), ("patch_size", 1)):
            given = getattr(estimator, parameter)
            if given not in (allowed, "auto"):
                raise ValueError(
                    f"The '{parameter}' parameter of {_name(estimator)} must be "
                    f"{allowed!r} or 'auto' with {name}={value}, since {reason}. Got "
                    f"{given!r}."
                )


def reads_each_step(estimator: Estimator) -> bool:
    """Whether the network must read time steps one by one, and pool none."""
    return (
        estimator.return_sequences
        or estimator.tbptt_steps is not None
        or estimator.initial_state == "carry"
    )


def _check_optimizer(estimator: Estimator) -> None:
    optimizer = estimator.optimizer
    if isinstance(optimizer, type) and not issubclass(optimizer, torch.optim.Optimizer):
        raise ValueError(
            f"The 'optimizer' parameter of {_name(estimator)} must be a name or a "
            f"subclass of torch.optim.Optimizer. Got {optimizer!r}."
        )
    own = {"lr", "weight_decay"} & set(estimator.optimizer_params or ())
    if own:
        raise ValueError(
            f"The 'optimizer_params' parameter of {_name(estimator)} must not "
            f"contain lr or weight_decay. Got {sorted(own)}. Set the parameter of that "
            "name instead."
        )
    if not _is_lbfgs(estimator):
        return
    if estimator.tbptt_steps is not None:
        raise ValueError(
            f"The 'tbptt_steps' parameter of {_name(estimator)} must be None for "
            "optimizer='lbfgs', which needs all steps at once. Got "
            f"{estimator.tbptt_steps}. Use another optimizer."
        )
    if estimator.weight_decay not in ("auto", 0):
        raise ValueError(
            f"The 'weight_decay' parameter of {_name(estimator)} must be 0 or 'auto' "
            f"for optimizer='lbfgs', which has none. Got {estimator.weight_decay}."
        )


def _check_callback(callback: Any, estimator: Estimator) -> None:
    if isinstance(callback, tuple) and len(callback) == 2:
        callback = callback[1]
    kind = callback if isinstance(callback, type) else type(callback)
    if not issubclass(kind, Callback):
        raise ValueError(
            f"The 'callbacks' parameter of {_name(estimator)} must hold callbacks of "
            f"skorch, or (name, callback) tuples. Got {callback!r}."
        )
    if issubclass(kind, LRScheduler) and estimator.lr_schedule is not None:
        raise ValueError(
            f"The 'lr_schedule' parameter of {_name(estimator)} must be None when a "
            f"callback sets the learning rate. Got {estimator.lr_schedule!r} and "
            f"{kind.__name__}."
        )
