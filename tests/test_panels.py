"""Figures of many runs."""

import re

import numpy as np
import pytest

from labkit import panels

pytestmark = pytest.mark.engine
RUNS = {"A": [[1.0, 2.0, 4.0], [2.0, 3.0, 8.0]], "B": [[4.0, 2.0, 1.0], [3.0, 3.0, 2.0]]}


def test_a_band_reaches_from_the_lowest_run_to_the_highest():
    shown = panels.bands(RUNS, y="wrong")
    assert "A, 2 runs, ends at 6, between 4 and 8; B, 2 runs, ends at 1.5" in shown.alt
    assert shown.svg.count('fill-opacity="0.2"') == 2


def test_what_a_band_leaves_out_stays_inside_the_axes_and_in_the_words():
    shown = panels.bands(RUNS, limits=(3, 5))
    inside = panels.bands({"A": np.clip(RUNS["A"], 3, 5)}, limits=(3, 5))
    paths = re.findall(
        r'fill-opacity="0.2"[^>]*d="([^"]*)"|d="([^"]*)"[^>]*fill-opacity="0.2"', shown.svg
    )
    heights = [
        float(y) for pair in paths for y in re.findall(r"[ML]\S+ (\S+?)(?=[LZ])", "".join(pair))
    ]
    assert heights
    assert max(heights) <= 244.1
    assert min(heights) >= 11.9
    assert "between 4 and 8" in shown.alt
    assert inside.digest != shown.digest


def test_each_run_has_a_panel_and_each_group_a_line_in_it():
    shown = panels.multiples(RUNS, y="wrong", log=True)
    assert shown.svg.count('stroke-width="1.5"') == 4
    assert "A ends at 4, 8; B ends at 1, 2" in shown.alt


def test_groups_of_other_sizes_are_refused():
    with pytest.raises(ValueError, match=r"same number of runs, not \{'A': 2, 'B': 1\}"):
        panels.multiples({"A": RUNS["A"], "B": RUNS["B"][:1]})
    with pytest.raises(
        ValueError, match=r"B: values have shape \(3,\); they must be \(runs, steps\)"
    ):
        panels.bands({"A": RUNS["A"], "B": [1.0, 2.0, 3.0]})


def test_a_bar_begins_where_its_axis_begins_and_says_so():
    whole = panels.columns({"A": 50.0, "B": 100.0}, y="right, %", limits=(0, 100))
    cut = panels.columns({"A": 50.0, "B": 100.0}, y="right, %", limits=(49, 100))
    tall = [float(h) for h in re.findall(r'<rect[^>]*height="([\d.]+)"', whole.svg)]
    assert tall[1] == pytest.approx(2 * tall[0], abs=0.2)
    flat = [float(h) for h in re.findall(r'<rect[^>]*height="([\d.]+)"', cut.svg)]
    assert flat[1] > 20 * flat[0]
    assert "on an axis from 49 to 100: A 50; B 100" in cut.alt
    assert whole.digest != cut.digest


def test_a_dot_has_no_length_and_an_interval_two_ends():
    shown = panels.columns(
        {"A": 98.0}, y="right, %", limits=(94, 100), within={"A": (96.0, 99.0)}, dots=True
    )
    assert "<rect" not in shown.svg
    assert "A 98, interval 96 to 99" in shown.alt
