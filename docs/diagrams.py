"""The diagrams of the user guide, drawn by matplotlib when the site is built."""

from pathlib import Path

import matplotlib as mpl
import numpy as np
import torch
from matplotlib.figure import Figure
from matplotlib.patches import Circle, FancyArrowPatch, FancyBboxPatch, Rectangle
from torch import nn

from skrnn.datasets import load_airline_passengers

# One colour for each kind of thing, in all diagrams.
INPUT, STATE, OUTPUT, GRADIENT = "#3f9a5f", "#2a6fb0", "#7a4ea3", "#d9541e"
GATE, GRAY, INK = "#e8a12c", "#8a8f98", "#22262b"
STYLE = {
    "svg.fonttype": "path",
    "svg.hashsalt": "skrnn",  # the same file at each build
    "mathtext.fontset": "cm",
    "font.size": 11,
    "text.color": INK,
    "axes.labelcolor": INK,
}


class Canvas:
    """A figure without axes, in which one unit is a third of an inch."""

    def __init__(self, width, height, left=0.0):
        self.figure = Figure(figsize=((width + left) / 3, height / 3))
        self.axes = self.figure.add_axes((0, 0, 1, 1))
        self.axes.set(xlim=(-left, width), ylim=(0, height), aspect="equal")
        self.axes.axis("off")

    def box(self, x, y, text, color, width=1.5, height=1.1, **options):
        """Draw a rounded box around the point (x, y)."""
        corner = (x - width / 2, y - height / 2)
        rounding = "round,pad=0,rounding_size=0.2"
        style = {"facecolor": color, "edgecolor": "none", "zorder": 3} | options
        shape = FancyBboxPatch(corner, width, height, boxstyle=rounding, **style)
        self.axes.add_patch(shape)
        self.text(x, y, text, color="white", zorder=4)

    def circle(self, x, y, text, color=GATE, radius=0.36, size=11):
        """Draw a circle around the point (x, y)."""
        self.axes.add_patch(Circle((x, y), radius, facecolor=color, zorder=3))
        self.text(x, y, text, color="white", zorder=4, fontsize=size)

    def cell(self, x, y, text="", color="white", size=0.8, **options):
        """Draw a square of an array, with its lower left corner at (x, y)."""
        style = {"facecolor": color, "edgecolor": "white", "linewidth": 1.2} | options
        self.axes.add_patch(Rectangle((x, y), size, size, zorder=2, **style))
        if text != "":
            center = (x + size / 2, y + size / 2)
            self.text(*center, str(text), color="white", zorder=4, fontsize=9)

    def text(self, x, y, text, **options):
        """Write text around the point (x, y)."""
        style = {"ha": "center", "va": "center", "zorder": 4} | options
        self.axes.text(x, y, text, **style)

    def arrow(self, start, end, color=GRAY, bend=0.0, **options):
        """Draw an arrow, bent to one side."""
        style = {"arrowstyle": "-|>", "mutation_scale": 11, "linewidth": 1.5}
        shape = FancyArrowPatch(
            start,
            end,
            color=color,
            connectionstyle=f"arc3,rad={bend}",
            shrinkA=0,
            shrinkB=0,
            zorder=1,
            **(style | options),
        )
        self.axes.add_patch(shape)

    def line(self, *points, color=GRAY, **options):
        """Draw straight lines through points."""
        x, y = zip(*points, strict=True)
        style = {"linewidth": 1.5, "zorder": 1, "solid_capstyle": "round"} | options
        self.axes.plot(x, y, color=color, **style)


def sequences():
    """Draw a 3-D array of sequences, and the axes of its shape."""
    canvas = Canvas(27.5, 6.2)
    for depth in (2, 1, 0):
        x0, y0 = 2.6 + 0.7 * depth, 1.4 + 0.55 * depth
        for step in range(6):
            for feature in range(3):
                shade = ("#63b07f", "#8cc7a1", INPUT)[feature]
                canvas.cell(x0 + step * 0.9, y0 + feature * 0.9, color=shade, size=0.9)
    canvas.arrow((2.6, 0.9), (8.0, 0.9), INK)
    canvas.text(5.3, 0.4, "time steps, oldest first")
    canvas.arrow((2.1, 4.1), (2.1, 1.4), INK)
    canvas.text(1.5, 2.8, "features", rotation=90)
    canvas.arrow((8.5, 1.3), (10.0, 2.5), INK)
    canvas.text(9.5, 1.2, "samples", ha="left")
    lines = (
        (5.0, "X  (n_samples, n_timesteps, n_features)"),
        (3.6, "y  (n_samples,)              a target per sequence"),
        (2.8, "   (n_samples, n_timesteps)  a target per step"),
    )
    for y, text in lines:
        canvas.text(12.2, y, text, family="monospace", ha="left", fontsize=9.5)
    return canvas.figure


def windows():
    """Draw a series, two windows and their targets."""
    series = load_airline_passengers()["passengers"].to_numpy(float)[60:90]
    figure = Figure(figsize=(8, 3.1), layout="constrained")
    axes = figure.add_subplot()
    axes.plot(series, "o-", color=GRAY, markersize=4, linewidth=1)
    for i, (first, color) in enumerate(((4, STATE), (11, OUTPUT))):
        bottom = 135 - 22 * i
        axes.hlines(bottom, first, first + 11, color=color, linewidth=8)
        axes.text(first + 5.5, bottom, f"window {i + 1}", color="white", **CENTER)
        axes.plot(first + 12, series[first + 12], "o", color=color, markersize=9)
        axes.vlines(first + 12, bottom, series[first + 12], color=color, linestyle=":")
        axes.annotate(
            f"target {i + 1}",
            (first + 12, bottom),
            xytext=(4, 0),
            textcoords="offset points",
            va="center",
            color=color,
        )
    axes.set(xlabel="row of the series (month)", ylabel="value", ylim=(95, 390))
    return figure


CENTER = {"ha": "center", "va": "center_baseline", "fontsize": 9}


def ragged():
    """Draw a padded batch of ragged sequences."""
    canvas = Canvas(18, 5.2)
    lengths = (7, 3, 5, 6)
    for row, length in enumerate(lengths):
        y = 3.6 - row
        canvas.text(0.9, y + 0.4, f"X[{row}]", family="monospace")
        for step in range(7):
            if step < length:
                canvas.cell(2 + step * 0.9, y, color=INPUT, size=0.9)
            else:
                hatch = {"hatch": "////", "edgecolor": "#c9ccd1"}
                canvas.cell(2 + step * 0.9, y, color="#f2f3f5", size=0.9, **hatch)
        last = 2 + (length - 1) * 0.9 + 0.45
        canvas.circle(last, y + 0.45, r"$h$", STATE, 0.32, 10)
    canvas.text(13.4, 3.6, "The library pads a batch on the right.", fontsize=10)
    canvas.text(13.4, 2.8, "The state after the last valid step is", fontsize=10)
    canvas.text(13.4, 2.1, "used; padding never reaches a result.", fontsize=10)
    return canvas.figure


def unrolled():
    """Draw a recurrent cell as a loop, and unrolled over time."""
    canvas = Canvas(24, 6.2)
    canvas.box(2.2, 3, r"cell", STATE)
    canvas.arrow((2.2, 1.0), (2.2, 2.4), INPUT)
    canvas.text(2.2, 0.5, r"$x_t$", fontsize=14)
    canvas.arrow((2.2, 3.6), (2.2, 5.0), OUTPUT)
    canvas.text(2.2, 5.5, r"$h_t$", fontsize=14)
    canvas.line((2.95, 3.2), (4.1, 3.2), (4.1, 4.4), (0.5, 4.4), (0.5, 3.2))
    canvas.arrow((0.5, 3.2), (1.4, 3.2))
    canvas.text(6.2, 3, r"$=$", fontsize=22)
    previous = 8.2
    canvas.text(7.9, 3, r"$h_0$", fontsize=14)
    for i, x in enumerate((10.4, 13.4, 16.4, 21.2)):
        last = i == 3
        label = "T" if last else str(i + 1)
        if last:
            canvas.text(18.8, 3, r"$\cdots$", fontsize=18)
            canvas.arrow((17.15, 3), (18.2, 3))
            previous = 19.3
        canvas.arrow((previous + 0.15, 3), (x - 0.8, 3))
        canvas.box(x, 3, "cell", STATE)
        canvas.arrow((x, 1.0), (x, 2.4), INPUT)
        canvas.text(x, 0.5, rf"$x_{{{label}}}$", fontsize=14)
        canvas.arrow((x, 3.6), (x, 5.0), OUTPUT)
        canvas.text(x, 5.5, rf"$h_{{{label}}}$", fontsize=14)
        previous = x + 0.75
    canvas.arrow((21.95, 3), (23.2, 3))
    return canvas.figure


def rnn_cell():
    """Draw the cell of Elman's RNN."""
    canvas = Canvas(13, 5.6, left=0.7)
    frame(canvas, 2.4, 1.2, 8.2, 3.8)
    canvas.arrow((0.9, 3), (4.4, 3))
    canvas.text(0.6, 3.5, r"$h_{t-1}$", fontsize=14)
    canvas.line((4.9, 0.7), (4.9, 2.5), color=INPUT)
    canvas.arrow((4.9, 0.9), (4.9, 2.6), INPUT)
    canvas.text(4.9, 0.4, r"$x_t$", fontsize=14)
    canvas.circle(4.9, 3, "$+$", GRAY, 0.45, 13)
    canvas.text(3.5, 3.4, r"$W_{hh}$", fontsize=11)
    canvas.text(5.65, 1.9, r"$W_{ih}$", fontsize=11)
    canvas.arrow((5.35, 3), (6.9, 3))
    canvas.box(7.7, 3, r"$\tanh$", STATE)
    canvas.arrow((8.45, 3), (12.2, 3), STATE)
    canvas.text(12.1, 3.5, r"$h_t$", fontsize=14)
    return canvas.figure


def frame(canvas, x, y, width, height):
    """Draw the outline of a cell."""
    shape = FancyBboxPatch(
        (x, y),
        width,
        height,
        boxstyle="round,pad=0,rounding_size=0.4",
        facecolor="#f4f6f9",
        edgecolor="#c3c9d2",
        zorder=0,
    )
    canvas.axes.add_patch(shape)


def gru_cell():
    """Draw the cell of a GRU."""
    canvas = Canvas(19, 8.2, left=0.6)
    frame(canvas, 2.2, 1.3, 14.2, 6.3)
    # h_{t-1}, through z to h_t
    canvas.line((0.8, 6.6), (12.4, 6.6))
    canvas.arrow((12.4, 6.6), (14.2, 6.6))
    canvas.text(0.7, 7.1, r"$h_{t-1}$", fontsize=14)
    canvas.circle(12.5, 6.6, r"$\odot$", GRAY, 0.38)
    canvas.circle(14.6, 6.6, "$+$", GRAY, 0.4, 13)
    canvas.arrow((15, 6.6), (18.2, 6.6), STATE)
    canvas.text(18.0, 7.1, r"$h_t$", fontsize=14)
    # x_t reaches all gates
    canvas.line((3.2, 0.8), (3.2, 1.8), (10.6, 1.8), color=INPUT)
    canvas.text(3.2, 0.4, r"$x_t$", fontsize=14)
    for x, name in ((4.4, "r"), (7.6, "z")):
        canvas.arrow((x, 1.8), (x, 2.6), INPUT)
        canvas.line((x - 0.9, 6.6), (x - 0.9, 3.1), color=GRAY)
        canvas.arrow((x - 0.9, 3.1), (x - 0.72, 3.1))
        canvas.box(x, 3.1, rf"$\sigma$  ${name}_t$", GATE, 1.5, 1.0)
    # candidate
    canvas.arrow((10.6, 1.8), (10.6, 2.6), INPUT)
    canvas.box(10.6, 3.1, r"$\tanh$  $n_t$", STATE, 2.0, 1.0)
    canvas.circle(5.9, 4.9, r"$\odot$", GRAY, 0.38)
    canvas.arrow((5.9, 6.6), (5.9, 5.3))
    canvas.line((4.4, 3.6), (4.4, 4.9), color=GATE)
    canvas.arrow((4.4, 4.9), (5.5, 4.9), GATE)
    canvas.line((6.3, 4.9), (9.3, 4.9), (9.3, 3.1))
    canvas.arrow((9.3, 3.1), (9.6, 3.1))
    # z decides how much of the old and of the new state enters
    canvas.line((7.6, 3.6), (7.6, 4.2), (12.5, 4.2), color=GATE)
    canvas.arrow((12.5, 4.2), (12.5, 6.2), GATE)
    canvas.text(12.15, 5.4, r"$z_t$", fontsize=11)
    canvas.circle(14.6, 4.2, r"$\odot$", GRAY, 0.38)
    canvas.arrow((12.5, 4.2), (14.2, 4.2), GATE)
    canvas.text(13.4, 4.65, r"$1-z_t$", fontsize=10)
    canvas.line((11.6, 3.1), (14.6, 3.1), color=STATE)
    canvas.arrow((14.6, 3.1), (14.6, 3.8), STATE)
    canvas.arrow((14.6, 4.6), (14.6, 6.2), STATE)
    return canvas.figure


def lstm_cell():
    """Draw the cell of an LSTM."""
    canvas = Canvas(20, 8.6, left=0.6)
    frame(canvas, 2.2, 1.4, 15.2, 6.6)
    # the cell state
    canvas.arrow((0.8, 7.1), (5.0, 7.1))
    canvas.text(0.7, 7.6, r"$c_{t-1}$", fontsize=14)
    canvas.circle(5.4, 7.1, r"$\odot$", GRAY, 0.38)
    canvas.arrow((5.8, 7.1), (9.2, 7.1))
    canvas.circle(9.6, 7.1, "$+$", GRAY, 0.4, 13)
    canvas.arrow((10.0, 7.1), (19.2, 7.1), STATE)
    canvas.text(19.0, 7.6, r"$c_t$", fontsize=14)
    # h_{t-1} and x_t reach all gates
    canvas.line((0.8, 2.0), (13.0, 2.0))
    canvas.text(0.7, 2.5, r"$h_{t-1}$", fontsize=14)
    canvas.line((3.2, 0.9), (3.2, 2.0), color=INPUT)
    canvas.text(3.2, 0.5, r"$x_t$", fontsize=14)
    gates = (
        (5.4, r"$\sigma$  $f_t$", GATE),
        (8.0, r"$\sigma$  $i_t$", GATE),
        (10.6, r"$\tanh$  $g_t$", STATE),
        (13.2, r"$\sigma$  $o_t$", GATE),
    )
    for x, name, color in gates:
        canvas.arrow((min(x, 13.0), 2.0), (min(x, 13.0), 2.9))
        canvas.box(x, 3.4, name, color, 1.9, 1.0)
    canvas.arrow((5.4, 3.9), (5.4, 6.7), GATE)
    canvas.circle(9.6, 5.2, r"$\odot$", GRAY, 0.38)
    canvas.line((8.0, 3.9), (8.0, 5.2), color=GATE)
    canvas.arrow((8.0, 5.2), (9.2, 5.2), GATE)
    canvas.line((10.6, 3.9), (10.6, 5.2), color=STATE)
    canvas.arrow((10.6, 5.2), (10.0, 5.2), STATE)
    canvas.arrow((9.6, 5.6), (9.6, 6.7))
    # the hidden state
    canvas.arrow((15.6, 7.1), (15.6, 6.0), STATE)
    canvas.box(15.6, 5.5, r"$\tanh$", STATE, 1.5, 0.9)
    canvas.arrow((15.6, 5.05), (15.6, 3.8), STATE)
    canvas.circle(15.6, 3.4, r"$\odot$", GRAY, 0.38)
    canvas.arrow((14.15, 3.4), (15.2, 3.4), GATE)
    canvas.arrow((16.0, 3.4), (19.2, 3.4), STATE)
    canvas.text(19.0, 3.9, r"$h_t$", fontsize=14)
    return canvas.figure


def stacked():
    """Draw two layers over time, with `output` and `h_n`."""
    canvas = Canvas(22, 9.4)
    frame(canvas, 2.0, 7.3, 13.1, 1.5)
    canvas.text(0.9, 8.05, "output", family="monospace")
    for i, x in enumerate((3.2, 6.2, 9.2, 13.4)):
        label = "T" if i == 3 else str(i + 1)
        canvas.arrow((x, 1.1), (x, 1.95), INPUT)
        canvas.text(x, 0.6, rf"$x_{{{label}}}$", fontsize=14)
        for layer, y in ((1, 2.5), (2, 5.4)):
            canvas.box(x, y, rf"$h^{{({layer})}}_{{{label}}}$", STATE, 1.6, 1.1)
            if i < 3:
                end = x + (2.15 if i < 2 else 1.6)
                canvas.arrow((x + 0.8, y), (end, y))
        canvas.arrow((x, 3.05), (x, 4.8))
        canvas.arrow((x, 5.95), (x, 7.5), OUTPUT)
        canvas.text(x, 8.05, rf"$h^{{(2)}}_{{{label}}}$", fontsize=12)
    for y in (2.5, 5.4):
        canvas.text(11.3, y, r"$\cdots$", fontsize=16)
        canvas.arrow((11.8, y), (12.55, y))
        canvas.arrow((14.2, y), (17.4, y), GRADIENT)
    frame(canvas, 17.5, 1.6, 2.2, 4.9)
    canvas.text(18.6, 2.5, r"$h^{(1)}_T$", fontsize=12)
    canvas.text(18.6, 5.4, r"$h^{(2)}_T$", fontsize=12)
    canvas.text(20.6, 4.0, "h_n", family="monospace")
    canvas.text(1.2, 2.5, "layer 1", fontsize=9)
    canvas.text(1.2, 5.4, "layer 2", fontsize=9)
    return canvas.figure


def bidirectional():
    """Draw the two directions, and where their final states are."""
    canvas = Canvas(21, 7.8, left=1.9)
    for i, x in enumerate((3.0, 7.0, 11.0, 15.0)):
        canvas.text(x, 0.5, rf"$x_{i + 1}$", fontsize=14)
        canvas.arrow((x - 0.25, 0.95), (x - 1.0, 1.9), INPUT)
        canvas.arrow((x + 0.25, 0.95), (x + 1.0, 4.1), INPUT, bend=0.2)
        canvas.box(x - 1.0, 2.5, rf"$\overrightarrow{{h}}_{i + 1}$", STATE, 1.5, 1.1)
        canvas.box(x + 1.0, 4.7, rf"$\overleftarrow{{h}}_{i + 1}$", GATE, 1.5, 1.1)
        canvas.arrow((x - 1.0, 3.05), (x - 0.3, 6.6), OUTPUT, bend=-0.1)
        canvas.arrow((x + 1.0, 5.25), (x + 0.3, 6.6), OUTPUT, bend=0.1)
        canvas.text(
            x, 7.1, rf"$[\overrightarrow{{h}}_{i + 1};\ \overleftarrow{{h}}_{i + 1}]$"
        )
        if i < 3:
            canvas.arrow((x - 0.25, 2.5), (x + 2.2, 2.5))
            canvas.arrow((x + 4.2, 4.7), (x + 1.8, 4.7))
    canvas.arrow((14.75, 2.5), (17.6, 2.5), GRADIENT)
    canvas.text(19.1, 2.5, "final state,\nforward", fontsize=10)
    canvas.arrow((3.25, 4.7), (0.9, 4.7), GRADIENT)
    canvas.text(-0.1, 5.5, "final state,\nbackward", fontsize=10)
    canvas.text(18.6, 7.1, "output", family="monospace")
    return canvas.figure


def bptt():
    """Draw the paths of the gradient through time."""
    canvas = Canvas(21, 7.0)
    steps = (3.0, 7.0, 11.0, 15.0)
    for i, x in enumerate(steps):
        canvas.text(x, 0.5, rf"$x_{i + 1}$", fontsize=14)
        canvas.arrow((x, 0.95), (x, 2.2), INPUT)
        canvas.box(x, 2.8, rf"$h_{i + 1}$", STATE)
        canvas.arrow((x + 0.8, 2.6), (x + 3.2, 2.6)) if i < 3 else None
    canvas.arrow((15.0, 3.4), (15.0, 4.7), OUTPUT)
    canvas.box(15.0, 5.3, r"$\mathcal{L}$", OUTPUT)
    canvas.arrow((15.5, 4.7), (15.5, 3.45), GRADIENT)
    for i in (3, 2, 1):
        start, end = steps[i] - 0.8, steps[i - 1] + 0.8
        canvas.arrow((start, 3.0), (end, 3.0), GRADIENT)
        label = rf"$\partial h_{i + 1} / \partial h_{i}$"
        canvas.text((start + end) / 2, 3.55, label, color=GRADIENT, fontsize=12)
    for i, x in enumerate(steps):
        canvas.arrow((x + 0.3, 2.2), (x + 1.1, 1.3), GRADIENT, linestyle="--")
        canvas.text(x + 1.4, 0.95, rf"$\Delta_{i + 1}$", color=GRADIENT, fontsize=12)
    text = (
        r"$\partial\mathcal{L}/\partial W_{hh} = \Delta_1+\Delta_2+\Delta_3+\Delta_4$"
    )
    canvas.text(6.5, 5.6, text, color=GRADIENT, fontsize=13)
    return canvas.figure


def truncated():
    """Draw truncated back-propagation through time."""
    canvas = Canvas(21, 5.4)
    for i in range(9):
        x = 2.0 + i * 2.1
        color = (STATE, OUTPUT, INPUT)[i // 3]
        canvas.box(x, 2.4, rf"$h_{i + 1}$", color, 1.3, 1.0)
        if i < 8:
            canvas.arrow((x + 0.65, 2.3), (x + 1.45, 2.3))
        if i % 3:
            canvas.arrow((x - 0.65, 2.65), (x - 1.45, 2.65), GRADIENT)
    for i in range(3):
        canvas.text(4.1 + i * 6.3, 4.3, f"optimiser step {i + 1}", fontsize=10)
        left, right = 1.3 + i * 6.3, 6.9 + i * 6.3
        canvas.line((left, 3.5), (left, 3.8), (right, 3.8), (right, 3.5))
    for i in range(2):
        x = 7.25 + i * 6.3
        canvas.line((x, 1.2), (x, 3.3), color=GRADIENT, linestyle=":")
        canvas.text(x, 0.8, "state passes, gradient stops", fontsize=9)
    return canvas.figure


def pooling():
    """Draw what the poolings read of the hidden states."""
    canvas = Canvas(21, 6.6)
    rng = np.random.default_rng(3)
    values = rng.uniform(-1, 1, size=(4, 8))
    colors = mpl.colormaps["RdBu_r"]
    for unit in range(4):
        for step in range(8):
            shade = colors((values[unit, step] + 1) / 2)
            canvas.cell(2.0 + step * 0.9, 1.2 + unit * 0.9, color=shade, size=0.9)
    canvas.text(1.0, 3.0, "hidden units", rotation=90, fontsize=10)
    canvas.text(5.6, 0.6, r"$h_1, \ldots, h_T$", fontsize=12)
    summaries = (
        ("'last'", values[:, -1]),
        ("'mean'", values.mean(axis=1)),
        ("'max'", values.max(axis=1)),
    )
    canvas.arrow((9.5, 3.0), (10.9, 3.0), INK)
    for i, (name, column) in enumerate(summaries):
        for unit, value in enumerate(column):
            shade = colors((value + 1) / 2)
            canvas.cell(11.6 + i * 2.2, 1.2 + unit * 0.9, color=shade, size=0.9)
        canvas.text(12.05 + i * 2.2, 0.6, name, family="monospace", fontsize=10)
    canvas.line((11.4, 5.1), (11.4, 5.4), (17.1, 5.4), (17.1, 5.1))
    canvas.text(14.25, 5.9, "'concat': side by side", fontsize=10)
    return canvas.figure


def patches():
    """Draw how steps are joined to patches."""
    canvas = Canvas(21, 5.0)
    canvas.text(1.7, 3.9, "12 steps", fontsize=10)
    canvas.text(1.7, 1.3, "4 patches", fontsize=10)
    for step in range(12):
        shade = (INPUT, STATE)[step // 3 % 2]
        canvas.cell(3.6 + step * 1.2, 3.5, step + 1, shade, 1.0)
    for patch in range(4):
        x, shade = 3.6 + patch * 3.6, (INPUT, STATE)[patch % 2]
        canvas.arrow((x + 1.7, 3.35), (x + 1.7, 2.2), GRAY)
        for i in range(3):
            canvas.cell(x + 0.2 + i, 0.8, 3 * patch + i + 1, shade, 1.0)
        if patch < 3:
            canvas.arrow((x + 3.25, 1.3), (x + 3.75, 1.3), INK)
    return canvas.figure


def forecasts():
    """Draw a recursive and a direct forecast."""
    canvas = Canvas(25, 8.0)
    observed = [r"$x_1$", r"$x_2$", r"$x_3$"]
    canvas.text(0.75, 7.5, "recursive: forecast(X, n_steps=3)", fontsize=10, ha="left")
    for row in range(3):
        y = 6.2 - row * 1.6
        shown = observed[row:] + [rf"$\hat{{x}}_{3 + i}$" for i in range(1, row + 1)]
        for i, name in enumerate(shown):
            is_forecast = i >= 3 - row
            color = GRADIENT if is_forecast else INPUT
            canvas.box(1.4 + (row + i) * 1.5, y, name, color, 1.3, 1.0)
        start = 1.4 + (row + 2) * 1.5 + 0.75
        canvas.arrow((start, y), (start + 0.75, y))
        canvas.box(
            start + 1.5, y, rf"$\hat{{x}}_{4 + row}$", GRADIENT, 1.3, 1.0, alpha=0.75
        )
        if row < 2:
            canvas.arrow((start + 1.5, y - 0.5), (start + 0.9, y - 1.05), GRADIENT)
    canvas.text(
        14.75, 7.5, "direct: y has a column for each step", ha="left", fontsize=10
    )
    for i, name in enumerate(observed):
        canvas.box(15.4 + i * 1.5, 4.6, name, INPUT, 1.3, 1.0)
    for i in range(3):
        y = 6.2 - i * 1.6
        canvas.arrow((19.1, 4.6), (20.6, y))
        canvas.box(21.3, y, rf"$\hat{{x}}_{4 + i}$", GRADIENT, 1.3, 1.0)
    canvas.text(
        0.75, 1.2, "each forecast becomes an input of the next", ha="left", fontsize=10
    )
    canvas.text(
        14.75, 1.2, "all steps at once, from observed values", ha="left", fontsize=10
    )
    return canvas.figure


def gradients():
    """Plot how fast the gradient decreases with the distance in time."""
    figure = Figure(figsize=(7, 3.4), layout="constrained")
    axes = figure.add_subplot()
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(64, 60, 4, generator=generator, dtype=torch.float64)
    for (name, kind), color in zip(LAYERS.items(), (GRAY, GATE, STATE), strict=True):
        layer = kind(4, 64, batch_first=True, dtype=torch.float64)
        for key, parameter in layer.named_parameters():
            values = torch.randn(parameter.shape, generator=generator) / 64**0.5
            parameter.data = values.double() * (0.7 if "weight" in key else 0.0)
        if name == "LSTM":
            layer.bias_ih_l0.data[64:128] = 1.0  # the forget gate is open
        inputs = x.clone().requires_grad_()
        layer(inputs)[0][:, -1].pow(2).sum().backward()
        norms = inputs.grad.norm(dim=2).mean(dim=0).flip(0)
        axes.semilogy(norms / norms[0], label=name, color=color)
    axes.set(
        xlabel="steps between an input and the end of the sequence",
        ylabel="norm of the gradient\n(the last step: 1)",
        ylim=(1e-9, 3),
    )
    axes.legend(frameon=False)
    return figure


LAYERS = {"RNN": nn.RNN, "GRU": nn.GRU, "LSTM": nn.LSTM}
DIAGRAMS = (
    sequences,
    windows,
    ragged,
    unrolled,
    rnn_cell,
    gru_cell,
    lstm_cell,
    stacked,
    bidirectional,
    bptt,
    truncated,
    pooling,
    patches,
    forecasts,
    gradients,
)


def draw_all(folder):
    """Write each diagram to an SVG file in a folder, unless it is newer than this."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    changed = Path(__file__).stat().st_mtime
    with mpl.rc_context(STYLE):
        for draw in DIAGRAMS:
            path = folder / f"{draw.__name__}.svg"
            if path.exists() and path.stat().st_mtime > changed:
                continue
            # No date, so that an unchanged diagram is an unchanged file.
            draw().savefig(path, transparent=True, metadata={"Date": None})


if __name__ == "__main__":
    draw_all(Path(__file__).parent / "_static" / "diagrams")
