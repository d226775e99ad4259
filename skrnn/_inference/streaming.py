"""One time step after the other, at constant cost: streams and free running.

Legend of shapes: N parallel rows, F features, H hidden units, K outputs.
"""

import numpy as np
import torch
from torch.nn import functional as F

from skrnn._data.step_targets import target_of_row
from skrnn._devices import limited_threads

CELLS = {
    ("rnn", "tanh"): torch.rnn_tanh_cell,
    ("rnn", "relu"): torch.rnn_relu_cell,
    ("gru", "tanh"): torch.gru_cell,
    ("lstm", "tanh"): torch.lstm_cell,
}


class Stepper:
    """A one-way network with its states, which takes a step of every row at a time.

    Parameters
    ----------
    module : RecurrentModule
        Not two-way.

    n : int
        Rows.
    """

    def __init__(self, module, n):
        self.module = module.eval()  # whoever used it before
        self.cell = CELLS[module.cell_type, module.nonlinearity]
        self.weights = [layer.all_weights[0] for layer in module.layers]
        states = module.start_states(n) or module.zero_states(n)
        # Of one direction: an LSTM has two parts, the others are bare tensors.
        self.states = [tuple(part[0] for part in of_layer) for of_layer in states]
        self.pooled = None  # what the pooling over time needs of the steps before
        self.recent = None  # what the highway needs of them, `(N, ar_order, columns)`

    def step(self, values):
        """Take one step `(N, F)`, in the dtype of the scaling; return `(N, K)`."""
        module = self.module
        x = module.scale(values[:, None])[:, 0]
        inputs = x
        for i, (state, weights) in enumerate(
            zip(self.states, self.weights, strict=True)
        ):
            if len(state) == 2:
                self.states[i] = self.cell(x, state, *weights)
            else:
                self.states[i] = (self.cell(x, state[0], *weights),)
            x = self.states[i][0]
        output = F.linear(self._pool(x), module.head.weight, module.head.bias)
        if module.highway is None:
            return output
        return output + F.linear(
            self._lags(inputs), module.highway.weight, module.highway.bias
        )

    def run(self, values, lengths=None):
        """Take all steps `(N, L, F)`, the first of these rows; return the last output.

        Where nothing is pooled over time the layers run over all steps at once.
        """
        module = self.module
        if module.pooling != "last":
            output = None
            for t in range(values.shape[1]):
                before = self.export_state()
                now = self.step(values[:, t])
                if lengths is not None:
                    going = t < lengths
                    self._keep_ended(before, going)
                    if output is not None:
                        now = torch.where(going[:, None], now, output)
                output = now
            return output
        x = module.scale(values)
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
        # The layers' last outputs, read out as a sequence of one step.
        hidden = hidden[rows, last]
        output = F.linear(hidden[:, 0], module.head.weight, module.head.bias)
        if module.highway is None:
            return output
        others = x[rows, last][:, 0, module.other_columns]
        lags = torch.cat([self.recent.flatten(1), others], dim=1)
        return output + F.linear(lags, module.highway.weight, module.highway.bias)

    def _pool(self, h):
        pooling, before = self.module.pooling, self.pooled
        if pooling == "last":
            return h
        if pooling == "max":
            self.pooled = (h if before is None else torch.maximum(before[0], h),)
            return self.pooled[0]
        if pooling == "mean":
            total = h if before is None else before[0] + h
            count = torch.ones_like(h[:, :1]) if before is None else before[1] + 1.0
            self.pooled = (total, count)
            return total / count
        attention = self.module.attention
        score = torch.tanh(F.linear(h, attention.weight, attention.bias))
        score = (score @ self.module.context)[:, None]
        if before is None:
            self.pooled = (score, torch.ones_like(score), h)
            return h
        highest = torch.maximum(before[0], score)  # so that no exponential overflows
        old, new = (before[0] - highest).exp(), (score - highest).exp()
        self.pooled = (highest, before[1] * old + new, before[2] * old + new * h)
        return self.pooled[2] / self.pooled[1]

    def _lags(self, x):
        own = x[:, None, self.module.ar_columns]
        if self.recent is None:
            self.recent = own.expand(-1, self.module.ar_order, -1)
        else:
            self.recent = torch.cat([self.recent[:, 1:], own], dim=1)
        return torch.cat(
            [self.recent.flatten(1), x[:, self.module.other_columns]], dim=1
        )

    def _keep_ended(self, before, going):
        """Take back the last step of rows that had ended before it."""
        for name in ("states", "pooled", "recent"):
            old, new = before[name], getattr(self, name)
            if old is not None:
                setattr(self, name, _where(going, new, old))

    def export_state(self):
        """Return what is kept of the steps before, to be put back as attributes."""
        names = ("states", "pooled", "recent")
        state = {name: getattr(self, name) for name in names}
        return state | {"states": list(self.states)}

    def import_state(self, state):
        """Go on from what `export_state` returned."""
        vars(self).update(state | {"states": list(state["states"])})


def _where(going, new, old):
    if isinstance(new, (list, tuple)):
        return type(new)(_where(going, *pair) for pair in zip(new, old, strict=True))
    shape = (-1,) + (1,) * (new.ndim - 1)
    return torch.where(going.reshape(shape), new, old)


class Stream:
    """Predictions for sequences that are still going on, step by step.

    Made by the `stream` method of an estimator. Each call of `predict_step` takes the
    next time step of one or of several parallel streams and answers as `predict`
    would for all steps so far, at a cost that does not depend on how many those are.
    It can be pickled with its state, its estimator included.

    Attributes
    ----------
    estimator : estimator
        Whose network it runs.

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

    def __init__(self, estimator, n_streams=1):
        self.estimator = estimator
        self.n_streams = n_streams
        self._net = estimator.net_
        self.reset()

    def reset(self):
        """Begin anew, with no step taken.

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
        self._stepper = Stepper(self._net.module_, self.n_streams)
        self._before = None  # the last values of the target columns, for differences
        return self

    def predict_step(self, x_t):
        """Take the next step and predict.

        Parameters
        ----------
        x_t : array-like of shape (n_streams, n_features) or (n_features,)
            The next time step of every stream; without the first axis for a single
            stream, and a number if it has a single feature.

        Returns
        -------
        y_t : ndarray of shape (n_streams,) or (n_streams, n_outputs)
            What `predict` would answer, with `return_sequences` for the last step.
            Without the first axis if `x_t` had none.

        Raises
        ------
        ValueError
            If `x_t` has another shape or is not finite, or if the estimator was
            fitted again. The step is then not taken.
        """
        return self._answer(x_t, lambda target, *answer: target.decode(*answer))

    def predict_proba_step(self, x_t):
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
        return self._answer(x_t, lambda target, out, _: target.probabilities(out))

    def prime(self, sequences):
        """Take all steps of `Sequences` at once, one row for each stream."""
        dtype = self.estimator._input_dtype()
        rows = np.arange(self.n_streams)
        columns = self._difference_columns()
        if columns is not None:
            lengths = sequences.n_steps()
            values, _ = sequences.take(rows, np.float64)
            self._before = values[rows, lengths - 1][:, columns]
            if lengths.max() == 1 and not self._net.module_.return_sequences:
                return self  # no difference yet
        expressed = self.estimator._express(sequences)
        values, lengths = expressed.take(rows, dtype)
        device = self._net.device
        with limited_threads(self.estimator.n_jobs), torch.inference_mode():
            values = torch.from_numpy(values).to(device)
            if lengths is not None:
                lengths = torch.from_numpy(lengths).to(device)
            self._stepper.run(values, lengths)
        return self

    def _answer(self, x_t, decode):
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
        values, reference, own = self._express(values)
        stepper, before = self._stepper, self._stepper.export_state()
        with limited_threads(estimator.n_jobs), torch.inference_mode():
            inputs = torch.from_numpy(values.astype(dtype, copy=False)).to(net.device)
            output = stepper.step(inputs).cpu().numpy()
        if not np.isfinite(output).all():
            stepper.import_state(before)
            raise ValueError(
                "The output of the network must be finite. Got NaN or infinity. "
                "Compare the scale of x_t with that of the X in fit."
            )
        self._before = own
        target = target_of_row(net.target)
        answer = decode(target, output, reference)
        return answer[0] if alone else answer

    def _check_fit(self):
        if self.estimator.net_ is not self._net:
            raise ValueError(
                "A stream must be used with the fit it was made from. Got an estimator "
                "that was fitted again. Call its stream method."
            )

    def _check_ids(self, values):
        n_tokens = self.estimator._n_tokens
        if ((values < 1) | (values >= n_tokens) | (values != np.floor(values))).any():
            raise ValueError(
                f"x_t must hold token ids from 1 to {n_tokens - 1}, as the X in fit. "
                f"Got {values[:, 0].tolist()}. Give unknown tokens the id 1."
            )

    def _difference_columns(self):
        kind, _ = getattr(self.estimator, "_expression", (None, None))
        return self.estimator._columns if kind == "difference" else None

    def _express(self, values):
        """Return a step as the network sees it, and where y is measured from.

        Then what the next step will need of it.
        """
        columns = self._difference_columns()
        if columns is None:
            return values, None, None
        own = values[:, columns]
        before = self._before
        if before is None:
            if not self._net.module_.return_sequences:
                raise ValueError(
                    "A stream with window_norm='difference' must know a step before "
                    "its first answer. Got none. Pass the first steps as "
                    "stream(X)."
                )
            before = own
        values = values.copy()
        values[:, columns] = own - before
        return values, (own, np.ones_like(own)), own

    def __getstate__(self):
        self._check_fit()  # a copy could not tell
        state = dict(vars(self))
        del state["_net"], state["_stepper"]
        return state | {"_state": _to_numpy(self._stepper.export_state())}

    def __setstate__(self, state):
        state = dict(state)
        kept = state.pop("_state")
        vars(self).update(state)
        self._net = self.estimator.net_
        self._stepper = Stepper(self._net.module_, self.n_streams)
        self._stepper.import_state(_to_torch(kept, self._net.device))


def _to_numpy(value):
    if isinstance(value, dict):
        return {key: _to_numpy(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(_to_numpy(item) for item in value)
    return None if value is None else value.detach().cpu().numpy()


def _to_torch(value, device):
    if isinstance(value, dict):
        return {key: _to_torch(item, device) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(_to_torch(item, device) for item in value)
    return None if value is None else torch.tensor(value, device=device)
