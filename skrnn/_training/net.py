"""The training engine: skorch's loop over batches of sequences."""

import math
import time
from contextlib import suppress

import numpy as np
import torch
from skorch import NeuralNet
from skorch.dataset import unpack_data
from torch import nn

from skrnn._data.scaling import feature_scaling
from skrnn._data.step_targets import StepValues, target_of_row
from skrnn._devices import numpy_dtype
from skrnn._training.batches import (
    Batches,
    SequenceDataset,
    batches_in_pool,
    valid_steps,
)
from skrnn._training.callbacks import (
    EarlyStopping,
    ProgressBar,
    StopTraining,
    raised_on_purpose,
    reads_batches,
)
from skrnn._training.compiled import adam_by_hand, layers_by_hand
from skrnn._training.linear_start import SHARES, ridge_by_leaving_out
from skrnn._training.schedules import learning_rates

OPTIMIZERS = {
    "adam": torch.optim.Adam,
    "adamw": torch.optim.AdamW,
    "sgd": torch.optim.SGD,
    "rmsprop": torch.optim.RMSprop,
    "lbfgs": torch.optim.LBFGS,
}

# A row alone must equal the row in a batch, bit for bit. Libraries of linear algebra
# choose other instructions for a remainder of rows; with multiples of 16 none is left.
ROW_MULTIPLE = 16
PREDICTION_ROWS = 256
PREDICTION_STEPS = 2**17  # rows times steps
STEPS_IN_ONE = 2**13  # steps that are predicted in one piece


class RowLoss(nn.Module):
    """The criterion that skorch asks for: the loss of each row, by the target."""

    def __init__(self, target):
        super().__init__()
        self.target = target

    def forward(self, output, target):
        """Return losses `(N,)`, or of each step `(N, L)`."""
        return self.target.row_loss(output, target)


class RecurrentNet(NeuralNet):
    """skorch's net over `SequenceDataset`, without its cost per sample and batch.

    Parameters
    ----------
    module : RecurrentModule
        Initialised.

    target : target object
        Gives the loss.

    seed : int
        Of the order of batches and of dropout.

    max_grad_norm : float or None
        Longest gradient, over all parameters.

    lr_schedule : {'one_cycle', 'cosine', 'plateau'} or None
        How the learning rate changes during one call of `train`.

    tbptt_steps : int or None
        Steps that gradients go back through, all if None.

    **options : dict
        skorch's own.
    """

    def __init__(
        self,
        module,
        target,
        *,
        seed=0,
        max_grad_norm=None,
        lr_schedule=None,
        tbptt_steps=None,
        **options,
    ):
        self.target = target
        self.seed = seed
        self.max_grad_norm = max_grad_norm
        self.lr_schedule = lr_schedule
        self.tbptt_steps = tbptt_steps
        options.setdefault("criterion", RowLoss(target))
        options.setdefault("train_split", None)
        if module.return_sequences:
            # Scores would be kept batch by batch, padding and all.
            options.setdefault("use_caching", False)
        super().__init__(module, **options)

    # -- construction

    def get_default_callbacks(self):
        """Return none: losses are recorded by the loop itself."""
        return []

    def initialize(self):
        """Initialise all components and the private random generators."""
        super().initialize()
        self.order_generator_ = torch.Generator().manual_seed(self.seed)
        self.module_.generator = torch.Generator(self.device).manual_seed(self.seed)
        self.carried_ = self.reached_ = None  # states from batch to batch
        self.by_hand_ = self.adam_ = None  # in training only
        return self

    def __getstate__(self):
        # A copy begins its own: arrays would not be those of its parameters.
        return super().__getstate__() | {"by_hand_": None, "adam_": None}

    # -- data

    def make_dataset(self, sequences, rows, targets, weights=None):
        """Return rows of sequences as a data set in the precision of the module."""
        return SequenceDataset(
            sequences,
            rows,
            targets,
            weights,
            dtype=self.module_.head.weight.dtype,
            input_dtype=self.module_.input_mean.dtype,
            device=self.device,
        )

    def set_scaling(self, sequences, rows, weights):
        """Standardise the features by their mean and deviation over some rows."""
        row_weights = None if weights is None else weights[rows]
        if isinstance(row_weights, StepValues):
            row_weights = row_weights.flat
        self.module_.set_scaling(*feature_scaling(sequences, rows, row_weights))

    def start_linear(self, dataset):
        """Start the highway at a Ridge regression, kept as `linear_start_`."""
        lags, first = np.empty((len(dataset.y), self.module_.highway.in_features)), 0
        with torch.no_grad():
            for part in torch.arange(len(dataset)).split(PREDICTION_ROWS):
                inputs, _ = dataset.batch(part)
                x = self.module_.scale(inputs["values"])
                found = self.module_.lags(x, inputs.get("lengths"))
                if dataset.per_step:
                    found = valid_steps(found, inputs.get("lengths"))
                lags[first : first + len(found)] = found.cpu()
                first += len(found)
        counted = dataset.flat_weights > 0
        lags, weights = lags[counted], dataset.flat_weights[counted]
        targets = dataset.y.astype(np.float64)[counted]
        coefficients, intercept = ridge_by_leaving_out(lags, targets, weights)
        residuals = targets - lags @ coefficients.T - intercept
        coefficients, intercept = target_of_row(self.target).linear_start(
            coefficients, intercept, residuals, weights
        )
        self.module_.start_at(coefficients, intercept)
        highway = self.module_.highway
        self.linear_start_ = highway.weight.clone(), highway.bias.clone()

    @torch.no_grad()
    def losses_by_share(self, dataset):
        """Return the losses of rows on the way from the linear start to what is now.

        Returns
        -------
        losses : ndarray of shape (len(SHARES), len(dataset))
            Of outputs that went each of the `SHARES` of the way.
        """
        self._set_training(False)
        losses = np.empty((len(SHARES), len(dataset)))
        for part in torch.arange(len(dataset)).split(PREDICTION_ROWS):
            inputs, targets = dataset.batch(part)
            x = self.module_.scale(inputs["values"])
            lags = self.module_.lags(x, inputs.get("lengths"))
            start = nn.functional.linear(lags, *self.linear_start_)
            moved = self.infer(inputs) - start
            for i, share in enumerate(SHARES):
                loss = self.criterion_(start + share * moved, targets)
                losses[i, part] = loss.cpu().numpy()
        return losses

    @torch.no_grad()
    def go_back(self, share):
        """Leave the outputs a share of their way from the linear start."""
        module = self.module_
        module.head.weight.mul_(share)
        module.head.bias.mul_(share)
        for now, start in zip(
            (module.highway.weight, module.highway.bias),
            self.linear_start_,
            strict=True,
        ):
            now.copy_(torch.lerp(start, now, share))

    # -- the loop

    def train(self, dataset, validation=None):
        """Train for `max_epochs` epochs, or until a callback asks to stop.

        Unlike skorch's `fit` this lets KeyboardInterrupt through, after it has put
        in order what the finished epochs left.
        """
        self.training_, self.validation_ = dataset, validation
        self.pool_ = 1
        if dataset.lengths is not None:
            self.pool_ = batches_in_pool(dataset.lengths, self.batch_size)
        self.watched_ = any(reads_batches(cb) for _, cb in self.callbacks_)
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
        try:
            with suppress(StopTraining):
                self.notify("on_train_begin", X=dataset, y=None)
                self.fit_loop(dataset)
            self._drop_unfinished_epoch(validation)
            with suppress(StopTraining):
                self.notify("on_train_end", X=dataset, y=None)
            self._check_weights()
        except KeyboardInterrupt:
            self._drop_unfinished_epoch(validation)
            for _, callback in self.callbacks_:
                if isinstance(callback, EarlyStopping):
                    callback.on_train_end(self)
            raise
        finally:
            for _, callback in self.callbacks_:
                if isinstance(callback, ProgressBar):
                    callback.close()
            self._set_training(False)  # for a user who calls the module
            # Needed on the way only; it would keep the data alive.
            self.training_ = self.validation_ = self.lr_table_ = None
            self.carried_ = self.reached_ = None
            self.by_hand_ = self.adam_ = None
        return self

    def _drop_unfinished_epoch(self, validation):
        last = "train_loss" if validation is None else "valid_loss"
        if len(self.history) and last not in self.history[-1]:
            self.history.pop()

    def _check_weights(self):
        """Refuse weights that the last step, after the last loss, has ruined."""
        if not all(p.isfinite().all() for p in self.module_.parameters()):
            raise ValueError(
                f"The weights became non-finite in epoch {len(self.history)}. Scale X, "
                f"or lower lr (now {self.lr})."
            )

    def notify(self, method_name, **cb_kwargs):
        """Call a hook of all callbacks; a callback may stop training.

        skorch's callbacks stop it by `raise KeyboardInterrupt`, which is also what
        Ctrl-C raises. The two are told apart by where it came from: a raise
        statement, or anywhere else.
        """
        try:
            super().notify(method_name, **cb_kwargs)
        except KeyboardInterrupt as interrupt:
            if raised_on_purpose(interrupt):
                raise StopTraining from interrupt
            raise

    def get_split_datasets(self, X, y=None, **fit_params):
        """Return the two data sets that `train` was given."""
        return X, self.validation_

    def get_iterator(self, dataset, training=False):
        """Return batches, shuffled in training unless states are carried."""
        in_order = not training or self.module_.initial_state == "carry"
        generator = None if in_order else self.order_generator_
        pool = 1 if generator is None else self.pool_
        return Batches(dataset, self.batch_size, generator, pool)

    def validation_loss(self):
        """Return the loss on the validation rows with the weights as they are."""
        self._set_training(False)
        total = 0.0
        for batch in self.get_iterator(self.validation_):
            total += float(self.validation_step(batch)["loss"]) * len(batch[1])
        return total / len(self.validation_)

    def run_single_epoch(self, iterator, training, prefix, step_fn, **fit_params):
        """Run one epoch and record its loss, a mean over rows by weight.

        Rows of the history for each batch, and the hooks around batches, are made
        only if a callback reads them: they would cost more than a small batch.
        """
        if iterator is None:
            return
        began = time.perf_counter()
        self._set_training(training)
        self.carried_ = self.reached_ = None
        if training:
            self._see_what_goes_by_hand()
        try:
            total, n_rows, n_batches = self._run_batches(
                iterator, training, prefix, step_fn
            )
        finally:
            # Callbacks that are told of batches may have changed what it would say.
            if training and self.adam_ is not None and not self.watched_:
                self.adam_.end()
                self.by_hand_.flat.hand_out()
        loss = float(total) / n_rows
        if not self.watched_:  # the one row that skorch's Checkpoint looks for
            self.history.new_batch()
            self.history.record_batch(f"{prefix}_loss", loss)
            self.history.record_batch(f"{prefix}_batch_size", n_rows)
        self.history.record(f"{prefix}_loss_best", loss < self.best_losses_[prefix])
        self.best_losses_[prefix] = min(loss, self.best_losses_[prefix])
        self.history.record(f"{prefix}_loss", loss)
        self.history.record(f"{prefix}_batch_count", n_batches)
        self.history.record(f"{prefix}_seconds", time.perf_counter() - began)
        if training:
            self.history.record("lr", self.optimizer_.param_groups[0]["lr"])
        if not math.isfinite(loss):
            raise ValueError(
                f"The loss became non-finite in epoch {len(self.history)}. Scale X, or "
                f"lower lr (now {self.lr})."
            )

    def _run_batches(self, iterator, training, prefix, step_fn):
        """Return the sum of losses over rows, and the numbers of rows and batches."""
        total, n_rows, n_batches = 0.0, 0, 0
        for batch in iterator:
            if self.watched_:
                self.notify("on_batch_begin", batch=batch, training=training)
                self._set_training(training)  # a callback may have predicted
                if training:
                    self._see_what_goes_by_hand()
            step = step_fn(batch)
            # Only now: a line search runs a batch several times, from one beginning.
            self.carried_ = self.reached_
            rows = len(batch[1])
            loss = step["loss"].detach()
            # Elsewhere it stays on the device: reading it would wait for each batch.
            total = total + (loss.item() if loss.device.type == "cpu" else loss) * rows
            n_rows, n_batches = n_rows + rows, n_batches + 1
            if self.watched_:
                self.history.record_batch(f"{prefix}_loss", step["loss"].item())
                self.history.record_batch(f"{prefix}_batch_size", rows)
                self.notify("on_batch_end", batch=batch, training=training, **step)
        return total, n_rows, n_batches

    def _see_what_goes_by_hand(self):
        """Choose how the layers are trained and how the optimiser takes its steps.

        Anew for each epoch, and each batch where callbacks are told of it: they may
        have frozen parameters, for example.
        """
        module, layers, adam = self.module_, self.by_hand_, self.adam_
        self.by_hand_ = self.adam_ = None
        if module.initial_state != "carry" and self.tbptt_steps is None:
            self.by_hand_ = layers_by_hand(module, layers)
        self.formulas_ = (
            self.by_hand_ is not None
            and module.pooling == "last"
            and not module.return_sequences
            and module.highway is None
            and module.embedding is None
            and self.target.loss_and_slope is not None
            and type(self.criterion_) is RowLoss
        )
        if self.by_hand_ is not None:
            self.adam_ = adam_by_hand(self.optimizer_, self.by_hand_.flat, adam)

    def train_step(self, batch, **fit_params):
        """Take one step of the optimiser, or one for each chunk of `tbptt_steps`."""
        if self.lr_table_ is not None:
            for group in self.optimizer_.param_groups:
                group["lr"] = self.lr_table_[self.step_]
            self.step_ += 1
        if isinstance(self.optimizer_, torch.optim.LBFGS):
            return super().train_step(batch)
        if self.tbptt_steps is not None and self.module_.return_sequences:
            return self._train_in_chunks(batch)
        if self.by_hand_ is None:
            self.optimizer_.zero_grad()
        step = self.train_step_single(batch)
        self._take_optimizer_step(batch)
        return step

    def _take_optimizer_step(self, batch):
        if self.watched_:
            self.notify(
                "on_grad_computed",
                named_parameters=list(self.get_all_learnable_params()),
                batch=batch,
                training=True,
            )
            if self.adam_ is not None:
                flat = self.by_hand_.flat
                self.adam_ = (
                    adam_by_hand(self.optimizer_, flat, self.adam_)
                    if flat.gather()
                    else None
                )
        if self.adam_ is not None:
            self.adam_.step(self.max_grad_norm)
            if self.watched_:
                self.adam_.end()
                if self.max_grad_norm is not None:
                    self.by_hand_.flat.scatter()
            return
        if self.max_grad_norm is not None:
            nn.utils.clip_grad_norm_(self.module_.parameters(), self.max_grad_norm)
        self.optimizer_.step()

    def train_step_single(self, batch, **fit_params):
        """Compute the loss of one batch and its gradients."""
        if self.by_hand_ is not None:
            with np.errstate(all="ignore"):  # as torch; told at the epoch's end
                step = self._train_by_hand(*batch)
            if self.watched_ or self.adam_ is None:  # others may keep gradients
                self.by_hand_.flat.hand_out()
            return step
        inputs, targets = batch
        output = self._infer_training(inputs)
        loss = self.get_loss(output, targets, X=inputs, training=True)
        loss.backward()
        return {"loss": loss, "y_pred": output}

    def _train_by_hand(self, inputs, targets):
        """Do so with the layers, and a simple head, out of torch's record."""
        module, by_hand = self.module_, self.by_hand_
        lengths = inputs.get("lengths")
        steps = None if lengths is None else lengths.numpy()
        if self.formulas_:
            weights = inputs.get("sample_weight")
            loss, output = by_hand.read_out_and_back(
                *by_hand.run(by_hand.scaled(inputs["values"].numpy()), steps),
                self.target,
                targets.numpy(),
                None if weights is None else weights.numpy(),
            )
            return {"loss": torch.tensor(loss), "y_pred": torch.from_numpy(output)}
        x = module.scale(inputs["values"])
        hidden, final = by_hand.run(
            x.detach().transpose(0, 1).contiguous().numpy(), steps
        )
        hidden = torch.from_numpy(hidden).transpose(0, 1).requires_grad_()
        final = torch.from_numpy(final).requires_grad_()
        output = module.read_out(hidden, [(final,)], x, lengths)
        loss = self.get_loss(output, targets, X=inputs, training=True)
        loss.backward()
        d_hidden, d_final = (
            None if part.grad is None else part.grad.numpy() for part in (hidden, final)
        )
        if d_hidden is not None:
            d_hidden = d_hidden.swapaxes(0, 1)
        d_x = by_hand.go_back(d_hidden, d_final, d_x=x.requires_grad)
        if x.requires_grad:
            x.backward(torch.from_numpy(d_x).transpose(0, 1))
        return {"loss": loss, "y_pred": output}

    def _infer_training(self, inputs):
        """Run the module on one batch, with states from before if they are wanted."""
        module = self.module_
        carries = module.initial_state == "carry"
        warms_up = self.tbptt_steps is not None
        if not carries and not warms_up:
            return self.infer(inputs)
        x, lengths = module.scale(inputs["values"]), inputs.get("lengths")
        states, last, left = self._states_to_start(len(x)), x, lengths
        if warms_up:
            states, last, left = self._warm_up(states, x, lengths)
        hidden, states = module.run_layers(last, left, states, with_cell=carries)
        if carries:
            self.reached_ = detached(states)
        return module.read_out(hidden, states, x, lengths)

    def _states_to_start(self, n):
        """Return the states that a batch of n rows starts from in training."""
        if self.carried_ is None:
            return self.module_.start_states(n)
        # The last batch may be smaller: its rows go on from the first ones.
        return _choose(self.carried_, slice(n))

    def _warm_up(self, states, x, lengths):
        """Run all but the last `tbptt_steps` of each row without a gradient.

        Returns
        -------
        states : states of the layers before the last chunk

        x : tensor of shape (N, at most tbptt_steps, F)
            The last chunk.

        lengths : tensor of shape (N,) or None
            Its lengths.
        """
        n, longest, _ = x.shape
        steps = self.tbptt_steps
        if lengths is None:
            before = x.new_full((n,), longest - steps, dtype=torch.long)
        else:
            before = lengths - steps
        before = before.clamp(min=0)
        if not before.any():
            return states, x, lengths
        module = self.module_
        with torch.no_grad():
            for first in range(0, int(before.max()), steps):
                rows = torch.nonzero(before > first).flatten()
                left = (before[rows] - first).clamp(max=steps)
                part = x[rows, first : first + int(left.max())]
                whole = bool((left == part.shape[1]).all())
                if states is None:
                    states = module.zero_states(n)
                _, after = module.run_layers(
                    part,
                    None if whole else left,
                    _choose(states, rows),
                    with_cell=True,
                )
                states = _put(states, rows, after)
        last = torch.arange(steps, device=x.device)
        index = (before[:, None] + last).clamp(max=longest - 1)
        chunk = x.gather(1, index[:, :, None].expand(-1, -1, x.shape[2]))
        if lengths is not None:
            lengths = lengths - before
            if bool((lengths == steps).all()):
                lengths = None
        return states, chunk, lengths

    def _train_in_chunks(self, batch):
        """Take a step of the optimiser for each chunk of steps, the state carried on.

        References
        ----------
        Williams, Peng: An efficient gradient-based algorithm for on-line training of
        recurrent network trajectories. Neural Computation 2, 1990.
        """
        inputs, targets = batch
        module, steps = self.module_, self.tbptt_steps
        values, lengths = inputs["values"], inputs.get("lengths")
        weights = inputs.get("sample_weight")
        longest = values.shape[1]
        # A chunk is a batch of its own: its loss is a mean over its steps, about.
        dataset = self.training_
        scale = max(1.0, dataset.steps_per_row / steps)
        states, total = self._states_to_start(len(values)), 0.0
        rows = torch.arange(len(values), device=values.device)
        carries = module.initial_state == "carry"
        final = module.zero_states(len(values)) if carries else None
        for first in range(0, longest, steps):
            if lengths is not None:
                alive = lengths[rows] > first
                rows = rows[alive]
                states = None if states is None else _choose(states, alive)
            part = slice(first, first + steps)
            chunk = {"values": values[rows, part]}
            if lengths is not None:
                left = (lengths[rows] - first).clamp(max=chunk["values"].shape[1])
                if not bool((left == chunk["values"].shape[1]).all()):
                    chunk["lengths"] = left
            if weights is not None:
                chunk["sample_weight"] = weights[rows, part]
            self.optimizer_.zero_grad()
            x = module.scale(chunk["values"])
            hidden, states = module.run_layers(
                x, chunk.get("lengths"), states, with_cell=carries
            )
            before = min(first, max(module.ar_order - 1, 0))
            history = x
            if before:
                history = module.scale(values[rows, first - before : first + steps])
            output = module.read_out(hidden, states, history, None)
            loss = self.get_loss(output, targets[rows, part], X=chunk, training=True)
            # Rows that have ended, and steps of other chunks, count for nothing here.
            share = len(rows) / len(values)
            if weights is None:
                share *= x.shape[1] / longest
            loss = loss * share
            (loss * scale).backward()
            self._take_optimizer_step((chunk, targets[rows, part]))
            total = total + loss.detach()
            states = detached(states)
            if carries:
                final = _put(final, rows, states)
        self.reached_ = final
        return {"loss": total, "y_pred": None}

    def validation_step(self, batch, **fit_params):
        """Compute the loss of one batch without training on it."""
        inputs, targets = batch
        with torch.no_grad():
            output = self.infer(inputs)
            loss = self.get_loss(output, targets, X=inputs)
        return {"loss": loss, "y_pred": output}

    def infer(self, x, **fit_params):
        """Run the module on the inputs of one batch."""
        return self.module_(x["values"], x.get("lengths"))

    def get_loss(self, y_pred, y_true, X=None, training=False):
        r"""Return :math:`\sum_i w_i l_i / (N \bar w)`, the loss of a batch.

        With the mean weight :math:`\bar w` of the whole data set this is unbiased
        for batches of any make-up, and :math:`\sum w l / \sum w` for a single one.
        The data set holds :math:`w_i / \bar w`. Where steps have targets, the sum is
        over all steps, and :math:`\bar w` the mean over rows of the sum of a row's.
        """
        losses = self.criterion_(y_pred, y_true)
        wanted = y_pred.shape[:-1]
        if losses.shape != wanted:
            raise RuntimeError(
                f"The criterion must return a loss of shape {tuple(wanted)}, one for "
                f"each row or step. Got shape {tuple(losses.shape)}."
            )
        weights = X.get("sample_weight")
        if weights is None:
            return losses.mean()
        return (losses * weights).sum() / len(losses)

    # -- prediction

    def outputs(self, sequences):
        """Return the raw outputs of sequences, as numpy.

        `(n_samples, K)`, or with an output per step `(n_samples, n_timesteps, K)`; of
        ragged sequences those of all steps end to end, `(S, K)`.
        """
        return self._gather(sequences, self._infer_long)

    def attention(self, sequences):
        """Return the weights of the steps, as `outputs` does with K = 1."""

        def attend(values, lengths):
            hidden, _ = self.module_.run_layers(self.module_.scale(values), lengths)
            return self.module_.attend(hidden, lengths)[1][:, :, None]

        return self._gather(sequences, attend, per_step=True)

    def states(self, sequences, start=None):
        """Return the last layer's outputs, as `outputs` does, and all last states.

        Parameters
        ----------
        sequences : Sequences
            The rows.

        start : states of all layers, default=None
            To start from, with a row for each sequence.

        Returns
        -------
        output : ndarray of shape (n_samples, n_timesteps, D * H) or (S, D * H)

        finals : list of tuples of ndarrays of shape (D, n_samples, H)
        """
        module, finals = self.module_, None

        def run(values, lengths, rows):
            nonlocal finals
            states = None
            if start is not None:
                missing = len(values) - len(rows)
                states = _choose(start, np.append(rows, [rows[-1]] * missing))
            x = module.scale(values)
            hidden, after = module.run_layers(x, lengths, states, with_cell=True)
            if finals is None:
                finals = [
                    tuple(
                        np.empty((len(part), len(sequences), part.shape[2]), x_dtype)
                        for part in of_layer
                    )
                    for of_layer in after
                ]
            for whole, of_layer in zip(finals, after, strict=True):
                for into, part in zip(whole, of_layer, strict=True):
                    into[:, rows] = part[:, : len(rows)].cpu().numpy()
            return hidden

        x_dtype = numpy_dtype(module.head.weight.dtype)
        output = self._gather(sequences, run, per_step=True, with_rows=True)
        return output, finals

    def _gather(self, sequences, compute, per_step=None, with_rows=False):
        """Return what `compute(values, lengths)` says of all rows, in their order."""
        n, module = len(sequences), self.module_
        per_step = module.return_sequences if per_step is None else per_step
        result = ends = None
        if per_step and sequences.lengths is not None:
            steps = sequences.expressed_steps()
            ends = np.cumsum(steps)
        module.eval()
        with torch.inference_mode():
            for rows, values, lengths in self._prediction_batches(sequences):
                extra = (rows,) if with_rows else ()
                output = compute(values, lengths, *extra)[: len(rows)].cpu().numpy()
                if result is None:
                    size = n if ends is None else ends[-1]
                    shape = output.shape[2 if ends is not None else 1 :]
                    result = np.empty((size, *shape), dtype=output.dtype)
                if ends is None:
                    result[rows] = output
                    continue
                for row, of_row in zip(rows, output, strict=True):
                    result[ends[row] - steps[row] : ends[row]] = of_row[: steps[row]]
        return result

    def _prediction_batches(self, sequences):
        """Yield `(rows, values, lengths)`, the last row repeated to fill a block."""
        n = len(sequences)
        order = np.arange(n)
        if sequences.lengths is not None:  # similar lengths together: little padding
            order = np.argsort(sequences.lengths, kind="stable")
        input_dtype = numpy_dtype(self.module_.input_mean.dtype)
        # Long sequences in fewer rows, so that memory stays within bounds.
        n_rows = PREDICTION_STEPS // sequences.longest // ROW_MULTIPLE * ROW_MULTIPLE
        n_rows = min(max(n_rows, ROW_MULTIPLE), PREDICTION_ROWS)
        for first in range(0, n, n_rows):
            rows = order[first : first + n_rows]
            missing = -len(rows) % ROW_MULTIPLE
            padded = np.concatenate([rows, np.repeat(rows[-1:], missing)])
            values, lengths = sequences.take(padded, input_dtype)
            values = torch.from_numpy(values).to(self.device)
            if lengths is not None:
                lengths = torch.from_numpy(lengths).to(self.device)
            yield rows, values, lengths

    def _infer_long(self, values, lengths):
        """Run the module on a batch, of very many steps in pieces, states carried."""
        module, (n, longest, _) = self.module_, values.shape
        last = module.pooling == "last"
        if longest <= STEPS_IN_ONE or module.bidirectional or not last:
            return module(values, lengths)
        if lengths is None:
            lengths = torch.full((n,), longest, device=values.device)
        # Steps behind the end of a row are run too: nothing reads what comes of them.
        states, outputs, final = None, [], None
        for first in range(0, longest, STEPS_IN_ONE):
            part = slice(first, first + STEPS_IN_ONE)
            hidden, states = module.run_layers(
                module.scale(values[:, part]), states=states
            )
            if module.return_sequences:
                before = min(first, max(module.ar_order - 1, 0))
                inputs = module.scale(values[:, first - before : part.stop])
                # A copy: what it is cut from would stay in memory.
                outputs.append(module.read_out(hidden, states, inputs).clone())
                continue
            ends = (lengths > first) & (lengths <= part.stop)
            step = (lengths - 1 - first).clamp(0, hidden.shape[1] - 1)
            here = hidden[torch.arange(n, device=hidden.device), step]
            final = here if final is None else torch.where(ends[:, None], here, final)
        if module.return_sequences:
            return torch.cat(outputs, dim=1)
        return module.read_out(None, [(final[None],)], module.scale(values), lengths)

    def forward_iter(self, X, training=False):
        """Yield the raw outputs of a data set's rows, of steps as one column."""
        for batch in self.get_iterator(X):
            output = self.evaluation_step(batch, training=training)
            if self.module_.return_sequences:
                output = valid_steps(output, batch[0].get("lengths"))
            yield output.cpu()

    def predict_proba(self, X):
        """Return probabilities, or standardised y; for skorch's callbacks."""
        output = np.concatenate([y.detach().numpy() for y in self.forward_iter(X)])
        if hasattr(self.target, "classes"):
            return target_of_row(self.target).probabilities(output)
        return output

    def predict(self, X):
        """Return y as encoded: codes of labels, or standardised numbers."""
        output = np.concatenate([y.detach().numpy() for y in self.forward_iter(X)])
        if hasattr(self.target, "classes"):
            target = target_of_row(self.target)
            return target.encode(target.decode(output))
        return output

    @property
    def classes_(self):
        """The codes of the labels, for scorers that skorch's callbacks call."""
        return np.arange(len(self.target.classes))

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        is_classifier = hasattr(self.target, "classes")
        tags.estimator_type = "classifier" if is_classifier else "regressor"
        return tags

    def evaluation_step(self, batch, training=False):
        """Run the module on one batch, dropout off unless `training`."""
        inputs, _ = unpack_data(batch)
        with torch.set_grad_enabled(training):
            self._set_training(training)
            return self.infer(inputs)

    # -- state as plain data

    def export_state(self):
        """Return everything learned as numpy arrays and plain data."""
        optimizer = self.optimizer_
        return {
            "parameters": _to_plain(dict(self.module_.state_dict())),
            "moments": _to_plain(optimizer.state_dict()["state"]),
            "order_generator": self.order_generator_.get_state().numpy().copy(),
            "noise_generator": _generator_state(self.module_.generator),
            "noise_device": self.module_.generator.device.type,
            "history": [
                {key: value for key, value in row.items() if key != "batches"}
                for row in self.history
            ],
        }

    def import_state(self, state, with_moments=True):
        """Continue from what `export_state` returned."""
        self.module_.load_state_dict(_to_tensors(state["parameters"]))
        if with_moments and state["moments"]:
            groups = self.optimizer_.state_dict()["param_groups"]  # ours, the new ones
            self.optimizer_.load_state_dict(
                {"state": _to_tensors(state["moments"]), "param_groups": groups}
            )
        for group in self.optimizer_.param_groups:  # torch's schedules look for it
            group.setdefault("initial_lr", group["lr"])
        self.order_generator_.set_state(torch.tensor(state["order_generator"]))
        generator = self.module_.generator
        if generator.device.type == state["noise_device"]:
            generator.set_state(torch.tensor(state["noise_generator"]))
        for row in state["history"]:
            self.history.append({**row, "batches": []})
        return self


# -- callbacks


# -- learning rates


# -- the linear start


# -- helpers


def detached(states):
    """Return the states of all layers without the way they came about."""
    return [tuple(part.detach() for part in of_layer) for of_layer in states]


def _choose(states, rows):
    return [tuple(part[:, rows] for part in of_layer) for of_layer in states]


def _put(states, rows, new):
    return [
        tuple(old.index_copy(1, rows, part) for old, part in zip(*pair, strict=True))
        for pair in zip(states, new, strict=True)
    ]


def _generator_state(generator):
    return generator.get_state().cpu().numpy().copy()


def _to_plain(value):
    if isinstance(value, torch.Tensor):
        return value.detach().cpu().numpy().copy()
    if isinstance(value, dict):
        return {key: _to_plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_to_plain(item) for item in value]
    return value


def _to_tensors(value):
    if isinstance(value, np.ndarray):
        return torch.tensor(value)
    if isinstance(value, dict):
        return {key: _to_tensors(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_to_tensors(item) for item in value]
    return value
