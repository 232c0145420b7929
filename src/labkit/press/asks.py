"""What a chapter asks of its reader: predictions, and edits to try.

Both are directives in the prose. A prediction holds a question and two to four choices, or a field
for a number; what follows it stays veiled in the book until the reader has answered:

    ```{predict}
    :name: parameters
    :true: number("network") == 19466
    How many parameters are that?
    - about 300
    - [x] about 20,000
    - about 2 million
    ```

An edit to try names the text to change, the steps to run again, and what is true then:

    ```{try}
    :name: a-large-rate
    :edit: {"lr=0.125": "lr=8.0", "SGD(0.125": "SGD(8.0"}
    :again: train, losses
    :true: number("losses") > 2
    Set the rate to 8 and train again. What happens to the loss?
    ```

What ``:true:`` says is held against the twins' outputs by the tests.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from labkit.press import fields, markdown
from labkit.press.fields import NAME
from labkit.press.source import SourceError, did_you_mean

DIRECTIVES = ("predict", "try")
NEAR = 0.05
"""How near a guessed number counts as right, as a part of the true one."""
_CHOICE = re.compile(r"^- (?P<right>\[x\] )?(?P<text>.+)$")


@dataclass(frozen=True)
class Predict:
    """A question whose answer is the output that follows."""

    name: str
    question: str
    """In Markdown."""
    choices: tuple[str, ...]
    """In Markdown; empty where a number is asked for."""
    right: int
    """Which choice is right, from 0."""
    answer: float | None
    """The number asked for, None where there are choices."""
    within: float
    """How near a number counts as right, as a part of `answer`."""
    true: str
    """What is true of the outputs if the answer is right; see the tests."""
    line: int


@dataclass(frozen=True)
class Try:
    """An edit that the reader makes and runs, and so do the tests."""

    name: str
    text: str
    """In Markdown."""
    edit: dict[str, str]
    """Old text to new."""
    again: tuple[str, ...]
    """The steps to run again, in this order; the last one's output is the result."""
    true: str
    """What is true of the result; see the tests."""
    line: int

    def code(self, source: str) -> str:
        """Return the source of one of the steps with the edit made."""
        for old, new in self.edit.items():
            source = source.replace(old, new)
        return source


def asks(source: str, path: Path, line: int) -> Iterator[Predict | Try]:
    """Yield what a cell of prose asks of the reader.

    Parameters
    ----------
    source
        The cell's text.
    path, line
        Where it stands, for errors.

    Raises
    ------
    SourceError
        For a directive that is not closed, or lacks a part.
    """
    lines = source.splitlines()
    for block in markdown.blocks(source):
        name, _ = markdown.directive(block) or ("", "")
        if name not in DIRECTIVES:
            continue
        begin, end = markdown.rows(block)
        if not markdown.closed(block, lines):
            message = f"{lines[begin]!r} is never closed; end it with {block.markup}"
            raise SourceError(path, line + begin, message)
        yield ask(name, lines[begin + 1 : end - 1], path, line + begin)


def ask(name: str, body: Sequence[str], path: Path, line: int) -> Predict | Try:
    """Read one directive.

    Parameters
    ----------
    name
        ``"predict"`` or ``"try"``.
    body
        The lines between its fences.
    path, line
        Where it begins, for errors.

    Raises
    ------
    SourceError
        When a part is missing or unknown.
    """
    given, text = _Options(f"{{{name}}}", path, line), list(body)
    while text and (option := markdown.OPTION.match(text[0])):
        given.add(option["key"], option["value"].strip(), line + 1 + len(given.values))
        text.pop(0)
    return _predict(given, text) if name == "predict" else _try(given, text)


class _Options:
    """The options of a directive, each with its line."""

    def __init__(self, what: str, path: Path, line: int) -> None:
        self.what, self.path, self.line = what, path, line
        self.values: dict[str, str] = {}
        self.lines: dict[str, int] = {}

    def add(self, key: str, value: str, line: int) -> None:
        self.lines[key] = line
        if key in self.values:
            raise self.error(f"option {key!r} stands twice; take one out", key)
        self.values[key] = value

    def error(self, message: str, key: str = "") -> SourceError:
        return SourceError(self.path, self.lines.get(key, self.line), f"{self.what}: {message}")

    def only(self, *known: str) -> None:
        for key in self.values:
            if key not in known:
                raise self.error(f"unknown option {key!r}; {did_you_mean(key, known)}", key)

    def text(self, key: str) -> str:
        if not self.values.get(key):
            raise self.error(f"`:{key}:` is missing", key)
        return self.values[key]

    def word(self, key: str) -> str:
        if not NAME.fullmatch(word := self.text(key)):
            message = f"`:{key}:` is {word!r}; use lower-case letters, digits and single hyphens"
            raise self.error(message, key)
        return word

    def number(self, key: str, default: float | None) -> float | None:
        if key not in self.values:
            return default
        try:
            return float(self.values[key])
        except ValueError as error:
            raise self.error(f"`:{key}:` is {self.values[key]!r}, no number", key) from error

    def yaml(self, key: str) -> Any:
        return fields.parse(self.text(key), self.path, f"{self.what}: {key}", self.lines[key])


def _predict(given: _Options, text: list[str]) -> Predict:
    given.only("name", "true", "answer", "within")
    name, true = given.word("name"), given.text("true")
    answer, within = given.number("answer", None), given.number("within", NEAR) or 0.0
    choices: list[re.Match[str]] = []
    last = len(text)
    while last and (not text[last - 1].strip() or _CHOICE.match(text[last - 1])):
        last -= 1
        if choice := _CHOICE.match(text[last]):
            choices.insert(0, choice)
    question = "\n".join(text[:last]).strip()
    if not question:
        raise given.error("asks nothing: write the question above the choices")
    marked = [n for n, choice in enumerate(choices) if choice["right"]]
    if answer is None and not (2 <= len(choices) <= 4 and len(marked) == 1):
        message = (
            f"has {len(choices)} choices, {len(marked)} of them right; write two to four in lines "
            "`- words`, the right one `- [x] words`; or `:answer:`, a number"
        )
        raise given.error(message)
    if answer is not None and choices:
        raise given.error("has choices and an `:answer:`; take one of them out")
    words = tuple(choice["text"].strip() for choice in choices)
    right = marked[0] if marked else 0
    return Predict(name, question, words, right, answer, within, true, given.line)


def _try(given: _Options, text: list[str]) -> Try:
    given.only("name", "true", "edit", "again")
    name, true, edit = given.word("name"), given.text("true"), given.yaml("edit")
    texts = isinstance(edit, dict) and all(isinstance(v, str) for v in edit.values())
    if not edit or not texts or any(not old or old == new for old, new in edit.items()):
        raise given.error('`:edit:` must be a map of texts, {"old": "new"}', "edit")
    again = tuple(step.strip() for step in given.text("again").split(","))
    words = "\n".join(text).strip()
    if not words:
        raise given.error("says nothing: name the edit, ask what will happen, say where to look")
    return Try(name, words, dict(edit), again, true, given.line)
