"""The page around the cards: the theme's settings, mathematics, scripts, and the notebooks."""

import hashlib
import shutil
from html import escape
from pathlib import Path
from typing import Any

from docutils import nodes
from docutils.utils.math import MathError
from docutils.utils.math.latex2mathml import tex2mathml
from sphinx.application import Sphinx
from sphinx.util import logging

from labkit.press.pages import share
from labkit.press.pages.html import TEMPLATES
from labkit.press.site import Site

STATIC = TEMPLATES.with_name("static")
logger = logging.getLogger(__name__)


def configure(app: Sphinx, config: Any) -> None:
    """Set what follows from the layout, so that `_config.yml` holds what a publisher decides."""
    root = str(app.srcdir)
    config.nb_custom_formats = {".md": ["labkit.press.pages.reader.read", {"root": root}]}
    config.html_theme_options |= {
        "article_header_start": ["book-contents", "page-contents"],
        "article_header_end": ["framework-switch", "page-tools"],
        "navbar_persistent": [],
        "search_bar_text": "Search",
    }
    config.html_context.setdefault("default_mode", "auto")
    config.templates_path.append(str(TEMPLATES))
    config.html_static_path.append(str(STATIC))
    config.html_math_renderer = "mathml"
    config.html_baseurl = config.html_baseurl or share.address(Site.read(Path(root))) or ""


def digest() -> str:
    """Return letters that stand for all templates, scripts and styles."""
    mark = hashlib.sha256()
    for file in sorted([*STATIC.rglob("*"), *TEMPLATES.rglob("*")]):
        if file.is_file():
            mark.update(f"{file.name}\0".encode() + file.read_bytes())
    return mark.hexdigest()[:16]


def lighten(app: Sphinx, page: str, template: str, context: Any, tree: Any) -> None:
    """Take out of a page the scripts and styles that it has no use for."""
    useless = ["thebe", "mathjax", "require", "design-tabs"]  # twins.js moves the tabs
    if "dropdown" not in context.get("body", ""):
        useless.append("togglebutton")
    for files in ("script_files", "css_files"):
        context[files] = [
            f for f in context[files] if not any(u in str(f).lower() for u in useless)
        ]


def copy_notebooks(app: Sphinx, error: Exception | None) -> None:
    """Put the twins beside the pages, for downloading under their own addresses."""
    if error or app.builder.format != "html":
        return
    for file in Path(app.srcdir, "labs").rglob("*.ipynb"):
        if ".ipynb_checkpoints" in file.parts:
            continue
        target = Path(app.outdir, file.relative_to(app.srcdir))
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, target)


def _mathml(node: nodes.Element, *, block: bool) -> str:
    """Return a formula as MathML; what docutils cannot say is a warning, which fails the build."""
    try:
        return str(tex2mathml(node.astext(), as_block=block))
    except MathError as error:
        logger.warning("math %r: %s", node.astext(), error, location=node)
        return f"<code>{escape(node.astext())}</code>"


def inline_math(translator: Any, node: nodes.math) -> None:
    """Write a formula in a line."""
    translator.body.append(_mathml(node, block=False))
    raise nodes.SkipNode


def block_math(translator: Any, node: nodes.math_block) -> None:
    """Write a formula in a line of its own."""
    formula = _mathml(node, block=True)
    translator.body.append(f'<div class="math notranslate">{formula}</div>')
    raise nodes.SkipNode
