"""The Jupyter Book extension: chapters with their twins' outputs, tabs, switch and launch bar."""

import re
import shutil
from collections.abc import Iterator
from html import escape
from pathlib import Path
from typing import Any

import nbformat
from docutils import nodes
from docutils.utils.math import MathError
from docutils.utils.math.latex2mathml import tex2mathml
from nbformat import NotebookNode
from sphinx.application import Sphinx
from sphinx.errors import ExtensionError
from sphinx.transforms import SphinxTransform
from sphinx.util import logging
from sphinx.util.docutils import SphinxDirective
from sphinx_design.shared import create_component

from labkit import record, twins
from labkit.press import claims, prove
from labkit.press.chapter import FRAMEWORKS, Cell, Chapter, is_chapter, load, parse
from labkit.press.fields import NAME
from labkit.press.figures import twin_curves, twin_differences
from labkit.press.site import Site
from labkit.press.source import SourceError
from labkit.press.weave import SETUP, notebook_path, read_notebook, setup_source

HERE = Path(__file__).parent
logger = logging.getLogger(__name__)


# --- the reader: a chapter's text, with its twins' outputs, as one notebook for MyST-NB -----------


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
        name = _name(text)
        chapter = parse(text, Path(root) / "chapters" / f"{name}.md")
        notebook.cells = list(_cells(chapter, Path(root)))
    except SourceError as error:
        raise ExtensionError(str(error)) from None
    return notebook


def _name(text: str) -> str:
    """Return the name that a chapter's front matter gives; `parse` says what is wrong with it."""
    found = re.search(r"\bname: *([\w-]+)", text.partition("\nlab:")[2])
    return found[1] if found else "unnamed"


def _cells(chapter: Chapter, root: Path) -> Iterator[NotebookNode]:
    twins = {f: _outputs(chapter, f, root) for f in FRAMEWORKS}
    title, *rest = chapter.cells
    bar = f"```{{twin-bar}} {chapter.name}\n```"
    yield nbformat.v4.new_markdown_cell(f"{title.source}\n\n{bar}")
    site = Site.read(root)
    prepared = False
    for cell in rest:
        if cell.role == "wrong":
            continue
        if cell.kind == "code" and not prepared:
            prepared = True
            for framework, ran in twins.items():
                source = setup_source(chapter, framework, site)
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
            if cell.step == "ladder" and cell.framework == "tensorflow":
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
    notebook = read_notebook(path)
    if notebook is None:
        raise SourceError(path, None, "is missing: `labkit run` makes it")
    ran = {c.id: c for c in notebook.cells if c.cell_type == "code"}
    for cell in chapter.cells_of(framework):
        if cell.kind != "code" or cell.role in ("solution", "wrong"):
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
        new.outputs, new.execution_count = ran.outputs, ran.execution_count
        for output in ran.outputs:
            own["image"] = {**_picture(output), **own.get("image", {})}
    new.metadata = nbformat.from_dict(
        {"tags": tags, "step": cell.step, **({"mystnb": own} if own else {})}
    )
    return new


def _picture(output: NotebookNode) -> dict[str, str]:
    """Return what an output says of its picture: text alternative and width."""
    kind = next((k for k in output.get("data", {}) if k.startswith("image/")), "")
    said = output.get("metadata", {}).get(kind, {})
    found = {"alt": said["alt"]} if said.get("alt") else {}
    return {**found, **({"width": f"{said['width']}px"} if said.get("width") else {})}


# --- steps as tabs --------------------------------------------------------------------------------


class TwinTabs(SphinxTransform):
    """Wrap each step, and the prose that belongs to one of its twins, into synchronised tabs."""

    default_priority = 210  # the notebook's cells stand in the document, nothing is resolved yet

    def apply(self) -> None:
        """Find runs of neighbours that belong to a framework, and wrap them step by step."""
        found = [n for n in self.document.findall(nodes.container) if _twin(n)]
        for parent in {id(n.parent): n.parent for n in found}.values():
            group: list[nodes.Element] = []
            for child in [*parent.children, None]:
                begins = child is not None and _is_code(child) and _begins_step(child, group)
                if group and (child is None or not _twin(child) or begins):
                    self._wrap(parent, group)
                    group = []
                if child is not None and _twin(child):
                    group.append(child)
        for cell in self.document.findall(nodes.container):
            if _is_code(cell) and not _twin(cell):
                _anchor(cell, cell.get("cell_metadata", {}).get("step"))

    def _wrap(self, parent: nodes.Element, group: list[nodes.Element]) -> None:
        step = next((n["cell_metadata"].get("step") for n in group if _is_code(n)), None)
        frame = nodes.container(classes=["twin-step"])
        parent.insert(parent.index(group[0]), frame)
        for node in group:
            parent.remove(node)
        tabs = create_component("tab-set", classes=["sd-tab-set", "twin"])
        frame += tabs
        present = [f for f in FRAMEWORKS if any(_twin(n) == f for n in group)]
        if len(present) == 1:
            tabs["classes"].append("twin-solo")
        for framework in present:
            label = nodes.rubric(
                "", FRAMEWORKS[framework], classes=["sd-tab-label", f"twin-{framework}"]
            )
            label["sync_id"], label["sync_group"] = framework, "framework"
            content = create_component(
                "tab-content",
                classes=["sd-tab-content", f"twin-{framework}"],
                children=[n for n in group if _twin(n) == framework],
            )
            tabs += create_component("tab-item", classes=["sd-tab-item"], children=[label, content])
        _anchor(frame, step)


def _twin(node: nodes.Node) -> str | None:
    """Return the framework that a node of the page belongs to."""
    if not isinstance(node, nodes.container):
        return None
    if _is_code(node):
        tags = node.get("cell_metadata", {}).get("tags", ())
        return next((f for f in FRAMEWORKS if f in tags), None)
    return node.get("twin_prose")


def _begins_step(cell: nodes.Element, group: list[nodes.Element]) -> bool:
    """Say whether a cell begins a new step: its framework, or another step, is there already."""
    code = [g for g in group if _is_code(g)]
    steps = {g["cell_metadata"].get("step") for g in code}
    return bool(code) and (
        _twin(cell) in map(_twin, code) or cell["cell_metadata"].get("step") not in steps
    )


def _is_code(node: nodes.Node) -> bool:
    return isinstance(node, nodes.container) and node.get("nb_element") == "cell_code"


def _anchor(node: nodes.Element, step: str | None) -> None:
    """Give a step its deep link."""
    if not step:
        return
    node["ids"].append(f"step-{step}")
    link = (
        f'<a class="headerlink twin-link" href="#step-{escape(step)}" '
        f'aria-label="Link to the step {escape(step)}" title="Link to this step">#</a>'
    )
    node += nodes.raw("", link, format="html")


class Directive(SphinxDirective):
    """One that reads what authors wrote and labs recorded: what is wrong there is one message."""

    def run(self) -> list[nodes.Node]:
        """Return the nodes that `make` makes."""
        for name in self.arguments:
            if not NAME.fullmatch(name):
                raise ExtensionError(f"{self.get_location()}: {name!r} is no name")
        try:
            return self.make()
        except (SourceError, record.RecordError) as error:
            raise ExtensionError(str(error)) from None

    def make(self) -> list[nodes.Node]:
        """Return what stands in the directive's place."""
        raise NotImplementedError


class TwinProse(SphinxDirective):
    """Prose for one twin. The reader writes this directive; authors tag a cell of Markdown."""

    required_arguments = 1
    has_content = True

    def run(self) -> list[nodes.Node]:
        """Parse the prose into a container that `TwinTabs` puts into its framework's tab."""
        box = nodes.container(classes=["twin-prose"], twin_prose=self.arguments[0])
        self.state.nested_parse(self.content, self.content_offset, box)
        return [box]


# --- what stands at a chapter's head, and on the front page ---------------------------------------


class TwinBar(Directive):
    """Where to open a chapter's twins, what they take, and the claims they put to the test."""

    required_arguments = 1

    def make(self) -> list[nodes.Node]:
        """Return the bar and the list of claims."""
        root = Path(self.env.srcdir)
        file = root / "chapters" / f"{self.arguments[0]}.md"
        chapter, site = load(file), Site.read(root)
        lab = chapter.lab
        for part in chapter.text.paths:
            self.env.note_dependency(str(part))
        rows = []
        for framework, title in FRAMEWORKS.items():
            path = notebook_path(root, chapter.name, framework)
            self.env.note_dependency(str(path))
            rows.append(self._row(framework, title, path, site))
        facts = [f"{lab.read} min to read", f"{lab.run} min to run", lab.difficulty]
        bar = (
            '<div class="twin-bar" role="group" aria-label="Open this lab">'
            f'{"".join(rows)}<p class="twin-facts">{" · ".join(facts)}</p></div>'
        )
        self.env.note_dependency(str(root / "_config.yml"))
        return [nodes.raw("", bar, format="html"), *self._claims(root, lab.claims)]

    def _row(self, framework: str, title: str, path: Path, site: Site) -> str:
        notebook = read_notebook(path)
        machine = notebook.metadata.labkit.get("machine", {}) if notebook else {}
        name = "torch" if framework == "pytorch" else "keras"
        versions = machine.get("versions", {})
        shown = [
            f"{p.removesuffix('-cpu')} {v}"
            for p, v in versions.items()
            if p in ("python", name) or (name == "keras" and p.startswith("tensorflow"))
        ]
        relative = f"labs/{path.parent.name}/{path.name}"
        up = "../" * self.env.docname.count("/")
        links = {
            "Colab": site.colab(relative),
            "Binder": site.binder(relative),
            "JupyterHub": site.jupyterhub(relative),
        }
        anchors = " ".join(
            f'<a href="{escape(url)}" aria-label="Open in {where}, {title}">{where}</a>'
            for where, url in links.items()
        )
        file = f"{path.parent.name}-{framework}.ipynb"
        return (
            f'<div class="twin-bar-item twin-{framework}"><strong>{title}</strong>'
            f'<span class="twin-links">{anchors} <a href="{up}{relative}" download="{file}" '
            f'aria-label="Download the notebook, {title}">Download</a></span>'
            f"<small>Outputs made with {escape(', '.join(shown))} on "
            f"{escape(str(machine.get('device')))}</small></div>"
        )

    def _claims(self, root: Path, topics: tuple[str, ...]) -> list[nodes.Node]:
        file = root / "evidence" / "claims.yml"
        self.env.note_dependency(str(file))
        put = claims.of_topics(file, topics)
        if not put:
            return []
        box = nodes.container(classes=["twin-claims"])
        box += nodes.paragraph("", "", nodes.strong("", "Put to the test"))
        items = nodes.bullet_list()
        for claim in put:
            source = claim.source
            text = nodes.paragraph("", f"{claim.says} ")
            said = f"{source.title}{', ' + source.date if source.date else ''}"
            if source.url:
                text += nodes.reference("", said, refuri=source.url)
            else:
                text += nodes.emphasis("", said)
            items += nodes.list_item("", text, ids=[f"claim-{claim.id}"])
        box += items
        return [box]


class TwinCurves(Directive):
    """The loss curves of a chapter's two twins in one figure, drawn from their records."""

    required_arguments = 1

    def make(self) -> list[nodes.Node]:
        """Return the figure, or a line that says that nothing is measured yet."""
        exact = _exact(self, self.arguments[0])
        if exact is None:
            return [nodes.paragraph("", "Not measured yet.")]
        return [nodes.raw("", twin_curves(_curves(exact, "losses")), format="html")]


class TwinDifferences(Directive):
    """How far a chapter's twins are apart over their steps: two precisions, two rates."""

    required_arguments = 1

    def make(self) -> list[nodes.Node]:
        """Return the figure, or a line that says that nothing is measured yet."""
        exact = _exact(self, self.arguments[0])
        if exact is None:
            return [nodes.paragraph("", "Not measured yet.")]
        fields = {
            "float64, calm": "losses",
            "float32, calm": "losses_float32",
            "float64, fast": "losses_fast",
            "float32, fast": "losses_fast_float32",
        }
        curves = {name: _curves(exact, field) for name, field in fields.items()}
        pairs = {name: (c["pytorch"], c["tensorflow"]) for name, c in curves.items()}
        return [nodes.raw("", twin_differences(pairs), format="html")]


def _exact(directive: SphinxDirective, chapter: str) -> dict[str, dict[str, Any]] | None:
    """Return what both twins of a chapter have recorded, None while one has not."""
    found = {}
    for framework in FRAMEWORKS:
        file = Path(directive.env.srcdir, "evidence", "cpu", f"{chapter}.{framework}.json")
        directive.env.note_dependency(str(file))
        if not file.is_file():
            return None
        found[framework] = record.read(file)["exact"]
    return found


def _curves(exact: dict[str, dict[str, Any]], field: str) -> dict[str, list[float]]:
    """Return a field of both twins' records that a figure can draw: numbers, as many in both."""
    found: dict[str, Any] = {f: exact[f].get(field) for f in FRAMEWORKS}
    for framework, values in found.items():
        numbers = isinstance(values, list) and all(isinstance(v, int | float) for v in values)
        if not numbers or not values:
            raise record.RecordError(
                f"the record of {FRAMEWORKS[framework]} holds no list of numbers {field!r}, which "
                "a figure draws; `labkit run` writes it"
            )
    if len(set(map(len, found.values()))) > 1:
        raise record.RecordError(f"{field!r} has another length in each twin's record")
    return found


class TwinLadder(Directive):
    """A chapter's ladder, with the numbers that its records give."""

    required_arguments = 1

    def make(self) -> list[nodes.Node]:
        """Return a table, one row a rung."""
        root = Path(self.env.srcdir)
        for framework in FRAMEWORKS:
            path = root / "evidence" / "cpu" / f"{self.arguments[0]}.{framework}.json"
            self.env.note_dependency(str(path))
        lab = load(root / "chapters" / f"{self.arguments[0]}.md").lab
        steps = prove.of_chapter(root / "evidence", lab)
        rows = "".join(
            f"<tr><th scope='row'><strong>{escape(r.name)}</strong>: {escape(r.compares)}</th>"
            f"<td>{'✓ holds' if r.holds else '✗ breaks'}</td>"
            f"<td>{'–' if r.difference is None else f'{r.difference:.1e}'}</td>"
            f"<td>{escape(r.detail)}</td></tr>"
            for r in steps
        )
        table = (
            '<div class="twin-ladder" tabindex="0"><table class="table">'
            "<caption>The ladder of this chapter. "
            "Differences are parts of the size of what is compared; the bound is "
            f"{twins.BOUND:g}. Compute it again: <code>labkit prove {self.arguments[0]}</code>; "
            f"from your own runs: <code>labkit prove --mine {self.arguments[0]}</code>"
            "</caption><thead><tr><th scope='col'>Rung</th><th scope='col'>Verdict</th>"
            "<th scope='col'>Largest difference</th><th scope='col'>Compared</th></tr></thead>"
            f"<tbody>{rows}</tbody></table></div>"
        )
        return [nodes.raw("", table, format="html")]


class ClaimCard(Directive):
    """A claim after the step that settles it: what is said, by whom, and the verdict."""

    required_arguments = 1

    def make(self) -> list[nodes.Node]:
        """Return the card."""
        found = [c for c in _judged(self) if c[0].id == self.arguments[0]]
        if not found:
            raise ExtensionError(f"{self.get_location()}: no claim {self.arguments[0]!r}")
        claim, verdict = found[0]
        card = (
            f'<aside class="twin-claim" id="verdict-{claim.id}" aria-label="A claim and its '
            f'verdict"><p><strong>Claim.</strong> {escape(claim.says)} '
            f"<cite>{_said_by(claim.source)}</cite></p>"
            f"<p>{_badge(verdict)} {escape(verdict.shown)}. Run both notebooks yourself, then "
            f"<code>labkit prove --mine</code></p></aside>"
        )
        return [nodes.raw("", card, format="html")]


class Scoreboard(Directive):
    """All claims with their verdicts, to be filtered by topic and verdict."""

    def make(self) -> list[nodes.Node]:
        """Return counts, filters and the table."""
        judged = _judged(self)
        counts = {v: sum(w.name == v for _, w in judged) for v in claims.VERDICTS}
        open_ones = sum(n for v, n in counts.items() if v.startswith("open"))
        topics = list(dict.fromkeys(c.topic for c, _ in judged))
        rows = "".join(
            f'<tr id="claim-{c.id}" data-topic="{escape(c.topic)}" data-verdict="{escape(v.name)}">'
            f"<td>{escape(c.says)}<br><small>{_said_by(c.source)}</small></td>"
            f"<td>{escape(c.topic)}</td><td>{_badge(v)}<br><small>{escape(v.shown)}</small></td></tr>"
            for c, v in judged
        )
        board = (
            f'<div class="twin-scoreboard"><p><strong>{len(judged)}</strong> claims, '
            f"<strong>{open_ones}</strong> of them still open.</p><p class='twin-filters'>"
            f"{_select('topic', {t: sum(c.topic == t for c, _ in judged) for t in topics})} "
            f"{_select('verdict', {v: n for v, n in counts.items() if n})}</p>"
            '<p class="twin-count" aria-live="polite"></p>'
            "<table class='table'><thead><tr><th scope='col'>What is said, and by whom</th>"
            "<th scope='col'>Topic</th><th scope='col'>Verdict</th></tr></thead>"
            f"<tbody>{rows}</tbody></table></div>"
        )
        return [nodes.raw("", board, format="html")]


def _judged(directive: SphinxDirective) -> list[tuple[claims.Claim, claims.Verdict]]:
    """Judge all claims, and note what the page depends on by it."""
    evidence = Path(directive.env.srcdir) / "evidence"
    directive.env.note_dependency(str(evidence / "claims.yml"))
    found = claims.load(evidence / "claims.yml")
    for claim in found:
        for field in claim.rule.reads.values() if claim.rule else ():
            directive.env.note_dependency(str(claims.record_of(field, evidence)))
    return [(c, claims.judge(c, evidence)) for c in found]


def _badge(verdict: claims.Verdict) -> str:
    kind = verdict.name.split(":")[0].replace(" ", "-")
    return f'<span class="twin-verdict twin-{kind}">{escape(verdict.name)}</span>'


def _said_by(source: claims.Source) -> str:
    words = escape(", ".join(filter(None, (source.title, source.date))))
    return f'<a href="{escape(source.url)}">{words}</a>' if source.url else words


def _select(name: str, options: dict[str, int]) -> str:
    counted = {escape(option): count for option, count in options.items()}
    inside = "".join(f'<option value="{o}">{o} ({n})</option>' for o, n in counted.items())
    return (
        f'<label>{name.capitalize()} <select data-filter="{name}"><option value="">all</option>'
        f"{inside}</select></label>"
    )


# --- the page around it ---------------------------------------------------------------------------


def configure(app: Sphinx, config: Any) -> None:
    """Set what follows from the layout, so that `_config.yml` holds what a publisher decides."""
    root = str(app.srcdir)
    config.nb_custom_formats = {".md": ["labkit.press.sphinx.read", {"root": root}]}
    config.html_theme_options |= {
        "article_header_end": ["framework-switch", "article-header-buttons"],
        "navbar_persistent": [],
        "search_bar_text": "Search",
    }
    config.html_context.setdefault("default_mode", "auto")
    config.templates_path.append(str(HERE / "templates"))
    config.html_static_path.append(str(HERE / "static"))
    config.html_math_renderer = "mathml"


def lighten(app: Sphinx, page: str, template: str, context: Any, tree: Any) -> None:
    """Take out of a page the scripts that it has no use for."""
    useless = ("thebe", "mathjax", "require")
    context["script_files"] = [
        s for s in context["script_files"] if not any(u in str(s).lower() for u in useless)
    ]


def copy_notebooks(app: Sphinx, error: Exception | None) -> None:
    """Put the twins beside the pages, for downloading under their own addresses."""
    if error or app.builder.format != "html":
        return
    for file in Path(app.srcdir, "labs").rglob("*.ipynb"):
        if ".ipynb_checkpoints" in file.parts:
            continue
        target = Path(app.outdir, file.relative_to(app.srcdir))
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, target)


def drop_icon_script(app: Sphinx, error: Exception | None) -> None:
    """Take a script of 1.4 MB out of every page: the theme's icons come as a font, too."""
    if error or app.builder.format != "html":
        return
    script = re.compile(r"<script[^>]*fontawesome\.js[^>]*></script>\s*")
    for page in Path(app.outdir).rglob("*.html"):
        text = page.read_text(encoding="utf-8")
        if "fontawesome.js" in text:
            page.write_text(script.sub("", text), encoding="utf-8")


def _mathml(node: nodes.Element, *, block: bool) -> str:
    """Return a formula as MathML; what docutils cannot say is a warning, which fails the build."""
    try:
        return str(tex2mathml(node.astext(), as_block=block))
    except MathError as error:
        logger.warning("math %r: %s", node.astext(), error, location=node)
        return f"<code>{escape(node.astext())}</code>"


def _inline_math(translator: Any, node: nodes.math) -> None:
    translator.body.append(_mathml(node, block=False))
    raise nodes.SkipNode


def _block_math(translator: Any, node: nodes.math_block) -> None:
    formula = _mathml(node, block=True)
    translator.body.append(f'<div class="math notranslate">{formula}</div>')
    raise nodes.SkipNode


def setup(app: Sphinx) -> dict[str, Any]:
    """Register everything with Sphinx."""
    app.add_directive("twin-prose", TwinProse)
    app.add_directive("twin-bar", TwinBar)
    app.add_directive("twin-curves", TwinCurves)
    app.add_directive("twin-differences", TwinDifferences)
    app.add_directive("twin-ladder", TwinLadder)
    app.add_directive("claim", ClaimCard)
    app.add_directive("scoreboard", Scoreboard)
    app.add_transform(TwinTabs)
    # MathML is in all browsers since 2023: no script, and no request for one.
    app.add_html_math_renderer("mathml", (_inline_math, None), (_block_math, None))
    app.add_css_file("twins.css")
    app.add_js_file("twins.js")
    app.connect("config-inited", configure)
    app.connect("html-page-context", lighten, priority=900)
    app.connect("build-finished", copy_notebooks)
    app.connect("build-finished", drop_icon_script)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
