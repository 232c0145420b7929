"""Real programs that serve, small ones: started, asked, and stopped for certain."""

import os
import socket
import sys
import time
from pathlib import Path

import psutil
import pytest
from test_launch import gone, killed

from labkit import serve

pytestmark = pytest.mark.engine

FOLDER = [sys.executable, "-m", "http.server", "{port}", "--bind", "127.0.0.1"]


def script(text):
    """A program that is a few lines of Python, with its port in `port`."""
    return [sys.executable, "-c", f"import sys, time\nport = int(sys.argv[1])\n{text}", "{port}"]


def test_a_program_is_started_asked_and_stopped(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("text.txt").write_text("héllo", encoding="utf-8")
    Path("data.json").write_text('{"a": [1, 2]}')
    Path("bytes.bin").write_bytes(b"\x00\xff")
    with serve.program(FOLDER) as server:
        assert server.address == f"http://127.0.0.1:{server.port}/"
        assert server.get("/text.txt") == server.get("text.txt") == "héllo"
        assert server.get("/data.json", what="all", names=["a", "b"]) == {"a": [1, 2]}
        assert server.get("/bytes.bin") == b"\x00\xff"
        with pytest.raises(serve.ServeError, match=r"answers /none with 404 File not found") as no:
            server.get("/none")
        assert no.value.status == 404
        address = server._process.pid
    assert gone(address)
    with pytest.raises(serve.ServeError, match="has been stopped: ask it inside"):
        server.get("/text.txt")


QUERY = """
import gzip, http.server
class Echo(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Type", "text/plain")
        said = self.path.encode()
        if self.path == "/packed":
            self.send_header("Content-Encoding", "gzip")
            said = gzip.compress(said)
        self.end_headers()
        self.wfile.write(said)
http.server.HTTPServer(("127.0.0.1", port), Echo).serve_forever()
"""


def test_a_query_is_written_behind_the_path(monkeypatch):
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")  # nobody goes through it
    with serve.program(script(QUERY)) as server:
        assert server.get("/a", tag="x/y z", n=1) == "/a?tag=x%2Fy+z&n=1"
        assert server.get("/a", what=["b"]) == "/a?what=%5B%22b%22%5D"
        assert server.get("/packed") == "/packed"


def test_what_is_not_installed_is_told_with_its_mend():
    with pytest.raises(serve.ServeError, match=r"no-such is not installed.*: pip install no-such"):
        serve.program(["no-such"]).__enter__()
    with pytest.raises(serve.ServeError, match=r"Install it with: apt install it"):
        serve.program(["no-such"], install="apt install it").__enter__()


def test_the_programs_of_this_environment_are_found(monkeypatch):
    monkeypatch.setenv("PATH", os.defpath)
    name = Path(sys.executable).name
    with serve.program([name, *FOLDER[1:]]) as server:
        assert server.name == name


@pytest.mark.parametrize("address", ["127.0.0.1", "0.0.0.0"])
def test_a_port_in_use_is_told(address):
    with socket.socket() as other:
        other.bind((address, 0))
        other.listen()
        port = other.getsockname()[1]
        message = rf"port {port} cannot be had \(Address already in use\): another server"
        with pytest.raises(serve.ServeError, match=message):
            serve.program(FOLDER, port=port).__enter__()


def test_a_port_is_free_again_at_once():
    with serve.program(FOLDER) as server:
        server.get("/")
    with serve.program(FOLDER, port=server.port) as again:
        assert again.port == server.port


def test_a_program_that_ends_is_told_with_its_last_words():
    command = script("print('so be it', flush=True); sys.exit(3)")
    with pytest.raises(serve.ServeError, match=r"ended by itself \(exit code 3\):\nso be it"):
        serve.program(command).__enter__()


def test_a_program_that_does_not_come_up_is_told_and_stopped():
    command = script("print('nearly', flush=True); time.sleep(60)")
    before = time.monotonic()
    with pytest.raises(serve.ServeError, match=r"did not serve / within 1 s:\nnearly"):
        serve.program(command, seconds=1).__enter__()
    assert time.monotonic() - before < 20
    assert not [p for p in psutil.Process().children(recursive=True) if "nearly" in str(p)]


HALF_DEAD = """
import socket
listener = socket.create_server(("127.0.0.1", port))
while True:
    kept = listener.accept()[0]
    asked = kept.recv(1000)
    if b"/ready" in asked:
        kept.sendall(b"HTTP/1.0 200 OK\\r\\nContent-Type: text/plain\\r\\n\\r\\nyes")
        kept.close()
    elif b"/json" in asked:
        kept.sendall(b"HTTP/1.0 200 OK\\r\\nContent-Type: application/json\\r\\n\\r\\n{")
        kept.close()
    elif b"/rude" in asked:
        kept.close()
    elif b"/die" in asked:
        print("I am dying", flush=True)
        sys.exit(9)
    else:
        keep = kept  # and says nothing
"""


def test_a_half_dead_server_is_told():
    """It takes connections and says nothing, or nonsense."""
    with pytest.raises(serve.ServeError, match="did not serve /silence within 1 s"):
        serve.program(script(HALF_DEAD), ready="/silence", seconds=1).__enter__()
    with serve.program(script(HALF_DEAD), ready="/ready") as server:
        with pytest.raises(serve.ServeError, match=r"has not answered /silence for 0\.5 s"):
            server.get("/silence", seconds=0.5)
        with pytest.raises(serve.ServeError, match="answers /json with broken JSON"):
            server.get("/json")
        with pytest.raises(serve.ServeError, match="does not answer /rude"):
            server.get("/rude")
        with pytest.raises(serve.ServeError, match=r"/die|ended by itself"):
            server.get("/die", seconds=5)
        server._process.wait(timeout=30)
        with pytest.raises(serve.ServeError, match=r"exit code 9\):\nI am dying"):
            server.get("/ready")


PARENT = (
    """
import signal, subprocess
signal.signal(signal.SIGTERM, signal.SIG_IGN)
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
open(sys.argv[2], "w").write(str(child.pid))
"""
    + QUERY
)


@pytest.mark.skipif(os.name == "nt", reason="Windows has no process groups")
def test_what_a_program_has_started_is_stopped_with_it(tmp_path, monkeypatch):
    """Even where it does not listen to the request to end."""
    monkeypatch.setattr(serve, "SECONDS_TO_END", 0.5)
    file = tmp_path / "pid"
    with pytest.raises(ZeroDivisionError), serve.program([*script(PARENT), file]):
        raise ZeroDivisionError
    assert gone(file.read_text())


POLITE = (
    """
import atexit, signal
atexit.register(lambda: open(sys.argv[2], "w").write("cleared away"))
signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
"""
    + QUERY
)


def test_a_program_may_clear_away_what_is_its_own(tmp_path):
    file = tmp_path / "said"
    with serve.program([*script(POLITE), file]):
        assert not file.exists()
    assert file.read_text() == "cleared away"


def serve_and_wait(file):
    with serve.program([*script(PARENT), file]):
        time.sleep(600)


@pytest.mark.skipif(os.name == "nt", reason="Windows has no process groups")
def test_a_program_ends_with_the_notebook_that_started_it(tmp_path):
    """Even where that is killed, and can clear nothing away."""
    file = tmp_path / "pid"
    killed("test_serve", "serve_and_wait", file)
    assert gone(file.read_text())
