"""Conversations are closed by the time in the records, never by when somebody looked."""

from __future__ import annotations

import pytest
from msgspec import structs

from judged import SECOND, compared, gate
from replay.gate.ballot import ballot_of
from replay.gate.conversations import Closing, Conversations
from replay.gate.vote import Ballotbox

SIGNALS = Ballotbox(gate()).signals


#: Nobody's clock says 0.
BEGIN = 1_000_000
FUTURE, PAST = 10**9, -BEGIN + 1


def turn(number, conversation, at):
    ballot = ballot_of(compared(number, conversation_id=conversation), SIGNALS)
    return [structs.replace(ballot, at=None if at is None else (BEGIN + at) * SECOND)]


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
    found = closed(conversations, (1, "a", 0), (2, "b", 100), (3, "a", 101), (4, "c", 300), (5, "c", 301))
    assert found == [[], [], [("a", 1)], [], [("b", 1)]]
    assert conversations.late == 1


def test_requests_that_come_late_do_not_turn_the_clock_back():
    conversations = Conversations(Closing(60, 600))
    found = closed(conversations, (1, "a", 100), (2, "b", 100), (3, "c", 10), (4, "d", 155), (5, "d", 161))
    assert found == [[], [], [], [], [("a", 1), ("b", 1), ("c", 1)]]


@pytest.mark.parametrize("wrong", [FUTURE, PAST])
@pytest.mark.parametrize("place", range(2, 5))
def test_one_wrong_clock_closes_nothing_and_stops_nothing(place, wrong):
    turns = [(1, "a", 10), (2, "b", 20), (3, "a", 30), (4, "b", 40), (5, "a", 90), (6, "c", 101)]
    conversations = Conversations(Closing(60, 600))
    found = closed(conversations, *turns[:place], (9, "odd", wrong), *turns[place:])
    assert [it for each in found for it in each if it[0] != "odd"] == [("b", 2)]
    assert (conversations.late, conversations.clock) == (0, (BEGIN + 101) * SECOND)


def test_nor_does_one_from_the_future_that_comes_first():
    conversations = Conversations(Closing(60, 600))
    found = closed(conversations, (9, "odd", FUTURE), (1, "a", 10), (2, "b", 20), (3, "a", 70), (4, "c", 81))
    assert found == [[], [], [], [], [("odd", 1), ("b", 1)]]


def test_control_two_in_a_row_from_one_future_close_what_is_open():
    conversations = Conversations(Closing(60, 600))
    found = closed(conversations, (1, "a", 10), (2, "b", 20), (8, "odd", FUTURE), (9, "odd", FUTURE))
    assert found[3] == [("a", 1), ("b", 1)]


def test_the_first_conversation_after_a_quiet_time_is_as_long_as_any_other():
    """Its first turn is taken before the clock has stepped."""
    conversations = Conversations(Closing(60, 600))
    found = closed(conversations, (1, "a", 0), (2, "a", 1), (3, "b", 500), (4, "b", 510), (5, "b", 569), (6, "c", 600), (7, "c", 630))
    assert found == [[], [], [], [("a", 2)], [], [], [("b", 3)]]


def test_who_came_before_anybody_told_the_time_came_when_the_clock_began():
    conversations = Conversations(Closing(60, 600))
    found = closed(conversations, (1, "a", None), (2, "b", 10), (3, "c", 20), (4, "a", 30), (5, "d", 71), (6, "e", 81))
    assert found == [[], [], [], [], [("b", 1)], [("c", 1)]]


def test_a_turn_that_comes_again_is_counted_and_keeps_nothing_open():
    conversations = Conversations(Closing(60, 600))
    found = closed(conversations, (1, "a", 0), (2, "b", 50), (1, "a", 55), (3, "c", 60), (4, "c", 61))
    assert found == [[], [], [], [], [("a", 1)]]
    assert (conversations.duplicates, conversations.late) == (1, 0)


def test_without_times_conversations_stay_open_to_the_end():
    conversations = Conversations(Closing(60, 600))
    assert closed(conversations, (1, "a", None), (2, "b", None), (3, "a", None)) == [[], [], []]
    assert [it[0].key for it in conversations.close_all()] == ["b", "a"]


def test_when_too_many_are_open_the_oldest_is_closed():
    conversations = Conversations(Closing(60, 600, max_open=3))
    found = closed(conversations, *((n, f"c{n}", None) for n in range(6)))
    assert found == [[], [], [], [], [("c0", 1)], [("c1", 1)]]
    assert conversations.open == 4
