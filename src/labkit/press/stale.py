"""What must run, and why: the twins woven anew, held against what stands in ``labs/``."""

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nbformat import NotebookNode

from labkit import record
from labkit.press import fingerprint, tries
from labkit.press.chapter import FRAMEWORKS, Chapter
from labkit.press.course import Course
from labkit.press.weave import SETUP, notebook_path, read_notebook, refuse_edited, weave

_SHOWING = ("lab.prove(", "lab.compare(", "lab.contrast(")
"""The calls that show the other twin's results."""


@dataclass(frozen=True)
class Job:
    """One twin, woven, and what stands in its place."""

    chapter: Chapter
    framework: str
    notebook: NotebookNode
    old: NotebookNode | None
    path: Path
    stamps: dict[str, str | None]
    """Digests of what decides the notebook's outputs: the code that ``ran``; the ``recorded``
    results, its own; the ``twin``'s, for a notebook that shows them; the edits ``to_try`` and what
    they have ``tried``."""
    timings: str | None
    """A digest of the code that takes its timings."""

    @property
    def label(self) -> str:
        """Name for people."""
        return f"{self.chapter.name} {self.framework}"

    @property
    def stale(self) -> bool:
        """Whether its code, what that reaches or shows, a result or an output has changed."""
        if self.old is None:
            return True
        info = self.old.metadata.labkit
        now = {**self.stamps, "put_out": of_outputs(self.old)}
        return any(info.get(key) != value for key, value in now.items())

    @property
    def measured(self) -> bool:
        """Whether the timings that stand there were taken by the present code."""
        return self.old is not None and self.old.metadata.labkit.get("measured") == self.timings


def plan(course: Course, chapters: Iterable[Chapter], frameworks: Sequence[str]) -> list[Job]:
    """Weave the twins and compare them with what stands in ``labs/`` and ``evidence/`` now.

    Raises
    ------
    SourceError
        When a notebook that stands there was edited by hand, or a chapter's prose is at fault.
    """
    return [_job(course, chapter, f) for chapter in chapters for f in frameworks]


def again(course: Course, jobs: Iterable[Job]) -> list[Job]:
    """Plan notebooks again, and return those that are stale by what has just been run."""
    planned = [_job(course, job.chapter, job.framework) for job in jobs]
    return [job for job in planned if job.stale]


def _job(course: Course, chapter: Chapter, framework: str) -> Job:
    path = notebook_path(course.root, chapter.name, framework)
    new, old = weave(chapter, framework, course), read_notebook(path)
    refuse_edited(old, new, path)
    code = _code(new)
    evidence = course.root / "evidence"
    stamps = {
        "ran": fingerprint.of_code(code),
        **results(new, evidence),
        "to_try": tries.of_code(chapter, framework),
        "tried": tries.of_results(tries.path(evidence, chapter.name, framework))
        if chapter.tries
        else None,
    }
    timings = fingerprint.of_timings((s, m.get("tags", ())) for s, m in code)
    return Job(chapter, framework, new, old, path, stamps, timings)


def results(notebook: NotebookNode, evidence: Path) -> dict[str, str | None]:
    """Return digests of the results that a notebook has recorded, and of those that it shows.

    A proof is shown against the twin's results. Records that are missing or cannot be read have the
    digest None: a notebook that wrote one is stale without it.
    """
    framework = notebook.metadata.labkit.framework
    found = {"recorded": _results_of(notebook, evidence, framework), "twin": None}
    if any(call in source for source, _ in _code(notebook) for call in _SHOWING):
        other = next(f for f in FRAMEWORKS if f != framework)
        found["twin"] = _results_of(notebook, evidence, other)
    return found


def _results_of(notebook: NotebookNode, evidence: Path, framework: str) -> str | None:
    content = read(record_path(evidence, notebook.metadata.labkit.chapter, framework))
    return of_results(content)


def record_path(evidence: Path, chapter: str, framework: str) -> Path:
    """Return where the record of a twin stands in a folder of records."""
    return evidence / "cpu" / f"{chapter}.{framework}.json"


def read(path: Path) -> dict[str, Any] | None:
    """Read a record of the course's, None where there is none or it is broken: it is made anew."""
    try:
        return record.read(path) if path.is_file() else None
    except record.RecordError:
        return None


def of_results(content: dict[str, Any] | None) -> str | None:
    """Return a digest of a record's results."""
    return None if content is None else _digest(content["exact"])


def of_outputs(notebook: NotebookNode) -> str:
    """Return a digest of a notebook's outputs, which changes when somebody clears or reruns it."""
    cells = [c for c in notebook.cells if c.cell_type == "code"]
    return _digest([(c.execution_count, c.outputs) for c in cells])


def _digest(content: Any) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]


def _code(notebook: NotebookNode) -> list[tuple[str, Any]]:
    """Return source and metadata of the code cells, but for the set-up cell's."""
    cells = [c for c in notebook.cells if c.cell_type == "code" and c.id != SETUP]
    return [(c.source, c.metadata) for c in cells]
