"""Kernels: Python processes that run a notebook's cells, and end with all that they started."""

import os
import shutil
import signal
import subprocess
import tempfile
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psutil
from jupyter_client.manager import AsyncKernelManager
from nbclient import NotebookClient
from nbformat import NotebookNode

SECONDS_TO_END = 5
"""How long a kernel has to end in its own way."""
PREFIX = "labkit-run-"
"""Begins the names of folders for what a run's kernels write in passing."""


@dataclass(frozen=True)
class Bench:
    """Folders of one run, gone when it ends."""

    folder: Path
    """For what stays on this disk: what the notebooks record."""
    evidence: Path
    """The course's records as the run found them, for all its notebooks: beside them others
    write."""
    scratch: Path
    """The kernels' temporary folder. It stands in the system's, whose path is short: a socket's
    name has at most 108 bytes."""


@contextmanager
def bench(root: Path) -> Iterator[Bench]:
    """Make a run's folders; remove them at its end, and before it what a killed run has left."""
    folder = root / "_build" / "run"
    _sweep(folder)
    folder.mkdir(parents=True)
    scratch = Path(tempfile.mkdtemp(prefix=PREFIX))
    (folder / "scratch").write_text(str(scratch), encoding="utf-8")
    try:
        if (root / "evidence").is_dir():
            shutil.copytree(root / "evidence", folder / "evidence")
        yield Bench(folder, folder / "evidence", scratch)
    finally:
        _sweep(folder)


def _sweep(folder: Path) -> None:
    note = folder / "scratch"
    if note.is_file():
        scratch = Path(note.read_text(encoding="utf-8", errors="replace"))
        # A note that says something else is not ours.
        if scratch.name.startswith(PREFIX) and scratch.parent == Path(tempfile.gettempdir()):
            shutil.rmtree(scratch, ignore_errors=True)
    shutil.rmtree(folder, ignore_errors=True)


@asynccontextmanager
async def kernel(
    notebook: NotebookNode,
    folder: Path,
    environment: dict[str, str],
    scratch: Path | None,
    cell_seconds: float,
) -> AsyncIterator[NotebookClient]:
    """Start a kernel for a notebook, and end it with all that it has started.

    Parameters
    ----------
    folder
        Where it runs.
    environment
        What it finds in its environment, beside what stands in this process's.
    scratch
        Where its temporary folder is made; None for the system's.
    cell_seconds
        How long one cell may take.
    """
    manager = AsyncKernelManager(kernel_name="python3", shutdown_wait_time=SECONDS_TO_END)
    client = NotebookClient(notebook, km=manager, timeout=cell_seconds, coalesce_streams=False)
    with tempfile.TemporaryDirectory(
        prefix=PREFIX, dir=scratch, ignore_cleanup_errors=True
    ) as temporary:
        places = dict.fromkeys(("TMPDIR", "TEMP", "TMP"), temporary)
        try:
            # Not nbclient's own start: it takes Ctrl-C for itself. The kernel's stderr carries what
            # C libraries log before any cell runs.
            await manager.start_kernel(
                cwd=str(folder),
                env={**os.environ, **environment, **places},
                stderr=subprocess.DEVNULL,
            )
            client.kc = manager.client()
            client.kc.start_channels()
            client.kc.allow_stdin = False  # nobody is there to answer
            await client.kc.wait_for_ready(timeout=60)
            client.reset_execution_trackers()
            yield client
        except BaseException:
            await _interrupt(manager)
            raise
        finally:
            if client.kc is not None:
                client.kc.stop_channels()
            if manager.has_kernel:
                await _end(manager, temporary)


async def _interrupt(manager: AsyncKernelManager) -> None:
    """Stop the cell at work and let the kernel end in its own way, so that `finally` blocks run."""
    if manager.has_kernel and await manager.is_alive():
        await manager.interrupt_kernel()
        await manager.shutdown_kernel()


async def _end(manager: AsyncKernelManager, temporary: str) -> None:
    """End a kernel and all that it has started."""
    await manager.shutdown_kernel(now=True)
    left = list(_started_with(temporary))
    for process in left:
        with suppress(psutil.Error):  # gone
            process.kill()
    psutil.wait_procs(left, timeout=SECONDS_TO_END)


def _started_with(temporary: str) -> Iterator[psutil.Process]:
    """Find the processes that a kernel started, by its temporary folder, which no other has.

    Not by their parents: those that outlived theirs have another one.
    """
    for process in psutil.process_iter():
        try:
            if process.environ().get("TMPDIR") == temporary:
                yield process
        except (psutil.Error, OSError):
            continue  # gone, or another user's


@contextmanager
def ended_as_by_ctrl_c() -> Iterator[None]:
    """Let the signals that end a program end it as Ctrl-C does: in order."""
    kinds = [getattr(signal, n) for n in ("SIGTERM", "SIGHUP") if hasattr(signal, n)]
    mine = threading.current_thread() is threading.main_thread()
    # Others (under nohup, say) have their own idea of a signal.
    taken = [k for k in kinds if mine and signal.getsignal(k) == signal.SIG_DFL]
    for kind in taken:
        signal.signal(kind, lambda *_: signal.raise_signal(signal.SIGINT))
    try:
        yield
    finally:
        for kind in taken:
            signal.signal(kind, signal.SIG_DFL)
