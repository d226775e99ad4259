"""Many batches in one compiled call: forward and backward pass, clipping and Adam.

The engine of `skrnn._training` does not use it yet.

Each batch is gathered from where its rows lie, normalised and standardised, run through
all layers, pooled, and passed to the linear head, the highway and the loss; the
backward pass fills the gradients of all parameters, and Adam takes a step.

The functions are specialised by cell and dtype only. What a network looks like is read
from the arrays of a `Network`, so that one compilation serves all configurations.

Legend of shapes: n rows of the data, N rows of a batch, L time steps, F features,
H hidden units, D directions, K outputs, R rows of the head (N, or L * N with an output
per time step). Time is the first axis.
"""

from typing import NamedTuple

import numpy as np
from numba.extending import overload

from skrnn._kernels.adam import adam_step
from skrnn._kernels.cells import (
    gru_backward,
    gru_forward,
    lstm_backward,
    lstm_forward,
    rnn_backward,
    rnn_forward,
)
from skrnn._kernels.compilation import compiled, compiled_helper
from skrnn._kernels.losses import row_loss
from skrnn._kernels.products import (
    add_column_sums,
    add_matmul,
    add_transposed_matmul,
    fill_rows,
    pack,
    pack_transpose,
)

# Values of `Network.pooling`, `Network.initial_state` and `Rows.window_norm`.
PER_STEP, LAST, MEAN, MAX = 0, 1, 2, 3
ZEROS, NORMAL, LEARNED = 0, 1, 2
NO_NORM, LAST_NORM, STANDARD, DIFFERENCE, STEP_DIFFERENCE = 0, 1, 2, 3, 4

# By the names that the parameters of estimators have for them.
POOLINGS = {"last": LAST, "mean": MEAN, "max": MAX}
INITIAL_STATES = {"zeros": ZEROS, "normal": NORMAL, "learned": LEARNED}
WINDOW_NORMS = {
    None: NO_NORM,
    "last": LAST_NORM,
    "standard": STANDARD,
    "difference": DIFFERENCE,
    "difference of steps": STEP_DIFFERENCE,
}


# -- the cell, whose type decides which functions are compiled in


class RNNCell(NamedTuple):
    """nn.RNN, with tanh or relu."""

    relu: bool


class GRUCell(NamedTuple):
    """nn.GRU."""

    n_gates: int


class LSTMCell(NamedTuple):
    """nn.LSTM."""

    n_gates: int


def cell_forward(cell, x, weights, states, cells, gates, saved):
    """Run one layer in one direction, see `skrnn._kernels.cells`."""


@overload(cell_forward)
def _cell_forward(cell, x, weights, states, cells, gates, saved):
    if cell.instance_class is RNNCell:

        def implementation(cell, x, weights, states, cells, gates, saved):
            rnn_forward(x, *weights, cell.relu, states)

    elif cell.instance_class is GRUCell:

        def implementation(cell, x, weights, states, cells, gates, saved):
            gru_forward(x, *weights, states, gates, saved)

    else:

        def implementation(cell, x, weights, states, cells, gates, saved):
            lstm_forward(x, *weights, states, cells, gates, saved)

    return implementation


def cell_backward(
    cell, x, weights, states, cells, gates, saved, grad_output, grad_h, grad_c, grad_x,
    grad_weights,
):  # fmt: skip
    """Run the backward pass of one layer in one direction."""


@overload(cell_backward)
def _cell_backward(
    cell, x, weights, states, cells, gates, saved, grad_output, grad_h, grad_c, grad_x,
    grad_weights,
):  # fmt: skip
    if cell.instance_class is RNNCell:

        def implementation(
            cell, x, weights, states, cells, gates, saved, grad_output, grad_h, grad_c,
            grad_x, grad_weights,
        ):  # fmt: skip
            rnn_backward(
                x, weights[0], weights[1], cell.relu, states, grad_output, grad_h,
                grad_x, *grad_weights,
            )  # fmt: skip

    elif cell.instance_class is GRUCell:

        def implementation(
            cell, x, weights, states, cells, gates, saved, grad_output, grad_h, grad_c,
            grad_x, grad_weights,
        ):  # fmt: skip
            gru_backward(
                x, weights[0], weights[1], states, gates, saved, grad_output, grad_h,
                grad_x, *grad_weights,
            )  # fmt: skip

    else:

        def implementation(
            cell, x, weights, states, cells, gates, saved, grad_output, grad_h, grad_c,
            grad_x, grad_weights,
        ):  # fmt: skip
            no_grad_cells = grad_output[:0]
            lstm_backward(
                x, weights[0], weights[1], states, cells, gates, saved, grad_output,
                no_grad_cells, grad_h, grad_c, grad_x, *grad_weights,
            )  # fmt: skip

    return implementation


# -- what the functions are given


class Network(NamedTuple):
    """A network, as offsets into the flat array of its parameters.

    Offsets of what it lacks are -1.
    """

    sizes: np.ndarray  # (layers, 2): inputs and hidden units of each layer
    weights: np.ndarray  # (layers, D, 4): offsets of w_ih, w_hh, b_ih and b_hh
    learned: np.ndarray  # (layers,): offsets of the learned states (parts, D, H)
    head: np.ndarray  # (2,): offsets of the weight and the bias
    highway: np.ndarray  # (2,): likewise
    embedding: int  # offset of the vectors of the tokens
    n_outputs: int
    n_gates: int
    pooling: int
    initial_state: int
    ar_order: int
    ar_columns: np.ndarray  # of which the highway reads the last `ar_order` steps
    other_columns: np.ndarray  # of which it reads the last step
    input_mean: np.ndarray  # (F,)
    input_scale: np.ndarray  # (F,)


class Rows(NamedTuple):
    """The rows of a data set: sequences where they lie in memory, targets, weights.

    `values[start[i] + t * step_stride + f * feature_stride]` is feature f of step t of
    row i.
    """

    values: np.ndarray  # one-dimensional
    start: np.ndarray  # (n,)
    n_steps: np.ndarray  # (n,)
    step_stride: int
    feature_stride: int
    window_norm: int
    norm_columns: np.ndarray  # that are normalised
    min_std: np.ndarray  # that 'standard' divides by at least
    numbers: np.ndarray  # (n, targets), or (S, targets) of steps
    codes: np.ndarray  # (n,) or (S,): classes
    weights: np.ndarray  # (n,) or (S,), or empty
    target_start: np.ndarray  # (n,): the first of the S steps of each row


class Loss(NamedTuple):
    """A loss, see `skrnn._kernels.losses`."""

    kind: int
    levels: np.ndarray
    label_weights: np.ndarray


class Adam(NamedTuple):
    """The state and the options of Adam, see `skrnn._kernels.adam`."""

    exp_avg: np.ndarray
    exp_avg_sq: np.ndarray
    max_norm: float
    betas: tuple
    eps: float
    weight_decay: float
    decoupled: bool


# -- arrays in one workspace


@compiled_helper
def reserve(free, size):
    """Return the end of an array of `size` elements that starts at `free`."""
    return free + (size + 15) // 16 * 16


@compiled_helper
def matrix(flat, start, n_rows, n_columns):
    """Return a matrix that lies in a flat array."""
    return flat[start : start + n_rows * n_columns].reshape(n_rows, n_columns)


@compiled_helper
def steps_array(flat, start, n_steps, n_rows, n_columns):
    """Return an array `(steps, rows, columns)` that lies in a flat array."""
    size = n_steps * n_rows * n_columns
    return flat[start : start + size].reshape(n_steps, n_rows, n_columns)


@compiled_helper
def layer_weights(flat, network, i, d):
    """Return w_ih, w_hh, b_ih and b_hh of a layer and direction, or their gradients."""
    n_inputs, n_units = network.sizes[i]
    n_rows = network.n_gates * n_units
    w_ih, w_hh, b_ih, b_hh = network.weights[i, d]
    return (
        matrix(flat, w_ih, n_rows, n_inputs),
        matrix(flat, w_hh, n_rows, n_units),
        flat[b_ih : b_ih + n_rows],
        flat[b_hh : b_hh + n_rows],
    )


@compiled_helper
def linear_weights(flat, offsets, n_outputs, n_inputs):
    """Return the weight and the bias of a linear layer, or their gradients."""
    weight, bias = offsets
    return matrix(flat, weight, n_outputs, n_inputs), flat[bias : bias + n_outputs]


# -- reading a batch


@compiled_helper
def batch_lengths(data, rows, lengths):
    """Fill the number of steps of each row of a batch.

    Returns
    -------
    n_steps : int
        The largest.

    ragged : bool
        Whether they differ.
    """
    one_less = 1 if data.window_norm == DIFFERENCE else 0
    shortest = longest = data.n_steps[rows[0]] - one_less
    for n in range(len(rows)):
        lengths[n] = data.n_steps[rows[n]] - one_less
        shortest, longest = min(shortest, lengths[n]), max(longest, lengths[n])
    return longest, shortest < longest


@compiled_helper
def gather(network, data, rows, lengths, x):
    """Fill `x`, (L, N, F), with the standardised steps of rows; zeros after the end."""
    n_features = x.shape[2]
    number = x.dtype.type
    skipped = 1 if data.window_norm == DIFFERENCE else 0
    for n in range(len(rows)):
        first = data.start[rows[n]] + skipped * data.step_stride
        for t in range(lengths[n]):
            at = first + t * data.step_stride
            for f in range(n_features):
                value = data.values[at + f * data.feature_stride]
                x[t, n, f] = (value - network.input_mean[f]) / network.input_scale[f]
        for t in range(lengths[n], len(x)):
            for f in range(n_features):
                x[t, n, f] = 0
    if data.window_norm == NO_NORM:
        return
    for n in range(len(rows)):
        for k in range(len(data.norm_columns)):
            f = data.norm_columns[k]
            at = data.start[rows[n]] + f * data.feature_stride
            n_steps = lengths[n] + skipped
            location, scale = window_statistics(data, at, n_steps, data.min_std[k])
            for t in range(lengths[n]):
                here = at + (t + skipped) * data.step_stride
                value = np.float64(data.values[here])
                if data.window_norm >= DIFFERENCE:
                    before = here if t + skipped == 0 else here - data.step_stride
                    value -= np.float64(data.values[before])
                else:
                    value = (value - location) / scale
                x[t, n, f] = (number(value) - network.input_mean[f]) / (
                    network.input_scale[f]
                )


@compiled_helper
def window_statistics(data, at, n_steps, min_std):
    """Return what a column of a window is normalised by: location and scale."""
    if data.window_norm == LAST_NORM:
        return np.float64(data.values[at + (n_steps - 1) * data.step_stride]), 1.0
    if data.window_norm != STANDARD:
        return 0.0, 1.0
    mean = 0.0
    for t in range(n_steps):
        mean += np.float64(data.values[at + t * data.step_stride])
    mean /= n_steps
    squares = 0.0
    for t in range(n_steps):
        deviation = np.float64(data.values[at + t * data.step_stride]) - mean
        squares += deviation * deviation
    return mean, max(np.sqrt(squares / n_steps), min_std)


@compiled_helper
def gather_embedded(network, params, data, rows, lengths, ids, x):
    """Fill `ids`, (L, N), with token ids, and `x`, (L, N, F), with their vectors."""
    n_inputs = x.shape[2]
    for n in range(len(rows)):
        first = data.start[rows[n]]
        for t in range(len(x)):
            token = 0
            if t < lengths[n]:
                token = np.int64(data.values[first + t * data.step_stride])
            ids[t, n] = token
            at = network.embedding + token * n_inputs
            for j in range(n_inputs):
                x[t, n, j] = params[at + j]


@compiled_helper
def fill_lags(network, x, lengths, lags):
    """Fill what the highway reads, `(R, ar_order * columns + others)`.

    See `RecurrentModule.highway_inputs`.
    """
    n_steps, n_rows, _ = x.shape
    order, n_columns = network.ar_order, len(network.ar_columns)
    for n in range(n_rows):
        last_steps = (
            range(n_steps)
            if network.pooling == PER_STEP
            else (range(lengths[n] - 1, lengths[n]))
        )
        for last in last_steps:
            row = lags[last * n_rows + n if network.pooling == PER_STEP else n]
            for i in range(order):
                step = max(last - (order - 1 - i), 0)
                for k in range(n_columns):
                    row[i * n_columns + k] = x[step, n, network.ar_columns[k]]
            for k in range(len(network.other_columns)):
                row[order * n_columns + k] = x[last, n, network.other_columns[k]]


# -- the forward pass


@compiled_helper
def reverse_valid(x, first, lengths, out, out_first, n_units):
    """Copy units of `x`, (L, N, ...), with the valid steps of each row reversed.

    They begin at `first` in `x` and at `out_first` in `out`.
    """
    for t in range(len(x)):
        for n in range(len(lengths)):
            step = lengths[n] - 1 - t
            row, out_row = x[step if step >= 0 else t, n], out[t, n]
            for j in range(n_units):
                out_row[out_first + j] = row[first + j]


@compiled_helper
def copy_units(x, first, out, out_first, n_units):
    """Copy units of `x`, (L, N, ...), to `out`, as `reverse_valid` without reversal."""
    for t in range(len(x)):
        for n in range(x.shape[1]):
            row, out_row = x[t, n], out[t, n]
            for j in range(n_units):
                out_row[out_first + j] = row[first + j]


@compiled_helper
def draw_mask(mask, dropout, rng):
    """Fill a flat array with the factors of dropout."""
    factor = mask.dtype.type(1 / (1 - dropout))
    for i in range(len(mask)):
        mask[i] = factor if rng.random() >= dropout else 0


@compiled_helper
def set_initial_state(network, params, i, d, part, state, training, rng):
    """Fill `state`, (N, H), with the initial h (part 0) or c (part 1) of a layer."""
    n_rows, n_units = state.shape
    if network.initial_state == LEARNED:
        n_directions = network.weights.shape[1]
        at = network.learned[i] + (part * n_directions + d) * n_units
        for n in range(n_rows):
            for j in range(n_units):
                state[n, j] = params[at + j]
    elif network.initial_state == NORMAL and training:
        for n in range(n_rows):
            for j in range(n_units):
                state[n, j] = rng.standard_normal()
    else:
        for n in range(n_rows):
            for j in range(n_units):
                state[n, j] = 0


# Columns of `places`, where the arrays of a layer and direction lie in the workspace.
X, STATES, CELLS, GATES, SAVED = 0, 1, 2, 3, 4


@compiled_helper
def layer_arrays(network, places, workspace, n_steps, n_rows, n_kept, i, d):
    """Return x, states, cells, gates and saved of a layer and direction."""
    n_inputs, n_units = network.sizes[i]
    n_gates = network.n_gates
    place = places[i, d]
    n_cells = n_steps + 1 if n_gates == 4 else 0
    n_kept = n_kept if n_gates > 1 else 0
    return (
        steps_array(workspace, place[X], n_steps, n_rows, n_inputs),
        steps_array(workspace, place[STATES], n_steps + 1, n_rows, n_units),
        steps_array(workspace, place[CELLS], n_cells, n_rows, n_units),
        steps_array(workspace, place[GATES], n_kept, n_rows, n_gates * n_units),
        steps_array(workspace, place[SAVED], n_kept, n_rows, n_units),
    )


@compiled_helper
def layers_forward(
    cell, network, params, lengths, n_steps, dropout, training, rng, workspace, free,
    x_at, places, masks,
):  # fmt: skip
    """Run all layers on the input at `x_at`.

    Returns
    -------
    hidden_at, free : int
        Where the output of the last layer, (L, N, D * H), lies in the workspace, and
        where its unused part begins.
    """
    n_layers, n_directions, _ = network.weights.shape
    n_rows = len(lengths)
    n_kept = n_steps if training else 1
    for i in range(n_layers):
        n_inputs, n_units = network.sizes[i]
        size = n_steps * n_rows * n_inputs
        masks[i] = -1
        if i > 0 and training and dropout > 0:
            masks[i], source = free, x_at
            x_at = reserve(free, size)
            free = reserve(x_at, size)
            mask = workspace[masks[i] : masks[i] + size]
            draw_mask(mask, dropout, rng)
            for k in range(size):
                workspace[x_at + k] = workspace[source + k] * mask[k]
        for d in range(n_directions):
            place = places[i, d]
            place[X] = x_at
            if d == 1:
                place[X] = free
                free = reserve(free, size)
                reverse_valid(
                    steps_array(workspace, x_at, n_steps, n_rows, n_inputs),
                    0,
                    lengths,
                    steps_array(workspace, place[X], n_steps, n_rows, n_inputs),
                    0,
                    n_inputs,
                )
            place[STATES] = free
            free = reserve(free, (n_steps + 1) * n_rows * n_units)
            place[CELLS] = free
            if network.n_gates == 4:
                free = reserve(free, (n_steps + 1) * n_rows * n_units)
            place[GATES] = free
            if network.n_gates > 1:
                free = reserve(free, n_kept * n_rows * network.n_gates * n_units)
            place[SAVED] = free
            if network.n_gates > 1:
                free = reserve(free, n_kept * n_rows * n_units)
            x, states, cells, gates, saved = layer_arrays(
                network, places, workspace, n_steps, n_rows, n_kept, i, d
            )
            for part in range(2 if network.n_gates == 4 else 1):
                state = cells[0] if part == 1 else states[0]
                set_initial_state(network, params, i, d, part, state, training, rng)
            weights = layer_weights(params, network, i, d)
            cell_forward(cell, x, weights, states, cells, gates, saved)
        x_at = places[i, 0, STATES] + n_rows * n_units
        if n_directions == 2:
            x_at, source = free, x_at
            free = reserve(free, n_steps * n_rows * 2 * n_units)
            both = steps_array(workspace, x_at, n_steps, n_rows, 2 * n_units)
            copy_units(
                steps_array(workspace, source, n_steps, n_rows, n_units),
                0,
                both,
                0,
                n_units,
            )
            source = places[i, 1, STATES] + n_rows * n_units
            reverse_valid(
                steps_array(workspace, source, n_steps, n_rows, n_units),
                0,
                lengths,
                both,
                n_units,
                n_units,
            )
    return x_at, free


@compiled_helper
def pool_forward(network, workspace, places, lengths, hidden, pooled):
    """Fill `pooled`, (N, D * H), from the outputs of the last layer, (L, N, D * H)."""
    n_layers, n_directions, _ = network.weights.shape
    n_steps, n_rows, n_pooled = hidden.shape
    n_units = n_pooled // n_directions
    if network.pooling == LAST:
        for d in range(n_directions):
            at = places[n_layers - 1, d, STATES]
            states = steps_array(workspace, at, n_steps + 1, n_rows, n_units)
            for n in range(n_rows):
                for j in range(n_units):
                    pooled[n, d * n_units + j] = states[lengths[n], n, j]
        return
    for n in range(n_rows):
        row = pooled[n]
        for j in range(n_pooled):
            row[j] = hidden[0, n, j]
        for t in range(1, lengths[n]):
            hidden_t = hidden[t, n]
            if network.pooling == MEAN:
                for j in range(n_pooled):
                    row[j] += hidden_t[j]
            else:
                for j in range(n_pooled):
                    larger = hidden_t[j] > row[j] or np.isnan(hidden_t[j])
                    row[j] = hidden_t[j] if larger else row[j]
        if network.pooling == MEAN:
            for j in range(n_pooled):
                row[j] /= lengths[n]


@compiled_helper
def pool_backward(network, lengths, hidden, pooled, grad_pooled, grad_hidden):
    """Fill the gradient of the outputs of the last layer, for 'mean' and 'max'."""
    _, n_rows, n_pooled = hidden.shape
    grad_hidden[:] = 0
    for n in range(n_rows):
        if network.pooling == MEAN:
            for t in range(lengths[n]):
                for j in range(n_pooled):
                    grad_hidden[t, n, j] = grad_pooled[n, j] / lengths[n]
            continue
        for j in range(n_pooled):  # equal largest steps share the gradient
            count = 0
            for t in range(lengths[n]):
                count += hidden[t, n, j] == pooled[n, j]
            for t in range(lengths[n]):
                if hidden[t, n, j] == pooled[n, j]:
                    grad_hidden[t, n, j] = grad_pooled[n, j] / count


@compiled_helper
def losses_and_gradients(network, data, loss, rows, lengths, output, grad_output):
    """Return the loss of a batch, and fill the gradient of its raw outputs, (R, K).

    It is that of `RecurrentNet.get_loss`.
    """
    number = output.dtype.type
    n_rows = len(rows)
    per_step = network.pooling == PER_STEP
    weighted = len(data.weights) > 0
    n_terms = len(output) if per_step and not weighted else n_rows
    total = 0.0
    if per_step:
        grad_output[:] = 0
    for n in range(n_rows):
        target = data.target_start[rows[n]] if per_step else rows[n]
        for t in range(lengths[n] if per_step else 1):
            r = t * n_rows + n
            value = row_loss(
                loss.kind,
                output[r],
                data.numbers[target + t],
                data.codes[target + t],
                loss.levels,
                loss.label_weights,
                grad_output[r],
            )
            weight = data.weights[target + t] if weighted else number(1)
            total += np.float64(value) * np.float64(weight)
            factor = weight / number(n_terms)
            for k in range(network.n_outputs):
                grad_output[r, k] *= factor
    return total / n_terms


@compiled_helper
def output_forward(
    network, params, lengths, n_steps, dropout, training, rng, workspace, free,
    inputs_at, hidden_at, places, masks,
):  # fmt: skip
    """Pool the hidden states, and apply the head and the highway.

    Returns
    -------
    pooled_at, lags_at, output_at, free : int
        Where the input of the head, that of the highway, and the raw outputs lie in the
        workspace, and where its unused part begins.
    """
    n_layers, n_directions, _ = network.weights.shape
    n_rows, n_outputs = len(lengths), network.n_outputs
    n_pooled = n_directions * network.sizes[n_layers - 1, 1]
    per_step = network.pooling == PER_STEP
    n_head_rows = n_steps * n_rows if per_step else n_rows
    size = n_head_rows * n_pooled
    pooled_at = hidden_at
    if not per_step:
        pooled_at = free
        free = reserve(free, size)
        pool_forward(
            network,
            workspace,
            places,
            lengths,
            steps_array(workspace, hidden_at, n_steps, n_rows, n_pooled),
            matrix(workspace, pooled_at, n_rows, n_pooled),
        )
    masks[n_layers] = -1
    if training and dropout > 0:
        masks[n_layers] = free
        free = reserve(free, size)
        mask = workspace[masks[n_layers] : masks[n_layers] + size]
        draw_mask(mask, dropout, rng)
        source, pooled_at = pooled_at, free
        free = reserve(free, size)
        for k in range(size):
            workspace[pooled_at + k] = workspace[source + k] * mask[k]
    output_at = free
    free = reserve(free, n_head_rows * n_outputs)
    output = matrix(workspace, output_at, n_head_rows, n_outputs)
    weight, bias = linear_weights(params, network.head, n_outputs, n_pooled)
    fill_rows(output, bias)
    pooled = matrix(workspace, pooled_at, n_head_rows, n_pooled)
    add_matmul(pooled, pack_transpose(weight), output)
    lags_at = free
    if network.highway[0] >= 0:
        n_lags = network.ar_order * len(network.ar_columns) + len(network.other_columns)
        free = reserve(free, n_head_rows * n_lags)
        lags = matrix(workspace, lags_at, n_head_rows, n_lags)
        n_inputs = network.sizes[0, 0]
        inputs = steps_array(workspace, inputs_at, n_steps, n_rows, n_inputs)
        fill_lags(network, inputs, lengths, lags)
        weight, bias = linear_weights(params, network.highway, n_outputs, n_lags)
        add_matmul(lags, pack_transpose(weight), output)
        for r in range(n_head_rows):
            for k in range(n_outputs):
                output[r, k] += bias[k]
    return pooled_at, lags_at, output_at, free


# -- the backward pass


@compiled_helper
def output_backward(
    network, params, grad, workspace, free, n_head_rows, masks, pooled_at, lags_at,
    grad_output,
):  # fmt: skip
    """Fill the gradients of the head and the highway.

    Returns
    -------
    grad_pooled_at, free : int
        Where the gradient of the pooled states lies in the workspace, and where its
        unused part begins.
    """
    n_layers, n_directions, _ = network.weights.shape
    n_outputs = network.n_outputs
    n_pooled = n_directions * network.sizes[n_layers - 1, 1]
    size = n_head_rows * n_pooled
    weight, _ = linear_weights(params, network.head, n_outputs, n_pooled)
    grad_weight, grad_bias = linear_weights(grad, network.head, n_outputs, n_pooled)
    pooled = matrix(workspace, pooled_at, n_head_rows, n_pooled)
    add_transposed_matmul(grad_output, pooled, grad_weight)
    add_column_sums(grad_output, grad_bias)
    if network.highway[0] >= 0:
        n_lags = network.ar_order * len(network.ar_columns) + len(network.other_columns)
        lags = matrix(workspace, lags_at, n_head_rows, n_lags)
        grad_weight, grad_bias = linear_weights(
            grad, network.highway, n_outputs, n_lags
        )
        add_transposed_matmul(grad_output, lags, grad_weight)
        add_column_sums(grad_output, grad_bias)
    grad_pooled_at = free
    free = reserve(free, size)
    workspace[grad_pooled_at : grad_pooled_at + size] = 0
    grad_pooled = matrix(workspace, grad_pooled_at, n_head_rows, n_pooled)
    add_matmul(grad_output, pack(weight), grad_pooled)
    mask_at = masks[n_layers]
    if mask_at >= 0:
        for k in range(size):
            workspace[grad_pooled_at + k] *= workspace[mask_at + k]
    return grad_pooled_at, free


@compiled_helper
def layers_backward(
    cell, network, params, grad, lengths, ragged, n_steps, workspace, free, places,
    masks, grad_hidden_at, grad_final_at,
):  # fmt: skip
    """Fill the gradients of all layers.

    Parameters
    ----------
    grad_hidden_at : int
        Where the gradient of the output of the last layer, (L, N, D * H), lies in the
        workspace; -1 if there is none.

    grad_final_at : int
        Likewise, of its last states, (N, D * H).

    Returns
    -------
    grad_x_at : int
        Where the gradient of the input lies; -1 unless the network has an embedding.
    """
    n_layers, n_directions, _ = network.weights.shape
    n_rows = len(lengths)
    for i in range(n_layers - 1, -1, -1):
        n_inputs, n_units = network.sizes[i]
        size = n_steps * n_rows * n_inputs
        needs_grad_x = i > 0 or network.embedding >= 0
        grad_x_at = -1
        for d in range(n_directions):
            x, states, cells, gates, saved = layer_arrays(
                network, places, workspace, n_steps, n_rows, n_steps, i, d
            )
            grad_h = matrix(workspace, free, n_rows, n_units)
            free = reserve(free, n_rows * n_units)
            grad_c = matrix(workspace, free, n_rows, n_units)
            free = reserve(free, n_rows * n_units)
            grad_h[:] = 0
            grad_c[:] = 0
            n_with_gradient = n_steps
            grad_output_at = free
            if grad_hidden_at >= 0 and n_directions == 1:
                grad_output_at = grad_hidden_at
            elif grad_hidden_at >= 0:
                free = reserve(free, n_steps * n_rows * n_units)
                both = steps_array(
                    workspace, grad_hidden_at, n_steps, n_rows, 2 * n_units
                )
                grad_output = steps_array(
                    workspace, grad_output_at, n_steps, n_rows, n_units
                )
                if d == 1:
                    reverse_valid(both, n_units, lengths, grad_output, 0, n_units)
                else:
                    copy_units(both, 0, grad_output, 0, n_units)
            elif ragged:
                free = reserve(free, n_steps * n_rows * n_units)
                workspace[grad_output_at:free] = 0
            else:
                n_with_gradient = 0
            grad_output = steps_array(
                workspace, grad_output_at, n_with_gradient, n_rows, n_units
            )
            if grad_final_at >= 0:
                grad_final = matrix(
                    workspace, grad_final_at, n_rows, n_directions * n_units
                )
                for n in range(n_rows):
                    grad_state = grad_output[lengths[n] - 1, n] if ragged else grad_h[n]
                    for j in range(n_units):
                        grad_state[j] += grad_final[n, d * n_units + j]
            at = free
            grad_x = steps_array(
                workspace, at, n_steps if needs_grad_x else 0, n_rows, n_inputs
            )
            if needs_grad_x:
                free = reserve(free, size)
                grad_x[:] = 0
            cell_backward(
                cell, x, layer_weights(params, network, i, d), states, cells, gates,
                saved, grad_output, grad_h, grad_c, grad_x,
                layer_weights(grad, network, i, d),
            )  # fmt: skip
            if network.initial_state == LEARNED:
                learned = network.learned[i]
                for part in range(2 if network.n_gates == 4 else 1):
                    start = learned + (part * n_directions + d) * n_units
                    add_column_sums(
                        grad_h if part == 0 else grad_c, grad[start : start + n_units]
                    )
            if needs_grad_x and d == 0:
                grad_x_at = at
            elif needs_grad_x:
                total = steps_array(workspace, grad_x_at, n_steps, n_rows, n_inputs)
                for t in range(n_steps):
                    for n in range(n_rows):
                        step = lengths[n] - 1 - t
                        row = grad_x[step if step >= 0 else t, n]
                        total_row = total[t, n]
                        for j in range(n_inputs):
                            total_row[j] += row[j]
        if needs_grad_x and masks[i] >= 0:
            for k in range(size):
                workspace[grad_x_at + k] *= workspace[masks[i] + k]
        grad_hidden_at, grad_final_at = grad_x_at, -1
    return grad_hidden_at


@compiled_helper
def embedding_backward(network, grad, ids, grad_x):
    """Add the gradient of the inputs to that of the vectors of the tokens."""
    n_inputs = grad_x.shape[2]
    for t in range(len(ids)):
        for n in range(ids.shape[1]):
            if ids[t, n] > 0:  # the vector of padding stays as it is
                at = network.embedding + ids[t, n] * n_inputs
                for j in range(n_inputs):
                    grad[at + j] += grad_x[t, n, j]


# -- whole batches


@compiled
def train_batches(
    cell, network, data, loss, adam, params, grad, order, bounds, lrs, step, dropout,
    rng, workspace,
):  # fmt: skip
    """Train on batches one after the other.

    Parameters
    ----------
    cell : RNNCell, GRUCell or LSTMCell

    network : Network

    data : Rows

    loss : Loss

    adam : Adam

    params, grad : ndarrays of shape (P,)
        Parameters and their gradients, changed in place.

    order : ndarray of int
        The rows of all batches.

    bounds : ndarray of int of shape (batches + 1,)
        Where each batch begins in `order`, and where the last one ends.

    lrs : ndarray of shape (batches,)
        Learning rates.

    step : int
        How many steps Adam has taken before.

    dropout : float
        Probability of zeroing a value.

    rng : numpy.random.Generator
        Of dropout and of random initial states.

    workspace : ndarray
        At least `workspace_size` elements, of the dtype of `params`.

    Returns
    -------
    total : float
        Sum of the losses of the batches, each times its number of rows.
    """
    n_layers, n_directions, _ = network.weights.shape
    places = np.empty((n_layers, n_directions, 5), dtype=np.int64)
    masks = np.empty(n_layers + 1, dtype=np.int64)
    n_pooled = n_directions * network.sizes[n_layers - 1, 1]
    per_step = network.pooling == PER_STEP
    total = 0.0
    for b in range(len(lrs)):
        rows = order[bounds[b] : bounds[b + 1]]
        lengths = np.empty(len(rows), dtype=np.int64)
        (n_steps, ragged), n_rows = batch_lengths(data, rows, lengths), len(rows)
        grad[:] = 0
        ids, inputs_at, free = read_inputs(
            network, params, data, rows, lengths, n_steps, workspace
        )
        hidden_at, free = layers_forward(
            cell, network, params, lengths, n_steps, dropout, True, rng, workspace,
            free, inputs_at, places, masks,
        )  # fmt: skip
        pooled_at, lags_at, output_at, free = output_forward(
            network, params, lengths, n_steps, dropout, True, rng, workspace, free,
            inputs_at, hidden_at, places, masks,
        )  # fmt: skip
        n_head_rows = n_steps * n_rows if per_step else n_rows
        output = matrix(workspace, output_at, n_head_rows, network.n_outputs)
        grad_output = matrix(workspace, free, n_head_rows, network.n_outputs)
        free = reserve(free, n_head_rows * network.n_outputs)
        value = losses_and_gradients(
            network, data, loss, rows, lengths, output, grad_output
        )
        total += value * n_rows
        grad_pooled_at, free = output_backward(
            network, params, grad, workspace, free, n_head_rows, masks, pooled_at,
            lags_at, grad_output,
        )  # fmt: skip
        grad_hidden_at, grad_final_at = -1, -1
        if per_step:
            grad_hidden_at = grad_pooled_at
        elif network.pooling == LAST:
            grad_final_at = grad_pooled_at
        else:
            grad_hidden_at = free
            free = reserve(free, n_steps * n_rows * n_pooled)
            pool_backward(
                network,
                lengths,
                steps_array(workspace, hidden_at, n_steps, n_rows, n_pooled),
                matrix(workspace, pooled_at, n_rows, n_pooled),
                matrix(workspace, grad_pooled_at, n_rows, n_pooled),
                steps_array(workspace, grad_hidden_at, n_steps, n_rows, n_pooled),
            )
        grad_x_at = layers_backward(
            cell, network, params, grad, lengths, ragged, n_steps, workspace, free,
            places, masks, grad_hidden_at, grad_final_at,
        )  # fmt: skip
        if network.embedding >= 0:
            n_inputs = network.sizes[0, 0]
            grad_x = steps_array(workspace, grad_x_at, n_steps, n_rows, n_inputs)
            embedding_backward(network, grad, ids, grad_x)
        adam_step(
            params, grad, adam.exp_avg, adam.exp_avg_sq, adam.max_norm, lrs[b],
            adam.betas, adam.eps, adam.weight_decay, adam.decoupled, step + b + 1,
        )  # fmt: skip
    return total


@compiled_helper
def read_inputs(network, params, data, rows, lengths, n_steps, workspace):
    """Read a batch into the beginning of the workspace.

    Returns
    -------
    ids : ndarray of shape (L, N), or (0, 0)
        Of tokens, if the network has an embedding.

    inputs_at, free : int
        Where the inputs, (L, N, F), lie in the workspace, and where its unused part
        begins.
    """
    n_rows, n_inputs = len(rows), network.sizes[0, 0]
    x = steps_array(workspace, 0, n_steps, n_rows, n_inputs)
    if network.embedding >= 0:
        ids = np.empty((n_steps, n_rows), dtype=np.int64)
        gather_embedded(network, params, data, rows, lengths, ids, x)
    else:
        ids = np.empty((0, 0), dtype=np.int64)
        gather(network, data, rows, lengths, x)
    return ids, 0, reserve(0, n_steps * n_rows * n_inputs)


@compiled
def evaluate_batches(
    cell, network, data, loss, params, order, bounds, rng, workspace
):  # fmt: skip
    """Return the sum of the losses of batches, each times its number of rows.

    The parameters are those of `train_batches`; nothing is changed.
    """
    n_layers, n_directions, _ = network.weights.shape
    places = np.empty((n_layers, n_directions, 5), dtype=np.int64)
    masks = np.empty(n_layers + 1, dtype=np.int64)
    per_step = network.pooling == PER_STEP
    total = 0.0
    for b in range(len(bounds) - 1):
        rows = order[bounds[b] : bounds[b + 1]]
        lengths = np.empty(len(rows), dtype=np.int64)
        (n_steps, _), n_rows = batch_lengths(data, rows, lengths), len(rows)
        _, inputs_at, free = read_inputs(
            network, params, data, rows, lengths, n_steps, workspace
        )
        hidden_at, free = layers_forward(
            cell, network, params, lengths, n_steps, 0.0, False, rng, workspace, free,
            inputs_at, places, masks,
        )  # fmt: skip
        _, _, output_at, free = output_forward(
            network, params, lengths, n_steps, 0.0, False, rng, workspace, free,
            inputs_at, hidden_at, places, masks,
        )  # fmt: skip
        n_head_rows = n_steps * n_rows if per_step else n_rows
        output = matrix(workspace, output_at, n_head_rows, network.n_outputs)
        grad_output = matrix(workspace, free, n_head_rows, network.n_outputs)
        value = losses_and_gradients(
            network, data, loss, rows, lengths, output, grad_output
        )
        total += value * n_rows
    return total


def workspace_size(network, n_steps, n_rows):
    """Return how many elements `train_batches` needs for a batch of (L, N)."""
    n_layers, n_directions, _ = network.weights.shape
    total = reserve.py_func(0, n_steps * n_rows * network.sizes[0, 0])
    for n_inputs, n_units in network.sizes.tolist():
        inputs, units = n_steps * n_rows * n_inputs, n_steps * n_rows * n_units
        state = n_rows * n_units
        per_direction = (
            2 * inputs  # reversed, and its gradient
            + 2 * (units + state)  # states and cells
            + (network.n_gates + 2) * units  # gates, saved, gradient of the output
            + 2 * state  # gradients of h and c
        )
        total += 2 * inputs + n_directions * (per_direction + units)
    n_head_rows = n_steps * n_rows
    n_pooled = n_directions * network.sizes[-1, 1]
    n_lags = network.ar_order * len(network.ar_columns) + len(network.other_columns)
    total += n_head_rows * (5 * int(n_pooled) + 2 * network.n_outputs + n_lags)
    # Each array may be followed by up to 15 unused elements.
    return int(total) + 16 * (16 * n_layers * n_directions + 16)
