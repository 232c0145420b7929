import ast
import os
import re
import subprocess
import sys

import nbformat
import pytest
from conftest import BODY, FRONT, ROOT, chapter_text

from labkit.press import build, chapter, keep, stale, weave
from labkit.press.course import Course
from labkit.press.source import SourceError
from labkit.press.take import take

EXERCISE = """\
# T

```{code-cell}
:tags: [exercise]
:step: ask
answer = None
```
Words between.

```{code-cell}
:tags: [check]
assert answer == 2
```
```{code-cell}
:tags: [solution]
answer = 2
```
```{code-cell}
:tags: [wrong]
answer = 3
```
"""


def woven(course, framework="pytorch"):
    loaded = chapter.load(course / "chapters" / "tiny.md")
    return weave.weave(loaded, framework, Course.read(course))


def put(course, framework="pytorch"):
    """Write a woven notebook, as `labkit weave` does."""
    loaded = chapter.load(course / "chapters" / "tiny.md")
    (job,) = stale.plan(Course.read(course), [loaded], [framework])
    keep.woven(job)
    return job.path


def edit(path, cell_id, source):
    notebook = nbformat.read(path, as_version=4)
    next(c for c in notebook.cells if c.id == cell_id).source = source
    nbformat.write(notebook, path)


def test_each_twin_gets_its_own_cells(course):
    for framework, own in (("pytorch", "print(1 + 1)"), ("tensorflow", "print(2)")):
        notebook = woven(course, framework)
        nbformat.validate(notebook)
        assert [c.source for c in notebook.cells if c.cell_type == "code"][1:] == [
            own,
            "total = 3\ntotal",
        ]
        assert f'"tiny", "{framework}"' in notebook.cells[1].source


def test_a_notebook_opens_with_title_badge_claims_and_set_up(course):
    title, setup, *_ = woven(course).cells
    assert title.source.startswith("# A tiny chapter\n\n[![Open in Colab](https://colab.")
    assert title.source.partition("\n*In")[0].endswith("/labs/tiny/pytorch.ipynb)\n")
    assert "*In PyTorch. 1 min to read; beginner." in title.source
    assert re.search(r"in \[TensorFlow\]\(\S+/labs/tiny/tensorflow\.ipynb\)", title.source)
    assert "Writing a training loop is slightly complex in TensorFlow." in title.source
    assert "()" not in title.source
    assert setup.id == "setup"
    assert "git+https://github.com/example/twin-labs@main" in setup.source
    compile(setup.source, "setup", "exec")


def test_needs_are_installed_where_they_are_missing(course):
    text = FRONT.replace("claims:", "needs: {onnx: 'onnx>=1.17'}, claims:") + BODY
    (course / "chapters" / "tiny.md").write_text(text)
    assert '    "onnx":\n    "onnx>=1.17",\n' in woven(course).cells[1].source


def test_what_the_set_up_cell_is_told_stays_a_string(course):
    need = 'onnx>=1.17; python_version < "3.99"'
    text = FRONT.replace("claims:", f"needs: {{onnx: '{need}'}}, claims:") + BODY
    (course / "chapters" / "tiny.md").write_text(text)
    source = woven(course).cells[1].source
    tree = ast.parse(source)
    (needs,) = [n for n in ast.walk(tree) if isinstance(n, ast.Dict)]
    assert ast.literal_eval(needs)["onnx"] == need


def set_up(course, tmp_path, pip):
    """Run the set-up cell in a Python that has neither labkit nor pip, but a module called pip."""
    source = woven(course).cells[1].source
    assert max(map(len, source.splitlines())) <= chapter.WIDTH
    (tmp_path / "modules").mkdir()
    (tmp_path / "modules" / "pip.py").write_text(pip)
    return subprocess.run(
        [sys.executable, "-S", "-c", source],  # -S: without what is installed
        env={**os.environ, "PYTHONPATH": str(tmp_path / "modules")},
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_set_up_cell_says_what_is_missing_and_the_mend(course, tmp_path):
    done = set_up(course, tmp_path, "raise SystemExit('no network here')")
    assert done.returncode == 1
    assert "no network here" in done.stderr  # what pip says stays
    assert "CalledProcessError" not in done.stderr
    assert done.stderr.splitlines()[-1] == (
        "ImportError: This notebook needs what pip could not install: "
        "git+https://github.com/example/twin-labs@main. "
        "Run this cell again with a network, or install it in a terminal first."
    )


def test_the_set_up_cell_installs_what_is_missing(course, tmp_path):
    pip = """\
import pathlib, sys
text = "def start(*names): print(*names)"
pathlib.Path(__file__).with_name("labkit.py").write_text(text)
print(*sys.argv[1:])
"""
    done = set_up(course, tmp_path, pip)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        "install -q git+https://github.com/example/twin-labs@main",
        "tiny pytorch",
    ]


def test_another_set_up_cell_keeps_the_outputs(course):
    """It stands in every notebook; a change of its words must not run them all again."""
    path = put(course)
    notebook = nbformat.read(path, as_version=4)
    notebook.cells[-1].execution_count = 3
    notebook.cells[-1].outputs = [nbformat.v4.new_output("stream", text="kept")]
    (job,) = stale.plan(
        Course.read(course), [chapter.load(course / "chapters" / "tiny.md")], ["pytorch"]
    )
    ran = {**job.stamps, "put_out": stale.of_outputs(notebook), "measured": None, "machine": {}}
    notebook.metadata.labkit.update(ran)
    nbformat.write(notebook, path)
    config = course / "_config.yml"
    config.write_text(config.read_text().replace("example/twin-labs", "me/mine"))
    put(course)
    again = nbformat.read(path, as_version=4)
    assert "me/mine" in again.cells[1].source
    assert again.cells[-1].outputs == notebook.cells[-1].outputs


def test_what_a_claim_says_is_no_html_in_the_notebook(course):
    path = course / "evidence" / "claims.yml"
    old = "Writing a training loop is slightly complex in TensorFlow."
    path.write_text(path.read_text().replace(old, "<script>x</script> [a](b)"))
    assert "\\<script>x\\</script> \\[a\\](b)" in woven(course).cells[0].source


def test_the_address_is_one_setting(course):
    config = course / "_config.yml"
    config.write_text(config.read_text().replace("example/twin-labs", "me/mine"))
    text = nbformat.writes(woven(course))
    assert "example/twin-labs" not in text
    assert text.count("me/mine") >= 3
    assert "https://me.github.io/mine/chapters/tiny.html?framework=pytorch" in text


def test_a_notebook_holds_no_answers(course):
    (course / "chapters" / "tiny.md").write_text(chapter_text(EXERCISE))
    code = [c.source for c in woven(course).cells if c.cell_type == "code"]
    assert code[1:] == ["answer = None", "assert answer == 2"]


def test_tags_become_those_of_other_tools(course):
    body = "# T\n\n```{code-cell}\n:tags: [measured, 'raises:ValueError', hide-input]\n1\n```\n"
    (course / "chapters" / "tiny.md").write_text(chapter_text(body))
    metadata = woven(course).cells[-1].metadata
    assert "nbval-ignore-output" in metadata.tags
    assert "raises-exception" in metadata.tags
    assert metadata.jupyter == {"source_hidden": True}


def test_a_cell_that_differs_keeps_its_tag_in_the_notebook(course):
    body = "# T\n\n```{code-cell}\n:tags: [differs]\n1\n```\n"
    (course / "chapters" / "tiny.md").write_text(chapter_text(body))
    assert woven(course).cells[-1].metadata.tags == ["differs"]


def test_weaving_again_changes_no_byte(course):
    path = put(course)
    before = path.read_bytes()
    put(course)
    assert path.read_bytes() == before


def test_an_edited_notebook_is_never_overwritten(course):
    path = put(course)
    edit(path, "add-pytorch", "print('mine')")
    before = path.read_bytes()
    with pytest.raises(SourceError, match=r"was edited by hand .cell 4, 'add-pytorch',.*take"):
        put(course)
    assert path.read_bytes() == before


def test_take_brings_edits_home(course):
    path = put(course)
    edit(path, "add-pytorch", "# three\nprint(3)")
    edit(path, "one-step-2", "total = 4")
    texts, edited = take(path, Course.read(course))
    assert edited == 2
    ((file, text),) = texts.items()
    wanted = (FRONT + BODY).replace("print(1 + 1)", "# three\nprint(3)")
    assert text == wanted.replace("total = 3\ntotal", "total = 4")
    file.write_text(text)
    put(course)  # is not refused: what stands there is what the chapter says now
    assert take(path, Course.read(course)) == ({}, 0)


def test_take_brings_plain_prose_home_and_refuses_the_rest(course):
    body = "# T\n\nPlain words.\n\n+++\n\nA {term}`tensor`.\n"
    (course / "chapters" / "tiny.md").write_text(chapter_text(body))
    path = put(course)
    edit(path, "start-1", "Plain other words.")
    assert (
        "Plain other words." in take(path, Course.read(course))[0][course / "chapters" / "tiny.md"]
    )
    edit(path, "start-2", "Another tensor.")
    with pytest.raises(SourceError, match=r"tiny\.md:12: cell 'start-2' uses what plain"):
        take(path, Course.read(course))


SAID = """\
# T

First words.
% says "First": number("a") == 1

(here)=
## A section
A {term}`tensor`.
% says "tensor": alike("a")

% says "A": alike("b")

- one

- two
% says "two": number("c") == 1

Behind these words
% says "these": number("d") == 1
stand others.
"""
SAYS_FIRST = '\n% says "First": number("a") == 1'


def said(course):
    (course / "chapters" / "tiny.md").write_text(chapter_text(SAID))
    path = put(course)
    (cell,) = (c for c in nbformat.read(path, as_version=4).cells if c.id == "a-section-1")
    return path, cell.source


@pytest.mark.parametrize(
    ("old", "new", "wanted"),
    [
        ("First words.", "Other words,\non two lines.", "Other words,\non two lines."),
        ("First words.", "First words.\n\nMore.", f"First words.{SAYS_FIRST}\n\nMore."),
        ("First words.", "Other.\n\nWords.", "Other.\n\nWords."),
        ("- two", "- two\n\n  or more\n- three", "- two\n\n  or more\n- three"),
        ("First words.\n\n", "More.\n\nFirst words.\n\n", "More.\n\nFirst words."),
    ],
)
def test_lines_that_no_notebook_shows_stay_by_their_paragraph(course, old, new, wanted):
    path, source = said(course)
    edit(path, "a-section-1", source.replace(old, new))
    ((file, text),) = take(path, Course.read(course))[0].items()
    kept = old.rstrip() + (SAYS_FIRST if SAYS_FIRST in wanted else "")
    assert text == chapter_text(SAID).replace(kept, wanted)
    file.write_text(text)
    put(course)  # is not refused: the edits are home


@pytest.mark.parametrize(
    ("old", "new", "line", "words"),
    [
        ("First words.\n\n", "", '% says "First"', "leaves open where this line belongs now"),
        ("## A section\nA ", "The ", "## A section", "uses what plain Markdown cannot say"),
        ("Behind these words", "These words", "Behind these", "uses what plain Markdown"),
    ],
)
def test_take_refuses_what_would_lose_lines_that_no_notebook_shows(course, old, new, line, words):
    path, source = said(course)
    assert old in source
    edit(path, "a-section-1", source.replace(old, new))
    text = chapter_text(SAID)
    number = text[: text.index(line)].count("\n") + 1
    with pytest.raises(SourceError, match=rf"tiny\.md:{number}: cell 'a-section-1' {words}"):
        take(path, Course.read(course))


def test_take_refuses_what_it_cannot_carry(course):
    path = put(course)
    edit(path, "setup", "import labkit")
    with pytest.raises(SourceError, match="the setup cell is made by labkit"):
        take(path, Course.read(course))
    put_again = nbformat.read(path, as_version=4)
    del put_again.cells[3]
    nbformat.write(put_again, path)
    with pytest.raises(SourceError, match="cells added, moved or removed"):
        take(path, Course.read(course))


def test_take_keeps_what_has_changed_in_the_chapter_since(course):
    path, file = put(course), course / "chapters" / "tiny.md"
    file.write_text(file.read_text().replace("Words for both", "New words"))
    assert take(path, Course.read(course)) == ({}, 0)
    edit(path, "one-step-2", "total = 4")
    texts, edited = take(path, Course.read(course))
    assert edited == 1
    assert "New words" in texts[file]


def test_an_edit_here_and_there_is_a_conflict(course):
    path, file = put(course), course / "chapters" / "tiny.md"
    edit(path, "one-step-2", "total = 4")
    file.write_text(file.read_text().replace("total = 3", "total = 5"))
    with pytest.raises(SourceError, match=r"'one-step-2' was edited here and in .*pytorch\.ipynb"):
        take(path, Course.read(course))
    with pytest.raises(SourceError, match="was edited by hand"):
        put(course)


def test_edits_in_both_twins_come_home_one_after_the_other(course):
    first, second = put(course), put(course, "tensorflow")
    edit(first, "one-step-2", "total = 4")
    edit(second, "add-tensorflow", "print(4)")
    for path in (first, second):
        texts, edited = take(path, Course.read(course))
        assert edited == 1
        ((file, text),) = texts.items()
        file.write_text(text)
    assert "total = 4" in text
    assert "print(4)" in text
    for framework in ("pytorch", "tensorflow"):
        put(course, framework)


def test_blank_lines_around_a_cell_are_no_edit(course):
    path = put(course)
    edit(path, "one-step-2", "\ntotal = 3\ntotal\n")
    assert take(path, Course.read(course)) == ({}, 0)
    put(course)


@pytest.fixture
def parted(course):
    """A course whose chapter has its exercises in a file of their own."""
    body, rest = BODY + "\nWords before.\n", EXERCISE.replace("# T\n", "## Exercises\n")
    (course / "chapters" / "tiny.md").write_text(chapter_text(body))
    (course / "chapters" / "tiny.exercises.md").write_text(rest)
    return course


def test_exercises_in_a_file_of_their_own_are_woven_as_if_they_followed(parted):
    apart = woven(parted)
    rest = parted / "chapters" / "tiny.exercises.md"
    file = parted / "chapters" / "tiny.md"
    file.write_text(file.read_text() + "\n" + rest.read_text())
    rest.unlink()
    assert woven(parted) == apart


def test_take_brings_each_edit_into_its_own_file(parted):
    path, file = put(parted), parted / "chapters" / "tiny.md"
    rest = file.with_name("tiny.exercises.md")
    before = file.read_text(), rest.read_text()
    edit(path, "ask", "# your answer\nanswer = None")
    assert take(path, Course.read(parted)) == (
        {rest: before[1].replace("answer = None", "# your answer\nanswer = None")},
        1,
    )
    # Longer than it was, so that the lines below move.
    edit(path, "one-step-2", "total = 3\n\n\ntotal")
    edit(path, "exercises-1", "More words\n\nbefore.\n\n## Exercises\n\nAnd words after.")
    texts, edited = take(path, Course.read(parted))
    assert edited == 3
    assert texts[file].endswith("total = 3\n\n\ntotal\n```\n\nMore words\n\nbefore.\n")
    assert texts[rest].startswith("## Exercises\n\nAnd words after.\n\n```{code-cell}\n:tags: [ex")
    assert "# your answer" in texts[rest]
    for name, text in texts.items():
        name.write_text(text)
    put(parted)  # is not refused


def test_take_refuses_to_lose_the_exercises_heading(parted):
    path = put(parted)
    edit(path, "exercises-1", "Words before.\n\n## Questions")
    with pytest.raises(SourceError, match=r"'## Exercises' has gone, with which tiny.exercises.md"):
        take(path, Course.read(parted))


@pytest.mark.parametrize("where", ["tiny.md", "tiny.exercises.md"])
def test_what_markdown_cannot_say_is_named_with_its_own_file(parted, where):
    path = parted / "chapters" / where
    text = path.read_text()
    old = "Words before." if where == "tiny.md" else "## Exercises\n"
    path.write_text(text.replace(old, old + "\n\n{term}`nothing`"))
    line = path.read_text().splitlines().index("{term}`nothing`") + 1
    with pytest.raises(SourceError, match=rf"/{re.escape(where)}:{line}: "):
        woven(parted)


def test_take_refuses_what_would_be_woven_otherwise(course):
    for text in ("x = 1\n```\ny = 2", "+++\n\nx"):
        path = put(course)
        edit(path, "one-step-2" if "x = 1" in text else "one-step-1", text)
        with pytest.raises(SourceError, match=r"cannot be carried back|is never closed"):
            take(path, Course.read(course))
        path.unlink()


def test_what_is_no_notebook_of_the_course_is_named(course):
    path = put(course)
    for text in ("{}", '{"nbformat": 4}', nbformat.writes(nbformat.v4.new_notebook())):
        path.write_text(text)
        with pytest.raises(SourceError, match=r"pytorch\.ipynb: is no"):
            put(course)
        with pytest.raises(SourceError, match=r"pytorch\.ipynb: is no"):
            take(path, Course.read(course))
    with pytest.raises(SourceError, match="is missing"):
        take(path.with_name("none.ipynb"), Course.read(course))


def test_take_refuses_what_would_break_the_chapter(course):
    path = put(course)
    edit(path, "add-pytorch", "x = '" + "a" * 70 + "'")
    with pytest.raises(SourceError, match="76 columns"):
        take(path, Course.read(course))


def test_a_broken_notebook_is_named(course):
    path = put(course)
    path.write_text('{"cells": [')
    with pytest.raises(SourceError, match=r"pytorch\.ipynb: is no notebook"):
        put(course)


def test_no_chapter_says_what_markdown_cannot(course):
    (course / "chapters" / "tiny.md").write_text(chapter_text("# T\n\n```{tabs}\nx\n```\n"))
    with pytest.raises(SourceError, match=r"tiny\.md:8: unknown directive"):
        put(course)


def test_copies_are_the_readers(course, tmp_path):
    source = put(course)
    work = tmp_path / "work"
    copy = work / "tiny" / "pytorch.ipynb"
    ran = nbformat.read(source, as_version=4)
    (cell,) = [c for c in ran.cells if "total" in c.source]
    cell.outputs = [nbformat.v4.new_output("stream", text="the answer to a prediction\n")]
    nbformat.write(ran, source)
    assert list(build.copies(course, work)) == [(copy, "copied")]
    assert "total = 3" in copy.read_text()
    assert "prediction" not in copy.read_text()
    assert list(build.copies(course, work)) == [(copy, "unchanged")]
    source.write_text(source.read_text().replace("total = 3", "total = 5"))
    assert list(build.copies(course, work)) == [(copy, "updated")]
    for broken in ("[]", "[" * 100_000, "3", '{"x": [1]}'):  # then what differs is the reader's own
        (work / ".copied.json").write_text(broken)
        assert list(build.copies(course, work)) == [(copy, "unchanged")]
    copy.write_text("mine")
    source.write_text(source.read_text().replace("total = 5", "total = 6"))
    assert list(build.copies(course, work)) == [(copy, "yours, left alone")]
    assert copy.read_text() == "mine"


def test_the_courses_notebooks_are_what_its_chapters_say():
    course = Course.read(ROOT)
    for path in chapter.chapters(ROOT):
        loaded = chapter.load(path)
        for framework in chapter.FRAMEWORKS:
            file = weave.notebook_path(ROOT, loaded.name, framework)
            stands = weave.read_notebook(file)
            assert not weave.edited_cells(stands)
            woven = weave.digests(weave.weave(loaded, framework, course))
            assert weave.digests(stands) == woven, f"{file} is stale: run `labkit run`"
