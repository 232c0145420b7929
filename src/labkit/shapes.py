"""Pictures of the course's own: shapes on a rough ground, and for each where it lies.

A map says where a network looks. Whether it should look there can be told only where the place of
what a picture shows is known, as it is here. Only additions, products, quotients and roots make
these pictures, and they are rounded to 256 levels: every processor draws the same.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from labkit.data import Images

CLASSES = ("disc", "ring", "triangle", "cross")
SIDE = 32
_FINE = 4
"""Points along each side of a pixel at which it is asked whether the shape covers them."""


@dataclass(frozen=True)
class Shapes(Images):
    """Drawn pictures, and where in each the shape lies."""

    train_masks: NDArray[np.bool_]
    """(n, height, width), true where the shape covers half of a pixel or more."""
    test_masks: NDArray[np.bool_]


def images(train: int = 960, test: int = 240, seed: int = 0) -> Shapes:
    """Draw labelled pictures of shapes, ink on paper, as many of each class as of any other.

    Place, size, angle and ink are random, and so are the ground and the noise over all.

    Parameters
    ----------
    train, test
        How many pictures there are to learn from, and to test on.
    seed
        Decides everything that is random.
    """
    rng = np.random.default_rng(seed)
    labels = rng.permutation(np.arange(train + test) % len(CLASSES))
    drawn = [_picture(CLASSES[label], rng) for label in labels]
    pictures = np.stack([picture for picture, _ in drawn])[..., None]
    masks = np.stack([mask for _, mask in drawn])
    x, y, z = pictures[:train], labels[:train], masks[:train]
    return Shapes("shapes", CLASSES, x, y, pictures[train:], labels[train:], z, masks[train:])


def masks(pictures: Images) -> NDArray[np.bool_]:
    """Return where in each test picture its object lies.

    Of pictures that were not drawn here this is not known, and all of each counts.
    """
    if isinstance(pictures, Shapes):
        return pictures.test_masks
    return np.ones(pictures.test_images.shape[:3], bool)


def corner(side: int = SIDE) -> NDArray[np.bool_]:
    """Return the corner of a picture, (height, width), in whose middle `marked` puts its mark."""
    where = np.zeros((side, side), bool)
    where[: side // 4, : side // 4] = True
    return where


def marked(pictures: NDArray[np.float64], which: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return pictures, some of them with a mark: a small chequered square in the upper left corner.

    Parameters
    ----------
    pictures
        (n, side, side, channels), of any kind.
    which
        (n,), true for those that get the mark.
    """
    found = np.array(pictures, float)
    edge = pictures.shape[1] // 8
    begin, square = edge // 2, max(1, edge // 4)
    fields = np.add.outer(np.arange(edge) // square, np.arange(edge) // square) % 2
    place = slice(begin, begin + edge)
    found[np.asarray(which, bool), place, place] = fields[..., None]
    return found


def _picture(kind: str, rng: np.random.Generator) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    covered = _covered(kind, rng)
    ink = 0.5 + 0.4 * rng.random()
    values = 0.45 * _ground(rng) * (1 - covered) + ink * covered
    values += 0.1875 * (rng.random((SIDE, SIDE)) - 0.5)
    return np.round(255 * np.clip(values, 0, 1)) / 255, covered >= 0.5


def _covered(kind: str, rng: np.random.Generator) -> NDArray[np.float64]:
    """Return which part of each pixel a shape of random place, size and angle covers."""
    size = 7 + 4 * rng.random()
    down, right = size + (SIDE - 2 * size) * rng.random(2)
    # A turn without a sine: the point (1 - t², 2t) / (1 + t²) lies on the circle for every t.
    t = 2 * rng.random() - 1
    cos, sin = (1 - t * t) / (1 + t * t), 2 * t / (1 + t * t)
    points = (np.arange(SIDE * _FINE) + 0.5) / _FINE
    y, x = np.meshgrid(points - down, points - right, indexing="ij")
    x, y = (cos * x + sin * y) / size, (cos * y - sin * x) / size
    inside = _inside(kind, x, y).reshape(SIDE, _FINE, SIDE, _FINE)
    return inside.mean(axis=(1, 3))


def _inside(kind: str, x: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Say which points lie in a shape about the origin, in a circle of radius 1."""
    if kind == "disc":
        return x * x + y * y < 0.8
    if kind == "ring":
        far = x * x + y * y
        return (far < 1) & (far > 0.4)
    if kind == "triangle":
        slope = np.sqrt(3.0)
        return (y > -0.5) & (y + slope * x < 1) & (y - slope * x < 1)
    near, far = np.minimum(abs(x), abs(y)), np.maximum(abs(x), abs(y))
    return (near < 0.28) & (far < 0.95)


def _ground(rng: np.random.Generator) -> NDArray[np.float64]:
    """Return a rough ground from 0 to 1: two random grids, coarse and fine, filled in."""
    coarse, fine = (_between(rng.random((n + 1, n + 1)), SIDE // n) for n in (4, 16))
    return 0.6 * coarse + 0.4 * fine


def _between(grid: NDArray[np.float64], times: int) -> NDArray[np.float64]:
    part = np.arange(times) / times
    for _ in range(2):  # along one axis, then along the other
        steps = grid[:-1, None] * (1 - part)[:, None] + grid[1:, None] * part[:, None]
        grid = steps.reshape(-1, grid.shape[1]).T
    return grid
