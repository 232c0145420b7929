"""The Jupyter Book extension: chapters with their twins' outputs, tabs, switch and launch bar."""

from typing import Any

from sphinx.application import Sphinx

from labkit.press import pages
from labkit.press.pages import (
    asks,
    cards,
    film,
    glosses,
    outputs,
    share,
    shell,
    slim,
    tabs,
    third,
)


def setup(app: Sphinx) -> dict[str, Any]:
    """Register everything with Sphinx."""
    app.add_directive("twin-prose", tabs.TwinProse)
    app.add_transform(tabs.TwinTabs)
    app.add_directive("predict", asks.Predict)
    app.add_directive("try", asks.Try)
    app.add_transform(asks.Veil)
    app.add_transform(outputs.Drawings)
    app.add_directive("twin-bar", cards.TwinBar)
    app.add_directive("twin-curves", cards.TwinCurves)
    app.add_directive("twin-differences", cards.TwinDifferences)
    app.add_directive("twin-ladder", cards.TwinLadder)
    app.add_directive("third-twin", third.ThirdTwin)
    app.add_directive("film", film.FilmFigure)
    app.add_directive("claim", cards.ClaimCard)
    app.add_directive("scoreboard", cards.Scoreboard)
    # MathML is in all browsers since 2023: no script, and no request for one.
    math = (shell.inline_math, None), (shell.block_math, None)
    app.add_html_math_renderer("mathml", *math)
    # Pages are written anew when what stands around them changes, and files are copied only then.
    app.add_config_value("labkit_shell", shell.digest(), "html", str)
    for style in ("page", "twins", "cards"):
        app.add_css_file(f"{style}.css", priority=900)  # after the theme's and the tabs' own
    # These two decide what is shown, before the first paint.
    app.add_js_file("twins.js")
    app.add_js_file("cards.js")
    app.add_js_file("page.js", loading_method="defer")
    app.connect("config-inited", shell.configure)
    app.connect("builder-inited", lambda _: pages.begin())
    app.connect("doctree-read", glosses.depend)
    app.connect("html-page-context", glosses.add)
    app.connect("html-page-context", share.describe, priority=900)
    app.connect("html-page-context", shell.lighten, priority=900)
    app.connect("build-finished", shell.copy_notebooks)
    app.connect("build-finished", third.write_data)
    app.connect("build-finished", film.write_data)
    app.connect("build-finished", share.finish)
    app.connect("build-finished", slim.slim, priority=900)  # when all pages are written
    return {"parallel_read_safe": True, "parallel_write_safe": True}
