"""The committed notebooks, and how tests run them: strictly with nbval, or as a plain script."""

import subprocess
import sys
from pathlib import Path

import nbformat
from conftest import ENVIRONMENT, ROOT

from labkit.press import chapter

CELL_SECONDS = 300
"""How long a cell may take: one that starts programs takes five times as long beside other work."""
SANITIZE = Path(__file__).with_name("nbval.cfg")
# Pythons and systems differ in messages: strict on Linux with the one Python that made the outputs.
STRICT = ENVIRONMENT.get("LABKIT_NBVAL", "strict") == "strict"
QUICK = {"LABKIT_DEVICE": "cpu", "LABKIT_QUICK": "1"}


def chapters():
    return [p.stem for p in chapter.chapters(ROOT)]


def committed():
    return sorted((ROOT / "labs").rglob("*.ipynb"))


def name(path):
    return f"{path.parent.name}-{path.stem}"


def code_cells(path):
    return [c for c in nbformat.read(path, as_version=4).cells if c.cell_type == "code"]


def nbval(notebook, *, strict=STRICT, report=None, **environment):
    """Begin an nbval run in a process of its own.

    pytest without its other plugins, and the press first, which knows what nbformat need not
    import, begin in a third of the time.
    """
    command = [
        *(sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"),
        *("-p", "labkit.press", "-p", "nbval.plugin"),
        "--nbval" if strict else "--nbval-lax",
        f"--nbval-cell-timeout={CELL_SECONDS}",
        f"--nbval-sanitize-with={SANITIZE}",
        *(["--junit-xml", str(report)] if report else []),
        str(notebook),
    ]
    return subprocess.Popen(
        command,
        cwd=Path(notebook).parent,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**ENVIRONMENT, **QUICK, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", **environment},
    )


def passed(*processes):
    """Wait for all, and fail with what those said that failed."""
    try:
        said = [process.communicate()[0] for process in processes]
    finally:
        for process in processes:
            process.kill()
    ended = zip(processes, said, strict=True)
    assert all(p.returncode == 0 for p in processes), "\n\n".join(
        text[-6000:] for process, text in ended if process.returncode
    )


def run_alone(path, folder, line="", replacement="", *, before="", after="", **environment):
    """Run a notebook's code in a process of its own, with one piece of it replaced."""
    code = "\n".join(c.source for c in code_cells(path))
    assert line in code
    script = folder / "lab.py"
    script.write_text(before + (code.replace(line, replacement) if line else code) + after)
    return subprocess.run(
        [sys.executable, str(script)],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        env={**ENVIRONMENT, **QUICK, "LABKIT_RECORDS": str(folder), **environment},
    )
