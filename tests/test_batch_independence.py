from functools import cache

import numpy as np
import pytest
from estimators import (
    N_FEATURES,
    normal,
    over_cells,
    over_dtypes,
    tiny,
)
from numpy.testing import assert_array_equal

from skrnn import BiRNNClassifier, RNNClassifier, RNNRegressor


def ragged_rows(n_samples, dtype, n_features=N_FEATURES):
    rng = np.random.default_rng(0)
    lengths = rng.integers(1, 10, size=n_samples)
    return [rng.normal(size=(n, n_features)).astype(dtype) for n in lengths]


def rectangular_rows(n_samples, dtype, n_features=N_FEATURES):
    return list(
        np.random.default_rng(0).normal(size=(n_samples, 7, n_features)).astype(dtype)
    )


over_networks = pytest.mark.parametrize(
    ("hidden_size", "bidirectional", "pooling"),
    [
        (16, False, "last"),
        (16, True, "last"),
        (16, False, "mean"),
        (16, True, "mean"),
        (16, False, "max"),
        # Rows of five numbers begin at addresses that are no multiple of 16 bytes.
        (5, False, "last"),
        (5, True, "last"),
        (5, False, "mean"),
        ((8, 6), False, "last"),
    ],
)


over_rows = pytest.mark.parametrize("make_rows", [rectangular_rows, ragged_rows])


@cache
def one_epoch(cell_type, hidden_size, bidirectional, pooling, make_rows, dtype):
    """Return a fitted regressor, shared between tests."""
    estimator = tiny(
        RNNRegressor,
        hidden_size=hidden_size,
        cell_type=cell_type,
        bidirectional=bidirectional,
        pooling=pooling,
        max_epochs=1,
    )
    return estimator.fit(make_rows(20, dtype), normal(20, dtype=dtype))


def assert_batches_agree(answer, X, sizes):
    """Compare the answers to all rows with those to parts of them, bit for bit."""
    expected = answer(X)
    for size in sizes:
        for first in {0, 1, (len(X) - size) // 2, len(X) - size}:
            part = slice(first, first + size)
            assert_array_equal(answer(X[part]), expected[part], err_msg=f"{part}")


@over_dtypes
@over_rows
@over_networks
@over_cells
def test_a_row_alone_equals_the_row_in_a_batch(
    cell_type, hidden_size, bidirectional, pooling, make_rows, dtype
):
    X = make_rows(70, dtype)
    estimator = one_epoch(
        cell_type, hidden_size, bidirectional, pooling, make_rows, dtype
    )

    expected = estimator.predict(X)

    alone = np.concatenate([estimator.predict(X[i : i + 1]) for i in range(0, 70, 3)])
    assert_array_equal(alone, expected[::3])


@over_dtypes
@over_rows
@over_networks
@over_cells
def test_the_size_of_a_batch_does_not_matter(
    cell_type, hidden_size, bidirectional, pooling, make_rows, dtype
):
    X = make_rows(70, dtype)
    estimator = one_epoch(
        cell_type, hidden_size, bidirectional, pooling, make_rows, dtype
    )

    assert_batches_agree(estimator.predict, X, [2, 3, 8, 15, 16, 17, 31, 33, 64])


@over_dtypes
@over_networks
@over_cells
def test_more_padding_changes_nothing(
    cell_type, hidden_size, bidirectional, pooling, dtype
):
    X = ragged_rows(20, dtype)
    longest = np.ones((40, N_FEATURES), dtype=dtype)
    estimator = one_epoch(
        cell_type, hidden_size, bidirectional, pooling, ragged_rows, dtype
    )

    with_companion = estimator.predict([*X, longest])[:-1]

    assert_array_equal(with_companion, estimator.predict(X))


@pytest.mark.parametrize("n_features", [1, 2, 4, 5, 8, 11])
@over_dtypes
@over_cells
def test_rows_agree_for_any_number_of_features(cell_type, dtype, n_features):
    X = rectangular_rows(40, dtype, n_features)
    estimator = tiny(RNNRegressor, hidden_size=8, cell_type=cell_type, max_epochs=1)
    estimator.fit(X, normal(40, dtype=dtype))

    assert_batches_agree(estimator.predict, X, [1, 2, 3, 16, 17])


@pytest.mark.parametrize("hidden_size", [1, 2, 3, 7, 9, 12, 33, 64])
@over_dtypes
@over_cells
def test_rows_agree_for_any_number_of_hidden_units(cell_type, dtype, hidden_size):
    X = rectangular_rows(40, dtype)
    estimator = tiny(
        RNNRegressor, hidden_size=hidden_size, cell_type=cell_type, max_epochs=1
    ).fit(X, normal(40, dtype=dtype))

    assert_batches_agree(estimator.predict, X, [1, 2, 3, 16, 17])


@pytest.mark.parametrize("n_outputs", [2, 3, 8])
@over_dtypes
def test_rows_agree_for_any_number_of_outputs(dtype, n_outputs):
    X = rectangular_rows(40, dtype)
    estimator = tiny(RNNRegressor, hidden_size=8, max_epochs=1)
    estimator.fit(X, normal(40, n_outputs, dtype=dtype))

    assert_batches_agree(estimator.predict, X, [1, 2, 3, 16, 17])


@over_dtypes
@over_rows
@over_cells
def test_rows_agree_across_the_chunks_of_a_long_prediction(cell_type, make_rows, dtype):
    X = make_rows(600, dtype)
    estimator = tiny(
        RNNRegressor, hidden_size=16, cell_type=cell_type, max_epochs=1
    ).fit(X[:20], normal(20, dtype=dtype))

    assert_batches_agree(estimator.predict, X, [1, 16, 255, 256, 257, 513])


@pytest.mark.parametrize("method", ["predict", "predict_proba", "predict_log_proba"])
@pytest.mark.parametrize("kind", ["binary", "multi-class", "multilabel"])
@over_dtypes
@pytest.mark.parametrize("cls", [RNNClassifier, BiRNNClassifier])
def test_probabilities_of_a_row_alone_equal_those_in_a_batch(cls, dtype, kind, method):
    X = rectangular_rows(40, dtype)
    y = {
        "binary": np.arange(40) % 2,
        "multi-class": np.arange(40) % 5,
        "multilabel": np.random.default_rng(0).integers(0, 2, size=(40, 3)),
    }[kind]
    estimator = tiny(cls, hidden_size=8).fit(X, y)

    assert_batches_agree(getattr(estimator, method), X, [1, 2, 3, 15, 16, 17])
