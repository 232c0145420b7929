"""What ruff finds in a chapter's code, each twin's as one notebook; words that prose may not use.

Prose that stands for both twins speaks to readers who see one of them, on a phone or in a notebook.
"""

import json
import re
import subprocess
import sys
from importlib.util import find_spec

import nbformat

from labkit.press.chapter import FRAMEWORKS, Chapter

# Names that are not there, code that cannot be parsed; not: an import that a later cell uses, or
# an answer that defines again what the starter does.
_RULES = ("--isolated", "--select", "F,E9", "--ignore", "F401,F811")
_UNUSED = "F841"
# Where things lie on a page of two columns. What is right, a matrix and its columns, and a pixel to
# the left are meant otherwise.
_SIDES = re.compile(
    r"\b(?:left|right)(?:-hand)? (?:column|side|half|cell|notebook|twin)s?\b"
    r"|\b(?:on|to|at) (?:the|your) (?:left|right)(?=[.,;:)]| (?:of|is|are|stands?|you)\b|$)"
    r"|\b(?:both|(?:the|these|compare the|in) two|compare the) columns\b"
    r"|\bthe (?:other|next|first|second) column\b(?! of)"
    r"|\beach column (?:does|prints|shows|says)\b"
    r"|\b(?:PyTorch|TensorFlow|Keras)[’']s? column\b"
    r"|\b(?:both|the two) (?:loops|cells|notebooks|twins) (?:before|in front of) you(?=[.,;:]|$)"
    r"|\b(?:loops|cells|notebooks|twins|frameworks) (?:\w+ )?side by side\b",
    re.IGNORECASE | re.MULTILINE,
)
_SETUP = "import labkit\n\nlab = labkit.start()"


def available() -> bool:
    """Say whether ruff is installed."""
    return find_spec("ruff") is not None


def lint(chapter: Chapter) -> list[str]:
    """Return what is wrong in a chapter's code, one line each, with file, line and twin.

    Answers are linted too: the starter, the solution and the other answers in turn.
    """
    found: dict[str, list[str]] = {}
    for framework, title in FRAMEWORKS.items():
        for message in _of_twin(chapter, framework):
            found.setdefault(message, []).append(title)
    both = len(FRAMEWORKS)
    return [m if len(t) == both else f"{m}, in the {t[0]} twin" for m, t in found.items()]


def unsided(chapter: Chapter) -> list[str]:
    """Return where prose for both twins speaks of a side of the page, one line each."""
    found = []
    for cell in chapter.cells:
        if cell.kind != "markdown" or cell.framework:
            continue
        for place, line in enumerate(cell.source.splitlines()):
            if not line.startswith("%") and (side := _SIDES.search(line)):
                words = f"{side[0]!r} is not there for who sees one framework; name the framework"
                found.append(f"{chapter.text.at(cell.line + place)}: {words}")
    return found


def _of_twin(chapter: Chapter, framework: str) -> list[str]:
    cells = [c for c in chapter.cells_of(framework) if c.kind == "code"]
    code = [nbformat.v4.new_code_cell(s) for s in (_SETUP, *(c.source for c in cells))]
    name = f"{chapter.name}.ipynb"  # so that ruff reads cells, and passes over their magics
    ruff = [sys.executable, "-m", "ruff", "check", *_RULES, "--output-format", "json"]
    done = subprocess.run(
        [*ruff, "--stdin-filename", name, "-"],
        input=nbformat.writes(nbformat.v4.new_notebook(cells=code)),
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    if done.returncode not in (0, 1):
        raise RuntimeError(f"ruff failed: {done.stderr.strip()}")
    out = []
    for finding in json.loads(done.stdout):
        cell = cells[finding["cell"] - 2]  # counted from 1, and the set-up cell is the first
        if cell.but is not None and finding["code"] == _UNUSED:
            continue  # what an edit has made idle shows what was edited
        # An edited solution has lines of its own: the edit is what is at fault.
        offset = 0 if cell.but is not None else finding["location"]["row"] - 1
        out.append(f"{chapter.text.at(cell.line + offset)}: {finding['message']}")
    return out
