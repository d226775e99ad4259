"""A network as compiled operations, see `skrnn._kernels.operations`.

`CompiledNetwork` reads like `RecurrentModule.forward`, and then backwards. Its arrays
have time first; rows of a batch that are shorter than the longest are padded.

Legend of shapes: N rows of a batch, L time steps, F features, H hidden units,
D directions (1 or 2), K outputs, R rows of the head (N, or L * N with an output per
time step).
"""

from __future__ import annotations

from collections.abc import Callable
from ctypes import c_void_p, cast
from typing import TYPE_CHECKING, Any

import numpy as np
from torch import Tensor
from torch.nn.modules import module as torch_modules
from torch.nn.utils.parametrize import is_parametrized

from skrnn._data.memory import FlatSequences
from skrnn._kernels.availability import compiled_kernels
from skrnn._nn.module import RecurrentModule
from skrnn._typing import AnyArray

if TYPE_CHECKING:
    from skrnn._kernels.operations import Program


def reason_not_compiled(module: RecurrentModule) -> str | None:
    """Return why a module cannot be run by compiled operations, None if it can.

    Parameters
    ----------
    module : RecurrentModule

    Returns
    -------
    reason : str or None
    """
    weight = module.head.weight
    if compiled_kernels(weight.device, weight.dtype) is None:
        return "numba cannot compile for this device"
    if module.input_mean.dtype != weight.dtype:
        return "the data and the parameters differ in precision"
    scaling = module.input_mean, module.input_scale
    if not all(
        tensor.is_contiguous() and tensor.dtype == weight.dtype and not tensor.is_cuda
        for tensor in (*module.parameters(), *module.buffers())
    ) or any(buffer.shape != (module.config.n_features,) for buffer in scaling):
        return "parameters or the scaling do not lie in memory as they were made"
    if module.pooling == "attention":
        return "attention is not compiled"
    if (
        torch_modules._global_forward_hooks
        or torch_modules._global_forward_pre_hooks
        or torch_modules._global_backward_hooks
        or torch_modules._global_backward_pre_hooks
        or any(map(_has_hooks, module.modules()))
    ):
        return "a module has hooks, or parameters that are computed from others"
    return None


def memory_layout(module: RecurrentModule) -> list[int]:
    """Return where the parameters and the buffers of a module lie in memory.

    A program is valid as long as that, and `reason_not_compiled`, stay the same.
    """
    return [t.data_ptr() for t in (*module.parameters(), *module.buffers())]


def _has_hooks(part: Any) -> bool:
    return (
        part._forward_hooks
        or part._forward_pre_hooks
        or part._backward_hooks
        or part._backward_pre_hooks
        or is_parametrized(part)
    )


class CompiledNetwork:
    """The operations of the forward and the backward pass of a module.

    Parameters
    ----------
    module : RecurrentModule
        For which `reason_not_compiled` is None. Its parameters and its scaling are read
        where they are.

    sequences : FlatSequences
        The data, of the dtype of the parameters.

    n_steps, n_rows : int
        Of the largest batch.

    training : bool, default=False
        Whether there is dropout, and a backward pass.

    gradients : dict, default=None
        The array of the gradient of each parameter, by the `id` of the parameter.

    rng : numpy Generator, default=None
        Of dropout.

    initial_states : ndarray of shape (n, module.n_states), default=None
        A row for each row of the order of a call, instead of the states of the module.
    """

    def __init__(
        self,
        module: RecurrentModule,
        sequences: FlatSequences,
        n_steps: int,
        n_rows: int,
        *,
        training: bool = False,
        gradients: Any = None,
        rng: Any = None,
        initial_states: AnyArray | None = None,
    ) -> None:
        self.module = module
        self.sequences = sequences
        self.n_steps = module.count_patches(n_steps)  # of the layers
        self.n_input_steps, self.n_rows = n_steps, n_rows
        self.training = training
        self.gradients, self.rng = gradients, rng
        self.initial_states = initial_states
        weight = module.head.weight
        self.kernels = compiled_kernels(weight.device, weight.dtype)
        self.dtype = weight.detach().numpy().dtype
        self.drops = training and module.dropout > 0
        self.per_step = module.return_sequences
        self.n_hidden = module.n_directions * module.layers[-1].hidden_size
        self.n_outputs = module.config.n_outputs
        self.output = self._head_rows(self.n_outputs)

    # -- arrays

    def _rows(self, *shape: int) -> AnyArray:
        return np.empty((self.n_rows, *shape), self.dtype)

    def _steps(self, *shape: int) -> AnyArray:
        return np.empty((self.n_steps, self.n_rows, *shape), self.dtype)

    def _input_steps(self, *shape: Any) -> AnyArray:
        return np.empty((self.n_input_steps, self.n_rows, *shape), self.dtype)

    def _head_rows(self, n_columns: int) -> AnyArray:
        return self._steps(n_columns) if self.per_step else self._rows(n_columns)

    def _states(self, n_units: int) -> AnyArray:
        """Return the states of all steps, with room for the initial state before."""
        with_initial = np.empty((self.n_steps + 1, self.n_rows, n_units), self.dtype)
        return with_initial[1:]

    def _gradient(self, parameter: Tensor) -> AnyArray:
        return self.gradients[id(parameter)]

    # -- forward

    def forward(self) -> Program:
        """Return the operations from the rows of a batch to `output`, (R, K)."""
        program = self.kernels.Program(self.dtype)
        self.inputs = x = self._read(program)
        if self.module.highway is not None:
            self._fill_lags(program)
        if self.module.patch_size > 1:
            x = self._join_steps(program, x)
        # Of each layer, what its backward pass needs.
        self.layers: list[tuple[Any, list[dict[str, Any]]]] = []
        for i in range(len(self.module.layers)):
            x = self._run_layer(program, i, x)
        self.hidden = x
        self._apply_head(program)
        return program

    def _read(self, program: Program) -> AnyArray:
        """Gather the inputs of the first layer, (L, N, F)."""
        module, flat = self.module, self.sequences
        normalization = flat.normalization
        is_difference = normalization is not None and normalization.drops_first_step
        self.lengths = np.empty(self.n_rows, np.int64)
        program.add(
            "batch_lengths",
            step_counts=flat.n_steps,
            one_less=is_difference,
            lengths=self.lengths,
        )
        place = dict(values=flat.values, start=flat.start, step_stride=flat.step_stride)
        if module.embedding is not None:
            x = self._input_steps(module.config.embedding_dim)
            self.ids = np.empty((self.n_input_steps, self.n_rows), np.int64)
            program.add(
                "gather_embedded",
                **place,
                embedding=_array(module.embedding.weight),
                n_inputs=module.config.embedding_dim,
                ids=self.ids,
                x=x,
            )
            return x
        x = self._input_steps(module.config.n_features)
        place |= dict(
            feature_stride=flat.feature_stride,
            mean=_array(module.input_mean),
            scale=_array(module.input_scale),
            n_features=module.config.n_features,
            x=x,
        )
        program.add("gather", **place, skipped=is_difference)
        if normalization is not None:
            program.add(
                "gather_normalized",
                **place,
                window_norm=self.kernels.WINDOW_NORMS[normalization.kind],
                columns=normalization.columns,
                n_columns=len(normalization.columns),
                min_std=normalization.min_std,
            )
        return x

    def _fill_lags(self, program: Program) -> None:
        """Gather what the highway reads, from all time steps."""
        module = self.module
        self.lags = self._head_rows(module.highway.in_features)
        columns = np.array([*module.ar_columns, *module.other_columns], np.int64)
        program.add(
            "fill_lags",
            per_step=self.per_step,
            order=module.ar_order,
            n_ar_columns=len(module.ar_columns),
            columns=columns,
            n_columns=len(columns),
            x=self.inputs,
            n_features=module.config.n_features,
            n_lags=module.highway.in_features,
            lags=self.lags,
        )

    def _join_steps(self, program: Program, x: AnyArray) -> AnyArray:
        """Return the patches, the time steps of the layers."""
        size, n_features = self.module.patch_size, x.shape[2]
        patches = self._steps(size * n_features)
        program.add(
            "join_steps",
            size=size,
            n_features=n_features,
            x=x,
            lengths=np.empty(self.n_rows, np.int64),
            patches=patches,
        )
        return patches

    def _run_layer(self, program: Program, i: int, x: AnyArray) -> AnyArray:
        """Run a layer in all directions, and return its output, (L, N, D * H)."""
        module, layer = self.module, self.module.layers[i]
        n_inputs, n_units, mask = layer.input_size, layer.hidden_size, None
        if i > 0 and self.drops:
            x, mask = self._drop_out(program, x, self._steps, per_step=True)
        runs = []
        for d, weights in enumerate(layer.all_weights):
            run = self._cell_arrays(n_units)
            run["x"] = x
            if d == 1:
                run["x"] = self._steps(n_inputs)
                _copy(program, x, run["x"], n_inputs, is_reversed=True)
            for part, output in enumerate((run["output"], run["cell_output"])):
                if output is not None:
                    self._set_initial_state(program, i, d, part, output, n_units)
            names = ("w_ih", "w_hh", "b_ih", "b_hh")
            arrays = dict(zip(names, map(_array, weights), strict=True))
            program.add(
                f"{module.cell_type}_layer",
                n_inputs=n_inputs,
                n_units=n_units,
                relu=module.nonlinearity == "relu",
                keep_all=self.training,
                **arrays,
                **run,
            )
            runs.append(run | {"w_ih": arrays["w_ih"], "w_hh": arrays["w_hh"]})
        self.layers.append((mask, runs))
        if len(runs) == 1:
            return runs[0]["output"]
        both = self._steps(2 * n_units)
        for d, run in enumerate(runs):
            column = d * n_units
            _copy(program, run["output"], both, n_units, to=column, is_reversed=d == 1)
        return both

    def _cell_arrays(self, n_units: int) -> dict[str, Any]:
        """Return the arrays that a cell fills in one direction."""
        n_gates = {"rnn": 1, "gru": 3, "lstm": 4}[self.module.cell_type]
        steps = self._steps if self.training else self._rows
        is_rnn = n_gates == 1
        return {
            "output": self._states(n_units),
            "cell_output": self._states(n_units) if n_gates == 4 else None,
            "gates": None if is_rnn else steps(n_gates * n_units),
            "saved": None if is_rnn else steps(n_units),
        }

    def _set_initial_state(
        self,
        program: Program,
        i: int,
        d: int,
        part: int,
        output: AnyArray,
        n_units: int,
    ) -> None:
        module = self.module
        kind, source, column = self.kernels.ZEROS, None, 0
        if self.initial_states is not None:
            kind, source = self.kernels.GIVEN, self.initial_states
            column = module.state_column(i, d, part)
        elif module.learned_states is not None:
            kind = self.kernels.LEARNED
            source = _array(module.learned_states[i])[part, d]
        program.add(
            "set_initial_state",
            output=output,
            n_units=n_units,
            kind=kind,
            source=source,
            n_columns=module.n_states,
            column=column,
        )

    def _drop_out(
        self,
        program: Program,
        x: AnyArray,
        array: Callable[[int], AnyArray],
        per_step: bool,
    ) -> tuple[AnyArray, AnyArray]:
        """Return x times the factors of dropout, and these."""
        n_columns = x.shape[-1]
        out, mask = array(n_columns), array(n_columns)
        interface = self.rng.bit_generator.ctypes
        program.add(
            "drop_out",
            per_step=per_step,
            n_columns=n_columns,
            x=x,
            mask=mask,
            out=out,
            next_double=_address(interface.next_double),
            state=_address(interface.state),
            dropout=self.module.dropout,
        )
        return out, mask

    def _apply_head(self, program: Program) -> None:
        """Pool, and fill `output` by the head and the highway."""
        module = self.module
        self.pooled = self.hidden
        if not self.per_step:
            self.pooled = self._rows(module.n_pooled)
            self._pool(program)
        self.head_input, self.head_mask = self.pooled, None
        if self.drops:
            self.head_input, self.head_mask = self._drop_out(
                program, self.pooled, self._head_rows, self.per_step
            )
        self._linear(program, self.head_input, module.head)
        if module.highway is not None:
            self._linear(program, self.lags, module.highway, adds=True)

    def _pool(self, program: Program) -> None:
        """Fill `pooled`, (N, module.n_pooled), side by side with 'concat'."""
        if self.module.pooling in ("last", "concat"):
            for d, run in enumerate(self.layers[-1][1]):
                n_units = run["output"].shape[2]
                program.add(
                    "take_last",
                    output=run["output"],
                    n_units=n_units,
                    pooled=self.pooled,
                    n_columns=self.module.n_pooled,
                    column=d * n_units,
                )
        for is_mean, column in self._pooled_columns():
            program.add(
                "pool",
                mean=is_mean,
                hidden=self.hidden,
                n_columns=self.n_hidden,
                pooled=self.pooled,
                n_pooled=self.module.n_pooled,
                column=column,
            )

    def _pooled_columns(self) -> list[tuple[bool, int]]:
        """Return whether the mean, and where, for what is pooled over steps."""
        if self.module.pooling == "concat":
            return [(True, self.n_hidden), (False, 2 * self.n_hidden)]
        return {"mean": [(True, 0)], "max": [(False, 0)]}.get(self.module.pooling, [])

    def _linear(
        self, program: Program, x: AnyArray, layer: Any, adds: bool = False
    ) -> None:
        program.add(
            "linear",
            per_step=self.per_step,
            adds=adds,
            x=x,
            n_inputs=layer.in_features,
            weight=_array(layer.weight),
            bias=_array(layer.bias),
            n_outputs=layer.out_features,
            out=self.output,
        )

    def save_states(self, program: Program, states: AnyArray) -> None:
        """Add copies of the last states of all rows to `(N, module.n_states)`.

        Of rows of one step and one direction.
        """
        for i, (_, (run,)) in enumerate(self.layers):
            for part, output in enumerate((run["output"], run["cell_output"])):
                if output is not None:
                    column = self.module.state_column(i, 0, part)
                    _copy(program, output, states[None], output.shape[2], to=column)

    # -- backward

    def backward(self, grad_output: AnyArray) -> Program:
        """Return the operations from the gradient of `output` to those of all weights.

        To be carried out after those of `forward`.
        """
        program = self.kernels.Program(self.dtype)
        module, grad_pooled = self.module, self._head_rows(self.module.n_pooled)
        self._linear_backward(
            program, self.head_input, module.head, grad_output, grad_pooled
        )
        if self.head_mask is not None:
            self._multiply(program, grad_pooled, self.head_mask, self.per_step)
        if module.highway is not None:
            self._linear_backward(program, self.lags, module.highway, grad_output)
        grad_hidden: Any = grad_pooled if self.per_step else None
        if not self.per_step and module.pooling != "last":
            grad_hidden = self._pool_backward(program, grad_pooled)
        for i in reversed(range(len(module.layers))):
            grad_hidden = self._layer_backward(program, i, grad_hidden, grad_pooled)
        if module.embedding is not None:
            if module.patch_size > 1:
                grad_hidden = self._separate_steps(program, grad_hidden)
            program.add(
                "embedding_backward",
                ids=self.ids,
                n_tokens=module.config.n_tokens,
                n_inputs=module.config.embedding_dim,
                grad_x=grad_hidden,
                grad_weight=self._gradient(module.embedding.weight),
            )
        return program

    def _pool_backward(self, program: Program, grad_pooled: AnyArray) -> Any:
        """Return the gradient of the outputs of the last layer, (L, N, D * H)."""
        n_columns, n_pooled = self.n_hidden, self.module.n_pooled
        grad_hidden = self._steps(n_columns)
        program.add("clear_steps", n_columns=n_columns, grad_hidden=grad_hidden)
        for is_mean, column in self._pooled_columns():
            program.add(
                "pool_backward",
                mean=is_mean,
                hidden=self.hidden,
                n_columns=n_columns,
                pooled=self.pooled,
                grad_pooled=grad_pooled,
                n_pooled=n_pooled,
                column=column,
                counts=np.empty(n_columns, self.dtype),
                grad_hidden=grad_hidden,
            )
        if self.module.pooling == "concat":
            program.add(
                "take_last_backward",
                n_columns=n_columns,
                n_forward=self.module.layers[-1].hidden_size,
                grad_pooled=grad_pooled,
                n_pooled=n_pooled,
                column=0,
                grad_hidden=grad_hidden,
            )
        return grad_hidden

    def _separate_steps(self, program: Program, grad_patches: AnyArray) -> AnyArray:
        """Return the gradient of the inputs, of all time steps, (L, N, F)."""
        n_features = self.module.config.embedding_dim
        grad_x = self._input_steps(n_features)
        program.add(
            "separate_steps",
            size=self.module.patch_size,
            n_features=n_features,
            lengths=self.lengths,
            grad_patches=grad_patches,
            grad_x=grad_x,
        )
        return grad_x

    def _layer_backward(
        self,
        program: Program,
        i: int,
        grad_hidden: Any,
        grad_final: Any,
    ) -> Any:
        """Return the gradient of the input of a layer, None if it is not needed.

        `grad_hidden` is that of its output, (L, N, D * H); if it is None, `grad_final`
        is that of its last states, (N, D * H).
        """
        n_inputs, (mask, runs) = self.module.layers[i].input_size, self.layers[i]
        needs_grad_x = i > 0 or self.module.embedding is not None
        grad_x: Any = self._steps(n_inputs) if needs_grad_x else None
        for d in range(len(runs)):
            grad_run_x = grad_x
            if needs_grad_x and d == 1:
                grad_run_x = self._steps(n_inputs)
            self._direction_backward(program, i, d, grad_hidden, grad_final, grad_run_x)
            if needs_grad_x and d == 1:
                _copy(
                    program, grad_run_x, grad_x, n_inputs, is_reversed=True, adds=True
                )
        if mask is not None:
            self._multiply(program, grad_x, mask, per_step=True)
        return grad_x

    def _direction_backward(
        self,
        program: Program,
        i: int,
        d: int,
        grad_hidden: Any,
        grad_final: Any,
        grad_x: Any,
    ) -> None:
        """Fill the gradients of a layer in one direction, see `_layer_backward`."""
        module, runs = self.module, self.layers[i][1]
        layer, run, column = module.layers[i], runs[d], d * module.layers[i].hidden_size
        n_units, two_way = layer.hidden_size, len(runs) == 2
        grad_h = self._rows(n_units)
        grad_c = None if run["cell_output"] is None else self._rows(n_units)
        grad_output = grad_hidden
        if grad_hidden is None or two_way:
            grad_output = self._steps(n_units)
        if grad_hidden is not None and two_way:
            _copy(
                program, grad_hidden, grad_output, n_units, column, is_reversed=d == 1
            )
        program.add(
            "start_backward",
            n_units=n_units,
            grad_h=grad_h,
            grad_c=grad_c,
            grad_final=grad_final if grad_hidden is None else None,
            n_columns=len(runs) * n_units,
            column=column,
            grad_output=grad_output,
        )
        names = ("grad_w_ih", "grad_w_hh", "grad_b_ih", "grad_b_hh")
        gradients = map(self._gradient, layer.all_weights[d])
        program.add(
            f"{module.cell_type}_layer_backward",
            n_inputs=layer.input_size,
            n_units=n_units,
            relu=module.nonlinearity == "relu",
            **run,
            from_hidden=grad_hidden is not None,
            grad_output=grad_output,
            grad_cells=None,
            grad_h=grad_h,
            grad_c=grad_c,
            grad_x=grad_x,
            **dict(zip(names, gradients, strict=True)),
        )
        if module.learned_states is not None:
            gradient = self._gradient(module.learned_states[i])
            for part, grad_state in enumerate((grad_h, grad_c)):
                if grad_state is not None:
                    program.add(
                        "learned_state_backward",
                        n_units=n_units,
                        grad_h=grad_state,
                        grad_state=gradient[part, d],
                    )

    def _linear_backward(
        self,
        program: Program,
        x: AnyArray,
        layer: Any,
        grad_out: AnyArray,
        grad_x: Any = None,
    ) -> None:
        program.add(
            "linear_backward",
            per_step=self.per_step,
            x=x,
            n_inputs=layer.in_features,
            weight=_array(layer.weight),
            n_outputs=layer.out_features,
            grad_out=grad_out,
            grad_x=grad_x,
            grad_weight=self._gradient(layer.weight),
            grad_bias=self._gradient(layer.bias),
        )

    def _multiply(
        self, program: Program, x: AnyArray, factors: AnyArray, per_step: bool
    ) -> None:
        program.add(
            "multiply",
            per_step=per_step,
            n_columns=x.shape[-1],
            x=x,
            factors=factors,
        )


def _copy(
    program: Program,
    x: AnyArray,
    out: AnyArray,
    n_units: int,
    column: int = 0,
    to: int = 0,
    *,
    is_reversed: bool = False,
    adds: bool = False,
) -> None:
    """Copy units of `(L, N, ...)`, with the steps of each row reversed on demand."""
    program.add(
        "copy_units",
        n_units=n_units,
        x=x,
        x_columns=x.shape[2],
        x_column=column,
        out=out,
        out_columns=out.shape[2],
        out_column=to,
        reversed=is_reversed,
        adds=adds,
    )


def _array(tensor: Tensor) -> AnyArray:
    return tensor.detach().numpy()


def _address(pointer: Any) -> int | None:
    """Return the address of a ctypes pointer, or of a ctypes function."""
    return cast(pointer, c_void_p).value
