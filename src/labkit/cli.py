"""The `labkit` command."""

import codecs
import functools
import importlib.util
import io
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
)
from rich.table import Table

from labkit import launch, session
from labkit.errors import LabkitError

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    help="Make and run the course's labs. `labkit doctor` says what runs on this machine; "
    "`labkit run` weaves the chapters into notebooks and executes those that are stale.",
)
out = Console(highlight=False)
err = Console(stderr=True, highlight=False)

Chapters = Annotated[
    list[str] | None, typer.Argument(help="Names of chapters, such as first-network; all if none.")
]
Framework = Annotated[
    str | None, typer.Option(help="Only this twin: pytorch or tensorflow.", show_default=False)
]


def main() -> None:
    """Run the command."""
    codecs.register_error("labkit", _in_ascii)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="labkit")
    app()


def _in_ascii(error: UnicodeError) -> tuple[str, int]:
    """Say what a terminal has no letters for in those it has."""
    assert isinstance(error, UnicodeEncodeError)
    signs = {"✓": "ok", "✗": "no", "–": "-", "…": "...", "━": "-", "╸": "-", "×": "x"}
    found = error.object[error.start : error.end]
    return "".join(signs.get(letter, "?") for letter in found), error.end


def command(function: Callable[..., None]) -> Callable[..., None]:
    """Register a command; a failure that a person can mend is one message and exit code 1."""

    @functools.wraps(function)
    def run(*args: Any, **kwargs: Any) -> None:
        with _errors():
            function(*args, **kwargs)

    return app.command()(run)


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
        err.print("[red]error:[/] ", end="")
        err.print(message, markup=False, soft_wrap=True)
        raise typer.Exit(1) from error


@command
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


@command
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
                err.print("[red]error:[/] ", end="")
                err.print(str(error), markup=False, soft_wrap=True)
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


@command
def weave(chapters: Chapters = None, framework: Framework = None) -> None:
    """Make the notebooks of chapters without running them.

    Outputs stay where the code is unchanged; a notebook whose code has changed loses them until
    the next `labkit run`. Notebooks edited by hand are never overwritten.
    """
    from labkit.press import keep, stale

    for job in stale.plan(*_chosen(chapters, framework)):
        written = keep.woven(job)
        state = "woven" if written else "unchanged"
        out.print(f"{job.label}: {state}" + (", to be run" if job.stale else ""))


@command
def check(chapters: Chapters = None) -> None:
    """Read, weave and lint chapters without running or writing anything, in about a second."""
    from labkit.press import budget, lint, weave

    course, loaded, frameworks = _chosen(chapters, None)
    faults = []
    for chapter in loaded:
        for name in frameworks:
            weave.weave(chapter, name, course)
        faults += budget.over(chapter)
        faults += lint.lint(chapter) if lint.available() else []
    for fault in faults:
        err.print("[red]error:[/] ", end="")
        err.print(fault, markup=False, soft_wrap=True)
    if faults:
        raise typer.Exit(1)
    linted = "" if lint.available() else "; not linted, for ruff is missing: `pip install ruff`"
    out.print(f"{len(loaded)} chapters, nothing wrong{linted}", soft_wrap=True)


@command
def run(
    chapters: Chapters = None,
    framework: Framework = None,
    jobs: Annotated[int, typer.Option(min=0, help="How many run at a time; 0: one a core.")] = 0,
    force: Annotated[bool, typer.Option(help="Run what is not stale, too.")] = False,
    measure: Annotated[
        bool, typer.Option(help="Take new timings, one notebook at a time; runs all it is given.")
    ] = False,
) -> None:
    """Weave chapters and execute the notebooks that are stale.

    A notebook is written when it has run to its end, never before. Timings are kept from the last
    run with `--measure`, so that running again changes no byte.
    """
    from labkit.press import keep, stale
    from labkit.press import run as press

    course, loaded, frameworks = _chosen(chapters, framework)
    planned = stale.plan(course, loaded, frameworks)
    due = [j for j in planned if j.stale or force or measure]
    fresh = [j for j in planned if j not in due]
    for job in fresh:
        keep.woven(job)
    if not due:
        out.print(f"{len(planned)} notebooks, none stale")
        return
    with _progress() as report:
        written = press.run(
            course,
            due,
            parallel=jobs or os.cpu_count() or 1,
            measure=measure,
            report=report,
            watched=fresh,
        )
    changed = ", ".join(str(p.relative_to(course.root)) for p in written) or "nothing new"
    out.print(f"{len(due)} notebooks run; written: {changed}", soft_wrap=True)


@command
def take(
    notebook: Annotated[Path, typer.Argument(help="A notebook in labs/, edited in JupyterLab.")],
) -> None:
    """Bring edits made in a woven notebook home into its chapter."""
    from labkit.files import write_together
    from labkit.press import weave as press
    from labkit.press.course import Course

    course = Course.read(_root(notebook.resolve().parent))
    texts, edited = press.take(notebook, course)
    write_together(texts)
    if edited:
        shown = " and ".join(os.path.relpath(file) for file in texts)
        out.print(f"{edited} cells taken into {shown}; now `labkit run` weaves both twins")
    else:
        out.print(f"no edits in {notebook}; its chapter is unchanged")


@command
def prove(
    chapters: Chapters = None,
    claims: Annotated[
        bool, typer.Option("--claims", help="One line a claim: id, verdict, what decides.")
    ] = False,
    mine: Annotated[
        bool,
        typer.Option(
            "--mine",
            help="Verdicts by your own records, beside ours; with a chapter, its proof by them.",
        ),
    ] = False,
) -> None:
    """Prove that the two notebooks of a chapter do the same work.

    Compares what they have recorded, rung by rung: parameters, dependence on the input, outputs,
    gradients, outputs after training passes, losses, trained weights, outputs after training; and
    what the chapter adds. Exit code 1 when one breaks, which is named.
    """
    if claims and chapters:
        raise typer.BadParameter("name no chapter with --claims: all are shown")
    if claims or (mine and not chapters):
        _print_verdicts(mine)
        return
    from labkit import record, twins
    from labkit.press import prove as press
    from labkit.press.records import Records

    course, loaded, _ = _chosen(chapters, None)
    records = Records(record.folder()) if mine else course.records
    broken = []
    owed = [chapter for chapter in loaded if chapter.lab.ladder is not None]
    for chapter in owed:
        steps = press.of_chapter(records, chapter.lab)
        table = Table("", "rung", "largest difference", "of", box=None, pad_edge=False)
        for step in steps:
            mark = "[green]✓[/]" if step.holds else "[red]✗[/]"
            gap = "–" if step.difference is None else f"{step.difference:.1e}"
            table.add_row(mark, step.name, gap, step.detail)
        out.print(f"[bold]{chapter.name}[/]")
        out.print(table)
        if not steps[-1].holds:
            broken.append(f"{chapter.name}: rung {steps[-1].name!r} breaks: {steps[-1].detail}")
    for line in broken:
        err.print(f"[red]error:[/] {line}", soft_wrap=True)
    if broken:
        raise typer.Exit(1)
    out.print(
        f"{len(owed)} proven, in float64 on the CPU; differences are parts of the size of what is "
        f"compared, and the bound is {twins.BOUND:g}",
        soft_wrap=True,
    )


def _print_verdicts(mine: bool) -> None:
    """Print one line for each claim; with `mine`, the reader's own verdict beside it."""
    from labkit import record
    from labkit.press import claims as press
    from labkit.press.course import Course
    from labkit.press.records import Records

    course, own_records = Course.read(_root(Path.cwd())), Records(record.folder())
    if mine:
        err.print(f"your own records are read from {record.folder()}", soft_wrap=True)
    for claim in course.claims.values():
        verdict = course.verdict(claim)
        line = f"{claim.id}: {verdict.name}; {verdict.shown}"
        if mine:
            try:
                own = press.judge(claim, own_records)
                line += f" | mine: {own.name}; {own.shown}"
            except (press.ClaimError, record.RecordError) as error:
                line += f" | mine: cannot be judged; {error}"
        out.print(line, soft_wrap=True, markup=False)


@command
def book() -> None:
    """Build the book's pages from the chapters and their executed notebooks."""
    from labkit.press import build

    page = build.book(_root(Path.cwd()))
    out.print(f"the book is at {page.as_uri()}", soft_wrap=True)


@command
def copies(
    folder: Annotated[
        Path, typer.Argument(help="Where the copies go, from the course's folder.")
    ] = Path("work"),
) -> None:
    """Copy the notebooks to a folder of your own; copies with edits are never overwritten."""
    from labkit.press import build

    root = _root(Path.cwd())
    for path, state in build.copies(root, root / folder):
        out.print(f"{os.path.relpath(path)}: {state}")


def _root(start: Path) -> Path:
    """Return the course's folder: the nearest one upwards with a `_config.yml`."""
    from labkit.press.source import SourceError

    for folder in (start, *start.parents):
        if (folder / "_config.yml").is_file():
            return folder
    raise SourceError(start, None, "is in no course; run this in the course's own folder")


def _chosen(
    names: list[str] | None, framework: str | None
) -> tuple["Course", list["Chapter"], list[str]]:  # type: ignore[name-defined]  # noqa: F821
    from labkit.press.chapter import FRAMEWORKS
    from labkit.press.course import Course

    if framework not in (None, *FRAMEWORKS):
        raise typer.BadParameter(f"{framework!r}; it must be pytorch or tensorflow")
    course = Course.read(_root(Path.cwd()))
    return course, course.chosen(names or ()), [framework] if framework else list(FRAMEWORKS)


@contextmanager
def _progress() -> Iterator["press.Report"]:  # type: ignore[name-defined]  # noqa: F821
    """Progress bars in a terminal, plain lines elsewhere."""
    if not out.is_terminal:

        def line(label: str, done: int, total: int, state: str) -> None:
            if state != "running":
                out.print(f"{label}: {state}" + (f", {total} cells" if state == "done" else ""))

        yield line
        return
    columns = [TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn()]
    with Progress(*columns, TimeElapsedColumn(), console=out) as bars:
        tasks: dict[str, TaskID] = {}

        def bar(label: str, done: int, total: int, state: str) -> None:
            if label not in tasks:
                tasks[label] = bars.add_task(label, total=total)
            bars.update(tasks[label], completed=done)

        yield bar


if __name__ == "__main__":
    main()
