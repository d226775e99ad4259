"""Free running: step after step is predicted, each from the predictions before it.

Legend of shapes: N sequences, K outputs, which continue K of the F features.
"""

from numbers import Integral

import numpy as np
import torch
from sklearn.utils.validation import check_array

from skrnn._data.sequences import FIXED, Sequences
from skrnn._data.step_targets import target_of_row
from skrnn._devices import limited_threads
from skrnn._inference.streaming import Stepper


def run_free(model, X, n_steps, future_features=None):
    """Return what `RNNRegressor.forecast` promises, for a fitted regressor."""
    if not isinstance(n_steps, Integral) or isinstance(n_steps, bool) or n_steps < 1:
        raise ValueError(f"n_steps must be an int from 1 upwards. Got {n_steps!r}.")
    sequences = model._read_sequences(X)
    n, n_features = len(sequences), sequences.n_features
    columns = fed_back_columns(model, n_features)
    others = [feature for feature in range(n_features) if feature not in columns]
    future = read_future(future_features, n, n_steps, others)
    refuse_huge(future, model._input_dtype())
    if model._spec["return_sequences"]:
        if model._spec["bidirectional"]:
            raise ValueError(
                "forecast wants a network that reads forward in time. Got "
                "bidirectional=True with return_sequences=True, whose outputs need "
                "the end of the sequence. Set bidirectional=False."
            )
        run = _run_on_state
    else:
        run = _run_on_windows
    with np.errstate(over="ignore", invalid="ignore"):  # what grows is refused below
        answers = run(model, sequences, n_steps, columns, others, future)
    target = target_of_row(model._target)
    # A step larger than what it is kept in counts as infinite. NaN compares as False.
    dtypes = target.dtype, model._input_dtype()
    largest = min(np.finfo(dtype).max for dtype in dtypes)
    finite = (np.abs(answers) <= largest).all(axis=(0, 2))
    if not finite.all():
        raise ValueError(
            "The forecast must stay finite. Got NaN or infinity at step "
            f"{finite.argmin()}: the network feeds itself values that grow. Train it "
            "longer or on more varied data, or forecast fewer steps."
        )
    if target.one_dimensional:
        answers = answers[:, :, 0]
    return answers.astype(target.dtype, copy=False)


def fed_back_columns(model, n_features):
    """Return which feature each output is the next value of, or refuse."""
    if model._spec["embedding_dim"] is not None:
        raise ValueError(
            "forecast feeds each output back as a feature of X. Got token ids, which "
            f"are no quantities: embedding_dim={model._spec['embedding_dim']}. Use "
            "predict."
        )
    given, n_targets = model._target_feature, target_of_row(model._target).n_targets
    if given is None and n_targets == n_features:
        return list(range(n_features))
    columns = given if isinstance(given, list) else [given]
    if given is None or len(set(columns)) != n_targets:
        raise ValueError(
            f"forecast feeds each output back as a feature of X. Got {n_targets} "
            f"outputs, {n_features} features and target_feature={given!r}. Name the "
            "feature of each output by target_feature before fit; several horizons "
            "at once come from predict."
        )
    return columns


def read_future(future_features, n, n_steps, others):
    """Return the other features to come as `(N, n_steps - 1, len(others))`."""
    if not others:
        if future_features is not None and np.size(future_features):
            raise ValueError(
                "future_features must be left out when every feature is predicted. "
                f"Got shape {np.shape(future_features)}."
            )
        return np.zeros((n, n_steps - 1, 0))
    if future_features is None:
        if n_steps == 1:
            return np.zeros((n, 0, len(others)))
        raise ValueError(
            f"future_features must give features {others} of X for the steps to come, "
            "which are not predicted. Got None."
        )
    future = check_array(
        future_features,
        ensure_2d=False,
        allow_nd=True,
        dtype=np.float64,
        ensure_min_samples=0,  # of a single step nothing is to come
        input_name="future_features",
    )
    if future.ndim == 2:
        future = np.broadcast_to(future, (n, *future.shape))
    wanted = [(n, steps, len(others)) for steps in (n_steps, n_steps - 1)]
    if future.shape not in wanted:
        raise ValueError(
            f"future_features must have shape {wanted[0]}: sequences, n_steps, and "
            f"other features than those predicted. Got {np.shape(future_features)}."
        )
    return future[:, : n_steps - 1]


def refuse_huge(future, dtype):
    """Refuse what the network would read as infinity, as X is refused."""
    if future.size and np.abs(future).max() > np.finfo(dtype).max / 4:
        raise ValueError(
            "Input future_features contains infinity or a value too large for "
            f"{dtype!r}. Remove it, or scale the data."
        )


def _run_on_state(model, sequences, n_steps, columns, others, future):
    """Run a network with an output per step, whose state tells all it needs."""
    n, net = len(sequences), model.net_
    rows, device = np.arange(n), net.device
    input_dtype = net.module_.input_mean.dtype
    values, lengths = model._express(sequences).take(rows, model._input_dtype())
    future = torch.from_numpy(future.copy()).to(device)  # torch wants a writable one
    last = None  # the last values, where the network predicts their change
    if model._expression[0] == "difference":
        known, _ = sequences.take(rows, np.float64)
        last = known[rows, sequences.n_steps() - 1][:, columns]
        last = torch.from_numpy(last).to(device)
    # Most often the predicted features are all there are, in their order.
    whole = not others and columns == list(range(len(columns)))
    x = torch.empty(n, len(columns) + len(others), dtype=torch.float64, device=device)
    answers = x.new_empty(n, n_steps, len(columns))
    with limited_threads(model.n_jobs), torch.inference_mode():
        decode = _decoder(target_of_row(model._target), device)
        stepper = Stepper(net.module_, n)
        output = stepper.run(
            torch.from_numpy(values).to(device),
            None if lengths is None else torch.from_numpy(lengths).to(device),
        )
        for t in range(n_steps):
            own = y = decode(output)
            if last is not None:
                y = last = y + last
            answers[:, t] = y
            if t == n_steps - 1:
                break
            if whole:
                x = own
            else:
                x[:, columns], x[:, others] = own, future[:, t]
            output = stepper.step(x.to(input_dtype))
    return answers.cpu().numpy()


def _decoder(target, device):
    """Return what turns raw outputs into y, or into its change, without numpy."""
    scale = torch.from_numpy(target.scale).to(device)
    mean = torch.from_numpy(target.mean).to(device)
    levels = getattr(target, "levels", None)

    def decode(output):
        output = output.double()
        if levels is not None:
            each = output.view(len(output), target.n_targets, -1).sort(dim=-1)[0]
            output = each[:, :, int(np.flatnonzero(levels == 0.5)[0])]
        return output * scale + mean

    return decode


def _run_on_windows(model, sequences, n_steps, columns, others, future):
    """Run a network with an output per sequence on a window that slides on."""
    n, n_features = len(sequences), sequences.n_features
    rows, lengths = np.arange(n), sequences.n_steps()
    longest = lengths.max() if model._input_kind == FIXED else model._longest
    # All that is known and predicted stands in one array, filled step by step.
    values = np.zeros((n, lengths.max() + n_steps, n_features))
    values[:, : lengths.max()] = sequences.take(rows, np.float64)[0]
    answers = np.full((n, n_steps, len(columns)), np.nan)
    for t in range(n_steps):
        ends = lengths + t
        sizes = np.minimum(ends, longest)
        steps = np.arange(sizes.max())
        valid = steps < sizes[:, None]
        index = np.where(valid, (ends - sizes)[:, None] + steps, 0)
        windows = values[rows[:, None], index].astype(model._input_dtype())
        equal = valid.all()
        window = Sequences(windows) if equal else Sequences(windows[valid], sizes)
        expressed = model._express(window)
        with limited_threads(model.n_jobs):
            output = model.net_.outputs(expressed)
        y = model._target.decode(output, expressed.reference())
        answers[:, t] = y.reshape(n, -1)
        if not np.isfinite(answers[:, t]).all():
            break  # the rest stays NaN
        if t < n_steps - 1:
            values[rows[:, None], ends[:, None], columns] = answers[:, t]
            if others:
                values[rows[:, None], ends[:, None], others] = future[:, t]
    return answers
