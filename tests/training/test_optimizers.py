"""Optimisers, weight decay and the bound of the gradient."""

import subprocess
import sys
from itertools import groupby
from operator import itemgetter

import numpy as np
import pytest
import torch
from training_data import (
    N_ROWS,
    TINY,
    X,
    flatten,
    initial_weights,
    y,
)

from skrnn import RNNRegressor
from skrnn._nn.noise import Noise
from skrnn._training.net import RecurrentNet

# -- optimisers


@pytest.mark.parametrize(
    ("name", "optimizer_class", "lr"),
    [
        ("adam", torch.optim.Adam, 0.01),
        ("adamw", torch.optim.AdamW, 0.01),
        ("sgd", torch.optim.SGD, 0.1),
        ("rmsprop", torch.optim.RMSprop, 0.01),
        ("lbfgs", torch.optim.LBFGS, 1.0),
    ],
)
def test_optimizers_train_alike_by_name_and_by_class(name, optimizer_class, lr):
    by_name, by_class = (
        RNNRegressor(**TINY, optimizer=optimizer, lr=lr, lr_schedule=None).fit(X, y)
        for optimizer in (name, optimizer_class)
    )

    assert isinstance(by_name.net_.optimizer_, optimizer_class)
    assert type(by_name.net_.optimizer_) is type(by_class.net_.optimizer_)
    assert by_name.loss_curve_ == by_class.loss_curve_
    assert np.all(np.diff(by_name.loss_curve_) < 0)


@pytest.mark.parametrize("params", [{"dropout": 0.5}, {"initial_state": "normal"}])
def test_a_line_search_draws_the_same_numbers_in_each_evaluation(params, monkeypatch):
    evaluations = []  # of a batch: its rows and all numbers that were drawn
    original = RecurrentNet.get_loss
    draws = {name: getattr(Noise, name) for name in ("mask", "normal")}
    drawn = []

    def record(name):
        def draw(*args):
            drawn.append(draws[name](*args))
            return drawn[-1]

        return draw

    def get_loss(net, output, target, X, training=False):
        if training:
            numbers = tuple(part.numpy().tobytes() for part in drawn)
            evaluations.append((float(X["values"].sum()), numbers))
            drawn.clear()
        return original(net, output, target, X, training)

    for name in draws:
        monkeypatch.setattr(Noise, name, record(name))
    monkeypatch.setattr(RecurrentNet, "get_loss", get_loss)
    RNNRegressor(**TINY, **params, optimizer="lbfgs", batch_size=10).fit(X, y)

    of_batches = [list(group) for _, group in groupby(evaluations, itemgetter(0))]
    assert len(of_batches) == 6  # 3 epochs of 2 batches
    assert max(map(len, of_batches)) > 3
    for group in of_batches:
        assert len(set(group)) == 1
    assert len({group[0][1] for group in of_batches}) == 6


@pytest.mark.slow
@pytest.mark.parametrize("optimizer", ["adam", "adamw"])
def test_a_compiled_fit_does_not_load_the_compiler_of_torch(optimizer):
    pytest.importorskip("numba", reason="torch's own engine loads it")
    code = f"""
import pickle, sys
import numpy as np
from skrnn import RNNRegressor
X = np.zeros((9, 3, 1))
model = RNNRegressor(optimizer={optimizer!r}, max_epochs=1).fit(X, X[:, 0, 0])
assert model.engine_ == "compiled"
pickle.loads(pickle.dumps(model)).predict(X)
assert "torch._dynamo" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", code], check=True)


def test_any_optimizer_of_torch_can_be_used():
    class GradientAscent(torch.optim.SGD):
        @torch.no_grad()
        def step(self, closure=None):
            for group in self.param_groups:
                for parameter in group["params"]:
                    parameter += group["lr"] * parameter.grad

    model = RNNRegressor(**TINY, optimizer=GradientAscent, lr=0.01).fit(X, y)

    assert np.all(np.diff(model.loss_curve_) > 0)


def test_optimizer_without_weight_decay_can_be_used():
    model = RNNRegressor(**TINY, optimizer=torch.optim.Rprop).fit(X, y)

    assert model.loss_curve_[-1] < model.loss_curve_[0]


def test_optimizer_params_reach_the_optimizer():
    params = {"momentum": 0.9, "nesterov": True}
    one_batch = TINY | dict(max_epochs=2, batch_size=N_ROWS, max_grad_norm=None)
    curves = {}

    for name, optimizer_params in (("plain", None), ("momentum", params)):
        model = RNNRegressor(
            **one_batch, optimizer="sgd", optimizer_params=optimizer_params
        ).fit(X, y)
        curves[name] = model.loss_curve_

    assert params.items() <= model.net_.optimizer_.param_groups[0].items()
    assert curves["momentum"][0] == curves["plain"][0]  # before the first step
    assert curves["momentum"][1] < curves["plain"][1]
    assert params == {"momentum": 0.9, "nesterov": True}


@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
def test_weight_decay_subtracts_a_fraction_of_the_weights(optimizer):
    one_step = TINY | dict(max_epochs=1, lr=0.01, lr_schedule=None)
    plain, decayed = (
        flatten(
            RNNRegressor(**one_step, optimizer=optimizer, weight_decay=decay)
            .fit(X, y)
            .module_.state_dict()
        )
        for decay in (0.0, 0.5)
    )

    lost = 0.01 * 0.5 * flatten(initial_weights())
    np.testing.assert_allclose(plain - decayed, lost, atol=1e-12)


@pytest.mark.parametrize("optimizer", ["adam", "rmsprop"])
def test_weight_decay_of_other_optimizers_shrinks_the_weights(optimizer):
    norms = [
        np.linalg.norm(
            flatten(
                RNNRegressor(**TINY, optimizer=optimizer, weight_decay=decay, lr=0.05)
                .fit(X, y)
                .module_.state_dict()
            )
        )
        for decay in (0.0, 1.0, 10.0)
    ]

    assert norms[0] > norms[1] > norms[2]


def test_weight_decay_auto_is_a_tenth_for_adamw():
    automatic, explicit, none = (
        RNNRegressor(**TINY, optimizer="adamw", weight_decay=decay, lr=0.1)
        .fit(X, y)
        .loss_curve_
        for decay in ("auto", 0.1, 0.0)
    )

    assert automatic == explicit != none


def test_weight_decay_auto_is_zero_for_other_optimizers():
    for optimizer in ("adam", "sgd", "rmsprop"):
        automatic, none = (
            RNNRegressor(**TINY, optimizer=optimizer, weight_decay=decay)
            .fit(X, y)
            .loss_curve_
            for decay in ("auto", 0.0)
        )
        assert automatic == none


def test_max_grad_norm_bounds_the_norm_of_the_gradient():
    one_step = TINY | dict(max_epochs=1, batch_size=N_ROWS, lr_schedule=None)
    sgd = dict(optimizer="sgd", weight_decay=0.0, lr=1.0)
    start = flatten(initial_weights())

    def step(max_grad_norm):
        model = RNNRegressor(**one_step, **sgd, max_grad_norm=max_grad_norm)
        return flatten(model.fit(X, y).module_.state_dict()) - start

    unbounded = step(None)
    norm = np.linalg.norm(unbounded)
    assert 0.1 < norm < 1e6
    for bound in (1e-3, 0.1, 1e6):
        np.testing.assert_allclose(
            step(bound), unbounded * min(1, bound / norm), rtol=1e-4
        )
