"""Are the twins equal? Two records, rung by rung."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from labkit import record
from labkit.press.chapter import FRAMEWORKS, Chapter, Equal, Lab
from labkit.press.claims import BOUND as BOUND

STEPS = 200
"""The fewest steps of training that prove anything."""


@dataclass(frozen=True)
class Rung:
    """One comparison of two twins."""

    name: str
    compares: str
    """What it compares, for a reader."""
    holds: bool
    difference: float | None
    """The largest absolute difference; None where things are equal or not, without a size."""
    detail: str


class NoLadderError(record.RecordError):
    """A record without what a ladder needs."""


def climb(
    first: Mapping[str, Any], second: Mapping[str, Any], equal: Sequence[Equal] = ()
) -> list[Rung]:
    """Compare two twins' ``exact`` parts, and stop at the first rung that breaks.

    Parameters
    ----------
    first, second
        Each with ``ladder`` (see `labkit.ladder.climb`) and ``losses``.
    equal
        What else the chapter's front matter says must be equal.
    """
    rungs: list[Rung] = []
    for name, compares, step in [*_RUNGS, *((e.field, e.what, _field(e)) for e in equal)]:
        holds, difference, detail = step(first, second)
        rungs.append(Rung(name, compares, holds, difference, detail))
        if not holds:
            break
    return rungs


def trains(chapter: Chapter) -> bool:
    """Say whether a chapter's code calls an optimizer, so that it needs a ladder."""
    code = "\n".join(c.source for c in chapter.cells if c.kind == "code")
    return bool(re.search(r"\b(optim|optimizers?)\b|\.compile\(|\.fit\(|Trainer\(", code))


def of_chapter(evidence: Path, lab: Lab) -> list[Rung]:
    """Climb the ladder of one chapter's records: the committed ones, or a reader's own.

    Raises
    ------
    NoLadderError
        When a record is missing or holds no ladder.
    """
    exact = []
    for framework in FRAMEWORKS:
        path = record.find(evidence, lab.name, framework)
        if not path.is_file():
            raise NoLadderError(
                f"{path} is missing: run the notebook {lab.name}/{framework}, which writes it"
            )
        content = record.read(path)["exact"]
        if "ladder" not in content or "losses" not in content:
            raise NoLadderError(
                f"{path} holds no ladder: the lab calls lab.prove(…), then `labkit run {lab.name}`"
            )
        exact.append(content)
    return climb(exact[0], exact[1], lab.equal)


Step = Callable[[Mapping[str, Any], Mapping[str, Any]], tuple[bool, float | None, str]]


def _parameters(a: Mapping[str, Any], b: Mapping[str, Any]) -> tuple[bool, float | None, str]:
    ours, theirs = (dict(map(_pair, x["ladder"]["parameters"])) for x in (a, b))
    for name in [*ours, *theirs]:
        if ours.get(name) != theirs.get(name):
            return False, None, f"{name}: {ours.get(name, 'none')} and {theirs.get(name, 'none')}"
    count = sum(int(np.prod(shape)) for shape in ours.values())
    return True, None, f"{count:,} numbers in {len(ours)} weights"


def _pair(row: list[Any]) -> tuple[str, tuple[int, ...]]:
    return row[0], tuple(row[1])


def _arrays(field: str) -> Step:
    def step(a: Mapping[str, Any], b: Mapping[str, Any]) -> tuple[bool, float | None, str]:
        ours, theirs = (np.asarray(x["ladder"][field]) for x in (a, b))
        if ours.shape != theirs.shape:
            return False, None, f"shapes {ours.shape} and {theirs.shape}"
        gap = float(np.abs(ours - theirs).max())
        return gap <= BOUND, gap, f"{ours.size} numbers"

    return step


def _gradients(a: Mapping[str, Any], b: Mapping[str, Any]) -> tuple[bool, float | None, str]:
    ours, theirs = a["ladder"]["gradients"], b["ladder"]["gradients"]
    if ours.keys() != theirs.keys() or not ours:
        return False, None, f"of {len(ours)} and {len(theirs)} weights, not the same ones"
    gaps = {n: float(np.abs(np.subtract(ours[n], theirs[n])).max()) for n in ours}
    worst = max(gaps, key=gaps.__getitem__)
    fine = gaps[worst] <= BOUND
    return fine, gaps[worst], f"{len(gaps)} weights" if fine else f"first at {worst}"


def _sensitivity(a: Mapping[str, Any], b: Mapping[str, Any]) -> tuple[bool, float | None, str]:
    ours, theirs = (np.asarray(x["ladder"]["sensitivity"]) for x in (a, b))
    if ours.shape != theirs.shape:
        return False, None, f"shapes {ours.shape} and {theirs.shape}"
    places = np.flatnonzero((ours != theirs).any(axis=1))
    if len(places):
        return False, None, f"a change at place {places[0]} of the input reaches other outputs"
    leak = _leak(ours, len(a["ladder"]["outputs"]))
    if leak is not None:
        return False, None, f"in both, a change of example {leak} reaches others, or not its own"
    return True, None, f"{len(ours)} places of the input, changed one by one"


def _leak(reached: Any, examples: int) -> int | None:
    """Return the first example whose change reaches another example's outputs, or none of its own.

    Rows are places of the input, columns outputs; both stand example by example.
    """
    rows, columns = (n // examples for n in reached.shape)
    blocks = reached.reshape(examples, rows, examples, columns).any(axis=(1, 3))
    wrong = np.flatnonzero((blocks != np.eye(examples, dtype=bool)).any(axis=1))
    return int(wrong[0]) if len(wrong) else None


def _field(equal: Equal) -> Step:
    """Compare a field that a chapter's front matter names, by its own bound where it has one."""
    bound = BOUND if equal.bound is None else equal.bound

    def step(a: Mapping[str, Any], b: Mapping[str, Any]) -> tuple[bool, float | None, str]:
        if equal.field not in a or equal.field not in b:
            return False, None, f"no {equal.field} in both records"
        ours, theirs = (np.asarray(x[equal.field], float) for x in (a, b))
        if ours.shape != theirs.shape:
            return False, None, f"shapes {ours.shape} and {theirs.shape}"
        gap = float(np.abs(ours - theirs).max())
        own = f"; bound {bound:g}, since {equal.because}" if equal.because else ""
        return gap <= bound, gap, f"{ours.size} numbers{own}"

    return step


def _losses(a: Mapping[str, Any], b: Mapping[str, Any]) -> tuple[bool, float | None, str]:
    ours, theirs = np.asarray(a["losses"]), np.asarray(b["losses"])
    if len(ours) != len(theirs) or len(ours) < STEPS:
        return False, None, f"{len(ours)} and {len(theirs)} steps; at least {STEPS}, and as many"
    gap = np.abs(ours - theirs)
    fine = bool(gap.max() <= BOUND)
    steps = f"{len(ours)} steps"
    if not fine:
        steps = f"from step {int(np.argmax(gap > BOUND)) + 1} of {len(ours)} on"
    return fine, float(gap.max()), steps


_RUNGS: list[tuple[str, str, Step]] = [
    ("parameters", "the same weights, by name and shape", _parameters),
    # Before the outputs: a network that reads along the wrong axis has other outputs, too, and
    # this rung says why.
    ("sensitivity", "each output depends on the same inputs", _sensitivity),
    ("outputs", "the same outputs for the same input", _arrays("outputs")),
    ("gradients", "the same gradients", _gradients),
    ("modes", "the same outputs after passes in training mode", _arrays("modes")),
    ("losses", "the same losses in training", _losses),
]
