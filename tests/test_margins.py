"""Intervals over the differences that do not matter."""

import pytest

from labkit import margins

pytestmark = pytest.mark.engine


def test_each_interval_is_said_to_lie_inside_the_margin_or_not():
    shown = margins.shown({"A": (-0.5, 0.75), "B": (-0.5, 1.25)}, 1.0, x="points")
    assert "A -0.50 to +0.75, inside" in shown.alt
    assert "B -0.50 to +1.25, not inside" in shown.alt
    assert shown.svg.count("<rect") == 1


def test_another_margin_is_another_figure():
    one, other = (margins.shown({"A": (0.0, 0.5)}, m, x="points") for m in (1.0, 2.0))
    assert one.digest != other.digest


def test_a_margin_of_nothing_is_refused():
    with pytest.raises(ValueError, match="it must be above 0"):
        margins.shown({"A": (0.0, 0.5)}, 0.0, x="points")
