"""What the strict run rests on: nbval sees a changed output, and judges answers as we mean it."""

import copy
import re
from types import SimpleNamespace
from xml.etree import ElementTree

import nbformat
import notebooks
import pytest
from conftest import chapter_text
from notebooks import code_cells

from labkit.press import chapter, weave
from labkit.press.course import Course
from labkit.press.source import SourceError

pytestmark = pytest.mark.engine


def altered(text):
    """Change one value in a text: its last digit, or its last letter."""
    for pattern, change in (
        (r"\d(?=\D*$)", lambda m: str((int(m[0]) + 1) % 10)),
        (r"[A-Za-z](?=[^A-Za-z]*$)", lambda m: "q" if m[0] != "q" else "z"),
    ):
        new, count = re.subn(pattern, change, text, count=1)
        if count:
            return new
    raise AssertionError(f"nothing to alter in {text!r}")


def texts(cell):
    """Yield each textual output of a cell as a container and the key at which its text stands."""
    for output in cell.outputs:
        if output.output_type == "stream":
            yield output, "text"
        elif output.output_type == "error":
            yield output, "evalue"
        else:
            for kind in ("text/plain", "text/html"):
                if kind in output.get("data", {}):
                    yield output.data, kind


def failed(path, **options):
    """Run nbval, and return the ids of the cells that fail."""
    report = path.with_suffix(".xml")
    process = notebooks.nbval(path, report=report, **options)
    said, _ = process.communicate()
    assert process.returncode in (0, 1), said
    ids = [c.id for c in code_cells(path)]
    cases = list(ElementTree.parse(report).iter("testcase"))
    assert len(cases) == len(ids)
    bad = [c for c in cases if c.find("failure") is not None]
    return {ids[int(c.get("name").split()[-1])] for c in bad}


def code(source, name, *outputs, tags=()):
    return nbformat.v4.new_code_cell(
        source, id=name, execution_count=1, outputs=list(outputs), metadata={"tags": list(tags)}
    )


def output(kind, **content):
    return nbformat.v4.new_output(kind, **content)


def one_of_each():
    """Return a cell for each kind of output that the chapters have."""
    draw = (
        "from IPython.display import display\n"
        "display({'text/plain': 'A line. (data 0a1b2c3d)', '%s': '%s'}, raw=True)"
    )
    plain = "A line. (data 0a1b2c3d)"
    svg, other = ("<svg>\n<g/>\n</svg>\n", "<svg>\n<path/>\n</svg>\n")
    html = {"text/plain": "<HTML>", "text/html": "<b>12</b>"}
    show = "from IPython.display import HTML\nclass H(HTML):\n    def __repr__(self):\n"
    return [
        code("print('loss 0.25')", "printed", output("stream", name="stdout", text="loss 0.25\n")),
        code("[1, 2]", "result", output("execute_result", data={"text/plain": "[1, 2]"})),
        code(
            show + "        return '<HTML>'\nH('<b>12</b>')",
            "table",
            output("execute_result", data=html),
        ),
        code(
            "raise ValueError('shape 3')",
            "error",
            output("error", ename="ValueError", evalue="shape 3", traceback=[]),
            tags=["raises-exception"],
        ),
        code(
            draw % ("image/svg+xml", svg.replace("\n", "\\n")),
            "drawing",
            output("display_data", data={"text/plain": plain, "image/svg+xml": other}),
        ),
        code(
            draw % ("image/png", "aGVsbG8="),
            "picture",
            output("display_data", data={"text/plain": plain, "image/png": "d29ybGQ="}),
        ),
    ]


@pytest.mark.skipif(not notebooks.STRICT, reason="nbval compares outputs in strict mode alone")
def test_a_real_run_fails_at_each_altered_output(tmp_path):
    """Each kind stands once as it is, and once for each of its texts with that text altered."""
    cells, wanted = one_of_each(), set()
    for cell in one_of_each():
        for place in range(len(list(texts(cell)))):
            changed = copy.deepcopy(cell)
            changed.id = f"{cell.id}-{place}"
            container, key = list(texts(changed))[place]
            container[key] = altered(container[key])
            cells.append(changed)
            wanted.add(changed.id)
    timed = copy.deepcopy(cells[-1])
    timed.id, timed.metadata.tags = "measured", ["nbval-ignore-output"]
    path = tmp_path / "kinds.ipynb"
    nbformat.write(nbformat.v4.new_notebook(cells=[*cells, timed]), path)
    assert failed(path) == wanted
    assert len(wanted) >= 6


# What nbval leaves out unless it is told otherwise.
SKIPPED = (
    "metadata",
    "traceback",
    "output_type",
    "name",
    "execution_count",
    "image/png",
    "image/svg+xml",
)


@pytest.mark.course
def test_nbval_compares_each_text_of_the_notebooks():
    """nbval's own comparison, given what the notebook puts out and one altered text at a time."""
    from nbval.plugin import IPyNbCell

    item = IPyNbCell.__new__(IPyNbCell)  # nbval makes one only while it runs a notebook
    item.parent = SimpleNamespace(skip_compare=SKIPPED)
    item.colors = SimpleNamespace(**dict.fromkeys(("OKBLUE", "FAIL", "ENDC"), ""))
    item.sanitize, item.format_output_compare = str, lambda *_: None
    for path in notebooks.committed():
        compared = [
            (cell, place)
            for cell in code_cells(path)
            if "nbval-ignore-output" not in cell.metadata.get("tags", ())
            for place in range(len(list(texts(cell))))
        ]
        assert len(compared) >= 10
        for cell, place in compared:
            assert item.compare_outputs(cell.outputs, cell.outputs)
            changed = copy.deepcopy(cell)
            container, key = list(texts(changed))[place]
            container[key] = altered(container[key])
            same = item.compare_outputs(cell.outputs, changed.outputs)
            assert not same, f"{path}: {cell.id}: {container[key]!r} passes"


# --- answers -----------------------------------------------------------------------------------

STARTER = "def double(x):\n    raise NotImplementedError"
CHECK = """\
import labkit.exercise

with labkit.exercise.check("Double"):
    assert double(3) == 6, "Twice 3 is 6."
    assert double(0) == 0
"""
ANSWERS = {
    "passes": "def double(x):\n    return x + x",
    "hinted": "def double(x):\n    return x * x",
    "crashes": "def double(x):\n    return y",
    "unhinted": "def double(x):\n    return 6",
    "warned": "import sys\n\n\ndef double(x):\n    print('Hm.', file=sys.stderr)\n    return 5",
}


def exercise(number, solution, wrong):
    def cell(role, source, step=""):
        step = f":step: {step}{number}\n" if step else ""
        return f"```{{code-cell}}\n:tags: [{role}]\n{step}{source}\n```\n"

    return (
        cell("exercise", STARTER, "start")
        + cell("check", CHECK, "check")
        + cell("solution", ANSWERS[solution], "right")
        + "".join(cell("wrong", ANSWERS[w], w) for w in wrong)
    )


@pytest.fixture
def answered(course):
    """Two exercises, answered rightly and wrongly, below checks that have run."""
    body = "# T\n\n" + exercise(1, "passes", ANSWERS) + exercise(2, "hinted", ["hinted"])
    (course / "chapters" / "tiny.md").write_text(chapter_text(body))
    loaded = chapter.load(course / "chapters" / "tiny.md")
    woven = weave.weave(loaded, "pytorch", Course.read(course))
    woven.cells = [c for c in woven.cells if c.id != weave.SETUP]
    for cell in woven.cells:
        if cell.id.startswith("check"):
            said = "Double: not attempted yet\n"
            cell.outputs, cell.execution_count = [output("stream", name="stdout", text=said)], 1
    after = nbformat.v4.new_code_cell("double", id="after")
    woven.cells.append(after)
    return woven, loaded


def test_answers_stand_below_their_check(answered):
    woven, loaded = answered
    before = nbformat.writes(woven)
    made = weave.with_answers(woven, loaded)
    assert nbformat.writes(woven) == before
    nbformat.validate(made)
    ids = [c.id for c in made.cells if c.cell_type == "code"]
    assert ids[:5] == ["start1", "check1", "passes1-again", "check1-1", "hinted1-again"]
    assert ids[12:15] == ["right1-again", "check1-6", "start1-again"]
    assert ids[15:] == [
        *("start2", "check2", "hinted2-again", "check2-1", "right2-again", "check2-2"),
        *("start2-again", "after"),
    ]


def test_what_nobody_attempted_must_say_so(answered):
    woven, loaded = answered
    next(c for c in woven.cells if c.id == "check1").outputs[0].text = "Double: solved\n"
    with pytest.raises(SourceError, match=r"tiny.md:\d+: the check is to print .* not 'Double: so"):
        weave.with_answers(woven, loaded)


def test_what_is_to_be_mended_meets_a_hint_untouched(answered, course):
    woven, loaded = answered
    path = course / "chapters" / "tiny.md"
    path.write_text(path.read_text().replace("[exercise]", "[exercise, mend]"))
    loaded = chapter.load(path)
    for said in ("Double: not yet. Twice 3 is 6.\n", "Double: not attempted yet\n"):
        for cell in woven.cells:
            if cell.id.startswith("check"):
                cell.outputs[0].text = said
        if "attempted" in said:
            with pytest.raises(SourceError, match="where nothing was mended"):
                weave.with_answers(woven, loaded)
        else:
            assert weave.with_answers(woven, loaded)


def test_a_further_right_answer_must_be_solved(answered, course):
    path = course / "chapters" / "tiny.md"
    further = (
        "```{code-cell}\n:tags: [right]\n:step: also1\npass\n```\n```{code-cell}\n:tags: [wrong]"
    )
    path.write_text(path.read_text().replace("```{code-cell}\n:tags: [wrong]", further, 1))
    made = weave.with_answers(answered[0], chapter.load(path))
    ids = [c.id for c in made.cells]
    judged = made.cells[ids.index("also1-again") + 1]
    assert judged.outputs[0].text == "Double: solved\n"


@pytest.mark.parametrize("strict", [True, False])
def test_a_run_judges_each_answer(answered, tmp_path, strict):
    """One that passes though it is wrong, crashes or meets no hint, and a solution that fails."""
    path = tmp_path / "answers.ipynb"
    nbformat.write(weave.with_answers(*answered), path)
    place = {w: f"check1-{n}" for n, w in enumerate(ANSWERS, 1)}
    wanted = {place["passes"], place["crashes"], place["unhinted"], "check2-2"}
    assert failed(path, strict=strict) == wanted
