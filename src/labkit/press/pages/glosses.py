"""Terms that open where they stand: what the glossary says goes along with each page."""

import re
from html import escape
from typing import Any

from docutils import nodes
from sphinx import addnodes
from sphinx.application import Sphinx

_LINK = re.compile(r'<a class="reference internal" href="(?P<page>[^"#]+)#(?P<term>term-[^"]+)"')


def depend(app: Sphinx, tree: nodes.document) -> None:
    """Have a page with terms made anew when the glossary changes."""
    if any(link.get("reftype") == "term" for link in tree.findall(addnodes.pending_xref)):
        for page in _glossaries(app):
            app.env.note_dependency(str(app.env.doc2path(page)))


def add(app: Sphinx, page: str, template: str, context: dict[str, Any], tree: Any) -> None:
    """Put the gloss of each term that a page links to at its end, closed; a script opens it.

    Without one, the link leads to the glossary.
    """
    used: dict[str, str] = {}
    known = _glosses(app)

    def mark(link: re.Match[str]) -> str:
        if link["term"] not in known:
            return link[0]
        used[link["term"]] = f"{link['page']}#{link['term']}"
        return f'{link[0]} data-gloss="gloss-{link["term"]}"'

    body = _LINK.sub(mark, context.get("body", ""))
    if used:
        boxes = "".join(
            f'<div class="twin-gloss" id="gloss-{term}" popover tabindex="-1">'
            f'<p>{escape(known[term])}</p><a href="{address}">In the glossary</a></div>'
            for term, address in used.items()
        )
        context["body"] = body + boxes


def _glossaries(app: Sphinx) -> set[str]:
    """Return the pages that explain terms."""
    objects = app.env.get_domain("std").objects  # type: ignore[attr-defined]
    return {page for (kind, _), (page, _) in objects.items() if kind == "term"}


def _glosses(app: Sphinx) -> dict[str, str]:
    """Return what each term's anchor explains, in plain words; read once a build."""
    if not hasattr(app, "_labkit_glosses"):
        found: dict[str, str] = {}
        for page in _glossaries(app):
            for item in app.env.get_doctree(page).findall(nodes.definition_list_item):
                said = " ".join(p.astext() for p in item.findall(nodes.paragraph))
                for term in item.findall(nodes.term):
                    found |= {name: said.replace("\n", " ") for name in term["ids"]}
        app._labkit_glosses = found  # type: ignore[attr-defined]
    return app._labkit_glosses  # type: ignore[attr-defined]
