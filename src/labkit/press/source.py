"""Errors in what an author wrote: what is wrong, where, and the mend."""

import difflib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
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


@dataclass(frozen=True)
class Text:
    """The text of a file, or of two files that are read as one."""

    path: Path
    whole: str
    """Both, with a blank line between."""
    second: Path | None = None
    begins: int = 0
    """The line of `whole`, from 1, on which the second begins."""

    @classmethod
    def joined(cls, path: Path, text: str, second: Path, rest: str) -> "Text":
        """Return two texts as one."""
        text = text.rstrip("\n")
        return cls(path, f"{text}\n\n{rest}", second, len(text.splitlines()) + 2)

    @property
    def paths(self) -> list[Path]:
        """The files."""
        return [self.path, self.second] if self.second else [self.path]

    def place(self, line: int) -> tuple[Path, int]:
        """Return the file that a line of `whole` stands in, and its line there."""
        if self.second is None or line < self.begins:
            return self.path, line
        return self.second, line - self.begins + 1

    def at(self, line: int) -> str:
        """Return ``"file:line"`` for a line of `whole`."""
        return "{}:{}".format(*self.place(line))

    def error(self, line: int, message: str) -> SourceError:
        """Return an error about a line of `whole`."""
        return SourceError(*self.place(line), message)

    @contextmanager
    def located(self) -> Iterator[None]:
        """Turn an error about a line of `whole`, raised within, into one about its own file."""
        try:
            yield
        except SourceError as error:
            if error.path != self.path or not error.line or error.line < self.begins:
                raise
            raise self.error(error.line, error.message) from error


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
