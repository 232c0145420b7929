"""Are the twins of a chapter equal? Its two records, held against each other."""

from labkit import record, rungs
from labkit.press.chapter import FRAMEWORKS, Lab
from labkit.press.records import Records


class NoLadderError(record.RecordError):
    """A record without what a ladder needs."""


def of_chapter(records: Records, lab: Lab) -> list[rungs.Step]:
    """Climb the ladder of one chapter's records: the course's, or a reader's own.

    After the course's own rungs come those that the chapter's front matter asks for: what must
    have taken effect in training, and what else must be equal.

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
    return rungs.compare(exact[0], exact[1], more(lab))


def more(lab: Lab) -> list[rungs.Rung]:
    """Return the rungs that a chapter's front matter adds to the course's own."""
    effects = [rungs.took_effect(lab.ladder)] if lab.ladder else []
    return [*effects, *(rungs.field(e.field, e.what, e.bound, e.because) for e in lab.equal)]
