"""A network in one line, for the HTML representation of an estimator."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import nn

if TYPE_CHECKING:
    from skrnn._nn.module import RecurrentModule


def describe(module: RecurrentModule) -> str:
    """Return the layers of a network in the order of computation.

    Parameters
    ----------
    module : RecurrentModule

    Returns
    -------
    text : str
        Layers by their names in torch, with the numbers of their inputs and outputs.
    """
    config, parts = module.config, []
    if module.embedding is not None:
        parts.append(_layer("Embedding", config.n_tokens, config.embedding_dim))
    if config.patch_size > 1:
        parts.append(f"patches of {config.patch_size} steps")
    options = ["bidirectional"] if config.bidirectional else []
    if config.nonlinearity != "tanh":
        options.append(config.nonlinearity)
    for layer in module.layers:
        kind = config.cell_type.upper()
        parts.append(_layer(kind, layer.input_size, layer.hidden_size, *options))
    if not config.return_sequences and config.pooling != "last":
        parts.append(f"{config.pooling} pooling")
    parts.append(_layer("Linear", module.head.in_features, config.n_outputs))
    text = " → ".join(parts)
    if module.highway is not None:
        highway = _layer("Linear", module.highway.in_features, config.n_outputs)
        text += f", plus {highway} of the last values"
    return text


def count_parameters(module: nn.Module) -> int:
    """Return the number of trained parameters of a network."""
    return sum(parameter.numel() for parameter in module.parameters())


def _layer(kind: str, *arguments: object) -> str:
    return f"{kind}({', '.join(map(str, arguments))})"
