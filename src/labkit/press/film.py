"""What a page needs to show both twins' films of a training, made of their records.

The page shows fewer digits than the records hold: probabilities are rounded, and how far the twins
are apart is told of the whole numbers, here. Feature maps travel as a picture, one row of it a
frame of a digit, since browsers unpack pictures themselves. Two twins whose maps are the same to
the last byte share one.
"""

import io
import json
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from labkit import film, record
from labkit.film import Film

FOLDER = "film"
"""Where the data lies in the built book."""
DECIMALS = 4
"""Of the probabilities in a page."""
SHADES = 64
"""Of a picture in a page: an eye tells no more, and it is a third smaller for it."""
Films = Mapping[str, Film]
"""Framework to its film; both have the same form."""


def films(chapter: str, exact: Mapping[str, Mapping[str, Any]]) -> dict[str, Film]:
    """Return both twins' films.

    Parameters
    ----------
    exact
        Framework to the exact part of its record.

    Raises
    ------
    RecordError
        When a record holds no film, or the two cannot be shown as one.
    """
    found = {}
    for framework, content in exact.items():
        if "film" not in content:
            message = "holds no `film`, which the figure shows: see `labkit.film.pack`"
            raise record.RecordError(f"{chapter}.{framework}.json {message}")
        try:
            found[framework] = film.unpack(content["film"])
        except record.RecordError as error:
            raise record.RecordError(f"{chapter}.{framework}.json: {error}") from error
    first, second = found.values()
    if first.form != second.form:
        raise record.RecordError(
            f"{chapter}: the twins' films differ in steps, pictures or shapes: "
            f"{first.form} and {second.form}"
        )
    return found


def settles(both: Films) -> list[int | None]:
    """Return, for each picture, from which frame on both twins read it rightly to the end."""
    first, *_ = both.values()
    right = np.all([f.chances.argmax(axis=2) == first.labels for f in both.values()], axis=0)
    from_here_on = np.logical_and.accumulate(right[::-1])[::-1]
    return [int(seen.argmax()) if seen[-1] else None for seen in from_here_on.T]


def files(chapter: str, both: Films) -> dict[str, bytes]:
    """Return what the page fetches when its figure is first used, by its name in the book."""
    first, second = both.values()
    strips = {framework: strip(found) for framework, found in both.items()}
    names = dict.fromkeys(both, f"{FOLDER}/{chapter}.png")
    if len(set(strips.values())) > 1:
        names = {framework: f"{FOLDER}/{chapter}.{framework}.png" for framework in both}
    facts = {
        "steps": first.steps,
        "classes": first.classes,
        "labels": first.labels,
        "settles": settles(both),
        "shape": first.maps.kept.shape[2:],
        "twins": {
            framework: {
                "maps": names[framework].rpartition("/")[2],
                "kernels": found.kernels.kept.reshape(len(found.steps), -1).tolist(),
                "scale": int(np.iinfo(found.kernels.kept.dtype).max),
                "strongest": found.maps.values.mean(axis=(3, 4)).argmax(axis=2).tolist(),
                "chances": found.chances.round(DECIMALS).tolist(),
            }
            for framework, found in both.items()
        },
        "apart": {
            "chances": np.abs(first.chances - second.chances).max(axis=2).tolist(),
            "kernels": _apart(first.kernels, second.kernels, 1),
            "maps": _apart(first.maps, second.maps, 2),
        },
    }
    pictures = {names[framework]: strips[framework] for framework in both}
    said = json.dumps(facts, separators=(",", ":"))
    return {f"{FOLDER}/{chapter}.json": said.encode(), **pictures}


def _apart(first: film.Bytes, second: film.Bytes, leading: int) -> Any:
    """Return the largest difference of two films' numbers, for each frame."""
    gap = np.abs(first.values - second.values)
    return gap.max(axis=tuple(range(leading, gap.ndim))).tolist()


def strip(found: Film) -> bytes:
    """Return all feature maps as one picture: a row for each digit of each frame, dark is large."""
    frames, pictures, *shape = found.maps.kept.shape
    rows = [row(maps) for maps in found.maps.kept.reshape(frames * pictures, *shape)]
    return png(np.vstack(rows))


def row(maps: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return the shades of a few maps, side by side with a gap of one pixel.

    They grow with the square root of the values, as the kernels' do, so that small ones are seen.
    """
    shades = np.rint((SHADES - 1) * np.sqrt(maps / 255)).astype(np.uint8)
    gaps = np.full((len(maps), maps.shape[1], 1), SHADES, np.uint8)
    return np.hstack(list(np.concatenate([shades, gaps], axis=2)))[:, :-1]


def png(shades: NDArray[np.uint8]) -> bytes:
    """Return shades as a picture: 0 is white, the darkest is black, and a gap nothing at all."""
    picture = Image.frombytes("P", shades.shape[::-1], shades.tobytes())
    greys = np.rint(255 * (1 - np.arange(SHADES) / (SHADES - 1))).astype(int)
    picture.putpalette([*np.repeat(greys, 3).tolist(), 255, 255, 255])
    kept = io.BytesIO()
    picture.save(kept, "png", optimize=True, transparency=SHADES)
    return kept.getvalue()
