"""Execute notebooks: in parallel, only what is stale, written whole or not at all."""

import ast
import asyncio
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import filelock
import nbformat
from jupyter_client.manager import AsyncKernelManager
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError
from nbformat import NotebookNode

from labkit import record
from labkit.files import write_whole
from labkit.press.chapter import FRAMEWORKS, Chapter
from labkit.press.site import Site
from labkit.press.weave import SETUP, notebook_path, read_notebook, refuse_edited, weave

CELL_SECONDS = 300
"""How long one cell may take."""

Report = Callable[[str, int, int, str], None]
"""Told of progress: notebook, cells done, cells in all, what happens."""


class RunError(Exception):
    """A notebook that did not run to its end; the message says where and why."""


@dataclass(frozen=True)
class Job:
    """One twin, woven, and what stands in its place."""

    chapter: Chapter
    framework: str
    notebook: NotebookNode
    old: NotebookNode | None
    path: Path
    fingerprint: str
    twin: str | None
    """A digest of the committed results of the other twin, for a notebook that shows them."""

    @property
    def label(self) -> str:
        """Name for people."""
        return f"{self.chapter.name} {self.framework}"

    @property
    def stale(self) -> bool:
        """Whether its code, what that reaches or shows, or an output changed since the last run."""
        if self.old is None:
            return True
        info = self.old.metadata.labkit
        now = {"ran": self.fingerprint, "put_out": _digest(self.old), "twin": self.twin}
        return any(info.get(key) != value for key, value in now.items())


def plan(root: Path, chapters: Sequence[Chapter], frameworks: Sequence[str]) -> list[Job]:
    """Weave the twins and compare them with what stands in ``labs/``.

    Raises
    ------
    SourceError
        When a notebook that stands there was edited by hand, or a chapter's prose is at fault.
    """
    site = Site.read(root)
    jobs = []
    for chapter in chapters:
        for framework in frameworks:
            path = notebook_path(root, chapter.name, framework)
            new, old = weave(chapter, framework, site), read_notebook(path)
            refuse_edited(old, new, path)
            twin = _twin(new, root / "evidence")
            jobs.append(Job(chapter, framework, new, old, path, fingerprint(new), twin))
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
        with lock.acquire(timeout=0):
            written = asyncio.run(_run_all(root, jobs, 1 if measure else parallel, measure, report))
            again = _stale_now(root, [*jobs, *watched])
            if again:
                written += asyncio.run(_run_all(root, again, parallel, False, report))
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
    root: Path, jobs: Sequence[Job], parallel: int, measure: bool, report: Report
) -> list[Path]:
    gate = asyncio.Semaphore(parallel)
    # What the course has found so far, as all notebooks of a run see it: beside them others write.
    evidence = Path(tempfile.mkdtemp(prefix="evidence-", dir=root / "_build"))

    async def one(job: Job) -> list[Path]:
        async with gate:
            return await _run_one(root, job, measure, report, evidence)

    try:
        if (root / "evidence").is_dir():
            shutil.copytree(root / "evidence", evidence, dirs_exist_ok=True)
        results = await asyncio.gather(*(one(job) for job in jobs), return_exceptions=True)
    finally:
        shutil.rmtree(evidence, ignore_errors=True)
    failed = [r for r in results if isinstance(r, BaseException)]
    for error in failed:
        if not isinstance(error, RunError):
            raise error
    if failed:
        raise RunError("\n\n".join(str(error) for error in failed))
    return [path for paths in results if not isinstance(paths, BaseException) for path in paths]


async def _run_one(
    root: Path, job: Job, measure: bool, report: Report, evidence: Path
) -> list[Path]:
    records = Path(tempfile.mkdtemp(prefix="records-", dir=root / "_build"))
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
        )
        written = [p for p in _take_records(records, root / "evidence", measure) if p]
    except RunError:
        failed = root / "_build" / "failed" / f"{job.chapter.name}.{job.framework}.ipynb"
        write_whole(failed, _text(job.notebook))
        raise
    finally:
        shutil.rmtree(records, ignore_errors=True)
    if not measure:
        _keep_measured(job)
    info = job.notebook.metadata.labkit
    info.ran, info.put_out = job.fingerprint, _digest(job.notebook)
    info.twin = _twin(job.notebook, evidence)
    info.machine = record.machine()
    if job.old is not None and _outputs(job.old) == _outputs(job.notebook):
        # The same results on another machine or version are no news.
        info.machine = job.old.metadata.labkit.get("machine", info.machine)
    if write_whole(job.path, _text(job.notebook)):
        written.append(job.path)
    return written


async def execute(
    notebook: NotebookNode,
    chapter: Chapter,
    folder: Path,
    report: Report,
    label: str,
    records: Path,
    quick: bool = True,
    evidence: Path | None = None,
) -> None:
    """Run a notebook's cells in a kernel of its own, in place, and normalise what they put out.

    A `quick` run takes one reading of what a clock decides, since nobody keeps it. The course's own
    records, which a proof is shown against, are read from `evidence`.

    Raises
    ------
    RunError
        Names chapter, step and cell, and carries the traceback.
    """
    folder.mkdir(parents=True, exist_ok=True)
    manager = AsyncKernelManager(kernel_name="python3")
    client = NotebookClient(notebook, km=manager, timeout=CELL_SECONDS, coalesce_streams=True)
    environment = {
        **os.environ,
        "LABKIT_RECORDS": str(records),
        "LABKIT_PROFILE": "cpu",
        "KERAS_BACKEND": "tensorflow",
        "LABKIT_QUICK": "1" if quick else "",
        "PYTHONHASHSEED": "0",
        "COLUMNS": "80",
        **({"LABKIT_EVIDENCE": str(evidence)} if evidence else {}),
    }
    code = [c for c in notebook.cells if c.cell_type == "code"]
    report(label, 0, len(code), "starting")
    try:
        # Not nbclient's own start: it takes Ctrl-C for itself. The kernel's stderr carries what C
        # libraries log before any cell runs.
        await manager.start_kernel(cwd=str(folder), env=environment, stderr=subprocess.DEVNULL)
        client.kc = manager.client()
        client.kc.start_channels()
        await client.kc.wait_for_ready(timeout=60)
        client.reset_execution_trackers()
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
    finally:
        if client.kc is not None:
            client.kc.stop_channels()
        if manager.has_kernel:
            await manager.shutdown_kernel(now=True)
    report(label, len(code), len(code), "done")


def fingerprint(notebook: NotebookNode) -> str:
    """Return a digest of all that decides a notebook's outputs, but for versions.

    That is its code, without the set-up cell's (an address decides nothing), and the files of
    labkit that the code reaches.
    """
    code = [c for c in notebook.cells if c.cell_type == "code" and c.id != SETUP]
    mark = hashlib.sha256(json.dumps([(c.source, c.metadata) for c in code]).encode())
    for file in labkit_files("\n".join(c.source for c in code)):
        mark.update(file.read_text(encoding="utf-8").encode())
    return mark.hexdigest()[:16]


def labkit_files(code: str) -> list[Path]:
    """Return the files of labkit's learner's wing that some code reaches, sorted.

    Magics and shell lines, which are no Python, are passed over.
    """
    home = Path(record.__file__).parent
    names = {"session", *re.findall(r"\blabkit\.(\w+)", code)}
    names |= set(re.findall(r"^from labkit import (.+)$", code, re.MULTILINE))
    found: set[Path] = set()
    queue = [n.strip() for name in names for n in name.split(",")]
    while queue:
        file = home / f"{queue.pop()}.py"
        if file in found or not file.is_file():
            continue
        found.add(file)
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("labkit"):
                module = (node.module or "").partition(".")[2]
                queue += [module] if module else [alias.name for alias in node.names]
    return sorted(found)


def _twin(notebook: NotebookNode, evidence: Path) -> str | None:
    """Return a digest of the results that a notebook's proof is shown against, None for no proof.

    ``"none"`` stands for a twin without a record, or with one that cannot be read.
    """
    if not any("lab.prove(" in c.source for c in notebook.cells if c.cell_type == "code"):
        return None
    info = notebook.metadata.labkit
    other = next(f for f in FRAMEWORKS if f != info.framework)
    try:
        exact = record.read(evidence / "cpu" / f"{info.chapter}.{other}.json")["exact"]
    except record.RecordError:
        return "none"
    return hashlib.sha256(json.dumps(exact, sort_keys=True).encode()).hexdigest()[:16]


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
    for key in ("ran", "put_out", "twin", "machine"):
        job.notebook.metadata.labkit[key] = job.old.metadata.labkit[key]


def _keep_measured(job: Job) -> None:
    """Keep what a clock decided in the last measured run; without one, say that there was none.

    What a clock says beside other work is worth nothing.
    """
    old = {c.id: c for c in job.old.cells if c.cell_type == "code"} if job.old else {}
    none = nbformat.v4.new_output("stream", name="stdout", text="not measured yet\n")
    for cell in job.notebook.cells:
        if "measured" in cell.metadata.get("tags", ()):
            before = old.get(cell.id)
            kept = before.outputs if before and before.source == cell.source else []
            cell.outputs = kept or [none]


def _take_records(folder: Path, evidence: Path, measure: bool) -> list[Path | None]:
    """Bring records home.

    What is the same stays, with the machine that found it out; timings are taken while measuring,
    and never beside other work.
    """
    written: list[Path | None] = []
    for file in sorted(folder.rglob("*.json")):
        target = evidence / file.relative_to(folder)
        new = record.read(file)
        old = record.read(target) if target.is_file() else None
        if old and record.same(old["exact"], new["exact"]):
            new["exact"], new["machine"]["exact"] = old["exact"], old["machine"]["exact"]
        if not measure:
            new["measured"] = old["measured"] if old else {}
            new["machine"]["measured"] = old["machine"]["measured"] if old else None
        written.append(target if write_whole(target, record.dumps(new)) else None)
    return written


def _normalise(cell: NotebookNode) -> None:
    """Take out of a cell's outputs what differs from run to run."""
    cell.metadata.pop("execution", None)
    # What libraries log goes to stderr; a lesson prints to stdout.
    cell.outputs = [o for o in cell.outputs if o.get("name") != "stderr"]
    for output in cell.outputs:
        if output.output_type == "error":
            # A traceback holds this machine's paths.
            output.traceback = [f"{output.ename}: {output.evalue}"]
        if "transient" in output:
            del output["transient"]


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
        if found := re.search(r"<.* at 0x[0-9a-f]+>", text):
            message = f"puts out {found[0]!r}, an address that changes with every run"
            raise _failure(notebook, chapter, cell, RuntimeError(message))


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
    place = f"{chapter.path}:{source.line}" if source else str(chapter.path)
    step = f"step {source.step!r}" if source and source.step else f"cell {cell.id!r}"
    what = f"{place}: {step}, {framework}, code cell {number}"
    if isinstance(error, CellExecutionError):
        trace = re.sub(r"\x1b\[[0-9;]*m", "", error.traceback)
        return RunError(f"{what} raised {error.ename}: {error.evalue}\n\n{trace.strip()}")
    if isinstance(error, CellTimeoutError):
        return RunError(f"{what} took more than {CELL_SECONDS} s; make it smaller or split it")
    if isinstance(error, DeadKernelError):
        return RunError(f"{what}: Python died there, perhaps for want of memory ({sys.platform})")
    return RunError(f"{what} {error}")
