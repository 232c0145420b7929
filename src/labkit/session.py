"""The first line of every lab: seeds, threads, quiet logs, device."""

import importlib.util
import os
import random
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from packaging.requirements import Requirement

from labkit import beside, ladder, record, rungs, twins
from labkit.errors import LabkitError
from labkit.files import WriteError

FRAMEWORKS = {"pytorch": "PyTorch", "tensorflow": "TensorFlow"}
PACKAGES = {"pytorch": ("torch",), "tensorflow": ("tensorflow", "keras")}
SEED = 0


class MissingFrameworkError(LabkitError, ImportError):
    """The lab's framework is not installed, or is older than the lab needs."""


@dataclass(frozen=True)
class Session:
    """What a lab knows about where it runs. Made by `start`."""

    chapter: str
    framework: str
    device: str
    """``"cpu"`` or ``"cuda"``, as PyTorch names it; data and sizes are the same on both."""
    threads: int | None
    """Threads the framework computes with; None leaves the choice to it."""
    seed: int
    scratch: Path
    """A folder for the lab's files, deleted when Python ends."""
    _took_effect: dict[str, int] = field(default_factory=dict, repr=False)
    _compared: dict[str, Any] = field(default_factory=dict, repr=False)
    _contrasted: dict[str, Any] = field(default_factory=dict, repr=False)

    def record(
        self,
        *,
        exact: Mapping[str, Any] | None = None,
        measured: Mapping[str, Any] | None = None,
    ) -> None:
        """Note results of this lab; see `labkit.record.write`.

        The orders of the batches so far are noted with what is exact, as ``batches``.
        """
        if exact is not None and (orders := twins.orders()):
            exact = {**exact, "batches": orders}
        try:
            record.write(self.chapter, self.framework, self.device, exact=exact, measured=measured)
        except (WriteError, record.RecordError) as error:
            if os.environ.get("LABKIT_RECORDS"):
                raise
            # A reader's lab has done its work all the same.
            print(f"note: nothing was recorded. {error}", file=sys.stderr)

    def took_effect(self, **times: int) -> None:
        """Note how often parts of a training did something, such as ``clipping=17``.

        A proof by running says nothing of code that never ran; see `labkit.rungs.took_effect`.
        """
        for name, count in times.items():
            self._took_effect[name] = int(count)
        self.record(exact={"took_effect": self._took_effect})

    def compare(self, **results: Any) -> None:
        """Print results beside the other twin's, such as ``loss=loss``, and note them.

        The other twin's come from the course's record of it, so one notebook alone shows both. What
        was compared is a rung of the proof; for what differs by nature, see `contrast`.

        Parameters
        ----------
        **results
            Name to number, text, array, or list of numbers.
        """
        self._show(results, self._compared, "compared")

    def contrast(self, **results: Any) -> None:
        """Print results beside the other twin's that are another there, and note them.

        Parameters
        ----------
        **results
            As `compare` takes them.
        """
        self._show(results, self._contrasted, "contrasted")

    def _show(self, results: Mapping[str, Any], noted: dict[str, Any], field: str) -> None:
        first, second = FRAMEWORKS
        theirs = record.course(self.chapter, second if self.framework == first else first)
        known = theirs["exact"].get(field, {}) if theirs else {}
        for name, result in results.items():
            ours = noted[name] = record.plain(name, result)
            pair = {self.framework: ours}
            values = [pair.get(framework, known.get(name)) for framework in FRAMEWORKS]
            titles = (FRAMEWORKS[first], FRAMEWORKS[second])
            print(*beside.lines(name, values[0], values[1], titles), sep="\n")
        self.record(exact={field: noted})

    def prove(
        self,
        model: Any,
        prepare: Callable[[NDArray[Any]], Any],
        loss: Callable[[Any, Any], Any],
        inputs: NDArray[Any],
        labels: NDArray[Any],
        *,
        losses: Sequence[float],
        test: NDArray[Any],
    ) -> None:
        """Note what the proof needs of this twin, and hold it against the course's other one.

        Prints one line for each rung, up to the first that breaks.

        Parameters
        ----------
        model
            The model *as trained*: its weights, and what it does in evaluation, are rungs, too.
        prepare, loss, inputs, labels
            As `labkit.ladder.climb` takes them.
        losses
            The loss of each step of the training that the model has been through.
        test
            Examples that the model did not learn from, (n, …), channels last.

        Raises
        ------
        ValueError
            When the model still has the weights that `labkit.twins` gave it: a fresh one or a copy.
        """
        if twins.untouched(model):
            raise ValueError(
                "the model has the weights still that it was given: pass the one that was trained, "
                "not a fresh one or a copy, since equal losses do not make equal networks"
            )
        found = ladder.climb(model, prepare, loss, inputs, labels, test)
        noted = {"losses": np.asarray(losses, float).tolist(), "ladder": found}
        self.record(exact=noted)
        other = next(f for f in FRAMEWORKS if f != self.framework)
        theirs = record.course(self.chapter, other)
        if theirs is None:
            print(f"noted for the proof; there is no record of {FRAMEWORKS[other]} here yet")
            return
        effects = [rungs.took_effect(list(self._took_effect))] if self._took_effect else []
        ours = {**noted, "took_effect": self._took_effect}
        if self._compared:
            ours["compared"] = self._compared
        steps = rungs.compare(ours, theirs["exact"], effects)
        print(f"this notebook, held against the course's in {FRAMEWORKS[other]}:")
        print(rungs.report(steps))
        if steps[-1].holds:
            print(f"all {len(steps)} rungs hold; the bound is {twins.BOUND:g}")
        else:
            print(
                "This rung breaks. With a network or data of your own, run both notebooks and "
                f"compare these: labkit prove --mine {self.chapter}"
            )


def start(chapter: str, framework: str) -> Session:
    """Prepare this Python process for a lab and print one line that says so.

    Seeds Python, NumPy and the framework; makes the framework's operations deterministic; keeps
    TensorFlow's start-up log quiet; and, on a CPU, computes with one thread, so
    that two notebooks can run side by side and every processor gives the same digits.

    Two environment variables change that: ``LABKIT_DEVICE`` (``cpu`` or ``gpu``) and
    ``LABKIT_THREADS`` (a number).

    Parameters
    ----------
    chapter
        The chapter's name, such as ``"first-network"``.
    framework
        ``"pytorch"`` or ``"tensorflow"``.

    Raises
    ------
    MissingFrameworkError
        When the framework is missing or too old; the message says how to get it.
    ValueError
        When the framework's name or an environment variable is not one of the known values.
    """
    if framework not in FRAMEWORKS:
        raise ValueError(f"framework is {framework!r}; it must be one of {', '.join(FRAMEWORKS)}")
    for package in PACKAGES[framework]:
        _demand(package)
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("KINETO_LOG_LEVEL", "99")  # PyTorch's profiler
    # TensorFlow takes all of a card's memory otherwise, and starves every process beside it: the
    # other twin, the processes that a lab starts, PyTorch in the same notebook.
    os.environ.setdefault("TF_FORCE_GPU_ALLOW_GROWTH", "true")
    random.seed(SEED)
    np.random.seed(SEED)
    with _quiet():
        import_triton_first()
    begin = _start_torch if framework == "pytorch" else _start_tensorflow
    device, threads = begin()
    if device == "cpu":  # processes of their own, which a lab starts, see no GPU either
        os.environ["CUDA_VISIBLE_DEVICES"] = "-1"
    # The object lives as long as the process; its finalizer removes the folder.
    folder = tempfile.TemporaryDirectory(prefix=f"labkit-{chapter}-")
    _scratch.append(folder)
    record.begin(chapter, framework)
    where = "the CPU" if device == "cpu" else "a graphics card"
    print(f"{chapter} in {FRAMEWORKS[framework]}: on {where}, seed {SEED}")
    return Session(chapter, framework, device, threads, SEED, Path(folder.name))


_scratch: list[tempfile.TemporaryDirectory[str]] = []


def _start_torch() -> tuple[str, int | None]:
    # cuBLAS reads it when it starts; without it, its results differ from run to run.
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    import torch

    device = _device(torch.cuda.is_available())
    threads = _threads(device)
    if threads:
        torch.set_num_threads(threads)
    torch.manual_seed(SEED)
    torch.use_deterministic_algorithms(True, warn_only=True)
    # Convolutions in float32 have ten bits of mantissa otherwise, where the card can do that.
    torch.backends.cudnn.allow_tf32 = False
    return device, threads


def _start_tensorflow() -> tuple[str, int | None]:
    os.environ.setdefault("KERAS_BACKEND", "tensorflow")
    with _quiet():
        import tensorflow as tf

        tf.config.list_physical_devices()
    device = _device(bool(tf.config.list_physical_devices("GPU")))
    threads = _threads(device)
    if threads:
        tf.config.threading.set_intra_op_parallelism_threads(threads)
        tf.config.threading.set_inter_op_parallelism_threads(threads)
    if device == "cpu":
        tf.config.set_visible_devices([], "GPU")
    import keras

    if keras.backend.backend() != "tensorflow":
        raise ValueError(
            f"Keras runs on {keras.backend.backend()} here, and this lab is for TensorFlow: unset "
            "KERAS_BACKEND (or the backend in ~/.keras/keras.json) and restart the kernel"
        )
    keras.utils.set_random_seed(SEED)
    tf.config.experimental.enable_op_determinism()
    tf.config.experimental.enable_tensor_float_32_execution(False)
    return device, threads


def import_triton_first() -> None:
    """Import triton, where PyTorch has brought it along, before TensorFlow.

    Both carry LLVM. In the other order, ``import triton`` (Keras does it on its PyTorch backend)
    ends Python with a segmentation fault.
    """
    if importlib.util.find_spec("triton") is not None:
        with suppress(ImportError):
            importlib.import_module("triton")


@contextmanager
def _quiet() -> Iterator[None]:
    """Drop what C code writes to stderr.

    TensorFlow logs while it is imported, whatever its log level is. Python's own errors still
    reach the reader.
    """
    sys.stderr.flush()
    kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)


def _device(has_gpu: bool) -> str:
    wanted = os.environ.get("LABKIT_DEVICE") or ("gpu" if has_gpu else "cpu")
    if wanted not in ("cpu", "gpu"):
        raise ValueError(f"LABKIT_DEVICE is {wanted!r}; set it to cpu or gpu, or unset it")
    if wanted == "gpu" and not has_gpu:
        raise ValueError(
            "LABKIT_DEVICE is gpu, but the framework sees no CUDA device here; unset it, "
            "or run `labkit doctor` to see what is missing"
        )
    return "cuda" if wanted == "gpu" else "cpu"


def _threads(device: str) -> int | None:
    setting = os.environ.get("LABKIT_THREADS")
    if setting is None:
        return 1 if device == "cpu" else None
    if not setting.isdigit() or int(setting) < 1:
        raise ValueError(f"LABKIT_THREADS is {setting!r}; set it to a whole number from 1 up")
    return int(setting)


def bounds(package: str, extra: str = "cpu") -> Requirement | None:
    """Return the version bounds of `package` from labkit's own metadata, None without any.

    They stand in ``pyproject.toml`` alone: in the extra ``cpu`` what the course is made with, in
    ``oldest`` what a lab accepts where a reader's machine (Colab, say) brings its own.
    """
    for text in requires("labkit") or []:
        requirement = Requirement(text)
        here = requirement.marker is None or requirement.marker.evaluate({"extra": extra})
        if here and requirement.name in (package, f"{package}-cpu"):
            return requirement
    return None


def installed(package: str) -> str | None:
    """Return the version of `package` (or of its ``-cpu`` build) here, None when it is missing."""
    for name in (package, f"{package}-cpu"):
        try:
            return version(name)
        except PackageNotFoundError:
            continue
    return None


def install_hint(package: str) -> str:
    """Return the pip command that installs `package` within the course's bounds."""
    wanted = bounds(package)
    specifier = wanted.specifier if wanted else ""
    return f"pip install '{wanted.name if wanted else package}{specifier}'"


def _demand(package: str) -> None:
    found, wanted, oldest = installed(package), bounds(package), bounds(package, "oldest")
    mend = f"Install it with: {install_hint(package)}, then restart the kernel."
    if found is None:
        raise MissingFrameworkError(
            f"This lab needs {package}, which is not installed for {sys.executable}. {mend}"
        )
    if oldest and not oldest.specifier.contains(found, prereleases=True):
        raise MissingFrameworkError(
            f"This lab needs {package}{oldest.specifier}; {found} is too old. {mend}"
        )
    if wanted and not wanted.specifier.contains(found, prereleases=True):
        # Another release only informs: the lab may well run.
        print(
            f"note: this lab was made with {package}{wanted.specifier}; here is {found}",
            file=sys.stderr,
        )
