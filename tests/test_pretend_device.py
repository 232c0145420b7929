"""The PyTorch notebooks on a GPU that is none: the book's numbers, and mistakes that are seen."""

import os
import re
import subprocess
import sys
from pathlib import Path

import notebooks
import pytest
import remembered
from conftest import ENVIRONMENT, ROOT

from labkit import record
from labkit.press import weave

TOOL = Path(__file__).with_name("pretend_device.py")
SETTINGS = {
    "PYTHONPATH": os.pathsep.join(
        p for p in (str(TOOL.parent), ENVIRONMENT.get("PYTHONPATH")) if p
    ),
    "LABKIT_DEVICE": "gpu",
    "LABKIT_THREADS": "1",
}
PRELUDE = """\
import pretend_device
"""
AFTERWARDS = "\nprint('done on the device:', pretend_device.done.total())\n"


@pytest.fixture(scope="session")
def device():
    """Skip, with a line, where the device cannot be pretended."""
    done = subprocess.run(
        [sys.executable, "-c", "import pretend_device"],
        env={**ENVIRONMENT, **SETTINGS},
        capture_output=True,
        text=True,
        check=False,
    )
    if "ImportError: the pretended device" in done.stderr:
        pytest.skip(done.stderr.strip().splitlines()[-1])
    assert done.returncode == 0, done.stderr


def on_the_device(chapter_name, folder, *replaced):
    path = weave.notebook_path(ROOT, chapter_name, "pytorch")
    options = {"before": PRELUDE, "after": AFTERWARDS, **SETTINGS}
    return notebooks.run_alone(path, folder, *replaced, **options)


def key(chapter_name):
    notebook = weave.read_notebook(weave.notebook_path(ROOT, chapter_name, "pytorch"))
    committed = ROOT / "evidence" / "cpu" / f"{chapter_name}.pytorch.json"
    return remembered.key([notebook], [TOOL, Path(__file__), Path(notebooks.__file__), committed])


STAYS = "computes on the CPU, and would say that a GPU did it"


def lab(chapter_name, *, slow=True):
    return pytest.param(chapter_name, marks=[pytest.mark.slow] if slow else [])


@pytest.mark.notebook
@pytest.mark.timeout(1800)
@pytest.mark.parametrize(
    "chapter_name",
    [
        lab("first-network", slow=False),
        lab("same-experiment"),
        lab("recurrent"),
        lab("graphs"),
        lab("debugging"),
        lab("silent-bugs"),
        lab("visualization"),
        lab("watching"),
        lab("inside"),
        lab("full-size"),
        lab("equal-enough"),
        lab("memory"),
        lab("ideas"),
        lab("distributed"),
    ],
)
def test_a_notebook_finds_on_the_device_what_the_book_says(device, chapter_name, tmp_path):
    with remembered.once(f"{chapter_name}-on-the-device", key(chapter_name)):
        done = on_the_device(chapter_name, tmp_path)
        assert done.returncode == 0, done.stderr[-3000:]
        ours, committed = (
            record.read(folder / f"{chapter_name}.pytorch.json")["exact"]
            for folder in (tmp_path / "cuda", ROOT / "evidence" / "cpu")
        )
        differ = [k for k in committed if not record.same(ours.get(k), committed[k])]
        assert differ == []
        count = re.search(r"done on the device: (\d+)$", done.stdout.strip())[1]
        assert int(count) > 1000, STAYS


def test_every_chapter_runs_on_the_device():
    marks = test_a_notebook_finds_on_the_device_what_the_book_says.pytestmark
    (listed,) = [m.args[1] for m in marks if m.name == "parametrize"]
    assert sorted(p.values[0] for p in listed) == sorted(notebooks.chapters())


MIXED = "RuntimeError: Expected all tensors to be on the same device"
NUMPY = "TypeError: can't convert cuda:0 device type tensor to numpy"
MISTAKES = {
    "first-network": {
        "pictures stay on the CPU": ("return x.to(device)", "return x", MIXED),
        "labels stay on the CPU": (
            "digits.train_labels).to(device)",
            "digits.train_labels)",
            MIXED,
        ),
        "the network stays on the CPU": ("net = Net().to(device)", "net = Net()", MIXED),
        "the loaded network stays on the CPU": ("again = Net().to(device)", "again = Net()", MIXED),
        "numpy without cpu": (
            "return p.cpu().numpy()[0]",
            "return p.numpy()[0]",
            NUMPY,
        ),
    },
    "same-experiment": {
        "labels stay on the CPU": (
            "torch.tensor(digits.train_l",
            "torch.from_numpy(digits.train_l",
            MIXED,
        ),
        "the network drawn on the CPU stays": ("    net.to(device)\n    adam", "    adam", MIXED),
        "Keras stays on the CPU": ('_DEVICE"] = device', '_DEVICE"] = "cpu"', MIXED),
        "outputs without cpu": ("[o.cpu() for o in (", "[o for o in (", NUMPY),
        "Lightning's network stays on the CPU": ("net.to(device).eval()", "net.eval()", MIXED),
    },
    "graphs": {
        "pictures stay on the CPU": ("return x.to(device)", "return x", MIXED),
        "a gradient without cpu": ("gradient.cpu().numpy()", "gradient.numpy()", NUMPY),
        "weights of a loop stay on the CPU": (
            "[torch.tensor(w) for",
            "[torch.from_numpy(w) for",
            MIXED,
        ),
    },
}


@pytest.mark.notebook
@pytest.mark.timeout(1800)
@pytest.mark.parametrize(
    ("chapter_name", "mistake"),
    [
        pytest.param(
            name,
            mistake,
            id=f"{name}, {mistake}",
            marks=[] if name == "first-network" else [pytest.mark.slow],
        )
        for name, mistakes in MISTAKES.items()
        for mistake in mistakes
    ],
)
def test_a_mistake_is_seen(device, chapter_name, mistake, tmp_path):
    line, replacement, error = MISTAKES[chapter_name][mistake]
    with remembered.once(f"{chapter_name}-{mistake.replace(' ', '-')}", key(chapter_name)):
        done = on_the_device(chapter_name, tmp_path, line, replacement)
        assert done.returncode == 1
        assert re.search(f"^{re.escape(error)}", done.stderr, re.MULTILINE), done.stderr[-3000:]


REFUSED = {
    "lengths on the device": ("pack(x, lengths.cuda())", "'lengths' argument should be a 1D CPU"),
    "an index on the device": ("torch.ones(3)[lengths.cuda()]", "indices should be either on cpu"),
    "two sides in a product": ("x @ torch.ones(4, 2)", "Expected all tensors"),
    "a CPU tensor written to": ("torch.zeros(()).add_(x.sum())", "Expected all tensors"),
    "a layer on the CPU": ("nn.LSTM(4, 5)(x)", "Expected all tensors"),
    "numpy": ("x.numpy()", "can't convert cuda:0"),
    "a gradient of a layer that only reads": (
        "nn.LSTM(4, 5).cuda().eval()(x)[0].sum().backward()",
        "cudnn RNN backward",
    ),
}
TAKEN = {
    "lengths on the CPU": "pack(x, lengths)",
    "an index on the CPU": "x[lengths - 1]",
    "a number on the CPU": "x + torch.tensor(1.0)",
    "a list": "x.tolist()",
    "the way back": "x.cpu().numpy() + 1",
    "an array by force": "x.numpy(force=True)",
    "a layer": "nn.LSTM(4, 5).cuda()(x)[0].sum().backward()",
    "a number's format": "f'{x.sum():.2f}'",
    "a network there and back": "nn.Linear(4, 2).cuda().cpu()(torch.ones(4))",
}
TRY = """
import sys

import pretend_device
import torch
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence as pack

x, lengths = torch.ones(2, 2, 4, device="cuda"), torch.tensor([2, 1])
for code in sys.stdin.read().splitlines():
    try:
        eval(code)
        print("taken")
    except Exception as error:
        print(str(error).splitlines()[0])
"""


def test_the_device_refuses_what_cuda_refuses_and_nothing_else(device):
    done = subprocess.run(
        [sys.executable, "-c", TRY],
        input="\n".join([*(code for code, _ in REFUSED.values()), *TAKEN.values()]),
        env={**ENVIRONMENT, **SETTINGS},
        capture_output=True,
        text=True,
        check=True,
    )
    said = done.stdout.splitlines()
    for (what, (_, error)), line in zip(REFUSED.items(), said, strict=False):
        assert line.startswith(error), what
    assert dict(zip(TAKEN, said[len(REFUSED) :], strict=True)) == dict.fromkeys(TAKEN, "taken")
