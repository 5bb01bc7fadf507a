"""When something was served, and for how long: what wrong clocks say is not believed, or does not count."""

from __future__ import annotations

import random
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from judged import ESCALATION, SECOND, compared, gate
from replay.comparison import Source, replace
from replay.gate.ballot import ballot_of
from replay.gate.docket import Docket
from replay.gate.times import Times

NOW = 1_772_000_000 * SECOND
DAY = int(timedelta(days=1).total_seconds()) * SECOND


def served(started, written_ms, replayed):
    source = Source(topic="traces", timestamp_ms=written_ms)
    return ballot_of(compared(1, source=source, production_started_at=started, replayed_at=replayed), ()).at


@pytest.mark.parametrize(
    ("started", "written_ms", "replayed", "at"),
    [
        (NOW, None, None, NOW),
        (NOW, NOW // 10**6 + 5, NOW + SECOND, NOW),
        (NOW, NOW // 10**6 - 5, None, NOW - 5 * 10**6),  # a record is not older than what it tells
        (NOW + DAY, None, NOW, NOW),  # nor is a replay
        (0, None, NOW, None),
        (-1, NOW // 10**6, NOW, NOW),
        (2**63, None, None, None),
        (None, 0, NOW, None),
        (NOW, None, 0, NOW),
    ],
)
def test_when_it_was_served_or_null(started, written_ms, replayed, at):
    assert served(started, written_ms, replayed) == at


# -- the plan's time --------------------------------------------------------------------------------------------------


def times_of(each):
    times = Times()
    for at in each:
        times.see(at)
    return times


@given(st.lists(st.integers(1, 10**6), max_size=120), st.integers(0, 120))
def test_times_of_two_parts_are_those_of_the_whole(each, cut):
    parts = times_of(each[:cut])
    parts.merge(times_of(each[cut:]))
    assert parts == times_of(sorted(each))
    assert (parts.first, parts.last) == (min(each, default=None), max(each, default=None))


@given(st.lists(st.integers(1, 10**6), max_size=1200))
def test_one_of_fifty_is_left_out_at_either_end(each):
    out = min(1 + len(each) // 50, 9)
    left = sorted(each)[out:-out]
    assert times_of(each).seconds == ((left[-1] - left[0]) / SECOND if left else 0.0)


@pytest.mark.parametrize("wrong", [1, NOW - 20_000 * DAY, NOW + 20_000 * DAY])
@pytest.mark.parametrize("votes", [1, 3, 40, 300])
def test_one_wrong_clock_does_not_end_the_plan(wrong, votes):
    the_gate = gate(ESCALATION, max_wait="7d", on_inconclusive="rollback")
    right = [compared(number, production_started_at=NOW + number * SECOND) for number in range(votes)]
    odd = compared(votes, production_started_at=wrong)
    docket = Docket(the_gate)
    for comparison in random.Random(1).sample([*right, odd], votes + 1):
        docket.enter(replace(comparison, lane_probability=0.0))
    docket.finish()
    codes = {reason.code for reason in docket.verdict(now=None).reasons}
    assert "stale_stream" not in codes


def test_control_so_much_traffic_does():
    docket = Docket(gate(ESCALATION, max_wait="7d", on_inconclusive="rollback"))
    for number in range(12):
        docket.enter(compared(number, production_started_at=NOW + number * DAY, lane_probability=0.0))
    docket.finish()
    verdict = docket.verdict(now=None)
    assert (verdict.decision, verdict.reasons[-1].code) == ("roll_back", "stale_stream")
