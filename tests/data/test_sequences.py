"""The accepted forms of X, the errors for other X, and batches of sequences."""

from decimal import Decimal, localcontext
from functools import cache
from unittest import mock

import numpy as np
import pandas as pd
import polars as pl
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from messages import raises
from numpy.testing import assert_allclose, assert_array_equal
from scipy.sparse import csr_array

from skrnn import BiRNNClassifier, RNNRegressor
from skrnn._data import sequences as module
from skrnn._data.scaling import feature_scaling
from skrnn._data.sequences import Sequences, split_sequences

N_SAMPLES, N_TIMESTEPS, N_FEATURES = 12, 5, 3
LENGTHS = [3, 5, 1, 4, 2, 5, 3, 1, 6, 2, 4, 3]


def tiny(cls=RNNRegressor, **params):
    return cls(**{"hidden_size": 4, "max_epochs": 1, "random_state": 0, **params})


def whole_numbers(*shape, low=-3):
    """Return float64 values that every numeric dtype represents exactly."""
    return np.random.default_rng(0).integers(low, 4, size=shape).astype(np.float64)


def make_y(n_samples=N_SAMPLES):
    return np.arange(n_samples) % 2


def make_2d():
    return whole_numbers(N_SAMPLES, N_TIMESTEPS)


def make_3d():
    return whole_numbers(N_SAMPLES, N_TIMESTEPS, N_FEATURES)


def make_ragged(n_features=N_FEATURES):
    values = whole_numbers(N_SAMPLES, max(LENGTHS), n_features)
    return [row[:length] for row, length in zip(values, LENGTHS, strict=True)]


def to_object_array(items):
    array = np.empty(len(items), dtype=object)
    for i, item in enumerate(items):
        array[i] = item
    return array


def predict(estimator, X):
    return getattr(estimator, "predict_proba", estimator.predict)(X)


@cache
def fitted(make):
    """Return an estimator fitted on arrays, cached between tests."""
    return tiny().fit(make(), make_y())


# Forms of one array. Each returns equal values in another container or memory layout.


def read_only(X):
    X = X.copy()
    X.flags.writeable = False
    return X


def negative_strides(X):
    return np.ascontiguousarray(X[::-1, ::-1])[::-1, ::-1]


def unaligned(X):
    memory = np.zeros(X.nbytes + 1, dtype=np.uint8)
    view = memory[1:].view(X.dtype).reshape(X.shape)
    view[...] = X
    return view


ARRAY_FORMS = {
    "read-only": read_only,
    "F-ordered": np.asfortranarray,
    "negative strides": negative_strides,
    "unaligned": unaligned,
    "big-endian": lambda X: X.astype(">f8"),
    "int8": lambda X: X.astype(np.int8),
    "objects": lambda X: X.astype(object),
    "long double": lambda X: X.astype(np.longdouble),
    "tensor": torch.from_numpy,
    "nested lists": lambda X: X.tolist(),
}
FRAME_FORMS = {
    "DataFrame of mixed dtypes": lambda X: pd.DataFrame(X).astype({0: int, 1: "f4"}),
    "DataFrame of nullable dtypes": lambda X: pd.DataFrame(X).convert_dtypes(),
    "named DataFrame": lambda X: pd.DataFrame(X, columns=list("abcde")),
    "polars DataFrame": lambda X: pl.DataFrame(X, schema=list("abcde")),
}
# Forms of several sequences in one container. Each takes a list of arrays.
RAGGED_FORMS = {
    "tuple": tuple,
    "object array": to_object_array,
    "Series of arrays": lambda X: pd.Series(to_object_array(X)),
    "list of lists": lambda X: [row.tolist() for row in X],
    "object array of lists": lambda X: to_object_array([row.tolist() for row in X]),
    "list of tensors": lambda X: [torch.from_numpy(row) for row in X],
    "list of DataFrames": lambda X: [pd.DataFrame(row) for row in X],
    "list of mixed dtypes": lambda X: [
        row.astype(int) if i % 2 else row for i, row in enumerate(X)
    ],
}


def over_forms(forms):
    return pytest.mark.parametrize("form", forms.values(), ids=forms.keys())


def assert_equal_to_arrays(form, make):
    """Check that X in some form has the losses and predictions of arrays."""
    reference = fitted(make)
    X = make()

    estimator = tiny().fit(form(X), make_y())

    assert_array_equal(estimator.loss_curve_, reference.loss_curve_)
    assert estimator.n_features_in_ == reference.n_features_in_
    expected = reference.predict(X)
    assert_array_equal(estimator.predict(form(X)), expected, strict=True)
    return estimator


@over_forms(ARRAY_FORMS | FRAME_FORMS)
def test_2d_x_may_have_any_form(form):
    estimator = assert_equal_to_arrays(form, make_2d)

    columns = getattr(form(make_2d()), "columns", [0])
    has_names = hasattr(estimator, "feature_names_in_")
    assert has_names == isinstance(columns[0], str)
    if has_names:
        assert estimator.feature_names_in_.tolist() == list("abcde")


@over_forms(ARRAY_FORMS)
def test_3d_x_may_have_any_form(form):
    assert_equal_to_arrays(form, make_3d)


@over_forms(RAGGED_FORMS)
def test_ragged_x_may_have_any_form(form):
    assert_equal_to_arrays(form, make_ragged)


@over_forms(RAGGED_FORMS)
def test_sequences_of_equal_length_are_equal_to_3d_x(form):
    assert_equal_to_arrays(lambda X: form(list(X)), make_3d)


@pytest.mark.parametrize(
    "form",
    [
        list,
        lambda X: pd.Series(to_object_array(X)),
        lambda X: to_object_array([row.tolist() for row in X]),
    ],
    ids=["list", "Series", "object array of lists"],
)
def test_a_container_of_1d_sequences_of_one_length_may_have_other_lengths(form):
    X = list(make_2d())
    estimator = tiny().fit(form(X), make_y())

    assert estimator.n_features_in_ == 1
    shorter = estimator.predict(form([row[:3] for row in X]))
    assert_array_equal(shorter, estimator.predict(make_2d()[:, :3, None]))


@pytest.mark.parametrize("make", [make_2d, make_3d])
def test_x_may_be_memory_mapped(make, tmp_path):
    def form(X):
        X.tofile(tmp_path / "X.bin")
        return np.memmap(tmp_path / "X.bin", dtype=X.dtype, mode="r", shape=X.shape)

    assert_equal_to_arrays(form, make)


@pytest.mark.parametrize(
    ("dtype", "equal"), [(bool, np.float64), (np.float16, np.float32)]
)
def test_a_dtype_is_equal_to_a_wider_one(dtype, equal):
    X = (make_2d() > 0).astype(dtype)

    estimator = tiny().fit(X, make_y())

    expected = tiny().fit(X.astype(equal), make_y()).predict(X.astype(equal))
    assert_array_equal(estimator.predict(X), expected)


@pytest.mark.parametrize("cls", [RNNRegressor, BiRNNClassifier])
def test_2d_x_has_one_feature_per_step(cls):
    X = make_2d()
    estimator = tiny(cls).fit(X, make_y())
    reference = tiny(cls).fit(X[:, :, None], make_y())

    expected = predict(reference, X[:, :, None])
    assert_array_equal(predict(estimator, X), expected)
    assert_array_equal(predict(estimator, X[:, :, None]), expected)


def test_1d_sequences_have_one_feature_per_step():
    with_axis = make_ragged(n_features=1)
    without_axis = [row[:, 0] for row in with_axis]
    expected = tiny().fit(with_axis, make_y()).predict(with_axis)

    estimator = tiny().fit(without_axis, make_y())

    assert estimator.n_features_in_ == 1
    assert_array_equal(estimator.predict(without_axis), expected)
    assert_array_equal(estimator.predict(with_axis), expected)


def test_other_lengths_may_be_predicted_after_a_fit_on_3d_x():
    estimator, X = fitted(make_3d), make_3d()

    ragged = estimator.predict([X[0, :2], X[1]])

    assert ragged[0] == estimator.predict(X[:, :2])[0]
    assert ragged[1] == estimator.predict(X)[1]


def test_lists_of_one_length_are_ragged_after_a_ragged_fit():
    X = [row[:, 0].tolist() for row in make_ragged(n_features=1)]
    estimator = tiny().fit(X, make_y())
    fives = [i for i, row in enumerate(X) if len(row) == 5]

    expected = estimator.predict(X)[fives]
    assert_array_equal(estimator.predict([X[i] for i in fives]), expected)
    assert_array_equal(estimator.predict([X[fives[0]]]), expected[:1])


def test_predict_uses_the_precision_of_fit():
    X = make_3d().astype(np.float32)
    estimator = tiny().fit(X, make_y())

    assert_array_equal(estimator.predict(X.astype(np.float64)), estimator.predict(X))


@pytest.mark.parametrize(
    ("dtype", "expected"),
    [
        (np.float16, torch.float32),
        (">f4", torch.float32),
        (np.float64, torch.float64),
        (np.longdouble, torch.float64),
        (np.uint64, torch.float64),
        (object, torch.float64),
    ],
)
@pytest.mark.parametrize(
    "make",
    [
        lambda dtype: whole_numbers(12, 5, low=0).astype(dtype),
        lambda dtype: [np.abs(row).astype(dtype) for row in make_ragged()],
    ],
    ids=["2-D", "ragged"],
)
def test_the_precision_of_the_network_depends_on_x(make, dtype, expected):
    estimator = tiny().fit(make(dtype), make_y())

    assert {p.dtype for p in estimator.module_.parameters()} == {expected}


def test_ragged_x_has_the_widest_dtype_of_its_sequences():
    X = [row.astype(np.float32) for row in make_ragged()]
    X[3] = X[3].astype(np.float64)

    estimator = tiny().fit(X, make_y())

    assert estimator.module_.head.weight.dtype == torch.float64


def test_x_is_not_modified():
    X = make_3d()
    before = X.copy()

    tiny().fit(X, make_y()).predict(X)

    assert_array_equal(X, before)


# Attributes of X


@pytest.mark.parametrize(
    "make",
    [
        make_3d,
        make_ragged,
        lambda: [pd.DataFrame(row, columns=list("uvw")) for row in make_ragged()],
    ],
    ids=["3-D", "ragged", "list of DataFrames"],
)
def test_a_second_fit_replaces_the_attributes_of_x(make):
    frame = pd.DataFrame(make_2d(), columns=list("abcde"))
    estimator = tiny().fit(frame, make_y())
    assert estimator.n_features_in_ == N_TIMESTEPS

    estimator.fit(make(), make_y())

    assert not hasattr(estimator, "feature_names_in_")
    assert estimator.n_features_in_ == N_FEATURES
    assert estimator.predict(make()).shape == (N_SAMPLES,)
    assert estimator.fit(make_2d(), make_y()).n_features_in_ == N_TIMESTEPS


def test_other_column_names_than_in_fit_raise():
    frame = pd.DataFrame(make_2d(), columns=list("abcde"))
    estimator = tiny().fit(frame, make_y())

    with raises(
        ValueError,
        "The feature names should match those that were passed during fit.\n"
        "Feature names must be in the same order as they were in fit.\n",
    ):
        estimator.predict(frame[list("edcba")])


# Lists of DataFrames, one for each sequence


def make_frames(columns=("temperature", "pressure")):
    return [
        pd.DataFrame(whole_numbers(length, 2), columns=list(columns))
        for length in (3, 5, 4, 2)
    ]


def test_columns_in_another_order_raise():
    model = tiny().fit(make_frames(), np.arange(4.0))
    arrays = [frame.to_numpy() for frame in make_frames()]
    assert_array_equal(model.predict(make_frames()), model.predict(arrays))

    message = (
        "Every sequence of X must have the columns of the first sequence in fit, in "
        "the same order: ['temperature', 'pressure']. Got ['pressure', 'temperature'] "
        "for sequence 0."
    )
    with raises(ValueError, message):
        model.predict(make_frames(["pressure", "temperature"]))


# Malformed X

NOT_NUMBERS = (
    " Encode categories or tokens first, with TokenOneHotEncoder or TokenEncoder."
)
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
    "X must contain numbers only. Got text: 'so good'. Encode it first, with "
    "TokenOneHotEncoder or TokenEncoder."
)
MALFORMED_X = {
    "None": (
        None,
        f"Expected 2D array, got scalar array instead:\narray=None.\n{RESHAPE}",
    ),
    "an empty list": (
        [],
        "X must have at least one sequence. Got an empty list.",
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
    "3-D without steps": (
        np.ones((4, 0, 2)),
        f"{AT_LEAST_ONE} Got an array of shape (4, 0, 2).",
    ),
    "an empty sequence": (
        [np.ones((2, 1)), np.ones((0, 1)), np.ones((1, 1)), np.ones((3, 1))],
        "Every sequence of X must have at least one time step. Got shape (0, 1) for "
        "sequence 1. Remove it.",
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
    "steps of different lengths": (
        [[[1, 2], [3, 4]], [[1, 2], [3]], [[1, 2]], [[3, 4]]],
        "Every step of a sequence of X must have the same number of features. Got "
        "different numbers in sequence 1.",
    ),
    "strings": (
        np.full((4, 3, 2), "so good"),
        TEXT,
    ),
    "strings as objects": (
        np.full((4, 3, 2), "so good", dtype=object),
        TEXT,
    ),
    "2-D strings": (np.full((4, 3), "so good"), TEXT),
    "lists of strings": ([["so good", "b"]] * 4, TEXT),
    "arrays of strings": ([np.array(["so good"])] * 4, TEXT),
    "numbers and text": (
        np.array([[["1.5"], ["a"]]] * 4, dtype=object),
        "X must contain numbers only (could not convert string to float: 'a')."
        f"{NOT_NUMBERS}",
    ),
    "text": (["so good", "b", "c", "d"], TEXT),
    "text as objects": (np.array(["so good", "b", "c", "d"], dtype=object), TEXT),
    "a column of text": (pd.Series(["so good", "b", "c", "d"]), TEXT),
    "dates": (
        np.zeros((4, 3), dtype="datetime64[s]"),
        "X must contain numbers only. Got dtype datetime64[s]. Turn dates into numbers "
        "first, such as the month.",
    ),
    "3-D complex": (np.ones((4, 3, 2)) * 1j, COMPLEX),
}


@pytest.mark.parametrize(("X", "message"), MALFORMED_X.values(), ids=MALFORMED_X)
def test_malformed_x_raises(X, message):
    with raises(ValueError, message):
        tiny().fit(X, make_y(4))


def test_2d_complex_x_raises():
    # scikit-learn's own message, which ends with the array.
    with pytest.raises(ValueError, match=r"^Complex data not supported\n\[\[0\.\+1\.j"):
        tiny().fit(np.ones((4, 3)) * 1j, make_y(4))


@pytest.mark.parametrize(
    ("X", "subject"),
    [
        (csr_array(np.ones((4, 3))), "X"),
        ([csr_array(np.ones((4, 3)))] * 4, "sequence 0 of X"),
    ],
)
def test_sparse_x_raises(X, subject):
    message = (
        f"Sparse data was passed for {subject}, but dense data is required. Use "
        "'.toarray()' to convert to a dense numpy array."
    )
    with raises(TypeError, message):
        tiny().fit(X, make_y(4))


def test_2d_x_of_another_length_than_in_fit_raises():
    message = "X has 4 features, but RNNRegressor is expecting 5 features as input."
    with raises(ValueError, message):
        fitted(make_2d).predict(make_2d()[:, 1:])


@pytest.mark.parametrize(
    ("X", "given"),
    [
        (np.ones((4, N_TIMESTEPS - 1, 1)), f"(4, {N_TIMESTEPS - 1}, 1)"),
        (np.ones((4, N_TIMESTEPS, 2)), f"(4, {N_TIMESTEPS}, 2)"),
        ([[1.0, 2.0], [1.0]], "ragged sequences"),
    ],
)
def test_other_forms_raise_after_a_fit_on_2d_x(X, given):
    message = (
        f"X must be 2-D (n_samples, {N_TIMESTEPS}), as the X that RNNRegressor was "
        f"fitted on. Got {given}. To use sequences of other lengths, fit on "
        "X[:, :, None]."
    )
    with raises(ValueError, message):
        fitted(make_2d).predict(X)


@pytest.mark.parametrize(
    ("n_features", "shape", "remedy"),
    [
        (1, (4, 5), "For one feature per step pass X[:, :, None]."),
        (3, (4, 3), "For a single sequence pass X[None]."),
        (3, (4, 5), "Shape it so."),
    ],
)
@pytest.mark.parametrize("lengths", [(4, 4), (2, 3)], ids=["equal", "ragged"])
def test_2d_x_raises_after_a_fit_on_3d_or_ragged_x(lengths, n_features, shape, remedy):
    X = [np.ones((length, n_features)) for length in lengths]
    model = tiny().fit(X, [0, 1])
    message = (
        f"X must be 3-D (n_samples, n_timesteps, {n_features}) or a list of "
        "sequences, as the X that RNNRegressor was fitted on. Got a 2-D array of "
        f"shape {shape}. {remedy}"
    )
    with raises(ValueError, message):
        model.predict(np.ones(shape))


@pytest.mark.parametrize(
    "X",
    [np.ones((4, 3, 2)), [np.ones((3, 2)), np.ones((1, 2))]],
    ids=["3-D", "ragged"],
)
@pytest.mark.parametrize("make", [make_3d, make_ragged])
def test_another_number_of_features_than_in_fit_raises(make, X):
    message = (
        f"X has 2 features per time step, but RNNRegressor is expecting {N_FEATURES}. "
        "The last axis of X holds the features; data with channels before time needs "
        "X.transpose(0, 2, 1)."
    )
    with raises(ValueError, message):
        fitted(make).predict(X)


def test_validation_data_have_their_own_name_in_messages():
    message = (
        "X_val has 2 features per time step, but RNNRegressor is expecting "
        f"{N_FEATURES}. The last axis of X_val holds the features; data with channels "
        "before time needs X.transpose(0, 2, 1)."
    )
    X = make_3d()
    with raises(ValueError, message):
        tiny().fit(X, make_y(), X_val=X[:, :, :2], y_val=make_y())


# NaN and infinity


def nan_message(sequence, time_step, feature=0):
    return (
        f"Input X contains NaN. The first is in sequence {sequence}, time step "
        f"{time_step}, feature {feature}. Impute missing values before, for example "
        "with SimpleImputer."
    )


def infinity_message(dtype, sequence, time_step):
    return (
        f"Input X contains infinity or a value too large for dtype('{dtype}'). The "
        f"first is in sequence {sequence}, time step {time_step}, feature 0. Remove "
        "it, or scale the data."
    )


def windows(series, size):
    view = np.lib.stride_tricks.sliding_window_view(series, size, axis=0)
    return view.transpose(0, 2, 1)


# Each takes a 3-D array.
FINITE_FORMS = {
    "2-D": lambda X: X[:, :, 0],
    "3-D": lambda X: X,
    "DataFrame": lambda X: pd.DataFrame(X[:, :, 0]),
    "objects": lambda X: X.astype(object),
    "ragged": lambda X: [row[: 3 + i % 3] for i, row in enumerate(X)],
    "negative strides": negative_strides,
    "windows": lambda X: windows(X[:, 2], 4),
}


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("form", FINITE_FORMS)
def test_nan_and_infinity_raise_in_every_form(form, value):
    place = (4, 3) if form == "windows" else (7, 2)
    form = FINITE_FORMS[form]
    X, finite = make_3d(), form(make_3d())
    X[7, 2, 0] = value
    X, y = form(X), np.arange(len(finite))
    message = infinity_message("float64", *place)
    if np.isnan(value):
        message = nan_message(*place)

    with raises(ValueError, message):
        tiny().fit(X, y)
    with raises(ValueError, message):
        tiny().fit(finite, y).predict(X)


@pytest.mark.parametrize("dtype", [np.float16, np.float32])
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_nan_and_infinity_raise_in_lower_precision(dtype, value):
    X = make_3d().astype(dtype)
    X[7, 2, 0] = value
    message = infinity_message("float32", 7, 2)
    if np.isnan(value):
        message = nan_message(7, 2)
    with raises(ValueError, message):
        tiny().fit(X, make_y())


def test_nan_in_memory_that_no_window_contains_is_valid():
    series = whole_numbers(40, 3)
    series[:, 2] = np.nan
    series[-1] = np.inf
    X = windows(series, 5)[:-1, :, :2]
    estimator = tiny().fit(X, np.arange(len(X)))
    reference = tiny().fit(X.copy(), np.arange(len(X)))

    assert_array_equal(estimator.predict(X), reference.predict(X.copy()))


@pytest.mark.parametrize("step", [1, -2])
def test_nan_raises_in_whichever_window_it_is(step):
    for row in (0, 4, 17, 35, 39):
        series = np.zeros((40, 2))
        series[row, 1] = np.nan
        X = windows(series, 5)[::step]
        if np.isnan(X).any():
            with raises(ValueError, nan_message(*np.argwhere(np.isnan(X))[0])):
                tiny().fit(X, np.arange(len(X)))
        else:
            tiny().fit(X, np.arange(len(X)))


# Sequences.take

lengths_of_rows = st.lists(st.integers(1, 6), min_size=1, max_size=8)
dtypes = st.sampled_from([np.float64, np.float32, np.float16, np.int32, np.bool_])


def random_rows(lengths, n_features, dtype):
    rng = np.random.default_rng(len(lengths))
    return [rng.integers(0, 9, size=(n, n_features)).astype(dtype) for n in lengths]


@settings(max_examples=30)
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
    assert_array_equal(sequences.n_steps(), lengths)
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


@settings(max_examples=50)
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
def test_take_copies_rows_of_one_length(
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

    sequences = Sequences(source)
    values, lengths = sequences.take(rows, batch_dtype)

    assert lengths is None
    assert sequences.n_steps().tolist() == [n_timesteps] * n_samples
    assert_array_equal(values, source[rows].astype(batch_dtype), strict=True)
    assert type(values) is np.ndarray
    assert values.flags.c_contiguous
    assert values.flags.writeable
    assert not np.shares_memory(values, source)


# Sequences.chunks


@settings(max_examples=30)
@given(lengths=lengths_of_rows, chunk_bytes=st.integers(1, 400), data=st.data())
def test_chunks_contain_every_valid_step_in_order(lengths, chunk_bytes, data):
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
    # Distinct values, so that only overlapping windows have equal values.
    series = np.arange(60.0 * n_features).reshape(60, n_features) ** 1.5
    X = windows(series, window_size)[::stride]
    row = reach % len(X)

    sequences = Sequences(X.copy() if copied else X)

    steps = [set(range(i * stride, i * stride + window_size)) for i in range(len(X))]
    expected = sum(bool(steps[i] & steps[row]) for i in range(row))
    assert sequences.overlap_before(row) == expected


def test_overlap_before_is_zero_for_independent_rows():
    X = np.random.default_rng(0).normal(size=(20, 5, 2))

    assert [Sequences(X).overlap_before(row) for row in range(20)] == [0] * 20


def test_overlap_before_is_zero_for_ragged_x():
    X = Sequences(np.zeros((6, 1)), np.array([3, 1, 2]))

    assert [X.overlap_before(row) for row in range(3)] == [0, 0, 0]


def test_overlap_before_judges_by_the_three_rows_before():
    series = np.random.default_rng(0).normal(size=20)
    X = windows(series[:, None], 5).copy()
    X[2], X[7] = np.arange(5.0)[:, None], 0.0  # neither is among the rows 3 to 6

    assert Sequences(X).overlap_before(6) == 4


def test_overlap_before_is_zero_for_equal_rows():
    X = np.tile(np.arange(3.0)[:, None], (6, 1, 1))

    assert Sequences(X).overlap_before(5) == 0


def test_overlap_before_takes_no_constant_steps_for_a_stride():
    X = np.array([[5.0, 0, 0], [0, 0, 0], [0, 0, 0], [0, 0, 7]])[:, :, None]

    # Two zeros at the end and at the start say nothing; a single step may be shared.
    assert Sequences(X).overlap_before(3) == 1


# split_sequences


def test_split_sequences_returns_pieces_of_the_given_lengths():
    pieces = split_sequences(np.arange(12).reshape(6, 2), np.array([2, 3, 1]))

    assert pieces.dtype == object
    expected = np.split(np.arange(12).reshape(6, 2), [2, 5])
    for piece, rows in zip(pieces, expected, strict=True):
        assert_array_equal(piece, rows)


def test_pieces_of_one_length_are_not_stacked():
    pieces = split_sequences(np.arange(6), np.array([3, 3]))

    assert pieces.shape == (2,)
    assert_array_equal(pieces[1], [3, 4, 5])


# feature_scaling


def brute_force_scaling(steps, weights, spare_binary=True):
    """Return the weighted mean and deviation, computed with sixty digits."""
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


@settings(max_examples=50)
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
        # The deviation is not more exact than the values.
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


@pytest.mark.parametrize("n_rows", [1, 50_000])
@pytest.mark.parametrize("value", [0.1, 1e300, 1e-310])
def test_the_scale_of_a_constant_feature_is_one(value, n_rows):
    weights = np.random.default_rng(0).uniform(0.01, 5.0, size=n_rows)
    X = np.full((n_rows, 3, 1), value)

    mean, scale = feature_scaling(Sequences(X), np.arange(n_rows), weights)

    assert_allclose(mean, [value], rtol=1e-12)
    assert_array_equal(scale, [1.0])


@pytest.mark.parametrize("scale_of_weights", [1e-300, 1e300])
def test_feature_scaling_does_not_depend_on_the_scale_of_weights(scale_of_weights):
    rng = np.random.default_rng(0)
    X, weights = rng.normal(size=(30, 4, 2)), rng.uniform(0.5, 2.0, size=30)
    rows = np.arange(30)

    actual = feature_scaling(Sequences(X), rows, weights * scale_of_weights)

    expected = feature_scaling(Sequences(X), rows, weights)
    assert_allclose(actual, expected, rtol=1e-12)


def test_binary_features_are_not_scaled():
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


def test_binary_features_are_detected_in_the_given_rows():
    X = np.array([[[0.0]], [[1.0]], [[7.0]]])

    assert_array_equal(feature_scaling(Sequences(X), np.array([0, 1])), [[0.0], [1.0]])
    assert_array_equal(feature_scaling(Sequences(X), np.array([0, 2])), [[3.5], [3.5]])


def test_the_network_scales_by_the_weighted_rows_of_fit():
    X, weights = make_ragged(), np.arange(N_SAMPLES) % 3
    estimator = tiny().fit(X, make_y(), sample_weight=weights)

    steps = np.concatenate(X)
    each = np.repeat(weights, LENGTHS)
    mean, scale = brute_force_scaling(steps[each > 0], each[each > 0])
    assert_allclose(estimator.module_.input_mean.numpy(), mean, atol=1e-12)
    assert_allclose(estimator.module_.input_scale.numpy(), scale, rtol=1e-12)


def test_predictions_do_not_depend_on_the_units_of_features():
    X = make_3d()
    # Scaling by a power of two is exact.
    units = np.array([2.0**900, 2.0**-900, 1.0])

    estimator = tiny().fit(X * units, make_y())

    assert_array_equal(estimator.predict(X * units), fitted(make_3d).predict(X))


@pytest.mark.parametrize("quiet", [2, 20])
def test_overlap_before_ignores_constant_rows(quiet):
    X = np.random.default_rng(0).normal(size=(60, 30))
    X[40 - quiet // 2 : 40 + quiet // 2] = 0.0

    assert Sequences(X[:, :, None]).overlap_before(40) <= 1
