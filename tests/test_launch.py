import os
import time
from pathlib import Path

import pytest

from labkit import launch


def add(a, b):
    import os

    print("here")
    return [a + b, os.environ.get("LABKIT_TEST")]


def fail():
    raise ValueError("on purpose")


def wait(file):
    import subprocess
    import sys
    import time

    # A child of the child: it must not be left behind either.
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    with open(file, "w") as opened:
        opened.write(str(child.pid))
    time.sleep(60)


def test_a_function_runs_elsewhere():
    done = launch.call(add, 1, 2, environment={"LABKIT_TEST": "yes"})
    assert done.value == [3, "yes"]
    assert done.out == "here\n"
    assert "LABKIT_TEST" not in os.environ


def test_a_failure_says_what_was_said():
    with pytest.raises(launch.LaunchError, match=r"fail failed in its process(.|\n)*on purpose"):
        launch.call(fail)


def test_a_lambda_is_refused():
    with pytest.raises(launch.LaunchError, match="write it with `def`"):
        launch.call(lambda: 1)


@pytest.mark.skipif(not os.path.isdir("/proc"), reason="looks for processes in /proc")
def test_what_takes_too_long_is_stopped_with_all_that_it_started(tmp_path):
    file = tmp_path / "pid"
    with pytest.raises(launch.LaunchError, match="wait took longer than 3 s"):
        launch.call(wait, str(file), seconds=3)
    time.sleep(0.5)
    status = Path("/proc", file.read_text(), "status")
    assert not status.exists() or "State:\tZ" in status.read_text()


OF_THIS_PROCESS = 1


def looks_around():
    return OF_THIS_PROCESS


def test_nothing_of_this_process_goes_along():
    with pytest.raises(launch.LaunchError, match="'OF_THIS_PROCESS' is not defined"):
        launch.call(looks_around)


def test_the_compiler_is_the_one_that_torch_calls(monkeypatch, tmp_path):
    monkeypatch.setenv("CXX", "no-such-compiler")
    assert launch.compiler() is None
    own = tmp_path / "own-compiler"
    own.touch(0o755)
    monkeypatch.setenv("CXX", str(own))
    assert launch.compiler() == str(own)
