"""What of a run stays: notebooks and records, written together, whole or not at all."""

from pathlib import Path
from typing import Any

import nbformat
from nbformat import NotebookNode

from labkit import record
from labkit.files import WriteError, write_together, write_whole
from labkit.press import stale, tries
from labkit.press.stale import Job


def woven(job: Job) -> bool:
    """Write a notebook that has not been run; outputs stay where they are still true.

    Returns whether the file has changed.
    """
    if not job.stale:
        _keep_outputs(job)
    return write_whole(job.path, _text(job.notebook))


def ran(
    job: Job, evidence: Path, records: Path, saw: Path, tried: tries.Results, *, measure: bool
) -> list[Path]:
    """Write a notebook that has run to its end, and what it has recorded.

    Parameters
    ----------
    evidence
        The course's records, where its own are to stand.
    records
        The folder in which the run has put them.
    saw
        The course's records as the run found them: what the notebook shows of its twin.
    tried
        What came of the edits that the chapter asks to try.
    measure
        Whether what a clock decided is taken over; see `labkit.press.run.run`.

    Returns
    -------
    list of Path
        The files that have changed.
    """
    contents = _new_records(records, evidence, job.timings, measure)
    own = contents.get(stale.record_path(evidence, job.chapter.name, job.framework))
    measured = measure or (job.measured and not _lost(records, own))
    if not measure:
        _keep_measured(job, measured)
    info = job.notebook.metadata.labkit
    info.update(job.stamps)
    info.recorded = stale.of_results(own)
    info.tried = tries.of_text(tries.dumps(tried)) if tried else None
    info.twin = stale.results(job.notebook, saw)["twin"]
    info.measured = job.timings if measured else None
    info.put_out = stale.of_outputs(job.notebook)
    info.machine = record.machine()
    if job.old is not None and _outputs(job.old) == _outputs(job.notebook):
        # The same results on another machine or version are no news.
        info.machine = job.old.metadata.labkit.get("machine", info.machine)
    texts = {path: record.dumps(content) for path, content in contents.items()}
    if tried:
        texts[tries.path(evidence, job.chapter.name, job.framework)] = tries.dumps(tried)
    return write_together({**texts, job.path: _text(job.notebook)})


def failed(job: Job, folder: Path) -> str:
    """Keep what a failed notebook got to; return words about it where that cannot be."""
    try:
        write_whole(folder / f"{job.chapter.name}.{job.framework}.ipynb", _text(job.notebook))
    except WriteError as error:
        return f"\n\nWhat the notebook got to is not kept: {error}"
    return ""


def _text(notebook: NotebookNode) -> str:
    return nbformat.writes(notebook) + "\n"


def _outputs(notebook: NotebookNode) -> list[Any]:
    return [c.outputs for c in notebook.cells if c.cell_type == "code"]


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
        new, old = record.read(file), stale.read(target)
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
