"""A folder of records, each read once, and the chapters whose code they are held against."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from labkit import record
from labkit.press import fingerprint
from labkit.press.chapter import Chapter


class Records:
    """The course's own records, or a reader's.

    Parameters
    ----------
    folder
        Where they stand, in one folder a device.
    chapter
        Gives the chapter of a name, None where there is none. A reader's records have no chapters
        beside them.
    """

    def __init__(
        self, folder: Path, chapter: Callable[[str], Chapter | None] = lambda _: None
    ) -> None:
        self.folder, self._chapter = folder, chapter
        self._contents: dict[Path, dict[str, Any] | None] = {}
        self._timings: dict[tuple[str, str], str | None] = {}

    def path(self, chapter: str, framework: str, device: str = "") -> Path:
        """Return where a lab's record stands; without a device, see `labkit.record.find`."""
        if not device:
            return record.find(self.folder, chapter, framework)
        return self.folder / device / f"{chapter}.{framework}.json"

    def read(self, path: Path) -> dict[str, Any] | None:
        """Return what a record holds, None where there is none yet.

        Raises
        ------
        RecordError
            When the file is no record.
        """
        if path not in self._contents:
            self._contents[path] = record.read(path) if path.is_file() else None
        return self._contents[path]

    def timed_now(self, content: dict[str, Any]) -> bool:
        """Say whether the chapter still holds the code that took a record's timings."""
        chapter = self._chapter(content["chapter"])
        if chapter is None:
            return True
        key = chapter.name, content["framework"]
        if key not in self._timings:
            self._timings[key] = fingerprint.of_chapter_timings(chapter, content["framework"])
        return content["machine"]["measured"].get("code") == self._timings[key]
