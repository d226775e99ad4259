"""What a sequence is: every accepted form of X, and what is said about the others."""

from decimal import Decimal, localcontext
from functools import cache
from unittest import mock

import joblib
import numpy as np
import pandas as pd
import polars as pl
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from messages import raises
from numpy.testing import assert_allclose, assert_array_equal
from scipy.sparse import csr_array

from skrnn import BiRNNClassifier, RNNClassifier, RNNRegressor
from skrnn._data import sequences as module
from skrnn._data.scaling import feature_scaling
from skrnn._data.sequences import Sequences

ESTIMATORS = [RNNRegressor, RNNClassifier, BiRNNClassifier]
N_SAMPLES, N_TIMESTEPS, N_FEATURES = 12, 5, 3
LENGTHS = [3, 5, 1, 4, 2, 5, 3, 1, 6, 2, 4, 3]
over_estimators = pytest.mark.parametrize("cls", ESTIMATORS)


def tiny(cls, **params):
    return cls(**{"hidden_size": 4, "max_epochs": 2, "random_state": 0, **params})


def whole_numbers(*shape, low=-3):
    """Return float64 values that every numeric dtype holds exactly."""
    return np.random.default_rng(0).integers(low, 4, size=shape).astype(np.float64)


def targets(n_samples=N_SAMPLES):
    return np.arange(n_samples) % 2


def two_dimensional():
    return whole_numbers(N_SAMPLES, N_TIMESTEPS)


def three_dimensional():
    return whole_numbers(N_SAMPLES, N_TIMESTEPS, N_FEATURES)


def ragged(n_features=N_FEATURES):
    values = whole_numbers(N_SAMPLES, max(LENGTHS), n_features)
    return [row[:length] for row, length in zip(values, LENGTHS, strict=True)]


def cells(items):
    """Put each item into a cell of an object array, whatever their lengths."""
    array = np.empty(len(items), dtype=object)
    for i, item in enumerate(items):
        array[i] = item
    return array


def answers(estimator, X):
    return getattr(estimator, "predict_proba", estimator.predict)(X)


@cache
def fitted(cls, make):
    """Return an estimator fitted on canonical arrays, shared between tests."""
    return tiny(cls).fit(make(), targets())


# Forms of one array. Each takes an array and says the same with other memory.


def read_only(X):
    X = X.copy()
    X.flags.writeable = False
    return X


def negative_strides(X):
    return np.ascontiguousarray(X[::-1, ::-1])[::-1, ::-1]


def every_second_of_more(X):
    more = np.full(tuple(2 * size for size in X.shape), np.nan)
    every_second = tuple(slice(None, None, 2) for _ in X.shape)
    more[every_second] = X
    return more[every_second]


def unaligned(X):
    memory = np.zeros(X.nbytes + 1, dtype=np.uint8)
    view = memory[1:].view(X.dtype).reshape(X.shape)
    view[...] = X
    return view


ARRAY_FORMS = {
    "read-only": read_only,
    "F-ordered": np.asfortranarray,
    "negative strides": negative_strides,
    "not contiguous": every_second_of_more,
    "unaligned": unaligned,
    "big-endian": lambda X: X.astype(">f8"),
    "int64": lambda X: X.astype(np.int64),
    "int8": lambda X: X.astype(np.int8),
    "objects": lambda X: X.astype(object),
    "objects of int": lambda X: X.astype(int).astype(object),
    "long double": lambda X: X.astype(np.longdouble),
    "tensor": torch.from_numpy,
    "tensor of int": lambda X: torch.from_numpy(X).to(torch.int32),
    "nested lists": lambda X: X.tolist(),
    "nested tuples": lambda X: tuple(
        tuple(tuple(v) if isinstance(v, list) else v for v in row) for row in X.tolist()
    ),
}
FRAME_FORMS = {
    "DataFrame": lambda X: pd.DataFrame(X),
    "DataFrame of mixed dtypes": lambda X: pd.DataFrame(X).astype({0: int, 1: "f4"}),
    "DataFrame of nullable dtypes": lambda X: pd.DataFrame(X).convert_dtypes(),
}
# Forms of several sequences in one container. Each takes a list of arrays.
RAGGED_FORMS = {
    "tuple": tuple,
    "object array": cells,
    "Series of arrays": lambda X: pd.Series(cells(X)),
    "list of lists": lambda X: [row.tolist() for row in X],
    "tuple of lists": lambda X: tuple(row.tolist() for row in X),
    "object array of lists": lambda X: cells([row.tolist() for row in X]),
    "Series of lists": lambda X: pd.Series(cells([row.tolist() for row in X])),
    "list of tensors": lambda X: [torch.from_numpy(row) for row in X],
    "list of frames": lambda X: [pd.DataFrame(row) for row in X],
    "list of int arrays": lambda X: [row.astype(int) for row in X],
    "list of object arrays": lambda X: [row.astype(object) for row in X],
    "list of read-only arrays": lambda X: [read_only(row) for row in X],
    "list of F-ordered arrays": lambda X: [np.asfortranarray(row) for row in X],
    "list of mixed dtypes": lambda X: [
        row.astype(int) if i % 2 else row for i, row in enumerate(X)
    ],
}


def over_forms(forms):
    return pytest.mark.parametrize("form", forms.values(), ids=forms.keys())


def assert_means_the_same(cls, form, make):
    canonical = fitted(cls, make)
    X = make()

    estimator = tiny(cls).fit(form(X), targets())

    assert_array_equal(estimator.loss_curve_, canonical.loss_curve_)
    assert estimator.n_features_in_ == canonical.n_features_in_
    expected = answers(canonical, X)
    assert_array_equal(answers(estimator, form(X)), expected, strict=True)
    assert_array_equal(answers(canonical, form(X)), expected, strict=True)


@over_forms(ARRAY_FORMS | FRAME_FORMS)
@over_estimators
def test_every_form_of_2d_x_means_the_same(cls, form):
    assert_means_the_same(cls, form, two_dimensional)


@pytest.mark.parametrize("frame", [pd.DataFrame, pl.DataFrame])
@over_estimators
def test_a_frame_with_names_means_the_same_as_its_values(cls, frame):
    X = frame(dict(zip("abcde", two_dimensional().T, strict=True)))

    estimator = tiny(cls).fit(X, targets())

    expected = answers(fitted(cls, two_dimensional), two_dimensional())
    assert_array_equal(answers(estimator, X), expected, strict=True)


@over_forms(ARRAY_FORMS)
@over_estimators
def test_every_form_of_3d_x_means_the_same(cls, form):
    assert_means_the_same(cls, form, three_dimensional)


@over_forms(RAGGED_FORMS)
@over_estimators
def test_every_form_of_ragged_x_means_the_same(cls, form):
    assert_means_the_same(cls, form, ragged)


@over_forms(RAGGED_FORMS)
def test_a_container_of_sequences_that_are_equally_long_is_3d_x(form):
    # Whether ragged data happens to have equal lengths must not matter.
    canonical = fitted(RNNRegressor, three_dimensional)
    X = form(list(three_dimensional()))

    estimator = tiny(RNNRegressor).fit(X, targets())

    assert estimator.n_features_in_ == N_FEATURES
    expected = canonical.predict(three_dimensional())
    assert_array_equal(estimator.predict(X), expected)
    assert_array_equal(canonical.predict(X), expected)


@pytest.mark.parametrize(
    "form",
    [list, tuple, cells, lambda X: pd.Series(cells(X))],
    ids=["list", "tuple", "object array", "Series"],
)
def test_a_container_of_1d_arrays_of_one_length_is_free_in_length(form):
    X = list(two_dimensional())
    estimator = tiny(RNNRegressor).fit(form(X), targets())

    assert estimator.n_features_in_ == 1
    shorter = form([row[:3] for row in X])
    assert_array_equal(
        estimator.predict(shorter), estimator.predict(two_dimensional()[:, :3, None])
    )


@pytest.mark.parametrize("form", [cells, lambda X: pd.Series(cells(X))])
def test_an_object_array_of_lists_of_one_length_is_free_in_length(form):
    X = two_dimensional().tolist()
    estimator = tiny(RNNRegressor).fit(form(X), targets())

    assert estimator.n_features_in_ == 1
    shorter = form([row[:3] for row in X])
    assert_array_equal(
        estimator.predict(shorter), estimator.predict(two_dimensional()[:, :3, None])
    )


@pytest.mark.parametrize("opener", ["memmap", "joblib"])
@pytest.mark.parametrize("make", [two_dimensional, three_dimensional])
@over_estimators
def test_memory_mapped_x_means_the_same(cls, make, opener, tmp_path):
    def form(X):
        if opener == "joblib":
            joblib.dump(X, tmp_path / "X.joblib")
            return joblib.load(tmp_path / "X.joblib", mmap_mode="r")
        X.tofile(tmp_path / "X.bin")
        return np.memmap(tmp_path / "X.bin", dtype=X.dtype, mode="r", shape=X.shape)

    assert isinstance(form(make()), np.memmap)
    assert_means_the_same(cls, form, make)


@over_estimators
def test_booleans_mean_zeros_and_ones(cls):
    X = two_dimensional() > 0
    estimator = tiny(cls).fit(X, targets())
    canonical = tiny(cls).fit(X.astype(np.float64), targets())

    assert_array_equal(answers(estimator, X), answers(canonical, X.astype(np.float64)))


@over_forms(
    {
        "array": lambda X: X,
        "3-D array": lambda X: X[:, :, None],
        "list": list,
        "tensor": torch.from_numpy,
        "DataFrame": pd.DataFrame,
    }
)
def test_float16_means_the_same_as_float32(form):
    X = two_dimensional()
    estimator = tiny(RNNRegressor).fit(form(X.astype(np.float16)), targets())
    canonical = tiny(RNNRegressor).fit(form(X.astype(np.float32)), targets())

    assert_array_equal(
        estimator.predict(form(X.astype(np.float16))),
        canonical.predict(form(X.astype(np.float32))),
    )


@over_estimators
def test_2d_x_means_one_feature_per_step(cls):
    X = two_dimensional()
    canonical = tiny(cls).fit(X[:, :, None], targets())

    expected = answers(canonical, X[:, :, None])
    assert_array_equal(answers(tiny(cls).fit(X, targets()), X), expected)


@over_estimators
def test_ragged_1d_sequences_mean_one_feature_per_step(cls):
    with_axis = ragged(n_features=1)
    without_axis = [row[:, 0] for row in with_axis]
    canonical = tiny(cls).fit(with_axis, targets())

    estimator = tiny(cls).fit(without_axis, targets())

    assert estimator.n_features_in_ == 1
    expected = answers(canonical, with_axis)
    assert_array_equal(answers(estimator, without_axis), expected)
    assert_array_equal(answers(estimator, with_axis), expected)


@over_estimators
def test_a_2d_fit_accepts_a_last_axis_of_one_in_predict(cls):
    estimator, X = fitted(cls, two_dimensional), two_dimensional()

    assert_array_equal(answers(estimator, X[:, :, None]), answers(estimator, X))


@over_estimators
def test_a_3d_fit_accepts_other_lengths_in_predict(cls):
    estimator, X = fitted(cls, three_dimensional), three_dimensional()

    shorter = answers(estimator, X[:, :2])
    ragged_too = answers(estimator, [X[0, :2], X[1]])

    assert_array_equal(ragged_too[0], shorter[0])
    assert_array_equal(ragged_too[1], answers(estimator, X)[1])


def test_lists_of_any_lengths_are_sequences_once_the_fit_was_ragged():
    X = [row[:, 0].tolist() for row in ragged(n_features=1)]
    estimator = tiny(RNNRegressor).fit(X, targets())
    fives = [row for row in X if len(row) == 5]

    # The same sequences once alone, where their lengths are equal, and once with all.
    expected = [
        one for one, row in zip(estimator.predict(X), X, strict=True) if row in fives
    ]
    assert_array_equal(estimator.predict(fives), expected)
    assert_array_equal(estimator.predict(fives[:1]), expected[:1])


@over_estimators
def test_a_precision_that_predict_gets_does_not_change_that_of_the_network(cls):
    X = three_dimensional().astype(np.float32)
    estimator = tiny(cls).fit(X, targets())

    assert_array_equal(answers(estimator, X.astype(np.float64)), answers(estimator, X))


# Precision follows X


@pytest.mark.parametrize(
    ("dtype", "expected"),
    [
        (np.float16, torch.float32),
        (np.float32, torch.float32),
        (">f4", torch.float32),
        (np.float64, torch.float64),
        (np.longdouble, torch.float64),
        (np.int8, torch.float64),
        (np.uint64, torch.float64),
        (bool, torch.float64),
        (object, torch.float64),
    ],
)
@pytest.mark.parametrize(
    "make",
    [
        lambda dtype: whole_numbers(12, 5, low=0).astype(dtype),
        lambda dtype: whole_numbers(12, 5, 3, low=0).astype(dtype),
        lambda dtype: [np.abs(row).astype(dtype) for row in ragged()],
    ],
    ids=["2-D", "3-D", "ragged"],
)
def test_precision_follows_x(make, dtype, expected):
    estimator = tiny(RNNRegressor, max_epochs=1).fit(make(dtype), targets())

    assert {p.dtype for p in estimator.module_.parameters()} == {expected}


def test_one_wide_sequence_makes_ragged_x_wide():
    X = [row.astype(np.float32) for row in ragged()]
    X[3] = X[3].astype(np.float64)
    estimator = tiny(RNNRegressor, max_epochs=1).fit(X, targets())

    assert estimator.module_.head.weight.dtype == torch.float64


# What an estimator knows of X


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (two_dimensional, N_TIMESTEPS),
        (three_dimensional, N_FEATURES),
        (ragged, N_FEATURES),
        (lambda: [row[:, 0] for row in ragged()], 1),
        (lambda: pd.DataFrame(two_dimensional()), N_TIMESTEPS),
    ],
    ids=["2-D", "3-D", "ragged", "ragged 1-D", "DataFrame"],
)
@over_estimators
def test_n_features_in_counts_steps_of_2d_x_and_features_of_other_x(
    cls, make, expected
):
    estimator = tiny(cls, max_epochs=1)
    assert not hasattr(estimator, "n_features_in_")

    estimator.fit(make(), targets())

    assert estimator.n_features_in_ == expected


@pytest.mark.parametrize("frame", [pd.DataFrame, pl.DataFrame])
def test_names_of_string_columns_are_kept(frame):
    names = list("abcde")
    X = frame(dict(zip(names, two_dimensional().T, strict=True)))

    estimator = tiny(RNNRegressor, max_epochs=1).fit(X, targets())

    assert_array_equal(estimator.feature_names_in_, np.array(names, dtype=object))


def test_columns_without_string_names_leave_no_names():
    X = pd.DataFrame(two_dimensional())

    estimator = tiny(RNNRegressor, max_epochs=1).fit(X, targets())

    assert not hasattr(estimator, "feature_names_in_")


@pytest.mark.parametrize(
    "make",
    [
        two_dimensional,
        three_dimensional,
        ragged,
        lambda: [pd.DataFrame(row, columns=list("uvw")) for row in ragged()],
    ],
    ids=["2-D", "3-D", "ragged", "list of frames"],
)
def test_x_without_names_forgets_those_of_an_earlier_fit(make):
    frame = pd.DataFrame(two_dimensional(), columns=list("abcde"))
    estimator = tiny(RNNRegressor, max_epochs=1).fit(frame, targets())

    estimator.fit(make(), targets())

    assert not hasattr(estimator, "feature_names_in_")
    assert estimator.predict(make()).shape == (N_SAMPLES,)


def test_other_column_names_than_in_fit_are_refused():
    frame = pd.DataFrame(two_dimensional(), columns=list("abcde"))
    estimator = tiny(RNNRegressor, max_epochs=1).fit(frame, targets())

    with raises(
        ValueError,
        "The feature names should match those that were passed during fit.\n"
        "Feature names must be in the same order as they were in fit.\n",
    ):
        estimator.predict(frame[list("edcba")])


def test_a_refit_may_change_the_kind_of_x():
    estimator = tiny(RNNRegressor, max_epochs=1).fit(ragged(), targets())

    estimator.fit(two_dimensional(), targets())

    assert estimator.n_features_in_ == N_TIMESTEPS
    assert estimator.predict(two_dimensional()).shape == (N_SAMPLES,)


# What is refused, and how

NOT_NUMBERS = " Encode categories or tokens first, for example with TokenOneHotEncoder."
EVERY_SEQUENCE = (
    "Every sequence of X must have shape (n_timesteps, n_features) or (n_timesteps,)."
)
RESHAPE = (
    "Reshape your data either using array.reshape(-1, 1) if your data has a single "
    "feature or array.reshape(1, -1) if it contains a single sample."
)
COMPLEX = (
    "Complex data not supported. X must contain real numbers. Pass the real and the "
    "imaginary part as two features."
)
AT_LEAST_ONE = "X must have at least one sample, one time step and one feature."
TEXT = (
    "X must contain numbers only. Got text: 'so good'. Encode it first, for example "
    "with TokenOneHotEncoder."
)
REFUSED = {
    "None": (
        None,
        f"Expected 2D array, got scalar array instead:\narray=None.\n{RESHAPE}",
    ),
    "a number": (
        3.0,
        f"Expected 2D array, got scalar array instead:\narray=3.0.\n{RESHAPE}",
    ),
    "a dict": (
        {"a": [1]},
        f"Expected 2D array, got scalar array instead:\narray={{'a': [1]}}.\n{RESHAPE}",
    ),
    "an empty list": (
        [],
        f"Expected 2D array, got 1D array instead:\narray=[].\n{RESHAPE}",
    ),
    "1-D": (
        [1.0, 2.0],
        f"Expected 2D array, got 1D array instead:\narray=[1. 2.].\n{RESHAPE}",
    ),
    "4-D": (
        np.ones((4, 3, 2, 1)),
        "X must be 2-D (n_samples, n_timesteps), 3-D (n_samples, n_timesteps, "
        "n_features) or a list of sequences. Got an array of shape (4, 3, 2, 1).",
    ),
    "no rows": (
        np.ones((0, 3)),
        "Found array with 0 sample(s) (shape=(0, 3)) while a minimum of 1 is required "
        "by RNNRegressor.",
    ),
    "no columns": (
        np.ones((4, 0)),
        "Found array with 0 feature(s) (shape=(4, 0)) while a minimum of 1 is "
        "required by RNNRegressor.",
    ),
    "3-D without rows": (
        np.ones((0, 3, 2)),
        f"{AT_LEAST_ONE} Got an array of shape (0, 3, 2).",
    ),
    "3-D without steps": (
        np.ones((4, 0, 2)),
        f"{AT_LEAST_ONE} Got an array of shape (4, 0, 2).",
    ),
    "3-D without features": (
        np.ones((4, 3, 0)),
        f"{AT_LEAST_ONE} Got an array of shape (4, 3, 0).",
    ),
    "an empty sequence": (
        [np.ones((2, 1)), np.ones((0, 1)), np.ones((1, 1)), np.ones((3, 1))],
        "Every sequence of X must have at least one time step. Got shape (0, 1) for "
        "sequence 1. Remove it.",
    ),
    "an empty list among lists": (
        [[1.0, 2.0], [1.0], [], [1.0]],
        "Every sequence of X must have at least one time step. Got shape (0,) for "
        "sequence 2. Remove it.",
    ),
    "different numbers of features": (
        [np.ones((2, 3)), np.ones((3, 3)), np.ones((2, 4)), np.ones((2, 3))],
        "Every sequence of X must have the same number of features. Got 3 for "
        "sequence 0 and 4 for sequence 2.",
    ),
    "3-D sequences": (
        [np.ones((2, 3, 1))] * 4,
        f"{EVERY_SEQUENCE} Got shape (2, 3, 1) for sequence 0.",
    ),
    "a number among sequences": (
        [np.ones((2, 3)), np.float64(3.0), np.ones((2, 3)), np.ones((2, 3))],
        f"{EVERY_SEQUENCE} Got shape () for sequence 1.",
    ),
    "None among sequences": (
        [np.ones((2, 3)), np.ones((2, 3)), None, np.ones((2, 3))],
        f"{EVERY_SEQUENCE} Got shape () for sequence 2.",
    ),
    "steps of different lengths": (
        [[[1, 2], [3, 4]], [[1, 2], [3]], [[1, 2]], [[3, 4]]],
        "Every step of a sequence of X must have the same number of features. Got "
        "different numbers in sequence 1.",
    ),
    "strings": (
        np.full((4, 3, 2), "a"),
        f"X must contain numbers only. Got dtype <U1.{NOT_NUMBERS}",
    ),
    "strings as objects": (
        np.full((4, 3, 2), "a", dtype=object),
        "X must contain numbers only (could not convert string to float: 'a')."
        f"{NOT_NUMBERS}",
    ),
    "sequences of strings": (
        [["a", "b"], ["a"], ["b"], ["a", "b", "b"]],
        f"X must contain numbers only. Got dtype <U1.{NOT_NUMBERS}",
    ),
    "text": (["so good", "b", "c", "d"], TEXT),
    "an array of text": (np.array(["so good", "b", "c", "d"]), TEXT),
    "text as objects": (np.array(["so good", "b", "c", "d"], dtype=object), TEXT),
    "a column of text": (pd.Series(["so good", "b", "c", "d"]), TEXT),
    "dates": (
        np.zeros((4, 3), dtype="datetime64[s]"),
        f"X must contain numbers only. Got dtype datetime64[s].{NOT_NUMBERS}",
    ),
    "sequences of dates": (
        [np.zeros(length, dtype="datetime64[s]") for length in (1, 2, 3, 1)],
        f"X must contain numbers only. Got dtype datetime64[s].{NOT_NUMBERS}",
    ),
    "durations": (
        np.zeros((4, 3, 1), dtype="timedelta64[s]"),
        f"X must contain numbers only. Got dtype timedelta64[s].{NOT_NUMBERS}",
    ),
    "3-D complex": (np.ones((4, 3, 2)) * 1j, COMPLEX),
    "complex sequences": ([np.ones(length) * 1j for length in (1, 2, 3, 1)], COMPLEX),
}


@pytest.mark.parametrize(("X", "message"), REFUSED.values(), ids=REFUSED.keys())
def test_malformed_x_is_refused_by_what_is_wrong_with_it(X, message):
    with raises(ValueError, message):
        tiny(RNNRegressor).fit(X, targets(4))


@over_estimators
def test_2d_complex_x_is_refused(cls):
    # scikit-learn's own message, which ends with the array.
    with pytest.raises(ValueError, match=r"^Complex data not supported\n\[\[0\.\+1\.j"):
        tiny(cls).fit(np.ones((4, 3)) * 1j, targets(4))


@over_estimators
def test_2d_strings_are_refused(cls):
    message = (
        "dtype='numeric' is not compatible with arrays of bytes/strings.Convert your "
        "data to numeric values explicitly instead."
    )
    with raises(ValueError, message):
        tiny(cls).fit(np.full((4, 3), "a"), targets(4))


@over_estimators
def test_sparse_x_is_refused(cls):
    message = (
        "Sparse data was passed for X, but dense data is required. Use '.toarray()' "
        "to convert to a dense numpy array."
    )
    with raises(TypeError, message):
        tiny(cls).fit(csr_array(np.ones((4, 3))), targets(4))


def test_sparse_sequences_are_refused():
    message = (
        "Sparse data was passed for sequence 0 of X, but dense data is required. Use "
        "'.toarray()' to convert to a dense numpy array."
    )
    with raises(TypeError, message):
        tiny(RNNRegressor).fit([csr_array(np.ones((4, 3)))] * 4, targets(4))


@over_estimators
def test_2d_x_of_another_length_than_in_fit_is_refused(cls):
    message = (
        f"X has {N_TIMESTEPS - 1} features, but {cls.__name__} is expecting "
        f"{N_TIMESTEPS} features as input."
    )
    with raises(ValueError, message):
        answers(fitted(cls, two_dimensional), two_dimensional()[:, 1:])


@pytest.mark.parametrize("shape", [(4, N_TIMESTEPS - 1, 1), (4, N_TIMESTEPS, 2)])
@over_estimators
def test_3d_x_is_refused_after_a_2d_fit_unless_it_means_the_same(cls, shape):
    message = (
        f"X must be 2-D (n_samples, {N_TIMESTEPS}), as the X that {cls.__name__} was "
        f"fitted on. Got {shape}. To use sequences of other lengths, fit on "
        "X[:, :, None]."
    )
    with raises(ValueError, message):
        answers(fitted(cls, two_dimensional), np.ones(shape))


@over_estimators
def test_ragged_x_is_refused_after_a_2d_fit(cls):
    message = (
        f"X must be 2-D (n_samples, {N_TIMESTEPS}), as the X that {cls.__name__} was "
        "fitted on. Got ragged sequences. To use sequences of other lengths, fit on "
        "X[:, :, None]."
    )
    with raises(ValueError, message):
        answers(fitted(cls, two_dimensional), [[1.0, 2.0], [1.0]])


@pytest.mark.parametrize(
    ("n_features", "shape", "remedy"),
    [
        (1, (4, 5), "For one feature per step pass X[:, :, None]."),
        (3, (4, 3), "For a single sequence pass X[None]."),
        (1, (4, 1), "For a single sequence pass X[None]."),
        (3, (4, 5), "Shape it so."),
    ],
)
@pytest.mark.parametrize("ragged", [False, True])
@over_estimators
def test_2d_x_is_refused_after_a_3d_or_ragged_fit(
    cls, ragged, n_features, shape, remedy
):
    lengths = [2, 3, 4, 4] if ragged else [4] * 4
    X = [np.ones((length, n_features)) for length in lengths]
    model = cls(2, max_epochs=1, random_state=0).fit(X, [0, 1, 0, 1])
    message = (
        f"X must be 3-D (n_samples, n_timesteps, {n_features}) or a list of "
        f"sequences, as the X that {cls.__name__} was fitted on. Got a 2-D array of "
        f"shape {shape}. {remedy}"
    )
    with raises(ValueError, message):
        answers(model, np.ones(shape))


@pytest.mark.parametrize(
    "X",
    [np.ones((4, 3, 2)), [np.ones((3, 2)), np.ones((1, 2))], [np.ones((3, 2))]],
    ids=["3-D", "ragged", "list"],
)
@pytest.mark.parametrize("make", [three_dimensional, ragged])
@over_estimators
def test_another_number_of_features_than_in_fit_is_refused(cls, make, X):
    message = (
        f"X has 2 features per time step, but {cls.__name__} is expecting "
        f"{N_FEATURES}. The last axis of X holds the features; data with channels "
        "before time needs X.transpose(0, 2, 1)."
    )
    with raises(ValueError, message):
        answers(fitted(cls, make), X)


def test_validation_sequences_are_held_against_x_under_their_own_name():
    message = (
        "X_val has 2 features per time step, but RNNRegressor is expecting "
        f"{N_FEATURES}. The last axis of X_val holds the features; data with channels "
        "before time needs X.transpose(0, 2, 1)."
    )
    X = three_dimensional()
    with raises(ValueError, message):
        tiny(RNNRegressor).fit(X, targets(), X_val=X[:, :, :2], y_val=targets())


# NaN and infinity

NAN_MESSAGE = (
    "Input X contains NaN. Impute missing values before, for example with "
    "SimpleImputer."
)


def infinity_message(dtype):
    return (
        f"Input X contains infinity or a value too large for dtype('{dtype}'). Remove "
        "it, or scale the data."
    )


def with_value(form, value):
    """Return sequences in some form with the given value in the middle."""
    X = three_dimensional()
    X[7, 2, 0] = value
    return FORMS_WITH_A_FAULT[form](X)


def windows(series, size):
    view = np.lib.stride_tricks.sliding_window_view(series, size, axis=0)
    return view.transpose(0, 2, 1)


FORMS_WITH_A_FAULT = {
    "2-D": lambda X: X[:, :, 0],
    "3-D": lambda X: X,
    "DataFrame": lambda X: pd.DataFrame(X[:, :, 0]),
    "polars": lambda X: pl.DataFrame(X[:, :, 0]),
    "objects": lambda X: X.astype(object),
    "ragged": lambda X: [row[: 3 + i % 3] for i, row in enumerate(X)],
    "lists": lambda X: [row[: 3 + i % 3].tolist() for i, row in enumerate(X)],
    "negative strides": negative_strides,
    "windows": lambda X: windows(X[:, 2], 4),
}


@pytest.mark.parametrize("method", ["fit", "predict"])
@pytest.mark.parametrize("form", FORMS_WITH_A_FAULT)
def test_nan_is_refused_in_every_form(form, method):
    X = with_value(form, np.nan)
    good = with_value(form, 0.0)
    y = np.arange(len(X))
    estimator = tiny(RNNRegressor, max_epochs=1)
    if method == "predict":
        estimator.fit(good, y)
    with raises(ValueError, NAN_MESSAGE):
        estimator.fit(X, y) if method == "fit" else estimator.predict(X)


@pytest.mark.parametrize("method", ["fit", "predict"])
@pytest.mark.parametrize("value", [np.inf, -np.inf])
@pytest.mark.parametrize("form", FORMS_WITH_A_FAULT)
def test_infinity_is_refused_in_every_form(form, value, method):
    X = with_value(form, value)
    good = with_value(form, 0.0)
    y = np.arange(len(X))
    estimator = tiny(RNNRegressor, max_epochs=1)
    if method == "predict":
        estimator.fit(good, y)
    with raises(ValueError, infinity_message("float64")):
        estimator.fit(X, y) if method == "fit" else estimator.predict(X)


@pytest.mark.parametrize("dtype", [np.float16, np.float32])
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_narrow_x_is_searched_too(dtype, value):
    X = three_dimensional().astype(dtype)
    X[7, 2, 0] = value
    message = NAN_MESSAGE if np.isnan(value) else infinity_message("float32")
    with raises(ValueError, message):
        tiny(RNNRegressor).fit(X, targets())


def test_a_fault_below_a_window_view_that_no_window_shows_is_no_fault():
    series = whole_numbers(40, 3)
    series[:, 2] = np.nan
    series[-1] = np.inf
    shown = windows(series, 5)[:-1, :, :2]
    estimator = tiny(RNNRegressor).fit(shown, np.arange(len(shown)))
    canonical = tiny(RNNRegressor).fit(shown.copy(), np.arange(len(shown)))

    assert_array_equal(estimator.predict(shown), canonical.predict(shown.copy()))


@pytest.mark.parametrize("step", [1, -1, 3, -2])
@pytest.mark.parametrize("place", [0, 4, 17, 35, 39])
def test_nan_is_found_wherever_a_window_shows_it(place, step):
    series = np.zeros((40, 2))
    series[place, 1] = np.nan
    X = windows(series, 5)[::step]
    if not np.isnan(X).any():
        tiny(RNNRegressor, max_epochs=1).fit(X, np.arange(len(X)))
        return
    with raises(ValueError, NAN_MESSAGE):
        tiny(RNNRegressor).fit(X, np.arange(len(X)))


def test_x_is_never_changed():
    X = three_dimensional()
    before = X.copy()

    tiny(RNNRegressor).fit(X, targets()).predict(X)

    assert_array_equal(X, before)


# Sequences.take

lengths_of_rows = st.lists(st.integers(1, 6), min_size=1, max_size=8)
dtypes = st.sampled_from([np.float64, np.float32, np.float16, np.int32, np.bool_])


def random_rows(lengths, n_features, dtype):
    rng = np.random.default_rng(len(lengths))
    return [rng.integers(0, 9, size=(n, n_features)).astype(dtype) for n in lengths]


@given(
    lengths=lengths_of_rows,
    n_features=st.integers(1, 3),
    dtype=dtypes,
    batch_dtype=st.sampled_from([np.float32, np.float64]),
    data=st.data(),
)
def test_take_pads_rows_of_different_length(
    lengths, n_features, dtype, batch_dtype, data
):
    arrays = random_rows(lengths, n_features, dtype)
    sequences = Sequences(np.concatenate(arrays), np.array(lengths))
    wanted = st.lists(st.integers(0, len(lengths) - 1), min_size=1, max_size=10)
    rows = np.array(data.draw(wanted))

    values, taken_lengths = sequences.take(rows, batch_dtype)

    longest = max(lengths[row] for row in rows)
    expected = np.zeros((len(rows), longest, n_features), dtype=batch_dtype)
    for i, row in enumerate(rows):
        expected[i, : lengths[row]] = arrays[row]
    assert_array_equal(values, expected, strict=True)
    assert values.flags.c_contiguous
    assert values.flags.writeable
    row_lengths = [lengths[row] for row in rows]
    if len(set(row_lengths)) == 1:
        assert taken_lengths is None
    else:
        assert_array_equal(taken_lengths, row_lengths)


@given(
    n_samples=st.integers(1, 6),
    n_timesteps=st.integers(1, 5),
    n_features=st.integers(1, 3),
    dtype=dtypes,
    batch_dtype=st.sampled_from([np.float32, np.float64]),
    form=st.sampled_from(
        [np.asarray, read_only, np.asfortranarray, negative_strides, "windows"]
    ),
    as_slice=st.booleans(),
    data=st.data(),
)
def test_take_owns_contiguous_rows_of_one_length(
    n_samples, n_timesteps, n_features, dtype, batch_dtype, form, as_slice, data
):
    if form == "windows":
        n_rows = n_samples + n_timesteps - 1
        source = windows(random_rows([n_rows], n_features, dtype)[0], n_timesteps)
    else:
        source = form(
            np.stack(random_rows([n_timesteps] * n_samples, n_features, dtype))
        )
    first = data.draw(st.integers(0, n_samples - 1))
    if as_slice:
        rows = slice(first, data.draw(st.integers(first + 1, n_samples)))
    else:
        rows = np.array([first, *data.draw(st.lists(st.integers(0, n_samples - 1)))])

    values, lengths = Sequences(source).take(rows, batch_dtype)

    assert lengths is None
    assert_array_equal(values, source[rows].astype(batch_dtype), strict=True)
    assert type(values) is np.ndarray
    assert values.flags.c_contiguous
    assert values.flags.writeable
    assert not np.shares_memory(values, source)


# Sequences.chunks


@given(lengths=lengths_of_rows, chunk_bytes=st.integers(1, 400), data=st.data())
def test_chunks_visit_every_valid_step_once_and_in_order(lengths, chunk_bytes, data):
    arrays = random_rows(lengths, 2, np.float64)
    sequences = Sequences(np.concatenate(arrays), np.array(lengths))
    rows = np.array(data.draw(st.permutations(range(len(lengths)))))

    with mock.patch.object(module, "CHUNK_BYTES", chunk_bytes):
        parts = list(sequences.chunks(rows))

    assert_array_equal(np.concatenate([part for part, _, _ in parts]), rows)
    assert_array_equal(
        np.concatenate([values for _, values, _ in parts]),
        np.concatenate([arrays[row] for row in rows]),
    )
    assert_array_equal(
        np.concatenate([n_steps for _, _, n_steps in parts]),
        [lengths[row] for row in rows],
    )


# Sequences.overlap_before


@given(
    window_size=st.integers(1, 9),
    stride=st.integers(1, 10),
    n_features=st.integers(1, 3),
    copied=st.booleans(),
    reach=st.integers(0, 60),
)
def test_overlap_before_counts_the_windows_that_share_steps(
    window_size, stride, n_features, copied, reach
):
    # Distinct values, so that only windows that share steps share values.
    series = np.arange(60.0 * n_features).reshape(60, n_features) ** 1.5
    X = windows(series, window_size)[::stride]
    row = reach % len(X)

    sequences = Sequences(X.copy() if copied else X)

    steps = [set(range(i * stride, i * stride + window_size)) for i in range(len(X))]
    expected = sum(bool(steps[i] & steps[row]) for i in range(row))
    assert sequences.overlap_before(row) == expected


def test_overlap_before_leaves_independent_rows_alone():
    X = np.random.default_rng(0).normal(size=(20, 5, 2))

    assert [Sequences(X).overlap_before(row) for row in range(20)] == [0] * 20


def test_overlap_before_does_not_look_for_windows_in_ragged_x():
    X = Sequences(np.zeros((6, 1)), np.array([3, 1, 2]))

    assert [X.overlap_before(row) for row in range(3)] == [0, 0, 0]


# feature_scaling


def brute_force_scaling(steps, weights, spare_binary=True):
    """Compute the weighted mean and deviation with sixty decimal digits."""
    means, scales = [], []
    with localcontext() as context:
        context.prec = 60
        weights = [Decimal(float(w)) for w in weights]
        total = sum(weights)
        for column in np.asarray(steps, dtype=np.float64).T:
            if spare_binary and set(column) <= {0.0, 1.0}:
                means.append(0.0)
                scales.append(1.0)
                continue
            column = [Decimal(float(x)) for x in column]
            mean = sum(w * x for w, x in zip(weights, column, strict=True)) / total
            squares = [(x - mean) ** 2 for x in column]
            sum_of_squares = sum(w * s for w, s in zip(weights, squares, strict=True))
            constant = len(set(column)) == 1
            means.append(float(mean))
            scales.append(1.0 if constant else float((sum_of_squares / total).sqrt()))
    return np.array(means), np.array(scales)


@given(
    lengths=lengths_of_rows,
    magnitudes=st.lists(
        st.sampled_from([1e-300, 1e-30, 1.0, 1e30, 1e300]), min_size=1, max_size=3
    ),
    span=st.sampled_from([0, 1, 2, 100]),
    offset=st.sampled_from([0, 1, -100, 1_000_000]),
    chunk_bytes=st.sampled_from([1, 100, 2**23]),
    spare_binary=st.booleans(),
    data=st.data(),
)
def test_feature_scaling_is_the_weighted_mean_and_deviation_over_valid_steps(
    lengths, magnitudes, span, offset, chunk_bytes, spare_binary, data
):
    numbers = st.integers(offset, offset + span)
    steps = [
        [[data.draw(numbers) * m for m in magnitudes] for _ in range(length)]
        for length in lengths
    ]
    some = st.lists(st.integers(0, len(lengths) - 1), min_size=1, unique=True)
    rows = np.array(data.draw(some))
    weight = st.sampled_from([1.0, 0.1, 3.0, 1e-3, 1e3])
    weights = np.array([data.draw(weight) for _ in rows])
    sequences = Sequences(
        np.concatenate([np.array(s) for s in steps]), np.array(lengths)
    )

    with mock.patch.object(module, "CHUNK_BYTES", chunk_bytes):
        mean, scale = feature_scaling(
            sequences, rows, weights, spare_binary=spare_binary
        )

    counted = np.concatenate([np.array(steps[row]) for row in rows])
    each = np.repeat(weights, [lengths[row] for row in rows])
    expected_mean, expected_scale = brute_force_scaling(counted, each, spare_binary)
    for j, peak in enumerate(np.abs(counted).max(axis=0)):
        assert_allclose(mean[j], expected_mean[j], rtol=1e-13, atol=1e-15 * peak)
        # The deviation cannot be more exact than the values that it comes from.
        assert_allclose(scale[j], expected_scale[j], rtol=1e-9, atol=1e-15 * peak)


def test_feature_scaling_without_weights_is_numpys_mean_and_deviation():
    X = np.random.default_rng(0).normal(3.0, 2.0, size=(50, 7, 4))

    mean, scale = feature_scaling(Sequences(X), np.arange(50))

    assert_allclose(mean, X.mean(axis=(0, 1)), rtol=1e-12)
    assert_allclose(scale, X.std(axis=(0, 1)), rtol=1e-12)


def test_feature_scaling_by_whole_weights_is_that_of_repeated_rows():
    rng = np.random.default_rng(0)
    X, weights = rng.normal(size=(20, 3, 2)), rng.integers(1, 4, size=20)
    repeated = np.repeat(X, weights, axis=0)

    actual = feature_scaling(Sequences(X), np.arange(20), weights.astype(float))

    expected = feature_scaling(Sequences(repeated), np.arange(len(repeated)))
    assert_allclose(actual, expected, rtol=1e-13)


def test_feature_scaling_is_exact_for_a_small_deviation_around_a_large_mean():
    X = 1e9 + np.arange(3.0).repeat(1000).reshape(-1, 1, 1)

    mean, scale = feature_scaling(Sequences(X), np.arange(3000))

    assert_allclose(mean, [1e9 + 1], rtol=1e-14)
    assert_allclose(scale, [np.sqrt(2 / 3)], rtol=1e-6)


@pytest.mark.parametrize("n_rows", [1, 7, 1000, 50_000])
@pytest.mark.parametrize("value", [0.1, -3.3, 1e300, 1e-300, 1e-310, 0.0])
def test_the_scale_of_a_constant_feature_is_one(value, n_rows):
    weights = np.random.default_rng(0).uniform(0.01, 5.0, size=n_rows)
    X = np.full((n_rows, 3, 1), value)

    mean, scale = feature_scaling(Sequences(X), np.arange(n_rows), weights)

    assert_allclose(mean, [value], rtol=1e-12)
    assert_array_equal(scale, [1.0])


@pytest.mark.parametrize("scale_of_weights", [1e-300, 1e-10, 1e10, 1e300])
def test_the_unit_of_weights_does_not_matter_to_feature_scaling(scale_of_weights):
    rng = np.random.default_rng(0)
    X, weights = rng.normal(size=(30, 4, 2)), rng.uniform(0.5, 2.0, size=30)
    rows = np.arange(30)

    actual = feature_scaling(Sequences(X), rows, weights * scale_of_weights)

    expected = feature_scaling(Sequences(X), rows, weights)
    assert_allclose(actual, expected, rtol=1e-12)


def test_columns_of_only_zeros_and_ones_are_spared():
    rng = np.random.default_rng(0)
    X = np.zeros((30, 4, 5))
    X[:, :, 0] = rng.integers(0, 2, size=(30, 4))
    X[:, :, 2] = 1.0
    X[:, :, 3] = rng.choice([-1.0, 1.0], size=(30, 4))
    X[:, :, 4] = rng.choice([0.0, 1.0, 0.5], size=(30, 4))

    mean, scale = feature_scaling(Sequences(X), np.arange(30))

    assert_array_equal(mean[:3], 0.0)
    assert_array_equal(scale[:3], 1.0)
    assert_allclose(mean[3:], X.mean(axis=(0, 1))[3:], rtol=1e-12)
    assert_allclose(scale[3:], X.std(axis=(0, 1))[3:], rtol=1e-12)


def test_only_the_rows_that_count_decide_what_is_binary():
    X = np.array([[[0.0]], [[1.0]], [[7.0]]])

    assert_array_equal(feature_scaling(Sequences(X), np.array([0, 1])), [[0.0], [1.0]])
    assert_array_equal(feature_scaling(Sequences(X), np.array([0, 2])), [[3.5], [3.5]])


def test_the_network_scales_by_the_weighted_rows_of_fit():
    X, weights = ragged(), np.arange(N_SAMPLES) % 3
    estimator = tiny(RNNRegressor).fit(X, targets(), sample_weight=weights)

    steps = np.concatenate(X)
    each = np.repeat(weights, LENGTHS)
    mean, scale = brute_force_scaling(steps[each > 0], each[each > 0])
    assert_allclose(estimator.module_.input_mean.numpy(), mean, atol=1e-12)
    assert_allclose(estimator.module_.input_scale.numpy(), scale, rtol=1e-12)


@over_estimators
def test_the_unit_of_a_feature_does_not_matter(cls):
    X = three_dimensional()
    # A power of two changes no digit.
    units = np.array([2.0**900, 2.0**-900, 1.0])

    expected = answers(fitted(cls, three_dimensional), X)
    assert_array_equal(
        answers(tiny(cls).fit(X * units, targets()), X * units), expected
    )


# Frames, one a sequence


def frames(columns=("temperature", "pressure")):
    return [
        pd.DataFrame(whole_numbers(length, 2), columns=list(columns))
        for length in (3, 5, 4, 2)
    ]


def test_frames_of_sequences_are_read_column_by_column():
    model = tiny(RNNRegressor).fit(frames(), np.arange(4.0))

    arrays = [frame.to_numpy() for frame in frames()]
    assert_array_equal(model.predict(frames()), model.predict(arrays))


def test_frames_with_columns_in_another_order_are_refused():
    model = tiny(RNNRegressor).fit(frames(), np.arange(4.0))

    message = (
        "Every sequence of X must have the columns of the first sequence in fit, in "
        "the same order: ['temperature', 'pressure']. Got ['pressure', 'temperature'] "
        "for sequence 0."
    )
    with raises(ValueError, message):
        model.predict(frames(["pressure", "temperature"]))


@pytest.mark.parametrize("quiet", [2, 20])
def test_rows_that_look_alike_because_nothing_happens_are_no_windows(quiet):
    X = np.random.default_rng(0).normal(size=(60, 30))
    X[40 - quiet // 2 : 40 + quiet // 2] = 0.0

    assert Sequences(X[:, :, None]).overlap_before(40) <= 1
