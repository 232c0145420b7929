"""Datasets from their public homes, kept once for all users of a machine."""

import errno
import hashlib
import os
import shutil
import tempfile
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import platformdirs

from labkit.errors import LabkitError

RETRIES = 3
"""How often a download is tried again after an error of the network."""

SHARED = Path(os.environ.get("PROGRAMDATA", "C:/") if os.name == "nt" else "/var/tmp") / "labkit"

_DENIED = (errno.EACCES, errno.EPERM, errno.EROFS)
_FULL = (errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC))


class DownloadError(LabkitError, OSError):
    """A file could not be had; the message gives its address and the mend."""


@dataclass(frozen=True)
class File:
    """One file with a public home."""

    name: str
    """What it is called in the cache."""
    url: str
    sha256: str
    size: int
    """Bytes."""


@dataclass(frozen=True)
class Dataset:
    """Files that belong together."""

    name: str
    files: tuple[File, ...]


_FASHION = "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion/"

# Sources: A. Krizhevsky, "Learning Multiple Layers of Features from Tiny Images", 2009,
# https://www.cs.toronto.edu/~kriz/cifar.html; H. Xiao, K. Rasul and R. Vollgraf, 2017,
# https://arxiv.org/abs/1708.07747; A. Karpathy, https://github.com/karpathy/char-rnn.
KNOWN = {
    dataset.name: dataset
    for dataset in (
        Dataset(
            "cifar10",
            (
                File(
                    "cifar-10-binary.tar.gz",
                    "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz",
                    "c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd",
                    170_052_171,
                ),
            ),
        ),
        Dataset(
            "fashion-mnist",
            tuple(
                File(f"fashion-mnist-{name}", _FASHION + name, sha256, size)
                for name, sha256, size in (
                    (
                        "train-images-idx3-ubyte.gz",
                        "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84",
                        26_421_880,
                    ),
                    (
                        "train-labels-idx1-ubyte.gz",
                        "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845",
                        29_515,
                    ),
                    (
                        "t10k-images-idx3-ubyte.gz",
                        "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073",
                        4_422_102,
                    ),
                    (
                        "t10k-labels-idx1-ubyte.gz",
                        "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5",
                        5_148,
                    ),
                )
            ),
        ),
        Dataset(
            "tiny-shakespeare",
            (
                File(
                    "tinyshakespeare.txt",
                    "https://raw.githubusercontent.com/karpathy/char-rnn/master/data/"
                    "tinyshakespeare/input.txt",
                    "86c4e6aa9db7c042ec79f339dcb96d42b0075e16b8fc2e86bf0ca57e2dc565ed",
                    1_115_394,
                ),
            ),
        ),
    )
}


def folder() -> Path:
    r"""Return the folder where downloads are kept.

    It is one for all users of the machine, so that a class loads each file once: what
    ``LABKIT_DATA`` names, or else ``/var/tmp/labkit`` (``%PROGRAMDATA%\labkit`` on Windows). A
    user who may not write there has a cache of their own, for what the other folder lacks.
    """
    shared, own = _folders()
    if os.environ.get("LABKIT_DATA"):
        return shared
    usable = shared.is_dir() and os.access(shared, os.W_OK)
    return shared if usable else own


def _folders() -> tuple[Path, Path]:
    """Return the folder for all users, and the one for what this user cannot have there."""
    own = Path(platformdirs.user_cache_dir("labkit"))
    if named := os.environ.get("LABKIT_DATA"):
        return Path(named).expanduser(), own
    with suppress(OSError):
        if not SHARED.exists():
            SHARED.mkdir()
            SHARED.chmod(0o1777)  # like /tmp: all may add, nobody may take away another's file
    return SHARED, own


def read(dataset: Dataset) -> list[bytes]:
    """Return the bytes of a dataset's files, loaded where they are not there yet.

    Raises
    ------
    DownloadError
        When a file cannot be loaded, or is not the one that was expected.
    """
    found = []
    for file in dataset.files:
        path = get(dataset, file)
        content = path.read_bytes()
        # Checked as read: in a shared folder, a file may change after it was loaded.
        if hashlib.sha256(content).hexdigest() != file.sha256:
            raise DownloadError(f"{path} has changed while it was read; try again")
        found.append(content)
    return found


def get(dataset: Dataset, file: File) -> Path:
    """Return where a file lies, loaded with a progress bar if it is not there yet.

    However many processes ask for it at once, one loads it and the others wait. Where another
    user's file is in the way, a warning says so, and the user's own cache is used.

    Raises
    ------
    DownloadError
        See `read`. A file with other bytes than expected is removed.
    """
    shared, own = (place / file.name for place in _folders())
    path = shared
    try:
        try:
            return _kept(file, path)
        except OSError as error:
            if error.errno not in _DENIED:
                raise
            # lexists: what one may not look at is no reason to stop.
            if os.path.lexists(shared) or os.environ.get("LABKIT_DATA"):
                warnings.warn(_in_the_way(shared, own), stacklevel=2)
            path = own
            return _kept(file, path)
    except Exception as error:  # requests, urllib3, pooch and the file system have one each
        raise DownloadError(_help(dataset, file, path, error)) from error


def there(file: File) -> bool:
    """Say whether a file lies in the cache, with the bytes it should have."""
    return any(_right(file, place / file.name) for place in _folders())


def _right(file: File, path: Path) -> bool:
    try:
        if path.stat().st_size != file.size:
            return False
        with path.open("rb") as opened:
            return hashlib.file_digest(opened, "sha256").hexdigest() == file.sha256
    except OSError:  # not there, or another user's and closed to this one
        return False


def _kept(file: File, path: Path) -> Path:
    """Return `path` when the right file lies there, loaded if need be."""
    if _right(file, path):
        return path
    path.parent.mkdir(parents=True, exist_ok=True)
    with _lock(path):
        if not _right(file, path):
            path.unlink(missing_ok=True)  # before loading, which is in vain where this is denied
            _load(file, path)
    return path


def _load(file: File, path: Path) -> None:
    """Load a file beside its place; it gets there when it is right and all may read it."""
    import pooch
    from requests import RequestException

    pooch.get_logger().setLevel("WARNING")
    loader = pooch.HTTPDownloader(progressbar=True, timeout=30)

    def load(url: str, output: str, asking: Any) -> None:
        with open(output, "wb") as opened:
            loader(url, _Bounded(opened, file.size), asking)

    # What a killed process has left, which cannot be at work: it had this lock.
    for leftover in path.parent.glob(f".{path.name}.*.part"):
        shutil.rmtree(leftover, ignore_errors=True)
    with tempfile.TemporaryDirectory(
        prefix=f".{path.name}.", suffix=".part", dir=path.parent
    ) as scratch:
        for retries_left in reversed(range(RETRIES + 1)):
            try:
                part = pooch.retrieve(
                    file.url, f"sha256:{file.sha256}", file.name, scratch, downloader=load
                )
                break
            except RequestException:  # not for a wrong hash: it would stay wrong
                if not retries_left:
                    raise
                time.sleep(RETRIES + 1 - retries_left)
        os.chmod(part, 0o644)  # pooch leaves it to its owner alone
        os.replace(part, path)


class _Bounded:
    """A file that takes as many bytes as are expected, and no more."""

    def __init__(self, opened: BinaryIO, size: int) -> None:
        self.flush = opened.flush
        self._opened, self._size, self._left = opened, size, size

    def write(self, chunk: bytes) -> None:
        self._left -= len(chunk)
        if self._left < 0:
            raise OSError(f"it sends more than the {self._size:,} bytes that the file has")
        self._opened.write(chunk)


@contextmanager
def _lock(path: Path) -> Iterator[None]:
    from filelock import FileLock

    lock = path.with_name(f".{path.name}.lock")
    if os.name != "nt" and not lock.exists():
        # Any user may have to wait for it: it appears with all its rights, whatever the umask.
        with suppress(OSError), tempfile.NamedTemporaryFile(dir=path.parent, prefix=".") as made:
            os.fchmod(made.fileno(), 0o666)
            os.link(made.name, lock)
    with FileLock(lock, mode=0o666):  # the mode for file systems without links
        yield


def _in_the_way(shared: Path, own: Path) -> str:
    mend = (
        f"its owner should remove it or, if it is right, run chmod a+r {shared}"
        if os.path.lexists(shared)
        else "set LABKIT_DATA to a folder where you may write"
    )
    return f"{shared} cannot be used, and {own} is used in its place; {mend}"


def _help(dataset: Dataset, file: File, path: Path, error: Exception) -> str:
    reason = " ".join(str(error).split())[:200]
    code = error.errno if isinstance(error, OSError) else None
    if code in _FULL:
        mend = (
            f"The disk of {path.parent} is full: free {file.size / 2**20:.1f} MiB there, or set "
            "LABKIT_DATA to a folder on another one."
        )
    elif code in _DENIED:
        mend = "Set LABKIT_DATA to a folder where you may read and write."
    else:
        mend = (
            f"Where there is a network, load that address by hand and put the file into "
            f"{path.parent} under the name {file.name}."
        )
    without = f"No chapter needs {dataset.name}; labs of your own may."
    return f"{file.name} could not be loaded from {file.url} ({reason}). {mend} {without}"
