"""Numbers out of nowhere: found where nothing holds them, and not where something does."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from comparators.answerbatch import AnswerBatch
from comparators.answerwords import english_answers
from comparators.grounding import MAX_CHARACTERS, compare_grounding, explain_grounding
from comparators.numbers import MAX_CHARACTERS as LONGEST_ANSWER
from comparators.spec import Status


def score(production, replay, *grounds):
    found = compare_grounding(AnswerBatch([production], [replay], english_answers()), [lambda: grounds])
    return found.value[0] if found.status[0] == Status.SCORED else Status(found.status[0])


@pytest.mark.parametrize(
    ("production", "replay", "grounds", "wanted"),
    [
        ("It is done.", "It costs $1,250.", (), 1.0),
        ("It is done.", "It costs $1,250.", ('{"price": 1250}',), 0.0),
        ("It costs $1,250.", "That will be 1250 dollars.", (), 0.0),
        ("Done.", "It costs $1,250 and takes 30 days.", ("price: 1250.00",), 0.5),
        ("Done.", "It costs $12.35.", ('{"price": 12.349}',), 0.0),
        ("Done.", "It leaves on May 20, 2024 at 15:45.", ('{"at": "2024-05-20T15:45:00"}',), 0.0),
        ("Done.", "It leaves on May 21, 2024.", ('{"at": "2024-05-20"}',), 0.5),
        ("Done.", "The account is GB33BUKB20201555555555.", ('{"iban": "GB33BUKB20201555555551"}',), 1.0),
        ("Done.", "There are 3 options and two ways.", (), Status.NOT_APPLICABLE),
        ("Done.", "No figures here.", (), Status.NOT_APPLICABLE),
        (None, "It costs $1,250.", (), Status.NOT_APPLICABLE),
        ("Done.", "It costs $1,250.", ("x" * (MAX_CHARACTERS + 1),), Status.TOO_LARGE),
        ("Done.", "It is 50% off.", ("a discount of 0.5",), 0.0),
    ],
)
def test_the_share_of_figures_that_stand_nowhere(production, replay, grounds, wanted):
    assert score(production, replay, *grounds) == wanted


def test_grounds_are_not_read_where_the_answers_hold_the_same_figures():
    def never():
        raise AssertionError("read in vain")

    found = compare_grounding(AnswerBatch(["It is $1,250."], ["So it is 1250."], english_answers()), [never])
    assert (found.status[0], found.value[0]) == (Status.SCORED, 0.0)


def test_the_evidence_names_them():
    (line,) = explain_grounding("Done.", "It costs $1,250 or AB-77.", tuple)
    assert (line.kind, line.added) == ("ungrounded", "$1250, ab-77")
    assert explain_grounding("Done.", "Done.", tuple) == ()


@given(st.text(alphabet="0123456789.,-$% ab:/\n\ud800", max_size=40), st.text(alphabet="0123456789.,-$% ab:/\n", max_size=40))
def test_what_stands_in_the_grounds_as_it_is_is_grounded(answer, other):
    assert score("Done.", answer, other, answer) in (0.0, Status.NOT_APPLICABLE)


@pytest.mark.parametrize("digits", ["9" * 500_000, "1 " * 400_000, "0." + "1" * 300_000, "-" * 1000 + "5"])
def test_hostile_figures_end_soon(digits):
    assert score("Done.", "It is $1,250.", digits) == 1.0
    assert score("Done.", digits[:200_000], "nothing") != Status.TOO_LARGE
    assert (score("Done.", digits, "nothing") == Status.TOO_LARGE) == (len(digits) > LONGEST_ANSWER)
