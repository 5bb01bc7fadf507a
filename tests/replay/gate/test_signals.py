"""What a gate measures of an answer's length, against the lengths themselves."""

from __future__ import annotations

from math import exp

import pytest
from hypothesis import given
from hypothesis import strategies as st

from comparators.answerbatch import AnswerBatch
from comparators.answers import compare_answers
from comparators.answerwords import english_answers
from judged import compared, gate, pair
from replay.comparison import Score, Side, replace
from replay.errors import BundleError
from replay.gate.ballot import ballot_of
from replay.gate.config import gate_from
from replay.gate.signals import signal_of
from replay.gate.vote import Ballotbox

WORDS = english_answers()
VERBOSITY = signal_of("verbosity")


def scored(ratio):
    return compared(1, scores={"answer.length": Score(status="scored", value=ratio)})


@given(st.integers(0, 3000), st.integers(0, 3000))
def test_verbosity_is_what_share_of_the_answer_production_did_without(production, replay):
    columns = compare_answers(AnswerBatch(["a" * production], ["a" * replay], WORDS))
    (ratio,) = (column.value[0] for column in columns if column.name == "answer.length")
    expected = 1 - (production + 1) / (replay + 1) if replay > production else 0
    assert VERBOSITY.of_replay(scored(float(ratio))) == pytest.approx(expected, abs=1e-12)


def test_a_missing_answer_is_not_longer_and_an_unknown_one_is_unknown():
    assert VERBOSITY.of_replay(compared(1, scores={"answer.length": Score(status="not_applicable")})) == 0
    assert VERBOSITY.of_replay(compared(1, scores={"answer.length": Score(status="unknown")})) is None
    assert VERBOSITY.of_replay(compared(1, scores={})) is None


@pytest.mark.parametrize("ratio", [1e308, -1e308, 800.0])
def test_no_length_is_beyond_the_scale(ratio):
    assert 0 <= VERBOSITY.of_replay(scored(ratio)) <= 1


def test_it_is_judged_net_of_the_baselines_replay():
    box = Ballotbox(gate({"id": "verbosity", "kind": "paired_bounded", "dry_run": True}, {"id": "escalation", "kind": "paired_binary", "margin": 0.1}))
    for theirs, expected in ((scored(1.0), 0), (scored(-1.0), 1 - exp(-1.0))):
        ballots = [ballot_of(it, box.signals) for it in (scored(1.0), replace(pair(1)[1], scores=theirs.scores))]
        assert box.count(ballots).difference.high[0] == pytest.approx(expected)


OMITTED, EXCEEDED, FAILED = map(signal_of, ("expected_omitted", "expected_exceeded", "expected_failed"))


@pytest.mark.parametrize(
    ("side", "failed", "omitted", "exceeded"),
    [
        (Side(), None, None, None),  # nothing was expected
        (Side(expected=True), 0, 0, 0),
        (Side(expected=False, missed_by=("omitted",)), 1, 1, 0),
        (Side(expected=False, missed_by=("exceeded",)), 1, 0, 1),
        (Side(expected=False, missed_by=("omitted", "exceeded")), 1, 1, 1),
        (Side(expected=False), 1, None, None),  # as records say that were written before these words
    ],
)
def test_an_expected_outcome_is_missed_in_two_ways(side, failed, omitted, exceeded):
    served, replayed = compared(1, production=side), compared(1, replay=side)
    for signal, found in ((FAILED, failed), (OMITTED, omitted), (EXCEEDED, exceeded)):
        assert (signal.of_production(served), signal.of_replay(replayed)) == (found, found)


def test_length_alone_never_decides():
    with pytest.raises(BundleError, match="similar words may say the opposite"):
        gate_from({"metrics": [{"id": "verbosity", "kind": "paired_bounded", "margin": 0.1}]})


@pytest.mark.parametrize(
    ("write", "handoff", "otherwise"),
    [(0.0, 0.0, 0), (1.0, 0.0, 1), (0.0, 0.5, 1), (None, 0.0, None), (0.0, None, None), (None, 1.0, 1), (1.0, None, 1)],
)
def test_a_known_other_action_is_one_whatever_else_is_unknown(write, handoff, otherwise):
    scores = {"tools.write": write, "tools.handoff": handoff}
    told = {name: Score(status="unknown") if value is None else Score(status="scored", value=value) for name, value in scores.items()}
    assert signal_of("tool_mismatch").of_replay(compared(1, scores=told)) == otherwise
