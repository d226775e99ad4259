"""The network: scaling, recurrent layers, pooling over time, and a linear head.

Legend of shapes: N rows of a batch, L time steps, F features, H hidden units,
D directions (1 or 2), K outputs.
"""

import torch
from torch import nn

from skrnn._kernels import N_GATES, aligned_linear, last_valid, recurrence

LAYER_TYPES = {"rnn": nn.RNN, "gru": nn.GRU, "lstm": nn.LSTM}


class RecurrentModule(nn.Module):
    """A stack of recurrent layers with one output per sequence.

    The layers hold their parameters under torch's names, so that each can be handed
    to `nn.RNN`, `nn.GRU` or `nn.LSTM` as it is. Weights are drawn from a private
    generator, and so are the masks of dropout.

    Parameters
    ----------
    n_features, n_outputs : int
        F and K.

    hidden_sizes : tuple of int
        H of each layer.

    cell_type : {'rnn', 'gru', 'lstm'}
        Which cell.

    nonlinearity : {'tanh', 'relu'}
        Of the 'rnn' cell.

    bidirectional : bool
        Whether each layer also runs backwards in time.

    dropout : float
        Probability of zeroing a value between layers and before the head.

    pooling : {'last', 'mean', 'max'}
        How the steps become one vector.

    ar_order : int, default=0
        How many last steps of the `ar_columns`, and the last step of the others, also
        reach the outputs by a linear layer beside the network, a highway; 0 for none.

    ar_columns : tuple of int, default=()
        Which features that is about.

    dtype : torch dtype
        Of the parameters.

    input_dtype : torch dtype
        Of the scaling, which happens in the precision that the data came in.

    generator : torch.Generator
        Of the initial weights, on the CPU.
    """

    def __init__(
        self,
        n_features,
        n_outputs,
        *,
        hidden_sizes,
        cell_type,
        nonlinearity,
        bidirectional,
        dropout,
        pooling,
        ar_order=0,
        ar_columns=(),
        dtype,
        input_dtype,
        generator,
    ):
        super().__init__()
        self.cell_type = cell_type
        self.nonlinearity = nonlinearity
        self.bidirectional = bidirectional
        self.dropout = dropout
        self.pooling = pooling
        self.dropout_generator = None  # set by the net, on the device of the module
        self.register_buffer("input_mean", torch.zeros(n_features, dtype=input_dtype))
        self.register_buffer("input_scale", torch.ones(n_features, dtype=input_dtype))
        n_directions = 2 if bidirectional else 1
        # Made on the meta device, where making them draws nothing from torch's global
        # generator, and filled from ours.
        options = {"device": "meta", "dtype": dtype}
        if cell_type == "rnn":
            options["nonlinearity"] = nonlinearity
        layers, n_inputs = [], n_features
        for hidden_size in hidden_sizes:
            layer = LAYER_TYPES[cell_type](
                n_inputs,
                hidden_size,
                batch_first=True,
                bidirectional=bidirectional,
                **options,
            ).to_empty(device="cpu")
            initialize_layer(layer, generator)
            layers.append(layer)
            n_inputs = n_directions * hidden_size
        self.layers = nn.ModuleList(layers)
        self.head = nn.Linear(n_inputs, n_outputs, device="meta", dtype=dtype)
        self.head.to_empty(device="cpu")
        initialize_head(self.head, generator)
        self.ar_order = ar_order
        self.ar_columns = list(ar_columns)
        self.highway = None
        if ar_order > 0:
            self.other_columns = sorted(set(range(n_features)) - set(ar_columns))
            n_inputs = ar_order * len(ar_columns) + len(self.other_columns)
            self.highway = nn.Linear(n_inputs, n_outputs, device="meta", dtype=dtype)
            self.highway.to_empty(device="cpu")

    @torch.no_grad()
    def start_at(self, coefficients, intercept):
        """Start at a linear model of the lags: the head says nothing yet.

        Parameters
        ----------
        coefficients : ndarray of shape (K, ar_order * len(ar_columns) + others)
            In standardised units, as `lags` orders them.

        intercept : ndarray of shape (K,)
            In standardised units.
        """
        self.highway.weight.copy_(torch.as_tensor(coefficients))
        self.highway.bias.copy_(torch.as_tensor(intercept))
        self.head.weight.zero_()
        self.head.bias.zero_()

    def scale(self, values):
        """Standardise the features, in the precision that they came in."""
        x = (values - self.input_mean) / self.input_scale
        return x.to(self.head.weight.dtype)

    def lags(self, x, lengths=None):
        """Return what the highway takes, `(N, ar_order * columns + others)`.

        These are the last steps of the target columns, and all other features of the
        last step. Rows shorter than `ar_order` are continued by their first step.
        """
        last = x.shape[1] - 1 if lengths is None else lengths[:, None] - 1
        back = torch.arange(self.ar_order - 1, -1, -1, device=x.device)
        steps = (last - back).clamp(min=0).expand(len(x), -1)
        rows = torch.arange(len(x), device=x.device)[:, None]
        recent = x[rows, steps]
        own = recent[:, :, self.ar_columns].flatten(1)
        return torch.cat([own, recent[:, -1, self.other_columns]], dim=1)

    def set_scaling(self, mean, scale):
        """Set the mean and the scale of each feature, arrays of shape (F,)."""
        self.input_mean.copy_(torch.as_tensor(mean))
        self.input_scale.copy_(torch.as_tensor(scale))

    def forward(self, values, lengths=None):
        """Compute the raw outputs `(N, K)` of a padded batch `(N, L, F)`."""
        inputs = x = self.scale(values)
        for i, layer in enumerate(self.layers):
            if i > 0:
                x = self._drop(x)
            x, h_n = self._run_layer(layer, x, lengths)
        pooled = h_n if self.pooling == "last" else pool(x, lengths, self.pooling)
        output = self._apply_linear(self.head, self._drop(pooled))
        if self.highway is None:
            return output
        return output + self._apply_linear(self.highway, self.lags(inputs, lengths))

    def _apply_linear(self, layer, x):
        if self._aligned(x):
            return aligned_linear(x, layer.weight, layer.bias)
        return layer(x)

    def _aligned(self, x):
        """Whether a row must not feel its place in the batch: in prediction."""
        return not self.training and x.device.type == "cpu"

    def _run_layer(self, layer, x, lengths):
        """Return all outputs `(N, L, D * H)` and the last states `(N, D * H)`."""
        if x.device.type != "cpu":
            return run_on_accelerator(layer, x, lengths)
        runs = [
            recurrence(
                self.cell_type,
                self.nonlinearity,
                x,
                weights,
                lengths,
                reverse=direction == 1,
                aligned=self._aligned(x),
            )
            for direction, weights in enumerate(layer.all_weights)
        ]
        if len(runs) == 1:
            return runs[0]
        outputs, states = zip(*runs, strict=True)
        return torch.cat(outputs, dim=-1), torch.cat(states, dim=-1)

    def _drop(self, x):
        if not self.training or self.dropout == 0.0:
            return x
        keep = 1.0 - self.dropout
        mask = torch.empty_like(x).bernoulli_(keep, generator=self.dropout_generator)
        return x * mask.div_(keep)


def run_on_accelerator(layer, x, lengths):
    """Run a layer through torch's own module, packed where rows differ in length.

    On a GPU one call of the vendor's library beats anything written step by step,
    and packing costs little; on a CPU it costs a factor of 2 to 8.
    """
    if lengths is None:
        output, state = layer(x)
    else:
        # One synchronisation a batch: the library wants the lengths on the host.
        packed = nn.utils.rnn.pack_padded_sequence(
            x, lengths.cpu(), batch_first=True, enforce_sorted=False
        )
        packed, state = layer(packed)
        output, _ = nn.utils.rnn.pad_packed_sequence(
            packed, batch_first=True, total_length=x.shape[1]
        )
    h_n = state[0] if isinstance(state, tuple) else state  # (D, N, H)
    return output, h_n.transpose(0, 1).flatten(1)


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


@torch.no_grad()
def initialize_layer(layer, generator):
    """Draw the weights of one recurrent layer.

    Input weights and biases are uniform in ±1/sqrt(H), torch's own choice. Recurrent
    weights are orthogonal, gate by gate, so that gradients neither vanish nor explode
    at the start, and the forget gate of an LSTM starts open.

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
def initialize_head(head, generator):
    """Draw the weights of the head as torch's `nn.Linear` does."""
    bound = head.in_features**-0.5
    head.weight.uniform_(-bound, bound, generator=generator)
    head.bias.uniform_(-bound, bound, generator=generator)
