import numpy as np
import pytest
from clients import (
    INPUTS,
    N_ROWS,
    NUMBERS,
    WORDS,
    predict_by_hand,
    small,
    without_axis_limit,
)
from numpy.testing import assert_allclose, assert_array_equal
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
from sklearn.feature_selection import SequentialFeatureSelector
from sklearn.linear_model import LinearRegression
from sklearn.model_selection import (
    KFold,
    TunedThresholdClassifierCV,
)
from sklearn.multiclass import OneVsRestClassifier
from sklearn.multioutput import MultiOutputRegressor, RegressorChain
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import make_pipeline

from skrnn import BiRNNClassifier, RNNClassifier


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
