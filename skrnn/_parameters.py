"""Rules between the parameters of an estimator, checked at the start of `fit`."""

from numbers import Integral

import torch
from skorch.callbacks import Callback, LRScheduler


def check_parameters(estimator):
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


def hidden_sizes(estimator):
    """Return the hidden size of each layer as a tuple."""
    sizes, num_layers = estimator.hidden_size, estimator.num_layers
    if not isinstance(sizes, tuple):
        return (sizes,) * num_layers
    are_sizes = all(isinstance(size, Integral) and size >= 1 for size in sizes)
    if not sizes or not are_sizes or num_layers not in (1, len(sizes)):
        raise ValueError(
            f"The 'hidden_size' parameter of {_name(estimator)} must be an int, or a "
            "tuple with one int from 1 upwards for each of num_layers layers. Got "
            f"{sizes!r} with num_layers={num_layers}."
        )
    return tuple(int(size) for size in sizes)


def _name(estimator):
    return type(estimator).__name__


def _is_lbfgs(estimator):
    return estimator.optimizer in ("lbfgs", torch.optim.LBFGS)


def _check_cell(estimator):
    if estimator.nonlinearity != "tanh" and estimator.cell_type != "rnn":
        raise ValueError(
            f"The 'nonlinearity' parameter of {_name(estimator)} must be 'tanh' for "
            f"cell_type={estimator.cell_type!r}, whose equations fix it. Got "
            f"{estimator.nonlinearity!r}. Use cell_type='rnn', or leave it out."
        )


def _check_direction(estimator):
    """Refuse to hand on the states of a network that reads backwards as well."""
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


def _check_pooling(estimator):
    if estimator.pooling == "last":
        return
    for name, reason in (
        ("return_sequences", "every step has its own output"),
        ("tbptt_steps", "not all steps are available at once"),
    ):
        value = getattr(estimator, name)
        if value:
            raise ValueError(
                f"The 'pooling' parameter of {_name(estimator)} must be 'last' with "
                f"{name}={value}, since {reason}. Got {estimator.pooling!r}."
            )


def _check_optimizer(estimator):
    optimizer = estimator.optimizer
    if isinstance(optimizer, type) and not issubclass(optimizer, torch.optim.Optimizer):
        raise ValueError(
            f"The 'optimizer' parameter of {_name(estimator)} must be a name or a "
            f"subclass of torch.optim.Optimizer. Got {optimizer!r}."
        )
    own = {"lr", "weight_decay"} & set(estimator.optimizer_params or ())
    if own:
        raise ValueError(
            f"The 'optimizer_params' parameter of {_name(estimator)} must not hold "
            f"what has a parameter of its own. Got {sorted(own)}. Set "
            f"{' and '.join(sorted(own))} directly."
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


def _check_callback(callback, estimator):
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
