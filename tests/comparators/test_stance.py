"""Stance: records before words; refusals gained and lost are never netted."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from comparators.answerwords import english_answers
from comparators.spec import Status
from comparators.stance import STANCES, Records, compare_stances, explain_stances, stance_of
from comparators.text import normalise
from comparators.wordscan import words_of

WORDS = english_answers()
NOTHING = Records()


def stance(text, records=NOTHING):
    normal = normalise(text or "")
    return stance_of(None if text is None else normal, words_of([normal])[0], records, WORDS)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        (None, ()),
        ("", ()),
        ("Your laptop is locked.", ("answers",)),
        ("I’m sorry, but I can’t help with that.", ("refuses",)),
        ("Thanks for asking. Unfortunately, I'm not able to wipe a device without approval.", ("refuses",)),
        ("I'm unable to find that reservation; could you check the code?", ("answers", "asks")),
        ("Which laptop do you mean?", ("answers", "asks")),
        ("Your laptop is locked. Is there anything else I can help with?", ("answers",)),
        ("It is probably the charger.", ("answers", "hedges")),
        ("It seems your session has ended. I can't confirm it.", ("answers", "hedges")),
        ("As an AI assistant I have locked the laptop.", ("answers",)),
        ("It is done. The rest follows. All is well. It works. I can't promise sunshine, though.", ("answers",)),
    ],
)
def test_what_an_answer_does(text, wanted):
    assert stance(text) == wanted


def test_a_hand_over_is_a_record_whatever_is_said():
    assert stance("You will be called back.", Records(handed_over=True)) == ("answers", "escalates")
    assert stance(None, Records(handed_over=True, acted=True)) == ("escalates",)


def test_a_block_that_left_nothing_done_is_a_refusal_and_one_beside_a_deed_is_not():
    assert stance("A person has to look at it.", Records(blocked=True)) == ("refuses",)
    assert stance("I locked it instead.", Records(blocked=True, acted=True)) == ("answers",)


def test_refusals_gained_and_lost_are_told_apart():
    refuses, answers, asks = ("refuses",), ("answers",), ("answers", "asks")
    production, replay = [refuses, answers, answers, (), refuses], [answers, refuses, asks, (), ("escalates",)]
    gained, lost, changed = compare_stances(production, replay)
    assert gained.value.tolist() == [0, 1, 0, 0, 0]
    assert lost.value.tolist() == [1, 0, 0, 0, 0]
    assert changed.value.tolist() == [1, 1, 0.5, 0, 1]
    assert changed.status.tolist() == [0, 0, 0, Status.NOT_APPLICABLE, 0]


@given(st.lists(st.tuples(*[st.sets(st.sampled_from(STANCES)).map(lambda it: tuple(sorted(it)))] * 2), max_size=8))
def test_swapping_the_sides_keeps_what_changed(pairs):
    ours, theirs = [one for one, _ in pairs], [other for _, other in pairs]
    assert compare_stances(ours, theirs)[2].value.tolist() == compare_stances(theirs, ours)[2].value.tolist()
    assert compare_stances(ours, ours)[2].value.tolist() == [0] * len(pairs)


def test_the_evidence_shows_both_stances_and_how_both_begin():
    (line,) = explain_stances(("answers",), ("refuses",), ("Locked.", "I can't."))
    assert (line.removed, line.added) == ("answers: Locked.", "refuses: I can't.")


@pytest.mark.parametrize("text", ["\ud800 i can't" * 3, "?" * 1_000_000, "i can't " * 200_000, "\u202e?\u202c", "\x00"])
def test_hostile_answers_have_a_stance(text):
    assert set(stance(text)) <= set(STANCES)
