"""How each framework keeps its weights, and how they read in one canonical layout.

The canonical layout is Keras': kernels of convolutions as (height, width, inputs, outputs), of
dense layers as (inputs, outputs), gates side by side in Keras' order. A weight's name holds the
layer's place, its kind and the weight's part, such as ``"0.conv.kernel"``.

What PyTorch has and Keras has not is folded: an LSTM or RNN of PyTorch has two vectors of biases,
which only ever act by their sum. Reading gives the sum; writing puts it into the first vector and
zero into the second. Training moves both, at twice the rate, unless the second is frozen.
"""

import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labkit.errors import LabkitError

Array = NDArray[np.floating]
Weights = dict[str, Array]
"""Arrays in the canonical layout by name, in the order in which the layers were declared."""


@dataclass(frozen=True)
class Part:
    """A weight in the canonical layout, and what the framework keeps of it."""

    name: str
    get: Callable[[], Array]
    put: Callable[[Array], None]
    tensors: tuple[Any, ...]
    """The framework's own parameters, buffers or variables: more than one where they are folded."""
    trained: bool
    """Whether an optimizer may move it."""


class UnknownLayerError(LabkitError, TypeError):
    """A layer whose weights labkit cannot carry between the frameworks."""


def parts(model: Any) -> list[Part]:
    """Return the weights of a ``torch.nn.Module`` or a built ``keras.Model``, as declared.

    Raises
    ------
    UnknownLayerError
        Names the first layer whose weights cannot be converted, or the first weight of the model
        that belongs to none of its known layers.
    """
    keras, torch = sys.modules.get("keras"), sys.modules.get("torch")
    # Keras first: on its PyTorch backend a Keras model is a torch module too.
    if keras and isinstance(model, keras.Model):
        if not model.built:
            raise ValueError(f"{model.name} is not built: give it an Input, or call it once")
        found = _numbered(_keras_layers(model))
        moved = {id(v) for v in model.trainable_variables}
        found = [replace(p, trained=any(id(v) in moved for v in p.tensors)) for p in found]
        _demand_all(found, ((v.path, v) for v in model.weights))
        return found
    if torch and isinstance(model, torch.nn.Module):
        found = _numbered(_torch_layers(model))
        own = [*model.named_parameters(), *model.named_buffers()]
        _demand_all(found, ((n, t) for n, t in own if not n.endswith("num_batches_tracked")))
        return found
    raise TypeError(f"{type(model).__name__} is neither a torch.nn.Module nor a keras.Model")


def write(model: Any, values: Weights) -> None:
    """Copy weights into a model.

    Raises
    ------
    ValueError
        When a name or a shape does not fit; nothing is copied then.
    """
    found = parts(model)
    names = [part.name for part in found]
    if names != list(values):
        raise ValueError(f"the model's weights are {names}, those given are {list(values)}")
    for part in found:
        if part.get().shape != values[part.name].shape:
            raise ValueError(
                f"{part.name}: the model holds shape {part.get().shape}, "
                f"the values {values[part.name].shape}"
            )
    for part in found:
        part.put(values[part.name])


def _numbered(layers: Iterator[list[Part]]) -> list[Part]:
    return [
        replace(part, name=f"{place}.{part.name}")
        for place, layer in enumerate(layers)
        for part in layer
    ]


def _demand_all(found: list[Part], own: Iterable[tuple[str, Any]]) -> None:
    """Raise for a weight that the framework counts and none of the parts holds."""
    held = {id(tensor) for part in found for tensor in part.tensors}
    for name, tensor in own:
        if id(tensor) not in held:
            raise UnknownLayerError(
                f"{name}, of shape {tuple(tensor.shape)}, is a weight that its kind of layer does "
                "not have: labkit would drop it, and the twins could part there unseen"
            )


def _kind(layer: Any, known: set[str]) -> str:
    """Return the name of a layer's class, or of the known one that it is derived from."""
    names = [c.__name__ for c in type(layer).__mro__]
    return next((n for n in names if n in known), names[0])


# --- PyTorch --------------------------------------------------------------------------------------

# Layer → kind and, for each of its weights, the canonical name and the order of axes that takes
# PyTorch's array to the canonical one.
_BATCHNORM: dict[str, tuple[str, Sequence[int]]] = {
    "weight": ("gamma", (0,)),
    "bias": ("beta", (0,)),
    "running_mean": ("mean", (0,)),
    "running_var": ("variance", (0,)),
}
_TORCH: dict[str, tuple[str, dict[str, tuple[str, Sequence[int]]]]] = {
    "Conv1d": ("conv", {"weight": ("kernel", (2, 1, 0)), "bias": ("bias", (0,))}),
    "Conv2d": ("conv", {"weight": ("kernel", (2, 3, 1, 0)), "bias": ("bias", (0,))}),
    "Linear": ("dense", {"weight": ("kernel", (1, 0)), "bias": ("bias", (0,))}),
    "Embedding": ("embedding", {"weight": ("table", (0, 1))}),
    "BatchNorm1d": ("batchnorm", _BATCHNORM),
    "BatchNorm2d": ("batchnorm", _BATCHNORM),
    "LayerNorm": ("layernorm", {"weight": ("gamma", (0,)), "bias": ("beta", (0,))}),
}
_RECURRENT = {"LSTM": "lstm", "GRU": "gru", "RNN": "rnn"}


def _torch_layers(model: Any) -> Iterator[list[Part]]:
    for path, module in model.named_modules():
        own = [*module.named_parameters(recurse=False), *module.named_buffers(recurse=False)]
        if not own:
            continue
        kind = _kind(module, {*_TORCH, *_RECURRENT})
        if kind in _RECURRENT and not _oddity(module):
            yield _torch_recurrent(module, _RECURRENT[kind])
        elif kind in _TORCH and not _oddity(module):
            name, table = _TORCH[kind]
            yield [
                _torch_part(f"{name}.{part}", getattr(module, attribute), axes)
                for attribute, (part, axes) in table.items()
                if getattr(module, attribute) is not None
            ]
        else:
            odd = f" with {_oddity(module)}" if _oddity(module) else ""
            raise UnknownLayerError(f"layer {path!r}: no conversion for {kind}{odd}")


def _oddity(module: Any) -> str:
    """Name what about a layer has no counterpart in Keras, or is not converted here."""
    for attribute, plain in (
        ("num_layers", 1),
        ("proj_size", 0),
        ("nonlinearity", "tanh"),
        ("groups", 1),
    ):
        value = getattr(module, attribute, plain)
        if value != plain:
            return f"{attribute}={value!r}"
    shape = getattr(module, "normalized_shape", (1,))
    return f"normalized_shape={tuple(shape)}" if len(shape) != 1 else ""


def _torch_part(name: str, tensor: Any, axes: Sequence[int]) -> Part:
    """Return a parameter or buffer whose axes are turned into the canonical order."""

    def get() -> Array:
        return tensor.detach().cpu().numpy().transpose(axes).copy()

    def put(value: Array) -> None:
        import torch

        turned = np.ascontiguousarray(value.transpose(np.argsort(axes)))
        with torch.no_grad():
            tensor.copy_(torch.from_numpy(turned))

    return Part(name, get, put, (tensor,), tensor.requires_grad)


def _torch_recurrent(module: Any, kind: str) -> list[Part]:
    found: list[Part] = []
    for suffix, name in (("", kind), ("_reverse", f"{kind}-backward")):
        if suffix and not module.bidirectional:
            break
        for attribute, part in (("weight_ih", "kernel"), ("weight_hh", "recurrent")):
            tensor = getattr(module, f"{attribute}_l0{suffix}")
            found.append(_gated(_torch_part(f"{name}.{part}", tensor, (1, 0)), kind))
        if module.bias:
            biases = [getattr(module, f"bias_{side}_l0{suffix}") for side in ("ih", "hh")]
            found.append(_gated(_torch_biases(f"{name}.bias", biases, kind), kind))
    return found


def _torch_biases(name: str, tensors: list[Any], kind: str) -> Part:
    """Return two vectors of biases as one; a GRU's as two rows, since they act apart."""
    of_input, of_state = (_torch_part(name, t, (0,)) for t in tensors)

    def get() -> Array:
        both = np.stack([of_input.get(), of_state.get()])
        return both if kind == "gru" else both.sum(axis=0)

    def put(value: Array) -> None:
        of_input.put(value[0] if kind == "gru" else value)
        of_state.put(value[1] if kind == "gru" else np.zeros_like(value))

    return Part(name, get, put, tuple(tensors), of_input.trained or of_state.trained)


def _gated(part: Part, kind: str) -> Part:
    """Turn the last axis' gates into Keras' order: a GRU of PyTorch has r, z, n; Keras z, r, h."""
    if kind != "gru":
        return part

    def turn(value: Array) -> Array:
        r, z, n = np.split(value, 3, axis=-1)
        return np.concatenate([z, r, n], axis=-1)

    return replace(part, get=lambda: turn(part.get()), put=lambda value: part.put(turn(value)))


# --- Keras ----------------------------------------------------------------------------------------

_KERAS: dict[str, tuple[str, dict[str, str]]] = {
    "Conv1D": ("conv", {"kernel": "kernel", "bias": "bias"}),
    "Conv2D": ("conv", {"kernel": "kernel", "bias": "bias"}),
    "Dense": ("dense", {"kernel": "kernel", "bias": "bias"}),
    "Embedding": ("embedding", {"embeddings": "table"}),
    "BatchNormalization": (
        "batchnorm",
        {"gamma": "gamma", "beta": "beta", "moving_mean": "mean", "moving_variance": "variance"},
    ),
    "LayerNormalization": ("layernorm", {"gamma": "gamma", "beta": "beta"}),
}
_KERAS_RECURRENT = {"LSTM": "lstm", "GRU": "gru", "SimpleRNN": "rnn"}


def _keras_layers(layer: Any) -> Iterator[list[Part]]:
    for inner in layer._flatten_layers(include_self=False, recursive=False):
        if not inner.weights:
            continue
        kind = _kind(inner, {"Bidirectional", *_KERAS, *_KERAS_RECURRENT})
        if odd := _keras_oddity(inner):
            raise UnknownLayerError(f"layer {inner.name!r}: no conversion for {kind} with {odd}")
        if kind == "Bidirectional" and _kind(inner.forward_layer, set()) in _KERAS_RECURRENT:
            yield [
                *_keras_recurrent(inner.forward_layer),
                *_keras_recurrent(inner.backward_layer, "-backward"),
            ]
        elif kind in _KERAS_RECURRENT:
            yield _keras_recurrent(inner)
        elif kind in _KERAS:
            name, table = _KERAS[kind]
            yield _keras_parts(inner, name, table)
        elif hasattr(inner, "layers"):
            yield from _keras_layers(inner)
        else:
            raise UnknownLayerError(f"layer {inner.name!r}: no conversion for {kind}")


def _keras_oddity(layer: Any) -> str:
    """Name what about a layer has no counterpart in PyTorch, or is not converted here."""
    plain: dict[str, Any] = {"groups": 1, "go_backwards": False, "merge_mode": "concat"}
    if _kind(layer, {*_KERAS_RECURRENT}) in _KERAS_RECURRENT:
        plain |= {"activation": "tanh", "recurrent_activation": "sigmoid"}
    if "Normalization" in _kind(layer, {*_KERAS}):
        plain["axis"] = -1
    for attribute, usual in plain.items():
        value = getattr(layer, attribute, usual)
        value = getattr(value, "__name__", value)
        if value != usual and not (attribute == "axis" and _is_last(layer, value)):
            return f"{attribute}={value!r}"
    return ""


def _is_last(layer: Any, axis: int | list[int]) -> bool:
    """Say whether an axis of normalization is the input's last one."""
    axes = axis if isinstance(axis, list) else [axis]
    if axes == [-1]:
        return True
    # Layers of a subclassed model have no `input`; BatchNormalization notes its rank all the same.
    spec = getattr(layer, "input_spec", None)
    if spec is None and layer._inbound_nodes:
        return axes == [len(layer.input.shape) - 1]
    return spec is not None and axes == [spec.ndim - 1]


def _keras_recurrent(layer: Any, direction: str = "") -> list[Part]:
    kind = _KERAS_RECURRENT[_kind(layer, {*_KERAS_RECURRENT})]
    if kind == "gru" and not layer.reset_after:
        raise UnknownLayerError(f"layer {layer.name!r}: no conversion for GRU, reset_after=False")
    table = {"kernel": "kernel", "recurrent_kernel": "recurrent", "bias": "bias"}
    return _keras_parts(layer.cell, kind + direction, table)


def _keras_parts(layer: Any, kind: str, table: dict[str, str]) -> list[Part]:
    found = [(part, getattr(layer, attribute, None)) for attribute, part in table.items()]
    return [_keras_part(f"{kind}.{part}", v) for part, v in found if v is not None]


def _keras_part(name: str, variable: Any) -> Part:
    def get() -> Array:
        import keras

        return keras.ops.convert_to_numpy(variable).copy()

    return Part(name, get, variable.assign, (variable,), variable.trainable)
