"""Colab, emulated: frameworks, one notebook, and nothing else of this repository."""

import os
import shutil
import subprocess
import sys

import nbformat
import pytest
from conftest import ROOT

from labkit import session
from labkit.press import chapter, weave
from labkit.press.course import Course
from labkit.press.site import Site

RUN = """
import sys, nbformat
from nbclient import NotebookClient
notebook = nbformat.read(sys.argv[1], as_version=4)
NotebookClient(notebook, timeout=300, kernel_name="python3").execute()
nbformat.write(notebook, sys.argv[1])
"""


def printed(notebook):
    """What each cell prints, but for what a clock decides."""
    return {
        c.id: "".join(o.text for o in c.outputs if o.get("name") == "stdout")
        for c in notebook.cells
        if c.cell_type == "code" and "measured" not in c.metadata.get("tags", ())
    }


@pytest.fixture(scope="module")
def colab(tmp_path_factory):
    """A fresh environment with the frameworks and Jupyter, as Colab has."""
    folder = tmp_path_factory.mktemp("colab")
    subprocess.run([sys.executable, "-m", "venv", str(folder / "venv")], check=True)
    python = folder / "venv" / "bin" / "python"
    names = [p for packages in session.PACKAGES.values() for p in packages]
    wanted = [f"{b.name}{b.specifier}" for b in map(session.bounds, names)]
    pip = [str(python), "-m", "pip", "install", "-q", *wanted, "ipykernel", "nbclient"]
    subprocess.run(pip, check=True, timeout=1200)
    return python


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
@pytest.mark.timeout(2400)
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
    done = subprocess.run(
        [str(colab), "-c", RUN, str(file)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        env={**clean, "LABKIT_DEVICE": "cpu"},
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    ran = nbformat.read(file, as_version=4)
    committed = nbformat.read(weave.notebook_path(ROOT, loaded.name, framework), as_version=4)
    assert printed(ran) == printed(committed)
    where = subprocess.run(
        [str(colab), "-c", "import labkit; print(labkit.__file__)"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    assert "site-packages" in where.stdout
