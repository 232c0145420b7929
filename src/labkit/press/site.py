"""Where the course lives: every address is made of the one in `_config.yml`."""

import re
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from urllib.parse import quote, urlencode

from labkit.press import fields, markdown
from labkit.press.fields import WEB, Fields
from labkit.press.source import SourceError, did_you_mean, read_text


@dataclass(frozen=True)
class Site:
    """The course's repository and the addresses that follow from it."""

    root: Path
    """The folder of `_config.yml`."""
    repository: str
    """Such as ``https://github.com/owner/name``."""
    branch: str
    hub: str | None = None
    """A JupyterHub with nbgitpuller, None where there is none."""

    @classmethod
    def read(cls, root: Path) -> "Site":
        """Read the addresses from ``root/_config.yml``."""
        path = root / "_config.yml"
        if not path.is_file():
            raise SourceError(path, None, "is missing: run the command in the course's own folder")
        config = Fields(fields.parse(read_text(path), path, "it"), path, "")
        repository = config.part("repository")
        url = repository.text("url").rstrip("/").removesuffix(".git")
        if not re.fullmatch(r"(https://github\.com|file://[^\s\"'<>]*)/[\w.-]+/[\w.-]+", url):
            message = f"`url` is {url}; it must be https://github.com/owner/name"
            raise repository.error(message, "url")
        branch = repository.text("branch")
        if not re.fullmatch(r"[\w./-]+", branch):
            raise repository.error(f"`branch` is {branch!r}; it must be a branch's name", "branch")
        buttons = config.part("launch_buttons")
        hub = buttons.content.get("jupyterhub_url") or ""
        if hub and not WEB.fullmatch(str(hub)):
            message = f"`jupyterhub_url` is {hub!r}; it must be an address, https://…"
            raise buttons.error(message, "jupyterhub_url")
        return cls(root, url, branch, str(hub).rstrip("/") or None)

    @property
    def owner_name(self) -> str:
        """``owner/name`` of the repository on GitHub."""
        return "/".join(self.repository.rsplit("/", 2)[1:])

    @property
    def pages(self) -> str:
        """Where GitHub Pages shows the book."""
        owner, name = self.owner_name.split("/")
        return f"https://{owner.lower()}.github.io/{name}"

    @cached_property
    def version(self) -> str:
        """The version of labkit, from `pyproject.toml`."""
        project = tomllib.loads((self.root / "pyproject.toml").read_text(encoding="utf-8"))
        return project["project"]["version"]

    @property
    def revision(self) -> str:
        """What a notebook installs: a release by its tag, a development version from the branch."""
        return self.branch if "dev" in self.version else f"v{self.version}"

    @property
    def requirement(self) -> str:
        """What pip is told to install labkit."""
        return f"git+{self.repository}@{self.revision}"

    def page(self, doc: str, anchor: str = "") -> str:
        """Address of a page of the book; `doc` as in `_toc.yml`."""
        return f"{self.pages}/{doc}.html" + (f"#{anchor}" if anchor else "")

    def raw(self, path: str) -> str:
        """Address of a file's own bytes."""
        return f"{self.repository}/raw/{self.revision}/{path}"

    def colab(self, notebook: str) -> str:
        """Address that opens a notebook in Colab."""
        base = "https://colab.research.google.com/github"
        return f"{base}/{self.owner_name}/blob/{self.revision}/{notebook}"

    def binder(self, notebook: str) -> str:
        """Address that opens a notebook in Binder."""
        base = "https://mybinder.org/v2/gh"
        return f"{base}/{self.owner_name}/{self.revision}?urlpath={quote(f'lab/tree/{notebook}')}"

    def jupyterhub(self, notebook: str) -> str:
        """Address that opens a notebook in the hub of `_config.yml`.

        Without one, the address of nbgitpuller's form, filled in, where a reader names a hub.
        """
        name = self.owner_name.split("/")[1]
        path = f"lab/tree/{name}/{notebook}"
        if self.hub:
            query = {"repo": self.repository, "branch": self.revision, "urlpath": path}
            return f"{self.hub}/hub/user-redirect/git-pull?{urlencode(query)}"
        query = {
            "repo": self.repository,
            "branch": self.revision,
            "app": "jupyterlab",
            "filepath": notebook,
        }
        return f"https://nbgitpuller.readthedocs.io/en/latest/link.html?{urlencode(query)}"

    # --- what prose may point to ---------------------------------------------------------------

    @cached_property
    def titles(self) -> dict[str, str]:
        """Title of each page, by its path without suffix."""
        found = {}
        for file, text in self._texts():
            titles = [title for _, depth, title in markdown.headings(text) if depth == 1]
            if titles:
                found[f"chapters/{file.stem}"] = titles[0]
        return found

    @cached_property
    def labels(self) -> dict[str, tuple[str, str]]:
        """Page and title of each ``(label)=`` that stands before a heading."""
        found: dict[str, tuple[str, str]] = {}
        for file, text in self._texts():
            titles = {line: title for line, _, title in markdown.headings(text)}
            for line, label in markdown.labels(text):
                if label in found:
                    message = f"duplicate label {label!r}, also in {found[label][0]}.md"
                    raise SourceError(file, line + 1, message)
                page = file.name.partition(".")[0]  # the exercises' is their chapter's
                found[label] = (f"chapters/{page}", titles.get(line + 1, label))
        return found

    def _texts(self) -> Iterator[tuple[Path, str]]:
        """Yield the pages' files and texts, with blank lines for front matter."""
        for file in sorted((self.root / "chapters").glob("*.md")):
            text = read_text(file)
            matter, _, body = (
                text.partition("\n---\n") if text.startswith("---") else ("", "", text)
            )
            yield file, "\n" * (matter.count("\n") + 2 if matter else 0) + body

    @cached_property
    def terms(self) -> dict[str, str]:
        """Each term of the glossary, in lower case, to its anchor."""
        file = self.root / "chapters" / "glossary.md"
        if not file.is_file():
            return {}
        blocks = markdown.blocks(read_text(file))
        lists = [b.content for b in blocks if (markdown.directive(b) or ("",))[0] == "glossary"]
        names = [
            line.strip()
            for content in lists
            for line in content.splitlines()
            if line and not line[0].isspace() and line[0] != ":"
        ]
        return {n.lower(): f"term-{re.sub(r'[^A-Za-z0-9]+', '-', n)}" for n in names}

    @cached_property
    def sources(self) -> dict[str, tuple[str, str]]:
        """Each key of ``references.bib`` to its short form, "Authors, year", and address."""
        from pybtex.database import parse_string
        from pybtex.exceptions import PybtexError

        file = self.root / "references.bib"
        if not file.is_file():
            return {}
        try:
            entries = parse_string(read_text(file), "bibtex").entries
        except PybtexError as error:
            raise SourceError(file, None, f"cannot be read: {error}") from error
        found = {}
        for key, entry in entries.items():
            names = [" ".join(p.last_names).strip("{}") for p in entry.persons.get("author", [])]
            who = names[0] if names else str(entry.fields.get("title", key))
            who += f" and {names[1]}" if len(names) == 2 else " et al." if len(names) > 2 else ""
            doi, url = entry.fields.get("doi"), entry.fields.get("url")
            address = (
                f"https://doi.org/{quote(doi)}" if doi else url or self.page("chapters/references")
            )
            if not WEB.fullmatch(address):
                message = f"{key}: {address!r} is no address, https://… without blanks and brackets"
                raise SourceError(file, None, message)
            found[key] = (f"{who}, {entry.fields.get('year', 'n.d.')}", address)
        return found

    def lookup(self, kind: str, name: str) -> tuple[str, str]:
        """Return text and address of what a role points to.

        Raises
        ------
        KeyError
            With a hint, when there is no such page, label, term or source.
        """
        tables = {
            "doc": self.titles,
            "ref": self.labels,
            "term": self.terms,
            "cite": self.sources,
        }
        table: dict[str, object] = {**tables[kind]}  # type: ignore[dict-item]
        if name not in table:
            hint = did_you_mean(name, table) if table else "there is none yet"
            raise KeyError(f"no {kind} {name!r}; {hint}")
        if kind == "doc":
            return self.titles[name], self.page(name)
        if kind == "ref":
            doc, title = self.labels[name]
            return title, self.page(doc, name.lower().replace("_", "-"))
        if kind == "term":
            return name, self.page("chapters/glossary", self.terms[name])
        return self.sources[name]
