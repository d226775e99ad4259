"""Batches: data sets, the order of their rows, and length buckets."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, Self, TypeAlias

import numpy as np
import torch
from skorch.dataset import Dataset
from torch import Tensor

from skrnn._data.samples import EncodedSamples
from skrnn._data.sequences import Sequences
from skrnn._data.step_targets import StepValues
from skrnn._devices import numpy_dtype
from skrnn._typing import AnyArray, FloatArray, IntArray

# Inputs and encoded targets.
Batch: TypeAlias = tuple[dict[str, Tensor], Tensor]

# For batches of rows that differ in length: the share of padding that is accepted, the
# rows it is estimated on, and the number of batches below which rows are mixed more.
PADDING_LIMIT = 0.1
ESTIMATE_ROWS = 2**14
FEW_BATCHES = 16

CHUNK_ROWS = 256  # rows that are read at once where there are no batches
RESIDENT_BYTES = 2**30  # of data that stays on an accelerator during training


class SequenceDataset(Dataset):
    """Rows of sequences with their encoded targets and weights.

    Parameters
    ----------
    samples : EncodedSamples
        All the data.

    rows : ndarray of int of shape (n,)
        The rows of this data set.

    dtype, input_dtype : torch dtype
        Of targets and weights, and of batches of sequences.

    device : torch device
        The device of the batches.

    resident : bool, default=None
        Whether all sequences are copied to the device once, padded, instead of batch by
        batch. None: on an accelerator, up to `RESIDENT_BYTES`.
    """

    def __init__(
        self,
        samples: EncodedSamples,
        rows: IntArray,
        *,
        dtype: torch.dtype,
        input_dtype: torch.dtype,
        device: torch.device,
        resident: bool | None = None,
    ) -> None:
        targets, weights = samples.targets, samples.weights
        self.sequences = sequences = samples.sequences
        self.rows = rows
        self.input_dtype = numpy_dtype(input_dtype)
        self.device = device
        self.resident: ResidentSequences | None = None
        if resident is None:
            size = len(rows) * sequences.longest * sequences.n_features
            fits = size * self.input_dtype.itemsize <= RESIDENT_BYTES
            resident = device.type != "cpu" and fits
        if resident:
            self.resident = ResidentSequences(sequences, rows, input_dtype, device)
        self.per_step = isinstance(targets, StepValues)
        # `StepValues` with a target per time step, or else tensors.
        self.targets: Any = targets[rows]
        self.weights: Any = None
        if weights is not None or (self.per_step and sequences.lengths is not None):
            self.weights = relative_weights(self.targets, weights, rows)
        if self.per_step:
            self.steps_per_row = len(self.targets.flat) / len(rows)
            self.targets = _cast(self.targets, dtype)
            self.weights = None if self.weights is None else _cast(self.weights, dtype)
            return
        targets = torch.as_tensor(self.targets)
        if targets.is_floating_point():
            targets = targets.to(dtype)
        self.targets = targets.to(device)
        if self.weights is not None:
            self.weights = torch.as_tensor(self.weights).to(device, dtype)

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def lengths(self) -> IntArray | None:
        """Steps of each row in a batch, None if all have the same number."""
        if self.sequences.lengths is None:
            return None
        return self.sequences.n_batch_steps()[self.rows]

    @property
    def X(self) -> Self:  # read by skorch's scoring callbacks
        """The data set itself, which the net can predict."""
        return self

    @property
    def y(self) -> AnyArray:
        """The encoded targets; those of time steps in one column."""
        return self.targets.flat if self.per_step else self.targets.cpu().numpy()

    @property
    def flat_weights(self) -> FloatArray:
        """The weight of each row or time step, as float64; ones without weights."""
        weights = self.weights
        if weights is None:
            return np.ones(len(self.y))
        weights = weights.flat if self.per_step else weights.cpu().numpy()
        return weights.astype(np.float64)

    def __getitem__(self, position: int) -> tuple[dict[str, Tensor], Tensor]:
        inputs, targets = self.batch(torch.tensor([position]))
        return {key: value[0] for key, value in inputs.items()}, targets[0]

    def batch(self, positions: Tensor) -> Batch:
        """Return `(inputs, targets)` for a tensor of positions in this data set."""
        if self.resident is not None:
            values, lengths = self.resident.take(positions)
        else:
            values, lengths = self.sequences.take(
                self.rows[positions.numpy()], self.input_dtype
            )
            values = torch.from_numpy(values).to(self.device)
            if lengths is not None:
                lengths = torch.from_numpy(lengths).to(self.device)
        inputs = {"values": values}
        if lengths is not None:
            inputs["lengths"] = lengths
        if self.per_step:
            positions = positions.numpy()
            if self.weights is not None:
                weights = torch.from_numpy(self.weights.padded(positions))
                inputs["sample_weight"] = weights.to(self.device)
            targets = torch.from_numpy(self.targets.padded(positions))
            return inputs, targets.to(self.device)
        positions = positions.to(self.device)
        if self.weights is not None:
            inputs["sample_weight"] = self.weights[positions]
        return inputs, self.targets[positions]


class ResidentSequences:
    """Rows of sequences on a device, padded to the longest.

    Parameters
    ----------
    sequences : Sequences
        All the data.

    rows : ndarray of int of shape (n,)
        The rows.

    dtype : torch dtype
        Of the values.

    device : torch device
        The device.
    """

    def __init__(
        self,
        sequences: Sequences,
        rows: IntArray,
        dtype: torch.dtype,
        device: torch.device,
    ) -> None:
        steps = sequences.n_batch_steps()[rows]
        shape = len(rows), int(steps.max()), sequences.n_features
        self.values = torch.zeros(shape, dtype=dtype, device=device)
        self.lengths = None
        if sequences.lengths is not None:
            self.lengths = torch.from_numpy(steps)
        for part in torch.arange(len(rows)).split(CHUNK_ROWS):
            values, _ = sequences.take(rows[part.numpy()], numpy_dtype(dtype))
            first, last = int(part[0]), int(part[-1])
            self.values[first : last + 1, : values.shape[1]] = torch.from_numpy(values)

    def take(self, positions: Tensor) -> tuple[Tensor, Tensor | None]:
        """Return `(values, lengths)` as `Sequences.take` does, on the device."""
        index = positions.to(self.values.device, non_blocking=True)
        if self.lengths is None:
            return self.values[index], None
        lengths = self.lengths[positions]  # on the host, without synchronisation
        longest = int(lengths.max())
        values = self.values[index, :longest]
        if bool((lengths == longest).all()):
            return values, None
        return values, lengths.to(values.device, non_blocking=True)


def relative_weights(
    targets: AnyArray | StepValues, weights: Any, rows: IntArray
) -> AnyArray | StepValues:
    """Return the weights of some rows relative to the mean of a row, see `get_loss`.

    The weights of the time steps of a row sum to 1 in the mean over rows.
    """
    if isinstance(targets, StepValues):
        flat = np.ones(len(targets.flat)) if weights is None else weights[rows].flat
        return targets.with_values(flat * (len(rows) / flat.sum()))
    return weights[rows] / weights[rows].mean()


class Batches:
    """The batches of a `SequenceDataset`, in a new order in each iteration.

    Replaces the DataLoader that skorch expects, which indexes and collates row by row
    and draws from torch's global generator.

    Parameters
    ----------
    dataset : SequenceDataset
        The rows.

    batch_size : int
        Rows of a batch; the last may have fewer.

    generator : torch.Generator, default=None
        Of the order; None keeps the order of the rows.

    pool : int, default=1
        Number of batches that are drawn together, sorted by length and then split, so
        that a batch needs little padding. See `choose_pool_size`.
    """

    def __init__(
        self,
        dataset: SequenceDataset,
        batch_size: int,
        generator: torch.Generator | None = None,
        pool: int = 1,
    ) -> None:
        self.dataset = dataset
        self.batch_size = batch_size
        self.generator = generator
        self.pool = pool

    def __len__(self) -> int:
        return math.ceil(len(self.dataset) / self.batch_size)

    def __iter__(self) -> Iterator[Batch]:
        order, bounds = self.order_and_bounds()
        for positions in torch.from_numpy(order).split(np.diff(bounds).tolist()):
            yield self.dataset.batch(positions)

    def order_and_bounds(self) -> tuple[IntArray, IntArray]:
        """Return the rows of all batches in a new order, and where batches begin.

        Returns
        -------
        order : ndarray of int64 of shape (n,)
            Positions in the data set.

        bounds : ndarray of int64 of shape (batches + 1,)
            Where each batch begins in `order`, and where the last one ends.
        """
        n, n_batches = len(self.dataset), len(self)
        sizes = np.full(n_batches, self.batch_size)
        sizes[-1] = n - self.batch_size * (n_batches - 1)
        bounds = np.concatenate([[0], np.cumsum(sizes)])
        if self.generator is None:
            return np.arange(n), bounds
        order = torch.randperm(n, generator=self.generator)
        if self.pool == 1:
            return order.numpy(), bounds
        lengths = torch.from_numpy(self.dataset.lengths)
        pools = [
            part[lengths[part].argsort(stable=True)]
            for part in order.split(self.pool * self.batch_size)
        ]
        order = torch.cat(pools).numpy()
        shuffled = torch.randperm(n_batches, generator=self.generator).numpy()
        first, sizes = bounds[shuffled], sizes[shuffled]
        bounds = np.concatenate([[0], np.cumsum(sizes)])
        return order[np.repeat(first - bounds[:-1], sizes) + np.arange(n)], bounds


def choose_pool_size(lengths: IntArray, batch_size: int) -> int:
    """Return the smallest number of batches to sort by length together.

    Random batches train best, and batches of equal lengths need no padding. The result
    is the smallest pool that keeps padding below `PADDING_LIMIT` of all steps, as
    estimated on one order of at most `ESTIMATE_ROWS` rows. With fewer than
    `FEW_BATCHES` batches a pool has at most a quarter of them; otherwise the batches
    would be the same in every epoch, with which an LSTM learned less on 50 gestures.

    Parameters
    ----------
    lengths : ndarray of shape (n,)
        Of the rows.

    batch_size : int
        Rows of a batch.

    Returns
    -------
    pool : int
        The largest allowed if no pool is below the limit.
    """
    n_batches = math.ceil(len(lengths) / batch_size)
    largest = n_batches if n_batches >= FEW_BATCHES else n_batches // 4
    order = np.random.default_rng(0).permutation(len(lengths))[:ESTIMATE_ROWS]
    lengths = lengths[order]
    pool = 1
    while True:
        size = pool * batch_size
        sorted_ = np.concatenate(
            [np.sort(lengths[i : i + size]) for i in range(0, len(lengths), size)]
        )
        first = np.arange(0, len(sorted_), batch_size)
        counts = np.diff(first, append=len(sorted_))
        padded = (np.maximum.reduceat(sorted_, first) * counts).sum()
        if sorted_.sum() > (1 - PADDING_LIMIT) * padded or pool >= largest:
            return pool
        pool = min(2 * pool, largest)


def valid_steps(x: Tensor, lengths: Tensor | None = None) -> Tensor:
    """Return the valid steps of a batch `(N, L, ...)`, concatenated: `(S, ...)`."""
    if lengths is None:
        return x.flatten(0, 1)
    return x[torch.arange(x.shape[1], device=x.device) < lengths[:, None]]


def _cast(values: StepValues, dtype: torch.dtype) -> StepValues:
    """Return floating `StepValues` in the precision of the network."""
    if values.flat.dtype.kind != "f":
        return values
    return values.with_values(values.flat.astype(numpy_dtype(dtype)))
