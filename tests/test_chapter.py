import contextlib
import copy
import re
from pathlib import Path

import pytest
import yaml
from conftest import BODY, FRONT, ROOT, chapter_text
from hypothesis import given as given_
from hypothesis import settings
from hypothesis import strategies as st

from labkit.press import chapter, markdown
from labkit.press.source import SourceError

PATH = Path("chapters/tiny.md")


def parse(body, front=FRONT):
    return chapter.parse(chapter_text(body, front), PATH)


def error(body, front=FRONT):
    with pytest.raises(SourceError) as caught:
        parse(body, front)
    return str(caught.value)


def test_a_chapter():
    tiny = parse(BODY)
    assert tiny.title == "A tiny chapter"
    assert tiny.lab.claims == ("first-network",)
    assert [(c.kind, c.id, c.framework) for c in tiny.cells] == [
        ("markdown", "title", None),
        ("markdown", "one-step-1", None),
        ("code", "add-pytorch", "pytorch"),
        ("code", "add-tensorflow", "tensorflow"),
        ("code", "one-step-2", None),
    ]
    lines = (FRONT + BODY).splitlines()
    for cell in tiny.cells:
        assert lines[cell.line - 1] == cell.source.splitlines()[0]
    assert [c.id for c in tiny.cells_of("pytorch")] == [
        "title",
        "one-step-1",
        "add-pytorch",
        "one-step-2",
    ]


def test_the_courses_own_chapters_have_unique_ids():
    for path in chapter.chapters(ROOT):
        ids = [c.id for c in chapter.load(path).cells]
        assert len(ids) == len(set(ids))


PYTORCH = "```{code-cell}\n:tags: [pytorch]\n:step: %s\n1\n```\n"
TENSORFLOW = "```{code-cell}\n:tags: [tensorflow]\n1\n```\n"
CLIMB = (PYTORCH % "ladder" + TENSORFLOW).replace("\n1\n", "\nlab.prove(1)\n")
OWES = FRONT.replace('"it trains nothing"', "[clipping]")


@pytest.mark.parametrize(
    ("body", "line", "words"),
    [
        (PYTORCH % "a", 4, "PyTorch cell without a twin: no TensorFlow cell follows"),
        (TENSORFLOW, 3, "no PyTorch cell stands directly before it"),
        (PYTORCH % "a" + "\nWords.\n\n" + TENSORFLOW, 4, "without a twin"),
        ((PYTORCH % "a").replace(":step: a\n", "") + TENSORFLOW, 3, "a step has no name"),
        ((PYTORCH % "a" + TENSORFLOW) * 2, 13, "duplicate step 'a', first in line 11"),
        (PYTORCH % "Not-good" + TENSORFLOW, 4, "lower-case letters, digits and hyphens"),
        ("```{code-cell}\n:tags: [pytroch]\n1\n```\n", 3, "unknown tag 'pytroch'; did you mean 'p"),
        ("```{code-cell}\n:tag: [solo]\n1\n```\n", 3, "unknown cell option 'tag'; did you mean"),
        ("```{code-cell}\nx = '" + "a" * 70 + "'\n```\n", 2, "76 columns of code; break"),
        ("```{code-cell}\n:tags: [pytorch, tensorflow]\n1\n```\n", 3, "both frameworks' tags"),
        ("## Twice\n\n## Once\n\n## Twice\n", 5, "duplicate heading 'Twice', first in line 8"),
        ("(here)=\n## A\n\n(here)=\n## B\n", 4, "duplicate label 'here', first in line 8"),
        ('+++ {"tags": ["pytorch"]}\n\n## Mine\n', 3, "heading 'Mine' in prose for one framework"),
        ("```{code-cell}\n:tags: [check]\n1\n```\n", 3, "'check' after an ordinary cell"),
        ("```{code-cell}\n:tags: [exercise]\n1\n```\n", 3, "the exercise ends with 'exercise'"),
        ("```{code-cell}\n:tags: pytorch\n1\n```\n", 2, "tags must be a list of words"),
        ("```{code-cell}\n:tags: [1]\n1\n```\n", 2, "tags must be a list of words"),
        ("```{code-cell}\n:step: 12\n1\n```\n", 2, "step must be a word"),
        ("```{code-cell}\n:tags: [pytorch\n1\n```\n", 2, "option 'tags' cannot be read"),
        ("```{code-cell}\n1\n\nWords.\n", 1, "the cell is never closed"),
        ("```{code-cell}\n1\n\n```{code-cell}\n2\n```\n", 1, "the cell is never closed"),
        ("+++ {tags: [pytorch]}\n\nWords.\n", 1, "what follows +++ is no JSON"),
        ('+++ {"tag": ["pytorch"]}\n\nWords.\n', 1, "unknown key 'tag'; did you mean 'tags'?"),
        ('+++ {"tags": ["solo"]}\n\nWords.\n', 3, "tag 'solo' on prose"),
        ("# Another title\n", 1, "a second title, 'Another title'"),
        ('+++ ["pytorch"]\n\nWords.\n', 1, "what follows +++ is no map"),
        ('+++ {"tags": [], "tags": ["pytorch"]}\n\nWords.\n', 1, "a key stands twice"),
        ("+++ " + "[" * 100_000 + "\n\nWords.\n", 1, "what follows +++ is no JSON"),
        ("```{code-cell}\n:step: {a: b}\n1\n```\n", 2, "step must be a word, not {'a': 'b'}"),
        ("```{code-cell}\n:step: 2026-13-45\n1\n```\n", 2, "month must be in 1..12"),
        ("```{code-cell}\n:step: a\n:step: b\n1\n```\n", 3, "option 'step' stands twice"),
        ("```{code-cell}\n---\nstep: {a: b}\n---\n1\n```\n", 2, "write a cell's options as lines"),
        ("````{code-cell}\n:step: {a: b}\n1\n````\n", 3, "step must be a word, not {'a': 'b'}"),
        ("```{code-cell}\n:mystnb: {image: x}\n1\n```\n", 2, "image must be a map"),
        (PYTORCH % "setup" + TENSORFLOW, 4, "step 'setup': use up to 40"),
        (PYTORCH % "a-pytorch" + TENSORFLOW, 4, "no framework at its end"),
        ("```{code-cell}\n:tags: [pytorch, solo, differs]\n1\n```\n", 3, "for a shared cell"),
        ("```{code-cell}\n:tags: [differs, compare]\n1\n```\n", 3, "for a shared cell"),
        ('+++ {"tags": ["differs"]}\n\nWords.\n', 3, "tag 'differs' on prose"),
        (CLIMB, 4, "says why no ladder is needed"),
    ],
)
def test_bad_cells(body, line, words):
    said = error("# T\n\n" + body)
    # Front matter, title and a blank line stand before the body's first line.
    assert said.startswith(f"chapters/tiny.md:{line + 7}: "), said
    assert words in said


def given(old, new):
    """The front matter with one thing written otherwise."""
    assert old in FRONT
    return FRONT.replace(old, new)


@pytest.mark.parametrize(
    ("front", "line", "words"),
    [
        ("# No front matter\n", 1, "has no front matter"),
        ("---\nlab: {name: tiny\n---\n", 2, "cannot be read as YAML"),
        ("---\nlab: " + "[" * 5000 + "\n---\n", 1, "nested too deeply"),
        ("---\n- lab\n---\n", 1, "has no `lab:`"),
        ("---\ntitle: x\n---\n", 1, "has no `lab:`"),
        (given("budget: tiny", "budget: 5"), 4, "`budget` is 5; it must be a text"),
        (given("budget: tiny", "budget: yes"), 4, "`budget` is True; it must be a text"),
        (given("budget: tiny", "budget: ''"), 4, "`budget` is ''; it must be a text"),
        (given("tiny, b", "tiny, x: 2026-13-45, b"), 4, "as YAML: month must be in 1..12"),
        (given("tiny, b", "tiny, x: " + "9" * 5000 + ", b"), 4, "as YAML: Exceeds the limit"),
        (given("difficulty: beginner, ", ""), 4, "`difficulty` is missing; it must be a text"),
        (given("budget:", "bugdet:"), 4, "lab: unknown 'bugdet'; did you mean 'budget'?"),
        (given("name: tiny", "name: x, name: y"), 4, "key 'name' stands twice, first in line 4"),
        (given("budget: tiny", "budget: &x tiny, needs: *x"), 4, "an alias (*); write the value"),
        (given("budget: tiny", "1: tiny"), 4, "key 1 is no word; put it in quotes"),
        (given("budget: tiny", "[a]: 1"), 4, "key ['a'] is no word"),
        (given("name: tiny", "name: other"), 4, "`name` is 'other', the file 'tiny'"),
        (given("name: tiny", "name: 'a b'"), 4, "must be made of lower-case letters"),
        (given("beginner", "begginer"), 4, "did you mean 'beginner'?"),
        (given("beginner", "[beginner]"), 4, "`difficulty` is ['beginner']; it must be a text"),
        (given("[first-network]", "first"), 4, "`claims` is 'first'; it must be a list of words"),
        (given("[first-network]", "[{a: 1}]"), 4, "it must be a list of words"),
        (given(', ladder: "it trains nothing"', ""), 4, "`ladder` is missing"),
        (given('"it trains nothing"', '" "'), 4, "`ladder` is ' '; it must be a text"),
        (given('"it trains nothing"', "[1]"), 4, "`ladder` is [1]; it must be a list"),
        (given('"it trains nothing"', "[[a]]"), 4, "`ladder` is [['a']]; it must be a list"),
        (given('"it trains nothing"', "[a, a]"), 4, "`ladder` names one thing twice"),
        (given("ladder: ", "no_ladder: "), 4, "unknown 'no_ladder'; did you mean 'ladder'?"),
        (given("lab: {", "lab: {needs: [onnx], "), 4, "lab.needs: must be a map"),
        (given("lab: {", "lab: {needs: {onnx: 1}, "), 4, "`onnx` is 1; it must be a text"),
        (given("lab: {", "lab: {needs: {'o\"': onnx}, "), 4, "is no module's name"),
        (given("lab: {", "lab: {needs: {onnx: '-r x'}, "), 4, "pip does not take that"),
        (given("lab: {", "lab: {equal: [a, b], "), 4, "lab.equal: must be a map"),
        (given("lab: {", "lab: {equal: a, "), 4, "lab.equal: must be a map"),
        (given("lab: {", "lab: {equal: {a b: c}, "), 4, "'a b' is no field of a record"),
        (given("lab: {", "lab: {equal: {a: [b]}, "), 4, "lab.equal.a: must be a map"),
        (given("lab: {", "lab: {equal: {a: {waht: b}}, "), 4, "lab.equal.a: unknown 'waht'"),
        (given("lab: {", "lab: {equal: {a: {what: 1}}, "), 4, "lab.equal.a: `what` is 1"),
        (given("lab: {", "lab: {equal: {a: {what: b, because: c}}, "), 4, "needs `because`"),
        *(
            (
                given("lab: {", f"lab: {{equal: {{a: {{what: b, because: c, bound: {bound}}}}}, "),
                4,
                "it must be a number above 0 and below 1",
            )
            for bound in (".inf", "-.inf", ".nan", "-1.0e-9", "0", "1", "1e400", "x", "[1]", "yes")
        ),
    ],
)
def test_bad_front_matter(front, line, words):
    said = error("# T\n", front)
    assert said.startswith(f"chapters/tiny.md:{line}: "), said
    assert words in said


def test_a_fault_in_a_map_of_several_lines_has_its_own_line():
    lab = "lab:\n  name: tiny\n  budget: tiny\n  difficulty: beginner\n  ladder: []\n"
    front = "---\n" + lab + "  equal:\n    one: first\n    two:\n      what: second\n%s---\n"
    said = error("# T\n", front % "      bound: 1\n")
    assert said.startswith("chapters/tiny.md:11: lab.equal.two: `bound` is 1; it must be")
    said = error("# T\n", front % "    one: third\n")
    assert said.startswith(
        "chapters/tiny.md:11: the front matter cannot be read as YAML: key 'one'"
    )


def test_a_bound_may_be_written_without_a_point():
    front = given("lab: {", "lab: {equal: {a: {what: b, because: c, bound: 1e-6}}, ")
    assert parse(BODY, front).lab.equal[0].bound == 1e-6


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.dates(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text() | st.integers(), inner),
    max_leaves=6,
)
LAB = {
    "name": "tiny",
    "read": 1,
    "run": 1,
    "difficulty": "beginner",
    "needs": {"onnx": "onnx"},
    "claims": ["first-network"],
    "equal": {"a": {"what": "b", "bound": 0.1, "because": "c"}},
    "ladder": "it trains nothing",
}


@settings(deadline=None, max_examples=150)
@given_(st.sampled_from(sorted(LAB)), ANYTHING, st.sampled_from(["", "a", "what", "bound"]))
def test_whatever_front_matter_holds_is_read_or_is_an_error_with_its_line(key, value, inside):
    lab = copy.deepcopy(LAB)
    if inside == "a":
        lab["equal"]["a"] = value
    elif inside:
        lab["equal"]["a"][inside] = value
    else:
        lab[key] = value
    front = "---\n" + yaml.safe_dump({"lab": lab}, allow_unicode=True) + "---\n"
    found = []
    try:
        parse(BODY, front)
    except SourceError as error:
        found.append(error)
    assert all(error.line for error in found)


@settings(deadline=None, max_examples=150)
@given_(st.integers(0, len(FRONT + BODY)), st.integers(0, 30), st.text(max_size=12))
def test_whatever_a_chapter_holds_is_read_or_is_an_error(place, cut, new):
    text = FRONT + BODY
    with contextlib.suppress(SourceError):
        chapter.parse(text[:place] + new + text[place + cut :], PATH)


def test_a_chapter_owes_a_ladder_or_says_why_not():
    lab = parse(BODY).lab
    assert (lab.ladder, lab.no_ladder) == (None, "it trains nothing")
    lab = parse("# T\n\n" + CLIMB, OWES).lab
    assert (lab.ladder, lab.no_ladder) == (("clipping",), "")
    assert parse("# T\n\n" + CLIMB, OWES.replace("clipping", "")).lab.ladder == ()


@pytest.mark.parametrize(
    ("old", "new", "framework"),
    [
        (":step: ladder\nlab.prove(1)", ":step: ladder\n1", "PyTorch"),
        (":tags: [tensorflow]\nlab.prove(1)", ":tags: [tensorflow]\n# lab.prove(1)", "TensorFlow"),
        (":step: ladder", ":step: proof", "PyTorch"),
    ],
)
def test_a_ladder_that_is_owed_is_climbed_by_both_twins(old, new, framework):
    assert old in CLIMB
    said = error("# T\n\n" + CLIMB.replace(old, new), OWES)
    assert said.startswith("chapters/tiny.md:4: a ladder is owed")
    assert f", and no {framework} cell of a step named `ladder` calls" in said


def test_a_cell_whose_outputs_differ_says_so():
    body = "# T\n\n```{code-cell}\n:tags: [differs]\n1\n```\n"
    assert parse(body).cells[-1].tags == ("differs",)


def test_broken_front_matter_is_not_passed_over(tmp_path):
    (tmp_path / "chapters").mkdir()
    path = tmp_path / "chapters" / "tiny.md"
    for text in (FRONT[4:] + BODY, FRONT.replace("lab:", "labs:") + BODY, "\ufeff" + FRONT + BODY):
        path.write_text(text)
        assert chapter.chapters(tmp_path) == [path]
    assert chapter.load(path).title == "A tiny chapter"  # the last: with a byte order mark


def test_names_collide_with_nothing():
    body = "# T\n\nx\n\n## Start\n\ny\n\n## Größe\n\nz\n\n## 度\n\nz\n"
    body += "\n## C\n\nz\n\n## C++\n\nz\n"
    ids = [c.id for c in parse(body.replace("##", "+++\n\n##")).cells]
    assert len(ids) == len(set(ids)) == 7


@pytest.mark.parametrize("title", ["<script>x</script>", "a](javascript:b)", "a > b"])
def test_a_title_is_plain_words(title):
    said = error(f"# {title}\n\nWords.\n")
    assert said.startswith("chapters/tiny.md:6: the title holds <, >, [ or ]")


def test_no_title():
    assert "begins with no title" in error("Words.\n")
    assert "begins with no title" in error("```{code-cell}\n1\n```\n")


def test_a_solo_cell_needs_no_twin():
    cells = parse("# T\n\n```{code-cell}\n:tags: [pytorch, solo]\n1\n```\n").cells
    assert cells[1].framework == "pytorch"


def test_headings_and_labels_are_not_sought_in_code():
    text = "(a)=\n# A\n```python\n# no heading\n(c)=\n```\n(b)=\nB `b`\n---\n"
    assert list(markdown.headings(text)) == [(1, 1, "A"), (7, 2, "B `b`")]
    assert list(markdown.labels(text)) == [(0, "a"), (6, "b")]


def parted(tmp_path, rest, body="# T\n\nWords.\n"):
    """Load a chapter with its exercises in a file of their own."""
    path = tmp_path / "chapters" / "tiny.md"
    path.parent.mkdir(exist_ok=True)
    path.write_text(chapter_text(body))
    chapter.exercises(path).write_text(rest)
    return chapter.load(path)


def test_exercises_stand_in_a_file_of_their_own(tmp_path):
    found = parted(tmp_path, "## Exercises\n\nAsk.\n\n```{code-cell}\n1\n```\n")
    assert [c.id for c in found.cells] == ["title", "exercises-1", "exercises-2"]
    file = chapter.exercises(found.path)
    assert found.text.place(found.cells[-1].line) == (file, 6)
    assert found.text.place(found.cells[0].line) == (found.path, 6)
    assert chapter.files(found.path) == [found.path, file]
    assert chapter.chapters(tmp_path) == [found.path]


@pytest.mark.parametrize(
    ("rest", "words"),
    [
        ("Words.\n", "1: begin the exercises with the line '## Exercises'"),
        ("", "1: begin the exercises with the line '## Exercises'"),
        ("## Exercises\n\n# Mine\n", "3: a second title, 'Mine'"),
        ("## Exercises\n\n```{code-cell}\n1\n", "3: the cell is never closed"),
        ("## Exercises\n\n```{code-cell}\n:step: 1\n```\n", "4: step must be a word"),
        ("## Exercises\n\n```{code-cell}\n:tags: [x]\n1\n```\n", "5: unknown tag 'x'"),
        ("## Exercises\n\n```{code-cell}\n:tags: [check]\n1\n```\n", "5: a cell tagged 'check'"),
        ("## Exercises\n\n## One\n\n## One\n", "5: duplicate heading 'One', first in line 3;"),
    ],
)
def test_a_fault_in_exercises_is_named_with_their_file(tmp_path, rest, words):
    with pytest.raises(SourceError) as caught:
        parted(tmp_path, rest)
    assert str(caught.value).startswith(f"{tmp_path}/chapters/tiny.exercises.md:{words}")


def test_what_stands_in_both_files_is_named_with_both(tmp_path):
    with pytest.raises(SourceError) as caught:
        parted(tmp_path, "## Exercises\n\n## Here\n", "# T\n\nx\n\n## Here\n\n")
    file = tmp_path / "chapters" / "tiny.md"
    assert str(caught.value) == (
        f"{chapter.exercises(file)}:3: duplicate heading 'Here', first in {file}:10; rename one"
    )


def test_exercises_without_their_chapter_are_not_passed_over(tmp_path):
    path = parted(tmp_path, "## Exercises\n").path
    path.unlink()
    with pytest.raises(SourceError, match=r"tiny\.exercises\.md: exercises without a chapter: the"):
        chapter.chapters(tmp_path)


def test_not_utf8(tmp_path):
    path = tmp_path / "tiny.md"
    path.write_bytes((FRONT + "# Größe\n").encode("latin-1"))
    with pytest.raises(SourceError, match=r"tiny.md:6: is not UTF-8 \(byte \d+\)"):
        chapter.load(path)


ANSWERS = """\
```{code-cell}
:tags: [exercise]
answer = None
```
```{code-cell}
:tags: [check]
assert answer
```
```{code-cell}
:tags: [solution, pytorch]
:step: ask-solution
answer = one + two + two
```
```{code-cell}
:tags: [solution, tensorflow]
answer = 1 + 2
```
"""
PAIR = """\
```{code-cell}
:tags: [wrong, pytorch]
:but: {"one": "two", "answer =": "answer = 1 +"}
```
```{code-cell}
:tags: [wrong, tensorflow]
answer = 4
```
"""


def test_a_wrong_answer_is_an_edit_of_its_twins_solution():
    cells = parse("# T\n\n" + ANSWERS + PAIR + PAIR).cells
    wrong = [c for c in cells if c.role == "wrong"]
    assert [c.id for c in wrong] == [
        "ask-wrong-1-pytorch",
        "ask-wrong-1-tensorflow",
        "ask-wrong-2-pytorch",
        "ask-wrong-2-tensorflow",
    ]
    # What one puts in, another does not take out again.
    assert [c.source for c in wrong[:2]] == ["answer = 1 + two + two + two", "answer = 4"]


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ('"one"', '"three"', "'three' stands there 0 times; `:but:` replaces"),
        ('"one"', '"two"', "'two' changes nothing"),
        ('"one"', '" + two"', "' + two' stands there 2 times"),
        ('"one"', '""', "'' changes nothing"),
        ('"one": "two"', '"one": "one"', "'one' changes nothing"),
        ('"one": "two"', '"= one": "="', "overlaps with another old text"),
        ('"one": "two", "answer =": "answer = 1 +"', "", "'' changes nothing"),
        ('"one": "two"', '"one": 2', 'but must be a map of texts, {"old": "new"}'),
        ('{"one": "two", "answer =": "answer = 1 +"}', "[one]", "but must be a map"),
        ('"one": "two"', '"one": "two", "one": "three"', "key 'one' stands twice"),
        ('1 +"}\n', '1 +"}\nanswer = 3\n', "`:but:` and code in one cell"),
        ("[wrong, pytorch]", "[wrong]", "each twin has its own solution"),
    ],
)
def test_an_edit_that_cannot_be_made_is_named(old, new, words):
    assert old in PAIR
    said = error("# T\n\n" + ANSWERS + PAIR.replace(old, new))
    line = 8 + ANSWERS.count("\n") + 2  # the option's own
    assert re.match(rf"chapters/tiny\.md:({line}|{line - 2}|{line - 1}): ", said), said
    assert words in said


def test_an_edit_is_for_wrong_answers():
    said = error('# T\n\n```{code-cell}\n:but: {"1": "2"}\n1\n```\n')
    assert "`:but:` is for a cell tagged `wrong`" in said


def test_a_further_right_answer_is_an_edit_too_and_stands_before_the_wrong_ones():
    cells = parse("# T\n\n" + ANSWERS + PAIR.replace("wrong", "right") + PAIR).cells
    assert [c.id for c in cells if c.role in ("right", "wrong")] == [
        "ask-right-1-pytorch",
        "ask-right-1-tensorflow",
        "ask-wrong-1-pytorch",
        "ask-wrong-1-tensorflow",
    ]
    said = error("# T\n\n" + ANSWERS + PAIR + PAIR.replace("wrong", "right"))
    assert "a cell tagged 'right' after wrong" in said
    said = error("# T\n\n" + ANSWERS + PAIR.replace("wrong", "right"))
    assert "the exercise ends with 'right'" in said


@pytest.mark.parametrize("framework", chapter.FRAMEWORKS)
def test_the_exercises_of_one_twin(framework):
    loaded = parse("# T\n\n" + ANSWERS + PAIR.replace("wrong", "right") + PAIR + PAIR)
    (found,) = loaded.exercises_of(framework)
    assert found.starter.source == "answer = None"
    assert found.check.source == "assert answer"
    assert found.solution.framework == framework
    assert [c.role for c in (*found.right, *found.wrong)] == ["right", "wrong", "wrong"]
    assert not found.to_mend


def test_a_check_is_closed_without_being_asked_to():
    cells = parse("# T\n\n" + ANSWERS + PAIR).cells
    assert [c.tags for c in cells if c.role == "check"] == [("check", "hide-input")]


def test_a_starter_that_is_faulty_code():
    mended = ANSWERS.replace("[exercise]", "[exercise, mend]")
    (found,) = parse("# T\n\n" + mended + PAIR).exercises_of("pytorch")
    assert found.to_mend
    assert "tag 'mend' is for a starter" in error(
        "# T\n\n" + ANSWERS.replace("[check]", "[check, mend]")
    )
