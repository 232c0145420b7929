"""Execute notebooks: in parallel, only what is stale, written whole or not at all."""

import asyncio
import hashlib
import json
import re
import shutil
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import filelock
import nbformat
from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError
from nbformat import NotebookNode

from labkit import record
from labkit.errors import LabkitError
from labkit.files import WriteError, write_together, write_whole
from labkit.press import fingerprint, kernels
from labkit.press.chapter import FRAMEWORKS, Chapter
from labkit.press.course import Course
from labkit.press.weave import SETUP, notebook_path, read_notebook, refuse_edited, weave

CELL_SECONDS = 300
"""How long one cell may take."""

Report = Callable[[str, int, int, str], None]
"""Told of progress: notebook, cells done, cells in all, what happens."""


class RunError(LabkitError):
    """A notebook that did not run to its end; the message says where and why."""


@dataclass(frozen=True)
class Job:
    """One twin, woven, and what stands in its place."""

    chapter: Chapter
    framework: str
    notebook: NotebookNode
    old: NotebookNode | None
    path: Path
    stamps: dict[str, str | None]
    """Digests of what decides the notebook's outputs: the ``code``; the ``recorded`` results, its
    own; and the ``twin``'s, for a notebook that shows them."""
    timings: str | None
    """A digest of the code that takes its timings."""

    @property
    def label(self) -> str:
        """Name for people."""
        return f"{self.chapter.name} {self.framework}"

    @property
    def stale(self) -> bool:
        """Whether its code, what that reaches or shows, a result or an output has changed."""
        if self.old is None:
            return True
        info = self.old.metadata.labkit
        now = {**self.stamps, "put_out": _digest(self.old)}
        return any(info.get(key) != value for key, value in now.items())

    @property
    def measured(self) -> bool:
        """Whether the timings that stand there were taken by the present code."""
        return self.old is not None and self.old.metadata.labkit.get("measured") == self.timings


def plan(root: Path, chapters: Sequence[Chapter], frameworks: Sequence[str]) -> list[Job]:
    """Weave the twins and compare them with what stands in ``labs/``.

    Raises
    ------
    SourceError
        When a notebook that stands there was edited by hand, or a chapter's prose is at fault.
    """
    course = Course.read(root)
    jobs = []
    for chapter in chapters:
        for framework in frameworks:
            path = notebook_path(root, chapter.name, framework)
            new, old = weave(chapter, framework, course), read_notebook(path)
            refuse_edited(old, new, path)
            code = _code(new)
            stamps = {"ran": fingerprint.of_code(code), **_results(new, root / "evidence")}
            timings = fingerprint.of_timings((s, m.get("tags", ())) for s, m in code)
            jobs.append(Job(chapter, framework, new, old, path, stamps, timings))
    return jobs


def write_woven(job: Job) -> bool:
    """Write a notebook without running it; outputs stay where they are still true."""
    if not job.stale:
        _keep_outputs(job)
    return write_whole(job.path, _text(job.notebook))


def run(
    root: Path,
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
    (root / "_build").mkdir(exist_ok=True)
    lock = filelock.FileLock(root / "_build" / "run.lock")
    try:
        with lock.acquire(timeout=0), kernels.ended_as_by_ctrl_c():
            with kernels.bench(root) as bench:
                one_by_one = 1 if measure else parallel
                written = asyncio.run(_run_all(root, jobs, one_by_one, measure, report, bench))
            again = _stale_now(root, [*jobs, *watched])
            if again:
                with kernels.bench(root) as bench:
                    written += asyncio.run(_run_all(root, again, parallel, False, report, bench))
            return list(dict.fromkeys(written))
    except filelock.Timeout as error:
        raise RunError(
            "another `labkit run` is at work in this folder; wait for its end, then try again"
        ) from error


def _stale_now(root: Path, jobs: Sequence[Job]) -> list[Job]:
    """Plan notebooks again, and return those that are stale by what has just been run."""
    planned = [j for job in jobs for j in plan(root, [job.chapter], [job.framework])]
    return [job for job in planned if job.stale]


async def _run_all(
    root: Path,
    jobs: Sequence[Job],
    parallel: int,
    measure: bool,
    report: Report,
    bench: kernels.Bench,
) -> list[Path]:
    gate = asyncio.Semaphore(parallel)
    # What the course has found so far, as all notebooks of a run see it: beside them others write.
    if (root / "evidence").is_dir():
        shutil.copytree(root / "evidence", bench.folder / "evidence")

    async def one(job: Job) -> list[Path]:
        async with gate:
            return await _run_one(root, job, measure, report, bench)

    results = await asyncio.gather(*(one(job) for job in jobs), return_exceptions=True)
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
    evidence = bench.folder / "evidence"
    try:
        await execute(
            job.notebook,
            job.chapter,
            job.path.parent,
            report,
            job.label,
            records,
            not measure,
            evidence=evidence,
            scratch=bench.scratch,
        )
    except RunError as error:
        raise RunError(f"{error}{_keep_failed(root, job)}") from error
    contents = _new_records(records, root / "evidence", job.timings, measure)
    own = _record(root / "evidence", job.notebook)
    measured = measure or (job.measured and not _lost(records, contents.get(own)))
    if not measure:
        _keep_measured(job, measured)
    info = job.notebook.metadata.labkit
    info.update(job.stamps)
    # What it has just recorded, and what of its twin it saw.
    info.recorded = _digest_of(contents.get(own))
    info.twin = _results(job.notebook, evidence)["twin"]
    info.measured = job.timings if measured else None
    info.put_out = _digest(job.notebook)
    info.machine = record.machine()
    if job.old is not None and _outputs(job.old) == _outputs(job.notebook):
        # The same results on another machine or version are no news.
        info.machine = job.old.metadata.labkit.get("machine", info.machine)
    texts = {path: record.dumps(content) for path, content in contents.items()}
    return write_together({**texts, job.path: _text(job.notebook)})


def _keep_failed(root: Path, job: Job) -> str:
    """Keep what a failed notebook got to; return words about it where that cannot be."""
    failed = root / "_build" / "failed" / f"{job.chapter.name}.{job.framework}.ipynb"
    try:
        write_whole(failed, _text(job.notebook))
    except WriteError as error:
        return f"\n\nWhat the notebook got to is not kept: {error}"
    return ""


async def execute(
    notebook: NotebookNode,
    chapter: Chapter,
    folder: Path,
    report: Report,
    label: str,
    records: Path,
    quick: bool = True,
    evidence: Path | None = None,
    scratch: Path | None = None,
) -> None:
    """Run a notebook's cells in a kernel of its own, in place, and normalise what they put out.

    A `quick` run takes one reading of what a clock decides, since nobody keeps it. The course's own
    records, which a proof is shown against, are read from `evidence`; the kernel's temporary folder
    is made in `scratch`.

    Raises
    ------
    RunError
        Names chapter, step and cell, and carries the traceback.
    """
    folder.mkdir(parents=True, exist_ok=True)
    environment = {
        "LABKIT_RECORDS": str(records),
        "LABKIT_DEVICE": "cpu",
        "KERAS_BACKEND": "tensorflow",
        "LABKIT_QUICK": "1" if quick else "",
        "PYTHONHASHSEED": "0",
        "COLUMNS": "80",
        **({"LABKIT_EVIDENCE": str(evidence)} if evidence else {}),
    }
    code = [c for c in notebook.cells if c.cell_type == "code"]
    report(label, 0, len(code), "starting")
    async with kernels.kernel(notebook, folder, environment, scratch, CELL_SECONDS) as client:
        for index, cell in enumerate(notebook.cells):
            if cell.cell_type != "code":
                continue
            try:
                await client.async_execute_cell(cell, index)
            except (CellExecutionError, CellTimeoutError, DeadKernelError) as error:
                raise _failure(notebook, chapter, cell, error) from error
            _normalise(cell)
            _expect_error(notebook, chapter, cell)
            _refuse_addresses(notebook, chapter, cell)
            _demand_alternatives(notebook, chapter, cell)
            report(label, code.index(cell) + 1, len(code), "running")
    report(label, len(code), len(code), "done")


def _code(notebook: NotebookNode) -> list[tuple[str, Any]]:
    """Return source and metadata of the code cells, but for the set-up cell's."""
    cells = [c for c in notebook.cells if c.cell_type == "code" and c.id != SETUP]
    return [(c.source, c.metadata) for c in cells]


def _record(evidence: Path, notebook: NotebookNode, *, twin: bool = False) -> Path:
    """Return where a notebook's record stands among the course's, or its twin's."""
    info = notebook.metadata.labkit
    other = next(f for f in FRAMEWORKS if f != info.framework)
    return evidence / "cpu" / f"{info.chapter}.{other if twin else info.framework}.json"


def _results(notebook: NotebookNode, evidence: Path) -> dict[str, str | None]:
    """Return digests of the results that a notebook has recorded, and of those that it shows.

    A proof is shown against the twin's results. Records that are missing or cannot be read have the
    digest None: a notebook that wrote one is stale without it.
    """
    proves = any("lab.prove(" in source for source, _ in _code(notebook))
    found = {"recorded": _read(_record(evidence, notebook)), "twin": None}
    if proves:
        found["twin"] = _read(_record(evidence, notebook, twin=True))
    return {name: _digest_of(content) for name, content in found.items()}


def _read(path: Path) -> dict[str, Any] | None:
    """Read a record of the course's, None where there is none or it is broken: it is made anew."""
    try:
        return record.read(path) if path.is_file() else None
    except record.RecordError:
        return None


def _digest_of(content: dict[str, Any] | None) -> str | None:
    """Return a digest of a record's results."""
    if content is None:
        return None
    return hashlib.sha256(json.dumps(content["exact"], sort_keys=True).encode()).hexdigest()[:16]


def _text(notebook: NotebookNode) -> str:
    return nbformat.writes(notebook) + "\n"


def _outputs(notebook: NotebookNode) -> list[Any]:
    return [c.outputs for c in notebook.cells if c.cell_type == "code"]


def _digest(notebook: NotebookNode) -> str:
    """Return a digest of a notebook's outputs, which changes when somebody clears or reruns it."""
    cells = [c for c in notebook.cells if c.cell_type == "code"]
    text = json.dumps([(c.execution_count, c.outputs) for c in cells], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _keep_outputs(job: Job) -> None:
    """Give a rewoven notebook the outputs of the old one, whose code is the same."""
    assert job.old is not None
    ran = {c.id: c for c in job.old.cells if c.cell_type == "code"}
    by_place = [c for c in job.old.cells if c.cell_type == "code"]
    code = [c for c in job.notebook.cells if c.cell_type == "code"]
    for place, cell in enumerate(code):
        old = ran.get(cell.id, by_place[place])
        cell.outputs, cell.execution_count = old.outputs, old.execution_count
    woven, old_info = job.notebook.metadata.labkit, job.old.metadata.labkit
    woven.update({key: value for key, value in old_info.items() if key not in woven})


def _keep_measured(job: Job, measured: bool) -> None:
    """Keep what a clock decided in the last measured run; without one, say that there was none.

    What a clock says beside other work is worth nothing, and so is what older code took.
    """
    old = {c.id: c for c in job.old.cells if c.cell_type == "code"} if job.old else {}
    old = old if measured else {}
    none = nbformat.v4.new_output("stream", name="stdout", text="not measured yet\n")
    for cell in job.notebook.cells:
        if "measured" in cell.metadata.get("tags", ()):
            before = old.get(cell.id)
            kept = before.outputs if before and before.source == cell.source else []
            cell.outputs = kept or [none]


def _new_records(
    folder: Path, evidence: Path, timings: str | None, measure: bool
) -> dict[Path, dict[str, Any]]:
    """Return what a run has recorded, as it is to stand among the course's records.

    What is the same stays, with the machine that found it out; timings are taken while measuring,
    never beside other work, and stay as long as the code that took them.
    """
    contents = {}
    for file in sorted(folder.rglob("*.json")):
        target = evidence / file.relative_to(folder)
        new, old = record.read(file), _read(target)
        if old and record.same(old["exact"], new["exact"]):
            new["exact"], new["machine"]["exact"] = old["exact"], old["machine"]["exact"]
        if not measure:
            took = old["machine"]["measured"] if old else None
            kept = bool(took and took.get("code") == timings)
            new["measured"] = old["measured"] if old and kept else {}
            new["machine"]["measured"] = took if kept else None
        elif new["measured"]:
            new["machine"]["measured"]["code"] = timings
        contents[target] = new
    return contents


def _lost(folder: Path, content: dict[str, Any] | None) -> bool:
    """Say whether a lab records timings, and the course's record keeps none."""
    read = (record.read(file) for file in folder.rglob("*.json"))
    return content is not None and not content["measured"] and any(c["measured"] for c in read)


def _normalise(cell: NotebookNode) -> None:
    """Take out of a cell's outputs what differs from run to run."""
    cell.metadata.pop("execution", None)
    # What libraries log goes to stderr; a lesson prints to stdout.
    outputs = [o for o in cell.outputs if o.get("name") != "stderr"]
    printed = [o for o in outputs if o.output_type == "stream"]
    if printed:
        # How print's text is cut into messages is chance.
        printed[0].text = _seen("".join(o.text for o in printed))
    cell.outputs = [o for o in outputs if o not in printed[1:]]
    for output in cell.outputs:
        if output.output_type == "error":
            # A traceback holds this machine's paths.
            output.traceback = [f"{output.ename}: {output.evalue}"]
        if "transient" in output:
            del output["transient"]


def _seen(text: str) -> str:
    """Return what a terminal shows of a text: after a carriage return, a line begins anew."""
    lines = text.split("\n")
    heads = [line.removesuffix("\r") for line in lines]
    return "\n".join(
        head.rpartition("\r")[2] + line[len(head) :]
        for head, line in zip(heads, lines, strict=True)
    )


def _expect_error(notebook: NotebookNode, chapter: Chapter, cell: NotebookNode) -> None:
    wanted = next((t[7:] for t in cell.metadata.get("tags", ()) if t.startswith("raises:")), None)
    raised = next((o.ename for o in cell.outputs if o.output_type == "error"), None)
    if wanted and raised != wanted.rsplit(".", 1)[-1]:
        message = f"was to raise {wanted}, and raised {raised or 'nothing'}"
        raise _failure(notebook, chapter, cell, RuntimeError(message))


def _refuse_addresses(notebook: NotebookNode, chapter: Chapter, cell: NotebookNode) -> None:
    """Raise for an object's address in memory, which is another one in each run."""
    for output in cell.outputs:
        text = f"{output.get('text', '')}{output.get('data', {}).get('text/plain', '')}"
        for found in _addresses(text):
            message = f"puts out {found!r}, an address that changes with every run"
            raise _failure(notebook, chapter, cell, RuntimeError(message))


def _addresses(text: str) -> Iterator[str]:
    """Find objects shown by their addresses, ``<… at 0x…>``, in time that grows with the text."""
    for line in text.splitlines():
        begin = line.find("<")
        if begin >= 0 and (end := re.compile(r" at 0x[0-9a-f]+>").search(line, begin)):
            yield line[max(begin, end.start() - 60) : end.end()]


def _demand_alternatives(notebook: NotebookNode, chapter: Chapter, cell: NotebookNode) -> None:
    """Raise for a picture that a screen reader cannot read."""
    source = next((c for c in chapter.cells if c.id == cell.id), None)
    said = source.metadata.get("mystnb", {}).get("image", {}).get("alt") if source else None
    for output in cell.outputs:
        for kind in output.get("data", {}):
            if kind.startswith("image/") and not (output.metadata.get(kind, {}).get("alt") or said):
                message = (
                    "shows a picture without a text alternative: draw it with labkit.plot, or "
                    "give the cell `:mystnb: {image: {alt: …}}`"
                )
                raise _failure(notebook, chapter, cell, RuntimeError(message))


def _failure(
    notebook: NotebookNode, chapter: Chapter, cell: NotebookNode, error: Exception
) -> RunError:
    framework = FRAMEWORKS[notebook.metadata.labkit.framework]
    number = [c.id for c in notebook.cells if c.cell_type == "code"].index(cell.id) + 1
    source = next((c for c in chapter.cells if c.id == cell.id), None)
    place = chapter.text.at(source.line) if source else str(chapter.path)
    step = f"step {source.step!r}" if source and source.step else f"cell {cell.id!r}"
    what = f"{place}: {step}, {framework}, code cell {number}"
    if isinstance(error, CellExecutionError):
        if error.ename == "StdinNotImplementedError":
            return RunError(f"{what} asks for input, and nobody is there to answer: set a value")
        trace = re.sub(r"\x1b\[[0-9;]*m", "", error.traceback)
        return RunError(f"{what} raised {error.ename}: {error.evalue}\n\n{trace.strip()}")
    if isinstance(error, CellTimeoutError):
        return RunError(f"{what} took more than {CELL_SECONDS} s; make it smaller or split it")
    if isinstance(error, DeadKernelError):
        return RunError(f"{what}: Python died there, perhaps for want of memory ({sys.platform})")
    return RunError(f"{what} {error}")
