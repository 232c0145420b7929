"""Fixtures shared by the tests."""

import os
import textwrap
from pathlib import Path

import browser
import pytest

from labkit import twins
from labkit.session import import_triton_first

ROOT = Path(__file__).parents[1]
os.environ.pop("PYTEST_ADDOPTS", None)  # this pytest's, not those that it starts
ENVIRONMENT = dict(os.environ)
"""What the tests were begun with; frameworks that they import set variables of their own."""
STAND_INS = ROOT / "tests" / "stand_ins"

# The tests' own networks are so small that threads only wait for each other.
for name in ("OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS"):
    os.environ.setdefault(name, "1")
import_triton_first()  # the tests import both frameworks, in any order


def pytest_configure(config):
    import remembered  # it asks this file where the clone is

    config.pluginmanager.register(remembered)


def by_itself(nodeid):
    """Say whether a test is handed to a worker alone, not with its module: strict runs are long."""
    return "::test_a_strict_run[" in nodeid


def pytest_collection_modifyitems(items):
    items.sort(key=lambda item: not by_itself(item.nodeid))  # what is long begins first


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    from xdist.scheduler import LoadFileScheduling

    class Scheduling(LoadFileScheduling):
        def _split_scope(self, nodeid):
            return nodeid if by_itself(nodeid) else super()._split_scope(nodeid)

    return Scheduling(config, log)


FRONT = """\
---
jupytext: {text_representation: {extension: .md, format_name: myst}}
kernelspec: {name: python3, display_name: Python 3}
lab: {name: tiny, budget: tiny, difficulty: beginner, claims: [first-network], \
ladder: "it trains nothing"}
---
"""

BODY = """\
# A tiny chapter

Words for both.

## One step

```{code-cell}
:tags: [pytorch]
:step: add
print(1 + 1)
```
```{code-cell}
:tags: [tensorflow]
print(2)
```

```{code-cell}
total = 3
total
```
"""


@pytest.fixture(autouse=True)
def records(tmp_path, monkeypatch):
    """No test writes records into the user's own folder, or what another test has trained."""
    folder = tmp_path / "records"
    monkeypatch.setenv("LABKIT_RECORDS", str(folder))
    monkeypatch.setattr(twins, "_orders", set())  # a session notes what its process has trained
    return folder


@pytest.fixture(scope="module")  # Playwright's event loop would be in other modules' way
def chromium():
    if browser.BROWSER is None:
        pytest.skip("no Chromium here: apt install chromium")
    with browser.opened() as opened:
        yield opened


@pytest.fixture
def stand_ins(monkeypatch):
    """Programs and kernels that a test starts find frameworks that are there at once."""
    before = os.environ.get("PYTHONPATH")
    folders = [str(STAND_INS), *([before] if before else [])]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(folders))


@pytest.fixture
def course(tmp_path, monkeypatch, stand_ins):
    """A course with one small chapter, and the current folder in it.

    Its notebooks need no framework, and importing one takes four times as long as all the rest.
    """
    root = tmp_path / "course"
    (root / "chapters").mkdir(parents=True)
    (root / "evidence").mkdir()
    for name in ("_config.yml", "pyproject.toml", "references.bib", "evidence/claims.yml"):
        (root / name).write_bytes((ROOT / name).read_bytes())
    (root / "chapters" / "glossary.md").write_text(
        "# Glossary\n\n```{glossary}\ntensor\n  An array.\n```\n"
    )
    (root / "chapters" / "tiny.md").write_text(FRONT + BODY)
    monkeypatch.chdir(root)
    return root


def chapter_text(body: str, front: str = FRONT) -> str:
    """A chapter's text made of a body written in a test."""
    return front + textwrap.dedent(body)
