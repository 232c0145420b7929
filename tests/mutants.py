"""Mutants: a solution with one small mistake in it, of the kinds that people make.

Each whose answer differs must fail the check of its exercise. One that passes is listed where the
exercise stands, with the reason: `% survives "x.max(axis=1) → x.max()": one number will do, too`.
A word before the quotes, pytorch or tensorflow, says that it does so in that twin alone.
"""

import ast
import inspect
import re
from dataclasses import dataclass

import nbformat

SECONDS = 5
"""How long a mutant may compute (user time of the process, whatever else the machine does)."""
_LISTED = re.compile(r'% survives (?:(pytorch|tensorflow) )?"(.+)": (\S.+)')
_OTHERS = {
    "max": ("min", "mean"),
    "min": ("max", "mean"),
    "amax": ("amin",),
    "sum": ("mean",),
    "mean": ("sum",),
    "any": ("all",),
    "all": ("any",),
    "argmax": ("argmin",),
    "minimum": ("maximum",),
    "maximum": ("minimum",),
    "reduce_max": ("reduce_min", "reduce_mean"),
    "reduce_min": ("reduce_max",),
    "reduce_sum": ("reduce_mean",),
    "reduce_mean": ("reduce_sum",),
    "log2": ("log",),
    "ones": ("zeros",),
    "zeros": ("ones",),
    "assign_sub": ("assign_add", "assign"),
    "assign_add": ("assign_sub", "assign"),
}
"""What is easily taken for what."""
_OPERATORS = {
    ast.Add: ("-",),
    ast.Sub: ("+",),
    ast.Mult: ("/",),
    ast.Div: ("*",),
    ast.FloorDiv: ("/",),
    ast.Pow: ("*",),
    ast.Lt: ("<=", ">"),
    ast.LtE: ("<", ">="),
    ast.Gt: (">=", "<"),
    ast.GtE: (">", "<="),
    ast.Eq: ("!=",),
    ast.NotEq: ("==",),
}


@dataclass(frozen=True)
class Mutant:
    """A solution with one piece of its text replaced."""

    name: str
    """Old text and new, and the place where that alone is not clear."""
    source: str


def of(source):
    """Return the mutants of a solution's source, each text once."""
    tree = ast.parse(source)
    edits = {}
    for begin, end, new in sorted(_edits(tree, _Places(source))):
        if source[begin:end] != new:
            changed = source[:begin] + new + source[end:]
            edits.setdefault(changed, (begin, source[begin:end], new))
    # Blanks do not make a mutant, nor does what is no Python.
    edits = {text: edit for text, edit in edits.items() if _differs(text, tree)}
    names = [f"{_line(old)} → {_line(new)}" for _, old, new in edits.values()]
    for told in (_row, _column):
        names = [
            name + told(source, begin) if names.count(name) > 1 else name
            for name, (begin, _, _) in zip(names, edits.values(), strict=True)
        ]
    return [Mutant(name, text) for name, text in zip(names, edits, strict=True)]


def _row(source, place):
    return f" in line {source.count(chr(10), 0, place) + 1}"


def _column(source, place):
    return f", column {place - source.rfind(chr(10), 0, place)}"


def _differs(text, tree):
    try:
        return ast.dump(ast.parse(text)) != ast.dump(tree)
    except SyntaxError:
        return False


def _line(text):
    return " ".join(text.split()) or "nothing"


class _Places:
    """Where a tree's nodes stand in their source, as offsets."""

    def __init__(self, source):
        self.source = source
        self.lines = [0]
        for line in source.splitlines(keepends=True):
            self.lines.append(self.lines[-1] + len(line))

    def of(self, node):
        assert self.source.isascii(), "offsets are counted in bytes"
        begin = self.lines[node.lineno - 1] + node.col_offset
        return begin, self.lines[node.end_lineno - 1] + node.end_col_offset

    def text(self, node):
        begin, end = self.of(node)
        return self.source[begin:end]


def _edits(tree, places):
    """Yield begin, end and new text of each mistake."""
    for node in ast.walk(tree):
        for kind, mistakes in _MISTAKES.items():
            if isinstance(node, kind):
                yield from mistakes(node, places)


def _put(places, node, *texts):
    begin, end = places.of(node)
    for text in texts:
        yield begin, end, text


def _constants(node, places):
    value = node.value
    if isinstance(value, bool):
        yield from _put(places, node, str(not value))
    elif isinstance(value, int):
        yield from _put(places, node, str(value + 1), str(value - 1))
    elif isinstance(value, float):
        yield from _put(places, node, str(value * 2), str(value + 1))


def _calls(node, places):
    begin, end = places.of(node)
    inside = [*node.args, *(k.value for k in node.keywords)]
    # An argument dropped.
    if len(inside) > 1 or node.keywords or isinstance(node.func, ast.Attribute):
        pieces = [places.text(n) for n in [*node.args, *node.keywords]]
        for place in range(len(pieces)):
            kept = ", ".join(pieces[:place] + pieces[place + 1 :])
            yield begin, end, f"{places.text(node.func)}({kept})"
    # Two that stand side by side, in each other's place.
    for one, other in zip(node.args, node.args[1:], strict=False):
        yield from _swapped(places, one, other)
    # The call forgotten: its first argument alone, or what it is a method of.
    if node.args and not isinstance(node.args[0], ast.GeneratorExp | ast.Starred):
        yield begin, end, f"({places.text(node.args[0])})"
    if isinstance(node.func, ast.Attribute):
        yield begin, end, places.text(node.func.value)
    # A limit forgotten.
    named = node.func.attr if isinstance(node.func, ast.Attribute) else places.text(node.func)
    if named in ("min", "max", "minimum", "maximum", "clip", "clamp"):
        for argument in node.args:
            yield begin, end, f"({places.text(argument)})"


def _swapped(places, one, other):
    (begin, middle), (after, end) = places.of(one), places.of(other)
    first, second = places.text(one), places.text(other)
    yield begin, end, second + places.source[middle:after] + first


def _words(node, places):
    word = node.attr if isinstance(node, ast.Attribute) else node.id
    _, end = places.of(node)
    for other in _OTHERS.get(word, ()):
        yield end - len(word), end, other


def _operations(node, places):
    left, right = node.left, node.right
    begin, end = places.of(node)
    between = places.of(left)[1], places.of(right)[0]
    for other in _OPERATORS.get(type(node.op), ()):
        yield begin, end, f"{places.text(left)} {other} {places.text(right)}"
    # One side forgotten.
    yield from _put(places, node, f"({places.text(left)})", f"({places.text(right)})")
    if isinstance(node.op, ast.Sub | ast.Div | ast.MatMult | ast.FloorDiv):
        sign = places.source[slice(*between)]
        if "(" not in sign and ")" not in sign:
            yield begin, end, f"({places.text(right)}){sign}({places.text(left)})"


def _comparisons(node, places):
    if len(node.ops) == 1:
        begin, end = places.of(node)
        for other in _OPERATORS.get(type(node.ops[0]), ()):
            yield begin, end, f"{places.text(node.left)} {other} {places.text(node.comparators[0])}"


def _signs(node, places):
    if isinstance(node.op, ast.USub | ast.Not):
        yield from _put(places, node, f"({places.text(node.operand)})")


def _choices(node, places):
    yield from _put(places, node, f"({places.text(node.body)})", f"({places.text(node.orelse)})")


def _conditions(node, places):
    yield from _put(places, node.test, "True", "False")


def _filters(node, places):
    for condition in node.ifs:
        yield from _put(places, condition, "True")


def _rows(node, places):
    for one, other in zip(node.elts, node.elts[1:], strict=False):
        yield from _swapped(places, one, other)


def _slices(node, places):
    begin, end = places.of(node)
    bounds = [places.text(b) if b else "" for b in (node.lower, node.upper)]
    step = f":{places.text(node.step)}" if node.step else ""
    if bounds[0]:
        yield begin, end, f":{bounds[1]}{step}"
    if bounds[1]:
        yield begin, end, f"{bounds[0]}:{step}"


def _returns(node, places):
    if node.value is not None:
        yield from _put(places, node.value, "0", "None")


def _updates(node, places):
    """A step forgotten, or taken the other way."""
    yield from _put(places, node, "pass")
    begin, end = places.of(node)
    for other in _OPERATORS.get(type(node.op), ()):
        target, value = places.text(node.target), places.text(node.value)
        yield begin, end, f"{target} {other}= {value}"
        yield begin, end, f"{target} = {value}"


def _statements(node, places):
    """A line forgotten."""
    if isinstance(node.value, ast.Call):
        yield from _put(places, node, "pass")


def _functions(node, places):
    """A name made anew, forgotten the second time; an argument, given back as it is."""
    known = {a.arg for a in node.args.args}
    for statement in ast.walk(node):
        if isinstance(statement, ast.Assign) and isinstance(statement.targets[0], ast.Name):
            if statement.targets[0].id in known:
                yield from _put(places, statement, "pass")
            known.add(statement.targets[0].id)
        elif isinstance(statement, ast.Return) and statement.value and node.args.args:
            yield from _put(places, statement.value, node.args.args[0].arg)


_MISTAKES = {
    ast.Constant: _constants,
    ast.Call: _calls,
    ast.Attribute | ast.Name: _words,
    ast.BinOp: _operations,
    ast.Compare: _comparisons,
    ast.UnaryOp: _signs,
    ast.IfExp: _choices,
    ast.If | ast.While: _conditions,
    ast.comprehension: _filters,
    ast.Tuple | ast.List: _rows,
    ast.Slice: _slices,
    ast.Return: _returns,
    ast.AugAssign: _updates,
    ast.Expr: _statements,
    ast.FunctionDef: _functions,
}


# --- judged -----------------------------------------------------------------------------------


def listed(chapter, framework):
    """Return, for each exercise of a twin, the mutants that are said to survive its check.

    Raises
    ------
    AssertionError
        Names a line that lists a mutant that cannot be made of either twin's solution.
    """
    lines = chapter.text.whole.splitlines()
    twins = {f: chapter.exercises_of(f) for f in ("pytorch", "tensorflow")}
    found = []
    for number, exercise in enumerate(twins[framework]):
        begins = min(es[number].starter.line for es in twins.values())
        later = [es[number + 1].starter.line for es in twins.values() if number + 1 < len(es)]
        made = {f: {m.name for m in of(es[number].solution.source)} for f, es in twins.items()}
        names = []
        for place in range(begins, min(later, default=len(lines))):
            if not lines[place].startswith("% survives"):
                continue
            said = _LISTED.fullmatch(lines[place])
            file, line = chapter.text.place(place + 1)
            assert said, f'{file}:{line}: write % survives "old → new": reason'
            twin, name, _ = said.groups()
            possible = {f for f in made if f == (twin or f) and name in made[f]}
            assert possible, f"{file}:{line}: no mutant is called {name!r}"
            if framework in possible:
                names.append(name)
        found.append((exercise, names))
    return found


def _judge(check, mutants, seconds):
    """Run each mutant's check in this notebook; print which ones pass and how many there are."""
    import contextlib
    import io
    import linecache
    import signal

    class Late(BaseException):
        pass

    def late(*_):
        raise Late

    def run(source, name):
        # Frameworks read the source of what they capture.
        lines = source.splitlines(keepends=True)
        linecache.cache[name] = (len(source), None, lines, name)
        exec(compile(source, name, "exec"), globals())

    def passes(number, source):
        said = io.StringIO()
        signal.setitimer(signal.ITIMER_VIRTUAL, seconds)
        try:
            with contextlib.redirect_stdout(said), contextlib.redirect_stderr(io.StringIO()):
                run(source, f"<mutant {number}>")
                run(check, f"<check {number}>")
        except (Exception, Late):
            return False
        finally:
            signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        return said.getvalue().endswith(": solved\n")

    before = signal.signal(signal.SIGVTALRM, late)
    try:
        for number, (name, source) in enumerate(mutants):
            if passes(number, source):
                print("passes:", name)
        print(len(mutants), "mutants")
    finally:
        signal.signal(signal.SIGVTALRM, before)


def cell(exercise, survivors, seconds=SECONDS):
    """Return the cell that judges an exercise's mutants, with what it is to print."""
    mutants = of(exercise.solution.source)
    given = [(m.name, m.source) for m in mutants]
    said = [f"passes: {m.name}\n" for m in mutants if m.name in survivors]
    said.append(f"{len(mutants)} mutants\n")
    arguments = f"{exercise.check.source!r}, {given!r}, {seconds}"
    return nbformat.v4.new_code_cell(
        f"%%capture --no-stdout\n{inspect.getsource(_judge)}\n\n_judge({arguments})",
        id=f"{exercise.check.id}-mutants",
        execution_count=1,
        outputs=[nbformat.v4.new_output("stream", name="stdout", text="".join(said))],
        metadata={"tags": ["nbval-check-output"]},
    )


def added(notebook, chapter, framework):
    """Return an answered notebook in which each exercise's mutants are judged, too.

    They come after the solution and before the starter that ends the exercise.
    """
    after = {}
    for exercise, survivors in listed(chapter, framework):
        answers = len(exercise.wrong) + len(exercise.right) + 1
        after[f"{exercise.check.id}-{answers}"] = cell(exercise, survivors)
    cells = [c for old in notebook.cells for c in (old, after.get(old.id)) if c is not None]
    return nbformat.v4.new_notebook(cells=cells, metadata=notebook.metadata)
