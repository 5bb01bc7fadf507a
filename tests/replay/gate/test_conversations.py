"""Conversations are closed by the time in the records, never by when somebody looked."""

from __future__ import annotations

from judged import SECOND, compared, gate
from replay.gate.ballot import ballot_of
from replay.gate.conversations import Closing, Conversations
from replay.gate.vote import Ballotbox

SIGNALS = Ballotbox(gate()).signals


def turn(number, conversation, at):
    ballot = ballot_of(compared(number, conversation_id=conversation), SIGNALS)
    return [type(ballot)(**{**{name: getattr(ballot, name) for name in ballot.__struct_fields__}, "at": None if at is None else at * SECOND})]


def closed(conversations, *turns):
    return [[(it[0].key, len(it)) for it in conversations.enter(turn(*each))] for each in turns]


def test_a_request_without_a_conversation_is_one_of_its_own():
    assert closed(Conversations(Closing(60, 600)), (1, None, 5)) == [[("t1", 1)]]


def test_a_conversation_is_over_when_its_partition_has_gone_on_for_long_enough():
    conversations = Conversations(Closing(idle=60, max_age=600))
    found = closed(conversations, (1, "a", 0), (2, "b", 50), (3, "a", 60), (4, "c", 111), (5, "c", 121))
    assert found == [[], [], [], [("b", 1)], [("a", 2)]]


def test_or_when_it_is_too_old_however_lively():
    conversations = Conversations(Closing(idle=60, max_age=100))
    assert closed(conversations, *((n, "a", 30 * n) for n in range(5)))[4] == [("a", 4)]


def test_a_later_turn_is_counted_and_changes_nothing():
    conversations = Conversations(Closing(60, 600))
    assert closed(conversations, (1, "a", 0), (2, "b", 100), (3, "a", 101), (4, "c", 300)) == [[], [("a", 1)], [], [("b", 1)]]
    assert conversations.late == 1


def test_requests_that_come_late_do_not_turn_the_clock_back():
    conversations = Conversations(Closing(60, 600))
    assert closed(conversations, (1, "a", 100), (2, "b", 10), (3, "c", 161)) == [[], [], [("a", 1), ("b", 1)]]


def test_without_times_conversations_stay_open_to_the_end():
    conversations = Conversations(Closing(60, 600))
    assert closed(conversations, (1, "a", None), (2, "b", None), (3, "a", None)) == [[], [], []]
    assert [it[0].key for it in conversations.close_all()] == ["b", "a"]


def test_when_too_many_are_open_the_oldest_is_closed():
    conversations = Conversations(Closing(60, 600, max_open=3))
    found = closed(conversations, *((n, f"c{n}", None) for n in range(6)))
    assert found == [[], [], [], [], [("c0", 1)], [("c1", 1)]]
    assert conversations.open == 4
