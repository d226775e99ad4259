"""Batches: the order of rows, similar lengths, data on an accelerator."""

import itertools

import numpy as np
import pytest
import torch
from internals import make_dataset
from training_data import (
    N_ROWS,
    TINY,
    Recorder,
    X,
    callback_of,
    y,
)

from skrnn import RNNRegressor
from skrnn._data.normalization import NormalizedSequences
from skrnn._data.samples import EncodedSamples
from skrnn._data.sequences import Sequences
from skrnn._training.batches import SequenceDataset, choose_pool_size


# -- batches
def test_every_epoch_has_every_row_once_in_a_new_order():
    model = RNNRegressor(**TINY, batch_size=8, callbacks=[Recorder()]).fit(X, y)

    epochs = callback_of(model, Recorder).batches_
    for epoch in epochs:
        assert list(map(len, epoch)) == [8, 8, 4]
        assert sorted(np.concatenate(epoch)) == list(range(N_ROWS))
    orders = [np.arange(N_ROWS), *(np.concatenate(epoch) for epoch in epochs)]
    for one, other in itertools.combinations(orders, 2):
        assert (one != other).any()


def test_order_of_rows_follows_the_seed():
    orders = []
    for seed in (0, 0, 1):
        model = RNNRegressor(**TINY | {"random_state": seed}, callbacks=[Recorder()])
        batches = callback_of(model.fit(X, y), Recorder).batches_
        orders.append(np.concatenate([np.concatenate(epoch) for epoch in batches]))

    np.testing.assert_array_equal(orders[0], orders[1])
    assert (orders[0] != orders[2]).any()


# Batches of similar length
def draw_ragged(n, seed=0):
    generator = np.random.default_rng(seed)
    lengths = np.ceil(generator.exponential(20, n)).astype(int)
    return [np.full((length, 1), float(i)) for i, length in enumerate(lengths)]


def epochs_of(X, n_epochs=2, seed=0, **params):
    """Return `(rows, lengths)` of the batches of some epochs."""
    model = RNNRegressor(**TINY | dict(batch_size=16, max_epochs=1) | params)
    model.fit(X, np.sqrt(np.arange(len(X))))
    net, rows = model.net_, np.arange(len(X))
    dataset = make_dataset(model, X, rows[:, None].astype(float))
    net.order_generator_.manual_seed(seed)
    epochs = []
    for _ in range(n_epochs):
        batches = []
        for inputs, targets in net.get_iterator(dataset, training=True):
            lengths = inputs.get("lengths")
            if lengths is None:
                lengths = torch.full((len(targets),), inputs["values"].shape[1])
            batches.append((targets[:, 0].long().numpy(), lengths.numpy()))
        epochs.append(batches)
    return epochs


def rows_in_order(batches):
    return [rows.tolist() for rows, _ in batches]


def test_padding_of_batches_is_less_than_a_tenth():
    for batches in epochs_of(draw_ragged(600)):
        steps = sum(lengths.sum() for _, lengths in batches)
        padded = sum(lengths.max() * len(lengths) for _, lengths in batches)
        assert steps > 0.9 * padded
        assert steps == sum(len(x) for x in draw_ragged(600))


def test_batches_of_similar_length_have_every_row_once_in_a_new_order():
    first, second = epochs_of(draw_ragged(300))
    for batches in (first, second):
        rows = np.concatenate([rows for rows, _ in batches])
        np.testing.assert_array_equal(np.sort(rows), np.arange(300))
        assert sorted(len(rows) for rows, _ in batches) == [12] + [16] * 18
    assert rows_in_order(first) != rows_in_order(second)
    # The batches are not sorted by length.
    means = [lengths.mean() for _, lengths in first]
    assert means != sorted(means)


def test_batches_by_length_are_the_same_for_the_same_seed():
    X = draw_ragged(300)
    (first,), (again,), (other,) = (epochs_of(X, 1, seed) for seed in (0, 0, 1))
    assert rows_in_order(first) == rows_in_order(again) != rows_in_order(other)


def test_row_numbers_similar_length_are_not_sorted():
    lengths = np.random.default_rng(0).integers(95, 101, 500)
    assert choose_pool_size(lengths, 16) == 1


def test_pools_are_as_small_as_the_padding_allows():
    lengths = np.random.default_rng(0).integers(10, 101, 2000)
    assert 1 < choose_pool_size(lengths, 32) < 32
    assert choose_pool_size(np.array([1, 1000]), 1) == 1
    assert choose_pool_size(np.array([1, 1000]), 32) == 1
    few = np.random.default_rng(0).integers(1, 1000, 320)
    assert choose_pool_size(few, 32) == 2  # of 10, a quarter at most
    assert choose_pool_size(few, 20) >= 8  # of 16


# Data on an accelerator
@pytest.mark.parametrize(
    ("form", "kind"),
    [
        ("dense", None),
        ("ragged", None),
        ("ragged", "difference"),
        ("windows", "standard"),
    ],
)
def test_batches_of_data_on_the_device_are_those_of_the_host(form, kind):
    generator = np.random.default_rng(0)
    if form == "dense":
        sequences = Sequences(generator.normal(size=(300, 5, 2)))
    elif form == "windows":
        series = generator.normal(size=(304, 2))
        views = np.lib.stride_tricks.sliding_window_view(series, 5, axis=0)
        sequences = Sequences(views.swapaxes(1, 2))
    else:
        lengths = generator.integers(2, 9, 300)
        sequences = Sequences(generator.normal(size=(lengths.sum(), 2)), lengths)
    if kind is not None:
        sequences = NormalizedSequences(sequences, kind, [0])
    samples = EncodedSamples(sequences, np.zeros((300, 1)))
    rows = generator.permutation(300)[:280]
    options = dict(
        dtype=torch.float32, input_dtype=torch.float32, device=torch.device("cpu")
    )
    datasets = [
        SequenceDataset(samples, rows, **options, resident=resident)
        for resident in (True, False)
    ]
    assert datasets[0].resident is not None
    for positions in torch.randperm(280).split(16):
        (found, _), (expected, _) = (d.batch(positions) for d in datasets)
        assert found.keys() == expected.keys()
        for name, value in expected.items():
            assert torch.equal(found[name], value)
            assert found[name].dtype == value.dtype


def test_data_stays_on_the_host_on_a_cpu():
    model = RNNRegressor(**TINY).fit(X, y)
    assert make_dataset(model, X, y[:, None]).resident is None
