"""What others see of a page: its description, its picture when it is shared, its address."""

from html import escape
from pathlib import Path
from typing import Any

from docutils import nodes
from PIL import Image, ImageDraw, ImageFont
from sphinx.application import Sphinx

from labkit.press import pages
from labkit.press.chapter import FRAMEWORKS
from labkit.press.pages.html import render
from labkit.press.site import Site

CARD = "_static/card.png"
_SIZE = (1200, 630)
_LONGEST = 200
_INK, _COLORS = "#1f2328", {"pytorch": "#b8400e", "tensorflow": "#1a5fb4"}


def address(site: Site) -> str | None:
    """Return the book's own address with a slash, None where `_config.yml` has a placeholder."""
    return None if site.owner_name.startswith("example/") else f"{site.pages}/"


def describe(app: Sphinx, page: str, template: str, context: dict[str, Any], tree: Any) -> None:
    """Give a page its description, and what a link to it shows elsewhere."""
    if tree is None:
        return
    base = app.config.html_baseurl
    said = {
        "og:type": "article",
        "og:site_name": app.config.html_title,
        "og:title": context.get("title", ""),
        "og:description": summary(tree),
        "og:image": f"{base}{CARD}" if base else context["pathto"](CARD, 1),
        "og:url": context.get("pageurl") or None,
    }
    lines = [f'<meta name="description" content="{escape(said["og:description"])}">']
    lines += [
        f'<meta property="{key}" content="{escape(value)}">' for key, value in said.items() if value
    ]
    context["metatags"] = context.get("metatags", "") + "\n".join(lines)


def summary(tree: nodes.document) -> str:
    """Return a page's first words, to the end of a sentence where one is near."""
    first = next((p for p in tree.findall(nodes.paragraph)), None)
    words = " ".join(first.astext().split()) if first else ""
    if len(words) <= _LONGEST:
        return words
    cut = words[:_LONGEST]
    end = cut.rfind(". ")
    return cut[: end + 1] if end > 60 else cut.rpartition(" ")[0] + " …"


def finish(app: Sphinx, error: Exception | None) -> None:
    """Write the picture, and the page for addresses that are none."""
    if error or app.builder.format != "html":
        return
    base = app.config.html_baseurl
    path = "/" + base.split("/", 3)[-1] if base else None
    missing = render("not-found", base=path, title=app.config.html_title, home=app.config.root_doc)
    Path(app.outdir, "404.html").write_text(missing, encoding="utf-8")
    draw(app.config.html_title, _losses(str(app.srcdir))).save(Path(app.outdir, CARD))


def draw(title: str, losses: dict[str, list[float]]) -> Image.Image:
    """Draw the book's title over the two curves of its first lab that has them."""
    picture = Image.new("RGB", _SIZE, "white")
    pen = ImageDraw.Draw(picture)
    pen.text((80, 70), title, _INK, ImageFont.load_default(90))
    words = "One experiment, two frameworks, and proof"
    pen.text((80, 190), words, _INK, ImageFont.load_default(40))
    for (framework, values), width in zip(losses.items(), (12, 4), strict=False):
        high, count = max(values), len(values)
        points = [
            (80 + 1040 * n / max(1, count - 1), 570 - 290 * value / high)
            for n, value in enumerate(values)
        ]
        pen.line(points, _COLORS[framework], width, joint="curve")
    return picture


def _losses(root: str) -> dict[str, list[float]]:
    """Return both twins' losses of the first chapter whose records have them."""
    course = pages.course(root)
    for name in sorted(course.files):
        contents = {f: course.records.read(course.records.path(name, f)) for f in FRAMEWORKS}
        found = {f: c["exact"].get("losses") for f, c in contents.items() if c}
        if len(found) == len(FRAMEWORKS) and all(found.values()):
            return found
    return {}
