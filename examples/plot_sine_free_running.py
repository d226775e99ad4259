"""
Follow a sine wave, then let it run free
========================================

The first exercise of most courses on recurrent networks: read a wave step by step and
say at each step what comes next. A network that has learned it can then be left alone.
Each prediction becomes the next step, and the wave goes on for as long as one likes,
from ten points or from a single one.
"""

# %%
# The data
# --------
# A hundred waves of random phase, 60 steps each, with a period of 25 steps. The target
# of a step is the value that follows, so that y has a value for each step of X.

import os
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

from skrnn import RNNRegressor
from skrnn.datasets import make_sine_waves

SMALL = bool(os.environ.get("SKRNN_EXAMPLES_SMALL"))  # a quick run, to test the file

X, y = make_sine_waves(100, n_timesteps=60, random_state=0)
print(f"X {X.shape}: waves, steps, features;  y {y.shape}: a target for each step")

# %%
# Next steps
# ----------
# With `return_sequences=True` the network has an output for each step. `ar_order=2`
# puts a linear model of the last two values beside it, which is all a pure sine needs
# from its second step on; what is left to the network is the first.

model = RNNRegressor(
    32,
    return_sequences=True,
    ar_order=2,
    max_epochs=5 if SMALL else 60,
    random_state=0,
)
model.fit(X, y)
X_test, y_test = make_sine_waves(200, n_timesteps=60, random_state=1)
error = np.abs(model.predict(X_test) - y_test).mean(axis=0)
naive = np.abs(X_test[:, :, 0] - y_test).mean()
print("\nMean absolute error of the next value on new waves (amplitude 1):")
print(f"    at the first step, where the direction is unknown   {error[0]:.3f}")
print(f"    from the second step on                             {error[1:].mean():.3f}")
print(f"    naive: the value stays as it is                     {naive:.3f}")

# %%
# Running free from ten points
# ----------------------------
# `forecast` carries the state of the network from step to step and feeds each
# prediction back.

known, _ = make_sine_waves(1, n_timesteps=510, random_state=2)
free = model.forecast(known[:, :10], n_steps=500)[0]
truth = known[0, 10:, 0]
for n in (50, 500):
    print(f"Error over {n} free steps: {np.abs(free - truth)[:n].mean():.3f}")

# %%
# Running free from one point
# ---------------------------
# One point does not say whether the wave rises or falls, unless the start is known. A
# network that has only seen waves which begin at zero and rise knows.

start = np.sin(2 * np.pi * np.arange(101) / 25)
from_zero = RNNRegressor(
    32, return_sequences=True, max_epochs=20 if SMALL else 400, random_state=0
)
from_zero.fit(start[None, :-1, None], start[None, 1:])
alone = from_zero.forecast([[[0.0]]], n_steps=100)[0]
print(f"\nFrom a single point, 100 steps: error {np.abs(alone - start[1:]).mean():.3f}")

# %%
# The state carried from piece to piece
# -------------------------------------
# A long wave may come in pieces, one after the other. With `initial_state="carry"`
# the state at the end of a piece, cut off from its past, is the start of the next, and
# each piece goes on where the last one ended. From zeros the network has to find its
# phase in each piece anew.

long_wave = np.sin(2 * np.pi * np.arange(2001) / 25)
pieces = long_wave[:-1].reshape(200, 10, 1), long_wave[1:].reshape(200, 10)
curves = {}
for initial_state in ("zeros", "carry"):
    in_pieces = RNNRegressor(
        32,
        initial_state=initial_state,
        return_sequences=True,
        batch_size=1,
        max_epochs=2 if SMALL else 12,
        random_state=0,
    )
    curves[initial_state] = in_pieces.fit(*pieces).loss_curve_
    print(f"Last training loss from {initial_state}: {curves[initial_state][-1]:.2g}")

# %%
# The figure
# ----------

figure, panels = plt.subplots(3, 1, figsize=(10, 9), layout="constrained")
steps = np.arange(-10, 500)
panels[0].plot(steps, known[0, :, 0], color="0.7", label="true wave")
panels[0].plot(np.arange(500), free, "--", color="tab:orange", label="running free")
panels[0].axvline(0, color="black", linewidth=1)
panels[0].set(title="From ten points", xlabel="step", ylabel="value", xlim=(-10, 499))
panels[1].plot(np.arange(1, 101), start[1:], color="0.7", label="true wave")
panels[1].plot(np.arange(1, 101), alone, "--", color="tab:orange", label="running free")
panels[1].plot(0, 0, "ko", label="the point given")
panels[1].set(title="From one point of a known start", xlabel="step", ylabel="value")
for name, curve in curves.items():
    panels[2].semilogy(np.arange(1, len(curve) + 1), curve, label=f"from {name}")
panels[2].set(
    title="A long wave in pieces of ten steps",
    xlabel="epoch",
    ylabel="training loss\n(standardised squared error)",
)
for panel in panels[:2]:
    panel.set_ylim(-1.1, 1.8)
for panel in panels:
    panel.legend(loc="upper right", ncols=3)
path = Path(__file__).with_suffix(".png")
figure.savefig(path, dpi=120)
print("\nFigure:", path)
if plt.get_backend().lower() != "agg":
    plt.show()

# %%
# The wave neither dies nor grows over twenty periods. What goes wrong first is its
# phase: towards the end one can see it run ahead by a step or two. Carried states pay
# off where pieces are short against what is to be remembered, as here.
