"""Measure the numbers that stand in CONTRIBUTING.md: `make numbers`. Takes about ten minutes.

Everything happens in a fresh clone in a temporary folder; what is not committed is not measured.
"""

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parents[1]


def timed(command, cwd, **environment):
    """Run a command to its end and return its seconds."""
    begin = time.perf_counter()
    done = subprocess.run(
        command,
        cwd=cwd,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        sys.exit(f"{command} failed:\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}")
    return time.perf_counter() - begin


def say(what, value, bound):
    print(f"| {what} | {value} | {bound} |", flush=True)


def main():
    with tempfile.TemporaryDirectory() as folder:
        clone = Path(folder) / "clone"
        subprocess.run(["git", "clone", "-q", str(ROOT), str(clone)], check=True)
        labkit = str(clone / ".venv" / "bin" / "labkit")
        print("| what | measured | bound |\n|---|---|---|")
        took = timed(["make", "book"], clone)
        say("clean clone to rendered book, warm download cache", f"{took:.0f} s", "5 min")
        say("`make book` again", f"{timed(['make', 'book'], clone):.0f} s", "seconds")

        one_core = ["taskset", "-c", "0"] if sys.platform == "linux" else []
        for framework in ("pytorch", "tensorflow"):
            took = timed([*one_core, labkit, "run", "--force", "--framework", framework], clone)
            say(f"all {framework} notebooks, in turn, on one core", f"{took:.0f} s", "90 s each")

        ratios = []
        for _ in range(3):
            turn = timed([labkit, "run", "--force", "--jobs", "1"], clone)
            ratios.append(turn / timed([labkit, "run", "--force", "--jobs", "2"], clone))
        low, middle, high = sorted(ratios)
        say(
            "twins side by side against in turn",
            f"{middle:.2f} times as fast ({low:.2f} to {high:.2f}, 3 pairs)",
            "1.7",
        )

        page = clone / "chapters" / "first-network.md"
        text = page.read_text()
        page.write_text(text.replace("A handwritten 4 is", "A handwritten 4, say, is"))
        say("changed prose to rebuilt page", f"{timed(['make', 'book'], clone):.0f} s", "10 s")
        page.write_text(text)
        timed(["make", "book"], clone)

        pip = [str(clone / ".venv" / "bin" / "python"), "-m", "pip", "install", "-q", "nbval"]
        timed(pip, clone)
        pytest = [str(clone / ".venv" / "bin" / "python"), "-m", "pytest", "-q", "--nbval", "labs"]
        for _ in range(5):
            timed(pytest, clone, LABKIT_RECORDS=folder)
        say("strict nbval runs in a row that pass", 5, 5)

        for _ in range(10):
            timed([labkit, "run", "--force"], clone)
        changed = subprocess.run(
            ["git", "status", "--porcelain"], cwd=clone, capture_output=True, text=True, check=True
        )
        lines = len(changed.stdout.splitlines())
        say("files that ten forced runs change", lines, 0)


if __name__ == "__main__":
    main()
