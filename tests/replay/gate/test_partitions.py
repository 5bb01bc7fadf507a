"""Many partitions, each of which waits for a record that is slow because of how it ends: that must decide nothing.

Every partition has a few in flight and a watermark of its own, and the gate looks at the verdict every second. The
control folds the same prefixes and leaves out the records that have not ended, one for each partition.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from heapq import merge
from math import log
from typing import NamedTuple

from judged import compared, gate, side
from replay.comparison import Comparison, Source
from replay.gate.docket import Docket
from replay.gate.evidence import Evidence
from replay.gate.finishing import Finished, as_they_finish

LATE, CALM = side(escalates=True), side()
PARTITIONS, EACH, IN_FLIGHT = 96, 11, 5
RUNS, LONGEST = 20, 10
#: More false ones of 20 than these are as rare as 1 in 60 where alpha is 5 %.
MOST = 3


class Odds(NamedTuple):
    """How often only the candidate, and how often only the baseline, hands over."""

    worse: float
    better: float


class Looks(NamedTuple):
    """Whether any look said so: the gate, and the control."""

    gate: bool
    control: bool


def without_lane(partition: int, odds: Odds, chance: random.Random) -> Iterator[tuple[Comparison, ...]]:
    """Production itself is the measure, so that a record ends with the candidate's replay."""
    for number, production, replay in drawn(odds, chance):
        yield (at(partition, number, production=production, replay=replay, lane_probability=0.0),)


def with_lane(partition: int, odds: Odds, chance: random.Random) -> Iterator[tuple[Comparison, ...]]:
    for number, theirs, ours in drawn(odds, chance):
        yield tuple(
            at(partition, number, lane=lane, production=theirs, replay=replay)
            for lane, replay in (("candidate", ours), ("baseline", theirs))
        )


def drawn(odds, chance):
    for number in range(EACH):
        where = chance.random()
        yield number, LATE if odds.worse <= where < sum(odds) else CALM, LATE if where < odds.worse else CALM


def at(partition, number, **fields):
    source = Source(topic="traces", partition=partition, offset=number)
    return compared(number, trace_id=f"t{partition}-{number}", source=source, **fields)


def seconds_of_the_candidate(comparisons: tuple[Comparison, ...]) -> float:
    """Who hands over is done at once."""
    return 1.0 if comparisons[0].replay.calls else 8.0


def seconds_of_the_slower(comparisons: tuple[Comparison, ...]) -> float:
    """The candidate is quick where the baseline hands over."""
    return 4.0 if comparisons[1].replay.calls else 8.0


def in_flight(draw, seconds, odds, seed) -> Iterator[Finished]:
    chance = random.Random(seed)
    streams = [
        as_they_finish(draw(partition, odds, random.Random(chance.random())), seconds=seconds, in_flight=IN_FLIGHT)
        for partition in range(PARTITIONS)
    ]
    return merge(*streams, key=lambda it: it.at)


def looked_at(the_gate, finished, wanted) -> Looks:
    docket, look, found = Docket(the_gate), 0.0, Looks(gate=False, control=False)
    below: dict[int, int] = {}
    for it in finished:
        if below and it.at > look:
            look = it.at
            for partition, offset in below.items():
                docket.advance("traces", partition, offset)
            found = Looks(found.gate or says(docket, wanted), found.control or would_say(docket.evidence(), wanted))
            if all(found) or look > LONGEST:
                break
        below[it.comparisons[0].source.partition] = it.below
        for comparison in it.comparisons:
            docket.enter(comparison)
    return found


def says(docket, wanted):
    verdict = docket.verdict(now=None)
    assert verdict.unseen == len(verdict.prefixes) > 0
    return verdict.decision == wanted


def would_say(evidence: Evidence, wanted) -> bool:
    evidence.unseen = 0
    if wanted == "promote":
        return evidence.metrics()[0].standing == "within_margin"
    return evidence.log_e_rollback()[0][0] >= log(20)


def played(margin, draw, seconds, odds, wanted, *, runs=RUNS):
    the_gate = gate({"id": "escalation", "kind": "paired_binary", "margin": margin})
    return [looked_at(the_gate, in_flight(draw, seconds, odds, seed), wanted) for seed in range(runs)]


def test_an_equal_candidate_whose_bad_answers_end_first_is_not_rolled_back():
    looks = played(0.05, without_lane, seconds_of_the_candidate, Odds(0.12, 0.12), "roll_back")
    assert sum(it.gate for it in looks) <= MOST
    assert sum(it.control for it in looks) > RUNS / 2


def test_a_candidate_at_its_margin_whose_good_answers_end_first_is_not_promoted():
    looks = played(0.04, with_lane, seconds_of_the_slower, Odds(0.14, 0.10), "promote")
    assert sum(it.gate for it in looks) <= MOST
    assert sum(it.control for it in looks) > RUNS / 2


def test_a_candidate_that_is_much_worse_is_rolled_back_all_the_same():
    looks = played(0.05, without_lane, seconds_of_the_candidate, Odds(0.45, 0.05), "roll_back", runs=2)
    assert all(it.gate for it in looks)
