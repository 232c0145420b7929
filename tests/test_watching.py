"""The lab `watching` goes on where a server does not come up."""

import pytest
from conftest import ROOT
from notebooks import run_alone

pytestmark = [pytest.mark.notebook, pytest.mark.slow, pytest.mark.timeout(900)]


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
