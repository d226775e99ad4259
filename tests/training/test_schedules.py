"""Learning rates."""

import math

import numpy as np
import pytest
import torch
from training_data import (
    TINY,
    X,
    one_cycle,
    y,
)

from skrnn import RNNRegressor
from skrnn._training.schedules import learning_rates


# -- learning rates
@pytest.mark.parametrize("schedule", ["one_cycle", "cosine"])
def test_learning_rates_lie_between_zero_and_lr(schedule):
    for n_steps in (1, 2, 3, 10, 101):
        rates = learning_rates(schedule, 0.2, n_steps)
        assert len(rates) == n_steps
        assert min(rates) > 0
        assert max(rates) <= 0.2


def test_one_cycle_rises_for_three_tenths_and_falls_after():
    rates = np.array(learning_rates("one_cycle", 0.2, 1000))

    assert (np.diff(rates[:300]) > 0).all()
    assert (np.diff(rates[300:]) < 0).all()
    assert rates.max() == pytest.approx(0.2, rel=1e-4)
    assert rates[0] == pytest.approx(0.2 / 25, rel=1e-3)
    assert rates[-1] == pytest.approx(0.2 / 250_000, rel=0.5)
    np.testing.assert_allclose(
        rates, [one_cycle(0.2, (i + 0.5) / 1000) for i in range(1000)], rtol=1e-9
    )


def test_one_cycle_is_the_curve_of_torch():
    n_steps = 2_000  # so many that the middle of a step is hardly another point
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.1)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, 0.2, n_steps, cycle_momentum=False
    )
    expected = []
    for _ in range(n_steps):
        expected.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()

    found = learning_rates("one_cycle", 0.2, n_steps)

    np.testing.assert_allclose(found, expected, atol=0.2 * 5e-3)


def test_cosine_falls_from_lr_to_zero_along_half_a_cosine():
    rates = learning_rates("cosine", 0.2, 8)

    expected = [0.2 * math.cos(math.pi * (i + 0.5) / 16) ** 2 for i in range(8)]
    np.testing.assert_allclose(rates, expected, rtol=1e-12)


def test_other_schedules_are_not_computed_in_advance():
    assert learning_rates("plateau", 0.2, 10) is None
    assert learning_rates(None, 0.2, 10) is None


@pytest.mark.parametrize("schedule", ["one_cycle", "cosine"])
def test_learning_rate_changes_with_each_batch(schedule):
    model = RNNRegressor(**TINY, batch_size=8, lr=0.2, lr_schedule=schedule).fit(X, y)

    last_of_epoch = learning_rates(schedule, 0.2, 9)[2::3]  # 3 epochs of 3 batches
    assert model.history_["lr"].tolist() == last_of_epoch


def test_plateau_halves_the_rate_after_five_epochs_without_progress():
    model = RNNRegressor(
        **TINY | {"max_epochs": 14},
        optimizer="sgd",
        weight_decay=0.0,
        lr=1.0,
        max_grad_norm=1e-30,  # the loss never falls
        lr_schedule="plateau",
    ).fit(X, y)

    # The first epoch is the best; the rate falls after the sixth without progress.
    assert model.history_["lr"].tolist() == [1.0] * 7 + [0.5] * 6 + [0.25]


@pytest.mark.parametrize(("sign", "last"), [(1, 0.01), (-1, 0.005)])
def test_plateau_monitors_the_validation_loss_if_there_is_one(sign, last):
    model = RNNRegressor(
        **TINY | {"max_epochs": 12}, lr=0.01, lr_schedule="plateau"
    ).fit(X, y, X_val=X, y_val=y.mean() + sign * (y - y.mean()))

    assert np.all(np.diff(model.loss_curve_) < 0)
    assert np.all(sign * np.diff(model.validation_loss_curve_[1:]) < 0)
    assert model.history_["lr"].iloc[-1] == last
