"""One result beside the other twin's."""

import numpy as np
import pytest

from labkit import beside, record, rungs, session

TITLES = ("PyTorch", "TensorFlow")


def lines(first, second, name="the_loss"):
    return beside.lines(name, first, second, TITLES)


def test_both_are_printed_under_each_other():
    assert lines(2.5, 2.5)[:2] == [
        "the loss, PyTorch:    2.5000000000",
        "the loss, TensorFlow: 2.5000000000",
    ]


@pytest.mark.parametrize(
    ("first", "second", "said"),
    [
        (1.23456789012345, 1.23456789012399, "all 10 decimals agree"),
        (1.2345, 1.2346, "the first 3 of 10 decimals agree"),
        (1.2, 2.2, "not even the digits before the point agree"),
        (-0.5, 0.5, "not even the digits before the point agree"),
        ([1.0, 2.0], [1.0, 2.001], "the first 2 of 10 decimals of all 2 agree"),
        ([1.0, 2.0], [1.0], "2 and 1 numbers: not the same run"),
        (19466, 19466, "the same in both"),
        (19466, 19467, "not the same"),
        ("no", "no", "the same in both"),
        ("no", 3.0, "not the same"),
    ],
)
def test_how_far_they_agree(first, second, said):
    assert lines(first, second)[2] == said
    assert lines(second, first)[2].split()[-1] == said.split()[-1]


def test_lists_show_their_ends_and_what_is_unknown_is_said():
    shown = lines([1.0, 2.0, 3.0], None)
    assert shown == [
        "the loss, PyTorch:    1.0000000000 … 3.0000000000  (3)",
        "the loss, TensorFlow: not known yet",
    ]


def lab(framework, tmp_path):
    return session.Session("first", framework, "cpu", 1, 0, tmp_path)


def test_a_lab_shows_the_others_result_and_notes_its_own(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("LABKIT_EVIDENCE", str(tmp_path / "course"))
    monkeypatch.setenv("LABKIT_RECORDS", str(tmp_path / "course"))
    record.begin("first", "tensorflow")
    lab("tensorflow", tmp_path).compare(loss=np.float64(2.5), count=3)
    monkeypatch.setenv("LABKIT_RECORDS", str(tmp_path / "mine"))
    record.begin("first", "pytorch")
    own = lab("pytorch", tmp_path)
    capsys.readouterr()
    own.compare(loss=2.75)
    own.compare(count=3)
    assert capsys.readouterr().out == (
        "loss, PyTorch:    2.7500000000\nloss, TensorFlow: 2.5000000000\n"
        "the first 0 of 10 decimals agree\n"
        "count, PyTorch:    3\ncount, TensorFlow: 3\nthe same in both\n"
    )
    noted = record.read(tmp_path / "mine" / "cpu" / "first.pytorch.json")
    assert noted["exact"]["compared"] == {"loss": 2.75, "count": 3}


def test_what_differs_by_nature_is_shown_and_is_no_rung(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("LABKIT_RECORDS", str(tmp_path))
    monkeypatch.setenv("LABKIT_EVIDENCE", str(tmp_path))
    for framework, count in (("tensorflow", 12), ("pytorch", 2)):
        record.begin("first", framework)
        lab(framework, tmp_path).contrast(graphs=count)
    assert capsys.readouterr().out.endswith(
        "graphs, PyTorch:    2\ngraphs, TensorFlow: 12\nnot the same\n"
    )
    noted = record.read(tmp_path / "cpu" / "first.pytorch.json")["exact"]
    assert noted == {"contrasted": {"graphs": 2}}


@pytest.mark.parametrize(
    ("theirs", "holds", "said"),
    [
        ({"loss": 2.5 + 1e-14, "name": "a", "none": 0}, True, "3 results"),
        ({"loss": 2.5 + 1e-6, "name": "a", "none": 0}, False, "first at loss, 1 number"),
        ({"loss": 2.5, "name": "b", "none": 0}, False, "name: 'a' and 'b'"),
        ({"loss": 2.5, "name": "a", "none": 1}, False, "first at none, 1 number"),
        ({"loss": 2.5}, False, "loss, name, none; and loss"),
        ({"loss": [2.5, 1], "name": "a", "none": 0}, False, "first at loss, shapes () and (2,)"),
    ],
)
def test_what_is_shown_of_both_is_a_rung(theirs, holds, said):
    ours = {"loss": 2.5, "name": "a", "none": 0}
    assert rungs._COMPARED.test({"compared": ours}, {"compared": theirs})[::2] == (holds, said)
