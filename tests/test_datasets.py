import hashlib

import pandas as pd

from skrnn.datasets import load_airline_passengers


def test_airline_values_are_those_published():
    passengers = load_airline_passengers()["passengers"]

    assert passengers.dtype == "int64"
    assert passengers.iloc[0] == 112
    assert passengers.iloc[-1] == 432
    assert passengers.sum() == 40363
    digest = hashlib.sha256(",".join(map(str, passengers)).encode()).hexdigest()
    assert digest == "fe529825b8393b6873a1be3d9c484cbd0c7e6853b6ca082612f406a762e2de4e"


def test_airline_has_one_row_per_month():
    frame = load_airline_passengers()

    assert frame.shape == (144, 1)
    assert list(frame.columns) == ["passengers"]
    expected = pd.date_range("1949-01-01", "1960-12-01", freq="MS", name="month")
    # The resolution that pandas parses dates to differs between its versions.
    pd.testing.assert_index_equal(frame.index.as_unit("ns"), expected.as_unit("ns"))
    assert frame.index.freqstr == "MS"


def test_airline_is_a_fresh_copy_each_time():
    frame = load_airline_passengers()
    frame.iloc[0, 0] = 0

    assert load_airline_passengers().iloc[0, 0] == 112
