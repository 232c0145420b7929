"""Bars made of parts: what shares a whole has, and how large the whole is."""

from collections.abc import Mapping

from labkit import plot, svg
from labkit.plot import _looks

_WIDTH, _BAR = 580, 22


def shares(
    wholes: Mapping[str, Mapping[str, float]], *, unit: str = "", caption: str | None = None
) -> plot.Shown:
    """Draw each whole as a bar of the same length, divided into the shares of its parts.

    Parameters
    ----------
    wholes
        Name to its parts, each name to a number from 0; the same parts in the same order.
    unit
        In what the sum is given that stands behind each bar.
    caption
        A line that the book writes below the figure.
    """
    parts = [list(whole) for whole in wholes.values()]
    if not parts or any(names != parts[0] for names in parts):
        raise ValueError(f"each bar must have the same parts, not {parts}")
    for name, whole in wholes.items():
        if min(whole.values()) < 0 or sum(whole.values()) <= 0:
            raise ValueError(f"{name}: no shares can be made of {list(whole.values())}")
    sums = {name: f"{sum(whole.values()):,.0f}" for name, whole in wholes.items()}
    left = 12 + svg.LETTER * max(map(len, wholes))
    right = _WIDTH - 14 - svg.LETTER * max(len(f"{s} {unit}") for s in sums.values())
    looks, drawn, at = _looks(parts[0]), [], left
    for name, look in looks.items():
        style = f"fill:{look.color}"
        drawn.append(
            svg.element("rect", x=at, y=4, width=14, height=14, style=style, fill_opacity="0.55")
        )
        drawn.append(svg.text(at + 20, 16, name))
        at += 36 + svg.LETTER * len(name)
    y, said = 32.0, []
    for name, whole in wholes.items():
        drawn.append(svg.text(left - 8, y + 16, name, text_anchor="end"))
        x, total = left, sum(whole.values())
        for part, value in whole.items():
            wide = (right - left) * value / total
            style = f"fill:{looks[part].color}"
            edge = {"stroke": "currentColor", "stroke_opacity": "0.4"}
            place = {"x": x, "y": y, "width": wide, "height": _BAR}
            drawn.append(svg.element("rect", style=style, fill_opacity="0.55", **edge, **place))
            if wide > 3.4 * svg.LETTER:
                share = f"{value / total:.0%}"
                drawn.append(svg.text(x + wide / 2, y + 16, share, text_anchor="middle"))
            x += wide
        drawn.append(svg.text(right + 8, y + 16, f"{sums[name]} {unit}".strip()))
        y += _BAR + 10
        listed = ", ".join(f"{part} {value / total:.0%}" for part, value in whole.items())
        said.append(f"{name}, {sums[name]} {unit}".strip() + f": {listed}")
    alt = "Bars of shares. " + "; ".join(said)
    data = [list(whole.values()) for whole in wholes.values()]
    return plot.Shown(svg.document(_WIDTH, y, alt, *drawn), alt, data, caption)
