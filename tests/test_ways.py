"""Differences measured in two ways, drawn and told."""

import re

import numpy as np
import pytest

from labkit import ways

pytestmark = pytest.mark.engine

FOUND = {
    "a": {"added": (1.0, 0.5), "taken": (-1.0, 0.25)},
    "b": {"added": (-9.0, 1.0), "taken": (0.5, 1.0)},
}


def lines(drawn):
    return [
        tuple(map(float, ends))
        for ends in re.findall(r'd="M([\d.]+) [\d.]+L([\d.]+) [\d.]+" [^>]*stroke-width="2"', drawn)
    ]


def test_the_words_say_both_numbers_of_each_row():
    assert ways.shown(FOUND, x="points").alt == (
        "Intervals of points, 2 for each row. a: added +1.00 ± 0.50, taken -1.00 ± 0.25; "
        "b: added -9.00 ± 1.00, taken +0.50 ± 1.00"
    )


def test_an_interval_is_as_wide_as_said_and_stands_around_its_dot():
    drawn = ways.shown(FOUND, x="points").svg
    widths = [end - begin for begin, end in lines(drawn)]
    assert np.allclose(np.array(widths) / widths[0], [1, 0.5, 2, 2], atol=0.02)
    dots = [float(x) for x in re.findall(r'cx="([\d.]+)" cy="[\d.]+" r="4"', drawn)][2:]
    assert np.allclose(dots, [sum(ends) / 2 for ends in lines(drawn)], atol=0.2)


def test_what_lies_beyond_the_limits_is_cut_off():
    drawn = ways.shown(FOUND, x="points", limits=(-2, 2)).svg
    begin, end = lines(drawn)[2]
    assert begin == end == min(x for ends in lines(drawn) for x in ends)
    assert drawn.count("<circle") == 2 + 3


def test_other_numbers_have_another_digest():
    other = {**FOUND, "a": {"added": (1.0, 0.5), "taken": (-1.0, 0.5)}}
    assert ways.shown(FOUND, x="points").digest != ways.shown(other, x="points").digest


@pytest.mark.parametrize("rows", [{}, {"a": {"one": (0, 1)}, "b": {"two": (0, 1)}}])
def test_rows_without_the_same_ways_are_refused(rows):
    with pytest.raises(ValueError, match="the same ways"):
        ways.shown(rows, x="points")
