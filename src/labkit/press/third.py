"""The third twin: what a page needs to train a chapter's network itself, in plain JavaScript.

The page gets pictures, first weights and batches as `labkit.twins` and `labkit.data` give them to
the notebooks, and the network's shapes and losses from the course's record. Seed, batches, rate and
momentum are read off the chapter's own code, where they stand once. A chapter that changes them, or
its network, breaks the rung that `labkit.press.prove` adds, until a browser has trained again.
"""

import ast
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labkit import data, ladder, record, twins
from labkit.press.chapter import Cell, Chapter

NAME = "javascript"
"""What stands in the place of a framework in the record's name."""
FOLDER = "third"
"""Where the data lies in the built book."""
_DTYPES = {"weights": "<f8", "order": "<u2", "images": "u1", "labels": "u1"}
"""The longest numbers first: each array then begins where its kind may begin."""


@dataclass(frozen=True)
class Training:
    """How a chapter's step trains, as its code says."""

    seed: int
    """Of the first weights."""
    size: int
    """Pictures in a batch."""
    epochs: int
    rate: float
    momentum: float


def training(chapter: Chapter) -> Training:
    """Read a chapter's training off the PyTorch cells, up to the step that ``lab.third`` names.

    Raises
    ------
    SourceError
        When a call is missing there, or gives something else than plain numbers.
    """
    calls = _calls(chapter)

    def given(call: str, names: Sequence[str], also: Sequence[str] = ()) -> list[Any]:
        """Return numbers of the last such call; `also` names what stands there by its place."""
        if call not in calls:
            message = f"the third twin finds no call of {call} up to the step {chapter.lab.third!r}"
            raise chapter.text.error(1, message)
        cell, node = calls[call]
        values = {name: a for name, a in zip(also, node.args, strict=False) if name}
        values |= {str(k.arg): k.value for k in node.keywords}
        numbers = {n: v.value for n, v in values.items() if isinstance(v, ast.Constant)}
        if set(values) != set(names) or values.keys() != numbers.keys():
            message = f"the third twin knows {call} with numbers for {', '.join(names)} alone"
            raise chapter.text.error(cell.line, message)
        return [numbers[name] for name in names]

    (seed,) = given("first_weights", ["seed"])
    size, epochs = given("batches", ["size", "epochs"], also=("", "size"))
    rate, momentum = given("SGD", ["lr", "momentum"])
    return Training(seed, size, epochs, rate, momentum)


def _calls(chapter: Chapter) -> dict[str, tuple[Cell, ast.Call]]:
    """Return the last call of each function up to the step that trains, by its own name."""
    found = {}
    trained = False
    for cell in chapter.cells_of("pytorch"):
        if cell.kind != "code" or cell.role:
            continue
        if trained and cell.step != chapter.lab.third:
            break
        trained = trained or cell.step == chapter.lab.third
        for node in ast.walk(ast.parse(cell.source)):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
                found[node.func.attr] = cell, node
    return found


def files(chapter: Chapter, exact: Mapping[str, Any]) -> dict[str, bytes]:
    """Return what the page fetches when it is asked to train, by its name in the book.

    Parameters
    ----------
    exact
        The exact part of PyTorch's record: the network's shapes, and the losses to be met.

    Raises
    ------
    RecordError
        When the record holds no ladder or no losses.
    """
    try:
        shapes = {name: shape for name, shape, _ in exact["ladder"]["parameters"]}
        losses, accuracy = exact["losses"], exact["test_accuracy"]
    except (KeyError, TypeError, ValueError) as error:
        message = f"{chapter.name}: PyTorch's record has no {error}, which the third twin needs"
        raise record.RecordError(message) from error
    how, digits = training(chapter), data.images("digits")
    count = len(digits.train_images)
    pictures = np.concatenate([digits.train_images, digits.test_images])
    arrays = {
        "weights": np.concatenate([w.ravel() for w in twins.draw(shapes, how.seed).values()]),
        "order": np.concatenate(list(twins.batches(count, how.size, how.epochs))),
        "images": np.rint(16 * pictures),
        "labels": np.concatenate([digits.train_labels, digits.test_labels]),
    }
    facts = {
        **asdict(how),
        "shapes": list(shapes.values()),
        "training": count,
        "arrays": {name: int(arrays[name].size) for name in _DTYPES},
        "losses": losses,
        "accuracy": accuracy,
        "bound": twins.BOUND,
    }
    packed = b"".join(arrays[name].astype(kind).tobytes() for name, kind in _DTYPES.items())
    return {
        f"{FOLDER}/{chapter.name}.json": json.dumps(facts).encode(),
        f"{FOLDER}/{chapter.name}.bin": packed,
    }


def noted(
    chapter: str, exact: Mapping[str, Any], told: Mapping[str, Any], browser: str
) -> dict[str, Any]:
    """Return the record of a training in a browser.

    Parameters
    ----------
    exact
        The exact part of PyTorch's record, for the weights' names and shapes.
    told
        What the page answers: ``losses``, the trained ``weights``, and ``scores`` of the test set,
        one after another.
    browser
        Its name and version.
    """
    name, version = browser.split(" ", 1)
    machine = record.machine()
    machine["versions"] = {name.lower(): version}
    parameters = exact["ladder"]["parameters"]
    shapes = [shape for _, shape, _ in parameters]
    cuts = np.cumsum([np.prod(shape, dtype=int) for shape in shapes])[:-1]
    parts = np.split(np.asarray(told["weights"], float), cuts)
    trained = {
        name: ladder.projections(name, part.reshape(shape))
        for (name, shape, _), part in zip(parameters, parts, strict=True)
    }
    scores: NDArray[np.float64] = np.asarray(told["scores"], float).reshape(-1, shapes[-1][0])
    return {
        "schema": record.SCHEMA,
        "chapter": chapter,
        "framework": NAME,
        "machine": {"exact": machine, "measured": None},
        "exact": {
            "losses": list(told["losses"]),
            "ladder": {
                "trained": trained,
                "evaluation": {
                    "shape": list(scores.shape),
                    "projections": ladder.projections("evaluation", scores),
                },
            },
        },
        "measured": {},
    }
