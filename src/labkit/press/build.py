"""Build the book; copy its notebooks for a reader to work in."""

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import nbformat

from labkit.files import write_whole
from labkit.press.source import SourceError


class BuildError(SourceError):
    """The book could not be built; what Sphinx said is in the message."""


def book(root: Path) -> Path:
    """Build the HTML with warnings as errors, and return its first page.

    Raises
    ------
    BuildError
        With the warnings and errors that Sphinx printed.
    """
    log = root / "_build" / "book.log"
    program = "from jupyter_book.cli.main import main; main()"
    options = ["build", str(root), "-W", "-n", "--keep-going"]
    command = [sys.executable, "-c", program, *options]
    # UTF-8, whatever the terminal knows: pages and messages hold more than ASCII.
    environment = {**os.environ, "PYTHONUTF8": "1", "PYTHONIOENCODING": "utf-8"}
    done = subprocess.run(
        command,
        capture_output=True,
        encoding="utf-8",
        errors="replace",
        env=environment,
        check=False,
    )
    write_whole(log, done.stdout + done.stderr)
    if done.returncode:
        # A page that was read keeps its warnings to itself the next time: read all of them again.
        shutil.rmtree(root / "_build" / ".doctrees", ignore_errors=True)
        said = _complaints(done.stdout + done.stderr)
        raise BuildError(log, None, f"the book was not built; Sphinx says:\n{said}")
    page = root / "_build" / "html" / "index.html"
    # Jupyter Book leads to the front page from one without an icon, for which browsers then ask.
    icon = '<link rel="icon" href="_static/favicon.svg">'
    if icon not in (text := page.read_text(encoding="utf-8")):
        write_whole(page, f"{text.rstrip()}\n{icon}\n")
    return page


def _complaints(said: str) -> str:
    """Return the warnings and errors in what Sphinx printed, or else its last lines."""
    lines = [t for t in re.sub(r"\x1b\[[0-9;]*m", "", said).splitlines() if t.strip()]
    marks = re.compile(r"(WARNING|ERROR|SEVERE|CRITICAL): |^.*ExtensionError: ")
    found = [marks.sub("", t) if "ExtensionError" in t else t for t in lines if marks.search(t)]
    return "\n".join((found or lines[-10:])[:20])


def copies(root: Path, folder: Path) -> Iterator[tuple[Path, str]]:
    """Copy the notebooks in ``labs/`` to `folder`, without outputs: there a reader predicts, too.

    Yields
    ------
    tuple
        The copy's path, and ``"copied"``, ``"updated"`` (it was as we had left it),
        ``"unchanged"``, or ``"yours, left alone"``.
    """
    ledger = folder / ".copied.json"
    try:
        known = json.loads(ledger.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        known = None
    if not isinstance(known, dict):
        known = {}  # then what differs counts as the reader's own
    for source in sorted((root / "labs").rglob("*")):
        if not source.is_file() or ".ipynb_checkpoints" in source.parts:
            continue
        name = str(source.relative_to(root / "labs"))
        target, content = folder / name, _copy(source)
        old = target.read_bytes() if target.is_file() else None
        if old is None or _digest(old) == known.get(name):
            write_whole(target, content)
            known[name] = _digest(content)
            write_whole(ledger, json.dumps(known, indent=1) + "\n")
            yield target, "copied" if old is None else "updated" if old != content else "unchanged"
        else:
            yield target, "unchanged" if old == content else "yours, left alone"


def _copy(source: Path) -> bytes:
    """Return what a reader gets of a file: of a notebook, the cells alone."""
    if source.suffix != ".ipynb":
        return source.read_bytes()
    notebook = nbformat.read(source, as_version=4)
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
    return f"{nbformat.writes(notebook)}\n".encode()


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
