"""Markdown as the book reads it, as markdown-it's tokens."""

from functools import cache

from markdown_it import MarkdownIt
from markdown_it.token import Token
from mdit_py_plugins.colon_fence import colon_fence_plugin
from mdit_py_plugins.deflist import deflist_plugin
from mdit_py_plugins.dollarmath import dollarmath_plugin
from mdit_py_plugins.footnote import footnote_plugin
from mdit_py_plugins.myst_blocks import myst_block_plugin
from mdit_py_plugins.myst_role import myst_role_plugin

MUTE = ("myst_line_comment", "myst_target")
"""Kinds of blocks that show nothing: comments, and targets of links."""


@cache
def _parser() -> MarkdownIt:
    # As myst-parser makes it for the extensions in _config.yml; its own maker costs 0.2 s.
    parser = MarkdownIt("commonmark").enable("table")
    for plugin in (myst_block_plugin, myst_role_plugin, colon_fence_plugin, deflist_plugin):
        parser.use(plugin)
    return parser.use(footnote_plugin).use(dollarmath_plugin)


def tokens(source: str) -> list[Token]:
    """Return the tokens of some Markdown; `Token.map` tells their lines, counted from 0."""
    return _parser().parse(source)


def blocks(source: str) -> list[Token]:
    """Return the tokens with which its outermost blocks begin, in order."""
    return [t for t in tokens(source) if t.level == 0 and t.map and t.nesting >= 0]
