"""`fit`: what it will do, cross-validation, and training."""

from __future__ import annotations

import threading
from abc import abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import fields, replace
from functools import partial
from itertools import product
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import torch
from sklearn.utils import check_random_state

from skrnn._compat import CallbackSupportMixin, with_callbacks
from skrnn._data.normalization import WindowNormalizer
from skrnn._data.samples import EncodedSamples, SampleEncoder, Samples
from skrnn._data.scaling import feature_scaling
from skrnn._data.splits import kfold, train_validation_split
from skrnn._data.step_targets import (
    StepwiseTarget,
)
from skrnn._data.suspicion import warn_dominating_value, warn_token_ids
from skrnn._data.validation import compute_dtype
from skrnn._devices import limited_threads, resolve_device
from skrnn._inputs import InputValidationMixin
from skrnn._nn.config import ModuleConfig
from skrnn._parameters import (
    PARAMETER_CONSTRAINTS,
    check_same_network,
    hidden_sizes,
    reads_each_step,
)
from skrnn._training.automatic import (
    choose_max_epochs,
    choose_patch_size,
    choose_pooling,
)
from skrnn._training.callbacks import (
    EarlyStopping,
    PlateauSchedule,
    ProgressBar,
    copy_callbacks,
)
from skrnn._training.checkpoint import open_checkpoint, without_checkpoints
from skrnn._training.config import TrainingConfig
from skrnn._training.convergence import warn_if_not_converged
from skrnn._training.judging import (
    FOLD_FRACTION,
    FoldResult,
    Judgement,
    is_better,
)
from skrnn._training.linear_start import LinearStart
from skrnn._training.members import member_seeds, run_jobs, train_members
from skrnn._training.net import RecurrentNet, build_net
from skrnn._training.plan import FitPlan, LinearChoice
from skrnn._training.state import export_state, import_state
from skrnn._training.tasks import FitTasks, NoTasks, TrainingTask
from skrnn._typing import (
    AnyArray,
    ArrayLike,
    Estimator,
    IntArray,
    SequencesLike,
    Target,
    TargetsLike,
)


class FitMixin(CallbackSupportMixin, InputValidationMixin):
    """`fit`, in terms of methods that the estimators implement or replace.

    Subclasses define `__init__` and `_parameter_constraints`, and implement
    `_make_target`, which returns the encoder of y.
    """

    _parameter_constraints: dict = PARAMETER_CONSTRAINTS

    bidirectional: Any  # a parameter, but for estimators that have no choice

    # What `fit` sets.
    net_: RecurrentNet
    n_iter_: int
    loss_curve_: list[float]
    validation_loss_curve_: list[float] | None
    best_epoch_: int | None
    n_outputs_: int
    device_: str
    engine_: str | None
    pooling_: str
    patch_size_: int

    if TYPE_CHECKING:  # methods of the estimators

        def _validate_params(self) -> None: ...
        def _nets(self) -> list[RecurrentNet]: ...
        def _error_power(self) -> int: ...

    # -- hooks of subclasses

    @abstractmethod
    def _make_target(
        self, y: Any, classes: ArrayLike | None, one_epoch: bool
    ) -> Target:
        """Return the target object for y; `classes` as given to `partial_fit`."""

    def _is_bidirectional(self) -> bool:
        return self.bidirectional

    def _choose_linear(
        self, samples: Samples, rows: IntArray, one_epoch: bool
    ) -> list[LinearChoice]:
        """Choose how a new fit normalises windows, and its linear model.

        Returns
        -------
        choices : list of LinearChoice
            One, or two for cross-validation to choose from.
        """
        return [LinearChoice()]

    def _new_normalizer(self, linear: LinearChoice) -> WindowNormalizer:
        """Return the normaliser of windows for a new fit, not yet fitted."""
        return WindowNormalizer()

    def _continued_encoder(self) -> SampleEncoder:
        """Return a copy of the encoder, to continue training with."""
        return deepcopy(self._encoder)

    def _highway_columns(self) -> tuple[int, ...]:
        """Return the features of which the highway gets several last values."""
        return ()

    def _apply_class_weights(self, samples: Samples, target: Target) -> Samples:
        """Return samples weighted by class."""
        return samples

    def _stops_early(self, external: Samples | None, linear: LinearChoice) -> bool:
        """Return whether a fit stops early and keeps the best weights.

        `external` is the validation data, or None, and `linear` a `LinearChoice`.
        """
        return self.early_stopping

    def _n_folds(self, rows: IntArray, linear: LinearChoice) -> int:
        """Return the number of folds that cross-validate the network's correction."""
        return 0

    def _strata(self, target: Target, y: Any) -> AnyArray | None:
        """Return the classes by which a random split is stratified, or None."""
        return None

    # -- fit

    def fit(
        self,
        X: SequencesLike,
        y: TargetsLike,
        sample_weight: TargetsLike | None = None,
        *,
        groups: ArrayLike | None = None,
        X_val: SequencesLike | None = None,
        y_val: TargetsLike | None = None,
    ) -> Self:
        """Train the network.

        Parameters
        ----------
        X : array-like, DataFrame, or list of arrays
            Sequences, oldest time step first: a 2-D array `(n_samples, n_timesteps)`
            with one univariate sequence per row; a 3-D array `(n_samples,
            n_timesteps, n_features)`; or a list, tuple or 1-D object array of arrays
            `(n_timesteps_i, n_features)` or `(n_timesteps_i,)`, which may differ in
            length. On a CPU, float32 data is processed in float32, and all other data
            in float64.

        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
            Targets: real numbers for a regressor; labels of any type, or a multilabel
            indicator matrix, for a classifier. With `return_sequences`, a target for
            each time step: `(n_samples, n_timesteps)`, `(n_samples, n_timesteps,
            n_outputs)`, or a list or 1-D object array of arrays or of lists, such as
            the tags of the words of a sentence. Targets at padded token ids are
            ignored.

        sample_weight : array-like of shape (n_samples,), default=None
            Non-negative sample weights. Rows of weight zero are ignored. With
            `return_sequences`, weights may also be given for each time step, in the
            form of y.

        groups : array-like of shape (n_samples,), default=None
            Group (patient, machine, series, ...) of each sequence. `early_stopping`
            then holds out whole groups: random ones or, with
            `validation_strategy='last'`, those that end last.

        X_val, y_val : as X and y, default=None
            Validation sequences and targets for `validation_loss_curve_` and
            `early_stopping`, instead of rows held out from X and y.

        Returns
        -------
        self : object
            The fitted estimator.

        Raises
        ------
        ValueError
            If a parameter, X, y or the weights are invalid; the message names the
            rule, the value and a remedy. If the loss becomes infinite or NaN. The
            result of an earlier fit is then left unchanged.
        torch.OutOfMemoryError
            If training does not fit in the memory of the device.
        """
        return self._fit(
            X,
            y,
            sample_weight,
            groups,
            X_val,
            y_val,
            continuing=self.warm_start and hasattr(self, "net_"),
        )

    def _partial_fit(
        self,
        X: SequencesLike,
        y: TargetsLike,
        sample_weight: TargetsLike | None,
        classes: ArrayLike | None = None,
    ) -> Self:
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
        X: SequencesLike,
        y: TargetsLike,
        sample_weight: TargetsLike | None = None,
        groups: ArrayLike | None = None,
        X_val: SequencesLike | None = None,
        y_val: TargetsLike | None = None,
        *,
        classes: ArrayLike | None = None,
        continuing: bool = False,
        one_epoch: bool = False,
    ) -> Self:
        self._validate_params()
        self._check_arguments(y, X_val, y_val)
        if continuing:
            check_same_network(self)
        with unchanged_on_failure(self), limited_threads(self.n_jobs):
            samples = self._check_samples(X, y, sample_weight, groups, not continuing)
            external = self._check_validation(X_val, y_val, samples)
            if continuing:
                encoder = self._continued_encoder()
            else:
                encoder = self._new_encoder(samples, classes, one_epoch)
            samples = self._apply_class_weights(samples, encoder.target)
            plan = self._plan_fit(samples, encoder, external, continuing, one_epoch)
            passed = None if one_epoch else (X, y, sample_weight)
            try:
                self._carry_out(plan, samples, external, encoder, continuing, passed)
            except torch.OutOfMemoryError as error:
                raise torch.OutOfMemoryError(
                    f"Training must fit in the memory of the device, {plan.device}. "
                    f"Got batch_size={self.batch_size} and hidden_size="
                    f"{self.hidden_size}. Lower them, or set device='cpu'."
                ) from error
        if plan.checkpoint is not None:
            plan.checkpoint.finish()
        return self

    def _new_encoder(
        self, samples: Samples, classes: ArrayLike | None, one_epoch: bool
    ) -> SampleEncoder:
        """Return the encoder of a new fit, which `_train` fits."""
        if self.embedding_dim is None:
            warn_token_ids(samples.sequences)
        y = samples.y.flat if self.return_sequences else samples.y
        target = self._make_target(y, classes, one_epoch)
        if self.return_sequences:
            target = StepwiseTarget(target)
        return SampleEncoder(WindowNormalizer(), target)

    def _plan_fit(
        self,
        samples: Samples,
        encoder: SampleEncoder,
        external: Samples | None,
        continuing: bool,
        one_epoch: bool,
    ) -> FitPlan:
        """Decide which rows are trained on, and how."""
        seed = draw_seed(self.random_state)
        rows = samples.weighted_rows()
        train, valid, folds = rows, rows[:0], []
        splitting: dict[str, Any] = {
            "fraction": self.validation_fraction,
            "strategy": self.validation_strategy,
            "seed": seed,
            "strata": self._strata(encoder.target, samples.y),
            "groups": samples.groups,
        }
        holds_out = external is None and self._stops_early(None, LinearChoice())
        if holds_out and not one_epoch:
            train, valid = train_validation_split(samples.sequences, rows, **splitting)
        choices = [LinearChoice()]
        if not continuing:
            choices = self._choose_linear(samples, train, one_epoch)
        stops_early = self._stops_early(external, choices[0]) and not one_epoch
        if stops_early:  # the validation rows judge
            choices = [replace(choices[0], is_sufficient=False)]
        if external is None and not stops_early and not continuing and not one_epoch:
            splitting["fraction"] = FOLD_FRACTION
            n_splits = self._n_folds(rows, choices[0])
            folds = kfold(samples.sequences, rows, n_splits=n_splits, **splitting)
        n_steps = samples.sequences.n_steps()[train]
        reads_steps = reads_each_step(self)
        pooling, patch_size = self.pooling, self.patch_size
        if pooling == "auto":
            # What continues a window follows from its end.
            is_last = reads_steps or choices[0].ar_order > 0
            pooling = "last" if is_last else choose_pooling(n_steps)
        if patch_size == "auto":
            patch_size = 1 if reads_steps else choose_patch_size(n_steps)
        device, checkpoint = resolve_device(self.device), None
        if not one_epoch:
            checkpoint = open_checkpoint(self, samples, external, continuing, device)
        return FitPlan(
            train=train,
            valid=valid,
            folds=folds,
            config=self._training_parameters(n_steps, one_epoch),
            callbacks=self._make_callbacks(one_epoch, stops_early),
            device=device,
            seed=seed,
            pooling=pooling,
            patch_size=int(patch_size),
            linear=choices[0],
            alternative=choices[1] if len(choices) > 1 and folds else None,
            checkpoint=checkpoint,
        )

    @with_callbacks
    def _carry_out(
        self,
        plan: FitPlan,
        samples: Samples,
        external: Samples | None,
        encoder: SampleEncoder,
        continuing: bool,
        passed: tuple[SequencesLike, TargetsLike, TargetsLike | None] | None,
    ) -> None:
        """Train as planned, and call the hooks of scikit-learn's callbacks.

        `passed` is what `fit` received; None calls no hooks.
        """
        tasks: FitTasks | NoTasks = NoTasks()
        if passed is not None:
            n_trainings = len(self._fold_plans(plan)) + self.n_members
            tasks = FitTasks(self, *passed, n_trainings, plan.config.max_epochs)
        plan, judgement = self._judge(samples, plan, tasks)
        self._train(samples, external, encoder, plan, judgement, continuing, tasks)
        tasks.end()

    def _fold_plans(self, plan: FitPlan) -> list[tuple[FitPlan, AnyArray, AnyArray]]:
        """Return the plan and the rows of each training of `_judge`."""
        plans = [plan]
        if plan.alternative is not None:
            plans.append(replace(plan, linear=plan.alternative))
        return [(each, *fold) for each, fold in product(plans, plan.folds)]

    def _judge(
        self, samples: Samples, plan: FitPlan, tasks: FitTasks | NoTasks
    ) -> tuple[FitPlan, Judgement | None]:
        """Return the plan with its linear model chosen, and what the folds say.

        That is a `Judgement`, or None without folds.
        """
        if not plan.folds:
            return plan, None
        stopping = threading.Event()
        jobs = [
            partial(
                self._train_fold,
                samples,
                each.of_part(f"fold-{i}"),
                train,
                valid,
                stopping,
                tasks.training("fold"),
            )
            for i, (each, train, valid) in enumerate(self._fold_plans(plan))
        ]
        results = run_jobs(jobs, torch.get_num_threads(), stopping.set)
        n = len(plan.folds)
        judgements = [
            Judgement(results[first : first + n]) for first in range(0, len(jobs), n)
        ]
        if plan.alternative is not None:
            first, other = (
                judgement.errors(samples.y, self._error_power())
                for judgement in judgements
            )
            if is_better(other, first, judgements[0].weights):
                return replace(plan, linear=plan.alternative), judgements[1]
        return plan, judgements[0]

    def _train(
        self,
        samples: Samples,
        external: Samples | None,
        encoder: SampleEncoder,
        plan: FitPlan,
        judgement: Judgement | None,
        continuing: bool,
        tasks: FitTasks | NoTasks,
    ) -> None:
        """Train the network and set the fitted attributes."""
        factor = 1.0 if judgement is None else judgement.factor
        if plan.linear.is_sufficient:
            factor = 0.0
        if factor == 0.0 and external is None and self.max_epochs == "auto":
            # Nothing of the network is kept.
            plan = replace(plan, config=replace(plan.config, max_epochs=1))
        if continuing:
            data = encoder.encode(samples)
            nets = self._continued_nets(encoder.target, plan)
        else:
            encoder.normalizer = self._new_normalizer(plan.linear)
            data = encoder.fit_encode(samples, plan.train)
            nets = self._new_nets(data, encoder.target, plan, self.n_members)
            if self.standardize and self.embedding_dim is None:
                warn_dominating_value(data.sequences, plan.train)
        net = nets[0]
        train, valid = net.make_dataset(data, plan.train), None
        if external is not None:
            encoded = encoder.encode_validation(external)
            valid = net.make_dataset(encoded, np.arange(len(external)))
        elif len(plan.valid):
            valid = net.make_dataset(data, plan.valid)
        starts: list[Any] = [None] * len(nets)
        is_judged = judgement is not None or plan.linear.is_sufficient
        if not continuing and (net.module_.highway is not None or is_judged):
            starts = LinearStart(net).fit(train).for_nets(nets)
        epoch_tasks = [
            tasks.training(
                "member" if len(nets) > 1 else "training",
                partial(self._attributes_after, encoder, plan, start, factor),
            )
            for start in starts
        ]
        n_before, interrupt = len(net.history), None
        try:
            train_members(
                nets, train, valid, starts, epoch_tasks, torch.get_num_threads()
            )
        except KeyboardInterrupt as error:
            is_alone = len(nets) == 1  # members differ in the epochs they completed
            keeps_epochs = self.warm_start and is_alone and net.is_restored_
            has_trained = len(net.history) > n_before
            if not (keeps_epochs and has_trained and net.has_finite_weights()):
                raise
            interrupt = error
            if starts[0] is not None and not self.return_sequences:
                factor = min(factor, starts[0].factor_of(train))
        if factor < 1.0:
            for start in starts:
                start.shrink(factor)
        if factor > 0.0 and not continuing and interrupt is None:
            warn_if_not_converged(net, train)
        self._set_fitted(nets, encoder, plan)
        if judgement is not None:
            self.validation_loss_curve_ = judgement.mean_curve
        self.net_ = net  # last, see `unchanged_on_failure`
        if interrupt is not None:
            raise interrupt

    def _attributes_after(
        self,
        encoder: SampleEncoder,
        plan: FitPlan,
        start: Any,
        factor: float,
        net: RecurrentNet,
    ) -> dict[str, Any]:
        """Return the fitted attributes with the weights of a net in training."""
        copied = build_net(net.module_.config, plan.config, encoder.target, plan.device)
        import_state(copied, export_state(net))
        copied.engine_name_ = net.engine_name_
        if factor < 1.0:
            start.for_copy(copied).shrink(factor)
        copied.module_.eval()
        fitted = object.__new__(type(self))
        # mypy takes `vars` for that of a class.
        vars(fitted).update(vars(self))  # type: ignore[attr-defined]
        fitted._set_fitted([copied], encoder, plan)
        fitted.net_ = copied
        before = vars(self)
        return {
            name: value
            for name, value in vars(fitted).items()
            if name not in before or before[name] is not value
        }

    def _train_fold(
        self,
        samples: Samples,
        plan: FitPlan,
        train: IntArray,
        valid: IntArray,
        stopping: threading.Event,
        task: TrainingTask | None,
    ) -> FoldResult:
        """Train a new network on the rows of one fold, until an event is set.

        Returns
        -------
        result : FoldResult
        """
        encoder = SampleEncoder(
            self._new_normalizer(plan.linear),
            self._make_target(samples.y, None, False),
        )
        data = encoder.fit_encode(samples, train)
        fold_plan = replace(
            plan,
            train=train,
            callbacks=self._schedule_callbacks(),
            seed=draw_seed(plan.seed),
        )
        (net,) = self._new_nets(data, encoder.target, fold_plan)
        train_set = net.make_dataset(data, train)
        valid_set = net.make_dataset(data.with_weights(None), valid)
        start = LinearStart(net).fit(train_set)
        net.train(train_set, valid_set, start, stopping, task)
        weights, reference = samples.weights_of(valid), data.sequences.reference()
        if reference is not None:
            reference = tuple(part[valid] for part in reference)
        linear, correction, losses = start.corrections(valid_set)
        return FoldResult(
            [row["valid_loss"] for row in net.history],
            valid,
            np.ones(len(valid)) if weights is None else weights,
            losses,
            linear,
            correction,
            lambda output: encoder.target.decode(output, reference),
        )

    def _set_fitted(
        self, nets: list[RecurrentNet], encoder: SampleEncoder, plan: FitPlan
    ) -> None:
        """Set the fitted attributes after a training."""
        net, *others = nets
        self._other_nets = others
        self._encoder = encoder
        self._set_trained(net)
        self._module_config = net.module_.config
        self._training_config = plan.config
        self.n_outputs_ = encoder.target.n_outputs
        self.device_ = str(net.device)
        self.pooling_ = self._module_config.pooling
        self.patch_size_ = self._module_config.patch_size

    def _set_trained(self, net: RecurrentNet) -> None:
        """Set the attributes that tell how a net was trained."""
        history = net.history.to_list()
        self.engine_ = net.engine_name_
        self.n_iter_ = len(history)
        self.loss_curve_ = [row["train_loss"] for row in history]
        self.validation_loss_curve_ = None
        if any("valid_loss" in row for row in history):
            self.validation_loss_curve_ = [
                row.get("valid_loss", np.nan) for row in history
            ]
        stoppers = [cb for _, cb in net.callbacks_ if isinstance(cb, EarlyStopping)]
        self.best_epoch_ = stoppers[0].best_epoch_ if stoppers else None

    # -- what the parameters say

    def _network_parameters(self) -> dict[str, Any]:
        """Return the fields of `ModuleConfig` that the parameters set."""
        size = self.embedding_dim
        return {
            "hidden_sizes": hidden_sizes(self),
            "cell_type": self.cell_type,
            "nonlinearity": self.nonlinearity,
            "bidirectional": self._is_bidirectional(),
            "pooling": self.pooling,
            "patch_size": self.patch_size,
            "initial_state": self.initial_state,
            "embedding_dim": None if size is None else int(size),  # for torch
            "return_sequences": self.return_sequences,
            "ar_order": getattr(self, "ar_order", 0),
        }

    def _network_config(
        self, data: EncodedSamples, target: Target, plan: FitPlan
    ) -> ModuleConfig:
        """Return the network for encoded samples."""
        device, input_dtype = plan.device, compute_dtype(data.sequences.dtype)
        if device.type == "mps":  # has no float64
            input_dtype = np.dtype(np.float32)
        chosen = {
            "pooling": plan.pooling,
            "patch_size": plan.patch_size,
            "ar_order": plan.linear.ar_order,
            "ar_columns": self._highway_columns() if plan.linear.ar_order else (),
        }
        return ModuleConfig(
            **self._network_parameters() | chosen,
            n_features=data.sequences.n_features,
            n_tokens=0 if self.embedding_dim is None else self._n_tokens,
            n_outputs=target.n_outputs,
            dtype=input_dtype.name if device.type == "cpu" else "float32",
            input_dtype=input_dtype.name,
        )

    def _training_parameters(
        self, n_steps: IntArray, one_epoch: bool
    ) -> TrainingConfig:
        """Return the training that the parameters describe, as they are now."""
        names = [field.name for field in fields(TrainingConfig)]
        values = {name: deepcopy(getattr(self, name)) for name in names}
        if self.max_epochs == "auto":
            values["max_epochs"] = choose_max_epochs(n_steps, self.batch_size)
        if one_epoch:
            values |= {"max_epochs": 1, "lr_schedule": None}
        return TrainingConfig(**values)

    def _make_callbacks(self, one_epoch: bool, stops_early: bool) -> list[Any]:
        # Copies: callbacks change during training, and a parameter must not.
        callbacks = copy_callbacks(without_checkpoints(self.callbacks))
        if one_epoch:
            return callbacks
        callbacks += self._schedule_callbacks()
        if self.verbose:
            callbacks.append(ProgressBar(type(self).__name__))
        if stops_early:  # last, since it may end the epoch for the others
            callbacks.append(EarlyStopping(self.patience, self.tol))
        return callbacks

    def _schedule_callbacks(self) -> list[Any]:
        return [PlateauSchedule()] if self.lr_schedule == "plateau" else []

    def _new_nets(
        self, data: EncodedSamples, target: Target, plan: FitPlan, n_members: int = 1
    ) -> list[RecurrentNet]:
        """Return nets with new weights that standardise X."""
        config = self._network_config(data, target, plan)
        seeds = member_seeds(plan.seed, n_members)
        nets = self._build_nets(config, target, plan, seeds)
        if self.standardize and self.embedding_dim is None:
            weights = data.weights_of(plan.train)
            mean, scale = feature_scaling(data.sequences, plan.train, weights)
            for net in nets:
                net.module_.set_scaling(mean, scale)
        return nets

    def _continued_nets(self, target: Target, plan: FitPlan) -> list[RecurrentNet]:
        """Return copies of the nets, to continue training with new parameters."""
        with_moments = plan.config.has_optimizer_of(self._training_config)
        seeds = [plan.seed] * len(self._nets())  # `import_state` sets the generators
        nets = self._build_nets(self._module_config, target, plan, seeds)
        for net, before in zip(nets, self._nets(), strict=True):
            import_state(net, export_state(before), with_moments=with_moments)
        return nets

    def _build_nets(
        self,
        module_config: ModuleConfig,
        target: Target,
        plan: FitPlan,
        seeds: list[int],
    ) -> list[RecurrentNet]:
        """Return a net for each seed, of which the first shows its progress."""
        nets: list[RecurrentNet] = []
        for i, seed in enumerate(seeds):
            callbacks = copy_callbacks(plan.callbacks)  # members must not share them
            if nets:
                callbacks = [cb for cb in callbacks if not isinstance(cb, ProgressBar)]
            if plan.checkpoint is not None:
                callbacks.append(plan.checkpoint.of_part(f"member-{i}").callback())
            net = build_net(
                module_config, plan.config, target, plan.device, seed, callbacks
            )
            net.verbose = int(self.verbose)  # for callbacks that print
            net.keeps_epochs = bool(self.warm_start) and len(seeds) == 1
            nets.append(net)
        return nets


def draw_seed(random_state: int | np.random.RandomState | None) -> int:
    """Return a seed drawn from `random_state`, as scikit-learn understands it."""
    return int(check_random_state(random_state).randint(np.iinfo(np.int32).max))


@contextmanager
def unchanged_on_failure(estimator: Estimator) -> Iterator[None]:
    """Restore the attributes of an estimator if the body fails.

    With `warm_start` it may set those of an interrupted fit, of which `net_` is last.
    """
    before = dict(vars(estimator))
    try:
        yield
    except BaseException:  # also Ctrl-C; it is raised again below
        is_set = vars(estimator).get("net_") is not before.get("net_")
        if not (estimator.warm_start and is_set):
            estimator.__dict__ = before  # one operation, for a second Ctrl-C
        raise
