import contextlib
import io
import re

import mutants
import notebooks
import pytest
from conftest import ROOT, chapter_text

from labkit.press import chapter


def names(source):
    return {m.name for m in mutants.of(source)}


@pytest.mark.parametrize(
    ("source", "mistakes"),
    [
        ("f(a, axis=1)", {"f(a, axis=1) → f(a)", "f(a, axis=1) → f(axis=1)", "1 → 0", "1 → 2"}),
        ("x.max(axis=1)", {"max → min", "max → mean", "x.max(axis=1) → x.max()"}),
        ("x[1:-2]", {"1:-2 → :-2", "1:-2 → 1:", "-2 → (2)", "1 → 2"}),
        ("a < b", {"a < b → a <= b", "a < b → a > b"}),
        ("a - b * 2", {"a - b * 2 → a + b * 2", "b * 2 → b / 2", "b * 2 → (b)", "2 → 3"}),
        ("min(1, a)", {"min(1, a) → (a)", "min(1, a) → (1)", "min → max"}),
        ("x.clamp(max=1)", {"x.clamp(max=1) → x"}),
        ("-a", {"-a → (a)"}),
        ("if a:\n    b = 1", {"a → True", "a → False"}),
        ("c = a if b else d", {"a if b else d → (a)", "a if b else d → (d)"}),
        ("[a for a in b if a > c]", {"a > c → True"}),
        ("i, f = z", {"i, f → f, i"}),
        ("f(a, b)", {"a, b → b, a"}),
        ("net.zero_grad()", {"net.zero_grad() → pass"}),
        ("a -= b", {"a -= b → pass", "a -= b → a += b", "a -= b → a = b"}),
        ("w.assign_sub(g)", {"assign_sub → assign_add"}),
        ("def f(a):\n    a = max(a, 0)\n    return a", {"a = max(a, 0) → pass", "a → 0"}),
        ("a = True", {"True → False"}),
        ("a = 0.5", {"0.5 → 1.0"}),
    ],
)
def test_the_mistakes_that_people_make(source, mistakes):
    assert mistakes <= names(source)


def test_each_mutant_is_python_another_program_and_has_a_name_of_its_own():
    source = "def f(a, b):\n    return (a + 1) * (b + 1)\n"
    made = mutants.of(source)
    assert len({m.name for m in made}) == len({m.source for m in made}) == len(made) > 10
    assert {"1 → 2 in line 2, column 17", "1 → 2 in line 2, column 27"} <= names(source)
    assert {m.name for m in made} >= {"a + 1 → a - 1", "b + 1 → b - 1"}
    for mutant in made:
        compile(mutant.source, "mutant", "exec")


CHAPTER = """\
# T

```{code-cell}
:tags: [exercise]
:step: top
def top(a, limit):
    raise NotImplementedError
```
```{code-cell}
:tags: [check]
import labkit.exercise

with labkit.exercise.check("Top"):
    assert top(3, 5) == 3, "Below."
    assert top(7, 5) == 5, "Above."
```
```{code-cell}
:tags: [solution]
:step: top-solution
def top(a, limit):
    return min(a, limit)
```
% survives "a, limit → limit, a": the smaller of two, in either order
```{code-cell}
:tags: [wrong]
:but: {"min": "max"}
```
"""


@pytest.fixture
def loaded(course):
    def load(*edits):
        text = CHAPTER
        for old, new in edits:
            assert old in text
            text = text.replace(old, new)
        path = course / "chapters" / "tiny.md"
        path.write_text(chapter_text(text))
        return chapter.load(path)

    return load


def ran(made):
    """Judge the only exercise's mutants; return what was printed, and what was to be."""
    ((exercise, survivors),) = mutants.listed(made, "pytorch")
    cell = mutants.cell(exercise, survivors, seconds=0.5)
    said = io.StringIO()
    with contextlib.redirect_stdout(said):
        exec(cell.source.split("\n", 1)[1], {})
    return said.getvalue(), cell.outputs[0].text


def test_a_listed_mutant_survives_and_no_other(loaded):
    said, wanted = ran(loaded())
    assert said == wanted
    assert said.startswith("passes: a, limit → limit, a\n")


def test_one_that_is_not_listed_is_seen(loaded):
    said, wanted = ran(loaded(('% survives "a, limit → limit, a": the', "% The")))
    assert "passes: a, limit → limit, a\n" in said
    assert said != wanted


def test_one_that_is_listed_and_fails_is_seen(loaded):
    said, wanted = ran(loaded(("a, limit → limit, a", "min → max")))
    assert "passes: min → max\n" in wanted
    assert said != wanted


def test_a_check_that_sees_too_little_is_seen(loaded):
    said, _ = ran(loaded(('    assert top(7, 5) == 5, "Above."\n', "")))
    assert "passes: min(a, limit) → (a)\n" in said


def test_a_mutant_that_never_ends_is_stopped(loaded):
    endless = "    while a > limit:\n        a -= 1\n    return a\n```\n"
    line = '% survives "a, limit → limit, a": the smaller of two, in either order\n'
    said, wanted = ran(
        loaded(
            ("    return min(a, limit)\n```\n" + line, endless),
            (':but: {"min": "max"}', "top = min"),
            ("top(7, 5)", "top(8, 5)"),
        )
    )
    assert "a -= 1 → pass" in names("a -= 1")
    assert said == wanted


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ('% survives "a, limit → limit": the same', "no mutant is called 'a, limit → limit'"),
        ('% survives "a, limit → limit, a"', "write % survives"),
        ('% survives keras "a, limit → limit, a": the same', "write % survives"),
    ],
)
def test_a_line_that_lists_nothing_is_named(loaded, line, words):
    with pytest.raises(AssertionError, match=rf"tiny\.md:\d+: {words}"):
        mutants.listed(loaded(("% survives", f"{line}\n% survives")), "pytorch")


# --- the course's own ---------------------------------------------------------------------------

PATHS = [ROOT / "chapters" / f"{name}.md" for name in notebooks.chapters()]


@pytest.mark.parametrize("path", PATHS, ids=lambda p: p.stem)
@pytest.mark.parametrize("framework", chapter.FRAMEWORKS)
def test_each_solution_has_mutants_and_what_is_listed_can_be_made(path, framework):
    for exercise, _ in mutants.listed(chapter.load(path), framework):
        assert len(mutants.of(exercise.solution.source)) >= 4


@pytest.mark.parametrize("path", PATHS, ids=lambda p: p.stem)
def test_exercises_are_of_three_kinds_and_know_what_learners_get_wrong(path):
    """In the framework from a blank cell, find and mend, and a project; half in NumPy at most."""
    for framework in chapter.FRAMEWORKS:
        found = chapter.load(path).exercises_of(framework)
        assert any(e.to_mend for e in found)
        own = [e for e in found if e.starter.framework]
        assert any(not e.to_mend for e in own)
        assert 2 * len(own) >= len(found)
        assert all(len(e.wrong) >= 3 for e in found)
    text = chapter.exercises(path).read_text()
    (project,) = re.findall(r"^### Project: .+?(?=^##|\Z)", text, re.M | re.S)
    assert "code-cell" not in project
    assert "\n| what is looked at | what a good answer shows |\n|---|---|\n" in project
