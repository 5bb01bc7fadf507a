"""The whole gate without I/O: what is counted, in which order, and what comes of it."""

from __future__ import annotations

import random
from typing import get_args

import numpy as np
import pytest

from judged import ESCALATION, compared, gate, pair, side
from replay.comparison import Flag, Score, Side, Source, replace
from replay.errors import RecordError
from replay.gate.audit import refold
from replay.gate.docket import Docket
from replay.gate.evidence import Differences, Evidence
from replay.report.headline import headline
from replay.report.measures import metric_words
from replay.verdict import REASONS, ReasonCode, Verdict
from replay.verdict_text import verdict_lines
from replay.wire import decode, encode

LATE, CALM = side(escalates=True), side()
MISMATCH = {"id": "tool_mismatch", "kind": "paired_binary", "margin": 0.05}


def judged(comparisons, the_gate=None, *, finish=True):
    docket = Docket(the_gate or gate())
    for comparison in comparisons:
        docket.enter(comparison)
    if finish:
        docket.finish()
    verdict = docket.verdict(now=None)
    assert verdict is not None
    return verdict


def traces(count, *, worse=0, better=0, **fields):
    """`worse` of `count` traces are escalated by the candidate only, `better` by the baseline only."""
    arms = [(LATE, CALM)] * worse + [(CALM, LATE)] * better + [(CALM, CALM)] * (count - worse - better)
    random.Random(1).shuffle(arms)
    return [it for number, (ours, theirs) in enumerate(arms) for it in pair(number, ours, theirs, **fields)]


def test_an_equal_candidate_is_promoted_once_enough_have_voted():
    verdict = judged(traces(800, worse=16, better=16))
    assert (verdict.decision, verdict.conversations, verdict.calibrated) == ("promote", 800, True)
    assert verdict.metrics[0].standing == "within_margin"


@pytest.mark.parametrize("worse", [0, 10, 20, 28, 30, 40])
def test_where_the_interval_lies_says_what_is_proved(worse):
    metric = judged(traces(300, worse=worse)).metrics[0]
    low, high = metric.band
    standing = "beyond_margin" if low >= metric.margin else "within_margin" if high <= metric.margin else "open"
    assert metric.standing == standing


def test_a_worse_candidate_is_rolled_back_and_the_metric_named():
    verdict = judged(traces(400, worse=60, better=10))
    assert (verdict.decision, verdict.rollback_metric) == ("roll_back", "escalation")
    assert verdict.reasons[0].code == "proved_worse"


CALM_METRICS = [{"id": it, "kind": "paired_binary", "margin": 0.02} for it in ("refusal", "clarification", "hedge", "no_answer")]


def test_a_metric_among_several_is_not_called_worse_by_odds_that_one_of_them_may_have_by_chance():
    """What is said of a metric and of the whole never disagree. Control: the same evidence, of a gate of one metric."""
    unlucky = traces(300, worse=30)
    among, alone = judged(unlucky, gate(ESCALATION, *CALM_METRICS)), judged(unlucky)
    assert np.exp(among.metrics[0].log_e_harm[0]) == pytest.approx(65, rel=0.02)
    assert (among.decision, among.metrics[0].standing, among.reasons[0].code) == ("hold", "open", "underpowered")
    assert "worse by odds of 65 to one, too little for one of several" in "".join(verdict_lines(among))
    assert (alone.decision, alone.metrics[0].standing) == ("roll_back", "beyond_margin")


def test_a_rollback_names_what_is_proved_to_be_worse_or_all_that_may_be():
    sure = judged(traces(400, worse=90), gate(ESCALATION, *CALM_METRICS))
    assert [reason.metrics for reason in sure.reasons] == [("escalation",)]
    again = ESCALATION | {"id": "again", "signal": "escalation"}
    either = judged(traces(300, worse=28), gate(ESCALATION, again, CALM_METRICS[0], alpha={"rollback": 0.07}))
    assert either.decision == "roll_back"
    assert {metric.standing for metric in either.metrics[:2]} == {"open"}
    assert either.reasons[0].metrics == ("escalation", "again")
    (why,) = headline(either).why
    assert why.text.startswith("One of these is proved to be worse")
    assert [each.ids for each in why.under] == [("escalation",), ("again",)]


def test_too_few_are_held_and_told_how_many_are_needed():
    verdict = judged(traces(60))
    assert verdict.decision == "hold"
    assert verdict.reasons[0].code == "underpowered"
    needed = verdict.metrics[0].more_pairs
    assert judged(traces(60 + needed)).decision == "promote"
    assert judged(traces(60 + needed - 5)).decision == "hold"
    assert verdict.seconds_to_decision == pytest.approx(needed * 59 / 60, rel=0.1)


def test_no_evidence_of_harm_promotes_nobody():
    assert judged(traces(1)).decision == "hold"
    assert judged([compared(1, mode="forced")][:0] + traces(5), finish=False).reasons[0].code == "no_evidence"


def test_comparisons_of_another_run_are_no_evidence():
    docket = Docket(gate())
    for number in range(3):
        for comparison in pair(number, side(), side(), run_id="run" if number else "other"):
            docket.enter(comparison)
    docket.finish()
    assert (docket.run.run_id, docket.ignored, docket.verdict(now=None).conversations) == ("other", 4, 1)


@pytest.mark.parametrize("other", [{"candidate": "d"}, {"baseline": "a"}, {"comparator_set": "comparators/9"}])
def test_another_release_under_the_same_run_is_no_evidence(other):
    ours, theirs = traces(40), traces(40, worse=40, **other)
    docket = Docket(gate())
    for comparison in (ours[0], *theirs, *ours[1:]):
        docket.enter(comparison)
    docket.finish()
    verdict = docket.verdict(now=None)
    assert (docket.ignored, verdict) == (80, judged(ours))
    assert refold(verdict, [*theirs, *ours]) == verdict


def test_recordings_may_name_several_bundles():
    recorded = [replace(it, mode="recorded", candidate=f"recorded:{it.source.offset % 3}#x") for it in traces(30)]
    assert judged(recorded).conversations == 30


def test_a_metric_that_needs_a_lane_holds_without_one():
    alone = [compared(number, lane_probability=0.0) for number in range(800)]
    verdict = judged(alone, gate(ESCALATION, MISMATCH))
    assert (verdict.decision, verdict.reasons[0].code, verdict.reasons[0].metrics) == ("hold", "uncalibrated", ("tool_mismatch",))
    assert not verdict.calibrated
    assert verdict.reasons[0].words.startswith("a metric can only be judged beside a baseline lane: 800 of 800 conversations had none")
    assert judged(alone).decision == "promote"


def half_alone(count, alone):
    """The first few could not have a lane."""
    return [it for it in traces(count) if it.source.offset >= alone or it.lane == "candidate"]


@pytest.mark.parametrize(("alone", "decision"), [(0, "promote"), (1, "promote"), (12, "hold")])
def test_a_few_without_a_lane_may_be_anything_and_are_counted(alone, decision):
    few = [replace(it, lane_probability=0.0) if it.source.offset < alone else it for it in half_alone(300, alone)]
    verdict = judged(few, gate(MISMATCH))
    metric = verdict.metrics[0]
    assert (verdict.decision, metric.uncalibrated, metric.pairs) == (decision, alone, 300 - alone)
    beside = judged([it for number in range(300) for it in twins(number, differs=number < alone)], gate(MISMATCH)).metrics[0]
    assert metric.log_e_safe[1] == pytest.approx(beside.log_e_safe[1])
    if decision == "hold":
        assert [reason.code for reason in verdict.reasons] == ["underpowered", "uncalibrated"]
        assert "12 of 300 conversations had none" in verdict.reasons[1].words
        assert metric.more_pairs > 0


def twins(number, *, differs):
    """A pair of which only the candidate's side differs from production."""
    extra = {"scores": {"tools.write": Score(status="scored", value=1.0), "tools.handoff": Score(status="not_applicable")}}
    return [compared(number, **(extra if differs else {})), compared(number, lane="baseline")]


def test_more_without_a_lane_than_may_be_unknown_are_told_first():
    many = [replace(it, lane_probability=0.0) if it.source.offset < 20 else it for it in half_alone(300, 20)]
    verdict = judged(many, gate(MISMATCH))
    assert (verdict.metrics[0].standing, [reason.code for reason in verdict.reasons]) == ("uncalibrated", ["uncalibrated"])
    assert "20 of 300 conversations" in verdict.reasons[0].words


def test_a_surface_that_was_not_executed_never_promotes():
    verdict = judged(traces(800, not_exercised=("retriever_snapshot",)))
    assert (verdict.decision, verdict.reasons[0].code) == ("hold", "not_exercised")


def test_when_both_lanes_fail_alike_nothing_is_proved():
    failed = [replace(it, disposition="infra_error") for it in traces(800)]
    verdict = judged(failed)
    assert (verdict.decision, verdict.reasons[0].code) == ("hold", "missing_replays")
    only_ours = [replace(it, disposition="infra_error") if it.lane == "candidate" else it for it in traces(800)]
    assert judged(only_ours).decision == "roll_back"


def test_a_metric_that_cannot_be_measured_is_no_pass():
    priced = gate({"id": "cost_usd", "kind": "paired_mean_capped", "cap": 0.4, "rel_margin": 0.05})
    blind = [it for number in range(800) for it in pair(number, side(usd=None), side(usd=None))]
    verdict = judged(blind, priced)
    assert (verdict.decision, verdict.reasons[0].code) == ("hold", "blind_metric")


def test_a_verdict_that_depends_on_guesses_is_held_as_a_gap_of_the_stubs():
    guessed = [replace(it, disposition="censored") if it.source.offset % 8 == 0 and it.lane == "candidate" else it for it in traces(800)]
    verdict = judged(guessed)
    assert verdict.decision == "hold"
    assert [reason.code for reason in verdict.reasons] == ["stub_gap"]
    assert verdict.metrics[0].log_e_safe[0] > 3 > verdict.metrics[0].log_e_safe[1]
    rare = [replace(it, disposition="censored") if it.source.offset % 200 == 0 and it.lane == "candidate" else it for it in traces(1600)]
    assert judged(rare).decision == "promote"


def test_a_single_event_that_must_never_happen_rolls_back():
    never = gate(ESCALATION, {"id": "unsafe_action", "kind": "zero_tolerance", "max_rate": 0.01})
    fine = traces(900)
    assert judged(fine, never).decision == "promote"
    hit = [replace(fine[0], flags=(Flag(rule="guard_loosened", severity=3),)), *fine[1:]]
    verdict = judged(hit, never)
    assert (verdict.decision, verdict.reasons[0].code) == ("roll_back", "never_event")
    assert "HAS HAPPENED (1), and must never" in "".join(verdict_lines(verdict))


NEVER = {"id": "never", "kind": "zero_tolerance", "signal": "escalation", "max_rate": 0.01}


def test_a_replay_that_is_missing_has_not_shown_what_must_never_happen():
    first, *rest = traces(900)
    assert judged([replace(first, disposition="infra_error"), *rest], gate(ESCALATION, NEVER)).decision == "promote"


def test_once_in_one_of_several_samples_is_once_too_often():
    twice = [it for number in range(900) for sample in (0, 1) for it in pair(number, LATE if (number, sample) == (5, 0) else CALM, sample=sample)]
    verdict = judged(twice, gate(ESCALATION, NEVER))
    assert (verdict.decision, verdict.reasons[0].code, verdict.metrics[1].hits) == ("roll_back", "never_event", 1)


@pytest.mark.parametrize(
    "metric",
    [
        {"id": "typical", "kind": "paired_sign", "signal": "latency_ms", "rel_margin": 0.2},
        {"id": "cost_usd", "kind": "paired_mean_capped", "cap": 0.1, "rel_margin": 0.2},
    ],
)
def test_a_relative_margin_is_no_difference_of_the_baseline_from_itself(metric):
    chance = random.Random(1)

    def noisy():
        return side(ms=chance.lognormvariate(5, 0.5), usd=f"{chance.uniform(0.01, 0.1):.4f}")

    repeats = [it for number in range(600) for sample in (0, 1) for it in pair(number, noisy(), noisy(), sample=sample)]
    assert judged(repeats, gate(metric)).decision == "promote"


def sampled_lane(count, *, fails=lambda number: False):
    """Every fifth trace has a baseline lane."""
    for number in range(count):
        if number % 5 == 0:
            disposition = "infra_error" if fails(number) else "compared"
            yield from pair(number, lane_probability=0.2, disposition=disposition)
        else:
            yield compared(number, lane_probability=0.2)


def test_how_much_may_fail_alike_is_a_share_of_what_has_both_lanes():
    verdict = judged(sampled_lane(4000, fails=lambda number: number % 25 == 0))
    assert (verdict.decision, verdict.reasons[0].code) == ("hold", "missing_replays")
    assert (verdict.failed_alike, verdict.conversations) == (160, 4000)


def test_a_plan_of_pairs_counts_pairs_and_so_does_the_time_left():
    verdict = judged(sampled_lane(200), gate(max_pairs=150))
    assert [reason.code for reason in verdict.reasons] == ["underpowered"]
    assert verdict.seconds_to_decision == pytest.approx(verdict.metrics[0].more_pairs * 199 / 40, rel=0.06)
    assert judged(sampled_lane(200), gate(max_pairs=40)).reasons[-1].code == "stale_stream"


def test_a_few_unknown_values_that_decide_are_told():
    slow = gate({"id": "slow", "kind": "paired_exceedance", "signal": "latency_ms", "threshold": 150, "margin": 0.03})
    verdict = judged([it for number in range(1500) for it in pair(number, side(ms=None) if number % 25 == 0 else CALM)], slow)
    assert (verdict.decision, [reason.code for reason in verdict.reasons]) == ("hold", ["blind_metric"])


def test_when_the_baseline_differs_from_itself_the_gate_freezes():
    drifted = [it for number in range(300) for it in pair(number, LATE, LATE, production=CALM)]
    verdict = judged(drifted)
    assert (verdict.decision, verdict.reasons[0].code) == ("hold", "placebo_fired")


def test_a_metric_in_a_dry_run_is_reported_and_has_no_vote():
    dry = gate(ESCALATION | {"dry_run": True}, MISMATCH)
    verdict = judged(traces(800, worse=200), dry)
    assert verdict.decision == "promote"
    assert verdict.metrics[0].standing == "beyond_margin"


def test_the_end_of_the_plan_rolls_back_only_if_the_gate_says_so():
    over = {"max_pairs": 50}
    assert {reason.code for reason in judged(traces(60), gate(**over)).reasons} == {"underpowered", "stale_stream"}
    assert judged(traces(60), gate(**over, on_inconclusive="rollback")).decision == "roll_back"


def test_what_another_bundle_produced_and_the_other_mode_are_no_evidence():
    docket = Docket(gate())
    docket.enter(compared(1, admitted_as="any_bundle"))
    docket.enter(compared(2, mode="forced"))
    assert (docket.ignored, docket.verdict(now=None)) == (2, None)


# -- what to do about it ----------------------------------------------------------------------------------------------


def reason(comparisons, the_gate=None, **how):
    (only,) = judged(comparisons, the_gate, **how).reasons
    return only


def test_of_the_bundle_in_production_the_metric_is_named_that_differs_most_from_itself_either_way():
    """The lane escalates less than production did, and refuses hardly more."""
    two = gate(ESCALATION, {"id": "refusal", "kind": "paired_binary", "margin": 0.05})
    refuses = Side(answer="No.", stance=("refuses",))
    drifted = [it for number in range(300) for it in pair(number, CALM, refuses if number % 20 == 0 else CALM, production=LATE)]
    found = reason(drifted, two)
    assert (found.code, found.metrics) == ("placebo_fired", ("escalation",))
    assert "escalation is less than it was" in found.words
    assert "Next: " in found.words


def test_who_failed_is_told_by_class_and_what_mends_it():
    failed = [replace(it, disposition="infra_error" if it.source.offset % 9 else "over_budget") for it in traces(90)]
    found = reason(failed)
    assert "90 of 90 pairs, in both lanes alike (infra_error 80, over_budget 10); the gate allows 5%" in found.words
    assert "Next: infra_error: the provider gave no answer" in found.words
    late = reason(traces(90), gate(replay_timeout="0.01s"))
    assert "(timed_out 90)" in late.words
    assert "raise replay_timeout" in late.words


def test_how_often_stubs_may_guess_is_the_gates_to_say():
    guessed = [replace(it, disposition="censored") if it.source.offset % 200 == 0 and it.lane == "candidate" else it for it in traces(1600)]
    assert judged(guessed).decision == "promote"
    found = reason(guessed, gate(missing={"max_unmatched_stub_rate": 0.004}))
    assert found.code == "stub_gap"
    assert "guessed in 8 of 1,600 conversations; the gate allows 0.4%" in found.words
    assert judged(guessed, gate(missing={"max_unmatched_stub_rate": 0.005})).decision == "promote"
    worse = [replace(it, disposition="censored") if it.source.offset == 1 else it for it in traces(400, worse=90)]
    assert judged(worse, gate(missing={"max_unmatched_stub_rate": 0.0})).decision == "roll_back"  # harm counts first


def test_a_plan_that_is_over_says_whether_it_was_pairs_or_time():
    assert "60 pairs have voted, of 50 (max_pairs)" in judged(traces(60), gate(max_pairs=50)).reasons[-1].words
    timed = judged(traces(60), gate(max_wait="30s")).reasons[-1].words
    assert "the traces span 0.0 hours, the plan 30s (max_wait)" in timed
    assert "max_pairs" not in timed


def test_conversations_that_are_open_are_told_and_when_they_vote():
    talking = [it for number in range(5) for it in pair(number, conversation_id=f"c{number}")]
    docket = Docket(gate())
    for comparison in talking:
        docket.enter(comparison)
    docket.advance("traces", 0, 5)
    (found,) = docket.verdict(now=None).reasons
    assert found.code == "no_evidence"
    assert "5 are open; they vote after 30m (idle) without another turn, or 24h (max_age)" in found.words


EXPECTED = {"id": "expected_failed", "kind": "paired_binary", "margin": 0.05}


def test_a_metric_that_nobody_was_asked_for_is_blind_and_not_waiting_for_more():
    found = reason(traces(800), gate(ESCALATION, EXPECTED))
    assert (found.code, found.metrics) == ("blind_metric", ("expected_failed",))
    assert "no trace names an expected outcome, in 800 conversations" in found.words
    assert [it.code for it in judged(traces(5), gate(ESCALATION, EXPECTED)).reasons] == ["blind_metric", "underpowered"]


def test_a_lane_that_nobody_was_drawn_for_yet_is_told():
    undrawn = [compared(number, lane_probability=0.01) for number in range(40)]
    found = reason(undrawn)
    assert (found.code, found.metrics) == ("underpowered", ("escalation",))
    assert "none of 40 conversations was drawn for the baseline lane yet" in found.words


def test_beside_a_sampled_lane_pairs_are_told_from_conversations():
    verdict = judged(sampled_lane(200))
    more = verdict.metrics[0].more_pairs
    assert f"about {more:,} more pairs, which is {5 * more:,} conversations" in verdict.reasons[0].words
    whole = judged(traces(60))
    assert whole.reasons[0].words.endswith(f"about {whole.metrics[0].more_pairs:,} more")


def test_a_metric_without_a_margin_is_told_and_never_certified_nor_worse():
    told = gate(ESCALATION, {"id": "refusal", "kind": "paired_binary", "dry_run": True}, {"id": "late", "kind": "paired_binary", "signal": "escalation", "dry_run": True})
    verdict = judged(traces(800, worse=16, better=16), told)
    assert verdict.decision == "promote"
    harmed = judged(traces(800, worse=200), told)
    assert [it.standing for it in (*verdict.metrics[1:], *harmed.metrics[1:])] == ["open"] * 4
    assert harmed.metrics[2].mean == (0.25, 0.25)
    assert harmed.metrics[2].more_pairs is None
    assert "anything: it is only told" in metric_words(harmed)[2].tolerated
    assert any(line.startswith("  late (no vote)") and " - " in line for line in verdict_lines(harmed))


def test_a_lane_that_differs_from_production_in_what_is_only_told_freezes_nothing():
    two = gate({"id": "refusal", "kind": "paired_binary", "margin": 0.05}, ESCALATION | {"margin": None, "dry_run": True})
    drifted = [it for number in range(300) for it in pair(number, LATE, LATE, production=CALM)]
    assert judged(drifted, two).decision == "promote"


def test_a_verdict_with_a_reason_that_is_none_of_the_list_is_refused():
    written = encode(judged(traces(5)))
    assert decode(Verdict, written) == judged(traces(5))
    with pytest.raises(RecordError, match="Invalid enum value 'because'"):
        decode(Verdict, written.replace(b'"underpowered"', b'"because"'))
    assert set(get_args(ReasonCode)) == set(REASONS)


# -- what nobody has seen ---------------------------------------------------------------------------------------------


def unfinished(comparisons, partitions, the_gate=None):
    """Everything has ended but the next record of each partition."""
    docket = Docket(the_gate or gate())
    for comparison in spread(comparisons, partitions):
        docket.enter(comparison)
    for partition in range(partitions):
        docket.advance("traces", partition, 10_000)
    return docket.verdict(now=None)


@pytest.mark.parametrize("partitions", [1, 7])
def test_the_next_record_of_each_partition_is_a_pair_at_the_end_that_proves_least(partitions):
    """Against the same votes with as many more pairs, all better for harm, all worse for safety; control: complete."""
    votes, (seen, complete) = traces(300, worse=14, better=5), (unfinished, judged)
    open_, over = seen(votes, partitions), complete(spread(votes, partitions))
    extra = range(300, 300 + partitions)
    better = judged([*votes, *(it for number in extra for it in pair(number, CALM, LATE))])
    worse = judged([*votes, *(it for number in extra for it in pair(number, LATE, CALM))])
    (ours,), (least_harm,), (least_safe,) = open_.metrics, better.metrics, worse.metrics
    assert (open_.unseen, over.unseen) == (partitions, 0)
    assert (ours.log_e_harm, open_.log_e_rollback) == (least_harm.log_e_harm, better.log_e_rollback)
    assert (ours.log_e_safe, ours.certifiable) == (least_safe.log_e_safe, least_safe.certifiable)
    assert ours.band == (least_harm.band[0], least_safe.band[1])
    assert ours.log_e_harm[0] < over.metrics[0].log_e_harm[0]
    assert ours.log_e_safe[1] < over.metrics[0].log_e_safe[1]
    assert [getattr(ours, name) for name in COUNTED] == [getattr(over.metrics[0], name) for name in COUNTED]
    assert open_.placebo[0].log_e_harm[0] < over.placebo[0].log_e_harm[0]


COUNTED = ("pairs", "unknown", "mean", "hits", "exemplars")


def test_how_many_more_are_needed_counts_them_too_and_a_verdict_says_so():
    verdict = unfinished(traces(200), 9)
    assert (verdict.decision, verdict.reasons[0].code) == ("hold", "underpowered")
    needed = verdict.metrics[0].more_pairs
    assert unfinished(traces(200 + needed), 9).decision == "promote"
    assert unfinished(traces(199 + needed), 9).decision == "hold"
    assert judged(spread(traces(200), 9)).decision == "promote"
    assert "9 more, the next of each partition, have not ended" in " ".join(verdict_lines(verdict))


def test_an_audit_finds_what_nobody_had_seen():
    votes = spread(traces(150, worse=9), 5)
    docket = Docket(gate())
    for comparison in votes:
        docket.enter(comparison)
    for partition, offset in enumerate((90, 41, 0, 12)):
        docket.advance("traces", partition, offset)
    verdict = docket.verdict(now=None)
    assert verdict.unseen == 5
    assert refold(verdict, votes) == verdict
    assert [(prefix.first, prefix.offset) for prefix in verdict.prefixes] == [(0, 90), (1, 41), (None, 0), (3, 12), (None, 0)]


# -- order ------------------------------------------------------------------------------------------------------------


def spread(comparisons, partitions):
    """The same conversations on several partitions."""
    return [replace(it, source=Source(topic="traces", partition=it.source.offset % partitions, offset=it.source.offset)) for it in comparisons]


def same(one, other):
    drop = {"prefixes", "verdict_id"}
    return all(getattr(one, name) == getattr(other, name) for name in one.__struct_fields__ if name not in drop)


@pytest.mark.parametrize("seed", range(5))
def test_no_order_of_arrival_and_no_number_of_partitions_changes_a_bit(seed):
    comparisons = traces(120, worse=9, better=4)
    shuffled = random.Random(seed).sample(comparisons, len(comparisons))
    assert judged(shuffled) == judged(comparisons)
    assert same(judged(spread(shuffled, 1 + seed)), judged(comparisons))


def test_delivered_twice_it_counts_once():
    comparisons = traces(60, worse=9)
    docket = Docket(gate())
    for comparison in [*comparisons, *comparisons]:
        docket.enter(comparison)
    docket.finish()
    for comparison in comparisons:
        docket.enter(comparison)
    docket.finish()
    assert docket.verdict(now=None) == judged(comparisons)


def test_what_stands_behind_the_watermark_has_no_say():
    docket = Docket(gate())
    for comparison in traces(100, worse=50):
        docket.enter(comparison)
    assert docket.verdict(now=None).conversations == 0
    docket.advance("traces", 0, 40)
    assert docket.verdict(now=None).conversations == 40
    docket.advance("traces", 0, 30)
    assert docket.verdict(now=None).prefixes[0].offset == 40


def test_folded_in_parts_it_is_the_same():
    comparisons = [it for number in range(200) for it in pair(number, LATE if number % 9 == 0 else CALM, conversation_id=f"c{number // 3}")]
    whole, parts = Docket(gate(idle="1s")), Docket(gate(idle="1s"))
    for comparison in comparisons:
        whole.enter(comparison)
    for start in range(0, len(comparisons), 7):
        for comparison in comparisons[start : start + 7]:
            parts.enter(comparison)
        parts.advance("traces", 0, comparisons[start].source.offset)
    for docket in (whole, parts):
        docket.finish()
    assert parts.verdict(now=None) == whole.verdict(now=None)
    assert whole.verdict(now=None).conversations == 67


def test_evidence_is_read_back_as_it_was_written():
    never = {"id": "never", "kind": "zero_tolerance", "signal": "escalation", "max_rate": 0.01}
    docket = Docket(gate(ESCALATION, MISMATCH, never))
    for comparison in [*traces(50, worse=9), *pair(99, side(usd=None), None, disposition="infra_error")]:
        docket.enter(comparison)
    docket.finish()
    evidence = docket.evidence()
    again = Evidence.load(docket.gate, evidence.dump())
    assert again.dump() == evidence.dump()
    for name in Evidence.__dataclass_fields__:
        assert plain(getattr(again, name)) == plain(getattr(evidence, name)), name


def plain(value):
    value = value.counts if isinstance(value, Differences) else value
    return value.tolist() if isinstance(value, np.ndarray) else value


def test_a_line_that_holds_several_traces_has_as_many_votes_as_conversations():
    at = Source(topic="traces", partition=0, offset=3)
    line = [*pair(1, LATE, CALM, source=at), *pair(2, CALM, CALM, source=at), *pair(3, CALM, CALM, source=at)]
    verdict = judged(line)
    assert (verdict.conversations, verdict.turns, verdict.metrics[0].pairs) == (3, 3, 3)
    talk = [replace(it, conversation_id="c") for it in line]
    assert (judged(talk).conversations, judged(talk).turns) == (1, 3)
    assert judged(talk[::-1]) == judged(talk)


FALSE_CLAIM = {"id": "false_claim", "kind": "zero_tolerance", "max_rate": 0.01}
CLAIM = (Flag(rule="claim_without_write", severity=3),)


def test_an_outage_of_the_provider_rolls_back_nobody_without_a_lane_neither():
    """Control: a candidate that uses up its budgets as often."""
    some = [compared(n, lane_probability=0.0, disposition="compared" if n % 8 else "infra_error") for n in range(800)]
    verdict = judged(some)
    assert (verdict.decision, [it.code for it in verdict.reasons]) == ("hold", ["missing_replays"])
    assert (verdict.excused, "without a lane" in verdict.reasons[0].words) == (100, True)
    spent = [replace(it, disposition="over_budget") if it.disposition != "compared" else it for it in some]
    assert judged(spent).decision == "roll_back"


def test_nor_where_a_lane_is_drawn_for_some():
    """3 of 100 traces cannot be replayed, in either lane; a fifth of all conversations have both."""
    every = [
        replace(it, disposition="compared" if n % 33 else "not_replayable")
        for n in range(2_000)
        for it in pair(n, lane_probability=0.2)[: 2 if n % 5 == 0 else 1]
    ]
    assert judged(every, gate(FALSE_CLAIM, ESCALATION)).decision == "hold"


def test_what_the_lane_does_as_well_is_judged_by_its_rate():
    """Seven in four hundred, on either side. Control: on one side only it is one too many."""
    both = [
        replace(it, flags=CLAIM if n % 66 == (1 if it.lane == "candidate" else 2) else ()) for n in range(400) for it in pair(n)
    ]
    verdict = judged(both, gate(FALSE_CLAIM))
    metric = verdict.metrics[0]
    assert (verdict.decision, metric.hits, metric.lane_hits) == ("hold", 7, 7)
    alone = judged([replace(it, flags=()) if it.lane == "baseline" else it for it in both], gate(FALSE_CLAIM))
    assert (alone.decision, alone.reasons[0].code) == ("roll_back", "never_event")


def test_what_can_never_happen_less_often_than_never_has_no_interval_below():
    assert judged(traces(40), gate(FALSE_CLAIM)).metrics[0].band[0] == 0.0
