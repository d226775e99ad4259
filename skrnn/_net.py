"""The training engine: skorch's loop over batches of sequences."""

import math
import signal
import time
from contextlib import suppress
from opcode import opname

import numpy as np
import torch
from sklearn.linear_model import Ridge, RidgeCV
from skorch import NeuralNet
from skorch.callbacks import Callback, PassthroughScoring
from skorch.dataset import Dataset, unpack_data
from torch import nn

from skrnn._sequences import feature_scaling

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

# Of the linear start, for each row, in standardised units: next to none serves where
# rows are many, much where there are hardly more rows than lags.
RIDGE_PENALTIES = np.logspace(-4, 0, 9)

# Of the way from the linear start to what was trained, tried on rows held out.
SHARES = np.linspace(0, 1, 101)


class StopTraining(Exception):
    """Raised by a callback to end training in good order."""


class SequenceDataset(Dataset):
    """Rows of sequences with their encoded targets and weights.

    Parameters
    ----------
    sequences : Sequences
        All the data.

    rows : ndarray of int of shape (n,)
        Which of them this data set holds.

    targets : ndarray of shape (len(sequences), ...)
        Encoded targets of all the data.

    weights : ndarray of shape (len(sequences),) or None
        Weights of all the data.

    dtype, input_dtype : torch dtype
        Of targets and weights, and of batches of sequences.

    device : torch device
        Where batches are wanted.
    """

    def __init__(
        self, sequences, rows, targets, weights, *, dtype, input_dtype, device
    ):
        self.sequences = sequences
        self.rows = rows
        self.input_dtype = _numpy_dtype(input_dtype)
        self.device = device
        targets = torch.as_tensor(targets[rows])
        if targets.is_floating_point():
            targets = targets.to(dtype)
        self.targets = targets.to(device)
        self.weights = None
        if weights is not None:  # relative to their mean, see `get_loss`
            weights = weights[rows] / weights[rows].mean()
            self.weights = torch.as_tensor(weights).to(device, dtype)

    def __len__(self):
        return len(self.rows)

    @property
    def X(self):  # what skorch's scoring callbacks ask a data set for
        """The data set itself, which the net can predict."""
        return self

    @property
    def y(self):
        """The encoded targets."""
        return self.targets.cpu().numpy()

    def __getitem__(self, position):
        inputs, targets = self.batch(torch.tensor([position]))
        return {key: value[0] for key, value in inputs.items()}, targets[0]

    def batch(self, positions):
        """Return `(inputs, targets)` for a tensor of positions in this data set."""
        values, lengths = self.sequences.take(
            self.rows[positions.numpy()], self.input_dtype
        )
        inputs = {"values": torch.from_numpy(values).to(self.device)}
        if lengths is not None:
            inputs["lengths"] = torch.from_numpy(lengths).to(self.device)
        positions = positions.to(self.device)
        if self.weights is not None:
            inputs["sample_weight"] = self.weights[positions]
        return inputs, self.targets[positions]


class Batches:
    """Iterate over a `SequenceDataset`, anew and in a new order each time.

    Stands where skorch expects a DataLoader, which would index and collate row by
    row and draw from torch's global generator.
    """

    def __init__(self, dataset, batch_size, generator=None):
        self.dataset = dataset
        self.batch_size = batch_size
        self.generator = generator

    def __len__(self):
        return math.ceil(len(self.dataset) / self.batch_size)

    def __iter__(self):
        n = len(self.dataset)
        if self.generator is None:
            order = torch.arange(n)
        else:
            order = torch.randperm(n, generator=self.generator)
        for positions in order.split(self.batch_size):
            yield self.dataset.batch(positions)


class RowLoss(nn.Module):
    """The criterion that skorch asks for: the loss of each row, by the target."""

    def __init__(self, target):
        super().__init__()
        self.target = target

    def forward(self, output, target):
        """Return losses `(N,)`."""
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
        **options,
    ):
        self.target = target
        self.seed = seed
        self.max_grad_norm = max_grad_norm
        self.lr_schedule = lr_schedule
        options.setdefault("criterion", RowLoss(target))
        options.setdefault("train_split", None)
        super().__init__(module, **options)

    # -- construction

    def get_default_callbacks(self):
        """Return none: losses are recorded by the loop itself."""
        return []

    def initialize(self):
        """Initialise all components and the private random generators."""
        super().initialize()
        self.order_generator_ = torch.Generator().manual_seed(self.seed)
        self.module_.dropout_generator = torch.Generator(self.device).manual_seed(
            self.seed
        )
        return self

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
        self.module_.set_scaling(*feature_scaling(sequences, rows, row_weights))

    def start_linear(self, dataset):
        """Start the highway at a Ridge regression, kept as `linear_start_`."""
        lags = np.empty((len(dataset), self.module_.highway.in_features))
        positions = torch.arange(len(dataset))
        with torch.no_grad():
            for part in positions.split(PREDICTION_ROWS):
                inputs, _ = dataset.batch(part)
                x = self.module_.scale(inputs["values"])
                lags[part] = self.module_.lags(x, inputs.get("lengths")).cpu()
        coefficients, intercept = ridge_by_leaving_out(
            lags,
            dataset.targets.cpu().numpy().astype(np.float64),
            np.ones(len(dataset))
            if dataset.weights is None
            else dataset.weights.cpu().numpy().astype(np.float64),
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
        self.validation_ = validation
        self.watched_ = any(_reads_batches(cb) for _, cb in self.callbacks_)
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
            self.validation_ = self.lr_table_ = None
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
            if _raised_on_purpose(interrupt):
                raise StopTraining from interrupt
            raise

    def get_split_datasets(self, X, y=None, **fit_params):
        """Return the two data sets that `train` was given."""
        return X, self.validation_

    def get_iterator(self, dataset, training=False):
        """Return batches, shuffled in training."""
        generator = self.order_generator_ if training else None
        return Batches(dataset, self.batch_size, generator)

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
        total, n_rows, n_batches = 0.0, 0, 0
        for batch in iterator:
            if self.watched_:
                self.notify("on_batch_begin", batch=batch, training=training)
            step = step_fn(batch)
            rows = len(batch[1])
            # Stays on the device: reading it here would wait for each batch.
            total = total + step["loss"].detach() * rows
            n_rows, n_batches = n_rows + rows, n_batches + 1
            if self.watched_:
                self.history.record_batch(f"{prefix}_loss", step["loss"].item())
                self.history.record_batch(f"{prefix}_batch_size", rows)
                self.notify("on_batch_end", batch=batch, training=training, **step)
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

    def train_step(self, batch, **fit_params):
        """Take one step of the optimiser."""
        if self.lr_table_ is not None:
            for group in self.optimizer_.param_groups:
                group["lr"] = self.lr_table_[self.step_]
            self.step_ += 1
        if isinstance(self.optimizer_, torch.optim.LBFGS):
            return super().train_step(batch)
        self.optimizer_.zero_grad()
        step = self.train_step_single(batch)
        if self.watched_:
            self.notify(
                "on_grad_computed",
                named_parameters=list(self.get_all_learnable_params()),
                batch=batch,
                training=True,
            )
        if self.max_grad_norm is not None:
            nn.utils.clip_grad_norm_(self.module_.parameters(), self.max_grad_norm)
        self.optimizer_.step()
        return step

    def train_step_single(self, batch, **fit_params):
        """Compute the loss of one batch and its gradients."""
        inputs, targets = batch
        output = self.infer(inputs)
        loss = self.get_loss(output, targets, X=inputs, training=True)
        loss.backward()
        return {"loss": loss, "y_pred": output}

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
        The data set holds :math:`w_i / \bar w`.
        """
        losses = self.criterion_(y_pred, y_true)
        if losses.shape != y_pred.shape[:1]:
            raise RuntimeError(
                f"The criterion must return one loss for each row. Got shape "
                f"{tuple(losses.shape)} for {len(y_pred)} rows."
            )
        weights = X.get("sample_weight")
        if weights is None:
            return losses.mean()
        return (losses * weights).mean()

    # -- prediction

    def outputs(self, sequences):
        """Return the raw outputs `(n_samples, K)` of sequences, as numpy."""
        n, module = len(sequences), self.module_
        order = np.arange(n)
        if sequences.lengths is not None:  # similar lengths together: little padding
            order = np.argsort(sequences.lengths, kind="stable")
        input_dtype = _numpy_dtype(module.input_mean.dtype)
        # Long sequences in fewer rows, so that memory stays within bounds.
        n_rows = PREDICTION_STEPS // sequences.longest // ROW_MULTIPLE * ROW_MULTIPLE
        n_rows = min(max(n_rows, ROW_MULTIPLE), PREDICTION_ROWS)
        result = None
        module.eval()
        with torch.inference_mode():
            for first in range(0, n, n_rows):
                rows = order[first : first + n_rows]
                missing = -len(rows) % ROW_MULTIPLE
                padded = np.concatenate([rows, np.repeat(rows[-1:], missing)])
                values, lengths = sequences.take(padded, input_dtype)
                values = torch.from_numpy(values).to(self.device)
                if lengths is not None:
                    lengths = torch.from_numpy(lengths).to(self.device)
                output = module(values, lengths)[: len(rows)].cpu().numpy()
                if result is None:
                    result = np.empty((n, *output.shape[1:]), dtype=output.dtype)
                result[rows] = output
        return result

    def predict_proba(self, X):
        """Return probabilities, or standardised y; for skorch's callbacks."""
        output = np.concatenate([y.detach().numpy() for y in self.forward_iter(X)])
        if hasattr(self.target, "classes"):
            return self.target.probabilities(output)
        return output

    def predict(self, X):
        """Return y as encoded: codes of labels, or standardised numbers."""
        output = np.concatenate([y.detach().numpy() for y in self.forward_iter(X)])
        if hasattr(self.target, "classes"):
            return self.target.encode(self.target.decode(output))
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
            "dropout_generator": _generator_state(self.module_.dropout_generator),
            "dropout_device": self.module_.dropout_generator.device.type,
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
        generator = self.module_.dropout_generator
        if generator.device.type == state["dropout_device"]:
            generator.set_state(torch.tensor(state["dropout_generator"]))
        for row in state["history"]:
            self.history.append({**row, "batches": []})
        return self


# -- callbacks


class EarlyStopping(Callback):
    """Stop when the validation loss stops falling, and take the best weights back.

    Parameters
    ----------
    patience : int
        Epochs without an improvement of more than `tol` that are waited for.

    tol : float
        Smallest improvement that counts, in units of the loss.
    """

    def __init__(self, patience, tol):
        self.patience = patience
        self.tol = tol

    def on_train_begin(self, net, **kwargs):
        """Forget earlier training, but for a linear start, which may be the best."""
        self.best_loss_ = math.inf
        self.best_epoch_ = self.best_weights_ = None
        if net.module_.highway is not None:
            self._keep(net, net.validation_loss())
        self.reference_ = self.best_loss_
        self.misses_ = 0

    def on_epoch_end(self, net, **kwargs):
        """Keep the weights if they are the best, count the miss if not."""
        loss = net.history[-1]["valid_loss"]
        self._keep(net, loss)
        if loss < self.reference_ - self.tol:
            self.reference_ = loss
            self.misses_ = 0
        else:
            self.misses_ += 1
        if self.misses_ >= self.patience:
            raise StopTraining

    def _keep(self, net, loss):
        if loss < self.best_loss_:
            self.best_loss_ = loss
            self.best_epoch_ = len(net.history)
            self.best_weights_ = {
                name: value.clone() for name, value in net.module_.state_dict().items()
            }

    def on_train_end(self, net, **kwargs):
        """Restore the best weights."""
        if self.best_weights_ is not None:
            net.module_.load_state_dict(self.best_weights_)
            self.best_weights_ = None


class PlateauSchedule(Callback):
    """Halve the learning rate when the loss has not fallen for `patience` epochs.

    Parameters
    ----------
    patience : int, default=5
        Epochs to wait.
    """

    def __init__(self, patience=5):
        self.patience = patience

    def on_train_begin(self, net, **kwargs):
        """Start torch's own schedule on the optimiser of the net."""
        self.schedule_ = torch.optim.lr_scheduler.ReduceLROnPlateau(
            net.optimizer_, factor=0.5, patience=self.patience
        )

    def on_epoch_end(self, net, **kwargs):
        """Look at the validation loss if there is one, else at the training loss."""
        row = net.history[-1]
        self.schedule_.step(row.get("valid_loss", row["train_loss"]))


class ProgressBar(Callback):
    """Show the epochs, the losses and the time left on standard error.

    Parameters
    ----------
    description : str
        What stands before the bar.
    """

    def __init__(self, description):
        self.description = description

    def on_train_begin(self, net, **kwargs):
        """Draw the empty bar."""
        from tqdm import tqdm

        self.bar_ = tqdm(total=net.max_epochs, desc=self.description, unit="epoch")

    def on_epoch_end(self, net, **kwargs):
        """Move the bar on by one epoch."""
        losses = {
            name: f"{net.history[-1][key]:.4g}"
            for name, key in (("loss", "train_loss"), ("validation", "valid_loss"))
            if key in net.history[-1]
        }
        self.bar_.set_postfix(losses, refresh=False)
        self.bar_.update()

    def close(self):
        """Leave the bar as it stands."""
        if hasattr(self, "bar_"):
            self.bar_.close()

    def on_train_end(self, net, **kwargs):
        """Leave the bar as it stands."""
        self.close()


# -- learning rates


def learning_rates(schedule, lr, n_steps):
    """Return the learning rate of each of `n_steps` steps, None if it is constant.

    Both schedules are curves over training as a whole, read at the middle of each
    step, so that they make sense for a single step too. 'cosine' falls from `lr` to
    zero along half a cosine. 'one_cycle' rises from `lr / 25` to `lr` over the first
    three tenths and falls to `lr / 250,000`, each along half a cosine, the defaults
    of torch's OneCycleLR; momentum is left as it is.

    References
    ----------
    Loshchilov, Hutter: SGDR: stochastic gradient descent with warm restarts.
    ICLR 2017.

    Smith, Topin: Super-convergence: very fast training of neural networks using
    large learning rates. SPIE 2019.
    """
    progress = (np.arange(n_steps) + 0.5) / n_steps
    if schedule == "cosine":
        return _half_cosine(lr, 0.0, progress).tolist()
    if schedule == "one_cycle":
        summit = 0.3
        rise = _half_cosine(lr / 25, lr, progress / summit)
        fall = _half_cosine(lr, lr / 25e4, (progress - summit) / (1 - summit))
        return np.where(progress < summit, rise, fall).tolist()
    return None


def _half_cosine(first, last, share):
    return last + (first - last) / 2 * (1 + np.cos(np.pi * share))


# -- the linear start


def ridge_by_leaving_out(inputs, targets, weights):
    """Return the coefficients `(K, n_inputs)` and the intercept `(K,)` of a Ridge.

    Its penalty has the least error on rows left out one by one. Equal rows are one
    row with their weights together, so that leaving one out leaves none of them and a
    repeated row is the same as a row of weight 2. The penalty grows with the number
    of rows, as the loss does, and is measured in the mean spread of the inputs.
    """
    rows = np.ascontiguousarray(np.column_stack([inputs, targets]))
    as_bytes = rows.view(np.dtype((np.void, rows.itemsize * rows.shape[1]))).ravel()
    _, first, which = np.unique(as_bytes, return_index=True, return_inverse=True)
    weights = np.bincount(which, weights)
    inputs, targets = inputs[first], targets[first]
    mean = np.average(inputs, axis=0, weights=weights)
    variance = np.average((inputs - mean) ** 2, axis=0, weights=weights)
    unit = np.sqrt(variance.mean()) or 1.0
    total = weights.sum()
    if len(inputs) < 3:
        ridge = Ridge(alpha=total * RIDGE_PENALTIES[-1])
    else:
        ridge = RidgeCV(alphas=total * RIDGE_PENALTIES)
    ridge.fit(inputs / unit, targets, weights)
    return np.atleast_2d(ridge.coef_) / unit, np.ravel(ridge.intercept_)


def share_worth_going(losses, weights):
    r"""Return how far to go from the linear start to what was trained.

    The share of least loss on rows that were not trained on, shrunk by how sure its
    gain is: with the gain :math:`g` over the start, a mean over rows, and its standard
    error :math:`s`, by the factor :math:`1 - s^2 / g^2`, or to zero if that is
    negative. A sure gain is kept, one that may be chance is not.

    Parameters
    ----------
    losses : ndarray of shape (len(SHARES), n)
        Of each row at each share.

    weights : ndarray of shape (n,)
        Of the rows.

    Returns
    -------
    share : float
        In [0, 1].

    References
    ----------
    James, Stein: Estimation with quadratic loss. Fourth Berkeley Symposium, 1961.
    The factor is that of its positive part, for one number with an estimated error.
    """
    losses = losses[:, weights > 0]
    weights = weights[weights > 0] / weights.sum()
    with np.errstate(invalid="ignore"):
        mean = losses @ weights
    if np.isnan(mean).all():
        return 0.0
    best = np.nanargmin(mean)
    gains = losses[0] - losses[best]
    gain = weights @ gains
    if not gain > 0:
        return 0.0
    variance = weights**2 @ (gains - gain) ** 2
    return float(SHARES[best] * max(0.0, 1 - variance / gain**2))


# -- helpers


def _reads_batches(callback):
    """Whether a callback needs hooks around batches or batch rows in the history."""
    hooks = ("on_batch_begin", "on_batch_end", "on_grad_computed")
    return isinstance(callback, PassthroughScoring) or any(
        getattr(type(callback), hook, None) is not getattr(Callback, hook)
        for hook in hooks
    )


def _raised_on_purpose(interrupt):
    """Whether a raise statement made the interrupt, but not that of a handler."""
    handler = getattr(signal.getsignal(signal.SIGINT), "__code__", None)
    trace = interrupt.__traceback__
    while trace.tb_next is not None:
        trace = trace.tb_next
        if trace.tb_frame.f_code is handler:
            return False
    return opname[trace.tb_frame.f_code.co_code[trace.tb_lasti]] == "RAISE_VARARGS"


def _numpy_dtype(dtype):
    return np.dtype(np.float32 if dtype == torch.float32 else np.float64)


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
