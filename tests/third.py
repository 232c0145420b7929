"""The third twin in a browser, without the book around it."""

import shutil

from conftest import ROOT

from labkit.press import third
from labkit.press.course import Course
from labkit.press.pages.html import render
from labkit.press.pages.shell import STATIC

CHAPTER = "first-network"
COLOURS = {"light": ("#fff", "#222832", "#48566b"), "dark": ("#121212", "#ced6dd", "#9ca4af")}
"""The theme's: paper, ink, and ink that steps back."""
PAGE = """<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Third twin</title>
<meta name="viewport" content="width=device-width"><link rel="icon" href="data:,"><style>
:root {{ --twin-pytorch: #b8400e; --pst-color-text-base: {ink}; --pst-color-background: {paper};
  --pst-color-text-muted: {muted}; --pst-color-border: #777; --pst-color-surface: {paper} }}
body {{ background: {paper}; color: {ink} }}</style></head><body><main><h1>A page</h1>{box}</main>
</body></html>"""


def first_network():
    """The chapter that the third twin trains, and the exact part of PyTorch's record of it."""
    course = Course.read(ROOT)
    path = course.records.path(CHAPTER, "pytorch")
    return course.chapter(CHAPTER), course.records.read(path)["exact"]


def site(folder):
    """Write a small site with nothing on its pages but the third twin, one light and one dark."""
    shutil.copytree(STATIC / "third", folder / "code")
    for name, data in third.files(*first_network()).items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(data)
    box = render("third", code="code/", data=f"{third.FOLDER}/{CHAPTER}")
    for name, (paper, ink, muted) in COLOURS.items():
        page = PAGE.format(box=box, paper=paper, ink=ink, muted=muted)
        (folder / f"{name}.html").write_text(page)
    return folder


def train(page, address):
    """Press the button, wait for the last step, and return the record of the training."""
    page.goto(f"{address}light.html")
    page.get_by_role("button", name="Train it here").click()
    page.get_by_role("button", name="Train again").wait_for(timeout=500_000)
    told = page.evaluate("""async () => {
      const {losses, ask} = document.querySelector(".third-twin").thirdTwin;
      return {losses, weights: await ask("weights"), scores: await ask("test")};
    }""")
    _, exact = first_network()
    return third.noted(CHAPTER, exact, told, f"Chromium {page.context.browser.version}")
