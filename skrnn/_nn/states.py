"""Checks of initial states that users pass."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import torch
from torch import Tensor

from skrnn._typing import AnyArray

if TYPE_CHECKING:
    from skrnn._nn.module import RecurrentModule

# The states of all layers: `(h,)` or `(h, c)`, each of shape (D, N, H).
States: TypeAlias = list[tuple[Tensor, ...]]


def check_states(h_0: Any, module: RecurrentModule, n: int) -> States:
    """Validate initial states, and return them in the form that the module takes.

    Parameters
    ----------
    h_0 : array-like, list of arrays, or tuple of two of these
        In the form of `h_n` from `hidden_states`: `(layers * D, N, H)`, or for layers
        of different sizes a list of `(D, N, H)`; for an LSTM a tuple of two of these.

    module : RecurrentModule
        Its layers determine the shapes.

    n : int
        Number of rows N.

    Returns
    -------
    states : list of tuples of tensors of shape (D, N, H)
        For each layer (h_0,), or (h_0, c_0) of an LSTM.

    Raises
    ------
    ValueError
        If a shape does not match the layers, or a value is not finite.
    """
    names = ("h_0", "c_0") if module.cell_type == "lstm" else ("h_0",)
    parts = h_0 if len(names) == 2 else (h_0,)
    if len(names) == 2 and not (isinstance(h_0, tuple) and len(h_0) == 2):
        raise ValueError(
            "h_0 must be a tuple (h_0, c_0) for cell_type='lstm'. Got "
            f"{type(h_0).__name__}."
        )
    columns = [
        _check_part(part, module, n, name)
        for name, part in zip(names, parts, strict=True)
    ]
    weight = module.head.weight
    return [
        tuple(torch.as_tensor(part).to(weight) for part in layer_parts)
        for layer_parts in zip(*columns, strict=True)
    ]


def _check_part(
    part: Any, module: RecurrentModule, n: int, name: str
) -> list[AnyArray]:
    """Return h_0 or c_0 as one array per layer."""
    sizes = [layer.hidden_size for layer in module.layers]
    n_directions = 2 if module.bidirectional else 1
    if len(set(sizes)) == 1:
        shape = (len(sizes) * n_directions, n, sizes[0])
        if np.shape(part) != shape:
            raise ValueError(
                f"{name} must have shape {shape}: layers times directions, "
                f"sequences, hidden_size. Got shape {np.shape(part)}."
            )
        layers = np.split(np.asarray(part), len(sizes))
    else:
        shapes = [(n_directions, n, size) for size in sizes]
        if [np.shape(layer) for layer in part] != shapes:
            raise ValueError(
                f"{name} must be a list of arrays of shapes {shapes}, one for each "
                f"layer. Got {[np.shape(layer) for layer in part]}."
            )
        layers = part
    if not all(np.isfinite(layer).all() for layer in layers):
        raise ValueError(f"{name} must be finite. Got NaN or infinity.")
    return layers
