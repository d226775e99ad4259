"""
Inspect the attention weights of words
======================================

With the default pooling, the hidden state after the last word must contain all that the
network needs to know about a sentence. With `pooling="attention"`, the network uses a
weighted mean of the hidden states after all words, and learns the weights.
`attention_weights` returns them.
"""

# %%
# The data
# --------
# The sentences say that something went from good to bad or from bad to good. Both
# classes contain the same words; only their order differs. A quarter of the pairs of
# adjectives is held out for the test set.

import os
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

from skrnn import BiRNNClassifier, TokenEncoder
from skrnn.datasets import make_order_sentences

SMALL = bool(os.environ.get("SKRNN_EXAMPLES_SMALL"))  # a quick test run

X, y, pair = make_order_sentences(
    200 if SMALL else 1500, return_groups=True, random_state=0
)
apart = np.isin(pair, np.random.default_rng(0).permutation(49)[:12])
X_train, y_train = [x for x, out in zip(X, apart, strict=True) if not out], y[~apart]
X_test, y_test = [x for x, out in zip(X, apart, strict=True) if out], y[apart]
print(f"{len(X_train)} training sentences, {len(X_test)} test sentences. Example:")
print(f"    {X_train[0]}: {y_train[0]}")

# %%
# The models
# ----------
# `TokenEncoder` turns words into ids, and the network learns an embedding of dimension
# 8. The network is bidirectional, so that its hidden state at a word depends on the
# words on both sides.

models = {
    "bag of words": make_pipeline(CountVectorizer(), LogisticRegression()),
    **{
        f"bidirectional RNN, pooling={pooling!r}": make_pipeline(
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
    print(f"    {name:38} {model.score(X_test, y_test):.3f}")

# %%
# The attention weights
# ---------------------
# The mean attention weight of each word over the test sentences in which it occurs,
# relative to uniform weights: 1 means as much as with mean pooling.

encoder, network = models["bidirectional RNN, pooling='attention'"]
weights = network.attention_weights(encoder.transform(X_test))
of_word = {}
for sentence, of_steps in zip(X_test, weights, strict=True):
    for word, weight in zip(sentence.split(), of_steps, strict=True):
        of_word.setdefault(word, []).append(weight * len(of_steps))
ranking = sorted(
    ((np.mean(ratios), word) for word, ratios in of_word.items() if len(ratios) >= 5),
    reverse=True,
)
print("\nHighest attention:", ", ".join(f"{w} ({r:.1f})" for r, w in ranking[:8]))
print("Lowest attention: ", ", ".join(f"{w} ({r:.1f})" for r, w in ranking[-8:]))

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
axis.set_title("Attention weight of each word, from 0 (light) to 1 (dark)")
path = Path(__file__).with_suffix(".png")
figure.savefig(path, dpi=120)
print("\nFigure:", path)
if plt.get_backend().lower() != "agg":
    plt.show()

# %%
# In most sentences, nearly all attention is on a single word: the good adjective, or
# the word before it. The hidden state there depends on the words on both sides, and so
# tells on which side the bad adjective is. A high weight shows which hidden state the
# network uses, not that the word at this position is the cause of the prediction.
