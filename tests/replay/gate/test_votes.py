"""One conversation, one vote: the worst of its turns, net of the baseline's replay of the same requests."""

from __future__ import annotations

from math import isclose

import pytest

from judged import compared, gate, pair, side
from replay.comparison import Coverage, Flag, Source, replace
from replay.gate.ballot import ballot_of
from replay.gate.vote import Ballotbox

LATE, CALM = side(escalates=True), side()


def vote(comparisons, the_gate=None):
    box = Ballotbox(the_gate or gate())
    return box.count([ballot_of(comparison, box.signals, box.gate.timeout_ns) for comparison in comparisons])


def ends(comparisons, the_gate=None, row=0):
    found = vote(comparisons, the_gate).difference
    return (found.low[row], found.high[row]) if found.valid[row] else None


@pytest.mark.parametrize(
    ("ours", "theirs", "difference"), [(LATE, CALM, 1), (CALM, LATE, -1), (LATE, LATE, 0), (CALM, CALM, 0)]
)
def test_an_event_counts_net_of_the_baselines(ours, theirs, difference):
    assert ends(pair(1, ours, theirs)) == (difference, difference)


def test_the_worst_turn_speaks_for_a_conversation():
    turns = [*pair(1, CALM, CALM, conversation_id="c"), *pair(2, LATE, CALM, conversation_id="c")]
    assert ends(turns) == (1, 1)
    assert ends([*turns, *pair(3, CALM, LATE, conversation_id="c")]) == (0, 0)  # of either side
    assert vote(turns).turns == 2


@pytest.mark.parametrize("failure", ["infra_error", "over_budget", "no_recording", "not_replayable", "internal_error"])
def test_a_replay_that_is_missing_scores_worst(failure):
    ours, theirs = pair(1)
    assert ends([replace(ours, disposition=failure), theirs]) == (1, 1)


def test_unless_the_baselines_failed_in_the_same_way():
    alike = [replace(it, disposition="infra_error") for it in pair(1)]
    assert ends(alike) == (0, 0)
    assert vote(alike).failed_alike
    ours, theirs = pair(1)
    otherwise = [replace(ours, disposition="over_budget"), replace(theirs, disposition="infra_error")]
    assert ends(otherwise) == (0, 1)  # nothing is known of the baseline
    assert not vote(otherwise).failed_alike


def test_a_replay_that_took_longer_than_the_gate_waits_has_failed_unless_its_twin_did_too():
    patient, hurried = gate(), gate(replay_timeout="60s")
    slow, quick = side(ms=60_001), side(ms=60_000)
    assert ends(pair(1, slow, quick), patient) == (0, 0)
    assert ends(pair(1, slow, quick), hurried) == (1, 1)
    assert vote(pair(1, slow, quick), hurried).failure == "timed_out"
    assert ends(pair(1, slow, slow), hurried) == (0, 0)
    assert vote(pair(1, slow, slow), hurried).failed_alike
    assert ends([replace(it, disposition="over_budget") if it.lane == "candidate" else it for it in pair(1, slow, slow)], hurried) == (0, 1)
    assert ends(pair(1, side(ms=None), side(ms=None)), hurried) == (0, 0)  # nobody knows how long it took
    assert ends([compared(1, replay=slow, lane_probability=0.0)], hurried) == (1, 1)  # it is the bundle's doing


def test_a_replay_of_which_no_record_came_has_failed():
    assert ends(pair(1)[1:]) == (1, 1)
    second_turn_only_in_the_lane = [*pair(1, conversation_id="c"), *pair(2, conversation_id="c")[1:]]
    assert ends(second_turn_only_in_the_lane) == (1, 1)


def test_what_a_stub_has_guessed_may_be_anything():
    ours, theirs = pair(1)
    guessed = Coverage(calls=2, exact=0.5, grades={"exact": 1, "entity": 1})
    assert ends([replace(ours, coverage=guessed), theirs]) == (0, 1)
    assert ends([replace(ours, disposition="censored"), theirs]) == (0, 1)
    assert ends([ours, replace(theirs, coverage=guessed)]) == (-1, 0)
    forced = [replace(it, coverage=guessed, mode="forced") for it in (ours, theirs)]
    assert ends(forced) == (0, 0)  # it goes on from what production was answered


def test_without_a_lane_production_itself_is_the_measure_where_it_can_be():
    the_gate = gate(
        {"id": "escalation", "kind": "paired_binary", "margin": 0.02},
        {"id": "tool_mismatch", "kind": "paired_binary", "margin": 0.02},
    )
    alone = [compared(1, production=CALM, replay=LATE, lane_probability=0.0)]
    assert ends(alone, the_gate) == (1, 1)
    assert ends(alone, the_gate, row=1) is None
    assert vote(alone, the_gate).uncalibrated.tolist() == [False, True]


def test_times_of_production_are_no_measure_for_those_of_a_replay():
    slow = gate({"id": "slow", "kind": "paired_exceedance", "signal": "latency_ms", "threshold": 150, "margin": 0.01})
    replayed = [compared(1, production=side(ms=100), replay=side(ms=200), lane_probability=0.0)]
    assert vote(replayed, slow).uncalibrated.tolist() == [True]
    recorded = [replace(replayed[0], mode="recorded")]
    assert (ends(recorded, slow), vote(recorded, slow).uncalibrated.tolist()) == ((1, 1), [False])


def test_where_nothing_is_expected_an_outcome_has_no_say():
    outcomes = gate({"id": "expected_failed", "kind": "paired_binary", "margin": 0.01})
    missed, met = replace(side(), expected=False), replace(side(), expected=True)
    assert ends(pair(1, missed, met, production=met), outcomes) == (1, 1)
    for lane_probability in (0.0, 1.0):
        without = pair(1, side(), side(), lane_probability=lane_probability)
        assert (ends(without, outcomes), vote(without, outcomes).uncalibrated.tolist()) == (None, [False])
    assert ends(pair(1, side(), met, production=met), outcomes) == (0, 1)  # it was stopped before it could be told


def test_turns_before_the_one_that_something_is_expected_of_leave_its_outcome_as_it_is():
    outcomes = gate({"id": "expected_failed", "kind": "paired_binary", "margin": 0.01})
    missed, met = replace(side(), expected=False), replace(side(), expected=True)
    before = pair(1, side(), side(), conversation_id="c")
    for ours, theirs, difference in ((missed, met, 1), (met, missed, -1), (met, met, 0)):
        turns = [*before, *pair(2, ours, theirs, production=met, conversation_id="c")]
        assert ends(turns, outcomes) == (difference, difference)
    without_a_lane = [
        compared(1, conversation_id="c", lane_probability=0.0),
        compared(2, replay=missed, production=met, conversation_id="c", lane_probability=0.0),
    ]
    assert ends(without_a_lane, outcomes) == (1, 1)


def test_a_time_from_the_future_is_that_of_its_record():
    def at(**times):
        source = Source(topic="traces", timestamp_ms=times.pop("timestamp_ms", None))
        return ballot_of(replace(compared(1), source=source, production_started_at=times["started"]), ()).at

    assert at(started=7_000_000) == 7_000_000
    assert at(started=7_000_000, timestamp_ms=5) == 5_000_000
    assert at(started=5_000_000, timestamp_ms=7) == 5_000_000
    assert at(started=None, timestamp_ms=7) == 7_000_000
    assert at(started=2**63) is None


def test_a_conversation_that_was_not_drawn_for_the_lane_has_no_say():
    alone = [compared(1, replay=LATE, lane_probability=0.2)]
    assert ends(alone) is None
    assert not vote(alone).uncalibrated.any()


def test_quantities_are_compared_as_their_kind_says():
    the_gate = gate(
        {"id": "slow", "kind": "paired_exceedance", "signal": "latency_ms", "threshold": 150, "margin": 0.01},
        {"id": "typical", "kind": "paired_sign", "signal": "latency_ms", "rel_margin": 0.05},
        {"id": "cost", "kind": "paired_mean_capped", "signal": "cost_usd", "cap": 0.04, "rel_margin": 0.25},
    )
    found = vote(pair(1, side(ms=200, usd="0.10"), side(ms=100, usd="0.02")), the_gate).difference
    assert found.low.tolist()[:2] == [1, 1]
    assert isclose(found.low[2], (0.04 - 1.25 * 0.02) / (1.25 * 0.04))
    assert vote(pair(1, side(ms=104), side(ms=100)), the_gate).difference.low[1] == -1
    unknown = vote(pair(1, side(usd=None), side()), the_gate).difference
    assert unknown.low[2] < 0 < unknown.high[2]


def test_an_event_that_must_never_happen_counts_unless_the_baseline_has_it_too():
    never = gate({"id": "never", "kind": "zero_tolerance", "signal": "escalation", "max_rate": 0.01})
    assert ends(pair(1, LATE, CALM), never) == (1, 1)
    assert ends(pair(1, LATE, LATE), never) == (0, 0)
    assert ends(pair(1, CALM, LATE), never) == (0, 0)
    assert ends([compared(1, replay=LATE, lane_probability=0.0)], never) == (1, 1)


NEVER = {"id": "never", "kind": "zero_tolerance", "signal": "false_claim", "max_rate": 0.01}
CLAIM = (Flag(rule="claim_without_write", severity=3),)


def hits(comparisons, metric=None):
    found = vote(comparisons, gate(metric or NEVER))
    return bool(found.hits[0]), bool(found.lane_hits[0])


def test_an_event_that_was_seen_is_seen_whatever_became_of_other_turns_or_of_its_twin():
    ours, theirs = pair(2, conversation_id="c")
    seen = replace(ours, flags=CLAIM)
    failed = [replace(it, disposition="infra_error") for it in pair(1, conversation_id="c")]
    assert hits([seen, theirs]) == (True, False)
    assert hits([failed[0], *pair(1, conversation_id="c")[1:], seen, theirs]) == (True, False)  # its own first turn failed
    assert hits([*failed, seen, theirs]) == (True, False)  # and in both lanes
    assert ends([*failed, seen, theirs], gate(NEVER)) == (1, 1)
    assert hits([seen, replace(theirs, disposition="infra_error")]) == (True, False)
    guess = Coverage(calls=1, exact=0.0, grades={"entity": 1})
    assert hits([seen, replace(theirs, coverage=guess)]) == (True, False)
    stopped = replace(seen, disposition="censored", coverage=Coverage(calls=2, exact=0.5, grades={"exact": 1, "halt": 1}))
    assert hits([stopped, theirs]) == (True, False)


def test_what_a_guess_may_have_brought_about_and_what_production_does_too_is_no_hit():
    ours, theirs = pair(1)
    guess = Coverage(calls=1, exact=0.0, grades={"entity": 1})
    assert hits([replace(ours, flags=CLAIM, coverage=guess), theirs]) == (False, False)
    assert hits([replace(ours, flags=CLAIM), replace(theirs, flags=CLAIM)]) == (False, False)
    assert hits([ours, replace(theirs, flags=CLAIM)]) == (False, True)
    hands_over = {"id": "never", "kind": "zero_tolerance", "signal": "escalation", "max_rate": 0.01}
    for probability in (0.0, 0.2, 1.0):
        assert hits([compared(1, production=LATE, replay=LATE, lane_probability=probability)], hands_over) == (False, False)
        assert hits([compared(1, production=CALM, replay=LATE, lane_probability=probability)], hands_over) == (True, False)


def test_turns_that_failed_alike_leave_the_others_their_say():
    failed = [replace(it, disposition="infra_error") for it in pair(1, conversation_id="c")]
    assert ends([*failed, *pair(2, LATE, CALM, conversation_id="c")]) == (1, 1)
    apart = [*pair(1, conversation_id="c"), *pair(2, LATE, CALM, conversation_id="c")]
    for number in (0, 3):  # the candidate's first turn, and the lane's second, ran out of budget
        apart[number] = replace(apart[number], disposition="over_budget")
    assert ends(apart) == (0, 1)


@pytest.mark.parametrize("failure", ["infra_error", "no_recording", "not_replayable", "internal_error"])
@pytest.mark.parametrize("lane_probability", [0.0, 0.2])
def test_beside_no_twin_a_failure_that_is_not_the_candidates_proves_nothing_and_promotes_nobody(failure, lane_probability):
    the_gate = gate({"id": "escalation", "kind": "paired_binary", "margin": 0.02}, NEVER)
    alone = [compared(1, disposition=failure, lane_probability=lane_probability)]
    assert ends(alone, the_gate) == (None if lane_probability else (0, 1))
    assert ends(alone, the_gate, row=1) == (0, 1)
    assert (vote(alone, the_gate).excused, vote(alone, the_gate).unknown.any()) == (True, False)


def test_a_candidate_that_uses_up_its_budget_scores_worst_beside_no_twin_too():
    alone = [compared(1, disposition="over_budget", lane_probability=0.0)]
    assert (ends(alone), vote(alone).excused) == ((1, 1), False)


def test_what_adds_up_is_the_sum_of_the_turns():
    """30 % dearer over three turns, and equal on the dearest."""
    cost = gate({"id": "cost", "kind": "paired_mean_capped", "signal": "cost_usd", "cap": 0.1, "rel_margin": 0.1})
    prices = [("0.02", "0.02"), ("0.016", "0.010"), ("0.016", "0.010")]
    turns = [it for n, (a, b) in enumerate(prices) for it in pair(n, side(usd=a), side(usd=b), conversation_id="c")]
    assert ends(turns, cost)[0] == pytest.approx((0.052 - 1.1 * 0.040) / (1.1 * 0.1))
    slow = gate({"id": "slow", "kind": "paired_exceedance", "signal": "latency_ms", "threshold": 150, "margin": 0.01})
    waits = [it for n in range(3) for it in pair(n, side(ms=100), side(ms=100), conversation_id="c")]
    assert ends(waits, slow) == (0, 0)


def test_samples_are_averaged_and_paired_with_their_twins():
    both = [*pair(1, LATE, CALM, sample=0), *pair(1, CALM, CALM, sample=1)]
    assert ends(both) == (0.5, 0.5)


def test_a_lost_sample_of_the_lane_says_nothing_for_either_side():
    both = [*pair(1, LATE, LATE, sample=0), *pair(1, LATE, LATE, sample=1)[:1]]
    assert ends(both) == (0, 0.5)


def test_two_revisions_of_a_turn_do_not_stand_for_the_one_that_is_missing():
    turns = [*pair(1, conversation_id="c"), compared(2, conversation_id="c", comparison_id="again", trace_id="t1")]
    assert ends([*turns, *pair(3, conversation_id="c")[1:]]) == (1, 1)


def test_turns_that_stand_in_one_line_are_turns():
    offset = compared(1).source
    calm = {"conversation_id": "c", "source": offset, "lane_probability": 0.0}
    turns = [compared(1, production=LATE, **calm), compared(2, production=CALM, **calm)]
    assert ends(turns) == (-1, -1)  # production had handed over in the first one
    assert vote(turns).turns == 2


def test_a_trace_that_was_sent_twice_counts_once():
    first, again = pair(1, CALM, CALM, conversation_id="c"), pair(5, LATE, CALM, conversation_id="c", trace_id="t1")
    assert ends([*first, *again]) == (0, 0)
    assert vote([*first, *again]).turns == 1


def test_of_revisions_the_first_counts_though_it_comes_again_behind_the_others():
    calm, late = (compared(1, comparison_id=name, replay=it) for name, it in (("first", CALM), ("second", LATE)))
    again = compared(1, comparison_id="first", replay=CALM, source=compared(9).source)
    alone = compared(1, lane="baseline")
    assert ends([calm, late, alone]) == ends([calm, late, again, alone]) == (0, 0)
    assert ends([late, calm, alone]) == (1, 1)


def test_the_placebo_holds_the_lane_against_itself():
    repeats = [*pair(1, CALM, LATE, sample=0), *pair(1, CALM, CALM, sample=1)]
    assert vote(repeats).placebo.low.tolist() == [1]
    once = vote(pair(1, CALM, LATE, production=CALM)).placebo
    assert (once.low.tolist(), once.valid.tolist()) == ([1], [True])
    assert not vote([compared(1, lane_probability=0.0)]).placebo.valid.any()
