"""The film of a training: packed and read back, made into a page's data, and moved in a browser."""

import copy
import gzip
import io
import json
import re
import shutil

import numpy as np
import pytest
from browser import browser_tests, settle, violations
from conftest import ROOT
from directive import put
from PIL import Image
from serving import served
from sphinx.errors import ExtensionError

from labkit import film as films
from labkit import record
from labkit.press import film, prose
from labkit.press.chapter import FRAMEWORKS
from labkit.press.course import Course
from labkit.press.pages import film as figure
from labkit.press.pages.shell import STATIC

CHAPTER = "inside"
"""Whose film the browser shows."""
STEPS = (0, 1, 5)


def frames(seed=0, pictures=3, kernels=2):
    """Three small frames, by chance."""
    rng = np.random.default_rng(seed)

    def one():
        chances = rng.random((pictures, 4)) + 0.1
        return films.Frame(
            rng.standard_normal((3, 3, kernels)),
            np.maximum(0, rng.standard_normal((pictures, 5, 5, kernels))),
            chances / chances.sum(axis=1, keepdims=True),
        )

    return {step: one() for step in STEPS}


def packed(found=None, labels=(0, 1, 3)):
    images = np.linspace(0, 1, len(labels) * 25).reshape(len(labels), 5, 5)
    return films.pack(found or frames(), images, labels, "abcd")


def exact():
    """Framework to the exact part of the course's record."""
    records = Course.read(ROOT).records
    return {f: records.read(records.path(CHAPTER, f))["exact"] for f in FRAMEWORKS}


# --- packing ---------------------------------------------------------------------------------


def test_what_is_packed_is_read_back():
    found = frames()
    read = films.unpack(json.loads(json.dumps(packed(found))))
    assert (read.steps, read.classes, read.labels) == (STEPS, ("a", "b", "c", "d"), (0, 1, 3))
    for number, frame in enumerate(found.values()):
        kernels = np.moveaxis(frame.kernels, -1, 0)
        maps = np.moveaxis(frame.maps, -1, 1)
        assert np.abs(read.kernels.values[number] - kernels).max() <= read.kernels.scale / 254
        assert np.abs(read.maps.values[number] - maps).max() <= read.maps.scale / 510 + 1e-12
        assert np.array_equal(read.chances[number], frame.chances)
    assert read.images.values[-1, -1, -1] == 1


def test_a_record_takes_it():
    assert record.plain("film", packed()) == packed()


def test_rounding_changes_no_byte():
    """Another processor's last bits, a hundred times over."""
    first, rng = packed(), np.random.default_rng(1)
    for _ in range(100):
        moved = {
            step: films.Frame(*(part * (1 + 1e-13 * rng.standard_normal()) for part in frame))
            for step, frame in frames().items()
        }
        again = packed(moved)
        assert again["maps"] == first["maps"]
        assert again["kernels"] == first["kernels"]
        assert record.same(again, first)


def test_the_committed_films_stand_far_from_where_a_byte_changes():
    """What the twins compute agrees to 1e-14; both have rounded it alike."""
    first, second = (films.unpack(content["film"]) for content in exact().values())
    assert np.array_equal(first.maps.kept, second.maps.kept)
    assert np.array_equal(first.kernels.kept, second.kernels.kept)
    assert np.abs(first.chances - second.chances).max() < 1e-12


def test_zero_is_zero_and_nothing_has_a_scale():
    none = {0: films.Frame(np.zeros((3, 3, 2)), np.zeros((3, 5, 5, 2)), np.full((3, 4), 0.25))}
    read = films.unpack(packed(none))
    assert not read.kernels.values.any()
    assert read.maps.scale > 0
    signed = frames()
    signed[0].kernels[1, 1, 0] = 0
    assert films.unpack(packed(signed)).kernels.values[0, 0, 1, 1] == 0


@pytest.mark.parametrize(
    ("edit", "words"),
    [
        (lambda f: f.clear(), "frames at rising steps, not at"),
        (lambda f: f.update({2: f.pop(0)}), "frames at rising steps"),
        (lambda f: f.update({9: frames(kernels=3)[0]}), "step 9 has another form"),
        (lambda f: f.update({5: f[5]._replace(maps=-f[5].maps)}), "negative numbers.*ReLU"),
        (lambda f: f[1].chances.fill(np.nan), "probabilities hold a number that is not finite"),
        (lambda f: f[1].kernels.fill(np.inf), "kernels hold a number that is not finite"),
    ],
)
def test_frames_that_make_no_film_are_named(edit, words):
    found = frames()
    edit(found)
    with pytest.raises(ValueError, match=words):
        films.pack(found, np.zeros((3, 5, 5)), (0, 1, 3), "abcd")


@pytest.mark.parametrize(
    ("images", "labels", "classes", "words"),
    [
        (np.zeros((3, 5, 5, 1)), (0, 1, 3), "abcd", "maps of 3 pictures, images"),
        (np.zeros((3, 5, 5)), (0, 1), "abcd", "2 labels"),
        (np.zeros((3, 5, 5)), (0, 1, 3), "abc", "not one a class"),
    ],
)
def test_pictures_that_do_not_fit_are_named(images, labels, classes, words):
    with pytest.raises(ValueError, match=words):
        films.pack(frames(), images, labels, classes)


@pytest.mark.parametrize(
    "edit",
    [
        lambda c: c.pop("maps"),
        lambda c: c["maps"].update(bytes="no bytes"),
        lambda c: c["maps"].update(shape=[1, 2]),
        lambda c: c["maps"].update(kind="i1"),
        lambda c: c["steps"].pop(),
        lambda c: c["chances"].pop(),
        lambda c: c["labels"].__setitem__(0, 4),
        lambda c: c.update(kernels=None),
    ],
)
def test_what_is_no_film_is_an_error_of_the_record(edit):
    content = packed()
    edit(content)
    with pytest.raises(record.RecordError, match="no film can be read"):
        films.unpack(content)


# --- the page's data -------------------------------------------------------------------------


def both(first=None, second=None):
    return {
        "pytorch": films.unpack(first or packed()),
        "tensorflow": films.unpack(second or packed()),
    }


def test_from_when_on_a_picture_is_read_rightly():
    """There, at each later step, and by both twins."""
    right = np.array([[1, 0, 1, 1], [0, 1, 1, 1], [1, 1, 1, 0]], bool)  # frames by pictures
    chances = np.where(right[..., None], [0.7, 0.1, 0.1, 0.1], [0.1, 0.7, 0.1, 0.1])
    found = frames(pictures=4)
    for frame, row in zip(found.values(), chances, strict=True):
        frame.chances[:] = row
    one = packed(found, labels=(0, 0, 0, 0))
    assert film.settles(both(one, one)) == [2, 1, 0, None]
    later = copy.deepcopy(one)
    later["chances"][1][2] = [0.1, 0.7, 0.1, 0.1]
    assert film.settles(both(one, later)) == [2, 1, 2, None]


def test_equal_maps_are_sent_once_and_others_twice():
    other = packed()
    maps = bytearray(films.unpack(other).maps.kept.tobytes())
    maps[0] ^= 64
    other["maps"]["bytes"] = films.base64.b64encode(bytes(maps)).decode()
    assert set(film.files("x", both())) == {"film/x.json", "film/x.png"}
    names = {"film/x.json", "film/x.pytorch.png", "film/x.tensorflow.png"}
    assert set(film.files("x", both(second=other))) == names
    facts = json.loads(film.files("x", both(second=other))["film/x.json"])
    assert facts["apart"]["maps"][0][0] == pytest.approx(64 * other["maps"]["scale"] / 255)
    assert facts["apart"]["maps"][0][1] == 0 == facts["apart"]["kernels"][0]


def test_the_strip_shows_each_frames_maps():
    found = both()["pytorch"]
    picture = Image.open(io.BytesIO(film.strip(found)))
    shades = np.asarray(picture).reshape(3, 3, 5, 11)
    assert (shades[..., 5] == film.SHADES).all()  # the gap
    assert picture.info["transparency"] == film.SHADES
    again = (shades[2, 1, :, 6:] / (film.SHADES - 1)) ** 2 * found.maps.scale
    assert np.abs(again - found.maps.values[2, 1, 1]).max() < 0.02 * found.maps.scale
    ink = np.asarray(picture.convert("L")).reshape(3, 3, 5, 11)
    assert ink[..., :5][shades[..., :5] == 0].min() == 255


def test_the_pages_share_is_small():
    """Style, script, figure and data: over the wire, and as pictures come."""
    made = film.files(CHAPTER, film.films(CHAPTER, exact()))
    html = figure.figure(film.films(CHAPTER, exact()), 0, "code/", "data").encode()
    code = [(STATIC / "film" / name).read_bytes() for name in ("film.css", "film.js")]
    at_once = sum(len(gzip.compress(text)) for text in (html, *code))
    later = sum(len(b if n.endswith("png") else gzip.compress(b)) for n, b in made.items())
    assert at_once < 12 * 1024
    assert at_once + later < 60 * 1024


# --- the directive ---------------------------------------------------------------------------


def write(root, framework, content):
    (root / "evidence" / "cpu").mkdir(exist_ok=True)
    machine = record.machine()
    whole = {
        "schema": record.SCHEMA,
        "chapter": "tiny",
        "framework": framework,
        "machine": {"exact": machine, "measured": None},
        "exact": content,
        "measured": {},
    }
    path = root / "evidence" / "cpu" / f"tiny.{framework}.json"
    path.write_text(record.dumps(whole))


def test_the_figure_names_its_files():
    html, noted = put(figure.FilmFigure, ROOT, CHAPTER)
    assert noted == {"films": [CHAPTER]}
    assert f'data-data="../film/{CHAPTER}"' in html
    assert 'src="../_static/film/film.js"' in html
    assert 'href="../_static/film/film.css"' in html


def test_before_both_twins_have_run_nothing_is_shown(course):
    write(course, "pytorch", {"film": packed()})
    assert put(figure.FilmFigure, course, "tiny") == ("Not measured yet.", {})


def test_a_chapter_without_a_film_is_named(course):
    for framework in FRAMEWORKS:
        write(course, framework, {"losses": [1.0]})
    with pytest.raises(ExtensionError, match=r"tiny\.pytorch\.json holds no `film`"):
        put(figure.FilmFigure, course, "tiny")


def test_films_of_different_shape_are_named(course):
    write(course, "pytorch", {"film": packed()})
    write(course, "tensorflow", {"film": packed(frames(kernels=3))})
    with pytest.raises(ExtensionError, match="tiny: the twins' films differ in steps"):
        put(figure.FilmFigure, course, "tiny")


def test_a_broken_film_is_named_with_its_record(course):
    write(course, "pytorch", {"film": packed()})
    write(course, "tensorflow", {"film": {**packed(), "steps": [1]}})
    with pytest.raises(ExtensionError, match=r"tiny\.tensorflow\.json: no film can be read"):
        put(figure.FilmFigure, course, "tiny")


def test_a_notebook_says_where_the_figure_is():
    said = prose.plain(f"```{{film}} {CHAPTER}\n```", Course.read(ROOT), ROOT / "x.md", 1)
    assert re.fullmatch(r"> \[In the book, [^\]]+\]\(http\S+\)", said)


# --- in a browser ----------------------------------------------------------------------------

PAGE = """<!doctype html><html lang="en" data-theme="{theme}"><head><meta charset="utf-8">
<title>Film</title><meta name="viewport" content="width=device-width">
<link rel="icon" href="data:,"><style>:root {{ --pst-color-text-base: {ink};
--pst-color-background: {paper}; --pst-color-text-muted: {muted}; --pst-color-border: #777;
--pst-color-surface: {paper} }} body {{ background: {paper}; color: {ink} }}</style>
<link rel="stylesheet" href="page.css"><link rel="stylesheet" href="twins.css">
<link rel="stylesheet" href="cards.css"><script src="cards.js"></script></head>
<body><main class="bd-article"><h1>A page</h1>{box}</main></body></html>"""
COLOURS = {"light": ("#fff", "#222832", "#48566b"), "dark": ("#121212", "#ced6dd", "#9ca4af")}


def site(folder, contents):
    """Write a small site with nothing on its pages but the film, one light and one dark."""
    found = film.films(CHAPTER, contents)
    shutil.copytree(STATIC / "film", folder / "code")
    for name in ("page.css", "twins.css", "cards.css", "cards.js"):
        shutil.copy(STATIC / name, folder)
    for name, data in film.files(CHAPTER, found).items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(data)
    box = figure.figure(found, 0, "code/", f"{film.FOLDER}/{CHAPTER}")
    for theme, (paper, ink, muted) in COLOURS.items():
        text = PAGE.format(box=box, theme=theme, paper=paper, ink=ink, muted=muted)
        (folder / f"{theme}.html").write_text(text)
    return folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return site(tmp_path_factory.mktemp("film"), exact())


@pytest.fixture(scope="module")
def address(folder):
    with served(folder) as found:
        yield found


def watched(context, address):
    """A page, and a list of errors in its console and requests to elsewhere."""
    faults, tab = [], context.new_page()
    tab.on("console", lambda m: faults.append(m.text) if m.type in ("error", "warning") else None)
    tab.on("pageerror", lambda e: faults.append(str(e)))
    own = (address, "data:", "blob:")
    tab.on("request", lambda r: r.url.startswith(own) or faults.append(f"asks for {r.url}"))
    return tab, faults


@pytest.fixture
def page(chromium, address):
    """A page that fails the test for any error in its console and any request to elsewhere."""
    context = chromium.new_context(viewport={"width": 900, "height": 1000}, base_url=address)
    tab, faults = watched(context, address)
    yield tab
    context.close()
    assert not faults


def slider(page):
    return page.get_by_role("slider", name="Step of training")


def pick(page, digit):
    page.locator(".film-digits label").nth(digit).click()
    page.locator(".film-open").wait_for()


def guess(page, words):
    page.locator(".film-choices label").filter(has_text=re.compile(f"^{words}$")).click()
    page.get_by_role("button", name="That is my guess").click()
    page.get_by_role("button", name="Guess again").wait_for()


def see(page, digit=0, path="light.html"):
    """Open the page, and have the film shown without a guess."""
    page.goto(path)
    pick(page, digit)
    page.get_by_role("button", name="rather see it").click()
    page.get_by_role("button", name="Guess again").wait_for()


def outcome(page):
    return page.locator(".film-outcome output").inner_text()


def shown(page):
    """The probabilities in the table: a row for each twin."""
    rows = page.locator(".film-chances tbody tr").all()
    cells = [[float(t) for t in row.locator("td").all_inner_texts()[1:]] for row in rows]
    return np.array(cells).T


def said(page, step):
    page.get_by_text(re.compile(rf"^After step {step}: ")).wait_for()
    page.locator(".film-says[aria-busy=false]").wait_for()  # and a screen reader says it
    return page.locator(".film-says").inner_text()


def words(step):
    """How the page names the moment when a picture settles."""
    return "not by the end" if step is None else str(step)


@browser_tests
class TestInABrowser:
    def test_it_is_locked_until_guessed(self, page):
        page.goto("light.html")
        assert slider(page).is_disabled()
        assert page.get_by_role("button", name="Play").is_disabled()
        assert not page.locator(".film-stage").is_visible()
        pick(page, 3)
        assert slider(page).is_disabled()
        assert page.get_by_text("It moves when you have made your guess.").is_visible()
        assert said(page, 0)
        page.get_by_role("button", name="That is my guess").click()
        assert outcome(page) == "Choose a step first."
        assert slider(page).is_disabled()
        guess(page, "8")
        assert slider(page).is_enabled()
        assert page.evaluate("document.activeElement.type") == "range"
        assert not page.locator(".film-guess").is_visible()
        page.get_by_role("button", name="Guess again").click()
        assert slider(page).is_disabled()
        assert slider(page).input_value() == "0"

    def test_data_is_fetched_when_it_is_first_used(self, page):
        asked = []
        page.on("request", lambda r: asked.append(r.url.rpartition("/")[2]))
        page.goto("light.html", wait_until="networkidle")
        assert not [name for name in asked if name.endswith((".json", ".png"))]
        pick(page, 1)
        assert [n for n in asked if n.endswith((".json", ".png"))] == [
            f"{CHAPTER}.json",
            f"{CHAPTER}.png",
        ]

    def test_it_tells_how_far_off_a_guess_was(self, page):
        found = film.films(CHAPTER, exact())
        steps = found["pytorch"].steps
        settled = film.settles(found)
        early = next(n for n, s in enumerate(settled) if s is not None and s > 1)
        never = settled.index(None)
        cases = [
            (early, words(steps[settled[early]]), f"Right: from step {steps[settled[early]]} on."),
            (
                early,
                words(steps[settled[early] - 1]),
                f", {steps[settled[early]] - steps[settled[early] - 1]} steps later.",
            ),
            (
                early,
                words(steps[-1]),
                f", {steps[-1] - steps[settled[early]]} steps earlier.",
            ),
            (early, words(None), f"It is, from step {steps[settled[early]]} on."),
            (never, words(None), f"Right: after step {steps[-1]} this "),
            (never, words(steps[4]), " is still read wrongly."),
        ]
        for digit, said_first, told in cases:
            page.goto("light.html")
            pick(page, digit)
            guess(page, said_first)
            assert told in outcome(page), (digit, said_first)

    def test_the_keyboard_does_everything(self, page):
        page.goto("light.html")
        page.keyboard.press("Tab")  # the digits
        page.keyboard.press("ArrowRight")
        page.keyboard.press("ArrowRight")
        page.locator(".film-open").wait_for()
        page.keyboard.press("Tab")  # the steps
        page.keyboard.press("Space")
        page.keyboard.press("ArrowRight")
        page.keyboard.press("Enter")
        page.get_by_role("button", name="Guess again").wait_for()
        assert outcome(page).startswith("Your guess: from step 1 on. ")
        steps = film.films(CHAPTER, exact())["pytorch"].steps
        page.keyboard.press("ArrowRight")
        page.keyboard.press("ArrowRight")
        assert said(page, steps[2])
        assert slider(page).get_attribute("aria-valuetext") == f"step {steps[2]} of {steps[-1]}"
        page.keyboard.press("End")
        assert said(page, steps[-1])
        page.keyboard.press("Home")
        assert said(page, 0)

    def test_the_mouse_drags_it(self, page):
        see(page)
        box = slider(page).bounding_box()
        middle = box["y"] + box["height"] / 2
        page.mouse.move(box["x"] + 19, middle)
        page.mouse.down()
        page.mouse.move(box["x"] + box["width"] - 2, middle, steps=8)
        page.mouse.up()
        assert said(page, film.films(CHAPTER, exact())["pytorch"].steps[-1])

    def test_it_shows_what_the_records_say(self, page):
        """For each digit: first, a middle and last step; both twins, numbers, bars and words."""
        found = film.films(CHAPTER, exact())
        one = found["pytorch"]
        see(page)
        for digit in range(len(one.labels)):
            pick(page, digit)
            for frame in (0, 6, len(one.steps) - 1):
                slider(page).fill(str(frame))
                wanted = [f.chances[frame, digit] for f in found.values()]
                assert np.abs(shown(page) - wanted).max() <= 0.5001 * 10**-film.DECIMALS
        best = one.classes[wanted[0].argmax()]
        assert f"PyTorch reads {best}" in said(page, one.steps[-1])
        settle(page)
        bars = page.locator(".film-chances tbody td span").evaluate_all(
            "all => all.map(e => e.getBoundingClientRect().width / e.parentNode.clientWidth)"
        )
        assert np.abs(np.array(bars).reshape(-1, 2).T - wanted).max() < 0.02

    def test_it_draws_the_records_maps_and_kernels(self, page):
        found = film.films(CHAPTER, exact())
        one = found["pytorch"]
        see(page, 4)
        slider(page).fill("5")
        for framework in FRAMEWORKS:
            place = page.locator(f".film-twin[data-twin={framework}]")
            pixels = place.locator("canvas").evaluate(
                "c => Array.from(c.getContext('2d').getImageData(0, 0, c.width, c.height).data)"
            )
            drawn = np.array(pixels).reshape(8, -1, 4)
            wanted = Image.open(io.BytesIO(film.png(film.row(one.maps.kept[5, 4]))))
            wanted = np.asarray(wanted.convert("RGBA"))
            assert np.array_equal(drawn[..., 3], wanted[..., 3])
            assert np.array_equal(drawn[wanted[..., 3] > 0], wanted[wanted[..., 3] > 0])
            depths = place.locator(".film-kernels rect").evaluate_all(
                "all => all.map(e => e.getAttribute('fill-opacity') *"
                " (e.classList.contains('film-plus') ? 1 : -1))"
            )
            values = one.kernels.kept[5].ravel() / 127
            assert np.abs(np.sign(values) * np.sqrt(np.abs(values)) - depths).max() < 0.0051

    def test_a_twin_that_differs_shows_it(self, chromium, tmp_path):
        """In one probability of one frame, by a millionth; and in one byte of a map."""
        contents = copy.deepcopy(exact())
        other = contents["tensorflow"]["film"]
        other["chances"][3][2][7] += 1e-6
        kept = bytearray(films.unpack(other).maps.kept.tobytes())
        size = len(kept) // len(other["steps"]) // len(other["labels"])
        kept[size * (4 * len(other["labels"]) + 2)] ^= 128  # frame 4, picture 2
        other["maps"]["bytes"] = films.base64.b64encode(bytes(kept)).decode()
        with served(site(tmp_path / "site", contents)) as here:
            context = chromium.new_context(base_url=here)
            page, faults = watched(context, here)
            see(page, 2)
            told = {}
            for frame in (2, 3, 4):
                slider(page).fill(str(frame))
                told[frame] = page.locator(".film-apart").inner_text()
            context.close()
        assert not faults
        assert re.search(r"here: (0|\d\.\de−1\d) in a probability; none in", told[2])
        assert "here: 1.0e−6 in a probability; none in kernels and maps" in told[3]
        assert re.search(r"; [1-9]\.\de\+0 in kernels and maps\.$", told[4])

    def test_it_plays_when_asked_and_stops(self, page):
        see(page)
        assert slider(page).input_value() == "0"
        page.get_by_role("button", name="Play").click()
        page.wait_for_function("document.querySelector('.film input[type=range]').value >= 2")
        page.get_by_role("button", name="Stop").click()
        at = slider(page).input_value()
        page.wait_for_timeout(1200)
        assert slider(page).input_value() == at

    def test_who_wants_less_motion_has_no_button_for_it(self, chromium, address):
        context = chromium.new_context(base_url=address, reduced_motion="reduce")
        page = context.new_page()
        see(page)
        assert not page.get_by_role("button", name="Play").is_visible()
        bar = page.locator(".film-chances tbody td span").first
        assert "width 0.2s" not in bar.evaluate("e => getComputedStyle(e).transition")
        slider(page).fill("3")
        assert page.locator(".film-apart").inner_text()
        context.close()

    def test_who_wants_all_shown_is_not_asked(self, page):
        page.add_init_script("localStorage.setItem('twin-show-all', 'yes')")
        page.goto("light.html")
        assert slider(page).is_enabled()
        assert not page.locator(".film-guess").is_visible()
        slider(page).focus()
        page.locator(".film-open").wait_for()
        page.keyboard.press("End")
        assert said(page, film.films(CHAPTER, exact())["pytorch"].steps[-1])

    @pytest.mark.parametrize("scheme", ["light", "dark"])
    def test_axe_finds_nothing(self, page, scheme):
        page.goto(f"{scheme}.html")
        pick(page, 1)
        for ready in (lambda: None, lambda: guess(page, "12")):
            ready()
            settle(page)
            found = violations(page)
            assert {v["id"]: v["nodes"][0]["html"] for v in found} == {}

    def test_every_picture_says_what_is_to_be_seen(self, page):
        see(page, 3)
        slider(page).fill("4")
        texts = page.locator(".film [role=img]").evaluate_all(
            "all => all.map(e => e.getAttribute('aria-label'))"
        )
        one = film.films(CHAPTER, exact())["pytorch"]
        assert len(texts) == 5
        assert texts[0] == f"the picture: a {one.classes[one.labels[3]]}"
        strongest = one.maps.values[4, 3].mean(axis=(1, 2)).argmax() + 1
        assert texts[2].endswith(f"at step {one.steps[4]}; number {strongest} has the most ink")
        moved = ((one.kernels.values[4] - one.kernels.values[0]) ** 2).sum(axis=(1, 2)).argmax() + 1
        assert texts[1].endswith(f"number {moved} has moved farthest from its start")

    def test_a_phone_has_room_for_it_and_a_finger_moves_it(self, chromium, address):
        context = chromium.new_context(
            viewport={"width": 360, "height": 700}, has_touch=True, is_mobile=True, base_url=address
        )
        page, faults = watched(context, address)
        page.goto("light.html")
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        page.locator(".film-digits label").nth(2).tap()
        page.locator(".film-choices label").nth(2).tap()
        page.get_by_role("button", name="That is my guess").tap()
        page.get_by_role("button", name="Guess again").wait_for()
        box = slider(page).bounding_box()
        page.touchscreen.tap(box["x"] + box["width"] - 14, box["y"] + box["height"] / 2)
        assert said(page, film.films(CHAPTER, exact())["pytorch"].steps[-1])
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        right = page.locator(".film").bounding_box()
        inside = [e.bounding_box() for e in page.locator(".film-stage *").all() if e.is_visible()]
        assert max(b["x"] + b["width"] for b in inside) <= right["x"] + right["width"]
        small = page.locator(".film :is(button, label, input[type=range])").all()
        sizes = [e.bounding_box() for e in small if e.is_visible()]
        assert all(b["height"] >= 44 and b["width"] >= 44 for b in sizes)
        context.close()
        assert not faults

    def test_without_javascript_the_last_step_is_seen(self, chromium, address):
        context = chromium.new_context(java_script_enabled=False, base_url=address)
        page = context.new_page()
        page.goto("light.html")
        assert page.get_by_text("With JavaScript a slider moves this figure").is_visible()
        assert not page.locator(".film-controls").is_visible()
        one = film.films(CHAPTER, exact())
        wanted = [f.chances[-1, 0] for f in one.values()]
        assert np.abs(shown(page) - wanted).max() <= 0.5001 * 10**-film.DECIMALS
        assert f"After the last step, {one['pytorch'].steps[-1]}, PyTorch reads" in (
            page.locator(".film-says").inner_text()
        )
        assert all(e.get_attribute("alt") for e in page.locator(".film img").all())
        context.close()

    def test_a_page_opened_as_a_file_shows_the_last_step(self, chromium, folder):
        page = chromium.new_page()
        page.goto((folder / "light.html").as_uri())
        page.get_by_text("This page was opened as a file").wait_for()
        assert page.locator(".film-stage").is_visible()
        assert not slider(page).is_visible()
        page.close()

    def test_data_that_is_missing_is_told_and_can_be_asked_for_again(self, chromium, address):
        page = chromium.new_page(base_url=address)
        page.route("**/film/*.png", lambda route: route.fulfill(status=404))
        page.goto("light.html")
        page.locator(".film-digits label").nth(1).click()
        page.get_by_text("The film cannot be shown: ").wait_for()
        assert f"{CHAPTER}.png cannot be loaded (404)" in outcome(page)
        page.unroute("**/film/*.png")
        pick(page, 2)
        guess(page, "4")
        assert slider(page).is_enabled()
        page.close()
