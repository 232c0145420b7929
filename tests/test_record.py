import json
import os
import sys
from types import SimpleNamespace

import numpy as np
import pytest

from labkit import record
from labkit.measure import Measurement

pytestmark = pytest.mark.engine

TOOK = Measurement(0.5, 0.1, 5, "s")


def test_what_is_written_is_read(records):
    path = record.write(
        "x", "pytorch", exact={"losses": [0.1, 0.2], "n": 3, "m": np.eye(2)}, measured={"t": TOOK}
    )
    assert path == records / "cpu" / "x.pytorch.json"
    content = record.read(path)
    assert content["exact"] == {"losses": [0.1, 0.2], "n": 3, "m": [[1, 0], [0, 1]]}
    assert content["measured"]["t"] == {"median": 0.5, "spread": 0.1, "repeats": 5, "unit": "s"}
    assert content["machine"]["exact"]["versions"]["numpy"] == np.__version__
    assert '"losses": [0.1, 0.2]' in path.read_text()


def test_results_are_added(records):
    record.write("x", "pytorch", exact={"a": 1})
    path = record.write("x", "pytorch", exact={"b": 2.5})
    assert record.read(path)["exact"] == {"a": 1, "b": 2.5}


@pytest.mark.parametrize(
    ("exact", "reason"),
    [
        ({"loss": float("nan")}, "exact.loss holds nan"),
        ({"loss": [1.0, float("inf")]}, "exact.loss holds inf"),
        ({"net": object()}, "exact.net is a object"),
    ],
)
def test_only_finite_numbers_and_strings(exact, reason):
    with pytest.raises(record.RecordError, match=reason):
        record.write("x", "pytorch", exact=exact)


def test_a_measurement_needs_its_spread():
    with pytest.raises(record.RecordError, match=r"measured\.t must be"):
        record.write("x", "pytorch", measured={"t": 0.5})


@pytest.mark.parametrize("text", ["", "[]", '{"schema": 1}', "{broken"])
def test_a_broken_record_is_named(tmp_path, text):
    path = tmp_path / "x.json"
    path.write_text(text)
    with pytest.raises(record.RecordError, match=r"x\.json .*run the lab again"):
        record.read(path)


def test_same_forgives_what_a_proof_forgives():
    assert record.same({"a": [0.1, 2]}, {"a": [0.1 + 1e-12, 2]})
    assert not record.same({"a": [0.1, 2]}, {"a": [0.1 + 1e-10, 2]})
    # Relative to the largest number of the list, whatever the size of the others.
    assert record.same([5.0, 1e-13], [5.0, 3e-11])
    assert not record.same([5e-3, 1e-13], [5e-3, 3e-11])
    assert record.same([[5.0], [1e-13]], [[5.0], [3e-11]])
    assert not record.same([[5.0], [1e-13]], [[5.0, 3e-11]])
    assert record.same(1e-13, 1e-13)
    assert not record.same(1e-13, 2e-13)
    assert not record.same({"a": [2]}, {"a": [3]})
    assert not record.same({"a": 1}, {"b": 1})
    assert not record.same([1, 2], [1])
    assert not record.same(1, 1.0)


def test_dumps_is_json_whatever_a_string_holds():
    content = {"exact": {"a": 'he said "x"', "b": [1], "c": {"d": [[1, 2]]}}, "measured": {}}
    assert json.loads(record.dumps(content)) == content
    assert '"d": [[1, 2]]' in record.dumps(content)


def test_a_record_in_anothers_place_is_named(records):
    path = record.write("x", "pytorch", exact={"a": 1})
    other = path.with_name("x.tensorflow.json")
    other.write_text(path.read_text())
    with pytest.raises(record.RecordError, match=r"json is the record of x\.pytorch"):
        record.read(other)
    path.write_text(path.read_text().replace('"measured": {}', '"measured": {"t": 3}'))
    with pytest.raises(record.RecordError, match=r"measured\.t must give median"):
        record.read(path)


@pytest.mark.course
def test_the_courses_record_is_found(tmp_path, monkeypatch):
    monkeypatch.setenv("LABKIT_RECORDS", str(tmp_path / "evidence"))
    record.write("x", "pytorch", exact={"a": 1})
    monkeypatch.setenv("LABKIT_EVIDENCE", str(tmp_path / "evidence"))
    assert record.course("x", "pytorch")["exact"] == {"a": 1}
    assert record.course("x", "tensorflow") is None
    monkeypatch.delenv("LABKIT_EVIDENCE")  # in a clone
    assert record.course("first-network", "pytorch")["chapter"] == "first-network"


def test_an_installed_labkit_brings_the_courses_records(tmp_path, monkeypatch):
    monkeypatch.delenv("LABKIT_EVIDENCE", raising=False)
    installed = tmp_path / "lib" / "site-packages" / "labkit"
    monkeypatch.setattr(record, "__file__", str(installed / "record.py"))
    assert record.course("x", "pytorch") is None
    monkeypatch.setenv("LABKIT_RECORDS", str(installed / "evidence"))
    record.write("x", "pytorch", exact={"a": 1})
    assert record.course("x", "pytorch")["exact"] == {"a": 1}


def test_a_reader_with_a_gpu_is_judged_by_what_he_has_run(records):
    record.write("x", "pytorch", exact={"a": 1})
    assert record.find(records, "x", "pytorch") == records / "cpu" / "x.pytorch.json"
    later = records / "cuda" / "x.pytorch.json"
    later.parent.mkdir()
    later.write_text((records / "cpu" / "x.pytorch.json").read_text())
    os.utime(later, (2e9, 2e9))
    assert record.find(records, "x", "pytorch") == later
    assert record.find(records, "x", "tensorflow") == records / "cpu" / "x.tensorflow.json"
    # The course's records are the CPU's, whatever was written last.
    course = records.rename(records.with_name("evidence"))
    assert record.find(course, "x", "pytorch") == course / "cpu" / "x.pytorch.json"


def test_a_card_is_named_by_the_framework_that_is_at_work(monkeypatch):
    """A TensorFlow lab has no PyTorch to ask."""
    details = {"get_device_details": lambda card: {"device_name": f"Tesla {card}"}}
    config = SimpleNamespace(
        list_physical_devices=lambda kind: [kind], experimental=SimpleNamespace(**details)
    )
    monkeypatch.setitem(sys.modules, "tensorflow", SimpleNamespace(config=config))
    monkeypatch.delitem(sys.modules, "torch", raising=False)
    assert record.machine("cuda")["device"] == "Tesla GPU"
    cuda = SimpleNamespace(get_device_name=lambda: "H100")
    monkeypatch.setitem(sys.modules, "torch", SimpleNamespace(cuda=cuda))
    assert record.machine("cuda")["device"] == "H100"
