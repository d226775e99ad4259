"""One target for each time step: a target object over all steps laid end to end.

Legend of shapes: S valid steps of all sequences together, K outputs.
"""

import numpy as np
from sklearn.utils.validation import check_array


class StepValues:
    """Something with one entry for each valid time step of sequences.

    Parameters
    ----------
    flat : ndarray of shape (S,) or (S, K)
        The entries of all sequences, end to end.

    lengths : ndarray of shape (n_samples,)
        Steps of each sequence.
    """

    def __init__(self, flat, lengths):
        self.flat = flat
        self.lengths = lengths
        self.starts = np.concatenate([[0], np.cumsum(lengths)[:-1]])

    def __len__(self):
        return len(self.lengths)

    def like(self, flat):
        """Return other entries for the same steps, None for None."""
        return None if flat is None else StepValues(flat, self.lengths)

    def __getitem__(self, rows):
        """Return the entries of some sequences only."""
        return StepValues(self.flat[self.positions(rows)], self.lengths[rows])

    def positions(self, rows):
        """Return where in `flat` the steps of some sequences stand."""
        lengths = self.lengths[rows]
        ends = np.cumsum(lengths)
        first = np.repeat(self.starts[rows] - ends + lengths, lengths)
        return first + np.arange(ends[-1] if len(ends) else 0)

    def padded(self, rows):
        """Return the entries of some sequences as `(N, L, ...)`, with zeros behind."""
        lengths = self.lengths[rows]
        steps = np.arange(lengths.max())
        valid = steps < lengths[:, None]
        batch = np.zeros((*valid.shape, *self.flat.shape[1:]), dtype=self.flat.dtype)
        batch[valid] = self.flat[self.positions(rows)]
        return batch

    def unflatten(self, flat, ragged):
        """Return entries as users want them: `(n_samples, n_timesteps, ...)`.

        Or, of ragged sequences, a 1-D object array of arrays.
        """
        if not ragged:
            return flat.reshape(len(self), -1, *flat.shape[1:])
        pieces = np.empty(len(self), dtype=object)
        pieces[:] = np.split(flat, self.starts[1:])
        return pieces


class StepwiseTarget:
    """A target for each time step, of the kind that another object knows.

    It gets and gives `StepValues`; to the other object all steps are one long column.

    Parameters
    ----------
    of_step : target object
        What is learned of one step.
    """

    def __init__(self, of_step):
        self.of_step = of_step

    @property
    def n_outputs(self):
        """Raw outputs of a step."""
        return self.of_step.n_outputs

    def __getattr__(self, name):
        # `classes` exists exactly where the other object has it.
        if name == "classes" and "of_step" in vars(self):
            return self.of_step.classes
        raise AttributeError(f"{type(self).__name__} has no attribute {name!r}.")

    def fit(self, y, rows, weights, reference=None):
        """Learn the units of y from the steps of `rows`."""
        steps, of_steps = y.positions(rows), None
        if weights is not None:
            counted = weights.flat > 0
            steps, of_steps = steps[counted], weights.flat[counted]
        self.of_step.fit(y.flat, steps, of_steps, reference)
        return self

    def encode(self, y, name="y", reference=None):
        """Return what the network is to learn of every step, as `StepValues`."""
        return y.like(self.of_step.encode(y.flat, name, reference))

    def row_weights(self, codes, class_weight, weights):
        """Return the weight of each step, multiplied by that of its class."""
        flat = None if weights is None else weights.flat
        return codes.like(self.of_step.row_weights(codes.flat, class_weight, flat))

    def class_weights(self, codes):
        """Return the weights that `row_weights` learned, for other steps."""
        return codes.like(self.of_step.class_weights(codes.flat))

    def row_loss(self, output, target):
        """Return the loss of each step `(N, L)` for raw outputs `(N, L, K)`."""
        losses = self.of_step.row_loss(output.flatten(0, 1), target.flatten(0, 1))
        return losses.view(output.shape[:2])

    def __repr__(self):
        return f"{type(self).__name__}({self.of_step!r})"


def target_of_row(target):
    """Return what is learned of one row or one step: steps are rows to their target."""
    return target.of_step if isinstance(target, StepwiseTarget) else target


def check_step_targets(y, sequences, name="y", of="X", what="target"):
    """Return y as `StepValues`, holding it against the steps of the sequences.

    Parameters
    ----------
    y : array-like of shape (n_samples, n_timesteps) or (n_samples, n_timesteps, K), \
or list or 1-D object array of arrays
        As it came.

    sequences : Sequences
        With as many rows. Where padding was taken off them y may have it too.

    name, of, what : str
        What messages call y, the sequences, and an entry of y.

    Raises
    ------
    ValueError
        If there is not one target for each step.
    """
    lengths = sequences.n_steps()
    if hasattr(y, "to_numpy"):
        y = y.to_numpy()
    dense = isinstance(y, np.ndarray) and y.ndim > 1
    pieces = (
        y if dense else [_as_piece(piece, i, name, what) for i, piece in enumerate(y)]
    )
    padded = lengths if sequences.padded_steps is None else sequences.padded_steps
    for i, (piece, length) in enumerate(zip(pieces, lengths, strict=True)):
        if piece.ndim == 0:
            raise ValueError(
                f"{name} must hold one target for each time step with "
                "return_sequences=True: an array of shape (n_samples, n_timesteps) or "
                "(n_samples, n_timesteps, n_outputs), or a list of arrays. Got one "
                f"target for sequence {i}. Set return_sequences=False for one target "
                "per sequence."
            )
        if piece.ndim > 2:
            raise ValueError(
                f"{name} must hold one {what}, or one row of {what}s, for each time "
                f"step. Got shape {piece.shape} for sequence {i}."
            )
        if len(piece) not in (length, padded[i]):
            raise ValueError(
                f"{name} must hold one {what} for each time step of {of}. Got "
                f"{len(piece)} for the {length} steps of sequence {i}."
            )
        if piece.shape[1:] != pieces[0].shape[1:]:
            raise ValueError(
                f"{name} must hold as many {what}s for every time step. Got shape "
                f"{pieces[0].shape} for sequence 0 and {piece.shape} for sequence {i}."
            )
        if dense and sequences.lengths is None:
            break  # all are alike
    if dense and sequences.lengths is None:
        return StepValues(y.reshape(-1, *y.shape[2:]), lengths)
    # What stands behind the end of a sequence belongs to its padding.
    valid = [piece[:length] for piece, length in zip(pieces, lengths, strict=True)]
    return StepValues(np.concatenate(valid), lengths)


def _as_piece(piece, i, name, what):
    try:
        return np.asarray(piece)
    except ValueError as error:  # numpy's own would speak of elements and dimensions
        raise ValueError(
            f"{name} must hold as many {what}s for every time step. Got different "
            f"numbers in sequence {i}."
        ) from error


def check_step_weights(sample_weight, sequences):
    """Return the weight of each step as `StepValues`, or None for equal weights.

    A weight for each sequence, `(n_samples,)`, holds for each of its steps.
    """
    if sample_weight is None:
        return None
    lengths = sequences.n_steps()
    if np.isscalar(sample_weight):
        sample_weight = np.full(len(lengths), float(sample_weight))
    if hasattr(sample_weight, "to_numpy"):
        sample_weight = sample_weight.to_numpy()
    if len(sample_weight) != len(lengths):
        raise ValueError(
            f"sample_weight must have a weight for each of the {len(lengths)} "
            f"sequences, or for each of their steps. Got {len(sample_weight)} entries."
        )
    single = [np.isscalar(w) or not np.iterable(w) for w in sample_weight]
    if all(single):
        weights = StepValues(np.repeat(np.asarray(sample_weight), lengths), lengths)
    elif any(single):
        raise ValueError(
            "sample_weight must hold one weight for each sequence, or for each time "
            f"step of each. Got one for sequence {single.index(True)} and several for "
            f"sequence {single.index(False)}."
        )
    else:
        weights = check_step_targets(
            sample_weight, sequences, "sample_weight", what="weight"
        )
    flat = check_array(
        weights.flat, ensure_2d=False, dtype=np.float64, input_name="sample_weight"
    )
    if flat.ndim != 1:
        raise ValueError(
            "sample_weight must hold one weight for each sequence or for each time "
            f"step. Got several for a step: shape {flat.shape[1:]}."
        )
    if flat.min() < 0:
        i = int(np.searchsorted(weights.starts, flat.argmin(), side="right")) - 1
        raise ValueError(
            f"sample_weight must not be negative. Got {flat.min()} in sequence {i}. "
            "Use 0 to leave a step out."
        )
    if flat.max() == 0:
        raise ValueError(
            "sample_weight must have a weight above zero for at least one step. Got "
            f"zero for all {len(flat)}."
        )
    # Only ratios count; sums of weights near the largest float would overflow.
    return weights.like(flat / flat.max() if flat.max() > 1e300 else flat)
