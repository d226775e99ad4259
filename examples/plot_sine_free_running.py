"""
Predict a sine wave, step by step and free-running
==================================================

The first exercise of most courses on recurrent networks is to read a wave step by step
and to predict the next value at each step. A trained network can then continue the wave
by itself, in a free-running (recursive) forecast: each prediction becomes the input of
the next step. Here it starts from ten values, or from a single one.
"""

# %%
# The data
# --------
# A hundred sine waves of random phase, with 60 steps each and a period of 25 steps. The
# target of a step is the next value, so that y has one value for each step of X.

import os
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

from skrnn import ForecastDisplay, RNNRegressor
from skrnn.datasets import make_sine_waves

SMALL = bool(os.environ.get("SKRNN_EXAMPLES_SMALL"))  # a quick test run

X, y = make_sine_waves(100, n_timesteps=60, random_state=0)
print(f"X {X.shape}: waves, steps, features;  y {y.shape}: a target for each step")

# %%
# One-step predictions
# --------------------
# With `return_sequences=True`, the network has an output at each step. `ar_order=2`
# adds a linear model of the last two values, which determine the next value of a sine
# wave exactly. Only the first step, with a single value, is left to the network.

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
print(f"    naive: same as the previous value                   {naive:.3f}")

# %%
# Free-running forecast from ten values
# -------------------------------------
# `forecast` keeps the hidden state of the network from step to step, and feeds each
# prediction back as the next input.

known, _ = make_sine_waves(1, n_timesteps=510, random_state=2)
free = model.forecast(known[:, :10], n_steps=500)[0]
truth = known[0, 10:, 0]
for n in (50, 500):
    print(f"Mean absolute error over {n} steps: {np.abs(free - truth)[:n].mean():.3f}")

# %%
# Free-running forecast from one value
# ------------------------------------
# One value does not determine whether the wave rises or falls, unless the phase of the
# first step is always the same. This network is trained on a wave that starts at zero
# and rises.

start = np.sin(2 * np.pi * np.arange(101) / 25)
from_zero = RNNRegressor(
    32, return_sequences=True, max_epochs=20 if SMALL else 400, random_state=0
)
from_zero.fit(start[None, :-1, None], start[None, 1:])
alone = from_zero.forecast([[[0.0]]], n_steps=100)[0]
print(f"\nFrom one value, over 100 steps: {np.abs(alone - start[1:]).mean():.3f}")

# %%
# Stateful training
# -----------------
# A long wave may be split into consecutive pieces. With `initial_state="carry"`, the
# final hidden state of a piece, detached from the graph of gradients, is the initial
# state of the next. With zeros as the initial state, the network has to infer the phase
# anew in each piece.

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
    print(f"Final loss, {initial_state=}: {curves[initial_state][-1]:.2g}")

# %%
# The figure
# ----------

figure, panels = plt.subplots(3, 1, figsize=(10, 9), layout="constrained")
ForecastDisplay.from_predictions(
    truth,
    free,
    history=known[0, :10, 0],
    name="free-running",
    ax=panels[0],
    truth_kwargs={"color": "0.7", "label": "true wave"},
    forecast_kwargs={"color": "tab:orange", "linestyle": "--"},
    history_kwargs={"color": "black", "label": "known values"},
)
panels[0].set(title="Forecast from ten values", xlabel="step", ylabel="value")
panels[1].plot(np.arange(1, 101), start[1:], color="0.7", label="true wave")
panels[1].plot(np.arange(1, 101), alone, "--", color="tab:orange", label="free-running")
panels[1].plot(0, 0, "ko", label="known value")
panels[1].set(title="Forecast from one value", xlabel="step", ylabel="value")
for name, curve in curves.items():
    panels[2].semilogy(
        np.arange(1, len(curve) + 1), curve, label=f"initial_state={name!r}"
    )
panels[2].set(
    title="Training on consecutive pieces of ten steps",
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
# The free-running wave neither decays nor grows over twenty periods. The error comes
# from the phase, which is a step or two ahead at the end. Stateful training helps if
# the pieces are short compared with the time over which the network must remember, as
# here.
