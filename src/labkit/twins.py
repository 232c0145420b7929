"""The same start for both frameworks: first weights, order of batches, comparison.

Weights travel between the frameworks in one canonical layout, see `labkit.layouts`.
"""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import ArrayLike, NDArray

from labkit.layouts import UnknownLayerError, Weights, parts, write

__all__ = [
    "BOUND",
    "UnknownLayerError",
    "batches",
    "compare",
    "draw",
    "first_weights",
    "orders",
    "set_weights",
    "untouched",
    "weights",
]

BOUND = 1e-10
"""The largest difference, in float64 on the CPU, that counts as none: as a part of the size of
what is compared."""


class Difference(NamedTuple):
    """Where two curves differ most; `step` counts from 0."""

    largest: float
    step: int


def weights(model: Any) -> Weights:
    """Return a model's weights as NumPy arrays in the canonical layout.

    Parameters
    ----------
    model
        A ``torch.nn.Module`` or a built ``keras.Model``.

    Returns
    -------
    dict
        Name to array, in the order in which the layers were declared.

    Raises
    ------
    UnknownLayerError
        Names the first layer whose weights cannot be converted.
    """
    return {part.name: part.get() for part in parts(model)}


def set_weights(model: Any, values: Weights) -> None:
    """Copy weights in the canonical layout into a model.

    Raises
    ------
    ValueError
        When a name or a shape does not fit; nothing is copied then.
    """
    write(model, values)
    _given[model] = {name: np.array(value) for name, value in values.items()}


_given: WeakKeyDictionary[Any, Weights] = WeakKeyDictionary()
"""The weights that each model, while it is alive, was given last."""


def untouched(model: Any) -> bool:
    """Say whether a model still has, to the last bit, the weights that it was given here."""
    given = _given.get(model)
    if given is None:
        return False
    return all(np.array_equal(value, given[name]) for name, value in weights(model).items())


def first_weights(model: Any, seed: int = 0) -> Weights:
    """Draw a model's first weights by NumPy and set them: the same in both frameworks.

    Returns
    -------
    dict
        What was set, in the canonical layout; see `draw`.
    """
    values = draw({weight.name: weight.get().shape for weight in parts(model)}, seed)
    set_weights(model, values)
    return values


def draw(shapes: Mapping[str, Sequence[int]], seed: int = 0) -> Weights:
    """Draw first weights for a network that is known by its weights' names and shapes alone.

    Kernels are normal with variance 2 / fan-in (He et al., 2015, https://arxiv.org/abs/1502.01852),
    recurrent kernels with variance 1 / fan-in, tables of embeddings with variance 1/4; biases and
    means are zero, scales and variances one.

    Parameters
    ----------
    shapes
        Name to shape, in the canonical layout and in the order in which the layers are declared.
    """
    rng = np.random.default_rng(seed)
    values = {}
    for name, shape in shapes.items():
        part = name.rsplit(".", 1)[1]
        if part in ("kernel", "recurrent", "table"):
            fan_in = np.prod(shape[:-1])
            variance = {"kernel": 2 / fan_in, "recurrent": 1 / fan_in, "table": 0.25}[part]
            values[name] = rng.standard_normal(shape) * np.sqrt(variance)
        else:
            values[name] = np.full(shape, 1.0 if part in ("gamma", "variance") else 0.0)
    return values


def batches(count: int, size: int, epochs: int, seed: int = 0) -> Iterator[NDArray[np.int64]]:
    """Yield the indices of each batch: one NumPy permutation an epoch, the last batch may be short.

    Parameters
    ----------
    count
        How many examples there are.
    size
        How many go into one batch.
    epochs
        How often each example is used.
    """
    if size < 1 or count < 1:
        raise ValueError(f"no batches of {size} can be made from {count} examples")
    rng = np.random.default_rng(seed)
    digest = hashlib.sha256(f"{count} by {size}".encode())
    try:
        for _ in range(epochs):
            order = rng.permutation(count)
            digest.update(order.astype("<i8").tobytes())
            for begin in range(0, count, size):
                yield order[begin : begin + size]
    finally:
        _orders.add(int.from_bytes(digest.digest()[:6], "big"))


_orders: set[int] = set()


def orders() -> list[int]:
    """Return a number for each order of batches that this process has gone through, each once.

    Two twins whose trainings used the same batches in the same orders have the same numbers,
    however often and after what else each training ran.
    """
    return sorted(_orders)


def compare(first: ArrayLike, second: ArrayLike) -> Difference:
    """Return the largest absolute difference of two loss curves, and its step.

    Raises
    ------
    ValueError
        When the curves differ in length, are empty, or hold a value that is not finite.
    """
    a, b = np.asarray(first, float).ravel(), np.asarray(second, float).ravel()
    if len(a) != len(b) or not len(a):
        raise ValueError(f"the curves have {len(a)} and {len(b)} steps: they cannot be compared")
    if not (np.isfinite(a).all() and np.isfinite(b).all()):
        raise ValueError("a curve holds a value that is not finite: training has diverged")
    gap = np.abs(a - b)
    return Difference(float(gap.max()), int(gap.argmax()))
