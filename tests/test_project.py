"""What the files at the root promise to each other."""

import ast
import re
import subprocess
import sys
import tomllib
from importlib.metadata import packages_distributions

import yaml
from conftest import ROOT, by_itself
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

from labkit.press import chapter

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
EXTRAS = PROJECT["optional-dependencies"]
FRAMEWORKS = {"keras", "lightning", "tensorflow", "torch"}


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
    # Compared whole: what a reader gets who builds the book, and nothing bounded here.
    assert set(conda) == {python, "pip", "git", "graphviz"}
    assert set(pip) == {"pip"}
    *flags, own = pip["pip"]
    assert own == "-e .[cpu,tools,book]"
    assert flags == ["--extra-index-url https://download.pytorch.org/whl/cpu"]
    assert environment["channels"] == ["conda-forge"]


def test_the_makefile_installs_extras_that_there_are():
    installed = re.findall(r"-e '\.\[([^\]]+)\]'", (ROOT / "Makefile").read_text())
    assert installed == ["$(FRAMEWORKS),tools,book", "$(FRAMEWORKS),tools,book,dev"]
    assert {"cpu", "gpu", "book", "dev"} <= EXTRAS.keys()


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


def imports(path, code=None):
    for node in ast.walk(ast.parse(code or path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level:
            yield node.module or ""


def distributions(modules):
    """Return the packages that bring these modules, but for Python's own and the course's."""
    given = packages_distributions()
    tests = (ROOT / "tests").iterdir()
    own = {"labkit", *(p.stem for p in tests if p.is_dir() or p.suffix == ".py")}
    tops = {m.split(".")[0] for m in modules} - set(sys.stdlib_module_names) - own
    # tensorflow-cpu brings the module, too; both are bounded under the one name.
    return {
        # Where two packages bring a module (mlflow and mlflow-skinny), the one of its name.
        canonicalize_name(top if top in given[top] else given[top][0]).removesuffix("-cpu")
        if top in given
        else top
        for top in tops
    }


def declared(*extras):
    requirements = [*PROJECT["dependencies"], *(r for e in extras for r in EXTRAS[e])]
    return {canonicalize_name(Requirement(r).name).removesuffix("-cpu") for r in requirements}


def test_what_is_imported_is_declared():
    """In the extra of those who need it, rather than brought along by something else."""
    wing = ROOT / "src" / "labkit"
    core = {m for p in wing.glob("*.py") for m in imports(p)}
    press = {m for p in (wing / "press").rglob("*.py") for m in imports(p)}
    tests = {m for p in (ROOT / "tests").glob("*.py") for m in imports(p)}
    labs = {
        module
        for path in chapter.chapters(ROOT)
        for cell in chapter.load(path).cells
        if cell.kind == "code"
        for module in imports(path, cell.source)
    }
    assert distributions(core) - FRAMEWORKS <= declared()
    assert distributions(labs) <= declared("cpu", "tools", "book")
    assert distributions(press) <= declared("book")
    assert distributions(tests) <= declared("cpu", "tools", "book", "dev")


# Packages that are declared and never imported by name, with the reason.
UNSEEN = {
    "ipykernel": "the kernel that runs the notebooks",
    "jupyter-book": "builds the book, as a command",
    "jupyterlab": "`make lab` opens it",
    "mypy": "a command of `make test`",
    "pytest-timeout": "the setting `timeout`",
    "ruff": "a command of `make test`",
    "xprof": "TensorBoard loads it for its tab of profiles",
    "sphinx-multitoc-numbering": "Jupyter Book loads it",
    "tqdm": "pooch shows its downloads with it",
    "types-pyyaml": "mypy reads it",
}


def test_what_is_declared_is_used():
    """So a package taken out of pyproject is missed, and one that nobody needs is seen."""
    places = [*(ROOT / "src" / "labkit").rglob("*.py"), *(ROOT / "tests").glob("*.py")]
    cells = [(p, c) for p in chapter.chapters(ROOT) for c in chapter.load(p).cells]
    labs = {m for p, c in cells if c.kind == "code" for m in imports(p, c.source)}
    used = distributions({m for p in places for m in imports(p)} | labs)
    # nbval is a plugin of pytest.
    everything = declared("cpu", "tools", "book", "dev")
    assert everything - used == UNSEEN.keys()


def test_each_set_of_frameworks_is_whole():
    named = {name: {Requirement(r).name for r in EXTRAS[name]} for name in ("cpu", "gpu", "oldest")}
    assert named["cpu"] == FRAMEWORKS | {"tensorflow-cpu"}
    assert named["gpu"] == FRAMEWORKS
    assert named["oldest"] == FRAMEWORKS - {"lightning"}
    bounds = {
        name: {Requirement(r).name.removesuffix("-cpu"): str(Requirement(r).specifier) for r in rs}
        for name, rs in EXTRAS.items()
    }
    assert bounds["cpu"] == bounds["gpu"]
    for name, oldest in bounds["oldest"].items():
        newest = bounds["cpu"][name].split(">=")[1].split(",")[0]
        assert newest in SpecifierSet(oldest), f"{name}: the course is made with what a lab refuses"


def test_the_frameworks_are_held_within_one_release():
    """The course states facts about one release of each, and moves on to the next on purpose."""
    for name in ("torch", "tensorflow-cpu", "tensorflow"):
        (given,) = {
            str(Requirement(r).specifier) for r in EXTRAS["cpu"] if Requirement(r).name == name
        }
        low, high = (re.search(rf"{sign}(\d+)\.(\d+)", given) for sign in (">=", "<"))
        assert (int(high[1]), int(high[2])) == (int(low[1]), int(low[2]) + 1), f"{name}{given}"


def commands(target):
    """Return the lines that a target of the Makefile runs, its prerequisites' first."""
    text = (ROOT / "Makefile").read_text()
    found = re.search(rf"^{re.escape(target)}:([^#\n]*).*\n((?:\t.*\n)*)", text, re.M)
    if found is None or target.startswith("."):
        return []
    before = [line for name in found[1].split() for line in commands(name)]
    own = [line.strip().removeprefix("@").removeprefix("$(BIN)/") for line in found[2].splitlines()]
    again = [c for line in own if line.startswith("$(MAKE) ") for c in commands(line.split()[1])]
    return [*before, *own, *again]


def test_make_test_leaves_nothing_out():
    static = {"ruff check", "ruff format --check", "mypy", "labkit check", "labkit prove"}
    run = commands("test")
    assert static <= set(run)
    assert 'pytest $(SIDE_BY_SIDE) -m "not slow"' in run
    slow = commands("test-all")
    assert static <= set(slow)
    assert any(line.startswith("pytest -m slow") for line in slow)
    workflow = (ROOT / ".github" / "workflows" / "test.yml").read_text()
    targets = re.findall(r"make ([a-z-]+)", workflow)
    assert static <= {line for target in targets for line in commands(target)}


def test_the_wings_do_not_mix():
    wing = ROOT / "src" / "labkit"
    for path in wing.glob("*.py"):
        found = [m for m in imports(path) if m.startswith("labkit.press")]
        door = ["labkit.press"] if path.name == "cli.py" else []  # the one command serves both
        assert found == door, path
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
        "test": '$(SIDE_BY_SIDE) -m "not slow"',
        "unit": '$(SIDE_BY_SIDE) -m "not slow and not notebook" --ignore tests/test_book.py '
        "--ignore tests/test_third_twin.py",
        "notebooks": '$(SIDE_BY_SIDE) -m "notebook and not slow" -k "$(CHAPTER)"',
        "browser": "tests/test_book.py tests/test_third_twin.py",
    }
    for part, options in recipes.items():
        assert re.search(rf"^{part}:.*\n\t\$\(BIN\)/pytest (.*)$", makefile, re.M)[1] == options
    for file in recipes["browser"].split():
        assert not re.search(r"mark\.(slow|notebook)", (ROOT / file).read_text())
    assert recipes.keys() - {"test"} | {"static"} <= jobs.keys()
    marked = [p for p in (ROOT / "tests").glob("test_*.py") if "mark.notebook" in p.read_text()]
    collect = [sys.executable, "-m", "pytest", "--collect-only", "-q", "-m"]
    listed = subprocess.run(
        [*collect, "notebook and not slow", *marked],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    lines = [line for line in listed.stdout.splitlines() if "::" in line]
    assert sum(map(by_itself, lines)) == 2 * len(chapters)
    names = [line.split("[")[-1] for line in lines]
    assert len(names) > 2 * len(chapters)
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
    from labkit.press.course import Course
    from labkit.press.source import SourceError

    path = tmp_path / "claims.yml"
    good = (ROOT / "evidence" / "claims.yml").read_text()
    for text, words in (
        (good.replace("by: viso\n", "by: vizo\n", 1), "no source 'vizo'; did you mean 'viso'"),
        (good.replace("id: accuracy-equal", "id: results-differ"), "'results-differ' stands twice"),
        ("claims: [", "cannot be read as YAML"),
        ("sources: {}\n", "`claims` is missing; it must be a list of maps"),
    ):
        path.write_text(text)
        with pytest.raises(SourceError, match=words):
            claims.load(path)
    with pytest.raises(SourceError, match="no topic 'grahps'; did you mean 'graphs'"):
        Course.read(ROOT).claims_on(("grahps",))
