"""A chapter's MyST prose as plain Markdown, which Colab and JupyterLab show well.

A fixed, small part of MyST is known: admonitions, figures, images, math; the roles doc, ref,
term, cite and math. Anything else is an error with file and line.
"""

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from urllib.parse import quote

from markdown_it.token import Token

from labkit.press import asks, fields, markdown
from labkit.press.course import Course
from labkit.press.fields import WEB, Fields
from labkit.press.source import SourceError, did_you_mean

ADMONITIONS = ("note", "tip", "hint", "important", "warning", "caution", "seealso", "admonition")
DIRECTIVES = (
    *ADMONITIONS,
    *asks.DIRECTIVES,
    "figure",
    "image",
    "math",
    "claim",
    "twin-differences",
    "third-twin",
    "film",
)
CURVES = 4
"""How many curves one figure of differences shows: two colours, two kinds of line."""
PICTURES = (".gif", ".jpeg", ".jpg", ".png", ".svg", ".webp")
_TITLES = {"seealso": "See also"}
ROLES = ("doc", "ref", "term", "cite", "math")

_TAG = re.compile(r"<[^\s>]*>?")


def plain(source: str, course: Course, path: Path, line: int, depth: int = 0) -> str:
    """Turn one cell of MyST prose into plain Markdown.

    Parameters
    ----------
    source
        The cell's text.
    path, line
        Where it stands, for errors.
    depth
        In how many directives.

    Raises
    ------
    SourceError
        For a directive or role outside of the known ones, one without its closing fence, a
        figure without a text alternative, or a reference to nothing.
    """
    lines = source.splitlines()
    # The first line of each block of text, the one behind its last, and what stands there instead.
    written: dict[int, tuple[int, list[str]]] = {}
    for block in markdown.tokens(source):
        begin, end = markdown.rows(block)
        if max(depth, block.level) > markdown.DEPTH:
            raise SourceError(path, line + begin, "stands too deep in lists, quotations or notes")
        if block.type in markdown.MUTE:
            written[begin] = end, []
        elif block.type in ("code_block", "math_block", "math_block_label"):
            written[begin] = end, lines[begin:end]
        elif block.type in ("fence", "colon_fence"):
            written[begin] = end, [_fence(block, lines, course, path, line, depth)]
        elif block.type == "html_block":
            raise _html(block.content, path, line + begin)
        elif block.type == "inline":
            text = "\n".join(lines[begin:end])
            written[begin] = end, [_inline(text, course, path, line + begin)]
    out: list[str] = []
    number = 0
    while number < len(lines):
        if number not in written:
            written[number] = number + 1, [_inline(lines[number], course, path, line + number)]
        number, new = written[number]
        out += new
    return re.sub(r"\n{3,}", "\n\n", "\n".join(out)).strip("\n")


def _html(source: str, path: Path, line: int) -> SourceError:
    tag = _TAG.match(source.strip())
    message = f"{tag[0] if tag else source!r} is HTML; write Markdown, or put it in backticks"
    return SourceError(path, line, message)


def _fence(
    block: Token, lines: list[str], course: Course, path: Path, line: int, depth: int
) -> str:
    """Return code as it is, and a directive in plain Markdown."""
    begin, end = markdown.rows(block)
    opening = lines[begin].strip()
    if not markdown.closed(block, lines):
        message = f"{opening!r} is never closed; end it with {block.markup}"
        raise SourceError(path, line + begin, message)
    named = markdown.directive(block)
    if named is None and block.type == "fence":
        return "\n".join(lines[begin:end])
    if block.level:
        message = f"{opening!r} in a list or quotation; begin it at the margin"
        raise SourceError(path, line + begin, message)
    name, argument = named or ("", "")
    return _directive(name, argument, lines[begin + 1 : end - 1], course, path, line + begin, depth)


def _directive(
    name: str,
    argument: str,
    body: list[str],
    course: Course,
    path: Path,
    line: int,
    depth: int,
) -> str:
    if name not in DIRECTIVES:
        hint = did_you_mean(name, DIRECTIVES)
        raise SourceError(path, line, f"unknown directive {{{name}}}; {hint}")
    if name in asks.DIRECTIVES:
        return plain(_asked(asks.ask(name, body, path, line)), course, path, line)
    options = {}
    skipped = 0
    while body and (option := markdown.OPTION.match(body[0])):
        options[option["key"]] = option["value"]
        body, skipped = body[1:], skipped + 1
    if name == "claim":
        return _claim(argument, course, path, line)
    if name == "twin-differences":
        series(body, path, line + 1 + skipped)
        # Drawn from both twins' records, which one notebook does not have.
        page = course.site.page(f"chapters/{argument}")
        return f"> [Here the book shows both twins in one figure]({page})"
    if name == "third-twin":
        page = course.site.page(f"chapters/{argument}")
        return f"> [In the book, the page itself trains this network]({page})"
    if name == "film":
        page = course.site.page(f"chapters/{argument}")
        return f"> [In the book, a slider moves both twins through these steps]({page})"
    if name == "math":
        return "\n".join(["$$", argument, *body, "$$"]).replace("\n\n", "\n")
    first = line + 1 + skipped
    if name in ADMONITIONS[:-1] and argument:
        # The words behind the name of such a directive belong to its body.
        body, first = [argument, *body], line
    inner = plain("\n".join(body), course, path, first, depth + 1)
    if name in ("figure", "image"):
        if not options.get("alt"):
            raise SourceError(path, line, f"{{{name}}} has no text alternative: add `:alt: …`")
        return f"![{options['alt']}]({_picture(argument, course, path, line)})\n\n{inner}".strip()
    title = argument if name == "admonition" else _TITLES.get(name, name.capitalize())
    title = _inline(title, course, path, line)
    quoted = "\n".join(f"> {text}".rstrip() for text in inner.splitlines())
    return f"> **{title}**\n>\n{quoted}"


def _asked(found: asks.Predict | asks.Try) -> str:
    """Return a question or an edit to try as MyST prose, without the answer."""
    if isinstance(found, asks.Try):
        return f"**Try:** {found.text}"
    choices = "\n".join(f"- {choice}" for choice in found.choices)
    return f"**Predict:** {found.question}\n\n{choices}".strip()


def _claim(name: str, course: Course, path: Path, line: int) -> str:
    """Return a claim without its verdict, which is computed from both twins' records."""
    if name not in course.claims:
        hint = did_you_mean(name, course.claims)
        raise SourceError(path, line, f"no claim {name!r}; {hint}")
    claim, board = course.claims[name], course.site.page("chapters/scoreboard", f"claim-{name}")
    says, title = escaped(claim.says), escaped(claim.source.title)
    return f"> **Claim:** {says} ({title}) [The verdict]({board})"


def series(body: Sequence[str], path: Path, line: int) -> dict[str, str]:
    """Return what ``{twin-differences}`` draws: words for each curve, and its field in the records.

    Parameters
    ----------
    body
        The directive's lines, ``words: field``.
    path, line
        Where they begin, for errors.

    Raises
    ------
    SourceError
        When they are anything else, or more curves than can be told apart.
    """
    if not any(text.strip() for text in body):
        message = "{twin-differences} draws nothing: name its curves in lines `words: field`"
        raise SourceError(path, line, message)
    parsed = fields.parse("\n".join(body), path, "{twin-differences}", line)
    given = Fields(parsed, path, "{twin-differences}", line)
    if len(given.content) > CURVES:
        raise given.error(f"names {len(given.content)} curves; {CURVES} can be told apart")
    return {words: given.text(words) for words in given}


def escaped(text: str) -> str:
    """Return words for Markdown, in which they are no HTML and no link."""
    return re.sub(r"([\[\]<\\])", r"\\\1", text)


def _picture(target: str, course: Course, path: Path, line: int) -> str:
    if WEB.fullmatch(target):
        return target
    folder = (course.root / "chapters").resolve()
    try:
        file = (folder / target).resolve()
        there = file.is_file()
    except (OSError, ValueError) as error:  # a name that no file can have
        raise SourceError(path, line, f"{target[:40]!r} is no name of a picture") from error
    if not file.is_relative_to(folder):
        raise SourceError(
            path, line, f"picture {target!r} lies outside of chapters/; move it there"
        )
    if not there or file.suffix.lower() not in PICTURES:
        message = f"there is no picture {target!r} beside the chapter ({', '.join(PICTURES)})"
        raise SourceError(path, line, message)
    return course.site.raw(f"chapters/{quote(file.relative_to(folder).as_posix())}")


def _inline(text: str, course: Course, path: Path, line: int) -> str:
    """Return some lines with links in the place of roles.

    Raises
    ------
    SourceError
        For HTML, and for links and pictures that a notebook cannot show.
    """
    out, done = [], 0
    for token, begin, end in markdown.inline(text):
        here = line + text.count("\n", 0, begin)
        if token.type == "html_inline":
            raise _html(token.content, path, here)
        if token.type == "myst_role":
            role = _role(token.meta["name"], token.content, course, path, here)
            out += [text[done:begin], role]
            done = end
            continue
        target = str(token.attrGet("src" if token.type == "image" else "href"))
        if token.type == "image" and not token.content.strip():
            raise SourceError(path, here, "a picture without a text alternative: ![words](…)")
        if not target.startswith(("https://", "http://", "mailto:")):
            message = f"link to {target!r} works in the book alone; use {{doc}} or {{ref}}"
            raise SourceError(path, here, message)
    return "".join([*out, text[done:]])


def _role(name: str, body: str, course: Course, path: Path, line: int) -> str:
    def error(message: str) -> SourceError:
        return SourceError(path, line, message)

    body = body.replace("\n", " ")
    if name not in ROLES and not name.startswith("cite:"):
        raise error(f"unknown role {{{name}}}; {did_you_mean(name, ROLES)}")
    if name == "math":
        return f"${body}$"
    kind = name.split(":")[0]
    if kind == "cite":
        found = [_lookup(course, kind, key.strip(), error) for key in body.split(",")]
        cited = "; ".join(f"[{text}]({url})" for text, url in found)
        return cited if name == "cite:t" else f"({cited})"
    # `words <target>`, or the target alone.
    words, bracket, target = body[:-1].rpartition("<") if body.endswith(">") else ("", "", "")
    explicit = words.strip() if bracket and target else ""
    target = target if explicit else body
    if kind == "doc":
        # Both /chapters/name and name, as Sphinx reads them in chapters/.
        target = target.lstrip("/") if target.startswith("/") else f"chapters/{target}"
    if kind == "term":
        target = target.lower()
    found_text, url = _lookup(course, kind, target, error)
    if kind == "term" and not explicit:
        found_text = body
    return f"[{explicit or found_text}]({url})"


def _lookup(
    course: Course, kind: str, name: str, error: Callable[[str], SourceError]
) -> tuple[str, str]:
    try:
        return course.site.lookup(kind, name)
    except KeyError as missing:
        raise error(str(missing.args[0])) from missing
