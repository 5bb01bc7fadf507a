"""Operator burden: events on either side, and minutes of staff by the operator's own prices."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from judged import compared, gate, pair, side
from replay.comparison import CallRecord, Side
from replay.gate.ballot import ballot_of
from replay.gate.burden import EVENTS, staff_minutes
from replay.gate.signals import signal_of
from replay.gate.vote import Ballotbox

PRICES = {"escalation": 12, "approval_request": 4, "refusal": 6, "clarification": 2, "hedge": 1}
HANDED = CallRecord(tool="page", arguments="{}", effect="handoff", outcome="succeeded", step=0)
CASES = [
    ("escalation", Side(calls=(HANDED,))),
    ("escalation", Side(decisions={"escalate": 1})),
    ("approval_request", Side(decisions={"needs_approval": 2})),
    ("refusal", Side(answer="I cannot do that.", stance=("refuses",))),
    ("clarification", Side(answer="Which one?", stance=("asks",))),
    ("hedge", Side(answer="It may be.", stance=("answers", "hedges"))),
]
MINUTES = {"id": "staff_minutes", "kind": "paired_mean_capped", "cap": 30.0, "rel_margin": 0.1}


@pytest.mark.parametrize(("name", "its"), CASES)
def test_each_event_is_read_from_either_side_alone(name, its):
    it = compared(1, replay=its, production=Side(answer="Done."))
    happens = {event: signal_of(event).of_replay(it) for event in EVENTS}
    assert happens == {event: float(event == name) for event in EVENTS}
    assert signal_of(name).of_production(it) == 0.0


@pytest.mark.parametrize(("name", "its"), CASES)
def test_an_event_costs_its_price_and_nothing_without_one(name, its):
    assert staff_minutes(its, PRICES) == PRICES[name]
    assert staff_minutes(its, {}) == 0


def test_a_turn_may_cost_for_several_events():
    assert staff_minutes(Side(calls=(HANDED, HANDED), stance=("hedges",)), PRICES) == 13


def test_a_gate_weighs_minutes_by_its_own_prices():
    the_gate = gate(MINUTES, minutes={"escalation": 15})
    box = Ballotbox(the_gate)
    vote = box.count([ballot_of(it, box.signals) for it in pair(1, side(escalates=True), side())])
    assert vote.difference.low[0] == pytest.approx(15 / (1.1 * 30))


@pytest.mark.parametrize(
    ("minutes", "words"),
    [({}, "needs `minutes`"), ({"coffee": 3}, "there is no event 'coffee'"), ({"escalation": 0}, "greater than 0")],
)
def test_prices_that_cannot_be_meant_are_refused(minutes, words):
    with pytest.raises(ValidationError, match=words):
        gate(MINUTES, minutes=minutes)
