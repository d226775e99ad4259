import numpy as np
import pytest
from estimators import (
    N_FEATURES,
    N_SAMPLES,
    N_TIMESTEPS,
    normal,
    over_estimators,
    sequences,
    targets,
    tiny,
)

from skrnn import RNNRegressor


@pytest.mark.parametrize(
    "one_row",
    [
        lambda: np.ones((1, N_TIMESTEPS)),
        lambda: np.ones((1, N_TIMESTEPS, N_FEATURES)),
        lambda: [np.ones((N_TIMESTEPS, N_FEATURES))],
        lambda: [np.ones((1, N_FEATURES))],
    ],
    ids=["2-D", "3-D", "list", "one step"],
)
@over_estimators
def test_one_row_in_gives_one_row_out(cls, one_row):
    row = one_row()
    X = np.repeat(row, 20, axis=0) if isinstance(row, np.ndarray) else row * 20
    estimator = tiny(cls).fit(X, targets())

    assert estimator.predict(row).shape == (1,)
    if cls is not RNNRegressor:
        assert estimator.predict_proba(row).shape == (1, 2)
        assert estimator.predict_log_proba(row).shape == (1, 2)


@pytest.mark.parametrize("n_outputs", [1, 3])
def test_one_row_in_gives_one_row_of_several_outputs(n_outputs):
    X = sequences()
    estimator = tiny(RNNRegressor).fit(X, normal(N_SAMPLES, n_outputs))

    assert estimator.predict(X[:1]).shape == (1, n_outputs)


def test_one_row_can_be_fitted():
    X = sequences(1)
    estimator = tiny(RNNRegressor).fit(X, [3.0])

    assert np.isfinite(estimator.predict(X)).all()
    assert estimator.predict(X).shape == (1,)
