"""
Inspect the hidden states of stacked layers
===========================================

`hidden_states` returns `output` and `h_n` of a fitted network, like torch's layers: the
hidden states of the last layer after every step, and the final hidden state of each
layer. Here, three layers of different sizes read images of digits row by row.
"""

# %%
# Three layers of different sizes
# -------------------------------

import os
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import torch
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split

from skrnn import RNNClassifier

SMALL = bool(os.environ.get("SKRNN_EXAMPLES_SMALL"))  # a quick test run

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
# `output` holds the hidden states of the last layer after every step. `h_n` holds the
# final hidden state of each layer: an array if all layers have the same size, and a
# list if they do not.

output, h_n = model.hidden_states(X_test)
print("\noutput", output.shape, "(samples, steps, units of the last layer)")
for i, of_layer in enumerate(h_n):
    print(f"h_n[{i}]", of_layer.shape, "(directions, samples, units of this layer)")
print("The last step of output equals h_n of the last layer:", end=" ")
print(np.array_equal(output[:, -1], h_n[-1][0]))

# %%
# Order of the axes
# -----------------
# Samples come first, as in all of scikit-learn. By default, torch puts time first; the
# values are the same, and `swapaxes` converts between the two.

layers = model.module_.layers
steps_first = torch.from_numpy(X_test).swapaxes(0, 1)  # (steps, samples, features)
x = (steps_first - model.module_.input_mean) / model.module_.input_scale
with torch.no_grad():
    for layer in layers:
        twin = torch.nn.GRU(layer.input_size, layer.hidden_size)  # time first
        twin.load_state_dict(layer.state_dict())
        x, _ = twin(x)
print("\ntorch's output, time first", tuple(x.shape), end=": ")
print("equal" if np.allclose(x.swapaxes(0, 1), output, atol=1e-5) else "unequal")

# %%
# Initial states
# --------------
# The initial states can be passed as `h_0`. Reading the first four rows, and then the
# others from the final states of the first, is equivalent to reading all eight.

first, middle = model.hidden_states(X_test[:, :4])
rest, _ = model.hidden_states(X_test[:, 4:], h_0=middle)
halves = np.concatenate([first, rest], axis=1)
print("Two halves equal the whole:", np.allclose(halves, output, atol=1e-5))
rng = np.random.default_rng(0)
noise = [rng.normal(size=of_layer.shape) for of_layer in h_n]
shaken, _ = model.hidden_states(X_test, h_0=noise)
distance = np.abs(shaken - output).mean(axis=(0, 2))
print("Difference caused by random initial states, after each row:", distance.round(2))

# %%
# The figure
# ----------
# The figure shows an image, the hidden states of the last layer for it, and how well
# the states after each step separate the digits: the accuracy of a logistic regression
# on them.

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
panels[0].set(title="image, read downwards", xlabel="pixel", ylabel="step (row)")
image = panels[1].imshow(
    output[shown], cmap="RdBu", vmin=-1, vmax=1, aspect="auto", interpolation="none"
)
panels[1].set(title="states of the last layer", xlabel="unit", ylabel="step (row)")
figure.colorbar(image, ax=panels[1], label="hidden state")
panels[2].plot(np.arange(8), by_step, "o-", label="hidden states after the step")
panels[2].axhline(0.1, color="gray", linestyle=":", label="chance")
panels[2].set(
    title="digits predicted from the hidden states",
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
# The first rows contain little information on the digit; after the fifth or sixth, most
# digits are separated. The effect of random initial states decays, but does not vanish
# within eight steps.
