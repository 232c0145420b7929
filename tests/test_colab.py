"""Colab, emulated: its frameworks, one notebook, and nothing else of this repository."""

import glob
import os
import shutil
import subprocess
import sys

import nbformat
import pytest
from conftest import ROOT
from packaging.version import Version

from labkit import record, rungs, session
from labkit.press import chapter, prove, weave
from labkit.press.course import Course
from labkit.press.site import Site

# What Colab brings, by its published list of August 2026, and its Python.
COLAB = {
    "keras": "3.13.2",
    "numpy": "2.1.3",
    "tensorboard": "2.20.0",
    "tensorflow": "2.20.0",
    "torch": "2.11.0",
}
PYTHONS = ("python3.13", "python3.12")

RUN = """
import sys, nbformat
from nbclient import NotebookClient
notebook = nbformat.read(sys.argv[1], as_version=4)
NotebookClient(notebook, timeout=1500, kernel_name="python3").execute()
nbformat.write(notebook, sys.argv[1])
"""


def python():
    """Return the first of Colab's Pythons that runs here, or else this one."""
    pyenv = os.environ.get("PYENV_ROOT", os.path.expanduser("~/.pyenv"))  # on the PATH or not
    for name in PYTHONS:
        for found in (shutil.which(name), *glob.glob(f"{pyenv}/versions/*/bin/{name}")):
            if found and not subprocess.run([found, "-c", ""], capture_output=True).returncode:
                return found
    return sys.executable


def test_what_a_lab_accepts_at_the_oldest_is_what_is_tested_here():
    """No lab asks Colab's users for another framework, or says of an older one that it runs."""
    for package in ("keras", "tensorflow", "torch"):
        (bound,) = session.bounds(package, "oldest").specifier
        assert (bound.operator, Version(bound.version)) == (">=", Version(COLAB[package])), package


@pytest.fixture(scope="module")
def colab(tmp_path_factory):
    """A fresh environment with Colab's frameworks and Jupyter; its torch brings gigabytes."""
    folder = tmp_path_factory.mktemp("colab")
    subprocess.run([python(), "-m", "venv", str(folder / "venv")], check=True)
    ours = folder / "venv" / "bin" / "python"
    wanted = [f"{name}=={release}" for name, release in COLAB.items()]
    pip = [str(ours), "-m", "pip", "install", "-q", *wanted, "ipykernel", "nbclient"]
    subprocess.run(pip, check=True, timeout=2400)
    return ours


@pytest.fixture(scope="module")
def repository(tmp_path_factory):
    """This repository at a local git address."""
    clone = tmp_path_factory.mktemp("git") / "twin-labs"
    subprocess.run(["git", "clone", "-q", str(ROOT), str(clone)], check=True)
    # What is not committed yet is tested, too.
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, clone / name)
    shutil.copytree(ROOT / "src", clone / "src", dirs_exist_ok=True)
    git = ["git", "-C", str(clone), "-c", "user.name=test", "-c", "user.email=test@example.org"]
    subprocess.run([*git, "checkout", "-q", "-B", "main"], check=True)
    subprocess.run([*git, "add", "-A"], check=True)
    subprocess.run([*git, "commit", "-q", "--allow-empty", "-m", "test"], check=True)
    return f"file://{clone}"


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("framework", list(chapter.FRAMEWORKS))
@pytest.mark.parametrize("path", chapter.chapters(ROOT), ids=lambda p: p.stem)
def test_a_notebook_installs_what_it_needs_and_runs(colab, repository, path, framework, tmp_path):
    loaded = chapter.load(path)
    notebook = weave.weave(loaded, framework, Course(Site(ROOT, repository, "main")))
    assert f"git+{repository}@main" in notebook.cells[1].source
    file = tmp_path / f"{framework}.ipynb"
    nbformat.write(notebook, file)
    subprocess.run([str(colab), "-m", "pip", "uninstall", "-q", "-y", "labkit"], check=True)
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "LABKIT_T"))}
    settings = {"LABKIT_DEVICE": "cpu", "LABKIT_QUICK": "1", "LABKIT_RECORDS": str(tmp_path)}
    done = subprocess.run(
        [str(colab), "-c", RUN, str(file)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        env={**clean, **settings},
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    ran, committed = (
        record.read(folder / "cpu" / f"{loaded.name}.{framework}.json")["exact"]
        for folder in (tmp_path, ROOT / "evidence")
    )
    steps = rungs.compare(ran, committed, prove.more(loaded.lab))
    assert steps[-1].holds, rungs.report(steps)
    where = subprocess.run(
        [str(colab), "-c", "import labkit; print(labkit.__file__)"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        env=clean,
        check=True,
    )
    assert "site-packages" in where.stdout
