"""Pictures and text as NumPy arrays, channels last; offline where a library brings them."""

import gzip
import io
import lzma
import os
import re
import tarfile
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from labkit import archives, downloads
from labkit.errors import DataError

PICTURES = {".png", ".jpg", ".jpeg", ".gif", ".bmp", ".webp"}
OTHER_PICTURES = {".tif", ".tiff", ".heic", ".heif", ".avif", ".jxl", ".jp2", ".jfif", ".dng"}
"""Not read, but hardly meant to be left out."""


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
    source: str | Path,
    *,
    size: int | None = None,
    channels: int | None = None,
    seed: int = 0,
    unpacked_gib: float = 4.0,
) -> Images:
    """Load labelled pictures by name, or from a folder with one sub-folder a class.

    A dataset comes with its own test set, and so does a folder that holds ``train`` and ``test``.
    Otherwise one fifth is kept for testing, chosen by a seeded shuffle.

    Parameters
    ----------
    source
        ``"digits"``; ``"cifar10"`` or ``"fashion-mnist"``, which are downloaded once; or a folder
        of your own, or an archive (.zip, .tar, .tar.gz, .tar.bz2, .tar.xz) of one.
    size
        Side in pixels of the square to which a folder's pictures are scaled, whatever their own
        shape. Without it they must all have one size.
    channels
        1 for grey, 3 for colour; without it a folder's first picture decides.
    seed
        Decides the split.
    unpacked_gib
        The most that an archive may unpack to, in GiB. A small archive can unpack to a full disk.

    Raises
    ------
    DataError
        When the name is unknown, or the folder or a file in it cannot be used.
    labkit.downloads.DownloadError
        When a dataset cannot be loaded.

    Notes
    -----
    Pictures of a folder are decoded by Pillow. ``tf.io.decode_jpeg`` gives the same pixels if told
    ``dct_method="INTEGER_ACCURATE"``; by its default it differs by some grey levels.

    Pictures of your own bear the name of their folder or archive; where that is a dataset's name,
    ``-own`` is added.

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
    if source in _DOWNLOADED:
        if size is not None or channels is not None:
            raise DataError(f"{source} has one size; leave size and channels out")
        return _DOWNLOADED[str(source)]()
    path = Path(source).expanduser()
    if path.is_file():
        return _archive(path, size, channels, seed, unpacked_gib)
    if not path.is_dir():
        known = ", ".join(["digits", *_DOWNLOADED])
        raise DataError(
            f"{str(source)!r} is neither a dataset (known: {known}) nor a folder here; "
            f"a folder needs one sub-folder for each class"
        )
    return _folder(path, _own_name(path), size, channels, seed)


def text(source: str | Path) -> str:
    """Load a text by name or from a file of your own (UTF-8).

    Parameters
    ----------
    source
        ``"python-docs"``, the prose of Python 3.11's language reference, 465,048 characters that
        come with labkit (``pydoc_data.topics`` of Python 3.11.7; copyright Python Software
        Foundation, whose licence lies beside the file, in ``labkit/texts``);
        ``"tiny-shakespeare"``, 1.1 million characters of his plays, downloaded once; or the path of
        a text file.

    Raises
    ------
    DataError
        When the name is unknown, or the file is empty or no UTF-8 text.
    labkit.downloads.DownloadError
        When the text cannot be loaded.
    """
    if source == "python-docs":
        packed = resources.files("labkit") / "texts" / "python-docs.txt.xz"
        return lzma.decompress(packed.read_bytes()).decode()
    if source == "tiny-shakespeare":
        (file,) = downloads.read(downloads.KNOWN["tiny-shakespeare"])
        return file.decode()
    path = Path(source).expanduser()
    if not path.is_file():
        raise DataError(
            f"{str(source)!r} is neither a text (known: python-docs, tiny-shakespeare) "
            "nor a file here"
        )
    try:
        # Not decoded as utf-8-sig, which counts bytes from behind the byte order mark.
        content = path.read_text(encoding="utf-8").removeprefix("\ufeff")
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


def _cifar10() -> Images:
    """Read CIFAR-10's binary version: a label, then 32×32 red, green and blue values."""
    (archive,) = downloads.read(downloads.KNOWN["cifar10"])
    parts: dict[str, bytes] = {}
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        for member in tar:
            if (opened := tar.extractfile(member)) is not None:
                parts[Path(member.name).name] = opened.read()
    classes = tuple(parts["batches.meta.txt"].decode().split())
    train = b"".join(parts[f"data_batch_{n}.bin"] for n in range(1, 6))
    return Images("cifar10", classes, *_records(train), *_records(parts["test_batch.bin"]))


def _records(content: bytes) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    rows = np.frombuffer(content, np.uint8).reshape(-1, 1 + 3 * 32 * 32)
    pictures = rows[:, 1:].reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)
    return np.ascontiguousarray(pictures, np.float64) / 255, rows[:, 0].astype(np.int64)


def _fashion_mnist() -> Images:
    files = downloads.read(downloads.KNOWN["fashion-mnist"])
    train, train_labels, test, test_labels = (_idx(gzip.decompress(file)) for file in files)
    classes = "T-shirt/top,trouser,pullover,dress,coat,sandal,shirt,sneaker,bag,ankle boot"
    return Images(
        "fashion-mnist",
        tuple(classes.split(",")),
        train[..., None] / 255,
        train_labels.astype(np.int64),
        test[..., None] / 255,
        test_labels.astype(np.int64),
    )


def _idx(content: bytes) -> NDArray[np.uint8]:
    """Read MNIST's format: two zeros, the type, the number of axes, their lengths, the values."""
    axes = content[3]
    shape = np.frombuffer(content, ">i4", axes, 4)
    return np.frombuffer(content, np.uint8, offset=4 + 4 * axes).reshape(shape)


_DOWNLOADED: dict[str, Callable[[], Images]] = {
    "cifar10": _cifar10,
    "fashion-mnist": _fashion_mnist,
}


def _own_name(path: Path) -> str:
    """Name pictures after their folder or archive, but never as a dataset is named.

    CIFAR-10 made JPEG files again, in a folder ``cifar10``, must not pass for the original.
    """
    name = re.sub(r"\.(zip|tgz|tar(\.\w+)?)$", "", Path(os.path.abspath(path)).name)
    return f"{name}-own" if name.lower() in {"digits", *_DOWNLOADED} else name


def _archive(
    file: Path, size: int | None, channels: int | None, seed: int, unpacked_gib: float
) -> Images:
    """Unpack an archive for as long as its pictures are read."""
    with tempfile.TemporaryDirectory(prefix="labkit-") as scratch:
        root = inside = Path(scratch).resolve()
        archives.unpack(file, root, unpacked_gib)
        try:
            # Many archives hold one folder, which holds everything but a README.
            while len(found := _subfolders(inside)) == 1 and _subfolders(found[0]):
                inside = found[0]
            return _folder(inside, _own_name(file), size, channels, seed)
        except DataError as error:
            raise DataError(f"in {file}: {archives.without(root, str(error))}") from error


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


def _folder(folder: Path, name: str, size: int | None, channels: int | None, seed: int) -> Images:
    if (folder / "train").is_dir() and (folder / "test").is_dir():
        classes, x, y = _labelled(folder / "train", size, channels)
        others, x_test, y_test = _labelled(folder / "test", size, x.shape[3], x.shape[1:])
        if others != classes:
            raise DataError(
                f"{folder}: train has the classes {', '.join(classes)}, test {', '.join(others)}"
            )
        order = np.random.default_rng(seed).permutation(len(x))
        return Images(name, classes, x[order], y[order], x_test, y_test)
    classes, x, y = _labelled(folder, size, channels)
    return _split(name, classes, x, y, len(x) - max(1, round(len(x) / 5)), seed)


def _subfolders(folder: Path) -> list[Path]:
    found = (d for d in folder.iterdir() if d.is_dir() and d.name[0] != ".")
    return sorted(found, key=lambda d: d.name)


def _labelled(
    folder: Path,
    size: int | None,
    channels: int | None,
    shape: tuple[int, ...] | None = None,
) -> tuple[tuple[str, ...], NDArray[np.float64], NDArray[np.int64]]:
    """Read a folder with one sub-folder a class: the classes, pictures and labels.

    All pictures must have one shape: the one given, or else the first picture's.
    """
    classes = tuple(d.name for d in _subfolders(folder))
    if len(classes) < 2:
        found = f"only {classes[0]!r}" if classes else "none"
        raise DataError(
            f"{folder} needs at least two sub-folders, one for each class; it has {found}"
        )
    pictures: list[NDArray[np.float64]] = []
    labels: list[int] = []
    for label, name in enumerate(classes):
        for file in _files(folder / name):
            picture = _picture(file, size, channels)
            shape = shape or picture.shape
            channels = shape[-1]
            if picture.shape != shape:
                raise DataError(
                    f"{file} has shape {picture.shape}, the ones before it {shape}; "
                    f"pass size= (and channels=) to make them alike"
                )
            pictures.append(picture)
            labels.append(label)
    return classes, np.stack(pictures), np.array(labels, np.int64)


def _files(folder: Path) -> list[Path]:
    """Return a class's pictures; pictures of other kinds are refused, other files passed over."""
    inside = sorted(p for p in folder.iterdir() if p.name[0] != ".")
    for file in inside:
        if file.suffix.lower() in OTHER_PICTURES:
            raise DataError(
                f"{file} is a picture of a kind that is not read; convert all such pictures to "
                f"PNG or JPEG, or take them out"
            )
    files = [p for p in inside if p.suffix.lower() in PICTURES]
    if not files:
        raise DataError(
            f"{folder} holds no picture ({', '.join(sorted(PICTURES))}); "
            f"add some or remove the folder"
        )
    return files


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
        reason = str(error).replace(repr(str(file)), "it")  # PIL names it once more
        raise DataError(
            f"{file} cannot be read as a picture ({reason}); remove it or save it again"
        ) from error
    if size is not None:
        image = image.resize((size, size))
    values = np.asarray(image, np.float64) / 255
    return values[..., None] if channels == 1 else values
