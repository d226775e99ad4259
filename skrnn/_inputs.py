"""How the estimators validate the data that they are passed."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import torch
from sklearn.utils.validation import check_consistent_length

from skrnn._data.containers import read_container
from skrnn._data.samples import Samples
from skrnn._data.sequences import UNKNOWN, Sequences
from skrnn._data.splits import check_groups
from skrnn._data.step_targets import StepValues, check_step_targets, check_step_weights
from skrnn._data.target_validation import check_weights
from skrnn._data.validation import check_sequences, compute_dtype, read_token_ids
from skrnn._nn.config import ModuleConfig
from skrnn._parameters import check_parameters
from skrnn._typing import AnyArray, ArrayLike, DType, SequencesLike, TargetsLike


class InputValidationMixin:
    """Convert the arguments of `fit` and `predict` to `Samples` and `Sequences`.

    It sets what a fit learns about the form of X: `n_features_in_` and the like and,
    for token ids, their number and whether they are padded.
    """

    # What `__init__` of the estimators sets.
    hidden_size: int | tuple[int, ...]
    num_layers: int
    cell_type: Literal["rnn", "gru", "lstm"]
    nonlinearity: Literal["tanh", "relu"]
    dropout: float
    pooling: Literal["auto", "last", "mean", "max", "concat", "attention"]
    patch_size: int | Literal["auto"]
    initial_state: Literal["zeros", "normal", "learned", "carry"]
    embedding_dim: int | None
    return_sequences: bool
    standardize: bool
    n_members: int
    max_epochs: int | Literal["auto"]
    lr: float
    batch_size: int
    optimizer: (
        Literal["adam", "adamw", "sgd", "rmsprop", "lbfgs"]
        | type[torch.optim.Optimizer]
    )
    optimizer_params: dict[str, Any] | None
    weight_decay: float | Literal["auto"]
    max_grad_norm: float | None
    lr_schedule: Literal["one_cycle", "cosine", "plateau"] | None
    tbptt_steps: int | None
    patience: int
    tol: float
    callbacks: list[Any] | None
    early_stopping: Any  # bool; 'auto' is a regressor's
    validation_fraction: float
    validation_strategy: Literal["random", "last"]
    warm_start: bool
    device: str | torch.device
    n_jobs: int | None
    random_state: int | np.random.RandomState | None
    verbose: int

    # What `fit` sets.
    n_features_in_: int
    feature_names_in_: AnyArray
    _module_config: ModuleConfig

    def _check_arguments(
        self,
        y: TargetsLike | None,
        X_val: SequencesLike | None,
        y_val: TargetsLike | None,
    ) -> None:
        """Check the parameters together, and which arguments of `fit` are there."""
        if y is None:
            raise ValueError(
                f"This {type(self).__name__} estimator requires y to be passed, but "
                "the target y is None."
            )
        if (X_val is None) != (y_val is None):
            raise ValueError(
                "X_val and y_val must be passed together. Got only "
                f"{'y_val' if X_val is None else 'X_val'}."
            )
        check_parameters(self)

    def _check_samples(
        self,
        X: SequencesLike,
        y: TargetsLike,
        sample_weight: TargetsLike | None,
        groups: ArrayLike | None,
        reset: bool,
    ) -> Samples:
        """Validate what is passed to `fit`."""
        sequences = self._check_X(X, reset=reset)
        y = read_container(y, "y")
        sample_weight = read_container(sample_weight, "sample_weight")
        groups = read_container(groups, "groups")
        check_consistent_length(sequences, y)
        return Samples(
            sequences,
            self._check_y(y, sequences),
            self._check_sample_weight(sample_weight, sequences),
            check_groups(groups, len(sequences)),
        )

    def _check_validation(
        self, X_val: SequencesLike | None, y_val: TargetsLike | None, samples: Samples
    ) -> Samples | None:
        """Validate `X_val` and `y_val`, whose precision is that of X; None for None."""
        if X_val is None:
            return None
        dtype = compute_dtype(samples.sequences.dtype)
        sequences = self._check_X(X_val, name="X_val", dtype=dtype)
        y_val = read_container(y_val, "y_val")
        check_consistent_length(sequences, y_val)
        return Samples(sequences, self._check_y(y_val, sequences, "y_val", "X_val"))

    def _check_X(
        self,
        X: SequencesLike,
        *,
        reset: bool = False,
        name: str = "X",
        dtype: DType | None = None,
    ) -> Sequences:
        """Return X as `Sequences`; token ids without their padding."""
        fitting = reset or dtype is not None
        X = read_container(X, name)
        if not fitting:
            dtype = self._input_dtype()
        sequences = check_sequences(self, X, reset=reset, dtype=dtype, name=name)
        config = self if fitting else self._module_config
        if config.embedding_dim is None:
            return sequences
        sequences, highest = read_token_ids(sequences, name)
        if reset:
            self._n_tokens = max(highest, UNKNOWN) + 1
            self._has_padding = sequences.padded_steps is not None
        elif highest >= self._n_tokens:
            raise ValueError(
                f"{name} must hold token ids below {self._n_tokens}, as the X in fit. "
                f"Got {highest}. Give unknown tokens the id {UNKNOWN}, as TokenEncoder "
                "does."
            )
        # It must not matter whether a subset of padded rows happens to have no padding.
        sequences.ragged |= self._has_padding
        return sequences

    def _check_y(
        self, y: Any, sequences: Sequences, name: str = "y", of: str = "X"
    ) -> Any:
        if not self.return_sequences:
            return y
        return check_step_targets(y, sequences, name, of)

    def _check_sample_weight(
        self, sample_weight: Any, sequences: Sequences
    ) -> AnyArray | StepValues | None:
        if not self.return_sequences:
            return check_weights(sample_weight, len(sequences))
        return check_step_weights(sample_weight, sequences)

    def _input_dtype(self) -> np.dtype[Any]:
        """Return the numpy dtype of the network's input."""
        return np.dtype(self._module_config.input_dtype)
