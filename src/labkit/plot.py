"""Figures in one house style, each with a text alternative and a digest of what it draws.

nbval does not compare pictures, so each figure's plain text carries a digest of its data: a
changed figure fails the test. The same text is what a screen reader reads.
"""

import hashlib
import io
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

if TYPE_CHECKING:  # matplotlib takes longer to import than all the rest of labkit
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLORS = {"pytorch": "#b8400e", "tensorflow": "#1a5fb4", "other": "#4b5563"}

_DPI = 96
"""Pixels that a browser gives to an inch; figures are drawn twice as fine, for sharp screens."""


class Shown:
    """A finished figure; a notebook shows it when it ends a cell."""

    def __init__(self, figure: "Figure", alt: str, data: Sequence[ArrayLike]) -> None:
        self.alt = alt
        self.digest = digest(*data)
        buffer = io.BytesIO()
        figure.savefig(buffer, format="png", dpi=2 * _DPI, metadata={"Software": None})
        self.png = buffer.getvalue()
        self.width = round(figure.get_figwidth() * _DPI)

    def _repr_mimebundle_(
        self, include: Any = None, exclude: Any = None
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        plain = f"[{self.alt} (data {self.digest})]"
        shown = {"alt": self.alt, "width": self.width}
        return {"image/png": self.png, "text/plain": plain}, {"image/png": shown}


def digest(*data: ArrayLike) -> str:
    """Return eight letters that stand for the data, each value rounded to six digits."""
    mark = hashlib.sha256()
    for values in data:
        array = np.round(np.asarray(values, float), 6) + 0.0  # + 0.0 makes -0.0 a 0.0
        mark.update(str(array.shape).encode() + array.tobytes())
    return mark.hexdigest()[:8]


def curves(
    series: Mapping[str, ArrayLike] | ArrayLike,
    *,
    x: str = "step",
    y: str = "loss",
    at: ArrayLike | None = None,
    log: bool = False,
    title: str | None = None,
) -> Shown:
    """Draw one or more curves over their index.

    Parameters
    ----------
    series
        Name to values; or the values alone.
    x, y
        What the axes show.
    at
        Where on the horizontal axis the values lie, if not at 1, 2, 3, …
    log
        Whether the vertical axis is logarithmic.
    """
    lines = dict(series) if isinstance(series, Mapping) else {y: series}
    values = {name: np.asarray(v, float) for name, v in lines.items()}
    with _figure(6.4, 3.2) as (figure, axes):
        later = list(values.values())
        for name, line in values.items():
            later = later[1:]
            color = COLORS.get(name.lower())
            # What lies under other lines is drawn wider, so that it is seen.
            width = 1.5 + 2.5 * sum(_covers(other, line) for other in later)
            places = np.arange(1, len(line) + 1) if at is None else np.asarray(at, float)
            axes.plot(places, line, label=name, color=color, lw=width)
        axes.set(xlabel=x, ylabel=y, title=title, yscale="log" if log else "linear")
        axes.spines[["top", "right"]].set_visible(False)
        if len(values) > 1:
            axes.legend(frameon=False)
    alt = f"Line chart of {y} over {x}: " + "; ".join(
        f"{name + ' ' if len(values) > 1 else ''}{_course(line)}" for name, line in values.items()
    )
    return Shown(figure, alt, list(values.values()))


def _covers(upper: NDArray[np.float64], lower: NDArray[np.float64]) -> bool:
    """Say whether two lines share more than half of their points."""
    return upper.shape == lower.shape and bool(np.isclose(upper, lower).mean() > 0.5)


def _course(line: NDArray[np.float64]) -> str:
    low, high = np.nanmin(line), np.nanmax(line)
    return (
        f"from {line[0]:.3g} to {line[-1]:.3g} in {len(line)} points, "
        f"lowest {low:.3g}, highest {high:.3g}"
    )


def bars(values: Mapping[str, float], *, x: str, log: bool = False) -> Shown:
    """Draw one horizontal bar for each value, the largest on top.

    Parameters
    ----------
    values
        Name to a number; positive where the axis is logarithmic.
    x
        What the axis shows.
    """
    rows = sorted(values.items(), key=lambda item: item[1])
    numbers = [n for _, n in rows]
    if log and min(numbers, default=1) <= 0:
        raise ValueError(f"a logarithmic axis needs positive values, not {min(numbers)}")
    with _figure(6.4, 0.6 + 0.32 * len(rows)) as (figure, axes):
        drawn = axes.barh([name for name, _ in rows], numbers, color=COLORS["other"])
        axes.bar_label(drawn, [f"{n:.1e}" for n in numbers], padding=3, fontsize=9)
        axes.set(xlabel=x, xscale="log" if log else "linear")
        axes.margins(x=0.15)
        axes.spines[["top", "right"]].set_visible(False)
    alt = f"Bar chart of {x}: " + "; ".join(f"{name} {n:.2g}" for name, n in reversed(rows))
    return Shown(figure, alt, [numbers])


def intervals(values: Mapping[str, tuple[float, float]], *, x: str) -> Shown:
    """Draw one dot with its interval for each value, in the given order from the top, and zero.

    Parameters
    ----------
    values
        Name to the middle of an interval and half its width.
    x
        What the axis shows.
    """
    rows = list(values.items())[::-1]
    names, middles = [name for name, _ in rows], [middle for _, (middle, _) in rows]
    halves = [half for _, (_, half) in rows]
    with _figure(6.4, 0.8 + 0.36 * len(rows)) as (figure, axes):
        axes.axvline(0, color="#9ca3af", lw=1)
        axes.errorbar(middles, names, xerr=halves, fmt="o", color=COLORS["other"], capsize=4)
        axes.set(xlabel=x)
        axes.margins(y=0.15)
        axes.spines[["top", "right"]].set_visible(False)
    alt = f"Intervals of {x}: " + "; ".join(
        f"{name} {middle:+.2g} ± {half:.2g}" for name, (middle, half) in values.items()
    )
    return Shown(figure, alt, [middles, halves])


def confusion(matrix: ArrayLike, classes: Sequence[str]) -> Shown:
    """Draw a confusion matrix: rows are what a picture shows, columns what was answered.

    Parameters
    ----------
    matrix
        (classes, classes) counts.
    """
    counts = np.asarray(matrix, int)
    if counts.shape != (len(classes), len(classes)):
        raise ValueError(f"the matrix has shape {counts.shape}, the classes are {len(classes)}")
    with _figure(4.6, 4.2) as (figure, axes):
        # The diagonal is large and known: shade by the mistakes, which the reader looks for.
        mistakes = counts - np.diag(np.diag(counts))
        axes.imshow(mistakes, cmap="Oranges", vmax=max(1, mistakes.max()) * 1.4)
        for row, column in np.ndindex(*counts.shape):
            if counts[row, column]:
                weight = "normal" if row == column else "bold"
                axes.text(
                    column, row, str(counts[row, column]), ha="center", va="center", weight=weight
                )
        axes.set_xticks(range(len(classes)), classes)
        axes.set_yticks(range(len(classes)), classes)
        axes.set(xlabel="answered", ylabel="shown")
    off = [(mistakes[i, j], classes[i], classes[j]) for i, j in np.argwhere(mistakes)]
    worst = "; ".join(f"{n} × {a} taken for {b}" for n, a, b in sorted(off, reverse=True)[:3])
    alt = (
        f"Confusion matrix of {len(classes)} classes: {int(np.trace(counts))} of "
        f"{int(counts.sum())} right" + (f"; most frequent mistakes: {worst}" if worst else "")
    )
    return Shown(figure, alt, [counts])


def pictures(
    images: ArrayLike, titles: Sequence[str], *, columns: int = 8, most: int = 64
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
    """
    grid = np.asarray(images, float)
    if grid.ndim != 4 or len(grid) != len(titles):
        raise ValueError(
            f"images have shape {grid.shape} and there are {len(titles)} titles; "
            "they must be (n, height, width, channels), with n titles"
        )
    count, grid, titles = len(grid), grid[:most], titles[:most]
    columns = max(1, min(columns, len(grid)))
    rows = max(1, -(-len(grid) // columns))
    with _figure(0.95 * columns, 1.2 * rows, rows, columns) as (figure, axes):
        for place, ax in enumerate(np.ravel(np.asarray(axes, object))):
            ax.axis("off")
            if place < len(grid):
                picture = grid[place]
                grey = picture.shape[-1] == 1
                ax.imshow(picture[..., 0] if grey else picture, cmap="gray_r", vmin=0, vmax=1)
                ax.set_title(titles[place], fontsize=9)
    first = f", the first {len(grid)} shown" if count > len(grid) else ""
    named = f", titled: {', '.join(t.replace(chr(10), ' ') for t in titles)}" if count else ""
    alt = f"{count} pictures{first}{named}"
    return Shown(figure, alt, [grid])


def chances(rows: Mapping[str, ArrayLike], classes: Sequence[str]) -> Shown:
    """Draw probabilities as bars, side by side and on one scale.

    Parameters
    ----------
    rows
        Title to one probability for each class.
    classes
        What the classes are called.
    """
    values = {title: np.asarray(row, float) for title, row in rows.items()}
    for title, row in values.items():
        if row.shape != (len(classes),):
            raise ValueError(f"{title}: {row.shape} probabilities for {len(classes)} classes")
    with _figure(1.7 * len(values) + 0.3, 2.4, 1, len(values)) as (figure, axes):
        for ax, (title, row) in zip(
            np.ravel(np.asarray(axes, object)), values.items(), strict=True
        ):
            ax.barh(list(classes), row, color=COLORS["other"])
            ax.set(title=title, xlim=(0, 1), xticks=(0, 1))
            ax.invert_yaxis()
            ax.spines[["top", "right"]].set_visible(False)
    alt = f"Bar charts of {len(classes)} probabilities: " + "; ".join(
        f"{title}: largest {row.max():.0%} for {classes[int(row.argmax())]}"
        for title, row in values.items()
    )
    return Shown(figure, alt, list(values.values()))


def shaded(text: str, values: Mapping[str, ArrayLike], *, columns: int = 64) -> Shown:
    """Write a text once for each row of values, each character on the colour of its value.

    Parameters
    ----------
    text
        What is written; line ends are shown as ⏎ and break the line.
    values
        Title to one value for each character, from -1 (blue) to 1 (red).
    columns
        Where long lines are broken.
    """
    grids = {title: np.asarray(v, float) for title, v in values.items()}
    for title, grid in grids.items():
        if grid.shape != (len(text),):
            raise ValueError(f"{title}: {grid.shape} values for {len(text)} characters")
    places, row, column = [], 0, 0
    for letter in text:
        places.append((row, column))
        row, column = (row + 1, 0) if letter == "\n" or column == columns - 1 else (row, column + 1)
    rows = places[-1][0] + 1
    with _figure(6.8, len(grids) * (0.3 + 0.19 * rows), len(grids), 1) as (figure, axes):
        for (title, grid), ax in zip(
            grids.items(), np.ravel(np.asarray(axes, object)), strict=True
        ):
            picture = np.full((rows, columns), np.nan)
            for place, value in zip(places, grid, strict=True):
                picture[place] = value
            ax.imshow(picture, cmap="RdBu_r", vmin=-1.3, vmax=1.3, aspect="auto")
            for (down, right), letter in zip(places, text, strict=True):
                shown = "⏎" if letter == "\n" else letter
                ax.text(right, down, shown, ha="center", va="center", size=7, family="monospace")
            ax.set_title(title, loc="left")
            ax.axis("off")
    alt = f"A text of {len(text)} characters, shaded by: " + "; ".join(
        f"{title}, from {grid.min():.2f} to {grid.max():.2f}" for title, grid in grids.items()
    )
    return Shown(figure, alt, list(grids.values()))


class Drawing:
    """A finished graph, as vector graphics; a notebook shows it when it ends a cell."""

    def __init__(self, svg: str | None, alt: str, data: str) -> None:
        self.alt, self.svg = alt, svg
        self.digest = hashlib.sha256(data.encode()).hexdigest()[:8]

    def _repr_mimebundle_(
        self, include: Any = None, exclude: Any = None
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        plain = f"[{self.alt} (data {self.digest})]"
        if self.svg is None:
            hint = "graphviz draws it: apt install graphviz, or brew install graphviz"
            return {"text/plain": f"{plain}\n{hint}"}, {}
        return {"image/svg+xml": self.svg, "text/plain": plain}, {
            "image/svg+xml": {"alt": self.alt}
        }


def graph(nodes: Mapping[str, str], edges: Sequence[tuple[str, str]], *, what: str) -> Drawing:
    """Draw a graph by graphviz; without graphviz, say how to get it.

    Parameters
    ----------
    nodes
        Name to label.
    edges
        Pairs of names, from and to.
    what
        What the graph is, for the text alternative.
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
        edge [arrowsize=0.6 color="{COLORS["other"]}"]
        {"; ".join(lines)}
    }}"""
    said = {name: label.replace("\\n", " ") for name, label in nodes.items()}
    ways = "; ".join(f"{said[a]} to {said[b]}" for a, b in edges) or ", ".join(said.values())
    alt = f"Graph of {what}, {len(nodes)} nodes and {len(edges)} edges: {ways}"
    return Drawing(_draw(dot), alt, dot)


def _draw(dot: str) -> str | None:
    program = shutil.which("dot")
    if program is None:
        return None
    done = subprocess.run(
        [program, "-Tsvg"], input=dot, capture_output=True, text=True, check=True, timeout=60
    )
    # From <svg> on: what stands before names the graphviz that drew it.
    return done.stdout[done.stdout.index("<svg") :]


@contextmanager
def _figure(
    width: float, height: float, rows: int = 1, columns: int = 1
) -> Iterator[tuple["Figure", "Axes | Any"]]:
    import matplotlib
    from matplotlib.figure import Figure

    style: Any = {
        "font.size": 10,
        "axes.titlesize": 11,
        "axes.grid": False,
        "svg.hashsalt": "labkit",
    }
    with matplotlib.rc_context(style):
        figure = Figure(figsize=(width, height), layout="constrained")
        yield figure, figure.subplots(rows, columns)
