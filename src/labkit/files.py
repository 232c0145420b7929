"""Write a file whole or not at all."""

import os
import tempfile
from pathlib import Path


class WriteError(OSError):
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
    raw = content.encode() if isinstance(content, str) else content
    temporary: str | None = None
    try:
        if path.is_file() and path.read_bytes() == raw:
            return False
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        with os.fdopen(handle, "wb") as file:
            file.write(raw)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, path.stat().st_mode if path.exists() else 0o644)
        os.replace(temporary, path)
        temporary = None
    except OSError as error:
        reason = error.strerror or str(error)
        raise WriteError(
            f"{path}: cannot be written ({reason}). Nothing was changed: make room or give "
            f"yourself write permission on {path.parent}, then run the command again."
        ) from error
    finally:
        if temporary is not None:
            Path(temporary).unlink(missing_ok=True)
    return True
