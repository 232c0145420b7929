"""The reader's checks: what is still wrong with an answer, in one line."""

import hashlib
import json
import linecache
import re
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["array", "check", "digest", "same"]


@contextmanager
def check(name: str) -> Iterator[None]:
    """Judge an answer by the assertions in the block, and print one line.

    Starters raise `NotImplementedError`, so an untouched notebook runs to its end. An assertion's
    message is the hint that the reader gets. Any other error is told with the line of the reader's
    own cell that it came from, or with the line of the check that met it.

    Examples
    --------
    >>> def double(x):
    ...     return x + x
    >>> with check("double"):
    ...     assert double(3) == 6, "Twice 3 is 6."
    double: solved
    """
    try:
        yield
    except Exception as error:
        print(f"{name}: {_said(error)}")
    else:
        print(f"{name}: solved")


def _said(error: Exception) -> str:
    """Return what the reader is told of an error that ended a check."""
    # The first frame is this module's own, the second the block's.
    frames = list(traceback.walk_tb(error.__traceback__))[1:]
    asserted = isinstance(error, AssertionError) and _file(frames[-1][0]) == _file(frames[0][0])
    if asserted:
        return f"not yet. {error or 'An assertion failed.'}"
    if isinstance(error, NotImplementedError) and not error.args:
        return "not attempted yet"  # a starter; libraries say what they have not implemented
    return f"not yet. {type(error).__name__}: {_message(error)}{_place(frames)}"


def _message(error: Exception) -> str:
    """Return an error's message in one line: the one that says most.

    TensorFlow begins with where it was, and Keras with whose call it was, in bold.
    """
    plain = re.sub(r"\x1b\[\d*m", "", str(error))
    lines = [line.strip() for line in plain.splitlines() if line.strip()]
    if lines and lines[0].startswith("in user code"):
        return lines[-1]
    said = (line for line in lines if not line.startswith("Exception encountered when calling"))
    return next(said, "no message")


def _place(frames: list[tuple[FrameType, int]]) -> str:
    """Return where an error came from: a line of the reader's cell, or else of the check."""
    block, asked = frames[0]
    cells = [
        (frame, line)
        for frame, line in frames
        if frame.f_globals is block.f_globals and _file(frame) != _file(block)
    ]
    if not cells:
        source = linecache.getline(_file(block), asked).strip()
        return f" where the check asks `{source}`" if source else ""
    # Other cells on the way are the lesson's, written before the reader's.
    written = {file: place for place, file in enumerate(linecache.cache)}
    latest = max((_file(frame) for frame, _ in cells), key=lambda file: written.get(file, -1))
    file, line = next((_file(f), n) for f, n in reversed(cells) if _file(f) == latest)
    source = linecache.getline(file, line).strip()
    return f" in your cell, line {line}" + (f": `{source}`" if source else "")


def _file(frame: FrameType) -> str:
    return frame.f_code.co_filename


def array(value: Any) -> NDArray[Any]:
    """Return numbers as a NumPy array: of an array, a list, or a tensor of either framework.

    Parameters
    ----------
    value
        Anything that holds numbers, of any shape, on any device, with a gradient or without.

    Raises
    ------
    TypeError
        When it holds something else, such as the None of a function without `return`.
    ValueError
        When it is a list whose rows differ in length.

    Examples
    --------
    >>> array([1, (2 + 3)])
    array([1, 5])
    """
    if isinstance(value, list | tuple):
        found = np.array([array(item) for item in value])
    else:
        if hasattr(value, "detach"):
            value = value.detach().cpu()
        found = np.asarray(value.numpy() if hasattr(value, "numpy") else value)
    if found.dtype.kind not in "biufc":
        missing = "; is a `return` missing?" if value is None else ""
        raise TypeError(f"numbers are asked for, not {type(value).__name__}{missing}")
    return found


def same(answer: Any, mark: str) -> bool:
    """Say whether an answer is the one whose `digest` this is.

    So a check can know an answer that nothing computes, without showing it.
    """
    return digest(answer) == mark


def digest(answer: Any) -> str:
    """Return a short mark of an answer: a word, a number, or several in a row.

    A list is as good as a tuple or an array, 2.0 as 2, and case and blanks around a word do not
    count.

    Examples
    --------
    >>> digest((2, "Four ")) == digest([2.0, "four"])
    True
    """
    return hashlib.sha256(f"labkit {json.dumps(_plain(answer))}".encode()).hexdigest()[:8]


def _plain(answer: Any) -> Any:
    if isinstance(answer, str):
        return answer.strip().casefold()
    if isinstance(answer, list | tuple):
        return [_plain(item) for item in answer]
    return None if answer is None else array(answer).astype(float).tolist()
