"""What 'auto' stands for."""

import numpy as np
import pytest
from messages import raises
from numpy.testing import assert_allclose

from skrnn import BiRNNClassifier, RNNClassifier, RNNRegressor
from skrnn._training.automatic import (
    choose_max_epochs,
    choose_patch_size,
    choose_pooling,
)

TINY = dict(hidden_size=3, random_state=0)
rng = np.random.default_rng(0)
LONG, SHORT = rng.normal(size=(12, 90, 2)), rng.normal(size=(12, 40, 2))
LABELS = np.arange(12) % 2


@pytest.mark.parametrize(
    ("n_steps", "patch_size", "pooling"),
    [
        ([1], 1, "last"),
        ([40, 40], 1, "last"),
        ([41], 3, "concat"),
        ([150], 8, "concat"),
        ([1000], 50, "concat"),
        ([10, 10, 1000], 1, "last"),  # one long sequence does not decide
    ],
)
def test_long_sequences_are_read_in_twenty_patches(n_steps, patch_size, pooling):
    n_steps = np.array(n_steps)
    assert choose_patch_size(n_steps) == patch_size
    assert choose_pooling(n_steps) == pooling


@pytest.mark.parametrize(
    ("n_rows", "n_steps", "expected"),
    [(10, 40, 60), (10, 100, 120), (100, 100, 60), (90, 100, 80), (10_000, 100, 60)],
)
def test_few_long_sequences_are_trained_on_for_more_epochs(n_rows, n_steps, expected):
    assert choose_max_epochs(np.full(n_rows, n_steps), batch_size=32) == expected


@pytest.mark.parametrize("cls", [RNNClassifier, BiRNNClassifier, RNNRegressor])
def test_what_was_chosen_is_a_fitted_attribute(cls):
    model = cls(**TINY).fit(LONG, LABELS)
    assert (model.pooling_, model.patch_size_, model.n_iter_) == ("concat", 5, 120)
    model.fit(SHORT, LABELS)
    assert (model.pooling_, model.patch_size_, model.n_iter_) == ("last", 1, 60)
    model.set_params(pooling="mean", patch_size=7, max_epochs=2).fit(LONG, LABELS)
    assert (model.pooling_, model.patch_size_, model.n_iter_) == ("mean", 7, 2)


@pytest.mark.parametrize(
    "params",
    [{"tbptt_steps": 10}, {"initial_state": "carry"}, {"return_sequences": True}],
)
def test_steps_are_read_one_by_one_where_states_or_outputs_need_it(params):
    y = LONG[:, :, 0] if "return_sequences" in params else LABELS
    model = RNNRegressor(**TINY, **params, max_epochs=1).fit(LONG, y)
    assert (model.pooling_, model.patch_size_) == ("last", 1)


@pytest.mark.parametrize("name", ["return_sequences", "tbptt_steps"])
def test_patches_are_refused_with_an_output_per_step_and_truncation(name):
    value = {"return_sequences": True, "tbptt_steps": 3}[name]
    reason = {
        "return_sequences": "every step has its own output",
        "tbptt_steps": "not all steps are available at once",
    }[name]
    model = RNNRegressor(**TINY, patch_size=4, **{name: value})
    message = (
        "The 'patch_size' parameter of RNNRegressor must be 1 or 'auto' with "
        f"{name}={value}, since {reason}. Got 4."
    )
    with raises(ValueError, message):
        model.fit(LONG, LONG[:, :, 0] if name == "return_sequences" else LABELS)


def test_training_continues_with_the_network_that_was_chosen():
    model = RNNRegressor(**TINY, warm_start=True, max_epochs=2).fit(LONG, LABELS)
    model.fit(SHORT, LABELS)
    assert (model.pooling_, model.patch_size_, model.n_iter_) == ("concat", 5, 4)
    message = (
        "The 'patch_size' parameter must stay as it was while training continues with "
        "warm_start or partial_fit. Got 2 after 5. Set warm_start=False and call fit."
    )
    with raises(ValueError, message):
        model.set_params(patch_size=2).fit(LONG, LABELS)


def test_patches_reach_back_from_the_last_step():
    # The first step is repeated in front: 1 1 1 2, 3 4 5 6 for six steps and size 4.
    model = RNNRegressor(
        **TINY, patch_size=4, max_epochs=2, window_norm=None, ar_order=0
    )
    six = rng.normal(size=(20, 6, 1))
    eight = np.concatenate([six[:, :1], six[:, :1], six], axis=1)
    model.fit(six, six[:, -2, 0])
    assert_allclose(model.predict(eight), model.predict(six), rtol=1e-12)
    assert model.hidden_states(six)[0].shape == (20, 2, 3)
    ragged = [row[: 1 + i % 6] for i, row in enumerate(six)]
    output, _ = model.hidden_states(ragged)
    assert [len(piece) for piece in output] == [-(-len(row) // 4) for row in ragged]


def test_a_network_of_which_nothing_is_kept_is_trained_for_one_epoch():
    X = rng.normal(size=(60, 5))
    y = X @ np.arange(5.0)

    model = RNNRegressor(**TINY).fit(X, y)

    assert model.n_iter_ == 1
    assert_allclose(model.predict(X), y, rtol=1e-3, atol=1e-3)  # Ridge has a penalty
    assert model.set_params(max_epochs=3).fit(X, y).n_iter_ == 3
    curve = model.set_params(max_epochs="auto").fit(X, y, X_val=X, y_val=y).loss_curve_
    assert len(curve) > 1  # early stopping judges
