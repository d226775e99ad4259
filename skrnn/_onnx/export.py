"""A fitted estimator as an ONNX model."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from sklearn.utils.validation import check_is_fitted
from torch import nn

from skrnn._data.sequences import FIXED
from skrnn._data.step_targets import unwrap_target
from skrnn._files import replace_file
from skrnn._nn.module import LAYER_TYPES, Linear, RecurrentModule
from skrnn._onnx.graph import Graph
from skrnn._onnx.inputs import STEPS, normalize_windows, read_batch
from skrnn._onnx.network import NetworkWriter
from skrnn._onnx.outputs import OutputWriter
from skrnn._typing import Estimator, FilePath
from skrnn._version import __version__

if TYPE_CHECKING:
    import onnx

PARTS = {
    RecurrentModule,
    *LAYER_TYPES.values(),
    Linear,
    nn.Embedding,
    nn.ModuleList,
    nn.ParameterList,
}


def export_model(estimator: Estimator, path: FilePath) -> None:
    """Write the graph of an estimator to a file, see `BaseRecurrent.export_onnx`."""
    check_is_fitted(estimator)
    replace_file(path, make_model(estimator).SerializeToString())


def make_model(estimator: Estimator) -> onnx.ModelProto:
    """Return the graph of a fitted estimator, an `onnx.ModelProto`."""
    graph, encoder = Graph(), estimator._encoder
    config, normalizer = estimator._module_config, encoder.normalizer
    is_shortened = normalizer.window_norm == "difference" and not normalizer.per_step
    batch = read_batch(graph, estimator, min_steps=2 if is_shortened else 1)
    normalized, reference = normalize_windows(graph, batch, normalizer)
    modules = estimator._modules()
    outputs = []
    for i, module in enumerate(modules):
        check_module(module)
        prefix = f"members.{i}." if len(modules) > 1 else ""
        outputs.append(NetworkWriter(graph, module, prefix).forward(normalized))
    n_steps = None
    if config.return_sequences:
        is_fixed = estimator._input_kind == FIXED
        n_steps = estimator.n_features_in_ if is_fixed else STEPS
    target = unwrap_target(encoder.target)
    OutputWriter(graph, target, batch, n_steps).write(outputs, reference)
    owner = type(estimator).__name__
    return graph.to_model(
        name=owner,
        doc=f"A fitted {owner} of skrnn: what it predicts for X in float32.",
        properties=properties_of(estimator),
        producer_name="skrnn",
        producer_version=__version__,
    )


def check_module(module: RecurrentModule) -> None:
    """Refuse a network that computes something else than skrnn's modules do.

    Raises
    ------
    ValueError
        If a part was replaced, or has hooks that may change its output.
    """
    for name, part in module.named_modules():
        problem = None
        if type(part) not in PARTS:
            problem = f"a {type(part).__name__}"
        elif part._forward_hooks or part._forward_pre_hooks:
            problem = "forward hooks"
        if problem is not None:
            place = f"module_.{name}" if name else "module_"
            raise ValueError(
                "The network must be as fit made it for export_onnx. Got "
                f"{problem} at {place}. Remove what was added to module_."
            )


def properties_of(estimator: Estimator) -> dict[str, str]:
    """Return what else a reader of the file may want to know."""
    names = getattr(estimator, "feature_names_in_", None)
    if names is None:
        names = estimator._columns_of_frames or []
    properties = {"estimator": type(estimator).__name__}
    if len(names):
        properties["feature_names"] = json.dumps([str(name) for name in names])
    return properties
