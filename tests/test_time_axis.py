import numpy as np
import pytest
from estimators import (
    N_SAMPLES,
    N_TIMESTEPS,
    normal,
    over_cells,
    sequences,
    tiny,
)

from skrnn import RNNRegressor

over_readings = pytest.mark.parametrize(
    ("bidirectional", "pooling", "num_layers"),
    [
        (False, "last", 1),
        (True, "last", 1),
        (False, "mean", 1),
        (False, "max", 1),
        (True, "max", 2),
        (False, "last", 2),
    ],
)


def fitted_reader(cell_type, bidirectional, pooling, num_layers):
    return tiny(
        RNNRegressor,
        hidden_size=8,
        cell_type=cell_type,
        bidirectional=bidirectional,
        pooling=pooling,
        num_layers=num_layers,
    ).fit(sequences(), normal(N_SAMPLES))


@over_readings
@over_cells
def test_blanking_all_but_the_last_step_changes_the_prediction(
    cell_type, bidirectional, pooling, num_layers
):
    X = sequences()
    estimator = fitted_reader(cell_type, bidirectional, pooling, num_layers)
    blanked = X.copy()
    blanked[:, :-1] = 0.0

    difference = np.abs(estimator.predict(blanked) - estimator.predict(X))

    assert (difference > 1e-6).all()


@pytest.mark.parametrize("step", range(N_TIMESTEPS))
@over_readings
@over_cells
def test_changing_any_step_changes_the_prediction(
    cell_type, bidirectional, pooling, num_layers, step
):
    X = sequences()
    estimator = fitted_reader(cell_type, bidirectional, pooling, num_layers)
    changed = X.copy()
    # Up and down, since the maximum over steps need not see one of the two.
    changed[:, step] += 10.0
    other = X.copy()
    other[:, step] -= 10.0

    differences = [
        estimator.predict(each) != estimator.predict(X) for each in (changed, other)
    ]

    assert np.logical_or(*differences).all()


@over_cells
def test_reversing_time_changes_the_prediction(cell_type):
    X = sequences()
    estimator = fitted_reader(cell_type, False, "last", 1)

    assert (estimator.predict(X[:, ::-1]) != estimator.predict(X)).all()


@over_cells
def test_other_rows_do_not_change_the_prediction_of_a_row(cell_type):
    X = sequences()
    estimator = fitted_reader(cell_type, False, "last", 1)
    others = X.copy()
    others[1:] = 5.0

    assert estimator.predict(others)[0] == estimator.predict(X)[0]
