"""Equal seeds give equal models, and global random generators stay unused."""

import pickle
from concurrent.futures import ThreadPoolExecutor

import joblib
import numpy as np
import pytest
import torch
from estimators import (
    TINY,
    Fail,
    X,
    assert_same_model,
    make_case,
    outputs,
    over_cases,
    tiny,
    y,
)
from joblib.externals.loky import get_reusable_executor
from messages import raises
from sklearn.base import clone
from sklearn.utils import check_random_state

from skrnn import RNNRegressor


@over_cases()
def test_equal_seeds_give_equal_models(case):
    model, sequences, target = make_case(case)

    one, other = (clone(model).fit(sequences, target) for _ in range(2))

    assert_same_model(one, other, sequences)


def test_different_seeds_give_different_models():
    one, other = (tiny(random_state=seed).fit(X, y) for seed in (0, 1))

    assert (one.predict(X) != other.predict(X)).all()


# What draws random numbers, and how.
DRAWING = {
    "dropout": {"dropout": 0.3},
    "random states": {"initial_state": "normal"},
    "members": {"dropout": 0.3, "initial_state": "normal", "n_members": 3},
    "members in threads": {"dropout": 0.3, "n_members": 3, "n_jobs": 2},
    "torch": {"dropout": 0.3, "pooling": "attention", "early_stopping": True},
    "line search": {"dropout": 0.3, "optimizer": "lbfgs", "batch_size": 60},
    "folds": {"early_stopping": "auto", "hidden_size": 3},
}
WINDOWS = np.random.default_rng(0).normal(size=(60, 4, 2))
TARGET = WINDOWS[:, -1, 0] * WINDOWS[:, -2, 1]


def fit_drawing(drawing):
    return tiny(**DRAWING[drawing]).fit(WINDOWS, TARGET)


def over_drawing(*names):
    return pytest.mark.parametrize("drawing", names or DRAWING)


def assert_same_members(one, other):
    for pair in zip(one.members_, other.members_, strict=True):
        assert_same_model(*pair, WINDOWS)


@over_drawing()
def test_equal_seeds_give_equal_models_whatever_was_drawn_and_fitted_before(drawing):
    expected = fit_drawing(drawing)
    torch.manual_seed(7)
    torch.rand(5)
    check_random_state(None).rand(5)  # numpy's global generator
    expected.predict(WINDOWS)
    tiny(dropout=0.5, random_state=3, cell_type="gru").fit(X, y).partial_fit(X, y)

    assert_same_members(fit_drawing(drawing), expected)


@over_cases("regressor", "bidirectional")
def test_concurrent_threads_give_equal_models(case, three_threads):
    model, sequences, target = make_case(case)
    expected = clone(model).fit(sequences, target)

    with ThreadPoolExecutor(4) as pool:
        models = list(pool.map(lambda _: clone(model).fit(sequences, target), range(4)))

    for each in models:
        assert_same_model(each, expected, sequences)


@pytest.mark.slow
def test_concurrent_fits_of_all_kinds_give_equal_models(three_threads):
    expected = {drawing: fit_drawing(drawing) for drawing in DRAWING}

    with ThreadPoolExecutor(4) as pool:
        models = list(pool.map(fit_drawing, DRAWING))
    calls = map(joblib.delayed(fit_drawing), DRAWING)
    models += joblib.Parallel(3, backend="threading")(calls)

    for drawing, model in zip(2 * list(DRAWING), models, strict=True):
        assert_same_members(model, expected[drawing])


def fit_all(cases):
    return [model.fit(sequences, target) for model, sequences, target in cases]


@pytest.mark.slow
def test_another_process_gives_equal_models():
    cases = [make_case("bidirectional")]
    cases += [(tiny(**params), WINDOWS, TARGET) for params in DRAWING.values()]
    expected = fit_all([(clone(model), *data) for model, *data in cases])

    executor = get_reusable_executor(max_workers=1)  # what joblib's processes are
    try:
        fitted = executor.submit(fit_all, cases).result()
    finally:
        executor.shutdown(wait=True)

    for (_, sequences, _), one, other in zip(cases, fitted, expected, strict=True):
        for pair in zip(one.members_, other.members_, strict=True):
            assert_same_model(*pair, sequences)


@over_cases("regressor", "bidirectional")
def test_global_generators_stay_unused(case, assert_generators_unused):
    model, sequences, target = make_case(case, early_stopping=True)

    outputs(model.fit(sequences, target), sequences)
    model.partial_fit(sequences, target)
    pickle.loads(pickle.dumps(model))

    assert_generators_unused()


@over_drawing()
def test_global_generators_stay_unused_by_all_that_draws(
    drawing, assert_generators_unused
):
    model = fit_drawing(drawing)
    model.predict(WINDOWS)
    model.hidden_states(WINDOWS)
    clone(model)

    assert_generators_unused()


def test_global_generators_stay_unused_by_a_fit_that_fails(assert_generators_unused):
    model = tiny(dropout=0.3, callbacks=[Fail()])

    with raises(RuntimeError, "planned failure"):
        model.fit(X, y)

    assert_generators_unused()


def test_random_state_none_draws_once_from_numpy():
    generator = check_random_state(None)  # numpy's global one
    torch_before = torch.get_rng_state()
    numpy_before = generator.get_state()
    generator.randint(np.iinfo(np.int32).max)
    after_one_draw = generator.get_state()
    generator.set_state(numpy_before)
    model = RNNRegressor(**TINY | {"random_state": None}, early_stopping=True)

    model.fit(X, y).predict(X)

    for actual, expected in zip(generator.get_state(), after_one_draw, strict=True):
        np.testing.assert_array_equal(actual, expected)
    assert torch.equal(torch.get_rng_state(), torch_before)


@pytest.mark.parametrize(
    "random_state", [None, np.random.RandomState(3)], ids=["None", "RandomState"]
)
def test_random_state_without_a_seed_differs_from_fit_to_fit(random_state):
    model = tiny(random_state=random_state)

    one, other = (model.fit(X, y).predict(X) for _ in range(2))

    assert (one != other).all()


def test_random_state_instance_leaves_global_generators_unused(
    assert_generators_unused,
):
    tiny(random_state=np.random.RandomState(3)).fit(X, y)

    assert_generators_unused()
