"""The ladder's rungs: whether two twins are equal, and if not, what differs first.

`labkit.ladder` notes what one twin does; here two such notes are held against each other, rung by
rung, up to the first that breaks. This is the one list of rungs, for the notebook, for
``labkit prove`` and for the page.

A proof by running sees what the run did. Code that no example reached, and state that shows neither
in a loss, nor in a weight, nor in an output, may still differ.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from labkit.twins import BOUND

STEPS = 200
"""The fewest steps of training that prove anything."""
SMALL = 1e-4
"""A weight below this part of the largest one is measured against that part. The gradient of a bias
before BatchNorm, say, is zero but for the rounding of all others, and has no size of its own."""

Exact = Mapping[str, Any]
Test = Callable[[Exact, Exact], tuple[bool, float | None, str]]
"""Takes two twins' ``exact`` parts; says whether they agree, how far they are apart as a part of
the size of what is compared (None where there is no size), and what was compared."""


@dataclass(frozen=True)
class Rung:
    """One comparison of two twins."""

    name: str
    compares: str
    """What it compares, for a reader."""
    test: Test
    needs: str
    """The field that both must have noted, such as ``"ladder.outputs"``."""


@dataclass(frozen=True)
class Step:
    """What a rung said of two twins."""

    name: str
    compares: str
    holds: bool
    difference: float | None
    """The largest difference, as a part of the size of what is compared; None where things are
    equal or not, without a size."""
    detail: str


def compare(first: Exact, second: Exact, more: Sequence[Rung] = ()) -> list[Step]:
    """Climb the ladder with two twins, and stop at the first rung that breaks.

    Parameters
    ----------
    first, second
        The ``exact`` parts of two records, see `labkit.Session.prove`.
    more
        Further rungs, after the course's own.
    """
    steps: list[Step] = []
    noted = [_COMPARED] if any(_has(x, _COMPARED.needs) for x in (first, second)) else []
    for rung in (*RUNGS, *noted, *more):
        steps.append(climb(rung, first, second))
        if not steps[-1].holds:
            break
    return steps


def climb(rung: Rung, first: Exact, second: Exact) -> Step:
    """Say what one rung says of two twins; one that lacks what it needs breaks it."""
    if all(_has(x, rung.needs) for x in (first, second)):
        try:
            said = rung.test(first, second)
        except (TypeError, ValueError, LookupError, AttributeError, ArithmeticError):
            # A record is a file: another labkit may have written it, or a hand.
            form = f"{rung.needs} has not the known form in both: run the lab again"
            said = False, None, form
    else:
        said = False, None, f"no {rung.needs} in both records"
    return Step(rung.name, rung.compares, *said)


def first_difference(first: Mapping[str, Any], second: Mapping[str, Any]) -> str | None:
    """Name the first rung at which two networks, as `labkit.ladder.climb` noted them, differ.

    Rungs of which not both have noted anything are passed over; None when no rung breaks.
    """
    a, b = {"ladder": first}, {"ladder": second}
    for rung in RUNGS:
        if _has(a, rung.needs) and _has(b, rung.needs) and not rung.test(a, b)[0]:
            return rung.name
    return None


def report(steps: Sequence[Step]) -> str:
    """Return one line for each rung, as a notebook prints them.

    A rung that holds is told without its difference: that is rounding, and another one on another
    processor.
    """
    lines = []
    for step in steps:
        apart = "" if step.holds or step.difference is None else f"{step.difference:.1e} apart, "
        lines.append(f"{'✓' if step.holds else '✗'} {step.name:13} {apart}{step.detail}")
    return "\n".join(lines)


def field(name: str, what: str, bound: float | None = None, because: str = "") -> Rung:
    """Return a rung for one more field of the records.

    Parameters
    ----------
    name
        The field: a number, a list or nested lists of numbers.
    what
        What it is, for a reader.
    bound
        The largest difference allowed, as a part of the field's size; None for the course's own.
    because
        Why the bound is another than the course's.
    """
    own = f"; bound {bound:g}, since {because}" if because else ""

    def test(a: Exact, b: Exact) -> tuple[bool, float | None, str]:
        holds, gap, detail = _close(a[name], b[name], BOUND if bound is None else bound)
        return holds, gap, detail + (own if gap is not None else "")

    return Rung(name, what, test, name)


def took_effect(names: Sequence[str]) -> Rung:
    """Return a rung that asks whether parts of a training did anything, each by its name.

    Clipping whose limit is never reached is code that the run did not exercise: what it would
    have done, nobody knows.
    """
    wanted = ", ".join(names)

    def test(a: Exact, b: Exact) -> tuple[bool, float | None, str]:
        ours, theirs = a["took_effect"], b["took_effect"]
        for name in names:
            counts = ours.get(name), theirs.get(name)
            if counts[0] != counts[1] or not counts[0]:
                return False, None, f"{name}: {counts[0] or 'never'} and {counts[1] or 'never'}"
        return True, None, ", ".join(f"{name} {ours[name]}×" for name in names)

    return Rung("took effect", f"{wanted}: as often in both, and not never", test, "took_effect")


def _has(exact: Exact, path: str) -> bool:
    value: Any = exact
    for key in path.split("."):
        if not isinstance(value, Mapping) or key not in value:
            return False
        value = value[key]
    return True


def _close(
    first: ArrayLike, second: ArrayLike, bound: float = BOUND
) -> tuple[bool, float | None, str]:
    """Hold two arrays against each other, by the size of the larger one's largest number."""
    a, b = np.asarray(first, float), np.asarray(second, float)
    if a.shape != b.shape or not a.size:
        return False, None, f"shapes {a.shape} and {b.shape}"
    size = max(np.abs(a).max(), np.abs(b).max())
    if not size:
        return False, None, f"{a.size:,} numbers, and all of them 0: nothing is compared"
    gap = float(np.abs(a - b).max() / size)
    return gap <= bound, gap, f"{a.size:,} number{'s' if a.size > 1 else ''}"


def _parameters(a: Exact, b: Exact) -> tuple[bool, float | None, str]:
    ours, theirs = ({row[0]: row[1:] for row in x["ladder"]["parameters"]} for x in (a, b))
    if not ours and not theirs:
        return False, None, "there are none: nothing is compared"
    for name in [*ours, *theirs]:
        if ours.get(name) != theirs.get(name):
            return False, None, f"{name}: {_said(ours.get(name))} and {_said(theirs.get(name))}"
    if [*ours] != [*theirs]:
        return False, None, f"in another order: {', '.join(ours)} and {', '.join(theirs)}"
    count = sum(int(np.prod(shape)) for shape, _ in ours.values())
    fixed = sum(not trained for _, trained in ours.values())
    not_trained = f", {fixed} of them not trained" if fixed else ""
    return True, None, f"{count:,} numbers in {len(ours)} weights{not_trained}"


def _said(row: list[Any] | None) -> str:
    if row is None:
        return "none"
    shape, trained = row
    return f"{tuple(shape)}, {'trained' if trained else 'not trained'}"


def _sensitivity(a: Exact, b: Exact) -> tuple[bool, float | None, str]:
    ours, theirs = (np.asarray(x["ladder"]["sensitivity"]) for x in (a, b))
    if ours.shape != theirs.shape or ours.ndim != 2 or not ours.size:
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


def _outputs(name: str) -> Test:
    return lambda a, b: _close(a["ladder"][name], b["ladder"][name])


def _evaluation(a: Exact, b: Exact) -> tuple[bool, float | None, str]:
    ours, theirs = (x["ladder"]["evaluation"] for x in (a, b))
    if ours["shape"] != theirs["shape"]:
        return False, None, f"shapes {tuple(ours['shape'])} and {tuple(theirs['shape'])}"
    holds, gap, detail = _close(ours["projections"], theirs["projections"])
    return holds, gap, f"{int(np.prod(ours['shape'])):,} numbers" if gap is not None else detail


def _compared(a: Exact, b: Exact) -> tuple[bool, float | None, str]:
    """Compare each result that the labs printed side by side by its own size."""
    ours, theirs = a["compared"], b["compared"]
    if ours.keys() != theirs.keys() or not ours:
        return False, None, f"{', '.join(ours) or 'none'}; and {', '.join(theirs) or 'none'}"
    gaps = [0.0]
    for name, value in ours.items():
        if isinstance(value, str):
            if value != theirs[name]:
                return False, None, f"{name}: {value!r} and {theirs[name]!r}"
            continue
        holds, gap, detail = _close(value, theirs[name])
        if not holds and np.any(value) | np.any(theirs[name]):  # zeros on both sides are equal
            return False, gap, f"first at {name}, {detail}"
        gaps.append(gap or 0.0)
    return True, max(gaps), f"{len(ours)} results"


def _by_weight(name: str, nothing: str) -> Test:
    """Compare what was noted of each weight by that weight's own size, see `SMALL`.

    Parameters
    ----------
    nothing
        What it means when all numbers are 0.
    """

    def test(a: Exact, b: Exact) -> tuple[bool, float | None, str]:
        ours, theirs = a["ladder"][name], b["ladder"][name]
        if ours.keys() != theirs.keys() or not ours:
            return False, None, f"of {len(ours)} and {len(theirs)} weights, not the same ones"
        known = {row[0] for row in a["ladder"]["parameters"]}
        if not ours.keys() <= known:
            return False, None, f"{', '.join(ours.keys() - known)}: not among the parameters"
        pairs = {n: np.array([ours[n], theirs[n]], float) for n in ours}
        if not all(np.isfinite(pair).all() for pair in pairs.values()):
            return False, None, "a number is not finite"
        sizes = {n: float(np.abs(pair).max()) for n, pair in pairs.items()}
        largest = max(sizes.values())
        if not largest:
            return False, None, nothing
        gaps = {
            n: float(np.abs(pair[0] - pair[1]).max()) / max(sizes[n], SMALL * largest)
            for n, pair in pairs.items()
        }
        worst = max(gaps, key=gaps.__getitem__)
        fine = gaps[worst] <= BOUND
        return fine, gaps[worst], f"{len(gaps)} weights" if fine else f"first at {worst}"

    return test


def _losses(a: Exact, b: Exact) -> tuple[bool, float | None, str]:
    ours, theirs = (np.asarray(x["losses"], float) for x in (a, b))
    if ours.ndim != 1 or ours.shape != theirs.shape or len(ours) < STEPS:
        return False, None, f"{ours.size} and {theirs.size} steps; at least {STEPS}, and as many"
    if not np.ptp(ours) and not np.ptp(theirs):
        return False, None, f"always {ours[0]:g}, in both: nothing was trained"
    _, gap, _ = _close(ours, theirs)
    assert gap is not None  # losses that change are not all 0
    if gap <= BOUND:
        return True, gap, f"{len(ours)} steps"
    apart = np.abs(ours - theirs) > BOUND * max(np.abs(ours).max(), np.abs(theirs).max())
    return False, gap, f"from step {int(np.argmax(apart)) + 1} of {len(ours)} on"


RUNGS: tuple[Rung, ...] = (
    Rung(
        "parameters",
        "the same weights, by name and shape, and the same of them trained",
        _parameters,
        "ladder.parameters",
    ),
    # Before the outputs: a network that reads along the wrong axis has other outputs, too, and
    # this rung says why.
    Rung(
        "sensitivity",
        "each output depends on the same inputs",
        _sensitivity,
        "ladder.sensitivity",
    ),
    Rung("outputs", "the same outputs for the same input", _outputs("outputs"), "ladder.outputs"),
    Rung(
        "gradients",
        "the same gradients",
        _by_weight("gradients", "all gradients are 0: nothing would be learned"),
        "ladder.gradients",
    ),
    Rung(
        "modes",
        "the same outputs after passes in training mode",
        _outputs("modes"),
        "ladder.modes",
    ),
    Rung("losses", "the same losses in training", _losses, "losses"),
    Rung(
        "trained",
        "the same weights after training",
        _by_weight("trained", "all weights are 0 after training"),
        "ladder.trained",
    ),
    Rung(
        "evaluation",
        "the same outputs after training, in evaluation mode",
        _evaluation,
        "ladder.evaluation",
    ),
)
"""The rungs of every ladder, from the bottom."""

_COMPARED = Rung("compared", "what the lab shows of both twins", _compared, "compared")
"""The rung of labs that show results of both, see `labkit.Session.compare`."""
