"""Predictions and edits to try: read from a chapter, and written into its notebooks."""

import pytest
from conftest import BODY, FRONT

from labkit.press import budget, chapter, weave
from labkit.press.asks import Predict, Try
from labkit.press.course import Course
from labkit.press.source import SourceError

PREDICT = """\
```{predict}
:name: sum
:true: number("add") == 2
What is one *and* one?
- `11`
- [x] two
```
"""
FIELD = PREDICT.replace("- `11`\n- [x] two\n", "").replace(":true", ":answer: 2\n:true")
TRY = """\
:::{try}
:name: more
:edit: {"1 + 1": "1 + 2", "(2)": "(3)"}
:again: add
:true: number("add") == 3
Add two instead. What comes out?
:::
"""


@pytest.fixture
def parse(course):
    """Read the tiny chapter with something below its first paragraph; it stands in line 9."""
    path = course / "chapters" / "tiny.md"

    def read(added):
        return chapter.parse(FRONT + BODY.replace("Words for both.\n", added, 1), path)

    return read


def test_a_prediction_is_read(parse):
    (found,) = parse(PREDICT).asks
    assert found == Predict(
        "sum", "What is one *and* one?", ("`11`", "two"), 1, None, 0.05, 'number("add") == 2', 8
    )
    (field,) = parse(FIELD).predictions
    assert (field.answer, field.choices, field.within) == (2, (), 0.05)


def test_an_edit_is_made_in_each_twin(parse):
    found = parse(TRY)
    (edit,) = found.tries
    assert isinstance(edit, Try)
    for framework, code in {"pytorch": "print(1 + 2)", "tensorflow": "print(3)"}.items():
        (cell,) = found.again(edit, framework)
        assert cell.source == code
        assert cell.id == f"add-{framework}"
    assert any("1 + 1" in cell.source for cell in found.cells_of("pytorch"))  # it stays as it is


def test_notebooks_ask_and_do_not_answer(parse, course):
    (words,) = [
        c.source
        for c in weave.weave(parse(PREDICT + "\n" + TRY), "pytorch", Course.read(course)).cells
        if "Predict" in c.source
    ]
    assert words == (
        "**Predict:** What is one *and* one?\n\n- `11`\n- two\n\n"
        "**Try:** Add two instead. What comes out?\n\n## One step"
    )


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        (TRY.removesuffix(":::\n"), 8, "is never closed; end it with :::"),
        (PREDICT.replace(":name: sum\n", ""), 8, "{predict}: `:name:` is missing"),
        (PREDICT.replace("sum", "Sum!"), 9, "use lower-case letters"),
        (PREDICT.replace(":true", ":treu"), 10, "did you mean 'true'?"),
        (PREDICT.replace(":true", ":name"), 10, "option 'name' stands twice"),
        (PREDICT.replace("[x] ", ""), 8, "has 2 choices, 0 of them right"),
        (PREDICT.replace("- `11`", "- [x] `11`"), 8, "has 2 choices, 2 of them right"),
        (PREDICT.replace("- `11`\n", ""), 8, "has 1 choices"),
        (PREDICT.replace("- `11`\n", "- 1\n- 3\n- 4\n- 5\n"), 8, "has 5 choices"),
        (PREDICT.replace("What is one *and* one?", ""), 8, "asks nothing"),
        (FIELD.replace("answer: 2", "answer: two"), 10, "is 'two', no number"),
        (PREDICT.replace(":true", ":answer: 2\n:true"), 8, "take one of them out"),
        (PREDICT + PREDICT, 15, "duplicate name 'sum', first in line 8"),
        (TRY.replace("again: add", "again: ad"), 8, "no step 'ad'; did you mean 'add'?"),
        (TRY.replace('"1 + 1": "1 + 2", ', ""), 8, "in PyTorch hold none of the old texts once"),
        (TRY.replace("1 + 1", "1"), 8, "'1' 2 times"),
        (TRY.replace('{"1', '{"9": "8", "1'), 8, "'9' stands in neither twin's"),
        (TRY.replace('"1 + 2"', "3"), 10, "`:edit:` must be a map of texts"),
        (TRY.replace('"(3)"', '"(2)"'), 10, "`:edit:` must be a map of texts"),
        (TRY.replace("Add two instead. What comes out?\n", ""), 8, "says nothing"),
    ],
)
def test_a_faulty_question_is_named_with_its_line(parse, text, line, words):
    with pytest.raises(SourceError) as raised:
        parse(text)
    assert words in raised.value.message
    assert raised.value.line == line


def test_minutes_are_of_the_slower_framework_without_what_is_folded(parse):
    words = "word " * 360
    more = "\n".join("x = 1" for _ in range(24))
    text = FRONT + BODY.replace("Words for both.\n", words, 1)
    loaded = parse(words)
    assert budget.minutes(loaded) == 3  # two minutes of words, and some lines
    longer = text.replace("print(2)", more)
    assert budget.minutes(chapter.parse(longer, loaded.path)) == 5
    folded = longer.replace(":tags: [tensorflow]", ":tags: [tensorflow, hide-input]")
    assert budget.minutes(chapter.parse(folded, loaded.path)) == 3


def test_what_is_over_the_budget_is_named(parse, course):
    assert budget.over(parse("")) == []  # its front matter says why
    path = course / "chapters" / "tiny.md"
    sections = "".join(f"## Section {n}\n\nWords.\n\n" for n in range(8))
    text = FRONT.replace("budget: tiny, ", "") + BODY
    text = text.replace("Words for both.\n", "word " * 5400 + "\n\n" + sections, 1)
    text = text.replace("print(2)", "x = 1\n" * 26)
    found = " ".join(budget.over(chapter.parse(text, path)))
    for words in (
        "tiny.md:1: takes",
        "'One step' is section 9 of 8",
        "26 lines in a cell; 25 at most",
        "asks 0 times with {predict}; 6 at least",
        "asks 0 times with {try}; 4 at least",
    ):
        assert words in found


def test_a_word_is_explained_before_its_second_use(parse):
    once = "A tensor is new. See the {term}`tensor`, and many tensors.\n"
    assert budget.late(parse(once)) == []
    twice = "Tensors are new, each tensor is.\n\nSee {term}`some <tensor>` and `tensor`.\n"
    (said,) = budget.late(parse(twice))
    assert said.endswith("tiny.md:10: 'tensor' has its link here, and stands 2 times above it")
