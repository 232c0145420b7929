"""Datasets from their public homes, kept once for all users of a machine."""

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import platformdirs

RETRIES = 3
"""How often a download that failed is tried again."""


class DownloadError(OSError):
    """A file could not be had; the message gives its address and where to put it by hand."""


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
    chapters: tuple[str, ...]
    """Those whose ``gpu`` profile needs it. In the ``cpu`` profile no chapter does."""


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
            ("first-network",),
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
            (),
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
            ("recurrent",),
        ),
    )
}


def folder() -> Path:
    r"""Return the folder where downloads are kept.

    It is one for all users of the machine, so that a class loads each file once: what
    ``LABKIT_DATA`` names, or else ``/var/tmp/labkit`` (``%PROGRAMDATA%\labkit`` on Windows). A
    user who may not write there has a cache of their own.
    """
    if named := os.environ.get("LABKIT_DATA"):
        return Path(named).expanduser()
    shared = Path(os.environ["PROGRAMDATA"] if os.name == "nt" else "/var/tmp") / "labkit"
    try:
        if not shared.exists():
            shared.mkdir()
            shared.chmod(0o1777)  # like /tmp: all may add, nobody may take away another's file
    except OSError:
        pass
    usable = shared.is_dir() and os.access(shared, os.W_OK)
    return shared if usable else Path(platformdirs.user_cache_dir("labkit"))


def read(dataset: Dataset) -> list[bytes]:
    """Return the bytes of a dataset's files, loaded where they are not there yet.

    Raises
    ------
    DownloadError
        When a file cannot be loaded, or is not the one that was expected.
    """
    found = []
    for file in dataset.files:
        content = get(dataset, file).read_bytes()
        # Checked as read: in a shared folder, a file may change after it was loaded.
        if hashlib.sha256(content).hexdigest() != file.sha256:
            raise DownloadError(f"{folder() / file.name} has changed while it was read; try again")
        found.append(content)
    return found


def get(dataset: Dataset, file: File) -> Path:
    """Return where a file lies, loaded with a progress bar if it is not there yet.

    However many processes ask for it at once, one loads it and the others wait.

    Raises
    ------
    DownloadError
        See `read`. A file with other bytes than expected is removed.
    """
    path = folder() / file.name
    if there(file):
        return path
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with _lock(path):
            if not there(file):
                path.unlink(missing_ok=True)
                _load(file, path)
    except Exception as error:  # requests, urllib3, pooch and the file system have one each
        raise DownloadError(_help(dataset, file, error)) from error
    return path


def there(file: File) -> bool:
    """Say whether a file lies in the cache, with the bytes it should have."""
    path = folder() / file.name
    if not path.is_file() or path.stat().st_size != file.size:
        return False
    with path.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest() == file.sha256


def _load(file: File, path: Path) -> None:
    import pooch

    pooch.get_logger().setLevel("WARNING")
    one = pooch.create(
        path.parent,
        base_url="",
        registry={file.name: f"sha256:{file.sha256}"},
        urls={file.name: file.url},
        retry_if_failed=RETRIES,
    )
    one.fetch(file.name, downloader=pooch.HTTPDownloader(progressbar=True, timeout=30))
    path.chmod(0o644)  # pooch leaves it to its owner alone


@contextmanager
def _lock(path: Path) -> Iterator[None]:
    from filelock import FileLock

    lock = path.with_name(f".{path.name}.lock")
    with FileLock(lock):
        with suppress(PermissionError):  # it is another user's, who has done so
            lock.chmod(0o666)  # any user may have to wait for it
        yield


def _help(dataset: Dataset, file: File, error: Exception) -> str:
    reason = " ".join(str(error).split())[:200]
    needed = " and ".join(dataset.chapters)
    without = (
        f"Only the gpu profile of {needed} needs {dataset.name}; with LABKIT_PROFILE=cpu every "
        "chapter runs without it."
        if needed
        else f"No chapter needs {dataset.name}."
    )
    return (
        f"{file.name} could not be loaded from {file.url} ({reason}). Where there is a network, "
        f"load that address by hand and put the file into {folder()} under the name {file.name}. "
        f"{without}"
    )
