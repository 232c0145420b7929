"""What `make book` installs: which build of PyTorch, and in CI which files."""

import glob
import http.server
import os
import re
import shutil
import socket
import subprocess
import sys
import threading
import tomllib

import pytest
import yaml
from conftest import ROOT
from packaging.markers import default_environment
from packaging.requirements import Requirement

takes_the_cpu_build = pytest.mark.skipif(
    sys.platform != "linux" or bool(glob.glob("/dev/nvidia[0-9]*")) or not shutil.which("make"),
    reason="the CPU build is taken on Linux without an NVIDIA card",
)
LOCK = ROOT / ".ci" / "lock-cpu.txt"


def planned(index, *settings):
    """Return what `make book` would install with, without doing it."""
    command = ["make", "-n", "-B", ".venv/book", f"PYTHON={sys.executable}", f"CPU_INDEX={index}"]
    # Within `make test`, this make is not a part of that one.
    outer = ("MAKEFLAGS", "MFLAGS", "MAKELEVEL", "LOCK")
    environment = {k: v for k, v in os.environ.items() if k not in outer}
    done = subprocess.run(
        [*command, *settings],
        cwd=ROOT,
        env={**environment, "NO_PROXY": "127.0.0.1"},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout


@pytest.fixture
def index(tmp_path):
    (tmp_path / "torch").mkdir()

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *args):
            super().__init__(*args, directory=str(tmp_path))

        def log_message(self, *_):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Quiet) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@takes_the_cpu_build
def test_the_cpu_build_is_taken_where_its_index_answers(index):
    assert f"--extra-index-url {index} " in planned(index)
    assert "--extra-index-url" not in planned(index, "FRAMEWORKS=gpu")
    assert "--extra-index-url" not in planned(f"{index}/elsewhere")


@takes_the_cpu_build
def test_an_index_that_cannot_be_reached_is_done_without():
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        plan = planned(f"http://127.0.0.1:{closed.getsockname()[1]}")
    assert "pip install" in plan
    assert "--extra-index-url" not in plan


@takes_the_cpu_build
def test_an_index_that_is_silent_is_not_waited_for():
    """For ten minutes, as long as a test may take."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        plan = planned(f"http://127.0.0.1:{silent.getsockname()[1]}")
    assert "--extra-index-url" not in plan


@takes_the_cpu_build
def test_ci_installs_what_is_locked_and_nothing_else():
    plan = planned("http://127.0.0.1:1", f"LOCK={LOCK}")
    assert f"--require-hashes -r {LOCK} && " in plan
    assert "--no-deps --no-build-isolation -e '.[cpu,tools,book]'" in plan
    everyone = planned("http://127.0.0.1:1")
    assert "--require-hashes" not in everyone
    assert "--no-deps" not in everyone


def locked():
    """Return the lock's requirements, each with the number of its hashes."""
    text = LOCK.read_text().replace("\\\n", " ")
    lines = [line.split(" --hash=") for line in text.splitlines() if not line.startswith("#")]
    for first, *hashes in lines:
        assert all(re.fullmatch(r"sha256:[0-9a-f]{64}\s*", h) for h in hashes), first
    return [(Requirement(first), len(hashes)) for first, *hashes in lines]


def test_each_line_of_the_lock_is_one_release_with_its_hashes():
    found = locked()
    assert len(found) > 150
    for requirement, hashes in found:
        assert requirement.url is None
        assert re.fullmatch(r"==[\w.+]+", str(requirement.specifier)), requirement
        assert hashes > 0, requirement
    # Hashes of all systems and Pythons, not of the machine alone that wrote them.
    assert all(hashes > 20 for r, hashes in found if r.name in ("numpy", "pillow", "pyzmq"))


SYSTEMS = {
    "linux": {"sys_platform": "linux", "platform_machine": "x86_64", "platform_system": "Linux"},
    "macos": {"sys_platform": "darwin", "platform_machine": "arm64", "platform_system": "Darwin"},
}


@pytest.mark.parametrize("python", ["3.11", "3.12", "3.13"])
@pytest.mark.parametrize("system", SYSTEMS)
def test_the_lock_holds_all_that_is_asked_for(system, python):
    """On each system and Python of CI; CUDA nowhere. A bound that moved asks for a new lock."""
    place = {**default_environment(), **SYSTEMS[system]}
    place |= {"python_version": python, "python_full_version": f"{python}.9"}
    here = {r.name: r.specifier for r, _ in locked() if not r.marker or r.marker.evaluate(place)}
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    wanted = [
        *project["dependencies"],
        *extras["cpu"],
        *extras["tools"],
        *extras["book"],
        *extras["dev"],
    ]
    for requirement in map(Requirement, wanted):
        if not requirement.marker or requirement.marker.evaluate(place):
            assert requirement.name.lower() in here, f"{requirement} is not there: bash .ci/lock"
            (release,) = here[requirement.name.lower()]
            assert requirement.specifier.contains(release.version), f"{requirement}: bash .ci/lock"
    assert str(here["torch"]).endswith("+cpu") == (system == "linux")
    assert not [n for n in here if n.startswith(("nvidia", "cuda", "triton"))]


def test_every_job_installs_from_the_lock_and_one_renews_it():
    folder = ROOT / ".github" / "workflows"
    flows = {file.stem: yaml.safe_load(file.read_text()) for file in folder.glob("*.yml")}
    ours = str(LOCK.relative_to(ROOT))
    assert f"make test LOCK={ours}" in (ROOT / ".ci" / "run").read_text()
    for flow in flows.values():
        for name, job in flow["jobs"].items():
            if any(step.get("run", "").startswith("make ") for step in job["steps"]):
                # `newest` tries what lies beyond the bounds.
                own = {**flow.get("env", {}), **job.get("env", {})}
                assert (own.get("LOCK") == ours) == (name != "newest"), name
    commands = [s["run"] for s in flows["weekly"]["jobs"]["lock"]["steps"] if "run" in s]
    assert "bash .ci/lock" in commands
    assert f"-o {ours} " in (ROOT / ".ci" / "lock").read_text()
    # A pull request made by a workflow starts none by itself.
    assert "gh workflow run test.yml" in commands[-1]
    assert "workflow_dispatch" in flows["test"][True]  # YAML reads `on` as a truth
