"""
Add binary numbers, and find the carry
======================================

Two numbers are added by hand from their lowest digits on: write down a digit, remember
the one that is carried over. A recurrent network reads the two bits of each place and
answers with a bit of the sum. Nobody tells it about the carry. It has to invent it, and
we can look where it keeps it.
"""

# %%
# The data
# --------
# Pairs of 8-bit numbers, lowest bits first; the ninth step lets the last carry out.

import os
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from sklearn.tree import DecisionTreeClassifier

from skrnn import RNNClassifier
from skrnn.datasets import make_binary_addition
from skrnn.metrics import sequence_accuracy_score

SMALL = bool(os.environ.get("SKRNN_EXAMPLES_SMALL"))  # a quick run, to test the file

X, y = make_binary_addition(1000, random_state=0)
print(f"X {X.shape}: pairs, places, bits;  y {y.shape}: a bit of the sum each place")

# %%
# The network, and one without a memory
# -------------------------------------
# With `return_sequences=True` there is an answer for each step. The baseline is a tree
# that sees the two bits of a place: the best that can be done without the carry.

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
print("\nRight bits, and sums with every bit right:")
for name, (pairs, sums) in tests.items():
    answer = model.predict(pairs)
    of_tree = tree.predict(pairs.reshape(-1, 2)).reshape(sums.shape)
    print(
        f"    {name:22} network {model.score(pairs, sums):.4f}, "
        f"{sequence_accuracy_score(sums, answer):.4f}    "
        f"without memory {np.mean(of_tree == sums):.4f}, "
        f"{sequence_accuracy_score(sums, of_tree):.4f}"
    )

# %%
# Where the carry is kept
# -----------------------
# `hidden_states` gives the state after each step. The carry out of a place is known,
# so each unit can be asked how well it goes with it.

pairs, sums = tests["16 bits"]
carry = np.zeros(sums.shape, dtype=int)
for place in range(sums.shape[1]):
    before = carry[:, place - 1] if place else 0
    carry[:, place] = (pairs[:, place].sum(axis=1) + before) >= 2
states, _ = model.hidden_states(pairs)
flat = states.reshape(-1, states.shape[-1])
correlation = np.array([np.corrcoef(unit, carry.ravel())[0, 1] for unit in flat.T])
best = np.abs(correlation).argmax()
print(f"\nUnit {best} goes with the carry: correlation {correlation[best]:+.3f}")

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
    label=f"unit {best}" + (" (turned over)" if sign < 0 else ""),
)
for place in places:
    a, b = pairs[longest, place].astype(int)
    panels[0].annotate(
        f"{a}\n{b}\n{sums[longest, place]}", (place, 1.18), ha="center", va="bottom"
    )
panels[0].annotate("1st\n2nd\nsum", (-1.2, 1.18), ha="center", va="bottom")
panels[0].set(
    xlabel="place, lowest first",
    ylabel="carry, or state from -1 to 1 as 0 to 1",
    ylim=(-0.1, 1.6),
    xlim=(-1.8, len(places) - 0.3),
    xticks=places,
)
panels[0].legend(loc="upper left", bbox_to_anchor=(1.0, 1.0))
order = np.argsort(-np.abs(correlation))
panels[1].bar(np.arange(len(order)), np.abs(correlation[order]), color="tab:orange")
panels[1].set(
    xlabel="unit, sorted",
    ylabel="correlation with the carry\n(without its sign)",
    ylim=(0, 1),
    xticks=np.arange(len(order)),
    xticklabels=order,
)
figure.suptitle("An addition of 16 bits, and who remembers the carry")
path = Path(__file__).with_suffix(".png")
figure.savefig(path, dpi=120)
print("\nFigure:", path)
if plt.get_backend().lower() != "agg":
    plt.show()

# %%
# Trained on eight places, the network adds 64: the rule does not depend on how far one
# has come, and neither does the cell that applies it. Without a memory about every
# second bit is wrong. One unit goes with the carry, but several share the work.
