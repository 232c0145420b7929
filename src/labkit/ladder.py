"""What one twin does, in numbers that the other can be held to.

Two trainings can only be the same if the networks are, rung by rung: the same parameters, the same
outputs for the same input, the same gradients, the same outputs after a pass in training mode,
the same inputs that an output depends on; and, after training, the same weights and the same
outputs again. `climb` notes these for one twin; `labkit.rungs` compares two. The idea is that of
TensorFlow's guide for moving a model to TensorFlow 2
(https://www.tensorflow.org/guide/migrate/validate_correctness).
"""

import copy
import sys
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labkit import layouts, twins

PASSES = 3
"""Passes in training mode between two looks at the outputs."""


def climb(
    model: Any,
    prepare: Callable[[NDArray[Any]], Any],
    loss: Callable[[Any, Any], Any],
    inputs: NDArray[Any],
    labels: NDArray[Any],
    test: NDArray[Any] | None = None,
) -> dict[str, Any]:
    """Note what a model does, rung by rung; the model is left as it was.

    But for what is noted of a trained model, every weight is given a value of its own first,
    biases and statistics too, since zeros and ones hide mistakes.

    Parameters
    ----------
    model
        A ``torch.nn.Module`` or a built ``keras.Model``.
    prepare
        Turns `inputs` into what the model takes.
    loss
        Called with the model's outputs and the labels, as tensors; returns one number.
    inputs, labels
        A few examples, (n, …), channels last.
    test
        Examples on which the model, as it is, is evaluated. Without them nothing is noted of what
        training has made of it.

    Returns
    -------
    dict
        ``parameters``: name and shape of each, and whether it is trained; ``outputs``: (n, …) in
        evaluation mode; ``gradients``: for each weight that training moves, its norm and two
        projections; ``modes``: outputs after `PASSES` passes in training mode; ``sensitivity``:
        which outputs change with each changed place of the input. With `test`, also ``trained``:
        norm and projections of each weight, and ``evaluation``: those of the outputs.
    """
    if not _is_keras(model):
        model = copy.deepcopy(model)  # modes, gradients and counters are the model's own business
    before = twins.weights(model)
    found: dict[str, Any] = {}
    if test is not None:
        scores = _outputs(model, prepare(test))
        found["trained"] = {name: projections(name, value) for name, value in before.items()}
        found["evaluation"] = {
            "shape": list(scores.shape),
            "projections": projections("evaluation", scores),
        }
    try:
        layouts.write(model, _probe(before))
        found |= {
            "parameters": [
                [part.name, list(before[part.name].shape), part.trained]
                for part in layouts.parts(model)
            ],
            "outputs": _outputs(model, prepare(inputs)),
            "sensitivity": _sensitivity(model, prepare, inputs),
            "gradients": _gradients(model, prepare(inputs), labels, loss),
        }
        layouts.write(model, _probe(before))
        for _ in range(PASSES):
            _outputs(model, prepare(inputs), training=True)
        found["modes"] = _outputs(model, prepare(inputs))
    finally:
        layouts.write(model, before)
    return found


def _probe(weights: layouts.Weights) -> layouts.Weights:
    """Draw a value for every weight; scales and variances stay positive."""
    rng = np.random.default_rng(0)
    return {
        name: rng.uniform(0.5, 1.5, v.shape)
        if name.endswith(("gamma", "variance"))
        else rng.normal(0, np.prod(v.shape[:-1], dtype=float) ** -0.5, v.shape)
        for name, v in weights.items()
    }


def _is_keras(model: Any) -> bool:
    keras = sys.modules.get("keras")
    return keras is not None and isinstance(model, keras.Model)


def _outputs(model: Any, ready: Any, *, training: bool = False) -> NDArray[np.float64]:
    """Run the model on prepared inputs."""
    if _is_keras(model):
        import keras

        return np.asarray(keras.ops.convert_to_numpy(model(ready, training=training)), float)
    import torch

    was = model.training
    model.train(training)
    with torch.no_grad():
        result = model(ready).cpu().numpy()
    model.train(was)
    return np.asarray(result, float)


def _gradients(
    model: Any, ready: Any, labels: NDArray[Any], loss: Callable[[Any, Any], Any]
) -> dict[str, list[float]]:
    """Return each trained weight's gradient, in training mode, as its norm and two projections."""
    swap = _keras_gradients if _is_keras(model) else _torch_gradients
    with swap(model, ready, labels, loss):
        # The gradients stand where the weights did, and read in the canonical layout as they do.
        found = twins.weights(model)
    fixed = ("mean", "variance")
    return {n: projections(n, g) for n, g in found.items() if not n.endswith(fixed)}


def projections(name: str, values: NDArray[np.floating]) -> list[float]:
    """Return an array's norm and two projections: three numbers that no change leaves alone."""
    rng = np.random.default_rng(zlib.crc32(name.encode()))
    first, second = rng.standard_normal((2, *values.shape))
    return [
        float(np.linalg.norm(values)),
        float((values * first).sum()),
        float((values * second).sum()),
    ]


@contextmanager
def _torch_gradients(
    model: Any, ready: Any, labels: NDArray[Any], loss: Callable[[Any, Any], Any]
) -> Iterator[None]:
    import torch

    was = model.training
    model.train()
    model.zero_grad()
    device = next(model.parameters()).device
    loss(model(ready), torch.from_numpy(labels).to(device)).backward()
    model.train(was)
    values = [p.data for p in model.parameters()]
    for p in model.parameters():
        p.data = torch.zeros_like(p) if p.grad is None else p.grad
    try:
        yield
    finally:
        for p, value in zip(model.parameters(), values, strict=True):
            p.data = value
        model.zero_grad()


@contextmanager
def _keras_gradients(
    model: Any, ready: Any, labels: NDArray[Any], loss: Callable[[Any, Any], Any]
) -> Iterator[None]:
    import tensorflow as tf

    with tf.GradientTape() as tape:
        value = loss(model(ready, training=True), tf.constant(labels))
    variables = model.trainable_variables
    gradients = tape.gradient(value, variables)
    old = model.get_weights()
    for variable in model.weights:
        variable.assign(tf.zeros_like(variable.value))
    for variable, gradient in zip(variables, gradients, strict=True):
        if gradient is not None:  # the loss does not depend on every weight
            variable.assign(tf.convert_to_tensor(gradient))
    try:
        yield
    finally:
        model.set_weights(old)


def _sensitivity(
    model: Any, prepare: Callable[[NDArray[Any]], Any], inputs: NDArray[Any]
) -> list[list[int]]:
    """Change the input at one place after the other, and note which outputs change with it.

    A place is an example, or, where the model answers at each time step, a time step of one.
    """
    base = _outputs(model, prepare(inputs))
    steps = base.ndim > 2
    places = np.ndindex(*inputs.shape[: 2 if steps else 1])
    found = []
    for place in places:
        changed = inputs.copy()
        if np.issubdtype(inputs.dtype, np.integer):
            changed[place] = (changed[place] + 1) % max(2, inputs.max() + 1)
        else:
            changed[place] = changed[place] + 0.5
        gap = np.abs(_outputs(model, prepare(changed)) - base).max(axis=-1)
        found.append((gap > 0).astype(int).ravel().tolist())
    return found
