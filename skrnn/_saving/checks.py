"""What the parts of a model in a file must be, checked before a network is built.

Each table names all fields of one kind of object, with a check of its value.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from functools import partial
from numbers import Integral, Real
from typing import Any, TypeAlias

import numpy as np
import torch

from skrnn._data.normalization import WINDOW_NORMS, WindowNormalizer
from skrnn._data.samples import SampleEncoder
from skrnn._data.sequences import FIXED, FREE
from skrnn._data.step_targets import unwrap_target
from skrnn._data.targets import (
    ROW_LOSSES,
    ClassTarget,
    MultilabelTarget,
    QuantileTarget,
    RegressionTarget,
)
from skrnn._nn.config import BUFFERS, N_GATES, ModuleConfig
from skrnn._saving.container import InvalidFile
from skrnn._training.config import TrainingConfig
from skrnn._training.optimizers import OPTIMIZERS, optimizer_class
from skrnn._typing import AnyArray, DTypeLike

Check: TypeAlias = Callable[[Any], bool]


def check_fields(
    owner: str, values: Any, checks: Mapping[str, Check], optional: Collection[str] = ()
) -> None:
    """Refuse missing, unknown and invalid fields.

    Parameters
    ----------
    owner : str
        What has the fields, for messages.

    values : dict
        The fields.

    checks : dict of str to callable
        Returns whether the value of a field is valid.

    optional : container of str
        Names of fields that may be missing.
    """
    if not isinstance(values, dict):
        raise InvalidFile(f"{owner} that is not an object")
    unknown = [name for name in values if name not in checks]
    if unknown:
        raise InvalidFile(f"{owner} with an unknown field, {unknown[0]!r:.80}")
    for name, is_valid in checks.items():
        if name not in values:
            if name not in optional:
                raise InvalidFile(f"{owner} without {name!r}")
        elif not is_valid(values[name]):
            raise InvalidFile(f"{owner} with an invalid {name!r}")


# -- kinds of values


def is_bool(value: Any) -> bool:
    """Whether a value is a boolean, of Python or of numpy."""
    return isinstance(value, (bool, np.bool_))


def is_int(value: Any, low: int = 0) -> bool:
    """Whether a value is an integer from `low` upwards."""
    # mypy does not know that numbers compare.
    return isinstance(value, Integral) and not is_bool(value) and value >= low  # type: ignore[operator]


is_count = partial(is_int, low=1)


def is_below(high: int, value: Any) -> bool:
    """Whether a value is an int from 0 to below `high`."""
    return type(value) is int and 0 <= value < high


def is_number(value: Any) -> bool:
    """Whether a value is a real number; NaN and infinity are."""
    return isinstance(value, Real) and not is_bool(value)


def is_not_negative(value: Any) -> bool:
    """Whether a value is a finite number from 0 upwards."""
    return is_number(value) and 0 <= value < np.inf


def is_positive(value: Any) -> bool:
    """Whether a value is a finite number above 0."""
    return is_not_negative(value) and value > 0


def is_probability(value: Any) -> bool:
    """Whether a value is a number from 0 to below 1."""
    return is_number(value) and 0 <= value < 1


def is_string(value: Any) -> bool:
    """Whether a value is a string."""
    return isinstance(value, str)


def is_device(value: Any) -> bool:
    """Whether a value names a device of torch."""
    return is_string(value) and value.split(":")[0] in ("cpu", "cuda", "mps", "xpu")


def is_array(value: Any, dtype: DTypeLike = np.float64, ndim: int = 1) -> bool:
    """Whether a value is an array of this dtype and number of dimensions."""
    return isinstance(value, np.ndarray) and (value.dtype, value.ndim) == (dtype, ndim)


def is_labels(value: Any) -> bool:
    """Whether a value is a 1-D array of two or more labels."""
    return isinstance(value, np.ndarray) and value.ndim == 1 and len(value) >= 2


def is_sequence_of(is_item: Check, kind: Any = list) -> Check:
    """Return a check for sequences of what `is_item` accepts."""
    return lambda value: type(value) is kind and all(map(is_item, value))


def is_none_or(is_valid: Check) -> Check:
    """Return a check for None and for what `is_valid` accepts."""
    return lambda value: value is None or is_valid(value)


def is_named(*names: str) -> Check:
    """Return a check for one of some strings."""
    return lambda value: is_string(value) and value in names


def is_optimizer(value: Any) -> bool:
    """Whether a value is the name of an optimizer, or a class."""
    return isinstance(value, type) or (is_string(value) and value in OPTIMIZERS)


def is_dict(value: Any) -> bool:
    """Whether a value is a dict whose keys are strings."""
    return type(value) is dict and all(map(is_string, value))


def is_epoch(value: Any) -> bool:
    """Whether this is a row of a history."""
    return is_dict(value) and all(
        is_number(value.get(name, default))
        for name, default in (("train_loss", None), ("valid_loss", 0.0))
    )


# -- tables of fields

MODULE: dict[str, Check] = {
    "n_features": is_count,
    "n_outputs": is_count,
    "hidden_sizes": is_sequence_of(is_count, tuple),
    "cell_type": is_named(*N_GATES),
    "nonlinearity": is_named("tanh", "relu"),
    "bidirectional": is_bool,
    "pooling": is_named("last", "mean", "max", "concat", "attention"),
    "patch_size": is_count,
    "return_sequences": is_bool,
    "initial_state": is_named("zeros", "normal", "learned", "carry"),
    "embedding_dim": is_none_or(is_count),
    "n_tokens": is_int,
    "ar_order": is_int,
    "ar_columns": is_sequence_of(is_int, tuple),
    "dtype": is_named("float32", "float64"),
    "input_dtype": is_named("float32", "float64"),
}

TRAINING: dict[str, Check] = {
    "max_epochs": is_count,
    "lr": is_positive,
    "batch_size": is_count,
    "optimizer": is_optimizer,
    "optimizer_params": is_none_or(is_dict),
    "weight_decay": lambda value: is_named("auto")(value) or is_not_negative(value),
    "dropout": is_probability,
    "max_grad_norm": is_none_or(is_number),
    "lr_schedule": is_none_or(is_named("one_cycle", "cosine", "plateau")),
    "tbptt_steps": is_none_or(is_count),
}

NORMALIZER: dict[str, Check] = {
    "window_norm": is_none_or(is_named(*WINDOW_NORMS)),
    "columns": is_none_or(is_sequence_of(is_int)),
    "per_step": is_bool,
    "min_std": is_none_or(is_array),
}

_OF_REGRESSION: dict[str, Check] = {
    "one_dimensional": is_bool,
    "dtype": is_named("float32", "float64"),
    "n_targets": is_count,
    "n_outputs": is_count,
    "mean": is_array,
    "scale": is_array,
}
TARGETS: dict[type, dict[str, Check]] = {
    RegressionTarget: {"loss": is_named(*ROW_LOSSES)} | _OF_REGRESSION,
    QuantileTarget: {
        "loss": is_named("quantile"),
        "quantiles": is_sequence_of(is_probability, tuple),
        "levels": is_array,
    }
    | _OF_REGRESSION,
    ClassTarget: {
        "classes": is_labels,
        "per_class": is_none_or(is_array),
        "n_outputs": is_count,
    },
    MultilabelTarget: {
        "n_outputs": is_count,
        "classes": is_labels,
        "label_weights": partial(is_array, ndim=2),
    },
}

NET: dict[str, Check] = {
    "parameters": is_dict,
    "moments": lambda value: type(value) is dict,
    "order_generator": partial(is_array, dtype=np.uint8),
    "noise": lambda value: type(value) is list or is_array(value, np.uint8),
    "history": is_sequence_of(is_epoch),
}

# Attributes of all estimators, then those of some.
ATTRIBUTES: dict[str, Check] = {
    "n_features_in_": is_count,
    "feature_names_in_": partial(is_array, dtype=object),
    "_input_kind": is_named(FIXED, FREE),
    "_columns_of_frames": is_none_or(lambda value: type(value) is list),
    "_n_tokens": is_int,
    "_has_padding": is_bool,
    "engine_": is_none_or(is_string),
    "n_iter_": is_int,
    "loss_curve_": is_sequence_of(is_number),
    "validation_loss_curve_": is_none_or(is_sequence_of(is_number)),
    "best_epoch_": is_none_or(is_int),
    "device_": is_device,
}
ATTRIBUTES_OF_REGRESSORS: dict[str, Check] = {
    "_columns": is_none_or(is_sequence_of(is_int)),
    "_target_feature": lambda value: (
        value is None or is_int(value) or is_sequence_of(is_int)(value)
    ),
    "_longest": is_count,
}
MAY_BE_MISSING = ("feature_names_in_", "_n_tokens", "_has_padding")


# -- the parts together


def check_state(
    config: ModuleConfig,
    training: TrainingConfig,
    encoder: SampleEncoder,
    nets: list[dict[str, Any]],
) -> None:
    """Refuse a state that `fit` cannot have made, before a network is built from it.

    Compiled functions and torch's optimisers rely on these sizes.

    Parameters
    ----------
    config : ModuleConfig

    training : TrainingConfig

    encoder : SampleEncoder

    nets : list of dict
        What `export_state` returned for each member.

    Raises
    ------
    InvalidFile
        If a field has a value of another kind, or if sizes contradict each other.
    """
    target = unwrap_target(encoder.target)
    if type(target) not in TARGETS:
        raise InvalidFile(f"an unknown kind of target, {type(target).__name__}")
    check_fields("a network", vars(config), MODULE)
    check_fields("a training", vars(training), TRAINING)
    check_fields("a normaliser", vars(encoder.normalizer), NORMALIZER)
    check_fields("a target", vars(target), TARGETS[type(target)])
    _check_module(config)
    _check_normalizer(encoder.normalizer, config)
    _check_target(target, config)
    if not nets:
        raise InvalidFile("a model without networks")
    for net in nets:
        check_fields("the state of a network", net, NET)
        _check_noise(net["noise"])
        shapes = _check_parameters(config, net["parameters"])
        weights = [net["parameters"][n] for n in shapes if n not in BUFFERS]
        _check_moments(net["moments"], weights, training.optimizer)


def _check_module(config: ModuleConfig) -> None:
    has_tokens = config.embedding_dim is not None
    if (
        not config.hidden_sizes
        or (has_tokens and (config.n_features != 1 or config.n_tokens < 2))
        or any(column >= config.n_features for column in config.ar_columns)
        or (config.nonlinearity == "relu" and config.cell_type != "rnn")
    ):
        raise InvalidFile("sizes of the network that contradict each other")


def _check_parameters(
    config: ModuleConfig, parameters: dict[str, Any]
) -> dict[str, tuple[tuple[int, ...], str]]:
    """Return what `ModuleConfig.state_shapes` does, if the parameters have them."""
    # Each layer has its arrays: a list of a million layers ends here.
    if len(config.hidden_sizes) > len(parameters):
        raise InvalidFile("layers of the network without weights")
    shapes = config.state_shapes()
    for name in shapes | parameters:
        array: Any = parameters.get(name)
        is_array = isinstance(array, np.ndarray)
        if not is_array or (array.shape, array.dtype.name) != shapes.get(name):
            raise InvalidFile(
                f"sizes of the network that differ from its weights, in {name!r:.80}"
            )
    return shapes


def _check_normalizer(normalizer: WindowNormalizer, config: ModuleConfig) -> None:
    columns: Any = normalizer.columns
    min_std = normalizer.min_std
    is_valid = all(column < config.n_features for column in columns or ())
    if normalizer.window_norm is not None:
        is_valid &= bool(columns) and normalizer.per_step == config.return_sequences
    if normalizer.window_norm == "standard":
        is_valid &= min_std is not None and len(min_std) == len(columns)
    if not is_valid:
        raise InvalidFile("a normaliser of features that the network does not have")


def _check_target(target: Any, config: ModuleConfig) -> None:
    n = target.n_outputs
    if isinstance(target, RegressionTarget):
        n_each = len(target.levels) if isinstance(target, QuantileTarget) else 1
        is_valid = len(target.mean) == len(target.scale) == target.n_targets
        is_valid &= target.n_targets == 1 or not target.one_dimensional
        is_valid &= n == target.n_targets * n_each
    elif isinstance(target, ClassTarget):
        n_classes, per_class = len(target.classes), target.per_class
        is_valid = n == (1 if n_classes == 2 else n_classes)
        is_valid &= per_class is None or len(per_class) == n_classes
    else:
        is_valid = len(target.classes) == n and target.label_weights.shape == (n, 2)
    if isinstance(target, QuantileTarget):
        levels = sorted({*target.quantiles, 0.5})
        is_valid &= len(target.quantiles) > 0 and target.levels.tolist() == levels
    if not is_valid or n != config.n_outputs:
        raise InvalidFile("a target that does not fit the outputs of the network")


# The state of each parameter that an optimiser must have, and may have.
MOMENTS = {
    torch.optim.Adam: ({"step", "exp_avg", "exp_avg_sq"}, {"max_exp_avg_sq"}),
    torch.optim.AdamW: ({"step", "exp_avg", "exp_avg_sq"}, {"max_exp_avg_sq"}),
    torch.optim.SGD: (set(), {"momentum_buffer"}),
    torch.optim.RMSprop: ({"step", "square_avg"}, {"momentum_buffer", "grad_avg"}),
}


def _check_moments(
    moments: dict[Any, Any], parameters: list[AnyArray], optimizer: Any
) -> None:
    optimizer = optimizer_class(optimizer)
    if optimizer not in OPTIMIZERS.values():  # a user's class, in a pickle
        return
    if optimizer is torch.optim.LBFGS:  # has one state for all, of flat parameters
        total = sum(parameter.size for parameter in parameters)
        table = _lbfgs_table(total, parameters[0].dtype)
        for state in moments.values():
            check_fields("an optimiser", state, table, table)
        is_valid = set(moments) <= {0}
    else:
        required, optional = MOMENTS[optimizer]
        is_valid = all(
            is_int(i)
            and i < len(parameters)
            and is_dict(state)
            and required <= set(state) <= required | optional
            and all(
                _is_moment(name, value, parameters[i]) for name, value in state.items()
            )
            for i, state in moments.items()
        )
    if not is_valid:
        raise InvalidFile("moments of the optimiser that do not fit the weights")


def _is_moment(name: str, value: Any, parameter: AnyArray) -> bool:
    if value is None:
        return name == "momentum_buffer"
    if name == "step":
        return is_array(value, np.float32, 0) or is_array(value, np.float64, 0)
    return isinstance(value, np.ndarray) and (value.shape, value.dtype) == (
        parameter.shape,
        parameter.dtype,
    )


def _lbfgs_table(n_parameters: int, dtype: DTypeLike) -> dict[str, Check]:
    """Return the checks of the state of LBFGS: numbers, and vectors of all weights."""

    def is_vector(value: Any) -> bool:
        return is_array(value, dtype) and len(value) == n_parameters

    def is_scalar(value: Any) -> bool:
        return is_number(value) or is_array(value, dtype, 0)

    return {
        "func_evals": is_int,
        "n_iter": is_int,
        "t": is_scalar,
        "d": is_vector,
        "H_diag": is_scalar,
        "prev_flat_grad": is_none_or(is_vector),
        "prev_loss": is_scalar,
        "old_dirs": is_sequence_of(is_vector),
        "old_stps": is_sequence_of(is_vector),
        "ro": is_sequence_of(is_scalar),
        "al": is_sequence_of(is_none_or(is_scalar)),
    }


_PCG64 = {"state": partial(is_below, 2**128), "inc": partial(is_below, 2**128)}
_GENERATOR: dict[str, Check] = {
    "bit_generator": is_named("PCG64"),
    "state": is_dict,
    "has_uint32": partial(is_below, 2),
    "uinteger": partial(is_below, 2**32),
}


def _check_noise(noise: Any) -> None:
    if isinstance(noise, np.ndarray):  # of a GPU
        return
    if len(noise) != 2:
        raise InvalidFile("another number of generators")
    for state in noise:
        check_fields("a generator", state, _GENERATOR)
        check_fields("a generator", state["state"], _PCG64)
