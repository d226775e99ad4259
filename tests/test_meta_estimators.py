"""Meta-estimators of scikit-learn around the networks."""

import numpy as np
import pytest
from clients import INPUTS, N_ROWS, NUMBERS, RAGGED, WORDS, loop_predict, small
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
from sklearn.model_selection import KFold, TunedThresholdClassifierCV
from sklearn.multiclass import OneVsRestClassifier
from sklearn.multioutput import MultiOutputRegressor, RegressorChain
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import make_pipeline

from skrnn import BiRNNClassifier, RNNClassifier

# Sequences of different lengths, the form that clients most easily spoil.
X = RAGGED
REGRESSORS = [("a", small()), ("b", small(cell_type="gru"))]
CLASSIFIERS = [("a", small(RNNClassifier)), ("b", small(BiRNNClassifier))]


def test_soft_voting_is_the_mean_of_probabilities():
    voting = VotingClassifier(CLASSIFIERS, voting="soft").fit(X, WORDS)

    probabilities = [m.fit(X, WORDS).predict_proba(X) for _, m in CLASSIFIERS]
    expected = np.mean(probabilities, axis=0)
    assert_allclose(voting.predict_proba(X), expected, rtol=1e-12)


def test_voting_is_the_mean_of_predictions():
    voting = VotingRegressor(REGRESSORS).fit(X, NUMBERS)

    predictions = [m.fit(X, NUMBERS).predict(X) for _, m in REGRESSORS]
    assert_allclose(voting.predict(X), np.mean(predictions, axis=0), rtol=1e-12)


def test_stacking_is_fitted_on_predictions_for_other_folds():
    folds = KFold(2)
    stacking = StackingRegressor(REGRESSORS, LinearRegression(), cv=folds)
    stacking.fit(X, NUMBERS)

    of_other_folds = [loop_predict(m, X, NUMBERS, folds) for _, m in REGRESSORS]
    final = LinearRegression().fit(np.transpose(of_other_folds), NUMBERS)
    predictions = [clone(m).fit(X, NUMBERS).predict(X) for _, m in REGRESSORS]
    expected = final.predict(np.transpose(predictions))
    assert_allclose(stacking.predict(X), expected, rtol=1e-8)


def test_stacking_of_classifiers_uses_probabilities():
    stacking = StackingClassifier(CLASSIFIERS, GaussianNB(), cv=2).fit(X, WORDS)

    assert stacking.stack_method_ == ["predict_proba", "predict_proba"]
    expected = [clone(m).fit(X, WORDS).predict_proba(X) for _, m in CLASSIFIERS]
    assert_allclose(stacking.transform(X), np.hstack(expected), rtol=1e-12)


def test_calibration_returns_probabilities():
    calibrated = CalibratedClassifierCV(small(RNNClassifier), cv=2).fit(X, WORDS)

    probabilities = calibrated.predict_proba(X)
    assert probabilities.shape == (N_ROWS, 3)
    assert_allclose(probabilities.sum(axis=1), 1.0)


def test_one_vs_rest_is_a_network_for_each_class():
    model = OneVsRestClassifier(small(RNNClassifier)).fit(X, WORDS)

    of_each = [
        small(RNNClassifier).fit(X, (word == WORDS).astype(int)).predict_proba(X)[:, 1]
        for word in model.classes_
    ]
    expected = np.transpose(of_each) / np.sum(of_each, axis=0)[:, None]
    assert_allclose(model.predict_proba(X), expected, rtol=1e-10)


def test_multi_output_regressor_is_a_network_for_each_column():
    y = np.stack([NUMBERS, NUMBERS**2], axis=1)
    model = MultiOutputRegressor(small()).fit(X, y)

    expected = [small().fit(X, column).predict(X) for column in y.T]
    assert_array_equal(model.predict(X), np.transpose(expected))


def test_tuned_threshold_is_applied_to_the_probability():
    y = np.where(WORDS == "up", "up", "other")
    tuned = TunedThresholdClassifierCV(small(RNNClassifier), cv=2).fit(X, y)

    likely = tuned.estimator_.predict_proba(X)[:, 1] >= tuned.best_threshold_
    assert_array_equal(tuned.predict(X), np.where(likely, "up", "other"))


def test_transformed_target_is_learned_and_transformed_back():
    y = np.exp(NUMBERS / 10)
    model = TransformedTargetRegressor(small(), func=np.log, inverse_func=np.exp)
    model.fit(X, y)

    expected = np.exp(small().fit(X, np.log(y)).predict(X))
    assert_allclose(model.predict(X), expected, rtol=1e-10)


@pytest.mark.parametrize(
    "client",
    [
        BaggingRegressor(small(), n_estimators=2, random_state=0),
        AdaBoostRegressor(small(), n_estimators=2, random_state=0),
        make_pipeline(
            SequentialFeatureSelector(small(), n_features_to_select=2, cv=2), small()
        ),
    ],
    ids=lambda client: type(client).__name__,
)
def test_clients_that_require_a_table_accept_2d_x(client):
    fitted = client.fit(INPUTS["2-D"], NUMBERS)

    assert fitted.predict(INPUTS["2-D"]).shape == (N_ROWS,)


def test_regressor_chain_appends_predictions_as_further_steps():
    X, y = INPUTS["2-D"], np.stack([NUMBERS, NUMBERS**2], axis=1)
    chain = RegressorChain(small()).fit(X, y)

    first = small().fit(X, NUMBERS).predict(X)
    second = small().fit(np.column_stack([X, NUMBERS]), y[:, 1])
    expected = second.predict(np.column_stack([X, first]))
    assert_allclose(chain.predict(X)[:, 1], expected, rtol=1e-10)
