"""Figures in one house style, each with a text alternative and a digest of what it draws.

nbval does not compare pictures, so each figure's plain text carries a digest of its data: a
changed figure fails the test. The same text is what a screen reader reads.

Orange is PyTorch, blue is TensorFlow, and nothing else is. Other lines take colours that the
colour-blind tell apart, and are named where they end.
"""

import hashlib
import re
import shutil
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from labkit import svg

COLORS = {
    "pytorch": "var(--twin-pytorch, #b8400e)",
    "tensorflow": "var(--twin-tensorflow, #1a5fb4)",
}
"""The frameworks' own: the page's, and on paper of their own these."""
OTHERS = (
    "var(--figure-1, #009e73)",
    "var(--figure-2, #8f3b76)",
    "currentColor",
    "var(--figure-4, #a08c00)",
    "var(--figure-5, #7a7f87)",
)
_PLUS, _MINUS = "var(--figure-plus, #8a3fa0)", "var(--figure-minus, #1b7837)"
_DASHES = (None, "7 4", "2 3", "9 3 2 3")
_WIDTH, _HEIGHT = 580, 290
_GREY = 0.55
"""How strong the ink of bars is."""


class _Shown:
    """A finished figure; a notebook shows it when it ends a cell."""

    def __init__(self, drawn: str | None, alt: str, mark: str, caption: str | None) -> None:
        self.svg, self.alt, self.digest, self.caption = drawn, alt, mark, caption

    def _repr_mimebundle_(
        self, include: Any = None, exclude: Any = None
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        plain = f"[{self.alt} (data {self.digest})]"
        if self.svg is None:
            hint = "graphviz draws it: apt install graphviz, or brew install graphviz"
            return {"text/plain": f"{plain}\n{hint}"}, {}
        said = {"alt": self.alt, **({"caption": self.caption} if self.caption else {})}
        return {"image/svg+xml": self.svg, "text/plain": plain}, {"image/svg+xml": said}


class Shown(_Shown):
    """A finished figure made of numbers."""

    def __init__(
        self, drawn: str, alt: str, data: Sequence[ArrayLike], caption: str | None
    ) -> None:
        super().__init__(drawn, alt, digest(*data), caption)


def digest(*data: ArrayLike) -> str:
    """Return eight letters that stand for the data, each value rounded to six digits."""
    mark = hashlib.sha256()
    for values in data:
        array = np.round(np.asarray(values, float), 6) + 0.0  # + 0.0 makes -0.0 a 0.0
        mark.update(str(array.shape).encode() + array.tobytes())
    return mark.hexdigest()[:8]


# --- curves ---------------------------------------------------------------------------------------


def curves(
    series: Mapping[str, ArrayLike] | ArrayLike,
    *,
    x: str = "step",
    y: str = "loss",
    at: ArrayLike | None = None,
    log: bool = False,
    title: str | None = None,
    limits: tuple[float, float] | None = None,
    caption: str | None = None,
) -> Shown:
    """Draw one or more curves over their index.

    Parameters
    ----------
    series
        Name to values; or the values alone. What a framework's name begins has its colour.
    x, y
        What the axes show.
    at
        Where on the horizontal axis the values lie, if not at 1, 2, 3, …
    log
        Whether the vertical axis is logarithmic.
    limits
        The ends of the vertical axis, where twins are to share one; else those of the values.
    caption
        A line that the book writes below the figure.
    """
    lines = dict(series) if isinstance(series, Mapping) else {y: series}
    values = {name: np.asarray(v, float) for name, v in lines.items()}
    alt = f"Line chart of {y} over {x}: " + "; ".join(
        f"{name + ' ' if len(values) > 1 else ''}{_course(line)}" for name, line in values.items()
    )
    drawn = chart(values, alt, x=x, y=y, at=at, log=log, title=title, limits=limits)
    return Shown(drawn, alt, list(values.values()), caption)


def chart(
    series: Mapping[str, ArrayLike],
    alt: str,
    *,
    x: str,
    y: str,
    at: ArrayLike | None = None,
    log: bool = False,
    title: str | None = None,
    limits: tuple[float, float] | None = None,
) -> str:
    """Return curves as vector graphics; see `curves`.

    Parameters
    ----------
    series
        Name to values.
    alt
        What the figure shows, in words.
    """
    values = {name: np.asarray(v, float) for name, v in series.items()}
    places = {
        name: np.arange(1.0, len(v) + 1) if at is None else np.asarray(at, float)
        for name, v in values.items()
    }
    named = len(values) > 1
    room = 34 + svg.LETTER * max(map(len, values)) if named else 12
    frame = _Frame.around(
        places.values(), values.values(), log=log, limits=limits, room=room, title=title
    )
    parts, later, ends = [frame.axes(x, y, title)], list(values.values()), []
    for name, look in _looks(list(values)).items():
        later = later[1:]
        # What lies under other lines is drawn wider, so that it is seen.
        width = 1.8 + 3 * sum(_covers(other, values[name]) for other in later)
        path = svg.curve(frame.x(places[name]), frame.y(values[name]))
        parts.append(
            svg.element("path", d=path, fill="none", stroke_width=width, **_stroke(look, width))
        )
        finite = np.flatnonzero(np.isfinite(frame.y(values[name])))
        last = finite[-1] if finite.size else 0
        ends.append((float(frame.y(values[name])[last]), name, look, width))
    if named:
        parts += _names(ends, frame)
    return svg.document(_WIDTH, _HEIGHT, alt, *parts)


class _Look(NamedTuple):
    color: str
    dashes: str | None


class _Frame(NamedTuple):
    """Where a chart's axes lie, and what they reach."""

    left: float
    right: float
    top: float
    bottom: float
    across: tuple[float, float]
    up: tuple[float, float]
    log: bool

    @classmethod
    def around(
        cls,
        xs: Iterable[NDArray[np.float64]],
        ys: Iterable[NDArray[np.float64]],
        *,
        log: bool,
        limits: tuple[float, float] | None,
        room: float,
        title: str | None,
    ) -> "_Frame":
        """Return a frame that holds all points, with room for words at the right."""
        all_x, all_y = np.concatenate(list(xs)), np.concatenate(list(ys))
        drawn = all_y[np.isfinite(all_y) & (all_y > 0 if log else True)]
        low, high = limits or ((drawn.min(), drawn.max()) if drawn.size else (0.1, 1.0))
        if limits is None:
            low, high = _wider(float(low), float(high), log=log)
        widest = max((len(words) for _, words in svg.ticks(low, high, log=log)), default=1)
        left = 30 + svg.LETTER * widest
        across = (float(all_x.min()), float(max(all_x.max(), all_x.min() + 1e-9)))
        top = 34 if title else 12
        return cls(left, _WIDTH - room, top, _HEIGHT - 46, across, (low, high), log)

    def x(self, values: ArrayLike) -> NDArray[np.float64]:
        """Return places in pixels."""
        part = (np.asarray(values, float) - self.across[0]) / (self.across[1] - self.across[0])
        return self.left + part * (self.right - self.left)

    def y(self, values: ArrayLike) -> NDArray[np.float64]:
        """Return heights in pixels; what a logarithm does not know is not finite."""
        with np.errstate(divide="ignore", invalid="ignore"):
            given, ends = np.asarray(values, float), np.asarray(self.up, float)
            if self.log:
                given, ends = np.log10(np.where(given > 0, given, np.nan)), np.log10(ends)
            return self.bottom - (given - ends[0]) / (ends[1] - ends[0]) * (self.bottom - self.top)

    def axes(self, x: str, y: str, title: str | None) -> str:
        """Return both axes with their marks and words."""
        parts = [svg.line(self.left, self.bottom, self.right, self.bottom)]
        for place, words in svg.ticks(*self.across, log=False):
            at = float(self.x(place))
            parts.append(svg.line(at, self.bottom, at, self.bottom + 4))
            parts.append(svg.text(at, self.bottom + 19, words, text_anchor="middle"))
        for place, words in svg.ticks(*self.up, log=self.log):
            at = float(self.y(place))
            parts.append(svg.line(self.left, at, self.right, at, stroke_opacity="0.15"))
            parts.append(svg.text(self.left - 6, at + 5, words, text_anchor="end"))
        middle = (self.left + self.right) / 2
        parts.append(svg.text(middle, self.bottom + 40, x, text_anchor="middle"))
        turned = f"translate(14 {(self.top + self.bottom) / 2:.0f}) rotate(-90)"
        parts.append(svg.text(0, 0, y, text_anchor="middle", transform=turned))
        if title:
            parts.append(svg.text(middle, 18, title, text_anchor="middle", font_weight="bold"))
        return "".join(parts)


def _wider(low: float, high: float, *, log: bool) -> tuple[float, float]:
    """Return the ends of an axis, a little beyond its values."""
    if log:
        factor = (high / low) ** 0.04 if high > low else 2.0
        return low / factor, high * factor
    margin = 0.04 * (high - low) or abs(high) or 1.0
    return low - margin, high + margin


def _looks(names: Sequence[str]) -> dict[str, _Look]:
    """Return the colour of each line: the framework's that it names, or else another."""
    found, used = {}, dict.fromkeys([*COLORS, ""], 0)
    for name in names:
        framework = next((f for f in COLORS if name.lower().startswith(f)), "")
        number = used[framework]
        used[framework] += 1
        if framework:
            found[name] = _Look(COLORS[framework], _DASHES[number % len(_DASHES)])
        elif len(names) == 1:
            found[name] = _Look("currentColor", None)
        else:
            turn, color = divmod(number, len(OTHERS))
            found[name] = _Look(OTHERS[color], _DASHES[turn % len(_DASHES)])
    return found


def _stroke(look: _Look, width: float) -> dict[str, Any]:
    """Return the attributes of a line; a thick one, under others, is pale."""
    opacity = "0.45" if width > 2 else None
    # A variable of the page stands in a style alone, not in an attribute.
    style = f"stroke:{look.color}"
    return {"style": style, "stroke_dasharray": look.dashes, "stroke_opacity": opacity}


def _names(ends: list[tuple[float, str, _Look, float]], frame: _Frame) -> list[str]:
    """Return the lines' names beside their ends, none over another."""
    step = svg.SIZE + 3
    ends = sorted(ends, key=lambda end: end[0])
    heights: list[float] = []
    for wanted, *_ in ends:
        heights.append(max([wanted, *(h + step for h in heights[-1:])]))
    excess = (heights[-1] if heights else 0) - frame.bottom
    for place in reversed(range(len(heights))):  # push up what hangs out below
        bound = frame.bottom if place == len(heights) - 1 else heights[place + 1] - step
        heights[place] = min(heights[place], bound) if excess > 0 else heights[place]
    parts = []
    for height, (_, name, look, width) in zip(heights, ends, strict=True):
        mark = {"d": f"M{frame.right + 6:.1f} {height:.1f}h14", "fill": "none"}
        parts.append(svg.element("path", stroke_width=width, **mark, **_stroke(look, width)))
        parts.append(svg.text(frame.right + 24, height + 5, name))
    return parts


def _covers(upper: NDArray[np.float64], lower: NDArray[np.float64]) -> bool:
    """Say whether two lines share more than half of their points."""
    return upper.shape == lower.shape and bool(np.isclose(upper, lower).mean() > 0.5)


def _course(line: NDArray[np.float64]) -> str:
    low, high = np.nanmin(line), np.nanmax(line)
    return (
        f"from {line[0]:.3g} to {line[-1]:.3g} in {len(line)} points, "
        f"lowest {low:.3g}, highest {high:.3g}"
    )


# --- rows -----------------------------------------------------------------------------------------


def bars(
    values: Mapping[str, float], *, x: str, log: bool = False, caption: str | None = None
) -> Shown:
    """Draw one horizontal bar for each value, the largest on top.

    Parameters
    ----------
    values
        Name to a number; positive where the axis is logarithmic.
    x
        What the axis shows.
    caption
        A line that the book writes below the figure.
    """
    rows = sorted(values.items(), key=lambda item: item[1])[::-1]
    numbers = [n for _, n in rows]
    if log and min(numbers, default=1) <= 0:
        raise ValueError(f"a logarithmic axis needs positive values, not {min(numbers)}")
    ends = (min(numbers) / 3, max(numbers)) if log else (min(0.0, *numbers), max(0.0, *numbers))
    axis = _Rows([name for name, _ in rows], (ends[0], ends[1] or 1.0), room=70, log=log)
    parts = [axis.draw(x)]
    for row, (name, number) in enumerate(rows):
        begin, end = sorted((axis.x(ends[0] if log else 0.0), axis.x(number)))
        place = {"x": begin, "y": axis.y(row) - 9, "width": end - begin, "height": 18}
        parts.append(svg.element("rect", **place, **_fill(name)))
        parts.append(svg.text(end + 5, axis.y(row) + 5, f"{number:.1e}".replace("-", "−")))
    alt = f"Bar chart of {x}: " + "; ".join(f"{name} {n:.2g}" for name, n in rows)
    return Shown(svg.document(_WIDTH, axis.height, alt, *parts), alt, [numbers[::-1]], caption)


def intervals(
    values: Mapping[str, tuple[float, float]], *, x: str, caption: str | None = None
) -> Shown:
    """Draw one dot with its interval for each value, in the given order from the top, and zero.

    Parameters
    ----------
    values
        Name to the middle of an interval and half its width.
    x
        What the axis shows.
    caption
        A line that the book writes below the figure.
    """
    low = min([0.0, *(middle - half for middle, half in values.values())])
    high = max([0.0, *(middle + half for middle, half in values.values())])
    axis = _Rows(list(values), _wider(low, high, log=False), room=12, log=False)
    zero = axis.x(0.0)
    parts = [axis.draw(x), svg.line(zero, 6, zero, axis.bottom, stroke_opacity="0.4")]
    for row, (name, (middle, half)) in enumerate(values.items()):
        look, y = {"style": f"stroke:{_color(name)}", "stroke_width": 2}, axis.y(row)
        begin, end = axis.x(middle - half), axis.x(middle + half)
        parts.append(svg.line(begin, y, end, y, **look))
        parts += [svg.line(end, y - 5, end, y + 5, **look) for end in (begin, end)]
        dot = {"cx": axis.x(middle), "cy": y, "r": 4}
        parts.append(svg.element("circle", style=f"fill:{_color(name)}", **dot))
    alt = f"Intervals of {x}: " + "; ".join(
        f"{name} {middle:+.2g} ± {half:.2g}" for name, (middle, half) in values.items()
    )
    rows = list(values.values())[::-1]
    data = [[middle for middle, _ in rows], [half for _, half in rows]]
    return Shown(svg.document(_WIDTH, axis.height, alt, *parts), alt, data, caption)


def chances(
    rows: Mapping[str, ArrayLike], classes: Sequence[str], *, caption: str | None = None
) -> Shown:
    """Draw probabilities as bars, side by side and on one scale.

    Parameters
    ----------
    rows
        Title to one probability for each class.
    classes
        What the classes are called.
    caption
        A line that the book writes below the figure.
    """
    values = {title: np.asarray(row, float) for title, row in rows.items()}
    for title, row in values.items():
        if row.shape != (len(classes),):
            raise ValueError(f"{title}: {row.shape} probabilities for {len(classes)} classes")
    names = svg.LETTER * max(map(len, classes)) + 8
    panel, parts = _WIDTH / len(values), []
    height = 30 + 19 * len(classes) + 28
    for number, (title, row) in enumerate(values.items()):
        left, room = number * panel + names, panel - names - 16
        parts.append(svg.text(left, 18, title, font_weight="bold"))
        for place, (name, part) in enumerate(zip(classes, row, strict=True)):
            y = 30 + 19 * place
            parts.append(svg.text(left - 5, y + 13, name, text_anchor="end"))
            where = {"x": left, "y": y + 1, "width": float(part * room), "height": 15}
            parts.append(svg.element("rect", fill_opacity=str(_GREY), **where))
        foot = 30 + 19 * len(classes)
        for edge, anchor in ((0, "start"), (1, "end")):
            parts.append(svg.line(left + edge * room, 28, left + edge * room, foot + 2))
            parts.append(svg.text(left + edge * room, foot + 18, str(edge), text_anchor=anchor))
    alt = f"Bar charts of {len(classes)} probabilities: " + "; ".join(
        f"{title}: largest {row.max():.0%} for {classes[int(row.argmax())]}"
        for title, row in values.items()
    )
    return Shown(svg.document(_WIDTH, height, alt, *parts), alt, list(values.values()), caption)


class _Rows:
    """A horizontal axis below rows that have names."""

    def __init__(
        self, names: Sequence[str], ends: tuple[float, float], *, room: float, log: bool
    ) -> None:
        self.names, self.ends, self.log = names, ends, log
        self.left = 12 + svg.LETTER * max(map(len, names), default=0)
        self.right = _WIDTH - room
        self.bottom = 8 + 28 * len(names)
        self.height = self.bottom + 48

    def x(self, value: float) -> float:
        """Return where a value lies, in pixels."""
        low, high, at = np.log10([*self.ends, value]) if self.log else (*self.ends, value)
        return float(self.left + (at - low) / (high - low) * (self.right - self.left))

    def y(self, row: int) -> float:
        """Return the middle of a row, in pixels."""
        return 8 + 28 * (row + 0.5)

    def draw(self, x: str) -> str:
        """Return names, axis and marks."""
        parts = [svg.line(self.left, self.bottom, self.right, self.bottom)]
        for row, name in enumerate(self.names):
            parts.append(svg.text(self.left - 6, self.y(row) + 5, name, text_anchor="end"))
        for place, words in svg.ticks(*self.ends, log=self.log):
            at = self.x(place)
            parts.append(svg.line(at, self.bottom, at, self.bottom + 4))
            parts.append(svg.text(at, self.bottom + 19, words, text_anchor="middle"))
        middle = _WIDTH / 2
        parts.append(svg.text(middle, self.bottom + 40, x, text_anchor="middle"))
        return "".join(parts)


def _color(name: str) -> str:
    """Return a framework's colour where a name begins with it, or else the page's ink."""
    return next((c for f, c in COLORS.items() if name.lower().startswith(f)), "currentColor")


def _fill(name: str) -> dict[str, Any]:
    color = _color(name)
    return {"fill_opacity": str(_GREY)} if color == "currentColor" else {"style": f"fill:{color}"}


# --- grids ----------------------------------------------------------------------------------------


def confusion(matrix: ArrayLike, classes: Sequence[str], *, caption: str | None = None) -> Shown:
    """Draw a confusion matrix: rows are what a picture shows, columns what was answered.

    Parameters
    ----------
    matrix
        (classes, classes) counts.
    caption
        A line that the book writes below the figure.
    """
    counts = np.asarray(matrix, int)
    if counts.shape != (len(classes), len(classes)):
        raise ValueError(f"the matrix has shape {counts.shape}, the classes are {len(classes)}")
    # The diagonal is large and known: shade by the mistakes, which the reader looks for.
    mistakes = counts - np.diag(np.diag(counts))
    longest = max(map(len, classes), default=1)
    side, left, top = max(34.0, svg.LETTER * longest + 6), 36 + svg.LETTER * longest, 8
    edge = side * len(classes)
    frame = {"x": left, "y": top, "width": edge, "height": edge, "fill": "none"}
    parts = [svg.element("rect", stroke="currentColor", **frame)]
    for row, column in np.argwhere(counts):
        x, y, count = left + side * column, top + side * row, counts[row, column]
        if row != column:
            depth = 0.08 + 0.27 * mistakes[row, column] / mistakes.max()
            place = {"x": x, "y": y, "width": side, "height": side}
            parts.append(svg.element("rect", fill_opacity=f"{depth:.2f}", **place))
        weight = None if row == column else "bold"
        middle = {"text_anchor": "middle", "font_weight": weight}
        parts.append(svg.text(x + side / 2, y + side / 2 + 5, str(count), **middle))
    for number, name in enumerate(classes):
        along = side * (number + 0.5)
        parts.append(svg.text(left - 6, top + along + 5, name, text_anchor="end"))
        parts.append(svg.text(left + along, top + edge + 18, name, text_anchor="middle"))
    parts.append(svg.text(left + edge / 2, top + edge + 38, "answered", text_anchor="middle"))
    turned = f"translate(14 {top + edge / 2:.0f}) rotate(-90)"
    parts.append(svg.text(0, 0, "shown", text_anchor="middle", transform=turned))
    off = [(mistakes[i, j], classes[i], classes[j]) for i, j in np.argwhere(mistakes)]
    worst = "; ".join(f"{n} × {a} taken for {b}" for n, a, b in sorted(off, reverse=True)[:3])
    alt = (
        f"Confusion matrix of {len(classes)} classes: {int(np.trace(counts))} of "
        f"{int(counts.sum())} right" + (f"; most frequent mistakes: {worst}" if worst else "")
    )
    drawn = svg.document(left + edge + 8, top + edge + 48, alt, *parts)
    return Shown(drawn, alt, [counts], caption)


def pictures(
    images: ArrayLike,
    titles: Sequence[str],
    *,
    columns: int = 8,
    most: int = 64,
    caption: str | None = None,
) -> Shown:
    """Show pictures with a title each.

    Parameters
    ----------
    images
        (n, height, width, channels) grey values or colours from 0 to 1.
    titles
        One for each picture.
    most
        How many are shown at most: the first ones.
    caption
        A line that the book writes below the figure.
    """
    grid = np.asarray(images, float)
    if grid.ndim != 4 or len(grid) != len(titles):
        raise ValueError(
            f"images have shape {grid.shape} and there are {len(titles)} titles; "
            "they must be (n, height, width, channels), with n titles"
        )
    count, grid, titles = len(grid), grid[:most], titles[:most]
    columns = max(1, min(columns, len(grid)))
    words = [title.split("\n") for title in titles]
    head = 18 * max(map(len, words), default=1) + 6
    longest = max((len(line) for lines in words for line in lines), default=1)
    wide = max(72.0, svg.LETTER * longest + 10)
    tall = head + 72
    parts = []
    for number, (values, lines) in enumerate(zip(grid, words, strict=True)):
        x, y = wide * (number % columns), tall * (number // columns)
        for row, line in enumerate(lines):
            place = x + wide / 2, y + head - 8 - 18 * (len(lines) - 1 - row)
            parts.append(svg.text(*place, line, text_anchor="middle"))
        parts.append(svg.picture(values, x + (wide - 60) / 2, y + head + 2, 60, 60))
    first = f", the first {len(grid)} shown" if count > len(grid) else ""
    named = f", titled: {', '.join(t.replace(chr(10), ' ') for t in titles)}" if count else ""
    alt = f"{count} pictures{first}{named}"
    height = tall * max(1, -(-len(grid) // columns))
    return Shown(svg.document(wide * columns, height, alt, *parts), alt, [grid], caption)


def shaded(
    text: str,
    values: Mapping[str, ArrayLike],
    *,
    columns: int = 64,
    caption: str | None = None,
) -> Shown:
    """Write a text once for each row of values, each character on the colour of its value.

    Parameters
    ----------
    text
        What is written; line ends are shown as ⏎ and break the line.
    values
        Title to one value for each character, from -1 (green) to 1 (purple).
    columns
        Where long lines are broken.
    caption
        A line that the book writes below the figure.
    """
    grids = {title: np.asarray(v, float) for title, v in values.items()}
    for title, grid in grids.items():
        if grid.shape != (len(text),):
            raise ValueError(f"{title}: {grid.shape} values for {len(text)} characters")
    letters, row, column = [], 0, 0
    for letter in text:
        letters.append((row, column))
        row, column = (row + 1, 0) if letter == "\n" or column == columns - 1 else (row, column + 1)
    rows = letters[-1][0] + 1
    wide, tall, y, parts = 9.0, 19.0, 0.0, []
    for title, grid in grids.items():
        parts.append(svg.text(4, y + 18, title))
        y += 26
        for (down, right), value in zip(letters, grid, strict=True):
            place = {"x": 4 + wide * right, "y": y + tall * down, "width": wide, "height": tall}
            style = f"fill:{_PLUS if value > 0 else _MINUS}"
            depth = f"{0.55 * min(1.0, abs(value)):.2f}"
            parts.append(svg.element("rect", style=style, fill_opacity=depth, **place))
        for down in range(rows):
            line = "".join(
                "⏎" if t == "\n" else t
                for t, (r, _) in zip(text, letters, strict=True)
                if r == down
            )
            look = {"font_family": "monospace", "font_size": 13, "xml:space": "preserve"}
            length = {"textLength": wide * len(line), "lengthAdjust": "spacingAndGlyphs"}
            parts.append(svg.text(4, y + tall * down + 14, line, **look, **length))
        y += tall * rows + 6
    alt = f"A text of {len(text)} characters, shaded by: " + "; ".join(
        f"{title}, from {grid.min():.2f} to {grid.max():.2f}" for title, grid in grids.items()
    )
    drawn = svg.document(8 + wide * columns, y, alt, *parts)
    return Shown(drawn, alt, list(grids.values()), caption)


# --- graphs ---------------------------------------------------------------------------------------


class Drawing(_Shown):
    """A finished graph; without graphviz, its text alternative and how to get it."""

    def __init__(self, drawn: str | None, alt: str, data: str, caption: str | None = None) -> None:
        mark = hashlib.sha256(data.encode()).hexdigest()[:8]
        super().__init__(drawn, alt, mark, caption)


def graph(
    nodes: Mapping[str, str],
    edges: Sequence[tuple[str, str]],
    *,
    what: str,
    caption: str | None = None,
) -> Drawing:
    """Draw a graph by graphviz; without graphviz, say how to get it.

    Parameters
    ----------
    nodes
        Name to label.
    edges
        Pairs of names, from and to.
    what
        What the graph is, for the text alternative.
    caption
        A line that the book writes below the figure.
    """
    for edge in edges:
        for name in edge:
            if name not in nodes:
                raise ValueError(f"the edge {edge} has no node {name!r}")
    quoted = {name: f'"n{number}"' for number, name in enumerate(nodes)}
    labels = {name: label.replace('"', r"\"") for name, label in nodes.items()}
    lines = [f'{quoted[name]} [label="{label}"]' for name, label in labels.items()]
    lines += [f"{quoted[a]} -> {quoted[b]}" for a, b in edges]
    dot = f"""digraph {{
        rankdir=TB bgcolor=white nodesep=0.2 ranksep=0.25
        node [shape=box style=rounded fontname="sans-serif" fontsize=11 height=0.3]
        edge [arrowsize=0.6 color="#4b5563"]
        {"; ".join(lines)}
    }}"""
    said = {name: label.replace("\\n", " ") for name, label in nodes.items()}
    ways = "; ".join(f"{said[a]} to {said[b]}" for a, b in edges) or ", ".join(said.values())
    alt = f"Graph of {what}, {len(nodes)} nodes and {len(edges)} edges: {ways}"
    return Drawing(_draw(dot), alt, dot, caption)


def _draw(dot: str) -> str | None:
    program = shutil.which("dot")
    if program is None:
        return None
    done = subprocess.run(
        [program, "-Tsvg"], input=dot, capture_output=True, text=True, check=True, timeout=60
    )
    # From <svg> on: what stands before names the graphviz that drew it.
    drawn = done.stdout[done.stdout.index("<svg") :]
    # Its paper goes, its two inks become the page's, and two graphs on one page share no ids.
    drawn = re.sub(r'<polygon fill="white" stroke="(none|transparent)"[^>]*/>', "", drawn, count=1)
    drawn = re.sub(r'<title>.*?</title>\n?|<!--.*?-->\n?| id="[^"]*"', "", drawn, flags=re.DOTALL)
    drawn = re.sub(r'(stroke|fill)="(black|#4b5563)"', r'\1="currentColor"', drawn)
    # What has no colour of its own, the text, is in graphviz's black.
    return drawn.replace("<svg", f'<svg style="{svg.PAPER}" fill="currentColor"', 1)
