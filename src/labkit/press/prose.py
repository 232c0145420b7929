"""A chapter's MyST prose as plain Markdown, which Colab and JupyterLab show well.

A fixed, small part of MyST is known: admonitions, figures, images, math; the roles doc, ref,
term, cite and math. Anything else is an error with file and line.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote

from labkit.press import asks, fields
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
)
CURVES = 4
"""How many curves one figure of differences shows: two colours, two kinds of line."""
PICTURES = (".gif", ".jpeg", ".jpg", ".png", ".svg", ".webp")
_TITLES = {"seealso": "See also"}
ROLES = ("doc", "ref", "term", "cite", "math")

_FENCE = re.compile(
    r"^(?P<indent>[\s>]*)(?P<fence>`{3,}|~{3,}|:{3,})\s*(?:\{(?P<name>[^}\s]*)\})?\s*(?P<rest>.*)$"
)
_OPTION = re.compile(r"^:(?P<key>[\w-]+):\s*(?P<value>.*)$")
_LABEL = re.compile(r"^\((?P<label>[\w-]+)\)=\s*$")
_NAME = re.compile(r"[\w:+-]+")
_MATH = re.compile(r"\$\$.*?\$\$|\$[^$\n]+\$", re.DOTALL)
_TARGET = re.compile(r"\]\((?P<target>[^)\s]*)")
_MUTE = re.compile(r"!\[\s*\]\(")
_HTML = re.compile(r"<(?!https?://|mailto:)[A-Za-z/!?][^\s>]*>?")


class _Span(NamedTuple):
    """A span of code, or a role, which is a span with its name in braces before it."""

    start: int
    end: int
    name: str | None
    body: str


def plain(source: str, course: Course, path: Path, line: int) -> str:
    """Turn one cell of MyST prose into plain Markdown.

    Parameters
    ----------
    source
        The cell's text.
    path, line
        Where it stands, for errors.

    Raises
    ------
    SourceError
        For a directive or role outside of the known ones, one without its closing fence, a
        figure without a text alternative, or a reference to nothing.
    """
    lines = source.splitlines()
    out: list[str] = []
    paragraph: list[str] = []
    began = 0

    def flush() -> None:
        if paragraph:
            out.append(_inline("\n".join(paragraph), course, path, line + began))
            paragraph.clear()

    number = 0
    while number < len(lines):
        text = lines[number]
        if fence := _FENCE.match(text):
            flush()
            end = _closing(lines, number, fence["fence"])
            if end is None:
                message = f"{text.strip()!r} is never closed; end it with {fence['fence']}"
                raise SourceError(path, line + number, message)
            if fence["name"] is None and fence["fence"][0] != ":":
                out += lines[number : end + 1]
            elif fence["indent"]:
                message = f"{text.strip()!r} in a list or quotation; begin it at the margin"
                raise SourceError(path, line + number, message)
            else:
                body = lines[number + 1 : end]
                out.append(_directive(fence, body, course, path, line + number))
            number = end
        elif _LABEL.match(text) or text.startswith("%"):
            flush()  # a target of the book's, a comment: nothing for the notebook
        elif not text.strip():
            flush()
            out.append(text)
        else:
            if not paragraph:
                began = number
            paragraph.append(text)
        number += 1
    flush()
    return re.sub(r"\n{3,}", "\n\n", "\n".join(out)).strip("\n")


def _closing(lines: list[str], begin: int, fence: str) -> int | None:
    """Return the line that closes the fence opened in line `begin`."""
    pattern = re.compile(rf"^[\s>]*{re.escape(fence[0])}{{{len(fence)},}}\s*$")
    return next((n for n in range(begin + 1, len(lines)) if pattern.match(lines[n])), None)


def _directive(fence: re.Match[str], body: list[str], course: Course, path: Path, line: int) -> str:
    name, argument = fence["name"] or "", fence["rest"].strip()
    if name not in DIRECTIVES:
        hint = did_you_mean(name, DIRECTIVES)
        raise SourceError(path, line, f"unknown directive {{{name}}}; {hint}")
    if name in asks.DIRECTIVES:
        return plain(_asked(asks.ask(name, body, path, line)), course, path, line)
    options = {}
    skipped = 0
    while body and (option := _OPTION.match(body[0])):
        options[option["key"]] = option["value"]
        body, skipped = body[1:], skipped + 1
    if name == "claim":
        return _claim(argument, course, path, line)
    if name == "twin-differences":
        series(body, path, line + 1 + skipped)
        # Drawn from both twins' records, which one notebook does not have.
        page = course.site.page(f"chapters/{argument}")
        return f"> [Here the book shows both twins in one figure]({page})"
    if name == "math":
        return "\n".join(["$$", argument, *body, "$$"]).replace("\n\n", "\n")
    first = line + 1 + skipped
    if name in ADMONITIONS[:-1] and argument:
        # The words behind the name of such a directive belong to its body.
        body, first = [argument, *body], line
    inner = plain("\n".join(body), course, path, first)
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
    spans = list(_spans(text))
    _check_links(text, spans, path, line)
    out, done = [], 0
    for span in spans:
        if span.name is not None:
            out += [text[done : span.start], _role(span, text, course, path, line)]
            done = span.end
    return "".join([*out, text[done:]])


def _spans(text: str) -> Iterator[_Span]:
    """Yield the spans of code and the roles in a paragraph.

    As in CommonMark, a run of backticks ends at the next run that is as long. Each run is looked
    at once, however many there are.
    """
    runs = [run.span() for run in re.finditer("`+", text)]
    ends: list[int | None] = [None] * len(runs)
    next_as_long: dict[int, int] = {}
    for number in reversed(range(len(runs))):
        length = runs[number][1] - runs[number][0]
        ends[number] = next_as_long.get(length)
        next_as_long[length] = number
    number = done = 0
    while number < len(runs):
        begin, inside = runs[number]
        end = ends[number]
        number = number + 1 if end is None else end + 1
        if end is None:
            continue
        brace = text.rfind("{", done, begin) if text[begin - 1 : begin] == "}" else -1
        name = text[brace + 1 : begin - 1] if brace >= 0 else ""
        is_role = bool(_NAME.fullmatch(name))
        start, done = brace if is_role else begin, runs[end][1]
        yield _Span(start, done, name if is_role else None, text[inside : runs[end][0]])


def _check_links(text: str, spans: list[_Span], path: Path, line: int) -> None:
    """Raise for HTML, links and pictures that a notebook cannot show."""
    # They are sought where neither code nor math stands; blanks keep every place where it is.
    parts, done = [], 0
    for span in spans:
        parts += [text[done : span.start], _blank(text[span.start : span.end])]
        done = span.end
    bare = _MATH.sub(lambda math: _blank(math[0]), "".join([*parts, text[done:]]))
    if mute := _MUTE.search(bare):
        message = "a picture without a text alternative: ![words](…)"
        raise _fail(message, text, mute.start(), path, line)
    if html := _HTML.search(bare):
        message = f"{html[0]!r} is HTML; write Markdown, or put it in backticks"
        raise _fail(message, text, html.start(), path, line)
    for link in _TARGET.finditer(bare):
        if not link["target"].startswith(("https://", "http://", "mailto:")):
            message = f"link to {link['target']!r} works in the book alone; use {{doc}} or {{ref}}"
            raise _fail(message, text, link.start(), path, line)


def _blank(text: str) -> str:
    return re.sub(r"[^\n]", " ", text)


def _fail(message: str, text: str, place: int, path: Path, line: int) -> SourceError:
    return SourceError(path, line + text.count("\n", 0, place), message)


def _role(span: _Span, text: str, course: Course, path: Path, line: int) -> str:
    def error(message: str) -> SourceError:
        return _fail(message, text, span.start, path, line)

    name, body = str(span.name), span.body.replace("\n", " ")
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
