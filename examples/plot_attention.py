"""
Which words does the network look at?
=====================================

The state after the last word has to hold everything the network wants to know of a
sentence. With `pooling="attention"` it keeps the states after all words, and learns
which of them to look at. The weights it gives to the words can be read.
"""

# %%
# The data
# --------
# Sentences which say that something went from good to bad or from bad to good; both
# classes hold the same words, only their order differs. A quarter of the pairs of
# adjectives is kept for the test.

import os
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

from skrnn import BiRNNClassifier, TokenEncoder
from skrnn.datasets import make_order_sentences

SMALL = bool(os.environ.get("SKRNN_EXAMPLES_SMALL"))  # a quick run, to test the file

X, y, pair = make_order_sentences(
    200 if SMALL else 1500, return_groups=True, random_state=0
)
apart = np.isin(pair, np.random.default_rng(0).permutation(49)[:12])
X_train, y_train = [x for x, out in zip(X, apart, strict=True) if not out], y[~apart]
X_test, y_test = [x for x, out in zip(X, apart, strict=True) if out], y[apart]
print(f"{len(X_train)} sentences to train on, {len(X_test)} to test on. One of them:")
print(f"    {X_train[0]}: {y_train[0]}")

# %%
# The models
# ----------
# Words as ids, a vector of 8 numbers for each, and a two-way network, whose state at a
# word knows what stands on either side of it.

models = {
    "bag of words": make_pipeline(CountVectorizer(), LogisticRegression()),
    **{
        f"two-way RNN, pooling={pooling!r}": make_pipeline(
            TokenEncoder(),
            BiRNNClassifier(
                32,
                embedding_dim=8,
                pooling=pooling,
                max_epochs=2 if SMALL else 15,
                random_state=0,
            ),
        )
        for pooling in ("last", "mean", "attention")
    },
}
print("\nAccuracy on the test sentences:")
for name, model in models.items():
    model.fit(X_train, y_train)
    print(f"    {name:32} {model.score(X_test, y_test):.3f}")

# %%
# What it looks at
# ----------------
# The mean weight of each word over all test sentences in which it occurs, in shares of
# what each word would get if all were looked at alike.

encoder, network = models["two-way RNN, pooling='attention'"]
weights = network.attention_weights(encoder.transform(X_test))
of_word = {}
for sentence, of_steps in zip(X_test, weights, strict=True):
    for word, weight in zip(sentence.split(), of_steps, strict=True):
        of_word.setdefault(word, []).append(weight * len(of_steps))
looked_at = sorted(
    ((np.mean(shares), word) for word, shares in of_word.items() if len(shares) >= 5),
    reverse=True,
)
print("\nLooked at most: ", ", ".join(f"{w} ({s:.1f})" for s, w in looked_at[:8]))
print("Looked at least:", ", ".join(f"{w} ({s:.1f})" for s, w in looked_at[-8:]))

# %%
# The figure
# ----------

by_length = sorted(range(len(X_test)), key=lambda i: len(X_test[i]))
better, worse = ([i for i in by_length if y_test[i] == c] for c in ("better", "worse"))
shown = [*better[:: len(better) // 4][:3], *worse[:: len(worse) // 4][:3]]
figure, axis = plt.subplots(figsize=(12, 5.5), layout="constrained")
for row, i in enumerate(shown):
    words = X_test[i].split()
    for step, (word, weight) in enumerate(zip(words, weights[i], strict=True)):
        axis.add_patch(
            plt.Rectangle(
                (step - 0.5, -row - 0.4), 1, 0.8, color=plt.cm.Oranges(0.7 * weight)
            )
        )
        axis.text(step, -row, word, ha="center", va="center", fontsize=8)
    axis.text(-0.7, -row, y_test[i], ha="right", va="center", fontweight="bold")
longest = max(len(X_test[i].split()) for i in shown)
axis.set(xlim=(-2.2, longest), ylim=(-len(shown) + 0.4, 0.6), xticks=[], yticks=[])
axis.set_title("The weight of each word, from none (light) to all (dark)")
path = Path(__file__).with_suffix(".png")
figure.savefig(path, dpi=120)
print("\nFigure:", path)
if plt.get_backend().lower() != "agg":
    plt.show()

# %%
# The network looks at a single word of most sentences: the good adjective, or the word
# before it. The state there has read both sides, and so it knows on which of them the
# bad one stands. A high weight says where the network looks, not that the word beneath
# it decides.
