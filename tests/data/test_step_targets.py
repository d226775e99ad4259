"""Targets and weights of time steps: validation and loss."""

import numpy as np
import pandas as pd
import pytest
import torch
from messages import raises
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone
from sklearn.model_selection import (
    KFold,
    cross_val_predict,
)
from textbook import CELLS

from skrnn import RNNClassifier, RNNRegressor
from skrnn._data.sequences import Sequences
from skrnn._data.step_targets import (
    StepValues,
    StepwiseTarget,
    check_step_targets,
    check_step_weights,
)
from skrnn._data.targets import ClassTarget, RegressionTarget

rng = np.random.default_rng(0)


LENGTHS = np.array([5, 2, 7, 1, 4, 6, 3, 5, 2, 7, 4, 4])


RAGGED = [rng.normal(size=(n, 2)) for n in LENGTHS]


DENSE = rng.normal(size=(12, 6, 2))


TINY = dict(hidden_size=4, max_epochs=3, random_state=0, return_sequences=True)


cells = pytest.mark.parametrize(("cell_type", "nonlinearity"), CELLS)


def as_objects(pieces):
    array = np.empty(len(pieces), dtype=object)
    array[:] = pieces
    return array


def numbers(X):
    return [np.cumsum(x[:, 0]) for x in X]


def labels(X):
    return [(np.cumsum(x[:, 0]) > 0).astype(int) for x in X]


def joined(pieces):
    return np.concatenate([np.asarray(piece) for piece in pieces])


# Values of steps
def test_values_of_rows_are_those_of_their_steps():
    flat = np.arange(LENGTHS.sum())
    values = StepValues(flat, LENGTHS)
    rows = np.array([3, 0, 5])
    pieces = np.split(flat, np.cumsum(LENGTHS)[:-1])

    chosen = np.concatenate([pieces[row] for row in rows])
    assert_array_equal(values.flat[values.step_indices(rows)], chosen)
    assert_array_equal(values[rows].flat, chosen)
    assert_array_equal(values[rows].lengths, LENGTHS[rows])
    padded = values.padded(rows)
    assert padded.shape == (3, 6)
    for row, piece in zip(padded, rows, strict=True):
        assert_array_equal(row[: LENGTHS[piece]], pieces[piece])
        assert not row[LENGTHS[piece] :].any()
    for found, piece in zip(values.unflatten(flat, ragged=True), pieces, strict=True):
        assert_array_equal(found, piece)


# Validation
@pytest.mark.parametrize(
    ("y", "message"),
    [
        (
            np.zeros(12),
            "y must hold one target for each time step with return_sequences=True: an "
            "array of shape (n_samples, n_timesteps) or (n_samples, n_timesteps, "
            "n_outputs), or a list of arrays. Got one target for sequence 0. Set "
            "return_sequences=False for one target per sequence.",
        ),
        (
            np.zeros((12, 5)),
            "y must hold one target for each time step of X. Got 5 for the 6 steps of "
            "sequence 0.",
        ),
        (
            [np.zeros(6)] * 11 + [np.zeros(4)],
            "y must hold one target for each time step of X. Got 4 for the 6 steps of "
            "sequence 11.",
        ),
        (
            np.zeros((12, 6, 2, 1)),
            "y must hold one target, or one row of targets, for each time step. Got "
            "shape (6, 2, 1) for sequence 0.",
        ),
        (
            [np.zeros((6, 2))] * 11 + [np.zeros((6, 3))],
            "y must hold as many targets for every time step. Got shape (6, 2) for "
            "sequence 0 and (6, 3) for sequence 11.",
        ),
        (
            [np.zeros((6, 2))] * 11 + [[[0, 0]] * 5 + [[0]]],
            "y must hold as many targets for every time step. Got different numbers in "
            "sequence 11.",
        ),
    ],
)
def test_targets_that_do_not_match_the_steps_are_rejected(y, message):
    with raises(ValueError, message):
        RNNRegressor(**TINY).fit(DENSE, y)


def test_a_2d_array_of_targets_does_not_match_ragged_sequences():
    message = (
        "y must hold one target for each time step of X. Got 5 for the 2 steps of "
        "sequence 1."
    )
    with raises(ValueError, message):  # as many in sequence 0
        RNNRegressor(**TINY).fit(RAGGED, np.zeros((12, 5)))


@pytest.mark.parametrize(("swapped", "ragged"), [(False, True), (True, False)])
def test_targets_and_weights_at_the_padding_of_ids_are_ignored(swapped, ragged):
    X = np.array([[1, 2, 3, 4], [2, 3, 0, 0], [4, 1, 1, 0], [2, 2, 4, 1]])
    X = X[::-1] if swapped else X
    y, weights = (X > 2).astype(int), 1.0 + X
    bare = [x[x > 0] for x in X]
    of_bare = [x > 2 for x in bare], [1.0 + x for x in bare]
    params = TINY | {"embedding_dim": 3, "max_epochs": 5}
    expected = RNNClassifier(**params).fit(bare, *of_bare)
    probabilities = joined(expected.predict_proba(bare))
    for other in (0, 1, -1):
        given = X, np.where(X > 0, y, other), np.where(X > 0, weights, other)
        if ragged:
            given = [[*part] for part in given]
        model = RNNClassifier(**params).fit(*given)
        assert model.classes_.tolist() == [0, 1]
        found = joined(model.predict_proba(given[0]))
        assert_allclose(found, probabilities, rtol=1e-9)
        assert model.score(*given) == expected.score(bare, *of_bare)


def test_predictions_of_padded_ids_are_ragged_in_every_fold():
    X = np.array([[1, 2, 3], [2, 3, 1], [3, 1, 0], [2, 0, 0], [2, 3, 0], [3, 2, 1]])
    y = (X > 2).astype(int)
    predictions = cross_val_predict(
        RNNClassifier(**TINY, embedding_dim=2), X, y, cv=KFold(3)
    )
    assert [len(piece) for piece in predictions] == [3, 3, 2, 1, 2, 3]
    unpadded = RNNClassifier(**TINY, embedding_dim=2).fit(X[:2], y[:2])
    assert unpadded.predict(X[:2]).shape == (2, 3)


def test_errors_name_the_validation_targets():
    message = (
        "y_val must hold one target for each time step of X_val. Got 3 for the 5 steps "
        "of sequence 0."
    )
    with raises(ValueError, message):
        RNNRegressor(**TINY).fit(
            RAGGED,
            numbers(RAGGED),
            X_val=RAGGED[:1],
            y_val=[np.zeros(3)],
        )


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        (
            np.ones(3),
            "sample_weight must have a weight for each of the 12 sequences, or for "
            "each of their steps. Got 3 entries.",
        ),
        (
            np.ones((12, 5)),
            "sample_weight must hold one weight for each time step of X. Got 5 for the "
            "6 steps of sequence 0.",
        ),
        (
            -np.eye(12, 6),
            "sample_weight must not be negative. Got -1.0 in sequence 0. Use 0 to "
            "leave a step out.",
        ),
        (
            np.zeros((12, 6)),
            "sample_weight must have a weight above zero for at least one step. Got "
            "zero for all 72.",
        ),
        (
            np.ones((12, 6, 2)),
            "sample_weight must hold one weight for each sequence or for each time "
            "step. Got several for a step: shape (2,).",
        ),
        (
            [1.0, *np.ones((11, 6))],
            "sample_weight must hold one weight for each sequence, or for each time "
            "step of each. Got one for sequence 0 and several for sequence 1.",
        ),
    ],
)
def test_weights_that_do_not_match_the_steps_are_rejected(weights, message):
    with raises(ValueError, message):
        RNNRegressor(**TINY).fit(DENSE, DENSE[:, :, 0], sample_weight=weights)


@pytest.mark.parametrize("form", [as_objects, pd.Series, lambda y: [*map(list, y)]])
def test_ragged_targets_may_come_in_any_form(form):
    expected = RNNClassifier(**TINY).fit(RAGGED, labels(RAGGED)).predict_proba(RAGGED)
    found = RNNClassifier(**TINY).fit(RAGGED, form(labels(RAGGED)))
    assert_array_equal(joined(found.predict_proba(RAGGED)), joined(expected))


@pytest.mark.parametrize("form", [pd.DataFrame, np.asfortranarray, list])
def test_dense_targets_may_come_in_any_form(form):
    X, y = DENSE[:, :, 0], DENSE[:, :, 1]
    expected = RNNRegressor(**TINY).fit(X, y).predict(X)
    assert expected.shape == (12, 6)
    assert_array_equal(RNNRegressor(**TINY).fit(X, form(y)).predict(X), expected)


# The loss
@cells
def test_ragged_training_is_that_of_a_bare_torch_loop(cell_type, nonlinearity):
    y = numbers(RAGGED)
    mean, scale = joined(y).mean(), joined(y).std()
    model = RNNRegressor(
        **TINY,
        cell_type=cell_type,
        nonlinearity=nonlinearity,
        standardize=False,
        optimizer="sgd",
        lr=0.1,
        lr_schedule=None,
        weight_decay=0,
        max_grad_norm=None,
        batch_size=12,
    )
    start = clone(model).set_params(max_epochs=1, lr=1e-300).fit(RAGGED, y)
    module = start.module_.train()
    optimizer = torch.optim.SGD(module.parameters(), lr=0.1)

    curve = []
    for _ in range(3):
        optimizer.zero_grad()
        total = 0.0
        for x, targets in zip(RAGGED, y, strict=True):
            output = module(torch.tensor(x)[None])[0, :, 0]
            total = (
                total + ((output - torch.tensor((targets - mean) / scale)) ** 2).sum()
            )
        loss = total / LENGTHS.sum()
        loss.backward()
        optimizer.step()
        curve.append(loss.item())

    assert_allclose(model.fit(RAGGED, y).loss_curve_, curve, rtol=1e-9)


@pytest.mark.parametrize("batch_size", [4, 12])
def test_the_loss_of_an_epoch_is_a_mean_over_steps_by_weight(batch_size):
    y, weights = labels(RAGGED), [rng.uniform(size=n) for n in LENGTHS]
    model = RNNClassifier(
        **TINY | {"max_epochs": 1}, lr=1e-300, lr_schedule=None, batch_size=batch_size
    ).fit(RAGGED, y, weights)
    log_p = joined(model.predict_log_proba(RAGGED))
    losses = -log_p[np.arange(len(log_p)), joined(y)]
    expected = np.average(losses, weights=joined(weights))
    assert model.loss_curve_[0] == pytest.approx(expected)


@pytest.mark.parametrize("ragged", [False, True])
def test_targets_of_steps_without_weight_have_no_effect(ragged):
    X = RAGGED if ragged else DENSE
    weights = [rng.integers(0, 2, size=len(x)).astype(float) for x in X]
    weights[0][:] = 0
    other = [np.where(w > 0, y, 1e6) for w, y in zip(weights, numbers(X), strict=True)]
    predictions = [
        RNNRegressor(**TINY).fit(X, y, weights).predict(X) for y in (numbers(X), other)
    ]
    assert_allclose(joined(predictions[0]), joined(predictions[1]), rtol=1e-12)


@pytest.mark.parametrize("X", [RAGGED, list(DENSE)], ids=["ragged", "dense"])
def test_the_weight_of_a_sequence_is_that_of_each_of_its_steps(X):
    of_rows = rng.uniform(0.1, 2, size=12)
    of_steps = [np.full(len(x), w) for x, w in zip(X, of_rows, strict=True)]
    predictions = [
        RNNClassifier(**TINY).fit(X, labels(X), weights).predict_proba(X)
        for weights in (of_rows, of_steps)
    ]
    assert_allclose(joined(predictions[0]), joined(predictions[1]), rtol=1e-12)


@pytest.mark.parametrize("class_weight", ["balanced", {0: 0.5, 1: 3.0}])
def test_the_weight_of_a_class_is_that_of_its_steps(class_weight):
    y = labels(RAGGED)
    per_class = class_weight
    if class_weight == "balanced":
        counts = np.bincount(joined(y))
        per_class = dict(enumerate(counts.sum() / (2 * counts)))
    weights = [np.vectorize(per_class.get)(piece) for piece in y]
    expected = RNNClassifier(**TINY).fit(RAGGED, y, weights).predict_proba(RAGGED)
    found = RNNClassifier(**TINY, class_weight=class_weight).fit(RAGGED, y)
    assert_allclose(joined(found.predict_proba(RAGGED)), joined(expected), rtol=1e-9)


@pytest.mark.parametrize("class_weight", ["balanced", [{1: 3.0}, {0: 0.5}]])
def test_the_weight_of_a_label_is_that_of_its_loss(class_weight):
    y = [(x > 0.3).astype(int) for x in RAGGED]
    weights = [rng.uniform(0.1, 1, size=n) for n in LENGTHS]
    model = RNNClassifier(
        **TINY | {"max_epochs": 1},
        lr=1e-300,
        lr_schedule=None,
        class_weight=class_weight,
    ).fit(RAGGED, y, weights)
    mass, present = joined(weights), joined(y)
    if class_weight == "balanced":
        share = mass @ present / mass.sum()
        of_labels = np.stack([0.5 / (1 - share), 0.5 / share])
    else:
        of_labels = np.array([[1.0, 0.5], [3.0, 1.0]])
    p = joined(model.predict_proba(RAGGED))
    losses = -np.where(present, np.log(p), np.log(1 - p))
    losses *= np.where(present, of_labels[1], of_labels[0])
    expected = np.average(losses.mean(axis=1), weights=mass)
    assert model.loss_curve_[0] == pytest.approx(expected)


# Functions of validation
@pytest.mark.parametrize("per_row", [(), (2,)])
def test_steps_of_sequences_of_equal_length_unflatten_to_an_array(per_row):
    flat = rng.normal(size=(12, *per_row))
    values = StepValues(flat, np.full(4, 3))
    assert_array_equal(values.unflatten(flat, False), flat.reshape(4, 3, *per_row))
    pieces = values.unflatten(flat, True)
    assert pieces.shape == (4,)
    assert_array_equal(np.concatenate(pieces), flat)
    assert values.with_values(None) is None
    assert len(values) == 4


def test_no_rows_have_no_steps():
    values = StepValues(np.arange(5), np.array([2, 3]))
    assert values.step_indices(np.array([], dtype=int)).tolist() == []


def test_only_labels_have_classes():
    numbers = StepwiseTarget(RegressionTarget("squared_error"))
    assert not hasattr(numbers, "classes")
    with raises(AttributeError, "StepwiseTarget has no attribute 'scale'."):
        _ = numbers.scale
    names = np.array(["a", "b"])
    assert StepwiseTarget(ClassTarget(names)).classes is names


def test_step_targets_of_frames_and_arrays_are_flat():
    sequences = Sequences(np.zeros((2, 3, 1)))
    for y in (np.arange(6).reshape(2, 3), pd.DataFrame(np.arange(6).reshape(2, 3))):
        values = check_step_targets(y, sequences)
        assert_array_equal(values.flat, np.arange(6))
        assert_array_equal(values.lengths, [3, 3])


def test_a_number_is_the_weight_of_every_step():
    weights = check_step_weights(2.0, Sequences(np.zeros((2, 3, 1))))
    assert_array_equal(weights.flat, np.full(6, 2.0))


def test_units_of_targets_are_learned_from_steps_by_weight():
    rows, flat = np.array([0, 2, 3]), rng.normal(size=LENGTHS.sum())
    weights = rng.integers(0, 3, LENGTHS.sum()).astype(float)
    y, weights = StepValues(flat, LENGTHS), StepValues(weights, LENGTHS)
    target = StepwiseTarget(RegressionTarget("squared_error"))

    target.fit(y, rows, weights[rows])

    used, mass = y[rows].flat, weights[rows].flat
    mean = np.average(used, weights=mass)
    std = np.sqrt(np.average((used - mean) ** 2, weights=mass))
    assert_allclose(target.step_target.mean, [mean], rtol=1e-12)
    assert_allclose(target.step_target.scale, [std], rtol=1e-12)
