"""The built book, in a real browser."""

import base64
import contextlib
import gzip
import html
import json
import pickle
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urljoin, urlsplit

import nbformat
import pytest
import remembered
import yaml
from browser import browser_tests, settle, violations
from conftest import FRONT, ROOT
from serving import served

from labkit.press import budget, build, chapter, weave
from labkit.press.course import Course

# What axe-core finds and this book does not mend, each with its reason.
ACCEPTED = {
    "region": "the theme puts its skip link and search dialog outside of any landmark",
    "label-content-name-mismatch": "the theme's search button is named by its shortcut, too",
    "empty-table-header": "the theme's search results carry an empty header",
    "landmark-unique": "the theme names its two navigations alike",
}
# The same on one page alone.
ACCEPTED_ON = {
    "chapters/references.html": {
        "aria-allowed-role": "docutils gives each source a role that a div may not have",
        "aria-deprecated-role": "docutils calls it doc-biblioentry, a role that ARIA has given up",
        "aria-required-children": "so the list of sources holds no item that axe-core knows",
    }
}
TOC = yaml.safe_load((ROOT / "_toc.yml").read_text())
PAGES = [f"{name}.html" for name in (TOC["root"], *(c["file"] for c in TOC["chapters"]))]
LABS = [f"chapters/{path.stem}.html" for path in chapter.chapters(ROOT)]
# In all modes, axe-core looks at two pages: the others are made of the same parts.
MODES = [
    pytest.param(path, choice, scheme, id=f"{path}-{choice}-{scheme}")
    for path in ("chapters/first-network.html", "chapters/scoreboard.html")
    for choice in ("both", *chapter.FRAMEWORKS)
    for scheme in ("light", "dark")
    if (choice, scheme) != ("both", "light")  # seen on each page
]


def labkit_book(source):
    """Run `labkit book` in a copy of the course, and return it finished."""
    return subprocess.run(
        [str(Path(sys.executable).with_name("labkit")), "book"],
        cwd=source,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture(scope="session")
def book(tmp_path_factory):
    """The book, built clean from a copy, with warnings as errors."""
    source = tmp_path_factory.mktemp("book")
    ignore = shutil.ignore_patterns(
        ".git", ".venv", "_build", "work", "tests", "__pycache__", ".*_cache", ".hypothesis"
    )
    shutil.copytree(ROOT, source, dirs_exist_ok=True, ignore=ignore)
    done = labkit_book(source)
    assert done.returncode == 0, done.stderr
    return source / "_build" / "html"


@pytest.fixture(scope="session")
def server(book):
    with served(book) as address:
        yield address


@pytest.fixture
def page(chromium, server):
    """A page that fails the test for any error in its console and any request to elsewhere."""
    faults = []
    context = chromium.new_context(viewport={"width": 1440, "height": 900}, base_url=server)
    # Predictions have their own tests; here nothing is veiled.
    context.add_init_script("try { localStorage.setItem('twin-show-all', 'yes') } catch {}")
    tab = context.new_page()
    tab.on("console", lambda m: faults.append(m.text) if m.type in ("error", "warning") else None)
    tab.on("pageerror", lambda e: faults.append(str(e)))
    tab.on("response", lambda r: faults.append(f"{r.status} {r.url}") if r.status >= 400 else None)

    def elsewhere(request):
        if not request.url.startswith((server, "data:", "blob:")):
            faults.append(f"asks for {request.url}")

    tab.on("request", elsewhere)
    tab.faults = faults
    yield tab
    context.close()
    assert not faults


@contextlib.contextmanager
def once(what, book, page, path):
    """Skip what a page has passed with the same bytes, files and browser; see `remembered`."""
    file = book / path
    links = re.findall(r'(?:src|href)="([^"#?]+)', file.read_text(encoding="utf-8"))
    loaded = {(file.parent / unquote(link)).resolve() for link in links}
    loaded = {p for p in loaded if p.is_file() and p.suffix not in (".html", ".ipynb")}
    static = {p for p in book.rglob("*") if "_static" in p.parts and p.is_file()}
    key = remembered.digest(page.context.browser.version, {file, Path(__file__), *loaded, *static})
    with remembered.once(f"{what}-{path.replace('/', '-')}", key):
        yield
        assert page.faults == []


def shown(page, step, framework):
    """Whether a step's tab of one framework is visible."""
    return page.locator(f"#step-{step} .sd-tab-content.twin-{framework}").is_visible()


def press(page, framework):
    page.locator(f".twin-switch label.twin-{framework}").click()


def chosen(page):
    """The framework that the switch in the page's head says is shown."""
    return page.locator(".twin-switch input:checked").get_attribute("value")


def assert_light(fetched):
    """What a browser that knows nothing yet fetches for a chapter, as it comes over the wire."""
    sizes = {}
    for answer in fetched:
        body = answer.body()
        packed = answer.url.endswith((".png", ".jpg", ".webp", ".woff2"))
        sizes[answer.url] = len(body if packed else gzip.compress(body))
    assert len(sizes) > 10
    assert sum(sizes.values()) <= 350 * 1024, sizes
    assert not any(url.endswith((".woff2", ".ttf")) for url in sizes)


def assert_accessible(page, path):
    settle(page)
    known = {*ACCEPTED, *ACCEPTED_ON.get(path, ())}
    new = {v["id"]: v["nodes"][0]["html"] for v in violations(page) if v["id"] not in known}
    assert new == {}


@browser_tests
class TestInABrowser:
    def test_the_switch_holds_across_pages_and_stands_in_the_address(self, page):
        page.goto("chapters/first-network.html#step-network")
        assert chosen(page) == "both"  # on a first visit, where it fits
        press(page, "tensorflow")
        assert page.url.endswith("first-network.html?framework=tensorflow#step-network")
        for step in ("network", "train"):
            assert shown(page, step, "tensorflow")
            assert not shown(page, step, "pytorch")
        page.goto("chapters/glossary.html")
        assert chosen(page) == "tensorflow"
        press(page, "both")
        page.goto("chapters/first-network.html")
        assert shown(page, "network", "pytorch")
        assert shown(page, "network", "tensorflow")

    @pytest.mark.parametrize(
        ("width", "first"), [(1440, "both"), (1366, "both"), (1365, "pytorch"), (390, "pytorch")]
    )
    def test_a_first_visit_shows_both_where_they_fit(self, page, width, first):
        page.set_viewport_size({"width": width, "height": 900})
        page.goto("chapters/first-network.html?framework=jax")  # unknown: refused
        assert chosen(page) == first
        assert page.evaluate("localStorage.getItem('twin-framework')") is None
        page.goto("chapters/index.html")
        assert chosen(page) == first

    def test_a_tab_moves_the_switch_and_all_other_tabs(self, page):
        page.goto("chapters/first-network.html?framework=pytorch")
        page.locator("#step-network .sd-tab-label.twin-tensorflow").click()
        assert shown(page, "train", "tensorflow")
        assert not shown(page, "train", "pytorch")
        assert chosen(page) == "tensorflow"
        assert "?framework=tensorflow" in page.url

    def test_the_keyboard_reaches_switch_and_tabs(self, page):
        page.goto("chapters/first-network.html?framework=pytorch")
        group = page.get_by_role("radiogroup", name="Framework")
        assert group.get_by_role("radio").count() == 3
        group.get_by_role("radio", name="PyTorch").focus()
        page.keyboard.press("ArrowRight")
        assert shown(page, "network", "tensorflow")
        page.locator("#step-network input").nth(1).focus()
        page.keyboard.press("ArrowLeft")
        assert shown(page, "train", "pytorch")

    @pytest.mark.parametrize("choice", ["pytorch", "tensorflow", "both"])
    def test_an_address_sets_the_framework(self, page, choice):
        page.goto(f"chapters/first-network.html?framework={choice}")
        assert shown(page, "network", "pytorch") == (choice != "tensorflow")
        assert shown(page, "network", "tensorflow") == (choice != "pytorch")
        page.goto("chapters/index.html")
        assert chosen(page) == choice

    @pytest.mark.parametrize("width", [1440, 390])
    def test_switching_keeps_what_the_reader_sees_in_its_place(self, page, width):
        page.set_viewport_size({"width": width, "height": 900})
        page.goto("chapters/first-network.html")
        top = "document.querySelector('#step-losses').getBoundingClientRect().top"
        page.evaluate(f"scrollBy({{top: {top} - 200, behavior: 'instant'}})")
        frames = ["tensorflow", "pytorch"] + (["both", "pytorch"] if width == 1440 else [])
        for framework in frames:
            press(page, framework)
            page.wait_for_timeout(50)
            assert abs(page.evaluate(top) - 200) <= 2, framework

    def test_both_are_aligned_and_nothing_is_cut(self, page):
        """Outputs of one step begin at one height; from 1200 pixels on all code is in sight.

        What stands in one tab lies below each other.
        """
        far = """[...document.querySelectorAll('.twin-step')].map(step => [
            step.id, ...[...step.querySelectorAll('.sd-tab-content')]
            .map(tab => tab.querySelector('.cell_output')?.getBoundingClientRect().top)])
            .filter(([_, a, b]) => Math.abs(a - b) > 8)"""
        cut = """[...document.querySelectorAll('pre')]
            .filter(p => p.offsetParent && p.scrollWidth > p.clientWidth)
            .map(p => p.innerText.slice(0, 200))"""
        over = """[...document.querySelectorAll('.twin > .sd-tab-content')].filter(tab => {
            const parts = [...tab.querySelectorAll(':scope > .twin-words, :scope > .cell > *')]
                .filter(p => p.offsetHeight).map(p => p.getBoundingClientRect());
            return parts.some((p, n) => n && p.top < parts[n - 1].bottom - 1);
        }).map(tab => tab.innerText.slice(0, 200))"""
        for path in LABS:
            page.goto(f"{path}?framework=both")
            page.eval_on_selector_all("details", "all => all.forEach(d => d.open = true)")
            for width in (1200, 1366, 1440):
                page.set_viewport_size({"width": width, "height": 900})
                assert page.evaluate(far) == [], (path, width)
                assert page.evaluate(cut) == [], (path, width)
                assert page.evaluate(over) == [], (path, width)

    def test_the_contents_are_at_hand_in_every_mode(self, page):
        for width in (1440, 1200, 390):
            page.set_viewport_size({"width": width, "height": 900})
            for choice in ("both", "pytorch"):
                page.goto(f"chapters/first-network.html?framework={choice}#the-training-loop")
                page.wait_for_timeout(100)
                drawer, beside = page.locator(".twin-contents"), page.locator("#pst-page-toc-nav")
                if drawer.is_visible():
                    drawer.locator("summary").click()
                    page.wait_for_timeout(50)
                nav = drawer if drawer.is_visible() else beside
                assert nav.locator("a[aria-current]").inner_text() == "The training loop"
                assert nav.locator("a", has_text="What you have seen").is_visible()
        # Where two columns take the sidebar's room, its button lays it over the page.
        page.set_viewport_size({"width": 1200, "height": 900})
        page.goto("chapters/first-network.html?framework=both")
        chapters = page.locator(".bd-sidebar-primary a", has_text="Scoreboard")
        assert not chapters.is_visible()
        page.locator(".primary-toggle").click()
        assert chapters.is_visible()

    def test_prose_for_one_framework_shows_with_its_tab(self, page):
        page.goto("chapters/first-network.html?framework=pytorch")
        words = page.get_by_text("Here the network is a list")
        assert not words.is_visible()
        press(page, "tensorflow")
        assert words.is_visible()
        assert not page.get_by_text("In PyTorch a network is a class").is_visible()

    def test_columns_on_a_wide_screen_and_tabs_on_a_narrow_one(self, page):
        page.goto("chapters/first-network.html?framework=both")
        boxes = [
            page.locator(f"#step-network .sd-tab-content.twin-{f}").bounding_box()
            for f in chapter.FRAMEWORKS
        ]
        assert boxes[0]["x"] + boxes[0]["width"] < boxes[1]["x"] + 1
        assert boxes[0]["y"] == boxes[1]["y"]
        page.set_viewport_size({"width": 390, "height": 844})
        visible = [shown(page, "network", f) for f in chapter.FRAMEWORKS]
        assert sorted(visible) == [False, True]
        assert page.locator("#step-network .sd-tab-label").first.is_visible()

    @pytest.mark.parametrize("path", [*PAGES, "search.html"])
    def test_each_page_at_one_visit(self, book, page, path):
        """A page asks nowhere else, complains of nothing, weighs little and fits the screen.

        And axe-core finds nothing. All at one visit: to open a page costs more than to look at it.
        """
        fetched = []
        page.on("response", lambda answer: fetched.append(answer))  # a builtin it refuses
        with once("visit", book, page, path):
            page.goto(path, wait_until="networkidle")
            if path in LABS:
                assert_light(fetched)
            for width in (390, 768, 1440):
                page.set_viewport_size({"width": width, "height": 900})
                assert page.evaluate("document.documentElement.scrollWidth") <= width
            if path in PAGES:
                assert chosen(page) == "both"
                assert_accessible(page, path)

    def test_math_is_drawn_without_a_script(self, page):
        page.goto("chapters/first-network.html")
        assert page.locator("math").count() >= 2
        assert page.locator("math").first.bounding_box()["width"] > 40

    def test_every_picture_has_a_real_text_alternative(self, page):
        page.goto("chapters/first-network.html?framework=both")
        for picture in page.locator("main img").all():
            alt = picture.get_attribute("alt") or ""
            assert len(alt) > 20, picture.get_attribute("src")
            assert not re.search(r"\.(png|svg|jpe?g)$", alt)
        page.goto("chapters/index.html")
        assert "lie on each other" in page.locator(".twin-curves svg").get_attribute("aria-label")

    @pytest.mark.parametrize(("path", "choice", "scheme"), MODES)
    def test_axe_finds_nothing_in_any_mode(self, book, page, path, choice, scheme):
        with once(f"axe-{choice}-{scheme}", book, page, path):
            page.emulate_media(color_scheme=scheme)
            page.goto(f"{path}?framework={choice}")
            assert_accessible(page, path)

    def test_a_phone_shows_the_first_sentence_and_what_a_finger_can_press(self, page):
        page.set_viewport_size({"width": 390, "height": 844})
        small = """[...document.querySelectorAll(
            '.bd-header-article :is(button, summary, label), ' +
            '.bd-article :is(summary, button:not(.copybtn), select, .twin > .sd-tab-label), ' +
            '.prev-next-area a')]
            .filter(e => e.checkVisibility() && e.getBoundingClientRect().height < 43.5)
            .map(e => e.outerHTML.slice(0, 100))"""
        for path in (*LABS, "chapters/scoreboard.html"):
            page.goto(path)
            assert page.evaluate(small) == []
            words = page.locator(".bd-article > section > p").first.bounding_box()
            assert words["y"] + 30 < 844, path
        page.goto("chapters/first-network.html")
        page.evaluate("document.querySelector('#step-train').scrollIntoView()")
        code = page.locator("#step-train pre").first
        assert code.evaluate("p => p.scrollWidth > p.clientWidth")
        assert "local" in code.evaluate("p => getComputedStyle(p).backgroundAttachment")
        page.locator(".twin-bar summary").first.click()
        box = page.locator(".twin-bar details[open] > div").bounding_box()
        assert box["x"] >= 0
        assert box["x"] + box["width"] <= 390
        for link in page.locator(".twin-bar details[open] a").all():
            assert link.bounding_box()["height"] >= 43.5

    def test_a_term_opens_where_it_stands(self, page):
        page.goto("chapters/first-network.html?framework=pytorch")
        address, asked = page.url, []
        page.wait_for_load_state("networkidle")
        icon = "favicon.svg"  # fetched when the browser likes
        page.on("request", lambda r: r.url.endswith(icon) or asked.append(r.url))
        link = page.locator("a[data-gloss]").nth(1)
        gloss = page.locator(f"#{link.get_attribute('data-gloss')}")
        for open_it in (link.click, lambda: (link.focus(), page.keyboard.press("Enter"))):
            assert not gloss.is_visible()
            open_it()
            assert gloss.is_visible()
            at, below = link.bounding_box(), gloss.bounding_box()
            assert 0 <= below["y"] - at["y"] - at["height"] < 12
            page.keyboard.press("Escape")
        assert not gloss.is_visible()
        assert link.evaluate("a => document.activeElement === a")
        assert (page.url, asked) == (address, [])

    def test_ink_paper_and_focus(self, page):
        """Links, inputs and outputs can be told apart; paper is white; the focus is seen."""
        color = "e => getComputedStyle(e).color"
        page.emulate_media(color_scheme="dark", reduced_motion="reduce")
        page.goto("chapters/first-network.html?framework=both")
        twins = [
            page.locator(f"#step-network .sd-tab-label.twin-{f}").evaluate(color)
            for f in chapter.FRAMEWORKS
        ]
        link = page.locator(".bd-article p a").first.evaluate(color)
        assert link not in (*twins, page.locator(".bd-article p").first.evaluate(color))
        paper = "e => getComputedStyle(e).backgroundColor"
        step = page.locator("#step-network")
        made = step.locator(".cell_output pre").first.evaluate(paper)
        assert made != step.locator(".cell_input pre").first.evaluate(paper)
        sizes = [
            float(page.locator(h).first.evaluate("h => parseFloat(getComputedStyle(h).fontSize)"))
            for h in (".bd-article h2", ".bd-article h3")
        ]
        assert sizes[0] > 1.2 * sizes[1]
        for moving in (".btn", ".sd-tab-label", "a"):
            timing = page.locator(moving).first.evaluate("e => getComputedStyle(e).transition")
            assert re.fullmatch(r"none.*|all|.* 0s.*", timing), timing
        ring = """() => { const e = document.activeElement.closest('label') ??
            document.activeElement, s = getComputedStyle(e);
            return [e.outerHTML.slice(0, 80), s.outlineStyle, parseFloat(s.outlineWidth)]; }"""
        for _ in range(30):
            page.keyboard.press("Tab")
            what, look, width = page.evaluate(ring)
            assert look != "none", what
            assert width >= 2, what
        page.emulate_media(color_scheme="dark", media="print")
        assert page.locator("body").evaluate(paper) == "rgb(255, 255, 255)"
        assert page.locator("#step-network pre").first.evaluate(color) == "rgb(31, 35, 40)"
        label = page.locator("#step-network .sd-tab-label.twin-pytorch")
        assert label.evaluate(color) == "rgb(184, 64, 14)"  # the orange that is read on white
        for frame in (".twin-figure", ".cell_input", ".cell_output"):
            said = page.locator(frame).first.evaluate("e => getComputedStyle(e).breakInside")
            assert said == "avoid"

    def test_without_a_script_nothing_is_dead(self, chromium, server):
        context = chromium.new_context(java_script_enabled=False, base_url=server)
        page = context.new_page()
        page.goto("chapters/first-network.html")
        dead = [b for b in page.locator("button, select").all() if b.is_visible()]
        assert [b.evaluate("b => b.outerHTML") for b in dead] == []
        assert shown(page, "network", "pytorch")
        page.locator("#step-network .sd-tab-label.twin-tensorflow").click()
        assert shown(page, "network", "tensorflow")
        page.goto("chapters/scoreboard.html")
        assert not page.locator(".twin-filters").is_visible()
        context.close()

    def test_deep_links_to_steps(self, page):
        page.goto("chapters/first-network.html#step-train")
        page.wait_for_timeout(300)
        top = page.locator("#step-train").bounding_box()["y"]
        assert 0 <= top < 300
        link = page.locator("#step-train > .twin-link")
        assert link.get_attribute("href") == "#step-train"

    def test_one_click_to_the_first_lab(self, page):
        page.goto("")
        page.wait_for_url("**/chapters/index.html")
        page.get_by_role("link", name="Open the first lab").click()
        page.wait_for_url("**/chapters/first-network.html")

    def test_the_front_page_trains_a_network(self, page):
        """Its code and data are found from there, and nothing is loaded before it is asked."""
        asked = []
        page.on("request", lambda r: asked.append(urlsplit(r.url).path))
        page.goto("chapters/index.html")
        page.get_by_role("button", name="Train it here").wait_for()
        assert not [a for a in asked if a.startswith("/third/") or a.endswith("panel.js")]
        page.get_by_role("button", name="Train it here").click()
        page.get_by_text(re.compile(r"step \d+ of 540")).wait_for()
        page.get_by_role("button", name="Stop").click()
        page.get_by_role("button", name="Go on").wait_for()

    def test_the_scoreboard_is_filtered(self, page):
        page.goto("chapters/scoreboard.html")
        rows = page.locator(".twin-scoreboard tbody tr")
        assert page.locator(".twin-count").inner_text() == f"{rows.count()} of {rows.count()} shown"
        page.get_by_label("Topic").select_option("graphs")
        shown = [r for r in rows.all() if r.is_visible()]
        assert 0 < len(shown) < rows.count()
        assert {r.get_attribute("data-topic") for r in shown} == {"graphs"}
        page.get_by_label("Verdict").select_option("reported")
        assert page.locator(".twin-count").inner_text().startswith("0 of")

    def test_solutions_are_closed_until_asked_for(self, page):
        page.goto("chapters/first-network.html")
        solution = page.get_by_text("return outputs * (weights + 1)")
        assert not solution.is_visible()
        page.get_by_text("Show a solution").first.click()
        assert solution.is_visible()


ASKING = """
## One step

```{predict}
:name: sum
:true: number("add") == 2
What is one and `one`?
- eleven
- [x] *two*
```

```{code-cell}
:tags: [pytorch]
:step: add
print(1 + 1)
```
```{code-cell}
:tags: [tensorflow]
print(2)
```

+++ {"tags": ["pytorch"]}

PyTorch gives the secret away.

+++

The sum is the secret number.

## Another

```{predict}
:name: more
:answer: 0.5
:true: number("half") == 0.5
How much is a half?
```

Words before the cell.

```{code-cell}
:step: half
print(0.5)
```

```{code-cell}
:step: half-again
print(1 - 0.5)
```

It is a secret fraction.

```{try}
:name: three
:edit: {"1 + 1": "1 + 2", "print(2)": "print(3)"}
:again: add
:true: number("add") == 3
In *add*, add two. What comes out?
```

A secret kept by nobody.
"""


@pytest.fixture(scope="session")
def asking(tmp_path_factory):
    """A book with one small chapter that asks, whose outputs are written by hand."""
    root = tmp_path_factory.mktemp("asking")
    for name in ("chapters", "evidence/cpu", "src/labkit/press/static"):
        (root / name).mkdir(parents=True)
    icon = "src/labkit/press/static/favicon.svg"
    for name in ("_config.yml", "pyproject.toml", "references.bib", "evidence/claims.yml", icon):
        shutil.copy(ROOT / name, root / name)
    (root / "_toc.yml").write_text("format: jb-book\nroot: chapters/tiny\n")
    (root / "evidence" / "claims.yml").write_text("sources: {}\nclaims: []\n")
    text = FRONT.replace("[first-network]", "[]") + "# A tiny chapter\n" + ASKING
    (root / "chapters" / "tiny.md").write_text(text)
    course = Course.read(root)
    for framework in chapter.FRAMEWORKS:
        notebook = weave.weave(course.chapter("tiny"), framework, course)
        for cell in (c for c in notebook.cells if c.cell_type == "code"):
            cell.execution_count = 1
            said = {"add": "2", "half": "0.5"}.get(cell.id.partition("-")[0])
            cell.outputs = [nbformat.v4.new_output("stream", text=f"{said}\n")] if said else []
        path = weave.notebook_path(root, "tiny", framework)
        path.parent.mkdir(parents=True, exist_ok=True)
        nbformat.write(notebook, path)
        tried = [nbformat.v4.new_output("stream", text=f"3, says {framework}\n")]
        path = root / "evidence" / "cpu" / f"tiny.{framework}.tries.json"
        path.write_text(json.dumps({"three": tried}))
    return build.book(root).parent


@browser_tests
class TestAsking:
    """Predictions, what they veil, and edits to try."""

    @pytest.fixture
    def open(self, asking, chromium):
        """Open the page in a browser that knows nothing of the reader."""
        with served(asking) as address, contextlib.ExitStack() as contexts:

            def go(anchor="", **settings):
                context = chromium.new_context(viewport={"width": 1000, "height": 900}, **settings)
                contexts.callback(context.close)
                tab = context.new_page()
                tab.goto(f"{address}chapters/tiny.html{anchor}")
                return tab

            yield go

    def test_a_prediction_veils_until_it_is_answered(self, open):
        page = open("?framework=pytorch")
        secrets = ["PyTorch gives the secret away.", "The sum is the secret number."]
        output = page.locator("#step-add .sd-tab-content.twin-pytorch .cell_output pre")
        place = "document.querySelector('form.twin-predict').getBoundingClientRect().top"

        def seen():
            return [page.get_by_text(s).is_visible() for s in secrets] + [output.is_visible()]

        assert seen() == [False, False, False]
        assert "secret number" not in page.locator("body").aria_snapshot()
        card = page.locator("form.twin-predict").first
        card.get_by_role("button", name="That is my guess").click()
        assert seen() == [False, False, False]  # nothing was chosen
        card.get_by_role("radio", name="eleven").focus()
        page.keyboard.press("ArrowDown")
        page.keyboard.press("ArrowUp")
        assert seen() == [False, False, False]  # moving about is no answer
        before = page.evaluate(place)
        card.get_by_role("button", name="That is my guess").click()
        assert seen() == [True, True, True]
        assert card.locator("output").inner_text() == "Your guess: eleven. Right: two"
        assert not page.get_by_text("It is a secret fraction.").is_visible()
        assert abs(page.evaluate(place) - before) < 2  # what opens, opens below
        page.reload()
        assert seen() == [True, True, True]
        assert card.locator("output").inner_text() == "Your guess: eleven. Right: two"
        card.get_by_role("button", name="Guess again").click()
        assert seen() == [False, False, False]

    def test_a_number_is_right_when_it_is_near(self, open):
        page = open()
        secret, card = page.get_by_text("It is a secret fraction."), page.locator("form").nth(-1)
        assert page.get_by_text("Words before the cell.").is_visible()
        assert page.get_by_text("A secret kept by nobody.").is_visible()
        answers = {
            "0.51": "Your guess: 0.51. Right: 0.5, near enough.",
            "0.6": "Your guess: 0.6. Right: 0.5",
            "0.50": "Your guess: 0.50. Right.",
        }
        outputs = page.locator(".cell_output pre", has_text="0.5")
        assert outputs.count() == 2  # of the step, and of the one right below it
        for guess, said in answers.items():
            assert not secret.is_visible()
            assert not any(output.is_visible() for output in outputs.all())
            card.get_by_label("Your guess").fill(guess)
            page.keyboard.press("Enter")
            assert secret.is_visible()
            assert all(output.is_visible() for output in outputs.all())
            assert card.locator("output").inner_text() == said
            card.get_by_role("button", name="Guess again").click()
        card.get_by_role("button", name="I’d rather see it").click()
        assert secret.is_visible()
        assert card.locator("output").inner_text() == "Right: 0.5"
        page.locator(".twin-bar summary", has_text="Predictions").click()
        page.get_by_role("button", name="Forget my guesses").click()
        assert not secret.is_visible()

    def test_nothing_is_veiled_on_paper_without_a_script_or_when_all_is_shown(self, open):
        secrets = ["The sum is the secret number.", "It is a secret fraction."]

        def seen(page):
            return [page.get_by_text(s).is_visible() for s in secrets]

        page = open()
        page.emulate_media(media="print")
        assert seen(page) == [True, True]
        page.emulate_media(media="screen")
        assert seen(page) == [False, False]
        page.locator(".twin-bar summary", has_text="Predictions").click()
        page.get_by_label("Show everything").check()
        assert seen(page) == [True, True]
        page.reload()
        assert seen(page) == [True, True]
        plain = open(java_script_enabled=False)
        assert seen(plain) == [True, True]
        assert not plain.locator("form button").first.is_visible()  # nothing dead to press
        assert not plain.locator(".twin-switch").is_visible()

    @pytest.mark.parametrize("scheme", ["light", "dark"])
    def test_axe_finds_nothing_in_the_cards(self, open, scheme):
        page = open(color_scheme=scheme)
        settle(page)
        found = violations(page)
        new = {v["id"]: v["nodes"][0]["html"] for v in found if v["id"] not in ACCEPTED}
        assert new == {}

    def test_a_link_to_a_veiled_step_goes_there(self, open):
        page = open("#step-half")
        page.wait_for_timeout(100)
        assert 0 <= page.locator("#step-half").bounding_box()["y"] < 900
        assert not page.get_by_text("It is a secret fraction.").is_visible()

    def test_what_an_edit_does_is_folded_and_follows_the_framework(self, open):
        page = open("?framework=tensorflow")
        result = page.get_by_text("3, says tensorflow")
        assert not result.is_visible()
        page.get_by_text("What happens", exact=True).click()
        assert result.is_visible()
        assert not page.get_by_text("3, says pytorch").is_visible()


# --- without a browser -------------------------------------------------------------------------


class Links(HTMLParser):
    def __init__(self):
        super().__init__()
        self.links, self.ids, self.headings = [], set(), []

    def handle_starttag(self, tag, attributes):
        values = dict(attributes)
        if "id" in values:
            self.ids.add(values["id"])
        for key in ("href", "src"):
            if values.get(key):
                self.links.append(values[key])


@pytest.fixture(scope="session")
def parsed(book):
    found = {}
    for file in book.rglob("*.html"):
        if "_static" in file.parts:
            continue
        parser = Links()
        parser.feed(file.read_text(encoding="utf-8"))
        found[str(file.relative_to(book))] = parser
    return found


def test_every_internal_link_resolves(book, parsed):
    broken = []
    for name, parser in parsed.items():
        for link in parser.links:
            parts = urlsplit(urljoin(f"http://book/{name}", link))
            if parts.netloc != "book" or parts.scheme != "http":
                continue
            target = parts.path.lstrip("/")
            ids = parsed[target].ids if target in parsed else {parts.fragment}
            if not (book / target).is_file() or (parts.fragment and parts.fragment not in ids):
                broken.append(f"{name}: {link}")
    assert broken == []


def test_colab_links_name_files_that_exist(parsed):
    links = {link for p in parsed.values() for link in p.links if "colab.research" in link}
    found = set()
    for link in links:
        match = re.fullmatch(
            r"https://colab\.research\.google\.com/github/[\w.-]+/[\w.-]+/blob/[\w.-]+/(.+\.ipynb)",
            link,
        )
        assert match, link
        assert (ROOT / match[1]).is_file()
        found.add(match[1])
    assert len(found) == 2 * len(chapter.chapters(ROOT))


def test_every_page_in_the_book_is_tested(parsed):
    pages = {p for p in parsed if p.startswith("chapters/")}
    assert pages == set(PAGES)
    assert set(LABS) <= pages


def test_every_chapter_has_its_bar(parsed):
    for path in chapter.chapters(ROOT):
        links = parsed[f"chapters/{path.stem}.html"].links
        for where in ("colab.research", "mybinder.org", "nbgitpuller", "labs/"):
            assert sum(where in link for link in links) >= 2, where


def test_figures_stand_in_the_page(book):
    """As their notebooks hold them: there they take the page's ink."""
    for path in chapter.chapters(ROOT):
        text = (book / "chapters" / f"{path.stem}.html").read_text()
        for framework in chapter.FRAMEWORKS:
            file = book / "labs" / path.stem / f"{framework}.ipynb"
            for cell in nbformat.read(file, as_version=4).cells:
                for output in cell.get("outputs", ()):
                    drawn = output.get("data", {}).get("image/svg+xml", "")
                    assert drawn.partition(">")[2] in text, cell.id
        assert not re.search(r'<img[^>]*\.svg"', text)


def test_every_step_has_a_stable_link(parsed):
    for path in chapter.chapters(ROOT):
        ids = parsed[f"chapters/{path.stem}.html"].ids
        steps = {
            c.step for c in chapter.load(path).cells if c.step and c.role not in ("right", "wrong")
        }
        assert {f"step-{s}" for s in steps} <= ids


def test_cards_and_figures_show_what_is_computed(book):
    text = html.unescape((book / "chapters" / "same-experiment.html").read_text())
    course = Course.read(ROOT)
    cards = re.findall(r'id="verdict-([\w-]+)"', text)
    assert len(cards) >= 6
    for name in cards:
        verdict = course.verdict(course.claims[name])
        assert f">{verdict.name}</span> {verdict.shown}" in text
    assert "How far the twins are apart" in text


# --- the pages against their sources ---------------------------------------------------------


@dataclass
class Shown:
    """A code cell as a page shows it."""

    tab: str | None
    """The tab it stands under, by the words on it."""
    prompt: str | None = None
    """What opens its code, where the code is closed."""
    code: str = ""
    outputs: list = field(default_factory=list)
    """Texts; for a picture its text alternative and its bytes."""


class Cells(HTMLParser):
    """A chapter's code cells and its prose for one twin, in the order of the page."""

    VOID = frozenset(("br", "hr", "img", "input", "link", "meta", "source", "wbr"))

    def __init__(self, file):
        super().__init__()
        self.file, self.open, self.labels = file, [], {}
        self.cells, self.prose = [], []
        self.feed(file.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attributes):
        values = {k: v or "" for k, v in attributes}
        classes = values.get("class", "").split()
        if tag == "label" and "sd-tab-label" in classes:
            self.labels[values["aria-controls"]] = ""
        if tag == "div" and "cell" in classes:
            self.cells.append(Shown(self.tab()))
        if tag == "div" and "twin-prose" in classes:
            self.prose.append([self.tab(), ""])
        if tag == "details" and "hide" in classes and self.within("cell"):
            self.cells[-1].prompt = ""
        if tag == "img" and self.within("cell_output"):
            picture = (self.file.parent / values["src"]).read_bytes()
            self.cells[-1].outputs.append((values["alt"], picture.strip()))
        if tag == "svg" and self.within("cell_output"):
            self.cells[-1].outputs.append((values["aria-label"], "drawn"))
        if tag == "pre" and self.within("cell_output"):
            self.cells[-1].outputs.append("")
        if tag not in self.VOID:
            self.open.append((tag, classes, values))

    def handle_endtag(self, tag):
        while tag not in self.VOID and self.open and self.open.pop()[0] != tag:
            pass

    def handle_data(self, text):
        if not self.open:
            return
        tags, (_, classes, values) = [t for t, _, _ in self.open], self.open[-1]
        if tags[-1] == "label" and "sd-tab-label" in classes:
            self.labels[values["aria-controls"]] += text.strip()
        elif "collapsed" in classes and self.within("cell"):
            self.cells[-1].prompt = text
        elif "pre" in tags and self.within("cell_input"):
            self.cells[-1].code += text
        elif "pre" in tags and self.within("cell_output"):
            self.cells[-1].outputs[-1] += text
        elif self.within("twin-prose") and not self.within("cell"):
            self.prose[-1][1] += text

    def within(self, name):
        return any(name in classes for _, classes, _ in self.open)

    def tab(self):
        """Return the words on the tab that is open."""
        inside = [v["id"] for _, classes, v in self.open if "sd-tab-content" in classes]
        return self.labels[inside[-1]] if inside else None


def put_out(cell):
    """Return what a notebook's cell put out, as a page shows it."""
    shown = []
    for output in cell.outputs:
        data = output.get("data", {})
        if kind := next((k for k in data if k.startswith("image/")), None):
            # A vector figure stands in the page itself; its bytes are compared elsewhere.
            picture = "drawn" if kind.endswith("xml") else base64.b64decode(data[kind]).strip()
            shown.append((output.metadata[kind]["alt"], picture))
        else:
            shown.append((output.get("text") or data["text/plain"]).strip("\n"))
    return shown


def expected(path, framework):
    """Yield prompt, code and outputs of each cell that a page must show of one twin."""
    loaded = chapter.load(path)
    notebook = nbformat.read(ROOT / "labs" / path.stem / f"{framework}.ipynb", as_version=4)
    ran = {c.id: c for c in notebook.cells if c.cell_type == "code"}
    yield "Show the set-up cell", ran["setup"].source, put_out(ran["setup"])
    for cell in loaded.cells_of(framework):
        if cell.kind == "code" and cell.role == "solution":
            yield "Show a solution", cell.source, []
        elif cell.kind == "code" and cell.role not in chapter.ANSWERS:
            prompt = "Show the code" if "hide-input" in cell.tags else None
            yield prompt, cell.source, put_out(ran[cell.id])


@pytest.mark.parametrize("framework", list(chapter.FRAMEWORKS))
@pytest.mark.parametrize("path", chapter.chapters(ROOT), ids=lambda p: p.stem)
def test_a_page_shows_each_twins_own_cells_and_outputs(book, path, framework):
    """Code, outputs, text alternatives, pictures and what is closed: as the notebook has them."""
    page = Cells(book / "chapters" / f"{path.stem}.html")
    tab = chapter.FRAMEWORKS[framework]
    shown = [c for c in page.cells if c.tab in (tab, None)]
    wanted = list(expected(path, framework))
    for cell, (prompt, code, outputs) in zip(shown, wanted, strict=False):
        begin = code.strip("\n").partition("\n")[0]
        assert cell.code.strip("\n") == code.strip("\n")
        assert cell.prompt == prompt, f"{begin}: its code is closed, or open, and should not be"
        assert [o if isinstance(o, tuple) else o.strip("\n") for o in cell.outputs] == outputs
    assert len(shown) == len(wanted)


@pytest.mark.parametrize("path", chapter.chapters(ROOT), ids=lambda p: p.stem)
def test_prose_for_one_twin_stands_under_its_tab(book, path):
    def letters(text):
        return re.sub(r"\{\w+\}(?=`)|[^A-Za-z]", "", text)[:24]

    page = Cells(book / "chapters" / f"{path.stem}.html")
    tagged = [c for c in chapter.load(path).cells if c.kind == "markdown" and c.framework]
    for framework, tab in chapter.FRAMEWORKS.items():
        shown = [letters(text) for under, text in page.prose if under == tab]
        wanted = [letters(c.source) for c in tagged if c.framework == framework]
        assert shown == wanted
    assert len(page.prose) == len(tagged)


def test_every_page_says_what_it_is(book):
    for name in PAGES:
        text = (book / name).read_text()
        (said,) = re.findall(r'<meta name="description" content="([^"]+)">', text)
        assert 20 < len(html.unescape(said)) <= 203, name
        (picture,) = re.findall(r'<meta property="og:image" content="([^"]+)">', text)
        assert ((book / name).parent / picture).is_file()
        assert f'<meta property="og:description" content="{said}">' in text
    lost = (book / "404.html").read_text()
    assert 'href="chapters/index.html"' in lost


def test_what_only_tests_read_is_not_in_the_book(book):
    for page in (book / "chapters").glob("*.html"):
        assert "% says" not in page.read_text()
    for notebook in (ROOT / "labs").rglob("*.ipynb"):
        assert "% says" not in notebook.read_text()


def test_wrong_answers_are_not_in_the_book(book):
    text = (book / "chapters" / "first-network.html").read_text()
    assert "step-softmax-axis" not in text


def test_the_downloads_are_the_notebooks(book):
    for file in (ROOT / "labs").rglob("*.ipynb"):
        assert (book / file.relative_to(ROOT)).read_bytes() == file.read_bytes()


def test_the_scoreboard_shows_what_is_computed(book):
    text = (book / "chapters" / "scoreboard.html").read_text()
    course = Course.read(ROOT)
    for claim in course.claims.values():
        verdict = course.verdict(claim)
        assert (
            f'id="claim-{claim.id}" data-topic="{claim.topic}" data-verdict="{verdict.name}"'
            in text
        )


@pytest.mark.parametrize("path", chapter.chapters(ROOT), ids=lambda p: p.stem)
def test_the_ladder_shows_what_is_proven(book, path):
    from labkit.press import prove

    text = html.unescape((book / "chapters" / f"{path.stem}.html").read_text())
    course = Course.read(ROOT)
    for rung in prove.of_chapter(course.records, course.chapter(path.stem).lab):
        assert rung.compares in text
        assert rung.difference is None or f"{rung.difference:.1e}" in text


@pytest.mark.parametrize("path", chapter.chapters(ROOT), ids=lambda p: p.stem)
def test_the_bar_says_what_the_chapter_and_its_notebooks_say(book, path):
    text, loaded = (book / "chapters" / f"{path.stem}.html").read_text(), chapter.load(path)
    assert f"{budget.minutes(loaded)} min to read · {loaded.lab.difficulty}" in text
    for framework, title in chapter.FRAMEWORKS.items():
        begin = f'<details class="twin-bar-item twin-{framework}">'
        (row,) = re.findall(rf"{begin}.*?</details>", text, re.S)
        assert f"<strong>{title}</strong>" in row
        links = re.findall(r'href="([^"]+)"', row)
        assert len(links) == 4
        assert all(f"{loaded.name}/{framework}.ipynb" in unquote(unquote(link)) for link in links)
        assert row.count(f", {title}") == 4
        notebook = nbformat.read(ROOT / "labs" / loaded.name / f"{framework}.ipynb", as_version=4)
        versions = notebook.metadata.labkit.machine["versions"]
        own = "torch" if framework == "pytorch" else "keras"
        assert f"{own} {versions[own]}" in row


@pytest.mark.parametrize("path", chapter.chapters(ROOT), ids=lambda p: p.stem)
def test_the_head_lists_the_claims_of_its_topics(book, path):
    text = (book / "chapters" / f"{path.stem}.html").read_text()
    topics = chapter.load(path).lab.claims
    put = [c for c in Course.read(ROOT).claims.values() if c.topic in topics]
    shown = re.findall(r'<li id="claim-([\w-]+)"><p>(.*?) <', text, re.S)
    assert [name for name, _ in shown] == [c.id for c in put]


def test_the_scoreboard_counts_what_it_lists(book):
    text = (book / "chapters" / "scoreboard.html").read_text()
    course = Course.read(ROOT)
    judged = [course.verdict(claim).name for claim in course.claims.values()]
    unsettled = sum(name.startswith("open") for name in judged)
    assert f"<strong>{len(judged)}</strong> claims, <strong>{unsettled}</strong>" in text
    for name in set(judged):
        assert f">{name} ({judged.count(name)})</option>" in text


def test_the_figure_of_differences_is_drawn_from_the_fields_it_names(book):
    from labkit import record

    text = (book / "chapters" / "same-experiment.html").read_text()
    ours, theirs = (
        record.read(ROOT / "evidence" / "cpu" / f"same-experiment.{f}.json")["exact"]
        for f in chapter.FRAMEWORKS
    )
    for name, field_name in (
        ("float64, calm", "losses"),
        ("float32, calm", "losses_float32"),
        ("float64, fast", "losses_fast"),
        ("float32, fast", "losses_fast_float32"),
    ):
        gap = [abs(a - b) for a, b in zip(ours[field_name], theirs[field_name], strict=True)]
        words = f"{max(gap[:10]):.0e} in the first ten steps, {max(gap[-10:]):.0e} in the last ten"
        assert f"{name}: {words}" in text


def test_the_front_page_shows_what_the_records_say(book):
    from labkit import record

    text = (book / "chapters" / "index.html").read_text()
    for framework in chapter.FRAMEWORKS:
        file = ROOT / "evidence" / "cpu" / f"first-network.{framework}.json"
        last = record.read(file)["exact"]["losses"][-1]
        assert f"{last:.12f}"[:13] in text


def rebuild(source):
    done = labkit_book(source)
    assert done.returncode == 0, done.stderr


# A file, what is changed in it, and the page that shows it: what is built at once, once each.
CHANGES = [
    [
        ("chapters/recurrent.md", "You did not need to", "You hardly need to", "recurrent"),
        ("chapters/graphs.exercises.md", "a place for your", "room for your", "graphs"),
        ("evidence/cpu/first-network.pytorch.json", "0.0547", "0.0549", "index"),
        ("labs/same-experiment/pytorch.ipynb", "0.0223970063", "0.0223970064", "same-experiment"),
    ],
    [("evidence/claims.yml", "Writing a training loop is", "Writing loops is", "first-network")],
]


def test_a_page_is_rebuilt_when_what_it_shows_has_changed(book):
    """Each page by its own change alone: of the others that are built with it, it reads none."""
    source, found = book.parents[1], {}
    trees = source / "_build" / ".doctrees"
    other = trees / "chapters" / "visualization.doctree"
    read = other.stat().st_mtime_ns
    reads = pickle.loads((trees / "environment.pickle").read_bytes()).dependencies

    def article(page):
        text = (book / "chapters" / f"{page}.html").read_text()
        return text.split("<article", 1)[1].split("</article>", 1)[0]

    first = {page: article(page) for built in CHANGES for *_, page in built}
    try:
        for built in CHANGES:
            before = {page: article(page) for *_, page in built}
            for file, old, new, page in built:
                depends = {(source / name).resolve() for name in reads[f"chapters/{page}"]}
                assert not depends & {(source / f).resolve() for f, *_ in built if f != file}
                found[file] = (source / file).read_text()
                assert old in found[file]
                (source / file).write_text(found[file].replace(old, new))
            rebuild(source)
            assert [page for page in before if article(page) == before[page]] == []
            if built is CHANGES[0]:
                assert other.stat().st_mtime_ns == read, "a page that shows nothing of it"
    finally:
        for file, text in found.items():
            (source / file).write_text(text)
        rebuild(source)
    assert {page: article(page) for page in first} == first


def test_a_broken_chapter_does_not_build_and_says_where(asking, tmp_path):
    source = tmp_path / "copy"
    shutil.copytree(asking.parents[1], source, ignore=shutil.ignore_patterns("_build"))
    path = source / "chapters" / "tiny.md"
    path.write_text(path.read_text() + "\n{term}`nothing of the kind`\n")
    for _ in range(2):  # a warm build must not pass what a cold one refused
        done = labkit_book(source)
        assert done.returncode == 1
        assert "nothing of the kind" in done.stderr
        assert "Traceback" not in done.stderr


def test_a_stale_notebook_does_not_build(book, tmp_path):
    source = tmp_path / "copy"
    shutil.copytree(book.parents[1], source, ignore=shutil.ignore_patterns("_build"))
    path = source / "chapters" / "first-network.md"
    path.write_text(path.read_text().replace("self.conv1 =", "self.first ="))
    done = labkit_book(source)
    assert done.returncode == 1
    assert "pytorch.ipynb is stale: `labkit run` brings it up to date" in done.stderr
