"""The ten planted bugs of the chapter `debugging`: each shows, each mend removes it, in both.

A bug that stops showing on a newer release, or a tool that no longer finds it, fails here by name.
"""

import functools
import math
import re

import pytest
from conftest import ROOT
from says import Twins

from labkit.press import chapter

twins = functools.cache(lambda: Twins(ROOT, "debugging"))

# Of each bug: what complains by itself, and the tools that find it; "N" names the line.
FOUND = {
    "pytorch": {
        "shapes": "by itself, forward hooks",
        "broadcasting": "outgrown sizes N",
        "log_of_zero": "print the loss, stepper for NaN N, anomaly mode N, first NaN N, "
        "DebugMode N, statistics",
        "overflow": "print the loss, stepper for NaN N, first NaN N, DebugMode N, statistics",
        "exploding": "print the loss, statistics",
        "no_gradient": "statistics",
        "never_cleared": "print the loss, statistics",
        "frozen": "strict export",
        "graph_break": "by itself N, dynamo.explain N",
        "leak": "live graphs",
    },
    "tensorflow": {
        "shapes": "by itself",
        "broadcasting": "outgrown sizes N",
        "log_of_zero": "print the loss, stepper, eagerly N, check_numerics N, Debugger V2 N, "
        "statistics",
        "overflow": "print the loss, stepper, eagerly N, check_numerics N, Debugger V2 N, "
        "statistics",
        "exploding": "print the loss, statistics",
        "no_gradient": "by itself, statistics",
        "never_cleared": "print the loss, statistics",
        "frozen": "graph and Python",
        "graph_break": "by itself N, graph and Python",
        "leak": "by itself, traces",
    },
}

# These cost time or memory; their losses are those of the mended function.
COSTLY = {"pytorch": {"graph_break", "leak"}, "tensorflow": {"leak"}}


def exact(framework):
    return twins().records[framework]["exact"]


@pytest.mark.parametrize("framework", chapter.FRAMEWORKS)
@pytest.mark.parametrize("name", FOUND["pytorch"])
def test_a_bug_is_found_by_those_tools_that_found_it(name, framework):
    found = exact(framework)["bugs"][name]["found"]
    told = [
        tool + (" N" if verdict == "named" else "")
        for tool, verdict in found.items()
        if verdict in ("named", "alarm")
    ]
    assert ", ".join(told) == FOUND[framework][name]


@pytest.mark.parametrize("framework", chapter.FRAMEWORKS)
def test_every_bug_shows_and_every_mend_learns(framework):
    printed = twins().printed("sick-and-mended", framework)
    rows = dict(re.findall(r"^(\w+) +(.+)$", printed, re.M))
    assert FOUND[framework].keys() <= rows.keys()
    same = set()
    for name in FOUND[framework]:
        words = rows[name].split()
        mended = [float(word) for word in words[-3:]]
        assert all(map(math.isfinite, mended)), name
        if (name, framework) != ("leak", "tensorflow"):  # it traces, and trains nothing
            assert mended[-1] < mended[0], f"{name}: the mended function does not learn"
        if words[:-3] == words[-3:]:
            same.add(name)
    assert same == COSTLY[framework], "which bugs show in no loss"


@pytest.mark.parametrize("framework", chapter.FRAMEWORKS)
def test_the_counts_are_those_of_the_table(framework):
    bugs, counts = exact(framework)["bugs"], exact(framework)["counts"]
    assert counts["found"] == sum(
        any(v in ("named", "alarm") for v in bug["found"].values()) for bug in bugs.values()
    )
    assert counts["found, line named"] == sum(
        "named" in bug["found"].values() for bug in bugs.values()
    )
    assert counts["complain"] == sum(bool(bug["how"]) for bug in bugs.values())
