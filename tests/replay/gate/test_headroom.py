"""Where production is at its worst already, no candidate can be worse: a proof of safety made of that is none."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from judged import gate
from replay.gate.docket import Docket
from replay.gate.evidence import Evidence
from replay.gate.staged import staged
from replay.report.measures import metric_words
from replay.verdict import Verdict
from replay.verdict_text import verdict_lines

MISSES = {"id": "expected_failed", "kind": "paired_binary", "margin": 0.05}
COSTS = {"id": "cost_usd", "kind": "paired_mean_capped", "cap": 0.4, "rel_margin": 0.1}
SLOW = {"id": "slow", "kind": "paired_exceedance", "signal": "latency_ms", "threshold": 100, "margin": 0.05}
NEVER = {"id": "no_answer", "kind": "zero_tolerance", "max_rate": 0.01}


def docket_of(pairs: list[tuple[dict, dict]], *metrics: dict) -> Docket:
    """Production, which its lane repeats, and the candidate."""
    docket = Docket(gate(*metrics))
    for number, (baseline, candidate) in enumerate(pairs):
        docket.enter(staged(number, "candidate", candidate, production=baseline))
        docket.enter(staged(number, "baseline", baseline))
    docket.finish()
    return docket


def judged(missed: int, of: int, *, candidate: float | None = None, margin: float = 0.05) -> Verdict:
    """Production misses `missed` expectations; so does the candidate, or it fares everywhere as it is said to."""
    served = [{"expected_failed": float(number < missed)} for number in range(of)]
    pairs = [(it, it if candidate is None else {"expected_failed": candidate}) for it in served]
    return docket_of(pairs, MISSES | {"margin": margin}).verdict(now=None)


def test_an_expectation_that_nobody_can_meet_promotes_nobody():
    """Say its tool has another name by now: both sides miss it for ever, and never differ."""
    verdict = judged(500, 500)
    assert (verdict.decision, [it.code for it in verdict.reasons]) == ("hold", ["blind_metric"])
    assert verdict.reasons[0].metrics == ("expected_failed",)
    assert "at 0.0% of its worst left" in verdict.reasons[0].words


@pytest.mark.parametrize(("missed", "decision"), [(0, "promote"), (300, "promote"), (470, "promote"), (497, "hold"), (500, "hold")])
def test_as_much_must_be_left_as_so_many_pairs_can_tell_from_nothing(missed, decision):
    verdict = judged(missed, 500)
    assert verdict.decision == decision
    assert verdict.metrics[0].headroom == pytest.approx(1 - missed / 500)


def test_a_better_candidate_is_promoted_though_no_harm_could_have_shown():
    assert judged(500, 500, candidate=0.0).decision == "promote"


def test_who_tolerates_more_than_is_left_has_said_so():
    """Not blind: harm was seen, and is within the margin."""
    assert judged(300, 500, candidate=1.0, margin=0.9).decision == "promote"
    assert judged(300, 500, margin=0.9).decision == "promote"


def test_harm_that_shows_all_the_same_rolls_back():
    assert judged(400, 500, candidate=1.0).decision == "roll_back"


def test_little_evidence_is_little_evidence_and_not_blindness():
    assert [it.code for it in judged(5, 5).reasons] == ["underpowered"]


def test_a_metric_without_a_vote_stops_nobody():
    pairs = [({"expected_failed": 1.0, "escalation": 0.0},) * 2 for _ in range(500)]
    verdict = docket_of(pairs, MISSES | {"dry_run": True}, {"id": "escalation", "kind": "paired_binary", "margin": 0.05}).verdict(now=None)
    assert verdict.decision == "promote"
    assert [it.headroom for it in verdict.metrics] == [0.0, 1.0]


@pytest.mark.parametrize(
    ("metric", "signal", "served", "headroom"),
    [
        (COSTS, "cost_usd", 0.1, (0.4 - 1.1 * 0.1) / (1.1 * 0.4)),
        (COSTS, "cost_usd", 9.0, (0.4 - 1.1 * 0.4) / (1.1 * 0.4)),
        (SLOW, "latency_ms", 50, 1.0),
        (SLOW, "latency_ms", 500, 0.0),
        (NEVER, "no_answer", 0.0, 1.0),
        (NEVER, "no_answer", 1.0, 0.0),
    ],
)
def test_what_is_left_by_kind(metric, signal, served, headroom):
    found = docket_of([({signal: served},) * 2] * 3, metric).evidence().metrics()[0].headroom
    assert found == pytest.approx(headroom, abs=0.002)


@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=12), st.integers(0, 12))
def test_parts_add_up_and_survive_a_restart(fared, cut):
    pairs = [({"expected_failed": float(one)}, {"expected_failed": float(other)}) for one, other in fared]
    whole, total = docket_of(pairs, MISSES).evidence(), Evidence(gate(MISSES))
    for part in (pairs[:cut], pairs[cut:]):
        if part:
            total.merge(docket_of(part, MISSES).evidence())
    again = Evidence.load(total.gate, total.dump())
    headroom = sum(not one for one, _ in fared) / len(fared)
    assert [it.metrics()[0].headroom for it in (whole, total, again)] == [pytest.approx(headroom)] * 3


def test_the_terminal_says_in_how_many_conversations_harm_can_show():
    assert any("expected_failed: production is at its worst in 60.0% of them already" in line for line in verdict_lines(judged(300, 500)))
    assert not any("at its worst" in line for line in verdict_lines(judged(200, 500)))


def test_a_report_says_so_too():
    assert "at its worst in 60 of 100 already" in metric_words(judged(300, 500))[0].sentence
    assert "at its worst" not in metric_words(judged(200, 500))[0].sentence
