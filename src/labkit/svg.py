"""Vector graphics by hand: small, the same bytes everywhere, in the ink of the page around them.

Text and lines are in ``currentColor``. A notebook shows a figure as an image, which knows no page:
there it brings its own white paper and dark ink, which the book takes off.
"""

import base64
import io
from html import escape
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

PAPER = "background:#fff;color:#1f2328"
SIZE = 14
"""Of letters, in pixels."""
LETTER = 0.56 * SIZE
"""About how wide a letter is: fonts differ."""


def document(width: float, height: float, alt: str, *body: str) -> str:
    """Return a whole figure.

    Parameters
    ----------
    width, height
        In pixels.
    alt
        What it shows, for those who don't see it.
    body
        Its elements.
    """
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:g} {height:g}" '
        f'width="{width:g}" height="{height:g}" role="img" aria-label="{escape(alt)}" '
        f'style="{PAPER}" fill="currentColor" font-family="system-ui, sans-serif" '
        f'font-size="{SIZE}">{"".join(body)}</svg>'
    )


def element(name: str, inside: str = "", /, **attributes: Any) -> str:
    """Return an element; underscores in the names of its attributes stand for hyphens."""
    given = "".join(
        f' {key.replace("_", "-")}="{_value(value)}"'
        for key, value in attributes.items()
        if value is not None
    )
    return f"<{name}{given}>{inside}</{name}>" if inside else f"<{name}{given}/>"


def text(x: float, y: float, words: str, **attributes: Any) -> str:
    """Return a line of text; `y` is where its letters stand."""
    return element("text", escape(words), x=x, y=y, **attributes)


def line(x1: float, y1: float, x2: float, y2: float, **attributes: Any) -> str:
    """Return a straight line."""
    look = {"stroke": "currentColor", **attributes}
    return element("path", d=f"M{x1:.1f} {y1:.1f}L{x2:.1f} {y2:.1f}", **look)


def curve(x: ArrayLike, y: ArrayLike) -> str:
    """Return the path of a curve through points in pixels, broken where one is not finite.

    Points that no reader could tell from a straight line are left out.
    """
    from matplotlib.path import Path

    path = Path(np.column_stack([np.asarray(x, float), np.asarray(y, float)]))
    path.should_simplify, path.simplify_threshold = True, 0.15
    drawn = path.cleaned(remove_nans=True, simplify=True)
    points, codes = np.asarray(drawn.vertices, float), np.asarray(drawn.codes)
    parts = [
        f"{'M' if code == Path.MOVETO else 'L'}{_value(x)} {_value(y)}"
        for (x, y), code in zip(points, codes, strict=True)
        if code in (Path.MOVETO, Path.LINETO)
    ]
    return "".join(parts)


def picture(values: ArrayLike, x: float, y: float, width: float, height: float) -> str:
    """Return a picture on white paper of its own, each of its pixels a square.

    Parameters
    ----------
    values
        (height, width, 1), white 0 to black 1; or (height, width, 3), red, green and blue.
    x, y, width, height
        Where it lies, in pixels.
    """
    from PIL import Image

    pixels = np.asarray(values, float)
    grey = pixels.shape[-1] == 1
    shades = np.round(255 * np.clip(1 - pixels[..., 0] if grey else pixels, 0, 1))
    kept = io.BytesIO()
    Image.fromarray(shades.astype(np.uint8)).save(kept, "png", optimize=True)
    address = "data:image/png;base64," + base64.b64encode(kept.getvalue()).decode()
    place = {"x": x, "y": y, "width": width, "height": height}
    mat = {"x": x - 3, "y": y - 3, "width": width + 6, "height": height + 6}
    return element("rect", fill="#fff", rx=3, **mat) + element(
        "image",
        href=address,
        style="image-rendering:pixelated",
        preserveAspectRatio="none",
        **place,
    )


def ticks(low: float, high: float, *, log: bool) -> list[tuple[float, str]]:
    """Return where an axis has its marks, and the number at each."""
    from matplotlib.ticker import LogLocator, MaxNLocator

    def inside(found: ArrayLike) -> list[float]:
        margin = 0.0 if log else 1e-9 * (high - low)
        places = np.asarray(found, float)
        return [float(p) for p in places if low - margin <= p <= high + margin]

    if not log:
        places = inside(MaxNLocator(6, steps=[1, 2, 5, 10]).tick_values(low, high))
    else:
        places = inside(LogLocator(numticks=7).tick_values(low, high))
        if len(places) < 2:
            places = inside(LogLocator(subs=(1, 2, 5)).tick_values(low, high))
    return [(place, _number(place)) for place in places]


def _number(value: float) -> str:
    """Return a mark's number, as short as it may be."""
    if 1e3 <= abs(value) < 1e6:
        return f"{value:,.0f}".replace("-", "−")
    return f"{value:.6g}".replace("e-0", "e-").replace("e+0", "e").replace("-", "−")


def _value(value: Any) -> str:
    """Return an attribute's value; a tenth of a pixel is fine enough."""
    if isinstance(value, float | np.floating):
        return f"{value:.1f}".removesuffix(".0")
    return str(value)
