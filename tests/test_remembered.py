"""The memory of passes: it holds what passed, and nothing that has changed since."""

import copy
import subprocess

import nbformat
import pytest
import remembered
from conftest import ROOT
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
    for name in ("processor", "settings"):
        with monkeypatch.context() as patch:
            patch.setattr(remembered, name, lambda: "another")
            keys.append(remembered.key([notebook], [file]))
    with monkeypatch.context() as patch:
        patch.setattr(remembered.metadata, "distributions", list)
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
