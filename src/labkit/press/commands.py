"""The commands of the press. Each imports what it needs: a list of commands needs nothing."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
)
from rich.table import Table

from labkit.terminal import err, one_message, out, say_wrong

if TYPE_CHECKING:
    from labkit.press.chapter import Chapter
    from labkit.press.course import Course
    from labkit.press.run import Report

app = typer.Typer(rich_markup_mode="markdown")

Chapters = Annotated[
    list[str] | None, typer.Argument(help="Names of chapters, such as first-network; all if none.")
]
Framework = Annotated[
    str | None, typer.Option(help="Only this twin: pytorch or tensorflow.", show_default=False)
]


@app.command()
@one_message
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


@app.command()
@one_message
def check(chapters: Chapters = None) -> None:
    """Read, weave and lint chapters without running or writing anything, in about a second."""
    from labkit.press import budget, lint, weave

    course, loaded, frameworks = _chosen(chapters, None)
    faults = []
    for chapter in loaded:
        for name in frameworks:
            weave.weave(chapter, name, course)
        faults += [*budget.over(chapter), *budget.late(chapter)]
        faults += lint.lint(chapter) if lint.available() else []
        faults += lint.unsided(chapter)
    for fault in faults:
        say_wrong(fault)
    if faults:
        raise typer.Exit(1)
    linted = "" if lint.available() else "; not linted, for ruff is missing: `pip install ruff`"
    out.print(f"{len(loaded)} chapters, nothing wrong{linted}", soft_wrap=True)


@app.command()
@one_message
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


@app.command()
@one_message
def take(
    notebook: Annotated[Path, typer.Argument(help="A notebook in labs/, edited in JupyterLab.")],
) -> None:
    """Bring edits made in a woven notebook home into its chapter."""
    from labkit.files import write_together
    from labkit.press import take as press
    from labkit.press.course import Course

    course = Course.read(_root(notebook.resolve().parent))
    texts, edited = press.take(notebook, course)
    write_together(texts)
    if edited:
        shown = " and ".join(os.path.relpath(file) for file in texts)
        out.print(f"{edited} cells taken into {shown}; now `labkit run` weaves both twins")
    else:
        out.print(f"no edits in {notebook}; its chapter is unchanged")


@app.command()
@one_message
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
    what the chapter adds, such as a third twin that a browser has trained. Exit code 1 when one
    breaks, which is named.
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
        steps = press.of_chapter(records, chapter.lab, mine=mine)
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


@app.command()
@one_message
def book() -> None:
    """Build the book's pages from the chapters and their executed notebooks."""
    from labkit.press import build

    page = build.book(_root(Path.cwd()))
    out.print(f"the book is at {page.as_uri()}", soft_wrap=True)


@app.command()
@one_message
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
) -> tuple["Course", list["Chapter"], list[str]]:
    from labkit.press.chapter import FRAMEWORKS
    from labkit.press.course import Course

    if framework not in (None, *FRAMEWORKS):
        raise typer.BadParameter(f"{framework!r}; it must be pytorch or tensorflow")
    course = Course.read(_root(Path.cwd()))
    return course, course.chosen(names or ()), [framework] if framework else list(FRAMEWORKS)


@contextmanager
def _progress() -> Iterator["Report"]:
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
