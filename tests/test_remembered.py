"""The memory of passes: it holds what passed, and nothing that has changed since."""

import copy
import os
import re
import subprocess
import sys

import nbformat
import pytest
import remembered
from conftest import ENVIRONMENT, ROOT
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output


@pytest.fixture
def notebook():
    said = new_output("stream", name="stdout", text="1\n")
    cell = new_code_cell("labkit.measure.seconds(f)", id="a", execution_count=1, outputs=[said])
    return new_notebook(cells=[new_markdown_cell("Words.", id="w"), cell])


def test_a_pass_is_remembered_and_told(tmp_path):
    ran = []

    def run(key):
        with remembered.once("lab", key, tmp_path):
            ran.append(key)

    run("key")
    with pytest.raises(pytest.skip.Exception, match="from memory: lab passed on 2"):
        run("key")
    run("another key")
    assert ran == ["key", "another key"]


@pytest.mark.parametrize("error", [AssertionError, KeyboardInterrupt])
def test_what_did_not_pass_is_not_remembered(tmp_path, error):
    with pytest.raises(error), remembered.once("lab", "key", tmp_path):
        raise error
    assert list(tmp_path.iterdir()) == []


def changes(notebook):
    """Yield notebooks that are not the given one."""
    for change in (
        lambda c: c.update(source="labkit.measure.rows(f)"),
        lambda c: c.metadata.update(tags=["measured"]),
        lambda c: c.update(execution_count=None),
        lambda c: c.outputs[0].update(text="2\n"),
    ):
        other = copy.deepcopy(notebook)
        change(other.cells[1])
        yield other


def test_the_key_changes_with_all_that_a_run_reads(notebook, tmp_path, monkeypatch):
    file = tmp_path / "nbval.cfg"
    file.write_text("one")
    keys = [remembered.key([notebook], [file])]
    keys += [remembered.key([other], [file]) for other in changes(notebook)]
    keys.append(remembered.key([notebook, notebook], [file]))
    file.write_text("two")
    keys.append(remembered.key([notebook], [file]))
    for name in ("processor", "settings", "installed"):
        with monkeypatch.context() as patch:
            patch.setattr(remembered, name, lambda: "another")
            keys.append(remembered.key([notebook], [file]))
    assert len(set(keys)) == len(keys) >= 10


def test_the_key_reads_the_files_of_labkit_that_the_code_reaches(notebook, tmp_path, monkeypatch):
    measure = tmp_path / "measure.py"
    asked = []

    def reached(code):
        asked.append(code)
        return [measure]

    monkeypatch.setattr(remembered.fingerprint, "labkit_files", reached)
    measure.write_text("one")
    before = remembered.key([notebook])
    measure.write_text("two")
    assert remembered.key([notebook]) != before
    assert asked[0] == "labkit.measure.seconds(f)"


def test_prose_and_another_place_to_write_change_no_key(notebook, monkeypatch):
    before = remembered.key([notebook])
    other = nbformat.from_dict(copy.deepcopy(notebook))
    other.cells[0].source = "Other words."
    monkeypatch.setitem(remembered.ENVIRONMENT, "LABKIT_RECORDS", "/elsewhere")
    assert remembered.key([other]) == before
    monkeypatch.setitem(remembered.ENVIRONMENT, "LABKIT_THREADS", "7")
    assert remembered.key([other]) != before


def test_no_pass_comes_with_the_clone():
    tracked = subprocess.run(
        ["git", "ls-files", "_build"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert tracked.stdout == ""


# --- modules of the engine ---------------------------------------------------------------------

MODULE = """
import contextlib, os, pathlib, subprocess, sys
import pytest

ROOT = pathlib.Path({root!r})
CHAPTER = ROOT / "chapters" / "index.md"
pytestmark = pytest.mark.engine

def test_labkit():
    assert (ROOT / "src" / "labkit" / "__init__.py").read_text()

def test_fails():
    assert not (ROOT / "src" / "labkit" / "__init__.py").read_text()

def test_reads():
    CHAPTER.read_text()

def test_reads_in_silence():
    with contextlib.suppress(Exception):
        CHAPTER.read_text()

def test_lists():
    list((ROOT / "labs").rglob("*.ipynb"))

@pytest.fixture
def text():
    return CHAPTER.read_text()

def test_has_it_read(text):
    pass

def test_starts_what_reads():
    subprocess.run([sys.executable, "-c", f"open({{str(CHAPTER)!r}})"])

def test_starts_a_program_there():
    subprocess.run(["git", "--version"], cwd=ROOT)

@pytest.mark.course
def test_of_the_course():
    CHAPTER.read_text()
"""


def run_module(folder, text=MODULE):
    """Run a module of tests with a memory of its own; return each end, and what pytest says."""
    file = folder / "test_engine.py"
    file.write_text(text.format(root=str(ROOT)))
    done = subprocess.run(
        [
            *(sys.executable, "-m", "pytest", "-q", "-rA", "--tb=short", "-p", "no:cacheprovider"),
            *("-c", str(ROOT / "pyproject.toml"), "--rootdir", str(folder), "-p", "remembered"),
            str(file),
        ],
        cwd=folder,
        env={
            **ENVIRONMENT,
            "PYTHONPATH": os.pathsep.join([str(ROOT / "tests"), *sys.path[1:]]),
            "LABKIT_VERIFIED": str(folder / "verified"),
        },
        capture_output=True,
        text=True,
        check=False,
    )
    found = re.findall(r"^(PASSED|FAILED|ERROR) .*::(\w+)", done.stdout, re.MULTILINE)
    return {name: end for end, name in found}, done.stdout


def test_what_reads_the_course_is_never_taken_for_the_engine(tmp_path):
    ends, said = run_module(tmp_path)
    assert {n for n, end in ends.items() if end == "PASSED"} == {
        "test_labkit",
        "test_of_the_course",
    }
    assert len(ends) == 9
    assert "test_engine.py is marked `engine`, and this test reads chapters/index.md:" in said
    assert "this test starts a program in the clone:" in said
    # What passed is remembered; what failed, and what reads the course, runs again.
    again, said = run_module(tmp_path)
    assert again == {n: end for n, end in ends.items() if n != "test_labkit"}
    assert "from memory: test_engine passed on 2" in said
    # Nor is anything of it read in passing, where each test would find it.
    (tmp_path / "_").mkdir()
    early, said = run_module(tmp_path / "_", MODULE + "\nCHAPTER.read_text()\n")
    assert "reads chapters/index.md" in said
    assert early == {}


def test_the_tests_tools_read_nothing_of_the_course_when_imported():
    """Who imports them second would not be seen."""
    tools = sorted(p.stem for p in (ROOT / "tests").glob("*.py") if not p.stem.startswith("test_"))
    tools.remove("take_numbers")  # a program
    code = (
        f"import sys; sys.path.append('watched'); import watch; watch.begin({str(ROOT)!r}, 'none')"
    )
    done = subprocess.run(
        [sys.executable, "-c", f"{code}\nimport {', '.join(tools)}"],
        cwd=ROOT / "tests",
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    "change", ["src/labkit/plot.py", "tests/conftest.py", "tests/test_engine.py", "pyproject.toml"]
)
def test_a_module_of_the_engine_runs_again_when_what_it_reads_has_changed(
    tmp_path, monkeypatch, change
):
    for name in ("src/labkit/plot.py", "tests/conftest.py", "tests/test_engine.py"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("one")
    for name in ("pyproject.toml", "chapters/a.md", "labs/a.ipynb", "tests/test_other.py"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("one")
    monkeypatch.setattr(remembered, "ROOT", tmp_path)

    def now():
        remembered.memory.cache_clear()
        return remembered.memory(tmp_path / "tests" / "test_engine.py")

    before = now()
    for name in ("chapters/a.md", "labs/a.ipynb", "tests/test_other.py"):
        (tmp_path / name).write_text("two")
    assert now() == before
    (tmp_path / change).write_text("two")
    assert now() != before
    remembered.memory.cache_clear()
