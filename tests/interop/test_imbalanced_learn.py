"""imbalanced-learn, which resamples rows before `ToSequences`, or by their numbers."""

import numpy as np
import pytest
from clients import small
from imblearn import FunctionSampler
from imblearn.ensemble import BalancedBaggingClassifier
from imblearn.metrics import geometric_mean_score
from imblearn.over_sampling import SMOTE, RandomOverSampler
from imblearn.pipeline import make_pipeline
from imblearn.under_sampling import RandomUnderSampler
from sklearn.datasets import load_digits
from sklearn.metrics import balanced_accuracy_score
from sklearn.model_selection import StratifiedKFold, cross_val_score
from sklearn.pipeline import make_pipeline as make_plain_pipeline

from skrnn import RNNClassifier, ToSequences

pytestmark = pytest.mark.interop

# Ones and sevens, of which there are few; images are read row by row.
digits = load_digits()
ROWS = np.r_[
    np.flatnonzero(digits.target == 1), np.flatnonzero(digits.target == 7)[:20]
]
IMAGES, LABELS = digits.images[ROWS], digits.target[ROWS]
RAGGED = [image[: 5 + i % 4] for i, image in enumerate(IMAGES)]
# A table as `ToSequences` reads it: the eight values of a feature are adjacent.
TABLE = IMAGES.transpose(0, 2, 1).reshape(len(IMAGES), 64)


@pytest.mark.parametrize(
    "sampler",
    [
        SMOTE(random_state=0),
        RandomOverSampler(random_state=0),
        RandomUnderSampler(random_state=0),
    ],
    ids=lambda sampler: type(sampler).__name__,
)
def test_pipeline_is_fitted_on_the_resampled_rows(sampler):
    pipeline = make_pipeline(sampler, ToSequences(8), small(RNNClassifier))
    pipeline.fit(TABLE, LABELS)

    resampled, labels = sampler.fit_resample(TABLE, LABELS)
    sequences = resampled.reshape(-1, 8, 8).transpose(0, 2, 1)
    assert np.ptp(np.unique(labels, return_counts=True)[1]) == 0
    expected = small(RNNClassifier).fit(sequences, labels).predict_proba(IMAGES)
    np.testing.assert_allclose(pipeline.predict_proba(TABLE), expected, rtol=1e-9)


def test_cross_validation_resamples_the_training_rows_only():
    model = small(RNNClassifier, max_epochs=10)
    pipeline = make_pipeline(SMOTE(random_state=0), ToSequences(8), model)
    folds = StratifiedKFold(3)

    scores = cross_val_score(
        pipeline, TABLE, LABELS, cv=folds, scoring="balanced_accuracy"
    )

    expected = []
    for train, test in folds.split(TABLE, LABELS):
        rows, labels = SMOTE(random_state=0).fit_resample(TABLE[train], LABELS[train])
        fitted = small(RNNClassifier, max_epochs=10)
        fitted.fit(rows.reshape(-1, 8, 8).transpose(0, 2, 1), labels)
        predictions = fitted.predict(IMAGES[test])
        expected.append(balanced_accuracy_score(LABELS[test], predictions))
    np.testing.assert_allclose(scores, expected)
    assert np.mean(scores) > 0.9


def oversample(X, y):
    """Repeat sequences of any lengths, chosen by their numbers."""
    numbers = np.arange(len(y))[:, None]
    chosen, y = RandomOverSampler(random_state=0).fit_resample(numbers, y)
    return [X[i] for i in chosen[:, 0]], y


def test_ragged_sequences_are_resampled_by_their_numbers():
    sampler = FunctionSampler(func=oversample, validate=False)
    pipeline = make_pipeline(sampler, small(RNNClassifier)).fit(RAGGED, LABELS)

    few = np.flatnonzero(LABELS == 7)
    sequences, labels = oversample(RAGGED, LABELS)
    assert np.ptp(np.unique(labels, return_counts=True)[1]) == 0
    assert {id(one) for one in sequences[len(RAGGED) :]} <= {id(RAGGED[i]) for i in few}
    expected = small(RNNClassifier).fit(sequences, labels).predict_proba(RAGGED)
    np.testing.assert_array_equal(pipeline.predict_proba(RAGGED), expected)


def test_balanced_bagging_learns_the_rare_class():
    network = make_plain_pipeline(ToSequences(8), small(RNNClassifier, max_epochs=10))
    ensemble = BalancedBaggingClassifier(network, n_estimators=3, random_state=0)
    ensemble.fit(TABLE[::2], LABELS[::2])

    predictions = ensemble.predict(TABLE[1::2])
    assert geometric_mean_score(LABELS[1::2], predictions) > 0.8


@pytest.mark.parametrize("X", [IMAGES, RAGGED], ids=["3-D", "ragged"])
def test_samplers_refuse_sequences(X):
    message = "dim 3, while dim <= 2 is required|inhomogeneous shape"
    with pytest.raises(ValueError, match=message):
        SMOTE().fit_resample(X, LABELS)
