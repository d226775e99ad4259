"""Equal seeds give equal models, and global random generators stay unused."""

import pickle
from concurrent.futures import ThreadPoolExecutor

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


@over_cases("regressor", "bidirectional")
def test_concurrent_threads_give_equal_models(case, three_threads):
    model, sequences, target = make_case(case)
    expected = clone(model).fit(sequences, target)

    with ThreadPoolExecutor(4) as pool:
        models = list(pool.map(lambda _: clone(model).fit(sequences, target), range(4)))

    for each in models:
        assert_same_model(each, expected, sequences)


@pytest.mark.slow
def test_another_process_gives_an_equal_model():
    model, sequences, target = make_case("bidirectional")
    expected = clone(model).fit(sequences, target)

    executor = get_reusable_executor(max_workers=1)  # what joblib's processes are
    try:
        fitted = executor.submit(clone(model).fit, sequences, target).result()
    finally:
        executor.shutdown(wait=True)

    assert_same_model(fitted, expected, sequences)


@over_cases("regressor", "bidirectional")
def test_global_generators_stay_unused(case, assert_generators_unused):
    model, sequences, target = make_case(case, early_stopping=True)

    outputs(model.fit(sequences, target), sequences)
    model.partial_fit(sequences, target)
    pickle.loads(pickle.dumps(model))

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
