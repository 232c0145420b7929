"""What the training programs beside this file share: options, data, and the folder of a run.

It knows no framework. A run's folder holds::

    config.json      what the run was started with, and what its data is
    losses.jsonl     one line a step
    checkpoint.*     all that a run needs to go on as if nothing had happened
    model.*          the trained weights
    result.json      how good it is, how long it took, on which machine
    events.out.*     the same for TensorBoard
"""

import argparse
import json
import math
import os
import signal
import sys
import time
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

import numpy as np

from labkit import data, record, twins
from labkit.errors import LabkitError

STOPPED = 128 + signal.SIGTERM
EPILOG = f"""Killed at any moment, a run goes on from its last checkpoint with --resume and the
same options. On SIGTERM it ends the step, writes a checkpoint and exits with code {STOPPED}. Bad
input is one line and exit code 2. In float64 the programs of both frameworks begin with the same
weights, take the same batches and have the same losses, unless dropout or augmentation is on."""
LOSSES = "losses.jsonl"
FREE = {"out", "resume", "save_every", "workers", "sample", "devices"}
"""Options that change no loss: a run may go on with others."""


class RefusedError(LabkitError):
    """What was asked for cannot be done; the message says why, and the mend."""


def number(kind: type, least: float, most: float = math.inf) -> Callable[[str], Any]:
    """Return a reader for an option that is a finite number within bounds."""

    def read(text: str) -> Any:
        try:
            value = kind(text)
        except ValueError:
            value = math.nan
        if not (least <= value <= most and math.isfinite(value)):
            what = "a whole number" if kind is int else "a number"
            upto = "up" if most == math.inf else f"to {most:g}"
            raise argparse.ArgumentTypeError(f"{text!r} is not {what} from {least:g} {upto}")
        return value

    return read


def whole(least: int) -> Callable[[str], int]:
    """Return a reader for whole numbers."""
    return number(int, least)


def add_devices(parser: argparse.ArgumentParser) -> None:
    """Add the option of programs in Keras that train on several devices at once."""
    parser.add_argument(
        "--devices", type=whole(1), default=1, metavar="N", help="GPUs, or parts of the CPU"
    )


def real(least: float, most: float = math.inf) -> Callable[[str], float]:
    """Return a reader for numbers."""
    return number(float, least, most)


class Parser(argparse.ArgumentParser):
    """Has the options that all programs have, and says in one line what is wrong."""

    def __init__(self, description: str) -> None:
        form = argparse.ArgumentDefaultsHelpFormatter
        super().__init__(description=description, epilog=EPILOG, formatter_class=form)
        add = self.add_argument
        add("--out", type=Path, required=True, metavar="DIR", help="folder of the run")
        add("--resume", action="store_true", help="go on from the run's last checkpoint")
        add("--batch", type=whole(1), default=128, metavar="N", help="examples a step")
        add("--seed", type=whole(0), default=1, metavar="N", help="of all that is drawn")
        add("--save-every", type=whole(1), default=100, metavar="N", help="steps to a checkpoint")
        add("--log-every", type=whole(1), default=1, metavar="N", help="steps to a line of losses")
        precisions = ("float64", "float32", "bfloat16", "float16")
        add("--precision", choices=precisions, default="float32", help="16 bits: mixed with 32")

    def error(self, message: str) -> NoReturn:
        """End with one line."""
        self.exit(2, f"{self.prog}: {message}; --help tells all options\n")


def pictures_parser(description: str) -> Parser:
    """Return the options of a program that learns from pictures."""
    parser = Parser(description)
    add = parser.add_argument
    add("--data", default="digits", help="digits, cifar10, or a folder with one for each class")
    add("--size", type=whole(8), metavar="N", help="pixels a side, for a folder")
    add("--epochs", type=whole(1), default=15, metavar="N", help="length of the training")
    add("--steps", type=whole(1), metavar="N", help="the same in steps, schedule included")
    add("--width", type=whole(1), default=40, metavar="N", help="channels of the first layer")
    add("--rate", type=real(1e-9), default=0.25, metavar="R", help="learning rate, the highest")
    add("--momentum", type=real(0, 0.999), default=0.875, metavar="M", help="Nesterov's")
    add("--weight-decay", type=real(0), default=2.0**-11, metavar="W", help="of kernels")
    add("--smooth", type=real(0, 0.999), default=0.0, metavar="S", help="label smoothing")
    add("--augment", action="store_true", help="move pictures, mirror half of them")
    add("--flips", action="store_true", help="test with pictures and their mirror images")
    add("--compile", action="store_true", help="compile the network")
    return parser


def text_parser(description: str) -> Parser:
    """Return the options of a program that learns from a text."""
    parser = Parser(description)
    add = parser.add_argument
    add("--data", default="pydoc", help="pydoc, tinyshakespeare, or a text file")
    add("--steps", type=whole(1), default=2000, metavar="N", help="length of the training")
    add("--length", type=whole(1), default=64, metavar="N", help="characters a piece")
    add("--width", type=whole(1), default=256, metavar="N", help="units of each LSTM")
    add("--layers", type=whole(1), default=2, metavar="N", help="how many LSTMs")
    add("--dropout", type=real(0, 0.999), default=0.0, metavar="P", help="behind each LSTM")
    add("--rate", type=real(1e-9), default=2.0**-8, metavar="R", help="learning rate, the highest")
    add("--weight-decay", type=real(0), default=2.0**-6, metavar="W", help="of kernels and table")
    add("--clip", type=real(1e-9), default=1.0, metavar="C", help="largest norm of the gradients")
    add("--sample", type=whole(0), default=0, metavar="N", help="characters to write at the end")
    return parser


def start(main: Callable[[], None]) -> None:
    """Run a program; what a person can mend is told in one line."""
    try:
        main()
    except LabkitError as error:
        print(f"{Path(sys.argv[0]).name}: {' '.join(str(error).split())}", file=sys.stderr)
        sys.exit(2)


class Pictures(NamedTuple):
    """Normalized pictures, channels last, with a label each."""

    classes: tuple[str, ...]
    train: tuple[np.ndarray, np.ndarray]
    test: tuple[np.ndarray, np.ndarray]


def pictures(source: str, size: int | None, dtype: str) -> Pictures:
    """Load pictures; each channel gets mean 0 and standard deviation 1 over the training set."""
    found = data.images(source, size=size)
    if min(found.train_images.shape[1:3]) < 8:
        raise RefusedError(f"the pictures of {source} have under 8 pixels a side: --size 8 or more")
    mean, spread = (f(found.train_images, axis=(0, 1, 2)) for f in (np.mean, np.std))
    x, x_test = (
        ((images - mean) / np.where(spread > 0, spread, 1)).astype(dtype)
        for images in (found.train_images, found.test_images)
    )
    return Pictures(found.classes, (x, found.train_labels), (x_test, found.test_labels))


class Text(NamedTuple):
    """A text as numbers, cut into pieces of one length; each has a character more, to predict."""

    alphabet: str
    train: np.ndarray
    test: np.ndarray


def text(source: str, length: int) -> Text:
    """Load a text; its last tenth is for testing."""
    names = {"pydoc": "python-docs", "tinyshakespeare": "tiny-shakespeare"}
    content = data.text(names.get(source, source))
    letters, codes = np.unique(np.array(list(content)), return_inverse=True)
    cut = len(codes) * 9 // 10
    if len(codes) - cut <= length:
        raise RefusedError(
            f"{source} is too short: a tenth of it must hold {length + 1} characters"
        )
    train, test = (
        np.lib.stride_tricks.sliding_window_view(part, length + 1)[::length]
        for part in (codes[:cut], codes[cut:])
    )
    return Text("".join(letters), train.astype(np.int64), test.astype(np.int64))


def batches(count: int, size: int, steps: int, seed: int) -> list[np.ndarray]:
    """Return which examples each step takes; what is left of an epoch below a batch is left out."""
    if count < size:
        raise RefusedError(f"there are {count} examples to learn from: --batch {count} or less")
    epochs = -(-steps // (count // size))
    return [b for b in twins.batches(count, size, epochs, seed) if len(b) == size][:steps]


def begun(net: Any, args: argparse.Namespace) -> None:
    """Set an LSTM's first weights; its forget gates begin open (Jozefowicz and others, 2015)."""
    start = twins.first_weights(net, args.seed)
    for name, values in start.items():
        if name.endswith("lstm.bias"):
            values[args.width : 2 * args.width] = 1
    twins.set_weights(net, start)


def triangle(step: Any, steps: int, warm: int, least: Callable[..., Any] = min) -> Any:
    """Return the part of the highest rate that a step has: up in a line, and down to nothing."""
    return least((step + 1) / warm, (steps - step) / (steps - warm))


class Run:
    """A run's folder, and what the run has done so far."""

    def __init__(
        self, args: argparse.Namespace, steps: int, arrays: Sequence[np.ndarray], rank: int = 0
    ) -> None:
        self.folder, self.steps, self.step = args.out, steps, 0
        self.first = rank == 0  # of several processes that train together, one writes
        self.save_every, self.log_every = args.save_every, args.log_every
        options = {name: value for name, value in vars(args).items() if name not in FREE}
        digests = [zlib.crc32(np.ascontiguousarray(a)) for a in arrays]
        self.config = {"program": Path(sys.argv[0]).stem, **options, "steps": steps}
        self.config["data_digest"] = f"{zlib.crc32(repr(digests).encode()):08x}"
        self.told = False
        self.agreed: bool | None = None  # of several processes: all have heard that one is told
        signal.signal(signal.SIGTERM, self._tell)
        if not self.first:
            return
        try:
            self._open(args.resume)
        except OSError as error:
            raise RefusedError(f"--out {self.folder}: {error.strerror}; name another") from error
        print(json.dumps(self.config), file=sys.stderr)

    def _open(self, resume: bool) -> None:
        """Demand the folder of this very run to resume it, and else one that holds nothing."""
        file = self.folder / "config.json"
        if not resume:
            self.folder.mkdir(parents=True, exist_ok=True)
            if file.exists():
                raise RefusedError(f"{self.folder} holds a run: --resume it, or name another --out")
            if any(not p.name.startswith("part-") for p in self.folder.iterdir()):
                raise RefusedError(f"{self.folder} is not empty: name another --out")
            self._write("config.json", self.config)
            return
        if not file.exists():
            raise RefusedError(f"{self.folder} holds no run (no config.json): leave --resume out")
        try:
            known = dict(json.loads(file.read_text(encoding="utf-8")))
        except (ValueError, TypeError) as error:
            raise RefusedError(f"{file} is broken ({error}): begin anew, --out another") from error
        for name in [*self.config, *known]:
            if (was := known.get(name)) != (now := self.config.get(name)):
                mend = "resume with what it was, or begin anew in another folder"
                raise RefusedError(f"{self.folder} was begun with {name} {was}, not {now}: {mend}")

    def restore(self, name: str, load: Callable[[Path], dict[str, Any]]) -> None:
        """Go on from the checkpoint if there is one; `load` returns the `progress` within."""
        file, progress = self.folder / name, {"step": 0, "seconds": 0.0}
        if file.exists():
            try:
                progress = load(file)
                if progress["config"] != self.config:
                    raise ValueError("it is another run's")
            except Exception as error:  # each format has many kinds
                reason = str(error).split(". ")[0][:200]
                mend = "begin anew in another folder"
                raise RefusedError(f"{file} cannot be resumed ({reason}): {mend}") from error
        self.step, self._before = progress["step"], progress["seconds"]
        if self.first:
            self._cut_losses()
            self._losses = (self.folder / LOSSES).open("a", encoding="utf-8")
        self._began = time.perf_counter()
        self._first, self._warm = self.step, (self.step, self._began)

    def _cut_losses(self) -> None:
        """Forget the losses of steps behind the checkpoint, which come again."""
        file = self.folder / LOSSES
        lines = file.read_text(encoding="utf-8").splitlines() if file.exists() else []
        if len(lines) < (due := self.step // self.log_every):
            raise RefusedError(
                f"{file} ends before the checkpoint, at step {self.step}: begin anew"
            )
        with self.writing(LOSSES) as part:
            part.write_text("".join(f"{line}\n" for line in lines[:due]), encoding="utf-8")

    def progress(self) -> dict[str, Any]:
        """Return what a checkpoint says of the run."""
        os.fsync(self._losses.fileno())  # they must not lag behind it, whatever happens
        return {"step": self.step, "seconds": self.seconds, "config": self.config}

    @property
    def seconds(self) -> float:
        """Time in training, that of earlier parts of the run included."""
        return self._before + time.perf_counter() - self._began

    def note(self, step: int, loss: Any) -> None:
        """Write a step's loss, in full."""
        self.step = step
        if not self.first:
            return
        if step % self.log_every == 0:
            if not math.isfinite(value := float(loss)):
                raise RefusedError(f"the loss of step {step} is {value}: try a lower --rate")
            print(json.dumps({"step": step, "loss": value}), file=self._losses, flush=True)
        if step == self._first + 10:  # compiled by now
            self._warm = (step, time.perf_counter())
        if step % self.save_every == 0 or step == self.steps:
            print(f"step {step} of {self.steps}, {self.seconds:.1f} s", file=sys.stderr)

    def ends(self) -> bool:
        """Say whether the run is to stop now."""
        return self.told if self.agreed is None else self.agreed

    def due(self) -> bool:
        """Say whether a checkpoint is to be written now."""
        return self.ends() or self.step % self.save_every == 0 or self.step == self.steps

    def _tell(self, *_: Any) -> None:
        self.told = True

    def leave_if_told(self) -> None:
        """End, if SIGTERM has come."""
        if self.ends():
            if self.first:
                print(f"stopped after step {self.step}; --resume goes on", file=sys.stderr)
            sys.exit(STOPPED)

    @contextmanager
    def writing(self, name: str) -> Iterator[Path]:
        """Give a path to write to; what was written takes its name whole, or not at all."""
        part = self.folder / f"part-{name}"
        yield part
        with part.open("rb+") as file:
            os.fsync(file.fileno())
        part.replace(self.folder / name)

    def _write(self, name: str, content: dict[str, Any]) -> None:
        with self.writing(name) as part:
            part.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")

    def finish(self, device: str, per_step: int, unit: str, seconds: float, **found: Any) -> None:
        """Write what came of the run; `per_step` of `unit` went into a step."""
        step, began = self._warm
        timed = self._began + seconds - self._before - began
        self._write(
            "result.json",
            {
                **found,
                "steps": self.step,
                "seconds": seconds,
                f"{unit}_per_second": (self.step - step) * per_step / timed,
                "machine": record.machine(device),
            },
        )
        print(json.dumps(found), file=sys.stderr)
