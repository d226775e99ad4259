import numpy as np
import pytest
from estimators import (
    N_ROWS,
    TINY,
    Probe,
    X,
    assert_same_model,
    probe_of,
    whole,
    y,
)

from skrnn import (
    RNNClassifier,
    RNNRegressor,
    SlidingWindow,
    make_windows,
)


@pytest.mark.parametrize(
    ("given", "missing"), [({"X_val": X}, "X_val"), ({"y_val": y}, "y_val")]
)
def test_validation_data_must_come_in_pairs(given, missing):
    message = f"X_val and y_val must be passed together. Got only {missing}."
    with pytest.raises(ValueError, match=whole(message)):
        RNNRegressor(**TINY).fit(X, y, **given)


def test_validation_data_is_what_the_validation_loss_is_of():
    X_val, y_val = X[::-2] + 0.1, y[::-2] ** 2
    model = RNNRegressor(**TINY, early_stopping=True).fit(
        X, y, X_val=X_val, y_val=y_val
    )

    error = (model.predict(X_val) - y_val) / y.std()
    best = min(model.validation_loss_curve_)
    assert np.mean(error**2) == pytest.approx(best, rel=1e-12)


def test_validation_data_leaves_all_rows_for_training():
    model = RNNRegressor(**TINY, early_stopping=True, callbacks=[Probe()])

    model.fit(X, y, X_val=X[:5], y_val=y[:5])

    assert probe_of(model).rows_ == {True: set(range(N_ROWS)), False: set(range(5))}


def test_validation_data_does_not_change_the_training():
    plain = RNNRegressor(**TINY, dropout=0.3).fit(X, y)

    watched = RNNRegressor(**TINY, dropout=0.3).fit(X, y, X_val=100 + X, y_val=9 * y)

    assert_same_model(watched, plain)


def test_validation_data_must_fit_the_training_data():
    message = (
        "X_val has 4 features per time step, but RNNRegressor is expecting 2. The "
        "last axis of X_val holds the features; data with channels before time needs "
        "X.transpose(0, 2, 1)."
    )
    with pytest.raises(ValueError, match=whole(message)):
        RNNRegressor(**TINY).fit(X, y, X_val=np.dstack([X, X]), y_val=y)


def test_last_rows_validate_when_nothing_overlaps():
    model = RNNRegressor(
        **TINY,
        early_stopping=True,
        validation_fraction=0.25,
        validation_strategy="last",
        callbacks=[Probe()],
    ).fit(X, y)

    rows = probe_of(model).rows_
    assert rows == {True: set(range(15)), False: set(range(15, 20))}


SERIES = np.arange(40) / 10  # the last step of each window tells its row in the series


@pytest.mark.parametrize("copied", [False, True], ids=["view", "copy"])
@pytest.mark.parametrize(
    ("make", "window_size", "stride"),
    [
        (lambda: SlidingWindow(4).fit_transform(SERIES[:, None]), 4, 1),
        (lambda: make_windows(SERIES[:, None], SERIES, window_size=4)[0], 4, 1),
        (
            lambda: make_windows(
                SERIES[:, None], SERIES, window_size=5, horizon=0, stride=2
            )[0],
            5,
            2,
        ),
        (
            lambda: make_windows(
                SERIES[:, None], SERIES, window_size=3, horizon=0, stride=3
            )[0],
            3,
            3,
        ),
    ],
    ids=["SlidingWindow", "make_windows", "stride 2", "no overlap"],
)
def test_windows_that_overlap_the_last_part_are_left_out(
    make, window_size, stride, copied
):
    windows = make()
    windows = windows.copy() if copied else windows
    n_valid = int(np.ceil(0.2 * len(windows)))
    ends = np.rint(windows[:, -1, 0] * 10).astype(int)
    first_seen = ends[-n_valid] - window_size + 1  # by the validation part

    model = RNNRegressor(
        **TINY,
        early_stopping=True,
        validation_fraction=0.2,
        validation_strategy="last",
        callbacks=[Probe()],
    ).fit(windows, np.sin(ends))

    rows = probe_of(model).rows_
    assert rows[False] == set(ends[-n_valid:])
    assert rows[True] == {end for end in ends if end < first_seen}
    assert set(np.diff(ends)) == {stride}


@pytest.mark.parametrize("fraction", [0.1, 0.25, 0.5])
def test_random_rows_validate_and_do_not_train(fraction):
    model = RNNRegressor(
        **TINY,
        early_stopping=True,
        validation_fraction=fraction,
        validation_strategy="random",
        callbacks=[Probe()],
    ).fit(X, y)

    rows = probe_of(model).rows_
    assert len(rows[False]) == fraction * N_ROWS
    assert rows[True] == set(range(N_ROWS)) - rows[False]
    assert rows[False] != set(range(N_ROWS - len(rows[False]), N_ROWS))


def test_random_rows_that_validate_follow_the_seed():
    split = [
        frozenset(
            probe_of(
                RNNRegressor(
                    **TINY | {"random_state": seed},
                    early_stopping=True,
                    validation_strategy="random",
                    validation_fraction=0.5,
                    callbacks=[Probe()],
                ).fit(X, y)
            ).rows_[False]
        )
        for seed in (0, 0, 1, 2)
    ]

    assert split[0] == split[1]
    assert len(set(split)) == 3


@pytest.mark.parametrize("seed", range(5))
def test_random_rows_of_a_classifier_are_stratified(seed):
    rare = np.array([0] * 16 + [1] * 4)
    model = RNNClassifier(
        **TINY | {"random_state": seed, "max_epochs": 1},
        early_stopping=True,
        validation_fraction=0.25,
        validation_strategy="random",
        callbacks=[Probe()],
    ).fit(X, rare)

    targets = probe_of(model).targets_
    assert np.bincount(targets[False]).tolist() == [4, 1]
    assert np.bincount(targets[True]).tolist() == [12, 3]


def test_class_with_one_row_can_be_trained_on():
    once = np.array([0] * 10 + [1] * 9 + [2])
    model = RNNClassifier(
        **TINY, early_stopping=True, validation_strategy="random", callbacks=[Probe()]
    )

    model.fit(X, once)

    rows = probe_of(model).rows_
    assert len(rows[False]) == 2
    assert rows[True] | rows[False] == set(range(N_ROWS))


def test_validation_must_leave_a_row_to_train_on():
    message = (
        "early_stopping=True must leave at least one row to train on. Got "
        "n_samples=1 and validation_fraction=0.1. Pass X_val and y_val, or set "
        "early_stopping=False."
    )
    with pytest.raises(ValueError, match=whole(message)):
        RNNRegressor(**TINY, early_stopping=True).fit(X[:1], y[:1])
