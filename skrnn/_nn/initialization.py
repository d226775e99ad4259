"""Initial weights, drawn from a private generator."""

from __future__ import annotations

import torch
from torch import nn

from skrnn._nn.layers import N_GATES


@torch.no_grad()
def initialize_layer(layer: nn.RNNBase, generator: torch.Generator) -> None:
    """Draw the weights of one recurrent layer.

    Input weights and biases are uniform in ±1/sqrt(H), as in torch. Recurrent weights
    are orthogonal, gate by gate, so that gradients neither vanish nor explode at the
    start of training, and the bias of an LSTM's forget gate is 1.

    References
    ----------
    Saxe, McClelland, Ganguli: Exact solutions to the nonlinear dynamics of learning
    in deep linear neural networks. ICLR 2014.

    Jozefowicz, Zaremba, Sutskever: An empirical exploration of recurrent network
    architectures. ICML 2015.
    """
    bound = layer.hidden_size**-0.5
    for weight_ih, weight_hh, bias_ih, bias_hh in layer.all_weights:
        for parameter in (weight_ih, bias_ih, bias_hh):
            parameter.uniform_(-bound, bound, generator=generator)
        n_gates = weight_hh.shape[0] // layer.hidden_size
        for gate in weight_hh.chunk(n_gates):
            nn.init.orthogonal_(gate, generator=generator)
        if n_gates == N_GATES["lstm"]:  # gates in the order i, f, g, o
            forget = slice(layer.hidden_size, 2 * layer.hidden_size)
            bias_ih[forget] = 1.0
            bias_hh[forget] = 0.0


@torch.no_grad()
def initialize_linear(layer: nn.Linear, generator: torch.Generator) -> None:
    """Draw the weights of a linear layer from the distribution of `nn.Linear`."""
    bound = layer.in_features**-0.5
    layer.weight.uniform_(-bound, bound, generator=generator)
    layer.bias.uniform_(-bound, bound, generator=generator)
