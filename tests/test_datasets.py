"""The bundled data set and the generators."""

import hashlib

import numpy as np
import pandas as pd
import pytest
from messages import raises
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GroupKFold, cross_val_score
from sklearn.pipeline import make_pipeline

from skrnn.datasets import (
    load_airline_passengers,
    make_binary_addition,
    make_order_sentences,
    make_sine_waves,
    make_store_sales,
)
from skrnn.datasets._stores import promotion_effect

GENERATORS = [
    make_sine_waves,
    make_binary_addition,
    make_order_sentences,
    make_store_sales,
]


def test_airline_passengers_are_those_published():
    frame = load_airline_passengers()

    passengers = frame["passengers"]
    assert list(frame.columns) == ["passengers"]
    assert passengers.dtype == "int64"
    digest = hashlib.sha256(",".join(map(str, passengers)).encode()).hexdigest()
    assert digest == "fe529825b8393b6873a1be3d9c484cbd0c7e6853b6ca082612f406a762e2de4e"
    expected = pd.date_range("1949-01-01", "1960-12-01", freq="MS", name="month")
    # The resolution of parsed dates differs between versions of pandas.
    pd.testing.assert_index_equal(frame.index.as_unit("ns"), expected.as_unit("ns"))
    assert frame.index.freqstr == "MS"


def test_airline_passengers_are_a_new_frame_in_each_call():
    frame = load_airline_passengers()
    frame.iloc[0, 0] = 0

    assert load_airline_passengers().iloc[0, 0] == 112


@pytest.mark.parametrize("make", GENERATORS)
def test_generated_data_depend_only_on_the_seed(make):
    first, again, other = (make(20, random_state=seed) for seed in (0, 0, 1))

    if make is make_store_sales:
        pd.testing.assert_frame_equal(first, again)
        assert not first["sales"].equals(other["sales"])
        return
    assert_array_equal(first[0], again[0])
    assert_array_equal(first[1], again[1])
    assert not np.array_equal(first[0], other[0])


@pytest.mark.parametrize("make", GENERATORS)
@pytest.mark.parametrize("n_samples", [0, 2.0, True])
def test_a_wrong_n_samples_raises(make, n_samples):
    name = "n_stores" if make is make_store_sales else "n_samples"
    message = f"{name} must be an int >= 1. Got {n_samples!r}."
    with raises(ValueError, message):
        make(n_samples)


@pytest.mark.parametrize(
    ("make", "name"),
    [
        (make_sine_waves, "n_timesteps"),
        (make_binary_addition, "n_bits"),
        (make_store_sales, "n_days"),
    ],
)
def test_a_wrong_number_of_steps_raises(make, name):
    with raises(ValueError, f"{name} must be an int >= 1. Got 0."):
        make(2, **{name: 0})


# make_sine_waves


def test_a_sine_wave_has_its_period_and_y_the_next_value():
    X, y = make_sine_waves(5, n_timesteps=40, period=16, random_state=0)

    waves = np.column_stack([X[:, :, 0], y[:, -1]])
    assert_allclose(waves[:, 16:], waves[:, :-16], atol=1e-12)
    assert_allclose(np.abs(waves).max(axis=1), 1, atol=0.02)
    assert_array_equal(y[:, :-1], X[:, 1:, 0])
    assert not np.shares_memory(X, y)


def test_periods_are_drawn_from_their_range():
    X, _ = make_sine_waves(200, n_timesteps=400, period=(10, 40), random_state=0)

    strongest = np.abs(np.fft.rfft(X[:, :, 0]))[:, 1:].argmax(axis=1) + 1
    periods = 400 / strongest
    assert periods.min() >= 9.5
    assert periods.max() <= 42
    assert periods.std() > 5


def test_noise_is_the_standard_deviation():
    clean, noisy = (make_sine_waves(50, noise=n, random_state=0)[0] for n in (0, 0.3))

    assert abs((noisy - clean).std() - 0.3) < 0.02


@pytest.mark.parametrize("period", [0, (5, 2), (5, 6, 7), "25", [10, 20], np.inf, True])
def test_a_wrong_period_raises(period):
    message = (
        "period must be a finite number above 0, or a tuple (low, high) of two. Got "
        f"{period!r}. Set it to a number of time steps, such as 25.0."
    )
    with raises(ValueError, message):
        make_sine_waves(period=period)


@pytest.mark.parametrize("noise", [-0.1, np.nan])
def test_a_wrong_noise_raises(noise):
    message = (
        f"noise must be a finite number >= 0. Got {noise!r}. Set noise=0 for waves "
        "without noise."
    )
    with raises(ValueError, message):
        make_sine_waves(noise=noise)


# make_binary_addition


@pytest.mark.parametrize("n_bits", [1, 100])
def test_y_are_the_bits_of_the_sum(n_bits):
    X, y = make_binary_addition(50, n_bits=n_bits, random_state=0)

    def to_int(bits):
        return sum(int(bit) << place for place, bit in enumerate(bits))

    assert X.shape == (50, n_bits + 1, 2)
    assert X.dtype == np.float32
    assert not X[:, -1].any()
    for pair, total in zip(X, y, strict=True):
        assert to_int(pair[:, 0]) + to_int(pair[:, 1]) == to_int(total)


# make_order_sentences


def test_both_classes_of_sentences_have_the_same_word_counts():
    X, y = make_order_sentences(400, random_state=0)

    counts = CountVectorizer().fit_transform(X).toarray()
    better, worse = (counts[y == label] for label in ("better", "worse"))
    assert len(better) == len(worse) == 200
    assert_array_equal(better[np.lexsort(better.T)], worse[np.lexsort(worse.T)])


def test_a_bag_of_words_model_is_at_chance_on_sentences():
    X, y, groups = make_order_sentences(600, return_groups=True, random_state=0)
    model = make_pipeline(CountVectorizer(), LogisticRegression())

    scores = cross_val_score(model, X, y, groups=groups, cv=GroupKFold(5))

    # The predictions of both sentences of a pair are equal.
    assert_allclose(scores, 0.5)


def test_sentences_vary():
    X, _, groups = make_order_sentences(2000, return_groups=True, random_state=0)

    lengths = [len(sentence.split()) for sentence in X]
    assert all(type(sentence) is str for sentence in X)
    assert len(set(X)) > 1500
    assert min(lengths) == 7
    assert 22 <= max(lengths) <= 28
    assert set(groups) == set(range(49))


def test_an_odd_number_of_sentences_raises():
    message = (
        "n_samples must be even, since sentences are generated in pairs. Got 3. "
        "Generate 4 and drop one."
    )
    with raises(ValueError, message):
        make_order_sentences(3)


# make_store_sales


def test_stores_have_a_row_for_each_day_since_they_opened():
    frame = make_store_sales(6, n_days=300, random_state=0)

    assert list(frame.columns) == ["store", "date", "sales", "promotion"]
    last = pd.Timestamp("2022-01-03") + pd.Timedelta(days=299)
    for name, rows in frame.groupby("store", sort=False):
        dates = pd.date_range(rows["date"].iloc[0], last, freq="D")
        assert rows["date"].tolist() == dates.tolist()
        assert len(rows) == 300 if name in ("store 1", "store 2") else len(rows) >= 200
    assert frame["store"].unique().tolist() == [f"store {i}" for i in range(1, 7)]
    assert frame["sales"].dtype == frame["promotion"].dtype == np.int64


def test_promotions_raise_sales_and_lower_them_afterwards():
    frame = make_store_sales(40, random_state=0)
    # The mean level of each weekday of a store is taken off.
    weekday = frame["date"].dt.day_of_week
    logs = np.log(frame["sales"] + 1.0)
    logs -= logs.groupby([frame["store"], weekday]).transform("mean")
    before = frame.groupby("store")["promotion"].shift(1)
    first_day = (frame["promotion"] == 1) & (before == 0)
    first_after = (frame["promotion"] == 0) & (before == 1)
    usual = (frame["promotion"] == 0) & (before == 0)

    gain = np.exp(logs[first_day].mean() - logs[usual].mean())
    dip = np.exp(logs[first_after].mean() - logs[usual].mean())

    # The mean gain of a store and day is 0.7, in logarithms about 0.5.
    assert 1.6 < gain < 1.9
    assert 0.7 < dip < 0.9


def test_the_effect_of_a_promotion_is_the_documented_one():
    effect = promotion_effect(np.array([0, 1, 1, 1, 0, 0, 0, 1, 0]), np.full(9, 0.5))

    dip = 0.35 * 0.5
    expected = [1, 1.5, 1 + 0.93 * 0.5, 1 + 0.93**2 * 0.5]
    expected += [1 - dip, 1 - 0.6 * dip, 1 - 0.36 * dip, 1.5, 1 - dip]
    assert_allclose(effect, expected, rtol=1e-12)


def test_a_single_day_of_many_stores_is_a_frame():
    assert len(make_store_sales(4, n_days=1, random_state=0)) == 4
