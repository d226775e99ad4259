"""ToSequences."""

import numpy as np
import pandas as pd
import polars as pl
import pytest
from messages import raises
from numpy.testing import assert_array_equal
from sklearn.compose import ColumnTransformer, make_column_selector
from sklearn.exceptions import NotFittedError
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils import get_tags
from sklearn.utils._param_validation import InvalidParameterError

from skrnn import RNNRegressor, SlidingWindow, ToSequences

# scikit-learn 1.6 reads names by a protocol that the newest polars has dropped.
KNOWS_POLARS = hasattr(
    StandardScaler().fit(pl.DataFrame({"a": [1.0]})), "feature_names_in_"
)
NAMED = pd.DataFrame(
    np.arange(12.0).reshape(2, 6), columns=["s", "a1", "a2", "b1", "b2", "u"]
)


def sequences_in_a_loop(X, n_features, newest_first, static):
    """Return the sequences of a table, value by value."""
    lags = [i for i in range(X.shape[1]) if i not in static]
    n_timesteps = len(lags) // n_features
    sequences = np.empty((len(X), n_timesteps, n_features + len(static)), X.dtype)
    for i, row in enumerate(X):
        for t in range(n_timesteps):
            lag = n_timesteps - 1 - t if newest_first else t
            for f in range(n_features):
                sequences[i, t, f] = row[lags[f * n_timesteps + lag]]
            for k, column in enumerate(static):
                sequences[i, t, n_features + k] = row[column]
    return sequences


@pytest.mark.parametrize("static", [[], [8], [0, 8], [8, 3]], ids=str)
@pytest.mark.parametrize("newest_first", [False, True])
@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.int64])
def test_a_table_is_transformed_as_in_a_loop(dtype, newest_first, static):
    n_features = 2 if len(static) == 1 else 1
    X = np.arange(27).reshape(3, 9).astype(dtype)
    expected = sequences_in_a_loop(X, n_features, newest_first, static)

    to_sequences = ToSequences(
        n_features, newest_first=newest_first, static_columns=static
    )

    output = to_sequences.fit_transform(np.asfortranarray(X))
    assert_array_equal(output, expected, strict=True)
    # The columns are those of fit, whatever the rows.
    output = to_sequences.fit(X).transform(X[1:])
    assert_array_equal(output, expected[1:], strict=True)
    assert to_sequences.n_timesteps_ == (9 - len(static)) // n_features


SELECTIONS = {
    "name": ("u", [5]),
    "names": (["u", "s"], [5, 0]),
    "index": (-1, [5]),
    "indices": (np.array([0, -1]), [0, 5]),
    "slice": (slice(-2, None), [4, 5]),
    "slice of names": (slice("b2", "u"), [4, 5]),
    "slice to a name": (slice(None, "a1"), [0, 1]),
    "mask": ([True, False, False, False, False, True], [0, 5]),
    "callable": (make_column_selector("^[su]"), [0, 5]),
}


@pytest.mark.parametrize(("selection", "columns"), SELECTIONS.values(), ids=SELECTIONS)
def test_static_columns_are_selected_as_by_column_transformer(selection, columns):
    expected = sequences_in_a_loop(NAMED.to_numpy(), 1, False, columns)
    # ColumnTransformer would pass a single column as 1-D.
    listed = [selection] if isinstance(selection, (str, int)) else selection
    peer = ColumnTransformer([("static", "passthrough", listed)])

    output = ToSequences(static_columns=selection).fit_transform(NAMED)

    assert_array_equal(output, expected, strict=True)
    assert_array_equal(output[:, 0, -len(columns) :], peer.fit_transform(NAMED))


@pytest.mark.parametrize("selection", [None, [], ("s", "u"), NAMED.columns[[0, 5]]])
def test_static_columns_that_column_transformer_does_not_accept(selection):
    columns = [0, 5] if selection is not None and len(selection) else []

    output = ToSequences(static_columns=selection).fit_transform(NAMED)

    expected = sequences_in_a_loop(NAMED.to_numpy(), 1, False, columns)
    assert_array_equal(output, expected, strict=True)


@pytest.mark.skipif(
    not KNOWS_POLARS, reason="this scikit-learn does not find names in polars"
)
def test_columns_of_polars_frames_are_selected_by_name():
    table = pl.from_dict(NAMED.to_dict("list"))

    output = ToSequences(static_columns=["u"]).fit_transform(table)

    assert_array_equal(output, ToSequences(static_columns=["u"]).fit_transform(NAMED))


@pytest.mark.parametrize("newest_first", [False, True])
def test_output_without_static_columns_is_a_read_only_view(newest_first):
    X = np.arange(48.0).reshape(8, 6)[::-2]

    output = ToSequences(3, newest_first=newest_first).fit_transform(X)

    assert np.shares_memory(output, X)
    assert not output.flags.writeable
    assert X.flags.writeable
    assert_array_equal(output, sequences_in_a_loop(X, 3, newest_first, []))


def test_missing_values_are_accepted():
    tags = get_tags(ToSequences())

    output = ToSequences().fit_transform([[1.0, np.nan, 3.0]])

    assert_array_equal(output, [[[1.0], [np.nan], [3.0]]])
    assert tags.input_tags.allow_nan
    assert tags.transformer_tags.preserves_dtype == ["float64", "float32"]


def test_a_pipeline_of_to_sequences_and_a_network():
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


def test_lags_are_equal_to_windows():
    series = np.arange(8.0)[:, None]
    lags = np.column_stack([np.roll(series[:, 0], k) for k in range(3)])[2:]

    output = ToSequences(newest_first=True).fit_transform(lags)

    assert_array_equal(output, SlidingWindow(3).fit_transform(series)[2:])


@pytest.mark.parametrize(
    ("params", "n_lags"),
    [
        ({"n_features": 4}, 6),
        ({"n_features": 9}, 6),
        ({"static_columns": slice(None)}, 0),
    ],
)
def test_a_wrong_number_of_lags_raises(params, n_lags):
    message = (
        "X must have the same number of lags, at least one, for each variable. Got "
        f"{n_lags} columns of lags for n_features={params.get('n_features', 1)}. "
        "Change n_features, or list the columns that are not lags in static_columns."
    )
    with raises(ValueError, message):
        ToSequences(**params).fit(NAMED)


WRONG_SELECTIONS = {
    "unknown name": ("z", "contain columns of X. Got 'z' for X with 6 columns."),
    "unknown bound": (
        slice("a", "z"),
        "contain columns of X. Got 'a' for X with 6 columns.",
    ),
    "index too large": ([0, 6], "contain columns of X. Got 6 for X with 6 columns."),
    "index too small": (-7, "contain columns of X. Got -7 for X with 6 columns."),
    "float": ([0.5], "contain columns of X. Got 0.5 for X with 6 columns."),
    "repeated": (["u", 5], "contain each column once. Got ['u', 5]."),
}


@pytest.mark.parametrize(
    ("selection", "message"), WRONG_SELECTIONS.values(), ids=WRONG_SELECTIONS
)
def test_wrong_static_columns_raise(selection, message):
    with raises(ValueError, f"The 'static_columns' parameter must {message}"):
        ToSequences(static_columns=selection).fit(NAMED)


def test_a_mask_of_another_length_raises():
    message = (
        "A mask in the 'static_columns' parameter must have an entry for each of the 6 "
        "columns of X. Got 2 entries."
    )
    with raises(ValueError, message):
        ToSequences(static_columns=[True, False]).fit(NAMED)


def test_names_raise_if_x_has_none():
    message = (
        "X must be a DataFrame with string columns if 'static_columns' contains names. "
        "Got 'u' for X without names. Pass column indices."
    )
    with raises(ValueError, message):
        ToSequences(static_columns=["u"]).fit(NAMED.to_numpy())


@pytest.mark.parametrize("n_features", [0, 1.5])
def test_a_wrong_n_features_raises(n_features):
    message = (
        "The 'n_features' parameter of ToSequences must be an int in the range [1, "
        f"inf). Got {n_features!r} instead."
    )
    with raises(InvalidParameterError, message):
        ToSequences(n_features).fit(np.zeros((2, 4)))


def test_transform_before_fit_raises():
    with pytest.raises(NotFittedError, match=r"^This ToSequences instance is not"):
        ToSequences().transform(np.zeros((2, 4)))
