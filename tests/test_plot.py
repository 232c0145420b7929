import re
import shutil
from xml.etree import ElementTree

import numpy as np
import pytest

from labkit import marks, plot, svg

pytestmark = pytest.mark.engine


def test_curves_say_what_they_show():
    shown = plot.curves({"PyTorch": [3.0, 1.0], "TensorFlow": [3.0, 2.0]}, log=True)
    assert shown.alt == (
        "Line chart of loss over step: PyTorch from 3 to 1 in 2 points, lowest 1, highest 3; "
        "TensorFlow from 3 to 2 in 2 points, lowest 2, highest 3"
    )
    data, metadata = shown._repr_mimebundle_()
    assert data["image/svg+xml"].startswith("<svg")
    assert shown.digest in data["text/plain"]
    assert metadata["image/svg+xml"] == {"alt": shown.alt}
    captioned = plot.curves([3, 2], caption="It falls.")._repr_mimebundle_()[1]
    assert captioned["image/svg+xml"]["caption"] == "It falls."


def test_a_digest_follows_the_data():
    assert plot.digest([1.0, 2.0]) == plot.digest([1.0 + 1e-12, 2.0])
    assert plot.digest([1.0, 2.0]) != plot.digest([1.0, 2.001])
    assert plot.digest([[1.0, 2.0]]) != plot.digest([1.0, 2.0])
    assert plot.digest([0.0]) == plot.digest([-0.0])


def test_the_same_figure_has_the_same_bytes():
    assert plot.curves([3, 2, 1]).svg == plot.curves([3, 2, 1]).svg
    assert plot.curves([3, 2, 1]).svg != plot.curves([3, 1, 2]).svg


FIGURES = {
    "curves": lambda: plot.curves({"PyTorch": [3.0, 1.0], "<b>": [2.0, 2.0]}, log=True, title="&"),
    "broken": lambda: plot.curves([1.0, np.nan, 2.0, 0.0], log=True),
    "bars": lambda: plot.bars({"<b>": 1e-9, "TensorFlow": 3.0}, x="&", log=True),
    "intervals": lambda: plot.intervals({"<b>": (-1.0, 0.5), "b": (2.0, 0.2)}, x="&"),
    "chances": lambda: plot.chances({"<b>": [0.5, 0.5]}, ["a", "&"]),
    "confusion": lambda: plot.confusion([[5, 2], [0, 4]], ["<b>", "&"]),
    "pictures": lambda: plot.pictures(np.zeros((3, 8, 8, 1)), ["<b>", "&", "c\nd"]),
    "shaded": lambda: plot.shaded("<b>&\n", {"<i>": [0, 1, -1, 0.5, 0]}),
    "marks": lambda: marks.table({"<i>": {"<b>": [True, False]}, "&": {}}, ["a", "&"]),
    "graph": lambda: plot.graph({"a": "<b>", "b": "&"}, [("a", "b")], what="two"),
}


@pytest.mark.parametrize("figure", FIGURES.values(), ids=FIGURES)
def test_a_figure_follows_the_page_and_brings_paper_to_where_there_is_none(figure):
    """Well-formed; in the page's ink; readable on any ground; no id that two could share."""
    shown = figure()
    if shown.svg is None:
        pytest.skip("no graphviz here")
    root = ElementTree.fromstring(shown.svg)
    assert root.get("style") == svg.PAPER
    for node in root.iter():
        assert node.get("id") is None
        assert not node.tag.endswith(("style", "script"))
        for part in ("fill", "stroke"):
            said = node.get(part, "currentColor")
            mat = part == "fill" and said == "#fff" and node.tag.endswith("rect")
            assert said in ("currentColor", "none") or mat, (node.tag, said)
        for color in re.findall(r"(?:fill|stroke):([^;]+)", node.get("style", "")):
            assert color == "currentColor" or color.startswith("var(--"), color


def test_orange_and_blue_are_the_frameworks():
    names = ["PyTorch", "tensorflow eager", "eager", "LSTM", "n = 1", "n = 2", "n = 3", "n = 4"]
    looks = plot._looks(names)
    assert looks["PyTorch"].color == plot.COLORS["pytorch"]
    assert looks["tensorflow eager"].color == plot.COLORS["tensorflow"]
    others = [looks[name] for name in names[2:]]
    assert not {look.color for look in others} & set(plot.COLORS.values())
    assert len(set(others)) == len(others)  # none is taken for another


def test_lines_are_named_at_their_ends_and_no_name_lies_on_another():
    shown = plot.curves({name: [1.0, 2.0] for name in "abcdef"})
    texts = ElementTree.fromstring(shown.svg).iter("{http://www.w3.org/2000/svg}text")
    heights = {t.text: float(t.get("y")) for t in texts if t.text in set("abcdef")}
    assert set(heights) == set("abcdef")
    ordered = sorted(heights.values())
    assert min(np.diff(ordered)) >= svg.SIZE
    assert ordered[-1] <= 290


def test_an_axis_may_be_shared():
    low, high = (plot.curves(v, limits=(0, 10)).svg for v in ([1.0, 2.0], [5.0, 9.0]))

    def marks(drawn):
        root = ElementTree.fromstring(drawn)
        texts = root.iter("{http://www.w3.org/2000/svg}text")
        return [(t.text, t.get("y")) for t in texts if t.get("text-anchor") == "end"]

    assert marks(low) == marks(high)


def test_confusion():
    shown = plot.confusion([[5, 2], [0, 4]], ["a", "b"])
    assert "9 of 11 right; most frequent mistakes: 2 × a taken for b" in shown.alt
    assert "mistakes" not in plot.confusion([[5, 0], [0, 4]], ["a", "b"]).alt
    with pytest.raises(ValueError, match="the classes are 3"):
        plot.confusion([[5, 2], [0, 4]], ["a", "b", "c"])


@pytest.mark.parametrize("channels", [1, 3])
def test_pictures(channels):
    shown = plot.pictures(np.zeros((3, 8, 8, channels)), ["a", "b", "c\nd"], columns=2)
    assert shown.alt == "3 pictures, titled: a, b, c d"
    with pytest.raises(ValueError, match="2 titles"):
        plot.pictures(np.zeros((3, 8, 8, channels)), ["a", "b"])


def test_no_pictures_and_many():
    assert plot.pictures(np.zeros((0, 8, 8, 1)), []).alt == "0 pictures"
    many = plot.pictures(np.zeros((70, 8, 8, 1)), [str(n) for n in range(70)])
    assert many.alt.startswith("70 pictures, the first 64 shown, titled: 0, 1,")


def test_bars():
    shown = plot.bars({"small": 0.001, "large": 3.0}, x="worth", log=True)
    assert shown.alt == "Bar chart of worth: large 3; small 0.001"
    with pytest.raises(ValueError, match="needs positive values"):
        plot.bars({"none": 0.0}, x="worth", log=True)


def test_intervals():
    shown = plot.intervals({"none": (0.0, 0.5), "some": (2.0, 0.25)}, x="change")
    assert shown.alt == "Intervals of change: none +0 ± 0.5; some +2 ± 0.25"


def test_shaded():
    shown = plot.shaded("ab\nc", {"one": [0, 1, -1, 0.5], "two": [0, 0, 0, 0]})
    assert shown.alt == (
        "A text of 4 characters, shaded by: one, from -1.00 to 1.00; two, from 0.00 to 0.00"
    )
    with pytest.raises(ValueError, match="5 characters"):
        plot.shaded("abcde", {"one": [0, 1]})


def test_graphs_are_drawn(monkeypatch):
    nodes, edges = {"a": "Mul", "b": "Sin"}, [("a", "b")]
    drawn = plot.graph(nodes, edges, what="two")
    assert drawn.alt == "Graph of two, 2 nodes and 1 edges: Mul to Sin"
    data, metadata = drawn._repr_mimebundle_()
    if drawn.svg:  # graphviz is there
        assert data["image/svg+xml"].startswith("<svg")
        assert metadata["image/svg+xml"]["alt"] == drawn.alt
    monkeypatch.setattr(plot.shutil, "which", lambda name: None)
    without, _ = plot.graph(nodes, edges, what="two")._repr_mimebundle_()
    assert without["text/plain"].startswith(data["text/plain"])
    assert "apt install graphviz" in without["text/plain"]
    assert plot.graph(nodes, [("b", "a")], what="two").digest != drawn.digest


def test_a_line_under_another_is_seen():
    lines = {"under": [1.0, 2, 2, 2], "middle": [1.0, 2, 2, 2], "over": [1.0, 2, 2, 2]}
    drawn = plot.curves(lines).svg
    assert re.findall(r'fill="none" stroke-width="([\d.]+)"', drawn)[:3] == ["7.8", "4.8", "1.8"]


def test_a_straight_line_of_many_points_is_short_and_a_peak_is_kept():
    assert len(plot.curves(np.arange(30_000.0)).svg) < 3000
    peak = np.zeros(10_000)
    peak[5000] = 1
    tops = re.findall(r"L[\d.]+ ([\d.]+)", plot.curves(peak, limits=(0, 1)).svg)
    assert min(map(float, tops)) == 12


def test_labels_of_graphs_may_hold_quotes():
    drawn = plot.graph({"a": 'say "x"'}, [], what="one")
    assert drawn.alt.endswith(': say "x"')
    if shutil.which("dot"):
        assert "say &quot;x&quot;" in drawn.svg


def test_an_edge_to_nowhere_is_named():
    with pytest.raises(ValueError, match=r"the edge \('a', 'b'\) has no node 'b'"):
        plot.graph({"a": "Mul"}, [("a", "b")], what="two")


def test_marks_say_which_row_has_which():
    shown = marks.table({"one": {"a": [True, False]}, "two": {"b": [False, False]}}, ["x", "y"])
    assert shown.alt == "Table of marks, 2 rows under x, y. a: x; b: none"
    assert shown.svg.count("<circle") == 4
    other = marks.table({"one": {"a": [True, True]}, "two": {"b": [False, False]}}, ["x", "y"])
    assert shown.digest != other.digest
    with pytest.raises(ValueError, match="a: 1 marks for 2 columns"):
        marks.table({"one": {"a": [True]}}, ["x", "y"])
    with pytest.raises(ValueError, match="two rows have the same name"):
        marks.table({"one": {"a": [True]}, "two": {"a": [True]}}, ["x"])
