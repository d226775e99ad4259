"""Sequences as positions in memory."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.lib.stride_tricks import as_strided, sliding_window_view
from numpy.testing import assert_array_equal

from skrnn._data.memory import (
    ConvertedRows,
    RowsInPlace,
    copied_bytes,
    flatten_array,
    flatten_sequences,
    read_rows,
)
from skrnn._data.normalization import WindowNormalizer
from skrnn._data.sequences import Sequences

SERIES = np.arange(40.0)


def read(flat, first, strides, shape):
    """Return an array from its description, element by element."""
    found = np.empty(shape, flat.dtype)
    for index in np.ndindex(*shape):
        found[index] = flat[first + np.dot(index, strides)]
    return found


slices = st.builds(
    slice,
    st.integers(0, 3),
    st.integers(4, 7),
    st.sampled_from([1, 2, 3]),
)


@given(
    index=st.tuples(slices, slices, slices),
    backwards=st.tuples(*[st.booleans()] * 3),
    order=st.permutations(range(3)),
    dtype=st.sampled_from(["<f8", ">f8", "<f4", "<i2", "?"]),
)
def test_any_view_is_read_where_it_lies(index, backwards, order, dtype):
    whole = np.arange(7 * 7 * 7).reshape(7, 7, 7).astype(dtype)
    values = whole[index].transpose(order)
    values = values[tuple(slice(None, None, -1 if b else 1) for b in backwards)]

    flat, first, strides = flatten_array(values, np.float64)

    assert_array_equal(read(flat, first, strides, values.shape), values)
    if dtype == "<f8":
        assert np.shares_memory(flat, whole)
        assert not flat.flags.writeable


def test_windows_share_the_memory_of_their_series():
    windows = sliding_window_view(SERIES, 5)[:, :, None]
    flat, first, strides = flatten_array(windows, np.float64)
    assert len(flat) == len(SERIES)
    assert np.shares_memory(flat, SERIES)
    assert_array_equal(read(flat, first, strides, windows.shape), windows)
    converted, *_ = flatten_array(windows, np.float32)
    assert len(converted) == len(SERIES)  # and not five times as long


@pytest.mark.parametrize(
    "values",
    [
        np.broadcast_to(SERIES[:4], (3, 4)),
        np.empty((0, 4)),
        np.frombuffer(b"." + SERIES.tobytes(), "u1")[1:].view("f8").reshape(8, 5),
        as_strided(SERIES.view("f4"), (3, 2), (12, 20))[:, :1].astype("f8"),
    ],
    ids=["repeated", "empty", "unaligned", "one column"],
)
def test_unusual_memory_is_read_too(values):
    flat, first, strides = flatten_array(values, np.float64)
    assert flat.flags.aligned
    assert_array_equal(read(flat, first, strides, values.shape), values)


def test_ragged_sequences_lie_end_to_end():
    lengths = np.array([2, 3, 1])
    values = np.arange(12.0).reshape(6, 2)
    flat = flatten_sequences(Sequences(values, lengths), np.float64)
    assert_array_equal(flat.start, [0, 4, 10])
    assert (flat.step_stride, flat.feature_stride) == (2, 1)
    assert_array_equal(flat.n_steps, lengths)
    assert flat.normalization is None
    chosen = flat.select(np.array([2, 0]))
    assert_array_equal(chosen.start, [10, 0])
    assert_array_equal(chosen.n_steps, [1, 2])


@pytest.mark.parametrize(
    ("window_norm", "per_step", "kind", "n_steps"),
    [
        ("last", False, "last", 4),
        ("standard", False, "standard", 4),
        ("difference", False, "difference", 3),
        ("difference", True, "difference of steps", 4),
    ],
)
def test_normalisation_is_described(window_norm, per_step, kind, n_steps):
    sequences = Sequences(np.random.default_rng(0).normal(size=(5, 4, 2)))
    normalizer = WindowNormalizer(window_norm, [1], per_step)
    normalizer.fit(sequences, np.arange(5))
    flat = flatten_sequences(normalizer.normalize(sequences), np.float64)
    assert flat.normalization.kind == kind
    assert_array_equal(flat.normalization.columns, [1])
    assert_array_equal(flat.n_batch_steps, [n_steps] * 5)


# Conversion of a few rows at a time


@given(
    index=st.tuples(slices, slices, slices),
    backwards=st.tuples(*[st.booleans()] * 3),
    order=st.permutations(range(3)),
    dtype=st.sampled_from(["<f8", ">f8", "<f4", "<i2", "?"]),
)
def test_size_of_the_copy_is_known_before(index, backwards, order, dtype):
    whole = np.arange(7 * 7 * 7).reshape(7, 7, 7).astype(dtype)
    values = whole[index].transpose(order)
    values = values[tuple(slice(None, None, -1 if b else 1) for b in backwards)]

    flat, *_ = flatten_array(values, np.float64)

    is_copy = not np.may_share_memory(flat, whole)
    assert copied_bytes(values, np.float64) == (flat.nbytes if is_copy else 0)


def test_values_between_the_elements_of_a_structured_array_are_not_read():
    records = np.zeros(3, dtype=[("x", "<f4", (4, 2)), ("id", "S3")])
    assert copied_bytes(records["x"], np.float32) == 3 * 4 * 2 * 4


@pytest.mark.parametrize("lengths", [None, [2, 4, 1, 3, 4]], ids=["dense", "ragged"])
@pytest.mark.parametrize("dtype", ["<i2", ">f8"])
def test_rows_are_converted_when_they_are_loaded(lengths, dtype, monkeypatch):
    monkeypatch.setattr("skrnn._data.memory.CONVERTED_BYTES", 0)
    rng = np.random.default_rng(0)
    lengths = None if lengths is None else np.array(lengths)
    shape = (5, 4, 2) if lengths is None else (lengths.sum(), 2)
    values = rng.integers(-99, 99, shape).astype(dtype)
    sequences = Sequences(values, lengths)

    reader = read_rows(sequences, np.float64, 2, np.array([4, 0, 2, 3]))
    assert isinstance(reader, ConvertedRows)
    for positions in ([3, 1], [0], [2, 1, 0]):
        reader.load(np.array(positions))
        for position in positions:
            row = np.array([[4, 0, 2, 3][position]])
            expected = sequences.take(row, np.float64)[0][0]
            at = reader.flat.start[position]
            n_steps = reader.flat.n_steps[position]
            found = reader.flat.values[at : at + 2 * n_steps].reshape(-1, 2)
            assert_array_equal(found, expected)


def test_rows_of_the_right_dtype_are_read_in_place(monkeypatch):
    monkeypatch.setattr("skrnn._data.memory.CONVERTED_BYTES", 0)
    values = np.random.default_rng(0).normal(size=(5, 4, 2))

    reader = read_rows(Sequences(values), np.float64, 2)
    assert isinstance(reader, RowsInPlace)
    assert np.may_share_memory(reader.flat.values, values)


def test_buffer_holds_a_batch_and_no_more_than_all_rows():
    sequences = Sequences(np.zeros((50, 4, 2), np.int16))
    rows = np.arange(50)

    assert ConvertedRows(sequences, rows, np.float64, 10).most_rows == 50
    long = Sequences(np.zeros((50, 2**17, 1), np.int16))  # a row takes a megabyte
    assert ConvertedRows(long, rows, np.float64, 10).most_rows == 10
    assert ConvertedRows(long, rows, np.float64, 2).most_rows == 8
