"""The Jupyter Book extension: chapters with their twins' outputs, tabs, switch and launch bar."""

from typing import Any

from sphinx.application import Sphinx

from labkit.press import pages
from labkit.press.pages import cards, shell, tabs


def setup(app: Sphinx) -> dict[str, Any]:
    """Register everything with Sphinx."""
    app.add_directive("twin-prose", tabs.TwinProse)
    app.add_transform(tabs.TwinTabs)
    app.add_directive("twin-bar", cards.TwinBar)
    app.add_directive("twin-curves", cards.TwinCurves)
    app.add_directive("twin-differences", cards.TwinDifferences)
    app.add_directive("twin-ladder", cards.TwinLadder)
    app.add_directive("claim", cards.ClaimCard)
    app.add_directive("scoreboard", cards.Scoreboard)
    # MathML is in all browsers since 2023: no script, and no request for one.
    math = (shell.inline_math, None), (shell.block_math, None)
    app.add_html_math_renderer("mathml", *math)
    app.add_css_file("twins.css")
    app.add_js_file("twins.js")
    app.connect("config-inited", shell.configure)
    app.connect("builder-inited", lambda _: pages.begin())
    app.connect("html-page-context", shell.lighten, priority=900)
    app.connect("build-finished", shell.copy_notebooks)
    app.connect("build-finished", shell.drop_icon_script)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
