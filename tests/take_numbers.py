"""Measure the numbers that stand in CONTRIBUTING.md: `make numbers`.

On a quiet machine, in about half an hour. Everything happens in a fresh clone in a temporary place:
what is not committed is not measured. What pip has downloaded before is not downloaded again.
"""

import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path
from xml.etree import ElementTree

import notebooks
from conftest import ENVIRONMENT, ROOT

PART = {"test_book": "browser", "test_labs": "notebooks"}
"""Module of tests to its part; the others are unit tests."""
CHAPTER = "first-network"


def timed(command, cwd, **environment):
    """Run a command to its end and return its seconds."""
    begin = time.perf_counter()
    done = subprocess.run(
        command,
        cwd=cwd,
        env={**ENVIRONMENT, **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        sys.exit(f"{command} failed:\n{done.stdout[-4000:]}\n{done.stderr[-2000:]}")
    return time.perf_counter() - begin


def say(what, seconds, bound=""):
    shown = f"{seconds:.0f} s" if seconds < 100 else f"{seconds / 60:.1f} min"
    print(f"| {what} | {shown} | {bound} |", flush=True)


def edit_prose(clone, word):
    """Change one word of a chapter's prose."""
    page = clone / "chapters" / f"{CHAPTER}.md"
    text, old = page.read_text(encoding="utf-8"), r"A handwritten 4(, \w+,)? is"
    assert re.search(old, text)
    page.write_text(re.sub(old, f"A handwritten 4, {word}, is", text), encoding="utf-8")


def parts(report):
    """Return pytest's seconds, those of each part's tests, and how many came from memory."""
    took, skipped, tree = defaultdict(float), 0, ElementTree.parse(report)
    for case in tree.iter("testcase"):
        module = case.get("classname").removeprefix("tests.").split(".")[0]
        took[PART.get(module, "unit")] += float(case.get("time"))
        skip = case.find("skipped")
        skipped += skip is not None and "from memory" in skip.get("message", "")
    return float(tree.find(".//testsuite").get("time")), took, skipped


def tests(clone, what, bound):
    """Say how long `make test` takes, and each part of it."""
    report = clone / "_build" / "tests.xml"
    whole = timed(["make", "test"], clone, PYTEST_ADDOPTS=f"--junit-xml={report}")
    pytest, took, skipped = parts(report)
    say(what, whole, bound)
    say("– installation, lint and types", whole - pytest)
    say(f"– pytest, two modules at a time, {skipped} tests from memory", pytest)
    for part in sorted(took, key=took.get, reverse=True):
        say(f"– – {part}, one test after the other", took[part])


def main():
    with tempfile.TemporaryDirectory() as folder:
        clone = Path(folder) / "clone"
        subprocess.run(["git", "clone", "-q", str(ROOT), str(clone)], check=True)
        print("| what | measured | bound |\n|---|---|---|")
        tests(clone, "`make test` in a clean clone", "15 min")
        edit_prose(clone, "say")
        timed([clone / ".venv" / "bin" / "labkit", "weave"], clone)
        tests(clone, "`make test` when the prose of one chapter has changed", "6 min")

        for name in (".venv", "_build"):  # a clean clone again
            shutil.rmtree(clone / name)
        say("clean clone to rendered book", timed(["make", "book"], clone), "5 min")
        say("`make book` again", timed(["make", "book"], clone), "10 s")
        edit_prose(clone, "again")
        say("changed prose to rebuilt page", timed(["make", "book"], clone), "10 s")

        labkit = str(clone / ".venv" / "bin" / "labkit")
        for chapter in notebooks.chapters():
            for framework in ("pytorch", "tensorflow"):
                command = [labkit, "run", "--force", "--framework", framework, chapter]
                say(f"`{chapter}`, {framework}, alone", timed(command, clone))
        both = [labkit, "run", "--force"]
        in_turn = timed([*both, "--jobs", "1"], clone)
        say("all notebooks in turn", in_turn)
        say("all notebooks, two side by side", timed([*both, "--jobs", "2"], clone))


if __name__ == "__main__":
    main()
