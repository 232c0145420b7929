"""Where the course lives: every address is made of the one in `_config.yml`."""

import re
import tomllib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from urllib.parse import quote, urlencode

import yaml

from labkit.press.chapter import headings
from labkit.press.source import SourceError, did_you_mean


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
        try:
            config = yaml.safe_load(path.read_text(encoding="utf-8"))
            repository = config["repository"]
            url = str(repository["url"]).rstrip("/").removesuffix(".git")
            branch = str(repository["branch"])
        except FileNotFoundError as error:
            raise SourceError(
                path, None, "is missing: run the command in the course's own folder"
            ) from error
        except (yaml.YAMLError, KeyError, TypeError) as error:
            raise SourceError(
                path, None, f"must give repository.url and repository.branch ({error})"
            ) from error
        if not re.fullmatch(r"(https://github\.com|file://.*)/[\w.-]+/[\w.-]+", url):
            raise SourceError(path, None, f"repository.url is {url}; https://github.com/owner/name")
        hub = str((config.get("launch_buttons") or {}).get("jupyterhub_url") or "").rstrip("/")
        return cls(root, url, branch, hub or None)

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
        for file in sorted((self.root / "chapters").glob("*.md")):
            text = file.read_text(encoding="utf-8")
            body = text.split("\n---\n", 1)[-1] if text.startswith("---") else text
            titles = [title for _, depth, title in headings(body) if depth == 1]
            if titles:
                found[f"chapters/{file.stem}"] = titles[0]
        return found

    @cached_property
    def labels(self) -> dict[str, tuple[str, str]]:
        """Page and title of each ``(label)=`` that stands before a heading."""
        found: dict[str, tuple[str, str]] = {}
        for file in sorted((self.root / "chapters").glob("*.md")):
            lines = file.read_text(encoding="utf-8").splitlines()
            for number, line in enumerate(lines[:-1]):
                if label := re.fullmatch(r"\(([\w-]+)\)=", line.strip()):
                    if label[1] in found:
                        message = f"duplicate label {label[1]!r}, also in {found[label[1]][0]}.md"
                        raise SourceError(file, number + 1, message)
                    title = re.sub(r"^#+ ", "", lines[number + 1])
                    found[label[1]] = (f"chapters/{file.stem}", title)
        return found

    @cached_property
    def terms(self) -> dict[str, str]:
        """Each term of the glossary, in lower case, to its anchor."""
        file = self.root / "chapters" / "glossary.md"
        if not file.is_file():
            return {}
        inside, found = False, {}
        for line in file.read_text(encoding="utf-8").splitlines():
            if line.startswith(("```", ":::")):
                inside = "{glossary}" in line
            elif inside and line and not line[0].isspace() and line[0] != ":":
                found[line.strip().lower()] = f"term-{re.sub(r'[^A-Za-z0-9]+', '-', line.strip())}"
        return found

    @cached_property
    def sources(self) -> dict[str, tuple[str, str]]:
        """Each key of ``references.bib`` to its short form, "Authors, year", and address."""
        from pybtex.database import parse_file

        file = self.root / "references.bib"
        if not file.is_file():
            return {}
        found = {}
        for key, entry in parse_file(str(file)).entries.items():
            names = [" ".join(p.last_names).strip("{}") for p in entry.persons.get("author", [])]
            who = names[0] if names else str(entry.fields.get("title", key))
            who += f" and {names[1]}" if len(names) == 2 else " et al." if len(names) > 2 else ""
            doi, url = entry.fields.get("doi"), entry.fields.get("url")
            address = f"https://doi.org/{doi}" if doi else url or self.page("chapters/references")
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
