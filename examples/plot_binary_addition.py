"""
Add binary numbers and find the carry in the hidden state
=========================================================

In a written addition, two numbers are added from the least significant digit on, and a
carry is passed to the next digit. Here, a recurrent network reads the two bits of each
position and predicts a bit of the sum. The carry is not part of the data: the network
has to learn it, and `hidden_states` shows which unit stores it.
"""

# %%
# The data
# --------
# Pairs of 8-bit numbers, least significant bits first. A ninth step outputs the last
# carry.

import os
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from sklearn.tree import DecisionTreeClassifier

from skrnn import RNNClassifier
from skrnn.datasets import make_binary_addition
from skrnn.metrics import sequence_accuracy_score

SMALL = bool(os.environ.get("SKRNN_EXAMPLES_SMALL"))  # a quick test run

X, y = make_binary_addition(1000, random_state=0)
print(f"X {X.shape}: pairs, positions, bits;  y {y.shape}: bits of the sum")

# %%
# The network, and a baseline without memory
# ------------------------------------------
# With `return_sequences=True`, the network predicts at each step. The baseline is a
# decision tree on the two bits of a position, the best possible model without a carry.

model = RNNClassifier(
    16, return_sequences=True, max_epochs=3 if SMALL else 30, random_state=0
)
model.fit(X, y)
tree = DecisionTreeClassifier(random_state=0).fit(X.reshape(-1, 2), y.ravel())

seen = {pair.tobytes() for pair in X}
X_more, y_more = make_binary_addition(2000, random_state=1)
unseen = [i for i, pair in enumerate(X_more) if pair.tobytes() not in seen][:1000]
tests = {
    "8 bits, unseen pairs": (X_more[unseen], y_more[unseen]),
    "16 bits": make_binary_addition(1000, n_bits=16, random_state=2),
    "64 bits": make_binary_addition(1000, n_bits=64, random_state=3),
}
print("\nAccuracy of bits, and of whole sums:")
for name, (pairs, sums) in tests.items():
    answer = model.predict(pairs)
    of_tree = tree.predict(pairs.reshape(-1, 2)).reshape(sums.shape)
    print(
        f"    {name:22} network {model.score(pairs, sums):.4f}, "
        f"{sequence_accuracy_score(sums, answer):.4f}    "
        f"tree {np.mean(of_tree == sums):.4f}, "
        f"{sequence_accuracy_score(sums, of_tree):.4f}"
    )

# %%
# The carry in the hidden state
# -----------------------------
# `hidden_states` returns the hidden state after each step. The true carry is known, so
# that its correlation with the state of each unit can be computed.

pairs, sums = tests["16 bits"]
carry = np.zeros(sums.shape, dtype=int)
for place in range(sums.shape[1]):
    before = carry[:, place - 1] if place else 0
    carry[:, place] = (pairs[:, place].sum(axis=1) + before) >= 2
states, _ = model.hidden_states(pairs)
flat = states.reshape(-1, states.shape[-1])
correlation = np.array([np.corrcoef(unit, carry.ravel())[0, 1] for unit in flat.T])
best = np.abs(correlation).argmax()
print(f"\nHighest correlation with the carry: unit {best}, {correlation[best]:+.3f}")

# %%
# The figure
# ----------

longest = int(np.argmax((carry[:, 1:] != carry[:, :-1]).sum(axis=1)))  # most changes
sign = np.sign(correlation[best])
figure, panels = plt.subplots(2, 1, figsize=(10, 7), layout="constrained")
places = np.arange(sums.shape[1])
panels[0].step(places, carry[longest], where="mid", color="0.6", label="carry out")
panels[0].plot(
    places,
    (1 + sign * states[longest, :, best]) / 2,
    "o-",
    color="tab:orange",
    label=f"unit {best}" + (" (sign reversed)" if sign < 0 else ""),
)
for place in places:
    a, b = pairs[longest, place].astype(int)
    panels[0].annotate(
        f"{a}\n{b}\n{sums[longest, place]}", (place, 1.18), ha="center", va="bottom"
    )
panels[0].annotate("1st\n2nd\nsum", (-1.2, 1.18), ha="center", va="bottom")
panels[0].set(
    xlabel="position, least significant first",
    ylabel="carry, or hidden state\n(scaled from [-1, 1] to [0, 1])",
    ylim=(-0.1, 1.6),
    xlim=(-1.8, len(places) - 0.3),
    xticks=places,
)
panels[0].legend(loc="upper left", bbox_to_anchor=(1.0, 1.0))
order = np.argsort(-np.abs(correlation))
panels[1].bar(np.arange(len(order)), np.abs(correlation[order]), color="tab:orange")
panels[1].set(
    xlabel="hidden unit, sorted by correlation",
    ylabel="absolute correlation with the carry",
    ylim=(0, 1),
    xticks=np.arange(len(order)),
    xticklabels=order,
)
figure.suptitle("Addition of two 16-bit numbers, and the carry in the hidden state")
path = Path(__file__).with_suffix(".png")
figure.savefig(path, dpi=120)
print("\nFigure:", path)
if plt.get_backend().lower() != "agg":
    plt.show()

# %%
# Trained on 8-bit numbers, the network also adds 64-bit numbers, since the rule is the
# same at each position, and so is the recurrent cell. Without memory, about half of the
# bits are wrong. One unit follows the carry closely, and several others are correlated
# with it.
