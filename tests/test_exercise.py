import pytest

from labkit.exercise import check

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


def test_another_error_is_named_with_its_line(capsys):
    def answer():
        return 1 / 0

    with check("Add"):
        answer()
    said = capsys.readouterr().out
    assert said.startswith("Add: not yet. ZeroDivisionError: division by zero in line ")
    assert "return 1 / 0" in said


def test_what_a_library_has_not_implemented_is_an_error(capsys):
    with check("Add"):
        raise NotImplementedError("no kernel for integers")
    assert capsys.readouterr().out == "Add: not yet. NotImplementedError: no kernel for integers\n"
