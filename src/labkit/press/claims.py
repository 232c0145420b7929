"""What is said about the frameworks, and what the records say to it: claims and verdicts.

A claim in ``evidence/claims.yml`` may carry a rule. It names the fields of records that it reads,
the number that decides, and under which condition each verdict is given. Verdicts are computed
from that, never typed.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

from simpleeval import EvalWithCompoundTypes

from labkit import twins
from labkit.press import fields
from labkit.press.chapter import FRAMEWORKS
from labkit.press.fields import WEB, Fields
from labkit.press.records import Records
from labkit.press.source import SourceError, did_you_mean, read_text

VERDICTS = {
    "holds": "the lab shows what is said",
    "held once": "was true of an older version",
    "false": "the lab shows the opposite",
    "depends": "true under some conditions and not under others",
    "partly": "of several things said, the lab shows some and not all",
    "undecided": "the spread of the measurements covers the bound",
    "reported": "a market fact that no lab can measure, with its source and date",
    "open": "no record yet",
    "open: needs hardware": "no record yet, and it takes hardware that was not to be had",
}
"""What each verdict means."""
BOUND = twins.BOUND
"""``bound`` in rules."""
DECIDED = ("holds", "held once", "false", "depends", "partly")
"""The verdicts that a rule may give by a condition; of these, one may be true."""
REASONED = ("held once", "depends", "partly")
"""Verdicts that say why: since which version, on what, or which part."""


class ClaimError(SourceError):
    """A rule that cannot be applied; the message names the claim and the field."""


class Unmeasured(Exception):  # noqa: N818
    """A rule reads timings that there are not, or that older code has taken; says which."""


class Undecided(Exception):  # noqa: N818
    """The spread of a measurement covers the bound it is held against."""


@dataclass(frozen=True)
class Source:
    """Who said it: an article or a document."""

    title: str
    date: str
    """As far as the source gives one, else empty."""
    url: str


@dataclass(frozen=True)
class Rule:
    """How records decide a claim."""

    reads: dict[str, str]
    """Name to field, ``chapter.framework.part.name``, of the CPU's record; another machine's
    with ``machine/`` before it."""
    number: str
    """The number that decides, an expression over the names."""
    shown: str
    """How the number is put into words, a format string with ``number`` and the names."""
    when: dict[str, str]
    """Verdict to the condition, over the names and ``number``, under which it is given."""
    because: str = ""
    """On what it depends, the version that ended it, or which part is shown."""


@dataclass(frozen=True)
class Claim:
    """One claim that the course puts to the test."""

    id: str
    topic: str
    chapter: str
    """The chapter that settles it."""
    says: str
    """In the course's own words."""
    settle: str
    """How a lab can settle it, or ``"market"``."""
    source: Source
    rule: Rule | None = None
    needs: str = ""
    """``"hardware"`` where no record can be made without some."""


@dataclass(frozen=True)
class Verdict:
    """What the records say to a claim."""

    name: str
    """One of `VERDICTS`."""
    shown: str
    """The number that decides, in words."""


def load(path: Path) -> list[Claim]:
    """Read the claims and check their rules' form.

    Raises
    ------
    SourceError
        When the file is no YAML of the known form, an id stands twice, or a rule reads fewer than
        two fields, or not both twins without a reason.
    """
    content = Fields(fields.parse(read_text(path), path, "it"), path, "")
    content.only(("sources", "claims"))
    given = content.part("sources")
    sources = {key: _source(given.part(key)) for key in given}
    claims = [_claim(row, sources) for row in content.parts("claims", "claim")]
    seen: set[str] = set()
    for claim, row in zip(claims, content.parts("claims", "claim"), strict=True):
        if claim.id in seen:
            raise row.error(f"{claim.id!r} stands twice; rename one", "id")
        seen.add(claim.id)
    return claims


def judge(claim: Claim, records: Records) -> Verdict:
    """Give the verdict on a claim, as far as there are records.

    Raises
    ------
    ClaimError
        When the rule names a field that its record does not have, or cannot be computed.
    """
    if claim.settle == "market":
        said = ", ".join(filter(None, (claim.source.title, claim.source.date or "undated")))
        return Verdict("reported", said)
    try:
        values = _values(claim, records) if claim.rule else None
    except Unmeasured as why:
        return Verdict("open", str(why))
    if claim.rule is None or values is None:
        return Verdict("open: needs hardware" if claim.needs else "open", "no record yet")
    names = {**values, "bound": BOUND}
    try:
        names["number"] = _compute(claim, claim.rule.number, names, records.folder)
    except Undecided:
        return Verdict("undecided", "the spread of the measurements covers the bound")
    try:
        shown = claim.rule.shown.format(**names)
    except Exception as error:  # an author's words with a record's values may fail in any way
        message = f"claim {claim.id!r}: {claim.rule.shown!r} cannot be filled in: {error!r}"
        raise ClaimError(records.folder, None, message) from error
    try:
        given = [v for v, c in claim.rule.when.items() if _compute(claim, c, names, records.folder)]
    except Undecided:
        return Verdict("undecided", shown)
    if len(given) > 1:
        raise ClaimError(records.folder, None, f"claim {claim.id!r}: {' and '.join(given)} at once")
    if not given:
        return Verdict("undecided", shown)
    reason = claim.rule.because if given[0] in REASONED else ""
    because = f" ({reason})" if reason else ""
    return Verdict(given[0], shown + because)


def _source(given: Fields) -> Source:
    given.only(Source.__dataclass_fields__)
    url = given.text("url", "")
    if url and not WEB.fullmatch(url):
        message = f"`url` is {url!r}; it must be an address, https://…, without blanks and brackets"
        raise given.error(message, "url")
    said = given.content.get("date", "")
    if not isinstance(said, str | int | date):
        raise given.error("`date` must be a date or a year", "date")
    return Source(given.text("title"), str(said), url)


def _claim(given: Fields, sources: Mapping[str, Source]) -> Claim:
    given.only(("id", "by", "topic", "chapter", "says", "settle", "rule", "needs"))
    name, by = given.word("id"), given.text("by")
    if by not in sources:
        raise given.error(f"no source {by!r}; {did_you_mean(by, sources)}", "by")
    return Claim(
        name,
        given.word("topic"),
        given.word("chapter"),
        given.text("says"),
        given.text("settle"),
        sources[by],
        _rule(given.part("rule")) if "rule" in given else None,
        given.text("needs", ""),
    )


_FIELD = re.compile(
    rf"([\w-]+/)?{fields.NAME.pattern}\.(?P<twin>{'|'.join(FRAMEWORKS)})"
    r"\.(exact|measured)(\.[^./]+)+"
)


def _rule(given: Fields) -> Rule:
    given.only(("reads", "number", "shown", "when", "because", "one_twin"))
    when = given.part("when")
    conditions = {verdict: when.text(verdict) for verdict in when}
    for verdict in when:
        if verdict not in DECIDED:
            hint = did_you_mean(verdict, DECIDED)
            raise when.error(f"no verdict {verdict!r}; {hint}", verdict)
        if verdict in REASONED and "because" not in given:
            message = f"{verdict!r} needs `because`: a version, a condition"
            raise when.error(message, verdict)
    if len(conditions) < 2:
        message = "`when` must give conditions for two verdicts or more: no record could turn it"
        raise given.error(message, "when")
    reads = given.part("reads")
    found = {name: reads.text(name) for name in reads}
    twins_read = set()
    for name, field in found.items():
        if not (parts := _FIELD.fullmatch(field)):
            raise reads.error(f"{field!r} is no chapter.framework.exact.name", name)
        twins_read.add(parts["twin"])
    if len(found) < 2 or (len(twins_read) < 2 and not given.text("one_twin", "")):
        message = (
            f"reads {', '.join(found.values()) or 'nothing'}; it must read two fields or more, "
            "from both twins, or say under `one_twin` why from one alone"
        )
        raise given.error(message, "reads")
    number, shown = given.text("number"), given.text("shown")
    return Rule(found, number, shown, conditions, given.text("because", ""))


def reads(claim: Claim, records: Records) -> list[Path]:
    """Return the records that a claim's rule reads, whether or not they are there yet."""
    read = claim.rule.reads.values() if claim.rule else ()
    return list(dict.fromkeys(_record_of(field, records) for field in read))


def _record_of(field: str, records: Records) -> Path:
    device, _, place = field.rpartition("/")
    chapter, framework = place.split(".")[:2]
    return records.path(chapter, framework, device)


def _values(claim: Claim, records: Records) -> dict[str, Any] | None:
    """Read a rule's fields; None while a record is not there yet."""
    assert claim.rule is not None
    values = {}
    for name, field in claim.rule.reads.items():
        keys = field.rpartition("/")[2].split(".")[2:]
        path = _record_of(field, records)
        value: Any = records.read(path)
        if value is None:
            return None
        if keys[0] == "measured":
            _demand_timings(value, records)
        for key in keys:
            if not isinstance(value, dict) or key not in value:
                raise ClaimError(
                    path, None, f"has no field {'.'.join(keys)}, which claim {claim.id!r} reads"
                )
            value = value[key]
        values[name] = value
    return values


def _demand_timings(content: dict[str, Any], records: Records) -> None:
    """Raise where a record holds no timings, or those of code that has changed since."""
    if not content["measured"]:
        raise Unmeasured("not measured yet; `labkit run --measure`")
    if not records.timed_now(content):
        raise Unmeasured("measured before the code changed; `labkit run --measure`")


def _above(measured: Mapping[str, float] | float, bound: float) -> bool:
    """Say whether a measurement lies above a bound; raise when its spread covers the bound."""
    if not isinstance(measured, Mapping):
        return measured > bound
    half = measured["spread"] / 2
    if abs(measured["median"] - bound) <= half:
        raise Undecided
    return measured["median"] > bound


def _faster(first: Mapping[str, float], second: Mapping[str, float]) -> bool:
    """Say whether the first of two timings is the shorter one: their spreads do not touch."""
    return first["median"] + first["spread"] / 2 < second["median"] - second["spread"] / 2


def _compute(claim: Claim, expression: str, names: Mapping[str, Any], folder: Path) -> Any:
    functions = {
        "abs": abs,
        "len": len,
        "max": max,
        "min": min,
        "sum": sum,
        "largest_gap": lambda a, b: twins.compare(a, b).largest,
        "above": _above,
        "faster": _faster,
    }
    try:
        return EvalWithCompoundTypes(names=dict(names), functions=functions).eval(expression)
    except Undecided:
        raise
    except Exception as error:  # an author's expression may fail in any way
        message = f"claim {claim.id!r}: {expression!r} cannot be computed: {error}"
        raise ClaimError(folder, None, message) from error
