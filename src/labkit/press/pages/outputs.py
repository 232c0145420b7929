"""A notebook's outputs as HTML: text, pictures, and figures that follow the page's ink."""

import re
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

from docutils import nodes
from markupsafe import Markup
from sphinx.transforms import SphinxTransform

_ANSI = re.compile(r"\x1b\[[0-9;]*m")


def figure(svg: str, said: Mapping[str, Any]) -> str:
    """Return a vector figure to stand in the page itself, where it takes the page's colours.

    Parameters
    ----------
    svg
        The figure.
    said
        What its notebook says of it: ``alt``, and maybe ``caption``.
    """
    if said.get("alt") and "aria-label" not in svg.partition(">")[0]:
        svg = svg.replace("<svg", f'<svg role="img" aria-label="{escape(said["alt"])}"', 1)
    caption = f"<figcaption>{escape(said['caption'])}</figcaption>" if said.get("caption") else ""
    return f'<figure class="twin-figure">{svg}{caption}</figure>'


class Drawings(SphinxTransform):
    """Put vector graphics that a chapter shows into the page itself."""

    default_priority = 220  # pictures are known, and not yet collected

    def apply(self) -> None:
        """Replace each picture whose file is one."""
        here = Path(self.env.doc2path(self.env.docname)).parent
        for picture in list(self.document.findall(nodes.image)):
            file = here / picture["uri"]
            if file.suffix != ".svg" or not file.is_file():
                continue
            self.env.note_dependency(str(file))
            drawn = file.read_text(encoding="utf-8")
            drawn = drawn[drawn.index("<svg") :]
            picture.replace_self(nodes.raw("", figure(drawn, picture), format="html"))


def html(outputs: Sequence[Mapping[str, Any]]) -> Markup:
    """Return outputs in the order in which they came."""
    return Markup("\n".join(_output(output) for output in outputs))


def _output(output: Mapping[str, Any]) -> str:
    data = output.get("data", {})
    if (svg := _text(data.get("image/svg+xml", ""))) and svg.startswith("<svg"):
        return figure(svg, output.get("metadata", {}).get("image/svg+xml", {}))
    for kind in ("image/png", "image/jpeg"):
        if kind in data:
            said = escape(output.get("metadata", {}).get(kind, {}).get("alt", ""))
            return f'<img src="data:{kind};base64,{_text(data[kind]).strip()}" alt="{said}">'
    if output.get("output_type") == "error":
        text = f"{output.get('ename')}: {output.get('evalue')}"
    else:
        text = _text(output.get("text") or data.get("text/plain", ""))
    return f"<pre>{escape(_ANSI.sub('', text))}</pre>"


def _text(value: str | Sequence[str]) -> str:
    """Return a notebook's text, which may be kept as lines."""
    return value if isinstance(value, str) else "".join(value)
