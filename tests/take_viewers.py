"""Take the picture of both LSTMs in Model Explorer for the chapter `watching`. Takes a minute.

The chapter's own cells build the networks; a real server shows the files that they are exported to,
and a real browser takes the pictures, with every request that would leave this machine refused.
Needs `pip install ai-edge-model-explorer` (half a gigabyte) beside what the chapter needs.
"""

import io
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from types import SimpleNamespace
from urllib.parse import quote

import pictures
from browser import opened
from conftest import ROOT
from PIL import Image, ImageChops

import labkit
from labkit import serve
from labkit.session import FRAMEWORKS

CHAPTER = "watching"
STEPS = ("data", "network", "rows")
"""The chapter's cells that are run for the files."""
FLAGS = ("--no-sandbox", "--use-angle=swiftshader", "--enable-unsafe-swiftshader")
"""Model Explorer draws by WebGL."""
ADAPTERS = {
    "pytorch": ("lstm.pt2", "builtin_pytorch_exportedprogram"),
    "tensorflow": ("lstm/saved_model.pb", "builtin_tf_mlir"),
}
SPACE, WIDTH, HEIGHT = 60, 1480, 1000


def export(framework, folder):
    """Run a twin's cells, and write its LSTM for the viewer."""
    labkit.start(CHAPTER, framework)
    scope = vars(sys.modules["__main__"])
    scope.update(labkit=labkit, lab=SimpleNamespace(scratch=folder, device="cpu"))
    for step, source, _ in pictures.cells(CHAPTER, STEPS, framework):
        if step == "rows":  # it takes the network and some pictures from cells in between
            images = scope["digits"].test_images[:1]
            scope.update(net=scope["build"](1), shown=images)
            if framework == "pytorch":
                scope["test"] = scope["to_tensor"](images)
        exec(compile(source, step, "exec"), scope)
    net, x = scope["models"]["lstm"]
    if framework == "pytorch":
        torch = scope["torch"]
        torch.export.save(torch.export.export(net, (x,)), folder / ADAPTERS[framework][0])
    else:
        net.export(folder / "lstm", verbose=False)


def shoot(browser, address, framework, folder):
    """Show a file in Model Explorer with all its layers open, and return the middle of the page."""
    page = browser.new_page(viewport={"width": WIDTH, "height": HEIGHT})

    def decide(route):
        url = route.request.url
        away = not url.startswith(address) or "check_new_version" in url
        route.abort() if away else route.continue_()

    page.route("**/*", decide)
    file, adapter = ADAPTERS[framework]
    wanted = {"models": [{"url": str(folder / file), "adapterId": adapter}]}
    page.goto(f"{address}?data={quote(json.dumps(wanted))}")
    page.locator("canvas").first.wait_for(timeout=60_000)
    page.wait_for_timeout(3_000)
    page.locator(".expand-all").first.click()
    page.wait_for_timeout(2_000)
    page.get_by_text("fit_screen").first.click()
    page.mouse.move(WIDTH / 2, HEIGHT - 5)
    page.wait_for_timeout(2_000)
    # Beside the middle stand tools, and a panel of numbers.
    return page.screenshot(clip={"x": 130, "y": 105, "width": 980, "height": HEIGHT - 150})


def beside(shots):
    """Set pictures side by side, without the white around them."""
    cut = []
    for shot in shots:
        picture = Image.open(io.BytesIO(shot)).convert("RGB")
        white = Image.new("RGB", picture.size, "white")
        cut.append(picture.crop(ImageChops.difference(picture, white).getbbox()))
    width = sum(p.width for p in cut) + SPACE * (len(cut) - 1)
    whole, left = Image.new("RGB", (width, max(p.height for p in cut)), "white"), 0
    for picture in cut:
        whole.paste(picture, (left, 0))
        left += picture.width + SPACE
    whole.thumbnail((1700, 1000), Image.Resampling.LANCZOS)
    return whole


def main():
    with tempfile.TemporaryDirectory() as name:
        for framework in FRAMEWORKS:
            subprocess.run([sys.executable, __file__, framework, name], check=True)
        command = [sys.executable, "-m", "model_explorer", "--no_open_in_browser"]
        command += ["--skip_health_check", "--host", serve.HOST, "--port", "{port}"]
        with serve.program(command, seconds=120) as server, opened(FLAGS) as browser:
            shots = [shoot(browser, server.address, f, Path(name)) for f in FRAMEWORKS]
        file = ROOT / "chapters" / f"{CHAPTER}-lstm.png"
        pictures.save(beside(shots), file, ROOT / "evidence", CHAPTER, "loops")
        print(f"{file.name} is written, {file.stat().st_size // 1024} KiB")


if __name__ == "__main__":
    if len(sys.argv) > 1:
        export(sys.argv[1], Path(sys.argv[2]))
    else:
        main()
