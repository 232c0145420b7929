"""YAML that an author wrote: values read by their kind, and for each fault its line."""

import math
import re
import reprlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import yaml
from yaml.composer import ComposerError
from yaml.constructor import ConstructorError
from yaml.reader import ReaderError

from labkit.press.source import SourceError, did_you_mean

NAME = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
"""What stands in ids and addresses: nothing there has to be escaped."""
WEB = re.compile(r"https?://[^\s<>\"'()\[\]\\`]+")
"""An address of the web that needs no escaping in Markdown or HTML, but for its ``&``."""


class Map(dict[str, Any]):
    """A map of a YAML file, with its line and that of each key."""

    def __init__(self, line: int | None = None) -> None:
        super().__init__()
        self.line = line
        self.lines: dict[str, int] = {}


class _Loader(yaml.SafeLoader):
    """YAML's safe part without aliases, and with no key that stands twice."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            mark = self.peek_event().start_mark  # type: ignore[no-untyped-call]
            raise ComposerError(None, None, "an alias (*); write the value out", mark)
        return super().compose_node(parent, index)

    def construct_object(self, node: Any, deep: bool = False) -> Any:
        try:
            return super().construct_object(node, deep)
        except ValueError as error:  # a month 13, a number of 5000 digits
            raise ConstructorError(None, None, str(error), node.start_mark) from error

    def map(self, node: yaml.MappingNode) -> Map:
        found = Map(node.start_mark.line + 1)
        for key_node, value_node in node.value:
            key, mark = self.construct_object(key_node, deep=True), key_node.start_mark
            if not isinstance(key, str):
                message = f"key {reprlib.repr(key)} is no word; put it in quotes"
                raise ConstructorError(None, None, message, mark)
            if key in found:
                message = f"key {key!r} stands twice, first in line {found.lines[key]}"
                raise ConstructorError(None, None, message, mark)
            found[key] = self.construct_object(value_node, deep=True)
            found.lines[key] = mark.line + 1
        return found


_Loader.add_constructor("tag:yaml.org,2002:map", _Loader.map)


def parse(text: str, path: Path, what: str, first: int = 1) -> Any:
    """Return the value of a YAML text; each map in it is a `Map`.

    Parameters
    ----------
    what
        What the text is, for messages.
    first
        The line of `path` on which the text begins.

    Raises
    ------
    SourceError
        When it is no YAML, holds an alias, or a key that stands twice.
    """
    try:
        loader = _Loader(text)
        loader.line = first - 1  # its marks name the file's lines
        return loader.get_single_data()
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else first
        message = f"{what} cannot be read as YAML: {error.problem}"
        raise SourceError(path, line, message) from error
    except ReaderError as error:  # it names a position alone
        line = first + text.count("\n", 0, error.position)
        message = f"{what} cannot be read as YAML: it holds {chr(error.character)!r}"
        raise SourceError(path, line, message) from error
    except RecursionError as error:
        raise SourceError(path, first, f"{what} is nested too deeply") from error


class Fields:
    """One map, read field by field; a field of another kind is a `SourceError` with its line.

    Parameters
    ----------
    content
        As `parse` returns it.
    path
        The file that it stands in.
    name
        What messages call it; empty for a whole file.
    line
        Where it begins, for what it lacks.
    """

    def __init__(self, content: Any, path: Path, name: str, line: int | None = None) -> None:
        self.path, self.name, self.line = path, name, line
        if not isinstance(content, Map):
            raise self.error(f"must be a map, with `name: value` in its lines, not {_say(content)}")
        self.content = content

    def __contains__(self, key: str) -> bool:
        return key in self.content

    def __iter__(self) -> Iterator[str]:
        return iter(self.content)

    def error(self, message: str, key: str | None = None) -> SourceError:
        """Return an error about the map, or about the line of one of its keys."""
        line = self.line if key is None else self.line_of(key)
        return SourceError(self.path, line, f"{self.name}: {message}" if self.name else message)

    def line_of(self, key: str) -> int | None:
        """Return the line of a key, or where the map begins."""
        return self.content.lines.get(key, self.line)

    def only(self, known: Iterable[str]) -> None:
        """Raise for a key that is none of those known: a misspelt one must not be passed over."""
        known = set(known)
        for key in self.content:
            if key not in known:
                raise self.error(f"unknown {key!r}; {did_you_mean(key, known)}", key)

    def text(self, key: str, default: str | None = None) -> str:
        """Return a text that is not empty; without a default, there must be one."""
        if key not in self and default is not None:
            return default
        value = self.content.get(key)
        if not isinstance(value, str) or not value.strip():
            raise self._no(key, "a text (in quotes, if it looks like something else)")
        return value

    def word(self, key: str) -> str:
        """Return a name that may stand in ids and addresses, see `NAME`."""
        value = self.text(key)
        if not NAME.fullmatch(value):
            raise self._no(key, "made of lower-case letters, digits and single hyphens")
        return value

    def texts(self, key: str) -> tuple[str, ...]:
        """Return a list of texts, empty where there is none."""
        value = self.content.get(key, [])
        if not isinstance(value, list) or not all(isinstance(v, str) and v.strip() for v in value):
            raise self._no(key, "a list of words, [like, this]")
        return tuple(value)

    def bound(self, key: str) -> float | None:
        """Return a number between 0 and 1, None where there is none."""
        if key not in self:
            return None
        value = self.content[key]
        try:
            # YAML takes 1e-6 for a text; it wants 1.0e-6.
            number = math.nan if isinstance(value, bool) else float(value)
        except (TypeError, ValueError, OverflowError):
            number = math.nan
        if not 0 < number < 1:
            raise self._no(key, "a number above 0 and below 1")
        return number

    def part(self, key: str) -> "Fields":
        """Return a map in this one, empty where there is none."""
        value = self.content.get(key, Map())
        return Fields(value, self.path, f"{self.name}.{key}".lstrip("."), self.line_of(key))

    def parts(self, key: str, called: str) -> list["Fields"]:
        """Return a list of maps; messages call each by its ``id``."""
        value = self.content.get(key)
        if not isinstance(value, list) or not all(isinstance(v, Map) for v in value):
            raise self._no(key, "a list of maps")
        return [
            Fields(row, self.path, f"{called} {_say(row.get('id'))}", row.line) for row in value
        ]

    def _no(self, key: str, kind: str) -> SourceError:
        found = f"is {_say(self.content[key])}" if key in self else "is missing"
        return self.error(f"`{key}` {found}; it must be {kind}", key)


def _say(value: Any) -> str:
    return reprlib.repr(value)
