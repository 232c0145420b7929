"""The training programs on several workers: as on one, or it fails.

torchrun listens on all interfaces, so it runs in a network of its own that has only the loopback.
"""

import argparse
import functools
import importlib
import json
import shutil
import signal
import subprocess
import sys
import time

import keras
import numpy as np
import psutil
import pytest
import torch
from conftest import ROOT

from labkit import data, programs, twins
from labkit.errors import LabkitError

FOLDER = ROOT / "labs" / "full-size"
SMALL = {
    "cnn": {"width": 4, "batch": 16, "smooth": 0.125},
    "lstm": {"width": 8, "batch": 8, "length": 16, "clip": 0.25},
}
STEPS = 200
ENVIRONMENT = {**programs._environment(), "GLOO_SOCKET_IFNAME": "lo", "CUDA_VISIBLE_DEVICES": "-1"}
ALONE = ["unshare", "--map-root-user", "--net", "sh", "-c", 'ip link set lo up && exec "$@"', "sh"]
TORCHRUN = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]


@functools.cache
def refused():
    """Say why no network of one's own can be had here, or nothing."""
    if not all(map(shutil.which, ("unshare", "ip"))):
        return "there is no `unshare` or no `ip` here"
    tried = subprocess.run([*ALONE, "true"], capture_output=True, text=True)
    return tried.stderr.strip() if tried.returncode else ""


@pytest.fixture
def torchrun():
    """Start a script on two workers, and stop all of it at the end."""
    if why := refused():
        pytest.skip(f"no network of its own for torchrun: {why}")
    begun = []

    def start(script, out, **options):
        given = programs._arguments(out, options)
        process = subprocess.Popen(
            [*ALONE, *TORCHRUN, str(script), *given],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=ENVIRONMENT,
        )
        begun.append(process)
        return process

    yield start
    left = []
    for process in begun:
        with process:
            if process.poll() is None:
                left += psutil.Process(process.pid).children(recursive=True)
            process.kill()
    psutil.wait_procs(left, timeout=10, callback=lambda p: None)
    assert not [p for p in left if p.is_running() and p.status() != psutil.STATUS_ZOMBIE]


def options(name, **more):
    kind = name.split("_")[0]
    return {**SMALL[kind], "steps": STEPS, "precision": "float64", **more}


@pytest.fixture(scope="module")
def text(tmp_path_factory):
    """Of little text a test is soon done."""
    file = tmp_path_factory.mktemp("data") / "own.txt"
    file.write_text(data.text("python-docs")[:30_000])
    SMALL["lstm"]["data"] = file


@pytest.fixture(scope="module")
def alone(text, tmp_path_factory):
    """The losses and trained weights of one worker, for each kind of network."""
    known = {}

    def get(kind):
        if kind not in known:
            out = tmp_path_factory.mktemp(kind)
            programs.run(f"full-size/{kind}_pytorch", out, **options(kind))
            known[kind] = programs.losses(out), torch.load(out / "model.pt")
        return known[kind]

    return get


def the_same(out, alone):
    """Hold a run against the one worker's, losses and weights."""
    losses, weights = alone
    assert len(losses) == STEPS
    assert twins.compare(programs.losses(out), losses).largest < twins.BOUND
    found = torch.load(out / "model.pt")
    assert found.keys() == weights.keys()
    for name, value in weights.items():
        assert torch.allclose(found[name], value, rtol=0, atol=twins.BOUND), name


def test_two_workers_end_where_one_does(alone, torchrun, tmp_path):
    """Each has half of every batch."""
    process = torchrun(FOLDER / "cnn_pytorch.py", tmp_path, **options("cnn"))
    said, _ = process.communicate(timeout=300)
    assert process.returncode == 0, said
    assert said.count('{"program"') == 1, "one worker alone speaks"
    the_same(tmp_path, alone("cnn"))


def test_two_workers_stop_on_sigterm_and_go_on(alone, torchrun, tmp_path):
    """Both in the same step, whoever hears it first."""
    given = options("lstm", save_every=1000)
    process = torchrun(FOLDER / "lstm_pytorch.py", tmp_path, **given)
    end = time.monotonic() + 120
    while len(programs.losses(tmp_path)) < 30:
        assert process.poll() is None, process.communicate()[0]
        assert time.monotonic() < end
        time.sleep(0.01)
    process.send_signal(signal.SIGTERM)
    said, _ = process.communicate(timeout=60)
    assert said.count("; --resume goes on") == 1, said
    assert 30 <= len(programs.losses(tmp_path)) < STEPS
    assert not (tmp_path / "result.json").exists()
    process = torchrun(FOLDER / "lstm_pytorch.py", tmp_path, resume=True, **given)
    said, _ = process.communicate(timeout=300)
    assert process.returncode == 0, said
    the_same(tmp_path, alone("lstm"))


WITHOUT = """
import sys
sys.path.insert(0, {folder!r})
sys.argv[0] = {program!r}
import shared_torch
shared_torch.distributed = lambda net: net
import lstm_pytorch
lstm_pytorch.start(lstm_pytorch.main)
"""


def test_without_the_all_reduce_they_do_not(alone, torchrun, tmp_path):
    script = tmp_path / "without.py"
    program = str(FOLDER / "lstm_pytorch.py")
    script.write_text(WITHOUT.format(folder=str(FOLDER), program=program))
    process = torchrun(script, tmp_path / "out", **options("lstm"))
    said, _ = process.communicate(timeout=300)
    assert process.returncode == 0, said
    found = programs.losses(tmp_path / "out")
    assert twins.compare(found[:1], alone("lstm")[0][:1]).largest < twins.BOUND
    assert twins.compare(found, alone("lstm")[0]).largest > 1e-3


def test_a_batch_that_cannot_be_shared_equally_is_refused(monkeypatch):
    monkeypatch.syspath_prepend(FOLDER)
    shared_torch = importlib.import_module("shared_torch")
    monkeypatch.setattr(shared_torch, "COUNT", 2)
    args = argparse.Namespace(precision="float32", seed=1, batch=7)
    with pytest.raises(LabkitError, match="--batch 7 is not to be shared equally by 2 workers"):
        shared_torch.prepare(args)


# --- Keras ----------------------------------------------------------------------------------------

KERAS = """
import importlib, json, sys
sys.path.insert(0, {folder!r})
import tensorflow as tf
# Both once for a process: strategies of one process would take each other's messages.
strategies, mirrored = [], tf.distribute.MirroredStrategy
divide = tf.config.set_logical_device_configuration
tf.distribute.MirroredStrategy = lambda devices: (
    strategies or strategies.append(mirrored(devices)) or strategies)[0]
tf.config.set_logical_device_configuration = lambda *parts: strategies or divide(*parts)
for name, given, sums in json.loads(sys.argv[1]):
    sys.argv = [name, *given]
    if not sums:
        tf.distribute.ReplicaContext.all_reduce = lambda self, op, values: values
    module = importlib.import_module(name)
    module.start(module.main)
"""


@pytest.fixture(scope="module")
def on_two_devices(text, tmp_path_factory):
    """Folders of runs on two parts of the CPU, made in one process; the last adds nothing up."""
    folder = tmp_path_factory.mktemp("devices")
    jobs = [
        (f"{kind}_keras", programs._arguments(folder / out, options(kind, devices=2, **more)), sums)
        for kind, out, more, sums in (
            ("cnn", "cnn", {}, True),
            ("lstm", "lstm", {}, True),
            ("lstm", "apart", {"steps": 20}, False),
        )
    ]
    code = KERAS.format(folder=str(FOLDER))
    done = subprocess.run(
        [sys.executable, "-c", code, json.dumps(jobs)],
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return folder


@pytest.fixture(autouse=True, scope="module")
def modules_of_their_own():
    """Hypothesis reads the text of all that is imported: the programs go when these tests end."""
    yield
    for name, module in list(sys.modules.items()):
        if str(getattr(module, "__file__", None) or "").startswith(str(FOLDER)):
            del sys.modules[name]


@pytest.fixture
def of_pytorch(monkeypatch):
    """Return the weights that a program in PyTorch has trained, in the canonical layout."""
    monkeypatch.syspath_prepend(FOLDER)

    def get(kind, state):
        module = importlib.import_module(f"{kind}_pytorch")
        net = {
            "cnn": lambda: module.ResNet(1, 4, 10),
            "lstm": lambda: module.Net(len(state["head.bias"]), 8, 2, 0.0),
        }[kind]().double()
        net.load_state_dict(state)
        return list(twins.weights(net).values())

    return get


@pytest.mark.parametrize("kind", SMALL)
def test_two_devices_of_keras_end_where_one_worker_does(kind, alone, on_two_devices, of_pytorch):
    """The one worker is PyTorch's: the programs of both frameworks have the same losses."""
    losses, state = alone(kind)
    found = programs.losses(on_two_devices / kind)
    assert len(found) == STEPS
    assert twins.compare(found, losses).largest < twins.BOUND
    net = keras.saving.load_model(on_two_devices / kind / "model.keras")
    due = of_pytorch(kind, state)
    own = list(twins.weights(net).values())
    assert len(own) == len(due)
    names = list(twins.weights(net))
    for name, value, other in zip(names, own, due, strict=True):
        # The frameworks estimate the running variance otherwise; see the chapter same-experiment.
        if not name.endswith("variance"):
            assert np.allclose(value, other, rtol=0, atol=twins.BOUND), name


def test_devices_that_add_nothing_up_do_not(alone, on_two_devices):
    found, due = programs.losses(on_two_devices / "apart"), alone("lstm")[0]
    assert twins.compare(found[:1], due[:1]).largest < twins.BOUND
    assert twins.compare(found, due[: len(found)]).largest > 1e-6
