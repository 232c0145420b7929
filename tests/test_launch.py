import functools
import os
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from labkit import launch

pytestmark = pytest.mark.engine


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

    print("waiting", file=sys.stderr, flush=True)
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


@pytest.mark.parametrize("function", [lambda: 1, functools.partial(add, 1), abs])
def test_what_has_no_def_is_refused(function):
    with pytest.raises(launch.LaunchError, match="write it with `def`"):
        launch.call(function)


def test_much_can_be_handed_over():
    """More than the system takes on a command line."""
    long = "a" * 500_000
    assert launch.call(add, long, "b").value[0] == long + "b"


def leave():
    import sys

    sys.exit(0)


def test_a_function_that_ends_its_process_is_told():
    with pytest.raises(launch.LaunchError, match="leave ended its process before it returned"):
        launch.call(leave)


@pytest.mark.skipif(not os.path.isdir("/proc"), reason="looks for processes in /proc")
def test_what_takes_too_long_is_stopped_with_all_that_it_started(tmp_path):
    file = tmp_path / "pid"
    with pytest.raises(launch.LaunchError, match=r"wait took longer than 3 s:\nwaiting"):
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


def die():
    import os
    import signal

    os.kill(os.getpid(), signal.SIGKILL)


def a_set():
    return {1}


def bytes_out():
    import os

    os.write(1, b"caf\xe9\n")
    os.write(2, b"\xff\n")
    return "done"


def test_what_json_cannot_hold_is_told_as_that():
    with pytest.raises(launch.LaunchError, match=r"add is given what JSON cannot hold: .*set"):
        launch.call(add, {1}, 2)
    with pytest.raises(launch.LaunchError, match=r"a_set returned what JSON cannot hold: .*set"):
        launch.call(a_set)


@pytest.mark.skipif(os.name == "nt", reason="Windows has no signals")
def test_a_death_by_signal_is_told_as_that():
    with pytest.raises(launch.LaunchError, match=r"die was ended by signal 9 \(Killed\), perhaps"):
        launch.call(die)


def test_output_that_is_no_utf8_is_shown():
    done = launch.call(bytes_out)
    assert (done.value, done.out, done.err) == ("done", "caf\\xe9\n", "\\xff\n")


def leave_a_child(file):
    import subprocess
    import sys

    # It keeps this process's output open.
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    with open(file, "w") as opened:
        opened.write(str(child.pid))
    return "done"


def gone(pid):
    try:
        process = psutil.Process(int(pid))
        process.wait(timeout=30)
    except psutil.NoSuchProcess:
        return True
    except psutil.TimeoutExpired:
        return process.status() == psutil.STATUS_ZOMBIE
    return True


def test_nobody_waits_for_what_a_process_started(tmp_path):
    """Its limit is ten minutes, as long as a test may take."""
    file = tmp_path / "pid"
    assert launch.call(leave_a_child, str(file)).value == "done"
    assert gone(file.read_text())


def killed(module, call, file):
    """Begin a Python that calls a test module's function, and kill it once its file is written."""
    code = f"import sys; sys.path.insert(0, {str(Path(__file__).parent)!r}); import {module}\n"
    caller = subprocess.Popen([sys.executable, "-c", f"{code}{module}.{call}({str(file)!r})"])
    try:
        while not (file.exists() and file.read_text()):
            assert caller.poll() is None
            time.sleep(0.1)
    finally:
        caller.kill()
        caller.wait()


def call_and_wait(file):
    launch.call(wait, file)


@pytest.mark.skipif(os.name == "nt", reason="Windows has no process groups")
def test_a_process_ends_with_the_one_that_called_it(tmp_path):
    """Even where that is killed, and can clear nothing away."""
    file = tmp_path / "pid"
    killed("test_launch", "call_and_wait", file)
    assert gone(file.read_text())
