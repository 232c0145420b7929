"""Take the picture of TensorBoard's Debugger V2 for the chapter `debugging`. Takes a minute.

The chapter's own cells plant the bug and dump its training; a real TensorBoard shows the dump, and
a real browser takes the picture. Needs `pip install tensorboard`, which no
lab needs (2.20 needs setuptools<81, too).
"""

import linecache
import os
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from urllib.request import urlopen

import pictures
from browser import opened
from conftest import ROOT
from PIL import Image

import labkit

PICTURE = ROOT / "chapters" / "debugging-debugger-v2.png"
BUG = "log_of_zero"
STEPS = ("loader", "data", "net", "harness", "loop", "bugs-of-numbers", "eyes", "records")
"""The chapter's cells that are run for it; the last makes the dump."""
HIDE = """() => {
  const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  for (let node; (node = walk.nextNode());) {
    if (node.data.includes("Host name")) node.data = "";
    node.data = node.data.replace(/\\S*\\/(?=cell_\\d+\\.py)/, "");
  }
}"""
"""Takes the machine's name and the dump's folder off the page."""


def dump(folder):
    """Run the chapter's TensorFlow cells, with the dumps kept in a folder."""
    scope = vars(sys.modules["__main__"])  # where the chapter's harness looks for names
    scope.update(labkit=labkit, lab=SimpleNamespace(scratch=folder, device="cpu"))
    for _, source, place in pictures.cells("debugging", STEPS, "tensorflow"):
        file = f"cell_{place}.py"
        lines = (source + "\n").splitlines(keepends=True)
        linecache.cache[file] = len(source), None, lines, file
        exec(compile(source, file, "exec"), scope)


@contextmanager
def tensorboard(folder):
    """Serve a dump on this machine alone, and yield the address."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "tensorboard.main", "--logdir", str(folder)]
    process = subprocess.Popen(
        [*command, "--host", "127.0.0.1", "--port", str(port)],
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"},
    )
    try:
        end = time.monotonic() + 120
        while not answers(f"http://127.0.0.1:{port}/"):
            if process.poll() is not None or time.monotonic() > end:
                raise RuntimeError("TensorBoard does not start")
            time.sleep(1)
        yield f"http://127.0.0.1:{port}/"
    finally:
        process.terminate()
        process.wait(30)


def answers(address):
    """Say whether a server answers yet."""
    try:
        with urlopen(address, timeout=5):
            return True
    except OSError:
        return False


def main():
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        dump(folder)
        with tensorboard(folder / BUG) as address, opened() as browser:
            page = browser.new_page(viewport={"width": 1280, "height": 800})
            page.goto(f"{address}#debugger-v2")
            page.get_by_text("NaN/∞").first.click(timeout=60_000)
            page.get_by_text("Log:0", exact=True).first.click()
            frames = page.locator(".stack-frame-container, .stack-frame-array > *")
            frame = frames.filter(has_text="loss_of").last
            frame.get_by_text("Line ").click()
            # The machine's name and the dump's folder are nobody's business.
            page.wait_for_timeout(4_000)
            page.evaluate(HIDE)
            page.screenshot(path=PICTURE)
    picture = Image.open(PICTURE).convert("P", palette=Image.Palette.ADAPTIVE, colors=64)
    picture.save(PICTURE, optimize=True)
    print(f"{PICTURE.name} is written, {PICTURE.stat().st_size // 1024} KiB")


if __name__ == "__main__":
    main()
