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
    cases,
    make_case,
    outputs,
    y,
)
from joblib.externals.loky import get_reusable_executor
from sklearn.base import clone
from sklearn.utils import check_random_state

from skrnn import (
    RNNRegressor,
)


@cases
def test_equal_seeds_give_equal_models(case):
    model, sequences, target = make_case(case)

    one, other = (clone(model).fit(sequences, target) for _ in range(2))

    assert_same_model(one, other, sequences)


def test_different_seeds_give_different_models():
    one, other = (
        RNNRegressor(**TINY | {"random_state": seed}).fit(X, y) for seed in (0, 1)
    )

    assert (one.predict(X) != other.predict(X)).all()


@cases
def test_threads_at_once_give_equal_models(case, three_threads):
    model, sequences, target = make_case(case)
    alone = clone(model).fit(sequences, target)

    with ThreadPoolExecutor(4) as pool:
        models = list(pool.map(lambda _: clone(model).fit(sequences, target), range(8)))

    for one in models:
        assert_same_model(one, alone, sequences)


def test_other_processes_give_equal_models():
    model, sequences, target = make_case("two-way")
    alone = clone(model).fit(sequences, target)

    executor = get_reusable_executor(max_workers=1)  # what joblib's processes are
    try:
        elsewhere = executor.submit(clone(model).fit, sequences, target).result()
    finally:
        executor.shutdown(wait=True)

    assert_same_model(elsewhere, alone, sequences)


@cases
def test_global_generators_are_left_alone(case, untouched):
    model, sequences, target = make_case(case, early_stopping=True)

    outputs(model.fit(sequences, target), sequences)
    model.partial_fit(sequences, target)
    pickle.loads(pickle.dumps(model))

    untouched()


@cases
def test_global_generators_are_left_alone_by_what_fails(case, untouched):
    model, sequences, target = make_case(case, callbacks=[Fail()])

    with pytest.raises(RuntimeError, match=r"^as planned$"):
        model.fit(sequences, target)

    untouched()


@pytest.mark.parametrize("early_stopping", [False, True])
def test_random_state_none_draws_once_from_numpy(early_stopping):
    generator = check_random_state(None)  # numpy's global one
    torch_before = torch.get_rng_state()
    numpy_before = generator.get_state()
    generator.randint(np.iinfo(np.int32).max)
    after_one_draw = generator.get_state()
    generator.set_state(numpy_before)
    model = RNNRegressor(**TINY | {"random_state": None}, early_stopping=early_stopping)

    model.fit(X, y).predict(X)

    for found, expected in zip(generator.get_state(), after_one_draw, strict=True):
        np.testing.assert_array_equal(found, expected)
    assert torch.equal(torch.get_rng_state(), torch_before)


def test_random_state_none_differs_from_fit_to_fit():
    model = RNNRegressor(**TINY | {"random_state": None})

    one, other = (clone(model).fit(X, y).predict(X) for _ in range(2))

    assert (one != other).all()


def test_random_state_instance_is_drawn_from(untouched):
    generator = np.random.RandomState(3)
    model = RNNRegressor(**TINY | {"random_state": generator})

    one = model.fit(X, y).predict(X)
    other = model.fit(X, y).predict(X)

    assert (one != other).all()
    untouched()
