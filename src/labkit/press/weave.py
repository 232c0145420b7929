"""From a chapter to one of its twins: a plain notebook that reads well alone."""

import hashlib
import json
import re
from pathlib import Path
from typing import Any

import nbformat
from nbformat import NotebookNode

from labkit.press import budget, claims, prose
from labkit.press.chapter import ANSWERS, FRAMEWORKS, Cell, Chapter, Exercise
from labkit.press.course import Course
from labkit.press.site import Site
from labkit.press.source import SourceError

SETUP = "setup"
"""Id of the cell that prepares the notebook; it stands in no chapter."""
_BADGE = "https://colab.research.google.com/assets/colab-badge.svg"


def notebook_path(root: Path, chapter: str, framework: str) -> Path:
    """Return where a twin stands: ``labs/<chapter>/<framework>.ipynb``."""
    return root / "labs" / chapter / f"{framework}.ipynb"


def weave(chapter: Chapter, framework: str, course: Course) -> NotebookNode:
    """Make the notebook of one framework, without outputs and without answers.

    Raises
    ------
    SourceError
        When the chapter's prose holds what plain Markdown cannot say.
    """
    cells = []
    for cell in chapter.cells_of(framework):
        if cell.role in ANSWERS:
            continue
        if cell.kind == "code":
            cells.append(_code(cell))
            continue
        with chapter.text.located():
            text = prose.plain(cell.source, course, chapter.path, cell.line)
        if text:
            cells.append(nbformat.v4.new_markdown_cell(text, id=cell.id))
    cells[0].source = _head(chapter, framework, course)
    setup = setup_source(chapter, framework, course.site)
    cells.insert(1, nbformat.v4.new_code_cell(setup, id=SETUP))
    notebook = nbformat.v4.new_notebook(
        cells=cells,
        metadata={
            "kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"},
            "language_info": {"name": "python"},
            "labkit": {"chapter": chapter.name, "framework": framework},
        },
    )
    # Pairs, for JSON does not keep the order of keys.
    notebook.metadata.labkit.woven = [list(pair) for pair in digests(notebook).items()]
    return notebook


def setup_source(chapter: Chapter, framework: str, site: Site) -> str:
    """Return the source of the set-up cell."""
    needs = {"labkit": site.requirement, **chapter.lab.needs}
    rows = "".join(f"    {json.dumps(m)}:\n    {json.dumps(n)},\n" for m, n in needs.items())
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
    if subprocess.call([*pip, *missing]):
        raise ImportError(
            "This notebook needs what pip could not install: "
            f"{{', '.join(missing)}}. Run this cell again with "
            "a network, or install it in a terminal first."
        )

import labkit

lab = labkit.start(
    "{chapter.name}", "{framework}"
)"""


def with_answers(notebook: NotebookNode, chapter: Chapter) -> NotebookNode:
    """Return a twin, executed, in which each exercise is answered: what one strict run can judge.

    Its own cells and outputs stay as they are. Below each check follow the wrong answers, the
    further right ones and the solution, each with the check again and what the check is to print,
    in the words of `labkit.exercise.check`; a wrong answer's hint is left out. Last comes the
    starter once more, so that all later cells find what they found.

    Raises
    ------
    SourceError
        When a check's output in the notebook is not that of an untouched exercise.
    """
    own = {c.id: c for c in notebook.cells}
    below: dict[str, list[NotebookNode]] = {}
    for exercise in chapter.exercises_of(notebook.metadata.labkit.framework):
        check = exercise.check
        name = _name_of(exercise, own.get(check.id), chapter)
        added = below.setdefault(check.id, [])
        answers = [*exercise.wrong, *exercise.right, exercise.solution]
        for number, answer in enumerate(answers, 1):
            outcome = "not yet." if answer.role == "wrong" else "solved"
            added.append(_unjudged(answer))
            added.append(_judged(check, f"{check.id}-{number}", answer, f"{name}: {outcome}\n"))
        added.append(_unjudged(exercise.starter))
    metadata = {k: v for k, v in notebook.metadata.items() if k != "labkit"}  # not to be taken home
    return nbformat.v4.new_notebook(
        cells=[c for cell in notebook.cells for c in (cell, *below.get(cell.id, ()))],
        metadata=metadata,
    )


_NAME = re.compile(r"""\bexercise\.check\(\s*["'](.+)["']""")


def _name_of(exercise: Exercise, ran: NotebookNode | None, chapter: Chapter) -> str:
    """Return the name that a check prints, having seen that it says what it should untouched."""
    line = exercise.check.line
    found = _NAME.search(exercise.check.source)
    if found is None:
        raise chapter.text.error(line, 'the check has no `labkit.exercise.check("Its name"):`')
    name = found[1]
    said = "".join(o.get("text", "") for o in ran.outputs) if ran else ""
    wanted, state = f"{name}: not attempted yet\n", "tried"
    if exercise.to_mend:
        wanted, state = f"{name}: not yet. … a hint …\n", "mended"
        hint = rf"{re.escape(name)}: not yet\. (?!.*Error: )\S.*\n"
        fits = bool(re.fullmatch(hint, said))
    else:
        fits = said == wanted
    if not fits:
        message = f"the check is to print {wanted.strip()!r} where nothing was {state}"
        raise chapter.text.error(line, f"{message}, not {said!r}; mend it, then `labkit run`")
    return name


def _unjudged(cell: Cell) -> NotebookNode:
    """Return a cell that strict nbval runs without comparing: one that has no count."""
    return nbformat.v4.new_code_cell(cell.source, id=f"{cell.id}-again")


def _judged(check: Cell, name: str, answer: Cell, said: str) -> NotebookNode:
    """Return a check that nbval compares, lax or strict, with what it is to print.

    What libraries warn of a wrong answer on the way is not looked at.
    """
    magic, place = "%%capture --no-stdout", f"# after {answer.id}, line {answer.line}"
    return nbformat.v4.new_code_cell(
        f"{magic}\n{place}\n{check.source}",
        id=name,
        execution_count=1,
        outputs=[nbformat.v4.new_output("stream", name="stdout", text=said)],
        metadata={"tags": ["nbval-check-output"]},
    )


def digests(notebook: NotebookNode) -> dict[str, str]:
    """Return a digest of each cell's source by its id. Blank lines around it do not count."""
    return {
        c.get("id", f"cell {n}"): hashlib.sha256(text_of(c).encode()).hexdigest()[:8]
        for n, c in enumerate(notebook.cells, 1)
    }


def text_of(cell: NotebookNode) -> str:
    """Return a cell's source without blank lines around it."""
    return str(cell.source).strip("\n")


def edited_cells(notebook: NotebookNode) -> list[str]:
    """Return the ids of the cells that are not as they were woven: edited, added or removed."""
    woven, now = dict(notebook.metadata.labkit.woven), digests(notebook)
    return [i for i in {**now, **woven} if now.get(i) != woven.get(i)]


def read_notebook(path: Path) -> NotebookNode | None:
    """Read a woven notebook, None where there is none yet.

    Raises
    ------
    SourceError
        When the file is no notebook, or not one that labkit wove.
    """
    if not path.exists():
        return None
    mend = "delete it and run `labkit run`"
    try:
        notebook = nbformat.read(path, as_version=4)
        nbformat.validate(notebook)
    except (OSError, ValueError, KeyError, AttributeError, nbformat.ValidationError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise SourceError(path, None, f"is no notebook ({reason}); {mend}") from error
    info = notebook.metadata.get("labkit")
    if not isinstance(info, dict) or not isinstance(info.get("woven"), list):
        raise SourceError(path, None, f"is not a notebook that labkit wove; {mend}")
    return notebook


def refuse_edited(old: NotebookNode | None, new: NotebookNode, path: Path) -> None:
    """Raise when `path` holds a person's edits, which weaving `new` over them would lose."""
    if old is None:
        return
    edited = {c.get("id"): (n, c) for n, c in enumerate(old.cells, 1)}
    woven = {c.id: c for c in new.cells}
    for name in edited_cells(old):
        number, cell = edited.get(name, (0, None))
        if cell and name in woven and text_of(cell) == text_of(woven[name]):
            continue  # the edit has been taken home
        if cell is None and name not in woven:
            continue
        what = f"cell {number}, {name!r}," if cell else f"cell {name!r}, removed,"
        raise SourceError(
            path,
            None,
            f"was edited by hand ({what} is not as it was woven). Bring the edits home with "
            f"`labkit take {path}`, or drop them with `git checkout {path}`",
        )


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


def _head(chapter: Chapter, framework: str, course: Course) -> str:
    """Return the notebook's first cell: title, badge, where the book is, and the claims."""
    site = course.site
    other = next(f for f in FRAMEWORKS if f != framework)
    page = f"chapters/{chapter.name}"
    own, twin = (f"labs/{chapter.name}/{f}.ipynb" for f in (framework, other))
    address = site.page(page).replace(".html", f".html?framework={framework}")
    lab = chapter.lab
    head = f"""\
# {chapter.title}

[![Open in Colab]({_BADGE})]({site.colab(own)})

*In {FRAMEWORKS[framework]}. {budget.minutes(chapter)} min to read; {lab.difficulty}.
Its twin does the same work in [{FRAMEWORKS[other]}]({site.colab(twin)});
[the book]({address}) shows both side by side.*"""
    put = course.claims_on(lab.claims)
    if put:
        rows = "\n".join(f"- {prose.escaped(c.says)} ({_said_by(c.source)})" for c in put)
        head += f"\n\n**Put to the test:**\n\n{rows}"
    return head


def _said_by(source: claims.Source) -> str:
    title = prose.escaped(source.title)
    return f"[{title}]({source.url})" if source.url else title
