"""Recursive forecasts: each step is predicted from the predictions before it.

Legend of shapes: N sequences, K outputs, which continue K of the F features.
"""

from __future__ import annotations

from collections.abc import Callable
from numbers import Integral
from typing import Any

import numpy as np
import torch
from sklearn.utils.validation import check_array
from torch import Tensor

from skrnn._data.sequences import FIXED, Sequences
from skrnn._data.step_targets import unwrap_target
from skrnn._devices import limited_threads
from skrnn._inference.prediction import predict_ensemble
from skrnn._inference.streaming import make_ensemble_stepper
from skrnn._typing import AnyArray, ArrayLike, DType, SequencesLike


def forecast(
    model: Any, X: SequencesLike, n_steps: int, future_features: ArrayLike | None = None
) -> AnyArray:
    """Return what `RNNRegressor.forecast` promises, for a fitted regressor."""
    if not isinstance(n_steps, Integral) or isinstance(n_steps, bool) or n_steps < 1:
        raise ValueError(f"n_steps must be an int from 1 upwards. Got {n_steps!r}.")
    sequences = model._check_X(X)
    n, n_features = len(sequences), sequences.n_features
    columns = fed_back_columns(model, n_features)
    others = [feature for feature in range(n_features) if feature not in columns]
    future = check_future(future_features, n, n_steps, others)
    check_magnitude(future, model._input_dtype())
    if model._module_config.return_sequences:
        if model._module_config.bidirectional:
            raise ValueError(
                "forecast needs a network that reads forward in time. Got "
                "bidirectional=True with return_sequences=True, whose outputs depend "
                "on the end of the sequence. Set bidirectional=False."
            )
        run = _forecast_by_state
    else:
        run = _forecast_by_windows
    with np.errstate(over="ignore", invalid="ignore"):  # checked below
        predictions = run(model, sequences, n_steps, columns, others, future)
    target = unwrap_target(model._encoder.target)
    # A value that overflows its dtype counts as infinite. NaN compares as False.
    dtypes = target.dtype, model._input_dtype()
    largest = min(np.finfo(dtype).max for dtype in dtypes)
    finite = (np.abs(predictions) <= largest).all(axis=(0, 2))
    if not finite.all():
        raise ValueError(
            "The forecast must stay finite. Got NaN or infinity at step "
            f"{finite.argmin()}: the network feeds itself values that grow. Train it "
            "longer or on more varied data, or forecast fewer steps."
        )
    if target.one_dimensional:
        predictions = predictions[:, :, 0]
    return predictions.astype(target.dtype, copy=False)


def fed_back_columns(model: Any, n_features: int) -> list[int]:
    """Return the feature that each output is the next value of, or raise an error."""
    if model._module_config.embedding_dim is not None:
        raise ValueError(
            "forecast feeds each output back as a feature of X. Got token ids, which "
            f"are no quantities: embedding_dim={model._module_config.embedding_dim}. "
            "Use predict."
        )
    given = model._target_feature
    n_targets = unwrap_target(model._encoder.target).n_targets
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


def check_future(
    future_features: ArrayLike | None, n: int, n_steps: int, others: list[int]
) -> AnyArray:
    """Return the future values of other features `(N, n_steps - 1, len(others))`."""
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
        ensure_min_samples=0,  # a forecast of one step needs none
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


def check_magnitude(future: AnyArray, dtype: DType) -> None:
    """Refuse values that overflow the input dtype, as in X."""
    if future.size and np.abs(future).max() > np.finfo(dtype).max / 4:
        raise ValueError(
            "Input future_features contains infinity or a value too large for "
            f"{dtype!r}. Remove it, or scale the data."
        )


def _forecast_by_state(
    model: Any,
    sequences: Sequences,
    n_steps: int,
    columns: list[int],
    others: list[int],
    future: AnyArray,
) -> AnyArray:
    """Run a network with an output per time step, carrying its state."""
    n, net = len(sequences), model.net_
    rows, device = np.arange(n), net.device
    input_dtype = net.module_.input_mean.dtype
    values, lengths = model._encoder.normalizer.normalize(sequences).take(
        rows, model._input_dtype()
    )
    future = torch.from_numpy(future.copy()).to(device)  # torch needs writable memory
    last = None  # the last values, if the network predicts their change
    if model._encoder.normalizer.window_norm == "difference":
        known, _ = sequences.take(rows, np.float64)
        last = known[rows, sequences.n_steps() - 1][:, columns]
        last = torch.from_numpy(last).to(device)
    # Usually the predicted features are all features, in their order.
    predicts_all = not others and columns == list(range(len(columns)))
    x = torch.empty(n, len(columns) + len(others), dtype=torch.float64, device=device)
    predictions = x.new_empty(n, n_steps, len(columns))
    with limited_threads(model.n_jobs), torch.inference_mode():
        decode = _decoder(unwrap_target(model._encoder.target), device)
        target = unwrap_target(model._encoder.target)
        stepper = make_ensemble_stepper(model._modules(), n, target)
        output = stepper.run(
            torch.from_numpy(values).to(device),
            None if lengths is None else torch.from_numpy(lengths).to(device),
        )
        for t in range(n_steps):
            own = y = decode(output)
            if last is not None:
                y = last = y + last
            predictions[:, t] = y
            if t == n_steps - 1:
                break
            if predicts_all:
                x = own
            else:
                x[:, columns], x[:, others] = own, future[:, t]
            output = stepper.step(x.to(input_dtype))
    return predictions.cpu().numpy()


def _decoder(target: Any, device: torch.device) -> Callable[[Tensor], Tensor]:
    """Return a torch function from raw outputs to y, or to its change."""
    scale = torch.from_numpy(target.scale).to(device)
    mean = torch.from_numpy(target.mean).to(device)
    levels = getattr(target, "levels", None)

    def decode(output: Tensor) -> Tensor:
        output = output.double()
        if levels is not None:
            each = output.view(len(output), target.n_targets, -1).sort(dim=-1)[0]
            output = each[:, :, int(np.flatnonzero(levels == 0.5)[0])]
        return output * scale + mean

    return decode


def _forecast_by_windows(
    model: Any,
    sequences: Sequences,
    n_steps: int,
    columns: list[int],
    others: list[int],
    future: AnyArray,
) -> AnyArray:
    """Run a network with one output per sequence on a sliding window."""
    n, n_features, target = len(sequences), sequences.n_features, model._encoder.target
    rows, lengths = np.arange(n), sequences.n_steps()
    longest = lengths.max() if model._input_kind == FIXED else model._longest
    # One array for known and predicted values, filled step by step.
    values = np.zeros((n, lengths.max() + n_steps, n_features))
    values[:, : lengths.max()] = sequences.take(rows, np.float64)[0]
    predictions = np.full((n, n_steps, len(columns)), np.nan)
    for t in range(n_steps):
        ends = lengths + t
        sizes = np.minimum(ends, longest)
        steps = np.arange(sizes.max())
        valid = steps < sizes[:, None]
        index = np.where(valid, (ends - sizes)[:, None] + steps, 0)
        windows = values[rows[:, None], index].astype(model._input_dtype())
        equal = valid.all()
        window = Sequences(windows) if equal else Sequences(windows[valid], sizes)
        normalized = model._encoder.normalizer.normalize(window)
        with limited_threads(model.n_jobs):
            output = predict_ensemble(model._modules(), normalized, target)
        y = target.decode(output, normalized.reference())
        predictions[:, t] = y.reshape(n, -1)
        if not np.isfinite(predictions[:, t]).all():
            break  # the rest stays NaN
        if t < n_steps - 1:
            values[rows[:, None], ends[:, None], columns] = predictions[:, t]
            if others:
                values[rows[:, None], ends[:, None], others] = future[:, t]
    return predictions
