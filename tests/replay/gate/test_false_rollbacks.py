"""False rollbacks through the gate's own parts, by what is sent, how often, in how many turns, and what gets lost.

In each, the candidate is exactly as bad as is tolerated, the evidence is looked at again and again, and a run in which
any look suffices is false. Beside each stands what happens to somebody who does the obvious thing instead.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import cache
from itertools import count
from math import log
from random import Random

import numpy as np
import pytest
from msgspec import structs

from comparators.differences import STEPS, counted
from crossings import ALPHA, harm, share_crossed, tolerated
from judged import SECOND, compared, gate, side
from looks import EVERY
from replay.comparison import replace
from replay.gate.ballot import Ballot, ballot_of
from replay.gate.docket import Docket, PartitionDocket
from replay.gate.vote import Ballotbox

MARGIN, BASE = 0.01, 0.3
GATE = gate({"id": "escalation", "kind": "paired_binary", "margin": MARGIN}, idle="30s")
BOX = Ballotbox(GATE)


@cache
def template(ours, theirs):
    """The candidate held against production itself: one ballot per turn."""
    it = compared(0, replay=side(escalates=ours), production=side(escalates=theirs), lane_probability=0.0)
    return ballot_of(it, BOX.signals)


def ballot(offset, ours, theirs, conversation=None) -> Ballot:
    """The turn at `offset`, served at that second."""
    name = f"t{offset}"
    return structs.replace(
        template(bool(ours), bool(theirs)),
        offset=offset, comparison_id=name, trace_id=name, conversation=conversation, at=offset * SECOND,
    )  # fmt: skip


def suffices(docket: PartitionDocket) -> bool:
    return docket.evidence.log_e_rollback()[0][0] >= -log(ALPHA)


def is_false(delivered: Iterable[Ballot]) -> bool:
    """Whether any look says harm, with the watermark right behind what has come."""
    docket = PartitionDocket.empty(BOX)
    for number, it in enumerate(delivered):
        docket.enter(it)
        if number % EVERY == EVERY - 1:
            docket.advance(it.offset + 1)
            if suffices(docket):
                return True
    docket.finish()
    return suffices(docket)


# -- at least once ----------------------------------------------------------------------------------------------------

BLOCK, AGAIN = 1_000, 500


def redelivered(block):
    """A thousand, then its last five hundred three times again, as after three crashes before a commit."""
    return [*block, *block[-AGAIN:] * 3]


def outcomes(runs, pairs, seed=1):
    """Whether each side escalates: bool[2, runs, pairs]."""
    chance = np.random.default_rng(seed)
    return np.stack([chance.random((runs, pairs)) < share for share in (BASE + MARGIN, BASE)])


def differences(sides):
    return (sides[0].astype(np.int16) - sides[1]) * STEPS


@pytest.mark.parametrize("behind", [0, 700])
def test_what_comes_again_leaves_every_look_as_it_was(behind):
    """Before the watermark or behind it: each look sees what was sent, once. Its errors are those of the next test."""
    for ours, theirs in outcomes(2, 2 * BLOCK).swapaxes(0, 1):
        docket, net = PartitionDocket.empty(BOX), ours.astype(np.float64) - theirs
        for start in range(0, len(net), BLOCK):
            for number, it in enumerate(redelivered([ballot(n, ours[n], theirs[n]) for n in range(start, start + BLOCK)])):
                docket.enter(it)
                docket.advance(it.offset + 1 - behind)
                if number % 50 == 0:
                    assert np.array_equal(docket.evidence.candidate.counts[0, 0], counted(net[: docket.position], "down"))
        docket.finish()
        assert (docket.evidence.conversations, docket.duplicates) == (2 * BLOCK, 2 * 3 * AGAIN)


def test_what_was_sent_once_rolls_back_nobody_and_control_folded_as_it_comes_one_in_seven():
    runs = 1_000
    once = differences(outcomes(runs, 5 * BLOCK))
    blocks = [once[:, start : start + BLOCK] for start in range(0, 5 * BLOCK, BLOCK)]
    as_it_comes = np.concatenate([part for block in blocks for part in (block, *[block[:, -AGAIN:]] * 3)], axis=1)
    assert share_crossed(once, harm(MARGIN)) <= tolerated(runs)
    assert share_crossed(as_it_comes, harm(MARGIN)) > 0.12


# -- turns ------------------------------------------------------------------------------------------------------------

#: What is wrong with a conversation shows in most of its turns.
SHOWS, CONVERSATIONS, IN_FLIGHT = 0.8, 150, 5


def talks(turns, seed):
    """Turns of 150 conversations, five of them at a time; a side that is bad at one escalates in most of its turns.

    At least one turn of a conversation shows it as often as is tolerated more in the candidate, and so a single turn
    does a little less often than that.
    """
    chance, seen, offset = Random(seed), 1.0 - (1.0 - SHOWS) ** turns, count()
    for first in range(0, CONVERSATIONS, IN_FLIGHT):
        bad = [[chance.random() < share / seen for share in (BASE + MARGIN, BASE)] for _ in range(IN_FLIGHT)]
        for _ in range(turns):
            for number, sides in enumerate(bad, first):
                yield ballot(next(offset), *(it and chance.random() < SHOWS for it in sides), f"c{number}")


def each_for_itself(turns: Iterator[Ballot]) -> Iterator[Ballot]:
    """The same turns, taken for conversations."""
    return (structs.replace(turn, conversation=None) for turn in turns)


@pytest.mark.parametrize("turns", [3, 10])
def test_a_conversation_has_one_vote_however_many_turns(turns):
    runs = 40
    assert sum(is_false(talks(turns, seed)) for seed in range(runs)) / runs <= tolerated(runs)


@pytest.mark.parametrize(("turns", "runs"), [(3, 40), (10, 12)])
def test_control_turns_that_vote_for_themselves_are_taken_for_so_many_witnesses(turns, runs):
    assert sum(is_false(each_for_itself(talks(turns, seed))) for seed in range(runs)) / runs > tolerated(runs)


# -- repeats, and what gets lost ----------------------------------------------------------------------------------------

LANES = gate({"id": "escalation", "kind": "paired_binary", "margin": MARGIN})


def repeated(samples, fails, seed, conversations=250, margin=MARGIN):
    """Both lanes, several times each; every replay may fail by itself. A hard request is hard in each of them."""
    chance = Random(seed)
    for number in range(conversations):
        hard = chance.choice((0.5, 1.5))
        production = side(escalates=chance.random() < hard * BASE)
        for sample in range(samples):
            for lane, share in (("candidate", BASE + margin), ("baseline", BASE)):
                yield compared(
                    number, lane=lane, sample=sample, production=production,
                    replay=side(escalates=chance.random() < hard * share),
                    disposition="infra_error" if chance.random() < fails else "compared",
                )  # fmt: skip


def is_false_in_lanes(comparisons):
    """Whether any look says harm, or that the baseline differs from itself."""
    docket = Docket(LANES)
    for it in comparisons:
        if it.source.offset % EVERY == 0 and docket.run is not None:
            docket.advance("traces", 0, it.source.offset)
            evidence = docket.evidence()
            if max(evidence.log_e_rollback()[0][0], evidence.log_e_placebo()) >= -log(ALPHA):
                return True
        docket.enter(it)
    return False


@pytest.mark.parametrize(("samples", "fails"), [(1, 0.2), (2, 0.2), (3, 0.0)])
def test_neither_repeats_nor_replays_that_fail_in_either_lane_are_harm(samples, fails):
    runs = 30
    assert sum(is_false_in_lanes(repeated(samples, fails, seed)) for seed in range(runs)) / runs <= tolerated(runs)


def test_control_a_baseline_that_failed_taken_for_calm_makes_harm_of_what_befalls_both():
    runs = 20

    def taken_for_calm(seed):
        for it in repeated(1, 0.2, seed):
            lost = it.lane == "baseline" and it.disposition != "compared"
            yield replace(it, disposition="compared", replay=side()) if lost else it

    assert sum(is_false_in_lanes(taken_for_calm(seed)) for seed in range(runs)) / runs > 0.5


def judged(comparisons, margin):
    docket = Docket(gate({"id": "escalation", "kind": "paired_binary", "margin": margin}))
    for it in comparisons:
        docket.enter(it)
    docket.finish()
    verdict = docket.verdict(now=None)
    return verdict.decision, [reason.code for reason in verdict.reasons]


@pytest.mark.parametrize(
    ("fails", "decision", "codes"),
    [
        (0.0, "promote", []),
        (0.01, "promote", []),
        (0.04, "hold", ["blind_metric"]),
        (0.1, "hold", ["blind_metric"]),
        (0.3, "hold", ["missing_replays"]),
    ],
)
def test_equals_whose_replays_fail_more_and_more_are_promoted_and_then_held(fails, decision, codes):
    assert judged(repeated(2, fails, seed=1, conversations=1_500, margin=0.0), 0.06) == (decision, codes)


def test_who_fails_where_it_would_have_been_worse_is_not_promoted_for_it():
    """Control: without the pairs that are not whole, as an inner join leaves them, it would be."""
    chance = Random(2)

    def hides(it):
        would_show = it.lane == "candidate" and it.replay.calls
        return replace(it, disposition="infra_error") if would_show and chance.random() < 0.7 else it

    sent = [hides(it) for it in repeated(1, 0.0, seed=1, conversations=1_500, margin=0.15)]
    lost = {it.trace_id for it in sent if it.disposition != "compared"}
    assert judged(sent, 0.06) == ("roll_back", ["proved_worse"])
    assert judged([it for it in sent if it.trace_id not in lost], 0.06) == ("promote", [])
