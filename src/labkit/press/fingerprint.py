"""What decides a notebook's outputs, and what decides its timings, each as one digest.

Both are made of syntax trees, so that words about the code decide nothing.
"""

import ast
import hashlib
import json
import re
import symtable
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from labkit import programs, record
from labkit.press.chapter import ANSWERS, Chapter

HOME = Path(record.__file__).parent
"""The learner's wing."""


def of_code(cells: Iterable[tuple[str, Any]]) -> str:
    """Return a digest of all that decides a notebook's outputs, but for versions.

    That is its code and the modules of labkit that the code reaches.

    Parameters
    ----------
    cells
        Source and metadata of each code cell, in order, without the set-up cell's (an address
        decides nothing).
    """
    code = list(cells)
    return _digest(code, [_module(file) for file in labkit_files(*(s for s, _ in code))])


def of_timings(cells: Iterable[tuple[str, Sequence[str]]]) -> str | None:
    """Return a digest of the code that takes a notebook's timings, None where it takes none.

    That is the cells tagged ``measured`` and what is recorded as measured, with the statements
    above that these reach, by the names they use, and the modules of labkit reached. What a call
    does to an object made before is not seen.

    Parameters
    ----------
    cells
        Source and tags of each code cell, in order, without the set-up cell.
    """
    statements = list(_statements(cells))
    roots = [n for n, s in enumerate(statements) if s.measured]
    reached = sorted(_reached(statements, roots))
    if not reached:
        return None
    nodes = [statements[n].node for n in reached]
    files = labkit_files(*(ast.unparse(node) for node in nodes), always=())
    return _digest([_tree(node) for node in nodes], [_module(f) for f in files])


def of_chapter_timings(chapter: Chapter, framework: str) -> str | None:
    """Return `of_timings` for one twin of a chapter."""
    # As in the notebook, which holds no solutions.
    kept = [c for c in chapter.cells_of(framework) if c.kind == "code" and c.role not in ANSWERS]
    return of_timings((c.source, c.tags) for c in kept)


def labkit_files(*codes: str, always: Iterable[str] = ("session",)) -> list[Path]:
    """Return the files of labkit's learner's wing that some pieces of code reach, sorted.

    A notebook's session is reached `always`; a training program by its name, ``chapter/program``,
    with what it shares with those beside it.
    """
    queue = [*always, *(name for code in codes for name in _reached_by(code))]
    found: set[Path] = set()
    while queue:
        file = HOME / f"{queue.pop()}.py"
        if file not in found and file.is_file():
            found.add(file)
            queue += _imported_by(file.read_text(encoding="utf-8"))
    return sorted(found.union(*map(_programs_of, codes)))


# Both twins hold most cells, and all reach the same few modules: each text is looked at once.
@cache
def _reached_by(cell: str) -> list[str]:
    return list(_modules(parse(cell)))


@cache
def _programs_of(cell: str) -> frozenset[Path]:
    """Return the files of the training programs that a cell names."""
    found: set[Path] = set()
    for node in ast.walk(parse(cell)):
        text = node.value if isinstance(node, ast.Constant) else None
        if isinstance(text, str) and re.fullmatch(r"[\w-]+/\w+", text):
            with suppress(programs.ProgramError):
                program = programs.find(text)
                found.update([program, *program.parent.glob("shared*.py")])
    return frozenset(found)


@cache
def _imported_by(module: str) -> list[str]:
    return list(_modules(ast.parse(module)))


def parse(source: str) -> ast.Module:
    """Parse a cell; magics and shell lines, which are no Python, are passed over.

    A cell that still is no Python is one string.
    """
    plain = re.sub(r"^(\s*)[%!].*$", r"\1pass", source, flags=re.MULTILINE)
    try:
        return ast.parse(plain)
    except SyntaxError:
        return ast.Module([ast.Expr(ast.Constant(source))], [])


def _modules(tree: ast.AST) -> Iterator[str]:
    """Name the modules of labkit that some code imports or uses."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            if isinstance(node.value, ast.Name) and node.value.id == "labkit":
                yield node.attr
        elif isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "labkit":
            module = (node.module or "").partition(".")[2]
            yield from [module] if module else [alias.name for alias in node.names]
        elif isinstance(node, ast.Import):
            names = [alias.name.split(".") for alias in node.names]
            yield from (parts[1] for parts in names if parts[0] == "labkit" and len(parts) > 1)


@dataclass(frozen=True)
class _Statement:
    """One statement at the top of a cell."""

    node: ast.AST
    measured: bool
    """Whether it takes timings, or hands them to the record."""
    uses: frozenset[str]
    """Names from outside that it reads, now or, in a function's body, when called."""
    makes: frozenset[str]
    """Names that it binds, or whose items or attributes it sets."""
    anew: bool
    """Whether it binds them for certain, so that what they were before counts no more."""


def _statements(cells: Iterable[tuple[str, Sequence[str]]]) -> Iterator[_Statement]:
    for source, tags in cells:
        yield from _of_cell(source, "measured" in tags)


@cache
def _of_cell(source: str, measured: bool) -> list[_Statement]:
    found = []
    for node in parse(source).body:
        found.append(_statement(node, measured))
        if not measured:
            found += [_statement(v, True) for v in _recorded(node)]
    return found


def _recorded(node: ast.AST) -> list[ast.expr]:
    """Return what a statement hands over as ``measured=``."""
    calls = [n for n in ast.walk(node) if isinstance(n, ast.Call)]
    return [k.value for call in calls for k in call.keywords if k.arg == "measured"]


def _statement(node: ast.AST, measured: bool) -> _Statement:
    table = symtable.symtable(ast.unparse(node), "cell", "exec")
    made = {s.get_name() for s in table.get_symbols() if s.is_assigned() or s.is_imported()}
    inside = {_name(n) for n in _stores(node)}
    later = {name for child in table.get_children() for name in _globals(child)}
    anew = ast.FunctionDef | ast.ClassDef | ast.Import | ast.ImportFrom | ast.Assign
    return _Statement(
        node,
        measured,
        frozenset(_reads(node) | (later - made)),
        frozenset({*made, *inside} - {""}),
        isinstance(node, anew) and not inside,
    )


_IN_ORDER: dict[type[ast.AST], tuple[str, ...]] = {
    ast.Assign: ("value", "targets"),
    ast.AugAssign: ("value", "target"),
    ast.For: ("iter", "target", "body", "orelse"),
    # Bodies are looked at by their symbols: what they read is looked up when they are called.
    ast.FunctionDef: ("decorator_list", "args"),
    ast.Lambda: ("args",),
    ast.arguments: ("defaults", "kw_defaults"),
    ast.ClassDef: ("decorator_list", "bases", "keywords"),
    **dict.fromkeys((ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp), ("generators",)),
    ast.comprehension: ("iter",),
}
"""What is evaluated of a syntax node, and when, where that is not all in the order written."""


def _reads(node: ast.AST) -> set[str]:
    """Return the names that a statement reads before it binds them itself."""
    read: set[str] = set()
    bound: set[str] = set()

    def visit(node: ast.AST) -> None:
        if isinstance(node, ast.Name):
            (bound if isinstance(node.ctx, ast.Store) else read).update({node.id} - bound)
        if isinstance(node, ast.AugAssign):
            read.update({_name(node.target)} - bound)
        for field in _IN_ORDER.get(type(node), node._fields):
            value = getattr(node, field, None)
            parts = value if isinstance(value, list) else [value]
            # Of a comprehension's parts only the first is evaluated out here.
            for part in parts[:1] if field == "generators" else parts:
                if isinstance(part, ast.AST):
                    visit(part)

    visit(node)
    return read


def _name(node: ast.AST) -> str:
    """Return the name at the root of ``a.b[c].d``, empty for something else."""
    while isinstance(node, ast.Attribute | ast.Subscript):
        node = node.value
    return node.id if isinstance(node, ast.Name) else ""


def _globals(table: symtable.SymbolTable) -> Iterator[str]:
    """Name what the body of a function or class reads from outside."""
    for symbol in table.get_symbols():
        if symbol.is_referenced() and symbol.is_global():
            yield symbol.get_name()
    for child in table.get_children():
        yield from _globals(child)


def _reached(statements: Sequence[_Statement], roots: Iterable[int]) -> set[int]:
    """Return the places of the roots and of all statements above them that they build on."""
    found: set[int] = set()
    # A statement, and the place from which its names are looked up: a function's, where it is used.
    queue = [(place, place) for place in roots]
    seen = set(queue)
    while queue:
        place, used_at = queue.pop()
        found.add(place)
        for name in statements[place].uses:
            for source in _sources(statements, name, used_at):
                is_function = isinstance(statements[source].node, ast.FunctionDef | ast.ClassDef)
                pair = (source, used_at if is_function else source)
                if pair not in seen:
                    seen.add(pair)
                    queue.append(pair)
    return found


def _sources(statements: Sequence[_Statement], name: str, before: int) -> list[int]:
    """Return the statements that give a name its value: the last that binds it, and changes since.

    A name that is bound nowhere above comes from Python, or from the set-up cell.
    """
    found = []
    for place in range(before - 1, -1, -1):
        if name in statements[place].makes:
            found.append(place)
            if statements[place].anew:
                return found
    bound = (n for n in found if name not in {_name(t) for t in _stores(statements[n].node)})
    return found if list(bound) else []


def _stores(node: ast.AST) -> Iterator[ast.AST]:
    for n in ast.walk(node):
        if isinstance(n, ast.Attribute | ast.Subscript) and isinstance(n.ctx, ast.Store):
            yield n


@cache
def _module(file: Path) -> Any:
    """Return a module's syntax tree, without its name's folder."""
    return [file.name, _tree(ast.parse(file.read_text(encoding="utf-8")))]


def _tree(node: Any) -> Any:
    """Return a syntax tree as lists, the same in every Python, without docstrings."""
    if isinstance(node, list):
        return [_tree(n) for n in node if not _is_words(n)]
    if not isinstance(node, ast.AST):
        return repr(node)
    fields = ((name, value) for name, value in ast.iter_fields(node) if value not in (None, []))
    return [type(node).__name__, *([name, _tree(value)] for name, value in fields)]


def _is_words(node: Any) -> bool:
    return (
        isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
    )


def _digest(*parts: Any) -> str:
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:16]
