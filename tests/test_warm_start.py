import numpy as np
import pytest
from estimators import (
    N_ROWS,
    STILL,
    TINY,
    X,
    assert_same_model,
    cases,
    make_case,
    outputs,
    whole,
    y,
)

from skrnn import (
    RNNRegressor,
)


@cases
def test_warm_start_goes_on_where_it_stopped(case):
    params = dict(warm_start=True, lr_schedule=None)
    model, sequences, target = make_case(case, **params)
    at_once, _, _ = make_case(case, **params, max_epochs=6)
    at_once.fit(sequences, target)

    first_half = model.fit(sequences, target).loss_curve_
    model.fit(sequences, target)

    assert model.n_iter_ == 6
    assert model.loss_curve_[:3] == first_half
    tolerance = 1e-5 if case == "float32" else 1e-12
    np.testing.assert_allclose(model.loss_curve_, at_once.loss_curve_, rtol=tolerance)
    np.testing.assert_allclose(
        outputs(model, sequences), outputs(at_once, sequences), rtol=tolerance
    )


@pytest.mark.parametrize("optimizer", ["adam", "adamw", "rmsprop", "sgd", "lbfgs"])
def test_warm_start_keeps_the_moments_of_the_optimizer(optimizer):
    params = TINY | dict(
        optimizer=optimizer,
        optimizer_params={"momentum": 0.9} if optimizer == "sgd" else None,
        lr=0.1,
        lr_schedule=None,
        batch_size=N_ROWS,
        warm_start=True,
    )
    at_once = RNNRegressor(**params | {"max_epochs": 6}).fit(X, y)

    in_parts = RNNRegressor(**params).fit(X, y).fit(X, y)

    np.testing.assert_allclose(in_parts.loss_curve_, at_once.loss_curve_, rtol=1e-12)


def test_warm_start_runs_the_schedule_anew():
    model = RNNRegressor(**TINY, warm_start=True).fit(X, y)

    model.fit(X, y)

    rates = model.history_["lr"].to_numpy()
    assert len(set(rates[:3])) == 3
    np.testing.assert_array_equal(rates[3:], rates[:3])


def test_warm_start_keeps_the_scaling():
    model = RNNRegressor(**TINY | STILL, warm_start=True).fit(X, y)
    before = model.predict(X)

    model.fit(100 + X, 1000 * y)

    np.testing.assert_array_equal(model.predict(X), before)


def test_fit_without_warm_start_begins_anew():
    model = RNNRegressor(**TINY).fit(100 + X, 1000 * y)
    model.partial_fit(X, y)

    assert_same_model(model.fit(X, y), RNNRegressor(**TINY).fit(X, y))


@pytest.mark.parametrize("again", ["fit", "partial_fit"])
@pytest.mark.parametrize(
    ("change", "name", "now", "before"),
    [
        ({"hidden_size": 5}, "hidden_size", (5,), (4,)),
        ({"hidden_size": (4, 3)}, "hidden_size", (4, 3), (4,)),
        ({"num_layers": 2}, "hidden_size", (4, 4), (4,)),
        ({"cell_type": "gru"}, "cell_type", "gru", "rnn"),
        ({"nonlinearity": "relu"}, "nonlinearity", "relu", "tanh"),
        ({"bidirectional": True}, "bidirectional", True, False),
        ({"pooling": "mean"}, "pooling", "mean", "last"),
    ],
    ids=str,
)
def test_training_cannot_go_on_with_another_network(change, name, now, before, again):
    model = RNNRegressor(**TINY, warm_start=True).fit(X, y)

    message = (
        f"The '{name}' parameter must stay as it was while training continues with "
        f"warm_start or partial_fit. Got {now!r} after {before!r}. Set "
        "warm_start=False and call fit."
    )
    with pytest.raises(ValueError, match=whole(message)):
        getattr(model.set_params(**change), again)(X, y)
