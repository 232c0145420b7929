"""The edits that a chapter asks its reader to try, made and run, and what came of them.

They run in the notebook's own kernel when it has come to its end, as a reader would: the cells
named are run again, in order, with the edit made. What they record is thrown away.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import nbformat
from nbformat import NotebookNode

from labkit.press.chapter import Chapter
from labkit.press.source import SourceError

Results = dict[str, list[NotebookNode]]
"""Name of each edit to the outputs of the last cell that was run again."""
APART = """\
import os

os.environ["LABKIT_RECORDS"] = str(lab.scratch / "tries")"""
"""What runs first: from then on the lab's records go where nobody keeps them."""


def path(evidence: Path, chapter: str, framework: str) -> Path:
    """Return where the results of a twin's edits stand among the course's records."""
    return evidence / "cpu" / f"{chapter}.{framework}.tries.json"


def cells(chapter: Chapter, framework: str) -> Iterator[tuple[str, list[NotebookNode]]]:
    """Yield the name of each edit, and the cells to run again with the edit made."""
    for edit in chapter.tries:
        again = chapter.again(edit, framework)
        yield (
            edit.name,
            [nbformat.v4.new_code_cell(c.source, id=f"try-{edit.name}-{c.step}") for c in again],
        )


def append(notebook: NotebookNode, chapter: Chapter, framework: str, results: Results) -> None:
    """Put the edits behind an executed notebook, the last cell of each with its known results.

    So that one strict run of nbval judges them, too: it compares cells that have a count.
    """
    notebook.cells.append(nbformat.v4.new_code_cell(APART))
    for name, again in cells(chapter, framework):
        again[-1].update(execution_count=1, outputs=results.get(name, []))
        notebook.cells += again


def of_code(chapter: Chapter, framework: str) -> str | None:
    """Return a digest of what is run again; None where nothing is."""
    run = [(name, [c.source for c in again]) for name, again in cells(chapter, framework)]
    return of_text(json.dumps(run)) if run else None


def of_results(file: Path) -> str | None:
    """Return a digest of results as they stand in a file; None where there is none."""
    return of_text(file.read_text(encoding="utf-8")) if file.is_file() else None


def of_text(text: str) -> str:
    """Return a digest of results as `dumps` writes them."""
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def dumps(results: Mapping[str, Any]) -> str:
    """Return results as a file's text."""
    return json.dumps(results, indent=1, ensure_ascii=False) + "\n"


def read(file: Path) -> Results:
    """Return the results that stand in a file; none where there is no file.

    Raises
    ------
    SourceError
        When the file holds anything else.
    """
    if not file.is_file():
        return {}
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
        found = {name: [nbformat.from_dict(o) for o in made] for name, made in content.items()}
    except (OSError, ValueError, AttributeError, TypeError) as error:
        message = f"is no record of tries ({error}); `labkit run` writes it anew"
        raise SourceError(file, None, message) from error
    return found
