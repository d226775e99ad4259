"""
Classify handwritten digits row by row
======================================

An image can be read as a sequence of rows. scikit-learn's digits become sequences of 8
rows with 8 pixels each, and a recurrent network predicts the digit after the last row.
The three cell types are compared with each other, with a linear model and an
`MLPClassifier` that receive all 64 pixels at once, and with a constant prediction of
the most frequent digit.
"""

# %%
# The data
# --------
# 1797 images of 8 by 8 pixels, from 0 (paper) to 16 (ink). `images` already has the
# shape `(n_samples, n_timesteps, n_features)` that the estimators expect, with the top
# row as the first time step. 30 % of the images are held out for the test set.

import os
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from sklearn.datasets import load_digits
from sklearn.dummy import DummyClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import ConfusionMatrixDisplay
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPClassifier

from skrnn import RNNClassifier

SMALL = bool(os.environ.get("SKRNN_EXAMPLES_SMALL"))  # a quick test run
MAX_EPOCHS = 2 if SMALL else 12  # the default is 60

digits = load_digits()
X = digits.images.astype("float32")  # float32 for speed
X_train, X_test, y_train, y_test = train_test_split(
    X, digits.target, test_size=0.3, stratify=digits.target, random_state=0
)
print("Training set:", X_train.shape, " test set:", X_test.shape)

# %%
# Baselines on all pixels at once
# -------------------------------
# These models do not use the order of the 64 pixels.


def flat(images):
    """Return each image as a vector of 64 pixels between 0 and 1."""
    return images.reshape(len(images), -1) / 16


accuracy = {}
for model in (
    DummyClassifier(strategy="most_frequent"),
    LogisticRegression(max_iter=1000),
    MLPClassifier(max_iter=1000, random_state=0),
):
    model.fit(flat(X_train), y_train)
    accuracy[type(model).__name__] = model.score(flat(X_test), y_test)

# %%
# The three cell types
# --------------------
# All parameters but the cell type and the number of epochs, which is reduced to save
# time, have their default values. These defaults were chosen on splits of the same data
# set, so that the results are optimistic.

cells = {}
for cell_type in ("rnn", "gru", "lstm"):
    model = RNNClassifier(cell_type=cell_type, max_epochs=MAX_EPOCHS, random_state=0)
    cells[cell_type] = model.fit(X_train, y_train)
    accuracy[f"RNNClassifier, {cell_type!r}"] = model.score(X_test, y_test)

# %%
# Predictions before the last row
# -------------------------------
# A network can predict after any row, since `predict` accepts sequences of a different
# length than those in `fit`. However, it has been trained to predict after eight rows
# only. Therefore, another network with the same parameters is trained on truncated
# images: each ends after a random number of rows, and X is then a list of arrays of
# different lengths.

rng = np.random.default_rng(0)
n_rows = rng.integers(1, 9, size=len(X_train))
truncated = [image[:n] for image, n in zip(X_train, n_rows, strict=True)]
early = RNNClassifier(cell_type="lstm", max_epochs=MAX_EPOCHS, random_state=0)
early.fit(truncated, y_train)
accuracy["RNNClassifier, 'lstm', truncated images"] = early.score(X_test, y_test)

after_rows = pd.DataFrame(
    {
        name: [model.score(X_test[:, :n], y_test) for n in range(1, 9)]
        for name, model in {**cells, "lstm, truncated images": early}.items()
    },
    index=pd.RangeIndex(1, 9, name="rows read"),
)

print("\nAccuracy on the test images, all rows read:")
print(pd.Series(accuracy).round(3).to_string())
print("\nAccuracy after the first rows:")
print(after_rows.round(2).to_string(), "\n")

# %%
# The figure
# ----------

figure, (left, right) = plt.subplots(1, 2, figsize=(12, 5.8), layout="constrained")
ConfusionMatrixDisplay.from_estimator(
    cells["rnn"], X_test, y_test, ax=left, cmap="Blues", colorbar=False
)
left.set(
    xlabel="predicted digit",
    ylabel="true digit",
    title=f"Confusion matrix of the test set ({len(X_test)} images), cell 'rnn'",
)
for name, style in zip(after_rows, ("-o", "-s", "-^", "--^"), strict=True):
    right.plot(after_rows.index, after_rows[name], style, label=name)
for name, style in (("MLPClassifier", "-."), ("DummyClassifier", ":")):
    label = f"{name}, all rows"
    right.axhline(accuracy[name], color="gray", linestyle=style, label=label)
right.set(
    xlabel="number of rows read, from the top",
    ylabel="accuracy on the test set",
    title="Predictions before the last row",
    ylim=(0, 1.03),
)
figure.legend(*right.get_legend_handles_labels(), loc="outside lower center", ncols=6)
path = Path(__file__).with_suffix(".png")
figure.savefig(path, dpi=120)
print("Figure:", path)
if plt.get_backend().lower() != "agg":
    plt.show()

# %%
# The three cell types and the `MLPClassifier` have about the same accuracy, slightly
# higher than that of the linear model: if all images have eight rows, reading them row
# by row has no advantage in accuracy. It does allow for early predictions. After four
# rows, the networks trained on whole images are not much better than chance, whereas
# the network trained on truncated images classifies about 80 % of the digits correctly,
# at the cost of some accuracy on whole images.
