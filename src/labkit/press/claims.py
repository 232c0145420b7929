"""What is said about the frameworks, and what the records say to it: claims and verdicts.

A claim in ``evidence/claims.yml`` may carry a rule. It names the fields of records that it reads,
the number that decides, and under which condition each verdict is given. Verdicts are computed
from that, never typed.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from simpleeval import EvalWithCompoundTypes, InvalidExpression

from labkit import record, twins
from labkit.press import fingerprint
from labkit.press.chapter import FRAMEWORKS
from labkit.press.source import SourceError, did_you_mean

VERDICTS = {
    "holds": "the lab shows what is said",
    "held once": "was true of an older version",
    "false": "the lab shows the opposite",
    "depends": "true under some conditions and not under others",
    "undecided": "the spread of the measurements covers the bound",
    "reported": "a market fact that no lab can measure, with its source and date",
    "open": "no record yet",
    "open: needs hardware": "no record yet, and it takes hardware that was not to be had",
}
"""What each verdict means."""
BOUND = twins.BOUND
"""``bound`` in rules."""
DECIDED = ("holds", "held once", "false", "depends")
"""The verdicts that a rule may give by a condition; of these, one may be true."""
REASONED = ("held once", "depends")
"""Verdicts that say why: since which version, or on what."""


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
    """On what it depends, or the version that ended it."""


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
        When the file is no YAML of the known form, or an id stands twice.
    ClaimError
        When a rule reads fewer than two fields, or not both twins without a reason.
    """
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError) as error:
        raise SourceError(path, None, f"cannot be read as YAML: {error}") from error
    try:
        sources = {
            key: Source(s["title"], str(s.get("date", "")), s.get("url", ""))
            for key, s in content["sources"].items()
        }
        claims = [_claim(row, sources, path) for row in content["claims"]]
    except (KeyError, TypeError, AttributeError) as error:
        raise SourceError(path, None, f"has not the known form: {error!r}") from error
    ids = [c.id for c in claims]
    for name in ids:
        if ids.count(name) > 1:
            raise SourceError(path, None, f"claim {name!r} stands twice")
    return claims


def of_topics(path: Path, topics: tuple[str, ...]) -> list[Claim]:
    """Return the claims of some topics, in the file's order."""
    claims = load(path)
    known = {c.topic for c in claims}
    for topic in topics:
        if topic not in known:
            raise SourceError(path, None, f"no topic {topic!r}; {did_you_mean(topic, known)}")
    return [c for c in claims if c.topic in topics]


def judge(claim: Claim, evidence: Path) -> Verdict:
    """Give the verdict on a claim, as far as there are records in the folder `evidence`.

    Raises
    ------
    ClaimError
        When the rule names a field that its record does not have, or cannot be computed.
    """
    if claim.settle == "market":
        said = ", ".join(filter(None, (claim.source.title, claim.source.date or "undated")))
        return Verdict("reported", said)
    try:
        values = _values(claim, evidence) if claim.rule else None
    except Unmeasured as why:
        return Verdict("open", str(why))
    if claim.rule is None or values is None:
        return Verdict("open: needs hardware" if claim.needs else "open", "no record yet")
    names = {**values, "bound": BOUND}
    names["number"] = _compute(claim, claim.rule.number, names, evidence)
    try:
        shown = claim.rule.shown.format(**names)
    except (LookupError, TypeError, ValueError) as error:
        message = f"claim {claim.id!r}: {claim.rule.shown!r} cannot be filled in: {error!r}"
        raise ClaimError(evidence, None, message) from error
    try:
        given = [v for v, c in claim.rule.when.items() if _compute(claim, c, names, evidence)]
    except Undecided:
        return Verdict("undecided", shown)
    if len(given) > 1:
        raise ClaimError(evidence, None, f"claim {claim.id!r}: {' and '.join(given)} at once")
    if not given:
        return Verdict("undecided", shown)
    reason = claim.rule.because if given[0] in REASONED else ""
    because = f" ({reason})" if reason else ""
    return Verdict(given[0], shown + because)


def _known(what: str, given: Mapping[str, Any], keys: set[str], path: Path) -> None:
    """Raise for a key that is none of those known: a misspelt rule must not be passed over."""
    for key in given:
        if key not in keys:
            raise ClaimError(path, None, f"{what}: unknown {key!r}; {did_you_mean(str(key), keys)}")


def _claim(row: Mapping[str, Any], sources: Mapping[str, Source], path: Path) -> Claim:
    keys = {"id", "by", "topic", "chapter", "says", "settle", "rule", "needs"}
    _known(f"claim {row['id']}", row, keys, path)
    if row["by"] not in sources:
        hint = did_you_mean(row["by"], sources)
        raise SourceError(path, None, f"claim {row['id']}: no source {row['by']!r}; {hint}")
    given = row.get("rule")
    rule = _rule(row, given, path) if given else None
    return Claim(
        row["id"],
        row["topic"],
        row["chapter"],
        row["says"],
        row["settle"],
        sources[row["by"]],
        rule,
        row.get("needs", ""),
    )


def _rule(row: Mapping[str, Any], given: Mapping[str, Any], path: Path) -> Rule:
    when = {str(k): v for k, v in given["when"].items()}
    for verdict in when:
        if verdict not in DECIDED:
            hint = did_you_mean(verdict, DECIDED)
            raise ClaimError(path, None, f"claim {row['id']}: no verdict {verdict!r}; {hint}")
    for verdict in REASONED:
        if verdict in when and not given.get("because"):
            message = f"claim {row['id']}: {verdict!r} needs `because`: a version, a condition"
            raise ClaimError(path, None, message)
    keys = {"reads", "number", "shown", "when", "because", "one_twin"}
    _known(f"claim {row['id']}, rule", given, keys, path)
    fields = list(given["reads"].values())
    for field in fields:
        parts = field.rpartition("/")[2].split(".")
        if len(parts) < 4 or parts[1] not in FRAMEWORKS or parts[2] not in ("exact", "measured"):
            message = f"claim {row['id']}: {field!r} is no chapter.framework.exact.name"
            raise ClaimError(path, None, message)
    twins_read = {f for f in FRAMEWORKS for field in fields if f".{f}." in field}
    if len(fields) < 2 or (len(twins_read) < 2 and not given.get("one_twin")):
        raise ClaimError(
            path,
            None,
            f"claim {row['id']}: its rule reads {fields}; it must read two fields or more, from "
            "both twins, or say under `one_twin` why from one alone",
        )
    return Rule(given["reads"], given["number"], given["shown"], when, given.get("because", ""))


def record_of(field: str, evidence: Path) -> Path:
    """Return the record that a rule's field stands in."""
    machine, _, place = field.rpartition("/")
    chapter, framework = place.split(".")[:2]
    if not machine:
        return record.find(evidence, chapter, framework)
    return evidence / machine / f"{chapter}.{framework}.json"


def _values(claim: Claim, evidence: Path) -> dict[str, Any] | None:
    """Read a rule's fields; None while a record is not there yet."""
    assert claim.rule is not None
    values = {}
    for name, field in claim.rule.reads.items():
        keys = field.rpartition("/")[2].split(".")[2:]
        path = record_of(field, evidence)
        if not path.is_file():
            return None
        value: Any = record.read(path)
        if keys[0] == "measured":
            _demand_timings(value, evidence)
        for key in keys:
            if not isinstance(value, dict) or key not in value:
                raise ClaimError(
                    path, None, f"has no field {'.'.join(keys)}, which claim {claim.id!r} reads"
                )
            value = value[key]
        values[name] = value
    return values


def _demand_timings(content: Mapping[str, Any], evidence: Path) -> None:
    """Raise where a record holds no timings, or those of code that has changed since.

    Only the course's own records have their chapters beside them, and are held against these.
    """
    if not content["measured"]:
        raise Unmeasured("not measured yet; `labkit run --measure`")
    file = evidence.parent / "chapters" / f"{content['chapter']}.md"
    if not file.is_file():
        return
    now = fingerprint.of_chapter_timings(file, content["framework"])
    if content["machine"]["measured"].get("code") != now:
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


def _compute(claim: Claim, expression: str, names: Mapping[str, Any], evidence: Path) -> Any:
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
    except (
        *(InvalidExpression, SyntaxError, LookupError),
        *(TypeError, ValueError, ArithmeticError),
    ) as error:
        message = f"claim {claim.id!r}: {expression!r} cannot be computed: {error}"
        raise ClaimError(evidence, None, message) from error
