import inspect

import numpy as np
import pandas as pd
import polars as pl
import pytest
from clients import (
    ESTIMATORS,
    INPUTS,
    N_ROWS,
    NUMBERS,
    SERIES,
    VALUES,
    WORDS,
    small,
    targets_for,
)
from numpy.testing import assert_array_equal
from sklearn.utils.validation import has_fit_parameter


@pytest.mark.parametrize("method", ["fit", "partial_fit", "score"])
@pytest.mark.parametrize("cls", ESTIMATORS)
def test_sample_weight_is_an_explicit_argument(cls, method):
    parameter = inspect.signature(getattr(cls, method)).parameters["sample_weight"]

    assert parameter.default is None
    assert parameter.kind == parameter.POSITIONAL_OR_KEYWORD


@pytest.mark.parametrize("cls", ESTIMATORS)
def test_scikit_learn_sees_that_fit_takes_weights(cls):
    assert has_fit_parameter(cls(), "sample_weight")


@pytest.mark.parametrize("cls", ESTIMATORS)
def test_one_row_of_zeros_is_predicted_as_conformal_clients_ask(cls):
    model = small(cls).fit(INPUTS["2-D"], targets_for(cls))

    assert model.predict(np.zeros((1, model.n_features_in_))).shape == (1,)


STRIDED = {
    "newest lag first": INPUTS["2-D"][:, ::-1],
    "columns first": np.asfortranarray(INPUTS["2-D"]),
    "every other row": np.repeat(INPUTS["2-D"], 2, axis=0)[::2],
    "one feature": VALUES[:, :, 1],
    "reversed rows": INPUTS["2-D"][::-1],
    "channels moved": VALUES.transpose(0, 2, 1).copy().transpose(0, 2, 1),
    "reversed time": VALUES[:, ::-1],
    "read-only window": np.lib.stride_tricks.sliding_window_view(SERIES[:35, 0], 6),
}


@pytest.mark.parametrize("X", STRIDED.values(), ids=STRIDED)
def test_the_layout_of_memory_does_not_matter(X):
    expected = small().fit(X.copy(), NUMBERS).predict(X.copy())

    assert_array_equal(small().fit(X, NUMBERS).predict(X), expected)


def test_a_frame_of_mixed_dtypes_is_read_as_numbers():
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


def test_a_frame_of_polars_is_read_as_one_of_pandas():
    frame = pl.DataFrame(INPUTS["frame"].to_dict("list"))
    model = small().fit(frame, NUMBERS)

    expected = small().fit(INPUTS["frame"], NUMBERS)
    assert_array_equal(model.predict(frame), expected.predict(INPUTS["frame"]))
