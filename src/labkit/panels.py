"""Figures of many runs: bands over seeds, one small panel a run, bars above a stated floor."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import ArrayLike, NDArray

from labkit import plot, svg
from labkit.plot import _Frame, _looks, _names, _stroke

_WIDTH, _HEIGHT = 580, 290


def bands(
    groups: Mapping[str, ArrayLike],
    *,
    x: str = "step",
    y: str = "loss",
    at: ArrayLike | None = None,
    log: bool = False,
    limits: tuple[float, float] | None = None,
    caption: str | None = None,
) -> plot.Shown:
    """Draw each group's median, and a band from its lowest to its highest run.

    Parameters
    ----------
    groups
        Name to (runs, steps) values.
    x, y
        What the axes show.
    at
        Where on the horizontal axis the steps lie, if not at 1, 2, 3, …
    log
        Whether the vertical axis is logarithmic.
    limits
        The ends of the vertical axis; else those of the values.
    caption
        A line that the book writes below the figure.
    """
    runs = {name: _grid(name, values) for name, values in groups.items()}
    count = max(len(grid.T) for grid in runs.values())
    places = np.arange(1.0, count + 1) if at is None else np.asarray(at, float)
    room = 34 + svg.LETTER * max(map(len, runs))
    frame = _Frame.around(
        [places], [g.ravel() for g in runs.values()], log=log, limits=limits, room=room, title=None
    )
    parts, ends, said = [frame.axes(x, y, None)], [], []
    for name, look in _looks(list(runs)).items():
        # What lies beyond the axis stays at its edge.
        low, middle, high = np.clip(np.quantile(runs[name], [0, 0.5, 1], axis=0), *frame.up)
        edge = np.concatenate([frame.y(high), frame.y(low)[::-1]])
        around = svg.curve(np.concatenate([frame.x(places), frame.x(places)[::-1]]), edge) + "Z"
        parts.append(svg.element("path", d=around, fill_opacity="0.2", style=f"fill:{look.color}"))
        path = svg.curve(frame.x(places), frame.y(middle))
        parts.append(svg.element("path", d=path, fill="none", stroke_width=2, **_stroke(look, 2)))
        ends.append((float(frame.y(middle)[-1]), name, look, 2.0))
        said.append(
            f"{name}, {len(runs[name])} runs, ends at {np.median(runs[name][:, -1]):.3g}, "
            f"between {runs[name][:, -1].min():.3g} and {runs[name][:, -1].max():.3g}"
        )
    parts += _names(ends, frame)
    alt = f"Bands of {y} over {x}, median with lowest and highest run: " + "; ".join(said)
    return plot.Shown(svg.document(_WIDTH, _HEIGHT, alt, *parts), alt, list(runs.values()), caption)


def multiples(
    groups: Mapping[str, ArrayLike],
    *,
    y: str = "loss",
    log: bool = False,
    limits: tuple[float, float] | None = None,
    columns: int = 5,
    caption: str | None = None,
) -> plot.Shown:
    """Draw one small panel for each run, all on the same axes, with a line for each group.

    Parameters
    ----------
    groups
        Name to (runs, steps) values; the same number of runs in each.
    y
        What the vertical axis shows.
    log
        Whether it is logarithmic.
    limits
        Its ends; else those of the values.
    columns
        Panels in a row.
    caption
        A line that the book writes below the figure.
    """
    runs = {name: _grid(name, values) for name, values in groups.items()}
    counts = {name: len(grid) for name, grid in runs.items()}
    if len(set(counts.values())) != 1:
        raise ValueError(f"each group must have the same number of runs, not {counts}")
    (count,) = set(counts.values())
    points = np.concatenate([grid.ravel() for grid in runs.values()])
    drawn = points[np.isfinite(points) & ((points > 0) | (not log))]
    low, high = limits or (float(drawn.min()), float(drawn.max()))
    marks = svg.ticks(low, high, log=log)
    left = 12 + svg.LETTER * max(len(words) for _, words in marks)
    wide, tall, head = (_WIDTH - left) / columns, 86, 52
    looks, parts = _looks(list(runs)), [svg.text(0, 16, y)]
    at = 24 + svg.LETTER * len(y)
    for name, look in looks.items():
        mark = {"d": f"M{at:.1f} 11h16", "fill": "none", "stroke_width": 2}
        parts.append(svg.element("path", **mark, **_stroke(look, 2)))
        parts.append(svg.text(at + 22, 16, name))
        at += 46 + svg.LETTER * len(name)
    for run in range(count):
        x0, y0 = left + wide * (run % columns), head + (tall + 26) * (run // columns)
        panel = _Frame(x0, x0 + wide - 10, y0, y0 + tall, (0, 1), (low, high), log)
        parts.append(svg.text(x0, y0 - 6, f"{run}", font_weight="bold"))
        for place, words in marks:
            height = float(panel.y(place))
            parts.append(svg.line(panel.left, height, panel.right, height, stroke_opacity="0.15"))
            if run % columns == 0:
                parts.append(svg.text(x0 - 6, height + 5, words, text_anchor="end"))
        for name, look in looks.items():
            line = np.clip(runs[name][run], low, high)
            path = svg.curve(panel.x(np.linspace(0, 1, line.size)), panel.y(line))
            parts.append(
                svg.element("path", d=path, fill="none", stroke_width=1.5, **_stroke(look, 1.5))
            )
    said = "; ".join(
        f"{name} ends at " + ", ".join(f"{value:.3g}" for value in grid[:, -1])
        for name, grid in runs.items()
    )
    alt = f"{count} small charts of {y}, one a run, on the same axes: {said}"
    height = head + (tall + 26) * -(-count // columns)
    return plot.Shown(svg.document(_WIDTH, height, alt, *parts), alt, list(runs.values()), caption)


def columns(
    values: Mapping[str, float],
    *,
    y: str,
    limits: tuple[float, float],
    within: Mapping[str, tuple[float, float]] | None = None,
    dots: bool = False,
    caption: str | None = None,
) -> plot.Shown:
    """Draw one upright bar for each value, from the axis' lower end, wherever that lies.

    Parameters
    ----------
    values
        Name to a number.
    y
        What the axis shows.
    limits
        Its ends; bars begin at the lower one.
    within
        Name to the ends of an interval, drawn over the bar.
    dots
        Whether a dot stands for each value in place of a bar; it has no length to be read.
    caption
        A line that the book writes below the figure.
    """
    room = 30 + svg.LETTER * max(len(words) for _, words in svg.ticks(*limits, log=False))
    frame = _Frame(room, 420, 12, 250, (0, len(values)), limits, log=False)
    # The axis' words and marks, without those of the horizontal one.
    parts, looks = [svg.line(frame.left, 250, frame.right, 250)], _looks(list(values))
    for place, words in svg.ticks(*limits, log=False):
        at = float(frame.y(place))
        parts.append(svg.line(frame.left, at, frame.right, at, stroke_opacity="0.15"))
        parts.append(svg.text(frame.left - 6, at + 5, words, text_anchor="end"))
    parts.append(svg.text(0, 0, y, text_anchor="middle", transform="translate(14 131) rotate(-90)"))
    ends = dict(within or {})
    for number, (name, value) in enumerate(values.items()):
        begin, end = frame.x([number + 0.2, number + 0.8])
        top, style = float(frame.y(value)), f"fill:{looks[name].color}"
        middle = float(begin + end) / 2
        if not dots:
            bar = {"x": float(begin), "y": top, "width": float(end - begin), "height": 250 - top}
            parts.append(svg.element("rect", style=style, fill_opacity="0.55", **bar))
        parts.append(svg.text(middle, 269, name, text_anchor="middle"))
        if name in ends:
            low, high = frame.y(ends[name])
            parts.append(svg.line(middle, float(low), middle, float(high), stroke_width=2))
            for edge in (float(low), float(high)):
                parts.append(svg.line(middle - 7, edge, middle + 7, edge, stroke_width=2))
        if dots:
            parts.append(svg.element("circle", cx=middle, cy=top, r=6, style=style))
    said = "; ".join(
        f"{name} {value:.4g}"
        + (f", interval {ends[name][0]:.4g} to {ends[name][1]:.4g}" if name in ends else "")
        for name, value in values.items()
    )
    kind, axis = "Dots" if dots else "Bars", f"{limits[0]:g} to {limits[1]:g}"
    alt = f"{kind} of {y}, on an axis from {axis}: {said}"
    data: list[list[float]] = [list(values.values()), list(limits)]
    data += [list(ends[name]) for name in values if name in ends]
    return plot.Shown(svg.document(440, 280, alt, *parts), alt, data, caption)


def _grid(name: str, values: ArrayLike) -> NDArray[np.float64]:
    grid = np.asarray(values, float)
    if grid.ndim != 2 or not grid.size:
        raise ValueError(f"{name}: values have shape {grid.shape}; they must be (runs, steps)")
    return grid
