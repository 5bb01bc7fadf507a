"""Where a rollback goes: to what was promoted itself, by a verdict that still stands."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from judged import gate, pair, side
from replay.gate.audit import differences, refold
from replay.gate.docket import Docket
from replay.gate.target import certificates, choose, with_certificate
from replay.verdict_text import verdict_lines

LATE, CALM = side(escalates=True), side()
OLD, NAMED = "sha256:" + "0" * 64, "sha256:" + "1" * 64
DAY = 86_400_000_000_000


def judged(worse, the_gate=None):
    docket = Docket(the_gate or gate())
    comparisons = [it for number in range(400) for it in pair(number, LATE if number < worse else CALM)]
    for comparison in comparisons:
        docket.enter(comparison)
    docket.finish()
    return docket.verdict(now=None), comparisons


def told(candidate, decision, day, *, run=None):
    return replace(judged(0)[0], candidate=candidate, decision=decision, emitted_at=day * DAY, run_id=run or f"{candidate} {day}")


def names(verdicts, the_gate=None, *, today=100):
    return [it.bundle for it in certificates(verdicts, the_gate or gate(), now=today * DAY)]


def test_who_was_promoted_is_certified_the_newest_first():
    assert names([told("a", "promote", 1), told("b", "promote", 2), told("c", "hold", 3)]) == ["b", "a"]


@pytest.mark.parametrize("order", [1, -1])
def test_the_last_word_of_a_run_is_its_word_in_whatever_order_they_are_read(order):
    run = [told("a", "promote", 1, run="r"), told("a", "hold", 2, run="r")]
    assert names(run[::order]) == []
    assert names([*run, told("a", "promote", 0)][::order]) == ["a"]  # an earlier run said so, too


def test_who_was_rolled_back_later_is_certified_no_more():
    assert names([told("a", "promote", 1), told("a", "roll_back", 2)]) == []
    assert names([told("a", "roll_back", 1), told("a", "promote", 2)]) == ["a"]


def test_certificates_expire_by_the_gate_and_without_a_date_there_is_none():
    within = gate(rollback_target={"require_certified_within": "30d"})
    assert names([told("a", "promote", 69), told("b", "promote", 70)], within) == ["b"]
    assert names([told("a", "promote", 69)]) == ["a"]
    assert names([replace(told("a", "promote", 69), emitted_at=None)]) == []


@pytest.mark.parametrize("at", [-1, 101 * DAY, 10**40])
def test_no_verdict_is_of_a_time_that_has_not_been(at):
    assert names([replace(told("a", "promote", 69), emitted_at=at)]) == []


def test_a_rollback_names_the_baseline_or_what_the_gate_names():
    assert judged(0)[0].rollback_target is None
    assert judged(100)[0].rollback_target.bundle == "b"
    named = gate(rollback_target={"bundle": NAMED})
    assert judged(100, named)[0].rollback_target.bundle == NAMED
    left_open = gate(rollback_target={"bundle": "sha256:…"})
    assert judged(100, left_open)[0].rollback_target.bundle == "b"


def test_nobody_is_sent_back_to_the_candidate_itself():
    verdict = replace(judged(100)[0], candidate=NAMED)
    chosen = choose(verdict, gate(rollback_target={"bundle": NAMED}), [])
    assert (chosen.target.bundle, chosen.why) == ("b", "it is the baseline")
    known = certificates([told(NAMED, "promote", 5), told(OLD, "promote", 1)], gate(), now=9 * DAY)
    assert choose(verdict, gate(), known).instead.bundle == OLD


def test_since_when_the_target_is_certified_is_told_where_somebody_knows():
    verdict, _ = judged(100)
    known = with_certificate(verdict, gate(), [told("b", "promote", 3)], now=9 * DAY)
    assert known.rollback_target.certified_at == 3 * DAY
    assert "go back to b, promoted 1970-01-04" in "\n".join(verdict_lines(known))
    assert "go back to b, which no verdict is known to have promoted: see gate target" in "\n".join(verdict_lines(verdict))
    far = replace(verdict, rollback_target=replace(verdict.rollback_target, bundle=NAMED))
    assert f"  go back to {NAMED}," in [line[:len(NAMED) + 14] for line in verdict_lines(far)]
    assert max(map(len, verdict_lines(far))) < 120
    assert with_certificate(judged(0)[0], gate(), [], now=0) == judged(0)[0]


def test_whoever_folds_again_finds_the_same_target_and_need_not_know_its_certificate():
    verdict, comparisons = judged(100)
    known = with_certificate(verdict, gate(), [told("b", "promote", 3)], now=9 * DAY)
    assert differences(known, refold(known, comparisons)) == []
    forged = replace(known, rollback_target=replace(known.rollback_target, bundle="c"))
    assert differences(forged, refold(known, comparisons)) == ["rollback_target.bundle"]
