import time

import pytest

from labkit import measure

pytestmark = pytest.mark.engine


def test_seconds_leaves_the_warm_up_out():
    calls = []

    def slow_at_first():
        calls.append(1)
        time.sleep(0.2 if len(calls) == 1 else 0.01)

    took = measure.seconds(slow_at_first, repeats=3, warmup=1)
    assert len(calls) == 4
    assert 0.01 <= took.median < 0.2
    assert took.spread >= 0
    assert took.repeats == 3
    assert str(took).endswith("3 runs)")
    with pytest.raises(ValueError, match="too few"):
        measure.seconds(slow_at_first, repeats=0)


def test_what_is_short_is_called_often():
    calls = []
    took = measure.seconds(
        lambda: (calls.append(1), time.sleep(0.01)), repeats=2, warmup=0, at_least=0.05
    )
    assert 3 <= len(calls) <= 13
    assert 0.01 <= took.median < 0.05
    assert took.repeats == 2


def test_a_quick_run_takes_one_reading(monkeypatch):
    monkeypatch.setenv("LABKIT_QUICK", "1")
    calls = []
    found = measure.seconds(lambda: calls.append(1), repeats=9, warmup=4)
    assert len(calls) == found.repeats == 1


def test_a_quick_run_takes_one_row_of_each_kind(monkeypatch):
    table = [(net, how, n) for net in "ab" for n in (32, 256) for how in ("eager", "graph")]
    assert measure.rows(iter(table)) == table
    monkeypatch.setenv("LABKIT_QUICK", "1")
    assert measure.rows(iter(table)) == [
        *(("a", "eager", 32), ("a", "graph", 32), ("a", "eager", 256), ("b", "eager", 32))
    ]
