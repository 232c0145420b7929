"""The course's training programs, started from a notebook: run to their end, or killed on the way.

A program stands in ``labs/<chapter>/`` and is what its reader takes home; ``--help`` tells its
options. What is started here ends with the notebook, however that ends.
"""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labkit.errors import LabkitError
from labkit.launch import _text
from labkit.serve import _started


class ProgramError(LabkitError, RuntimeError):
    """A program is not there, failed, or took too long; the message holds its last words."""


@dataclass(frozen=True)
class Run:
    """A program at work; made by `start`."""

    folder: Path
    """Where it writes."""
    _process: "subprocess.Popen[bytes]"
    _log: Path

    def wait(self, seconds: float = 600) -> str:
        """Wait for the end of the program, and return what it has said.

        Raises
        ------
        ProgramError
            When it fails or takes longer.
        """
        if code := self._end(seconds):
            raise ProgramError(f"it ended with exit code {code}:\n{self._said()}")
        return self._said()

    def kill_after(self, step: int, seconds: float = 600) -> None:
        """Kill the program (SIGKILL) as soon as it has written the loss of a step.

        It learns nothing of that and saves nothing. Some steps more may be done by then.

        Raises
        ------
        ProgramError
            When it ends before, or does not come so far in time.
        """
        self._reach(step, seconds)
        self._signal("SIGKILL")
        self._end(seconds)

    def stop_after(self, step: int, seconds: float = 600) -> int:
        """Ask the program to stop (SIGTERM) after a step, and return its exit code.

        Raises
        ------
        ProgramError
            When it ends before, does not come so far in time, or does not stop.
        """
        self._reach(step, seconds)
        self._signal("SIGTERM")
        return self._end(seconds)

    def _reach(self, step: int, seconds: float) -> None:
        end = time.monotonic() + seconds
        while len(losses(self.folder)) < step:
            if (code := self._process.poll()) is not None:
                raise ProgramError(f"ended before step {step}, exit code {code}:\n{self._said()}")
            if time.monotonic() > end:
                raise ProgramError(f"not at step {step} in {seconds:g} s:\n{self._said()}")
            time.sleep(0.01)

    def _signal(self, name: str) -> None:
        if os.name == "nt":
            self._process.kill()
            return
        with suppress(ProcessLookupError):  # its end came first
            os.killpg(self._process.pid, getattr(signal, name))

    def _end(self, seconds: float) -> int:
        try:
            return self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            raise ProgramError(f"no end within {seconds:g} s:\n{self._said()}") from None

    def _said(self) -> str:
        return _text(self._log)[-3000:].strip()


@contextmanager
def start(name: str, out: str | os.PathLike[str], **options: Any) -> Iterator[Run]:
    """Start a program; stop it, and all that it has started, at the end of the block.

    It computes with as many threads as the notebook: one, or what ``LABKIT_THREADS`` says.

    Parameters
    ----------
    name
        The chapter and the program, such as ``"full-size/cnn_pytorch"``.
    out
        Its option ``--out``, a folder.
    **options
        Its other options: ``save_every=50`` stands for ``--save-every 50``, ``resume=True`` for
        ``--resume``; what is False or None is left out.

    Examples
    --------
    ::

        with labkit.programs.start("full-size/cnn_keras", out, steps=200) as run:
            run.kill_after(120)
    """
    given = ["--out", os.fspath(out)]
    for option, value in options.items():
        if value is not None and value is not False:
            given.append(f"--{option.replace('_', '-')}")
            given += [] if value is True else [str(value)]
    command = [sys.executable, str(find(name)), *given]
    with tempfile.TemporaryDirectory(prefix="labkit-", ignore_cleanup_errors=True) as scratch:
        log = Path(scratch, "log")
        with _started(command, _environment(), log) as process:
            yield Run(Path(out), process, log)


def run(name: str, out: str | os.PathLike[str], seconds: float = 600, **options: Any) -> str:
    """Run a program to its end and return what it has said; see `start`.

    Raises
    ------
    ProgramError
        When it fails or takes longer.
    """
    with start(name, out, **options) as begun:
        return begun.wait(seconds)


def losses(folder: str | os.PathLike[str]) -> NDArray[np.float64]:
    """Return the loss of each step that a run has written so far."""
    try:
        lines = Path(folder, "losses.jsonl").read_text(encoding="utf-8").split("\n")
    except FileNotFoundError:
        return np.array([])
    # What stands behind the last line's end is being written.
    return np.array([json.loads(line)["loss"] for line in lines[:-1]])


def result(folder: str | os.PathLike[str]) -> dict[str, Any]:
    """Return what came of a run that has ended.

    Raises
    ------
    ProgramError
        When it has not.
    """
    file = Path(folder, "result.json")
    if not file.exists():
        raise ProgramError(f"{folder} has no result.json: the run has not come to its end")
    return dict(json.loads(file.read_text(encoding="utf-8")))


def find(name: str) -> Path:
    """Return where a program stands: in the clone that labkit runs from, or beside labkit.

    Raises
    ------
    ProgramError
        When there is none of that name.
    """
    here = Path(__file__).parent
    root = here.parents[1]
    labs = (root if (root / "_config.yml").is_file() else here) / "labs"
    if not (file := labs / f"{name}.py").is_file():
        known = sorted(p.relative_to(labs).with_suffix("").as_posix() for p in labs.glob("*/*.py"))
        raise ProgramError(f"there is no program {name!r}; known: {', '.join(known)}")
    return file


def _environment() -> dict[str, str]:
    threads = os.environ.get("LABKIT_THREADS", "1")
    names = ("OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS")
    # The program is to find this labkit, wherever the notebook has found it.
    places = [str(Path(__file__).parents[1]), os.environ.get("PYTHONPATH", "")]
    own = {**os.environ, **dict.fromkeys(names, threads)}
    own["PYTHONPATH"] = os.pathsep.join(filter(None, places))
    if os.environ.get("LABKIT_DEVICE") == "cpu":
        own["CUDA_VISIBLE_DEVICES"] = "-1"
    return own
