"""HTML that the press makes by hand, without building the book."""

import json
import re
from collections import Counter
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from types import SimpleNamespace
from unittest.mock import Mock

import nbformat
import pytest
from conftest import ROOT, chapter_text
from sphinx.errors import ExtensionError

from labkit import record, twins
from labkit.measure import Measurement
from labkit.press import chapter, claims, fingerprint, pages, prove, weave
from labkit.press import course as course_module
from labkit.press import sphinx as extension
from labkit.press.course import Course
from labkit.press.pages import cards, reader, share, slim
from labkit.press.pages.html import TEMPLATES, render
from labkit.press.site import Site

EVIL = "<script>x</script> \" ' & <b onclick=y>"


def make(kind, root, *arguments, body=(), noted=None):
    """Run a directive as Sphinx does, and return its HTML; `noted` takes what it depends on."""
    noted = set() if noted is None else noted
    env = SimpleNamespace(srcdir=str(root), docname="chapters/x", note_dependency=noted.add)
    directive = object.__new__(kind)
    directive.state = SimpleNamespace(document=SimpleNamespace(settings=SimpleNamespace(env=env)))
    directive.state_machine = SimpleNamespace(get_source_and_line=lambda _: ("x.md", 3))
    directive.arguments, directive.lineno = list(arguments), 3
    directive.content = list(body)
    return "".join(node.astext() for node in directive.run())


@pytest.fixture(autouse=True)
def build():
    """Each test is a build of its own."""
    pages.begin()


class Tags(HTMLParser):
    def __init__(self, page):
        super().__init__()
        self.found, self.text = [], ""
        self.feed(page)

    def handle_starttag(self, tag, attributes):
        self.found.append((tag, dict(attributes)))

    def handle_data(self, data):
        self.text += data


@pytest.fixture
def evil(course):
    """A course with a claim whose words would be HTML."""
    said = json.dumps(EVIL)
    (course / "evidence" / "claims.yml").write_text(
        f"sources:\n  x: {{title: {said}, date: {said}, url: 'https://x.org/?a=1&b'}}\nclaims:\n"
        f"  - {{id: one, by: x, topic: speed, chapter: tiny, says: {said}, settle: market}}\n"
    )
    return course


@pytest.mark.parametrize(
    ("kind", "arguments"), [(cards.Scoreboard, ()), (cards.ClaimCard, ("one",))]
)
def test_what_claims_say_is_text_on_the_page(evil, kind, arguments):
    page = Tags(make(kind, evil, *arguments))
    assert "script" not in dict(page.found)
    assert not any("onclick" in attributes for _, attributes in page.found)
    assert EVIL in page.text


def test_options_and_badges_are_escaped():
    verdict = claims.Verdict(EVIL, EVIL)
    claim = SimpleNamespace(id="a", topic=EVIL, says=EVIL, source=claims.Source(EVIL, "", ""))
    page = Tags(
        render("scoreboard", judged=[(claim, verdict)], unsettled=0, topics={EVIL: 2}, verdicts={})
    )
    assert page.text.count(EVIL) >= 5
    assert ("option", {"value": EVIL}) in page.found
    assert "script" not in dict(page.found)


def test_what_a_directive_names_is_a_name(course):
    with pytest.raises(ExtensionError, match=r"'\.\./\.\./x' is no name"):
        make(cards.TwinCurves, course, "../../x")


@pytest.mark.parametrize("kind", [cards.TwinBar, cards.TwinLadder])
def test_a_chapter_that_is_not_there_is_one_message(course, kind):
    with pytest.raises(ExtensionError, match=r"none\.md: cannot be read"):
        make(kind, course, "none")


@pytest.mark.parametrize(
    ("first", "second", "words"),
    [
        (None, [1.0], "PyTorch holds no list of numbers 'losses'"),
        ([], [], "PyTorch holds no list of numbers 'losses'"),
        ([1.0], ["a"], "TensorFlow holds no list of numbers 'losses'"),
        ([1.0], [1.0, 2.0], "another length in each twin's record"),
    ],
)
def test_a_record_that_cannot_be_drawn_is_one_message(course, monkeypatch, first, second, words):
    monkeypatch.setenv("LABKIT_RECORDS", str(course / "evidence"))
    for framework, losses in (("pytorch", first), ("tensorflow", second)):
        record.write("tiny", framework, exact={} if losses is None else {"losses": losses})
    with pytest.raises(ExtensionError, match=words):
        make(cards.TwinCurves, course, "tiny")


def test_the_courses_own_board_and_curves():
    assert make(cards.Scoreboard, ROOT).count("<tr ") > 40
    assert "<svg" in make(cards.TwinCurves, ROOT, "first-network")


# --- read once --------------------------------------------------------------------------------

RULED = """\
sources:
  x: {title: X, url: https://example.org}
claims:
"""
RULE = """\
  - id: NAME
    by: x
    topic: first-network
    chapter: NAME
    says: "It is so."
    settle: both
    rule:
      reads: {a: NAME.pytorch.PART.n, b: NAME.tensorflow.PART.n}
      number: "0"
      shown: "{number}"
      when: {holds: number == 0, 'false': number != 0}
"""


@pytest.fixture
def ruled(course, monkeypatch):
    """A course with two claims, one on exact fields, one on timings; and their records."""
    monkeypatch.setenv("LABKIT_RECORDS", str(course / "evidence"))
    other = RULE.replace("NAME", "other").replace("PART", "exact")
    tiny = RULE.replace("NAME", "tiny").replace("PART", "measured")
    (course / "evidence" / "claims.yml").write_text(RULED + other + tiny)
    code = "```{code-cell}\n:tags: [measured]\nlab.record(measured={'n': 1})\n```\n"
    (course / "chapters" / "tiny.md").write_text(chapter_text("# T\n\n" + code))
    loaded = chapter.load(course / "chapters" / "tiny.md")
    for framework in chapter.FRAMEWORKS:
        record.write("other", framework, exact={"n": 1})
        path = record.write("tiny", framework, measured={"n": Measurement(1.0, 0.1, 5, "s")})
        content = record.read(path)
        content["machine"]["measured"]["code"] = fingerprint.of_chapter_timings(loaded, framework)
        path.write_text(record.dumps(content))
    return course


def names(files):
    return {Path(file).name for file in files}


def test_a_card_depends_on_its_own_claims_records_alone(ruled):
    noted = set()
    make(cards.ClaimCard, ruled, "other", noted=noted)
    assert names(noted) == {"claims.yml", "other.pytorch.json", "other.tensorflow.json"}


def test_a_verdict_by_timings_depends_on_the_code_that_took_them(ruled):
    noted = set()
    assert ">holds</span>" in make(cards.ClaimCard, ruled, "tiny", noted=noted)
    records = {"tiny.pytorch.json", "tiny.tensorflow.json"}
    assert names(noted) == {"claims.yml", "tiny.md", *records}
    file = ruled / "chapters" / "tiny.md"
    file.write_text(file.read_text().replace("'n': 1", "'n': 2"))
    pages.begin()
    card = make(cards.ClaimCard, ruled, "tiny")
    assert "measured before the code changed" in card
    (ruled / "chapters" / "tiny.exercises.md").write_text("## Exercises\n")
    make(cards.ClaimCard, ruled, "tiny", noted=noted)
    assert names(noted) == {"claims.yml", "tiny.md", "tiny.exercises.md", *records}


def counted(monkeypatch, module, name):
    """Count the calls of a function by their first argument."""
    calls, function = Counter(), getattr(module, name)

    def count(first, *rest):
        calls[Path(first).name] += 1
        return function(first, *rest)

    monkeypatch.setattr(module, name, count)
    return calls


def test_a_build_reads_each_file_once(ruled, monkeypatch):
    executed(ruled)
    read = [
        counted(monkeypatch, claims, "load"),
        counted(monkeypatch, record, "read"),
        counted(monkeypatch, course_module, "load"),
    ]
    twins = counted(monkeypatch, pages, "read_notebook")
    for _ in range(2):
        make(cards.Scoreboard, ruled)
        for name in ("other", "tiny"):
            make(cards.ClaimCard, ruled, name)
        make(cards.TwinBar, ruled, "tiny")
        reader.read((ruled / "chapters" / "tiny.md").read_text(), str(ruled))
    assert all(read)
    assert twins == {"pytorch.ipynb": 1, "tensorflow.ipynb": 1}
    assert {count for calls in read for count in calls.values()} == {1}


def test_the_next_build_reads_the_course_anew(ruled):
    assert "It is so." in make(cards.ClaimCard, ruled, "other")
    file = ruled / "evidence" / "claims.yml"
    file.write_text(file.read_text().replace("It is so.", "It is otherwise."))
    assert "It is so." in make(cards.ClaimCard, ruled, "other")
    pages.begin()
    assert "It is otherwise." in make(cards.ClaimCard, ruled, "other")


def test_sphinx_begins_each_build_anew(ruled):
    connected = {}
    app = Mock()
    app.connect = lambda event, function, **_: connected.setdefault(event, function)
    extension.setup(app)
    before = pages.course(str(ruled))
    connected["builder-inited"](app)
    assert pages.course(str(ruled)) is not before


# --- the engine knows no chapter ----------------------------------------------------------------


def test_the_figure_of_differences_takes_its_curves_from_the_chapter(course, monkeypatch):
    monkeypatch.setenv("LABKIT_RECORDS", str(course / "evidence"))
    for framework, one in (("pytorch", 1.0), ("tensorflow", 1.5)):
        record.write("tiny", framework, exact={"mine": [one, 2.0], "yours": [one, one]})
    made = make(cards.TwinDifferences, course, "tiny", body=["coarse: mine", "other words: yours"])
    said = "in the first ten steps, 5e-01 in the last ten"
    assert f"coarse: 5e-01 {said}; other words: 5e-01 {said}" in made
    with pytest.raises(ExtensionError, match="no list of numbers 'theirs'"):
        make(cards.TwinDifferences, course, "tiny", body=["coarse: theirs"])
    with pytest.raises(ExtensionError, match=r"x\.md:5: .*`b` is \['c'\]"):
        make(cards.TwinDifferences, course, "tiny", body=["a: mine", "b: [c]"])


CLIMB = """\
# T

```{code-cell}
:tags: [pytorch]
:step: train
net = 1
```
```{code-cell}
:tags: [tensorflow]
net = 1
```

```{code-cell}
:tags: [pytorch]
:step: ladder
lab.prove(net)
```
```{code-cell}
:tags: [tensorflow]
lab.prove(net)
```
"""


def executed(course):
    """Weave a course's chapter and give its cells counts, as if they had run."""
    read = Course.read(course)
    for framework in chapter.FRAMEWORKS:
        notebook = weave.weave(read.chapter("tiny"), framework, read)
        for number, cell in enumerate(c for c in notebook.cells if c.cell_type == "code"):
            cell.execution_count = number + 1
        path = weave.notebook_path(course, "tiny", framework)
        path.parent.mkdir(parents=True, exist_ok=True)
        nbformat.write(notebook, path)


def test_the_ladder_stands_below_the_step_that_climbs_it(course, monkeypatch):
    """Whatever that step is called."""
    text = chapter_text(CLIMB).replace('"it trains nothing"', "[]")
    monkeypatch.setattr(chapter, "_check_ladder", lambda *_: None)  # it demands a name
    for name in ("ladder", "proof"):
        other = text.replace("step: ladder", f"step: {name}")
        (course / "chapters" / "tiny.md").write_text(other)
        executed(course)
        pages.begin()
        cells = reader.read(other, str(course)).cells
        (place,) = [n for n, c in enumerate(cells) if "{twin-ladder} tiny" in c.source]
        assert cells[place - 1].metadata.step == name
        assert cells[place - 1].metadata.tags == ["tensorflow"]


def test_a_page_is_read_as_the_chapter_whose_text_it_is(course):
    """One that gives another's name is not shown with the other's cells."""
    executed(course)
    text = (course / "chapters" / "tiny.md").read_text().replace("Words for both", "A copy")
    (course / "chapters" / "copy.md").write_text(text)
    with pytest.raises(ExtensionError, match=r"copy\.md:\d: .*`name` is 'tiny', the file 'copy'"):
        reader.read(text, str(course))


# --- what stands around -------------------------------------------------------------------------


def test_a_book_with_an_address_says_so():
    own = Site(ROOT, "https://github.com/Someone/twins", "main")
    assert share.address(own) == "https://someone.github.io/twins/"
    placeholder = Site(ROOT, "https://github.com/example/twin-labs", "main")
    assert share.address(placeholder) is None


def test_styles_lose_what_no_page_uses():
    used = slim.Used()
    used.page('<html><p class="a b" id="c">x</p></html>')
    used.script('element.classList.add("made")')
    styles = """
    /* words */ :root { --one: 1px; --two: var(--three); --three: 2px; --four: 4px }
    .a, .gone { color: red } p.a > #c { margin: var(--one) } .made::before { content: "}" }
    .gone .a { color: blue } table { border: 0 } :is(.gone, .b) { top: var(--two) } .a:not(.gone) {}
    @media print { .gone { top: 0 } .b { top: 1px } } @media screen { .gone { top: 0 } }
    @font-face { font-family: "Font Awesome 6 Free"; src: url(x.woff2) }
    p { background: url("data:image/svg+xml;a,{}") }
    """
    kept = slim.purge({"x.css": styles}, used)["x.css"]
    for part in (".a{color:red}", "p.a > #c{margin:var(--one)}", '.made::before{content:"}"}'):
        assert part in kept
    for part in (":is(.gone, .b){", "@media print{.b{top:1px}}", "--three:2px", "data:image/svg"):
        assert part in kept
    for part in (".gone .a", "table", "--four", "Awesome", "screen", "words", ".a, .gone"):
        assert part not in kept


def test_each_verdict_has_a_colour_of_its_own():
    text = (TEMPLATES.with_name("static") / "cards.css").read_text()
    for theme in ("", 'html[data-theme="dark"] '):
        found = {}
        for names, color in re.findall(
            rf"^{re.escape(theme)}\.twin-verdict([^{{]*)\{{ color: (#\w+)", text, re.MULTILINE
        ):
            found |= dict.fromkeys(re.findall(r"twin-([\w-]+)", names), color)
        distinct = {found[n] for n in ("holds", "held-once", "partly", "false", "depends")}
        assert len(distinct) == 5


def test_a_ladder_folds_to_a_line_and_opens_where_a_rung_breaks(monkeypatch):
    """Each rung is a bar, by its logarithm, up to the bound."""
    folded = make(cards.TwinLadder, ROOT, "first-network")
    assert re.match(r'<details class="twin-ladder"><summary>✓ All \d+ rungs hold\.', folded)
    held = prove.of_chapter(Course.read(ROOT).records, Course.read(ROOT).chapter("graphs").lab)
    broken = [replace(held[0], holds=False, difference=1.0), *held[1:]]
    monkeypatch.setattr(prove, "of_chapter", lambda *_: broken)
    opened = make(cards.TwinLadder, ROOT, "graphs")
    assert opened.startswith(f'<details class="twin-ladder" open><summary>✗ 1 of {len(held)} rungs')
    assert 'style="width: 100%"' in opened


def test_a_bar_reaches_to_the_bound():
    assert cards._part(None) is None
    assert cards._part(0.0) == 0
    assert cards._part(twins.BOUND) == 1
    assert 0.3 < cards._part(1e-14) < 0.6
