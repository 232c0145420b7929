"""Edits made in a notebook, brought home into its chapter."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from difflib import SequenceMatcher
from itertools import groupby
from pathlib import Path

from nbformat import NotebookNode

from labkit.press import markdown, prose
from labkit.press.chapter import HEADING, Cell, parse
from labkit.press.course import Course
from labkit.press.source import SourceError, Text, read_text
from labkit.press.weave import SETUP, digests, edited_cells, read_notebook, text_of, weave


def take(path: Path, course: Course) -> tuple[dict[Path, str], int]:
    """Read a notebook's edited cells into its chapter.

    Only cells that are not as they were woven count: what has changed in the chapter since stays.
    Of an edited cell of prose, only the paragraphs that have changed are taken: the others keep
    their roles, and all keep the lines that no notebook shows.

    Returns
    -------
    tuple
        The chapter's files that change, with their new text, and how many cells were edited.

    Raises
    ------
    SourceError
        When cells were added, removed or moved; when a cell was edited here and in the chapter;
        or when an edit cannot be carried back so that weaving gives the edited cell again.
    """
    notebook = read_notebook(path)
    if notebook is None:
        raise SourceError(path, None, "is missing")
    info = notebook.metadata.labkit
    file = course.root / "chapters" / f"{info.chapter}.md"
    if not file.is_file():
        raise SourceError(file, None, f"is missing, the chapter of {path}")
    chapter = course.chapter(info.chapter)
    now = {c.id: c for c in weave(chapter, info.framework, course).cells}
    woven = dict(info.woven)
    if list(digests(notebook)) != list(woven):
        raise SourceError(
            path, None, f"has cells added, moved or removed; do that in {file}, then `labkit weave`"
        )
    edited = [c for c in notebook.cells if c.id in edited_cells(notebook)]
    edited = [c for c in edited if c.id not in now or text_of(c) != text_of(now[c.id])]
    if not edited:
        return {}, 0
    lines = chapter.text.whole.splitlines()
    # From the end, so that the lines above keep their numbers.
    for cell in reversed(edited):
        home = next((c for c in chapter.cells if c.id == cell.id), None)
        with chapter.text.located():
            _check(cell, home, now, woven, path, file)
            assert home is not None
            source = _source(cell, home, course, file)
        begin = home.line - 1
        lines[begin : begin + len(home.source.splitlines())] = source.splitlines()
    texts = _parted(lines, chapter.text)
    result = parse(texts[file], file, *list(texts.values())[1:])
    again = {c.id: c for c in weave(result, info.framework, course).cells}
    for cell in edited:
        if again.keys() != now.keys() or text_of(again[cell.id]) != text_of(cell):
            own = next(c for c in chapter.cells if c.id == cell.id)
            message = f"cannot be carried back as it is; edit {chapter.text.place(own.line)[0]}"
            message = f"cell {cell.id!r} {message}"
            raise SourceError(path, None, message)
    return {f: text for f, text in texts.items() if text != read_text(f)}, len(edited)


def _parted(lines: list[str], text: Text) -> dict[Path, str]:
    """Return the lines of a chapter, edited, as the texts of its files."""
    if text.second is None:
        return {text.path: "\n".join(lines) + "\n"}
    if HEADING not in lines:
        message = f"the line {HEADING!r} has gone, with which {text.second.name} begins"
        raise SourceError(text.path, None, message)
    joint = lines.index(HEADING)
    first, second = "\n".join(lines[:joint]), "\n".join(lines[joint:])
    return {text.path: first.rstrip("\n") + "\n", text.second: second + "\n"}


def _check(
    cell: NotebookNode,
    home: Cell | None,
    now: dict[str, NotebookNode],
    woven: dict[str, str],
    path: Path,
    file: Path,
) -> None:
    """Raise when an edited cell cannot go to its place in the chapter."""
    if cell.id in (SETUP, "title"):
        raise SourceError(path, None, f"the {cell.id} cell is made by labkit; edit {file}")
    if home is None:
        raise SourceError(path, None, f"cell {cell.id!r} stands in {file} no more")
    if not text_of(cell).strip():
        raise SourceError(path, None, f"cell {cell.id!r} is empty; remove it in {file}")
    if hashlib.sha256(text_of(now[cell.id]).encode()).hexdigest()[:8] != woven[cell.id]:
        raise SourceError(
            file, home.line, f"cell {cell.id!r} was edited here and in {path}; make them one here"
        )


@dataclass(frozen=True)
class _Part:
    """Prose between two blank lines, and the lines around it that no notebook shows."""

    above: tuple[str, ...]
    text: str
    below: tuple[str, ...]
    line: int
    """Where the text begins, from 0."""

    @property
    def lines(self) -> list[str]:
        return [*self.above, *self.text.splitlines(), *self.below]


def _source(cell: NotebookNode, home: Cell, course: Course, file: Path) -> str:
    """Return an edited cell as it is to stand in its chapter.

    Lines that no notebook shows, comments and targets of links, stay with the prose they stand by.

    Raises
    ------
    SourceError
        With the line of the first thing that the edited cell leaves open.
    """
    if home.kind == "code":
        return text_of(cell)

    def refuse(line: int, why: str) -> SourceError:
        return SourceError(file, home.line + line, f"cell {cell.id!r} {why}; edit it here")

    parts = list(_parts(home.source))
    shown = {p: _texts(prose.plain(p.text, course, file, home.line + p.line)) for p in parts}
    owners = [part for part in parts for _ in shown[part]]
    old, new = [text for part in parts for text in shown[part]], _texts(text_of(cell))
    taken: list[_Part] = []
    for kind, begin, end, first, last in SequenceMatcher(None, old, new, False).get_opcodes():
        own = list(dict.fromkeys(owners[begin:end]))
        if kind == "equal":
            taken += own
            continue
        for part in own:
            if [part.text] != shown[part]:
                raise refuse(part.line, "uses what plain Markdown cannot say")
        if homeless := _homeless(own, last - first):
            raise refuse(homeless, "leaves open where this line belongs now")
        taken += _replaced(own, new[first:last])
    return "\n\n".join("\n".join(part.lines) for part in taken)


def _texts(source: str) -> list[str]:
    return [part.text for part in _parts(source)]


def _parts(source: str) -> Iterator[_Part]:
    """Part prose at its blank lines, but for those within a list, a fence or the like."""
    lines = source.splitlines()
    mute: set[int] = set()
    inside: set[int] = set()
    for block in markdown.blocks(source):
        begin, end = markdown.rows(block)
        while end > begin and not lines[end - 1].strip():
            end -= 1  # a list counts the blank lines behind it in
        inside.update(range(begin, end))
        mute.update(range(begin, end) if block.type in markdown.MUTE else ())
    above: list[str] = []
    last: _Part | None = None
    for filled, group in groupby(range(len(lines)), lambda n: n in inside or lines[n].strip() > ""):
        rows = list(group)
        shown = [n for n in rows if n not in mute]
        if not filled:
            continue
        if not shown and last is None:
            above += [*(lines[n] for n in rows), ""]
        elif not shown and last is not None:
            last = replace(last, below=(*last.below, "", *(lines[n] for n in rows)))
        else:
            if last is not None:
                yield last
            begin, end = shown[0], shown[-1] + 1
            above += lines[rows[0] : begin]
            text, below = "\n".join(lines[begin:end]), lines[end : rows[-1] + 1]
            last, above = _Part(tuple(above), text, tuple(below), begin), []
    if last is not None:
        yield last


def _homeless(old: list[_Part], count: int) -> int | None:
    """Return where the first hidden line stands that finds no place when `count` texts replace."""
    if len(old) == count:
        return None
    for number, part in enumerate(old):
        if part.above and (number or not count):
            return part.line - 1
        if part.below and (number < len(old) - 1 or not count):
            return part.line + len(part.text.splitlines())
    return None


def _replaced(old: list[_Part], new: list[str]) -> list[_Part]:
    """Return parts with other texts, the lines around them where they were."""
    if len(old) == len(new):
        return [replace(part, text=text) for part, text in zip(old, new, strict=True)]
    parts = [_Part((), text, (), 0) for text in new]
    if old and parts:
        parts[0] = replace(parts[0], above=old[0].above)
        parts[-1] = replace(parts[-1], below=old[-1].below)
    return parts
