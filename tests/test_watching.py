"""The lab `watching`: which tabs each twin fills, and that it goes on where no server comes up."""

import pytest
from conftest import ROOT
from notebooks import run_alone

from labkit import record
from labkit.press import chapter

EMPTY = {"pytorch": {"debugger", "graph of layers", "profile"}, "tensorflow": set()}
"""The tabs that a twin's run leaves empty; it fills all others."""


@pytest.mark.parametrize("framework", chapter.FRAMEWORKS)
def test_a_twin_fills_these_tabs(framework):
    """One that a newer release of TensorBoard fills, empties or breaks fails by its name."""
    found = record.read(record.find(ROOT / "evidence", "watching", framework))
    tabs = found["exact"]["tabs"]
    assert len(tabs) == 16
    assert {tab: state for tab, state in tabs.items() if state != "filled"} == dict.fromkeys(
        EMPTY[framework], "empty"
    )


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("framework", ["pytorch", "tensorflow"])
@pytest.mark.parametrize(
    ("program", "missing"),
    [('["tensorboard", "--logdir"', "tensorboard"), ('["mlflow", "server"', "mlflow")],
)
def test_the_lab_goes_on_without_a_server(framework, program, missing, tmp_path):
    done = run_alone(
        ROOT / "labs" / "watching" / f"{framework}.ipynb",
        tmp_path,
        program,
        program.replace(missing, "no-such-program"),
    )
    assert done.returncode == 0, done.stderr[-3000:]
    said = "the lab goes on without a server: no-such-program is not installed. Install it with: "
    assert f"{said}pip install {missing}" in done.stdout
