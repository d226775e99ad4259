"""Compiled training: many batches in one call, on a CPU.

The network, the loss and Adam become a program of compiled operations, see
`skrnn._kernels.operations`. The parameters stay torch's, side by side in one tensor,
and so do the moments of the optimiser.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from skrnn._data.memory import ConvertedRows, RowsInPlace, read_rows
from skrnn._data.step_targets import unwrap_target
from skrnn._kernels.availability import compiled_kernels
from skrnn._kernels.calls import CallSplitter
from skrnn._nn.compiled import CompiledNetwork, memory_layout, reason_not_compiled
from skrnn._training.batches import Batches, SequenceDataset
from skrnn._training.optimizers import ADAM_TYPES
from skrnn._training.parallel import ParallelProgram, choose_threads
from skrnn._typing import AnyArray, Target

if TYPE_CHECKING:
    from skrnn._training.net import RecurrentNet

NOISE_ROWS = 2**12  # rows whose random initial states are drawn together


def reason_for_torch(net: RecurrentNet) -> str | None:
    """Return why compiled training is not possible, None if it is.

    Parameters
    ----------
    net : RecurrentNet
        In training.

    Returns
    -------
    reason : str or None
    """
    module = net.module_
    if module.initial_state == "carry" or net.tbptt_steps is not None:
        return "states are carried from batch to batch, or between parts of a batch"
    reason = reason_not_compiled(module)
    if reason is not None:
        return reason
    if net.has_batch_callbacks_:
        return "a callback reads batches or gradients"
    if not net.has_own_criterion() or unwrap_target(net.target).compiled_loss is None:
        return "the loss is not one of the estimator's"
    parameters = [p for part in module.modules() for p in part._parameters.values()]
    parameters = [p for p in parameters if p is not None]
    if not all(map(_is_trained, parameters)):
        return "a parameter has hooks, or does not require a gradient"
    if len({p.data_ptr() for p in parameters}) < len(parameters):
        return "two parameters are the same"
    return _reason_of_optimizer(net.optimizer_, list(module.parameters()))


def _is_trained(parameter: Tensor) -> bool:
    return parameter.requires_grad and not (
        parameter._backward_hooks or parameter._post_accumulate_grad_hooks
    )


def _reason_of_optimizer(
    optimizer: torch.optim.Optimizer, parameters: list[Tensor]
) -> str | None:
    if type(optimizer) not in ADAM_TYPES:
        return "the optimizer is not Adam or AdamW"
    (*others, group) = optimizer.param_groups
    if (
        others
        or not group["fused"]
        or group["amsgrad"]
        or group["maximize"]
        or group["capturable"]
        or isinstance(group["lr"], torch.Tensor)
        or "step" in vars(optimizer)  # wrapped, as torch's schedulers do
        or optimizer._optimizer_step_pre_hooks
        or optimizer._optimizer_step_post_hooks
        or [id(p) for p in group["params"]] != [id(p) for p in parameters]
    ):
        return "the optimizer has options of its own, hooks or groups"
    states = [optimizer.state.get(p) for p in parameters]
    if len({float(state["step"]) if state else 0.0 for state in states}) > 1:
        return "some parameters were frozen for a while"
    return None


class CompiledEngine:
    """Trains and evaluates a net by compiled programs.

    Parameters
    ----------
    net : RecurrentNet
        For which `reason_for_torch` is None.
    """

    name = "compiled"

    def __init__(self, net: RecurrentNet) -> None:
        self.net = net
        self.flat = FlatParameters(net.module_)
        self.adam = AdamState(net.optimizer_, self.flat)
        self.options = self._options()
        self.layout = memory_layout(net.module_)
        self.noise = None
        if net.module_.initial_state == "normal":
            n_rows = max(min(net.batch_size, len(net.training_)), NOISE_ROWS)
            shape = n_rows, net.module_.n_states
            self.noise = np.empty(shape, self.flat.array.dtype)
        self.rng = net.module_.noise.for_dropout  # programs have its address
        self.training_rows = self._read_rows(net.training_)
        self.training = self._make_training()
        self.training.last_step = self.adam.n_steps
        self.validation: Any = None
        self.validation_set: SequenceDataset | None = None
        self.validation_rows: Any = None
        self.calls, self.validation_calls = CallSplitter(), CallSplitter()

    def _options(self) -> list[Any]:
        """Return what the program was made for."""
        net, group = self.net, self.net.optimizer_.param_groups[0]
        names = ("betas", "eps", "weight_decay", "decoupled_weight_decay")
        options = [group[name] for name in names]
        return [net.max_grad_norm, net.module_.dropout, net.batch_size, *options]

    def is_valid(self) -> bool:
        """Whether the programs still work on the parameters and the optimiser."""
        return (
            self.layout == memory_layout(self.net.module_)
            and self.rng is self.net.module_.noise.for_dropout
            and self.adam.is_attached(self.net.optimizer_)
            and self.options == self._options()
        )

    def train_epoch(self, batches: Batches) -> float:
        """Train on batches, and return the sum of losses over rows.

        Parameters
        ----------
        batches : Batches
            Of the training data.
        """
        net, group = self.net, self.net.optimizer_.param_groups[0]
        order, bounds = batches.order_and_bounds()
        n_batches = len(bounds) - 1
        if net.lr_table_ is None:
            lrs = np.full(n_batches, float(group["lr"]))
        else:
            lrs = np.array(net.lr_table_[net.step_ : net.step_ + n_batches])
            group["lr"] = float(lrs[-1])
        net.step_ += n_batches
        total = 0.0
        limits = [self.training_rows.most_rows]
        limits.append(None if self.noise is None else len(self.noise))
        most_rows = min((n for n in limits if n is not None), default=None)
        for first, last in self.calls.split(bounds, most_rows):
            net.raise_if_stopped()
            rows = order[bounds[first] : bounds[last]]
            self.training_rows.load(rows)
            self._draw_states(len(rows))
            total = self.training.run(
                rows,
                bounds[first : last + 1] - bounds[first],
                lrs[first:last],
                total,
            )
        return total

    def evaluate(self, batches: Batches) -> float:
        """Return the sum of losses over the rows of the validation data."""
        if self.validation is None or self.validation_set is not batches.dataset:
            self.validation_set = batches.dataset
            self.validation_rows = self._read_rows(batches.dataset)
            self.validation = self._make_program(batches.dataset, self.validation_rows)
        order, bounds = batches.order_and_bounds()
        total, most_rows = 0.0, self.validation_rows.most_rows
        for first, last in self.validation_calls.split(bounds, most_rows):
            rows = order[bounds[first] : bounds[last]]
            self.validation_rows.load(rows)
            total = self.validation.run(
                rows, bounds[first : last + 1] - bounds[first], total=total
            )
        return total

    def close(self) -> None:
        """End the threads of training."""
        if isinstance(self.training, ParallelProgram):
            self.training.close()

    def finish_epoch(self) -> None:
        """Leave gradients and the state of the optimiser as torch would."""
        self.flat.export_gradients()
        # Also after Ctrl-C, which is noticed when a call has ended.
        self.adam.n_steps = self.training.last_step
        self.adam.sync()

    # -- the program

    def _make_training(self) -> Any:
        """Return the program that trains, in as many threads as pay for it."""
        net, dataset, reader = self.net, self.net.training_, self.training_rows
        most_steps = int(dataset.sequences.n_batch_steps()[dataset.rows].max())
        n_rows = min(net.batch_size, len(dataset))
        n_threads = choose_threads(net, most_steps, n_rows, torch.get_num_threads())
        kernels = compiled_kernels(net.device, self.flat.values.dtype)
        update = kernels.Program(self.flat.array.dtype)
        add_adam(update, self.flat, self.adam, net.max_grad_norm)
        if n_threads == 1:
            gradients = self.flat.gradient_arrays
            return self._make_program(dataset, reader, gradients, update)
        gradients = [np.empty_like(self.flat.array) for _ in range(n_threads)]
        programs = [
            self._make_program(dataset, reader, self.flat.views(gradient))
            for gradient in gradients
        ]
        return ParallelProgram(
            programs, gradients, self.flat.gradient_array, update.compile()
        )

    def _read_rows(self, dataset: SequenceDataset) -> RowsInPlace | ConvertedRows:
        n_rows = min(self.net.batch_size, len(dataset))
        return read_rows(dataset.sequences, dataset.input_dtype, n_rows, dataset.rows)

    def _make_program(
        self,
        dataset: SequenceDataset,
        reader: RowsInPlace | ConvertedRows,
        gradients: dict[int, AnyArray] | None = None,
        update: Any = None,
    ) -> Any:
        """Return the program of the loss, the gradients, and the optimiser's step."""
        net, module, training = self.net, self.net.module_, gradients is not None
        n_rows, flat = min(net.batch_size, len(dataset)), reader.flat
        network = CompiledNetwork(
            module,
            flat,
            int(flat.n_batch_steps.max()),
            n_rows,
            training=training,
            gradients=gradients,
            rng=self.rng,
            initial_states=self.noise if training else None,
        )
        program = network.forward()
        grad_output = np.empty_like(network.output)
        add_loss(program, net.target, dataset, network, grad_output)
        if training:
            program = program + network.backward(grad_output)
        if update is not None:
            program = program + update
        return program.compile(n_rows)

    def _draw_states(self, n_rows: int) -> None:
        """Draw the random initial states of the rows of a call."""
        if self.noise is not None:
            module = self.net.module_
            drawn = module.noise.normal(n_rows, module.n_states, torch.float64)
            self.noise[:n_rows] = drawn.numpy()


def add_loss(
    program: Any,
    target: Target,
    dataset: SequenceDataset,
    network: CompiledNetwork,
    grad_output: AnyArray,
) -> None:
    """Add the loss of a batch to a program, after the forward pass of a network.

    Parameters
    ----------
    program : Program
        Of the forward pass.

    target : target object
        Whose `compiled_loss` is not None.

    dataset : SequenceDataset
        With the encoded targets.

    network : CompiledNetwork
        Whose `output` the loss reads.

    grad_output : ndarray
        Gets its gradient.
    """
    target, per_step = unwrap_target(target), dataset.per_step
    targets: Any
    targets, weights, start = dataset.targets, dataset.weights, None
    if per_step:
        start = targets.starts.astype(np.int64)
        targets, weights = targets.flat, None if weights is None else weights.flat
    else:
        targets, weights = (
            None if part is None else part.numpy() for part in (targets, weights)
        )
    levels, label_weights = (
        np.ascontiguousarray(getattr(target, name, np.empty(0)), network.dtype)
        for name in ("levels", "label_weights")
    )
    is_codes = targets.dtype.kind != "f"
    targets = np.ascontiguousarray(targets, np.int64 if is_codes else network.dtype)
    program.add(
        "loss",
        kind=network.kernels.LOSSES[target.compiled_loss],
        levels=levels,
        n_levels=len(levels),
        label_weights=label_weights,
        n_outputs=target.n_outputs,
        n_targets=0 if is_codes else targets.shape[1],
        numbers=None if is_codes else targets,
        codes=targets if is_codes else None,
        weights=None if weights is None else np.ascontiguousarray(weights),
        per_step=per_step,
        target_start=start,
        output=network.output,
        grad_output=grad_output,
    )


def add_adam(
    program: Any, flat: FlatParameters, adam: AdamState, max_norm: float | None
) -> None:
    """Add a step of Adam to a program, with the gradient clipped to a norm.

    Parameters
    ----------
    program : Program
        That fills the gradients of `flat`.

    flat : FlatParameters

    adam : AdamState

    max_norm : float or None
        Largest norm of the gradient of all parameters.
    """
    group = adam.group
    program.add(
        "adam",
        n=len(flat.array),
        params=flat.array,
        grad=flat.gradient_array,
        exp_avg=adam.exp_avg.numpy(),
        exp_avg_sq=adam.exp_avg_sq.numpy(),
        # torch's AdamW is an Adam with this option set.
        decoupled=bool(group["decoupled_weight_decay"]),
        max_norm=math.inf if max_norm is None else float(max_norm),
        beta1=float(group["betas"][0]),
        beta2=float(group["betas"][1]),
        eps=float(group["eps"]),
        weight_decay=float(group["weight_decay"]),
    )


class FlatParameters:
    """The parameters of a module as views of one flat tensor, and their gradients.

    Parameters
    ----------
    module : torch module
        Its parameters are moved into the flat tensor.
    """

    def __init__(self, module: nn.Module) -> None:
        self.parameters = list(module.parameters())
        with torch.no_grad():
            self.values = torch.cat([p.reshape(-1) for p in self.parameters])
        self.gradient = torch.zeros_like(self.values)
        views = zip(self.parameters, self.split(self.values), strict=True)
        for parameter, view in views:
            parameter.data = view
        self.array, self.gradient_array = self.values.numpy(), self.gradient.numpy()
        self.gradient_arrays = self.views(self.gradient_array)

    def split(self, flat: Tensor) -> list[Tensor]:
        """Return views of a tensor like `values`, in the shape of each parameter."""
        sizes = [p.numel() for p in self.parameters]
        return [
            part.view_as(p)
            for part, p in zip(flat.split(sizes), self.parameters, strict=True)
        ]

    def views(self, array: AnyArray) -> dict[int, AnyArray]:
        """Return views of an array like `values`, by the `id` of each parameter."""
        views = self.split(torch.from_numpy(array))
        return {
            id(p): view.numpy() for p, view in zip(self.parameters, views, strict=True)
        }

    def export_gradients(self) -> None:
        """Give the parameters copies of their gradients, which others may keep."""
        copies = self.split(self.gradient.clone())
        for parameter, gradient in zip(self.parameters, copies, strict=True):
            parameter.grad = gradient


class AdamState:
    """The moments of Adam over all parameters, as torch's optimiser holds them.

    Parameters
    ----------
    optimizer : torch.optim.Adam or torch.optim.AdamW
        Its state becomes views of `exp_avg` and `exp_avg_sq`.

    flat : FlatParameters
        The parameters.
    """

    def __init__(self, optimizer: torch.optim.Optimizer, flat: FlatParameters) -> None:
        self.optimizer, self.flat = optimizer, flat
        self.group = optimizer.param_groups[0]
        self.n_steps = 0
        self.exp_avg, self.exp_avg_sq = (
            torch.zeros_like(flat.values) for _ in range(2)
        )
        self.views = [flat.split(part) for part in (self.exp_avg, self.exp_avg_sq)]
        for parameter, mean, square in zip(flat.parameters, *self.views, strict=True):
            state = optimizer.state.get(parameter)
            if state:
                self.n_steps = int(state["step"])
                mean.copy_(state["exp_avg"])
                square.copy_(state["exp_avg_sq"])
        # None as long as the state of the optimiser is not ours.
        self.n_synced_steps: int | None = None

    def is_attached(self, optimizer: torch.optim.Optimizer) -> bool:
        """Whether nobody has replaced the optimiser, or its state."""
        if self.optimizer is not optimizer or optimizer.param_groups[0] is not (
            self.group
        ):
            return False
        return self.n_synced_steps is None or all(
            state.get("exp_avg") is mean
            and state.get("exp_avg_sq") is square
            and int(state["step"]) == self.n_synced_steps
            for state, mean, square in zip(
                (self.optimizer.state.get(p, {}) for p in self.flat.parameters),
                *self.views,
                strict=True,
            )
        )

    def sync(self) -> None:
        """Give the optimiser the moments and the number of steps."""
        self.n_synced_steps = self.n_steps
        for parameter, mean, square in zip(
            self.flat.parameters, *self.views, strict=True
        ):
            state = self.optimizer.state[parameter]
            if state.get("exp_avg") is not mean:
                state["step"] = torch.zeros((), dtype=torch.float32)
                state["exp_avg"], state["exp_avg_sq"] = mean, square
            state["step"].fill_(self.n_steps)
