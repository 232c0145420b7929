"""Differences that were measured in two ways, an interval for each, side by side: as a figure."""

from collections.abc import Mapping

from labkit import plot, svg
from labkit.plot import _looks, _Rows, _wider


def shown(
    values: Mapping[str, Mapping[str, tuple[float, float]]],
    *,
    x: str,
    limits: tuple[float, float] | None = None,
    caption: str | None = None,
) -> plot.Shown:
    """Draw a row for each name, with one dot and its interval for each way, and zero.

    Parameters
    ----------
    values
        Name to the same ways in the same order, each to the middle of an interval and half its
        width.
    x
        What the axis shows.
    limits
        The ends of the axis; what lies beyond is cut off there. Else those of the intervals.
    caption
        A line that the book writes below the figure.
    """
    ways = [list(row) for row in values.values()]
    if not ways or any(names != ways[0] for names in ways):
        raise ValueError(f"each row must have the same ways, not {ways}")
    found = [pair for row in values.values() for pair in row.values()]
    low = min([0.0, *(middle - half for middle, half in found)])
    high = max([0.0, *(middle + half for middle, half in found)])
    axis = _Rows(list(values), limits or _wider(low, high, log=False), room=12, log=False)
    looks, head, at = _looks(ways[0]), 26, axis.left
    parts, named = [], []
    for way, look in looks.items():
        named.append(svg.element("circle", cx=at + 5, cy=12, r=4, style=f"fill:{look.color}"))
        named.append(svg.text(at + 15, 17, way))
        at += 36 + svg.LETTER * len(way)
    zero = axis.x(0.0)
    parts += [axis.draw(x), svg.line(zero, 6, zero, axis.bottom, stroke_opacity="0.4")]
    said = []
    for row, (name, of_row) in enumerate(values.items()):
        for number, (way, (middle, half)) in enumerate(of_row.items()):
            color, y = looks[way].color, axis.y(row) + 9 * (number - (len(looks) - 1) / 2)
            begin, end = (_within(middle + side * half, axis.ends) for side in (-1, 1))
            stroke = {"style": f"stroke:{color}", "stroke_width": 2}
            parts.append(svg.line(axis.x(begin), y, axis.x(end), y, **stroke))
            if axis.ends[0] <= middle <= axis.ends[1]:
                dot = {"cx": axis.x(middle), "cy": y, "r": 4, "style": f"fill:{color}"}
                parts.append(svg.element("circle", **dot))
        listed = ", ".join(f"{way} {m:+.2f} ± {h:.2f}" for way, (m, h) in of_row.items())
        said.append(f"{name}: {listed}")
    body = svg.element("g", "".join(parts), transform=f"translate(0 {head})")
    alt = f"Intervals of {x}, {len(looks)} for each row. " + "; ".join(said)
    data = [list(pair) for pair in found]
    drawn = svg.document(plot._WIDTH, axis.height + head, alt, *named, body)
    return plot.Shown(drawn, alt, data, caption)


def _within(value: float, ends: tuple[float, float]) -> float:
    return min(max(value, ends[0]), ends[1])
