"""What a page has no use for goes: the theme's scripts, and most of its styles.

The theme brings half a megabyte of styles, of which a page of ours uses a tenth. A rule stays if
each class, id and element that its selector asks for stands in some page, or is named in a script,
which may make it.
"""

import hashlib
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import tinycss2
from sphinx.application import Sphinx
from tinycss2.ast import AtRule, Declaration, FunctionBlock, Node, ParenthesesBlock, QualifiedRule

UNUSED = ("fontawesome", "bootstrap", "searchtools", "language_data", "searchindex")
"""Scripts: icons, which styles draw; menus, which we have not; search, on its page alone."""
_SEARCH = "search.html"
_SCRIPT = r'<(?:script|link)[^>]*(?:src|href)="[^"]*(?:%s)[^"]*\.js[^"]*"[^>]*>(?:</script>)?\s*'
_STYLE = re.compile(r'(href="[^"]*_static/)([^"?]+\.css)(?:\?[^"]*)?"')
_NESTED = ("media", "supports", "layer", "container")


@dataclass
class Used:
    """What stands in pages, and what scripts name."""

    tags: set[str] = field(default_factory=lambda: {"html", "body"})
    names: set[str] = field(default_factory=set)
    """Classes and ids."""
    words: set[str] = field(default_factory=set)
    """All words of pages, scripts and kept rules: variables, animations."""

    def page(self, text: str) -> None:
        """Take in a page."""
        self.tags |= {tag.lower() for tag in re.findall(r"<([a-zA-Z][\w-]*)", text)}
        for value in re.findall(r'\b(?:class|id)="([^"]*)"', text):
            self.names.update(value.split())
        self.words |= set(re.findall(r"--[\w-]+", text))

    def script(self, text: str) -> None:
        """Take in a script, each of whose words may be a class, an id or an element."""
        found = set(re.findall(r"[A-Za-z][\w-]*", text))
        self.names |= found
        self.tags |= {word for word in found if word in _ELEMENTS}
        self.words |= set(re.findall(r"--[\w-]+", text))


_ELEMENTS = {"a", "button", "details", "div", "em", "i", "kbd", "li", "mark", "ol", "p", "section"}
_ELEMENTS |= {"span", "strong", "svg", "path", "table", "ul", "canvas", "input", "label", "output"}


def slim(app: Sphinx, error: Exception | None) -> None:
    """Take out of the pages what they do not need."""
    if error or app.builder.format != "html":
        return
    out = Path(app.outdir)
    pages = [page for page in sorted(out.rglob("*.html")) if "_static" not in page.parts]
    texts = {page: _without_scripts(page) for page in pages}
    used = Used()
    for text in texts.values():
        used.page(text)
    linked = {name for text in texts.values() for _, name in _STYLE.findall(text)}
    for file in sorted((out / "_static").rglob("*.js")):
        if not any(name in file.name for name in UNUSED[:2]):
            used.script(file.read_text(encoding="utf-8"))
    files = {name: out / "_static" / name for name in sorted(linked)}
    purged = purge({n: f.read_text(encoding="utf-8") for n, f in files.items()}, used)
    for name, content in purged.items():
        files[name].write_text(content, encoding="utf-8")
    marks = {n: hashlib.sha256(c.encode()).hexdigest()[:8] for n, c in purged.items()}
    for page, text in texts.items():
        fresh = _STYLE.sub(lambda m: f'{m[1]}{m[2]}?v={marks[m[2]]}"', text)
        if fresh != page.read_text(encoding="utf-8"):
            page.write_text(fresh, encoding="utf-8")


def _without_scripts(page: Path) -> str:
    useless = UNUSED[:2] if page.name == _SEARCH else UNUSED
    return re.sub(_SCRIPT % "|".join(useless), "", page.read_text(encoding="utf-8"))


def purge(styles: dict[str, str], used: Used) -> dict[str, str]:
    """Return style sheets without the rules, and then the variables, that nothing uses.

    Parameters
    ----------
    styles
        Name to content.
    used
        What stands in the pages.
    """
    rules = {
        name: list(_rules(tinycss2.parse_stylesheet(text, True, True), used))
        for name, text in styles.items()
    }
    kept = {name: "\n".join(found) for name, found in rules.items()}
    while True:  # a variable may be used by another alone
        wanted = used.words | {
            word for text in kept.values() for word in re.findall(r"var\(\s*(--[\w-]+)", text)
        }
        fewer = {name: _without_variables(text, wanted) for name, text in kept.items()}
        if fewer == kept:
            return kept
        kept = fewer


def _rules(nodes: Iterable[Node], used: Used) -> Iterator[str]:
    for node in nodes:
        if isinstance(node, QualifiedRule):
            selectors = [s for s in _split(node.prelude) if _may_match(s, used)]
            if selectors:
                prelude = ",".join(tinycss2.serialize(s).strip() for s in selectors)
                yield f"{prelude}{{{_body(node.content)}}}"
        elif isinstance(node, AtRule) and node.lower_at_keyword in _NESTED and node.content:
            inside = "\n".join(_rules(tinycss2.parse_rule_list(node.content, True, True), used))
            if inside:
                prelude = tinycss2.serialize(node.prelude).strip()
                yield f"@{node.at_keyword} {prelude}{{{inside}}}"
        elif isinstance(node, AtRule):
            said = node.serialize()
            if not (node.lower_at_keyword == "font-face" and "Font Awesome" in said):
                yield said


def _body(content: list[Node]) -> str:
    """Return a rule's declarations without comments and blanks."""
    found = tinycss2.parse_blocks_contents(content, True, True)
    if not all(isinstance(node, Declaration) for node in found):
        return tinycss2.serialize(content).strip()  # nested rules, or what only browsers know
    return ";".join(re.sub(r":\s+", ":", node.serialize(), count=1).strip() for node in found)


def _split(prelude: list[Node]) -> Iterator[list[Node]]:
    part: list[Node] = []
    for node in prelude:
        if node.type == "literal" and node.value == ",":
            yield part
            part = []
        else:
            part.append(node)
    yield part


def _may_match(selector: list[Node], used: Used) -> bool:
    """Say whether each class, id and element that a selector asks for stands somewhere."""
    before = ""
    for node in selector:
        if isinstance(node, FunctionBlock) and node.lower_name in ("is", "where"):
            inside = [s for s in _split(node.arguments) if any(n.type != "whitespace" for n in s)]
            if not any(_may_match(part, used) for part in inside):
                return False
        elif node.type == "hash" or (node.type == "ident" and before == "."):
            if node.value not in used.names:
                return False
        elif node.type == "ident" and before != ":" and node.lower_value not in used.tags:
            return False
        if not isinstance(node, ParenthesesBlock):
            before = getattr(node, "value", "") if node.type == "literal" else ""
    return True


def _without_variables(text: str, wanted: set[str]) -> str:
    """Return rules without the variables that no other place asks for."""
    declared = re.compile(r"(?<=[{;])(--[\w-]+):(?:\([^()]*\)|\"[^\"]*\"|[^;{}])*(?:;|(?=\}))")
    fewer = declared.sub(lambda m: m[0] if m[1] in wanted else "", text)
    return re.sub(r'^[^{}"]*\{\}\n', "", fewer, flags=re.MULTILINE)
