"""Figures that the book draws from records."""

import io
import re
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

import numpy as np

from labkit import twins
from labkit.plot import COLORS
from labkit.press.chapter import FRAMEWORKS

_INK = "#010203"
"""Stands for the page's own colour of text, so that a figure is readable by day and by night."""


def twin_curves(losses: Mapping[str, Sequence[float]]) -> str:
    """Draw two loss curves over each other, as HTML with the figure inside.

    Parameters
    ----------
    losses
        Framework to its losses, one for each step.
    """
    import matplotlib
    from matplotlib.figure import Figure

    first, second = (np.asarray(losses[f]) for f in FRAMEWORKS)
    gap = twins.compare(first, second)
    style: Any = {
        "font.size": 10,
        "svg.hashsalt": "labkit",
        "svg.fonttype": "none",
        **dict.fromkeys(["text.color", "axes.edgecolor", "axes.labelcolor"], _INK),
        **dict.fromkeys(["xtick.color", "ytick.color"], _INK),
    }
    with matplotlib.rc_context(style):
        figure = Figure(figsize=(7.6, 2.9), layout="constrained")
        axes = figure.subplots()
        steps = np.arange(1, len(first) + 1)
        axes.plot(steps, first, color=COLORS["pytorch"], lw=4.5, alpha=0.55, label="PyTorch")
        axes.plot(steps, second, color=COLORS["tensorflow"], lw=1.1, label="TensorFlow")
        axes.set(xlabel="step", ylabel="loss")
        axes.spines[["top", "right"]].set_visible(False)
        axes.legend(frameon=False)
        buffer = io.StringIO()
        figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None})
    alt = (
        f"Loss over {len(first)} steps of training, from {first[0]:.2f} to {first[-1]:.2f}: the "
        f"curves of PyTorch and TensorFlow lie on each other."
        if gap.largest < 1e-6
        else f"Loss over {len(first)} steps of training; the curves of PyTorch and TensorFlow part."
    )
    svg = buffer.getvalue()
    svg = svg[svg.index("<svg") :].replace(_INK, "currentColor")
    for framework, color in COLORS.items():
        svg = svg.replace(color, f"var(--twin-{framework})")
    svg = re.sub(r'\s(width|height)="[\d.]+pt"', "", svg, count=2)
    svg = svg.replace("<svg", f'<svg role="img" aria-label="{escape(alt)}"', 1)
    last = len(first)
    return f"""\
<figure class="twin-curves">{svg}
<figcaption>One network, trained twice. Loss of step {last}:
<span class="twin-pytorch">PyTorch <code>{_twelve(first[-1])}</code></span>,
<span class="twin-tensorflow">TensorFlow <code>{_twelve(second[-1])}</code></span>.
Largest difference in {last} steps: <code>{gap.largest:.1e}</code>.</figcaption></figure>"""


def _twelve(value: float) -> str:
    """Return a number with twelve significant digits."""
    return np.format_float_positional(value, precision=12, fractional=False, unique=False)
