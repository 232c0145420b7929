"""What a chapter asks, on its page: predictions, what they veil, and edits with their results."""

import json
from pathlib import Path, PurePosixPath
from typing import Any

from docutils import nodes
from docutils.statemachine import StringList
from sphinx.transforms import SphinxTransform
from sphinx.util import logging

from labkit.press import asks
from labkit.press.chapter import FRAMEWORKS
from labkit.press.pages import outputs
from labkit.press.pages.cards import Card, raw
from labkit.press.pages.html import render
from labkit.press.source import SourceError

logger = logging.getLogger(__name__)


class _Ask(Card):
    """A directive that asks something of the reader; its words are read by `press.asks`."""

    required_arguments = 0
    has_content = True

    def box(self, name: str, words: str = "") -> nodes.container:
        """Return the card's node, with some words of Markdown in it."""
        box = nodes.container(twin_ask=name)
        box.source, box.line = self.get_source_info()
        self._parse(words, box)
        return box

    def read(self, kind: str) -> Any:
        """Return what the directive asks, checked."""
        file, line = self.get_source_info()
        return asks.ask(kind, list(self.content), Path(file), line)

    @property
    def chapter(self) -> str:
        """The chapter's name, from its page's."""
        return PurePosixPath(self.env.docname).name

    def _parse(self, words: str, into: nodes.Element) -> None:
        lines = StringList(words.splitlines(), self.get_source_info()[0])
        self.state.nested_parse(lines, self.content_offset, into)


class Predict(_Ask):
    """A question with choices or a field."""

    def make(self) -> list[nodes.Node]:
        """Return the card."""
        ask = self.read("predict")
        box = self.box(ask.name)
        box += raw(render("predict-begin", chapter=self.chapter, ask=ask))
        self._parse(ask.question, box)
        for number, choice in enumerate(ask.choices):
            begin = f'<label><input type="radio" name="{ask.name}" value="{number}">'
            words = nodes.container()
            self._parse(choice, words)
            inline = words[0].children if len(words) else []
            box += [raw(begin), nodes.inline("", "", *inline), raw("</label>")]
        box += raw(render("predict-end", ask=ask))
        return [box]


class Try(_Ask):
    """An edit to make, and folded below what then happens."""

    def make(self) -> list[nodes.Node]:
        """Return the card."""
        ask = self.read("try")
        box = self.box(ask.name, f"**Try.** {ask.text}")
        box["classes"].append("twin-try")
        if results := self._results(ask.name):
            box += raw(render("happens", results=results))
        return [box]

    def _results(self, name: str) -> list[dict[str, Any]]:
        """Return what each twin put out, once where that is the same; nothing before it has run."""
        found = {}
        for framework in FRAMEWORKS:
            path = self.course.records.path(self.chapter, framework)
            path = path.with_name(f"{self.chapter}.{framework}.tries.json")
            self.depends_on(path)
            if not path.is_file():
                return []
            try:
                made = json.loads(path.read_text(encoding="utf-8")).get(name)
            except (ValueError, AttributeError) as error:
                message = f"is no record of tries: {error}; `labkit run` writes it"
                raise SourceError(path, None, message) from error
            if made is None:
                return []
            found[framework] = outputs.html(made)
        if len(set(found.values())) == 1:
            return [{"framework": None, "title": None, "shown": found["pytorch"]}]
        return [
            {"framework": f, "title": FRAMEWORKS[f], "shown": shown} for f, shown in found.items()
        ]


class Veil(SphinxTransform):
    """Mark what a prediction veils: the next outputs, and the prose below them.

    Cells with no prose between them are veiled together. The prose ends at the next heading, cell
    or card. Style and script do the veiling, so that without a script, and on paper, everything is
    seen.
    """

    default_priority = 215  # the steps stand in their tabs

    def apply(self) -> None:
        """Mark outputs, and put a box around prose."""
        cards = [n for n in self.document.findall(nodes.container) if _is_predict(n)]
        for card in cards:
            if not self._veil(card):
                words = "{predict} %s veils nothing: no output follows before the next heading"
                logger.warning(words, card["twin_ask"], location=card)

    def _veil(self, card: nodes.Element) -> bool:
        """Mark what follows a card, and say whether there was an output."""
        veil = ["twin-veil", f"veil-{card['twin_ask']}"]
        after: list[nodes.Node] = []
        found = False
        for node in list(card.parent.children[card.parent.index(card) + 1 :]):
            if isinstance(node, nodes.section) or _is_ask(node):
                break
            inside = _veiled_within(node)
            if after and (inside or _has_code(node)):
                break
            for part in inside:
                part["classes"].extend(veil)
            if not inside and found and not _has_code(node):
                after.append(node)
            found = found or any(part.get("nb_element") for part in inside)
        if after:
            box = nodes.container(classes=veil)
            card.parent.insert(card.parent.index(after[0]), box)
            for node in after:
                card.parent.remove(node)
                box += node
        return found


def _is_ask(node: nodes.Node) -> bool:
    return isinstance(node, nodes.container) and "twin_ask" in node


def _is_predict(node: nodes.container) -> bool:
    return _is_ask(node) and "twin-try" not in node["classes"]


def _has_code(node: nodes.Node) -> bool:
    return any(n.get("nb_element") == "cell_code" for n in node.findall(nodes.container))


def _veiled_within(step: nodes.Node) -> list[nodes.Element]:
    """Return a step's outputs, and the prose for one twin that stands below them."""
    boxes = list(step.findall(nodes.container))
    made = [n for n in boxes if n.get("nb_element") == "cell_code_output"]
    return [*made, *(n for n in boxes if "twin-prose" in n["classes"])] if made else []
