"""What the estimators share: parameters, `fit`, prediction, and persistence."""

from abc import ABCMeta, abstractmethod
from contextlib import contextmanager
from copy import deepcopy
from inspect import signature
from numbers import Integral, Real

import numpy as np
import pandas as pd
import torch
from sklearn.base import BaseEstimator, clone
from sklearn.utils import check_random_state
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import check_consistent_length, check_is_fitted
from skorch.callbacks import Callback, LRScheduler

from skrnn._compat import Interval, StrOptions, _safe_indexing
from skrnn._data.sequences import FIXED, UNKNOWN
from skrnn._data.splits import check_groups, split_in_turn, split_rows
from skrnn._data.step_targets import (
    StepValues,
    StepwiseTarget,
    check_step_targets,
    check_step_weights,
)
from skrnn._data.targets import check_weights
from skrnn._data.validation import check_sequences, compute_dtype, read_token_ids
from skrnn._devices import limited_threads, resolve_device
from skrnn._inference.streaming import Stream
from skrnn._nn.module import RecurrentModule
from skrnn._nn.states import read_states
from skrnn._training.callbacks import EarlyStopping, PlateauSchedule, ProgressBar
from skrnn._training.linear_start import share_worth_going
from skrnn._training.net import OPTIMIZERS, RecurrentNet


def _pools_by_attention(estimator):
    if estimator.pooling == "attention":
        return True
    raise AttributeError(
        "attention_weights is available with pooling='attention' only. Got "
        f"pooling={estimator.pooling!r}."
    )


FUSED_OPTIMIZERS = (torch.optim.Adam, torch.optim.AdamW, torch.optim.SGD)


class BaseRecurrent(BaseEstimator, metaclass=ABCMeta):
    """The whole of `fit` and the way to raw outputs; subclasses give the target.

    A subclass lists its parameters in `__init__`, sets `_parameter_constraints`, and
    says by `_make_target` what y means.
    """

    _parameter_constraints: dict = {
        "hidden_size": [Interval(Integral, 1, None, closed="left"), tuple],
        "num_layers": [Interval(Integral, 1, None, closed="left")],
        "cell_type": [StrOptions({"rnn", "gru", "lstm"})],
        "nonlinearity": [StrOptions({"tanh", "relu"})],
        "dropout": [Interval(Real, 0, 1, closed="left")],
        "bidirectional": ["boolean"],
        "pooling": [StrOptions({"last", "mean", "max", "attention"})],
        "initial_state": [StrOptions({"zeros", "normal", "learned", "carry"})],
        "embedding_dim": [Interval(Integral, 1, None, closed="left"), None],
        "return_sequences": ["boolean"],
        "standardize": ["boolean"],
        "max_epochs": [Interval(Integral, 1, None, closed="left")],
        "lr": [Interval(Real, 0, None, closed="neither")],
        "batch_size": [Interval(Integral, 1, None, closed="left")],
        "optimizer": [StrOptions(set(OPTIMIZERS)), type],
        "optimizer_params": [dict, None],
        "weight_decay": [Interval(Real, 0, None, closed="left"), StrOptions({"auto"})],
        "max_grad_norm": [Interval(Real, 0, None, closed="neither"), None],
        "lr_schedule": [StrOptions({"one_cycle", "cosine", "plateau"}), None],
        "tbptt_steps": [Interval(Integral, 1, None, closed="left"), None],
        "patience": [Interval(Integral, 1, None, closed="left")],
        "tol": [Interval(Real, 0, None, closed="left")],
        "callbacks": [list, None],
        "early_stopping": ["boolean"],
        "validation_fraction": [Interval(Real, 0, 1, closed="neither")],
        "validation_strategy": [StrOptions({"random", "last"})],
        "warm_start": ["boolean"],
        "device": [str, torch.device],
        "n_jobs": [
            Interval(Integral, 1, None, closed="left"),
            Interval(Integral, None, -1, closed="right"),
            None,
        ],
        "random_state": ["random_state"],
        "verbose": ["verbose"],
    }

    # -- what a subclass says

    @abstractmethod
    def _make_target(self, y, classes, one_epoch):
        """Return the target object for y; `classes` as given to `partial_fit`."""

    def _continue_target(self):
        """Return a copy of the target object to go on with."""
        return deepcopy(self._target)

    def _is_bidirectional(self):
        return self.bidirectional

    def _learn_expression(self, sequences, y, weights):
        """Learn how sequences are to be expressed, and return them so."""
        return sequences

    def _express(self, sequences):
        """Return the sequences as the network is to see them."""
        return sequences

    def _ar_plan(self):
        """Return how many last steps of which columns reach the outputs directly."""
        return {"ar_order": 0, "ar_columns": ()}

    def _weigh_rows(self, target, y, weights):
        """Return the weight of each row, None where all are equal."""
        return weights

    def _stops_early(self, X_val):
        """Return whether a fit ends, and which weights it keeps, by validation."""
        return self.early_stopping

    def _n_trials(self, rows):
        """Return how often to try on a part of the rows what a network is worth."""
        return 0

    def _strata(self, target, y):
        """Return what a random validation part is stratified by, or None."""
        return None

    # -- training

    def fit(self, X, y, sample_weight=None, *, groups=None, X_val=None, y_val=None):
        """Train the network.

        Parameters
        ----------
        X : array-like, DataFrame, or list of arrays
            Sequences, oldest step first: 2-D `(n_samples, n_timesteps)`, one
            univariate sequence a row; 3-D `(n_samples, n_timesteps, n_features)`; or
            a list, tuple or 1-D object array of arrays `(n_timesteps_i, n_features)`
            or `(n_timesteps_i,)`, which may differ in length. float32 data is
            computed in float32, all other in float64 (on a CPU).

        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
            Targets: real numbers for a regressor; labels of any type, or an indicator
            matrix of several labels, for a classifier. With `return_sequences` a
            target for each time step: `(n_samples, n_timesteps)`, `(n_samples,
            n_timesteps, n_outputs)`, or a list or 1-D object array of arrays. What
            stands at the padding of token ids counts for nothing.

        sample_weight : array-like of shape (n_samples,), default=None
            Weights, not negative. Rows of weight zero count as if they were not
            there. With `return_sequences` there may be one for each time step, in
            the form of y.

        groups : array-like of shape (n_samples,), default=None
            Which patient, machine, series, ... each sequence comes from. Those that
            `early_stopping` sets aside are then whole groups: random ones or, with
            `validation_strategy='last'`, those that end last.

        X_val, y_val : as X and y, default=None
            Sequences and targets to compute `validation_loss_curve_` on, and to stop
            early by, in place of a part of X and y.

        Returns
        -------
        self : object
            The fitted estimator.

        Raises
        ------
        ValueError
            If a parameter, X, y or the weights break a rule; the message names the
            rule, what came and the remedy. If the loss becomes infinite or NaN. An
            earlier fit is left as it was.
        """
        continuing = self.warm_start and hasattr(self, "net_")
        return self._fit(
            X, y, sample_weight, groups, X_val, y_val, continuing=continuing
        )

    def _partial_fit(self, X, y, sample_weight, classes=None):
        return self._fit(
            X,
            y,
            sample_weight,
            classes=classes,
            continuing=hasattr(self, "net_"),
            one_epoch=True,
        )

    def _fit(
        self,
        X,
        y,
        sample_weight=None,
        groups=None,
        X_val=None,
        y_val=None,
        *,
        classes=None,
        continuing=False,
        one_epoch=False,
    ):
        self._validate_params()
        self._check_combinations(y, X_val, y_val)
        with unchanged_on_failure(self), limited_threads(self.n_jobs):
            device = resolve_device(self.device)
            rng = check_random_state(self.random_state)
            seed = int(rng.randint(np.iinfo(np.int32).max))
            sequences = self._read_sequences(X, reset=not continuing)
            check_consistent_length(sequences, y)
            y_given, y = y, self._read_targets(y, sequences)
            weights = self._read_weights(sample_weight, sequences)
            groups = check_groups(groups, len(sequences))
            if continuing:
                sequences = self._express(sequences)
                target = self._continue_target()
            else:
                sequences = self._learn_expression(sequences, y, weights)
                target = self._new_target(y, classes, one_epoch)
            weights = self._weigh_rows(target, y, weights)
            rows = rows_with_weight(len(sequences), weights)
            stops_early = self._stops_early(X_val) and not one_epoch
            splitting = {
                "fraction": self.validation_fraction,
                "strategy": self.validation_strategy,
                "seed": seed,
                "strata": self._strata(target, y),
                "groups": groups,
            }
            held_out, trials = rows[:0], []
            if stops_early and X_val is None:
                rows, held_out = split_rows(sequences, rows, **splitting)
            elif X_val is None and not continuing and not one_epoch:
                n_parts = self._n_trials(rows)
                trials = [
                    self._try_out(X, y_given, weights, part, others, seed)
                    for part, others in split_in_turn(
                        sequences, rows, n_parts=n_parts, **splitting
                    )
                ]
            reference = sequences.reference()
            if not continuing:
                row_weights = None if weights is None else weights[rows]
                target.fit(y, rows, row_weights, reference)
                self._spec = self._describe_network(sequences, target, device)
            plan = getattr(self, "_plan", None)
            net = self._prepare_net(target, device, seed, one_epoch, stops_early)
            if continuing:
                same = all(
                    plan[k] == self._plan[k] for k in ("optimizer", "optimizer_params")
                )
                net.import_state(self.net_.export_state(), with_moments=same)
            elif self.standardize and self.embedding_dim is None:
                net.set_scaling(sequences, rows, weights)
            codes = target.encode(y, reference=reference)
            dataset = net.make_dataset(sequences, rows, codes, weights)
            if net.module_.highway is not None and not continuing:
                net.start_linear(dataset)
            validation = None
            if len(held_out):
                validation = net.make_dataset(sequences, held_out, codes, weights)
            elif X_val is not None:
                validation = self._validation_set(net, X_val, y_val)
            self._train(net, dataset, validation)
            if trials:
                self._heed_trials(net, trials)
        return self

    def _heed_trials(self, net, trials):
        """Go as far from the linear start as the rows held out by trials advise."""
        curves, losses, mass = zip(*trials, strict=True)
        net.go_back(share_worth_going(np.hstack(losses), np.hstack(mass)))
        sizes = [len(part) for part in mass]
        mean_curve = np.average(curves, axis=0, weights=sizes)
        self.validation_loss_curve_ = mean_curve.tolist()

    def _try_out(self, X, y, weights, part, held_out, seed):
        """Train a copy on a part of the rows and try it on the others.

        Returns its `validation_loss_curve_`, the losses of the other rows by the share
        of the way from the linear start to what was trained, and these rows' weights.
        """
        trial = clone(self).set_params(
            early_stopping=False,
            warm_start=False,
            callbacks=None,
            random_state=seed,
            verbose=0,
        )
        # What only says __array__ has neither a length nor rows to choose.
        X, y = (
            each if hasattr(each, "__len__") else np.asarray(each) for each in (X, y)
        )
        weights = np.ones(len(y)) if weights is None else weights
        of_part = np.zeros_like(weights)
        of_part[part] = weights[part]
        X_val, y_val = _safe_indexing(X, held_out), _safe_indexing(y, held_out)
        trial._fit(X, y, of_part, X_val=X_val, y_val=y_val)
        dataset = trial._validation_set(trial.net_, X_val, y_val)
        losses = trial.net_.losses_by_share(dataset)
        return trial.validation_loss_curve_, losses, weights[held_out]

    def _train(self, net, dataset, validation):
        """Run the loop and take over what it learned.

        After Ctrl-C an estimator with `warm_start` keeps the finished epochs, any
        other is left as it was.
        """
        try:
            net.train(dataset, validation)
        except KeyboardInterrupt:
            if self.warm_start and len(net.history):
                self._take_over(net)
            raise
        self._take_over(net)

    def _take_over(self, net):
        history = net.history.to_list()
        self._target = net.target
        self.net_ = net
        self.n_outputs_ = net.target.n_outputs
        self.device_ = str(net.device)
        self.n_iter_ = len(history)
        self.loss_curve_ = [row["train_loss"] for row in history]
        self.validation_loss_curve_ = None
        if any("valid_loss" in row for row in history):
            self.validation_loss_curve_ = [
                row.get("valid_loss", np.nan) for row in history
            ]
        stoppers = [cb for _, cb in net.callbacks_ if isinstance(cb, EarlyStopping)]
        self.best_epoch_ = stoppers[0].best_epoch_ if stoppers else None

    # -- the parts of fit

    def _check_combinations(self, y, X_val, y_val):
        """Refuse parameters that contradict each other."""
        owner = type(self).__name__
        if y is None:
            raise ValueError(
                f"This {owner} estimator requires y to be passed, but the target y is "
                "None."
            )
        if (X_val is None) != (y_val is None):
            raise ValueError(
                "X_val and y_val must be passed together. Got only "
                f"{'y_val' if X_val is None else 'X_val'}."
            )
        self._hidden_sizes()
        if self.nonlinearity != "tanh" and self.cell_type != "rnn":
            raise ValueError(
                f"The 'nonlinearity' parameter of {owner} must be 'tanh' for "
                f"cell_type={self.cell_type!r}, whose equations fix it. Got "
                f"{self.nonlinearity!r}. Use cell_type='rnn', or leave it out."
            )
        self._check_states()
        if isinstance(self.optimizer, type) and not issubclass(
            self.optimizer, torch.optim.Optimizer
        ):
            raise ValueError(
                f"The 'optimizer' parameter of {owner} must be a name or a subclass of "
                f"torch.optim.Optimizer. Got {self.optimizer!r}."
            )
        taken = {"lr", "weight_decay"} & set(self.optimizer_params or ())
        if taken:
            raise ValueError(
                f"The 'optimizer_params' parameter of {owner} must not hold what has a "
                f"parameter of its own. Got {sorted(taken)}. Set "
                f"{' and '.join(sorted(taken))} directly."
            )
        for callback in self.callbacks or []:
            _check_callback(callback, owner, self.lr_schedule)
        is_lbfgs = self.optimizer in ("lbfgs", torch.optim.LBFGS)
        if is_lbfgs and self.weight_decay not in ("auto", 0):
            raise ValueError(
                f"The 'weight_decay' parameter of {owner} must be 0 or 'auto' for "
                f"optimizer='lbfgs', which has none. Got {self.weight_decay}."
            )

    def _check_states(self):
        """Refuse what a direction of time, or an output per step, rules out."""
        owner = type(self).__name__
        backwards = "which reads a sequence from its end: its states are not handed on."
        if self._is_bidirectional() and self.initial_state == "carry":
            raise ValueError(
                f"The 'initial_state' parameter of {owner} must not be 'carry' for a "
                f"two-way network, {backwards} Use 'zeros' or 'learned'."
            )
        if self._is_bidirectional() and self.tbptt_steps is not None:
            raise ValueError(
                f"The 'tbptt_steps' parameter of {owner} must be None for a two-way "
                f"network, {backwards} Got {self.tbptt_steps}. Cut the sequences "
                "shorter."
            )
        if self.tbptt_steps is not None and self.optimizer in (
            "lbfgs",
            torch.optim.LBFGS,
        ):
            raise ValueError(
                f"The 'tbptt_steps' parameter of {owner} must be None for "
                f"optimizer='lbfgs', which wants all steps at once. Got "
                f"{self.tbptt_steps}. Use another optimizer."
            )
        if self.pooling != "last":
            for name in ("return_sequences", "tbptt_steps"):
                if getattr(self, name):
                    raise ValueError(
                        f"The 'pooling' parameter of {owner} must be 'last' with "
                        f"{name}={getattr(self, name)}, since "
                        + (
                            "every step has its own output"
                            if name == "return_sequences"
                            else "not all steps are seen together"
                        )
                        + f". Got {self.pooling!r}."
                    )

    def _hidden_sizes(self):
        """Return the hidden size of each layer as a tuple."""
        if not isinstance(self.hidden_size, tuple):
            return (self.hidden_size,) * self.num_layers
        sizes = self.hidden_size
        whole = all(isinstance(h, Integral) and h >= 1 for h in sizes)
        if not sizes or not whole or self.num_layers not in (1, len(sizes)):
            raise ValueError(
                f"The 'hidden_size' parameter of {type(self).__name__} must be an int, "
                "or a tuple with one int from 1 upwards for each of num_layers layers. "
                f"Got {sizes!r} with num_layers={self.num_layers}."
            )
        return tuple(int(h) for h in sizes)

    def _network_parameters(self):
        """Return what the parameters say of the network."""
        return {
            "hidden_sizes": self._hidden_sizes(),
            "cell_type": self.cell_type,
            "nonlinearity": self.nonlinearity,
            "bidirectional": self._is_bidirectional(),
            "pooling": self.pooling,
            "initial_state": self.initial_state,
            "embedding_dim": self.embedding_dim,
            "return_sequences": self.return_sequences,
            **self._ar_plan(),
        }

    def _describe_network(self, sequences, target, device):
        """Return the network's plan as plain data: what `build_net` needs."""
        input_dtype = compute_dtype(sequences.dtype)
        if device.type == "mps":  # knows no float64
            input_dtype = np.dtype(np.float32)
        return self._network_parameters() | {
            "n_features": sequences.n_features,
            "n_tokens": 0 if self.embedding_dim is None else self._n_tokens,
            "n_outputs": target.n_outputs,
            "dtype": input_dtype.name if device.type == "cpu" else "float32",
            "input_dtype": input_dtype.name,
        }

    def _prepare_net(self, target, device, seed, one_epoch, stops_early):
        """Return a net with new weights, of the kind that `_spec` describes.

        The parameters may have been set since, and must not ask for another network
        than training began with.
        """
        for name, value in self._network_parameters().items():
            if value != self._spec[name]:
                before = self._spec[name]
                name = "hidden_size" if name == "hidden_sizes" else name
                raise ValueError(
                    f"The '{name}' parameter must stay as it was while training goes "
                    f"on with warm_start or partial_fit. Got {value!r} after "
                    f"{before!r}. Set warm_start=False and call fit."
                )
        self._plan = self._describe_training(one_epoch)
        callbacks = self._make_callbacks(one_epoch, stops_early)
        net = build_net(self._spec, self._plan, target, device, seed, callbacks)
        net.verbose = int(self.verbose)  # for callbacks that print
        return net

    def _describe_training(self, one_epoch):
        """Return what the engine needs to know of the parameters, as it is now."""
        names = (
            "dropout",
            "max_grad_norm",
            "lr",
            "batch_size",
            "optimizer",
            "optimizer_params",
            "weight_decay",
            "tbptt_steps",
        )
        plan = {name: deepcopy(getattr(self, name)) for name in names}
        plan["lr_schedule"] = None if one_epoch else self.lr_schedule
        plan["max_epochs"] = 1 if one_epoch else self.max_epochs
        return plan

    def _make_callbacks(self, one_epoch, stops_early):
        # Copies: callbacks keep what they saw, and a parameter must not change.
        callbacks = deepcopy(self.callbacks or [])
        if one_epoch:
            return callbacks
        if self.lr_schedule == "plateau":
            callbacks.append(PlateauSchedule())
        if self.verbose:
            callbacks.append(ProgressBar(type(self).__name__))
        if stops_early:  # last, for it may end the epoch for the others
            callbacks.append(EarlyStopping(self.patience, self.tol))
        return callbacks

    def _validation_set(self, net, X_val, y_val):
        sequences = self._read_sequences(X_val, name="X_val")
        check_consistent_length(sequences, y_val)
        y_val = self._read_targets(y_val, sequences, "y_val", of="X_val")
        sequences = self._express(sequences)
        codes = net.target.encode(y_val, "y_val", sequences.reference())
        weights = net.target.class_weights(codes)
        return net.make_dataset(sequences, np.arange(len(sequences)), codes, weights)

    # -- the border

    def _read_sequences(self, X, reset=False, name="X"):
        """Return X as `Sequences`, of token ids without their padding."""
        dtype = None if reset else self._input_dtype()
        sequences = check_sequences(self, X, reset=reset, dtype=dtype, name=name)
        if self.embedding_dim is None:
            return sequences
        sequences, highest = read_token_ids(sequences, name)
        if reset:
            self._n_tokens = max(highest, UNKNOWN) + 1
            self._padded = sequences.padded_steps is not None
        elif highest >= self._n_tokens:
            raise ValueError(
                f"{name} must hold token ids below {self._n_tokens}, as the X in fit. "
                f"Got {highest}. Give unknown tokens the id {UNKNOWN}, as TokenEncoder "
                "does."
            )
        # Whether a part of padded rows happens to have no padding must not matter.
        sequences.ragged |= self._padded
        return sequences

    def _read_targets(self, y, sequences, name="y", of="X"):
        if not self.return_sequences:
            return y
        return check_step_targets(y, sequences, name, of)

    def _read_weights(self, sample_weight, sequences):
        if not self.return_sequences:
            return check_weights(sample_weight, len(sequences))
        return check_step_weights(sample_weight, sequences)

    def _new_target(self, y, classes, one_epoch):
        if not self.return_sequences:
            return self._make_target(y, classes, one_epoch)
        return StepwiseTarget(self._make_target(y.flat, classes, one_epoch))

    # -- prediction

    def _answer(self, X, decode):
        """Return `decode(target, raw outputs, reference)` for all rows, or steps."""
        check_is_fitted(self)
        sequences = self._read_sequences(X)
        expressed = self._express(sequences)
        with limited_threads(self.n_jobs):
            output = self.net_.outputs(expressed)
            return self._decode_all(decode, output, expressed)

    def _decode_all(self, decode, output, sequences):
        target, reference = self._target, sequences.reference()
        steps = None
        if isinstance(target, StepwiseTarget):
            output = output.reshape(-1, output.shape[-1])
            steps, target = StepValues(output, sequences.n_steps()), target.of_step
        finite = np.isfinite(output).reshape(len(output), -1).all(axis=1)
        if not finite.all():
            row = finite.argmin()
            if steps is not None:
                row = np.searchsorted(steps.starts, row, side="right") - 1
            raise ValueError(
                "The output of the network must be finite. Got NaN or infinity for "
                f"row {row} of X. Compare its scale with that of the X "
                f"in fit, or fit again with a lower lr (now {self.lr})."
            )
        answer = decode(target, output, reference)
        if steps is None:
            return answer
        return steps.unflatten(answer, ragged=sequences.ragged)

    def _score_steps(self, metric, X, y, sample_weight):
        """Return a metric of scikit-learn over all valid steps."""
        check_is_fitted(self)
        sequences = self._read_sequences(X)
        check_consistent_length(sequences, y)
        y = self._read_targets(y, sequences)
        weights = check_step_weights(sample_weight, sequences)
        answer = self._read_targets(self.predict(X), sequences, "The answer")
        return metric(
            y.flat, answer.flat, sample_weight=None if weights is None else weights.flat
        )

    def stream(self, X=None, *, n_streams=1):
        """Begin to predict sequences that are still going on, step by step.

        Parameters
        ----------
        X : array-like, DataFrame, or list of arrays, default=None
            The steps so far, one sequence for each parallel stream. None: there are
            none yet.

        n_streams : int, default=1
            Parallel streams, if there is no X.

        Returns
        -------
        stream : Stream
            Its `predict_step(x_t)` takes the next time step and answers as `predict`
            would for all steps so far, at a constant cost.

        Raises
        ------
        ValueError
            If the state of the network does not determine the answer: for two-way
            networks, for `window_norm` 'last' and 'standard', and after a fit on 2-D
            X, whose sequences have one length.
        """
        check_is_fitted(self)
        owner = type(self).__name__
        if self._input_kind == FIXED:
            raise ValueError(
                f"stream wants a {owner} fitted on sequences of any length. Got one "
                f"fitted on 2-D X with {self.n_features_in_} time steps. Fit on "
                "X[:, :, None]."
            )
        if self._spec["bidirectional"]:
            raise ValueError(
                f"stream wants a network that reads forward in time. Got a two-way "
                f"{owner}, whose answer needs the end of the sequence."
            )
        kind, _ = getattr(self, "_expression", (None, None))
        if kind in ("last", "standard"):
            raise ValueError(
                "stream wants a network whose state determines the answer. Got "
                f"window_norm={kind!r}, which expresses all steps anew with each new "
                "one. Use 'difference' or None."
            )
        if X is None:
            whole = isinstance(n_streams, Integral) and not isinstance(n_streams, bool)
            if not whole or n_streams < 1:
                raise ValueError(
                    f"n_streams must be an int from 1 upwards. Got {n_streams!r}."
                )
            return Stream(self, n_streams)
        sequences = self._read_sequences(X)
        return Stream(self, len(sequences)).prime(sequences)

    def hidden_states(self, X, h_0=None):
        """Compute the states of the recurrent layers, as torch's layers return them.

        Parameters
        ----------
        X : array-like, DataFrame, or list of arrays
            Sequences, as for `fit`; they are standardised as in `predict`.

        h_0 : array-like or tuple of arrays, default=None
            The states to start from, in the form of `h_n`, whose shapes it must have.
            None is what `predict` starts from.

        Returns
        -------
        output : ndarray of shape (n_samples, n_timesteps, directions * hidden_size)
            The state of the last layer after every step; of X in a list a 1-D
            object array of arrays. Backward states stand behind forward states.

        h_n : ndarray of shape (layers * directions, n_samples, hidden_size)
            The state of each layer and direction after its last step. Of an LSTM the
            tuple `(h_n, c_n)`. With layers of different sizes a list in place of each
            array, with an array `(directions, n_samples, size)` for each layer.

        See Also
        --------
        torch.nn.LSTM : The same with `batch_first=True`; `output.swapaxes(0, 1)` is
            what it returns without.
        """
        check_is_fitted(self)
        sequences = self._express(self._read_sequences(X))
        with limited_threads(self.n_jobs):
            start = None
            if h_0 is not None:
                start = read_states(h_0, self.net_.module_, len(sequences))
            output, finals = self.net_.states(sequences, start)
        steps = StepValues(
            output.reshape(-1, output.shape[-1]), sequences.expressed_steps()
        )
        output = steps.unflatten(steps.flat, ragged=sequences.ragged)
        same = len(set(self._spec["hidden_sizes"])) == 1
        parts = [
            np.concatenate(of_layers) if same else list(of_layers)
            for of_layers in zip(*finals, strict=True)
        ]
        return output, parts[0] if len(parts) == 1 else tuple(parts)

    @available_if(_pools_by_attention)
    def attention_weights(self, X):
        """Compute the weight of each time step with `pooling='attention'`.

        Parameters
        ----------
        X : array-like, DataFrame, or list of arrays
            Sequences, as for `fit`.

        Returns
        -------
        weights : ndarray of shape (n_samples, n_timesteps)
            Not negative, with the sum 1 for each sequence; of X in a list a 1-D
            object array of arrays.
        """
        check_is_fitted(self)
        sequences = self._express(self._read_sequences(X))
        with limited_threads(self.n_jobs):
            weights = self.net_.attention(sequences)[..., 0]
        steps = StepValues(weights.reshape(-1), sequences.expressed_steps())
        return steps.unflatten(steps.flat, ragged=sequences.ragged)

    def _input_dtype(self):
        """Return the numpy dtype that the network takes its input in."""
        return np.dtype(self._spec["input_dtype"])

    # -- what is known after fit

    def __sklearn_is_fitted__(self):
        return hasattr(self, "net_")

    @property
    def module_(self):
        """The torch module, with the current weights."""
        check_is_fitted(self)
        return self.net_.module_

    @property
    def history_(self):
        """What was recorded of each epoch, as a DataFrame with a row an epoch."""
        check_is_fitted(self)
        rows = [
            {key: value for key, value in row.items() if key != "batches"}
            for row in self.net_.history.to_list()
        ]
        return pd.DataFrame(rows)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.three_d_array = True
        return tags

    # -- persistence: numpy arrays and plain data, no objects of torch or skorch

    def __getstate__(self):
        state = dict(super().__getstate__())
        net = state.pop("net_", None)
        if net is not None:
            state["_net_state"] = net.export_state()
        return state

    def __setstate__(self, state):
        state = dict(state)
        net_state = state.pop("_net_state", None)
        super().__setstate__(state)
        if net_state is not None:
            try:
                device = resolve_device(self.device_)
            except ValueError:  # trained on a GPU that is not here
                device = torch.device("cpu")
                self.device_ = "cpu"
            with limited_threads(None):
                net = build_net(self._spec, self._plan, self._target, device)
                self.net_ = net.import_state(net_state)
            net.module_.eval()  # for a user who calls the module, as after fit


def _check_callback(callback, owner, lr_schedule):
    if isinstance(callback, tuple) and len(callback) == 2:
        callback = callback[1]
    is_class = isinstance(callback, type)
    if not (
        issubclass(callback, Callback) if is_class else isinstance(callback, Callback)
    ):
        raise ValueError(
            f"The 'callbacks' parameter of {owner} must hold callbacks of skorch, or "
            f"(name, callback) tuples. Got {callback!r}."
        )
    scheduler = callback if is_class else type(callback)
    if issubclass(scheduler, LRScheduler) and lr_schedule is not None:
        raise ValueError(
            f"The 'lr_schedule' parameter of {owner} must be None when a callback sets "
            f"the learning rate. Got {lr_schedule!r} and {scheduler.__name__}."
        )


def rows_with_weight(n_samples, weights):
    """Return the rows that count; the others leave before anything is learned."""
    if weights is None:
        return np.arange(n_samples)
    if isinstance(weights, StepValues):
        weights = np.maximum.reduceat(weights.flat, weights.starts)
    rows = np.flatnonzero(weights > 0)
    if not len(rows):
        raise ValueError(
            "sample_weight times class_weight must be above zero for at least one row. "
            f"Got zero for all {n_samples}."
        )
    return rows


def build_net(spec, plan, target, device, seed=0, callbacks=None):
    """Return an initialised net with new weights.

    Parameters
    ----------
    spec : dict
        The network, as `_describe_network` returns it.

    plan : dict
        The training, as `_describe_training` returns it.

    target : target object
        What is learned.

    device : torch device
        Where.

    seed : int, default=0
        Of the weights, the order of batches, and dropout.

    callbacks : list or None, default=None
        Of skorch.

    Returns
    -------
    net : RecurrentNet
    """
    spec, plan = dict(spec), dict(plan)
    optimizer, params = optimizer_options(
        plan.pop("optimizer"), plan.pop("optimizer_params"), plan.pop("weight_decay")
    )
    module = RecurrentModule(
        **spec
        | {key: getattr(torch, spec[key]) for key in ("dtype", "input_dtype")}
        | {"dropout": plan.pop("dropout")},
        generator=torch.Generator().manual_seed(seed),
    )
    net = RecurrentNet(
        module,
        target,
        seed=seed,
        optimizer=optimizer,
        callbacks=callbacks,
        device=device,
        verbose=0,
        **plan,
        **{f"optimizer__{name}": value for name, value in params.items()},
    )
    return net.initialize()


def optimizer_options(optimizer, optimizer_params, weight_decay):
    """Return the class of an optimiser and its arguments, but for the rate."""
    optimizer = OPTIMIZERS.get(optimizer, optimizer)
    params = {}
    if optimizer is torch.optim.LBFGS:
        params["line_search_fn"] = "strong_wolfe"
    elif weight_decay != "auto":
        if weight_decay > 0 or "weight_decay" in signature(optimizer).parameters:
            params["weight_decay"] = weight_decay
    elif optimizer is torch.optim.AdamW:
        params["weight_decay"] = 0.1
    if optimizer in FUSED_OPTIMIZERS and not {"foreach", "fused"} & set(
        optimizer_params or ()
    ):
        params["fused"] = True  # one operation for all parameters, not ten for each
    return optimizer, params | (optimizer_params or {})


@contextmanager
def unchanged_on_failure(estimator):
    """Give an estimator its attributes back if the body fails."""
    before = dict(vars(estimator))
    try:
        yield
    except BaseException:  # Ctrl-C too; whatever it was goes on after the repair
        kept = vars(estimator)
        if isinstance(kept.get("net_"), RecurrentNet) and kept["net_"] is not (
            before.get("net_")
        ):
            raise  # finished epochs were taken over on purpose
        kept.clear()
        kept.update(before)
        raise
