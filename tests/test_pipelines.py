import inspect
import pickle

import joblib
import numpy as np
import pandas as pd
import polars as pl
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy import stats
from sklearn import config_context
from sklearn.base import clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import TransformedTargetRegressor
from sklearn.ensemble import (
    AdaBoostRegressor,
    BaggingRegressor,
    StackingClassifier,
    StackingRegressor,
    VotingClassifier,
    VotingRegressor,
)
from sklearn.exceptions import FitFailedWarning
from sklearn.feature_selection import SequentialFeatureSelector
from sklearn.inspection import partial_dependence, permutation_importance
from sklearn.linear_model import LinearRegression
from sklearn.metrics import accuracy_score, log_loss, r2_score
from sklearn.model_selection import (
    GridSearchCV,
    GroupKFold,
    KFold,
    RandomizedSearchCV,
    StratifiedKFold,
    TimeSeriesSplit,
    TunedThresholdClassifierCV,
    cross_val_predict,
    cross_val_score,
    cross_validate,
    validation_curve,
)
from sklearn.multiclass import OneVsRestClassifier
from sklearn.multioutput import MultiOutputRegressor, RegressorChain
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler
from sklearn.utils import estimator_html_repr
from sklearn.utils.validation import has_fit_parameter

from skrnn import BiRNNClassifier, RNNClassifier, RNNRegressor, SlidingWindow

N_ROWS, N_STEPS, N_FEATURES = 30, 6, 2
VALUES = np.random.default_rng(0).normal(size=(N_ROWS, N_STEPS, N_FEATURES))
LENGTHS = np.random.default_rng(1).integers(3, N_STEPS + 1, size=N_ROWS)
RAGGED = [row[:length] for row, length in zip(VALUES, LENGTHS, strict=True)]
NUMBERS = 10 * VALUES[:, 0, 0] + VALUES[:, 1, 1] + 50
WORDS = np.array(["down", "flat", "up"])[np.random.default_rng(2).permutation(30) % 3]
WEIGHTS = np.random.default_rng(3).uniform(0.1, 2, size=N_ROWS)
ESTIMATORS = [RNNRegressor, RNNClassifier, BiRNNClassifier]


def object_array(rows):
    cells = np.empty(len(rows), dtype=object)
    for i, row in enumerate(rows):
        cells[i] = row
    return cells


INPUTS = {
    "2-D": VALUES[:, :, 0],
    "3-D": VALUES,
    "list": RAGGED,
    "tuple": tuple(RAGGED),
    "list of lists": [row.tolist() for row in RAGGED],
    "object array": object_array(RAGGED),
    "frame": pd.DataFrame(VALUES[:, :, 0], columns=[f"lag_{i}" for i in range(6)]),
}
every_input = pytest.mark.parametrize("X", INPUTS.values(), ids=INPUTS)
without_axis_limit = pytest.mark.parametrize(
    "X", [INPUTS["2-D"], INPUTS["3-D"], INPUTS["list"]], ids=["2-D", "3-D", "list"]
)


def small(cls=RNNRegressor, **parameters):
    """Return an estimator that is quick to fit."""
    defaults = {"hidden_size": 4, "max_epochs": 3, "random_state": 0}
    return cls(**defaults | parameters)


def take(X, rows):
    """Return some rows of X in the form that X has."""
    if isinstance(X, pd.DataFrame):
        return X.iloc[rows]
    return X[rows] if isinstance(X, np.ndarray) else [X[i] for i in rows]


def targets_for(cls):
    return NUMBERS if cls is RNNRegressor else WORDS


def predict_by_hand(model, X, y, splitter, method="predict"):
    """Predict every row by a model that was fitted on the other folds."""
    answers = [None] * len(y)
    for train, test in splitter.split(np.zeros(len(y)), y):
        fitted = clone(model).fit(take(X, train), y[train])
        of_fold = getattr(fitted, method)(take(X, test))
        for row, answer in zip(test, of_fold, strict=True):
            answers[row] = answer
    return np.array(answers)


def score_by_hand(model, X, y, splitter, metric=r2_score):
    """Score a model on each fold after a fit on the others."""
    scores = []
    for train, test in splitter.split(np.zeros(len(y)), y):
        fitted = clone(model).fit(take(X, train), y[train])
        scores.append(metric(y[test], fitted.predict(take(X, test))))
    return np.array(scores)


# Clones


@pytest.mark.parametrize("cls", ESTIMATORS)
@every_input
def test_a_clone_learns_the_same(X, cls):
    model = small(cls).fit(X, targets_for(cls))

    again = clone(model).fit(X, targets_for(cls))
    assert_array_equal(again.predict(X), model.predict(X))


# Cross-validation


@every_input
def test_cross_val_score_is_that_of_a_loop_over_the_folds(X):
    folds = KFold(3, shuffle=True, random_state=0)

    actual = cross_val_score(small(), X, NUMBERS, cv=folds, error_score="raise")
    assert_array_equal(actual, score_by_hand(small(), X, NUMBERS, folds))


@every_input
def test_cross_val_score_of_a_classifier_is_that_of_a_loop(X):
    model, folds = small(RNNClassifier), StratifiedKFold(3)

    actual = cross_val_score(model, X, WORDS, cv=3, error_score="raise")
    assert_array_equal(actual, score_by_hand(model, X, WORDS, folds, accuracy_score))


@pytest.mark.parametrize("cls", [RNNRegressor, BiRNNClassifier])
@every_input
def test_cross_val_predict_keeps_the_order_of_the_rows(X, cls):
    model, y, folds = small(cls), targets_for(cls), KFold(3, shuffle=True)
    folds.random_state = 0

    actual = cross_val_predict(model, X, y, cv=folds)
    assert_array_equal(actual, predict_by_hand(model, X, y, folds))


@pytest.mark.parametrize("method", ["predict_proba", "predict_log_proba"])
@every_input
def test_cross_val_predict_gives_probabilities(X, method):
    model, folds = small(RNNClassifier), StratifiedKFold(3)

    actual = cross_val_predict(model, X, WORDS, cv=folds, method=method)
    assert_array_equal(actual, predict_by_hand(model, X, WORDS, folds, method))


@every_input
def test_cross_val_predict_keeps_the_shape_of_several_targets(X):
    y, folds = np.stack([NUMBERS, -NUMBERS], axis=1), KFold(2)

    actual = cross_val_predict(small(), X, y, cv=folds)
    assert_array_equal(actual, predict_by_hand(small(), X, y, folds))


@without_axis_limit
def test_scorers_are_found_by_name(X):
    model, scoring = small(RNNClassifier), ["accuracy", "neg_log_loss", "roc_auc_ovr"]

    scores = cross_validate(
        model, X, WORDS, cv=2, scoring=scoring, return_estimator=True
    )
    _, test = list(StratifiedKFold(2).split(WORDS, WORDS))[1]
    probabilities = scores["estimator"][1].predict_proba(take(X, test))
    expected = -log_loss(WORDS[test], probabilities)
    assert_allclose(scores["test_neg_log_loss"][1], expected, rtol=1e-10)


def test_folds_whose_lengths_happen_to_agree_stay_ragged():
    X = [row[:length] for row, length in zip(VALUES, [3] * 15 + [5] * 15, strict=True)]
    folds = KFold(2)  # one length in training, another in the test

    actual = cross_val_predict(small(), X, NUMBERS, cv=folds)
    assert_array_equal(actual, predict_by_hand(small(), X, NUMBERS, folds))


@without_axis_limit
def test_groups_stay_together(X):
    groups = np.arange(N_ROWS) // 6

    scores = cross_val_score(
        small(), X, NUMBERS, groups=groups, cv=GroupKFold(5), error_score="raise"
    )
    assert np.isfinite(scores).all()


@without_axis_limit
def test_a_validation_curve_over_epochs_is_that_of_separate_fits(X):
    folds, epochs = KFold(2), [1, 4]

    _, actual = validation_curve(
        small(), X, NUMBERS, param_name="max_epochs", param_range=epochs, cv=folds
    )
    for row, n in zip(actual, epochs, strict=True):
        expected = score_by_hand(small(max_epochs=n), X, NUMBERS, folds)
        assert_array_equal(row, expected)


# Searches

GRID = {"hidden_size": [2, (3, 2)], "cell_type": ["rnn", "gru"]}


def search(grid=GRID, **options):
    return GridSearchCV(small(), grid, cv=KFold(2), error_score="raise", **options)


def split_scores(fitted):
    names = [name for name in fitted.cv_results_ if name.startswith("split")]
    return np.array([fitted.cv_results_[name] for name in sorted(names)])


@every_input
def test_grid_search_scores_each_candidate_as_a_loop_would(X):
    fitted = search().fit(X, NUMBERS)

    for i, candidate in enumerate(fitted.cv_results_["params"]):
        expected = score_by_hand(small(**candidate), X, NUMBERS, KFold(2))
        assert_array_equal(split_scores(fitted)[:, i], expected)


@every_input
def test_grid_search_refits_the_best_candidate_on_all_rows(X):
    fitted = search().fit(X, NUMBERS)

    best = small(**fitted.best_params_).fit(X, NUMBERS)
    assert_array_equal(fitted.predict(X), best.predict(X))
    assert fitted.score(X, NUMBERS) == best.score(X, NUMBERS)


@without_axis_limit
def test_two_processes_give_the_scores_of_one(X):
    expected = split_scores(search().fit(X, NUMBERS))

    assert_array_equal(split_scores(search(n_jobs=2).fit(X, NUMBERS)), expected)


@without_axis_limit
def test_two_threads_give_the_scores_of_one(X):
    expected = split_scores(search().fit(X, NUMBERS))

    with joblib.parallel_config("threading", n_jobs=2):
        assert_array_equal(split_scores(search().fit(X, NUMBERS)), expected)


@every_input
def test_randomized_search_draws_from_distributions(X):
    draws = {"lr": stats.loguniform(1e-4, 1e-1), "hidden_size": stats.randint(2, 5)}

    fitted = RandomizedSearchCV(
        small(), draws, n_iter=3, cv=2, random_state=0, error_score="raise"
    ).fit(X, NUMBERS)
    best = small(**fitted.best_params_).fit(X, NUMBERS)
    assert_array_equal(fitted.predict(X), best.predict(X))


def test_a_fitted_search_survives_joblib(tmp_path):
    fitted = search().fit(RAGGED, NUMBERS)
    joblib.dump(fitted, tmp_path / "search.joblib")

    loaded = joblib.load(tmp_path / "search.joblib")
    assert_array_equal(loaded.predict(RAGGED), fitted.predict(RAGGED))
    assert_array_equal(split_scores(loaded), split_scores(fitted))
    assert loaded.best_params_ == fitted.best_params_


def test_a_bad_candidate_scores_nan_and_the_search_goes_on():
    grid = {"lr": [1e-3, -1.0]}
    failing = GridSearchCV(small(), grid, cv=2, error_score=np.nan)

    failed = pytest.warns(FitFailedWarning, match="2 fits failed out of a total of 4")
    with failed, pytest.warns(UserWarning, match="test scores are non-finite"):
        failing.fit(INPUTS["2-D"], NUMBERS)
    assert_array_equal(np.isnan(failing.cv_results_["mean_test_score"]), [False, True])
    assert failing.best_params_ == {"lr": 1e-3}


# Pipelines over a time series

SERIES = np.cumsum(np.random.default_rng(4).normal(size=(60, 2)), axis=0)
NEXT = np.append(SERIES[1:, 0], 0.0)


def windows_pipeline(**parameters):
    window = SlidingWindow(window_size=4)
    steps = [("scale", StandardScaler()), ("window", window), ("rnn", small())]
    return Pipeline(steps).set_params(**parameters)


def windows_by_hand(series, window_size):
    """Return for each row the rows that end with it, the first repeated before."""
    padded = np.concatenate([series[:1]] * (window_size - 1) + [series])
    return np.stack([padded[i : i + window_size] for i in range(len(series))])


def fit_by_hand(series, y, window_size=4, **parameters):
    """Return a function that predicts a series as the pipeline should."""
    mean, deviation = series.mean(axis=0), series.std(axis=0)
    model = small(**parameters)
    model.fit(windows_by_hand((series - mean) / deviation, window_size), y)

    def predict(series):
        return model.predict(windows_by_hand((series - mean) / deviation, window_size))

    return predict


def test_a_pipeline_predicts_one_value_for_each_row_of_the_series():
    pipeline = windows_pipeline().fit(SERIES[:40], NEXT[:40])

    expected = fit_by_hand(SERIES[:40], NEXT[:40])(SERIES[40:])
    assert expected.shape == (20,)
    assert_allclose(pipeline.predict(SERIES[40:]), expected, rtol=1e-8)


def test_carried_rows_stand_before_those_that_follow():
    pipeline = windows_pipeline(window__carry_over=True).fit(SERIES[:40], NEXT[:40])

    expected = fit_by_hand(SERIES[:40], NEXT[:40])(SERIES)[40:]
    assert_allclose(pipeline.predict(SERIES[40:]), expected, rtol=1e-8)


def test_nested_parameters_are_searched_with_a_splitter_that_respects_time():
    grid = {"window__window_size": [2, 5], "rnn__hidden_size": [2, 4]}
    splitter = TimeSeriesSplit(2)
    fitted = GridSearchCV(windows_pipeline(), grid, cv=splitter, error_score="raise")
    fitted.fit(SERIES, NEXT)

    for i, candidate in enumerate(fitted.cv_results_["params"]):
        size, hidden = candidate["window__window_size"], candidate["rnn__hidden_size"]
        expected = []
        for train, test in splitter.split(SERIES):
            predict = fit_by_hand(SERIES[train], NEXT[train], size, hidden_size=hidden)
            expected.append(r2_score(NEXT[test], predict(SERIES[test])))
        assert_allclose(split_scores(fitted)[:, i], expected, rtol=1e-7)


def test_the_parameters_of_a_step_carry_its_name():
    parameters = windows_pipeline().get_params()

    assert parameters["rnn__hidden_size"] == 4
    assert parameters["window__window_size"] == 4


def test_parameters_set_on_the_pipeline_reach_the_network():
    pipeline = windows_pipeline().set_params(rnn__hidden_size=3, window__window_size=2)
    pipeline.fit(SERIES, NEXT)

    assert pipeline["rnn"].module_.head.in_features == 3
    assert_allclose(
        pipeline.predict(SERIES),
        fit_by_hand(SERIES, NEXT, 2, hidden_size=3)(SERIES),
        rtol=1e-8,
    )


def test_weights_reach_the_network_by_the_name_of_its_step():
    weights = np.random.default_rng(5).uniform(0.1, 2, size=len(SERIES))
    pipeline = make_pipeline(SlidingWindow(4), small())
    pipeline.fit(SERIES, NEXT, rnnregressor__sample_weight=weights)

    expected = small().fit(windows_by_hand(SERIES, 4), NEXT, weights)
    actual = pipeline.predict(SERIES)
    assert_allclose(actual, expected.predict(windows_by_hand(SERIES, 4)), rtol=1e-10)


def test_a_fitted_pipeline_survives_pickling():
    pipeline = windows_pipeline(window__carry_over=True).fit(SERIES[:40], NEXT[:40])

    loaded = pickle.loads(pickle.dumps(pipeline))
    assert_array_equal(loaded.predict(SERIES[40:]), pipeline.predict(SERIES[40:]))


@pytest.mark.parametrize("output", ["pandas", "polars"])
def test_frames_between_the_steps_change_nothing(output):
    frame = pd.DataFrame(SERIES, columns=["load", "price"])
    expected = windows_pipeline().fit(frame, NEXT).predict(frame)

    with config_context(transform_output=output):
        pipeline = windows_pipeline().fit(frame, NEXT)
        assert_array_equal(pipeline.predict(frame), expected)
    assert pipeline["window"].feature_names_in_.tolist() == ["load", "price"]


def test_a_pipeline_lets_its_output_be_set():
    frame = pd.DataFrame(SERIES, columns=["load", "price"])
    expected = windows_pipeline().fit(frame, NEXT).predict(frame)

    pipeline = windows_pipeline().set_output(transform="pandas").fit(frame, NEXT)
    assert_array_equal(pipeline.predict(frame), expected)


def test_a_function_may_give_the_rows_of_a_table_their_time_axis():
    table = VALUES.reshape(N_ROWS, -1)
    to_steps = FunctionTransformer(lambda table: table.reshape(-1, 6, 2))
    pipeline = make_pipeline(StandardScaler(), to_steps, small(standardize=False))
    pipeline.fit(table, NUMBERS)

    scaled = (table - table.mean(axis=0)) / table.std(axis=0)
    expected = small(standardize=False).fit(scaled.reshape(-1, 6, 2), NUMBERS)
    actual = pipeline.predict(table)
    assert_allclose(actual, expected.predict(scaled.reshape(-1, 6, 2)), rtol=1e-8)


# Estimators around estimators


@without_axis_limit
def test_soft_voting_means_the_probabilities(X):
    members = [small(RNNClassifier), small(BiRNNClassifier)]
    voting = VotingClassifier(list(zip("ab", members, strict=True)), voting="soft")
    voting.fit(X, WORDS)

    expected = np.mean([m.fit(X, WORDS).predict_proba(X) for m in members], axis=0)
    assert_allclose(voting.predict_proba(X), expected, rtol=1e-12)


@without_axis_limit
def test_voting_means_the_predictions(X):
    members = [small(), small(cell_type="gru")]
    voting = VotingRegressor(list(zip("ab", members, strict=True))).fit(X, NUMBERS)

    expected = np.mean([m.fit(X, NUMBERS).predict(X) for m in members], axis=0)
    assert_allclose(voting.predict(X), expected, rtol=1e-12)


@without_axis_limit
def test_stacking_learns_from_predictions_of_other_folds(X):
    members, folds = [small(), small(cell_type="gru")], KFold(2)
    stacking = StackingRegressor(
        list(zip("ab", members, strict=True)), LinearRegression(), cv=folds
    ).fit(X, NUMBERS)

    seen = [predict_by_hand(m, X, NUMBERS, folds) for m in members]
    final = LinearRegression().fit(np.transpose(seen), NUMBERS)
    shown = [clone(m).fit(X, NUMBERS).predict(X) for m in members]
    expected = final.predict(np.transpose(shown))
    assert_allclose(stacking.predict(X), expected, rtol=1e-8)


@without_axis_limit
def test_stacking_learns_from_probabilities(X):
    members = [("a", small(RNNClassifier)), ("b", small(BiRNNClassifier))]
    stacking = StackingClassifier(members, GaussianNB(), cv=2).fit(X, WORDS)

    assert stacking.stack_method_ == ["predict_proba", "predict_proba"]
    expected = [clone(m).fit(X, WORDS).predict_proba(X) for _, m in members]
    assert_allclose(stacking.transform(X), np.hstack(expected), rtol=1e-12)


@without_axis_limit
def test_calibration_gives_probabilities(X):
    calibrated = CalibratedClassifierCV(small(RNNClassifier), cv=2).fit(X, WORDS)

    probabilities = calibrated.predict_proba(X)
    assert probabilities.shape == (N_ROWS, 3)
    assert_allclose(probabilities.sum(axis=1), 1.0)


@without_axis_limit
def test_one_against_the_rest_is_a_network_for_each_class(X):
    model = OneVsRestClassifier(small(RNNClassifier)).fit(X, WORDS)

    alone = [
        small(RNNClassifier).fit(X, (word == WORDS).astype(int)).predict_proba(X)[:, 1]
        for word in model.classes_
    ]
    expected = np.transpose(alone) / np.sum(alone, axis=0)[:, None]
    assert_allclose(model.predict_proba(X), expected, rtol=1e-10)


@without_axis_limit
def test_multi_output_regressor_is_a_network_for_each_column(X):
    y = np.stack([NUMBERS, NUMBERS**2], axis=1)
    model = MultiOutputRegressor(small()).fit(X, y)

    expected = [small().fit(X, column).predict(X) for column in y.T]
    assert_array_equal(model.predict(X), np.transpose(expected))


@without_axis_limit
def test_a_tuned_threshold_is_applied_to_the_probability(X):
    y = np.where(WORDS == "up", "up", "other")
    tuned = TunedThresholdClassifierCV(small(RNNClassifier), cv=2).fit(X, y)

    likely = tuned.estimator_.predict_proba(X)[:, 1] >= tuned.best_threshold_
    assert_array_equal(tuned.predict(X), np.where(likely, "up", "other"))


@without_axis_limit
def test_a_transformed_target_is_learned_and_turned_back(X):
    y = np.exp(NUMBERS / 10)
    model = TransformedTargetRegressor(small(), func=np.log, inverse_func=np.exp)
    model.fit(X, y)

    expected = np.exp(small().fit(X, np.log(y)).predict(X))
    assert_allclose(model.predict(X), expected, rtol=1e-10)


TABLE_CLIENTS = [
    BaggingRegressor(small(), n_estimators=2, random_state=0),
    AdaBoostRegressor(small(), n_estimators=2, random_state=0),
    make_pipeline(SequentialFeatureSelector(small(), n_features_to_select=2), small()),
]


@pytest.mark.parametrize("client", TABLE_CLIENTS, ids=lambda c: type(c).__name__)
def test_clients_that_want_a_table_get_one(client):
    fitted = client.fit(INPUTS["2-D"], NUMBERS)

    assert fitted.predict(INPUTS["2-D"]).shape == (N_ROWS,)


def test_a_chain_hands_each_answer_on_as_a_further_step():
    X, y = INPUTS["2-D"], np.stack([NUMBERS, NUMBERS**2], axis=1)
    chain = RegressorChain(small()).fit(X, y)

    first = small().fit(X, NUMBERS).predict(X)
    second = small().fit(np.column_stack([X, NUMBERS]), y[:, 1])
    expected = second.predict(np.column_stack([X, first]))
    assert_allclose(chain.predict(X)[:, 1], expected, rtol=1e-10)


# Requests for metadata


@pytest.fixture
def routing():
    with config_context(enable_metadata_routing=True):
        yield


@pytest.mark.usefixtures("routing")
def test_requested_weights_reach_every_fit_of_a_search():
    X, splitter = INPUTS["2-D"], KFold(2)
    model = small().set_fit_request(sample_weight=True)
    model.set_score_request(sample_weight=True)
    fitted = GridSearchCV(model, {"hidden_size": [2, 4]}, cv=splitter)
    fitted.fit(X, NUMBERS, sample_weight=WEIGHTS)

    for i, size in enumerate([2, 4]):
        expected = []
        for train, test in splitter.split(X):
            part = small(hidden_size=size).fit(X[train], NUMBERS[train], WEIGHTS[train])
            weights = WEIGHTS[test]
            expected.append(part.score(X[test], NUMBERS[test], sample_weight=weights))
        assert_array_equal(split_scores(fitted)[:, i], expected)


@pytest.mark.usefixtures("routing")
def test_requested_weights_reach_the_last_step_of_a_pipeline():
    X = INPUTS["2-D"]
    model = small().set_fit_request(sample_weight=True)
    scaler = StandardScaler().set_fit_request(sample_weight=False)
    pipeline = make_pipeline(scaler, model).fit(X, NUMBERS, sample_weight=WEIGHTS)

    scaled = StandardScaler().fit_transform(X)
    expected = small().fit(scaled, NUMBERS, WEIGHTS).predict(scaled)
    assert_array_equal(pipeline.predict(X), expected)


@pytest.mark.usefixtures("routing")
def test_requested_validation_rows_reach_every_fit_of_a_search():
    X, X_val, y_val = VALUES[:20], VALUES[20:], NUMBERS[20:]
    model = small().set_fit_request(X_val=True, y_val=True)
    fitted = GridSearchCV(model, {"hidden_size": [4]}, cv=2, error_score="raise")
    fitted.fit(X, NUMBERS[:20], X_val=X_val, y_val=y_val)

    expected = small().fit(X, NUMBERS[:20], X_val=X_val, y_val=y_val)
    actual = fitted.best_estimator_.validation_loss_curve_
    assert actual == expected.validation_loss_curve_


@pytest.mark.usefixtures("routing")
def test_requested_validation_rows_pass_through_the_steps_before():
    X, X_val, y_val = INPUTS["2-D"][:20], INPUTS["2-D"][20:], NUMBERS[20:]
    model = small().set_fit_request(X_val=True, y_val=True)
    scaler = StandardScaler()
    pipeline = make_pipeline(scaler, model, transform_input=["X_val"])
    pipeline.fit(X, NUMBERS[:20], X_val=X_val, y_val=y_val)

    scaler = StandardScaler().fit(X)
    expected = small().fit(
        scaler.transform(X), NUMBERS[:20], X_val=scaler.transform(X_val), y_val=y_val
    )
    actual = pipeline[-1].validation_loss_curve_
    assert actual == expected.validation_loss_curve_


@pytest.mark.usefixtures("routing")
def test_classes_of_partial_fit_may_be_requested():
    model = small(RNNClassifier).set_partial_fit_request(classes=True)

    requests = model.get_metadata_routing().partial_fit.requests
    assert requests == {"classes": True, "sample_weight": None}


# What clients look for


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


# Inspection


def test_the_step_that_decides_is_the_most_important():
    X = np.random.default_rng(6).normal(size=(120, 4))
    model = RNNRegressor(8, max_epochs=40, random_state=0).fit(X, X[:, 1])

    found = permutation_importance(model, X, X[:, 1], n_repeats=3, random_state=0)
    assert found.importances_mean.argmax() == 1
    assert found.importances_mean[1] > 5 * np.delete(found.importances_mean, 1).max()


@pytest.mark.parametrize("cls", [RNNRegressor, RNNClassifier])
def test_partial_dependence_is_the_mean_answer_with_a_step_held_fixed(cls):
    X = INPUTS["2-D"]
    y = NUMBERS if cls is RNNRegressor else WORDS == "up"
    model = small(cls).fit(X, y)

    found = partial_dependence(model, X, [2], grid_resolution=4, kind="average")
    for value, average in zip(found.grid_values[0], found.average[0], strict=True):
        held = X.copy()
        held[:, 2] = value
        answers = model.predict(held)
        if cls is RNNClassifier:
            answers = model.predict_proba(held)[:, 1]
        assert_allclose(average, answers.mean(), rtol=1e-10)


@pytest.mark.parametrize("fitted", [False, True], ids=["unfitted", "fitted"])
@pytest.mark.parametrize("cls", ESTIMATORS)
def test_the_diagram_names_the_estimator_and_its_state(cls, fitted):
    model = small(cls)
    if fitted:
        model.fit(INPUTS["2-D"], targets_for(cls))

    page = estimator_html_repr(model)
    assert cls.__name__ in page
    assert f"<span>{'Fitted' if fitted else 'Not fitted'}</span>" in page


def test_the_diagram_of_a_pipeline_names_every_step():
    page = estimator_html_repr(windows_pipeline())

    for name in ("StandardScaler", "SlidingWindow", "RNNRegressor"):
        assert name in page


@pytest.mark.parametrize("cls", ESTIMATORS)
def test_repr_shows_only_what_was_changed(cls):
    assert repr(cls(hidden_size=8)) == f"{cls.__name__}(hidden_size=8)"
