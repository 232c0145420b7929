"""Maps over pictures, and points in a plane, as figures."""

import base64
import io
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from labkit import plot, svg

_VEIL = (142, 36, 170)
"""The colour of a map: its depth is the map's value."""
_SIDE, _GAP = 60, 12


def spread(values: ArrayLike, side: int) -> NDArray[np.float64]:
    """Return maps enlarged to the pictures' side, each value a rectangle.

    Parameters
    ----------
    values
        (n, rows, columns).
    side
        Rows and columns of what is returned.
    """
    given = np.asarray(values, float)
    rows, columns = (np.arange(side) * n // side for n in given.shape[1:])
    return given[:, rows][:, :, columns]


def over(
    pictures: ArrayLike,
    maps: Mapping[str, ArrayLike],
    titles: Sequence[str] = (),
    *,
    caption: str | None = None,
) -> plot.Shown:
    """Show pictures in a row, and below them, row by row, each again under a map.

    Parameters
    ----------
    pictures
        (n, height, width, channels), grey values or colours from 0 to 1.
    maps
        Title of a row to (n, rows, columns): what is positive is shown, in each map relative to its
        largest value.
    titles
        One for each picture.
    caption
        A line that the book writes below the figure.
    """
    grid = np.asarray(pictures, float)
    veils = {name: np.maximum(np.asarray(v, float), 0) for name, v in maps.items()}
    for name, values in veils.items():
        if values.ndim != 3 or len(values) != len(grid):
            raise ValueError(f"{name}: maps of shape {values.shape} for {len(grid)} pictures")
    left = 12 + svg.LETTER * max(map(len, veils), default=0)
    longest = max(map(len, titles), default=0)
    wide = max(_SIDE + _GAP, svg.LETTER * longest + 8)
    head = 24 if longest else 6
    parts = [
        svg.text(left + wide * (k + 0.5), 17, title, text_anchor="middle")
        for k, title in enumerate(titles)
    ]
    for row, title in enumerate(["", *veils]):
        y = head + (_SIDE + _GAP) * row
        parts.append(svg.text(4, y + _SIDE / 2 + 5, title))
        for k, picture in enumerate(grid):
            place = (left + wide * k + (wide - _SIDE) / 2, y, _SIDE, _SIDE)
            if row == 0:
                parts.append(svg.picture(picture, *place))
            else:
                parts.append(svg.picture(_faded(picture), *place))
                parts.append(_veil(veils[title][k], *place))
    alt = f"{len(grid)} pictures" + (f" ({', '.join(titles)})" if titles else "")
    for name, values in veils.items():
        tops = "; ".join(_place(value) for value in values)
        alt += f". Under the map {name} each is largest: {tops}"
    height = head + (_SIDE + _GAP) * (len(veils) + 1)
    drawn = svg.document(left + wide * len(grid), height, alt, *parts)
    return plot.Shown(drawn, alt, [grid, *veils.values()], caption)


def points(
    groups: Mapping[str, ArrayLike],
    labels: ArrayLike,
    classes: Sequence[str],
    *,
    columns: int = 3,
    caption: str | None = None,
) -> plot.Shown:
    """Draw points in a plane, side by side for several ways to lay them out.

    Parameters
    ----------
    groups
        Title to (n, 2).
    labels
        (n,), each the index of a class: it decides a point's colour and its mark.
    classes
        One name for each label.
    columns
        How many planes lie side by side.
    caption
        A line that the book writes below the figure.
    """
    planes = {title: np.asarray(p, float) for title, p in groups.items()}
    classed = np.asarray(labels)
    columns = min(columns, len(planes))
    side, gap, parts = 580 // columns - 14, 14, []
    x = 4.0
    for k, name in enumerate(classes):
        parts.append(_point(x + 6, 12, k))
        parts.append(svg.text(x + 16, 17, name))
        x += 34 + svg.LETTER * len(name)
    for number, (title, plane) in enumerate(planes.items()):
        if plane.shape != (len(classed), 2):
            raise ValueError(f"{title}: {plane.shape} points for {len(classed)} labels")
        left = (side + gap) * (number % columns) + gap / 2
        top = 30 + (side + 30) * (number // columns)
        parts.append(svg.text(left + side / 2, top + 16, title, text_anchor="middle"))
        low, high = plane.min(axis=0), plane.max(axis=0)
        places = (plane - low) / np.maximum(high - low, 1e-12).max() * (side - 12) + 6
        for (a, b), k in zip(places, classed, strict=True):
            parts.append(_point(left + a, top + 22 + side - b, int(k)))
    alt = f"{len(classed)} points of the classes {', '.join(classes)}, laid out in a plane by: "
    alt += "; ".join(planes)
    height = 30 + (side + 30) * -(-len(planes) // columns)
    drawn = svg.document(max(580, x), height, alt, *parts)
    return plot.Shown(drawn, alt, [classed, *planes.values()], caption)


def _point(x: float, y: float, k: int) -> str:
    """Return a class' mark: its own shape, and not only a colour."""
    look = {"style": f"fill:{plot.OTHERS[k % len(plot.OTHERS)]}", "fill_opacity": "0.75"}
    kind = k % 4
    if kind == 0:
        return svg.element("circle", cx=x, cy=y, r=3, **look)
    if kind == 1:
        ring = {"fill": "none", "stroke_width": 1.5}
        style = f"stroke:{plot.OTHERS[k % len(plot.OTHERS)]}"
        return svg.element("circle", cx=x, cy=y, r=3, style=style, **ring)
    path = {
        2: f"M{x:.1f} {y - 4:.1f}l4 7h-8z",
        3: f"M{x - 3:.1f} {y - 1:.1f}h2v-2h2v2h2v2h-2v2h-2v-2h-2z",
    }[kind]
    return svg.element("path", d=path, **look)


def _faded(picture: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return a picture in pale ink, so that a map over it is seen."""
    return 0.4 * picture if picture.shape[-1] == 1 else 1 - 0.4 * (1 - picture)


def _veil(values: NDArray[np.float64], x: float, y: float, width: float, height: float) -> str:
    """Return a map as a picture that is clear where the map is zero."""
    from PIL import Image

    depth = 0.9 * values / max(values.max(), 1e-12)
    pixels = np.empty((*values.shape, 4), np.uint8)
    pixels[..., :3] = _VEIL
    pixels[..., 3] = np.round(255 * depth)
    kept = io.BytesIO()
    Image.fromarray(pixels).save(kept, "png", optimize=True)
    address = "data:image/png;base64," + base64.b64encode(kept.getvalue()).decode()
    place = {"x": x, "y": y, "width": width, "height": height}
    look = {"style": "image-rendering:pixelated", "preserveAspectRatio": "none"}
    return svg.element("image", href=address, **look, **place)


def _place(values: NDArray[np.float64]) -> str:
    """Say in words where a map is largest."""
    if not values.any():
        return "nowhere"
    row, column = np.unravel_index(values.argmax(), values.shape)
    words = []
    for at, count, names in (
        (row, values.shape[0], ("top", "middle", "bottom")),
        (column, values.shape[1], ("left", "centre", "right")),
    ):
        words.append(names[min(2, int(3 * (at + 0.5) / count))])
    return " ".join(words)
