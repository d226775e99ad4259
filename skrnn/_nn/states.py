"""States of recurrent layers as users pass them."""

import numpy as np
import torch


def read_states(h_0, module, n):
    """Return states as users give them in the form that the module takes.

    Parameters
    ----------
    h_0 : array-like, list of arrays, or tuple of two of these
        As `hidden_states` returns `h_n`: `(layers * D, N, H)`, or for layers of
        different sizes a list of `(D, N, H)`; of an LSTM a tuple of two.

    module : RecurrentModule
        Says what is wanted.

    n : int
        Rows.

    Raises
    ------
    ValueError
        If a shape is another than wanted.
    """
    wanted = module.zero_states(n)
    names = ("h_0", "c_0") if module.cell_type == "lstm" else ("h_0",)
    given = h_0 if len(names) == 2 else (h_0,)
    if len(names) == 2 and not (isinstance(h_0, tuple) and len(h_0) == 2):
        raise ValueError(
            "h_0 must be a tuple (h_0, c_0) for cell_type='lstm'. Got "
            f"{type(h_0).__name__}."
        )
    sizes = [layer.hidden_size for layer in module.layers]
    same, n_directions = len(set(sizes)) == 1, wanted[0][0].shape[0]
    columns = []
    for name, of_layers in zip(names, given, strict=True):
        shapes = [(n_directions, n, size) for size in sizes]
        if same:
            shape = (len(sizes) * n_directions, n, sizes[0])
            if np.shape(of_layers) != shape:
                raise ValueError(
                    f"{name} must have shape {shape}: layers times directions, "
                    f"sequences, hidden_size. Got shape {np.shape(of_layers)}."
                )
            of_layers = np.split(np.asarray(of_layers), len(sizes))
        elif [np.shape(of_layer) for of_layer in of_layers] != shapes:
            raise ValueError(
                f"{name} must be a list of arrays of shapes {shapes}, one for each "
                f"layer. Got {[np.shape(of_layer) for of_layer in of_layers]}."
            )
        if not all(np.isfinite(of_layer).all() for of_layer in of_layers):
            raise ValueError(f"{name} must be finite. Got NaN or infinity.")
        columns.append(of_layers)
    weight = module.head.weight
    return [
        tuple(torch.as_tensor(part).to(weight) for part in of_layer)
        for of_layer in zip(*columns, strict=True)
    ]
