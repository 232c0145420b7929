"""The committed notebooks: nbval, and what nbval passes in silence."""

import asyncio
import copy
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from xml.etree import ElementTree

import nbformat
import numpy as np
import pytest
from conftest import ROOT
from PIL import Image

from labkit import data
from labkit.press import chapter, run, weave
from labkit.press.site import Site

CELL_SECONDS = 120
CHAPTERS = [p.stem for p in chapter.chapters(ROOT)]
NOTEBOOKS = sorted((ROOT / "labs").rglob("*.ipynb"))
# Pythons and systems differ in messages: strict on Linux with the one Python that made the outputs.
STRICT = os.environ.get("LABKIT_NBVAL", "strict") == "strict"


def name(path):
    return f"{path.parent.name}-{path.stem}"


def same_text(chapter_name):
    """Say whether this Python's documentation is the one that the committed outputs are made of.

    It differs from one release to the next, and with it every digit of a chapter that reads it.
    """
    if "python-docs" not in (ROOT / "chapters" / f"{chapter_name}.md").read_text():
        return True
    committed = weave.notebook_path(ROOT, chapter_name, "pytorch").read_text()
    return f"{len(data.text('python-docs')):,} characters" in committed


def nbval(notebooks, report=None, **environment):
    """Run nbval in a process of its own, and return it finished."""
    strict = STRICT and all(same_text(p.parent.name) for p in notebooks if p in NOTEBOOKS)
    command = [
        *(sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"),
        "--nbval" if strict else "--nbval-lax",
        f"--nbval-cell-timeout={CELL_SECONDS}",
        f"--nbval-sanitize-with={Path(__file__).with_name('nbval.cfg')}",
        *(["--junit-xml", str(report)] if report else []),
        *map(str, notebooks),
    ]
    return subprocess.Popen(
        command,
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "LABKIT_PROFILE": "cpu", "LABKIT_QUICK": "1", **environment},
    )


def passed(process):
    said, _ = process.communicate()
    assert process.returncode == 0, said[-6000:]


def code_cells(path):
    return [c for c in nbformat.read(path, as_version=4).cells if c.cell_type == "code"]


def test_each_chapter_has_its_two_twins():
    assert (
        sorted(weave.notebook_path(ROOT, c, f) for c in CHAPTERS for f in chapter.FRAMEWORKS)
        == NOTEBOOKS
    )


@pytest.mark.parametrize("chapter_name", CHAPTERS)
def test_nbval(chapter_name):
    """Both twins at once: each computes with one thread."""
    twin_runs = [nbval([weave.notebook_path(ROOT, chapter_name, f)]) for f in chapter.FRAMEWORKS]
    for process in twin_runs:
        passed(process)


# --- what nbval passes in silence -------------------------------------------------------------


@pytest.mark.parametrize("path", NOTEBOOKS, ids=name)
def test_every_cell_has_run_in_order_and_none_failed(path):
    cells = code_cells(path)
    assert [c.execution_count for c in cells] == list(range(1, len(cells) + 1))
    for cell in cells:
        errors = [o for o in cell.outputs if o.output_type == "error"]
        assert bool(errors) == ("raises-exception" in cell.metadata.get("tags", ()))


@pytest.mark.parametrize("path", NOTEBOOKS, ids=name)
def test_no_cell_calls_a_shell(path):
    """`!false` fails for nobody: programs are started from Python, which raises."""
    for cell in code_cells(path):
        shell = r"(^|=)\s*(!|%%(bash|sh|script|cmd)|%(sx|system))|get_ipython\(\)\.(sys|getout)"
        assert not re.search(shell, cell.source, re.M)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=name)
def test_at_most_one_cell_in_ten_is_ignored_and_says_why(path):
    cells = code_cells(path)
    ignored = [c for c in cells if "nbval-ignore-output" in c.metadata.get("tags", ())]
    assert len(ignored) * 10 <= len(cells)
    # The one reason there is: a clock or a memory gauge decides.
    assert all("measured" in c.metadata.tags for c in ignored)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=name)
def test_every_figure_has_a_text_alternative_and_a_digest(path):
    for cell in code_cells(path):
        for output in cell.outputs:
            kind = next((k for k in output.get("data", {}) if k.startswith("image/")), None)
            if kind:
                assert len(output.metadata[kind]["alt"]) > 20
                assert re.search(r"\(data [0-9a-f]{8}\)", output.data["text/plain"])


@pytest.mark.parametrize("path", NOTEBOOKS, ids=name)
def test_nothing_of_this_machine_is_in_the_outputs(path):
    text = path.read_text()
    assert "/home/" not in text
    assert "/root/" not in text
    assert str(ROOT) not in text
    assert "/tmp/" not in text


# --- a changed output fails -------------------------------------------------------------------


def altered(text):
    """Change one value in a text: its last digit, or its last letter."""
    for pattern, change in (
        (r"\d(?=\D*$)", lambda m: str((int(m[0]) + 1) % 10)),
        (r"[A-Za-z](?=[^A-Za-z]*$)", lambda m: "q" if m[0] != "q" else "z"),
    ):
        new, count = re.subn(pattern, change, text, count=1)
        if count:
            return new
    raise AssertionError(f"nothing to alter in {text!r}")


def texts(cell):
    """Yield each textual output of a cell as a container and the key at which its text stands."""
    for output in cell.outputs:
        if output.output_type == "stream":
            yield output, "text"
        elif output.output_type == "error":
            yield output, "evalue"
        elif "text/plain" in output.get("data", {}):
            yield output.data, "text/plain"


def compared(cell):
    return "nbval-ignore-output" not in cell.metadata.get("tags", ()) and any(texts(cell))


@pytest.mark.parametrize("path", NOTEBOOKS, ids=name)
def test_nbval_compares_each_text_in_turn(path):
    """nbval's own comparison, given what the notebook puts out and one altered text at a time."""
    from nbval.plugin import IPyNbCell

    item = IPyNbCell.__new__(IPyNbCell)  # nbval makes one only while it runs a notebook
    item.parent = SimpleNamespace(skip_compare=SKIPPED)
    item.colors = SimpleNamespace(**dict.fromkeys(("OKBLUE", "FAIL", "ENDC"), ""))
    item.sanitize, item.format_output_compare = str, lambda *_: None
    count = 0
    for cell in filter(compared, code_cells(path)):
        assert item.compare_outputs(cell.outputs, cell.outputs)
        for place in range(len(list(texts(cell)))):
            changed = copy.deepcopy(cell)
            container, key = list(texts(changed))[place]
            container[key] = altered(container[key])
            same = item.compare_outputs(cell.outputs, changed.outputs)
            assert not same, f"{cell.id}: {container[key]!r} passes"
            count += 1
    assert count >= 10


# What nbval leaves out unless it is told otherwise.
SKIPPED = (
    "metadata",
    "traceback",
    "output_type",
    "name",
    "execution_count",
    "image/png",
    "image/svg+xml",
)


@pytest.mark.skipif(not STRICT, reason="nbval compares outputs in strict mode alone")
@pytest.mark.parametrize("chapter_name", CHAPTERS)
def test_a_real_run_fails_at_each_altered_output(chapter_name, tmp_path):
    """Every compared cell's first text is altered at once: nbval must fail at each of them."""
    runs = []
    for framework in chapter.FRAMEWORKS:
        path = weave.notebook_path(ROOT, chapter_name, framework)
        notebook = nbformat.read(path, as_version=4)
        wanted = set()
        number = -1
        for cell in notebook.cells:
            if cell.cell_type != "code":
                continue
            number += 1
            if compared(cell):
                container, key = next(iter(texts(cell)))
                container[key] = altered(container[key])
                wanted.add(number)
        target = tmp_path / framework / path.name
        target.parent.mkdir()
        nbformat.write(notebook, target)
        report = target.with_suffix(".xml")
        runs.append((nbval([target], report), report, wanted))
    for process, report, wanted in runs:
        process.communicate()
        assert process.returncode == 1
        cases = ElementTree.parse(report).iter("testcase")
        failed = {int(c.get("name").split()[-1]) for c in cases if c.find("failure") is not None}
        assert failed == wanted


# --- exercises ---------------------------------------------------------------------------------


def run_edition(chapter_name, framework, edition, folder):
    """Run an edition of a notebook and return its code cells."""
    loaded = chapter.load(ROOT / "chapters" / f"{chapter_name}.md")
    notebook = weave.weave(loaded, framework, Site.read(ROOT), edition)
    asyncio.run(
        run.execute(notebook, loaded, folder, lambda *_: None, chapter_name, folder / "records")
    )
    return [c for c in notebook.cells if c.cell_type == "code"], loaded


@pytest.mark.parametrize("framework", list(chapter.FRAMEWORKS))
@pytest.mark.parametrize("chapter_name", CHAPTERS)
def test_solutions_pass_their_checks_and_wrong_answers_fail(chapter_name, framework, tmp_path):
    cells, loaded = run_edition(chapter_name, framework, "answers", tmp_path)
    roles = {c.id: c.role for c in loaded.cells}
    answer, judged = None, {"solution": 0, "wrong": 0}
    for cell in cells:
        if "check" not in cell.metadata.get("tags", ()):
            answer = roles.get(cell.id, answer) if roles.get(cell.id) else answer
            continue
        said = "".join(o.text for o in cell.outputs)
        if answer == "solution":
            assert said.endswith(": solved\n"), f"the solution before {cell.id}: {said}"
        else:
            assert ": not yet. " in said, f"a wrong answer before {cell.id} passes: {said}"
            # A wrong answer is told what is wrong; it does not merely crash.
            assert "Error:" not in said, said
        judged[answer] += 1
    assert judged["solution"] >= 3
    assert judged["wrong"] >= judged["solution"]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=name)
def test_an_untouched_notebook_says_not_attempted(path):
    checks = [c for c in code_cells(path) if "check" in c.metadata.get("tags", ())]
    assert len(checks) >= 3
    for cell in checks:
        assert cell.outputs[0].text.endswith(": not attempted yet\n")


# --- other processors ---------------------------------------------------------------------------

ELSEWHERE = {
    "two threads": {"LABKIT_THREADS": "2"},
    "AVX2": {"ATEN_CPU_CAPABILITY": "avx2", "ONEDNN_MAX_CPU_ISA": "AVX2"},
    "no AVX": {"ATEN_CPU_CAPABILITY": "default", "ONEDNN_MAX_CPU_ISA": "SSE41"},
}


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("where", ELSEWHERE)
@pytest.mark.parametrize("path", NOTEBOOKS, ids=name)
def test_the_same_digits_elsewhere(path, where):
    """Never beside other work: two threads under load are a hundred times slower."""
    passed(nbval([path], **ELSEWHERE[where]))


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_forced_runs_leave_no_difference(tmp_path):
    """Ten in take_numbers.py; three here."""
    subprocess.run(["git", "clone", "-q", str(ROOT), str(tmp_path / "clone")], check=True)
    clone = tmp_path / "clone"
    for _ in range(3):
        subprocess.run(
            [str(Path(sys.executable).with_name("labkit")), "run", "--force"],
            cwd=clone,
            check=True,
            capture_output=True,
        )
        changed = subprocess.run(
            ["git", "status", "--porcelain"], cwd=clone, capture_output=True, text=True, check=True
        )
        assert changed.stdout == ""


# --- a reader's own data -------------------------------------------------------------------


def run_alone(path, tmp_path, line="", replacement="", **environment):
    """Run a notebook's code in a process of its own, with one piece of it replaced."""
    code = "\n".join(c.source for c in code_cells(path))
    assert line in code
    script = tmp_path / "lab.py"
    script.write_text(code.replace(line, replacement) if line else code)
    done = subprocess.run(
        [sys.executable, str(script)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        env={
            **os.environ,
            "LABKIT_PROFILE": "cpu",
            "LABKIT_QUICK": "1",
            "LABKIT_RECORDS": str(tmp_path),
            **environment,
        },
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


@pytest.mark.parametrize("framework", chapter.FRAMEWORKS)
def test_the_first_lab_trains_on_a_folder_of_pictures(tmp_path, framework):
    """In colour, of another size, with another number of classes."""
    rng = np.random.default_rng(0)
    for label, name in enumerate(("red", "green", "blue")):
        (tmp_path / "pictures" / name).mkdir(parents=True)
        for number in range(40):
            picture = rng.integers(0, 128, (12, 14, 3), dtype=np.uint8)
            picture[..., label] += 100
            Image.fromarray(picture).save(tmp_path / "pictures" / name / f"{number}.png")
    said = run_alone(
        weave.notebook_path(ROOT, "first-network", framework),
        tmp_path,
        'lab.choose(cpu="digits", gpu="cifar10")',
        '"pictures", size=10',
    )
    assert "(96, 10, 10, 3)" in said
    assert re.search(r"(23|24) of 24, (95.8|100.0)% right", said)


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("framework", chapter.FRAMEWORKS)
def test_the_reader_reads_a_text_of_ones_own(tmp_path, framework):
    text = "The quick brown fox jumps over the lazy dog, again and again and again.\n" * 2000
    (tmp_path / "text.txt").write_text(text)
    said = run_alone(
        weave.notebook_path(ROOT, "recurrent", framework),
        tmp_path,
        'lab.choose(cpu="python-docs", gpu="tiny-shakespeare")',
        '"text.txt"',
    )
    assert "over the lazy dog, again" in said.split("temperature 0.5")[1]


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_without_graphviz_and_a_compiler_the_notebook_goes_on(tmp_path):
    path = str(Path(sys.executable).parent)
    assert not any(shutil.which(program, path=path) for program in ("dot", "g++", "clang++"))
    said = run_alone(weave.notebook_path(ROOT, "graphs", "pytorch"), tmp_path, PATH=path)
    assert "for want of a compiler: apt install g++" in said
    assert "This needs a compiler, as above." in said
    assert not re.search(r"^(CNN|loop) +compiled", said, re.MULTILINE)
