"""Figures that the book draws from records."""

from collections.abc import Mapping, Sequence

import numpy as np
from markupsafe import Markup

from labkit import plot, twins
from labkit.press.chapter import FRAMEWORKS
from labkit.press.pages.html import render


def twin_curves(losses: Mapping[str, Sequence[float]]) -> str:
    """Draw two loss curves over each other, as HTML with the figure inside.

    Parameters
    ----------
    losses
        Framework to its losses, one for each step.
    """
    first, second = (np.asarray(losses[f]) for f in FRAMEWORKS)
    gap = twins.compare(first, second)
    course = f"from {first[0]:.2f} to {first[-1]:.2f}: the curves of PyTorch and TensorFlow"
    alt = (
        f"Loss over {len(first)} steps of training, {course} "
        f"{'lie on each other' if gap.largest < 1e-6 else 'part'}."
    )
    series = {title: np.asarray(losses[f]) for f, title in FRAMEWORKS.items()}
    svg = plot.chart(series, alt, x="step", y="loss")
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
    shown = {n: np.maximum(gap, 1e-17) for n, gap in gaps.items()}
    ends = "; ".join(
        f"{n}: {g[:10].max():.0e} in the first ten steps, {g[-10:].max():.0e} in the last ten"
        for n, g in gaps.items()
    )
    steps = max(map(len, gaps.values()))
    alt = f"The absolute difference of the twins' losses over {steps} steps. {ends}."
    svg = plot.chart(shown, alt, x="step", y="difference of the losses", log=True)
    return render("differences", svg=Markup(svg), ends=ends)


def _twelve(value: float) -> str:
    """Return a number with twelve significant digits."""
    return np.format_float_positional(value, precision=12, fractional=False, unique=False)
