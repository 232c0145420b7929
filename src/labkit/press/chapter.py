"""A chapter's source: front matter, prose, and cells grouped into steps and exercises.

It stands in one file, or in two: the exercises, and what follows them, in one of their own.
"""

import json
import re
import reprlib
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from jupytext.myst import myst_to_notebook
from packaging.requirements import InvalidRequirement, Requirement

from labkit.press import fields
from labkit.press.asks import Predict, Try, asks
from labkit.press.fields import Fields
from labkit.press.markdown import headings, labels
from labkit.press.source import SourceError, Text, did_you_mean, read_text

FRAMEWORKS = {"pytorch": "PyTorch", "tensorflow": "TensorFlow"}
ANSWERS = ("solution", "right", "wrong")
"""Roles of cells that stand in no notebook."""
ROLES = ("exercise", "check", *ANSWERS)
TAGS = {*FRAMEWORKS, *ROLES, "mend", "solo", "compare", "differs", "measured", "hide-input"}
DIFFICULTIES = ("beginner", "intermediate", "advanced")
OPTIONS = {"tags", "step", "mystnb", "but"}
EXERCISES = ".exercises.md"
"""How the name of a file ends that holds a chapter's exercises and what follows them."""
HEADING = "## Exercises"
"""The first line of such a file."""
RESERVED = ("setup", "title")
"""Ids of cells that the weaver makes."""
WIDTH = 64
"""Columns of code that two columns of the book show without scrolling."""
_KINDS: dict[str, type] = {"tags": list, "step": str, "mystnb": dict, "but": dict}
_KIND_WORDS: dict[type, str] = {
    list: "a list of words, [like, this]",
    str: "a word",
    dict: "a map, {like: this}",
}
_CLIMBS = re.compile(r"^[^#\n]*\blab\.prove\(", re.MULTILINE)


@dataclass(frozen=True)
class Equal:
    """One more field of the twins' records that must be equal, for the proof."""

    field: str
    what: str
    """What it is, for a reader."""
    bound: float | None = None
    """The largest difference allowed; None for the course's own bound."""
    because: str = ""
    """Why the bound is another than the course's."""


@dataclass(frozen=True)
class Lab:
    """The ``lab:`` part of a chapter's front matter."""

    name: str
    difficulty: str
    needs: dict[str, str] = field(default_factory=dict)
    """What the lab needs beyond the two frameworks: module to pip requirement."""
    claims: tuple[str, ...] = ()
    """Topics whose claims stand at the chapter's head."""
    equal: tuple[Equal, ...] = ()
    """What else the proof compares, beside the ladder."""
    ladder: tuple[str, ...] | None = None
    """What must have taken effect in training for the ladder to count; None owes no ladder."""
    no_ladder: str = ""
    """Why the chapter owes no ladder."""
    budget: str = ""
    """Why the chapter is over its budget, see `labkit.press.budget`; empty for one within it."""
    third: str = ""
    """The step whose training a page does again in JavaScript, see `labkit.press.third`."""


@dataclass
class Cell:
    """One cell of a chapter, as written."""

    kind: str
    """``"markdown"`` or ``"code"``."""
    source: str
    tags: tuple[str, ...]
    line: int
    """Where it begins in the chapter's text, which knows the file: `Text.place`."""
    metadata: dict[str, Any]
    id: str = ""
    """Stable: made of the step's name, or of the section's title and a count."""
    step: str | None = None
    but: dict[str, str] | None = None
    """What a wrong answer has in the place of a piece of the solution."""

    @property
    def framework(self) -> str | None:
        """``"pytorch"``, ``"tensorflow"``, or None for a cell of both twins."""
        return next((f for f in FRAMEWORKS if f in self.tags), None)

    @property
    def role(self) -> str | None:
        """``"exercise"``, ``"check"``, one of `ANSWERS`, or None."""
        return next((r for r in ROLES if r in self.tags), None)

    @property
    def raises(self) -> str | None:
        """The error that the cell is meant to raise."""
        return next((t[7:] for t in self.tags if t.startswith("raises:")), None)


@dataclass(frozen=True)
class Exercise:
    """One exercise of one twin."""

    starter: Cell
    check: Cell
    solution: Cell
    right: tuple[Cell, ...]
    """Further answers that must pass."""
    wrong: tuple[Cell, ...]

    @property
    def to_mend(self) -> bool:
        """Whether its starter is faulty code, rather than a blank cell."""
        return "mend" in self.starter.tags


@dataclass
class Chapter:
    """A chapter's source, checked."""

    path: Path
    title: str
    lab: Lab
    cells: list[Cell]
    metadata: dict[str, Any]
    text: Text
    asks: list[Predict | Try]
    """What it asks of the reader, in order."""

    @property
    def name(self) -> str:
        """The chapter's name, that of its file and of its folder of notebooks."""
        return self.lab.name

    @property
    def ladder_step(self) -> str | None:
        """The step whose cells call ``lab.prove(…)``, None where no ladder is owed."""
        calls = (c for c in self.cells if c.kind == "code" and _CLIMBS.search(c.source))
        return next((c.step for c in calls if c.step and c.role is None), None)

    def cells_of(self, framework: str) -> list[Cell]:
        """Return the cells of one twin: its own and the shared ones."""
        return [c for c in self.cells if c.framework in (None, framework)]

    def exercises_of(self, framework: str) -> list[Exercise]:
        """Return the exercises of one twin, in order."""
        found: list[dict[str, list[Cell]]] = []
        for cell in self.cells_of(framework):
            if cell.role == "exercise":
                found.append({role: [] for role in ROLES})
            if cell.role:
                found[-1][cell.role].append(cell)
        return [
            Exercise(
                starter=parts["exercise"][0],
                check=parts["check"][0],
                solution=parts["solution"][0],
                right=tuple(parts["right"]),
                wrong=tuple(parts["wrong"]),
            )
            for parts in found
        ]

    @property
    def predictions(self) -> list[Predict]:
        """What it asks the reader to predict, in order."""
        return [a for a in self.asks if isinstance(a, Predict)]

    @property
    def tries(self) -> list[Try]:
        """What it asks the reader to try, in order."""
        return [a for a in self.asks if isinstance(a, Try)]

    def again(self, edit: Try, framework: str) -> list[Cell]:
        """Return the cells of one twin that an edit is tried in, with the edit made."""
        own = {c.step: c for c in self.cells_of(framework) if c.step}
        return [replace(own[s], source=edit.code(own[s].source)) for s in edit.again]


def is_chapter(text: str) -> bool:
    """Say whether a Markdown file is meant as a chapter with twins, rather than a plain page.

    One with broken front matter still is: it must not be passed over in silence.
    """
    return bool(re.search(r"^(```\{code-cell\}|lab:|kernelspec:)", text, re.MULTILINE))


def chapters(root: Path) -> list[Path]:
    """Return the files of all chapters below `root`, sorted by name; not those of exercises.

    Raises
    ------
    SourceError
        When there are exercises without their chapter: they would be passed over in silence.
    """
    files = sorted((root / "chapters").glob("*.md"))
    found = [
        f
        for f in files
        if not f.name.endswith(EXERCISES)
        and is_chapter(f.read_text(encoding="utf-8", errors="replace"))
    ]
    for file in files:
        if file.name.endswith(EXERCISES) and file not in map(exercises, found):
            name = file.name.removesuffix(EXERCISES) + ".md"
            raise SourceError(file, None, f"exercises without a chapter: there is no {name}")
    return found


def exercises(path: Path) -> Path:
    """Return where the exercises of a chapter's file stand, if not in the file itself."""
    return path.with_name(path.stem + EXERCISES)


def files(path: Path) -> list[Path]:
    """Return the files that a chapter is read from, its own first."""
    return [f for f in (path, exercises(path)) if f == path or f.is_file()]


def load(path: Path) -> Chapter:
    """Read a chapter's files and check them; see `parse`."""
    return parse(read_text(path), path)


def parse(text: str, path: Path, rest: str | None = None) -> Chapter:
    """Read a chapter and check everything that can be checked without running it.

    Parameters
    ----------
    text
        What stands in the chapter's file.
    path
        That file.
    rest
        What stands in the file of its exercises; None for what stands there now, if there is one.

    Raises
    ------
    SourceError
        For the first thing that is wrong, with its file and line.
    """
    if rest is None:
        rest = next(map(read_text, files(path)[1:]), None)
    if rest is None:
        return _parse(Text(path, text))
    if rest.split("\n", 1)[0].rstrip() != HEADING:
        raise SourceError(exercises(path), 1, f"begin the exercises with the line {HEADING!r}")
    whole = Text.joined(path, text, exercises(path), rest)
    with whole.located():
        return _parse(whole)


def _parse(whole: Text) -> Chapter:
    text, path = whole.whole, whole.path
    lab, metadata = _front_matter(text, path)
    _check_syntax(text, path)
    try:
        notebook = myst_to_notebook(text, add_source_map=True)
    except Exception as error:  # jupytext raises several kinds for one reason
        raise SourceError(path, None, f"a cell's options cannot be read: {error}") from error
    cells = []
    numbered = text.splitlines()
    for source, begin in zip(notebook.cells, notebook.metadata["source_map"], strict=True):
        but = "but" in source.metadata
        line = begin + 1 if but else _first_line(numbered, begin, source.source)
        own = dict(source.metadata)
        for key, value in own.items():
            _check_kind(key, value, _KINDS.get(key, object), path, line)
        tags = tuple(own.pop("tags", ()))
        if "check" in tags and "hide-input" not in tags:
            tags += ("hide-input",)  # what it compares with is not for the reader
        step = own.pop("step", None)
        edit = own.pop("but", None)
        cells.append(Cell(source.cell_type, source.source, tags, line, own, step=step, but=edit))
    title = _split_title(cells, path)
    _check_tags(cells, path)
    _check_headings(cells, whole)
    _check_exercises(cells, path)
    _write_answers(cells, path)
    _check_steps(cells, whole)
    _check_ladder(cells, lab, path, metadata["lab"].lines["ladder"])
    if lab.third and lab.third not in (steps := {c.step for c in cells if c.step}):
        message = f"lab.third: no step {lab.third!r}; {did_you_mean(lab.third, steps)}"
        raise SourceError(path, metadata["lab"].lines["third"], message)
    _name(cells)
    chapter = Chapter(path, title, lab, cells, metadata, whole, list(_asks(cells, path)))
    _check_asks(chapter)
    return chapter


def _slug(title: str) -> str:
    """Return a heading as a short name: lower-case letters, digits and hyphens."""
    return re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-")[:40] or "section"


def _check_syntax(text: str, path: Path) -> None:
    """Check cells' fences, options and metadata, whose errors jupytext reports without a line."""
    lines = text.splitlines()
    number = 0
    while number < len(lines):
        if lines[number].startswith("+++ "):
            _check_json(lines[number][4:], path, number + 1)
        if lines[number].startswith("```{code-cell}"):
            end = next((n for n in range(number + 1, len(lines)) if lines[n] == "```"), None)
            inside = lines[number + 1 : end]
            if end is None or any(line.startswith("```{") for line in inside):
                raise SourceError(path, number + 1, "the cell is never closed; end it with ```")
            _check_options(inside, path, number + 2)
            number = end
        number += 1


def _check_options(lines: list[str], path: Path, first: int) -> None:
    seen: set[str] = set()
    if lines[:1] == ["---"]:
        raise SourceError(path, first, "write a cell's options as lines, `:tags: [solo]`")
    for number, line in enumerate(lines, first):
        option = re.match(r":([\w-]+):(.*)", line)
        if not option:
            return
        value = fields.parse(option[2], path, f"option {option[1]!r}", number)
        if option[1] in seen:
            raise SourceError(path, number, f"option {option[1]!r} stands twice; take one out")
        seen.add(option[1])
        _check_kind(option[1], value, _KINDS.get(option[1], object), path, number)


def _check_json(text: str, path: Path, line: int) -> None:
    try:
        value = json.loads(text, object_pairs_hook=_without_twice)
    except (ValueError, RecursionError) as error:
        message = f'what follows +++ is no JSON ({error}); write +++ {{"tags": ["pytorch"]}}'
        raise SourceError(path, line, message) from error
    if not isinstance(value, dict):
        raise SourceError(path, line, 'what follows +++ is no map; write +++ {"tags": ["pytorch"]}')
    for key in value:
        if key != "tags":
            raise SourceError(path, line, f"unknown key {key!r}; did you mean 'tags'?")
        _check_kind(key, value[key], list, path, line)


def _without_twice(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len(dict(pairs)) < len(pairs):
        raise ValueError("a key stands twice")
    return dict(pairs)


def _check_kind(name: str, value: Any, kind: type[Any], path: Path, line: int) -> None:
    listed = not isinstance(value, list) or all(isinstance(v, str) for v in value)
    if not isinstance(value, kind) or not listed:
        words = _KIND_WORDS.get(kind, "given")
        raise SourceError(path, line, f"{name} must be {words}, not {reprlib.repr(value)}")
    if name == "but" and not all(isinstance(v, str) for pair in value.items() for v in pair):
        raise SourceError(path, line, 'but must be a map of texts, {"old": "new"}')
    if name == "mystnb" and not isinstance(value.get("image", {}), dict):
        raise SourceError(path, line, "mystnb: image must be a map, {image: {alt: …}}")


def _first_line(lines: list[str], begin: int, source: str) -> int:
    """Return the line, from 1, on which a cell's own first line stands.

    The source map counts options and blank lines in.
    """
    first = source.split("\n", 1)[0]
    for number in range(begin, len(lines)):
        if lines[number] == first:
            return number + 1
    return begin + 1


def _front_matter(text: str, path: Path) -> tuple[Lab, dict[str, Any]]:
    parts = text.split("\n---", 1)
    if not text.startswith("---") or len(parts) != 2:
        raise SourceError(path, 1, "has no front matter: begin with --- and close it with ---")
    metadata = fields.parse(parts[0][3:], path, "the front matter")
    if not isinstance(metadata, fields.Map) or not isinstance(metadata.get("lab"), fields.Map):
        line = text[: text.find("\nlab:") + 1].count("\n") + 1
        raise SourceError(path, line, "the front matter has no `lab:` with name, difficulty, …")
    return _lab(Fields(metadata["lab"], path, "lab", metadata.lines["lab"])), metadata


def _lab(given: Fields) -> Lab:
    """Read the ``lab:`` part of the front matter."""
    given.only(set(Lab.__dataclass_fields__) - {"no_ladder"})
    name, stem = given.word("name"), given.path.stem
    if name != stem:
        raise given.error(f"`name` is {name!r}, the file {stem!r}; make them one", "name")
    difficulty = given.text("difficulty")
    if difficulty not in DIFFICULTIES:
        hint = did_you_mean(difficulty, DIFFICULTIES)
        raise given.error(f"`difficulty` is {difficulty!r}; {hint}", "difficulty")
    ladder, no_ladder = _ladder(given)
    equal = given.part("equal")
    return Lab(
        name,
        difficulty,
        needs=_needs(given.part("needs")),
        claims=given.texts("claims"),
        equal=tuple(_equal(equal, row) for row in equal),
        ladder=ladder,
        no_ladder=no_ladder,
        budget=given.text("budget", ""),
        third=given.text("third", ""),
    )


def _needs(given: Fields) -> dict[str, str]:
    """Read what a lab needs: modules that Python can import, requirements that pip takes."""
    for module in given:
        if not re.fullmatch(r"[A-Za-z_]\w*", module):
            raise given.error(f"{module!r} is no module's name", module)
        try:
            Requirement(given.text(module))
        except InvalidRequirement as error:
            said = str(error).splitlines()[0]
            raise given.error(f"{module!r}: pip does not take that ({said})", module) from error
    return dict(given.content)


def _ladder(given: Fields) -> tuple[tuple[str, ...] | None, str]:
    """Read ``lab.ladder``: a list of words, or the sentence that says why there is no ladder."""
    if isinstance(given.content.get("ladder"), str):
        return None, given.text("ladder")
    if "ladder" not in given:
        message = (
            "`ladder` is missing: list what has to take effect in training, [] for nothing in "
            "particular; or say in a sentence why the chapter needs no ladder"
        )
        raise given.error(message)
    words = given.texts("ladder")
    if len(set(words)) < len(words):
        raise given.error("`ladder` names one thing twice", "ladder")
    return words, ""


def _equal(given: Fields, name: str) -> Equal:
    """Read one row of ``lab.equal``: ``field: {what: …, bound: …, because: …}``."""
    if not re.fullmatch(r"[A-Za-z_]\w*", name):
        raise given.error(f"{name!r} is no field of a record", name)
    if isinstance(given.content[name], str):
        return Equal(name, given.text(name))
    row = given.part(name)
    row.only(("what", "bound", "because"))
    what, bound, because = row.text("what"), row.bound("bound"), row.text("because", "")
    if (bound is None) == bool(because):
        raise row.error("a `bound` of its own needs `because`, and there is no reason without one")
    return Equal(name, what, bound, because)


def _split_title(cells: list[Cell], path: Path) -> str:
    """Make the chapter's title a cell of its own, and return it."""
    first = cells[0] if cells else None
    found = re.match(r"# (.+)", first.source) if first and first.kind == "markdown" else None
    if first is None or found is None:
        raise SourceError(path, first.line if first else 1, "begins with no title: write `# …`")
    body = first.source[found.end() :]
    blank = len(body) - len(body.lstrip("\n"))
    if body.strip():
        rest = Cell("markdown", body.strip("\n"), first.tags, first.line + blank, {})
        cells.insert(1, rest)
    cells[0] = Cell("markdown", found[0], (), first.line, {})
    for cell in (c for c in cells[1:] if c.kind == "markdown"):
        for offset, depth, title in headings(cell.source):
            if depth == 1:
                message = f"a second title, {title!r}; sections begin with ##"
                raise SourceError(path, cell.line + offset, message)
    if re.search(r"[][<>]", found[1]):
        message = "the title holds <, >, [ or ]; it stands in links and tabs, so use plain words"
        raise SourceError(path, first.line, message)
    return found[1].strip()


def _check_headings(cells: list[Cell], text: Text) -> None:
    """Deep links are made of headings and labels: none may stand twice."""
    seen: dict[str, int] = {}
    for cell in (c for c in cells if c.kind == "markdown"):
        for offset, _, title in headings(cell.source):
            _once(f"heading {title!r}", title.casefold(), cell.line + offset, seen, text)
        for offset, label in labels(cell.source):
            _once(f"label {label!r}", f"({label})", cell.line + offset, seen, text)


def _once(what: str, key: str, line: int, seen: dict[str, int], text: Text) -> None:
    if key in seen:
        path, first = text.place(seen[key])
        where = f"line {first}" if path == text.place(line)[0] else f"{path}:{first}"
        raise text.error(line, f"duplicate {what}, first in {where}; rename one")
    seen[key] = line


def _check_tags(cells: list[Cell], path: Path) -> None:
    for cell in cells:
        for tag in cell.tags:
            if tag not in TAGS and not re.fullmatch(r"raises:[A-Za-z_.]+", tag):
                raise SourceError(
                    path, cell.line, f"unknown tag {tag!r}; {did_you_mean(tag, TAGS)}"
                )
        if all(f in cell.tags for f in FRAMEWORKS):
            raise SourceError(path, cell.line, "both frameworks' tags: leave out both for both")
        if "mend" in cell.tags and cell.role != "exercise":
            message = "tag 'mend' is for a starter that is faulty code; tag it `exercise`, too"
            raise SourceError(path, cell.line, message)
        if cell.kind == "markdown":
            for tag in cell.tags:
                if tag not in FRAMEWORKS:
                    message = f"tag {tag!r} on prose, which may be for pytorch or tensorflow alone"
                    raise SourceError(path, cell.line, message)
            if cell.framework:
                for offset, _, title in headings(cell.source):
                    message = f"heading {title!r} in prose for one framework; end it with +++"
                    raise SourceError(path, cell.line + offset, message)
            continue
        if "differs" in cell.tags and (cell.framework or "compare" in cell.tags):
            message = (
                "tag 'differs' is for a shared cell whose output is not the same in both twins; "
                "take it out here"
            )
            raise SourceError(path, cell.line, message)
        for option in cell.metadata:
            if option not in OPTIONS:
                hint = did_you_mean(option, OPTIONS)
                raise SourceError(path, cell.line, f"unknown cell option {option!r}; {hint}")
        for offset, line in enumerate(cell.source.splitlines()):
            if len(line) > WIDTH:
                message = f"{len(line)} columns of code; break the line at {WIDTH}"
                raise SourceError(path, cell.line + offset, message)


def _check_steps(cells: list[Cell], text: Text) -> None:
    """Pair each PyTorch cell with the TensorFlow cell after it, and check the steps' names."""
    path = text.path
    seen: dict[str, int] = {}
    pending: Cell | None = None
    for cell in cells:
        if pending is not None:
            if cell.kind != "code" or cell.framework != "tensorflow" or cell.role != pending.role:
                raise _unpaired(pending, path)
            if cell.step not in (None, pending.step):
                raise SourceError(path, cell.line, "a step's name stands in its PyTorch cell alone")
            cell.step, pending = pending.step, None
            continue
        if cell.kind != "code":
            continue
        if cell.framework and "solo" not in cell.tags:
            if cell.framework == "tensorflow":
                raise _unpaired(cell, path)
            if cell.step is None:
                message = "a step has no name: give its PyTorch cell `:step: some-name`"
                raise SourceError(path, cell.line, message)
            pending = cell
        if cell.step is not None:
            taken = cell.step in RESERVED or cell.step.endswith(tuple(f"-{f}" for f in FRAMEWORKS))
            if taken or not re.fullmatch(r"[a-z0-9-]{1,40}", cell.step):
                message = (
                    f"step {cell.step!r}: use up to 40 lower-case letters, digits and hyphens, "
                    "neither setup nor title, and no framework at its end"
                )
                raise SourceError(path, cell.line, message)
            _once(f"step {cell.step!r}", cell.step, cell.line, seen, text)
    if pending is not None:
        raise _unpaired(pending, path)


def _unpaired(cell: Cell, path: Path) -> SourceError:
    other = "TensorFlow" if cell.framework == "pytorch" else "PyTorch"
    where = "follows directly" if cell.framework == "pytorch" else "stands directly before it"
    return SourceError(
        path,
        cell.line,
        f"{FRAMEWORKS[str(cell.framework)]} cell without a twin: no {other} cell {where}; "
        "write one, or tag this cell `solo` and say in the prose why there is none",
    )


def _check_exercises(cells: list[Cell], path: Path) -> None:
    """Exercises run starter, check, solution, right and wrong answers; each for both twins."""
    order = {
        "exercise": ("check",),
        "check": ("solution",),
        "solution": ("right", "wrong"),
        "right": ("right", "wrong"),
        "wrong": ("wrong", "exercise"),
        None: ("exercise",),
    }
    last: Cell | None = None
    for cell in (c for c in cells if c.kind == "code"):
        before = last.role if last else None
        if cell.role is None:
            if last and before != "wrong":
                raise _incomplete(last, path)
            last = None
            continue
        pair = before == cell.role and cell.framework == "tensorflow"
        if not pair and cell.role not in order[before]:
            message = (
                f"a cell tagged {cell.role!r} after {before or 'an ordinary cell'}; an exercise "
                "runs exercise, check, solution, right (none or more), wrong (one or more)"
            )
            raise SourceError(path, cell.line, message)
        last = cell
    if last and last.role != "wrong":
        raise _incomplete(last, path)


def _write_answers(cells: list[Cell], path: Path) -> None:
    """Give further answers the code that they say as an edit of the solution, and names."""
    exercise: list[Cell] = []
    for cell in (c for c in cells if c.kind == "code"):
        if cell.role not in ("right", "wrong"):
            if cell.but is not None:
                message = "`:but:` is for a cell tagged `wrong` or `right`"
                raise SourceError(path, cell.line, message)
            exercise = [] if cell.role in (None, "exercise") else exercise
            exercise.append(cell)
            continue
        exercise.append(cell)
        solutions = [c for c in exercise if c.role == "solution"]
        if cell.but is not None:
            _edit_solution(cell, solutions, path)
        name = solutions[0].step
        if cell.step is None and cell.framework != "tensorflow" and name:
            alike = [c for c in exercise if c.role == cell.role and c.framework != "tensorflow"]
            cell.step = f"{name.removesuffix('-solution')}-{cell.role}-{len(alike)}"


def _edit_solution(answer: Cell, solutions: list[Cell], path: Path) -> None:
    """Make another answer of its twin's solution, with each old text replaced."""
    if answer.source.strip():
        raise SourceError(path, answer.line, "`:but:` and code in one cell; take one of them out")
    own = [s for s in solutions if s.framework in (None, answer.framework)]
    if not own:
        message = "each twin has its own solution; write this as a PyTorch and a TensorFlow cell"
        raise SourceError(path, answer.line, message)
    source, places = own[0].source, []
    for old, new in (answer.but or {"": ""}).items():
        count = source.count(old) if old else 0
        if count != 1 or old == new:
            fault = "changes nothing" if not old or old == new else f"stands there {count} times"
            message = f"{old!r} {fault}; `:but:` replaces what the solution holds once"
            raise SourceError(path, answer.line, message)
        places.append((source.index(old), old, new))
    # From the end, so that no text is sought in what another has put there.
    end = len(source)
    for begin, old, new in sorted(places, reverse=True):
        if begin + len(old) > end:
            raise SourceError(path, answer.line, f"{old!r} overlaps with another old text")
        source, end = source[:begin] + new + source[begin + len(old) :], begin
    answer.source = source


def _incomplete(cell: Cell, path: Path) -> SourceError:
    return SourceError(
        path,
        cell.line,
        f"the exercise ends with {cell.role!r}; an exercise has a starter (`exercise`), a "
        "`check`, a `solution` and at least one `wrong` answer",
    )


def _check_ladder(cells: list[Cell], lab: Lab, path: Path, line: int) -> None:
    """Demand the step that climbs the ladder where one is owed, and none elsewhere.

    `line` is that of ``ladder`` in the front matter.
    """
    calls = [c for c in cells if c.kind == "code" and _CLIMBS.search(c.source)]
    if lab.ladder is None and calls:
        message = (
            "calls lab.prove(…), and the front matter's lab.ladder says why no ladder is needed; "
            "write `ladder: []` there, or take the call out"
        )
        raise SourceError(path, calls[0].line, message)
    climbing = {c.framework for c in calls if c.step == "ladder" and c.role is None}
    if lab.ladder is not None and not climbing.issuperset(FRAMEWORKS):
        missing = next(name for key, name in FRAMEWORKS.items() if key not in climbing)
        message = (
            f"a ladder is owed, and no {missing} cell of a step named `ladder` calls lab.prove(…); "
            "write that step, or say here why none is needed"
        )
        raise SourceError(path, line, message)


def _asks(cells: list[Cell], path: Path) -> Iterator[Predict | Try]:
    for cell in (c for c in cells if c.kind == "markdown"):
        yield from asks(cell.source, path, cell.line)


def _check_asks(chapter: Chapter) -> None:
    """Check names, which are ids in the page, and that each edit can be made in both twins."""
    seen: dict[str, int] = {}
    for found in chapter.asks:
        _once(f"name {found.name!r}", found.name, found.line, seen, chapter.text)
    for edit in chapter.tries:
        unused = set(edit.edit)
        for framework, name in FRAMEWORKS.items():
            own = {c.step: c for c in chapter.cells_of(framework) if c.step and c.role is None}
            for step in edit.again:
                if step not in own:
                    hint = did_you_mean(step, own)
                    raise chapter.text.error(edit.line, f"{{try}}: no step {step!r}; {hint}")
            sources = [own[step].source for step in edit.again]
            counts = {old: sum(s.count(old) for s in sources) for old in edit.edit}
            if max(counts.values()) != 1:
                message = (
                    f"{{try}}: the steps run again in {name} hold none of the old texts once: "
                    + ", ".join(f"{old!r} {count} times" for old, count in counts.items())
                )
                raise chapter.text.error(edit.line, message)
            unused -= {old for old, count in counts.items() if count}
        if unused:
            message = f"{{try}}: {min(unused)!r} stands in neither twin's steps run again"
            raise chapter.text.error(edit.line, message)


def _name(cells: list[Cell]) -> None:
    """Give each cell its id: its step's name, or its section's with a count."""
    cells[0].id = "title"
    used = {*RESERVED}
    for cell in cells:
        if cell.step:
            cell.id = f"{cell.step}-{cell.framework}" if cell.framework else cell.step
            used.add(cell.id)
    section, count = "start", 0
    for cell in cells[1:]:
        if cell.kind == "markdown" and (found := [t for _, _, t in headings(cell.source)]):
            section, count = _slug(found[-1]), 0
        while not cell.id:
            count += 1
            if f"{section}-{count}" not in used:
                cell.id = f"{section}-{count}"
                used.add(cell.id)
