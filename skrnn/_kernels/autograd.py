"""Compiled layers as an operation of torch's autograd."""

from functools import wraps

import numpy as np
import torch

from skrnn._kernels.layers import go_back, run_layer


def of_first_order(backward):
    """Refuse gradients of gradients, which would silently lack a part."""

    @wraps(backward)
    def checked(ctx, *gradients):
        if torch.is_grad_enabled():  # the backward pass itself is to be recorded
            raise RuntimeError(
                "The compiled recurrence has no second derivative. Uninstall numba "
                "to train through torch's own layers, which have one."
            )
        return backward(ctx, *gradients)

    return checked


def run_on_tensors(cell_type, relu, x, *weights_and_state):
    """Do what `FusedLayer` does, without a word to torch if nothing is recorded."""
    if torch.is_grad_enabled():
        return FusedLayer.apply(cell_type, relu, x, *weights_and_state)
    x, *arrays = (tensor.numpy()[None] for tensor in (x, *weights_and_state))
    run = run_layer(cell_type, relu, x, arrays[:4], arrays[4:], keep=False)
    output = torch.from_numpy(run.states[0, 1:])
    if run.cells is None:
        return output, output[-1]
    return output, output[-1], torch.from_numpy(run.cells[0, 1:])


class FusedLayer(torch.autograd.Function):
    """A layer in one direction, or M of them as one.

    Takes x `(L, N, F)`, its four weights and the state to start from, and gives
    (output, h_n), of an LSTM (output, h_n, cells): c after every step, which torch does
    not tell. With a leading axis of models, everything has it; x may have one of
    length 1, for the same rows in all models.
    """

    @staticmethod
    def forward(ctx, cell_type, relu, x, *weights_and_state):
        """Run all steps."""
        ctx.one = x.ndim == 3
        arrays = [tensor.detach().numpy() for tensor in (x, *weights_and_state)]
        if ctx.one:
            arrays = [array[None] for array in arrays]
        run = run_layer(cell_type, relu, arrays[0], arrays[1:5], tuple(arrays[5:]))
        steps = 0 if ctx.one else 1
        whole = [
            torch.from_numpy(array[0] if ctx.one else array)
            for array in (run.states, run.cells)
            if array is not None
        ]
        ctx.run = run
        # What torch knows of, it can tell if somebody changes it in between.
        ctx.save_for_backward(x, *weights_and_state, *whole)
        ctx.set_materialize_grads(False)
        output, *cells = (
            part.narrow(steps, 1, part.shape[steps] - 1) for part in whole
        )
        return output, output.select(steps, -1).clone(), *cells

    @staticmethod
    @of_first_order
    def backward(ctx, d_out, d_last, d_cells=None):
        """Go back through all steps."""
        _ = ctx.saved_tensors  # refuses if one of them has been changed
        run, needs = ctx.run, ctx.needs_input_grad
        d_out, d_last, d_cells = (
            None if d is None else (d.numpy()[None] if ctx.one else d.numpy())
            for d in (d_out, d_last, d_cells)
        )
        first = run.states[:, 0]
        d_state = [np.zeros_like(first) if d_last is None else d_last.copy()]
        if run.cells is not None:
            d_state.append(np.zeros_like(first))
        d_x, d_weights = go_back(run, d_out, d_state, d_cells, d_x=needs[2])
        gradients = [
            torch.from_numpy(d[0] if ctx.one else d) if needed else None
            for d, needed in zip((d_x, *d_weights, *d_state), needs[2:], strict=True)
        ]
        return None, None, *gradients
