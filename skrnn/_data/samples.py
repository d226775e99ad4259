"""The samples of a fit: as users gave them, validated, and as the network sees them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from skrnn._data.normalization import WindowNormalizer
from skrnn._data.sequences import Sequences
from skrnn._data.step_targets import StepValues
from skrnn._typing import AnyArray, IntArray, Target


@dataclass(frozen=True)
class Samples:
    """X, y, weights and groups, validated.

    Attributes
    ----------
    sequences : Sequences
        X.

    y : array-like of shape (n_samples, ...) or StepValues
        Targets in the user's terms, of sequences or of time steps.

    weights : ndarray of shape (n_samples,), StepValues or None
        Of sequences or of time steps; None if all are equal.

    groups : ndarray of shape (n_samples,) or None
        Codes of the groups.
    """

    sequences: Sequences
    y: Any
    weights: AnyArray | StepValues | None = None
    groups: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.sequences)

    def with_weights(self, weights: AnyArray | StepValues | None) -> Samples:
        """Return the same samples with other weights."""
        return replace(self, weights=weights)

    def weights_of(self, rows: IntArray) -> AnyArray | None:
        """Return the weights of some rows, one for each row or step, or None."""
        return _flat_weights(self.weights, rows)

    def weighted_rows(self) -> IntArray:
        """Return the rows of positive weight; no other row takes part in a fit."""
        weights = self.weights
        if weights is None:
            return np.arange(len(self))
        if isinstance(weights, StepValues):
            weights = np.maximum.reduceat(weights.flat, weights.starts)
        rows = np.flatnonzero(weights > 0)
        if not len(rows):
            raise ValueError(
                "sample_weight times class_weight must be above zero for at least one "
                f"row. Got zero for all {len(self)}."
            )
        return rows


@dataclass(frozen=True)
class EncodedSamples:
    """Samples in the numbers that the network is trained on.

    Attributes
    ----------
    sequences : Sequences
        X, whose batches are normalised.

    targets : ndarray of shape (n_samples, ...) or StepValues
        Standardised numbers, or codes of labels.

    weights : ndarray of shape (n_samples,), StepValues or None
        As in `Samples`.
    """

    sequences: Sequences
    targets: Any
    weights: AnyArray | StepValues | None = None

    def with_weights(self, weights: AnyArray | StepValues | None) -> EncodedSamples:
        """Return the same samples with other weights."""
        return replace(self, weights=weights)

    def weights_of(self, rows: IntArray) -> AnyArray | None:
        """Return the weights of some rows, one for each row or step, or None."""
        return _flat_weights(self.weights, rows)


def _flat_weights(
    weights: AnyArray | StepValues | None, rows: IntArray
) -> AnyArray | None:
    if weights is None:
        return None
    weights = weights[rows]
    return weights.flat if isinstance(weights, StepValues) else weights


class SampleEncoder:
    """Normalises windows and encodes targets.

    Parameters
    ----------
    normalizer : WindowNormalizer
        Fitted by `fit_encode`.

    target : target object
        Fitted by `fit_encode`.
    """

    def __init__(self, normalizer: WindowNormalizer, target: Target) -> None:
        self.normalizer = normalizer
        self.target: Any = target  # some have more methods than `Target`

    def fit_encode(self, samples: Samples, rows: IntArray) -> EncodedSamples:
        """Fit normaliser and target on the training rows, and encode all samples."""
        self.normalizer.fit(samples.sequences, rows, samples.weights_of(rows))
        sequences = self.normalizer.normalize(samples.sequences)
        reference = sequences.reference()
        weights = None if samples.weights is None else samples.weights[rows]
        self.target.fit(samples.y, rows, weights, reference)
        targets = self.target.encode(samples.y, reference=reference)
        return EncodedSamples(sequences, targets, samples.weights)

    def encode(self, samples: Samples, name: str = "y") -> EncodedSamples:
        """Encode samples; messages call their targets `name`."""
        sequences = self.normalizer.normalize(samples.sequences)
        targets = self.target.encode(samples.y, name, sequences.reference())
        return EncodedSamples(sequences, targets, samples.weights)

    def encode_validation(self, samples: Samples) -> EncodedSamples:
        """Encode `X_val` and `y_val`, weighted by the class weights of the fit."""
        encoded = self.encode(samples, "y_val")
        return encoded.with_weights(self.target.class_weights(encoded.targets))
