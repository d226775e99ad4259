"""The recurrence over time: one layer in one direction, in torch's equations.

Legend of shapes: N rows of a batch, L time steps, H hidden units, G gates
(1 for 'rnn', 3 for 'gru', 4 for 'lstm').
"""

import torch

N_GATES = {"rnn": 1, "gru": 3, "lstm": 4}


def recurrence(cell_type, nonlinearity, x, weights, lengths=None, reverse=False):
    """Run one recurrent layer in one direction from a state of zeros.

    Parameters
    ----------
    cell_type : {'rnn', 'gru', 'lstm'}
        Which cell.

    nonlinearity : {'tanh', 'relu'}
        Of the 'rnn' cell.

    x : tensor of shape (N, L, F)
        Right-padded; what stands behind the end of a row never reaches its output.

    weights : sequence of 4 tensors
        `weight_ih` (G * H, F), `weight_hh` (G * H, H), `bias_ih` and `bias_hh`
        (G * H,), gates in torch's order.

    lengths : tensor of shape (N,), default=None
        Valid steps of each row; None where all are valid.

    reverse : bool, default=False
        Whether to run from the last valid step of each row to its first.

    Returns
    -------
    output : tensor of shape (N, L, H)
        The hidden state at every step of `x`, in the order of `x`.

    h_n : tensor of shape (N, H)
        The hidden state after the last step run: of step `length - 1`, or of step 0
        with `reverse`.
    """
    if reverse:
        x = reverse_valid(x, lengths)
    h_0 = x.new_zeros(1, len(x), weights[1].shape[1])
    flags = (True, 1, 0.0, False, False, True)  # biases, layers, ..., batch first
    if cell_type == "lstm":
        output = torch.lstm(x, (h_0, h_0), weights, *flags)[0]
    elif cell_type == "gru":
        output = torch.gru(x, h_0, weights, *flags)[0]
    elif nonlinearity == "relu":
        output = torch.rnn_relu(x, h_0, weights, *flags)[0]
    else:
        output = torch.rnn_tanh(x, h_0, weights, *flags)[0]
    h_n = last_valid(output, lengths)
    if reverse:
        output = reverse_valid(output, lengths)
    return output, h_n


def reverse_valid(x, lengths=None):
    """Reverse the valid steps of each row, leaving the padding behind them."""
    if lengths is None:
        return x.flip(1)
    steps = torch.arange(x.shape[1], device=x.device)
    mirrored = lengths[:, None] - 1 - steps
    index = torch.where(mirrored >= 0, mirrored, steps)
    return x.gather(1, index[:, :, None].expand_as(x))


def last_valid(output, lengths=None):
    """Return what stands at the last valid step of each row, `(N, H)`."""
    if lengths is None:
        return output[:, -1]
    return output[torch.arange(len(output), device=output.device), lengths - 1]
