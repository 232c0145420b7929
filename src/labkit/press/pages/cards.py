"""The book's directives: launch bar, ladder, claims, scoreboard and figures from records."""

from collections import Counter
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from docutils import nodes
from sphinx.errors import ExtensionError
from sphinx.util.docutils import SphinxDirective

from labkit import record, twins
from labkit.press import budget, claims, pages, prose, prove, third
from labkit.press.chapter import FRAMEWORKS
from labkit.press.claims import Claim, Verdict
from labkit.press.course import Course
from labkit.press.fields import NAME
from labkit.press.pages.figures import twin_curves, twin_differences
from labkit.press.pages.html import render
from labkit.press.source import SourceError, did_you_mean
from labkit.press.weave import notebook_path


class Card(SphinxDirective):
    """A directive that shows what authors wrote and labs recorded.

    What is wrong there is one message, and ends the build.
    """

    required_arguments = 1

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

    @cached_property
    def course(self) -> Course:
        """The course of this build."""
        return pages.course(str(self.env.srcdir))

    def depends_on(self, *files: Path) -> None:
        """Have the page made anew when one of some files changes, comes or goes.

        While one is missing, each build makes the page anew.
        """
        for file in files:
            self.env.note_dependency(str(file))


class TwinBar(Card):
    """Where to open a chapter's twins, what they take, and the claims they put to the test."""

    def make(self) -> list[nodes.Node]:
        """Return the bar and the list of claims."""
        chapter = self.course.chapter(self.arguments[0])
        lab, config = chapter.lab, self.course.root / "_config.yml"
        self.depends_on(config, self.course.claims_file, *chapter.text.paths)
        rows = [self._row(framework, title) for framework, title in FRAMEWORKS.items()]
        minutes, asked = budget.minutes(chapter), bool(chapter.predictions)
        bar = render("bar", twins=rows, lab=lab, minutes=minutes, predictions=asked)
        return [raw(bar), *self._claims(lab.claims)]

    def _row(self, framework: str, title: str) -> dict[str, Any]:
        """Return what the bar says of one twin."""
        name, site = self.arguments[0], self.course.site
        path = notebook_path(self.course.root, name, framework)
        self.depends_on(path)
        notebook = pages.notebook(self.course.root, name, framework)
        machine = notebook.metadata.labkit.get("machine", {}) if notebook else {}
        package = "torch" if framework == "pytorch" else "keras"
        relative = f"labs/{name}/{path.name}"
        return {
            "framework": framework,
            "title": title,
            "links": {
                "Colab": site.colab(relative),
                "Binder": site.binder(relative),
                "JupyterHub": site.jupyterhub(relative),
            },
            "address": "../" * self.env.docname.count("/") + relative,
            "file": f"{name}-{framework}.ipynb",
            "versions": [
                f"{p.removesuffix('-cpu')} {v}"
                for p, v in machine.get("versions", {}).items()
                if p in ("python", package) or (package == "keras" and p.startswith("tensorflow"))
            ],
            "device": machine.get("device"),
        }

    def _claims(self, topics: tuple[str, ...]) -> list[nodes.Node]:
        """Return the claims of some topics as a list, made of nodes: their addresses are links."""
        put = self.course.claims_on(topics)
        if not put:
            return []
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
        count = f"{len(put)} claim{'' if len(put) == 1 else 's'}"
        begin = f'<details class="twin-claims"><summary>Put to the test here: {count}</summary>'
        return [raw(begin), items, raw("</details>")]


class TwinLadder(Card):
    """A chapter's ladder, with the numbers that its records give."""

    def make(self) -> list[nodes.Node]:
        """Return one line where all rungs hold, which opens to a table, one row a rung."""
        chapter, records = self.course.chapter(self.arguments[0]), self.course.records
        shown_by = (*FRAMEWORKS, third.NAME) if chapter.lab.third else FRAMEWORKS
        self.depends_on(*(records.path(chapter.name, f) for f in shown_by))
        rungs = prove.of_chapter(records, chapter.lab)
        shown = [(rung, _part(rung.difference)) for rung in rungs]
        broken = [rung for rung in rungs if not rung.holds]
        gaps = [rung.difference for rung in rungs if rung.difference is not None]
        values = {"rungs": shown, "broken": broken, "largest": max(gaps, default=0.0)}
        return [raw(render("ladder", chapter=chapter.name, bound=twins.BOUND, **values))]


def _part(gap: float | None) -> float | None:
    """Return how far a difference reaches towards the bound, from 0 to 1, by its logarithm."""
    if gap is None:
        return None
    least = np.log10(np.finfo(float).eps) - 2
    part = (np.log10(max(gap, 10**least)) - least) / (np.log10(twins.BOUND) - least)
    return float(np.clip(part, 0, 1))


class ClaimCard(Card):
    """A claim after the step that settles it: what is said, by whom, and the verdict."""

    def make(self) -> list[nodes.Node]:
        """Return the card."""
        name, put = self.arguments[0], self.course.claims
        if name not in put:
            hint = did_you_mean(name, put)
            raise ExtensionError(f"{self.get_location()}: no claim {name!r}; {hint}")
        self.depends_on(*self.course.behind(put[name]))
        verdict = self.course.verdict(put[name])
        return [raw(render("claim", claim=put[name], verdict=verdict))]


class Scoreboard(Card):
    """All claims with their verdicts, to be filtered by topic and verdict."""

    required_arguments = 0

    def make(self) -> list[nodes.Node]:
        """Return counts, filters and the table."""
        judged: list[tuple[Claim, Verdict]] = []
        for claim in self.course.claims.values():
            self.depends_on(*self.course.behind(claim))
            judged.append((claim, self.course.verdict(claim)))
        found = Counter(verdict.name for _, verdict in judged)
        board = render(
            "scoreboard",
            judged=judged,
            unsettled=sum(count for name, count in found.items() if name.startswith("open")),
            topics=Counter(claim.topic for claim, _ in judged),
            verdicts={name: found[name] for name in claims.VERDICTS if found[name]},
        )
        return [raw(board)]


class FromRecords(Card):
    """A figure drawn from both twins' records of a chapter."""

    def make(self) -> list[nodes.Node]:
        """Return the figure, or a line that says that nothing is measured yet."""
        exact = self._exact()
        if exact is None:
            return [nodes.paragraph("", "Not measured yet.")]
        return [raw(self.draw(exact))]

    def draw(self, exact: dict[str, dict[str, Any]]) -> str:
        """Return the figure as HTML, made of the exact part of each twin's record."""
        raise NotImplementedError

    def _exact(self) -> dict[str, dict[str, Any]] | None:
        """Return what both twins of a chapter have recorded, None while one has not."""
        records, found = self.course.records, {}
        paths = {f: records.path(self.arguments[0], f) for f in FRAMEWORKS}
        self.depends_on(*paths.values())
        for framework, path in paths.items():
            content = records.read(path)
            if content is None:
                return None
            found[framework] = content["exact"]
        return found


class TwinCurves(FromRecords):
    """The loss curves of a chapter's two twins in one figure, drawn from their records."""

    def draw(self, exact: dict[str, dict[str, Any]]) -> str:
        """Return the figure."""
        return twin_curves(_curves(exact, "losses"))


class TwinDifferences(FromRecords):
    """How far a chapter's twins are apart over their steps, in the curves that its body names."""

    has_content = True

    def draw(self, exact: dict[str, dict[str, Any]]) -> str:
        """Return the figure."""
        file, line = self.get_source_info()
        fields = prose.series(list(self.content), Path(file), line + 1)
        curves = {words: _curves(exact, field) for words, field in fields.items()}
        return twin_differences({n: (c["pytorch"], c["tensorflow"]) for n, c in curves.items()})


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


def raw(html: str) -> nodes.Node:
    """Return a node that is HTML as it stands."""
    return nodes.raw("", html, format="html")
