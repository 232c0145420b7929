"""The `labkit` command: what learners need of it, and the door to the commands of the press."""

import importlib.util
import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table
from typer.core import TyperGroup

from labkit import launch, session
from labkit.terminal import err, one_message, out, say_wrong, show_all_letters


class _Commands(TyperGroup):
    """Commands of which those of the press are imported when they, or the list, are asked for."""

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        if cmd_name not in self.commands:
            self._open_the_press()
        return super().get_command(ctx, cmd_name)

    def list_commands(self, ctx: Any) -> list[str]:
        self._open_the_press()
        return super().list_commands(ctx)

    def _open_the_press(self) -> None:
        from labkit.press import commands

        self.commands.update(typer.main.get_command(commands.app).commands)  # type: ignore[attr-defined]


app = typer.Typer(
    cls=_Commands,
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    help="Make and run the course's labs. `labkit doctor` says what runs on this machine; "
    "`labkit run` weaves the chapters into notebooks and executes those that are stale.",
)


def main() -> None:
    """Run the command."""
    show_all_letters()
    app()


@app.command()
@one_message
def doctor() -> None:
    """Say what runs on this machine, and how to get the rest.

    Exit code 1 when neither framework can be used.
    """
    table = Table(box=None, pad_edge=False, header_style="bold")
    for title in ("", "what", "here", "for the rest"):
        table.add_column(title, overflow="fold")
    usable = 0
    python_ok = (3, 11) <= sys.version_info[:2] <= (3, 13)
    _row(table, python_ok, "Python", platform.python_version(), "install Python 3.11 to 3.13")
    for framework, packages in session.PACKAGES.items():
        for package in packages:
            found, bounds = session.installed(package), session.bounds(package)
            fits = bool(found and bounds and bounds.specifier.contains(found, prereleases=True))
            hint = session.install_hint(package).replace("[", "\\[")
            _row(table, fits, package, found or "missing", hint)
        if all(session.installed(p) for p in packages):
            devices, works = _devices(framework)
            usable += works
            title = f"{session.FRAMEWORKS[framework]} devices"
            _row(table, works, title, devices, f"reinstall {', '.join(packages)}")
    tools = {
        "C++ compiler": ((launch.compiler() or "",), launch.GET_COMPILER),
        "graphviz": (("dot",), "apt install graphviz, or brew install graphviz"),
        "Chromium": (
            ("chromium", "chromium-browser", "google-chrome"),
            "apt install chromium; `make test` skips the browser's tests without one",
        ),
        "git": (("git",), "apt install git"),
    }
    for name, (programs, mend) in tools.items():
        path = next((p for p in map(shutil.which, programs) if p), None)
        _row(table, path is not None, name, path or "missing", mend)
    book = importlib.util.find_spec("jupyter_book") is not None
    _row(table, book, "Jupyter Book", "there" if book else "missing", "make book")
    free = shutil.disk_usage(Path.cwd()).free / 2**30
    _row(table, free > 5, "disk", f"{free:.0f} GiB free", "5 GiB are comfortable")
    out.print(table)
    if not usable:
        err.print("[red]error:[/] neither framework is installed; the table says how to get one")
        raise typer.Exit(1)


@app.command()
@one_message
def fetch(
    names: Annotated[
        list[str] | None, typer.Argument(help="Names of datasets, such as cifar10; all if none.")
    ] = None,
) -> None:
    """Load datasets ahead of a class, into a cache that all users of this machine share.

    No chapter needs them; labs of your own may. Exit code 1 when a file could not be loaded; the
    others are loaded still.
    """
    from labkit import downloads

    unknown = set(names or ()) - set(downloads.KNOWN)
    if unknown:
        known = ", ".join(downloads.KNOWN)
        raise typer.BadParameter(f"{', '.join(sorted(unknown))}: unknown; known are {known}")
    failed = False
    for name in names or downloads.KNOWN:
        dataset = downloads.KNOWN[name]
        for file in dataset.files:
            size = f"{file.size / 2**20:.1f} MiB"
            try:
                state = "there" if downloads.there(file) else "loaded"
                path = downloads.get(dataset, file)
                elsewhere = "" if path.parent == downloads.folder() else f" in {path.parent}"
                out.print(f"{name}: {file.name}, {size}, {state}{elsewhere}", soft_wrap=True)
            except downloads.DownloadError as error:
                failed = True
                say_wrong(str(error))
    out.print(f"the cache is {downloads.folder()}", soft_wrap=True)
    if failed:
        raise typer.Exit(1)


def _row(table: Table, good: bool, name: str, here: str, mend: str) -> None:
    table.add_row("[green]✓[/]" if good else "[red]✗[/]", name, here, "" if good else mend)


def _devices(framework: str) -> tuple[str, bool]:
    """Ask a framework for its devices, in a process of its own: importing one takes seconds.

    Returns what it says, and whether it could be imported.
    """
    code = {
        "pytorch": "import torch; print(*['cpu', *(torch.cuda.get_device_name(i) "
        "for i in range(torch.cuda.device_count()))], sep=', ')",
        "tensorflow": "import tensorflow as tf; print(*[d.device_type.lower() "
        "for d in tf.config.list_physical_devices()], sep=', ')",
    }[framework]
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        errors="replace",
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"},
        check=False,
    )
    lines = done.stdout.strip().splitlines()
    if done.returncode or not lines:
        return f"cannot be imported: {(done.stderr.strip().splitlines() or ['?'])[-1]}", False
    return lines[-1], True


if __name__ == "__main__":
    main()
