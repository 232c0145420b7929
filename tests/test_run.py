import os
import signal
import subprocess
import sys
import time

import nbformat
import pytest
from conftest import FRONT, ROOT, chapter_text

from labkit import record
from labkit.press import chapter, fingerprint, run

SLOW_BODY = "# T\n\n```{code-cell}\nimport time\ntime.sleep(60)\n```\n"


def write(course, body):
    (course / "chapters" / "tiny.md").write_text(chapter_text(body))


def go(course, measure=False, framework="pytorch"):
    """Run one twin, whether or not it is stale."""
    loaded = chapter.load(course / "chapters" / "tiny.md")
    jobs = run.plan(course, [loaded], [framework])
    said = []
    written = run.run(
        course, jobs, parallel=2, measure=measure, report=lambda *args: said.append(args)
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
        return run.plan(course, [loaded], ["pytorch"])[0]

    prose = plan_again(text.replace("Words for both", "Other words"))
    assert not prose.stale
    assert run.write_woven(prose)
    assert "Other words" in job.path.read_text()
    assert outputs(course)[1][0].text == "2\n"
    renamed = plan_again(text.replace("## One step", "## A step"))
    assert not renamed.stale
    run.write_woven(renamed)
    assert outputs(course)[1][0].text == "2\n"
    code = plan_again(text.replace("print(1 + 1)", "print(1 + 2)"))
    assert code.stale
    run.write_woven(code)
    assert outputs(course)[1] == []


def test_another_address_does_not_make_a_notebook_stale(course):
    go(course)
    config = course / "_config.yml"
    config.write_text(config.read_text().replace("example/", "me/"))
    loaded = chapter.load(course / "chapters" / "tiny.md")
    assert not run.plan(course, [loaded], ["pytorch"])[0].stale


def test_what_a_notebook_uses_of_labkit_is_found():
    def names(code):
        return {p.stem for p in fingerprint.labkit_files(code)}

    always = {"session", "record", "files", "measure", "ladder", "twins", "layouts"}
    assert names("1 + 1") == always
    assert names("labkit.plot.curves(x)") == always | {"plot"}
    assert names("from labkit import data, exercise") == always | {"data", "downloads", "exercise"}


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
    jobs = run.plan(course, [loaded], ["pytorch", "tensorflow"])
    with pytest.raises(run.RunError, match="NameError"):
        run.run(course, jobs, parallel=2, measure=False, report=lambda *_: None)
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
        process.stdout.readline()
        time.sleep(4)
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


def test_the_courses_notebooks_are_fresh():
    """What stands in labs/ was made by the code that stands in chapters/ and in labkit."""
    for path in chapter.chapters(ROOT):
        for job in run.plan(ROOT, [chapter.load(path)], list(chapter.FRAMEWORKS)):
            assert not job.stale, f"{job.path} is stale: run `labkit run`"


SHOWS = """\
# T

```{code-cell}
:tags: [pytorch]
:step: found
lab.record(exact={"n": %s})
```
```{code-cell}
:tags: [tensorflow]
lab.record(exact={"n": 7})
```

```{code-cell}
own = lab.framework
class lab:
    prove = print  # shows what the other twin has recorded

pair = {"pytorch": "tensorflow", "tensorflow": "pytorch"}
found = labkit.record.course("tiny", pair[own])
lab.prove(found and found["exact"]["n"])
```
"""


def show(course, n, frameworks=("pytorch", "tensorflow")):
    """Run what is stale of two twins that show each other's results."""
    write(course, SHOWS % n)
    loaded = chapter.load(course / "chapters" / "tiny.md")
    planned = run.plan(course, [loaded], frameworks)
    stale = [j for j in planned if j.stale]
    said = []
    run.run(
        course,
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
    assert [j.stale for j in run.plan(course, [loaded], list(chapter.FRAMEWORKS))] == [False, True]


def test_a_notebook_without_a_proof_does_not_depend_on_its_twin(course):
    go(course)
    folder = course / "evidence" / "cpu"
    folder.mkdir()
    (folder / "tiny.tensorflow.json").write_text("{}")
    loaded = chapter.load(course / "chapters" / "tiny.md")
    assert not run.plan(course, [loaded], ["pytorch"])[0].stale


def test_the_courses_timings_are_those_of_the_present_code():
    for path in chapter.chapters(ROOT):
        for job in run.plan(ROOT, [chapter.load(path)], list(chapter.FRAMEWORKS)):
            file = ROOT / "evidence" / "cpu" / f"{job.chapter.name}.{job.framework}.json"
            content = record.read(file)
            if content["measured"]:
                took = content["machine"]["measured"].get("code")
                mend = "`labkit run --measure`"
                assert took == job.timings, f"{file}: measured by other code: {mend}"
                assert job.measured, f"{job.path} shows other timings than its record"
