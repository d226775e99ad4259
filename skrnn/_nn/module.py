"""The network: scaling, recurrent layers, pooling over time, and a linear head.

Legend of shapes: N rows of a batch, L time steps, F features, H hidden units,
D directions (1 or 2), K outputs.
"""

import torch
from torch import nn

from skrnn._nn.initialization import initialize_layer, initialize_linear
from skrnn._nn.pooling import pool
from skrnn._nn.recurrence import aligned_linear, recurrence

LAYER_TYPES = {"rnn": nn.RNN, "gru": nn.GRU, "lstm": nn.LSTM}


class RecurrentModule(nn.Module):
    """A stack of recurrent layers with one output per sequence, or per time step.

    The layers hold their parameters under torch's names, so that each can be handed
    to `nn.RNN`, `nn.GRU` or `nn.LSTM` as it is. Weights are drawn from a private
    generator, and so are the masks of dropout.

    The states of the whole stack are a list with a tuple for each layer: (h,), or
    (h, c) of an LSTM, each of shape (D, N, H).

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

    pooling : {'last', 'mean', 'max', 'attention'}
        How the steps become one vector.

    return_sequences : bool, default=False
        Whether every step has an output, and nothing is pooled.

    initial_state : {'zeros', 'normal', 'learned', 'carry'}, default='zeros'
        What each layer starts from; 'normal' and 'carry' in training only, zeros
        otherwise.

    embedding_dim : int or None, default=None
        Length of the vectors that token ids, the only feature, are looked up as.

    n_tokens : int, default=0
        Number of ids, 0 for padding included.

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
        return_sequences=False,
        initial_state="zeros",
        embedding_dim=None,
        n_tokens=0,
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
        self.return_sequences = return_sequences
        self.initial_state = initial_state
        self.generator = None  # of noise in training, set by the net, on its device
        self.register_buffer("input_mean", torch.zeros(n_features, dtype=input_dtype))
        self.register_buffer("input_scale", torch.ones(n_features, dtype=input_dtype))
        n_directions = 2 if bidirectional else 1
        # Made on the meta device, where making them draws nothing from torch's global
        # generator, and filled from ours.
        options = {"device": "meta", "dtype": dtype}
        layer_options = dict(options)
        if cell_type == "rnn":
            layer_options["nonlinearity"] = nonlinearity
        layers, n_inputs = [], embedding_dim or n_features
        for hidden_size in hidden_sizes:
            layer = LAYER_TYPES[cell_type](
                n_inputs,
                hidden_size,
                batch_first=True,
                bidirectional=bidirectional,
                **layer_options,
            ).to_empty(device="cpu")
            initialize_layer(layer, generator)
            layers.append(layer)
            n_inputs = n_directions * hidden_size
        self.layers = nn.ModuleList(layers)
        self.head = nn.Linear(n_inputs, n_outputs, **options)
        self.head.to_empty(device="cpu")
        initialize_linear(self.head, generator)
        self.embedding = self.attention = self.context = self.first_states = None
        if embedding_dim is not None:
            # Filled by hand: an embedding draws from torch's global generator.
            weight = torch.empty(n_tokens, embedding_dim, dtype=dtype)
            weight.normal_(generator=generator)
            weight[:2] = 0.0  # padding; and unknown tokens, of which nothing is known
            self.embedding = nn.Embedding.from_pretrained(
                weight, freeze=False, padding_idx=0
            )
        if pooling == "attention":
            self.attention = nn.Linear(n_inputs, n_inputs, **options)
            self.attention.to_empty(device="cpu")
            initialize_linear(self.attention, generator)
            self.context = nn.Parameter(torch.empty(n_inputs, dtype=dtype))
            with torch.no_grad():
                bound = n_inputs**-0.5
                self.context.uniform_(-bound, bound, generator=generator)
        if initial_state == "learned":
            n_states = 2 if cell_type == "lstm" else 1
            self.first_states = nn.ParameterList(
                torch.zeros(n_states, n_directions, hidden_size, dtype=dtype)
                for hidden_size in hidden_sizes
            )
        self.ar_order = ar_order
        self.ar_columns = list(ar_columns)
        self.highway = None
        if ar_order > 0:
            self.other_columns = sorted(set(range(n_features)) - set(ar_columns))
            n_inputs = ar_order * len(ar_columns) + len(self.other_columns)
            self.highway = nn.Linear(n_inputs, n_outputs, **options)
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

    def set_scaling(self, mean, scale):
        """Set the mean and the scale of each feature, arrays of shape (F,)."""
        self.input_mean.copy_(torch.as_tensor(mean))
        self.input_scale.copy_(torch.as_tensor(scale))

    # -- the way of a batch

    def forward(self, values, lengths=None, states=None):
        """Compute the raw outputs of a padded batch `(N, L, F)`.

        They are `(N, K)`, or `(N, L, K)` for an output per step. `states` is what to
        start from, `start_states` if None.
        """
        inputs = self.scale(values)
        hidden, states = self.run_layers(inputs, lengths, states)
        return self.read_out(hidden, states, inputs, lengths)

    def scale(self, values):
        """Standardise the features, in the precision that they came in.

        Or look the ids of tokens up: `(N, L, embedding_dim)`.
        """
        if self.embedding is not None:
            return self.embedding(values[:, :, 0].long())
        x = (values - self.input_mean) / self.input_scale
        return x.to(self.head.weight.dtype)

    def run_layers(self, x, lengths=None, states=None, with_cell=False):
        """Run all layers over `(N, L, F)`.

        Returns
        -------
        hidden : tensor of shape (N, L, D * H)
            The outputs of the last layer.

        states : list of tuples of tensors of shape (D, N, H)
            Of each layer after the last valid step. The c of an LSTM is right for
            rows of L steps only, unless `with_cell`.
        """
        if states is None:
            states = self.start_states(len(x))
        finals = []
        for i, layer in enumerate(self.layers):
            if i > 0:
                x = self._drop(x)
            state = None if states is None else states[i]
            x, final = self._run_layer(layer, x, lengths, state, with_cell)
            finals.append(final)
        return x, finals

    def read_out(self, hidden, states, inputs, lengths=None):
        """Compute the raw outputs from what the last layer says.

        `inputs` are the scaled `(N, L, F)` that the highway reads; with an output per
        step they may begin before what `hidden` is about.
        """
        if self.return_sequences:
            pooled = hidden
        elif self.pooling == "last":
            pooled = states[-1][0].transpose(0, 1).flatten(1)
        elif self.pooling == "attention":
            pooled = self.attend(hidden, lengths)[0]
        else:
            pooled = pool(hidden, lengths, self.pooling)
        output = self._apply_linear(self.head, self._drop(pooled))
        if self.highway is None:
            return output
        lags = self.lags(inputs, lengths)
        if self.return_sequences:  # the inputs may begin before
            lags = lags[:, -hidden.shape[1] :]
        return output + self._apply_linear(self.highway, lags)

    def lags(self, x, lengths=None):
        """Return what the highway takes, `(N, ar_order * columns + others)`.

        These are the last steps of the target columns, and all other features of the
        last step. Rows shorter than `ar_order` are continued by their first step.
        With an output per step it is `(N, L, ...)`, of every step and those before.
        """
        back = torch.arange(self.ar_order - 1, -1, -1, device=x.device)
        rows = torch.arange(len(x), device=x.device)[:, None]
        if self.return_sequences:
            last = torch.arange(x.shape[1], device=x.device)[:, None]
            steps = (last - back).clamp(min=0)
            own = x[:, :, self.ar_columns][:, steps].flatten(2)
            return torch.cat([own, x[:, :, self.other_columns]], dim=2)
        last = x.shape[1] - 1 if lengths is None else lengths[:, None] - 1
        steps = (last - back).clamp(min=0).expand(len(x), -1)
        recent = x[rows, steps]
        own = recent[:, :, self.ar_columns].flatten(1)
        return torch.cat([own, recent[:, -1, self.other_columns]], dim=1)

    def attend(self, hidden, lengths=None):
        r"""Return the mean over steps by learned weights, and the weights.

        :math:`a_t \propto \exp(u^T \tanh(W h_t + b))` over the valid steps.

        Returns
        -------
        pooled : tensor of shape (N, D * H)

        weights : tensor of shape (N, L)
            Zero behind the end of a row.

        References
        ----------
        Yang et al.: Hierarchical attention networks for document classification.
        NAACL 2016.
        """
        scores = torch.tanh(self._apply_linear(self.attention, hidden)) @ self.context
        if lengths is not None:
            steps = torch.arange(hidden.shape[1], device=hidden.device)
            scores = scores.masked_fill(steps >= lengths[:, None], -torch.inf)
        parts = (scores - scores.amax(dim=1, keepdim=True)).exp()
        # A sum adds in an order that depends on L, a running sum does not.
        total = parts.cumsum(dim=1)[:, -1:]
        pooled = (parts[:, :, None] * hidden).cumsum(dim=1)[:, -1] / total
        return pooled, parts / total

    # -- states

    def start_states(self, n):
        """Return the states that n rows start from, None for zeros."""
        if self.initial_state == "learned":
            return [
                tuple(part[:, None].expand(-1, n, -1).contiguous() for part in of_layer)
                for of_layer in self.first_states
            ]
        if self.initial_state == "normal" and self.training:
            return [
                tuple(
                    torch.empty_like(part).normal_(generator=self.generator)
                    for part in of_layer
                )
                for of_layer in self.zero_states(n)
            ]
        return None

    def zero_states(self, n):
        """Return zeros for the states of n rows."""
        n_directions = 2 if self.bidirectional else 1
        weight = self.head.weight
        return [
            tuple(
                weight.new_zeros(n_directions, n, layer.hidden_size)
                for _ in range(2 if self.cell_type == "lstm" else 1)
            )
            for layer in self.layers
        ]

    # -- parts

    def _apply_linear(self, layer, x):
        if self._aligned(x):
            return aligned_linear(x, layer.weight, layer.bias)
        return layer(x)

    def _aligned(self, x):
        """Whether a row must not feel its place in the batch: in prediction."""
        return not self.training and x.device.type == "cpu"

    def _run_layer(self, layer, x, lengths, state, with_cell):
        """Return all outputs `(N, L, D * H)` and the last states, each `(D, N, H)`."""
        if x.device.type != "cpu":
            return run_on_accelerator(layer, x, lengths, state)
        runs = [
            recurrence(
                self.cell_type,
                self.nonlinearity,
                x,
                weights,
                lengths,
                reverse=direction == 1,
                aligned=self._aligned(x),
                state=None if state is None else tuple(s[direction] for s in state),
                with_cell=with_cell,
            )
            for direction, weights in enumerate(layer.all_weights)
        ]
        outputs, finals = zip(*runs, strict=True)
        output = outputs[0] if len(runs) == 1 else torch.cat(outputs, dim=-1)
        return output, tuple(torch.stack(parts) for parts in zip(*finals, strict=True))

    def _drop(self, x):
        mask = self.dropout_mask(x)
        return x if mask is None else x * mask

    def dropout_mask(self, x):
        """Return what dropout multiplies `x` by, None if it does nothing.

        Of `(N, L, ...)` it is drawn step by step, however `x` lies in memory.
        """
        if not self.training or self.dropout == 0.0:
            return None
        keep = 1.0 - self.dropout
        if x.ndim == 3:
            x = x.transpose(0, 1)
        mask = x.new_empty(x.shape).bernoulli_(keep, generator=self.generator)
        mask = mask.div_(keep)
        return mask.transpose(0, 1) if x.ndim == 3 else mask


def run_on_accelerator(layer, x, lengths, state=None):
    """Run a layer through torch's own module, packed where rows differ in length.

    On a GPU one call of the vendor's library beats anything written step by step,
    and packing costs little; on a CPU it costs a factor of 2 to 8.
    """
    if state is not None and len(state) == 1:
        (state,) = state
    if lengths is None:
        output, state = layer(x, state)
    else:
        # One synchronisation a batch: the library wants the lengths on the host.
        packed = nn.utils.rnn.pack_padded_sequence(
            x, lengths.cpu(), batch_first=True, enforce_sorted=False
        )
        packed, state = layer(packed, state)
        output, _ = nn.utils.rnn.pad_packed_sequence(
            packed, batch_first=True, total_length=x.shape[1]
        )
    return output, state if isinstance(state, tuple) else (state,)
