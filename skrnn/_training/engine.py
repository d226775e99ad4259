"""How batches are trained: the one place where that is decided.

`choose_engine` is called at the start of each epoch, and before each batch where
callbacks receive batches, since a callback may freeze a parameter or add a hook.

- `CompiledEngine` calls compiled functions for the layers and their backward pass, for
  Adam and, where the network is a plain one, for the head; see `compile_layers`.
- `TorchEngine` uses torch's autograd and optimiser: for parameters or modules with
  hooks, frozen parameters, and without numba. On a CPU with numba each layer is still
  a compiled function, as an operation of autograd.
- `StatefulEngine` is a `TorchEngine` for `tbptt_steps` and `initial_state='carry'`.
"""

import numpy as np
import torch

from skrnn._training.compiled import compile_adam, compile_layers
from skrnn._training.torch_engine import TorchEngine
from skrnn._training.truncated import StatefulEngine


def choose_engine(net, previous=None):
    """Return the engine for the next batches of a net.

    Parameters
    ----------
    net : RecurrentNet
        In training.

    previous : TorchEngine, default=None
        Of the batches before, whose buffers are used again if nothing has changed.
    """
    if net.module_.initial_state == "carry" or net.tbptt_steps is not None:
        stateful = isinstance(previous, StatefulEngine)
        return previous if stateful else StatefulEngine(net)
    was_compiled = isinstance(previous, CompiledEngine)
    layers = compile_layers(net.module_, previous.layers if was_compiled else None)
    if layers is None:
        return TorchEngine(net)
    adam = previous.adam if was_compiled else None
    return CompiledEngine(net, layers, adam)


class CompiledEngine(TorchEngine):
    """Trains a batch with compiled layers and, where possible, a compiled Adam.

    Parameters
    ----------
    net : RecurrentNet
        The net to train.

    layers : CompiledLayers
        The layers of its module.

    adam : CompiledAdam, default=None
        Of the batches before.
    """

    name = "compiled"

    def __init__(self, net, layers, adam=None):
        super().__init__(net)
        self.layers = layers
        self.adam = compile_adam(net.optimizer_, layers.flat, adam)
        # An output layer on the last state needs no autograd at all.
        module = net.module_
        is_simple = (
            module.pooling == "last"
            and not module.return_sequences
            and module.highway is None
            and module.embedding is None
            and net.target.loss_and_gradient is not None
            and net.has_own_criterion()
        )
        self._compute = self._without_autograd if is_simple else self._head_by_autograd

    def compute_gradients(self, batch):
        """Compute the loss of a batch and the gradients of all parameters."""
        # As in torch, arithmetic warns of nothing; the loss is checked once an epoch.
        with np.errstate(all="ignore"):
            step = self._compute(*batch)
        if self.net.has_batch_callbacks_ or self.adam is None:
            self.layers.flat.export_gradients()  # others may keep gradients
        return step

    def _without_autograd(self, inputs, targets):
        """Run the layers, the head and the loss without autograd."""
        lengths, weights = inputs.get("lengths"), inputs.get("sample_weight")
        loss, output = self.layers.forward_backward(
            *self.layers.forward(
                self.layers.standardize(inputs["values"].numpy()),
                None if lengths is None else lengths.numpy(),
            ),
            self.net.target,
            targets.numpy(),
            None if weights is None else weights.numpy(),
        )
        return {"loss": torch.tensor(loss), "y_pred": torch.from_numpy(output)}

    def _head_by_autograd(self, inputs, targets):
        """Run the layers without autograd, the rest of the network with it.

        The outputs of the layers are leaves of the autograd graph; their gradients then
        go through the compiled backward pass.
        """
        module, lengths = self.net.module_, inputs.get("lengths")
        x = module.encode_inputs(inputs["values"])
        hidden, final = self.layers.forward(
            x.detach().transpose(0, 1).contiguous().numpy(),
            None if lengths is None else lengths.numpy(),
        )
        hidden = torch.from_numpy(hidden).transpose(0, 1).requires_grad_()
        final = torch.from_numpy(final).requires_grad_()
        output = module.compute_output(hidden, [(final,)], x, lengths)
        loss = self.net.get_loss(output, targets, X=inputs, training=True)
        loss.backward()
        grad_hidden, grad_final = (
            None if part.grad is None else part.grad.numpy() for part in (hidden, final)
        )
        if grad_hidden is not None:
            grad_hidden = grad_hidden.swapaxes(0, 1)
        grad_x = self.layers.backward(grad_hidden, grad_final, grad_x=x.requires_grad)
        if x.requires_grad:
            x.backward(torch.from_numpy(grad_x).transpose(0, 1))
        return {"loss": loss, "y_pred": output}

    def step_optimizer(self, batch):
        """Notify callbacks of the gradients, clip them, and step the optimiser."""
        net, flat = self.net, self.layers.flat
        net.notify_gradients(batch)
        if net.has_batch_callbacks_ and self.adam is not None:
            # A callback may have replaced gradients or the optimiser's state.
            complete = flat.import_gradients()
            self.adam = (
                compile_adam(net.optimizer_, flat, self.adam) if complete else None
            )
        if self.adam is None:
            self.clip_and_step()
            return
        self.adam.step(net.max_grad_norm)
        if net.has_batch_callbacks_:
            self.adam.sync_optimizer_state()
            if net.max_grad_norm is not None:
                flat.update_exported_gradients()

    def finish_epoch(self):
        """Write the state of Adam back, and give the parameters their gradients."""
        # With batch callbacks this has been done after each batch.
        if self.adam is not None and not self.net.has_batch_callbacks_:
            self.adam.sync_optimizer_state()
            self.layers.flat.export_gradients()
