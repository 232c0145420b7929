"""Several processes that train together, each with a function of the notebook.

A function is handed over with all that it uses of the notebook; each process calls it once. What
is started here ends with the notebook, however that ends, and speaks to this machine alone.
"""

import faulthandler
import inspect
import linecache
import os
import pickle
import re
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, redirect_stdout, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cloudpickle

from labkit.errors import LabkitError
from labkit.launch import _text
from labkit.programs import _environment
from labkit.serve import _started

LOOPBACK = {"linux": "lo", "darwin": "lo0"}
"""The network interface that reaches this machine alone; gloo listens there."""


class WorkersError(LabkitError, RuntimeError):
    """A worker failed, or all took too long; the message names the ranks and their lines."""


def run(
    function: Callable[..., Any],
    *arguments: Any,
    count: int = 2,
    seconds: float = 300,
    environment: dict[str, str] | None = None,
) -> list[Any]:
    """Call a function in several processes at once, and return what each has returned.

    A worker begins as a new Python: of the notebook it has what the function uses, copied, and
    none of the frameworks' settings. It computes with as many threads as the notebook: one, or what
    ``LABKIT_THREADS`` says. What rank 0 prints is shown as it comes; the others are not heard.

    Parameters
    ----------
    function
        Its first argument is a dictionary for ``torch.distributed.init_process_group``: ``rank``,
        ``world_size``, and ``init_method``, a file in which the workers find each other.
    *arguments
        Its further arguments, the same for each worker. They are copied, as results are.
    count
        How many workers there are.
    seconds
        When to give up.
    environment
        Variables to set in the workers.

    Raises
    ------
    WorkersError
        When a worker fails or ends early (the others are stopped then), or when they take too
        long: then the message tells the line in which each of them is.
    """
    name = getattr(function, "__name__", repr(function))
    with tempfile.TemporaryDirectory(prefix="labkit-", ignore_cleanup_errors=True) as scratch:
        folder = Path(scratch)
        _hand_over(folder, name, function, arguments)
        own = {**_environment(), "GLOO_SOCKET_IFNAME": LOOPBACK.get(sys.platform, "")}
        own = {k: v for k, v in {**own, **(environment or {})}.items() if v}
        with ExitStack() as stack:
            team = []
            for rank in range(count):
                command = [sys.executable, "-m", __name__, scratch, str(rank), str(count)]
                process = stack.enter_context(_started(command, own, folder / f"log-{rank}"))
                team.append(_Worker(rank, folder, process))
            _wait(team, name, seconds)
        return [pickle.loads(worker.file("value").read_bytes()) for worker in team]


@dataclass(frozen=True)
class _Worker:
    rank: int
    folder: Path
    process: Any

    def file(self, what: str) -> Path:
        return self.folder / f"{what}-{self.rank}"

    def log(self) -> str:
        return _text(self.file("log"))[-3000:].strip()


def _hand_over(
    folder: Path, name: str, function: Callable[..., Any], arguments: Sequence[Any]
) -> None:
    """Write what the workers are to do."""
    try:
        with _by_value(function):
            given = cloudpickle.dumps((function, arguments))
    except Exception as error:  # each kind of object has its own
        raise WorkersError(f"{name} uses what cannot be handed over: {error}") from error
    (folder / "given").write_bytes(given)


@contextmanager
def _by_value(function: Callable[..., Any]) -> Iterator[None]:
    """Hand over a function of a file that workers cannot import, as one of a notebook."""
    module = inspect.getmodule(function)
    known = cloudpickle.list_registry_pickle_by_value()
    if module is None or module.__name__ in {"__main__", *known}:
        yield
        return
    cloudpickle.register_pickle_by_value(module)
    try:
        yield
    finally:
        cloudpickle.unregister_pickle_by_value(module)


def _wait(team: Sequence[_Worker], name: str, seconds: float) -> None:
    """Return when all have ended well; show meanwhile what rank 0 says."""
    end, shown = time.monotonic() + seconds, 0
    while True:
        codes = [worker.process.poll() for worker in team]
        shown = _show(team[0].file("said"), shown)
        if any(codes):
            raise WorkersError(_failure(team, name, codes))
        if None not in codes:
            for worker in team:
                if not worker.file("value").exists():
                    raise WorkersError(f"rank {worker.rank} ended before {name} had returned")
            return
        if time.monotonic() > end:
            places = "; ".join(_place(worker) for worker in team if worker.process.poll() is None)
            raise WorkersError(f"{name} took longer than {seconds:g} s: {places}")
        time.sleep(0.02)


def _show(file: Path, shown: int) -> int:
    """Print what a file holds behind what has been shown; return how much that is by now."""
    if not file.exists():
        return shown
    with file.open("rb") as said:
        said.seek(shown)
        new = said.read()
    whole = new[: new.rfind(b"\n") + 1]
    sys.stdout.write(whole.decode())
    return shown + len(whole)


def _failure(team: Sequence[_Worker], name: str, codes: Sequence[int | None]) -> str:
    """Return what went wrong first: where one worker fails, others soon lose their partner."""
    time.sleep(0.1)  # for reports that are being written
    reports = [
        (pickle.loads(worker.file("error").read_bytes()), worker.rank)
        for worker in team
        if worker.file("error").exists()
    ]
    if reports:
        (_, error, frames), rank = min(reports)
        return f"rank {rank} failed{_line(frames)}: {error}"
    worker = next(w for w, code in zip(team, codes, strict=True) if code)
    # The guard of a process that a signal has ended gives the signal's number as subprocess does.
    code = worker.process.poll()
    number = code - 256 if code > 128 else code
    with suppress(ValueError):
        return f"rank {worker.rank} was ended by signal {-number} ({signal.strsignal(-number)})"
    return f"rank {worker.rank} ended with exit code {code}, in {name}:\n{worker.log()}"


FRAME = re.compile(r'File "(?P<file>[^"]+)", line (?P<line>\d+) in ')


def _place(worker: _Worker) -> str:
    """Return in which line a worker is."""
    file, stack = worker.file("stack"), ""
    with suppress(OSError, ValueError, AttributeError):
        os.kill(int(worker.file("pid").read_text()), signal.SIGUSR1)
        end = time.monotonic() + 2
        while not (stack := file.read_text()).endswith("\n") and time.monotonic() < end:
            time.sleep(0.02)
    frames = [(m["file"], int(m["line"])) for m in FRAME.finditer(stack)]
    return f"rank {worker.rank} is{_line(frames[::-1]) or ' not in it yet'}"


def _line(frames: Sequence[tuple[str, int]]) -> str:
    """Return the innermost line of the notebook's own, of frames from the outermost in."""
    own = str(Path(__file__).parents[1])
    for file, number in reversed(frames):
        elsewhere = file.startswith((own, sys.prefix, sys.base_prefix, "<"))
        if not elsewhere and (source := linecache.getline(file, number).strip()):
            return f" at `{source}`"
    return ""


def _work(folder: Path, rank: int, count: int) -> None:
    """Do one worker's part; this is its process."""

    def file(what: str) -> Path:
        return folder / f"{what}-{rank}"

    if hasattr(faulthandler, "register"):
        stack = file("stack").open("w")
        faulthandler.register(signal.SIGUSR1, stack, all_threads=False)
        file("pid").write_text(str(os.getpid()))
    meeting = (folder / "meeting").as_uri()
    place = {"init_method": meeting, "rank": rank, "world_size": count}
    try:
        function, arguments = pickle.loads((folder / "given").read_bytes())
        with file("said").open("w", buffering=1, encoding="utf-8") as said, redirect_stdout(said):
            value = cloudpickle.dumps(function(place, *arguments))
    except Exception as error:
        when = time.time()
        frames = [(f.filename, f.lineno) for f in traceback.extract_tb(error.__traceback__)]
        words = f"{type(error).__name__}: {str(error).strip() or 'no message'}"
        _write(file("error"), pickle.dumps((when, words, frames)))
        traceback.print_exc()
        sys.stderr.flush()
        os._exit(1)
    _write(file("value"), value)


def _write(file: Path, content: bytes) -> None:
    """Write a file whole, or not at all."""
    part = file.with_name(f"part-{file.name}")
    part.write_bytes(content)
    part.replace(file)


if __name__ == "__main__":
    _work(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
