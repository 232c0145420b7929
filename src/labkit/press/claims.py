"""What is said about the frameworks: `evidence/claims.yml`, read and checked."""

from dataclasses import dataclass
from pathlib import Path

import yaml

from labkit.press.source import SourceError, did_you_mean


@dataclass(frozen=True)
class Source:
    """Who said it: an article or a document."""

    title: str
    date: str
    """As far as the source gives one, else empty."""
    url: str


@dataclass(frozen=True)
class Claim:
    """One claim that the course puts to the test."""

    id: str
    topic: str
    says: str
    """In the course's own words."""
    source: Source


def load(path: Path) -> list[Claim]:
    """Read the claims.

    Raises
    ------
    SourceError
        When the file is no YAML of the known form, or an id stands twice.
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
        claims = []
        for row in content["claims"]:
            if row["by"] not in sources:
                hint = did_you_mean(row["by"], sources)
                raise SourceError(path, None, f"claim {row['id']}: no source {row['by']!r}; {hint}")
            claims.append(Claim(row["id"], row["topic"], row["says"], sources[row["by"]]))
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
