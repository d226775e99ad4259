"""The batches of training, and predictions that do not depend on the batch."""

import pickle
from collections import Counter
from itertools import product

import numpy as np
import pytest
from estimators import N_ROWS, TINY, RecordBatches, X, recorded, rows_of, tiny, y
from numpy.testing import assert_allclose, assert_array_equal

from skrnn import RNNClassifier, RNNRegressor
from skrnn._data.sequences import Sequences
from skrnn._inference.compiled import compiled_predictor

# Training


def test_every_epoch_trains_on_every_row_once_in_another_order():
    model = tiny(max_epochs=4, batch_size=6, callbacks=[RecordBatches()]).fit(X, y)

    orders = [tuple(rows_of(model, epoch)[0]) for epoch in range(4)]
    sizes = [len(batch) for batch in recorded(model).epochs_[0][True]]
    assert sizes == [6, 6, 6, 2]
    for order in orders:
        assert sorted(order) == list(range(N_ROWS))
    assert len(set(orders)) == 4
    assert tuple(range(N_ROWS)) not in orders
    assert recorded(model).epochs_[0][False] == []


def test_order_of_rows_depends_on_random_state():
    orders = [
        rows_of(tiny(random_state=seed, callbacks=[RecordBatches()]).fit(X, y))[0]
        for seed in (0, 0, 1)
    ]

    assert orders[0] == orders[1]
    assert orders[0] != orders[2]


def test_order_of_rows_is_uniform():
    model = tiny(max_epochs=400, callbacks=[RecordBatches()]).fit(X[:4], y[:4])

    first = Counter(rows_of(model, epoch)[0][0] for epoch in range(400))
    # 100 each, with a standard deviation of 9.
    assert all(60 < first[row] < 140 for row in range(4))


# Prediction: the outputs of a row are equal to the last bit in every batch


def ragged_rows(dtype, n_rows=70, n_features=3):
    rng = np.random.default_rng(0)
    lengths = rng.integers(1, 10, size=n_rows)
    return [rng.normal(size=(n, n_features)).astype(dtype) for n in lengths]


def rectangular_rows(dtype, n_rows=70, n_features=3):
    X = np.random.default_rng(0).normal(size=(n_rows, 7, n_features))
    return X.astype(dtype)


def fitted(X, cls=RNNRegressor, n_outputs=1, **params):
    """Return a regressor after one epoch on the first rows."""
    y = np.random.default_rng(0).normal(size=(20, n_outputs))
    return cls(**TINY | {"max_epochs": 1} | params).fit(X[:20], y)


def assert_batches_agree(predict, X, sizes):
    """Compare the outputs of all rows with those of parts of them."""
    expected = predict(X)
    for size in sizes:
        for first in {0, 1, (len(X) - size) // 2, len(X) - size}:
            part = slice(first, first + size)
            assert_array_equal(predict(X[part]), expected[part], err_msg=f"{part}")


CELLS = ["rnn", "gru", "lstm"]
# The hidden size, whether bidirectional, and pooling. Rows of five numbers start at
# addresses that are no multiple of 16 bytes.
NETWORKS = [
    (16, False, "last"),
    (16, True, "last"),
    (16, False, "mean"),
    (16, True, "mean"),
    (16, False, "max"),
    (5, False, "last"),
    (5, True, "last"),
    (5, False, "mean"),
    ((8, 6), False, "last"),
]
GRID = list(
    product(CELLS, NETWORKS, [rectangular_rows, ragged_rows], [np.float32, np.float64])
)
# Every value of every setting occurs in the fast part of the grid.
FAST = [
    ("rnn", (16, False, "last"), rectangular_rows, np.float32),
    ("rnn", (16, True, "mean"), ragged_rows, np.float64),
    ("rnn", (5, False, "mean"), rectangular_rows, np.float64),
    ("gru", (5, True, "last"), ragged_rows, np.float32),
    ("gru", (16, False, "max"), rectangular_rows, np.float64),
    ("gru", (16, False, "mean"), ragged_rows, np.float32),
    ("lstm", (16, True, "last"), rectangular_rows, np.float32),
    ("lstm", (5, False, "last"), ragged_rows, np.float64),
    ("lstm", ((8, 6), False, "last"), ragged_rows, np.float32),
]


@pytest.mark.parametrize(
    ("cell_type", "network", "make_rows", "dtype"),
    [
        pytest.param(
            *setting,
            marks=[] if setting in FAST else pytest.mark.slow,
            id="-".join(getattr(each, "__name__", str(each)) for each in setting),
        )
        for setting in GRID
    ],
)
def test_prediction_of_a_row_does_not_depend_on_its_batch(
    cell_type, network, make_rows, dtype
):
    X = make_rows(dtype)
    hidden_size, bidirectional, pooling = network
    model = fitted(
        X,
        hidden_size=hidden_size,
        cell_type=cell_type,
        bidirectional=bidirectional,
        pooling=pooling,
    )

    assert_batches_agree(model.predict, X, [1, 2, 3, 8, 15, 16, 17, 31, 33, 64])
    if make_rows is ragged_rows:  # more padding
        longest = np.ones((40, 3), dtype=dtype)
        assert_array_equal(model.predict([*X, longest])[:-1], model.predict(X))


@pytest.mark.parametrize(
    ("hidden_size", "n_features", "n_outputs"),
    [
        (1, 1, 2),
        (9, 8, 3),
        (33, 11, 8),
        *(
            pytest.param(*sizes, marks=pytest.mark.slow)
            for sizes in [(2, 2, 1), (3, 4, 1), (7, 5, 1), (12, 3, 1), (64, 3, 1)]
        ),
    ],
)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("cell_type", CELLS)
def test_prediction_of_a_row_does_not_depend_on_its_batch_for_any_size(
    cell_type, dtype, hidden_size, n_features, n_outputs
):
    X = rectangular_rows(dtype, n_rows=40, n_features=n_features)
    model = fitted(X, hidden_size=hidden_size, cell_type=cell_type, n_outputs=n_outputs)

    assert_batches_agree(model.predict, X, [1, 2, 3, 16, 17])


@pytest.mark.parametrize("make_rows", [rectangular_rows, ragged_rows])
def test_prediction_of_a_row_does_not_depend_on_the_chunk_of_a_long_prediction(
    make_rows,
):
    X = make_rows(np.float32, n_rows=600)
    model = fitted(X, hidden_size=16, cell_type="gru")

    assert_batches_agree(model.predict, X, [1, 16, 255, 256, 257, 513])


def test_long_sequences_are_predicted_in_smaller_batches(monkeypatch):
    model = tiny().fit(X, y)
    expected = model.predict(X)

    monkeypatch.setattr("skrnn._inference.prediction.MAX_STEPS", 70)
    sizes = []
    model.module_.register_forward_hook(  # torch's layers run then
        lambda _, inputs, output: sizes.append(len(output))
    )
    with_hook = model.predict(X)

    assert_allclose(with_hook, expected, rtol=1e-12)
    assert set(sizes) == {16}


@pytest.mark.numba
def test_long_sequences_are_predicted_in_smaller_compiled_batches(monkeypatch):
    model = tiny().fit(X, y)
    expected = model.predict(X)
    monkeypatch.setattr("skrnn._inference.compiled.MAX_STEPS", 70)
    again = pickle.loads(pickle.dumps(model))  # without the program of `expected`

    assert_array_equal(again.predict(X), expected)

    predictor = compiled_predictor(again.module_, Sequences(X))
    assert predictor.n_rows == 70 // X.shape[1] < len(X)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("kind", ["binary", "multi-class", "multilabel"])
def test_probabilities_of_a_row_do_not_depend_on_its_batch(kind, dtype):
    X = rectangular_rows(dtype, n_rows=40)
    y = {
        "binary": np.arange(40) % 2,
        "multi-class": np.arange(40) % 5,
        "multilabel": np.random.default_rng(0).integers(0, 2, size=(40, 3)),
    }[kind]
    model = tiny(RNNClassifier, hidden_size=8, max_epochs=1).fit(X, y)

    for method in (model.predict, model.predict_proba, model.predict_log_proba):
        assert_batches_agree(method, X, [1, 2, 3, 15, 16, 17])
