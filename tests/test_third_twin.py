"""The third twin: its arithmetic, its data, its rung, and its box in a browser."""

import json
import shutil
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from browser import browser_tests, violations
from conftest import ROOT
from directive import put
from serving import served
from sphinx.errors import ExtensionError
from third import CHAPTER, first_network, site, train

from labkit import data, record, twins
from labkit.press import chapter, prose, prove, third
from labkit.press.course import Course
from labkit.press.pages import third as box
from labkit.press.records import Records
from labkit.press.source import SourceError

NODE = shutil.which("node")
RECORDS = ROOT / "evidence" / "cpu"
STEPS = 60


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return site(tmp_path_factory.mktemp("third"))


@pytest.fixture(scope="module")
def address(folder):
    with served(folder) as found:
        yield found


@pytest.fixture
def run(request, folder, address, tmp_path):
    """Run a function's body in Node, or in Chromium where there is no Node; returns what it does.

    There `load(name)` is one of the modules, with texts in it replaced, and `data` the address.
    """

    def in_node(body, edits):
        code = tmp_path / "code"
        shutil.copytree(folder / "code", code, dirs_exist_ok=True)
        (code / "package.json").write_text('{"type": "module"}')
        _edit(code, edits)
        said = (
            f'const load = (n) => import("./code/" + n), data = "{address}third/{CHAPTER}";\n'
            f"console.log(JSON.stringify(await (async () => {{{body}}})()));"
        )
        (tmp_path / "main.mjs").write_text(said)
        done = subprocess.run(
            [str(NODE), "main.mjs"], cwd=tmp_path, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    def in_chromium(body, edits):
        shutil.copytree(folder, tmp_path / "site")
        _edit(tmp_path / "site" / "code", edits)
        with served(tmp_path / "site") as here:
            page = request.getfixturevalue("chromium").new_page()
            page.goto(f"{here}light.html")
            load = f'const load = (n) => import("/code/" + n), data = "{here}third/{CHAPTER}";'
            found = page.evaluate(f"async () => {{{load}\n{body}}}")
            page.close()
            return found

    return lambda body, edits=None: (in_node if NODE else in_chromium)(body, edits or {})


def _edit(code, edits):
    for old, new in edits.items():
        (file,) = [f for f in code.glob("*.js") if f.read_text().count(old) == 1]
        file.write_text(file.read_text().replace(old, new))


# --- the arithmetic --------------------------------------------------------------------------

TRAIN = """
const {load: fetched, pictures} = await load("data.js"), {Network} = await load("net.js");
const all = await fetched(data), {facts, order, labels, weights} = all;
const net = new Network(facts, weights), losses = [];
for (let step = 0; step < STEPS; step++) {
  const batch = order.subarray(step * facts.size, (step + 1) * facts.size);
  losses.push(net.step(pictures(all, batch), Array.from(batch, (i) => labels[i])));
}
return losses;
""".replace("STEPS", str(STEPS))
FAULTS = {
    "no momentum on a bias": {
        "this.momentum * velocity[i]": "(values.length > 64 ? this.momentum : 0) * velocity[i]"
    },
    "another order of the batches": {
        "const net = new": "order.reverse(); const net = new",
    },
    "a picture that is not padded on all sides": {"(i / 3 | 0) - 1": "(i / 3 | 0)"},
    "a gradient through what ReLU cut": {"if (dense.y[i] <= 0)": "if (dense.y[i] < 0)"},
    "a loss that is summed": {"(p - (k === labels[n])) / count": "p - (k === labels[n])"},
    "the first of four for the largest": {"x[other] > x[best]": "x[other] > x[best] + 9"},
    "a rate that is nearly right": {
        "this.rate * velocity[i]": "this.rate * (1 + 1e-8) * velocity[i]"
    },
}


def third_rung(folder, losses=()):
    """What the third twin's rung says when its record begins with other losses."""
    (folder / "cpu").mkdir(parents=True, exist_ok=True)
    for framework in chapter.FRAMEWORKS:
        shutil.copy(RECORDS / f"{CHAPTER}.{framework}.json", folder / "cpu")
    name = f"{CHAPTER}.{third.NAME}.json"
    content = record.read(RECORDS / name)
    content["exact"]["losses"][: len(losses)] = losses
    (folder / "cpu" / name).write_text(record.dumps(content))
    return prove.of_chapter(Records(folder), first_network()[0].lab)[-1]


def test_plain_javascript_computes_what_pytorch_does(run, tmp_path):
    losses = run(TRAIN)
    _, exact = first_network()
    gap = twins.compare(losses, exact["losses"][:STEPS]).largest
    assert gap < 1e-13  # far from the bound of 1e-10
    assert third_rung(tmp_path, losses).holds


@pytest.mark.parametrize("fault", FAULTS)
def test_a_planted_fault_breaks_the_rung(run, tmp_path, fault):
    edits = dict(FAULTS[fault])
    body = TRAIN
    for old in [old for old in edits if old in TRAIN]:
        body = body.replace(old, edits.pop(old))
    step = third_rung(tmp_path, run(body, edits))
    assert (step.name, step.holds) == ("third twin", False)
    assert "losses of PyTorch: from step " in step.detail


def test_digits_that_agree_are_counted(run):
    pairs = [(1, 1), (2.5, 2.5000001), (1, 2), (0.054, 0.0540001), (1e-3, -1e-3), (1, None)]
    found = run(f"""const {{digits}} = await load("agree.js");
        return {json.dumps(pairs)}.map(([a, b]) => digits(a, b ?? NaN));""")
    assert found == [15, 7, 0, 5, 0, 0]


def test_the_same_digits_are_marked(run):
    found = run("""const {shared} = await load("agree.js");
        return [shared(0.25, 0.25), shared(1.5, 1.25)];""")
    assert found == [["0.250000000000000", ""], ["1.", "500000000000000"]]


# --- what is drawn ---------------------------------------------------------------------------


def drawn(run, strokes, ink=310):
    found = run(f"""const {{picture}} = await load("bitmap.js");
        return Array.from(picture({json.dumps(strokes)}, {ink}));""")
    return np.array(found).reshape(8, 8)


def test_blocks_of_a_bitmap_are_counted(run):
    found = run("""const {blocks} = await load("bitmap.js"), on = new Uint8Array(1024);
        on.fill(1, 0, 4); on.fill(1, 32, 35); on[1023] = 1;
        return Array.from(blocks(on));""")
    assert (found[0], found[63], sum(found)) == (7, 1, 8)


@pytest.mark.parametrize("size", [10, 200])
def test_a_drawn_digit_is_brought_to_the_pictures_size(run, size):
    """Wherever it is drawn, and however small: it reaches from top to bottom, in the middle."""
    seven = [[[x * size + 17, y * size + 5] for x, y in ((0, 0), (0.7, 0), (0.3, 1))]]
    picture = drawn(run, seven)
    assert abs(picture.sum() - 310) < 20
    assert picture[0].any()
    assert picture[7].any()
    assert picture[:, 0].sum() < 16 > picture[:, 7].sum()
    assert picture.max() == 16


def test_a_one_stays_narrow_and_a_dot_is_a_dot(run):
    one, dot = drawn(run, [[[5, 0], [5, 40]]]), drawn(run, [[[3, 3]]])
    assert not one[:, [0, 1, 6, 7]].any()
    assert one[:, 3:5].all()
    assert (dot == dot[::-1, ::-1]).all()
    assert 0 < dot.sum() < 100


def test_what_the_page_says_of_the_pictures_is_so():
    """Ink reaches from the first row to the last in all of them, and only ones are narrow."""
    digits = data.images("digits")
    images = np.concatenate([digits.train_images, digits.test_images])[..., 0]
    labels = np.concatenate([digits.train_labels, digits.test_labels])
    assert images[:, [0, 7]].any(axis=2).all()
    columns = (images > 0).any(axis=1)
    widths = 8 - columns.argmax(axis=1) - columns[:, ::-1].argmax(axis=1)
    assert (widths[labels != 1] >= 6).mean() > 0.85
    assert (widths[labels == 1] < 6).mean() > 0.45
    ink = [16 * images[labels == digit].sum(axis=(1, 2)).mean() for digit in range(10)]
    assert max(ink) < 1.1 * min(ink)


# --- the data --------------------------------------------------------------------------------


def test_the_data_is_what_the_notebooks_train_with():
    loaded, exact = first_network()
    facts, packed = third.files(loaded, exact).values()
    facts, at, found = json.loads(facts), 0, {}
    for name, kind in third._DTYPES.items():
        found[name] = np.frombuffer(packed, kind, facts["arrays"][name], at)
        at += found[name].nbytes
    assert at == len(packed) < 310_000
    digits = data.images("digits")
    images = np.concatenate([digits.train_images, digits.test_images])
    assert np.array_equal(found["images"] / 16, images.ravel())
    assert np.array_equal(found["labels"][1440:], digits.test_labels)
    order = np.concatenate(list(twins.batches(1440, 32, epochs=12)))
    assert np.array_equal(found["order"], order)
    assert found["weights"].size == exact["parameters"]


def test_a_network_drawn_by_its_shapes_is_the_one_drawn_by_its_layers():
    from torch import nn

    net = nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(144, 2))
    first = twins.first_weights(net, seed=3)
    again = twins.draw({name: values.shape for name, values in first.items()}, seed=3)
    assert list(again) == list(first)
    assert all(np.array_equal(again[name], first[name]) for name in first)


def test_making_it_imports_no_framework():
    code = (
        "import sys; from pathlib import Path; from labkit.press import third; "
        "from labkit.press.course import Course; "
        "course = Course.read(Path('.')); path = course.records.path('first-network', 'pytorch'); "
        "third.files(course.chapter('first-network'), course.records.read(path)['exact']); "
        "print({'torch', 'tensorflow', 'keras'} & {*sys.modules})"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout == "set()\n", done.stderr


def edited(old, new):
    """The chapter with a text of its PyTorch cells replaced."""
    loaded = chapter.load(ROOT / "chapters" / f"{CHAPTER}.md")
    cells = [c for c in loaded.cells_of("pytorch") if c.kind == "code" and old in c.source]
    assert cells
    for cell in cells:
        cell.source = cell.source.replace(old, new)
    return loaded


def test_the_training_is_read_off_the_chapters_code():
    how = third.training(first_network()[0])
    assert how == third.Training(seed=1, size=32, epochs=12, rate=0.125, momentum=0.875)
    assert third.training(edited("lr=0.125", "lr=0.25")).rate == 0.25
    assert third.training(edited("32, epochs=12)", "16, epochs=3)")).size == 16


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("lr=0.125,", "lr=rate,", "knows SGD with numbers for lr, momentum alone"),
        ("lr=0.125, momentum=0.875", "0.125, momentum=0.875", "knows SGD with numbers"),
        ("momentum=0.875", "momentum=0.875, nesterov=True", "knows SGD with numbers"),
        ("momentum=0.875", "momentum=0.875, weight_decay=decay", "knows SGD with numbers"),
        ("len(x_train), 32, epochs=12", "9, 32, epochs=1, seed=2", "knows batches with numbers"),
        ("torch.optim.SGD(", "torch.optim.Adam(", "no call of SGD up to the step 'train'"),
    ],
)
def test_a_training_that_the_third_twin_does_not_know_is_named(old, new, words):
    with pytest.raises(SourceError, match=rf"first-network\.md:\d+: .*{words}"):
        third.training(edited(old, new))


def test_a_step_that_the_chapter_does_not_have_is_named(course):
    path = course / "chapters" / "tiny.md"
    path.write_text(path.read_text().replace("lab: {", "lab: {third: ad, "))
    with pytest.raises(SourceError, match=r"tiny\.md:4: lab\.third: no step 'ad'; .*'add'"):
        chapter.load(path)


def test_a_record_without_losses_is_named():
    loaded, exact = first_network()
    with pytest.raises(record.RecordError, match="no 'losses', which the third twin needs"):
        third.files(loaded, {k: v for k, v in exact.items() if k != "losses"})


# --- the rung --------------------------------------------------------------------------------


def test_without_its_record_the_rung_is_no_pass(tmp_path):
    third_rung(tmp_path)
    (tmp_path / "cpu" / f"{CHAPTER}.{third.NAME}.json").unlink()
    lab = first_network()[0].lab
    step = prove.of_chapter(Records(tmp_path), lab)[-1]
    assert (step.name, step.holds) == ("third twin", False)
    assert step.detail.startswith("not yet run in a browser")
    names = [s.name for s in prove.of_chapter(Records(tmp_path), lab, mine=True)]
    assert "third twin" not in names
    assert len(prove.of_chapter(Records(tmp_path), replace(lab, third=""))) == len(names)


@pytest.mark.parametrize("field", ["trained", "evaluation"])
def test_other_weights_after_training_break_it(tmp_path, field):
    """Though the losses are the same."""
    third_rung(tmp_path)
    path = tmp_path / "cpu" / f"{CHAPTER}.{third.NAME}.json"
    content = record.read(path)
    noted = content["exact"]["ladder"]
    numbers = noted["trained"]["1.conv.bias"] if field == "trained" else noted[field]["projections"]
    numbers[1] *= 1 + 1e-8
    path.write_text(record.dumps(content))
    step = prove.of_chapter(Records(tmp_path), first_network()[0].lab)[-1]
    assert not step.holds
    assert f"{field} of PyTorch" in step.detail


# --- the box ---------------------------------------------------------------------------------


def test_the_box_is_hidden_until_its_script_finds_it():
    html, noted = put(box.ThirdTwin, ROOT, CHAPTER)
    assert html.split(">", 1)[0].endswith(" hidden")
    assert 'src="../_static/third/loader.js"' in html
    assert 'data-data="../third/first-network"' in html
    assert noted == {"third-twin": CHAPTER}


def test_a_chapter_without_a_third_twin_is_named(course):
    with pytest.raises(ExtensionError, match=r"tiny has no third twin: .* `lab\.third`"):
        put(box.ThirdTwin, course, "tiny")


def test_a_chapter_that_has_not_run_shows_no_box(course):
    path = course / "chapters" / "tiny.md"
    path.write_text(path.read_text().replace("lab: {", "lab: {third: add, "))
    assert put(box.ThirdTwin, course, "tiny") == ("", {})


def test_a_notebook_says_where_the_box_is():
    said = prose.plain(f"```{{third-twin}} {CHAPTER}\n```", Course.read(ROOT), ROOT / "x.md", 1)
    assert said.startswith("> [In the book, the page itself trains this network](http")


def test_a_page_loads_a_loader_and_no_more(folder):
    assert (folder / "code" / "loader.js").stat().st_size < 2000


@pytest.fixture
def page(chromium, address):
    """A page that fails the test for any error in its console and any request to elsewhere."""
    faults = []
    context = chromium.new_context(viewport={"width": 900, "height": 900}, base_url=address)
    tab = context.new_page()
    tab.on("console", lambda m: faults.append(m.text) if m.type in ("error", "warning") else None)
    tab.on("pageerror", lambda e: faults.append(str(e)))
    tab.on("request", lambda r: r.url.startswith(address) or faults.append(f"asks for {r.url}"))
    yield tab
    context.close()
    assert not faults


def press(page, name):
    page.get_by_role("button", name=name, exact=True).click()


def some_steps(page, path="light.html", steps=8):
    """Train for a few steps and stop."""
    page.goto(path)
    press(page, "Train it here")
    twin = 'document.querySelector(".third-twin").thirdTwin'
    page.wait_for_function(f"{twin}?.losses?.length >= {steps}", timeout=60_000)
    press(page, "Stop")
    page.get_by_role("button", name="Go on").wait_for()
    return page.evaluate(f"{twin}.losses")


def write(page, points):
    """Draw a stroke, in parts of the field."""
    field = page.locator(".third-surface")
    field.scroll_into_view_if_needed()
    at = field.bounding_box()
    for number, (x, y) in enumerate(points):
        page.mouse.move(at["x"] + x * at["width"], at["y"] + y * at["height"], steps=5)
        if not number:
            page.mouse.down()
    page.mouse.up()


def answer(page):
    said = page.locator(".third-pad [role=status]")
    page.wait_for_function("document.querySelector('.third-pad [role=status]').textContent")
    return said.inner_text()


@browser_tests
class TestInABrowser:
    def test_it_trains_to_the_end_as_its_record_says(self, page, address, tmp_path):
        """What CI's browser computes is the committed record, and that holds the rung."""
        fresh = train(page, address)
        committed = record.read(RECORDS / f"{CHAPTER}.{third.NAME}.json")
        assert record.same(fresh["exact"], committed["exact"])
        assert third_rung(tmp_path, fresh["exact"]["losses"]).holds
        right = round(357 * first_network()[1]["test_accuracy"])
        said = page.locator("p[role=status]").first.inner_text()
        assert f"Of 357 test digits it reads {right}; PyTorch read {right}." in said
        agree = page.locator(".third-agree").inner_text()
        assert "In all 540 steps at least 1" in agree
        assert "is within the proof's bound of 1e-10" in agree
        write(page, [(0.2, 0.25), (0.4, 0.07), (0.7, 0.12), (0.7, 0.35), (0.2, 0.93), (0.85, 0.93)])
        assert answer(page).startswith("Your digit is read as 2, with probability")
        assert page.locator(".third-best").inner_text().split()[0] == "2"
        press(page, "Clear")
        assert page.locator(".third-best").count() == 0

    def test_it_stops_and_goes_on_with_the_same_numbers(self, page):
        first = some_steps(page)
        press(page, "Go on")
        twin = 'document.querySelector(".third-twin").thirdTwin'
        page.wait_for_function(f"{twin}.losses.length >= {len(first) + 8}")
        press(page, "Stop")
        page.get_by_role("button", name="Go on").wait_for()
        losses = page.evaluate(f"{twin}.losses")
        _, exact = first_network()
        assert losses[: len(first)] == first
        assert twins.compare(losses, exact["losses"][: len(losses)]).largest < 1e-12

    def test_a_page_says_what_is_wrong_with_its_numbers(self, page):
        """The count of digits is computed: a record that is a little off shows in it."""
        page.route(
            "**/third/*.json",
            lambda route: route.fulfill(
                json={
                    **(facts := route.fetch().json()),
                    "losses": [x * 1.0001 for x in facts["losses"]],
                }
            ),
        )
        some_steps(page)
        assert "at least 4 significant digits agree" in page.locator(".third-agree").inner_text()

    def test_the_keyboard_does_all_but_drawing(self, page):
        page.goto("light.html")
        page.get_by_role("button", name="Train it here").wait_for()
        page.keyboard.press("Tab")
        page.keyboard.press("Enter")
        twin = 'document.querySelector(".third-twin").thirdTwin'
        page.wait_for_function(f"{twin}?.losses?.length >= 5")
        page.keyboard.press("Enter")
        page.get_by_role("button", name="Go on").wait_for()
        assert page.evaluate("document.activeElement.textContent") == "Go on"
        for _ in range(2):  # Clear, then the number
            page.keyboard.press("Tab")
        page.keyboard.press("ArrowUp")
        digits = data.images("digits")
        shows = f"Picture 2 of the test set shows a {digits.test_labels[1]}. It is read as "
        assert answer(page).startswith(shows)
        page.keyboard.press("Tab")
        page.keyboard.press("Enter")
        page.get_by_text(f"Picture 3 of the test set shows a {digits.test_labels[2]}").wait_for()

    @pytest.mark.parametrize("scheme", ["light", "dark"])
    def test_axe_finds_nothing(self, page, scheme):
        some_steps(page, f"{scheme}.html")
        press(page, "Next picture")
        answer(page)
        found = violations(page)
        assert {v["id"]: v["nodes"][0]["html"] for v in found} == {}

    def test_a_phone_has_room_for_it_and_a_finger_draws(self, chromium, address):
        context = chromium.new_context(
            viewport={"width": 360, "height": 700}, has_touch=True, is_mobile=True, base_url=address
        )
        page = context.new_page()
        some_steps(page)
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        page.locator(".third-surface").tap()
        assert answer(page).startswith("Your digit is read as ")
        small = [b.bounding_box() for b in page.locator(".third-twin :is(button, input)").all()]
        assert all(b["height"] >= 44 and b["width"] >= 44 for b in small)
        context.close()

    def test_nothing_is_shown_without_javascript(self, chromium, address):
        context = chromium.new_context(java_script_enabled=False, base_url=address)
        page = context.new_page()
        page.goto("light.html")
        assert page.locator("main").inner_text().strip() == "A page"
        context.close()

    def test_a_page_opened_as_a_file_says_so(self, chromium, folder):
        page = chromium.new_page()
        page.goto((folder / "light.html").as_uri())
        page.get_by_text("This page was opened as a file").wait_for()
        assert page.get_by_role("button").count() == 0
        page.close()

    def test_data_that_is_missing_is_told_and_can_be_asked_for_again(self, chromium, address):
        page = chromium.new_page(base_url=address)
        page.route("**/third/*.bin", lambda route: route.fulfill(status=404))
        page.goto("light.html")
        press(page, "Train it here")
        page.get_by_text("It cannot be trained: ").wait_for()
        assert "first-network.bin cannot be loaded (404)" in page.locator("main").inner_text()
        page.unroute("**/third/*.bin")
        press(page, "Try again")
        page.get_by_role("button", name="Stop").wait_for()
        page.close()
