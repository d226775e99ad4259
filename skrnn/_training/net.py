"""The skorch net: hooks, history and callbacks around the engine.

skorch's loop over epochs stays; what happens inside an epoch is the engine's, see
`engine.py`.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import torch
from skorch import NeuralNet
from skorch.dataset import unpack_data
from torch import Tensor, nn

from skrnn._data.samples import EncodedSamples
from skrnn._data.step_targets import unwrap_target
from skrnn._nn.config import ModuleConfig
from skrnn._nn.module import RecurrentModule
from skrnn._nn.noise import Noise
from skrnn._training.batches import (
    Batch,
    Batches,
    SequenceDataset,
    choose_pool_size,
    valid_steps,
)
from skrnn._training.callbacks import (
    EarlyStopping,
    ProgressBar,
    StopTraining,
    has_batch_hooks,
    is_raised_by_callback,
)
from skrnn._training.checkpoint import CheckpointFile
from skrnn._training.compiled import CompiledEngine
from skrnn._training.config import TrainingConfig
from skrnn._training.engine import choose_engine
from skrnn._training.optimizers import optimizer_options
from skrnn._training.schedules import learning_rates
from skrnn._training.state import export_state, import_state
from skrnn._typing import AnyArray, IntArray, Target

if TYPE_CHECKING:
    import threading

    from skrnn._training.linear_start import LinearStart
    from skrnn._training.tasks import TrainingTask


def build_net(
    module_config: ModuleConfig,
    config: TrainingConfig,
    target: Target,
    device: torch.device,
    seed: int = 0,
    callbacks: list[Any] | None = None,
) -> RecurrentNet:
    """Return an initialised net with new weights.

    Parameters
    ----------
    module_config : ModuleConfig
        The network.

    config : TrainingConfig
        The training.

    target : target object
        Defines the loss.

    device : torch device
        The device of the network.

    seed : int, default=0
        Of the weights, the order of batches, and dropout.

    callbacks : list or None, default=None
        skorch callbacks.

    Returns
    -------
    net : RecurrentNet
    """
    generator = torch.Generator().manual_seed(seed)
    module = RecurrentModule(module_config, dropout=config.dropout, generator=generator)
    optimizer, params = optimizer_options(config)
    net = RecurrentNet(
        module,
        target,
        seed=seed,
        max_epochs=config.max_epochs,
        lr=config.lr,
        batch_size=config.batch_size,
        max_grad_norm=config.max_grad_norm,
        lr_schedule=config.lr_schedule,
        tbptt_steps=config.tbptt_steps,
        optimizer=optimizer,
        callbacks=callbacks,
        device=device,
        verbose=0,
        **{f"optimizer__{name}": value for name, value in params.items()},
    )
    return net.initialize()


class RowLoss(nn.Module):
    """The criterion of the net: the loss of each row, as its target defines it.

    Parameters
    ----------
    target : target object
        Has `row_loss`.
    """

    def __init__(self, target: Target) -> None:
        super().__init__()
        self.target = target

    def forward(self, output: Tensor, target: Tensor) -> Tensor:
        """Return losses `(N,)`, or of each time step `(N, L)`."""
        return self.target.row_loss(output, target)


class RecurrentNet(NeuralNet):
    """A skorch net for `SequenceDataset` that avoids skorch's costs per sample.

    Parameters
    ----------
    module : RecurrentModule
        Initialised.

    target : target object
        Defines the loss.

    seed : int, default=0
        Of the order of batches and of dropout.

    max_grad_norm : float or None, default=None
        Largest norm of the gradient of all parameters.

    lr_schedule : {'one_cycle', 'cosine', 'plateau'} or None, default=None
        How the learning rate changes during one call of `train`.

    tbptt_steps : int or None, default=None
        Steps of truncated back-propagation through time; None for all.

    **options : dict
        Parameters of `skorch.NeuralNet`.
    """

    target: Any
    # During training; None before and after.
    engine_: Any
    training_: Any
    validation_: Any
    stopping_: Any
    task_: Any
    lr_table_: Any
    epoch_start_: Any
    checkpoint_: CheckpointFile | None
    engine_name_: str | None

    def __init__(
        self,
        module: RecurrentModule,
        target: Target,
        *,
        seed: int = 0,
        max_grad_norm: float | None = None,
        lr_schedule: str | None = None,
        tbptt_steps: int | None = None,
        **options: Any,
    ) -> None:
        self.target = target
        self.seed = seed
        self.max_grad_norm = max_grad_norm
        self.lr_schedule = lr_schedule
        self.tbptt_steps = tbptt_steps
        options.setdefault("criterion", RowLoss(target))
        options.setdefault("train_split", None)
        if module.return_sequences:
            # skorch would cache outputs batch by batch, with their padding.
            options.setdefault("use_caching", False)
        super().__init__(module, **options)

    # -- construction

    def get_default_callbacks(self) -> list[Any]:
        """Return none: `run_single_epoch` records the losses."""
        return []

    def initialize(self) -> Self:
        """Initialise all components and the private random generators."""
        super().initialize()
        self.order_generator_ = torch.Generator().manual_seed(self.seed)
        self.module_.noise = Noise(self.seed, self.device)
        self.engine_ = None  # only during training
        self.engine_name_ = None
        self.stopping_ = self.task_ = None  # only during training
        self.epoch_start_ = None  # only during training
        self.keeps_epochs = self.is_restored_ = False  # after Ctrl-C
        return self

    def is_stopped(self) -> bool:
        """Return whether the event that `train` was given is set."""
        return self.stopping_ is not None and self.stopping_.is_set()

    def raise_if_stopped(self) -> None:
        """End training if the event that `train` was given is set."""
        if self.is_stopped():
            raise StopTraining

    def __getstate__(self) -> dict[str, Any]:
        # The buffers of an engine belong to the parameters of this net, not of a copy.
        names = ("engine_", "stopping_", "task_", "epoch_start_")
        return super().__getstate__() | dict.fromkeys(names)

    def make_dataset(self, samples: EncodedSamples, rows: IntArray) -> SequenceDataset:
        """Return rows of encoded samples in the precision of the module."""
        return SequenceDataset(
            samples,
            rows,
            dtype=self.module_.head.weight.dtype,
            input_dtype=self.module_.input_mean.dtype,
            device=self.device,
        )

    # -- training

    def train(
        self,
        dataset: SequenceDataset,
        validation: SequenceDataset | None = None,
        start: LinearStart | None = None,
        stopping: threading.Event | None = None,
        task: TrainingTask | None = None,
    ) -> Self:
        """Train for `max_epochs` epochs, or until a callback stops training.

        Unlike skorch's `fit` this lets KeyboardInterrupt through. With `keeps_epochs`
        the net is then as it was after the last complete epoch, if `is_restored_`: a
        second Ctrl-C may prevent it.

        Parameters
        ----------
        dataset : SequenceDataset
            The training rows.

        validation : SequenceDataset, default=None
            Rows that are not trained on.

        start : LinearStart, default=None
            The linear model that the net is set to. Early stopping may return to it.

        stopping : threading.Event, default=None
            Ends training within the epoch, once another thread sets it.

        task : TrainingTask, default=None
            Receives each epoch, and may end training after it.
        """
        self._prepare_training(dataset, validation)
        self.stopping_, self.task_ = stopping, task
        try:
            if task is not None:
                task.begin(self)
            with suppress(StopTraining):
                self.notify("on_train_begin", X=dataset, y=None)
                if start is not None:
                    start.release_head()
                self.fit_loop(dataset, epochs=self._resume())
            self._drop_incomplete_epoch()
            if self.checkpoint_ is not None and not self.is_stopped():
                self.checkpoint_.write(self)
            with suppress(StopTraining):
                self.notify("on_train_end", X=dataset, y=None)
            self._check_weights()
            if task is not None and not self.is_stopped():
                task.end()
        except KeyboardInterrupt:
            if self._drop_incomplete_epoch():
                self._restore_epoch_start()
            for _, callback in self.callbacks_:
                if isinstance(callback, EarlyStopping):
                    callback.on_train_end(self)
            self.is_restored_ = True
            raise
        finally:
            for _, callback in self.callbacks_:
                if isinstance(callback, ProgressBar):
                    callback.close()
            self._set_training(False)  # for a user who calls the module
            self._close_engine()
            # Not needed any more, and they would keep the data alive.
            self.training_ = self.validation_ = self.lr_table_ = self.engine_ = None
            self.stopping_ = self.task_ = self.epoch_start_ = None
        return self

    def _prepare_training(
        self, dataset: SequenceDataset, validation: SequenceDataset | None
    ) -> None:
        self.training_, self.validation_ = dataset, validation
        files = (cb for _, cb in self.callbacks_ if isinstance(cb, CheckpointFile))
        self.checkpoint_ = next(files, None)
        self.pool_size_ = 1
        if dataset.lengths is not None:
            self.pool_size_ = choose_pool_size(dataset.lengths, self.batch_size)
        self.has_batch_callbacks_ = any(
            has_batch_hooks(cb) for _, cb in self.callbacks_
        )
        n_steps = self.max_epochs * math.ceil(len(dataset) / self.batch_size)
        self.lr_table_ = learning_rates(self.lr_schedule, self.lr, n_steps)
        self.step_ = 0
        self.best_losses_ = {
            prefix: min(
                (row.get(f"{prefix}_loss", math.inf) for row in self.history),
                default=math.inf,
            )
            for prefix in ("train", "valid")
        }

    def _resume(self) -> int:
        """Continue from a checkpoint, if there is one, and return the epochs left."""
        if self.checkpoint_ is None:
            return self.max_epochs
        epochs_left = self.checkpoint_.restore(self)
        self._close_engine()  # it may hold the state of before
        self.engine_ = None
        return epochs_left

    def _close_engine(self) -> None:
        if isinstance(self.engine_, CompiledEngine):
            self.engine_.close()

    def _drop_incomplete_epoch(self) -> bool:
        """Drop the last epoch if it is incomplete, and return whether it was."""
        last = "train_loss" if self.validation_ is None else "valid_loss"
        is_incomplete = len(self.history) > 0 and last not in self.history[-1]
        if is_incomplete:
            self.history.pop()
        return is_incomplete

    def _restore_epoch_start(self) -> None:
        """Set weights, moments and generators back to the end of the epoch before."""
        state: Any
        n_epochs, state = self.epoch_start_ or (None, None)
        if n_epochs == len(self.history):
            import_state(self, state)

    def has_finite_weights(self) -> bool:
        """Whether all weights are finite; the last step comes after the last loss."""
        weights = [p.detach().reshape(-1) for p in self.module_.parameters()]
        return bool(torch.cat(weights).isfinite().all())  # one synchronisation

    def _check_weights(self) -> None:
        if not self.has_finite_weights():
            raise ValueError(
                f"The weights became non-finite in epoch {len(self.history)}. Scale X, "
                f"or lower lr (now {self.lr})."
            )

    def get_split_datasets(
        self, X: Any, y: Any = None, **fit_params: Any
    ) -> tuple[Any, Any]:
        """Return the two data sets that `train` was given."""
        return X, self.validation_

    def get_iterator(self, dataset: SequenceDataset, training: bool = False) -> Batches:
        """Return batches, shuffled in training unless states are carried over."""
        in_order = not training or self.module_.initial_state == "carry"
        generator = None if in_order else self.order_generator_
        pool = 1 if generator is None else self.pool_size_
        return Batches(dataset, self.batch_size, generator, pool)

    def run_single_epoch(
        self,
        iterator: Any,
        training: bool,
        prefix: str,
        step_fn: Callable[..., dict[str, Any]],
        **fit_params: Any,
    ) -> None:
        """Run one epoch and record its loss, the weighted mean over rows.

        Rows of the history for each batch, and the hooks of batches, are made only if a
        callback uses them: they would cost more than a small batch.
        """
        if iterator is None:
            return
        self.raise_if_stopped()
        start = time.perf_counter()
        self._set_training(training)
        if training:
            if self.keeps_epochs:
                state = export_state(self, with_history=False)
                self.epoch_start_ = len(self.history) - 1, state
            self._choose_engine()
        try:
            if isinstance(self.engine_, CompiledEngine):
                run = self.engine_.train_epoch if training else self.engine_.evaluate
                total, n_rows = run(iterator), len(iterator.dataset)
                n_batches = len(iterator)
            else:
                total, n_rows, n_batches = self._run_batches(
                    iterator, training, prefix, step_fn
                )
        finally:
            if training:
                self.engine_.finish_epoch()
        loss = float(total) / n_rows
        self._record_epoch(prefix, loss, n_rows, n_batches, start)
        if training:
            self.history.record("lr", self.optimizer_.param_groups[0]["lr"])
        if not math.isfinite(loss):
            name, remedy = "loss", "Scale X"
            if not training:
                name = "validation loss"
                remedy = "Give the validation rows the scale of the others"
            raise ValueError(
                f"The {name} became non-finite in epoch {len(self.history)}. {remedy}, "
                f"or lower lr (now {self.lr})."
            )

    def _choose_engine(self) -> None:
        self.engine_ = choose_engine(self, self.engine_)
        self.engine_name_ = self.engine_.name

    def _run_batches(
        self,
        iterator: Any,
        training: bool,
        prefix: str,
        step_fn: Callable[..., dict[str, Any]],
    ) -> tuple[Any, int, int]:
        """Return the sum of losses over rows, and the numbers of rows and batches."""
        total, n_rows, n_batches = 0.0, 0, 0
        for batch in iterator:
            self.raise_if_stopped()
            if self.has_batch_callbacks_:
                self.notify("on_batch_begin", batch=batch, training=training)
                self._set_training(training)  # a callback may have predicted
                if training:
                    self._choose_engine()
            step = step_fn(batch)
            if training:
                self.engine_.finish_step()
            rows = len(batch[1])
            loss = step["loss"].detach()
            # On an accelerator the loss stays there: reading it would synchronise.
            total = total + (loss.item() if loss.device.type == "cpu" else loss) * rows
            n_rows, n_batches = n_rows + rows, n_batches + 1
            if self.has_batch_callbacks_:
                self.history.record_batch(f"{prefix}_loss", step["loss"].item())
                self.history.record_batch(f"{prefix}_batch_size", rows)
                self.notify("on_batch_end", batch=batch, training=training, **step)
        return total, n_rows, n_batches

    def _record_epoch(
        self, prefix: str, loss: float, n_rows: int, n_batches: int, start: float
    ) -> None:
        history = self.history
        if not self.has_batch_callbacks_:  # the one batch row skorch's Checkpoint reads
            history.new_batch()
            history.record_batch(f"{prefix}_loss", loss)
            history.record_batch(f"{prefix}_batch_size", n_rows)
        history.record(f"{prefix}_loss_best", loss < self.best_losses_[prefix])
        self.best_losses_[prefix] = min(loss, self.best_losses_[prefix])
        history.record(f"{prefix}_loss", loss)
        history.record(f"{prefix}_batch_count", n_batches)
        history.record(f"{prefix}_seconds", time.perf_counter() - start)

    def train_step(self, batch: Batch, **fit_params: Any) -> Any:
        """Train on one batch with the learning rate of the schedule."""
        if self.lr_table_ is not None:
            for group in self.optimizer_.param_groups:
                group["lr"] = self.lr_table_[self.step_]
            self.step_ += 1
        if isinstance(self.optimizer_, torch.optim.LBFGS):
            self.noise_state_ = self.module_.noise.state()
            return super().train_step(batch)  # evaluates the loss several times
        return self.engine_.train_step(batch)

    def train_step_single(self, batch: Batch, **fit_params: Any) -> dict[str, Any]:
        """Compute the loss of one batch and its gradients, for a line search.

        Each evaluation draws the same random numbers: a line search compares losses.
        """
        self.module_.noise.set_state(self.noise_state_)
        return self.engine_.compute_gradients(batch)

    def notify_gradients(self, batch: Batch) -> None:
        """Call `on_grad_computed` of all callbacks, if one uses hooks of batches."""
        if self.has_batch_callbacks_:
            self.notify(
                "on_grad_computed",
                named_parameters=list(self.get_all_learnable_params()),
                batch=batch,
                training=True,
            )

    def notify(self, method_name: str, **cb_kwargs: Any) -> None:
        """Call a hook of all callbacks; a callback may stop training.

        skorch's callbacks stop it by `raise KeyboardInterrupt`, which is also what
        Ctrl-C raises. The traceback tells them apart: a callback's is raised by a raise
        statement.
        """
        try:
            super().notify(method_name, **cb_kwargs)
        except KeyboardInterrupt as interrupt:
            if is_raised_by_callback(interrupt):
                raise StopTraining from interrupt
            raise
        is_end = method_name == "on_epoch_end" and self.task_ is not None
        if is_end and self.task_.is_stopped:
            raise StopTraining

    def on_epoch_begin(self, net: Any, **kwargs: Any) -> None:
        """Start a row of the history, and the task of the epoch."""
        super().on_epoch_begin(net, **kwargs)
        if self.task_ is not None:
            self.task_.begin_epoch(self)

    def on_epoch_end(self, net: Any, **kwargs: Any) -> None:
        """End the task of the epoch, before a callback may end training."""
        super().on_epoch_end(net, **kwargs)
        if self.task_ is not None:
            self.task_.end_epoch(self)

    # -- losses

    def get_loss(
        self, y_pred: Tensor, y_true: Tensor, X: Any = None, training: bool = False
    ) -> Tensor:
        r"""Return :math:`\sum_i w_i l_i / (N \bar w)`, the loss of a batch.

        With the mean weight :math:`\bar w` of the whole data set this is unbiased
        for any split into batches, and :math:`\sum w l / \sum w` for a single one.
        The data set holds :math:`w_i / \bar w`. With a target per time step, the sum is
        over all steps, and :math:`\bar w` the mean over rows of the sum of a row's
        weights.
        """
        losses = self.criterion_(y_pred, y_true)
        expected = y_pred.shape[:-1]
        if losses.shape != expected:
            raise RuntimeError(
                f"The criterion must return a loss of shape {tuple(expected)}, one for "
                f"each row or step. Got shape {tuple(losses.shape)}."
            )
        weights = X.get("sample_weight")
        if weights is None:
            return losses.mean()
        return (losses * weights).sum() / len(losses)

    def has_own_criterion(self) -> bool:
        """Whether the loss is the target's, and not a criterion of a callback."""
        return type(self.criterion_) is RowLoss

    def validation_step(self, batch: Batch, **fit_params: Any) -> dict[str, Any]:
        """Compute the loss of one batch without training on it."""
        inputs, targets = batch
        with torch.no_grad():
            output = self.infer(inputs)
            loss = self.get_loss(output, targets, X=inputs)
        return {"loss": loss, "y_pred": output}

    def validation_loss(self) -> float:
        """Return the loss of the validation rows with the current weights."""
        self._set_training(False)
        batches = self.get_iterator(self.validation_)
        self._choose_engine()
        if isinstance(self.engine_, CompiledEngine):
            return self.engine_.evaluate(batches) / len(self.validation_)
        total = 0.0
        for batch in batches:
            total += float(self.validation_step(batch)["loss"]) * len(batch[1])
        return total / len(self.validation_)

    # -- outputs, for skorch and its callbacks; see _inference/prediction.py for ours

    def infer(self, x: dict[str, Tensor], **fit_params: Any) -> Tensor:
        """Run the module on the inputs of one batch."""
        return self.module_(x["values"], x.get("lengths"))

    def evaluation_step(self, batch: Batch, training: bool = False) -> Tensor:
        """Run the module on one batch, without dropout unless `training`."""
        inputs, _ = unpack_data(batch)
        with torch.set_grad_enabled(training):
            self._set_training(training)
            return self.infer(inputs)

    def forward_iter(self, X: Any, training: bool = False) -> Iterator[Tensor]:
        """Yield the raw outputs of a data set's rows; those of steps in one column."""
        for batch in self.get_iterator(X):
            output = self.evaluation_step(batch, training=training)
            if self.module_.return_sequences:
                output = valid_steps(output, batch[0].get("lengths"))
            yield output.cpu()

    def predict_proba(self, X: Any) -> AnyArray:
        """Return probabilities, or standardised y."""
        output = self._all_outputs(X)
        if hasattr(self.target, "classes"):
            return unwrap_target(self.target).probabilities(output)
        return output

    def predict(self, X: Any) -> AnyArray:
        """Return encoded y: codes of labels, or standardised numbers."""
        output = self._all_outputs(X)
        if hasattr(self.target, "classes"):
            target = unwrap_target(self.target)
            return target.encode(target.decode(output))
        return output

    def _all_outputs(self, X: Any) -> AnyArray:
        return np.concatenate([y.detach().numpy() for y in self.forward_iter(X)])

    @property
    def classes_(self) -> IntArray:
        """The codes of the labels, for scorers that skorch's callbacks call."""
        return np.arange(len(self.target.classes))

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        is_classifier = hasattr(self.target, "classes")
        tags.estimator_type = "classifier" if is_classifier else "regressor"
        return tags
