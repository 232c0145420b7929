"""Intervals over a band, drawn and told."""

import re

import numpy as np
import pytest

from labkit import margins

pytestmark = pytest.mark.engine

FOUND = {"A": (-0.5, 0.25), "B": (0.75, 1.5), "C": (-1.0, 0.5)}


def test_the_words_say_what_lies_inside():
    shown = margins.shown(FOUND, 1.0, x="difference")
    assert shown.alt == (
        "Intervals of difference, over a band from -1 to 1: A -0.50 to +0.25, inside; "
        "B +0.75 to +1.50, not inside; C -1.00 to +0.50, not inside"
    )


def test_an_interval_stands_where_its_ends_are():
    drawn = margins.shown(FOUND, 1.0, x="difference").svg
    begin, wide = map(float, re.search(r'x="([\d.]+)" y="4" width="([\d.]+)"', drawn).groups())
    lines = re.findall(r'd="M([\d.]+) ([\d.]+)L([\d.]+) \2" [^>]*stroke-width="2"', drawn)
    for (low, high), (left, _, right) in zip(FOUND.values(), lines, strict=True):
        due = [begin + wide * (end + 1) / 2 for end in (low, high)]
        assert np.allclose([float(left), float(right)], due, atol=0.2)


def test_other_intervals_and_another_margin_have_another_digest():
    digests = {
        margins.shown(found, margin, x="d").digest
        for found, margin in ((FOUND, 1.0), (FOUND, 2.0), ({"A": (0.0, 1.0)}, 1.0))
    }
    assert len(digests) == 3


@pytest.mark.parametrize("margin", [0, -1, float("nan")])
def test_a_margin_is_above_zero(margin):
    with pytest.raises(ValueError, match="must be above 0"):
        margins.shown(FOUND, margin, x="d")
