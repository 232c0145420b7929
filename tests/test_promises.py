"""What the chapters promise: of their data, of both twins, and of what was committed."""

import ast
import functools
import re
import tomllib
from collections.abc import Iterator
from types import SimpleNamespace

import numpy as np
import pytest
from conftest import ROOT
from fresh import compare_records
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from says import Twins, numbers

from labkit import data, record
from labkit.press import chapter

CHAPTERS = [p.stem for p in chapter.chapters(ROOT)]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
twins_of = functools.cache(lambda name: Twins(ROOT, name))


@functools.cache
def load(name):
    return chapter.load(ROOT / "chapters" / f"{name}.md")


def code_of(name):
    return [c for c in load(name).cells if c.kind == "code" and c.role not in chapter.ANSWERS]


def exact_of(name):
    """Return what both twins of a chapter have recorded."""
    return [twins_of(name).records[f]["exact"] for f in chapter.FRAMEWORKS]


# --- both twins do the same -----------------------------------------------------------------------


@pytest.mark.parametrize("name", CHAPTERS)
def test_shared_cells_print_the_same_in_both_twins(name):
    """Unless a cell is tagged `differs`, and then they do differ; `measured` hangs on a clock."""
    for cell in (c for c in code_of(name) if c.framework is None and "measured" not in c.tags):
        printed = {twins_of(name).printed(cell.id, f) for f in chapter.FRAMEWORKS}
        where = f"{name}.md:{cell.line}: {cell.id}"
        if "differs" in cell.tags:
            assert len(printed) == 2, f"{where} is tagged `differs` and prints the same"
        else:
            assert len(printed) == 1, f"{where} prints something else in each twin: {printed}"


@pytest.mark.parametrize("name", CHAPTERS)
def test_what_is_tagged_compare_prints_the_same_in_both_twins(name):
    tagged = [c for c in code_of(name) if "compare" in c.tags]
    assert tagged
    for cell in tagged:
        step = cell.id.removesuffix(f"-{cell.framework}")
        printed = {twins_of(name).printed(step, f) for f in chapter.FRAMEWORKS}
        assert len(printed) == 1, f"{name}.md:{cell.line}: {step}: {printed}"
        assert printed != {""}, f"{name}.md:{cell.line}: {step} prints nothing"
        if cell.framework:
            pair = [c for c in code_of(name) if c.step == cell.step]
            assert all("compare" in c.tags for c in pair), f"{step}: tag both cells of the step"


# Checks that print True and have no False beside them, with the reason.
SEEN = {
    "same-experiment": {"backend": "says of what class the model is"},
    "recurrent": {},
    "first-network": {},
    "debugging": {},
    "silent-bugs": {},
    "visualization": {},
    "watching": {},
    "inside": {},
    "full-size": {},
    "equal-enough": {},
    "memory": {},
    "ideas": {},
    "distributed": {},
    "graphs": {
        "losses": "both last losses stand above it; both curves are rungs of the proof",
        "decoded": "both lists are rungs of the proof",
    },
}


@pytest.mark.parametrize("name", CHAPTERS)
def test_a_check_that_says_true_also_shows_a_false(name):
    """A comparison of something with itself says True whatever happens."""
    twins = twins_of(name)
    steps = {c.id.removesuffix(f"-{c.framework}") for c in code_of(name)}
    alone = set()
    for step in steps:
        printed = "".join(
            twins.printed(step, f)
            for f in chapter.FRAMEWORKS
            if {step, f"{step}-{f}"} & twins.cells[f].keys()
        )
        if ": True" in printed and ": False" not in printed:
            alone.add(step)
    assert alone == SEEN[name].keys()


COMPARING = re.compile(r".*\b(allclose|array_equal|equal|compare|isclose)")


@pytest.mark.parametrize("name", CHAPTERS)
def test_nothing_is_compared_with_itself(name):
    for cell in code_of(name):
        for node in ast.walk(ast.parse(cell.source)):
            sides = []
            if isinstance(node, ast.Call) and COMPARING.fullmatch(ast.unparse(node.func)):
                sides = [ast.unparse(a) for a in node.args[:2]]
            elif isinstance(node, ast.Compare):
                sides = [ast.unparse(side) for side in (node.left, *node.comparators)]
            elif isinstance(node, ast.BinOp) and isinstance(node.op, ast.Sub):
                sides = [ast.unparse(node.left), ast.unparse(node.right)]
            where = f"{name}.md:{cell.line}: {cell.id}"
            # `first_broken(honest, honest)` asks on purpose, and is no comparison here.
            assert len(set(sides)) == len(sides), f"{where} compares {sides[0]} with itself"


# What the prose says of the frameworks' own defaults: chapter, words, and whether they are true.
def defaults():
    import inspect

    import torch
    from keras import layers, optimizers

    def of(function, name):
        return inspect.signature(function).parameters[name].default

    norm, adam = torch.nn.BatchNorm2d, torch.optim.Adam
    keras_norm, keras_adam = layers.BatchNormalization, optimizers.Adam
    norms, adams = (
        (of(norm, "eps"), of(keras_norm, "epsilon")),
        (
            of(adam, "eps"),
            of(keras_adam, "epsilon"),
        ),
    )
    momenta = of(norm, "momentum"), of(keras_norm, "momentum")
    units = layers.LSTM(4)
    return [
        ("same-experiment", "PyTorch's default is 1e-5, Keras' 1e-3.", norms == (1e-5, 1e-3)),
        (
            "same-experiment",
            "PyTorch's `momentum` is the part of the *new* value, 0.1 by default; "
            "Keras' the part of the *old* one, 0.99 by default.",
            momenta == (0.1, 0.99),
        ),
        ("same-experiment", "an epsilon: 1e-8 in PyTorch, 1e-7 in Keras.", adams == (1e-8, 1e-7)),
        ("same-experiment", "momentum of 0.875; the default is 0.99.", momenta[1] == 0.99),
        (
            "recurrent",
            "Keras begins it at 1, PyTorch with the other random numbers around 0.",
            units.unit_forget_bias is True,
        ),
        ("recurrent", "Keras since TensorFlow 2 say after.", layers.GRU(4).reset_after is True),
        (
            "recurrent",
            "Without it PyTorch takes that axis for the time",
            torch.nn.LSTM(1, 1).batch_first is False,
        ),
        (
            "first-network",
            "`from_logits=True` says that the network gives scores",
            of(keras_loss(), "from_logits") is False,
        ),
    ]


def keras_loss():
    import keras

    return keras.losses.SparseCategoricalCrossentropy


def test_the_defaults_that_the_prose_names_are_the_frameworks():
    for name, said, true in defaults():
        prose = " ".join((ROOT / "chapters" / f"{name}.md").read_text().split())
        assert said in prose, f"{name}.md does not say {said!r}; say here what it says"
        assert true, f"{name}.md: {said!r} is not so in the frameworks installed here"


# --- what is for testing is not learned from ------------------------------------------------------

TEST = re.compile(r"test_(images|labels|codes)|[xy]_test|strips")
TRAIN = re.compile(r"train_(images|labels|codes)|[xy]_train|windows")


def words(node: ast.AST) -> set[str]:
    """Return the names and attributes in a piece of code."""
    return {n.id for n in ast.walk(node) if isinstance(n, ast.Name)} | {
        n.attr for n in ast.walk(node) if isinstance(n, ast.Attribute)
    }


def of(kind: re.Pattern[str], node: ast.AST) -> set[str]:
    return {word for word in words(node) if kind.fullmatch(word)}


def assignments(tree: ast.AST) -> Iterator[tuple[ast.expr, ast.expr]]:
    """Yield each target with its value; of `a, b = c, d` both pairs."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign):
            for target in node.targets:
                if isinstance(target, ast.Tuple) and isinstance(node.value, ast.Tuple):
                    yield from zip(target.elts, node.value.elts, strict=True)
                else:
                    yield target, node.value


def trains(node: ast.AST) -> bool:
    """Say whether a function or loop moves weights."""
    calls = {ast.unparse(n.func) for n in ast.walk(node) if isinstance(n, ast.Call)}
    return any(
        re.fullmatch(r"train|train_step|.*(optimizer|both)\.(step|apply)|.*\.fit", c) for c in calls
    )


@pytest.mark.parametrize("name", CHAPTERS)
def test_no_training_sees_what_is_for_testing(name):
    trained = 0
    for cell in code_of(name):
        tree = ast.parse(cell.source)
        where = f"{name}.md:{cell.line}: {cell.id}"
        for target, value in assignments(tree):
            for own, other in ((TRAIN, TEST), (TEST, TRAIN)):
                if of(own, target):
                    assert not of(other, value), f"{where}: {ast.unparse(target)} holds the other"
        for unit in filter(trains, tree.body):
            trained += 1
            assert not of(TEST, unit), f"{where} trains with {of(TEST, unit)}"
    assert trained >= 2


# Steps and functions that say how well a network does on what it has not seen.
JUDGING = {
    "first-network": ("test", "accuracy", "mistakes", "save"),
    "same-experiment": ("test_loss", "accuracy_of"),
    "recurrent": ("carry", "read_on", "hidden"),
    "graphs": (),
    "debugging": (),
    # A fault of this chapter is that the accuracy is taken on what was learned from.
    "silent-bugs": (),
    "visualization": (),
    "watching": (),
    "inside": (),
    "full-size": ("count_right", "test_loss"),
    "equal-enough": ("accuracy",),
    "memory": (),
    "ideas": ("runs",),
    "distributed": (),
}


@pytest.mark.parametrize("name", [n for n in CHAPTERS if JUDGING[n]])
def test_what_judges_a_network_uses_what_is_for_testing(name):
    seen = set()
    for cell in code_of(name):
        tree = ast.parse(cell.source)
        functions = [n for n in ast.walk(tree) if isinstance(n, ast.FunctionDef)]
        judging = [(n.name, n) for n in functions if n.name in JUDGING[name]]
        if (step := cell.id.removesuffix(f"-{cell.framework}")) in JUDGING[name]:
            judging.append((step, tree))
        for what, node in judging:
            assert not of(TRAIN, node), f"{name}.md:{cell.line}: {what} uses {of(TRAIN, node)}"
            assert of(TEST, node), f"{name}.md:{cell.line}: {what} uses no test data"
            seen.add(what)
    assert seen == set(JUDGING[name])


def test_the_digits_to_learn_from_are_not_those_to_test_on():
    digits = data.images("digits")
    assert len(digits.train_labels) == 1440
    assert len(digits.test_labels) == 357
    pictures = [digits.train_images, digits.test_images]
    train, test = ({p.tobytes() for p in part} for part in pictures)
    assert not train & test
    from sklearn.datasets import load_digits

    everything = {p.tobytes() for p in load_digits().images / 16}
    assert train | test == everything


def run_cells(name, steps, framework="pytorch", **names):
    """Run cells of a notebook, without its framework, and return the names they make."""
    lab = SimpleNamespace(framework=framework)
    import labkit

    made = {"lab": lab, "labkit": labkit, "np": np, **names}
    for step in steps:
        exec(twins_of(name).cell(step, framework).source, made)
    return made


def test_the_first_network_is_tested_on_the_test_set():
    labels = data.images("digits").test_labels
    for exact in exact_of("first-network"):
        matrix = np.array(exact["confusion"])
        assert matrix.sum() == 357
        assert matrix.sum(axis=1).tolist() == np.bincount(labels, minlength=10).tolist()
        assert exact["test_accuracy"] == np.trace(matrix) / 357
        assert exact["test_accuracy"] >= 0.97
        assert len(exact["losses"]) == 540
    said = twins_of("first-network").printed("accuracy", "pytorch")
    assert numbers(said)[:2] == [np.trace(matrix), 357]


def test_the_first_network_is_loaded_before_it_is_compared():
    for framework, load_it in (("pytorch", "load_state_dict"), ("tensorflow", "load_model")):
        code = twins_of("first-network").cell("save", framework).source
        fresh, loaded = re.search(r"again = (.*)\n", code)[1], code.rindex(f"{load_it}(")
        assert fresh.startswith(("Net(", "make_net("))
        assert "path" in code[loaded:].splitlines()[0]
        assert loaded < code.rindex("print(")


def test_the_same_experiments_accuracies_are_of_the_test_set():
    """Ten seeds and 357 pictures: the mean is a multiple of 1/3570, which 1440 are not."""
    for exact in exact_of("same-experiment"):
        right = exact["accuracy"] * 3570
        assert abs(right - round(right)) < 1e-6
        assert len(exact["losses"]) == len(exact["losses_float32"]) == 240
        assert exact["accuracy"] > 0.9
    ours, theirs = (exact["worth"] for exact in exact_of("same-experiment"))
    shared = ours.keys() & theirs.keys() - {"Adam's epsilon"}
    assert len(shared) >= 8
    for difference in shared:
        assert abs(ours[difference] - theirs[difference]) < 1e-9, difference


def test_what_is_called_float32_was_computed_in_float32():
    """A loss of float32 is a number of float32; one of float64 hardly ever is."""
    for exact in exact_of("same-experiment"):
        for field in ("losses", "losses_fast", "losses_float32", "losses_fast_float32"):
            short = np.mean(np.float32(exact[field]).astype(float) == exact[field])
            assert short == 1 if field.endswith("float32") else short < 0.1, field


def test_the_interval_is_students():
    """A 95 % interval of the mean, from the spread of a sample."""
    tree = ast.parse(twins_of("same-experiment").cell("seeds", "pytorch").source)
    (function,) = [n for n in tree.body if isinstance(n, ast.FunctionDef)]
    made = {"np": np}
    exec(ast.unparse(function), made)
    mean, half = made["interval"](np.arange(10.0))
    assert mean == 4.5
    assert half == pytest.approx(2.262157 * 3.0276504 / 10**0.5, rel=1e-4)
    _, half = made["interval"](np.arange(5.0))
    assert half == pytest.approx(2.776445 * 1.5811388 / 5**0.5, rel=1e-3)


def test_recurrent_learns_from_the_text_before_its_tests():
    made = run_cells("recurrent", ["a-text-in-numbers-2"])
    train, test, codes = made["train_codes"], made["test_codes"], made["codes"]
    assert np.array_equal(np.concatenate([train, test]), codes)
    assert len(test) / len(codes) == pytest.approx(0.1, abs=1e-5)
    # A text that says where each character stands: windows come from within the training text.
    places = {"train_codes": np.arange(1000), "alphabet": [str(n) for n in range(1000)]}
    made = run_cells("recurrent", ["windows-2"], **places)
    for x, y in made["windows"](300):
        assert x.shape == (32, 32)
        assert np.array_equal(y, x + 1)
        assert x.min() >= 0
        assert y.max() < 1000


def test_recurrent_reads_the_whole_test_text():
    """Strips are cut of `test_codes`, in order; what they leave out is less than a piece each."""
    places = {"test_codes": np.arange(5000), "train_codes": None}
    for framework in chapter.FRAMEWORKS:
        source = twins_of("recurrent").cell("carry", framework).source
        made = dict(places)
        exec(source[: source.index("def read_on")], made)
        strips = made["strips"]
        assert strips.shape == (16, 32 * made["pieces"] + 1)
        assert np.array_equal(strips.ravel(), np.arange(strips.size))
        assert 5000 - strips.size < 16 * 33


def test_recurrent_keeps_its_promises():
    for exact in exact_of("recurrent"):
        assert round(exact["unigram"], 2) == 4.67
        assert round(exact["trigram"], 2) == 2.47
        assert np.mean(exact["losses"][-64:]) / np.log(2) < 2.2
        assert np.mean(exact["bits_emptied"]) < 2.2
        assert np.mean(exact["bits_carried"]) < np.mean(exact["bits_emptied"])
    ours, theirs = (exact["worth"] for exact in exact_of("recurrent"))
    both = ours.keys() & theirs.keys()
    assert {"forget bias 1", "a millionth in the clip"} <= both
    for trap in both:
        assert abs(ours[trap] - theirs[trap]) < 1e-9, trap
    for field in ("bits_carried", "bits_emptied"):
        ours, theirs = (exact[field] for exact in exact_of("recurrent"))
        assert len(ours) == 32
        assert np.abs(np.subtract(ours, theirs)).max() < 1e-9


def test_graphs_keeps_its_promises():
    for exact in exact_of("graphs"):
        assert len(exact["losses"]) == len(exact["losses_graph"]) == 240
        assert np.abs(np.subtract(exact["losses"], exact["losses_graph"])).max() < 1e-10
        assert exact["decoded"] == exact["decoded_in_graph"]
        assert all(gap < 1e-10 for gap in exact["without_python"])
        assert exact["depths"][0] == 0
        assert exact["export_gap"] < 1e-10


# --- what was committed belongs together ----------------------------------------------------------


def bounds():
    """Return the bounds of each framework that the course is made with."""
    extras = [*PROJECT["optional-dependencies"]["cpu"], *PROJECT["dependencies"]]
    parsed = map(Requirement, extras)
    return {r.name: r.specifier for r in parsed}


@pytest.mark.parametrize("framework", chapter.FRAMEWORKS)
@pytest.mark.parametrize("name", CHAPTERS)
def test_records_were_made_with_versions_within_the_bounds(name, framework):
    """pyproject's bounds; a record that says torch 1.9 was not made by this course."""
    allowed = bounds()
    machine = twins_of(name).records[framework]["machine"]
    for made in filter(None, machine.values()):
        versions = made["versions"]
        assert versions["python"] in SpecifierSet(PROJECT["requires-python"])
        assert {"torch", "keras", "numpy"} <= versions.keys()
        for package in versions.keys() - {"python"}:
            assert allowed[package].contains(versions[package]), f"{package} {versions[package]}"


@pytest.mark.parametrize("framework", chapter.FRAMEWORKS)
@pytest.mark.parametrize("name", CHAPTERS)
def test_a_notebook_and_its_record_name_one_set_of_versions(name, framework):
    import nbformat

    from labkit.press import weave

    notebook = nbformat.read(weave.notebook_path(ROOT, name, framework), as_version=4)
    made = twins_of(name).records[framework]["machine"]["exact"]["versions"]
    assert notebook.metadata.labkit.machine["versions"] == made


def test_printed_timings_are_those_of_the_records():
    """What a clock decided stands twice, in the output and in the record."""
    twins = twins_of("recurrent")
    for framework, found in twins.records.items():
        pattern = r"^float(\d\d), (\w+) *: ([\d.]+) ms \(spread ([\d.]+)\)"
        rows = re.findall(pattern, twins.printed("fused-time", framework), re.M)
        assert len(rows) == len(found["measured"])
        for bits, how, median, spread in rows:
            one = found["measured"][how if framework == "tensorflow" else f"{how}{bits}"]
            assert f"{one['median'] * 1e3:.2f}" == median
            assert f"{one['spread'] * 1e3:.2f}" == spread
    twins = twins_of("graphs")
    for framework, found in twins.records.items():
        pattern = r"^(\w+) +(\w+) +(\d+) +([\d.]+)s +([\d,]+) "
        rows = re.findall(pattern, twins.printed("raced", framework), re.M)
        assert len(rows) >= 9
        for network, how, batch, first, rate in rows:
            key = f"{network}_{how}_{batch}".lower()
            assert f"{found['measured'][key + '_first']['median']:.2f}" == first
            assert f"{1 / found['measured'][key]['median']:,.0f}" == rate


def said_of_stack(row):
    what, ok = row
    return f"{what}: {'yes' if ok else 'no'}"


@pytest.mark.parametrize("framework", chapter.FRAMEWORKS)
def test_counts_of_statements_stand_in_outputs_as_in_records(framework):
    twins = twins_of("same-experiment")
    exact = twins.records[framework]["exact"]
    printed = "".join(twins.printed(step, framework) for step in ("lines", "whole", "low"))
    assert len(exact["statements"]) == 5
    for title, count in exact["statements"].items():
        assert f"{title}: {count} statements, {exact['names'][title]} names" in printed


def test_single_results_stand_in_outputs_as_in_records():
    """An accuracy typed into a record is not the one that was printed."""
    say = {
        "first-network": {
            "test_accuracy": ("accuracy", lambda v: f" unseen: {v:.1%}\n"),
            "parameters": ("network", lambda v: f"PyTorch:    {v:,}\n"),
            "train_accuracy": ("by-heart", lambda v: f"from: {v:.1%}\n"),
        },
        "same-experiment": {
            "test_loss": ("train", lambda v: f"{v:.10f}"),
            "accuracy": ("seeds", lambda v: f"own defaults: {v:.1%} "),
            "accuracy_half": ("seeds", lambda v: f"± {v:.1%}"),
            "styles": ("three-ways-to-write-a-network-2", lambda v: "- " + "\n- ".join(v)),
            "by_length": ("longer", lambda v: f"64 epochs: {v['64 epochs']:.1%} "),
            "stack": ("stack", lambda v: "\n".join(map(said_of_stack, v.items()))),
            "by_hand_loss": ("low", lambda v: f"test loss {v:.10f}"),
        },
        "recurrent": {
            "unigram": ("baselines", lambda v: f"n = 1: {v:.2f}"),
            "trigram": ("baselines", lambda v: f"n = 3: {v:.2f}"),
            "fivegram": ("baselines", lambda v: f"n = 5: {v:.2f}"),
            "bits_carried": ("carried", lambda v: f"carried: {np.mean(v):.4f}"),
            "bits_emptied": ("carried", lambda v: f"emptied: {np.mean(v):.4f}"),
            "lengths_statements": ("lengths-shown", lambda v: f"{v} statements"),
        },
        "graphs": {
            "effects": ("effects", lambda v: f"returned: {v}"),
            "graphs": ("counted", lambda v: f"{v['words']:3}\n"),
            "layer_moved": (
                "new-layer",
                lambda v: "moved: old layer {:.4f}, new {:.4f}".format(*v),
            ),
        },
    }
    for name, fields in say.items():
        for framework in chapter.FRAMEWORKS:
            exact = twins_of(name).records[framework]["exact"]
            for field, (step, text) in fields.items():
                assert text(exact[field]) in twins_of(name).printed(step, framework), field
            last = f"{exact['losses'][-1]:.10f}"
            step = {"same-experiment": "train"}.get(name, "losses")
            assert last in twins_of(name).printed(step, framework)


def redrawn(name, exact):
    """Yield the figures of a chapter that can be drawn from its record: step and figure."""
    from labkit import plot

    if name == "first-network":
        yield "curve", plot.curves(exact["losses"])
        classes = tuple(str(digit) for digit in range(10))
        yield "film", plot.chances(exact["film"], classes)
        yield "untrained", plot.chances({"before training": exact["untrained"]}, classes)
    if name == "same-experiment":
        names = ("kernels turned", "order of flatten", "padding on both sides")
        names += ("BatchNorm's epsilon", "Adam's epsilon", "momentum under a schedule")
        shared = {name: exact["worth"][name] for name in (*names, "another shuffle")}
        yield "worth", plot.bars(shared, x="", log=True)
        changes = {n: (v, exact["default_half"][n]) for n, v in exact["default_worth"].items()}
        yield "seeds", plot.intervals(changes, x="")
    if name == "recurrent":
        flat = {f"n = {n}": np.full(1024, exact[f"{w}gram"]) for n, w in MARKS.items()}
        yield "losses", plot.curves({"LSTM": np.array(exact["losses"]) / np.log(2), **flat})
        yield "worth", plot.bars(exact["worth"], x="", log=True)


MARKS = {1: "uni", 3: "tri", 5: "five"}


@pytest.mark.parametrize("framework", chapter.FRAMEWORKS)
@pytest.mark.parametrize("name", ["first-network", "same-experiment", "recurrent"])
def test_figures_drawn_from_the_records_are_those_of_the_notebooks(name, framework):
    """By their digests: a number typed into a list of a record draws another figure."""
    for step, figure in redrawn(name, twins_of(name).records[framework]["exact"]):
        assert f"(data {figure.digest})" in twins_of(name).printed(step, framework), step


# --- fresh results against committed ones -----------------------------------------------------


def put(folder, **exact):
    path = folder / "cpu" / "tiny.pytorch.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    content = {"schema": record.SCHEMA, "chapter": "tiny", "framework": "pytorch"}
    machine = {"exact": None, "measured": None}
    path.write_text(record.dumps({**content, "machine": machine, "exact": exact, "measured": {}}))


def test_fresh_records_are_compared_with_the_committed_ones(tmp_path):
    fresh, evidence = tmp_path / "fresh", tmp_path / "evidence"
    put(evidence, accuracy=0.5, losses=[1.0, 2.0])
    put(fresh, accuracy=0.5 + 1e-14, losses=[1.0, 2.0])
    assert compare_records(fresh, evidence) == []
    put(evidence, accuracy=0.75, losses=[1.0, 2.0])
    (said,) = compare_records(fresh, evidence)
    assert said == "tiny.pytorch.json: exact.accuracy is 0.75, a fresh run gives 0.50000000000001"
    put(evidence, losses=[1.0, 2.5], test={"a": 1})
    assert compare_records(fresh, evidence) == [
        "tiny.pytorch.json: exact.accuracy is missing, a fresh run gives 0.50000000000001",
        "tiny.pytorch.json: exact.losses[1] is 2.5, a fresh run gives 2.0",
        "tiny.pytorch.json: exact.test is {'a': 1}, a fresh run gives none",
    ]
    (evidence / "cpu" / "tiny.pytorch.json").unlink()
    assert compare_records(fresh, evidence) == ["tiny.pytorch.json: has no committed record"]
    with pytest.raises(FileNotFoundError, match="no record"):
        compare_records(tmp_path / "nothing", evidence)
