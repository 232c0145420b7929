"""The study of the chapter `silent-bugs`: what its records say of every fault and every detector.

A fault that stops showing on a newer release, a detector that cries wolf where it did not, or a
program that begins to warn, fails here by its name.
"""

import functools
import re

import pytest
from conftest import ROOT
from says import Twins

from labkit.press import chapter

DETECTORS = ("curve", "accuracy", "gradients", "invariants", "twin")
twins = functools.cache(lambda: Twins(ROOT, "silent-bugs"))

# The first letters of the detectors that find a fault, and the rung that breaks first.
FAULTS = {
    "labels one place off": ("c·gi·", ""),
    "scaled twice": ("···i·", ""),
    "scaled in place": ("·agi·", ""),
    "test not scaled": ("·a·i·", ""),
    "test statistics": ("···i·", ""),
    "test in training": ("···i·", ""),
    "same order": ("c·gi·", ""),
    "drawn with replacement": ("···i·", ""),
    "tested on training": ("···i·", ""),
    "never in training mode": ("··git", "losses"),
    "training mode left on": ("···it", "trained"),
    "norm momentum inverted": ("··g·t", "modes"),
    "missing relu": ("··g·t", "outputs"),
    "relu on scores": ("cagit", "outputs"),
    "shared layer": ("··git", "parameters"),
    "dying units": ("c·g·t", "losses"),
    "detached": ("··git", "gradients"),
    "redundant softmax": ("cagit", "outputs"),
    "forgotten logarithm": ("cagit", "gradients"),
    "softmax over batch": ("cagit", "gradients"),
    "averaged twice": ("cagit", "gradients"),
    "frozen layer": ("c·git", "parameters"),
    "optimizer of a copy": ("cagit", "losses"),
    "gradients never cleared": ("cagit", "losses"),
    "decay far too large": ("cagit", "losses"),
    "time is batch": ("cagit", "sensitivity"),
    "wrong end": ("cagit", "outputs"),
    "state carried on": ("c··it", "losses"),
    "clipped too late": ("··git", "losses"),
    "scheduled each step": ("cag·t", "losses"),
    "columns in the test": ("·a·i·", ""),
    "few pictures": ("c·gi·", ""),
    "class nearly missing": ("c·gi·", ""),
    "classes overlap": ("···i·", ""),
    "mean pooling": ("c·g·t", "outputs"),
    "missing norm": ("··git", "parameters"),
    "missing bias": ("··git", "parameters"),
    "small filters": ("··g·t", "parameters"),
    "norm after relu": ("c·g·t", "outputs"),
    "optimizer made anew": ("··g·t", "losses"),
    "rounded to float32": ("····t", "losses"),
}
# The same number means another decay: PyTorch adds it to the gradient, Keras shrinks the weights.
ODD = {"decay far too large": {"tensorflow": "c·git"}}

# The false alarms of each healthy variant: the program that mends every fault, but for its seed,
# rate or width.
HEALTHY = {
    "seed 31": "··g··",
    "seed 32": "c····",
    "seed 33": "··g··",
    "half the rate": "c·g··",
    "twice the rate": "c·g··",
    "width 12": "·····",
    "width 24": "c····",
    "reader, seed 31": "···i·",
    "reader, half the rate": "cagi·",
    "reader, width 32": "c·g··",
}


def exact(framework):
    return twins().records[framework]["exact"]


def letters(found):
    return "".join(d[0] if found[d] else "·" for d in DETECTORS)


def test_at_least_twenty_faults_and_the_same_in_both():
    ours, theirs = (exact(f)["faults"] for f in chapter.FRAMEWORKS)
    assert ours.keys() == theirs.keys() == FAULTS.keys()
    assert len(ours) >= 20
    for name, ours_of in ours.items():
        for field in ("branch", "source", "shared", "late"):
            assert ours_of[field] == theirs[name][field], f"{name}: {field}"


@pytest.mark.parametrize("framework", chapter.FRAMEWORKS)
@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_is_found_by_those_detectors_that_found_it(name, framework):
    marks, rung = FAULTS[name]
    found = exact(framework)["found"][name]
    assert letters(found) == ODD.get(name, {}).get(framework, marks)
    assert found["twin"] == ([rung] if rung else [])


@pytest.mark.parametrize("framework", chapter.FRAMEWORKS)
@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_is_silent(name, framework):
    assert exact(framework)["faults"][name]["said"] == 0


@pytest.mark.parametrize("framework", chapter.FRAMEWORKS)
def test_ten_healthy_variants_raise_no_other_alarms_than_known(framework):
    found = exact(framework)["found"]
    variants = {name: row for name, row in found.items() if name not in FAULTS}
    assert {name: letters(row) for name, row in variants.items()} == HEALTHY
    assert len(variants) == 10
    assert not any(row["twin"] for row in variants.values())


@pytest.mark.parametrize("framework", chapter.FRAMEWORKS)
def test_the_twin_is_blind_to_what_both_share_and_to_nothing_else(framework):
    for name, fault in exact(framework)["faults"].items():
        assert bool(exact(framework)["found"][name]["twin"]) != bool(fault["shared"]), name


@pytest.mark.parametrize("framework", chapter.FRAMEWORKS)
def test_the_rates_that_are_printed_are_those_of_the_table(framework):
    found, faults = (exact(framework)[field] for field in ("found", "faults"))
    for detector in DETECTORS:
        for step, late in (("rates", 0), ("late", 1)):
            hits = [bool(found[n][detector]) for n, f in faults.items() if f["late"] == late]
            line = re.search(
                rf"^{detector} +finds +(\d+) of (\d+)", twins().printed(step, framework), re.M
            )
            assert [int(n) for n in line.groups()] == [sum(hits), len(hits)]
        line = re.search(rf"^{detector} +(\d+) false", twins().printed("variants", framework), re.M)
        assert int(line[1]) == sum(bool(found[n][detector]) for n in HEALTHY)


def test_a_source_is_in_the_references_or_an_issue_or_ours():
    known = set(re.findall(r"^@\w+\{(.+),$", (ROOT / "references.bib").read_text(), re.M))
    for name, fault in exact("pytorch")["faults"].items():
        source = fault["source"]
        fits = source == "ours" or source in known or re.fullmatch(r"[\w.-]+/[\w.-]+#\d+", source)
        assert fits, f"{name}: {source}"


@pytest.mark.parametrize("framework", chapter.FRAMEWORKS)
def test_a_record_stays_small(framework):
    file = ROOT / "evidence" / "cpu" / f"silent-bugs.{framework}.json"
    assert file.stat().st_size < 250_000


def test_the_page_of_symptoms_shows_what_was_measured():
    page = (ROOT / "chapters" / "symptoms.md").read_text().partition("## From a mistake")[2]
    shown = [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in page.splitlines()
        if line.startswith("| ") and not line.startswith("| Mistake")
    ]
    found = exact("pytorch")["found"]
    assert shown == [
        [
            name,
            *("●" if found[name][d] else "" for d in DETECTORS[:3]),
            *(next(iter(found[name][d]), "") for d in DETECTORS[3:]),
        ]
        for name in exact("pytorch")["faults"]
    ]


def test_the_two_frameworks_differ_in_the_one_dot_that_the_page_names():
    ours, theirs = (exact(f)["found"] for f in chapter.FRAMEWORKS)
    apart = [
        (name, d)
        for name in FAULTS
        for d in DETECTORS
        if bool(ours[name][d]) != bool(theirs[name][d])
    ]
    assert apart == [("decay far too large", "accuracy")]
