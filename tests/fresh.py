"""Records of a fresh run held against the committed ones."""

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from labkit import record, twins

RELATIVE = 1e-9
"""How far two results of one lab may be apart, relatively: another processor's last bits."""
FLOAT32 = {"losses_fast_float32": math.inf, "keras_on_torch_gap": 1e-6}
"""Results of float32, which another processor rounds otherwise: field to the bound."""


def compare_records(
    fresh: Path, evidence: Path, bounds: dict[str, float] | None = None
) -> list[str]:
    """Return what differs between records of a fresh run and the committed ones, in words.

    Parameters
    ----------
    fresh
        The folder that ``LABKIT_RECORDS`` named while the notebooks ran.
    evidence
        The committed folder.
    bounds
        Field of ``exact`` to the largest difference allowed there, for results that differ by
        nature: those with a bound of their own in the chapter's front matter.

    Raises
    ------
    FileNotFoundError
        When the fresh run has left no record at all: it was not told where.
    """
    found = sorted(fresh.glob("cpu/*.json"))
    if not found:
        raise FileNotFoundError(f"no record below {fresh}; was LABKIT_RECORDS set for the run?")
    wrong = []
    for path in found:
        committed = evidence / "cpu" / path.name
        if not committed.is_file():
            wrong.append(f"{path.name}: has no committed record")
            continue
        old, new = (record.read(p)["exact"] for p in (committed, path))
        for field in sorted(old.keys() | new.keys()):
            bound = {**FLOAT32, **(bounds or {})}.get(field, twins.BOUND)
            for place, was, now in _differences(old.get(field), new.get(field), bound):
                said = "missing" if was is None else was
                gives = "none" if now is None else now
                wrong.append(
                    f"{path.name}: exact.{field}{place} is {said}, a fresh run gives {gives}"
                )
    return wrong


def _differences(old: Any, new: Any, bound: float) -> Iterator[tuple[str, Any, Any]]:
    """Yield place, old and new value, the first one only of a list."""
    if isinstance(old, dict) and isinstance(new, dict):
        for key in old.keys() | new.keys():
            for place, was, now in _differences(old.get(key), new.get(key), bound):
                yield f".{key}{place}", was, now
    elif isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        for place, (was, now) in enumerate(zip(old, new, strict=True)):
            for rest in _differences(was, now, bound):
                yield f"[{place}]{rest[0]}", rest[1], rest[2]
                return
    elif isinstance(old, float) and isinstance(new, float):
        if abs(old - new) > max(bound, RELATIVE * abs(old)):
            yield "", old, new
    elif type(old) is not type(new) or old != new:
        yield "", old, new
