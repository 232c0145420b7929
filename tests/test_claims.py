"""Claims, rules and the verdicts that records give."""

import pytest
from conftest import ROOT

from labkit import record
from labkit.measure import Measurement
from labkit.press import claims
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
    return claims.judge(claim, evidence)


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
        ("      number: a / b\n", "", "has not the known form"),
        ("    rule:", "    rul:", "unknown 'rul'; did you mean 'rule'"),
        ("      shown:", "      show:", "unknown 'show'; did you mean 'shown'"),
        ("lab.pytorch.exact", "lab.pytroch.exact", "is no chapter.framework.exact.name"),
        ("{a} and {b}", "{a} and {c}", "cannot be filled in"),
        ("a / b", "a[9]", "cannot be computed"),
        ('"false": number < 1', '"false": number > 0', "holds and false at once"),
    ],
)
def test_bad_rules_are_named(evidence, old, new, words):
    put(9, 3)
    with pytest.raises(SourceError, match=words):
        judge(evidence, CLAIM.replace(old, new))


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
    evidence = ROOT / "evidence"
    judged = {c.id: claims.judge(c, evidence) for c in claims.load(evidence / "claims.yml")}
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
    evidence = ROOT / "evidence"
    judged = {c.id: (c, claims.judge(c, evidence)) for c in claims.load(evidence / "claims.yml")}
    ruled = {name for name, (claim, _) in judged.items() if claim.rule}
    assert ruled == SETTLED.keys() | TIMED.keys()
    assert {n: judged[n][1].name for n in SETTLED} == SETTLED
    for name, allowed in TIMED.items():
        assert judged[name][1].name in allowed, name


def test_only_a_clock_leaves_a_verdict_open():
    """The table of timed verdicts holds those whose rules read timings, and no other."""
    evidence = ROOT / "evidence"
    for claim in filter(lambda c: c.rule, claims.load(evidence / "claims.yml")):
        timed = any(".measured." in field for field in claim.rule.reads.values())
        assert timed == (claim.id in TIMED), claim.id


def test_where_a_claim_is_settled_its_chapter_reads_its_records():
    """A rule reads the records of the chapter that it names."""
    evidence = ROOT / "evidence"
    for claim in filter(lambda c: c.rule, claims.load(evidence / "claims.yml")):
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
    (claim,) = [c for c in claims.load(ROOT / "evidence" / "claims.yml") if c.id == claim_id]
    captured = dict(zip(CAPTURES[claim_id], times, strict=True))
    for field in claim.rule.reads.values():
        _, framework, _, name = field.split(".")
        took = Measurement(captured.get(name, 1.0), 0.1, 5, "s")
        record.write("graphs", framework, measured={name: took})
    assert claims.judge(claim, evidence).name == verdict
