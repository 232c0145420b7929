"""The same start for both frameworks: first weights, order of batches, comparison.

Weights travel between the frameworks in one canonical layout, which is Keras': kernels of
convolutions as (height, width, inputs, outputs), of dense layers as (inputs, outputs). Their
names hold the layer's place, its kind and the weight's part, such as ``"0.conv.kernel"``.
"""

import sys
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

Weights = dict[str, NDArray[np.floating]]


class UnknownLayerError(TypeError):
    """A layer whose weights labkit cannot carry between the frameworks."""


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
    return {name: get() for name, get, _ in _parts(model)}


def set_weights(model: Any, values: Weights) -> None:
    """Copy weights in the canonical layout into a model.

    Raises
    ------
    ValueError
        When a name or a shape does not fit; nothing is copied then.
    """
    parts = list(_parts(model))
    names = [name for name, _, _ in parts]
    if names != list(values):
        raise ValueError(f"the model's weights are {names}, those given are {list(values)}")
    for name, get, _ in parts:
        if get().shape != values[name].shape:
            raise ValueError(
                f"{name}: the model holds shape {get().shape}, the values {values[name].shape}"
            )
    for name, _, put in parts:
        put(values[name])


def first_weights(model: Any, seed: int = 0) -> Weights:
    """Draw a model's first weights by NumPy and set them: the same in both frameworks.

    Kernels are normal with variance 2 / fan-in (He et al., 2015, https://arxiv.org/abs/1502.01852),
    biases and means zero, scales and variances one.

    Returns
    -------
    dict
        What was set, in the canonical layout.
    """
    rng = np.random.default_rng(seed)
    values = {}
    for name, get, _ in _parts(model):
        shape, part = get().shape, name.rsplit(".", 1)[1]
        if part == "kernel":
            values[name] = rng.standard_normal(shape) * np.sqrt(2 / np.prod(shape[:-1]))
        else:
            values[name] = np.full(shape, 1.0 if part in ("gamma", "variance") else 0.0)
    set_weights(model, values)
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
    for _ in range(epochs):
        order = rng.permutation(count)
        for begin in range(0, count, size):
            yield order[begin : begin + size]


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


# --- how each framework keeps its weights -----------------------------------------------------

Part = tuple[str, Callable[[], NDArray[np.floating]], Callable[[NDArray[np.floating]], None]]

# Layer → kind and, for each of its weights, the canonical name and the order of axes that takes
# the framework's array to the canonical one.
_TORCH: dict[str, tuple[str, dict[str, tuple[str, Sequence[int]]]]] = {
    "Conv2d": ("conv", {"weight": ("kernel", (2, 3, 1, 0)), "bias": ("bias", (0,))}),
    "Linear": ("dense", {"weight": ("kernel", (1, 0)), "bias": ("bias", (0,))}),
    "BatchNorm2d": (
        "batchnorm",
        {
            "weight": ("gamma", (0,)),
            "bias": ("beta", (0,)),
            "running_mean": ("mean", (0,)),
            "running_var": ("variance", (0,)),
        },
    ),
}
_KERAS: dict[str, tuple[str, dict[str, str]]] = {
    "Conv2D": ("conv", {"kernel": "kernel", "bias": "bias"}),
    "Dense": ("dense", {"kernel": "kernel", "bias": "bias"}),
    "BatchNormalization": (
        "batchnorm",
        {"gamma": "gamma", "beta": "beta", "moving_mean": "mean", "moving_variance": "variance"},
    ),
}


def _parts(model: Any) -> Iterator[Part]:
    """Yield each weight's name, how to read it and how to set it."""
    keras, torch = sys.modules.get("keras"), sys.modules.get("torch")
    # Keras first: on its PyTorch backend a Keras model is a torch module too.
    if keras and isinstance(model, keras.Model):
        if not model.built:
            raise ValueError(f"{model.name} is not built: give it an Input, or call it once")
        return _keras_parts(model)
    if torch and isinstance(model, torch.nn.Module):
        return _torch_parts(model)
    raise TypeError(f"{type(model).__name__} is neither a torch.nn.Module nor a keras.Model")


def _torch_parts(model: Any) -> Iterator[Part]:
    place = 0
    for path, module in model.named_modules():
        own = [*module.named_parameters(recurse=False), *module.named_buffers(recurse=False)]
        if not own:
            continue
        if type(module).__name__ not in _TORCH:
            raise UnknownLayerError(f"layer {path!r}: no conversion for {type(module).__name__}")
        kind, table = _TORCH[type(module).__name__]
        for attribute, (part, axes) in table.items():
            tensor = getattr(module, attribute)
            if tensor is not None:
                yield f"{place}.{kind}.{part}", *_torch_access(tensor, axes)
        place += 1


def _torch_access(
    tensor: Any, axes: Sequence[int]
) -> tuple[Callable[[], NDArray[np.floating]], Callable[[NDArray[np.floating]], None]]:
    def get() -> NDArray[np.floating]:
        return tensor.detach().cpu().numpy().transpose(axes).copy()

    def put(value: NDArray[np.floating]) -> None:
        import torch

        turned = np.ascontiguousarray(value.transpose(np.argsort(axes)))
        with torch.no_grad():
            tensor.copy_(torch.from_numpy(turned))

    return get, put


def _keras_parts(model: Any) -> Iterator[Part]:
    place = 0
    for layer in model._flatten_layers(include_self=False, recursive=True):
        if not layer.weights or getattr(layer, "layers", None):
            continue
        if type(layer).__name__ not in _KERAS:
            raise UnknownLayerError(
                f"layer {layer.name!r}: no conversion for {type(layer).__name__}"
            )
        kind, table = _KERAS[type(layer).__name__]
        for attribute, part in table.items():
            variable = getattr(layer, attribute, None)
            if variable is not None:
                yield f"{place}.{kind}.{part}", *_keras_access(variable)
        place += 1


def _keras_access(
    variable: Any,
) -> tuple[Callable[[], NDArray[np.floating]], Callable[[NDArray[np.floating]], None]]:
    def get() -> NDArray[np.floating]:
        import keras

        return keras.ops.convert_to_numpy(variable).copy()

    return get, variable.assign
