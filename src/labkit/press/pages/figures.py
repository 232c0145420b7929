"""Figures that the book draws from records."""

import io
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from html import escape
from typing import Any

import numpy as np
from markupsafe import Markup

from labkit import twins
from labkit.plot import COLORS
from labkit.press.chapter import FRAMEWORKS
from labkit.press.pages.html import render

_INK = "#010203"
"""Stands for the page's own colour of text, so that a figure is readable by day and by night."""


def twin_curves(losses: Mapping[str, Sequence[float]]) -> str:
    """Draw two loss curves over each other, as HTML with the figure inside.

    Parameters
    ----------
    losses
        Framework to its losses, one for each step.
    """
    first, second = (np.asarray(losses[f]) for f in FRAMEWORKS)
    gap = twins.compare(first, second)
    with _ink() as (figure, axes):
        steps = np.arange(1, len(first) + 1)
        axes.plot(steps, first, color=COLORS["pytorch"], lw=4.5, alpha=0.55, label="PyTorch")
        axes.plot(steps, second, color=COLORS["tensorflow"], lw=1.1, label="TensorFlow")
        axes.set(xlabel="step", ylabel="loss")
        axes.legend(frameon=False)
    course = f"from {first[0]:.2f} to {first[-1]:.2f}: the curves of PyTorch and TensorFlow"
    alt = (
        f"Loss over {len(first)} steps of training, {course} "
        f"{'lie on each other' if gap.largest < 1e-6 else 'part'}."
    )
    svg = _svg(figure, alt)
    last = zip(FRAMEWORKS.items(), (_twelve(first[-1]), _twelve(second[-1])), strict=True)
    return render("curves", svg=Markup(svg), steps=len(first), last=list(last), gap=gap.largest)


def twin_differences(pairs: Mapping[str, tuple[Sequence[float], Sequence[float]]]) -> str:
    """Draw how far two loss curves are apart, step by step, on a logarithmic axis.

    Parameters
    ----------
    pairs
        Words for each curve to the losses of the two twins.
    """
    gaps = {n: np.abs(np.subtract(*pair)) for n, pair in pairs.items()}
    # Twins that agree to the last bit have no place on a logarithmic axis.
    smallest = 1e-17
    with _ink() as (figure, axes):
        looks = [(c, line) for line in ("--", "-") for c in list(COLORS.values())[:2]]
        for (name, gap), (color, line) in zip(gaps.items(), looks, strict=False):
            steps = np.arange(1, len(gap) + 1)
            shown = np.maximum(gap, smallest)
            axes.plot(steps, shown, line, lw=1.2, color=color, label=name)
        axes.set(xlabel="step", ylabel="difference of the losses", yscale="log")
        axes.legend(frameon=False, ncols=2)
    ends = "; ".join(
        f"{n}: {g[:10].max():.0e} in the first ten steps, {g[-10:].max():.0e} in the last ten"
        for n, g in gaps.items()
    )
    alt = f"The absolute difference of the twins' losses over {len(gap)} steps. {ends}."
    return render("differences", svg=Markup(_svg(figure, alt)), ends=ends)


@contextmanager
def _ink() -> Iterator[tuple[Any, Any]]:
    """Make a figure whose text is in the page's own colour."""
    import matplotlib
    from matplotlib.figure import Figure

    style: Any = {
        "font.size": 10,
        **dict.fromkeys(["text.color", "axes.edgecolor", "axes.labelcolor"], _INK),
        **dict.fromkeys(["xtick.color", "ytick.color"], _INK),
    }
    with matplotlib.rc_context(style):
        figure = Figure(figsize=(7.6, 2.9), layout="constrained")
        axes = figure.subplots()
        axes.spines[["top", "right"]].set_visible(False)
        yield figure, axes


def _svg(figure: Any, alt: str) -> str:
    """Return a figure as SVG that takes the page's colours, with a text alternative."""
    import matplotlib

    buffer = io.StringIO()
    # The salt makes the same ids, and so the same bytes, at each build.
    with matplotlib.rc_context({"svg.hashsalt": "labkit", "svg.fonttype": "none"}):
        figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None})
    svg = buffer.getvalue()
    svg = svg[svg.index("<svg") :].replace(_INK, "currentColor")
    for framework, color in COLORS.items():
        svg = svg.replace(color, f"var(--twin-{framework})")
    svg = re.sub(r'\s(width|height)="[\d.]+pt"', "", svg, count=2)
    return svg.replace("<svg", f'<svg role="img" aria-label="{escape(alt)}"', 1)


def _twelve(value: float) -> str:
    """Return a number with twelve significant digits."""
    return np.format_float_positional(value, precision=12, fractional=False, unique=False)
