"""HTML that the press makes by hand, without building the book."""

import json
from html.parser import HTMLParser
from types import SimpleNamespace

import pytest
from conftest import ROOT
from sphinx.errors import ExtensionError

from labkit import record
from labkit.press import sphinx

EVIL = "<script>x</script> \" ' & <b onclick=y>"


def make(kind, root, *arguments):
    """Run a directive as Sphinx does, and return its HTML."""
    env = SimpleNamespace(srcdir=str(root), docname="chapters/x", note_dependency=lambda _: None)
    directive = object.__new__(kind)
    directive.state = SimpleNamespace(document=SimpleNamespace(settings=SimpleNamespace(env=env)))
    directive.state_machine = SimpleNamespace(get_source_and_line=lambda _: ("x.md", 3))
    directive.arguments, directive.lineno = list(arguments), 3
    return "".join(node.astext() for node in directive.run())


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
    ("kind", "arguments"), [(sphinx.Scoreboard, ()), (sphinx.ClaimCard, ("one",))]
)
def test_what_claims_say_is_text_on_the_page(evil, kind, arguments):
    page = Tags(make(kind, evil, *arguments))
    assert "script" not in dict(page.found)
    assert not any("onclick" in attributes for _, attributes in page.found)
    assert EVIL in page.text


def test_options_and_badges_are_escaped():
    page = Tags(sphinx._select("topic", {EVIL: 2}))
    assert ("option", {"value": EVIL}) in page.found
    assert "script" not in dict(page.found)


def test_what_a_directive_names_is_a_name(course):
    with pytest.raises(ExtensionError, match=r"'\.\./\.\./x' is no name"):
        make(sphinx.TwinCurves, course, "../../x")


@pytest.mark.parametrize("kind", [sphinx.TwinBar, sphinx.TwinLadder])
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
        make(sphinx.TwinCurves, course, "tiny")


def test_the_courses_own_board_and_curves():
    assert make(sphinx.Scoreboard, ROOT).count("<tr ") > 40
    assert "<svg" in make(sphinx.TwinCurves, ROOT, "first-network")
