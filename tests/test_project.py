"""What the files at the root promise to each other."""

import ast
import re
import subprocess
import sys
import tomllib

import yaml
from conftest import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def tracked(pattern="*"):
    listed = subprocess.run(
        ["git", "ls-files", pattern], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return [ROOT / name for name in listed.stdout.split()]


def test_the_conda_environment_says_what_pyproject_says():
    environment = yaml.safe_load((ROOT / "environment.yml").read_text())
    *conda, pip = environment["dependencies"]
    python = next(d for d in conda if d.startswith("python "))
    assert set(python.removeprefix("python ").split(",")) == set(
        PROJECT["requires-python"].split(",")
    )
    (own,) = [line for line in pip["pip"] if line.startswith("-e ")]
    extras = re.fullmatch(r"-e \.\[([\w,]+)\]", own)[1].split(",")
    assert set(extras) <= set(PROJECT["optional-dependencies"])
    # No other line bounds a version: the bounds have one home.
    assert not [d for d in conda if re.search(r"[<>=]", d) and d != python]


def test_versions_are_bounded_in_pyproject_alone():
    # A version has a dot; rules in claims.yml compare numbers that have none.
    packages = "torch|tensorflow(-cpu)?|keras|numpy|jupyter-book"
    bound = re.compile(rf"(?<![a-z])({packages})\s*[<>=~]=?\s*\d+\.\d")
    for path in tracked():
        if path.name == "pyproject.toml" or "tests" in path.parts or path.suffix == ".ipynb":
            continue
        if path.suffix in (".py", ".md", ".yml", ".yaml", "") and path.is_file():
            assert not bound.search(path.read_text()), path


def test_versions_are_bounded_and_not_pinned():
    extras = PROJECT["optional-dependencies"]
    for requirement in [*PROJECT["dependencies"], *(r for e in extras.values() for r in e)]:
        assert "==" not in requirement.split(";")[0]


def test_the_core_pulls_no_framework_and_no_book():
    heavy = ("torch", "tensorflow", "keras", "jupyter", "sphinx", "nbclient")
    assert not [d for d in PROJECT["dependencies"] if d.startswith(heavy)]


def test_the_versions_stand_together():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    config = yaml.safe_load((ROOT / "_config.yml").read_text())
    assert citation["version"] == PROJECT["version"]
    assert citation["repository-code"] == config["repository"]["url"]


def imports(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module or ""


def test_the_wings_do_not_mix():
    wing = ROOT / "src" / "labkit"
    for path in wing.glob("*.py"):
        if path.name != "cli.py":  # the command line serves both
            assert not [m for m in imports(path) if m.startswith("labkit.press")], path
    for path in (wing / "press").glob("*.py"):
        frameworks = ("torch", "tensorflow", "keras")
        assert not [m for m in imports(path) if m.split(".")[0] in frameworks], path


def test_actions_are_pinned_by_hash():
    files = list((ROOT / ".github" / "workflows").glob("*.yml"))
    assert len(files) >= 3
    for file in files:
        text = file.read_text()
        yaml.safe_load(text)
        for action in re.findall(r"uses: (\S+)", text):
            assert re.fullmatch(r"[\w./-]+@[0-9a-f]{40}", action), f"{file.name}: {action}"


def test_the_workflows_run_the_makes_own_targets():
    targets = set(re.findall(r"^([\w./-]+):", (ROOT / "Makefile").read_text(), re.M))
    for file in (ROOT / ".github" / "workflows").glob("*.yml"):
        assert set(re.findall(r"run: make ([\w./-]+)", file.read_text())) <= targets


def test_the_parts_of_the_tests_are_all_tests():
    """`make test` runs at once what CI runs in parts; each notebook's part is found by its name."""
    from labkit.press import chapter

    chapters = [p.stem for p in chapter.chapters(ROOT)]
    jobs = yaml.safe_load((ROOT / ".github" / "workflows" / "test.yml").read_text())["jobs"]
    assert jobs["notebooks"]["strategy"]["matrix"]["chapter"] == chapters
    makefile = (ROOT / "Makefile").read_text()
    recipes = {
        "test": '-m "not slow"',
        "unit": '-m "not slow and not notebook" --ignore tests/test_book.py',
        "notebooks": '-m "notebook and not slow" -k "$(CHAPTER)"',
        "browser": "tests/test_book.py",
    }
    for part, options in recipes.items():
        assert re.search(rf"^{part}:.*\n\t\$\(BIN\)/pytest (.*)$", makefile, re.M)[1] == options
    assert not re.search(r"mark\.(slow|notebook)", (ROOT / "tests" / "test_book.py").read_text())
    assert recipes.keys() - {"test"} | {"static"} <= jobs.keys()
    listed = subprocess.run(
        [sys.executable, "-m", "pytest", "--collect-only", "-q", "-m", "notebook and not slow"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    names = [line.split("[")[-1] for line in listed.stdout.splitlines() if "::" in line]
    assert len(names) > len(chapters)
    for name in names:
        assert sum(c in name for c in chapters) == 1, name


def test_the_claims_have_sources():
    from labkit.press import claims

    found = claims.load(ROOT / "evidence" / "claims.yml")
    assert len(found) > 40
    assert all(c.says and c.source.title for c in found)


def test_bad_claims_are_named(tmp_path):
    import pytest

    from labkit.press import claims
    from labkit.press.source import SourceError

    path = tmp_path / "claims.yml"
    good = (ROOT / "evidence" / "claims.yml").read_text()
    for text, words in (
        (good.replace("by: viso\n", "by: vizo\n", 1), "no source 'vizo'; did you mean 'viso'"),
        (good.replace("id: accuracy-equal", "id: results-differ"), "'results-differ' stands twice"),
        ("claims: [", "cannot be read as YAML"),
        ("sources: {}\n", "has not the known form"),
    ):
        path.write_text(text)
        with pytest.raises(SourceError, match=words):
            claims.load(path)
    path.write_text(good)
    with pytest.raises(SourceError, match="no topic 'grahps'; did you mean 'graphs'"):
        claims.of_topics(path, ("grahps",))
