"""The training programs, and the room that starts them.

Most runs are calls of a program's `main` in this process, which saves the import of a framework;
what is killed is a process.
"""

import importlib
import json
import shutil
import signal
import subprocess
import sys
import tomllib
from pathlib import Path

import keras
import numpy as np
import pytest
import torch
from conftest import ROOT
from tensorboard.compat import tf2
from test_launch import gone

from labkit import data, programs, twins

tf2.summary  # noqa: B018  (found before a program in PyTorch tells TensorBoard to do without)
FOLDER = ROOT / "labs" / "full-size"
PROGRAMS = ("cnn_pytorch", "cnn_keras", "lstm_pytorch", "lstm_keras")
SMALL = {
    "cnn": {"width": 4, "batch": 16, "augment": True, "smooth": 0.125, "save_every": 20},
    "lstm": {"width": 8, "batch": 8, "length": 16, "dropout": 0.25, "save_every": 20},
}
"""Draws random numbers at each step."""
STEPS = 50
SLOW = pytest.mark.slow
"""Keras builds each graph anew, for seconds: where two programs share the code, one is enough."""
FORMATS = {"pytorch": "checkpoint.pt", "keras": "checkpoint.npz"}


def small(name, **more):
    return {**SMALL[name.split("_")[0]], "steps": STEPS, "precision": "float64", **more}


def checkpoint(name):
    return FORMATS[name.split("_")[1]]


@pytest.fixture(scope="module", autouse=True)
def text(tmp_path_factory):
    """Of little text a test is soon done."""
    file = tmp_path_factory.mktemp("data") / "own.txt"
    file.write_text(data.text("python-docs")[:30_000])
    for options in (SMALL["lstm"], TWINS["lstm"]):
        options["data"] = file
    return file


@pytest.fixture(autouse=True)
def process(monkeypatch):
    """Give this process back as it was."""
    monkeypatch.syspath_prepend(FOLDER)
    kept = keras.config.floatx(), torch.get_default_dtype()
    handler = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, handler)
    torch.set_default_dtype(kept[1])
    keras.config.set_floatx(kept[0])
    keras.config.set_dtype_policy(kept[0])


@pytest.fixture(autouse=True, scope="module")
def modules_of_their_own():
    """Hypothesis reads the text of all that is imported: the programs go when these tests end."""
    yield
    for name, module in list(sys.modules.items()):
        if str(getattr(module, "__file__", None) or "").startswith(str(FOLDER)):
            del sys.modules[name]


@pytest.fixture
def main(monkeypatch):
    """Run a program here, as `labkit.programs.run` does in a process of its own."""

    def call(name, out, **options):
        given = programs._arguments(out, options)
        monkeypatch.setattr(sys, "argv", [str(FOLDER / f"{name}.py"), *given])
        module = importlib.import_module(name)
        module.start(module.main)
        return programs.losses(out)

    return call


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The losses and the result of a run that nothing has disturbed; each is run once."""
    known = {}

    def get(name, main):
        if name not in known:
            out = tmp_path_factory.mktemp(name)
            known[name] = main(name, out, **small(name)), programs.result(out)
        return known[name]

    return get


@pytest.fixture
def stopped(monkeypatch, main):
    """Run a program until SIGTERM comes, in a step."""

    def call(name, step, out, **options):
        shared = importlib.import_module("shared")
        note = shared.Run.note

        def noting(self, now, loss):
            note(self, now, loss)
            if now == step:
                signal.raise_signal(signal.SIGTERM)

        with monkeypatch.context() as patch:
            patch.setattr(shared.Run, "note", noting)
            with pytest.raises(SystemExit) as left:
                main(name, out, **options)
        assert left.value.code == 143
        assert len(programs.losses(out)) == step // options.get("log_every", 1)

    return call


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    """Runs that have been stopped after their step 33; each is made once, and never changed."""
    known = {}

    def get(name, stopped):
        if name not in known:
            known[name] = tmp_path_factory.mktemp(f"{name}-kept")
            stopped(name, 33, known[name], **small(name))
        return known[name]

    return get


@pytest.fixture
def begun(kept, stopped, tmp_path):
    """Return a copy of a run that has been stopped after its step 33."""

    def get(name):
        return Path(shutil.copytree(kept(name, stopped), tmp_path / f"{name}-begun"))

    return get


def lines(path):
    return path.read_text().splitlines()


def test_each_program_can_be_read_in_one_sitting():
    files = sorted(FOLDER.glob("*.py"))
    assert {f.stem for f in files} >= set(PROGRAMS)
    for name in PROGRAMS:
        assert len(lines(FOLDER / f"{name}.py")) <= 200


def test_what_is_installed_brings_the_programs():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    brought = project["tool"]["hatch"]["build"]["targets"]["wheel"]["force-include"]
    files = [f.relative_to(ROOT).as_posix() for f in (ROOT / "labs").glob("*/*.py")]
    assert len(files) > 4
    assert {f: brought.get(f) for f in files} == {f: f"labkit/{f}" for f in files}


# --- killed and resumed ---------------------------------------------------------------------------


@pytest.mark.parametrize("name", [*PROGRAMS[:3], pytest.param("lstm_keras", marks=SLOW)])
def test_a_killed_program_goes_on_to_the_last_digit(name, main, whole, tmp_path):
    out = tmp_path / "run"
    losses, result = whole(name, main)
    assert len(losses) == STEPS
    with programs.start(f"full-size/{name}", out, **small(name)) as run:
        run.kill_after(25)
        pid = run._process.pid
    assert gone(pid)
    before = programs.losses(out)
    assert 25 <= len(before) < STEPS
    assert np.array_equal(before, losses[: len(before)])
    with pytest.raises(programs.ProgramError, match=r"has no result\.json: the run has not come"):
        programs.result(out)
    (out / f"part-{checkpoint(name)}").write_bytes(b"killed while it was written")
    again = main(name, out, resume=True, **small(name))
    assert np.array_equal(again, losses)
    for measure in ("accuracy", "bits_per_character", "sample", "steps"):
        assert programs.result(out).get(measure) == result.get(measure)


@pytest.mark.parametrize(
    "name", ["cnn_pytorch", "lstm_pytorch", "lstm_keras", pytest.param("cnn_keras", marks=SLOW)]
)
def test_a_program_stops_on_sigterm_with_a_checkpoint(name, main, whole, begun):
    out = begun(name)  # exit code and steps are looked at there
    assert not (out / "result.json").exists()
    assert np.array_equal(main(name, out, resume=True, **small(name)), whole(name, main)[0])


def test_a_run_killed_before_its_first_checkpoint_begins_anew(main, whole, begun):
    out = begun("cnn_pytorch")
    (out / "checkpoint.pt").unlink()
    again = main("cnn_pytorch", out, resume=True, **small("cnn_pytorch"))
    assert np.array_equal(again, whole("cnn_pytorch", main)[0])
    # What has come to its end is tested once more.
    (out / "result.json").unlink()
    main("cnn_pytorch", out, resume=True, **small("cnn_pytorch"))
    assert programs.result(out)["accuracy"] == whole("cnn_pytorch", main)[1]["accuracy"]


def test_a_program_is_stopped_from_a_notebook(tmp_path):
    """With processes of its own, which the signal reaches, too."""
    options = small("cnn_pytorch", workers=2, steps=5000)
    with programs.start("full-size/cnn_pytorch", tmp_path / "run", **options) as run:
        assert run.stop_after(3) == 143
        assert "--resume goes on" in run._said()


FORGOTTEN = {
    "cnn_pytorch": ["net", "optimizer", "schedule", "drawn"],
    "cnn_keras": ["seed_generator_state", "momentum"],
}


@pytest.mark.parametrize(
    ("name", "part"),
    [
        pytest.param(n, p, marks=SLOW if p == "momentum" else ())
        for n, parts in FORGOTTEN.items()
        for p in parts
    ],
)
def test_each_part_of_a_checkpoint_is_needed(name, part, main, whole, begun, monkeypatch):
    """A run that forgets it goes on with other losses: the tests above would see it."""
    out = begun(name)
    if name == "cnn_pytorch":
        trainer = importlib.import_module("shared_torch").Trainer
        load, read = trainer.load, torch.load

        def forget(self, file):
            self.parts = {n: p for n, p in self.parts.items() if n != part}
            return load(self, file)

        monkeypatch.setattr(trainer, "load", forget)
        if part == "drawn":
            other = {"drawn": [[torch.Generator().manual_seed(5).get_state()]]}  # of one rank
            monkeypatch.setattr(torch, "load", lambda *a, **k: {**read(*a, **k), **other})
    else:
        keep = importlib.import_module("shared_keras").Keep
        load = keep.load

        def forget(self, file):
            variables = [v for v in self.variables() if part in v.path]
            assert variables
            values = [keras.ops.convert_to_numpy(v).copy() for v in variables]
            progress = load(self, file)
            for variable, value in zip(variables, values, strict=True):
                variable.assign(value)
            return progress

        monkeypatch.setattr(keep, "load", forget)
    losses = whole(name, main)[0]
    again = main(name, out, resume=True, **small(name))
    assert np.array_equal(again[:33], losses[:33])
    assert not np.allclose(again, losses, rtol=0, atol=1e-6)


# --- the frameworks -------------------------------------------------------------------------------

TWINS = {
    "cnn": {"width": 4, "batch": 16, "smooth": 0.125},
    "lstm": {"width": 8, "batch": 8, "length": 16, "clip": 0.25},
}


@pytest.mark.parametrize("kind", TWINS)
def test_both_frameworks_programs_have_the_same_losses(kind, main, tmp_path):
    options = {**TWINS[kind], "steps": 220, "precision": "float64"}
    found = [
        (main(f"{kind}_{framework}", tmp_path / framework, **options), tmp_path / framework)
        for framework in ("pytorch", "keras")
    ]
    (ours, here), (theirs, there) = found
    assert len(ours) == len(theirs) == 220
    assert ours[-20:].mean() < 0.8 * ours[0]
    assert twins.compare(ours, theirs).largest < twins.BOUND
    config = [json.loads((f / "config.json").read_text()) for f in (here, there)]
    assert config[0]["data_digest"] == config[1]["data_digest"]
    # It can fail: of two runs in one framework, with rates that differ a little.
    other = main(
        f"{kind}_pytorch",
        tmp_path / "other",
        **options | {"rate": 0.2501 if kind == "cnn" else 2.0**-8 * 1.001},
    )
    assert twins.compare(ours, other).largest > 1e-6


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("cnn_pytorch", {"workers": 1, "channels_last": True, "flips": True}),
        ("cnn_pytorch", {"precision": "float16"}),
        pytest.param("cnn_keras", {"precision": "float16", "flips": True}, marks=SLOW),
        ("lstm_pytorch", {"precision": "bfloat16", "sample": 9}),
        pytest.param("lstm_keras", {"precision": "bfloat16", "sample": 9}, marks=SLOW),
    ],
)
def test_options_that_change_how_it_is_computed(name, options, main, tmp_path):
    """Another precision, another layout, another process that loads: about the same losses."""
    given = small(name, steps=12, augment=False, dropout=None)
    losses = main(name, tmp_path / "run", **given | options)
    plain = main(f"{name.split('_')[0]}_pytorch", tmp_path / "plain", **given)
    assert np.allclose(losses[:5], plain[:5], rtol=0.02)
    assert np.allclose(losses, plain, rtol=1e-9) == ("precision" not in options)
    if "sample" in options:
        assert len(programs.result(tmp_path / "run")["sample"]) == 9


# --- what is refused ------------------------------------------------------------------------------


@pytest.fixture
def refused(main, capsys):
    """Return the one line with which a program refuses its options."""

    def call(name, out, **options):
        capsys.readouterr()
        with pytest.raises(SystemExit) as left:
            main(name, out, **options)
        assert left.value.code == 2
        said = [
            line
            for line in capsys.readouterr().err.splitlines()
            if not line.startswith(("{", "step"))
        ]
        assert len(said) == 1
        assert said[0].startswith(f"{name}.py: ")
        return said[0]

    return call


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"batch": 0}, "argument --batch: '0' is not a whole number from 1 up; --help"),
        ({"batch": "1e3"}, "argument --batch: '1e3' is not a whole number from 1 up"),
        ({"rate": "nan"}, "argument --rate: 'nan' is not a number from 1e-09 up"),
        ({"rate": -1}, "argument --rate: '-1' is not a number"),
        ({"momentum": 1}, "argument --momentum: '1' is not a number from 0 to 0.999"),
        ({"precision": "double"}, "argument --precision: invalid choice: 'double'"),
        ({"bach": 8}, "unrecognized arguments: --bach 8"),
        ({"data": "digit"}, "'digit' is neither a dataset (known: digits, cifar10, fashion-mnist)"),
        ({"batch": 2000}, "there are 1440 examples to learn from: --batch 1440 or less"),
    ],
)
def test_bad_options_are_one_line(options, says, refused, tmp_path):
    assert says in refused("cnn_pytorch", tmp_path / "run", **options)
    assert not (tmp_path / "run").exists()


def test_bad_texts_are_one_line(refused, tmp_path):
    short = tmp_path / "short.txt"
    short.write_text("too short")
    assert "a tenth of it must hold 65 characters" in refused(
        "lstm_keras", tmp_path / "run", data=short
    )
    assert "is neither a text" in refused("lstm_pytorch", tmp_path / "run", data="shakespeare")


def contents(folder):
    return {f.name: f.read_bytes() for f in folder.iterdir()}


@pytest.mark.parametrize("name", ["cnn_pytorch", "lstm_keras"])
def test_a_run_is_never_overwritten(name, begun, refused, text):
    out = begun(name)
    before = contents(out)
    says = refused(name, out, **small(name))
    assert says.endswith("holds a run: --resume it, or name another --out")
    for option, value, was in (("rate", 0.5, None), ("steps", 60, 50), ("seed", 2, 1)):
        says = refused(name, out, resume=True, **small(name) | {option: value})
        assert f"was begun with {option} {was or ''}" in says
        assert f", not {value}: resume with what it was, or begin anew in another folder" in says
    kind = name.split("_")[0]
    other = {"cnn_pytorch": "cnn_keras", "lstm_keras": "lstm_pytorch"}[name]
    says = refused(other, out, resume=True, **small(name))
    assert f"was begun with program {name}, not {other}" in says
    if kind == "lstm":
        says = refused(name, out, resume=True, **small(name, data="pydoc"))
        assert f"was begun with data {text}, not pydoc" in says
    assert contents(out) == before


def test_changed_data_is_seen(begun, refused, monkeypatch):
    out = begun("cnn_pytorch")
    shared = importlib.import_module("shared")
    images = shared.data.images

    def changed(*given, **options):
        found = images(*given, **options)
        found.train_labels[0] = 9 - found.train_labels[0]
        return found

    monkeypatch.setattr(shared.data, "images", changed)
    says = refused("cnn_pytorch", out, resume=True, **small("cnn_pytorch"))
    assert "was begun with data_digest" in says


def test_other_files_are_left_alone(refused, tmp_path):
    (tmp_path / "thesis.txt").write_text("all of it")
    says = refused("cnn_pytorch", tmp_path, **small("cnn_pytorch"))
    assert says.endswith("is not empty: name another --out")
    says = refused("cnn_pytorch", tmp_path, resume=True, **small("cnn_pytorch"))
    assert says.endswith("holds no run (no config.json): leave --resume out")
    says = refused("cnn_pytorch", tmp_path / "thesis.txt", **small("cnn_pytorch"))
    assert "thesis.txt: File exists; name another" in says
    assert contents(tmp_path) == {"thesis.txt": b"all of it"}


@pytest.mark.parametrize("name", ["cnn_pytorch", "lstm_keras"])
def test_a_broken_checkpoint_is_told(name, begun, refused):
    out = begun(name)
    file = out / checkpoint(name)
    good = file.read_bytes()
    for bad in (b"", good[: len(good) // 2], b"something else", good[:-100], b"PK" + good[9:]):
        file.write_bytes(bad)
        says = refused(name, out, resume=True, **small(name))
        assert f"{file} cannot be resumed (" in says
        assert says.endswith("): begin anew in another folder")
    file.write_bytes(good)


def test_a_foreign_checkpoint_is_told(begun, main, refused, tmp_path):
    out = begun("cnn_pytorch")
    file = out / "checkpoint.pt"
    good = file.read_bytes()
    other = tmp_path / "other"
    main("cnn_pytorch", other, **small("cnn_pytorch", steps=2, seed=2))
    for foreign in (other / "checkpoint.pt", other / "model.pt"):
        file.write_bytes(foreign.read_bytes())
        says = refused("cnn_pytorch", out, resume=True, **small("cnn_pytorch"))
        assert "cannot be resumed (" in says
    file.write_bytes(good)
    losses = out / "losses.jsonl"
    kept = losses.read_text()
    losses.write_text("".join(kept.splitlines(keepends=True)[:-1]))
    says = refused("cnn_pytorch", out, resume=True, **small("cnn_pytorch"))
    assert "losses.jsonl ends before the checkpoint, at step 33" in says
    losses.write_text(kept)
    config = out / "config.json"
    kept = config.read_text()
    for bad in ("", "[]", "{", '"text"'):
        config.write_text(bad)
        says = refused("cnn_pytorch", out, resume=True, **small("cnn_pytorch"))
        assert "config.json" in says or "was begun with program None" in says
    config.write_text(kept)


def test_a_loss_that_is_no_number_ends_the_run(refused, tmp_path):
    says = refused("cnn_pytorch", tmp_path / "run", **small("cnn_pytorch", rate=1e30))
    assert "try a lower --rate" in says


def test_losses_may_be_written_now_and_then(main, whole, tmp_path, stopped):
    options = small("cnn_pytorch", log_every=10)
    stopped("cnn_pytorch", 33, tmp_path, **options)
    losses = main("cnn_pytorch", tmp_path, resume=True, **options)
    assert np.array_equal(losses, whole("cnn_pytorch", main)[0][9::10])


@pytest.mark.parametrize("name", PROGRAMS)
def test_help_tells_each_option(name, main, capsys, tmp_path):
    with pytest.raises(SystemExit) as left:
        main(name, tmp_path, help=True)
    assert left.value.code == 0
    said = capsys.readouterr().out
    for option in ("--data", "--out", "--resume", "--steps", "--save-every", "--precision"):
        assert f"\n  {option}" in said
    assert "exits with code 143" in " ".join(said.split())


# --- labkit.programs ------------------------------------------------------------------------------


def test_a_program_that_is_not_there_is_told():
    with pytest.raises(
        programs.ProgramError, match=r"no program 'cnn_torch'; known: full-size/cnn"
    ):
        programs.find("cnn_torch")


def test_programs_are_found_where_labkit_is_installed(tmp_path, monkeypatch):
    package = tmp_path / "site-packages" / "labkit"
    (package / "labs" / "full-size").mkdir(parents=True)
    program = package / "labs" / "full-size" / "own.py"
    program.write_text("import sys; print(sys.argv[1:])")
    monkeypatch.setattr(programs, "__file__", str(package / "programs.py"))
    assert programs.find("full-size/own") == program


@pytest.fixture
def own(tmp_path, monkeypatch):
    """Make a program of one's own."""

    def make(code):
        package = tmp_path / "installed" / "labkit"
        (package / "labs" / "own").mkdir(parents=True, exist_ok=True)
        (package / "labs" / "own" / "own.py").write_text(code)
        monkeypatch.setattr(programs, "__file__", str(package / "programs.py"))
        return "own/own"

    return make


STEPS_OF = """
import pathlib, sys, time
out = pathlib.Path(sys.argv[2])
out.mkdir()
with (out / "losses.jsonl").open("w") as file:
    for step in range(1, 6):
        print(f'{{"step": {step}, "loss": {1 / step}}}', file=file, flush=True)
    print('{"step": 6, "lo', end="", file=file, flush=True)
    %s
"""


def test_what_is_typed_for_options(own, tmp_path):
    name = own("import sys; print(sys.argv[1:])")
    said = programs.run(name, tmp_path, save_every=5, resume=True, augment=False, size=None)
    assert said == str(["--out", str(tmp_path), "--save-every", "5", "--resume"])


def test_a_program_that_fails_is_told_with_its_last_words(own, tmp_path):
    with pytest.raises(programs.ProgramError, match="exit code 2:\nso be it"):
        programs.run(own("import sys; sys.exit(print('so be it') or 2)"), tmp_path)
    with pytest.raises(programs.ProgramError, match="no end within 1 s"):
        programs.run(own("import time; time.sleep(60)"), tmp_path, seconds=1)
    name = own(STEPS_OF % "sys.exit(7)")
    with (
        pytest.raises(programs.ProgramError, match="ended before step 9, exit code 7"),
        programs.start(name, tmp_path / "out") as run,
    ):
        run.kill_after(9)
    name = own(STEPS_OF % "time.sleep(60)")
    with (
        pytest.raises(programs.ProgramError, match="not at step 9 in 1 s"),
        programs.start(name, tmp_path / "other") as run,
    ):
        run.kill_after(9, seconds=1)
    assert gone(run._process.pid)


def test_losses_are_read_while_they_are_written(own, tmp_path):
    assert len(programs.losses(tmp_path / "out")) == 0
    with programs.start(own(STEPS_OF % "time.sleep(60)"), tmp_path / "out") as run:
        run.kill_after(5)
    assert programs.losses(tmp_path / "out").tolist() == [1, 1 / 2, 1 / 3, 1 / 4, 1 / 5]


def test_a_program_ends_with_the_notebook(tmp_path):
    code = f"""
import os
from labkit import programs
with programs.start("full-size/lstm_pytorch", {str(tmp_path / "run")!r}, steps=9999) as run:
    print(run._process.pid, flush=True)
    os._exit(0)
"""
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert gone(ended.stdout)


def test_threads_and_devices_are_the_notebooks(own, tmp_path, monkeypatch):
    name = own(
        "import os; print(os.environ['OMP_NUM_THREADS'], os.environ.get('CUDA_VISIBLE_DEVICES'))"
    )
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.delenv("LABKIT_THREADS", raising=False)
    monkeypatch.delenv("LABKIT_DEVICE", raising=False)
    assert programs.run(name, tmp_path) == "1 None"
    monkeypatch.setenv("LABKIT_THREADS", "2")
    monkeypatch.setenv("LABKIT_DEVICE", "cpu")
    assert programs.run(name, tmp_path) == "2 -1"
