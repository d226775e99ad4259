"""Ridge regression of rows that are read part by part."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.linear_model import Ridge

from skrnn._training.linear_model import RIDGE_PENALTIES, LinearProblem, hash_rows

rng = np.random.default_rng(0)
X = rng.normal(size=(40, 5)).cumsum(axis=1)
Y = X[:, -2:] * [1, 3] + rng.normal(size=(40, 2)) / 2
TIMES = rng.integers(1, 4, 40)


def problem(X, Y, weights, size=7):
    return LinearProblem(
        lambda: (
            (X[i : i + size], Y[i : i + size], weights[i : i + size])
            for i in range(0, len(X), size)
        )
    )


@pytest.mark.parametrize("offset", [0.0, 1e6])
def test_the_penalty_has_the_lowest_error_of_leaving_one_row_out(offset):
    weights, inputs = TIMES.astype(float), X + offset
    centre = np.average(inputs, axis=0, weights=weights)
    spread = np.average((inputs - centre) ** 2, axis=0, weights=weights)
    scaled = (inputs - centre) / np.sqrt(spread.mean())
    errors = np.zeros((len(RIDGE_PENALTIES), 40, 2))
    for i, penalty in enumerate(RIDGE_PENALTIES):
        for row in range(40):
            kept = np.arange(40) != row
            ridge = Ridge(alpha=penalty * weights.sum())
            ridge.fit(scaled[kept], Y[kept], weights[kept])
            errors[i, row] = (Y[row] - ridge.predict(scaled[[row]])[0]) ** 2
    means = np.average(errors, axis=1, weights=weights)
    spread = np.average((Y - np.average(Y, axis=0, weights=weights)) ** 2, 0, weights)
    best = (means / spread).sum(axis=1).argmin()

    model = problem(inputs, Y, weights).solve()

    assert_allclose(model.errors, means[best], rtol=1e-8)
    assert_allclose(model.row_errors, errors[best], rtol=1e-6, atol=1e-9)
    ridge = Ridge(alpha=RIDGE_PENALTIES[best] * weights.sum()).fit(scaled, Y, weights)
    assert_allclose(model.predict(inputs), ridge.predict(scaled), rtol=1e-6)


def test_repeated_rows_are_weighted_rows():
    weighted = problem(X, Y, TIMES.astype(float))
    order = rng.permutation(TIMES.sum())
    rows = np.repeat(np.arange(40), TIMES)[order]
    repeated = problem(X[rows], Y[rows], np.ones(len(rows)), size=11)

    assert repeated.n_distinct == weighted.n_distinct == 40
    assert_allclose(
        repeated.solve().coefficients, weighted.solve().coefficients, rtol=1e-9
    )
    assert_allclose(repeated.constant_errors(), weighted.constant_errors(), rtol=1e-12)


def test_errors_of_the_mean_leave_rows_out_too():
    gaps = [Y[row] - np.delete(Y, row, axis=0).mean(axis=0) for row in range(40)]
    found = problem(X, Y, np.ones(40)).constant_errors()
    assert_allclose(found, np.mean(np.square(gaps), axis=0), rtol=1e-12)


@pytest.mark.parametrize("unit", [1e-200, 1e200])
def test_coefficients_follow_the_unit_of_the_targets(unit):
    expected = problem(X, Y, np.ones(40)).solve()
    with np.errstate(over="ignore"):
        found = problem(X, Y * np.sqrt(unit), np.ones(40)).solve()
    assert_allclose(found.coefficients, expected.coefficients * np.sqrt(unit))


def test_inputs_that_are_too_large_leave_the_mean():
    model = problem(X * 1e300, Y, np.ones(40)).solve()
    assert_allclose(model.predict(X), np.tile(Y.mean(axis=0), (40, 1)))
    assert np.isinf(model.errors).all()


def test_constant_inputs_leave_the_mean():
    model = problem(np.ones((40, 3)), Y, np.ones(40)).solve()
    assert_allclose(model.predict(np.ones((2, 3))), [Y.mean(axis=0)] * 2)


def test_equal_rows_have_equal_hashes():
    rows = np.r_[X, -0.0 * X, 0.0 * X, X[::-1]]
    hashes = hash_rows(rows)
    assert_array_equal(hashes[:40], hashes[-40:][::-1])
    assert len(np.unique(hashes)) == 41
    near = np.nextafter(X, np.inf)
    assert not np.isin(hash_rows(near), hashes).any()
    assert not np.isin(hash_rows(X[:, ::-1]), hashes).any()
