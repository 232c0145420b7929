"""Passes that are remembered: what has passed runs again only when something it reads has changed.

A pass is a small file in ``_build/verified/``, named by what was run and by a digest of all that
decides how it ends. Failures are never remembered. `make test-all` deletes the folder first.

Two kinds are remembered: a block in `once`, with a key that the test makes; and each test of a
module marked ``engine``, which says that it reads nothing of the course's chapters, labs and
evidence (but for single tests marked ``course``). Such a module runs again when labkit, its own
text, the tests' tools or the machine change. What it says is watched: see ``watched/watch.py``.
"""

import functools
import hashlib
import json
import os
import platform
import shutil
import tempfile
import time
from collections import defaultdict
from contextlib import contextmanager
from datetime import date
from importlib import metadata
from pathlib import Path

import pytest
from conftest import ENVIRONMENT, ROOT
from watched import watch

import labkit
from labkit.files import write_whole
from labkit.press import fingerprint

FOLDER = Path(ENVIRONMENT.get("LABKIT_VERIFIED", ROOT / "_build" / "verified"))
PLACES = ("LABKIT_RECORDS", "LABKIT_VERIFIED")
SETTINGS = ("LABKIT_", "ATEN_", "ONEDNN_", "OMP_", "MKL_", "TORCH", "TF_", "KERAS_", "XLA_", "CXX")
"""How variables begin that change what a notebook computes."""


@contextmanager
def once(name, key, folder=FOLDER):
    """Skip the test where this has passed before; where the block passes now, remember it."""
    file = folder / f"{name}-{key}.txt"
    if file.is_file():
        pytest.skip(f"from memory: {name} {file.read_text().strip()}")
    begin = time.monotonic()
    yield
    took = time.monotonic() - begin
    write_whole(file, f"passed on {date.today()} in {took:.0f} s\n")


def key(notebooks, files=()):
    """Return a digest of what decides how a run of some notebooks ends.

    That is their code, tags and outputs, but not their prose; the files of labkit that the code
    reaches; `files`; the settings; and what is installed on which processor.
    """
    reached = {Path(labkit.__file__), Path(__file__), *files}
    cells = []
    for notebook in notebooks:
        code = [c for c in notebook.cells if c.cell_type == "code"]
        cells.append([(c.source, c.metadata, c.execution_count, c.outputs) for c in code])
        reached.update(fingerprint.labkit_files("\n".join(c.source for c in code)))
    return digest(cells, reached)


def digest(content, files):
    """Return a digest of some content, of files, of the settings and of the machine."""
    mark = hashlib.sha256(json.dumps([content, settings(), machine()], sort_keys=True).encode())
    for file in sorted(files):
        mark.update(file.name.encode() + file.read_bytes())
    return mark.hexdigest()[:16]


def settings():
    """Return the variables that change what a notebook computes; where it writes does not."""
    names = [n for n in sorted(ENVIRONMENT) if n.startswith(SETTINGS) and n not in PLACES]
    return {n: ENVIRONMENT[n] for n in names}


def machine():
    """Return the processor, Python, every installed version, and the programs that labs call."""
    tools = [shutil.which(program) for program in ("dot", "g++", "clang++")]
    system = [platform.system(), platform.machine(), platform.python_version()]
    return [processor(), system, installed(), tools]


@functools.cache
def installed():
    return sorted({f"{d.name}=={d.version}" for d in metadata.distributions()})


def processor():
    """Return the processor's model and instructions."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return sorted({x for x in lines if x.startswith(("model name", "flags", "Features"))})


# --- the engine's tests, as a plugin of pytest -------------------------------------------------

_passed = defaultdict(set)
"""File of the memory to the tests that have passed now."""


def of_the_engine(item):
    """Say whether a test reads nothing of the course."""
    marks = [mark.name for mark in item.iter_markers()]
    return "engine" in marks and "course" not in marks


@functools.cache
def memory(module):
    """Return the file that holds a module's passes."""
    found = {module, *(ROOT / name for name in watch.READS), *(ROOT / "src").rglob("*")}
    found.update(p for p in (ROOT / "tests").rglob("*") if not p.name.startswith("test_"))
    read = {p for p in found if p.is_file() and "__pycache__" not in p.parts}
    return FOLDER / f"{module.stem}-{digest([], read)}.txt"


@functools.cache
def remembered(file):
    """Return when tests of a module have passed, and which."""
    if not file.is_file():
        return "", frozenset()
    when, *names = file.read_text(encoding="utf-8").splitlines()
    return when, frozenset(names)


def name(item):
    return item.nodeid.partition("::")[2]


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(collector):
    """A module of the engine reads nothing of the course while it is imported, either."""
    if isinstance(collector, pytest.Module) and "mark.engine" in collector.path.read_text("utf-8"):
        with watched():
            return (yield)
    return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item, nextitem):
    if not of_the_engine(item):
        return (yield)
    remembered(memory(item.path))  # once, and before what reads it is watched
    with watched():
        return (yield)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item):
    if of_the_engine(item):
        when, names = remembered(memory(item.path))
        if name(item) in names:
            pytest.skip(f"from memory: {item.path.stem} {when}")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown(item):
    done = yield
    if of_the_engine(item) and (faults := watch.faults()):
        pytest.fail(
            f"{item.path.name} is marked `engine`, and this test {', '.join(faults)}: mark the "
            "test `course`, or its pass would be remembered when that has changed",
            pytrace=False,
        )
    return done


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item):
    report = yield
    if of_the_engine(item):
        if report.when == "call" and report.passed:
            _passed[memory(item.path)].add(name(item))
        elif not report.passed:
            _passed[memory(item.path)].discard(name(item))
    return report


def pytest_sessionfinish():
    for file, names in _passed.items():
        if names:
            known = remembered(file)[1]
            write_whole(
                file, "\n".join([f"passed on {date.today()}", *sorted(known | names)]) + "\n"
            )


@contextmanager
def watched():
    """Watch what is opened, here and in what is started, from a folder outside of the clone."""
    here, before = os.getcwd(), os.environ.get("PYTHONPATH")
    with tempfile.TemporaryDirectory(prefix="labkit-test-") as folder:
        os.chdir(folder)
        path = [str(Path(watch.__file__).parent), *([before] if before else [])]
        os.environ["PYTHONPATH"] = os.pathsep.join(path)
        watch.begin(str(ROOT), str(Path(folder, "faults")))
        try:
            yield
        finally:
            watch.end()
            os.chdir(here)
            os.environ.pop("PYTHONPATH")
            if before is not None:
                os.environ["PYTHONPATH"] = before
