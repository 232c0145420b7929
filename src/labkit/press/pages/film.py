"""The figure that moves both twins through a training, and the data that it fetches."""

import base64
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sphinx.application import Sphinx

from labkit.files import write_whole
from labkit.press import film, pages
from labkit.press.chapter import FRAMEWORKS
from labkit.press.pages.cards import FromRecords
from labkit.press.pages.html import render

_KEY = "films"
"""Where a page's metadata names the chapters whose films it shows."""
TILE, GAP = 8, 1
"""Of a kernel as it is drawn, beside the next."""


class FilmFigure(FromRecords):
    """A slider over the steps of a chapter's training, and what both twins looked like there."""

    def draw(self, exact: dict[str, dict[str, Any]]) -> str:
        """Return the figure; without its script it shows the last step."""
        name = self.arguments[0]
        self.env.metadata[self.env.docname].setdefault(_KEY, []).append(name)
        up = "../" * self.env.docname.count("/")
        number = self.env.new_serialno(_KEY)
        return figure(
            film.films(name, exact), number, f"{up}_static/film/", f"{up}{film.FOLDER}/{name}"
        )


def figure(both: film.Films, number: int, code: str, data: str) -> str:
    """Return the figure as HTML.

    Parameters
    ----------
    number
        Tells two figures of one page apart.
    code, data
        Where script and style lie, and what they fetch: an address to which .json is added.
    """
    one = both["pytorch"]
    grey = one.images.kept / np.iinfo(one.images.kept.dtype).max
    thumbs = np.rint((film.SHADES - 1) * np.hstack(list(grey))).astype(np.uint8)
    right = one.labels[0]
    rows = [
        {
            "name": name,
            "right": index == right,
            "chances": [(f, float(found.chances[-1, 0, index])) for f, found in both.items()],
        }
        for index, name in enumerate(one.classes)
    ]
    twins = [
        {
            "framework": framework,
            "title": FRAMEWORKS[framework],
            "kernels": list(_cells(found.kernels.values[-1], found.kernels.scale)),
            "maps": _address(film.png(film.row(found.maps.kept[-1, 0]))),
            "reads": found.classes[found.chances[-1, 0].argmax()],
        }
        for framework, found in both.items()
    ]
    wide = len(one.kernels.kept[0]) * (TILE + GAP) - GAP
    return render(
        "film",
        id=f"film-{number}",
        code=code,
        data=data,
        steps=one.steps,
        digits=[one.classes[label] for label in one.labels],
        thumbs=_address(film.png(thumbs)),
        twins=twins,
        rows=rows,
        box=f"0 0 {wide} {TILE}",
        tile=TILE,
        frames=range(0, wide, TILE + GAP),
        decimals=film.DECIMALS,
    )


def _address(picture: bytes) -> str:
    return "data:image/png;base64," + base64.b64encode(picture).decode()


def _cells(kernels: NDArray[np.float64], scale: float) -> Iterator[dict[str, Any]]:
    """Yield a square for each weight, kernel after kernel."""
    side = TILE / kernels.shape[-1]
    for (kernel, down, right), value in np.ndenumerate(kernels):
        yield {
            "x": f"{kernel * (TILE + GAP) + right * side:.4g}",
            "y": f"{down * side:.4g}",
            "side": f"{side:.4g}",
            "sign": "plus" if value > 0 else "minus",
            "depth": f"{np.sqrt(abs(value) / scale):.2f}",
        }


def write_data(app: Sphinx, error: Exception | None) -> None:
    """Put what the figures fetch beside the pages."""
    if error or app.builder.format != "html":
        return
    records = pages.course(str(app.srcdir)).records
    for name in sorted({n for m in app.env.metadata.values() for n in m.get(_KEY, ())}):
        contents = {f: records.read(records.path(name, f)) for f in FRAMEWORKS}
        exact = {f: content["exact"] for f, content in contents.items() if content}
        if exact.keys() == FRAMEWORKS.keys():
            for file, packed in film.files(name, film.films(name, exact)).items():
                write_whole(Path(app.outdir, file), packed)
