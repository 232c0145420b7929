import errno
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path

import nbformat
import psutil
import pytest
from conftest import FRONT, chapter_text

from labkit import record
from labkit.files import WriteError, write_whole
from labkit.press import chapter, claims, fingerprint, keep, run
from labkit.press.course import Course
from labkit.press.outputs import addresses
from labkit.press.stale import plan
from labkit.programs import ProgramError

pytestmark = pytest.mark.engine

SLOW_BODY = """\
# T

```{code-cell}
import time
open("../../started", "w").close()
time.sleep(600)
```
"""


def write(course, body):
    (course / "chapters" / "tiny.md").write_text(chapter_text(body))


def go(course, measure=False, framework="pytorch"):
    """Run one twin, whether or not it is stale."""
    loaded = chapter.load(course / "chapters" / "tiny.md")
    jobs = plan(Course.read(course), [loaded], [framework])
    said = []
    written = run.run(
        Course.read(course),
        jobs,
        parallel=2,
        measure=measure,
        report=lambda *args: said.append(args),
    )
    return jobs[0], written, said


def outputs(course):
    notebook = nbformat.read(course / "labs" / "tiny" / "pytorch.ipynb", as_version=4)
    return [c.outputs for c in notebook.cells if c.cell_type == "code"]


def test_a_run_writes_outputs_and_reports(course):
    job, written, said = go(course)
    assert written == [job.path]
    assert outputs(course)[1][0].text == "2\n"
    assert said[0] == ("tiny pytorch", 0, 3, "starting")
    assert said[-1] == ("tiny pytorch", 3, 3, "done")
    info = nbformat.read(job.path, as_version=4).metadata.labkit
    assert info.machine.versions.python == sys.version.split()[0]
    counts = [c.execution_count for c in nbformat.read(job.path, 4).cells if "outputs" in c]
    assert counts == [1, 2, 3]


def test_running_again_changes_no_byte(course):
    job, _, _ = go(course)
    before = job.path.read_bytes()
    again, written, _ = go(course)
    assert not again.stale
    assert written == []
    assert job.path.read_bytes() == before


def test_prose_does_not_make_a_notebook_stale_and_code_does(course):
    job, _, _ = go(course)
    text = (course / "chapters" / "tiny.md").read_text()

    def plan_again(new):
        (course / "chapters" / "tiny.md").write_text(new)
        loaded = chapter.load(course / "chapters" / "tiny.md")
        return plan(Course.read(course), [loaded], ["pytorch"])[0]

    prose = plan_again(text.replace("Words for both", "Other words"))
    assert not prose.stale
    assert keep.woven(prose)
    assert "Other words" in job.path.read_text()
    assert outputs(course)[1][0].text == "2\n"
    renamed = plan_again(text.replace("## One step", "## A step"))
    assert not renamed.stale
    keep.woven(renamed)
    assert outputs(course)[1][0].text == "2\n"
    code = plan_again(text.replace("print(1 + 1)", "print(1 + 2)"))
    assert code.stale
    keep.woven(code)
    assert outputs(course)[1] == []


def test_another_address_does_not_make_a_notebook_stale(course):
    go(course)
    config = course / "_config.yml"
    config.write_text(config.read_text().replace("example/", "me/"))
    loaded = chapter.load(course / "chapters" / "tiny.md")
    assert not plan(Course.read(course), [loaded], ["pytorch"])[0].stale


def test_what_a_notebook_uses_of_labkit_is_found():
    def names(*codes):
        return {p.stem for p in fingerprint.labkit_files(*codes)}

    always = {"errors", "files", "ladder", "layouts", "measure", "record", "rungs", "session"}
    always |= {"beside", "twins"}
    assert names("1 + 1") == always
    assert names("labkit.plot.curves(x)") == always | {"plot", "svg"}
    assert names("from labkit import (\n    plot,\n)") == always | {"plot", "svg"}
    assert names("def f():\n    from labkit.plot import bars") == always | {"plot", "svg"}
    assert names("!ls\n%time labkit\nlabkit.plot", "labkit. is no Python") == always | {
        "plot",
        "svg",
    }
    assert names("# labkit.plot\n'labkit.plot'") == always
    reached = always | {"archives", "data", "downloads", "exercise"}
    assert names("from labkit import data, exercise") == reached


def test_a_program_that_a_notebook_names_is_among_its_files(monkeypatch, tmp_path):
    def find(name):
        if not (file := tmp_path / f"{name}.py").exists():
            raise ProgramError(name)
        return file

    for file in ("labs/train.py", "labs/shared_torch.py", "labs/other.py"):
        write_whole(tmp_path / file, "1 + 1\n")
    monkeypatch.setattr(fingerprint.programs, "find", find)
    found = set(fingerprint.labkit_files("x = 'and/or'\nrun('labs/train')", always=()))
    assert found == {tmp_path / "labs/train.py", tmp_path / "labs/shared_torch.py"}


def test_a_failure_names_its_place_and_leaves_the_old_notebook(course):
    job, _, _ = go(course)
    before = job.path.read_bytes()
    text = (course / "chapters" / "tiny.md").read_text()
    (course / "chapters" / "tiny.md").write_text(text.replace("print(1 + 1)", "print(nothing)"))
    with pytest.raises(run.RunError) as caught:
        go(course)
    said = str(caught.value)
    assert "chapters/tiny.md:15: step 'add', PyTorch, code cell 2 raised NameError" in said
    assert "print(nothing)" in said
    assert job.path.read_bytes() == before
    assert "NameError" in (course / "_build" / "failed" / "tiny.pytorch.ipynb").read_text()


def test_one_failure_does_not_stop_the_other_twin(course):
    text = (course / "chapters" / "tiny.md").read_text()
    (course / "chapters" / "tiny.md").write_text(text.replace("print(1 + 1)", "print(nothing)"))
    loaded = chapter.load(course / "chapters" / "tiny.md")
    jobs = plan(Course.read(course), [loaded], ["pytorch", "tensorflow"])
    with pytest.raises(run.RunError, match="NameError"):
        run.run(Course.read(course), jobs, parallel=2, measure=False, report=lambda *_: None)
    assert not jobs[0].path.exists()
    assert jobs[1].path.exists()


RAISES = "# T\n\n```{code-cell}\n:tags: ['raises:ZeroDivisionError']\n%s\n```\n"


def test_an_error_that_is_part_of_the_lesson(course):
    write(course, RAISES % "1 / 0")
    go(course)
    (error,) = outputs(course)[1]
    assert error.ename == "ZeroDivisionError"
    assert error.traceback == ["ZeroDivisionError: division by zero"]


@pytest.mark.parametrize(("code", "raised"), [("1 / 1", "nothing"), ("int('x')", "ValueError")])
def test_an_error_that_does_not_come_is_one(course, code, raised):
    write(course, RAISES % code)
    with pytest.raises(run.RunError, match=f"to raise ZeroDivisionError, and raised {raised}"):
        go(course)


def test_a_kernel_that_dies(course):
    write(course, "# T\n\n```{code-cell}\nimport os\nos._exit(1)\n```\n")
    with pytest.raises(run.RunError, match=r"cell 'start-1', .*Python died there"):
        go(course)


MEASURED = """\
# T

```{code-cell}
:tags: [measured]
import time
print(time.perf_counter())
```

```{code-cell}
took = labkit.measure.seconds(lambda: None)
lab.record(exact={"n": 3}, measured={"took": took})
```
"""


def test_cleared_outputs_are_run_again(course):
    job, _, _ = go(course)
    notebook = nbformat.read(job.path, as_version=4)
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
    nbformat.write(notebook, job.path)
    assert go(course)[0].stale
    assert outputs(course)[1][0].text == "2\n"


def test_an_address_in_an_output_is_refused(course):
    write(course, "# T\n\n```{code-cell}\nobject()\n```\n")
    with pytest.raises(run.RunError, match="an address that changes with every run"):
        go(course)


def test_a_picture_without_words_is_refused(course):
    cell = "```{code-cell}\n%sfrom matplotlib import pyplot as plt\nplt.plot([1, 2]);\n```\n"
    write(course, "# T\n\n" + cell % "")
    with pytest.raises(run.RunError, match=r"tiny\.md:9: .*picture without a text alternative"):
        go(course)
    write(course, "# T\n\n" + cell % ":mystnb: {image: {alt: A rising line.}}\n")
    go(course)


def test_timings_change_with_measure_alone(course):
    write(course, MEASURED)
    go(course)
    path = course / "evidence" / "cpu" / "tiny.pytorch.json"
    first, clock = record.read(path), outputs(course)[1]
    assert clock[0].text == "not measured yet\n"  # no timing is taken beside other work
    assert first["exact"] == {"n": 3}
    assert first["measured"] == {}
    assert first["machine"]["measured"] is None
    _, written, _ = go(course)
    assert written == []
    assert record.read(path) == first
    assert outputs(course)[1] == clock
    _, written, _ = go(course, measure=True)
    assert len(written) == 2
    assert record.read(path)["measured"]["took"]["repeats"] == 5
    assert record.read(path)["machine"]["measured"]["cores"]
    assert outputs(course)[1] != clock


def test_stderr_and_chunks_are_normalised(course):
    body = (
        "# T\n\n```{code-cell}\nimport sys\nprint(1, flush=True)\n"
        "print('log', file=sys.stderr, flush=True)\nprint(2)\n```\n"
    )
    write(course, body)
    go(course)
    (stream,) = outputs(course)[1]
    assert stream.text == "1\n2\n"


def test_a_second_run_is_turned_away(course):
    import filelock

    (course / "_build").mkdir()
    with (
        filelock.FileLock(course / "_build" / "run.lock"),
        pytest.raises(run.RunError, match="another `labkit run` is at work"),
    ):
        go(course)


def test_ctrl_c_leaves_everything_whole(course):
    go(course)
    path = course / "labs" / "tiny" / "pytorch.ipynb"
    before = path.read_bytes()
    (course / "chapters" / "tiny.md").write_text(FRONT + SLOW_BODY)
    process = subprocess.Popen(
        [sys.executable, "-m", "labkit.cli", "run"],
        cwd=course,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    try:
        while not (course / "started").exists():
            assert process.poll() is None, process.communicate()
            time.sleep(0.1)
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 130, said
    assert said.strip() == "stopped; nothing is half-written"
    assert path.read_bytes() == before
    assert list(path.parent.iterdir()) == [path]


def test_a_full_disk_is_one_message(course):
    """A real one: a file system of 2 MiB, where this process may mount it."""
    disk = course / "labs"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(disk)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("needs the right to mount a small file system")
    try:
        write(course, "# T\n\n```{code-cell}\nprint('x' * 200_000)\n```\n")
        done = subprocess.run(
            [sys.executable, "-m", "labkit.cli", "run", "--framework", "pytorch"],
            cwd=course,
            capture_output=True,
            text=True,
            check=False,
        )
        left = [p for p in disk.rglob("*") if p.is_file()]
    finally:
        subprocess.run(["umount", str(disk)], check=True)
    assert done.returncode == 1
    assert "pytorch.ipynb: cannot be written (No space left on device)" in done.stderr
    assert "Traceback" not in done.stderr
    assert left == []


SHOWS = """\
# T

```{code-cell}
:tags: [pytorch]
:step: ladder
lab.record(exact={"n": %s})
theirs = labkit.record.course("tiny", "tensorflow")
type(lab).prove = lambda lab, n: print(n)
lab.prove(theirs and theirs["exact"]["n"])
```
```{code-cell}
:tags: [tensorflow]
lab.record(exact={"n": 7})
theirs = labkit.record.course("tiny", "pytorch")
type(lab).prove = lambda lab, n: print(n)
lab.prove(theirs and theirs["exact"]["n"])
```
"""


def show(course, n, frameworks=("pytorch", "tensorflow")):
    """Run what is stale of two twins that show each other's results."""
    front = FRONT.replace('"it trains nothing"', "[]")
    (course / "chapters" / "tiny.md").write_text(front + SHOWS % n)
    loaded = chapter.load(course / "chapters" / "tiny.md")
    planned = plan(Course.read(course), [loaded], frameworks)
    stale = [j for j in planned if j.stale]
    said = []
    run.run(
        Course.read(course),
        stale,
        parallel=2,
        measure=False,
        report=lambda *args: said.append(args),
        watched=[j for j in planned if j not in stale],
    )
    return [label for label, done, _, state in said if state == "done"]


def shown(course, framework):
    notebook = nbformat.read(course / "labs" / "tiny" / f"{framework}.ipynb", as_version=4)
    return notebook.cells[-1].outputs[0].text


def test_twins_that_show_each_other_run_until_both_are_true(course):
    assert sorted(show(course, 5)) == ["tiny pytorch"] * 2 + ["tiny tensorflow"] * 2
    assert shown(course, "pytorch") == "7\n"
    assert shown(course, "tensorflow") == "5\n"
    assert show(course, 5) == []
    # Only one has changed, and the other shows it.
    assert sorted(show(course, 6)) == ["tiny pytorch", "tiny tensorflow"]
    assert shown(course, "tensorflow") == "6\n"
    # A twin alone is run alone; the other is stale then.
    assert show(course, 4, ["pytorch"]) == ["tiny pytorch"]
    loaded = chapter.load(course / "chapters" / "tiny.md")
    assert [j.stale for j in plan(Course.read(course), [loaded], list(chapter.FRAMEWORKS))] == [
        False,
        True,
    ]


def test_a_notebook_without_a_proof_does_not_depend_on_its_twin(course):
    go(course)
    folder = course / "evidence" / "cpu"
    folder.mkdir()
    (folder / "tiny.tensorflow.json").write_text("{}")
    loaded = chapter.load(course / "chapters" / "tiny.md")
    assert not plan(Course.read(course), [loaded], ["pytorch"])[0].stale


def test_words_about_labkit_make_nothing_stale(tmp_path, monkeypatch):
    """Nor does a module that the lab does not reach."""
    home = tmp_path / "labkit"
    shutil.copytree(fingerprint.HOME, home)
    monkeypatch.setattr(fingerprint, "HOME", home)

    def now():
        fingerprint._module.cache_clear()
        return fingerprint.of_code([("labkit.measure.seconds(f)", {})])

    before, file = now(), home / "measure.py"
    text = file.read_text()
    file.write_text(text.replace('"""Seconds and bytes', '"""Bytes and seconds') + "\n# words\n")
    (home / "plot.py").write_text((home / "plot.py").read_text() + "\nMOVED = 1\n")
    assert now() == before
    file.write_text(text.replace("repeats: int = 5", "repeats: int = 6"))
    assert now() != before
    fingerprint._module.cache_clear()


CELLS = [
    ("import time\nlong = 0.01\nother = 1", ()),
    ("def work():\n    time.sleep(long)", ()),
    ("lab.prove(other)", ()),
    ("took = labkit.measure.seconds(work)", ("measured",)),
    ("lab.record(exact={'other': other}, measured={'took': took})", ()),
    ("long = 5", ()),
]


@pytest.mark.parametrize(
    ("old", "new", "counts"),
    [
        ("long = 0.01", "long = 0.1", True),
        ("sleep(long)", "sleep(2 * long)", True),
        ("seconds(work)", "seconds(work, repeats=3)", True),
        ("{'took': took}", "{'took': took, 'again': took}", True),
        ("other = 1", "other = 2", False),
        ("lab.prove(other)", "lab.prove(other, other)", False),
        ("'other': other", "'another': other", False),
        ("long = 5", "long = 6", False),
        ("def work():", "# words\ndef work():\n    '''Words.'''", False),
    ],
)
def test_timings_know_the_code_that_took_them(old, new, counts):
    changed = [(source.replace(old, new), tags) for source, tags in CELLS]
    assert changed != CELLS
    same = fingerprint.of_timings(changed) == fingerprint.of_timings(CELLS)
    assert same is not counts


def test_without_timings_there_is_no_code_that_took_them():
    assert fingerprint.of_timings([("print(1)", ())]) is None


SLEEPS = """\
# T

```{code-cell}
import time
def work():
    time.sleep(%s)
```

```{code-cell}
:tags: [measured]
took = labkit.measure.seconds(work, repeats=1)
print(took)
```

```{code-cell}
lab.record(exact={"n": %d}, measured={"took": took})
```
"""

TIMED = """\
sources:
  s: {title: S, date: "2024", url: "https://example.org"}
claims:
  - id: slow
    by: s
    topic: t
    chapter: tiny
    says: It is slow.
    settle: a clock
    rule:
      reads: {a: tiny.pytorch.measured.took, b: tiny.pytorch.exact.n}
      number: a["median"]
      shown: "{number:.2f}"
      when: {holds: number > 0, "false": number <= 0}
      one_twin: for the test
"""


def test_a_timing_does_not_outlive_its_code(course):
    (course / "timed.yml").write_text(TIMED)
    (claim,) = claims.load(course / "timed.yml")

    def verdict():
        return Course.read(course).verdict(claim)

    write(course, SLEEPS % ("0.01", 1))
    go(course, measure=True)
    clock = outputs(course)[2]
    assert verdict().name == "holds"
    write(course, SLEEPS % ("0.01", 2))  # what it does not reach
    go(course)
    assert verdict().name == "holds"
    assert outputs(course)[2] == clock
    write(course, SLEEPS % ("0.02", 2))
    older = claims.Verdict("open", "measured before the code changed; `labkit run --measure`")
    assert verdict() == older
    go(course)
    assert outputs(course)[2][0].text == "not measured yet\n"
    assert record.read(course / "evidence" / "cpu" / "tiny.pytorch.json")["measured"] == {}
    assert verdict() == claims.Verdict("open", "not measured yet; `labkit run --measure`")


RECORDS = '# T\n\n```{code-cell}\nlab.record(exact={"n": 3})\nprint(%d)\n```\n'


def stale(course):
    loaded = chapter.load(course / "chapters" / "tiny.md")
    return plan(Course.read(course), [loaded], ["pytorch"])[0].stale


def test_a_lost_broken_or_forged_record_is_made_anew(course):
    write(course, RECORDS % 1)
    go(course)
    path = course / "evidence" / "cpu" / "tiny.pytorch.json"
    whole = path.read_text()
    assert not stale(course)
    path.write_text(whole.replace('"n": 3', '"n": 4'))
    assert stale(course)
    path.unlink()
    assert stale(course)
    path.write_text(whole[:50])
    assert stale(course)
    go(course)
    assert record.read(path)["exact"] == {"n": 3}
    assert not stale(course)


def test_record_and_notebook_are_written_together(course):
    write(course, RECORDS % 1)
    job, _, _ = go(course)
    path = course / "evidence" / "cpu" / "tiny.pytorch.json"
    before = job.path.read_bytes(), path.read_bytes()
    write(course, (RECORDS % 2).replace('"n": 3', '"n": 5'))
    real = os.replace

    def fail(source, target):
        if Path(target) == job.path:
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        real(source, target)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "replace", fail)
        with pytest.raises(WriteError, match="Nothing was changed"):
            go(course)
    assert (job.path.read_bytes(), path.read_bytes()) == before
    assert stale(course)


def test_a_cells_own_error_is_told_where_nothing_can_be_kept(course):
    (course / "_build").mkdir()
    (course / "_build" / "failed").write_text("in the way")
    write(course, "# T\n\n```{code-cell}\nnothing\n```\n")
    with pytest.raises(run.RunError, match=r"raised NameError(.|\n)*is not kept"):
        go(course)


def test_a_question_is_refused(course):
    write(course, "# T\n\n```{code-cell}\nname = input()\n```\n")
    with pytest.raises(run.RunError, match=r"tiny\.md:9: .* asks for input, and nobody is there"):
        go(course)


def test_long_lines_take_no_longer_than_they_are(course):
    """Of two kinds, on which regular expressions took minutes and more: longer than a test may."""
    cell = "print('x' * 1_000_000)\nprint('<' * 1_000_000)\nprint('5 %\\r10 %')"
    write(course, f"# T\n\n```{{code-cell}}\n{cell}\n```\n")
    go(course)
    lines = outputs(course)[1][0].text.splitlines()
    assert [len(line) for line in lines[:2]] == [1_000_000] * 2
    assert lines[2:] == ["10 %"]


def test_addresses_are_found_in_any_line():
    assert list(addresses("at 0x12\n<function <lambda> at 0x7f>")) == [
        "<function <lambda> at 0x7f>"
    ]
    assert list(addresses("x > 1 at 0x12>\n<a>")) == []


STARTS = """\
# T

```{code-cell}
def work(file):
    import os, subprocess, sys, time
    child = subprocess.Popen(
        [sys.executable, "-c",
         "import time; time.sleep(600)"])
    with open(file, "w") as opened:
        opened.write(f"{os.getpid()} {child.pid}")
    time.sleep(600)

try:
    labkit.launch.call(work, %r)
finally:
    open(%r, "w").close()
```
"""


@pytest.mark.parametrize("kind", ["SIGINT", "SIGTERM", "SIGKILL"])
@pytest.mark.skipif(os.name == "nt", reason="Windows has no such signals")
def test_what_a_run_has_started_ends_with_it(course, tmp_path, kind, monkeypatch):
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    pids, tidied = tmp_path / "p", tmp_path / "t"
    monkeypatch.chdir(tmp_path)
    write(course, STARTS % (f"../../../{pids.name}", f"../../../{tidied.name}"))
    process = subprocess.Popen(
        [sys.executable, "-m", "labkit.cli", "run", "--framework", "pytorch"],
        cwd=course,
        env={**os.environ, "TMPDIR": str(temporary)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    try:
        while not (pids.exists() and pids.read_text()):
            assert process.poll() is None, process.communicate()
            time.sleep(0.1)
        process.send_signal(getattr(signal, kind))
        _, said = process.communicate(timeout=300)
    finally:
        process.kill()
    for pid in pids.read_text().split():
        with suppress(psutil.NoSuchProcess):
            psutil.Process(int(pid)).wait(timeout=60)
    if kind == "SIGKILL":  # then nobody is left to tidy up; the next run does
        monkeypatch.setattr(tempfile, "tempdir", str(temporary))
        write(course, "# T\n\n```{code-cell}\n1\n```\n")
        go(course)
    else:
        assert said == "stopped; nothing is half-written\n"
        assert tidied.exists()
    assert not (course / "_build" / "run").exists()
    assert [p.name for p in temporary.iterdir() if p.name.startswith("labkit")] == []
