"""Records: what a lab found out, as a file. The one format that both wings of labkit share.

A record holds three parts: ``exact`` (losses, accuracies, counts: the same on every run),
``measured`` (what a clock or a memory gauge said: median, spread, repeats) and ``machine`` (where
each of these two was found out; None for nothing). What was measured also names, under ``code``,
the fingerprint of the code that took it.
"""

import json
import math
import os
import platform
import re
import sys
from collections.abc import Iterator, Mapping
from importlib.metadata import PackageNotFoundError, version
from itertools import zip_longest
from pathlib import Path
from typing import Any

import numpy as np
import platformdirs

from labkit import twins
from labkit.errors import LabkitError
from labkit.files import write_whole
from labkit.measure import Measurement

SCHEMA = 1
PACKAGES = ("torch", "tensorflow", "tensorflow-cpu", "keras", "numpy")
PARTS = {"schema", "chapter", "framework", "machine", "exact", "measured"}
TOLERANCE = twins.BOUND
"""Two numbers of an ``exact`` part that differ by less than this are the same result, relative to
the largest number of their list: another processor rounds the last digits otherwise."""
_begun: set[tuple[str, str]] = set()
"""Labs whose present session has written: what it writes next is added."""


class RecordError(LabkitError, ValueError):
    """A record that breaks the format; the message names file and field."""


def folder() -> Path:
    """Return where this process writes records: ``LABKIT_RECORDS``, or the user's own folder."""
    setting = os.environ.get("LABKIT_RECORDS")
    return Path(setting) if setting else platformdirs.user_data_path("labkit") / "evidence"


def begin(chapter: str, framework: str) -> None:
    """Begin a session of a lab: what it writes first replaces what an older one has written."""
    _begun.discard((chapter, framework))


def find(evidence: Path, chapter: str, framework: str) -> Path:
    """Return where the record of a lab stands in a folder.

    In the course's folder that is the CPU's; in this process's own (see `folder`) the one that was
    written last, on whatever device.
    """
    name = f"{chapter}.{framework}.json"
    own = sorted(evidence.glob(f"*/{name}")) if evidence == folder() else []
    return max(own, key=lambda file: file.stat().st_mtime, default=evidence / "cpu" / name)


def course(chapter: str, framework: str, device: str = "cpu") -> dict[str, Any] | None:
    """Return the course's own record of a lab, None where it has none.

    It stands in the folder that ``LABKIT_EVIDENCE`` names (`labkit run` sets it), else in the clone
    that this module runs from, else in what was installed with labkit.

    Raises
    ------
    RecordError
        When the file is no record.
    """
    path = _course_folder() / device / f"{chapter}.{framework}.json"
    return read(path) if path.is_file() else None


def _course_folder() -> Path:
    if setting := os.environ.get("LABKIT_EVIDENCE"):
        return Path(setting)
    here = Path(__file__).parent
    root = here.parents[1]
    is_clone = (root / "_config.yml").is_file() and (root / "evidence").is_dir()
    return root / "evidence" if is_clone else here / "evidence"


def write(
    chapter: str,
    framework: str,
    device: str = "cpu",
    *,
    exact: Mapping[str, Any] | None = None,
    measured: Mapping[str, Any] | None = None,
) -> Path:
    """Add results to the record of one lab, and return its file.

    A session's first results replace those of an older session: never do they stand together.

    Parameters
    ----------
    exact
        Name to number, string, or (nested) list, map or array of them; finite.
    measured
        Name to `labkit.measure.Measurement`.

    Raises
    ------
    RecordError
        When a value is of another kind, or not finite.
    """
    path = folder() / device / f"{chapter}.{framework}.json"
    begun = (chapter, framework) in _begun
    old = read(path) if begun and path.is_file() else {}
    content = {
        "schema": SCHEMA,
        "chapter": chapter,
        "framework": framework,
        "machine": {
            part: machine(device) if now else old.get("machine", {}).get(part)
            for part, now in (("exact", exact), ("measured", measured))
        },
        "exact": {**old.get("exact", {}), **{k: plain(k, v) for k, v in (exact or {}).items()}},
        "measured": {
            **old.get("measured", {}),
            **{k: _measurement(k, v) for k, v in (measured or {}).items()},
        },
    }
    write_whole(path, dumps(content))
    _begun.add((chapter, framework))
    return path


def read(path: Path) -> dict[str, Any]:
    """Read a record and check its form.

    Raises
    ------
    RecordError
        When the file is no JSON, has other parts than the format's, or another schema.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise RecordError(
            f"{path} cannot be read as a record ({error}); run the lab again, which replaces it"
        ) from error
    if not isinstance(content, dict) or set(content) != PARTS or content["schema"] != SCHEMA:
        raise RecordError(
            f"{path} is not a record of schema {SCHEMA}; run the lab again, which replaces it"
        )
    own = f"{content['chapter']}.{content['framework']}"
    if own != path.stem:
        raise RecordError(f"{path} is the record of {own}; run the lab again, which replaces it")
    for part in ("machine", "exact", "measured"):
        if not isinstance(content[part], dict):
            raise RecordError(f"{path}: {part} must be a map; run the lab again, which replaces it")
    for name, value in content["measured"].items():
        if not isinstance(value, dict) or set(value) != {"median", "spread", "repeats", "unit"}:
            raise RecordError(f"{path}: measured.{name} must give median, spread, repeats and unit")
        numbers = [value[key] for key in ("median", "spread", "repeats")]
        if not all(isinstance(n, int | float) and abs(n) < math.inf for n in numbers):
            raise RecordError(f"{path}: measured.{name} must give finite numbers")
    try:
        # What may not be written is not read either: a hand may have been at it.
        for name, value in content["exact"].items():
            plain(name, value)
    except RecordError as error:
        raise RecordError(f"{path}: {error}; delete it and run the lab again") from error
    return content


def dumps(content: Mapping[str, Any]) -> str:
    """Return a record as text: keys in order, one line for each list of numbers."""
    lists: dict[str, str] = {}

    def keep(value: Any) -> Any:
        """Put a token in each list's place, which indenting leaves in one line."""
        if isinstance(value, Mapping):
            return {k: keep(v) for k, v in value.items()}
        if isinstance(value, list):
            token = f"list {len(lists)} of this record"
            lists[json.dumps(token)] = json.dumps(value)
            return token
        return value

    text = json.dumps(keep(content), indent=1, ensure_ascii=False)
    return "".join(lists.get(p, p) for p in re.split(r'("list \d+ of this record")', text)) + "\n"


def same(first: Any, second: Any) -> bool:
    """Say whether two ``exact`` parts hold the same results, see `TOLERANCE`."""
    if isinstance(first, dict) and isinstance(second, dict):
        return first.keys() == second.keys() and all(same(first[k], second[k]) for k in first)
    pairs = list(zip_longest(_leaves(first), _leaves(second)))
    numbers = [(a, b) for a, b in pairs if isinstance(a, float) and isinstance(b, float)]
    others = [(a, b) for a, b in pairs if not (isinstance(a, float) and isinstance(b, float))]
    if any(type(a) is not type(b) or a != b for a, b in others):
        return False
    size = max((abs(n) for pair in numbers for n in pair), default=0)
    return all(abs(a - b) <= TOLERANCE * size for a, b in numbers)


def _leaves(value: Any) -> Iterator[Any]:
    """Yield what a nested list holds, with its brackets."""
    if isinstance(value, dict):
        value = [[k, value[k]] for k in sorted(value)]
    if not isinstance(value, list):
        yield value
        return
    yield "["
    for v in value:
        yield from _leaves(v)
    yield "]"


def machine(device: str = "cpu") -> dict[str, Any]:
    """Describe this machine and the versions of what runs on it."""
    versions = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            continue
    return {
        "device": _gpu() if device == "cuda" else _processor(),
        "cores": os.cpu_count(),
        "system": f"{platform.system()} {platform.machine()}",
        "versions": versions,
    }


def _processor() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def _gpu() -> str:
    """Ask the framework that is at work here for its card's name."""
    if torch := sys.modules.get("torch"):
        return str(torch.cuda.get_device_name())
    tf = sys.modules["tensorflow"]
    (card, *_) = tf.config.list_physical_devices("GPU")
    return str(tf.config.experimental.get_device_details(card).get("device_name", "GPU"))


def plain(name: str, value: Any) -> Any:
    """Return `value` as JSON holds it.

    Raises
    ------
    RecordError
        When it is no number, text, or (nested) list, map or array of them, or not finite.
    """
    if isinstance(value, np.ndarray | np.generic):
        value = value.tolist()
    if isinstance(value, list | tuple):
        return [plain(name, v) for v in value]
    if isinstance(value, Mapping):
        return {str(k): plain(f"{name}.{k}", v) for k, v in value.items()}
    if isinstance(value, float) and not np.isfinite(value):
        raise RecordError(f"exact.{name} holds {value}: a record holds finite numbers")
    if isinstance(value, int) and abs(value) >= 2**63:
        raise RecordError(f"exact.{name} holds a number above 2**63, which no array holds")
    if isinstance(value, bool | int | float | str):
        return value
    raise RecordError(
        f"exact.{name} is a {type(value).__name__}; a record holds numbers, strings and lists"
    )


def _measurement(name: str, value: Any) -> dict[str, Any]:
    if not isinstance(value, Measurement):
        raise RecordError(f"measured.{name} must be a labkit.measure.Measurement")
    return {
        "median": value.median,
        "spread": value.spread,
        "repeats": value.repeats,
        "unit": value.unit,
    }
