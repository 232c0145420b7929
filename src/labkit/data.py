"""Pictures and text as NumPy arrays, channels last; offline where a library brings them."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

PICTURES = {".png", ".jpg", ".jpeg", ".gif", ".bmp", ".webp"}


class DataError(ValueError):
    """Data that cannot be used; the message names the file and the mend."""


@dataclass(frozen=True)
class Images:
    """Pictures with a label each, split into a part to learn from and a part to test on."""

    name: str
    classes: tuple[str, ...]
    """One name for each label."""
    train_images: NDArray[np.float64]
    """(n, height, width, channels), grey values from 0 to 1."""
    train_labels: NDArray[np.int64]
    """(n,), each the index of a class."""
    test_images: NDArray[np.float64]
    test_labels: NDArray[np.int64]


def images(
    source: str | Path, *, size: int | None = None, channels: int | None = None, seed: int = 0
) -> Images:
    """Load labelled pictures by name, or from a folder with one sub-folder a class.

    One fifth is kept for testing, chosen by a seeded shuffle.

    Parameters
    ----------
    source
        ``"digits"``, or a folder of your own.
    size
        Side in pixels of the square to which a folder's pictures are scaled, whatever their own
        shape. Without it they must all have one size.
    channels
        1 for grey, 3 for colour; without it a folder's first picture decides.
    seed
        Decides the split.

    Raises
    ------
    DataError
        When the name is unknown, or the folder or a file in it cannot be used.

    Notes
    -----
    ``"digits"`` are 1797 handwritten digits of 8×8 pixels that come with scikit-learn: the test
    set of E. Alpaydin and C. Kaynak, "Optical Recognition of Handwritten Digits", UCI Machine
    Learning Repository, 1998, https://doi.org/10.24432/C50P49. 1440 are to learn from.
    """
    if channels not in (None, 1, 3) or (size is not None and size < 1):
        raise DataError(f"size is {size} and channels {channels}; give size ≥ 1, channels 1 or 3")
    if source == "digits":
        if size not in (None, 8) or channels not in (None, 1):
            raise DataError("digits are 8×8 pixels with one channel; leave size and channels out")
        return _digits(seed)
    folder = Path(source).expanduser()
    if not folder.is_dir():
        raise DataError(
            f"{str(source)!r} is neither a dataset (known: digits) nor a folder here; "
            f"a folder needs one sub-folder for each class"
        )
    return _folder(folder, size, channels, seed)


def text(source: str | Path) -> str:
    """Load a text by name or from a file of your own (UTF-8).

    Parameters
    ----------
    source
        ``"python-docs"``, the prose of Python's language reference, which every CPython carries
        in ``pydoc_data.topics``; or the path of a text file.

    Raises
    ------
    DataError
        When the name is unknown, or the file is empty or no UTF-8 text.
    """
    if source == "python-docs":
        from pydoc_data.topics import topics

        return "\n".join(topics.values())
    path = Path(source).expanduser()
    if not path.is_file():
        raise DataError(f"{str(source)!r} is neither a text (known: python-docs) nor a file here")
    try:
        content = path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise DataError(
            f"{path}: byte {error.start} is not UTF-8; save the file as UTF-8 text"
        ) from error
    if not content.strip():
        raise DataError(f"{path} is empty; give a file with text in it")
    return content


def _digits(seed: int) -> Images:
    from sklearn.datasets import load_digits

    bunch = load_digits()
    classes = tuple(str(d) for d in range(10))
    # 1440 examples are 45 batches of 32 to the last one.
    return _split("digits", classes, bunch.images[..., None] / 16, bunch.target, 1440, seed)


def _split(
    name: str,
    classes: tuple[str, ...],
    pictures: NDArray[np.float64],
    labels: NDArray[np.int64],
    train: int,
    seed: int,
) -> Images:
    order = np.random.default_rng(seed).permutation(len(pictures))
    # Contiguous copies: the frameworks take them over without another one.
    x, y = pictures[order], labels[order].astype(np.int64)
    return Images(name, classes, x[:train], y[:train], x[train:], y[train:])


def _folder(folder: Path, size: int | None, channels: int | None, seed: int) -> Images:
    classes = sorted(d.name for d in folder.iterdir() if d.is_dir() and d.name[0] != ".")
    if len(classes) < 2:
        found = f"only {classes[0]!r}" if classes else "none"
        raise DataError(
            f"{folder} needs at least two sub-folders, one for each class; it has {found}"
        )
    pictures: list[NDArray[np.float64]] = []
    labels: list[int] = []
    for label, name in enumerate(classes):
        inside = (p for p in (folder / name).iterdir() if p.name[0] != ".")
        files = sorted(p for p in inside if p.suffix.lower() in PICTURES)
        if not files:
            raise DataError(
                f"{folder / name} holds no picture ({', '.join(sorted(PICTURES))}); "
                f"add some or remove the folder"
            )
        for file in files:
            picture = _picture(file, size, channels)
            channels = picture.shape[-1]
            if pictures and picture.shape != pictures[0].shape:
                raise DataError(
                    f"{file} has shape {picture.shape}, the ones before it {pictures[0].shape}; "
                    f"pass size= (and channels=) to make them alike"
                )
            pictures.append(picture)
            labels.append(label)
    train = len(pictures) - max(1, round(len(pictures) / 5))
    return _split(folder.name, tuple(classes), np.stack(pictures), np.array(labels), train, seed)


def _picture(file: Path, size: int | None, channels: int | None) -> NDArray[np.float64]:
    """Decode one picture as (height, width, channels), grey values from 0 to 1.

    It is turned upright as its camera noted, laid on white where it is transparent, and, where it
    moves, stands for its first frame.
    """
    from PIL import Image, ImageOps

    try:
        if not file.stat().st_size:
            raise DataError(f"{file} is empty; remove it or put a picture in its place")
        with Image.open(file) as opened:
            image = ImageOps.exif_transpose(opened)
            if image.mode in ("I", "I;16", "I;16B"):  # 16 bits: PIL would cut off what is above 255
                image = Image.fromarray((np.asarray(image) / 257).astype(np.uint8))
            if image.has_transparency_data:
                clear = image.convert("RGBA")
                white = Image.new("RGBA", image.size, "white")
                grey = image.mode in ("LA", "La")
                image = Image.alpha_composite(white, clear).convert("L" if grey else "RGB")
            if channels is None:
                channels = 1 if image.mode in ("1", "L") else 3
            image = image.convert("L" if channels == 1 else "RGB")
    except DataError:
        raise
    except Exception as error:  # PIL's decoders raise many kinds, not all of them its own
        raise DataError(
            f"{file} cannot be read as a picture ({error}); remove it or save it again"
        ) from error
    if size is not None:
        image = image.resize((size, size))
    values = np.asarray(image, np.float64) / 255
    return values[..., None] if channels == 1 else values
