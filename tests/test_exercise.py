import linecache
import subprocess
import sys

import nbformat
import numpy as np
import pytest
from nbclient import NotebookClient

from labkit.exercise import array, check, digest, same

pytestmark = pytest.mark.engine


def test_solved(capsys):
    with check("Add"):
        assert 1 + 1 == 2
    assert capsys.readouterr().out == "Add: solved\n"


def test_not_attempted(capsys):
    with check("Add"):
        raise NotImplementedError
    assert capsys.readouterr().out == "Add: not attempted yet\n"


def test_the_assertion_is_the_hint(capsys):
    with check("Add"):
        raise AssertionError("Count your fingers.")  # pytest would rewrite an assert
    assert capsys.readouterr().out == "Add: not yet. Count your fingers.\n"


# --- errors, and whose they are ---------------------------------------------------------------

CHECK = """\
from labkit.exercise import check

with check("Add"):
    got = {}
    assert got == 5, "Count your fingers."
"""


@pytest.fixture
def told(capsys):
    """Run cells as a notebook does, each a file of its own, and return what is printed."""
    names = []

    def run(*cells):
        space = {}
        for number, cell in enumerate(cells):
            names.append(f"<a test's cell {number}>")
            linecache.cache[names[-1]] = (len(cell), None, cell.splitlines(True), names[-1])
            exec(compile(cell, names[-1], "exec"), space)
        return capsys.readouterr().out

    yield run
    for name in names:
        linecache.cache.pop(name, None)


def test_an_error_is_told_with_the_line_of_the_readers_own_cell(told):
    answer = "def add(a, b):\n    c = a\n    return c / 0 + b\n"
    assert told(answer, CHECK.format("add(2, 3)")) == (
        "Add: not yet. ZeroDivisionError: division by zero "
        "in your cell, line 3: `return c / 0 + b`\n"
    )


@pytest.mark.parametrize("wrapped", ["call(add, 2, None)", "add(2, None)"])
def test_it_is_the_readers_cell_and_not_the_lessons(told, wrapped):
    lesson = "def call(f, *given):\n    return f(*given)\n\n\ndef plus(a, b):\n    return a + b\n"
    answer = "def add(a, b):\n    return plus(a, b)\n"
    said = told(lesson, answer, CHECK.format(wrapped))
    assert said.endswith("in your cell, line 2: `return plus(a, b)`\n")


def test_an_error_in_a_library_is_told_with_the_readers_line(told):
    answer = "import json\n\n\ndef add(a, b):\n    return json.loads('{')\n"
    said = told(answer, CHECK.format("add(2, 3)"))
    assert said.endswith("in your cell, line 5: `return json.loads('{')`\n")


def test_a_function_that_takes_other_arguments_is_told_how_it_is_called(told):
    said = told("def add(a):\n    return a\n", CHECK.format("add(2, 3)"))
    assert "add() takes 1 positional argument but 2 were given" in said
    assert said.endswith("where the check asks `got = add(2, 3)`\n")


def test_an_assertion_of_the_readers_own_is_no_hint(told):
    said = told("def add(a, b):\n    assert a == b, 'Mine.'\n", CHECK.format("add(2, 3)"))
    assert said == (
        "Add: not yet. AssertionError: Mine. in your cell, line 2: `assert a == b, 'Mine.'`\n"
    )


def test_what_a_library_has_not_implemented_is_an_error(told):
    said = told(
        "def add(a, b):\n    raise NotImplementedError('no kernel')\n", CHECK.format("add(2, 3)")
    )
    assert said.startswith("Add: not yet. NotImplementedError: no kernel in your cell, line 2: ")


def test_a_long_message_is_one_line(capsys):
    with check("Add"):
        raise ValueError("in user code:\n\n    File x\n\n    ValueError: shapes\n")
    with check("Add"):
        raise ValueError("shapes\nand where")
    with check("Add"):
        raise ValueError(
            "Exception encountered when calling L.\n\n\x1b[1mshapes\x1b[0m\n\nArguments"
        )
    one, other, third = capsys.readouterr().out.splitlines()
    assert third.startswith("Add: not yet. ValueError: shapes where")
    assert one.startswith("Add: not yet. ValueError: ValueError: shapes where the check asks")
    assert other.startswith("Add: not yet. ValueError: shapes where the check asks")


def test_in_jupyter(tmp_path):
    """Where cells have names such as /tmp/ipykernel_1/2.py."""
    lesson, answer = "def plus(a, b):\n    return a + b", "def add(a, b):\n    return plus(a, [])"
    cells = [lesson, answer, CHECK.format("add(2, 3)")]
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(c) for c in cells])
    NotebookClient(notebook, resources={"metadata": {"path": str(tmp_path)}}).execute()
    said = notebook.cells[2].outputs[0].text
    assert said.endswith("in your cell, line 2: `return plus(a, [])`\n")


# --- what is accepted -------------------------------------------------------------------------


def test_arrays_of_all_kinds():
    import tensorflow as tf
    import torch

    want = np.array([[1.0, 2.0], [3.0, 4.0]])
    learned = torch.tensor(want, requires_grad=True)
    for given in (
        want,
        want.tolist(),
        tuple(map(tuple, want)),
        learned,
        list(learned * 1),
        tf.constant(want),
        tf.Variable(want),
        [tf.constant(want[0]), torch.tensor(want[1])],
    ):
        assert np.array_equal(array(given), want)
    assert array(3) == 3
    assert array(torch.tensor(True))


def test_what_is_no_array_is_named():
    with pytest.raises(TypeError, match="not NoneType; is a `return` missing"):
        array(None)
    with pytest.raises(TypeError, match="numbers are asked for, not str"):
        array("1")
    with pytest.raises(ValueError, match="inhomogeneous"):
        array([[1], [2, 3]])


def test_helpers_import_no_framework():
    code = (
        "import sys; from labkit.exercise import array; array([1.0]);"
        "sys.exit(bool({'torch', 'tensorflow', 'keras'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_an_answer_is_known_by_its_mark():
    mark = digest((4, "Modes"))
    assert len(mark) == 8
    for right in ([4, "modes"], (np.int64(4), " modes "), (4.0, "MODES")):
        assert same(right, mark)
    for wrong in ((4, "mode"), (5, "modes"), ("modes", 4), 4, None, (4, "modes", None)):
        assert not same(wrong, mark)
    assert same(None, digest(None))
    assert same(np.array([1, 2]), digest([1, 2]))
