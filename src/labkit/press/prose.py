"""A chapter's MyST prose as plain Markdown, which Colab and JupyterLab show well.

A fixed, small part of MyST is known: admonitions, figures, images, math; the roles doc, ref,
term, cite and math. Anything else is an error with file and line.
"""

import re
from collections.abc import Callable
from pathlib import Path

from labkit.press import claims
from labkit.press.site import Site
from labkit.press.source import SourceError, did_you_mean

ADMONITIONS = ("note", "tip", "hint", "important", "warning", "caution", "seealso", "admonition")
DIRECTIVES = (*ADMONITIONS, "figure", "image", "math", "claim", "twin-differences")
_TITLES = {"seealso": "See also"}
ROLES = ("doc", "ref", "term", "cite", "math")

_FENCE = re.compile(
    r"^(?P<indent>[\s>]*)(?P<fence>`{3,}|~{3,}|:{3,})\s*(?:\{(?P<name>[^}\s]*)\})?\s*(?P<rest>.*)$"
)
_OPTION = re.compile(r"^:(?P<key>[\w-]+):\s*(?P<value>.*)$")
_LABEL = re.compile(r"^\((?P<label>[\w-]+)\)=\s*$")
# A role, or a span of code, which is passed over: `{like}`this`` stands for itself.
_ROLE = re.compile(
    r"\{(?P<name>[\w:+-]+)\}(?P<tick>`+)(?P<body>.+?)(?P=tick)(?!`)|(?P<code>`+)[^`].*?(?P=code)(?!`)",
    re.DOTALL,
)
_MATH = re.compile(r"\$\$.*?\$\$|\$[^$\n]+\$", re.DOTALL)
_LINK = re.compile(r"(?P<bang>!?)\[(?P<text>[^\]]*)\]\((?P<target>[^)\s]*)[^)]*\)")


def plain(source: str, site: Site, path: Path, line: int) -> str:
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
            out.append(_inline("\n".join(paragraph), site, path, line + began))
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
                out.append(_directive(fence, body, site, path, line + number))
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


def _directive(fence: re.Match[str], body: list[str], site: Site, path: Path, line: int) -> str:
    name, argument = fence["name"] or "", fence["rest"].strip()
    if name not in DIRECTIVES:
        hint = did_you_mean(name, DIRECTIVES)
        raise SourceError(path, line, f"unknown directive {{{name}}}; {hint}")
    options = {}
    skipped = 0
    while body and (option := _OPTION.match(body[0])):
        options[option["key"]] = option["value"]
        body, skipped = body[1:], skipped + 1
    if name == "claim":
        return _claim(argument, site, path, line)
    if name == "twin-differences":
        # Drawn from both twins' records, which one notebook does not have.
        return (
            f"> [Here the book shows both twins in one figure]({site.page(f'chapters/{argument}')})"
        )
    if name == "math":
        return "\n".join(["$$", argument, *body, "$$"]).replace("\n\n", "\n")
    first = line + 1 + skipped
    if name in ADMONITIONS[:-1] and argument:
        # The words behind the name of such a directive belong to its body.
        body, first = [argument, *body], line
    inner = plain("\n".join(body), site, path, first)
    if name in ("figure", "image"):
        if not options.get("alt"):
            raise SourceError(path, line, f"{{{name}}} has no text alternative: add `:alt: …`")
        return f"![{options['alt']}]({_picture(argument, site, path, line)})\n\n{inner}".strip()
    title = argument if name == "admonition" else _TITLES.get(name, name.capitalize())
    title = _inline(title, site, path, line)
    quoted = "\n".join(f"> {text}".rstrip() for text in inner.splitlines())
    return f"> **{title}**\n>\n{quoted}"


def _claim(name: str, site: Site, path: Path, line: int) -> str:
    """Return a claim without its verdict, which is computed from both twins' records."""
    put = {c.id: c for c in claims.load(site.root / "evidence" / "claims.yml")}
    if name not in put:
        raise SourceError(path, line, f"no claim {name!r}; {did_you_mean(name, put)}")
    claim, board = put[name], site.page("chapters/scoreboard", f"claim-{name}")
    return f"> **Claim:** {claim.says} ({claim.source.title}) [The verdict]({board})"


def _picture(target: str, site: Site, path: Path, line: int) -> str:
    if target.startswith(("https://", "http://")):
        return target
    if not (site.root / "chapters" / target).is_file():
        raise SourceError(path, line, f"there is no picture {target!r} beside the chapter")
    return site.raw(f"chapters/{target}")


def _inline(text: str, site: Site, path: Path, line: int) -> str:
    # Links are sought where neither code nor math stands; blanks keep every place where it is.
    bare = _MATH.sub(_blank, _ROLE.sub(_blank, text))
    for link in _LINK.finditer(bare):
        place = line + text[: link.start()].count("\n")
        if link["bang"] and not link["text"].strip():
            raise SourceError(path, place, "a picture without a text alternative: ![words](…)")
        if not link["target"].startswith(("https://", "http://", "mailto:")):
            message = f"link to {link['target']!r} works in the book alone; use {{doc}} or {{ref}}"
            raise SourceError(path, place, message)

    def replace(match: re.Match[str]) -> str:
        if match["code"]:
            return match[0]
        return _role(match, lambda m: _fail(m, text, match.start(), path, line), site)

    return _ROLE.sub(replace, text)


def _blank(match: re.Match[str]) -> str:
    return re.sub(r"[^\n]", " ", match[0])


def _fail(message: str, text: str, place: int, path: Path, line: int) -> SourceError:
    return SourceError(path, line + text[:place].count("\n"), message)


def _role(match: re.Match[str], error: Callable[[str], SourceError], site: Site) -> str:
    name, body = match["name"], match["body"].replace("\n", " ")
    if name not in ROLES and not name.startswith("cite:"):
        raise error(f"unknown role {{{name}}}; {did_you_mean(name, ROLES)}")
    if name == "math":
        return f"${body}$"
    kind = name.split(":")[0]
    explicit = re.fullmatch(r"(?P<text>.+?)\s*<(?P<target>[^>]+)>", body)
    if kind == "cite":
        found = [_lookup(site, kind, key.strip(), error) for key in body.split(",")]
        cited = "; ".join(f"[{text}]({url})" for text, url in found)
        return cited if name == "cite:t" else f"({cited})"
    target = explicit["target"] if explicit else body
    if kind == "doc":
        # Both /chapters/name and name, as Sphinx reads them in chapters/.
        target = target.lstrip("/") if target.startswith("/") else f"chapters/{target}"
    if kind == "term":
        target = target.lower()
    text, url = _lookup(site, kind, target, error)
    if kind == "term" and not explicit:
        text = body
    return f"[{explicit['text'] if explicit else text}]({url})"


def _lookup(
    site: Site, kind: str, name: str, error: Callable[[str], SourceError]
) -> tuple[str, str]:
    try:
        return site.lookup(kind, name)
    except KeyError as missing:
        raise error(str(missing.args[0])) from missing
