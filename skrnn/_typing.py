"""Names of types that several modules use in their annotations."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias, TypeVar

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, DTypeLike, NDArray

__all__ = [
    "AnyArray",
    "ArrayLike",
    "BoolArray",
    "DType",
    "DTypeLike",
    "Estimator",
    "FilePath",
    "FloatArray",
    "IntArray",
    "NDArray",
    "SequencesLike",
    "Target",
    "TargetsLike",
    "TokensLike",
    "available_if",
]

if TYPE_CHECKING:  # scikit-learn's has no types, and would hide those of the method
    Method = TypeVar("Method")

    def available_if(check: Callable[[Any], bool]) -> Callable[[Method], Method]:
        """Make a method available if `check` accepts its object."""

else:
    from sklearn.utils.metaestimators import available_if

AnyArray: TypeAlias = NDArray[Any]
FloatArray: TypeAlias = NDArray[np.floating[Any]]
IntArray: TypeAlias = NDArray[np.integer[Any]]
BoolArray: TypeAlias = NDArray[np.bool_]
DType: TypeAlias = np.dtype[Any] | type[np.generic]

FilePath: TypeAlias = str | os.PathLike[str]

# What users pass: X, and y or weights, one for each sequence or for each time step.
SequencesLike: TypeAlias = ArrayLike | Sequence[ArrayLike] | pd.DataFrame
TargetsLike: TypeAlias = ArrayLike | Sequence[ArrayLike] | pd.DataFrame | pd.Series
# Texts, sequences of tokens, or a table of them.
TokensLike: TypeAlias = ArrayLike | Iterable[Any] | pd.DataFrame

# A `BaseRecurrent`, or another estimator, in modules that must not import it.
Estimator: TypeAlias = Any


class Target(Protocol):
    """A target object, of sequences or of time steps, see `skrnn._data.targets`."""

    @property
    def n_outputs(self) -> int:
        """Raw outputs of the network for each target."""

    def fit(
        self,
        y: Any,
        rows: IntArray,
        weights: Any,
        reference: tuple[AnyArray, AnyArray] | None = None,
    ) -> Any:
        """Learn the units of y."""

    def encode(
        self,
        y: Any,
        name: str = "y",
        reference: tuple[AnyArray, AnyArray] | None = None,
    ) -> Any:
        """Return the numbers that the network is trained on."""

    def class_weights(self, codes: Any) -> Any:
        """Return the weights of encoded targets by class, or None."""

    def row_loss(self, output: Any, target: Any) -> Any:
        """Return the loss of each row of a batch, or of each step."""
