import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from messages import raises
from numpy.testing import assert_array_equal
from sklearn import config_context
from sklearn.model_selection import GridSearchCV, GroupKFold
from skorch.callbacks import Callback

from skrnn import BiRNNClassifier, RNNClassifier, RNNRegressor, make_windows
from skrnn._data.sequences import Sequences
from skrnn._data.splits import check_groups, kfold, train_validation_split

TINY = dict(hidden_size=3, max_epochs=1, random_state=0)
STRATEGIES = ["random", "last"]


class Probe(Callback):
    """Keeps the first feature of the training and of the validation rows."""

    def on_train_begin(self, net, **kwargs):
        self.rows_ = {True: set(), False: set()}

    def on_batch_end(self, net, batch, training, **kwargs):
        inputs, _ = batch
        first = inputs["values"][:, 0, 0].numpy()
        self.rows_[training] |= set(np.rint(first).astype(int))


def rows_of(model):
    return dict(model.net_.callbacks_)["Probe"].rows_


def split(groups, **options):
    options = {"fraction": 0.2, "strategy": "random", "seed": 0} | options
    sequences = Sequences(np.arange(len(groups))[:, None, None])
    rows = options.pop("rows", np.arange(len(groups)))
    return train_validation_split(sequences, rows, groups=np.asarray(groups), **options)


@given(
    groups=st.lists(st.integers(0, 6), min_size=2, max_size=60).filter(
        lambda g: len(set(g)) > 1
    ),
    fraction=st.floats(0.01, 0.99),
    strategy=st.sampled_from(STRATEGIES),
    seed=st.integers(0, 5),
    stratified=st.booleans(),
)
def test_each_group_is_in_one_part(groups, fraction, strategy, seed, stratified):
    groups = np.array(groups)
    strata = np.arange(len(groups)) % 2 if stratified else None

    train, valid = split(
        groups, fraction=fraction, strategy=strategy, seed=seed, strata=strata
    )

    assert len(train) > 0
    assert len(valid) > 0
    assert not set(groups[train]) & set(groups[valid])
    assert_array_equal(np.sort(np.concatenate([train, valid])), np.arange(len(groups)))
    assert (np.diff(train) > 0).all()
    assert (np.diff(valid) > 0).all()


def test_only_the_given_rows_are_split():
    rows = np.array([0, 2, 3, 5, 7])
    train, valid = split([0, 0, 1, 1, 2, 2, 3, 3], rows=rows)
    assert_array_equal(np.sort(np.concatenate([train, valid])), rows)


@pytest.mark.parametrize(
    ("fraction", "expected"), [(0.1, {1}), (0.25, {1}), (0.4, {1, 2}), (0.9, {1, 2})]
)
def test_strategy_last_takes_the_groups_that_end_last(fraction, expected):
    groups = np.array([1, 0, 0, 0, 2, 2, 1, 1])
    _, valid = split(groups, strategy="last", fraction=fraction)
    assert set(groups[valid]) == expected


def test_random_groups_keep_the_proportions_of_classes():
    groups = np.repeat(np.arange(40), 5)
    strata = groups % 4 == 0  # ten groups of one class, thirty of the other
    for seed in range(5):
        _, valid = split(groups, strata=strata, seed=seed)
        assert np.bincount(strata[valid].astype(int)).tolist() == [30, 10]


def test_random_groups_follow_the_seed():
    groups = np.repeat(np.arange(20), 2)
    sets = [frozenset(split(groups, seed=seed)[1]) for seed in (0, 0, 1, 2)]
    assert sets[0] == sets[1]
    assert len(set(sets)) == 3


def test_groups_may_be_of_any_type():
    assert check_groups(None, 3) is None
    assert_array_equal(check_groups(["b", "a", "b"], 3), [0, 1, 0])
    assert_array_equal(check_groups([2.5, 2.5, 1.0], 3), [0, 0, 1])
    assert_array_equal(check_groups([1, "1", 2], 3), [0, 1, 2])


@pytest.mark.parametrize(
    ("groups", "message"),
    [
        (
            [0, 1],
            "groups must have shape (6,), one entry for each sequence. Got shape (2,).",
        ),
        (
            ["a", "b", None, "a", "b", "a"],
            "groups must name the group of every sequence. Got a missing value for "
            "row 2.",
        ),
        (
            ["a", np.nan, "b", "a", "b", "a"],
            "groups must name the group of every sequence. Got a missing value for "
            "row 1.",
        ),
        (
            [[0], [1], [2], [3], [4], [5]],
            "groups must hold one name or number for each sequence (unhashable type: "
            "'list'). Got [0] for row 0.",
        ),
    ],
)
def test_invalid_groups_are_rejected(groups, message):
    for early_stopping in (False, True):
        model = RNNRegressor(**TINY, early_stopping=early_stopping)
        with raises(ValueError, message):
            model.fit(np.zeros((6, 2)), np.arange(6), groups=groups)


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_one_group_cannot_be_split(strategy):
    message = (
        "early_stopping=True must leave at least one group to train on. Got 1 group "
        "among the rows that count. Leave groups out, pass X_val and y_val, or set "
        "early_stopping=False."
    )
    model = RNNRegressor(**TINY, early_stopping=True, validation_strategy=strategy)
    with raises(ValueError, message):
        model.fit(np.zeros((6, 2)), np.arange(6), groups=np.zeros(6))


@pytest.mark.parametrize(
    ("cls", "strategy"),
    [(RNNRegressor, "last"), (RNNClassifier, "random"), (BiRNNClassifier, "last")],
)
def test_fit_validates_on_whole_groups(cls, strategy):
    n = 24
    X = np.arange(n * 3.0).reshape(n, 3, 1)
    groups = np.array(["a", "b", "c", "d", "e", "f"])[np.arange(n) // 4]
    model = cls(
        **TINY,
        early_stopping=True,
        validation_fraction=0.3,
        validation_strategy=strategy,
        callbacks=[Probe()],
    ).fit(X, np.arange(n) % 2, groups=groups)

    rows = rows_of(model)
    seen = {side: {groups[r // 3] for r in rows[side]} for side in (True, False)}
    assert len(seen[False]) == 2
    assert seen[True] | seen[False] == set(groups)
    assert not seen[True] & seen[False]


def test_windows_of_several_series_are_split_by_series():
    series = np.concatenate([np.arange(0, 10), np.arange(100, 110), [200.0] * 10])
    of_row = np.repeat(["a", "b", "c"], 10)
    X, y = make_windows(series, window_size=3, groups=of_row)
    _, of_window = make_windows(series, of_row, window_size=3, groups=of_row)
    model = RNNRegressor(
        **TINY, window_norm=None, early_stopping=True, callbacks=[Probe()]
    )

    model.fit(X, y, groups=of_window)

    assert rows_of(model)[False] == {200}
    assert max(rows_of(model)[True]) < 200


def test_a_search_routes_groups_to_fit_and_splitter():
    X, y = np.arange(36.0).reshape(12, 3), np.arange(12.0)
    groups = np.arange(12) // 2
    seen = []

    class Recorder(RNNRegressor):
        def fit(self, X, y, sample_weight=None, *, groups=None, **options):
            seen.append(groups)
            return super().fit(X, y, sample_weight, groups=groups, **options)

    with config_context(enable_metadata_routing=True):
        model = Recorder(**TINY, early_stopping=True).set_fit_request(groups=True)
        search = GridSearchCV(model, {"lr": [0.01]}, cv=GroupKFold(3))
        search.fit(X, y, groups=groups)

    assert [len(part) for part in seen] == [8, 8, 8, 12]
    assert all(len(np.unique(part)) == len(part) / 2 for part in seen)


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_windows_that_overlap_the_validation_groups_are_left_out(strategy):
    series = np.random.default_rng(0).normal(size=131)
    X, _ = make_windows(series, window_size=12)
    groups = np.arange(len(X)) // 20  # such as the months of one series
    train, valid = train_validation_split(
        Sequences(X[:, :, None]),
        np.arange(len(X)),
        fraction=0.3,
        strategy=strategy,
        seed=1,
        groups=groups,
    )

    steps = {side: set() for side in ("train", "valid")}
    for side, rows in (("train", train), ("valid", valid)):
        steps[side] = {row + step for row in rows for step in range(12)}
    assert not steps["train"] & steps["valid"]
    assert len(train) > 30


@pytest.mark.parametrize("stratified", [False, True])
def test_random_groups_come_close_to_the_fraction(stratified):
    groups = np.repeat(np.arange(40), np.arange(40) % 4 + 1)
    strata = groups % 2 if stratified else None
    for fraction in (0.1, 0.5, 0.9):
        for seed in range(3):
            _, valid = split(groups, fraction=fraction, strata=strata, seed=seed)
            assert abs(len(valid) / len(groups) - fraction) < 0.06


def test_a_large_group_is_not_held_out_for_a_small_fraction():
    groups = np.repeat(np.arange(11), [900, *[10] * 10])
    for seed in range(8):
        _, valid = split(groups, fraction=0.1, seed=seed)
        assert 80 <= len(valid) <= 100


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("grouped", [False, True])
def test_folds_hold_out_different_rows(strategy, grouped):
    X, _ = make_windows(np.random.default_rng(0).normal(size=206), window_size=6)
    rows = np.arange(len(X))
    groups = rows // 20 if grouped else None
    splits = kfold(
        Sequences(X[:, :, None]),
        rows,
        n_splits=4,
        fraction=0.1,
        strategy=strategy,
        seed=0,
        strata=None,
        groups=groups,
    )

    assert len(splits) == 4
    held_out = np.concatenate([valid for _, valid in splits])
    assert len(np.unique(held_out)) == len(held_out) == 80
    for train, valid in splits:
        assert len(train) >= len(rows) / 2
        distance = np.abs(train[:, None] - valid).min()
        # Random rows of one series overlap, which the documentation warns of.
        assert distance >= (6 if grouped or strategy == "last" else 1)


def test_there_are_fewer_folds_where_rows_do_not_suffice():
    X, _ = make_windows(np.random.default_rng(0).normal(size=60), window_size=30)
    splits = kfold(
        Sequences(X[:, :, None]),
        np.arange(len(X)),
        n_splits=4,
        fraction=0.1,
        strategy="last",
        seed=0,
        strata=None,
        groups=None,
    )
    assert splits == []
