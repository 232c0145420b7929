"""Seconds and bytes, measured so that they mean something.

Where nobody will look at the clock, ``LABKIT_QUICK=1`` takes one reading of everything: tests and
runs without ``--measure`` set it.
"""

import os
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


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


def seconds(function: Callable[[], Any], *, repeats: int = 5, warmup: int = 1) -> Measurement:
    """Time `function`, after `warmup` calls that do not count.

    Before the clock is read, work that the function left on a GPU is waited for.

    Parameters
    ----------
    function
        Called without arguments, ``warmup + repeats`` times.
    repeats
        How many calls are timed, at least 1.
    """
    return _summary(_times(function, repeats, warmup), "s")


def rate(
    function: Callable[[], Any], count: int, *, repeats: int = 5, warmup: int = 1
) -> Measurement:
    """Return how many examples a second `function` handles, `count` of them at each call."""
    return _summary([count / t for t in _times(function, repeats, warmup)], "examples/s")


def _times(function: Callable[[], Any], repeats: int, warmup: int) -> list[float]:
    if repeats < 1 or warmup < 0:
        raise ValueError(f"repeats is {repeats} and warmup {warmup}: too few")
    if os.environ.get("LABKIT_QUICK"):
        repeats, warmup = 1, 0
    for _ in range(warmup):
        function()
    times = []
    for _ in range(repeats):
        _synchronize()
        begin = time.perf_counter()
        function()
        _synchronize()
        times.append(time.perf_counter() - begin)
    return times


def _summary(values: list[float], unit: str) -> Measurement:
    return Measurement(statistics.median(values), max(values) - min(values), len(values), unit)


def peak_memory() -> int:
    """Return the most memory this process has held so far, in bytes (not on Windows).

    On a GPU that PyTorch uses, the most that PyTorch has held there.
    """
    torch = sys.modules.get("torch")
    if torch and torch.cuda.is_available():
        return int(torch.cuda.max_memory_allocated())
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def _synchronize() -> None:
    torch, tf = sys.modules.get("torch"), sys.modules.get("tensorflow")
    if torch and torch.cuda.is_available():
        torch.cuda.synchronize()
    if tf and tf.config.list_physical_devices("GPU"):
        tf.test.experimental.sync_devices()
