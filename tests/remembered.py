"""Passes that are remembered: what has passed runs again only when something it reads has changed.

A pass is a small file in ``_build/verified/``, named by what was run and by a digest of all that
decides how it ends. Failures are never remembered. `make test-all` deletes the folder first.
"""

import hashlib
import json
import platform
import shutil
import time
from contextlib import contextmanager
from datetime import date
from importlib import metadata
from pathlib import Path

import pytest
from conftest import ENVIRONMENT, ROOT

import labkit
from labkit.files import write_whole
from labkit.press import fingerprint

FOLDER = ROOT / "_build" / "verified"
SETTINGS = ("LABKIT_", "ATEN_", "ONEDNN_", "OMP_", "MKL_", "TORCH", "TF_", "KERAS_", "XLA_", "CXX")
"""How variables begin that change what a notebook computes."""


@contextmanager
def once(name, key, folder=FOLDER):
    """Skip the test where this has passed before; where the block passes now, remember it."""
    file = folder / f"{name}-{key}.txt"
    if file.is_file():
        pytest.skip(f"from memory: {name} {file.read_text().strip()}")
    begin = time.monotonic()
    yield
    took = time.monotonic() - begin
    write_whole(file, f"passed on {date.today()} in {took:.0f} s\n")


def key(notebooks, files=()):
    """Return a digest of what decides how a run of some notebooks ends.

    That is their code, tags and outputs, but not their prose; the files of labkit that the code
    reaches; `files`; the settings; and what is installed on which processor.
    """
    mark = hashlib.sha256()
    reached = {Path(labkit.__file__), Path(__file__), *files}
    for notebook in notebooks:
        code = [c for c in notebook.cells if c.cell_type == "code"]
        cells = [(c.source, c.metadata, c.execution_count, c.outputs) for c in code]
        mark.update(json.dumps(cells, sort_keys=True).encode())
        reached.update(fingerprint.labkit_files("\n".join(c.source for c in code)))
    for file in sorted(reached):
        mark.update(file.name.encode() + file.read_bytes())
    mark.update(json.dumps([settings(), machine()]).encode())
    return mark.hexdigest()[:16]


def settings():
    """Return the variables that change what a notebook computes; where it writes does not."""
    names = [n for n in sorted(ENVIRONMENT) if n.startswith(SETTINGS) and n != "LABKIT_RECORDS"]
    return {n: ENVIRONMENT[n] for n in names}


def machine():
    """Return the processor, Python, every installed version, and the programs that labs call."""
    tools = [shutil.which(program) for program in ("dot", "g++", "clang++")]
    installed = sorted({f"{d.name}=={d.version}" for d in metadata.distributions()})
    system = [platform.system(), platform.machine(), platform.python_version()]
    return [processor(), system, installed, tools]


def processor():
    """Return the processor's model and instructions."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return sorted({x for x in lines if x.startswith(("model name", "flags", "Features"))})
