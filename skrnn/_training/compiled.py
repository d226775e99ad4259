"""Training on a CPU without what torch's record of operations and steps costs.

The layers run by compiled loops. What torch would spend on recording them, on a dozen
views and on the way back is more than the loops take where networks are small. So the
layers are left out of the record: they hand torch their outputs as a beginning, torch
goes back from the loss to there, and the layers go on by themselves. Adam's step is one
loop over all parameters, which lie side by side.

Legend of shapes: N rows of a batch, L time steps, F features, H hidden units,
D directions (1 or 2), K outputs.
"""

import math

import numpy as np
import torch
from torch.nn.utils.parametrize import is_parametrized

from skrnn._kernels.availability import compiled_kernels


class FlatParameters:
    """The parameters of a module end to end in one tensor, and so their gradients.

    Parameters
    ----------
    module : torch module
        Whose parameters move to where they lie side by side.
    """

    def __init__(self, module):
        self.parameters = list(module.parameters())
        with torch.no_grad():
            self.values = torch.cat([p.reshape(-1) for p in self.parameters])
        self.gradient = torch.zeros_like(self.values)
        self.gradients = self.parts(self.gradient)
        for parameter, part in zip(
            self.parameters, self.parts(self.values), strict=True
        ):
            parameter.data = part
        self.places = [p.data_ptr() for p in self.parameters]

    def parts(self, flat):
        """Return the parts of a tensor like `values` in the shape of each parameter."""
        sizes = [p.numel() for p in self.parameters]
        return [
            part.view_as(p)
            for part, p in zip(flat.split(sizes), self.parameters, strict=True)
        ]

    def hold(self, module):
        """Whether the parameters of the module still lie here."""
        return self.places == [p.data_ptr() for p in module.parameters()]

    def begin(self):
        """Make all gradients zero, and make them those of the parameters."""
        self.gradient.zero_()
        for parameter, gradient in zip(self.parameters, self.gradients, strict=True):
            if parameter.grad is not gradient:
                parameter.grad = gradient

    def hand_out(self):
        """Give the parameters gradients of their own, which somebody may keep."""
        own = self.parts(self.gradient.clone())
        for parameter, gradient in zip(self.parameters, own, strict=True):
            parameter.grad = gradient

    def gather(self):
        """Take in gradients that somebody has put in the place of ours.

        Returns False if one has been taken away.
        """
        for parameter, gradient in zip(self.parameters, self.gradients, strict=True):
            if parameter.grad is None:
                return False
            if parameter.grad is not gradient:
                gradient.copy_(parameter.grad)
        return True

    def scatter(self):
        """Put ours into the gradients of the parameters: they have been cut."""
        for parameter, gradient in zip(self.parameters, self.gradients, strict=True):
            if parameter.grad is not gradient:
                parameter.grad.copy_(gradient)


def layers_by_hand(module, before=None):
    """Return what trains the layers of a module by hand, None if that cannot be.

    It wants compiled loops, gradients for all parameters, weights that are parameters,
    and nobody who listens to the layers or to the gradients on their way.

    Parameters
    ----------
    module : RecurrentModule
        In training.

    before : LayersByHand, default=None
        Of an earlier epoch, which serves again if nothing has changed.
    """
    weight = module.head.weight
    if compiled_kernels(weight.device, weight.dtype) is None:
        return None
    if module.highway is not None and module.embedding is not None:
        return None
    if not all(p.requires_grad and not _is_heard(p) for p in module.parameters()):
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
    if before is not None and before.flat.hold(module):
        return before
    return LayersByHand(module)


def _is_heard(parameter):
    return parameter._backward_hooks or parameter._post_accumulate_grad_hooks


class LayersByHand:
    """The recurrent layers of a module in training, as arrays with time first.

    Parameters
    ----------
    module : RecurrentModule
        See `layers_by_hand`.
    """

    def __init__(self, module):
        self.module = module
        weight = module.head.weight
        self.compiled = compiled_kernels(weight.device, weight.dtype)
        self.relu = module.cell_type == "rnn" and module.nonlinearity == "relu"
        self.flat = FlatParameters(module)
        # Parameters and gradients stay where they are while this serves.
        places = {
            id(p): (p.detach().numpy(), gradient.numpy())
            for p, gradient in zip(
                self.flat.parameters, self.flat.gradients, strict=True
            )
        }
        pairs = [
            [
                [places[id(w)] for w in of_direction]
                for of_direction in layer.all_weights
            ]
            for layer in module.layers
        ]
        self.weights, self.into = (
            [[[pair[i][None] for pair in d] for d in layer] for layer in pairs]
            for i in range(2)
        )
        self.head = [places[id(p)] for p in (module.head.weight, module.head.bias)]
        self.memory = Memory()

    def run(self, x, lengths=None):
        """Run all layers over a batch, noting what the way back needs.

        Parameters
        ----------
        x : ndarray of shape (L, N, F)
            Scaled.

        lengths : ndarray of shape (N,), default=None
            Valid steps of each row; None where all are valid.

        Returns
        -------
        hidden : ndarray of shape (L, N, D * H)
            The outputs of the last layer.

        final : ndarray of shape (D, N, H)
            Its last state.
        """
        module, (n_steps, n_rows, _) = self.module, x.shape
        self.flat.begin()
        self.memory.begin()
        self.tape, self.lengths = [], lengths
        if lengths is not None:
            steps = np.arange(n_steps)[:, None]
            mirrored = lengths - 1 - steps
            self.mirror = np.where(mirrored >= 0, mirrored, steps)
            self.rows = np.arange(n_rows)
        states = module.start_states(n_rows)
        for i, of_layer in enumerate(self.weights):
            mask = self._dropout_mask(x) if i > 0 else None
            if mask is not None:
                x = x * mask
            runs = []
            for direction, weights in enumerate(of_layer):
                if states is None:
                    state = self._zeros(n_rows, weights[1].shape[2], x.dtype)
                else:
                    state = [s[direction].detach().numpy()[None] for s in states[i]]
                run = self.compiled.run_layer(
                    module.cell_type,
                    self.relu,
                    (self._reversed(x) if direction == 1 else x)[None],
                    weights,
                    state,
                    self.memory.empty,
                )
                runs.append(run)
            self.tape.append((mask, runs))
            outputs = [run.states[0, 1:] for run in runs]
            x = outputs[0]
            if len(runs) == 2:
                x = np.concatenate([x, self._reversed(outputs[1])], axis=2)
        if lengths is None:
            return x, np.stack([output[-1] for output in outputs])
        return x, np.stack([output[lengths - 1, self.rows] for output in outputs])

    def go_back(self, d_hidden, d_final, d_x=False):
        """Fill the gradients of the layers from those of what `run` returned.

        Either may be None. Returns the gradient of x if `d_x`.
        """
        for i in reversed(range(len(self.tape))):
            mask, runs = self.tape[i]
            total = None
            for direction, run in enumerate(runs):
                d_out, d_state = self._of_direction(run, direction, d_hidden, d_final)
                found, _ = self.compiled.go_back(
                    run,
                    d_out,
                    d_state,
                    d_x=i > 0 or d_x,
                    into=self.into[i][direction],
                )
                if self.module.first_states is not None:
                    of_layer = self.module.first_states[i].grad
                    for part, d in enumerate(d_state):
                        of_layer[part, direction] += torch.from_numpy(d[0].sum(axis=0))
                if found is not None:
                    found = self._reversed(found[0]) if direction == 1 else found[0]
                    total = found if total is None else total + found
            if mask is not None:
                total = total * mask
            d_hidden, d_final = total, None
        self.tape = []
        return d_hidden

    def read_out_and_back(self, hidden, final, target, y, weights=None):
        """Go from the last state to the loss and back, by formulas.

        Parameters
        ----------
        hidden, final : ndarrays
            What `run` returned.

        target : target object
            With `loss_and_slope`.

        y : ndarray of shape (N, ...)
            Encoded targets.

        weights : ndarray of shape (N,), default=None
            Of the rows.

        Returns
        -------
        loss : float

        output : ndarray of shape (N, K)
        """
        (weight, of_weight), (bias, of_bias) = self.head
        pooled = final[0] if len(final) == 1 else np.concatenate(final, axis=1)
        mask = self._dropout_mask(pooled)
        if mask is not None:
            pooled = pooled * mask
        output = self.compiled.linear_forward(pooled, weight, bias)
        losses, slope = target.loss_and_slope(output, y)
        if weights is not None:
            losses, slope = losses * weights, slope * weights[:, None]
        slope /= len(y)
        d_pooled = np.zeros_like(pooled)
        self.compiled.linear_backward(
            pooled, weight, slope, d_pooled, of_weight, of_bias
        )
        if mask is not None:
            d_pooled *= mask
        self.go_back(None, d_pooled.reshape(len(y), len(final), -1).swapaxes(0, 1))
        return losses.mean(), output

    def scaled(self, values):
        """Return features `(N, L, F)` standardised, with time first."""
        module, (n_rows, n_steps, n_features) = self.module, values.shape
        out = np.empty((n_steps, n_rows, n_features), values.dtype)
        mean, scale = module.input_mean.numpy(), module.input_scale.numpy()
        self.compiled.standardize(values, mean, scale, out)
        return out

    def _zeros(self, n_rows, n_units, dtype):
        """Return zeros for each part of a state."""
        n_parts = 2 if self.module.cell_type == "lstm" else 1
        return [np.zeros((1, n_rows, n_units), dtype) for _ in range(n_parts)]

    def _reversed(self, x):
        """Return `(L, N, ...)` with the valid steps of each row reversed."""
        if self.lengths is None:
            return np.ascontiguousarray(x[::-1])
        return x[self.mirror, self.rows]

    def _dropout_mask(self, x):
        x = torch.from_numpy(x)  # of layers with time first
        mask = self.module.dropout_mask(x.transpose(0, 1) if x.ndim == 3 else x)
        if mask is None:
            return None
        return (mask.transpose(0, 1) if x.ndim == 3 else mask).numpy()

    def _of_direction(self, run, direction, d_hidden, d_final):
        """Return the gradients of all outputs of a run and of its last state."""
        n_steps, n_rows, n_units = run.states.shape[1:]
        d_state = self._zeros(n_rows, n_units, run.states.dtype)
        d_out = None
        if d_hidden is not None:
            d_out = d_hidden[:, :, direction * n_units : (direction + 1) * n_units]
            d_out = self._reversed(d_out) if direction == 1 else d_out.copy()
        if d_final is not None and self.lengths is None:
            d_state[0][0] = d_final[direction]
        elif d_final is not None:
            if d_out is None:
                d_out = np.zeros((n_steps - 1, n_rows, n_units), run.states.dtype)
            d_out[self.lengths - 1, self.rows] += d_final[direction]
        return None if d_out is None else d_out[None], d_state


def adam_by_hand(optimizer, flat, before=None):
    """Return what takes the steps of an optimiser by hand, None if that cannot be.

    Parameters
    ----------
    optimizer : torch optimiser
        Adam or AdamW, over all the parameters, without anything unusual.

    flat : FlatParameters
        The parameters.

    before : AdamByHand, default=None
        Of an earlier epoch, which serves again if nothing has changed.
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
        or "step" in vars(optimizer)  # torch's schedules listen there, for example
        or optimizer._optimizer_step_pre_hooks
        or optimizer._optimizer_step_post_hooks
        or [id(p) for p in group["params"]] != [id(p) for p in flat.parameters]
    ):
        return None
    states = [optimizer.state.get(p) for p in flat.parameters]
    if len({float(state["step"]) if state else 0.0 for state in states}) > 1:
        return None  # some were frozen for a while
    if before is not None and before.is_about(optimizer, flat):
        return before
    return AdamByHand(optimizer, flat)


class AdamByHand:
    """Adam over all parameters at once, the clipping of their gradient included.

    The state of the optimiser is what it would be, once `end` was called.

    Parameters
    ----------
    optimizer : torch.optim.Adam or torch.optim.AdamW
        See `adam_by_hand`.

    flat : FlatParameters
        The parameters.
    """

    def __init__(self, optimizer, flat):
        kernels = compiled_kernels(flat.values.device, flat.values.dtype)
        self.compiled_step = kernels.adam_step
        self.optimizer, self.flat = optimizer, flat
        self.group = optimizer.param_groups[0]
        # AdamW is an Adam with this set, in torch's own words.
        self.decoupled = bool(self.group["decoupled_weight_decay"])
        self.begun = False

    def _begin(self):
        """Take over the optimiser's state, no sooner than it would begin one itself."""
        self.begun, self.n_steps = True, 0
        optimizer, flat = self.optimizer, self.flat
        moments = [torch.zeros_like(flat.values) for _ in range(2)]
        parts = [flat.parts(moment) for moment in moments]
        for parameter, mean, square in zip(flat.parameters, *parts, strict=True):
            state = optimizer.state[parameter]
            if state:
                self.n_steps = int(state["step"])
                mean.copy_(state["exp_avg"])
                square.copy_(state["exp_avg_sq"])
            else:
                state["step"] = torch.zeros((), dtype=torch.float32)
            state["exp_avg"], state["exp_avg_sq"] = mean, square
        self.parts, self.told = parts, self.n_steps
        self.arrays = [
            tensor.numpy() for tensor in (flat.values, flat.gradient, *moments)
        ]

    def is_about(self, optimizer, flat):
        """Whether the optimiser and its state are still those of before."""
        return (
            (self.optimizer, self.flat) == (optimizer, flat)
            and optimizer.param_groups[0] is self.group
            and (not self.begun or self._holds_state())
        )

    def _holds_state(self):
        """Whether the optimiser's state is what we have made of it."""
        return all(
            state.get("exp_avg") is mean
            and state.get("exp_avg_sq") is square
            and int(state["step"]) == self.told
            for state, mean, square in zip(
                (self.optimizer.state.get(p, {}) for p in self.flat.parameters),
                *self.parts,
                strict=True,
            )
        )

    def step(self, max_norm=None):
        """Take one step, after the gradient was cut to the length `max_norm`."""
        if not self.begun:
            self._begin()
        group = self.group
        self.n_steps += 1
        self.compiled_step(
            *self.arrays,
            math.inf if max_norm is None else float(max_norm),
            float(group["lr"]),
            (float(group["betas"][0]), float(group["betas"][1])),
            float(group["eps"]),
            float(group["weight_decay"]),
            self.decoupled,
            self.n_steps,
        )

    def end(self):
        """Tell the optimiser how many steps there were, if it goes on with them."""
        if not self.begun or not self._holds_state():
            return
        self.told = self.n_steps
        for parameter in self.flat.parameters:
            self.optimizer.state[parameter]["step"].fill_(self.n_steps)


class Memory:
    """Arrays that are used again for each batch, given out in the same order."""

    def __init__(self):
        self.arrays = []
        self.begin()

    def begin(self):
        """Take all arrays back."""
        self.n_given = 0

    def empty(self, shape, dtype):
        """Return an array with anything in it."""
        size, i = math.prod(shape), self.n_given
        self.n_given += 1
        if i == len(self.arrays):
            self.arrays.append(np.empty(size, dtype))
        elif len(self.arrays[i]) < size:
            self.arrays[i] = np.empty(size, dtype)
        return self.arrays[i][:size].reshape(shape)
