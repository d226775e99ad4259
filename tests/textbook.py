"""Recurrent networks as textbooks write them, one step of one row at a time, in numpy.

The oracle of several test files. It shares no line with the package, and reads
weights by the names and in the order of gates that torch documents.
"""

import numpy as np

CELLS = [("rnn", "tanh"), ("rnn", "relu"), ("gru", "tanh"), ("lstm", "tanh")]


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def run_cell(cell_type, nonlinearity, x, weights):
    """Return the hidden state after each step of one row `x`, `(L, H)`."""
    weight_ih, weight_hh, bias_ih, bias_hh = (np.asarray(w, float) for w in weights)
    h = np.zeros(weight_hh.shape[1])
    c = np.zeros_like(h)
    states = []
    for x_t in np.asarray(x, float):
        from_input = weight_ih @ x_t + bias_ih
        from_state = weight_hh @ h + bias_hh
        if cell_type == "rnn":
            a = from_input + from_state
            h = np.tanh(a) if nonlinearity == "tanh" else np.maximum(a, 0)
        elif cell_type == "gru":
            r_x, z_x, n_x = np.split(from_input, 3)
            r_h, z_h, n_h = np.split(from_state, 3)
            r, z = sigmoid(r_x + r_h), sigmoid(z_x + z_h)
            n = np.tanh(n_x + r * n_h)
            h = (1 - z) * n + z * h
        else:
            i, f, g, o = np.split(from_input + from_state, 4)
            c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
            h = sigmoid(o) * np.tanh(c)
        states.append(h)
    return np.stack(states)


def run_layer(cell_type, nonlinearity, x, directions):
    """Return the output of each step `(L, D * H)` and the last states `(D * H,)`.

    `directions` holds the four weights of the forward direction, and of the backward
    one if there is one.
    """
    outputs = run_cell(cell_type, nonlinearity, x, directions[0])
    last = outputs[-1]
    if len(directions) == 2:
        backwards = run_cell(cell_type, nonlinearity, x[::-1], directions[1])
        last = np.concatenate([last, backwards[-1]])
        outputs = np.concatenate([outputs, backwards[::-1]], axis=1)
    return outputs, last


def join_steps(x, size):
    """Return patches of `size` steps of `x`, the first step repeated in front."""
    x = np.concatenate([x[:1]] * (-len(x) % size) + [x])
    return np.stack([x[i : i + size].ravel() for i in range(0, len(x), size)])


def run_network(model, state, x):
    """Return the raw outputs `(K,)` for one row `x`, already scaled.

    `model` is the fitted estimator, `state` the state dict of its module.
    """
    x = join_steps(np.asarray(x), model.patch_size_)
    for layer in range(sum(name.endswith("weight_ih_l0") for name in state)):
        directions = [
            [
                state[f"layers.{layer}.{kind}_l0{suffix}"]
                for kind in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
            ]
            for suffix in ("", "_reverse")
            if f"layers.{layer}.weight_ih_l0{suffix}" in state
        ]
        x, last = run_layer(model.cell_type, model.nonlinearity, x, directions)
    pooled = {"last": last, "mean": x.mean(axis=0), "max": x.max(axis=0)}
    pooled["concat"] = np.concatenate(list(pooled.values()))
    weight, bias = np.asarray(state["head.weight"]), np.asarray(state["head.bias"])
    return weight @ pooled[model.pooling_] + bias
