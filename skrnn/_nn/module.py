"""The network: standardisation, recurrent layers, pooling over time, a linear head.

Legend of shapes: N rows of a batch, L time steps, F features, H hidden units,
D directions (1 or 2), K outputs.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from skrnn._nn.config import ModuleConfig
from skrnn._nn.initialization import initialize_layer, initialize_linear
from skrnn._nn.layers import aligned_linear, recurrence, run_on_accelerator
from skrnn._nn.pooling import attend, pool
from skrnn._nn.states import States
from skrnn._typing import AnyArray


class Uninitialized:
    """Leaves the weights of one of torch's layers as they are in memory.

    torch would draw them from its global generator; `initialize_layer` and
    `initialize_linear` draw them from a private one.
    """

    def reset_parameters(self) -> None:
        """Do nothing."""


class RNN(Uninitialized, nn.RNN):
    """nn.RNN with uninitialised weights."""


class GRU(Uninitialized, nn.GRU):
    """nn.GRU with uninitialised weights."""


class LSTM(Uninitialized, nn.LSTM):
    """nn.LSTM with uninitialised weights."""


class Linear(Uninitialized, nn.Linear):
    """nn.Linear with uninitialised weights."""


LAYER_TYPES = {"rnn": RNN, "gru": GRU, "lstm": LSTM}


class RecurrentModule(nn.Module):
    """A stack of recurrent layers with one output per sequence, or per time step.

    The layers hold their parameters under torch's names: each is an `nn.RNN`, `nn.GRU`
    or `nn.LSTM`. Weights and dropout masks are drawn from private generators.

    The states of the whole stack are a list with a tuple for each layer: (h,), or
    (h, c) of an LSTM, each of shape (D, N, H).

    Parameters
    ----------
    config : ModuleConfig
        The network.

    dropout : float, default=0.0
        Probability of zeroing a value between layers and before the head, in training.

    generator : torch.Generator
        Generator of the initial weights, on the CPU.
    """

    input_mean: Tensor
    input_scale: Tensor
    noise: Any  # a `Noise`
    layers: Any  # of torch's recurrent layers
    other_columns: list[int]
    # None unless the configuration has them.
    embedding: Any
    attention: Any
    context: Any
    learned_states: Any
    highway: Any

    def __init__(
        self, config: ModuleConfig, *, dropout: float = 0.0, generator: torch.Generator
    ) -> None:
        super().__init__()
        self.config = config
        self.cell_type = config.cell_type
        self.nonlinearity = config.nonlinearity
        self.bidirectional = config.bidirectional
        self.pooling = config.pooling
        self.patch_size = config.patch_size
        self.return_sequences = config.return_sequences
        self.initial_state = config.initial_state
        self.ar_order = config.ar_order
        self.ar_columns = list(config.ar_columns)
        self.dropout = dropout
        self.noise = None  # of dropout and random states; set by the net
        self._dtype = getattr(torch, config.dtype)
        self.n_directions = 2 if config.bidirectional else 1
        self._n_hidden = self.n_directions * config.hidden_sizes[-1]  # D * H
        input_dtype = getattr(torch, config.input_dtype)
        for name, fill in (("input_mean", torch.zeros), ("input_scale", torch.ones)):
            self.register_buffer(name, fill(config.n_features, dtype=input_dtype))
        # In this order: it is that of the draws, and of the parameters.
        self.layers = self._make_layers(generator)
        self.n_pooled = self._n_hidden * (3 if config.pooling == "concat" else 1)
        self.head = self._make_linear(self.n_pooled, config.n_outputs)
        initialize_linear(self.head, generator)
        self.embedding = self._make_embedding(generator)
        self.attention, self.context = self._make_attention(generator)
        self.learned_states = self._make_learned_states()
        self.highway = self._make_highway()

    # -- construction

    def _make_layers(self, generator: torch.Generator) -> nn.ModuleList:
        config, layers = self.config, []
        options = {}
        if config.cell_type == "rnn":
            options["nonlinearity"] = config.nonlinearity
        n_inputs = config.patch_size * (config.embedding_dim or config.n_features)
        for hidden_size in config.hidden_sizes:
            layer = LAYER_TYPES[config.cell_type](
                n_inputs,
                hidden_size,
                batch_first=True,
                bidirectional=config.bidirectional,
                dtype=self._dtype,
                **options,
            )
            initialize_layer(layer, generator)
            layers.append(layer)
            n_inputs = self.n_directions * hidden_size
        return nn.ModuleList(layers)

    def _make_linear(self, n_inputs: int, n_outputs: int) -> Linear:
        """Return a linear layer with uninitialised weights."""
        return Linear(n_inputs, n_outputs, dtype=self._dtype)

    def _make_embedding(self, generator: torch.Generator) -> nn.Embedding | None:
        config = self.config
        if config.embedding_dim is None:
            return None
        weight = torch.empty(config.n_tokens, config.embedding_dim, dtype=self._dtype)
        weight.normal_(generator=generator)
        weight[:2] = 0.0  # padding, and unknown tokens
        return nn.Embedding.from_pretrained(weight, freeze=False, padding_idx=0)

    def _make_attention(
        self, generator: torch.Generator
    ) -> tuple[Linear | None, nn.Parameter | None]:
        """Return W and b, and the context vector u, of `attend`."""
        if self.pooling != "attention":
            return None, None
        attention = self._make_linear(self._n_hidden, self._n_hidden)
        initialize_linear(attention, generator)
        bound = self._n_hidden**-0.5
        context = torch.empty(self._n_hidden, dtype=self._dtype)
        context.uniform_(-bound, bound, generator=generator)
        return attention, nn.Parameter(context)

    def _make_learned_states(self) -> nn.ParameterList | None:
        if self.initial_state != "learned":
            return None
        return nn.ParameterList(
            torch.zeros(self.n_parts, self.n_directions, hidden_size, dtype=self._dtype)
            for hidden_size in self.config.hidden_sizes
        )

    def _make_highway(self) -> Linear | None:
        """Return the linear highway; `start_at_linear_model` sets its weights."""
        if self.ar_order == 0:
            return None
        n_features = self.config.n_features
        self.other_columns = sorted(set(range(n_features)) - set(self.ar_columns))
        n_inputs = self.ar_order * len(self.ar_columns) + len(self.other_columns)
        return self._make_linear(n_inputs, self.config.n_outputs)

    @torch.no_grad()
    def start_at_linear_model(
        self, coefficients: AnyArray | Tensor, intercept: AnyArray | Tensor
    ) -> None:
        """Set the highway to a linear model, and the head to zero.

        Parameters
        ----------
        coefficients : ndarray of shape (K, ar_order * len(ar_columns) + others)
            In standardised units, in the order of `highway_inputs`.

        intercept : ndarray of shape (K,)
            In standardised units.
        """
        self.highway.weight.copy_(torch.as_tensor(coefficients))
        self.highway.bias.copy_(torch.as_tensor(intercept))
        self.head.weight.zero_()
        self.head.bias.zero_()

    def set_scaling(self, mean: AnyArray, scale: AnyArray) -> None:
        """Set the mean and the scale of each feature, arrays of shape (F,)."""
        self.input_mean.copy_(torch.as_tensor(mean))
        self.input_scale.copy_(torch.as_tensor(scale))

    # -- forward pass

    def forward(
        self,
        values: Tensor,
        lengths: Tensor | None = None,
        states: States | None = None,
    ) -> Tensor:
        """Compute the raw outputs of a padded batch `(N, L, F)`.

        They are `(N, K)`, or `(N, L, K)` for an output per step. `states` are the
        initial states, by default `initial_states`.
        """
        inputs = self.encode_inputs(values)
        patches, n_patches = self.join_steps(inputs, lengths)
        hidden, states = self.run_layers(patches, n_patches, states)
        return self.compute_output(hidden, states, inputs, lengths)

    def encode_inputs(self, values: Tensor) -> Tensor:
        """Standardise the features, in the dtype of the data.

        Or look up the vectors of token ids: `(N, L, embedding_dim)`.
        """
        if self.embedding is not None:
            return self.embedding(values[:, :, 0].long())
        x = (values - self.input_mean) / self.input_scale
        return x.to(self.head.weight.dtype)

    def count_patches(self, n_steps: Any) -> Any:
        """Return how many steps the layers run over, for numbers of steps of X."""
        return (n_steps + self.patch_size - 1) // self.patch_size

    def join_steps(
        self, x: Tensor, lengths: Tensor | None = None
    ) -> tuple[Tensor, Tensor | None]:
        """Join `patch_size` consecutive steps each to patches.

        The first step is repeated in front of rows that are no multiple long, so that
        the last patch ends with the last step.

        Parameters
        ----------
        x : tensor of shape (N, L, F)
            From `encode_inputs`.

        lengths : tensor of shape (N,), default=None
            Valid steps of each row; None where all are valid.

        Returns
        -------
        patches : tensor of shape (N, P, patch_size * F)

        n_patches : tensor of shape (N,) or None
            Valid patches of each row.
        """
        size = self.patch_size
        if size == 1:
            return x, lengths
        n, longest, _ = x.shape
        if lengths is None and longest % size == 0:
            return x.reshape(n, longest // size, -1), None
        n_steps = x.new_full((n,), longest, dtype=torch.long)
        n_steps = n_steps if lengths is None else lengths
        n_patches = self.count_patches(n_steps)
        padding = n_patches * size - n_steps
        steps = torch.arange(int(n_patches.max()) * size, device=x.device)
        steps = (steps - padding[:, None]).clamp(0, longest - 1)
        patches = x[torch.arange(n, device=x.device)[:, None], steps]
        patches = patches.reshape(n, -1, size * x.shape[2])
        return patches, None if lengths is None else n_patches

    def run_layers(
        self,
        x: Tensor,
        lengths: Tensor | None = None,
        states: States | None = None,
        with_cell: bool = False,
    ) -> tuple[Tensor, States]:
        """Run all layers over `(N, L, F)`, patches if there are.

        Returns
        -------
        hidden : tensor of shape (N, L, D * H)
            Output of the last layer.

        states : list of tuples of tensors of shape (D, N, H)
            State of each layer after the last valid step. Without `with_cell`, the c of
            an LSTM may be wrong for rows shorter than L.
        """
        if states is None:
            states = self.initial_states(len(x))
        finals = []
        for i, layer in enumerate(self.layers):
            if i > 0:
                x = self._drop(x)
            state = None if states is None else states[i]
            x, final = self._run_layer(layer, x, lengths, state, with_cell)
            finals.append(final)
        return x, finals

    def compute_output(
        self,
        hidden: Any,
        states: States,
        inputs: Tensor,
        lengths: Tensor | None = None,
    ) -> Tensor:
        """Compute the raw outputs from the output and the state of the last layer.

        The highway reads `inputs`, from `encode_inputs`, with `lengths` of its rows;
        with an output per step they may begin some steps before `hidden`.
        """
        pooled = hidden
        if not self.return_sequences:
            n_patches = None if lengths is None else self.count_patches(lengths)
            pooled = self._pool(hidden, states, n_patches)
        output = self._apply_linear(self.head, self._drop(pooled))
        if self.highway is None:
            return output
        lags = self.highway_inputs(inputs, lengths)
        if self.return_sequences:
            lags = lags[:, -hidden.shape[1] :]
        return output + self._apply_linear(self.highway, lags)

    def _pool(self, hidden: Tensor, states: States, lengths: Tensor | None) -> Tensor:
        if self.pooling == "attention":
            return self.attend(hidden, lengths)[0]
        if self.pooling in ("mean", "max"):
            return pool(hidden, lengths, self.pooling)
        last = states[-1][0].transpose(0, 1).flatten(1)
        if self.pooling == "last":
            return last
        others = [pool(hidden, lengths, name) for name in ("mean", "max")]
        return torch.cat([last, *others], dim=1)

    def highway_inputs(self, x: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Return what the highway reads, `(N, ar_order * columns + others)`.

        These are the last `ar_order` steps of `ar_columns`, and the last step of all
        other features. The first step is repeated in front of shorter rows. With an
        output per step it is `(N, L, ...)`, the steps up to each step.
        """
        lag = torch.arange(self.ar_order - 1, -1, -1, device=x.device)
        rows = torch.arange(len(x), device=x.device)[:, None]
        if self.return_sequences:
            last = torch.arange(x.shape[1], device=x.device)[:, None]
            steps = (last - lag).clamp(min=0)
            lagged = x[:, :, self.ar_columns][:, steps].flatten(2)
            return torch.cat([lagged, x[:, :, self.other_columns]], dim=2)
        last = x.shape[1] - 1 if lengths is None else lengths[:, None] - 1
        steps = (last - lag).clamp(min=0).expand(len(x), -1)
        recent = x[rows, steps]
        lagged = recent[:, :, self.ar_columns].flatten(1)
        return torch.cat([lagged, recent[:, -1, self.other_columns]], dim=1)

    def attend(
        self, hidden: Tensor, lengths: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        r"""Return the mean over steps by learned weights, and the weights.

        :math:`a_t \propto \exp(u^T \tanh(W h_t + b))` over the valid steps.

        Returns
        -------
        pooled : tensor of shape (N, D * H)

        weights : tensor of shape (N, L)
            Zero for padding.

        References
        ----------
        Yang et al.: Hierarchical attention networks for document classification.
        NAACL 2016.
        """
        scores = torch.tanh(self._apply_linear(self.attention, hidden)) @ self.context
        return attend(hidden, scores, lengths)

    # -- states

    def initial_states(self, n: int) -> States | None:
        """Return the initial states of n rows, None for zeros."""
        if self.initial_state == "learned":
            return [
                tuple(part[:, None].expand(-1, n, -1).contiguous() for part in learned)
                for learned in self.learned_states
            ]
        if self.initial_state == "normal" and self.training:
            drawn = self.noise.normal(n, self.n_states, self.head.weight.dtype)
            return [
                tuple(
                    torch.stack(
                        [
                            drawn[:, column : column + layer.hidden_size]
                            for column in self._state_columns(i, part)
                        ]
                    )
                    for part in range(self.n_parts)
                )
                for i, layer in enumerate(self.layers)
            ]
        return None

    @property
    def n_states(self) -> int:
        """Number of units of all states, of all layers and directions."""
        sizes = self.config.hidden_sizes
        return sum(sizes) * self.n_directions * self.n_parts

    @property
    def n_parts(self) -> int:
        """Number of states of a layer and direction: h, and c of an LSTM."""
        return 2 if self.cell_type == "lstm" else 1

    def state_column(self, layer: int, direction: int, part: int) -> int:
        """Return where h (part 0) or c (part 1) begins among the `n_states` units."""
        sizes = self.config.hidden_sizes
        before = sum(sizes[:layer]) * self.n_directions * self.n_parts
        return before + (direction * self.n_parts + part) * sizes[layer]

    def _state_columns(self, layer: int, part: int) -> list[int]:
        directions = range(self.n_directions)
        return [self.state_column(layer, d, part) for d in directions]

    def zero_states(self, n: int) -> States:
        """Return states of zeros for n rows."""
        weight = self.head.weight
        return [
            tuple(
                weight.new_zeros(self.n_directions, n, layer.hidden_size)
                for _ in range(self.n_parts)
            )
            for layer in self.layers
        ]

    # -- parts of the forward pass

    def _apply_linear(self, layer: nn.Linear, x: Tensor) -> Tensor:
        if self._is_aligned(x):
            return aligned_linear(x, layer.weight, layer.bias)
        return layer(x)

    def _is_aligned(self, x: Tensor) -> bool:
        """Whether to compute as `aligned` of `recurrence` says: in prediction."""
        return not self.training and x.device.type == "cpu"

    def _run_layer(
        self,
        layer: nn.RNNBase,
        x: Tensor,
        lengths: Tensor | None,
        state: tuple[Tensor, ...] | None,
        with_cell: bool,
    ) -> tuple[Tensor, tuple[Tensor, ...]]:
        """Return the output `(N, L, D * H)` and the last state, each `(D, N, H)`."""
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
                aligned=self._is_aligned(x),
                state=None if state is None else tuple(p[direction] for p in state),
                with_cell=with_cell,
            )
            for direction, weights in enumerate(layer.all_weights)
        ]
        outputs, finals = zip(*runs, strict=True)
        output = outputs[0] if len(runs) == 1 else torch.cat(outputs, dim=-1)
        return output, tuple(torch.stack(parts) for parts in zip(*finals, strict=True))

    def _drop(self, x: Tensor) -> Tensor:
        """Return x with dropout, in training."""
        if not self.training or self.dropout == 0.0:
            return x
        return x * self.noise.mask(x, self.dropout)
