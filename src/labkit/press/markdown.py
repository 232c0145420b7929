"""Markdown as the book reads it, as markdown-it's tokens."""

import re
from collections.abc import Callable, Iterator
from functools import cache
from itertools import pairwise

from markdown_it import MarkdownIt
from markdown_it.rules_inline import StateInline, autolink, html_inline, image, link
from markdown_it.token import Token
from mdit_py_plugins.colon_fence import colon_fence_plugin
from mdit_py_plugins.deflist import deflist_plugin
from mdit_py_plugins.dollarmath import dollarmath_plugin
from mdit_py_plugins.myst_blocks import myst_block_plugin
from mdit_py_plugins.myst_role.index import myst_role, myst_role_plugin

MUTE = ("myst_line_comment", "myst_target")
"""Kinds of blocks that show nothing: comments, and targets of links."""
DEPTH = 12
"""How deep blocks may stand in others: markdown-it passes over what is deeper than 20."""
OPTION = re.compile(r"^:(?P<key>[\w-]+):\s*(?P<value>.*)$")
"""A line that gives a directive an option."""
_NAMED = re.compile(r"\{(?P<name>[^}\s]*)\}\s*(?P<rest>.*)")
_PLACED = (myst_role, html_inline, link, image, autolink)


@cache
def _parser() -> MarkdownIt:
    # As myst-parser makes it for the extensions in _config.yml; its own maker costs 0.2 s.
    parser = MarkdownIt("commonmark").enable("table").disable("inline")
    for plugin in (myst_block_plugin, myst_role_plugin, colon_fence_plugin, deflist_plugin):
        parser.use(plugin)
    parser.use(dollarmath_plugin)
    parser.validateLink = lambda url: True  # type: ignore[method-assign]  # a bad one is told of
    for rule in _PLACED:
        parser.inline.ruler.at(rule.__name__, _placing(rule))
    return parser


def _placing(rule: Callable[[StateInline, bool], bool]) -> Callable[[StateInline, bool], bool]:
    """Have a rule note in its first token where in the text it has found it."""

    def place(state: StateInline, silent: bool) -> bool:
        begin, first = state.pos, len(state.tokens) + bool(state.pending)
        found = rule(state, silent)
        if found and not silent:
            state.tokens[first].meta["place"] = (begin, state.pos)
        return found

    return place


def tokens(source: str) -> list[Token]:
    """Return the blocks of some Markdown; `Token.map` tells their lines, counted from 0.

    Not those that make no token: link definitions, and what is deeper than markdown-it looks.
    """
    return [t for t in _parser().parse(source) if t.map and t.nesting >= 0]


def blocks(source: str) -> list[Token]:
    """Return the tokens with which its outermost blocks begin, in order."""
    return [t for t in tokens(source) if t.level == 0]


def inline(text: str) -> Iterator[tuple[Token, int, int]]:
    """Yield roles, HTML, links and pictures of some lines, and where each begins and ends."""
    found: list[Token] = []
    _parser().inline.parse(text, _parser(), {}, found)
    for token in found:
        if "place" in token.meta:
            yield token, *token.meta["place"]


def rows(block: Token) -> tuple[int, int]:
    """Return the first line of a block, from 0, and the one behind its last, one further at least.

    A list counts the blank lines behind it in; a term that is defined has no last line.
    """
    begin, end = block.map or (0, 0)
    return begin, max(begin + 1, end)


def headings(source: str) -> Iterator[tuple[int, int, str]]:
    """Yield line, from 0, depth and title of each heading."""
    for heading, text in pairwise(tokens(source)):
        if heading.type == "heading_open" and not heading.level:
            yield rows(heading)[0], int(heading.tag[1:]), text.content


def labels(source: str) -> Iterator[tuple[int, str]]:
    """Yield line, from 0, and name of each target of links, ``(name)=``."""
    for block in blocks(source):
        if block.type == "myst_target":
            yield rows(block)[0], block.content


def directive(block: Token) -> tuple[str, str] | None:
    """Return name and argument of a fenced directive, None for any other block."""
    if block.type not in ("fence", "colon_fence"):
        return None
    named = _NAMED.match(block.info.strip())
    return (named["name"], named["rest"]) if named else None


def closed(fence: Token, lines: list[str]) -> bool:
    """Say whether a fence has its closing line; without one it goes on to the end."""
    begin, end = rows(fence)
    last = lines[end - 1].strip(" \t>")
    return end - begin > 1 and len(last) >= len(fence.markup) and not last.strip(fence.markup[0])
