from pathlib import Path

import pytest
from conftest import BODY, FRONT, ROOT, chapter_text

from labkit.press import chapter
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


@pytest.mark.parametrize(
    ("front", "line", "words"),
    [
        ("# No front matter\n", 1, "has no front matter"),
        ("---\nlab: {name: tiny\n---\n", 2, "is no YAML"),
        ("---\ntitle: x\n---\n", 1, "has no `lab:`"),
        (FRONT.replace("read: 1", "read: soon"), 4, "lab.read must be a int"),
        (FRONT.replace("read: 1, ", ""), 4, "lab.read must be a int"),
        (FRONT.replace("read:", "raed:"), 4, "unknown lab field 'raed'; did you mean 'read'?"),
        (FRONT.replace("name: tiny", "name: other"), 4, "lab.name is 'other', the file 'tiny'"),
        (FRONT.replace("beginner", "begginer"), 4, "did you mean 'beginner'?"),
        (FRONT.replace("[first-network]", "first"), 4, "lab.claims list topics"),
        (FRONT.replace(', ladder: "it trains nothing"', ""), 4, "lab.ladder must list what"),
        (FRONT.replace('"it trains nothing"', '" "'), 4, "lab.ladder must list what"),
        (FRONT.replace('"it trains nothing"', "[1]"), 4, "lab.ladder must list what"),
        (FRONT.replace('"it trains nothing"', "[[a]]"), 4, "lab.ladder must list what"),
        (FRONT.replace('"it trains nothing"', "[a, a]"), 4, "lab.ladder must list what"),
        (FRONT.replace("ladder: ", "no_ladder: "), 4, "unknown lab field 'no_ladder'"),
    ],
)
def test_bad_front_matter(front, line, words):
    said = error("# T\n", front)
    assert said.startswith(f"chapters/tiny.md:{line}: "), said
    assert words in said


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
    assert f"owes a ladder, and no {framework} cell of a step named `ladder` calls" in said


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


def test_no_title():
    assert "begins with no title" in error("Words.\n")
    assert "begins with no title" in error("```{code-cell}\n1\n```\n")


def test_a_solo_cell_needs_no_twin():
    cells = parse("# T\n\n```{code-cell}\n:tags: [pytorch, solo]\n1\n```\n").cells
    assert cells[1].framework == "pytorch"


def test_headings_are_not_sought_in_code():
    text = "# A\n```python\n# no heading\n```\n## B\n"
    assert [t for _, _, t in chapter.headings(text)] == ["A", "B"]


def test_not_utf8(tmp_path):
    path = tmp_path / "tiny.md"
    path.write_bytes((FRONT + "# Größe\n").encode("latin-1"))
    with pytest.raises(SourceError, match="is not UTF-8"):
        chapter.load(path)
