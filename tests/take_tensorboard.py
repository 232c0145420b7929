"""Take the pictures of TensorBoard for the chapter `watching`. Takes two minutes.

The chapter's own cells train both twins, each in a Python of its own; a real TensorBoard shows both
runs, and a real browser takes the pictures. Each carries the digest of the record that its run has
to agree with. Needs `pip install tensorboard`.
"""

import io
import subprocess
import sys
import tempfile
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pictures
from browser import opened
from conftest import ROOT
from PIL import Image

import labkit
from labkit import serve
from labkit.session import FRAMEWORKS

CHAPTER = "watching"
STEPS = ("data", "network", "folder", "train", "fit", "things", "outputs", "fill", "embedding")
"""The chapter's cells that are run for them."""
WIDTH, HEIGHT = 1100, 640
HIDE = """() => {
  const clean = root => {
    for (const node of root.querySelectorAll("*")) {
      if (node.id === "data-location") node.style.visibility = "hidden";
      if (node.shadowRoot) clean(node.shadowRoot);
    }
  };
  clean(document);
}"""
"""Takes the logs' folder off the page."""


def scalars(page):
    """Show both losses, one on the other."""
    page.get_by_role("combobox", name="Filter tags (regex)").fill("^loss$")
    page.locator("button", has_text="Settings").click()


def histograms(page):
    """Show the last layer's weights."""


SHOTS = {
    "scalars": ("", "timeseries", scalars),
    "histograms": ("", "histograms&tagFilter=head.*(weight|kernel)", histograms),
}
"""Name to the runs that are served, the page's address, and what is done there."""


def train(framework, folder):
    """Run a twin's cells with its logs in a folder, and hold its losses against the record."""
    labkit.start(CHAPTER, framework)
    scope = vars(sys.modules["__main__"])
    scope.update(
        labkit=labkit, lab=SimpleNamespace(scratch=folder, framework=framework, device="cpu")
    )
    for step, source, _ in pictures.cells(CHAPTER, STEPS, framework):
        exec(compile(source, step, "exec"), scope)
    due = labkit.record.course(CHAPTER, framework)["exact"]["losses"]
    if not np.allclose(scope["losses"], due, rtol=0, atol=labkit.twins.BOUND):
        raise RuntimeError(f"this is not the run of the record of {framework}: run the lab first")


def take(page, board, shot):
    """Open a tab, and return its picture."""
    _, place, prepare = SHOTS[shot]
    page.goto("about:blank")
    page.goto(f"{board.address}#{place}", wait_until="networkidle")
    page.wait_for_timeout(4_000)
    prepare(page)
    page.wait_for_timeout(3_000)
    page.evaluate(HIDE)
    return Image.open(io.BytesIO(page.screenshot()))


def main():
    with tempfile.TemporaryDirectory() as name:
        for framework in FRAMEWORKS:
            subprocess.run([sys.executable, __file__, framework, name], check=True)
        with opened() as browser:
            page = browser.new_page(viewport={"width": WIDTH, "height": HEIGHT})
            for shot, (runs, *_) in SHOTS.items():
                logs = f"{name}/runs/{runs}"
                command = ["tensorboard", "--logdir", logs, "--host", serve.HOST]
                with serve.program(
                    [*command, "--port", "{port}"], ready="/data/runs", seconds=120
                ) as board:
                    picture = take(page, board, shot)
                file = ROOT / "chapters" / f"{CHAPTER}-{shot}.png"
                pictures.save(picture, file, ROOT / "evidence", CHAPTER, "losses")
                print(f"{file.name} is written, {file.stat().st_size // 1024} KiB")


if __name__ == "__main__":
    if len(sys.argv) > 1:
        train(sys.argv[1], Path(sys.argv[2]))
    else:
        main()
