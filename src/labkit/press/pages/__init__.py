"""What a page of the book is made of: a chapter's cells, tabs, cards, and what stands around."""

from functools import cache
from pathlib import Path

from nbformat import NotebookNode

from labkit.press.course import Course
from labkit.press.weave import notebook_path, read_notebook


@cache
def course(root: str) -> Course:
    """Return the course that the build under way is made of, read once for all its pages.

    MyST-NB calls the reader with a text alone, so the course is found by its folder, `root`.
    """
    return Course.read(Path(root))


@cache
def notebook(root: Path, chapter: str, framework: str) -> NotebookNode | None:
    """Return a twin as it stands in ``labs/``, read once for all that a page shows of it."""
    return read_notebook(notebook_path(root, chapter, framework))


def begin() -> None:
    """Forget what the last build has read: a new one reads it anew."""
    course.cache_clear()
    notebook.cache_clear()
