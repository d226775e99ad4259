"""Pooling over time: `(N, L, D * H)` to `(N, D * H)`.

Sums over steps are running sums: a plain sum adds in an order that depends on L, so
that the result for a row would depend on the padding.
"""

from __future__ import annotations

import torch
from torch import Tensor

from skrnn._nn.layers import last_valid


def pool(hidden: Tensor, lengths: Tensor | None, pooling: str) -> Tensor:
    """Pool the hidden states of the valid steps by their 'mean' or 'max'."""
    if pooling == "mean":
        total = last_valid(hidden.cumsum(dim=1), lengths)
        return total / (hidden.shape[1] if lengths is None else lengths[:, None])
    if lengths is not None:
        padding = padding_mask(hidden, lengths)[:, :, None]
        hidden = hidden.masked_fill(padding, -torch.inf)
    return hidden.amax(dim=1)


def attend(
    hidden: Tensor, scores: Tensor, lengths: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Return the mean of the hidden states, weighted by a softmax of their scores.

    Parameters
    ----------
    hidden : tensor of shape (N, L, D * H)

    scores : tensor of shape (N, L)

    lengths : tensor of shape (N,), default=None
        Valid steps of each row; None where all are valid.

    Returns
    -------
    pooled : tensor of shape (N, D * H)

    weights : tensor of shape (N, L)
        Zero for padding.
    """
    if lengths is not None:
        scores = scores.masked_fill(padding_mask(hidden, lengths), -torch.inf)
    exp_scores = (scores - scores.amax(dim=1, keepdim=True)).exp()
    total = exp_scores.cumsum(dim=1)[:, -1:]
    pooled = (exp_scores[:, :, None] * hidden).cumsum(dim=1)[:, -1] / total
    return pooled, exp_scores / total


def padding_mask(hidden: Tensor, lengths: Tensor) -> Tensor:
    """Return a mask `(N, L)`, True for the padding after the valid steps."""
    return torch.arange(hidden.shape[1], device=hidden.device) >= lengths[:, None]
