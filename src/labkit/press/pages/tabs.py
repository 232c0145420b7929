"""Steps as tabs: what belongs to one framework is shown for that framework."""

from html import escape

from docutils import nodes
from sphinx.transforms import SphinxTransform
from sphinx.util.docutils import SphinxDirective
from sphinx_design.shared import create_component

from labkit.press.chapter import FRAMEWORKS


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
                children=_in_rows([n for n in group if _twin(n) == framework]),
            )
            tabs += create_component("tab-item", classes=["sd-tab-item"], children=[label, content])
        _anchor(frame, step)


def _in_rows(tab: list[nodes.Element]) -> list[nodes.Element]:
    """Return what a tab holds as prose above, code and prose below, the prose in one box each.

    Side by side, both tabs' parts share rows, and a second box would lie over the first.
    """
    places = [n for n, node in enumerate(tab) if _is_code(node)] or [-1]
    begin, end = max(places[0], 0), places[-1] + 1
    above = nodes.container("", *tab[:begin], classes=["twin-words", "twin-above"])
    below = nodes.container("", *tab[end:], classes=["twin-words"])
    return [*([above] if begin else []), *tab[begin:end], *([below] if tab[end:] else [])]


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


class TwinProse(SphinxDirective):
    """Prose for one twin. The reader writes this directive; authors tag a cell of Markdown."""

    required_arguments = 1
    has_content = True

    def run(self) -> list[nodes.Node]:
        """Parse the prose into a container that `TwinTabs` puts into its framework's tab."""
        box = nodes.container(classes=["twin-prose"], twin_prose=self.arguments[0])
        self.state.nested_parse(self.content, self.content_offset, box)
        return [box]
