import copy
import gc
import io
import os
import pickle
import pickletools
import re
import signal
import weakref
from concurrent.futures import ThreadPoolExecutor

import joblib
import numpy as np
import pandas as pd
import pytest
import torch
from joblib.externals.loky import get_reusable_executor
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.utils import check_random_state
from sklearn.utils.class_weight import compute_sample_weight
from skorch.callbacks import Callback, LRScheduler

from skrnn import (
    BiRNNClassifier,
    RNNClassifier,
    RNNRegressor,
    SlidingWindow,
    make_windows,
)

N_ROWS = 20
TINY = dict(hidden_size=4, max_epochs=3, batch_size=8, random_state=0)
# A step of the optimiser that moves no weight.
STILL = dict(optimizer="sgd", weight_decay=0.0, lr=1e-300, lr_schedule=None)
FITTED = [
    "net_",
    "module_",
    "n_iter_",
    "loss_curve_",
    "validation_loss_curve_",
    "best_epoch_",
    "history_",
    "n_outputs_",
    "device_",
]

rng = np.random.default_rng(0)
X = rng.normal(size=(N_ROWS, 4, 2))
X[:, -1, 0] = np.arange(N_ROWS) / 10  # the last step tells the row
RAGGED = [row[i % 4 :] for i, row in enumerate(X)]
y = rng.normal(5, 3, size=N_ROWS)
labels = np.array(["b", "a", "a", "c", "b"] * 4)
indicator = rng.integers(0, 2, size=(N_ROWS, 3))
WEIGHTS = rng.uniform(0.5, 2, size=N_ROWS)

# An estimator, with sequences and targets it can be fitted on.
CASES = {
    "regressor": (RNNRegressor(**TINY, dropout=0.3), X, y),
    "two outputs": (RNNRegressor(**TINY, cell_type="gru"), RAGGED, np.c_[y, y**2]),
    "classifier": (RNNClassifier(**TINY, cell_type="lstm"), RAGGED, labels),
    "two classes": (RNNClassifier(**TINY, num_layers=2, dropout=0.3), X, labels == "a"),
    "multilabel": (RNNClassifier(**TINY, pooling="mean"), X, indicator),
    "two-way": (BiRNNClassifier(**TINY, pooling="max", dropout=0.3), RAGGED, labels),
    "float32": (RNNRegressor(**TINY, dropout=0.3), X.astype(np.float32), y),
}
cases = pytest.mark.parametrize("case", CASES)


def make_case(case, **params):
    model, sequences, target = CASES[case]
    return clone(model).set_params(**params), sequences, target


def whole(message):
    return f"^{re.escape(message)}$"


def outputs(model, sequences):
    """Return the finest answer there is."""
    return getattr(model, "predict_proba", model.predict)(sequences)


def assert_same_model(one, other, sequences=X):
    np.testing.assert_array_equal(outputs(one, sequences), outputs(other, sequences))
    assert one.loss_curve_ == other.loss_curve_
    for name, value in one.module_.state_dict().items():
        assert torch.equal(value, other.module_.state_dict()[name]), name


class Probe(Callback):
    """Notes which rows were trained and validated on, and the number of threads."""

    def on_train_begin(self, net, **kwargs):
        self.rows_ = {True: set(), False: set()}
        self.targets_ = {True: [], False: []}
        self.n_threads_ = []

    def on_batch_begin(self, net, batch, training, **kwargs):
        values = batch[0]["values"][:, -1, 0].numpy()
        self.rows_[training] |= set(np.rint(values * 10).astype(int).tolist())
        self.targets_[training] += batch[1].tolist()
        self.n_threads_.append(torch.get_num_threads())


def probe_of(model):
    return next(cb for _, cb in model.net_.callbacks_ if isinstance(cb, Probe))


class Fail(Callback):
    """Fails in the second batch of an epoch."""

    def __init__(self, epoch=2):
        self.epoch = epoch

    def on_batch_end(self, net, **kwargs):
        if len(net.history) == self.epoch and len(net.history[-1]["batches"]) == 2:
            raise RuntimeError("as planned")


class CtrlC(Callback):
    """Presses Ctrl-C at the end of an epoch, or in the middle of it."""

    def __init__(self, epoch, in_the_middle=False):
        self.epoch = epoch
        self.in_the_middle = in_the_middle

    def press(self, net, in_the_middle):
        if len(net.history) == self.epoch and in_the_middle == self.in_the_middle:
            signal.raise_signal(signal.SIGINT)

    def on_batch_end(self, net, **kwargs):
        self.press(net, in_the_middle=True)

    def on_epoch_end(self, net, **kwargs):
        self.press(net, in_the_middle=False)


@pytest.fixture
def ctrl_c_raises():
    """Make Ctrl-C raise KeyboardInterrupt, as it does in a program of its own."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture
def three_threads():
    """Let torch have three threads, a number that no estimator would choose."""
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def untouched():
    """Return a function that asserts that no global generator has been used."""
    numpy_before = check_random_state(None).get_state(legacy=False)["state"]
    key, position = numpy_before["key"].copy(), numpy_before["pos"]
    torch_before = torch.get_rng_state()

    def check():
        state = check_random_state(None).get_state(legacy=False)["state"]
        np.testing.assert_array_equal(state["key"], key)
        assert state["pos"] == position
        assert torch.equal(torch.get_rng_state(), torch_before)

    return check


# -- randomness


@cases
def test_equal_seeds_give_equal_models(case):
    model, sequences, target = make_case(case)

    one, other = (clone(model).fit(sequences, target) for _ in range(2))

    assert_same_model(one, other, sequences)


def test_different_seeds_give_different_models():
    one, other = (
        RNNRegressor(**TINY | {"random_state": seed}).fit(X, y) for seed in (0, 1)
    )

    assert (one.predict(X) != other.predict(X)).all()


@cases
def test_threads_at_once_give_equal_models(case, three_threads):
    model, sequences, target = make_case(case)
    alone = clone(model).fit(sequences, target)

    with ThreadPoolExecutor(4) as pool:
        models = list(pool.map(lambda _: clone(model).fit(sequences, target), range(8)))

    for one in models:
        assert_same_model(one, alone, sequences)


def test_other_processes_give_equal_models():
    model, sequences, target = make_case("two-way")
    alone = clone(model).fit(sequences, target)

    executor = get_reusable_executor(max_workers=1)  # what joblib's processes are
    try:
        elsewhere = executor.submit(clone(model).fit, sequences, target).result()
    finally:
        executor.shutdown(wait=True)

    assert_same_model(elsewhere, alone, sequences)


@cases
def test_global_generators_are_left_alone(case, untouched):
    model, sequences, target = make_case(case, early_stopping=True)

    outputs(model.fit(sequences, target), sequences)
    model.partial_fit(sequences, target)
    pickle.loads(pickle.dumps(model))

    untouched()


@cases
def test_global_generators_are_left_alone_by_what_fails(case, untouched):
    model, sequences, target = make_case(case, callbacks=[Fail()])

    with pytest.raises(RuntimeError, match=r"^as planned$"):
        model.fit(sequences, target)

    untouched()


@pytest.mark.parametrize("early_stopping", [False, True])
def test_random_state_none_draws_once_from_numpy(early_stopping):
    generator = check_random_state(None)  # numpy's global one
    torch_before = torch.get_rng_state()
    numpy_before = generator.get_state()
    generator.randint(np.iinfo(np.int32).max)
    after_one_draw = generator.get_state()
    generator.set_state(numpy_before)
    model = RNNRegressor(**TINY | {"random_state": None}, early_stopping=early_stopping)

    model.fit(X, y).predict(X)

    for found, expected in zip(generator.get_state(), after_one_draw, strict=True):
        np.testing.assert_array_equal(found, expected)
    assert torch.equal(torch.get_rng_state(), torch_before)


def test_random_state_none_differs_from_fit_to_fit():
    model = RNNRegressor(**TINY | {"random_state": None})

    one, other = (clone(model).fit(X, y).predict(X) for _ in range(2))

    assert (one != other).all()


def test_random_state_instance_is_drawn_from(untouched):
    generator = np.random.RandomState(3)
    model = RNNRegressor(**TINY | {"random_state": generator})

    one = model.fit(X, y).predict(X)
    other = model.fit(X, y).predict(X)

    assert (one != other).all()
    untouched()


# -- threads


@pytest.mark.parametrize(
    ("n_jobs", "expected"), [(None, 1), (1, 1), (2, 2), (-1, os.cpu_count())]
)
def test_n_jobs_is_the_number_of_threads_in_fit_and_predict(
    n_jobs, expected, three_threads
):
    model = RNNRegressor(**TINY, n_jobs=n_jobs, callbacks=[Probe()]).fit(X, y)
    assert torch.get_num_threads() == 3
    in_predict = []
    model.module_.register_forward_hook(
        lambda *_: in_predict.append(torch.get_num_threads())
    )

    model.predict(X)

    assert torch.get_num_threads() == 3
    assert set(probe_of(model).n_threads_) == set(in_predict) == {expected}


@pytest.mark.parametrize("n_jobs", [None, 2])
def test_number_of_threads_is_restored_after_a_failure(n_jobs, three_threads):
    model = RNNRegressor(**TINY, n_jobs=n_jobs, callbacks=[Fail()])

    with pytest.raises(RuntimeError, match=r"^as planned$"):
        model.fit(X, y)

    assert torch.get_num_threads() == 3


# -- warm start


@cases
def test_warm_start_goes_on_where_it_stopped(case):
    params = dict(warm_start=True, lr_schedule=None)
    model, sequences, target = make_case(case, **params)
    at_once, _, _ = make_case(case, **params, max_epochs=6)
    at_once.fit(sequences, target)

    first_half = model.fit(sequences, target).loss_curve_
    model.fit(sequences, target)

    assert model.n_iter_ == 6
    assert model.loss_curve_[:3] == first_half
    tolerance = 1e-5 if case == "float32" else 1e-12
    np.testing.assert_allclose(model.loss_curve_, at_once.loss_curve_, rtol=tolerance)
    np.testing.assert_allclose(
        outputs(model, sequences), outputs(at_once, sequences), rtol=tolerance
    )


@pytest.mark.parametrize("optimizer", ["adam", "adamw", "rmsprop", "sgd", "lbfgs"])
def test_warm_start_keeps_the_moments_of_the_optimizer(optimizer):
    params = TINY | dict(
        optimizer=optimizer,
        optimizer_params={"momentum": 0.9} if optimizer == "sgd" else None,
        lr=0.1,
        lr_schedule=None,
        batch_size=N_ROWS,
        warm_start=True,
    )
    at_once = RNNRegressor(**params | {"max_epochs": 6}).fit(X, y)

    in_parts = RNNRegressor(**params).fit(X, y).fit(X, y)

    np.testing.assert_allclose(in_parts.loss_curve_, at_once.loss_curve_, rtol=1e-12)


def test_warm_start_runs_the_schedule_anew():
    model = RNNRegressor(**TINY, warm_start=True).fit(X, y)

    model.fit(X, y)

    rates = model.history_["lr"].to_numpy()
    assert len(set(rates[:3])) == 3
    np.testing.assert_array_equal(rates[3:], rates[:3])


def test_warm_start_keeps_the_scaling():
    model = RNNRegressor(**TINY | STILL, warm_start=True).fit(X, y)
    before = model.predict(X)

    model.fit(100 + X, 1000 * y)

    np.testing.assert_array_equal(model.predict(X), before)


def test_fit_without_warm_start_begins_anew():
    model = RNNRegressor(**TINY).fit(100 + X, 1000 * y)
    model.partial_fit(X, y)

    assert_same_model(model.fit(X, y), RNNRegressor(**TINY).fit(X, y))


@pytest.mark.parametrize("again", ["fit", "partial_fit"])
@pytest.mark.parametrize(
    ("change", "name", "now", "before"),
    [
        ({"hidden_size": 5}, "hidden_size", (5,), (4,)),
        ({"hidden_size": (4, 3)}, "hidden_size", (4, 3), (4,)),
        ({"num_layers": 2}, "hidden_size", (4, 4), (4,)),
        ({"cell_type": "gru"}, "cell_type", "gru", "rnn"),
        ({"nonlinearity": "relu"}, "nonlinearity", "relu", "tanh"),
        ({"bidirectional": True}, "bidirectional", True, False),
        ({"pooling": "mean"}, "pooling", "mean", "last"),
    ],
    ids=str,
)
def test_training_cannot_go_on_with_another_network(change, name, now, before, again):
    model = RNNRegressor(**TINY, warm_start=True).fit(X, y)

    message = (
        f"The '{name}' parameter must stay as it was while training continues with "
        f"warm_start or partial_fit. Got {now!r} after {before!r}. Set "
        "warm_start=False and call fit."
    )
    with pytest.raises(ValueError, match=whole(message)):
        getattr(model.set_params(**change), again)(X, y)


def nan_in(X):
    X = X.copy()
    X[3, 2, 1] = np.nan
    return X


# Parameters, arguments, and how the message begins.
FAILURES = {
    "NaN in X": ({}, (nan_in(X), y), "Input X contains NaN."),
    "too few targets": ({}, (X, y[:-1]), "Found input variables with inconsistent"),
    "more features": ({}, (np.dstack([X, X]), y), "X has 4 features per time step"),
    "shape of targets": ({}, (X, np.c_[y, y]), "y must have as many outputs as"),
    "negative weights": ({}, (X, y, -WEIGHTS), "sample_weight must not be negative"),
    "unknown cell": ({"cell_type": "gnu"}, (X, y), "The 'cell_type' parameter of"),
    "contradiction": (
        {"cell_type": "gru", "nonlinearity": "relu"},
        (X, y),
        "The 'nonlinearity' parameter of RNNRegressor must be 'tanh'",
    ),
    "another network": ({"hidden_size": 5}, (X, y), "The 'hidden_size' parameter must"),
    "unknown device": ({"device": "abacus"}, (X, y), "The 'device' parameter must"),
    "failing callback": ({"callbacks": [Fail(epoch=4)]}, (X, y), "as planned"),
    "exploding loss": (
        {"optimizer": "sgd", "lr": 1e300, "lr_schedule": None, "max_grad_norm": None},
        (X, 1e150 * y),
        "The loss became non-finite in epoch 4.",
    ),
}


@pytest.mark.parametrize("again", ["fit", "partial_fit"])
@pytest.mark.parametrize("failure", FAILURES)
def test_failure_leaves_the_earlier_model_as_it_was(failure, again):
    change, arguments, beginning = FAILURES[failure]
    model = RNNRegressor(**TINY, warm_start=True).fit(X, y)
    params, before = model.get_params(), copy.deepcopy(model)
    attributes = dict(vars(model))

    error = RuntimeError if failure == "failing callback" else ValueError
    with pytest.raises(error, match=f"^{re.escape(beginning)}"):
        getattr(model.set_params(**change), again)(*arguments)

    model.set_params(**params)
    assert vars(model) == attributes
    assert_same_model(model, before)
    assert_same_model(model.fit(X, y), before.fit(X, y))


@pytest.mark.parametrize(
    "sequences",
    [X[:, :, 0], np.dstack([X, X]), pd.DataFrame(X[:, :, 0]).add_prefix("step")],
    ids=["2-D", "more features", "DataFrame"],
)
def test_new_fit_that_fails_leaves_the_earlier_model_as_it_was(sequences):
    model = RNNRegressor(**TINY).fit(X, y)
    params, before = model.get_params(), copy.deepcopy(model)
    attributes = dict(vars(model))

    with pytest.raises(RuntimeError, match=r"^as planned$"):
        model.set_params(callbacks=[Fail()]).fit(sequences, np.c_[y, y])

    model.set_params(**params)
    assert vars(model) == attributes
    assert_same_model(model, before)


def test_first_fit_that_fails_leaves_nothing():
    model = RNNRegressor(**TINY, callbacks=[Fail()])
    params = model.get_params()

    with pytest.raises(RuntimeError, match=r"^as planned$"):
        model.fit(X, y)

    assert vars(model) == params


# -- Ctrl-C


@pytest.mark.parametrize("in_the_middle", [False, True])
def test_ctrl_c_ends_the_program_and_leaves_an_earlier_fit(
    in_the_middle, ctrl_c_raises
):
    model = RNNRegressor(**TINY).fit(X, y)
    attributes, before = dict(vars(model)), model.predict(X)
    callbacks = [CtrlC(2, in_the_middle)]

    with pytest.raises(KeyboardInterrupt):
        model.set_params(callbacks=callbacks).fit(X, -y)

    assert vars(model) == attributes | {"callbacks": callbacks}
    np.testing.assert_array_equal(model.predict(X), before)


def test_ctrl_c_in_a_first_fit_leaves_it_unfitted(ctrl_c_raises):
    model = RNNRegressor(**TINY, callbacks=[CtrlC(2)])

    with pytest.raises(KeyboardInterrupt):
        model.fit(X, y)

    assert vars(model) == model.get_params()


def test_ctrl_c_is_heard_under_a_handler_of_the_users_own(ctrl_c_raises):
    def stop(number, frame):
        raise KeyboardInterrupt

    signal.signal(signal.SIGINT, stop)
    model = RNNRegressor(**TINY, callbacks=[CtrlC(2)])

    with pytest.raises(KeyboardInterrupt):
        model.fit(X, y)

    assert vars(model) == model.get_params()


@pytest.mark.parametrize(
    ("callback", "n_finished"), [(CtrlC(2), 2), (CtrlC(3, in_the_middle=True), 2)]
)
def test_ctrl_c_keeps_finished_epochs_with_warm_start(
    callback, n_finished, ctrl_c_raises
):
    model = RNNRegressor(
        **TINY | {"max_epochs": 5}, warm_start=True, callbacks=[callback]
    )
    unstopped = clone(model).set_params(callbacks=None).fit(X, y)

    with pytest.raises(KeyboardInterrupt):
        model.fit(X, y)

    assert model.n_iter_ == n_finished == len(model.history_)
    assert model.loss_curve_ == unstopped.loss_curve_[:n_finished]
    assert np.isfinite(model.predict(X)).all()
    assert model.set_params(callbacks=None).fit(X, y).n_iter_ == n_finished + 5


# -- partial_fit


@cases
def test_partial_fit_k_times_equals_k_epochs_of_fit(case):
    model, sequences, target = make_case(case)
    at_once, _, _ = make_case(case, lr_schedule=None)
    first = {} if np.ndim(target) == 2 else {"classes": np.unique(target)}
    if isinstance(model, RNNRegressor):
        first = {}

    for i in range(3):
        model.partial_fit(sequences, target, **(first if i == 0 else {}))

    assert_same_model(model, at_once.fit(sequences, target), sequences)


def test_partial_fit_goes_on_after_fit():
    whole_fit = RNNRegressor(**TINY | {"max_epochs": 4}, lr_schedule=None).fit(X, y)

    model = RNNRegressor(**TINY, lr_schedule=None).fit(X, y).partial_fit(X, y)

    assert_same_model(model, whole_fit)


def test_partial_fit_is_one_epoch_at_constant_lr_whatever_the_parameters():
    model = RNNRegressor(**TINY, lr=0.02, early_stopping=True, patience=1, verbose=1)

    for n_epochs in (1, 2, 3):
        assert model.partial_fit(X, y).n_iter_ == n_epochs

    assert model.history_["lr"].tolist() == [0.02] * 3
    assert model.best_epoch_ is model.validation_loss_curve_ is None


def test_partial_fit_takes_weights():
    weighted = RNNRegressor(**TINY).partial_fit(X, y, sample_weight=WEIGHTS)

    expected = RNNRegressor(**TINY | {"max_epochs": 1}, lr_schedule=None)
    assert_same_model(weighted, expected.fit(X, y, WEIGHTS))


def test_partial_fit_freezes_the_scaling_of_the_first_call():
    model = RNNRegressor(**TINY | STILL).partial_fit(X, y)
    before = model.predict(X)

    model.partial_fit(100 + 7 * X, 1000 * y)

    np.testing.assert_array_equal(model.predict(X), before)
    steps = X.reshape(-1, 2)
    np.testing.assert_allclose(model.module_.input_mean, steps.mean(0), rtol=1e-12)
    np.testing.assert_allclose(model.module_.input_scale, steps.std(0), rtol=1e-12)


def test_partial_fit_knows_classes_that_have_not_come_yet():
    model = RNNClassifier(**TINY)
    only_two = np.flatnonzero(labels != "c")

    model.partial_fit(X[only_two], labels[only_two], classes=["c", "b", "a"])

    assert model.classes_.tolist() == ["a", "b", "c"]
    assert model.predict_proba(X).shape == (N_ROWS, 3)
    model.partial_fit(X, labels)
    assert model.n_iter_ == 2


def test_partial_fit_asks_for_classes_first():
    message = (
        "classes must be passed on the first call to partial_fit. Got None. Pass all "
        "labels that will ever occur."
    )
    with pytest.raises(ValueError, match=whole(message)):
        RNNClassifier(**TINY).partial_fit(X, labels)


def test_partial_fit_needs_no_classes_for_an_indicator_matrix():
    model = RNNClassifier(**TINY).partial_fit(X, indicator).partial_fit(X, indicator)

    assert model.n_iter_ == 2
    assert model.predict(X).shape == indicator.shape


@pytest.mark.parametrize("call", ["first", "second"])
def test_partial_fit_refuses_unknown_labels(call):
    model = RNNClassifier(**TINY)
    known = labels != "c"
    if call == "second":
        model.partial_fit(X[known], labels[known], classes=["a", "b"])

    message = (
        "y must contain only the labels in classes_, ['a', 'b']. Got ['c'] as well. "
        "Pass all labels as classes to the first call of partial_fit, or fit anew."
    )
    with pytest.raises(ValueError, match=whole(message)):
        model.partial_fit(X, labels, classes=["a", "b"])


# -- persistence


def through_pickle(model):
    return pickle.loads(pickle.dumps(model))


def through_joblib(model):
    file = io.BytesIO()
    joblib.dump(model, file)
    file.seek(0)
    return joblib.load(file)


copies = pytest.mark.parametrize(
    "make_copy", [through_pickle, through_joblib, copy.deepcopy]
)


@copies
@cases
def test_copy_predicts_the_same_bits(make_copy, case):
    model, sequences, target = make_case(case)
    model.fit(sequences, target)

    copied = make_copy(model)

    assert copied is not model
    assert_same_model(copied, model, sequences)
    np.testing.assert_array_equal(copied.predict(sequences), model.predict(sequences))


@pytest.mark.parametrize("again", ["fit", "partial_fit"])
@copies
@cases
def test_copy_goes_on_training_as_the_original(make_copy, case, again):
    model, sequences, target = make_case(case, warm_start=True)
    model.fit(sequences, target)
    copied = make_copy(model)

    for one in (model, copied):
        getattr(one, again)(sequences, target)

    assert copied.n_iter_ > 3
    assert_same_model(copied, model, sequences)


@copies
def test_copy_knows_the_training_it_comes_from(make_copy):
    model = RNNClassifier(**TINY, early_stopping=True).fit(X, labels)

    copied = make_copy(model)

    for name in ("n_iter_", "loss_curve_", "validation_loss_curve_", "best_epoch_"):
        assert getattr(copied, name) == getattr(model, name)
    for name in ("n_outputs_", "device_", "n_features_in_"):
        assert getattr(copied, name) == getattr(model, name)
    np.testing.assert_array_equal(copied.classes_, model.classes_)
    pd.testing.assert_frame_equal(copied.history_, model.history_)
    assert copied.get_params() == model.get_params()


@pytest.mark.parametrize(
    "change",
    [{"pooling": "mean"}, {"optimizer": "nonsense"}, {"hidden_size": 9}],
    ids=str,
)
@copies
def test_copy_does_not_depend_on_parameters_set_since_the_fit(make_copy, change):
    model = RNNRegressor(**TINY).fit(X, y)
    before = model.predict(X)

    model.set_params(**change)

    np.testing.assert_array_equal(model.predict(X), before)
    np.testing.assert_array_equal(make_copy(model).predict(X), before)


@cases
def test_pickle_names_nothing_of_torch_or_skorch(case):
    model, sequences, target = make_case(case)
    model.fit(sequences, target)

    operations = pickletools.genops(pickle.dumps(model))

    names = [argument for _, argument, _ in operations if isinstance(argument, str)]
    assert any("skrnn" in name for name in names)
    assert not [name for name in names if "torch" in name or "skorch" in name]


def test_pickle_is_a_few_times_the_weights():
    model = RNNRegressor(64, max_epochs=50, random_state=0).fit(X, y)
    n_bytes = sum(p.numel() * p.element_size() for p in model.module_.parameters())

    size = len(pickle.dumps(model))

    # The weights and Adam's two moments of each, generators and the history.
    assert 3 * n_bytes < size < 4 * n_bytes


def test_pickle_holds_no_data():
    params = TINY | {"batch_size": 2000}
    small = RNNRegressor(**params).fit(X, y)
    large = RNNRegressor(**params).fit(np.tile(X, (50, 1, 1)), np.tile(y, 50))

    assert abs(len(pickle.dumps(large)) - len(pickle.dumps(small))) < 500


def test_fit_keeps_no_data_alive():
    data = [X.copy(), y.copy(), WEIGHTS.copy(), X.copy(), y.copy()]
    alive = [weakref.ref(array) for array in data]
    model = RNNRegressor(**TINY, early_stopping=True)

    model.fit(*data[:3], X_val=data[3], y_val=data[4]).predict(data[0])
    data.clear()
    gc.collect()

    assert [reference() for reference in alive] == [None] * 5


def test_weights_may_be_mapped_from_a_file(tmp_path):
    model, sequences, target = make_case("classifier", warm_start=True)
    model.fit(sequences, target)
    joblib.dump(model, tmp_path / "model.joblib")

    mapped = joblib.load(tmp_path / "model.joblib", mmap_mode="r")

    assert_same_model(mapped, model, sequences)
    assert_same_model(
        mapped.fit(sequences, target), model.fit(sequences, target), sequences
    )
    again = joblib.load(tmp_path / "model.joblib")
    assert again.n_iter_ == 3


def test_loading_leaves_global_generators_alone(untouched):
    model, sequences, target = make_case("two-way", random_state=None)
    dumped = pickle.dumps(model.set_params(random_state=1).fit(sequences, target))

    pickle.loads(dumped)
    copy.deepcopy(model.set_params(random_state=None))

    untouched()


@copies
def test_unfitted_estimator_can_be_copied(make_copy):
    model = RNNRegressor(**TINY)

    assert make_copy(model).get_params() == model.get_params()
    assert_same_model(make_copy(model).fit(X, y), model.fit(X, y))


# -- what is known after fit


@pytest.mark.parametrize("early_stopping", [False, True])
@cases
def test_fit_sets_every_attribute(case, early_stopping):
    model, sequences, target = make_case(case, early_stopping=early_stopping)

    model.fit(sequences, target)

    assert all(hasattr(model, name) for name in FITTED)
    n_epochs = model.n_iter_
    assert len(model.loss_curve_) == len(model.history_) == n_epochs == 3
    if early_stopping:
        assert len(model.validation_loss_curve_) == n_epochs
        assert 1 <= model.best_epoch_ <= n_epochs
    else:
        assert model.validation_loss_curve_ is model.best_epoch_ is None
    assert model.module_ is model.net_.module_
    assert model.n_outputs_ == model.module_.head.out_features
    assert model.device_ == "cpu"


@cases
def test_partial_fit_sets_every_attribute(case):
    model, sequences, target = make_case(case, early_stopping=True)
    classes = {}
    if np.ndim(target) == 1 and not isinstance(model, RNNRegressor):
        classes = {"classes": np.unique(target)}

    model.partial_fit(sequences, target, **classes)

    assert all(hasattr(model, name) for name in FITTED)
    assert len(model.loss_curve_) == len(model.history_) == model.n_iter_ == 1
    assert model.validation_loss_curve_ is model.best_epoch_ is None


@pytest.mark.parametrize(
    ("case", "n_outputs"),
    [
        ("regressor", 1),
        ("two outputs", 2),
        ("classifier", 3),
        ("two classes", 1),
        ("multilabel", 3),
    ],
)
def test_outputs_are_counted(case, n_outputs):
    model, sequences, target = make_case(case)

    assert model.fit(sequences, target).n_outputs_ == n_outputs


@cases
def test_nothing_is_known_before_fit(case):
    model, _, _ = make_case(case)

    assert not any(hasattr(model, name) for name in [*FITTED, "classes_"])


@pytest.mark.parametrize("name", ["module_", "history_"])
def test_asking_too_early_says_to_fit_first(name):
    message = (
        "This RNNRegressor instance is not fitted yet. Call 'fit' with appropriate "
        "arguments before using this estimator."
    )
    with pytest.raises(NotFittedError, match=whole(message)):
        getattr(RNNRegressor(), name)


def test_validation_loss_of_epochs_without_validation_is_nan():
    model = RNNRegressor(**TINY, early_stopping=True).fit(X, y).partial_fit(X, y)

    assert model.n_iter_ == len(model.validation_loss_curve_) == 4
    assert np.isnan(model.validation_loss_curve_).tolist() == [False] * 3 + [True]


def test_history_has_a_row_an_epoch_of_plain_numbers():
    model = RNNRegressor(**TINY).fit(X, y, X_val=X, y_val=y)

    history = model.history_
    expected = {"epoch", "lr"} | {
        f"{part}_{what}"
        for part in ("train", "valid")
        for what in ("loss", "loss_best", "batch_count", "seconds")
    }
    assert set(history.columns) == expected
    assert history["epoch"].tolist() == [1, 2, 3]
    assert history["train_loss"].tolist() == model.loss_curve_
    assert history["valid_loss"].tolist() == model.validation_loss_curve_
    assert history["train_batch_count"].tolist() == [3, 3, 3]
    assert all(dtype.kind in "ifb" for dtype in history.dtypes)


def test_history_is_a_fresh_frame_each_time():
    model = RNNRegressor(**TINY).fit(X, y)
    frame = model.history_
    frame["train_loss"] = 0.0

    assert model.history_["train_loss"].tolist() == model.loss_curve_


def test_parameters_set_before_another_fit_count():
    model = RNNRegressor(**TINY).fit(X, y)
    change = {"hidden_size": (3, 5), "cell_type": "gru", "bidirectional": True}

    model.set_params(**change).fit(RAGGED, y)

    expected = RNNRegressor(**TINY | change).fit(RAGGED, y)
    assert_same_model(model, expected, RAGGED)


# -- validation


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


# -- weights


@pytest.mark.parametrize("early_stopping", [False, True])
@cases
def test_rows_of_weight_zero_count_as_absent(case, early_stopping):
    model, sequences, target = make_case(case, early_stopping=early_stopping)
    kept = np.flatnonzero(np.arange(N_ROWS) % 3)
    weights = np.where(np.arange(N_ROWS) % 3, WEIGHTS, 0.0)
    without = [sequences[i] for i in kept]
    if isinstance(sequences, np.ndarray):
        without = np.stack(without)

    weighted = clone(model).fit(sequences, target, weights)

    assert_same_model(
        weighted, clone(model).fit(without, target[kept], WEIGHTS[kept]), sequences
    )


@pytest.mark.parametrize("case", ["two outputs", "classifier", "multilabel", "float32"])
def test_weights_of_whole_numbers_equal_repeated_rows(case):
    model, sequences, target = make_case(case, batch_size=200, dropout=0.0)
    repeats = 1 + np.arange(N_ROWS) % 3
    index = np.repeat(np.arange(N_ROWS), repeats)
    repeated = [sequences[i] for i in index]
    if isinstance(sequences, np.ndarray):
        repeated = np.stack(repeated)

    weighted = clone(model).fit(sequences, target, repeats)
    expected = clone(model).fit(repeated, target[index])

    np.testing.assert_allclose(
        outputs(weighted, sequences),
        outputs(expected, sequences),
        rtol=1e-4 if case == "float32" else 1e-7,
    )


def test_weights_count_by_their_ratios_only():
    one, other = (RNNRegressor(**TINY).fit(X, y, c * WEIGHTS) for c in (1, 1024))

    assert_same_model(one, other)


@pytest.mark.parametrize("weights", [None, WEIGHTS], ids=["equal", "weighted"])
@pytest.mark.parametrize(
    "class_weight", [{"a": 3.0}, {"a": 0.5, "b": 2.0, "c": 7.0}, {"b": 0.0}], ids=str
)
def test_class_weight_multiplies_sample_weight(class_weight, weights):
    by_class = RNNClassifier(**TINY, class_weight=class_weight).fit(X, labels, weights)

    factors = np.array([class_weight.get(label, 1.0) for label in labels])
    product = factors if weights is None else factors * weights
    assert_same_model(by_class, RNNClassifier(**TINY).fit(X, labels, product))


@pytest.mark.parametrize("weights", [None, WEIGHTS], ids=["equal", "weighted"])
def test_balanced_gives_every_class_the_same_total(weights):
    balanced = RNNClassifier(**TINY, class_weight="balanced").fit(X, labels, weights)

    if weights is None:
        product = compute_sample_weight("balanced", labels)
    else:
        totals = pd.Series(weights).groupby(labels).transform("sum")
        product = weights / totals.to_numpy()
    expected = RNNClassifier(**TINY).fit(X, labels, product)
    np.testing.assert_allclose(
        balanced.predict_proba(X), expected.predict_proba(X), rtol=1e-9
    )


@pytest.mark.parametrize(
    "class_weight",
    ["balanced", [{0: 1.0, 1: 5.0}, {0: 2.0}, {}]],
    ids=["balanced", "list"],
)
@pytest.mark.parametrize("weights", [None, WEIGHTS], ids=["equal", "weighted"])
def test_class_weight_of_an_indicator_matrix_is_by_label(class_weight, weights):
    one_batch = TINY | STILL | {"max_epochs": 1, "batch_size": N_ROWS}
    model = RNNClassifier(**one_batch, class_weight=class_weight)
    model.fit(X, indicator, weights)

    weights = np.ones(N_ROWS) if weights is None else weights
    by_label = np.empty(indicator.shape)
    for j, column in enumerate(indicator.T):
        for value in (0, 1):
            if class_weight == "balanced":
                factor = weights.sum() / (2 * weights[column == value].sum())
            else:
                factor = class_weight[j].get(value, 1.0)
            by_label[column == value, j] = factor
    p = model.predict_proba(X)
    losses = -np.log(np.where(indicator == 1, p, 1 - p))
    expected = np.average((by_label * losses).mean(axis=1), weights=weights)
    assert model.loss_curve_ == [pytest.approx(expected, rel=1e-12)]


def test_class_weights_that_leave_no_row_are_refused():
    with pytest.raises(ValueError, match=r"class_weight"):
        RNNClassifier(**TINY, class_weight=dict.fromkeys("abc", 0)).fit(X, labels)


# -- parameters that contradict each other


HIDDEN_SIZE = (
    "The 'hidden_size' parameter of {owner} must be an int, or a tuple with one int "
    "from 1 upwards for each of num_layers layers. Got {hidden_size!r} with "
    "num_layers={num_layers}."
)
estimators = pytest.mark.parametrize(
    "estimator_class", [RNNRegressor, RNNClassifier, BiRNNClassifier]
)


@estimators
@pytest.mark.parametrize(
    ("hidden_size", "num_layers"),
    [((), 1), ((4, 0), 1), ((4, 2.5), 2), (("4",), 1), ((4, 4), 3), ((4,), 2)],
    ids=str,
)
def test_hidden_sizes_must_be_one_int_a_layer(estimator_class, hidden_size, num_layers):
    message = HIDDEN_SIZE.format(
        owner=estimator_class.__name__, hidden_size=hidden_size, num_layers=num_layers
    )
    with pytest.raises(ValueError, match=whole(message)):
        estimator_class(hidden_size, num_layers=num_layers).fit(X, labels)


@pytest.mark.parametrize("num_layers", [1, 2])
def test_hidden_sizes_may_be_a_tuple(num_layers):
    sizes = (np.int64(5), 3)
    model = RNNRegressor(**TINY | {"hidden_size": sizes}, num_layers=num_layers)

    model.fit(X, y)

    assert [layer.hidden_size for layer in model.module_.layers] == [5, 3]


def test_hidden_size_counts_for_every_layer():
    model = RNNRegressor(**TINY, num_layers=3).fit(X, y)

    assert [layer.hidden_size for layer in model.module_.layers] == [4, 4, 4]


@estimators
@pytest.mark.parametrize("cell_type", ["gru", "lstm"])
def test_only_the_rnn_cell_has_a_nonlinearity(estimator_class, cell_type):
    message = (
        f"The 'nonlinearity' parameter of {estimator_class.__name__} must be 'tanh' "
        f"for cell_type='{cell_type}', whose equations fix it. Got 'relu'. Use "
        "cell_type='rnn', or leave it out."
    )
    with pytest.raises(ValueError, match=whole(message)):
        estimator_class(cell_type=cell_type, nonlinearity="relu").fit(X, labels)


@estimators
@pytest.mark.parametrize("optimizer", [int, torch.nn.Linear])
def test_optimizer_class_must_be_one(estimator_class, optimizer):
    message = (
        f"The 'optimizer' parameter of {estimator_class.__name__} must be a name or a "
        f"subclass of torch.optim.Optimizer. Got {optimizer!r}."
    )
    with pytest.raises(ValueError, match=whole(message)):
        estimator_class(optimizer=optimizer).fit(X, labels)


@estimators
@pytest.mark.parametrize(
    ("names", "remedy"),
    [
        (["lr"], "lr"),
        (["weight_decay"], "weight_decay"),
        (["lr", "weight_decay"], "lr and weight_decay"),
    ],
)
def test_optimizer_params_must_not_repeat_parameters(estimator_class, names, remedy):
    message = (
        f"The 'optimizer_params' parameter of {estimator_class.__name__} must not "
        f"hold what has a parameter of its own. Got {names}. Set {remedy} directly."
    )
    params = dict.fromkeys(names, 0.1) | {"eps": 1e-8}
    with pytest.raises(ValueError, match=whole(message)):
        estimator_class(optimizer_params=params).fit(X, labels)


@estimators
@pytest.mark.parametrize("optimizer", ["lbfgs", torch.optim.LBFGS])
def test_lbfgs_has_no_weight_decay(estimator_class, optimizer):
    message = (
        f"The 'weight_decay' parameter of {estimator_class.__name__} must be 0 or "
        "'auto' for optimizer='lbfgs', which has none. Got 0.1."
    )
    with pytest.raises(ValueError, match=whole(message)):
        estimator_class(optimizer=optimizer, weight_decay=0.1).fit(X, labels)


@estimators
@pytest.mark.parametrize("method", ["fit", "partial_fit"])
def test_targets_are_required(estimator_class, method):
    arguments = {"classes": [0, 1]} if method == "partial_fit" else {}
    if estimator_class is RNNRegressor:
        arguments = {}
    message = (
        f"This {estimator_class.__name__} estimator requires y to be passed, but the "
        "target y is None."
    )
    with pytest.raises(ValueError, match=whole(message)):
        getattr(estimator_class(), method)(X, None, **arguments)


def test_n_jobs_must_not_be_zero():
    with pytest.raises(ValueError, match=r"'n_jobs' parameter of RNNRegressor"):
        RNNRegressor(**TINY, n_jobs=0).fit(X, y)


def test_windows_that_all_overlap_the_validation_part_are_refused():
    windows, targets = make_windows(np.sin(np.arange(200) / 5), window_size=100)
    message = (
        "early_stopping=True must leave at least one row to train on that shares no "
        "time step with the validation rows. Got windows of 100 steps, which all do. "
        "Shorten the windows, lower validation_fraction, or pass X_val and y_val."
    )
    with pytest.raises(ValueError, match=whole(message)):
        RNNRegressor(**TINY, early_stopping=True).fit(windows, targets)


def test_two_schedules_of_the_learning_rate_are_refused():
    scheduler = LRScheduler(torch.optim.lr_scheduler.ExponentialLR, gamma=0.5)
    message = (
        "The 'lr_schedule' parameter of RNNRegressor must be None when a callback sets "
        "the learning rate. Got 'one_cycle' and LRScheduler."
    )
    with pytest.raises(ValueError, match=whole(message)):
        RNNRegressor(**TINY, callbacks=[("rate", scheduler)]).fit(X, y)


def test_what_is_no_callback_is_refused():
    message = (
        "The 'callbacks' parameter of RNNRegressor must hold callbacks of skorch, or "
        "(name, callback) tuples. Got 'verbose'."
    )
    with pytest.raises(ValueError, match=whole(message)):
        RNNRegressor(**TINY, callbacks=["verbose"]).fit(X, y)


@pytest.mark.parametrize(
    ("optimizer", "params"),
    [("rmsprop", {"momentum": 0.9}), ("adam", {"amsgrad": True}), ("sgd", {})],
)
def test_optimizer_may_change_its_ways_while_training_goes_on(optimizer, params):
    model = RNNRegressor(**TINY, optimizer=optimizer, warm_start=True).fit(X, y)

    model.set_params(optimizer_params=params).fit(X, y)

    assert model.n_iter_ == 6


def test_partial_fit_refuses_to_balance_each_part_by_itself():
    model = RNNClassifier(**TINY, class_weight="balanced")
    message = (
        "The 'class_weight' parameter must not be 'balanced' for partial_fit, where "
        "each part would be balanced by itself. Pass a dict of weights."
    )
    with pytest.raises(ValueError, match=whole(message)):
        model.partial_fit(X, y > 5, classes=[False, True])


def test_validation_rows_have_the_weights_of_their_classes_too():
    labels = np.arange(N_ROWS) % 3 == 0
    params = TINY | {"batch_size": N_ROWS, "max_epochs": 1}
    weighted = RNNClassifier(**params, lr=1e-12, class_weight={True: 5.0})

    weighted.fit(X, labels, X_val=X, y_val=labels)

    training, validation = weighted.loss_curve_[0], weighted.validation_loss_curve_[0]
    assert validation == pytest.approx(training, rel=1e-9)


def test_long_sequences_are_predicted_in_fewer_rows_at_once(monkeypatch):
    model = RNNRegressor(**TINY).fit(X, y)
    expected = model.predict(X)

    monkeypatch.setattr("skrnn._inference.prediction.MAX_STEPS", 70)
    sizes = []
    model.module_.register_forward_hook(
        lambda _, inputs, output: sizes.append(len(output))
    )

    np.testing.assert_array_equal(model.predict(X), expected)
    assert set(sizes) == {16}
