"""An estimator as JSON and arrays, and back.

The document has the name of the class, the parameters, the fitted attributes, and a
part each for the network, the training, the normaliser, the target and the state of
each member's net. Attributes that follow from these parts are not stored.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import fields
from typing import Any

from sklearn.base import RegressorMixin
from sklearn.utils.metadata_routing import MetadataRequest
from sklearn.utils.validation import check_is_fitted

from skrnn._compat import without_callbacks
from skrnn._data.normalization import WindowNormalizer
from skrnn._data.samples import SampleEncoder
from skrnn._data.step_targets import StepwiseTarget, unwrap_target
from skrnn._data.targets import RegressionTarget
from skrnn._nn.config import ModuleConfig
from skrnn._saving import checks
from skrnn._saving.checks import check_fields
from skrnn._saving.container import InvalidFile, read_file, write_file
from skrnn._saving.values import CannotSave, decode, encode
from skrnn._training.config import TrainingConfig
from skrnn._typing import AnyArray, Estimator, FilePath
from skrnn._version import __version__

TARGETS = {cls.__name__: cls for cls in checks.TARGETS}
PARTS = {
    "class",
    "skrnn_version",
    "params",
    "requests",
    "attributes",
    "module",
    "training",
    "normalizer",
    "target",
    "nets",
}
# Attributes that follow from the network, the target and the normaliser.
DERIVED = {
    "n_outputs_": lambda config, encoder: config.n_outputs,
    "pooling_": lambda config, encoder: config.pooling,
    "patch_size_": lambda config, encoder: config.patch_size,
}
DERIVED_OF_REGRESSORS = {
    "window_norm_": lambda config, encoder: encoder.normalizer.window_norm,
    "ar_order_": lambda config, encoder: config.ar_order,
}
DERIVED_OF_CLASSIFIERS = {
    "classes_": lambda config, encoder: encoder.target.classes,
}


# -- saving


def save_estimator(estimator: Estimator, path: FilePath) -> None:
    """Write a fitted estimator to a file, see `BaseRecurrent.save_model`."""
    check_is_fitted(estimator)
    owner = type(estimator).__name__
    if not type(estimator).__module__.startswith("skrnn."):
        raise ValueError(
            "save_model must be called on an estimator of skrnn, since load_model "
            f"imports no other classes. Got {owner}, a class of "
            f"{type(estimator).__module__}. Save it with joblib, or save an estimator "
            "of skrnn with the same parameters."
        )
    document, arrays = to_document(estimator)
    write_file(path, document, arrays)


def to_document(estimator: Estimator) -> tuple[dict[str, Any], dict[str, AnyArray]]:
    """Return an estimator as JSON, and the arrays that it refers to."""
    params = estimator.get_params(deep=False)
    state = {
        name: value
        for name, value in without_callbacks(estimator.__getstate__()).items()
        if name not in params and name != "_skrnn_version"
    }
    request = state.pop("_metadata_request", None)
    config, training = state.pop("_module_config"), state.pop("_training_config")
    encoder = state.pop("_encoder")
    nets = [state.pop("_net_state"), *state.pop("_other_net_states")]
    is_regressor = isinstance(unwrap_target(encoder.target), RegressionTarget)
    derived, known = _attribute_tables(is_regressor)
    attributes = {n: value for n, value in state.items() if n not in derived}
    owner = type(estimator).__name__
    arrays: dict[str, AnyArray] = {}
    for name in attributes:
        if name not in known:
            raise ValueError(
                f"{owner} must have no attributes but those of fit for save_model. Got "
                f"{name!r}. Delete the attribute, or save with joblib."
            )
    document: dict[str, Any]
    document = {"class": owner, "skrnn_version": __version__}  # to look at
    for part, values in {
        "params": params,
        "requests": _requests_of(request),
        "attributes": attributes,
        "module": _fields_of(config),
        "training": _fields_of(training),
        "normalizer": vars(encoder.normalizer),
        "target": _target_fields(encoder.target),
        "nets": dict(enumerate(nets)),
    }.items():
        document[part] = {
            str(name): _encode_of(owner, part, name, value, arrays)
            for name, value in values.items()
        }
    document["nets"] = list(document["nets"].values())
    return document, arrays


def _encode_of(
    owner: str, part: str, name: str, value: Any, arrays: dict[str, AnyArray]
) -> Any:
    try:
        return encode(value, f"{part}.{name}", arrays)
    except CannotSave as error:
        what, remedy = f"The {name!r} attribute of {owner}", "Save with joblib."
        if part in ("params", "training"):
            what = f"The {name!r} parameter of {owner}"
            remedy = "Set another value, or save with joblib."
        if part == "training":
            what += ", as it was in the last fit,"
            remedy = "Call fit with another value, or save with joblib."
        raise ValueError(
            f"{what} must hold only None, numbers, strings, lists, tuples, dicts, "
            f"arrays and random states for save_model. Got {error.args[1]!r}. {remedy}"
        ) from None


def _fields_of(config: Any) -> dict[str, Any]:
    return {field.name: getattr(config, field.name) for field in fields(config)}


def _target_fields(target: Any) -> dict[str, Any]:
    inner = unwrap_target(target)
    return {"type": type(inner).__name__} | vars(inner)


def _requests_of(request: Any) -> dict[str, Any]:
    """Return the requests of metadata routing by method."""
    if request is None:
        return {}
    requests = {
        method: getattr(part, "requests", {}) for method, part in vars(request).items()
    }
    return {method: dict(given) for method, given in requests.items() if given}


def _attribute_tables(
    is_regressor: bool,
) -> tuple[dict[str, Callable[[Any, Any], Any]], dict[str, Any]]:
    """Return the functions of derived attributes, and the checks of all others."""
    if is_regressor:
        return (
            DERIVED | DERIVED_OF_REGRESSORS,
            checks.ATTRIBUTES | checks.ATTRIBUTES_OF_REGRESSORS,
        )
    return DERIVED | DERIVED_OF_CLASSIFIERS, checks.ATTRIBUTES


# -- loading


def load_estimator(path: FilePath, estimators: Mapping[str, type]) -> Any:
    """Read the file of an estimator.

    Parameters
    ----------
    path : str or path-like

    estimators : dict of str to type
        The classes that a file may name.

    Returns
    -------
    estimator : object
        A fitted estimator.

    Raises
    ------
    ValueError
        If the file is not what `save_estimator` wrote.
    """
    try:
        return from_document(*read_file(path), estimators)
    except InvalidFile as error:
        raise ValueError(
            f"{str(path)!r} must be a file that save_model wrote, complete and "
            f"unchanged. Got {error}. Save the model again, or get another copy of "
            "the file."
        ) from error


def from_document(
    document: dict[str, Any],
    arrays: dict[str, AnyArray],
    estimators: Mapping[str, type],
) -> Any:
    """Return the estimator that a document describes, after checking all of it."""
    if not isinstance(document, dict) or set(document) != PARTS:
        raise InvalidFile("a model with missing or unknown parts")
    name, _ = document.pop("class"), document.pop("skrnn_version")
    if not isinstance(name, str) or name not in estimators:
        raise InvalidFile(f"an unknown class of estimator, {name!r:.80}")
    cls = estimators[name]
    parts = {name: decode(value, arrays) for name, value in document.items()}
    if arrays:
        raise InvalidFile(f"an additional tensor, {min(arrays)!r:.80}")
    estimator = _make_estimator(cls, parts["params"])
    config = _make(ModuleConfig, "a network", parts["module"], checks.MODULE)
    training = _make(TrainingConfig, "a training", parts["training"], checks.TRAINING)
    encoder = _make_encoder(parts["normalizer"], parts["target"], config)
    nets = parts["nets"]
    if not isinstance(nets, list):
        raise InvalidFile("networks that are not a list")
    checks.check_state(config, training, encoder, nets)
    is_regressor = isinstance(unwrap_target(encoder.target), RegressionTarget)
    if is_regressor != issubclass(cls, RegressorMixin):
        raise InvalidFile(f"a target that {name} does not have")
    derived, known = _attribute_tables(is_regressor)
    attributes = parts["attributes"]
    check_fields("a model", attributes, known, checks.MAY_BE_MISSING)
    _check_attributes(attributes, config)
    state = attributes | {n: value(config, encoder) for n, value in derived.items()}
    request = _make_request(parts["requests"], estimator)
    if request is not None:
        state["_metadata_request"] = request
    state |= {
        "_encoder": encoder,
        "_module_config": config,
        "_training_config": training,
        "_net_state": nets[0],
        "_other_net_states": nets[1:],
        "_skrnn_version": __version__,
    }
    try:
        estimator.__setstate__(vars(estimator) | state)
    except Exception as error:  # torch's optimisers raise many
        raise InvalidFile(f"a state that cannot be restored ({error})") from error
    return estimator


def _make(cls: type, owner: str, values: Any, table: Any) -> Any:
    """Return an object with the given fields, all of which have been checked."""
    check_fields(owner, values, table)
    made: Any = object.__new__(cls)
    vars(made).update(values)
    return made


def _make_estimator(cls: type, params: dict[str, Any]) -> Any:
    """Return an estimator with the parameters; those of a later version are unknown."""
    known = cls().get_params(deep=False)
    unknown: list[str] = [] if isinstance(params, dict) else ["params"]
    unknown = unknown or [name for name in params if name not in known]
    if unknown:
        raise InvalidFile(f"an unknown parameter of {cls.__name__}, {unknown[0]!r:.80}")
    return cls(**params)


def _make_encoder(normalizer: Any, target: Any, config: ModuleConfig) -> SampleEncoder:
    """Return the `SampleEncoder` of these fields."""
    kind = target.pop("type", None) if isinstance(target, dict) else None
    if not isinstance(kind, str) or kind not in TARGETS:
        raise InvalidFile(f"an unknown kind of target, {kind!r:.80}")
    cls = TARGETS[kind]
    normalizer = _make(WindowNormalizer, "a normaliser", normalizer, checks.NORMALIZER)
    target = _make(cls, "a target", target, checks.TARGETS[cls])
    if config.return_sequences:
        target = StepwiseTarget(target)
    return SampleEncoder(normalizer, target)


def _check_attributes(attributes: dict[str, Any], config: ModuleConfig) -> None:
    n_features = attributes["n_features_in_"]
    if attributes["_input_kind"] == "fixed":
        is_valid = config.n_features == 1
    else:
        is_valid = config.n_features == n_features
    names = attributes.get("feature_names_in_")
    is_valid = is_valid and (names is None or len(names) == n_features)
    columns = attributes.get("_columns") or ()
    is_valid = is_valid and all(column < config.n_features for column in columns)
    if config.embedding_dim is not None:
        is_valid = is_valid and attributes.get("_n_tokens") == config.n_tokens
        is_valid = is_valid and "_has_padding" in attributes
    if not is_valid:
        raise InvalidFile("attributes that do not fit the sizes of the network")


def _make_request(requests: Any, estimator: Estimator) -> Any:
    """Return the requests of metadata routing as scikit-learn keeps them."""
    if not checks.is_dict(requests) or not all(map(checks.is_dict, requests.values())):
        raise InvalidFile("invalid requests of metadata")
    if not requests:
        return None
    request = MetadataRequest(owner=type(estimator).__name__)
    try:
        for method, given in requests.items():
            for name, alias in given.items():
                getattr(request, method).add_request(param=name, alias=alias)
    except (AttributeError, ValueError, TypeError) as error:
        raise InvalidFile("invalid requests of metadata") from error
    return request
