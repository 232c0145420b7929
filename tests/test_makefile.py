"""Which build of PyTorch `make book` installs."""

import glob
import http.server
import os
import shutil
import socket
import subprocess
import sys
import threading

import pytest
from conftest import ROOT

pytestmark = pytest.mark.skipif(
    sys.platform != "linux" or bool(glob.glob("/dev/nvidia[0-9]*")) or not shutil.which("make"),
    reason="the CPU build is taken on Linux without an NVIDIA card",
)


def planned(index, *settings):
    """Return what `make book` would install with, without doing it."""
    command = ["make", "-n", "-B", ".venv/book", f"PYTHON={sys.executable}", f"CPU_INDEX={index}"]
    # Within `make test`, this make is not a part of that one.
    outer = ("MAKEFLAGS", "MFLAGS", "MAKELEVEL")
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


def test_the_cpu_build_is_taken_where_its_index_answers(index):
    assert f"--extra-index-url {index} " in planned(index)
    assert "--extra-index-url" not in planned(index, "FRAMEWORKS=gpu")
    assert "--extra-index-url" not in planned(f"{index}/elsewhere")


def test_an_index_that_cannot_be_reached_is_done_without():
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        plan = planned(f"http://127.0.0.1:{closed.getsockname()[1]}")
    assert "pip install" in plan
    assert "--extra-index-url" not in plan


def test_an_index_that_is_silent_is_not_waited_for():
    """For ten minutes, as long as a test may take."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        plan = planned(f"http://127.0.0.1:{silent.getsockname()[1]}")
    assert "--extra-index-url" not in plan
