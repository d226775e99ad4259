import hashlib

import numpy as np
import pandas as pd
import pytest
from messages import raises
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GroupKFold, cross_val_score, train_test_split
from sklearn.pipeline import make_pipeline

from skrnn import TokenOneHotEncoder
from skrnn.datasets import (
    load_airline_passengers,
    make_binary_addition,
    make_order_sentences,
    make_sine_waves,
)

GENERATORS = [make_sine_waves, make_binary_addition, make_order_sentences]


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


@pytest.mark.parametrize("make", GENERATORS)
def test_what_is_made_depends_on_the_seed_alone(make):
    first, again, other = (make(20, random_state=seed) for seed in (0, 0, 1))
    assert_array_equal(first[0], again[0])
    assert_array_equal(first[1], again[1])
    assert not np.array_equal(first[0], other[0])


@pytest.mark.parametrize("make", GENERATORS)
@pytest.mark.parametrize("n_samples", [0, -2, 2.0, True, "2"])
def test_a_number_of_samples_is_a_whole_number_from_one(make, n_samples):
    message = f"n_samples must be an int >= 1. Got {n_samples!r}."
    with raises(ValueError, message):
        make(n_samples)


def test_a_sine_wave_turns_once_in_its_period():
    X, y = make_sine_waves(5, n_timesteps=40, period=16, random_state=0)
    waves = np.column_stack([X[:, :, 0], y[:, -1]])
    assert_allclose(waves[:, 16:], waves[:, :-16], atol=1e-12)
    assert_allclose(np.abs(waves).max(axis=1), 1, atol=0.02)
    assert_array_equal(y[:, :-1], X[:, 1:, 0])


def test_periods_are_drawn_from_their_range_and_noise_has_its_deviation():
    X, _ = make_sine_waves(200, n_timesteps=400, period=(10, 40), random_state=0)
    strongest = np.abs(np.fft.rfft(X[:, :, 0]))[:, 1:].argmax(axis=1) + 1
    periods = 400 / strongest
    assert periods.min() >= 9.5
    assert periods.max() <= 42
    assert periods.std() > 5

    clean, noisy = (make_sine_waves(50, noise=n, random_state=0)[0] for n in (0, 0.3))
    assert abs((noisy - clean).std() - 0.3) < 0.02


def test_waves_can_be_changed_in_place_without_what_follows():
    X, y = make_sine_waves(2, n_timesteps=4, random_state=0)
    assert not np.shares_memory(X, y)


@pytest.mark.parametrize(
    "period",
    [0, -1, (5, 2), (5,), (5, 6, 7), "25", [10, 20], np.inf, np.nan, (5, np.inf), True],
)
def test_a_period_is_above_zero(period):
    message = (
        "period must be a finite number above 0, or a tuple (low, high) of two. Got "
        f"{period!r}. Set it to a number of time steps, such as 25.0."
    )
    with raises(ValueError, message):
        make_sine_waves(period=period)


@pytest.mark.parametrize("noise", [-0.1, np.nan, np.inf, True, "0.1"])
def test_noise_is_not_negative(noise):
    message = (
        f"noise must be a finite number >= 0. Got {noise!r}. Set noise=0 for waves "
        "without noise."
    )
    with raises(ValueError, message):
        make_sine_waves(noise=noise)


@pytest.mark.parametrize("n_bits", [1, 8, 300])
def test_the_bits_add_up(n_bits):
    X, y = make_binary_addition(50, n_bits=n_bits, random_state=0)

    def number(bits):
        return sum(int(bit) << place for place, bit in enumerate(bits))

    assert X.shape == (50, n_bits + 1, 2)
    assert X.dtype == np.float32
    assert not X[:, -1].any()
    for pair, total in zip(X, y, strict=True):
        assert number(pair[:, 0]) + number(pair[:, 1]) == number(total)


def test_both_classes_of_sentences_hold_the_same_words_as_often():
    X, y = make_order_sentences(400, random_state=0)
    bags = [
        CountVectorizer().fit(X).transform(np.array(X)[y == label]).toarray()
        for label in ("better", "worse")
    ]
    assert [len(bag) for bag in bags] == [200, 200]
    assert_array_equal(*(bag[np.lexsort(bag.T)] for bag in bags))


def test_a_bag_of_words_is_at_chance_on_sentences():
    X, y, groups = make_order_sentences(600, return_groups=True, random_state=0)
    bag = make_pipeline(CountVectorizer(), LogisticRegression())
    # With mirror images on the same side its answers for a pair are one right, one not.
    scores = cross_val_score(bag, X, y, groups=groups, cv=GroupKFold(5))
    assert_allclose(scores, 0.5)


def test_sentences_are_varied_and_come_with_their_pairs():
    X, _, groups = make_order_sentences(2000, return_groups=True, random_state=0)
    lengths = [len(sentence.split()) for sentence in X]
    assert len(set(X)) > 1500
    assert min(lengths) == 7
    assert 22 <= max(lengths) <= 28
    assert set(groups) == set(range(49))


def test_sentences_are_a_list_that_splits_and_encodes():
    X, y = make_order_sentences(20, random_state=0)
    X_train, X_test, y_train, _ = train_test_split(X, y, random_state=0)
    assert all(type(sentence) is str for sentence in X)
    assert (len(X_train), len(y_train), len(X_test)) == (15, 15, 5)
    encoded = TokenOneHotEncoder().fit(X_train).transform(X_test)
    assert [len(steps) for steps in encoded] == [len(x.split()) for x in X_test]


def test_sentences_come_in_pairs():
    message = (
        "n_samples must be even, since sentences are generated in pairs. Got 3. "
        "Generate 4 and drop one."
    )
    with raises(ValueError, message):
        make_order_sentences(3)
