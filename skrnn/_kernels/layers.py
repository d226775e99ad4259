"""A recurrent layer in one direction, of any cell: forward and backward."""

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
class Run:
    """What a run of a layer found, all that the way back needs.

    Arrays have the axes (M, L, N, ...), `states` and `cells` a step more in front.
    """

    cell_type: str
    relu: bool
    x: np.ndarray
    weights: list
    states: np.ndarray
    cells: np.ndarray | None  # of an LSTM
    kept: tuple  # of a GRU gates and candidates, of an LSTM gates and tanh of cells


def run_layer(cell_type, relu, x, weights, state, empty=np.empty, keep=True):
    """Run a layer over all steps.

    Parameters
    ----------
    cell_type : {'rnn', 'gru', 'lstm'}
        Which cell.

    relu : bool
        Whether an 'rnn' has that in place of tanh.

    x : ndarray of shape (M, L, N, F) or (1, L, N, F)
        The rows of each model, or those of all.

    weights : list of 4 ndarrays
        `(M, G * H, F)`, `(M, G * H, H)`, and twice `(M, G * H)`.

    state : tuple of ndarrays of shape (M, N, H)
        To start from: (h,), of an LSTM (h, c).

    empty : callable, default=numpy.empty
        Gives memory for a shape and a dtype.

    keep : bool, default=True
        Whether the way back is wanted.

    Returns
    -------
    run : Run
    """
    x = np.ascontiguousarray(x)
    weights = [np.ascontiguousarray(w) for w in weights]
    (n_models, n_rows, n_units), n_steps, dtype = state[0].shape, x.shape[1], x.dtype
    states = empty((n_models, n_steps + 1, n_rows, n_units), dtype)
    states[:, 0] = state[0]
    cells, kept = None, ()
    if cell_type == "rnn":
        rnn_forward(x, *weights, relu, states)
        return Run(cell_type, relu, x, weights, states, cells, kept)
    size = (n_models, n_steps if keep else 1, n_rows, len(weights[0][0]))
    kept = empty(size, dtype), empty((*size[:3], n_units), dtype)
    if cell_type == "gru":
        gru_forward(x, *weights, states, *kept)
    else:
        cells = empty(states.shape, dtype)
        cells[:, 0] = state[1]
        lstm_forward(x, *weights, states, cells, *kept)
    return Run(cell_type, relu, x, weights, states, cells, kept)


def go_back(run, d_out, d_state, d_cells=None, *, d_x=False, into=None):
    """Return the gradients of a layer from those of what it found.

    Parameters
    ----------
    run : Run
        What `run_layer` returned.

    d_out : ndarray of shape (M, L, N, H) or None
        Of the states of all steps.

    d_state : list of contiguous ndarrays of shape (M, N, H)
        Of the last state, for each part; they become those of the first.

    d_cells : ndarray of shape (M, L, N, H), default=None
        Of the cells of all steps.

    d_x : bool, default=False
        Whether the gradient of x is wanted.

    into : list of 4 contiguous ndarrays, default=None
        Where the gradients of the weights go.

    Returns
    -------
    d_x : ndarray in the shape of x, or None

    d_weights : list of 4 ndarrays
    """
    n_models, _, n_rows, n_units = run.states.shape
    none = np.empty((n_models, 0, n_rows, n_units), run.states.dtype)
    d_out = none if d_out is None else np.ascontiguousarray(d_out)
    if into is None:
        into = [np.empty_like(w) for w in run.weights]
    of_x = np.zeros(run.x.shape if d_x else (len(run.x), 0, 1, 1), run.x.dtype)
    matrices = run.weights[:2]
    if run.cell_type == "rnn":
        rnn_backward(
            run.x, *matrices, run.relu, run.states, d_out, *d_state, of_x, *into
        )
    elif run.cell_type == "gru":
        gru_backward(
            run.x, *matrices, run.states, *run.kept, d_out, *d_state, of_x, *into
        )
    else:
        d_cells = none if d_cells is None else np.ascontiguousarray(d_cells)
        lstm_backward(
            run.x,
            *matrices,
            run.states,
            run.cells,
            *run.kept,
            d_out,
            d_cells,
            *d_state,
            of_x,
            *into,
        )
    return of_x if d_x else None, into
