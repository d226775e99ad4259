"""What all estimators share beside `fit`: prediction, streams, saving."""

from __future__ import annotations

from abc import ABCMeta
from collections.abc import Callable, Sequence
from typing import Any, Self, TypeAlias

import numpy as np
import pandas as pd
import torch
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_consistent_length, check_is_fitted

from skrnn._compat import _VisualBlock
from skrnn._data.sequences import Sequences
from skrnn._data.step_targets import (
    StepValues,
    check_step_targets,
    check_step_weights,
    unwrap_target,
)
from skrnn._devices import limited_threads, resolve_device
from skrnn._documentation import DocumentationLinkMixin
from skrnn._fitting import FitMixin
from skrnn._inference.prediction import (
    check_finite_outputs,
    check_finite_predictions,
    predict_attention,
    predict_ensemble,
    predict_states,
    to_torch_layout,
)
from skrnn._inference.streaming import Stream, open_stream
from skrnn._nn.description import count_parameters, describe
from skrnn._nn.module import RecurrentModule
from skrnn._nn.states import check_states
from skrnn._saving.checks import check_state
from skrnn._saving.container import InvalidFile
from skrnn._training.net import RecurrentNet, build_net
from skrnn._training.state import export_state, import_state
from skrnn._typing import (
    AnyArray,
    ArrayLike,
    Estimator,
    FilePath,
    SequencesLike,
    TargetsLike,
    available_if,
)
from skrnn._version import __version__
from skrnn._warnings import VersionWarning, warn_user

# An array, a list of arrays if layers differ in size, or a tuple of two for an LSTM.
TorchStates: TypeAlias = AnyArray | list[AnyArray] | tuple[Any, ...]


def _pools_by_attention(estimator: Estimator) -> bool:
    config: Any = getattr(
        estimator, "_module_config", estimator
    )  # that of the fit, if any
    if config.pooling == "attention":
        return True
    raise AttributeError(
        "attention_weights is available with pooling='attention' only. Got "
        f"pooling={config.pooling!r}."
    )


class BaseRecurrent(FitMixin, DocumentationLinkMixin, BaseEstimator, metaclass=ABCMeta):
    """`fit`, and the parts of prediction that all estimators share."""

    # -- predict

    def _predict(self, X: SequencesLike, decode: Callable[..., AnyArray]) -> AnyArray:
        """Return `decode(target, output, reference)` of all rows, or time steps."""
        check_is_fitted(self)
        sequences = self._encoder.normalizer.normalize(self._check_X(X))
        with limited_threads(self.n_jobs):
            target = unwrap_target(self._encoder.target)
            output = predict_ensemble(self._modules(), sequences, target)
            return self._decode(decode, output, sequences)

    def _decode(
        self, decode: Callable[..., AnyArray], output: AnyArray, sequences: Sequences
    ) -> AnyArray:
        target, steps = unwrap_target(self._encoder.target), None
        if self._module_config.return_sequences:
            output = output.reshape(-1, output.shape[-1])
            steps = StepValues(output, sequences.n_steps())
        check_finite_outputs(output, steps, self.lr)
        with np.errstate(over="ignore", invalid="ignore"):  # checked below
            prediction = decode(target, output, sequences.reference())
        check_finite_predictions(prediction, steps)
        if steps is None:
            return prediction
        return steps.unflatten(prediction, ragged=sequences.ragged)

    def _score_steps(
        self,
        metric: Callable[..., float],
        X: SequencesLike,
        y: TargetsLike,
        sample_weight: TargetsLike | None,
    ) -> float:
        """Return a metric of scikit-learn over all valid time steps."""
        check_is_fitted(self)
        sequences = self._check_X(X)
        check_consistent_length(sequences, y)
        y = check_step_targets(y, sequences)
        weights = check_step_weights(sample_weight, sequences)
        prediction = check_step_targets(self.predict(X), sequences, "The prediction")
        return metric(
            y.flat,
            prediction.flat,
            sample_weight=None if weights is None else weights.flat,
        )

    def stream(self, X: SequencesLike | None = None, *, n_streams: int = 1) -> Stream:
        """Start a streaming prediction, which receives one time step at a time.

        Parameters
        ----------
        X : array-like, DataFrame, or list of arrays, default=None
            Past time steps, one sequence for each parallel stream. None means that
            there are none yet.

        n_streams : int, default=1
            Number of parallel streams, if X is None.

        Returns
        -------
        stream : Stream
            Its `predict_step(x_t)` receives the next time step and returns what
            `predict` would return for all steps so far, at a constant cost per step.

        Raises
        ------
        ValueError
            If the prediction does not follow from the hidden state and the next step:
            for bidirectional networks, for `window_norm` 'last' and 'standard', and
            after a fit on 2-D X, whose sequences have a fixed length.
        """
        check_is_fitted(self)
        return open_stream(self, X, n_streams)

    def hidden_states(
        self, X: SequencesLike, h_0: ArrayLike | Sequence[Any] | None = None
    ) -> tuple[AnyArray, TorchStates]:
        """Compute the hidden states of the recurrent layers, in torch's layout.

        Parameters
        ----------
        X : array-like, DataFrame, or list of arrays
            Sequences, in any form that `fit` accepts; they are standardised as in
            `predict`.

        h_0 : array-like or tuple of arrays, default=None
            Initial states, with the structure and the shapes of `h_n`. None means
            the initial states of `predict`.

        Returns
        -------
        output : ndarray of shape (n_samples, n_timesteps, directions * hidden_size)
            Hidden states of the last layer after each step, or a 1-D object array of
            arrays if X is a list. On the last axis, the states of the backward
            direction follow those of the forward direction. With
            `window_norm='difference'` and one target per sequence, there is one step
            less than in X.

        h_n : ndarray of shape (layers * directions, n_samples, hidden_size)
            Final hidden state of each layer and direction. For an LSTM, the tuple
            `(h_n, c_n)`. If the layers differ in size, each array is replaced by a
            list with one array `(directions, n_samples, size)` per layer.

        See Also
        --------
        torch.nn.LSTM : Returns the same with `batch_first=True`, and
            `output.swapaxes(0, 1)` without.
        """
        check_is_fitted(self)
        sequences = self._encoder.normalizer.normalize(self._check_X(X))
        with limited_threads(self.n_jobs):
            states = None
            if h_0 is not None:
                states = check_states(h_0, self.module_, len(sequences))
            output, final = predict_states(self.module_, sequences, states)
        n_steps = self.module_.count_patches(sequences.n_batch_steps())
        steps = StepValues(output.reshape(-1, output.shape[-1]), n_steps)
        output = steps.unflatten(steps.flat, ragged=sequences.ragged)
        return output, to_torch_layout(final)

    @available_if(_pools_by_attention)
    def attention_weights(self, X: SequencesLike) -> AnyArray:
        """Compute the attention weight of each time step; needs `pooling='attention'`.

        Parameters
        ----------
        X : array-like, DataFrame, or list of arrays
            Sequences, in any form that `fit` accepts.

        Returns
        -------
        weights : ndarray of shape (n_samples, n_timesteps)
            Non-negative weights that sum to 1 for each sequence, or a 1-D object array
            of arrays if X is a list. With `window_norm='difference'`, there is one
            step less than in X.
        """
        check_is_fitted(self)
        sequences = self._encoder.normalizer.normalize(self._check_X(X))
        with limited_threads(self.n_jobs):
            weights = predict_attention(self.module_, sequences)[..., 0]
        n_steps = self.module_.count_patches(sequences.n_batch_steps())
        steps = StepValues(weights.reshape(-1), n_steps)
        return steps.unflatten(steps.flat, ragged=sequences.ragged)

    # -- fitted attributes

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "net_")

    @property
    def module_(self) -> RecurrentModule:
        """The network, a torch module with the current weights."""
        check_is_fitted(self)
        return self.net_.module_

    def _nets(self) -> list[RecurrentNet]:
        """Return the nets of all members."""
        return [self.net_, *self._other_nets]

    def _modules(self) -> list[RecurrentModule]:
        """Return the networks of all members."""
        return [net.module_ for net in self._nets()]

    @property
    def members_(self) -> list[Self]:
        """The fitted members, a list of estimators with one network each."""
        check_is_fitted(self)
        members = []
        for net in self._nets():
            member = object.__new__(type(self))
            # mypy takes `vars` for that of a class.
            vars(member).update(vars(self))  # type: ignore[attr-defined]
            member.n_members, member._other_nets = 1, []
            member.net_ = net
            member._set_trained(net)
            members.append(member)
        return members

    @property
    def history_(self) -> pd.DataFrame:
        """The training history, a DataFrame with one row per epoch."""
        check_is_fitted(self)
        rows = [
            {key: value for key, value in row.items() if key != "batches"}
            for row in self.net_.history.to_list()
        ]
        return pd.DataFrame(rows)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.three_d_array = True
        return tags

    def _sk_visual_block_(self) -> _VisualBlock:
        """Describe the estimator for scikit-learn's HTML representation."""
        caption = None
        if self.__sklearn_is_fitted__():
            n_members = len(self._nets())
            caption = f"{describe(self.module_)}: {count_parameters(self.module_):,} "
            caption += "parameters"
            if n_members > 1:
                caption += f" in each of {n_members} members"
        return _VisualBlock(
            "single",
            self,
            names=type(self).__name__,
            name_details=str(self),
            name_caption=caption,
        )

    # -- saving: numpy arrays and plain data, no objects of torch or skorch

    def save_model(self, path: FilePath) -> None:
        """Save the fitted model to a file that `load_model` reads without running code.

        The file is in the safetensors format, with JSON in its header. It is written at
        once: if saving fails, an existing file is left as it was. Later versions of
        skrnn read it too, whereas a pickle is meant for one version.

        Parameters
        ----------
        path : str or path-like
            Name of the file, which is replaced if it exists.

        Raises
        ------
        ValueError
            If a parameter cannot be saved as plain data: `callbacks`, or an `optimizer`
            class other than those that have a name.

        NotFittedError
            If the model is not fitted.

        See Also
        --------
        load_model : Loads the file.

        Notes
        -----
        Everything is saved: parameters, weights, the state of the optimiser and of the
        generators of random numbers, and the history. A loaded model therefore predicts
        and continues training exactly as this one.

        Examples
        --------
        >>> from pathlib import Path
        >>> import numpy as np
        >>> from tempfile import TemporaryDirectory
        >>> from skrnn import RNNRegressor, load_model
        >>> X = np.random.default_rng(0).normal(size=(20, 5))
        >>> y = X.sum(axis=1)
        >>> model = RNNRegressor(hidden_size=4, max_epochs=2, random_state=0).fit(X, y)
        >>> with TemporaryDirectory() as folder:
        ...     path = Path(folder) / "model.safetensors"
        ...     model.save_model(path)
        ...     loaded = load_model(path)
        >>> loaded.n_iter_
        2
        """
        from skrnn._saving.models import save_estimator

        save_estimator(self, path)

    def export_onnx(self, path: FilePath) -> None:
        """Export the fitted model to ONNX, to predict without Python.

        The file holds all that `predict` does: standardisation of X, `window_norm`,
        patches, the linear model, all members of an ensemble, and the units or the
        labels of y. Transformers before the estimator in a pipeline are not in it. It
        has no parameters, no history and nothing to train with: keep the file of
        `save_model` too. It is written at once: if exporting fails, an existing file is
        left as it was.

        Parameters
        ----------
        path : str or path-like
            Name of the file, which is replaced if it exists.

        Raises
        ------
        ImportError
            If onnx is not installed; `pip install "skrnn[onnx]"` installs it.

        ValueError
            If the labels of a classifier are neither strings nor numbers, a weight is
            not finite in float32, or the network was changed after `fit`.

        NotFittedError
            If the model is not fitted.

        See Also
        --------
        save_model : Saves the model itself.

        Notes
        -----
        Inputs of the graph, for any number of rows:

        - `X`, float32, in the form that `fit` received: `(n_samples, n_timesteps)` for
          2-D X; otherwise `(n_samples, n_timesteps, n_features)`, with any number of
          steps. With `embedding_dim` it is `(n_samples, n_timesteps)` in int64, where 0
          is padding behind the tokens of a row.
        - `lengths`, int64 of shape `(n_samples,)`: the number of time steps of each
          row, if rows are padded at their ends; the values of the padding are ignored.
          It may be left out if they are not. It does not exist for 2-D X and token ids.

        Outputs of the graph, named as skl2onnx does:

        - `variable`, of a regressor: predictions in the shape and the dtype of
          `predict`. With `loss='quantile'` these are the medians, and `quantiles` is
          what `predict_quantiles` returns.
        - `label` and `probabilities`, of a classifier: what `predict` and
          `predict_proba` return. Integers become int64.

        With `return_sequences`, all have an axis of time steps after the first one;
        behind the end of a row numbers are NaN, and labels have no meaning.

        The graph computes what `predict` computes for `X.astype('float32')`. Layers run
        in float32, whatever the dtype in `fit` was, so that results differ from those
        in float64 by about 1e-6 of the deviation of y. Subtract large constants from X
        before `fit`, which float32 would round. `initial_state` 'normal' and 'carry'
        start from zeros, as in `predict`. On a CPU, wrong lengths and token ids, and
        values of X that are not finite, raise an error of onnxruntime whose text has
        the rule. It logs a warning about `lengths`, which has a default, when it loads
        the file. The operators are those of ONNX opset 17.

        Examples
        --------
        >>> import numpy as np
        >>> import onnxruntime
        >>> from pathlib import Path
        >>> from tempfile import TemporaryDirectory
        >>> from skrnn import RNNClassifier
        >>> X = np.random.default_rng(0).normal(size=(20, 5, 2)).astype("float32")
        >>> y = np.where(X[:, -1, 0] > 0, "up", "down")
        >>> model = RNNClassifier(hidden_size=4, max_epochs=5, random_state=0).fit(X, y)
        >>> with TemporaryDirectory() as folder:
        ...     path = Path(folder) / "model.onnx"
        ...     model.export_onnx(path)
        ...     session = onnxruntime.InferenceSession(path)
        >>> label, probabilities = session.run(None, {"X": X})
        >>> (label == model.predict(X)).all()
        np.True_
        >>> np.allclose(probabilities, model.predict_proba(X), atol=1e-5)
        True
        """
        from skrnn._onnx.export import export_model

        export_model(self, path)

    def __getstate__(self) -> dict[str, Any]:
        state = dict(super().__getstate__())
        net, others = state.pop("net_", None), state.pop("_other_nets", [])
        if net is not None:
            state["_net_state"] = export_state(net)
            state["_other_net_states"] = [export_state(other) for other in others]
        return state | {"_skrnn_version": __version__}

    def __setstate__(self, state: dict[str, Any]) -> None:
        state = dict(state)
        version = state.pop("_skrnn_version", __version__)
        if version != __version__:
            warn_user(
                f"{type(self).__name__} was pickled by skrnn {version} and is loaded "
                f"by skrnn {__version__}, which may read it wrongly. Use the version "
                "that pickled it, or save_model and load_model for any later one.",
                VersionWarning,
            )
        net_state = state.pop("_net_state", None)
        other_states = state.pop("_other_net_states", [])
        super().__setstate__(state)
        if net_state is None:
            return
        try:
            device = resolve_device(self.device_)
        except ValueError:  # trained on a GPU that this machine does not have
            device = torch.device("cpu")
            self.device_ = "cpu"
        parts = self._module_config, self._training_config, self._encoder
        try:
            check_state(*parts, [net_state, *other_states])
        except InvalidFile as error:
            raise ValueError(
                f"The state of {type(self).__name__} must be as fit made it. Got "
                f"{error}. Pickle or save the model again."
            ) from error
        described = self._module_config, self._training_config, self._encoder.target
        with limited_threads(None):
            self.net_, *self._other_nets = (
                import_state(build_net(*described, device), state)
                for state in (net_state, *other_states)
            )
        for module in self._modules():
            module.eval()  # for a user who calls the module, as after fit
