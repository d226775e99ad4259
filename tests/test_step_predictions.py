"""Estimators with an output for each time step."""

import pickle

import joblib
import numpy as np
import pytest
from internals import assert_equal_up_to_rounding, without_network
from messages import raises
from numpy.testing import assert_allclose, assert_array_equal
from sklearn import config_context
from sklearn.base import clone
from sklearn.metrics import accuracy_score, r2_score
from sklearn.model_selection import (
    GridSearchCV,
    KFold,
    LeaveOneOut,
    cross_val_predict,
)
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from skorch.callbacks import EpochScoring
from textbook import CELLS, run_layer

from skrnn import BiRNNClassifier, EachStep, RNNClassifier, RNNRegressor

rng = np.random.default_rng(0)


LENGTHS = np.array([5, 2, 7, 1, 4, 6, 3, 5, 2, 7, 4, 4])


RAGGED = [rng.normal(size=(n, 2)) for n in LENGTHS]


DENSE = rng.normal(size=(12, 6, 2))


TINY = dict(hidden_size=4, max_epochs=3, random_state=0, return_sequences=True)


LEARNS = TINY | dict(max_epochs=40, lr=0.1)


cells = pytest.mark.parametrize(("cell_type", "nonlinearity"), CELLS)


def as_objects(pieces):
    array = np.empty(len(pieces), dtype=object)
    array[:] = pieces
    return array


def numbers(X):
    return [np.cumsum(x[:, 0]) for x in X]


def labels(X):
    return [(np.cumsum(x[:, 0]) > 0).astype(int) for x in X]


def joined(pieces):
    return np.concatenate([np.asarray(piece) for piece in pieces])


# The outputs
@pytest.mark.parametrize(
    ("cell", "bidirectional", "num_layers"),
    [
        (CELLS[0], False, 2),
        (CELLS[1], True, 1),
        (CELLS[2], True, 2),
        (CELLS[3], False, 1),
    ],
)
def test_every_step_is_that_of_the_textbook(cell, bidirectional, num_layers):
    cell_type, nonlinearity = cell
    model = RNNRegressor(
        **TINY,
        cell_type=cell_type,
        nonlinearity=nonlinearity,
        bidirectional=bidirectional,
        num_layers=num_layers,
    ).fit(RAGGED, numbers(RAGGED))
    state = {k: v.numpy() for k, v in model.module_.state_dict().items()}
    kinds = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")

    for x, found in zip(RAGGED, model.predict(RAGGED), strict=True):
        x = (x - state["input_mean"]) / state["input_scale"]
        for layer in range(num_layers):
            directions = [
                [state[f"layers.{layer}.{kind}_l0{suffix}"] for kind in kinds]
                for suffix in ["", "_reverse"][: 1 + bidirectional]
            ]
            x, _ = run_layer(cell_type, nonlinearity, x, directions)
        raw = x @ state["head.weight"][0] + state["head.bias"][0]
        target = model._encoder.target.step_target
        assert_allclose(found, raw * target.scale + target.mean, atol=1e-6)


@pytest.mark.parametrize(
    ("cls", "cell"),
    [
        (RNNClassifier, CELLS[0]),
        (BiRNNClassifier, CELLS[1]),
        (BiRNNClassifier, CELLS[2]),
        (RNNClassifier, CELLS[3]),
    ],
)
def test_other_rows_and_padding_change_no_step(cls, cell):
    model = cls(**TINY, cell_type=cell[0], nonlinearity=cell[1])
    model.fit(RAGGED, labels(RAGGED))
    together = model.predict_proba(RAGGED)
    for x, probabilities in zip(RAGGED, together, strict=True):
        alone = model.predict_proba([x])[0]
        assert_equal_up_to_rounding(alone, probabilities, n_terms=2 + 4 + 2)


@pytest.mark.parametrize(
    ("params", "dtype"),
    [
        ({"bidirectional": True, "num_layers": 2}, np.float32),
        ({"ar_order": 2}, np.float64),
        ({"window_norm": "difference"}, np.float32),
        ({"loss": "quantile"}, np.float64),
    ],
    ids=["bidirectional", "ar_order", "window_norm", "quantile"],
)
@pytest.mark.parametrize("X", [RAGGED, list(DENSE)], ids=["ragged", "dense"])
def test_a_row_alone_is_predicted_as_in_a_batch(params, X, dtype):
    X = [x.astype(dtype) for x in X]
    y = [x[:, 0] + 0.1 * x[:, 1] for x in X]
    model = RNNRegressor(**TINY, **params, target_feature=0).fit(X, y)
    for x, prediction in zip(X, model.predict(X), strict=True):
        for alone in (model.predict([x])[0], model.predict(x[None])[0]):
            assert_equal_up_to_rounding(alone, prediction, n_terms=2 * 4 + 4 + 2)


def test_only_a_bidirectional_classifier_uses_the_next_step():
    X = rng.normal(size=(60, 6, 1))
    following = np.concatenate([X[:, 1:, 0], np.zeros((60, 1))], axis=1)
    y = (following > 0).astype(int)
    params = LEARNS | {"batch_size": 10}
    both = BiRNNClassifier(**params).fit(X, y)
    ahead = RNNClassifier(**params).fit(X, y)
    fresh = rng.normal(size=(60, 6, 1))
    truth = (fresh[:, 1:, 0] > 0).astype(int)
    assert (both.predict(fresh)[:, :-1] == truth).mean() > 0.95
    assert (ahead.predict(fresh)[:, :-1] == truth).mean() < 0.65


def test_predictions_have_the_shape_of_the_sequences():
    dense = RNNClassifier(**TINY).fit(DENSE, np.stack(labels(DENSE)))
    assert dense.predict(DENSE).shape == (12, 6)
    assert dense.predict_proba(DENSE).shape == (12, 6, 2)
    assert_allclose(dense.predict_proba(DENSE).sum(axis=-1), 1)
    ragged = RNNClassifier(**TINY).fit(RAGGED, labels(RAGGED))
    for prediction in (ragged.predict(RAGGED), ragged.predict_log_proba(RAGGED)):
        assert prediction.dtype == object
        assert prediction.shape == (12,)
        assert [len(piece) for piece in prediction] == LENGTHS.tolist()
    assert dense.predict_log_proba(DENSE[:1]).shape == (1, 6, 2)
    assert_allclose(
        dense.predict_log_proba(DENSE), np.log(dense.predict_proba(DENSE)), rtol=1e-9
    )


@pytest.mark.parametrize("form", [list, as_objects])
def test_predictions_of_lists_are_lists_even_if_lengths_are_equal(form):
    model = RNNClassifier(**TINY).fit(RAGGED, labels(RAGGED))
    equal = form([RAGGED[0], RAGGED[7]])
    reader = RNNClassifier(**TINY | {"return_sequences": False}, pooling="attention")
    reader.fit(RAGGED, LENGTHS > 3)
    for prediction in (
        model.predict(equal),
        model.predict_proba(equal),
        model.hidden_states(equal)[0],
        reader.attention_weights(equal),
    ):
        assert prediction.dtype == object
        assert prediction.shape == (2,)
    assert model.predict(np.stack(list(equal))).shape == (2, 5)


@pytest.mark.parametrize("params", [{}, {"window_norm": "difference"}])
def test_leave_one_out_predicts_single_sequences(params):
    X = RAGGED[:4]
    y = [x[:, 0] + 0.1 * x[:, 1] for x in X]
    model = RNNRegressor(**TINY, **params, target_feature=0)
    predictions = cross_val_predict(model, X, y, cv=LeaveOneOut())
    for i, prediction in enumerate(predictions):
        others = [j for j in range(4) if j != i]
        alone = clone(model).fit([X[j] for j in others], [y[j] for j in others])
        assert_allclose(prediction, alone.predict([X[i]])[0], rtol=1e-9)


@pytest.mark.parametrize("names", [["off", "on"], ["down", "level", "up"]])
def test_labels_of_steps_may_be_strings(names):
    y = [
        np.array(names)[np.digitize(x[:, 0], [0, 1][: len(names) - 1])] for x in RAGGED
    ]
    model = RNNClassifier(**LEARNS).fit(RAGGED, y)
    assert model.classes_.tolist() == sorted(names)
    assert set(joined(model.predict(RAGGED))) <= set(names)
    assert model.predict_proba(RAGGED)[0].shape == (5, len(names))
    assert model.score(RAGGED, y) > 0.9


def test_a_step_may_have_several_targets():
    y = np.stack([DENSE.sum(axis=2), DENSE[:, :, 1]], axis=-1)
    model = RNNRegressor(**LEARNS).fit(DENSE, y)
    assert model.predict(DENSE).shape == (12, 6, 2)
    assert model.score(DENSE, y) > 0.8
    indicator = (y > 0).astype(int)
    tagger = RNNClassifier(**LEARNS).fit(DENSE, indicator)
    assert tagger.predict(DENSE).shape == (12, 6, 2)
    assert tagger.predict_proba(DENSE).shape == (12, 6, 2)
    assert tagger.score(DENSE, indicator) == accuracy_score(
        indicator.reshape(-1, 2), tagger.predict(DENSE).reshape(-1, 2)
    )


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_predictions_of_steps_have_the_precision_of_y(dtype):
    y = DENSE[:, :, 0].astype(dtype)
    assert RNNRegressor(**TINY).fit(DENSE, y).predict(DENSE).dtype == dtype


# In scikit-learn
def test_the_score_is_that_of_all_steps_concatenated():
    weights = [rng.uniform(size=n) for n in LENGTHS]
    tagger = RNNClassifier(**TINY).fit(RAGGED, labels(RAGGED))
    assert tagger.score(RAGGED, labels(RAGGED), weights) == pytest.approx(
        accuracy_score(
            joined(labels(RAGGED)),
            joined(tagger.predict(RAGGED)),
            sample_weight=joined(weights),
        )
    )
    model = RNNRegressor(**TINY).fit(RAGGED, numbers(RAGGED))
    assert model.score(RAGGED, numbers(RAGGED)) == pytest.approx(
        r2_score(joined(numbers(RAGGED)), joined(model.predict(RAGGED)))
    )


@pytest.mark.parametrize(
    ("cls", "form"),
    [(RNNRegressor, "dense"), (RNNClassifier, "objects"), (BiRNNClassifier, "list")],
)
def test_searches_and_cross_validation_accept_targets_of_steps(cls, form):
    X = DENSE if form == "dense" else RAGGED
    y = numbers(X) if cls is RNNRegressor else labels(X)
    if form == "dense":
        y = np.stack(y)
    elif form == "objects":
        X, y = as_objects(X), as_objects(y)
    search = GridSearchCV(cls(**TINY), {"lr": [0.01, 0.1]}, cv=KFold(3)).fit(X, y)
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()
    predicted = cross_val_predict(cls(**TINY), X, y, cv=KFold(3))
    for train, test in KFold(3).split(LENGTHS):
        model = cls(**TINY).fit([X[i] for i in train], [y[i] for i in train])
        predictions = model.predict([X[i] for i in test])
        found = joined(predicted[test])
        if cls is RNNRegressor:
            assert_allclose(found, joined(predictions), rtol=1e-9)
        else:
            assert_array_equal(found, joined(predictions))
        at_first = model.set_params(lr=0.01).fit(
            [X[i] for i in train], [y[i] for i in train]
        )
        fold = int(test[0] // 4)
        assert search.cv_results_[f"split{fold}_test_score"][0] == pytest.approx(
            at_first.score([X[i] for i in test], [y[i] for i in test])
        )


@pytest.mark.parametrize("X", [RAGGED, DENSE], ids=["ragged", "dense"])
def test_a_pipeline_scales_the_steps(X):
    pipeline = make_pipeline(
        EachStep(StandardScaler()), RNNRegressor(**TINY, standardize=False)
    )
    y = numbers(X)
    expected = RNNRegressor(**TINY).fit(X, y).predict(X)
    prediction = pipeline.fit(X, y).predict(X)
    assert_allclose(joined(prediction), joined(expected), rtol=1e-7, atol=1e-9)


def test_weights_of_steps_are_routed():
    weights = as_objects([rng.uniform(size=n) for n in LENGTHS])
    X, y = as_objects(RAGGED), as_objects(labels(RAGGED))
    with config_context(enable_metadata_routing=True):
        model = RNNClassifier(**TINY).set_fit_request(sample_weight=True)
        model.set_score_request(sample_weight=True)
        search = GridSearchCV(model, {"lr": [0.01]}, cv=KFold(3))
        search.fit(X, y, sample_weight=weights)
    direct = RNNClassifier(**TINY).fit(X, y, weights)
    assert_array_equal(joined(search.predict(X)), joined(direct.predict(X)))


@pytest.mark.parametrize("cls", [RNNRegressor, BiRNNClassifier])
def test_copies_predict_the_same(cls, tmp_path):
    y = numbers(RAGGED) if cls is RNNRegressor else labels(RAGGED)
    model = cls(**TINY, cell_type="lstm").fit(RAGGED, y)
    joblib.dump(model, tmp_path / "model.joblib")
    expected = joined(model.predict(RAGGED))
    for again in (
        pickle.loads(pickle.dumps(model)),
        joblib.load(tmp_path / "model.joblib"),
        clone(model).fit(RAGGED, y),
    ):
        found = joined(again.predict(RAGGED))
        if cls is RNNRegressor:
            assert_allclose(found, expected, rtol=1e-12)
        else:
            assert_array_equal(found, expected)


def test_training_continues_with_targets_of_steps():
    model = RNNRegressor(**TINY, warm_start=True, optimizer="sgd", lr_schedule=None)
    model.fit(RAGGED, numbers(RAGGED))
    first = model.loss_curve_
    model.fit(RAGGED, numbers(RAGGED))
    assert model.n_iter_ == 6
    assert model.loss_curve_[:3] == first
    tagger = RNNClassifier(**TINY)
    for _ in range(2):
        tagger.partial_fit(RAGGED, labels(RAGGED), classes=[0, 1, 2])
    assert tagger.n_iter_ == 2
    assert tagger.predict_proba(RAGGED)[0].shape == (5, 3)


def test_validation_rows_stop_training_on_steps():
    y = labels(RAGGED)
    given = RNNClassifier(**TINY, early_stopping=True).fit(
        RAGGED, y, X_val=RAGGED[:3], y_val=y[:3]
    )
    part = RNNClassifier(**TINY, early_stopping=True).fit(RAGGED, y)
    for model in (given, part):
        assert len(model.validation_loss_curve_) == model.n_iter_
        assert 1 <= model.best_epoch_ <= model.n_iter_
    log_p = joined(given.predict_log_proba(RAGGED[:3]))
    loss = -log_p[np.arange(len(log_p)), joined(y[:3])].mean()
    assert min(given.validation_loss_curve_) == pytest.approx(loss)


def test_skorch_scores_all_steps_as_one_column():
    y = labels(RAGGED)
    scoring = EpochScoring("accuracy", lower_is_better=False, on_train=True)
    model = RNNClassifier(**TINY, callbacks=[scoring]).fit(RAGGED, y)
    last = model.history_["accuracy"].iloc[-1]
    assert last == pytest.approx(model.score(RAGGED, y))


def test_training_cannot_continue_with_another_kind_of_targets():
    model = RNNRegressor(**TINY, warm_start=True).fit(DENSE, DENSE[:, :, 0])
    message = (
        "The 'return_sequences' parameter must stay as it was while training continues "
        "with warm_start or partial_fit. Got False after True. Set warm_start=False "
        "and call fit."
    )
    with raises(ValueError, message):
        model.set_params(return_sequences=False).fit(DENSE, DENSE[:, 0, 0])


@pytest.mark.parametrize("pooling", ["mean", "attention"])
def test_pooling_is_rejected_with_an_output_per_step(pooling):
    message = (
        "The 'pooling' parameter of RNNRegressor must be 'last' or 'auto' with "
        f"return_sequences=True, since every step has its own output. Got {pooling!r}."
    )
    with raises(ValueError, message):
        RNNRegressor(**TINY, pooling=pooling).fit(DENSE, DENSE[:, :, 0])


@pytest.mark.parametrize("window_norm", ["last", "standard"])
def test_normalisation_by_later_steps_is_rejected(window_norm):
    message = (
        "The 'window_norm' parameter of RNNRegressor must be None or 'difference' with "
        f"return_sequences=True, since {window_norm!r} normalises a step by later "
        "ones. Use 'difference', or one target per sequence."
    )
    with raises(ValueError, message):
        RNNRegressor(**TINY, window_norm=window_norm, target_feature=0).fit(
            DENSE, DENSE[:, :, 0]
        )


# With a linear model, and as differences
@pytest.mark.parametrize("X", [RAGGED, list(DENSE)], ids=["ragged", "dense"])
def test_training_starts_at_a_linear_model_of_the_last_steps(X):
    y = [x[:, 0] + 0.5 * np.r_[x[0, 0], x[:-1, 0]] - x[:, 1] for x in X]
    model = RNNRegressor(
        **TINY | {"max_epochs": 1}, lr=1e-12, ar_order=2, target_feature=0
    ).fit(X, y)
    assert_allclose(joined(without_network(model).predict(X)), joined(y), atol=1e-2)


def test_differences_predict_every_step_and_do_not_depend_on_the_level():
    walks = np.cumsum(rng.normal(size=(30, 9)), axis=1)
    X, y = walks[:, :-1, None], walks[:, 1:]
    params = TINY | {"window_norm": "difference", "max_epochs": 5}
    expected = RNNRegressor(**params).fit(X, y).predict(X)
    moved = RNNRegressor(**params).fit(X + 1000, y + 1000).predict(X + 1000)
    assert expected.shape == (30, 8)
    assert_allclose(moved, expected + 1000, rtol=1e-9)
    # Later steps do not change earlier predictions.
    later = X.copy()
    later[:, 5:] += 3
    model = RNNRegressor(**params).fit(X, y)
    assert_allclose(model.predict(later)[:, :5], model.predict(X)[:, :5], rtol=1e-12)
