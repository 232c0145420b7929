"""Bars made of parts."""

import re

import pytest

from labkit import stacks

pytestmark = pytest.mark.engine
WHOLES = {"small": {"a": 1.0, "b": 3.0}, "large": {"a": 600.0, "b": 1400.0}}


def test_each_bar_is_divided_into_its_shares():
    shown = stacks.shares(WHOLES, unit="bytes")
    assert "small, 4 bytes: a 25%, b 75%; large, 2,000 bytes: a 30%, b 70%" in shown.alt
    wide = [float(w) for w in re.findall(r'width="([\d.]+)" height="22"', shown.svg)]
    assert len(wide) == 4
    assert wide[1] / wide[0] == pytest.approx(3, rel=0.01)
    assert wide[0] + wide[1] == pytest.approx(wide[2] + wide[3], rel=0.01)


def test_another_number_is_another_digest_and_a_narrow_part_bears_no_words():
    narrow = {"all": {"a": 1.0, "b": 999.0}}
    shown = stacks.shares(narrow)
    assert ">100%<" in shown.svg
    assert ">0%<" not in shown.svg
    assert shown.digest != stacks.shares({"all": {"a": 2.0, "b": 999.0}}).digest


@pytest.mark.parametrize(
    ("wholes", "words"),
    [
        ({}, "the same parts"),
        ({"x": {"a": 1.0}, "y": {"b": 1.0}}, "the same parts"),
        ({"x": {"a": 0.0}}, "no shares"),
        ({"x": {"a": 2.0, "b": -1.0}}, "no shares"),
    ],
)
def test_what_has_no_shares_is_refused(wholes, words):
    with pytest.raises(ValueError, match=words):
        stacks.shares(wholes)
