"""From a chapter to one of its twins: a plain notebook that reads well alone."""

import hashlib
import json
from pathlib import Path
from typing import Any, Literal

import nbformat
from nbformat import NotebookNode

from labkit.press import claims, prose
from labkit.press.chapter import FRAMEWORKS, Cell, Chapter, parse
from labkit.press.site import Site
from labkit.press.source import SourceError

Edition = Literal["starters", "solutions", "answers"]
"""What stands for an exercise: its starter; its solution; or, for tests, each wrong answer and then
the solution, all followed by the check."""

SETUP = "setup"
"""Id of the cell that prepares the notebook; it stands in no chapter."""
_BADGE = "https://colab.research.google.com/assets/colab-badge.svg"


def notebook_path(root: Path, chapter: str, framework: str) -> Path:
    """Return where a twin stands: ``labs/<chapter>/<framework>.ipynb``."""
    return root / "labs" / chapter / f"{framework}.ipynb"


def weave(
    chapter: Chapter, framework: str, site: Site, edition: Edition = "starters"
) -> NotebookNode:
    """Make the notebook of one framework, without outputs.

    Raises
    ------
    SourceError
        When the chapter's prose holds what plain Markdown cannot say.
    """
    cells = []
    for cell in _edition(chapter.cells_of(framework), edition):
        if cell.kind == "code":
            cells.append(_code(cell))
            continue
        text = prose.plain(cell.source, site, chapter.path, cell.line)
        if text:
            cells.append(nbformat.v4.new_markdown_cell(text, id=cell.id))
    cells[0].source = _head(chapter, framework, site)
    cells.insert(1, nbformat.v4.new_code_cell(setup_source(chapter, framework, site), id=SETUP))
    notebook = nbformat.v4.new_notebook(
        cells=cells,
        metadata={
            "kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"},
            "language_info": {"name": "python"},
            "labkit": {"chapter": chapter.name, "framework": framework, "edition": edition},
        },
    )
    notebook.metadata.labkit.woven = sources_hash(notebook)
    return notebook


def setup_source(chapter: Chapter, framework: str, site: Site) -> str:
    """Return the source of the set-up cell."""
    needs = {"labkit": site.requirement, **chapter.lab.needs}
    rows = "".join(f'    "{module}":\n    "{need}",\n' for module, need in needs.items())
    return f"""\
# Set-up: on Colab or Binder, this installs what is missing.
import subprocess
import sys
from importlib.util import find_spec

needs = {{
{rows}}}
missing = [needs[m] for m in needs if not find_spec(m)]
if missing:
    pip = [sys.executable, "-m", "pip", "install", "-q"]
    subprocess.run([*pip, *missing], check=True)

import labkit

lab = labkit.start(
    "{chapter.name}", "{framework}"
)"""


def sources_hash(notebook: NotebookNode) -> str:
    """Return a digest of what the cells say, whatever they put out."""
    content = [(c.id, c.cell_type, c.source) for c in notebook.cells]
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()[:16]


def edited_by_hand(notebook: NotebookNode) -> bool:
    """Say whether a notebook's cells are not what was last woven."""
    return notebook.metadata.get("labkit", {}).get("woven") != sources_hash(notebook)


def read_notebook(path: Path) -> NotebookNode | None:
    """Read a woven notebook, None where there is none yet."""
    if not path.exists():
        return None
    try:
        return nbformat.read(path, as_version=4)
    except (ValueError, KeyError, AttributeError) as error:
        raise SourceError(
            path, None, f"is no notebook ({error}); delete it and run `labkit run`"
        ) from error


def refuse_edited(old: NotebookNode | None, new: NotebookNode, path: Path) -> None:
    """Raise when `path` holds a person's edits, which weaving `new` over them would lose."""
    if old is None or not edited_by_hand(old):
        return
    if [c.source for c in old.cells] == [c.source for c in new.cells]:
        return  # its edits have been taken home
    woven = {c.id: c.source for c in new.cells}
    number = next(
        (n for n, c in enumerate(old.cells, 1) if woven.get(c.get("id")) != c.source),
        len(old.cells),
    )
    raise SourceError(
        path,
        None,
        f"was edited by hand (cell {number}). Bring the edits home with `labkit take {path}`, "
        f"or drop them with `git checkout {path}`",
    )


def take(path: Path, root: Path) -> tuple[Path, str, int]:
    """Read a notebook's edited cells into its chapter.

    Returns
    -------
    tuple
        The chapter's file, its new text, and how many cells were edited.

    Raises
    ------
    SourceError
        When cells were added or removed, or an edit cannot be carried back.
    """
    notebook = read_notebook(path)
    info: Any = notebook.metadata.get("labkit") if notebook else None
    if notebook is None or info is None:
        raise SourceError(path, None, "is not one of the course's notebooks")
    file = root / "chapters" / f"{info.chapter}.md"
    text = file.read_text(encoding="utf-8")
    chapter, site = parse(text, file), Site.read(root)
    woven = weave(chapter, info.framework, site, info.edition)
    if [c.id for c in notebook.cells] != [c.id for c in woven.cells]:
        raise SourceError(
            path, None, f"has cells added, moved or removed; do that in {file}, then `labkit weave`"
        )
    cells = {c.id: c for c in chapter.cells}
    lines, edited = text.splitlines(), 0
    # From the end, so that the lines above keep their numbers.
    for new, old in reversed(list(zip(notebook.cells, woven.cells, strict=True))):
        if new.source.rstrip() == old.source.rstrip():
            continue
        cell = cells.get(new.id)
        if cell is None or cell is chapter.cells[0]:
            raise SourceError(
                path, None, f"the {new.id} cell is made by labkit; it cannot be edited here"
            )
        if old.source != cell.source:
            raise SourceError(
                file,
                cell.line,
                f"cell {new.id!r} uses what plain Markdown cannot say; make its edit here",
            )
        begin = cell.line - 1
        lines[begin : begin + len(cell.source.splitlines())] = new.source.rstrip().splitlines()
        edited += 1
    result = "\n".join(lines) + "\n"
    parse(result, file)
    return file, result, edited


def _edition(cells: list[Cell], edition: Edition) -> list[Cell]:
    if edition == "starters":
        return [c for c in cells if c.role not in ("solution", "wrong")]
    if edition == "solutions":
        return _rearranged(cells, wrong=False)
    return _rearranged(cells, wrong=True)


def _rearranged(cells: list[Cell], *, wrong: bool) -> list[Cell]:
    """Put solutions, or every answer with a check after it, in the starters' places."""
    out: list[Cell] = []
    for place, cell in enumerate(cells):
        if cell.role is None:
            out.append(cell)
        elif cell.role == "exercise":
            parts: dict[str, list[Cell]] = {"check": [], "solution": [], "wrong": []}
            for other in cells[place + 1 :]:
                if other.kind == "markdown" and other.role is None:
                    continue
                if other.role not in parts:
                    break
                parts[other.role].append(other)
            answers = [*(parts["wrong"] if wrong else []), *parts["solution"]]
            for number, answer in enumerate(answers):
                for check in parts["check"]:
                    again = Cell(**{**vars(check), "id": f"{check.id}-{number}"})
                    out += [answer, again if wrong else check]
    return out


def _code(cell: Cell) -> NotebookNode:
    """Return a code cell, with the tags that nbclient, nbval and JupyterLab understand."""
    tags = list(cell.tags)
    if "measured" in tags:
        tags.append("nbval-ignore-output")
    if cell.raises:
        tags.append("raises-exception")
    metadata: dict[str, Any] = {"tags": tags} if tags else {}
    if "hide-input" in tags:
        metadata["jupyter"] = {"source_hidden": True}
    return nbformat.v4.new_code_cell(cell.source, id=cell.id, metadata=metadata)


def _head(chapter: Chapter, framework: str, site: Site) -> str:
    """Return the notebook's first cell: title, badge, where the book is, and the claims."""
    other = next(f for f in FRAMEWORKS if f != framework)
    page = f"chapters/{chapter.name}"
    own, twin = (f"labs/{chapter.name}/{f}.ipynb" for f in (framework, other))
    address = site.page(page).replace(".html", f".html?framework={framework}")
    lab = chapter.lab
    head = f"""\
# {chapter.title}

[![Open in Colab]({_BADGE})]({site.colab(own)})

*In {FRAMEWORKS[framework]}. {lab.read} minutes to read, {lab.run} to run; {lab.difficulty}.
Its twin does the same work in [{FRAMEWORKS[other]}]({site.colab(twin)});
[the book]({address}) shows both side by side.*"""
    put = claims.of_topics(site.root / "evidence" / "claims.yml", lab.claims)
    if put:
        rows = "\n".join(f"- {c.says} ([{c.source.title}]({c.source.url}))" for c in put)
        head += f"\n\n**Put to the test:**\n\n{rows.replace('()', '')}"
    return head
