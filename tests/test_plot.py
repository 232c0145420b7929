import io
import shutil

import numpy as np
import pytest
from PIL import Image

from labkit import plot


def test_curves_say_what_they_show():
    shown = plot.curves({"PyTorch": [3.0, 1.0], "TensorFlow": [3.0, 2.0]}, log=True)
    assert shown.alt == (
        "Line chart of loss over step: PyTorch from 3 to 1 in 2 points, lowest 1, highest 3; "
        "TensorFlow from 3 to 2 in 2 points, lowest 2, highest 3"
    )
    data, metadata = shown._repr_mimebundle_()
    assert data["image/png"].startswith(b"\x89PNG")
    assert shown.digest in data["text/plain"]
    assert metadata["image/png"]["alt"] == shown.alt


def test_a_digest_follows_the_data():
    assert plot.digest([1.0, 2.0]) == plot.digest([1.0 + 1e-12, 2.0])
    assert plot.digest([1.0, 2.0]) != plot.digest([1.0, 2.001])
    assert plot.digest([[1.0, 2.0]]) != plot.digest([1.0, 2.0])
    assert plot.digest([0.0]) == plot.digest([-0.0])


def test_the_same_figure_has_the_same_bytes():
    assert plot.curves([3, 2, 1]).png == plot.curves([3, 2, 1]).png
    assert plot.curves([3, 2, 1]).png != plot.curves([3, 1, 2]).png


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
    shown = plot.curves({"under": [1.0, 2, 2, 2], "over": [1.0, 2, 2, 2]})
    picture = Image.open(io.BytesIO(shown._repr_mimebundle_()[0]["image/png"])).convert("RGB")
    # The middle, where no legend is: matplotlib's first two colours.
    middle = picture.crop((picture.width * 2 // 5, 0, picture.width * 3 // 5, picture.height))
    assert {(31, 119, 180), (255, 127, 14)} <= {color for _, color in middle.getcolors(1 << 20)}


def test_labels_of_graphs_may_hold_quotes():
    drawn = plot.graph({"a": 'say "x"'}, [], what="one")
    assert drawn.alt.endswith(': say "x"')
    if shutil.which("dot"):
        assert "say &quot;x&quot;" in drawn.svg


def test_an_edge_to_nowhere_is_named():
    with pytest.raises(ValueError, match=r"the edge \('a', 'b'\) has no node 'b'"):
        plot.graph({"a": "Mul"}, [("a", "b")], what="two")
