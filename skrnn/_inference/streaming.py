"""Streaming prediction: one time step after the other, at constant cost.

Legend of shapes: N parallel rows, F features, H hidden units, K outputs.
"""

from __future__ import annotations

from collections.abc import Callable
from numbers import Integral
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from skrnn._data.memory import FlatSequences
from skrnn._data.sequences import FIXED, Sequences
from skrnn._data.step_targets import unwrap_target
from skrnn._devices import limited_threads, numpy_dtype
from skrnn._nn.compiled import CompiledNetwork, memory_layout, reason_not_compiled
from skrnn._nn.module import RecurrentModule
from skrnn._nn.states import States
from skrnn._typing import AnyArray, ArrayLike, Estimator, SequencesLike

CELLS: dict[tuple[str, str], Any] = {
    ("rnn", "tanh"): torch.rnn_tanh_cell,
    ("rnn", "relu"): torch.rnn_relu_cell,
    ("gru", "tanh"): torch.gru_cell,
    ("lstm", "tanh"): torch.lstm_cell,
}


class Stepper:
    """A unidirectional network and its states, run one time step at a time.

    Parameters
    ----------
    module : RecurrentModule
        Not bidirectional.

    n : int
        Rows.
    """

    _state_names: tuple[str, ...] = ("states", "pooled", "recent")
    recent: Any
    pooled: Any
    steps: Any

    def __init__(self, module: RecurrentModule, n: int) -> None:
        self.module = module.eval()
        self.cell = CELLS[module.cell_type, module.nonlinearity]
        self.weights = [layer.all_weights[0] for layer in module.layers]
        self.recent = None  # the last values for the highway, `(N, ar_order, columns)`
        n_states = n * module.patch_size
        states = module.initial_states(n_states) or module.zero_states(n_states)
        # Of the one direction: (h,), or (h, c) of an LSTM.
        self.states = [tuple(part[0] for part in of_layer) for of_layer in states]
        self.pooled = self._empty_pool(n_states)  # what pooling keeps of past steps

    def step(self, values: Tensor) -> Tensor:
        """Process one time step `(N, F)` in the input dtype; return `(N, K)`."""
        module = self.module
        inputs = module.encode_inputs(values[:, None])[:, 0]
        h = self._run_cells(inputs)
        output = F.linear(h, module.head.weight, module.head.bias)
        if module.highway is None:
            return output
        return output + F.linear(
            self._lags(inputs), module.highway.weight, module.highway.bias
        )

    def _run_cells(self, x: Tensor) -> Tensor:
        """Process the input of the first layer; return what the head reads."""
        self.states, self.pooled, pooled = self._advance(x, self.states, self.pooled)
        return pooled

    def _advance(
        self, x: Tensor, states: States, pooled: Any
    ) -> tuple[States, Any, Tensor]:
        """Return the states and what pooling keeps after one more step, and its pool.

        `x` is the input of the first layer, `(N, F)`.
        """
        new_states = []
        for state, weights in zip(states, self.weights, strict=True):
            if len(state) == 2:
                new_states.append(self.cell(x, state, *weights))
            else:
                new_states.append((self.cell(x, state[0], *weights),))
            x = new_states[-1][0]
        return new_states, *self._pool(x, pooled)

    def step_array(self, values: AnyArray, n_jobs: int | None = None) -> AnyArray:
        """Process one time step as `step` does, of numpy arrays."""
        with limited_threads(n_jobs), torch.inference_mode():
            values = torch.from_numpy(values).to(self.module.input_mean.device)
            return self.step(values).cpu().numpy()

    def run(self, values: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Process the first L steps `(N, L, F)` of all rows; return the last output.

        Without pooling over time and patches, the layers run over all steps at once.
        """
        module = self.module
        if module.pooling != "last" or module.patch_size > 1:
            output: Any = None
            for t in range(values.shape[1]):
                before = self.export_state()
                new_output = self.step(values[:, t])
                if lengths is not None:
                    continues = t < lengths
                    self._restore_ended(before, continues)
                    if output is not None:
                        new_output = torch.where(continues[:, None], new_output, output)
                output = new_output
            return output
        x = module.encode_inputs(values)
        hidden, states = module.run_layers(x, lengths, with_cell=True)
        self.states = [tuple(part[0] for part in of_layer) for of_layer in states]
        n, longest, _ = x.shape
        rows = torch.arange(n, device=x.device)[:, None]
        last = torch.full((n, 1), longest - 1, device=x.device)
        if lengths is not None:
            last = lengths[:, None] - 1
        if module.highway is not None:
            back = torch.arange(module.ar_order - 1, -1, -1, device=x.device)
            steps = (last - back).clamp(min=0)
            self.recent = x[rows, steps][:, :, module.ar_columns]
        # The last output of the layers, as a sequence of one step.
        hidden = hidden[rows, last]
        output = F.linear(hidden[:, 0], module.head.weight, module.head.bias)
        if module.highway is None:
            return output
        others = x[rows, last][:, 0, module.other_columns]
        lags = torch.cat([self.recent.flatten(1), others], dim=1)
        return output + F.linear(lags, module.highway.weight, module.highway.bias)

    def _empty_pool(self, n: int) -> Any:
        """Return what pooling keeps before the first step of n rows."""
        module, weight = self.module, self.module.head.weight
        zeros = weight.new_zeros(n, module.layers[-1].hidden_size)
        lowest, count = torch.full_like(zeros, -torch.inf), zeros[:, :1]
        return {
            "last": (),
            "mean": (zeros, count),
            "max": (lowest,),
            "concat": (zeros, count, lowest),
            "attention": (lowest[:, :1], count, zeros),
        }[module.pooling]

    def _pool(self, h: Tensor, before: Any) -> tuple[Any, Tensor]:
        """Return what pooling keeps after one more step, and the pool itself."""
        pooling = self.module.pooling
        if pooling == "last":
            return before, h
        if pooling == "max":
            highest = torch.maximum(before[0], h)
            return (highest,), highest
        if pooling == "mean":
            total, count = before[0] + h, before[1] + 1.0
            return (total, count), total / count
        if pooling == "concat":
            total, count = before[0] + h, before[1] + 1.0
            highest = torch.maximum(before[2], h)
            pooled = torch.cat([h, total / count, highest], dim=1)
            return (total, count, highest), pooled
        attention = self.module.attention
        score = torch.tanh(F.linear(h, attention.weight, attention.bias))
        score = (score @ self.module.context)[:, None]
        highest = torch.maximum(before[0], score)  # so that no exponential overflows
        old, new = (before[0] - highest).exp(), (score - highest).exp()
        total, weighted = before[1] * old + new, before[2] * old + new * h
        return (highest, total, weighted), weighted / total

    def _lags(self, x: Tensor) -> Tensor:
        own = x[:, None, self.module.ar_columns]
        if self.recent is None:
            self.recent = own.expand(-1, self.module.ar_order, -1)
        else:
            self.recent = torch.cat([self.recent[:, 1:], own], dim=1)
        return torch.cat(
            [self.recent.flatten(1), x[:, self.module.other_columns]], dim=1
        )

    def _restore_ended(self, before: Any, continues: Tensor) -> None:
        """Undo the last step of rows that had ended before it."""
        n_phases = self.module.patch_size
        for name, old in before.items():
            new = getattr(self, name)
            if old is not None:
                is_of_phases = name in ("states", "pooled")
                rows = continues.repeat_interleave(n_phases if is_of_phases else 1)
                setattr(self, name, _where(rows, new, old))

    def export_state(self) -> Any:
        """Return the states, to be restored by `import_state`."""
        state = {name: getattr(self, name) for name in self._state_names}
        return state | {"states": list(self.states)}

    def import_state(self, state: Any) -> None:
        """Continue from what `export_state` returned."""
        for name, value in state.items():
            setattr(self, name, list(value) if name == "states" else value)

    def snapshot(self) -> Any:
        """Return what `restore` needs to undo the steps that follow."""
        return self.export_state()

    def restore(self, snapshot: Any) -> None:
        """Return to the states of a snapshot."""
        self.import_state(snapshot)


class PatchStepper(Stepper):
    """The same for networks that read patches of several steps.

    Patches end with the last step, so that each step begins new ones: those of the
    sequence so far are the patches of `patch_size` steps ago, and the last one. There
    are `patch_size` states of each row, of which each step advances one.

    Parameters
    ----------
    module : RecurrentModule
        Not bidirectional.

    n : int
        Rows.
    """

    _state_names = ("states", "pooled", "recent", "steps", "counts")

    def __init__(self, module: RecurrentModule, n: int) -> None:
        super().__init__(module, n)
        device = module.head.weight.device
        self.steps = None  # the last `patch_size` inputs, `(N, patch_size, F)`
        self.counts = torch.zeros(n, dtype=torch.long, device=device)  # of steps
        self._first = torch.arange(n, device=device) * module.patch_size

    def _run_cells(self, x: Tensor) -> Tensor:
        size = self.module.patch_size
        if self.steps is None:
            self.steps = x[:, None].expand(-1, size, -1)
        else:
            self.steps = torch.cat([self.steps[:, 1:], x[:, None]], dim=1)
        rows = self._first + self.counts % size
        self.counts = self.counts + 1
        states = [tuple(part[rows] for part in of_layer) for of_layer in self.states]
        before = tuple(part[rows] for part in self.pooled)
        states, kept, pooled = self._advance(self.steps.flatten(1), states, before)
        self.states = [
            tuple(old.index_copy(0, rows, new) for old, new in zip(*pair, strict=True))
            for pair in zip(self.states, states, strict=True)
        ]
        self.pooled = tuple(
            old.index_copy(0, rows, new)
            for old, new in zip(self.pooled, kept, strict=True)
        )
        return pooled


class CompiledStepper(Stepper):
    """The same by compiled operations, for networks that read out their last state.

    The states of all layers lie side by side in one array, `(N, module.n_states)`, from
    which a step starts, and to which it returns.

    Parameters
    ----------
    module : RecurrentModule
        With pooling 'last' or an output per step, without a highway and patches, and
        with `reason_not_compiled` None.

    n : int
        Rows.
    """

    def __init__(self, module: RecurrentModule, n: int) -> None:
        dtype = numpy_dtype(module.head.weight.dtype)
        self.inputs = np.zeros((n, module.config.n_features), dtype)
        self.state = np.zeros((n, module.n_states), dtype)
        self.rows, self.bounds = np.arange(n), np.array([0, n])
        self.lrs = np.zeros(1)
        self.module = module
        self._make_program()
        self._columns = [
            [module.state_column(i, 0, part) for part in range(module.n_parts)]
            for i in range(len(module.layers))
        ]
        self._sizes = module.config.hidden_sizes
        super().__init__(module, n)

    def _make_program(self) -> None:
        """Make the program of a step, for the weights where they lie now."""
        module, n = self.module, len(self.rows)
        n_features = module.config.n_features
        first, n_steps = np.arange(n) * n_features, np.ones(n, np.int64)
        flat = FlatSequences(self.inputs.reshape(-1), first, n_features, 1, n_steps)
        network = CompiledNetwork(module, flat, 1, n, initial_states=self.state)
        program = network.forward()
        network.save_states(program, self.state)
        self.output = network.output.reshape(n, -1)
        self.program, self._layout = program.compile(), memory_layout(module)

    def step(self, values: Tensor) -> Tensor:
        """Process one time step `(N, F)` in the input dtype; return `(N, K)`."""
        return torch.from_numpy(self.step_array(values.numpy()))

    def step_array(self, values: AnyArray, n_jobs: int | None = None) -> AnyArray:
        """Process one time step as `step` does, of numpy arrays, in this thread."""
        if memory_layout(self.module) != self._layout:  # somebody replaced weights
            reason = reason_not_compiled(self.module)
            if reason is not None:
                raise ValueError(
                    "A stream must be used with the network it was made from. Got one "
                    f"that was changed: {reason}. Call the stream method again."
                )
            self._make_program()
        self.inputs[:] = values
        self.program.run(self.rows, self.bounds, self.lrs)
        return self.output.copy()

    @property
    def states(self) -> States:
        """The states of all layers, in copies."""
        return [
            tuple(
                torch.from_numpy(self.state[:, column : column + size].copy())
                for column in columns
            )
            for columns, size in zip(self._columns, self._sizes, strict=True)
        ]

    @states.setter
    def states(self, states: States) -> None:
        for columns, size, of_layer in zip(
            self._columns, self._sizes, states, strict=True
        ):
            for column, part in zip(columns, of_layer, strict=True):
                self.state[:, column : column + size] = part.detach().numpy()

    def snapshot(self) -> AnyArray:
        """Return a copy of the states."""
        return self.state.copy()

    def restore(self, snapshot: Any) -> None:
        """Return to the states of a snapshot."""
        self.state[:] = snapshot


class EnsembleStepper:
    """The same of several networks, whose outputs are combined.

    Parameters
    ----------
    steppers : list of Stepper

    combine : callable
        From the outputs of all, `(members, N, K)`, to those of the ensemble.
    """

    def __init__(
        self, steppers: list[Stepper], combine: Callable[[Tensor], Tensor]
    ) -> None:
        self.steppers, self.combine = steppers, combine

    def step(self, values: Tensor) -> Tensor:
        """Process one time step of all networks."""
        return self.combine(torch.stack([s.step(values) for s in self.steppers]))

    def step_array(self, values: AnyArray, n_jobs: int | None = None) -> AnyArray:
        """Process one time step as `step` does, of numpy arrays."""
        outputs = [s.step_array(values, n_jobs) for s in self.steppers]
        return self.combine(torch.from_numpy(np.stack(outputs))).numpy()

    def run(self, values: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Process the first steps; return the last output."""
        outputs = [s.run(values, lengths) for s in self.steppers]
        return self.combine(torch.stack(outputs))

    def export_state(self) -> list[Any]:
        """Return the states, to be restored by `import_state`."""
        return [stepper.export_state() for stepper in self.steppers]

    def import_state(self, state: Any) -> None:
        """Continue from what `export_state` returned."""
        for stepper, of_stepper in zip(self.steppers, state, strict=True):
            stepper.import_state(of_stepper)

    def snapshot(self) -> list[Any]:
        """Return what `restore` needs to undo the steps that follow."""
        return [stepper.snapshot() for stepper in self.steppers]

    def restore(self, snapshot: Any) -> None:
        """Return to the states of a snapshot."""
        for stepper, of_stepper in zip(self.steppers, snapshot, strict=True):
            stepper.restore(of_stepper)


def make_ensemble_stepper(
    modules: list[RecurrentModule], n: int, target: Any
) -> Stepper | EnsembleStepper:
    """Return a stepper for the networks of an ensemble, or for a single network."""
    steppers = [make_stepper(module, n) for module in modules]
    if len(steppers) == 1:
        return steppers[0]
    return EnsembleStepper(steppers, target.combine)


def make_stepper(module: RecurrentModule, n: int) -> Stepper:
    """Return a `Stepper` for a module and n rows, compiled if that is possible."""
    is_compiled = (
        reason_not_compiled(module) is None
        and (module.pooling == "last" or module.return_sequences)
        and module.highway is None
        and module.patch_size == 1
    )
    if is_compiled:
        return CompiledStepper(module, n)
    return (Stepper if module.patch_size == 1 else PatchStepper)(module, n)


def _where(condition: Tensor, new: Any, old: Any) -> Any:
    if isinstance(new, (list, tuple)):
        return type(new)(
            _where(condition, *pair) for pair in zip(new, old, strict=True)
        )
    shape = (-1,) + (1,) * (new.ndim - 1)
    return torch.where(condition.reshape(shape), new, old)


def open_stream(
    estimator: Estimator, X: SequencesLike | None = None, n_streams: int = 1
) -> Stream:
    """Return what `BaseRecurrent.stream` promises, for a fitted estimator."""
    owner = type(estimator).__name__
    if estimator._input_kind == FIXED:
        raise ValueError(
            f"stream needs a {owner} fitted on sequences of any length. Got one fitted "
            f"on 2-D X with {estimator.n_features_in_} time steps. Fit on "
            "X[:, :, None]."
        )
    if estimator._module_config.bidirectional:
        raise ValueError(
            f"stream needs a network that reads forward in time. Got a "
            f"bidirectional {owner}, whose output depends on the end of the sequence."
        )
    window_norm = estimator._encoder.normalizer.window_norm
    if window_norm in ("last", "standard"):
        raise ValueError(
            "stream needs a network whose state determines the prediction. Got "
            f"window_norm={window_norm!r}, which normalises all steps again with each "
            "new one. Use 'difference' or None."
        )
    if X is None:
        is_int = isinstance(n_streams, Integral) and not isinstance(n_streams, bool)
        if not is_int or n_streams < 1:
            raise ValueError(
                f"n_streams must be an int from 1 upwards. Got {n_streams!r}."
            )
        return Stream(estimator, n_streams)
    sequences = estimator._check_X(X)
    return Stream(estimator, len(sequences)).prime(sequences)


class Stream:
    """Streaming predictions for sequences that arrive step by step.

    Created by the `stream` method of an estimator. Each call of `predict_step` takes
    the next time step of one or of several parallel streams and returns what
    `predict` would return for all steps so far, at a cost that does not depend on
    their number.
    A stream can be pickled with its state and its estimator.

    Attributes
    ----------
    estimator : estimator
        The fitted estimator.

    n_streams : int
        Parallel streams.

    Examples
    --------
    >>> import numpy as np
    >>> from skrnn import RNNRegressor
    >>> wave = np.sin(np.arange(60) / 5)[None, :, None]
    >>> model = RNNRegressor(8, return_sequences=True, random_state=0)
    >>> model.fit(wave[:, :-1], wave[:, 1:, 0])
    RNNRegressor(hidden_size=8, random_state=0, return_sequences=True)
    >>> stream = model.stream()
    >>> answers = [stream.predict_step(x_t) for x_t in wave[0]]
    >>> np.allclose(answers, model.predict(wave)[0])
    True
    """

    def __init__(self, estimator: Estimator, n_streams: int = 1) -> None:
        self.estimator = estimator
        self.n_streams = n_streams
        self._net = estimator.net_
        self.reset()

    def reset(self) -> Self:
        """Forget all steps and start new sequences.

        Returns
        -------
        self : object
            The stream.

        Raises
        ------
        ValueError
            If the estimator was fitted again.
        """
        self._check_fit()
        self._stepper = self._new_stepper()
        # The last values of the target columns, for differences.
        self._before: AnyArray | None = None
        return self

    def _new_stepper(self) -> Stepper | EnsembleStepper:
        estimator = self.estimator
        target = unwrap_target(estimator._encoder.target)
        return make_ensemble_stepper(estimator._modules(), self.n_streams, target)

    def predict_step(self, x_t: ArrayLike) -> AnyArray:
        """Take the next step and predict.

        Parameters
        ----------
        x_t : array-like of shape (n_streams, n_features) or (n_features,)
            The next time step of every stream. For a single stream the first axis may
            be left out, and for a single feature `x_t` may be a number.

        Returns
        -------
        y_t : ndarray of shape (n_streams,) or (n_streams, n_outputs)
            What `predict` would return; with `return_sequences` for the last step.
            Without the first axis if `x_t` had none.

        Raises
        ------
        ValueError
            If `x_t` has a wrong shape or is not finite, or if the estimator was
            fitted again. The state of the stream is then unchanged.
        """
        return self._predict(x_t, lambda target, *output: target.decode(*output))

    def predict_proba_step(self, x_t: ArrayLike) -> AnyArray:
        """Take the next step and predict the probability of each label.

        Parameters
        ----------
        x_t : array-like of shape (n_streams, n_features) or (n_features,)
            As for `predict_step`.

        Returns
        -------
        probabilities : ndarray of shape (n_streams, n_classes)
            In the order of `classes_`; without the first axis if `x_t` had none.
        """
        if not hasattr(self.estimator, "classes_"):
            raise AttributeError(
                "predict_proba_step is for classifiers. Got "
                f"{type(self.estimator).__name__}. Use predict_step."
            )
        return self._predict(x_t, lambda target, out, _: target.probabilities(out))

    def prime(self, sequences: Sequences) -> Self:
        """Process all steps of `Sequences`, one row for each stream."""
        dtype = self.estimator._input_dtype()
        rows = np.arange(self.n_streams)
        normalizer = self.estimator._encoder.normalizer
        columns = normalizer.difference_columns()
        if columns is not None:
            lengths = sequences.n_steps()
            values, _ = sequences.take(rows, np.float64)
            self._before = values[rows, lengths - 1][:, columns]
            if lengths.max() == 1 and not self._net.module_.return_sequences:
                return self  # a difference needs two steps
        values, lengths = normalizer.normalize(sequences).take(rows, dtype)
        device = self._net.device
        with limited_threads(self.estimator.n_jobs), torch.inference_mode():
            values = torch.from_numpy(values).to(device)
            if lengths is not None:
                lengths = torch.from_numpy(lengths).to(device)
            self._stepper.run(values, lengths)
        return self

    def _predict(self, x_t: ArrayLike, decode: Callable[..., AnyArray]) -> AnyArray:
        self._check_fit()
        estimator, net = self.estimator, self._net
        values = np.asarray(x_t, dtype=np.float64)
        alone = values.ndim < 2
        values = values.reshape(1, -1) if alone else values
        if values.shape != (self.n_streams, estimator.n_features_in_):
            raise ValueError(
                f"x_t must have shape ({self.n_streams}, {estimator.n_features_in_}): "
                f"streams, features. Got shape {np.shape(x_t)}."
            )
        dtype = estimator._input_dtype()
        if not np.abs(values).max() <= np.finfo(dtype).max / 4:
            raise ValueError(
                "x_t must be finite. Got NaN, infinity or a value too large for "
                f"{dtype!r}."
            )
        if estimator.embedding_dim is not None:
            self._check_ids(values)
        values, reference, own = self._normalize(values)
        stepper, before = self._stepper, self._stepper.snapshot()
        output = stepper.step_array(values.astype(dtype, copy=False), estimator.n_jobs)
        with np.errstate(over="ignore", invalid="ignore"):  # checked below
            prediction = decode(unwrap_target(net.target), output, reference)
        is_number = prediction.dtype.kind == "f"
        if not np.isfinite(prediction if is_number else output).all():
            stepper.restore(before)
            raise ValueError(
                "The prediction must be finite. Got NaN or infinity. Compare the scale "
                "of x_t with that of the X in fit."
            )
        self._before = own
        return prediction[0] if alone else prediction

    def _check_fit(self) -> None:
        if self.estimator.net_ is not self._net:
            raise ValueError(
                "A stream must be used with the fit it was made from. Got an estimator "
                "that was fitted again. Call its stream method."
            )

    def _check_ids(self, values: AnyArray) -> None:
        n_tokens = self.estimator._n_tokens
        if ((values < 1) | (values >= n_tokens) | (values != np.floor(values))).any():
            raise ValueError(
                f"x_t must hold token ids from 1 to {n_tokens - 1}, as the X in fit. "
                f"Got {values[:, 0].tolist()}. Give unknown tokens the id 1."
            )

    def _normalize(
        self, values: AnyArray
    ) -> tuple[AnyArray, tuple[AnyArray, AnyArray] | None, AnyArray | None]:
        """Return a normalised step, the reference of y, and the target columns."""
        columns = self.estimator._encoder.normalizer.difference_columns()
        if columns is None:
            return values, None, None
        own = values[:, columns]
        before = self._before
        if before is None:
            if not self._net.module_.return_sequences:
                raise ValueError(
                    "A stream with window_norm='difference' must have a time step "
                    "before its first prediction. Got none. Pass the first steps as "
                    "stream(X)."
                )
            before = own
        values = values.copy()
        values[:, columns] = own - before
        return values, (own, np.ones_like(own)), own

    def __getstate__(self) -> dict[str, Any]:
        self._check_fit()  # a copy cannot check it
        state = dict(vars(self))
        del state["_net"], state["_stepper"]
        return state | {"_state": _to_numpy(self._stepper.export_state())}

    def __setstate__(self, state: dict[str, Any]) -> None:
        state = dict(state)
        kept = state.pop("_state")
        vars(self).update(state)
        self._net = self.estimator.net_
        self._stepper = self._new_stepper()
        self._stepper.import_state(_to_torch(kept, self._net.device))


def _to_numpy(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _to_numpy(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(_to_numpy(item) for item in value)
    return None if value is None else value.detach().cpu().numpy()


def _to_torch(value: Any, device: torch.device) -> Any:
    if isinstance(value, dict):
        return {key: _to_torch(item, device) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(_to_torch(item, device) for item in value)
    return None if value is None else torch.tensor(value, device=device)
