"""The description of a network, as plain data."""

from __future__ import annotations

from dataclasses import dataclass

N_GATES = {"rnn": 1, "gru": 3, "lstm": 4}
BUFFERS = ("input_mean", "input_scale")


@dataclass(frozen=True)
class ModuleConfig:
    """Everything that fixes the parameters of a network and what they compute.

    Legend of shapes: N rows of a batch, L time steps, F features, H hidden units,
    D directions (1 or 2), K outputs.

    Parameters
    ----------
    n_features : int
        F: the network reads `(N, L, F)`.

    n_outputs : int
        K: it returns `(N, K)`, with `return_sequences` `(N, L, K)`.

    hidden_sizes : tuple of int
        H of each layer.

    cell_type : {'rnn', 'gru', 'lstm'}, default='rnn'
        Cell of all layers.

    nonlinearity : {'tanh', 'relu'}, default='tanh'
        Activation of the 'rnn' cell.

    bidirectional : bool, default=False
        Whether each layer also runs backwards in time.

    pooling : {'last', 'mean', 'max', 'concat', 'attention'}, default='last'
        How the steps of the last layer, `(N, L, D * H)`, become `(N, D * H)`, or
        `(N, 3 * D * H)` with 'concat'.

    patch_size : int, default=1
        Number of consecutive steps that enter the layers as one.

    return_sequences : bool, default=False
        Whether every step has an output, without pooling.

    initial_state : {'zeros', 'normal', 'learned', 'carry'}, default='zeros'
        Initial state of each layer, `(D, N, H)`. 'normal' and 'carry' apply in training
        only; prediction uses zeros.

    embedding_dim : int or None, default=None
        Length of the vectors that represent token ids, the only feature then.

    n_tokens : int, default=0
        Number of token ids, including 0 for padding and 1 for unknown tokens.

    ar_order : int, default=0
        Number of last steps of `ar_columns` that a linear highway beside the recurrent
        layers reads, along with the last step of the other features; 0 for no highway.

    ar_columns : tuple of int, default=()
        Features of which the highway reads several steps.

    dtype : str, default='float32'
        Dtype of the parameters.

    input_dtype : str, default='float32'
        Dtype of the data, in which they are standardised.
    """

    n_features: int
    n_outputs: int
    hidden_sizes: tuple[int, ...]
    cell_type: str = "rnn"
    nonlinearity: str = "tanh"
    bidirectional: bool = False
    pooling: str = "last"
    patch_size: int = 1
    return_sequences: bool = False
    initial_state: str = "zeros"
    embedding_dim: int | None = None
    n_tokens: int = 0
    ar_order: int = 0
    ar_columns: tuple[int, ...] = ()
    dtype: str = "float32"
    input_dtype: str = "float32"

    def state_shapes(self) -> dict[str, tuple[tuple[int, ...], str]]:
        """Return `{name: (shape, dtype)}` of the module's buffers and parameters.

        In the order of its `state_dict`, and without building it.
        """
        n_directions = 2 if self.bidirectional else 1
        n_gates = N_GATES[self.cell_type]
        n_hidden = n_directions * self.hidden_sizes[-1]
        shapes: dict[str, tuple[int, ...]] = {}
        if self.pooling == "attention":
            shapes["context"] = (n_hidden,)
        shapes["input_mean"] = shapes["input_scale"] = (self.n_features,)
        n_inputs = self.patch_size * (self.embedding_dim or self.n_features)
        for i, size in enumerate(self.hidden_sizes):
            for suffix in ("", "_reverse")[:n_directions]:
                layer = f"layers.{i}.{{}}_l0{suffix}"
                shapes[layer.format("weight_ih")] = (n_gates * size, n_inputs)
                shapes[layer.format("weight_hh")] = (n_gates * size, size)
                shapes[layer.format("bias_ih")] = (n_gates * size,)
                shapes[layer.format("bias_hh")] = (n_gates * size,)
            n_inputs = n_directions * size
        n_pooled = n_hidden * (3 if self.pooling == "concat" else 1)
        shapes |= _linear_shapes("head", n_pooled, self.n_outputs)
        if self.embedding_dim is not None:
            shapes["embedding.weight"] = (self.n_tokens, self.embedding_dim)
        if self.pooling == "attention":
            shapes |= _linear_shapes("attention", n_hidden, n_hidden)
        if self.initial_state == "learned":
            n_parts = 2 if self.cell_type == "lstm" else 1
            for i, size in enumerate(self.hidden_sizes):
                shapes[f"learned_states.{i}"] = (n_parts, n_directions, size)
        if self.ar_order > 0:
            n_others = self.n_features - len(set(self.ar_columns))
            n_lags = self.ar_order * len(self.ar_columns)
            shapes |= _linear_shapes("highway", n_lags + n_others, self.n_outputs)
        return {
            name: (shape, self.input_dtype if name in BUFFERS else self.dtype)
            for name, shape in shapes.items()
        }


def _linear_shapes(
    name: str, n_inputs: int, n_outputs: int
) -> dict[str, tuple[int, ...]]:
    return {f"{name}.weight": (n_outputs, n_inputs), f"{name}.bias": (n_outputs,)}
