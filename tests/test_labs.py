"""The committed notebooks: one strict run of each, and what nbval passes in silence."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import mutants
import nbformat
import notebooks
import numpy as np
import pytest
import remembered
from conftest import ROOT
from fresh import compare_records
from notebooks import code_cells, name
from PIL import Image

from labkit.press import chapter, tries, weave

CHAPTERS, NOTEBOOKS = notebooks.chapters(), notebooks.committed()


def test_each_chapter_has_its_two_twins():
    assert (
        sorted(weave.notebook_path(ROOT, c, f) for c in CHAPTERS for f in chapter.FRAMEWORKS)
        == NOTEBOOKS
    )


@pytest.mark.notebook
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("framework", chapter.FRAMEWORKS)
@pytest.mark.parametrize("chapter_name", CHAPTERS)
def test_a_strict_run(chapter_name, framework, tmp_path):
    """Outputs are those committed, right answers pass their checks, wrong ones meet a hint.

    And of each solution's mutants all fail but those listed.
    """
    loaded = chapter.load(ROOT / "chapters" / f"{chapter_name}.md")
    committed = weave.read_notebook(weave.notebook_path(ROOT, chapter_name, framework))
    answered = mutants.added(weave.with_answers(committed, loaded), loaded, framework)
    results = tries.read(tries.path(ROOT / "evidence", chapter_name, framework))
    assert results.keys() == {edit.name for edit in loaded.tries}
    tries.append(answered, loaded, framework, results)
    found = [ROOT / "evidence" / "cpu" / f"{chapter_name}.{f}.json" for f in chapter.FRAMEWORKS]
    key = remembered.key([answered], [*found, notebooks.SANITIZE, Path(notebooks.__file__)])
    with remembered.once(f"{chapter_name}-{framework}", key):
        path = tmp_path / chapter_name / f"{framework}.ipynb"
        path.parent.mkdir()
        nbformat.write(answered, path)
        notebooks.passed(notebooks.nbval(path, LABKIT_RECORDS=str(tmp_path)))
        bounds = {e.field: e.bound for e in loaded.lab.equal if e.bound is not None}
        assert compare_records(tmp_path, ROOT / "evidence", bounds) == []


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


# --- exercises ---------------------------------------------------------------------------------


def exercises_of(path):
    return chapter.load(ROOT / "chapters" / f"{path.parent.name}.md").exercises_of(path.stem)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=name)
def test_an_untouched_notebook_says_not_attempted(path):
    checks = [c for c in code_cells(path) if "check" in c.metadata.get("tags", ())]
    assert len(checks) >= 3
    to_mend = {e.check.id for e in exercises_of(path) if e.to_mend}
    for cell in checks:
        state = r"not yet\. (?!.*Error: )\S.*" if cell.id in to_mend else "not attempted yet"
        assert re.fullmatch(rf".+: {state}\n", cell.outputs[0].text)


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
    notebooks.passed(notebooks.nbval(path, **ELSEWHERE[where]))


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


def run_alone(path, folder, *replaced, **environment):
    done = notebooks.run_alone(path, folder, *replaced, **environment)
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


@pytest.mark.parametrize("framework", chapter.FRAMEWORKS)
def test_the_first_lab_trains_on_a_folder_of_pictures(tmp_path, framework):
    """In colour, of another size, with another number of classes."""
    rng = np.random.default_rng(0)
    for label, colour in enumerate(("red", "green", "blue")):
        (tmp_path / "pictures" / colour).mkdir(parents=True)
        for number in range(40):
            picture = rng.integers(0, 128, (12, 14, 3), dtype=np.uint8)
            picture[..., label] += 100
            Image.fromarray(picture).save(tmp_path / "pictures" / colour / f"{number}.png")
    said = run_alone(
        weave.notebook_path(ROOT, "first-network", framework),
        tmp_path,
        'images("digits")',
        'images("pictures", size=10)',
    )
    assert "(96, 10, 10, 3)" in said
    assert re.search(r"(23|24) of 24 unseen: (95.8|100.0)%", said)


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("framework", chapter.FRAMEWORKS)
def test_the_reader_reads_a_text_of_ones_own(tmp_path, framework):
    text = "The quick brown fox jumps over the lazy dog, again and again and again.\n" * 2000
    (tmp_path / "text.txt").write_text(text)
    said = run_alone(
        weave.notebook_path(ROOT, "recurrent", framework),
        tmp_path,
        'text("python-docs")',
        'text("text.txt")',
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
