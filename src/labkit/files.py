"""Write files whole or not at all."""

import os
import signal
import tempfile
import threading
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from labkit.errors import LabkitError


class WriteError(LabkitError, OSError):
    """A file could not be written; the old one, if there was one, is untouched."""


def write_whole(path: Path, content: str | bytes) -> bool:
    """Write `content` to `path` so that no reader ever sees half of it.

    The bytes go to a temporary file beside `path`, which then takes its name in one step. A run
    that is killed, a full disk or a missing permission leave the old file as it was.

    Parameters
    ----------
    path
        Where to write. Missing folders are made.
    content
        Text (written as UTF-8, lines ended as they are) or bytes.

    Returns
    -------
    bool
        False when the file held these very bytes already, and was left alone.

    Raises
    ------
    WriteError
        When the file cannot be written; the message names the file, the reason and the mend.
    """
    return bool(write_together({path: content}))


def write_together(contents: Mapping[Path, str | bytes]) -> list[Path]:
    """Write files that belong together: all of them or none; see `write_whole`.

    All stand beside their places before the first takes its name, and no signal comes between.

    Returns
    -------
    list of Path
        Those that were written; the others held these very bytes already.

    Raises
    ------
    WriteError
        When one cannot be written; then all are as they were.
    """
    staged: dict[Path, Path] = {}
    with ExitStack() as stack:
        for path, content in contents.items():
            raw = content.encode() if isinstance(content, str) else content
            with _reasons(path):
                if path.is_file() and path.read_bytes() == raw:
                    continue
                staged[path] = _stage(path, raw, stack)
        stack.enter_context(_deferred_signals())
        _rename(staged)
    return list(staged)


def _stage(path: Path, raw: bytes, stack: ExitStack) -> Path:
    """Write bytes beside their place; what is left of them goes when `stack` ends."""
    if path.is_dir():
        raise IsADirectoryError(None, "a folder stands in its place")
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    stack.callback(Path(name).unlink, missing_ok=True)
    with os.fdopen(handle, "wb") as file:
        file.write(raw)
        file.flush()
        os.fsync(file.fileno())
    os.chmod(name, path.stat().st_mode if path.exists() else 0o644)
    return Path(name)


def _rename(staged: Mapping[Path, Path]) -> None:
    """Give staged files their names; where one cannot have it, give the others back theirs."""
    before: dict[Path, bytes | None] = {}
    try:
        for path, temporary in staged.items():
            with _reasons(path):
                old = path.read_bytes() if len(staged) > 1 and path.is_file() else None
                os.replace(temporary, path)
            before[path] = old
    except WriteError:
        for path, old in before.items():
            with suppress(OSError):
                if old is None:
                    path.unlink()
                else:
                    write_whole(path, old)
        raise


@contextmanager
def _reasons(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        reason = error.strerror or str(error)
        raise WriteError(
            f"{path}: cannot be written ({reason}). Nothing was changed: make room or give "
            f"yourself write permission on {path.parent}, then run the command again."
        ) from error


@contextmanager
def _deferred_signals() -> Iterator[None]:
    """Let the signals that end a program wait until the block's end."""
    if threading.current_thread() is not threading.main_thread():
        yield  # Python tells the main thread alone of signals
        return
    came: list[int] = []
    kinds = [getattr(signal, n) for n in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, n)]
    old = {kind: signal.signal(kind, lambda number, _: came.append(number)) for kind in kinds}
    try:
        yield
    finally:
        for kind, handler in old.items():
            signal.signal(kind, handler)
        for number in came:
            signal.raise_signal(number)
