"""Compiled layers as an operation of torch's autograd."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

import numpy as np
import torch
from torch import Tensor

from skrnn._kernels.layers import layer_backward, layer_forward


def first_order_only(backward: Callable[..., Any]) -> Callable[..., Any]:
    """Refuse to differentiate a backward pass, whose gradient would be incomplete."""

    @wraps(backward)
    def checked(ctx: Any, *gradients: Tensor) -> Any:
        if torch.is_grad_enabled():  # create_graph=True
            raise RuntimeError(
                "The compiled recurrence has no second derivative. Uninstall numba "
                "to train through torch's own layers, which have one."
            )
        return backward(ctx, *gradients)

    return checked


def run_layer_on_tensors(
    cell_type: str, relu: bool, x: Tensor, *weights_and_state: Tensor
) -> tuple[Tensor, ...]:
    """Return what `CompiledLayer` returns, outside autograd if it is disabled."""
    if torch.is_grad_enabled():
        return CompiledLayer.apply(cell_type, relu, x, *weights_and_state)
    x, *arrays = (tensor.numpy() for tensor in (x, *weights_and_state))
    run = layer_forward(cell_type, relu, x, arrays[:4], arrays[4:], save=False)
    output = torch.from_numpy(run.states[1:])
    if run.cells is None:
        return output, output[-1]
    return output, output[-1], torch.from_numpy(run.cells[1:])


class CompiledLayer(torch.autograd.Function):
    """A layer in one direction.

    Takes x `(L, N, F)`, its four weights and the initial state; returns (output, h_n),
    for an LSTM (output, h_n, cells): c after every step, which torch's layers do not
    return.
    """

    @staticmethod
    def forward(
        ctx: Any, cell_type: str, relu: bool, x: Tensor, *weights_and_state: Tensor
    ) -> tuple[Tensor, ...]:
        """Run all steps."""
        arrays = [tensor.detach().numpy() for tensor in (x, *weights_and_state)]
        run = layer_forward(cell_type, relu, arrays[0], arrays[1:5], arrays[5:])
        steps = [
            torch.from_numpy(array)
            for array in (run.states, run.cells)
            if array is not None
        ]
        ctx.run = run
        # autograd notices if a saved tensor is modified in place before the backward
        # pass.
        ctx.save_for_backward(x, *weights_and_state, *steps)
        ctx.set_materialize_grads(False)
        output, *cells = (part[1:] for part in steps)
        return output, output[-1].clone(), *cells

    @staticmethod
    @first_order_only
    def backward(
        ctx: Any,
        grad_output: Tensor | None,
        grad_h_n: Tensor | None,
        grad_cells: Tensor | None = None,
    ) -> tuple[Any, ...]:
        """Run the backward pass over all steps."""
        _ = ctx.saved_tensors  # raises if one of them was modified
        run, (_, _, needs_x, *needs_rest) = ctx.run, ctx.needs_input_grad
        grad_output, grad_h_n, grad_cells = (
            None if gradient is None else gradient.numpy()
            for gradient in (grad_output, grad_h_n, grad_cells)
        )
        h_0 = run.states[0]
        grad_state = [np.zeros_like(h_0) if grad_h_n is None else grad_h_n.copy()]
        if run.cells is not None:
            grad_state.append(np.zeros_like(h_0))
        grad_x, grad_weights = layer_backward(
            run, grad_output, grad_state, grad_cells, grad_x=needs_x
        )
        gradients = [
            torch.from_numpy(gradient) if needed else None
            for gradient, needed in zip(
                (grad_x, *grad_weights, *grad_state),
                (needs_x, *needs_rest),
                strict=True,
            )
        ]
        return None, None, *gradients
