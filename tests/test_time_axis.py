"""The network recurs over time, and over nothing else."""

import numpy as np
import pytest
from estimators import X, tiny, y


@pytest.mark.parametrize(
    ("cell_type", "bidirectional", "pooling", "num_layers"),
    [
        ("rnn", False, "last", 1),
        ("gru", False, "last", 2),
        ("lstm", True, "last", 1),
        ("rnn", False, "mean", 1),
        ("gru", False, "max", 1),
        ("lstm", True, "max", 2),
    ],
)
def test_every_step_changes_the_prediction(
    cell_type, bidirectional, pooling, num_layers
):
    model = tiny(
        hidden_size=8,
        cell_type=cell_type,
        bidirectional=bidirectional,
        pooling=pooling,
        num_layers=num_layers,
    ).fit(X, y)
    before = model.predict(X)

    for step in range(X.shape[1]):
        # In both directions, since the maximum over steps may ignore one of them.
        differs = np.zeros(len(X), dtype=bool)
        for difference in (10.0, -10.0):
            changed = X.copy()
            changed[:, step] += difference
            differs |= model.predict(changed) != before
        assert differs.all(), f"step {step}"
    last_step_only = X.copy()
    last_step_only[:, :-1] = 0.0
    assert (np.abs(model.predict(last_step_only) - before) > 1e-6).all()


@pytest.mark.parametrize("cell_type", ["rnn", "gru", "lstm"])
def test_order_of_steps_changes_the_prediction_and_other_rows_do_not(cell_type):
    model = tiny(cell_type=cell_type).fit(X, y)
    others = X.copy()
    others[1:] = 5.0

    assert (model.predict(X[:, ::-1]) != model.predict(X)).all()
    assert model.predict(others)[0] == model.predict(X)[0]
