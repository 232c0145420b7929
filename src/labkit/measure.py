"""Seconds and bytes, measured so that they mean something.

Where nobody will look at the clock, ``LABKIT_QUICK=1`` takes one reading of everything, and one row
of each kind: tests and runs without ``--measure`` set it.
"""

import math
import os
import statistics
import sys
import time
from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass
from typing import Any, TypeVar

Row = TypeVar("Row", bound=tuple[Hashable, ...])


@dataclass(frozen=True)
class Measurement:
    """Repeated measurements of one thing, in `unit`."""

    median: float
    spread: float
    """Largest minus smallest."""
    repeats: int
    unit: str

    def __str__(self) -> str:
        return f"{self.median:.3g} {self.unit} (spread {self.spread:.2g}, {self.repeats} runs)"


def seconds(
    function: Callable[[], Any], *, repeats: int = 5, warmup: int = 1, at_least: float = 0
) -> Measurement:
    """Time a call of `function`, after `warmup` calls that do not count.

    Before the clock is read, work that the function left on a GPU is waited for.

    Parameters
    ----------
    function
        Called without arguments.
    repeats
        How often the clock is read, at least 1.
    at_least
        Seconds that each repeat takes at least: a short function is called as often as that needs,
        since one reading of a millisecond says little.
    """
    return _summary(_times(function, repeats, warmup, at_least), "s")


def _times(
    function: Callable[[], Any], repeats: int, warmup: int, at_least: float = 0
) -> list[float]:
    if repeats < 1 or warmup < 0:
        raise ValueError(f"repeats is {repeats} and warmup {warmup}: too few")
    if os.environ.get("LABKIT_QUICK"):
        repeats, warmup, at_least = 1, 0, 0
    for _ in range(warmup):
        function()
    calls = math.ceil(at_least / max(_time(function, 1), 1e-6)) if at_least else 1
    return [_time(function, calls) for _ in range(repeats)]


def _time(function: Callable[[], Any], calls: int) -> float:
    """Return the seconds that a call takes, in the mean over some."""
    _synchronize()
    begin = time.perf_counter()
    for _ in range(calls):
        function()
    _synchronize()
    return (time.perf_counter() - begin) / calls


def _summary(values: list[float], unit: str) -> Measurement:
    return Measurement(statistics.median(values), max(values) - min(values), len(values), unit)


def rows(table: Iterable[Row]) -> list[Row]:
    """Return the rows of a table of what is to be measured.

    A quick run takes the first of each kind: it leaves out a row whose every value stood at its
    place in a row before.
    """
    if not os.environ.get("LABKIT_QUICK"):
        return list(table)
    kept: list[Row] = []
    seen: set[tuple[int, Hashable]] = set()
    for row in table:
        if not seen.issuperset(enumerate(row)):
            kept.append(row)
            seen.update(enumerate(row))
    return kept


def _synchronize() -> None:
    torch, tf = sys.modules.get("torch"), sys.modules.get("tensorflow")
    if torch and torch.cuda.is_available():
        torch.cuda.synchronize()
    if tf and tf.config.list_physical_devices("GPU"):
        tf.test.experimental.sync_devices()
