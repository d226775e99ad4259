"""
Classify handwritten digits row by row
======================================

An image can be read like a page, one row after the other. scikit-learn's digits become
sequences of 8 rows with 8 pixels each, and a recurrent network names the digit after
the last row. The three cells are compared with each other, with a linear model and an
`MLPClassifier` that see all 64 pixels at once, and with always naming the most frequent
digit.
"""

# %%
# The data
# --------
# 1797 images of 8 by 8 pixels, from 0 (paper) to 16 (ink). `images` already has the
# shape `(n_samples, n_timesteps, n_features)` that the estimators want, with the top
# row as the first time step. Three tenths of the images are set aside for the test.

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

SMALL = bool(os.environ.get("SKRNN_EXAMPLES_SMALL"))  # a quick run, to test the file
MAX_EPOCHS = 2 if SMALL else 12  # the default is 60

digits = load_digits()
X = digits.images.astype("float32")  # float32 for speed
X_train, X_test, y_train, y_test = train_test_split(
    X, digits.target, test_size=0.3, stratify=digits.target, random_state=0
)
print("Images to train on:", X_train.shape, "and to test on:", X_test.shape)

# %%
# What sees all pixels at once
# ----------------------------
# For these models the order of the 64 pixels means nothing.


def flat(images):
    """Return each image as one row of 64 pixels between 0 and 1."""
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
# The three cells
# ---------------
# Everything but the cell and the number of epochs, which is kept low to be quick, is
# left at its default. These defaults were chosen on splits of the same digits, so the
# figures flatter them.

cells = {}
for cell_type in ("rnn", "gru", "lstm"):
    model = RNNClassifier(cell_type=cell_type, max_epochs=MAX_EPOCHS, random_state=0)
    cells[cell_type] = model.fit(X_train, y_train)
    accuracy[f"RNNClassifier, {cell_type!r}"] = model.score(X_test, y_test)

# %%
# Answers before the last row
# ---------------------------
# A network can be asked after any row: `predict` takes sequences of another length than
# `fit` did. Yet it has only been taught what to say after eight rows. So one more
# network, with the same parameters, learns from images that end early: each is cut
# after a random number of rows, and X is then a list of arrays of different lengths.

rng = np.random.default_rng(0)
n_rows = rng.integers(1, 9, size=len(X_train))
cut = [image[:n] for image, n in zip(X_train, n_rows, strict=True)]
early = RNNClassifier(cell_type="lstm", max_epochs=MAX_EPOCHS, random_state=0)
early.fit(cut, y_train)
accuracy["RNNClassifier, 'lstm', on cut images"] = early.score(X_test, y_test)

after_rows = pd.DataFrame(
    {
        name: [model.score(X_test[:, :n], y_test) for n in range(1, 9)]
        for name, model in {**cells, "lstm, on cut images": early}.items()
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
    xlabel="digit named by the network",
    ylabel="true digit",
    title=f"Images of the test part ({len(X_test)}), cell 'rnn'",
)
for name, style in zip(after_rows, ("-o", "-s", "-^", "--^"), strict=True):
    right.plot(after_rows.index, after_rows[name], style, label=name)
for name, style in (("MLPClassifier", "-."), ("DummyClassifier", ":")):
    label = f"{name}, all rows"
    right.axhline(accuracy[name], color="gray", linestyle=style, label=label)
right.set(
    xlabel="rows read, from the top",
    ylabel="accuracy (share of test images)",
    title="Answers before the last row",
    ylim=(0, 1.03),
)
figure.legend(*right.get_legend_handles_labels(), loc="outside lower center", ncols=6)
path = Path(__file__).with_suffix(".png")
figure.savefig(path, dpi=120)
print("Figure:", path)
if plt.get_backend().lower() != "agg":
    plt.show()

# %%
# The three cells and the `MLPClassifier` are about equally good, a little ahead of the
# linear model: for images that all have eight rows, reading them row by row gains
# nothing. What it adds is the freedom to stop early. The networks taught on whole
# images are still guessing after four rows. The one taught on cut images then names
# four digits out of five, and pays for it with some of its accuracy on whole ones.
