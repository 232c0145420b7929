"""The third twin's box in a page, and the data that it fetches when it is asked to train."""

from pathlib import Path

from docutils import nodes
from sphinx.application import Sphinx

from labkit.files import write_whole
from labkit.press import pages, third
from labkit.press.pages.cards import Card
from labkit.press.pages.html import render
from labkit.press.source import SourceError

_KEY = "third-twin"
"""Where a page's metadata names the chapter whose network it trains."""


class ThirdTwin(Card):
    """A button that trains a chapter's network in the page."""

    def make(self) -> list[nodes.Node]:
        """Return the box, hidden until its script finds it; nothing before the chapter has run."""
        chapter, records = self.course.chapter(self.arguments[0]), self.course.records
        if not chapter.lab.third:
            message = f"{chapter.name} has no third twin: name the step to train in `lab.third`"
            raise SourceError(chapter.path, 1, message)
        path = records.path(chapter.name, "pytorch")
        self.depends_on(path, *chapter.text.paths)
        if records.read(path) is None:
            return []
        self.env.metadata[self.env.docname][_KEY] = chapter.name
        up = "../" * self.env.docname.count("/")
        html = render(
            "third", code=f"{up}_static/third/", data=f"{up}{third.FOLDER}/{chapter.name}"
        )
        return [nodes.raw("", html, format="html")]


def write_data(app: Sphinx, error: Exception | None) -> None:
    """Put what the boxes fetch beside the pages."""
    if error or app.builder.format != "html":
        return
    course = pages.course(str(app.srcdir))
    for name in sorted({m[_KEY] for m in app.env.metadata.values() if _KEY in m}):
        content = course.records.read(course.records.path(name, "pytorch"))
        if content is not None:
            for file, data in third.files(course.chapter(name), content["exact"]).items():
                write_whole(Path(app.outdir, file), data)
