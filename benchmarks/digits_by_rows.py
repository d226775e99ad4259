"""Accuracy of the default estimators on digits read by rows.

`python benchmarks/digits_by_rows.py` fits each cell on ten random splits (70 % for
training) of scikit-learn's 1797 digits, as sequences of 8 rows of 8 pixels, in float32,
and prints the mean and the range of the test accuracy. All parameters but the cell type
have their default values.

The defaults were chosen by the test accuracy on the first five of these splits, so that
these results are optimistic.
"""

import time

from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from skrnn import BiRNNClassifier, RNNClassifier

digits = load_digits()
X, y = digits.images.astype("float32"), digits.target

print("estimator        cell   mean   lowest highest  seconds per fit")
for cls in (RNNClassifier, BiRNNClassifier):
    for cell in ("rnn", "gru", "lstm"):
        scores, began = [], time.perf_counter()
        for seed in range(10):
            X_train, X_test, y_train, y_test = train_test_split(
                X, y, test_size=0.3, random_state=seed
            )
            model = cls(cell_type=cell, random_state=seed).fit(X_train, y_train)
            scores.append(model.score(X_test, y_test))
        seconds = (time.perf_counter() - began) / 10
        print(
            f"{cls.__name__:16s} {cell:5s} {sum(scores) / 10:6.4f} {min(scores):6.3f} "
            f"{max(scores):6.3f} {seconds:8.1f}",
            flush=True,
        )
