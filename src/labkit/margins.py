"""Intervals of a difference, drawn over the differences that do not matter."""

from collections.abc import Mapping

from labkit import plot, svg
from labkit.plot import _color, _Rows, _wider


def shown(
    values: Mapping[str, tuple[float, float]],
    margin: float,
    *,
    x: str,
    caption: str | None = None,
) -> plot.Shown:
    """Draw one interval for each difference, over a band from -margin to margin.

    Parameters
    ----------
    values
        Name to both ends of an interval.
    margin
        The largest difference that does not matter, above 0.
    x
        What the axis shows.
    caption
        A line that the book writes below the figure.
    """
    if not margin > 0:
        raise ValueError(f"the margin is {margin}; it must be above 0")
    low = min([-margin, *(low for low, _ in values.values())])
    high = max([margin, *(high for _, high in values.values())])
    axis = _Rows(list(values), _wider(low, high, log=False), room=12, log=False)
    begin, end, zero = axis.x(-margin), axis.x(margin), axis.x(0)
    band = {"x": begin, "y": 4, "width": end - begin, "height": axis.bottom - 4}
    parts = [
        axis.draw(x),
        svg.element("rect", fill_opacity="0.12", **band),
        svg.line(zero, 6, zero, axis.bottom, stroke_opacity="0.4"),
    ]
    said = []
    for row, (name, (low, high)) in enumerate(values.items()):
        look, y = {"style": f"stroke:{_color(name)}", "stroke_width": 2}, axis.y(row)
        parts.append(svg.line(axis.x(low), y, axis.x(high), y, **look))
        parts += [svg.line(axis.x(at), y - 5, axis.x(at), y + 5, **look) for at in (low, high)]
        inside = -margin < low and high < margin
        said.append(f"{name} {low:+.2f} to {high:+.2f}, {'inside' if inside else 'not inside'}")
    alt = f"Intervals of {x}, over a band from {-margin:g} to {margin:g}: " + "; ".join(said)
    data = [[*ends] for ends in values.values()]
    drawn = svg.document(plot._WIDTH, axis.height, alt, *parts)
    return plot.Shown(drawn, alt, [*data, [margin]], caption)
