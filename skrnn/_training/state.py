"""The state of a net as numpy arrays and plain data, and back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch

if TYPE_CHECKING:
    from skrnn._training.net import RecurrentNet


def export_state(net: RecurrentNet, with_history: bool = True) -> dict[str, Any]:
    """Return everything that a net has learned as numpy arrays and plain data."""
    history = net.history if with_history else []
    return {
        "parameters": _to_plain(dict(net.module_.state_dict())),
        "moments": _to_plain(net.optimizer_.state_dict()["state"]),
        "order_generator": _to_plain(net.order_generator_.get_state()),
        "noise": net.module_.noise.state(),
        "history": [
            {key: value for key, value in row.items() if key != "batches"}
            for row in history
        ],
    }


def import_state(
    net: RecurrentNet, state: dict[str, Any], with_moments: bool = True
) -> RecurrentNet:
    """Continue from what `export_state` returned.

    Parameters
    ----------
    net : RecurrentNet
        Initialised, with a module and an optimiser of the same kind.

    state : dict
        What `export_state` returned.

    with_moments : bool, default=True
        Whether the optimiser continues with its moments.

    Returns
    -------
    net : RecurrentNet
    """
    net.module_.load_state_dict(_to_tensors(state["parameters"]))
    if with_moments and state["moments"]:
        groups = net.optimizer_.state_dict()["param_groups"]  # with the current options
        net.optimizer_.load_state_dict(
            {"state": _to_tensors(state["moments"]), "param_groups": groups}
        )
    for group in net.optimizer_.param_groups:  # torch's schedules read it
        group.setdefault("initial_lr", group["lr"])
    net.order_generator_.set_state(torch.tensor(state["order_generator"]))
    net.module_.noise.set_state(state["noise"])
    for row in state["history"]:
        net.history.append({**row, "batches": []})
    return net


def _to_plain(value: Any) -> Any:
    if isinstance(value, torch.Tensor):
        return value.detach().cpu().numpy().copy()
    if isinstance(value, dict):
        return {key: _to_plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_to_plain(item) for item in value]
    return value


def _to_tensors(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        return torch.tensor(value)
    if isinstance(value, dict):
        return {key: _to_tensors(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_to_tensors(item) for item in value]
    return value
