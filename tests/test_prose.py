import contextlib
import importlib.util
import re
import time
from pathlib import Path

import pytest
from conftest import ROOT

from labkit.press import chapter, prose
from labkit.press.course import Course
from labkit.press.site import Site
from labkit.press.source import SourceError

PATH = Path("chapters/x.md")
LONG = "".join(f"{letter}: losses\n" for letter in "abcde")


@pytest.fixture(scope="module")
def ours():
    return Course(Site(ROOT, "https://github.com/owner/Name", "main"))


def plain(text, course):
    return prose.plain(text, course, PATH, 10)


def test_what_is_markdown_already_stays(ours):
    text = "# Title\n\n- one\n- *two*, `{term}` and $x^2$\n\n```python\nx = {1: `2`}\n```\n\n| a |"
    assert plain(text, ours) == text


@pytest.mark.parametrize(
    ("source", "wanted"),
    [
        ("{term}`loss`", "[loss](https://owner.github.io/Name/chapters/glossary.html#term-loss)"),
        (
            "{term}`layers <layer>`",
            "[layers](https://owner.github.io/Name/chapters/glossary.html#term-layer)",
        ),
        ("{doc}`glossary`", "[Glossary](https://owner.github.io/Name/chapters/glossary.html)"),
        (
            "{doc}`here </chapters/glossary>`",
            "[here](https://owner.github.io/Name/chapters/glossary.html)",
        ),
        ("{cite}`lecun1998`", "([LeCun et al., 1998](https://doi.org/10.1109/5.726791))"),
        (
            "{cite:t}`alpaydin1998`",
            "[Alpaydin and Kaynak, 1998](https://doi.org/10.24432/C50P49)",
        ),
        ("{math}`x^2`", "$x^2$"),
        ("```{math}\nx^2\n```", "$$\nx^2\n$$"),
        ("$$\na <b> c\n\nd\n$$ (e)", "$$\na <b> c\n\nd\n$$ (e)"),
        ("- one\n  % a comment\n- two", "- one\n- two"),
        ("(label)=\n## Title", "## Title"),
        ("% a comment\nText", "Text"),
        ("```{note}\nMind {term}`loss`.\n```", None),
        (
            "```{claim} papers\n```",
            "> **Claim:** PyTorch's share of papers that use either rose from about 7 % to almost "
            "80 %. (AssemblyAI, PyTorch vs TensorFlow in 2023) [The verdict]"
            "(https://owner.github.io/Name/chapters/scoreboard.html#claim-papers)",
        ),
        (
            "```{twin-differences} x\nfloat64, calm: losses\n```",
            "> [Here the book shows both twins in one figure]"
            "(https://owner.github.io/Name/chapters/x.html)",
        ),
        ("```{tip} Short words.\n```", "> **Tip**\n>\n> Short words."),
        ("- one\n\n  ```python\n  {term}`x`\n  ```", "- one\n\n  ```python\n  {term}`x`\n  ```"),
        ("$f[i](x)$ and `[a](b)`", "$f[i](x)$ and `[a](b)`"),
        ("`<b>`, $a<b$, 1 < 2 and <https://x.org>", "`<b>`, $a<b$, 1 < 2 and <https://x.org>"),
        ("`a` {math}`b` ``{math}`c` `` {math}`` d` ``", "`a` $b$ ``{math}`c` `` $ d` $"),
        ("`never closed {math}``x``", "`never closed $x$"),
        ("{}`x` and { math}`x` and }`x`", "{}`x` and { math}`x` and }`x`"),
        ("{term}`a layer <layer>`", None),
        (":::{admonition} A title\n:class: tip\nWords.\n:::", "> **A title**\n>\n> Words."),
        (
            "```{figure} https://example.org/cat.png\n:alt: A cat.\nA *cat*.\n```",
            "![A cat.](https://example.org/cat.png)\n\nA *cat*.",
        ),
    ],
)
def test_myst_becomes_markdown(source, wanted, ours):
    got = plain(source, ours)
    if wanted is None:
        assert got.startswith(("> **Note**\n>\n> Mind [loss](https://", "[a layer](https://"))
    else:
        assert got == wanted


@pytest.mark.parametrize(
    ("source", "line", "words"),
    [
        ("Words.\n\n```{tabs}\nx\n```", 12, "unknown directive {tabs}"),
        ("```{nott}\nx\n```", 10, "did you mean 'note'?"),
        ("Words\n{trem}`loss`", 11, "unknown role {trem}; did you mean 'term'?"),
        ("{term}`losss`", 10, "no term 'losss'; did you mean 'loss'?"),
        ("{cite}`lecun1989`", 10, "no cite 'lecun1989'; did you mean 'lecun1998'?"),
        ("{doc}`glosary`", 10, "no doc 'chapters/glosary'; did you mean 'chapters/glossary'?"),
        ("{ref}`nowhere`", 10, "no ref 'nowhere'"),
        ("```{figure} cat.png\nA cat.\n```", 10, "has no text alternative"),
        ("```{image} none.png\n:alt: A cat.\n```", 10, "there is no picture 'none.png'"),
        ("![](https://example.org/x.png)", 10, "without a text alternative"),
        ("- one\n\n  ```{note}\n  x\n  ```", 12, "in a list or quotation"),
        ("> ```{note}\n> x\n> ```", 10, "in a list or quotation"),
        ("`[a](b)`\n[a](b)", 11, "works in the book alone"),
        ("```{claim} paper\n```", 10, "no claim 'paper'; did you mean 'papers'?"),
        ("```{twin-differences} x\n```", 11, "name its curves in lines `words: field`"),
        ("```{twin-differences} x\na: b\na: c\n```", 12, "key 'a' stands twice, first in line 11"),
        ("```{twin-differences} x\na: b\nc: [d]\n```", 12, "`c` is ['d']; it must be a text"),
        ("```{twin-differences} x\nlosses\n```", 11, "must be a map"),
        ("```{twin-differences} x\n" + LONG + "```", 11, "names 5 curves; 4 can be told apart"),
        ("Words.\n```{note}\nx", 11, "is never closed"),
        ("See [there](glossary.md).", 10, "works in the book alone"),
        ("```{note}\nx\n{trem}`y`\n```", 12, "unknown role {trem}"),
        ("```{figure} /etc/passwd\n:alt: A.\n```", 10, "lies outside of chapters/"),
        ("```{figure} ../../x.png\n:alt: A.\n```", 10, "lies outside of chapters/"),
        ("```{figure} ../README.md\n:alt: A.\n```", 10, "lies outside of chapters/"),
        ("```{image} glossary.md\n:alt: A.\n```", 10, "there is no picture 'glossary.md'"),
        ("```{image} javascript:x\n:alt: A.\n```", 10, "there is no picture 'javascript:x'"),
        ("```{image} " + "x" * 5000 + ".png\n:alt: A.\n```", 10, "is no name of a picture"),
        ("```{image} a\0b.png\n:alt: A.\n```", 10, "there is no picture 'a\ufffdb.png'"),
        ("Words\n<script>x</script>", 11, "'<script>' is HTML"),
        ("<img src=x onerror=y>", 10, "'<img' is HTML"),
        ("Words\n<!-- none -->", 11, "'<!--' is HTML"),
        ("[![A cat.](https://x.org/c.png)](glossary.md)", 10, "works in the book alone"),
        ("[x](javascript:y)", 10, "works in the book alone"),
        ("\n[x]: <https://x.org> '<b>'", 11, "'<b>' is HTML"),
        ("Term\n: It is {trem}`loss`", 11, "unknown role {trem}"),
        ("| a |\n|---|\n| <b> |", 12, "'<b>' is HTML"),
        ("> " * 21 + "<b>", 10, "stands too deep in lists"),
    ],
)
def test_what_is_not_known_is_an_error_with_its_line(source, line, words, ours):
    with pytest.raises(SourceError) as caught:
        plain(source, ours)
    assert str(caught.value).startswith(f"chapters/x.md:{line}: ")
    assert words in str(caught.value)


def test_directives_a_thousand_deep_are_an_error_with_a_line(ours):
    depth = 1000
    opening = "\n".join(f"{':' * (2 * depth - n)}{{note}}" for n in range(depth))
    closing = "\n".join(":" * (2 * depth - n) for n in reversed(range(depth)))
    with pytest.raises(SourceError, match=r"chapters/x\.md:23: stands too deep"):
        plain(f"{opening}\nWords.\n{closing}", ours)


@pytest.mark.parametrize(
    "piece",
    [
        *("`", "[", "![", "[a](", "]("),
        *("$", "$$a", "<", "{a}`", "{term", "` `` "),
        *("> ", "*a_", "\\"),
    ],
)
def test_a_long_line_is_read_in_one_pass(piece, ours):
    """In processor time, so that a busy machine fails nothing; what was slow took minutes."""
    began = time.process_time()
    with contextlib.suppress(SourceError):
        plain("Words " + piece * 20_000, ours)
    with contextlib.suppress(SourceError):
        plain("{term}`a" + piece * 20_000 + " <x>`", ours)
    assert time.process_time() - began < 10


def test_a_picture_beside_the_chapter_is_addressed_in_the_repository(course):
    (course / "chapters" / "a cat.png").write_bytes(b"")
    text = "```{image} ./a cat.png\n:alt: A cat.\n```"
    got = prose.plain(text, Course.read(course), course / "chapters" / "tiny.md", 1)
    address = "https://github.com/example/twin-labs/raw/main/chapters/a%20cat.png"
    assert got == f"![A cat.]({address})"


def test_nothing_of_myst_is_left_in_the_courses_notebooks():
    course = Course.read(ROOT)
    for path in chapter.chapters(ROOT):
        for cell in chapter.load(path).cells:
            if cell.kind == "markdown":
                text = prose.plain(cell.source, course, path, cell.line)
                assert "{term}" not in text
                assert "```{" not in text
                assert ":::" not in text


def test_addresses(ours):
    site = ours.site
    hub = Site(ROOT, "https://github.com/owner/Name", "main", "https://hub.edu")
    assert site.colab("labs/x/pytorch.ipynb") == (
        "https://colab.research.google.com/github/owner/Name/blob/main/labs/x/pytorch.ipynb"
    )
    assert site.binder("labs/x/pytorch.ipynb") == (
        "https://mybinder.org/v2/gh/owner/Name/main?urlpath=lab/tree/labs/x/pytorch.ipynb"
    )
    assert hub.jupyterhub("labs/x/pytorch.ipynb") == (
        "https://hub.edu/hub/user-redirect/git-pull?repo=https%3A%2F%2Fgithub.com%2Fowner%2FName"
        "&branch=main&urlpath=lab%2Ftree%2FName%2Flabs%2Fx%2Fpytorch.ipynb"
    )
    assert site.jupyterhub("labs/x/a.ipynb").startswith("https://nbgitpuller.readthedocs.io/")
    assert site.requirement == "git+https://github.com/owner/Name@main"


def test_a_release_is_installed_by_its_tag(course):
    file = course / "pyproject.toml"
    file.write_text(file.read_text().replace('version = "0.1.0.dev0"', 'version = "0.1.0"'))
    assert Site.read(course).requirement.endswith("@v0.1.0")
    assert "/blob/v0.1.0/" in Site.read(course).colab("x")


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("title: x\n", None, "repository: `url` is missing"),
        ("- x\n", None, "must be a map"),
        ("title: [\n", 2, "cannot be read as YAML"),
        ("title: x\ntitle: y\n", 2, "key 'title' stands twice, first in line 1"),
        ("repository: {url: 'javascript:x', branch: a}\n", 1, "it must be https://github.com/"),
        ("repository:\n  url: https://github.com/a/b\n", 1, "repository: `branch` is missing"),
        ("repository: {url: https://github.com/a/b, branch: 'a\"b'}\n", 1, "a branch's name"),
        (
            "repository: {url: https://github.com/a/b, branch: a}\n"
            "launch_buttons: {jupyterhub_url: 'javascript:x'}\n",
            2,
            "launch_buttons: `jupyterhub_url` is 'javascript:x'; it must be an address",
        ),
        ("title: caf\udce9\n", 1, "is not UTF-8 (byte 10)"),
    ],
)
def test_a_broken_config(course, text, line, words):
    (course / "_config.yml").write_text(text, errors="surrogateescape")
    with pytest.raises(SourceError) as caught:
        Site.read(course)
    assert caught.value.line == line
    assert words in str(caught.value)


def test_without_a_config_the_folder_is_no_course(course):
    (course / "_config.yml").unlink()
    with pytest.raises(SourceError, match="is missing"):
        Site.read(course)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("@misc{a, title={T}, url={javascript:alert(1)}}", "a: 'javascript:alert"),
        ("@misc{a, title={T}", "cannot be read: syntax error in line 1"),
        ("@misc{a, title={T}}\n@misc{a, title={T}}", "cannot be read: repeated"),
    ],
)
def test_a_bad_source_is_named(course, text, words):
    (course / "references.bib").write_text(text)
    with pytest.raises(SourceError) as caught:
        Site.read(course).lookup("cite", "a")
    assert words in str(caught.value)


def test_brackets_in_a_doi_do_not_end_the_link(course):
    (course / "references.bib").write_text("@misc{a, title={T}, doi={10.1/S0(98)1}}")
    assert Site.read(course).lookup("cite", "a")[1] == "https://doi.org/10.1/S0%2898%291"


def test_the_chapters_pictures_are_what_their_program_draws():
    """Drawn by chapters/figures.py, in one ink, and each used."""
    spec = importlib.util.spec_from_file_location("figures", ROOT / "chapters" / "figures.py")
    figures = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(figures)
    drawn = {path.name: path.read_text() for path in (ROOT / "chapters").glob("*.svg")}
    assert drawn == {name: draw() for name, draw in figures.FIGURES.items()}
    prose = "".join(p.read_text() for p in (ROOT / "chapters").glob("*.md"))
    for name, text in drawn.items():
        assert f"{{figure}} {name}" in prose
        assert set(re.findall(r'(?:fill|stroke|color)="([^"]+)"', text)) <= {
            "currentColor",
            "none",
            figures.INK,
        }
