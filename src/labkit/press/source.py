"""Errors in what an author wrote: what is wrong, where, and the mend."""

import difflib
from collections.abc import Iterable
from pathlib import Path

from labkit.errors import LabkitError


class SourceError(LabkitError):
    """Something an author can mend, with file and line.

    Parameters
    ----------
    path
        The file at fault.
    line
        Counted from 1; None when the whole file is meant.
    message
        What is wrong, and the mend.
    """

    def __init__(self, path: Path, line: int | None, message: str) -> None:
        self.path, self.line, self.message = path, line, message
        super().__init__(f"{path}:{line}: {message}" if line else f"{path}: {message}")


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return ``"did you mean 'x'?"`` for the nearest known word, or the list of them."""
    words = sorted(known)
    near = difflib.get_close_matches(word, words, 1)
    return f"did you mean {near[0]!r}?" if near else f"known are {', '.join(words)}"


def read_text(path: Path) -> str:
    """Return a file's text, without a byte order mark.

    Raises
    ------
    SourceError
        When the file cannot be read or is not UTF-8.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise SourceError(path, None, f"cannot be read: {error.strerror}") from error
    try:
        # Not decoded as utf-8-sig, which counts bytes from behind the byte order mark.
        text = content.decode("utf-8").removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise SourceError(path, line, f"is not UTF-8 (byte {error.start}); save it so") from error
    return text.replace("\r\n", "\n").replace("\r", "\n")
