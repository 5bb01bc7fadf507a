"""Verdicts on recorded releases of different quality: one that got worse is never promoted.

Of the 32 requests of AgentDojo banking, on which 17 releases were recorded, 4,000 conversations are drawn with a fixed
seed. Each release is held to what the corpus expects of a request, through the code of `compare` and the signal
`expected_failed`; and once more to the corpus' own label, which looks at the state a task ends in and knows other
differences (`test_expected_corpus`). A gap is one of the score that the gate sees; where the gate sees expectations and
the gap is one of labels, `test_verdicts_against_labels` says what comes of it. Resampling tests the gate, not the
models: 4,000 draws of 32 requests know no more of a model than the 32 do, and where two releases are within a few
points of each other the scores themselves are chance.
"""

from __future__ import annotations

import json
from itertools import permutations

import numpy as np
import pytest

from consumers.compare import compare_lane, read_recording
from consumers.compare_command import DEFAULT_KEY
from consumers.files import read_items
from consumers.journal import Journal
from consumers.toolsets import load_toolsets
from plain_script import records
from processes import CORPUS
from replay.bundle_infer import contracts_of
from replay.gate.signals import SIGNALS
from replay.summary import Summary
from resampled import CLEAR, DRAWN, DRAWS, MARGIN, Resampled, one_by_one

BANKING = CORPUS / "agentdojo-banking.jsonl.gz"
MISSES = SIGNALS["expected_failed"]


@pytest.fixture(scope="module")
def releases(tmp_path_factory):
    """The recording of each release, by its name."""
    place, by_bundle = tmp_path_factory.mktemp("banking"), {}
    for record in records(BANKING):
        by_bundle.setdefault(record["bundle"]["id"], []).append(json.dumps(record) + "\n")
    assert len(by_bundle) == 17
    found = {}
    for number, (bundle, lines) in enumerate(sorted(by_bundle.items())):
        path = place / f"{number}.jsonl"
        path.write_text("".join(lines))
        found[bundle] = read_recording("banking", read_items(str(path)), key=tuple(DEFAULT_KEY.split(".")), where=())
    return found


@pytest.fixture(scope="module")
def compared(releases, tmp_path_factory):
    """Each release as candidate against the one before it, round in a ring: comparisons by candidate."""
    toolsets = load_toolsets(None, beside=str(BANKING))
    contracts = contracts_of([it.trace for one in releases.values() for each in one.by_key.values() for it in each], toolsets)
    found, names = {}, list(releases)
    for number, name in enumerate(names):
        held = found[name] = []
        with Journal.open(tmp_path_factory.mktemp("out"), identity={}) as journal:
            compare_lane(
                releases[names[number - 1]], releases[name], contracts=contracts, lane="candidate", run_id="run",
                journal=journal, observe=held.append, summary=Summary(), laned=False,
            )  # fmt: skip
    return found


def by_expectation(compared, releases):
    return {name: {it.cohort["pair_key"]: MISSES.of_replay(it) for it in found} for name, found in compared.items()}


def by_label(compared, releases):
    return {
        name: {key: float(not it.trace.labels["task_success"]) for key, (it,) in recording.by_key.items()}
        for name, recording in releases.items()
    }


SCORED_BY = {"expectation": by_expectation, "label": by_label}
#: Ordered pairs of releases of which the candidate is clearly worse.
WORSE = {"expectation": 7, "label": 63}


@pytest.fixture(scope="module", params=SCORED_BY)
def by_what(request):
    return request.param


@pytest.fixture(scope="module")
def failures(compared, releases, by_what):
    """By release: which requests it fails, float64[32], in one order of requests."""
    found = SCORED_BY[by_what](compared, releases)
    assert len({tuple(sorted(failed)) for failed in found.values()}) == 1
    return {name: np.array([failed[key] for key in sorted(failed)]) for name, failed in found.items()}


@pytest.fixture(scope="module")
def judge():
    return Resampled()


def test_a_release_misses_the_same_requests_as_production_and_as_candidate(compared, releases):
    """The predicate looks at one side: whom it is compared with makes no difference."""
    names, failed = list(releases), by_expectation(compared, releases)
    for number, name in enumerate(names):
        found = compared[names[(number + 1) % len(names)]]
        assert {it.cohort["pair_key"]: MISSES.of_production(it) for it in found} == failed[name]


def test_the_columns_are_the_table_of_both_sides(compared):
    for it in (it for found in compared.values() for it in found):
        before, after = MISSES.of_production(it), MISSES.of_replay(it)
        columns = [it.scores[f"expected.{name}"].value for name in ("regressed", "improved")]
        assert columns == [float(before < after), float(after < before)]
        assert ("outcome_regressed" in {flag.rule for flag in it.flags}) is (before < after)


def test_a_release_that_is_clearly_worse_is_never_promoted_and_an_identical_one_is(failures, by_what, judge):
    worse = [(one, other) for one, other in permutations(failures.values(), 2) if other.mean() - one.mean() >= CLEAR]
    assert len(worse) == WORSE[by_what]
    assert {judge.decision(*pair) for pair in worse} == {"roll_back"}
    assert {judge.decision(release, release) for release in failures.values()} == {"promote"}


def test_no_pair_is_decided_against_its_own_sample(failures, judge):
    for baseline, candidate in permutations(failures.values(), 2):
        drawn, decision = (candidate - baseline)[DRAWS].mean(), judge.decision(baseline, candidate)
        assert not (decision == "promote" and drawn >= MARGIN)
        assert not (decision == "roll_back" and drawn <= MARGIN)


def test_control_a_gate_that_tolerates_nearly_everything_promotes_what_is_worse(failures):
    lax = Resampled(margin=0.99)
    pairs = [(one, other) for one, other in permutations(failures.values(), 2) if other.mean() - one.mean() >= CLEAR]
    assert {lax.decision(one, other) for one, other in pairs} == {"promote"}


@pytest.mark.parametrize("candidate", ["worst", "middling", "same"])
def test_votes_that_are_added_up_come_to_the_verdict_of_all_conversations_one_by_one(failures, judge, candidate):
    ordered = sorted(failures.values(), key=lambda failed: float(failed.mean()))
    pair = ordered[0], {"worst": ordered[-1], "middling": ordered[4], "same": ordered[0]}[candidate]
    summed, whole = judge.verdict(*pair), one_by_one(*pair, judge.gate)
    assert summed.conversations == whole.conversations == DRAWN
    for name in ("decision", "reasons", "log_e_rollback", "placebo", "calibrated"):
        assert getattr(summed, name) == getattr(whole, name)
    assert [figures(it) for it in summed.metrics] == [figures(it) for it in whole.metrics]


def figures(metric):
    """All but the names of examples, of which the sum has one per kind."""
    return {name: getattr(metric, name) for name in metric.__struct_fields__ if name != "exemplars"}
