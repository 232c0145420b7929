"""What a chapter may ask of its reader: minutes, computed and bounded; words, explained in time."""

import math
import re
from collections.abc import Iterator

from labkit.press.chapter import FRAMEWORKS, Cell, Chapter
from labkit.press.markdown import headings

WORDS_A_MINUTE = 180
SECONDS_A_LINE = 5
"""What a line of one framework's code takes to read."""
MINUTES, SECTIONS, LINES = 30, 8, 25
"""The most minutes, sections, and lines of a cell that is not folded."""
PREDICTIONS, TRIES = 6, 4
"""The fewest of each."""
CLOSING = ("What you have seen", "Exercises")
"""Headings that are no sections of the lesson."""
_ROLE = re.compile(r"\{[\w:+-]+\}`([^`<]*)(?:<[^`]*>)?`")
_WORD = re.compile(r"[^\W_][\w'’.,-]*")
_MATH = re.compile(r"\$\$.*?\$\$", re.DOTALL)
_TERM = re.compile(r"\{term\}`(?:[^`<]*<([^>`]+)>|([^`]+))`")
_CODE = re.compile(r"`[^`]*`")
_MARKUP = re.compile(r"^(%.*|\(.*\)=|[`:~]{3,}.*|:[\w-]+:.*)$", re.MULTILINE)


def minutes(chapter: Chapter) -> int:
    """Return how long the lesson takes to read in one framework, in whole minutes.

    `WORDS_A_MINUTE` of prose, and `SECONDS_A_LINE` for each line of code that is not folded; of the
    two frameworks the one that takes longer. The exercises take as long as they take.
    """
    return max(math.ceil(_seconds(chapter, f) / 60) for f in FRAMEWORKS)


def _seconds(chapter: Chapter, framework: str) -> float:
    cells = [c for c in _lesson(chapter) if c.framework in (None, framework)]
    words = sum(_words(c.source) for c in cells if c.kind == "markdown")
    lines = sum(len(_lines(c)) for c in cells if c.kind == "code")
    return words / WORDS_A_MINUTE * 60 + lines * SECONDS_A_LINE


def _lesson(chapter: Chapter) -> Iterator[Cell]:
    """Yield the cells above the exercises, which have no place in the budget."""
    for cell in chapter.cells:
        if cell.kind == "markdown" and cell.source.startswith("## Exercises"):
            return
        yield cell


def _words(source: str) -> int:
    bare = _ROLE.sub(r"\1", _MATH.sub("", _MARKUP.sub("", source)))
    return len(_WORD.findall(bare))


def _lines(cell: Cell) -> list[str]:
    """Return the lines of code that a reader sees."""
    if "hide-input" in cell.tags:
        return []
    return [line for line in cell.source.splitlines() if line.strip()]


def over(chapter: Chapter) -> list[str]:
    """Return in what a chapter is over its budget or lacks a part, one line each.

    A chapter whose front matter says under ``lab.budget`` why it is has nothing to answer for.
    """
    if chapter.lab.budget:
        return []
    found = []
    if (taken := minutes(chapter)) > MINUTES:
        found.append(_at(chapter, 1, f"takes {taken} minutes to read; {MINUTES} at most"))
    sections = [
        (cell.line + offset, title)
        for cell in _lesson(chapter)
        if cell.kind == "markdown"
        for offset, depth, title in headings(cell.source)
        if depth == 2 and title not in CLOSING
    ]
    if len(sections) > SECTIONS:
        line, title = sections[SECTIONS]
        found.append(_at(chapter, line, f"{title!r} is section {SECTIONS + 1} of {SECTIONS}"))
    for cell in _lesson(chapter):
        if cell.kind == "code" and (lines := len(_lines(cell))) > LINES:
            message = f"{lines} lines in a cell; {LINES} at most, or fold it (`hide-input`)"
            found.append(_at(chapter, cell.line, message))
    for asked, least, word in (
        (len(chapter.predictions), PREDICTIONS, "predict"),
        (len(chapter.tries), TRIES, "try"),
    ):
        if asked < least:
            message = f"asks {asked} times with {{{word}}}; {least} at least"
            found.append(_at(chapter, 1, message))
    return found


def late(chapter: Chapter) -> list[str]:
    """Return the words that stand in a chapter twice before the link to their explanation."""
    found: dict[str, None] = {}
    for framework in FRAMEWORKS:
        prose = [c for c in chapter.cells_of(framework) if c.kind == "markdown"]
        above, seen = "", set[str]()
        for cell in prose:
            source = _MARKUP.sub(lambda line: " " * len(line[0]), cell.source)
            for link in _TERM.finditer(source):
                word = (link[1] or link[2]).strip()
                so_far = _CODE.sub("", _TERM.sub("", above + source[: link.start()]))
                uses = re.findall(rf"\b{re.escape(word)}e?s?\b", so_far, re.IGNORECASE)
                if word.lower() not in seen and len(uses) > 1:
                    line = cell.line + source.count("\n", 0, link.start())
                    message = f"{word!r} has its link here, and stands {len(uses)} times above it"
                    found[_at(chapter, line, message)] = None
                seen.add(word.lower())
            above += source + "\n"
    return list(found)


def _at(chapter: Chapter, line: int, message: str) -> str:
    return f"{chapter.text.at(line)}: {message}"
