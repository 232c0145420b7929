"""Programs that serve pages, such as TensorBoard: started beside a notebook, asked, and stopped.

They listen on this machine alone, where told so, and end with the notebook, however that ends.
"""

import gzip
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.parse import urlencode
from urllib.request import ProxyHandler, build_opener

from labkit.errors import LabkitError
from labkit.launch import _stop, _text

HOST = "127.0.0.1"
SECONDS_TO_END = 5
"""How long a program has to end in its own way."""


class ServeError(LabkitError, RuntimeError):
    """A program does not serve; the message holds the end of what it said.

    ``status`` is the HTTP status of an answer that says so, or else None.
    """

    def __init__(self, message: str, status: int | None = None) -> None:
        super().__init__(message)
        self.status = status


# No proxy of the machine stands between a program and the notebook that started it.
_browser = build_opener(ProxyHandler({}))


@dataclass(frozen=True)
class Server:
    """A program that serves."""

    name: str
    port: int
    _process: "subprocess.Popen[bytes]"
    _log: Path

    @property
    def address(self) -> str:
        """Where a browser on this machine finds it."""
        return f"http://{HOST}:{self.port}/"

    def get(self, path: str, *, seconds: float = 60, **query: Any) -> Any:
        """Ask for a page and return it: what JSON says, text, or bytes, as the answer is labelled.

        Parameters
        ----------
        path
            Such as ``"/data/runs"``.
        seconds
            How long each part of the answer may take.
        **query
            What is written behind the question mark; lists and dictionaries as JSON.

        Raises
        ------
        ServeError
            When the program has ended, does not answer, or answers with an HTTP error.
        """
        asked = self.address + path.removeprefix("/")
        if query:
            asked += "?" + urlencode({name: _plain(value) for name, value in query.items()})
        try:
            with _browser.open(asked, timeout=seconds) as answer:
                kind, said = answer.headers.get_content_type(), answer.read()
                letters = answer.headers.get_content_charset("utf-8")
                if answer.headers["Content-Encoding"] == "gzip":  # nobody has asked for it
                    said = gzip.decompress(said)
            if kind.endswith("json"):
                return json.loads(said)
            with suppress(UnicodeDecodeError):  # what is labelled text may be numbers
                return said.decode(letters) if kind.startswith("text/") else said
            return said
        except HTTPError as error:
            with error:
                said = error.read().decode(errors="replace").strip()
            what = f"{self.name} answers {path} with {error.code} {error.reason}: {said[:500]}"
            raise ServeError(what, error.code) from error
        except TimeoutError as error:
            raise ServeError(f"{self.name} has not answered {path} for {seconds:g} s") from error
        except (OSError, HTTPException) as error:
            if self._process.poll() is not None:
                raise ServeError(self._ended()) from error
            raise ServeError(f"{self.name} does not answer {path}: {error}") from error
        except ValueError as error:
            raise ServeError(f"{self.name} answers {path} with broken JSON: {error}") from error

    def _wait(self, ready: str, seconds: float) -> None:
        """Return when the program answers."""
        end = time.monotonic() + seconds
        while True:
            if self._process.poll() is not None:
                raise ServeError(self._ended())
            left = end - time.monotonic()
            if left <= 0:
                said = f"{self.name} did not serve {ready} within {seconds:g} s"
                raise ServeError(f"{said}:\n{self._said()}")
            with suppress(ServeError):
                self.get(ready, seconds=max(left, 0.1))
                return
            time.sleep(0.1)

    def _ended(self) -> str:
        if not self._log.exists():
            return f"{self.name} has been stopped: ask it inside of its `with` block"
        return f"{self.name} ended by itself (exit code {self._process.poll()}):\n{self._said()}"

    def _said(self) -> str:
        return _text(self._log)[-3000:].strip() or "it said nothing"


def _plain(value: Any) -> str:
    return json.dumps(value) if isinstance(value, list | dict) else str(value)


@contextmanager
def program(
    command: Sequence[str | os.PathLike[str]],
    *,
    ready: str = "/",
    seconds: float = 60,
    port: int | None = None,
    install: str | None = None,
    environment: dict[str, str] | None = None,
) -> Iterator[Server]:
    """Start a program that serves pages; stop it, and all that it has started, at the end.

    Parameters
    ----------
    command
        As typed in a terminal, in parts. ``{port}`` stands for the port. The notebook's own
        environment is looked through before the system's ``PATH``.
    ready
        The page to wait for.
    seconds
        How long to wait for it.
    port
        The port, if it is not to be any that is free.
    install
        What installs the program, such as ``"pip install mlflow"``, for the message that it is
        missing; without it, pip and the program's name.
    environment
        Variables to set for the program.

    Yields
    ------
    Server
        Its ``address``, and ``get(path)``.

    Raises
    ------
    ServeError
        When the program is not installed, the port is in use, or the program ends or does not serve
        in time.

    Examples
    --------
    ::

        command = ["tensorboard", "--logdir", runs, "--port", "{port}"]
        with labkit.serve.program(command, ready="/data/runs") as board:
            print(board.get("/data/runs"))
    """
    asked, *rest = [os.fspath(part) for part in command]
    found = shutil.which(asked, path=os.pathsep.join([_own_programs(), os.environ.get("PATH", "")]))
    name = Path(asked).name
    if found is None:
        mend = install or f"pip install {name}"
        raise ServeError(f"{name} is not installed. Install it with: {mend}")
    port = _port(port)
    filled = [found, *(part.replace("{port}", str(port)) for part in rest)]
    own = {**os.environ, **(environment or {})}
    with tempfile.TemporaryDirectory(prefix="labkit-", ignore_cleanup_errors=True) as folder:
        log = Path(folder, "log")
        with _started(filled, own, log) as process:
            server = Server(name, port, process, log)
            server._wait(ready, seconds)
            yield server


def _own_programs() -> str:
    """Return the folder of the programs that are installed beside this Python."""
    return str(Path(sys.executable).parent)


def _port(wanted: int | None) -> int:
    """Return a port that nobody listens on: the one that is wanted, or any."""
    with socket.socket() as probe:
        if os.name != "nt":  # a port is free at once when its last user has ended
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, wanted or 0))
            # Where another program listens on all addresses, only this one fails.
            probe.listen()
        except OSError as error:
            raise ServeError(
                f"port {wanted} cannot be had ({error.strerror}): another server may still run "
                "there. Stop it, or leave port= out and a free one is taken"
            ) from error
        return int(probe.getsockname()[1])


_GUARD = """\
import os, signal, subprocess, sys, threading
def end_with_the_notebook():
    os.read(int(sys.argv[1]), 1)  # returns when the other end is gone
    os.killpg(0, signal.SIGKILL)
threading.Thread(target=end_with_the_notebook, daemon=True).start()
signal.signal(signal.SIGTERM, lambda *_: None)  # meant for the program, which gets it, too
sys.exit(subprocess.call(sys.argv[2:]))
"""


@contextmanager
def _started(
    command: list[str], environment: dict[str, str], log: Path
) -> Iterator["subprocess.Popen[bytes]"]:
    """Run a program in a group of its own, which is gone at the end, or when this process dies."""
    lines: tuple[int, ...] = ()
    if os.name != "nt":
        # Nothing is ever written here. When this process dies, however, the guard sees it.
        lines = os.pipe()
        command = [sys.executable, "-I", "-S", "-c", _GUARD, str(lines[0]), *command]
    try:
        with log.open("wb") as file:
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                pass_fds=lines[:1],
                env=environment,
            )
        try:
            yield process
        finally:
            _end(process)
    finally:
        for end in lines:
            os.close(end)


def _end(process: "subprocess.Popen[bytes]") -> None:
    """Let a program end in its own way, then stop what is left of its group."""
    with suppress(ProcessLookupError, subprocess.TimeoutExpired):
        if os.name != "nt":
            os.killpg(process.pid, signal.SIGTERM)
            process.wait(timeout=SECONDS_TO_END)
    _stop(process)
