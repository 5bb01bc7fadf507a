"""Votes of many conversations at once are what they are one by one, by rules written out in full."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from judged import gate
from replay.gate.ballot import Ballot
from replay.gate.vote import Ballotbox
from slow_votes import slow_difference

GATE = gate(
    {"id": "escalation", "kind": "paired_binary", "margin": 0.05},
    {"id": "tool_mismatch", "kind": "paired_binary", "margin": 0.05},
    {"id": "wording", "kind": "paired_bounded", "signal": "answer_distance", "margin": 0.1},
    {"id": "expected_failed", "kind": "paired_binary", "margin": 0.05},
    {"id": "slow", "kind": "paired_exceedance", "signal": "latency_ms", "threshold": 150, "margin": 0.05},
    {"id": "slower", "kind": "paired_sign", "signal": "latency_ms", "rel_margin": 0.1},
    {"id": "cost_usd", "kind": "paired_mean_capped", "cap": 0.5, "rel_margin": 0.1},
    {"id": "false_claim", "kind": "zero_tolerance", "max_rate": 0.01},
    {"id": "hand_over", "kind": "zero_tolerance", "signal": "escalation", "max_rate": 0.01},
)
BOX = Ballotbox(GATE)
QUANTITIES = {"latency_ms": [100.0, 140.0, 160.0, 400.0], "cost_usd": [0.0, 0.2, 0.3, 0.9]}


def drawn(signal):
    values = QUANTITIES.get(signal.name, [0.0, 1.0] if signal.nature == "event" else [0.0, 0.25, 1.0])
    return st.none() | st.sampled_from(values)


VALUES = st.tuples(*map(drawn, BOX.signals))
FAILURES = st.sampled_from([None, None, None, "infra_error", "over_budget"])


@st.composite
def conversations(draw):
    """Up to three turns and two samples, in one lane or in both; records are lost, fail and guess."""
    probability = draw(st.sampled_from([0.0, 0.5]))
    lanes = ("candidate", "baseline") if probability and draw(st.booleans()) else ("candidate",)
    ballots = []
    for turn in range(draw(st.integers(1, 3))):
        served = tuple(value if signal.of_production else None for signal, value in zip(BOX.signals, draw(VALUES), strict=True))
        for sample in range(draw(st.integers(1, 2))):
            for lane in lanes:
                failed, guessed = draw(FAILURES), draw(st.sampled_from([False, False, False, True]))
                ballots.append(
                    Ballot(
                        offset=turn,
                        comparison_id=f"{lane}{turn}{sample}",
                        trace_id=f"t{turn}",
                        conversation="c",
                        at=None,
                        lane=lane,
                        sample=sample,
                        lane_probability=probability,
                        failed=failed,
                        guessed=guessed and not failed,
                        severity=0,
                        values=(None,) * len(served) if failed else draw(VALUES),
                        production=served,
                    )
                )
    lost = draw(st.sets(st.integers(0, len(ballots) - 1), max_size=1))
    kept = [ballot for number, ballot in enumerate(ballots) if number not in lost]
    return kept if any(it.lane == "candidate" for it in kept) else ballots


@settings(max_examples=60)
@given(st.lists(conversations(), min_size=1, max_size=4))
def test_a_vote_is_what_the_rules_say_whoever_votes_beside_it(every):
    for ballots, vote in zip(every, BOX.count_all(every), strict=True):
        alone = BOX.count(ballots)
        for row, metric in enumerate(GATE.metrics):
            place = GATE.signals.index(metric.measured)
            expected = slow_difference(metric, BOX.signals[place], place, ballots)
            assert vote.difference.valid[row] == (expected is not None), metric.id
            if expected is not None:
                assert (vote.difference.low[row], vote.difference.high[row]) == pytest.approx(expected), metric.id
        for ours, theirs in zip((*vote.difference, *vote.placebo), (*alone.difference, *alone.placebo), strict=True):
            assert np.array_equal(ours, theirs)


@given(conversations())
def test_the_candidates_best_case_is_never_worse_than_its_worst(ballots):
    vote = BOX.count(ballots)
    for ends in (vote.difference, vote.placebo):
        assert np.all(ends.low[ends.valid] <= ends.high[ends.valid])
        assert np.all(np.abs(ends.low) <= 1)
        assert np.all(np.abs(ends.high) <= 1)


def test_without_conversations_there_are_no_votes():
    assert BOX.count_all([]) == []
