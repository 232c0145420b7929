"""Records that a hand, another labkit or a full disk has broken: one message each, no proof."""

import copy
import json

import pytest
from conftest import ROOT
from hypothesis import given, settings
from hypothesis import strategies as st

from labkit import record
from labkit.press import claims
from labkit.press.records import Records
from labkit.press.source import SourceError

GOOD = json.loads((ROOT / "evidence" / "cpu" / "same-experiment.pytorch.json").read_text())
CLAIMS = [
    claim
    for claim in claims.load(ROOT / "evidence" / "claims.yml")
    if claim.chapter == "same-experiment"
]
NAME = "same-experiment.pytorch.json"


def read(folder, text):
    path = folder / NAME
    path.write_text(text, errors="surrogateescape")
    return record.read(path)


def places(value, at=()):
    """Every place in a record, of lists the first alone."""
    yield at
    if isinstance(value, dict):
        for key in value:
            yield from places(value[key], (*at, key))
    elif isinstance(value, list) and value:
        yield from places(value[0], (*at, 0))


def put(value, at, new):
    """Return a record with one place changed."""
    if not at:
        return new
    changed = copy.copy(value)
    changed[at[0]] = put(value[at[0]], at[1:], new)
    return changed


@pytest.mark.parametrize(
    "text",
    [*("", "[", "[" * 100_000, "null", "[]", "3", '"x"', "{}", "\udce9"), json.dumps(GOOD)[:-200]],
)
def test_what_is_no_record_is_one_message(tmp_path, text):
    with pytest.raises(record.RecordError, match=r"run the lab again, which replaces it"):
        read(tmp_path, text)


@pytest.mark.parametrize(
    "value", [float("nan"), float("inf"), None, 10**400, [None], [[float("nan")]], {"a": None}]
)
@pytest.mark.parametrize("at", [("losses",), ("losses", 7), ("ladder", "outputs"), ("new",)])
def test_what_no_lab_records_is_not_read(tmp_path, value, at):
    broken = {**GOOD, "exact": put({**GOOD["exact"], "new": 1}, at, value)}
    with pytest.raises(record.RecordError, match=rf"{NAME}: exact\.{at[0]}.*run the lab again"):
        read(tmp_path, json.dumps(broken))


@pytest.mark.parametrize("field", ["median", "spread", "repeats"])
@pytest.mark.parametrize("value", ["1", None, float("nan"), [1]])
def test_a_measurement_is_made_of_numbers(tmp_path, field, value):
    timing = {"median": 1.0, "spread": 0.1, "repeats": 5, "unit": "s", field: value}
    with pytest.raises(record.RecordError, match=r"measured\.took"):
        read(tmp_path, json.dumps({**GOOD, "measured": {"took": timing}}))


def test_the_courses_records_are_read():
    for path in (ROOT / "evidence").rglob("*.*.json"):
        if path.name.endswith(".tries.json"):
            continue
        assert record.read(path)["chapter"] == path.name.partition(".")[0]


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=6,
)


@settings(deadline=None, max_examples=200)
@given(st.sampled_from(list(places(GOOD))), ANYTHING | st.just(10**400))
def test_verdicts_on_a_broken_record_are_verdicts_or_one_message(tmp_path_factory, at, value):
    evidence = tmp_path_factory.getbasetemp() / "broken"
    (evidence / "cpu").mkdir(parents=True, exist_ok=True)
    other = NAME.replace("pytorch", "tensorflow")
    (evidence / "cpu" / other).write_bytes((ROOT / "evidence" / "cpu" / other).read_bytes())
    (evidence / "cpu" / NAME).write_text(json.dumps(put(GOOD, at, value)))
    judged = []
    for claim in CLAIMS:
        try:
            judged.append(claims.judge(claim, Records(evidence)).name)
        except (SourceError, record.RecordError) as error:
            judged.append(str(error))
    assert judged
