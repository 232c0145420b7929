"""Execute notebooks in kernels, side by side."""

import asyncio
import re
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import filelock
import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError
from nbformat import NotebookNode

from labkit.errors import LabkitError
from labkit.press import keep, kernels, outputs, stale, tries
from labkit.press.chapter import FRAMEWORKS
from labkit.press.course import Course
from labkit.press.stale import Job

CELL_SECONDS = 300
"""How long one cell may take."""

Report = Callable[[str, int, int, str], None]
"""Told of progress: notebook, cells done, cells in all, what happens."""


class RunError(LabkitError):
    """A notebook that did not run to its end; the message says where and why."""


def run(
    course: Course,
    jobs: Sequence[Job],
    *,
    parallel: int,
    measure: bool,
    report: Report,
    watched: Sequence[Job] = (),
) -> list[Path]:
    """Execute notebooks and write them, and the records they made, to ``labs/`` and ``evidence/``.

    A notebook that shows the other twin's results runs once more when these have changed.

    Parameters
    ----------
    parallel
        How many run at a time. Measuring runs one at a time whatever this says.
    measure
        Whether to take over what a clock or a memory gauge decided: the ``measured`` parts of
        the records and the outputs of cells tagged ``measured``.
    report
        Told of each cell that ends.
    watched
        Notebooks that are fresh, and run only if the others' results make them stale.

    Returns
    -------
    list of Path
        What was written.

    Raises
    ------
    RunError
        When a notebook failed, after the others have ended. Its place is unchanged; what it got
        to stands in ``_build/failed/``.
    """
    root = course.root
    (root / "_build").mkdir(exist_ok=True)
    lock = filelock.FileLock(root / "_build" / "run.lock")
    try:
        with lock.acquire(timeout=0), kernels.ended_as_by_ctrl_c():
            written = _run_all(root, jobs, 1 if measure else parallel, measure, report)
            again = stale.again(course, [*jobs, *watched])
            written += _run_all(root, again, parallel, False, report)
            return list(dict.fromkeys(written))
    except filelock.Timeout as error:
        raise RunError(
            "another `labkit run` is at work in this folder; wait for its end, then try again"
        ) from error


def _run_all(
    root: Path, jobs: Sequence[Job], parallel: int, measure: bool, report: Report
) -> list[Path]:
    """Run notebooks side by side on one bench, to the end of the last, whatever fails."""

    async def side_by_side(bench: kernels.Bench) -> list[list[Path] | BaseException]:
        gate = asyncio.Semaphore(parallel)

        async def one(job: Job) -> list[Path]:
            async with gate:
                return await _run_one(root, job, measure, report, bench)

        return await asyncio.gather(*map(one, jobs), return_exceptions=True)

    if not jobs:
        return []
    with kernels.bench(root) as bench:
        results = asyncio.run(side_by_side(bench))
    failed = [r for r in results if isinstance(r, BaseException)]
    for error in failed:
        if not isinstance(error, RunError):
            raise error
    if failed:
        raise RunError("\n\n".join(str(error) for error in failed))
    return [path for paths in results if not isinstance(paths, BaseException) for path in paths]


async def _run_one(
    root: Path, job: Job, measure: bool, report: Report, bench: kernels.Bench
) -> list[Path]:
    records = bench.folder / job.label
    try:
        tried = await _execute(job, bench, records, report, quick=not measure)
    except RunError as error:
        raise RunError(f"{error}{keep.failed(job, root / '_build' / 'failed')}") from error
    return keep.ran(job, root / "evidence", records, bench.evidence, tried, measure=measure)


async def _execute(
    job: Job, bench: kernels.Bench, records: Path, report: Report, *, quick: bool
) -> tries.Results:
    """Run a notebook's cells in a kernel of its own, in place, and settle what they put out.

    Then the edits that its chapter asks the reader to try, whose results are returned.

    A `quick` run takes one reading of what a clock decides, since nobody keeps it. What the lab
    records goes to `records`; the course's own, which a proof is shown against, it reads as the
    run found them.

    Raises
    ------
    RunError
        Names chapter, step and cell, and carries the traceback.
    """
    folder = job.path.parent
    folder.mkdir(parents=True, exist_ok=True)
    environment = {
        "LABKIT_RECORDS": str(records),
        "LABKIT_EVIDENCE": str(bench.evidence),
        "LABKIT_DEVICE": "cpu",
        "KERAS_BACKEND": "tensorflow",
        "LABKIT_QUICK": "1" if quick else "",
        "PYTHONHASHSEED": "0",
        "COLUMNS": "80",
    }
    cells = job.notebook.cells
    code = [n for n, cell in enumerate(cells) if cell.cell_type == "code"]
    alternatives = {c.id: c.metadata.get("mystnb", {}).get("image", {}) for c in job.chapter.cells}
    report(job.label, 0, len(code), "starting")
    async with kernels.kernel(
        job.notebook, folder, environment, bench.scratch, CELL_SECONDS
    ) as client:
        for done, index in enumerate(code, 1):
            cell = cells[index]
            try:
                await client.async_execute_cell(cell, index)
                outputs.settle(cell, alternatives.get(cell.id, {}).get("alt"))
            except _FAILURES as error:
                raise _failure(job, cell, error) from error
            report(job.label, done, len(code), "running")
        tried = await _try(job, client, report)
    report(job.label, len(code), len(code), "done")
    return tried


async def _try(job: Job, client: NotebookClient, report: Report) -> tries.Results:
    """Make the chapter's edits where the notebook has ended, and return what came of them."""
    found: tries.Results = {}
    apart = nbformat.v4.new_code_cell(tries.APART)
    for name, again in tries.cells(job.chapter, job.framework):
        report(job.label, 0, len(again), f"trying {name}")
        # The client writes what a cell puts out into its own notebook: these stand in another.
        cells = [apart, *again]
        client.nb = nbformat.v4.new_notebook(cells=cells, metadata=job.notebook.metadata)
        for index, cell in enumerate(cells):
            try:
                await client.async_execute_cell(cell, index)
                outputs.settle(cell, None)
            except _FAILURES as error:
                line = next(edit.line for edit in job.chapter.tries if edit.name == name)
                what = f"{job.chapter.text.at(line)}: try {name!r}, {FRAMEWORKS[job.framework]}"
                raise RunError(_words(what, error)) from error
        found[name] = [_timeless(output) for output in again[-1].outputs]
    return found


def _timeless(output: NotebookNode) -> NotebookNode:
    """Return an output without its count, which says how many cells have run before."""
    if "execution_count" in output:
        output.execution_count = None
    return output


_FAILURES = (CellExecutionError, CellTimeoutError, DeadKernelError, outputs.UnfitError)


def _failure(job: Job, cell: NotebookNode, error: Exception) -> RunError:
    """Return an error that names the cell's place in the chapter and in the notebook."""
    number = [c.id for c in job.notebook.cells if c.cell_type == "code"].index(cell.id) + 1
    source = next((c for c in job.chapter.cells if c.id == cell.id), None)
    place = job.chapter.text.at(source.line) if source else str(job.chapter.path)
    step = f"step {source.step!r}" if source and source.step else f"cell {cell.id!r}"
    what = f"{place}: {step}, {FRAMEWORKS[job.framework]}, code cell {number}"
    return RunError(_words(what, error))


def _words(what: str, error: Exception) -> str:
    """Say what has failed, and how."""
    if isinstance(error, CellExecutionError):
        if error.ename == "StdinNotImplementedError":
            return f"{what} asks for input, and nobody is there to answer: set a value"
        trace = re.sub(r"\x1b\[[0-9;]*m", "", error.traceback)
        return f"{what} raised {error.ename}: {error.evalue}\n\n{trace.strip()}"
    if isinstance(error, CellTimeoutError):
        return f"{what} took more than {CELL_SECONDS} s; make it smaller or split it"
    if isinstance(error, DeadKernelError):
        return f"{what}: Python died there, perhaps for want of memory ({sys.platform})"
    return f"{what} {error}"
