"""What a chapter's prose says of its outputs, held against the outputs.

A sentence that claims something of an output carries a comment on the line after its paragraph,
which neither book nor notebook shows:

    It is above: a confident guesser does worse than one who knows nothing and says so.
    % says "It is above": number("loss") > 2.3026

The words in quotes must stand in the prose above it, in the same cell, and the expression must be
true of the committed notebooks and records. A test looks at both. So it does at the expression of
a prediction, where ``answer`` is the number that is right, if one is asked for; and at that of an
edit to try, for which the last step has put out what came of it. An expression knows:

``printed(step)``
    What the step put out, figures as the text that stands for them.
``number(step, words="")``
    The first number in it, or the first right behind the words.
``numbers(step)``, ``found(step, pattern)``
    All numbers in it; those that the regular expression's one group finds.
``code(step)``
    The step's code.
``alike(step)``
    Whether both twins put out the same.
``exact``, ``measured``
    These parts of the twin's record.
``pytorch``, ``tensorflow``
    Both records, whole.
``gap(a, b)``, ``mean(values)``, ``rises(values)``
    The largest difference of two lists; the mean; how often a value is larger than the last.

``abs``, ``all``, ``any``, ``len``, ``max``, ``min``, ``round``, ``sum`` and ``str`` are Python's.
A step is named as in the chapter; a cell without a name by its section and place, as its id in the
notebook. Where the prose is for both twins, the expression is held against each; a function that
takes a step takes a framework's name, too, as its last argument, for one twin in particular.
"""

import copy
import itertools
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nbformat
from simpleeval import EvalWithCompoundTypes

from labkit import record
from labkit.press import asks, chapter, tries, weave

COMMENT = re.compile(r'^% says "(?P<words>[^"]+)": (?P<expression>.+)$')
NUMBER = re.compile(r"(?<![\w.])[-−]?\d[\d,_]*(?:\.\d+)?(?:e[-−+]?\d+)?", re.IGNORECASE)


@dataclass(frozen=True)
class Saying:
    """Some words of the prose, and the expression that must be true for them."""

    words: str
    expression: str
    line: int
    frameworks: tuple[str, ...]
    before: str
    """The prose of the same cell above it, in which the words must stand."""


def sayings(loaded: chapter.Chapter) -> Iterator[Saying]:
    """Yield what a chapter says of its outputs; raise for a comment that is not understood."""
    for cell in (c for c in loaded.cells if c.kind == "markdown"):
        lines = cell.source.splitlines()
        for place, line in enumerate(lines):
            if not line.startswith("% says"):
                continue
            where = cell.line + place
            if (match := COMMENT.match(line)) is None:
                form = '% says "words": expression'
                raise ValueError(f"{loaded.path.name}:{where}: {line!r} is not of the form {form}")
            frameworks = (cell.framework,) if cell.framework else tuple(chapter.FRAMEWORKS)
            before = " ".join("\n".join(lines[:place]).split())
            yield Saying(match["words"], match["expression"], where, frameworks, before)


def value(token: str) -> float:
    """Return the number that stands in a text: 19,466 or 18_496 or −1.5 or 1e-6."""
    return float(re.sub(r"[,_]", "", token).replace("−", "-").rstrip("."))


def numbers(text: str) -> list[float]:
    """Return all numbers of a text."""
    return [value(m[0]) for m in NUMBER.finditer(text)]


def output(cell: nbformat.NotebookNode) -> str:
    """Return what a cell put out, as text: a figure as the words that stand for it."""
    return "".join(
        o.text
        if o.output_type == "stream"
        else f"{o.ename}: {o.evalue}\n"
        if o.output_type == "error"
        else o.get("data", {}).get("text/plain", "") + "\n"
        for o in cell.outputs
    )


class Twins:
    """Both executed notebooks of a chapter and their records."""

    def __init__(self, root: Path, name: str) -> None:
        self.cells, self.records, self.tries = {}, {}, {}
        for framework in chapter.FRAMEWORKS:
            path = weave.notebook_path(root, name, framework)
            notebook = nbformat.read(path, as_version=4)
            self.cells[framework] = {c.id: c for c in notebook.cells if c.cell_type == "code"}
            file = root / "evidence" / "cpu" / f"{name}.{framework}.json"
            self.records[framework] = record.read(file)
            self.tries[framework] = tries.read(tries.path(root / "evidence", name, framework))

    def after(self, edit: asks.Try) -> "Twins":
        """Return the twins as they are when an edit was tried: its last step has put out that."""
        other = copy.copy(self)
        other.cells = {f: {**cells} for f, cells in self.cells.items()}
        for framework, results in self.tries.items():
            cell = copy.copy(self.cell(edit.again[-1], framework))
            cell.outputs = results[edit.name]
            other.cells[framework][cell.id] = cell
        return other

    def cell(self, step: str, framework: str) -> nbformat.NotebookNode:
        """Return the twin's cell of a step."""
        cells = self.cells[framework]
        for name in (f"{step}-{framework}", step):
            if name in cells:
                return cells[name]
        raise KeyError(f"the {framework} notebook has no step {step!r}")

    def printed(self, step: str, framework: str) -> str:
        """Return what a step put out."""
        return output(self.cell(step, framework))

    def true(self, expression: str, framework: str, **more: Any) -> bool:
        """Say whether an expression, which may use `more` names, is true of one twin."""
        names = {
            **{part: self.records[framework][part] for part in ("exact", "measured")},
            **self.records,
            **more,
        }
        functions = {**PLAIN, **self._functions(framework)}
        return EvalWithCompoundTypes(names=names, functions=functions).eval(expression) is True

    def _functions(self, own: str) -> dict[str, Callable[..., Any]]:
        def found(step: str, pattern: str, framework: str = own) -> list[float]:
            return [value(v) for v in re.findall(pattern, self.printed(step, framework), re.M)]

        def number(step: str, words: str = "", framework: str = own) -> float:
            printed = self.printed(step, framework)
            return numbers(printed.partition(words)[2] if words else printed)[0]

        return {
            "printed": lambda step, framework=own: self.printed(step, framework),
            "number": number,
            "numbers": lambda step, framework=own: numbers(self.printed(step, framework)),
            "found": found,
            "code": lambda step, framework=own: self.cell(step, framework).source,
            "alike": lambda step: len({self.printed(step, f) for f in chapter.FRAMEWORKS}) == 1,
        }


PLAIN: dict[str, Callable[..., Any]] = {
    **{f.__name__: f for f in (abs, all, any, len, max, min, round, sum, str)},
    "gap": lambda a, b: max(abs(x - y) for x, y in zip(a, b, strict=True)),
    "mean": lambda values: sum(values) / len(values),
    "rises": lambda values: sum(b > a for a, b in itertools.pairwise(values)),
}
