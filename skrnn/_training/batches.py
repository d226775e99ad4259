"""Batches: data sets, the order of their rows, and length buckets."""

import math

import numpy as np
import torch
from skorch.dataset import Dataset

from skrnn._data.step_targets import StepValues
from skrnn._devices import numpy_dtype

# Of batches of rows that differ in length.
PADDING_LIMIT = 0.1


POOLED_ROWS = 2**14


FEW_BATCHES = 16


COPY_ROWS = 256  # that are copied to an accelerator at once
RESIDENT_BYTES = 2**30  # of data that is kept on an accelerator while it trains


class SequenceDataset(Dataset):
    """Rows of sequences with their encoded targets and weights.

    Parameters
    ----------
    sequences : Sequences
        All the data.

    rows : ndarray of int of shape (n,)
        Which of them this data set holds.

    targets : ndarray of shape (len(sequences), ...) or StepValues
        Encoded targets of all the data, for each sequence or for each step.

    weights : ndarray of shape (len(sequences),), StepValues or None
        Weights of all the data, alike.

    dtype, input_dtype : torch dtype
        Of targets and weights, and of batches of sequences.

    device : torch device
        Where batches are wanted.

    resident : bool, default=None
        Whether all sequences are brought to the device once, padded, instead of batch
        by batch. None: on an accelerator, up to `RESIDENT_BYTES`.
    """

    def __init__(
        self,
        sequences,
        rows,
        targets,
        weights,
        *,
        dtype,
        input_dtype,
        device,
        resident=None,
    ):
        self.sequences = sequences
        self.rows = rows
        self.input_dtype = numpy_dtype(input_dtype)
        self.device = device
        self.resident = None
        if resident is None:
            size = len(rows) * sequences.longest * sequences.n_features
            fits = size * self.input_dtype.itemsize <= RESIDENT_BYTES
            resident = device.type != "cpu" and fits
        if resident:
            self.resident = ResidentSequences(sequences, rows, input_dtype, device)
        self.per_step = isinstance(targets, StepValues)
        self.targets, self.weights = targets[rows], None
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

    def __len__(self):
        return len(self.rows)

    @property
    def lengths(self):
        """The steps of each row as the network gets them, None if all have as many."""
        if self.sequences.lengths is None:
            return None
        return self.sequences.expressed_steps()[self.rows]

    @property
    def X(self):  # what skorch's scoring callbacks ask a data set for
        """The data set itself, which the net can predict."""
        return self

    @property
    def y(self):
        """The encoded targets, of steps as one long column."""
        return self.targets.flat if self.per_step else self.targets.cpu().numpy()

    @property
    def flat_weights(self):
        """The weight of each row or step, as numpy in float64; ones if all are one."""
        weights = self.weights
        if weights is None:
            return np.ones(len(self.y))
        weights = weights.flat if self.per_step else weights.cpu().numpy()
        return weights.astype(np.float64)

    def __getitem__(self, position):
        inputs, targets = self.batch(torch.tensor([position]))
        return {key: value[0] for key, value in inputs.items()}, targets[0]

    def batch(self, positions):
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
    """Rows of sequences that lie on a device, padded to the longest.

    Parameters
    ----------
    sequences : Sequences
        All the data.

    rows : ndarray of int of shape (n,)
        Which of them.

    dtype : torch dtype
        Of the values.

    device : torch device
        Where they lie.
    """

    def __init__(self, sequences, rows, dtype, device):
        steps = sequences.expressed_steps()[rows]
        shape = len(rows), int(steps.max()), sequences.n_features
        self.values = torch.zeros(shape, dtype=dtype, device=device)
        self.lengths = None
        if sequences.lengths is not None:
            self.lengths = torch.from_numpy(steps)
        for part in torch.arange(len(rows)).split(COPY_ROWS):
            values, _ = sequences.take(rows[part.numpy()], numpy_dtype(dtype))
            places = slice(int(part[0]), int(part[-1]) + 1)
            self.values[places, : values.shape[1]] = torch.from_numpy(values)

    def take(self, positions):
        """Return `(values, lengths)` as `Sequences.take` does, on the device."""
        places = positions.to(self.values.device, non_blocking=True)
        if self.lengths is None:
            return self.values[places], None
        lengths = self.lengths[positions]  # read where nobody has to wait for them
        longest = int(lengths.max())
        values = self.values[places, :longest]
        if bool((lengths == longest).all()):
            return values, None
        return values, lengths.to(values.device, non_blocking=True)


def relative_weights(targets, weights, rows):
    """Return the weights of some rows relative to the mean of a row, see `get_loss`.

    A step's weight is its share in a row, so that those of a row add up to one in the
    mean over rows.
    """
    if isinstance(targets, StepValues):
        flat = np.ones(len(targets.flat)) if weights is None else weights[rows].flat
        return targets.like(flat * (len(rows) / flat.sum()))
    return weights[rows] / weights[rows].mean()


class Batches:
    """Iterate over a `SequenceDataset`, anew and in a new order each time.

    Stands where skorch expects a DataLoader, which would index and collate row by
    row and draw from torch's global generator.

    Parameters
    ----------
    dataset : SequenceDataset
        The rows.

    batch_size : int
        Of all batches but the last, which may be smaller.

    generator : torch.Generator, default=None
        Of the order; rows stay in theirs if None.

    pool : int, default=1
        How many batches are drawn together and then filled by length, so that rows
        of a batch need little padding. See `batches_in_pool`.
    """

    def __init__(self, dataset, batch_size, generator=None, pool=1):
        self.dataset = dataset
        self.batch_size = batch_size
        self.generator = generator
        self.pool = pool

    def __len__(self):
        return math.ceil(len(self.dataset) / self.batch_size)

    def __iter__(self):
        n = len(self.dataset)
        if self.generator is None:
            order = torch.arange(n)
        else:
            order = torch.randperm(n, generator=self.generator)
        batches = order.split(self.batch_size)
        if self.pool > 1:
            lengths = torch.from_numpy(self.dataset.lengths)
            pools = [
                part[lengths[part].argsort(stable=True)]
                for part in order.split(self.pool * self.batch_size)
            ]
            batches = torch.cat(pools).split(self.batch_size)
            shuffled = torch.randperm(len(batches), generator=self.generator)
            batches = [batches[i] for i in shuffled]
        for positions in batches:
            yield self.dataset.batch(positions)


def batches_in_pool(lengths, batch_size):
    """Return how many batches to fill together by length, as few as will do.

    Rows that are drawn in any order teach best, and those of one length need no
    padding. This is the least that makes padding less than `PADDING_LIMIT` of all
    steps, tried on one order of at most `POOLED_ROWS` rows. Of fewer than
    `FEW_BATCHES` at most a quarter is filled together: else there would be the same
    batches in each epoch, which taught an LSTM less on 50 gestures.

    Parameters
    ----------
    lengths : ndarray of shape (n,)
        Of the rows.

    batch_size : int
        Rows of a batch.

    Returns
    -------
    pool : int
        The most there may be if even that needs more padding.
    """
    n_batches = math.ceil(len(lengths) / batch_size)
    most = n_batches if n_batches >= FEW_BATCHES else n_batches // 4
    order = np.random.default_rng(0).permutation(len(lengths))[:POOLED_ROWS]
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
        if sorted_.sum() > (1 - PADDING_LIMIT) * padded or pool >= most:
            return pool
        pool = min(2 * pool, most)


def valid_steps(x, lengths=None):
    """Return the valid steps of a batch `(N, L, ...)` end to end, `(S, ...)`."""
    if lengths is None:
        return x.flatten(0, 1)
    return x[torch.arange(x.shape[1], device=x.device) < lengths[:, None]]


def _cast(values, dtype):
    """Return floating `StepValues` in the precision of the network."""
    if values.flat.dtype.kind != "f":
        return values
    return values.like(values.flat.astype(numpy_dtype(dtype)))
