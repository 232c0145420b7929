"""What all commands share: where they write, and errors as one message."""

import codecs
import functools
import io
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import ParamSpec

import typer
from rich.console import Console

from labkit.errors import LabkitError

P = ParamSpec("P")
out = Console(highlight=False)
err = Console(stderr=True, highlight=False)


def show_all_letters() -> None:
    """Have a terminal that lacks some letters show others in their place."""
    codecs.register_error("labkit", _in_ascii)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="labkit")


def _in_ascii(error: UnicodeError) -> tuple[str, int]:
    """Say what a terminal has no letters for in those it has."""
    assert isinstance(error, UnicodeEncodeError)
    signs = {"✓": "ok", "✗": "no", "–": "-", "…": "...", "━": "-", "╸": "-", "×": "x"}
    found = error.object[error.start : error.end]
    return "".join(signs.get(letter, "?") for letter in found), error.end


def say_wrong(message: str) -> None:
    """Write an error, in the words it has: what looks like markup is none."""
    err.print("[red]error:[/] ", end="")
    err.print(message, markup=False, soft_wrap=True)


def one_message(command: Callable[P, None]) -> Callable[P, None]:
    """Make a failure of a command that a person can mend one message, and exit code 1."""

    @functools.wraps(command)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        with _errors():
            command(*args, **kwargs)

    return run


@contextmanager
def _errors() -> Iterator[None]:
    try:
        yield
    except KeyboardInterrupt as error:
        err.print("[red]stopped[/]; nothing is half-written")
        raise typer.Exit(130) from error
    except typer.Exit:
        raise
    except ModuleNotFoundError as error:
        err.print(
            f"[red]error:[/] {error.name} is missing. Commands that make the course need its "
            "'book' extra: `make book` installs it, or `pip install -e '.\\[book]'` in a clone."
        )
        raise typer.Exit(1) from error
    except Exception as error:
        if isinstance(error, LabkitError):
            message = str(error)
        elif isinstance(error, OSError) and error.filename:
            message = f"{error.filename}: {error.strerror}; nothing is half-written"
        else:
            raise
        say_wrong(message)
        raise typer.Exit(1) from error
