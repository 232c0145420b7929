"""What a page of the book is made of: a chapter's cells, tabs, cards, and what stands around."""

from functools import cache
from pathlib import Path

from labkit.press.course import Course


@cache
def course(root: str) -> Course:
    """Return the course that the build under way is made of, read once for all its pages.

    MyST-NB calls the reader with a text alone, so the course is found by its folder, `root`.
    """
    return Course.read(Path(root))


def begin() -> None:
    """Forget the course of the last build: a new one reads it anew."""
    course.cache_clear()
