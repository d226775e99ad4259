"""One recurrent layer in one direction, of any cell: forward and backward pass."""

from dataclasses import dataclass

import numpy as np

from skrnn._kernels.cells import (
    gru_backward,
    gru_forward,
    lstm_backward,
    lstm_forward,
    rnn_backward,
    rnn_forward,
)


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


def layer_forward(
    cell_type, relu, x, weights, initial_state, empty=np.empty, save=True
):
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

    empty : callable, default=numpy.empty
        Allocates an array of a shape and a dtype.

    save : bool, default=True
        Whether a backward pass follows.

    Returns
    -------
    run : ForwardPass
    """
    x = np.ascontiguousarray(x)
    weights = [np.ascontiguousarray(w) for w in weights]
    (n_rows, n_units), n_steps, dtype = initial_state[0].shape, len(x), x.dtype
    states = empty((n_steps + 1, n_rows, n_units), dtype)
    states[0] = initial_state[0]
    cells, saved = None, ()
    if cell_type == "rnn":
        rnn_forward(x, *weights, relu, states)
        return ForwardPass(cell_type, relu, x, weights, states, cells, saved)
    n_saved = n_steps if save else 1
    saved = (
        empty((n_saved, n_rows, len(weights[0])), dtype),
        empty((n_saved, n_rows, n_units), dtype),
    )
    if cell_type == "gru":
        gru_forward(x, *weights, states, *saved)
    else:
        cells = empty(states.shape, dtype)
        cells[0] = initial_state[1]
        lstm_forward(x, *weights, states, cells, *saved)
    return ForwardPass(cell_type, relu, x, weights, states, cells, saved)


def layer_backward(
    run, grad_output, grad_state, grad_cells=None, *, grad_x=False, out=None
):
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

    out : list of 4 contiguous ndarrays, default=None
        Arrays for the gradients of the weights.

    Returns
    -------
    grad_x : ndarray of shape (L, N, F), or None

    grad_weights : list of 4 ndarrays
    """
    no_gradient = np.empty((0, *run.states.shape[1:]), run.states.dtype)
    if grad_output is None:
        grad_output = no_gradient
    if out is None:
        out = [np.empty_like(w) for w in run.weights]
    grad_input = np.zeros(run.x.shape if grad_x else (0, 1, 1), run.x.dtype)
    inputs = (run.x, *run.weights[:2])
    gradients = (*grad_state, grad_input, *out)
    grad_output = np.ascontiguousarray(grad_output)
    if run.cell_type == "rnn":
        rnn_backward(*inputs, run.relu, run.states, grad_output, *gradients)
    elif run.cell_type == "gru":
        gru_backward(*inputs, run.states, *run.saved, grad_output, *gradients)
    else:
        grad_cells = no_gradient if grad_cells is None else grad_cells
        lstm_backward(
            *inputs,
            run.states,
            run.cells,
            *run.saved,
            grad_output,
            np.ascontiguousarray(grad_cells),
            *gradients,
        )
    return grad_input if grad_x else None, out
