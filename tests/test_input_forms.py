"""Forms of X and of estimators that clients of scikit-learn rely on."""

import inspect

import numpy as np
import pandas as pd
import polars as pl
import pytest
from clients import INPUTS, N_ROWS, NUMBERS, VALUES, WORDS, small
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.inspection import partial_dependence, permutation_importance
from sklearn.utils import estimator_html_repr
from sklearn.utils.validation import has_fit_parameter

from skrnn import BiRNNClassifier, RNNClassifier, RNNRegressor

over_estimators = pytest.mark.parametrize(
    "cls", [RNNRegressor, RNNClassifier, BiRNNClassifier]
)

# The layout of X

STRIDED = {
    "newest lag first": INPUTS["2-D"][:, ::-1],
    "columns first": np.asfortranarray(INPUTS["2-D"]),
    "every other row": np.repeat(INPUTS["2-D"], 2, axis=0)[::2],
    "one feature": VALUES[:, :, 1],
    "reversed rows": INPUTS["2-D"][::-1],
    "channels moved": VALUES.transpose(0, 2, 1).copy().transpose(0, 2, 1),
    "reversed time": VALUES[:, ::-1],
    "read-only windows": np.lib.stride_tricks.sliding_window_view(
        np.sin(np.arange(35)), 6
    ),
}


@pytest.mark.parametrize("X", STRIDED.values(), ids=STRIDED)
def test_layout_of_x_in_memory_does_not_matter(X):
    expected = small().fit(X.copy(), NUMBERS).predict(X.copy())

    assert_array_equal(small().fit(X, NUMBERS).predict(X), expected)


def test_frame_of_mixed_dtypes_is_read_as_numbers():
    frame = pd.DataFrame(
        {
            "lag_1": VALUES[:, 0, 0].astype(np.float32),
            "lag_2": VALUES[:, 1, 0],
            "month": (np.arange(N_ROWS) % 12).astype(np.int8),
            "holiday": WORDS == "flat",
        }
    )

    expected = small().fit(frame.to_numpy(np.float64), NUMBERS)
    actual = small().fit(frame, NUMBERS).predict(frame)
    assert_array_equal(actual, expected.predict(frame.to_numpy(np.float64)))


def test_polars_frame_is_read_like_a_pandas_frame():
    frame = pl.DataFrame(INPUTS["frame"].to_dict("list"))
    model = small().fit(frame, NUMBERS)

    expected = small().fit(INPUTS["frame"], NUMBERS)
    assert_array_equal(model.predict(frame), expected.predict(INPUTS["frame"]))


@pytest.mark.parametrize(
    "row",
    [
        np.zeros((1, 6)),
        np.ones((1, 6, 2)),
        [np.ones((6, 2))],
        [np.ones((1, 2))],
    ],
    ids=["2-D", "3-D", "list", "one step"],
)
def test_one_row_in_gives_one_row_out(row):
    X = np.repeat(row, N_ROWS, axis=0) if isinstance(row, np.ndarray) else row * N_ROWS
    model = small(RNNClassifier).fit(X, WORDS)

    assert model.predict(row).shape == (1,)
    assert model.predict_proba(row).shape == (1, 3)


# Signatures and representations


@over_estimators
def test_sample_weight_is_an_explicit_argument(cls):
    for method in ("fit", "partial_fit", "score"):
        parameter = inspect.signature(getattr(cls, method)).parameters["sample_weight"]
        assert parameter.default is None
        assert parameter.kind == parameter.POSITIONAL_OR_KEYWORD
    assert has_fit_parameter(cls(), "sample_weight")


@over_estimators
def test_repr_shows_changed_parameters_only(cls):
    assert repr(cls(hidden_size=8)) == f"{cls.__name__}(hidden_size=8)"


@pytest.mark.parametrize("fitted", [False, True], ids=["unfitted", "fitted"])
def test_diagram_shows_the_estimator_and_its_state(fitted):
    model = small()
    if fitted:
        model.fit(INPUTS["2-D"], NUMBERS)

    page = estimator_html_repr(model)
    assert "RNNRegressor" in page
    assert f"<span>{'Fitted' if fitted else 'Not fitted'}</span>" in page


# Inspection


def test_step_that_determines_y_has_the_largest_permutation_importance():
    X = np.random.default_rng(6).normal(size=(120, 4))
    model = RNNRegressor(8, max_epochs=40, random_state=0).fit(X, X[:, 1])

    result = permutation_importance(model, X, X[:, 1], n_repeats=3, random_state=0)
    assert result.importances_mean.argmax() == 1
    assert result.importances_mean[1] > 5 * np.delete(result.importances_mean, 1).max()


@pytest.mark.parametrize("cls", [RNNRegressor, RNNClassifier])
def test_partial_dependence_is_the_mean_output_with_one_step_fixed(cls):
    X = INPUTS["2-D"]
    y = NUMBERS if cls is RNNRegressor else WORDS == "up"
    model = small(cls).fit(X, y)

    result = partial_dependence(model, X, [2], grid_resolution=4, kind="average")
    for value, average in zip(result.grid_values[0], result.average[0], strict=True):
        fixed = X.copy()
        fixed[:, 2] = value
        if cls is RNNClassifier:
            expected = model.predict_proba(fixed)[:, 1]
        else:
            expected = model.predict(fixed)
        assert_allclose(average, expected.mean(), rtol=1e-10)
