"""
Look into stacked layers
========================

What torch's layers return, `output` and `h_n`, is there for every fitted network: the
state of the last layer after every step, and the last state of each layer. Here for
three layers of different sizes that read images of digits row by row.
"""

# %%
# A stack of layers of different sizes
# ------------------------------------

import os
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import torch
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split

from skrnn import RNNClassifier

SMALL = bool(os.environ.get("SKRNN_EXAMPLES_SMALL"))  # a quick run, to test the file

digits = load_digits()
X_train, X_test, y_train, y_test = train_test_split(
    digits.images.astype("float32"), digits.target, test_size=0.3, random_state=0
)
model = RNNClassifier(
    hidden_size=(64, 32, 16),
    num_layers=3,
    cell_type="gru",
    max_epochs=3 if SMALL else 30,
    random_state=0,
)
model.fit(X_train, y_train)
score = model.score(X_test, y_test)
print(f"Accuracy of three layers of 64, 32 and 16 units: {score:.3f}")
pixels_train, pixels_test = (X.reshape(-1, 64) / 16 for X in (X_train, X_test))
flat = LogisticRegression(max_iter=2000).fit(pixels_train, y_train)
score = flat.score(pixels_test, y_test)
print(f"Logistic regression on all 64 pixels: {score:.3f}")

# %%
# output and h_n
# --------------
# `output` holds the last layer's state after every step, `h_n` the last state of each
# layer: one array where all layers have one size, a list where they differ.

output, h_n = model.hidden_states(X_test)
print("\noutput", output.shape, "(samples, steps, units of the last layer)")
for i, of_layer in enumerate(h_n):
    print(f"h_n[{i}]", of_layer.shape, "(directions, samples, units of this layer)")
print("The last step of output is the last layer's h_n:", end=" ")
print(np.array_equal(output[:, -1], h_n[-1][0]))

# %%
# Both orders of axes
# -------------------
# Here samples come first, as everywhere in scikit-learn. torch's default puts time
# first; the numbers are the same, and `swapaxes` leads from one to the other.

layers = model.module_.layers
steps_first = torch.from_numpy(X_test).swapaxes(0, 1)  # (steps, samples, features)
x = (steps_first - model.module_.input_mean) / model.module_.input_scale
with torch.no_grad():
    for layer in layers:
        twin = torch.nn.GRU(layer.input_size, layer.hidden_size)  # time first
        twin.load_state_dict(layer.state_dict())
        x, _ = twin(x)
print("\ntorch's output, time first", tuple(x.shape), end=": ")
print("equal" if np.allclose(x.numpy().swapaxes(0, 1), output, atol=1e-5) else "other")

# %%
# Starting from given states
# --------------------------
# States can be handed on: reading the first four rows, and then the others from where
# that ended, is reading all eight.

first, middle = model.hidden_states(X_test[:, :4])
rest, _ = model.hidden_states(X_test[:, 4:], h_0=middle)
halves = np.concatenate([first, rest], axis=1)
print("Four rows and then four are eight:", np.allclose(halves, output, atol=1e-5))
rng = np.random.default_rng(0)
noise = [rng.normal(size=of_layer.shape) for of_layer in h_n]
shaken, _ = model.hidden_states(X_test, h_0=noise)
distance = np.abs(shaken - output).mean(axis=(0, 2))
print("Distance from a random start, after each row:", distance.round(2))

# %%
# The figure
# ----------
# How the states of the last layer separate the digits, row by row: the accuracy of a
# logistic regression on the state after each step. Beside it the states for one image.

states, _ = model.hidden_states(X_train)
by_step = [
    LogisticRegression(max_iter=2000)
    .fit(states[:, step], y_train)
    .score(output[:, step], y_test)
    for step in range(8)
]
shown = int(np.flatnonzero(y_test == 4)[0])
figure, panels = plt.subplots(
    1, 3, figsize=(12, 4.5), layout="constrained", width_ratios=[1, 2, 2]
)
panels[0].imshow(X_test[shown], cmap="gray_r")
panels[0].set(title="an image, read downwards", xlabel="pixel", ylabel="step (row)")
image = panels[1].imshow(
    output[shown], cmap="RdBu", vmin=-1, vmax=1, aspect="auto", interpolation="none"
)
panels[1].set(title="state of the last layer", xlabel="unit", ylabel="step (row)")
figure.colorbar(image, ax=panels[1], label="state")
panels[2].plot(np.arange(8), by_step, "o-", label="states after the step")
panels[2].axhline(0.1, color="gray", linestyle=":", label="chance")
panels[2].set(
    title="what the states tell of the digit",
    xlabel="step (row)",
    ylabel="accuracy of a logistic regression",
    ylim=(0, 1.03),
)
panels[2].legend(loc="lower right")
path = Path(__file__).with_suffix(".png")
figure.savefig(path, dpi=120)
print("\nFigure:", path)
if plt.get_backend().lower() != "agg":
    plt.show()

# %%
# The first rows of a digit say little; by the fifth or sixth most are told apart. A
# random start is forgotten on the way, though not entirely in eight steps.
