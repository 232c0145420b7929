"""Errors in what an author wrote: what is wrong, where, and the mend."""

import difflib
from collections.abc import Iterable
from pathlib import Path


class SourceError(Exception):
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
