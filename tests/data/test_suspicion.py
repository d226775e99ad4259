"""Warnings about data that is valid, but hardly meant."""

import re
import warnings

import numpy as np
import pytest
from sklearn.datasets import load_digits

from skrnn import (
    RNNClassifier,
    RNNRegressor,
    SlidingWindow,
    TokenEncoder,
    make_windows,
)
from skrnn._data.sequences import Sequences
from skrnn._data.suspicion import warn_token_ids

TINY = dict(hidden_size=3, max_epochs=1, random_state=0)
rng = np.random.default_rng(0)
X = rng.normal(size=(40, 6, 2))
Y = X[:, :, 0].sum(axis=1)


def fit_in_silence(model, *data):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return model.fit(*data)


# One value that sets the scale


@pytest.mark.parametrize("value", [1e300, -1e9])
def test_a_value_that_hides_all_others_is_named(value):
    odd = X.copy()
    odd[7, 2, 1] = value
    others = np.delete(odd[:, :, 1].ravel(), 7 * 6 + 2)
    message = (
        "One value of feature 1 of X is so large that all others are nearly equal once "
        f"standardised. Got {value:.3g} among values from {others.min():.3g} to "
        f"{others.max():.3g}. Remove it, or clip X."
    )
    for model in (RNNRegressor(**TINY), RNNClassifier(**TINY)):
        with pytest.warns(UserWarning, match=f"^{re.escape(message)}$") as caught:
            model.fit(odd, Y > 0)
        assert [warning.filename for warning in caught] == [__file__]
    ragged = [row[: 3 + i % 4] for i, row in enumerate(odd)]
    with pytest.warns(UserWarning, match="One value of feature 1 of X is so large"):
        RNNRegressor(**TINY).fit(ragged, Y)


def test_values_that_are_rare_or_far_but_not_hiding_are_not_remarked_on():
    odd = X.copy()
    odd[7, 2, 1] = 100.0
    fit_in_silence(RNNRegressor(**TINY), odd, Y)
    rare = np.zeros_like(X)
    rare[3, 0] = 5.0  # an event that happened once
    fit_in_silence(RNNRegressor(**TINY), rare, Y)
    odd[7, 2, 1] = 1e9
    fit_in_silence(RNNRegressor(**TINY, standardize=False), odd, Y)


# A target that X holds already


def test_a_target_that_is_the_last_step_is_named():
    message = (
        "y is the last step of feature 1 of X in every row, so that there is nothing "
        "to predict. If X holds windows of a series, they must end before y: "
        "make_windows cuts them so."
    )
    with pytest.warns(UserWarning, match=f"^{re.escape(message)}$"):
        RNNRegressor(**TINY).fit(X, X[:, -1, 1])
    ragged = [row[: 3 + i % 4] for i, row in enumerate(X)]
    with pytest.warns(UserWarning, match="the last step of feature 0"):
        RNNRegressor(**TINY).fit(ragged, [row[-1, 0] for row in ragged])
    both = np.column_stack([Y, X[:, -1, 0]])
    with pytest.warns(UserWarning, match="^Output 1 of y is the last step"):
        RNNRegressor(**TINY).fit(X, both)


def test_windows_that_end_with_their_target_are_noticed():
    series = np.cumsum(rng.normal(size=60))
    windows = SlidingWindow(5).fit_transform(series[:, None])
    with pytest.warns(UserWarning, match="make_windows"):
        RNNRegressor(**TINY).fit(windows, series)
    fit_in_silence(RNNRegressor(**TINY), *make_windows(series, window_size=5))


def test_other_equalities_are_not_remarked_on():
    fit_in_silence(RNNRegressor(**TINY), X, X[:, 0, 0])
    fit_in_silence(RNNRegressor(**TINY), X[:5], X[:5, -1, 0])  # too few to tell
    same = np.ones((40, 6, 1))
    fit_in_silence(RNNRegressor(**TINY), same, np.ones(40))
    steps = RNNRegressor(**TINY, return_sequences=True)
    fit_in_silence(steps, X, X[:, :, 0])  # a network may be asked to repeat its input


# Token ids that are fitted as quantities


def draw_documents():
    """Return documents of words whose frequencies differ, as in texts."""
    rng = np.random.default_rng(0)
    words = rng.zipf(1.5, 4000) % 200
    return [" ".join(f"w{word}" for word in row) for row in words.reshape(200, 20)]


def pad(rows):
    longest = max(map(len, rows))
    return np.array([np.pad(row, (0, longest - len(row))) for row in rows])


@pytest.mark.parametrize(
    "params", [{}, {"min_df": 3}, {"max_features": 40}], ids=lambda params: str(params)
)
@pytest.mark.parametrize("padded", [False, True])
@pytest.mark.parametrize("cls", [RNNRegressor, RNNClassifier])
def test_token_ids_without_embedding_are_named(cls, padded, params):
    encoder = TokenEncoder(**params)
    ids = encoder.fit_transform(draw_documents())
    if padded:
        ids = pad([row[: 20 - i % 7] for i, row in enumerate(ids)])
    n_ids = encoder.n_ids_
    message = (
        "X looks like token ids, which embedding_dim=None takes for quantities. Got "
        rf"\d+ of the integers from 2 to {n_ids - 1}, in one feature. Set "
        "embedding_dim, for example to 16, or pass quantities as floats."
    )
    y = np.arange(200) % 2
    with pytest.warns(UserWarning, match=f"^{message}$") as caught:
        cls(**TINY).fit(ids, y)
    assert [warning.filename for warning in caught] == [__file__]
    fit_in_silence(cls(**TINY, embedding_dim=3), ids, y)
    fit_in_silence(cls(**TINY), [row[:, None].astype(float) for row in ids], y)


def draw_integers(rng):
    """Return integer quantities of some kind: counts, ratings, sums, sensors."""
    size = int(rng.integers(20, 300)), int(rng.integers(5, 40))
    walk = np.cumsum(rng.uniform(0.5, 4) * rng.normal(size=size), axis=1)
    decay = rng.integers(20, 60, (size[0], 1)) - 4 * np.arange(size[1])
    shift = int(rng.integers(0, 3))
    return {
        "counts": shift + rng.poisson(rng.uniform(2, 40), size),
        "skewed counts": shift + rng.negative_binomial(2, rng.uniform(0.03, 0.4), size),
        "ratings": rng.integers(shift, int(rng.integers(5, 200)), size),
        "sums": np.cumsum(rng.poisson(1.0, size), axis=1),
        "walks": np.abs(np.rint(walk)).astype(int),
        "decays": np.maximum(0, decay),
        "heart rates": np.rint(rng.normal(75, 12, size)).astype(int),
    }


def test_integer_quantities_are_hardly_ever_taken_for_token_ids():
    n_warnings = 0
    for seed in range(40):
        for values in draw_integers(np.random.default_rng(seed)).values():
            with warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always")
                warn_token_ids(Sequences(values[:, :, None]))
            n_warnings += len(caught)
    assert n_warnings <= 3  # of 280


def test_images_as_integers_are_not_taken_for_token_ids():
    digits = load_digits()
    fit_in_silence(
        RNNClassifier(**TINY), digits.data.astype(int)[:300], digits.target[:300]
    )
