"""Functions of a notebook, run in a Python of their own.

What is measured with a framework's default settings, or shown to need no code of the notebook,
has to leave the notebook's process.
"""

import inspect
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import textwrap
from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from labkit.errors import LabkitError


class LaunchError(LabkitError, RuntimeError):
    """A process failed or took too long; the message holds the end of what it said."""


@dataclass(frozen=True)
class Done:
    """What a process left behind."""

    value: Any
    """What the function returned."""
    out: str
    err: str


_SCRIPT = """\
import json, os, pathlib, signal, sys, threading
{source}
def _end_with_the_notebook(line):
    os.read(line, 1)  # returns when the other end is gone
    os.killpg(0, signal.SIGKILL)
if sys.argv[3]:
    threading.Thread(
        target=_end_with_the_notebook, args=[int(sys.argv[3])], daemon=True).start()
value = {name}(*json.loads(pathlib.Path(sys.argv[1]).read_text(encoding="utf-8")))
try:
    told = dict(value=json.dumps(value))
except (TypeError, ValueError, RecursionError) as error:
    told = dict(refused=str(error))
pathlib.Path(sys.argv[2]).write_text(json.dumps(told), encoding="utf-8")
"""


def call(
    function: Callable[..., Any],
    *arguments: Any,
    seconds: float = 600,
    environment: dict[str, str] | None = None,
) -> Done:
    """Run a function in a new Python process and wait for it.

    The process gets the function's own source and nothing else of the notebook: the function
    imports what it needs. Frameworks start there with their default settings, whatever was set
    here; in a quick run (see `labkit.measure`), with one thread.

    Parameters
    ----------
    function
        Written with ``def`` at the top of a cell or file.
    arguments
        Anything that JSON can hold; the result, too.
    seconds
        When to give up. The process and all that it started are stopped then.
    environment
        Variables to set in the process.

    Raises
    ------
    LaunchError
        When the process fails, is ended or takes too long; or when JSON cannot hold an argument or
        the result.
    """
    source = textwrap.dedent(inspect.getsource(function)) if inspect.isfunction(function) else ""
    if not source.startswith("def "):
        raise LaunchError(f"{function!r} cannot be run: write it with `def`, without decorators")
    name = function.__name__
    try:
        handed = json.dumps(arguments)
    except (TypeError, ValueError, RecursionError) as error:
        raise LaunchError(f"{name} is given what JSON cannot hold: {error}") from error
    with tempfile.TemporaryDirectory(prefix="labkit-", ignore_cleanup_errors=True) as folder:
        script, given, result, out, err = (
            Path(folder, n) for n in ("script.py", "given", "value", "out", "err")
        )
        script.write_text(_SCRIPT.format(source=source, name=name), encoding="utf-8")
        given.write_text(handed, encoding="utf-8")
        command = [sys.executable, str(script), str(given), str(result)]
        own = {**os.environ, **_one_thread(), **(environment or {})}
        code = _run(command, own, seconds, out, err)
        said = _text(err)
        if code is None:
            raise LaunchError(f"{name} took longer than {seconds:g} s:\n{said[-3000:]}")
        if code < 0:
            ended = f"{name} was ended by signal {-code} ({signal.strsignal(-code)})"
            memory = ", perhaps for want of memory" if code == -9 else ""
            raise LaunchError(f"{ended}{memory}:\n{said[-3000:]}")
        if code:
            raise LaunchError(f"{name} failed in its process:\n{said[-3000:]}")
        if not result.exists():
            raise LaunchError(f"{name} ended its process before it returned:\n{said[-3000:]}")
        told = json.loads(result.read_text(encoding="utf-8"))
        if "refused" in told:
            raise LaunchError(f"{name} returned what JSON cannot hold: {told['refused']}")
        return Done(json.loads(told["value"]), _text(out), said)


def _run(
    command: list[str], environment: dict[str, str], seconds: float, out: Path, err: Path
) -> int | None:
    """Run a program with its output in files; return its exit code, None when it took too long.

    Not through pipes: these stay open as long as anything that the program has started.
    """
    with ExitStack() as stack:
        files = [stack.enter_context(path.open("wb")) for path in (out, err)]
        line: tuple[int, ...] = ()
        if os.name != "nt":
            # Nothing is ever written here. When this process dies, however, the other end sees it.
            there, here = os.pipe()
            stack.callback(os.close, here)
            stack.callback(os.close, there)
            line = (there,)
        process = subprocess.Popen(
            [*command, *map(str, line or ("",))],
            stdin=subprocess.DEVNULL,
            stdout=files[0],
            stderr=files[1],
            # A group of its own: what the process starts is stopped with it.
            start_new_session=True,
            pass_fds=line,
            env=environment,
        )
        try:
            return process.wait(timeout=seconds)
        except subprocess.TimeoutExpired:
            return None
        finally:
            _stop(process)


def _text(file: Path) -> str:
    """Read what a program said; a byte that is no UTF-8 is shown by its number."""
    return file.read_bytes().decode(errors="backslashreplace")


GET_COMPILER = "apt install g++; on a Mac, xcode-select --install"
"""How to get a C++ compiler."""


def compiler() -> str | None:
    """Return the path of the C++ compiler that ``torch.compile`` calls, None without one.

    Source: ``torch._inductor.config.cpp.cxx``.
    """
    usual = {"darwin": "clang++", "win32": "cl"}.get(sys.platform, "g++")
    return shutil.which(os.environ.get("CXX", usual))


def _one_thread() -> dict[str, str]:
    """Return what keeps frameworks to one thread in a quick run, which stands beside other work.

    Two threads on a busy processor are many times slower than one.
    """
    if not os.environ.get("LABKIT_QUICK"):
        return {}
    names = ("OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS")
    return dict.fromkeys(names, "1")


def _stop(process: "subprocess.Popen[bytes]") -> None:
    """Stop a process's whole group, if anything of it is left."""
    if os.name == "nt":
        process.kill()
    else:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    process.wait()
