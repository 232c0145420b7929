"""Are the twins of a chapter equal? Its two records, held against each other."""

from typing import Any

from labkit import record, rungs
from labkit.press import third
from labkit.press.chapter import FRAMEWORKS, Lab
from labkit.press.records import Records

TRAINED = ("losses", "trained", "evaluation")
"""The rungs that a third twin is held to: it starts from the course's own weights, and notes no
more of its network than what training made of it."""


class NoLadderError(record.RecordError):
    """A record without what a ladder needs."""


def of_chapter(records: Records, lab: Lab, *, mine: bool = False) -> list[rungs.Step]:
    """Climb the ladder of one chapter's records: the course's, or a reader's own.

    After the course's own rungs come those that the chapter's front matter asks for: what must
    have taken effect in training, what else must be equal, and a third twin.

    Parameters
    ----------
    mine
        Whether the records are a reader's own, which hold no third twin: a page that trains one
        says by itself how well it agrees.

    Raises
    ------
    NoLadderError
        When a record is missing or holds no ladder.
    """
    exact = []
    for framework in FRAMEWORKS:
        path = records.path(lab.name, framework)
        content = records.read(path)
        if content is None:
            raise NoLadderError(
                f"{path} is missing: run the notebook {lab.name}/{framework}, which writes it"
            )
        if "ladder" not in content["exact"]:
            raise NoLadderError(
                f"{path} holds no ladder: the lab calls lab.prove(…), then `labkit run {lab.name}`"
            )
        exact.append(content["exact"])
    steps = rungs.compare(exact[0], exact[1], more(lab))
    if lab.third and not mine and steps[-1].holds:
        steps.append(_third_twin(records, lab, exact))
    return steps


def more(lab: Lab) -> list[rungs.Rung]:
    """Return the rungs that a chapter's front matter adds to the course's own."""
    effects = [rungs.took_effect(lab.ladder)] if lab.ladder else []
    return [*effects, *(rungs.field(e.field, e.what, e.bound, e.because) for e in lab.equal)]


def _third_twin(records: Records, lab: Lab, twins: list[dict[str, Any]]) -> rungs.Step:
    """Hold what a browser has trained against both twins."""
    name = "third twin"
    compares = "the same losses, trained weights and outputs by plain JavaScript in a browser"
    content = records.read(records.path(lab.name, third.NAME))
    if content is None:
        return rungs.Step(name, compares, False, None, "not yet run in a browser: `make third`")
    known = {rung.name: rung for rung in rungs.RUNGS}
    steps = []
    for twin, title in zip(twins, FRAMEWORKS.values(), strict=True):
        for rung in (known[name] for name in TRAINED):
            steps.append(rungs.climb(rung, twin, content["exact"]))
            if not steps[-1].holds:
                detail = f"{rung.name} of {title}: {steps[-1].detail}; `make third` trains again"
                return rungs.Step(name, compares, False, steps[-1].difference, detail)
    made = ", ".join(" ".join(v) for v in content["machine"]["exact"]["versions"].items())
    detail = f"{steps[0].detail}, {steps[1].detail}, {steps[2].detail}; {made}"
    return rungs.Step(name, compares, True, max(s.difference or 0 for s in steps), detail)
