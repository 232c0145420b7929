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
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any


class LaunchError(RuntimeError):
    """A process failed or took too long; the message holds the end of what it said."""


@dataclass(frozen=True)
class Done:
    """What a process left behind."""

    value: Any
    """What the function returned."""
    out: str
    err: str


_SCRIPT = """\
import json, pathlib, sys
{source}
value = {name}(*json.loads(pathlib.Path(sys.argv[1]).read_text()))
pathlib.Path(sys.argv[2]).write_text(json.dumps(value))
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
        When the process fails or takes too long.
    """
    source = textwrap.dedent(inspect.getsource(function)) if inspect.isfunction(function) else ""
    if not source.startswith("def "):
        raise LaunchError(f"{function!r} cannot be run: write it with `def`, without decorators")
    with tempfile.TemporaryDirectory(prefix="labkit-") as folder:
        script, given, result = (Path(folder, n) for n in ("script.py", "given", "value"))
        script.write_text(_SCRIPT.format(source=source, name=function.__name__))
        given.write_text(json.dumps(arguments))
        command = [sys.executable, str(script), str(given), str(result)]
        # A group of its own: what the process starts is stopped with it.
        process = subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
            env={**os.environ, **_one_thread(), **(environment or {})},
        )
        try:
            out, err = process.communicate(timeout=seconds)
        except subprocess.TimeoutExpired as error:
            said = (error.stderr or b"").decode(errors="replace")[-3000:]
            message = f"{function.__name__} took longer than {seconds:g} s:\n{said}"
            raise LaunchError(message) from error
        finally:
            _stop(process)
        if process.returncode or not result.exists():
            raise LaunchError(f"{function.__name__} failed in its process:\n{err[-3000:]}")
        return Done(json.loads(result.read_text()), out, err)


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


def _stop(process: "subprocess.Popen[str]") -> None:
    """Stop a process's whole group, if anything of it is left."""
    if os.name == "nt":
        process.kill()
    else:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    process.wait()
