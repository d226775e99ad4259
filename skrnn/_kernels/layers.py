"""One recurrent layer in one direction, of any cell: forward and backward pass."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from skrnn._kernels.operations import run_operation
from skrnn._typing import AnyArray


@dataclass
class ForwardPass:
    """What a forward pass computed, all that the backward pass needs.

    Legend of shapes as in `skrnn._kernels.cells`.
    """

    cell_type: str
    relu: bool
    x: np.ndarray
    weights: list
    states: np.ndarray  # (L + 1, N, H), the initial state first
    cells: np.ndarray | None  # likewise, of an LSTM
    saved: tuple  # (gates, new_gate_h) of a GRU, (gates, tanh_cell) of an LSTM

    def arguments(self) -> dict[str, Any]:
        """Return the arguments of both passes, see `skrnn._kernels.recurrent`."""
        gates, saved = self.saved
        return {
            "n_inputs": self.x.shape[2],
            "n_units": self.states.shape[2],
            "relu": self.relu,
            "x": self.x,
            "w_ih": self.weights[0],
            "w_hh": self.weights[1],
            "output": self.states[1:],
            "cell_output": None if self.cells is None else self.cells[1:],
            "gates": gates,
            "saved": saved,
        }


def layer_forward(
    cell_type: str,
    relu: bool,
    x: AnyArray,
    weights: list[AnyArray],
    initial_state: Sequence[AnyArray],
    save: bool = True,
) -> ForwardPass:
    """Run a layer over all steps.

    Parameters
    ----------
    cell_type : {'rnn', 'gru', 'lstm'}
        Which cell.

    relu : bool
        Whether the activation of an 'rnn' is relu instead of tanh.

    x : ndarray of shape (L, N, F)
        Input.

    weights : list of 4 ndarrays
        `w_ih` (G * H, F), `w_hh` (G * H, H), `b_ih` and `b_hh` (G * H,).

    initial_state : sequence of ndarrays of shape (N, H)
        (h_0,), for an LSTM (h_0, c_0).

    save : bool, default=True
        Whether a backward pass follows.

    Returns
    -------
    run : ForwardPass
    """
    x = np.ascontiguousarray(x)
    weights = [np.ascontiguousarray(w) for w in weights]
    (n_rows, n_units), n_steps, dtype = initial_state[0].shape, len(x), x.dtype
    states = np.empty((n_steps + 1, n_rows, n_units), dtype)
    states[0] = initial_state[0]
    cells, saved = None, (None, None)
    if cell_type != "rnn":
        n_saved = n_steps if save else 1
        saved = (
            np.empty((n_saved, n_rows, len(weights[0])), dtype),
            np.empty((n_saved, n_rows, n_units), dtype),
        )
    if cell_type == "lstm":
        cells = np.empty_like(states)
        cells[0] = initial_state[1]
    run = ForwardPass(cell_type, relu, x, weights, states, cells, saved)
    _, _, b_ih, b_hh = weights
    run_operation(
        f"{cell_type}_layer",
        dtype,
        n_steps,
        n_rows,
        keep_all=save,
        **run.arguments(),
        b_ih=b_ih,
        b_hh=b_hh,
    )
    return run


def layer_backward(
    run: ForwardPass,
    grad_output: AnyArray | None,
    grad_state: Sequence[AnyArray],
    grad_cells: AnyArray | None = None,
    *,
    grad_x: bool = False,
) -> tuple[AnyArray | None, list[AnyArray]]:
    """Return the gradients of x and of the weights of a layer.

    Parameters
    ----------
    run : ForwardPass
        What `layer_forward` returned.

    grad_output : ndarray of shape (L, N, H) or None
        Gradient of the states of all steps.

    grad_state : list of contiguous ndarrays of shape (N, H)
        Gradient of the last state, (h,) or (h, c); replaced by that of the initial
        state.

    grad_cells : ndarray of shape (L, N, H), default=None
        Gradient of the cells of all steps.

    grad_x : bool, default=False
        Whether the gradient of x is needed.

    Returns
    -------
    grad_x : ndarray of shape (L, N, F), or None

    grad_weights : list of 4 ndarrays
    """
    n_steps, n_rows, _ = run.x.shape
    grad_weights = [np.empty_like(w) for w in run.weights]
    grad_input = np.empty_like(run.x) if grad_x else None
    grad_output, grad_cells = (
        None if gradient is None else np.ascontiguousarray(gradient)
        for gradient in (grad_output, grad_cells)
    )
    grad_h, *grad_c = grad_state
    names = ("grad_w_ih", "grad_w_hh", "grad_b_ih", "grad_b_hh")
    run_operation(
        f"{run.cell_type}_layer_backward",
        run.x.dtype,
        n_steps,
        n_rows,
        **run.arguments(),
        from_hidden=grad_output is not None,
        grad_output=grad_output,
        grad_cells=grad_cells,
        grad_h=grad_h,
        grad_c=grad_c[0] if grad_c else None,
        grad_x=grad_input,
        **dict(zip(names, grad_weights, strict=True)),
    )
    return grad_input, grad_weights
