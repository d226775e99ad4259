import os

import pytest
import torch
from estimators import (
    TINY,
    Fail,
    Probe,
    X,
    probe_of,
    y,
)

from skrnn import (
    RNNRegressor,
)


@pytest.mark.parametrize(
    ("n_jobs", "expected"), [(None, 1), (1, 1), (2, 2), (-1, os.cpu_count())]
)
def test_n_jobs_is_the_number_of_threads_in_fit_and_predict(
    n_jobs, expected, three_threads
):
    model = RNNRegressor(**TINY, n_jobs=n_jobs, callbacks=[Probe()]).fit(X, y)
    assert torch.get_num_threads() == 3
    in_predict = []
    model.module_.register_forward_hook(
        lambda *_: in_predict.append(torch.get_num_threads())
    )

    model.predict(X)

    assert torch.get_num_threads() == 3
    assert set(probe_of(model).n_threads_) == set(in_predict) == {expected}


@pytest.mark.parametrize("n_jobs", [None, 2])
def test_number_of_threads_is_restored_after_a_failure(n_jobs, three_threads):
    model = RNNRegressor(**TINY, n_jobs=n_jobs, callbacks=[Fail()])

    with pytest.raises(RuntimeError, match=r"^as planned$"):
        model.fit(X, y)

    assert torch.get_num_threads() == 3
