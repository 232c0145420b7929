"""The reader: a chapter's text, with its twins' outputs, as one notebook for MyST-NB."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nbformat
from nbformat import NotebookNode
from sphinx.errors import ExtensionError

from labkit.press import pages
from labkit.press.chapter import ANSWERS, FRAMEWORKS, Cell, Chapter, is_chapter
from labkit.press.course import Course
from labkit.press.pages import outputs
from labkit.press.source import SourceError, read_text
from labkit.press.weave import SETUP, notebook_path, setup_source


def read(text: str, root: str) -> NotebookNode:
    """Return a page's source as a notebook.

    A chapter becomes its cells with the outputs of its executed twins; any other page one cell of
    Markdown.
    """
    notebook = nbformat.v4.new_notebook(metadata={"language_info": {"name": "python"}})
    if not is_chapter(text):
        notebook.cells = [nbformat.v4.new_markdown_cell(text)]
        return notebook
    try:
        course = pages.course(root)
        notebook.cells = list(_cells(_chapter(text, course), course))
    except SourceError as error:
        raise ExtensionError(str(error)) from None
    return notebook


def _chapter(text: str, course: Course) -> Chapter:
    """Return the chapter whose page this is the text of: Sphinx gives the text alone."""
    for name, file in course.files.items():
        if read_text(file) == text:
            return course.chapter(name)
    raise SourceError(course.root / "chapters", None, f"holds no chapter that reads {text[:60]!r}…")


def _cells(chapter: Chapter, course: Course) -> Iterator[NotebookNode]:
    twins = {f: _outputs(chapter, f, course.root) for f in FRAMEWORKS}
    title, *rest = chapter.cells
    bar = f"```{{twin-bar}} {chapter.name}\n```"
    yield nbformat.v4.new_markdown_cell(f"{title.source}\n\n{bar}")
    ladder, prepared = chapter.ladder_step, False
    for cell in rest:
        if cell.role in ("right", "wrong"):
            continue
        if cell.kind == "code" and not prepared:
            prepared = True
            for framework, ran in twins.items():
                source = setup_source(chapter, framework, course.site)
                first = Cell("code", source, (framework,), 1, {}, id=SETUP)
                yield _code(first, ran[SETUP], framework, "Show the set-up cell")
        if cell.kind == "markdown":
            source = cell.source
            if cell.framework:
                source = f"::::::{{twin-prose}} {cell.framework}\n{source}\n::::::"
            yield nbformat.v4.new_markdown_cell(source)
        elif cell.role == "solution":
            yield _code(cell, None, cell.framework, "Show a solution")
        elif cell.framework:
            yield _code(cell, twins[cell.framework][cell.id], cell.framework)
            if ladder and cell.step == ladder and cell.framework == "tensorflow":
                yield nbformat.v4.new_markdown_cell(f"```{{twin-ladder}} {chapter.name}\n```")
        else:
            # The same cell in both twins: once, unless the twins answered differently, or the
            # author wants the answers compared.
            pytorch, tensorflow = (twins[f][cell.id] for f in FRAMEWORKS)
            if pytorch.outputs == tensorflow.outputs and "compare" not in cell.tags:
                yield _code(cell, pytorch, None)
            else:
                yield _code(cell, pytorch, "pytorch")
                yield _code(cell, tensorflow, "tensorflow")


def _outputs(chapter: Chapter, framework: str, root: Path) -> dict[str, NotebookNode]:
    """Return a twin's executed code cells by id, checked against the chapter."""
    path = notebook_path(root, chapter.name, framework)
    notebook = pages.notebook(root, chapter.name, framework)
    if notebook is None:
        raise SourceError(path, None, "is missing: `labkit run` makes it")
    ran = {c.id: c for c in notebook.cells if c.cell_type == "code"}
    for cell in chapter.cells_of(framework):
        if cell.kind != "code" or cell.role in ANSWERS:
            continue
        if cell.id not in ran or ran[cell.id].source != cell.source:
            raise chapter.text.error(
                cell.line, f"{path} is stale: `labkit run` brings it up to date"
            )
        if ran[cell.id].execution_count is None:
            raise SourceError(path, None, f"cell {cell.id!r} has never run: `labkit run` runs it")
    return ran


def _code(
    cell: Cell, ran: NotebookNode | None, framework: str | None, prompt: str | None = None
) -> NotebookNode:
    new = nbformat.v4.new_code_cell(cell.source)
    tags = [framework] if framework else []
    own: dict[str, Any] = {**cell.metadata.get("mystnb", {})}
    if prompt or "hide-input" in cell.tags:
        tags.append("hide-input")
        own["code_prompt_show"] = prompt or "Show the code"
    if ran is not None:
        new.execution_count = ran.execution_count
        new.outputs = [_drawn(output, own) for output in ran.outputs]
        for output in ran.outputs:
            own["image"] = {**_picture(output), **own.get("image", {})}
    new.metadata = nbformat.from_dict(
        {"tags": tags, "step": cell.step, **({"mystnb": own} if own else {})}
    )
    return new


def _drawn(output: NotebookNode, own: dict[str, Any]) -> NotebookNode:
    """Return an output; a vector figure as HTML, so that it stands in the page itself.

    What the author says of the figure, in `own`, goes before what the notebook says.
    """
    drawn = output.get("data", {}).get("image/svg+xml")
    if not drawn:
        return output
    said = {**output.metadata.get("image/svg+xml", {}), **own.get("image", {})}
    said |= own.pop("figure", {})
    return nbformat.v4.new_output(
        "display_data", {"text/html": outputs.figure("".join(drawn), said)}
    )


def _picture(output: NotebookNode) -> dict[str, str]:
    """Return what an output says of its picture: text alternative and width."""
    kind = next((k for k in output.get("data", {}) if k.startswith("image/")), "")
    said = output.get("metadata", {}).get(kind, {})
    found = {"alt": said["alt"]} if said.get("alt") else {}
    return {**found, **({"width": f"{said['width']}px"} if said.get("width") else {})}
