"""One recurrent layer over time, with torch's equations.

Legend of shapes: N rows of a batch, L time steps, H hidden units, G gates
(1 for 'rnn', 3 for 'gru', 4 for 'lstm').
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from skrnn._kernels.availability import compiled_kernels
from skrnn._nn.config import N_GATES

# torch's matrix products round a row differently depending on its alignment in memory.
# Rows whose lengths are multiples of this are aligned alike.
ROW_BLOCK = 16


def recurrence(
    cell_type: str,
    nonlinearity: str,
    x: Tensor,
    weights: Any,
    lengths: Tensor | None = None,
    reverse: bool = False,
    aligned: bool = False,
    state: tuple[Tensor, ...] | None = None,
    with_cell: bool = False,
) -> tuple[Tensor, tuple[Tensor, ...]]:
    """Run one layer in one direction.

    Parameters
    ----------
    cell_type : {'rnn', 'gru', 'lstm'}
        Which cell.

    nonlinearity : {'tanh', 'relu'}
        Activation of the 'rnn' cell.

    x : tensor of shape (N, L, F)
        Input, padded on the right. The padding does not affect the valid steps.

    weights : sequence of 4 tensors
        `weight_ih` (G * H, F), `weight_hh` (G * H, H), `bias_ih` and `bias_hh`
        (G * H,), with the gates in torch's order.

    lengths : tensor of shape (N,), default=None
        Valid steps of each row; None where all are valid.

    reverse : bool, default=False
        Whether to run from the last valid step of each row to its first.

    aligned : bool, default=False
        Whether torch's layers pad features and units with zeros, which makes a row's
        output the same bits at any place in the batch on most processors. Compiled
        layers need no padding for that.

    state : tuple of tensors of shape (N, H), default=None
        Initial state: (h_0,), for an LSTM (h_0, c_0); zeros if None.

    with_cell : bool, default=False
        Whether to return c after the last valid step of an LSTM. Where rows differ in
        length, torch's layer then runs twice.

    Returns
    -------
    output : tensor of shape (N, L, H)
        Hidden state at every step of `x`, in the order of `x`.

    state : tuple of tensors of shape (N, H)
        State after the last step run: step `length - 1`, or step 0 with `reverse`.
        (h_n,), or (h_n, c_n) of an LSTM; without `with_cell`, c_n may be wrong for rows
        shorter than L.
    """
    n_hidden = weights[1].shape[1]
    if reverse:
        x = reverse_valid(x, lengths)
    if state is None:
        zeros = x.new_zeros(x.shape[0], n_hidden)
        state = (zeros,) * (2 if cell_type == "lstm" else 1)
    kernels = compiled_kernels(x.device, x.dtype)
    if kernels is not None:
        relu = cell_type == "rnn" and nonlinearity == "relu"
        run = partial(kernels.run_layer_on_tensors, cell_type, relu)
        return _run_compiled(run, x, weights, lengths, reverse, state)
    if aligned:
        x, weights = pad_last(x), pad_weights(weights, N_GATES[cell_type])
        state = tuple(pad_last(part) for part in state)
    state = tuple(part[None].contiguous() for part in state)
    c_n: Any
    if cell_type == "lstm" and with_cell and lengths is not None:
        c_n = _packed_lstm(x, weights, lengths, state)
    else:
        c_n = None
    # Time first and contiguous: otherwise torch chooses another matrix product for
    # sequences of one step.
    x = x.transpose(0, 1).contiguous()
    flags: Any = (True, 1, 0.0, False, False, False)  # biases, layers, ..., batch first
    if cell_type == "lstm":
        output, _, c_last = torch.lstm(x, state, weights, *flags)
        c_n = c_last[0] if c_n is None else c_n
    elif cell_type == "gru":
        output = torch.gru(x, state[0], weights, *flags)[0]
    elif nonlinearity == "relu":
        output = torch.rnn_relu(x, state[0], weights, *flags)[0]
    else:
        output = torch.rnn_tanh(x, state[0], weights, *flags)[0]
    output = output.transpose(0, 1)[:, :, :n_hidden]
    final = (last_valid(output, lengths),)
    if cell_type == "lstm":
        final += (c_n[:, :n_hidden],)
    if reverse:
        output = reverse_valid(output, lengths)
    return output, final


def run_on_accelerator(
    layer: nn.RNNBase,
    x: Tensor,
    lengths: Tensor | None,
    state: Any = None,
) -> tuple[Tensor, tuple[Tensor, ...]]:
    """Run a layer through torch's own module, packed where rows differ in length.

    On a GPU one call of the vendor's library is faster than anything written step by
    step, and packing costs little; on a CPU packing costs a factor of 2 to 8.
    """
    if state is not None and len(state) == 1:
        (state,) = state
    if lengths is None:
        output, state = layer(x, state)
    else:
        # One synchronisation per batch: the library needs the lengths on the host.
        packed = pack_padded_sequence(
            x, lengths.cpu(), batch_first=True, enforce_sorted=False
        )
        packed, state = layer(packed, state)
        output, _ = pad_packed_sequence(
            packed, batch_first=True, total_length=x.shape[1]
        )
    return output, state if isinstance(state, tuple) else (state,)


def _run_compiled(
    run: Callable[..., tuple[Tensor, ...]],
    x: Tensor,
    weights: Sequence[Tensor],
    lengths: Tensor | None,
    reverse: bool,
    state: tuple[Tensor, ...],
) -> tuple[Tensor, tuple[Tensor, ...]]:
    """Return what `recurrence` does, from a compiled layer; `x` is already reversed."""
    x = x.transpose(0, 1).contiguous()
    output, h_n, *cells = run(x, *weights, *state)
    output = output.transpose(0, 1)
    if lengths is not None:
        h_n = last_valid(output, lengths)
    # The padding was run too, after the valid steps, and is not used.
    final = (h_n, *(last_valid(c.transpose(0, 1), lengths) for c in cells))
    return reverse_valid(output, lengths) if reverse else output, final


def _packed_lstm(
    x: Tensor,
    weights: Any,
    lengths: Tensor,
    state: tuple[Tensor, ...],
) -> Tensor:
    """Return c of an LSTM after the last valid step of each row, `(N, H)`.

    torch returns c of the last step only, which is the last valid one of packed rows.
    """
    packed = pack_padded_sequence(
        x, lengths.cpu(), batch_first=True, enforce_sorted=False
    )
    state = tuple(part[:, packed.sorted_indices] for part in state)
    flags: Any = (True, 1, 0.0, False, False)  # biases, layers, ..., bidirectional
    _, _, c_n = torch.lstm(packed.data, packed.batch_sizes, state, weights, *flags)
    return c_n[0][packed.unsorted_indices]


def aligned_linear(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """Return `x @ weight.T + bias`, see `aligned` of `recurrence`."""
    padding = -len(weight) % ROW_BLOCK
    weight, bias = pad_last(F.pad(weight, (0, 0, 0, padding))), pad_last(bias)
    return F.linear(pad_last(x), weight, bias)[..., : len(weight) - padding]


def pad_last(x: Tensor) -> Tensor:
    """Pad the last axis with zeros to a multiple of `ROW_BLOCK`."""
    padding = -x.shape[-1] % ROW_BLOCK
    return F.pad(x, (0, padding)) if padding else x


def pad_weights(weights: Sequence[Tensor], n_gates: int) -> tuple[Tensor, ...]:
    """Pad a layer's features and units with zeros.

    With zero weights and biases every cell computes 0 from a state of 0, so that the
    added units stay at zero.
    """
    weight_ih, weight_hh, bias_ih, bias_hh = weights
    padding = -weight_hh.shape[1] % ROW_BLOCK
    if padding:
        weight_ih, weight_hh, bias_ih, bias_hh = (
            F.pad(
                w.reshape(n_gates, -1, *w.shape[1:]),
                (0, 0) * (w.ndim - 1) + (0, padding),
            ).flatten(0, 1)
            for w in weights
        )
    return pad_last(weight_ih), pad_last(weight_hh), bias_ih, bias_hh


def reverse_valid(x: Tensor, lengths: Tensor | None = None) -> Tensor:
    """Reverse the valid steps of each row; the padding stays in place."""
    if lengths is None:
        return x.flip(1)
    steps = torch.arange(x.shape[1], device=x.device)
    reversed_steps = lengths[:, None] - 1 - steps
    index = torch.where(reversed_steps >= 0, reversed_steps, steps)
    return x.gather(1, index[:, :, None].expand_as(x))


def last_valid(output: Tensor, lengths: Tensor | None = None) -> Tensor:
    """Return the last valid step of each row, `(N, H)`."""
    if lengths is None:
        return output[:, -1]
    return output[torch.arange(len(output), device=output.device), lengths - 1]
