import importlib.util
import json
import os
import subprocess
import sys

import pytest

import labkit
from labkit import record, session

pytestmark = pytest.mark.engine


def run(code, **env):
    """Run code in a Python of its own: a session changes its whole process."""
    return subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        env={**os.environ, **env},
        check=False,
    )


def test_importing_labkit_imports_no_framework():
    code = "import sys, labkit; print(sorted({'torch', 'tensorflow', 'keras'} & set(sys.modules)))"
    assert run(code).stdout.strip() == "[]"


def test_labkit_works_without_frameworks():
    code = (
        "import sys\n"
        "class Missing:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name.split('.')[0] in ('torch', 'tensorflow', 'keras'):\n"
        "            raise ModuleNotFoundError(name)\n"
        "sys.meta_path.insert(0, Missing())\n"
        "import labkit\n"
        "print(labkit.data.images('digits').train_images.shape)"
    )
    assert run(code).stdout.strip() == "(1440, 8, 8, 1)"


# What a lab's first line leaves behind, printed by a Python of its own: importing a framework takes
# seconds, so that each start answers all that is asked of it.
AFTER_TORCH = """
import json, os, labkit, numpy as np
lab = labkit.start('x', 'pytorch')
import torch
print(json.dumps({
    'threads': [lab.threads, torch.get_num_threads()],
    'drawn': [np.random.rand(), torch.rand(1).item()],
    'scratch': lab.scratch.is_dir(),
    'cards': os.environ['CUDA_VISIBLE_DEVICES'],
    'growth': os.environ['TF_FORCE_GPU_ALLOW_GROWTH'],
    'tf32': [torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32],
}))
"""
AFTER_KERAS = """
import json, labkit
lab = labkit.start('x', 'tensorflow')
import keras, tensorflow as tf
print(json.dumps({
    'threads': [lab.threads, tf.config.threading.get_intra_op_parallelism_threads()],
    'drawn': keras.random.normal((1,)).numpy().tolist(),
}))
"""


@pytest.fixture(scope="module")
def started():
    """Start a lab of each framework, and once more with two threads."""
    settings = {"LABKIT_DEVICE": "cpu", "CUDA_VISIBLE_DEVICES": "0"}
    found = {}
    for framework, code in (("pytorch", AFTER_TORCH), ("tensorflow", AFTER_KERAS)):
        for threads in ("1", "2"):
            own = {**settings, "LABKIT_THREADS": "2"} if threads == "2" else settings
            found[framework, threads] = run(code, **own)
    return found


def told(started, framework, threads="1"):
    return json.loads(started[framework, threads].stdout.splitlines()[1])


@pytest.mark.parametrize("framework", ["pytorch", "tensorflow"])
def test_start_prints_one_stable_line_and_nothing_else(started, framework):
    done = started[framework, "1"]
    line, _ = done.stdout.splitlines()
    assert line == f"x in {session.FRAMEWORKS[framework]}: on the CPU, seed 0"
    assert done.stderr == ""


@pytest.mark.parametrize("framework", ["pytorch", "tensorflow"])
def test_start_seeds_and_limits_threads(started, framework):
    one, two = told(started, framework), told(started, framework, "2")
    assert one["threads"] == [1, 1]
    assert two["threads"] == [2, 2]
    assert one["drawn"] == two["drawn"]


def test_a_lab_has_a_folder_for_its_files(started):
    assert told(started, "pytorch")["scratch"]


def test_processes_of_a_lab_without_a_gpu_see_none(started):
    assert told(started, "pytorch")["cards"] == "-1"


def test_tensorflow_leaves_memory_of_a_card_to_others_in_every_process_of_a_lab(started):
    assert told(started, "pytorch")["growth"] == "true"


def test_convolutions_in_float32_keep_their_digits(started):
    assert told(started, "pytorch")["tf32"] == [False, False]


def test_another_backend_of_keras_is_refused(stand_ins):
    done = run("import labkit; labkit.start('x', 'tensorflow')", KERAS_BACKEND="torch")
    assert "Keras runs on torch here, and this lab is for TensorFlow" in done.stderr


def test_a_reader_without_a_place_for_records_still_ends_the_lab(tmp_path, monkeypatch, capsys):
    monkeypatch.delenv("LABKIT_RECORDS")
    (tmp_path / "file").write_text("")
    monkeypatch.setattr("platformdirs.user_data_path", lambda name: tmp_path / "file")
    lab = session.Session("x", "pytorch", "cpu", 1, 0, tmp_path)
    lab.record(exact={"n": 1})
    assert "note: nothing was recorded." in capsys.readouterr().err


def test_the_orders_of_the_batches_are_noted_with_what_is_exact(records, tmp_path, monkeypatch):
    monkeypatch.setattr("labkit.twins._orders", set())
    lab = session.Session("x", "pytorch", "cpu", 1, 0, tmp_path)
    path = records / "cpu" / "x.pytorch.json"
    lab.record(exact={"n": 1})
    assert record.read(path)["exact"] == {"n": 1}
    for _ in labkit.twins.batches(10, 4, 1):
        pass
    lab.record(exact={"n": 2})
    assert record.read(path)["exact"] == {"n": 2, "batches": labkit.twins.orders()}


def test_unknown_settings(monkeypatch):
    with pytest.raises(ValueError, match="framework is 'jax'; it must be one of pytorch, tensor"):
        labkit.start("x", "jax")
    monkeypatch.setenv("LABKIT_DEVICE", "tpu")
    with pytest.raises(ValueError, match="LABKIT_DEVICE is 'tpu'; set it to cpu or gpu"):
        session._device(False)
    monkeypatch.setenv("LABKIT_DEVICE", "gpu")
    with pytest.raises(ValueError, match="sees no CUDA device"):
        session._device(False)
    monkeypatch.setenv("LABKIT_THREADS", "many")
    with pytest.raises(ValueError, match="LABKIT_THREADS is 'many'"):
        session._threads("cpu")


def test_a_missing_framework_says_how_to_get_it(monkeypatch):
    monkeypatch.setattr(session, "installed", lambda package: None)
    with pytest.raises(labkit.MissingFrameworkError, match=r"needs torch.*pip install 'torch<"):
        labkit.start("x", "pytorch")


def test_an_old_framework_is_refused_and_a_newer_one_noted(monkeypatch, capsys):
    monkeypatch.setattr(session, "installed", lambda package: "1.9.0")
    with pytest.raises(labkit.MissingFrameworkError, match=r"1\.9\.0 is too old"):
        session._demand("torch")
    monkeypatch.setattr(session, "installed", lambda package: "99.0")
    session._demand("torch")
    assert "here is 99.0" in capsys.readouterr().err
    monkeypatch.setattr(session, "installed", lambda package: "2.11.0")
    session._demand("torch")
    assert "note: this lab was made with torch" in capsys.readouterr().err
    monkeypatch.setattr(session, "installed", lambda package: "2.13.0+cpu")
    session._demand("torch")
    assert capsys.readouterr().err == ""


HAS_TRITON = importlib.util.find_spec("triton") is not None
LIVES = "; print('lives')"


@pytest.mark.skipif(not HAS_TRITON, reason="triton is not installed: PyTorch's CPU build")
@pytest.mark.parametrize(
    "code",
    [
        "labkit.start('x', 'tensorflow'); import keras, triton",
        "labkit.start('x', 'tensorflow'); import torch, triton",
        "labkit.start('x', 'pytorch'); import tensorflow, keras, triton",
        "labkit.start('x', 'pytorch'); import triton, tensorflow",
        "labkit.session.import_triton_first(); import tensorflow, keras, triton",
    ],
)
def test_python_outlives_triton_beside_tensorflow(code):
    done = run(f"import labkit, labkit.session; {code}{LIVES}", LABKIT_DEVICE="cpu")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "lives"


def test_triton_comes_before_tensorflow(tmp_path, stand_ins):
    """With stand-ins: not every machine has a triton."""
    (tmp_path / "triton.py").write_text("import sys\nassert 'tensorflow' not in sys.modules\n")
    code = (
        "import labkit\nlabkit.start('x', 'tensorflow')\nimport sys\nprint('triton' in sys.modules)"
    )
    path = f"{tmp_path}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"
    done = run(code, LABKIT_DEVICE="cpu", PYTHONPATH=path)
    assert done.stdout.splitlines()[-1] == "True", done.stderr


def test_a_session_replaces_what_an_older_one_recorded(records, monkeypatch):
    monkeypatch.setattr(session, "_start_torch", lambda: ("cpu", 1))
    path = records / "cpu" / "x.pytorch.json"
    lab = session.start("x", "pytorch")
    lab.record(exact={"a": 1})
    lab.record(exact={"b": 2})
    assert record.read(path)["exact"] == {"a": 1, "b": 2}
    lab = session.start("x", "pytorch")
    assert record.read(path)["exact"] == {"a": 1, "b": 2}  # a look changes nothing
    lab.record(exact={"c": 3})
    assert record.read(path)["exact"] == {"c": 3}


def test_a_broken_record_is_replaced(records, monkeypatch):
    monkeypatch.setattr(session, "_start_torch", lambda: ("cpu", 1))
    (records / "cpu").mkdir(parents=True)
    path = records / "cpu" / "x.pytorch.json"
    path.write_text("{trunc")
    session.start("x", "pytorch").record(exact={"a": 1})
    assert record.read(path)["exact"] == {"a": 1}
