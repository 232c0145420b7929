"""Sees what Python opens of the clone, and stops it where a test said that it reads no such thing.

It watches the tests' own process and, by `sitecustomize.py` beside it, each Python that they start.
"""

import json
import os
import sys

READS = (
    "src",
    "tests",
    *("pyproject.toml", "_config.yml", "references.bib", "evidence/claims.yml"),
)
"""What a test of the engine may read of the clone: the last three are a small course's, too."""
TOOLS = (".venv", ".hypothesis", ".pytest_cache")
VARIABLE = "TESTS_WATCHED"

_watching = None


def begin(root, told):
    """Watch this process from now on, and what it starts; write faults into the file `told`."""
    global _watching
    if _watching is None:
        sys.addaudithook(_look)  # there is no way to take it away
    _watching = (os.path.realpath(root), told)
    os.environ[VARIABLE] = json.dumps(_watching)


def end():
    global _watching
    _watching = ()  # the hook stays, and passes everything over
    os.environ.pop(VARIABLE, None)


def faults():
    """Return what has been done so far that was not to be, in words."""
    told = _watching[1]
    if not os.path.exists(told):
        return []
    with open(told, encoding="utf-8") as file:
        return file.read().splitlines()


def _look(event, arguments):
    if not _watching:
        return
    if event in ("open", "os.listdir", "os.scandir"):
        _demand(arguments[0], "reads")
    elif event == "subprocess.Popen":
        _demand(arguments[2] or os.getcwd(), "starts a program in")


def _demand(path, does):
    if path is None or isinstance(path, int):
        return
    root, told = _watching
    place = os.path.relpath(os.path.realpath(os.fsdecode(path)), root)
    if place == os.curdir and does == "reads":  # Python looks there for modules
        return
    allowed = (os.pardir, *READS, *TOOLS)
    if any(place == name or place.startswith(f"{name}{os.sep}") for name in allowed):
        return
    fault = f"{does} {'the clone' if place == os.curdir else place}"
    end()  # what follows opens files, too
    with open(told, "a", encoding="utf-8") as file:
        file.write(fault + "\n")
    begin(root, told)
    raise AssertionError(f"a test of the engine {fault}")
