import os
import subprocess
import sys

import nbformat
import pytest
from conftest import ROOT
from typer.testing import CliRunner

from labkit import cli, session

runner = CliRunner()


def labkit(*args, cwd=None, **environment):
    return subprocess.run(
        [sys.executable, "-m", "labkit.cli", *args],
        capture_output=True,
        text=True,
        cwd=cwd,
        env={**os.environ, **environment},
        check=False,
    )


@pytest.mark.parametrize(
    "command", ["doctor", "weave", "check", "run", "prove", "take", "book", "copies"]
)
def test_help_teaches(command):
    done = runner.invoke(cli.app, [command, "--help"])
    assert done.exit_code == 0
    taught = {
        "doctor": "Exit code 1 when neither framework",
        "weave": "Notebooks edited by hand are never overwritten",
        "run": "written when it has run to its end",
        "prove": "Exit code 1 when one breaks",
        "take": "edited in JupyterLab",
        "check": "without running",
        "book": "Build the book's pages",
        "copies": "copies with edits are never",
    }
    words = " ".join(done.stdout.replace("│", " ").split())
    assert taught[command] in words


@pytest.mark.parametrize(("command", "press"), [("fetch", False), ("weave", True)])
def test_the_press_is_imported_for_its_own_commands_alone(command, press):
    """And of it nothing but their list, until one of them does its work."""
    ask = f"import sys; from labkit.cli import app; app(['{command}', '--help'], standalone_mode=0)"
    then = "; print(sorted(m for m in sys.modules if m.startswith('labkit.press')))"
    done = subprocess.run(
        [sys.executable, "-c", ask + then], capture_output=True, text=True, check=True
    )
    found = ["labkit.press", "labkit.press.commands"] if press else []
    assert done.stdout.splitlines()[-1] == str(found)


def test_a_command_that_is_not_there(course):
    done = labkit("weav", cwd=course)
    assert done.returncode == 2
    assert "No such command 'weav'. Did you mean 'weave'?" in " ".join(done.stderr.split())


def test_doctor():
    done = runner.invoke(cli.app, ["doctor"])
    assert done.exit_code == 0
    for word in ("Python", "torch", "tensorflow", "keras", "compiler", "graphviz", "disk", "cpu"):
        assert word in done.stdout


def test_doctor_without_frameworks(monkeypatch):
    monkeypatch.setattr(session, "installed", lambda package: None)
    done = runner.invoke(cli.app, ["doctor"])
    assert done.exit_code == 1
    assert "pip install 'torch<2.14,>=2.13'" in done.stdout.replace("\n", " ")


def test_weave_then_run(course):
    done = labkit("weave", cwd=course)
    assert done.stdout == "tiny pytorch: woven, to be run\ntiny tensorflow: woven, to be run\n"
    assert done.returncode == 0
    done = labkit("run", "--jobs", "2", cwd=course)
    assert done.returncode == 0, done.stderr
    assert "tiny pytorch: done, 3 cells" in done.stdout
    assert "written: labs/tiny/pytorch.ipynb, labs/tiny/tensorflow.ipynb" in done.stdout
    assert labkit("run", cwd=course).stdout == "2 notebooks, none stale\n"
    assert "unchanged" in labkit("weave", cwd=course).stdout
    # From a folder below, too.
    assert "none stale" in labkit("run", cwd=course / "chapters").stdout


ASCII = {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0", "PYTHONIOENCODING": "ascii"}


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (("prove", "first-network"), " ok losses "),
        (("prove", "--claims"), "?"),  # for a letter in the words of a claim
        (("prove", "non\N{EM DASH}such"), "known are"),
    ],
)
def test_a_terminal_that_knows_ascii_alone(args, words):
    done = labkit(*args, cwd=ROOT, **ASCII)
    assert "Traceback" not in done.stderr
    said = " ".join((done.stdout + done.stderr).split())
    assert said.isascii()
    assert words in said


def test_a_notebook_is_woven_for_a_terminal_that_knows_ascii_alone(course):
    path = course / "chapters" / "tiny.md"
    path.write_text(path.read_text(encoding="utf-8") + "\nGröße ✓\n", encoding="utf-8")
    done = labkit("weave", cwd=course, **ASCII)
    assert done.returncode == 0, done.stderr
    woven = (course / "labs" / "tiny" / "pytorch.ipynb").read_text(encoding="utf-8")
    assert "Größe ✓" in woven


def test_take(course):
    labkit("weave", cwd=course)
    path = course / "labs" / "tiny" / "tensorflow.ipynb"
    notebook = nbformat.read(path, as_version=4)
    notebook.cells[3].source = "print(3)"
    nbformat.write(notebook, path)
    refused = labkit("run", cwd=course)
    assert refused.returncode == 1
    assert "labkit take" in refused.stderr
    done = labkit("take", "labs/tiny/tensorflow.ipynb", cwd=course)
    assert done.returncode == 0, done.stderr
    assert "1 cells taken into chapters/tiny.md" in done.stdout
    assert "print(3)" in (course / "chapters" / "tiny.md").read_text()
    assert labkit("weave", cwd=course).returncode == 0


def test_check_names_what_is_wrong_with_file_and_line(course):
    done = labkit("check", cwd=course)
    assert (done.returncode, done.stdout) == (0, "1 chapters, nothing wrong\n"), done.stderr
    path = course / "chapters" / "tiny.md"
    path.write_text(path.read_text().replace("print(2)", "%time 1\nprint(two)\nlab.name"))
    rest = "## Exercises\n\n```{code-cell}\nif total:\n    nothing\n```\n"
    (course / "chapters" / "tiny.exercises.md").write_text(rest)
    done = labkit("check", "tiny", cwd=course)
    assert done.returncode == 1
    assert [line.removeprefix(f"error: {course}/") for line in done.stderr.splitlines()] == [
        "chapters/tiny.exercises.md:5: Undefined name `nothing`",
        "chapters/tiny.md:20: Undefined name `two`, in the TensorFlow twin",
    ]
    assert not (course / "labs").exists()


@pytest.mark.parametrize(
    ("args", "code", "words"),
    [
        (("run", "tinny"), 1, "no chapter 'tinny'; did you mean 'tiny'?"),
        (("run", "--framework", "jax"), 2, "must be pytorch or tensorflow"),
        (("take", "nothing.ipynb"), 1, "nothing.ipynb: is missing"),
        (("run", "--jobs", "-1"), 2, "equal to 0"),
        (("run", "--jobs", "many"), 2, "integer"),
    ],
)
def test_mistakes_are_one_message(course, args, code, words):
    done = labkit(*args, cwd=course)
    assert done.returncode == code
    assert words in done.stderr
    assert "Traceback" not in done.stderr


def test_an_error_in_a_chapter_is_one_message(course):
    path = course / "chapters" / "tiny.md"
    path.write_text(path.read_text().replace("[pytorch]", "[pytroch]"))
    done = labkit("run", cwd=course)
    assert done.returncode == 1
    assert "chapters/tiny.md:15: unknown tag 'pytroch'; did you mean 'pytorch'?" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (course / "labs").exists()


def test_prove_names_the_rung_that_breaks(course):
    import json

    from conftest import ROOT

    chapter = course / "chapters" / "tiny.md"
    assert "0 proven" in labkit("prove", cwd=course).stdout  # it owes no ladder
    text = chapter.read_text().replace('ladder: "it trains nothing"', "ladder: []")
    text = text.replace(":step: add", ":step: ladder")
    chapter.write_text(
        text.replace("print(2)", "lab.prove()").replace("print(1 + 1)", "lab.prove()")
    )
    missing = labkit("prove", cwd=course)
    assert missing.returncode == 1
    assert "tiny.pytorch.json is missing" in missing.stderr
    folder = course / "evidence" / "cpu"
    folder.mkdir()
    for framework in ("pytorch", "tensorflow"):
        source = ROOT / "evidence" / "cpu" / f"first-network.{framework}.json"
        content = {**json.loads(source.read_text()), "chapter": "tiny"}
        (folder / f"tiny.{framework}.json").write_text(json.dumps(content))
    done = labkit("prove", cwd=course)
    assert done.returncode == 0, done.stderr
    mine = labkit("prove", "--mine", "tiny", cwd=course)
    assert mine.returncode == 1
    assert "tiny.pytorch.json is missing: run the notebook tiny/pytorch" in mine.stderr
    assert "losses" in done.stdout
    assert "1 proven, in float64 on the CPU" in done.stdout
    content["exact"]["losses"][299] += 1e-9
    (folder / "tiny.tensorflow.json").write_text(json.dumps(content))
    done = labkit("prove", cwd=course)
    assert done.returncode == 1
    assert "tiny: rung 'losses' breaks: from step 300 of 540 on" in done.stderr


def test_claims_are_printed_with_the_readers_own_verdicts_beside(course):
    done = labkit("prove", "--claims", cwd=course)
    assert done.returncode == 0
    assert "results-differ: open; no record yet" in done.stdout.splitlines()
    mine = labkit("prove", "--mine", cwd=course)
    assert "papers: reported; " in mine.stdout
    assert "| mine: open; no record yet" in mine.stdout
    assert labkit("prove", "nonsense", "--claims", cwd=course).returncode == 2


@pytest.mark.parametrize("command", ["run", "weave", "book", "copies"])
def test_outside_of_a_course(tmp_path, command):
    done = labkit(command, cwd=tmp_path)
    assert done.returncode == 1
    assert "run this in the course's own folder" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_made_is_one_message(course):
    (course / "_build").write_text("in the way")
    done = labkit("run", cwd=course)
    assert done.returncode == 1
    assert "_build: File exists" in done.stderr
    assert "Traceback" not in done.stderr
