"""Compiled training of the recurrent layers and compiled Adam, on a CPU.

The backward pass of a layer is one compiled function; torch's autograd does not record
the steps, which would cost more than the arithmetic where networks are small. The
outputs of the layers are leaves of the autograd graph: torch differentiates the loss
with respect to them, and the compiled backward pass continues from there. Adam's step
is one loop over all parameters, which lie side by side in memory.

Legend of shapes: N rows of a batch, L time steps, F features, H hidden units,
D directions (1 or 2), K outputs.
"""

import math

import numpy as np
import torch
from torch.nn.utils.parametrize import is_parametrized

from skrnn._kernels.availability import compiled_kernels


class FlatParameters:
    """The parameters of a module as views of one flat tensor, and their gradients.

    Parameters
    ----------
    module : torch module
        Its parameters are moved into the flat tensor.
    """

    def __init__(self, module):
        self.parameters = list(module.parameters())
        with torch.no_grad():
            self.values = torch.cat([p.reshape(-1) for p in self.parameters])
        self.gradient = torch.zeros_like(self.values)
        self.gradients = self.split(self.gradient)
        for parameter, view in zip(
            self.parameters, self.split(self.values), strict=True
        ):
            parameter.data = view
        self.data_ptrs = [p.data_ptr() for p in self.parameters]

    def split(self, flat):
        """Return views of a tensor like `values`, in the shape of each parameter."""
        sizes = [p.numel() for p in self.parameters]
        return [
            part.view_as(p)
            for part, p in zip(flat.split(sizes), self.parameters, strict=True)
        ]

    def is_attached(self, module):
        """Whether the parameters of the module are still views of `values`."""
        return self.data_ptrs == [p.data_ptr() for p in module.parameters()]

    def zero_grad(self):
        """Set all gradients to zero, and attach them to the parameters."""
        self.gradient.zero_()
        for parameter, gradient in zip(self.parameters, self.gradients, strict=True):
            if parameter.grad is not gradient:
                parameter.grad = gradient

    def export_gradients(self):
        """Give the parameters copies of their gradients, which others may keep."""
        copies = self.split(self.gradient.clone())
        for parameter, gradient in zip(self.parameters, copies, strict=True):
            parameter.grad = gradient

    def import_gradients(self):
        """Copy the gradients of the parameters, which others may have replaced.

        Returns False if a parameter has none.
        """
        for parameter, gradient in zip(self.parameters, self.gradients, strict=True):
            if parameter.grad is None:
                return False
            if parameter.grad is not gradient:
                gradient.copy_(parameter.grad)
        return True

    def update_exported_gradients(self):
        """Copy the gradients, which were clipped, to those of the parameters."""
        for parameter, gradient in zip(self.parameters, self.gradients, strict=True):
            if parameter.grad is not gradient:
                parameter.grad.copy_(gradient)


def compile_layers(module, previous=None):
    """Return compiled training of the layers of a module, None if it is not possible.

    It needs the compiled kernels, gradients of all parameters, weights that are
    parameters themselves, and neither hooks nor parametrizations.

    Parameters
    ----------
    module : RecurrentModule
        In training mode.

    previous : CompiledLayers, default=None
        From an earlier epoch; returned if it is still valid.

    Returns
    -------
    layers : CompiledLayers or None
    """
    weight = module.head.weight
    if compiled_kernels(weight.device, weight.dtype) is None:
        return None
    if module.highway is not None and module.embedding is not None:
        return None
    if not all(p.requires_grad and not _has_hooks(p) for p in module.parameters()):
        return None
    if any(
        part._forward_hooks
        or part._forward_pre_hooks
        or part._backward_hooks
        or part._backward_pre_hooks
        or is_parametrized(part)
        for part in module.modules()
    ):
        return None
    if previous is not None and previous.flat.is_attached(module):
        return previous
    return CompiledLayers(module)


def _has_hooks(parameter):
    return parameter._backward_hooks or parameter._post_accumulate_grad_hooks


class CompiledLayers:
    """The recurrent layers of a module in training, on numpy arrays with time first.

    Parameters
    ----------
    module : RecurrentModule
        See `compile_layers`.
    """

    def __init__(self, module):
        self.module = module
        weight = module.head.weight
        self.kernels = compiled_kernels(weight.device, weight.dtype)
        self.relu = module.cell_type == "rnn" and module.nonlinearity == "relu"
        self.flat = FlatParameters(module)
        # Parameters and gradients stay in the flat tensors while this object is valid.
        arrays = {
            id(p): (p.detach().numpy(), gradient.numpy())
            for p, gradient in zip(
                self.flat.parameters, self.flat.gradients, strict=True
            )
        }
        pairs = [
            [[arrays[id(w)] for w in weights] for weights in layer.all_weights]
            for layer in module.layers
        ]
        # By layer, direction, and weight in torch's order.
        self.weights, self.grad_weights = (
            [[[pair[i] for pair in d] for d in layer] for layer in pairs]
            for i in range(2)
        )
        self.head = [arrays[id(p)] for p in (module.head.weight, module.head.bias)]
        self.workspace = Workspace()

    def forward(self, x, lengths=None):
        """Run all layers over a batch, and keep what the backward pass needs.

        Parameters
        ----------
        x : ndarray of shape (L, N, F)
            Standardised.

        lengths : ndarray of shape (N,), default=None
            Valid steps of each row; None where all are valid.

        Returns
        -------
        hidden : ndarray of shape (L, N, D * H)
            Output of the last layer.

        final : ndarray of shape (D, N, H)
            Its last state.
        """
        module, (n_steps, n_rows, _) = self.module, x.shape
        self.flat.zero_grad()
        self.workspace.reset()
        self.saved, self.lengths = [], lengths
        if lengths is not None:
            steps = np.arange(n_steps)[:, None]
            reversed_steps = lengths - 1 - steps
            self.reversed_steps = np.where(reversed_steps >= 0, reversed_steps, steps)
            self.rows = np.arange(n_rows)
        states = module.initial_states(n_rows)
        for i, layer_weights in enumerate(self.weights):
            mask = self._dropout_mask(x) if i > 0 else None
            if mask is not None:
                x = x * mask
            runs = []
            for direction, weights in enumerate(layer_weights):
                if states is None:
                    state = self._zero_state(n_rows, weights[1].shape[1], x.dtype)
                else:
                    state = [part[direction].detach().numpy() for part in states[i]]
                run = self.kernels.layer_forward(
                    module.cell_type,
                    self.relu,
                    self._reverse(x) if direction == 1 else x,
                    weights,
                    state,
                    self.workspace.empty,
                )
                runs.append(run)
            self.saved.append((mask, runs))
            outputs = [run.states[1:] for run in runs]
            x = outputs[0]
            if len(runs) == 2:
                x = np.concatenate([x, self._reverse(outputs[1])], axis=2)
        if lengths is None:
            return x, np.stack([output[-1] for output in outputs])
        return x, np.stack([output[lengths - 1, self.rows] for output in outputs])

    def backward(self, grad_hidden, grad_final, grad_x=False):
        """Fill the gradients of the layers from those of what `forward` returned.

        Either may be None. Returns the gradient of x if `grad_x`.
        """
        for i in reversed(range(len(self.saved))):
            mask, runs = self.saved[i]
            grad_input = None
            for direction, run in enumerate(runs):
                grad_output, grad_state = self._direction_gradients(
                    run, direction, grad_hidden, grad_final
                )
                gradient, _ = self.kernels.layer_backward(
                    run,
                    grad_output,
                    grad_state,
                    grad_x=i > 0 or grad_x,
                    out=self.grad_weights[i][direction],
                )
                if self.module.learned_states is not None:
                    learned = self.module.learned_states[i].grad
                    for part, grad_part in enumerate(grad_state):
                        learned[part, direction] += torch.from_numpy(
                            grad_part.sum(axis=0)
                        )
                if gradient is not None:
                    gradient = self._reverse(gradient) if direction == 1 else gradient
                    grad_input = (
                        gradient if grad_input is None else grad_input + gradient
                    )
            if mask is not None:
                grad_input = grad_input * mask
            grad_hidden, grad_final = grad_input, None
        self.saved = []
        return grad_hidden

    def forward_backward(self, hidden, final, target, y, weights=None):
        """Compute the loss from the last state by the head, and all gradients.

        Parameters
        ----------
        hidden, final : ndarrays
            What `forward` returned.

        target : target object
            With `loss_and_gradient`.

        y : ndarray of shape (N, ...)
            Encoded targets.

        weights : ndarray of shape (N,), default=None
            Sample weights.

        Returns
        -------
        loss : float

        output : ndarray of shape (N, K)
        """
        (weight, grad_weight), (bias, grad_bias) = self.head
        pooled = final[0] if len(final) == 1 else np.concatenate(final, axis=1)
        mask = self._dropout_mask(pooled)
        if mask is not None:
            pooled = pooled * mask
        output = self.kernels.linear_forward(pooled, weight, bias)
        losses, grad_output = target.loss_and_gradient(output, y)
        if weights is not None:
            losses, grad_output = losses * weights, grad_output * weights[:, None]
        grad_output /= len(y)
        grad_pooled = np.zeros_like(pooled)
        self.kernels.linear_backward(
            pooled, weight, grad_output, grad_pooled, grad_weight, grad_bias
        )
        if mask is not None:
            grad_pooled *= mask
        grad_final = grad_pooled.reshape(len(y), len(final), -1).swapaxes(0, 1)
        self.backward(None, grad_final)
        return losses.mean(), output

    def standardize(self, values):
        """Return features `(N, L, F)` standardised, with time first."""
        module, (n_rows, n_steps, n_features) = self.module, values.shape
        out = np.empty((n_steps, n_rows, n_features), values.dtype)
        mean, scale = module.input_mean.numpy(), module.input_scale.numpy()
        self.kernels.standardize(values, mean, scale, out)
        return out

    def _zero_state(self, n_rows, n_units, dtype):
        n_parts = 2 if self.module.cell_type == "lstm" else 1
        return [np.zeros((n_rows, n_units), dtype) for _ in range(n_parts)]

    def _reverse(self, x):
        """Return `(L, N, ...)` with the valid steps of each row reversed."""
        if self.lengths is None:
            return np.ascontiguousarray(x[::-1])
        return x[self.reversed_steps, self.rows]

    def _dropout_mask(self, x):
        x = torch.from_numpy(x)  # time first, in front of a layer
        mask = self.module.dropout_mask(x.transpose(0, 1) if x.ndim == 3 else x)
        if mask is None:
            return None
        return (mask.transpose(0, 1) if x.ndim == 3 else mask).numpy()

    def _direction_gradients(self, run, direction, grad_hidden, grad_final):
        """Return the gradients of a direction's outputs and of its last state."""
        _, n_rows, n_units = run.states.shape
        grad_state = self._zero_state(n_rows, n_units, run.states.dtype)
        grad_output = None
        if grad_hidden is not None:
            units = slice(direction * n_units, (direction + 1) * n_units)
            grad_output = grad_hidden[:, :, units]
            grad_output = (
                self._reverse(grad_output) if direction == 1 else grad_output.copy()
            )
        if grad_final is not None and self.lengths is None:
            grad_state[0][:] = grad_final[direction]
        elif grad_final is not None:
            if grad_output is None:
                grad_output = np.zeros_like(run.states[1:])
            grad_output[self.lengths - 1, self.rows] += grad_final[direction]
        return grad_output, grad_state


def compile_adam(optimizer, flat, previous=None):
    """Return a compiled optimiser in place of torch's, None if it is not possible.

    Parameters
    ----------
    optimizer : torch optimiser
        Adam or AdamW over all parameters, with torch's usual options and no hooks.

    flat : FlatParameters
        The parameters.

    previous : CompiledAdam, default=None
        From an earlier epoch; returned if it is still valid.

    Returns
    -------
    adam : CompiledAdam or None
    """
    if type(optimizer) not in (torch.optim.Adam, torch.optim.AdamW):
        return None
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
        or [id(p) for p in group["params"]] != [id(p) for p in flat.parameters]
    ):
        return None
    states = [optimizer.state.get(p) for p in flat.parameters]
    if len({float(state["step"]) if state else 0.0 for state in states}) > 1:
        return None  # some parameters were frozen for a while
    if previous is not None and previous.is_valid(optimizer, flat):
        return previous
    return CompiledAdam(optimizer, flat)


class CompiledAdam:
    """Adam or AdamW over all parameters at once, with gradient clipping.

    It works on the state of torch's optimiser, whose step count is up to date after
    `sync_optimizer_state`.

    Parameters
    ----------
    optimizer : torch.optim.Adam or torch.optim.AdamW
        See `compile_adam`.

    flat : FlatParameters
        The parameters.
    """

    def __init__(self, optimizer, flat):
        kernels = compiled_kernels(flat.values.device, flat.values.dtype)
        self.adam_step = kernels.adam_step
        self.optimizer, self.flat = optimizer, flat
        self.group = optimizer.param_groups[0]
        # torch's AdamW is an Adam with this option set.
        self.decoupled = bool(self.group["decoupled_weight_decay"])
        self.has_state = False  # until the first step, as in torch

    def _import_state(self):
        """Move the moments into flat arrays, of which the optimiser gets views."""
        self.has_state, self.n_steps = True, 0
        optimizer, flat = self.optimizer, self.flat
        moments = [torch.zeros_like(flat.values) for _ in range(2)]
        views = [flat.split(moment) for moment in moments]
        for parameter, mean, square in zip(flat.parameters, *views, strict=True):
            state = optimizer.state[parameter]
            if state:
                self.n_steps = int(state["step"])
                mean.copy_(state["exp_avg"])
                square.copy_(state["exp_avg_sq"])
            else:
                state["step"] = torch.zeros((), dtype=torch.float32)
            state["exp_avg"], state["exp_avg_sq"] = mean, square
        self.moments, self.n_synced_steps = views, self.n_steps
        self.arrays = [
            tensor.numpy() for tensor in (flat.values, flat.gradient, *moments)
        ]

    def is_valid(self, optimizer, flat):
        """Whether this still works on the state of the optimiser."""
        return (
            (self.optimizer, self.flat) == (optimizer, flat)
            and optimizer.param_groups[0] is self.group
            and (not self.has_state or self._is_attached())
        )

    def _is_attached(self):
        """Whether nobody has replaced the optimiser's state."""
        return all(
            state.get("exp_avg") is mean
            and state.get("exp_avg_sq") is square
            and int(state["step"]) == self.n_synced_steps
            for state, mean, square in zip(
                (self.optimizer.state.get(p, {}) for p in self.flat.parameters),
                *self.moments,
                strict=True,
            )
        )

    def step(self, max_norm=None):
        """Clip the gradient to the norm `max_norm`, if any, and take one step."""
        if not self.has_state:
            self._import_state()
        group = self.group
        self.n_steps += 1
        self.adam_step(
            *self.arrays,
            math.inf if max_norm is None else float(max_norm),
            float(group["lr"]),
            (float(group["betas"][0]), float(group["betas"][1])),
            float(group["eps"]),
            float(group["weight_decay"]),
            self.decoupled,
            self.n_steps,
        )

    def sync_optimizer_state(self):
        """Set the optimiser's step count, unless its state was replaced."""
        if not self.has_state or not self._is_attached():
            return
        self.n_synced_steps = self.n_steps
        for parameter in self.flat.parameters:
            self.optimizer.state[parameter]["step"].fill_(self.n_steps)


class Workspace:
    """Arrays that each batch reuses, requested in the same order each time."""

    def __init__(self):
        self.arrays = []
        self.reset()

    def reset(self):
        """Make all arrays available again."""
        self.n_used = 0

    def empty(self, shape, dtype):
        """Return an uninitialised array."""
        size, i = math.prod(shape), self.n_used
        self.n_used += 1
        if i == len(self.arrays):
            self.arrays.append(np.empty(size, dtype))
        elif len(self.arrays[i]) < size:
            self.arrays[i] = np.empty(size, dtype)
        return self.arrays[i][:size].reshape(shape)
