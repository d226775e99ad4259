"""Whole systems on real data, through the public API."""

import numpy as np
import pytest
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from skrnn import RNNClassifier


@pytest.mark.slow
@pytest.mark.parametrize("cell_type", ["rnn", "gru", "lstm"])
def test_default_reads_digits_by_rows(cell_type):
    digits = load_digits()
    scores = []
    for seed in range(10):
        X_train, X_test, y_train, y_test = train_test_split(
            digits.images.astype("float32"),
            digits.target,
            test_size=0.3,
            random_state=seed,
        )
        model = RNNClassifier(cell_type=cell_type, random_state=seed)
        scores.append(model.fit(X_train, y_train).score(X_test, y_test))
    assert np.mean(scores) >= 0.97
