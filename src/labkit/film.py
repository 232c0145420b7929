"""A film of a training, small enough for a record: what a network looked like at some of its steps.

A frame holds the kernels of one layer, what they find in a few pictures, and the probabilities that
the network gives them. Kernels and maps are kept in 8 bits a value: an eye sees no more, and what
two processors round otherwise changes no byte. Probabilities are kept as they are.
"""

import base64
import binascii
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from labkit.record import RecordError

STEPS = 16
"""A scale is a multiple of one part in so many, so that its last bits are nobody's rounding."""


class Frame(NamedTuple):
    """What a network looks like after some steps of training."""

    kernels: ArrayLike
    """(rows, columns, kernels)"""
    maps: ArrayLike
    """(pictures, rows, columns, kernels), what comes out of a ReLU."""
    chances: ArrayLike
    """(pictures, classes), probabilities."""


@dataclass(frozen=True)
class Bytes:
    """Numbers in 8 bits each."""

    kept: NDArray[Any]
    """Of the type int8, or uint8 where no number is negative."""
    scale: float
    """What the largest byte stands for."""

    @property
    def values(self) -> NDArray[np.float64]:
        """The numbers, to a part of their scale."""
        return self.kept * (self.scale / np.iinfo(self.kept.dtype).max)


@dataclass(frozen=True)
class Film:
    """A film as it is read back from a record."""

    steps: tuple[int, ...]
    classes: tuple[str, ...]
    labels: tuple[int, ...]
    """What the pictures show, each the index of a class."""
    images: Bytes
    """(pictures, rows, columns)"""
    kernels: Bytes
    """(steps, kernels, rows, columns)"""
    maps: Bytes
    """(steps, pictures, kernels, rows, columns)"""
    chances: NDArray[np.float64]
    """(steps, pictures, classes)"""

    @property
    def form(self) -> tuple[Any, ...]:
        """What two films must share to be shown as one."""
        shapes = (self.images.kept.shape, self.kernels.kept.shape, self.maps.kept.shape)
        return self.steps, self.classes, self.labels, *shapes


def pack(
    frames: Mapping[int, Frame | tuple[ArrayLike, ArrayLike, ArrayLike]],
    images: ArrayLike,
    labels: Sequence[int] | NDArray[np.integer],
    classes: Sequence[str],
) -> dict[str, Any]:
    """Return a film as a record holds it; see `Session.record`.

    Parameters
    ----------
    frames
        Steps of training done so far, rising, to a `Frame` each.
    images
        (pictures, rows, columns) grey values from 0 to 1.
    labels
        What each picture shows, as the index of a class.

    Raises
    ------
    ValueError
        When the frames do not fit each other, the pictures or the classes; when a number is not
        finite; or when a map holds negative ones.
    """
    steps, shown = [int(step) for step in frames], np.asarray(images, float)
    if not steps or steps != sorted(set(steps)):
        raise ValueError(f"a film has frames at rising steps, not at {steps}")
    parts = [[np.asarray(part, float) for part in frame] for frame in frames.values()]
    for step, found in zip(steps, parts, strict=True):
        forms = [part.shape for part in found]
        if forms != [part.shape for part in parts[0]]:
            raise ValueError(f"the frame at step {step} has another form than the first: {forms}")
    kernels, maps, chances = (np.stack(part) for part in zip(*parts, strict=True))
    count = len(labels)
    if kernels.ndim != 4 or maps.ndim != 5 or maps.shape[-1] != kernels.shape[-1]:
        raise ValueError(
            f"kernels {kernels.shape[1:]} and maps {maps.shape[1:]} do not fit; they must be "
            "(rows, columns, kernels) and (pictures, rows, columns, kernels)"
        )
    if not (shown.ndim == 3 and len(shown) == maps.shape[1] == count):
        raise ValueError(f"maps of {maps.shape[1]} pictures, images {shown.shape}, {count} labels")
    if chances.shape[1:] != (count, len(classes)):
        raise ValueError(f"probabilities {chances.shape[1:]} of {count} pictures, not one a class")
    if maps.min() < 0:
        raise ValueError("a map holds negative numbers: keep what comes out of the ReLU")
    return {
        "steps": steps,
        "classes": [str(name) for name in classes],
        "labels": [int(label) for label in labels],
        "images": _packed(shown, "images"),
        "kernels": _packed(np.moveaxis(kernels, -1, 1), "kernels"),
        "maps": _packed(np.moveaxis(maps, -1, 2), "maps"),
        "chances": _finite(chances, "probabilities").tolist(),
    }


def _finite(values: NDArray[np.float64], what: str) -> NDArray[np.float64]:
    if not np.isfinite(values).all():
        raise ValueError(f"the {what} hold a number that is not finite: training has diverged")
    return values


def _packed(values: NDArray[np.float64], what: str) -> dict[str, Any]:
    """Return numbers as text, with shape, kind and scale."""
    largest = float(np.abs(_finite(values, what)).max(initial=0))
    scale = max(1, np.ceil(STEPS * largest)) / STEPS
    kind = np.dtype("i1" if values.min(initial=0) < 0 else "u1")
    kept = np.rint(values / scale * np.iinfo(kind).max).astype(kind)
    text = base64.b64encode(kept.tobytes()).decode()
    return {"shape": list(values.shape), "kind": kind.str[1:], "scale": scale, "bytes": text}


def unpack(content: Any) -> Film:
    """Read a film from what a record holds.

    Raises
    ------
    RecordError
        When it is no film as `pack` makes it.
    """
    try:
        film = Film(
            tuple(map(int, content["steps"])),
            tuple(map(str, content["classes"])),
            tuple(map(int, content["labels"])),
            _unpacked(content["images"]),
            _unpacked(content["kernels"]),
            _unpacked(content["maps"]),
            np.array(content["chances"], float),
        )
    except (KeyError, TypeError, ValueError, binascii.Error) as error:
        raise RecordError(f"no film can be read: {type(error).__name__}: {error}") from error
    frames, pictures = len(film.steps), len(film.labels)
    fits = (
        film.images.kept.shape[:1] == (pictures,)
        and film.kernels.kept.shape[:1] == (frames,)
        and film.maps.kept.shape[:2] == (frames, pictures)
        and film.maps.kept.shape[2:3] == film.kernels.kept.shape[1:2]
        and film.chances.shape == (frames, pictures, len(film.classes))
        and all(0 <= label < len(film.classes) for label in film.labels)
        and film.maps.kept.dtype == film.images.kept.dtype == np.uint8
    )
    if not fits:
        raise RecordError("no film can be read: its parts do not fit each other")
    return film


def _unpacked(content: Mapping[str, Any]) -> Bytes:
    kind = {"i1": np.int8, "u1": np.uint8}[content["kind"]]
    packed = base64.b64decode(content["bytes"], validate=True)
    return Bytes(np.frombuffer(packed, kind).reshape(content["shape"]), float(content["scale"]))
