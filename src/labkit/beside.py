"""One result of a lab beside the other twin's: both printed, and how far they agree."""

from itertools import takewhile
from typing import Any

import numpy as np

DECIMALS = 10
"""How many decimals are printed: not the last bits, which processors round otherwise."""


def lines(name: str, first: Any, second: Any, titles: tuple[str, str]) -> list[str]:
    r"""Return a result of both twins as text, and what of it is the same.

    Parameters
    ----------
    name
        What it is; underscores become blanks.
    first, second
        Numbers, texts, or lists of numbers, as a record holds them; None for what is not known.
    titles
        The frameworks' names.

    Examples
    --------
    >>> print(*lines("loss", 2.5, 2.5001, ("PyTorch", "TensorFlow")), sep="\n")
    loss, PyTorch:    2.5000000000
    loss, TensorFlow: 2.5001000000
    the first 3 of 10 decimals agree
    """
    name = name.replace("_", " ")
    width = max(map(len, titles)) + 1
    shown = [
        f"{name}, {title + ':':{width}} {_said(value)}"
        for title, value in zip(titles, (first, second), strict=True)
    ]
    return shown if first is None or second is None else [*shown, _agreement(first, second)]


def _said(value: Any) -> str:
    if value is None:
        return "not known yet"
    if isinstance(value, list):
        numbers = np.asarray(value, float).ravel()
        ends = f"{_number(numbers[0])} … {_number(numbers[-1])}" if numbers.size else "none"
        return f"{ends}  ({numbers.size})"
    return _number(value)


def _number(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.{DECIMALS}f}"
    return f"{value:,}" if isinstance(value, int) else str(value)


def _agreement(first: Any, second: Any) -> str:
    if isinstance(first, str | int) or isinstance(second, str | int):
        return "the same in both" if first == second else "not the same"
    ours, theirs = np.asarray(first, float).ravel(), np.asarray(second, float).ravel()
    if ours.shape != theirs.shape:
        return f"{ours.size} and {theirs.size} numbers: not the same run"
    agree = min((_decimals(a, b) for a, b in zip(ours, theirs, strict=True)), default=DECIMALS)
    of_all = f" of all {ours.size}" if ours.size > 1 else ""
    if agree < 0:
        return f"not even the digits before the point agree{of_all}"
    if agree == DECIMALS:
        return f"all {DECIMALS} decimals{of_all} agree"
    return f"the first {agree} of {DECIMALS} decimals{of_all} agree"


def _decimals(a: float, b: float) -> int:
    """Return how many decimals of two numbers, as printed, are the same; -1 for not even a digit.

    They are counted from the point on, up to the first that differs.
    """
    (whole, decimals), (other, others) = (_number(float(x)).split(".") for x in (a, b))
    same = takewhile(lambda pair: pair[0] == pair[1], zip(decimals, others, strict=True))
    return len(list(same)) if whole == other else -1
