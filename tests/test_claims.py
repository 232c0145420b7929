"""Claims, rules and the verdicts that records give."""

import pytest
import yaml
from conftest import ROOT
from hypothesis import given, settings
from hypothesis import strategies as st

from labkit import record
from labkit.measure import Measurement
from labkit.press import claims
from labkit.press.course import Course
from labkit.press.records import Records
from labkit.press.source import SourceError

HEAD = "sources:\n  x: {title: X, date: 2024, url: https://example.org}\nclaims:\n"
CLAIM = """\
  - id: faster
    by: x
    topic: speed
    chapter: lab
    says: "A is faster."
    settle: "both, timed"
    rule:
      reads: {a: lab.pytorch.exact.steps, b: lab.tensorflow.exact.steps}
      number: a / b
      shown: "{number:.1f} times as many steps, {a} and {b}"
      when:
        holds: number > 2
        "false": number < 1
        depends: number > 1.5 and number <= 2
      because: on the weather
"""


@pytest.fixture
def evidence(tmp_path, monkeypatch):
    monkeypatch.setenv("LABKIT_RECORDS", str(tmp_path))
    return tmp_path


def judge(evidence, text=CLAIM):
    path = evidence / "claims.yml"
    path.write_text(HEAD + text)
    (claim,) = claims.load(path)
    return claims.judge(claim, Records(evidence))


def put(a, b):
    record.write("lab", "pytorch", exact={"steps": a})
    record.write("lab", "tensorflow", exact={"steps": b})


@pytest.mark.parametrize(
    ("a", "b", "name", "shown"),
    [
        (9, 3, "holds", "3.0 times as many steps, 9 and 3"),
        (2, 4, "false", "0.5 times as many steps, 2 and 4"),
        (7, 4, "depends", "1.8 times as many steps, 7 and 4 (on the weather)"),
        (5, 4, "undecided", "1.2 times as many steps, 5 and 4"),
    ],
)
def test_verdicts_are_computed(evidence, a, b, name, shown):
    put(a, b)
    assert judge(evidence) == claims.Verdict(name, shown)


def test_without_a_record_a_claim_is_open(evidence):
    assert judge(evidence) == claims.Verdict("open", "no record yet")
    record.write("lab", "pytorch", exact={"steps": 3})
    assert judge(evidence).name == "open"
    assert judge(evidence, CLAIM + "    needs: hardware\n").name == "open: needs hardware"


def test_records_win_over_missing_hardware(evidence):
    put(9, 3)
    assert judge(evidence, CLAIM + "    needs: hardware\n").name == "holds"


def test_a_market_fact_is_reported(evidence):
    market = CLAIM[: CLAIM.index("    rule:")].replace('"both, timed"', "market")
    assert judge(evidence, market) == claims.Verdict("reported", "X, 2024")


def test_what_an_older_version_did(evidence):
    put(9, 3)
    text = CLAIM.replace("holds: number > 2", "held once: number > 2").replace("weather", "2.0")
    assert judge(evidence, text).name == "held once"


def test_a_field_that_no_record_has_is_an_error(evidence):
    put(9, 3)
    with pytest.raises(claims.ClaimError, match=r"no field exact\.speed, which claim 'faster'"):
        judge(evidence, CLAIM.replace("pytorch.exact.steps", "pytorch.exact.speed"))


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("number: a / b", "number: a / c", "cannot be computed"),
        ("number: a / b", "number: open('x')", "cannot be computed"),
        ("number > 2", "number >", "cannot be computed"),
        ("holds:", "hodls:", "did you mean 'holds'"),
        ("      because: on the weather\n", "", "'depends' needs `because`"),
        (", b: lab.tensorflow.exact.steps", "", "it must read two fields"),
        ("lab.tensorflow.", "lab.pytorch.", "from both twins"),
        ("      number: a / b\n", "", "claim 'faster'.rule: `number` is missing"),
        ("    rule:", "    rul:", "unknown 'rul'; did you mean 'rule'"),
        ("      shown:", "      show:", "unknown 'show'; did you mean 'shown'"),
        ("lab.pytorch.exact", "lab.pytroch.exact", "is no chapter.framework.exact.name"),
        ("{a} and {b}", "{a} and {c}", "cannot be filled in"),
        ("a / b", "a[9]", "cannot be computed"),
        ("a / b", "-" * 9000 + "1", "cannot be computed"),
        ("a / b", "largest_gap('x', a)", "cannot be computed"),
        ("{a} and", "{a.b} and", "cannot be filled in"),
        ('"false": number < 1', '"false": number > 0', "holds and false at once"),
    ],
)
def test_bad_rules_are_named(evidence, old, new, words):
    put(9, 3)
    with pytest.raises(SourceError, match=words):
        judge(evidence, CLAIM.replace(old, new))


@pytest.mark.parametrize(
    ("old", "new", "line", "words"),
    [
        ("holds: number > 2", "holds: true", 15, "`holds` is True; it must be a text"),
        ("holds: number > 2", "holds: [a]", 15, "`holds` is ['a']; it must be a text"),
        ('"false":', "false:", 16, "key False is no word; put it in quotes"),
        ('"false":', "holds:", 16, "key 'holds' stands twice, first in line 15"),
        ("      number: a / b\n", "", 10, "claim 'faster'.rule: `number` is missing"),
        ("      number: a / b\n", "      number: 1\n", 12, "`number` is 1; it must be a text"),
        ("reads: {a:", "reads: {a: {b: c}, d:", 11, "it must be a text"),
        ("a: lab.pytorch", "a: ../../x/lab.pytorch", 11, "no chapter.framework.exact.name"),
        ("a: lab.pytorch", "a: a/b/lab.pytorch", 11, "no chapter.framework.exact.name"),
        ("id: faster", "id: <b>", 4, "`id` is '<b>'; it must be made of lower-case letters"),
        ("id: faster", "id: [x]", 4, "`id` is ['x']; it must be a text"),
        ("topic: speed", 'topic: a" onclick="x', 6, "it must be made of lower-case letters"),
        ("chapter: lab", "chapter: ../lab", 7, "it must be made of lower-case letters"),
        ('says: "A is faster."', "says: 2026-13-45", 8, "month must be in 1..12"),
        ("by: x", "by: [x]", 5, "`by` is ['x']; it must be a text"),
        ("by: x", "by: y", 5, "no source 'y'"),
        ('"A is faster."', '"caf\udce9"', 8, "is not UTF-8"),
        ('"A is faster."', "*other", 8, "an alias (*)"),
    ],
)
def test_a_bad_claim_is_named_with_its_line(evidence, old, new, line, words):
    assert old in CLAIM
    path = evidence / "claims.yml"
    path.write_text(HEAD + CLAIM.replace(old, new), errors="surrogateescape")
    with pytest.raises(SourceError) as caught:
        claims.load(path)
    assert caught.value.line == line
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("{title: X, url: 'javascript:alert(1)'}", "it must be an address, https://"),
        ("{title: X, url: 'https://x\">'}", "it must be an address, https://"),
        ("{title: [X]}", "`title` is ['X']; it must be a text"),
        ("{title: X, date: [1]}", "`date` must be a date"),
        ("{titel: X}", "unknown 'titel'; did you mean 'title'"),
        ("X", "sources.x: must be a map"),
    ],
)
def test_a_bad_source_is_named_with_its_line(evidence, source, words):
    path = evidence / "claims.yml"
    path.write_text(f"sources:\n  x: {source}\nclaims:\n{CLAIM}")
    with pytest.raises(SourceError) as caught:
        claims.load(path)
    assert caught.value.line == 2
    assert words in str(caught.value)


@pytest.mark.parametrize("text", ["", "x", "- x", "claims: x\nsources: {}", "claims: [x]"])
def test_a_file_of_another_form_is_an_error(evidence, text):
    (evidence / "claims.yml").write_text(text)
    with pytest.raises(SourceError):
        claims.load(evidence / "claims.yml")


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.dates(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text() | st.integers(), inner),
    max_leaves=6,
)


@settings(deadline=None, max_examples=200)
@given(st.data(), ANYTHING)
def test_whatever_claims_hold_is_read_or_is_an_error_with_its_line(tmp_path_factory, data, value):
    content = yaml.safe_load(HEAD + CLAIM)
    row = content["claims"][0]
    inside = [content, content["sources"], content["sources"]["x"], row, row["rule"]]
    inside += [row["rule"]["reads"], row["rule"]["when"]]
    part = data.draw(st.sampled_from(inside))
    part[data.draw(st.sampled_from(sorted(part)))] = value
    path = tmp_path_factory.getbasetemp() / "claims.yml"
    path.write_text(yaml.safe_dump(content, allow_unicode=True))
    found = []
    try:
        for claim in claims.load(path):
            claims.judge(claim, Records(path.parent))
    except SourceError as error:
        found.append(error)
    assert all(error.line for error in found)


def test_one_twin_needs_a_reason(evidence):
    put(9, 3)
    text = CLAIM.replace("lab.tensorflow.", "lab.pytorch.")
    reason = text.replace("      number:", "      one_twin: there is no other\n      number:")
    assert judge(evidence, reason).shown.startswith("1.0 times")


def test_a_spread_that_covers_the_bound_leaves_it_undecided(evidence):
    timed = CLAIM.replace("exact.steps", "measured.took").replace("a / b", "a['median']")
    timed = timed.replace("holds: number > 2", "holds: above(a, 2)").replace("{a} and {b}", "")
    for spread, name in ((0.1, "holds"), (2.0, "undecided")):
        for framework in ("pytorch", "tensorflow"):
            record.write("lab", framework, measured={"took": Measurement(2.5, spread, 5, "s")})
        assert judge(evidence, timed).name == name
    inside = timed.replace("number: a['median']", "number: above(a, 2)")
    assert judge(evidence, inside).name == "undecided"


@pytest.mark.parametrize(
    ("a", "b", "name"), [(1.0, 2.0, "holds"), (2.0, 1.0, "false"), (1.0, 1.3, "undecided")]
)
def test_faster_means_that_the_spreads_do_not_touch(evidence, a, b, name):
    timed = CLAIM.replace("exact.steps", "measured.took").replace("a / b", "a['median']")
    timed = timed.replace("holds: number > 2", "holds: faster(a, b)").replace("{a} and {b}", "")
    timed = timed.replace('"false": number < 1', '"false": faster(b, a)')
    timed = timed.replace("        depends: number > 1.5 and number <= 2\n", "")
    for framework, median in (("pytorch", a), ("tensorflow", b)):
        record.write("lab", framework, measured={"took": Measurement(median, 0.4, 5, "s")})
    assert judge(evidence, timed).name == name


def test_another_machines_record(evidence):
    put(9, 3)
    record.write("lab", "pytorch", exact={"steps": 1})
    (evidence / "cuda").mkdir()
    (evidence / "cpu" / "lab.pytorch.json").rename(evidence / "cuda" / "lab.pytorch.json")
    text = CLAIM.replace("a: lab.pytorch", "a: cuda/lab.pytorch")
    assert judge(evidence, text).name == "false"


def test_the_courses_claims_can_all_be_judged():
    course = Course.read(ROOT)
    judged = {name: course.verdict(claim) for name, claim in course.claims.items()}
    assert {v.name for v in judged.values()} <= set(claims.VERDICTS)
    assert judged["results-differ"].name == "depends"
    assert judged["keras-no-torch"].name == "held once"
    assert judged["papers"].name == "reported"
    assert judged["gpu-lstm"].name == "open: needs hardware"


# What the records say today: a rule that is edited by mistake turns its verdict here. What a clock
# decides may come out in more than one way; each is named.
SETTLED = {
    "results-differ": "depends",
    "accuracy-equal": "depends",
    "class-vs-sequential": "false",
    "torch-pythonic": "false",
    "keras-no-torch": "held once",
    "training-loops": "false",
    "lightning-boilerplate": "false",
    "numpy-stack": "holds",
    "tf-static": "held once",
    "static-by-default": "depends",
    "torch-dynamic": "holds",
    "recompile": "depends",
    "rnn-lengths": "depends",
    "symbolic-loops": "false",
    "language-independent": "depends",
}
TIMED = {
    "graph-faster": {"holds", "depends", "undecided"},
    "xla-torchscript": {"depends", "undecided"},
}


def test_settled_verdicts_stay_settled():
    """All of them: a claim that gets a rule gets its line in one of the tables."""
    course = Course.read(ROOT)
    judged = {name: (claim, course.verdict(claim)) for name, claim in course.claims.items()}
    ruled = {name for name, (claim, _) in judged.items() if claim.rule}
    assert ruled == SETTLED.keys() | TIMED.keys()
    assert {n: judged[n][1].name for n in SETTLED} == SETTLED
    for name, allowed in TIMED.items():
        assert judged[name][1].name in allowed, name


def test_only_a_clock_leaves_a_verdict_open():
    """The table of timed verdicts holds those whose rules read timings, and no other."""
    for claim in filter(lambda c: c.rule, Course.read(ROOT).claims.values()):
        timed = any(".measured." in field for field in claim.rule.reads.values())
        assert timed == (claim.id in TIMED), claim.id


def test_where_a_claim_is_settled_its_chapter_reads_its_records():
    """A rule reads the records of the chapter that it names."""
    for claim in filter(lambda c: c.rule, Course.read(ROOT).claims.values()):
        read = {field.rpartition("/")[2].split(".")[0] for field in claim.rule.reads.values()}
        assert read == {claim.chapter}, claim.id


FASTER, SLOWER = 0.5, 2.0
CAPTURES = {
    "graph-faster": ["cnn_graph_32", "lstm_graph_32", "cnn_compiled_32", "loop_compiled_32"],
    "xla-torchscript": [
        *("cnn_xla_32", "cnn_xla_256", "lstm_xla_32", "lstm_xla_256", "cnn_torchscript_256"),
    ],
}


@pytest.mark.parametrize(
    ("claim_id", "times", "verdict"),
    [
        ("graph-faster", [FASTER, FASTER, FASTER, FASTER], "holds"),
        ("graph-faster", [FASTER, FASTER, SLOWER, FASTER], "depends"),
        ("graph-faster", [SLOWER, FASTER, SLOWER, FASTER], "false"),
        ("graph-faster", [1, 1, 1, 1], "undecided"),
        ("xla-torchscript", [FASTER, FASTER, FASTER, FASTER, FASTER], "holds"),
        ("xla-torchscript", [FASTER, SLOWER, FASTER, FASTER, FASTER], "depends"),
        ("xla-torchscript", [SLOWER, SLOWER, SLOWER, SLOWER, SLOWER], "false"),
        ("xla-torchscript", [1, 1, 1, 1, 1], "undecided"),
    ],
)
def test_timed_verdicts_follow_the_clock(evidence, claim_id, times, verdict):
    """Every other step takes one second; `times` are those of the captured and compiled ones."""
    claim = Course.read(ROOT).claims[claim_id]
    captured = dict(zip(CAPTURES[claim_id], times, strict=True))
    for field in claim.rule.reads.values():
        _, framework, _, name = field.split(".")
        took = Measurement(captured.get(name, 1.0), 0.1, 5, "s")
        record.write("graphs", framework, measured={name: took})
    assert claims.judge(claim, Records(evidence)).name == verdict
