"""ToSequences."""

import numpy as np
import pandas as pd
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from messages import raises
from numpy.testing import assert_array_equal
from sklearn.compose import (
    ColumnTransformer,
    make_column_selector,
)
from sklearn.exceptions import NotFittedError
from sklearn.impute import SimpleImputer
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import (
    StandardScaler,
)
from sklearn.utils import get_tags
from sklearn.utils._param_validation import InvalidParameterError

from skrnn import (
    EachStep,
    RNNRegressor,
    SlidingWindow,
    ToSequences,
)

# scikit-learn 1.6 reads names by a protocol that the newest polars has dropped.
KNOWS_POLARS = hasattr(
    StandardScaler().fit(pl.DataFrame({"a": [1.0]})), "feature_names_in_"
)
if_names_of_polars = pytest.mark.skipif(
    not KNOWS_POLARS, reason="this scikit-learn does not find names in polars"
)


# ToSequences against a loop


def sequences_in_a_loop(X, n_features, newest_first, static):
    lags = [i for i in range(X.shape[1]) if i not in static]
    n_timesteps = len(lags) // n_features
    answer = np.empty((len(X), n_timesteps, n_features + len(static)), dtype=X.dtype)
    for i, row in enumerate(X):
        for t in range(n_timesteps):
            lag = n_timesteps - 1 - t if newest_first else t
            for f in range(n_features):
                answer[i, t, f] = row[lags[f * n_timesteps + lag]]
            for k, column in enumerate(static):
                answer[i, t, n_features + k] = row[column]
    return answer


LAYOUTS = {
    "contiguous": np.ascontiguousarray,
    "F-ordered": np.asfortranarray,
    "every second": lambda X: np.repeat(np.repeat(X, 2, axis=0), 2, axis=1)[::2, ::2],
    "reversed": lambda X: np.ascontiguousarray(X[::-1, ::-1])[::-1, ::-1],
}


@given(
    data=st.data(),
    n_samples=st.integers(1, 4),
    n_timesteps=st.integers(1, 4),
    n_features=st.integers(1, 3),
    n_static=st.integers(0, 3),
    newest_first=st.booleans(),
    dtype=st.sampled_from([np.float64, np.float32, np.int64]),
    layout=st.sampled_from(list(LAYOUTS)),
)
def test_a_table_becomes_the_sequences_of_a_loop(
    data, n_samples, n_timesteps, n_features, n_static, newest_first, dtype, layout
):
    n_columns = n_timesteps * n_features + n_static
    X = np.arange(n_samples * n_columns).reshape(n_samples, n_columns).astype(dtype)
    static = data.draw(st.permutations(range(n_columns)))[:n_static]
    expected = sequences_in_a_loop(X, n_features, newest_first, static)

    to_sequences = ToSequences(
        n_features, newest_first=newest_first, static_columns=static
    )

    answer = to_sequences.fit_transform(LAYOUTS[layout](X))
    assert_array_equal(answer, expected, strict=True)
    assert_array_equal(to_sequences.transform(X), expected, strict=True)
    assert to_sequences.n_timesteps_ == n_timesteps


NAMED = pd.DataFrame(
    np.arange(12.0).reshape(2, 6), columns=["s", "a1", "a2", "b1", "b2", "u"]
)
SELECTIONS = {
    "name": ("u", [5]),
    "names": (["u", "s"], [5, 0]),
    "tuple": (("s", "u"), [0, 5]),
    "Index": (NAMED.columns[[0, 5]], [0, 5]),
    "position": (5, [5]),
    "negative": (-1, [5]),
    "positions": ([0, -1], [0, 5]),
    "array": (np.array([0, 5]), [0, 5]),
    "slice": (slice(-2, None), [4, 5]),
    "slice of names": (slice("b2", "u"), [4, 5]),
    "slice to a name": (slice(None, "a1"), [0, 1]),
    "mask": ([True, False, False, False, False, True], [0, 5]),
    "mask array": (np.arange(6) > 3, [4, 5]),
    "callable": (make_column_selector("^[su]"), [0, 5]),
    "none of them": ([], []),
    "None": (None, []),
}


@pytest.mark.parametrize(("selection", "columns"), SELECTIONS.values(), ids=SELECTIONS)
def test_static_columns_are_chosen_with_the_words_of_column_transformer(
    selection, columns
):
    to_sequences = ToSequences(static_columns=selection)

    answer = to_sequences.fit_transform(NAMED)

    expected = sequences_in_a_loop(NAMED.to_numpy(), 1, False, columns)
    assert_array_equal(answer, expected, strict=True)


@pytest.mark.parametrize(
    "selection",
    [
        s
        for s, columns in SELECTIONS.values()
        if columns and not isinstance(s, (tuple, pd.Index))
    ],
)
def test_column_transformer_chooses_the_same_columns(selection):
    alone = isinstance(selection, (str, int))  # which ColumnTransformer takes as 1-D
    columns = [selection] if alone else selection
    chosen = ColumnTransformer([("chosen", "passthrough", columns)])

    answer = ToSequences(static_columns=selection).fit_transform(NAMED)

    assert_array_equal(answer[:, 0, 1:], chosen.fit_transform(NAMED))


@if_names_of_polars
def test_polars_columns_are_found_by_name():
    table = pl.from_dict(NAMED.to_dict("list"))

    answer = ToSequences(static_columns=["u"]).fit_transform(table)

    assert_array_equal(answer, ToSequences(static_columns=["u"]).fit_transform(NAMED))


@pytest.mark.parametrize("newest_first", [False, True])
@pytest.mark.parametrize("n_features", [1, 3])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_without_static_columns_nothing_is_copied(n_features, newest_first, layout):
    X = LAYOUTS[layout](np.arange(24.0).reshape(4, 6))

    answer = ToSequences(n_features, newest_first=newest_first).fit_transform(X)

    assert np.shares_memory(answer, X)
    assert not answer.flags.writeable
    assert X.flags.writeable


def test_other_rows_are_transformed_as_those_of_fit_were():
    to_sequences = ToSequences(static_columns=["u"]).fit(NAMED)

    answer = to_sequences.transform(NAMED[1:])

    assert_array_equal(answer, to_sequences.transform(NAMED)[1:], strict=True)


def test_tags_of_a_table_of_lags_say_what_is_kept():
    tags = get_tags(ToSequences())

    assert tags.input_tags.allow_nan
    assert tags.transformer_tags.preserves_dtype == ["float64", "float32"]


def test_missing_values_are_left_to_what_follows():
    X = [[1.0, np.nan, 3.0]]

    answer = make_pipeline(ToSequences(), EachStep(SimpleImputer())).fit_transform(X)

    assert_array_equal(answer[0, :, 0], [1, 2, 3])


def test_a_regressor_of_sequences_takes_a_table_of_lags():
    X = np.random.default_rng(0).normal(size=(10, 7))
    pipeline = Pipeline(
        [
            ("to_sequences", ToSequences(2, static_columns=-1)),
            ("rnn", RNNRegressor(2, max_epochs=1, random_state=0)),
        ]
    )

    pipeline.set_output(transform="pandas").fit(X, X[:, 0])

    assert pipeline.predict(X).shape == (10,)
    assert pipeline["rnn"].n_features_in_ == 3


@pytest.mark.parametrize("n_features", [2, 9])
def test_lags_that_do_not_divide_are_refused(n_features):
    message = (
        "X must have the same number of lags, at least one, for each variable. Got 7 "
        f"columns of lags for n_features={n_features}. Change n_features, or list the "
        "columns that are not lags in static_columns."
    )
    with raises(ValueError, message):
        ToSequences(n_features).fit(np.zeros((2, 7)))


def test_a_table_without_lags_is_refused():
    message = (
        "X must have the same number of lags, at least one, for each variable. Got 0 "
        "columns of lags for n_features=1. Change n_features, or list the columns that "
        "are not lags in static_columns."
    )
    with raises(ValueError, message):
        ToSequences(static_columns=slice(None)).fit(np.zeros((2, 7)))


BAD_SELECTIONS = {
    "unknown name": (
        "z",
        "The 'static_columns' parameter must contain columns of X. Got 'z' for X with "
        "6 "
        "columns.",
    ),
    "unknown end": (
        slice("a", "z"),
        "The 'static_columns' parameter must contain columns of X. Got 'a' for X with "
        "6 "
        "columns.",
    ),
    "too far": (
        [0, 6],
        "The 'static_columns' parameter must contain columns of X. Got 6 for X with 6 "
        "columns.",
    ),
    "too far back": (
        -7,
        "The 'static_columns' parameter must contain columns of X. Got -7 for X with 6 "
        "columns.",
    ),
    "not a column": (
        [0.5],
        "The 'static_columns' parameter must contain columns of X. Got 0.5 for X with "
        "6 "
        "columns.",
    ),
    "twice": (
        ["u", 5],
        "The 'static_columns' parameter must contain each column once. Got ['u', 5].",
    ),
    "twice by position": (
        [-1, 5],
        "The 'static_columns' parameter must contain each column once. Got [-1, 5].",
    ),
    "short mask": (
        [True, False],
        "A mask in the 'static_columns' parameter must have an entry for each of the 6 "
        "columns of X. Got 2 entries.",
    ),
}


@pytest.mark.parametrize(
    ("selection", "message"), BAD_SELECTIONS.values(), ids=BAD_SELECTIONS
)
def test_columns_that_x_does_not_have_are_refused(selection, message):
    with raises(ValueError, message):
        ToSequences(static_columns=selection).fit(NAMED)


def test_names_for_x_without_names_are_refused():
    message = (
        "X must be a DataFrame with string columns if 'static_columns' contains names. "
        "Got 'u' for X without names. Pass column indices."
    )
    with raises(ValueError, message):
        ToSequences(static_columns=["u"]).fit(NAMED.to_numpy())


@pytest.mark.parametrize("n_features", [0, 1.5, "two"])
def test_a_number_of_variables_that_is_none_is_refused(n_features):
    message = (
        "The 'n_features' parameter of ToSequences must be an int in the range [1, "
        f"inf). Got {n_features!r} instead."
    )
    with raises(InvalidParameterError, message):
        ToSequences(n_features).fit(np.zeros((2, 4)))


def test_a_table_of_lags_is_transformed_after_fit_only():
    with pytest.raises(NotFittedError, match=r"^This ToSequences instance is not"):
        ToSequences().transform(np.zeros((2, 4)))


def test_windows_and_lags_agree():
    series = np.arange(8.0)[:, None]
    lags = np.column_stack([np.roll(series[:, 0], k) for k in range(3)])[2:]

    answer = ToSequences(newest_first=True).fit_transform(lags)

    assert_array_equal(answer, SlidingWindow(3).fit_transform(series)[2:])
