"""Pooling over time."""

import torch

from skrnn._nn.recurrence import last_valid


def pool(output, lengths, pooling):
    """Pool every valid step's output `(N, L, D * H)` into `(N, D * H)`."""
    if pooling == "mean":
        # A sum adds in an order that depends on L, a running sum does not.
        total = last_valid(output.cumsum(dim=1), lengths)
        return total / (output.shape[1] if lengths is None else lengths[:, None])
    if lengths is not None:
        steps = torch.arange(output.shape[1], device=output.device)
        padding = (steps >= lengths[:, None])[:, :, None]
        output = output.masked_fill(padding, -torch.inf)
    return output.amax(dim=1)
