"""Calls with generated parameters, containers, dtypes, lengths, sizes and values.

Each call either works, with finite output of the right shape, or raises a ValueError, a
TypeError or a NotFittedError of skrnn or scikit-learn: no other error, no warning of
another library, no NaN.

The default suite runs few of them, the slow group about 5,000 calls. To run 200,000:

    SKRNN_GENERATED_EXAMPLES=60000 pytest -n 2 -m slow tests/test_generated_calls.py
"""

import os
import traceback
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import polars
import pytest
import sklearn
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sklearn.exceptions import NotFittedError

import skrnn
from skrnn import BiRNNClassifier, RNNClassifier, RNNRegressor

FOLDERS = tuple(str(Path(module.__file__).parent) for module in (skrnn, sklearn))
EXAMPLES = int(os.environ.get("SKRNN_GENERATED_EXAMPLES", "1500"))

small_factors = [1e-3, 1e-10, 1e-30, 1e-40, 1e-160, 1e-300, 1e-310]
large_factors = [1e3, 1e10, 1e30, 1e37, 1e150, 1e300, 1e307]
factors = st.sampled_from([1.0] * 7 + small_factors + large_factors)
offsets = st.sampled_from([0.0, 0.0, 0.0, 1.0, -1e6, 1e12])
shapes_of_values = st.sampled_from(
    ["normal", "normal", "walk", "whole", "flags", "constant", "zeros", "line", "spike"]
)
floats = [np.float64, np.float64, np.float32, np.float32, np.float16, np.longdouble]
dtypes = st.sampled_from([*floats, ">f8", np.int64, np.int8, np.uint64, np.bool_])
special_values = st.sampled_from([*[None] * 12, np.nan, np.inf, -np.inf, 3e38, 1.7e308])
strides = ["C", "C", "F", "reversed", "strided", "read-only", "broadcast", "windows"]
containers = ["list", "objects", "masked", "tensor", "frame", "polars", "Int64"]
layouts = st.sampled_from(strides + containers)


def draw_values(draw, rng, shape):
    """Return numbers of any size, form and dtype."""
    form = draw(shapes_of_values)
    values = rng.normal(size=shape)
    if form == "walk":
        values = np.cumsum(values, axis=-1)
    elif form == "whole":
        values = np.round(3 * np.abs(values))
    elif form == "flags":
        values = (values > 0).astype(float)
    elif form == "constant":
        values = np.full(shape, values.flat[0] if values.size else 0.0)
    elif form == "zeros":
        values = np.zeros(shape)
    elif form == "line":
        values = np.arange(float(np.prod(shape))).reshape(shape)
    elif form == "spike" and values.size:
        values.flat[rng.integers(values.size)] = 1e9
    with np.errstate(all="ignore"):
        values = values * draw(factors) + draw(offsets)
        special = draw(special_values)
        if special is not None and values.size:
            values.flat[rng.integers(values.size)] = special
        return values.astype(draw(dtypes))


def lay_out(draw, values):
    """Return values in some memory layout or container."""
    layout = draw(layouts)
    if layout == "F":
        return np.asfortranarray(values)
    if layout == "reversed":
        return np.ascontiguousarray(values[::-1])[::-1]
    if layout == "strided":
        return np.repeat(values, 2, axis=0)[::2]
    if layout == "read-only":
        values.flags.writeable = False
    if layout == "broadcast" and len(values):
        return np.broadcast_to(values[:1], values.shape)
    if layout == "list":
        return values.tolist()
    if layout == "objects":
        return values.astype(object)
    if layout == "masked":
        return np.ma.masked_array(values)
    if layout == "tensor" and values.dtype in (np.float64, np.float32, np.int64):
        return torch.tensor(values)
    if layout == "frame" and values.ndim == 2:
        return pd.DataFrame(values)
    if layout == "polars" and values.ndim == 2 and values.dtype.char != "g":
        return polars.DataFrame(values.astype(values.dtype.newbyteorder("=")))
    if layout == "Int64" and values.ndim < 3 and values.dtype == np.int64:
        kind = pd.DataFrame if values.ndim == 2 else pd.Series
        return kind(values).astype("Int64")
    if layout == "windows" and values.ndim == 3 and len(values) > 1 and values.size:
        series = np.ascontiguousarray(values[:, 0])
        size = min(2, len(series))
        view = np.lib.stride_tricks.sliding_window_view(series, size, axis=0)
        return view.transpose(0, 2, 1)
    return values


@st.composite
def inputs(draw, n_features=None):
    """Return X, the generator that drew it, and its number of rows."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    n, n_steps = draw(st.integers(1, 60)), draw(st.integers(1, 12))
    if draw(st.integers(0, 30)) == 0:
        n, n_steps = draw(st.sampled_from([(0, 3), (3, 0), (70, 50)]))
    n_features = n_features or draw(st.integers(1, 3))
    form = draw(st.sampled_from(["2-D", "3-D", "3-D", "ragged", "ragged"]))
    if form == "2-D":
        return lay_out(draw, draw_values(draw, rng, (n, n_steps))), rng
    X = draw_values(draw, rng, (n, n_steps, n_features))
    if form == "3-D":
        return lay_out(draw, X), rng
    lengths = rng.integers(1, max(n_steps, 1) + 1, size=n)
    if draw(st.integers(0, 20)) == 0 and n:
        lengths[rng.integers(n)] = 0
    pieces = [row[:length] for row, length in zip(X, lengths, strict=True)]
    if draw(st.integers(0, 20)) == 0 and n:
        pieces[-1] = pieces[-1][:, :-1]
    if draw(st.booleans()):
        pieces = [row.tolist() for row in pieces]
    return pieces, rng


def numbers_of_steps(X):
    return [len(row) for row in (X if isinstance(X, list) else np.asarray(X))]


def network_parameters(draw, cls):
    """Return parameters of a small network that is quickly trained."""
    cell = draw(st.sampled_from(["rnn", "gru", "lstm"]))
    params = {
        "cell_type": cell,
        "hidden_size": draw(st.sampled_from([1, 3, (2, 3)])),
        "max_epochs": draw(st.integers(1, 2)),
        "batch_size": draw(st.sampled_from([4, 32])),
        "random_state": 0,
        "pooling": draw(st.sampled_from(["auto", "last", "mean", "max", "concat"])),
        "patch_size": draw(st.sampled_from(["auto", 1, 2, 5])),
        "standardize": draw(st.sampled_from([True, True, False])),
        "early_stopping": draw(st.sampled_from([False, True])),
        "return_sequences": draw(st.sampled_from([False, False, False, True])),
        "dropout": draw(st.sampled_from([0.0, 0.0, 0.3])),
        "initial_state": draw(st.sampled_from(["zeros", "learned", "normal"])),
        "n_members": draw(st.sampled_from([1, 1, 1, 2])),
        "lr": draw(st.sampled_from([1e-2, 1e-2, 1e3])),
    }
    if params["return_sequences"] and draw(st.integers(0, 9)):
        params["patch_size"], params["pooling"] = 1, "last"
    if cell == "rnn":
        params["nonlinearity"] = draw(st.sampled_from(["tanh", "tanh", "relu"]))
    if cls is RNNRegressor:
        losses = ["squared_error", "squared_error", "absolute_error", "huber"]
        params |= {
            "early_stopping": draw(st.sampled_from(["auto", "auto", False, True])),
            "loss": draw(st.sampled_from([*losses, "quantile"])),
            "window_norm": draw(
                st.sampled_from(["auto", None, "last", "standard", "difference"])
            ),
            "ar_order": draw(st.sampled_from(["auto", 0, 1, 3])),
            "target_feature": draw(st.sampled_from([None, 0, 0, 1])),
        }
    return params


def draw_targets(draw, rng, X, cls, return_sequences):
    """Return y, mostly of the right form."""
    n = len(X)
    if return_sequences and draw(st.integers(0, 9)):
        lengths = numbers_of_steps(X)
        if cls is RNNRegressor:
            return [draw_values(draw, rng, (length,)) for length in lengths[:60]]
        return [rng.integers(0, 3, size=length) for length in lengths]
    if cls is RNNRegressor:
        n_outputs = draw(st.sampled_from([None, None, 1, 2]))
        shape = n if n_outputs is None else (n, n_outputs)
        return lay_out(draw, draw_values(draw, rng, shape))
    labels = rng.integers(0, draw(st.sampled_from([1, 2, 2, 3])), size=n)
    kind = draw(st.sampled_from(["int", "str", "bool", "object", "matrix"]))
    if kind == "matrix":
        return np.stack([labels > 0, rng.random(n) > 0.5], axis=1).astype(int)
    if kind == "object":
        return np.array([f"class {label}" for label in labels], dtype=object)
    return labels.astype(kind)


class Calls:
    """Carry out calls, and check what they return or raise."""

    def __init__(self):
        self.n_done = 0

    def __call__(self, function, *arguments, **options):
        """Return the result of a call, or None if it raised an error of ours."""
        self.n_done += 1
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            try:
                result = function(*arguments, **options)
            except (ValueError, TypeError, NotFittedError) as error:
                self.check_error(error)
                result = None
        for warning in caught:
            self.check_warning(warning)
        return result

    def check_error(self, error):
        """Assert that an error was raised by skrnn or scikit-learn."""
        frames = traceback.extract_tb(error.__traceback__)
        assert frames[-1].filename.startswith(FOLDERS), frames[-1]
        assert str(error)

    def check_warning(self, warning):
        """Assert that a warning is meant for the user."""
        assert issubclass(warning.category, UserWarning), warning
        assert "torch" not in str(warning.message), warning
        assert warning.filename.startswith((__file__, *FOLDERS)), warning


def check_output(output, n_rows, per_step=None):
    """Assert that an output is finite and has a row for each sequence."""
    assert len(output) == n_rows
    rows = output if output.dtype == object and per_step else [output]
    for i, row in enumerate(rows):
        if per_step and rows is output:
            assert len(row) == per_step[i]
        if np.asarray(row).dtype.kind == "f":
            assert np.isfinite(row).all()


def run_calls(data, calls):
    """Fit an estimator with generated data, and call its other methods."""
    draw = data.draw
    cls = draw(st.sampled_from([RNNRegressor, RNNClassifier, BiRNNClassifier]))
    params = network_parameters(draw, cls)
    X, rng = draw(inputs())
    y = draw_targets(draw, rng, X, cls, params["return_sequences"])
    weights = None
    if draw(st.integers(0, 3)) == 0:
        weights = np.abs(draw_values(draw, rng, (len(X),)))
    model = cls(**params)
    if draw(st.integers(0, 20)) == 0:
        calls(model.predict, X)
    if draw(st.integers(0, 4)) == 0:
        options = {}
        if cls is not RNNRegressor and isinstance(y, np.ndarray):
            options = {"classes": np.unique(y)}
        fitted = calls(model.partial_fit, X, y, **options)
    else:
        fitted = calls(model.fit, X, y, weights)
    if fitted is None:
        return
    assert np.isfinite(model.loss_curve_).all()
    per_step = numbers_of_steps(X) if params["return_sequences"] else None
    for other in (X, draw(inputs(n_features=model.n_features_in_))[0]):
        n_rows, steps = len(other), per_step if other is X else None
        for name in ("predict", "predict_proba", "hidden_states"):
            method = getattr(model, name, None)
            output = None if method is None else calls(method, other)
            if output is not None and name != "hidden_states":
                check_output(output, n_rows, steps)
    if cls is RNNRegressor:
        forecast = calls(model.forecast, X, 2)
        if forecast is not None:
            check_output(forecast, len(X))
    if draw(st.integers(0, 3)) == 0:
        stream = calls(model.stream, n_streams=2)
        for _ in range(3 if stream is not None else 0):
            values = rng.normal(size=(2, model.n_features_in_))
            output = calls(stream.predict_step, values)
            if output is not None:
                check_output(output, 2)


def check_generated_calls(n_examples):
    calls = Calls()

    @settings(
        max_examples=n_examples,
        database=None,
        suppress_health_check=list(HealthCheck),
        print_blob=True,
    )
    @given(data=st.data())
    def run(data):
        run_calls(data, calls)

    run()
    return calls.n_done


def test_few_generated_calls_give_finite_outputs_or_clear_errors():
    assert check_generated_calls(60) > 60


@pytest.mark.slow
@pytest.mark.parametrize("part", range(4))
def test_many_generated_calls_give_finite_outputs_or_clear_errors(part):
    assert check_generated_calls(EXAMPLES // 4) > EXAMPLES // 4
